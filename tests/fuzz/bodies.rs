//! What is done with a fuzzer's bytes, and what must hold whatever they are.
//!
//! The same bodies run under libFuzzer (`targets/`) and for a moment in the ordinary test suite
//! (`main.rs`). None of them only looks for panics: each compares the daemon with a second opinion, which
//! is as simple-minded as possible.
//!
//! Most inputs are read as a script: a byte says what happens next, the following ones how. So a fuzzer that flips bits
//! changes the plot, and not only a payload.

#![allow(dead_code, unreachable_pub, reason = "each fuzz target uses its own body")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a broken rule ends the run")]

#[path = "../simulation/world/mod.rs"]
mod world;

use roomd::door::{AllowedOrigin, EchoService, Health, OriginPolicy, Pages, Refusal, Route, Site};
use roomd::gate::proxy_header::{ProxyHeaderError, ProxyHeaderReader};
use roomd::gate::{AddressPolicy, Caller, Client, ClientAddress, Forwarded, PeerAddress, ProxyProtocol};
use roomd::http::{BodyWanted, Head, HeadError, HeadScanner, Persistence};
use roomd::websocket::{Decoder, Input, MessageLimits, Received, Violation};

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
        Err(error) => {
            check_answer(&Refusal::from(error).response().into_bytes(BodyWanted::Yes, Persistence::Closes), false, true)
        }
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
            check_answer(&response.into_bytes(body_wanted, Persistence::Closes), text.starts_with(b"HEAD "), true);
        }
        Err(refusal) => check_answer(&refusal.response().into_bytes(BodyWanted::Yes, Persistence::Closes), false, true),
    }
}

// ---- What proxies say of addresses ------------------------------------------------------------------------------------

/// A header of the PROXY protocol, taken whole and in pieces, against a reader that has the whole stream.
pub fn proxy_header(data: &[u8]) {
    let mut script = Script { rest: data };
    let seed = script.byte();
    let stream = script.rest;
    let whole = ProxyHeaderReader::default().take(stream);
    let mut reader = ProxyHeaderReader::default();
    let mut taken = 0;
    let cuts = cuts(seed, stream.len());
    let ends = cuts.into_iter().skip_while(|cut| *cut == 0).chain([stream.len()]);
    let mut in_pieces = Ok((stream.len(), None));
    for end in ends {
        match reader.take(&stream[taken..end]) {
            Ok((count, None)) => {
                assert_eq!(count, end - taken, "all of it belongs to the header until that is whole");
                taken = end;
            }
            Ok((count, client)) => {
                in_pieces = Ok((taken + count, client));
                break;
            }
            Err(error) => {
                in_pieces = Err(error);
                break;
            }
        }
        assert!(reader.held_bytes() <= 4_096, "no more is held than a header may have");
    }
    assert_eq!(in_pieces, whole, "cuts change nothing");
    match proxy_header_at_the_front(stream) {
        Some(Ok((len, client))) => assert_eq!(whole, Ok((len, Some(client)))),
        Some(Err(error)) => assert_eq!(whole, Err(error)),
        None => assert_eq!(whole, Ok((stream.len(), None))),
    }
}

/// None if it is not there whole.
fn proxy_header_at_the_front(stream: &[u8]) -> Option<Result<(usize, Client), ProxyHeaderError>> {
    let begins = |beginning: &[u8]| stream.iter().zip(beginning).all(|(byte, expected)| byte == expected);
    let signature = b"\r\n\r\n\0\r\nQUIT\n";
    if begins(b"PROXY ") {
        return match stream.iter().take(107).position(|byte| *byte == b'\n') {
            Some(at) => Some(proxy_line(&stream[..=at]).map(|client| (at + 1, client))),
            None if stream.len() >= 107 => Some(Err(ProxyHeaderError::TooLong)),
            None => None,
        };
    }
    if !begins(signature) {
        return Some(Err(ProxyHeaderError::Missing));
    }
    let len = 16 + 256 * usize::from(*stream.get(14)?) + usize::from(*stream.get(15)?);
    if len > 4_096 {
        return Some(Err(ProxyHeaderError::TooLong));
    }
    let header = stream.get(..len)?;
    let port = |at: usize| Some(u16::from(header[at]) << 8 | u16::from(header[at + 1]));
    let client = match (header[12], header[13] >> 4, header[13] & 15, len - 16) {
        (0x20, ..) => Some(Client::Itself),
        (0x21, 0, 0..3, _) => Some(Client::Itself),
        (0x21, 1, 0..3, 12..) => {
            let address: [u8; 4] = header[16..20].try_into().unwrap();
            Some(Client::At(ClientAddress::of(address.into()), port(24)))
        }
        (0x21, 2, 0..3, 36..) => {
            let address: [u8; 16] = header[16..32].try_into().unwrap();
            Some(Client::At(ClientAddress::of(address.into()), port(48)))
        }
        (0x21, 3, 0..3, 216..) => Some(Client::Itself),
        _ => None,
    };
    Some(client.map(|client| (len, client)).ok_or(ProxyHeaderError::Malformed))
}

fn proxy_line(line: &[u8]) -> Result<Client, ProxyHeaderError> {
    let malformed = ProxyHeaderError::Malformed;
    let line = line.strip_suffix(b"\r\n").ok_or(malformed)?;
    if line == b"PROXY UNKNOWN" || line.starts_with(b"PROXY UNKNOWN ") {
        return Ok(Client::Itself);
    }
    let fields: Vec<&str> = std::str::from_utf8(line).map_err(|_| malformed)?.split(' ').collect();
    let ["PROXY", family, from, to, from_port, to_port] = fields[..] else { return Err(malformed) };
    let addresses: [std::net::IpAddr; 2] = [from.parse().map_err(|_| malformed)?, to.parse().map_err(|_| malformed)?];
    let is_of_family = match family {
        "TCP4" => addresses.iter().all(|address| address.is_ipv4()),
        "TCP6" => addresses.iter().all(|address| address.is_ipv6()),
        _ => false,
    };
    let is_number = |text: &str| text == "0" || !text.starts_with('0') && text.parse::<u16>().is_ok();
    if !is_of_family || !is_number(from_port) || !is_number(to_port) {
        return Err(malformed);
    }
    Ok(Client::At(ClientAddress::of(addresses[0]), from_port.parse().ok()))
}

/// An `X-Forwarded-For` of elements whose meaning is known, in any form and in any number of lines, with anything to its left.
pub fn forwarded(data: &[u8]) {
    let mut script = Script { rest: data };
    let policy = AddressPolicy::new(vec!["10.0.0.0/8".parse().unwrap()], ProxyProtocol::Off, Vec::new());
    let proxy = Caller::of(PeerAddress::Ip("10.0.0.1:1".parse().unwrap()));
    let stranger = Caller::of(PeerAddress::Ip("11.0.0.1:1".parse().unwrap()));
    let count = usize::from(script.byte() % 40);
    let elements: Vec<(Vec<u8>, Option<ClientAddress>)> = (0..count).map(|_| element(&mut script)).collect();
    let mut lines = vec![Vec::new()];
    for (text, _) in &elements {
        let line = lines.last_mut().unwrap();
        line.extend_from_slice(script.one_of(&["", " ", "\t", ",", " , ,"]).as_bytes());
        line.extend_from_slice(text);
        if script.byte().is_multiple_of(4) {
            lines.push(Vec::new());
        } else {
            line.push(b',');
        }
    }
    let expected = client_from_the_right(&elements);
    let of = |caller: &Caller, lines: &[Vec<u8>]| policy.forwarded(caller, lines.iter().map(Vec::as_slice));
    assert_eq!(of(&proxy, &lines), expected.map_or(Forwarded::Nothing, |(client, _)| Forwarded::Believed(client)));
    let not_believed = if elements.is_empty() { Forwarded::Nothing } else { Forwarded::NotBelieved };
    assert_eq!(of(&stranger, &lines), not_believed);
    // What stands to the left of the client was written by it, and is not looked at.
    if let Some((client, true)) = expected {
        lines.insert(0, script.rest.to_vec());
        assert_eq!(of(&proxy, &lines), Forwarded::Believed(client));
    }
    let _ = of(&proxy, &[data.to_vec()]);
}

/// An element, and the address in it if there is one.
fn element(script: &mut Script<'_>) -> (Vec<u8>, Option<ClientAddress>) {
    let (a, b) = (script.byte(), script.byte());
    let v4 = std::net::Ipv4Addr::new(script.one_of(&[10, 10, 203]), 0, a, b);
    let v6 = std::net::Ipv6Addr::new(0x2001, 0xdb8, a.into(), 0, 0, 0, 0, b.into());
    let named = |text: String, address: std::net::IpAddr| (text.into_bytes(), Some(ClientAddress::of(address)));
    match script.byte() % 12 {
        0 => named(format!("{v4}"), v4.into()),
        1 => named(format!("{v4}:{a}"), v4.into()),
        2 => named(format!("\"{v4}:_x\""), v4.into()),
        3 => named(format!("::ffff:{v4}"), v4.into()),
        4 => named(format!("[::ffff:{v4}]:{b}"), v4.into()),
        5 => named(format!("{v6}"), v6.into()),
        6 => named(format!("[{v6}]"), v6.into()),
        7 => named(format!("\"[{v6}]:{a}\""), v6.into()),
        8 => named(format!("{v6}%eth{a}"), v6.into()),
        9 => (script.one_of(&["unknown", "-", "::", "0.0.0.0", "10.0.0", "1.2.3.4.5", "[::1", "::1]"]).into(), None),
        10 => (format!("{v4}:").into_bytes(), None),
        _ => {
            let mut bytes = script.bytes();
            bytes.retain(|byte| *byte != b',');
            // No address begins so.
            (["_".as_bytes(), &bytes].concat(), None)
        }
    }
}

/// The client, and whether the search has come to its end with it.
fn client_from_the_right(elements: &[(Vec<u8>, Option<ClientAddress>)]) -> Option<(Client, bool)> {
    let trusted: roomd::gate::Network = "10.0.0.0/8".parse().unwrap();
    let mut client = None;
    for (_, address) in elements.iter().rev().take(32) {
        match address {
            None => return Some((Client::Unknown, true)),
            Some(address) if trusted.contains(*address) => client = Some((Client::At(*address, None), false)),
            Some(address) => return Some((Client::At(*address, None), true)),
        }
    }
    client
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

/// The world of the simulation, with the bytes for its choices.
pub fn connection(data: &[u8]) {
    world::run(world::Choices::of_script(data));
}
