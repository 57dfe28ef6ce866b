//! What tests over real sockets share: a daemon of their own on a free port, and a client that speaks in bytes.
//!
//! Nothing here sleeps to let something happen: a test waits for the thing itself, within [`PATIENCE`].

#![allow(dead_code, unreachable_pub, reason = "each test binary uses its own part of this")]

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long a test waits for what must happen. Far more than it takes, so that a busy machine fails nothing.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A running daemon, killed when dropped.
pub struct Daemon {
    child: Child,
    log: Receiver<String>,
    seen: Vec<String>,
    pub address: String,
}

impl Daemon {
    /// Starts `roomd` on a free port of the loopback interface and waits until it listens.
    pub fn start(flags: &[&str]) -> Daemon {
        let mut all = vec!["--listen", "127.0.0.1:0"];
        all.extend(flags);
        Daemon::start_without_address(&all)
    }

    /// As [`Daemon::start`], with a line in the log for each request that does not become a WebSocket, too.
    pub fn start_with_requests_logged(flags: &[&str]) -> Daemon {
        let mut command = Command::new(env!("CARGO_BIN_EXE_roomd"));
        command.args(["--listen", "127.0.0.1:0"]).args(flags).env("RUST_LOG", "debug");
        Daemon::spawn(command)
    }

    /// Starts `roomd` with just these flags.
    pub fn start_without_address(flags: &[&str]) -> Daemon {
        let mut command = Command::new(env!("CARGO_BIN_EXE_roomd"));
        command.args(flags).env_remove("RUST_LOG");
        Daemon::spawn(command)
    }

    /// Starts a command that ends up as `roomd`, its log on standard error. Unless the command says otherwise, what is
    /// said is kept in memory, so that no file is left behind.
    pub fn spawn(mut command: Command) -> Daemon {
        if !command.get_envs().any(|(name, _)| name == "ROOMD_HISTORY") {
            command.env("ROOMD_HISTORY", "memory");
        }
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the daemon starts");
        let stderr = child.stderr.take().expect("its log is piped");
        let (sender, log) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let mut daemon = Daemon { child, log, seen: Vec::new(), address: String::new() };
        let line = daemon.wait_for_log("listening on ");
        let place = line.split("listening on ").nth(1).unwrap();
        daemon.address = place.trim_start_matches("http://").trim_end_matches('/').to_owned();
        daemon
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the next log line that holds `part`.
    pub fn wait_for_log(&mut self, part: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.log.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    self.seen.push(line.clone());
                    if line.contains(part) {
                        return line;
                    }
                }
                Err(error) => panic!("no log line with {part:?} ({error}); the log so far:\n{}", self.seen.join("\n")),
            }
        }
    }

    /// What has been waited for, and what came before it.
    pub fn log_so_far(&self) -> &[String] {
        &self.seen
    }

    /// Everything logged until the daemon ended.
    pub fn rest_of_log(&mut self) -> Vec<String> {
        self.seen.extend(self.log.iter());
        self.seen.clone()
    }

    /// Ends it as a crash would, and waits for that.
    pub fn kill(&mut self) {
        self.child.kill().expect("the daemon runs");
        self.child.wait().expect("the daemon can be waited for");
    }

    /// Open files, sockets among them.
    pub fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.pid())).expect("the daemon runs").count()
    }

    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.pid().to_string()]).status();
        assert!(status.expect("kill runs").success());
    }

    /// Waits for the daemon to end by itself.
    pub fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("the daemon can be waited for") {
                return status;
            }
            assert!(Instant::now() < deadline, "the daemon does not end; its log:\n{}", self.rest_of_log().join("\n"));
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// User and system CPU time so far, in clock ticks of 10 ms.
    pub fn cpu_ticks(&self) -> u64 {
        let fields = self.stat();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    }

    /// What the process does, in the letter of proc(5): `R` runs, `S` sleeps, `T` was stopped by a signal.
    pub fn state(&self) -> String {
        self.stat().swap_remove(0)
    }

    /// The fields of proc(5) from `state` on.
    fn stat(&self) -> Vec<String> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).expect("the daemon runs");
        stat.rsplit(')').next().unwrap().split_whitespace().map(str::to_owned).collect()
    }

    /// Resident memory, in KiB.
    pub fn resident_kib(&self) -> u64 {
        self.status_kib("VmRSS:")
    }

    /// The most memory that was ever resident, in KiB.
    pub fn peak_kib(&self) -> u64 {
        self.status_kib("VmHWM:")
    }

    fn status_kib(&self, field: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("the daemon runs");
        let line = status.lines().find(|line| line.starts_with(field)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// A plain TCP connection.
    pub fn connect(&self) -> Raw {
        Raw::connect(&self.address)
    }

    /// A WebSocket at `path`, its handshake done.
    pub fn open(&self, path: &str) -> Raw {
        let mut raw = self.connect();
        raw.send(handshake(path).as_bytes());
        let answer = raw.read_head();
        assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
        raw
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Only ever the child that this test started; if it has ended already there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A folder of the test's own, which goes with it. In the temporary directory and not in `target/`: the path of a socket has
/// at most 107 bytes.
pub struct Folder(tempfile::TempDir);

impl Folder {
    pub fn new() -> Folder {
        Folder(tempfile::Builder::new().prefix("roomd-").tempdir().expect("there is a place for temporary files"))
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// The path of a file in it, which need not exist.
    pub fn file(&self, name: &str) -> String {
        self.path().join(name).to_str().expect("a path of letters").to_owned()
    }
}

/// A proper handshake.
pub fn handshake(path: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: roomd.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
}

/// A frame from the server, as it was on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub first_byte: u8,
    pub payload: Vec<u8>,
}

impl Frame {
    pub fn text(&self) -> &str {
        assert_eq!(self.first_byte, 0x81, "a whole text frame: {self:02x?}");
        std::str::from_utf8(&self.payload).expect("text is UTF-8")
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(self.text()).expect("an event is JSON")
    }

    /// The code of a Close frame; 1005 for one without, as books call it.
    pub fn close_code(&self) -> u16 {
        assert_eq!(self.first_byte, 0x88, "a Close frame: {self:02x?}");
        self.payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code))
    }
}

/// A client that says just the bytes it is told to, right or wrong.
pub struct Raw {
    pub stream: TcpStream,
    buffer: Vec<u8>,
}

impl Raw {
    pub fn connect(address: &str) -> Raw {
        Raw::over(TcpStream::connect(address).expect("the daemon accepts"))
    }

    pub fn over(stream: TcpStream) -> Raw {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Raw { stream, buffer: Vec::new() }
    }

    /// Sends bytes as they are. A server that has closed already is for the following read to find out.
    pub fn send(&mut self, bytes: &[u8]) {
        match self.stream.write_all(bytes) {
            Err(error) if !matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => {
                panic!("cannot send: {error}")
            }
            _ => {}
        }
    }

    /// Sends while this thread reads: a server that answers what it has read needs both.
    pub fn send_from_another_thread(&self, bytes: Vec<u8>) {
        let mut stream = self.stream.try_clone().expect("a socket can be cloned");
        std::thread::spawn(move || stream.write_all(&bytes));
    }

    /// Waits up to so long for something to read.
    pub fn has_something_to_read(&self, patience: Duration) -> bool {
        self.stream.set_read_timeout(Some(patience)).unwrap();
        let peeked = self.stream.peek(&mut [0]);
        self.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        peeked.is_ok()
    }

    pub fn send_text(&mut self, text: &str) {
        self.send(&masked_frame(0x81, text.as_bytes()));
    }

    pub fn send_close(&mut self, code: u16) {
        self.send(&masked_frame(0x88, &code.to_be_bytes()));
    }

    /// Reads more, and says whether there was any.
    fn fill(&mut self) -> bool {
        let mut chunk = [0; 64 * 1024];
        match self.stream.read(&mut chunk) {
            Ok(0) => false,
            Ok(count) => {
                self.buffer.extend_from_slice(&chunk[..count]);
                true
            }
            // A read with a timeout ends so when the process was stopped and goes on; the caller tries again.
            Err(error) if error.kind() == ErrorKind::Interrupted => true,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => false,
            Err(error) => panic!("nothing came: {error}; so far {:?}", String::from_utf8_lossy(&self.buffer)),
        }
    }

    /// The head of an HTTP answer.
    pub fn read_head(&mut self) -> String {
        loop {
            if let Some(end) = self.buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                let rest = self.buffer.split_off(end + 4);
                return String::from_utf8(std::mem::replace(&mut self.buffer, rest)).expect("a head is text");
            }
            assert!(self.fill(), "the stream ended before the head: {:?}", String::from_utf8_lossy(&self.buffer));
        }
    }

    /// The next so many bytes, whatever they are.
    pub fn read_bytes(&mut self, count: usize) -> Vec<u8> {
        while self.buffer.len() < count {
            assert!(self.fill(), "the stream ended early: {:?}", String::from_utf8_lossy(&self.buffer));
        }
        let rest = self.buffer.split_off(count);
        std::mem::replace(&mut self.buffer, rest)
    }

    /// What has arrived already and was not read. It waits for nothing.
    pub fn arrived(&mut self) -> Vec<u8> {
        self.stream.set_nonblocking(true).unwrap();
        let mut chunk = [0; 64 * 1024];
        while let Ok(count @ 1..) = self.stream.read(&mut chunk) {
            self.buffer.extend_from_slice(&chunk[..count]);
        }
        self.stream.set_nonblocking(false).unwrap();
        std::mem::take(&mut self.buffer)
    }

    /// Everything up to the end of the stream.
    pub fn read_to_end(&mut self) -> Vec<u8> {
        while self.fill() {}
        std::mem::take(&mut self.buffer)
    }

    /// The next frame, or `None` at the end of the stream.
    pub fn next_frame(&mut self) -> Option<Frame> {
        loop {
            if let Some((frame, len)) = parse_frame(&self.buffer) {
                self.buffer.drain(..len);
                return Some(frame);
            }
            if !self.fill() {
                assert!(self.buffer.is_empty(), "the stream ended inside a frame: {:02x?}", self.buffer);
                return None;
            }
        }
    }

    pub fn frame(&mut self) -> Frame {
        self.next_frame().expect("a frame, not the end of the stream")
    }

    /// The next event of that type, passing over others.
    pub fn event(&mut self, kind: &str) -> Value {
        loop {
            let event = self.frame().json();
            if event["type"] == kind {
                return event;
            }
        }
    }

    /// The text of the next message.
    pub fn message(&mut self) -> String {
        self.event("message")["mess"].as_str().expect("a text").to_owned()
    }

    /// The code of the Close that comes next or after other frames, and that the stream ends behind it.
    pub fn close_code(&mut self) -> u16 {
        loop {
            let frame = self.frame();
            if frame.first_byte == 0x88 {
                return frame.close_code();
            }
        }
    }

    pub fn finish_sending(&mut self) {
        self.stream.shutdown(Shutdown::Write).expect("the stream is open");
    }

    /// Closes with a reset instead of an end: what SO_LINGER with 0 seconds is for.
    pub fn reset(self) {
        socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).unwrap();
    }
}

/// A frame over and over: so much that reading it at 20 frames a second would take minutes; and so little that the kernel
/// takes it at once.
pub fn flood_of(frame: &[u8]) -> Vec<u8> {
    const FLOOD_BYTES: usize = 65_000;
    frame.repeat(FLOOD_BYTES / frame.len())
}

/// A client's frame, masked.
pub fn masked_frame(first_byte: u8, payload: &[u8]) -> Vec<u8> {
    let key = [0x37, 0xfa, 0x21, 0x3d];
    let mut bytes = masked_header(first_byte, payload.len() as u64, key);
    bytes.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    bytes
}

/// The header of a client's frame, whatever length it claims.
pub fn masked_header(first_byte: u8, payload_len: u64, key: [u8; 4]) -> Vec<u8> {
    let mut bytes = vec![first_byte];
    match payload_len {
        0..=125 => bytes.push(0x80 | payload_len as u8),
        126..=0xffff => {
            bytes.push(0x80 | 126);
            bytes.extend_from_slice(&(payload_len as u16).to_be_bytes());
        }
        _ => {
            bytes.push(0x80 | 127);
            bytes.extend_from_slice(&payload_len.to_be_bytes());
        }
    }
    bytes.extend_from_slice(&key);
    bytes
}

/// A server's frame at the front of `bytes`, with its length. It also checks what must hold for each of them.
pub fn parse_frame(bytes: &[u8]) -> Option<(Frame, usize)> {
    let (&first_byte, &second) = (bytes.first()?, bytes.get(1)?);
    assert_eq!(second & 0x80, 0, "a server must not mask (section 5.1)");
    assert_eq!(first_byte & 0x70, 0, "no extension was agreed on (section 5.2)");
    let (start, len) = match second {
        126 => (4, u64::from(u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?))),
        127 => (10, u64::from_be_bytes(*bytes.get(2..)?.first_chunk()?)),
        len => (2, u64::from(len)),
    };
    let end = start + len as usize;
    let payload = bytes.get(start..end)?.to_vec();
    Some((Frame { first_byte, payload }, end))
}
