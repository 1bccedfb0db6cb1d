#!/usr/bin/env bash
# Runs a command beside 20 processes that do nothing but compute, five seconds out of twenty:
#   tests/beside-a-load.sh make test
# On two processors it then gets an eighth of the time, which no limit in seconds survives that is not meant for what
# hangs. All of the time, it would take hours.
set -u
(while :; do
    for _ in {1..20}; do timeout 5 sh -c 'while :; do :; done' & done
    wait
    sleep 15
done) &
load=$!
"$@"
status=$?
kill "$load"
exit "$status"
