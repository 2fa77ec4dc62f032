#!/usr/bin/env bash
# readme.sh COMMAND: runs a command of the README, and fails if it is not there: what a reader copies is what was run.
set -euo pipefail
cd "$(dirname "$0")/.."
command="$(grep --line-regexp --fixed-strings -- "$1" README.md)" || {
  echo "README.md has no such line: $1" >&2
  exit 1
}
eval "$command"
