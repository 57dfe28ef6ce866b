//! What a connection is called in the daemon.

use crate::chat::entry::{Member, Node};

/// This daemon, among those that share a log.
const HERE: Node = Node::FIRST;

/// A connection, named so that a late event cannot mean another one: its slot, and a serial that no two occupants of
/// that slot share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PeerId {
    pub(in crate::hub) slot: u32,
    pub(in crate::hub) serial: u32,
}

/// Bits of a `usize` for the slot and for the serial: 32 each, or 16 on a 32-bit machine.
const HALF: u32 = usize::BITS / 2;
pub(super) const LOW_HALF: usize = usize::MAX >> HALF;

impl PeerId {
    /// As one number, to be handed to the poller and back.
    #[must_use]
    pub fn to_token(self) -> usize {
        (self.serial as usize) << HALF | self.slot as usize
    }

    /// The reverse of [`PeerId::to_token`].
    #[must_use]
    pub fn from_token(token: usize) -> PeerId {
        PeerId { slot: (token & LOW_HALF) as u32, serial: (token >> HALF) as u32 }
    }

    /// As a member of a room: what the room's log calls it.
    #[must_use]
    pub fn member(self) -> Member {
        Member { node: HERE, slot: self.slot, serial: self.serial }
    }

    /// The connection of a member, if it is one of this daemon's.
    #[inline]
    #[must_use]
    pub fn of(member: Member) -> Option<PeerId> {
        (member.node == HERE).then_some(PeerId { slot: member.slot, serial: member.serial })
    }
}
