#!/bin/sh
# Mutation testing of src/lifecycle: cargo-mutants changes one operator, condition or result after the other, and a story
# must fail. What none notices is listed, and is an error unless tests/mutants.harmless has it with the reason.
#
#   tests/mutants.sh [ARGUMENT...]    arguments of cargo-mutants: --shard 0/4, -F Facts::advance
#
# The whole program takes too long to be built six hundred times: the core and what it uses are copied into a crate of
# their own, target/mutants, and changed there. Quick stories are told first; the random ones see what those let through.
# One core, half an hour, no root. cargo-mutants is built below target/tools if there is none.
set -eu

cd "$(dirname "$0")/.."
here=$PWD
export PATH="$here/target/tools/bin:$PATH"
command -v cargo-mutants >/dev/null || cargo install --locked --root target/tools cargo-mutants@27.1.0

mkdir -p target/mutants
cd target/mutants
rm -rf src mutants.out mutants.out.old
mkdir -p src/api
cp -r "$here/src/spec" "$here/src/status" "$here/src/lifecycle" src/
cp "$here/src/api/node.rs" "$here/src/api/time.rs" src/api/
cp "$here/Cargo.lock" .
printf '#![allow(dead_code)]\npub mod api;\npub mod lifecycle;\npub mod spec;\npub mod status;\n' >src/lib.rs
printf 'mod node;\nmod time;\npub use node::Amounts;\npub use time::seconds;\n' >src/api/mod.rs
{
    sed -n '/^\[package\]/,/^edition/p' "$here/Cargo.toml"
    printf '[lib]\ndoctest = false\n[dependencies]\n'
    grep -E '^(serde|serde_json|sha2|jiff) = ' "$here/Cargo.toml"
    printf '[profile.dev]\ndebug = false\n'
} >Cargo.toml

# 2 is its code for changes that nobody noticed, 3 for tests that never ended, which is as good as noticed.
mutants() {
    cargo mutants --in-place "$@" || [ $? -eq 2 ] || [ $? -eq 3 ]
}
export CARGO_BUILD_JOBS=1
# A loop that never ends may fill the memory; each shell of Linux knows -v.
# shellcheck disable=SC3045
ulimit -v 6000000
mutants --timeout 20 -f 'src/lifecycle/*' "$@" -- --lib -- --skip every_kind:: --skip storm::
mutants --timeout 120 -f 'src/lifecycle/*' "$@" --iterate -- --lib

# Without the place in the file, which moves.
sed -E 's/:[0-9]+:[0-9]+:/:/' mutants.out/missed.txt | sort -u >missed
sed 's/ *#.*//' "$here/tests/mutants.harmless" | sort -u >harmless
comm -23 missed harmless >matters
[ ! -s matters ] || { echo 'no story notices:' >&2; cat matters >&2; exit 1; }
