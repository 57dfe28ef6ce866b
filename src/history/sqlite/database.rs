//! `--history PATH`: a file of SQLite, and what is asked of it.
//!
//! All of it blocks, for as long as the disk takes: it belongs to a thread of its own. The file has one owner at a
//! time, and its lock is one of the operating system, which lets go of it when the process ends in whatever way. Since
//! nobody else may read meanwhile, the write-ahead log can always be folded back into the file and stays small.
//!
//! An error leaves the file as it was before the call, and the next call may succeed: a disk that was full has room
//! again.

mod opening;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::path::Path;

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use super::end_mark::{EndMark, Phase};
use super::errors::{self, Cause, DatabaseError, Doing, Lost};
use super::file_watch::{FileWatch, Log};
use super::lineage::Lineage;
use super::log_end::LogEnd;
use super::rows::{self, Order, RoomRow};
use super::tourists;
use super::trimming::{self, Progress};
use crate::chat::position::Epoch;
use crate::history::batch::Batch;
use crate::history::retention::{Cut, Look, Trimmed};
use crate::history::{Page, PageSize, RoomIds};
use crate::limits::fixed::FOLD_AT_PAGES;

pub(super) use opening::lock;
use opening::set_journal;

/// An open history. See the module.
#[derive(Debug)]
pub struct Database {
    path: Box<Path>,
    connection: Connection,
    /// Dropped behind the connection: it speaks of the file as that leaves it.
    mark: EndMark,
    lineage: Lineage,
    in_file: InFile,
    is_continued: bool,
    trimmed: Progress,
    watch: FileWatch,
    /// The last batch could not be written.
    has_failed: bool,
    lost_batches: u64,
}

/// Whether the lineage is in the file. While it is not, no mark is written, and so the next daemon begins anew as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum InFile {
    Yes,
    /// The disk was full at the start: it comes before the first batch.
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
        let connection = &self.connection;
        let page = RoomRow::find(connection, room).and_then(|row| {
            let Some(row) = row else { return Ok(Page::default()) };
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

    /// Whether what is written now is in the file at the path. A write-ahead log that somebody has deleted is made anew:
    /// what was in it is still open here.
    fn is_in_place(&mut self) -> Result<(), DatabaseError> {
        match self.watch.look() {
            Ok(Log::InPlace) => return Ok(()),
            Ok(Log::Gone) => {}
            Err(lost) => {
                // The file that is open shall have all that was said. And the log must not be taken for one of the file that
                // lies there now: the next to open that would write our pages into it.
                if lost != Lost::Cut {
                    self.fold_log();
                }
                return Err(DatabaseError::new(&self.path, Doing::Writing, Cause::Lost(lost)));
            }
        }
        // Leaving the mode folds the log into the file and closes it; coming back makes a new one.
        let renewed = set_journal(&self.connection, "DELETE").and_then(|()| set_journal(&self.connection, "WAL"));
        self.watch.renewed();
        renewed.map_err(|error| self.not_written(error))
    }

    /// A file that is not as the last daemon has left it begins anew. That is on the disk, and in the file itself, before
    /// anything is said: so the next daemon knows of it, whatever becomes of the write-ahead log.
    fn save_lineage(&mut self) -> Result<(), DatabaseError> {
        if self.in_file != InFile::NotYet {
            return Ok(());
        }
        let saved = self
            .lineage
            .save(&self.connection)
            .and_then(|()| self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())));
        self.watch.folded();
        self.in_file = match saved {
            Ok(()) => InFile::Yes,
            Err(error) if errors::is_damage(&error) => InFile::Never,
            Err(error) => return Err(self.not_written(error)),
        };
        Ok(())
    }

    /// After whatever may have changed the files: notes how they are left. A log that has become long is folded.
    fn left(&mut self) {
        self.watch.left();
        let pages = self.log_pages();
        self.note(Phase::Logging, pages);
        if pages.logged >= FOLD_AT_PAGES && pages.folded < pages.logged {
            self.fold();
        }
    }

    /// Copies what is in the write-ahead log to the file. The next batch overwrites the log. SQLite does not do it by itself:
    /// while it is done, the mark has to say so.
    fn fold(&mut self) {
        self.note(Phase::Folding, self.log_pages());
        let _ = self.connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
        self.watch.left();
        self.note(Phase::Logging, self.log_pages());
    }

    fn note(&mut self, phase: Phase, pages: LogPages) {
        if self.in_file == InFile::Yes {
            let log = self.log_end(pages);
            self.mark.note(phase, log);
        }
    }

    fn log_pages(&self) -> LogPages {
        let pages = self.connection.prepare_cached("PRAGMA wal_checkpoint(NOOP)").and_then(|mut statement| {
            statement.query_row([], |row| Ok(LogPages { logged: row.get(1)?, folded: row.get(2)? }))
        });
        pages.unwrap_or_default()
    }

    /// What of the log is not in the file: nothing, if all of it is.
    fn log_end(&self, pages: LogPages) -> Option<LogEnd> {
        (pages.folded < pages.logged).then(|| LogEnd::at(&self.path, pages.logged)).flatten()
    }

    /// Moves what is in the write-ahead log to the file. If that cannot be done now, it is tried again the next time.
    fn fold_log(&mut self) {
        self.fold();
        let _ = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        self.watch.folded();
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

impl Drop for Database {
    /// SQLite folds the log into the file and deletes the log, by its name: that may be another file's by now.
    fn drop(&mut self) {
        let lost = self.watch.look();
        if matches!(lost, Err(Lost::Replaced)) {
            self.fold_log();
        }
        if matches!(lost, Err(Lost::Replaced | Lost::Cut)) {
            // If it cannot be set, there is nothing else that could be done.
            let _ = self.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
        }
        if lost.is_ok() {
            // What is left for the connection to do changes nothing in the file.
            self.fold();
            if self.in_file == InFile::Yes && self.log_end(self.log_pages()).is_none() {
                self.mark.ends_in_order();
            }
        }
    }
}

/// Pages of the write-ahead log.
#[derive(Debug, Clone, Copy, Default)]
struct LogPages {
    logged: u64,
    /// Of those, such as are in the file.
    folded: u64,
}
