#!/usr/bin/env bash
# Run as root by deb.sh, in a copy of this machine that is thrown away: the package is installed, used, upgraded, removed and
# purged there. installed.sh booted|bare: under systemd, or where there is no systemd at all.
# shellcheck disable=SC2317 # much is called by holds
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source=tests/packages/told.sh
source ./told.sh
how="$1"
export LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive
unset HEARTBEATD_CONFIG
etc=/etc/heartbeatd
state=/var/lib/heartbeatd

is() { [[ $1 == "$2" ]] || { echo "$1, not $2"; return 1; }; }
# owned PATH 'MODE OWNER GROUP'
owned() { holds "$1 is $2" is "$(stat --format='%a %U %G' "$1" 2>&1)" "$2"; }
gone() { for path; do holds "$path is gone" fails test -e "$path" -o -L "$path"; done; }
kept() { for path; do holds "$path is kept" test -e "$path"; done; }
apt() { apt-get -qq -o Dpkg::Use-Pty=0 -o Dpkg::Options::=--force-confold -o APT::Sandbox::User=root "$@" 2>&1; }
install_package() { said="$(apt install --no-install-recommends -y "./$1")" || { echo "$said"; exit 1; }; }
version() { dpkg-query --show --showformat='${db:Status-Abbrev}${Version}' heartbeatd; }
as_daemon() { runuser -u heartbeatd -- "$@"; }
booted() { [[ $how == booted ]]; }
# follow FILE: what a guide has the reader do, who is root already. Of a journal that goes on, what there is.
follow() {
  # shellcheck disable=SC2016 # it is that shell's
  bash -euo pipefail -c '
    sudo() { if [[ $1 == -u ]]; then runuser -u "$2" -- "${@:3}"; else "$@"; fi; }
    journalctl() { command journalctl "${@/#-f/--no-pager}"; }
    source "$0"' "$PWD/$1"
}
answer() { curl --silent --max-time 5 "$@"; }

# Where nothing starts it, this does, as the unit would.
daemon=''
start() {
  if booted; then return; fi
  install -d -o heartbeatd -g heartbeatd /run/heartbeatd
  runuser -u heartbeatd -- heartbeatd --config $etc/heartbeatd.toml serve 2>/daemon.log &
  daemon=$!
  waits_for answer --fail http://127.0.0.1:8787/readyz
}
stop() {
  if booted; then
    systemctl stop heartbeatd
  else
    kill -TERM "$daemon"
    wait "$daemon" || true
  fi
}
reload() { if booted; then systemctl reload heartbeatd; else heartbeatd reload; fi; }
main_pid() { systemctl show --property=MainPID --value heartbeatd; }

if getent passwd heartbeatd >/dev/null; then
  echo 'this machine has the package already, or its user'
  exit 1
fi
if ! booted; then
  # As on a machine with another init: the fallbacks of postinst.
  rm -f /usr/bin/systemd-sysusers /usr/bin/systemd-tmpfiles
fi

echo '-- install'
said="$(follow install.sh 2>&1)" || { echo "$said"; exit 1; }
holds 'what comes next is told' grep -q 'sudo heartbeatd beat' <<<"$said"
holds 'where the secret is, is told' grep -q "$etc/secret" <<<"$said"
holds 'what to read is there' test -f "$(grep -o '/usr/share/doc/[^ ]*' <<<"$said")"
holds 'the secret itself is not' fails grep -q 'whsec_' <<<"$said"
holds 'it is installed' is "$(version)" "ii $(<first.version)"
holds 'the user is a system user' test "$(id -u heartbeatd)" -lt 1000
holds 'the user has its home' is "$(getent passwd heartbeatd | cut -d: -f6)" "$state"
holds 'nobody can log in as it' grep -Eq 'nologin$|false$' <(getent passwd heartbeatd)
owned /usr/bin/heartbeatd '755 root root'
owned $etc/heartbeatd.toml '644 root root'
owned $etc/flows '755 root root'
owned $etc/secret '600 heartbeatd heartbeatd'
owned $state '750 heartbeatd heartbeatd'
holds 'the secret is one' grep -qxE 'whsec_[A-Za-z0-9+/]{43}=' $etc/secret
holds 'the manual page is there' grep -q '^.TH HEARTBEATD 1' <(zcat /usr/share/man/man1/heartbeatd.1.gz)
holds 'bash can complete' bash -n /usr/share/bash-completion/completions/heartbeatd
holds 'files are as they were packed' dpkg --verify heartbeatd
gone /run/heartbeatd.installing
holds 'configuration and secret are right' as_daemon heartbeatd check

echo '-- use'
start
if booted; then
  holds 'the service runs' systemctl is-active heartbeatd
  holds 'it starts with the system' systemctl is-enabled heartbeatd
  holds 'it is the user of the package' is "$(stat --format=%U "/proc/$(main_pid)")" heartbeatd
fi
cat >$etc/flows/touch.toml <<'END'
run_interval = "1h"
[command]
argv = ["/usr/bin/touch", "it-ran"]
working_directory = "/var/lib/heartbeatd"
END
holds 'flows are taken up' reload
holds 'a signed heartbeat is accepted' grep -q '"flows_triggered":1' <(heartbeatd --json beat --wait 10s)
owned $state/it-ran '644 heartbeatd heartbeatd'
unsigned="$(answer -d '' --output /dev/null --write-out '%{http_code}' http://127.0.0.1:8787/data_flows/heartbeat || true)"
holds 'an unsigned one is refused' is "$unsigned" 401
holds 'the run is on record' grep -q '"status":"success"' <(heartbeatd --json runs list)
owned $state/heartbeat.db '600 heartbeatd heartbeatd'

if booted; then
  holds "the guide's first steps go well" follow first-steps.sh
  asked="$(follow journal.sh 2>&1)" || true
  holds 'what the guide asks the journal tells a refusal' grep -q 'error=signature_missing' <<<"$asked"
  holds 'and, at last, what one flow did' grep -q 'flow=upload-readings' <<<"${asked##*$'\n'}"

  echo '-- back up and restore'
  mkdir -p /mnt/stick
  holds "the guide's copy is made" follow backup.sh
  heartbeatd flow disable touch >/dev/null
  holds "the guide's copy is put back" follow restore.sh
  systemctl start heartbeatd
  holds 'what came after the copy is lost' grep -q '"held":false' <(heartbeatd --json flow show touch)
  owned $state/heartbeat.db '600 heartbeatd heartbeatd'

  echo '-- an agent on another machine'
  for address in 192.168.1.20 192.168.1.21; do ip address add $address/32 dev lo; done
  cat other-machine.toml $etc/heartbeatd.toml >both.toml
  cat both.toml >$etc/heartbeatd.toml
  (umask 077 && follow other-machine.sh >agent.secret)
  # from ADDRESS: a heartbeat of the guide, whose BOX is that same address.
  from() { heartbeatd beat --url "http://$1:8787/data_flows/heartbeat" --secret-file agent.secret; }
  holds 'it is let in' from 192.168.1.20
  holds 'another is not' grep -q 'address_not_allowed' <(from 192.168.1.21 2>&1)
fi

echo '-- upgrade'
secret="$(<$etc/secret)"
echo '# a line of the owner' >>$etc/heartbeatd.toml
if booted; then old_pid="$(main_pid)"; else stop; fi
install_package next.deb
holds 'it is the next version' is "$(version)" "ii $(<next.version)"
holds 'nothing was said of a first use' fails grep -q 'what comes next' <<<"$said"
holds 'the configuration is the owner'\''s' grep -q '^# a line of the owner' $etc/heartbeatd.toml
start
holds 'the secret is the same' is "$(<$etc/secret)" "$secret"
holds 'the run is still on record' grep -q '"status":"success"' <(heartbeatd --json runs list)
if booted; then
  holds 'the service runs' systemctl is-active heartbeatd
  holds 'it is another process' fails is "$(main_pid)" "$old_pid"
fi

echo '-- and back'
if ! booted; then stop; fi
apt install -y --allow-downgrades ./first.deb >/dev/null
holds 'it is the first version' is "$(version)" "ii $(<first.version)"
start
holds 'the run is still on record' grep -q '"status":"success"' <(heartbeatd --json runs list)

echo '-- upgrade with another configuration, while it is stopped'
stop
install_package last.deb
holds 'it is the last version' is "$(version)" "ii $(<last.version)"
holds 'the configuration is the owner'\''s' grep -q '^# a line of the owner' $etc/heartbeatd.toml
holds 'the packaged one lies beside it' grep -q '^# a line of the package' $etc/heartbeatd.toml.dpkg-dist
if booted; then holds 'it is still stopped' fails systemctl is-active heartbeatd; fi

echo '-- remove'
if booted; then systemctl start heartbeatd; fi
apt remove -y heartbeatd >/dev/null
holds 'its configuration is left' is "$(version)" "rc $(<last.version)"
gone /usr/bin/heartbeatd /usr/lib/systemd/system/heartbeatd.service /usr/share/doc/heartbeatd
kept $etc/heartbeatd.toml $etc/secret $etc/flows/touch.toml $state/heartbeat.db
if booted; then holds 'the service is stopped' fails systemctl is-active heartbeatd; fi

echo '-- install again'
install_package last.deb
start
holds 'the secret is the same' is "$(<$etc/secret)" "$secret"
holds 'the configuration is the owner'\''s' grep -q '^# a line of the owner' $etc/heartbeatd.toml
if booted; then holds 'the service runs' systemctl is-active heartbeatd; fi
holds 'the run is still on record' grep -q '"status":"success"' <(heartbeatd --json runs list)

echo '-- what the owner switched off or took away stays so'
stop
if booted; then systemctl --quiet disable heartbeatd; fi
rm $etc/secret
apt install -y --reinstall ./last.deb >/dev/null
gone $etc/secret
if booted; then
  holds 'it is not started' fails systemctl is-active heartbeatd
  holds 'nor will it be' fails systemctl is-enabled heartbeatd
fi

echo '-- purge'
echo whsec_ >$etc/secret
apt purge -y heartbeatd >/dev/null
holds 'nothing of it is left' fails dpkg-query --status heartbeatd
gone $etc $state /etc/systemd/system/multi-user.target.wants/heartbeatd.service /usr/share/doc/heartbeatd
holds 'nor what it was enabled by' is "$(find /var/lib/systemd -name '*heartbeatd*')" ''
holds 'its user stays' getent passwd heartbeatd

if booted; then
  echo '-- by hand, from the same files'
  dpkg-deb --extract first.deb files
  for file in usr/bin/heartbeatd usr/lib/systemd/system/heartbeatd.service usr/lib/sysusers.d/heartbeatd.conf \
    usr/lib/tmpfiles.d/heartbeatd.conf etc/heartbeatd/heartbeatd.toml; do
    install -D "files/$file" "/$file"
  done
  holds 'the guide'\''s commands go well' follow by-hand.sh
  holds 'the service runs' systemctl is-active heartbeatd
  holds 'a signed heartbeat is accepted' heartbeatd beat --wait 10s

  # can_gain: a program's file can give the daemon's children privileges, as sudo's does.
  can_gain() {
    systemctl restart heartbeatd
    is "$(grep -Pc '^(NoNewPrivs:\t0$|CapBnd:\t0*[1-9a-f])' "/proc/$(main_pid)/status")" 2
  }
  holds 'a flow cannot gain privileges' fails can_gain
  install -D sudo.conf -t /etc/systemd/system/heartbeatd.service.d
  systemctl daemon-reload
  holds "with the guide's drop-in it can" can_gain
  rm -r /etc/systemd/system/heartbeatd.service.d
  systemctl daemon-reload

  echo '-- a box in a folder of its own'
  systemctl stop heartbeatd
  useradd --create-home owner
  cp box.sh journal-json.sh ~owner
  (
    cd ~owner
    # By nobody else than the user who will own it; what has a sudo before it is root's.
    heartbeatd() { runuser -u owner -- /usr/bin/heartbeatd "$@"; }
    export -f heartbeatd
    holds 'the guide'\''s commands go well' follow box.sh
    holds 'it is that user' is "$(stat --format=%U "/proc/$(main_pid)")" owner
    sed -i 's/^# format = .*/format = "json"/' box/heartbeatd.toml
    systemctl restart heartbeatd
    holds 'a signed heartbeat is accepted' heartbeatd --config box/heartbeatd.toml beat --wait 10s
    holds 'its journal can be asked as JSON' grep -q 'default' <(follow journal-json.sh)
    exit "$failed"
  ) || failed=1
fi
exit "$failed"
