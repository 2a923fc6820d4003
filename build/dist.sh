#!/bin/sh
# What is given to others, into dist/: holdfast-TARGET, one static program for each kind of machine; holdfast-TARGET.cdx.json,
# what is in it (CycloneDX); SHA256SUMS. Everything that is promised of a program is checked before it gets there.
#
#   build/dist.sh                                  both kinds
#   build/dist.sh aarch64-unknown-linux-musl       one of them
#
# Needs what toolchain.sh needs, binutils and Python 3.
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
cd "$here"
[ $# -gt 0 ] || set -- aarch64-unknown-linux-musl x86_64-unknown-linux-musl
toolchain=$(build/toolchain.sh "$@")
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
# The promise of tests/budget.rs.
limit=8000000

fail() {
    echo "build/dist.sh: $*" >&2
    exit 1
}

# check FILE TARGET
check() {
    what=$(readelf -hlSW "$1") || fail "$1: readelf cannot read it"
    echo "$what" | grep -q -E '^ +Type: +EXEC ' || fail "$1 is no program at a fixed address"
    for wrong in INTERP DYNAMIC .symtab .debug; do
        ! echo "$what" | grep -q -F -e "$wrong" || fail "$1 has $wrong: it is not static and stripped"
    done
    size=$(stat -c %s "$1")
    [ "$size" -le "$limit" ] || fail "$1 has $size bytes, $limit allowed"
    for folder in "$here" "$toolchain" "${CARGO_HOME:-$HOME/.cargo}"; do
        ! grep -q -a -F -e "$folder/" "$1" || fail "$1 names $folder"
    done
    # The emulator even on a machine of that kind: it must not matter what the kernel here can do.
    emulator=$toolchain/bin/qemu-${2%%-*}-static
    said=$("$emulator" "$1" --version) || fail "$1 --version does not run"
    [ "$said" = "holdfast $version" ] || fail "$1 --version says $said"
    said=$("$emulator" "$1" check examples 2>&1) || fail "$1 check examples says $said"
    echo "$1: $size bytes"
}

build/musl.sh "$@"
rm -rf dist target/dist/new
mkdir target/dist/new
for target; do
    file=target/dist/new/holdfast-$target
    cp "target/dist/$target/release/holdfast" "$file"
    check "$file" "$target"
    RUSTC="$toolchain/bin/rustc" "$toolchain/bin/cargo" metadata --quiet --locked --format-version 1 \
        --filter-platform "$target" >target/dist/metadata.json
    python3 build/sbom.py "$file" "$target" "$toolchain/versions" <target/dist/metadata.json >"$file.cdx.json"
done
(cd target/dist/new && sha256sum -- * >../sums && mv ../sums SHA256SUMS && cat SHA256SUMS)
mv target/dist/new dist
