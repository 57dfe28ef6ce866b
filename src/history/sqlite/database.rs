//! `--history PATH`: a file of SQLite, and what is asked of it.
//!
//! All of it blocks, for as long as the disk takes: it belongs to a thread of its own. One daemon at a time has the file
//! open. Other programs may read it meanwhile, and write to it: it is an ordinary database with a write-ahead log. If one
//! of them holds the write lock, a write fails after a moment with [`Cause::Busy`], and may be tried again.
//!
//! An error leaves the file as it was before the call, and the next call may succeed: a disk that was full has room
//! again.

mod leaving;
mod opening;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::path::Path;

use rusqlite::Connection;

use super::end_mark::EndMark;
use super::errors::{Cause, DatabaseError, Doing};
use super::file_watch::FileWatch;
use super::lineage::Lineage;
use super::lock::DaemonLock;
use super::log_growth::LogGrowth;
use super::rows::{self, Order, RoomRow};
use super::secrets;
use super::tourists;
use super::trimming::{self, Progress};
use crate::chat::position::Epoch;
use crate::history::batch::Batch;
use crate::history::random::random_bytes;
use crate::history::retention::{Cut, Look, Trimmed};
use crate::history::store::Notice;
use crate::history::{Page, PageSize, RoomIds};

/// An open history. See the module.
#[derive(Debug)]
pub struct Database {
    path: Box<Path>,
    connection: Connection,
    mark: EndMark,
    lineage: Lineage,
    in_file: InFile,
    is_continued: bool,
    trimmed: Progress,
    watch: FileWatch,
    growth: LogGrowth,
    /// The last batch could not be written.
    has_failed: bool,
    lost_batches: u64,
    /// Dropped after the connection: see there.
    #[expect(dead_code, reason = "it is only held")]
    lock: DaemonLock,
}

/// Whether the lineage is in the file. While it is not, no mark is written, and so the next daemon begins anew as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum InFile {
    Yes,
    /// The disk was full at the start, or another program had the write lock: it comes before the first batch.
    NotYet,
    /// Its page is damaged.
    Never,
}

/// What outlives a loss of power. That the daemon is killed costs nothing with either.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// All but the last moments: the disk is waited for only when the write-ahead log is folded into the file.
    Normal,
    /// Everything that was appended: the disk is waited for each time.
    Full,
}

impl Database {
    /// Where it is: an absolute path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Batches of messages that were written, and are lost since the write-ahead log was damaged before they were folded into
    /// the file.
    #[must_use]
    pub fn lost_batches(&self) -> u64 {
        self.lost_batches
    }

    /// The file is as the last daemon has left it, or new. If not, ids jump, and the epoch is another.
    #[must_use]
    pub fn is_continued(&self) -> bool {
        self.is_continued
    }

    /// Which log this is.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        Epoch(self.lineage.epoch)
    }

    /// Writes all of `batch`, or nothing; puts the id of each at the end of `ids`, in the same order.
    ///
    /// # Errors
    /// [`DatabaseError`]. Then `ids` is as it was, and the next batch is given those ids.
    pub fn append(&mut self, batch: &Batch, ids: &mut Vec<u64>) -> Result<(), DatabaseError> {
        let before = ids.len();
        let written = self.is_in_place().and_then(|()| self.save_lineage()).and_then(|()| {
            rows::insert(&mut self.connection, batch, ids, self.lineage).map_err(|error| {
                ids.truncate(before);
                self.not_written(error)
            })
        });
        self.left();
        self.has_failed = written.is_err();
        written
    }

    /// Looks whether the file still is the one at its path, and, if the last batch could not be written, whether
    /// anything can. To be called every few seconds: nobody may be told that something is kept when it is not.
    ///
    /// # Errors
    /// [`DatabaseError`]: so would be the next batch.
    pub fn look(&mut self) -> Result<(), DatabaseError> {
        self.is_in_place()?;
        self.fold_what_was_left();
        if self.has_failed {
            // The same number again: what is tried is whether the disk takes it.
            let tried =
                tourists::reserved(&self.connection).and_then(|number| tourists::reserve(&self.connection, number));
            tried.map_err(|error| self.not_written(error))?;
            self.left();
            self.has_failed = false;
        }
        Ok(())
    }

    /// Where the ids of the room stand, though all its messages may be gone.
    ///
    /// # Errors
    /// [`DatabaseError`]
    pub fn ids(&mut self, room: &str) -> Result<RoomIds, DatabaseError> {
        let room = RoomRow::find(&self.connection, room).map_err(|error| self.not_read(error))?;
        Ok(room.map_or(RoomIds::default(), |room| room.ids_in(self.lineage)))
    }

    /// The newest of the messages with ids below `before`, or else the newest of all: as many as fit in `size`, but one
    /// if there is one and `size` allows any, however long. What is damaged is there, as such.
    ///
    /// # Errors
    /// [`DatabaseError`]
    pub fn read_before(&mut self, room: &str, before: Option<u64>, size: PageSize) -> Result<Page, DatabaseError> {
        self.read(room, Order::Falling, 0..before.unwrap_or(u64::MAX), size)
    }

    /// The oldest of the messages with ids above `since`, with the limits of [`Database::read_before`].
    ///
    /// # Errors
    /// [`DatabaseError`]
    pub fn read_after(&mut self, room: &str, since: u64, size: PageSize) -> Result<Page, DatabaseError> {
        self.read(room, Order::Rising, since.saturating_add(1)..u64::MAX, size)
    }

    fn read(&mut self, room: &str, order: Order, wanted: Range<u64>, size: PageSize) -> Result<Page, DatabaseError> {
        // All from one snapshot, for which SQLite takes its locks once.
        let snapshot = self.connection.unchecked_transaction();
        let page = snapshot.and_then(|connection| {
            let Some(row) = RoomRow::find(&connection, room)? else { return Ok(Page::default()) };
            let connection = &*connection;
            let ids = row.ids(connection)?;
            let is_cut = order == Order::Rising && wanted.start.max(row.first + 1) < ids.start;
            let range = ids.start.max(wanted.start)..ids.end.min(wanted.end);
            row.read(connection, room, (range, order), size).map(|page| Page { is_cut, ..page })
        });
        page.map_err(|error| self.not_read(error))
    }

    /// Deletes some of what is to go, in one transaction, and not so much that it would hold up an append for long. The
    /// ids of what is deleted are not given again, and the file does not shrink: its pages are used again.
    ///
    /// # Errors
    /// [`DatabaseError`]. Then nothing is deleted.
    pub fn trim(&mut self, cut: Cut) -> Result<Trimmed, DatabaseError> {
        self.is_in_place()?;
        let trimmed = trimming::delete(&mut self.connection, &mut self.trimmed, cut);
        // Rooms may have been forgotten, and what is new begins above them.
        if self.in_file == InFile::Yes
            && let Ok(Some(lineage)) = Lineage::read(&self.connection)
        {
            self.lineage = lineage;
        }
        self.left();
        trimmed.map_err(|error| self.not_written(error))
    }

    /// The highest number that a tourist may have been given.
    ///
    /// # Errors
    /// [`DatabaseError`]
    pub fn tourists(&mut self) -> Result<u64, DatabaseError> {
        tourists::reserved(&self.connection).map_err(|error| self.not_read(error))
    }

    /// What the secrets of persons are hashed with. If it can neither be read nor written, as on a full disk, it is made for
    /// this time only: people can talk, and have other marks after a restart.
    pub fn person_key(&mut self) -> Option<[u8; 32]> {
        let key = secrets::person_key(&self.connection);
        self.left();
        key.unwrap_or_else(|_| random_bytes())
    }

    /// Reserves numbers of tourists: none up to `number` is given after a restart.
    ///
    /// # Errors
    /// [`DatabaseError`]
    pub fn reserve_tourists(&mut self, number: u64) -> Result<(), DatabaseError> {
        self.is_in_place()?;
        let reserved = tourists::reserve(&self.connection, number);
        self.left();
        reserved.map_err(|error| self.not_written(error))
    }

    /// The look at the clock that the last daemon has left.
    ///
    /// # Errors
    /// [`DatabaseError`]
    pub fn kept_look(&mut self) -> Result<Option<Look>, DatabaseError> {
        trimming::kept_look(&self.connection).map_err(|error| self.not_read(error))
    }

    /// Leaves a look at the clock for the next daemon.
    ///
    /// # Errors
    /// [`DatabaseError`]
    pub fn keep_look(&mut self, look: Look) -> Result<(), DatabaseError> {
        self.is_in_place()?;
        let kept = trimming::keep_look(&mut self.connection, look);
        self.left();
        kept.map_err(|error| self.not_written(error))
    }

    /// What the operator is to be told, once.
    pub fn take_notice(&mut self) -> Option<Notice> {
        self.growth.take_notice()
    }

    fn not_written(&mut self, error: rusqlite::Error) -> DatabaseError {
        let cannot = DatabaseError::from_sqlite(&self.path, Doing::Writing, error);
        if cannot.cause() == Cause::Full {
            // The write-ahead log may be what fills the disk, and could not grow to where it is folded by itself.
            self.fold_log();
        }
        cannot
    }

    fn not_read(&self, error: rusqlite::Error) -> DatabaseError {
        DatabaseError::from_sqlite(&self.path, Doing::Reading, error)
    }
}
