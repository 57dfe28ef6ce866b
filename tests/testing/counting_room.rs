//! A room without a kernel, made for counting: a hub whose sockets say what the test says and swallow what they are written.
//!
//! All that the script needs is made beforehand, so that between [`Room::new`] and the end
//! nothing but the hub itself asks for memory, and reading and writing cost next to nothing.

#![allow(dead_code, unreachable_pub, reason = "each of those who count uses its own part of this")]

use std::cell::{Cell, RefCell};
use std::hint::black_box;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::rc::Rc;
use std::time::Duration;

use roomd::door::{EchoService, Health, Site};
use roomd::door::{OriginPolicy, Pages};
use roomd::gate::PeerAddress;
use roomd::history::log::InMemoryLog;
use roomd::hub::{Hub, PeerId, Readiness, Socket};
use roomd::limits::{Limits, ScrollbackLimit};
use roomd::moment::{Moment, Now};
use roomd::rate_limit::{ByteRate, Rate};

/// What a browser sends to become a member: headers of the size and in the order of one of 2025.
const BROWSER_HEAD: &str = "GET / HTTP/1.1\r\n\
    Host: chat.example.org\r\n\
    Connection: Upgrade\r\n\
    Pragma: no-cache\r\n\
    Cache-Control: no-cache\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 \
    Safari/537.36\r\n\
    Upgrade: websocket\r\n\
    Origin: http://chat.example.org\r\n\
    Sec-WebSocket-Version: 13\r\n\
    Accept-Encoding: gzip, deflate\r\n\
    Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n";

/// The history keeps so many messages: few, so that it is soon full, and from then on each costs the same.
pub const KEPT_MESSAGES: usize = 100;

/// Newcomers of one turn.
const JOINS_PER_TURN: usize = 10;

/// So much time passes in a turn.
const TURN: Duration = Duration::from_millis(1);

const READABLE: Readiness = Readiness { readable: true, writable: false, hung_up: false };
const WRITABLE: Readiness = Readiness { readable: false, writable: true, hung_up: false };

/// A piece of what a client sends, as one read gives it.
pub type Piece = Rc<[u8]>;

/// What the test and the socket of one member share.
#[derive(Default)]
struct Tally {
    to_daemon: RefCell<Option<Piece>>,
    is_stalled: Cell<bool>,
    writes: Cell<u64>,
    bytes: Cell<u64>,
}

/// The hub's end. It takes all or nothing, keeps nothing, and counts.
pub struct CountingSocket(Rc<Tally>);

impl Read for CountingSocket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(piece) = self.0.to_daemon.take() else { return Err(ErrorKind::WouldBlock.into()) };
        buffer[..piece.len()].copy_from_slice(&piece);
        Ok(piece.len())
    }
}

impl CountingSocket {
    fn swallow(&self, count: usize) -> io::Result<usize> {
        let Tally { is_stalled, writes, bytes, .. } = &*self.0;
        writes.set(writes.get() + 1);
        if is_stalled.get() {
            return Err(ErrorKind::WouldBlock.into());
        }
        bytes.set(bytes.get() + count as u64);
        Ok(count)
    }
}

/// The bytes themselves are for nobody, but the compiler must not know that: it leaves out copies that nobody reads.
impl Write for CountingSocket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.swallow(black_box(bytes).len())
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.swallow(black_box(slices).iter().map(|slice| slice.len()).sum())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Socket for CountingSocket {
    fn shut_down_writing(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A hub and its members, numbered in the order in which they came.
pub struct Room {
    pub hub: Hub<CountingSocket>,
    tallies: Vec<Rc<Tally>>,
    members: Vec<PeerId>,
    now: Now,
    head: Piece,
}

impl Room {
    /// An empty room for `capacity` members.
    pub fn new(limits: Limits, capacity: usize) -> Room {
        let site = Site {
            pages: Pages::Embedded,
            origins: OriginPolicy::default(),
            echo: EchoService::On,
            health: Health::Good,
        };
        Room {
            hub: Hub::new(limits, site, Box::new(InMemoryLog::new())),
            tallies: (0..capacity).map(|_| Rc::default()).collect(),
            members: Vec::with_capacity(capacity),
            now: Now { moment: Moment::START, unix_ms: 1_763_817_427_123 },
            head: BROWSER_HEAD.as_bytes().into(),
        }
    }

    /// The usual limits, but for the rate: it is reckoned with, and nobody reaches it.
    pub fn limits() -> Limits {
        Limits {
            max_connections: 65_536,
            rate: Some(Rate { burst: 1 << 20, per_second: 1 << 20 }),
            byte_rate: Some(ByteRate { per_second: u32::MAX }),
            room_byte_rate: Some(ByteRate { per_second: u32::MAX }),
            kept: ScrollbackLimit { messages: KEPT_MESSAGES, bytes: 16 * 1024 * 1024 },
            ..Limits::default()
        }
    }

    /// `count` more come in; each is accepted, upgraded and welcomed.
    pub fn join(&mut self, count: usize) {
        let head = Rc::clone(&self.head);
        self.join_in_pieces(count, &[head]);
    }

    /// The same with a head that comes in two pieces.
    pub fn join_haltingly(&mut self, count: usize) {
        let (first, rest) = self.head.split_at(self.head.len() / 2);
        self.join_in_pieces(count, &[first.into(), rest.into()]);
    }

    fn join_in_pieces(&mut self, count: usize, head: &[Piece]) {
        let end = self.members.len() + count;
        while self.members.len() < end {
            let first = self.members.len();
            for nth in first..end.min(first + JOINS_PER_TURN) {
                let socket = CountingSocket(Rc::clone(&self.tallies[nth]));
                self.members.push(self.hub.accept(socket, PeerAddress::Unix, self.now));
            }
            for piece in head {
                for nth in first..self.members.len() {
                    self.say(nth, piece);
                }
                self.turn();
            }
        }
    }

    /// A member sends this; the hub reads it in the next turn.
    pub fn say(&mut self, member: usize, piece: &Piece) {
        let earlier = self.tallies[member].to_daemon.replace(Some(Rc::clone(piece)));
        assert!(earlier.is_none(), "member {member} has not been read");
        self.hub.ready(self.members[member], READABLE);
    }

    /// Whether what the member said last has been read.
    pub fn has_been_read(&self, member: usize) -> bool {
        self.tallies[member].to_daemon.borrow().is_none()
    }

    /// One turn of the hub, a millisecond after the last.
    pub fn turn(&mut self) {
        self.pass(TURN);
    }

    /// One turn, after some time.
    pub fn pass(&mut self, time: Duration) {
        self.now.moment = self.now.moment + time;
        self.now.unix_ms += time.as_millis() as u64;
        self.hub.turn(self.now);
    }

    /// Turns until the hub has nothing left to do, and nothing to tell: a large room hears a count once a second.
    pub fn come_to_rest(&mut self) {
        self.pass(Duration::from_secs(1));
        self.pass(Duration::from_secs(1));
        for _ in 0..10_000 {
            if !self.hub.has_work() {
                return;
            }
            self.turn();
        }
        panic!("the hub does not come to rest");
    }

    /// From now on this member's socket is full.
    pub fn stall(&mut self, member: usize) {
        self.tallies[member].is_stalled.set(true);
    }

    /// This member reads again, and takes all it is given.
    pub fn resume(&mut self, member: usize) {
        self.tallies[member].is_stalled.set(false);
        self.hub.ready(self.members[member], WRITABLE);
    }

    /// Calls to write on a member's socket so far, successful or not.
    pub fn writes(&self, member: usize) -> u64 {
        self.tallies[member].writes.get()
    }

    /// Bytes that a member has been sent so far.
    pub fn bytes(&self, member: usize) -> u64 {
        self.tallies[member].bytes.get()
    }
}

const FIN: u8 = 0x80;
const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const PING: u8 = 9;

/// `count` messages of `len` bytes, in one piece.
pub fn messages(count: usize, len: usize) -> Piece {
    let mut piece = Vec::new();
    for _ in 0..count {
        append_masked(&mut piece, FIN | TEXT, &vec![b'x'; len]);
    }
    piece.into()
}

/// A message of `len` bytes in two fragments with a ping between them, cut into pieces in the middle of each frame.
pub fn message_in_shreds(len: usize) -> Vec<Piece> {
    let half = vec![b'x'; len / 2];
    let mut pieces = Vec::new();
    let mut rest = Vec::new();
    for (first, payload) in [(TEXT, &half[..]), (FIN | PING, b"are you there?"), (FIN | CONTINUATION, &half)] {
        append_masked(&mut rest, first, payload);
        let middle = rest.len() - payload.len() / 2;
        let behind = rest.split_off(middle);
        pieces.push(std::mem::replace(&mut rest, behind).into());
    }
    pieces.push(rest.into());
    pieces
}

fn append_masked(out: &mut Vec<u8>, first: u8, payload: &[u8]) {
    const KEY: [u8; 4] = [0x1d, 0xc2, 0x70, 0x9b];
    out.push(first);
    if payload.len() < 126 {
        out.push(0x80 | payload.len() as u8);
    } else {
        let len = u16::try_from(payload.len()).expect("no scripted message is that long");
        out.push(0x80 | 126);
        out.extend(len.to_be_bytes());
    }
    out.extend(KEY);
    out.extend(payload.iter().zip(KEY.iter().cycle()).map(|(byte, key)| byte ^ key));
}
