//! Messages that live as long as the daemon: they are given their number and have happened.
//!
//! They are kept by the room itself, in its scrollback; what is here is the order.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::ops::Range;

use super::{Entry, History, Outcome, PageSize, Pressure, Reach, RoomIds, RoomKey, Wanted};
use crate::chat::position::Epoch;
use crate::chat::{Change, Kind, Message, Name, RoomName};
use crate::moment::Now;

/// What a turn of unusual size has needed is given back, down to this.
const KEPT_ENTRIES: usize = 1_024;
const KEPT_TEXT_BYTES: usize = 256 * 1024;

/// Half of what JavaScript counts exactly (2^53): a clock gets there in the year 2112.
const LAST_FIRST_ID: u64 = 1 << 52;

/// See the module. Commits at once: what is appended comes back in the same turn.
#[derive(Debug)]
pub struct Memory<M> {
    appended: VecDeque<(RoomKey, Appended<M>)>,
    /// The texts of all that is in `appended`, in one buffer, so that none costs an allocation.
    texts: String,
    /// By the number of the room: rooms are numbered like the seats of a table, so this is as long as there are rooms.
    last_ids: Vec<u64>,
    /// The highest id of any room so far. A room that is forgotten and begun anew goes on above it, also in the same
    /// millisecond.
    highest_id: u64,
    epoch: Epoch,
    /// Who said the message that [`History::next`] gave last, for as long as the borrow lasts.
    speaker: Name,
}

#[derive(Debug)]
enum Appended<M> {
    Opened,
    Said { name: Name, unix_ms: u64, kind: Kind, text: Range<usize> },
    Changed(Change),
    Asked(M, Wanted),
}

impl<M> Memory<M> {
    /// An empty history.
    #[must_use]
    pub fn new() -> Memory<M> {
        Memory {
            appended: VecDeque::new(),
            texts: String::new(),
            last_ids: Vec::new(),
            highest_id: 0,
            epoch: Epoch(RandomState::new().hash_one(()) >> 16),
            speaker: Name::tourist(0),
        }
    }

    fn last_id(&mut self, RoomKey(nth): RoomKey) -> &mut u64 {
        let nth = nth as usize;
        if self.last_ids.len() <= nth {
            self.last_ids.resize(nth + 1, 0);
        }
        &mut self.last_ids[nth]
    }
}

impl<M> Default for Memory<M> {
    fn default() -> Memory<M> {
        Memory::new()
    }
}

impl<M> History<M> for Memory<M> {
    fn open(&mut self, room: RoomKey, _name: &RoomName) {
        *self.last_id(room) = 0;
        self.appended.push_back((room, Appended::Opened));
    }

    fn forget(&mut self, room: RoomKey) {
        self.appended.retain(|(of, _)| *of != room);
        *self.last_id(room) = 0;
    }

    fn epoch(&self) -> Epoch {
        self.epoch
    }

    fn append(&mut self, room: RoomKey, entry: Entry<'_, M>) {
        let appended = match entry {
            Entry::Changed(change) => Appended::Changed(change),
            Entry::Said { speaker: _, name, unix_ms, kind, text } => {
                let start = self.texts.len();
                self.texts.push_str(text);
                Appended::Said { name: name.clone(), unix_ms, kind, text: start..self.texts.len() }
            }
        };
        self.appended.push_back((room, appended));
    }

    fn read(&mut self, room: RoomKey, wanted: Wanted, _size: PageSize, reader: M) {
        self.appended.push_back((room, Appended::Asked(reader, wanted)));
    }

    fn next(&mut self) -> Option<(RoomKey, Outcome<'_, M>)> {
        let Some((room, appended)) = self.appended.pop_front() else {
            self.appended.shrink_to(KEPT_ENTRIES);
            self.texts.clear();
            self.texts.shrink_to(KEPT_TEXT_BYTES);
            return None;
        };
        let outcome = match appended {
            Appended::Opened => Outcome::Opened { ids: RoomIds::default(), newest: Vec::new() },
            Appended::Changed(change) => Outcome::Changed(change),
            Appended::Asked(reader, wanted) => Outcome::Read { reader, wanted, page: None },
            Appended::Said { name, unix_ms, kind, text } => {
                let next_life = first_id(unix_ms).max(self.highest_id + 1);
                let last_id = self.last_id(room);
                *last_id = if *last_id == 0 { next_life } else { *last_id + 1 };
                let id = *last_id;
                self.highest_id = self.highest_id.max(id);
                self.speaker = name;
                Outcome::Said(Message { id, unix_ms, kind, name: &self.speaker, text: &self.texts[text] })
            }
        };
        Some((room, outcome))
    }

    fn reach(&self) -> Reach {
        Reach::NewestOnly
    }

    fn pressure(&self) -> Pressure {
        Pressure::Low
    }

    fn tick(&mut self, _now: Now) {}
}

/// The ids of a room begin at the time of its first message, in microseconds since 1970. So one that somebody remembers
/// from an earlier life of the room (the daemon was started again, or the room forgotten) lies before all ids of this
/// one, and is not taken for the place where the stream goes on. For another life of the daemon, that would need more than
/// a message in a microsecond, or a clock that was set back.
fn first_id(unix_ms: u64) -> u64 {
    unix_ms.saturating_mul(1_000).clamp(1, LAST_FIRST_ID)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::entry::{Member, Node};

    const LOBBY: RoomKey = RoomKey(0);
    const OTHER: RoomKey = RoomKey(1);

    fn left() -> Change {
        Change::Left { who: Member { node: Node::FIRST, slot: 0, serial: 7 }, seat: None }
    }

    fn says<'a>(name: &'a Name, text: &'a str) -> Entry<'a, u8> {
        Entry::Said { speaker: 7, name, unix_ms: 5, kind: Kind::Message, text }
    }

    fn said<'a>(id: u64, name: &'a Name, text: &'a str) -> Outcome<'a, u8> {
        Outcome::Said(Message { id, unix_ms: 5, kind: Kind::Message, name, text })
    }

    #[test]
    fn entries_come_back_in_order_and_the_messages_of_each_room_with_rising_ids() {
        let name = Name::tourist(1);
        let mut history = Memory::new();
        history.open(LOBBY, &RoomName::lobby());
        history.append(LOBBY, Entry::Changed(left()));
        history.append(LOBBY, says(&name, "a"));
        history.append(OTHER, says(&name, "elsewhere"));
        history.append(LOBBY, says(&name, "bb"));
        history.append(LOBBY, Entry::Changed(left()));
        assert_eq!(history.next(), Some((LOBBY, Outcome::Opened { ids: RoomIds::default(), newest: Vec::new() })));
        assert_eq!(history.next(), Some((LOBBY, Outcome::Changed(left()))));
        assert_eq!(history.next(), Some((LOBBY, said(5_000, &name, "a"))));
        assert_eq!(history.next(), Some((OTHER, said(5_001, &name, "elsewhere"))));
        history.append(LOBBY, says(&name, "late"));
        assert_eq!(history.next(), Some((LOBBY, said(5_001, &name, "bb"))));
        assert_eq!(history.next(), Some((LOBBY, Outcome::Changed(left()))));
        assert_eq!(history.next(), Some((LOBBY, said(5_002, &name, "late"))));
        assert_eq!(history.next(), None);
        history.append(LOBBY, says(&name, "again"));
        assert_eq!(history.next(), Some((LOBBY, said(5_003, &name, "again"))));
    }

    #[test]
    fn a_room_that_was_forgotten_begins_anew_and_beyond_what_anybody_may_remember() {
        let name = Name::tourist(1);
        let mut history = Memory::new();
        for _ in 0..3 {
            history.append(LOBBY, says(&name, "a"));
        }
        while history.next().is_some() {}
        history.forget(LOBBY);
        history.append(LOBBY, says(&name, "in the same millisecond"));
        assert_eq!(history.next(), Some((LOBBY, said(5_003, &name, "in the same millisecond"))));
        history.forget(LOBBY);
        history.append(LOBBY, Entry::Said { speaker: 7, name: &name, unix_ms: 6, kind: Kind::Message, text: "b" });
        let begun = Message { id: 6_000, unix_ms: 6, kind: Kind::Message, name: &name, text: "b" };
        assert_eq!(history.next(), Some((LOBBY, Outcome::Said(begun))));
    }

    #[test]
    fn ids_begin_above_0_and_where_there_is_room_for_more_whatever_the_clock_says() {
        assert_eq!(first_id(0), 1);
        assert_eq!(first_id(u64::MAX), LAST_FIRST_ID);
    }
}
