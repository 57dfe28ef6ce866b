//! Sessions in a shell and with HTTP, as a page shows them: each is gone through, and what is said is compared.
//!
//! `[..]` stands for anything within a line, `...` on a line of its own for any lines.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::page::{Block, Checked, Page, difference, pages, rewrite};
use super::support::{Daemon, PATIENCE};

/// In a page, the daemon of a session listens here.
const ADDRESS: &str = "127.0.0.1:8000";

/// Whether a session of the page shows websocat.
pub(super) fn needs_websocat(page: &Page) -> bool {
    page.blocks().iter().any(|block| is_run(block) && block.language == "console" && block.content.contains("websocat"))
}

fn is_run(block: &Block<'_>) -> bool {
    block.directive("not run").is_none()
}

/// Goes through all sessions of those pages. A translation shows what its original shows, and is only compared with it.
pub(super) fn replay(wanted: impl Fn(&Page) -> bool) -> Vec<String> {
    let pages: Vec<Page> = pages().into_iter().filter(|page| !page.is_translation() && wanted(page)).collect();
    let mut place = Place::new("");
    rewrite(&pages, |page, block| {
        if place.page != page.path {
            place = Place::new(&page.path);
        }
        match block.language {
            "console" | "http" if !is_run(block) => match block.directive("not run") {
                Some("") => Checked::Fault("`<!-- not run -->` without a reason".into()),
                _ => Checked::Fine,
            },
            "console" => Checked::against(block, place.go_through(block)),
            "http" => place.ask(block),
            _ => Checked::Fine,
        }
    })
}

/// Where the sessions of one page take place.
struct Place {
    page: String,
    folder: PathBuf,
    daemon: Option<Daemon>,
    /// The answer to the last request of the page.
    answer: Option<String>,
}

impl Place {
    fn new(page: &str) -> Place {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("book").join(page.replace(['/', '.'], "-"));
        Place { page: page.into(), folder, daemon: None, answer: None }
    }

    /// What the block should show.
    fn go_through(&mut self, block: &Block<'_>) -> Result<String, String> {
        match block.directive("session") {
            Some("same daemon") if self.daemon.is_some() => {}
            Some(session) => {
                let flags =
                    session.strip_prefix("daemon").ok_or(format!("{session}: a session begins with `daemon`"))?;
                self.daemon = Some(self.start(flags.split_whitespace().collect())?);
            }
            None if block.comment().is_some() => {
                return Err("the comment above is no `session:` and no `not run:`".into());
            }
            None => self.daemon = None,
        }
        // Empty, and each session its own: what one leaves behind is not to be found by another.
        let _ = fs::remove_dir_all(&self.folder);
        fs::create_dir_all(&self.folder).map_err(|error| error.to_string())?;
        let mut page = String::new();
        for shown in commands(block.content)? {
            let (code, output) = self.run(&shown.script)?;
            page.push_str(&shown.lines);
            if code != 0 {
                page.push_str(&format!("? {code}\n"));
            }
            page.push_str(&if fits(&shown.output, &output) { shown.output } else { without_times(&output) });
        }
        Ok(page)
    }

    /// A daemon as a reader starts it: with a history in a file, and an empty one.
    fn start(&self, flags: Vec<&str>) -> Result<Daemon, String> {
        let kept = self.folder.with_extension("kept");
        let _ = fs::remove_dir_all(&kept);
        fs::create_dir_all(&kept).map_err(|error| error.to_string())?;
        let file = kept.join("roomd.db");
        let place: &[&str] =
            if flags.contains(&"--history") { &[] } else { &["--history", file.to_str().unwrap_or_default()] };
        Ok(Daemon::start(&[&flags, place].concat()))
    }

    /// Runs a line of a session: its exit code, and what it says on both outputs.
    fn run(&self, script: &str) -> Result<(i32, String), String> {
        let roomd = Path::new(env!("CARGO_BIN_EXE_roomd")).parent().unwrap();
        let path = format!("{}:{}", roomd.display(), std::env::var("PATH").unwrap_or_default());
        let address = self.daemon.as_ref().map(|daemon| daemon.address.clone());
        let script = address.as_ref().map_or(script.to_owned(), |address| script.replace(ADDRESS, address));
        let mut child = Command::new("sh")
            .args(["-c", &format!("exec 2>&1\n{script}")])
            .current_dir(&self.folder)
            .env("PATH", path)
            .env("LC_ALL", "C.UTF-8")
            .env("COLUMNS", "100")
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(|error| format!("sh: {error}"))?;
        let stdout = child.stdout.take().unwrap();
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            BufReader::new(stdout).lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        let deadline = Instant::now() + PATIENCE;
        let mut output = String::new();
        let is_ended = loop {
            match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => output.push_str(&(line + "\n")),
                Err(mpsc::RecvTimeoutError::Disconnected) => break true,
                Err(mpsc::RecvTimeoutError::Timeout) => break false,
            }
        };
        if !is_ended {
            // The group that this test has made: the shell, and what it has started.
            let _ = Command::new("kill").args(["-KILL", "--", &format!("-{}", child.id())]).status();
        }
        let status = child.wait().map_err(|error| error.to_string())?;
        if !is_ended {
            return Err(format!("{script:?} does not end within {} s; so far:\n{output}", PATIENCE.as_secs()));
        }
        let output = address.map_or(output.clone(), |address| output.replace(&address, ADDRESS));
        // Killed by a signal: as a shell would say it.
        Ok((status.code().unwrap_or(128), output))
    }

    /// A request is sent, an answer compared with what came.
    fn ask(&mut self, block: &Block<'_>) -> Checked {
        if block.directive("request").is_some() {
            let daemon = Daemon::start(&[]);
            let mut client = daemon.connect();
            client.stream.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
            client.send(format!("{}\n\n", block.content.trim_end()).replace('\n', "\r\n").as_bytes());
            self.answer = Some(client.read_head().replace("\r\n", "\n").trim_end().to_owned() + "\n");
            return Checked::Fine;
        }
        match (block.directive("answer"), &self.answer) {
            (Some(_), Some(answer)) if fits(block.content, answer) => Checked::Fine,
            (Some(_), Some(answer)) => {
                Checked::Stale { content: answer.clone(), how: difference(block.content, answer) }
            }
            (Some(_), None) => Checked::Fault("an answer without a request before it".into()),
            (None, _) => {
                Checked::Fault("no `<!-- request -->`, `<!-- answer -->` or `<!-- not run: REASON -->` above it".into())
            }
        }
    }
}

/// A command in a page, and what it is said to print.
struct Shown {
    /// As they stand in the page.
    lines: String,
    script: String,
    output: String,
}

fn commands(content: &str) -> Result<Vec<Shown>, String> {
    let mut commands: Vec<Shown> = Vec::new();
    for line in content.split_inclusive('\n') {
        if let Some(script) = line.strip_prefix("$ ") {
            commands.push(Shown { lines: line.into(), script: script.into(), output: String::new() });
            continue;
        }
        let last = commands.last_mut().ok_or("a session begins with `$ ` and a command")?;
        match line.strip_prefix("> ") {
            Some(script) if last.output.is_empty() => {
                last.lines.push_str(line);
                last.script.push_str(script);
            }
            _ if last.output.is_empty() && is_exit_code(line) => {}
            _ => last.output.push_str(line),
        }
    }
    Ok(commands)
}

/// `? 1`: written by what the command says, so what stands there already does not count.
fn is_exit_code(line: &str) -> bool {
    line.strip_prefix("? ").is_some_and(|code| code.trim_end().parse::<i32>().is_ok())
}

/// Whether what is shown, with its placeholders, is what was printed.
fn fits(shown: &str, actual: &str) -> bool {
    lines_fit(&shown.lines().collect::<Vec<_>>(), &actual.lines().collect::<Vec<_>>())
}

fn lines_fit(shown: &[&str], actual: &[&str]) -> bool {
    match (shown, actual) {
        ([], []) => true,
        (["...", rest @ ..], _) => (0..=actual.len()).any(|skipped| lines_fit(rest, &actual[skipped..])),
        ([first, rest @ ..], [line, others @ ..]) => line_fits(first, line) && lines_fit(rest, others),
        _ => false,
    }
}

fn line_fits(shown: &str, actual: &str) -> bool {
    match shown.split_once("[..]") {
        None => shown == actual,
        Some((front, rest)) => actual.strip_prefix(front).is_some_and(|behind| {
            let mut ends = behind.char_indices().map(|(at, _)| at).chain([behind.len()]);
            ends.any(|at| line_fits(rest, &behind[at..]))
        }),
    }
}

/// What is different each time, as a page shows it: times in events and in log lines, and ids, which begin with a time.
fn without_times(output: &str) -> String {
    let mut shown = String::new();
    for line in output.split_inclusive('\n') {
        let mut line = line.to_owned();
        for key in ["\"time\":", "\"id\":", "\"last\":", "\"before\":", "\"epoch\":\""] {
            let mut from = 0;
            while let Some(at) = line[from..].find(key).map(|at| from + at + key.len()) {
                let len = line[at..].find(|letter: char| !letter.is_ascii_hexdigit()).unwrap_or(0);
                // Ids of examples are short, and are what they are.
                if len >= 12 {
                    line.replace_range(at..at + len, "[..]");
                }
                from = at;
            }
        }
        let is_log_line = line.starts_with("[2") && line.get(11..12) == Some("T");
        if let Some(end) = line.find("Z ").filter(|_| is_log_line) {
            line.replace_range(1..=end, "[..]");
        }
        shown.push_str(&line);
    }
    shown
}

/// What the pages rely on.
mod tests {
    use super::{fits, without_times};

    #[test]
    fn placeholders_stand_for_anything_within_a_line_and_for_whole_lines() {
        assert!(fits("a[..]c\n...\nend\n", "abbc\nx\ny\nend\n"));
        assert!(fits("[..]\n", "\n"));
        for wrong in ["ac\n", "a[..]d\n...\nend\n", "a[..]c\nend\n"] {
            assert!(!fits(wrong, "abbc\nx\ny\nend\n"), "{wrong}");
        }
    }

    #[test]
    fn times_are_not_written_into_a_page() {
        assert_eq!(without_times("{\"time\":1795366850453,\"room\":1}\n"), "{\"time\":[..],\"room\":1}\n");
        assert_eq!(without_times("[2026-11-22T17:00:49.232Z INFO  roomd] x\n"), "[[..] INFO  roomd] x\n");
    }
}
