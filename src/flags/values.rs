//! How the text behind a flag is read. An error is the end of clap's sentence "invalid value ... for ...: ".

use std::path::PathBuf;
use std::time::Duration;

use super::history::HistoryPlace;
use crate::limits::fixed::LEAST_MEMORY_BYTES;

/// A duration above zero: with none at all, a timer would be due again as soon as it has fired.
pub(super) fn duration(text: &str) -> Result<humantime::Duration, String> {
    match text.parse::<humantime::Duration>() {
        Ok(duration) if *duration >= Duration::from_millis(1) => Ok(duration),
        Ok(_) => Err("it must be at least 1ms".into()),
        Err(_) => Err("a duration looks like 500ms, 10s or 2m".into()),
    }
}

/// A directory that is there: a mistyped one is better found at the start than by a visitor.
pub(super) fn directory(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if path.is_dir() { Ok(path) } else { Err("there is no such directory".into()) }
}

/// Two words, and all else is a path: a file with such a name is `./memory`.
pub(super) fn history_place(text: &str) -> Result<HistoryPlace, String> {
    match text {
        "" => Err("the path is missing".into()),
        "memory" => Ok(HistoryPlace::Memory),
        "off" => Ok(HistoryPlace::Off),
        path => Ok(HistoryPlace::File(path.into())),
    }
}

pub(super) fn count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("it must be a whole number above 0".into()),
        Ok(count) => Ok(count),
    }
}

pub(super) fn memory(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(bytes) if bytes >= LEAST_MEMORY_BYTES => Ok(bytes),
        _ => Err(format!("it must be a whole number of bytes, at least {LEAST_MEMORY_BYTES}")),
    }
}

pub(super) fn count_or_none(text: &str) -> Result<usize, String> {
    text.parse().map_err(|_| "it must be a whole number".into())
}

pub(super) fn count_u64(text: &str) -> Result<u64, String> {
    count(text).map(|count| count as u64)
}

pub(super) fn count_u32(text: &str) -> Result<u32, String> {
    count(text)?.try_into().map_err(|_| "it must be a whole number below 4294967296".into())
}
