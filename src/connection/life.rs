//! The life of a connection as a table: where it stands, what can happen to it, and where it stands then.

use super::keepalive::Keepalive;
use crate::close_reason::CloseReason;
use crate::moment::Moment;

/// Where a connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The request head has not come whole.
    AwaitingHandshake,
    /// A request was answered, and nothing of the next one has come (RFC 9112 section 9.3).
    AwaitingNext,
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
    /// As `Departing`, and the peer's stream has ended already: the peer is told nothing more, and is not waited for.
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
    /// Another request was answered, and the connection stays for the next one; the answer is queued.
    Answered,
    /// Another request was answered with `Connection: close`; the answer is queued.
    AnsweredLast,
    /// The next request has begun to come.
    NextBegun,
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
        (AwaitingHandshake, Answered, AwaitingNext),
        (AwaitingHandshake, AnsweredLast, Closing(Flushing)),
        (AwaitingHandshake, PeerFinished, Ended),
        (AwaitingHandshake, Broken, Ended),
        (AwaitingNext, NextBegun, AwaitingHandshake),
        // The answer may not have been written yet.
        (AwaitingNext, PeerFinished, Closing(FlushingLast)),
        (AwaitingNext, TimeUp, Closing(Flushing)),
        (AwaitingNext, Broken, Ended),
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

/// Where one connection stands, since when, and why it ends.
#[derive(Debug)]
pub(super) struct Life {
    state: State,
    /// Whether the peer has been asked for a sign of life. It matters while the connection is open.
    keepalive: Keepalive,
    /// When the state began; while it is open, when the peer was last heard, or asked. One number for both: an open
    /// connection has no deadline that counts from its beginning.
    since: Moment,
    /// Bytes that waited in the queue when the state began.
    queued_bytes: u32,
    reason: Option<CloseReason>,
}

impl Life {
    pub(super) fn new(now: Moment) -> Life {
        Life { state: State::AwaitingHandshake, keepalive: Keepalive::Heard, since: now, queued_bytes: 0, reason: None }
    }

    pub(super) fn state(&self) -> State {
        self.state
    }

    /// When the state began, or that of the [`keepalive`](Life::keepalive) while the connection is open.
    pub(super) fn since(&self) -> Moment {
        self.since
    }

    /// Bytes that waited in the queue when the state began.
    pub(super) fn queued_bytes(&self) -> u32 {
        self.queued_bytes
    }

    pub(super) fn keepalive(&self) -> Keepalive {
        self.keepalive
    }

    /// Why it ends, once that is known.
    pub(super) fn reason(&self) -> Option<CloseReason> {
        self.reason
    }

    /// Takes the step that [`TRANSITIONS`] has for `trigger`. `queued_bytes` wait in the queue. Says whether it led to
    /// another state. Nothing else changes the state.
    pub(super) fn step(&mut self, trigger: Trigger, queued_bytes: usize, now: Moment) -> bool {
        let next = next_state(self.state, trigger);
        if next == self.state {
            return false;
        }
        self.state = next;
        self.since = now;
        self.queued_bytes = u32::try_from(queued_bytes).unwrap_or(u32::MAX);
        true
    }

    /// Begins a state of the keepalive. In other states than `Open` there is none.
    pub(super) fn set_keepalive(&mut self, keepalive: Keepalive, now: Moment) {
        if self.state == State::Open {
            (self.keepalive, self.since) = (keepalive, now);
        }
    }

    /// It ends for this reason, whatever was known before.
    pub(super) fn set_reason(&mut self, reason: CloseReason) {
        self.reason = Some(reason);
    }

    /// It goes on: the reason that was known was that of an answer before.
    pub(super) fn clear_reason(&mut self) {
        self.reason = None;
    }

    /// It ends for this reason, unless another one is known.
    pub(super) fn set_reason_if_none(&mut self, reason: CloseReason) {
        self.reason.get_or_insert(reason);
    }
}

fn next_state(state: State, trigger: Trigger) -> State {
    let row = TRANSITIONS.iter().find(|(from, on, _)| (*from, *on) == (state, trigger));
    row.map_or(state, |(_, _, to)| *to)
}

#[cfg(test)]
mod tests {
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

    /// AwaitingHandshake, then Open, then Closing. The one way back is from an answer to the next request.
    #[test]
    fn a_connection_goes_back_only_for_its_next_request() {
        fn rank(state: State) -> u8 {
            match state {
                State::AwaitingHandshake => 0,
                State::AwaitingNext | State::Open => 1,
                State::HungUp => 2,
                State::Closing(Phase::Departing | Phase::AwaitingClose) => 3,
                State::Closing(Phase::DepartingLast | Phase::Flushing) => 4,
                State::Closing(Phase::FlushingLast | Phase::Draining) => 5,
                State::Ended => 6,
            }
        }
        for (from, on, to) in TRANSITIONS {
            assert!(rank(*from) < rank(*to) || *on == Trigger::NextBegun, "{from:?} on {on:?} goes to {to:?}");
        }
    }
}
