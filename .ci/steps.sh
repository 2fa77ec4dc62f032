# shellcheck shell=bash
# Sourced by run and full: steps with a heading and a time, all of them carried out whatever one of them says, and a
# summary at the end.

failed_steps=()
summary=()

# step TITLE COMMAND [ARGUMENT...]: 'set -e' holds inside the command, which it would not in the condition of an 'if'.
step() {
  local title="$1" status started seconds verdict=passed
  shift
  printf '\n==> %s\n' "$title"
  started=$SECONDS
  set +e
  (
    set -euo pipefail
    "$@"
  )
  status=$?
  set -e
  seconds=$((SECONDS - started))
  if ((status != 0)); then
    verdict="FAILED (exit $status)"
    failed_steps+=("$title")
  fi
  printf '<== %s: %s, %s s\n' "$title" "$verdict" "$seconds"
  summary+=("$(printf '%6s s  %-18s  %s' "$seconds" "$verdict" "$title")")
}

# Prints what passed and what failed; returns 1 if a step failed.
summarise() {
  printf '\n==> summary (%s s in all)\n' "$SECONDS"
  printf '%s\n' "${summary[@]}"
  if ((${#failed_steps[@]} > 0)); then
    printf 'FAILED: %s\n' "${failed_steps[@]}"
    return 1
  fi
  echo 'every step passed'
}
