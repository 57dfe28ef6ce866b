//! What is sent: what waits for the peer, and what its socket has taken.
//!
//! A connection queues by itself only what belongs to no room: an answer to a request, an echo, a Ping, a Pong, a Close. What
//! its room has to say, the hub's outbox queues, with the `queue_...` methods in here. There is no other way into the queue.

use std::io::{self, Write};
use std::ops::Range;
use std::rc::Rc;

use super::life::Trigger;
use super::{Connection, Written};
use crate::framing::Framing;
use crate::moment::Moment;
use crate::websocket::frame::{Opcode, append_frame};
use crate::write_queue::{Flushed, LateBytes, WriteQueue};

impl Connection {
    /// How the events that it is sent are framed. Every door leads to a WebSocket so far.
    #[inline]
    #[must_use]
    pub fn framing(&self) -> Framing {
        Framing::WebSocket
    }

    /// Bytes that wait to be written.
    #[inline]
    #[must_use]
    pub fn waiting_bytes(&self) -> usize {
        self.queue.len()
    }

    /// What waits costs in memory: the bytes, and the list of them. It is held against `--max-queue`.
    #[must_use]
    pub fn waiting_cost(&self) -> usize {
        self.queue.cost()
    }

    /// The last write has found the socket full.
    #[must_use]
    pub fn is_blocked(&self) -> bool {
        self.is_blocked
    }

    /// A write past the queue has found the socket full.
    pub fn found_full(&mut self) {
        self.is_blocked = true;
    }

    /// An answer out of the history has been queued: nothing of this peer is read before the queue has been written out.
    pub fn page_queued(&mut self) {
        self.is_page_queued = !self.queue.is_empty();
    }

    /// Queues an event for this peer alone; `write_json` writes it. Gives the bytes that this adds.
    pub fn queue_event(&mut self, write_json: impl FnOnce(&mut Vec<u8>)) -> usize {
        let framing = self.framing();
        let before = self.queue.len();
        self.queue.append_own(framing, |out| {
            framing.append_with(out, write_json);
        });
        self.queue.len() - before
    }

    /// Queues a part of a chunk that other peers share.
    #[inline]
    pub fn queue_shared(&mut self, units: Rc<[u8]>, part: Range<usize>) {
        self.queue.push_shared(units, part);
    }

    /// Queues a part of a chunk that is not finished: see [`LateBytes`].
    pub fn queue_late(&mut self, units: Rc<LateBytes>, part: Range<usize>) {
        self.queue.push_late(units, part);
    }

    /// Shows the units for this peer alone that wait and have not been shown, each once.
    pub fn show_own(&mut self, show: impl FnMut(&[u8])) {
        self.queue.show_own(show);
    }

    /// Writes out what waits, up to `most_bytes`.
    ///
    /// # Errors
    /// What the socket says; it has [failed](Connection::failed) then.
    pub fn flush_to(&mut self, socket: &mut impl Write, most_bytes: usize, now: Moment) -> io::Result<Written> {
        let before = self.queue.len();
        let flushed = self.queue.flush_to(socket, most_bytes);
        if self.is_blocked && self.queue.len() < before {
            self.life.progressed(now);
        }
        self.is_blocked = matches!(flushed, Ok(Flushed::Blocked));
        if flushed? != Flushed::Everything {
            return Ok(Written::Partly);
        }
        self.is_page_queued = false;
        Ok(if self.step(Trigger::Flushed, now) { Written::Finally } else { Written::Wholly })
    }

    /// Gives up what the peer has not begun to receive. It can make sense of what follows all the same.
    pub(super) fn give_up_waiting(&mut self) {
        let framing = self.framing();
        self.queue.cut_behind_begun_unit(framing);
    }
}

/// Queues a frame that belongs to no room. It takes the queue alone, for what is echoed lies in the connection's decoder.
pub(super) fn queue_frame(queue: &mut WriteQueue, opcode: Opcode, payload: &[u8]) {
    queue.append_own(Framing::WebSocket, |out| append_frame(out, opcode, payload));
}
