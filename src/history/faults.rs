//! What is wrong with a log: each change is logged, and only the change.

use std::collections::BTreeSet;
use std::fmt;

use ::log::{info, warn};

use super::retention::Trimmed;
use super::store::{Notice, StoreError};
use super::{Condition, Stored, ids};
use crate::chat::{Kind, RoomName};
use crate::limits::fixed::MAX_KNOWN_DAMAGE;

/// Whether something works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Health {
    Good,
    Bad,
}

impl Health {
    fn is_bad(&mut self, error: &dyn fmt::Display) {
        if std::mem::replace(self, Health::Bad) == Health::Good {
            warn!("{error}");
        }
    }

    fn is_good_again(&mut self, sentence: &str) {
        if std::mem::replace(self, Health::Good) == Health::Bad {
            info!("{sentence}");
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Faults {
    pub(super) writing: Health,
    pub(super) reading: Health,
    trimming: Health,
    /// Of messages that cannot be read: their room and their id.
    known_damage: BTreeSet<(RoomName, u64)>,
    is_damage_logged: bool,
}

impl Faults {
    pub(super) fn none() -> Faults {
        Faults {
            writing: Health::Good,
            reading: Health::Good,
            trimming: Health::Good,
            known_damage: BTreeSet::new(),
            is_damage_logged: false,
        }
    }

    pub(super) fn condition(&self) -> Condition {
        if self.writing == Health::Bad {
            Condition::CannotKeep
        } else if self.is_damage_logged || !self.known_damage.is_empty() {
            Condition::Damaged
        } else {
            Condition::Good
        }
    }

    /// Something of the store was found to be lost, and is told to the operator by the caller.
    pub(super) fn lost_something(&mut self) {
        self.is_damage_logged = true;
    }

    /// A batch was written, or not.
    pub(super) fn wrote(&mut self, result: Result<&(), &StoreError>) {
        match result {
            Ok(()) => self.writing.is_good_again("the history is written again"),
            Err(error) => self.writing.is_bad(error),
        }
    }

    /// A probe has found whether something can be written.
    pub(super) fn probed(&mut self, result: &Result<(), StoreError>) {
        match result {
            Ok(()) => self.writing.is_good_again("the history can be written again"),
            Err(error) => self.writing.is_bad(error),
        }
    }

    /// Messages of a room were read.
    pub(super) fn has_read(&mut self, room: Option<&RoomName>, messages: &[Stored]) {
        self.reading.is_good_again("the history can be read again");
        if let Some(room) = room {
            self.log_damage(room, messages);
        }
    }

    /// A damaged page is a part of the file: others can be read, and every reader of that place finds it again.
    pub(super) fn cannot_read(&mut self, error: &StoreError) {
        match error {
            StoreError::Damaged(_) => {
                if !std::mem::replace(&mut self.is_damage_logged, true) {
                    warn!("{error}");
                }
            }
            StoreError::Busy(_) | StoreError::Unavailable(_) => self.reading.is_bad(error),
        }
    }

    /// A trim is done, or has failed.
    pub(super) fn trimmed(&mut self, result: Result<Trimmed, StoreError>) {
        let Trimmed { messages, rooms, damaged_rooms, more: _ } = match result {
            Ok(trimmed) => trimmed,
            Err(error) => return self.trimming.is_bad(&error),
        };
        if messages > 0 {
            let (plural, of_rooms) = (if messages == 1 { "" } else { "s" }, if rooms == 1 { "room" } else { "rooms" });
            info!("deleted {messages} message{plural} of {rooms} {of_rooms}: beyond what is to be kept");
        }
        if damaged_rooms > 0 {
            self.trimming.is_bad(&format_args!(
                "what is too old cannot be deleted in {damaged_rooms} of the rooms, for they are damaged; run `roomd check`"
            ));
        } else {
            self.trimming.is_good_again("what is too old is deleted from the history again");
        }
    }

    /// The store has something to say.
    pub(super) fn noticed(&self, notice: &Notice) {
        match notice {
            Notice::Trouble(sentence) => warn!("{sentence}"),
            Notice::Over(sentence) => info!("{sentence}"),
        }
    }

    /// The store's thread has ended, and had something to do.
    pub(super) fn thread_ended(&mut self) {
        self.writing.is_bad(&"the thread of the history has ended, which is a fault of roomd; restart it");
    }

    /// Names the messages that cannot be read, each once.
    fn log_damage(&mut self, room: &RoomName, messages: &[Stored]) {
        let damaged = messages.iter().filter(|message| message.kind == Kind::Damaged).map(|message| message.id);
        let mut found = Vec::new();
        for id in damaged {
            if self.known_damage.len() < MAX_KNOWN_DAMAGE && self.known_damage.insert((room.clone(), id)) {
                found.push(id);
            }
        }
        if !found.is_empty() {
            let ids = ids::in_words(&found);
            warn!("in the history, of {room}, {ids} damaged; run `roomd check` to find all damage");
        }
    }
}
