//! The real websocat 1.14, the client most people have at hand, used as its own documentation says.
//!
//! What it does that a server must know of: in text mode it sends each line with its newline; it splits lines at 65,536
//! bytes; at the end of its input it sends a Close without a code and then still prints what comes before the answer.

mod support;

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use serde_json::Value;

use support::{Daemon, Folder, PATIENCE, Raw};

/// A running websocat, killed when dropped.
struct Websocat {
    child: Child,
    output: Receiver<String>,
    complaints: Receiver<String>,
}

impl Websocat {
    /// Starts websocat and closes its standard input behind `input`; with `None` it has nothing on it from the start.
    fn start(arguments: &[&str], input: Option<&str>) -> Websocat {
        let mut child = Command::new("websocat")
            .args(arguments)
            .stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("websocat starts (if there is none: tests/run installs it)");
        let output = lines_of(child.stdout.take().unwrap());
        let complaints = lines_of(child.stderr.take().unwrap());
        if let Some(input) = input {
            let (mut stdin, input) = (child.stdin.take().unwrap(), input.to_owned());
            // It reads no more than it can send, so this may take as long as the test.
            std::thread::spawn(move || stdin.write_all(input.as_bytes()));
        }
        Websocat { child, output, complaints }
    }

    /// Runs websocat with `input` until it ends by itself.
    fn run(arguments: &[&str], input: &str) -> Outcome {
        Websocat::start(arguments, Some(input)).outcome()
    }

    fn line(&self) -> String {
        self.output.recv_timeout(PATIENCE).expect("websocat prints a line")
    }

    fn complaint(&self) -> String {
        self.complaints.recv_timeout(PATIENCE).expect("websocat says something on standard error")
    }

    /// The next event of that type, passing over others.
    fn event(&self, kind: &str) -> Value {
        loop {
            let event = json(&self.line());
            if event["type"] == kind {
                return event;
            }
        }
    }

    /// Waits for the end of it.
    fn outcome(mut self) -> Outcome {
        let deadline = Instant::now() + PATIENCE;
        let mut lines = Vec::new();
        loop {
            match self.output.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => lines.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("websocat does not end; it printed {} lines", lines.len()),
            }
        }
        loop {
            if let Some(status) = self.child.try_wait().expect("websocat can be waited for") {
                return Outcome { lines, complaints: self.complaints.iter().collect(), status };
            }
            assert!(Instant::now() < deadline, "websocat has closed its output, but does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Websocat {
    fn drop(&mut self) {
        // Only ever the child that this test started; if it has ended already there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What became of a websocat that ended by itself.
struct Outcome {
    lines: Vec<String>,
    complaints: Vec<String>,
    status: ExitStatus,
}

impl Outcome {
    /// The texts of the messages it printed.
    fn messages(&self) -> Vec<String> {
        assert!(self.status.success(), "{}: {:?}", self.status, self.complaints);
        self.lines.iter().map(|line| json(line)).filter(|event| event["type"] == "message").map(text_of).collect()
    }
}

fn lines_of(stream: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            // Read on even if nobody listens any more: a full pipe would hold websocat up.
            let _ = sender.send(line);
        }
    });
    lines
}

fn json(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("each line is one JSON object ({error}): {line}"))
}

fn text_of(event: Value) -> String {
    event["mess"].as_str().expect("a message has a text").to_owned()
}

fn url(daemon: &Daemon, path: &str) -> String {
    format!("ws://{}{path}", daemon.address)
}

#[test]
#[ignore = "needs websocat: tests/run installs it and runs this"]
fn two_lines_on_a_pipe_are_two_messages_without_newlines_and_both_come_back_before_the_goodbye() {
    let daemon = Daemon::start(&[]);
    for path in ["", "/", "/r/lobby"] {
        let outcome = Websocat::run(&[&url(&daemon, path)], "a\nb\n");
        let messages = outcome.messages();
        assert_eq!(messages[messages.len() - 2..], ["a", "b"], "at {path:?}");
        assert_eq!(json(&outcome.lines[0])["type"], "welcome");
    }
    let outcome = Websocat::run(&["-t", &url(&daemon, "/?quiet=1")], "Windows ends lines like this\r\nüñí 你好 🎉\n");
    assert_eq!(outcome.messages(), ["Windows ends lines like this", "üñí 你好 🎉"]);
}

#[test]
#[ignore = "needs websocat: tests/run installs it and runs this"]
fn a_quiet_connection_answers_one_question_with_one_line() {
    let daemon = Daemon::start(&[]);
    let mut earlier = daemon.open("/?quiet=1");
    earlier.send_text("from before");
    assert_eq!(earlier.message(), "from before", "or it would be said while websocat is there");
    let outcome = Websocat::run(&["-1", &url(&daemon, "?quiet=1")], "just this\n");
    assert_eq!(outcome.messages(), ["just this"]);
    assert_eq!(outcome.lines.len(), 1, "no greeting, no history, no presence: {:?}", outcome.lines);
}

/// The README shows how to read a room with websocat and jq. What others say must neither move a reader's cursor nor pass
/// for a line of somebody else.
#[test]
#[ignore = "needs websocat and jq: tests/run installs them and runs this"]
fn the_readme_s_jq_line_shows_a_chat_and_nothing_that_a_terminal_would_obey() {
    let readme = include_str!("../README.md");
    let program = readme.split("jq -r --unbuffered '").nth(1).and_then(|rest| rest.split('\'').next()).unwrap();
    let mut daemon = Daemon::start(&[]);
    let url = url(&daemon, "/?name=Ann");
    let mut reader = Command::new("sh")
        .args(["-c", r#"websocat -n -t "$1" </dev/null | jq -r --unbuffered "$2""#, "sh", &url, program])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = lines_of(reader.stdout.take().unwrap());
    // Each line begins with a time of day, or goes on with the one before.
    let line = || {
        let line = lines.recv_timeout(PATIENCE).expect("jq prints a line (if there is none: tests/run installs it)");
        match line.strip_prefix("      ") {
            Some(rest) => format!("+ {rest}"),
            None => {
                let (time, rest) = line.split_at(6);
                assert_eq!((&time[2..3], &time[5..]), (":", " "), "{line}");
                rest.to_owned()
            }
        }
    };
    assert_eq!(line(), "-- Ann: welcome to lobby, 1 online");
    let mut bob = daemon.open("/?name=Bob");
    assert_eq!(line(), "-- Bob joined the room");
    for (said, shown) in [
        ("hello", &["Bob: hello"][..]),
        ("/me waves", &["* Bob waves"]),
        ("/msg Ann psst", &["Bob to Ann: psst"]),
        ("\u{1b}[2J\u{1b}]0;title\u{7} \u{9b}31m \u{8}\u{7f}\r", &["Bob:  [2J ]0;title   31m    "]),
        ("abc \u{202e}fed\u{2066}", &["Bob: abc  fed "]),
        ("one\n12:00 Ann: not me\n", &["Bob: one", "+ 12:00 Ann: not me"]),
        (
            "\u{1f469}\u{200d}\u{1f467} علی\u{200c}رضا $(id) \\ \" '",
            &["Bob: \u{1f469}\u{200d}\u{1f467} علی\u{200c}رضا $(id) \\ \" '"],
        ),
        ("/nick Bobby", &["-- Bobby was Bob until now"]),
    ] {
        bob.send_text(said);
        for shown in shown {
            assert_eq!(line(), *shown, "{said:?}");
        }
    }
    drop(bob);
    assert_eq!(line(), "-- Bobby left the room");
    daemon.signal("TERM");
    assert!(daemon.wait().success());
    assert!(reader.wait().unwrap().success(), "both end with the daemon");
}

#[test]
#[ignore = "needs websocat: tests/run installs it and runs this"]
fn a_script_that_comes_back_prints_what_it_missed_before_its_own_words() {
    let daemon = Daemon::start(&[]);
    let room = url(&daemon, "/r/%E6%B1%89?quiet=1");
    let first = Websocat::run(&["-t", &room], "one\n");
    let last = json(first.lines.last().unwrap())["id"].as_u64().unwrap();
    Websocat::run(&["-t", &room], "two\n/me waves\n");
    let back = Websocat::run(&["-t", &format!("{room}&since={last}")], "three\n");
    assert!(back.status.success(), "{:?}", back.complaints);
    let texts: Vec<_> = back.lines.iter().map(|line| text_of(json(line))).collect();
    assert_eq!(texts, ["two", "waves", "three"]);
    let ids: Vec<_> = back.lines.iter().map(|line| json(line)["id"].as_u64().unwrap()).collect();
    assert_eq!(ids, [last + 1, last + 2, last + 3]);
}

#[test]
#[ignore = "needs websocat: tests/run installs it and runs this"]
fn a_command_from_a_script_is_answered_with_one_line() {
    let daemon = Daemon::start(&[]);
    let mut ann = daemon.open("/?name=Ann");
    ann.event("welcome");
    let outcome = Websocat::run(&["-1", &url(&daemon, "?quiet=1&name=Bot")], "/who\n");
    assert!(outcome.status.success(), "{:?}", outcome.complaints);
    assert_eq!(outcome.lines.len(), 1, "{:?}", outcome.lines);
    assert_eq!(json(&outcome.lines[0])["users"], serde_json::json!(["Ann", "Bot"]));
    // To one member, with spaces and quotes as a shell passes them on.
    let outcome = Websocat::run(&["-1", &url(&daemon, "?quiet=1&name=Bot")], "/msg \"ann\" the build is green\n");
    assert_eq!(json(&outcome.lines[0])["type"], "private");
    let heard = ann.event("private");
    assert_eq!((&heard["name"], &heard["mess"]), (&"Bot".into(), &"the build is green".into()));
}

#[test]
#[ignore = "needs websocat: tests/run installs it and runs this"]
fn every_listener_gets_every_line_once_and_in_order() {
    const LISTENERS: usize = 12;
    const TALKERS: usize = 3;
    const LINES: usize = 1000;

    let daemon = Daemon::start(&["--no-rate-limit", "--max-queue", "16777216"]);
    let room = url(&daemon, "/r/lobby");
    let listeners: Vec<_> = (0..LISTENERS).map(|_| Websocat::start(&["-n", "-t", &room], None)).collect();
    for listener in &listeners {
        listener.event("welcome");
    }

    // One talker alone: everybody, the talker included, has the same lines.
    let input: String = (1..=LINES).map(|line| format!("alone {line}\n")).collect();
    let expected: Vec<_> = input.lines().collect();
    assert_eq!(Websocat::run(&["-t", &room], &input).messages(), expected);
    for listener in &listeners {
        let heard: Vec<_> = (0..LINES).map(|_| text_of(listener.event("message"))).collect();
        assert_eq!(heard, expected);
    }

    // Several at once: how their lines mix is open, but it is the same for everybody, and nothing is lost on the way.
    let talkers: Vec<_> = (0..TALKERS)
        .map(|talker| {
            let input: String = (1..=LINES).map(|line| format!("{talker} {line}\n")).collect();
            Websocat::start(&["-t", &url(&daemon, "/?quiet=1")], Some(&input))
        })
        .collect();
    let first: Vec<_> = (0..TALKERS * LINES).map(|_| listeners[0].event("message")).collect();
    for talker in 0..TALKERS {
        let own: Vec<_> =
            first.iter().cloned().map(text_of).filter(|text| text.starts_with(&talker.to_string())).collect();
        assert_eq!(own, (1..=LINES).map(|line| format!("{talker} {line}")).collect::<Vec<_>>());
    }
    for listener in &listeners[1..] {
        let heard: Vec<_> = (0..TALKERS * LINES).map(|_| listener.event("message")).collect();
        assert!(heard == first, "the same lines in another order, or with other ids");
    }
    let ids: Vec<_> = first.iter().map(|event| event["id"].as_u64().unwrap()).collect();
    assert!(ids.is_sorted_by(|one, next| one + 1 == *next), "ids rise by one: no line twice, none left out");
    for talker in talkers {
        assert!(talker.outcome().status.success());
    }
}

#[test]
#[ignore = "needs websocat: tests/run installs it and runs this"]
fn a_fast_talker_is_slowed_down_and_loses_nothing() {
    let daemon = Daemon::start(&["--rate-burst", "10", "--rate", "100"]);
    let input: String = (1..=100).map(|line| format!("{line}\n")).collect();
    let begin = Instant::now();
    let messages = Websocat::run(&[&url(&daemon, "?quiet=1")], &input).messages();
    assert_eq!(messages, input.lines().collect::<Vec<_>>());
    assert!(begin.elapsed() >= Duration::from_millis(800), "90 lines beyond the first 10 take 0.9 s");
}

#[test]
#[ignore = "needs websocat: tests/run installs it and runs this"]
fn a_long_line_arrives_whole_and_a_longer_one_as_websocat_splits_it() {
    let daemon = Daemon::start(&[]);
    let mut listener = daemon.open("/?quiet=1");

    let long = "0123456789".repeat(6_000);
    let outcome = Websocat::run(&[&url(&daemon, "?quiet=1")], &format!("{long}\n"));
    assert!(outcome.messages() == [long.as_str()], "60,000 bytes come back whole");
    assert!(listener.message() == long);

    // 65,536 bytes is what websocat takes for a line, and also just what a message may have.
    let longer = "0123456789".repeat(10_000);
    let status = Websocat::run(&[&url(&daemon, "?quiet=1")], &format!("{longer}\n")).status;
    assert!(status.success());
    let (one, two) = (listener.message(), listener.message());
    assert_eq!((one.len(), two.len()), (65_536, 100_000 - 65_536));
    assert!(one + &two == longer);
}

#[test]
#[ignore = "needs websocat: tests/run installs it and runs this"]
fn a_message_over_the_limit_ends_its_sender_and_reaches_nobody() {
    let mut daemon = Daemon::start(&[]);
    let mut listener = daemon.open("/?quiet=1");
    let longer = "0123456789".repeat(10_000);
    // With this buffer it sends the line as one message; and it says what code the server closed with.
    let arguments = ["-vv", "-B", "200000", &url(&daemon, "?quiet=1")];
    let websocat = Websocat::start(&arguments, Some(&format!("{longer}\n")));
    while !websocat.complaint().contains("1009") {}
    daemon.wait_for_log("too big");
    listener.send_text("only this");
    assert_eq!(listener.message(), "only this");
}

#[test]
#[ignore = "needs websocat: tests/run installs it and runs this"]
fn headers_that_people_add_do_no_harm_but_a_foreign_origin_is_refused() {
    let daemon = Daemon::start(&[]);
    let origin = format!("--origin=http://{}", daemon.address);
    let added = ["-H=x-lower-case: 1", "-H=X-UPPER-CASE: 2", "-H=Cookie: a=b; c=d", "--ua=me", &origin];
    let url = url(&daemon, "?quiet=1");
    assert_eq!(Websocat::run(&[&added[..], &[&url]].concat(), "hi\n").messages(), ["hi"]);

    let refused = Websocat::run(&["--origin=http://elsewhere.example", &url], "hi\n");
    assert!(!refused.status.success());
    assert!(refused.complaints.concat().contains("403"), "{:?}", refused.complaints);
}

/// websocat 4, hyper and others write every header's name in lower case, and websocat 4 announces an empty body.
/// This one needs no websocat: it is the request as it was on the wire.
#[test]
fn the_names_of_headers_may_be_written_in_any_case() {
    let daemon = Daemon::start(&[]);
    let request = "GET /?quiet=1 HTTP/1.1\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                   Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\nHost: 127.0.0.1\r\n\r\n";
    let (line, headers) = request.split_once("\r\n").unwrap();
    let recase = |change: fn(&str) -> String| -> String {
        let headers = headers.split_inclusive("\r\n").map(|header| match header.split_once(':') {
            Some((name, value)) => format!("{}:{value}", change(name)),
            None => header.to_owned(),
        });
        format!("{line}\r\n{}", headers.collect::<String>())
    };
    for request in [request.to_owned(), recase(str::to_lowercase), recase(str::to_uppercase)] {
        let mut raw = daemon.connect();
        raw.send(request.as_bytes());
        let answer = raw.read_head();
        assert!(answer.starts_with("HTTP/1.1 101 "), "{request}{answer}");
        raw.send_text("hi");
        assert_eq!(raw.message(), "hi");
    }
}

#[test]
#[ignore = "needs websocat: tests/run installs it and runs this"]
fn a_client_that_pings_is_answered() {
    let daemon = Daemon::start(&[]);
    let arguments =
        ["--ping-interval=1", "--ping-timeout=20", "--print-ping-rtts", "-n", "-t", &url(&daemon, "/?quiet=1")];
    let websocat = Websocat::start(&arguments, None);
    for _ in 0..2 {
        while !websocat.complaint().contains("RTT") {}
    }
}

#[test]
#[ignore = "needs websocat: tests/run installs it and runs this"]
fn a_client_that_answers_pings_stays_and_one_that_does_not_is_dropped() {
    let mut daemon = Daemon::start(&["--ping-interval", "300ms", "--ping-timeout", "2s"]);
    let alive = Websocat::start(&["-n", "-t", &url(&daemon, "/")], None);
    assert_eq!(alive.event("welcome")["name"], "Tourist 1");
    let dead = Websocat::start(&["-n", "-t", "--inhibit-pongs=0", &url(&daemon, "/")], None);
    assert_eq!(dead.event("welcome")["name"], "Tourist 2");

    // By the time the one is gone, the other has been pinged several times and is still there to hear of it.
    assert_eq!(alive.event("leave")["name"], "Tourist 2");
    daemon.wait_for_log("#2 left");
    let mut other = daemon.open("/?quiet=1");
    other.send_text("still there?");
    assert_eq!(alive.event("message")["mess"], "still there?");
}

#[test]
#[ignore = "needs websocat: tests/run installs it and runs this"]
fn an_echo_returns_a_thousand_lines_as_they_were_and_in_order() {
    let daemon = Daemon::start(&["--echo"]);
    let input: String = (1..=1000).map(|line| format!("line {line}\n")).collect();
    let outcome = Websocat::run(&["-t", &url(&daemon, "/echo")], &input);
    assert!(outcome.status.success());
    assert_eq!(outcome.lines, input.lines().collect::<Vec<_>>());
}

#[test]
#[ignore = "needs websocat: tests/run installs it and runs this"]
fn a_room_behind_a_unix_socket_is_the_same_room() {
    let folder = Folder::new();
    let place = folder.file("roomd.sock");
    let listen = format!("unix:{place}");
    let mut daemon = Daemon::start(&["--listen", &listen]);
    let deadline = Instant::now() + PATIENCE;
    while UnixStream::connect(&place).is_err() {
        assert!(Instant::now() < deadline, "nobody listens at {place}");
        std::thread::sleep(Duration::from_millis(5));
    }

    let mut listener: Raw = daemon.open("/?quiet=1");
    let target = format!("ws-c:unix:{place}");
    let outcome = Websocat::run(&["-t", "-", &target, "--ws-c-uri=ws://localhost/?quiet=1"], "through a file\n");
    assert_eq!(outcome.messages(), ["through a file"]);
    assert_eq!(listener.message(), "through a file");

    daemon.signal("TERM");
    assert!(daemon.wait().success());
    assert!(!std::fs::exists(&place).unwrap(), "who made the socket takes it away");
}
