# One emulated machine, for run.sh and power-cut.sh, and parts of it for managers.sh: its kernel, initramfs, disk, console and end.
#
# The program and the tests' workload are those of build/musl.sh, or what HOLDFAST_BINARY and HOLDFAST_WORKLOAD name.

vm=$("$here/tests/vm/packages.sh")
export PATH="$vm/bin:$PATH:/usr/sbin:/sbin"

fail() {
    echo "tests/vm: $*" >&2
    exit 1
}

# machine NAME: what it is made of. `place` is its folder.
machine() {
    machine=$1
    place=$vm/$machine
    qemu=
    # What a network of pods wants of Debian's kernels.
    network='bridge veth nft_chain_nat nft_nat nft_masq nft_fib_inet nft_ct nf_conntrack_netlink sctp'
    mkdir -p "$place"
    case $machine in
    q35)
        architecture=amd64 platform=x86_64 console=ttyS0 device=/dev/vda modules="virtio_pci virtio_blk $network"
        set -- qemu-system-x86_64 -M q35 -cpu max -smp 2 -m 768
        ;;
    virt)
        architecture=arm64 platform=aarch64 console=ttyAMA0 device=/dev/vda modules="virtio_pci virtio_blk $network"
        set -- qemu-system-aarch64 -M virt -cpu cortex-a53 -smp 2 -m 768
        ;;
    raspi3b)
        # Memory and cores are the board's. The first serial line is Bluetooth's.
        architecture=arm64 platform=aarch64 console=ttyS1,115200 device=/dev/mmcblk0 modules='bcm2835 sdhci_iproc mmc_block'
        set -- qemu-system-aarch64 -M raspi3b -serial null
        set -- "$@" -dtb "$(find "$vm/kernel/arm64" -name bcm2837-rpi-3-b.dtb)"
        ;;
    *) fail "no machine is called $machine" ;;
    esac
    emulator=$*
    kernel=$vm/kernel/$architecture
    programs $platform
}

# programs ARCHITECTURE: what it runs, `binary` and `workload`.
programs() {
    built=$here/target/dist/$1-unknown-linux-musl/release
    binary=${HOLDFAST_BINARY:-$built/holdfast}
    workload=${HOLDFAST_WORKLOAD:-$built/workload}
    for program in "$binary" "$workload"; do
        [ -f "$program" ] || fail "no $program: build/musl.sh $1-unknown-linux-musl"
    done
}

# busybox, the modules, the binary, the stories, profiles of AppArmor, a policy of SELinux.
initramfs() {
    root=$place/initramfs
    rm -rf "$root"
    mkdir -p "$root/bin" "$root/modules" "$root/apparmor"
    for profile in "$here/apparmor/holdfast-default" "$here/tests/vm/deny-etc"; do
        apparmor_parser -o "$root/apparmor/${profile##*/}" "$profile"
    done
    awk '/^CATEGORIES/ { for (i = 0; i < 1024; i++) print "category c" i ";"; next } { print }' \
        "$here/tests/vm/containers.te" >"$place/containers.te"
    checkpolicy -M -U allow -c 33 -o "$root/containers.policy" "$place/containers.te" >"$place/checkpolicy" 2>&1 ||
        fail "$(cat "$place/checkpolicy")"
    cp "$vm/busybox/$architecture" "$root/bin/busybox"
    cp "$binary" "$root/bin/holdfast"
    cp "$here"/tests/vm/init "$here"/tests/vm/stories.sh "$here"/tests/vm/world.sh "$here"/tests/vm/cuts.sh \
        "$here/sysv/holdfast" "$root/"
    # shellcheck disable=SC2086 # a list
    pack $modules ext4 overlay
}

# pack MODULE...: makes the initramfs out of `root`, with the modules numbered in the order to load them.
pack() {
    release=$(ls "$kernel/lib/modules")
    number=100
    for module in "$@"; do
        modprobe -d "$kernel" -S "$release" --show-depends "$module"
    done | sed -n 's/^insmod \([^ ]*\).*/\1/p' | awk '!seen[$0]++' | while read -r module; do
        number=$((number + 1))
        cp "$module" "$root/modules/$number.ko"
    done
    (cd "$root" && find . | cpio --quiet -o -H newc | gzip -1) >"$place/initramfs.gz"
    rm -rf "$root"
}

# archive NAME [MIB]: the tests' workload as an image archive, made by other people's tools, with so much noise below it.
archive() {
    tools=$("$here/tests/debian.sh")
    rm -rf "$place/layout" "$place/$1.tar"
    "$tools/umoci" init --layout "$place/layout"
    "$tools/umoci" new --image "$place/layout:1"
    if [ $# = 2 ]; then
        head -c "$2M" /dev/urandom >"$place/noise"
        "$tools/umoci" insert --image "$place/layout:1" "$place/noise" /noise
        rm "$place/noise"
    fi
    "$tools/umoci" insert --image "$place/layout:1" "$workload" /workload
    "$tools/umoci" config --image "$place/layout:1" --architecture "$architecture" --config.label "name=$1"
    "$tools/skopeo" --insecure-policy copy --quiet "oci:$place/layout:1" \
        "docker-archive:$place/$1.tar:holdfast.test/$1:1"
    rm -rf "$place/layout"
}

# What outlives a boot: at first the archive, and what lies in `files`. An SD card's size is a power of two.
disk() {
    archive workload
    rm -f "$place/disk"
    mkdir -p "$place/files/k3s/agent/images"
    mv "$place/workload.tar" "$place/files/k3s/agent/images/"
    mkfs.ext4 -q -d "$place/files" "$place/disk" 512M >/dev/null
    rm -rf "$place/files"
}

# start BOOT CLOCK WORDS: the words are for the kernel. HOLDFAST_DRIVE is another way to the disk.
start() {
    drive=file=${HOLDFAST_DRIVE:-$place/disk},format=raw
    # A second of the machine is so many instructions, whatever else this machine does: figures that can be compared.
    icount=
    case $1 in board) icount='-icount shift=0' ;; esac
    case $machine in
    raspi3b) drive=$drive,if=sd ;;
    *) drive=$drive,if=virtio ;;
    esac
    # Here and not by the emulator's process, which may come to it after somebody has read what an earlier boot said.
    : >"$place/$1.console"
    # shellcheck disable=SC2086 # a list
    $emulator -accel tcg $icount -nographic -no-reboot -nic none -rtc base="$2" -drive "$drive" -serial mon:stdio \
        -kernel "$kernel"/boot/vmlinuz-* -initrd "$place/initramfs.gz" \
        -append "console=$console panic=-1 quiet loglevel=1 data=$device boot=$1 $3" \
        </dev/null >"$place/$1.console" 2>&1 &
    qemu=$!
}

# comes BOOT PATTERN SECONDS: whether such a line of the console does.
comes() {
    deadline=$(($(date +%s) + $3))
    until grep -q "$2" "$place/$1.console"; do
        kill -0 $qemu 2>/dev/null || fail "QEMU ended by itself: $place/$1.console"
        [ "$(date +%s)" -lt $deadline ] || return 1
        sleep 0.1
    done
}

# wait_for BOOT PATTERN SECONDS: a line of the console.
wait_for() {
    comes "$@" || {
        tail -n 40 "$place/$1.console" >&2
        fail "no line \"$2\" after $3 s: $place/$1.console"
    }
}

# Not every board can turn itself off. What the machine wrote to its disk is the file's by then.
stop() {
    [ -n "$qemu" ] || return 0
    kill -9 $qemu 2>/dev/null || true
    wait $qemu 2>/dev/null || true
    qemu=
}
