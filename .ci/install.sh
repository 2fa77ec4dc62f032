#!/usr/bin/env bash
# Installs what the checks need and this machine lacks. Expects rustup with a toolchain, a C compiler, and either the
# tools below or apt-get to get them.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH=$PATH:/usr/sbin

# shellcheck source=.ci/packages.sh
source .ci/packages.sh
need cc gcc
need curl
need openssl
need sqlite3
need shellcheck
need python3
need node nodejs
need npm
# They make system calls fail (tests/disk.rs) and give the daemon another clock (tests/clock.rs).
need strace
need faketime
# Its memcheck watches the daemon (.ci/valgrind.sh).
need valgrind
# Makes network namespaces (tests/overload).
need ip iproute2
# It judges the unit and its drop-ins (tests/systemd_unit.rs).
need systemd-analyze systemd
# Programs and servers at the other end of pipelines.
need jq
need nginx
need logrotate
# A peer of the bench (examples/bench).
need webhook
# They make a database as the Rails engine does (tests/rails_import.rs).
ruby -ractive_record -rsqlite3 -e 1 2>/dev/null || packages+=(ruby-activerecord ruby-sqlite3)
# It runs an imported flow's class, as the import's default command says.
ruby -rrails -e 1 2>/dev/null || packages+=(ruby-railties)
# The guide to signing heartbeats has an example in it (tests/signing_guide.rs).
need go golang-go
# It judges the firewall of the security guide.
need nft nftables
# A sender of heartbeats that cannot sign (tests/alertmanager.rs).
need prometheus-alertmanager
# Puts known mistakes back (tests/mistakes).
need patch
# Shells that complete command lines, and a judge of manual pages (tests/cli/shells.rs).
need zsh
need fish
need mandoc
# Makes the control socket reachable for those who know only TCP.
need socat
# It reads our metrics, and `promtool` judges them.
need prometheus
# Debian's python3 comes without what makes a virtual environment.
python3 -c 'import ensurepip, venv' 2>/dev/null || packages+=(python3-venv)

install_packages

for component in clippy rustfmt; do
  cargo "${component/rustfmt/fmt}" --version >/dev/null 2>&1 || rustup component add "$component"
done
for tool in deny fuzz; do
  cargo "$tool" --version >/dev/null 2>&1 || cargo install --locked "cargo-$tool"
done
cargo --version
rustc --version
cargo deny --version
cargo fuzz --version
