//! What happens in a room, with all that is needed to apply it on any daemon.
//!
//! A room is what [`Room::apply`](super::Room::apply) makes of the entries of its log, one after the other. So an entry
//! names its member in a way that every daemon understands, and carries what its author wanted, not what became of it:
//! whether a name could be had is decided when the entry is applied.

use std::num::NonZeroU32;

use super::event::Message;
use super::name::Name;
use super::room::Seat;

/// A daemon among those that share a log. Counted from 1, so that a seat with nobody in it takes no more memory than a member.
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
    /// Where that daemon keeps the connection.
    pub slot: u32,
    /// Which of all the connections it was that the daemon has kept there. No two members that are in a room at the same
    /// time have the same three numbers.
    pub serial: u32,
}

/// Something that has happened in a room, in the order that the room's log has given it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry<'a> {
    /// A message. The log keeps it, and has given it an id.
    Said(Message<'a>),
    /// Somebody joins, leaves or takes another name. This only takes its place among the messages: after a restart nobody
    /// is in a room.
    Change(Change),
}

/// A change of who is in the room, or of what a member is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Somebody wants to join under this name. If a member has it, nobody joins: the author is told, and may append another
    /// entry.
    Joined {
        /// The newcomer.
        who: Member,
        /// The name that it wants; or the one that its daemon gave it, which nobody else can have.
        name: Name,
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
        /// Its seat, if it had one when this was appended. One that leaves while it joins has not heard of its seat yet.
        seat: Option<Seat>,
    },
}

impl Change {
    /// Whose membership or name it is about.
    #[must_use]
    pub fn who(&self) -> Member {
        match self {
            Change::Joined { who, .. } | Change::Renamed { who, .. } | Change::Left { who, .. } => *who,
        }
    }
}
