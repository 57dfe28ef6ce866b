//! A connection's stay in a room: the one state that says whether it is in, and the table by which it changes.
//!
//! What a member wants (to join, to take another name, to leave) is appended to the room's log, and has happened when the
//! entry comes back. So most triggers come in pairs: requested, and committed.

use crate::chat::Seat;
use crate::history::RoomKey;

/// Where a connection is on its way through a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Membership {
    /// In no room: a plain request, `/echo`, or gone again.
    Outside,
    /// Its `Joined` entry is in the log.
    Joining,
    /// It leaves while its `Joined` entry is in the log: the `Left` entry stands behind that.
    JoinCancelled,
    /// It is in the room, and the log looks for what it missed. It has been sent nothing yet.
    CatchingUp,
    /// It is in the room and is sent what the room hears.
    Member,
    /// As `Member`, and not read on until the log has answered: it wants another name, or asked for older messages.
    Waiting,
    /// Its `Left` entry is in the log. Until that comes back it is in the room.
    Leaving,
}

/// What can happen to a membership.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    /// A `Joined` entry was appended.
    JoinRequested,
    /// The `Joined` entry came back, and the member has its seat.
    JoinCommitted,
    /// What it missed was found or given up, and it has been sent the welcome.
    CaughtUp,
    /// A question was put to the log: a `Renamed` entry, or a request for older messages.
    Asked,
    /// The answer came.
    Answered,
    /// It wants to leave, or its connection is closing.
    LeaveRequested,
    /// The `Left` entry came back.
    LeaveCommitted,
}

/// The whole life of a member: membership, what happens, next membership. What is not listed changes nothing.
pub const MEMBER_TRANSITIONS: &[(Membership, Trigger, Membership)] = {
    use Membership::*;
    use Trigger::*;
    &[
        (Outside, JoinRequested, Joining),
        (Joining, JoinCommitted, CatchingUp),
        (Joining, LeaveRequested, JoinCancelled),
        (JoinCancelled, JoinCommitted, Leaving),
        (JoinCancelled, LeaveCommitted, Outside),
        (CatchingUp, CaughtUp, Member),
        (CatchingUp, LeaveRequested, Leaving),
        (Member, Asked, Waiting),
        (Member, LeaveRequested, Leaving),
        (Waiting, Answered, Member),
        (Waiting, LeaveRequested, Leaving),
        (Leaving, LeaveCommitted, Outside),
    ]
};

/// A membership, with the room that it is of and the seat in it. Packed: a slot is eight bytes smaller.
#[derive(Debug, Clone, Copy)]
#[repr(Rust, packed)]
pub(super) struct Stay {
    membership: Membership,
    /// Of no meaning while it is outside.
    room: RoomKey,
    /// Of no meaning before its join was committed.
    seat: Seat,
}

impl Stay {
    pub(super) fn outside() -> Stay {
        Stay { membership: Membership::Outside, room: RoomKey(0), seat: Seat(0) }
    }

    pub(super) fn membership(self) -> Membership {
        self.membership
    }

    /// It is in a room, on the way in, or on the way out.
    pub(super) fn room(self) -> Option<RoomKey> {
        (self.membership != Membership::Outside).then_some(self.room)
    }

    /// Its seat, from the commit of its `Joined` entry to that of its `Left` entry.
    pub(super) fn seat(self) -> Option<Seat> {
        match self.membership {
            Membership::Outside | Membership::Joining | Membership::JoinCancelled => None,
            Membership::CatchingUp | Membership::Member | Membership::Waiting | Membership::Leaving => Some(self.seat),
        }
    }

    /// Its room and seat, if it is a member that may say something now.
    pub(super) fn speaker(self) -> Option<(RoomKey, Seat)> {
        (self.membership == Membership::Member).then_some((self.room, self.seat))
    }

    /// A `Joined` entry was appended for this room.
    pub(super) fn join_requested(&mut self, room: RoomKey) {
        if self.step(Trigger::JoinRequested) {
            self.room = room;
        }
    }

    /// The `Joined` entry has come back and gave it this seat.
    pub(super) fn join_committed(&mut self, seat: Seat) {
        if self.step(Trigger::JoinCommitted) {
            self.seat = seat;
        }
    }

    /// Anything else has happened. Says whether that changes the membership.
    pub(super) fn step(&mut self, trigger: Trigger) -> bool {
        let next = next_membership(self.membership, trigger);
        std::mem::replace(&mut self.membership, next) != next
    }
}

fn next_membership(membership: Membership, trigger: Trigger) -> Membership {
    let row = MEMBER_TRANSITIONS.iter().find(|(from, on, _)| (*from, *on) == (membership, trigger));
    row.map_or(membership, |(_, _, to)| *to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_membership_has_two_answers_to_one_trigger() {
        for (nth, (from, on, _)) in MEMBER_TRANSITIONS.iter().enumerate() {
            let again = MEMBER_TRANSITIONS[nth + 1..].iter().any(|(other, trigger, _)| (other, trigger) == (from, on));
            assert!(!again, "{from:?} on {on:?} is listed twice");
        }
    }

    #[test]
    fn from_everywhere_a_member_gets_outside_by_leaving() {
        for (start, _, _) in MEMBER_TRANSITIONS {
            let leaves = [Trigger::LeaveRequested, Trigger::JoinCommitted, Trigger::LeaveCommitted];
            let end = leaves.into_iter().fold(*start, next_membership);
            assert_eq!(end, Membership::Outside, "from {start:?}");
        }
    }

    #[test]
    fn a_seat_is_had_only_between_joined_and_left() {
        let mut stay = Stay::outside();
        assert_eq!((stay.room(), stay.seat()), (None, None));
        stay.join_requested(RoomKey(3));
        assert_eq!((stay.room(), stay.seat()), (Some(RoomKey(3)), None));
        stay.join_committed(Seat(5));
        stay.step(Trigger::LeaveRequested);
        assert_eq!((stay.room(), stay.seat()), (Some(RoomKey(3)), Some(Seat(5))));
        stay.step(Trigger::LeaveCommitted);
        assert_eq!((stay.room(), stay.seat()), (None, None));
    }
}
