#!/usr/bin/env bash
# make-sysroot.sh TARGET CONSTRAINTS REQUIREMENT...
#
# Builds in TARGET, from package registries alone, a Debian arm64 user space with Python and aarch64 wheels: a stand-in
# for the user space of a Raspberry Pi 3, 4 or 5 with a 64-bit OS. Nothing of the host is changed but for qemu-user and
# proot, which are installed where they are missing and the script runs as root.
#
# SUITE=bookworm gives Python 3.11 and glibc 2.36, SUITE=trixie Python 3.13 and glibc 2.41, as the two current
# Raspberry Pi OS releases have; the default is the host's own. PYTHON is the host's Python whose pip fetches the wheels.
set -euo pipefail

die() { echo "make-sysroot: $*" >&2; exit 1; }
note() { echo "make-sysroot: [${SECONDS}s] $*"; }

[ $# -ge 3 ] || die "usage: make-sysroot.sh TARGET CONSTRAINTS REQUIREMENT..."
target=$1; constraints=$2; shift 2
mkdir -p "$target"
[ -z "$(ls -A "$target")" ] || die "$target is not empty"
target=$(cd "$target" && pwd)
python=${PYTHON:-python3}
host_suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
suite=${SUITE:-$host_suite}

# ---- the emulator of a process, and a rootless chroot that sends child processes through it too
if ! command -v qemu-aarch64 >/dev/null || ! command -v proot >/dev/null; then
    [ "$(id -u)" = 0 ] || die "install the emulator first: sudo apt install qemu-user proot"
    note "installing qemu-user and proot"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends qemu-user proot >/dev/null
fi
for tool in apt-get dpkg-deb tar; do command -v "$tool" >/dev/null || die "$tool is missing: this needs Debian"; done

# ---- arm64 packages, resolved by apt in a state of its own and unpacked, not installed
apt=$target/.apt
mkdir -p "$apt/state/lists/partial" "$apt/cache/archives/partial" "$apt/sources"
: > "$apt/state/status"
: > "$apt/empty"
for list in /etc/apt/sources.list /etc/apt/sources.list.d/*; do
    [ -f "$list" ] || continue
    if grep -qE '^[^#]*file:' "$list"; then continue; fi
    name=$(basename "$list")
    [ "$name" != sources.list ] || name=main.list
    sed "s/\b${host_suite:-none}\b/$suite/g" "$list" > "$apt/sources/$name"
done
options=(-q -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o APT::Install-Recommends=false
    -o APT::Sandbox::User= -o Dir::Etc::sourcelist="$apt/empty" -o Dir::Etc::sourceparts="$apt/sources"
    -o Dir::State="$apt/state" -o Dir::State::status="$apt/state/status" -o Dir::Cache="$apt/cache"
    -o Dir::Log="$apt" -o Binary::apt::APT::Keep-Downloaded-Packages=true)
fetch() { apt-get "${options[@]}" "$@" >> "$apt/log" 2>&1 || { tail -20 "$apt/log" >&2; die "apt-get $1 failed"; }; }
note "packages of $suite/arm64"
fetch update
# libstdc++6 and libgomp1 are what the wheels need; bash and coreutils make small shell scripts run.
fetch -y --download-only install base-files bash coreutils dash libc-bin python3 libstdc++6 libgomp1 ${DEBS:-}

# Merged /usr, as on a real system: the loader's path is /lib/ld-linux-aarch64.so.1.
mkdir -p "$target"/usr/{bin,sbin,lib} "$target"/{tmp,proc,sys,dev,root,home}
for directory in bin sbin lib; do ln -s "usr/$directory" "$target/$directory"; done
for package in "$apt"/cache/archives/*.deb; do
    dpkg-deb --fsys-tarfile "$package" | tar -x -C "$target" --keep-directory-symlink --no-same-owner
done
chmod 1777 "$target/tmp"
[ -e "$target/usr/bin/sh" ] || ln -s dash "$target/usr/bin/sh"
# What the packages' install scripts would have made: users, sshd's directory and the certificates that pip looks for.
cat > "$target/etc/passwd" <<END
root:x:0:0:root:/root:/bin/sh
sshd:x:101:65534::/run/sshd:/usr/sbin/nologin
nobody:x:65534:65534::/nonexistent:/usr/sbin/nologin
END
mkdir -p "$target/run/sshd" "$target/etc/ssl/certs"
if [ -d "$target/usr/share/ca-certificates" ]; then
    find "$target/usr/share/ca-certificates" -name '*.crt' -exec cat {} + > "$target/etc/ssl/certs/ca-certificates.crt"
fi
rm -rf "$target"/usr/share/{doc,man,locale,info,lintian,zoneinfo} "$apt"

# ---- aarch64 wheels
python_name=$(cd "$target/usr/bin" && ls -d python3.[0-9]* | grep -E '^python3\.[0-9]+$' | head -1)
glibc=$(qemu-aarch64 -cpu cortex-a72 -L "$target" "$target/usr/bin/$python_name" -Ic \
    'import platform; print(platform.libc_ver()[1])')
site=$target/usr/local/lib/$python_name/dist-packages
mkdir -p "$site"
platforms=(--platform linux_aarch64 --platform manylinux2014_aarch64)
for minor in $(seq 17 "${glibc#2.}"); do platforms+=(--platform "manylinux_2_${minor}_aarch64"); done
wheels=(--only-binary=:all: --implementation cp --python-version "${python_name#python}" "${platforms[@]}")
note "wheels for $python_name, glibc $glibc"
# "pip download" resolves for the target's Python version; "pip install --target" would resolve for the host's.
"$python" -m pip download -q --disable-pip-version-check -c "$constraints" "${wheels[@]}" -d "$target/.wheels" "$@"
"$python" -m pip install -q --disable-pip-version-check --root-user-action=ignore --no-index --no-deps \
    --ignore-requires-python --no-compile "${wheels[@]}" --target "$site" "$target"/.wheels/*.whl
ls "$target/.wheels" > "$target/.wheels.txt"
rm -rf "$target/.wheels"
note "done: $(du -sm "$target" | cut -f1) MB"
