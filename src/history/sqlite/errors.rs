//! Why a history cannot be opened, written or read: each in one sentence, with what to do about it.

use std::io::ErrorKind;
use std::path::Path;

use rusqlite::ffi;
use thiserror::Error;

/// Why a history cannot be opened.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum OpenError {
    /// The directory of the file does not exist.
    #[error("cannot open the history {}: there is no such directory; make it first", .0.display())]
    NoDirectory(Box<Path>),
    /// The file or its directory may not be used by this user.
    #[error(
        "cannot open the history {}: permission denied; the file and its directory must be writable for the user of the \
         daemon", .0.display()
    )]
    NoPermission(Box<Path>),
    /// The file, or all of its file system, can only be read.
    #[error("cannot open the history {}: it can only be read; make it and its file system writable", .0.display())]
    ReadOnly(Box<Path>),
    /// A directory, a device or the like.
    #[error("cannot open the history {}: it is not a file; name one with --history", .0.display())]
    NotAFile(Box<Path>),
    /// Another process has it open.
    #[error(
        "cannot open the history {}: another process has it open; stop that one, or name another file with --history",
        .0.display()
    )]
    InUse(Box<Path>),
    /// Not a database, or a damaged one.
    #[error(
        "cannot open the history {}: it is damaged or no database at all; restore it from a backup, or move it away",
        .0.display()
    )]
    Corrupt(Box<Path>),
    /// Another program's database.
    #[error(
        "cannot open the history {}: it is the database of another program; name another file with --history",
        .0.display()
    )]
    Foreign(Box<Path>),
    /// Written by a later roomd: the file, and its version.
    #[error(
        "cannot open the history {}: a later roomd has written it (version {}); use that one, or name another file",
        .0.display(), .1
    )]
    Newer(Box<Path>, i64),
    /// No room on the disk.
    #[error(
        "cannot open the history {}: the disk is full, or the file as large as it may be (ulimit -f); make room", .0.display()
    )]
    Full(Box<Path>),
    /// Whatever else the system says.
    #[error("cannot open the history {}: {}", .0.display(), .1)]
    System(Box<Path>, Box<str>),
}

/// Why nothing was written, or deleted.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WriteError {
    /// No room on the disk.
    #[error(
        "cannot write to the history {}: the disk is full, or the file as large as it may be (ulimit -f); make room",
        .0.display()
    )]
    Full(Box<Path>),
    /// The file can only be read by now.
    #[error(
        "cannot write to the history {}: it can only be read by now; make its file system writable again", .0.display()
    )]
    ReadOnly(Box<Path>),
    /// The file is damaged.
    #[error(
        "cannot write to the history {}: it is damaged; stop the daemon, run `roomd check` on it, and restore it from a \
         backup", .0.display()
    )]
    Corrupt(Box<Path>),
    /// The file does not lie any more where it was opened, or is not whole.
    #[error(transparent)]
    Lost(#[from] Lost),
    /// Whatever else the system says.
    #[error("cannot write to the history {}: {}", .0.display(), .1)]
    System(Box<Path>, Box<str>),
}

/// What has become of the file while it was open. What would be written to it now would be gone with the daemon.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Lost {
    /// Nothing lies at its path.
    #[error(
        "the history {} is gone: it was deleted or moved. Nothing that is said can be kept. Put the same file back, or \
         restart the daemon for a new one", .0.display()
    )]
    Gone(Box<Path>),
    /// Another file lies at its path.
    #[error(
        "another file lies where the history {} was. Nothing that is said can be kept. Put the same file back, or \
         restart the daemon to use the one that is there", .0.display()
    )]
    Replaced(Box<Path>),
    /// Somebody has cut it.
    #[error(
        "the history {} was cut by another program. Nothing that is said can be kept. CliExit the daemon and restore it from \
         a backup", .0.display()
    )]
    Cut(Box<Path>),
}

/// Why nothing was read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ReadError {
    /// What says which messages a room has is damaged.
    #[error(
        "cannot read the history {}: it is damaged; stop the daemon, run `roomd check` on it, and restore it from a backup",
        .0.display()
    )]
    Corrupt(Box<Path>),
    /// Whatever else the system says.
    #[error("cannot read the history {}: {}", .0.display(), .1)]
    System(Box<Path>, Box<str>),
}

/// What is behind an error of SQLite, as far as it makes a difference.
enum Cause {
    Full,
    ReadOnly,
    Corrupt,
    InUse,
    NoPermission,
    System(Box<str>),
}

impl Cause {
    fn of(error: &rusqlite::Error) -> Cause {
        use rusqlite::Error;
        use rusqlite::ErrorCode as Code;
        match error {
            // The value of a column is not what we write.
            Error::FromSqlConversionFailure(..)
            | Error::IntegralValueOutOfRange(..)
            | Error::InvalidColumnType(..)
            | Error::Utf8Error(..) => Cause::Corrupt,
            Error::SqliteFailure(failure, _) => match failure.code {
                Code::DiskFull => Cause::Full,
                Code::SystemIoFailure if is_write(failure.extended_code) && is_size_limited() => Cause::Full,
                Code::ReadOnly => Cause::ReadOnly,
                // An id that is there already, or past all numbers: `last_id` is wrong.
                Code::DatabaseCorrupt | Code::NotADatabase | Code::ConstraintViolation => Cause::Corrupt,
                Code::DatabaseBusy | Code::DatabaseLocked => Cause::InUse,
                Code::CannotOpen | Code::PermissionDenied => Cause::NoPermission,
                _ => Cause::System(error.to_string().into()),
            },
            _ => Cause::System(error.to_string().into()),
        }
    }
}

/// To SQLite, a file that may not grow (`ulimit -f`) is an error of the disk like any other.
fn is_write(extended_code: std::ffi::c_int) -> bool {
    matches!(extended_code, ffi::SQLITE_IOERR_WRITE | ffi::SQLITE_IOERR_TRUNCATE)
}

fn is_size_limited() -> bool {
    rlimit::getrlimit(rlimit::Resource::FSIZE).is_ok_and(|(most, _)| most != rlimit::INFINITY)
}

/// Whether an error is about what stands in the file, and will be met again by every reader of that place.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(Cause::of(error), Cause::Corrupt)
}

/// What stands in a row is not what we have written there.
pub(super) fn damage(what: &str) -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_CORRUPT), Some(what.to_owned()))
}

impl OpenError {
    pub(super) fn from_io(path: &Path, error: &std::io::Error) -> OpenError {
        let path = path.into();
        match error.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory => OpenError::NoDirectory(path),
            ErrorKind::PermissionDenied => OpenError::NoPermission(path),
            ErrorKind::ReadOnlyFilesystem => OpenError::ReadOnly(path),
            ErrorKind::IsADirectory => OpenError::NotAFile(path),
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => OpenError::Full(path),
            _ => OpenError::System(path, error.to_string().into()),
        }
    }

    pub(super) fn from_sqlite(path: &Path, error: &rusqlite::Error) -> OpenError {
        let path = path.into();
        match Cause::of(error) {
            Cause::Full => OpenError::Full(path),
            Cause::ReadOnly => OpenError::ReadOnly(path),
            Cause::Corrupt => OpenError::Corrupt(path),
            Cause::InUse => OpenError::InUse(path),
            Cause::NoPermission => OpenError::NoPermission(path),
            Cause::System(words) => OpenError::System(path, words),
        }
    }
}

impl WriteError {
    pub(super) fn from_sqlite(path: &Path, error: &rusqlite::Error) -> WriteError {
        let path = path.into();
        match Cause::of(error) {
            Cause::Full => WriteError::Full(path),
            Cause::ReadOnly => WriteError::ReadOnly(path),
            Cause::Corrupt => WriteError::Corrupt(path),
            Cause::System(words) => WriteError::System(path, words),
            // Neither happens to a file that is open and ours.
            Cause::InUse | Cause::NoPermission => WriteError::System(path, error.to_string().into()),
        }
    }
}

impl ReadError {
    pub(super) fn from_sqlite(path: &Path, error: &rusqlite::Error) -> ReadError {
        match Cause::of(error) {
            Cause::Corrupt => ReadError::Corrupt(path.into()),
            _ => ReadError::System(path.into(), error.to_string().into()),
        }
    }
}
