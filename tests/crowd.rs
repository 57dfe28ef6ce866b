//! What a crowd costs, counted in frames: a hub with sockets that look at what they are written.

mod support;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::rc::Rc;
use std::time::Duration;

use roomd::door::{EchoService, Health, Site};
use roomd::door::{OriginPolicy, Pages};
use roomd::history::memory::Memory;
use roomd::hub::{Hub, Readiness, Socket};
use roomd::limits::Limits;
use roomd::moment::{Moment, Now};
use support::{handshake, masked_frame, parse_frame};

/// How many events of each type all members together were sent.
type Counts = Rc<RefCell<BTreeMap<String, usize>>>;

/// A member's socket: gives what it was filled with, takes all that it is written, and counts it.
struct Counting {
    to_hub: Rc<RefCell<Vec<u8>>>,
    /// The answer to the handshake has passed.
    is_open: bool,
    unparsed: Vec<u8>,
    counts: Counts,
}

impl Read for Counting {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.to_hub.take();
        if bytes.is_empty() {
            return Err(ErrorKind::WouldBlock.into());
        }
        buffer[..bytes.len()].copy_from_slice(&bytes);
        Ok(bytes.len())
    }
}

impl Write for Counting {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.unparsed.extend_from_slice(bytes);
        if !self.is_open {
            let head = self.unparsed.windows(4).position(|end| end == b"\r\n\r\n").expect("the head comes whole");
            self.unparsed.drain(..head + 4);
            self.is_open = true;
        }
        let mut taken = 0;
        while let Some((frame, len)) = parse_frame(&self.unparsed[taken..]) {
            taken += len;
            // Every event begins with its type; to parse all of it a hundred thousand times takes a minute.
            let kind = frame.text().strip_prefix(r#"{"type":""#).and_then(|rest| rest.split('"').next());
            *self.counts.borrow_mut().entry(kind.expect("an event").to_owned()).or_default() += 1;
        }
        self.unparsed.drain(..taken);
        Ok(bytes.len())
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
        self.write(&bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Socket for Counting {
    fn shut_down_writing(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// With a frame for each of each, ten thousand joins would be a hundred million frames.
#[test]
fn ten_thousand_joins_cost_ten_thousand_welcomes() {
    const JOINS: usize = 10_000;
    const JOINS_PER_TURN: usize = 100;
    const TURN: Duration = Duration::from_millis(20);
    const READABLE: Readiness = Readiness { readable: true, writable: false, hung_up: false };

    let limits = Limits { max_connections: JOINS, ..Limits::default() };
    let site =
        Site { pages: Pages::Embedded, origins: OriginPolicy::default(), echo: EchoService::Off, health: Health::Good };
    let mut hub = Hub::new(limits, site, Box::new(Memory::new()));
    let mut now = Now { moment: Moment::START, unix_ms: 1_763_817_427_123 };
    let counts = Counts::default();
    let mut members = Vec::new();
    let mut turns = 0u32;
    let mut turn = |hub: &mut Hub<Counting>, now: &mut Now| {
        now.moment = now.moment + TURN;
        hub.turn(*now);
        turns += 1;
    };
    for _ in 0..JOINS / JOINS_PER_TURN {
        for _ in 0..JOINS_PER_TURN {
            let to_hub = Rc::new(RefCell::new(handshake("/").into_bytes()));
            let socket =
                Counting { to_hub: Rc::clone(&to_hub), is_open: false, unparsed: Vec::new(), counts: counts.clone() };
            let id = hub.accept(socket, "192.0.2.7:49152".into(), now);
            members.push((id, to_hub));
            hub.ready(id, READABLE);
        }
        turn(&mut hub, &mut now);
    }
    // The last of them takes another name and says something, and time passes until there is nothing more to tell.
    let (last, to_hub) = members.last().unwrap();
    for line in ["/nick Ann", "hello"] {
        to_hub.borrow_mut().extend(masked_frame(0x81, line.as_bytes()));
    }
    hub.ready(*last, READABLE);
    for _ in 0..100 {
        turn(&mut hub, &mut now);
    }
    assert!(!hub.has_work());

    let counts = counts.borrow();
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
