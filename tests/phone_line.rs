//! What a room may say, against readers on a line that takes a fixed number of bytes a second: sockets without a kernel, and
//! a clock that the test moves.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed expectation is a failed test")]

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::rc::Rc;
use std::time::Duration;

use roomd::door::{EchoService, Health, Site};
use roomd::door::{OriginPolicy, Pages};
use roomd::gate::PeerAddress;
use roomd::history::log::InMemoryLog;
use roomd::hub::{Hub, PeerId, Readiness, Socket};
use roomd::limits::Limits;
use roomd::moment::{Moment, Now};
use roomd::rate_limit::ByteRate;

/// 1 Mbit/s, of which the headers of TCP and IP take their part: what a page is sent at least, on a bad phone line.
const LINE_BYTES_PER_SECOND: usize = 1_000_000 / 8 * 1_460 / 1_500;

const TICK: Duration = Duration::from_millis(10);

/// The largest message: as text, and as it is sent.
const LARGEST: usize = 64 * 1024;
const LARGEST_SENT: usize = 6 * LARGEST;

#[derive(Default)]
struct Wire {
    to_daemon: VecDeque<u8>,
    reads: usize,
    /// Bytes that it takes before its line has carried some away; None is all.
    window: Option<usize>,
    is_blocked: bool,
    /// What has arrived and was not looked at.
    arrived: Vec<u8>,
}

struct Wired(Rc<RefCell<Wire>>);

impl Read for Wired {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut wire = self.0.borrow_mut();
        wire.reads += 1;
        if wire.to_daemon.is_empty() {
            return Err(ErrorKind::WouldBlock.into());
        }
        wire.to_daemon.read(buffer)
    }
}

impl Write for Wired {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut wire = self.0.borrow_mut();
        let count = wire.window.map_or(bytes.len(), |window| window.min(bytes.len()));
        if count == 0 {
            wire.is_blocked = true;
            return Err(ErrorKind::WouldBlock.into());
        }
        wire.window = wire.window.map(|window| window - count);
        wire.arrived.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Socket for Wired {
    fn shut_down_writing(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct World {
    hub: Hub<Wired>,
    elapsed: Duration,
    peers: Vec<(PeerId, Rc<RefCell<Wire>>)>,
    turns: usize,
}

impl World {
    /// Nobody here answers a Ping.
    fn new(limits: Limits) -> World {
        let limits = Limits { ping_interval: Duration::from_secs(1_000_000), ..limits };
        let site = Site {
            pages: Pages::Embedded,
            origins: OriginPolicy::default(),
            echo: EchoService::Off,
            health: Health::Good,
        };
        let hub = Hub::new(limits, site, Box::new(InMemoryLog::new()));
        World { hub, elapsed: Duration::from_secs(60), peers: Vec::new(), turns: 0 }
    }

    fn now(&self) -> Now {
        Now { moment: Moment::START + self.elapsed, unix_ms: 1_763_817_427_123 + self.elapsed.as_millis() as u64 }
    }

    /// Somebody who takes all that comes.
    fn connect(&mut self, path: &str) -> usize {
        let wire = Rc::new(RefCell::new(Wire::default()));
        let id = self.hub.accept(Wired(Rc::clone(&wire)), PeerAddress::Unix, self.now());
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        );
        wire.borrow_mut().to_daemon.extend(head.bytes());
        self.peers.push((id, wire));
        self.hub.ready(id, Readiness { readable: true, writable: true, hung_up: false });
        self.turn();
        self.peers.len() - 1
    }

    /// Somebody at the end of the line.
    fn connect_by_phone(&mut self, path: &str) -> usize {
        let reader = self.connect(path);
        self.wire(reader).borrow_mut().window = Some(0);
        reader
    }

    fn wire(&self, peer: usize) -> Rc<RefCell<Wire>> {
        Rc::clone(&self.peers[peer].1)
    }

    fn say(&mut self, peer: usize, text: &str) {
        let (id, wire) = &self.peers[peer];
        let mut frame = vec![0x81];
        match text.len() {
            0..126 => frame.push(0x80 | text.len() as u8),
            126..65_536 => {
                frame.push(0x80 | 126);
                frame.extend((text.len() as u16).to_be_bytes());
            }
            _ => {
                frame.push(0x80 | 127);
                frame.extend((text.len() as u64).to_be_bytes());
            }
        }
        frame.extend([0; 4]);
        frame.extend(text.bytes());
        wire.borrow_mut().to_daemon.extend(frame);
        self.hub.ready(*id, Readiness { readable: true, writable: false, hung_up: false });
    }

    /// Sees to it that somebody never runs out of words.
    fn keep_saying(&mut self, peer: usize, text: &str) {
        while self.wire(peer).borrow().to_daemon.len() < 2 * text.len() {
            self.say(peer, text);
        }
    }

    /// A turn, and those that have to follow.
    fn turn(&mut self) {
        loop {
            self.hub.turn(self.now());
            self.turns += 1;
            if !self.hub.has_work() && self.hub.deadline() > self.now().moment {
                return;
            }
        }
    }

    /// The lines carry away what they can, and the daemon does what is due.
    fn tick(&mut self) {
        self.elapsed += TICK;
        for (id, wire) in &self.peers {
            let mut wire = wire.borrow_mut();
            let Some(window) = wire.window else { continue };
            let in_a_tick = LINE_BYTES_PER_SECOND * TICK.as_millis() as usize / 1_000;
            // What is not used is lost; some packets are under way.
            wire.window = Some((window + in_a_tick).min(10 * in_a_tick));
            if std::mem::take(&mut wire.is_blocked) {
                self.hub.ready(*id, Readiness { readable: false, writable: true, hung_up: false });
            }
        }
        self.turn();
    }

    fn pass(&mut self, seconds: u64) {
        for _ in 0..seconds * 100 {
            self.tick();
        }
    }

    /// Bytes that have arrived since this was asked last.
    fn arrived_bytes(&self, peer: usize) -> usize {
        std::mem::take(&mut self.wire(peer).borrow_mut().arrived).len()
    }

    /// How often that has arrived since this was asked last.
    fn times_arrived(&self, peer: usize, word: &str) -> usize {
        let arrived = std::mem::take(&mut self.wire(peer).borrow_mut().arrived);
        String::from_utf8_lossy(&arrived).matches(word).count()
    }

    fn assert_nobody_was_closed(&self) {
        assert!(self.hub.endings().is_empty(), "{:?}", self.hub.endings());
    }
}

fn control_characters(count: usize) -> String {
    "\u{1}".repeat(count)
}

#[test]
fn talkers_at_the_limit_close_no_reader_that_takes_a_megabit() {
    for (talkers, text) in [
        (1, "x".repeat(LARGEST)),
        (1, control_characters(LARGEST)),
        (1, "\u{202e}".repeat(LARGEST / 3)),
        (20, control_characters(LARGEST)),
        (20, "x".repeat(3_000)),
        (30, "a short line".to_owned()),
        (30, control_characters(250)),
    ] {
        let mut world = World::new(Limits::default());
        let talkers: Vec<usize> = (0..talkers).map(|_| world.connect("/?quiet=1")).collect();
        let mut reader = world.connect_by_phone("/");
        for second in 0..40 {
            // One who comes in the middle of it is sent the past as well.
            if second == 20 {
                reader = world.connect_by_phone("/");
            }
            talkers.iter().for_each(|talker| world.keep_saying(*talker, &text));
            world.pass(1);
            for talker in &talkers {
                world.arrived_bytes(*talker);
            }
            world.assert_nobody_was_closed();
        }
        assert!(world.arrived_bytes(reader) > LARGEST, "and it hears what is said");
    }
}

#[test]
fn the_largest_message_passes_at_once_after_a_rest_and_the_next_waits_until_it_is_paid_for() {
    let mut world = World::new(Limits::default());
    let talker = world.connect("/?quiet=1");
    world.say(talker, &control_characters(LARGEST));
    world.say(talker, "the next");
    world.turn();
    assert!(world.arrived_bytes(talker) > LARGEST_SENT);
    world.pass(8);
    assert_eq!(world.times_arrived(talker, "the next"), 0);
    world.pass(4);
    assert_eq!(world.times_arrived(talker, "the next"), 1);
}

#[test]
fn short_lines_are_counted_as_frames_as_they_always_were() {
    let mut world = World::new(Limits::default());
    let talker = world.connect("/?quiet=1");
    for _ in 0..100 {
        world.say(talker, "a short line");
    }
    world.turn();
    assert_eq!(world.times_arrived(talker, "a short line"), 50);
    world.pass(1);
    assert_eq!(world.times_arrived(talker, "a short line"), 20);
}

#[test]
fn all_talkers_of_a_room_together_say_no_more_than_its_share_and_another_room_has_its_own() {
    let mut world = World::new(Limits::default());
    let loud: Vec<usize> = (0..20).map(|_| world.connect("/?quiet=1")).collect();
    let elsewhere = world.connect("/r/elsewhere?quiet=1");
    let reader = world.connect("/?quiet=1");
    let text = "x".repeat(10_000);
    for _ in 0..10 {
        loud.iter().for_each(|talker| world.keep_saying(*talker, &text));
        world.pass(1);
    }
    world.arrived_bytes(reader);
    let before = world.arrived_bytes(loud[0]);
    assert!(before > 0);
    for _ in 0..20 {
        loud.iter().for_each(|talker| world.keep_saying(*talker, &text));
        world.pass(1);
        world.say(elsewhere, "hello elsewhere");
        world.turn();
        assert_eq!(world.times_arrived(elsewhere, "hello elsewhere"), 1, "nobody is slowed in another room");
    }
    let heard = world.arrived_bytes(reader);
    let share = 20 * 100 * 1024;
    assert!(heard.abs_diff(share) < 2 * text.len() + share / 50, "{heard} bytes in 20 s");
}

/// The bound: what the largest message costs of the room's share, and no more for each of the others.
#[test]
fn one_who_says_little_in_a_flooded_room_is_heard_within_five_seconds() {
    let mut world = World::new(Limits::default());
    let loud: Vec<usize> = (0..30).map(|_| world.connect("/?quiet=1")).collect();
    let quiet = world.connect("/?quiet=1");
    let text = control_characters(LARGEST);
    for second in 0..180 {
        loud.iter().for_each(|talker| world.keep_saying(*talker, &text));
        // While all talk for the first time nobody is known as one who says little.
        if second >= 130 && second % 10 == 0 {
            world.arrived_bytes(quiet);
            world.say(quiet, "a quiet word");
            world.pass(5);
            assert_eq!(world.times_arrived(quiet, "a quiet word"), 1);
        } else {
            world.pass(1);
        }
        for peer in 0..world.peers.len() {
            world.arrived_bytes(peer);
        }
    }
    world.assert_nobody_was_closed();
}

#[test]
fn a_thousand_talkers_are_let_forward_one_by_one_and_not_woken_together() {
    let mut world = World::new(Limits { presence_members: 0, ..Limits::default() });
    let talkers: Vec<usize> = (0..1_000).map(|_| world.connect("/?quiet=1")).collect();
    let text = "x".repeat(3_000);
    for talker in &talkers {
        world.say(*talker, &text);
        world.say(*talker, &text);
    }
    world.turn();
    let reads = |world: &World| world.peers.iter().map(|(_, wire)| wire.borrow().reads).sum::<usize>();
    let at_once = world.times_arrived(talkers[0], r#""type":"message""#);
    let (reads_before, turns_before) = (reads(&world), world.turns);
    world.pass(20);
    let heard = world.times_arrived(talkers[0], r#""type":"message""#);
    assert!((600..700).contains(&heard), "{heard} messages of 3,000 bytes in 20 s");
    assert!(reads(&world) - reads_before <= 2 * heard, "only those were read who were heard");
    assert!(world.turns - turns_before < 2_000 + 2 * heard, "{} turns", world.turns - turns_before);
    for talker in &talkers {
        world.arrived_bytes(*talker);
    }
    world.pass(60);
    assert_eq!(world.times_arrived(talkers[0], r#""type":"message""#) + heard + at_once, 2_000, "nothing is lost");
    world.assert_nobody_was_closed();
}

#[test]
fn a_private_flood_closes_nobody_and_only_its_sender_has_to_wait() {
    let mut world = World::new(Limits::default());
    let flooders: Vec<usize> = (0..10).map(|_| world.connect("/?quiet=1")).collect();
    let reader = world.connect_by_phone("/?name=reader");
    let friend = world.connect("/?quiet=1");
    let text = format!("/msg reader {}", control_characters(LARGEST - 20));
    for _ in 0..20 {
        flooders.iter().for_each(|flooder| world.keep_saying(*flooder, &text));
        world.pass(1);
        world.assert_nobody_was_closed();
    }
    let busy: usize = flooders.iter().map(|flooder| world.times_arrived(*flooder, "receiver-busy")).sum();
    assert!(busy > 0);
    world.arrived_bytes(reader);
    world.say(friend, "what the room says");
    world.turn();
    assert_eq!(world.times_arrived(friend, "what the room says"), 1, "nobody else is slowed");
    world.pass(10);
    assert_eq!(world.times_arrived(reader, "what the room says"), 1, "behind what was there before");
}

#[test]
fn a_long_answer_to_a_short_question_counts_as_what_it_is() {
    let mut world = World::new(Limits::default());
    for nth in 0..100 {
        world.connect(&format!("/?quiet=1&name={}{nth:03}", "%E6%B1%89".repeat(29)));
    }
    let asker = world.connect("/?quiet=1");
    for _ in 0..200 {
        world.say(asker, "/who");
    }
    world.turn();
    let at_once = world.arrived_bytes(asker);
    world.pass(10);
    let per_second = world.arrived_bytes(asker) / 10;
    assert!(at_once < 110_000 && per_second < 36_000, "{at_once} bytes at once, and {per_second} a second");
}

/// A handshake of 160 bytes that asked for a long past cost 68 times the shortest message, and nothing counted it.
#[test]
fn newcomers_who_missed_much_are_sent_it_piece_by_piece_in_turn_and_hold_up_nobody_who_missed_nothing() {
    const NEWCOMERS: usize = 10;
    const SAID: usize = 100;
    const RATE: usize = 100_000;
    let limits = Limits {
        past_byte_rate: Some(ByteRate { per_second: RATE as u32 }),
        max_queue_bytes: 160_000,
        replay_messages: 1,
        rate: None,
        room_byte_rate: None,
        ..Limits::default()
    };
    let piece = limits.piece_bytes();
    let mut world = World::new(limits);
    let talker = world.connect("/?quiet=1");
    for _ in 0..SAID {
        world.say(talker, &"x".repeat(1_000));
    }
    world.turn();
    let all = world.arrived_bytes(talker);
    let newcomers: Vec<usize> = (0..NEWCOMERS).map(|_| world.connect("/?since=0")).collect();
    let other = world.connect("/");
    assert_eq!(world.times_arrived(other, r#""type":"message""#), 1, "it has missed nothing, and waits for nobody");

    let mut arrived = vec![0; NEWCOMERS];
    for second in 1..=20 {
        world.pass(1);
        for (bytes, newcomer) in arrived.iter_mut().zip(&newcomers) {
            *bytes += world.arrived_bytes(*newcomer);
        }
        let in_all: usize = arrived.iter().sum();
        // Beside the pieces there are the greetings, and who came after each.
        let most = RATE / 8 + second * RATE + piece + NEWCOMERS * 8_000;
        assert!(in_all <= most, "second {second}: {in_all} bytes, and {most} may be sent");
        if second == 2 {
            let least = arrived.iter().min().unwrap();
            assert!(*least > piece / 2, "each has had a piece before the first has had all: {arrived:?}");
            assert!(arrived.iter().all(|bytes| *bytes < all), "{arrived:?}");
        }
    }
    assert!(arrived.iter().all(|bytes| *bytes >= all), "everybody has everything in the end: {arrived:?}");
    world.assert_nobody_was_closed();
}

#[test]
fn without_a_rate_limit_nobody_waits() {
    let unlimited = Limits {
        rate: None,
        byte_rate: None,
        room_byte_rate: None,
        past_byte_rate: None,
        change_rate: None,
        ..Limits::default()
    };
    let mut world = World::new(unlimited);
    let talker = world.connect("/?quiet=1");
    for _ in 0..200 {
        world.say(talker, &"x".repeat(LARGEST));
    }
    world.turn();
    assert_eq!(world.times_arrived(talker, r#""type":"message""#), 200);
}
