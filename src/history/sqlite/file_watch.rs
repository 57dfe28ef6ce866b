//! Whether the file that is open still is the one at its path.
//!
//! A file that is deleted, moved or replaced stays open: all that is written to it succeeds, and is gone when the daemon
//! ends. SQLite does not look; so it is looked for here, before each batch and every two seconds in between.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::errors::Lost;
use super::log_end::log_path;

/// What was found at the path when the file was opened, and how long it was when we last wrote.
#[derive(Debug)]
pub(super) struct FileWatch {
    path: Box<Path>,
    log_path: Box<Path>,
    file: Option<Seen>,
    /// None if there is none.
    log: Option<Seen>,
    /// It was cut while it was open. Whatever it becomes, it is not what we have written.
    is_cut: bool,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    device: u64,
    inode: u64,
    len: u64,
}

/// How the write-ahead log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Log {
    /// As we left it.
    InPlace,
    /// Another file, or none, lies at its path. What we hold open can be folded into the file, and the log made anew.
    Gone,
}

impl FileWatch {
    /// Takes what lies at `path` now for what is open.
    pub(super) fn new(path: &Path) -> FileWatch {
        let mut watch =
            FileWatch { path: path.into(), log_path: log_path(path).into(), file: None, log: None, is_cut: false };
        watch.left();
        watch
    }

    /// Looks. That is two calls of the system, a microsecond each.
    ///
    /// # Errors
    /// [`Lost`]: what would be written now would be gone with the daemon.
    pub(super) fn look(&mut self) -> Result<Log, Lost> {
        if let Some(left) = self.file {
            match Seen::at(&self.path) {
                Ok(seen) if !seen.is_same_file(left) => return Err(Lost::Replaced),
                Ok(seen) => self.is_cut |= seen.len < left.len,
                // Whatever the reason, nobody can reach it by that path, the next daemon among them.
                Err(_) => return Err(Lost::Gone),
            }
        }
        let mut log = Log::InPlace;
        if let Some(left) = self.log {
            match Seen::at(&self.log_path) {
                Ok(seen) if seen.is_same_file(left) => self.is_cut |= seen.len < left.len,
                Ok(_) | Err(_) => log = Log::Gone,
            }
        }
        if self.is_cut { Err(Lost::Cut) } else { Ok(log) }
    }

    /// Notes how we leave the files, after whatever may have changed their length.
    pub(super) fn left(&mut self) {
        for (path, left) in [(&self.path, &mut self.file), (&self.log_path, &mut self.log)] {
            match (Seen::at(path), *left) {
                (Ok(seen), None) => *left = Some(seen),
                (Ok(seen), Some(Seen { len, .. })) if left.is_some_and(|left| left.is_same_file(seen)) => {
                    *left = Some(Seen { len: if self.is_cut { len } else { seen.len }, ..seen });
                }
                // The next look finds it.
                (Ok(_) | Err(_), _) => {}
            }
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
        self.log = None;
        self.left();
    }
}

impl Seen {
    fn at(path: &Path) -> io::Result<Seen> {
        let metadata = fs::metadata(path)?;
        Ok(Seen { device: metadata.dev(), inode: metadata.ino(), len: metadata.len() })
    }

    fn is_same_file(self, other: Seen) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }
}
