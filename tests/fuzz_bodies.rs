//! The fuzz targets' bodies, for a moment in the ordinary suite: no libFuzzer, no instrumentation, but the same rules.
//!
//! Each case has a seed of its own, which a failure prints. `FUZZ_SEED=... cargo test --test fuzz_bodies NAME` runs that
//! case alone; `FUZZ_SECONDS=600` runs for longer; `FUZZ_CORPUS=tests/fuzz/corpus` also writes the cases that all others
//! are made from, for libFuzzer to begin with.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a broken rule is a failed test")]

use std::fs;
use std::panic::catch_unwind;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

#[path = "fuzz/bodies.rs"]
mod bodies;

#[test]
fn a_request_head_is_answered_by_the_rules_whatever_it_is() {
    fuzz("head", &heads(), bodies::head);
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

/// Two bytes of options, then what happens: see `World::happens`.
fn scripts() -> Vec<Vec<u8>> {
    let plots: [&[u8]; 18] = [
        // Somebody connects, asks for the room, says something, leaves.
        &[0, 1, 0, 2, 0, 2, b'h', b'i', 14, 3, 11, 14],
        // Three in the room: they talk in turn, one is slow, one is cut off.
        &[2, 0, 1, b'a', 18, 0, 1, b'b', 34, 0, 1, b'c', 27, 0, 15, 15, 9, 14, 26, 3, 14],
        // A flood to readers that do not read; time passes.
        &[11, 0, 27, 0, 43, 0, 31, 15, 31, 15, 31, 15, 31, 15, 12, 255, 14, 10, 5],
        // Echo: text, binary, pings, cut messages.
        &[0, 1, 5, 2, 0, 2, b'x', b'y', 2, 7, 1, 255, 2, 9, 1, 1, 2, 13, 4, 14, 2, 12, 0, 0, 14],
        // A head in pieces, a frame in pieces, nothing more.
        &[0, 1, 14, 30, 7, 20, b'G', b'E', b'T', b' ', b'/', 12, 255, 13, 0, 13, 0, 13, 0],
        // Frames with the head, an end with the last frame.
        &[0, 65, 15, 0, 2, b'h', b'i', 66, 0, 1, b'b', 8, 14],
        // More than there is room for; plain requests and refusals.
        &[0, 0, 0, 0, 1, 9, 17, 10, 33, 7, 49, 12, 0, 14, 8, 24, 40, 14],
        // The history takes its time while some come and go.
        &[13, 1, 2, 0, 1, b'a', 0, 1, 0, 8, 25, 15, 13, 1, 14],
        // Interrupted calls, reports about nothing, reports that come late.
        &[13, 2, 2, 0, 1, b'a', 13, 3, 9, 14, 13, 3, 0, 13, 3, 14],
        // Silence: pings, a Pong, then none.
        &[13, 0, 14, 2, 10, 0, 13, 0, 14, 13, 0, 13, 0, 13, 0, 14],
        // Slow on the way out: a byte at a time behind a Close.
        &[11, 0, 2, 0, 1, b'a', 2, 11, 10, 0, 14, 10, 0, 14, 10, 1, 14, 12, 200, 14],
        // One after another comes in, and before each of them somebody speaks.
        &[2, 0, 1, b'a', 0, 1, 0, 2, 0, 1, b'b', 0, 1, 0, 2, 0, 1, b'c', 0, 1, 0, 18, 0, 1, b'd', 14],
        // Names and rooms: somebody takes one, somebody else wants it, somebody moves, and they look back.
        &[6, 0, 1, 22, 0, 2, 22, 0, 3, 6, 1, 5, 14, 2, 0, 1, b'a', 6, 6, 8, 6, 4, 0, 6, 7, 1, 6, 3, 7, 14],
        // The same while the history takes its time.
        &[13, 1, 6, 0, 1, 22, 1, 5, 2, 0, 1, b'a', 6, 1, 5, 14, 0, 1, 8, 1, 1, 1, 13, 1, 14, 6, 1, 4, 14],
        // Privates to one who reads, to one who does not, to oneself and to nobody.
        &[27, 0, 6, 9, 9, 22, 0, 1, 6, 2, 9, 6, 2, 9, 22, 2, 9, 6, 2, 3, 14, 26, 5, 14],
        // Somebody comes back by an id that joins on, with a name, and by one of the future.
        &[2, 0, 1, b'a', 2, 0, 1, b'b', 0, 1, 8, 0, 1, 2, 14, 0, 1, 8, 0, 0, 3, 14, 8, 6, 5, 0, 14],
        // Behind a shut gate: one has come, one is on the way, one moves, one looks back, one has left, one rests.
        &[13, 1, 0, 1, 0, 0, 1, 0, 2, 0, 1, b'a', 13, 1, 14, 13, 1, 6, 1, 5, 22, 6, 4, 0, 1, 0, 2, 11, 31, 15],
        // Faults of each kind.
        &[2, 15, 3, 1, 2, 3, 18, 16, 255, 4, 1, 1, 34, 14, 8, 0, 0, 14],
    ];
    let options =
        [[0, 3], [1, 1], [5, 5], [10, 7], [16, 9], [25, 13], [3, 15], [12, 11], [32, 3], [96, 1], [0, 17], [5, 21]];
    plots.iter().flat_map(|plot| options.map(|options| [&options, *plot].concat())).collect()
}
