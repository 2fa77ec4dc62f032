#!/usr/bin/env bash
# Puts known mistakes back, one at a time, and demands that the simulator finds each: run.sh [SEEDS [MISTAKE...]]. A patch
# that does not apply any more is a failure, as is a mistake that so many seeds do not find.
set -euo pipefail
cd "$(dirname "$0")/../.."
root="$PWD"
seeds="${1:-300}"
shift || true
# A build with all dependencies on a busy machine, and far more than any mistake needs to be found.
BUILD_S=900
SEARCH_S=300
target="${CARGO_TARGET_DIR:-target}"
[[ "$target" = /* ]] || target="$root/$target"
copy="$target/mistakes/tree"
# Of its own, as what is built there is wrong.
export CARGO_TARGET_DIR="${MISTAKES_TARGET_DIR:-$target/mistakes/target}"

# The files as they are, and no commit of them: what is tried is what stands here. Each is new, so that what a patch before
# has changed is built again.
copy_tree() {
  rm -rf "$copy"
  mkdir -p "$copy"
  git ls-files --cached --others --exclude-standard -z | xargs -0 cp --parents --target-directory="$copy"
}

missed=0
tried=0
for patch in tests/mistakes/*.patch; do
  name="$(basename "$patch" .patch)"
  if [ "$#" -gt 0 ] && [[ " $* " != *" $name "* ]]; then continue; fi
  tried=$((tried + 1))
  copy_tree
  if ! patch --directory="$copy" --strip=1 --quiet <"$patch"; then
    echo "$name: its patch does not apply any more"
    missed=$((missed + 1))
    continue
  fi
  if ! (cd "$copy" && timeout "$BUILD_S" cargo build --quiet --profile simulate --example simulate); then
    echo "$name: does not build any more, or not within $BUILD_S s"
    missed=$((missed + 1))
    continue
  fi
  log="$target/mistakes/$name.log"
  status=0
  timeout "$SEARCH_S" "$CARGO_TARGET_DIR/simulate/examples/simulate" --seeds "$seeds" --failures 1 --threads 1 >"$log" 2>&1 || status=$?
  if [ "$status" -eq 1 ] && found="$(grep --max-count=1 '^FAILED seed ' "$log")"; then
    printf '%s: found after %s\n    %s\n' "$name" "$(grep --only-matching '^[0-9]* seeds' "$log" | tail -n 1)" \
      "$(cut -c 1-200 <<<"$found")"
  else
    echo "$name: NOT found by $seeds seeds (exit status $status), see $log"
    missed=$((missed + 1))
  fi
done
echo "$tried mistakes, $missed not found"
[ "$missed" -eq 0 ]
