//! What one connection may do, and how long it is throttled when it has done too much.

use super::life::State;
use crate::limits::Limits;
use crate::moment::Moment;
use crate::rate_limit::TokenBucket;

/// Too many changes of name and room: this one is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooManyChanges;

/// The buckets of one connection.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    /// Frames and bytes.
    bucket: TokenBucket,
    /// New names and rooms.
    changes: TokenBucket,
    /// The bucket is empty: nothing of the connection is read until then.
    until: Option<Moment>,
}

impl Throttle {
    /// Its tokens are spent.
    pub(super) fn is_on(&self) -> bool {
        self.until.is_some()
    }

    /// When it ends, if it is on.
    pub(super) fn until(&self) -> Moment {
        self.until.unwrap_or(Moment::NEVER)
    }

    /// Ends if it was to end by then.
    pub(super) fn end_by(&mut self, due_by: Moment) {
        if self.until() <= due_by {
            self.until = None;
        }
    }

    /// Counts one frame that makes the daemon send so many bytes: as one token, or as its bytes, whichever costs more.
    pub(super) fn spend_message(&mut self, bytes: usize, state: State, limits: &Limits, now: Moment) {
        if let Some(rate) = limits.rate {
            let token = rate.one();
            self.bucket.take(limits.byte_rate.map_or(token, |rate| rate.bytes(bytes).max(token)), now);
            self.update(state, limits, now);
        }
    }

    /// Counts the bytes of the answer to a frame that has been counted as a token.
    pub(super) fn spend_answer(&mut self, bytes: usize, state: State, limits: &Limits, now: Moment) {
        if let (Some(rate), Some(byte_rate)) = (limits.rate, limits.byte_rate) {
            self.bucket.take(byte_rate.bytes(bytes).beyond(rate.one()), now);
            self.update(state, limits, now);
        }
    }

    /// Counts a change of name or of room, unless there have been too many: these cost every member that is told of them.
    ///
    /// # Errors
    /// [`TooManyChanges`].
    pub(super) fn spend_change(&mut self, limits: &Limits, now: Moment) -> Result<(), TooManyChanges> {
        let Some(rate) = limits.change_rate else { return Ok(()) };
        if self.changes.empty_until(rate.all_but_one(), now).is_some() {
            return Err(TooManyChanges);
        }
        self.changes.take(rate.one(), now);
        Ok(())
    }

    /// Looks whether the bucket is empty. A peer that has hung up may spend at once what it could have spent in
    /// `--close-timeout`.
    pub(super) fn update(&mut self, state: State, limits: &Limits, now: Moment) {
        let Some(mut rate) = limits.rate else { return };
        if state == State::HungUp {
            rate.burst = rate.burst.saturating_add(rate.within(limits.close_timeout));
        }
        self.until = self.bucket.empty_until(rate.all_but_one(), now);
    }
}
