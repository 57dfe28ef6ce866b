//! `RUST_LOG`: how much is logged. The logger takes every word that it does not know for the name of a program, and is silent
//! then; here such a word is told, and what is left counts.

use std::ffi::OsStr;
use std::str::FromStr as _;

use log::LevelFilter;

/// What is logged when nothing that makes sense is asked for.
const DEFAULT: &str = "info";

/// The parts of roomd that log: its modules, and `wire` for the frames.
const PARTS: &[&str] = &["clock", "event_loop", "history", "hub", "log_buffer", "wire"];

/// What to log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFilter {
    directives: String,
    faults: Vec<String>,
}

impl LogFilter {
    /// Reads the value of `RUST_LOG`. One that is empty is as none at all.
    #[must_use]
    pub fn read(value: Option<&OsStr>) -> LogFilter {
        let text = value.unwrap_or_default().to_string_lossy();
        // Behind a slash stands a text that lines must have.
        let (list, wanted) = text.split_at(text.find('/').unwrap_or(text.len()));
        let given = list.split(',').map(str::trim).filter(|directive| !directive.is_empty());
        let (good, bad): (Vec<&str>, Vec<&str>) = given.partition(|directive| is_directive(directive));
        let directives = if good.is_empty() { DEFAULT.into() } else { good.join(",") };
        let fault = |directive: &&str| {
            format!(
                "RUST_LOG: {directive:?} names no level and no part of roomd, and does not count; levels are off, error, \
                 warn, info, debug and trace"
            )
        };
        LogFilter { directives: directives + wanted, faults: bad.iter().map(fault).collect() }
    }

    /// In the form in which the logger takes them.
    #[must_use]
    pub fn directives(&self) -> &str {
        &self.directives
    }

    /// What does not count, in a sentence for each.
    #[must_use]
    pub fn faults(&self) -> &[String] {
        &self.faults
    }
}

/// `info`, `roomd::hub` or `roomd::hub=info`.
fn is_directive(text: &str) -> bool {
    match text.split_once('=') {
        Some((target, level)) => is_target(target.trim()) && is_level(level.trim()),
        None => is_level(text) || is_target(text),
    }
}

fn is_level(text: &str) -> bool {
    LevelFilter::from_str(text).is_ok()
}

/// What is logged under `mio` is not known here.
fn is_target(text: &str) -> bool {
    let mut words = text.split("::");
    match (words.next(), words.next()) {
        (Some("roomd"), part) => part.is_none_or(|part| PARTS.contains(&part)),
        (krate, _) => krate == Some("mio"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (String, usize) {
        let filter = LogFilter::read(Some(OsStr::new(text)));
        (filter.directives().to_owned(), filter.faults().len())
    }

    #[test]
    fn what_makes_sense_is_left_as_it_is() {
        for text in [
            "info",
            "DEBUG",
            "off",
            "info,roomd::hub=warn",
            "info,roomd::wire=trace",
            "roomd",
            "roomd::hub",
            "warn,mio=trace",
            "debug/GET",
        ] {
            assert_eq!(read(text), (text.to_owned(), 0));
        }
        assert_eq!(read(" warn , roomd=debug "), ("warn,roomd=debug".into(), 0));
    }

    #[test]
    fn nothing_is_as_none_at_all() {
        for text in ["", " ", ",", ", ,"] {
            assert_eq!(read(text), ("info".into(), 0), "{text:?}");
        }
        assert_eq!(LogFilter::read(None).directives(), "info");
    }

    #[test]
    fn what_names_no_level_is_told_and_the_rest_counts() {
        for (text, directives, faults) in [
            ("inof", "info", 1),
            ("roomd=debugg", "info", 1),
            ("roomd=", "info", 1),
            ("=debug", "info", 1),
            ("romd=debug", "info", 1),
            ("roomd::hbu=debug", "info", 1),
            ("warn,roomd::", "warn", 1),
            ("hyper=debug,tokio=info", "info", 2),
            ("wran,roomd::wire=trace", "roomd::wire=trace", 1),
            ("warn,roomd::hub=verbose", "warn", 1),
            ("info debug", "info", 1),
            ("inof/GET", "info/GET", 1),
        ] {
            assert_eq!(read(text), (directives.into(), faults), "{text}");
        }
        let fault = LogFilter::read(Some(OsStr::new("in\u{1b}of"))).faults().concat();
        assert!(fault.starts_with("RUST_LOG: \"in\\u{1b}of\" names no level and no part of roomd"), "{fault}");
    }

    /// Of a part that is missing in the list, an operator would be told that there is none.
    #[test]
    fn the_parts_are_the_modules_that_log() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut folders = vec![root.clone()];
        let mut parts: Vec<String> = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let source = std::fs::read_to_string(&path).unwrap();
                // In history/, where a module is called `log`, the crate is `::log`.
                if source.contains("use log::") || source.contains("use ::log::") {
                    let part = path.strip_prefix(&root).unwrap().iter().next().unwrap().to_string_lossy();
                    parts.push(part.trim_end_matches(".rs").to_owned());
                }
            }
        }
        // The program itself is "roomd", and these two only say how.
        parts.retain(|part| !["main", "log_filter", "log_line"].contains(&part.as_str()));
        parts.push("wire".to_owned());
        parts.sort();
        parts.dedup();
        assert_eq!(parts, PARTS);
    }
}
