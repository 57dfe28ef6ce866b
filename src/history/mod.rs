//! The history is the room: what is not in it has not happened.
//!
//! All that a room hears goes through its history first and is delivered in the order in which it comes back. So
//! nobody ever sees a message that is then lost, everybody sees the same order, and a newcomer knows just where the
//! past that is read from here ends and the stream of the present begins.
//!
//! Comings, goings and new names take the same way, though they are not kept: they are what a message must not overtake.
//! Who said something and left is still there when it is delivered.

mod backlog;
pub mod batch;
pub mod driver;
mod faults;
mod ids;
pub mod log;
pub mod memory;
pub mod plan;
pub mod retention;
mod rooms;
mod sequencer;
pub mod sqlite;
pub mod store;
pub mod transient;
mod upkeep;
pub mod worker;

use std::time::Duration;

use crate::chat::event::DAMAGED;
use crate::chat::name::DAEMON;
use crate::chat::position::Epoch;
pub use crate::chat::position::RoomIds;
use crate::chat::{Change, Kind, Message, Name, RoomName};
use crate::moment::Now;

/// A room, by the number that its owner has given it while it is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoomKey(pub u32);

/// Something that happens in a room, on its way in. `M` tells the hub which connection it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry<'a, M> {
    /// A message. It has no id yet.
    Said {
        /// Whose connection: it is told if this cannot be kept.
        speaker: M,
        /// Who, at that time.
        name: &'a Name,
        /// When: milliseconds since 1970, UTC.
        unix_ms: u64,
        /// In which manner.
        kind: Kind,
        /// What.
        text: &'a str,
    },
    /// Who is in the room changes. It is not kept: it comes back as it is, in its place among the messages.
    Changed(Change),
}

/// What comes back, room by room in the order in which it went in.
#[derive(Debug, PartialEq, Eq)]
pub enum Committed<'a, M> {
    /// The room is ready to be used.
    Opened {
        /// Where its ids stand.
        ids: RoomIds,
        /// The newest messages, oldest first.
        newest: Vec<Stored>,
    },
    /// A message has happened.
    Said(Message<'a>),
    /// A message could not be kept, and so has not happened.
    Refused(M),
    /// What was appended as such.
    Changed(Change),
    /// What [`History::read`] was asked for.
    Read {
        /// Who asked.
        reader: M,
        /// What for.
        wanted: Wanted,
        /// The messages; nothing if they cannot be read now.
        page: Option<Page>,
    },
}

/// The earlier name of [`Committed`].
pub type Outcome<'a, M> = Committed<'a, M>;

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
    /// There are more of those that were asked for.
    pub more: bool,
    /// Some of those that come first have been deleted.
    pub is_cut: bool,
}

/// A message that was read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Rises by one from message to message of a room.
    pub id: u64,
    /// When it was said: milliseconds since 1970, UTC.
    pub unix_ms: u64,
    /// In which manner.
    pub kind: Kind,
    /// Who said it.
    pub name: Name,
    /// What was said.
    pub text: Box<str>,
}

impl Stored {
    /// What stands in the place of a message that cannot be read any more.
    #[must_use]
    pub fn damaged(id: u64) -> Stored {
        Stored { id, unix_ms: 0, kind: Kind::Damaged, name: Name::from_stored(DAEMON), text: DAMAGED.into() }
    }

    /// The same, borrowed.
    #[must_use]
    pub fn as_message(&self) -> Message<'_> {
        Message { id: self.id, unix_ms: self.unix_ms, kind: self.kind, name: &self.name, text: &self.text }
    }
}

/// How much one [`History::read`] gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageSize {
    /// Messages.
    pub messages: usize,
    /// Bytes of the events as which the messages are sent; a message that alone is longer comes all the same.
    pub bytes: usize,
}

/// Where messages get their number and their place.
///
/// Each turn the hub calls [`History::append`] as it reads, then [`History::next`] until it is empty. A store that writes
/// to a disk gives back in a later turn what was appended in this one; the hub relies on the order in a room, and on
/// nothing more.
pub trait History<M> {
    /// A room comes into use. [`Committed::Opened`] comes back before anything else of it.
    fn open(&mut self, room: RoomKey, name: &RoomName);

    /// Nobody is in the room any more. What is still under way of it, its opening or an answer to one who is gone, must
    /// not come back any more: the next room may be given the same number.
    fn forget(&mut self, room: RoomKey);

    /// Which log this is: see [`Epoch`].
    fn epoch(&self) -> Epoch;

    /// Takes one entry.
    fn append(&mut self, room: RoomKey, entry: Entry<'_, M>);

    /// Asks for older messages. The answer comes when it comes, in no order with the entries but this: whatever has come
    /// back before it is in it, and whatever comes back after it is not.
    fn read(&mut self, room: RoomKey, wanted: Wanted, size: PageSize, reader: M);

    /// The next of what has happened.
    fn next(&mut self) -> Option<(RoomKey, Committed<'_, M>)>;

    /// Whether there may be more to read than the room's newest messages.
    fn reach(&self) -> Reach;

    /// Whether it has fallen so far behind that nobody should say more for now.
    fn pressure(&self) -> Pressure;

    /// Once a turn: a chance to throw away what is too old.
    fn tick(&mut self, now: Now);

    /// Before it is dropped: the goodbye took so much longer than it may, and that is to be made up for here.
    fn is_late(&mut self, _late: Duration) {}

    /// The highest number that a tourist may have had before this daemon: the next has a higher one.
    fn tourists(&self) -> u64 {
        0
    }

    /// A tourist was given this number. Nobody is given it again, though the daemon be killed.
    fn gave_number(&mut self, _number: u64) {}

    /// How well it keeps what it is given.
    fn condition(&self) -> Condition {
        Condition::Good
    }
}

/// How well a history keeps what it is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// All that is known of it is good.
    Good,
    /// Some of it was found to be damaged. What is said now is kept.
    Damaged,
    /// What is said now cannot be kept, and is refused.
    CannotKeep,
}

/// How far back a history can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// It has nothing but what the rooms themselves keep.
    NewestOnly,
    /// It has older messages, too.
    Older,
}

/// How a history keeps up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pressure {
    /// It takes what is said.
    Low,
    /// It has fallen behind.
    High,
}
