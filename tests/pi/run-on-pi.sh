#!/usr/bin/env bash
# run-on-pi.sh SYSROOT COMMAND [ARGUMENT...]
#
# Runs a command of a sysroot made by make-sysroot.sh as on a Raspberry Pi: PI_MODEL is 3, 4 (default) or 5, that is a
# Cortex-A53, -A72 or -A76, of which only the last has the int8 dot-product instructions. The current directory and /tmp
# are seen as they are; standard streams and exit status are those of the command. Times mean nothing here.
set -euo pipefail
die() { echo "run-on-pi: $*" >&2; exit 125; }
[ $# -ge 2 ] || die "usage: run-on-pi.sh SYSROOT COMMAND [ARGUMENT...]"
root=$(cd "$1" && pwd); shift
[ -e "$root/lib/ld-linux-aarch64.so.1" ] || die "$root is no arm64 sysroot"
# Never QEMU's default CPU: that has SVE and SME, which no Pi has, and the runtimes would take other kernels.
case ${PI_MODEL:-4} in
    3) cpu=cortex-a53 ;;
    4) cpu=cortex-a72 ;;
    5) cpu=cortex-a76 ;;
    *) die "PI_MODEL is 3, 4 or 5" ;;
esac
# The host's own Python and loader settings must not leak in.
unset PYTHONHOME PYTHONPATH VIRTUAL_ENV PYENV_VERSION LD_LIBRARY_PATH LD_PRELOAD
export LC_ALL=C.UTF-8 PATH=/usr/local/bin:/usr/bin:/bin
binds=(-b "$PWD" -b /tmp -b /proc -b /dev)
exec /usr/bin/proot -q "$(PATH=/usr/bin command -v qemu-aarch64) -cpu $cpu" -R "$root" "${binds[@]}" -w "$PWD" "$@"
