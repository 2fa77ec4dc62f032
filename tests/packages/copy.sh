#!/usr/bin/env bash
# Run as root by deb.sh in a mount namespace of its own: a copy of this machine, whose changes are in memory alone, and
# installed.sh in it. copy.sh booted|bare WORK: WORK has the packages; what installed.sh says is then WORK/HOW.log.
set -euo pipefail
how="$1" work="$2"
layers="$(mktemp -d)"
mount -t tmpfs tmpfs "$layers"
mkdir "$layers"/{upper,work,root}
mount -t overlay overlay -o "lowerdir=/,upperdir=$layers/upper,workdir=$layers/work" "$layers/root"
root="$layers/root"
test_folder="$root/var/package-test"
cp -r "$work" "$test_folder"
# Containers and images forbid services to start.
rm -f "$root/usr/sbin/policy-rc.d"

status=0
if [[ $how == bare ]]; then
  mount -t tmpfs tmpfs "$root/run"
  mount --rbind /dev "$root/dev"
  # Its own network: nothing listens there yet, and nobody else hears of it.
  # shellcheck disable=SC2016 # $1 is that shell's
  unshare --net --pid --fork --mount bash -c '
    mount -t proc proc "$1/proc"
    ip link set lo up
    exec chroot "$1" /var/package-test/installed.sh bare' bash "$root" >"$work/$how.log" 2>&1 || status=$?
else
  : >"$root/etc/machine-id"
  cat >"$root/etc/systemd/system/package-test.service" <<'END'
[Unit]
Wants=dbus.service
After=basic.target dbus.service
SuccessAction=exit-force
FailureAction=exit-force
FailureActionExitStatus=1
[Service]
Type=oneshot
ExecStart=/var/package-test/installed.sh booted
StandardOutput=file:/var/package-test/log
StandardError=inherit
END
  timeout --kill-after=5 180 systemd-nspawn --quiet --directory="$root" --boot --register=no --keep-unit --private-network \
    --console=pipe systemd.unit=package-test.service systemd.show_status=no </dev/null >"$work/boot.log" 2>&1 || status=$?
  if [[ -e $test_folder/log ]]; then
    cp "$test_folder/log" "$work/$how.log"
  else
    cp "$work/boot.log" "$work/$how.log"
    status=1
  fi
fi
exit "$status"
