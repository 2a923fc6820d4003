#!/bin/sh
# A Rust that makes static musl programs, below target/toolchain: Debian's compilers, linker and C library, unpacked, not
# installed, and a standard library built once from Debian's sources for programs that abort. Debian has no such library
# compiled, and rustup's comes from a server of its own. A second run needs no network and does nothing.
#
#   build/toolchain.sh TARGET...    aarch64-unknown-linux-musl, x86_64-unknown-linux-musl
#
# Prints the folder. In it: bin/{cargo,rustc,ld.lld}, whose rustc has each target where rustup would put it, so that builds
# are ordinary ones; bin/TARGET-cc, for the C of ring; bin/qemu-ARCHITECTURE-static; versions, what of it is linked into every program.
# Needs apt with Debian 12 behind it, on x86-64 or ARM64, and a C compiler (Debian's rustc links build scripts with it).
# HOLDFAST_TOOLCHAIN is another folder.
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
toolchain=${HOLDFAST_TOOLCHAIN:-$here/target/toolchain}
root=$toolchain/root
sources=$root/usr/lib/rustlib/src/rust
packages='rustc-web cargo-web rust-web-src lld-22 clang-22'

fail() {
    echo "build/toolchain.sh: $*" >&2
    exit 1
}

# apt with lists of its own, which know the packages of both architectures; of this machine it reads what is installed.
apt() {
    program=$1
    shift
    "$program" -qq -o Dir::State="$toolchain/apt" -o Dir::State::status=/var/lib/dpkg/status \
        -o Dir::Cache="$toolchain/apt" -o APT::Sandbox::User=root -o Acquire::Languages=none \
        -o APT::Architectures::="$(dpkg --print-architecture)" -o APT::Architectures::=amd64 \
        -o APT::Architectures::=arm64 "$@"
}

# download FOLDER PACKAGE...
download() {
    mkdir -p "$1"
    (cd "$1" && shift && apt apt-get download "$@" >&2) || fail "cannot download $*"
}

# What the machine lacks of compiler, cargo and linker, and what each target's programs begin and end with.
fetch() {
    command -v cc >/dev/null || fail 'no C compiler: apt-get install gcc libc6-dev'
    rm -rf "$toolchain"
    mkdir -p "$toolchain/apt/lists/partial" "$toolchain/apt/archives/partial" "$toolchain/bin" "$root"
    apt apt-get update >&2
    # shellcheck disable=SC2086 # a list
    apt apt-get install --yes --download-only --no-install-recommends --reinstall $packages >&2 ||
        fail "cannot download $packages"
    for package in "$toolchain"/apt/archives/*.deb; do
        dpkg-deb --fsys-tarfile "$package" | tar -x -C "$root" --no-wildcards-match-slash --exclude=./usr/share \
            --exclude='./usr/src/rustc-*/compiler' --exclude='./usr/src/rustc-*/src' --exclude='./usr/src/rustc-*/debian'
    done
    for architecture in amd64 arm64; do
        download "$toolchain/$architecture" "musl-dev:$architecture" "libgcc-12-dev:$architecture"
        for package in "$toolchain/$architecture"/*.deb; do
            dpkg -x "$package" "$toolchain/$architecture"
        done
    done
    for name in rust-web-src musl-dev; do
        echo "$name $(apt apt-cache show --no-all-versions "$name" | sed -n 's/^Version: //p')"
    done >"$toolchain/versions"
    download "$toolchain/qemu" qemu-user-static
    dpkg-deb --fsys-tarfile "$toolchain"/qemu/*.deb | tar -x -C "$toolchain" --strip-components=3 \
        ./usr/bin/qemu-aarch64-static ./usr/bin/qemu-x86_64-static
    mv "$toolchain"/qemu-*-static "$toolchain/bin/"
    rm -r "$toolchain/apt" "$toolchain/qemu"
}

# Debian's programs with the libraries they came with. rustc leaves out where things lie, so that two machines get the same
# bytes: here and not in RUSTFLAGS, of which cargo makes a part of every symbol's name. The sources have two names, since
# one of them is a link.
wrap() {
    libraries=$(find "$root/usr/lib" -name 'libLLVM*.so.*' -printf '%h\n' | head -n 1)
    for tool in cargo rustc ld.lld clang; do
        program=$(find "$root/usr/bin" -name "$tool" -o -name "$tool-[0-9]*" | head -n 1)
        [ -n "$program" ] || fail "no $tool in the packages"
        last=
        [ "$tool" != rustc ] ||
            last="--remap-path-prefix='$sources'=rust --remap-path-prefix='$(realpath "$sources")'=rust \$HOLDFAST_REMAP"
        printf '#!/bin/sh\nexport LD_LIBRARY_PATH=%s\nexec %s "$@" %s\n' "'$libraries'" "'$program'" "$last" \
            >"$toolchain/bin/$tool"
        chmod +x "$toolchain/bin/$tool"
        "$toolchain/bin/$tool" --version >/dev/null || fail "$tool does not run"
    done
}

# A C compiler for the target $1, with Debian's musl for $2. Without debug information, which has folders in it: ring asks
# for it, and what is said last counts.
c_compiler() {
    headers=$(dirname "$(find "$toolchain/$2" -path '*-musl/stdint.h')")
    printf '#!/bin/sh\nexec %s --target=%s -nostdlibinc -isystem %s "$@" -g0\n' "'$toolchain/bin/clang'" "$1" "'$headers'" \
        >"$toolchain/bin/$1-cc"
    chmod +x "$toolchain/bin/$1-cc"
    echo 'int main(void) { return 0; }' | "$toolchain/bin/$1-cc" -x c -c -o /dev/null - || fail "$1-cc does not run"
}

# The standard library, from the sources and crates that Debian has in one package. Nothing unwinds, so there are no tables.
library() {
    seed=$toolchain/seed
    rm -rf "$seed"
    mkdir -p "$seed/src"
    printf '[package]\nname = "seed"\nedition = "2024"\n[profile.release]\npanic = "abort"\n[workspace]\n' >"$seed/Cargo.toml"
    echo '#![no_std]' >"$seed/src/lib.rs"
    (
        cd "$seed"
        # Flags of the caller's would be another library.
        env -i PATH="$PATH" HOME="$HOME" CARGO_BUILD_JOBS="${CARGO_BUILD_JOBS-$(nproc)}" CARGO_HOME="$seed/home" \
            RUSTC="$toolchain/bin/rustc" RUSTC_BOOTSTRAP=1 \
            RUSTFLAGS='-Cembed-bitcode=yes -Cforce-unwind-tables=no -Cpanic=abort' \
            "$toolchain/bin/cargo" build --quiet --offline --release --target "$1" \
            -Zbuild-std=std,panic_abort -Zbuild-std-features= \
            --config 'source.crates-io.replace-with = "debian"' \
            --config "source.debian.directory = '$(realpath "$sources/library/vendor")'" >&2
    ) || fail "cannot build the standard library for $1"
    rm "$seed/target/$1/release/deps/"libseed-*
    cp "$seed/target/$1/release/deps/"*.rlib "$2"
    rm -r "$seed"
}

# Before and after the program: Debian's musl and gcc, and build/unwind.rs for a libunwind.
frame() {
    mkdir "$2/self-contained"
    musl=$(dirname "$(find "$toolchain/$3" -path '*-musl/crt1.o')")
    gcc=$(dirname "$(find "$toolchain/$3" -name crtbegin.o)")
    cp "$musl/crt1.o" "$musl/crti.o" "$musl/crtn.o" "$musl/libc.a" "$gcc/crtbegin.o" "$gcc/crtend.o" "$2/self-contained/"
    "$toolchain/bin/rustc" --edition 2024 --crate-name unwind --crate-type rlib --target "$1" -Copt-level=s \
        -Cpanic=abort -Cforce-unwind-tables=no -o "$2/self-contained/libunwind.a" "$here/build/unwind.rs"
}

[ $# -gt 0 ] || fail 'which target? aarch64-unknown-linux-musl, x86_64-unknown-linux-musl'
mkdir -p "$(dirname "$toolchain")"
exec 9>"$toolchain.lock"
flock 9
recipe=$(cat "$0" "$here/build/unwind.rs" | cksum)
if [ "$(cat "$toolchain/ready" 2>/dev/null)" != "$recipe" ]; then
    echo 'build/toolchain.sh: fetching compilers (180 MB, 640 MB unpacked below target/)' >&2
    fetch
    wrap
    echo "$recipe" >"$toolchain/ready"
fi
for target; do
    case $target in
    aarch64-unknown-linux-musl) architecture=arm64 ;;
    x86_64-unknown-linux-musl) architecture=amd64 ;;
    *) fail "$target: only aarch64-unknown-linux-musl and x86_64-unknown-linux-musl are known" ;;
    esac
    folder=$root/usr/lib/rustlib/$target/lib
    if [ ! -e "$folder/ready" ]; then
        echo "build/toolchain.sh: building the standard library for $target, once" >&2
        rm -rf "$folder"
        mkdir -p "$folder"
        library "$target" "$folder"
        frame "$target" "$folder" "$architecture"
        c_compiler "$target" "$architecture"
        touch "$folder/ready"
    fi
done
echo "$toolchain"
