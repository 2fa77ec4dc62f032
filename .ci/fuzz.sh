#!/usr/bin/env bash
# fuzz.sh SECONDS [TARGET...]: runs each fuzz target that long, or these, from the committed corpus and with its dictionary.
# New inputs go under target/, so that a run leaves the work tree as it was; a crash is kept in fuzz/artifacts and its
# path printed.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds="${1:?usage: fuzz.sh SECONDS [TARGET...]}"
shift

# The sanitizer needs nightly's flags. Where there is no nightly the stable compiler takes them by this variable.
if cargo +nightly --version >/dev/null 2>&1; then
  fuzz=(cargo +nightly fuzz)
else
  echo 'no nightly toolchain: fuzzing with RUSTC_BOOTSTRAP=1 on the toolchain in use'
  export RUSTC_BOOTSTRAP=1
  fuzz=(cargo fuzz)
fi

targets=("$@")
if ((${#targets[@]} == 0)); then mapfile -t targets < <("${fuzz[@]}" list); fi
((${#targets[@]} > 0))

executions=0
spent=0
for target in "${targets[@]}"; do
  found="$PWD/target/fuzz-corpus/$target"
  mkdir -p "$found"
  printf -- '--- fuzz target %s, %s s\n' "$target" "$seconds"
  arguments=(-max_total_time="$seconds" -timeout=10 -print_final_stats=1)
  dictionary="$PWD/fuzz/dictionaries/$target.dict"
  if [[ -e $dictionary ]]; then arguments+=(-dict="$dictionary"); fi
  # libFuzzer prints a line for each new input; the last ones tell executions and coverage.
  log="$found.log"
  if ! "${fuzz[@]}" run "$target" "$found" "$PWD/fuzz/corpus/$target" -- "${arguments[@]}" >"$log" 2>&1; then
    tail -n 60 "$log"
    exit 1
  fi
  grep -E '^(Done|stat::(number_of_executed_units|average_exec_per_sec|peak_rss_mb))' "$log"
  read -r runs took < <(sed -n 's/^Done \([0-9]*\) runs in \([0-9]*\) second.*/\1 \2/p' "$log")
  executions=$((executions + runs))
  spent=$((spent + took))
done
printf 'fuzzed %s targets: %s executions in %s s\n' "${#targets[@]}" "$executions" "$spent"
