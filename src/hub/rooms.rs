//! The rooms that are in use, and the lists of those for which something is to be done.

use std::collections::{HashMap, VecDeque};

use slab::Slab;

use super::past::Newest;
use super::peers::PeerId;
use super::room_state::RoomState;
use crate::chat::presence::News;
use crate::chat::{Change, Effect, Entry, Event, Kept, Message, RoomName};
use crate::history::{Archive, RoomIds, RoomKey};
use crate::limits::fixed::{SCREEN_BYTES, SPARE_BUFFERS};
use crate::limits::{Limits, ScrollbackLimit};
use crate::moment::Moment;

/// See the module.
pub(super) struct Rooms {
    rooms: Slab<RoomState>,
    by_name: HashMap<RoomName, RoomKey>,
    /// Empty rooms whose messages are in memory only. The room that has been empty longest comes first.
    empty: Vec<RoomKey>,
    /// Rooms in which something happened this turn, each at most once (`RoomState::is_dirty`).
    dirty: Vec<RoomKey>,
    /// Large rooms that will be told how many are in them, each at most once (`RoomState::is_counting`).
    counting: Vec<RoomKey>,
    /// Rooms whose share is spent and in which members stand in line, each once. The room that was served last is last.
    lines: VecDeque<RoomKey>,
    spare: Vec<Vec<u8>>,
    /// Bytes of all scrollbacks.
    kept_bytes: usize,
}

/// `--max-rooms` is reached, and there is no empty room to evict.
#[derive(Debug)]
pub(super) struct TooManyRooms;

/// A room that a visitor asked for, and what the caller has to do.
pub(super) struct Opened {
    pub(super) key: RoomKey,
    /// It is new: the caller opens it in the log.
    pub(super) is_new: bool,
    /// Empty rooms that were evicted for it: the caller has the log forget them.
    pub(super) forgotten: Vec<RoomKey>,
}

impl Rooms {
    pub(super) fn new() -> Rooms {
        Rooms {
            rooms: Slab::new(),
            by_name: HashMap::new(),
            empty: Vec::new(),
            dirty: Vec::new(),
            counting: Vec::new(),
            lines: VecDeque::new(),
            spare: Vec::new(),
            kept_bytes: 0,
        }
    }

    pub(super) fn count(&self) -> usize {
        self.rooms.len()
    }

    pub(super) fn get(&self, key: RoomKey) -> Option<&RoomState> {
        self.rooms.get(key.0 as usize)
    }

    pub(super) fn get_mut(&mut self, key: RoomKey) -> Option<&mut RoomState> {
        self.rooms.get_mut(key.0 as usize)
    }

    /// A visitor is on its way into a room. Each call is followed by one call of [`Rooms::leave`].
    pub(super) fn visit(&mut self, name: &RoomName, limits: &Limits) -> Result<Opened, TooManyRooms> {
        if let Some(&key) = self.by_name.get(name) {
            self.empty.retain(|empty| *empty != key);
            if let Some(state) = self.get_mut(key) {
                state.visitors += 1;
            }
            return Ok(Opened { key, is_new: false, forgotten: Vec::new() });
        }
        let mut forgotten = Vec::new();
        while self.rooms.len() >= limits.max_rooms {
            forgotten.push(self.forget_longest_empty().ok_or(TooManyRooms)?);
        }
        let key = RoomKey(self.rooms.insert(RoomState::new(name.clone(), limits)) as u32);
        self.by_name.insert(name.clone(), key);
        Ok(Opened { key, is_new: true, forgotten })
    }

    /// A visitor is gone from a room. Returns whether the room is gone as well, so that the caller has the log forget it: the
    /// room was empty, and nothing was said in it, or its messages can be read again.
    pub(super) fn leave(&mut self, key: RoomKey, archive: Archive) -> bool {
        let Some(state) = self.get_mut(key) else { return false };
        state.visitors -= 1;
        if state.visitors > 0 {
            return false;
        }
        if archive == Archive::Present || state.scrollback.is_empty() {
            self.remove(key);
            return true;
        }
        self.empty.push(key);
        false
    }

    /// The log has opened a room: here are its ids and its newest messages.
    pub(super) fn opened<'a>(&mut self, key: RoomKey, ids: RoomIds, newest: impl Iterator<Item = Message<'a>>) {
        let Some(state) = self.rooms.get_mut(key.0 as usize) else { return };
        state.room.begin_at(ids);
        let before = state.scrollback.bytes();
        let mut json = Vec::new();
        for message in newest {
            json.clear();
            message.write_json(state.room.name().as_str(), &mut json);
            state.scrollback.push(&json);
        }
        self.kept_bytes = self.kept_bytes + state.scrollback.bytes() - before;
    }

    /// Something happens in a room: its members are sent that at the end of this turn.
    pub(super) fn mark_dirty(&mut self, key: RoomKey) -> Option<&mut RoomState> {
        let state = self.rooms.get_mut(key.0 as usize)?;
        if !std::mem::replace(&mut state.is_dirty, true) {
            self.dirty.push(key);
            state.stream.begin(|| self.spare.pop().unwrap_or_default());
        }
        Some(state)
    }

    /// The rooms in which something happened this turn. The caller gives the list back to [`Rooms::clear`].
    pub(super) fn take_dirty(&mut self) -> Vec<RoomKey> {
        std::mem::take(&mut self.dirty)
    }

    /// The members of these rooms have been sent the turn.
    pub(super) fn clear(&mut self, mut dirty: Vec<RoomKey>) {
        for key in dirty.drain(..) {
            let Some(state) = self.rooms.get_mut(key.0 as usize) else { continue };
            state.is_dirty = false;
            for buffer in state.stream.clear() {
                // Most rooms have no quiet members, and their chunk has never had a buffer.
                if buffer.capacity() > 0 && self.spare.len() < SPARE_BUFFERS {
                    self.spare.push(buffer);
                }
            }
        }
        self.dirty = dirty;
    }

    /// The log has committed a message: it is applied to the room and encoded, once.
    pub(super) fn say(&mut self, key: RoomKey, entry: Entry<'_>, limits: &Limits, now: Moment) {
        let (id, message) = match entry {
            Entry::Kept { id, kept: Kept::Said(message), .. } => (id, message.with_id(id)),
            // See `apply`.
            Entry::Change(_) => return,
        };
        let Some(state) = self.mark_dirty(key) else { return };
        let RoomIds { last, .. } = state.room.ids();
        if id != last + 1 && last > 0 {
            state.begin_anew(id - 1);
        }
        state.room.apply(entry);
        let json = state.stream.tell_all(Event::Message(message), state.room.name());
        state.share.charge_nobody(message.uncounted_bytes(state.room.name(), json.len()), limits, now);
        let before = state.scrollback.bytes();
        state.scrollback.push(json);
        let after = state.scrollback.bytes();
        state.newest = Newest::default();
        self.kept_bytes = self.kept_bytes + after - before;
    }

    /// The log has committed a change. Returns its effect, of which the room is [told](Rooms::tell).
    pub(super) fn apply(&mut self, key: RoomKey, change: Change) -> Effect {
        let Some(state) = self.get_mut(key) else { return Effect::Nothing };
        let effect = state.room.apply(Entry::Change(change));
        match &effect {
            Effect::Joined(seat) | Effect::Left { seat, .. } | Effect::Renamed { seat, .. } => {
                state.users.changed(*seat)
            }
            // Its name may stand at another place in the list.
            Effect::LeftOnce { seat, first, .. } => {
                state.users.changed(*seat);
                state.users.changed(*first);
            }
            Effect::JoinedAgain(_)
            | Effect::WentAway(_)
            | Effect::Nothing
            | Effect::Said
            | Effect::NameRefused { .. } => {}
        }
        effect
    }

    /// Tells the room of a change, or has it told later how many are in it. Returns the bytes that each member is sent.
    pub(super) fn tell(&mut self, key: RoomKey, effect: &Effect, now: Moment) -> usize {
        let Some(state) = self.mark_dirty(key) else { return 0 };
        let online = state.room.online();
        let news = match effect {
            Effect::Joined(_) | Effect::Left { .. } => state.presence.changed(online, now),
            Effect::Renamed { .. } => state.presence.news(online),
            Effect::JoinedAgain(_)
            | Effect::LeftOnce { .. }
            | Effect::WentAway(_)
            | Effect::Nothing
            | Effect::Said
            | Effect::NameRefused { .. } => return 0,
        };
        match news {
            News::Told => return state.tell(effect),
            News::Counted if matches!(effect, Effect::Renamed { .. }) => {}
            News::Counted => self.count_later(key),
        }
        0
    }

    /// Holds all scrollbacks to their limit. The rooms that have been empty longest are evicted first, and returned for the
    /// log to forget them; then the rooms in which something is said lose their oldest messages.
    pub(super) fn forget_surplus(&mut self, limits: &Limits) -> Vec<RoomKey> {
        let mut forgotten = Vec::new();
        while self.kept_bytes > limits.kept_by_all_bytes
            && let Some(key) = self.forget_longest_empty()
        {
            forgotten.push(key);
        }
        for key in &self.dirty {
            let surplus = self.kept_bytes.saturating_sub(limits.kept_by_all_bytes);
            let Some(state) = self.rooms.get_mut(key.0 as usize) else { continue };
            if surplus > 0 {
                let before = state.scrollback.bytes();
                state.scrollback.cut(ScrollbackLimit { bytes: before.saturating_sub(surplus), ..limits.kept });
                state.newest = Newest::default();
                self.kept_bytes -= before - state.scrollback.bytes();
            }
        }
        forgotten
    }

    /// Shortens each scrollback to one screen for the next newcomer. The rest can be read again from the log.
    pub(super) fn shorten_tails(&mut self, limits: &Limits) {
        let screen =
            ScrollbackLimit { messages: limits.replay_messages.min(limits.kept.messages), bytes: SCREEN_BYTES };
        self.kept_bytes = 0;
        for (_, state) in &mut self.rooms {
            state.scrollback.shorten(screen);
            state.newest = Newest::default();
            self.kept_bytes += state.scrollback.bytes();
        }
    }

    /// A large room will be told how many are in it.
    fn count_later(&mut self, key: RoomKey) {
        if let Some(state) = self.rooms.get_mut(key.0 as usize)
            && !std::mem::replace(&mut state.is_counting, true)
        {
            self.counting.push(key);
        }
    }

    /// Tells the large rooms whose time has come how many are in them.
    pub(super) fn tell_counts(&mut self, now: Moment) {
        let mut nth = 0;
        while let Some(&key) = self.counting.get(nth) {
            let Some(state) = self.get_mut(key) else {
                self.counting.swap_remove(nth);
                continue;
            };
            if state.presence.is_count_due(now) {
                state.is_counting = false;
                self.counting.swap_remove(nth);
                if let Some(state) = self.mark_dirty(key) {
                    let online = state.room.online();
                    state.stream.tell(Event::Online { online }, state.room.name());
                }
            } else {
                nth += 1;
            }
        }
    }

    /// The share of the room is spent: a member that wants to speak stands in line.
    pub(super) fn queue_up(&mut self, key: RoomKey, id: PeerId) {
        let Some(state) = self.rooms.get_mut(key.0 as usize) else { return };
        if !state.share.has_line() {
            self.lines.push_back(key);
        }
        state.share.queue_up(id);
    }

    /// Takes the next member out of the line, if the share allows another message.
    pub(super) fn next_in_line(&mut self, key: RoomKey, limits: &Limits, now: Moment) -> Option<PeerId> {
        self.get_mut(key)?.share.next(limits, now)
    }

    /// The rooms with a line. The caller gives each to [`Rooms::keep_line`] when it has served it.
    pub(super) fn take_lines(&mut self) -> VecDeque<RoomKey> {
        std::mem::take(&mut self.lines)
    }

    /// A room has been served, and stays on the list if members still stand in line.
    pub(super) fn keep_line(&mut self, key: RoomKey) {
        if self.get(key).is_some_and(|state| state.share.has_line()) {
            self.lines.push_back(key);
        }
    }

    /// When the next member of any line may speak.
    pub(super) fn lines_deadline(&self, limits: &Limits) -> Moment {
        let lines = self.lines.iter().filter_map(|key| self.get(*key));
        lines.map(|state| state.share.deadline(limits)).min().unwrap_or(Moment::NEVER)
    }

    /// When [`Rooms::tell_counts`] has something to tell.
    pub(super) fn deadline(&self) -> Moment {
        let counting = self.counting.iter().filter_map(|key| self.get(*key));
        counting.map(|state| state.presence.deadline()).min().unwrap_or(Moment::NEVER)
    }

    fn forget_longest_empty(&mut self) -> Option<RoomKey> {
        if self.empty.is_empty() {
            return None;
        }
        let key = self.empty.remove(0);
        self.remove(key);
        Some(key)
    }

    fn remove(&mut self, key: RoomKey) {
        if let Some(mut state) = self.rooms.try_remove(key.0 as usize) {
            // The queues of members that have just left hold parts of this turn.
            state.stream.finish();
            self.by_name.remove(state.room.name());
            self.kept_bytes -= state.scrollback.bytes();
            self.counting.retain(|counting| *counting != key);
            self.dirty.retain(|dirty| *dirty != key);
            self.lines.retain(|line| *line != key);
        }
    }

    #[cfg(debug_assertions)]
    pub(super) fn check_invariants(&self) {
        assert!(self.dirty.is_empty(), "everybody has heard what there was");
        assert_eq!(self.by_name.len(), self.rooms.len());
        assert_eq!(self.kept_bytes, self.rooms.iter().map(|(_, state)| state.scrollback.bytes()).sum::<usize>());
        for (key, state) in &self.rooms {
            let key = RoomKey(key as u32);
            assert_eq!(self.by_name.get(state.room.name()), Some(&key));
            assert_eq!(state.visitors == 0, self.empty.contains(&key), "a room without visitors is on the list");
            assert!(state.presence.deadline() == Moment::NEVER || state.is_counting, "a count that nobody will tell");
            assert_eq!(state.share.has_line(), self.lines.contains(&key), "a line that nobody serves");
            assert!(state.stream.is_empty());
        }
    }

    #[cfg(debug_assertions)]
    pub(super) fn iter(&self) -> impl Iterator<Item = &RoomState> {
        self.rooms.iter().map(|(_, state)| state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::{Kind, Name, NewMessage};

    fn limits() -> Limits {
        Limits {
            max_rooms: 2,
            kept: ScrollbackLimit { messages: 100, bytes: 1_000 },
            kept_by_all_bytes: 1_000,
            ..Limits::default()
        }
    }

    fn visit(rooms: &mut Rooms, name: &str) -> Result<Opened, TooManyRooms> {
        rooms.visit(&RoomName::parse(name).unwrap(), &limits())
    }

    fn say(rooms: &mut Rooms, key: RoomKey, times: u64) {
        for id in 1..=times {
            rooms.say(key, said(id, &Name::tourist(1), "something"), &limits(), Moment::START);
        }
    }

    fn said<'a>(id: u64, name: &'a Name, text: &'a str) -> Entry<'a> {
        let message = NewMessage { name, tag: None, unix_ms: 0, kind: Kind::Message, text };
        Entry::Kept { id, author: PeerId::from_token(1).member(), kept: Kept::Said(message) }
    }

    fn end_turn(rooms: &mut Rooms) {
        let dirty = rooms.take_dirty();
        rooms.clear(dirty);
    }

    #[test]
    fn all_rooms_together_keep_no_more_than_they_may() {
        let mut rooms = Rooms::new();
        let keys = ["a", "b"].map(|name| visit(&mut rooms, name).unwrap().key);
        for key in keys {
            say(&mut rooms, key, 8);
            assert!(rooms.forget_surplus(&limits()).is_empty(), "somebody is in both");
            assert!(rooms.kept_bytes <= 1_000, "{}", rooms.kept_bytes);
        }
        assert!(rooms.get(keys[1]).unwrap().scrollback.len() > 1 || rooms.get(keys[0]).unwrap().scrollback.len() > 1);
        end_turn(&mut rooms);
    }

    #[test]
    fn who_is_in_a_room_that_the_log_has_forgotten_is_told_so_before_what_is_said_next() {
        let mut rooms = Rooms::new();
        let key = visit(&mut rooms, "a").unwrap().key;
        say(&mut rooms, key, 2);
        end_turn(&mut rooms);
        rooms.say(key, said(9, &Name::tourist(1), "again"), &limits(), Moment::START);
        let state = rooms.get(key).unwrap();
        let (_, _, heard) = state.stream.chunks().next().unwrap();
        let heard = String::from_utf8_lossy(heard);
        assert!(heard.find(r#""reset","room":"a","last":8,"reason":"gone""#) < heard.find("again"), "{heard}");
        assert!(heard.contains("reset") && heard.matches("reset").count() == 1, "{heard}");
        assert_eq!(state.room.ids(), RoomIds { first: 8, base: 8, last: 9 });
        end_turn(&mut rooms);
    }

    #[test]
    fn a_room_that_was_left_stays_until_its_place_is_needed() {
        let mut rooms = Rooms::new();
        let a = visit(&mut rooms, "a").unwrap().key;
        say(&mut rooms, a, 2);
        end_turn(&mut rooms);
        assert!(!rooms.leave(a, Archive::Absent), "what was said in it is kept nowhere else");
        let b = visit(&mut rooms, "b").unwrap();
        assert!(b.is_new && b.forgotten.is_empty());
        let again = visit(&mut rooms, "a").unwrap();
        assert!(!again.is_new && again.key == a);
        assert!(visit(&mut rooms, "c").is_err(), "both are in use");
        rooms.leave(a, Archive::Absent);
        assert_eq!(visit(&mut rooms, "c").unwrap().forgotten, [a]);
        assert!(rooms.leave(b.key, Archive::Absent), "nothing was said in it");
    }
}
