//! How much a log has been given that has not come back.

use super::Pressure;
use super::sequencer::Settled;

/// What may be under way before members are throttled: some seconds of the busiest room on a slow disk. At half of it,
/// all may speak again.
pub(super) const MAX_ENTRIES: usize = 20_000;
pub(super) const MAX_TEXT_BYTES: usize = 4 * 1024 * 1024;

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
        self.entries > MAX_ENTRIES / divisor || self.text_bytes > MAX_TEXT_BYTES / divisor
    }
}
