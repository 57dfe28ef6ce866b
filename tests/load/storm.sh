#!/usr/bin/env bash
# Connection storm: many connect at once, say one line each, and leave. One listener must hear every line, once.
#
#   tests/load/storm.sh [URL] [--clients N] [--limit SECONDS]
#
# URL is ws://127.0.0.1:8000 if not given, for the lobby; a room has ws://127.0.0.1:8000/r/NAME. So many clients (200)
# are started without waiting for each other. The same numbers can be set in the environment: CLIENTS and LIMIT (60).
#
# What it prints as connections a second is mostly the time that it takes to start that many processes.
# Exits 1 if a line is lost or comes twice, or if it is not done within LIMIT seconds; 2 if it could not be tried: wrong
# arguments, no websocat, nobody who answers at URL.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=clients.sh
source "$(dirname "${BASH_SOURCE[0]}")/clients.sh"

: "${CLIENTS:=200}" "${LIMIT:=60}"
options=([clients]=CLIENTS [limit]=LIMIT)
read_arguments "$@"
prepare
must_answer "$room"

start_listeners 1
wait_until_all_are_in

talk "$CLIENTS" 1 "$room"
wait_until_all_have_heard_the_end

sort "$work"/said-* >"$work/expected"
texts "$work/listener-0" >"$work/heard-0"
tally "$work/expected" "$work/heard-0"
echo "$CLIENTS clients: $(per_second "$CLIENTS") connections a second"
conclude
