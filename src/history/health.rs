//! How the history fares: how much is under way, and whether what is asked of it works.

use std::fmt;

use log::{info, warn};

/// What may be under way before members are throttled: some seconds of the busiest room on a slow disk. Below half of
/// it, all may speak again.
pub(super) const MOST_TEXT_BYTES: usize = 4 * 1024 * 1024;
pub(super) const MOST_ENTRIES: usize = 20_000;

/// How much is under way.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Load {
    pub(super) entries: usize,
    pub(super) text_bytes: usize,
}

/// Whether something works, so that each change is logged, and only the change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Health {
    Good,
    Bad,
}

impl Load {
    /// Above the most there may be, divided by `divisor`.
    pub(super) fn is_above(self, divisor: usize) -> bool {
        self.entries > MOST_ENTRIES / divisor || self.text_bytes > MOST_TEXT_BYTES / divisor
    }
}

impl Health {
    pub(super) fn is_bad(&mut self, error: &dyn fmt::Display) {
        if std::mem::replace(self, Health::Bad) == Health::Good {
            warn!("{error}");
        }
    }

    pub(super) fn is_good_again(&mut self, sentence: &str) {
        if std::mem::replace(self, Health::Good) == Health::Bad {
            info!("{sentence}");
        }
    }
}
