# shellcheck shell=bash
# The load scripts' clients, and the counts of what they heard. It is sourced and does nothing by itself.

# Plain bytes: sorting, patterns and numbers must not depend on where somebody lives.
export LC_ALL=C

# It could not be tried. That is 2, and never 1: 1 is for figures that are wrong.
give_up() {
  printf '%s: %s\n' "${0##*/}" "$*" >&2
  exit 2
}

# read_arguments "$@": the URL, and for each option --NAME the variable ${options[NAME]}. Most are called alike, but
# the shell has some names for itself: in a terminal it sets LINES to the terminal's height after every command.
# The comment at the top of the script is its help.
declare -A options=()
read_arguments() {
  local name value url_is_given=''
  url=ws://127.0.0.1:8000
  while (($# > 0)); do
    case $1 in
      -h | --help)
        sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"
        exit 0
        ;;
      --?*)
        name=${1%%=*}
        name=${name#--}
        [[ $name && ${options[$name]-} ]] || give_up "there is no option --$name; see --help"
        if [[ $1 == *=* ]]; then
          value=${1#*=}
        else
          (($# > 1)) || give_up "$1 needs a number"
          value=$2
          shift
        fi
        printf -v "${options[$name]}" %s "$value"
        ;;
      ws://*[?#]*) give_up "the URL ends with the path: what comes after it is the script's own, so not $1" ;;
      ws://*)
        [[ ! $url_is_given ]] || give_up "one URL only"
        url=${1%/} url_is_given=yes
        ;;
      *) give_up "$1 is neither an option nor like ws://127.0.0.1:8000; see --help" ;;
    esac
    shift
  done
  for name in "${!options[@]}"; do
    value=${!options[$name]}
    [[ $value =~ ^[1-9][0-9]{0,6}$ ]] || give_up "--$name is a whole number from 1 to 9999999, not ${value:-nothing}"
  done
  command -v websocat >/dev/null || give_up "there is no websocat; please install it: cargo install websocat"
}

# Every wait ends by then, $LIMIT seconds from the start. SECONDS counts by itself, but from what the environment says.
# Who asks for time and gets none leaves something undone, so what was not heard is not lost, and is not called so.
SECONDS=0
is_late=''
still_time() {
  ((SECONDS < LIMIT)) || {
    is_late=yes
    return 1
  }
}

# To wait is to look again and again; this is the time in between.
a_moment() {
  sleep 0.05
}

# Makes the directory $work. All that was started ends with the script, and the directory goes, however it ends.
prepare() {
  work=$(mktemp -d) || give_up "there is no place for temporary files"
  trap clean_up EXIT
  trap 'exit 129' HUP
  trap 'exit 130' INT
  trap 'exit 143' TERM
  # Marks this run's lines, so that what others say meanwhile is not counted.
  run=run-$$-$RANDOM
  : >"$work/complaints"
  # Without join, leave and history, all that a listener is sent are messages. A room's name is the end of its path.
  case $url in
    */r/*) room="$url?quiet=1" ;;
    *) room="$url/?quiet=1" ;;
  esac
}

clean_up() {
  local pid
  # Only children of this shell that have not ended. One may be stopped, and must go on to end.
  for pid in $(jobs -pr); do
    kill -TERM "$pid" 2>/dev/null || true
    kill -CONT "$pid" 2>/dev/null || true
  done
  wait 2>/dev/null || true
  rm -rf "$work"
}

# must_answer URL [ADVICE]: gives up if no WebSocket can be had there, with ADVICE if the server said no.
#
# In the background: bash hears a signal only between two commands, but at once while it waits.
must_answer() {
  local code=0 status
  timeout "$LIMIT" websocat -t "$1" </dev/null >/dev/null 2>>"$work/complaints" &
  wait "$!" || code=$?
  if ((code == 124)); then give_up "no answer from $1 within $LIMIT seconds"; fi
  if ((code != 0)); then
    status=$(sed -n 's/.*unexpected status code (\(.*\))$/\1/p' "$work/complaints")
    [[ ! $status ]] || give_up "$1 is refused: $status${2:+. $2}"
    show_complaints
    give_up "nobody answers at $1"
  fi
}

# start_listeners COUNT: their process ids are in the array `listeners`, what they hear in $work/listener-NTH. Without
# -n websocat would say goodbye at once, since its input is at its end.
listeners=()
start_listeners() {
  local nth
  for ((nth = 0; nth < $1; nth++)); do
    # Made here, for the background may take its time.
    : >"$work/listener-$nth"
    websocat -n -t "$room" </dev/null >"$work/listener-$nth" 2>>"$work/complaints" &
    listeners+=("$!")
  done
}

# say TEXT: from a connection of its own, that ends when the room has heard it, or after five seconds. In the background
# for the same reason as above.
say() {
  timeout 5 websocat -1 -t "$room" <<<"$1" >/dev/null 2>>"$work/complaints" &
  wait "$!" || true
}

# talk COUNT LINES URL [HEARD]: so many talkers at once say their lines, which are in $work/said-NTH, and leave. What
# they hear goes to the files HEARD-NTH, if given. Ends when all have left; `start` and `end` are when it was.
start=0 end=0
talk() {
  local nth pid talkers=() heard=/dev/null
  for ((nth = 1; nth <= $1; nth++)); do
    lines_of "$nth" "$2" >"$work/said-$nth"
  done
  start=$(now_us)
  for ((nth = 1; nth <= $1; nth++)); do
    if [[ ${4-} ]]; then heard=$4-$nth; fi
    # At the end of its input websocat says goodbye, and the server answers when all was said.
    websocat -t "$3" <"$work/said-$nth" >"$heard" 2>>"$work/complaints" &
    talkers+=("$!")
  done
  for pid in "${talkers[@]}"; do
    while is_running "$pid" && still_time; do a_moment; done
  done
  end=$(now_us)
}

is_running() {
  kill -0 "$1" 2>/dev/null
}

# A process that runs is not yet a member of the room. Only who has heard something is in: so something is said, again
# and again, until every listener's file has it.
wait_until_all_are_in() {
  local nth
  for nth in "${!listeners[@]}"; do
    until grep -q "probe $run" "$work/listener-$nth"; do
      if ! is_running "${listeners[nth]}"; then
        show_complaints
        give_up "listener $nth cannot connect to $room"
      fi
      still_time || give_up "not all listeners were in the room within $LIMIT seconds; for more time there is --limit"
      say "probe $run"
      a_moment
    done
  done
}

# The room has one order. So who has heard the word `end` has heard, or will never hear, what was said before it.
# Somebody who was thrown out will not hear it, and is not waited for.
wait_until_all_have_heard_the_end() {
  local nth
  still_time || return 0
  say "end $run"
  for nth in "${!listeners[@]}"; do
    until grep -q "end $run" "$work/listener-$nth"; do
      is_running "${listeners[nth]}" || break
      still_time || break
      a_moment
    done
  done
}

# What websocat had to say.
show_complaints() {
  sort -u "$work/complaints" | head -n 5 >&2
}

# lines_of TALKER COUNT [FILLING]: what one talker says, with fixed widths, so that order and alphabet agree.
lines_of() {
  seq -f "$run $(printf %04d "$1") %08.0f${3:+ $3}" "$2"
}

# texts FILE: what this run's talkers said, out of the JSON of one listener. Half a line, if time was over, is none.
texts() {
  { grep -o "\"mess\":\"$run [^\"]*\"" "$1" || true; } | cut -d '"' -f 4
}

# tally EXPECTED HEARD: counts what one listener heard. EXPECTED is sorted.
expected=0 received=0 lost=0 duplicated=0
tally() {
  sort "$2" >"$work/sorted"
  uniq "$work/sorted" >"$work/once"
  ((expected += $(wc -l <"$1"))) || true
  ((received += $(wc -l <"$2"))) || true
  ((lost += $(comm -23 "$1" "$work/once" | wc -l))) || true
  ((duplicated += $(wc -l <"$work/sorted") - $(wc -l <"$work/once"))) || true
}

# Prints the counts and ends: with 0 if everything came once, and `wrong` is empty, and otherwise with 1. What may help
# who did not get done in time is in `if_late`.
wrong='' if_late=''
conclude() {
  if [[ $is_late ]]; then
    # The order of what came so far is not looked at, but nothing may come twice at any time.
    ((duplicated == 0)) || wrong+="a line came twice. "
    wrong+="not done within $LIMIT seconds; for more time there is --limit. $if_late"
    echo "expected $expected, received $received, not heard in time $lost, duplicated $duplicated"
  else
    ((expected == received && lost == 0 && duplicated == 0)) || wrong+="not every line came once. "
    echo "expected $expected, received $received, lost $lost, duplicated $duplicated"
  fi
  [[ $wrong ]] || exit 0
  show_complaints
  printf '%s: %s\n' "${0##*/}" "${wrong% }" >&2
  exit 1
}

# Microseconds since some moment in the past.
now_us() {
  echo "${EPOCHREALTIME//[!0-9]/}"
}

# per_second COUNT: while the talkers talked.
per_second() {
  echo $(($1 * 1000000 / (end > start ? end - start : 1)))
}
