#!/usr/bin/env bash
# Builds a release as it is given to others, and shows how it is hardened: nothing of the machine that built it stands in it,
# and the loader and the kernel can protect it.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=packaging/release.sh
source packaging/release.sh
build_release ''
binary="$release_binary"
cargo_home="${CARGO_HOME:-$HOME/.cargo}"

failed=0
# holds WHAT COMMAND [ARGUMENT...]: COMMAND succeeds.
holds() {
  local what="$1"
  shift
  if "$@" >/dev/null; then
    echo "ok: $what"
  else
    echo "NOT SO: $what"
    failed=1
  fi
}

# shellcheck disable=SC2317 # called by holds
fails() { ! "$@"; }
file_header="$(readelf --wide --file-header "$binary")"
dynamic="$(readelf --wide --dynamic "$binary")"
segments="$(readelf --wide --program-headers "$binary")"
symbols="$(readelf --wide --dyn-syms "$binary")"

holds 'it may be loaded anywhere (PIE)' grep -q 'DYN' <<<"$file_header"
holds 'what the loader resolves is read-only from then on (RELRO)' grep -q 'GNU_RELRO' <<<"$segments"
holds 'all of it is resolved at the start (BIND_NOW)' grep -q 'BIND_NOW' <<<"$dynamic"
holds 'the stack is not executable (NX)' grep -Eq 'GNU_STACK.* RW ' <<<"$segments"
holds 'no segment is both writable and executable' fails grep -Eq 'LOAD.* RWE ' <<<"$segments"
holds 'its code is not changed while it is loaded' fails grep -q 'TEXTREL' <<<"$dynamic"
holds 'it looks for libraries where the system has them' fails grep -Eq 'RPATH|RUNPATH' <<<"$dynamic"
holds 'functions of SQLite notice an overrun of their stack' grep -q '__stack_chk_fail' <<<"$symbols"
holds 'it names no folder of this machine' fails grep -Faq -e "$PWD" -e "$cargo_home" -e "$HOME/." "$binary"

bytes="$(stat --format=%s "$binary")"
echo "heartbeatd: $bytes bytes; needs: $(grep -o '\[lib[^]]*\]' <<<"$dynamic" | tr '\n' ' ')"
holds 'it is smaller than 4 MiB' test "$bytes" -lt $((4 * 1024 * 1024))
exit "$failed"
