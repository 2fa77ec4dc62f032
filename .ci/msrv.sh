#!/usr/bin/env bash
# The crate must build with the oldest Rust that Cargo.toml says it builds with (rust-version).
set -euo pipefail
cd "$(dirname "$0")/.."
minimum="$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)"
[[ $minimum =~ ^[0-9]+\.[0-9]+(\.[0-9]+)?$ ]] || { echo "no rust-version in Cargo.toml: '$minimum'"; exit 1; }

installed() {
  rustup toolchain list | grep -oE "^${minimum//./\\.}(\.[0-9]+)?(-[^ ]*)?" | head -n 1 || true
}
toolchain="$(installed)"
if [[ -z $toolchain ]] && rustup toolchain install "$minimum" --profile minimal --no-self-update; then
  toolchain="$(installed)"
fi
if [[ -n $toolchain ]]; then
  echo "checking with $toolchain (rust-version $minimum)"
  exec cargo "+$toolchain" check --locked
fi

used="$(rustc --version | cut -d' ' -f2)"
oldest="$(printf '%s\n%s\n' "$minimum" "${used%%-*}" | sort -V | head -n 1)"
if [[ $oldest != "$minimum" ]]; then
  echo "the toolchain in use, $used, is older than rust-version $minimum"
  exit 1
fi
echo "Rust $minimum cannot be had here: checking with $used, which is not older"
exec cargo check --locked
