//! Reads the sources and holds them to the table of layers: who may name whom.
//!
//! Comments and strings do not count, so prose may mention what it likes. Neither do `#[cfg(test)]` modules: a test may
//! look wherever it has to.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed expectation is a failed test")]

use std::fs;
use std::path::{Path, PathBuf};

/// Which of the crate's own modules each file may name. A longer path allows just that item and what is inside it.
///
/// The pure ones come first, then what is built on them. A new file needs a row; a file that needs another name is a
/// change of the plan, to be made here and explained.
const MODULES: &[(&str, &[&str])] = &[
    // Pure: bytes and values.
    ("moment.rs", &[]),
    ("http/", &["http", "limits::fixed"]),
    ("websocket/", &["websocket"]),
    ("door/", &["door", "http", "chat"]),
    ("chat/", &["chat", "limits::fixed", "moment"]),
    ("history/", &["history", "chat", "moment", "limits::fixed"]),
    ("rate_limit.rs", &["moment"]),
    ("scrollback.rs", &["limits"]),
    ("limits.rs", &["limits", "rate_limit", "websocket::MessageLimits"]),
    ("limits/", &["limits"]),
    ("close_reason.rs", &["door::Refusal", "http", "websocket"]),
    // One connection, without its socket and without a rule of chat.
    ("write_queue.rs", &["limits::fixed", "websocket::frame"]),
    (
        "connection.rs",
        &[
            "chat::visit::Verbosity",
            "close_reason",
            "door",
            "http",
            "limits",
            "moment",
            "rate_limit",
            "websocket",
            "write_queue",
        ],
    ),
    // All connections. The layers above are not known here.
    (
        "hub/",
        &[
            "hub",
            "chat",
            "connection",
            "close_reason",
            "history",
            "door",
            "limits",
            "moment",
            "rate_limit",
            "scrollback",
            "websocket",
            "write_queue",
        ],
    ),
    // The operating system.
    ("listen_address.rs", &[]),
    ("environment.rs", &[]),
    ("log_filter.rs", &[]),
    ("listener.rs", &["hub::Socket", "limits", "listen_address"]),
    ("clock.rs", &["limits::fixed", "moment"]),
    ("signals.rs", &[]),
    ("open_files.rs", &["limits::fixed"]),
    ("log_line.rs", &["clock"]),
    ("log_buffer.rs", &["clock", "limits", "log_line"]),
    ("available_memory.rs", &[]),
    (
        "event_loop.rs",
        &[
            "available_memory",
            "clock",
            "history::sqlite::errors::OpenError",
            "hub",
            "limits",
            "listener",
            "log_buffer",
            "moment",
            "open_files",
            "settings",
            "signals",
        ],
    ),
    // The face.
    ("flags.rs", &["environment::UnknownVariable", "door::AllowedOrigin", "limits", "listen_address::ListenAddresses"]),
    (
        "settings.rs",
        &[
            "environment::UnknownVariable",
            "flags",
            "history",
            "door",
            "limits",
            "listen_address",
            "rate_limit",
            "websocket",
        ],
    ),
    ("show.rs", &["flags", "door", "history::sqlite::check", "limits::fixed", "websocket"]),
    ("main.rs", &["clock", "event_loop", "flags", "log_buffer", "log_filter", "log_line", "settings", "show"]),
    ("lib.rs", &[]),
];

/// Where a crate, or a part of the standard library, may be named at all. Every dependency has a row.
const ONLY_IN: &[(&str, &[&str])] = &[
    ("mio", &["event_loop.rs", "listener.rs", "signals.rs"]),
    ("signal_hook", &["signals.rs"]),
    ("signal_hook_mio", &["signals.rs"]),
    ("rlimit", &["available_memory.rs", "history/sqlite/errors.rs", "open_files.rs"]),
    ("rusqlite", &["history/sqlite/"]),
    ("crc32fast", &["history/sqlite/rows.rs"]),
    ("thiserror", &["http/", "history/"]),
    ("cap", &["main.rs"]),
    ("tikv_jemallocator", &["main.rs"]),
    ("libc", &["event_loop.rs", "listener.rs"]),
    ("socket2", &["listener.rs"]),
    (
        "log",
        &[
            "history/health.rs",
            "history/log.rs",
            "hub/",
            "clock.rs",
            "event_loop.rs",
            "listener.rs",
            "log_buffer.rs",
            "log_filter.rs",
            "log_line.rs",
            "main.rs",
        ],
    ),
    ("env_logger", &["main.rs"]),
    ("clap", &["flags.rs"]),
    ("strsim", &["environment.rs"]),
    ("humantime", &["clock.rs", "flags.rs"]),
    ("slab", &["hub/", "chat/"]),
    ("httparse", &["http/"]),
    ("form_urlencoded", &["door/"]),
    ("sha1", &["door/"]),
    ("base64", &["door/"]),
    ("serde", &["chat/"]),
    ("itoa", &["chat/"]),
    ("serde_json", &["chat/"]),
    ("emojis", &["chat/"]),
    ("unicode_joining_type", &["chat/"]),
    ("unicode_normalization", &["chat/"]),
    ("unicode_properties", &["chat/"]),
    ("unicode_script", &["chat/"]),
    ("unicode_security", &["chat/"]),
    ("percent_encoding", &["chat/"]),
    // Sockets, files, the process: not for those who only compute.
    ("std::net", &["listener.rs"]),
    (
        "std::os",
        &[
            "history/sqlite/database.rs",
            "history/sqlite/end_mark.rs",
            "history/sqlite/log_end.rs",
            "history/sqlite/file_watch.rs",
            "listener.rs",
        ],
    ),
    (
        "std::fs",
        &[
            "available_memory.rs",
            "history/sqlite/check.rs",
            "history/sqlite/database.rs",
            "history/sqlite/end_mark.rs",
            "history/sqlite/file_watch.rs",
            "history/sqlite/log_end.rs",
            "door/pages.rs",
            "listener.rs",
            "open_files.rs",
            "signals.rs",
        ],
    ),
    (
        "std::io",
        &[
            "close_reason.rs",
            "door/pages.rs",
            "write_queue.rs",
            "history/sqlite/check.rs",
            "history/sqlite/database.rs",
            "history/sqlite/errors.rs",
            "history/sqlite/end_mark.rs",
            "history/sqlite/file_watch.rs",
            "history/sqlite/log_end.rs",
            "hub/",
            "listener.rs",
            "log_buffer.rs",
            "event_loop.rs",
            "signals.rs",
            "main.rs",
            "show.rs",
        ],
    ),
    ("std::env", &["main.rs"]),
    ("std::process", &["main.rs"]),
    // One thread, one that waits for the disk, and one that waits for whoever reads the log.
    ("std::thread", &["history/log.rs", "log_buffer.rs"]),
    // What goes to those threads and comes back; and what a signal handler may set.
    ("std::sync::mpsc", &["history/log.rs", "history/worker.rs"]),
    (
        "std::sync",
        &[
            "log_buffer.rs",
            "signals.rs",
            "chat/name.rs",
            "chat/room_name.rs",
            "door/pages.rs",
            "history/log.rs",
            "history/worker.rs",
        ],
    ),
];

/// The only reader of clocks. The names themselves are looked for, since `now` can hide behind an alias.
const CLOCKS: (&[&str], &str) = (&["Instant", "SystemTime", "UNIX_EPOCH"], "clock.rs");

/// Names that say nothing about what is inside, and so collect everything.
const NO_NAMES: &[&str] = &["common", "helper", "helpers", "manager", "misc", "util", "utils"];

/// The folders of the repository. Those that begin with a dot, and cargo's own, are not ours.
const FOLDERS: &[&str] = &["docs", "src", "tests", "web"];

#[test]
fn every_source_file_has_its_place_in_the_table() {
    let files = sources();
    let unplaced = files.iter().filter(|file| MODULES.iter().filter(|(place, _)| file.is_in(place)).count() != 1);
    let mut faults: Vec<String> = unplaced.map(|file| format!("{} it needs just one row", file.at(1))).collect();
    for (place, _) in MODULES {
        if !files.iter().any(|file| file.is_in(place)) {
            faults.push(format!("src/{place}: a row, but no such file"));
        }
    }
    report("MODULES in tests/layering.rs and src/ do not list the same files", &faults);
}

#[test]
fn each_module_names_only_those_below_it() {
    let faults = sources().iter().flat_map(foreign_modules).collect::<Vec<_>>();
    report("a layer names a module that it must not know", &faults);
}

#[test]
fn mio_and_the_operating_system_are_named_at_the_edge_only_and_threads_only_where_the_disk_or_the_log_is_waited_for() {
    let faults = sources().iter().flat_map(misplaced_crates).collect::<Vec<_>>();
    report("a crate or a part of std is named where it must not be", &faults);
}

#[test]
fn every_dependency_has_its_place_in_the_table() {
    let manifest = read(&root().join("Cargo.toml"));
    let missing = dependencies(&manifest).into_iter().filter(|name| !ONLY_IN.iter().any(|(what, _)| what == name));
    let faults: Vec<String> = missing.map(|name| format!("Cargo.toml: {name}")).collect();
    report("a dependency without a row in ONLY_IN in tests/layering.rs", &faults);
}

#[test]
fn only_clock_rs_reads_a_clock() {
    let faults = sources().iter().flat_map(clock_readers).collect::<Vec<_>>();
    report("time is an argument, `Moment` or `Now`; only clock.rs reads one", &faults);
}

#[test]
fn no_file_has_a_name_that_says_nothing() {
    let faults = sources().iter().filter_map(empty_name).collect::<Vec<_>>();
    report("name a file after what is in it", &faults);
}

#[test]
fn unsafe_code_is_forbidden_and_nowhere_allowed() {
    let manifest = read(&root().join("Cargo.toml"));
    let mut faults = sources().iter().flat_map(unsafe_code).collect::<Vec<_>>();
    if !section(&manifest, "lints.rust").any(|line| line.replace(' ', "") == "unsafe_code=\"forbid\"") {
        faults.push("Cargo.toml: [lints.rust] has no unsafe_code = \"forbid\"".into());
    }
    report("roomd is written without unsafe code", &faults);
}

#[test]
fn nothing_panics_on_purpose_outside_of_tests_without_a_comment_that_says_why_it_cannot() {
    let faults = sources().iter().flat_map(panics).collect::<Vec<_>>();
    report("no byte from the network may panic; a comment on the line above must name the invariant", &faults);
}

#[test]
fn the_repository_has_no_other_folders_than_src_web_tests_and_docs() {
    let folders = fs::read_dir(root()).unwrap().map(Result::unwrap).filter(|entry| entry.path().is_dir());
    let names = folders.map(|folder| folder.file_name().to_string_lossy().into_owned());
    let foreign = names.filter(|name| !name.starts_with('.') && name != "target" && !FOLDERS.contains(&name.as_str()));
    let faults: Vec<String> = foreign.map(|name| format!("{name}/")).collect();
    report("a folder at the root that has no place there", &faults);
}

// ---- The rules, each a function from a file to its faults ------------------------------------------------------------

fn foreign_modules(file: &Source) -> Vec<String> {
    let allowed = MODULES.iter().filter(|(place, _)| file.is_in(place)).flat_map(|(_, names)| *names);
    let allowed: Vec<&str> = allowed.copied().collect();
    let mut faults = Vec::new();
    for path in file.paths() {
        // `crate` alone, as in `pub(crate)`, names nobody.
        if let Some(module) = file.own_module(&path)
            && !allowed.iter().any(|name| is_within(&module, name))
        {
            faults.push(format!("{} {} (allowed: {})", file.at(path.line), module, allowed.join(", ")));
        }
    }
    faults
}

fn misplaced_crates(file: &Source) -> Vec<String> {
    let mut faults = Vec::new();
    for path in file.paths() {
        let name = path.segments.join("::");
        for (what, places) in ONLY_IN {
            if is_within(&name, what) && !places.iter().any(|place| file.is_in(place)) {
                let allowed = if places.is_empty() { "nowhere".into() } else { places.join(", ") };
                faults.push(format!("{} {name} (allowed: {allowed})", file.at(path.line)));
            }
        }
        if matches!(name.as_str(), "std" | "std::*") {
            faults.push(format!("{} {name} (say which part)", file.at(path.line)));
        }
    }
    faults
}

fn clock_readers(file: &Source) -> Vec<String> {
    let (names, place) = CLOCKS;
    let readers = file.tokens.iter().filter(|token| names.contains(&token.text.as_str()) && !file.is_in(place));
    readers.map(|token| format!("{} {}", file.at(token.line), token.text)).collect()
}

fn empty_name(file: &Source) -> Option<String> {
    let bad = file.path.split(['/', '.', '_']).find(|part| NO_NAMES.contains(part))?;
    Some(format!("{} {bad}", file.at(1)))
}

fn unsafe_code(file: &Source) -> Vec<String> {
    let unsafe_tokens = file.tokens.iter().filter(|token| matches!(token.text.as_str(), "unsafe" | "unsafe_code"));
    unsafe_tokens.map(|token| format!("{} {}", file.at(token.line), token.text)).collect()
}

fn panics(file: &Source) -> Vec<String> {
    let mut faults = Vec::new();
    for (at, token) in file.tokens.iter().enumerate() {
        let before = at.checked_sub(1).map_or("", |before| &file.tokens[before].text);
        let after = file.tokens.get(at + 1).map_or("", |after| &after.text);
        let is_panic = match token.text.as_str() {
            "unwrap" | "expect" | "unwrap_err" | "expect_err" => matches!(before, "." | "::"),
            "panic" | "todo" | "unimplemented" | "unreachable" => after == "!",
            _ => false,
        };
        let line_above = (token.line - 1).checked_sub(1).and_then(|above| file.text.lines().nth(above)).unwrap_or("");
        let has_reason = line_above.trim_start().starts_with("// ");
        if is_panic && !has_reason {
            faults.push(format!("{} {}", file.at(token.line), token.text));
        }
    }
    faults
}

/// `log::info` is within `log`, and so is `log`; `logger` is not.
fn is_within(name: &str, outer: &str) -> bool {
    name.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

fn report(rule: &str, faults: &[String]) {
    assert!(faults.is_empty(), "{rule}:\n  {}\n", faults.join("\n  "));
}

// ---- Reading ---------------------------------------------------------------------------------------------------------

struct Source {
    /// Behind `src/`, with `/` between its parts.
    path: String,
    text: String,
    /// Without comments, strings and test modules.
    tokens: Vec<Token>,
}

#[derive(Debug, Clone)]
struct Token {
    line: usize,
    text: String,
}

/// Words that may stand before `::mio` without being a part of the path.
const NEVER_FIRST: &[&str] = &["as", "dyn", "for", "impl", "in", "mut", "return"];

/// A path as it is written, each leaf of a `use` tree by itself: `std::io::Read`.
#[derive(Debug)]
struct NamedPath {
    line: usize,
    segments: Vec<String>,
}

impl Source {
    fn new(path: &str, text: &str) -> Source {
        let tokens = without_test_modules(tokens(&without_comments_and_strings(text)));
        Source { path: path.into(), text: text.into(), tokens }
    }

    /// The beginning of a fault's line.
    fn at(&self, line: usize) -> String {
        format!("src/{}:{line}:", self.path)
    }

    /// `place` is a file, or a folder if it ends in a slash.
    fn is_in(&self, place: &str) -> bool {
        if place.ends_with('/') { self.path.starts_with(place) } else { self.path == place }
    }

    /// All paths of two or more segments, and whatever is imported: `use mio;`.
    fn paths(&self) -> Vec<NamedPath> {
        let mut paths = Vec::new();
        let mut at = 0;
        while at < self.tokens.len() {
            let before = at.checked_sub(1).map_or("", |before| &self.tokens[before].text);
            let text = self.tokens[at].text.as_str();
            let mut found = Vec::new();
            at = if text == "use" {
                // A `::` in front of all is for a crate, as in `use ::mio::Poll`.
                let is_rooted = self.tokens.get(at + 1).is_some_and(|next| next.text == "::");
                self.read_path(at + 1 + usize::from(is_rooted), &[], &mut found)
            } else if is_identifier(text) && !NEVER_FIRST.contains(&text) && before != "." {
                let end = self.read_path(at, &[], &mut found);
                found.retain(|path| path.segments.len() > 1);
                end
            } else {
                at + 1
            };
            paths.append(&mut found);
        }
        paths
    }

    /// Reads a path or a `use` tree that begins at `at`; gives where it ends.
    fn read_path(&self, mut at: usize, prefix: &[String], found: &mut Vec<NamedPath>) -> usize {
        let text = |at: usize| self.tokens.get(at).map_or("", |token| &token.text);
        let mut segments = prefix.to_vec();
        let line = self.tokens.get(at).map_or(0, |token| token.line);
        loop {
            match text(at) {
                "{" => {
                    at += 1;
                    while !matches!(text(at), "}" | "") {
                        at = if text(at) == "," { at + 1 } else { self.read_path(at, &segments, found).max(at + 1) };
                    }
                    return at + 1;
                }
                part if is_identifier(part) || part == "*" => segments.push(part.into()),
                _ => break,
            }
            at += 1;
            let goes_on = text(at) == "::" && (is_identifier(text(at + 1)) || matches!(text(at + 1), "{" | "*"));
            if !goes_on {
                break;
            }
            at += 1;
        }
        // `self` in a tree means the prefix.
        if segments.len() > 1 && segments.last().is_some_and(|last| last == "self") {
            segments.pop();
        }
        found.push(NamedPath { line, segments });
        if text(at) == "as" { at + 2 } else { at }
    }

    /// The crate's own module that a path leads to, from the crate's root on: `http::head`.
    fn own_module(&self, path: &NamedPath) -> Option<String> {
        // Where this file is: `src/http/head.rs` is `http::head`, `src/http/mod.rs` is `http`.
        let mut here: Vec<&str> = self.path.trim_end_matches(".rs").split('/').collect();
        here.retain(|part| !matches!(*part, "mod" | "lib" | "main"));
        let mut rest = path.segments.iter().map(String::as_str).peekable();
        match rest.next()? {
            "crate" | "roomd" => here.clear(),
            "self" => {}
            "super" => {
                here.pop();
                while rest.next_if_eq(&"super").is_some() {
                    here.pop();
                }
            }
            _ => return None,
        }
        here.extend(rest);
        (!here.is_empty()).then(|| here.join("::"))
    }
}

fn is_identifier(text: &str) -> bool {
    text.starts_with(|first: char| first.is_alphabetic() || first == '_')
}

/// The text with comments, strings and characters blanked out, line for line.
fn without_comments_and_strings(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < bytes.len() {
        let rest = &text[at..];
        let is_word_before = at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
        let len = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment_len(rest)
        } else if let Some(len) = string_len(rest).filter(|_| !is_word_before || rest.starts_with('"')) {
            len
        } else if rest.starts_with('\'') {
            character_len(rest)
        } else {
            let first = rest.chars().next().unwrap();
            out.push(first);
            at += first.len_utf8();
            continue;
        };
        out.extend(rest[..len].chars().map(|skipped| if skipped == '\n' { '\n' } else { ' ' }));
        at += len;
    }
    out
}

/// Block comments nest.
fn block_comment_len(text: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < text.len() {
        if text[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += text[at..].chars().next().unwrap().len_utf8();
        }
    }
    at
}

/// The length of the string literal at the beginning of `text`, if there is one: plain, of bytes, of C, raw.
fn string_len(text: &str) -> Option<usize> {
    let letters = text.find(|letter| !matches!(letter, 'b' | 'c' | 'r'))?;
    let prefix = &text[..letters];
    if !matches!(prefix, "" | "b" | "c" | "r" | "br" | "cr") {
        return None;
    }
    let hashes = text[letters..].bytes().take_while(|&byte| byte == b'#').count();
    let body = text[letters + hashes..].strip_prefix('"')?;
    let start = letters + hashes + 1;
    if prefix.ends_with('r') {
        let end = format!("\"{}", "#".repeat(hashes));
        return Some(body.find(&end).map_or(text.len(), |found| start + found + end.len()));
    }
    if hashes > 0 {
        return None;
    }
    let mut is_escaped = false;
    let end = body.find(|letter| {
        let is_end = letter == '"' && !is_escaped;
        is_escaped = letter == '\\' && !is_escaped;
        is_end
    });
    Some(end.map_or(text.len(), |end| start + end + 1))
}

/// The length of the character literal at the beginning of `text`; of a lifetime, the tick alone.
fn character_len(text: &str) -> usize {
    let mut letters = text.char_indices().skip(1);
    match (letters.next(), letters.next()) {
        (Some((_, '\\')), Some(_)) => letters.find(|(_, letter)| *letter == '\'').map_or(1, |(end, _)| end + 1),
        (Some(_), Some((end, '\''))) => end + 1,
        _ => 1,
    }
}

fn tokens(code: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    for (nth, line) in code.lines().enumerate() {
        let mut rest = line.trim_start();
        while let Some(first) = rest.chars().next() {
            let len = if first.is_alphanumeric() || first == '_' {
                rest.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(rest.len())
            } else if rest.starts_with("::") {
                2
            } else {
                first.len_utf8()
            };
            tokens.push(Token { line: nth + 1, text: rest[..len].into() });
            rest = rest[len..].trim_start();
        }
    }
    tokens
}

/// Drops each item that stands under `#[cfg(test)]`, up to its closing brace or semicolon.
fn without_test_modules(tokens: Vec<Token>) -> Vec<Token> {
    const ATTRIBUTE: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let window = &tokens[at..tokens.len().min(at + ATTRIBUTE.len())];
        if !window.iter().map(|token| token.text.as_str()).eq(ATTRIBUTE) {
            kept.push(tokens[at].clone());
            at += 1;
            continue;
        }
        at += ATTRIBUTE.len();
        let mut depth = 0;
        while at < tokens.len() {
            let text = tokens[at].text.as_str();
            at += 1;
            match text {
                "{" => depth += 1,
                "}" if depth == 1 => break,
                "}" => depth -= 1,
                ";" if depth == 0 => break,
                _ => {}
            }
        }
    }
    kept
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All files under `src/`.
fn sources() -> Vec<Source> {
    let src = root().join("src");
    let mut folders = vec![src.clone()];
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let parts = path.strip_prefix(&src).unwrap().iter().map(|part| part.to_string_lossy());
                sources.push(Source::new(&parts.collect::<Vec<_>>().join("/"), &read(&path)));
            }
        }
    }
    assert!(sources.len() > 10, "the sources were found");
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    sources
}

/// The lines of one section of a manifest, without comments.
fn section<'a>(manifest: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let header = format!("[{name}]");
    let lines = manifest.lines().map(|line| line.split('#').next().unwrap().trim());
    lines.skip_while(move |line| *line != header).skip(1).take_while(|line| !line.starts_with('['))
}

/// The names of the dependencies, as the sources write them.
fn dependencies(manifest: &str) -> Vec<String> {
    let lines = section(manifest, "dependencies").filter_map(|line| line.split_once('='));
    lines.map(|(name, _)| name.trim().replace('-', "_")).collect()
}

// ---- The checker itself ----------------------------------------------------------------------------------------------

#[test]
fn prose_strings_characters_and_test_modules_are_not_code() {
    let text = r####"
        //! mio::Poll and Instant::now() in prose.
        /// x.unwrap() in prose.
        /* block /* nested mio::Poll */ still prose x.unwrap() */
        const A: &str = "mio::Poll // \" x.unwrap()";
        const B: &[u8] = br##"mio::Poll "# x.unwrap()"##;
        const C: char = '"'; const D: char = '\''; const E: char = '"';
        fn lifetime<'a>(x: &'a str) -> &'a str { x }
        #[cfg(test)]
        mod tests { use mio::Poll; fn f() { if true { x.unwrap(); } panic!("{}", Instant::now()) } }
        #[cfg(test)]
        mod more_tests;
        fn behind() {}
    "####;
    let file = Source::new("chat/room.rs", text);
    for rule in [foreign_modules, misplaced_crates, clock_readers, panics, unsafe_code] {
        assert_eq!(rule(&file), Vec::<String>::new());
    }
    let words: Vec<&str> = file.tokens.iter().map(|token| token.text.as_str()).collect();
    assert!(words.contains(&"lifetime") && words.contains(&"behind"), "what is code is still there: {words:?}");
    assert!(!words.contains(&"Poll"));
}

#[test]
fn a_module_is_found_however_it_is_written() {
    let faults = |path: &str, text: &str| foreign_modules(&Source::new(path, text));
    for foreign in [
        "use crate::websocket::Close;",
        "use crate::{chat::Name, websocket::{self, Close}};",
        "use crate::{\n  chat::Name,\n  websocket as w,\n};",
        "use super::super::websocket;",
        "fn f(_: crate::websocket::Close) {}",
        "fn f() { g(crate::websocket::close::close_payload()) }",
        "pub(in crate::websocket) fn f() {}",
        "use crate::*;",
    ] {
        assert!(!faults("chat/room.rs", foreign).is_empty(), "{foreign}");
    }
    for fine in ["pub(crate) fn f() {}", "use super::name::Name;", "use crate::moment::Moment; mod websocket {}"] {
        assert_eq!(faults("chat/room.rs", fine), Vec::<String>::new(), "{fine}");
    }
    assert_eq!(faults("chat/mod.rs", "use super::websocket;").len(), 1);
    assert_eq!(faults("write_queue.rs", "use crate::websocket::frame;").len(), 0);
    assert_eq!(faults("write_queue.rs", "use crate::websocket::frames;").len(), 1);
    assert_eq!(faults("main.rs", "use roomd::{flags::Flags, hub::Hub};").len(), 1);
    let message = &faults("chat/room.rs", "\n\nuse crate::http::Head;")[0];
    assert!(message.starts_with("src/chat/room.rs:3: http::Head"), "{message}");
}

#[test]
fn a_crate_is_found_however_it_is_written() {
    let faults = |path: &str, text: &str| misplaced_crates(&Source::new(path, text)).len();
    for foreign in [
        "use mio::Poll;",
        "use mio;",
        "use mio as m;",
        "use ::mio::Poll;",
        "fn f(_: &mio::Poll) {}",
        "use {mio, std::fmt};",
        "impl ::mio::event::Source for X {}",
        "use std::{fmt, net::TcpStream};",
        "use std::*;",
        "fn f() { std::thread::sleep(t) }",
        "fn f() { log::info!(\"x\") }",
    ] {
        assert_ne!(faults("connection.rs", foreign), 0, "{foreign}");
    }
    for fine in ["let mio = 1; f(mio, self.log)", "x.log::<u8>()", "use std::time::Duration;", "my::mio::x()"] {
        assert_eq!(faults("connection.rs", fine), 0, "{fine}");
    }
    assert_eq!(faults("listener.rs", "use mio::net::TcpListener; use std::net::SocketAddr;"), 0);
}

#[test]
fn the_other_rules_can_fail_as_well() {
    let file = Source::new(
        "chat/helpers.rs",
        "fn f() {\n    x.unwrap();\n    // It was checked above.\n    y.expect(\"z\");\n    /// Doc.\n    todo!();\n\
         a.map(Option::unwrap); let now = Instant::now(); unsafe { g() } #![allow(unsafe_code)]\n}",
    );
    assert_eq!(
        panics(&file),
        ["src/chat/helpers.rs:2: unwrap", "src/chat/helpers.rs:6: todo", "src/chat/helpers.rs:7: unwrap"]
    );
    assert_eq!(clock_readers(&file), ["src/chat/helpers.rs:7: Instant"]);
    assert_eq!(unsafe_code(&file).len(), 2);
    assert!(empty_name(&file).is_some());
    assert!(empty_name(&Source::new("http/utils/x.rs", "")).is_some());
    let manifest = "[dependencies]\na-b = \"1\"\nc = { version = \"1\" } # d = 2\n[dev-dependencies]\ne = \"1\"\n";
    assert_eq!(dependencies(manifest), ["a_b", "c"]);
}
