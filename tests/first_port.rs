//! The program of `docs/first-port/`: that it is right as far as it says, that it stays short, and that what it cannot
//! stand is written in its comments and in its page alike.

#[path = "support/example.rs"]
mod example;
mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::{Value, json};

use support::{Daemon, Frame, Raw, handshake, masked_frame, masked_header};

/// More than this is not read in one sitting.
const MAX_LINES: usize = 260;

const TEXT: u8 = 0x81;
const TEXT_BEGINS: u8 = 0x01;
const CONTINUES: u8 = 0x00;
const ENDS: u8 = 0x80;
const BINARY: u8 = 0x82;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;

const KEY: [u8; 4] = [1, 2, 3, 4];

/// Starts the program on a free port and waits until it listens.
fn start() -> Daemon {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    let mut command = Command::new(PROGRAM.get_or_init(build));
    command.arg("127.0.0.1:0");
    Daemon::spawn(command)
}

/// Builds the program, in the profile of this test, and says where it is. `cargo test` has built it already, and then
/// there is nothing to do; but one test alone (`--test first_port`) would find it old, or not at all.
fn build() -> PathBuf {
    example::build("first-port", if cfg!(debug_assertions) { &[] } else { &["--release"] })
}

/// What everybody is sent when that tourist says so.
fn said(tourist: u64, mess: &str) -> Value {
    json!({ "name": format!("Tourist {tourist}"), "mess": mess })
}

/// It still serves: somebody new comes, says something and hears it.
#[track_caller]
fn assert_serves(server: &Daemon) {
    let mut visitor = server.open("/");
    visitor.send_text("still there?");
    assert_eq!(visitor.frame().json()["mess"], "still there?");
}

#[test]
fn what_one_says_reaches_everybody_and_the_speaker() {
    let server = start();
    let (mut first, mut second) = (server.open("/"), server.open("/"));
    first.send_text("hello");
    assert_eq!(first.frame().json(), said(1, "hello"));
    assert_eq!(second.frame().json(), said(1, "hello"));
    second.send_text("你好, <b>\"you\"</b>");
    assert_eq!(first.frame().json(), said(2, "你好, <b>\"you\"</b>"));
    assert_eq!(second.frame().json(), said(2, "你好, <b>\"you\"</b>"));
}

#[test]
fn a_name_is_not_given_twice() {
    let server = start();
    let mut first = server.open("/");
    first.send_close(1000);
    assert_eq!(first.close_code(), 1000);
    assert_eq!(first.next_frame(), None);
    let mut second = server.open("/");
    second.send_text("hello");
    assert_eq!(second.frame().json(), said(2, "hello"));
}

#[test]
fn the_handshake_has_the_answer_of_the_rfc_s_example() {
    let server = start();
    let mut raw = server.connect();
    raw.send(handshake("/").as_bytes());
    let answer = raw.read_head();
    assert!(answer.contains("\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), "{answer}");
}

#[test]
fn names_of_headers_may_come_in_any_case() {
    let server = start();
    let mut raw = server.connect();
    let key = "dGhlIHNhbXBsZSBub25jZQ==";
    let lower_case = handshake("/").to_lowercase().replace("get / http", "GET / HTTP");
    raw.send(lower_case.replace(&key.to_lowercase(), key).as_bytes());
    let answer = raw.read_head();
    assert!(answer.contains("\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), "{answer}");
}

#[test]
fn what_comes_byte_by_byte_is_put_together() {
    let server = start();
    let mut raw = server.connect();
    let mut bytes = handshake("/").into_bytes();
    bytes.extend(masked_frame(TEXT, "slow".as_bytes()));
    bytes.extend(masked_frame(TEXT, "x".repeat(126).as_bytes()));
    // Without delay and with TCP_NODELAY: some of them arrive alone, and where the cuts are differs each time.
    for byte in bytes {
        raw.send(&[byte]);
    }
    assert!(raw.read_head().starts_with("HTTP/1.1 101 "));
    assert_eq!(raw.frame().json(), said(1, "slow"));
    assert_eq!(raw.frame().json(), said(1, &"x".repeat(126)));
}

#[test]
fn a_frame_is_put_together_wherever_it_is_cut() {
    let server = start();
    let mut raw = server.open("/");
    let frame = masked_frame(TEXT, "x".repeat(126).as_bytes());
    for cut in 1..frame.len() {
        // The Pong says that the first part has been read, and nothing of it is left in the kernel.
        let mut first = masked_frame(PING, &[]);
        first.extend(&frame[..cut]);
        raw.send(&first);
        assert_eq!(raw.frame().first_byte, PONG);
        raw.send(&frame[cut..]);
        assert_eq!(raw.frame().json(), said(1, &"x".repeat(126)), "cut at {cut}");
    }
}

#[test]
fn two_frames_in_one_segment_are_two_messages() {
    let server = start();
    let mut raw = server.open("/");
    raw.send(&[masked_frame(TEXT, b"one"), masked_frame(TEXT, b"two")].concat());
    assert_eq!(raw.frame().json(), said(1, "one"));
    assert_eq!(raw.frame().json(), said(1, "two"));
}

#[test]
fn a_frame_in_the_segment_of_the_handshake_is_heard() {
    let server = start();
    let mut raw = server.connect();
    raw.send(&[handshake("/").as_bytes(), &masked_frame(TEXT, b"hasty")].concat());
    assert!(raw.read_head().starts_with("HTTP/1.1 101 "));
    assert_eq!(raw.frame().json(), said(1, "hasty"));
}

#[test]
fn all_three_forms_of_the_length_are_read_and_written() {
    let server = start();
    let mut raw = server.open("/");
    // What the JSON adds to a text; so that both the text and the JSON meet each boundary.
    let added = said(1, "").to_string().len();
    for boundary in [0, 125, 126, 65_535, 65_536] {
        for len in [boundary, usize::saturating_sub(boundary, added)] {
            raw.send_text(&"x".repeat(len));
            // Its second byte is the length or says which form it has; and of all forms the shortest (section 5.2).
            let mut header = [0; 2];
            assert_eq!(raw.stream.peek(&mut header).unwrap(), 2);
            let form = match added + len {
                json_len @ 0..=125 => json_len as u8,
                126..=65_535 => 126,
                _ => 127,
            };
            assert_eq!(header, [TEXT, form], "{len} bytes");
            assert_eq!(raw.frame().json(), said(1, &"x".repeat(len)), "{len} bytes");
        }
    }
}

#[test]
fn fragments_make_one_message_and_a_ping_may_come_between() {
    let server = start();
    let mut raw = server.open("/");
    // The character is cut, too: only the whole must be UTF-8.
    let text = "ab汉".as_bytes();
    raw.send(&masked_frame(TEXT_BEGINS, &text[..3]));
    raw.send(&masked_frame(PING, b"between"));
    raw.send(&masked_frame(CONTINUES, &[]));
    raw.send(&masked_frame(ENDS, &text[3..]));
    assert_eq!(raw.frame(), Frame { first_byte: PONG, payload: b"between".to_vec() });
    assert_eq!(raw.frame().json(), said(1, "ab汉"));
}

#[test]
fn a_ping_is_answered_with_its_payload_and_only_to_its_sender() {
    let server = start();
    let (mut first, mut second) = (server.open("/"), server.open("/"));
    first.send(&masked_frame(PING, b"are you there"));
    assert_eq!(first.frame(), Frame { first_byte: PONG, payload: b"are you there".to_vec() });
    first.send(&masked_frame(PONG, b"nobody asked"));
    first.send_text("hello");
    assert_eq!(second.frame().json(), said(1, "hello"));
    assert_eq!(first.frame().json(), said(1, "hello"));
}

#[test]
fn a_close_is_answered_with_its_code_and_the_stream_ends() {
    let server = start();
    let answers: [(&[u8], u16); 6] = [
        (b"", 1005),
        (&[0x03, 0xe8], 1000),
        (&[0x0f, 0xa0, b'b', b'y', b'e'], 4000),
        // Half a code, and two that must not be on the wire.
        (&[0x03], 1002),
        (&[0x03, 0xed], 1002),
        (&[0, 0], 1002),
    ];
    for (payload, code) in answers {
        let mut raw = server.open("/");
        raw.send(&masked_frame(CLOSE, payload));
        assert_eq!(raw.frame().close_code(), code, "{payload:02x?}");
        assert_eq!(raw.next_frame(), None);
    }
    assert_serves(&server);
}

#[test]
fn a_fault_is_answered_with_a_close_that_has_its_code() {
    let server = start();
    let faults: [(Vec<u8>, u16); 11] = [
        (vec![TEXT, 0x02, b'h', b'i'], 1002),
        (masked_frame(TEXT | 0x40, b"a reserved bit"), 1002),
        (masked_frame(0x83, b"an opcode that is none"), 1002),
        (masked_frame(0x8b, b"another, for control"), 1002),
        (masked_frame(CONTINUES, b"of nothing"), 1002),
        ([masked_frame(TEXT_BEGINS, b"a message"), masked_frame(TEXT, b"inside another")].concat(), 1002),
        (masked_frame(PING, &[b'x'; 126]), 1002),
        (masked_frame(PING & 0x0f, b"a ping in fragments"), 1002),
        (masked_header(TEXT, 1 << 63, KEY), 1002),
        (masked_frame(BINARY, b"no words"), 1003),
        (masked_frame(TEXT, &[0xff]), 1007),
    ];
    let mut witness = server.open("/");
    for (bytes, code) in faults {
        let mut raw = server.open("/");
        raw.send(&bytes);
        assert_eq!(raw.frame().close_code(), code, "{bytes:02x?}");
        assert_eq!(raw.next_frame(), None);
    }
    // Nobody else was told of any of it.
    witness.send_text("quiet");
    assert_eq!(witness.frame().json(), said(1, "quiet"));
}

#[test]
fn a_request_that_is_no_handshake_is_refused() {
    let server = start();
    let requests = [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        handshake("/").replace("GET", "POST"),
        handshake("/").replace("HTTP/1.1", "HTTP/1.0"),
        handshake("/").replace("Version: 13", "Version: 8"),
        handshake("/").replace("Upgrade: websocket", "Upgrade: h2c"),
        handshake("/").replace("Connection: Upgrade", "Connection: close"),
        handshake("/").replace("dGhlIHNhbXBsZSBub25jZQ==", "c2hvcnQ="),
        "\r\n\r\n".to_owned(),
    ];
    for request in requests {
        let mut raw = server.connect();
        raw.send(request.as_bytes());
        let answer = raw.read_head();
        assert!(answer.starts_with("HTTP/1.1 400 "), "{request:?}: {answer}");
        assert_eq!(raw.read_to_end(), b"");
    }
    assert_serves(&server);
}

#[test]
fn who_has_not_shaken_hands_hears_nothing_and_disturbs_nobody() {
    let server = start();
    let mut silent = server.connect();
    let mut half = server.connect();
    half.send(b"GET / HTTP/1.1\r\nHost: a\r\n");
    let mut talker = server.open("/");
    talker.send_text("anybody?");
    assert_eq!(talker.frame().json()["mess"], "anybody?");
    // A frame of before would stand in front of this answer.
    silent.send(handshake("/").as_bytes());
    assert!(silent.read_head().starts_with("HTTP/1.1 101 "));
    talker.send_text("now?");
    assert_eq!(silent.frame().json()["mess"], "now?");
}

#[test]
fn rude_clients_do_not_end_it() {
    let server = start();
    let mut guest = server.open("/");
    let rubbish: Vec<u8> = (0..100_000_u32).map(|nth| (nth.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for _ in 0..10 {
        // Rubbish for a request, and for a frame.
        let mut raw = server.connect();
        raw.send(&[&rubbish[..], b"\r\n\r\n"].concat());
        raw.read_to_end();
        let mut raw = server.open("/");
        raw.send(&rubbish);
        raw.read_to_end();
        // A reset: before a word, inside the request, behind it, inside a frame.
        let frame = masked_frame(TEXT, b"not all of this");
        server.connect().reset();
        let mut raw = server.connect();
        raw.send(b"GET / HTTP/1.1\r\nHo");
        raw.reset();
        server.open("/").reset();
        let mut raw = server.open("/");
        raw.send(&frame[..9]);
        raw.reset();
        // An end of the stream inside a frame.
        let mut raw = server.open("/");
        raw.send(&frame[..9]);
        raw.finish_sending();
        assert_eq!(raw.next_frame(), None);
        // Speaks, and is gone before it can be answered.
        let mut raw = server.open("/");
        raw.send(&masked_frame(TEXT, b"catch me"));
        raw.reset();
    }
    // A reset may take with it what was said just before; whatever was heard of that, the guest is still served.
    guest.send_text("still there?");
    while guest.frame().json()["mess"] != "still there?" {}
}

#[test]
fn a_reader_that_is_too_slow_is_cut_off_and_the_others_go_on() {
    let mut server = start();
    let slow = server.open("/");
    let mut talker = server.open("/");
    let text = "x".repeat(60_000);
    // 30 MB: more than the kernel keeps for a connection by default, on both sides together.
    for _ in 0..500 {
        talker.send_text(&text);
        assert_eq!(talker.frame().json()["mess"], text.as_str());
    }
    server.wait_for_log("Tourist 1 is cut off: ");
    // It has the beginning, and then the end of the stream: it is not left in the belief that nobody speaks.
    let Raw { mut stream, .. } = slow;
    let heard = std::io::copy(&mut stream, &mut std::io::sink());
    assert!(heard.is_ok_and(|bytes| bytes < 30_000_000));
}

#[test]
fn half_a_frame_is_never_passed_over_in_silence() {
    let mut server = start();
    let _reader = server.open("/");
    let mut talker = server.open("/");
    // More than the kernel takes of one write, and neither of the two reads.
    talker.send_text(&"x".repeat(16 * 1024 * 1024));
    server.wait_for_log("Tourist 1 is cut off: it reads too slowly");
    server.wait_for_log("Tourist 2 is cut off: it reads too slowly");
    assert_serves(&server);
}

#[test]
fn when_everybody_has_gone_it_rests() {
    let server = start();
    for _ in 0..3 {
        let mut raw = server.open("/");
        raw.finish_sending();
        assert_eq!(raw.next_frame(), None);
    }
    let before = server.cpu_ticks();
    // PHP spins from here on: 70 ticks of 10 ms in a second.
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert!(server.cpu_ticks() - before < 10, "{} ticks of CPU in half a second", server.cpu_ticks() - before);
}

// ---- The text --------------------------------------------------------------------------------------------------------

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path))
        .unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn it_can_be_read_in_one_sitting() {
    let lines = read("docs/first-port/main.rs").lines().count();
    assert!(lines <= MAX_LINES, "{lines} lines");
}

/// The number of each pressure and the file that it forces, as the program's comments have them.
fn pressures() -> Vec<(usize, String)> {
    let text = read("docs/first-port/main.rs");
    let marked = text.split("// Pressure ").skip(1);
    let pressures = marked.map(|rest| {
        let line = rest.lines().next().unwrap();
        let (number, rest) = line.split_once(": ").unwrap_or_else(|| panic!("Pressure N: what. -> file, but: {line}"));
        let (_, file) = rest.split_once(" -> ").unwrap_or_else(|| panic!("no file is named: {line}"));
        (number.parse().unwrap_or_else(|_| panic!("not a number: {line}")), file.to_owned())
    });
    pressures.collect()
}

#[test]
fn each_pressure_names_a_file_that_there_is() {
    let pressures = pressures();
    let numbers: Vec<usize> = pressures.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, (1..=pressures.len()).collect::<Vec<_>>(), "they are numbered as they are read");
    assert!(pressures.len() > 10);
    for (number, file) in pressures {
        assert!(file.starts_with("src/") && file.ends_with(".rs"), "pressure {number}: {file} is none of roomd's");
        assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(&file).is_file(), "pressure {number}: there is no {file}");
    }
}

/// The rows of the page's tables, each as its cells.
fn rows() -> Vec<Vec<String>> {
    let page = read("docs/first-port/README.md");
    let lines = page.lines().filter(|line| line.starts_with("| "));
    lines.map(|line| line.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect()).collect()
}

#[test]
fn the_page_lists_the_same_pressures_in_the_same_order() {
    let listed: Vec<(usize, String)> = rows()
        .iter()
        .filter_map(|row| Some((row[0].parse().ok()?, row.last()?.split('`').nth(1)?.to_owned())))
        .collect();
    assert_eq!(listed, pressures());
}

#[test]
fn every_function_in_the_page_s_table_is_in_the_program() {
    let program = read("docs/first-port/main.rs");
    let rows = rows();
    let functions: Vec<&str> = rows
        .iter()
        .filter(|row| row[0].starts_with('`'))
        .flat_map(|row| row[1].split('`').skip(1).step_by(2))
        .collect();
    assert!(functions.len() >= 6, "{functions:?}");
    for function in functions {
        assert!(program.contains(&format!("fn {function}(")), "{function}");
    }
}
