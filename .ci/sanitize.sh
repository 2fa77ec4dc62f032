#!/usr/bin/env bash
# The tests that run SQLite, sockets and processes, under AddressSanitizer: Rust's code, the daemon that they start, and
# SQLite's C. LeakSanitizer looks at each test binary when it ends.
#
# Left out: what measures or limits memory or time (the sanitizer takes several times as much), what other tests of the list run
# through as well (the command line, pages, faults by other programs), and leaks of the daemon itself, which forbids to be
# traced (.ci/valgrind.sh looks for those).
set -euo pipefail
cd "$(dirname "$0")/.."

# The sanitizer needs nightly's flags. Where there is no nightly the stable compiler takes them by this variable.
cargo=(cargo +nightly)
if ! cargo +nightly --version >/dev/null 2>&1; then
  echo 'no nightly toolchain: RUSTC_BOOTSTRAP=1 on the toolchain in use'
  export RUSTC_BOOTSTRAP=1
  cargo=(cargo)
fi
host="$(rustc -vV | sed -n 's/^host: //p')"
export RUSTFLAGS='-Zsanitizer=address'
# In place of the CFLAGS of .cargo/config.toml, which are about size.
export CFLAGS='-fsanitize=address -fno-omit-frame-pointer -g'
# For the test binaries: the daemon's environment is empty.
export ASAN_OPTIONS='detect_stack_use_after_return=1:strict_string_checks=1'

tests=(again agents alerts backup children control database exactly_once exec feeding http http_sink http_source kill
  leftovers metrics opening pipelines pipeline_kill refusals reload retention schedule secrets shutdown simulation
  stale_events status_live status_pages waiting)
if (($# > 0)); then tests=("$@"); fi
chosen=(--lib)
for test in "${tests[@]}"; do chosen+=(--test "$test"); done
"${cargo[@]}" test --target "$host" --target-dir "${CARGO_TARGET_DIR:-target}/sanitize" --no-fail-fast "${chosen[@]}" -- \
  --skip wants_all_memory --skip a_caller_that_does_not_read_its_answers --skip less_than_two_mebibytes \
  --skip in_little_memory --skip takes_bounded_memory --skip a_flood_leaves_its_tail
