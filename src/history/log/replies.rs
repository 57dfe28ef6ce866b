//! What a log does with the answers of its store.

use super::super::driver::Driver;
use super::super::rooms::Held;
use super::super::sequencer::Pending;
use super::super::store::{OpenedRoom, StoreError};
use super::super::worker::{Opening, Reply};
use super::super::{Committed, Page, RoomKey};
use super::{Log, Reading, load_of};
use crate::chat::Kept;

impl<D: Driver> Log<D> {
    pub(super) fn take_reply(&mut self, reply: Reply) {
        match reply {
            Reply::Opened(opening, opened) => self.opened(opening, opened),
            Reply::CannotOpenYet(error) => {
                self.opening = self.opening.saturating_sub(1);
                self.faults.cannot_read(&error);
            }
            Reply::Appended(batch, result) => {
                self.faults.wrote(result.as_ref());
                let settled = match result {
                    Ok(()) => self.sequencer.kept(batch),
                    Err(_) => self.sequencer.refused(),
                };
                self.backlog.take(settled);
            }
            Reply::Read(result) => self.read_page(result),
            Reply::Trimmed(result) => {
                self.trims.is_trimming = false;
                self.faults.trimmed(result);
            }
            Reply::Reserved(reserved) => self.tourists.reserved(reserved),
            Reply::Probed(result) => self.faults.probed(&result),
            Reply::Noticed(notice) => self.faults.noticed(&notice),
        }
    }

    fn opened(&mut self, opening: Opening, opened: Option<OpenedRoom>) {
        let Opening { room: key, serial, tries, name } = opening;
        if tries == 0 {
            self.opening = self.opening.saturating_sub(1);
        } else {
            self.reopened += 1;
        }
        let held = self.rooms.get_mut(key).filter(|room| room.serial == serial).and_then(|room| room.held.take());
        if let Some(opened) = &opened {
            self.faults.has_read(held.is_some().then_some(&name), &opened.newest);
        }
        let Some(held) = held else { return };
        let OpenedRoom { ids, newest } = opened.unwrap_or_default();
        self.sequencer.push_ready(key, Committed::Opened { ids, newest });
        self.release(key, held);
    }

    /// Appends what has waited for its room.
    fn release(&mut self, key: RoomKey, held: Held) {
        self.backlog.take(load_of(&held));
        let mut messages = held.kept.messages();
        for entry in held.entries {
            match entry {
                Pending::Other(entry) => self.append_other(key, entry),
                Pending::Kept { author } => {
                    if let Some((_, message)) = messages.next() {
                        self.append_kept(key, author, Kept::Said(message));
                    }
                }
            }
        }
        for read in held.reads {
            self.ask_for_page(key, read);
        }
    }

    fn read_page(&mut self, result: Result<Page, StoreError>) {
        let reading = self.reads.pop_front();
        match &result {
            Ok(page) => {
                let room = reading.as_ref().and_then(|reading| self.rooms.of_serial(reading.room, reading.serial));
                self.faults.has_read(room.map(|room| &room.name), &page.messages);
            }
            Err(error) => self.faults.cannot_read(error),
        }
        if let Some(reading) = reading {
            self.answer(reading, result.ok());
        }
    }

    /// Gives a page to its reader. A reader in a room that has been forgotten is gone.
    fn answer(&mut self, reading: Reading, page: Option<Page>) {
        let Reading { room, serial, wanted, reader } = reading;
        if self.rooms.of_serial(room, serial).is_some() {
            self.sequencer.push_ready(room, Committed::Read { reader, wanted, page });
        }
    }

    /// The store is not served any more: its requests come back as failed.
    pub(super) fn give_up(&mut self) {
        if self.sequencer.is_in_flight() || !self.reads.is_empty() {
            self.faults.thread_ended();
        }
        if self.sequencer.is_in_flight() {
            let settled = self.sequencer.refused();
            self.backlog.take(settled);
        }
        while let Some(reading) = self.reads.pop_front() {
            self.answer(reading, None);
        }
    }
}
