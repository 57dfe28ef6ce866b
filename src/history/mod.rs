//! The history is the room: what is not in it has not happened.
//!
//! All that a room hears goes through its history first and is delivered in the order in which it comes back. So
//! nobody ever sees a message that is then lost, everybody sees the same order, and a newcomer knows just where the
//! past that is read from here ends and the stream of the present begins.
//!
//! Comings and goings take the same way, though they are not kept: they are what a message must not overtake. Who said
//! something and left is still there when it is delivered.

pub mod memory;

use crate::chat::{Message, Name};

/// Something that happened in the room, on its way in. `M` tells the hub which connection it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry<'a, M> {
    /// A message. It has no id yet.
    Said {
        /// Who.
        name: Name,
        /// When: milliseconds since 1970, UTC.
        unix_ms: u64,
        /// What.
        text: &'a str,
    },
    /// A member came in.
    Came(M),
    /// A member left, or is gone.
    Went(M),
}

/// The same on its way back: it has happened.
#[derive(Debug, PartialEq, Eq)]
pub enum Committed<'a, M> {
    /// A message, with its id.
    Said(Message<'a>),
    /// A member came in.
    Came(M),
    /// A member left, or is gone.
    Went(M),
}

/// Where messages get their number and their place. The hub calls [`History::append`] as it reads, then
/// [`History::committed`] until it is empty.
///
/// This is the seam for other stores. One that writes to a disk gives back in a later turn what was appended in this
/// one; the hub must not rely on more than the order.
pub trait History<M> {
    /// Takes one entry.
    fn append(&mut self, entry: Entry<'_, M>);

    /// The next entry that has happened, in the order in which they were appended.
    fn committed(&mut self) -> Option<Committed<'_, M>>;
}
