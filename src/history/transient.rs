//! The store that keeps nothing. Messages live in the scrollback of their room, for as long as the daemon; what is here
//! gives them their ids.

use std::hash::{BuildHasher, RandomState};

use super::batch::Batch;
use super::retention::{Cut, Look, Trimmed};
use super::store::{OpenedRoom, Store, StoreError};
use super::{Page, PageSize, RoomKey, Wanted};
use crate::chat::RoomName;
use crate::chat::position::Epoch;

/// Half of what JavaScript counts exactly (2^53): a clock gets there in the year 2112.
const LAST_FIRST_ID: u64 = 1 << 52;

/// See the module. Nothing in it blocks or fails.
#[derive(Debug)]
pub struct Transient {
    /// The newest id of each room by its key; 0 before the first message.
    last_ids: Vec<u64>,
    /// The highest id of any room so far. A room that is closed and opened again goes on above it, also in the same
    /// millisecond.
    highest_id: u64,
    epoch: Epoch,
}

impl Transient {
    /// An empty store, in an epoch of its own.
    #[must_use]
    pub fn new() -> Transient {
        let epoch = Epoch(RandomState::new().hash_one(()) >> 16);
        Transient { last_ids: Vec::new(), highest_id: 0, epoch }
    }
}

impl Default for Transient {
    fn default() -> Transient {
        Transient::new()
    }
}

impl Store for Transient {
    fn has_archive(&self) -> bool {
        false
    }

    fn epoch(&self) -> Epoch {
        self.epoch
    }

    fn open(&mut self, RoomKey(key): RoomKey, _room: &RoomName, _newest: PageSize) -> Result<OpenedRoom, StoreError> {
        let key = key as usize;
        if self.last_ids.len() <= key {
            self.last_ids.resize(key + 1, 0);
        }
        self.last_ids[key] = 0;
        Ok(OpenedRoom::default())
    }

    fn close(&mut self, _key: RoomKey) {}

    fn append(&mut self, batch: &Batch, ids: &mut Vec<u64>) -> Result<(), StoreError> {
        for (place, message) in batch.messages() {
            let key = batch.rooms().get(place).map(|(RoomKey(key), _)| *key as usize);
            // Only an open room has messages.
            let Some(last_id) = key.and_then(|key| self.last_ids.get_mut(key)) else { continue };
            *last_id = if *last_id == 0 { first_id(message.unix_ms).max(self.highest_id + 1) } else { *last_id + 1 };
            self.highest_id = self.highest_id.max(*last_id);
            ids.push(*last_id);
        }
        Ok(())
    }

    fn read(&mut self, _room: &RoomName, _wanted: Wanted, _size: PageSize) -> Result<Page, StoreError> {
        Ok(Page::default())
    }

    fn trim(&mut self, _cut: Cut) -> Result<Trimmed, StoreError> {
        Ok(Trimmed::default())
    }

    fn reserve_tourists(&mut self, _number: u64) -> Result<(), StoreError> {
        Ok(())
    }

    fn keep_look(&mut self, _look: Look) -> Result<(), StoreError> {
        Ok(())
    }

    fn probe(&mut self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// The ids of a room begin at the time of its first message, in microseconds since 1970. So an id that a client has kept
/// from an earlier life of the room (the daemon was restarted, or the room forgotten) lies before all ids of this life,
/// and is not mistaken for a position in it. To defeat that between two lives of the daemon, it would take more than a
/// message in a microsecond, or a clock that was set back.
fn first_id(unix_ms: u64) -> u64 {
    unix_ms.saturating_mul(1_000).clamp(1, LAST_FIRST_ID)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::{Kept, Kind, Name, NewMessage};

    const NO_PAGE: PageSize = PageSize { messages: 0, bytes: 0 };

    fn open(store: &mut Transient, key: u32) {
        assert_eq!(store.open(RoomKey(key), &RoomName::lobby(), NO_PAGE).unwrap(), OpenedRoom::default());
    }

    fn append(store: &mut Transient, messages: &[(u32, u64)]) -> Vec<u64> {
        let (mut batch, mut ids) = (Batch::default(), Vec::new());
        let name = Name::tourist(1);
        for (key, unix_ms) in messages {
            let place = batch.add_room(RoomKey(*key), RoomName::lobby());
            let message = NewMessage { name: &name, tag: None, unix_ms: *unix_ms, kind: Kind::Message, text: "x" };
            batch.push(place, Kept::Said(message));
        }
        store.append(&batch, &mut ids).unwrap();
        ids
    }

    #[test]
    fn the_ids_of_each_room_rise_by_one() {
        let mut store = Transient::default();
        open(&mut store, 0);
        open(&mut store, 1);
        assert_eq!(append(&mut store, &[(0, 5), (1, 5), (0, 5)]), [5_000, 5_001, 5_001]);
        assert_eq!(append(&mut store, &[(1, 9), (0, 9)]), [5_002, 5_002]);
    }

    #[test]
    fn a_room_that_is_opened_again_begins_above_every_id_that_was_given() {
        let mut store = Transient::default();
        open(&mut store, 0);
        assert_eq!(append(&mut store, &[(0, 5), (0, 5), (0, 5)]), [5_000, 5_001, 5_002]);
        open(&mut store, 0);
        assert_eq!(append(&mut store, &[(0, 5)]), [5_003], "in the same millisecond");
        open(&mut store, 0);
        assert_eq!(append(&mut store, &[(0, 6)]), [6_000]);
    }

    #[test]
    fn ids_begin_above_0_and_where_there_is_room_for_more_whatever_the_clock_says() {
        assert_eq!(first_id(0), 1);
        assert_eq!(first_id(u64::MAX), LAST_FIRST_ID);
    }
}
