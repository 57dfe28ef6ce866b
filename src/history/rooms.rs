//! The rooms in use, and those that wait for the store to open them.

use std::collections::VecDeque;

use super::batch::Batch;
use super::sequencer::{Pending, Place};
use super::worker::Opening;
use super::{Committed, PageSize, RoomKey, Wanted};
use crate::chat::{Kept, Member, RoomName};

/// The rooms in use, by their keys. Keys are small numbers that are used again, so this is as long as there are rooms.
pub(super) struct LogRooms {
    rooms: Vec<Option<LogRoom>>,
    in_use: usize,
    next_serial: u64,
    /// Rooms to be opened once the store opens fewer.
    to_open: VecDeque<Opening>,
}

/// A room in use.
pub(super) struct LogRoom {
    pub(super) name: RoomName,
    /// No two uses of a key share it: a late answer for an earlier use is dropped.
    pub(super) serial: u64,
    /// What waits for the room to be opened. None once it is open.
    pub(super) held: Option<Held>,
    pub(super) place: Place,
}

/// What came before its room was open.
pub(super) struct Held {
    /// Those of `entries` that are kept.
    pub(super) kept: Batch,
    pub(super) entries: Vec<Pending>,
    pub(super) reads: Vec<HeldRead>,
}

/// A page that was asked for.
pub(super) struct HeldRead {
    pub(super) wanted: Wanted,
    pub(super) size: PageSize,
    pub(super) reader: Member,
}

impl LogRooms {
    pub(super) fn new() -> LogRooms {
        LogRooms { rooms: Vec::new(), in_use: 0, next_serial: 1, to_open: VecDeque::new() }
    }

    pub(super) fn get(&self, RoomKey(nth): RoomKey) -> Option<&LogRoom> {
        self.rooms.get(nth as usize)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, RoomKey(nth): RoomKey) -> Option<&mut LogRoom> {
        self.rooms.get_mut(nth as usize)?.as_mut()
    }

    /// The room with that key, if it still is the use that was meant.
    pub(super) fn of_serial(&self, key: RoomKey, serial: u64) -> Option<&LogRoom> {
        self.get(key).filter(|room| room.serial == serial)
    }

    /// A room comes into use, and waits to be opened.
    pub(super) fn insert(&mut self, key: RoomKey, name: RoomName) {
        let serial = self.next_serial;
        self.next_serial += 1;
        let nth = key.0 as usize;
        if self.rooms.len() <= nth {
            self.rooms.resize_with(nth + 1, || None);
        }
        let room = LogRoom { name: name.clone(), serial, held: Some(Held::new()), place: Place::default() };
        if self.rooms[nth].replace(room).is_none() {
            self.in_use += 1;
        }
        self.to_open.push_back(Opening { room: key, serial, name, tries: 0 });
        // Openings of rooms that were forgotten before their turn came must not pile up.
        if self.to_open.len() > 2 * self.in_use {
            let rooms = &self.rooms;
            let is_wanted = |room: &LogRoom, opening: &Opening| room.serial == opening.serial;
            self.to_open.retain(|opening| {
                rooms.get(opening.room.0 as usize).and_then(Option::as_ref).is_some_and(|room| is_wanted(room, opening))
            });
        }
    }

    /// A room is no longer in use.
    pub(super) fn remove(&mut self, RoomKey(nth): RoomKey) -> Option<LogRoom> {
        let room = self.rooms.get_mut(nth as usize)?.take()?;
        self.in_use -= 1;
        Some(room)
    }

    /// The next room to be opened. Those that were forgotten meanwhile are left out.
    pub(super) fn next_to_open(&mut self) -> Option<Opening> {
        while let Some(opening) = self.to_open.pop_front() {
            if self.of_serial(opening.room, opening.serial).is_some() {
                return Some(opening);
            }
        }
        // Many rooms at once are rare.
        self.to_open.shrink_to_fit();
        None
    }
}

impl Held {
    fn new() -> Held {
        Held { kept: Batch::default(), entries: Vec::new(), reads: Vec::new() }
    }

    pub(super) fn push_kept(&mut self, author: Member, kept: Kept<'_>) {
        // All are of one room, so no list of rooms is kept.
        self.kept.push(0, kept);
        self.entries.push(Pending::Kept { author });
    }

    pub(super) fn push_other(&mut self, entry: Committed<'static>) {
        self.entries.push(Pending::Other(entry));
    }
}
