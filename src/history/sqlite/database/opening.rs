//! How the file is opened: whose it is, whether it is as the last daemon has left it, and what SQLite is told.

use std::fs::{self, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::super::end_mark::{EndMark, Left, mark_path};
use super::super::errors::{Cause, DatabaseError, Doing};
use super::super::file_watch::FileWatch;
use super::super::lineage::{self, Lineage};
use super::super::lock::DaemonLock;
use super::super::log_end;
use super::super::log_growth::LogGrowth;
use super::super::schema::{self, Origin};
use super::super::tool;
use super::super::trimming::Progress;
use super::{Database, Durability, InFile};
use crate::limits::fixed::{BUSY_WAIT, BUSY_WAIT_AT_START, WAL_BYTES};

impl Database {
    /// Opens the file, or makes it, for its owner alone to read. Takes as long for a large file as for a small one.
    ///
    /// # Errors
    /// [`DatabaseError`]. A file that is not a history is left as it is.
    pub fn open(path: &Path, durability: Durability) -> Result<Database, DatabaseError> {
        Database::open_at(path, durability, None)
    }

    /// The same at another time than it is: microseconds since 1970.
    pub(super) fn open_at(path: &Path, durability: Durability, now_us: Option<u64>) -> Result<Database, DatabaseError> {
        // A name like `:memory:` or `file:x?mode=ro` would mean something to SQLite; with a `/` in front it does not.
        let path = std::path::absolute(path).map_err(|error| DatabaseError::from_io(path, Doing::Opening, error))?;
        make_file(&path)?;
        // Before SQLite opens it: see `DaemonLock`.
        let lock = DaemonLock::take(&path).map_err(|error| DatabaseError::from_lock(&path, error))?;
        // Used by one thread at a time, as the compiler sees to.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&path, flags);
        let connection = connection.map_err(|error| DatabaseError::from_sqlite(&path, Doing::Opening, error))?;
        Database::set_up((connection, lock), &path, durability, now_us)
    }

    pub(super) fn set_up(
        (mut connection, lock): (Connection, DaemonLock),
        path: &Path,
        durability: Durability,
        now_us: Option<u64>,
    ) -> Result<Database, DatabaseError> {
        let cannot = |error| DatabaseError::from_sqlite(path, Doing::Opening, error);
        let behind = identify(&connection, path)?;
        // SQLite has read the log, and nothing has been written yet.
        let lost_batches = log_end::lost_batches(path);
        let left = if lost_batches == 0 { EndMark::read(path) } else { Left::Otherwise };
        let mark = take_mark(path)?;
        // Only now: this writes.
        configure(&connection, durability).map_err(cannot)?;
        schema::migrate(&mut connection, behind, schema::MIGRATIONS).map_err(cannot)?;
        if !schema::is_intact(&connection, schema::MIGRATIONS).map_err(cannot)? {
            return Err(DatabaseError::new(path, Doing::Opening, Cause::Damaged));
        }
        let (lineage, in_file) = lineage(&connection, left, now_us).map_err(cannot)?;
        connection.busy_timeout(BUSY_WAIT).map_err(cannot)?;
        let mut database = Database {
            path: path.into(),
            connection,
            mark,
            lineage,
            in_file,
            is_continued: in_file == InFile::Yes || behind == 0,
            trimmed: Progress::default(),
            watch: FileWatch::new(path),
            growth: LogGrowth::default(),
            has_failed: false,
            lost_batches,
            lock,
        };
        match database.save_lineage() {
            // A disk that is full just now is no reason not to begin, nor is a program that writes.
            Err(error) if !matches!(error.cause(), Cause::Full | Cause::Busy) => return Err(error),
            Ok(()) | Err(_) => {}
        }
        database.left();
        Ok(database)
    }
}

/// Finds out whose file it is, and changes nothing in it. Returns how many steps of `schema` it has behind it.
fn identify(connection: &Connection, path: &Path) -> Result<usize, DatabaseError> {
    let cannot = |error| DatabaseError::from_sqlite(path, Doing::Opening, error);
    let found = |cause| Err(DatabaseError::new(path, Doing::Opening, cause));
    // SQLite opens for reading what cannot be written, and says nothing.
    if connection.is_readonly(c"main").map_err(cannot)? {
        return found(Cause::ReadOnly);
    }
    tool::protect(connection).map_err(cannot)?;
    connection.busy_timeout(BUSY_WAIT_AT_START).map_err(cannot)?;
    match schema::origin(connection, schema::MIGRATIONS).map_err(cannot)? {
        Origin::New => Ok(0),
        Origin::Ours(behind) => Ok(behind),
        Origin::Newer(version) => found(Cause::Newer(version)),
        Origin::Foreign => found(Cause::Foreign),
    }
}

/// Makes the file, if there is none, for its owner alone to read: SQLite would make it for everybody. It gives the
/// write-ahead log the permissions of the file.
fn make_file(path: &Path) -> Result<(), DatabaseError> {
    let cannot = |error| DatabaseError::from_io(path, Doing::Opening, error);
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            // Not by opening it: to close it again would drop the lock of a database in this process.
            match fs::metadata(path) {
                Ok(metadata) if metadata.is_file() => Ok(()),
                Ok(_) => Err(DatabaseError::new(path, Doing::Opening, Cause::NotAFile)),
                // A link to a file that is not there yet: it is made where the link leads, as SQLite would do.
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    let made = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path);
                    made.map(drop).map_err(cannot)
                }
                Err(error) => Err(cannot(error)),
            }
        }
        Err(error) => Err(cannot(error)),
    }
}

fn take_mark(path: &Path) -> Result<EndMark, DatabaseError> {
    EndMark::take(path).map_err(|error| DatabaseError::from_io(&mark_path(path), Doing::Opening, error))
}

/// Where the log comes from. One that cannot be shown to be as it was left begins anew, which is not in the file yet.
fn lineage(connection: &Connection, left: Left, now_us: Option<u64>) -> rusqlite::Result<(Lineage, InFile)> {
    let before = Lineage::read(connection)?;
    if let Some(lineage) = before
        && left.is_continued(connection)?
    {
        return Ok((lineage, InFile::Yes));
    }
    let now_us = now_us.map_or_else(|| lineage::now_us(connection), Ok)?;
    Ok((Lineage::begin(before, now_us, connection)?, InFile::NotYet))
}

/// SQLite answers with the mode that it has now.
pub(super) fn set_journal(connection: &Connection, mode: &str) -> rusqlite::Result<()> {
    let is_set = |found: &str| found.eq_ignore_ascii_case(mode);
    let found: String = connection.pragma_update_and_check(None, "journal_mode", mode, |row| row.get(0))?;
    if is_set(&found) { Ok(()) } else { Err(rusqlite::Error::InvalidQuery) }
}

fn configure(connection: &Connection, durability: Durability) -> rusqlite::Result<()> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "journal_size_limit", WAL_BYTES)?;
    // See `leaving`.
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    let synchronous = match durability {
        // No test of the library can tell, and there a file is opened a thousand times.
        _ if cfg!(test) => "OFF",
        Durability::Normal => "NORMAL",
        Durability::Full => "FULL",
    };
    connection.pragma_update(None, "synchronous", synchronous)
}
