//! The mark `FILE-end` shows whether the file is as the last daemon has left it. The file alone cannot: one that has lost
//! its end looks like one that never had it.
//!
//! - At work the daemon writes to the mark, after each batch, which file it is, when that was changed last (`ctime`), how
//!   far the write-ahead log has come, and the id of this boot of the system. After a `kill -9` the log must reach at
//!   least as far, because the system still has all that was written. After a loss of power the boot is another one, and
//!   nothing is certain.
//! - At an orderly end the daemon writes the mark a last time, and then, into the file, when it has written that mark
//!   (`ctime` again). Only the system can set that time. So neither a copy of the two nor an older file or mark in its
//!   place fits. Anything that other programs write to the file after that is no matter.
//!
//! If anything of the mark is missing or does not fit, the file counts as changed. A wrong no costs some clients a reset. A
//! wrong yes would cost them messages that they never see. A daemon takes the mark away before it writes, so an old
//! mark never stands beside newer messages.

use std::fs::{self, File, Metadata, OpenOptions};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::counters;
use super::log_end::LogEnd;

/// The size of a mark. It is fixed, so that one call overwrites the last mark in place.
const MARK_BYTES: usize = 256;

/// The id of this boot: a random number that Linux makes when it starts.
const BOOT: &str = "/proc/sys/kernel/random/boot_id";

/// When the mark was written at an orderly end: microseconds since 1970.
const COUNTER: &str = "end_mark";

/// See the module.
#[derive(Debug)]
pub(super) struct EndMark {
    /// The file that is open. Another file may lie at its path by now.
    file: Seen,
    /// None if it cannot be written. Then the next daemon begins a new epoch.
    mark: Option<File>,
    boot: Option<String>,
}

/// What a daemon was doing when it wrote its mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// It writes to the write-ahead log only.
    Logging,
    /// It checkpoints the log into the file, which changes the time of the file.
    Folding,
    /// It has ended in order.
    Ended,
}

impl Phase {
    const ALL: [Phase; 3] = [Phase::Logging, Phase::Folding, Phase::Ended];

    fn word(self) -> &'static str {
        match self {
            Phase::Logging => "logging",
            Phase::Folding => "folding",
            Phase::Ended => "ended",
        }
    }
}

/// The content of a mark, written as one line of words.
#[derive(Debug, PartialEq, Eq)]
struct Note {
    phase: Phase,
    file: Seen,
    /// The end of the log, if some of it is not in the file yet.
    log: Option<LogEnd>,
    boot: Option<String>,
}

/// A file, and the time of its last change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    inode: u64,
    /// Stands for the time at which it was made, for the number of a deleted file is given to another one.
    born: u64,
    changed: (i64, i64),
}

/// What the mark of the last daemon says of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Left {
    /// It is not what the last daemon has left.
    Otherwise,
    /// The last daemon was killed, and everything that it has written is there.
    Killed,
    /// The last daemon has ended in order, if the file has this number for the time of the mark.
    Ended(u64),
}

impl Left {
    /// Whether the file that is open is as the last daemon has left it.
    pub(super) fn is_continued(self, connection: &Connection) -> rusqlite::Result<bool> {
        Ok(match self {
            Left::Otherwise => false,
            Left::Killed => true,
            Left::Ended(written_us) => counters::read(connection, COUNTER)? == Some(written_us),
        })
    }
}

impl EndMark {
    /// How the last daemon has left the database at `path`. Must be called before anything is written.
    pub(super) fn read(path: &Path) -> Left {
        read(path).unwrap_or(Left::Otherwise)
    }

    /// Removes the mark of the last daemon. It is gone from the disk when this returns, so a loss of power does not bring
    /// it back.
    ///
    /// # Errors
    /// If it can be neither overwritten nor removed: it would be wrong once this daemon writes.
    pub(super) fn take(path: &Path) -> io::Result<EndMark> {
        let mark_path = mark_path(path);
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(&mark_path);
        let mark = opened.and_then(|mark| wait_for_disk(&mark).map(|()| mark)).ok();
        if mark.is_none() {
            match fs::remove_file(&mark_path) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            if let Some(folder) = mark_path.parent() {
                File::open(folder).and_then(|folder| wait_for_disk(&folder))?;
            }
        }
        let boot = fs::read_to_string(BOOT).ok().map(|boot| boot.trim().to_owned());
        Ok(EndMark { file: Seen::at(path)?, mark, boot })
    }

    /// Writes the mark. The file was changed last at that time; `log` is the end of the log, if some of it is not in the file.
    pub(super) fn note(&mut self, phase: Phase, changed: (i64, i64), log: Option<LogEnd>) {
        self.file.changed = changed;
        let note = Note { phase, file: self.file, log, boot: self.boot.clone() };
        if let Some(mark) = &self.mark {
            // If this fails, the last mark stands, and the log reaches further than it says.
            let _ = mark.write_all_at(&note.to_bytes(), 0);
        }
    }

    /// An orderly end: writes the mark a last time, and when that was into the file. Returns whether the next daemon can go
    /// on from here, once what is in the file and its log is on the disk.
    pub(super) fn end(&mut self, connection: &Connection) -> bool {
        self.note(Phase::Ended, self.file.changed, None);
        let Some(mark) = self.mark.as_ref().filter(|mark| wait_for_disk(mark).is_ok()) else { return false };
        let written = mark.metadata().map(|metadata| written_us(&metadata));
        written.is_ok_and(|written_us| counters::write(connection, COUNTER, written_us).is_ok())
    }

    /// For tests: these files are copies of others, and the mark is made to fit them as it has fitted those.
    #[cfg(test)]
    pub(super) fn adopt(path: &Path) {
        let mut note = Note::from_bytes(&fs::read(mark_path(path)).unwrap()).unwrap();
        note.file = Seen::at(path).unwrap();
        if let Some(log) = &mut note.log {
            log.inode = fs::metadata(super::log_end::log_path(path)).unwrap().ino();
        }
        fs::write(mark_path(path), note.to_bytes()).unwrap();
    }
}

fn read(path: &Path) -> Option<Left> {
    let bytes = fs::read(mark_path(path)).ok()?;
    let note = Note::from_bytes(&bytes)?;
    let file = Seen::at(path).ok()?;
    if (file.inode, file.born) != (note.file.inode, note.file.born) {
        return None;
    }
    if note.phase == Phase::Ended {
        return Some(Left::Ended(written_us(&fs::metadata(mark_path(path)).ok()?)));
    }
    let boot = fs::read_to_string(BOOT).ok()?;
    let is_same_boot = note.boot.as_deref() == Some(boot.trim());
    let is_unchanged = file == note.file || note.phase == Phase::Folding;
    let has_all = match note.log {
        None => note.phase == Phase::Logging,
        Some(log) => LogEnd::of(path).is_some_and(|found| found.reaches(log)),
    };
    (is_same_boot && is_unchanged && has_all).then_some(Left::Killed)
}

/// When a file was changed last: microseconds since 1970.
fn written_us(metadata: &Metadata) -> u64 {
    let us = metadata.ctime().saturating_mul(1_000_000).saturating_add(metadata.ctime_nsec() / 1_000);
    u64::try_from(us).unwrap_or_default()
}

/// Waits until everything written is on the disk. Tests of the library cannot see the difference and open a thousand files,
/// so they do not wait.
fn wait_for_disk(file: &File) -> io::Result<()> {
    if cfg!(test) { Ok(()) } else { file.sync_all() }
}

/// Where the mark of the database at `path` is.
pub(super) fn mark_path(path: &Path) -> PathBuf {
    let mut mark = path.as_os_str().to_owned();
    mark.push("-end");
    mark.into()
}

impl Seen {
    fn at(path: &Path) -> io::Result<Seen> {
        let metadata = fs::metadata(path)?;
        // Not every file system knows when a file was made.
        let mut born = DefaultHasher::new();
        metadata.created().ok().hash(&mut born);
        Ok(Seen { inode: metadata.ino(), born: born.finish(), changed: (metadata.ctime(), metadata.ctime_nsec()) })
    }
}

impl Note {
    fn to_bytes(&self) -> Vec<u8> {
        let Note { phase, file: Seen { inode, born, changed: (seconds, nanos) }, log, boot } = self;
        let log = log.map_or_else(|| "- - - -".to_owned(), |log| log.to_string());
        let boot = boot.as_deref().unwrap_or("-");
        let mut line = format!("roomd 2 {} {inode} {born} {seconds} {nanos} {log} {boot} .", phase.word()).into_bytes();
        line.resize(MARK_BYTES - 1, b' ');
        line.push(b'\n');
        line
    }

    /// None if it is not exactly what a daemon writes.
    fn from_bytes(bytes: &[u8]) -> Option<Note> {
        let words: Vec<&str> = std::str::from_utf8(bytes).ok()?.split_ascii_whitespace().collect();
        let ["roomd", "2", phase, inode, born, seconds, nanos, log @ .., boot, "."] = &words[..] else { return None };
        let note = Note {
            phase: Phase::ALL.into_iter().find(|known| known.word() == *phase)?,
            file: Seen {
                inode: inode.parse().ok()?,
                born: born.parse().ok()?,
                changed: (seconds.parse().ok()?, nanos.parse().ok()?),
            },
            log: if *log == ["-"; 4] { None } else { Some(LogEnd::from_words(log)?) },
            boot: Some((*boot).to_owned()).filter(|boot| boot != "-"),
        };
        (note.to_bytes() == bytes).then_some(note)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_as_it_was_written_and_not_if_anything_of_it_is_missing() {
        let file = Seen { inode: u64::MAX, born: u64::MAX, changed: (1_795_366_850, 999_999_999) };
        let log = LogEnd { inode: 7, salts: [u32::MAX, 0], frames: 1 << 40 };
        let boot = Some("5e2f1c1e-9d0b-4a63-8f0e-1c6f3e8a7b21".to_owned());
        for phase in Phase::ALL {
            for (log, boot) in [(Some(log), boot.clone()), (None, boot.clone()), (None, None)] {
                let note = Note { phase, file, log, boot };
                let bytes = note.to_bytes();
                assert_eq!(Note::from_bytes(&bytes), Some(note));
                for len in 0..bytes.len() {
                    assert_eq!(Note::from_bytes(&bytes[..len]), None, "{len}");
                }
            }
        }
        for nonsense in [&b""[..], b"\xff", &[b' '; MARK_BYTES], b"roomd 1 ended 1 1 1 - - - - - ."] {
            assert_eq!(Note::from_bytes(nonsense), None);
        }
    }
}
