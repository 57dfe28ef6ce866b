//! Why something could not be done with the file of a history: one sentence, with what to do about it.

use std::error::Error;
use std::fmt::Display;
use std::fs::TryLockError;
use std::io::{self, ErrorKind};
use std::path::Path;

use rusqlite::ffi;
use thiserror::Error;

/// What could not be done, with which file, and why.
#[derive(Debug, Error)]
#[error("{}", sentence(.path, *.doing, *.cause, .source.as_deref()))]
pub struct DatabaseError {
    path: Box<Path>,
    doing: Doing,
    cause: Cause,
    /// What SQLite or the system has said. None where roomd itself has found the cause.
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// What was to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doing {
    /// The daemon starts.
    Opening,
    /// Messages are read.
    Reading,
    /// Something is written, or deleted.
    Writing,
    /// `roomd check`
    Checking,
    /// `roomd rooms`
    Listing,
    /// `roomd backup`: the history is read.
    BackingUp,
    /// `roomd backup`: the copy is written.
    WritingBackup,
}

/// Why it could not be done, as far as the operator can do something about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// There is no such file, or no directory for a new one.
    NotFound,
    /// A directory, a device or the like.
    NotAFile,
    /// There is a file in the place of a new one.
    Exists,
    /// This user may not use the file or its directory.
    NoPermission,
    /// The file, or all of its file system, can only be read.
    ReadOnly,
    /// Another daemon has it open.
    InUse,
    /// Another program has locked it.
    Busy,
    /// Not a database, or a damaged one.
    Damaged,
    /// Another program's database.
    Foreign,
    /// A later roomd has written it, in this version.
    Newer(i64),
    /// It is an empty file: no daemon has begun a history in it.
    Empty,
    /// There is no room on the disk.
    Full,
    /// The file was lost while it was open.
    Lost(Lost),
    /// Anything else that SQLite or the system says.
    System,
}

/// What happened to the file while it was open. Anything written to it from then on would be gone with the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// Nothing lies at its path.
    Gone,
    /// Another file lies at its path.
    Replaced,
    /// Another program has cut it.
    Cut,
}

impl DatabaseError {
    /// Roomd itself has found the cause.
    pub(super) fn new(path: &Path, doing: Doing, cause: Cause) -> DatabaseError {
        DatabaseError { path: path.into(), doing, cause, source: None }
    }

    pub(super) fn from_io(path: &Path, doing: Doing, error: io::Error) -> DatabaseError {
        let cause = match error.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory => Cause::NotFound,
            ErrorKind::PermissionDenied => Cause::NoPermission,
            ErrorKind::ReadOnlyFilesystem => Cause::ReadOnly,
            ErrorKind::IsADirectory => Cause::NotAFile,
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => Cause::Full,
            _ => Cause::System,
        };
        DatabaseError { path: path.into(), doing, cause, source: Some(error.into()) }
    }

    pub(super) fn from_sqlite(path: &Path, doing: Doing, error: rusqlite::Error) -> DatabaseError {
        let cause = match Cause::of(&error) {
            // The file was open already: only SQLite's own words help.
            Cause::NoPermission if matches!(doing, Doing::Reading | Doing::Writing) => Cause::System,
            cause => cause,
        };
        DatabaseError { path: path.into(), doing, cause, source: Some(error.into()) }
    }

    pub(super) fn from_lock(path: &Path, error: TryLockError) -> DatabaseError {
        match error {
            TryLockError::WouldBlock => DatabaseError::new(path, Doing::Opening, Cause::InUse),
            TryLockError::Error(error) => DatabaseError::from_io(path, Doing::Opening, error),
        }
    }

    /// Why it could not be done.
    #[must_use]
    pub fn cause(&self) -> Cause {
        self.cause
    }
}

/// With the words that docs/operating.md explains.
fn sentence(path: &Path, doing: Doing, cause: Cause, source: Option<&(dyn Error + Send + Sync)>) -> String {
    let path = path.display();
    if let Cause::Lost(lost) = cause {
        return lost.sentence(&path);
    }
    let what = match doing {
        Doing::Opening => format!("cannot open the history {path}"),
        Doing::Reading => format!("cannot read the history {path}"),
        Doing::Writing => format!("cannot write to the history {path}"),
        Doing::Checking => format!("cannot check {path}"),
        Doing::Listing => format!("cannot list the rooms of {path}"),
        Doing::BackingUp => format!("cannot back up {path}"),
        Doing::WritingBackup => format!("cannot write the backup {path}"),
    };
    match (cause, source) {
        (Cause::System, Some(source)) => format!("{what}: {source}"),
        (Cause::System, None) => what,
        (Cause::Newer(version), _) if doing.is_of_a_tool() => {
            format!("{what}: a later roomd has written it (version {version}); use that one")
        }
        (Cause::Newer(version), _) => {
            format!("{what}: a later roomd has written it (version {version}); use that one, or name another file")
        }
        _ => format!("{what}: {}", cause.advice(doing)),
    }
}

impl Doing {
    /// The file has to be there already.
    fn is_of_a_tool(self) -> bool {
        matches!(self, Doing::Checking | Doing::Listing | Doing::BackingUp)
    }
}

impl Lost {
    fn sentence(self, path: &dyn Display) -> String {
        match self {
            Lost::Gone => format!(
                "the history {path} is gone: it was deleted or moved. Nothing that is said can be kept. Put the same file \
                 back, or restart the daemon for a new one"
            ),
            Lost::Replaced => format!(
                "another file lies where the history {path} was. Nothing that is said can be kept. Put the same file back, \
                 or restart the daemon to use the one that is there"
            ),
            Lost::Cut => format!(
                "the history {path} was cut by another program. Nothing that is said can be kept. Stop the daemon and \
                 restore it from a backup"
            ),
        }
    }
}

impl Cause {
    /// What is the matter, and what to do about it.
    fn advice(self, doing: Doing) -> &'static str {
        let is_tool = doing.is_of_a_tool();
        match self {
            Cause::NotFound if is_tool => "there is no such file",
            Cause::Exists => "it is there already; name another file, or move that one away",
            Cause::NotFound => "there is no such directory; make it first",
            Cause::NotAFile if is_tool => "it is no file",
            Cause::NotAFile => "it is not a file; name one with --history",
            Cause::NoPermission | Cause::ReadOnly if is_tool => "permission denied; run this as the user of the daemon",
            Cause::NoPermission if doing == Doing::WritingBackup => "permission denied; its directory must be writable",
            Cause::NoPermission => {
                "permission denied; the file and its directory must be writable for the user of the daemon"
            }
            Cause::ReadOnly if doing == Doing::Opening => "it can only be read; make it and its file system writable",
            Cause::ReadOnly => "it can only be read by now; make its file system writable again",
            Cause::Busy if doing == Doing::Writing => {
                "another program has held its write lock for too long; messages are refused until that program lets go of it"
            }
            Cause::Busy => "another program has locked it; wait until that program is done, or end it",
            Cause::InUse => "another process has it open; stop that one, or name another file with --history",
            Cause::Damaged if doing == Doing::Opening => {
                "it is damaged or no database at all; restore it from a backup, or move it away"
            }
            Cause::Damaged if doing == Doing::BackingUp => {
                "it is damaged; run `roomd check` on it, and keep the backups that you have"
            }
            Cause::Damaged => "it is damaged; run `roomd check` on it, and restore it from a backup",
            Cause::Foreign if is_tool => "it is the database of another program",
            Cause::Foreign => "it is the database of another program; name another file with --history",
            Cause::Empty => "it is empty: no daemon has begun a history in it",
            Cause::Full => "the disk is full, or the file as large as it may be (ulimit -f); make room",
            // These are told with more words.
            Cause::Lost(_) | Cause::Newer(_) | Cause::System => "it cannot be used",
        }
    }

    pub(super) fn of(error: &rusqlite::Error) -> Cause {
        use rusqlite::Error;
        use rusqlite::ErrorCode as Code;
        match error {
            // A column has a value that roomd does not write.
            Error::FromSqlConversionFailure(..)
            | Error::IntegralValueOutOfRange(..)
            | Error::InvalidColumnType(..)
            | Error::Utf8Error(..) => Cause::Damaged,
            Error::SqliteFailure(failure, _) => match failure.code {
                Code::DiskFull => Cause::Full,
                Code::SystemIoFailure if is_write(failure.extended_code) && is_size_limited() => Cause::Full,
                Code::ReadOnly => Cause::ReadOnly,
                // The id is there already, or past all numbers: `last_id` is wrong.
                Code::DatabaseCorrupt | Code::NotADatabase | Code::ConstraintViolation => Cause::Damaged,
                Code::DatabaseBusy | Code::DatabaseLocked => Cause::Busy,
                Code::CannotOpen | Code::PermissionDenied => Cause::NoPermission,
                _ => Cause::System,
            },
            _ => Cause::System,
        }
    }
}

/// SQLite reports a file that may not grow (`ulimit -f`) as a general error of the disk.
fn is_write(extended_code: std::ffi::c_int) -> bool {
    matches!(extended_code, ffi::SQLITE_IOERR_WRITE | ffi::SQLITE_IOERR_TRUNCATE)
}

fn is_size_limited() -> bool {
    rlimit::getrlimit(rlimit::Resource::FSIZE).is_ok_and(|(most, _)| most != rlimit::INFINITY)
}

/// Whether an error is about the contents of the file. Every later read of that place fails the same way.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    Cause::of(error) == Cause::Damaged
}

/// A row has something that roomd has not written.
pub(super) fn damage(what: &str) -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_CORRUPT), Some(what.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_was_to_be_done_with_which_file_and_has_the_error_of_the_system_as_its_source() {
        let path = Path::new("/h.db");
        let full = || rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_FULL), None);
        let error = DatabaseError::from_sqlite(path, Doing::Writing, full());
        assert!(error.to_string().starts_with("cannot write to the history /h.db: the disk is full, "), "{error}");
        assert_eq!(error.source().unwrap().downcast_ref(), Some(&full()));
        let error = DatabaseError::from_io(path, Doing::Checking, io::Error::from(ErrorKind::NotFound));
        assert_eq!(error.to_string(), "cannot check /h.db: there is no such file");
        assert!(error.source().is_some());
    }
}
