//! Attackers against the real daemon, beside witnesses who only want to talk: nothing that one does hurts the others.
//!
//! Each attack is a program with an end: a crowd of peers of bounded size, for a bounded time, over loopback. While it
//! runs, pairs in rooms of their own talk and measure how long each word takes; before it they did the same in quiet.
//! `siege.rs` says what must hold. The limits are set so small that few connections reach them.
//!
//! All at once, for a minute, with a report:
//!
//! `cargo test --release --test attack all_at_once -- --ignored --nocapture`
//!
//! `ATTACK_SECONDS=10` is another time, `ATTACKS='ghosts, since'` are some of them only.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed expectation is a failed test")]

#[path = "../support/mod.rs"]
mod support;

mod arriving;
mod pause;
mod peer;
mod siege;
mod talking;
mod vanishing;
mod waiting;
mod witness;

use std::path::PathBuf;
use std::time::Duration;

use siege::{Attack, Latencies, Times, withstand};

/// What plain `cargo test` has time for.
const SHORT: Times =
    Times { idle: Duration::from_millis(700), attack: Duration::from_millis(1_300), latency: Latencies::Held };

const LONG: Times = Times { idle: Duration::from_secs(2), attack: Duration::from_secs(5), latency: Latencies::Held };

const GHOSTS: Attack = Attack { name: "ghosts", run: vanishing::ghosts, peers: 50 };
const CHURN: Attack = Attack { name: "churn", run: vanishing::churn, peers: 50 };
const MANY_ROOMS: Attack = Attack { name: "many rooms", run: vanishing::many_rooms, peers: 30 };
const UNREAD_HISTORY: Attack = Attack { name: "history unread", run: waiting::unread_history, peers: 100 };
const SINCE: Attack = Attack { name: "since", run: waiting::since, peers: 20 };
const FRAGMENTS: Attack = Attack { name: "fragments", run: waiting::fragments, peers: 40 };
const SLOW_DRIP: Attack = Attack { name: "slow drip", run: waiting::slow_drip, peers: 50 };
const LONG_TEXTS: Attack = Attack { name: "long texts", run: talking::long_texts, peers: 20 };
const PRIVATE_FLOOD: Attack = Attack { name: "private flood", run: talking::private_flood, peers: 10 };
const DEAR_NAMES: Attack = Attack { name: "dear names", run: talking::dear_names, peers: 20 };
const HALF_HANDSHAKES: Attack = Attack { name: "half handshakes", run: arriving::half_handshakes, peers: 50 };
const CONNECT_STORM: Attack = Attack { name: "connect storm", run: arriving::connect_storm, peers: 20 };

/// A file with a long past, removed when dropped.
struct LongPast(PathBuf);

impl LongPast {
    fn make(name: &str) -> LongPast {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("attack-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        let past = LongPast(folder);
        waiting::fill_long_room(&past.file());
        past
    }

    fn file(&self) -> String {
        self.0.join("roomd.db").to_str().unwrap().to_owned()
    }
}

impl Drop for LongPast {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

// ---- Quick ones ------------------------------------------------------------------------------------------------------

#[test]
fn ghosts_take_no_slot_no_name_and_nobodys_time() {
    withstand(&[GHOSTS], &[], SHORT);
}

#[test]
fn who_comes_goes_moves_and_is_renamed_all_the_time_disturbs_only_its_own_rooms() {
    withstand(&[CHURN], &[], SHORT);
}

#[test]
fn names_that_are_hard_to_compare_cost_only_who_wants_them() {
    withstand(&[DEAR_NAMES], &[], SHORT);
}

#[test]
fn who_stands_in_the_door_is_in_nobodys_way() {
    withstand(&[HALF_HANDSHAKES, CONNECT_STORM], &[], SHORT);
}

// ---- Longer ones -----------------------------------------------------------------------------------------------------

#[test]
#[ignore = "takes 10 s: tests/run runs it"]
fn pages_of_the_past_that_nobody_reads_cost_who_asked_for_them() {
    let past = LongPast::make("history");
    withstand(&[UNREAD_HISTORY], &["--history", &past.file()], LONG);
}

#[test]
#[ignore = "takes 10 s: tests/run runs it"]
fn who_comes_back_to_a_long_past_all_the_time_holds_up_nobody() {
    let past = LongPast::make("since");
    withstand(&[SINCE], &["--history", &past.file()], LONG);
}

#[test]
#[ignore = "takes 10 s: tests/run runs it"]
fn a_room_for_every_visit_leaves_the_other_rooms_alone() {
    withstand(&[MANY_ROOMS], &["--max-rooms", "100"], LONG);
}

#[test]
#[ignore = "takes 10 s: tests/run runs it"]
fn messages_in_the_smallest_pieces_and_without_an_end_hold_up_nobody() {
    withstand(&[FRAGMENTS, SLOW_DRIP], &[], LONG);
}

#[test]
#[ignore = "takes 10 s: tests/run runs it"]
fn the_longest_texts_are_heard_only_where_they_are_said() {
    withstand(&[LONG_TEXTS], &[], LONG);
}

#[test]
#[ignore = "takes 10 s: tests/run runs it"]
fn a_private_flood_harms_nobody_but_its_sender() {
    withstand(&[PRIVATE_FLOOD], &[], LONG);
}

/// The minute of everything. In a debug build, which takes ten times as long over each byte, the daemon has more to do than
/// there is time for: then it is shorter, and the latency is only told. All else must hold as well.
#[test]
#[ignore = "takes a minute: tests/run runs it"]
fn all_at_once() {
    let (seconds, latency) = if cfg!(debug_assertions) { (10, Latencies::Told) } else { (60, Latencies::Held) };
    let seconds =
        std::env::var("ATTACK_SECONDS").map_or(seconds, |seconds| seconds.parse().expect("a number of seconds"));
    let past = LongPast::make("all");
    let chosen = std::env::var("ATTACKS").ok();
    let is_chosen = |name: &str| chosen.as_ref().is_none_or(|chosen| chosen.split(',').any(|one| one.trim() == name));
    let all = [
        GHOSTS,
        CHURN,
        MANY_ROOMS,
        UNREAD_HISTORY,
        SINCE,
        FRAGMENTS,
        SLOW_DRIP,
        LONG_TEXTS,
        PRIVATE_FLOOD,
        DEAR_NAMES,
        HALF_HANDSHAKES,
        CONNECT_STORM,
    ];
    let all: Vec<Attack> = all.into_iter().filter(|attack| is_chosen(attack.name)).collect();
    assert!(!all.is_empty(), "no attack is called so");
    let times = Times { idle: Duration::from_secs(5), attack: Duration::from_secs(seconds), latency };
    withstand(&all, &["--history", &past.file()], times);
}
