//! Many clients over one poller and one buffer. An idle client owns nothing but its socket.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs, UdpSocket};
use std::ops::Range;
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::{Events, Interest, Poll, Token};

use crate::Common;
use crate::server::Server;

/// A text as the generator makes them: `@RRRRR SSS NNNNNNNN TTTTTTTTTTTTTTTT` and filling. The run, so that what an earlier
/// one left in the server's history is not counted; sender, number, microseconds.
pub(crate) const SMALLEST_TEXT: usize = 37;

/// How long a server may take for a handshake when nobody else asks for one.
const HANDSHAKE: Duration = Duration::from_secs(30);

/// So many a text has digits for.
pub(crate) const MOST_SENDERS: usize = 1000;
pub(crate) const MOST_NUMBERS: u32 = 100_000_000;

/// What a text begins with: `@`, the run and a blank.
const MARK: usize = 7;

/// How many texts there are for each that is compared byte by byte. Of the others the ends are looked at, for the
/// generator must be far cheaper than any server.
const COMPARED: u64 = 64;

/// Where a server is.
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    host: String,
    path: String,
}

impl Target {
    pub(crate) fn of(common: &Common) -> io::Result<Target> {
        let bad = |why: &str| io::Error::new(ErrorKind::InvalidInput, format!("{}: {why}", common.url));
        if common.url.starts_with("wss://") {
            return Err(bad(
                "wss is not spoken here, for TLS would be measured along; give the server's own ws:// address",
            ));
        }
        let rest = common.url.strip_prefix("ws://").ok_or_else(|| bad("it is not like ws://127.0.0.1:8000/"))?;
        let (host, path) = rest.find(['/', '?']).map_or((rest, ""), |at| rest.split_at(at));
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        // A colon inside of [::1] is none before a port.
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
        let place = if has_port { host.to_owned() } else { format!("{host}:80") };
        let mut addresses = place.to_socket_addrs().map_err(|error| bad(&error.to_string()))?;
        let address = addresses.next().ok_or_else(|| bad("that host has no address"))?;
        Ok(Target { address, host: host.to_owned(), path })
    }

    /// The process to measure. A server that is not on this machine has none.
    pub(crate) fn server(&self, common: &Common) -> io::Result<Server> {
        let elsewhere = || io::Error::new(ErrorKind::NotFound, format!("{} is not on this machine", self.address));
        self.server_if_here(common)?.ok_or_else(elsewhere)
    }

    /// The same for runs that have something to tell without it.
    pub(crate) fn server_if_here(&self, common: &Common) -> io::Result<Option<Server>> {
        match common.pid {
            Some(pid) => Server::by_pid(pid).map(Some),
            // Only an address of this machine can be bound to.
            None if UdpSocket::bind((self.address.ip(), 0)).is_err() => Ok(None),
            None => Server::by_address(self.address).map(Some),
        }
    }

    /// From now on handshakes ask for what is said and nothing else.
    pub(crate) fn ask_for_quiet(&mut self) {
        self.path.push_str(if self.path.contains('?') { "&quiet=1" } else { "?quiet=1" });
    }

    pub(crate) fn handshake(&self) -> String {
        format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
            self.path, self.host
        )
    }
}

struct Client {
    stream: mio::net::TcpStream,
    /// What was read of a frame that has not come whole.
    rest: Vec<u8>,
    /// What could not be written.
    unsent: Vec<u8>,
    has_ended: bool,
}

/// What a frame of the server's can be for us.
enum Heard<'a> {
    Text(Text),
    /// With its payload, for the answer.
    Ping(&'a [u8]),
}

/// A text of ours.
pub(crate) struct Text {
    /// `None` if it is too short for them.
    pub(crate) numbers: Option<Numbers>,
    /// As far as was looked it is what was said.
    pub(crate) is_intact: bool,
}

/// The numbers in a text. They are the wire's: nothing is sure of them.
#[derive(Clone, Copy)]
pub(crate) struct Numbers {
    pub(crate) sender: usize,
    pub(crate) number: u32,
    pub(crate) intended_us: u64,
}

pub(crate) struct Swarm {
    /// In each of its texts.
    pub(crate) run: u32,
    /// Pings that were answered.
    pub(crate) pongs: u64,
    clients: Vec<Client>,
    /// Why the first connection ended.
    first_ending: Option<String>,
    /// Texts that were looked at.
    seen: u64,
    poll: Poll,
    events: Events,
    buffer: Vec<u8>,
}

impl Swarm {
    /// Connects so many clients, one after the other, their handshakes done.
    pub(crate) fn connect(target: &Target, count: usize) -> io::Result<Swarm> {
        let mut swarm = Swarm {
            run: new_run(),
            pongs: 0,
            clients: Vec::with_capacity(count),
            first_ending: None,
            seen: 0,
            poll: Poll::new()?,
            events: Events::with_capacity(4096),
            buffer: vec![0; 1 << 20],
        };
        for nth in 0..count {
            let about = |error: io::Error| {
                let address = target.address;
                io::Error::new(error.kind(), format!("client {nth} cannot connect to {address}: {error}"))
            };
            let (stream, rest) = open(target).map_err(about)?;
            let stream = mio::net::TcpStream::from_std(stream);
            swarm.clients.push(Client { stream, rest, unsent: Vec::new(), has_ended: false });
        }
        swarm.start_reading(0..count)?;
        Ok(swarm)
    }

    pub(crate) fn start_reading(&mut self, clients: Range<usize>) -> io::Result<()> {
        for nth in clients {
            let Client { stream, has_ended: false, .. } = &mut self.clients[nth] else { continue };
            self.poll.registry().register(stream, Token(nth), Interest::READABLE | Interest::WRITABLE)?;
        }
        Ok(())
    }

    /// From now on what these are sent stays where it is.
    pub(crate) fn stop_reading(&mut self, clients: Range<usize>) -> io::Result<()> {
        for client in self.clients[clients].iter_mut().filter(|client| !client.has_ended) {
            self.poll.registry().deregister(&mut client.stream)?;
        }
        Ok(())
    }

    /// Sends bytes; what the socket does not take now, it will later. Who has ended sends nothing.
    pub(crate) fn send(&mut self, nth: usize, bytes: &[u8]) {
        let client = &mut self.clients[nth];
        if client.has_ended {
            return;
        }
        client.unsent.extend_from_slice(bytes);
        if let Err(error) = client.flush() {
            self.end(nth, &error);
        }
    }

    /// There is something of this client's that the server has not taken.
    pub(crate) fn is_behind(&self, nth: usize) -> bool {
        self.clients[nth].is_behind()
    }

    pub(crate) fn has_ended(&self, nth: usize) -> bool {
        self.clients[nth].has_ended
    }

    /// How many of these the server has closed.
    pub(crate) fn ended(&self, clients: Range<usize>) -> usize {
        self.clients[clients].iter().filter(|client| client.has_ended).count()
    }

    /// Which client was closed first, and how.
    pub(crate) fn first_ending(&self) -> Option<&str> {
        self.first_ending.as_deref()
    }

    /// Reads what is there, within one pass, and calls `on_text` for each text of ours. Waits up to `patience`. Says
    /// whether there was anything to do. Whom the server closes has ended; the others go on.
    pub(crate) fn pass(
        &mut self,
        patience: Duration,
        text_bytes: usize,
        mut on_text: impl FnMut(usize, Text),
    ) -> io::Result<bool> {
        self.wait(patience)?;
        let events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        let mut checker = Checker::new(self.run, text_bytes, self.seen);
        for event in &events {
            let Token(nth) = event.token();
            let client = &mut self.clients[nth];
            if client.has_ended {
                continue;
            }
            match client.serve(event, &mut self.buffer, &mut checker, |text| on_text(nth, text)) {
                Ok(pongs) => self.pongs += pongs,
                Err(error) => self.end(nth, &error),
            }
        }
        self.seen = checker.seen;
        self.events = events;
        Ok(!self.events.is_empty())
    }

    /// Does nothing but answer pings until `end`. Says how many connections ended meanwhile.
    pub(crate) fn rest(&mut self, end: Instant) -> io::Result<usize> {
        let before = self.ended(0..self.clients.len());
        loop {
            let patience = end.saturating_duration_since(Instant::now());
            if patience.is_zero() {
                return Ok(self.ended(0..self.clients.len()) - before);
            }
            self.pass(patience, SMALLEST_TEXT, |_, _| {})?;
        }
    }

    fn end(&mut self, nth: usize, why: &io::Error) {
        let client = &mut self.clients[nth];
        client.has_ended = true;
        // It was there, so it can be taken out; and if not, it says nothing any more.
        let _ = self.poll.registry().deregister(&mut client.stream);
        self.first_ending.get_or_insert_with(|| format!("client {nth}: {why}"));
    }

    fn wait(&mut self, patience: Duration) -> io::Result<()> {
        match self.poll.poll(&mut self.events, Some(patience)) {
            Err(error) if error.kind() != ErrorKind::Interrupted => Err(error),
            _ => Ok(()),
        }
    }
}

impl Client {
    fn is_behind(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// Writes and reads what it can, answers pings, and says how many there were.
    fn serve(
        &mut self,
        event: &Event,
        buffer: &mut [u8],
        checker: &mut Checker,
        mut on_text: impl FnMut(Text),
    ) -> io::Result<u64> {
        let mut pongs = 0;
        if event.is_writable() && self.is_behind() {
            self.flush()?;
        }
        while event.is_readable() {
            let kept = self.rest.len();
            buffer[..kept].copy_from_slice(&self.rest);
            let count = match self.stream.read(&mut buffer[kept..]) {
                Ok(0) => return Err(io::Error::new(ErrorKind::UnexpectedEof, "the server closed the connection")),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            };
            let len = kept + count;
            let (unsent, pongs) = (&mut self.unsent, &mut pongs);
            let taken = take_frames(&buffer[..len], checker, |heard| match heard {
                Heard::Text(text) => on_text(text),
                Heard::Ping(payload) => {
                    append_pong(unsent, payload);
                    *pongs += 1;
                }
            })?;
            if *pongs > 0 {
                self.flush()?;
            }
            self.rest.clear();
            self.rest.extend_from_slice(&buffer[taken..len]);
            // There is no more, unless it is the end.
            if len < buffer.len() && !event.is_read_closed() {
                break;
            }
        }
        Ok(pongs)
    }

    fn flush(&mut self) -> io::Result<()> {
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(count) => drop(self.unsent.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Appends a client's text frame. The masking key is one that changes nothing: the server has to unmask all the same.
pub(crate) fn append_text(
    out: &mut Vec<u8>,
    run: u32,
    text_bytes: usize,
    sender: usize,
    number: u32,
    intended_us: u64,
) {
    out.push(0x81);
    if text_bytes < 126 {
        out.push(0x80 | text_bytes as u8);
    } else {
        out.push(0x80 | 126);
        out.extend_from_slice(&(text_bytes as u16).to_be_bytes());
    }
    out.extend_from_slice(&[0; 4]);
    let start = out.len();
    let _ = write!(out, "@{run:05} {sender:03} {number:08} {intended_us:016} ");
    out.resize(start + text_bytes, b'x');
}

/// Appends the answer to a ping: its payload, which a control frame keeps below 126 bytes.
fn append_pong(out: &mut Vec<u8>, payload: &[u8]) {
    out.extend_from_slice(&[0x8A, 0x80 | payload.len() as u8, 0, 0, 0, 0]);
    out.extend_from_slice(payload);
}

/// Calls `on_heard` for each whole frame that is a ping or holds a text of ours; says how many bytes the whole frames
/// took.
fn take_frames(bytes: &[u8], checker: &mut Checker, mut on_heard: impl FnMut(Heard<'_>)) -> io::Result<usize> {
    let mut at = 0;
    loop {
        let Some([first, second]) = bytes.get(at..at + 2) else { return Ok(at) };
        let (start, len) = match second {
            126 => {
                let Some([high, low]) = bytes.get(at + 2..at + 4) else { return Ok(at) };
                (at + 4, usize::from(u16::from_be_bytes([*high, *low])))
            }
            127 => {
                let Some(len) = bytes.get(at + 2..at + 10).and_then(|len| len.first_chunk()) else { return Ok(at) };
                (at + 10, u64::from_be_bytes(*len) as usize)
            }
            len => (at + 2, usize::from(*len)),
        };
        let Some(payload) = bytes.get(start..start + len) else { return Ok(at) };
        match first {
            0x81 => {
                if let Some(text) = checker.find_text(payload) {
                    on_heard(Heard::Text(text));
                }
            }
            0x89 => on_heard(Heard::Ping(payload)),
            0x88 => {
                return Err(io::Error::other(format!("it was sent Close {:?}", String::from_utf8_lossy(payload))));
            }
            _ => {}
        }
        at = start + len;
    }
}

/// Finds texts of one run, and says whether they are as they were made.
struct Checker {
    mark: [u8; MARK],
    text_bytes: usize,
    seen: u64,
}

impl Checker {
    fn new(run: u32, text_bytes: usize, seen: u64) -> Checker {
        let mut mark = *b"@00000 ";
        let _ = write!(&mut mark[1..6], "{run:05}");
        Checker { mark, text_bytes, seen }
    }

    /// The text stands last in the object (roomd, the floor), first (`{"mess":"`), or alone (an echo). One that stands
    /// elsewhere was made shorter or longer.
    #[inline]
    fn find_text(&mut self, payload: &[u8]) -> Option<Text> {
        let has_mark = |&at: &usize| payload.get(at..).and_then(<[u8]>::first_chunk) == Some(&self.mark);
        let last = payload.len().checked_sub(self.text_bytes + 2);
        let at = [last, Some(9), Some(0)].into_iter().flatten().find(has_mark);
        let at = at.or_else(|| payload.windows(MARK).position(|window| window == self.mark))?;
        self.seen += 1;
        let end = at + self.text_bytes;
        let numbers = read_numbers(&payload[at..]);
        let is_ended = if at == 0 { payload.len() == end } else { payload.get(end) == Some(&b'"') };
        let filling = if self.text_bytes == SMALLEST_TEXT { b' ' } else { b'x' };
        let is_intact = is_ended
            && payload[end - 1] == filling
            && (!self.seen.is_multiple_of(COMPARED) || is_made(&payload[at..end]));
        Some(Text { numbers, is_intact })
    }
}

/// Whether this is a text as they are made, each byte of it. What its numbers are is for others to judge.
fn is_made(text: &[u8]) -> bool {
    let are_digits = |from: usize, to: usize| text[from..to].iter().all(u8::is_ascii_digit);
    are_digits(7, 10)
        && are_digits(11, 19)
        && are_digits(20, 36)
        && [10, 19, 36].iter().all(|&at| text[at] == b' ')
        && text[SMALLEST_TEXT..].iter().all(|&byte| byte == b'x')
}

#[inline]
fn read_numbers(text: &[u8]) -> Option<Numbers> {
    let number = |from: usize, to: usize| -> Option<u64> {
        let digits = text.get(from..to)?;
        Some(digits.iter().fold(0, |number, digit| number * 10 + u64::from(digit.wrapping_sub(b'0'))))
    };
    Some(Numbers { sender: number(7, 10)? as usize, number: number(11, 19)? as u32, intended_us: number(20, 36)? })
}

/// A number for a swarm's texts: other than those of the process's earlier swarms and of the last processes.
fn new_run() -> u32 {
    use std::sync::atomic::{AtomicU32, Ordering};
    static SWARMS: AtomicU32 = AtomicU32::new(0);
    (std::process::id() % 1000 * 100 + SWARMS.fetch_add(1, Ordering::Relaxed)) % 100_000
}

/// A client whose handshake is done, and what was read beyond it.
fn open(target: &Target) -> io::Result<(TcpStream, Vec<u8>)> {
    let mut stream = TcpStream::connect(target.address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(HANDSHAKE))?;
    stream.write_all(target.handshake().as_bytes())?;
    let rest = read_101(&mut stream)?;
    stream.set_nonblocking(true)?;
    Ok((stream, rest))
}

fn read_101(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 16 * 1024];
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            if !bytes.starts_with(b"HTTP/1.1 101 ") {
                let head = String::from_utf8_lossy(&bytes);
                return Err(io::Error::other(format!("refused: {}", head.lines().next().unwrap_or_default())));
            }
            return Ok(bytes.split_off(end + 4));
        }
        match stream.read(&mut chunk) {
            Ok(0) => return Err(io::Error::new(ErrorKind::UnexpectedEof, "it closed before it had answered")),
            Ok(count) => bytes.extend_from_slice(&chunk[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                return Err(io::Error::new(ErrorKind::TimedOut, format!("no answer within {HANDSHAKE:?}")));
            }
            Err(error) => return Err(error),
        }
    }
}

/// Microseconds since `start`.
pub(crate) fn micros_since(start: Instant) -> u64 {
    start.elapsed().as_micros() as u64
}
