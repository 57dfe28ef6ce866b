//! A simulated client: what it will send, and a strict reader of what it is sent.

use std::collections::VecDeque;
use std::time::Duration;

use roomd::hub::{PeerId, Readiness};

use super::choices::Choices;
use super::fake_socket::SharedPipe;
use super::transcript::{Presence, Transcript};
use super::vocabulary;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Full,
    Quiet,
    Echo,
    /// Sends bytes that are no protocol at all.
    Rubbish,
}

/// What it asks for in its address.
#[derive(Default)]
pub(crate) struct Wish {
    pub(crate) room: &'static str,
    pub(crate) name: Option<&'static str>,
    pub(crate) since: Option<String>,
}

pub(crate) struct Client {
    pub(crate) id: PeerId,
    pub(crate) kind: Kind,
    pub(crate) number: usize,
    pub(crate) wish: Wish,
    pub(crate) pipe: SharedPipe,
    /// Bytes it will send, in whatever pieces.
    pub(crate) outgoing: VecDeque<u8>,
    /// It will do nothing more by its own will.
    pub(crate) is_done: bool,
    /// It went away, whatever state it was in; the time at the last look.
    vanished: Option<Duration>,
    /// How long it has been away, by a clock that does not jump.
    away: Duration,
    /// Turns in which it should have been let go of.
    overdue_turns: usize,
    /// It reads nothing for now.
    pub(crate) is_stalled: bool,
    /// Messages that it has planned, and all lines that want an answer.
    pub(crate) said: usize,
    pub(crate) lines: usize,
    /// The code of the Close that it has planned.
    pub(crate) goodbye: Option<u16>,
    /// The code of the Close that it deserves for its fault.
    fault: Option<u16>,

    unparsed: Vec<u8>,
    pub(crate) is_upgraded: bool,
    pub(crate) refusal: Option<String>,
    pub(crate) close_code: Option<u16>,
    pub(crate) heard: Transcript,
    /// Of `/echo`: the first byte and the payload of each frame.
    pub(crate) echoes: Vec<(u8, Vec<u8>)>,
    pub(crate) echoes_expected: Vec<(u8, Vec<u8>)>,
    pub(crate) pongs_expected: Vec<Vec<u8>>,
    pub(crate) pongs: usize,
}

const FIN: u8 = 0x80;
const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;

/// For what one that hung up had said before, and once more, with what is added for a queue, for what it is still sent.
const LONGEST_FAREWELL: Duration = Duration::from_secs(8);

/// Between two turns; more is a clock that has jumped.
const LONGEST_STEP: Duration = Duration::from_millis(500);

/// The longest message.
pub(crate) const MOST_BYTES: usize = 2_000;

/// What is no handshake; more rubbish follows it.
const RUBBISH: &[&[u8]] = &[
    b"",
    b"GET / HTTP/1.1\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    b"HEAD /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    b"GET /healthz HTTP/1.0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    b"GET /nowhere HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00",
];

/// Frames that no client may send, each with the code of the Close that answers it.
const FAULTS: &[(&[u8], u16)] = &[
    (b"\x81\x01x", 1002),                      // not masked
    (b"\xc1\x80abcd", 1002),                   // a reserved bit
    (b"\x83\x80abcd", 1002),                   // a reserved opcode
    (b"\x80\x80abcd", 1002),                   // a continuation of nothing
    (b"\x09\x80abcd", 1002),                   // a ping in fragments
    (b"\x89\xfe\x00\x7e", 1002),               // a ping that is too long
    (b"\x81\xfe\x00\x05", 1002),               // a length in more bytes than it needs
    (b"\x88\x81\0\0\0\0\x03", 1002),           // half a code
    (b"\x88\x82\0\0\0\0\x03\xed", 1002),       // 1005, which is never sent
    (b"\x81\x81\0\0\0\0\xff", 1007),           // no UTF-8
    (b"\x88\x83\0\0\0\0\x03\xe8\xff", 1007),   // nor in a reason
    (b"\x82\xff\0\0\0\0\0\x01\0\0abcd", 1009), // longer than any message
];

/// Closes that the daemon sends for a reason of its own.
const OWN_REASONS: &[(u16, &str)] = &[
    (1001, "the daemon is going down"),
    (1008, "a message took too long to arrive"),
    (1008, "no sign of life since the last ping"),
    (1008, "too slow a reader: too much is waiting to be sent"),
    (1013, "there are too many rooms already; try again later"),
];

impl Client {
    pub(crate) fn new(
        id: PeerId,
        (kind, wish, presence): (Kind, Wish, Presence),
        number: usize,
        pipe: SharedPipe,
        choices: &mut Choices,
    ) -> Client {
        let mut client = Client {
            id,
            kind,
            number,
            wish,
            pipe,
            outgoing: VecDeque::new(),
            is_done: false,
            vanished: None,
            away: Duration::ZERO,
            overdue_turns: 0,
            is_stalled: false,
            said: 0,
            lines: 0,
            goodbye: None,
            fault: None,
            unparsed: Vec::new(),
            is_upgraded: false,
            refusal: None,
            close_code: None,
            heard: Transcript::new(number, kind == Kind::Quiet, presence),
            echoes: Vec::new(),
            echoes_expected: Vec::new(),
            pongs_expected: Vec::new(),
            pongs: 0,
        };
        let path = match kind {
            Kind::Full | Kind::Quiet => client.wish.target(kind),
            Kind::Echo => "/echo".to_owned(),
            Kind::Rubbish => {
                let rubbish: Vec<u8> = (0..choices.below(300)).map(|_| choices.below(256) as u8).collect();
                client.outgoing.extend(*choices.choose(RUBBISH));
                client.outgoing.extend(rubbish);
                return client;
            }
        };
        client.outgoing.extend(
            format!(
                "GET {path} HTTP/1.1\r\nHost: sim\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
            )
            .bytes(),
        );
        client
    }

    /// Adds a message to what it will send: whole or in fragments, maybe with a ping in between.
    pub(crate) fn plan_message(&mut self, choices: &mut Choices) {
        self.said += 1;
        let filling = ["", "汉字", "😀", "long "][choices.below(4)].repeat(choices.below(60));
        let text = format!("{}:{} {filling}", self.number, self.said);
        self.lines += 1;
        if self.kind == Kind::Echo {
            let opcode = if choices.one_in(3) { BINARY } else { TEXT };
            self.echoes_expected.push((FIN | opcode, text.clone().into_bytes()));
            return self.plan_in_pieces(opcode, text.as_bytes(), choices);
        } else if choices.one_in(6) {
            return self.plan_text(&format!("/me {text}"), choices);
        }
        self.plan_text(&text, choices);
    }

    /// Adds a command, a line that nobody hears, or something that is no line at all.
    pub(crate) fn plan_command(&mut self, tourists: usize, choices: &mut Choices) {
        self.lines += 1;
        match choices.below(30) {
            0 => self.plan_frame(FIN | BINARY, b"bytes", choices),
            1 => {
                self.lines -= 1;
                self.plan_text("\r\n", choices);
            }
            _ => {
                let tag = format!("{}:p{}", self.number, self.lines);
                let line = vocabulary::command(&tag, tourists, self.heard.newest_id(), choices);
                self.plan_text(&line, choices);
            }
        }
    }

    pub(crate) fn plan_line(&mut self, line: &str, choices: &mut Choices) {
        self.lines += 1;
        self.plan_text(line, choices);
    }

    fn plan_text(&mut self, text: &str, choices: &mut Choices) {
        self.plan_in_pieces(TEXT, text.as_bytes(), choices);
    }

    fn plan_in_pieces(&mut self, opcode: u8, bytes: &[u8], choices: &mut Choices) {
        let pieces = 1 + choices.below(4) * usize::from(choices.one_in(3));
        let size = bytes.len().div_ceil(pieces);
        let chunks: Vec<&[u8]> = bytes.chunks(size.max(1)).collect();
        for (nth, chunk) in chunks.iter().enumerate() {
            let opcode = if nth == 0 { opcode } else { CONTINUATION };
            let fin = if nth + 1 == chunks.len() { FIN } else { 0 };
            self.plan_frame(fin | opcode, chunk, choices);
            if choices.one_in(8) {
                self.plan_ping(choices);
            }
        }
    }

    pub(crate) fn plan_ping(&mut self, choices: &mut Choices) {
        let payload: Vec<u8> = (0..choices.below(126)).map(|_| choices.below(256) as u8).collect();
        self.plan_frame(FIN | 9, &payload, choices);
        self.pongs_expected.push(payload);
    }

    pub(crate) fn plan_close(&mut self, choices: &mut Choices) {
        let body: &[u8] = if choices.one_in(2) { b"" } else { b"\x03\xe8bye" };
        self.goodbye = Some(if body.is_empty() { 1005 } else { 1000 });
        self.plan_frame(FIN | 8, body, choices);
        self.is_done = true;
    }

    /// A message that is longer than any may be.
    pub(crate) fn plan_too_much(&mut self, choices: &mut Choices) {
        self.plan_text(&"x".repeat(MOST_BYTES + 1), choices);
        self.fault = Some(1009);
        self.is_done = true;
    }

    /// A frame that no client may send.
    pub(crate) fn plan_violation(&mut self, choices: &mut Choices) {
        let (bytes, code) = *choices.choose(FAULTS);
        self.outgoing.extend(bytes);
        self.fault = Some(code);
        self.is_done = true;
    }

    fn plan_frame(&mut self, first: u8, payload: &[u8], choices: &mut Choices) {
        let key = [0, 1, 2, 3].map(|_: i32| choices.below(256) as u8);
        self.outgoing.push_back(first);
        if payload.len() < 126 {
            self.outgoing.push_back(0x80 | payload.len() as u8);
        } else {
            self.outgoing.push_back(0x80 | 126);
            self.outgoing.extend((payload.len() as u16).to_be_bytes());
        }
        self.outgoing.extend(key);
        self.outgoing.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    }

    /// Puts up to `count` bytes on the pipe. The edge that this makes, if any.
    pub(crate) fn send(&mut self, count: usize) -> Option<Readiness> {
        let mut pipe = self.pipe.borrow_mut();
        if pipe.is_reset || pipe.is_finished || self.outgoing.is_empty() {
            return None;
        }
        let count = count.min(self.outgoing.len());
        pipe.to_hub.extend(self.outgoing.drain(..count));
        Some(Readiness { readable: true, writable: false, hung_up: false })
    }

    /// Reads what has come, opens the window again, and answers pings. The edge that this makes, if any.
    pub(crate) fn receive(&mut self, window: usize, choices: &mut Choices) -> Option<Readiness> {
        let fresh = std::mem::take(&mut self.pipe.borrow_mut().from_hub);
        self.unparsed.extend(fresh);
        while self.take_one(choices) {}
        let mut pipe = self.pipe.borrow_mut();
        pipe.room = pipe.room.max(window);
        pipe.max_write = 1 + choices.below(2_000);
        let is_awaited = std::mem::take(&mut pipe.is_awaited);
        is_awaited.then_some(Readiness { readable: false, writable: true, hung_up: false })
    }

    /// Parses one answer or frame, if it is there whole.
    fn take_one(&mut self, choices: &mut Choices) -> bool {
        if !self.is_upgraded {
            let Some(end) = self.unparsed.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { return false };
            let head = String::from_utf8_lossy(&self.unparsed[..end + 4]).into_owned();
            if head.starts_with("HTTP/1.1 101 ") {
                assert!(head.contains("\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), "{head}");
                self.is_upgraded = true;
                self.unparsed.drain(..end + 4);
                return true;
            }
            assert!(head.contains("\r\nConnection: close"), "{head}");
            self.refusal = Some(head);
            self.is_done = true;
            self.unparsed.clear();
            return false;
        }
        let Some((first, payload)) = self.take_frame() else { return false };
        assert_eq!(self.close_code, None, "client {}: a frame behind a Close", self.number);
        match first {
            0x88 => self.take_close(&payload),
            0x89 => self.plan_pong(&payload, choices),
            0x8a => {
                assert_eq!(self.pongs_expected.get(self.pongs), Some(&payload), "client {}: its pongs", self.number);
                self.pongs += 1;
            }
            0x81 | 0x82 if self.kind == Kind::Echo => self.echoes.push((first, payload)),
            0x81 => self.take_text(payload),
            other => panic!("client {}: a frame that begins with {other:#x}", self.number),
        }
        true
    }

    /// The daemon's Close is for one of its own reasons, or the answer to what this client did.
    fn take_close(&mut self, payload: &[u8]) {
        let code = payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code));
        let reason = std::str::from_utf8(payload.get(2..).unwrap_or_default()).expect("a reason is text");
        self.close_code = Some(code);
        let is_answer = self.goodbye == Some(code) && reason.is_empty();
        let is_deserved = self.fault == Some(code) && !reason.is_empty();
        let is_own = OWN_REASONS.contains(&(code, reason));
        assert!(is_answer || is_deserved || is_own, "client {}: a Close for no reason: {code} {reason}", self.number);
    }

    fn plan_pong(&mut self, payload: &[u8], choices: &mut Choices) {
        // Only between its own frames, which is where all plans begin.
        if self.outgoing.is_empty() && !self.is_done {
            self.plan_frame(FIN | 10, payload, choices);
        }
    }

    fn take_frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let bytes = &self.unparsed;
        let (&first, &second) = (bytes.first()?, bytes.get(1)?);
        assert_eq!(second & 0x80, 0, "masked");
        let (start, len) = match second {
            126 => (4, usize::from(u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?))),
            127 => (10, u64::from_be_bytes(*bytes.get(2..)?.first_chunk()?) as usize),
            len => (2, usize::from(len)),
        };
        let payload = bytes.get(start..start + len)?.to_vec();
        self.unparsed.drain(..start + len);
        Some((first, payload))
    }

    fn take_text(&mut self, payload: Vec<u8>) {
        let text = String::from_utf8(payload).expect("text is UTF-8");
        assert_ne!(text, "", "an empty text frame");
        self.heard.hear(&text);
    }

    /// It goes away: what happens to the pipe is up to the caller.
    pub(crate) fn vanish(&mut self, elapsed: Duration) {
        self.is_done = true;
        self.vanished.get_or_insert(elapsed);
    }

    /// One that has vanished is let go of: after a reset at once, otherwise in a short, fixed time. Nothing else matters:
    /// whether it rests, reads, or waits for a history that hangs.
    pub(crate) fn check_end(&mut self, elapsed: Duration) {
        let Some(seen) = self.vanished else { return };
        self.vanished = Some(elapsed);
        self.away += (elapsed - seen).min(LONGEST_STEP);
        let pipe = self.pipe.borrow();
        let is_overdue = pipe.is_reset || self.away > LONGEST_FAREWELL;
        self.overdue_turns += usize::from(is_overdue && !pipe.is_closed);
        // What had been read of it may be some hundred frames, of which each turn takes 16.
        assert!(self.overdue_turns <= 50, "client {} is gone and keeps its slot", self.number);
    }

    /// In what it has not read yet.
    pub(crate) fn times_told_that_it_is_late(&self) -> usize {
        let pipe = self.pipe.borrow();
        let times = |words: &[u8]| pipe.from_hub.windows(words.len()).filter(|window| *window == words).count();
        times(b"no sign of life") + times(b"HTTP/1.1 408 ")
    }

    /// The daemon has let go of it, or it of the daemon.
    pub(crate) fn is_gone(&self) -> bool {
        let pipe = self.pipe.borrow();
        pipe.is_closed || pipe.is_reset
    }

    /// Still connected, as far as both sides know.
    pub(crate) fn is_open(&self) -> bool {
        self.is_upgraded && !self.is_done && self.close_code.is_none() && !self.is_gone()
    }

    /// It speaks in rooms.
    pub(crate) fn is_guest(&self) -> bool {
        matches!(self.kind, Kind::Full | Kind::Quiet)
    }
}

impl Wish {
    fn target(&self, kind: Kind) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        if let Some(name) = self.name {
            query.append_pair("name", name);
        }
        if let Some(since) = &self.since {
            query.append_pair("since", since);
        }
        if kind == Kind::Quiet {
            query.append_pair("quiet", "1");
        }
        format!("/r/{}?{}", vocabulary::escaped(self.room), query.finish())
    }
}
