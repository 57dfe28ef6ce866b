//! Beat four: every member is sent what its room hears, and what waits for it is written out.

use super::peers::PeerId;
use super::{Hub, Socket};
use crate::close_reason::CloseReason;
use crate::limits::fixed::FAN_OUT_BYTES_PER_TURN;
use crate::moment::Moment;

impl<S: Socket> Hub<S> {
    pub(super) fn write(&mut self, now: Moment) {
        self.fan_out(now);
        let Hub { peers, page_requests, .. } = self;
        self.outbox.flush(peers, now, |id| page_requests.has_read(id));
    }

    /// Sends each room's turn to all its members. When this turn has written as much as it may, the rest is queued.
    fn fan_out(&mut self, now: Moment) {
        let dirty = self.rooms.take_dirty();
        // All of them before the first is sent: a member that moves has a part of one room's turn in its queue, and is sent
        // that of the other.
        for key in &dirty {
            if let Some(state) = self.rooms.get_mut(*key) {
                state.stream.finish();
            }
        }
        let mut too_slow = Vec::new();
        let mut left_bytes = FAN_OUT_BYTES_PER_TURN;
        for key in &dirty {
            let Some(state) = self.rooms.get_mut(*key) else { continue };
            if !state.stream.is_empty() {
                let connections = state.room.connections();
                self.outbox.trace_room(state.room.name(), &state.stream);
                let mut members = state.room.audience().filter_map(PeerId::of);
                let writes = state.stream.writes_within(left_bytes).min(connections);
                left_bytes -= state.stream.write_cost(writes);
                // Nearly always all of them. It is a loop of its own: to count members would cost each delivery.
                if writes == connections {
                    self.outbox.send_room(&mut self.peers, members, &mut state.stream, now, &mut too_slow);
                    continue;
                }
                let at_once = members.by_ref().take(writes);
                self.outbox.send_room(&mut self.peers, at_once, &mut state.stream, now, &mut too_slow);
                self.outbox.queue_room(&mut self.peers, members, &mut state.stream, now, &mut too_slow);
            }
        }
        self.rooms.clear(dirty);
        for id in too_slow {
            self.close(id, CloseReason::TooSlow, now);
        }
    }
}
