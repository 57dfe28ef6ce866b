#!/usr/bin/env bash
# Slow reader: one client stops reading while somebody talks. It is dropped; all others hear every line, once, in order.
#
#   tests/load/slow-reader.sh [URL] [--listeners N] [--lines N] [--bytes N] [--limit SECONDS]
#
# URL is ws://127.0.0.1:8000 if not given, for the lobby; a room has ws://127.0.0.1:8000/r/NAME. So many others (3)
# listen to so many lines (500) of so many bytes (32000). The same numbers can be set in the environment: LISTENERS,
# MESSAGES for --lines, BYTES, and LIMIT (60).
#
# The kernel takes some megabytes for a client that does not read, on both sides of the connection, before the server
# notices anything: so it must be much that is said, and BYTES must stay below 65000.
# Start the daemon with --no-rate-limit, or the talker is slowed down to 20 lines a second.
# Exits 1 if one of the others loses a line, hears it twice or in another order, if the slow one is not dropped, or if
# it is not done within LIMIT seconds; 2 if it could not be tried: wrong arguments, no websocat, nobody who answers at
# URL.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=clients.sh
source "$(dirname "${BASH_SOURCE[0]}")/clients.sh"

: "${LISTENERS:=3}" "${MESSAGES:=500}" "${BYTES:=32000}" "${LIMIT:=60}"
options=([listeners]=LISTENERS [lines]=MESSAGES [bytes]=BYTES [limit]=LIMIT)
read_arguments "$@"
((BYTES >= 100 && BYTES <= 65000)) || give_up "--bytes is from 100 to 65000: websocat splits longer lines"
prepare
must_answer "$room"

start_listeners $((LISTENERS + 1))
wait_until_all_are_in
# The last one of them is the slow one. Its socket stays open, but nobody reads from it.
slow=${listeners[LISTENERS]}
unset "listeners[LISTENERS]"
kill -STOP "$slow"

filling=$(head -c $((BYTES - ${#run} - 15)) /dev/zero | tr '\0' x)
lines_of 1 "$MESSAGES" "$filling" >"$work/expected"

# One talker for all lines, so that their order is known. It must not be faster than the others can listen, or they are
# slow readers themselves: no more than half of what the server keeps for each (1 MiB) is under way.
mkfifo "$work/to-talker"
# Who writes to it below may have to wait for the server, and must not wait for ever: hence the timeout.
timeout "$LIMIT" websocat -t "$room" <"$work/to-talker" >/dev/null 2>>"$work/complaints" &
talker=$!
exec {to_talker}>"$work/to-talker"
# A talker that is gone is found out by a failing printf, and not by a signal that ends this script.
trap '' PIPE
window=$((512 * 1024 / BYTES))
said=0
while IFS= read -r line && still_time; do
  printf '%s\n' "$line" >&"$to_talker" || break
  ((said += 1))
  if ((said % window == 0)); then
    for nth in "${!listeners[@]}"; do
      # Without the filling: run, talker, number.
      until tail -n 1 "$work/listener-$nth" | grep -qF "${line% *}"; do
        if ! is_running "${listeners[nth]}" || ! still_time; then break; fi
        a_moment
      done
    done
  fi
done <"$work/expected"
exec {to_talker}>&-
while is_running "$talker" && still_time; do a_moment; done
wait_until_all_have_heard_the_end

for nth in "${!listeners[@]}"; do
  texts "$work/listener-$nth" >"$work/heard-$nth"
  tally "$work/expected" "$work/heard-$nth"
  if [[ $is_late ]]; then continue; fi
  cmp -s "$work/expected" "$work/heard-$nth" || wrong+="listener $nth did not hear the lines in order. "
done

# Let it read on. It has what the kernel kept for it and then comes to the end of the connection; were it still in the
# room, -n would keep it running, and it would hear the end as all others did. websocat does not show the code of the
# server's Close, and exits with 0.
kill -CONT "$slow"
fate="had not ended when the time was over"
while still_time; do
  if ! is_running "$slow"; then
    fate="was dropped"
    break
  fi
  if grep -q "end $run" "$work/listener-$LISTENERS"; then
    fate="was not dropped"
    wrong+="the slow reader was not dropped; try more --lines. "
    break
  fi
  a_moment
done
texts "$work/listener-$LISTENERS" >"$work/heard-slow"
slow_heard=$(wc -l <"$work/heard-slow")
had="the first $slow_heard"
if ! cmp -s "$work/heard-slow" <(head -n "$slow_heard" "$work/expected"); then
  had="$slow_heard with a hole"
  wrong+="the slow reader heard lines with a hole. "
fi
echo "$LISTENERS listeners, $MESSAGES lines of $BYTES bytes; the slow reader had $had and $fate"
if_late="A server with a rate limit takes 20 lines a second of a talker: start it with --no-rate-limit. "
conclude
