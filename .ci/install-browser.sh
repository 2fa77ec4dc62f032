#!/usr/bin/env bash
# Installs the browser that looks at the status page (tests/browser), and the fonts that it draws with. Not in install.sh:
# it is large, and only the full run needs it.
set -euo pipefail

cd "$(dirname "$0")/.."
# shellcheck source=.ci/packages.sh
source .ci/packages.sh

need chromium
need node nodejs
need npm
[[ -e /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf ]] || packages+=(fonts-dejavu-core)
install_packages
