#!/usr/bin/env bash
# The crate as it is published: cargo makes it of what is committed and builds what is in it; it is small, has what it
# needs, and nothing that belongs to the repository alone.
set -euo pipefail
cd "$(dirname "$0")/.."
bytes_max=$((1024 * 1024))
file_bytes_max=$((128 * 1024))

changed="$(git status --porcelain)"
if [[ -n $changed ]]; then
  printf 'a crate is made of what is committed, and this is not:\n%s\n' "$changed"
  exit 1
fi
# With the target folder of the tests: of a debug build's dependencies none is built twice.
log=target/crate.log
mkdir -p target
cargo package --locked 2>&1 | tee "$log"

failed=0
wrong() {
  echo "NOT SO: $*"
  failed=1
}
crate="$(find "${CARGO_TARGET_DIR:-target}/package" -maxdepth 1 -name 'heartbeat-runtime-*.crate' -printf '%T@ %p\n' | sort -n | tail -n 1 | cut -d' ' -f2-)"
bytes="$(stat --format=%s "$crate")"
((bytes < bytes_max)) || wrong "the crate is smaller than 1 MiB: $bytes bytes"

files="$(cargo package --locked --list)"
for needed in Cargo.lock README.md CHANGELOG.md ARCHITECTURE.md SECURITY.md LICENSE-MIT LICENSE-APACHE build.rs unwind.ld \
  schema.sql packaging/heartbeatd.service src/lib.rs src/main.rs docs/systemd.md; do
  grep -qxF "$needed" <<<"$files" || wrong "it has $needed"
done
if others="$(grep -E '^(\.ci|examples|fuzz|target|tests)/|\.(deb|db|png|sh)$' <<<"$files")"; then
  wrong "it has nothing of the repository alone: $others"
fi
while read -r file; do
  if [[ -f $file ]] && (($(stat --format=%s "$file") > file_bytes_max)); then wrong "it has no large file: $file"; fi
done <<<"$files"
if grep -q 'warning: ' "$log" && grep 'warning: ' "$log" | grep -v 'ignoring \|has no documentation, homepage or repository'; then
  wrong 'cargo warns of nothing else'
fi
echo "$crate: $bytes bytes, $(wc -l <<<"$files") files"
exit "$failed"
