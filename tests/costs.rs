//! What each thing that a client can send costs the daemon: CPU time for each byte of it, and the bytes that it makes the
//! daemon hold, keep in its file and log. The table in docs/operating.md is made by this:
//!
//! `COSTS=overwrite cargo test --release --test costs -- --ignored`
//!
//! CPU time is that of all threads of the daemon, kernel included, as the kernel counts it; the least of several runs
//! counts, for other programs only ever add to it. It still depends on the machine. What does not is how many times the
//! smallest message something costs, and that is what the test is about: nothing costs more than [`MOST_TIMES`] as much
//! for each byte unless a limit counts it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed expectation is a failed test")]

mod support;

#[allow(dead_code, reason = "the load generator uses all of it")]
#[path = "load/server.rs"]
mod server;

use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

use roomd::limits::Limits;
use serde_json::Value;
use server::Server;
use support::{Daemon, Raw, handshake, masked_frame, masked_header};

/// Per byte, so many times the smallest message at most.
const MOST_TIMES: f64 = 20.0;

/// The same work, so often; the least counts.
const RUNS: usize = 5;

const BEGIN: &str = "<!-- costs:begin -->";
const END: &str = "<!-- costs:end -->";

const FIN: u8 = 0x80;
const CONTINUATION: u8 = 0x0;
const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const PING: u8 = 0x9;
const PONG: u8 = 0xa;

/// One letter that stands for eighteen others, which is found out whenever names are compared.
const DEAR_LETTER: &str = "\u{FDFA}";

/// What a newcomer asks: the answer comes behind the past.
const PING_LAST: &str = "/ping last";

/// Where the things are sent.
const ROOM: &str = "/r/costs";

/// Messages that the room has had before.
const PAST: usize = 2_000;

const WHO: &str = "`/who` among 100";

/// Members more in the room that `/who` is asked in.
const CROWD: usize = 100;

/// What bounds how often a client can send it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Counted {
    /// As a frame, and no more than that.
    Frame,
    /// Also by the bytes of what it makes the daemon send.
    FrameAndBytes,
    /// As a change of name or room.
    Change,
    /// As a connection, and by the bytes of what was missed, which are one rate for all.
    Past,
    /// As a connection.
    Connection,
}

/// One thing that a client can send.
struct Item {
    name: &'static str,
    counted: Counted,
    sent: Sent,
    /// How often in one run.
    count: usize,
}

enum Sent {
    /// Frames of one member, one behind the other. There may be several to one thing, in turn.
    Frames(Vec<Vec<u8>>),
    /// A connection with these bytes, which is read to the end of the answer.
    Connection { bytes: Vec<u8>, until: Until },
}

/// When a connection has had its answer, and goes.
#[derive(Clone, Copy)]
enum Until {
    /// The daemon closes.
    Closed,
    /// The answer to [`PING_LAST`] has come.
    Last,
    /// The head has come.
    Head,
    /// It waits for none.
    Sent,
}

/// What it was found to cost.
struct Row {
    name: &'static str,
    counted: Counted,
    sent_bytes: f64,
    cpu_us: f64,
    answer_bytes: f64,
    disk_bytes: f64,
    log_bytes: f64,
}

fn dear(letters: usize) -> String {
    DEAR_LETTER.repeat(letters)
}

fn text(line: &str) -> Vec<u8> {
    masked_frame(FIN | TEXT, line.as_bytes())
}

fn frames(name: &'static str, counted: Counted, count: usize, frames: &[Vec<u8>]) -> Item {
    Item { name, counted, sent: Sent::Frames(frames.to_vec()), count }
}

fn connection(name: &'static str, bytes: &[u8], until: Until) -> Item {
    Item { name, counted: Counted::Connection, sent: Sent::Connection { bytes: bytes.to_vec(), until }, count: 200 }
}

fn newcomer(name: &'static str, bytes: &[u8]) -> Item {
    Item { counted: Counted::Past, ..connection(name, bytes, Until::Last) }
}

/// The first is what the others are compared with. The room's first message has the id behind `base`.
fn items(base: u64) -> Vec<Item> {
    use Counted::{Change, Frame, FrameAndBytes};
    let joined = |path: &str, more: &[u8]| [handshake(path).as_bytes(), more].concat();
    let request =
        |path: &str| format!("GET {path} HTTP/1.1\r\nHost: roomd.test\r\nConnection: close\r\n\r\n").into_bytes();
    vec![
        frames("the smallest message: a text of one letter", FrameAndBytes, 4_000, &[text("x")]),
        frames("an empty text", Frame, 4_000, &[text("")]),
        frames("a text of 100 bytes", FrameAndBytes, 4_000, &[text(&"x".repeat(100))]),
        frames("the largest text", FrameAndBytes, 40, &[text(&"x".repeat(65_536))]),
        frames("the largest text, of U+0001", FrameAndBytes, 40, &[text(&"\u{1}".repeat(65_536))]),
        frames("an empty Pong", Frame, 4_000, &[masked_frame(FIN | PONG, b"")]),
        frames("an empty Ping", Frame, 4_000, &[masked_frame(FIN | PING, b"")]),
        frames("the largest Ping", Frame, 4_000, &[masked_frame(FIN | PING, &[b'p'; 125])]),
        frames(
            "a fragment of one letter",
            FrameAndBytes,
            3_000,
            &[masked_frame(TEXT, b"x"), masked_frame(CONTINUATION, b"x"), masked_frame(FIN | CONTINUATION, b"x")],
        ),
        frames("a binary message", Frame, 2_000, &[masked_frame(FIN | BINARY, b"x")]),
        frames("a command that there is not", Frame, 2_000, &[text("/x")]),
        frames("`/me x`", FrameAndBytes, 2_000, &[text("/me x")]),
        frames("`/ping`", Frame, 2_000, &[text("/ping")]),
        frames("`/help`", FrameAndBytes, 2_000, &[text("/help")]),
        frames(WHO, FrameAndBytes, 1_000, &[text("/who")]),
        frames("`/msg` of one letter", FrameAndBytes, 2_000, &[text("/msg Bea x")]),
        frames("`/msg` to the absent name 30 × U+FDFA", Frame, 500, &[text(&format!("/msg {} x", dear(30)))]),
        frames("`/history` of the newest", FrameAndBytes, 200, &[text(&format!("/history {}", base + 2_000))]),
        frames("`/history` of older ones", FrameAndBytes, 200, &[text(&format!("/history {}", base + 500))]),
        frames("`/nick`", Change, 500, &[text("/nick Ann"), text("/nick Zoe")]),
        frames("`/nick`, refused", Change, 500, &[text("/nick Bea")]),
        frames("`/nick` with 31 × U+FDFA", Change, 200, &[text(&format!("/nick {}", dear(31))), text("/nick Zoe")]),
        frames("`/nick` with 32 × U+FDFA, refused", Change, 200, &[text(&format!("/nick {}", dear(32)))]),
        frames("`/join` to a new room", Change, 200, &[text("/join one"), text("/join two"), text("/join three")]),
        frames("`/join`, refused", Change, 500, &[text("/join a/b")]),
        connection("a handshake, quiet", &joined("/r/quiet?quiet=1", b""), Until::Head),
        connection("a handshake, with the past", &joined(ROOM, &text(PING_LAST)), Until::Last),
        connection(
            "a handshake with a name of 32 × U+FDFA",
            &joined(&format!("/r/quiet?quiet=1&name={}", "%EF%B7%BA".repeat(32)), b""),
            Until::Head,
        ),
        newcomer(
            "a handshake with `since`, 1,900 messages ago",
            &joined(&format!("{ROOM}?since={}", base + 100), &text(PING_LAST)),
        ),
        connection(
            "a handshake and bad UTF-8",
            &joined("/r/quiet?quiet=1", &masked_frame(FIN | TEXT, b"\xff")),
            Until::Closed,
        ),
        connection(
            "a handshake and the header of too large a message",
            &joined("/r/quiet?quiet=1", &masked_header(FIN | TEXT, 1 << 40, [0; 4])),
            Until::Closed,
        ),
        connection("the page", &request("/"), Until::Closed),
        connection("what there is not", &request("/nothing"), Until::Closed),
        connection("half a request", b"GET / HTTP/1.1\r\nHost:", Until::Sent),
    ]
}

/// The page around the table, and the table.
fn page() -> (PathBuf, String) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/operating.md");
    let page = fs::read_to_string(&path).unwrap();
    (path, page)
}

/// The page before the table, the table, and the page after it.
fn parts(page: &str) -> (&str, &str, &str) {
    let (before, rest) = page.split_once(BEGIN).expect("the page has a place for the table");
    let (table, after) = rest.split_once(END).expect("the place has an end");
    (before, table, after)
}

#[test]
fn the_table_has_a_row_for_each_thing_that_is_measured() {
    let (_, page) = page();
    let (_, table, _) = parts(&page);
    let rows = table.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next()).skip(1);
    let items = items(0);
    let names: Vec<&str> = items.iter().map(|item| item.name).collect();
    assert_eq!(rows.collect::<Vec<_>>(), names, "the table is made anew with COSTS=overwrite");
}

/// In a debug build, where SQLite is not optimised either, the figures say nothing, and nothing is measured.
#[test]
#[ignore = "needs --release"]
fn nothing_costs_much_more_than_the_smallest_message_unless_a_limit_counts_it() {
    if cfg!(debug_assertions) {
        println!("nothing is measured: this is a debug build");
        return;
    }
    rlimit::increase_nofile_limit(u64::MAX).expect("a test may have as many files as the system allows");
    let rows: Vec<Row> = (0..items(0).len()).map(measure).collect();
    let table = table(&rows);
    println!("{table}");
    if std::env::var("COSTS").is_ok_and(|value| value == "overwrite") {
        let (path, page) = page();
        let (before, _, after) = parts(&page);
        fs::write(&path, format!("{before}{BEGIN}\n\n{table}\n{END}{after}")).unwrap();
    }
    // A question with an id that there is not would cost little, and say nothing.
    for row in rows.iter().filter(|row| row.name.contains("`since`") || row.name.contains("`/history`")) {
        assert!(row.answer_bytes > 5_000.0, "{}: {:.0} bytes of the past", row.name, row.answer_bytes);
    }
    let dear: Vec<String> = rows
        .iter()
        .filter(|row| matches!(row.counted, Counted::Frame | Counted::Connection) && row.times(&rows[0]) > MOST_TIMES)
        .map(|row| format!("{}: {:.0} times", row.name, row.times(&rows[0])))
        .collect();
    assert!(
        dear.is_empty(),
        "no limit but that of frames or of connections counts what costs much more for each byte: {dear:?}"
    );
}

/// A daemon with a history in a file, and three in a room with a past.
struct Bench {
    daemon: Daemon,
    folder: PathBuf,
    /// Zoe, who sends and reads.
    member: Raw,
    /// Those whom names and private words are about, and more who only make the room larger.
    others: Vec<Raw>,
    /// So many times something was said last. A word that was said before comes back with the past of a room.
    lasts: usize,
    /// The id before that of the first message of the past.
    base: u64,
}

impl Bench {
    fn start(crowd: usize) -> Bench {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("costs-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let file = folder.join("roomd.db");
        // So long a queue that nobody is closed for what comes faster than a test reads.
        let flags = [
            "--no-rate-limit",
            "--close-timeout",
            "10ms",
            "--max-queue",
            "67108864",
            "--history",
            file.to_str().unwrap(),
        ];
        let daemon = Daemon::start(&flags);
        let member = daemon.open(&format!("{ROOM}?name=Zoe"));
        let names = ["Bea".to_owned(), "%EF%B7%BA".repeat(32)];
        let mut others: Vec<Raw> =
            names.iter().map(|name| daemon.open(&format!("{ROOM}?quiet=1&name={name}"))).collect();
        others.extend((0..crowd).map(|_| daemon.open(&format!("{ROOM}?quiet=1"))));
        let mut bench = Bench { daemon, folder, member, others, lasts: 0, base: 0 };
        bench.say(&[]);
        bench.base = bench.say(&text("a message of the past").repeat(PAST)).last_id - PAST as u64 - 1;
        bench
    }

    /// Sends all of it, and a last word.
    fn say(&mut self, bytes: &[u8]) -> Answered {
        self.lasts += 1;
        // It comes back behind all that was said and asked before.
        let last = format!("the last word, number {}", self.lasts);
        self.member.send_from_another_thread([bytes, &text(&last)].concat());
        let answered = read_up_to(&mut self.member, |event| event["mess"] == *last);
        for other in &mut self.others {
            other.arrived();
        }
        answered
    }

    /// Ends the daemon, and gives the bytes of its file and of its log.
    fn end(mut self) -> (usize, usize) {
        self.daemon.signal("TERM");
        assert!(self.daemon.wait().success());
        let log = self.daemon.rest_of_log().iter().map(|line| line.len() + 1).sum();
        let file = fs::metadata(self.folder.join("roomd.db")).unwrap().len();
        (usize::try_from(file).unwrap(), log)
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// What has come up to the answer that was waited for.
struct Answered {
    /// Bytes before it.
    bytes: usize,
    /// The id that it has, or 0.
    last_id: u64,
}

/// Reads up to that event, which is a short one.
fn read_up_to(member: &mut Raw, is_last: impl Fn(&Value) -> bool) -> Answered {
    let mut bytes = 0;
    loop {
        let frame = member.frame();
        if frame.first_byte == FIN | TEXT && frame.payload.len() < 200 {
            let event = frame.json();
            if is_last(&event) {
                return Answered { bytes, last_id: event["id"].as_u64().unwrap_or(0) };
            }
        }
        bytes += frame.payload.len() + if frame.payload.len() < 126 { 2 } else { 4 };
    }
}

/// One connection with these bytes. Says how many were answered.
fn connect(daemon: &Daemon, bytes: &[u8], until: Until) -> usize {
    let mut client = daemon.connect();
    client.send(bytes);
    let answered = match until {
        Until::Closed => client.read_to_end().len(),
        Until::Head => client.read_head().len(),
        Until::Last => client.read_head().len() + read_up_to(&mut client, |event| event["token"] == "last").bytes,
        Until::Sent => 0,
    };
    // So that no port of the client stays behind.
    client.reset();
    answered
}

/// Measures the nth thing on a daemon of its own.
fn measure(nth: usize) -> Row {
    let crowd = if items(0)[nth].name == WHO { CROWD } else { 0 };
    let (file_before, log_before) = Bench::start(crowd).end();
    let mut bench = Bench::start(crowd);
    let item = items(bench.base).swap_remove(nth);
    let server = Server::by_pid(bench.daemon.pid()).unwrap();
    let count = item.count as f64;
    let (mut cpu_us, mut sent_bytes, mut answer_bytes) = (f64::MAX, 0.0, 0.0);
    for _ in 0..RUNS {
        let cpu = server.fine_cpu_seconds().unwrap();
        let (sent, answered) = match &item.sent {
            Sent::Frames(frames) => {
                let all: Vec<u8> = frames.iter().cycle().take(item.count).flatten().copied().collect();
                (all.len(), bench.say(&all).bytes)
            }
            Sent::Connection { bytes, until } => {
                let answered = (0..item.count).map(|_| connect(&bench.daemon, bytes, *until)).sum();
                // They are gone before the time is taken.
                bench.say(b"");
                (bytes.len() * item.count, answered)
            }
        };
        cpu_us = cpu_us.min((server.fine_cpu_seconds().unwrap() - cpu) * 1e6 / count);
        (sent_bytes, answer_bytes) = (sent as f64 / count, answered as f64 / count);
    }
    let (file, log) = bench.end();
    let each = |after: usize, before: usize| after.saturating_sub(before) as f64 / (count * RUNS as f64);
    Row {
        name: item.name,
        counted: item.counted,
        sent_bytes,
        cpu_us,
        answer_bytes,
        disk_bytes: each(file, file_before),
        log_bytes: each(log, log_before),
    }
}

impl Row {
    fn ns_per_byte(&self) -> f64 {
        self.cpu_us * 1_000.0 / self.sent_bytes
    }

    fn times(&self, smallest: &Row) -> f64 {
        self.ns_per_byte() / smallest.ns_per_byte()
    }

    /// How many of them one client may send in a second, in the long run.
    fn most_per_second(&self) -> Option<f64> {
        let limits = Limits::default();
        let frames = f64::from(limits.rate.unwrap().per_second);
        match self.counted {
            Counted::Frame => Some(frames),
            Counted::FrameAndBytes => {
                let bytes = f64::from(limits.byte_rate.unwrap().per_second);
                Some(frames.min(bytes / self.answer_bytes.max(1.0)))
            }
            Counted::Change => Some(f64::from(limits.change_rate.unwrap().per_second)),
            Counted::Past => Some(f64::from(limits.past_byte_rate.unwrap().per_second) / self.answer_bytes),
            Counted::Connection => None,
        }
    }
}

fn table(rows: &[Row]) -> String {
    let mut table = "\
| what is sent | bytes | µs of CPU | ns for each byte | times the smallest message | a second, by the limit | ms of CPU a second \
| answered, bytes | in the file | in the log |
|---|---|---|---|---|---|---|---|---|---|
"
    .to_owned();
    for row in rows {
        let (most, cpu_ms) = match row.most_per_second() {
            Some(most) => (rounded(most), rounded(most * row.cpu_us / 1_000.0)),
            None => ("—".to_owned(), "—".to_owned()),
        };
        writeln!(
            table,
            "| {} | {} | {} | {} | {} | {most} | {cpu_ms} | {} | {} | {} |",
            row.name,
            rounded(row.sent_bytes),
            rounded(row.cpu_us),
            rounded(row.ns_per_byte()),
            rounded(row.times(&rows[0])),
            rounded(row.answer_bytes),
            rounded(row.disk_bytes),
            rounded(row.log_bytes),
        )
        .unwrap();
    }
    table
}

/// With two digits that count. What is less than a twentieth is noise.
fn rounded(number: f64) -> String {
    if number < 0.05 {
        return "0".into();
    }
    if number < 10.0 {
        return format!("{number:.1}");
    }
    let unit = 10_f64.powi(number.log10() as i32 - 1);
    format!("{:.0}", (number / unit).round() * unit)
}
