//! The process is stopped for longer than any deadline, and goes on: what had arrived meanwhile is not late.

mod support;

use std::thread::sleep;
use std::time::{Duration, Instant};

use support::{Daemon, Raw, handshake, masked_frame};

const FIN: u8 = 0x80;
const PING: u8 = 0x9;
const PONG: u8 = 0xa;

/// More than the kernel gives the loop in one turn, which is 1,024.
const MANY: usize = 1_300;

const TIMEOUT: Duration = Duration::from_secs(5);

/// Connections that have been accepted, and have the larger part of their time before them.
fn accepted(count: usize) -> (Daemon, Vec<Raw>) {
    rlimit::increase_nofile_limit(u64::MAX).expect("a test may have as many files as the system allows");
    for _ in 0..10 {
        let daemon = Daemon::start(&["--handshake-timeout", "5s"]);
        let start = Instant::now();
        let clients: Vec<Raw> = (0..count).map(|_| daemon.connect()).collect();
        // They are accepted in their order, so this one is the last.
        let mut last = daemon.connect();
        last.send(b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        last.read_to_end();
        if start.elapsed() < TIMEOUT / 2 {
            return (daemon, clients);
        }
    }
    panic!("this machine is too busy to connect {count} times in {TIMEOUT:?}");
}

/// 3,000 of 3,000 were answered 408.
#[test]
fn whose_request_came_while_the_process_was_stopped_is_not_told_that_it_is_late() {
    let (daemon, mut clients) = accepted(MANY);
    daemon.signal("STOP");
    for client in &mut clients {
        client.send(handshake("/?quiet=1").as_bytes());
    }
    // The pause itself is what is tested: it is longer than the time for a request.
    sleep(TIMEOUT + Duration::from_millis(500));
    daemon.signal("CONT");
    for client in &mut clients {
        let head = client.read_head();
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    }
}

/// 2,226 of 5,000 were closed as silent.
#[test]
fn whose_pong_came_while_the_process_was_stopped_is_not_silent() {
    let daemon = Daemon::start(&["--ping-interval", "500ms", "--ping-timeout", "4s"]);
    let mut members: Vec<Raw> = (0..200).map(|_| daemon.open("/?quiet=1")).collect();
    for member in &mut members {
        assert_eq!(member.frame().first_byte, FIN | PING);
    }
    daemon.signal("STOP");
    for member in &mut members {
        member.send(&masked_frame(FIN | PONG, b""));
    }
    sleep(Duration::from_millis(4_500));
    daemon.signal("CONT");
    for member in &mut members {
        member.send(&masked_frame(FIN | PING, b"still here?"));
        loop {
            match member.frame().first_byte {
                first if first == FIN | PONG => break,
                first => assert_eq!(first, FIN | PING, "nothing but questions whether it is there"),
            }
        }
    }
}

/// "a pause of 2.5s" was in the log, and a deadline was put off by as much with each signal.
#[test]
fn a_signal_into_a_quiet_daemon_is_no_pause() {
    let mut daemon = Daemon::start(&[]);
    // The wait itself is what is tested: it is longer than what counts of a pause.
    sleep(Duration::from_millis(2_500));
    daemon.signal("USR1");
    daemon.wait_for_log("SIGUSR1: ");
    let pauses = daemon.log_so_far().iter().filter(|line| line.contains("a pause of ")).count();
    assert_eq!(pauses, 0, "{:?}", daemon.log_so_far());
}
