//! Whether the file is as the last daemon has left it. A file that has lost its end looks like one that never had it, so
//! the answer lies beside it: `FILE-end` says where the log ended.
//!
//! - A daemon that ends in order folds everything into the file and notes which file that is, and when it was changed
//!   last. The system sets that time (`ctime`), and nobody else can. So a copy of the file, or an older one that was put in
//!   its place, is not the one that was noted.
//! - A daemon that works notes after each batch how far the write-ahead log has come, and during which run of the system
//!   that is. After a `kill -9` the log must reach at least as far, for the system still has all that was written. After a
//!   loss of power another run has begun, and nothing is certain.
//!
//! Whatever is missing, or does not fit: the file is not taken for the one that was left. The cost of a wrong no are some
//! resets; the cost of a wrong yes would be messages that somebody never sees. A daemon takes the mark before it
//! writes anything, so an old one cannot be found beside what it has written.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::log_end::{LogEnd, log_path};

/// A mark takes as much, always: it is overwritten in place, with one call.
const MARK_BYTES: usize = 256;

/// The run of the system: a random number that Linux makes when it starts.
const BOOT: &str = "/proc/sys/kernel/random/boot_id";

/// See the module. Dropped behind the connection, for only then nothing is written any more.
#[derive(Debug)]
pub(super) struct EndMark {
    path: Box<Path>,
    /// The file that is open: another may lie at the path by now.
    inode: u64,
    /// None if it cannot be written: then the next daemon begins a new epoch.
    mark: Option<File>,
    boot: Option<String>,
    is_in_order: bool,
}

/// What a daemon was doing when it wrote its mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// It writes to the log only.
    Logging,
    /// It folds the log into the file, whose time changes meanwhile.
    Folding,
    /// Nothing more.
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

/// What stands in a mark, in one line of words.
#[derive(Debug, PartialEq, Eq)]
struct Note {
    phase: Phase,
    file: Seen,
    /// What of the log is not in the file yet, if anything.
    log: Option<LogEnd>,
    boot: Option<String>,
}

/// A file, and when it was changed last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    inode: u64,
    changed: (i64, i64),
}

impl EndMark {
    /// Whether the database at `path` is as the last daemon has left it. To be asked before anything is written.
    pub(super) fn is_as_left(path: &Path) -> bool {
        is_as_left(path).unwrap_or(false)
    }

    /// Takes the mark away from the last daemon, for good: also a loss of power in the next moment finds none.
    ///
    /// # Errors
    /// It can be neither overwritten nor removed, so it would speak for what this daemon writes.
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

    /// Notes how things are. `log` is what of the log is not in the file.
    pub(super) fn note(&mut self, phase: Phase, log: Option<LogEnd>) {
        let Some(file) = Seen::at(&self.path).ok().filter(|file| file.inode == self.inode) else { return };
        let note = Note { phase, file, log, boot: self.boot.clone() };
        if let Some(mark) = &self.mark {
            // If it cannot be written, the one before stands: the log reaches further than that.
            let _ = mark.write_all_at(&note.to_bytes(), 0);
        }
    }

    /// The connection is about to be closed, and everything is in the file.
    pub(super) fn ends_in_order(&mut self) {
        self.is_in_order = true;
    }
}

impl Drop for EndMark {
    fn drop(&mut self) {
        if self.is_in_order {
            // The time of the last change is on the disk as well, once that is waited for.
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

/// Until what was written is on it. No test of the library can tell, and there a file is opened a thousand times.
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

    /// None if it is not just what a daemon writes.
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
