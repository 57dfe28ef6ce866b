//! The file as the store of a log.

use std::path::Path;

use ::log::{info, warn};

use super::database::{Database, Durability};
use super::errors::{Cause, DatabaseError, Doing};
use crate::chat::RoomName;
use crate::chat::position::Epoch;
use crate::history::batch::Batch;
use crate::history::driver::{Thread, Wake};
use crate::history::log::{Inherited, Log, LogOptions};
use crate::history::retention::{Cut, Look, Trimmed};
use crate::history::store::{Notice, OpenedRoom, Store, StoreError};
use crate::history::{Page, PageSize, RoomKey, Wanted};
use crate::limits::fixed::TOURISTS_RESERVED;

/// Opens the file, or makes it, and starts the thread that owns it.
///
/// # Errors
/// [`DatabaseError`]
pub fn open_log(
    path: &Path,
    durability: Durability,
    options: LogOptions,
    wake: Wake,
) -> Result<Log<Thread>, DatabaseError> {
    let mut database = Database::open(path, durability)?;
    let path: Box<Path> = database.path().into();
    let damaged = |_| DatabaseError::new(&path, Doing::Opening, Cause::Damaged);
    let given = database.tourists().map_err(damaged)?;
    let look = database.kept_look().map_err(damaged)?;
    let reserved = given.saturating_add(TOURISTS_RESERVED);
    // A disk that is full just now is no reason not to begin; the thread tries again.
    let reserved = database.reserve_tourists(reserved).map_or(given, |()| reserved);
    let (lost_batches, is_continued) = (database.lost_batches(), database.is_continued());
    let person_key = database.person_key();
    let inherited = Inherited { tourists: given, reserved, look, person_key };
    let mut log = Log::threaded(database, options, inherited, wake)
        .map_err(|error| DatabaseError::from_io(&path, Doing::Opening, error))?;
    info!("the history is in {}", path.display());
    if !is_continued {
        info!("it is not as a daemon has left it: who comes back from before is told to start afresh");
    }
    if lost_batches > 0 {
        log.lost_something();
        warn!(
            "the write-ahead log of the history {} was damaged, and what was said last is lost: {lost_batches} batches of \
             messages",
            path.display()
        );
    }
    Ok(log)
}

impl Store for Database {
    fn has_archive(&self) -> bool {
        true
    }

    fn epoch(&self) -> Epoch {
        Database::epoch(self)
    }

    fn open(&mut self, _key: RoomKey, room: &RoomName, newest: PageSize) -> Result<OpenedRoom, StoreError> {
        let ids = self.ids(room.as_str())?;
        let newest = self.read_before(room.as_str(), None, newest)?.messages;
        Ok(OpenedRoom { ids, newest })
    }

    fn close(&mut self, _key: RoomKey) {}

    fn append(&mut self, batch: &Batch, ids: &mut Vec<u64>) -> Result<(), StoreError> {
        Ok(Database::append(self, batch, ids)?)
    }

    fn read(&mut self, room: &RoomName, wanted: Wanted, size: PageSize) -> Result<Page, StoreError> {
        Ok(match wanted {
            Wanted::After(id) => self.read_after(room.as_str(), id, size),
            Wanted::Before(id) => self.read_before(room.as_str(), Some(id), size),
        }?)
    }

    fn trim(&mut self, cut: Cut) -> Result<Trimmed, StoreError> {
        Ok(Database::trim(self, cut)?)
    }

    fn reserve_tourists(&mut self, number: u64) -> Result<(), StoreError> {
        Ok(Database::reserve_tourists(self, number)?)
    }

    fn keep_look(&mut self, look: Look) -> Result<(), StoreError> {
        Ok(Database::keep_look(self, look)?)
    }

    fn probe(&mut self) -> Result<(), StoreError> {
        Ok(self.look()?)
    }

    fn take_notice(&mut self) -> Option<Notice> {
        Database::take_notice(self)
    }
}

impl From<DatabaseError> for StoreError {
    fn from(error: DatabaseError) -> StoreError {
        match error.cause() {
            Cause::Damaged => StoreError::Damaged(error.into()),
            Cause::Busy => StoreError::Busy(error.into()),
            _ => StoreError::Unavailable(error.into()),
        }
    }
}
