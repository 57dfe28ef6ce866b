#!/usr/bin/env bash
# Echo: every line comes back as it is, in order.
#
#   tests/load/echo.sh [URL] [--clients N] [--lines N] [--limit SECONDS]
#
# URL is ws://127.0.0.1:8000 if not given; /echo is added to it. An echo is in no room, so /r/NAME at its end is left
# out. So many clients (1) at once send so many lines (10000) each. The same numbers can be set in the environment:
# CLIENTS, MESSAGES for --lines, and LIMIT (60).
#
# Start the daemon with --echo; no rate limit holds there.
# Exits 1 if a line is lost, comes twice, or comes in another order, or if it is not done within LIMIT seconds; 2 if it
# could not be tried: wrong arguments, no websocat, nobody who answers at URL, or no --echo.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=clients.sh
source "$(dirname "${BASH_SOURCE[0]}")/clients.sh"

: "${CLIENTS:=1}" "${MESSAGES:=10000}" "${LIMIT:=60}"
options=([clients]=CLIENTS [lines]=MESSAGES [limit]=LIMIT)
read_arguments "$@"
prepare
echo="${url%/r/*}/echo"
must_answer "$echo" "Was the daemon started with --echo?"

talk "$CLIENTS" "$MESSAGES" "$echo" "$work/heard"
for ((nth = 1; nth <= CLIENTS; nth++)); do
  tally "$work/said-$nth" "$work/heard-$nth"
  if [[ $is_late ]]; then continue; fi
  cmp -s "$work/said-$nth" "$work/heard-$nth" || wrong+="client $nth did not get its lines back in order. "
done
echo "$CLIENTS clients, $MESSAGES lines each: $(per_second "$received") lines a second there and back"
conclude
