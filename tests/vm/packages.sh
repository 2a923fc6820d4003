#!/bin/sh
# What the machines are made of: QEMU, kernels, busybox and the compilers of AppArmor and SELinux out of Debian's packages, the ARM ones too, unpacked below
# target/vm. apt works in a state of its own there: nothing is installed, the machine's dpkg hears of nothing, a second run
# needs no network. Needs apt with Debian 12 or newer behind it.
#
#   target/vm/bin/{qemu-system-x86_64,qemu-system-aarch64,cpio,depmod,modprobe,apparmor_parser,checkpolicy}
#                                                                                   run with the libraries they came with
#   target/vm/kernel/{amd64,arm64}                                                  unpacked kernel packages
#   target/vm/busybox/{amd64,arm64}                                                 one static file each
#
# Prints target/vm.
set -eu

here=$(cd "$(dirname "$0")/../.." && pwd)
vm=${HOLDFAST_VM:-$here/target/vm}
tools='qemu-system-x86_64 qemu-system-aarch64 cpio depmod modprobe apparmor_parser checkpolicy'

fail() {
    echo "tests/vm/packages.sh: $*" >&2
    exit 1
}

# apt of another world: its own lists, nothing installed, both architectures.
apt() {
    program=$1
    shift
    "$program" -qq -o Dir::State="$vm/apt/state" -o Dir::State::status="$vm/apt/status" -o Dir::Cache="$vm/apt/cache" \
        -o APT::Architectures::="$machine" -o APT::Architectures::=amd64 -o APT::Architectures::=arm64 \
        -o APT::Sandbox::User=root -o Acquire::Languages=none "$@"
}

# With all they link, the C library included: whatever this machine has does not matter.
tools() {
    apt apt-get --download-only --no-install-recommends -y install qemu-system-x86 qemu-system-arm cpio kmod apparmor checkpolicy >&2
    for package in "$vm"/apt/cache/archives/*.deb; do
        dpkg -x "$package" "$vm/root"
    done
    loader=$(find "$vm/root" -name 'ld-linux-*.so.[12]' -type f | head -n 1)
    [ -n "$loader" ] || loader=$(find "$vm/root" -name 'ld-linux-*.so.[12]' | head -n 1)
    libraries=$(find "$vm/root" -path '*lib/*-linux-gnu*/*.so.*' -printf '%h:\n' | sort -u | tr -d '\n')
    modules=$(find "$vm/root/usr/lib" -path '*/qemu/accel-tcg-x86_64.so' -printf %h)
    mkdir -p "$vm/bin"
    for tool in $tools; do
        more=
        last=
        case $tool in
        # Links to one program, to which its name says what it is to do.
        depmod | modprobe) name=kmod more="--argv0 $tool" ;;
        # It compiles for Debian's kernels; nothing is loaded or remembered here.
        apparmor_parser)
            name=$tool
            last="-KQ -b '$vm/root/etc/apparmor.d' -M '$vm/root/usr/share/apparmor-features/features' --config-file /dev/null"
            ;;
        qemu-*) name=$tool last="-L '$vm/root/usr/share/qemu' -L '$vm/root/usr/share/seabios'" ;;
        *) name=$tool ;;
        esac
        program=$(find "$vm/root" -path "*bin/$name" -type f | head -n 1)
        [ -n "$program" ] || fail "no $tool in the packages"
        printf '#!/bin/sh\nexport QEMU_MODULE_DIR=%s\nexec %s --library-path %s %s %s %s "$@"\n' \
            "'$modules'" "'$loader'" "'$libraries'" "$more" "'$program'" "$last" >"$vm/bin/$tool"
        chmod +x "$vm/bin/$tool"
        "$vm/bin/$tool" --version >/dev/null || fail "$tool does not run"
    done
}

# kernel ARCHITECTURE PACKAGE: the package depends on that of the newest version.
kernel() {
    package=$(apt apt-cache depends "$2:$1" | sed -n 's/^ *Depends: \(linux-image-.*\)/\1/p' | head -n 1)
    [ -n "$package" ] || fail "no $2 in the package lists"
    mkdir -p "$vm/packages" "$vm/kernel/$1" "$vm/busybox"
    rm -f "$vm"/packages/*
    (cd "$vm/packages" && apt apt-get download "${package%:*}:$1" "busybox-static:$1" >&2)
    # Without what no machine here has, which is most of it.
    dpkg-deb --fsys-tarfile "$vm"/packages/linux-image-*.deb | tar -x -C "$vm/kernel/$1" \
        --exclude='*/kernel/sound' --exclude='*/drivers/gpu' --exclude='*/drivers/media' --exclude='*/drivers/net/[a-uw-z]*'
    dpkg-deb --fsys-tarfile "$vm"/packages/busybox-static_*.deb | tar -xO ./bin/busybox >"$vm/busybox/$1"
    chmod +x "$vm/busybox/$1"
    rm -r "$vm/packages"
    "$vm/bin/depmod" -b "$vm/kernel/$1" "$(ls "$vm/kernel/$1/lib/modules")"
}

mkdir -p "$vm"
exec 9>"$vm/lock"
flock 9
if [ "$(cat "$vm/ready" 2>/dev/null)" != "$(cksum <"$0")" ]; then
    echo 'tests/vm/packages.sh: fetching QEMU and kernels (450 MB unpacked below target/vm)' >&2
    machine=$(dpkg --print-architecture)
    rm -rf "$vm/apt" "$vm/root" "$vm/bin" "$vm/kernel" "$vm/busybox"
    mkdir -p "$vm/apt/state/lists/partial" "$vm/apt/cache/archives/partial" "$vm/root"
    : >"$vm/apt/status"
    apt apt-get update >&2
    tools
    # That for virtual machines is small, and knows nothing of a Raspberry Pi.
    kernel amd64 linux-image-cloud-amd64
    kernel arm64 linux-image-arm64
    rm -rf "$vm/apt"
    cksum <"$0" >"$vm/ready"
fi
exec 9>&-
echo "$vm"
