//! What is done with a fuzzer's bytes, and what must hold whatever they are.
//!
//! The same bodies run under libFuzzer (`targets/`) and for a moment in the ordinary test suite
//! (`tests/fuzz_bodies.rs`). None of them only looks for panics: each compares the daemon with a second opinion, which
//! is as simple-minded as possible.
//!
//! Most inputs are read as a script: a byte says what happens next, the following ones how. So a fuzzer that flips bits
//! changes the plot, and not only a payload.

#![allow(dead_code, unreachable_pub, reason = "each fuzz target uses its own body")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a broken rule ends the run")]

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::rc::Rc;
use std::time::Duration;

use roomd::chat::command::BadCommand;
use roomd::chat::visit::{Verbosity, Visit};
use roomd::chat::{RoomName, Spoken};
use roomd::door::AllowedOrigin;
use roomd::door::{EchoService, Endpoint, Health, Site};
use roomd::door::{OriginPolicy, Pages, Refusal, Route};
use roomd::history::memory::Memory;
use roomd::history::{Entry, History, Outcome, PageSize, Pressure, Reach, RoomKey, Wanted};
use roomd::http::{BodyWanted, Head, HeadError, HeadScanner};
use roomd::hub::{Hub, PeerId, Readiness, Socket};
use roomd::limits::{Limits, ScrollbackLimit};
use roomd::moment::{Moment, Now};
use roomd::rate_limit::{ByteRate, Rate};
use roomd::websocket::{Decoder, Input, MessageLimits, Received, Violation};
use serde_json::Value;

/// A fuzzer's bytes, read from the front. Behind the end there are zeros.
struct Script<'d> {
    rest: &'d [u8],
}

impl<'d> Script<'d> {
    fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or(0)
    }

    fn take(&mut self, count: usize) -> &'d [u8] {
        let (taken, rest) = self.rest.split_at(count.min(self.rest.len()));
        self.rest = rest;
        taken
    }

    /// A short run of bytes that are not text in general.
    fn bytes(&mut self) -> Vec<u8> {
        let count = usize::from(self.byte() % 64);
        self.take(count).to_vec()
    }

    /// A short ASCII text, control characters included.
    fn ascii(&mut self) -> Vec<u8> {
        self.bytes().into_iter().map(|byte| byte & 0x7f).collect()
    }

    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::from(self.byte()) % choices.len()]
    }
}

/// Where a stream is cut. Few numbers from one seed are enough, and keep most of the input for the stream itself.
fn cuts(seed: u8, len: usize) -> Vec<usize> {
    let mut cuts = Vec::new();
    let mut at = 0;
    let mut state = u32::from(seed);
    while at < len && seed > 0 {
        cuts.push(at);
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        // Seed 1 is byte by byte.
        at += if seed == 1 { 1 } else { (state >> 16) as usize % (usize::from(seed) + 1) };
        if cuts.len() > 5_000 {
            break;
        }
    }
    cuts
}

// ---- A request head --------------------------------------------------------------------------------------------------

/// A request head, scanned whole and in pieces, parsed, routed and answered.
pub fn head(data: &[u8]) {
    let mut script = Script { rest: data };
    let options = script.byte();
    let seed = script.byte();
    let stream = script.rest;
    let max_head_bytes = [64, 256, 1_024, 8_192][usize::from(options & 3)];
    let site = site(options & 4 != 0, options & 8 != 0);

    let scanned = HeadScanner::default().scan(stream, max_head_bytes);
    assert_eq!(scan_in_pieces(stream, &cuts(seed, stream.len()), max_head_bytes), scanned, "cuts change nothing");
    let empty_line = end_of_head(stream);
    match scanned {
        Ok(Some(len)) => {
            assert_eq!(Some(len), empty_line, "the head ends at the first empty line");
            assert!(len <= max_head_bytes);
        }
        Ok(None) => assert!(empty_line.is_none() && stream.len() <= max_head_bytes),
        Err(HeadError::TooLarge) => assert!(stream.len() > max_head_bytes),
        Err(error) => check_answer(&Refusal::from(error).response().into_bytes(BodyWanted::Yes), false, true),
    }
    let Ok(Some(len)) = scanned else { return };

    let bytes = &stream[..len];
    let text = &bytes[empty_lines(bytes)..];
    match Head::parse(bytes).map_err(Refusal::from).and_then(|head| Route::of(&head, &site)) {
        Ok(Route::Upgrade(upgrade, _)) => {
            check_handshake(text, options & 8 != 0);
            check_switching_protocols(&upgrade.response());
        }
        Ok(Route::Answer(response)) => {
            let is_answered = ["GET ", "HEAD ", "OPTIONS "].iter().any(|method| text.starts_with(method.as_bytes()));
            assert!(is_answered, "nothing else is answered");
            let body_wanted = if text.starts_with(b"HEAD ") { BodyWanted::No } else { BodyWanted::Yes };
            check_answer(&response.into_bytes(body_wanted), text.starts_with(b"HEAD "), true);
        }
        Err(refusal) => check_answer(&refusal.response().into_bytes(BodyWanted::Yes), false, true),
    }
}

/// The bytes of empty lines at the front.
fn empty_lines(stream: &[u8]) -> usize {
    2 * stream.chunks_exact(2).take_while(|line| **line == *b"\r\n").count()
}

/// Where the head ends: behind the first empty line that does not stand in front of it.
fn end_of_head(stream: &[u8]) -> Option<usize> {
    let begin = empty_lines(stream);
    stream[begin..].windows(4).position(|bytes| bytes == b"\r\n\r\n").map(|at| begin + at + 4)
}

fn site(echo: bool, any_origin: bool) -> Site {
    Site {
        pages: Pages::Embedded,
        origins: OriginPolicy::new(if any_origin { vec![AllowedOrigin::Any] } else { Vec::new() }),
        echo: if echo { EchoService::On } else { EchoService::Off },
        health: Health::Good,
    }
}

fn scan_in_pieces(stream: &[u8], cuts: &[usize], max_head_bytes: usize) -> Result<Option<usize>, HeadError> {
    let mut scanner = HeadScanner::default();
    let mut from = 0;
    for &to in cuts.iter().chain([&stream.len()]) {
        if let Some(len) = scanner.scan(&stream[from..to], max_head_bytes)? {
            return Ok(Some(from + len));
        }
        from = to;
    }
    Ok(None)
}

/// Section 4.2.1 in the most naive way: what was let in must look like a handshake to the untrained eye, too.
fn check_handshake(head: &[u8], any_origin: bool) {
    let text = String::from_utf8_lossy(head);
    let mut lines = text.split("\r\n");
    let request = lines.next().unwrap();
    assert!(request.starts_with("GET ") && request.ends_with(" HTTP/1.1"), "{request:?}");
    let headers: Vec<(String, &str)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim_matches([' ', '\t'])))
        .collect();
    let all = |name: &str| -> Vec<&str> {
        headers.iter().filter(|(other, _)| other == name).map(|(_, value)| *value).collect()
    };
    let only = |name: &str| -> &str {
        let values = all(name);
        assert_eq!(values.len(), 1, "{name} stands once");
        values[0]
    };
    assert_eq!(only("sec-websocket-version"), "13");
    let key = only("sec-websocket-key");
    assert!(key.len() == 24 && key.ends_with("=="), "{key:?}");
    assert!(all("upgrade").iter().any(|value| value.to_ascii_lowercase().contains("websocket")));
    assert!(all("connection").iter().any(|value| value.to_ascii_lowercase().contains("upgrade")));
    assert!(all("transfer-encoding").is_empty(), "a handshake has no body");
    assert!(all("content-length").iter().all(|length| length.bytes().all(|digit| digit == b'0')));
    let host = only("host").to_ascii_lowercase();
    if !all("origin").is_empty() && !any_origin {
        let origin = only("origin").to_ascii_lowercase();
        let (_, origin_host) = origin.split_once("://").expect("an origin that passed has a scheme");
        let without_port = |host: &str| host.trim_end_matches(":443").trim_end_matches(":80").to_owned();
        assert_eq!(without_port(origin_host), without_port(&host), "a page of another site was let in");
    }
}

fn check_switching_protocols(head: &[u8]) {
    let text = std::str::from_utf8(head).expect("a head is text");
    let lines: Vec<&str> = text.split("\r\n").collect();
    let accept = lines[3].strip_prefix("Sec-WebSocket-Accept: ").expect("the key is answered");
    assert!(accept.len() == 28 && accept.ends_with('='), "{accept:?} is 20 bytes in base64");
    assert_eq!(lines[..3], ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"]);
    assert_eq!(lines[4..], ["", ""], "no protocol and no extension was agreed on");
}

/// An answer to a plain request: it says that it is the last one, and is as long as it says.
fn check_answer(bytes: &[u8], to_head_request: bool, is_whole: bool) {
    let Some(end) = bytes.windows(4).position(|bytes| bytes == b"\r\n\r\n").map(|at| at + 4) else {
        let begin = b"HTTP/1.1 ".len().min(bytes.len());
        assert!(!is_whole && bytes[..begin] == b"HTTP/1.1 "[..begin], "{:?}", String::from_utf8_lossy(bytes));
        return;
    };
    let head = std::str::from_utf8(&bytes[..end]).expect("our heads are text");
    let body = &bytes[end..];
    let status = head.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)).expect("a status line");
    assert!(status.bytes().all(|digit| digit.is_ascii_digit()) && head.as_bytes()[12] == b' ', "{head}");
    let all = |name: &str| -> Vec<&str> {
        head.split("\r\n").filter_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).collect()
    };
    assert!(all("Connection").len() == 1 && all("Connection")[0].split(", ").any(|option| option == "close"), "{head}");
    if matches!(status, "204" | "304") {
        assert!(body.is_empty() && all("Content-Length").is_empty(), "{head}");
        return;
    }
    assert_eq!(all("Content-Length").len(), 1, "{head}");
    let announced: usize = all("Content-Length")[0].parse().expect("a length is a number");
    // A refusal may be certain before it is known that only the head was asked for.
    let none_is_fine = to_head_request && (status == "200" || body.is_empty());
    let expected = if none_is_fine { 0 } else { announced };
    assert!(body.len() == expected || (!is_whole && body.len() < expected), "{} of {expected} bytes", body.len());
}

// ---- Frames ----------------------------------------------------------------------------------------------------------

/// What a stream of frames amounts to.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    Text(Vec<u8>),
    Binary(Vec<u8>),
    Fragment,
    Ping(Vec<u8>),
    Pong,
    Close(Option<u16>, Vec<u8>),
    /// A rule was broken, for which this is the close code. Nothing follows.
    Failed(u16),
}

/// A stream of frames, decoded whole and in pieces, against a decoder that waits for each frame to be complete.
pub fn frames(data: &[u8]) {
    let mut script = Script { rest: data };
    let options = script.byte();
    let seed = script.byte();
    let limits = MessageLimits {
        max_message_bytes: [1, 125, 300, 70_000][usize::from(options & 3)],
        max_fragments: [1, 2, 10, 100][usize::from(options >> 2 & 3)],
    };
    let mut stream = Vec::new();
    if options & 0x80 != 0 {
        stream.extend_from_slice(script.rest);
    } else {
        while !script.rest.is_empty() && stream.len() < 200_000 {
            append_client_frame(&mut script, &mut stream);
        }
    }

    let (whole, violation, is_amid) = decode_in_pieces(&stream, &[], &limits);
    let pieces = decode_in_pieces(&stream, &cuts(seed, stream.len()), &limits);
    assert_eq!(pieces, (whole.clone(), violation, is_amid), "cuts change nothing");

    let model = model_frames(&stream, &limits);
    if matches!(model.events.last(), Some(Seen::Failed(_))) || violation.is_none() {
        assert_eq!(whole, model.events);
        assert!(violation.is_some() || is_amid == model.is_amid, "it knows whether the peer owes it something");
    } else {
        // The decoder has found a fault before the frame was complete. Then there is no way to complete it.
        assert_eq!(whole, model_frames(&completed(&stream, &limits), &limits).events, "the fault was not certain");
    }
    let longest = whole.iter().map(|event| match event {
        Seen::Text(bytes) | Seen::Binary(bytes) => bytes.len() as u64,
        _ => 0,
    });
    assert!(longest.max() <= Some(limits.max_message_bytes));
}

/// A stream with as many bytes behind it as complete any frame within the limits.
fn completed(stream: &[u8], limits: &MessageLimits) -> Vec<u8> {
    [stream, &vec![0; limits.max_message_bytes as usize + 200]].concat()
}

/// The events, the violation at their end, and whether a message was begun and not ended.
fn decode_in_pieces(stream: &[u8], cuts: &[usize], limits: &MessageLimits) -> (Vec<Seen>, Option<Violation>, bool) {
    let mut decoder = Decoder::default();
    let mut events = Vec::new();
    let mut from = 0;
    for &to in cuts.iter().chain([&stream.len()]) {
        let mut bytes = stream[from..to].to_vec();
        from = to;
        let mut input = Input::new(&mut bytes);
        loop {
            let before = input.taken();
            let event = match decoder.decode(&mut input, limits) {
                Ok(Received::NeedMore) => break,
                Ok(Received::Text(text)) => Seen::Text(text.as_bytes().to_vec()),
                Ok(Received::Binary(bytes)) => Seen::Binary(bytes.to_vec()),
                Ok(Received::Fragment) => Seen::Fragment,
                Ok(Received::Ping(payload)) => Seen::Ping(payload.to_vec()),
                Ok(Received::Pong) => Seen::Pong,
                Ok(Received::Close(close)) => {
                    Seen::Close(close.code.map(|code| code.number()), close.reason.as_bytes().to_vec())
                }
                Err(violation) => {
                    events.push(Seen::Failed(violation.close_code().number()));
                    return (events, Some(violation), true);
                }
            };
            events.push(event);
            assert!(input.taken() > before, "an event costs bytes, or the loop would not end");
        }
        assert!(input.rest().is_empty(), "starved means that everything was taken");
    }
    let is_amid = decoder.is_amid_message();
    (events, None, is_amid)
}

struct Model {
    events: Vec<Seen>,
    /// The stream ends inside a frame or inside a message.
    is_amid: bool,
}

/// RFC 6455 sections 5 to 8, read frame by frame from a stream that is all there.
fn model_frames(stream: &[u8], limits: &MessageLimits) -> Model {
    let mut events = Vec::new();
    let mut rest = stream;
    // The message that is being collected: whether it is text, its bytes, its frames.
    let mut message: Option<(bool, Vec<u8>, u32)> = None;
    while !rest.is_empty() {
        let step = model_frame(rest, &mut message, limits);
        match step {
            Err(code) => {
                events.push(Seen::Failed(code));
                return Model { events, is_amid: true };
            }
            Ok(None) => return Model { events, is_amid: true },
            Ok(Some((event, len))) => {
                events.push(event);
                rest = &rest[len..];
            }
        }
    }
    Model { events, is_amid: message.is_some() }
}

/// One frame and its length, or `None` when it is not complete.
fn model_frame(
    bytes: &[u8],
    message: &mut Option<(bool, Vec<u8>, u32)>,
    limits: &MessageLimits,
) -> Result<Option<(Seen, usize)>, u16> {
    let [first, second, ..] = *bytes else { return Ok(None) };
    let (fin, opcode, length) = (first & 0x80 != 0, first & 0x0f, second & 0x7f);
    let is_control = opcode >= 8;
    let extended = match length {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let Some(extension) = bytes.get(2..2 + extended) else { return Ok(None) };
    let long = extension.iter().fold(0u64, |number, byte| number << 8 | u64::from(*byte));
    let payload_len = if extended == 0 { u64::from(length) } else { long };
    let is_minimal = match extended {
        2 => long >= 126,
        8 => long > 0xffff && long < 1 << 63,
        _ => true,
    };
    if first & 0x70 != 0
        || !matches!(opcode, 0..=2 | 8..=10)
        || (is_control && (!fin || payload_len > 125))
        || second & 0x80 == 0
        || !is_minimal
    {
        return Err(1002);
    }
    let key_at = 2 + extended;
    let Some(key) = bytes.get(key_at..key_at + 4) else { return Ok(None) };
    if !is_control {
        if (opcode == 0) != message.is_some() {
            return Err(1002);
        }
        let (received, frames) = message.as_ref().map_or((0, 0), |(_, bytes, frames)| (bytes.len() as u64, *frames));
        if received.saturating_add(payload_len) > limits.max_message_bytes || frames >= limits.max_fragments {
            return Err(1009);
        }
    }
    let start = key_at + 4;
    let Some(masked) = usize::try_from(payload_len).ok().and_then(|len| bytes.get(start..start.checked_add(len)?))
    else {
        return Ok(None);
    };
    let len = start + masked.len();
    let payload: Vec<u8> = masked.iter().enumerate().map(|(nth, byte)| byte ^ key[nth % 4]).collect();
    let event = match opcode {
        8 => match payload[..] {
            [] => Seen::Close(None, Vec::new()),
            [_] => return Err(1002),
            [high, low, ref reason @ ..] => {
                let code = u16::from_be_bytes([high, low]);
                if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
                    return Err(1002);
                }
                if std::str::from_utf8(reason).is_err() {
                    return Err(1007);
                }
                Seen::Close(Some(code), reason.to_vec())
            }
        },
        9 => Seen::Ping(payload),
        10 => Seen::Pong,
        _ => {
            let (is_text, so_far, frames) = message.get_or_insert((opcode == 1, Vec::new(), 0));
            so_far.extend_from_slice(&payload);
            *frames += 1;
            if *is_text
                && let Err(error) = std::str::from_utf8(so_far)
                && (fin || error.error_len().is_some())
            {
                return Err(1007);
            }
            match (fin, message.take()) {
                (true, Some((true, text, _))) => Seen::Text(text),
                (true, Some((false, bytes, _))) => Seen::Binary(bytes),
                (_, unfinished) => {
                    *message = unfinished;
                    Seen::Fragment
                }
            }
        }
    };
    Ok(Some((event, len)))
}

/// Reads from the script what a client sends next, mostly by the rules.
fn append_client_frame(script: &mut Script<'_>, out: &mut Vec<u8>) {
    match script.byte() % 18 {
        0..=2 => append_masked(out, 0x81, &script.ascii()),
        3 => append_masked(out, 0x81, &script.bytes()),
        4 => append_masked(out, 0x01, &script.ascii()),
        5 => append_masked(out, 0x00, &script.ascii()),
        6 => append_masked(out, 0x80, &script.ascii()),
        7 => append_masked(out, 0x82, &script.bytes()),
        8 => append_masked(out, 0x02, &script.bytes()),
        9 => append_masked(out, 0x89, &script.bytes()),
        10 => append_masked(out, 0x8a, &script.bytes()),
        11 => append_masked(out, 0x88, &[]),
        12 => {
            let code = script.one_of(&[1000u16, 1001, 1005, 1006, 1008, 1011, 999, 2999, 3000, 4999, 5000, 65_535]);
            let reason = if script.byte() & 1 == 0 { script.ascii() } else { script.bytes() };
            append_masked(out, 0x88, &[&code.to_be_bytes(), &reason[..]].concat());
        }
        // A text of several bytes a character, cut anywhere, with a ping in the cut.
        13 => {
            let text = "汉字😀é\u{10ffff}\u{2028}".as_bytes();
            let (front, back) = text.split_at(usize::from(script.byte()) % (text.len() + 1));
            append_masked(out, 0x01, front);
            append_masked(out, 0x89, b"cut");
            append_masked(out, 0x80, back);
        }
        // A length near a boundary.
        14 => {
            let len = script.one_of(&[0usize, 1, 124, 125, 126, 127, 299, 300, 301, 65_535, 65_536, 69_999, 70_001]);
            let letter = script.one_of(b"x\x01\n\"\xc3");
            append_masked(out, script.one_of(&[0x81, 0x82, 0x01, 0x80]), &vec![letter; len]);
        }
        15 => out.extend(script.bytes()),
        // Any header, with a length in a form of its own.
        16 => {
            out.extend([script.byte(), script.one_of(&[0x80, 0x85, 0xfe, 0xff, 0x05, 0x7e, 0x7f])]);
            out.extend(script.bytes());
        }
        _ => append_masked(out, 0x81, b"line\r\n"),
    }
}

fn append_masked(out: &mut Vec<u8>, first_byte: u8, payload: &[u8]) {
    let key = [0x37, payload.len() as u8, 0x21, 0x3d];
    out.push(first_byte);
    match payload.len() {
        len @ 0..=125 => out.push(0x80 | len as u8),
        len @ 126..=0xffff => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(len as u16).to_be_bytes());
        }
        len => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&key);
    out.extend(payload.iter().enumerate().map(|(nth, byte)| byte ^ key[nth % 4]));
}

// ---- Connections -----------------------------------------------------------------------------------------------------

/// The kernel's part of one connection, as far as it can be noticed.
#[derive(Debug, Default)]
struct Pipe {
    /// Sent by the peer and not read yet.
    inbox: VecDeque<u8>,
    /// The peer has shut its writing half.
    is_finished: bool,
    /// The peer has sent a reset.
    is_reset: bool,
    /// Bytes that the socket still takes. `usize::MAX` never runs out.
    room: usize,
    /// A write met a full socket: when there is room again, the poller says so.
    is_awaited: bool,
    /// The next calls are interrupted by a signal.
    interrupts: u8,
    /// The poller has something to report.
    has_edge: bool,

    /// What the hub wrote.
    written: Vec<u8>,
    read_bytes: usize,
    /// The hub has shut its writing half.
    is_shut: bool,
    /// The hub has let go of the socket.
    is_dropped: bool,
}

/// The hub's end of a [`Pipe`].
struct ScriptedSocket(Rc<RefCell<Pipe>>);

impl Pipe {
    fn interrupted(&mut self) -> io::Result<()> {
        match self.interrupts.checked_sub(1) {
            None => Ok(()),
            Some(rest) => {
                self.interrupts = rest;
                Err(ErrorKind::Interrupted.into())
            }
        }
    }

    fn write(&mut self, slices: &[&[u8]]) -> io::Result<usize> {
        assert!(!self.is_shut, "a write behind the end of our stream");
        assert!(slices.iter().any(|slice| !slice.is_empty()), "a write of nothing");
        self.interrupted()?;
        if self.is_reset {
            return Err(ErrorKind::BrokenPipe.into());
        }
        if self.room == 0 {
            self.is_awaited = true;
            return Err(ErrorKind::WouldBlock.into());
        }
        let mut count = 0;
        for slice in slices {
            let taken = &slice[..slice.len().min(self.room)];
            self.written.extend_from_slice(taken);
            count += taken.len();
            if self.room != usize::MAX {
                self.room -= taken.len();
            }
        }
        Ok(count)
    }
}

impl Read for ScriptedSocket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let pipe = &mut *self.0.borrow_mut();
        pipe.interrupted()?;
        if pipe.is_reset {
            return Err(ErrorKind::ConnectionReset.into());
        }
        if pipe.inbox.is_empty() && !pipe.is_finished {
            return Err(ErrorKind::WouldBlock.into());
        }
        // Like a kernel, never less than there is: the hub takes a short read for the last one.
        let count = buffer.len().min(pipe.inbox.len());
        buffer.iter_mut().zip(pipe.inbox.drain(..count)).for_each(|(to, byte)| *to = byte);
        pipe.read_bytes += count;
        Ok(count)
    }
}

impl Write for ScriptedSocket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(&[bytes])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let slices: Vec<&[u8]> = slices.iter().map(|slice| &**slice).collect();
        self.0.borrow_mut().write(&slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Socket for ScriptedSocket {
    fn shut_down_writing(&mut self) -> io::Result<()> {
        let pipe = &mut *self.0.borrow_mut();
        assert!(!pipe.is_shut, "our stream ends once");
        if pipe.is_reset {
            return Err(ErrorKind::NotConnected.into());
        }
        pipe.is_shut = true;
        Ok(())
    }
}

impl Drop for ScriptedSocket {
    fn drop(&mut self) {
        self.0.borrow_mut().is_dropped = true;
    }
}

/// A history that may take its time: while the gate is shut, nothing comes back.
struct GatedHistory {
    inner: Memory<PeerId>,
    is_open: Rc<Cell<bool>>,
    under_way: usize,
    forgotten: Rc<Cell<u64>>,
}

/// Behind a shut gate, more than this is too much.
const MOST_UNDER_WAY: usize = 6;

impl History<PeerId> for GatedHistory {
    fn open(&mut self, room: RoomKey, name: &RoomName) {
        self.inner.open(room, name);
    }

    fn forget(&mut self, room: RoomKey) {
        self.forgotten.set(self.forgotten.get() + 1);
        self.inner.forget(room);
    }

    fn append(&mut self, room: RoomKey, entry: Entry<'_, PeerId>) {
        self.under_way += 1;
        self.inner.append(room, entry);
    }

    fn read(&mut self, room: RoomKey, wanted: Wanted, size: PageSize, reader: PeerId) {
        self.inner.read(room, wanted, size, reader);
    }

    fn next(&mut self) -> Option<(RoomKey, Outcome<'_, PeerId>)> {
        if !self.is_open.get() {
            return None;
        }
        self.under_way = 0;
        self.inner.next()
    }

    fn reach(&self) -> Reach {
        self.inner.reach()
    }

    fn pressure(&self) -> Pressure {
        if self.under_way > MOST_UNDER_WAY { Pressure::High } else { self.inner.pressure() }
    }

    fn tick(&mut self, now: Now) {
        self.inner.tick(now);
    }
}

struct Client {
    id: PeerId,
    pipe: Rc<RefCell<Pipe>>,
    sent: Vec<u8>,
}

/// A hub, its clients, and the clock.
struct World {
    hub: Hub<ScriptedSocket>,
    limits: Limits,
    gate: Rc<Cell<bool>>,
    /// The gate was opened: as a waker would, it asks for a turn.
    is_woken: bool,
    /// Rooms that the history was told to forget.
    forgotten: Rc<Cell<u64>>,
    /// Whether the gate was ever shut.
    was_gated: bool,
    clients: Vec<Client>,
    now_ms: u64,
}

const MOST_CLIENTS: usize = 8;
/// Bytes that one client may send: far more than any queue here may hold, and few enough for many cases a second.
const MOST_BYTES: usize = 6_000;
const ANY_ORIGIN: bool = false;
const START_UNIX_MS: u64 = 1_763_817_427_123;
/// Of a room in which somebody speaks before time has passed.
const FIRST_ID: u64 = START_UNIX_MS * 1_000;

/// A few clients and all that can happen to them. Each byte of the input is something that happens.
pub fn connection(data: &[u8]) {
    let mut script = Script { rest: data };
    let (options, more_options) = (script.byte(), script.byte());
    let mut world = World::new(options);
    if more_options & 1 != 0 {
        for path in ["/", "/", "/?quiet=1"] {
            world.connect();
            world.send(world.clients.len() - 1, &request("GET", path));
        }
        world.settle();
    }
    // Longer scripts tell nothing new, and take time from others.
    for _ in 0..300 {
        if script.rest.is_empty() {
            break;
        }
        world.happens(&mut script);
    }
    if more_options & 2 != 0 {
        world.calm_down();
    }
    world.end(more_options >> 2 & 3, more_options & 16 != 0);
}

fn request(method: &str, target: &str) -> Vec<u8> {
    let upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    format!("{method} {target} HTTP/1.1\r\nHost: fuzz\r\n{upgrade}\r\n").into_bytes()
}

impl World {
    fn new(options: u8) -> World {
        let small = options & 1 != 0;
        let has_history = options & 16 == 0;
        let limits = Limits {
            max_connections: if options & 2 != 0 { 2 } else { 4 },
            max_head_bytes: 400,
            message: MessageLimits { max_message_bytes: 300, max_fragments: 6 },
            max_queue_bytes: if small { 1_000 } else { 10_000 },
            read_budget_bytes: if small { 64 } else { 1_024 },
            write_budget_bytes: if small { 50 } else { 4_096 },
            rate: (options & 4 != 0).then_some(Rate { burst: 4, per_second: 20 }),
            kept: ScrollbackLimit { messages: if has_history { 5 } else { 0 }, bytes: 800 },
            replay_messages: 5,
            presence_members: if options & 8 != 0 { 2 } else { 100 },
            max_rooms: if options & 32 != 0 { 1 } else { 2 },
            byte_rate: (options & 4 != 0).then_some(ByteRate { per_second: 4_000 }),
            room_byte_rate: (options & 8 != 0).then_some(ByteRate { per_second: 6_000 }),
            change_rate: (options & 64 != 0).then_some(Rate { burst: 2, per_second: 1 }),
            ..Limits::default()
        };
        let gate = Rc::new(Cell::new(true));
        let forgotten = Rc::default();
        let history = Box::new(GatedHistory {
            inner: Memory::new(),
            is_open: Rc::clone(&gate),
            under_way: 0,
            forgotten: Rc::clone(&forgotten),
        });
        World {
            hub: Hub::new(limits, site(true, ANY_ORIGIN), history),
            limits,
            gate,
            is_woken: false,
            forgotten,
            was_gated: false,
            clients: Vec::new(),
            now_ms: 0,
        }
    }

    /// One thing happens; mostly a turn follows.
    fn happens(&mut self, script: &mut Script<'_>) {
        let what = script.byte();
        let nth = usize::from(what >> 4 & 3);
        let nth = if self.clients.is_empty() { 0 } else { self.clients.len() - 1 - nth % self.clients.len() };
        match what & 0x0f {
            0 => self.connect(),
            1 => self.send(nth, &any_request(script)),
            6 => self.send(nth, &command(script)),
            2..=5 => {
                let mut bytes = Vec::new();
                append_client_frame(script, &mut bytes);
                self.send(nth, &bytes);
            }
            7 => self.send(nth, &script.bytes()),
            8 => self.with_pipe(nth, |pipe| pipe.is_finished = true),
            9 => self.with_pipe(nth, |pipe| pipe.is_reset = true),
            10 => {
                let more = script.one_of(&[1, 10, 100, 1_000, 100_000, usize::MAX]);
                self.make_room(nth, more);
            }
            11 => {
                let room = script.one_of(&[0, 1, 100]);
                if let Some(client) = self.clients.get(nth) {
                    client.pipe.borrow_mut().room = room;
                }
            }
            12 => self.now_ms += u64::from(script.byte()) * 20,
            13 => match script.byte() % 4 {
                0 => self.now_ms = self.deadline_ms().unwrap_or(self.now_ms),
                1 => self.set_gate(!self.gate.get()),
                2 => {
                    if let Some(client) = self.clients.get(nth) {
                        client.pipe.borrow_mut().interrupts = 2;
                    }
                }
                // A report that tells nothing, or comes after the end.
                _ => {
                    if let Some(client) = self.clients.get(nth) {
                        self.hub.ready(client.id, Readiness { readable: true, writable: true, hung_up: false });
                    }
                }
            },
            14 => self.settle(),
            _ => {
                let mut bytes = Vec::new();
                for _ in 0..100 {
                    append_masked(&mut bytes, 0x81, b"flood");
                }
                self.send(nth, &bytes);
                self.settle();
            }
        }
        if what & 0x40 == 0 {
            self.turn();
        }
    }

    fn now(&self) -> Now {
        let moment = Moment::START + Duration::from_millis(self.now_ms);
        Now { moment, unix_ms: START_UNIX_MS + self.now_ms }
    }

    fn deadline_ms(&self) -> Option<u64> {
        let deadline = self.hub.deadline();
        (deadline != Moment::NEVER).then(|| deadline.since(Moment::START).as_millis() as u64)
    }

    fn connect(&mut self) {
        if self.clients.len() == MOST_CLIENTS || !self.hub.can_accept() {
            return;
        }
        let pipe = Rc::new(RefCell::new(Pipe { room: usize::MAX, ..Pipe::default() }));
        let id = self.hub.accept(ScriptedSocket(Rc::clone(&pipe)), "fuzz".into(), self.now());
        assert_eq!(PeerId::from_token(id.to_token()), id);
        self.clients.push(Client { id, pipe, sent: Vec::new() });
    }

    fn send(&mut self, nth: usize, bytes: &[u8]) {
        let Some(client) = self.clients.get_mut(nth) else { return };
        let pipe = &mut *client.pipe.borrow_mut();
        let bytes = &bytes[..bytes.len().min(MOST_BYTES - client.sent.len())];
        if !pipe.is_finished && !pipe.is_reset && !pipe.is_dropped && !bytes.is_empty() {
            pipe.inbox.extend(bytes);
            pipe.has_edge = true;
            client.sent.extend_from_slice(bytes);
        }
    }

    fn with_pipe(&mut self, nth: usize, change: impl Fn(&mut Pipe)) {
        if let Some(client) = self.clients.get(nth) {
            let pipe = &mut *client.pipe.borrow_mut();
            change(pipe);
            pipe.has_edge = true;
        }
    }

    /// The peer reads, and so its socket takes more. The poller tells only who has met a full one.
    fn make_room(&mut self, nth: usize, more: usize) {
        if let Some(client) = self.clients.get(nth) {
            let pipe = &mut *client.pipe.borrow_mut();
            pipe.room = pipe.room.saturating_add(more);
            pipe.has_edge |= pipe.is_awaited;
        }
    }

    fn set_gate(&mut self, is_open: bool) {
        self.gate.set(is_open);
        self.is_woken |= is_open;
        self.was_gated |= !is_open;
    }

    fn turn(&mut self) {
        for client in &self.clients {
            let pipe = &mut *client.pipe.borrow_mut();
            if std::mem::take(&mut pipe.has_edge) && !pipe.is_dropped {
                let readiness = Readiness {
                    readable: !pipe.inbox.is_empty() || pipe.is_finished || pipe.is_reset,
                    writable: pipe.room > 0 || pipe.is_reset,
                    hung_up: pipe.is_finished || pipe.is_reset,
                };
                // Room that has gone again before anybody heard of it is still waited for.
                pipe.is_awaited &= !readiness.writable;
                self.hub.ready(client.id, readiness);
                if pipe.is_reset {
                    self.hub.failed(client.id);
                }
            }
        }
        self.is_woken = false;
        self.hub.turn(self.now());
        self.check_memory();
    }

    /// A reader may owe its limit and what one turn brings on top of it. A shut gate lets many turns come at once.
    fn check_memory(&self) {
        // A frame of 7 bytes makes an event of some 130; one of 11 may ask for help, which is 600. A turn deals with one read and what was left of
        // another, of each connection.
        let turn_bytes = (self.hub.connections() + 2) * 2 * self.limits.read_budget_bytes * 60;
        let replay_bytes = 5 * 150 + 6 * 500 + 1_000;
        let most = self.hub.connections() * (self.limits.max_queue_bytes + turn_bytes + replay_bytes);
        let queued = self.hub.queued_bytes();
        assert!(self.was_gated || queued <= most, "{queued} bytes are queued, {most} is the most there may be");
    }

    /// Turns until nothing is left to do unless something happens, as the event loop does. This is where a loop that
    /// spins is found.
    fn settle(&mut self) {
        let mut idle_turns = 0;
        for _ in 0..100_000 {
            let is_due = self.deadline_ms().is_some_and(|deadline| deadline <= self.now_ms);
            if !self.hub.has_work() && !self.is_woken && !is_due && !self.clients.iter().any(Client::has_edge) {
                return;
            }
            let before = self.progress();
            self.turn();
            idle_turns = if self.progress() == before { idle_turns + 1 } else { 0 };
            assert!(idle_turns < 16, "the loop turns and turns, and nothing changes");
        }
        panic!("the loop does not come to rest");
    }

    /// Whatever changes when a turn has been of use.
    fn progress(&self) -> [usize; 5] {
        let pipes = || self.clients.iter().map(|client| client.pipe.borrow());
        [
            pipes().map(|pipe| pipe.read_bytes).sum(),
            pipes().map(|pipe| pipe.written.len()).sum(),
            pipes().map(|pipe| usize::from(pipe.interrupts)).sum(),
            self.hub.queued_bytes(),
            self.hub.connections(),
        ]
    }

    /// Everybody reads what there is: then nothing may be left lying about, and everybody knows the same.
    fn calm_down(&mut self) {
        self.set_gate(true);
        for nth in 0..self.clients.len() {
            self.make_room(nth, usize::MAX);
        }
        self.settle();
        assert_eq!(self.hub.queued_bytes(), 0, "everybody reads, and yet something is queued");
        if self.limits.rate.is_some() || self.limits.room_byte_rate.is_some() {
            return;
        }
        let mut newest: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for client in &self.clients {
            let pipe = client.pipe.borrow();
            if pipe.is_dropped {
                continue;
            }
            let left = pipe.inbox.len();
            assert!(left == 0 || pipe.is_reset, "{:?} has {left} bytes that nobody reads: {pipe:?}", client.id);
            let wire = client.wire(&self.limits);
            if !pipe.is_shut && !pipe.is_finished && !pipe.is_reset && wire.is_everything() && !wire.has_closed {
                assert_eq!(wire.own_messages, wire.said, "what was said has been heard");
                newest.entry(wire.room).or_default().push(wire.newest_id);
            }
        }
        let is_same = |ids: &Vec<u64>| ids.iter().all(|id| *id == ids[0]);
        assert!(newest.values().all(is_same), "all in a room have heard the newest message: {newest:?}");
    }

    /// Everybody has vanished, in whatever state, and the history gives nothing back: no socket waits for that.
    fn give_back_sockets(&mut self) {
        // What is left may be taken, then what is queued may be written, each in its time.
        let end = self.now_ms + 2 * (self.limits.close_timeout.as_millis() as u64 + 1_000);
        while let Some(deadline) = self.deadline_ms().filter(|deadline| *deadline <= end) {
            self.now_ms = self.now_ms.max(deadline);
            self.turn();
            self.settle();
        }
        assert_eq!(self.hub.connections(), 0, "somebody has vanished and keeps a slot");
        assert!(self.clients.iter().all(|client| client.pipe.borrow().is_dropped), "a socket that nobody needs");
    }

    /// The end of all things, one way or another; then nothing may be left.
    fn end(mut self, way: u8, hangs: bool) {
        let has_forgotten = self.forgotten.get() > 0;
        let hangs = hangs && way < 2;
        self.set_gate(!hangs);
        for nth in 0..self.clients.len() {
            match way {
                // Everybody leaves, this way or that.
                0 => self.with_pipe(nth, |pipe| pipe.is_finished = true),
                1 => self.with_pipe(nth, |pipe| pipe.is_reset = true),
                // Nobody does anything any more, or even reads.
                _ => {}
            }
        }
        if way == 3 {
            self.hub.shut_down(self.now());
        }
        self.settle();
        if hangs {
            self.give_back_sockets();
            self.set_gate(true);
            self.settle();
        }
        let sent: usize = self.clients.iter().map(|client| client.sent.len()).sum();
        for _ in 0..sent + 1_000 {
            let Some(deadline) = self.deadline_ms() else { break };
            self.now_ms = deadline;
            self.turn();
            self.settle();
        }
        assert_eq!(self.hub.connections(), 0, "some stay for ever, at {} with {:?}", self.now_ms, self.hub.deadline());
        assert!(!self.hub.has_work() && self.hub.deadline() == Moment::NEVER, "nobody is here, and it is not at rest");
        assert_eq!(self.hub.queued_bytes(), 0);
        assert_eq!(self.hub.endings().values().sum::<u64>(), self.clients.len() as u64, "every ending has a name");

        let mut history = BTreeMap::new();
        for client in &self.clients {
            assert!(client.pipe.borrow().is_dropped);
            for (id, message) in client.wire(&self.limits).messages {
                let known = history.entry(id.clone()).or_insert_with(|| message.clone());
                // A room that was forgotten may begin anew in the same moment: here the clock stands still.
                let is_known = *known == message || has_forgotten;
                assert!(is_known, "two have heard different things as message {id:?}: {known:?}, {message:?}");
            }
        }
    }
}

fn any_request(script: &mut Script<'_>) -> Vec<u8> {
    let choice = script.byte();
    match choice % 16 {
        0..=3 => request("GET", "/"),
        4 => request("GET", "/r/lobby?quiet=1"),
        5 | 6 => request("GET", "/echo"),
        7 => request(script.one_of(&["GET", "POST"]), "/nowhere"),
        8 => {
            let room = script.one_of(&["/", "/r/den", "/r/%E6%B1%89", "/r/%00"]);
            let name = script.one_of(&["", "name=Bill", "name=bill&quiet=1", "name=B1ll", "name=roomd"]);
            let since = match script.byte() % 5 {
                0 => String::new(),
                1 => "&since=0".into(),
                2 => format!("&since={FIRST_ID}"),
                3 => format!("&since={}", u64::MAX),
                _ => "&since=x".into(),
            };
            request("GET", &format!("{room}?{name}{since}"))
        }
        9 => b"GET / HTTP/1.1\r\nHost: fuzz\r\n\r\n".to_vec(),
        10 => b"HEAD /healthz HTTP/1.1\r\nHost: fuzz\r\n\r\n".to_vec(),
        11 => b"GET /healthz HTTP/1.0\r\n\r\n".to_vec(),
        12 => b"\x16\x03\x01\x02\x00\x01\x00".to_vec(),
        13 => [&b"GET / HTTP/1.1\r\nX: "[..], &[b'x'; 400]].concat(),
        14 => {
            let whole = request("GET", "/");
            whole[..usize::from(script.byte()).min(whole.len())].to_vec()
        }
        // Frames in the same segment as the head.
        _ => {
            let mut bytes = request("GET", "/");
            append_client_frame(script, &mut bytes);
            bytes
        }
    }
}

/// A line that is a command, or nearly one.
fn command(script: &mut Script<'_>) -> Vec<u8> {
    let mut line = script
        .one_of(&[
            "/nick ",
            "/join ",
            "/msg ",
            "/me ",
            "/who",
            "/help",
            "/ping",
            "/ping 7",
            "/history ",
            "//",
            "/nothing ",
            "/msg \"tourist 1\" ",
        ])
        .to_owned();
    let before = (FIRST_ID + 2).to_string();
    line += script.one_of(&["", "Bill", "bill", "B1ll", "lobby", "den", "attic", "1", &before, "Bill hi", "a\u{200b}"]);
    let mut bytes = Vec::new();
    append_masked(&mut bytes, 0x81, line.as_bytes());
    bytes
}

/// What one client has heard, checked by itself, beside what it had said.
struct Wire {
    audience: Option<Verbosity>,
    /// All messages heard, by room and id: name, text and time.
    messages: BTreeMap<(String, u64), (String, String, u64)>,
    /// Where it is, and the newest message that it knows of there.
    room: String,
    newest_id: u64,
    /// Texts of messages under its own name, in the order heard.
    own_messages: Vec<String>,
    /// Texts of messages that it sent whole, up to its Close or its first fault.
    said: Vec<String>,
    has_closed: bool,
}

impl Wire {
    fn is_everything(&self) -> bool {
        self.audience == Some(Verbosity::Everything)
    }
}

impl Client {
    fn has_edge(&self) -> bool {
        let pipe = self.pipe.borrow();
        pipe.has_edge && !pipe.is_dropped
    }

    /// Reads all that was written to this client, and holds it to what was promised.
    fn wire(&self, limits: &Limits) -> Wire {
        let pipe = self.pipe.borrow();
        // A stream that we ended ourselves is whole; one that broke, or whose peer does not read, may be cut anywhere.
        let is_whole = pipe.is_shut;
        let mut wire = Wire {
            audience: None,
            messages: BTreeMap::new(),
            room: String::new(),
            newest_id: 0,
            own_messages: Vec::new(),
            said: Vec::new(),
            has_closed: false,
        };
        if !pipe.written.starts_with(b"HTTP/1.1 101 ") {
            if !pipe.written.is_empty() || is_whole {
                check_answer(&pipe.written, self.sent.starts_with(b"HEAD "), is_whole);
            }
            return wire;
        }
        let Some(end) = pipe.written.windows(4).position(|bytes| bytes == b"\r\n\r\n").map(|at| at + 4) else {
            assert!(!is_whole);
            return wire;
        };
        check_switching_protocols(&pipe.written[..end]);
        let (head_len, endpoint) = self.endpoint();
        let (frames, rest) = server_frames(&pipe.written[end..]);
        assert!(rest.is_empty() || !is_whole, "our stream ends inside a frame");

        let model = model_frames(&completed(&self.sent[head_len..], &limits.message), &limits.message).events;
        let last_word = model.iter().position(|event| matches!(event, Seen::Close(..) | Seen::Failed(_)));
        let certain = model_frames(&self.sent[head_len..], &limits.message).events;
        let mut heard = &certain[..certain.len().min(last_word.unwrap_or(usize::MAX))];
        // What is not certain yet is only what the padding has completed.
        if let Some(at) = last_word
            && certain.len() > at
        {
            heard = &certain[..at];
        }
        wire.said = heard.iter().filter_map(said).collect();

        let closes: Vec<usize> = (0..frames.len()).filter(|nth| frames[*nth].0 == 0x88).collect();
        if let Some(&close) = closes.first() {
            assert!(close + 1 == frames.len() && rest.is_empty(), "something follows our Close");
            wire.has_closed = true;
        }
        let pings = heard.iter().filter_map(|event| match event {
            Seen::Ping(payload) => Some(payload),
            _ => None,
        });
        let pongs = frames.iter().filter(|(first, _)| *first == 0x8a).map(|(_, payload)| payload);
        assert!(is_prefix(pongs, pings), "a Pong without its Ping");
        match endpoint {
            Endpoint::Echo => check_echo(&frames, heard),
            Endpoint::Room(Visit { verbosity: audience, since, .. }) => {
                wire.audience = Some(audience);
                wire.hear_room(&frames, audience, since.is_some(), limits);
                if wire.is_everything() {
                    assert!(is_prefix(wire.own_messages.iter(), wire.said.iter()), "others' words, or a wrong order");
                }
            }
        }
        if let Some((_, payload)) = frames.last().filter(|_| wire.has_closed) {
            let is_answer = check_close(payload, last_word.map(|at| &model[at]));
            if is_answer && wire.is_everything() {
                assert_eq!(wire.own_messages, wire.said, "who says goodbye hears its last words first");
            }
        }
        wire
    }

    /// The length of the request head that this client sent, and what it asked for.
    fn endpoint(&self) -> (usize, Endpoint) {
        let len = end_of_head(&self.sent);
        let len = len.expect("a 101 answers a whole head");
        check_handshake(&self.sent[empty_lines(&self.sent)..len], ANY_ORIGIN);
        match Head::parse(&self.sent[..len])
            .map_err(Refusal::from)
            .and_then(|head| Route::of(&head, &site(true, ANY_ORIGIN)))
        {
            Ok(Route::Upgrade(_, endpoint)) => (len, endpoint),
            other => panic!("a 101 where it was {other:?}"),
        }
    }
}

impl Wire {
    /// Follows the streams of one room after another: no holes, no lies about who is there.
    fn hear_room(&mut self, frames: &[(u8, Vec<u8>)], audience: Verbosity, has_since: bool, limits: &Limits) {
        let is_quiet = audience == Verbosity::MessagesOnly;
        let is_told = limits.presence_members == 100;
        let mut own_name = None;
        let mut online = None;
        let mut welcomes = 0;
        let mut last_of_past = 0;
        let mut previous: Option<u64> = None;
        for (first_byte, payload) in frames {
            if matches!(first_byte, 0x88..=0x8a) {
                continue;
            }
            assert_eq!(*first_byte, 0x81, "a room speaks in text");
            assert!(!payload.is_empty(), "an empty text frame");
            let event: Value = serde_json::from_slice(payload).expect("an event is JSON");
            let field = |name: &str| event[name].as_str().expect("each event has type, name and mess").to_owned();
            let (kind, name, text) = (field("type"), field("name"), field("mess"));
            assert!(is_quiet || own_name.is_some() || kind == "welcome", "the first event is the welcome");
            let id = event["id"].as_u64();
            // Half of a queue is what the past may fill; the larger one has room for any message. Who asks for what it
            // has missed may have missed nothing.
            let has_past = limits.kept.messages > 0 && limits.max_queue_bytes > 4_000 && !(has_since && welcomes == 1);
            let is_before_present =
                matches!(&*kind, "welcome" | "reset" | "error") || id.is_some_and(|id| id <= last_of_past);
            if last_of_past > 0 && has_past && !is_before_present {
                assert!(previous >= Some(last_of_past), "the past was not told up to the welcome's `last`");
            }
            match kind.as_str() {
                "welcome" => {
                    assert!(!is_quiet, "who is quiet is not welcomed");
                    welcomes += 1;
                    own_name = Some(name);
                    online = event["online"].as_u64();
                    last_of_past = event["last"].as_u64().expect("a welcome names the newest message");
                    previous = None;
                    self.newest_id = last_of_past;
                    self.room = field("room");
                }
                "message" | "action" => {
                    let id = id.expect("a message has an id");
                    let time = event["time"].as_u64().expect("a message has a time");
                    let room = field("room");
                    if !is_quiet {
                        assert_eq!(room, self.room, "a message of another room");
                        match previous {
                            Some(previous) => assert_eq!(id, previous + 1, "a hole in the stream"),
                            // The past ends with the newest message of the welcome; the present begins behind it. In a
                            // room in which nothing was said, it begins anywhere.
                            None => assert!(self.newest_id == 0 || id <= self.newest_id + 1),
                        }
                    }
                    assert!(!text.is_empty(), "nobody says nothing");
                    previous = Some(id);
                    self.newest_id = self.newest_id.max(id);
                    if own_name.as_ref() == Some(&name) && id > last_of_past {
                        self.own_messages.push(text.clone());
                    }
                    self.messages.insert((room, id), (name, text, time));
                }
                "join" | "leave" | "online" => {
                    assert!(!is_quiet, "who asked for messages gets only those");
                    if is_told {
                        let expected = online.map(|before: u64| if kind == "join" { before + 1 } else { before - 1 });
                        assert_eq!(event["online"].as_u64(), expected, "{kind} changes the number of members by one");
                        online = expected;
                    }
                }
                "rename" => {
                    let is_own = own_name == event["from"].as_str().map(str::to_owned);
                    assert!(is_quiet || is_told || is_own || limits.presence_members > 1, "told to too many");
                    if is_own {
                        own_name = Some(name);
                    }
                }
                "users" => assert!(!is_told || is_quiet || event["online"].as_u64() == online, "who is there: {event}"),
                "private" => {
                    let to = field("to");
                    assert!(is_quiet || [Some(name), Some(to)].contains(&own_name), "for somebody else: {event}");
                }
                "reset" => assert!(has_since && welcomes <= 1 && previous.is_none(), "a reset for no reason"),
                "history" => {
                    let ids =
                        event["messages"].as_array().expect("a page").iter().map(|message| message["id"].as_u64());
                    assert!(ids.is_sorted_by(|a, b| a.map(|id| id + 1) == *b), "a hole in a page");
                }
                "help" | "pong" => {}
                "error" => assert!(ERRORS.contains(&event["code"].as_str().unwrap_or_default()), "{event}"),
                other => panic!("an event of a type that was not promised: {other}"),
            }
        }
    }
}

/// The errors that were promised. A history in memory is always there.
const ERRORS: &[&str] = &[
    "bad-arguments",
    "bad-name",
    "bad-room",
    "bad-since",
    "binary-not-accepted",
    "message-too-big",
    "mistyped-command",
    "name-taken",
    "name-too-similar",
    "no-such-name",
    "receiver-busy",
    "since-in-future",
    "slow-down",
    "too-many-rooms",
    "unknown-command",
];

/// `/echo`: what comes back is what was sent, from its beginning on.
fn check_echo(frames: &[(u8, Vec<u8>)], heard: &[Seen]) {
    let expected = heard.iter().filter_map(|event| match event {
        Seen::Text(text) => Some((0x81, text)),
        Seen::Binary(bytes) => Some((0x82, bytes)),
        Seen::Ping(payload) => Some((0x8a, payload)),
        _ => None,
    });
    let echoed = frames.iter().filter(|(first, _)| !matches!(first, 0x88 | 0x89)).map(|(first, bytes)| (*first, bytes));
    assert!(is_prefix(echoed, expected), "an echo of something else");
}

/// Our Close is either the answer to what the peer did, or for one of our own reasons. Says whether it is the answer.
fn check_close(payload: &[u8], last_word: Option<&Seen>) -> bool {
    let code = payload.first_chunk().map(|code| u16::from_be_bytes(*code));
    let reason = std::str::from_utf8(payload.get(2..).unwrap_or_default()).expect("a reason is text");
    let is_ours = [
        (1001, "the daemon is going down"),
        (1013, "there are too many rooms already; try again later"),
        (1008, "too slow a reader: too much is waiting to be sent"),
        (1008, "no sign of life since the last ping"),
        (1008, "a message took too long to arrive"),
    ];
    if is_ours.iter().any(|ours| (Some(ours.0), ours.1) == (code, reason)) {
        return false;
    }
    match last_word {
        Some(Seen::Close(expected, _)) => {
            assert_eq!((code, reason), (*expected, ""), "a Close is answered with its code")
        }
        Some(Seen::Failed(expected)) => assert!(code == Some(*expected) && !reason.is_empty(), "{code:?} {reason}"),
        _ => panic!("a Close for no reason: {code:?} {reason}"),
    }
    true
}

/// The text that a room makes of an event: a trailing line end does not count, and neither nothing nor a command is said.
fn said(event: &Seen) -> Option<String> {
    let Seen::Text(text) = event else { return None };
    let text = String::from_utf8(text.clone()).expect("the model has checked it");
    let text = match text.strip_suffix('\n') {
        Some(line) => line.strip_suffix('\r').unwrap_or(line),
        None => &text,
    };
    // What else cannot be seen, no dice throw in front of a slash.
    let is_unseen = |letter: char| letter.is_whitespace() || letter.is_control() || "\u{200b}\u{feff}".contains(letter);
    let slashes = ['/', '／', '⁄', '∕', '⧸'];
    let seen = text.trim_start_matches(is_unseen);
    let said = match seen.strip_prefix(slashes) {
        None if Spoken::parse(seen) == Err(BadCommand::Slip) => return None,
        None => text,
        Some(escaped) if escaped.starts_with(slashes) => escaped,
        Some(command) => {
            let (word, action) = command.split_once(char::is_whitespace)?;
            word.eq_ignore_ascii_case("me").then(|| action.trim_start())?
        }
    };
    (!said.is_empty()).then(|| said.to_owned())
}

fn is_prefix<T: PartialEq>(front: impl Iterator<Item = T>, mut whole: impl Iterator<Item = T>) -> bool {
    front.into_iter().all(|item| whole.next() == Some(item))
}

/// Whole frames of a server, each with its first byte, and what is left behind them.
fn server_frames(mut bytes: &[u8]) -> (Vec<(u8, Vec<u8>)>, &[u8]) {
    let mut frames = Vec::new();
    while let [first, second, ..] = *bytes {
        assert!(matches!(first, 0x81 | 0x82 | 0x88 | 0x89 | 0x8a), "a frame of ours begins with {first:#x}");
        assert_eq!(second & 0x80, 0, "a server does not mask");
        let extended = match second {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let Some(extension) = bytes.get(2..2 + extended) else { break };
        let long = extension.iter().fold(0, |number, byte| number << 8 | usize::from(*byte));
        let len = if extended == 0 { usize::from(second) } else { long };
        assert!(extended == 0 || (extended == 2 && len > 125) || len > 0xffff, "a length in more bytes than it needs");
        assert!(first & 0x08 == 0 || len <= 125, "a control frame is short");
        let Some(payload) = bytes.get(2 + extended..2 + extended + len) else { break };
        frames.push((first, payload.to_vec()));
        bytes = &bytes[2 + extended + len..];
    }
    (frames, bytes)
}
