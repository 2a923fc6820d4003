#!/bin/sh
# Power cuts: a machine is killed at random moments while pods come and go, images are taken in and removed and manifests
# are edited, and boots again from the disk that is left. What was not flushed to the disk is lost, torn or kept by chance
# (disk.py). After each cut the file system is whole once its journal is replayed, the image store is whole, every whole
# manifest runs as it is written, and nothing that is half a manifest or half an image does (cuts.sh): in the place of a half
# manifest runs what was last whole.
#
#   tests/vm/power-cut.sh [CUTS] [MACHINE]    50 and q35 without; one cut takes some 15 s
#
# The report goes to stdout and to target/vm/power-cut.report; the console of the last life to
# target/vm/cuts-MACHINE/cuts.console.
set -eu

here=$(cd "$(dirname "$0")/../.." && pwd)
. "$here/tests/vm/machine.sh"

cuts=${1-50}
machine "${2-q35}"
place=$vm/cuts-$machine
mkdir -p "$place"
report=$vm/power-cut.report
socket=$place/disk.socket
server=
have=no
early=0
halves=0
kept=0

end() {
    stop
    [ -z "$server" ] || kill $server 2>/dev/null || true
    rm -f "$socket" "$place/fsck.disk"
}
trap end EXIT
trap 'exit 1' INT TERM

# Sources of images beside the one that the pods run, each of 2 MiB more.
sources() {
    mkdir -p "$place/files/src"
    for name in extra dropped; do
        archive $name 2
        mv "$place/$name.tar" "$place/files/src/"
    done
}

# A number below $1.
random() { shuf -i 0-$(($1 - 1)) -n 1; }

cuts_so_far() { grep -c '^cut' "$place/cuts.lost" || true; }

say() { echo "$*" | tee -a "$report"; }

# On a copy: the machine's own kernel is to replay the journal as well.
fsck() {
    cp --sparse=always "$place/disk" "$place/fsck.disk"
    e2fsck -p "$place/fsck.disk" >"$place/fsck" 2>&1 || [ $? = 1 ] || fail "cut $1: $(cat "$place/fsck")"
    e2fsck -f -n "$place/fsck.disk" >"$place/fsck" 2>&1 || fail "cut $1: $(cat "$place/fsck")"
}

# life NUMBER: boots, and ends at a random moment; one in five before all was looked at.
life() {
    HOLDFAST_DRIVE=nbd:unix:$socket start cuts utc "have=$have"
    wait_for cuts '^ok\|^not ok\|^checked\|^half' 120
    if [ "$(random 5)" = 0 ]; then
        early=$((early + 1))
    else
        wait_for cuts '^checked:' 300
        grep -q '^checked: all well' "$place/cuts.console" || fail "life $1: see $place/cuts.console"
    fi
    sleep "$(random 6).$(random 1000)"
    # Half of them in the midst of writing; a machine that writes nothing is cut all the same.
    if [ "$(random 2)" = 0 ]; then
        kill -USR1 $server
        for _ in $(seq 200); do
            [ "$(cuts_so_far)" -lt "$1" ] || break
            sleep 0.1
        done
    fi
    stop
    tr -d '\r' <"$place/cuts.console" >"$place/cuts.text"
    ! grep '^not ok' "$place/cuts.text" || fail "life $1: see $place/cuts.console"
    halves=$((halves + $(grep -c '^half:' "$place/cuts.text" || true)))
    kept=$((kept + $(grep -c '^kept:' "$place/cuts.text" || true)))
    have=$(sed -n 's/^extra: //p' "$place/cuts.text" | tail -n 1 | grep . || echo "$have")
}

initramfs
sources
disk
rm -f "$report" "$socket"
python3 "$here/tests/vm/disk.py" "$place/disk" "$socket" >"$place/cuts.lost" &
server=$!
until [ -S "$socket" ]; do kill -0 $server && sleep 0.1; done
say "power cuts: $cuts on $machine, $(date +%F), $("$binary" --version 2>/dev/null || echo holdfast)"
number=0
while [ "$number" -lt "$cuts" ]; do
    number=$((number + 1))
    life $number
    until [ "$(cuts_so_far)" = $number ]; do sleep 0.1; done
    fsck $number
    echo "cut $number: $(tail -n 1 "$place/cuts.lost"); image by hand: $have"
done
# The last cut, too, is looked at.
HOLDFAST_DRIVE=nbd:unix:$socket start cuts utc "have=$have"
wait_for cuts '^checked:' 300
grep -q '^checked: all well' "$place/cuts.console" || fail "after the last cut: see $place/cuts.console"
say "after each: file system whole after its journal, images whole, each whole manifest runs as written, no half one"
say "cut before the look at the last one was over: $early; manifests found half written, and refused: $halves"
say "of these, pods that went on as they were written last: $kept"
awk '{ all += $2; lost += $7; if (0 < $7) cuts++ }
    END { printf "pages not flushed at the cuts: %d; lost: %d, in %d of the cuts\n", all, lost, cuts }' \
    "$place/cuts.lost" | tee -a "$report"
