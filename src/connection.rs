//! One connection, from its first byte to its last, without its socket.
//!
//! # Rules
//! 1. All that decides what happens next to a connection is in here: [`State`], and [`TRANSITIONS`] between states.
//! 2. It does no I/O. Bytes that were read are handed to [`Connection::next`]; bytes to be written wait in
//!    [`Connection::queue`].
//! 3. It knows HTTP and WebSocket, and no rule of chat: a text message is the hub's to deal with.
//!
//! # Order of calls
//! After each read: [`next`](Connection::next) until it says [`Incoming::NeedMore`]. At the end of the stream:
//! [`finished_by_peer`](Connection::finished_by_peer). When the poller reports that the stream will end, or that the
//! socket has failed: [`hung_up`](Connection::hung_up), [`failed`](Connection::failed). When the queue has been written out:
//! [`flushed`](Connection::flushed). When [`deadline`](Connection::deadline) has come:
//! [`on_deadline`](Connection::on_deadline). In [`Phase::Departing`], once everything that was said before has been
//! delivered: [`depart`](Connection::depart).

use crate::chat::visit::Verbosity;
use crate::close_reason::CloseReason;
use crate::door::Refusal;
use crate::door::{Endpoint, Route, Site};
use crate::http::response::BodyWanted;
use crate::http::{Head, HeadScanner, RequestLine};
use crate::limits::Limits;
use crate::limits::fixed::{SLOWEST_FLUSH, SLOWEST_FLUSH_BYTES};
use crate::moment::Moment;
use crate::rate_limit::TokenBucket;
use crate::websocket::close::close_payload;
use crate::websocket::frame::{Opcode, append_frame};
use crate::websocket::{Close, CloseCode, Decoder, Input, Received};
use crate::write_queue::WriteQueue;

/// Where a connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The request head has not come whole.
    AwaitingHandshake,
    /// It is a WebSocket; frames go both ways.
    Open,
    /// As `Open`, and the peer has ended its stream: what it sent before that is still taken, for a short, fixed time.
    HungUp,
    /// The last words are known.
    Closing(Phase),
    /// Nothing more will happen; the slot can be freed.
    Ended,
}

/// The steps of closing. What they have in common: nothing the peer says is answered any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The peer is leaving. What was said before that must still reach it; then comes our last frame.
    Departing,
    /// As `Departing`, and the peer's stream has ended already: nobody is told anything, and nobody is waited for.
    DepartingLast,
    /// Our Close is queued; the peer's is awaited (section 5.5.1).
    AwaitingClose,
    /// Our last bytes are queued: a Close, or an HTTP answer.
    Flushing,
    /// As `Flushing`, and the peer's stream has ended already: once flushed there is nothing left to wait for.
    FlushingLast,
    /// Everything is written and our half of the stream is shut. The peer's end of stream is awaited, so that our last
    /// bytes are not thrown away by a reset (section 7.1.1).
    Draining,
}

/// What can happen to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    /// A handshake was accepted; the 101 is queued.
    Upgraded,
    /// Another request was answered; the answer is queued.
    Answered,
    /// The peer's Close came.
    CloseReceived,
    /// The peer broke a rule.
    Violated,
    /// The poller has reported the end of the peer's stream, which lies behind what has not been read yet.
    PeerHungUp,
    /// The peer's stream ended, and all of it has been read.
    PeerFinished,
    /// We said Close first.
    CloseSent,
    /// We said Close first, for want of memory: the peer's own is not waited for.
    Evicted,
    /// What the peer was still to see has been queued, and our last frame behind it.
    Departed,
    /// The queue has been written out.
    Flushed,
    /// The time for this state is up.
    TimeUp,
    /// The socket failed.
    Broken,
}

/// The whole life of a connection: state, what happens, next state. What is not listed changes nothing.
pub const TRANSITIONS: &[(State, Trigger, State)] = {
    use Phase::*;
    use State::*;
    use Trigger::*;
    &[
        (AwaitingHandshake, Upgraded, Open),
        (AwaitingHandshake, Answered, Closing(Flushing)),
        (AwaitingHandshake, PeerFinished, Ended),
        (AwaitingHandshake, Broken, Ended),
        (Open, CloseReceived, Closing(Departing)),
        (Open, Violated, Closing(Departing)),
        (Open, PeerHungUp, HungUp),
        (Open, PeerFinished, Closing(DepartingLast)),
        (Open, CloseSent, Closing(AwaitingClose)),
        (Open, Evicted, Closing(Flushing)),
        (Open, Broken, Ended),
        (HungUp, CloseReceived, Closing(DepartingLast)),
        (HungUp, Violated, Closing(DepartingLast)),
        (HungUp, PeerFinished, Closing(DepartingLast)),
        (HungUp, TimeUp, Closing(DepartingLast)),
        (HungUp, CloseSent, Closing(FlushingLast)),
        (HungUp, Broken, Ended),
        (Closing(Departing), PeerHungUp, Closing(DepartingLast)),
        (Closing(Departing), Departed, Closing(Flushing)),
        (Closing(Departing), TimeUp, Ended),
        (Closing(Departing), Broken, Ended),
        (Closing(DepartingLast), Departed, Closing(FlushingLast)),
        (Closing(DepartingLast), TimeUp, Ended),
        (Closing(DepartingLast), Broken, Ended),
        (Closing(AwaitingClose), CloseReceived, Closing(Flushing)),
        (Closing(AwaitingClose), Violated, Closing(Flushing)),
        (Closing(AwaitingClose), PeerFinished, Closing(FlushingLast)),
        (Closing(AwaitingClose), TimeUp, Ended),
        (Closing(AwaitingClose), Broken, Ended),
        (Closing(Flushing), PeerFinished, Closing(FlushingLast)),
        (Closing(Flushing), Flushed, Closing(Draining)),
        (Closing(Flushing), TimeUp, Ended),
        (Closing(Flushing), Broken, Ended),
        (Closing(FlushingLast), Flushed, Ended),
        (Closing(FlushingLast), TimeUp, Ended),
        (Closing(FlushingLast), Broken, Ended),
        (Closing(Draining), PeerFinished, Ended),
        (Closing(Draining), TimeUp, Ended),
        (Closing(Draining), Broken, Ended),
    ]
};

/// What the bytes amounted to, as far as the hub is concerned.
#[derive(Debug)]
pub enum Incoming<'a> {
    /// All bytes were taken that are of use: read more, or none, if this was a plain request and its answer is queued.
    NeedMore,
    /// The handshake is done and the 101 is queued.
    Upgraded(Endpoint),
    /// A text message, for the room.
    Text(&'a str),
    /// A binary message, for the room.
    Binary(&'a [u8]),
    /// A frame that was dealt with in here. It counts against the rate all the same.
    Handled,
    /// The peer is leaving: see [`Phase::Departing`].
    Departing,
}

/// What a deadline brought, as far as the hub is concerned: it looks at what is queued, and at an end, in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// The connection stays where it is; or it is in no room.
    Nothing,
    /// A Close was queued: the connection leaves its room now.
    CloseSent,
    /// The peer has hung up, and the time for what it had said before is over: see [`Phase::DepartingLast`].
    Departing,
}

/// Whether another change of name or room may be made now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Changes {
    /// It may, and has been counted.
    Allowed,
    /// There have been too many.
    TooMany,
}

/// See the module.
#[derive(Debug)]
pub struct Connection {
    /// What waits to be written.
    pub queue: WriteQueue,
    /// The last flush of the queue was stopped by a full socket.
    pub is_blocked: bool,
    /// The queue has a page of the past in it, perhaps: nothing of this peer is read before the queue is empty. A page is
    /// twenty thousand times the request for it.
    pub is_page_queued: bool,
    /// How much of its room's stream it is sent. The hub's to know; here it fits into a gap, and a slot is smaller.
    pub verbosity: Verbosity,
    state: State,
    /// When the state began.
    since: Moment,
    /// Bytes that waited in the queue then.
    owed_since: u32,
    decoder: Decoder,
    /// Not once it is a WebSocket: a connection in its long middle age does not carry it.
    request: Option<Box<Request>>,
    purpose: Purpose,
    keepalive: Keepalive,
    /// When the peer was heard last, or asked. Beside the enum and not in it: eight bytes less a connection.
    keepalive_since: Moment,
    /// When the message that is being received began, if one is.
    message_since: Moment,
    bucket: TokenBucket,
    /// The same for new names and rooms.
    changes: TokenBucket,
    /// It has spent its tokens: nothing of it is read until then.
    resting_until: Option<Moment>,
    ending: Option<CloseReason>,
}

#[derive(Debug, Default)]
struct Request {
    scanner: HeadScanner,
    /// The head so far, when it did not come in one read.
    bytes: Vec<u8>,
    /// What is logged of it, once it has been parsed.
    line: Option<RequestLine>,
}

/// What its messages are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Chat,
    Echo,
}

/// Is the peer alive? Any byte from it says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keepalive {
    Heard,
    Asked,
}

impl Connection {
    /// A connection just accepted.
    #[must_use]
    pub fn accepted(now: Moment) -> Connection {
        Connection {
            queue: WriteQueue::default(),
            is_blocked: false,
            is_page_queued: false,
            verbosity: Verbosity::Everything,
            state: State::AwaitingHandshake,
            since: now,
            owed_since: 0,
            decoder: Decoder::default(),
            request: Some(Box::default()),
            purpose: Purpose::Echo,
            keepalive: Keepalive::Heard,
            keepalive_since: now,
            message_since: now,
            bucket: TokenBucket::default(),
            changes: TokenBucket::default(),
            resting_until: None,
            ending: None,
        }
    }

    /// A connection for which there is no room: answered before it has asked, which costs no parsing.
    #[must_use]
    pub fn turned_away(refusal: Refusal, now: Moment) -> Connection {
        let mut connection = Connection::accepted(now);
        connection.refuse(refusal, BodyWanted::Yes, now);
        connection
    }

    /// Where it stands.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// Why it ends, once that is known.
    #[must_use]
    pub fn ending(&self) -> Option<CloseReason> {
        self.ending
    }

    /// What it asked for, for the log. None if that was never read, or became a WebSocket.
    #[must_use]
    pub fn request_line(&self) -> Option<&RequestLine> {
        self.request.as_ref()?.line.as_ref()
    }

    /// Bytes from the peer would be of use now. Not while it rests, and not while it leaves answers of ours unread:
    /// who does not read is not listened to, and TCP tells it so.
    #[must_use]
    pub fn wants_bytes(&self, limits: &Limits) -> bool {
        match self.state {
            State::Open | State::HungUp => {
                let may_owe_bytes = if self.is_page_queued { 1 } else { limits.read_budget_bytes };
                self.resting_until.is_none() && self.queue.len() < may_owe_bytes
            }
            State::Closing(Phase::Departing | Phase::DepartingLast | Phase::FlushingLast) | State::Ended => false,
            State::AwaitingHandshake | State::Closing(_) => true,
        }
    }

    /// The room's events may be queued for it: it is open, or about to leave and still to see what was said before.
    #[must_use]
    pub fn may_be_sent_to(&self) -> bool {
        // The first question is nearly always answered with yes, and is asked for every delivery.
        self.state == State::Open || self.is_heard_out()
    }

    /// It is leaving, and is still to see what was said before.
    #[cold]
    fn is_heard_out(&self) -> bool {
        matches!(self.state, State::HungUp | State::Closing(Phase::Departing | Phase::DepartingLast))
    }

    /// Frames of the peer are taken for what they say.
    #[must_use]
    pub fn is_in_use(&self) -> bool {
        matches!(self.state, State::Open | State::HungUp)
    }

    /// The socket has failed, and is only kept for what the peer said before that and can be read without waiting.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.state == State::HungUp && matches!(self.ending, Some(CloseReason::Broken(_)))
    }

    /// Takes the next event off the front of `input`.
    pub fn next<'a>(&'a mut self, input: &'a mut Input<'_>, site: &Site, limits: &Limits, now: Moment) -> Incoming<'a> {
        match self.state {
            State::AwaitingHandshake => self.next_of_request(input, site, limits, now),
            State::Open | State::HungUp => self.next_of_frames(input, limits, now),
            State::Closing(Phase::AwaitingClose) => {
                self.look_for_close(input, limits, now);
                Incoming::NeedMore
            }
            // 7.1.7: nothing that follows the fault, or the request, is looked at.
            State::Closing(_) | State::Ended => {
                input.take(usize::MAX);
                Incoming::NeedMore
            }
        }
    }

    /// The peer's stream has ended. Gives what the hub must know of it.
    pub fn finished_by_peer(&mut self, now: Moment) -> Incoming<'static> {
        match self.state {
            State::AwaitingHandshake => self.ending = Some(CloseReason::NoRequest),
            State::Open | State::HungUp => {
                self.ending.get_or_insert(CloseReason::PeerVanished);
            }
            State::Closing(_) | State::Ended => {}
        }
        self.step(Trigger::PeerFinished, now);
        if self.state == State::Closing(Phase::DepartingLast) { Incoming::Departing } else { Incoming::NeedMore }
    }

    /// The poller has reported that the peer's stream ends behind what can be read. Of that, as many frames are taken as
    /// the rate allows within `--close-timeout`, and without any rest between them; where something else holds up the
    /// reading, `--close-timeout` is waited for it. What is left then is dropped.
    pub fn hung_up(&mut self, limits: &Limits, now: Moment) {
        self.step(Trigger::PeerHungUp, now);
        self.rest_as_needed(limits, now);
    }

    /// What a peer that has hung up had said before, and what has not been taken of it, is dropped now.
    pub fn give_up_rest(&mut self, now: Moment) {
        self.ending.get_or_insert(CloseReason::PeerVanished);
        self.step(Trigger::TimeUp, now);
    }

    /// Counts one frame against the rate. The work is done; it is the next frame that may have to wait.
    pub fn spend_token(&mut self, limits: &Limits, now: Moment) {
        self.spend_message(0, limits, now);
    }

    /// Counts one frame that makes the daemon send so many bytes: as one token, or as its bytes, whichever costs more.
    pub fn spend_message(&mut self, bytes: usize, limits: &Limits, now: Moment) {
        // `/echo` is there to be driven as fast as it goes.
        if let (Some(rate), Purpose::Chat) = (limits.rate, self.purpose) {
            let token = rate.one();
            self.bucket.take(limits.byte_rate.map_or(token, |rate| rate.bytes(bytes).max(token)), now);
            self.rest_as_needed(limits, now);
        }
    }

    /// Counts the bytes of the answer to a frame that has been counted as a token.
    pub fn spend_answer(&mut self, bytes: usize, limits: &Limits, now: Moment) {
        if let (Some(rate), Some(byte_rate), Purpose::Chat) = (limits.rate, limits.byte_rate, self.purpose) {
            self.bucket.take(byte_rate.bytes(bytes).beyond(rate.one()), now);
            self.rest_as_needed(limits, now);
        }
    }

    fn rest_as_needed(&mut self, limits: &Limits, now: Moment) {
        let Some(mut rate) = limits.rate else { return };
        if self.state == State::HungUp {
            rate.burst = rate.burst.saturating_add(rate.within(limits.close_timeout));
        }
        self.resting_until = self.bucket.empty_until(rate.all_but_one(), now);
    }

    /// Counts a change of name or of room, unless there have been too many: these cost everybody who is told of them.
    #[must_use]
    pub fn spend_change(&mut self, limits: &Limits, now: Moment) -> Changes {
        let Some(rate) = limits.change_rate else { return Changes::Allowed };
        if self.changes.empty_until(rate.all_but_one(), now).is_some() {
            return Changes::TooMany;
        }
        self.changes.take(rate.one(), now);
        Changes::Allowed
    }

    /// Bytes have come from the peer: a sign of life.
    pub fn heard(&mut self, now: Moment) {
        (self.keepalive, self.keepalive_since) = (Keepalive::Heard, now);
    }

    /// Bytes from the peer are waiting, and it is we who do not read them: so long as it has not hung up and its socket
    /// has not failed, they count as its answer to a Ping. The Ping itself is sent all the same, since it is what a
    /// peer's system answers with a reset if the peer is gone.
    pub fn kept_waiting(&mut self, limits: &Limits, due_by: Moment, now: Moment) {
        if self.keepalive == Keepalive::Asked && self.keepalive_since + limits.ping_timeout <= due_by {
            self.heard(now);
        }
    }

    /// The same while the history has to come first: then the message that is being received is not late, either.
    pub fn kept_waiting_for_history(&mut self, limits: &Limits, due_by: Moment, now: Moment) {
        self.kept_waiting(limits, due_by, now);
        self.message_since = now;
    }

    /// It rests, because it has sent too much.
    #[must_use]
    pub fn is_resting(&self) -> bool {
        self.resting_until.is_some()
    }

    /// Everything that was said before the peer's last frame is queued for it: now comes ours, as an answer
    /// (section 5.5.1: with the code that was received) or as the verdict on a violation (section 7.1.7).
    pub fn depart(&mut self, now: Moment) {
        if !matches!(self.state, State::Closing(Phase::Departing | Phase::DepartingLast)) {
            return;
        }
        match self.ending {
            Some(CloseReason::PeerClosed(code)) => self.queue_close(code, ""),
            Some(ending @ CloseReason::Violated(_)) => self.queue_close(ending.close_code(), &ending.to_string()),
            // Its stream has ended: nobody said Close, and nobody is owed one.
            _ => {}
        }
        self.step(Trigger::Departed, now);
    }

    /// Says Close first, for a reason of ours. Only a connection in use can be closed so; others change nothing.
    pub fn close(&mut self, ending: CloseReason, now: Moment) {
        if !self.is_in_use() {
            return;
        }
        // Too much waits already: what has not begun to leave is given up, so that the Close has a chance to arrive.
        if ending == CloseReason::TooSlow {
            self.queue.cut_behind_begun_frame();
        }
        self.queue_close(ending.close_code(), &ending.to_string());
        self.ending = Some(ending);
        self.step(Trigger::CloseSent, now);
    }

    /// Bytes that are held for this peer: what it has not read, and what it has begun and not finished to send.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        let head = self.request.as_ref().map_or(0, |request| request.bytes.len());
        self.queue.cost() + self.decoder.held_bytes() + head
    }

    /// Ends for want of memory, and frees what is held. An open connection is told why, if a Close can be put behind the
    /// frame that has begun to leave without keeping much of that; whatever else it says is not looked at.
    pub fn evict(&mut self, ending: CloseReason, now: Moment) {
        const KEPT_BYTES: usize = 1_024;
        self.decoder = Decoder::default();
        if self.state == State::Open {
            self.queue.cut_behind_begun_frame();
        }
        if self.state != State::Open || self.queue.len() > KEPT_BYTES {
            self.queue = WriteQueue::default();
            return self.cut(ending, now);
        }
        self.queue_close(ending.close_code(), &ending.to_string());
        self.ending = Some(ending);
        self.step(Trigger::Evicted, now);
    }

    /// The queue has been written out. Says whether the writing half of the socket is to be shut now.
    #[must_use]
    pub fn flushed(&mut self, now: Moment) -> bool {
        let before = self.state;
        self.step(Trigger::Flushed, now);
        before != self.state
    }

    /// The peer has taken bytes after its socket had been full: slow, but alive.
    pub fn progressed(&mut self, now: Moment) {
        // The Ping may still be in the queue: the time to answer it begins when it can have been read.
        if self.keepalive == Keepalive::Asked {
            self.keepalive_since = now;
        }
    }

    /// The socket has failed: a reset, or a write that can never be done. What waits cannot be delivered. The connection
    /// ends at once; only what the peer said before that and can be read without any waiting is still taken, and
    /// [`cut_off`](Connection::cut_off) ends it when there is no more of that. The rate allows as much as after a
    /// [hang-up](Connection::hung_up).
    #[cold]
    pub fn failed(&mut self, ending: CloseReason, limits: &Limits, now: Moment) {
        if self.is_in_use() {
            self.queue = WriteQueue::default();
            self.ending.get_or_insert(ending);
            self.hung_up(limits, now);
        } else {
            self.cut(ending, now);
        }
    }

    /// Ends a connection whose socket [has failed](Connection::has_failed).
    pub fn cut_off(&mut self) {
        self.state = next_state(self.state, Trigger::Broken);
    }

    /// Ends at once, without a last word: the socket failed, or nobody is there to hear one. If the end was known
    /// already, its first reason stands.
    pub fn cut(&mut self, ending: CloseReason, now: Moment) {
        self.ending.get_or_insert(ending);
        self.step(Trigger::Broken, now);
    }

    /// When something is due even if nothing happens. A function of the state: nobody has to remember to change it.
    #[must_use]
    pub fn deadline(&self, limits: &Limits) -> Moment {
        match self.state {
            State::AwaitingHandshake => self.since + limits.handshake_timeout,
            State::Open => {
                let sign_of_life = match self.keepalive {
                    Keepalive::Heard => self.keepalive_since + limits.ping_interval,
                    Keepalive::Asked => self.keepalive_since + limits.ping_timeout,
                };
                sign_of_life.min(self.message_deadline(limits)).min(self.resting_until.unwrap_or(Moment::NEVER))
            }
            // It has said all that it may. Otherwise nobody can be asked for a sign of life, so the time is fixed.
            State::HungUp if self.is_resting() => self.since,
            State::HungUp => self.since + limits.close_timeout,
            // It waits for the history, and the peer is there: a slow disk is waited for as long as a silent peer.
            State::Closing(Phase::Departing) => self.since + limits.ping_timeout.max(limits.close_timeout),
            State::Ended => Moment::NEVER,
            // Fixed when the state begins: neither taking a little nor taking nothing moves it.
            State::Closing(_) => {
                self.since + limits.close_timeout + SLOWEST_FLUSH * self.owed_since.div_ceil(SLOWEST_FLUSH_BYTES)
            }
        }
    }

    /// Does what was due by then. That may be earlier than now: what came in between may not have been read yet.
    pub fn on_deadline(&mut self, limits: &Limits, due_by: Moment, now: Moment) -> Due {
        if due_by < self.deadline(limits) {
            return Due::Nothing;
        }
        match self.state {
            State::AwaitingHandshake => {
                self.refuse(Refusal::HeadTooSlow, BodyWanted::Yes, now);
                Due::Nothing
            }
            State::Open => self.on_open_deadline(limits, due_by, now),
            State::HungUp => {
                self.give_up_rest(now);
                Due::Departing
            }
            State::Closing(_) | State::Ended => {
                self.step(Trigger::TimeUp, now);
                Due::Nothing
            }
        }
    }

    fn message_deadline(&self, limits: &Limits) -> Moment {
        if self.decoder.is_amid_message() { self.message_since + limits.message_timeout } else { Moment::NEVER }
    }

    fn on_open_deadline(&mut self, limits: &Limits, due_by: Moment, now: Moment) -> Due {
        if self.resting_until.is_some_and(|until| until <= due_by) {
            self.resting_until = None;
        }
        if self.message_deadline(limits) <= due_by {
            self.close(CloseReason::MessageTooSlow, now);
            return Due::CloseSent;
        }
        match self.keepalive {
            Keepalive::Heard if self.keepalive_since + limits.ping_interval <= due_by => {
                // No payload: any Pong will do, and any other frame as well.
                self.queue.append_own(|out| append_frame(out, Opcode::Ping, &[]));
                (self.keepalive, self.keepalive_since) = (Keepalive::Asked, now);
                Due::Nothing
            }
            Keepalive::Asked if self.keepalive_since + limits.ping_timeout <= due_by => {
                self.close(CloseReason::Silent, now);
                Due::CloseSent
            }
            _ => Due::Nothing,
        }
    }

    fn next_of_request(
        &mut self,
        input: &mut Input<'_>,
        site: &Site,
        limits: &Limits,
        now: Moment,
    ) -> Incoming<'static> {
        // Taken out, and put back unless it becomes a WebSocket.
        let mut request = self.request.take().unwrap_or_default();
        let mut body_wanted = BodyWanted::Yes;
        let mut line = None;
        let mut route_of = |head: &[u8]| {
            let head = Head::parse(head)?;
            body_wanted = head.body_wanted();
            let route = Route::of(&head, site);
            // An upgrade has its own line in the log, and does without this one.
            if !matches!(route, Ok(Route::Upgrade(..))) {
                line = Some(head.line());
            }
            route
        };
        let route = match request.scanner.scan(input.rest(), limits.max_head_bytes) {
            Ok(None) => {
                request.bytes.extend_from_slice(input.take(usize::MAX));
                self.request = Some(request);
                return Incoming::NeedMore;
            }
            Ok(Some(len)) if request.bytes.is_empty() => route_of(input.take(len)),
            Ok(Some(len)) => {
                request.bytes.extend_from_slice(input.take(len));
                route_of(&request.bytes)
            }
            Err(error) => Err(error.into()),
        };
        match route {
            // 4.1: what follows the head in the same segment are frames already; they stay in the input.
            Ok(Route::Upgrade(upgrade, endpoint)) => {
                self.queue.push_unit(upgrade.response());
                self.purpose = match endpoint {
                    Endpoint::Room(_) => Purpose::Chat,
                    Endpoint::Echo => Purpose::Echo,
                };
                (self.keepalive, self.keepalive_since) = (Keepalive::Heard, now);
                self.step(Trigger::Upgraded, now);
                Incoming::Upgraded(endpoint)
            }
            Ok(Route::Answer(response)) => {
                self.request = Some(Box::new(Request { line, ..Request::default() }));
                self.ending = Some(CloseReason::Answered(response.status));
                self.queue.push_unit(response.into_bytes(body_wanted));
                self.step(Trigger::Answered, now);
                Incoming::NeedMore
            }
            Err(refusal) => {
                self.refuse(refusal, body_wanted, now);
                self.request = line.map(|line| Box::new(Request { line: Some(line), ..Request::default() }));
                Incoming::NeedMore
            }
        }
    }

    fn next_of_frames<'a>(&'a mut self, input: &'a mut Input<'_>, limits: &Limits, now: Moment) -> Incoming<'a> {
        if input.rest().is_empty() {
            self.decoder.forget_delivered();
            return Incoming::NeedMore;
        }
        if !self.decoder.is_amid_message() {
            self.message_since = now;
        }
        let received = match self.decoder.decode(input, &limits.message) {
            Ok(received) => received,
            Err(violation) => {
                self.ending = Some(CloseReason::Violated(violation));
                // Not `step`: the borrow of the decoder reaches to the end of this function.
                (self.state, self.since) = (next_state(self.state, Trigger::Violated), now);
                self.owed_since = u32::try_from(self.queue.len()).unwrap_or(u32::MAX);
                return Incoming::Departing;
            }
        };
        match (received, self.purpose) {
            (Received::Text(text), Purpose::Chat) => Incoming::Text(text),
            (Received::Binary(bytes), Purpose::Chat) => Incoming::Binary(bytes),
            (Received::Text(text), Purpose::Echo) => {
                self.queue.append_own(|out| append_frame(out, Opcode::Text, text.as_bytes()));
                Incoming::Handled
            }
            (Received::Binary(bytes), Purpose::Echo) => {
                self.queue.append_own(|out| append_frame(out, Opcode::Binary, bytes));
                Incoming::Handled
            }
            // 5.5.2: a Pong with the same payload, as soon as is practical. Every Ping gets one, though the RFC would
            // let us answer only the latest: the rate limits those who ask too often.
            (Received::Ping(payload), _) => {
                self.queue.append_own(|out| append_frame(out, Opcode::Pong, payload));
                Incoming::Handled
            }
            (Received::Close(Close { code, .. }), _) => {
                self.ending = Some(CloseReason::PeerClosed(code));
                (self.state, self.since) = (next_state(self.state, Trigger::CloseReceived), now);
                self.owed_since = u32::try_from(self.queue.len()).unwrap_or(u32::MAX);
                Incoming::Departing
            }
            (Received::Pong | Received::Fragment, _) => Incoming::Handled,
            (Received::NeedMore, _) => Incoming::NeedMore,
        }
    }

    /// 5.5.1: after our Close, only the peer's Close is of interest. What it sent before it saw ours is passed over.
    fn look_for_close(&mut self, input: &mut Input<'_>, limits: &Limits, now: Moment) {
        loop {
            let trigger = match self.decoder.decode(input, &limits.message) {
                Ok(Received::NeedMore) => return,
                Ok(Received::Close(_)) => Trigger::CloseReceived,
                Ok(_) => continue,
                Err(_) => Trigger::Violated,
            };
            self.step(trigger, now);
            input.take(usize::MAX);
            return;
        }
    }

    fn refuse(&mut self, refusal: Refusal, body_wanted: BodyWanted, now: Moment) {
        self.request = None;
        self.ending = Some(CloseReason::Refused(refusal));
        self.queue.push_unit(refusal.response().into_bytes(body_wanted));
        self.step(Trigger::Answered, now);
    }

    fn queue_close(&mut self, code: Option<CloseCode>, reason: &str) {
        let payload = code.map_or(Vec::new(), |code| close_payload(code, reason));
        self.queue.append_own(|out| append_frame(out, Opcode::Close, &payload));
    }

    fn step(&mut self, trigger: Trigger, now: Moment) {
        let next = next_state(self.state, trigger);
        if next != self.state {
            self.state = next;
            self.since = now;
            self.owed_since = u32::try_from(self.queue.len()).unwrap_or(u32::MAX);
        }
    }
}

fn next_state(state: State, trigger: Trigger) -> State {
    let row = TRANSITIONS.iter().find(|(from, on, _)| (*from, *on) == (state, trigger));
    row.map_or(state, |(_, _, to)| *to)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn no_state_has_two_answers_to_one_trigger() {
        for (nth, (from, on, _)) in TRANSITIONS.iter().enumerate() {
            let again = TRANSITIONS[nth + 1..].iter().any(|(other, trigger, _)| (other, trigger) == (from, on));
            assert!(!again, "{from:?} on {on:?} is listed twice");
        }
    }

    #[test]
    fn every_state_ends_when_the_socket_breaks_and_none_is_left_once_ended() {
        let states: Vec<State> = TRANSITIONS.iter().map(|(from, _, _)| *from).collect();
        for state in states {
            assert_eq!(next_state(state, Trigger::Broken), State::Ended, "{state:?}");
            assert_ne!(state, State::Ended);
        }
    }

    /// AwaitingHandshake, then Open, then Closing, never back.
    #[test]
    fn a_connection_never_goes_back() {
        fn rank(state: State) -> u8 {
            match state {
                State::AwaitingHandshake => 0,
                State::Open => 1,
                State::HungUp => 2,
                State::Closing(Phase::Departing | Phase::AwaitingClose) => 3,
                State::Closing(Phase::DepartingLast | Phase::Flushing) => 4,
                State::Closing(Phase::FlushingLast | Phase::Draining) => 5,
                State::Ended => 6,
            }
        }
        for (from, on, to) in TRANSITIONS {
            assert!(rank(*from) < rank(*to), "{from:?} on {on:?} goes to {to:?}");
        }
    }

    /// The time is for those who take something: it must not shrink while they do, nor grow for those who do not.
    #[test]
    fn the_time_to_close_is_fixed_by_what_is_owed_when_it_begins() {
        let limits = Limits::default();
        let mut connection = Connection::accepted(Moment::START);
        connection.step(Trigger::Upgraded, Moment::START);
        connection.queue.append_own(|out| append_frame(out, Opcode::Text, &[b'x'; 1 << 20]));
        connection.close(CloseReason::ShutDown, Moment::START);
        let deadline = connection.deadline(&limits);
        assert!(deadline.since(Moment::START) >= limits.close_timeout + Duration::from_secs(16));
        assert!(connection.queue.flush_to(&mut std::io::sink(), 1 << 19).is_ok());
        assert_eq!(connection.deadline(&limits), deadline);
    }

    #[test]
    fn a_connection_at_rest_is_small() {
        assert!(size_of::<Connection>() <= 120, "{} bytes", size_of::<Connection>());
    }
}
