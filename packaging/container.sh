#!/usr/bin/env bash
# Builds the image `heartbeatd` from what packaging/static.sh built: container.sh [ENGINE [ARGUMENT...]], by default podman.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=packaging/release.sh
source packaging/release.sh
build_release "$(uname -m)-unknown-linux-musl"
engine=("${@:-podman}")
context=target/container
rm -rf "$context"
mkdir -p "$context/data"
cp "$release_binary" LICENSE-MIT LICENSE-APACHE "$context"
packaging/third-party.sh >"$context/third-party"
"${engine[@]}" build --tag heartbeatd --file packaging/Containerfile "$context"
