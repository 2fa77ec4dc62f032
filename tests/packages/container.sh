#!/usr/bin/env bash
# Builds the image and runs it, by podman, with storage of its own that goes again: a new volume, a read-only image, no
# network but its own loopback, no capability. Needs what packaging/static.sh built.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=.ci/packages.sh
source .ci/packages.sh
# shellcheck source=tests/packages/told.sh
source tests/packages/told.sh
need podman
need buildah
# Of the two it takes cgroups of either version.
need runc
need jq
install_packages
if ((EUID != 0)); then exec sudo --preserve-env=PATH,CARGO_HOME,RUSTUP_HOME,HOME "$0"; fi

work="$(mktemp -d)"
podman=(podman --root "$work/storage" --runroot "$work/run" --storage-driver vfs --cgroup-manager cgroupfs --runtime runc)
trap '"${podman[@]}" rm --all --force >/dev/null; rm -rf "$work"' EXIT
export BUILDAH_ISOLATION=chroot
packaging/container.sh "${podman[@]}" >"$work/build.log" 2>&1 || { cat "$work/build.log"; exit 1; }
# Limits that need no privilege of the machine to be set.
limits=(--ulimit nofile=1024:1024 --ulimit nproc=1000:1000)
options=(--network none --read-only --cap-drop all --security-opt no-new-privileges --volume box:/data "${limits[@]}")
inside() { "${podman[@]}" exec box /usr/bin/heartbeatd "$@"; }

holds 'it says its version' "${podman[@]}" run --rm "${options[@]}" heartbeatd --version
holds 'it makes a box in an empty volume' "${podman[@]}" run --rm "${options[@]}" heartbeatd init /data
volume="$("${podman[@]}" volume inspect box --format '{{.Mountpoint}}')"
holds 'the secret is its user'\''s alone' grep -qx '600 65532' <(stat --format='%a %u' "$volume/secret")
cat >"$volume/flows/example.toml" <<'END'
run_interval = "1h"
[source]
type = "system"
metrics = ["memory"]
[sink]
type = "sqlite"
database = "/data/readings.db"
table = "reading"
create = true
END
holds 'it starts' "${podman[@]}" run --detach --name box "${options[@]}" heartbeatd
holds 'it answers a signed heartbeat' waits_for inside beat
holds 'its health check succeeds' inside --quiet status --ready
holds 'its pipeline moved records' grep -q '"status":"success"' <(inside --json runs list)
holds 'where it was told to' test -s "$volume/readings.db"
holds 'it can be told to stop' "${podman[@]}" stop --time 15 box
holds 'and ends with 0' grep -qx 0 <("${podman[@]}" inspect box --format '{{.State.ExitCode}}')
"${podman[@]}" logs box 2>&1 | tail -n 3
"${podman[@]}" images --format '{{.Size}}' heartbeatd
exit "$failed"
