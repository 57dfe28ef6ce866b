//! What the system may do to the daemon: a log that nobody reads, a file that is a pipe, signals, limits on files and memory, closed descriptors.

mod support;

use std::io::{BufRead, BufReader, PipeReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use support::{Daemon, PATIENCE, Raw, handshake};

const ROOMD: &str = env!("CARGO_BIN_EXE_roomd");

/// `roomd` on a free port, with its history in memory, started by a shell that first does `setup`.
fn after(setup: &str, flags: &str) -> Command {
    let mut command = Command::new("bash");
    command.args(["-c", &format!("{setup}; exec {ROOMD} --listen 127.0.0.1:0 {flags}")]);
    command.env_remove("RUST_LOG").env("RUST_BACKTRACE", "0");
    command
}

fn healthz(address: &str) -> String {
    let mut client = Raw::connect(address);
    client.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    String::from_utf8_lossy(&client.read_to_end()).into_owned()
}

/// A path of the test's own for a history, and no such file yet.
fn file(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("system-{}-{name}", std::process::id()));
    for end in ["", "-wal"] {
        let _ = std::fs::remove_file(format!("{}{end}", path.display()));
    }
    path.display().to_string()
}

// ---- A log that nobody reads ------------------------------------------------------------------------------------------

/// A daemon that draws every frame into its log, and the reader of that log: it reads when the test does.
struct Unread {
    child: Child,
    address: String,
    log: BufReader<PipeReader>,
}

impl Unread {
    fn start() -> Unread {
        let (reader, writer) = std::io::pipe().unwrap();
        let mut command = Command::new(ROOMD);
        command.args(["--listen", "127.0.0.1:0", "--no-rate-limit"]);
        command.env("ROOMD_HISTORY", "memory").env("RUST_LOG", "info,roomd::wire=trace");
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(writer).spawn().unwrap();
        // The command has the writing end, too: the end of the log would never come.
        drop(command);
        let mut log = BufReader::new(reader);
        let mut line = String::new();
        while !line.contains("listening on ") {
            line.clear();
            assert_ne!(log.read_line(&mut line).unwrap(), 0, "it does not start");
        }
        let address = line.split("http://").nth(1).unwrap().trim_end().trim_end_matches('/').to_owned();
        Unread { child, address, log }
    }

    /// Makes several times the lines that fit into the pipe and the buffer. On a daemon that waits for its log, the test
    /// ends here.
    fn talk(&self) {
        let mut member = Raw::connect(&self.address);
        member.send(handshake("/?quiet=1").as_bytes());
        member.read_head();
        for nth in 0..1_500 {
            member.send_text(&format!("message {nth}, and some more for the drawing to be long enough"));
            assert!(member.message().starts_with(&format!("message {nth},")));
        }
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(status.unwrap().success());
    }

    fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "the daemon does not end while nobody reads its log");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_log_that_nobody_reads_holds_up_neither_the_room_nor_the_end() {
    let mut daemon = Unread::start();
    daemon.talk();
    assert!(healthz(&daemon.address).starts_with("HTTP/1.1 200 "));
    daemon.signal("TERM");
    assert_eq!(daemon.wait().code(), Some(0));
}

#[test]
fn when_the_log_flows_again_its_lines_are_whole_and_one_says_how_many_are_missing_where_they_are() {
    let mut daemon = Unread::start();
    daemon.talk();
    let lines = std::thread::scope(|scope| {
        let log = &mut daemon.log;
        let reader = scope.spawn(move || {
            let mut lines = Vec::new();
            let mut line = String::new();
            while log.read_line(&mut line).is_ok_and(|count| count > 0) {
                lines.push(std::mem::take(&mut line));
            }
            lines
        });
        // Before, or else its own lines could be among the missing ones.
        let pid = daemon.child.id().to_string();
        let deadline = Instant::now() + PATIENCE;
        while healthz(&daemon.address).is_empty() && Instant::now() < deadline {}
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        reader.join().unwrap()
    });
    assert_eq!(daemon.wait().code(), Some(0));
    let missing: Vec<usize> =
        (0..lines.len()).filter(|&at| lines[at].contains("lines of the log are missing here")).collect();
    assert!(!missing.is_empty(), "{} lines, and none is missing", lines.len());
    for at in &missing {
        let count: u64 =
            lines[*at].split("] ").nth(1).and_then(|words| words.split(' ').next()).unwrap().parse().unwrap();
        assert!(count > 0, "{}", lines[*at]);
    }
    for line in &lines {
        assert!(line.ends_with('\n') && (line.starts_with("[2") || line.starts_with("    ")), "{line:?} is not whole");
    }
    assert!(lines[..missing[0]].iter().any(|line| line.contains("came to lobby")), "the first are there");
}

#[test]
fn a_log_on_a_full_disk_or_without_anybody_at_its_end_holds_up_nothing() {
    for stderr in ["2>/dev/full", "2>&-", "<&- >&- 2>&-", "2> >(true)"] {
        // The log cannot say which port it is: it says so on a socket file that it makes.
        let path = file("socket");
        let mut child = Command::new("bash")
            .args(["-c", &format!("exec {ROOMD} --listen unix:{path} --history memory {stderr}")])
            .env("RUST_LOG", "debug")
            .spawn()
            .unwrap();
        let deadline = Instant::now() + PATIENCE;
        let mut answer = String::new();
        while answer.is_empty() {
            assert!(Instant::now() < deadline, "{stderr}: it does not answer");
            if let Ok(mut client) = std::os::unix::net::UnixStream::connect(&path) {
                client.set_read_timeout(Some(PATIENCE)).unwrap();
                std::io::Write::write_all(
                    &mut client,
                    b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
                )
                .unwrap();
                client.read_to_string(&mut answer).unwrap();
            } else {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        // No line of the log has gone to a client.
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("ok\n"), "{stderr}: {answer}");
        let status = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
        assert!(status.unwrap().success());
        assert_eq!(child.wait().unwrap().code(), Some(0), "{stderr}");
    }
}

#[test]
fn a_pipe_among_the_files_of_the_page_is_not_waited_for() {
    let directory = file("web");
    std::fs::create_dir_all(&directory).unwrap();
    assert!(Command::new("mkfifo").arg(format!("{directory}/index.html")).status().is_ok());
    let daemon = Daemon::start(&["--web", &directory]);
    let mut visitor = daemon.connect();
    visitor.send(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert!(visitor.read_to_end().starts_with(b"HTTP/1.1 500 "));
    assert!(healthz(&daemon.address).starts_with("HTTP/1.1 200 "));
}

// ---- Signals ----------------------------------------------------------------------------------------------------------

#[test]
fn a_closed_terminal_ends_it_with_a_goodbye_even_if_it_says_so_twice() {
    let mut daemon = Daemon::start(&["--close-timeout", "10m"]);
    let mut member = daemon.open("/");
    member.event("welcome");
    daemon.signal("HUP");
    daemon.wait_for_log("SIGHUP: saying goodbye to 1 connections");
    daemon.signal("HUP");
    assert_eq!(member.close_code(), 1001);
    // Had the second one cut it off, this would not be read any more.
    member.send_close(1001);
    assert_eq!(member.next_frame(), None);
    drop(member);
    assert_eq!(daemon.wait().code(), Some(0));
    assert!(daemon.rest_of_log().iter().any(|line| line.contains("bye; connections by their ending: shut-down 1")));
}

#[test]
fn under_nohup_a_closed_terminal_means_nothing() {
    let daemon = Daemon::spawn(after("trap '' HUP", ""));
    let mut member = daemon.open("/?quiet=1");
    daemon.signal("HUP");
    member.send_text("still there");
    assert_eq!(member.message(), "still there");
}

#[test]
fn sigusr1_tells_how_things_stand_and_sigusr2_nothing_and_neither_ends_it() {
    let mut daemon = Daemon::start(&[]);
    let mut member = daemon.open("/?quiet=1");
    daemon.signal("USR2");
    daemon.wait_for_log("SIGUSR2 means nothing here");
    daemon.signal("USR1");
    let line = daemon.wait_for_log("SIGUSR1: ");
    assert!(line.ends_with("1 connections, 0 have ended; 1 rooms; 0 bytes wait for readers"), "{line}");
    member.send_text("still there");
    assert_eq!(member.message(), "still there");
}

#[test]
fn the_limit_on_cpu_time_ends_it_with_a_goodbye() {
    let mut daemon = Daemon::start(&[]);
    let mut member = daemon.open("/");
    member.event("welcome");
    daemon.signal("XCPU");
    assert_eq!(member.close_code(), 1001);
    drop(member);
    assert_eq!(daemon.wait().code(), Some(0));
}

// ---- Limits -----------------------------------------------------------------------------------------------------------

#[test]
fn with_too_few_open_files_it_does_not_start_and_says_how_many_it_needs() {
    for limit in [3, 10, 20, 31] {
        let output = after(&format!("ulimit -n {limit}"), "--history memory").output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        // With next to none, not even the program's libraries can be opened.
        if said.starts_with("roomd: ") {
            assert_eq!(output.status.code(), Some(1), "{limit}");
            let begins = format!("roomd: only {limit} open files are allowed, and at least 32 are needed");
            assert!(said.starts_with(&begins) && said.contains("ulimit -n"), "{said}");
            assert_eq!(said.lines().count(), 1, "{said}");
        }
        assert!(limit == 3 || said.starts_with("roomd: "), "{limit}: {said}");
    }
}

#[test]
fn as_many_as_it_says_there_is_room_for_get_in_and_talk_and_have_a_past_and_a_page() {
    for limit in [32, 64, 97, 100, 200] {
        let path = file("many.db");
        let web = concat!(env!("CARGO_MANIFEST_DIR"), "/web");
        let mut command = after(&format!("ulimit -n {limit}"), &format!("--web {web} --no-rate-limit"));
        command.env("ROOMD_HISTORY", &path);
        let daemon = Daemon::spawn(command);
        let line = daemon.log_so_far().iter().find(|line| line.contains("room for ")).unwrap();
        let room: usize = line.split("room for ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
        assert!(room >= 6, "{line}");
        let mut members = vec![daemon.open("/")];
        members.extend((2..room).map(|_| daemon.open("/?quiet=1")));
        let mut visitor = daemon.connect();
        visitor.send(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let page = visitor.read_to_end();
        assert!(page.starts_with(b"HTTP/1.1 200 "), "{limit}: {}", String::from_utf8_lossy(&page));
        drop(visitor);
        members.push(open_once_there_is_room(&daemon));
        members[0].send_text("to all");
        for member in &mut members {
            assert_eq!(member.message(), "to all");
        }
        members[0].send_text(&format!("/history {}", u64::MAX));
        assert_eq!(members[0].event("history")["messages"][0]["mess"], "to all");
        let mut one_too_many = daemon.connect();
        assert!(one_too_many.read_to_end().starts_with(b"HTTP/1.1 503 "), "{limit}");
    }
}

/// Somebody has left, and the daemon is to notice.
fn open_once_there_is_room(daemon: &Daemon) -> Raw {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut client = daemon.connect();
        client.send(handshake("/?quiet=1").as_bytes());
        let head = client.read_head();
        if head.starts_with("HTTP/1.1 101 ") {
            return client;
        }
        assert!(Instant::now() < deadline, "{head}");
    }
}

#[test]
fn a_history_that_may_not_grow_refuses_messages_and_the_daemon_goes_on() {
    let path = file("grown.db");
    let mut command = after("ulimit -f 200", "--no-rate-limit");
    command.env("ROOMD_HISTORY", &path);
    let mut daemon = Daemon::spawn(command);
    let mut member = daemon.open("/");
    member.event("welcome");
    let (mut kept, mut last) = (0, serde_json::Value::Null);
    loop {
        member.send_text(&"x".repeat(20_000));
        let event = member.frame().json();
        if event["type"] == "error" {
            assert_eq!(event["code"], "history-unavailable");
            break;
        }
        assert_eq!(event["type"], "message");
        last = event["id"].clone();
        kept += 1;
        assert!(kept < 100, "the limit does not hold");
    }
    let line = daemon.wait_for_log("cannot write to the history");
    assert!(line.contains("the file as large as it may be (ulimit -f)"), "{line}");
    // It serves, and says that nothing can be kept. A later write may fit again, so the words are not asked for.
    assert!(healthz(&daemon.address).starts_with("HTTP/1.1 "));
    daemon.signal("KILL");
    daemon.wait();
    let mut command = after("true", "");
    command.env("ROOMD_HISTORY", &path);
    let again = Daemon::spawn(command);
    assert_eq!(again.open("/").event("welcome")["last"], last, "what was seen is kept, and ids go on");
}

#[test]
fn without_memory_for_the_start_it_says_so_in_a_sentence() {
    let output = after("ulimit -v 40000", "--history memory").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(said, "roomd: there are no 48 MiB of memory for the start; raise the limit (ulimit -v)\n");
    assert_eq!(output.status.code(), Some(1));
}
