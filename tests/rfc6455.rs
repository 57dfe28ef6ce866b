//! The server's side of RFC 6455 over real sockets: the rows of docs/rfc6455.md, one test each, numbered like them.
//!
//! What can be said of bytes alone is tested beside the code; here it is what a peer sees.

mod support;

use std::time::{Duration, Instant};

use support::{Daemon, Frame, PATIENCE, Raw, handshake, masked_frame, masked_header};

const FIN: u8 = 0x80;
const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xa;

/// The proper handshake with one line changed, added or left out.
fn handshake_with(change: impl Fn(String) -> String) -> String {
    change(handshake("/"))
}

fn without(header: &str) -> String {
    let head = handshake("/");
    let kept: Vec<&str> = head.split("\r\n").filter(|line| !line.starts_with(header)).collect();
    kept.join("\r\n")
}

fn plus(lines: &str) -> String {
    handshake_with(|head| format!("{}{lines}\r\n\r\n", head.trim_end_matches("\r\n").to_owned() + "\r\n"))
}

/// The whole answer, to the end of the stream: the server must close it.
fn answer(daemon: &Daemon, request: &str) -> String {
    let mut client = daemon.connect();
    client.send(request.as_bytes());
    String::from_utf8(client.read_to_end()).expect("an answer is text")
}

/// The request is refused with that status, `Connection: close`, and the end of the stream.
#[track_caller]
fn assert_refused(daemon: &Daemon, request: &str, status: u16) -> String {
    let answer = answer(daemon, request);
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request}\n{answer}");
    assert!(answer.contains("\r\nConnection: close"), "{answer}");
    answer
}

#[track_caller]
fn assert_accepted(daemon: &Daemon, request: &str) {
    let mut client = daemon.connect();
    client.send(request.as_bytes());
    let head = client.read_head();
    assert!(head.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{request}\n{head}");
}

fn echo_daemon() -> Daemon {
    Daemon::start(&["--echo"])
}

/// Sends bytes on `/echo` and says with which code the server closes; the end of the stream must follow.
#[track_caller]
fn close_code_for(daemon: &Daemon, bytes: &[u8]) -> u16 {
    let mut client = daemon.open("/echo");
    client.send(bytes);
    let code = client.close_code();
    assert_eq!(client.next_frame(), None, "nothing follows a Close");
    code
}

#[test]
fn row_01_a_handshake_is_a_get_in_http_1_1() {
    let daemon = echo_daemon();
    let as_post = handshake("/").replacen("GET", "POST", 1);
    assert!(assert_refused(&daemon, &as_post, 405).contains("\r\nAllow: GET, HEAD, OPTIONS\r\n"));
    assert_refused(&daemon, &handshake("/").replacen("HTTP/1.1", "HTTP/1.0", 1), 400);
    assert_refused(&daemon, &handshake("/").replacen("HTTP/1.1", "HTTP/2.0", 1), 505);
    assert_refused(&daemon, "nonsense\r\n\r\n", 400);
    assert_refused(&daemon, "GET  / HTTP/1.1\r\nHost: x\r\n\r\n", 400);
    assert_accepted(&daemon, &handshake("http://roomd.test/"));
}

#[test]
fn row_02_a_request_has_just_one_host() {
    let daemon = echo_daemon();
    assert_refused(&daemon, &without("Host"), 400);
    assert_refused(&daemon, &plus("Host: roomd.test"), 400);
}

#[test]
fn row_03_upgrade_says_websocket_in_any_case() {
    let daemon = echo_daemon();
    assert_accepted(&daemon, &handshake("/").replace("Upgrade: websocket", "uPGRADE: foo, WebSocket"));
    assert_refused(&daemon, &without("Upgrade"), 400);
    assert_refused(&daemon, &handshake("/").replace("Upgrade: websocket", "Upgrade: websockets"), 400);
    let plain = assert_refused(&daemon, "GET /echo HTTP/1.1\r\nHost: x\r\n\r\n", 426);
    assert!(plain.contains("\r\nUpgrade: websocket\r\n"), "{plain}");
}

#[test]
fn row_04_connection_is_a_list_with_upgrade_in_it() {
    let daemon = echo_daemon();
    let connection = |value: &str| handshake("/").replace("Connection: Upgrade", value);
    assert_accepted(&daemon, &connection("Connection: keep-alive, Upgrade"));
    assert_accepted(&daemon, &connection("Connection: keep-alive\r\nconnection: foo,upgrade"));
    assert_refused(&daemon, &connection("Connection: keep-alive"), 400);
    assert_refused(&daemon, &without("Connection"), 400);
}

#[test]
fn row_05_the_key_is_16_bytes_in_base64() {
    let daemon = echo_daemon();
    let key = |value: &str| handshake("/").replace("dGhlIHNhbXBsZSBub25jZQ==", value);
    for bad in [
        "",
        "dGhlIHNhbXBsZSBub25j",
        "dGhlIHNhbXBsZSBub25jZXg=",
        "dGhlIHNhbXBsZSBub25jZXh4",
        "!!!!",
        "dGhlIHNhbXBsZSBub25jZQ",
    ] {
        assert_refused(&daemon, &key(bad), 400);
    }
    assert_refused(&daemon, &without("Sec-WebSocket-Key"), 400);
    // Stray bits behind the sixteenth byte: some clients encode random numbers so.
    assert_accepted(&daemon, &key("dGhlIHNhbXBsZSBub25jZf=="));
}

#[test]
fn row_06_the_version_is_13_and_others_are_told_so() {
    let daemon = echo_daemon();
    for version in ["8", "12", "14", "256", "13, 8", "", "+13", "013"] {
        let request = handshake("/").replace("Sec-WebSocket-Version: 13", &format!("Sec-WebSocket-Version: {version}"));
        let answer = assert_refused(&daemon, &request, 426);
        assert!(answer.contains("\r\nSec-WebSocket-Version: 13\r\n"), "{answer}");
    }
    let answer = assert_refused(&daemon, &without("Sec-WebSocket-Version"), 426);
    assert!(answer.contains("\r\nSec-WebSocket-Version: 13\r\n"), "{answer}");
}

#[test]
fn row_07_a_page_of_another_site_is_refused_also_on_loopback() {
    let daemon = Daemon::start(&["--origin", "https://friend.example"]);
    let from = |origin: &str| plus(&format!("Origin: {origin}"));
    assert_accepted(&daemon, &handshake("/"));
    assert_accepted(&daemon, &from("http://roomd.test"));
    assert_accepted(&daemon, &from("https://friend.example"));
    for foreign in [
        "http://evil.example",
        "https://friend.example.evil.example",
        "https://evil-friend.example",
        "http://friend.example",
        "http://roomd.test:81",
        "null",
    ] {
        assert_refused(&daemon, &from(foreign), 403);
    }
}

#[test]
fn row_08_an_unknown_resource_is_not_found() {
    let daemon = Daemon::start(&[]);
    for path in ["/nowhere", "/r/", "/r/lobby/x", "/echo", "/%2e%2e/etc/passwd", "/..", "//"] {
        assert_refused(&daemon, &handshake(path), 404);
        assert_refused(&daemon, &format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), 404);
    }
    assert_accepted(&daemon, &handshake("/r/lobby"));
}

#[test]
fn row_09_offers_of_subprotocols_and_extensions_are_declined_by_silence() {
    let daemon = echo_daemon();
    let mut client = daemon.connect();
    client.send(
        plus("Sec-WebSocket-Protocol: chat, superchat\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits")
            .as_bytes(),
    );
    let head = client.read_head();
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert!(!head.to_lowercase().contains("sec-websocket-protocol"), "{head}");
    assert!(!head.to_lowercase().contains("sec-websocket-extensions"), "{head}");
    // And as it was declined, a compressed frame is one with a reserved bit set.
    client.send(&masked_frame(FIN | 0x40 | TEXT, b"x"));
    assert_eq!(client.close_code(), 1002);
}

#[test]
fn row_10_the_101_is_just_these_bytes() {
    let daemon = Daemon::start(&["--echo"]);
    let mut client = daemon.connect();
    client.send(handshake("/echo").as_bytes());
    assert_eq!(
        client.read_head(),
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
    );
}

#[test]
fn row_11_a_malformed_extension_offer_fails_the_handshake() {
    let daemon = echo_daemon();
    for bad in [";", ",;", "a; b=\"", "a; b=\"c d\"", "a b"] {
        assert_refused(&daemon, &plus(&format!("Sec-WebSocket-Extensions: {bad}")), 400);
    }
    for good in
        ["x-unknown; a=\"b\"", "", " ", ", ,", ", a", "\r\nSec-WebSocket-Extensions: ,\r\nSec-WebSocket-Extensions: a"]
    {
        assert_accepted(&daemon, &plus(&format!("Sec-WebSocket-Extensions: {good}")));
    }
    assert_accepted(&daemon, &plus("Sec-WebSocket-Protocol: "));
}

#[test]
fn row_12_frames_behind_the_handshake_in_the_same_segment_are_read() {
    let daemon = echo_daemon();
    let mut client = daemon.connect();
    let mut bytes = handshake("/echo").into_bytes();
    bytes.extend(masked_frame(FIN | TEXT, b"early"));
    bytes.extend(&masked_frame(FIN | TEXT, b"cut")[..4]);
    client.send(&bytes);
    assert!(client.read_head().starts_with("HTTP/1.1 101 "));
    assert_eq!(client.frame().text(), "early");
    client.send(&masked_frame(FIN | TEXT, b"cut")[4..]);
    assert_eq!(client.frame().text(), "cut");
}

#[test]
fn row_13_an_unmasked_frame_closes_with_1002_and_the_server_never_masks() {
    let daemon = echo_daemon();
    assert_eq!(close_code_for(&daemon, b"\x81\x05hello"), 1002);
    assert_eq!(close_code_for(&daemon, b"\x88\x00"), 1002);
    // `parse_frame` asserts for every frame of every test that it is not masked.
    let mut client = daemon.open("/echo");
    client.send_text("x");
    assert_eq!(client.frame().text(), "x");
}

#[test]
fn row_14_a_reserved_bit_closes_with_1002_on_every_kind_of_frame() {
    let daemon = echo_daemon();
    for reserved in [0x40, 0x20, 0x10, 0x30, 0x50, 0x60, 0x70] {
        for kind in [TEXT, BINARY, PING, PONG, CLOSE] {
            assert_eq!(close_code_for(&daemon, &masked_frame(FIN | reserved | kind, b"")), 1002);
        }
        let continued = [masked_frame(TEXT, b"a"), masked_frame(FIN | reserved, b"b")].concat();
        assert_eq!(close_code_for(&daemon, &continued), 1002);
    }
}

#[test]
fn row_15_a_reserved_opcode_closes_with_1002_from_its_first_byte() {
    let daemon = echo_daemon();
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        assert_eq!(close_code_for(&daemon, &[FIN | opcode]), 1002);
    }
}

#[test]
fn row_16_lengths_are_minimal_and_their_top_bit_is_0() {
    let daemon = echo_daemon();
    assert_eq!(close_code_for(&daemon, &[0x82, 0x80 | 126, 0, 125]), 1002);
    assert_eq!(close_code_for(&daemon, &[0x82, 0x80 | 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff]), 1002);
    assert_eq!(close_code_for(&daemon, &[0x82, 0x80 | 127, 0x80]), 1002);
    for len in [0, 1, 124, 125, 126, 127, 128, 65_535, 65_536] {
        let payload = vec![b'*'; len];
        let mut client = daemon.open("/echo");
        client.send(&masked_frame(FIN | BINARY, &payload));
        assert!(client.frame() == Frame { first_byte: FIN | BINARY, payload }, "{len} bytes");
    }
}

#[test]
fn row_17_control_frames_are_short_and_whole() {
    let daemon = echo_daemon();
    for kind in [PING, PONG, CLOSE] {
        assert_eq!(close_code_for(&daemon, &masked_frame(kind, b"")), 1002);
        assert_eq!(close_code_for(&daemon, &masked_frame(FIN | kind, &[b'x'; 126])), 1002);
    }
    let mut client = daemon.open("/echo");
    client.send(&masked_frame(FIN | PING, &[b'x'; 125]));
    assert_eq!(client.frame(), Frame { first_byte: FIN | PONG, payload: vec![b'x'; 125] });
}

#[test]
fn row_18_fragments_out_of_place_close_with_1002() {
    let daemon = echo_daemon();
    assert_eq!(close_code_for(&daemon, &masked_frame(FIN, b"x")), 1002);
    assert_eq!(close_code_for(&daemon, &masked_frame(0, b"x")), 1002);
    let two_starts = [masked_frame(TEXT, b"a"), masked_frame(FIN | TEXT, b"b")].concat();
    assert_eq!(close_code_for(&daemon, &two_starts), 1002);
}

#[test]
fn row_19_control_frames_between_fragments_are_answered_at_once() {
    let daemon = echo_daemon();
    let mut client = daemon.open("/echo");
    client.send(&masked_frame(TEXT, b"frag"));
    client.send(&masked_frame(FIN | PING, b"now"));
    assert_eq!(client.frame(), Frame { first_byte: FIN | PONG, payload: b"now".to_vec() });
    client.send(&masked_frame(FIN, b"ments"));
    assert_eq!(client.frame().text(), "fragments");
}

#[test]
fn row_20_fragments_make_one_message_however_they_are_cut() {
    let daemon = echo_daemon();
    let mut client = daemon.open("/echo");
    let stream =
        [masked_frame(TEXT, "汉".as_bytes()), masked_frame(0, b""), masked_frame(FIN, "字😀".as_bytes())].concat();
    for size in [1, 2, 3, 7, stream.len()] {
        for piece in stream.chunks(size) {
            client.send(piece);
        }
        assert_eq!(client.frame().text(), "汉字😀");
    }
}

#[test]
fn row_21_the_body_of_a_close_is_checked() {
    let daemon = echo_daemon();
    let close = |body: &[u8]| masked_frame(FIN | CLOSE, body);
    assert_eq!(close_code_for(&daemon, &close(b"")), 1005);
    assert_eq!(close_code_for(&daemon, &close(b"\x03")), 1002);
    assert_eq!(close_code_for(&daemon, &close(b"\x03\xe8\xff\xfe")), 1007);
    assert_eq!(close_code_for(&daemon, &close("\u{3}".as_bytes())), 1002);
    let longest = [&1000u16.to_be_bytes()[..], &[b'r'; 123]].concat();
    assert_eq!(close_code_for(&daemon, &close(&longest)), 1000);
}

#[test]
fn row_22_close_codes_that_may_be_sent_are_echoed_and_others_are_1002() {
    let daemon = echo_daemon();
    let code = |code: u16| close_code_for(&daemon, &masked_frame(FIN | CLOSE, &code.to_be_bytes()));
    for valid in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999] {
        assert_eq!(code(valid), valid);
    }
    for invalid in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535] {
        assert_eq!(code(invalid), 1002, "{invalid}");
    }
}

#[test]
fn row_23_a_close_is_answered_once_and_nothing_follows_it() {
    let daemon = echo_daemon();
    let mut client = daemon.open("/echo");
    let mut bytes = masked_frame(FIN | CLOSE, &1000u16.to_be_bytes());
    bytes.extend(masked_frame(FIN | PING, b"too late"));
    bytes.extend(masked_frame(FIN | TEXT, b"too late"));
    bytes.extend(masked_frame(FIN | CLOSE, &1001u16.to_be_bytes()));
    client.send(&bytes);
    assert_eq!(client.frame().close_code(), 1000);
    assert_eq!(client.next_frame(), None);
}

#[test]
fn row_24_the_server_ends_its_stream_first_and_does_not_reset() {
    let daemon = echo_daemon();
    let mut client = daemon.open("/echo");
    client.send_close(1000);
    assert_eq!(client.frame().close_code(), 1000);
    // `next_frame` takes a reset for an end, so the stream is read by hand.
    let mut rest = Vec::new();
    let end = std::io::Read::read_to_end(&mut client.stream, &mut rest);
    assert_eq!(end.ok(), Some(0), "an orderly end while our half is still open");
}

#[test]
fn row_25_bytes_behind_a_fault_are_never_parsed() {
    let mut daemon = Daemon::start(&[]);
    let mut witness = daemon.open("/");
    let mut faulty = daemon.open("/");
    let mut bytes = masked_frame(FIN | TEXT, b"before the fault");
    bytes.extend([FIN | 0x3]);
    bytes.extend(masked_frame(FIN | TEXT, b"behind the fault"));
    faulty.send(&bytes);
    assert_eq!(faulty.close_code(), 1002);
    daemon.wait_for_log("opcode 3 is reserved");
    witness.send_text("last");
    assert_eq!(witness.message(), "before the fault");
    assert_eq!(witness.message(), "last");
}

#[test]
fn row_26_every_ping_gets_its_pong_with_the_same_payload() {
    let daemon = echo_daemon();
    let mut client = daemon.open("/echo");
    let pings: Vec<u8> = (0..10).flat_map(|nth| masked_frame(FIN | PING, format!("ping {nth}").as_bytes())).collect();
    client.send(&pings);
    for nth in 0..10 {
        assert_eq!(client.frame(), Frame { first_byte: FIN | PONG, payload: format!("ping {nth}").into() });
    }
}

#[test]
fn row_27_a_pong_nobody_asked_for_is_ignored() {
    let daemon = echo_daemon();
    let mut client = daemon.open("/echo");
    client.send(&masked_frame(FIN | PONG, b"unasked"));
    client.send(&masked_frame(FIN | PING, b"p"));
    assert_eq!(client.frame(), Frame { first_byte: FIN | PONG, payload: b"p".to_vec() });
}

#[test]
fn row_28_text_that_is_not_utf8_fails_at_its_first_impossible_byte() {
    let daemon = echo_daemon();
    assert_eq!(close_code_for(&daemon, &masked_frame(FIN | TEXT, b"\xce\xba\xff")), 1007);
    // Inside a frame whose rest never comes, and across fragments: U+110000 is known at its second byte.
    let whole = masked_frame(FIN | TEXT, b"\xce\xba\xe1\xbd\xb9\xf4\x90\x80\x80edited");
    assert_eq!(close_code_for(&daemon, &whole[..6 + 7]), 1007);
    let fragments = [masked_frame(TEXT, b"\xce\xba\xf4"), masked_frame(0, b"\x90")].concat();
    assert_eq!(close_code_for(&daemon, &fragments), 1007);
    let unfinished = masked_frame(FIN | TEXT, b"\xf0\x9f\x98");
    assert_eq!(close_code_for(&daemon, &unfinished), 1007);
}

#[test]
fn row_29_close_codes_name_their_cause() {
    let mut daemon = Daemon::start(&["--max-message", "10", "--echo"]);
    assert_eq!(close_code_for(&daemon, &masked_header(FIN | TEXT, 11, [0; 4])), 1009);
    let mut member = daemon.open("/");
    member.event("welcome");
    member.send(&masked_frame(FIN | BINARY, b"\x00"));
    assert_eq!(member.event("error")["code"], "binary-not-accepted");
    daemon.signal("TERM");
    assert_eq!(member.frame().close_code(), 1001);
    member.send_close(1001);
    assert!(daemon.wait().success());
}

#[test]
fn row_30_messages_are_limited_in_size_in_fragments_and_in_time() {
    let daemon =
        Daemon::start(&["--echo", "--max-message", "100", "--max-fragments", "3", "--message-timeout", "50ms"]);
    let fragments = |sizes: &[usize]| -> Vec<u8> {
        let frames = sizes.iter().enumerate();
        frames.flat_map(|(nth, &size)| masked_frame(if nth == 0 { TEXT } else { 0 }, &vec![b'x'; size])).collect()
    };
    assert_eq!(close_code_for(&daemon, &masked_header(FIN | TEXT, 101, [0; 4])), 1009);
    assert_eq!(close_code_for(&daemon, &fragments(&[60, 41])), 1009);
    assert_eq!(close_code_for(&daemon, &fragments(&[1, 1, 1, 1])), 1009);
    let mut client = daemon.open("/echo");
    client.send(&fragments(&[1]));
    assert_eq!(client.close_code(), 1008, "a message that is never finished");
}

#[test]
fn row_31_payloads_are_unmasked_with_their_frame_s_key() {
    let daemon = echo_daemon();
    let mut client = daemon.open("/echo");
    for key in [[0; 4], [0xff; 4], [1, 2, 3, 4]] {
        let mut frame = masked_header(FIN | TEXT, 7, key);
        frame.extend(b"payload".iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
        let (one, two) = frame.split_at(9);
        client.send(one);
        client.send(two);
        assert_eq!(client.frame().text(), "payload");
    }
}

#[test]
fn row_32_a_peer_that_vanishes_is_counted_as_such_and_told_nothing() {
    let mut daemon = Daemon::start(&[]);
    let mut client = daemon.open("/");
    client.event("welcome");
    client.finish_sending();
    assert_eq!(client.next_frame(), None, "no Close to somebody who said none");
    daemon.wait_for_log("its stream ended without a goodbye");
}

#[test]
fn row_33_the_page_waits_longer_each_time_and_by_chance() {
    // Driven in a browser by tests/page/; here only that the page served is one that does.
    let daemon = Daemon::start(&[]);
    let script = answer(&daemon, "GET /link.js HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert!(script.contains("Math.random()"), "waits are jittered");
}

#[test]
fn row_34_invalid_data_gets_a_status_before_the_upgrade_and_a_close_code_after() {
    let daemon = echo_daemon();
    assert_refused(&daemon, "\u{16}\u{3}\u{1} a TLS hello", 400);
    assert_refused(&daemon, "GET / HTTP/1.1\r\nHost: x\r\nbad header\r\n\r\n", 400);
    assert_eq!(close_code_for(&daemon, &[0xff, 0xff, 0xff]), 1002);
}

#[test]
fn row_35_tls_is_left_to_a_proxy_and_said_so() {
    let daemon = echo_daemon();
    let answer = assert_refused(&daemon, "\u{16}\u{3}\u{1}", 400);
    assert!(answer.contains("speaks plain http:// and ws://"), "{answer}");
}

#[test]
fn row_36_key_and_version_stand_only_once() {
    let daemon = echo_daemon();
    assert_refused(&daemon, &plus("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="), 400);
    assert_refused(&daemon, &plus("Sec-WebSocket-Version: 13"), 400);
}

#[test]
fn row_37_extension_and_subprotocol_offers_may_stand_on_several_lines() {
    let daemon = echo_daemon();
    assert_accepted(
        &daemon,
        &plus(
            "Sec-WebSocket-Extensions: a\r\nSec-WebSocket-Extensions: b; c=1\r\nSec-WebSocket-Protocol: d\r\nSec-WebSocket-Protocol: e",
        ),
    );
    assert_refused(&daemon, &plus("Sec-WebSocket-Extensions: a\r\nSec-WebSocket-Extensions: b;"), 400);
}

/// A handshake and a message from a client of somebody else's making.
#[test]
fn an_independent_client_shakes_hands_talks_and_says_goodbye() {
    let daemon = Daemon::start(&[]);
    let stream = std::net::TcpStream::connect(&daemon.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let (mut socket, response) = tungstenite::client(format!("ws://{}/", daemon.address), stream).unwrap();
    assert_eq!(response.status(), 101);
    let welcome: serde_json::Value = serde_json::from_str(&socket.read().unwrap().into_text().unwrap()).unwrap();
    assert_eq!((&welcome["type"], &welcome["name"]), (&"welcome".into(), &"Tourist 1".into()));
    for text in ["x", "汉字汉字汉字汉字汉字汉字汉", "😀", &"long ".repeat(13_000)] {
        socket.send(tungstenite::Message::text(text)).unwrap();
        let event: serde_json::Value = serde_json::from_str(&socket.read().unwrap().into_text().unwrap()).unwrap();
        assert_eq!(event["mess"], text);
    }
    socket.close(None).unwrap();
    let end = loop {
        match socket.read() {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(matches!(end, tungstenite::Error::ConnectionClosed), "{end}");
}

/// Whatever is refused, the server must not be waiting for more: an answer within the patience of a person.
#[test]
fn a_refusal_comes_at_once() {
    let daemon = Daemon::start(&[]);
    let start = Instant::now();
    for request in ["\u{0}", "GET /\u{1}", "BREW /pot HTTP/1.1\r\nHost: x\r\n\r\n"] {
        let mut client = Raw::connect(&daemon.address);
        client.send(request.as_bytes());
        assert!(client.read_head().starts_with("HTTP/1.1 4"), "{request:?}");
    }
    assert!(start.elapsed() < Duration::from_secs(5), "nothing of this waits for a timeout of 10 s");
}
