#!/usr/bin/env bash
# Installs what the tests of deployment and service need beside Python: an SSH server, its client, a clock that can be set
# back, what judges systemd units, and what the README asks a service with.
# Does nothing where they are there; says what to type where it may not install.
set -euo pipefail
missing=()
[ -x /usr/sbin/sshd ] || missing+=(openssh-server)
command -v sftp >/dev/null || missing+=(openssh-client)
command -v faketime >/dev/null || missing+=(faketime)
command -v systemd-analyze >/dev/null || missing+=(systemd)
command -v curl >/dev/null || missing+=(curl)
command -v openssl >/dev/null || missing+=(openssl)
[ "${#missing[@]}" -gt 0 ] || exit 0
if ! command -v apt-get >/dev/null || [ "$(id -u)" != 0 ]; then
    echo "The tests need ${missing[*]}. On Debian: sudo apt install ${missing[*]}" >&2
    exit 2
fi
echo "installing ${missing[*]}"
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
