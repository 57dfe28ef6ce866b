//! What is due: deadlines of connections.

use super::{Hub, Socket};
use crate::connection::Departure;
use crate::moment::Moment;

impl<S: Socket> Hub<S> {
    /// Does what was due by then. Each connection has one deadline, which is a function of its state.
    pub(super) fn fire_timers(&mut self, due_by: Moment, now: Moment) {
        let is_behind = self.log.is_behind();
        for id in self.peers.take_due(due_by) {
            let Some(peer) = self.peers.touch(id) else { continue };
            // A connection that we do not read, because the log comes first or it sent too much, may have given a sign of life.
            if peer.has_bytes() {
                let reads_its_past = peer.catch_up().is_some_and(|catch_up| catch_up.is_reading);
                if (peer.waits_for_history() && !reads_its_past)
                    || peer.is_in_line()
                    || (is_behind && peer.is_to_read())
                {
                    peer.connection.kept_waiting_for_history(&self.limits, due_by, now);
                } else if peer.connection.is_throttled() || peer.is_to_read() {
                    peer.connection.kept_waiting(&self.limits, due_by, now);
                }
            }
            let departure = peer.connection.on_deadline(&self.limits, due_by, now);
            if departure == Departure::Departing {
                peer.unread = None;
            }
            match departure {
                Departure::None => {}
                Departure::CloseSent => self.request_leave(id),
                Departure::Departing => self.leave_room(id, now),
            }
        }
    }
}
