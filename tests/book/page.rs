//! Pages of Markdown, and the fenced blocks in them.

use std::fs;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use super::{is_to_overwrite, root};

/// A page and its text.
pub(super) struct Page {
    /// From the root: `docs/05-frames.md`.
    pub(super) path: String,
    pub(super) text: String,
}

/// A fenced block of a page.
pub(super) struct Block<'p> {
    /// Of its opening fence.
    pub(super) line: usize,
    /// The first word behind the fence; empty if there is none.
    pub(super) language: &'p str,
    /// What stands between the fences, its last newline included.
    pub(super) content: &'p str,
    comment: Option<&'p str>,
    range: Range<usize>,
}

impl<'p> Block<'p> {
    /// What the comment above the block says behind `name:`; empty if it is the name alone.
    pub(super) fn directive(&self, name: &str) -> Option<&'p str> {
        let rest = self.comment?.strip_prefix(name)?;
        if rest.is_empty() { Some("") } else { rest.strip_prefix(':').map(str::trim) }
    }

    /// Where its content stands in the page.
    pub(super) fn range(&self) -> Range<usize> {
        self.range.clone()
    }

    /// The whole comment above it.
    pub(super) fn comment(&self) -> Option<&'p str> {
        self.comment
    }
}

impl Page {
    fn new(path: String) -> Page {
        let text = super::read(&path);
        Page { path, text }
    }

    pub(super) fn is_translation(&self) -> bool {
        self.path.starts_with("docs/zh/")
    }

    /// A block's fences stand at the margin. Others, in a list for example, are a part of the text.
    pub(super) fn blocks(&self) -> Vec<Block<'_>> {
        let mut blocks = Vec::new();
        let mut comment = None;
        let mut open: Option<(usize, &str, usize)> = None;
        let mut at = 0;
        for (index, line) in self.text.split_inclusive('\n').enumerate() {
            let end = at + line.len();
            let trimmed = line.trim_end();
            match (open, trimmed.strip_prefix("```")) {
                (None, Some(info)) => {
                    open = Some((index + 1, info.split([' ', ',']).next().unwrap_or_default(), end));
                }
                (Some((line, language, start)), Some("")) => {
                    let content = &self.text[start..at];
                    blocks.push(Block { line, language, content, comment: comment.take(), range: start..at });
                    open = None;
                }
                (None, None) => {
                    comment = trimmed.strip_prefix("<!--").and_then(|rest| rest.strip_suffix("-->")).map(str::trim);
                }
                (Some(_), _) => {}
            }
            at = end;
        }
        blocks
    }

    /// The page with its blocks empty: what is left are words.
    pub(super) fn words(&self) -> String {
        let mut words = self.text.clone();
        for block in self.blocks().iter().rev() {
            words.replace_range(block.range.clone(), "");
        }
        words
    }
}

/// What became of one block.
pub(super) enum Checked {
    Fine,
    /// It should be this.
    Stale {
        content: String,
        how: String,
    },
    /// Nobody can write it.
    Fault(String),
}

impl Checked {
    /// The block against what it must be, if that is known.
    pub(super) fn against(block: &Block<'_>, expected: Result<String, String>) -> Checked {
        match expected {
            Ok(content) if content == block.content => Checked::Fine,
            Ok(content) => Checked::Stale { how: difference(block.content, &content), content },
            Err(fault) => Checked::Fault(fault),
        }
    }
}

/// The first line in which two texts differ.
pub(super) fn difference(shown: &str, actual: &str) -> String {
    let mut both = shown.lines().map(Some).chain([None]).zip(actual.lines().map(Some).chain([None]));
    match both.find(|(shown, actual)| shown != actual) {
        Some((shown, actual)) => {
            format!(
                "the page has\n      {}\n    and it is\n      {}",
                shown.unwrap_or("(nothing)"),
                actual.unwrap_or("(nothing)")
            )
        }
        None => "they differ in their last line".into(),
    }
}

/// All documents: those of docs/, and the two at the root that show something.
pub(super) fn pages() -> Vec<Page> {
    let mut paths = vec!["CONTRIBUTING.md".to_owned(), "README.md".to_owned()];
    let mut folders = vec!["docs".to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root().join(&folder)).unwrap().map(Result::unwrap) {
            let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
            match entry.file_type().unwrap().is_dir() {
                true => folders.push(path),
                false if path.ends_with(".md") => paths.push(path),
                false => {}
            }
        }
    }
    paths.sort();
    paths.into_iter().map(Page::new).collect()
}

/// One test at a time: they write the same files.
static WRITING: Mutex<()> = Mutex::new(());

/// Checks every block of the pages. What is stale is written anew if that is wanted, and is a fault if not.
pub(super) fn rewrite(pages: &[Page], mut check: impl FnMut(&Page, &Block<'_>) -> Checked) -> Vec<String> {
    let mut faults = Vec::new();
    for page in pages {
        let mut stale = Vec::new();
        for block in page.blocks() {
            let at = format!("{}:{}:", page.path, block.line);
            match check(page, &block) {
                Checked::Fine => {}
                Checked::Stale { content, .. } if is_to_overwrite() => {
                    stale.push((block.content.to_owned(), content, block.comment))
                }
                Checked::Stale { how, .. } => faults.push(format!("{at} {how}")),
                Checked::Fault(fault) => faults.push(format!("{at} {fault}")),
            }
        }
        if !stale.is_empty() {
            let _turn = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
            // Read again: another test may have written another block since.
            let mut page = Page::new(page.path.clone());
            for (before, after, comment) in stale {
                let range = page
                    .blocks()
                    .iter()
                    .find(|block| block.content == before && block.comment == comment)
                    .map(|block| block.range.clone());
                page.text.replace_range(range.expect("nobody else writes this block"), &after);
            }
            fs::write(root().join(&page.path), &page.text).unwrap();
        }
    }
    faults
}

/// Rewrites the words of one file.
pub(super) fn write(path: &str, change: impl FnOnce(String) -> String) {
    let _turn = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    let file = root().join(path);
    fs::write(&file, change(fs::read_to_string(&file).unwrap_or_default())).unwrap();
}
