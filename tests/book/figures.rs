//! Numbers that were measured: each has its home in docs/figures.jsonl, and that has it from the raw results.

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Value, json};

use super::page::{pages, write};
use super::{is_to_overwrite, read, root};

const TABLE: &str = "docs/figures.jsonl";
const BEGIN: &str = "<!-- f:";
const END: &str = "<!-- /f -->";

/// What cannot be known without having been measured. In "What it costs" none of them follows a bare number.
const UNITS: &[&str] = &[
    "ns",
    "µs",
    "us",
    "ms",
    "s",
    "nanosecond",
    "microsecond",
    "millisecond",
    "second",
    "instruction",
    "CPU",
    "times",
    "MiB",
    "GiB",
    "纳秒",
    "微秒",
    "毫秒",
    "秒",
    "条指令",
    "倍",
];

struct Figure {
    name: String,
    row: Value,
}

impl Figure {
    fn value(&self) -> &str {
        self.row["value"].as_str().unwrap_or_default()
    }

    /// As it follows from the results; `None` if it was taken over by hand.
    fn measured(&self) -> Result<Option<String>, String> {
        let data = &self.row["data"];
        let (Some(file), Some(field)) = (data["file"].as_str(), data["field"].as_str()) else {
            let command = self.row["command"].as_str().is_some_and(|command| !command.is_empty());
            return if command { Ok(None) } else { Err("neither data nor a command".into()) };
        };
        let text = fs::read_to_string(root().join(file)).map_err(|error| format!("{file}: {error}"))?;
        let number = match data["server"].as_str() {
            Some(server) => newest_median(&text, server, field),
            None => text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(' ')?.trim().parse().ok()),
        };
        let number = number.ok_or(format!("{file} has no {field}"))?;
        let decimals = self.row["decimals"].as_u64().unwrap_or(0) as usize;
        Ok(Some(with_commas(&format!("{number:.decimals$}"))))
    }
}

/// The median over the rounds of the newest session.
fn newest_median(text: &str, server: &str, field: &str) -> Option<f64> {
    let rows: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let mut sessions: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for row in rows.iter().filter(|row| row["server"] == server) {
        let number = row["result"][field].as_f64().or(row[field].as_f64());
        sessions.entry(row["session"].as_str()?.to_owned()).or_default().extend(number);
    }
    let mut numbers = sessions.into_values().next_back()?;
    numbers.sort_by(f64::total_cmp);
    let middle = numbers.len().checked_sub(1)? / 2;
    Some((numbers[middle] + numbers[numbers.len() / 2]) / 2.0)
}

fn with_commas(number: &str) -> String {
    let (whole, rest) = number.split_at(number.find('.').unwrap_or(number.len()));
    let mut grouped = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + rest
}

fn table() -> Vec<Figure> {
    let row =
        |line: &str| -> Value { serde_json::from_str(line).unwrap_or_else(|error| panic!("{TABLE}: {error}: {line}")) };
    let figure = |row: Value| Figure { name: row["name"].as_str().expect("a figure has a name").to_owned(), row };
    read(TABLE).lines().filter(|line| !line.is_empty()).map(row).map(figure).collect()
}

/// The table, against the results.
pub(super) fn check_table() -> Vec<String> {
    let mut faults = Vec::new();
    let figures = table();
    for figure in &figures {
        match figure.measured() {
            Ok(Some(value)) if value != figure.value() && is_to_overwrite() => {
                // Only the value: the row's own order of fields stays.
                let (before, after) = (json!(figure.value()), json!(value));
                let name = format!("\"name\":{}", json!(figure.name));
                let of = |line: &str| match line.contains(&name) {
                    true => line.replacen(&format!("\"value\":{before}"), &format!("\"value\":{after}"), 1),
                    false => line.to_owned(),
                };
                write(TABLE, |text| text.split_inclusive('\n').map(of).collect());
            }
            Ok(Some(value)) if value != figure.value() => {
                faults.push(format!("{TABLE}: {} is {}, measured {value}", figure.name, figure.value()));
            }
            Ok(_) if !figure.row["unit"].is_string() => faults.push(format!("{TABLE}: {} has no unit", figure.name)),
            Ok(_) if figure.value().is_empty() => faults.push(format!("{TABLE}: {} has no value", figure.name)),
            Ok(_) => {}
            Err(fault) => faults.push(format!("{TABLE}: {}: {fault}", figure.name)),
        }
    }
    let mut names: Vec<&str> = figures.iter().map(|figure| figure.name.as_str()).collect();
    names.sort_unstable();
    for pair in names.windows(2).filter(|pair| pair[0] == pair[1]) {
        faults.push(format!("{TABLE}: {} stands there twice", pair[0]));
    }
    faults
}

/// Where figures stand in a text: the name, and the range of what is shown.
pub(super) fn in_text(text: &str) -> Vec<(&str, std::ops::Range<usize>)> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices(BEGIN) {
        let Some(name_len) = text[at + BEGIN.len()..].find(" -->") else { continue };
        let start = at + BEGIN.len() + name_len + " -->".len();
        let len = text[start..].find(END).unwrap_or(0);
        found.push((&text[at + BEGIN.len()..at + BEGIN.len() + name_len], start..start + len));
    }
    found
}

/// The pages, against the table.
pub(super) fn check_pages() -> Vec<String> {
    let figures = table();
    let mut faults = Vec::new();
    for page in pages() {
        let mut stale = false;
        for (name, range) in in_text(&page.text) {
            match figures.iter().find(|figure| figure.name == name) {
                None => faults.push(format!("{}: {TABLE} has no {name}", page.path)),
                Some(figure) if page.text[range.clone()] == *figure.value() => {}
                Some(_) if is_to_overwrite() => stale = true,
                Some(figure) => {
                    faults.push(format!("{}: {name} is {}, not {}", page.path, figure.value(), &page.text[range]));
                }
            }
        }
        if stale {
            write(&page.path, |mut text| {
                for (name, range) in in_text(&text.clone()).into_iter().rev() {
                    if let Some(figure) = figures.iter().find(|figure| figure.name == name) {
                        text.replace_range(range, figure.value());
                    }
                }
                text
            });
        }
        faults.extend(bare_numbers(&page.words()).into_iter().map(|number| {
            format!(
                "{}: {number:?} in \"What it costs\": was it measured? then between {BEGIN}NAME --> and {END}",
                page.path
            )
        }));
    }
    faults
}

/// Numbers with a unit of [`UNITS`] behind them, in the section about costs, outside of figures.
fn bare_numbers(words: &str) -> Vec<String> {
    let is_costs = |section: &&str| ["What it costs\n", "代价\n"].iter().any(|title| section.starts_with(title));
    let Some(section) = words.split("\n## ").find(is_costs) else { return Vec::new() };
    let mut plain = String::from(section);
    for (_, range) in in_text(section).into_iter().rev() {
        plain.replace_range(range, "");
    }
    let letters: Vec<&str> = plain.split_whitespace().collect();
    let is_number = |word: &str| word.ends_with(|letter: char| letter.is_ascii_digit());
    let mut found = Vec::new();
    for (at, word) in letters.iter().enumerate() {
        let digits = word
            .trim_start_matches(['(', '~'])
            .trim_start_matches(|letter: char| letter.is_ascii_digit() || ".,".contains(letter));
        let behind = match () {
            () if is_number(word) => letters.get(at + 1).copied().unwrap_or_default(),
            () if word.starts_with(|letter: char| letter.is_ascii_digit()) => digits,
            () => continue,
        };
        let unit = behind.trim_end_matches(['.', ',', ';', ':', ')']);
        let singular = unit.strip_suffix('s').unwrap_or(unit);
        if !unit.is_empty()
            && UNITS
                .iter()
                .any(|known| *known == unit || *known == singular || (!known.is_ascii() && unit.starts_with(known)))
        {
            found.push(format!("{word} {behind}"));
        }
    }
    found
}

/// What the pages rely on.
mod tests {
    use super::{bare_numbers, json, newest_median, with_commas};

    #[test]
    fn a_measured_number_without_a_home_is_found() {
        let page = "\n## What it costs\nIt takes 12 microseconds, or <!-- f:x -->15<!-- /f --> µs. A header is 14 bytes.\n\
                    ## Exercise\n3 s\n";
        assert_eq!(bare_numbers(page), ["12 microseconds,"]);
    }

    #[test]
    fn the_newest_session_counts_and_its_median() {
        let row =
            |session, server, f| format!("{}\n", json!({"session": session, "server": server, "result": {"f": f}}));
        let rows = [row("1", "a", 9), row("2", "a", 1), row("2", "a", 2), row("2", "b", 7)].concat();
        assert_eq!(newest_median(&rows, "a", "f"), Some(1.5));
        assert_eq!(with_commas("44573.1"), "44,573.1");
    }
}
