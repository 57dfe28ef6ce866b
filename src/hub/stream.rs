//! What one room hears in one turn: its chunks.
//!
//! There are two, for quiet members hear only what is said. Each is encoded once and grows from the beginning of the turn
//! to its end; a place in it is a number of bytes. What is here knows no connection: the [`outbox`](super::outbox) knows
//! at which place each member is.

use std::rc::Rc;

use crate::chat::visit::Verbosity;
use crate::chat::{Event, RoomName};
use crate::framing::Framing;
use crate::write_queue::LateBytes;

/// What a write counts besides its bytes: a call of the system takes about as long as copying so many.
pub(super) const WRITE_CALL_BYTES: usize = 4 * 1024;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Stream {
    everything: TurnChunk,
    /// The same for quiet members: what is said only.
    messages_only: TurnChunk,
    /// Members with `?quiet=1`. While there are none, their chunk is not made.
    quiet_members: usize,
}

/// The frames of one room in one turn. They are written from here to every socket that takes them, and become a shared
/// allocation only when the first socket does not.
#[derive(Debug, Default)]
pub(super) struct TurnChunk {
    /// Whole frames, appended in the order in which the room hears them.
    bytes: Vec<u8>,
    shared: Option<Rc<[u8]>>,
    /// What queues hold of it that were given a part before it was finished.
    late: Option<Rc<LateBytes>>,
}

impl Stream {
    /// A turn begins in which the room hears something. The buffers are empty.
    pub(super) fn begin(&mut self, mut spare_buffer: impl FnMut() -> Vec<u8>) {
        self.everything.bytes = spare_buffer();
        self.messages_only.bytes = spare_buffer();
    }

    /// The members who hear everything are told. Gives the JSON of it.
    pub(super) fn tell(&mut self, event: Event<'_>, room: &RoomName) -> &[u8] {
        append_event(&mut self.everything.bytes, event, room)
    }

    /// All members are told, quiet ones as well. Gives the JSON of it.
    #[inline]
    pub(super) fn tell_all(&mut self, event: Event<'_>, room: &RoomName) -> &[u8] {
        let json = append_event(&mut self.everything.bytes, event, room);
        if self.quiet_members > 0 {
            Framing::WebSocket.append(&mut self.messages_only.bytes, json);
        }
        json
    }

    /// A member comes to hear it.
    pub(super) fn add_member(&mut self, verbosity: Verbosity) {
        self.quiet_members += usize::from(verbosity == Verbosity::MessagesOnly);
    }

    /// A member hears it no longer.
    pub(super) fn remove_member(&mut self, verbosity: Verbosity) {
        self.quiet_members -= usize::from(verbosity == Verbosity::MessagesOnly);
    }

    pub(super) fn quiet_members(&self) -> usize {
        self.quiet_members
    }

    /// What such a member hears.
    #[inline]
    pub(super) fn chunk(&mut self, verbosity: Verbosity) -> &mut TurnChunk {
        match verbosity {
            Verbosity::Everything => &mut self.everything,
            Verbosity::MessagesOnly => &mut self.messages_only,
        }
    }

    /// So many members can be written to for so many bytes.
    pub(super) fn writes_within(&self, bytes: usize) -> usize {
        bytes / self.write_cost(1)
    }

    /// What it costs in bytes to write it to so many members: as if each heard the longer of both, and the calls.
    pub(super) fn write_cost(&self, members: usize) -> usize {
        members * (self.everything.len().max(self.messages_only.len()) + WRITE_CALL_BYTES)
    }

    /// The frames that such a member hears in this turn.
    pub(super) fn frames(&self, verbosity: Verbosity) -> &[u8] {
        match verbosity {
            Verbosity::Everything => &self.everything.bytes,
            Verbosity::MessagesOnly => &self.messages_only.bytes,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        // What quiet members hear, the others hear as well.
        self.everything.bytes.is_empty()
    }

    /// Nothing more is added in this turn: queues that were given a part have it from now on.
    pub(super) fn finish(&mut self) {
        for chunk in [&mut self.everything, &mut self.messages_only] {
            if let Some(late) = chunk.late.take() {
                late.put(chunk.share());
            }
        }
    }

    /// The turn is over: gives back the buffers, empty.
    pub(super) fn clear(&mut self) -> [Vec<u8>; 2] {
        self.finish();
        [self.everything.reclaim(), self.messages_only.reclaim()]
    }
}

impl TurnChunk {
    /// How long it is by now: the place of what comes next.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    #[inline]
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The same bytes, to be kept in queues. It is finished.
    pub(super) fn share(&mut self) -> Rc<[u8]> {
        Rc::clone(self.shared.get_or_insert_with(|| Rc::from(&self.bytes[..])))
    }

    /// What it will be when it is finished, to be kept in queues.
    pub(super) fn share_late(&mut self) -> Rc<LateBytes> {
        Rc::clone(self.late.get_or_insert_default())
    }

    /// Its buffer, empty, for the next turn's chunk; smaller again, if an unusual turn has made it large.
    fn reclaim(&mut self) -> Vec<u8> {
        const KEPT_BYTES: usize = 256 * 1024;
        self.shared = None;
        let mut buffer = std::mem::take(&mut self.bytes);
        buffer.clear();
        buffer.shrink_to(KEPT_BYTES);
        buffer
    }
}

/// Appends an event as a frame. Gives the JSON of it.
pub(super) fn append_event<'a>(out: &'a mut Vec<u8>, event: Event<'_>, room: &RoomName) -> &'a [u8] {
    Framing::WebSocket.append_with(out, |out| event.write_json(room, out))
}
