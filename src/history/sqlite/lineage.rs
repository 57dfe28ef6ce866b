//! The lineage: the epoch of the log, and the floor above which its ids begin.
//!
//! A file may come back without its end, after a loss of power, or as an older copy of itself. Then it lacks ids that clients
//! have seen. These ids must not be given to other messages: a client that comes back with one of them would miss the new
//! message and not know it. So a daemon that cannot tell that the file is as the last daemon left it (see [`end_mark`])
//! begins a new epoch and a new floor above all ids that may ever have been given. The floor is the time in microseconds
//! since 1970, because no log is given a million messages a second. The clock may be wrong, so the floor also lies far
//! above the last floor, and each room goes on far above its own last id.
//!
//! [`end_mark`]: super::end_mark

use rusqlite::{Connection, OptionalExtension};

use super::errors;
use super::rows::{checksum, clamped};
use crate::limits::fixed::{FIRST_IDS_BELOW, IDS_LEFT_OUT};

const READ: &str = "SELECT epoch, floor, forgotten, checksum FROM log WHERE id = 1";
const WRITE: &str = "INSERT OR REPLACE INTO log (id, epoch, floor, forgotten, checksum) VALUES (1, ?1, ?2, ?3, ?4)";

/// 48 random bits: too many to guess, and few enough to be read out.
const RANDOM: &str = "SELECT random() & 0xffffffffffff";

/// The clock of SQLite, which is the system's: milliseconds since 1970, UTC.
const UNIX_MS: &str = "SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER)";

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lineage {
    pub(super) epoch: u64,
    /// Rooms whose ids began below it go on above it.
    pub(super) floor: u64,
    /// The highest id of the rooms that the file has forgotten.
    pub(super) forgotten: u64,
}

impl Lineage {
    /// Reads the lineage of the file. None if there is none, or it is damaged.
    pub(super) fn read(connection: &Connection) -> rusqlite::Result<Option<Lineage>> {
        let found = connection.query_row(READ, [], |row| {
            let lineage = Lineage { epoch: row.get(0)?, floor: row.get(1)?, forgotten: row.get(2)? };
            Ok((lineage, row.get::<_, i64>(3)?))
        });
        match found.optional() {
            Ok(found) => Ok(found.filter(|(lineage, checksum)| lineage.checksum() == *checksum).map(|found| found.0)),
            Err(error) if errors::is_damage(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Begins a new lineage after the one before.
    pub(super) fn begin(before: Option<Lineage>, now_us: u64, connection: &Connection) -> rusqlite::Result<Lineage> {
        let after = before.map_or(0, |before| before.floor.max(before.forgotten).saturating_add(IDS_LEFT_OUT));
        let epoch = connection.query_row(RANDOM, [], |row| row.get(0))?;
        let floor = now_us.max(after).min(FIRST_IDS_BELOW);
        Ok(Lineage { epoch, floor, forgotten: before.map_or(0, |before| before.forgotten) })
    }

    /// A new room begins with the next id.
    pub(super) fn base(self) -> u64 {
        self.floor.max(self.forgotten)
    }

    pub(super) fn save(self, connection: &Connection) -> rusqlite::Result<()> {
        let columns = (clamped(self.epoch), clamped(self.floor), clamped(self.forgotten), self.checksum());
        connection.prepare_cached(WRITE)?.execute(columns).map(|_| ())
    }

    fn checksum(self) -> i64 {
        checksum(&[clamped(self.epoch), clamped(self.floor), clamped(self.forgotten), 0], &[])
    }
}

/// The time, as ids count it.
pub(super) fn now_us(connection: &Connection) -> rusqlite::Result<u64> {
    let unix_ms: i64 = connection.query_row(UNIX_MS, [], |row| row.get(0))?;
    Ok(u64::try_from(unix_ms).unwrap_or_default().saturating_mul(1_000))
}
