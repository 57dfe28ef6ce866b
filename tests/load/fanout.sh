#!/usr/bin/env bash
# Fan-out: everybody in the room hears every line, once, in one order.
#
#   tests/load/fanout.sh [URL] [--listeners N] [--talkers N] [--lines N] [--limit SECONDS]
#
# URL is ws://127.0.0.1:8000 if not given, for the lobby; a room has ws://127.0.0.1:8000/r/NAME. So many listeners (20)
# connect and hear so many talkers (1) say so many lines (1000) each. The same numbers can be set in the environment:
# LISTENERS, TALKERS, MESSAGES for --lines, and LIMIT (60).
#
# Start the daemon with --no-rate-limit, or the talkers are slowed down to 20 lines a second.
# Exits 1 if a line is lost, comes twice, or comes in another order, or if it is not done within LIMIT seconds; 2 if it
# could not be tried: wrong arguments, no websocat, nobody who answers at URL.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=clients.sh
source "$(dirname "${BASH_SOURCE[0]}")/clients.sh"

: "${LISTENERS:=20}" "${TALKERS:=1}" "${MESSAGES:=1000}" "${LIMIT:=60}"
options=([listeners]=LISTENERS [talkers]=TALKERS [lines]=MESSAGES [limit]=LIMIT)
read_arguments "$@"
prepare
must_answer "$room"

start_listeners "$LISTENERS"
wait_until_all_are_in

talk "$TALKERS" "$MESSAGES" "$room"
wait_until_all_have_heard_the_end
# Until the last has been heard, not only said.
end=$(now_us)

sort "$work"/said-* >"$work/expected"
for ((nth = 0; nth < LISTENERS; nth++)); do
  texts "$work/listener-$nth" >"$work/heard-$nth"
  tally "$work/expected" "$work/heard-$nth"
  if [[ $is_late ]]; then continue; fi
  # Put by talker and otherwise left as they came, the lines must be what the talkers said, one after the other.
  sort --stable --key=2,2 "$work/heard-$nth" | cmp -s - "$work/expected" ||
    wrong+="listener $nth did not hear the lines of each talker in order. "
  # How the talkers' lines mix is open, but it is the same for everybody.
  cmp -s "$work/heard-0" "$work/heard-$nth" || wrong+="listeners 0 and $nth heard different things. "
done
echo "$LISTENERS listeners, $TALKERS talkers, $MESSAGES lines each: $(per_second "$received") lines heard a second"
if_late="A server with a rate limit takes 20 lines a second of a talker: start it with --no-rate-limit. "
conclude
