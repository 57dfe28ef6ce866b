//! How many files the system lets the daemon have open, and how many connections fit into that.

use std::{fmt, fs};

use crate::limits::fixed::{LEAST_OPEN_FILES, SPARE_OPEN_FILES, TURNED_AWAY_AT_ONCE};

/// What the daemon has open where that cannot be counted, without the sockets it listens on.
const USUAL: u64 = 15;

/// The limit on open files, raised as far as it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenFiles {
    /// How many are allowed.
    pub allowed: u64,
}

/// Fewer files may be open than the daemon needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooFew {
    needed: u64,
    allowed: u64,
}

impl OpenFiles {
    /// Raises the soft limit to the hard one. If the system does not tell the limit, there is none to be seen.
    ///
    /// # Errors
    /// [`TooFew`]
    pub fn raise_limit() -> Result<OpenFiles, TooFew> {
        let raised = rlimit::increase_nofile_limit(u64::MAX);
        let allowed = raised.or_else(|_| rlimit::getrlimit(rlimit::Resource::NOFILE).map(|(soft, _)| soft));
        let allowed = allowed.unwrap_or(u64::MAX);
        if allowed < LEAST_OPEN_FILES {
            Err(TooFew { needed: LEAST_OPEN_FILES, allowed })
        } else {
            Ok(OpenFiles { allowed })
        }
    }

    /// The connections for which there is room now that everything is open which stays open, with `listeners` sockets to
    /// listen on among it.
    ///
    /// # Errors
    /// [`TooFew`] if there is room for nobody.
    pub fn room(self, listeners: usize) -> Result<usize, TooFew> {
        self.room_beside(open_now().unwrap_or(USUAL + listeners as u64))
    }

    fn room_beside(self, open: u64) -> Result<usize, TooFew> {
        let OpenFiles { allowed } = self;
        let free = allowed.saturating_sub(open + SPARE_OPEN_FILES);
        // A client that is told 503 takes a file, too. With few files, half of them are for those who come in.
        match free - (TURNED_AWAY_AT_ONCE as u64).min(free / 2) {
            0 => Err(TooFew { needed: open + SPARE_OPEN_FILES + 1, allowed }),
            room => Ok(usize::try_from(room).unwrap_or(usize::MAX)),
        }
    }
}

/// Every entry of the directory is an open file of this process; one of them is the directory itself.
fn open_now() -> Option<u64> {
    let entries = fs::read_dir("/dev/fd").ok()?.count() as u64;
    entries.checked_sub(1)
}

/// One sentence, with what to do.
impl fmt::Display for TooFew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TooFew { needed, allowed } = self;
        write!(
            f,
            "only {allowed} open files are allowed, and at least {needed} are needed, and one more for each connection; \
             raise the limit (ulimit -n, or LimitNOFILE= for systemd)"
        )
    }
}

impl std::error::Error for TooFew {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_open_and_a_reserve_are_not_for_connections() {
        for (allowed, open, room) in [
            (20_000, 15, Some(19_916)),
            (148, 15, Some(64)),
            (100, 15, Some(40)),
            (32, 15, Some(6)),
            (21, 15, Some(1)),
            (20, 15, None),
            (10, 15, None),
            (u64::MAX, 15, usize::try_from(u64::MAX - 84).ok()),
        ] {
            assert_eq!(OpenFiles { allowed }.room_beside(open).ok(), room, "{allowed}");
        }
    }

    #[test]
    fn what_is_needed_is_just_enough_for_one() {
        let TooFew { needed, .. } =
            OpenFiles { allowed: 3 }.room_beside(12).err().unwrap_or(TooFew { needed: 0, allowed: 0 });
        assert_eq!(OpenFiles { allowed: needed }.room_beside(12), Ok(1));
        assert!(OpenFiles { allowed: needed - 1 }.room_beside(12).is_err());
    }
}
