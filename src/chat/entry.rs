//! What happens in a room, with all that is needed to apply it on any daemon.
//!
//! Everything that happens in a room is an [`Entry`] of the room's log, and the room is what
//! [`Room::apply`](super::Room::apply) makes of these entries, one after the other. So an entry names its member in a way that
//! every daemon understands. It carries what its author wanted, not what became of it: whether a name can be had is decided
//! when the entry is applied.
//!
//! The type of an entry says whether the log keeps it. To add an entry, add a variant to [`Kept`] or to [`Change`]: the
//! compiler then lists the places that have to handle it.

use std::num::NonZeroU32;

use super::message::{Kind, Message};
use super::name::Name;
use super::person::{PersonId, Tag};
use super::seat::Seat;

/// A daemon among those that share a log. Counted from 1, so that a vacant seat takes no more memory than a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Node(pub NonZeroU32);

impl Node {
    /// The first daemon; so far the only one.
    pub const FIRST: Node = Node(NonZeroU32::MIN);
}

/// A member of a room, on whichever daemon it is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Member {
    /// The daemon that holds its connection.
    pub node: Node,
    /// The slot in which that daemon keeps the connection.
    pub slot: u32,
    /// Tells apart the connections that have used this slot. No two members that are in a room at the same time have the
    /// same three numbers.
    pub serial: u32,
}

/// Something that happens in a room. The log puts all entries of a room into one order.
///
/// `Id` is the id that the log gives to an entry that it keeps; before that, in a [`NewEntry`], there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry<'a, Id = u64> {
    /// The log keeps this entry and gives it an id. It is still there after a restart.
    Kept {
        /// Rises by one from entry to entry of a room.
        id: Id,
        /// Who has appended it, and is told if the log cannot keep it.
        author: Member,
        /// The entry.
        kept: Kept<'a>,
    },
    /// The log only gives this entry a place between the others. After a restart nobody is in a room, so it would mean
    /// nothing then.
    Change(Change),
}

/// An entry that is to be appended to the log.
pub type NewEntry<'a> = Entry<'a, ()>;

/// An entry that the log keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept<'a> {
    /// A message.
    Said(NewMessage<'a>),
}

/// A message that has no id yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewMessage<'a> {
    /// What its author is called at this time.
    pub name: &'a Name,
    /// The author's mark, if it has shown a secret.
    pub tag: Option<Tag>,
    /// Milliseconds since 1970, UTC.
    pub unix_ms: u64,
    /// A message, or an action (`/me`).
    pub kind: Kind,
    /// The text.
    pub text: &'a str,
}

/// A change of who is in the room, or of what a member is called. The log does not keep it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A newcomer wants to join under this name. If another member has the name, the newcomer does not join: it is told, and
    /// may append another entry.
    Joined {
        /// The newcomer.
        who: Member,
        /// The name that it wants; or the one that its daemon gave it, which nobody else can have.
        name: Name,
        /// Who it is, if it has shown a secret. A person that is in the room already joins again, whatever it wants to be
        /// called: it has the name that it has.
        person: Option<PersonId>,
    },
    /// A member wants to be called that. If another member has the name, it keeps its own.
    Renamed {
        /// The member.
        who: Member,
        /// Its seat.
        seat: Seat,
        /// The name that it wants.
        to: Name,
    },
    /// A member leaves, or its connection is gone.
    Left {
        /// The member.
        who: Member,
        /// Its seat, if it had one when this was appended. A member that leaves while it joins does not know its seat yet.
        seat: Option<Seat>,
    },
    /// A member's connection is gone, and it may be that its person comes back at once: a page that is loaded again does so. The
    /// last connection of a person that goes like this leaves its seat and name to it. Of all others it is as `Left`.
    WentAway {
        /// The member.
        who: Member,
        /// Its seat.
        seat: Seat,
    },
    /// The person of this seat has not come back in time: it has left.
    StayedAway {
        /// The member that went away.
        who: Member,
        /// The seat that it had.
        seat: Seat,
    },
}

impl<'a> NewEntry<'a> {
    /// A message of that member.
    #[must_use]
    pub fn said(author: Member, message: NewMessage<'a>) -> NewEntry<'a> {
        Entry::Kept { id: (), author, kept: Kept::Said(message) }
    }
}

impl<Id> Entry<'_, Id> {
    /// Whether the log keeps it.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        match self {
            Entry::Kept { .. } => true,
            Entry::Change(_) => false,
        }
    }
}

impl Kept<'_> {
    /// Bytes of its text: what it costs to keep it, nearly.
    #[must_use]
    pub fn text_bytes(&self) -> usize {
        match self {
            Kept::Said(message) => message.text.len(),
        }
    }
}

impl<'a> NewMessage<'a> {
    /// The message with the id that the log has given it.
    #[inline]
    #[must_use]
    pub fn with_id(self, id: u64) -> Message<'a> {
        let NewMessage { name, tag, unix_ms, kind, text } = self;
        Message { id, unix_ms, kind, name, tag, text }
    }
}

impl Change {
    /// Whose membership or name it is about.
    #[must_use]
    pub fn who(&self) -> Member {
        match self {
            Change::Joined { who, .. }
            | Change::Renamed { who, .. }
            | Change::Left { who, .. }
            | Change::WentAway { who, .. }
            | Change::StayedAway { who, .. } => *who,
        }
    }
}
