#!/bin/sh
# Machines with cgroup v2 only, on which holdfast is the only supervisor: Debian's kernels, busybox, no systemd, no network
# card, by plain emulation. No KVM and no root needed; nothing is installed or mounted here.
#
#   tests/vm/run.sh                      all boots of all machines
#   tests/vm/run.sh MACHINE [BOOT...]    boots of one machine, on one disk: `first` begins with a new one
#
# MACHINE is q35 (x86-64), virt (aarch64) or raspi3b (aarch64: a Raspberry Pi 3 with an SD card). What a machine is stands
# in machine.sh. What is looked at in a boot is the function of its name in stories.sh, written with the words of world.sh:
# a new story is a few lines there, called by a boot. The console of each boot is kept in target/vm/MACHINE/BOOT.console.
set -eu

here=$(cd "$(dirname "$0")/../.." && pwd)
. "$here/tests/vm/machine.sh"

# boot NAME: what differs between boots is said here.
boot() {
    clock=utc
    words=
    case $1 in
    first | short | board | confined) ;;
    year1970) clock=1970-01-01 ;;
    nomemory) words='cgroup_disable=memory security=selinux' ;;
    *) fail "no boot is called $1" ;;
    esac
    echo "$machine: boot $1"
    started=$(cut -d' ' -f1 /proc/uptime)
    start "$1" "$clock" "$words"
    # On a busy computer an emulated card may fail to answer the kernel in time, which then has none: nothing of ours ran yet.
    if ! comes "$1" 'the disk is there' 150; then
        tail -n 20 "$place/$1.console"
        echo "$machine: boot $1 found no disk, once more"
        stop
        start "$1" "$clock" "$words"
    fi
    wait_for "$1" '^stories: ' 600
    stop
    tr -d '\r' <"$place/$1.console" | grep -E '^(ok|not ok|figure|stories)' | sed "s/^/$machine $1: /"
    awk -v a="$started" -v what="$machine $1" '{ printf "%s: took %d s\n", what, $1 - a }' /proc/uptime
    grep -q '^stories: all well' "$place/$1.console" || fail "see $place/$1.console"
}

# What each machine is asked, and in which order.
boots() {
    case $1 in
    # Counting instructions takes a q35 minutes.
    q35) echo first year1970 nomemory confined ;;
    virt) echo first year1970 nomemory board confined ;;
    raspi3b) echo first year1970 nomemory board ;;
    esac
}

one() {
    machine "$1"
    shift
    trap stop EXIT
    trap 'exit 1' INT TERM
    initramfs
    case $1 in first | short) disk ;; esac
    for name in "$@"; do
        boot "$name"
    done
}

if [ $# = 0 ]; then
    # Two machines at a time: each keeps one core busy.
    # shellcheck disable=SC2046 # a list
    "$0" q35 $(boots q35) &
    other=$!
    failed=
    for name in virt raspi3b; do
        # shellcheck disable=SC2046 # a list
        "$0" $name $(boots $name) || failed=1
    done
    wait "$other" && [ -z "$failed" ]
elif [ $# = 1 ]; then
    # shellcheck disable=SC2046 # a list
    one "$1" $(boots "$1")
else
    one "$@"
fi
