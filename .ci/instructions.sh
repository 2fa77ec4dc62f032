#!/usr/bin/env bash
# instructions.sh [--update]: how many instructions a heartbeat and a run take, and how many statements of SQL, by valgrind's
# callgrind, which counts the same each time. Fails where a figure is 5 % above .ci/instructions.txt, if that was counted with
# the same tools; --update writes it.
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

# With names: SQLite ends each statement in one function.
cargo rustc --locked --release --example instructions -- -C strip=none
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

# counted PATH TIMES: instructions and statements.
counted() {
  LD_PRELOAD="$scratch/still.so" TMPDIR="$scratch" "${alone[@]}" \
    valgrind --tool=callgrind --callgrind-out-file="$scratch/calls" "$program" "$1" "$2" 2>"$scratch/said" ||
    { cat "$scratch/said" >&2; return 1; }
  awk '
    /^totals: / { instructions = $2 }
    # A function has a number, and its name stands where that is first told.
    /^c?fn=/ {
      number = $1
      sub(/^c?fn=/, "", number)
      if ($2 == "sqlite3VdbeHalt") ends = number
      called = number
    }
    /^calls=/ && called == ends { statements += substr($1, 7) }
    END { printf "%d %d\n", instructions, statements }' "$scratch/calls"
}

figures() {
  local path once twice statements_once statements_twice
  for path in parse verify heartbeat refuse serve run; do
    read -r once statements_once < <(counted "$path" "$times")
    read -r twice statements_twice < <(counted "$path" "$((2 * times))")
    echo "$path $(((twice - once) / times))"
    case $path in heartbeat | run) echo "$path-statements $(((statements_twice - statements_once) / times))" ;; esac
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
  !($1 in before) { printf "%-20s %9d  new: --update writes it down\n", $1, $2; failed = 1; next }
  {
    percent = $2 == before[$1] ? 0 : 100 * ($2 - before[$1]) / (before[$1] ? before[$1] : 1)
    verdict = percent > percent_max ? "TOO MANY" : percent < -percent_max ? "fewer: --update writes it down" : "ok"
    printf "%-20s %9d  %+6.2f %%  %s\n", $1, $2, percent, verdict
    failed = failed || percent > percent_max
  }
  END { exit failed }' "$baseline" "$scratch/now"
