//! The load scripts, with small numbers: that they say yes to a daemon that delivers everything once and in order, and
//! no as soon as one line is lost, comes twice or comes too early. What finds no fault must be able to find one.

mod support;

use std::io::Write;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use support::{Daemon, Raw, parse_frame};

/// Runs a script until it ends; each is bounded in time by itself.
fn run(script: &str, address: &str, arguments: &[&str]) -> Output {
    Command::new("bash")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/load").join(script))
        .arg(format!("ws://{address}"))
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("bash runs")
}

/// What a script printed, if it ended well.
fn success(script: &str, daemon: &Daemon, arguments: &[&str]) -> String {
    let output = run(script, &daemon.address, arguments);
    assert!(output.status.success(), "{script}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// What a script printed, if it ended as it has to when something is wrong.
fn failure(script: &str, address: &str, arguments: &[&str]) -> String {
    let output = run(script, address, arguments);
    assert_eq!(output.status.code(), Some(1), "{script}: {output:?}");
    assert!(!output.stderr.is_empty(), "it says what is wrong");
    String::from_utf8(output.stdout).unwrap()
}

#[track_caller]
fn assert_counts(printed: &str, counts: &str) {
    assert_eq!(printed.lines().last(), Some(counts), "{printed}");
}

#[test]
#[ignore = "needs websocat: tests/run installs it and runs this"]
fn fanout_counts_what_every_listener_heard() {
    let daemon = Daemon::start(&["--no-rate-limit"]);
    let printed = success("fanout.sh", &daemon, &["--listeners", "3", "--lines", "100"]);
    assert_counts(&printed, "expected 300, received 300, lost 0, duplicated 0");
    // In the same room again: what the last run said is not counted.
    let printed = success("fanout.sh", &daemon, &["--listeners", "2", "--talkers", "3", "--lines", "50"]);
    assert_counts(&printed, "expected 300, received 300, lost 0, duplicated 0");
}

#[test]
#[ignore = "needs websocat: tests/run installs it and runs this"]
fn echo_counts_what_came_back() {
    let daemon = Daemon::start(&["--echo"]);
    let printed = success("echo.sh", &daemon, &["--lines", "500"]);
    assert_counts(&printed, "expected 500, received 500, lost 0, duplicated 0");
    let printed = success("echo.sh", &daemon, &["--clients", "3", "--lines", "100"]);
    assert_counts(&printed, "expected 300, received 300, lost 0, duplicated 0");
}

#[test]
#[ignore = "needs websocat: tests/run installs it and runs this"]
fn echo_fails_where_there_is_no_echo() {
    let daemon = Daemon::start(&[]);
    let printed = failure("echo.sh", &daemon.address, &["--lines", "10"]);
    assert_counts(&printed, "expected 10, received 0, lost 10, duplicated 0");
}

#[test]
#[ignore = "needs websocat: tests/run installs it and runs this"]
fn storm_counts_what_a_crowd_said() {
    let daemon = Daemon::start(&[]);
    let printed = success("storm.sh", &daemon, &["--clients", "20"]);
    assert_counts(&printed, "expected 20, received 20, lost 0, duplicated 0");
}

#[test]
#[ignore = "needs websocat: tests/run installs it and runs this"]
fn a_slow_reader_is_dropped_and_the_others_hear_everything() {
    let mut daemon = Daemon::start(&["--no-rate-limit"]);
    let printed = success("slow-reader.sh", &daemon, &["--listeners", "2", "--lines", "800"]);
    assert_counts(&printed, "expected 1600, received 1600, lost 0, duplicated 0");
    // The script cannot see why it went; the daemon's log can.
    daemon.wait_for_log("too slow a reader");
}

#[test]
#[ignore = "needs websocat: tests/run installs it and runs this"]
fn a_slow_reader_that_is_not_dropped_is_a_failure() {
    let daemon = Daemon::start(&["--no-rate-limit"]);
    // So little that the kernel keeps all of it.
    let arguments = ["--listeners", "1", "--lines", "10", "--bytes", "1000", "--limit", "5"];
    let printed = failure("slow-reader.sh", &daemon.address, &arguments);
    assert_counts(&printed, "expected 10, received 10, lost 0, duplicated 0");
}

#[test]
#[ignore = "needs websocat: tests/run installs it and runs this"]
fn one_lost_line_is_found() {
    let daemon = Daemon::start(&["--no-rate-limit", "--echo"]);
    let address = faulty(&daemon, Fault::Lose);
    let printed = failure("fanout.sh", &address, &["--listeners", "3", "--lines", "20"]);
    assert_counts(&printed, "expected 60, received 57, lost 3, duplicated 0");
    let printed = failure("echo.sh", &address, &["--clients", "2", "--lines", "20"]);
    assert_counts(&printed, "expected 40, received 38, lost 2, duplicated 0");
}

#[test]
#[ignore = "needs websocat: tests/run installs it and runs this"]
fn one_line_that_comes_twice_is_found() {
    let daemon = Daemon::start(&["--no-rate-limit", "--echo"]);
    let address = faulty(&daemon, Fault::Repeat);
    let printed = failure("fanout.sh", &address, &["--listeners", "3", "--lines", "20"]);
    assert_counts(&printed, "expected 60, received 63, lost 0, duplicated 3");
    let printed = failure("echo.sh", &address, &["--lines", "20"]);
    assert_counts(&printed, "expected 20, received 21, lost 0, duplicated 1");
}

#[test]
#[ignore = "needs websocat: tests/run installs it and runs this"]
fn two_lines_in_the_wrong_order_are_found_though_the_counts_are_right() {
    let daemon = Daemon::start(&["--no-rate-limit", "--echo"]);
    let address = faulty(&daemon, Fault::Swap);
    let printed = failure("fanout.sh", &address, &["--listeners", "3", "--lines", "20"]);
    assert_counts(&printed, "expected 60, received 60, lost 0, duplicated 0");
    let printed = failure("echo.sh", &address, &["--lines", "20"]);
    assert_counts(&printed, "expected 20, received 20, lost 0, duplicated 0");
}

#[test]
#[ignore = "needs websocat: tests/run installs it and runs this"]
fn a_storm_that_loses_a_line_is_found() {
    let daemon = Daemon::start(&["--no-rate-limit"]);
    // Every talker says line 1 only, so the fault is put on the seventh talker instead.
    let address = faulty_at(&daemon, Fault::Lose, " 0007 00000001");
    let printed = failure("storm.sh", &address, &["--clients", "10"]);
    assert_counts(&printed, "expected 10, received 9, lost 1, duplicated 0");
}

#[test]
fn each_script_explains_itself() {
    for script in ["fanout.sh", "echo.sh", "storm.sh", "slow-reader.sh"] {
        let help = success_without_daemon(script);
        assert!(help.contains(&format!("tests/load/{script} [URL]")), "{help}");
        assert!(help.contains("Exits 1"), "{help}");
    }
}

fn success_without_daemon(script: &str) -> String {
    let output = run(script, "127.0.0.1:1", &["--help"]);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// What can go wrong with a line on its way.
#[derive(Clone, Copy)]
enum Fault {
    Lose,
    Repeat,
    /// It comes behind the one after it.
    Swap,
}

/// A way to the daemon on which the seventh line of each talker goes wrong, for every listener. Returns its address.
fn faulty(daemon: &Daemon, fault: Fault) -> String {
    faulty_at(daemon, fault, " 00000007")
}

/// The same, for lines that hold `part`. Its threads end with their connections, and with the test's process.
fn faulty_at(daemon: &Daemon, fault: Fault, part: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().unwrap().to_string();
    let behind = daemon.address.clone();
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let Ok(server) = TcpStream::connect(&behind) else { return };
            let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut from, &mut to);
                let _ = to.shutdown(Shutdown::Write);
            });
            std::thread::spawn(move || deliver(Raw::over(server), client, fault, part));
        }
    });
    address
}

/// Hands on what the server says, one frame at a time, and makes the mistake.
fn deliver(mut server: Raw, mut client: TcpStream, fault: Fault, part: &str) {
    // websocat may leave at any time; then there is nobody to hand anything to.
    let mut hand_on = |bytes: &[u8]| client.write_all(bytes).is_ok();
    let mut held = None;
    if !hand_on(server.read_head().as_bytes()) {
        return;
    }
    while let Some(frame) = server.next_frame() {
        let bytes = unmasked(frame.first_byte, &frame.payload);
        let is_hit = frame.payload.windows(part.len()).any(|window| window == part.as_bytes());
        let is_fine = match fault {
            Fault::Lose if is_hit => true,
            Fault::Repeat if is_hit => hand_on(&bytes) && hand_on(&bytes),
            Fault::Swap if is_hit => {
                held = Some(bytes);
                true
            }
            _ => hand_on(&bytes) && held.take().is_none_or(|held| hand_on(&held)),
        };
        if !is_fine {
            return;
        }
    }
    let _ = client.shutdown(Shutdown::Both);
}

/// A server's frame.
fn unmasked(first_byte: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first_byte];
    match u16::try_from(payload.len()) {
        Ok(len @ 0..=125) => bytes.push(len as u8),
        Ok(len) => {
            bytes.push(126);
            bytes.extend_from_slice(&len.to_be_bytes());
        }
        Err(_) => panic!("no line of these tests is that long"),
    }
    bytes.extend_from_slice(payload);
    assert!(parse_frame(&bytes).is_some_and(|(_, len)| len == bytes.len()));
    bytes
}
