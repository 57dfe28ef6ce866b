//! The documents say what is so: what they name exists, and what exists they name.

#[path = "testing/rust_source.rs"]
mod rust_source;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use roomd::chat::RoomName;
use roomd::close_reason::CloseReason;
use rust_source::{RustSource, Variant};
use serde_json::Value;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn files_below(folder: &str, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            match path.is_dir() {
                true if path.ends_with("target") => {}
                true => folders.push(path),
                false if path.to_string_lossy().ends_with(ending) => found.push(path),
                false => {}
            }
        }
    }
    found
}

/// The words in backticks of a piece of Markdown.
fn in_backticks(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

fn every_source() -> String {
    let files = files_below("src", ".rs").into_iter().chain(files_below("tests", ".rs"));
    files.map(|file| fs::read_to_string(file).unwrap()).collect()
}

fn table_rows(page: &str) -> Vec<Vec<String>> {
    let lines = page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("|---"));
    lines.map(|line| line.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect()).collect()
}

#[test]
fn every_row_of_the_rfc_index_names_a_symbol_and_tests_that_exist() {
    let page = read("docs/rfc6455.md");
    let sources = every_source();
    let rows: Vec<Vec<String>> = table_rows(&page).into_iter().filter(|row| row[0].parse::<u32>().is_ok()).collect();
    let numbers: Vec<u32> = rows.iter().map(|row| row[0].parse().unwrap()).collect();
    assert_eq!(numbers, (1..=37).collect::<Vec<u32>>(), "every row is there");
    for row in &rows {
        let [.., symbol, tests] = &row[..] else { panic!("{row:?}") };
        let words: Vec<&str> = in_backticks(symbol).collect();
        let [symbol, file] = words[..] else { panic!("a symbol `in` a file: {row:?}") };
        let name = symbol.rsplit("::").next().unwrap();
        let file_text = read(file);
        let defines = ["fn ", "const ", "struct ", "enum ", "function ", "    "].iter().any(|before| {
            file_text.match_indices(&format!("{before}{name}")).any(|(at, found)| {
                !file_text[at + found.len()..].starts_with(|next: char| next.is_alphanumeric() || next == '_')
            })
        });
        assert!(defines, "row {}: {symbol} is not defined in {file}", row[0]);
        assert!(in_backticks(tests).any(|test| test.starts_with(&format!("row_{:0>2}_", row[0]))), "{row:?}");
    }
    for row in table_rows(&page) {
        for test in in_backticks(row.last().unwrap()) {
            assert!(sources.contains(&format!("fn {test}()")) || sources.contains(&format!("fn {test}(\n")), "{test}");
        }
    }
}

#[test]
fn every_row_test_is_in_the_rfc_index() {
    let page = read("docs/rfc6455.md");
    for line in read("tests/rfc6455.rs").lines().filter_map(|line| line.strip_prefix("fn row_")) {
        let name = format!("row_{}", line.split('(').next().unwrap());
        assert!(page.contains(&format!("`{name}`")), "{name}");
    }
}

#[test]
fn every_flag_is_in_the_operating_guide_and_every_flag_in_the_documents_exists() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_roomd")).arg("--help").output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    let mut flags: Vec<&str> = help
        .split(|letter: char| !(letter.is_ascii_lowercase() || letter == '-'))
        .filter(|word| word.starts_with("--") && word.len() > 2)
        .collect();
    flags.sort_unstable();
    flags.dedup();
    assert!(flags.len() > 20, "{flags:?}");
    let guide = read("docs/operating.md");
    for flag in &flags {
        assert!(guide.contains(&format!("`{flag}")), "{flag} is not in docs/operating.md");
    }
    for document in ["docs/operating.md", "docs/protocol.md"] {
        for word in read(document).split(|letter: char| !(letter.is_ascii_lowercase() || letter == '-')) {
            let is_flag = word.len() > 2 && word.starts_with("--") && !word.starts_with("---");
            // Flags of other programs that the guide shows.
            let is_foreign = ["--offline", "--release", "--git", "--test", "--ignored"].contains(&word);
            assert!(!is_flag || is_foreign || flags.contains(&word), "{document} names {word}, which does not exist");
        }
    }
}

#[test]
fn every_refusal_is_in_the_protocol_s_table_with_its_words() {
    let page = read("docs/protocol.md");
    let of_refusals = source("door/refusal.rs").strings_in("impl fmt::Display for Refusal");
    let of_heads = source("http/head.rs").strings_in("HeadError");
    let mut count = 0;
    for sentence in of_refusals.into_iter().chain(of_heads) {
        assert!(page.contains(&sentence), "docs/protocol.md does not have: {sentence}");
        count += 1;
    }
    assert!(count > 20);
}

fn source(path: &str) -> RustSource {
    RustSource::new(path, &read(&format!("src/{path}")))
}

/// The types of events as they are on the wire, each with the fields that it always has and those that it may have.
fn events() -> Vec<(String, [BTreeSet<String>; 2])> {
    let of_messages = source("chat/message.rs").variants("MessageJson").into_iter();
    let variants = of_messages.chain(source("chat/event.rs").variants("EventJson"));
    let fields = variants.map(|Variant { name, mut fields, optional }| {
        fields.push("type".to_owned());
        (name.to_lowercase(), [fields, optional].map(|fields| fields.into_iter().collect()))
    });
    fields.collect()
}

#[test]
fn every_type_of_event_is_in_the_protocol_with_an_example_that_has_just_its_fields() {
    let page = read("docs/protocol.md");
    let events = events();
    assert!(events.len() > 10, "{events:?}");
    let mut shown = BTreeSet::new();
    for line in page.lines().filter(|line| line.starts_with('{')) {
        let example: BTreeMap<String, Value> =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let kind = example["type"].as_str().unwrap().to_owned();
        let Some((_, [fields, optional])) = events.iter().find(|(known, _)| *known == kind) else {
            panic!("no event is a {kind}")
        };
        // Of a message, `DamagedMessage` has one more.
        let is_optional = |field: &String| optional.contains(field) || kind == "message" && field == "damaged";
        let shown_fields: BTreeSet<String> = example.into_keys().filter(|field| !is_optional(field)).collect();
        assert_eq!(&shown_fields, fields, "the example of {kind}");
        shown.insert(kind);
    }
    let headings = page.lines().filter_map(|line| line.strip_prefix("### `"));
    let explained: Vec<&str> =
        headings.flat_map(|line| line.split(':').next().unwrap().split('`').step_by(2)).collect();
    for (kind, _) in &events {
        assert!(shown.contains(kind), "docs/protocol.md has no example of {kind}");
        assert!(explained.contains(&kind.as_str()), "docs/protocol.md has no section for {kind}");
    }
}

#[test]
fn every_error_code_is_in_the_protocol_s_table_and_every_one_in_the_table_exists() {
    let page = read("docs/protocol.md");
    let section = page.split("### `error`").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows: Vec<Vec<String>> = table_rows(section).into_iter().skip(1).collect();
    let explained: BTreeSet<&str> = rows.iter().filter_map(|row| in_backticks(&row[0]).next()).collect();
    assert!(rows.iter().all(|row| row.len() == 3 && row.iter().all(|cell| !cell.is_empty())), "{rows:?}");
    let codes = source("chat/problem.rs").strings_in("Problem::code");
    assert_eq!(explained, codes.iter().map(String::as_str).collect());
}

#[test]
fn every_command_is_in_the_protocol_s_table_and_every_one_in_the_table_exists() {
    let page = read("docs/protocol.md");
    let section = page.split("### Commands").nth(1).unwrap().split("\n#").next().unwrap();
    let rows: Vec<Vec<String>> = table_rows(section).into_iter().skip(1).collect();
    let explained: BTreeSet<&str> = rows.iter().filter_map(|row| in_backticks(&row[0]).next()).collect();
    let help = roomd::chat::command::HELP.lines().filter_map(|line| line.split(" - ").next());
    assert_eq!(explained, help.filter(|usage| usage.starts_with('/') && !usage.starts_with("//")).collect());
}

#[test]
fn every_ending_is_in_the_operating_guide_and_its_close_in_the_protocol() {
    let names = source("close_reason.rs").strings_in("CloseReason::name");
    let guide = read("docs/operating.md");
    let section = guide.split("The endings, as they are counted").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows: Vec<Vec<String>> = table_rows(section).into_iter().skip(1).collect();
    let explained: BTreeSet<&str> = rows.iter().filter_map(|row| in_backticks(&row[0]).next()).collect();
    assert_eq!(explained, names.iter().map(String::as_str).collect());
    let page = read("docs/protocol.md");
    for ending in [
        CloseReason::TooSlow,
        CloseReason::Silent,
        CloseReason::MessageTooSlow,
        CloseReason::OutOfMemory,
        CloseReason::TooManyRooms,
        CloseReason::ShutDown,
    ] {
        let (code, words) = (ending.close_code().unwrap(), ending.to_string());
        let is_row = |line: &str| line.starts_with(&format!("| {code} |")) && line.contains(&format!("`{words}`"));
        assert!(page.lines().any(is_row), "docs/protocol.md has no row for {code} {words}");
    }
}

#[test]
fn every_reason_against_a_room_s_name_is_in_the_protocol_with_its_words() {
    let page = read("docs/protocol.md");
    let bad =
        ["", "/", ".", " a"].map(RoomName::parse).into_iter().chain(["%FF", "%zz"].map(RoomName::from_path_segment));
    let mut sentences: Vec<String> = bad.map(|bad| bad.unwrap_err().to_string()).collect();
    for odd in ['\u{7}', '\u{202E}', '\u{200B}', '\u{A0}', '\u{E000}'] {
        let sentence = RoomName::parse(&odd.to_string()).unwrap_err().to_string();
        let (_, kind) = sentence.trim_end_matches('.').split_once(" contain ").unwrap();
        sentences.push(kind.to_owned());
    }
    for sentence in sentences {
        assert!(page.contains(&format!("`{sentence}`")), "docs/protocol.md does not have: {sentence}");
    }
}

#[test]
fn every_file_in_the_tables_of_the_read_me_exists_and_every_source_is_in_one() {
    let page = read("README.md");
    let named: BTreeSet<String> =
        table_rows(&page).iter().flat_map(|row| in_backticks(&row[0]).map(str::to_owned).collect::<Vec<_>>()).collect();
    for name in named.iter().filter(|name| name.starts_with("src/")) {
        assert!(root().join(name).exists(), "README.md names {name}");
    }
    for source in files_below("src", ".rs") {
        let path = source.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
        let is_named = named.iter().any(|name| *name == path || name.ends_with('/') && path.starts_with(name.as_str()));
        // The map itself.
        assert!(is_named || path == "src/lib.rs", "README.md does not name {path}");
    }
}

#[test]
fn links_between_the_documents_lead_somewhere() {
    let mut documents = files_below("docs", ".md");
    documents.extend(["README.md", "CHANGELOG.md", "CONTRIBUTING.md"].map(|name| root().join(name)));
    let mut faults = Vec::new();
    for document in documents {
        let text = without_code(&fs::read_to_string(&document).unwrap());
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.starts_with("http") {
                continue;
            }
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() { document.clone() } else { document.parent().unwrap().join(path) };
            let Ok(page) = fs::read(&target).or_else(|error| if target.is_dir() { Ok(Vec::new()) } else { Err(error) })
            else {
                faults.push(format!("{}: {link} leads nowhere", document.display()));
                continue;
            };
            let headings = without_code(&String::from_utf8_lossy(&page));
            let mut anchors = headings.lines().filter(|line| line.starts_with('#')).map(anchor_of);
            if !anchor.is_empty() && !anchors.any(|heading| heading == anchor) {
                faults.push(format!("{}: {link} names no heading", document.display()));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// A page without its fenced blocks: in code, what looks like a link or a heading is none.
fn without_code(page: &str) -> String {
    let mut is_code = false;
    let words = page.split_inclusive('\n').filter(|line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    });
    words.collect()
}

/// As repository browsers make them: lower case, blanks to hyphens, other marks dropped.
fn anchor_of(heading: &str) -> String {
    let words = heading.trim_start_matches('#').trim().to_lowercase();
    words
        .chars()
        .filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter))
        .collect::<String>()
        .replace(' ', "-")
}
