#!/usr/bin/env bash
# Makes requirements.txt and requirements-light.txt of the extras in pyproject.toml, at the versions of constraints.txt and
# constraints-light.txt, and takes out of those what no extra needs.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH"

# Packages, constraints, the comment at the head, and what to resolve for.
pin() {
    local packages=$1 constraints=$2 head=$3
    shift 3
    uv pip compile pyproject.toml --constraint "$constraints" --output-file "$packages" --generate-hashes --universal \
        --no-annotate --no-header --quiet "$@" >/dev/null
    sed -i.old "1i # $head Made by tools/requirements.sh." "$packages"
    # uv itself is what make setup installs with.
    awk -F '==' '
        function name(text) { text = tolower(text); gsub(/[-_.]+/, "-", text); return text }
        FNR == NR { if (NF > 1) needed[name($1)]; next }
        /^#/ || name($1) in needed || $1 == "uv"
    ' "$packages" "$constraints" >"$constraints.new"
    mv "$constraints.new" "$constraints"
    rm "$packages.old"
}

pin requirements.txt constraints.txt "Every package of every extra with the SHA-256 of its files: make setup installs no other." \
    --all-extras --python-version 3.11.5
pin requirements-light.txt constraints-light.txt "The packages of constraints-light.txt with the SHA-256 of their files." \
    --extra pi --python-version 3.11
