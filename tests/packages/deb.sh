#!/usr/bin/env bash
# The Debian package: is it the same when it is built again, what does lintian say, and does it install, upgrade, go and
# leave what it should? The last in two copies of this machine: one that systemd-nspawn boots, one without systemd.
# They are overlays in a mount namespace of their own: nothing of this machine is changed. deb.sh [BINARY], as packaging/deb.sh.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=.ci/packages.sh
source .ci/packages.sh
# shellcheck source=tests/packages/told.sh
source tests/packages/told.sh
need lintian
need dpkg-shlibdeps dpkg-dev
need systemd-nspawn systemd-container
need jq
need curl
install_packages
as_root=()
if ((EUID != 0)); then as_root=(sudo); fi

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
built="$(packaging/deb.sh "$@")"
echo "$built"
package="${built%%: *}"
binary="${1:-target/hardened/release/heartbeatd}"
cp "$package" "$work/first.deb"
(umask 077 && TZ=Pacific/Auckland packaging/deb.sh "$binary" >/dev/null)
holds 'built again it is the same, byte for byte' cmp "$package" "$work/first.deb"
holds 'lintian finds no error and no warning' lintian --allow-root --fail-on error,warning "$package"

# What dpkg-shlibdeps asks for is not newer than what the package does.
mkdir -p "$work/shlibs/debian"
printf 'Source: heartbeatd\n\nPackage: heartbeatd\nArchitecture: any\n' >"$work/shlibs/debian/control"
cp "$binary" "$work/shlibs/heartbeatd"
asked="$(cd "$work/shlibs" && dpkg-shlibdeps -O heartbeatd)"
depends="$(dpkg-deb --field "$package" Depends)"
IFS=',' read -ra asked <<<"${asked#*=}"
for library in "${asked[@]}"; do
  holds "it depends on ${library# }" grep -qF "${library# }" <<<"$depends"
done

# lost_links FOLDER: those of its documents that lead to no file.
lost_links() {
  local file link
  grep -roP '\]\(\K[^)#\s]+' --include='*.md' "$1" | while IFS=: read -r file link; do
    [[ $link == *:* || -e $(dirname "$file")/$link ]] || echo "$file: $link"
  done
}
dpkg-deb --extract "$package" "$work/extracted"
lost="$(lost_links "$work/extracted/usr/share/doc/heartbeatd")"
holds "every link of the documents leads to a file$lost" test -z "$lost"
rm -r "$work/extracted"

# Two later versions, one with another configuration.
mkdir "$work/again"
dpkg-deb --raw-extract "$package" "$work/again/tree"
version="$(dpkg-deb --field "$package" Version)"
echo "$version" >"$work/first.version"
repack() { # repack NAME VERSION
  echo "$2" >"$work/$1.version"
  sed -i "s/^Version: .*/Version: $2/" "$work/again/tree/DEBIAN/control"
  dpkg-deb --root-owner-group --build "$work/again/tree" "$work/$1.deb" >/dev/null
}
repack next "$version+1"
echo '# a line of the package' >>"$work/again/tree/etc/heartbeatd/heartbeatd.toml"
repack last "$version+2"
rm -r "$work/again"
cp tests/packages/installed.sh tests/packages/told.sh "$work"
# block DOCUMENT HEADING LANGUAGE NUMBER: what stands in one of its blocks.
block() {
  awk -v heading="## $2" -v fence="\`\`\`$3" -v number="$4" '
    /^## / { on = $0 == heading }
    on && $0 == fence { n++; taken = n == number; next }
    /^```/ { taken = 0 }
    taken' "docs/$1"
}
block packages.md Install sh 1 | sed "s/heartbeatd_${version}_arm64.deb/first.deb/" >"$work/install.sh"
block packages.md Install sh 2 >"$work/first-steps.sh"
block packages.md Install toml 1 >"$work/other-machine.toml"
block packages.md Install sh 3 >"$work/other-machine.sh"
block systemd.md Install sh 1 >"$work/box.sh"
block systemd.md Install sh 2 >"$work/by-hand.sh"
block operations.md Backup sh 1 >"$work/backup.sh"
block operations.md Restore sh 2 >"$work/restore.sh"
awk '/^# .*\/sudo.conf$/ { taken = 1 } /^```/ { taken = 0 } taken' docs/systemd.md >"$work/sudo.conf"
block systemd.md 'The journal' sh 1 >"$work/journal.sh"
block systemd.md 'The journal' sh 2 >"$work/journal-json.sh"

for how in bare booted; do
  echo "== $how"
  holds "everything held, $how" "${as_root[@]}" unshare --mount bash tests/packages/copy.sh "$how" "$work"
  cat "$work/$how.log"
done
exit "$failed"
