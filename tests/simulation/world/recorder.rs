//! Stands between the hub and its history and writes down what passes: the truth that clients are measured against. It
//! holds both to their contract, too.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

use roomd::chat::position::Epoch;
use roomd::chat::{Change, Effect, Entry, Kept, Member, NewEntry, Room, RoomName};
use roomd::history::{Archive, Committed, History, PageSize, Pressure, RoomKey, Wanted};
use roomd::hub::PeerId;
use roomd::moment::Now;

/// All that was said in a room, from its first message on. Places in it are counted from 1.
#[derive(Default)]
pub(crate) struct List {
    /// The id of the message in place 1; 0 before there is one.
    first_id: u64,
    pub(crate) messages: Vec<Said>,
}

impl List {
    /// The id of the message in that place, 0 for place 0: ids rise by one.
    pub(crate) fn id(&self, place: usize) -> u64 {
        if place == 0 { 0 } else { self.first_id + place as u64 - 1 }
    }

    /// Where somebody stands who has all up to that id, when so many have been said. With an id from another life of
    /// the room, or from the future, that is nowhere; just before the first message is place 0.
    pub(crate) fn place(&self, id: u64, said: usize) -> Option<usize> {
        if id == 0 {
            return Some(0);
        }
        let before_first = if said == 0 { 0 } else { self.first_id - 1 };
        let place = usize::try_from(id.checked_sub(before_first)?).ok()?;
        (place <= said).then_some(place)
    }

    pub(crate) fn at(&self, place: usize) -> &Said {
        &self.messages[place - 1]
    }

    fn last_id(&self) -> u64 {
        self.id(self.messages.len())
    }
}

/// A message as it happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) kind: &'static str,
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) unix_ms: u64,
}

impl Said {
    /// Of the event as which it is sent, without what frames it.
    pub(crate) fn json_bytes(&self, id: u64, room: &str) -> usize {
        let Said { kind, name, text, unix_ms } = self;
        let event =
            serde_json::json!({"type": kind, "id": id, "time": unix_ms, "room": room, "name": name, "mess": text});
        event.to_string().len()
    }
}

/// One stay of one connection in one room.
#[derive(Debug, Clone)]
pub(crate) struct Visit {
    pub(crate) room: String,
    /// Which list of messages.
    pub(crate) list: usize,
    /// The messages of the list that the room does not know of itself, for they were said before it was opened.
    pub(crate) unknown: usize,
    /// So many had been said when it came.
    pub(crate) came: usize,
    /// And when it took its seat, as far as that can be seen here, and when it left.
    pub(crate) seated: usize,
    pub(crate) went: Option<usize>,
    /// What the history found for it, if it was asked: nothing, or the ids.
    pub(crate) page: Option<Option<Vec<u64>>>,
}

struct Opening {
    name: String,
    list: usize,
    unknown: usize,
    is_opened: bool,
    /// The fold of what has come back.
    room: Room,
    /// Entries that have not come back.
    under_way: usize,
    /// Those who have asked to join, and have not asked to leave.
    visitors: BTreeSet<PeerId>,
}

/// The latest of all the earlier lives of a room.
#[derive(Default)]
struct Life {
    last_id: u64,
    /// The time of the first message.
    unix_ms: u64,
}

#[derive(Default)]
pub(crate) struct Record {
    pub(crate) lists: Vec<List>,
    newest_list: HashMap<String, usize>,
    /// Of the rooms that were forgotten with all that was said in them: how far each has come, and since when.
    lives: HashMap<String, Life>,
    open: BTreeMap<RoomKey, Opening>,
    pub(crate) visits: BTreeMap<PeerId, Vec<Visit>>,
    /// Messages that were refused, and answers to `/history` that could not be found.
    pub(crate) unavailable: BTreeMap<PeerId, usize>,
    pub(crate) refused: BTreeMap<PeerId, usize>,
    /// What was met that not every run meets.
    pub(crate) met: BTreeSet<&'static str>,
}

impl Record {
    /// How many rooms are open, and how many of them have heard something.
    pub(crate) fn open_rooms(&self) -> (usize, usize) {
        let with_messages = self.open.values().filter(|opening| !self.lists[opening.list].messages.is_empty()).count();
        (self.open.len(), with_messages)
    }

    fn note(&mut self, key: RoomKey, outcome: &Committed<'_>) {
        let opening = self.open.get_mut(&key).expect("nothing comes back of a room that is not open");
        if let Committed::Opened { ids, newest } = outcome {
            let last_id = &ids.last;
            assert!(!std::mem::replace(&mut opening.is_opened, true), "a room is opened once");
            if *last_id == 0 {
                self.lists.push(List::default());
                let before = self.newest_list.insert(opening.name.clone(), self.lists.len() - 1);
                if let Some(list) = before.map(|before| &self.lists[before])
                    && let Some(first) = list.messages.first()
                {
                    let life = self.lives.entry(opening.name.clone()).or_default();
                    life.last_id = life.last_id.max(list.last_id());
                    life.unix_ms = life.unix_ms.max(first.unix_ms);
                }
            } else {
                self.met.insert("a room opened again");
            }
            opening.list = self.newest_list[&opening.name];
            let list = &self.lists[opening.list];
            assert_eq!(list.last_id(), *last_id);
            opening.unknown = list.messages.len() - newest.len();
            return;
        }
        assert!(opening.is_opened, "a room is opened first");
        let said = self.lists[opening.list].messages.len();
        if !matches!(outcome, Committed::Read { .. }) {
            opening.under_way -= 1;
        }
        match outcome {
            Committed::Opened { .. } => {}
            Committed::Entry(Entry::Kept { id, kept: Kept::Said(message), .. }) => {
                let message = message.with_id(*id);
                let list = &mut self.lists[opening.list];
                if list.messages.is_empty() {
                    list.first_id = message.id;
                    // A clock that was set back, or stands still, may lead anywhere.
                    if let Some(life) = self.lives.get(&opening.name)
                        && message.unix_ms > life.unix_ms
                    {
                        assert!(message.id > life.last_id, "somebody may remember {} from another life", message.id);
                        self.met.insert("a room begun anew");
                    }
                }
                list.messages.push(Said {
                    kind: if message.kind == roomd::chat::Kind::Action { "action" } else { "message" },
                    name: message.name.to_string(),
                    text: message.text.to_owned(),
                    unix_ms: message.unix_ms,
                });
                assert!(message.id > 0 && message.id == list.last_id(), "{} is not the next id", message.id);
            }
            Committed::Refused(author) => {
                *self.refused.entry(here(*author)).or_default() += 1;
                *self.unavailable.entry(here(*author)).or_default() += 1;
            }
            Committed::Entry(Entry::Change(change)) => {
                let id = here(change.who());
                let joins = matches!(change, Change::Joined { .. });
                match opening.room.apply(Entry::Change(change.clone())) {
                    Effect::Joined(_) | Effect::JoinedAgain(_) => self.visits.entry(id).or_default().push(Visit {
                        room: opening.name.clone(),
                        list: opening.list,
                        unknown: opening.unknown,
                        came: said,
                        seated: said,
                        went: None,
                        page: None,
                    }),
                    Effect::Left { .. } | Effect::LeftOnce { .. } | Effect::WentAway(_) => {
                        let visit = self.visits.get_mut(&id).and_then(|visits| visits.last_mut());
                        let visit = visit.expect("who leaves has joined before");
                        assert_eq!((visit.list, visit.went), (opening.list, None), "who leaves is there");
                        visit.went = Some(said);
                    }
                    Effect::NameRefused { .. } if joins => {
                        self.met.insert("a newcomer whose name is taken");
                    }
                    Effect::NameRefused { .. } => {
                        self.met.insert("a new name that is taken");
                    }
                    Effect::Renamed { .. } => {}
                    Effect::Nothing if matches!(change, Change::Left { .. }) => {
                        self.met.insert("a newcomer who left when its name was taken");
                    }
                    Effect::Nothing | Effect::Said => panic!("{change:?} changes nothing"),
                }
            }
            Committed::Read { reader, wanted: Wanted::After(_), page } => {
                let visit =
                    self.visits.get_mut(&here(*reader)).and_then(|visits| visits.last_mut()).expect("it came before");
                if visit.went.is_some() {
                    self.met.insert("a page for one who is gone");
                    return;
                }
                self.met.insert(if page.is_some() { "a page after" } else { "no page after" });
                visit.seated = said;
                visit.page = Some(page.as_ref().map(|page| page.messages.iter().map(|message| message.id).collect()));
            }
            Committed::Read { reader, wanted: Wanted::Before(_), page } => {
                self.met.insert(if page.is_some() { "a page before" } else { "no page before" });
                if page.is_none() {
                    *self.unavailable.entry(here(*reader)).or_default() += 1;
                }
            }
        }
    }
}

fn here(member: Member) -> PeerId {
    PeerId::of(member).expect("a connection of this hub")
}

pub(crate) struct Recorder {
    pub(crate) inner: Box<dyn History>,
    pub(crate) record: Rc<RefCell<Record>>,
    pub(crate) max_rooms: usize,
}

impl History for Recorder {
    fn open(&mut self, key: RoomKey, parsed: &RoomName) {
        let mut record = self.record.borrow_mut();
        let name = parsed.to_string();
        assert!(record.open.values().all(|opening| opening.name != name), "{name} is open already");
        let opening = Opening {
            name: name.clone(),
            list: usize::MAX,
            unknown: 0,
            is_opened: false,
            room: Room::new(parsed.clone()),
            under_way: 0,
            visitors: BTreeSet::new(),
        };
        assert!(record.open.insert(key, opening).is_none(), "each open room has a number of its own");
        assert!(record.open.len() <= self.max_rooms, "too many rooms");
        self.inner.open(key, parsed);
    }

    fn forget(&mut self, key: RoomKey) {
        let mut record = self.record.borrow_mut();
        let opening = record.open.remove(&key).expect("only open rooms are forgotten");
        assert_eq!((opening.visitors.len(), opening.under_way), (0, 0), "{} is still in use", opening.name);
        record.met.insert(if opening.is_opened { "a room forgotten" } else { "a room forgotten before it was opened" });
        self.inner.forget(key);
    }

    fn epoch(&self) -> Epoch {
        self.inner.epoch()
    }

    fn append(&mut self, key: RoomKey, entry: NewEntry<'_>) {
        let mut record = self.record.borrow_mut();
        if let Entry::Kept { author, .. } = &entry {
            let visit =
                record.visits.get(&here(*author)).and_then(|visits| visits.last()).expect("who speaks has come");
            assert_eq!((visit.list, visit.went), (record.open[&key].list, None), "who speaks is there");
        }
        let opening = record.open.get_mut(&key).expect("things happen in open rooms only");
        opening.under_way += 1;
        match &entry {
            Entry::Change(Change::Joined { who, .. }) => {
                opening.visitors.insert(here(*who));
            }
            Entry::Change(Change::Left { who, .. } | Change::WentAway { who, .. }) => {
                assert!(opening.visitors.remove(&here(*who)), "who leaves has asked to join, and leaves once");
            }
            Entry::Kept { .. } | Entry::Change(Change::Renamed { .. } | Change::StayedAway { .. }) => {}
        }
        self.inner.append(key, entry);
    }

    fn read(&mut self, key: RoomKey, wanted: Wanted, size: PageSize, reader: Member) {
        assert!(self.record.borrow().open[&key].is_opened);
        self.inner.read(key, wanted, size, reader);
    }

    fn next(&mut self) -> Option<(RoomKey, Committed<'_>)> {
        let (key, outcome) = self.inner.next()?;
        self.record.borrow_mut().note(key, &outcome);
        Some((key, outcome))
    }

    fn person_key(&self) -> Option<[u8; 32]> {
        self.inner.person_key()
    }

    fn archive(&self) -> Archive {
        self.inner.archive()
    }

    fn pressure(&self) -> Pressure {
        let pressure = self.inner.pressure();
        if pressure == Pressure::High {
            self.record.borrow_mut().met.insert("a history that has fallen behind");
        }
        pressure
    }

    fn tick(&mut self, now: Now) {
        self.inner.tick(now);
    }
}
