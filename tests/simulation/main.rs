//! The whole hub under chance: sockets that take a few bytes at a time, block, reset and stall; clients that say right
//! and wrong things in pieces of any size; a clock that jumps. Everything follows from a seed.
//!
//! A failure prints its seed: `SIM_SEED=<n> cargo test --test simulation` runs that one again, and `SIM_SEEDS=<n>` runs so
//! many. `SIM_STEPS=<n>` runs as many seeds as so many steps take, and `SIM_FROM=<n>` begins with another seed than 0. A
//! fuzzer plays the same world from its bytes: `tests/fuzz/bodies.rs`.

mod world;

use world::power::run_through_power_cuts;
use world::transcript::ERRORS;
use world::{Choices, Run, run};

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
    let places = ENDINGS.iter().chain(ERRORS).chain(OTHER_PLACES);
    run_seeds(300, run, places);
}

#[test]
fn whatever_a_loss_of_power_takes_no_message_is_taken_for_another_and_none_is_missed_in_silence() {
    run_seeds(150, run_through_power_cuts, PLACES_BEHIND_A_POWER_CUT);
}

/// Runs `usual` seeds, or those that the environment asks for, and looks whether they came to all of `places`.
fn run_seeds<'a>(usual: u64, run: fn(Choices) -> Run, places: impl IntoIterator<Item = &'a &'a str>) {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    if let Some(seed) = number("SIM_SEED") {
        run(Choices::of_seed(seed));
        return;
    }
    let first = number("SIM_FROM").unwrap_or(0);
    let most_steps = number("SIM_STEPS");
    let seeds = if most_steps.is_some() { u64::MAX } else { number("SIM_SEEDS").unwrap_or(usual) };
    let mut all = Run::default();
    for seed in first..first.saturating_add(seeds) {
        let _announce = Announce(seed);
        let Run { steps, reached } = run(Choices::of_seed(seed));
        all.steps += steps;
        all.reached.extend(reached);
        if most_steps.is_some_and(|most| all.steps >= most) {
            println!("{} steps, seeds {first} to {seed}", all.steps);
            break;
        }
    }
    // The choices are worth something only if they get everywhere.
    for place in places {
        assert!(all.reached.contains(*place), "no run came to {place}: {:?}", all.reached);
    }
}

/// As a fuzzer may write it: no two choices differ.
#[test]
fn a_script_of_one_byte_over_and_over_is_played_to_its_end() {
    for byte in 0..=255 {
        run(Choices::of_script(&[byte; 1_000]));
    }
}

const PLACES_BEHIND_A_POWER_CUT: &[&str] =
    &["a reset amid a long past", "another epoch", "below the jump", "goes on", "goes on in its epoch", "unreadable"];

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
