# shellcheck shell=bash
# Sourced: checks that go on after one has failed. Who sources it ends with "$failed".

# shellcheck disable=SC2034 # for those who source this
failed=0
# holds WHAT COMMAND [ARGUMENT...]: COMMAND succeeds; what it says is shown if it does not.
holds() {
  local what="$1" said
  shift
  if said="$("$@" 2>&1)"; then
    echo "ok: $what"
  else
    echo "NOT SO: $what"
    [[ -z $said ]] || printf '    %s\n' "${said//$'\n'/$'\n    '}"
    failed=1
  fi
}

# shellcheck disable=SC2317 # called by holds
fails() { ! "$@"; }

# waits_for COMMAND [ARGUMENT...]: until COMMAND succeeds, ten seconds at most.
waits_for() {
  local end=$((SECONDS + 10))
  until "$@" >/dev/null 2>&1; do
    if ((SECONDS > end)); then return 1; fi
    sleep 0.1
  done
}
