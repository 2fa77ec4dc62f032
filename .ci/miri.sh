#!/usr/bin/env bash
# The unit tests of the modules that need no C and no sockets, under Miri: undefined behaviour in them or in the crates that they
# lean on (httparse, memchr, sha2, base64, jiff, toml, serde_json) fails it.
#
# Left out: what runs SQLite, sockets, processes or signals, which Miri cannot, also in modules that are named like one of these
# (.ci/sanitize.sh and .ci/valgrind.sh look there); tests that try a hundred thousand cases, bytes or minutes, and most of
# config, which take hours here and show nothing more.
set -euo pipefail
cd "$(dirname "$0")/.."
if ! cargo +nightly miri --version >/dev/null 2>&1; then
  rustup component add --toolchain nightly miri rust-src >/dev/null 2>&1 || true
fi
cargo +nightly miri --version 2>/dev/null || { echo 'SKIPPED: there is no Miri for the nightly toolchain here'; exit 0; }

modules=(http auth flow config::document config::size gate control words time sorted limits)
if (($# > 0)); then modules=("$@"); fi
# Files of the repository, such as the test vectors, are read.
export MIRIFLAGS=-Zmiri-disable-isolation
cargo +nightly miri test --lib --target-dir "${CARGO_TARGET_DIR:-target}/miri" -- "${modules[@]/%/::}" \
  --skip runtime:: --skip cli:: --skip sink:: --skip source:: \
  --skip random_rules_and_addresses --skip colliding_ids_are_kept_apart --skip deep_nesting_is_a_fault \
  --skip a_grid_is_what_one_gets_by_looking_at_a_clock --skip two_exchanges_over_one_connection --skip however_late_a_claim_is
