//! The whole hub under chance: sockets that take a few bytes at a time, block, reset and stall; clients that say right
//! and wrong things in pieces of any size; a clock that jumps. Everything follows from a seed.
//!
//! A failure prints its seed: `SIM_SEED=<n> cargo test --test simulation` runs that one again, and
//! `SIM_SEEDS=<n>` runs so many. A fuzzer plays the same world from its bytes: `tests/fuzz/bodies.rs`.

mod world;

use std::collections::BTreeSet;

use world::power::run_through_power_cuts;
use world::transcript::ERRORS;
use world::{Choices, run};

/// Prints the seed if the run panics.
struct Announce(u64);

impl Drop for Announce {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("\n    the failing seed: SIM_SEED={} cargo test --test simulation\n", self.0);
        }
    }
}

#[test]
fn whatever_happens_to_the_sockets_everybody_sees_one_unbroken_stream() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    if let Some(seed) = number("SIM_SEED") {
        run(Choices::of_seed(seed));
        return;
    }
    let mut reached = BTreeSet::new();
    for seed in 0..number("SIM_SEEDS").unwrap_or(300) {
        let _announce = Announce(seed);
        reached.extend(run(Choices::of_seed(seed)));
    }
    // The choices are worth something only if they get everywhere.
    for place in ENDINGS.iter().chain(ERRORS).chain(OTHER_PLACES) {
        assert!(reached.contains(*place), "no run came to {place}: {reached:?}");
    }
}

#[test]
fn whatever_a_loss_of_power_takes_no_message_is_taken_for_another_and_none_is_missed_in_silence() {
    let mut reached = BTreeSet::new();
    for seed in 0..150 {
        let _announce = Announce(seed);
        reached.extend(run_through_power_cuts(Choices::of_seed(seed)));
    }
    for place in
        ["a reset amid a long past", "another epoch", "below the jump", "goes on", "goes on in its epoch", "unreadable"]
    {
        assert!(reached.contains(place), "no run came to {place}: {reached:?}");
    }
}

/// As a fuzzer may write it: no two choices differ.
#[test]
fn a_script_of_one_byte_over_and_over_is_played_to_its_end() {
    for byte in 0..=255 {
        run(Choices::of_script(&[byte; 1_000]));
    }
}

const ENDINGS: &[&str] = &[
    "answered",
    "broken",
    "message-too-slow",
    "no-request",
    "peer-closed",
    "peer-vanished",
    "refused",
    "shut-down",
    "silent",
    "too-many-rooms",
    "too-slow",
    "violated",
];

/// See `Record::met`, and `run`.
const OTHER_PLACES: &[&str] = &[
    "a history that has fallen behind",
    "a long past",
    "a move",
    "a page after",
    "a page before",
    "a page for one who is gone",
    "a reset amid a long past",
    "a room begun anew",
    "a room forgotten",
    "a room forgotten before it was opened",
    "a room opened again",
    "no page after",
    "no page before",
    "reset",
];
