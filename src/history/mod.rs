//! The history: what is not in it has not happened.
//!
//! The hub appends every entry of a room to its history, and delivers the entries in the order in which they come back. So
//! no message is seen and then lost, all members see the same order, and a newcomer knows where the past that is read from
//! here ends and the present begins.
//!
//! Joining, leaving and new names are entries, too. They are not kept, but they have a place among the messages: the author
//! of a message is still a member when the message is delivered.
//!
//! `log` is the one implementation. It consists of `sequencer` (the order), `rooms` (what waits for its room), `backlog`,
//! `upkeep` and `faults`; `store` is what it asks of a store, `driver` and `worker` are the way there. `transient` is the
//! store in memory, `sqlite` the store in a file.

mod backlog;
pub mod batch;
pub mod driver;
mod faults;
mod ids;
pub mod log;
pub mod plan;
mod random;
pub mod retention;
mod rooms;
mod sequencer;
pub mod sqlite;
pub mod store;
pub mod transient;
mod upkeep;
pub mod worker;

use std::time::Duration;

use crate::chat::message::DAMAGED;
use crate::chat::name::DAEMON;
use crate::chat::position::Epoch;
pub use crate::chat::position::RoomIds;
use crate::chat::{Entry, Kind, Member, Message, Name, NewEntry, RoomName, Tag};
use crate::moment::Now;

/// A room, by the number that its owner has given it while it is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoomKey(pub u32);

/// What comes back. In each room, the order is that in which the entries went in.
#[derive(Debug, PartialEq, Eq)]
pub enum Committed<'a> {
    /// The room is open.
    Opened {
        /// Where its ids stand.
        ids: RoomIds,
        /// The newest messages, oldest first.
        newest: Vec<Stored>,
    },
    /// An entry has happened.
    Entry(Entry<'a>),
    /// An entry of this author could not be kept, and so has not happened.
    Refused(Member),
    /// The answer to [`History::read`].
    Read {
        /// Who has asked.
        reader: Member,
        /// What it asked for.
        wanted: Wanted,
        /// The messages. None if they cannot be read now.
        page: Option<Page>,
    },
}

/// Older messages, as they are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Those after this id, the oldest of them first.
    After(u64),
    /// Those before this id, the newest of them first.
    Before(u64),
}

/// A part of the past.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// Oldest first, ids rising by one; they jump where those of the room do.
    pub messages: Vec<Stored>,
    /// There are more messages of those that were asked for.
    pub more: bool,
    /// The first messages of those that were asked for have been deleted.
    pub is_cut: bool,
}

/// A message that was read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The id: in a room, ids rise by one.
    pub id: u64,
    /// The time of the message: milliseconds since 1970, UTC.
    pub unix_ms: u64,
    /// A message, an action, or one that is damaged.
    pub kind: Kind,
    /// The author's name at that time.
    pub name: Name,
    /// The author's mark, if it had shown a secret.
    pub tag: Option<Tag>,
    /// The text.
    pub text: Box<str>,
}

impl Stored {
    /// A message that cannot be read any more: this stands in its place.
    #[must_use]
    pub fn damaged(id: u64) -> Stored {
        Stored { id, unix_ms: 0, kind: Kind::Damaged, name: Name::from_stored(DAEMON), tag: None, text: DAMAGED.into() }
    }

    /// The same, borrowed.
    #[must_use]
    pub fn as_message(&self) -> Message<'_> {
        let Stored { id, unix_ms, kind, name, tag, text } = self;
        Message { id: *id, unix_ms: *unix_ms, kind: *kind, name, tag: *tag, text }
    }
}

/// How much one [`History::read`] gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageSize {
    /// Messages.
    pub messages: usize,
    /// Bytes of the events as which the messages are sent. One message is given though it alone is longer.
    pub bytes: usize,
}

/// Gives messages their ids, and all entries their order.
///
/// In each turn the hub calls [`History::append`] as it reads, then [`History::next`] until there is no more. What goes to a
/// disk comes back in a later turn. The hub relies on the order in each room, and on no other.
pub trait History {
    /// A room comes into use. [`Committed::Opened`] is the first that comes back for it.
    fn open(&mut self, room: RoomKey, name: &RoomName);

    /// The room has no members any more. Nothing more comes back for it, neither its opening nor a page: another room may be
    /// given the same key.
    fn forget(&mut self, room: RoomKey);

    /// Which log this is: see [`Epoch`].
    fn epoch(&self) -> Epoch;

    /// Takes one entry.
    fn append(&mut self, room: RoomKey, entry: NewEntry<'_>);

    /// Asks for older messages. The page has every message that has come back before it, and none that comes back after it.
    fn read(&mut self, room: RoomKey, wanted: Wanted, size: PageSize, reader: Member);

    /// The next of what has happened.
    fn next(&mut self) -> Option<(RoomKey, Committed<'_>)>;

    /// Whether there may be more to read than the room's newest messages.
    fn archive(&self) -> Archive;

    /// Whether it has fallen so far behind that members should be throttled.
    fn pressure(&self) -> Pressure;

    /// Once a turn: old messages are deleted when it is time.
    fn tick(&mut self, now: Now);

    /// Before it is dropped: the goodbye took so much too long, and closing makes up for it.
    fn is_late(&mut self, _late: Duration) {}

    /// The highest number that an earlier daemon may have given to a tourist. The next tourist gets a higher one.
    fn tourists(&self) -> u64 {
        0
    }

    /// A tourist was given this number. It is not given again, not even after a kill.
    fn gave_number(&mut self, _number: u64) {}

    /// What the secrets of persons are hashed with: random bytes that are kept as long as the messages, so that a person
    /// keeps its mark. None if the system has no random bytes to give.
    fn person_key(&self) -> Option<[u8; 32]>;

    /// How well it keeps messages.
    fn condition(&self) -> Condition {
        Condition::Good
    }
}

/// How well a history keeps messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// No fault is known.
    Good,
    /// Some of its messages are damaged. New messages are kept.
    Damaged,
    /// New messages cannot be kept, and are refused.
    CannotKeep,
}

/// Whether older messages can be read than a room's own newest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Archive {
    /// They cannot: the scrollback of a room has all there is.
    Absent,
    /// They can, with [`History::read`].
    Present,
}

/// Whether a history keeps up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pressure {
    /// It keeps up.
    Low,
    /// It has fallen behind.
    High,
}
