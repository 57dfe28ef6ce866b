//! What one room hears in one turn: its chunks.
//!
//! There is one for each [`ChunkKey`]: each framing, and in it what quiet members hear, who hear only what is said, and what
//! the others hear. An event is encoded once: its JSON is written into the first chunk, and framed from there for each other
//! chunk that a member hears. A chunk grows from the beginning of the turn to its end; a place in it is a number of bytes.
//! What is here writes to nobody: the [`outbox`](super::outbox) knows at which place each member is.

use std::rc::Rc;

use crate::chat::visit::Verbosity;
use crate::chat::{Event, RoomName};
use crate::connection::Connection;
use crate::framing::Framing;
use crate::limits::fixed::{KEPT_CHUNK_BYTES, WRITE_CALL_BYTES};
use crate::write_queue::LateBytes;

/// Which chunk of its room a member hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ChunkKey {
    framing: Framing,
    verbosity: Verbosity,
}

impl ChunkKey {
    /// Each of them, at its index.
    pub(super) const ALL: [ChunkKey; 2 * Framing::ALL.len()] = [
        ChunkKey { framing: Framing::WebSocket, verbosity: Verbosity::Everything },
        ChunkKey { framing: Framing::WebSocket, verbosity: Verbosity::MessagesOnly },
    ];

    pub(super) fn of(connection: &Connection) -> ChunkKey {
        ChunkKey { framing: connection.framing(), verbosity: connection.verbosity() }
    }

    #[inline]
    pub(super) fn index(self) -> usize {
        2 * self.framing.index() + self.verbosity as usize
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Stream {
    /// One for each key, at its index. The first is made though nobody may hear it: the JSON has to be written somewhere, and
    /// nearly always somebody does. The others are made while somebody hears them.
    chunks: [TurnChunk; ChunkKey::ALL.len()],
}

/// The units of one room in one turn. They are written from here to every socket that takes them, and become a shared
/// allocation only when the first socket does not.
#[derive(Debug, Default)]
pub(super) struct TurnChunk {
    /// Whole units, appended in the order in which the room hears them.
    bytes: Vec<u8>,
    shared: Option<Rc<[u8]>>,
    /// For queues that were given a part of it before it was finished.
    late: Option<Rc<LateBytes>>,
    /// Members that hear it.
    members: usize,
}

impl Stream {
    /// A turn begins in which the room hears something. The buffers are empty.
    pub(super) fn begin(&mut self, mut spare_buffer: impl FnMut() -> Vec<u8>) {
        for (index, chunk) in self.chunks.iter_mut().enumerate() {
            if index == 0 || chunk.members > 0 {
                chunk.bytes = spare_buffer();
            }
        }
    }

    /// Tells an event to the members who hear everything. Gives its JSON.
    pub(super) fn tell(&mut self, event: Event<'_>, room: &RoomName) -> &[u8] {
        self.append(event, room, |verbosity| verbosity == Verbosity::Everything)
    }

    /// Tells an event to all members, quiet ones as well. Gives its JSON.
    #[inline]
    pub(super) fn tell_all(&mut self, event: Event<'_>, room: &RoomName) -> &[u8] {
        self.append(event, room, |_| true)
    }

    #[inline]
    fn append(&mut self, event: Event<'_>, room: &RoomName, is_told: impl Fn(Verbosity) -> bool) -> &[u8] {
        let ([first_key, other_keys @ ..], [first, others @ ..]) = (&ChunkKey::ALL, &mut self.chunks);
        let json = first_key.framing.append_with(&mut first.bytes, |out| event.write_json(room, out));
        for (key, chunk) in other_keys.iter().zip(others) {
            if chunk.members > 0 && is_told(key.verbosity) {
                key.framing.append(&mut chunk.bytes, json);
            }
        }
        json
    }

    /// A member comes to hear it.
    pub(super) fn add_member(&mut self, key: ChunkKey) {
        self.chunk(key).members += 1;
    }

    /// A member hears it no longer.
    pub(super) fn remove_member(&mut self, key: ChunkKey) {
        self.chunk(key).members -= 1;
    }

    /// The chunk of a key.
    #[inline]
    pub(super) fn chunk(&mut self, key: ChunkKey) -> &mut TurnChunk {
        &mut self.chunks[key.index()]
    }

    /// All of them: for each its framing, how many members hear it, and its units so far.
    pub(super) fn chunks(&self) -> impl Iterator<Item = (Framing, usize, &[u8])> {
        ChunkKey::ALL.iter().zip(&self.chunks).map(|(key, chunk)| (key.framing, chunk.members, &*chunk.bytes))
    }

    /// So many members can be written to for so many bytes.
    pub(super) fn writes_within(&self, bytes: usize) -> usize {
        bytes / self.write_cost(1)
    }

    /// What it costs in bytes to write it to so many members: as if each heard the longest chunk, and the calls.
    pub(super) fn write_cost(&self, members: usize) -> usize {
        let longest = self.chunks.iter().map(TurnChunk::len).max().unwrap_or_default();
        members * (longest + WRITE_CALL_BYTES)
    }

    pub(super) fn is_empty(&self) -> bool {
        // What any member hears is in the first as well.
        self.chunks[0].bytes.is_empty()
    }

    /// Nothing more is added in this turn: queues that were given a part have it from now on.
    pub(super) fn finish(&mut self) {
        for chunk in &mut self.chunks {
            if let Some(late) = chunk.late.take() {
                late.put(chunk.share());
            }
        }
    }

    /// The turn is over: gives back the buffers, empty.
    pub(super) fn clear(&mut self) -> [Vec<u8>; ChunkKey::ALL.len()] {
        self.finish();
        self.chunks.each_mut().map(TurnChunk::reclaim)
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
        self.shared = None;
        let mut buffer = std::mem::take(&mut self.bytes);
        buffer.clear();
        buffer.shrink_to(KEPT_CHUNK_BYTES);
        buffer
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::websocket::frame::{Opcode, append_frame};

    const EVERYTHING: ChunkKey = ChunkKey::ALL[0];
    const MESSAGES_ONLY: ChunkKey = ChunkKey::ALL[1];

    fn tell_both(stream: &mut Stream) -> (Vec<u8>, Vec<u8>) {
        let room = RoomName::lobby();
        stream.begin(Vec::new);
        let for_some = stream.tell(Event::Online { online: 2 }, &room).to_vec();
        let for_all = stream.tell_all(Event::Pong { token: "said" }, &room).to_vec();
        (for_some, for_all)
    }

    fn frames(payloads: &[&[u8]]) -> Vec<u8> {
        let mut frames = Vec::new();
        payloads.iter().for_each(|payload| append_frame(&mut frames, Opcode::Text, payload));
        frames
    }

    #[test]
    fn each_key_has_its_index() {
        for (index, key) in ChunkKey::ALL.into_iter().enumerate() {
            assert_eq!(key.index(), index, "{key:?}");
        }
    }

    #[test]
    fn quiet_members_hear_only_what_all_are_told() {
        let mut stream = Stream::default();
        stream.add_member(EVERYTHING);
        stream.add_member(MESSAGES_ONLY);
        let (for_some, for_all) = tell_both(&mut stream);
        assert_eq!(stream.chunk(EVERYTHING).bytes(), frames(&[&for_some, &for_all]));
        assert_eq!(stream.chunk(MESSAGES_ONLY).bytes(), frames(&[&for_all]));
    }

    #[test]
    fn a_chunk_that_no_member_hears_is_not_made() {
        let mut stream = Stream::default();
        stream.add_member(EVERYTHING);
        stream.add_member(MESSAGES_ONLY);
        stream.remove_member(MESSAGES_ONLY);
        tell_both(&mut stream);
        assert!(stream.chunk(MESSAGES_ONLY).bytes().is_empty());
        let [_, buffer] = stream.clear();
        assert_eq!(buffer.capacity(), 0);
    }

    #[test]
    fn who_joins_in_the_middle_of_a_turn_hears_what_is_said_after_that() {
        let mut stream = Stream::default();
        stream.add_member(EVERYTHING);
        tell_both(&mut stream);
        stream.add_member(MESSAGES_ONLY);
        let json = stream.tell_all(Event::Help, &RoomName::lobby()).to_vec();
        assert_eq!(stream.chunk(MESSAGES_ONLY).bytes(), frames(&[&json]));
    }
}
