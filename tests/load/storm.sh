#!/usr/bin/env bash
# Connection storm: many connect at once, say one line each, and leave. One listener must hear every line, once.
#
#   tests/load/storm.sh [URL] [--clients N] [--limit SECONDS]
#
# URL is ws://127.0.0.1:8000 if not given. So many clients (200) are started without waiting for each other. The same
# numbers can be set in the environment: CLIENTS, LIMIT (60).
#
# What it prints as connections a second is mostly the time that it takes to start that many processes.
# Exits 1 if a line is lost or comes twice.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

: "${CLIENTS:=200}" "${LIMIT:=60}"
options=(CLIENTS LIMIT)
read_arguments "$@"
prepare

start_listeners 1
wait_until_all_are_in

for ((nth = 1; nth <= CLIENTS; nth++)); do
  lines_of "$nth" 1 >"$work/talker-$nth"
done
start=$(now_us)
clients=()
for ((nth = 1; nth <= CLIENTS; nth++)); do
  websocat -t "$room" <"$work/talker-$nth" >/dev/null 2>>"$work/complaints" &
  clients+=("$!")
done
for pid in "${clients[@]}"; do
  while is_running "$pid" && still_time; do a_moment; done
done
end=$(now_us)
wait_until_all_have_heard_the_end

sort "$work"/talker-* >"$work/expected"
texts "$work/listener-0" >"$work/heard-0"
tally "$work/expected" "$work/heard-0"
echo "$CLIENTS clients: $(per_second "$CLIENTS" "$start" "$end") connections a second"
conclude
