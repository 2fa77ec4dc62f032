#!/usr/bin/env bash
# Builds a release and its package for another machine, and runs its demo, its unit tests and the signed requests of
# tests/vectors by QEMU: cross.sh arm64|armhf. armhf is Debian's: ARMv7, from the Raspberry Pi 2 on.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=.ci/packages.sh
source .ci/packages.sh
# shellcheck source=packaging/release.sh
source packaging/release.sh
# shellcheck source=tests/packages/told.sh
source tests/packages/told.sh

architecture="${1:-}"
case "$architecture" in
  arm64) triple=aarch64-unknown-linux-gnu gnu=aarch64-linux-gnu emulator=qemu-aarch64 ;;
  armhf) triple=armv7-unknown-linux-gnueabihf gnu=arm-linux-gnueabihf emulator=qemu-arm ;;
  *) echo 'cross.sh arm64|armhf' >&2; exit 2 ;;
esac
need "$gnu-gcc" "gcc-$gnu"
[[ -e /usr/$gnu/include/stdio.h ]] || packages+=("libc6-dev-$architecture-cross")
need "$emulator" qemu-user
need lintian
need jq
install_packages
rustup target list --installed | grep -qx "$triple" || rustup target add "$triple"

# The emulator of Debian 12 (7.2) has no PR_SET_CHILD_SUBREAPER, without which the daemon does not start; that of its backports
# (10.0) has. It is unpacked, not installed.
get_emulator() {
  local major site folder="$PWD/target/qemu"
  export PATH="$folder/usr/bin:$PATH"
  major="$("$emulator" --version | sed -n 's/.* version \([0-9]*\)\..*/\1/p')"
  if ((major >= 10)); then return; fi
  # shellcheck disable=SC2016 # $(SITE) is apt's
  site="$(apt-get indextargets --format '$(SITE) $(RELEASE)' 'Created-By: Packages' 'Origin: Debian' | grep ' bookworm$' | head -n 1)"
  site="${site% *}"
  [[ -n $site ]] || { echo "$emulator is $major, which lacks what the daemon needs: QEMU 10 is wanted" >&2; exit 1; }
  mkdir -p "$folder"/{lists,cache}/partial
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $site bookworm-backports main" >"$folder/sources.list"
  local apt=(apt-get -qq -o "Dir::Etc::sourcelist=$folder/sources.list" -o Dir::Etc::sourceparts=/dev/null
    -o "Dir::State::lists=$folder/lists" -o "Dir::Cache=$folder/cache" -o APT::Sandbox::User=root)
  "${apt[@]}" update
  (cd "$folder" && "${apt[@]}" download qemu-user/bookworm-backports && dpkg-deb --extract qemu-user_*.deb .)
}
get_emulator
"$emulator" --version | head -n 1

variable="${triple^^}"
variable="CARGO_TARGET_${variable//-/_}"
export "${variable}_LINKER=$gnu-gcc" "${variable}_RUNNER=$PWD/tests/packages/emulated.sh $architecture"
build_release "$triple"
binary="$release_binary"
built="$(packaging/deb.sh "$binary")"
echo "$built"
holds 'the package is for this architecture' grep -qx "$architecture" <(dpkg-deb --field "${built%%: *}" Architecture)
holds 'lintian finds no error and no warning' lintian --allow-root --fail-on error,warning "${built%%: *}"
holds 'its demo comes true' tests/packages/emulated.sh "$architecture" "$PWD/$binary" demo
holds 'its unit tests pass, and signed requests get their verdicts' \
  cargo test --target "$triple" --lib --test standard_webhooks_vectors
exit "$failed"
