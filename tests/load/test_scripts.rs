//! The load scripts, with small numbers: that they say yes to a daemon that delivers everything once and in order, and
//! no as soon as one line is lost, comes twice or comes too early. What finds no fault must be able to find one, and what
//! could not be tried, or not to its end, must not be called by a fault's name.

use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use crate::faulty::{Fault, faulty, faulty_at};
use crate::support::{Daemon, PATIENCE};

const SCRIPTS: [&str; 4] = ["fanout.sh", "echo.sh", "storm.sh", "slow-reader.sh"];

fn path_of(script: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/load").join(script)
}

/// A script that is ready to run; each is bounded in time by itself.
fn command(script: &str, address: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new("bash");
    command.arg(path_of(script)).arg(format!("ws://{address}")).args(arguments).stdin(Stdio::null());
    command
}

/// Runs a script until it ends.
fn run(script: &str, address: &str, arguments: &[&str]) -> Output {
    command(script, address, arguments).output().expect("bash runs")
}

/// What a script printed, if it ended well.
fn success(script: &str, daemon: &Daemon, arguments: &[&str]) -> String {
    let output = run(script, &daemon.address, arguments);
    assert!(output.status.success(), "{script}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// What a script printed, if it ended as it has to when something is wrong.
fn failure(script: &str, address: &str, arguments: &[&str]) -> String {
    failure_and_reason(script, address, arguments).0
}

/// The same, and what it said on standard error.
fn failure_and_reason(script: &str, address: &str, arguments: &[&str]) -> (String, String) {
    let output = run(script, address, arguments);
    assert_eq!(output.status.code(), Some(1), "{script}: {output:?}");
    assert!(!output.stderr.is_empty(), "it says what is wrong");
    (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
}

/// What a script said that could not even begin: it has no figures then.
fn no_beginning(output: Output) -> String {
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[track_caller]
fn assert_counts(printed: &str, counts: &str) {
    assert_eq!(printed.lines().last(), Some(counts), "{printed}");
}

#[test]
#[ignore = "needs websocat: tests/run installs it and runs this"]
fn fanout_counts_what_every_listener_heard() {
    let daemon = Daemon::start(&["--no-rate-limit"]);
    let printed = success("fanout.sh", &daemon, &["--listeners", "3", "--lines", "100"]);
    assert_counts(&printed, "expected 300, received 300, lost 0, duplicated 0");
    // In the same room again: what the last run said is not counted.
    let printed = success("fanout.sh", &daemon, &["--listeners", "2", "--talkers", "3", "--lines", "50"]);
    assert_counts(&printed, "expected 300, received 300, lost 0, duplicated 0");
}

#[test]
#[ignore = "needs websocat: tests/run installs it and runs this"]
fn echo_counts_what_came_back() {
    let daemon = Daemon::start(&["--echo"]);
    let printed = success("echo.sh", &daemon, &["--lines", "500"]);
    assert_counts(&printed, "expected 500, received 500, lost 0, duplicated 0");
    let printed = success("echo.sh", &daemon, &["--clients", "3", "--lines", "100"]);
    assert_counts(&printed, "expected 300, received 300, lost 0, duplicated 0");
}

#[test]
#[ignore = "needs websocat: tests/run installs it and runs this"]
fn a_number_may_be_joined_to_its_option_or_be_in_the_environment() {
    let daemon = Daemon::start(&["--no-rate-limit"]);
    let printed = success("fanout.sh", &daemon, &["--listeners=2", "--lines=30"]);
    assert_counts(&printed, "expected 60, received 60, lost 0, duplicated 0");
    let output = command("fanout.sh", &daemon.address, &["--listeners", "2"]).env("MESSAGES", "40").output().unwrap();
    assert_counts(&String::from_utf8(output.stdout).unwrap(), "expected 80, received 80, lost 0, duplicated 0");
}

/// The shell sets LINES to the height of its terminal, here 7, as soon as it has run a command.
/// It does so only if the terminal has a width, too.
#[test]
#[ignore = "needs websocat, and script of util-linux: tests/run runs this"]
fn the_height_of_the_terminal_changes_no_number() {
    let daemon = Daemon::start(&["--no-rate-limit", "--echo"]);
    for (script, expected) in [("fanout.sh", 60), ("echo.sh", 30), ("slow-reader.sh", 60)] {
        // So few lines drop no slow reader, and its script says so. Here it is enough that they are all said.
        let rest = if script == "echo.sh" { "--lines 30" } else { "--lines 30 --listeners 2" };
        let output = Command::new("script")
            .args([
                "--quiet",
                "--return",
                "--command",
                "stty rows 7 cols 80; exec bash \"$SCRIPT\" \"$URL\" $REST",
                "/dev/null",
            ])
            .env("SHELL", "/bin/sh")
            .env("SCRIPT", path_of(script))
            .env("URL", format!("ws://{}", daemon.address))
            .env("REST", rest)
            .stdin(Stdio::null())
            .output()
            .expect("there must be a program named script, which Debian has in bsdutils and others in util-linux");
        let printed = String::from_utf8(output.stdout).unwrap();
        let counts = format!("expected {expected}, received {expected}, lost 0, duplicated 0");
        assert!(printed.lines().any(|line| line == counts), "{script}: {printed}");
    }
}

#[test]
#[ignore = "needs websocat: tests/run installs it and runs this"]
fn what_the_environment_says_of_the_shell_changes_no_number() {
    let daemon = Daemon::start(&["--no-rate-limit"]);
    let mut command = command("fanout.sh", &daemon.address, &["--listeners", "1"]);
    let output = command.env("LINES", "5").env("SECONDS", "100000").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_counts(&String::from_utf8(output.stdout).unwrap(), "expected 1000, received 1000, lost 0, duplicated 0");
}

#[test]
#[ignore = "needs websocat: tests/run installs it and runs this"]
fn each_script_takes_the_address_of_a_room() {
    let daemon = Daemon::start(&["--no-rate-limit", "--echo"]);
    let mut in_the_lobby = daemon.open("/?quiet=1");
    let room = format!("{}/r/garden", daemon.address);
    for (script, arguments) in [
        ("fanout.sh", &["--listeners", "1", "--lines", "10"][..]),
        ("echo.sh", &["--lines", "10"]),
        ("storm.sh", &["--clients", "10"]),
    ] {
        let output = run(script, &room, arguments);
        assert!(output.status.success(), "{script}: {output:?}");
        assert_counts(&String::from_utf8(output.stdout).unwrap(), "expected 10, received 10, lost 0, duplicated 0");
    }
    // With a slash at the end, too.
    let output = run("slow-reader.sh", &format!("{room}/"), &["--listeners", "1", "--lines", "800", "--limit", "300"]);
    assert!(output.status.success(), "{output:?}");
    // The lobby has heard nothing of it.
    in_the_lobby.send_text("is anybody here?");
    assert_eq!(in_the_lobby.message(), "is anybody here?");
}

#[test]
#[ignore = "needs websocat: tests/run installs it and runs this"]
fn who_is_not_done_in_time_says_so_and_calls_nothing_lost() {
    let daemon = Daemon::start(&[]);
    // With the rate limit this takes a minute and a half.
    for script in ["fanout.sh", "slow-reader.sh"] {
        let arguments = ["--listeners", "2", "--lines", "2000", "--limit", "10"];
        let (printed, reason) = failure_and_reason(script, &daemon.address, &arguments);
        assert!(printed.contains("not heard in time") && !printed.contains("lost"), "{printed}");
        assert!(!printed.contains("was dropped"), "{printed}");
        assert!(reason.contains("not done within 10 seconds"), "{reason}");
        assert!(reason.contains("--no-rate-limit"), "{reason}");
        assert!(!reason.contains("order") && !reason.contains("different"), "{reason}");
    }
}

#[test]
#[ignore = "needs websocat: tests/run installs it and runs this"]
fn where_nobody_answers_the_script_says_so() {
    // Nobody listens here any more.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    for script in SCRIPTS {
        let reason = no_beginning(run(script, &address, &[]));
        assert!(reason.contains(&format!("nobody answers at ws://{address}")), "{reason}");
    }
}

#[test]
#[ignore = "needs websocat: tests/run installs it and runs this"]
fn where_there_is_no_echo_the_script_asks_for_it() {
    let daemon = Daemon::start(&[]);
    let reason = no_beginning(run("echo.sh", &daemon.address, &["--lines", "10"]));
    assert!(reason.contains("404 Not Found") && reason.contains("--echo"), "{reason}");
}

#[test]
fn what_is_asked_for_in_the_wrong_way_is_not_tried() {
    for arguments in [
        &["--messages", "5"][..],
        &["--lines"],
        &["--lines="],
        &["--lines=five"],
        &["--lines", "0"],
        &["--lines", "05"],
        &["--=5"],
        &["--@=5"],
        &["ws://127.0.0.1:1"],
        &["five"],
    ] {
        no_beginning(run("fanout.sh", "127.0.0.1:1", arguments));
    }
    no_beginning(run("fanout.sh", "127.0.0.1:1/?name=Ann", &[]));
}

#[test]
fn without_websocat_nothing_is_tried() {
    // All that a script needs before it looks for websocat.
    let tools = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("no-websocat-{}", std::process::id()));
    std::fs::create_dir_all(&tools).unwrap();
    for tool in ["bash", "dirname"] {
        let found = Command::new("sh").args(["-c", &format!("command -v {tool}")]).output().unwrap();
        let found = String::from_utf8(found.stdout).unwrap();
        std::os::unix::fs::symlink(found.trim(), tools.join(tool)).unwrap();
    }
    let output = command("fanout.sh", "127.0.0.1:1", &[]).env("PATH", &tools).output();
    std::fs::remove_dir_all(&tools).unwrap();
    let reason = no_beginning(output.unwrap());
    assert!(reason.contains("cargo install websocat"), "{reason}");
}

#[test]
#[ignore = "needs websocat: tests/run installs it and runs this"]
fn an_interrupted_script_ends_at_once_and_leaves_nobody_behind() {
    let daemon = Daemon::start(&[]);
    // The first connection asks whether anybody answers, the second is the listener, the third says something.
    for answered in [0, 2] {
        let (address, is_silent) = silent_after(&daemon, answered);
        let script = Script::start("fanout.sh", &address, &["--listeners", "1", "--limit", "600"]);
        is_silent.recv_timeout(PATIENCE).expect("the connection that is not answered");
        let start = Instant::now();
        let output = script.interrupt();
        assert_eq!(output.status.code(), Some(130), "{output:?}");
        // Without an answer, who says something waits for five seconds.
        assert!(start.elapsed() < Duration::from_secs(4), "after {answered}: {:?}", start.elapsed());
        assert_eq!(processes_that_name(&address), Vec::<String>::new());
    }
}

#[test]
#[ignore = "needs websocat: tests/run installs it and runs this"]
fn storm_counts_what_a_crowd_said() {
    let daemon = Daemon::start(&[]);
    let printed = success("storm.sh", &daemon, &["--clients", "20"]);
    assert_counts(&printed, "expected 20, received 20, lost 0, duplicated 0");
}

#[test]
#[ignore = "needs websocat: tests/run installs it and runs this"]
fn a_slow_reader_is_dropped_and_the_others_hear_everything() {
    let mut daemon = Daemon::start(&["--no-rate-limit"]);
    let printed = success("slow-reader.sh", &daemon, &["--listeners", "2", "--lines", "800", "--limit", "300"]);
    assert_counts(&printed, "expected 1600, received 1600, lost 0, duplicated 0");
    // The script cannot see why it went; the daemon's log can.
    daemon.wait_for_log("too slow a reader");
}

#[test]
#[ignore = "needs websocat: tests/run installs it and runs this"]
fn a_slow_reader_that_is_not_dropped_is_a_failure() {
    let daemon = Daemon::start(&["--no-rate-limit"]);
    // So little that the kernel keeps all of it.
    let arguments = ["--listeners", "1", "--lines", "10", "--bytes", "1000"];
    let (printed, reason) = failure_and_reason("slow-reader.sh", &daemon.address, &arguments);
    assert_counts(&printed, "expected 10, received 10, lost 0, duplicated 0");
    assert!(printed.contains("was not dropped") && !printed.contains("was dropped"), "{printed}");
    assert!(reason.contains("was not dropped"), "{reason}");
}

#[test]
#[ignore = "needs websocat: tests/run installs it and runs this"]
fn one_lost_line_is_found() {
    let daemon = Daemon::start(&["--no-rate-limit", "--echo"]);
    let address = faulty(&daemon, Fault::Lose);
    let printed = failure("fanout.sh", &address, &["--listeners", "3", "--lines", "20"]);
    assert_counts(&printed, "expected 60, received 57, lost 3, duplicated 0");
    let printed = failure("echo.sh", &address, &["--clients", "2", "--lines", "20"]);
    assert_counts(&printed, "expected 40, received 38, lost 2, duplicated 0");
}

#[test]
#[ignore = "needs websocat: tests/run installs it and runs this"]
fn one_line_that_comes_twice_is_found() {
    let daemon = Daemon::start(&["--no-rate-limit", "--echo"]);
    let address = faulty(&daemon, Fault::Repeat);
    let printed = failure("fanout.sh", &address, &["--listeners", "3", "--lines", "20"]);
    assert_counts(&printed, "expected 60, received 63, lost 0, duplicated 3");
    let printed = failure("echo.sh", &address, &["--lines", "20"]);
    assert_counts(&printed, "expected 20, received 21, lost 0, duplicated 1");
}

#[test]
#[ignore = "needs websocat: tests/run installs it and runs this"]
fn two_lines_in_the_wrong_order_are_found_though_the_counts_are_right() {
    let daemon = Daemon::start(&["--no-rate-limit", "--echo"]);
    let address = faulty(&daemon, Fault::Swap);
    let printed = failure("fanout.sh", &address, &["--listeners", "3", "--lines", "20"]);
    assert_counts(&printed, "expected 60, received 60, lost 0, duplicated 0");
    let printed = failure("echo.sh", &address, &["--lines", "20"]);
    assert_counts(&printed, "expected 20, received 20, lost 0, duplicated 0");
}

#[test]
#[ignore = "needs websocat: tests/run installs it and runs this"]
fn a_storm_that_loses_a_line_is_found() {
    let daemon = Daemon::start(&["--no-rate-limit"]);
    // Every talker says line 1 only, so the fault is put on the seventh talker instead.
    let address = faulty_at(&daemon, Fault::Lose, " 0007 00000001");
    let printed = failure("storm.sh", &address, &["--clients", "10"]);
    assert_counts(&printed, "expected 10, received 9, lost 1, duplicated 0");
}

#[test]
fn each_script_explains_itself() {
    for script in SCRIPTS {
        let help = success_without_daemon(script);
        assert!(help.contains(&format!("tests/load/{script} [URL]")), "{help}");
        assert!(help.contains("Exits 1") && help.contains("; 2 if"), "{help}");
    }
}

fn success_without_daemon(script: &str) -> String {
    let output = run(script, "127.0.0.1:1", &["--help"]);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// A script that runs.
struct Script(Child);

impl Script {
    fn start(script: &str, address: &str, arguments: &[&str]) -> Script {
        // Who starts the tests in the background may have them ignore SIGINT, and bash cannot undo that.
        let bash = command(script, address, arguments);
        let mut command = Command::new("env");
        command.arg("--default-signal=INT").arg(bash.get_program()).args(bash.get_args());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Script(command.spawn().expect("env runs"))
    }

    /// Only the script itself has the signal. Its clients are for it to end.
    fn interrupt(self) -> Output {
        let status = Command::new("kill").args(["-INT", &self.0.id().to_string()]).status();
        assert!(status.expect("kill runs").success());
        self.0.wait_with_output().expect("it can be waited for")
    }
}

/// The command lines with that word in them.
fn processes_that_name(word: &str) -> Vec<String> {
    let processes = std::fs::read_dir("/proc").unwrap().map_while(Result::ok);
    let lines = processes.filter_map(|process| std::fs::read_to_string(process.path().join("cmdline")).ok());
    lines.map(|line| line.replace('\0', " ")).filter(|line| line.contains(word)).collect()
}

/// A way to the daemon that so many connections can go. The one after them is taken and never answered, and told of.
fn silent_after(daemon: &Daemon, answered: usize) -> (String, Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().unwrap().to_string();
    let behind = daemon.address.clone();
    let (sender, is_silent) = mpsc::channel();
    std::thread::spawn(move || {
        for client in listener.incoming().take(answered).map_while(Result::ok) {
            let Ok(server) = TcpStream::connect(&behind) else { return };
            for (from, to) in [(&client, &server), (&server, &client)] {
                let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                std::thread::spawn(move || {
                    let _ = std::io::copy(&mut from, &mut to);
                    let _ = to.shutdown(Shutdown::Write);
                });
            }
        }
        let Ok((mut silent, _)) = listener.accept() else { return };
        let _ = sender.send(());
        // Until it leaves; nothing is said to it.
        let _ = std::io::copy(&mut silent, &mut std::io::sink());
    });
    (address, is_silent)
}
