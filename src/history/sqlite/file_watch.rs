//! Whether the file that is open still is the one at its path.
//!
//! A file that is deleted, moved or replaced stays open: writes to it succeed, and are gone when the daemon ends. SQLite does
//! not look at the path. So this does, before each batch, and every two seconds when there is none.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::errors::Lost;
use super::log_end::{LogEnd, index_path, log_path};

/// What was found at the path when the file was opened, and how it was when we last wrote.
#[derive(Debug)]
pub(super) struct FileWatch {
    path: Box<Path>,
    log_path: Box<Path>,
    file: Option<Seen>,
    /// None if there is none.
    log: Option<Seen>,
    /// SQLite's users find their way in the log by it, and lock each other out there.
    index_path: Box<Path>,
    index: Option<Seen>,
    /// The log, open: to open it for each batch costs more than to read it.
    log_file: Option<File>,
    /// It was cut while it was open. Whatever it becomes, it is not what we have written.
    is_cut: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    device: u64,
    inode: u64,
    len: u64,
    changed: (i64, i64),
}

/// How the files are, compared with how we left them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing has changed.
    AsLeft,
    /// Another program has written to them.
    Changed,
    /// One of them is shorter: another program has folded the log or vacuumed the file, or somebody has cut it. Only SQLite
    /// knows.
    Shorter,
    /// Another log, or none, lies at its path, or another index of it: other programs would not see what we write. The one
    /// that is open can be folded into the file, and made anew.
    LogGone,
}

impl FileWatch {
    /// Takes what lies at `path` now for what is open.
    pub(super) fn new(path: &Path) -> FileWatch {
        let mut watch = FileWatch {
            path: path.into(),
            log_path: log_path(path).into(),
            index_path: index_path(path).into(),
            index: None,
            file: None,
            log: None,
            log_file: None,
            is_cut: false,
        };
        watch.left();
        watch
    }

    /// Looks. That is three calls of the system, a microsecond each.
    ///
    /// # Errors
    /// [`Lost`]: what would be written now would be gone with the daemon.
    pub(super) fn look(&self) -> Result<Found, Lost> {
        if self.is_cut {
            return Err(Lost::Cut);
        }
        let (mut is_changed, mut is_shorter) = (false, false);
        if let Some(left) = self.file {
            match Seen::at(&self.path) {
                Ok(seen) if !seen.is_same_file(left) => return Err(Lost::Replaced),
                Ok(seen) => {
                    is_changed |= seen != left;
                    is_shorter |= seen.len < left.len;
                }
                // Whatever the reason, the next daemon cannot reach it by that path either.
                Err(_) => return Err(Lost::Gone),
            }
        }
        if let Some(left) = self.log {
            match Seen::at(&self.log_path) {
                Ok(seen) if seen.is_same_file(left) => {
                    is_changed |= seen.len != left.len;
                    is_shorter |= seen.len < left.len;
                }
                Ok(_) | Err(_) => return Ok(Found::LogGone),
            }
        }
        if let Some(left) = self.index
            && !Seen::at(&self.index_path).is_ok_and(|seen| seen.is_same_file(left))
        {
            return Ok(Found::LogGone);
        }
        Ok(match (is_changed, is_shorter) {
            (_, true) => Found::Shorter,
            (true, false) => Found::Changed,
            (false, false) => Found::AsLeft,
        })
    }

    /// Bytes of the file and of its log, as they are now.
    pub(super) fn lengths(&self) -> [u64; 2] {
        [&self.path, &self.log_path].map(|path| Seen::at(path).map_or(0, |seen| seen.len))
    }

    /// When the file was changed last, as we left it.
    pub(super) fn file_changed(&self) -> (i64, i64) {
        self.file.map_or((0, 0), |file| file.changed)
    }

    /// Where the log ends that has so many pages.
    pub(super) fn log_end(&self, pages: u64) -> Option<LogEnd> {
        LogEnd::in_file(self.log_file.as_ref()?, self.log?.inode, pages)
    }

    /// Bytes of the log, as we left it.
    pub(super) fn log_bytes(&self) -> u64 {
        self.log.map_or(0, |log| log.len)
    }

    /// It was cut. Whatever it becomes now, it is not what we have written.
    pub(super) fn is_cut(&mut self) {
        self.is_cut = true;
    }

    /// Notes how we leave the files, after whatever may have changed their length.
    pub(super) fn left(&mut self) {
        if self.index.is_none() {
            self.index = Seen::at(&self.index_path).ok();
        }
        for (path, left) in [(&self.path, &mut self.file), (&self.log_path, &mut self.log)] {
            match (Seen::at(path), *left) {
                (Ok(seen), None) => *left = Some(seen),
                (Ok(seen), Some(before)) if before.is_same_file(seen) => *left = Some(seen),
                // The next look finds it.
                (Ok(_) | Err(_), _) => {}
            }
        }
        if self.log_file.is_none() && self.log.is_some() {
            // SQLite has no lock on the log that would end when this is closed.
            self.log_file = File::open(&self.log_path).ok();
        }
    }

    /// The log was emptied, wherever it is now.
    pub(super) fn folded(&mut self) {
        if let Some(log) = &mut self.log {
            log.len = 0;
        }
        self.left();
    }

    /// The log was made anew.
    pub(super) fn renewed(&mut self) {
        (self.log, self.log_file, self.index) = (None, None, None);
        self.left();
    }
}

impl Seen {
    fn at(path: &Path) -> io::Result<Seen> {
        let metadata = fs::metadata(path)?;
        Ok(Seen {
            device: metadata.dev(),
            inode: metadata.ino(),
            len: metadata.len(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }

    fn is_same_file(self, other: Seen) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }
}
