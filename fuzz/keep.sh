#!/usr/bin/env bash
# keep.sh [TARGET...]: puts what the runs of .ci/fuzz.sh found, as far as it reaches what the committed corpus does not, into
# that corpus, with as few inputs as reach it all; a line reached more often is nothing new. What is committed stays. Says
# how large each corpus is then.
set -euo pipefail
cd "$(dirname "$0")/.."
found="${FUZZ_FOUND:-$PWD/target/fuzz-corpus}"

if cargo +nightly --version >/dev/null 2>&1; then
  fuzz=(cargo +nightly fuzz)
else
  export RUSTC_BOOTSTRAP=1
  fuzz=(cargo fuzz)
fi
targets=("$@")
if ((${#targets[@]} == 0)); then mapfile -t targets < <("${fuzz[@]}" list); fi

for target in "${targets[@]}"; do
  [[ -d $found/$target ]] || continue
  corpus="$PWD/fuzz/corpus/$target"
  "${fuzz[@]}" run "$target" "$corpus" "$found/$target" -- -set_cover_merge=1 -use_counters=0 >"$found/$target.keep.log" 2>&1
  # A name of 40 letters is what git ignores, as any other run's finds have one too.
  for input in "$corpus"/????????????????????????????????????????; do
    if [[ -e $input ]]; then mv "$input" "${input:0:-28}"; fi
  done
  printf '%5s files  %7s bytes  %s\n' "$(find "$corpus" -type f | wc -l)" "$(du -sb --apparent-size "$corpus" | cut -f1)" "$target"
done
