//! When the write-ahead log is folded into the file (a checkpoint), and what is told if that cannot be done.
//!
//! A program that reads the file in a long transaction (a backup, a forgotten `sqlite3`) sees it as it was at the beginning.
//! So SQLite can fold no page that is newer, nor begin the log anew, and it grows until that program ends. Nothing else
//! suffers, but the disk may become full; so the operator is told.

use crate::history::store::Notice;
use crate::limits::fixed::{FOLD_AT_PAGES, WAL_TOLD_BYTES};

/// Pages of the write-ahead log.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct LogPages {
    pub(super) logged: u64,
    /// The pages of these that are in the file.
    pub(super) folded: u64,
}

impl LogPages {
    pub(super) fn are_in_file(self) -> bool {
        self.folded >= self.logged
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct LogGrowth {
    /// How long the log was when it could not be folded; 0 if it could.
    blocked_at_pages: u64,
    /// How long it was when that was told; 0 if it was not.
    told_bytes: u64,
    notice: Option<Notice>,
}

impl LogGrowth {
    /// Whether the log is so long that it is to be folded now. While a reader is in the way, each try costs more the longer
    /// the log is, so there are fewer.
    pub(super) fn is_to_fold(&self, pages: LogPages) -> bool {
        let is_shorter_than_then = pages.logged < self.blocked_at_pages;
        let is_due = is_shorter_than_then || pages.logged >= self.blocked_at_pages + FOLD_AT_PAGES;
        pages.logged >= FOLD_AT_PAGES && is_due && !pages.are_in_file()
    }

    /// Whether a reader was in the way the last time.
    pub(super) fn is_blocked(&self) -> bool {
        self.blocked_at_pages > 0
    }

    /// It was tried, with this result; the log has so many bytes.
    pub(super) fn folded(&mut self, pages: LogPages, log_bytes: u64) {
        self.blocked_at_pages = if pages.are_in_file() { 0 } else { pages.logged };
        let mebibytes = log_bytes / 1024 / 1024;
        if log_bytes >= WAL_TOLD_BYTES.max(2 * self.told_bytes) {
            self.told_bytes = log_bytes;
            self.notice = Some(Notice::Trouble(format!(
                "the write-ahead log of the history has grown to {mebibytes} MiB: another program reads the history in one \
                 long transaction (sqlite3, a backup), and the log grows until that ends"
            )));
        } else if log_bytes < WAL_TOLD_BYTES && self.told_bytes > 0 {
            self.told_bytes = 0;
            self.notice = Some(Notice::Over(format!(
                "the write-ahead log of the history is folded into the file again, and has {mebibytes} MiB"
            )));
        }
    }

    /// What the operator is to be told, once.
    pub(super) fn take_notice(&mut self) -> Option<Notice> {
        self.notice.take()
    }
}
