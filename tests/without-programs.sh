#!/usr/bin/env bash
# Runs a command as on a machine that has none of the programs of tests/programs.py, and no fonts, for example:
#   tests/without-programs.sh make test
# As root they are removed from a layer over /usr, which this command alone sees. Otherwise a PATH hides the programs.
set -euo pipefail
names=$(python3 "$(dirname "$0")/programs.py" names)

if [ "${1:-}" = --over-usr ]; then
    layer=$2
    shift 2
    mount -t tmpfs tmpfs "$layer"
    mkdir "$layer/changes" "$layer/work"
    mount -t overlay overlay -o "lowerdir=/usr,upperdir=$layer/changes,workdir=$layer/work" /usr
    for name in $names; do
        while found=$(PATH="$PATH:/usr/sbin" type -P "$name"); do rm "$found"; done
    done
    rm -rf /usr/share/fonts /usr/local/share/fonts
    exec "$@"
fi

place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
if unshare --mount "$0" --over-usr "$place" true 2>/dev/null; then
    unshare --mount "$0" --over-usr "$place" "$@"
    exit
fi
echo "$0: nothing can be mounted over /usr here. A PATH hides the programs from all that do not name a path." >&2
IFS=: read -ra directories <<<"$PATH"
for ((i = ${#directories[@]} - 1; i >= 0; i--)); do
    find "${directories[i]}" -maxdepth 1 ! -type d -exec ln -sf -t "$place" {} + 2>/dev/null || true
done
for name in $names; do rm -f "$place/$name"; done
PATH=$place "$@"
