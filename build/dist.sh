#!/bin/sh
# What is given to others, into dist/: one static program for each machine, what is in it (CycloneDX), and checksums.
# The same sources and the same Debian packages make the same bytes, wherever they lie.
#
#   build/dist.sh                                  both machines
#   build/dist.sh aarch64-unknown-linux-musl       one of them
#
# HOLDFAST_EXAMPLES=workload adds what the virtual machines run, to target/dist/TARGET/release/examples.
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
cd "$here"
targets=${*:-aarch64-unknown-linux-musl x86_64-unknown-linux-musl}
# shellcheck disable=SC2086 # a list
toolchain=$(build/toolchain.sh $targets)
# The promise of tests/budget.rs.
limit=8000000

fail() {
    echo "build/dist.sh: $*" >&2
    exit 1
}

# Nothing but the caller's choice of folders comes in from outside: flags of theirs would be other bytes.
cargo() {
    env -u CARGO_BUILD_TARGET -u CARGO_ENCODED_RUSTFLAGS -u CARGO_INCREMENTAL RUSTC="$toolchain/bin/rustc" \
        RUSTFLAGS='-Crelocation-model=static -Cforce-unwind-tables=no' HOLDFAST_REMAP="$remap" \
        CARGO_TARGET_AARCH64_UNKNOWN_LINUX_MUSL_LINKER="$toolchain/bin/ld.lld" \
        CARGO_TARGET_X86_64_UNKNOWN_LINUX_MUSL_LINKER="$toolchain/bin/ld.lld" \
        "$toolchain/bin/cargo" "$@"
}

# Panics name `src/pod/run.rs` and `smol-2.0.2/src/lib.rs`, not the folders of this machine.
remap() {
    remap=
    for target in $targets; do
        cargo fetch --quiet --locked --target "$target"
    done
    remap="--remap-path-prefix=$here/="
    for registry in "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/; do
        remap="$remap --remap-path-prefix=$registry="
    done
}

# Both at a time: the last step of each keeps one core only.
build() {
    set -- --bin holdfast
    for target in $targets; do
        set -- "$@" --target "$target"
    done
    for example in ${HOLDFAST_EXAMPLES-}; do
        set -- "$@" --example "$example"
    done
    cargo build --locked --release --target-dir target/dist "$@"
}

# check FILE MACHINE: what is promised of it.
check() {
    what=$(readelf -hlSW "$1")
    for wrong in INTERP DYNAMIC .symtab .debug; do
        ! echo "$what" | grep -q -F -e "$wrong" || fail "$1 has $wrong: it is not static and stripped"
    done
    size=$(stat -c %s "$1")
    [ "$size" -le "$limit" ] || fail "$1 has $size bytes, $limit allowed"
    for folder in "$here" "$toolchain" "${CARGO_HOME:-$HOME/.cargo}"; do
        ! grep -q -a -F -e "$folder/" "$1" || fail "$1 names $folder"
    done
    # The emulator even on a machine of that kind: it must not matter what the kernel here can do.
    emulator=$toolchain/bin/qemu-$2-static
    "$emulator" "$1" --version | grep -q -x "holdfast $version" || fail "$1 --version"
    "$emulator" "$1" check examples >/dev/null || fail "$1 does not accept examples/"
    echo "$1: $size bytes"
}

remap
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
build
rm -rf dist
mkdir dist
for target in $targets; do
    machine=${target%%-*}
    file=dist/holdfast-$version-$machine
    cp "target/dist/$target/release/holdfast" "$file"
    check "$file" "$machine"
    cargo metadata --quiet --locked --format-version 1 --filter-platform "$target" |
        python3 build/sbom.py "$file" "$target" "$toolchain/versions" >"$file.cdx.json"
done
(cd dist && sha256sum -- * >SHA256SUMS && cat SHA256SUMS)
