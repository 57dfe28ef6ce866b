//! Many clients over one poller and one buffer. An idle client owns nothing but its socket.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::{Events, Interest, Poll, Token};

use crate::Common;
use crate::server::Server;

/// A text as the generator makes them: `@RRRRR SSS NNNNNNNN TTTTTTTTTTTTTTTT` and filling. The run, so that what an earlier
/// one left in the server's history is not counted; sender, number, microseconds.
pub(crate) const SMALLEST_TEXT: usize = 37;

/// Where a server is.
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    host: String,
    path: String,
}

impl Target {
    pub(crate) fn of(common: &Common) -> io::Result<Target> {
        let bad =
            || io::Error::new(ErrorKind::InvalidInput, format!("{} is not like ws://127.0.0.1:8000/", common.url));
        let rest = common.url.strip_prefix("ws://").ok_or_else(bad)?;
        let (host, path) = rest.find(['/', '?']).map_or((rest, ""), |at| rest.split_at(at));
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        let address = host.to_socket_addrs()?.next().ok_or_else(bad)?;
        Ok(Target { address, host: host.to_owned(), path })
    }

    pub(crate) fn server(&self, common: &Common) -> io::Result<Server> {
        common.pid.map_or_else(|| Server::by_port(self.address.port()), |pid| Ok(Server::by_pid(pid)))
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

pub(crate) struct Client {
    pub(crate) stream: mio::net::TcpStream,
    /// What was read of a frame that has not come whole.
    rest: Vec<u8>,
    /// What could not be written.
    unsent: Vec<u8>,
}

/// What a frame of the server's can be for us.
enum Heard<'a> {
    Text(Text),
    /// With its payload, for the answer.
    Ping(&'a [u8]),
}

/// The numbers in a text of ours.
pub(crate) struct Text {
    pub(crate) sender: usize,
    pub(crate) number: u32,
    pub(crate) intended_us: u64,
}

pub(crate) struct Swarm {
    pub(crate) clients: Vec<Client>,
    /// In each of its texts.
    pub(crate) run: u32,
    /// Pings that were answered.
    pub(crate) pongs: u64,
    poll: Poll,
    events: Events,
    buffer: Vec<u8>,
}

impl Swarm {
    /// Connects so many clients, one after the other, their handshakes done. Those from `stalled_from` on are never read.
    pub(crate) fn connect(target: &Target, count: usize, stalled_from: usize) -> io::Result<Swarm> {
        let poll = Poll::new()?;
        let mut clients = Vec::with_capacity(count);
        for nth in 0..count {
            let mut stream = TcpStream::connect(target.address)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(Duration::from_secs(30)))?;
            stream.write_all(target.handshake().as_bytes())?;
            let rest = read_101(&mut stream)?;
            stream.set_nonblocking(true)?;
            let mut stream = mio::net::TcpStream::from_std(stream);
            if nth < stalled_from {
                poll.registry().register(&mut stream, Token(nth), Interest::READABLE | Interest::WRITABLE)?;
            }
            clients.push(Client { stream, rest, unsent: Vec::new() });
        }
        Ok(Swarm {
            clients,
            run: new_run(),
            pongs: 0,
            poll,
            events: Events::with_capacity(4096),
            buffer: vec![0; 1 << 20],
        })
    }

    /// Reads what is there, within one pass, and calls `on_text` for each text of ours. Waits up to `patience`. Says
    /// whether there was anything to do.
    pub(crate) fn pass(
        &mut self,
        patience: Duration,
        text_bytes: usize,
        mut on_text: impl FnMut(usize, Text),
    ) -> io::Result<bool> {
        self.wait(patience)?;
        for event in &self.events {
            let Token(nth) = event.token();
            let client = &mut self.clients[nth];
            self.pongs += client
                .serve(event, &mut self.buffer, self.run, text_bytes, |text| on_text(nth, text))
                .map_err(|error| io::Error::new(error.kind(), format!("client {nth}: {error}")))?;
        }
        Ok(!self.events.is_empty())
    }

    /// Does nothing but answer pings until `end`. Says how many connections ended meanwhile.
    pub(crate) fn rest(&mut self, end: Instant) -> io::Result<usize> {
        let mut ended = 0;
        loop {
            let patience = end.saturating_duration_since(Instant::now());
            if patience.is_zero() {
                return Ok(ended);
            }
            self.wait(patience)?;
            for event in &self.events {
                let client = &mut self.clients[event.token().0];
                match client.serve(event, &mut self.buffer, self.run, SMALLEST_TEXT, |_| {}) {
                    Ok(pongs) => self.pongs += pongs,
                    Err(_) => {
                        ended += 1;
                        self.poll.registry().deregister(&mut client.stream)?;
                    }
                }
            }
        }
    }

    fn wait(&mut self, patience: Duration) -> io::Result<()> {
        match self.poll.poll(&mut self.events, Some(patience)) {
            Err(error) if error.kind() != ErrorKind::Interrupted => Err(error),
            _ => Ok(()),
        }
    }
}

impl Client {
    /// Sends bytes; what the socket does not take now, it will later.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.unsent.extend_from_slice(bytes);
        self.flush()
    }

    /// There is something that the server has not taken.
    pub(crate) fn is_behind(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// Writes and reads what it can, answers pings, and says how many there were.
    fn serve(
        &mut self,
        event: &Event,
        buffer: &mut [u8],
        run: u32,
        text_bytes: usize,
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
            let taken = take_frames(&buffer[..len], run, text_bytes, |heard| match heard {
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
            if len < buffer.len() {
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

/// Calls `on_heard` for each whole frame that is a ping or holds a text of ours; says how many bytes the whole frames took. Only the
/// numbers are looked at, for the generator must be far cheaper than any server.
fn take_frames(bytes: &[u8], run: u32, text_bytes: usize, mut on_heard: impl FnMut(Heard<'_>)) -> io::Result<usize> {
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
                if let Some(text) = find_text(payload, run, text_bytes) {
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

/// The text stands last in the object (roomd, the floor), first (`{"mess":"`), or alone (an echo).
fn find_text(payload: &[u8], run: u32, text_bytes: usize) -> Option<Text> {
    let last = payload.len().checked_sub(text_bytes + 2);
    let places = [last, Some(9), Some(0)];
    let text =
        places.into_iter().flatten().find_map(|at| payload.get(at..).filter(|text| text.first() == Some(&b'@')))?;
    let number = |from: usize, to: usize| -> Option<u64> {
        let digits = text.get(from..to)?;
        Some(digits.iter().fold(0, |number, digit| number * 10 + u64::from(digit.wrapping_sub(b'0'))))
    };
    if number(1, 6)? != u64::from(run) {
        return None;
    }
    Some(Text { sender: number(7, 10)? as usize, number: number(11, 19)? as u32, intended_us: number(20, 36)? })
}

/// A number for a swarm's texts: other than those of the process's earlier swarms and of the last processes.
fn new_run() -> u32 {
    use std::sync::atomic::{AtomicU32, Ordering};
    static SWARMS: AtomicU32 = AtomicU32::new(0);
    (std::process::id() % 1000 * 100 + SWARMS.fetch_add(1, Ordering::Relaxed)) % 100_000
}

fn read_101(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 16 * 1024];
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            if !bytes.starts_with(b"HTTP/1.1 101 ") {
                return Err(io::Error::other(format!("refused: {}", String::from_utf8_lossy(&bytes))));
            }
            return Ok(bytes.split_off(end + 4));
        }
        match stream.read(&mut chunk)? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            count => bytes.extend_from_slice(&chunk[..count]),
        }
    }
}

/// Microseconds since `start`.
pub(crate) fn micros_since(start: Instant) -> u64 {
    start.elapsed().as_micros() as u64
}
