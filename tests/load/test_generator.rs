//! The load generator, with small numbers: that it says yes to a daemon that delivers everything once and in order, and
//! no to each thing that can go wrong on the way. What finds no fault must be able to find one.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;

use crate::faulty::{Fault, faulty, faulty_at};
use crate::support::Daemon;
use serde_json::Value;

fn load() -> &'static Path {
    static LOAD: LazyLock<std::path::PathBuf> =
        LazyLock::new(|| crate::example::build("load", if cfg!(debug_assertions) { &[] } else { &["--release"] }));
    &LOAD
}

fn run(arguments: &[&str]) -> Output {
    Command::new(load()).args(arguments).stdin(Stdio::null()).output().expect("the generator runs")
}

/// A short run against this address, and what it printed with the exit code that it has to have.
#[track_caller]
fn report(code: i32, daemon: &Daemon, address: &str, arguments: &[&str]) -> Value {
    let (url, pid) = (format!("ws://{address}/"), daemon.pid().to_string());
    let mut all = arguments.to_vec();
    all.extend(["--url", &url, "--pid", &pid, "--json", "--limit", "1"]);
    let output = run(&all);
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    serde_json::from_slice(&output.stdout).expect("a report is JSON")
}

const FANOUT: [&str; 7] = ["fanout", "--clients", "3", "--senders", "2", "--seconds", "0.3"];

/// A fan-out in which the eighth message of each sender goes wrong, for every listener.
#[track_caller]
fn spoilt(fault: Fault) -> Value {
    let daemon = Daemon::start(&["--no-rate-limit"]);
    report(1, &daemon, &faulty(&daemon, fault), &FANOUT)
}

#[track_caller]
fn assert_counts(report: &Value, counts: [(&str, u64); 4]) {
    for (key, count) in counts {
        assert_eq!(report[key], count, "{key}: {report}");
    }
}

#[test]
fn what_comes_once_and_in_order_is_a_success() {
    let daemon = Daemon::start(&["--no-rate-limit"]);
    let report = report(0, &daemon, &daemon.address, &FANOUT);
    assert_counts(&report, [("lost", 0), ("repeated", 0), ("out_of_order", 0), ("corrupt", 0)]);
    assert!(report["expected"].as_u64().unwrap() > 0, "{report}");
    assert_eq!(report["expected"], report["received"]);
}

#[test]
fn a_lost_message_is_a_failure() {
    let report = spoilt(Fault::Lose);
    assert_counts(&report, [("lost", 6), ("repeated", 0), ("out_of_order", 6), ("corrupt", 0)]);
}

#[test]
fn a_message_that_comes_twice_is_a_failure() {
    assert_counts(&spoilt(Fault::Repeat), [("lost", 0), ("repeated", 6), ("out_of_order", 0), ("corrupt", 0)]);
}

#[test]
fn a_message_that_comes_too_late_is_a_failure() {
    let report = spoilt(Fault::Swap);
    assert_eq!(report["expected"], report["received"], "{report}");
    assert!(report["out_of_order"].as_u64().unwrap() > 0, "{report}");
}

#[test]
fn a_message_whose_end_is_another_is_a_failure() {
    assert_counts(&spoilt(Fault::Spoil), [("lost", 0), ("repeated", 0), ("out_of_order", 0), ("corrupt", 6)]);
}

#[test]
fn a_message_that_is_too_short_is_a_failure() {
    assert_counts(&spoilt(Fault::Shorten), [("lost", 0), ("repeated", 0), ("out_of_order", 0), ("corrupt", 6)]);
}

#[test]
fn a_server_that_closes_clients_gets_a_report_all_the_same() {
    let report = spoilt(Fault::Hang);
    assert_eq!(report["clients_ended"], 3, "{report}");
    assert!(report["received"].as_u64().unwrap() > 0, "{report}");
    assert!(report["warnings"].to_string().contains("the server closed 3 of 3 clients"), "{report}");
}

#[test]
fn a_message_that_comes_after_the_end_counts_with_its_latency() {
    let daemon = Daemon::start(&["--no-rate-limit"]);
    // Due half a second before the end, and two seconds late: as late are all behind it.
    let address = faulty_at(&daemon, Fault::Stall, " 00000150");
    let arguments = ["paced", "--clients", "2", "--rate", "100", "--seconds", "1", "--limit", "10"];
    let url = format!("ws://{address}/");
    let output = run(&[&arguments[..], &["--url", &url, "--pid", &daemon.pid().to_string(), "--json"]].concat());
    assert!(output.status.success(), "{output:?}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["expected"], 400, "{report}");
    // It was heard, so it did not count as one that was waited for in vain, which would be 10 seconds.
    assert!((1_900_000..9_000_000).contains(&report["p99_us"].as_u64().unwrap()), "{report}");
}

#[test]
fn a_message_that_never_comes_counts_as_late_as_it_was_waited_for() {
    let daemon = Daemon::start(&["--no-rate-limit"]);
    let address = faulty_at(&daemon, Fault::Lose, " 00000150");
    let report = report(1, &daemon, &address, &["paced", "--clients", "2", "--rate", "100", "--seconds", "1"]);
    assert_eq!(report["lost"], 2, "{report}");
    assert!(report["max_us"].as_u64().unwrap() >= 1_000_000, "{report}");
}

#[test]
fn numbers_with_which_nothing_is_checked_are_refused() {
    for (arguments, sentence) in [
        (["fanout", "--window=0"], "a whole number from 1 to 100000 is wanted"),
        (["fanout", "--senders=0"], "a whole number from 1 to 1000 is wanted"),
        (["fanout", "--senders=1001"], "a whole number from 1 to 1000 is wanted"),
        (["paced", "--clients=0"], "a whole number from 1 to 1000000 is wanted"),
        (["fanout", "--size=36"], "a whole number from 37 to 65535 is wanted"),
        (["fanout", "--size=70000"], "a whole number from 37 to 65535 is wanted"),
        (["paced", "--rate=-1"], "a number above 0"),
        (["paced", "--rate=0"], "a number above 0"),
        (["fanout", "--seconds=-1"], "a number of seconds"),
        (["fanout", "--seconds=nan"], "a number of seconds"),
        (["fanout", "--seconds=0"], "this run measures for 0.1 at least"),
        (["paced", "--rate=0.1"], "nothing is due"),
        (["fanout", "--url=wss://127.0.0.1/"], "wss is not spoken here"),
    ] {
        assert_refused(&arguments, sentence);
    }
}

#[test]
fn a_process_that_there_is_not_is_called_that() {
    let daemon = Daemon::start(&[]);
    assert_refused(
        &["fanout", "--url", &format!("ws://{}/", daemon.address), "--pid", "4194305"],
        "there is no process",
    );
}

#[test]
fn a_refusal_is_told_in_its_first_line() {
    let daemon = Daemon::start(&["--max-connections", "1"]);
    let url = format!("ws://{}/", daemon.address);
    let said =
        assert_refused(&["fanout", "--clients=3", "--url", &url, "--pid", &daemon.pid().to_string()], "HTTP/1.1 503");
    assert_eq!(said.lines().count(), 1, "{said}");
}

#[track_caller]
fn assert_refused(arguments: &[&str], sentence: &str) -> String {
    let output = run(arguments);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
    assert!(said.contains(sentence), "{arguments:?}: {said}");
    said
}

#[test]
fn the_stalled_read_until_the_measured_seconds_and_are_dropped_in_them() {
    let daemon = Daemon::start(&["--no-rate-limit"]);
    let arguments = ["fanout", "--clients", "3", "--seconds", "3", "--stalled", "2"];
    // A few dozen of these fill a socket and the queue behind it, also where they come slowly.
    let arguments = [&arguments[..], &["--size", "60000", "--senders", "1", "--window", "1"]].concat();
    let report = report(0, &daemon, &daemon.address, &arguments);
    assert_eq!(report["stalled_dropped"], 2, "{report}");
    assert!(!report["warnings"].to_string().contains("before they did"), "{report}");
}
