//! The outbox: the one place where bytes for members are queued, and the one place that writes to a socket.
//!
//! # Places in the stream
//! A room's turn is one [`Stream`], and each member is sent the part of its chunk that comes after its place (`Slot::place`).
//! Nearly always that is all of it, for the place is the beginning. A member that joins in the middle of a turn has its place
//! there. If a member is answered in the middle of a turn, the outbox first queues its part up to there, then the answer, and
//! moves its place there. If a member leaves, the outbox queues its part up to there, and nothing after. So everything is
//! queued in its order, at the time when it happens, and no phase of the turn has to remember anything.
//!
//! # The ways to a socket
//! - What a room hears: [`Outbox::send_room`], one write for each member whose socket takes it.
//! - What one member is told: [`Outbox::answer`], [`Outbox::past`], [`Outbox::private`].
//! - What belongs to the connection alone and to no room (a Ping, a Pong, a Close, the answer to an HTTP request, an echo),
//!   the [`Connection`](crate::connection::Connection) queues by itself. Its queue is its own: what is queued for it from
//!   outside goes through the methods of `connection/outgoing.rs`, and only from here.
//!
//! All that was queued leaves with [`Outbox::flush`]. `--max-queue` is asked here, in `drain_to`, and what is sent is
//! drawn into the log from here.

use std::io::ErrorKind;
use std::ops::Range;
use std::rc::Rc;

use super::Socket;
use super::peers::{NOT_IN, PeerId, Peers, Sent, Slot};
use super::stream::{ChunkKey, Stream, TurnChunk};
use super::trace;
use crate::chat::{Event, RoomName};
use crate::close_reason::CloseReason;
use crate::connection::{State, Written};
use crate::limits::Limits;
use crate::limits::fixed::{FLUSH_BYTES_PER_TURN, WRITE_CALL_BYTES};
use crate::moment::Moment;

/// See the module.
pub(super) struct Outbox {
    limits: Limits,
    /// What is sent is drawn into the log.
    is_traced: bool,
    /// Bytes that sockets have taken.
    #[cfg(debug_assertions)]
    written_bytes: u64,
}

/// Why a private message was not queued.
pub(super) enum NotQueued {
    /// Its receiver is on the way out.
    Leaving,
    /// Too much waits for its receiver already.
    Busy,
}

impl Outbox {
    pub(super) fn new(limits: Limits) -> Outbox {
        Outbox {
            limits,
            is_traced: trace::is_logged(),
            #[cfg(debug_assertions)]
            written_bytes: 0,
        }
    }

    // ---- What one member is told ----------------------------------------------------------------------------------

    /// A member is in its room: from here on it hears what the room hears.
    pub(super) fn join<S>(&self, slot: &mut Slot<S>, stream: &mut Stream) {
        slot.place = stream.chunk(ChunkKey::of(&slot.connection)).len() as u32;
    }

    /// A member leaves: it hears what its room has heard up to here, however much waits for it already, and nothing after.
    pub(super) fn leave<S>(&self, slot: &mut Slot<S>, stream: &mut Stream) {
        self.catch_up(slot, stream);
        slot.place = NOT_IN;
    }

    /// Tells a member something, behind what its room has heard up to here. Gives the bytes that this adds to its queue.
    pub(super) fn answer<S>(
        &self,
        slot: &mut Slot<S>,
        stream: &mut Stream,
        event: Event<'_>,
        room: &RoomName,
    ) -> usize {
        if !slot.connection.may_be_sent_to() {
            return 0;
        }
        self.catch_up(slot, stream);
        slot.connection.queue_event(|out| event.write_json(room, out))
    }

    /// Sends a newcomer a part of the past.
    pub(super) fn past<S>(&self, id: PeerId, slot: &mut Slot<S>, messages: Rc<[u8]>) {
        if !slot.connection.may_be_sent_to() {
            return;
        }
        let framing = slot.connection.framing();
        if self.is_traced {
            // What is in front of it comes first here as well.
            slot.connection.show_own(|units| trace::sends(id, framing, units));
            trace::sends(id, framing, &messages);
        }
        let all = 0..messages.len();
        slot.connection.queue_shared(messages, all);
    }

    /// Sends a member a private message of another, unless too much waits for it already. No member is closed for what one
    /// other says to it: the sender has to wait.
    pub(super) fn private<S: Socket>(&mut self, slot: &mut Slot<S>, json: &[u8], now: Moment) -> Result<(), NotQueued> {
        if !slot.connection.may_be_sent_to() {
            return Err(NotQueued::Leaving);
        }
        match self.drain_to(self.limits.private_queue_bytes(), slot, now) {
            Sent::AsFarAsPossible => {
                self.receipt(slot, json);
                Ok(())
            }
            Sent::OwesTooMuch => Err(NotQueued::Busy),
            // Its socket has failed.
            Sent::SomethingChanged => Err(NotQueued::Leaving),
        }
    }

    /// Sends a member what it has said to another.
    pub(super) fn receipt<S>(&self, slot: &mut Slot<S>, json: &[u8]) {
        slot.connection.queue_event(|out| out.extend_from_slice(json));
    }

    /// Queues what the member's room has heard since its place, and moves its place here.
    fn catch_up<S>(&self, slot: &mut Slot<S>, stream: &mut Stream) {
        let chunk = stream.chunk(ChunkKey::of(&slot.connection));
        let part = slot.place as usize..chunk.len();
        if !part.is_empty() && slot.connection.may_be_sent_to() {
            slot.place = chunk.len() as u32;
            slot.connection.queue_late(chunk.share_late(), part);
        }
    }

    // ---- Beat four ------------------------------------------------------------------------------------------------

    /// Sends a room's turn to its members: at once if their queue is empty, else behind what waits in it. Members for whom
    /// too much waits are added to `too_slow`.
    // Apart from the rest of the turn, so that what else a turn does takes no registers from this loop.
    #[inline(never)]
    pub(super) fn send_room<S: Socket>(
        &mut self,
        peers: &mut Peers<S>,
        members: impl Iterator<Item = PeerId>,
        stream: &mut Stream,
        now: Moment,
        too_slow: &mut Vec<PeerId>,
    ) {
        for id in members {
            let Some(slot) = peers.lend(id) else { continue };
            let chunk = stream.chunk(ChunkKey::of(&slot.connection));
            let Some(part) = slot.take_part(chunk.len()) else { continue };
            let sent = self.send_part(slot, chunk, part, now);
            peers.delivered(id, &sent);
            if matches!(sent, Sent::OwesTooMuch) {
                too_slow.push(id);
            }
        }
    }

    /// Queues a room's turn for the members to whom this turn does not write any more. The next turns flush it, and serve
    /// other rooms in between.
    // A loop of its own: one loop that is handed what to do costs each delivery 7 instructions more.
    pub(super) fn queue_room<S: Socket>(
        &mut self,
        peers: &mut Peers<S>,
        members: impl Iterator<Item = PeerId>,
        stream: &mut Stream,
        now: Moment,
        too_slow: &mut Vec<PeerId>,
    ) {
        for id in members {
            let Some(slot) = peers.lend(id) else { continue };
            let chunk = stream.chunk(ChunkKey::of(&slot.connection));
            let Some(part) = slot.take_part(chunk.len()) else { continue };
            // If something waits for it already, it may be too much: the same question as in a turn that writes.
            let sent = if !slot.connection.may_be_sent_to() {
                Sent::AsFarAsPossible
            } else if slot.connection.waiting_bytes() == 0 {
                slot.connection.queue_shared(chunk.share(), part);
                Sent::SomethingChanged
            } else {
                self.send_behind(slot, chunk, part.start, now)
            };
            peers.delivered(id, &sent);
            if matches!(sent, Sent::OwesTooMuch) {
                too_slow.push(id);
            }
        }
    }

    /// Draws what a room hears into the log, if that is asked for.
    pub(super) fn trace_room(&self, room: &RoomName, stream: &Stream) {
        if self.is_traced {
            for (framing, members, units) in stream.chunks() {
                trace::sends_to_room(room, members, framing, units);
            }
        }
    }

    /// Writes out what is queued, within each connection's budget and that of the turn. `has_read` is told of each that
    /// has nothing, or little, left.
    pub(super) fn flush<S: Socket>(&mut self, peers: &mut Peers<S>, now: Moment, mut has_read: impl FnMut(PeerId)) {
        if self.is_traced {
            for id in peers.ids_to_flush() {
                if let Some(slot) = peers.touch(id) {
                    let framing = slot.connection.framing();
                    slot.connection.show_own(|units| trace::sends(id, framing, units));
                }
            }
        }
        let mut flushed_bytes = 0;
        for _ in 0..peers.count_to_flush() {
            if flushed_bytes >= FLUSH_BYTES_PER_TURN {
                break;
            }
            let Some(id) = peers.next_to_flush() else { break };
            let Some(slot) = peers.touch(id) else { continue };
            if slot.connection.state() == State::Ended {
                continue;
            }
            flushed_bytes += self.flush_one(slot, now) + WRITE_CALL_BYTES;
            if slot.connection.waiting_bytes() <= self.limits.piece_bytes()
                && let Some(catch_up) = slot.catch_up()
                && std::mem::take(&mut catch_up.is_reading)
            {
                has_read(id);
            }
        }
    }

    /// Says how many bytes the socket has taken.
    fn flush_one<S: Socket>(&mut self, slot: &mut Slot<S>, now: Moment) -> usize {
        let before = slot.connection.waiting_bytes();
        let written = slot.connection.flush_to(&mut slot.socket, self.limits.write_budget_bytes, now);
        let bytes = before - slot.connection.waiting_bytes();
        self.count(bytes);
        if bytes > 0 {
            slot.has_taken();
        }
        match written {
            Ok(Written::Finally) => {
                if let Err(error) = slot.socket.shut_down_writing() {
                    slot.connection.cut(CloseReason::Broken(error.kind()), now);
                }
            }
            // What is left is flushed in the next turn, or when the socket takes more.
            Ok(Written::Wholly | Written::Partly) => {}
            Err(error) => slot.connection.failed(CloseReason::Broken(error.kind()), &self.limits, now),
        }
        bytes
    }

    /// Sends a part of a finished chunk: with one write if the queue is empty, else by queueing a reference.
    #[inline(always)]
    fn send_part<S: Socket>(
        &mut self,
        slot: &mut Slot<S>,
        chunk: &mut TurnChunk,
        part: Range<usize>,
        now: Moment,
    ) -> Sent {
        if !slot.connection.may_be_sent_to() {
            return Sent::AsFarAsPossible;
        }
        if slot.connection.waiting_bytes() > 0 {
            return self.send_behind(slot, chunk, part.start, now);
        }
        match slot.socket.write(&chunk.bytes()[part.clone()]) {
            Ok(count) if count == part.len() => {
                self.count(count);
                Sent::AsFarAsPossible
            }
            Ok(count) => {
                self.count(count);
                slot.connection.queue_shared(chunk.share(), part.start + count..part.end);
                Sent::SomethingChanged
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                slot.connection.queue_shared(chunk.share(), part);
                slot.connection.found_full();
                Sent::AsFarAsPossible
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {
                slot.connection.queue_shared(chunk.share(), part);
                Sent::SomethingChanged
            }
            Err(error) => {
                slot.connection.failed(CloseReason::Broken(error.kind()), &self.limits, now);
                Sent::SomethingChanged
            }
        }
    }

    /// Queues a finished chunk from that byte on, behind what waits already.
    #[cold]
    #[inline(never)]
    fn send_behind<S: Socket>(&mut self, slot: &mut Slot<S>, chunk: &mut TurnChunk, start: usize, now: Moment) -> Sent {
        let waiting_before = slot.connection.waiting_bytes();
        // What was queued in this turn comes with this part and is no debt: such a member is not asked.
        if start == 0 {
            match self.drain_to(self.limits.max_queue_bytes, slot, now) {
                Sent::AsFarAsPossible => {}
                hindered => return hindered,
            }
        }
        // A connection for which less waits may be read again.
        let has_drained = slot.connection.waiting_bytes() < waiting_before;
        slot.connection.queue_shared(chunk.share(), start..chunk.len());
        if has_drained { Sent::SomethingChanged } else { Sent::AsFarAsPossible }
    }

    /// Enforces that no more than `most_bytes` wait for a member, before something is added.
    ///
    /// The queue may have grown because of our own write budget, so it is flushed first: a member whose socket takes more is
    /// not too slow. What is added does not count, so one large turn makes no member slow.
    fn drain_to<S: Socket>(&mut self, most_bytes: usize, slot: &mut Slot<S>, now: Moment) -> Sent {
        let connection = &mut slot.connection;
        if connection.waiting_cost() > most_bytes && !connection.is_blocked() {
            let before = connection.waiting_bytes();
            let written = connection.flush_to(&mut slot.socket, usize::MAX, now);
            self.count(before - connection.waiting_bytes());
            if let Err(error) = written {
                connection.failed(CloseReason::Broken(error.kind()), &self.limits, now);
                return Sent::SomethingChanged;
            }
        }
        if connection.waiting_cost() > most_bytes { Sent::OwesTooMuch } else { Sent::AsFarAsPossible }
    }

    /// Counts bytes that a socket has taken, for the tests: there is no other way to a socket than those that count.
    #[inline(always)]
    fn count(&mut self, _bytes: usize) {
        #[cfg(debug_assertions)]
        {
            self.written_bytes += _bytes as u64;
        }
    }

    #[cfg(debug_assertions)]
    pub(super) fn written_bytes(&self) -> u64 {
        self.written_bytes
    }
}
