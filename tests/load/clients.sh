# shellcheck shell=bash
# The load scripts' clients, and the counts of what they heard. It is sourced and does nothing by itself.

# Plain bytes: sorting, patterns and numbers must not depend on where somebody lives.
export LC_ALL=C

give_up() {
  printf '%s: %s\n' "${0##*/}" "$*" >&2
  exit 1
}

# read_arguments "$@": the URL, and for each option --NAME the variable NAME, as listed in the array `options`.
# The comment at the top of the script is its help.
options=()
read_arguments() {
  local name is_known url_is_given=''
  url=ws://127.0.0.1:8000
  while (($# > 0)); do
    case $1 in
      -h | --help)
        sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"
        exit 0
        ;;
      --*)
        is_known=''
        for name in "${options[@]}"; do
          if [[ $1 == "--${name,,}" ]]; then is_known=$name; fi
        done
        [[ $is_known ]] || give_up "there is no option $1; see --help"
        (($# > 1)) || give_up "$1 needs a number"
        printf -v "$is_known" %s "$2"
        shift
        ;;
      ws://*)
        [[ ! $url_is_given ]] || give_up "one URL only"
        url=${1%/} url_is_given=yes
        ;;
      *) give_up "$1 is neither an option nor like ws://127.0.0.1:8000; see --help" ;;
    esac
    shift
  done
  for name in "${options[@]}"; do
    [[ ${!name} =~ ^[1-9][0-9]{0,6}$ ]] || give_up "--${name,,} is a whole number from 1 to 9999999, not ${!name}"
  done
  command -v websocat >/dev/null || give_up "there is no websocat; please install it: cargo install websocat"
}

# Every wait ends by then, $LIMIT seconds from the start. SECONDS counts by itself.
still_time() {
  ((SECONDS < LIMIT))
}

# To wait is to look again and again; this is the time in between.
a_moment() {
  sleep 0.05
}

# Makes the directory $work. All that was started ends with the script, and the directory goes, however it ends.
prepare() {
  work=$(mktemp -d)
  trap clean_up EXIT
  trap 'exit 129' HUP
  trap 'exit 130' INT
  trap 'exit 143' TERM
  # Marks this run's lines, so that what others say meanwhile is not counted.
  run=run-$$-$RANDOM
  : >"$work/complaints"
  # Without join, leave and history, all that a listener is sent are messages.
  room="$url/?quiet=1"
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

# say TEXT: from a connection of its own, that ends when the room has heard it, or after five seconds.
say() {
  timeout 5 websocat -1 -t "$room" <<<"$1" >/dev/null 2>>"$work/complaints" || true
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
      is_running "${listeners[nth]}" || complain "a listener cannot connect to $room"
      still_time || complain "not all listeners have heard something within $LIMIT seconds"
      say "probe $run"
      a_moment
    done
  done
}

# The room has one order. So who has heard the word `end` has heard, or will never hear, what was said before it.
# Somebody who was thrown out will not hear it, and is not waited for.
wait_until_all_have_heard_the_end() {
  local nth
  say "end $run"
  for nth in "${!listeners[@]}"; do
    until grep -q "end $run" "$work/listener-$nth"; do
      is_running "${listeners[nth]}" || break
      still_time || break
      a_moment
    done
  done
}

# Ends with what websocat had to say.
complain() {
  sort -u "$work/complaints" | head -n 5 >&2
  give_up "$*"
}

# lines_of TALKER COUNT [FILLING]: what one talker says, with fixed widths, so that order and alphabet agree.
lines_of() {
  seq -f "$run $(printf %04d "$1") %08.0f${3:+ $3}" "$2"
}

# texts FILE: what this run's talkers said, out of the JSON of one listener.
texts() {
  { grep -o "\"mess\":\"$run [^\"]*" "$1" || true; } | cut -c 9-
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

# Prints the counts and ends: with 0 if everything came once, and `wrong` is empty.
wrong=''
conclude() {
  echo "expected $expected, received $received, lost $lost, duplicated $duplicated"
  ((expected == received && lost == 0 && duplicated == 0)) || wrong+="not every line came once. "
  if [[ $wrong ]]; then
    complain "$wrong"
  fi
  exit 0
}

# Microseconds since some moment in the past.
now_us() {
  echo "${EPOCHREALTIME//[!0-9]/}"
}

# per_second COUNT: while the talkers talked.
per_second() {
  echo $(($1 * 1000000 / (end > start ? end - start : 1)))
}
