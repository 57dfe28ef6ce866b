//! A reverse proxy of the test's own, that does to requests what real ones do: it takes a path off, writes another Host,
//! answers by itself, or falls silent.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses its own part of this")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What becomes of a request.
pub enum Verdict {
    /// This head goes on to the daemon, and whatever follows it.
    Forward(String),
    /// The proxy answers with these bytes.
    Answer(String),
}

/// A proxy on a free port of the loopback interface. Its threads end with the test.
pub struct Proxy {
    pub address: String,
    traffic: Arc<Traffic>,
}

#[derive(Default)]
struct Traffic {
    /// Connections so far; each has its number.
    accepted: AtomicUsize,
    /// Nothing is forwarded any more on connections with smaller numbers.
    silent_below: AtomicUsize,
}

impl Proxy {
    /// Forwards to the daemon at `behind` what `judge` makes of each request's head.
    pub fn start(behind: &str, judge: impl Fn(&str) -> Verdict + Send + Sync + 'static) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().unwrap().to_string();
        let traffic = Arc::new(Traffic::default());
        let (behind, judge, shared) = (behind.to_owned(), Arc::new(judge), Arc::clone(&traffic));
        std::thread::spawn(move || {
            for visitor in listener.incoming().map_while(Result::ok) {
                let serial = shared.accepted.fetch_add(1, Ordering::SeqCst);
                // Browsers open connections in advance and say nothing on them, so that none may hold up the others.
                let (behind, judge, traffic) = (behind.clone(), Arc::clone(&judge), Arc::clone(&shared));
                std::thread::spawn(move || serve(visitor, &behind, &*judge, &traffic, serial));
            }
        });
        Proxy { address, traffic }
    }

    /// From now on nothing passes on the connections there are, in neither direction, and none of them is closed: as when
    /// a laptop has changed its network. New connections are forwarded.
    pub fn fall_silent(&self) {
        let accepted = self.traffic.accepted.load(Ordering::SeqCst);
        self.traffic.silent_below.store(accepted, Ordering::SeqCst);
    }

    /// How many connections there have been.
    pub fn accepted(&self) -> usize {
        self.traffic.accepted.load(Ordering::SeqCst)
    }
}

/// `GET /chat/r/x` becomes `GET /r/x`; what is not below `path` is not found. As nginx and Caddy do it.
pub fn without_path(path: &'static str) -> impl Fn(&str) -> Verdict {
    move |head| match head.split_once(' ') {
        Some((method, rest)) if rest.starts_with(&format!("{path}/")) => {
            Verdict::Forward(format!("{method} {}", &rest[path.len()..]))
        }
        _ => Verdict::Answer(answer("404 Not Found", "no such page on this host")),
    }
}

/// A whole HTTP answer.
pub fn answer(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn serve(mut visitor: TcpStream, behind: &str, judge: &dyn Fn(&str) -> Verdict, traffic: &Arc<Traffic>, serial: usize) {
    let Some(head) = read_head(&mut visitor) else { return };
    match judge(&head) {
        Verdict::Answer(answer) => {
            let _ = visitor.write_all(answer.as_bytes());
        }
        Verdict::Forward(head) => {
            let Ok(mut daemon) = TcpStream::connect(behind) else {
                let _ = visitor.write_all(answer("502 Bad Gateway", "nothing is behind me").as_bytes());
                return;
            };
            if daemon.write_all(last_of_its_connection(&head).as_bytes()).is_err() {
                return;
            }
            let (Ok(from_visitor), Ok(to_daemon)) = (visitor.try_clone(), daemon.try_clone()) else { return };
            let there = Arc::clone(traffic);
            std::thread::spawn(move || pass_on(from_visitor, to_daemon, &there, serial));
            pass_on(daemon, visitor, traffic, serial);
        }
    }
}

/// Only the first request of a connection is judged. So a request for a page says that none follows it, as nginx says it to a
/// server behind it that is not configured otherwise.
pub fn last_of_its_connection(head: &str) -> String {
    if head.to_lowercase().contains("\r\nupgrade: websocket\r\n") {
        return head.to_owned();
    }
    head.replacen("\r\n", "\r\nConnection: close\r\n", 1)
}

/// Up to its empty line; nothing follows it before there is an answer.
fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return None,
        }
    }
    String::from_utf8(head).ok()
}

fn pass_on(mut from: TcpStream, mut to: TcpStream, traffic: &Traffic, serial: usize) {
    let mut bytes = vec![0; 64 * 1024];
    loop {
        let count = from.read(&mut bytes).unwrap_or(0);
        if serial < traffic.silent_below.load(Ordering::SeqCst) {
            if count == 0 {
                // Neither side is to learn of the other's end: both sockets stay open as long as the test runs.
                std::mem::forget((from, to));
                return;
            }
            continue;
        }
        if count == 0 || to.write_all(&bytes[..count]).is_err() {
            let _ = to.shutdown(std::net::Shutdown::Write);
            return;
        }
    }
}
