#!/bin/sh
# Fuzzing without cargo-fuzz and without a nightly Rust: libFuzzer of crates.io, and the coverage that LLVM puts into what
# it compiles. Each target runs for HOLDFAST_FUZZ seconds, 60 unless it is said; what was learnt stays below target/fuzz.
#
#   fuzz/run.sh [TARGET...]    reference, manifest, index, config, tar, registries
#
# Needs root, for the owners of files that the target `tar` unpacks, and a C++ compiler for libFuzzer itself. A crash ends
# it, and is told with the file that brings it about. `cargo fuzz run --sanitizer none TARGET` does the same.
set -eu

cd "$(dirname "$0")/.."
[ $# -gt 0 ] || set -- reference manifest index config tar registries
command -v c++ >/dev/null || { echo 'fuzz/run.sh: no C++ compiler: apt-get install g++' >&2; exit 1; }
triple=$(rustc -vV | sed -n 's/^host: //p')

# What cargo-fuzz says, too. In the environment, since that takes the place of .cargo/config.toml's flags: libFuzzer is not
# for static programs.
flags='--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4'
flags="$flags -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table"
RUSTFLAGS="$flags -Cllvm-args=-sanitizer-coverage-trace-compares" \
    cargo build --locked --release --bins --manifest-path fuzz/Cargo.toml --target "$triple" --target-dir target/fuzz

# Where layers are unpacked: in memory, thousands of times a second.
scratch=$(mktemp -d /dev/shm/holdfast-fuzz-XXXXXX)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 1' INT TERM
export TMPDIR="$scratch"

for target; do
    mkdir -p "target/fuzz/corpus/$target" "target/fuzz/crashes/$target"
    echo "fuzz/run.sh: $target, for ${HOLDFAST_FUZZ-60} s"
    "target/fuzz/$triple/release/$target" -max_total_time="${HOLDFAST_FUZZ-60}" -timeout=10 -rss_limit_mb=512 \
        -malloc_limit_mb=64 -max_len=16384 -print_final_stats=1 -verbosity=0 \
        -artifact_prefix="target/fuzz/crashes/$target/" "target/fuzz/corpus/$target" "fuzz/corpus/$target" ||
        { echo "fuzz/run.sh: $target: the input is in target/fuzz/crashes/$target; put it into fuzz/corpus/$target with its mending" >&2; exit 1; }
done
