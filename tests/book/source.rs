//! Regions of a source, found by the name of an item: the sources have no markers.

use std::ops::RangeInclusive;

use super::root;
use super::rust_source::RustSource;

/// The text of a region: `FILE ITEM [from "TEXT" [to "TEXT"]] [with docs]`.
pub(super) fn region(named: &str) -> Result<String, String> {
    let (path, rest) = named.split_once(' ').ok_or("a source needs a file and an item")?;
    let text = std::fs::read_to_string(root().join(path)).map_err(|error| format!("{path}: {error}"))?;
    let wanted = Wanted::parse(rest)?;
    let lines: Vec<&str> = text.lines().collect();
    let found = match path.strip_suffix(".rs") {
        Some(_) => {
            let items = RustSource::new(path, &text).items_named(wanted.item).into_iter();
            items.map(|numbers| numbers.start() - 1..=numbers.end() - 1).collect()
        }
        None => php_items(&lines, wanted.item)?,
    };
    let mut range = match found.as_slice() {
        [] => return Err(format!("{path} has no {}", wanted.item)),
        [range] => range.clone(),
        several => {
            let places: Vec<String> = several.iter().map(|range| (range.start() + 1).to_string()).collect();
            return Err(format!("{path} has more than one {}: lines {}", wanted.item, places.join(", ")));
        }
    };
    if let Some((from, to)) = wanted.part {
        range = part(&lines, range, &from, to.as_deref())?;
    } else {
        range = with_what_stands_above(&lines, range, wanted.docs);
    }
    let indentation = indentation_of(lines[*range.start()]);
    let dedented = lines[range].iter().map(|line| line.get(indentation..).unwrap_or_default().to_owned() + "\n");
    Ok(dedented.collect())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Docs {
    Shown,
    Left,
}

struct Wanted<'n> {
    item: &'n str,
    /// From the line that begins so, to the line that begins so.
    part: Option<(String, Option<String>)>,
    docs: Docs,
}

impl<'n> Wanted<'n> {
    fn parse(named: &'n str) -> Result<Wanted<'n>, String> {
        let (named, docs) = match named.strip_suffix(" with docs") {
            Some(rest) => (rest, Docs::Shown),
            None => (named, Docs::Left),
        };
        let Some((item, texts)) = named.split_once(" from ") else {
            return Ok(Wanted { item: named.trim(), part: None, docs });
        };
        let quoted = |text: &str| {
            serde_json::from_str::<String>(text.trim()).map_err(|_| format!("{text} is no text in quotes"))
        };
        let (from, to) = match texts.split_once("\" to ") {
            Some((from, to)) => (quoted(&format!("{from}\""))?, Some(quoted(to)?)),
            None => (quoted(texts)?, None),
        };
        Ok(Wanted { item: item.trim(), part: Some((from, to)), docs })
    }
}

fn indentation_of(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// Every class or function of that name in PHP, which ends with the brace as far in as it begins.
fn php_items(lines: &[&str], item: &str) -> Result<Vec<RangeInclusive<usize>>, String> {
    let (class, function) = (format!("class {item}"), format!("function {item}("));
    let starts = (0..lines.len()).filter(|&at| lines[at].ends_with(&class) || lines[at].contains(&function));
    let ended = starts.map(|start| {
        let end = format!("{:indentation$}}}", "", indentation = indentation_of(lines[start]));
        let end = (start + 1..lines.len()).find(|&at| lines[at].trim_end() == end);
        end.map(|end| start..=end).ok_or_else(|| format!("line {}: the end of the item is not to be seen", start + 1))
    });
    ended.collect()
}

/// Attributes belong to an item; what is said about it may.
fn with_what_stands_above(lines: &[&str], range: RangeInclusive<usize>, docs: Docs) -> RangeInclusive<usize> {
    let mut start = *range.start();
    while let Some(above) = start.checked_sub(1) {
        let line = lines[above].trim_start();
        let is_doc = ["///", "/**", " *"].iter().any(|begin| line.starts_with(begin));
        if !(line.starts_with("#[") || docs == Docs::Shown && is_doc) {
            break;
        }
        start = above;
    }
    start..=*range.end()
}

/// A part of an item.
fn part(
    lines: &[&str],
    item: RangeInclusive<usize>,
    from: &str,
    to: Option<&str>,
) -> Result<RangeInclusive<usize>, String> {
    let mut within = item.clone();
    let start =
        within.find(|&at| lines[at].trim_start().starts_with(from)).ok_or(format!("no line begins with {from:?}"))?;
    let Some(to) = to else { return Ok(start..=start) };
    let depth = indentation_of(lines[start]);
    let is_end = |at: &usize| indentation_of(lines[*at]) <= depth && lines[*at].trim_start().starts_with(to);
    let end = (start + 1..=*item.end())
        .find(is_end)
        .ok_or(format!("behind it no line begins with {to:?}, as far out as the first"))?;
    Ok(start..=end)
}

/// What the regions rely on.
mod tests {
    use super::region;

    #[test]
    fn a_region_is_found_by_its_name_and_ends_with_its_item() {
        let header = region("src/websocket/frame.rs FrameHeader::parse_from").unwrap();
        assert!(header.contains("pub fn parse_from(") && header.ends_with("key_at + 4)))\n}\n"), "{header}");
        let constant = region("src/websocket/frame.rs MAX_HEADER_BYTES with docs").unwrap();
        assert_eq!(constant.lines().count(), 2, "{constant}");
        let part = region("src/websocket/frame.rs payload_len_from from \"126 =>\" to \"}\"").unwrap();
        assert!(part.starts_with("126 => {\n    let Some") && part.ends_with(", 4, 126)\n}\n"), "{part}");
        let table = region("src/connection/life.rs TRANSITIONS").unwrap();
        assert!(table.ends_with("    ]\n};\n"), "{table}");
        let block = region("src/websocket/close.rs impl fmt::Display for CloseCode").unwrap();
        assert_eq!(block.lines().count(), 5, "{block}");
    }

    #[test]
    fn what_is_not_there_or_there_twice_is_a_fault() {
        for wrong in [
            "src/nowhere.rs x",
            "src/lib.rs nothing",
            "src/websocket/frame.rs FrameHeader::parse_from from \"nowhere\"",
            "src/lib.rs",
        ] {
            assert!(region(wrong).is_err(), "{wrong}");
        }
    }
}
