//! What is due of a connection when nothing happens.

use std::time::Duration;

use super::keepalive::Silence;
use super::life::{Phase, State, Trigger};
use super::{Connection, Departure};
use crate::close_reason::CloseReason;
use crate::door::Refusal;
use crate::http::BodyWanted;
use crate::limits::Limits;
use crate::limits::fixed::{SLOWEST_FLUSH, SLOWEST_FLUSH_BYTES};
use crate::moment::Moment;

impl Connection {
    /// When something is due even if nothing happens. A function of the state: no call has to remember to change it.
    #[must_use]
    pub fn deadline(&self, limits: &Limits) -> Moment {
        let since = self.life.since();
        match self.state() {
            State::AwaitingHandshake => since + limits.handshake_timeout,
            State::AwaitingNext => since + limits.idle_timeout + self.slowest_flush(),
            State::Open => {
                let silence = self.life.silence_deadline(limits);
                silence.min(self.message_deadline(limits)).min(self.throttle.until())
            }
            // It has said all that it may. Otherwise no sign of life can be asked for, so the time is fixed.
            State::HungUp if self.is_throttled() => since,
            State::HungUp => since + limits.close_timeout,
            // It waits for the history, and the peer is there: a slow disk is waited for as long as a silent peer.
            State::Closing(Phase::Departing) => since + limits.ping_timeout.max(limits.close_timeout),
            State::Ended => Moment::NEVER,
            // Fixed when the state begins: neither taking a little nor taking nothing moves it.
            State::Closing(_) => since + limits.close_timeout + self.slowest_flush(),
        }
    }

    /// The time that the slowest reader may take for what waited when the state began.
    fn slowest_flush(&self) -> Duration {
        SLOWEST_FLUSH * self.life.queued_bytes().div_ceil(SLOWEST_FLUSH_BYTES)
    }

    /// Does what was due by then. That may be earlier than now: what came in between may not have been read yet.
    pub fn on_deadline(&mut self, limits: &Limits, due_by: Moment, now: Moment) -> Departure {
        if due_by < self.deadline(limits) {
            return Departure::None;
        }
        match self.state() {
            State::AwaitingHandshake => {
                self.refuse(Refusal::HeadTooSlow, BodyWanted::Yes, now);
                Departure::None
            }
            State::Open => self.on_open_deadline(limits, due_by, now),
            State::HungUp => {
                self.give_up_rest(now);
                Departure::Departing
            }
            State::AwaitingNext | State::Closing(_) | State::Ended => {
                self.step(Trigger::TimeUp, now);
                Departure::None
            }
        }
    }

    fn message_deadline(&self, limits: &Limits) -> Moment {
        if self.decoder.is_amid_message() { self.message_since + limits.message_timeout } else { Moment::NEVER }
    }

    fn on_open_deadline(&mut self, limits: &Limits, due_by: Moment, now: Moment) -> Departure {
        self.throttle.end_by(due_by);
        let reason = match self.life.silence(limits, due_by) {
            _ if self.message_deadline(limits) <= due_by => CloseReason::MessageTooSlow,
            Silence::TooLong => CloseReason::Silent,
            Silence::Ask => {
                self.queue_ping(now);
                return Departure::None;
            }
            Silence::Short => return Departure::None,
        };
        self.close(reason, now);
        Departure::CloseSent
    }
}

#[cfg(test)]
mod tests {
    use super::super::outgoing::queue_frame;
    use super::*;
    use crate::gate::PeerAddress;
    use crate::websocket::frame::Opcode;

    /// The time is for a peer that takes something: it must not shrink while it does, nor grow while it does not.
    #[test]
    fn the_time_to_close_is_fixed_by_what_is_owed_when_it_begins() {
        let limits = Limits::default();
        let mut connection = Connection::accepted(PeerAddress::Unix, Moment::START);
        connection.step(Trigger::Upgraded, Moment::START);
        queue_frame(&mut connection.queue, Opcode::Text, &[b'x'; 1 << 20]);
        connection.close(CloseReason::ShutDown, Moment::START);
        let deadline = connection.deadline(&limits);
        assert!(deadline.since(Moment::START) >= limits.close_timeout + Duration::from_secs(16));
        assert!(connection.flush_to(&mut std::io::sink(), 1 << 19, Moment::START).is_ok());
        assert_eq!(connection.deadline(&limits), deadline);
    }
}
