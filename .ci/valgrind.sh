#!/usr/bin/env bash
# Runs one box's life under valgrind's memcheck: start, heartbeats, a command, a pipeline, a page, a reload, shutdown. Fails if
# memory is used that is not there or was never written, or if any was lost for good.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v valgrind >/dev/null || { echo 'SKIPPED: valgrind is not installed'; exit 0; }
# As a release is built, but with names to show. rustix makes its system calls through libc: by itself it looks for clocks in
# the vDSO, which valgrind hides from it, and dies of that. What valgrind does not know, such as pidfd_open(2), the daemon does
# without.
RUSTFLAGS='--cfg=rustix_use_libc' CARGO_PROFILE_RELEASE_DEBUG=1 CARGO_PROFILE_RELEASE_STRIP=none \
  CARGO_PROFILE_RELEASE_LTO=thin CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
  cargo build --release --bin heartbeatd --target-dir "${CARGO_TARGET_DIR:-target}/valgrind"
program="${CARGO_TARGET_DIR:-$PWD/target}/valgrind/release/heartbeatd"

box="$(mktemp -d)"
daemon=''
end() {
  local status=$?
  if ((status != 0)) && [[ -e $box/valgrind ]]; then
    cat "$box/valgrind"
    tail -n 20 "$box/log"
  fi
  if [[ -n $daemon ]]; then kill -KILL "$daemon" 2>/dev/null || true; fi
  rm -rf "$box"
}
trap end EXIT
"$program" init "$box" >/dev/null
cat >"$box/heartbeatd.toml" <<'TOML'
listen = ["127.0.0.1:0"]
[status]
listen = "127.0.0.1:0"
TOML
rm -f "$box"/flows/*
printf '{"n":%s}\n' 1 2 3 '"no number"' >"$box/in.jsonl"
cat >"$box/flows/pipe.toml" <<TOML
run_interval = "1s"
[source]
type = "file"
path = "$box/in.jsonl"
[[transform]]
sql = "SELECT n * 2 AS n FROM batch"
[schema]
fields = { n = "integer" }
[sink]
type = "sqlite"
database = "$box/out.db"
table = "t"
create = true
TOML
cat >"$box/flows/copy.toml" <<TOML
run_interval = "1s"
[source]
type = "file"
path = "$box/in.jsonl"
[sink]
type = "file"
path = "$box/copy.jsonl"
TOML
cat >"$box/flows/say.toml" <<'TOML'
run_interval = "1s"
[command]
shell = true
argv = "seq 5000; exit 3"
TOML

# Commands are programs of others: they are not looked into.
valgrind --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite --log-file="$box/valgrind" \
  "$program" --config "$box/heartbeatd.toml" serve --dumpable --port-file "$box/port" 2>"$box/log" &
daemon=$!
until [[ -s $box/port ]]; do
  kill -0 "$daemon" || { cat "$box/log" "$box/valgrind"; exit 1; }
  sleep 0.1
done
status="$(sed -n 's/.*look on address=\([0-9.:]*\).*/\1/p' "$box/log" | head -n 1)"
beat=("$program" --config "$box/heartbeatd.toml" beat --url "http://127.0.0.1:$(head -n 1 "$box/port")/data_flows/heartbeat")
for wait in '--wait 30s' '' '--wait 30s'; do
  # shellcheck disable=SC2086 # they are words
  "${beat[@]}" $wait >/dev/null
  sleep 1
done
for path in / /metrics /system /flows/pipe /healthz; do
  curl --silent --fail --max-time 60 --output /dev/null "http://$status$path"
done
curl --silent --max-time 3 --output /dev/null "http://$status/events" || true
curl --silent --max-time 60 --output /dev/null --data '{}' "http://127.0.0.1:$(head -n 1 "$box/port")/data_flows/heartbeat"
for words in 'flow list' 'runs list' status reload 'flow run say'; do
  # shellcheck disable=SC2086 # they are words
  "$program" --config "$box/heartbeatd.toml" $words >/dev/null
done
"$program" --config "$box/heartbeatd.toml" backup "$box/copy.db" >/dev/null
kill -TERM "$daemon"
result=0
wait "$daemon" || result=$?
daemon=''
rows="$(sqlite3 "$box/out.db" 'SELECT count(*) FROM t')"
echo "ended with $result; the pipeline wrote $rows rows"
grep -E 'ERROR SUMMARY|definitely lost|no leaks are possible|in use at exit' "$box/valgrind" || true
((result == 0)) && [[ $rows == 3 ]]
