//! How much a log has been given that has not come back.

use super::Pressure;
use super::sequencer::Settled;
use crate::limits::fixed::{BACKLOG_ENTRIES, BACKLOG_TEXT_BYTES};

/// See the module.
#[derive(Debug)]
pub(super) struct Backlog {
    pub(super) entries: usize,
    pub(super) text_bytes: usize,
    pub(super) pressure: Pressure,
}

impl Backlog {
    pub(super) fn new() -> Backlog {
        Backlog { entries: 0, text_bytes: 0, pressure: Pressure::Low }
    }

    /// One more entry is under way.
    pub(super) fn add(&mut self, text_bytes: usize) {
        self.entries += 1;
        self.text_bytes += text_bytes;
        if self.is_above(1) {
            self.pressure = Pressure::High;
        }
    }

    /// So much is no longer.
    pub(super) fn take(&mut self, Settled { entries, text_bytes }: Settled) {
        self.entries = self.entries.saturating_sub(entries);
        self.text_bytes = self.text_bytes.saturating_sub(text_bytes);
        if !self.is_above(2) {
            self.pressure = Pressure::Low;
        }
    }

    /// Above the most there may be, divided by `divisor`.
    fn is_above(&self, divisor: usize) -> bool {
        self.entries > BACKLOG_ENTRIES / divisor || self.text_bytes > BACKLOG_TEXT_BYTES / divisor
    }
}
