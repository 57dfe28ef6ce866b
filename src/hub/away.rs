//! Persons whose last connection is gone, and who may be back in a moment.

use std::collections::VecDeque;

use super::peers::PeerId;
use super::{Hub, Socket};
use crate::chat::{Change, Entry, Member, Seat};
use crate::history::RoomKey;
use crate::limits::fixed::AWAY_FOR;
use crate::moment::Moment;

/// See the module. Each that is in here counts as a visitor of its room, so the room stays.
#[derive(Default)]
pub(super) struct Away {
    /// All are away for the same time, so the first is over first.
    waiting: VecDeque<Waiting>,
    /// Their time is over, and their `StayedAway` entry is in the log.
    ending: usize,
}

struct Waiting {
    until: Moment,
    room: RoomKey,
    who: Member,
    seat: Seat,
}

impl Away {
    /// How many they are.
    pub(super) fn len(&self) -> usize {
        self.waiting.len() + self.ending
    }

    /// When [`Hub::end_absences`] has something to do.
    pub(super) fn deadline(&self) -> Moment {
        self.waiting.front().map_or(Moment::NEVER, |first| first.until)
    }
}

impl<S: Socket> Hub<S> {
    /// The last connection of a person has left: the person has some time to come back.
    pub(super) fn wait_for_return(&mut self, id: PeerId, room: RoomKey, seat: Seat, now: Moment) {
        self.away.waiting.push_back(Waiting { until: now + AWAY_FOR, room, who: id.member(), seat });
    }

    /// Puts into the log that those whose time is over have stayed away. Who is back by then has not.
    pub(super) fn end_absences(&mut self, now: Moment) {
        while self.away.deadline() <= now
            && let Some(Waiting { room, who, seat, .. }) = self.away.waiting.pop_front()
        {
            self.away.ending += 1;
            self.log.append(room, Entry::Change(Change::StayedAway { who, seat }));
        }
    }

    /// The `StayedAway` entry has come back.
    pub(super) fn absence_ended(&mut self, room: RoomKey) {
        self.away.ending = self.away.ending.saturating_sub(1);
        self.leave_empty(room);
    }
}
