//! How the book is put together: summaries, chapters, translations.

use std::collections::BTreeSet;

use super::figures;
use super::page::{Page, pages, write};
use super::{is_to_overwrite, read, root};

const HEADINGS: [&str; 6] =
    ["What PHP does", "On the wire", "What breaks", "How roomd does it", "What it costs", "Exercise"];
const HEADINGS_ZH: [&str; 6] = ["PHP 怎么做", "线上的字节", "哪里会坏", "roomd 怎么做", "代价", "练习"];

fn name(page: &Page) -> &str {
    page.path.rsplit('/').next().unwrap_or_default()
}

/// `05-frames.md`: two digits and a hyphen.
fn is_chapter(page: &Page) -> bool {
    name(page).get(..3).is_some_and(|front| front[..2].parse::<u8>().is_ok() && front.ends_with('-'))
}

pub(super) fn chapter_headings() -> Vec<String> {
    let mut faults = Vec::new();
    for page in pages().iter().filter(|page| is_chapter(page)) {
        let expected = if page.is_translation() { HEADINGS_ZH } else { HEADINGS };
        let words = page.words();
        let headings: Vec<&str> = words.lines().filter_map(|line| line.strip_prefix("## ")).collect();
        if headings != expected {
            faults.push(format!("{}: {}", page.path, headings.join(" · ")));
        }
        let exercise = words.rsplit("\n## ").next().unwrap_or_default();
        if !(exercise.contains("<details>\n") && exercise.contains("</details>")) {
            faults.push(format!("{}: its exercise has no answer in <details>", page.path));
        }
    }
    faults
}

/// The pages that a summary links to, in order.
fn summary(path: &str) -> Vec<String> {
    let text = read(path);
    text.split("](").skip(1).filter_map(|rest| rest.split(')').next()).map(str::to_owned).collect()
}

/// That what they list exists, tests/docs.rs holds for all links.
pub(super) fn summaries() -> Vec<String> {
    let mut faults = Vec::new();
    let all = pages();
    for folder in ["docs", "docs/zh"] {
        let listed = summary(&format!("{folder}/SUMMARY.md"));
        let listed: BTreeSet<String> = listed.iter().map(|page| format!("{folder}/{page}")).collect();
        let here = |page: &&Page| {
            page.path.starts_with(&format!("{folder}/"))
                && page.is_translation() == (folder == "docs/zh")
                && name(page) != "SUMMARY.md"
        };
        for page in all.iter().filter(here).filter(|page| !listed.contains(&page.path)) {
            faults.push(format!("{}: {folder}/SUMMARY.md does not have it", page.path));
        }
    }
    // The same chapters, and of the other pages only some.
    let chapters = |path: &str| -> Vec<String> {
        summary(path).into_iter().filter(|page| page.starts_with(|letter: char| letter.is_ascii_digit())).collect()
    };
    if chapters("docs/SUMMARY.md") != chapters("docs/zh/SUMMARY.md") {
        faults.push("docs/zh/SUMMARY.md: its chapters are not those of docs/SUMMARY.md".into());
    }
    faults
}

/// What a page shows besides words, in order.
fn shown(page: &Page) -> Vec<String> {
    const CHECKED: [&str; 5] = ["rust", "php", "hex", "console", "http"];
    let mut shown = Vec::new();
    for block in page.blocks().iter().filter(|block| CHECKED.contains(&block.language)) {
        // The reason for which something is not checked is in the page's own language.
        let comment = block
            .comment()
            .map(|comment| comment.split(": ").next().filter(|word| word.starts_with("not ")).unwrap_or(comment));
        let content = match block.language {
            // So are the remarks beside bytes.
            "hex" => block
                .content
                .lines()
                .map(|line| line.split('#').next().unwrap_or_default().trim_end().to_owned() + "\n")
                .collect(),
            _ => block.content.to_owned(),
        };
        shown.push(format!("{} ({})\n{}", block.language, comment.unwrap_or("no comment"), content));
    }
    let words = page.words();
    shown.extend(figures::in_text(&words).into_iter().map(|(name, _)| format!("figure {name}")));
    for image in words.split("![").skip(1).filter_map(|rest| rest.split_once("](")?.1.split(')').next()) {
        shown.push(format!("image {}", image.rsplit('/').next().unwrap_or(image).replace(".zh.svg", ".svg")));
    }
    shown
}

pub(super) fn translations() -> Vec<String> {
    let all = pages();
    let mut faults = Vec::new();
    for page in all.iter().filter(|page| page.is_translation() && !["SUMMARY.md", "README.md"].contains(&name(page))) {
        let Some(original) = all.iter().find(|original| original.path == page.path.replace("docs/zh/", "docs/")) else {
            faults.push(format!("{}: there is no original", page.path));
            continue;
        };
        if is_to_overwrite() {
            take_over_sessions(original, page);
            continue;
        }
        let (here, there) = (shown(page), shown(original));
        let differing = here.iter().zip(&there).find(|(here, there)| here != there);
        match differing {
            Some((here, there)) => faults.push(format!("{}:\n{here}\nand the original has\n{there}", page.path)),
            None if here.len() != there.len() => {
                let (longer, whose) = if here.len() > there.len() { (&here, "the original") } else { (&there, "it") };
                faults.push(format!("{}: {whose} has no {}", page.path, longer[here.len().min(there.len())]));
            }
            None => {}
        }
    }
    faults
}

/// Sessions are gone through in the original only; a translation shows the same, block by block.
fn take_over_sessions(original: &Page, page: &Page) {
    let is_session = |language: &str| ["console", "http"].contains(&language);
    write(&page.path, |text| {
        let fresh = Page { path: page.path.clone(), text };
        let theirs: Vec<String> = original
            .blocks()
            .iter()
            .filter(|block| is_session(block.language))
            .map(|block| block.content.to_owned())
            .collect();
        let ours = fresh.blocks();
        let ours: Vec<_> = ours.iter().filter(|block| is_session(block.language)).collect();
        let mut text = fresh.text.clone();
        if ours.len() == theirs.len() {
            for (block, content) in ours.iter().zip(theirs).rev() {
                text.replace_range(block.range(), &content);
            }
        }
        text
    });
}

/// Rows of a table that begin with d01 to d20 name tests of tests/php_defects.rs.
pub(super) fn defect_tests() -> Vec<String> {
    let mut faults = Vec::new();
    let all = pages();
    let rows = all.iter().flat_map(|page| page.text.lines().map(move |line| (page, line)));
    for (page, row) in
        rows.filter(|(_, line)| line.starts_with("| d") || line.starts_with("| [d") || line.starts_with("| `d"))
    {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let row_name = cells[0].trim_matches(['`', '[', ']']).split(']').next().unwrap_or_default();
        let is_row = row_name.len() == 3 && row_name[1..].parse::<u8>().is_ok();
        if !is_row {
            continue;
        }
        let tests = std::fs::read_to_string(root().join("tests/php_defects.rs")).unwrap_or_default();
        let named: Vec<&str> = cells.last().unwrap().split('`').skip(1).step_by(2).collect();
        if named.is_empty() {
            faults.push(format!("{}: {row_name} names no test in its last cell", page.path));
        }
        for test in named.iter().filter(|test| !tests.contains(&format!("fn {test}("))) {
            faults.push(format!("{}: {row_name}: tests/php_defects.rs has no {test}", page.path));
        }
    }
    faults
}
