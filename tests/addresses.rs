//! Limits per address: who is counted under which, what is answered beyond them, and that nobody else notices.
//!
//! Everything over loopback comes from an address that is exempt. So other addresses are scripted sockets, or are named by a
//! proxy on loopback that is trusted.

#[path = "testing/clocked_hub.rs"]
mod clocked_hub;
#[path = "testing/fake_socket.rs"]
mod fake_socket;
mod support;

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use clocked_hub::{ClockedHub, FakeClient};
use roomd::gate::{AddressPolicy, PeerAddress, ProxyProtocol};
use roomd::history::log::InMemoryLog;
use roomd::hub::PeerId;
use roomd::limits::Limits;
use roomd::rate_limit::Rate;
use support::{Daemon, Raw, handshake};

/// A hub that counts addresses, and trusts 10.0.0.0/8 and socket files.
fn hub(limits: Limits, proxy_protocol: ProxyProtocol) -> ClockedHub {
    let trusted = vec!["10.0.0.0/8".parse().unwrap(), "unix".parse().unwrap()];
    let exempt = vec!["198.51.100.0/24".parse().unwrap()];
    let mut clocked = ClockedHub::new(limits, Box::new(InMemoryLog::new()));
    clocked.hub = clocked.hub.addressed_by(AddressPolicy::new(trusted, proxy_protocol, exempt));
    clocked
}

fn peer(address: &str) -> PeerAddress {
    PeerAddress::Ip(SocketAddr::new(address.parse().unwrap(), 49152))
}

/// A handshake that says, in that many lines, for whom it comes.
fn forwarded(lines: &[&str]) -> Vec<u8> {
    let lines: String = lines.iter().map(|line| format!("\r\nX-Forwarded-For: {line}")).collect();
    handshake("/").replacen("\r\nHost", &format!("{lines}\r\nHost"), 1).into_bytes()
}

/// Somebody connects from that address and sends these bytes.
fn come(clocked: &mut ClockedHub, peer: PeerAddress, bytes: &[u8]) -> (PeerId, FakeClient) {
    let (id, client) = clocked.accept_from(peer);
    clocked.say(id, &client, bytes);
    clocked.settle();
    (id, client)
}

fn is_in(client: &FakeClient) -> bool {
    client.heard().starts_with("HTTP/1.1 101 ") && client.events("welcome").len() == 1
}

#[track_caller]
fn assert_refused(client: &FakeClient, part: &str) {
    let heard = client.heard();
    assert!(heard.starts_with("HTTP/1.1 429 Too Many Requests\r\n"), "{heard}");
    assert!(heard.contains("\r\nRetry-After: ") && heard.contains("\r\nAnswered-By: roomd\r\n"), "{heard}");
    assert!(heard.contains(part), "{heard}");
}

fn ended(clocked: &ClockedHub, name: &str) -> u64 {
    clocked.hub.endings().get(name).copied().unwrap_or_default()
}

// ---- The table ------------------------------------------------------------------------------------------------------

#[test]
fn one_hostile_address_cannot_fill_the_table_and_others_still_get_in() {
    let limits = Limits { rate: None, ..Limits::default() };
    assert_eq!(limits.max_connections, 16_384);
    let mut clocked = hub(limits, ProxyProtocol::Off);
    let hostile = peer("192.0.2.7");
    // It connects as fast as it can, asks for nothing, and closes nothing: what it is sent stays unread, too.
    let mut clients = Vec::new();
    let mut others = 0;
    for nth in 0..40_000_u32 {
        assert!(clocked.hub.can_accept(), "after {nth}");
        let (_, client) = clocked.accept_from(hostile);
        clients.push(client);
        if nth % 256 == 255 {
            clocked.settle();
        }
        if nth % 4_000 == 3_999 {
            let other = PeerAddress::Ip(SocketAddr::new(IpAddr::from([203, 0, 113, others]), 1));
            let (_, client) = come(&mut clocked, other, handshake("/").as_bytes());
            assert!(is_in(&client), "{}", client.heard());
            clients.push(client);
            others += 1;
        }
    }
    clocked.pass(Duration::from_secs(3));
    clocked.settle();
    assert_eq!(clocked.hub.connections(), 64 + usize::from(others), "those that it may have, and the others");
    assert_eq!(ended(&clocked, "too-many-from-address"), 40_000 - 64);
}

/// The same from behind a proxy that passes on bytes: the address is known only when it has said so.
#[test]
fn one_hostile_client_of_a_proxy_cannot_fill_the_table_either() {
    let limits = Limits { rate: None, connect_rate: None, ..Limits::default() };
    let mut clocked = hub(limits, ProxyProtocol::Expected);
    let mut clients = Vec::new();
    for nth in 0..20_000_u32 {
        assert!(clocked.hub.can_accept(), "after {nth}");
        let (id, client) = clocked.accept_from(peer("10.0.0.1"));
        clocked.send(id, &client, b"PROXY TCP4 192.0.2.7 10.0.0.1 4711 80\r\n");
        clients.push(client);
        if nth % 256 == 255 {
            clocked.settle();
        }
    }
    clocked.settle();
    assert_eq!(clocked.hub.connections(), 64);
    let hello = [b"PROXY TCP4 203.0.113.7 10.0.0.1 4711 80\r\n", handshake("/").as_bytes()].concat();
    assert!(is_in(&come(&mut clocked, peer("10.0.0.1"), &hello).1));
}

// ---- Who is counted under what --------------------------------------------------------------------------------------

#[test]
fn beyond_max_per_address_the_answer_comes_before_the_request_and_when_one_has_left_another_may_come() {
    let mut clocked = hub(Limits { max_per_address: 2, ..Limits::default() }, ProxyProtocol::Off);
    let (first, client) = come(&mut clocked, peer("192.0.2.7"), handshake("/").as_bytes());
    let (_, second) = clocked.accept_from(peer("192.0.2.7"));
    assert!(is_in(&client) && second.heard().is_empty());
    let (_, third) = clocked.accept_from(peer("192.0.2.7"));
    clocked.settle();
    assert_refused(&third, "as many connections from your address");
    assert!(is_in(&come(&mut clocked, peer("192.0.2.8"), handshake("/").as_bytes()).1), "another address");

    clocked.hang_up(first, &client);
    clocked.settle();
    assert!(is_in(&come(&mut clocked, peer("192.0.2.7"), handshake("/").as_bytes()).1));
    let (_, again) = clocked.accept_from(peer("192.0.2.7"));
    clocked.settle();
    assert_refused(&again, "");
}

#[test]
fn a_page_that_was_answered_is_not_counted_when_it_is_gone() {
    let mut clocked = hub(Limits { max_per_address: 1, ..Limits::default() }, ProxyProtocol::Off);
    for _ in 0..10 {
        let (id, client) = come(&mut clocked, peer("192.0.2.7"), b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
        assert!(client.heard().starts_with("HTTP/1.1 200 "), "{}", client.heard());
        clocked.hang_up(id, &client);
        clocked.settle();
    }
    assert_eq!(clocked.hub.connections(), 0);
}

#[test]
fn ipv6_is_counted_by_64_bits_and_mapped_ipv4_as_ipv4() {
    let mut clocked = hub(Limits { max_per_address: 1, ..Limits::default() }, ProxyProtocol::Off);
    let mut try_from = |address: &str| is_in(&come(&mut clocked, peer(address), handshake("/").as_bytes()).1);
    assert!(try_from("2001:db8:1:1::1"));
    assert!(!try_from("2001:db8:1:1:ffff:ffff:ffff:ffff"));
    assert!(try_from("2001:db8:1:2::1"));
    assert!(try_from("192.0.2.7"));
    assert!(!try_from("::ffff:192.0.2.7"));
}

#[test]
fn this_machine_and_exempt_networks_are_not_counted() {
    let mut clocked = hub(Limits { max_per_address: 1, ..Limits::default() }, ProxyProtocol::Off);
    let exempt = ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "198.51.100.9", "10.0.0.1"];
    for peer in exempt.map(peer).into_iter().chain([PeerAddress::Unix]) {
        for _ in 0..3 {
            assert!(is_in(&come(&mut clocked, peer, handshake("/").as_bytes()).1), "{peer}");
        }
    }
}

#[test]
fn behind_a_trusted_proxy_each_client_is_counted_by_its_own_address_and_the_proxy_is_not() {
    let mut clocked = hub(Limits { max_per_address: 1, ..Limits::default() }, ProxyProtocol::Off);
    for (nth, peer) in [peer("10.0.0.1"), PeerAddress::Unix].into_iter().enumerate() {
        let mut try_as = |lines: &[&str]| is_in(&come(&mut clocked, peer, &forwarded(lines)).1);
        let (a, b) = (format!("203.0.113.{nth}"), format!("203.0.114.{nth}"));
        assert!(try_as(&[&a]));
        assert!(!try_as(&[&a]));
        assert!(!try_as(&[&format!("6.6.6.6, {a}, 10.0.0.9")]), "what the client has written does not count");
        assert!(!try_as(&["6.6.6.6", &a]));
        assert!(!try_as(&[&format!("{a}:4711")]));
        assert!(try_as(&[&b]), "another client");
        for _ in 0..3 {
            assert!(try_as(&[]), "the proxy itself");
            assert!(try_as(&["unknown"]) && try_as(&["6.6.6.6, _hidden"]), "one that hides its clients");
        }
    }
    let (_, client) = come(&mut clocked, peer("10.0.0.1"), &forwarded(&["203.0.113.0"]));
    assert_refused(&client, "as many connections from your address");
    // The answer to HEAD has no body (RFC 9110 section 9.3.2).
    let head = b"HEAD / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 203.0.113.0\r\n\r\n";
    let (_, client) = come(&mut clocked, peer("10.0.0.1"), head);
    assert!(client.heard().starts_with("HTTP/1.1 429 ") && client.heard().ends_with("\r\n\r\n"), "{}", client.heard());
}

#[test]
fn a_header_of_a_peer_that_is_not_trusted_changes_nothing() {
    let mut clocked = hub(Limits { max_per_address: 2, ..Limits::default() }, ProxyProtocol::Expected);
    for nth in 0..4 {
        let claimed = format!("203.0.113.{nth}");
        let (_, client) = come(&mut clocked, peer("192.0.2.7"), &forwarded(&[&claimed]));
        assert_eq!(is_in(&client), nth < 2, "{}", client.heard());
    }
    // Nor can it say so in a header of the PROXY protocol.
    for header in [&b"PROXY TCP4 203.0.113.7 10.0.0.1 4711 80\r\n"[..], b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"] {
        let hello = [header, handshake("/").as_bytes()].concat();
        let (_, client) = come(&mut clocked, peer("192.0.2.8"), &hello);
        let heard = client.heard();
        assert!(heard.starts_with("HTTP/1.1 400 ") && heard.contains("--proxy-protocol"), "{heard}");
    }
}

#[test]
fn whatever_stands_in_the_header_the_request_is_answered() {
    let limits = Limits { failure_rate: None, ..Limits::default() };
    let mut clocked = hub(limits, ProxyProtocol::Off);
    for piece in [",", " ,", "x", "6.6.6.6, ", "10.0.0.2,", "[", "\"", ":", "%", "unknown, ", "\u{ff}", "::,", "_"] {
        let line = piece.repeat(7_500 / piece.len());
        let (_, client) = come(&mut clocked, peer("10.0.0.1"), &forwarded(&[&line]));
        assert!(is_in(&client), "{piece}: {}", client.heard());
        let lines = vec!["6.6.6.6"; 50];
        assert!(is_in(&come(&mut clocked, peer("10.0.0.1"), &forwarded(&lines)).1));
    }
    let line = "6.6.6.6, ".repeat(1_000);
    let (_, client) = come(&mut clocked, peer("10.0.0.1"), &forwarded(&[&line]));
    assert!(client.heard().starts_with("HTTP/1.1 431 "), "{}", client.heard());
}

// ---- Rates ----------------------------------------------------------------------------------------------------------

#[test]
fn new_connections_of_an_address_come_at_a_rate() {
    let connect_rate = Some(Rate { burst: 3, per_second: 1 });
    let mut clocked = hub(Limits { connect_rate, ..Limits::default() }, ProxyProtocol::Off);
    let knock = |clocked: &mut ClockedHub| {
        let (id, client) = clocked.accept_from(peer("192.0.2.7"));
        clocked.settle();
        clocked.hang_up(id, &client);
        clocked.settle();
        client
    };
    for _ in 0..3 {
        assert_eq!(knock(&mut clocked).heard(), "");
    }
    for _ in 0..10 {
        assert_refused(&knock(&mut clocked), "new connections too fast");
    }
    clocked.pass(Duration::from_secs(1));
    assert_eq!(knock(&mut clocked).heard(), "", "a second is one more");
    assert_refused(&knock(&mut clocked), "new connections too fast");
    assert_eq!(ended(&clocked, "too-many-from-address"), 11);
}

#[test]
fn an_address_whose_handshakes_fail_too_often_has_to_wait_and_an_honest_one_has_not() {
    let failure_rate = Some(Rate { burst: 3, per_second: 1 });
    let mut clocked = hub(Limits { failure_rate, ..Limits::default() }, ProxyProtocol::Off);
    let ask = |clocked: &mut ClockedHub, from: &str, bytes: &[u8]| {
        let (id, client) = come(clocked, peer(from), bytes);
        clocked.hang_up(id, &client);
        clocked.settle();
        client
    };
    // Browsers ask for some paths by themselves: a page that is not there is no failure.
    for _ in 0..10 {
        let client = ask(&mut clocked, "192.0.2.7", b"GET /favicon.ico HTTP/1.1\r\nHost: x\r\n\r\n");
        assert!(client.heard().starts_with("HTTP/1.1 404 "), "{}", client.heard());
    }
    let foreign = handshake("/").replacen("\r\nHost", "\r\nOrigin: https://evil.example\r\nHost", 1);
    for bad in [foreign.as_bytes(), b"\x16\x03\x01", b"GET / HTTP/1.1\r\n\r\n"] {
        assert!(ask(&mut clocked, "192.0.2.7", bad).heard().starts_with("HTTP/1.1 40"));
    }
    assert_refused(&ask(&mut clocked, "192.0.2.7", handshake("/").as_bytes()), "were refused");
    assert!(is_in(&ask(&mut clocked, "192.0.2.8", handshake("/").as_bytes())), "another address");
    clocked.pass(Duration::from_secs(1));
    assert!(is_in(&ask(&mut clocked, "192.0.2.7", handshake("/").as_bytes())));
}

#[test]
fn failures_of_a_proxy_s_client_are_its_own_and_not_the_proxy_s() {
    let failure_rate = Some(Rate { burst: 2, per_second: 1 });
    let mut clocked = hub(Limits { failure_rate, ..Limits::default() }, ProxyProtocol::Off);
    let ask = |clocked: &mut ClockedHub, lines: &str| {
        let request = handshake("/").replacen("\r\nHost", &format!("{lines}\r\nHost"), 1);
        let (id, client) = come(clocked, peer("10.0.0.1"), request.as_bytes());
        clocked.hang_up(id, &client);
        clocked.settle();
        client
    };
    for _ in 0..2 {
        let client = ask(&mut clocked, "\r\nX-Forwarded-For: 203.0.113.7\r\nOrigin: https://evil.example");
        assert!(client.heard().starts_with("HTTP/1.1 403 "), "{}", client.heard());
    }
    assert_refused(&ask(&mut clocked, "\r\nX-Forwarded-For: 203.0.113.7"), "were refused");
    assert!(is_in(&ask(&mut clocked, "\r\nX-Forwarded-For: 203.0.113.8")));
    assert!(is_in(&ask(&mut clocked, "")));
}

/// One who says nothing until the time is up holds a slot for nothing, which is a failed handshake as well.
#[test]
fn a_handshake_that_takes_too_long_is_a_failed_one() {
    let failure_rate = Some(Rate { burst: 1, per_second: 1 });
    let limits = Limits { failure_rate, handshake_timeout: Duration::from_millis(100), ..Limits::default() };
    let mut clocked = hub(limits, ProxyProtocol::Off);
    let (id, client) = clocked.accept_from(peer("192.0.2.7"));
    clocked.settle();
    clocked.pass(Duration::from_millis(100));
    assert!(client.heard().starts_with("HTTP/1.1 408 "), "{}", client.heard());
    clocked.hang_up(id, &client);
    clocked.settle();
    let (_, client) = clocked.accept_from(peer("192.0.2.7"));
    clocked.settle();
    assert_refused(&client, "were refused");
}

#[test]
fn what_addresses_have_done_is_forgotten_when_they_have_rested() {
    let mut clocked = hub(Limits::default(), ProxyProtocol::Off);
    let mut heard = Vec::new();
    for nth in 0..1_000_u128 {
        let address = IpAddr::V6(Ipv6Addr::from((0x2001_0db8 << 96) | (nth << 64)));
        let (id, client) = clocked.accept_from(PeerAddress::Ip(SocketAddr::new(address, 1)));
        clocked.hang_up(id, &client);
        heard.push(client.heard());
    }
    clocked.settle();
    assert!(clocked.hub.addresses() > 0, "their rates are remembered");
    clocked.pass(Duration::from_secs(61));
    let (id, client) = clocked.accept_from(peer("192.0.2.7"));
    assert_eq!(clocked.hub.addresses(), 1, "the one who is there");
    clocked.hang_up(id, &client);
}

// ---- The PROXY protocol ---------------------------------------------------------------------------------------------

#[test]
fn a_trusted_proxy_says_first_for_whom_it_connects_in_whatever_pieces() {
    let mut clocked = hub(Limits { max_per_address: 1, ..Limits::default() }, ProxyProtocol::Expected);
    let version_2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xcb\0\x71\x08\x0a\0\0\x01\x12\x67\0\x50";
    for header in [&b"PROXY TCP4 203.0.113.7 10.0.0.1 4711 80\r\n"[..], version_2] {
        let hello = [header, handshake("/").as_bytes()].concat();
        // Byte by byte, and then at once.
        let (id, client) = clocked.accept_from(peer("10.0.0.1"));
        for byte in &hello {
            clocked.say(id, &client, &[*byte]);
        }
        clocked.settle();
        assert!(is_in(&client), "{}", client.heard());
        let (_, client) = come(&mut clocked, peer("10.0.0.1"), &hello);
        assert_refused(&client, "as many connections from your address");
    }
    // As soon as the address is known, and before any request.
    let (_, client) = come(&mut clocked, peer("10.0.0.1"), b"PROXY TCP4 203.0.113.7 10.0.0.1 4711 80\r\n");
    assert_refused(&client, "as many connections from your address");
    // Who is no proxy connects as ever.
    assert!(is_in(&come(&mut clocked, peer("192.0.2.7"), handshake("/").as_bytes()).1));
}

#[test]
fn a_proxy_that_speaks_for_itself_or_does_not_know_is_served_and_not_counted_and_its_clients_cannot_lie() {
    let mut clocked = hub(Limits { max_per_address: 1, ..Limits::default() }, ProxyProtocol::Expected);
    for header in [&b"PROXY UNKNOWN\r\n"[..], b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0", b"\r\n\r\n\0\r\nQUIT\n\x21\0\0\0"] {
        for _ in 0..3 {
            let hello = [header, &forwarded(&["203.0.113.7"])].concat();
            assert!(is_in(&come(&mut clocked, peer("10.0.0.1"), &hello).1), "not counted as 203.0.113.7");
        }
    }
}

#[test]
fn a_trusted_proxy_that_does_not_say_for_whom_it_connects_is_refused() {
    let limits = Limits { handshake_timeout: Duration::from_secs(1), ..Limits::default() };
    let mut clocked = hub(limits, ProxyProtocol::Expected);
    for (bytes, part) in [
        (handshake("/").as_bytes(), "has to begin with a header of the PROXY protocol"),
        (b"PROXY TCP4 nonsense\r\n", "is malformed"),
        (b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff", "is too long"),
    ] {
        for peer in [peer("10.0.0.1"), PeerAddress::Unix] {
            let (_, client) = come(&mut clocked, peer, bytes);
            let heard = client.heard();
            assert!(heard.starts_with("HTTP/1.1 400 ") && heard.contains(part), "{heard}");
        }
    }
    let (id, client) = clocked.accept_from(peer("10.0.0.1"));
    clocked.say(id, &client, b"PROXY TCP4 203.0.113.7 10.0.");
    clocked.pass(Duration::from_millis(999));
    assert_eq!(client.heard(), "");
    clocked.pass(Duration::from_millis(1));
    assert!(client.heard().starts_with("HTTP/1.1 408 "), "the time for the handshake counts from the beginning");
}

// ---- A daemon, over loopback ----------------------------------------------------------------------------------------

fn connect_as(daemon: &Daemon, lines: &[&str]) -> (Raw, String) {
    let mut client = daemon.connect();
    client.send(&forwarded(lines));
    let head = client.read_head();
    (client, head)
}

#[test]
fn the_log_names_the_client_and_says_once_that_an_address_is_refused() {
    let mut daemon = Daemon::start(&["--trusted-proxy", "127.0.0.1", "--max-per-address", "2"]);
    let mut members = Vec::new();
    for _ in 0..2 {
        let (member, head) = connect_as(&daemon, &["6.6.6.6, 203.0.113.7"]);
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        members.push(member);
    }
    let line = daemon.wait_for_log("came to lobby");
    assert!(line.contains(" from 203.0.113.7 via 127.0.0.1 came to lobby as "), "{line}");
    for _ in 0..5 {
        let (_, head) = connect_as(&daemon, &["203.0.113.7"]);
        assert!(
            head.starts_with("HTTP/1.1 429 Too Many Requests\r\n") && head.contains("\r\nRetry-After: 30\r\n"),
            "{head}"
        );
    }
    let (mut other, head) = connect_as(&daemon, &["203.0.113.8"]);
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    other.event("welcome");
    daemon.signal("TERM");
    daemon.wait();
    let log = daemon.rest_of_log();
    let told: Vec<_> = log.iter().filter(|line| line.contains("429")).collect();
    assert_eq!(told.len(), 1, "{log:?}");
    let words =
        "connections from 203.0.113.7 are answered 429 for now: it has as many connections as --max-per-address allows";
    assert!(told[0].contains(" INFO ") && told[0].contains(words), "{}", told[0]);
    assert!(log.iter().any(|line| line.contains("too-many-from-address 5")), "{log:?}");
}

/// Behind a proxy that passes on bytes: all that one client can have is its own part of the daemon, whatever it sends.
#[test]
fn with_a_daemon_that_takes_200_one_client_that_keeps_500_open_leaves_room_for_others() {
    let flags = ["--trusted-proxy", "127.0.0.1", "--proxy-protocol", "--max-connections", "200"];
    let mut daemon = Daemon::start(&flags);
    let mut hostile = Vec::new();
    for nth in 0..500 {
        let mut client = daemon.connect();
        client.send(b"PROXY TCP4 192.0.2.7 10.0.0.1 4711 80\r\n");
        match nth % 3 {
            0 => client.send(handshake("/").as_bytes()),
            1 => client.send(b"GET / HTTP/1.1\r\nHost: a"),
            _ => {}
        }
        // Who is refused is told so, though it never closes.
        if nth >= 64 {
            let head = client.read_head();
            assert!(head.starts_with("HTTP/1.1 429 "), "{nth}: {head}");
        }
        hostile.push(client);
    }
    let mut others = Vec::new();
    for nth in 0..100 {
        let mut other = daemon.connect();
        other.send(format!("PROXY TCP4 203.0.113.{nth} 10.0.0.1 4711 80\r\n").as_bytes());
        other.send(handshake("/?quiet=1").as_bytes());
        let head = other.read_head();
        assert!(head.starts_with("HTTP/1.1 101 "), "{nth}: {head}");
        others.push(other);
    }
    daemon.signal("TERM");
    daemon.wait();
    let log = daemon.rest_of_log();
    assert!(log.iter().any(|line| line.contains("too-many-from-address 436")), "{:?}", log.last());
}

#[test]
fn a_proxy_that_is_not_trusted_is_told_of_once_with_the_flag_that_is_missing() {
    let mut daemon = Daemon::start(&[]);
    for nth in 0..60 {
        let (_, head) = connect_as(&daemon, &[&format!("203.0.113.{nth}")]);
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    }
    daemon.signal("TERM");
    daemon.wait();
    let log = daemon.rest_of_log();
    let warnings: Vec<_> = log.iter().filter(|line| line.contains(" WARN ")).collect();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("give --trusted-proxy 127.0.0.1"), "{}", warnings[0]);
    assert!(log.iter().all(|line| !line.contains("203.0.113.")), "what is not believed is not logged");
}

#[test]
fn without_the_header_that_is_expected_a_proxy_is_refused_and_the_log_says_so() {
    let mut daemon = Daemon::start(&["--trusted-proxy", "127.0.0.0/8,::1", "--proxy-protocol"]);
    let (_, head) = connect_as(&daemon, &[]);
    assert!(head.starts_with("HTTP/1.1 400 "), "{head}");
    let line = daemon.wait_for_log("PROXY");
    assert!(line.contains(" INFO ") && line.contains(" from 127.0.0.1:"), "{line}");
    let mut client = daemon.connect();
    client.send(b"PROXY TCP6 2001:db8::7 2001:db8::1 4711 80\r\n");
    client.send(handshake("/").as_bytes());
    assert!(client.read_head().starts_with("HTTP/1.1 101 "));
    let line = daemon.wait_for_log("came to lobby");
    assert!(line.contains(" from [2001:db8::7]:4711 via 127.0.0.1 came to lobby"), "{line}");
}
