#!/usr/bin/env bash
# Builds target/heartbeatd_VERSION_ARCH.deb: packaging/deb.sh [BINARY]. Without BINARY a release is built first; the
# architecture is the binary's, and one of another machine runs under QEMU for its manual page.
# The same commit and binary make the same bytes: all times are SOURCE_DATE_EPOCH, by default the commit's. DEBFULLNAME and
# DEBEMAIL say who answers for the package, by default the commit's author.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=packaging/release.sh
source packaging/release.sh
umask 022
export LC_ALL=C

if (($# > 0)); then
  binary="$1"
else
  build_release ''
  binary="$release_binary"
fi
[[ -x $binary ]] || { echo "there is no program $binary" >&2; exit 1; }

field() { sed -n "s/^$1 = \"\(.*\)\"$/\1/p" Cargo.toml | head -n 1; }
version="$(field version)"
# A version before another sorts before it in Debian with a tilde.
version="${version/-/\~}"
description="$(field description)"
export SOURCE_DATE_EPOCH="${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}"
maintainer="${DEBFULLNAME:-$(git log -1 --format=%an)} <${DEBEMAIL:-$(git log -1 --format=%ae)}>"

elf="$(readelf --wide --file-header --dynamic --version-info "$binary")"
case "$elf" in
  *'X86-64'*) architecture=amd64 qemu=(qemu-x86_64) ;;
  *AArch64*) architecture=arm64 qemu=(qemu-aarch64 -L /usr/aarch64-linux-gnu) ;;
  *'hard-float ABI'*) architecture=armhf qemu=(qemu-arm -L /usr/arm-linux-gnueabihf) ;;
  *) echo "$binary is for no machine that is known here" >&2; exit 1 ;;
esac
run=("$binary")
if [[ $architecture != "$(dpkg --print-architecture)" ]]; then run=("${qemu[@]}" "$binary"); fi

# newest GLIBC: the newest version of its symbols that the binary asks for. It runs wherever the library knows that one.
newest() {
  { grep -oE "Name: $1_[0-9.]+" <<<"$elf" || true; } | sed "s/.*_//" | sort -V | tail -n 1
}
depends='systemd | systemd-standalone-sysusers | adduser'
libc="$(newest GLIBC)"
if [[ -n $libc ]]; then depends="libc6 (>= $libc), $depends"; fi
libgcc="$(newest GCC)"
if [[ -n $libgcc ]]; then depends="libgcc-s1 (>= ${libgcc%.0}), $depends"; fi

root="$(mktemp -d)"
trap 'rm -rf "$root"' EXIT
tree="$root/tree"
doc="$tree/usr/share/doc/heartbeatd"

# put MODE FILE PLACE
put() { install -D -m "$1" "$2" "$tree/$3"; }
put 755 "$binary" usr/bin/heartbeatd
put 644 packaging/heartbeatd.service usr/lib/systemd/system/heartbeatd.service
put 644 packaging/heartbeatd.sysusers usr/lib/sysusers.d/heartbeatd.conf
put 644 packaging/heartbeatd.tmpfiles usr/lib/tmpfiles.d/heartbeatd.conf
put 644 packaging/heartbeatd.toml etc/heartbeatd/heartbeatd.toml
install -d "$tree/etc/heartbeatd/flows" "$doc"

"${run[@]}" man | gzip -9n >"$root/man"
put 644 "$root/man" usr/share/man/man1/heartbeatd.1.gz
for shell in bash zsh fish; do "${run[@]}" completions "$shell" >"$root/$shell"; done
put 644 "$root/bash" usr/share/bash-completion/completions/heartbeatd
put 644 "$root/zsh" usr/share/zsh/vendor-completions/_heartbeatd
put 644 "$root/fish" usr/share/fish/vendor_completions.d/heartbeatd.fish

# Every key with its default, which the installed configuration leaves out, and a flow.
"${run[@]}" --quiet init "$root/box" >/dev/null
put 644 "$root/box/heartbeatd.toml" usr/share/doc/heartbeatd/examples/heartbeatd.toml
put 644 "$root/box/flows/example.toml" usr/share/doc/heartbeatd/examples/flow.toml
# As they lie in the repository, so that their links lead somewhere.
cp -R ./*.md docs "$doc"
mkdir "$doc/packaging"
cp packaging/heartbeatd.* "$doc/packaging"
{
  printf 'heartbeatd (%s) unstable; urgency=medium\n\n' "$version"
  printf '  * Release %s: what changed is in CHANGELOG.md.\n\n' "$version"
  printf ' -- %s  %s\n' "$maintainer" "$(date --utc --rfc-email --date="@$SOURCE_DATE_EPOCH")"
} >"$doc/changelog"

indented() { sed -e 's/^/ /' -e 's/^ $/ ./'; }
{
  while IFS= read -r line; do
    case "$line" in
      *@COPYRIGHT@) echo "${line/@COPYRIGHT@/$(sed -n 's/^Copyright (c) //p' LICENSE-MIT)}" ;;
      @MIT@) tail -n +3 LICENSE-MIT | indented ;;
      *) echo "$line" ;;
    esac
  done <packaging/debian/copyright
} >"$root/copyright"

packaging/third-party.sh >"$doc/third-party"
put 644 packaging/debian/lintian-overrides usr/share/lintian/overrides/heartbeatd
# Not the documents: a link leads to the name that it names.
gzip -9n "$doc/changelog" "$doc/third-party"
put 644 "$root/copyright" usr/share/doc/heartbeatd/copyright

# shellcheck disable=SC2016 # $1 is awk's
bytes_in_kib='{ kib += int(($1 + 1023) / 1024) } END { print kib }'
installed="$(find "$tree" -type f -printf '%s\n' -o -type d -printf '1024\n' | awk "$bytes_in_kib")"
install -d "$tree/DEBIAN"
(cd "$tree" && find etc usr -type f ! -path 'etc/*' -print0 | sort -z | xargs -0 md5sum) >"$root/md5sums"
put 644 "$root/md5sums" DEBIAN/md5sums
echo /etc/heartbeatd/heartbeatd.toml >"$tree/DEBIAN/conffiles"
for script in preinst postinst prerm postrm; do put 755 "packaging/debian/$script" "DEBIAN/$script"; done
first="${description%%: *}"
rest="${description#*: }"
cat >"$tree/DEBIAN/control" <<END
Package: heartbeatd
Version: $version
Architecture: $architecture
Maintainer: $maintainer
Installed-Size: $installed
Depends: $depends
Recommends: tzdata
Suggests: openssl, sqlite3
Section: admin
Priority: optional
Description: ${first,}
 ${rest^}.
 .
 A flow is a command, or a pipeline that moves records through SQL. A monitoring
 agent elsewhere sends a signed heartbeat over HTTP; the daemon checks signature
 and address, runs what is due, and shows it on a status page and as metrics.
END
chmod 644 "$tree/DEBIAN/control" "$tree/DEBIAN/conffiles"
find "$tree" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +

package="target/heartbeatd_${version}_$architecture.deb"
mkdir -p target
dpkg-deb --root-owner-group --threads-max=1 -Zxz --build "$tree" "$package" >/dev/null
echo "$package: $(stat --format=%s "$package") bytes; depends on $depends"
