//! The log of all rooms: what is in it has happened, in its order.
//!
//! There is one log, whatever keeps the messages. It owns the order, the batches and the backlog; a
//! [`Store`] only keeps, and a [`Driver`] calls it, in place or on a thread of its own. A disk may
//! take milliseconds, or a minute; the loop does not wait for it.
//!
//! Few rooms are opened at a time (`OPENINGS_AT_ONCE`); the others wait in line. So what has been read and not been taken
//! yet is a few pages, also when a thousand rooms come into use at once, or can be read again after the disk has
//! recovered.
//!
//! A batch that cannot be written is refused, message by message, each in its place; the next is tried as if nothing had
//! happened. So a disk that has room again needs no restart.

mod replies;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use ::log::warn;

use super::backlog::Backlog;
use super::driver::{Answers, Closing, Driver, InPlace, Thread, Wake};
use super::faults::Faults;
use super::random::random_bytes;
use super::retention::{Look, Retention};
use super::rooms::{Held, HeldRead, LogRooms};
use super::sequencer::{Sequencer, Settled};
use super::store::Store;
use super::transient::Transient;
use super::upkeep::{TouristNumbers, TrimSchedule};
use super::worker::{Reply, Request};
use super::{Archive, Committed, Condition, History, PageSize, Pressure, RoomKey, Wanted};
use crate::chat::position::Epoch;
use crate::chat::{Entry, Kept, Member, NewEntry, RoomName};
use crate::limits::fixed::{HISTORY_CLOSE_WITHIN, OPENING_RETRY, OPENINGS_AT_ONCE};
use crate::moment::Now;

/// How a log in front of a store is to be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogOptions {
    /// What is kept for how long.
    pub retention: Retention,
    /// With how much a room is opened.
    pub newest: PageSize,
}

/// What the daemon before this one has left in the store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Inherited {
    /// The highest number that a tourist may have had.
    pub tourists: u64,
    /// After a restart, only numbers above this are given.
    pub reserved: u64,
    /// A look at the clock.
    pub look: Option<Look>,
    /// What the secrets of persons are hashed with.
    pub person_key: Option<[u8; 32]>,
}

/// See the module. It never waits but when it is dropped: then it lets the store write what has been appended, for two
/// seconds at most.
pub struct Log<D: Driver> {
    driver: D,
    rooms: LogRooms,
    sequencer: Sequencer,
    /// Rooms that the store is opening. Those that could not be read, and are tried again, do not count.
    opening: usize,
    /// Rooms that were opened at a later try, in this turn: the store is still to be told that they are taken.
    reopened: usize,
    /// What was asked for, in the order in which it will be answered.
    reads: VecDeque<Reading>,
    backlog: Backlog,
    trims: TrimSchedule,
    tourists: TouristNumbers,
    faults: Faults,
    person_key: Option<[u8; 32]>,
    close_within: Duration,
}

/// A page that the store is asked for.
struct Reading {
    room: RoomKey,
    serial: u64,
    wanted: Wanted,
    reader: Member,
}

/// A log that lives as long as the daemon. What is appended comes back in the same turn. The newest messages are in the
/// scrollback of their room, and no message is kept besides.
pub type InMemoryLog = Log<InPlace<Transient>>;

impl InMemoryLog {
    /// An empty log.
    #[must_use]
    pub fn new() -> InMemoryLog {
        let inherited = Inherited { person_key: random_bytes(), ..Inherited::default() };
        Log::with_driver(InPlace::new(Transient::default()), Retention::ALL, inherited)
    }
}

impl Default for InMemoryLog {
    fn default() -> InMemoryLog {
        InMemoryLog::new()
    }
}

impl Log<Thread> {
    /// A log in front of a store that may block: a thread of its own calls it, and calls `wake` whenever something has come
    /// back.
    ///
    /// # Errors
    /// If the system has no thread to give.
    pub fn threaded(
        store: impl Store,
        options: LogOptions,
        inherited: Inherited,
        wake: Wake,
    ) -> io::Result<Log<Thread>> {
        let thread = Thread::start(store, options.newest, OPENING_RETRY, wake)?;
        Ok(Log::with_driver(thread, options.retention, inherited))
    }
}

impl<D: Driver> Log<D> {
    fn with_driver(driver: D, retention: Retention, inherited: Inherited) -> Log<D> {
        Log {
            driver,
            rooms: LogRooms::new(),
            sequencer: Sequencer::new(),
            opening: 0,
            reopened: 0,
            reads: VecDeque::new(),
            backlog: Backlog::new(),
            trims: TrimSchedule::new(retention, inherited.look),
            tourists: TouristNumbers::new(inherited.tourists, inherited.reserved),
            faults: Faults::none(),
            person_key: inherited.person_key,
            close_within: HISTORY_CLOSE_WITHIN,
        }
    }

    /// A part of what was kept is lost, as the caller has told the operator.
    pub(super) fn lost_something(&mut self) {
        self.faults.lost_something();
    }

    fn append_kept(&mut self, key: RoomKey, author: Member, kept: Kept<'_>) {
        let Some(room) = self.rooms.get_mut(key) else {
            self.sequencer.push_ready(key, Committed::Refused(author));
            return;
        };
        match &mut room.held {
            Some(held) => held.push_kept(author, kept),
            None => self.sequencer.push_kept((key, &room.name, &mut room.place), author, kept),
        }
        self.add_to_backlog(kept.text_bytes());
    }

    /// An entry that is not kept. It comes back as it is.
    fn append_other(&mut self, key: RoomKey, entry: Committed<'static>) {
        let Some(room) = self.rooms.get_mut(key) else { return self.sequencer.push_ready(key, entry) };
        let waits = match &mut room.held {
            Some(held) => {
                held.push_other(entry);
                true
            }
            None => self.sequencer.push_other(key, &mut room.place, entry),
        };
        if waits {
            self.add_to_backlog(0);
        }
    }

    fn ask_for_page(&mut self, key: RoomKey, HeldRead { wanted, size, reader }: HeldRead) {
        if let Some(room) = self.rooms.get_mut(key) {
            if let Some(held) = &mut room.held {
                held.reads.push(HeldRead { wanted, size, reader });
                return;
            }
            let (serial, room) = (room.serial, room.name.clone());
            if self.driver.ask(Request::Read { room, wanted, size }).is_ok() {
                self.reads.push_back(Reading { room: key, serial, wanted, reader });
                return;
            }
        }
        self.sequencer.push_ready(key, Committed::Read { reader, wanted, page: None });
    }

    fn add_to_backlog(&mut self, text_bytes: usize) {
        // What is answered at once cannot fall behind.
        if D::ANSWERS == Answers::Later {
            self.backlog.add(text_bytes);
        }
    }

    /// Gives the store the next batch, if it has none.
    fn send_batch(&mut self) {
        while let Some(batch) = self.sequencer.next_batch() {
            if self.driver.ask(Request::Append(batch)).is_err() {
                let settled = self.sequencer.refused();
                self.backlog.take(settled);
            }
        }
    }

    /// Asks the store to open the next rooms, as many as may be opened at once.
    fn open_next(&mut self) {
        let at_once = match D::ANSWERS {
            Answers::AtOnce => usize::MAX,
            Answers::Later => OPENINGS_AT_ONCE,
        };
        while self.opening < at_once
            && let Some(opening) = self.rooms.next_to_open()
        {
            self.opening += 1;
            // If the thread has ended, the room stays as it is: only a restart helps.
            let _ = self.driver.ask(Request::Open(opening));
        }
        for _ in 0..std::mem::take(&mut self.reopened) {
            let _ = self.driver.ask(Request::TookReopened);
        }
    }
}

fn load_of(held: &Held) -> Settled {
    Settled { entries: held.entries.len(), text_bytes: held.kept.text_bytes() }
}

impl<D: Driver> History for Log<D> {
    fn open(&mut self, room: RoomKey, name: &RoomName) {
        self.forget(room);
        self.rooms.insert(room, name.clone());
        self.open_next();
    }

    fn forget(&mut self, room: RoomKey) {
        let Some(removed) = self.rooms.remove(room) else { return };
        if let Some(held) = &removed.held {
            self.backlog.take(load_of(held));
        }
        let _ = self.driver.ask(Request::Close(room));
    }

    fn epoch(&self) -> Epoch {
        self.driver.epoch()
    }

    fn append(&mut self, room: RoomKey, entry: NewEntry<'_>) {
        match entry {
            Entry::Kept { author, kept, .. } => self.append_kept(room, author, kept),
            Entry::Change(change) => self.append_other(room, Committed::Entry(Entry::Change(change))),
        }
    }

    fn read(&mut self, room: RoomKey, wanted: Wanted, size: PageSize, reader: Member) {
        self.ask_for_page(room, HeldRead { wanted, size, reader });
    }

    fn next(&mut self) -> Option<(RoomKey, Committed<'_>)> {
        loop {
            self.send_batch();
            if self.sequencer.has_ready() {
                return self.sequencer.next();
            }
            match self.driver.next_reply() {
                Ok(Some(reply)) => self.take_reply(reply),
                Ok(None) => break,
                Err(_) => {
                    self.give_up();
                    if !self.sequencer.has_ready() {
                        break;
                    }
                }
            }
        }
        self.sequencer.rest();
        // Only at the end of a turn, or one turn could go on for as long as the store finds something.
        self.open_next();
        None
    }

    fn archive(&self) -> Archive {
        if self.driver.has_archive() { Archive::Present } else { Archive::Absent }
    }

    fn pressure(&self) -> Pressure {
        self.backlog.pressure
    }

    fn tick(&mut self, now: Now) {
        let (look, cut) = self.trims.tick(now);
        if let Some(look) = look {
            // If it cannot be kept, the next daemon watches for longer before it deletes.
            let _ = self.driver.ask(Request::KeepLook(look));
        }
        if let Some(cut) = cut {
            self.trims.is_trimming = self.driver.ask(Request::Trim(cut)).is_ok();
        }
    }

    fn is_late(&mut self, late: Duration) {
        // What was said last matters more than the last second.
        self.close_within = HISTORY_CLOSE_WITHIN.saturating_sub(late).max(HISTORY_CLOSE_WITHIN / 2);
    }

    fn tourists(&self) -> u64 {
        self.tourists.given
    }

    /// Nothing is waited for: should the disk be so slow that all reserved numbers are given meanwhile, a kill just then
    /// lets some numbers be given twice.
    fn gave_number(&mut self, number: u64) {
        if let Some(number) = self.tourists.give(number)
            && self.driver.ask(Request::ReserveTourists(number)).is_err()
        {
            self.tourists.reserved(None);
        }
    }

    fn person_key(&self) -> Option<[u8; 32]> {
        self.person_key
    }

    fn condition(&self) -> Condition {
        self.faults.condition()
    }
}

impl<D: Driver> Drop for Log<D> {
    /// If the store is not served any more, there is nothing to be done, and no request matters.
    fn drop(&mut self) {
        let batch = self.sequencer.take_last_batch();
        if !batch.is_empty() {
            let _ = self.driver.ask(Request::Append(batch));
        }
        if let Some(number) = self.tourists.unused() {
            let _ = self.driver.ask(Request::ReserveTourists(number));
        }
        if let Some(look) = self.trims.look_to_keep() {
            let _ = self.driver.ask(Request::KeepLook(look));
        }
        if self.driver.close(self.close_within) == Closing::TooLate {
            warn!("the history was not closed in time: what was said last may be lost");
        }
        while let Ok(Some(reply)) = self.driver.next_reply() {
            if let Reply::Appended(_, Err(error)) = reply {
                self.faults.wrote(Err(&error));
            }
        }
    }
}
