#!/bin/sh
# Static programs by the Rust of toolchain.sh: target/dist/TARGET/release/holdfast, and workload beside it, which the virtual
# machines run. The same sources and the same Debian packages make the same bytes, wherever they lie.
#
#   build/musl.sh TARGET...    aarch64-unknown-linux-musl, x86_64-unknown-linux-musl
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
cd "$here"
toolchain=$(build/toolchain.sh "$@")
home=${CARGO_HOME:-$HOME/.cargo}

# Flags and profiles of the caller's would be other bytes: only folders come in from outside.
build() {
    env -i PATH="$PATH" HOME="$HOME" CARGO_HOME="$home" CARGO_BUILD_JOBS="${CARGO_BUILD_JOBS-$(nproc)}" \
        RUSTC="$toolchain/bin/rustc" HOLDFAST_REMAP="$remap" \
        RUSTFLAGS='-Crelocation-model=static -Cforce-unwind-tables=no' \
        CARGO_TARGET_AARCH64_UNKNOWN_LINUX_MUSL_LINKER="$toolchain/bin/ld.lld" \
        CARGO_TARGET_X86_64_UNKNOWN_LINUX_MUSL_LINKER="$toolchain/bin/ld.lld" \
        CC_aarch64_unknown_linux_musl="$toolchain/bin/aarch64-unknown-linux-musl-cc" \
        CC_x86_64_unknown_linux_musl="$toolchain/bin/x86_64-unknown-linux-musl-cc" \
        AR_aarch64_unknown_linux_musl=ar AR_x86_64_unknown_linux_musl=ar \
        "$toolchain/bin/cargo" build --frozen --release --target-dir target/dist "$@"
}

# With the caller's environment, where a proxy may stand.
for target; do
    RUSTC="$toolchain/bin/rustc" "$toolchain/bin/cargo" fetch --quiet --locked --target "$target"
done
# Panics name `src/pod/run.rs` and `smol-2.0.2/src/lib.rs`, not the folders of this machine.
remap="--remap-path-prefix=$here/="
for registry in "$home"/registry/src/*/; do
    remap="$remap --remap-path-prefix=$registry="
done
# cargo cannot see another standard library behind the same compiler, nor other folders to leave out.
made=$(cat "$toolchain/ready" "$toolchain/versions"; echo "$remap")
if [ "$(cat target/dist/made 2>/dev/null)" != "$made" ]; then
    rm -rf target/dist
    mkdir -p target/dist
    echo "$made" >target/dist/made
fi
targets=
for target; do
    targets="$targets --target $target"
done
# All targets at a time: the last step of each keeps one core only.
# shellcheck disable=SC2086 # lists
build $targets --bin holdfast
# shellcheck disable=SC2086 # lists
build $targets --package workload
