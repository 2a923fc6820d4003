#!/bin/sh
# Whether dist/ is made of nothing but the sources: they are built a second time, in another folder, with a toolchain and
# crates that are fetched anew, and the checksums made there must be those of dist/.
#
#   build/dist-check.sh [TARGET...]    after build/dist.sh; everything without. TMPDIR needs 2 GB.
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
cd "$here"
[ -f dist/SHA256SUMS ] || { echo 'build/dist-check.sh: nothing to compare with: make dist' >&2; exit 1; }
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
trap 'exit 1' INT TERM
mkdir "$place/elsewhere" "$place/home"
tar -c --exclude=./target --exclude=./dist --exclude=./.git . | tar -x -C "$place/elsewhere"
# How the crates are reached may stand there.
[ ! -f "${CARGO_HOME:-$HOME/.cargo}/config.toml" ] || cp "${CARGO_HOME:-$HOME/.cargo}/config.toml" "$place/home/"
env -u HOLDFAST_TOOLCHAIN CARGO_HOME="$place/home" LC_ALL=C TZ=Asia/Tokyo "$place/elsewhere/build/dist.sh" "$@"
cd dist
sha256sum -c "$place/elsewhere/dist/SHA256SUMS"
