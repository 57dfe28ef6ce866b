//! What a crowd costs, counted in frames.

#[path = "testing/clocked_hub.rs"]
mod clocked_hub;
#[path = "testing/fake_socket.rs"]
mod fake_socket;
mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use roomd::history::log::InMemoryLog;
use roomd::limits::Limits;

use clocked_hub::{ClockedHub, FakeClient};
use support::{handshake, masked_frame, parse_frame};

/// Adds how many events of each type a member was sent.
fn count(counts: &mut BTreeMap<String, usize>, client: &FakeClient) {
    let bytes = client.bytes();
    let head = bytes.windows(4).position(|end| end == b"\r\n\r\n").expect("an answer to the handshake");
    let mut rest = &bytes[head + 4..];
    while let Some((frame, len)) = parse_frame(rest) {
        rest = &rest[len..];
        // Every event begins with its type; to parse all of it a hundred thousand times takes a minute.
        let kind = frame.text().strip_prefix(r#"{"type":""#).and_then(|rest| rest.split('"').next());
        *counts.entry(kind.expect("an event").to_owned()).or_default() += 1;
    }
    assert!(rest.is_empty(), "a frame is cut off");
}

/// With a frame for each of each, ten thousand joins would be a hundred million frames.
#[test]
fn ten_thousand_joins_cost_ten_thousand_welcomes() {
    const JOINS: usize = 10_000;
    const JOINS_PER_TURN: usize = 100;
    const TURN: Duration = Duration::from_millis(20);

    let limits = Limits { max_connections: JOINS, ..Limits::default() };
    let mut clocked = ClockedHub::new(limits, Box::new(InMemoryLog::new()));
    let mut members = Vec::new();
    let mut turns = 0u32;
    let mut turn = |clocked: &mut ClockedHub| {
        clocked.pass(TURN);
        turns += 1;
    };
    for _ in 0..JOINS / JOINS_PER_TURN {
        for _ in 0..JOINS_PER_TURN {
            let (id, client) = clocked.accept();
            clocked.send(id, &client, handshake("/").as_bytes());
            members.push((id, client));
        }
        turn(&mut clocked);
    }
    // The last of them takes another name and says something, and time passes until there is nothing more to tell.
    let (last, client) = members.last().unwrap();
    for line in ["/nick Ann", "hello"] {
        clocked.send(*last, client, &masked_frame(0x81, line.as_bytes()));
    }
    for _ in 0..100 {
        turn(&mut clocked);
    }
    assert!(!clocked.hub.has_work());

    let mut counts = BTreeMap::new();
    members.iter().for_each(|(_, client)| count(&mut counts, client));
    let of = |kind: &str| counts.get(kind).copied().unwrap_or_default();
    assert_eq!(of("welcome"), JOINS);
    assert_eq!(of("message"), JOINS, "all are there to hear it");
    assert_eq!(of("rename"), 1);
    let small = limits.presence_members;
    assert!(of("join") <= small * small / 2, "{counts:?}: each tells those before it, while the room is small");
    let seconds = (turns * TURN).as_secs() as usize;
    assert!(of("online") <= JOINS * (seconds + 1), "{counts:?} in {seconds} s");
    assert!(counts.values().sum::<usize>() <= JOINS * 10, "{counts:?}");
}
