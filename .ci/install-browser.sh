#!/usr/bin/env bash
# Installs the browser that looks at the status page (tests/browser), and the fonts that it draws with. Not in install.sh:
# it is large, and only the full run needs it.
set -euo pipefail

packages=()
command -v chromium >/dev/null || packages+=(chromium)
[[ -e /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf ]] || packages+=(fonts-dejavu-core)
command -v node >/dev/null || packages+=(nodejs)
command -v npm >/dev/null || packages+=(npm)

if ((${#packages[@]} > 0)); then
  echo "installing: ${packages[*]}"
  as_root=()
  if ((EUID != 0)); then as_root=(sudo); fi
  export DEBIAN_FRONTEND=noninteractive
  "${as_root[@]}" apt-get update -qq
  "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${packages[@]}"
fi
