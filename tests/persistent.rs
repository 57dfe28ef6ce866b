//! Connections that stay for the next request (RFC 9112 section 9.3), and those that must not.

#[path = "testing/clocked_hub.rs"]
mod clocked_hub;
#[path = "testing/fake_socket.rs"]
mod fake_socket;
mod support;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use clocked_hub::{ClockedHub, FakeClient};
use proptest::collection::vec;
use proptest::{prop_assert_eq, proptest};
use roomd::gate::{AddressPolicy, PeerAddress, ProxyProtocol};
use roomd::history::log::InMemoryLog;
use roomd::hub::{PeerId, Readiness};
use roomd::limits::Limits;
use support::{Daemon, handshake};

const PROBE: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";
const LAST_PROBE: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

fn clocked(limits: Limits) -> ClockedHub {
    ClockedHub::new(limits, Box::new(InMemoryLog::new()))
}

/// Where the answers begin that a client was sent. (Their sentences name the version, too.)
fn beginnings(heard: &str) -> Vec<usize> {
    let begins =
        |&(at, word): &(usize, &str)| heard[at + word.len()..].starts_with(|first: char| first.is_ascii_digit());
    heard.match_indices("HTTP/1.1 ").filter(begins).map(|(at, _)| at).collect()
}

/// Answers that a client was sent.
fn answers(client: &FakeClient) -> usize {
    beginnings(&client.heard()).len()
}

fn say(clocked: &mut ClockedHub, id: PeerId, client: &FakeClient, bytes: &[u8]) {
    clocked.say(id, client, bytes);
    clocked.settle();
}

// ---- Staying ------------------------------------------------------------------------------------------------------

/// RFC 9112 section 9.3: in 1.1 it stays unless one says close, in 1.0 it closes unless the client says keep-alive.
#[test]
fn a_connection_stays_unless_its_client_or_its_version_says_otherwise() {
    for (version, line, stays, told) in [
        ("1.1", "", true, None),
        ("1.1", "Connection: keep-alive\r\n", true, None),
        ("1.1", "Connection: close\r\n", false, Some("close")),
        ("1.1", "Connection: foo, CLOSE\r\n", false, Some("close")),
        ("1.1", "Connection: keep-alive\r\nConnection: close\r\n", false, Some("close")),
        ("1.0", "", false, Some("close")),
        ("1.0", "Connection: Keep-Alive\r\n", true, Some("keep-alive")),
        ("1.0", "Connection: keep-alive, close\r\n", false, Some("close")),
    ] {
        for method in ["GET", "HEAD", "OPTIONS"] {
            let mut clocked = clocked(Limits::default());
            let (id, client) = clocked.accept();
            let request = format!("{method} /healthz HTTP/{version}\r\nHost: a\r\n{line}\r\n");
            say(&mut clocked, id, &client, request.as_bytes());
            let heard = client.heard();
            assert_eq!(heard.contains("\r\nConnection: "), told.is_some(), "{request}{heard}");
            if let Some(word) = told {
                assert!(heard.contains(&format!("\r\nConnection: {word}\r\n")), "{request}{heard}");
            }
            assert_eq!(client.is_shut(), !stays, "{request}{heard}");
            say(&mut clocked, id, &client, request.as_bytes());
            assert_eq!(answers(&client), 1 + usize::from(stays), "{request}");
        }
    }
}

/// A browser asks for some paths by itself; the files of the page come over the same connection.
#[test]
fn a_page_that_is_not_there_leaves_the_connection() {
    let mut clocked = clocked(Limits::default());
    let (id, client) = clocked.accept();
    for path in ["/favicon.ico", "/r/a/b", "/chat.js"] {
        say(&mut clocked, id, &client, format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
    }
    assert_eq!(client.heard().matches("HTTP/1.1 404 ").count(), 2);
    assert_eq!(client.heard().matches("HTTP/1.1 200 ").count(), 1);
    assert!(!client.is_shut());
}

#[test]
fn a_handshake_may_follow_other_requests() {
    let mut clocked = clocked(Limits::default());
    let (id, client) = clocked.accept();
    let together = [PROBE, b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", handshake("/r/x").as_bytes()].concat();
    say(&mut clocked, id, &client, &together);
    assert_eq!(answers(&client), 3);
    assert_eq!(client.events("welcome").len(), 1);
    say(&mut clocked, id, &client, &support::masked_frame(0x81, b"said"));
    assert_eq!(client.events("message")[0]["mess"], "said");
    clocked.hang_up(id, &client);
    clocked.settle();
    assert_eq!(clocked.hub.endings().get("peer-vanished"), Some(&1));
}

#[test]
fn the_last_request_that_a_connection_may_bring_is_answered_with_close() {
    let mut clocked = clocked(Limits { max_requests: 3, ..Limits::default() });
    let (id, client) = clocked.accept();
    say(&mut clocked, id, &client, &PROBE.repeat(5));
    assert_eq!(answers(&client), 3);
    assert_eq!(client.heard().matches("Connection: close").count(), 1);
    assert!(client.is_shut());
}

// ---- Many at once -------------------------------------------------------------------------------------------------

/// Section 9.3.2: in the order of the requests, whatever pieces they come in.
#[test]
fn requests_that_are_sent_at_once_are_answered_in_their_order_however_they_are_cut() {
    let requests = [
        b"GET /style.css HTTP/1.1\r\nHost: a\r\n\r\n".as_slice(),
        b"\r\nHEAD /chat.js HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
        LAST_PROBE,
        PROBE,
    ]
    .concat();
    let heard_in_pieces = |sizes: &dyn Fn(usize) -> usize| {
        let mut clocked = clocked(Limits::default());
        let (id, client) = clocked.accept();
        let mut rest = &requests[..];
        let mut nth = 0;
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at(sizes(nth).clamp(1, rest.len()));
            say(&mut clocked, id, &client, piece);
            (rest, nth) = (behind, nth + 1);
        }
        client.heard()
    };
    let whole = heard_in_pieces(&|_| usize::MAX);
    let order = ["200 OK", "200 OK", "404 Not Found", "204 No Content", "200 OK"];
    let statuses: Vec<&str> = whole.split("HTTP/1.1 ").skip(1).map(|answer| answer.lines().next().unwrap()).collect();
    assert_eq!(statuses, order);
    assert!(whole.ends_with("\r\n\r\nok\n"));
    assert_eq!(heard_in_pieces(&|_| 1), whole);
    proptest!(|(sizes in vec(1..90_usize, 1..40))| {
        prop_assert_eq!(&heard_in_pieces(&|nth| sizes[nth % sizes.len()]), &whole);
    });
}

/// Others have their turn in between, and no more than one answer waits for a client that does not read.
#[test]
fn a_flood_of_requests_has_one_answered_in_a_turn_and_none_before_the_last_answer_was_taken() {
    let mut clocked = clocked(Limits::default());
    let (id, client) = clocked.accept();
    clocked.say(id, &client, &PROBE.repeat(1_000));
    assert_eq!(answers(&client), 1);
    clocked.hub.turn(clocked.now);
    assert_eq!(answers(&client), 2);
    client.stops_reading();
    clocked.settle();
    let waiting = clocked.hub.queued_bytes();
    assert!(waiting > 0 && waiting < 1_000, "{waiting}");
    assert_eq!(answers(&client), 2);
}

/// What it sent before the end of its stream is answered all the same.
#[test]
fn a_client_that_sends_requests_and_ends_its_stream_has_all_its_answers() {
    let mut clocked = clocked(Limits::default());
    let (id, client) = clocked.accept();
    clocked.send(id, &client, &[PROBE, PROBE, PROBE, b"GET /half"].concat());
    clocked.hang_up(id, &client);
    clocked.settle();
    assert_eq!(answers(&client), 3);
    assert_eq!(clocked.hub.connections(), 0);
}

// ---- Time ---------------------------------------------------------------------------------------------------------

#[test]
fn a_connection_without_a_next_request_closes_after_the_idle_timeout() {
    let limits = Limits { idle_timeout: Duration::from_secs(7), ..Limits::default() };
    let mut clocked = clocked(limits);
    let (id, client) = clocked.accept();
    say(&mut clocked, id, &client, PROBE);
    clocked.pass(Duration::from_secs(6));
    say(&mut clocked, id, &client, PROBE);
    clocked.pass(Duration::from_secs(6));
    assert!(!client.is_shut(), "each answer begins the time anew");
    // The slowest reader has a second for what waited.
    clocked.pass(Duration::from_secs(2));
    clocked.settle();
    assert!(client.is_shut());
    assert_eq!(answers(&client), 2, "it is told nothing: there is no request to answer");
    clocked.pass(limits.close_timeout);
    clocked.settle();
    assert_eq!(clocked.hub.connections(), 0);
    assert_eq!(clocked.hub.endings().get("answered"), Some(&1));
}

/// A byte a second extends it no more than it extends the first.
#[test]
fn a_next_request_that_has_begun_has_the_handshake_timeout_to_come() {
    let limits = Limits { idle_timeout: Duration::from_secs(60), ..Limits::default() };
    let mut clocked = clocked(limits);
    let (id, client) = clocked.accept();
    say(&mut clocked, id, &client, PROBE);
    clocked.pass(Duration::from_secs(30));
    for byte in b"GET /heal" {
        say(&mut clocked, id, &client, &[*byte]);
        clocked.pass(Duration::from_secs(1));
    }
    assert_eq!(answers(&client), 1);
    clocked.pass(Duration::from_secs(1));
    clocked.settle();
    assert!(client.heard().contains("HTTP/1.1 408 "), "{}", client.heard());
    assert!(client.is_shut());
}

#[test]
fn a_shutdown_ends_idle_connections_at_once() {
    let mut clocked = clocked(Limits::default());
    let (id, client) = clocked.accept();
    say(&mut clocked, id, &client, PROBE);
    clocked.hub.shut_down(clocked.now);
    clocked.hub.turn(clocked.now);
    clocked.settle();
    assert_eq!(clocked.hub.connections(), 0);
    assert_eq!(answers(&client), 1);
}

#[test]
fn a_shutdown_lets_an_answer_that_is_under_way_be_read() {
    let mut clocked = clocked(Limits::default());
    let (id, client) = clocked.accept();
    client.stops_reading();
    say(&mut clocked, id, &client, PROBE);
    clocked.hub.shut_down(clocked.now);
    clocked.hub.turn(clocked.now);
    assert_eq!((answers(&client), clocked.hub.connections()), (0, 1));
    client.reads_on();
    clocked.hub.ready(id, Readiness { writable: true, ..Readiness::default() });
    clocked.hub.turn(clocked.now);
    clocked.settle();
    assert_eq!((answers(&client), clocked.hub.connections()), (1, 0));
}

// ---- Addresses ----------------------------------------------------------------------------------------------------

/// The header belongs to a request, not to the connection that a proxy keeps for many clients.
#[test]
fn a_proxy_s_connection_counts_under_each_client_only_for_its_request() {
    let limits = Limits { max_per_address: 1, ..Limits::default() };
    let policy = AddressPolicy::new(vec!["10.0.0.1".parse().unwrap()], ProxyProtocol::Off, Vec::new());
    let mut clocked = clocked(limits);
    clocked.hub = clocked.hub.addressed_by(policy);
    let proxy = PeerAddress::Ip(SocketAddr::new(IpAddr::from([10, 0, 0, 1]), 4_711));
    let connections: Vec<_> = (0..3).map(|_| clocked.accept_from(proxy)).collect();
    for client in ["203.0.113.7", "203.0.113.8"] {
        let request = format!("GET /healthz HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: {client}\r\n\r\n");
        for (id, socket) in &connections {
            say(&mut clocked, *id, socket, request.as_bytes());
        }
    }
    for (_, socket) in &connections {
        assert_eq!(socket.heard().matches("HTTP/1.1 200 ").count(), 2, "{}", socket.heard());
    }
    let forwarded = handshake("/").replacen("\r\n", "\r\nX-Forwarded-For: 203.0.113.7\r\n", 1);
    for (id, socket) in &connections[..2] {
        say(&mut clocked, *id, socket, forwarded.as_bytes());
    }
    assert!(connections[0].1.heard().contains("HTTP/1.1 101 "), "{}", connections[0].1.heard());
    assert!(connections[1].1.heard().contains("HTTP/1.1 429 "), "{}", connections[1].1.heard());
}

// ---- Requests whose end is not certain ------------------------------------------------------------------------------

/// Each is sent with a whole request behind it, which nobody may take for one: it may be the body.
#[test]
fn nothing_behind_a_request_whose_end_is_not_certain_is_answered() {
    const HOST: &str = "Host: a\r\n";
    let get = |lines: &str| format!("GET /healthz HTTP/1.1\r\n{HOST}{lines}\r\n");
    let rows = [
        // RFC 9112 section 6.3: lengths that disagree, and a list of them.
        ("two lengths that agree", get("Content-Length: 5\r\nContent-Length: 5\r\n"), "400"),
        ("two lengths that differ", get("Content-Length: 0\r\nContent-Length: 5\r\n"), "400"),
        ("two lengths of nothing", get("Content-Length: 0\r\nContent-Length: 0\r\n"), "400"),
        ("a list of lengths", get("Content-Length: 5, 5\r\n"), "400"),
        ("a list of lengths that differ", get("Content-Length: 0, 5\r\n"), "400"),
        // Section 6.3: a length and an encoding.
        ("a length and chunks", get("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), "400"),
        ("no length and chunks", get("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n"), "400"),
        // RFC 9110 section 8.6: 1*DIGIT.
        ("+", get("Content-Length: +5\r\n"), "400"),
        ("-", get("Content-Length: -5\r\n"), "400"),
        ("-0", get("Content-Length: -0\r\n"), "400"),
        ("a blank inside", get("Content-Length: 1 0\r\n"), "400"),
        ("a sixteenth", get("Content-Length: 0x0\r\n"), "400"),
        ("letters", get("Content-Length: five\r\n"), "400"),
        ("an empty length", get("Content-Length: \r\n"), "400"),
        ("a length with an exponent", get("Content-Length: 0e1\r\n"), "400"),
        ("a length beyond 64 bits", get("Content-Length: 99999999999999999999999999\r\n"), "413"),
        ("a body", get("Content-Length: 5\r\n"), "413"),
        ("a body with zeros before its length", get("Content-Length: 0005\r\n"), "413"),
        // Sections 6.1 and 7: encodings.
        ("chunks", get("Transfer-Encoding: chunked\r\n"), "400"),
        ("chunks in capitals", get("TRANSFER-ENCODING: CHUNKED\r\n"), "400"),
        ("chunks twice", get("Transfer-Encoding: chunked, chunked\r\n"), "400"),
        ("chunks on two lines", get("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), "400"),
        ("chunks that are not last", get("Transfer-Encoding: chunked, foo\r\n"), "400"),
        ("identity", get("Transfer-Encoding: identity\r\n"), "400"),
        ("an empty encoding", get("Transfer-Encoding:\r\n"), "400"),
        ("a tab before chunked", get("Transfer-Encoding:\tchunked\r\n"), "400"),
        ("chunks in quotes", get("Transfer-Encoding: \"chunked\"\r\n"), "400"),
        (
            "1.0 with chunks",
            "GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n".into(),
            "400",
        ),
        (
            "1.0 with a body",
            "GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\n".into(),
            "413",
        ),
        // Section 7.1: what a chunk may hold does not matter where none is taken.
        ("a chunk with an extension", get("Transfer-Encoding: chunked\r\n") + "5;a=b\r\nhello\r\n0\r\n\r\n", "400"),
        ("a chunk of a size that overflows", get("Transfer-Encoding: chunked\r\n") + "fffffffffffffffff\r\n", "400"),
        ("a bad chunk size", get("Transfer-Encoding: chunked\r\n") + "0x5\r\nhello\r\n0\r\n\r\n", "400"),
        ("trailers", get("Transfer-Encoding: chunked\r\n") + "0\r\nContent-Length: 5\r\n\r\n", "400"),
        // Section 5.1: no blank before the colon; section 5.2: no line that is folded.
        ("a blank before the colon", get("Content-Length : 5\r\n"), "400"),
        ("a tab before the colon", get("Transfer-Encoding\t: chunked\r\n"), "400"),
        ("a folded line", get("X: y\r\n Content-Length: 5\r\n"), "400"),
        ("a line folded with a tab", get("Transfer-Encoding:\r\n\tchunked\r\n"), "400"),
        ("a folded first line", format!("GET /healthz HTTP/1.1\r\n X: y\r\n{HOST}\r\n"), "400"),
        ("a header without a name", get(": y\r\n"), "400"),
        ("a line that is no header", get("Content-Length\r\n"), "400"),
        // Section 2.2: lines end in CR LF.
        ("a bare LF", get("X: y\nContent-Length: 5\r\n"), "400"),
        ("a bare LF at the end", "GET /healthz HTTP/1.1\r\nHost: a\r\n\n".into(), "400"),
        ("bare LFs only", "GET /healthz HTTP/1.1\nHost: a\n\n".into(), "400"),
        ("a bare CR", get("X: y\rContent-Length: 5\r\n"), "400"),
        ("CR CR LF", get("X: y\r\r\n"), "400"),
        // RFC 9110 section 5.5.
        ("NUL", get("X: y\0z\r\n"), "400"),
        ("NUL in a name", get("X\0: y\r\n"), "400"),
        // RFC 9112 section 3.2.
        ("no host", "GET /healthz HTTP/1.1\r\n\r\n".into(), "400"),
        ("two hosts", get("Host: b\r\n"), "400"),
        ("two hosts that agree", get("Host: a\r\n"), "400"),
        ("a host with a path", "GET /healthz HTTP/1.1\r\nHost: a/b\r\n\r\n".into(), "400"),
        ("a host with a user", "GET /healthz HTTP/1.1\r\nHost: u@a\r\n\r\n".into(), "400"),
        ("an absolute target without a host header", "GET http://a/healthz HTTP/1.1\r\n\r\n".into(), "400"),
        ("a target of a foreign scheme", format!("GET ftp://a/healthz HTTP/1.1\r\n{HOST}\r\n"), "400"),
        ("no path", format!("GET * HTTP/1.1\r\n{HOST}\r\n"), "400"),
        // Section 3: the request line.
        ("a blank too many", format!("GET  /healthz HTTP/1.1\r\n{HOST}\r\n"), "400"),
        ("no version", format!("GET /healthz\r\n{HOST}\r\n"), "400"),
        ("another version", format!("GET /healthz HTTP/2.0\r\n{HOST}\r\n"), "505"),
        ("an unknown method with a body", format!("POST /healthz HTTP/1.1\r\n{HOST}Content-Length: 5\r\n\r\n"), "405"),
        (
            "an unknown method with chunks",
            format!("PUT /healthz HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n"),
            "405",
        ),
        ("CONNECT", format!("CONNECT a:443 HTTP/1.1\r\n{HOST}\r\n"), "400"),
        ("OPTIONS with a body", format!("OPTIONS * HTTP/1.1\r\n{HOST}Content-Length: 5\r\n\r\n"), "413"),
        // RFC 9110 section 7.8: a handshake that was refused may be taken for a tunnel by a proxy.
        ("a refused handshake", handshake("/nowhere"), "404"),
        ("another refused handshake", handshake("/").replace("Version: 13", "Version: 12"), "426"),
        ("a handshake with a body", handshake("/").replacen("\r\n", "\r\nContent-Length: 5\r\n", 1), "400"),
        ("a handshake with chunks", handshake("/").replacen("\r\n", "\r\nTransfer-Encoding: chunked\r\n", 1), "400"),
    ];
    for (what, request, status) in rows {
        // The first one of its connection, and a later one.
        for before in [b"".as_slice(), PROBE] {
            let mut clocked = clocked(Limits::default());
            let (id, client) = clocked.accept();
            say(&mut clocked, id, &client, before);
            let had = answers(&client);
            say(&mut clocked, id, &client, &[request.as_bytes(), PROBE, PROBE].concat());
            let heard = client.heard();
            let last = heard[*beginnings(&heard).last().unwrap()..].strip_prefix("HTTP/1.1 ").unwrap();
            assert_eq!(answers(&client), had + 1, "{what}: {heard}");
            assert!(last.starts_with(status), "{what}: {heard}");
            assert!(last.contains("\r\nConnection: close"), "{what}: {heard}");
            assert!(client.is_shut(), "{what}");
        }
    }
}

/// These look strange and have one meaning only.
#[test]
fn a_request_that_has_no_body_for_certain_is_answered_and_so_is_the_next_one() {
    for request in [
        // RFC 9112 section 2.2: empty lines before the request line.
        "\r\n\r\nGET /healthz HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nHost: a\r\nContent-Length:\t000 \r\n\r\n",
        // Section 3.2.2: the target's host counts, and the header's does not.
        "GET http://b/healthz HTTP/1.1\r\nHost: a\r\n\r\n",
        // RFC 9110 section 10.1.4: what encodings the client takes says nothing of its request.
        "GET /healthz HTTP/1.1\r\nHost: a\r\nTE: chunked, trailers\r\nConnection: TE\r\n\r\n",
        // A name that only looks like the one that counts.
        "GET /healthz HTTP/1.1\r\nHost: a\r\nX-Content-Length: 5\r\nContent_Length: 5\r\n\r\n",
    ] {
        let mut clocked = clocked(Limits::default());
        let (id, client) = clocked.accept();
        say(&mut clocked, id, &client, &[request.as_bytes(), PROBE].concat());
        assert_eq!(client.heard().matches("HTTP/1.1 200 OK").count(), 2, "{request:?}: {}", client.heard());
        assert!(!client.is_shut());
    }
}

// ---- The log ------------------------------------------------------------------------------------------------------

#[test]
fn each_request_of_a_connection_has_one_line_in_the_log() {
    let mut daemon = Daemon::start_with_requests_logged(&[]);
    let mut client = daemon.connect();
    client.send(b"GET /style.css HTTP/1.1\r\nHost: a\r\n\r\nHEAD /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
    client
        .send(b"GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\nGET /chat.js HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    client.read_to_end();
    drop(client);
    let mut idle = daemon.connect();
    idle.send(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    idle.read_head();
    daemon.signal("TERM");
    daemon.wait();
    let log = daemon.rest_of_log();
    let lines: Vec<&str> = log.iter().filter_map(|line| Some(line.split_once("] #")?.1)).collect();
    assert_eq!(lines.len(), 5, "{lines:?}");
    for part in [
        ": GET /style.css: 200 OK",
        ": HEAD /healthz: 200 OK",
        ": GET /nowhere: 404 ",
        ": GET /chat.js: 200 OK",
        ": HEAD /: 200 OK",
    ] {
        assert_eq!(lines.iter().filter(|line| line.contains(part)).count(), 1, "{part}: {lines:?}");
    }
}
