#!/usr/bin/env bash
# Installs what the deployment tests need beside Python: an SSH server, its client, and a clock that can be set back.
# Does nothing where they are there; says what to type where it may not install.
set -euo pipefail
missing=()
[ -x /usr/sbin/sshd ] || missing+=(openssh-server)
command -v sftp >/dev/null || missing+=(openssh-client)
command -v faketime >/dev/null || missing+=(faketime)
[ "${#missing[@]}" -gt 0 ] || exit 0
if ! command -v apt-get >/dev/null || [ "$(id -u)" != 0 ]; then
    echo "The deployment tests need ${missing[*]}. On Debian: sudo apt install ${missing[*]}" >&2
    exit 2
fi
echo "installing ${missing[*]}"
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
