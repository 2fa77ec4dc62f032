# shellcheck shell=bash
# Sourced: how a release is built that is given to others. Nothing of the machine that built it stands in it. It has a target
# folder of its own, as these flags build everything anew.

release_folder="${CARGO_TARGET_DIR:-target}/hardened"

# build_release TRIPLE, or '' for this machine's: the binary is then "$release_binary". The current folder is the repository.
build_release() {
  local cargo_home="${CARGO_HOME:-$HOME/.cargo}" arguments=()
  if [[ -n $1 ]]; then arguments=(--target "$1"); fi
  # Cargo has no setting that knows where its own folder is; a panic's message names the file of a crate by this.
  RUSTFLAGS="--remap-path-prefix=$cargo_home=cargo --remap-path-prefix=$PWD=heartbeatd" \
    cargo build --locked --release --bin heartbeatd --target-dir "$release_folder" "${arguments[@]}"
  # shellcheck disable=SC2034 # for those who source this
  release_binary="$release_folder/${1:+$1/}release/heartbeatd"
}
