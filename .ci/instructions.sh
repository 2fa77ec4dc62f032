#!/usr/bin/env bash
# instructions.sh [--update]: how many instructions a heartbeat and a run take, by valgrind's callgrind, which counts the same
# each time. Fails where a figure is 5 % above .ci/instructions.txt, if that was counted with the same tools; --update writes it.
#
# Counted is what the program is made of, not the kernel. valgrind has no instructions for SHA-256: a signature is verified
# here by sha2's portable code, which is 6734 of the instructions; a processor takes some hundreds.
set -euo pipefail
cd "$(dirname "$0")/.."
baseline=.ci/instructions.txt
percent_max=5
times=200
command -v valgrind >/dev/null || { echo 'SKIPPED: valgrind is not installed'; exit 0; }
# By itself, as the daemon looks through all processes when it starts and ends.
alone=(unshare --user --map-root-user --pid --fork --mount-proc)
"${alone[@]}" true || { echo 'SKIPPED: no namespace of processes can be made here'; exit 0; }

cargo build --locked --release --example instructions
program="${CARGO_TARGET_DIR:-target}/release/examples/instructions"
# Paths of one length, as they are copied.
scratch="$(mktemp -d /tmp/instructions.XXXXXXXXXX)"
trap 'rm -rf "$scratch"' EXIT
cc -shared -fPIC -o "$scratch/still.so" .ci/still.c

# What the figures hang on: the compiler, libc, and which of libc's functions the processor gets.
tools() {
  rustc --version
  valgrind --version
  rustc -vV | sed -n 's/^host: //p'
  ldd --version | sed -n '1s/.*) //p' | sed 's/^/libc /'
  grep -qw avx2 /proc/cpuinfo && echo 'with AVX2' || echo 'without AVX2'
}

# counted PATH TIMES
counted() {
  LD_PRELOAD="$scratch/still.so" TMPDIR="$scratch" "${alone[@]}" \
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "$program" "$1" "$2" 2>"$scratch/said" ||
    { cat "$scratch/said" >&2; return 1; }
  sed -n 's/^==.*Collected : //p' "$scratch/said"
}

figures() {
  local path once twice
  for path in parse verify heartbeat serve run; do
    once="$(counted "$path" "$times")"
    twice="$(counted "$path" "$((2 * times))")"
    echo "$path $(((twice - once) / times))"
  done
}

tools | sed 's/^/# /' >"$scratch/now"
figures >>"$scratch/now"
if [[ ${1:-} == --update ]]; then
  cp "$scratch/now" "$baseline"
  cat "$baseline"
  exit 0
fi
if ! cmp -s <(grep '^#' "$scratch/now") <(grep '^#' "$baseline"); then
  echo "not compared: $baseline was counted with other tools, which are:"
  grep '^#' "$baseline"
  echo 'counted here:'
  cat "$scratch/now"
  exit 0
fi
awk -v percent_max="$percent_max" '
  /^#/ { next }
  FNR == NR { before[$1] = $2; next }
  !($1 in before) { printf "%-10s %9d  new: --update writes it down\n", $1, $2; failed = 1; next }
  {
    percent = 100 * ($2 - before[$1]) / before[$1]
    verdict = percent > percent_max ? "TOO MANY" : percent < -percent_max ? "fewer: --update writes it down" : "ok"
    printf "%-10s %9d  %+6.2f %%  %s\n", $1, $2, percent, verdict
    failed = failed || percent > percent_max
  }
  END { exit failed }' "$baseline" "$scratch/now"
