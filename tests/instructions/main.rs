//! The guard over what a delivery and a handshake cost: user-mode instructions, counted by callgrind, against the
//! figures in `tests/instructions/expected.txt`. A figure that grows by more than [`TOLERANCE_PERCENT`] fails; if that
//! is the price of something worth it, the file is written anew, and a reviewer sees it:
//!
//! `INSTRUCTIONS=overwrite cargo test --test instructions -- --ignored`
//!
//! Instructions and not time, for time on a shared machine says more about the neighbours: two runs of one program
//! count the same to the last digit. The program is `tests/instructions/program.rs`; no kernel is in it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed expectation is a failed test")]

#[path = "../support/example.rs"]
mod example;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A copy for each delivery is far more than this. The processor makes less of a difference, though callgrind shows the
/// program the real one: where the C library has no AVX2 to copy with, a handshake counts 0.7 % more. Another compiler
/// may do either, so a failure names both compilers.
const TOLERANCE_PERCENT: f64 = 5.0;

/// One line of the file.
struct Figure {
    name: &'static str,
    scenario: &'static str,
    /// How often the scenario's work is done in the shorter run; in the longer, twice as often.
    count: u32,
    /// Deliveries, or handshakes, in the work done once.
    per_count: u32,
}

const FIGURES: &[Figure] = &[
    Figure { name: "handshake", scenario: "handshake", count: 500, per_count: 1 },
    // One message to 1,000 members.
    Figure { name: "delivery-single", scenario: "fan-out-single", count: 100, per_count: 1_000 },
    // 100 messages in one turn, each to 1,000 members.
    Figure { name: "delivery-batch", scenario: "fan-out-batch", count: 20, per_count: 100_000 },
];

const HEADING: &str = "\
# User-mode instructions for one of each, counted by callgrind. tests/instructions/ fails when one grows by more
# than 5 %. To be changed on purpose only: INSTRUCTIONS=overwrite cargo test --test instructions -- --ignored
";

const OVERWRITE: &str = "INSTRUCTIONS=overwrite cargo test --test instructions -- --ignored";

/// Begins the line that says what the figures were taken with.
const TAKEN_WITH: &str = "# Taken with ";

#[test]
#[ignore = "needs valgrind: tests/run installs it and runs this"]
fn a_delivery_and_a_handshake_cost_no_more_instructions_than_is_written_down() {
    let program = example::build("instructions", &["--release"]);
    let measured: Vec<(&str, f64)> = FIGURES.iter().map(|figure| (figure.name, measure(&program, figure))).collect();
    let tools = tools();
    if std::env::var("INSTRUCTIONS").is_ok_and(|value| value == "overwrite") {
        fs::write(expected_path(), written(&measured, &tools)).unwrap();
    }
    let expected = fs::read_to_string(expected_path()).unwrap();
    let mut faults = Vec::new();
    for &(name, now) in &measured {
        let before = figure_in(&expected, name).unwrap_or_else(|| panic!("expected.txt has no figure {name}"));
        match verdict(before, now) {
            Verdict::Same => println!("{name}: {now:.2} instructions ({before:.2} written down)"),
            Verdict::Shrunk => println!(
                "{name}: {now:.2} instructions, and {before:.2} written down. Well done; to make it last: {OVERWRITE}"
            ),
            Verdict::Grown => faults.push(format!(
                "{name} costs {now:.2} instructions, {:.1} % more than the {before:.2} in expected.txt",
                100.0 * (now / before - 1.0)
            )),
        }
    }
    assert!(
        faults.is_empty(),
        "{}\nThat was taken with {}; this is {tools}.\nFind out what has become dearer (callgrind_annotate), or, if it \
         is worth that, write the figures anew and say why in the commit:\n{OVERWRITE}\n",
        faults.join("\n"),
        taken_with(&expected),
    );
}

#[test]
fn every_figure_is_written_down_and_nothing_else() {
    let expected = fs::read_to_string(expected_path()).unwrap();
    let measured: Vec<(&str, f64)> =
        FIGURES.iter().map(|figure| (figure.name, figure_in(&expected, figure.name).unwrap())).collect();
    assert_eq!(expected, written(&measured, taken_with(&expected)));
}

#[test]
fn six_percent_more_is_too_much_and_six_percent_less_is_remarkable() {
    assert_eq!(verdict(100.0, 106.0), Verdict::Grown);
    assert_eq!(verdict(100.0, 104.0), Verdict::Same);
    assert_eq!(verdict(100.0, 96.0), Verdict::Same);
    assert_eq!(verdict(100.0, 94.0), Verdict::Shrunk);
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Same,
    Shrunk,
    Grown,
}

fn verdict(before: f64, now: f64) -> Verdict {
    let tolerated = before * TOLERANCE_PERCENT / 100.0;
    if now > before + tolerated {
        Verdict::Grown
    } else if now < before - tolerated {
        Verdict::Shrunk
    } else {
        Verdict::Same
    }
}

/// The beginning is in both runs, and so not in their difference.
fn measure(program: &Path, figure: &Figure) -> f64 {
    let once = count_instructions(program, figure.scenario, figure.count);
    let twice = count_instructions(program, figure.scenario, 2 * figure.count);
    (twice - once) as f64 / (f64::from(figure.count) * f64::from(figure.per_count))
}

fn count_instructions(program: &Path, scenario: &str, count: u32) -> u64 {
    let profile = example::target().join(format!("tmp/callgrind-{scenario}-{count}.out"));
    let output = Command::new("valgrind")
        .args(["--quiet", "--tool=callgrind", &format!("--callgrind-out-file={}", profile.display())])
        .arg(program)
        .args([scenario, &count.to_string()])
        // Where the stack begins, and with it what some copies cost, depends on the length of the environment.
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .stdin(Stdio::null())
        .output()
        .expect("valgrind starts (if there is none: tests/run installs it)");
    assert!(output.status.success(), "{scenario} {count}: {output:?}");
    let profile = fs::read_to_string(profile).unwrap();
    let total = profile.lines().find_map(|line| line.strip_prefix("totals: ")).expect("callgrind has counted");
    total.trim().parse().unwrap()
}

fn expected_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/instructions/expected.txt")
}

/// The file, with these figures in it.
fn written(measured: &[(&str, f64)], tools: &str) -> String {
    let lines: String = measured.iter().map(|(name, instructions)| format!("{name} {instructions:.2}\n")).collect();
    format!("{HEADING}{TAKEN_WITH}{tools}\n{lines}")
}

fn figure_in(expected: &str, name: &str) -> Option<f64> {
    let figure = expected.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    Some(figure.parse().unwrap_or_else(|error| panic!("expected.txt: {name} {figure}: {error}")))
}

fn taken_with(expected: &str) -> &str {
    expected.lines().find_map(|line| line.strip_prefix(TAKEN_WITH)).expect("expected.txt says what it was taken with")
}

/// What else the figures depend on: the compiler, and what it compiles for.
fn tools() -> String {
    let output = Command::new("rustc").arg("-vV").current_dir(env!("CARGO_MANIFEST_DIR")).output().expect("rustc runs");
    let said = String::from_utf8(output.stdout).unwrap();
    let said = |key: &str| said.lines().find_map(|line| line.strip_prefix(key)).unwrap_or("?").trim().to_owned();
    format!("rustc {} for {}", said("release:"), said("host:"))
}
