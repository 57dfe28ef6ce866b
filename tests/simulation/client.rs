//! A simulated client: what it will send, and a strict reader of what it is sent.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use roomd::hub::{PeerId, Readiness};
use serde_json::Value;

use crate::dice::Dice;
use crate::wire::Wire;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Full,
    Quiet,
    Echo,
    /// Sends bytes that are no protocol at all.
    Rubbish,
}

pub(crate) struct Client {
    pub(crate) id: PeerId,
    pub(crate) kind: Kind,
    pub(crate) number: usize,
    pub(crate) wire: Rc<RefCell<Wire>>,
    /// Bytes it will send, in whatever pieces.
    pub(crate) outgoing: VecDeque<u8>,
    /// It will do nothing more by its own will.
    pub(crate) is_done: bool,
    /// It reads nothing for now.
    pub(crate) is_stalled: bool,
    said: usize,

    unparsed: Vec<u8>,
    pub(crate) is_upgraded: bool,
    pub(crate) refusal: Option<String>,
    pub(crate) close_code: Option<u16>,
    pub(crate) name: Option<String>,
    /// Ids and texts of messages, in the order in which they came.
    pub(crate) messages: Vec<(u64, String, String)>,
    pub(crate) welcome_last: Option<u64>,
    pub(crate) echoes: Vec<String>,
    pub(crate) echoes_expected: Vec<String>,
    pub(crate) pongs_expected: Vec<Vec<u8>>,
    pub(crate) pongs: usize,
}

const FIN: u8 = 0x80;

impl Client {
    pub(crate) fn new(id: PeerId, kind: Kind, number: usize, wire: Rc<RefCell<Wire>>, dice: &mut Dice) -> Client {
        let mut client = Client {
            id,
            kind,
            number,
            wire,
            outgoing: VecDeque::new(),
            is_done: false,
            is_stalled: false,
            said: 0,
            unparsed: Vec::new(),
            is_upgraded: false,
            refusal: None,
            close_code: None,
            name: None,
            messages: Vec::new(),
            welcome_last: None,
            echoes: Vec::new(),
            echoes_expected: Vec::new(),
            pongs_expected: Vec::new(),
            pongs: 0,
        };
        let path = match kind {
            Kind::Full => "/",
            Kind::Quiet => "/?quiet=1",
            Kind::Echo => "/echo",
            Kind::Rubbish => {
                let rubbish: Vec<u8> = (0..dice.below(300)).map(|_| dice.below(256) as u8).collect();
                let starts: [&[u8]; 4] =
                    [b"", b"GET / HTTP/1.1\r\n", b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n", b"\x16\x03"];
                client.outgoing.extend(*dice.choose(&starts));
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
    pub(crate) fn plan_message(&mut self, dice: &mut Dice) {
        self.said += 1;
        let filling = ["", "汉字", "😀", "long "][dice.below(4)].repeat(dice.below(60));
        let text = format!("{}:{} {filling}", self.number, self.said);
        if self.kind == Kind::Echo {
            self.echoes_expected.push(text.clone());
        }
        let bytes = text.as_bytes();
        let pieces = 1 + dice.below(4) * usize::from(dice.one_in(3));
        let size = bytes.len().div_ceil(pieces);
        let chunks: Vec<&[u8]> = bytes.chunks(size.max(1)).collect();
        for (nth, chunk) in chunks.iter().enumerate() {
            let opcode = if nth == 0 { 1 } else { 0 };
            let fin = if nth + 1 == chunks.len() { FIN } else { 0 };
            self.plan_frame(fin | opcode, chunk, dice);
            if dice.one_in(8) {
                self.plan_ping(dice);
            }
        }
    }

    pub(crate) fn plan_ping(&mut self, dice: &mut Dice) {
        let payload: Vec<u8> = (0..dice.below(126)).map(|_| dice.below(256) as u8).collect();
        self.plan_frame(FIN | 9, &payload, dice);
        self.pongs_expected.push(payload);
    }

    pub(crate) fn plan_close(&mut self, dice: &mut Dice) {
        let body: &[u8] = if dice.one_in(2) { b"" } else { b"\x03\xe8bye" };
        self.plan_frame(FIN | 8, body, dice);
        self.is_done = true;
    }

    /// A frame that no client may send.
    pub(crate) fn plan_violation(&mut self, dice: &mut Dice) {
        let faults: [&[u8]; 4] = [b"\x81\x01x", b"\xc1\x80abcd", b"\x83\x80abcd", b"\x80\x80abcd"];
        self.outgoing.extend(*dice.choose(&faults));
        self.is_done = true;
    }

    fn plan_frame(&mut self, first: u8, payload: &[u8], dice: &mut Dice) {
        let key = [0, 1, 2, 3].map(|_: i32| dice.below(256) as u8);
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

    /// Puts up to `count` bytes on the wire. The edge that this makes, if any.
    pub(crate) fn send(&mut self, count: usize) -> Option<Readiness> {
        let mut wire = self.wire.borrow_mut();
        if wire.is_reset || wire.is_finished || self.outgoing.is_empty() {
            return None;
        }
        let count = count.min(self.outgoing.len());
        wire.to_daemon.extend(self.outgoing.drain(..count));
        Some(Readiness { readable: true, writable: false, hung_up: false })
    }

    /// Reads what has come, opens the window again, and answers pings. The edge that this makes, if any.
    pub(crate) fn receive(&mut self, window: usize, dice: &mut Dice) -> Option<Readiness> {
        let fresh = std::mem::take(&mut self.wire.borrow_mut().to_client);
        self.unparsed.extend(fresh);
        while self.take_one(dice) {}
        let mut wire = self.wire.borrow_mut();
        wire.window = wire.window.max(window);
        wire.max_write = 1 + dice.below(2_000);
        let is_owed = std::mem::take(&mut wire.is_owed_edge);
        is_owed.then_some(Readiness { readable: false, writable: true, hung_up: false })
    }

    /// Parses one answer or frame, if it is there whole.
    fn take_one(&mut self, dice: &mut Dice) -> bool {
        if !self.is_upgraded {
            let Some(end) = self.unparsed.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { return false };
            let head = String::from_utf8_lossy(&self.unparsed[..end + 4]).into_owned();
            if head.starts_with("HTTP/1.1 101 ") {
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
            0x88 => self.close_code = Some(payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code))),
            0x89 => self.plan_pong(&payload, dice),
            0x8a => {
                assert_eq!(self.pongs_expected.get(self.pongs), Some(&payload), "client {}: its pongs", self.number);
                self.pongs += 1;
            }
            0x81 => self.take_text(payload),
            other => panic!("client {}: a frame that begins with {other:#x}", self.number),
        }
        true
    }

    fn plan_pong(&mut self, payload: &[u8], dice: &mut Dice) {
        // Only between its own frames, which is where all plans begin.
        if self.outgoing.is_empty() && !self.is_done {
            self.plan_frame(FIN | 10, payload, dice);
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
        if self.kind == Kind::Echo {
            self.echoes.push(text);
            return;
        }
        let event: Value = serde_json::from_str(&text).expect("an event is JSON");
        let word = |key: &str| event[key].as_str().map(str::to_owned).unwrap_or_default();
        assert!(event["name"].is_string() && event["mess"].is_string(), "{text}");
        match word("type").as_str() {
            "welcome" => {
                assert!(self.kind == Kind::Full && self.name.is_none() && self.messages.is_empty(), "{text}");
                self.name = Some(word("name"));
                self.welcome_last = event["last"].as_u64();
            }
            "message" => {
                assert!(self.kind == Kind::Quiet || self.welcome_last.is_some(), "a message before the welcome");
                self.messages.push((event["id"].as_u64().expect("an id"), word("name"), word("mess")));
            }
            "join" | "leave" | "online" => {
                assert_eq!(self.kind, Kind::Full, "a quiet client hears messages only: {text}");
                assert_ne!(Some(word("name")), self.name, "nobody is told of their own coming: {text}");
            }
            _ => panic!("an event of no known type: {text}"),
        }
    }
}
