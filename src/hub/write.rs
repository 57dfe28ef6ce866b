//! Beat four: every member is sent what its room hears, and what it owes is written out.

use super::peers::{NOT_IN, PeerId, Sent, Slot};
use super::rooms::RoomState;
use super::{Hub, Socket};
use crate::chat::visit::Verbosity;
use crate::close_reason::CloseReason;
use crate::connection::State;
use crate::limits::fixed::FLUSH_BYTES_PER_TURN;
use crate::moment::Moment;
use crate::write_queue::Flushed;

/// What a flush counts besides its bytes: a call of the system takes about as long as copying so many.
const FLUSH_CALL_BYTES: usize = 4 * 1024;

impl<S: Socket> Hub<S> {
    pub(super) fn write(&mut self, now: Moment) {
        self.say_goodbye(now);
        if let Some(trace) = &self.trace {
            trace.sends_to_rooms(&self.rooms);
        }
        self.fan_out(now);
        self.tell_renamed();
        if let Some(trace) = &self.trace {
            trace.sends_to_single_ones(&mut self.peers);
        }
        self.flush(now);
    }

    /// Sends each room's chunk to all its members: at once where nothing is owed, behind what is owed elsewhere.
    // Apart from the rest of the turn, so that what else a turn does takes no registers from this loop.
    #[inline(never)]
    fn fan_out(&mut self, now: Moment) {
        let dirty = self.rooms.take_stirred();
        let mut too_slow = Vec::new();
        for key in &dirty {
            let Some(RoomState { room, everything, messages_only, .. }) = self.rooms.get_mut(*key) else { continue };
            if everything.bytes.is_empty() {
                continue;
            }
            for id in room.audience().filter_map(PeerId::of) {
                let Some(slot) = self.peers.lend(id) else { continue };
                let chunk = match slot.connection.verbosity {
                    Verbosity::Everything => &mut *everything,
                    Verbosity::MessagesOnly => &mut *messages_only,
                };
                let from = std::mem::take(&mut slot.chunk_from);
                let part = from as usize..chunk.bytes.len();
                if part.is_empty() {
                    // One that has not caught up has no part in any chunk, and stays so.
                    if from == NOT_IN {
                        slot.chunk_from = NOT_IN;
                    }
                    continue;
                }
                let sent = slot.send_part(chunk, part, &self.limits, now);
                self.peers.delivered(id, &sent);
                if matches!(sent, Sent::OwesTooMuch) {
                    too_slow.push(id);
                }
            }
        }
        self.rooms.heard(dirty);
        for id in too_slow {
            self.close(id, CloseReason::TooSlow, now);
        }
    }

    /// Writes out what is queued for single connections, within each one's budget and that of the turn.
    fn flush(&mut self, now: Moment) {
        let mut flushed_bytes = 0;
        for _ in 0..self.peers.count_to_flush() {
            if flushed_bytes >= FLUSH_BYTES_PER_TURN {
                break;
            }
            let Some(id) = self.peers.next_to_flush() else { break };
            let Some(peer) = self.peers.touch(id) else { continue };
            if peer.connection.state() == State::Ended {
                continue;
            }
            let Slot { socket, connection, .. } = peer;
            let before = connection.queue.len();
            let flushed = connection.queue.flush_to(socket, self.limits.write_budget_bytes);
            let bytes = before - connection.queue.len();
            flushed_bytes += bytes + FLUSH_CALL_BYTES;
            if bytes > 0 && connection.is_blocked {
                connection.progressed(now);
            }
            connection.is_blocked = matches!(flushed, Ok(Flushed::Blocked));
            let is_piece_read = connection.queue.len() <= self.limits.piece_bytes();
            match flushed {
                Ok(Flushed::Everything) => {
                    connection.is_page_queued = false;
                    if connection.flushed(now)
                        && let Err(error) = socket.shut_down_writing()
                    {
                        connection.cut(CloseReason::Broken(error.kind()), now);
                    }
                }
                // More of it is flushed in the next turn: the queue is not empty, and the socket takes more.
                Ok(Flushed::Budget | Flushed::Blocked) => {}
                Err(error) => connection.failed(CloseReason::Broken(error.kind()), &self.limits, now),
            }
            if bytes > 0 {
                peer.has_taken();
            }
            if is_piece_read
                && let Some(catch_up) = peer.catch_up()
                && std::mem::take(&mut catch_up.is_reading)
            {
                self.page_requests.has_read(id);
            }
        }
    }
}
