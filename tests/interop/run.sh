#!/usr/bin/env bash
# Heartbeats signed by the senders' own libraries, sent to the real daemon over TCP: PyPI's and npm's standardwebhooks
# at the versions named here. The libraries go under target/. check.py says what must hold.
set -euo pipefail
cd "$(dirname "$0")/../.."
libraries="$PWD/target/interop"
python_version=1.1.0
node_version=1.1.1
mkdir -p "$libraries"

if ! "$libraries/venv/bin/pip" show standardwebhooks 2>/dev/null | grep -qx "Version: $python_version"; then
  python3 -m venv --clear "$libraries/venv"
  "$libraries/venv/bin/pip" install --quiet --disable-pip-version-check "standardwebhooks==$python_version"
fi
if ! grep -qs "\"version\": \"$node_version\"" "$libraries/node_modules/standardwebhooks/package.json"; then
  npm install --silent --no-audit --no-fund --prefix "$libraries" "standardwebhooks@$node_version"
fi

cargo build --release --quiet
NODE_LIBRARIES="$libraries" "$libraries/venv/bin/python" -B tests/interop/check.py "$PWD/target/release/heartbeatd"
