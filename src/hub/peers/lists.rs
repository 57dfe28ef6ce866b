//! Who is to be read, flushed, woken or freed, and how a connection comes to be on one of these lists.

use std::collections::VecDeque;

use super::super::Socket;
use super::id::PeerId;
use super::slot::Slot;
use super::timers::Timers;
use crate::connection::{Phase, State};
use crate::limits::Limits;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Lists {
    /// Connections that were touched, each at most once (`Slot::is_touched`).
    pub(super) touched: Vec<PeerId>,
    /// Connections that may have something to read. Each is on it at most once (`Slot::is_to_read`).
    pub(super) to_read: VecDeque<PeerId>,
    /// Members that have something to read while the log has fallen behind: on no other list until it has caught up, so
    /// that the loop can sleep.
    pub(super) throttled: Vec<PeerId>,
    /// Connections whose queue is to be flushed at the end of the turn, each at most once (`Slot::is_to_flush`).
    pub(super) to_flush: VecDeque<PeerId>,
    /// Connections whose socket has failed: they end in this turn unless more can be read of them at once.
    pub(super) failing: Vec<PeerId>,
    /// Connections that may have ended.
    pub(super) to_reap: Vec<PeerId>,
    pub(super) timers: Timers,
}

impl Lists {
    /// What a connection's state asks for: its end is noticed, what is there for it is read if it wants bytes, what it has
    /// queued is flushed, and its deadline is kept.
    pub(super) fn put<S: Socket>(&mut self, id: PeerId, slot: &mut Slot<S>, limits: &Limits) {
        if slot.connection.state() == State::Ended {
            self.to_reap.push(id);
            return;
        }
        if slot.connection.has_failed() {
            self.failing.push(id);
        }
        if slot.has_bytes() && slot.wants_bytes(limits) {
            list_once(&mut self.to_read, &mut slot.is_to_read, id);
        }
        // A closing connection is flushed even with nothing queued: that is how it learns that it is done.
        let is_done = matches!(slot.connection.state(), State::Closing(Phase::Flushing | Phase::FlushingLast));
        if (is_done || slot.connection.waiting_bytes() > 0) && !slot.connection.is_blocked() {
            list_once(&mut self.to_flush, &mut slot.is_to_flush, id);
        }
        let deadline = slot.connection.deadline(limits);
        if deadline < slot.armed {
            slot.armed = deadline;
            self.timers.push(deadline, id);
        }
    }
}

/// Adds it to the list, unless the flag says that it is there.
pub(super) fn list_once(list: &mut VecDeque<PeerId>, is_listed: &mut bool, id: PeerId) {
    if !std::mem::replace(is_listed, true) {
        list.push_back(id);
    }
}
