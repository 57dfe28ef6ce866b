//! What a log does for its store besides messages: when something is to be deleted, and which numbers are reserved.

use super::retention::{Cut, Look, Looks, Retention};
use crate::limits::fixed::{KEEP_LOOK_EVERY, TOURISTS_RESERVED, TRIM_EVERY};
use crate::moment::{Moment, Now};

/// When something is to be deleted.
#[derive(Debug)]
pub(super) struct TrimSchedule {
    retention: Retention,
    looks: Looks,
    last_due: Option<Moment>,
    look_kept: Option<Moment>,
    pub(super) is_trimming: bool,
}

impl TrimSchedule {
    /// Goes on from the look at the clock that the last daemon has kept.
    pub(super) fn new(retention: Retention, kept: Option<Look>) -> TrimSchedule {
        let looks = kept.map(Looks::resume).unwrap_or_default();
        TrimSchedule { retention, looks, last_due: None, look_kept: None, is_trimming: false }
    }

    /// Once a turn: what is to be done now. A look comes first, to be kept for the next daemon.
    pub(super) fn tick(&mut self, now: Now) -> (Option<Look>, Option<Cut>) {
        let is_due = self.last_due.is_none_or(|since| now.moment.since(since) >= TRIM_EVERY);
        if !is_due || self.retention.is_all() {
            return (None, None);
        }
        self.last_due = Some(now.moment);
        // Also while a trim is under way: the next one needs to know what the clock did meanwhile.
        let sure_unix_ms = self.looks.look(now);
        let mut look = None;
        if self.look_kept.is_none_or(|since| now.moment.since(since) >= KEEP_LOOK_EVERY) {
            // Not at the start: the next daemon would learn nothing.
            look = self.look_kept.and_then(|_| self.look_to_keep());
            self.look_kept = Some(now.moment);
        }
        (look, self.retention.cut(sure_unix_ms).filter(|_| !self.is_trimming))
    }

    /// What is known of the clock, if that matters to the next daemon.
    pub(super) fn look_to_keep(&self) -> Option<Look> {
        self.looks.earliest().filter(|_| self.retention.max_age.is_some())
    }
}

/// The numbers of tourists.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct TouristNumbers {
    /// The highest that was given, in the lives of this log.
    pub(super) given: u64,
    /// After a restart, only numbers above this are given.
    reserved: u64,
    is_reserving: bool,
}

impl TouristNumbers {
    pub(super) fn new(given: u64, reserved: u64) -> TouristNumbers {
        TouristNumbers { given, reserved, is_reserving: false }
    }

    /// A number was given. Returns the number up to which more are to be reserved, if few are left.
    pub(super) fn give(&mut self, number: u64) -> Option<u64> {
        self.given = self.given.max(number);
        let is_low = self.reserved.saturating_sub(number) < TOURISTS_RESERVED / 2;
        (is_low && !self.is_reserving).then(|| {
            self.is_reserving = true;
            number + TOURISTS_RESERVED
        })
    }

    /// The answer: the number up to which they are reserved, if they are.
    pub(super) fn reserved(&mut self, reserved: Option<u64>) {
        self.is_reserving = false;
        self.reserved = reserved.unwrap_or(self.reserved);
    }

    /// At an orderly end: the number to go back to, so that none is wasted.
    pub(super) fn unused(&self) -> Option<u64> {
        (self.given < self.reserved).then_some(self.given)
    }
}
