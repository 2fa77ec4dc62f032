#!/usr/bin/env bash
# Which lines of src/http and src/auth the corpora of the fuzz targets reach, file by file; fails where a folder's are
# below 95 %. Unit tests do not count: they are not in what is measured.
set -euo pipefail
cd "$(dirname "$0")/.."
least=95

host="$(rustc -vV | sed -n 's/^host: //p')"
tools="$(rustc --print sysroot)/lib/rustlib/$host/bin"
[[ -x $tools/llvm-cov ]] || rustup component add llvm-tools

# With a target of its own, so that what runs while it builds is not measured.
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target}/coverage" CARGO_PROFILE_DEV_DEBUG=0
export RUSTFLAGS='-C instrument-coverage'
profiles="$CARGO_TARGET_DIR/profiles"
rm -rf "$profiles"
program="$(cargo test --target "$host" --test corpora --no-run --message-format=json |
  python3 -c '
import json, sys
for message in map(json.loads, sys.stdin):
    if message.get("executable") and message["target"]["name"] == "corpora":
        print(message["executable"])')"
LLVM_PROFILE_FILE="$profiles/%p.profraw" "$program" --quiet
"$tools/llvm-profdata" merge --sparse "$profiles"/*.profraw -o "$profiles/all.profdata"
"$tools/llvm-cov" export --summary-only --instr-profile="$profiles/all.profdata" "$program" |
  python3 -c '
import json, os, sys
root, least = os.getcwd() + "/", float(sys.argv[1])
files = {file["filename"].removeprefix(root): file["summary"]["lines"] for file in json.load(sys.stdin)["data"][0]["files"]}
short = False
for folder in ("src/http", "src/auth"):
    ours = {name: lines for name, lines in files.items() if name.startswith(folder + "/")}
    for name, lines in sorted(ours.items()):
        print("%5d of %5d  %6.2f %%  %s" % (lines["covered"], lines["count"], lines["percent"], name))
    covered, count = (sum(lines[what] for lines in ours.values()) for what in ("covered", "count"))
    percent = 100 * covered / count if count else 0
    print("%5d of %5d  %6.2f %%  %s: lines that the corpora reach" % (covered, count, percent, folder))
    short |= percent < least
if short:
    sys.exit("the corpora reach too little: below %s %% of the lines" % sys.argv[1])' "$least"
