#!/usr/bin/env bash
# Installs, on Debian and as root, the programs that some tests need beside Python. Without them, `make test-all`
# says at its end which tests it left out.
set -euo pipefail
packages=$(python3 "$(dirname "$0")/programs.py")
[ -n "$packages" ] || exit 0
echo "installing $packages"
apt-get update -qq
# shellcheck disable=SC2086 # one word for each package
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages >/dev/null
