#!/bin/sh
# A machine with cgroup v2 only, on which holdfast is the only supervisor: emulated x86-64 with Debian's kernel, busybox,
# no systemd, no network card. No KVM and no root needed; nothing is installed or mounted here.
#
#   tests/vm/run.sh [BOOT...]    without arguments all boots of stories.sh in order: they share one disk
#
# The binary is target/<triple>/release/holdfast, or what HOLDFAST_BINARY names. The console of each boot is kept in
# target/vm/BOOT.console, the disk in target/vm/disk. Needs qemu-system-x86, cpio, kmod, e2fsprogs, and apt for the
# kernel; a boot with its stories takes about a minute.
set -eu

here=$(cd "$(dirname "$0")/../.." && pwd)
vm=$here/target/vm
built=$here/target/$(rustc -vV | sed -n 's/^host: //p')
binary=${HOLDFAST_BINARY:-$built/release/holdfast}
workload=${HOLDFAST_WORKLOAD:-$(dirname "$binary")/examples/workload}
export PATH="$PATH:/usr/sbin:/sbin"

fail() {
    echo "tests/vm/run.sh: $*" >&2
    exit 1
}

# Debian's kernel for virtual machines, unpacked once.
kernel() {
    [ ! -e "$vm/kernel/ready" ] || return 0
    rm -rf "$vm/kernel"
    mkdir -p "$vm/kernel"
    package=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/^ *Depends: \(linux-image-.*\)/\1/p' | head -n 1)
    [ -n "$package" ] || fail "no kernel in the package lists: apt-get update"
    (cd "$vm/kernel" && apt-get download -qq -o APT::Sandbox::User=root "$package" && dpkg -x "$package"_*.deb .)
    depmod -b "$vm/kernel" "$(ls "$vm/kernel/lib/modules")"
    touch "$vm/kernel/ready"
}

# busybox, the modules in the order to load them, the binary, the stories.
initramfs() {
    root=$vm/initramfs
    rm -rf "$root"
    mkdir -p "$root/bin" "$root/modules"
    cp "$("$here/tests/debian.sh")/../root/bin/busybox" "$binary" "$root/bin/"
    cp "$here/tests/vm/init" "$here/tests/vm/stories.sh" "$here/tests/vm/world.sh" "$root/"
    release=$(ls "$vm/kernel/lib/modules")
    number=100
    for module in virtio_pci virtio_blk overlay; do
        modprobe -d "$vm/kernel" -S "$release" --show-depends "$module"
    done | sed -n 's/^insmod \([^ ]*\).*/\1/p' | awk '!seen[$0]++' | while read -r module; do
        number=$((number + 1))
        cp "$module" "$root/modules/$number.ko"
    done
    (cd "$root" && find . | cpio --quiet -o -H newc | gzip -1) >"$vm/initramfs.gz"
}

# The tests' workload as an image archive, made by other people's tools.
archive() {
    [ ! -e "$vm/workload.tar" ] || [ "$workload" -nt "$vm/workload.tar" ] || return 0
    tools=$("$here/tests/debian.sh")
    rm -rf "$vm/layout" "$vm/workload.tar"
    "$tools/umoci" init --layout "$vm/layout"
    "$tools/umoci" new --image "$vm/layout:1"
    "$tools/umoci" insert --image "$vm/layout:1" "$workload" /workload
    "$tools/skopeo" --insecure-policy copy --quiet "oci:$vm/layout:1" \
        "docker-archive:$vm/workload.tar:holdfast.test/workload:1"
    rm -rf "$vm/layout"
}

# What outlives a boot: at first nothing but the archive.
disk() {
    rm -rf "$vm/files" "$vm/disk"
    mkdir -p "$vm/files/k3s/agent/images"
    cp "$vm/workload.tar" "$vm/files/k3s/agent/images/"
    mkfs.ext4 -q -d "$vm/files" "$vm/disk" 512M
    rm -rf "$vm/files"
}

# boot NAME: what differs is said here, what is looked at in stories.sh.
boot() {
    clock=utc
    words=
    case $1 in
    first) ;;
    again) clock=1970-01-01 ;;
    nomemory) words=cgroup_disable=memory ;;
    *) fail "no boot is called $1" ;;
    esac
    echo "boot $1"
    timeout 600 qemu-system-x86_64 -M q35 -accel tcg -cpu max -smp 2 -m 768 -nographic -no-reboot -nic none \
        -kernel "$vm"/kernel/boot/vmlinuz-* -initrd "$vm/initramfs.gz" -rtc base="$clock" \
        -append "console=ttyS0 panic=-1 quiet boot=$1 $words" \
        -drive file="$vm/disk",if=virtio,format=raw </dev/null >"$vm/$1.console" 2>&1 || fail "QEMU ended with $?"
    grep -E '^(ok|not ok|figure|stories)' "$vm/$1.console" | tr -d '\r'
    grep -q '^stories: all well' "$vm/$1.console" || fail "see $vm/$1.console"
}

kernel
archive
[ -e "$binary" ] || fail "no $binary: cargo build --release"
initramfs
case ${1-first} in first) disk ;; esac
[ $# -gt 0 ] || set -- first again nomemory
for name in "$@"; do
    boot "$name"
done
