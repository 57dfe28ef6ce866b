//! Beat three: entries come back from the log, are applied to their room, and are encoded.

use super::read::delivery_cost;
use super::{Hub, PeerId, Socket};
use crate::chat::{Entry, Kept, Problem};
use crate::door::Health;
use crate::history::{Committed, Condition, Stored, Wanted};
use crate::limits::fixed::{INTAKE_BYTES_PER_TURN, MESSAGE_INTAKE_BYTES};
use crate::moment::Now;

impl<S: Socket> Hub<S> {
    /// Takes what the log has committed, in its order. Each message is encoded once.
    pub(super) fn commit(&mut self, now: Now) {
        self.end_absences(now.moment);
        self.log.begin_commit(now);
        let mut delivered_bytes = 0;
        while let Some((room, outcome)) = self.log.next() {
            match outcome {
                Committed::Entry(entry @ Entry::Kept { kept: Kept::Said(message), .. }) => {
                    let members = self.rooms.get(room).map_or(0, |state| state.room.connections());
                    delivered_bytes += message.text.len() + MESSAGE_INTAKE_BYTES + delivery_cost(message.text, members);
                    self.rooms.say(room, entry, &self.limits, now.moment);
                    // A disk commits at once what many turns have taken in. The next turns deliver the rest.
                    if delivered_bytes >= INTAKE_BYTES_PER_TURN {
                        self.log.put_off();
                        break;
                    }
                }
                Committed::Entry(Entry::Change(change)) => self.commit_change(room, change, now.moment),
                Committed::Refused(author) => {
                    if let Some(author) = PeerId::of(author) {
                        self.send_error(author, Problem::HistoryUnavailable);
                    }
                }
                Committed::Opened { ids, newest } => {
                    self.rooms.opened(room, ids, newest.iter().map(Stored::as_message));
                }
                Committed::Read { reader, wanted, page } => {
                    self.page_requests.came_back(room);
                    match (PeerId::of(reader), wanted) {
                        (Some(reader), Wanted::After(since)) => self.catch_up_with(reader, since, page),
                        (Some(reader), Wanted::Before(before)) => self.show_older(reader, before, page, now.moment),
                        (None, _) => {}
                    }
                }
            }
        }
        self.site.health = match self.log.condition() {
            Condition::Good => Health::Good,
            Condition::Damaged => Health::PastIsDamaged,
            Condition::CannotKeep => Health::CannotKeep,
        };
        for room in self.rooms.forget_surplus(&self.limits) {
            self.forget(room);
        }
        self.ask_for_pages(now.moment);
        self.rooms.tell_counts(now.moment);
        // A member that is leaving says nothing more, and is not throttled.
        let is_behind = self.log.is_behind();
        self.peers.release_throttled(|slot| is_behind && slot.stay.speaker().is_some());
    }
}
