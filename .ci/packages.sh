#!/usr/bin/env bash
# Sourced: packages that this machine lacks, and their installation.

packages=()
need() { # need PROGRAM [PACKAGE]
  command -v "$1" >/dev/null || packages+=("${2:-$1}")
}

install_packages() {
  if ((${#packages[@]} == 0)); then return; fi
  echo "installing: ${packages[*]}"
  local as_root=()
  if ((EUID != 0)); then as_root=(sudo); fi
  export DEBIAN_FRONTEND=noninteractive
  "${as_root[@]}" apt-get update -qq
  "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${packages[@]}"
}
