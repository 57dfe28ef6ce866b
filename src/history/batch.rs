//! The messages that a store is given at once.

use std::ops::Range;

use super::RoomKey;
use crate::chat::{Kept, Kind, Name, NewMessage, RoomName, Tag};
use crate::limits::fixed::{RETAINED_MESSAGES, RETAINED_TEXT_BYTES};

/// Messages of any rooms. A batch goes to the store by value and comes back with the ids, so nothing in it is copied or
/// shared; then it is emptied, and its memory is used for a later batch.
#[derive(Debug, Default)]
pub struct Batch {
    rooms: Vec<(RoomKey, RoomName)>,
    messages: Vec<BatchedMessage>,
    /// The texts of all messages, in one buffer: a message costs no allocation of its own.
    texts: String,
    /// Of the first messages; of all, once the store has kept them.
    pub(super) ids: Vec<u64>,
}

#[derive(Debug)]
struct BatchedMessage {
    room: usize,
    name: Name,
    tag: Option<Tag>,
    unix_ms: u64,
    kind: Kind,
    text: Range<usize>,
}

impl Batch {
    /// The rooms of the messages, each once.
    #[must_use]
    pub fn rooms(&self) -> &[(RoomKey, RoomName)] {
        &self.rooms
    }

    /// All messages in their order, each with the place of its room in [`Batch::rooms`].
    pub fn messages(&self) -> impl Iterator<Item = (usize, NewMessage<'_>)> {
        self.messages.iter().map(|message| (message.room, self.new_message(message)))
    }

    /// Messages.
    #[must_use]
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// Whether it has no message.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Bytes of all texts, without names.
    #[must_use]
    pub fn text_bytes(&self) -> usize {
        self.texts.len()
    }

    /// The place of a room that is not in the batch yet.
    pub(super) fn add_room(&mut self, key: RoomKey, name: RoomName) -> usize {
        self.rooms.push((key, name));
        self.rooms.len() - 1
    }

    /// Adds an entry of the room in that place.
    pub(super) fn push(&mut self, room: usize, kept: Kept<'_>) {
        let Kept::Said(NewMessage { name, tag, unix_ms, kind, text }) = kept;
        let start = self.texts.len();
        self.texts.push_str(text);
        let text = start..self.texts.len();
        self.messages.push(BatchedMessage { room, name: name.clone(), tag, unix_ms, kind, text });
    }

    /// The entry in that place, with its id. None if there is none, or if it has no id.
    pub(super) fn entry(&self, nth: usize) -> Option<(u64, Kept<'_>)> {
        let id = *self.ids.get(nth)?;
        Some((id, Kept::Said(self.new_message(self.messages.get(nth)?))))
    }

    /// Empties it and keeps its memory, unless that is unusually much.
    pub(super) fn clear(&mut self) {
        if self.is_empty() {
            return;
        }
        self.rooms.clear();
        self.messages.clear();
        self.messages.shrink_to(RETAINED_MESSAGES);
        self.ids.clear();
        self.ids.shrink_to(RETAINED_MESSAGES);
        self.texts.clear();
        self.texts.shrink_to(RETAINED_TEXT_BYTES);
    }

    fn new_message<'a>(&'a self, message: &'a BatchedMessage) -> NewMessage<'a> {
        let BatchedMessage { room: _, name, tag, unix_ms, kind, text } = message;
        let text = self.texts.get(text.clone()).unwrap_or_default();
        NewMessage { name, tag: *tag, unix_ms: *unix_ms, kind: *kind, text }
    }
}
