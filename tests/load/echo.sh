#!/usr/bin/env bash
# Echo: every line comes back as it is, in order.
#
#   tests/load/echo.sh [URL] [--clients N] [--lines N] [--limit SECONDS]
#
# URL is ws://127.0.0.1:8000 if not given; /echo is added to it. So many clients (1) at once send so many lines (10000)
# each. The same numbers can be set in the environment: CLIENTS, LINES, LIMIT (60).
#
# Start the daemon with --echo; no rate limit holds there.
# Exits 1 if a line is lost, comes twice, or comes in another order.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=clients.sh
source "$(dirname "${BASH_SOURCE[0]}")/clients.sh"

: "${CLIENTS:=1}" "${LINES:=10000}" "${LIMIT:=60}"
options=(CLIENTS LINES LIMIT)
read_arguments "$@"
prepare

talk "$CLIENTS" "$LINES" "$url/echo" "$work/heard"
for ((nth = 1; nth <= CLIENTS; nth++)); do
  tally "$work/said-$nth" "$work/heard-$nth"
  cmp -s "$work/said-$nth" "$work/heard-$nth" || wrong+="client $nth did not get its lines back in order. "
done
((received > 0)) || wrong+="Was the daemon started with --echo? "
echo "$CLIENTS clients, $LINES lines each: $(per_second "$received") lines a second there and back"
conclude
