//! `--max-memory`: all connections together hold no more than that, and those who read notice nothing of it.

#[path = "testing/clocked_hub.rs"]
mod clocked_hub;
#[path = "testing/fake_socket.rs"]
mod fake_socket;
mod support;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::Write;
use std::net::TcpStream;
use std::process::Command;
use std::rc::Rc;
use std::time::{Duration, Instant};

use roomd::history::log::InMemoryLog;
use roomd::hub::{PeerId, Readiness};
use roomd::limits::Limits;

use clocked_hub::{ClockedHub, FakeClient};
use support::{Daemon, PATIENCE, handshake, masked_frame};

const FULL: usize = 1_000_000;

/// A hub with a clock and a gauge of its own.
struct Gauged {
    clocked: ClockedHub,
    /// What the gauge says, one number for each time that it is asked; the last one from then on.
    says: Rc<RefCell<VecDeque<usize>>>,
}

impl Gauged {
    fn new() -> Gauged {
        let says = Rc::new(RefCell::new(VecDeque::from([0])));
        let gauge = Rc::clone(&says);
        let limits = Limits { max_memory_bytes: FULL, rate: None, ..Limits::default() };
        let mut clocked = ClockedHub::new(limits, Box::new(InMemoryLog::new()));
        clocked.hub = clocked.hub.measured_by(Box::new(move || {
            let mut says = gauge.borrow_mut();
            if says.len() > 1 { says.pop_front().unwrap() } else { says[0] }
        }));
        Gauged { clocked, says }
    }

    fn connect(&mut self, path: &str) -> (PeerId, FakeClient) {
        let (id, client) = self.clocked.accept();
        self.say(id, &client, handshake(path).as_bytes());
        (id, client)
    }

    fn say(&mut self, id: PeerId, client: &FakeClient, bytes: &[u8]) {
        self.clocked.say(id, client, bytes);
        self.clocked.settle();
    }

    fn pass(&mut self, ms: u64) {
        self.clocked.pass(Duration::from_millis(ms));
        self.clocked.settle();
    }

    /// Turns in which the gauge says these numbers, and then the last for ever.
    fn gauge(&mut self, says: &[usize]) {
        *self.says.borrow_mut() = says.iter().copied().collect();
        self.pass(1);
    }

    fn ended(&self) -> u64 {
        self.clocked.hub.endings().get("out-of-memory").copied().unwrap_or_default()
    }
}

fn is_told(wire: &FakeClient) -> bool {
    wire.heard().contains("too much memory is in use")
}

/// Has each of these rooms say so many lines to a member who takes nothing.
fn stalled_in_rooms(gauged: &mut Gauged, lines: &[usize]) -> Vec<(PeerId, FakeClient)> {
    let mut stalled = Vec::new();
    for (nth, lines) in lines.iter().enumerate() {
        let path = format!("/r/room{nth}?quiet=1");
        let (id, wire) = gauged.connect(&path);
        let (speaker, mouth) = gauged.connect(&path);
        wire.takes(0);
        for _ in 0..*lines {
            gauged.say(speaker, &mouth, &masked_frame(0x81, &[b'x'; 1_000]));
        }
        stalled.push((id, wire));
    }
    stalled
}

#[test]
fn when_too_much_is_in_use_the_largest_debtors_are_closed_until_a_quarter_is_free_again() {
    let mut gauged = Gauged::new();
    let stalled = stalled_in_rooms(&mut gauged, &[5, 9, 1, 7]);
    gauged.gauge(&[FULL]);
    assert_eq!(gauged.ended(), 0, "it may be just so much");
    // Asked before the first is closed, and before each other.
    gauged.gauge(&[FULL + 1, FULL + 1, FULL - 1, FULL / 4 * 3]);
    for (_, wire) in &stalled {
        wire.takes(usize::MAX);
    }
    for (id, _) in &stalled {
        gauged.clocked.hub.ready(*id, Readiness { writable: true, ..Readiness::default() });
    }
    gauged.pass(1);
    assert_eq!(stalled.iter().map(|(_, wire)| is_told(wire)).collect::<Vec<_>>(), [false, true, false, true]);
}

#[test]
fn a_reader_that_takes_something_is_closed_after_all_that_take_nothing() {
    let mut gauged = Gauged::new();
    let stalled = stalled_in_rooms(&mut gauged, &[9, 3]);
    // From half of the budget on they are watched: the one who owes more takes a byte now and then.
    for _ in 0..4 {
        gauged.gauge(&[FULL / 2 + 1]);
        stalled[0].1.takes(1);
        gauged.clocked.hub.ready(stalled[0].0, Readiness { writable: true, ..Readiness::default() });
        gauged.pass(500);
    }
    gauged.gauge(&[FULL + 1, FULL + 1, FULL / 2]);
    for (id, wire) in &stalled {
        wire.takes(usize::MAX);
        gauged.clocked.hub.ready(*id, Readiness { writable: true, ..Readiness::default() });
    }
    gauged.pass(1);
    assert_eq!([is_told(&stalled[0].1), is_told(&stalled[1].1)], [false, true]);
}

#[test]
fn a_connection_for_which_nothing_waits_stays_whatever_the_gauge_says_and_newcomers_are_told_to_come_again() {
    let mut gauged = Gauged::new();
    let (id, member) = gauged.connect("/");
    gauged.gauge(&[FULL + 1]);
    let (_, newcomer) = gauged.connect("/");
    let answer = newcomer.heard();
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("\r\nRetry-After: "), "{answer}");
    assert!(answer.contains("as much memory as it may"), "{answer}");
    gauged.say(id, &member, &masked_frame(0x81, b"still here"));
    assert!(member.heard().contains("still here"));
    gauged.gauge(&[FULL]);
    gauged.pass(1_000);
    let (_, newcomer) = gauged.connect("/");
    assert!(newcomer.heard().starts_with("HTTP/1.1 101 "));
}

/// A message and a request head that are never finished are debts as well.
#[test]
fn what_was_begun_and_not_finished_is_freed_too() {
    let mut gauged = Gauged::new();
    let (id, speaker) = gauged.connect("/");
    let mut begun = masked_frame(0x81, &[b'x'; 60_000]);
    begun.truncate(50_000);
    gauged.say(id, &speaker, &begun);
    let (knocking, head) = gauged.clocked.accept();
    gauged.say(knocking, &head, b"GET / HTTP/1.1\r\nHost: a\r\n");
    gauged.gauge(&[FULL + 1]);
    assert!(is_told(&speaker));
    assert_eq!(gauged.ended(), 1, "the head, for which nobody is told anything");
}

/// What the process is and what its allocator loses come on top of what is counted.
const ON_TOP_KIB: u64 = 32 * 1024;

#[test]
fn many_who_begin_large_messages_stay_within_the_budget_and_a_quiet_pair_talks_on() {
    const BUDGET: u64 = 32 * 1024 * 1024;
    let budget = BUDGET.to_string();
    let mut daemon = Daemon::start(&["--max-message", "1000000", "--max-memory", &budget]);
    let mut pair = [daemon.open("/r/quiet?quiet=1"), daemon.open("/r/quiet?quiet=1")];
    // All that they begin to say is six times the budget.
    let begun = &masked_frame(0x81, &[b'x'; 990_000])[..980_000];
    let mut greedy = Vec::new();
    for nth in 0..200 {
        let mut client = TcpStream::connect(&daemon.address).unwrap();
        let request = [handshake("/?quiet=1").as_bytes(), begun].concat();
        // Those who are turned away, or closed in the middle of it, cannot say it all.
        let _ = client.write_all(&request);
        greedy.push(client);
        if nth % 20 == 0 {
            let text = format!("message {nth}");
            pair[0].send_text(&text);
            for member in &mut pair {
                assert_eq!(member.message(), text);
            }
        }
    }
    daemon.wait_for_log("memory in use, and --max-memory is 33554432: closed");
    daemon.wait_for_log("left: too much memory is in use");
    let most = daemon.peak_kib();
    assert!(most < BUDGET / 1024 + ON_TOP_KIB, "{most} KiB");
    drop(greedy);
    // Newcomers are turned away for as long as too much is in use, and a little longer.
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut newcomer = daemon.connect();
        newcomer.send(handshake("/").as_bytes());
        if newcomer.read_head().starts_with("HTTP/1.1 101 ") {
            break;
        }
        assert!(Instant::now() < deadline, "newcomers are still turned away");
        std::thread::sleep(Duration::from_millis(100));
    }
    pair[0].send_text("still here");
    while pair[1].message() != "still here" {}
}

/// What a rush may leave behind: the longer lists of connections, and what lies in a page of memory beside something else.
const LEFT_BEHIND_KIB: u64 = 8 * 1024;

/// The allocator of the C library fails this: much of what it was given back it keeps, wherever something small lies above.
#[test]
fn what_a_rush_has_needed_goes_back_to_the_system_when_it_is_over() {
    let mut daemon = Daemon::start(&["--max-message", "300000", "--no-rate-limit"]);
    let mut member = daemon.open("/r/quiet?quiet=1");
    let before = daemon.resident_kib();
    let request = [handshake("/?quiet=1").as_bytes(), &masked_frame(0x81, &[b'x'; 250_000])[..200_000]].concat();
    for nth in 0..3 {
        let mut rush = Vec::new();
        for client in 0..200 {
            let mut stream = TcpStream::connect(&daemon.address).unwrap();
            stream.write_all(&request).unwrap();
            rush.push(stream);
            // Some small thing that stays between the large ones.
            if client % 50 == 0 {
                member.send_text(&format!("message {nth}.{client}"));
                assert_eq!(member.message(), format!("message {nth}.{client}"));
            }
        }
        let deadline = Instant::now() + PATIENCE;
        while daemon.resident_kib() < before + 2 * LEFT_BEHIND_KIB {
            assert!(Instant::now() < deadline, "it does not take what is sent");
            std::thread::sleep(Duration::from_millis(20));
        }
        drop(rush);
        let deadline = Instant::now() + PATIENCE;
        while daemon.resident_kib() > before + LEFT_BEHIND_KIB {
            assert!(Instant::now() < deadline, "rush {nth} left {} KiB, from {before}", daemon.resident_kib());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    daemon.signal("TERM");
    daemon.wait();
}

#[test]
fn the_log_says_at_the_start_how_much_memory_may_be_in_use() {
    let mut daemon = Daemon::spawn({
        let mut command = Command::new(env!("CARGO_BIN_EXE_roomd"));
        command.args(["--listen", "127.0.0.1:0", "--max-memory", "20000000"]).env_remove("RUST_LOG");
        command
    });
    daemon.signal("TERM");
    assert!(daemon.rest_of_log().iter().any(|line| line.contains("memory: at most 20000000 bytes in use")));
    let mut daemon = Daemon::start(&[]);
    daemon.signal("TERM");
    let log = daemon.rest_of_log();
    assert!(log.iter().any(|line| line.contains("memory: at most ") && line.contains("half of the ")), "{log:?}");
}
