//! A history that takes its time: what goes in comes back in some later turn, room by room in its order, as from a disk
//! that is slow, fails for a while, and throws away what is old. It keeps what was said when a room is forgotten.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::rc::Rc;

use roomd::chat::position::Epoch;
use roomd::chat::{Change, Entry, Kept, Kind, Member, Name, NewEntry, NewMessage, RoomName, Tag};
use roomd::history::{Archive, Committed, History, Page, PageSize, Pressure, RoomIds, RoomKey, Stored, Wanted};
use roomd::moment::Now;

use super::choices::Choices;

/// So many entries under way are too many, and so few are few enough again.
const MOST_UNDER_WAY: usize = 12;
const FEW_UNDER_WAY: usize = 4;

/// Messages of a room that is opened.
const NEWEST: usize = 20;

/// Messages that a page may show as damaged, by their room and id.
pub(crate) type Damaged = Rc<RefCell<BTreeSet<(String, u64)>>>;

pub(crate) struct SlowLog {
    choices: Choices,
    disk: Disk,
    epoch: Epoch,
    rooms: BTreeMap<RoomKey, Room>,
    reads: Vec<Read>,
    under_way: Rc<Cell<usize>>,
    is_behind: bool,
    /// Nothing can be read or written for now.
    is_failing: bool,
    /// Nothing comes back for now.
    is_stuck: Rc<Cell<bool>>,
    /// Nor will anything, until this is taken back.
    is_hung: Rc<Cell<bool>>,
    is_forgetful: bool,
    is_undamaged: bool,
    /// Messages that cannot be read any more, by their room and id.
    damaged: Damaged,
    /// The message that was given last, for as long as it is borrowed.
    lent: Option<Stored>,
}

/// What is kept of each room.
pub(crate) type Disk = Rc<RefCell<HashMap<String, RoomOnDisk>>>;

/// What is kept of a room.
#[derive(Default)]
pub(crate) struct RoomOnDisk {
    /// Its ids rise by one from behind this on.
    pub(crate) base: u64,
    pub(crate) last_id: u64,
    pub(crate) messages: VecDeque<Stored>,
    /// No message up to this one is kept any more.
    pub(crate) cut: u64,
}

impl RoomOnDisk {
    /// As it stands when a room is opened.
    pub(crate) fn ids(&self) -> RoomIds {
        RoomIds { first: 0, base: self.base, last: self.last_id.max(self.base) }
    }
}

struct Room {
    name: String,
    waiting: VecDeque<Waiting>,
    /// So many of them may come back in this turn.
    ready: usize,
}

enum Waiting {
    Open,
    Said { author: Member, name: Name, tag: Option<Tag>, unix_ms: u64, kind: Kind, text: Box<str> },
    Changed(Change),
}

struct Read {
    room: RoomKey,
    wanted: Wanted,
    size: PageSize,
    reader: Member,
    is_ready: bool,
}

impl SlowLog {
    /// The first cell says how much is under way, the next whether nothing comes back for now, the last whether
    /// nothing ever will.
    pub(crate) fn new(
        choices: Choices,
        under_way: Rc<Cell<usize>>,
        [is_stuck, is_hung]: [Rc<Cell<bool>>; 2],
        is_forgetful: bool,
        damaged: Damaged,
    ) -> SlowLog {
        SlowLog {
            choices,
            disk: Disk::default(),
            epoch: Epoch(1),
            rooms: BTreeMap::new(),
            reads: Vec::new(),
            under_way,
            is_behind: false,
            is_failing: false,
            is_stuck,
            is_hung,
            is_forgetful,
            is_undamaged: false,
            damaged,
            lent: None,
        }
    }

    /// Nothing of it is ever damaged.
    pub(crate) fn undamaged(self) -> SlowLog {
        SlowLog { is_undamaged: true, ..self }
    }

    /// On a disk that had a life before this one.
    pub(crate) fn on(self, disk: &Disk, epoch: Epoch) -> SlowLog {
        SlowLog { disk: Rc::clone(disk), epoch, ..self }
    }

    fn count(&mut self) {
        let entries = self.rooms.values().map(|room| room.waiting.len()).sum::<usize>();
        self.under_way.set(entries + self.reads.len());
        self.is_behind = entries > if self.is_behind { FEW_UNDER_WAY } else { MOST_UNDER_WAY };
    }

    /// What was asked for, out of what has come back so far.
    fn page(&mut self, read: &Read) -> Option<Page> {
        if self.is_failing {
            return None;
        }
        let disk = Rc::clone(&self.disk);
        let mut disk = disk.borrow_mut();
        let kept = disk.entry(self.rooms.get(&read.room)?.name.clone()).or_default();
        let is_wanted = |message: &&Stored| match read.wanted {
            Wanted::After(id) => message.id > id,
            Wanted::Before(id) => message.id < id,
        };
        let mut wanted: Vec<&Stored> = kept.messages.iter().filter(is_wanted).collect();
        if matches!(read.wanted, Wanted::Before(_)) {
            wanted.reverse();
        }
        let mut bytes = 0;
        let mut messages = Vec::new();
        for message in wanted.iter().take(read.size.messages) {
            messages.push((*message).clone());
            bytes += message.text.len();
            if bytes > read.size.bytes {
                break;
            }
        }
        let more = messages.len() < wanted.len();
        messages.sort_by_key(|message| message.id);
        if let Some(room) = self.rooms.get(&read.room) {
            let name = room.name.clone();
            self.damage(&name, &mut messages);
        }
        let is_cut = match read.wanted {
            Wanted::After(id) => id < kept.cut,
            Wanted::Before(_) => false,
        };
        Some(Page { messages, more, is_cut })
    }
}

impl SlowLog {
    /// Now and then one more message of a page is damaged, and stays so.
    fn damage(&mut self, room: &str, messages: &mut [Stored]) {
        let mut damaged = self.damaged.borrow_mut();
        if !messages.is_empty() && !self.is_undamaged && self.choices.one_in(3) {
            damaged.insert((room.to_owned(), self.choices.choose(messages).id));
        }
        for message in messages.iter_mut().filter(|message| damaged.contains(&(room.to_owned(), message.id))) {
            *message = Stored { unix_ms: message.unix_ms, ..Stored::damaged(message.id) };
        }
    }
}

impl History for SlowLog {
    fn open(&mut self, key: RoomKey, name: &RoomName) {
        let room = Room { name: name.to_string(), waiting: VecDeque::from([Waiting::Open]), ready: 0 };
        self.rooms.insert(key, room);
        self.count();
    }

    fn forget(&mut self, key: RoomKey) {
        self.rooms.remove(&key);
        self.reads.retain(|read| read.room != key);
        self.count();
    }

    fn epoch(&self) -> Epoch {
        self.epoch
    }

    fn append(&mut self, key: RoomKey, entry: NewEntry<'_>) {
        let waiting = match entry {
            Entry::Kept { author, kept: Kept::Said(NewMessage { name, tag, unix_ms, kind, text }), .. } => {
                Waiting::Said { author, name: name.clone(), tag, unix_ms, kind, text: text.into() }
            }
            Entry::Change(change) => Waiting::Changed(change),
        };
        self.rooms.get_mut(&key).expect("an open room").waiting.push_back(waiting);
        self.count();
    }

    fn read(&mut self, room: RoomKey, wanted: Wanted, size: PageSize, reader: Member) {
        self.reads.push(Read { room, wanted, size, reader, is_ready: self.choices.one_in(4) });
        self.count();
    }

    fn next(&mut self) -> Option<(RoomKey, Committed<'_>)> {
        let ready: Vec<RoomKey> = self.rooms.iter().filter(|(_, room)| room.ready > 0).map(|(key, _)| *key).collect();
        let read = self.reads.iter().position(|read| read.is_ready);
        if let Some(read) = read
            && (ready.is_empty() || self.choices.one_in(3))
        {
            let read = self.reads.swap_remove(read);
            let page = self.page(&read);
            self.count();
            return Some((read.room, Committed::Read { reader: read.reader, wanted: read.wanted, page }));
        }
        if ready.is_empty() {
            return None;
        }
        let key = *self.choices.choose(&ready);
        let room = self.rooms.get_mut(&key)?;
        // A room that cannot be read is tried again until it can.
        if self.is_failing && matches!(room.waiting.front(), Some(Waiting::Open)) {
            room.ready = 0;
            return self.next();
        }
        room.ready -= 1;
        let waiting = room.waiting.pop_front()?;
        let name = room.name.clone();
        self.count();
        let mut newest = Vec::new();
        if matches!(waiting, Waiting::Open)
            && let Some(kept) = Rc::clone(&self.disk).borrow().get(&name)
        {
            newest = kept.messages.iter().skip(kept.messages.len().saturating_sub(NEWEST)).cloned().collect();
            self.damage(&name, &mut newest);
        }
        let mut disk = self.disk.borrow_mut();
        let kept = disk.entry(name).or_default();
        let outcome = match waiting {
            Waiting::Open => Committed::Opened { ids: kept.ids(), newest },
            Waiting::Said { author, .. } if self.is_failing => Committed::Refused(author),
            Waiting::Said { author, name, tag, unix_ms, kind, text } => {
                kept.last_id = kept.ids().last + 1;
                let message = Stored { id: kept.last_id, unix_ms, kind, name, tag, text };
                kept.messages.push_back(message.clone());
                let Stored { id, unix_ms, kind, name, tag, text } = self.lent.insert(message);
                let message = NewMessage { name, tag: *tag, unix_ms: *unix_ms, kind: *kind, text };
                Committed::Entry(Entry::Kept { id: *id, author, kept: Kept::Said(message) })
            }
            Waiting::Changed(change) => Committed::Entry(Entry::Change(change)),
        };
        Some((key, outcome))
    }

    fn person_key(&self) -> Option<[u8; 32]> {
        Some([7; 32])
    }

    fn archive(&self) -> Archive {
        Archive::Present
    }

    fn pressure(&self) -> Pressure {
        if self.is_behind { Pressure::High } else { Pressure::Low }
    }

    fn tick(&mut self, _now: Now) {
        if self.is_hung.get() {
            self.rooms.values_mut().for_each(|room| room.ready = 0);
            self.reads.iter_mut().for_each(|read| read.is_ready = false);
            return;
        }
        let choices = &mut self.choices;
        self.is_stuck.set(if self.is_stuck.get() { !choices.one_in(40) } else { choices.one_in(60) });
        if self.is_stuck.get() {
            return;
        }
        for room in self.rooms.values_mut() {
            room.ready = match choices.below(4) {
                0 => room.ready,
                1 => room.waiting.len(),
                _ => (room.ready + choices.below(4)).min(room.waiting.len()),
            };
        }
        for read in &mut self.reads {
            read.is_ready |= choices.one_in(3);
        }
        self.is_failing = if self.is_failing { !choices.one_in(5) } else { choices.one_in(40) };
        if self.is_forgetful && choices.one_in(50) {
            for kept in self.disk.borrow_mut().values_mut() {
                let old = choices.below(kept.messages.len() + 1);
                kept.cut = kept.messages.drain(..old).next_back().map_or(kept.cut, |last| last.id);
            }
        }
    }
}
