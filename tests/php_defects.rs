//! The chat server that roomd was written instead of, alive: every defect of it, shown beside roomd.
//!
//! `tests/php/chat.php` has the structure and the mistakes of a tutorial of 2016. Each of its defects has a number and,
//! below, its bytes: one function that sends them to either server. Two tests follow it. `dNN_php_..` holds the PHP
//! program to what it does wrong, so that the defect is a fact and no rumour; `dNN_roomd_..` holds roomd to what it
//! does instead, and needs no PHP.
//!
//! The PHP program takes a read for a frame, so it must have dealt with one thing before it is sent the next: its own
//! log says when. What roomd does must not depend on it, and it is not waited for.
//!
//! One row is not here, because no bytes to a server can show it:
//!
//! - d19, the tutorial's page passes what it is sent to `eval` and `innerHTML`. Both servers pass `<img onerror=..>` on
//!   as it was said, and that is right; the fault is in the page, which is not kept. That roomd's page runs none of it
//!   is tested in a browser: `what_people_write_is_shown_as_they_wrote_it_and_never_runs` and
//!   `a_hostile_server_cannot_make_the_page_run_anything_through_any_field` in `tests/page/hostile.rs`.

mod support;

use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use rlimit::Resource;
use serde_json::Value;

use support::{Daemon, Frame, PATIENCE, Raw, handshake, masked_frame, masked_header};

/// What the PHP program calls everybody, with a number behind it. The lengths below count on its 30 bytes.
const PHP_NAME: &str = "Visitor of the socket number #";

/// What the key of [`handshake`] must be answered with (RFC 6455, section 1.3).
const ACCEPT: &str = "\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";

/// How long a server is listened to that is to say nothing. A server that does speak takes far less.
const SILENCE: Duration = Duration::from_millis(500);

/// Messages only: then roomd says no more than the PHP program could.
const QUIET: &str = "/?quiet=1";

/// One of the two that are sent the same bytes. Killed when dropped, also by a panic.
struct Server {
    daemon: Daemon,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Php,
    Roomd,
}

impl Server {
    fn php() -> Server {
        let mut command = Command::new("php");
        // No php.ini: its own defaults, and its complaints on standard error. And should nobody be left to end it, a
        // loop that spins ends by itself after a minute of CPU time.
        let settings = ["extension=sockets", "display_errors=0", "log_errors=1", "max_execution_time=60"];
        command.arg("-n").args(settings.iter().flat_map(|setting| ["-d", setting]));
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/php/chat.php"));
        Server { daemon: Daemon::spawn(command), kind: Kind::Php }
    }

    fn roomd(flags: &[&str]) -> Server {
        Server { daemon: Daemon::start(flags), kind: Kind::Roomd }
    }

    /// Waits until the PHP program has said so.
    fn until(&mut self, line: &str) {
        if self.kind == Kind::Php {
            self.daemon.wait_for_log(line);
        }
    }

    /// A connection that has been accepted and has said nothing.
    fn connect(&mut self) -> Raw {
        let raw = self.daemon.connect();
        self.until("accepted");
        raw
    }

    /// A quiet member of the room.
    fn open(&mut self) -> Raw {
        self.open_at(QUIET)
    }

    fn open_at(&mut self, path: &str) -> Raw {
        let raw = self.connect();
        self.shake_hands(raw, path)
    }

    fn shake_hands(&mut self, mut raw: Raw, path: &str) -> Raw {
        raw.send(handshake(path).as_bytes());
        let answer = raw.read_head();
        assert!(answer.starts_with("HTTP/1.1 101 ") && answer.contains(ACCEPT), "{answer}");
        self.until("shook hands");
        raw
    }

    /// Sends what the PHP program takes for a frame, and waits until it has told everybody what it made of it.
    fn say(&mut self, raw: &mut Raw, bytes: &[u8]) {
        raw.send(bytes);
        self.until("told everybody");
    }

    fn limit_descriptors(&self, soft: u64) -> u64 {
        let pid = self.daemon.pid() as libc::pid_t;
        let (mut before, mut hard) = (0, 0);
        rlimit::prlimit(pid, Resource::NOFILE, None, Some((&mut before, &mut hard))).unwrap();
        rlimit::prlimit(pid, Resource::NOFILE, Some((soft.min(hard), hard)), None).unwrap();
        before
    }

    fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.daemon.pid())).expect("the server runs").count()
    }
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "this never comes true: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn text(text: &str) -> Vec<u8> {
    masked_frame(0x81, text.as_bytes())
}

fn text_under_key(text: &str, key: [u8; 4]) -> Vec<u8> {
    let mut bytes = masked_header(0x81, text.len() as u64, key);
    bytes.extend(text.bytes().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    bytes
}

/// An event of the PHP program: a name and, if it understood anything, a text.
fn mess_of(event: &Value) -> Option<&str> {
    assert!(event["name"].as_str().is_some_and(|name| name.starts_with(PHP_NAME)), "{event}");
    event.get("mess").map(|mess| mess.as_str().expect("a text"))
}

/// The next event of the PHP program, if its length is one that it can write.
fn php_event(raw: &mut Raw) -> Value {
    raw.frame().json()
}

const EMPTY_FRAME: [u8; 2] = [0x81, 0x00];

// d01, d02: what was said is looked up under the connection that was accepted last, and not under its own.

fn talk_while_another_connects(server: &mut Server) -> (Raw, Raw) {
    let mut talker = server.open();
    let newcomer = server.connect();
    talker.send_text("first");
    server.until("shook hands");
    server.say(&mut talker, &text("second"));
    (talker, newcomer)
}

#[test]
#[ignore = "needs PHP: tests/run installs it and runs this"]
fn d01_php_answers_a_message_with_a_second_101_while_another_connects() {
    let mut server = Server::php();
    let (mut talker, _newcomer) = talk_while_another_connects(&mut server);
    let answer = talker.read_head();
    assert!(answer.starts_with("HTTP/1.1 101 ") && !answer.contains(ACCEPT), "{answer}");
}

#[test]
fn d01_roomd_knows_who_has_shaken_hands_while_another_connects() {
    let mut server = Server::roomd(&[]);
    let (mut talker, _newcomer) = talk_while_another_connects(&mut server);
    assert_eq!([talker.message(), talker.message()], ["first", "second"]);
}

#[test]
#[ignore = "needs PHP: tests/run installs it and runs this"]
fn d02_php_sends_the_room_s_talk_to_one_who_never_shook_hands() {
    let mut server = Server::php();
    let (_talker, mut newcomer) = talk_while_another_connects(&mut server);
    assert_eq!(mess_of(&php_event(&mut newcomer)), Some("second"));
}

#[test]
fn d02_roomd_sends_nothing_before_the_handshake() {
    let mut server = Server::roomd(&[]);
    let (mut talker, newcomer) = talk_while_another_connects(&mut server);
    assert_eq!([talker.message(), talker.message()], ["first", "second"]);
    // The first that it is ever sent is the answer to its handshake, and the next what is said from then on.
    let mut newcomer = server.shake_hands(newcomer, QUIET);
    talker.send_text("third");
    assert_eq!(newcomer.message(), "third");
}

// d03: the end of a stream is 0 bytes, which are passed over as too few; and they are there to be read for ever.

fn leave_without_a_word(server: &mut Server) -> Raw {
    let mut leaver = server.open();
    leaver.finish_sending();
    leaver
}

#[test]
#[ignore = "needs PHP: tests/run installs it and runs this"]
fn d03_php_spins_when_one_has_left_and_never_closes() {
    let mut server = Server::php();
    let leaver = leave_without_a_word(&mut server);
    let before = server.daemon.cpu_ticks();
    wait_until("a third of a second of CPU time is gone", || server.daemon.cpu_ticks() > before + 33);
    assert!(!leaver.has_something_to_read(Duration::from_millis(1)), "not even the end of the stream");
}

#[test]
fn d03_roomd_closes_when_one_has_left_and_rests() {
    let mut server = Server::roomd(&[]);
    let mut leaver = leave_without_a_word(&mut server);
    assert_eq!(leaver.next_frame(), None);
    let before = server.daemon.cpu_ticks();
    std::thread::sleep(SILENCE);
    let used = server.daemon.cpu_ticks() - before;
    assert!(used <= 3, "{used} ticks of CPU time in half a second in which nothing happened");
}

// d04: a frame without a payload has 6 bytes, and what is below 7 is passed over.

fn send_frames_of_six_bytes(server: &mut Server) -> Raw {
    let mut client = server.open();
    for first_byte in [0x81, 0x89, 0x88] {
        client.send(&masked_frame(first_byte, b""));
        server.until("passed over 6 bytes");
    }
    client
}

#[test]
#[ignore = "needs PHP: tests/run installs it and runs this"]
fn d04_php_ignores_a_ping_and_a_close_without_a_payload() {
    let mut server = Server::php();
    let mut client = send_frames_of_six_bytes(&mut server);
    server.say(&mut client, &text("still here"));
    assert_eq!(mess_of(&php_event(&mut client)), Some("still here"), "the first that it is ever sent");
}

#[test]
fn d04_roomd_answers_a_ping_and_a_close_without_a_payload() {
    let mut server = Server::roomd(&[]);
    let mut client = send_frames_of_six_bytes(&mut server);
    let empty = |first_byte| Some(Frame { first_byte, payload: Vec::new() });
    assert_eq!([client.next_frame(), client.next_frame(), client.next_frame()], [empty(0x8a), empty(0x88), None]);
}

// d05: a read is taken for one frame, also when it holds two.

fn send_two_frames_at_once(server: &mut Server) -> Raw {
    let mut client = server.open();
    // Under this key the second frame's header becomes characters that JSON can carry; under most it becomes no text.
    let key = [0x80; 4];
    server.say(&mut client, &[text_under_key("one", key), text_under_key("two", key)].concat());
    client
}

#[test]
#[ignore = "needs PHP: tests/run installs it and runs this"]
fn d05_php_takes_two_frames_in_one_read_for_one_text_with_a_header_inside() {
    let mut server = Server::php();
    let mut client = send_two_frames_at_once(&mut server);
    assert_eq!(mess_of(&php_event(&mut client)), Some("one\u{1}\u{3}\0\0\0\0two"));
    assert_eq!(client.arrived(), b"");
}

#[test]
fn d05_roomd_takes_two_frames_in_one_read_for_two_messages() {
    let mut server = Server::roomd(&[]);
    let mut client = send_two_frames_at_once(&mut server);
    assert_eq!([client.message(), client.message()], ["one", "two"]);
}

// d06: a read is taken for one frame, also when it holds half of one.

fn send_a_frame_in_two_halves(server: &mut Server) -> Raw {
    let mut client = server.open();
    let frame = text("hello everybody");
    let (one, other) = frame.split_at(8);
    server.say(&mut client, one);
    server.say(&mut client, other);
    client
}

#[test]
#[ignore = "needs PHP: tests/run installs it and runs this"]
fn d06_php_makes_of_a_frame_in_two_reads_half_a_message_and_a_name_without_one() {
    let mut server = Server::php();
    let mut client = send_a_frame_in_two_halves(&mut server);
    assert_eq!(mess_of(&php_event(&mut client)), Some("he"));
    assert_eq!(mess_of(&php_event(&mut client)), None);
}

#[test]
fn d06_roomd_puts_a_frame_in_two_reads_together() {
    let mut server = Server::roomd(&[]);
    let mut client = send_a_frame_in_two_halves(&mut server);
    assert_eq!(client.message(), "hello everybody");
}

// d07: the length is written into one byte, whatever it is. The JSON around a text has 52 bytes, and PHP writes a
// Chinese character in six: 13 of them make 130, which as a byte is the mask bit and a length of 2.

const TEXTS_TOO_LONG_FOR_ONE_BYTE: [(&str, [u8; 2], usize); 3] = [
    ("汉汉汉汉汉汉汉汉汉汉汉汉汉", [0x81, 0x82], 130),
    // "64 bits of length follow."
    ("012345678901234567890123456789012345678901234567890123456789012345678901234", [0x81, 0x7f], 127),
    ("01234567890123456789012345678901234567890123456789012345678901234567890123456789", [0x81, 0x84], 132),
];

fn send_texts_that_need_more_than_a_byte_of_length(server: &mut Server) -> Raw {
    let mut client = server.open();
    for (long, ..) in TEXTS_TOO_LONG_FOR_ONE_BYTE {
        server.say(&mut client, &text(long));
    }
    client
}

#[test]
#[ignore = "needs PHP: tests/run installs it and runs this"]
fn d07_php_writes_the_length_of_thirteen_chinese_characters_as_a_mask_bit() {
    let mut server = Server::php();
    let mut client = send_texts_that_need_more_than_a_byte_of_length(&mut server);
    for (long, header, len) in TEXTS_TOO_LONG_FOR_ONE_BYTE {
        assert_eq!(client.read_bytes(2), header, "{long}");
        let event = serde_json::from_slice(&client.read_bytes(len)).expect("the JSON itself is whole");
        assert_eq!(mess_of(&event), Some(long));
    }
}

#[test]
fn d07_roomd_writes_every_length_in_the_bytes_it_needs() {
    let mut server = Server::roomd(&[]);
    let mut client = send_texts_that_need_more_than_a_byte_of_length(&mut server);
    for (long, ..) in TEXTS_TOO_LONG_FOR_ONE_BYTE {
        assert_eq!(client.message(), long);
    }
}

// d08: from 126 bytes on the length takes more bytes, and the mask stands further back than where it is read.

fn send_a_text_of_126_bytes(server: &mut Server) -> Raw {
    let mut client = server.open();
    // With the top bit in the third byte of the key what comes out begins with no character. Half of all keys have it.
    server.say(&mut client, &text_under_key(&"a".repeat(126), [0x37, 0xfa, 0xa1, 0x3d]));
    client
}

#[test]
#[ignore = "needs PHP: tests/run installs it and runs this"]
fn d08_php_reads_the_mask_of_126_bytes_in_the_wrong_place_and_sends_an_empty_frame() {
    let mut server = Server::php();
    let mut client = send_a_text_of_126_bytes(&mut server);
    assert_eq!(client.read_bytes(2), EMPTY_FRAME);
    assert_eq!(client.arrived(), b"");
}

#[test]
fn d08_roomd_reads_the_mask_behind_a_length_of_16_bits() {
    let mut server = Server::roomd(&[]);
    let mut client = send_a_text_of_126_bytes(&mut server);
    assert_eq!(client.message(), "a".repeat(126));
}

// d09: what is behind the first 125 bytes is thrown away, also in the middle of a character. d08 mostly hides it. Under
// a key that ends in 0 and the length's second byte, the wrong mask is the right one, and just two zeros get in front.

fn send_texts_past_the_cut(server: &mut Server) -> Raw {
    let mut client = server.open();
    server.say(&mut client, &text_under_key(&"0123456789".repeat(13), [0x37, 0xfa, 0, 130]));
    server.say(&mut client, &text_under_key(&format!("a{}", "汉".repeat(42)), [0x37, 0xfa, 0, 127]));
    client
}

#[test]
#[ignore = "needs PHP: tests/run installs it and runs this"]
fn d09_php_drops_what_is_behind_125_bytes_and_all_if_that_is_inside_a_character() {
    let mut server = Server::php();
    let mut client = send_texts_past_the_cut(&mut server);
    // 52 bytes around it, each zero as `\u0000`, and 123 of the 130 bytes. The header is d07's.
    assert_eq!(client.read_bytes(2), [0x81, 52 + 12 + 123]);
    let event = serde_json::from_slice(&client.read_bytes(52 + 12 + 123)).expect("JSON");
    assert_eq!(mess_of(&event), Some(&*format!("\0\0{}", &"0123456789".repeat(13)[..123])));
    assert_eq!(client.read_bytes(2), EMPTY_FRAME, "for the second text");
    assert_eq!(client.arrived(), b"");
}

#[test]
fn d09_roomd_relays_a_long_text_whole() {
    let mut server = Server::roomd(&[]);
    let mut client = send_texts_past_the_cut(&mut server);
    assert_eq!(client.message(), "0123456789".repeat(13));
    assert_eq!(client.message(), format!("a{}", "汉".repeat(42)));
}

// d10: of the kinds of frames only text is known; and what is not known is told to everybody, without a text.

fn send_a_ping_and_a_binary_message(server: &mut Server) -> (Raw, Raw) {
    let (mut client, listener) = (server.open(), server.open());
    server.say(&mut client, &masked_frame(0x89, b"are you there?"));
    server.say(&mut client, &masked_frame(0x82, b"\x01\x02\x03\x04"));
    server.say(&mut client, &text("afterwards"));
    (client, listener)
}

#[test]
#[ignore = "needs PHP: tests/run installs it and runs this"]
fn d10_php_tells_everybody_of_a_ping_and_has_no_pong() {
    let mut server = Server::php();
    let (mut client, mut listener) = send_a_ping_and_a_binary_message(&mut server);
    for raw in [&mut client, &mut listener] {
        let events = [php_event(raw), php_event(raw), php_event(raw)];
        assert_eq!(events.each_ref().map(mess_of), [None, None, Some("afterwards")]);
    }
}

#[test]
fn d10_roomd_answers_a_ping_with_a_pong_and_tells_nobody() {
    let mut server = Server::roomd(&[]);
    let (mut client, mut listener) = send_a_ping_and_a_binary_message(&mut server);
    assert_eq!(client.frame(), Frame { first_byte: 0x8a, payload: b"are you there?".to_vec() });
    assert_eq!(client.frame().json()["code"], "binary-not-accepted");
    assert_eq!(client.frame().json()["mess"], "afterwards");
    assert_eq!(listener.frame().json()["mess"], "afterwards");
}

// d11: a Close is one more kind of frame that is not known.

fn send_a_close(server: &mut Server) -> (Raw, Raw) {
    let (mut leaver, listener) = (server.open(), server.open());
    server.say(&mut leaver, &masked_frame(0x88, &1000_u16.to_be_bytes()));
    (leaver, listener)
}

#[test]
#[ignore = "needs PHP: tests/run installs it and runs this"]
fn d11_php_tells_everybody_of_a_close_and_neither_answers_nor_closes() {
    let mut server = Server::php();
    let (mut leaver, mut listener) = send_a_close(&mut server);
    assert_eq!(mess_of(&php_event(&mut listener)), None);
    assert_eq!(mess_of(&php_event(&mut leaver)), None, "in the place of the answering Close");
    server.say(&mut leaver, &text("still here"));
    assert_eq!(mess_of(&php_event(&mut leaver)), Some("still here"));
}

#[test]
fn d11_roomd_answers_a_close_and_closes() {
    let mut server = Server::roomd(&[]);
    let (mut leaver, mut listener) = send_a_close(&mut server);
    assert_eq!(leaver.frame().close_code(), 1000);
    assert_eq!(leaver.next_frame(), None);
    listener.send_text("alone");
    assert_eq!(listener.frame().json()["mess"], "alone");
}

// d12: a header that is not found is a position like any other.

fn send_requests_that_are_no_handshake(server: &mut Server) -> Vec<String> {
    let plain = "GET / HTTP/1.1\r\nHost: roomd.test\r\n\r\n";
    let posted = "POST / HTTP/1.1\r\nHost: roomd.test\r\nContent-Length: 0\r\n\r\n";
    let without_key = handshake("/").replace("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", "");
    let mut answers = Vec::new();
    for request in [plain, posted, &without_key] {
        let mut client = server.connect();
        client.send(request.as_bytes());
        answers.push(client.read_head().lines().next().unwrap_or_default().to_owned());
        server.until("shook hands");
    }
    answers
}

#[test]
#[ignore = "needs PHP: tests/run installs it and runs this"]
fn d12_php_answers_a_plain_request_with_101() {
    let mut server = Server::php();
    let answers = send_requests_that_are_no_handshake(&mut server);
    assert_eq!(answers, ["HTTP/1.1 101 Switching Protocols"; 3]);
}

#[test]
fn d12_roomd_answers_a_plain_request_with_the_page_and_a_bad_one_with_the_reason() {
    let mut server = Server::roomd(&[]);
    let answers = send_requests_that_are_no_handshake(&mut server);
    assert_eq!(answers, ["HTTP/1.1 200 OK", "HTTP/1.1 405 Method Not Allowed", "HTTP/1.1 400 Bad Request"]);
}

// d13: the key is looked for in one read, and in one way of writing its header.

fn send_a_head_in_lower_case_and_one_in_two_halves(server: &mut Server) -> [String; 2] {
    let mut lower = server.connect();
    lower.send(handshake("/").replace("Sec-WebSocket-Key:", "sec-websocket-key:").as_bytes());
    let answer_to_lower = lower.read_head();
    server.until("shook hands");

    let mut split = server.connect();
    let head = handshake("/");
    let (one, other) = head.split_at(head.find("-Key:").unwrap());
    split.send(one.as_bytes());
    server.until("shook hands");
    split.send(other.as_bytes());
    [answer_to_lower, split.read_head()]
}

#[test]
#[ignore = "needs PHP: tests/run installs it and runs this"]
fn d13_php_answers_a_key_in_lower_case_or_in_the_second_read_with_a_wrong_one() {
    let mut server = Server::php();
    for answer in send_a_head_in_lower_case_and_one_in_two_halves(&mut server) {
        assert!(answer.starts_with("HTTP/1.1 101 ") && !answer.contains(ACCEPT), "{answer}");
    }
}

#[test]
fn d13_roomd_reads_a_head_in_any_case_and_to_its_end() {
    let mut server = Server::roomd(&[]);
    for answer in send_a_head_in_lower_case_and_one_in_two_halves(&mut server) {
        assert!(answer.starts_with("HTTP/1.1 101 ") && answer.contains(ACCEPT), "{answer}");
    }
}

// d14: a write waits until there is room.

/// Longer in JSON than anything else of so many bytes: each character is written in six.
const LONG_IN_JSON: [u8; 125] = [1; 125];

/// One that reads nothing from now on, with a receive buffer as small as the kernel allows, and one that talks.
fn stall_and_talk(server: &mut Server) -> (Raw, Raw) {
    let address: SocketAddr = server.daemon.address.parse().unwrap();
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    socket.connect(&address.into()).unwrap();
    server.until("accepted");
    let stalled = server.shake_hands(Raw::over(socket.into()), QUIET);
    (stalled, server.open())
}

#[test]
#[ignore = "needs PHP: tests/run installs it and runs this"]
fn d14_php_stands_still_for_everybody_when_one_does_not_read() {
    let mut server = Server::php();
    let (mut stalled, mut talker) = stall_and_talk(&mut server);
    let mut lines = 0;
    loop {
        talker.send(&masked_frame(0x81, &LONG_IN_JSON));
        lines += 1;
        if !talker.has_something_to_read(SILENCE) && stands_still(&server) {
            break;
        }
        talker.read_bytes(2 + 52 + 6 * LONG_IN_JSON.len());
        assert!(lines < 100_000, "85 megabytes are in nobody's buffer");
    }
    assert!(!talker.has_something_to_read(Duration::from_millis(1)), "who spoke does not hear it");
    let mut newcomer = server.daemon.connect();
    newcomer.send(handshake(QUIET).as_bytes());
    assert!(!newcomer.has_something_to_read(SILENCE), "nor is anybody let in");

    // It is that one reader that everybody was waiting for.
    socket2::SockRef::from(&stalled.stream).set_recv_buffer_size(1 << 20).unwrap();
    std::thread::spawn(move || stalled.read_to_end());
    assert!(talker.has_something_to_read(PATIENCE));
    assert!(newcomer.has_something_to_read(PATIENCE));
}

/// Whether a server sleeps although it was told something that it has told nobody: so it does not sleep in its select.
fn stands_still(server: &Server) -> bool {
    (0..20).all(|_| {
        std::thread::sleep(Duration::from_millis(5));
        server.daemon.state() == "S"
    })
}

#[test]
fn d14_roomd_drops_one_that_does_not_read_and_goes_on() {
    let mut server = Server::roomd(&["--no-rate-limit", "--max-queue", "100000", "--close-timeout", "100ms"]);
    let (_stalled, mut talker) = stall_and_talk(&mut server);
    let said = String::from_utf8(LONG_IN_JSON.to_vec()).unwrap();
    // Eight megabytes in JSON: more than a kernel holds for one connection.
    for _ in 0..10_000 {
        talker.send(&masked_frame(0x81, &LONG_IN_JSON));
        assert_eq!(talker.message(), said);
    }
    server.open();
    server.daemon.wait_for_log("too slow a reader");
}

// d15: nobody has been accepted when the answer is `false`, and `false` is not below 0.

fn connect_when_there_are_no_descriptors(server: &mut Server) -> (Raw, Raw, u64) {
    let member = server.open();
    // Those that are open stay open; there will be no other, whatever numbers are free.
    let before = server.limit_descriptors(1);
    (member, server.daemon.connect(), before)
}

#[test]
#[ignore = "needs PHP: tests/run installs it and runs this"]
fn d15_php_takes_a_failed_accept_for_a_connection_and_dies_of_it() {
    let mut server = Server::php();
    let (_member, _waiting, _) = connect_when_there_are_no_descriptors(&mut server);
    server.until("accepted, 2 so far");
    assert!(!server.daemon.wait().success());
    let log = server.daemon.rest_of_log().join("\n");
    assert!(log.contains("must only have elements of type Socket") && !log.contains("nobody was accepted"), "{log}");
}

#[test]
fn d15_roomd_waits_until_there_is_a_descriptor_and_serves_the_others_meanwhile() {
    let mut server = Server::roomd(&[]);
    let (mut member, waiting, before) = connect_when_there_are_no_descriptors(&mut server);
    server.daemon.wait_for_log("cannot accept more than 1 connections for now");
    member.send_text("served all the same");
    assert_eq!(member.message(), "served all the same");
    server.limit_descriptors(before);
    drop(member);
    server.shake_hands(waiting, QUIET);
}

// d16: that a frame is masked, whole, without reserved bits and UTF-8 is never looked at.

struct Offenders {
    unmasked: Raw,
    fragmenting: Raw,
    reserved: Raw,
    not_utf8: Raw,
    listener: Raw,
}

fn break_the_rules_of_frames(server: &mut Server) -> Offenders {
    let [mut unmasked, mut fragmenting, mut reserved, mut not_utf8, listener] = std::array::from_fn(|_| server.open());
    server.say(&mut unmasked, b"\x81\x0bhello there");
    server.say(&mut fragmenting, &masked_frame(0x01, b"frag"));
    server.say(&mut fragmenting, &masked_frame(0x80, b"ment"));
    server.say(&mut reserved, &masked_frame(0xc1, b"compressed"));
    server.say(&mut not_utf8, &masked_frame(0x81, b"\xff\xff"));
    Offenders { unmasked, fragmenting, reserved, not_utf8, listener }
}

#[test]
#[ignore = "needs PHP: tests/run installs it and runs this"]
fn d16_php_relays_noise_for_an_unmasked_frame_and_half_of_a_fragmented_message() {
    let mut server = Server::php();
    let mut listener = break_the_rules_of_frames(&mut server).listener;
    // Its own text is its mask: "hell" over "o there".
    assert_eq!(mess_of(&php_event(&mut listener)), Some("\u{7}E\u{18}\u{4}\r\u{17}\t"));
    assert_eq!(mess_of(&php_event(&mut listener)), Some("frag"));
    assert_eq!(mess_of(&php_event(&mut listener)), None, "the other half");
    assert_eq!(mess_of(&php_event(&mut listener)), Some("compressed"));
    assert_eq!(listener.read_bytes(2), EMPTY_FRAME, "for what is no text");
    assert_eq!(listener.arrived(), b"");
}

#[test]
fn d16_roomd_closes_on_a_broken_rule_and_puts_fragments_together() {
    let mut server = Server::roomd(&[]);
    let mut offenders = break_the_rules_of_frames(&mut server);
    assert_eq!(offenders.fragmenting.message(), "fragment");
    assert_eq!(offenders.listener.message(), "fragment");
    assert_eq!(offenders.unmasked.close_code(), 1002);
    assert_eq!(offenders.reserved.close_code(), 1002);
    assert_eq!(offenders.not_utf8.close_code(), 1007);
    // Nothing of what they sent has reached anybody.
    offenders.fragmenting.send_text("only this");
    assert_eq!(offenders.listener.message(), "only this");
}

// d17: somebody's name is a number of PHP's own.

fn come_twice_under_a_name(server: &mut Server) -> [String; 2] {
    std::array::from_fn(|_| {
        let mut client = server.open_at("/?quiet=1&name=Ann");
        server.say(&mut client, &text("it is me"));
        let name = client.frame().json()["name"].as_str().expect("a name").to_owned();
        drop(client);
        if server.kind == Kind::Roomd {
            server.daemon.wait_for_log(" left: ");
        }
        name
    })
}

#[test]
#[ignore = "needs PHP: tests/run installs it and runs this"]
fn d17_php_calls_one_by_a_number_and_by_another_when_one_comes_back() {
    let mut server = Server::php();
    let [one, other] = come_twice_under_a_name(&mut server);
    assert!(one.starts_with(PHP_NAME) && other.starts_with(PHP_NAME) && one != other, "{one}, {other}");
}

#[test]
fn d17_roomd_calls_one_by_the_name_one_has_taken() {
    let mut server = Server::roomd(&[]);
    assert_eq!(come_twice_under_a_name(&mut server), ["Ann", "Ann"]);
}

/// What of the tutorial PHP 8 does not run, or runs to another end.
#[test]
#[ignore = "needs PHP: tests/run installs it and runs this"]
fn d17_php_8_has_one_number_for_all_sockets_and_no_string_for_any() {
    let run = |code: &str| -> Output {
        let arguments = ["-n", "-d", "extension=sockets", "-d", "display_errors=0", "-d", "log_errors=1", "-r", code];
        Command::new("php").args(arguments).output().expect("PHP starts")
    };
    let two = "$a = socket_create(AF_INET, SOCK_STREAM, SOL_TCP); $b = socket_create(AF_INET, SOCK_STREAM, SOL_TCP);";
    assert_eq!(run(&format!("{two} echo (int) $a, ' ', (int) $b;")).stdout, b"1 1");
    for (code, complaint) in [
        (format!("{two} echo \"$a\";"), "could not be converted to string"),
        ("$head = '81'; echo $head{1};".to_owned(), "curly braces"),
    ] {
        let output = run(&code);
        assert!(!output.status.success());
        assert!(String::from_utf8_lossy(&output.stderr).contains(complaint), "{output:?}");
    }
}

// d18: who has come is on the list for ever, and select takes no descriptor above 1023.

fn come_and_go_1030_times(server: &mut Server) -> Raw {
    let member = server.open();
    // Not for want of descriptors, then.
    server.limit_descriptors(4_096);
    for _ in 0..1_030 {
        drop(server.daemon.connect());
        if server.kind == Kind::Php && !has_accepted_and_can_select(server) {
            break;
        }
    }
    member
}

fn has_accepted_and_can_select(server: &mut Server) -> bool {
    loop {
        let line = server.daemon.wait_for_log("");
        if line.contains("accepted") || line.contains("FD_SETSIZE") {
            return line.contains("accepted");
        }
    }
}

#[test]
#[ignore = "needs PHP: tests/run installs it and runs this"]
fn d18_php_keeps_the_socket_of_everybody_who_left_and_is_deaf_at_1024() {
    let mut server = Server::php();
    let _member = come_and_go_1030_times(&mut server);
    assert!(server.descriptors() > 1_020, "{} descriptors, for one member", server.descriptors());
    // Its select fails and leaves all on the list as if they could be read: it waits for the member, which is silent.
    let address: SocketAddr = server.daemon.address.parse().unwrap();
    let is_answered = TcpStream::connect_timeout(&address, SILENCE).is_ok_and(|stream| {
        let mut newcomer = Raw::over(stream);
        newcomer.send(handshake(QUIET).as_bytes());
        newcomer.has_something_to_read(SILENCE)
    });
    assert!(!is_answered);
}

#[test]
fn d18_roomd_gives_back_the_socket_of_everybody_who_left() {
    let mut server = Server::roomd(&[]);
    let mut member = come_and_go_1030_times(&mut server);
    wait_until("those who left are closed", || server.descriptors() < 40);
    member.send_text("does anybody hear me?");
    assert_eq!(member.message(), "does anybody hear me?");
    server.open();
}

// d20: nobody asks where one comes from, and nobody is ever too late.

fn come_from_a_foreign_page(server: &mut Server) -> String {
    let mut foreign = server.connect();
    let request = handshake("/").replace("\r\n\r\n", "\r\nOrigin: http://elsewhere.example\r\n\r\n");
    foreign.send(request.as_bytes());
    foreign.read_head()
}

#[test]
#[ignore = "needs PHP: tests/run installs it and runs this"]
fn d20_php_lets_in_any_site_s_page() {
    let mut server = Server::php();
    let answer = come_from_a_foreign_page(&mut server);
    assert!(answer.starts_with("HTTP/1.1 101 ") && answer.contains(ACCEPT), "{answer}");
}

#[test]
fn d20_roomd_refuses_another_site_s_page() {
    let mut server = Server::roomd(&[]);
    let answer = come_from_a_foreign_page(&mut server);
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
}

#[test]
#[ignore = "needs PHP: tests/run installs it and runs this"]
fn d20_php_waits_for_ever_for_one_that_says_nothing() {
    let mut server = Server::php();
    let silent = server.connect();
    // For ever is more than a test has: it is as long as roomd would need twice over, and no timer is running.
    assert!(!silent.has_something_to_read(SILENCE));
    assert_eq!(server.daemon.state(), "S");
}

#[test]
fn d20_roomd_tells_one_that_says_nothing_that_it_is_too_late() {
    let mut server = Server::roomd(&["--handshake-timeout", "200ms"]);
    let mut silent = server.connect();
    assert!(silent.read_head().starts_with("HTTP/1.1 408 "));
}

// Measured, without a number: no backlog is asked for, so only one may wait to be accepted. The others' packets are
// dropped, and they try again after a second.

fn connect_while_it_does_something_else(server: &mut Server) -> usize {
    let address: SocketAddr = server.daemon.address.parse().unwrap();
    server.daemon.signal("STOP");
    wait_until("the server is stopped", || server.daemon.state() == "T");
    let connect = || TcpStream::connect_timeout(&address, SILENCE).ok();
    let connected: Vec<TcpStream> = (0..200).map_while(|_| connect()).collect();
    connected.len()
}

#[test]
#[ignore = "needs PHP: tests/run installs it and runs this"]
fn backlog_php_has_room_for_one_to_wait() {
    let mut server = Server::php();
    let count = connect_while_it_does_something_else(&mut server);
    assert!(count < 3, "{count} could connect");
}

#[test]
fn backlog_roomd_has_room_for_two_hundred_to_wait() {
    let mut server = Server::roomd(&[]);
    assert_eq!(connect_while_it_does_something_else(&mut server), 200);
}
