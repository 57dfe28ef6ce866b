//! The budget of memory: what happens when all connections together hold too much.
//!
//! The limits on one connection, times the number of connections, are far more than any machine has. So the hub looks at
//! the memory that is in use, once a turn. When it passes `--max-memory`, the hub closes the largest debtors: the connections
//! for which most is held because they do not read it, or do not finish what they send. A connection for which nothing is
//! held is never among them.
//!
//! The number comes from the edge, which counts what the allocator has handed out: it has everything, and what many
//! connections share it has once. The alternative not taken are sums kept by hand. They would have to be right in every
//! queue and every buffer, and would cost each delivery; a count in the allocator costs nothing on the hot path, where
//! nothing is allocated.

use std::cmp::Reverse;

use log::warn;

use super::{Hub, PeerId, Socket};
use crate::close_reason::CloseReason;
use crate::connection::State;
use crate::history::Archive;
use crate::limits::fixed::{RETRY_AFTER_BYTES, STALLED_LOOK_EVERY, TURN_AWAY_FOR};
use crate::moment::Moment;

/// Says how many bytes of memory are in use.
pub type Gauge = Box<dyn Fn() -> usize>;

/// How much is in use, and what was done about it.
pub(super) struct Memory {
    in_use: Gauge,
    /// Connections that take nothing were last marked then.
    looked_at: Moment,
    /// Bytes in use after the last time that closing debtors was not enough.
    floor_bytes: usize,
    /// Newcomers are turned away until then.
    tight_until: Moment,
}

impl Memory {
    /// Without a gauge, memory is never short.
    pub(super) fn unmeasured() -> Memory {
        Memory::measured_by(Box::new(|| 0))
    }

    pub(super) fn measured_by(in_use: Gauge) -> Memory {
        Memory { in_use, looked_at: Moment::START, floor_bytes: 0, tight_until: Moment::START }
    }

    /// Whether newcomers are turned away now.
    pub(super) fn is_tight(&self, now: Moment) -> bool {
        now < self.tight_until
    }
}

impl<S: Socket> Hub<S> {
    /// Has the memory in use measured, so that `--max-memory` is kept.
    #[must_use]
    pub fn measured_by(mut self, in_use: Gauge) -> Hub<S> {
        self.memory = Memory::measured_by(in_use);
        self
    }

    /// At the end of a turn: frees memory if more is in use than may be.
    pub(super) fn keep_to_budget(&mut self, now: Moment) {
        let most = self.limits.max_memory_bytes;
        let in_use = (self.memory.in_use)();
        if in_use <= most / 2 {
            self.memory.floor_bytes = 0;
        } else if in_use <= most {
            self.mark_stalled(now);
        } else {
            self.memory.tight_until = now + TURN_AWAY_FOR;
            if in_use >= self.memory.floor_bytes {
                self.close_debtors(in_use, now);
            }
        }
    }

    /// From half of the budget on, marks the connections that took nothing between two looks as stalled. They are closed
    /// first, so that no reader is closed for those who do not read.
    fn mark_stalled(&mut self, now: Moment) {
        if now < self.memory.looked_at + STALLED_LOOK_EVERY {
            return;
        }
        self.memory.looked_at = now;
        self.peers.mark_stalled();
    }

    /// Frees memory until well below the budget: first what can be read again from the file, then the largest debtors.
    fn close_debtors(&mut self, in_use_before: usize, now: Moment) {
        let most = self.limits.max_memory_bytes;
        let enough = most / 4 * 3;
        if self.log.archive() == Archive::Present {
            self.rooms.shorten_tails(&self.limits);
        }
        let mut debtors: Vec<(bool, Reverse<usize>, PeerId)> = Vec::new();
        for (id, slot) in self.peers.iter() {
            let held = slot.held_bytes();
            if held > 0 && slot.connection.state() != State::Ended {
                debtors.push((!slot.is_stalled(), Reverse(held), id));
            }
        }
        debtors.sort_unstable();
        let mut closed = 0_usize;
        for (_, _, id) in debtors {
            if (self.memory.in_use)() <= enough {
                break;
            }
            self.evict(id, now);
            closed += 1;
        }
        let in_use = (self.memory.in_use)();
        self.memory.floor_bytes = if in_use > enough { in_use.saturating_add(RETRY_AFTER_BYTES) } else { 0 };
        warn!(
            "{in_use_before} bytes of memory in use, and --max-memory is {most}: closed {closed} connections that read too \
             slowly; {in_use} bytes now"
        );
    }

    /// Closes a connection and frees at once what was held for it.
    fn evict(&mut self, id: PeerId, now: Moment) {
        if let Some(peer) = self.peers.touch(id) {
            peer.unread = None;
            peer.connection.evict(CloseReason::OutOfMemory, now);
        }
        self.request_leave(id);
    }
}
