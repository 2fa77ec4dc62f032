#!/usr/bin/env bash
# Other people's programs at the other end: heartbeats signed by PyPI's and npm's standardwebhooks (check.py) and by GitHub's
# own library (agents.py), the programs of docs/signing.md that use such libraries (signing.py), servers of Python, PyPI's
# jsonrpcserver and nginx (connectors.py), and the receivers that the documents show (receivers.py), at the versions named here.
# The libraries go under target/.
set -euo pipefail
cd "$(dirname "$0")/../.."
libraries="$PWD/target/interop"
python_version=1.1.0
rpc_version=5.0.9
node_version=1.1.1
octokit_version=6.0.0
mkdir -p "$libraries"

has() { # has PACKAGE VERSION
  "$libraries/venv/bin/pip" show "$1" 2>/dev/null | grep -qx "Version: $2"
}
if ! has standardwebhooks "$python_version" || ! has jsonrpcserver "$rpc_version"; then
  python3 -m venv --clear "$libraries/venv"
  "$libraries/venv/bin/pip" install --quiet --disable-pip-version-check \
    "standardwebhooks==$python_version" "jsonrpcserver==$rpc_version"
fi
has_node() { # has_node PACKAGE VERSION
  grep -qs "\"version\": \"$2\"" "$libraries/node_modules/$1/package.json"
}
if ! has_node standardwebhooks "$node_version" || ! has_node @octokit/webhooks-methods "$octokit_version"; then
  npm install --silent --no-audit --no-fund --prefix "$libraries" \
    "standardwebhooks@$node_version" "@octokit/webhooks-methods@$octokit_version"
fi

cargo build --release --quiet
NODE_LIBRARIES="$libraries" "$libraries/venv/bin/python" -B tests/interop/check.py "$PWD/target/release/heartbeatd"
NODE_LIBRARIES="$libraries" "$libraries/venv/bin/python" -B tests/interop/agents.py "$PWD/target/release/heartbeatd"
NODE_LIBRARIES="$libraries" "$libraries/venv/bin/python" -B tests/interop/signing.py "$PWD/target/release/heartbeatd"
"$libraries/venv/bin/python" -B tests/interop/connectors.py "$PWD/target/release/heartbeatd"
"$libraries/venv/bin/python" -B tests/interop/receivers.py "$PWD/target/release/heartbeatd"
