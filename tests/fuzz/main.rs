//! The fuzz targets' bodies, for a moment in the ordinary suite: no libFuzzer, no instrumentation, but the same rules.
//!
//! Each case has a seed of its own, which a failure prints. `FUZZ_SEED=... cargo test --test fuzz NAME` runs that
//! case alone; `FUZZ_SECONDS=600` runs for longer; `FUZZ_CORPUS=tests/fuzz/corpus` also writes the cases that all others
//! are made from, for libFuzzer to begin with.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a broken rule is a failed test")]

use std::fs;
use std::panic::catch_unwind;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

mod bodies;

#[test]
fn a_request_head_is_answered_by_the_rules_whatever_it_is() {
    fuzz("head", &heads(), bodies::head);
}

#[test]
fn a_header_of_the_proxy_protocol_means_the_same_however_it_is_cut_and_whatever_it_is() {
    fuzz("proxy_header", &proxy_headers(), bodies::proxy_header);
}

#[test]
fn a_list_of_forwarded_addresses_is_read_from_its_end_to_the_client_whatever_it_is() {
    fuzz("forwarded", &scripts(), bodies::forwarded);
}

#[test]
fn frames_mean_the_same_however_they_are_cut_and_whatever_they_are() {
    fuzz("frames", &frames(), bodies::frames);
}

#[test]
fn connections_are_served_by_the_rules_and_come_to_an_end_whatever_happens() {
    fuzz("connection", &scripts(), bodies::connection);
}

fn fuzz(name: &str, corpus: &[Vec<u8>], body: fn(&[u8])) {
    let setting = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    if let Some(seed) = setting("FUZZ_SEED") {
        body(&case(seed, corpus));
        return;
    }
    if let Some(folder) = std::env::var_os("FUZZ_CORPUS") {
        let folder = PathBuf::from(folder).join(name);
        fs::create_dir_all(&folder).unwrap();
        for (nth, bytes) in corpus.iter().enumerate() {
            fs::write(folder.join(format!("seed-{nth}")), bytes).unwrap();
        }
    }
    corpus.iter().for_each(|bytes| body(bytes));
    let first_seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
    let seconds = setting("FUZZ_SECONDS").unwrap_or(2);
    let start = Instant::now();
    for seed in first_seed.. {
        if start.elapsed() >= Duration::from_secs(seconds) {
            return;
        }
        let bytes = case(seed, corpus);
        if catch_unwind(|| body(&bytes)).is_err() {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            panic!("to see this again, set FUZZ_SEED={seed}; its {} bytes are {hex}", bytes.len());
        }
    }
}

/// The case of a seed: something known, with a few changes, or noise.
fn case(seed: u64, corpus: &[Vec<u8>]) -> Vec<u8> {
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    if random.below(8) == 0 {
        let len = random.below(300);
        return (0..len).map(|_| random.next() as u8).collect();
    }
    let mut bytes = random.one_of(corpus).clone();
    for _ in 0..random.below(6) {
        let at = random.below(bytes.len() + 1);
        match random.below(7) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            1 if at < bytes.len() => bytes[at] = random.next() as u8,
            2 => bytes.truncate(at),
            3 => bytes.insert(at, random.next() as u8),
            4 if at < bytes.len() => drop(bytes.remove(at)),
            // From here on it is another one.
            5 => {
                let other = random.one_of(corpus);
                bytes.truncate(at);
                bytes.extend_from_slice(&other[random.below(other.len() + 1)..]);
            }
            // A part of another one in the middle.
            _ => {
                let other = random.one_of(corpus);
                let from = random.below(other.len() + 1);
                let to = from + random.below(other.len() - from + 1);
                bytes.splice(at..at, other[from..to].iter().copied());
            }
        }
    }
    bytes.truncate(4_000);
    bytes
}

/// Xorshift: small, fast, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    /// 0 to `end`, without `end`.
    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn one_of<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len())]
    }
}

/// Two bytes of options, then a head.
fn heads() -> Vec<Vec<u8>> {
    let upgrade = "Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let lines = [
        "GET / HTTP/1.1\r\nHost: a\r\n".to_owned(),
        "GET / HTTP/1.0\r\n".to_owned(),
        "\r\n\r\nOPTIONS * HTTP/1.0\r\n".to_owned(),
        "HEAD /chat.js HTTP/1.1\r\nHost: a\r\nIf-None-Match: W/\"x\", *\r\n".to_owned(),
        "GET http://a:80/healthz?x=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n".to_owned(),
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n".to_owned(),
        "GET /style.css HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n".to_owned(),
        format!("GET / HTTP/1.1\r\nHost: a\r\n{upgrade}"),
        format!("GET /echo HTTP/1.1\r\nHost: a:8000\r\nOrigin: http://a:8000\r\n{upgrade}"),
        format!("GET /?quiet=1 HTTP/1.1\r\nHost: a\r\nOrigin: https://a:443\r\n{upgrade}"),
        format!("GET / HTTP/1.1\r\nHost: a\r\nOrigin: null\r\n{upgrade}"),
        format!("GET / HTTP/1.1\r\nHost: a\r\nOrigin: http://a.evil.example\r\n{upgrade}"),
        format!(
            "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 00\r\nSec-WebSocket-Extensions: x; y=\"z\", w\r\n{upgrade}"
        ),
        format!("GET / HTTP/1.1\r\nHost: a\r\n{}", "A: b\r\n".repeat(70)),
    ];
    let options = [[3, 0], [3, 1], [15, 9], [7, 200]];
    let heads = lines.iter().flat_map(|lines| options.map(|options| [&options, lines.as_bytes(), b"\r\n"].concat()));
    heads.chain([vec![0, 1, 0x16, 3, 1], b"\x01\x00GET /\n\n".to_vec()]).collect()
}

/// A byte that says how it is cut, then a header with a request behind it.
fn proxy_headers() -> Vec<Vec<u8>> {
    let signature = b"\r\n\r\n\0\r\nQUIT\n";
    let binary = |command: u8, family: u8, rest: &[u8]| {
        [&signature[..], &[command, family], &(rest.len() as u16).to_be_bytes(), rest].concat()
    };
    let tcp4 = [203, 0, 113, 7, 10, 0, 0, 1, 18, 103, 0, 80, 4, 0, 1, 0];
    let headers = [
        b"PROXY TCP4 203.0.113.7 10.0.0.1 4711 80\r\n".to_vec(),
        b"PROXY TCP6 2001:db8::7 ::1 0 65535\r\n".to_vec(),
        b"PROXY UNKNOWN and more\r\n".to_vec(),
        [&b"PROXY UNKNOWN "[..], &[b'x'; 100]].concat(),
        binary(0x21, 0x11, &tcp4),
        binary(0x21, 0x21, &[0x20; 40]),
        binary(0x21, 0x31, &[b'/'; 216]),
        binary(0x21, 0x00, b""),
        binary(0x20, 0x00, b""),
        binary(0x20, 0x77, &[1; 300]),
        binary(0x21, 0x12, &[9; 5_000]),
        Vec::new(),
    ];
    let request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    headers.iter().flat_map(|header| [0, 1, 7].map(|cut| [&[cut], &header[..], request].concat())).collect()
}

/// Two bytes of options, then either frames as they are on the wire (0x80 in the first byte) or what to make them from.
fn frames() -> Vec<Vec<u8>> {
    let masked = |first: u8, payload: &[u8]| {
        let key = [0x37, 0xfa, 0x21, 0x3d];
        let body = payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key);
        [first, 0x80 | payload.len() as u8].into_iter().chain(key).chain(body).collect::<Vec<u8>>()
    };
    let hello = "Hello 汉字😀".as_bytes();
    let wires = [
        masked(0x81, hello),
        [masked(0x01, &hello[..8]), masked(0x89, b"ping"), masked(0x80, &hello[8..])].concat(),
        [masked(0x02, b"\x00\xff"), masked(0x00, b""), masked(0x80, b"\xfe")].concat(),
        [masked(0x8a, b""), masked(0x82, b"x"), masked(0x88, b"\x03\xe8bye")].concat(),
        [masked(0x81, b"a"), masked(0x81, b"\xff"), masked(0x81, b"b")].concat(),
        [vec![0x82, 0xfe, 0x01, 0x00, 1, 2, 3, 4], vec![7; 256]].concat(),
        [vec![0x81, 0xff, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0], vec![b'x'; 3_000]].concat(),
        vec![0x88, 0x80, 0, 0, 0, 0],
        vec![0x81, 0x05, 1, 2, 3],
    ];
    let options = [[0x8f, 0], [0x8f, 1], [0x8a, 5], [0x81, 30]];
    let wires = wires.iter().flat_map(|wire| options.map(|options| [&options, &wire[..]].concat()));
    let made = (0..18).map(|kind| vec![15, 3, kind, 3, b'a', b'b', b'c', 0, 1, b'z', kind, 2, b'd', b'e']);
    wires.chain(made).collect()
}

/// A script of the simulation: each byte is a choice. There is no telling beforehand what one comes to, so these are noise;
/// what matters is that a change of one byte is a change of the plot.
fn scripts() -> Vec<Vec<u8>> {
    let mut random = Random(0x0dd0_5eed);
    (1..=20).map(|nth| (0..nth * 200).map(|_| random.next() as u8).collect()).collect()
}
