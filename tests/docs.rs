//! The documents say what is so: what they name exists, and what exists they name.

use std::fs;
use std::path::{Path, PathBuf};

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
            let is_foreign = ["--offline", "--release"].contains(&word);
            assert!(!is_flag || is_foreign || flags.contains(&word), "{document} names {word}, which does not exist");
        }
    }
}

#[test]
fn every_refusal_is_in_the_protocol_s_table_with_its_words() {
    let page = read("docs/protocol.md");
    let source = read("src/http/refusal.rs");
    let sentences = source.split("f.write_str(match self {").nth(1).unwrap().split('"').skip(1).step_by(2);
    let mut count = 0;
    for sentence in sentences {
        assert!(page.contains(sentence), "docs/protocol.md does not have: {sentence}");
        count += 1;
    }
    assert!(count > 20);
}

#[test]
fn links_between_the_documents_lead_somewhere() {
    let mut documents = files_below("docs", ".md");
    documents.extend(["README.md", "CHANGELOG.md", "CONTRIBUTING.md"].map(|name| root().join(name)));
    for document in documents {
        let text = fs::read_to_string(&document).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.starts_with("http") {
                continue;
            }
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() { document.clone() } else { document.parent().unwrap().join(path) };
            assert!(target.exists(), "{}: {link} leads nowhere", document.display());
            if !anchor.is_empty() {
                let headings = fs::read_to_string(&target).unwrap();
                let found = headings.lines().filter(|line| line.starts_with('#')).any(|line| anchor_of(line) == anchor);
                assert!(found, "{}: {link} names no heading", document.display());
            }
        }
    }
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
