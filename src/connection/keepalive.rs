//! Is the peer alive? Any byte from it says so. After a silence it is asked with a Ping, and after another one it is given up.

use super::life::{Life, State};
use crate::limits::Limits;
use crate::moment::Moment;

/// Where the question stands. When that began, [`Life::since`] says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keepalive {
    /// The peer was heard.
    Heard,
    /// It has been sent a Ping since.
    Asked,
}

/// What is due of an open connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Silence {
    /// It is not long yet.
    Short,
    /// A Ping has to be sent.
    Ask,
    /// The Ping was not answered in time.
    TooLong,
}

impl Life {
    /// Bytes have come from the peer.
    pub(super) fn heard(&mut self, now: Moment) {
        self.set_keepalive(Keepalive::Heard, now);
    }

    /// A Ping has been queued.
    pub(super) fn asked(&mut self, now: Moment) {
        self.set_keepalive(Keepalive::Asked, now);
    }

    /// The peer has taken bytes after its socket had been full: slow, but alive. The Ping may still be in the queue: the
    /// time to answer it begins when it can have been read.
    pub(super) fn progressed(&mut self, now: Moment) {
        if self.keepalive() == Keepalive::Asked {
            self.asked(now);
        }
    }

    /// Bytes from the peer wait because the daemon does not read them. They count as its answer to a Ping that is due
    /// by `due_by`.
    pub(super) fn kept_waiting(&mut self, limits: &Limits, due_by: Moment, now: Moment) {
        if self.silence(limits, due_by) == Silence::TooLong {
            self.heard(now);
        }
    }

    /// When the silence of an open connection will be too long, for the Ping or for the peer.
    pub(super) fn silence_deadline(&self, limits: &Limits) -> Moment {
        match self.keepalive() {
            Keepalive::Heard => self.since() + limits.ping_interval,
            Keepalive::Asked => self.since() + limits.ping_timeout,
        }
    }

    /// What was due by then.
    pub(super) fn silence(&self, limits: &Limits, due_by: Moment) -> Silence {
        match self.keepalive() {
            _ if self.state() != State::Open || due_by < self.silence_deadline(limits) => Silence::Short,
            Keepalive::Heard => Silence::Ask,
            Keepalive::Asked => Silence::TooLong,
        }
    }
}
