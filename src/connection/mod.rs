//! One connection, from its first byte to its last, without its socket.
//!
//! # Rules
//! 1. All that decides what happens next to a connection is in here: [`State`], and [`TRANSITIONS`] between states.
//! 2. It reads nothing. Bytes that were read are handed to [`Connection::next`]; bytes to be written wait in its queue, until
//!    [`Connection::flush_to`] hands them to a socket.
//! 3. It knows HTTP and WebSocket, and no rule of chat: a text message is the hub's to deal with.
//!
//! # Files
//! `life` (the table of states, and the one place that changes a state), `keepalive` (is the peer alive?), `throttle` (how
//! much it may send), `request` (the phase before the handshake: one request after another), `frames` (the phase after it), `outgoing` (what waits for the
//! peer), `deadlines` (what is due when nothing happens). This file has what is the same in each phase: ends, and what is held.
//!
//! # Order of calls
//! After each read: [`next`](Connection::next) until it says [`Incoming::NeedMore`] or [`Incoming::Finished`]. At the end of
//! the stream: [`finished_by_peer`](Connection::finished_by_peer). When the poller reports that the stream will end, or that
//! the socket has failed: [`hung_up`](Connection::hung_up), [`failed`](Connection::failed). When the socket takes bytes:
//! [`flush_to`](Connection::flush_to). When [`deadline`](Connection::deadline) has come:
//! [`on_deadline`](Connection::on_deadline). In [`Phase::Departing`], once everything that was said before has been
//! delivered: [`depart`](Connection::depart).

mod deadlines;
mod frames;
mod keepalive;
mod life;
mod outgoing;
mod request;
mod throttle;

use self::life::Life;
pub use self::life::{Phase, State, TRANSITIONS, Trigger};
pub use self::request::Request;
use self::throttle::Throttle;
pub use self::throttle::TooManyChanges;
use crate::chat::visit::Verbosity;
use crate::close_reason::CloseReason;
use crate::door::{Endpoint, Site};
use crate::gate::{AddressTable, Caller, PeerAddress, Ticket};
use crate::limits::Limits;
use crate::limits::fixed::KEPT_OF_AN_EVICTED_BYTES;
use crate::moment::Moment;
use crate::websocket::{Decoder, Input};
use crate::write_queue::WriteQueue;

/// What the bytes amounted to, as far as the hub is concerned.
#[derive(Debug)]
pub enum Incoming<'a> {
    /// All bytes were taken, and what they say is not complete: read more.
    NeedMore,
    /// Nothing that follows will be taken: the last request has been answered, or the connection closes.
    Finished,
    /// A plain request has been answered, and the next one may come.
    Answered,
    /// The handshake is done and the 101 is queued.
    Upgraded(Endpoint, Caller),
    /// A text message, for the room.
    Text(&'a str),
    /// A binary message, for the room.
    Binary(&'a [u8]),
    /// A frame that was dealt with in here. It counts against the rate all the same.
    Handled,
    /// The peer is leaving: see [`Phase::Departing`].
    Departing,
}

/// What a deadline or the end of a stream means for the connection's room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Departure {
    /// The connection stays where it is; or it is in no room.
    None,
    /// A Close was queued: the connection leaves its room now.
    CloseSent,
    /// The peer sends nothing more, or what it had sent is dropped: see [`Phase::DepartingLast`].
    Departing,
}

/// How far the queue was written out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// Some of it waits: the socket is full, or the budget is spent.
    Partly,
    /// Nothing waits.
    Wholly,
    /// Nothing waits, and nothing will follow: the writing half of the socket has to be shut now.
    Finally,
}

/// See the module.
#[derive(Debug)]
pub struct Connection {
    /// What waits to be written: only `outgoing` adds to it, and `request` its answer.
    queue: WriteQueue,
    life: Life,
    throttle: Throttle,
    decoder: Decoder,
    /// Until it becomes a WebSocket.
    request: Option<Box<Request>>,
    /// When the message that is being received began, if one is.
    message_since: Moment,
    purpose: Purpose,
    is_blocked: bool,
    is_page_queued: bool,
    /// The address that it is counted under. The hub's to know; here it fits into a gap, and a slot is smaller.
    ticket: Option<Ticket>,
    /// So is this.
    verbosity: Verbosity,
}

/// What its messages are for: the room, unless the handshake says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Chat,
    Echo,
}

impl Connection {
    /// A connection of `peer` just accepted.
    #[must_use]
    pub fn accepted(peer: PeerAddress, now: Moment) -> Connection {
        Connection {
            queue: WriteQueue::default(),
            life: Life::new(now),
            throttle: Throttle::default(),
            decoder: Decoder::default(),
            request: Some(Box::new(Request::of(peer))),
            message_since: now,
            purpose: Purpose::Chat,
            is_blocked: false,
            is_page_queued: false,
            ticket: None,
            verbosity: Verbosity::Everything,
        }
    }

    /// Where it stands.
    #[must_use]
    pub fn state(&self) -> State {
        self.life.state()
    }

    /// Why it ends, once that is known.
    #[must_use]
    pub fn close_reason(&self) -> Option<CloseReason> {
        self.life.reason()
    }

    /// Its request, answered or not; the last one, if there were several. None if that became a WebSocket.
    #[must_use]
    pub fn request(&self) -> Option<&Request> {
        self.request.as_deref()
    }

    /// Bytes from the peer would be of use now. Not while it is throttled, and not while it leaves answers of ours unread:
    /// a client that does not read is not read, and TCP tells it so.
    #[must_use]
    pub fn wants_bytes(&self, limits: &Limits) -> bool {
        match self.state() {
            State::Open | State::HungUp => {
                // A page is twenty thousand times the request for it: nothing is read before the client has taken it.
                let max_waiting_bytes = if self.is_page_queued { 1 } else { limits.read_budget_bytes };
                !self.throttle.is_on() && self.queue.len() < max_waiting_bytes
            }
            State::Closing(Phase::Departing | Phase::DepartingLast | Phase::FlushingLast) | State::Ended => false,
            // Answers are not made faster than they are read: one waits at most.
            State::AwaitingNext => self.queue.is_empty(),
            State::AwaitingHandshake | State::Closing(_) => true,
        }
    }

    /// The room's events may be queued for it: it is open, or about to leave and still to see what was said before.
    #[must_use]
    pub fn may_be_sent_to(&self) -> bool {
        // The first question is nearly always answered with yes, and is asked for every delivery.
        self.state() == State::Open || self.is_heard_out()
    }

    /// It is leaving, and is still to see what was said before.
    #[cold]
    pub(super) fn is_heard_out(&self) -> bool {
        matches!(self.state(), State::HungUp | State::Closing(Phase::Departing | Phase::DepartingLast))
    }

    /// Frames of the peer are taken for what they say.
    #[must_use]
    pub fn is_in_use(&self) -> bool {
        matches!(self.state(), State::Open | State::HungUp)
    }

    /// The socket has failed, and is only kept for what the peer said before that and can be read without waiting.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.state() == State::HungUp && matches!(self.close_reason(), Some(CloseReason::Broken(_)))
    }

    /// How much of its room's stream it is sent.
    #[must_use]
    pub fn verbosity(&self) -> Verbosity {
        self.verbosity
    }

    /// It comes to a room, and is sent so much of its stream.
    pub fn set_verbosity(&mut self, verbosity: Verbosity) {
        self.verbosity = verbosity;
    }

    /// Takes the next event off the front of `input`.
    pub fn next<'a>(
        &'a mut self,
        input: &'a mut Input<'_>,
        site: &Site,
        addresses: &mut AddressTable,
        limits: &Limits,
        now: Moment,
    ) -> Incoming<'a> {
        match self.state() {
            State::AwaitingHandshake => self.next_of_request(input, site, addresses, limits, now),
            State::AwaitingNext if input.rest().is_empty() => Incoming::NeedMore,
            State::AwaitingNext => {
                self.begin_next_request(now);
                self.next_of_request(input, site, addresses, limits, now)
            }
            State::Open | State::HungUp => self.next_of_frames(input, limits, now),
            State::Closing(Phase::AwaitingClose) => self.look_for_close(input, limits, now),
            // 7.1.7: nothing that follows the fault, or the request, is looked at.
            State::Closing(_) | State::Ended => {
                input.take(usize::MAX);
                Incoming::Finished
            }
        }
    }

    /// The peer's stream has ended.
    pub fn finished_by_peer(&mut self, now: Moment) -> Departure {
        match self.state() {
            State::AwaitingHandshake => self.life.set_reason(CloseReason::NoRequest),
            State::Open | State::HungUp => self.life.set_reason_if_none(CloseReason::PeerVanished),
            State::AwaitingNext | State::Closing(_) | State::Ended => {}
        }
        self.step(Trigger::PeerFinished, now);
        if self.state() == State::Closing(Phase::DepartingLast) { Departure::Departing } else { Departure::None }
    }

    /// The poller has reported that the peer's stream ends behind what can be read. Of that, as many frames are taken as
    /// the rate allows within `--close-timeout`, and without any pause between them; where something else holds up the
    /// reading, `--close-timeout` is waited for it. What is left then is dropped.
    pub fn hung_up(&mut self, limits: &Limits, now: Moment) {
        self.step(Trigger::PeerHungUp, now);
        self.throttle.update(self.state(), limits, now);
    }

    /// What a peer that has hung up had said before, and what has not been taken of it, is dropped now.
    pub fn give_up_rest(&mut self, now: Moment) {
        self.life.set_reason_if_none(CloseReason::PeerVanished);
        self.step(Trigger::TimeUp, now);
    }

    /// Counts one frame against the rate. The work is done; it is the next frame that may have to wait.
    pub fn spend_token(&mut self, limits: &Limits, now: Moment) {
        self.spend_message(0, limits, now);
    }

    /// Counts one frame that makes the daemon send so many bytes: as one token, or as its bytes, whichever costs more.
    pub fn spend_message(&mut self, bytes: usize, limits: &Limits, now: Moment) {
        // `/echo` is there to be driven as fast as it goes.
        if self.purpose == Purpose::Chat {
            self.throttle.spend_message(bytes, self.state(), limits, now);
        }
    }

    /// Counts the bytes of the answer to a frame that has been counted as a token.
    pub fn spend_answer(&mut self, bytes: usize, limits: &Limits, now: Moment) {
        if self.purpose == Purpose::Chat {
            self.throttle.spend_answer(bytes, self.state(), limits, now);
        }
    }

    /// Counts a change of name or of room, unless there have been too many.
    ///
    /// # Errors
    /// [`TooManyChanges`].
    pub fn spend_change(&mut self, limits: &Limits, now: Moment) -> Result<(), TooManyChanges> {
        self.throttle.spend_change(limits, now)
    }

    /// Bytes have come from the peer: a sign of life.
    pub fn heard(&mut self, now: Moment) {
        self.life.heard(now);
    }

    /// Bytes from the peer are waiting, and it is we who do not read them: so long as it has not hung up and its socket
    /// has not failed, they count as its answer to a Ping. The Ping itself is sent all the same, since it is what a
    /// peer's system answers with a reset if the peer is gone.
    pub fn kept_waiting(&mut self, limits: &Limits, due_by: Moment, now: Moment) {
        self.life.kept_waiting(limits, due_by, now);
    }

    /// The same while the history has to come first: then the message that is being received is not late, either.
    pub fn kept_waiting_for_history(&mut self, limits: &Limits, due_by: Moment, now: Moment) {
        self.kept_waiting(limits, due_by, now);
        self.message_since = now;
    }

    /// It has sent too much, and is not read for a while.
    #[must_use]
    pub fn is_throttled(&self) -> bool {
        self.throttle.is_on()
    }

    /// Bytes that are held for this peer: what it has not read, and what it has begun and not finished to send.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        let head = self.request.as_ref().map_or(0, |request| request.held_bytes());
        self.queue.cost() + self.decoder.held_bytes() + head
    }

    /// Ends for want of memory, and frees what is held. An open connection is told why, if a Close can be put behind the
    /// frame that has begun to leave without keeping much of that; whatever else it says is not looked at.
    pub fn evict(&mut self, reason: CloseReason, now: Moment) {
        self.decoder = Decoder::default();
        if self.state() == State::Open {
            self.give_up_waiting();
        }
        if self.state() != State::Open || self.queue.len() > KEPT_OF_AN_EVICTED_BYTES {
            self.queue = WriteQueue::default();
            return self.cut(reason, now);
        }
        self.queue_close(reason.close_code(), &reason.to_string());
        self.life.set_reason(reason);
        self.step(Trigger::Evicted, now);
    }

    /// The socket has failed: a reset, or a write that can never be done. What waits cannot be delivered. The connection
    /// ends at once; only what the peer said before that and can be read without any waiting is still taken, and
    /// [`cut_off`](Connection::cut_off) ends it when there is no more of that. The rate allows as much as after a
    /// [hang-up](Connection::hung_up).
    #[cold]
    pub fn failed(&mut self, reason: CloseReason, limits: &Limits, now: Moment) {
        if self.is_in_use() {
            self.queue = WriteQueue::default();
            self.life.set_reason_if_none(reason);
            self.hung_up(limits, now);
        } else {
            self.cut(reason, now);
        }
    }

    /// Ends a connection whose socket [has failed](Connection::has_failed).
    pub fn cut_off(&mut self) {
        // Nothing is due of a connection that has ended, so it does not matter since when.
        let since = self.life.since();
        self.step(Trigger::Broken, since);
    }

    /// Ends at once, without a last word: the socket failed, or nothing can be sent to the peer. If the end was known
    /// already, its first reason stands.
    pub fn cut(&mut self, reason: CloseReason, now: Moment) {
        self.life.set_reason_if_none(reason);
        self.step(Trigger::Broken, now);
    }

    /// Takes a step of the table. Says whether it led to another state.
    fn step(&mut self, trigger: Trigger, now: Moment) -> bool {
        self.life.step(trigger, self.queue.len(), now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_at_rest_is_small() {
        assert!(size_of::<Connection>() <= 120, "{} bytes", size_of::<Connection>());
    }
}
