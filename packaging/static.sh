#!/usr/bin/env bash
# Builds a release with musl in place of glibc: one file that needs no library and runs on any Linux of this machine's
# processor. Shows that it is so, and runs its demo.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=.ci/packages.sh
source .ci/packages.sh
# shellcheck source=packaging/release.sh
source packaging/release.sh
# shellcheck source=tests/packages/told.sh
source tests/packages/told.sh
need musl-gcc musl-tools
install_packages

triple="$(uname -m)-unknown-linux-musl"
rustup target list --installed | grep -qx "$triple" || rustup target add "$triple"
# The C compiler for SQLite, as the crate `cc` wants to be told it.
export "CC_${triple//-/_}=musl-gcc"
build_release "$triple"
binary="$release_binary"

segments="$(readelf --wide --program-headers "$binary")"
dynamic="$(readelf --wide --dynamic "$binary")"
holds 'it needs no loader' fails grep -q 'INTERP' <<<"$segments"
holds 'it needs no library' fails grep -q 'NEEDED' <<<"$dynamic"
holds 'it may be loaded anywhere (PIE)' grep -q 'DYN' <(readelf --file-header "$binary")
holds 'the stack is not executable (NX)' grep -Eq 'GNU_STACK.* RW ' <<<"$segments"
holds 'it names no folder of this machine' fails grep -Faq -e "$PWD" -e "$HOME/." "$binary"
holds 'its demo comes true' "$binary" demo
echo "$binary: $(stat --format=%s "$binary") bytes"
exit "$failed"
