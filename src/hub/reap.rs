//! Beat five: connections that have ended are freed.

use log::{Level, info, log};

use super::peers::{Arrival, Departed, PeerId, Slot};
use super::stream::ChunkKey;
use super::{Hub, LOG_TARGET, Socket};
use crate::close_reason::CloseReason;
use crate::connection::{Connection, Request, State};
use crate::moment::Moment;

impl<S: Socket> Hub<S> {
    /// Frees the connections that have ended. Only here: see the [turn](super#the-turn).
    pub(super) fn reap(&mut self, now: Moment) {
        self.end_failing();
        self.keep_to_budget(now);
        for id in self.peers.take_to_reap() {
            if self.peers.get(id).is_some_and(|slot| slot.connection.state() == State::Ended) {
                self.free(id, now);
            }
        }
        self.peers.end_turn();
    }

    /// A connection whose socket has failed is read only while nothing holds that up.
    fn end_failing(&mut self) {
        let is_behind = self.log.is_behind();
        self.peers.end_failing(|slot| {
            let is_throttled = is_behind && slot.stay.speaker().is_some();
            !is_throttled && !slot.is_in_line()
        });
    }

    fn free(&mut self, id: PeerId, now: Moment) {
        // A member has left its room when its `Left` entry comes back. The socket does not wait for that.
        self.request_leave(id);
        let Some(slot) = self.peers.remove(id) else { return };
        let Slot { stay, arrival, mut connection, .. } = slot;
        if stay.room().is_some() {
            self.departed.insert(id, Departed { stay, chunk: ChunkKey::of(&connection) });
        }
        if let Some(Arrival::Moving { to }) = arrival.as_deref() {
            self.leave_empty(*to);
        }
        let reason = connection.close_reason().unwrap_or(CloseReason::PeerVanished);
        if let Some(trace) = &mut self.trace {
            trace.ended(id);
        }
        if let Some(ticket) = connection.take_ticket() {
            if reason.is_failed_try() {
                self.addresses.failed(&ticket, now);
            }
            self.addresses.left(ticket, now);
        }
        *self.endings.entry(reason.name()).or_default() += 1;
        match connection.request() {
            Some(request) if request.is_logged() => {}
            Some(request) => log_request(id, request, reason),
            None => info!(target: LOG_TARGET, "#{} left: {reason}", id.serial),
        }
    }
}

/// A request has been answered, and its connection stays for the next one.
pub(super) fn log_answer(id: PeerId, connection: &mut Connection) {
    if let (Some(request), Some(reason)) = (connection.request(), connection.close_reason()) {
        log_request(id, request, reason);
        connection.was_logged();
    }
}

/// The one line of a request that did not become a WebSocket.
fn log_request(id: PeerId, request: &Request, reason: CloseReason) {
    let level = if reason.is_news_of_a_request() { Level::Info } else { Level::Debug };
    let from = request.caller();
    match request.line() {
        Some(line) => log!(target: LOG_TARGET, level, "#{} from {from}: {line}: {reason}", id.serial),
        None => log!(target: LOG_TARGET, level, "#{} from {from}: {reason}", id.serial),
    }
}
