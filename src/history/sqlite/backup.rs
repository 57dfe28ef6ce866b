//! `roomd backup FILE`: a copy of the history as it is at one moment, made beside a daemon that may be at work.
//!
//! SQLite writes the copy anew out of one snapshot (`VACUUM INTO`). So it is one file without a log, nothing that was deleted
//! is in it, and a damaged page is found instead of being copied. Not with SQLite's backup interface: that begins again whenever
//! somebody writes to the file, and would not end beside a busy daemon.
//!
//! It is written beside its place and then renamed: under its name there is never a half of it.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::errors::{Cause, DatabaseError, Doing};
use super::tool;

/// What was written.
#[derive(Debug)]
pub struct Backup {
    /// Where it is: an absolute path.
    pub path: PathBuf,
    /// Rooms in it.
    pub rooms: u64,
    /// Messages in it.
    pub messages: u64,
    /// Bytes of the file.
    pub bytes: u64,
}

/// Writes all of the history at `path` to a new file at `to`.
///
/// # Errors
/// [`DatabaseError`]. Then there is no file at `to`, or the one that was there before.
pub fn back_up(path: &Path, to: &Path) -> Result<Backup, DatabaseError> {
    let (connection, path) = tool::open(path, Doing::BackingUp)?;
    let to = std::path::absolute(to).map_err(|error| cannot_write(to, error))?;
    is_free(&to)?;
    let part = Part::begin(&to)?;
    copy(&connection, &path, &part.path)?;
    let (rooms, messages) =
        contents(&part.path).map_err(|error| DatabaseError::from_sqlite(&to, Doing::WritingBackup, error))?;
    let bytes = part.finish(&to)?;
    Ok(Backup { path: to, rooms, messages, bytes })
}

fn cannot_write(path: &Path, error: io::Error) -> DatabaseError {
    DatabaseError::from_io(path, Doing::WritingBackup, error)
}

fn is_free(path: &Path) -> Result<(), DatabaseError> {
    match fs::symlink_metadata(path) {
        Ok(_) => Err(DatabaseError::new(path, Doing::WritingBackup, Cause::Exists)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(cannot_write(path, error)),
    }
}

fn copy(connection: &Connection, path: &Path, part: &Path) -> Result<(), DatabaseError> {
    let Some(name) = part.to_str() else {
        let error = io::Error::new(io::ErrorKind::InvalidInput, "its name is not UTF-8");
        return Err(cannot_write(part, error));
    };
    connection.execute("VACUUM INTO ?1", [name]).map(|_| ()).map_err(|error| match Cause::of(&error) {
        Cause::Damaged | Cause::Busy => DatabaseError::from_sqlite(path, Doing::BackingUp, error),
        _ => DatabaseError::from_sqlite(part, Doing::WritingBackup, error),
    })
}

fn contents(path: &Path) -> rusqlite::Result<(u64, u64)> {
    let connection = Connection::open(path)?;
    connection.query_row("SELECT (SELECT count(*) FROM room), (SELECT count(*) FROM message)", [], |row| row.try_into())
}

/// The copy while it is written. It is deleted if it is not finished.
struct Part {
    path: PathBuf,
    is_finished: bool,
}

impl Part {
    /// An empty file, for its owner alone to read. SQLite writes to it.
    fn begin(to: &Path) -> Result<Part, DatabaseError> {
        let mut path = OsString::from(to);
        path.push("-part");
        let path = PathBuf::from(path);
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
            Ok(_) => Ok(Part { path, is_finished: false }),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(DatabaseError::new(&path, Doing::WritingBackup, Cause::Exists))
            }
            Err(error) => Err(cannot_write(to, error)),
        }
    }

    /// Waits for the disk, and gives it its name. Returns how many bytes it has.
    fn finish(mut self, to: &Path) -> Result<u64, DatabaseError> {
        let bytes = File::open(&self.path)
            .and_then(|file| file.sync_all().and_then(|()| file.metadata()))
            .map_err(|error| cannot_write(to, error))?
            .len();
        is_free(to)?;
        fs::rename(&self.path, to).map_err(|error| cannot_write(to, error))?;
        self.is_finished = true;
        if let Some(folder) = to.parent() {
            File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| cannot_write(to, error))?;
        }
        Ok(bytes)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.is_finished {
            // What cannot be deleted is named by the next try.
            let _ = fs::remove_file(&self.path);
        }
    }
}
