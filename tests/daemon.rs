//! The daemon's manners: where it listens, what it says, how it goes; and the room as a member sees it.

mod support;

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::process::Command;

use serde_json::Value;
use support::{Daemon, Folder, PATIENCE, Raw, handshake, masked_frame, parse_frame};

fn get(daemon: &Daemon, path: &str, lines: &str) -> String {
    request(daemon, &format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{lines}\r\n", daemon.address))
}

fn request(daemon: &Daemon, request: &str) -> String {
    let mut client = daemon.connect();
    client.send(request.as_bytes());
    String::from_utf8(client.read_to_end()).expect("an answer is text")
}

// ---- The room -----------------------------------------------------------------------------------------------------

#[test]
fn what_one_says_reaches_all_the_speaker_included() {
    let daemon = Daemon::start(&[]);
    let mut one = daemon.open("/");
    assert_eq!(one.frame().json()["type"], "welcome");
    let mut two = daemon.open("/r/lobby");
    let welcome = two.frame().json();
    assert_eq!(welcome["name"], "Tourist 2");
    assert_eq!(welcome["online"], 2);
    assert_eq!(welcome["users"], serde_json::json!(["Tourist 1", "Tourist 2"]));
    assert_eq!(one.event("join")["name"], "Tourist 2");
    for text in ["x", "汉字汉字汉字汉字汉字汉字汉", "😀", "\u{0}\u{7f}\"\\", &"汉".repeat(21_845)] {
        one.send_text(text);
        for member in [&mut one, &mut two] {
            let event = member.frame().json();
            assert_eq!((&event["type"], &event["name"]), (&"message".into(), &"Tourist 1".into()));
            assert_eq!(event["mess"], text);
        }
    }
    drop(one);
    let leave = two.event("leave");
    assert_eq!((&leave["name"], &leave["online"]), (&"Tourist 1".into(), &1.into()));
}

/// The PHP page knows two keys and prints `name: mess` for whatever comes.
#[test]
fn a_page_that_knows_only_name_and_mess_can_print_every_event() {
    let daemon = Daemon::start(&[]);
    let mut member = daemon.open("/");
    let mut other = daemon.open("/");
    other.event("welcome");
    other.send_text("hello");
    other.event("message");
    drop(other);
    member.send(&masked_frame(0x82, b"binary"));
    for _ in 0..5 {
        let event = member.frame().json();
        for key in ["name", "mess"] {
            assert!(event[key].as_str().is_some_and(|text| !text.is_empty()), "{event}");
        }
    }
}

#[test]
fn a_newcomer_is_sent_the_newest_messages_of_the_past_before_the_present() {
    let daemon = Daemon::start(&["--no-rate-limit", "--replay", "3"]);
    let mut speaker = daemon.open("/");
    let mut last = 0;
    for nth in 1..=5 {
        speaker.send_text(&format!("past {nth}"));
        last = speaker.event("message")["id"].as_u64().unwrap();
    }
    let mut newcomer = daemon.open("/");
    assert_eq!(newcomer.frame().json()["last"], last);
    speaker.send_text("present");
    let seen: Vec<Value> = (0..4).map(|_| newcomer.frame().json()).collect();
    let texts: Vec<&str> = seen.iter().filter_map(|event| event["mess"].as_str()).collect();
    assert_eq!(texts, ["past 3", "past 4", "past 5", "present"]);
    let ids: Vec<u64> = seen.iter().filter_map(|event| event["id"].as_u64()).collect();
    assert_eq!(ids, [last - 2, last - 1, last, last + 1]);
}

#[test]
fn without_a_history_a_newcomer_hears_the_present_only() {
    let daemon = Daemon::start(&["--history", "off"]);
    let mut speaker = daemon.open("/");
    speaker.send_text("past");
    assert_eq!(speaker.message(), "past");
    let mut newcomer = daemon.open("/");
    newcomer.event("welcome");
    speaker.send_text("present");
    assert_eq!(newcomer.frame().json()["mess"], "present");
}

/// So that `websocat -1` gets an answer and not a greeting.
#[test]
fn a_quiet_member_hears_messages_and_nothing_else() {
    let daemon = Daemon::start(&[]);
    let mut quiet = daemon.open("/?quiet=1");
    let mut loud = daemon.open("/");
    loud.event("welcome");
    drop(daemon.open("/"));
    loud.event("leave");
    loud.send_text("one");
    quiet.send_text("two");
    let heard: Vec<Value> = (0..2).map(|_| quiet.frame().json()).collect();
    assert!(heard.iter().all(|event| event["type"] == "message"), "{heard:?}");
}

/// websocat 1 sends the newline that ended the line, and takes an empty text frame for the end of the stream.
#[test]
fn one_newline_at_the_end_is_dropped_and_an_empty_message_is_none() {
    let daemon = Daemon::start(&[]);
    let mut member = daemon.open("/?quiet=1");
    for (said, heard) in [("a\n", "a"), ("b\r\n", "b"), ("c\n\n", "c\n"), ("d\r", "d\r"), (" \n", " ")] {
        for nothing in ["", "\n", "\r\n"] {
            member.send_text(nothing);
        }
        member.send_text(said);
        assert_eq!(member.message(), heard, "{said:?}");
    }
}

/// websocat sends its last lines and the Close together and waits for what they bring.
#[test]
fn who_says_something_and_leaves_sees_it_before_the_answer_to_its_close() {
    let daemon = Daemon::start(&[]);
    let mut witness = daemon.open("/?quiet=1");
    let mut client = daemon.connect();
    let mut bytes = handshake("/?quiet=1").into_bytes();
    bytes.extend(masked_frame(0x81, b"a\n"));
    bytes.extend(masked_frame(0x81, b"b\n"));
    bytes.extend(masked_frame(0x88, b""));
    client.send(&bytes);
    client.read_head();
    assert_eq!((client.message(), client.message()), ("a".into(), "b".into()));
    assert_eq!(client.frame().close_code(), 1005);
    assert_eq!((witness.message(), witness.message()), ("a".into(), "b".into()));
}

#[test]
fn a_violation_behind_a_message_loses_nothing_of_the_message() {
    let daemon = Daemon::start(&[]);
    let mut witness = daemon.open("/?quiet=1");
    let mut faulty = daemon.open("/?quiet=1");
    faulty.send(&[&masked_frame(0x81, b"said")[..], b"\xff"].concat());
    assert_eq!(faulty.message(), "said");
    assert_eq!(faulty.close_code(), 1002);
    assert_eq!(witness.message(), "said");
}

/// Ten thousand joins must not cost a hundred million frames.
#[test]
fn many_joins_cost_each_member_a_few_counts_and_not_a_frame_for_each() {
    let daemon = Daemon::start(&["--presence-members", "10"]);
    let mut members: Vec<Raw> = (0..300).map(|_| daemon.open("/")).collect();
    let mut last = members.pop().unwrap();
    last.event("welcome");
    last.send_text("count now");
    let mut events = 0;
    let first = &mut members[0];
    while first.frame().json()["mess"] != "count now" {
        events += 1;
    }
    assert!(events < 40, "{events} events for 300 joins: a welcome, 9 joins, a few counts");
}

/// `RUST_LOG=roomd::wire=trace` is for people who look into their terminal.
#[test]
fn the_log_of_the_wire_has_frames_of_both_directions_and_no_control_characters() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_roomd"));
    command.args(["--listen", "127.0.0.1:0"]).env("RUST_LOG", "info,roomd::wire=trace");
    let mut daemon = Daemon::spawn(command);
    let mut one = daemon.open("/");
    one.event("welcome");
    let mut two = daemon.open("/?quiet=1");
    one.event("join");
    let text = format!("\u{1b}[2J\u{202e}\u{9b}汉{}", "x".repeat(200));
    let frame = masked_frame(0x81, text.as_bytes());
    // Cut in its header and in its payload: it is one frame all the same.
    for piece in [&frame[..3], &frame[3..40], &frame[40..]] {
        one.send(piece);
    }
    assert_eq!(one.message(), text);
    assert_eq!(two.message(), text);
    two.send(&masked_frame(0x89, b"still there?"));
    assert_eq!(two.frame().first_byte, 0x8a);
    two.send_close(1000);
    assert_eq!(two.close_code(), 1000);
    one.event("leave");
    one.send(&[0xc1]);
    assert_eq!(one.close_code(), 1002);
    drop((one, two));
    daemon.signal("TERM");
    assert!(daemon.wait().success());
    let log = daemon.rest_of_log();
    let position = |part: &str| log.iter().position(|line| line.contains(part));
    let whole = log.join("\n");
    for part in [
        "sent to #1: ",
        &format!("received from #1: {} bytes", frame.len()),
        "sent to 1 member of lobby: ",
        "received from #2: 18 bytes",
        "sent to #2: 14 bytes",
        "|still th|",
        "close code   1000, normal closure",
        "|1|0|0|0|0 0 0 1|1|1 1 1 1 1 1 0|",
        "|\\x1b[2J\\u{202e}",
        " bytes more",
        "rule         RFC 6455 section 5.2",
    ] {
        assert!(position(part).is_some(), "{part:?} is not in the log:\n{whole}");
    }
    assert!(position("received from #1") < position("sent to 1 member of lobby: 3"), "{whole}");
    assert_eq!(whole.matches(&format!("received from #1: {} bytes", frame.len())).count(), 1, "{whole}");
    assert!(!whole.contains(&"x".repeat(100)), "a payload is cut");
    for line in &log {
        assert!(!line.chars().any(char::is_control), "{line:?}");
        assert!(line.contains(" INFO ") || line.chars().count() <= 110, "a drawing fits in a terminal: {line:?}");
    }
}

#[test]
fn what_is_said_is_not_logged_unless_the_wire_is() {
    for level in ["trace,roomd::wire=off", "debug"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_roomd"));
        command.args(["--listen", "127.0.0.1:0"]).env("RUST_LOG", level);
        let mut daemon = Daemon::spawn(command);
        let mut member = daemon.open("/");
        member.send_text("between us");
        assert_eq!(member.message(), "between us");
        drop(member);
        daemon.signal("TERM");
        assert!(daemon.wait().success());
        let log = daemon.rest_of_log().join("\n");
        assert!(!log.contains("between") && !log.contains("received from"), "{log}");
    }
}

// ---- The page -----------------------------------------------------------------------------------------------------

#[test]
fn the_page_and_its_files_come_with_their_types_and_a_policy() {
    let daemon = Daemon::start(&[]);
    for (path, media_type, part) in [
        ("/", "text/html; charset=utf-8", "<!doctype html>"),
        ("/r/lobby", "text/html; charset=utf-8", "<!doctype html>"),
        ("/events.js", "text/javascript; charset=utf-8", "welcome"),
        ("/link.js", "text/javascript; charset=utf-8", "WebSocket"),
        ("/style.css", "text/css; charset=utf-8", "prefers-color-scheme"),
        ("/icon.svg", "image/svg+xml", "<svg"),
    ] {
        let answer = get(&daemon, path, "");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{path}");
        assert!(answer.contains(&format!("\r\nContent-Type: {media_type}\r\n")), "{path}");
        assert!(answer.contains("\r\nContent-Security-Policy: default-src 'none'; "), "{path}");
        assert!(answer.contains("\r\nX-Content-Type-Options: nosniff\r\n"), "{path}");
        assert!(answer.contains(part), "{path}");
    }
}

#[test]
fn a_cached_page_is_not_sent_again_and_a_head_request_gets_no_body() {
    let daemon = Daemon::start(&[]);
    let first = get(&daemon, "/", "");
    let etag = first.lines().find_map(|line| line.strip_prefix("ETag: ")).unwrap();
    let again = get(&daemon, "/", &format!("If-None-Match: {etag}\r\n"));
    assert!(again.starts_with("HTTP/1.1 304 ") && again.ends_with("\r\n\r\n"), "{again}");
    let head = request(&daemon, "HEAD / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200 ") && head.ends_with("\r\n\r\n"), "{head}");
    let refused = request(&daemon, "HEAD /nowhere HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(refused.starts_with("HTTP/1.1 404 ") && refused.ends_with("\r\n\r\n"), "{refused}");
    assert!(request(&daemon, "GET / HTTP/1.0\r\n\r\n").starts_with("HTTP/1.1 200 "));
    assert!(get(&daemon, "/healthz", "").ends_with("\r\n\r\nok\n"));
}

#[test]
fn a_page_can_ask_what_its_handshake_would_be_answered() {
    let daemon = Daemon::start(&["--origin", "https://friend.example"]);
    for (target, host, status) in [
        ("/?check=http%3A%2F%2Fchat.example%3A8000", "chat.example:8000", "200 OK"),
        ("/r/x?check=https://chat.example", "chat.example", "200 OK"),
        ("/?name=a&check=https://friend.example&check=https://evil.example", "127.0.0.1:8000", "200 OK"),
        // A proxy has written its own host.
        ("/?check=https://chat.example", "127.0.0.1:8000", "403 Forbidden"),
        ("/?check=http://chat.example:8000", "chat.example", "403 Forbidden"),
        ("/?check=null", "chat.example", "403 Forbidden"),
        ("/?check=", "chat.example", "403 Forbidden"),
        ("/?check", "chat.example", "403 Forbidden"),
        ("/r/?check=https://chat.example", "chat.example", "404 Not Found"),
        ("/chat.js?check=https://chat.example", "chat.example", "404 Not Found"),
        ("/echo?check=https://chat.example", "chat.example", "404 Not Found"),
    ] {
        let answer = request(&daemon, &format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"));
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{target} of {host}: {answer}");
        assert!(answer.contains("\r\nAnswered-By: roomd\r\n"), "{answer}");
        assert!(answer.contains("\r\nCache-Control: no-store\r\n"), "{answer}");
        assert!(answer.contains("\r\nContent-Type: text/plain; charset=utf-8\r\n"), "{answer}");
    }
    assert!(get(&daemon, "/?checks=1", "").contains("<!doctype html>"), "other keys are ignored");
}

#[test]
fn the_page_can_be_edited_while_the_daemon_serves_it() {
    let folder = Folder::new();
    let daemon = Daemon::start(&["--web", folder.path().to_str().unwrap()]);
    assert!(get(&daemon, "/", "").starts_with("HTTP/1.1 500 "), "nothing is there yet");
    for edition in ["first edition", "second edition"] {
        std::fs::write(folder.file("index.html"), edition).unwrap();
        assert!(get(&daemon, "/", "").ends_with(edition));
    }
}

// ---- Where it listens ---------------------------------------------------------------------------------------------

#[test]
fn it_listens_on_every_address_it_is_told_to() {
    let folder = Folder::new();
    let path = folder.file("socket");
    // What a killed daemon leaves behind is no obstacle.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let unix = format!("unix:{path}");
    let mut daemon =
        Daemon::start_without_address(&["--listen", "127.0.0.1:0", "--listen", "[::1]:0", "--listen", &unix]);
    let line = daemon.wait_for_log("listening on http://[::1]:");
    let v6 = line.split("http://").nth(1).unwrap().trim_end_matches('/').to_owned();
    daemon.wait_for_log(&format!("listening on {unix}"));

    let mut over_v6 = Raw::connect(&v6);
    over_v6.send(handshake("/").as_bytes());
    assert!(over_v6.read_head().starts_with("HTTP/1.1 101 "));

    let mut over_unix = UnixStream::connect(&path).unwrap();
    over_unix.set_read_timeout(Some(PATIENCE)).unwrap();
    over_unix.write_all(handshake("/?quiet=1").as_bytes()).unwrap();
    over_unix.write_all(&masked_frame(0x81, b"from a path")).unwrap();
    let mut over_v4 = daemon.open("/?quiet=1");
    over_v4.send_text("ping");
    over_v6.send_text("from version 6");
    assert_eq!(over_v6.message(), "from a path");
    let mut received = Vec::new();
    while !String::from_utf8_lossy(&received).contains("from version 6") {
        let mut chunk = [0; 1_024];
        let count = std::io::Read::read(&mut over_unix, &mut chunk).unwrap();
        assert_ne!(count, 0);
        received.extend_from_slice(&chunk[..count]);
    }
    let head = received.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap() + 4;
    assert!(parse_frame(&received[head..]).is_some_and(|(frame, _)| frame.json()["mess"] == "from a path"));

    daemon.signal("TERM");
    assert!(daemon.wait().success());
    assert!(!std::fs::exists(&path).unwrap(), "its socket is removed");
}

#[test]
fn a_socket_file_has_the_mode_it_was_given_whatever_the_umask_is() {
    for umask in ["000", "022", "077", "777"] {
        for (mode, then) in
            [("", 0o777 & !u32::from_str_radix(umask, 8).unwrap()), (",mode=0660", 0o660), (",mode=600", 0o600)]
        {
            let folder = Folder::new();
            let path = folder.file("socket");
            let mut command = Command::new("sh");
            command.args(["-c", "umask $1; shift; exec \"$@\"", "sh", umask, env!("CARGO_BIN_EXE_roomd")]);
            command.args(["--listen", &format!("unix:{path}{mode}")]);
            let _daemon = Daemon::spawn(command);
            let found = std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777;
            assert_eq!(found, then, "{found:04o} with umask {umask} and {mode:?}");
        }
    }
}

#[test]
fn a_socket_that_somebody_answers_on_is_not_taken_away() {
    let folder = Folder::new();
    let unix = format!("unix:{}", folder.file("socket"));
    let _first = Daemon::start_without_address(&["--listen", &unix]);
    let second = Command::new(env!("CARGO_BIN_EXE_roomd")).args(["--listen", &unix]).output().unwrap();
    assert_eq!(second.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&second.stderr).contains("it is in use already"));
}

#[test]
fn a_daemon_removes_its_own_socket_and_not_another_s_at_the_same_path() {
    let folder = Folder::new();
    let path = folder.file("socket");
    let unix = format!("unix:{path}");
    let mut first = Daemon::start_without_address(&["--listen", &unix]);
    std::fs::remove_file(&path).unwrap();
    let _second = Daemon::start_without_address(&["--listen", &unix]);
    first.signal("TERM");
    assert!(first.wait().success());
    assert!(UnixStream::connect(&path).is_ok(), "the second one can be reached");
}

#[test]
fn every_flag_can_be_set_in_the_environment() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_roomd"));
    command.env("ROOMD_LISTEN", "127.0.0.1:0").env("ROOMD_ECHO", "1").env("ROOMD_MAX_MESSAGE", "5");
    let daemon = Daemon::spawn(command);
    let mut client = daemon.open("/echo");
    client.send_text("12345");
    assert_eq!(client.frame().text(), "12345");
    client.send_text("123456");
    assert_eq!(client.close_code(), 1009);
}

// ---- How it goes --------------------------------------------------------------------------------------------------

#[test]
fn on_a_signal_everybody_is_told_1001_and_what_was_said_before_is_delivered() {
    for signal in ["TERM", "INT"] {
        let mut daemon = Daemon::start(&[]);
        let mut member = daemon.open("/?quiet=1");
        let mut speaker = daemon.open("/?quiet=1");
        let _undecided = daemon.connect();
        speaker.send_text("the last word");
        assert_eq!(speaker.message(), "the last word");
        daemon.signal(signal);
        assert_eq!(member.message(), "the last word");
        for client in [&mut member, &mut speaker] {
            assert_eq!(client.frame().close_code(), 1001);
            client.send_close(1001);
            assert_eq!(client.next_frame(), None);
        }
        drop((member, speaker));
        assert_eq!(daemon.wait().code(), Some(0));
        assert!(daemon.rest_of_log().iter().any(|line| line.contains("bye; connections by their ending: shut-down 3")));
    }
}

#[test]
fn a_member_that_does_not_answer_holds_up_the_end_for_the_closing_time_only() {
    let mut daemon = Daemon::start(&["--close-timeout", "100ms"]);
    let mut member = daemon.open("/");
    member.event("welcome");
    daemon.signal("TERM");
    assert_eq!(daemon.wait().code(), Some(0));
    assert_eq!(member.close_code(), 1001);
    let log = daemon.rest_of_log();
    assert!(log.iter().any(|line| line.ends_with("#1 left: the daemon is going down")), "{log:?}");
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let mut daemon = Daemon::start(&["--close-timeout", "10m"]);
    let mut member = daemon.open("/");
    member.event("welcome");
    daemon.signal("INT");
    daemon.wait_for_log("SIGINT: saying goodbye");
    daemon.signal("INT");
    assert_eq!(daemon.wait().code(), Some(0));
}

#[test]
fn a_daemon_that_is_killed_can_be_started_again_on_the_same_port() {
    let mut daemon = Daemon::start(&[]);
    let address = daemon.address.clone();
    let _member = daemon.open("/");
    daemon.signal("KILL");
    daemon.wait();
    let again = Daemon::start_without_address(&["--listen", &address]);
    assert_eq!(again.address, address);
}

// ---- What it says -------------------------------------------------------------------------------------------------

#[test]
fn nothing_from_the_network_gets_into_the_log_as_it_is() {
    let mut daemon = Daemon::start_with_requests_logged(&["--echo"]);
    for hostile in ["\u{1b}[2Jred", "a\u{202e}b", "line\r\n[2026-01-01T00:00:00Z INFO roomd] forged"] {
        let mut member = daemon.open(&format!("/?quiet=1&token={}", "secret-token"));
        member.send_text(hostile);
        member.message();
        member.send(&masked_frame(0x88, &[&4000u16.to_be_bytes()[..], hostile.as_bytes()].concat()));
        member.close_code();
        let mut refused = daemon.connect();
        refused.send(format!("GET /{hostile} HTTP/1.1\r\nHost: x\r\nX: {hostile}\r\n\r\n").as_bytes());
        refused.read_head();
        let mut refused = daemon.connect();
        refused.send(format!("GET /{hostile}?secret-token HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes());
        refused.read_head();
    }
    daemon.signal("TERM");
    daemon.wait();
    for line in daemon.rest_of_log() {
        assert!(line.chars().all(|letter| letter == ' ' || letter.is_ascii_graphic()), "{line:?}");
        assert!(!line.contains("forged") && !line.contains("secret") && !line.contains("red"), "{line:?}");
    }
}

#[test]
fn a_misspelt_setting_and_a_level_that_is_none_are_told_at_the_start() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_roomd"));
    command.args(["--listen", "127.0.0.1:0"]);
    command.envs([("ROOMD_MAX_MESAGE", "5"), ("RUST_LOG", "inof"), ("ROOMD_ORIGIN", "")]);
    let mut daemon = Daemon::spawn(command);
    daemon.signal("TERM");
    daemon.wait();
    let log = daemon.rest_of_log();
    for part in
        ["\"inof\" names no level", "ROOMD_MAX_MESAGE, which is no setting of roomd; did you mean ROOMD_MAX_MESSAGE?"]
    {
        assert_eq!(
            log.iter().filter(|line| line.contains(" WARN ") && line.contains(part)).count(),
            1,
            "{part}: {log:?}"
        );
    }
    assert_eq!(log.iter().filter(|line| line.contains(" WARN ")).count(), 2, "{log:?}");
}

#[test]
fn an_empty_level_is_as_none_and_the_log_is_that_of_every_day() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_roomd"));
    command.args(["--listen", "127.0.0.1:0"]).env("RUST_LOG", "");
    // It waits for the line that says where the daemon listens, which is at info.
    Daemon::spawn(command);
}

#[test]
fn the_pages_of_all_sub_domains_are_let_in_where_a_star_stands_for_them() {
    let daemon = Daemon::start(&["--origin", "https://*.example.com"]);
    for (origin, status) in [
        ("https://a.example.com", "101"),
        ("https://a.b.example.com", "101"),
        ("https://example.com", "403"),
        ("http://a.example.com", "403"),
        ("https://a.example.com.evil.org", "403"),
    ] {
        let mut client = daemon.connect();
        client.send(handshake("/").replacen("\r\n", &format!("\r\nOrigin: {origin}\r\n"), 1).as_bytes());
        assert!(client.read_head().starts_with(&format!("HTTP/1.1 {status} ")), "{origin}");
    }
}

/// A visit of the page is a dozen requests, and one person.
#[test]
fn a_visit_of_the_page_is_one_line_at_info_and_each_request_is_one_at_debug() {
    let visit = |daemon: &mut Daemon| {
        for request in
            ["GET / HTTP/1.1", "GET /style.css?v=2 HTTP/1.1", "HEAD /healthz HTTP/1.1", "GET /nowhere HTTP/1.1"]
        {
            let mut client = daemon.connect();
            client.send(format!("{request}\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes());
            client.read_to_end();
        }
        drop(daemon.connect());
        let mut member = daemon.open("/");
        member.event("welcome");
        daemon.signal("TERM");
        daemon.wait();
        let log = daemon.rest_of_log();
        log.iter().filter_map(|line| Some(line.split_once("] #")?.1.to_owned())).collect::<Vec<_>>()
    };
    let quiet = visit(&mut Daemon::start(&[]));
    assert_eq!(quiet.len(), 2, "{quiet:?}");
    assert!(quiet[0].contains("came to lobby as") && quiet[1].contains("left: "), "{quiet:?}");
    let told = visit(&mut Daemon::start_with_requests_logged(&[]));
    for part in
        [": GET /: 200 OK", ": GET /style.css: 200 OK", ": HEAD /healthz: 200 OK", ": GET /nowhere: 404 Not Found: "]
    {
        assert_eq!(told.iter().filter(|line| line.contains(part)).count(), 1, "{part}: {told:?}");
    }
}

/// What an operator may have to act on: a proxy that changes Host, a daemon that is full.
#[test]
fn a_page_of_another_site_that_is_refused_has_a_line_at_info() {
    let mut daemon = Daemon::start(&[]);
    let mut client = daemon.connect();
    client.send(handshake("/").replacen("\r\n", "\r\nOrigin: https://evil.example\r\n", 1).as_bytes());
    assert!(client.read_head().starts_with("HTTP/1.1 403 "));
    drop(client);
    let line = daemon.wait_for_log("403 Forbidden");
    assert!(line.contains(" INFO ") && line.contains(": GET /: 403 Forbidden: "), "{line}");
}

#[test]
fn tools_in_front_are_answered_whatever_they_ask() {
    let daemon = Daemon::start(&[]);
    for (request, status) in [
        ("OPTIONS / HTTP/1.0\r\n\r\n", "204 No Content"),
        ("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", "204 No Content"),
        (
            "OPTIONS /r/a?b HTTP/1.1\r\nHost: x\r\nOrigin: https://y\r\nAccess-Control-Request-Method: GET\r\n\r\n",
            "204 No Content",
        ),
        ("OPTIONS http://x HTTP/1.1\r\nHost: x\r\n\r\n", "204 No Content"),
        ("GET /healthz HTTP/1.0\r\n\r\n", "200 OK"),
        ("HEAD /healthz HTTP/1.1\r\nHOST: x\r\n\r\n", "200 OK"),
        ("GET http://x/healthz HTTP/1.1\r\nHost: y\r\n\r\n", "200 OK"),
        (
            "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n",
            "200 OK",
        ),
        ("\r\nGET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", "200 OK"),
        ("\r\n\r\n\r\nGET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", "200 OK"),
        ("GET * HTTP/1.1\r\nHost: x\r\n\r\n", "400 Bad Request"),
        ("OPTIONS / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n", "413 Content Too Large"),
        ("TRACE / HTTP/1.1\r\nHost: x\r\n\r\n", "405 Method Not Allowed"),
    ] {
        let mut client = daemon.connect();
        client.send(request.as_bytes());
        let head = client.read_head();
        assert!(head.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{request:?}: {head}");
        let has_allow = head.contains("\r\nAllow: GET, HEAD, OPTIONS\r\n");
        assert_eq!(has_allow, status.starts_with("204") || status.starts_with("405"), "{request:?}: {head}");
        assert!(!status.starts_with("204") || !head.contains("Content-"), "{request:?}: {head}");
    }
    let mut flood = daemon.connect();
    flood.send("\r\n".repeat(8_192).as_bytes());
    assert!(flood.read_head().starts_with("HTTP/1.1 431 "));
}

#[test]
fn each_member_has_one_line_for_its_coming_and_one_for_its_leaving_with_the_reason() {
    let mut daemon = Daemon::start(&[]);
    let mut member = daemon.open("/");
    let port = member.stream.local_addr().unwrap().port();
    member.send_close(4000);
    member.close_code();
    drop(member);
    assert!(
        daemon.wait_for_log("came to lobby").contains(&format!("#1 from 127.0.0.1:{port} came to lobby as Tourist 1"))
    );
    assert!(daemon.wait_for_log("left").ends_with("#1 left: it said goodbye, code 4000"));
}
