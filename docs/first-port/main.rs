//! The chat server of the PHP article as a first Rust program: the same parts under the same names, one thread, mio.
//!
//! To be read in one sitting, from the top. It is right as far as it goes: frames may come cut or many at once, and
//! nothing that a client sends ends it. What it cannot stand is marked `Pressure`, with the file of roomd that can.

#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use serde_json::json;
use sha1::{Digest as _, Sha1};
use slab::Slab;

/// What the kernel calls the listening socket when it has news. The others are called by their number in the slab.
const SOC: Token = Token(usize::MAX);

// What a frame is (RFC 6455 section 5.2). From 8 on they are for control, and short.
const TEXT: u8 = 1;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8000".into());
    let mut server = Server::new(address.parse().map_err(io::Error::other)?)?;
    // Pressure 1: a log that nobody takes away. A full pipe stops this line, and with it the room. -> src/log_buffer.rs
    eprintln!("listening on {}", server.soc.local_addr()?);
    server.run()
}

/// The PHP class: `$soc` and `$socs`. `$hand` has moved into the socket, so that it cannot be another one's.
struct Server {
    poll: Poll,
    soc: TcpListener,
    socs: Slab<Socket>, // Pressure 2: a second room. -> src/hub/rooms.rs
    tourists: u64,      // Pressure 3: a person who wants a name of their own. -> src/chat/name.rs
}

struct Socket {
    stream: TcpStream,
    /// Counted here, and given once. PHP prints the number of a resource, and PHP 8 has none to print.
    tourist: u64,
    hand: bool,
    /// What was read and is no whole frame yet. TCP is a stream: a read may end inside a frame, or behind two.
    buff: Vec<u8>,
    /// The fragments so far of a text whose last frame is still to come (section 5.4).
    fragments: Option<Vec<u8>>,
}

impl Server {
    /// `createSocket`: socket, setsockopt SO_REUSEADDR, bind, listen. mio's `bind` is all four, and non-blocking.
    // Pressure 4: a word that waits for the last one's ACK, a backlog to choose, a socket file. -> src/listener.rs
    fn create_socket(address: SocketAddr) -> io::Result<TcpListener> {
        TcpListener::bind(address)
    }

    /// `__construct`: epoll_create1, and epoll_ctl for the first socket on the list.
    fn new(address: SocketAddr) -> io::Result<Server> {
        let (poll, mut soc) = (Poll::new()?, Server::create_socket(address)?);
        poll.registry().register(&mut soc, SOC, Interest::READABLE)?;
        Ok(Server { poll, soc, socs: Slab::new(), tourists: 0 })
    }

    /// `run`: epoll_wait stands for `socket_select`. It sleeps until something can be read, and says what.
    fn run(&mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(1024);
        loop {
            // Pressure 5: who says nothing, or is long gone. There is no clock. -> src/moment.rs
            match self.poll.poll(&mut events, None) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                polled => polled?,
            }
            for event in &events {
                match event.token() {
                    SOC => self.accept(),
                    // Pressure 6: late news of a closed connection; the next one with its number reads. -> src/hub/peers/slot.rs
                    Token(v) => self.receive(v),
                }
            }
        }
    }

    /// The first branch of PHP's `run`: accept4 until nobody is waiting, for the kernel tells of a change only once.
    fn accept(&mut self) {
        loop {
            let mut stream = match self.soc.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::ConnectionAborted) => continue,
                // Pressure 7: no descriptor is left. Who waits then, waits for the next to knock. -> src/event_loop.rs
                Err(error) => return eprintln!("cannot accept: {error}"),
            };
            let entry = self.socs.vacant_entry();
            match self.poll.registry().register(&mut stream, Token(entry.key()), Interest::READABLE) {
                Ok(()) => self.tourists += 1,
                Err(error) => return eprintln!("cannot watch a socket: {error}"),
            }
            entry.insert(Socket { stream, tourist: self.tourists, hand: false, buff: Vec::new(), fragments: None });
        }
    }

    /// The second branch of PHP's `run`: recvfrom until the kernel has no more; then the handshake, or what was said.
    // Pressure 8: who sends faster than this reads keeps it here, and all others waiting. -> src/rate_limit.rs
    fn receive(&mut self, v: usize) {
        let mut chunk = [0; 4096];
        while let Some(socket) = self.socs.get_mut(v) {
            match socket.stream.read(&mut chunk) {
                // The end of the stream. PHP's `$byte<7` goes on, and is told of this socket again, for ever.
                Ok(0) => return self.forget(v),
                // Pressure 9: a head or a message without an end is kept until memory has one. -> src/limits.rs
                Ok(byte) => socket.buff.extend(chunk.iter().take(byte)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => return self.forget(v),
            }
            self.hands(v);
            // What follows the handshake in the same segment is a frame already.
            while let Some(heard) = self.socs.get_mut(v).and_then(Socket::decode_data) {
                match heard {
                    Heard::Mess(mess) => self.send(&mess, v),
                    Heard::Ping(payload) => self.write(v, &frame(PONG, &payload)),
                    Heard::Nothing => {}
                    Heard::Close(payload) => {
                        self.write(v, &frame(CLOSE, &payload));
                        self.forget(v); // Pressure 10: with bytes unread, this is a reset. -> src/connection/life.rs
                    }
                }
            }
        }
    }

    /// `hands`: answers the handshake (section 4.2), once all of it is here.
    // Pressure 11: a page of any site may connect, from the browser of a person who opens it. -> src/door/origin.rs
    fn hands(&mut self, v: usize) {
        let Some(socket) = self.socs.get_mut(v).filter(|socket| !socket.hand) else { return };
        let Some(end) = socket.buff.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { return };
        let head: Vec<u8> = socket.buff.drain(..end + 4).collect();
        let Some(accept) = accept_key(&String::from_utf8_lossy(&head)) else {
            self.write(v, b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
            return self.forget(v); // Pressure 12: who asks for the page gets none. -> src/door/pages.rs
        };
        socket.hand = true;
        let answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";
        self.write(v, format!("{answer}Sec-WebSocket-Accept: {accept}\r\n\r\n").as_bytes());
        // Pressure 13: who comes now does not know what was said before. -> src/scrollback.rs
    }

    /// `send`: to everybody who shook hands, the speaker included.
    // Pressure 14: many who talk at once: each text is a call to the kernel for each reader. -> src/hub/mod.rs
    fn send(&mut self, mess: &str, v: usize) {
        let Some(speaker) = self.socs.get(v) else { return };
        let str = json!({ "name": format!("Tourist {}", speaker.tourist), "mess": mess }).to_string();
        let writes = frame(TEXT, str.as_bytes());
        let hearers: Vec<usize> = self.socs.iter().filter(|(_, socket)| socket.hand).map(|(v, _)| v).collect();
        for hearer in hearers {
            self.write(hearer, &writes);
        }
    }

    /// `socket_write`: sendto. PHP's waits for a slow reader, and all others with it. Here the kernel takes what fits.
    /// Half a frame would make noise of all that follows, so a reader who is that slow is cut off, and it is said.
    // Pressure 15: a reader that is slow for a moment only. -> src/write_queue.rs
    fn write(&mut self, v: usize, bytes: &[u8]) {
        let Some(socket) = self.socs.get_mut(v) else { return };
        let why = match socket.stream.write(bytes) {
            Ok(written) if written == bytes.len() => return,
            Ok(_) => "it reads too slowly".into(),
            Err(error) => error.to_string(),
        };
        eprintln!("Tourist {} is cut off: {why}", socket.tourist); // Pressure 16: how often, of what? -> src/close_reason.rs
        self.forget(v);
    }

    /// What PHP does not do: close. That takes the socket off the kernel's list as well.
    fn forget(&mut self, v: usize) {
        self.socs.try_remove(v); // Pressure 17: those who stay want to know who left. -> src/hub/membership.rs
    }
}

/// The answer to the key, if this is a handshake. A header's name may come in any case; PHP's `strpos` looks for one.
// Pressure 18: what is almost HTTP, and a head that comes byte by byte. -> src/http/head.rs
fn accept_key(head: &str) -> Option<String> {
    let (request_line, lines) = head.split_once("\r\n")?;
    let header = |name: &str| {
        let mut headers = lines.lines().filter_map(|line| line.split_once(':'));
        headers.find(|(other, _)| other.eq_ignore_ascii_case(name)).map_or("", |(_, value)| value.trim())
    };
    let has = |name, word: &str| header(name).split(',').any(|item| item.trim().eq_ignore_ascii_case(word));
    let is_get = request_line.starts_with("GET ") && request_line.ends_with(" HTTP/1.1");
    let is_upgrade = has("Upgrade", "websocket") && has("Connection", "Upgrade") && has("Sec-WebSocket-Version", "13");
    // Section 1.3: 16 bytes in base64 come in. The hash proves that we know what a WebSocket is, and nothing else.
    let key = header("Sec-WebSocket-Key");
    let digest = Sha1::new().chain_update(key).chain_update("258EAFA5-E914-47DA-95CA-C5AB0DC85B11").finalize();
    (is_get && is_upgrade && key.len() == 24).then(|| STANDARD.encode(digest))
}

/// A frame as a server sends it: whole, not masked, its length in one of three forms. PHP has the first only.
fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let header = match payload.len() {
        len @ 0..=125 => vec![0x80 | opcode, len as u8],
        len @ 126..=0xffff => [&[0x80 | opcode, 126][..], &(len as u16).to_be_bytes()].concat(),
        len => [&[0x80 | opcode, 127][..], &(len as u64).to_be_bytes()].concat(),
    };
    [&header, payload].concat()
}

/// What one frame from a client comes to.
enum Heard {
    Mess(String),
    Ping(Vec<u8>),
    Nothing, // A Pong, or a fragment that is not the last.
    /// With the payload of our own Close: the peer's code, or our verdict (section 7.4.1).
    Close(Vec<u8>),
}

impl Socket {
    /// `decodeData`: takes the next whole frame off the buffer, if there is one. No kernel here, only bytes.
    // Pressure 19: large messages: copied from buffer to buffer, and faults seen late. -> src/websocket/decoder.rs
    fn decode_data(&mut self) -> Option<Heard> {
        let close = |code: u16| Some(Heard::Close(code.to_be_bytes().into()));
        let (&[first, second], rest) = self.buff.split_first_chunk().filter(|_| self.hand)?;
        let (is_last, opcode) = (first & 0x80 != 0, first & 0x0f);
        let (len, rest) = match second & 0x7f {
            126 => rest.split_first_chunk().map(|(len, rest)| (u64::from(u16::from_be_bytes(*len)), rest))?,
            127 => rest.split_first_chunk().map(|(len, rest)| (u64::from_be_bytes(*len), rest))?,
            len => (u64::from(len), rest),
        };
        // Reserved bits, no mask, a control frame that is long or cut, more than 63 bits (sections 5.1, 5.2, 5.5).
        if first & 0x70 != 0 || second & 0x80 == 0 || opcode >= CLOSE && (!is_last || len > 125) || len >> 63 != 0 {
            return close(1002);
        }
        let (key, rest) = rest.split_first_chunk::<4>()?;
        let masked = rest.get(..usize::try_from(len).ok()?)?;
        let payload: Vec<u8> = masked.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
        let taken = self.buff.len() - rest.len() + payload.len();
        self.buff.drain(..taken);
        // Pressure 20: who writes a client and wants to hear which rule it broke. -> src/websocket/violation.rs
        match (opcode, &mut self.fragments) {
            (PING, _) => return Some(Heard::Ping(payload)), // Control frames may come between fragments.
            (PONG, _) => return Some(Heard::Nothing),
            (CLOSE, _) if payload.is_empty() => return Some(Heard::Close(payload)),
            (CLOSE, _) => match payload.first_chunk().map(|code| u16::from_be_bytes(*code)) {
                Some(code @ (1000..=1003 | 1007..=1014 | 3000..=4999)) => return close(code),
                _ => return close(1002),
            },
            (TEXT, fragments @ None) => *fragments = Some(payload),
            (0, Some(begun)) => begun.extend(payload), // A continuation.
            (2, None) => return close(1003),           // Binary: a chat is of words.
            _ => return close(1002),
        }
        match self.fragments.take_if(|_| is_last).map(String::from_utf8) {
            Some(Ok(mess)) => Some(Heard::Mess(mess)),
            Some(Err(_)) => close(1007),
            None => Some(Heard::Nothing),
        }
    }
}
