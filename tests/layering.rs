//! Reads the sources and holds them to the table of layers: who may name whom.
//!
//! It also holds their size: a file, a function and a folder that can be understood as a whole. What the compiler and clippy
//! hold is not said again here: no unsafe code, no panic on purpose.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed expectation is a failed test")]

#[path = "testing/rust_source.rs"]
mod rust_source;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use rust_source::{NamedPath, RustSource as Source, sources};

/// Which of the crate's own modules each file may name. A longer path allows just that item and what is inside it.
///
/// The pure ones come first, then what is built on them. A new file needs a row; a file that needs another name is a
/// change of the plan, to be made here and explained.
const MODULES: &[(&str, &[&str])] = &[
    // Pure: bytes and values.
    ("moment.rs", &[]),
    ("http/", &["http", "limits::fixed"]),
    ("websocket/", &["websocket"]),
    ("gate/", &["gate", "chat", "limits", "moment", "rate_limit"]),
    ("door/", &["door", "gate", "http", "chat"]),
    ("chat/", &["chat", "limits::fixed", "moment"]),
    ("history/", &["history", "chat", "moment", "limits::fixed"]),
    ("rate_limit.rs", &["moment"]),
    ("framing.rs", &["websocket::frame"]),
    ("scrollback.rs", &["limits"]),
    ("limits.rs", &["limits", "rate_limit", "websocket::MessageLimits"]),
    ("limits/", &["limits"]),
    ("close_reason.rs", &["door::Refusal", "http", "websocket"]),
    // One connection, without its socket and without a rule of chat.
    ("write_queue.rs", &["framing", "limits::fixed"]),
    (
        "connection/",
        &[
            "chat::visit::Verbosity",
            "connection",
            "close_reason",
            "door",
            "framing",
            "gate",
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
            "framing",
            "gate",
            "inspect",
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
    ("listener.rs", &["gate::PeerAddress", "hub::Socket", "limits", "listen_address"]),
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
            "history::sqlite::errors::DatabaseError",
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
    (
        "flags/",
        &[
            "flags",
            "environment::UnknownVariable",
            "door::AllowedOrigin",
            "gate",
            "limits",
            "listen_address::ListenAddresses",
        ],
    ),
    (
        "settings.rs",
        &[
            "environment::UnknownVariable",
            "flags",
            "gate",
            "history",
            "door",
            "limits",
            "listen_address",
            "rate_limit",
            "websocket",
        ],
    ),
    (
        "inspect/",
        &[
            "inspect",
            "flags",
            "door",
            "history::sqlite::backup",
            "history::sqlite::check",
            "history::sqlite::room_sizes",
            "limits::fixed",
            "websocket",
        ],
    ),
    ("main.rs", &["clock", "event_loop", "flags", "log_buffer", "log_filter", "log_line", "inspect", "settings"]),
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
    ("thiserror", &["event_loop.rs", "gate/", "http/", "history/"]),
    ("cap", &["main.rs"]),
    ("tikv_jemallocator", &["main.rs"]),
    ("libc", &["event_loop.rs", "listener.rs"]),
    ("socket2", &["listener.rs"]),
    (
        "log",
        &[
            "history/faults.rs",
            "history/log.rs",
            "history/sqlite/store.rs",
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
    ("clap", &["flags/"]),
    ("strsim", &["environment.rs"]),
    ("humantime", &["clock.rs", "flags/"]),
    ("slab", &["hub/", "chat/", "gate/"]),
    ("ipnet", &["gate/"]),
    ("ppp", &["gate/proxy_header.rs"]),
    ("httparse", &["http/"]),
    ("form_urlencoded", &["door/"]),
    ("sha1", &["door/"]),
    ("sha2", &["gate/"]),
    ("hmac", &["gate/"]),
    ("getrandom", &["history/"]),
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
    ("std::net", &["gate/", "listener.rs"]),
    (
        "std::os",
        &[
            "history/sqlite/backup.rs",
            "history/sqlite/database/opening.rs",
            "history/sqlite/end_mark.rs",
            "history/sqlite/lock.rs",
            "history/sqlite/log_end.rs",
            "history/sqlite/file_watch.rs",
            "listener.rs",
        ],
    ),
    (
        "std::fs",
        &[
            "available_memory.rs",
            "history/sqlite/backup.rs",
            "history/sqlite/database/leaving.rs",
            "history/sqlite/database/opening.rs",
            "history/sqlite/end_mark.rs",
            "history/sqlite/errors.rs",
            "history/sqlite/file_watch.rs",
            "history/sqlite/lock.rs",
            "history/sqlite/log_end.rs",
            "history/sqlite/tool.rs",
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
            "connection/outgoing.rs",
            "door/pages.rs",
            "write_queue.rs",
            "history/driver.rs",
            "history/log.rs",
            "history/sqlite/backup.rs",
            "history/sqlite/database/opening.rs",
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
            "inspect/",
        ],
    ),
    ("std::env", &["main.rs"]),
    ("std::process", &["main.rs"]),
    // One thread, one that waits for the disk, and one that waits for the reader of the log.
    ("std::thread", &["history/driver.rs", "log_buffer.rs"]),
    // What goes to those threads and comes back; and what a signal handler may set.
    ("std::sync::mpsc", &["history/driver.rs"]),
    (
        "std::sync",
        &["log_buffer.rs", "signals.rs", "chat/name.rs", "chat/room_name.rs", "door/pages.rs", "history/driver.rs"],
    ),
];

/// The only reader of clocks. The names themselves are looked for, since `now` can hide behind an alias.
const CLOCKS: (&[&str], &str) = (&["Instant", "SystemTime", "UNIX_EPOCH"], "clock.rs");

/// What queues bytes for a socket, or writes them to it. In the hub only the outbox calls these: it knows in which order a
/// member is sent things, holds `--max-queue` against it, and shows it to the log.
const WAYS_TO_A_SOCKET: (&[&str], &str) = (&["queue_event", "queue_shared", "queue_late", "flush_to"], "hub/outbox.rs");

/// Names that say nothing about what is inside, and so collect everything.
const NO_NAMES: &[&str] = &["common", "helper", "helpers", "manager", "misc", "util", "utils"];

/// What can be read in one sitting: lines of a file without its tests, and of a function.
const MOST_LINES: usize = 400;
const MOST_LINES_OF_A_FUNCTION: usize = 50;

/// So many files of a folder may name each other in a circle: two halves of one idea. In a larger circle none can be
/// understood before the others.
const LARGEST_CIRCLE: usize = 2;

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
fn only_the_outbox_queues_for_a_member_and_writes_to_a_socket() {
    let faults = sources().iter().flat_map(ways_round_the_outbox).collect::<Vec<_>>();
    report("what a member is sent goes through src/hub/outbox.rs", &faults);
}

#[test]
fn no_file_has_a_name_that_says_nothing() {
    let faults = sources().iter().filter_map(empty_name).collect::<Vec<_>>();
    report("name a file after what is in it", &faults);
}

#[test]
fn no_file_and_no_function_is_longer_than_one_can_hold_in_mind() {
    let files = sources();
    let long_files = files.iter().map(|file| (file.path.clone(), file.code_lines()));
    let mut faults = lengths(long_files.collect(), MOST_LINES);
    let functions = files.iter().flat_map(|file| {
        file.functions().into_iter().map(|function| (format!("{} {}", file.path, function.name), function.lines))
    });
    faults.extend(lengths(functions.collect(), MOST_LINES_OF_A_FUNCTION));
    report("split it by idea", &faults);
}

#[test]
fn in_no_folder_does_everything_name_everything() {
    report("a circle of files: each needs all others to be understood", &circles(&sources()));
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
    let is_clock = |path: &&NamedPath| path.segments.iter().any(|segment| names.contains(&segment.as_str()));
    let readers = file.paths().into_iter().filter(|path| is_clock(&path) && !file.is_in(place));
    readers.map(|path| format!("{} {}", file.at(path.line), path.segments.join("::"))).collect()
}

fn ways_round_the_outbox(file: &Source) -> Vec<String> {
    let (methods, place) = WAYS_TO_A_SOCKET;
    if !file.is_in("hub/") || file.is_in(place) {
        return Vec::new();
    }
    let calls = file.method_calls().into_iter().filter(|call| methods.contains(&call.segments[0].as_str()));
    calls.map(|call| format!("{} {}", file.at(call.line), call.segments[0])).collect()
}

fn empty_name(file: &Source) -> Option<String> {
    let bad = file.path.split(['/', '.', '_']).find(|part| NO_NAMES.contains(part))?;
    Some(format!("{} {bad}", file.at(1)))
}

/// What is too long, and the exceptions that are none any more.
fn lengths(all: Vec<(String, usize)>, most: usize) -> Vec<String> {
    let long = all.into_iter().filter(|(_, lines)| *lines > most);
    long.map(|(name, lines)| format!("src/{name}: {lines} lines (allowed: {most})")).collect()
}

/// The circles in which the files of each folder name each other. What a folder says of itself, in its `mod.rs`, is not
/// counted: it names its parts, and they may name it.
fn circles(files: &[Source]) -> Vec<String> {
    let mut faults = Vec::new();
    for (folder, names) in folders(files) {
        let large = circles_of(&names).into_iter().filter(|circle| circle.len() > LARGEST_CIRCLE);
        faults.extend(large.map(|circle| format!("src/{folder}: {}", circle.join(", "))));
    }
    faults
}

/// For each folder, its parts, each with those beside it that it names.
fn folders(files: &[Source]) -> BTreeMap<String, BTreeMap<String, BTreeSet<String>>> {
    let mut folders: BTreeMap<String, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
    let ways = files.iter().flat_map(|file| (0..=file.module().len()).map(|len| file.module()[..len].join("::")));
    let modules: BTreeSet<String> = ways.collect();
    for file in files {
        let here = file.module();
        for path in file.paths() {
            let Some(module) = file.own_module(&path) else { continue };
            let there: Vec<&str> = module.split("::").collect();
            // Up to where the two ways part.
            let common = here.iter().zip(&there).take_while(|(a, b)| a == b).count();
            let (Some(from), Some(to)) = (here.get(common), there.get(common)) else { continue };
            let folder = here[..common].iter().map(|part| format!("{part}/")).collect::<String>();
            let is_part = modules.contains(&there[..=common].join("::"));
            if is_part {
                let parts = folders.entry(folder).or_default();
                parts.entry((*from).to_owned()).or_default().insert((*to).to_owned());
            }
        }
    }
    folders
}

/// The sets of parts of which each leads to each.
fn circles_of(names: &BTreeMap<String, BTreeSet<String>>) -> Vec<Vec<String>> {
    let reached = |from: &String| {
        let mut reached = BTreeSet::new();
        let mut open = vec![from];
        while let Some(part) = open.pop() {
            open.extend(names.get(part).into_iter().flatten().filter(|next| reached.insert((*next).clone())));
        }
        reached
    };
    let reached: BTreeMap<&String, BTreeSet<String>> = names.keys().map(|part| (part, reached(part))).collect();
    let circle_of = |part: &String| -> Vec<String> {
        let there = reached.iter().filter(|(other, back)| reached[part].contains(**other) && back.contains(part));
        there.map(|(other, _)| (*other).clone()).collect()
    };
    let circles: BTreeSet<Vec<String>> = names.keys().map(circle_of).filter(|circle| circle.len() > 1).collect();
    circles.into_iter().collect()
}

/// `log::info` is within `log`, and so is `log`; `logger` is not.
fn is_within(name: &str, outer: &str) -> bool {
    name.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

fn report(rule: &str, faults: &[String]) {
    assert!(faults.is_empty(), "{rule}:\n  {}\n", faults.join("\n  "));
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The names of the dependencies, as the sources write them.
fn dependencies(manifest: &str) -> Vec<String> {
    let lines = manifest.lines().map(|line| line.split('#').next().unwrap().trim());
    let section = lines.skip_while(|line| *line != "[dependencies]").skip(1).take_while(|line| !line.starts_with('['));
    section.filter_map(|line| line.split_once('=')).map(|(name, _)| name.trim().replace('-', "_")).collect()
}

// ---- The checker itself ----------------------------------------------------------------------------------------------

#[test]
fn test_modules_and_prose_are_not_code() {
    let text = r####"
        //! mio::Poll and Instant::now() in prose.
        const A: &str = "mio::Poll // \" ";
        #[cfg(test)]
        mod tests { use mio::Poll; fn f() { if true { x.unwrap(); } panic!("{}", Instant::now()) } }
        #[cfg(test)]
        mod more_tests;
        fn behind() { std::mem::drop(1) }
    "####;
    let file = Source::new("chat/room.rs", text);
    for rule in [foreign_modules, misplaced_crates, clock_readers] {
        assert_eq!(rule(&file), Vec::<String>::new());
    }
    assert_eq!(file.paths().len(), 1, "what is code is still there");
    assert_eq!(file.code_lines(), text.lines().count() - 2 - 2);
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
        "fn f() { assert!(x == [crate::websocket::MAX]) }",
        "#[derive(crate::websocket::Close)] struct A;",
        "impl<T: crate::websocket::Close> A<T> {}",
    ] {
        assert!(!faults("chat/room.rs", foreign).is_empty(), "{foreign}");
    }
    for fine in ["pub(crate) fn f() {}", "use super::name::Name;", "use crate::moment::Moment; mod websocket {}"] {
        assert_eq!(faults("chat/room.rs", fine), Vec::<String>::new(), "{fine}");
    }
    assert_eq!(faults("chat/mod.rs", "use super::websocket;").len(), 1);
    assert_eq!(faults("framing.rs", "use crate::websocket::frame;").len(), 0);
    assert_eq!(faults("framing.rs", "use crate::websocket::frames;").len(), 1);
    assert_eq!(faults("main.rs", "use roomd::{flags::Flags, hub::Hub};").len(), 1);
    let message = &faults("chat/room.rs", "\n\nuse crate::http::Head;")[0];
    assert!(message.starts_with("src/chat/room.rs:3: http::Head"), "{message}");
}

#[test]
fn a_way_round_the_outbox_is_found() {
    let faults = |path: &str, text: &str| ways_round_the_outbox(&Source::new(path, text)).len();
    for foreign in
        ["fn f() { slot.connection.queue_shared(a, b); }", "fn f() -> X { g(|| c.flush_to(&mut s, 1, now))? }"]
    {
        assert_eq!(faults("hub/pages.rs", foreign), 1, "{foreign}");
        assert_eq!(faults("hub/outbox.rs", foreign), 0, "{foreign}");
    }
    assert_eq!(faults("hub/pages.rs", "#[cfg(test)] mod tests { fn f() { c.queue_event(g) } }"), 0);
    assert_eq!(faults("hub/pages.rs", "fn f() { self.outbox.flush(a) }"), 0);
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
        "#[derive(thiserror::Error)] struct E;",
    ] {
        assert_ne!(faults("connection/mod.rs", foreign), 0, "{foreign}");
    }
    for fine in [
        "fn f() { let mio = 1; f(mio, self.log) }",
        "fn f() { x.log::<u8>() }",
        "use std::time::Duration;",
        "fn f() { my::mio::x() }",
    ] {
        assert_eq!(faults("connection/mod.rs", fine), 0, "{fine}");
    }
    assert_eq!(faults("listener.rs", "use mio::net::TcpListener; use std::net::SocketAddr;"), 0);
}

#[test]
fn the_other_rules_can_fail_as_well() {
    let file = Source::new(
        "chat/helpers.rs",
        "use std::time as t;\nfn f() {\n    t::Instant::now();\n    g()\n}\nimpl A {\n    /// Doc.\n    fn h(\n    ) {\n    }\n}\n",
    );
    assert_eq!(clock_readers(&file), ["src/chat/helpers.rs:3: t::Instant::now"]);
    assert!(empty_name(&file).is_some());
    assert!(empty_name(&Source::new("http/utils/x.rs", "")).is_some());
    let functions: Vec<_> = file.functions().into_iter().map(|function| (function.name, function.lines)).collect();
    assert_eq!(functions, [("f".to_owned(), 4), ("A::h".to_owned(), 3)]);
    let manifest = "[dependencies]\na-b = \"1\"\nc = { version = \"1\" } # d = 2\n[dev-dependencies]\ne = \"1\"\n";
    assert_eq!(dependencies(manifest), ["a_b", "c"]);

    let all = vec![("a.rs".to_owned(), 11), ("b.rs".to_owned(), 10)];
    assert_eq!(lengths(all, 10), ["src/a.rs: 11 lines (allowed: 10)"]);
}

#[test]
fn a_circle_is_found_through_any_number_of_files_and_not_through_the_folder_itself() {
    let files = [
        ("x/mod.rs", "use a::A; use b::B;"),
        ("x/a.rs", "use super::b::B; use super::Whole;"),
        ("x/b.rs", "use super::c::inner::C;"),
        ("x/c/mod.rs", ""),
        ("x/c/inner.rs", "fn f() { crate::x::a::g() }"),
        ("x/d.rs", "use super::a::A; use super::Whole;"),
        ("y.rs", "use crate::x::a;"),
    ]
    .map(|(path, text)| Source::new(path, text));
    assert_eq!(circles(&files), ["src/x/: a, b, c"]);
}
