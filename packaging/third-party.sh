#!/usr/bin/env bash
# Prints the crates that the program is made of, each with the notices that its licence wants kept. Apache's text is left out:
# it is the same for all, and LICENSE-APACHE.
set -euo pipefail
cd "$(dirname "$0")/.."
used="$(cargo tree --locked --edges normal,no-proc-macro --prefix none --format '{p}' | awk '{ print $1, substr($2, 2) }')"
[[ $(wc -l <<<"$used") -ge 20 ]] || { echo 'the crates were not found' >&2; exit 1; }
cargo metadata --locked --format-version 1 |
  jq -r '.packages[] | select(.source) | [.name, .version, .license, .manifest_path] | @tsv' | LC_ALL=C sort |
  while IFS=$'\t' read -r name version license manifest; do
    grep -qxF "$name $version" <<<"$used" || continue
    printf '== %s %s: %s\n\n' "$name" "$version" "$license"
    for text in "${manifest%/*}"/{LICENSE,LICENCE,COPYING,NOTICE,COPYRIGHT}*; do
      if [[ -f $text && $text != *APACHE* && $text != *Apache* ]]; then cat "$text" && echo; fi
    done
  done
