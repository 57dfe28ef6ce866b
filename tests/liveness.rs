//! Peers that are gone, over real sockets: whatever they had sent before, and whether anything of it is read, they keep
//! neither a slot nor a name.

mod support;

use std::time::{Duration, Instant};

use support::{Daemon, Raw, flood_of, masked_frame, masked_header};

const FIN: u8 = 0x80;
const TEXT: u8 = 0x1;
const PING: u8 = 0x9;
const PONG: u8 = 0xa;

/// What makes the daemon stop reading: the rate, what the peer does not read, a message that is not finished.
fn floods() -> [(&'static str, Vec<u8>); 7] {
    let half = [masked_header(FIN | TEXT, 1_000, [1, 2, 3, 4]), vec![b'x'; 10]].concat();
    [
        ("empty pongs", flood_of(&masked_frame(FIN | PONG, b""))),
        ("empty texts", flood_of(&masked_frame(FIN | TEXT, b""))),
        ("pings", flood_of(&masked_frame(FIN | PING, &[b'p'; 125]))),
        ("new names", flood_of(&masked_frame(FIN | TEXT, b"/nick Ann"))),
        ("questions for older messages", flood_of(&masked_frame(FIN | TEXT, b"/history 9999"))),
        ("half a message", half),
        ("pongs inside a message", [masked_frame(TEXT, b"half"), flood_of(&masked_frame(FIN | PONG, b""))].concat()),
    ]
}

type Go = fn(Raw) -> Option<Raw>;

/// Ways to go. The socket of one that only ends its own half is kept, so that nothing else happens to it.
fn ways_to_go() -> [(&'static str, Go); 3] {
    let half_close = |mut client: Raw| {
        client.finish_sending();
        Some(client)
    };
    let reset = |client: Raw| {
        client.reset();
        None
    };
    [("close", |_| None), ("reset", reset), ("half-close", half_close)]
}

/// The first of these took nine minutes: the connection rested, was not read, and so its end was not seen.
#[test]
fn who_is_gone_keeps_no_name_however_much_of_it_is_unread() {
    let daemon = Daemon::start(&[]);
    for (flood_name, flood) in floods() {
        for (way_name, go) in ways_to_go() {
            let room = format!("/r/{flood_name} by {way_name}").replace(' ', "_");
            let mut witness = daemon.open(&room);
            let mut gone = daemon.open(&format!("{room}?name=Ann"));
            assert_eq!(witness.event("join")["name"], "Ann");
            gone.send(&flood);
            let _kept = go(gone);
            assert_eq!(witness.event("leave")["online"], 1, "{flood_name}, {way_name}");
            let mut heir = daemon.open(&format!("{room}?name=Ann"));
            assert_eq!(heir.event("welcome")["name"], "Ann", "{flood_name}, {way_name}");
        }
    }
}

#[test]
fn all_slots_are_free_again_when_those_who_flooded_them_are_gone() {
    let mut daemon = Daemon::start(&["--max-connections", "40"]);
    let pongs = flood_of(&masked_frame(FIN | PONG, b""));
    for (_, go) in ways_to_go() {
        let ghosts: Vec<Raw> = (0..40).map(|_| daemon.open("/?quiet=1")).collect();
        let before = daemon.descriptors();
        let kept: Vec<Raw> = ghosts
            .into_iter()
            .filter_map(|mut ghost| {
                ghost.send(&pongs);
                go(ghost)
            })
            .collect();
        for _ in 0..40 {
            daemon.wait_for_log(" left: ");
        }
        drop(kept);
        assert!(daemon.descriptors() <= before - 40, "the descriptors are given back");
    }
}

/// A hang-up is no licence to flood: of what is left as much is said at once as the rate allows in `--close-timeout`.
#[test]
fn who_hangs_up_says_at_once_what_the_rate_would_have_allowed_in_the_closing_time_and_no_more() {
    let daemon = Daemon::start(&["--rate-burst", "5", "--rate", "10", "--close-timeout", "4s"]);
    let mut witness = daemon.open("/");
    let mut talker = daemon.open("/");
    witness.event("join");
    let words: Vec<u8> = (0..200).flat_map(|nth| masked_frame(FIN | TEXT, format!("{nth}").as_bytes())).collect();
    talker.send(&words);
    talker.finish_sending();
    let mut said = 0;
    loop {
        let event = witness.frame().json();
        if event["type"] == "leave" {
            break;
        }
        assert_eq!((&event["type"], &event["mess"]), (&"message".into(), &said.to_string().into()));
        said += 1;
    }
    // A token or two may have come while the test was not running.
    assert!((45..60).contains(&said), "5 at once and 40 for 4 s, and {said} were said");
}

/// Hundreds of peers whose sockets are full: none of them answers the goodbye, and none of them may hold it up.
#[test]
fn those_who_read_nothing_do_not_hold_up_the_end() {
    let mut daemon = Daemon::start(&["--no-rate-limit", "--close-timeout", "500ms"]);
    let stalled: Vec<Raw> = (0..400).map(|_| daemon.open("/")).collect();
    let mut talker = daemon.open("/?quiet=1");
    // More than the sockets take, and less than what makes a reader too slow.
    for _ in 0..14 {
        talker.send(&masked_frame(FIN | TEXT, &[b'x'; 60_000]));
        talker.event("message");
    }
    let asked = Instant::now();
    daemon.signal("TERM");
    assert_eq!(daemon.wait().code(), Some(0));
    let took = asked.elapsed();
    let bye = daemon.rest_of_log().pop().unwrap_or_default();
    assert!(bye.ends_with("shut-down 401"), "{bye}");
    assert!(took < Duration::from_secs(5), "half a second for goodbyes became {took:?}");
    drop(stalled);
}
