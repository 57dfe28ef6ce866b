//! Every limit over real sockets: what its passing is answered with, that nobody else notices, and what it costs. With
//! them the holes that other WebSocket servers had; each such test names the advisory that it buries.

mod support;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rlimit::Resource;
use support::{Daemon, PATIENCE, Raw, handshake, masked_frame, masked_header};

const FIN: u8 = 0x80;
const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const PING: u8 = 0x9;
const PONG: u8 = 0xa;

/// A client whose receive buffer is as small as the kernel allows: it counts as slow before megabytes have gone by.
fn client_with_small_buffer(daemon: &Daemon) -> Raw {
    let address: SocketAddr = daemon.address.parse().unwrap();
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    socket.connect(&address.into()).unwrap();
    let mut raw = Raw::over(socket.into());
    raw.send(handshake("/").as_bytes());
    assert!(raw.read_head().starts_with("HTTP/1.1 101 "));
    raw
}

/// CPU time of the daemon in half a second in which nothing happens, in ticks of 10 ms. A loop that spins uses 50.
fn ticks_while_idle(daemon: &Daemon) -> u64 {
    let before = daemon.cpu_ticks();
    std::thread::sleep(Duration::from_millis(500));
    daemon.cpu_ticks() - before
}

/// Sends a ping and waits for its pong: by then the daemon has dealt with all that was sent before.
fn wait_until_read(client: &mut Raw) {
    client.send(&masked_frame(FIN | PING, b"read?"));
    while client.frame().first_byte != FIN | PONG {}
}

#[test]
fn one_connection_too_many_is_told_so_and_let_in_once_another_has_left() {
    let mut daemon = Daemon::start(&["--max-connections", "2"]);
    let mut first = daemon.open("/");
    let _second = daemon.open("/");
    let mut third = daemon.connect();
    let head = third.read_head();
    assert!(head.starts_with("HTTP/1.1 503 ") && head.contains("\r\nRetry-After: "), "{head}");
    assert!(head.contains("\r\nConnection: close\r\n"), "{head}");
    assert!(!third.read_to_end().is_empty(), "words that explain it, and then the end");
    drop(third);
    daemon.wait_for_log("503 Service Unavailable");
    first.send_text("still here");
    assert_eq!(first.message(), "still here");
    drop(first);
    daemon.wait_for_log("#1 left");
    let _fourth = daemon.open("/");
}

#[test]
fn more_connections_than_can_even_be_refused_wait_and_are_served_later() {
    let daemon = Daemon::start(&["--max-connections", "1", "--close-timeout", "100ms"]);
    let mut clients: Vec<Raw> = (0..300).map(|_| daemon.connect()).collect();
    clients[0].send(handshake("/").as_bytes());
    assert!(clients[0].read_head().starts_with("HTTP/1.1 101 "));
    for client in &mut clients[1..] {
        assert!(client.read_head().starts_with("HTTP/1.1 503 "));
    }
}

#[test]
fn a_head_over_the_limit_is_431_and_nothing_of_it_is_kept() {
    let daemon = Daemon::start(&["--max-head", "1000"]);
    for line in [900, 2_000, 100_000, 1_000_000] {
        let mut client = daemon.connect();
        client.send(format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "y".repeat(line)).as_bytes());
        let expected = if line < 1_000 { "HTTP/1.1 200 " } else { "HTTP/1.1 431 " };
        assert!(client.read_head().starts_with(expected), "a line of {line} bytes");
    }
}

/// The deadline counts from accept: a byte now and then does not move it.
#[test]
fn a_handshake_that_drips_is_cut_off_with_408() {
    let daemon = Daemon::start(&["--handshake-timeout", "300ms"]);
    let mut dripping = daemon.connect();
    let start = Instant::now();
    for byte in handshake("/").bytes().cycle() {
        dripping.send(&[byte]);
        if dripping.has_something_to_read(Duration::from_millis(20)) {
            break;
        }
        assert!(start.elapsed() < PATIENCE, "it drips on for ever");
    }
    assert!(dripping.read_head().starts_with("HTTP/1.1 408 "));
    assert!(start.elapsed() >= Duration::from_millis(300));
}

/// CVE-2023-43669: a handshake in single bytes was parsed anew for each of them.
#[test]
fn a_head_in_single_bytes_makes_work_that_is_linear_in_its_length() {
    let daemon = Daemon::start(&["--max-head", "1000000", "--handshake-timeout", "60s"]);
    let mut client = daemon.connect();
    let before = daemon.cpu_ticks();
    client.send(format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}", "y".repeat(900_000)).as_bytes());
    for _ in 0..2_000 {
        client.send(b"y");
    }
    client.send(b"\r\n\r\n");
    assert!(client.read_head().starts_with("HTTP/1.1 200 "));
    // 2,000 looks at 900 KB would be 1.8 GB: seconds of a debug build.
    assert!(daemon.cpu_ticks() - before < 100, "{} ticks", daemon.cpu_ticks() - before);
}

#[test]
fn a_reader_that_stalls_is_dropped_with_1008_and_slows_nobody() {
    let mut daemon = Daemon::start(&["--no-rate-limit", "--max-queue", "100000", "--close-timeout", "30s"]);
    let mut stalled = client_with_small_buffer(&daemon);
    let mut talker = daemon.open("/");
    talker.event("welcome");
    // Ten megabytes: more than a kernel holds for one connection.
    let text = "z".repeat(60_000);
    for nth in 0..170 {
        talker.send_text(&format!("{nth} {text}"));
        assert_eq!(talker.message(), format!("{nth} {text}"), "the others hear everything");
    }
    // Now it reads, faster than a kernel with four kilobytes of room could.
    socket2::SockRef::from(&stalled.stream).set_recv_buffer_size(1 << 20).unwrap();
    // What it had begun to receive is whole, and behind it stands the reason.
    assert_eq!(stalled.close_code(), 1008);
    stalled.send_close(1008);
    assert_eq!(stalled.next_frame(), None);
    drop(stalled);
    daemon.wait_for_log("too slow a reader");
}

#[test]
fn a_stalled_reader_costs_its_queue_and_no_more() {
    let mut daemon = Daemon::start(&["--no-rate-limit", "--max-queue", "100000", "--close-timeout", "100ms"]);
    let stalled: Vec<Raw> = (0..20).map(|_| client_with_small_buffer(&daemon)).collect();
    let mut talker = daemon.open("/?quiet=1");
    wait_until_read(&mut talker);
    let before = daemon.resident_kib();
    let text = "z".repeat(60_000);
    for _ in 0..200 {
        talker.send_text(&text);
        talker.message();
    }
    let grown = daemon.resident_kib().saturating_sub(before);
    assert!(grown < 30_000, "{grown} KiB for 12 MB said to 20 stalled readers: 240 MB if each had a copy");
    for _ in &stalled {
        daemon.wait_for_log("too slow a reader");
    }
}

/// Each that leaves is still to see what was said before: a part of the turn's chunk, and not a copy of it.
#[test]
fn a_crowd_that_speaks_and_leaves_in_one_turn_costs_one_chunk() {
    // Nobody reads before all have spoken, and then 1.5 MB wait for each: that is not what is looked at here.
    let daemon = Daemon::start(&["--read-budget", "1000000", "--max-queue", "10000000"]);
    let mut crowd: Vec<Raw> = (0..300).map(|_| daemon.open("/?quiet=1")).collect();
    wait_until_read(&mut crowd[299]);
    let before = daemon.peak_kib();
    let words = [masked_frame(FIN | TEXT, b"x").repeat(49), masked_frame(0x88, b"")].concat();
    // Stopped, so that all of it is there when the daemon looks again.
    daemon.signal("STOP");
    for client in &mut crowd {
        client.send(&words);
    }
    daemon.signal("CONT");
    for client in &mut crowd {
        assert_eq!(client.close_code(), 1005);
    }
    let grown = daemon.peak_kib() - before;
    assert!(grown < 30_000, "{grown} KiB for 100 KiB on the wire");
}

/// A newcomer who reads as fast as anybody must not be "too slow" because the past is large.
#[test]
fn the_past_that_a_newcomer_is_sent_fits_in_half_of_its_queue() {
    let daemon = Daemon::start(&["--no-rate-limit", "--max-queue", "1000000"]);
    let mut speaker = daemon.open("/");
    // Each control character is six bytes of JSON.
    let mut last = 0;
    for _ in 0..20 {
        speaker.send_text(&"\u{1}".repeat(20_000));
        last = speaker.event("message")["id"].as_u64().unwrap();
    }
    let mut newcomer = daemon.open("/");
    assert_eq!(newcomer.frame().json()["last"], last);
    speaker.send_text("the present");
    let (mut past, mut ids) = (0, Vec::new());
    loop {
        let frame = newcomer.frame();
        ids.push(frame.json()["id"].as_u64().unwrap());
        if frame.json()["mess"] == "the present" {
            break;
        }
        past += frame.payload.len();
    }
    assert!((300_000..=500_000).contains(&past), "{past} bytes of the past");
    assert!(ids.is_sorted_by(|a, b| a + 1 == *b) && ids.last() == Some(&(last + 1)), "{ids:?}");
}

#[test]
fn a_silent_peer_is_pinged_and_then_dropped_while_one_that_answers_stays() {
    let mut daemon = Daemon::start(&["--ping-interval", "100ms", "--ping-timeout", "300ms"]);
    let mut silent = daemon.open("/?quiet=1");
    let mut alive = daemon.open("/?quiet=1");
    let mut pings = 0;
    while pings < 6 {
        let frame = alive.frame();
        if frame.first_byte == FIN | PING {
            pings += 1;
            alive.send(&masked_frame(FIN | PONG, &frame.payload));
        }
    }
    assert_eq!(silent.frame().first_byte, FIN | PING);
    assert_eq!(silent.frame().close_code(), 1008);
    daemon.wait_for_log("no sign of life");
}

/// CVE-2024-23672: sockets kept for peers that never finish closing.
#[test]
fn a_peer_that_never_finishes_closing_is_cut() {
    let mut daemon = Daemon::start_with_requests_logged(&["--close-timeout", "100ms"]);
    let mut client = daemon.open("/");
    client.send_close(1000);
    assert_eq!(client.close_code(), 1000);
    daemon.wait_for_log("#1 left: it said goodbye, code 1000");
    let mut refused = daemon.connect();
    refused.send(b"\x00");
    assert!(refused.read_head().starts_with("HTTP/1.1 400 "));
    daemon.wait_for_log("#2 from");
}

/// CVE-2017-2670: an unclean end made a server spin.
#[test]
fn resets_and_half_closes_in_every_state_leave_nothing_behind_and_nothing_spinning() {
    let mut daemon = Daemon::start_with_requests_logged(&["--echo", "--close-timeout", "200ms"]);
    type End = fn(Raw);
    let ends: [End; 3] = [
        Raw::reset,
        |mut client| {
            client.finish_sending();
            client.read_to_end();
        },
        drop,
    ];
    let mut connections = 0;
    for end in ends {
        let states: [&dyn Fn() -> Raw; 6] = [
            &|| daemon.connect(),
            &|| {
                let mut client = daemon.connect();
                client.send(b"GET / HT");
                client
            },
            &|| daemon.open("/"),
            &|| {
                let mut client = daemon.open("/");
                client.send(&masked_frame(FIN | TEXT, b"cut")[..7]);
                client
            },
            &|| {
                let mut client = daemon.open("/echo");
                client.send_close(1000);
                client
            },
            &|| {
                let mut client = daemon.open("/");
                client.send(b"\xff");
                client
            },
        ];
        for state in states {
            end(state());
            connections += 1;
        }
    }
    let mut gone = 0;
    while gone < connections {
        let line = daemon.wait_for_log("roomd::hub] #");
        gone += usize::from(!line.contains(" came to "));
    }
    assert!(ticks_while_idle(&daemon) <= 3, "the loop spins");
}

#[test]
fn an_idle_daemon_with_members_uses_no_cpu() {
    let daemon = Daemon::start(&[]);
    let mut members: Vec<Raw> = (0..20).map(|_| daemon.open("/")).collect();
    wait_until_read(&mut members[0]);
    assert!(ticks_while_idle(&daemon) <= 3, "the loop spins");
}

#[test]
fn without_descriptors_the_daemon_waits_without_spinning_and_goes_on_when_there_are_some() {
    let mut daemon = Daemon::start(&[]);
    let pid = daemon.pid() as libc::pid_t;
    let mut member = daemon.open("/?quiet=1");
    wait_until_read(&mut member);
    let mut before = (0, 0);
    rlimit::prlimit(pid, Resource::NOFILE, None, Some((&mut before.0, &mut before.1))).unwrap();
    // Those that are open stay open; there will be no other, whatever numbers are free.
    rlimit::prlimit(pid, Resource::NOFILE, Some((1, before.1)), None).unwrap();
    // The handshake of the kernel succeeds; the daemon cannot take them.
    let mut waiting: Vec<Raw> = (0..5).map(|_| daemon.connect()).collect();
    daemon.wait_for_log("cannot accept more than 1 connections for now");
    member.send_text("served all the same");
    assert_eq!(member.message(), "served all the same");
    assert!(ticks_while_idle(&daemon) <= 3, "the loop spins");
    rlimit::prlimit(pid, Resource::NOFILE, Some(before), None).unwrap();
    // One that leaves is the sign to try again; and if none does, time is.
    drop(member);
    for client in &mut waiting {
        client.send(handshake("/").as_bytes());
        assert!(client.read_head().starts_with("HTTP/1.1 101 "));
    }
}

/// CVE-2022-35922: memory was reserved by the claimed length.
#[test]
fn a_claimed_length_reserves_nothing() {
    let daemon = Daemon::start(&["--echo", "--max-message", "4000000000"]);
    let mut clients: Vec<Raw> = (0..50).map(|_| daemon.open("/echo")).collect();
    wait_until_read(&mut clients[0]);
    let before = daemon.resident_kib();
    for client in &mut clients {
        client.send(&masked_header(FIN | BINARY, 3_999_999_999, [1, 2, 3, 4]));
        client.send(b"a few bytes of it");
    }
    let mut last = daemon.open("/echo");
    wait_until_read(&mut last);
    let grown = daemon.resident_kib().saturating_sub(before);
    assert!(grown < 2_000, "{grown} KiB for 50 claims of 4 GB");
}

/// ws#2331 and CVE-2026-48779: an object for each fragment made 15 bytes of memory of each byte on the wire.
#[test]
fn fragments_of_one_byte_cost_no_more_than_their_bytes() {
    let daemon = Daemon::start(&["--echo", "--max-fragments", "1000000", "--max-message", "1000000"]);
    let mut client = daemon.open("/echo");
    wait_until_read(&mut client);
    let before = daemon.resident_kib();
    let mut bytes = masked_frame(BINARY, b"x");
    for _ in 0..131_000 {
        bytes.extend(masked_frame(0, b"x"));
    }
    client.send(&bytes);
    wait_until_read(&mut client);
    let grown = daemon.resident_kib().saturating_sub(before);
    assert!(grown < 2 * bytes.len() as u64 / 1024, "{grown} KiB for {} KiB on the wire", bytes.len() / 1024);
}

/// CVE-2021-3690: a buffer leaked for each Pong.
#[test]
fn frames_that_say_nothing_cost_nothing_that_lasts() {
    let daemon = Daemon::start(&["--no-rate-limit"]);
    let mut client = daemon.open("/?quiet=1");
    wait_until_read(&mut client);
    let before = daemon.resident_kib();
    let round: Vec<u8> =
        [masked_frame(FIN | PONG, b""), masked_frame(FIN | TEXT, b""), masked_frame(FIN | TEXT, b"\n")]
            .concat()
            .repeat(5_000);
    for _ in 0..20 {
        client.send(&round);
        wait_until_read(&mut client);
    }
    let grown = daemon.resident_kib().saturating_sub(before);
    assert!(grown < 1_000, "{grown} KiB after 300,000 empty frames");
}

/// A talker is slowed, not punished.
#[test]
fn a_fast_talker_is_slowed_and_nothing_is_lost() {
    let daemon = Daemon::start(&["--rate-burst", "5", "--rate", "200"]);
    let mut listener = daemon.open("/?quiet=1");
    wait_until_read(&mut listener);
    let mut talker = daemon.open("/?quiet=1");
    let start = Instant::now();
    let flood: Vec<u8> = (0..45).flat_map(|nth| masked_frame(FIN | TEXT, format!("{nth}").as_bytes())).collect();
    talker.send(&flood);
    for nth in 0..45 {
        assert_eq!(listener.message(), nth.to_string());
    }
    assert!(start.elapsed() >= Duration::from_millis(190), "forty frames at 200 a second");
}

/// Its own answers reset the connection of somebody who does not wait for them. What it said before is said.
#[test]
fn a_fast_talker_that_does_not_wait_for_answers_loses_no_word() {
    let daemon = Daemon::start(&["--rate-burst", "5", "--rate", "1000"]);
    let mut listener = daemon.open("/?quiet=1");
    wait_until_read(&mut listener);
    let mut talker = daemon.open("/");
    let words: Vec<u8> = (0..200).flat_map(|nth| masked_frame(FIN | TEXT, format!("{nth}").as_bytes())).collect();
    talker.send(&words);
    talker.send_close(1000);
    drop(talker);
    for nth in 0..200 {
        assert_eq!(listener.message(), nth.to_string());
    }
}

/// A sender that is slowed for other frames must not gain time for the message by it.
#[test]
fn a_message_that_is_never_finished_is_cut_off_whatever_comes_in_between() {
    let daemon = Daemon::start(&["--message-timeout", "300ms", "--rate-burst", "2", "--rate", "100"]);
    let mut client = daemon.open("/?quiet=1");
    client.send(&masked_frame(TEXT, b"never finished"));
    client.send(&masked_frame(FIN | PONG, b"").repeat(200));
    assert_eq!(client.close_code(), 1008);
}

/// GHSA smuggling: a proxy that believes in an upgrade that was refused passes the next request through.
#[test]
fn a_refused_upgrade_answers_no_second_request() {
    let daemon = Daemon::start(&[]);
    let refused = handshake("/").replace("Version: 13", "Version: 777");
    let mut client = daemon.connect();
    client.send(format!("{refused}GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes());
    let answer = String::from_utf8(client.read_to_end()).unwrap();
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    assert!(answer.starts_with("HTTP/1.1 426 ") && answer.contains("\r\nConnection: close"), "{answer}");
}

#[test]
fn an_upgrade_with_a_body_is_refused() {
    let daemon = Daemon::start(&[]);
    for (lines, status) in [
        ("Content-Length: 5", "400"),
        ("Transfer-Encoding: chunked", "400"),
        ("Content-Length: x", "400"),
        ("content-length: 0", "101"),
    ] {
        let mut client = daemon.connect();
        client.send(handshake("/").replace("\r\n\r\n", &format!("\r\n{lines}\r\n\r\n")).as_bytes());
        assert!(client.read_head().starts_with(&format!("HTTP/1.1 {status} ")), "{lines}");
    }
    let mut client = daemon.connect();
    client.send(b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello");
    assert!(client.read_head().starts_with("HTTP/1.1 413 "));
}

/// The largest of the public conformance suite: section 9, with the limits raised for it.
#[test]
fn messages_of_16_mib_and_of_65536_fragments_come_back_whole() {
    let daemon = Daemon::start(&["--echo", "--max-message", "67108864", "--max-fragments", "1000000"]);
    let size = 16 * 1024 * 1024;
    let payload: Vec<u8> = (0..size).map(|at: usize| b'a' + (at % 23) as u8).collect();

    let mut whole = daemon.open("/echo");
    whole.send_from_another_thread(masked_frame(FIN | TEXT, &payload));
    assert!(whole.frame().payload == payload, "one frame of 16 MiB");

    for fragment in [64, 4_096] {
        let mut client = daemon.open("/echo");
        let text = &payload[..(fragment * 65_536).min(size)];
        let mut bytes = Vec::new();
        let count = text.len() / fragment;
        for (nth, piece) in text.chunks(fragment).enumerate() {
            let fin = if nth + 1 == count { FIN } else { 0 };
            bytes.extend(masked_frame(if nth == 0 { fin | TEXT } else { fin }, piece));
        }
        client.send_from_another_thread(bytes);
        assert!(client.frame().payload == text, "{count} fragments of {fragment} bytes");
    }
}
