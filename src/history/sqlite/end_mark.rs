//! The mark `FILE-end` shows whether the file is as the last daemon has left it. The file alone cannot: one that has lost
//! its end looks like one that never had it.
//!
//! - At an orderly end the daemon checkpoints everything into the file, and writes to the mark which file that is and when
//!   it was changed last (`ctime`). Only the system can set that time. So neither a copy nor an older file in its place
//!   fits the mark.
//! - At work the daemon writes to the mark, after each batch, how far the write-ahead log has come and the id of this boot
//!   of the system. After a `kill -9` the log must reach at least as far, because the system still has all that was
//!   written. After a loss of power the boot is another one, and nothing is certain.
//!
//! If anything of the mark is missing or does not fit, the file counts as changed. A wrong no costs some clients a reset. A
//! wrong yes would cost them messages that they never see. A daemon takes the mark away before it writes, so an old
//! mark never stands beside newer messages.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::log_end::{LogEnd, log_path};

/// The size of a mark. It is fixed, so that one call overwrites the last mark in place.
const MARK_BYTES: usize = 256;

/// The id of this boot: a random number that Linux makes when it starts.
const BOOT: &str = "/proc/sys/kernel/random/boot_id";

/// See the module. It is dropped after the connection, when nothing is written any more.
#[derive(Debug)]
pub(super) struct EndMark {
    path: Box<Path>,
    /// Of the file that is open. Another file may lie at the path by now.
    inode: u64,
    /// None if it cannot be written. Then the next daemon begins a new epoch.
    mark: Option<File>,
    boot: Option<String>,
    is_in_order: bool,
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
    changed: (i64, i64),
}

impl EndMark {
    /// Whether the database at `path` is as the last daemon has left it. Must be called before anything is written.
    pub(super) fn is_as_left(path: &Path) -> bool {
        is_as_left(path).unwrap_or(false)
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
        Ok(EndMark { path: path.into(), inode: Seen::at(path)?.inode, mark, boot, is_in_order: false })
    }

    /// Writes the mark. `log` is the end of the log, if some of it is not in the file.
    pub(super) fn note(&mut self, phase: Phase, log: Option<LogEnd>) {
        let Some(file) = Seen::at(&self.path).ok().filter(|file| file.inode == self.inode) else { return };
        let note = Note { phase, file, log, boot: self.boot.clone() };
        if let Some(mark) = &self.mark {
            // If this fails, the last mark stands, and the log reaches further than it says.
            let _ = mark.write_all_at(&note.to_bytes(), 0);
        }
    }

    /// Everything is in the file, and the connection is about to be closed.
    pub(super) fn ends_in_order(&mut self) {
        self.is_in_order = true;
    }
}

impl Drop for EndMark {
    fn drop(&mut self) {
        if self.is_in_order {
            // This also brings the time of the last change to the disk.
            let _ = File::open(&self.path).and_then(|file| wait_for_disk(&file));
            self.note(Phase::Ended, None);
            if let Some(mark) = &self.mark {
                let _ = wait_for_disk(mark);
            }
        }
    }
}

fn is_as_left(path: &Path) -> Option<bool> {
    let note = Note::from_bytes(&fs::read(mark_path(path)).ok()?)?;
    let file = Seen::at(path).ok()?;
    if note.phase == Phase::Ended {
        let has_log = fs::metadata(log_path(path)).is_ok_and(|log| log.len() > 0);
        return Some(file == note.file && !has_log);
    }
    let boot = fs::read_to_string(BOOT).ok()?;
    let is_same_run = note.boot.as_deref() == Some(boot.trim());
    let is_same_file = file.inode == note.file.inode && (file == note.file || note.phase == Phase::Folding);
    let has_all = match note.log {
        None => note.phase == Phase::Logging,
        Some(log) => LogEnd::of(path).is_some_and(|found| found.reaches(log)),
    };
    Some(is_same_run && is_same_file && has_all)
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
        Ok(Seen { inode: metadata.ino(), changed: (metadata.ctime(), metadata.ctime_nsec()) })
    }
}

impl Note {
    fn to_bytes(&self) -> Vec<u8> {
        let Note { phase, file: Seen { inode, changed: (seconds, nanos) }, log, boot } = self;
        let log = log.map_or_else(|| "- - - -".to_owned(), |log| log.to_string());
        let boot = boot.as_deref().unwrap_or("-");
        let mut line = format!("roomd 1 {} {inode} {seconds} {nanos} {log} {boot} .", phase.word()).into_bytes();
        line.resize(MARK_BYTES - 1, b' ');
        line.push(b'\n');
        line
    }

    /// None if it is not exactly what a daemon writes.
    fn from_bytes(bytes: &[u8]) -> Option<Note> {
        let words: Vec<&str> = std::str::from_utf8(bytes).ok()?.split_ascii_whitespace().collect();
        let ["roomd", "1", phase, inode, seconds, nanos, log @ .., boot, "."] = &words[..] else { return None };
        let note = Note {
            phase: Phase::ALL.into_iter().find(|known| known.word() == *phase)?,
            file: Seen { inode: inode.parse().ok()?, changed: (seconds.parse().ok()?, nanos.parse().ok()?) },
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
        let file = Seen { inode: u64::MAX, changed: (1_795_366_850, 999_999_999) };
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
        for nonsense in [&b""[..], b"\xff", &[b' '; MARK_BYTES], b"roomd 2 ended 1 1 1 - - - - - ."] {
            assert_eq!(Note::from_bytes(nonsense), None);
        }
    }
}
