//! How a subcommand opens the file of a history: beside a daemon that may be at work.
//!
//! It leaves the write-ahead log as it is, so that the mark of a daemon that works, or was killed, goes on to fit
//! (see `end_mark`).

use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::errors::{Cause, DatabaseError, Doing};
use super::log_end::log_path;
use super::schema::{self, Origin};
use crate::limits::fixed::BUSY_WAIT_OF_A_TOOL;

/// Opens the history at `path`, of this version or an older one. Returns its absolute path, too.
///
/// # Errors
/// [`DatabaseError`]
pub(super) fn open(path: &Path, doing: Doing) -> Result<(Connection, PathBuf), DatabaseError> {
    let path = existing_file(path, doing)?;
    let cannot = |error| DatabaseError::from_sqlite(&path, doing, error);
    let connection = connect(&path).map_err(cannot)?;
    let cause = match schema::origin(&connection, schema::MIGRATIONS).map_err(cannot)? {
        Origin::Ours(1..) => return Ok((connection, path)),
        Origin::Ours(0) | Origin::New => Cause::Empty,
        Origin::Newer(version) => Cause::Newer(version),
        Origin::Foreign => Cause::Foreign,
    };
    Err(DatabaseError::new(&path, doing, cause))
}

/// The absolute path of a file that is there.
pub(super) fn existing_file(path: &Path, doing: Doing) -> Result<PathBuf, DatabaseError> {
    // A name like `:memory:` or `file:x?mode=ro` would mean something to SQLite; with a `/` in front it does not.
    let path = std::path::absolute(path).map_err(|error| DatabaseError::from_io(path, doing, error))?;
    let metadata = fs::metadata(&path).map_err(|error| DatabaseError::from_io(&path, doing, error))?;
    if metadata.is_file() { Ok(path) } else { Err(DatabaseError::new(&path, doing, Cause::NotAFile)) }
}

/// Opens any database. The file must be there.
pub(super) fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let is_log_used = fs::metadata(log_path(path)).is_ok_and(|log| log.len() > 0);
    // Not read-only: a reader has to write its locks beside the log.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    protect(&connection)?;
    connection.busy_timeout(BUSY_WAIT_OF_A_TOOL)?;
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    // To close the last connection would fold the log into the file. An empty log, which opening has made, goes.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, is_log_used)?;
    Ok(connection)
}

/// The file may come from anybody: nothing in it is to run code or to write beside the tables, and a page that is not well
/// formed is an error when it is read.
pub(super) fn protect(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false)?;
    connection.pragma_update(None, "cell_size_check", true)
}
