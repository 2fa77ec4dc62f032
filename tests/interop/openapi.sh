#!/usr/bin/env bash
# The control socket against its description, docs/openapi.json: is that OpenAPI at all (PyPI's openapi-spec-validator), and
# does the daemon keep to it under requests that PyPI's schemathesis makes of it (openapi.py). The libraries go under target/.
set -euo pipefail
cd "$(dirname "$0")/../.."
venv="$PWD/target/interop/openapi"
# Both pinned: another version makes other requests of the same seed.
schemathesis_version=4.32.5
validator_version=0.9.0
mkdir -p target/interop

has() { # has PACKAGE VERSION
  "$venv/bin/pip" show "$1" 2>/dev/null | grep -qx "Version: $2"
}
if ! has schemathesis "$schemathesis_version" || ! has openapi-spec-validator "$validator_version"; then
  python3 -m venv --clear "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check \
    "schemathesis==$schemathesis_version" "openapi-spec-validator==$validator_version"
fi

"$venv/bin/openapi-spec-validator" docs/openapi.json
cargo build --release --quiet
"$venv/bin/python" -B tests/interop/openapi.py "${CARGO_TARGET_DIR:-$PWD/target}/release/heartbeatd" "$venv/bin/schemathesis"
