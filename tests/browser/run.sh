#!/usr/bin/env bash
# run.sh [--screenshots]: the status page in a real browser (check.mjs: Debian's Chromium, driven by npm's puppeteer-core
# and judged by npm's axe-core, at the versions named here), or its pictures for docs/images. The libraries go under
# target/.
set -euo pipefail
cd "$(dirname "$0")/../.."
libraries="$PWD/target/browser"
# Both pinned: another axe-core knows other rules.
puppeteer_version=24.43.1
axe_version=4.14.1
mkdir -p "$libraries"

bash .ci/install-browser.sh
has_node() { # has_node PACKAGE VERSION
  grep -qs "\"version\": \"$2\"" "$libraries/node_modules/$1/package.json"
}
if ! has_node puppeteer-core "$puppeteer_version" || ! has_node axe-core "$axe_version"; then
  npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$libraries" \
    "puppeteer-core@$puppeteer_version" "axe-core@$axe_version"
fi

cargo build --release --quiet
export NODE_LIBRARIES="$libraries"
heartbeatd="${CARGO_TARGET_DIR:-$PWD/target}/release/heartbeatd"
case "${1:-}" in
  --screenshots)
    node tests/browser/pictures.mjs "$heartbeatd" docs/images
    script --quiet --return --command "'$heartbeatd' demo" /dev/null |
      python3 tests/browser/terminal.py 'heartbeatd demo' > docs/images/terminal.svg
    ;;
  '') node tests/browser/check.mjs "$heartbeatd" ;;
  *) echo "usage: run.sh [--screenshots]" >&2; exit 2 ;;
esac
