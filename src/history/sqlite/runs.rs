//! Where the ids of a room jump.
//!
//! A run is a range of ids that rise by one. It goes on as long as each daemon finds the file as the last one left it. After
//! a loss of power, or in an older copy of the file, the room goes on in a new run, far above. The ids in between are a
//! gap. They may have been given or not, and the file has no rows for them.

use std::ops::Range;

use rusqlite::Connection;

use super::lineage::Lineage;
use super::rows::{RoomRow, clamped};
use crate::history::RoomIds;
use crate::limits::fixed::{FIRST_IDS_BELOW, IDS_LEFT_OUT};

const GAPS: &str = "SELECT first, next FROM gap WHERE room = ?1 AND next > ?2 AND first < ?3 ORDER BY first";
const NEW_GAP: &str = "INSERT INTO gap (room, first, next) VALUES (?1, ?2, ?3)";
const FORGET_GAPS: &str = "DELETE FROM gap WHERE room = ?1 AND next <= ?2";

impl RoomRow {
    /// A room without messages, whose ids begin behind `base`.
    pub(super) fn begin(id: i64, base: u64) -> RoomRow {
        RoomRow { id, first: base, base, last_id: base, oldest: Some(base + 1), unchecked: 0 }
    }

    /// Where its ids stand. If they have to jump, they stand behind the jump already.
    pub(super) fn ids_in(&self, lineage: Lineage) -> RoomIds {
        let (base, last) = match self.jump(lineage) {
            Some(base) => (base, base),
            None => (self.base, self.last_id),
        };
        RoomIds { first: self.first, base, last }
    }

    /// Called before a message is added: makes the jump, if the ids have to jump.
    pub(super) fn go_on(&mut self, connection: &Connection, lineage: Lineage) -> rusqlite::Result<()> {
        let Some(base) = self.jump(lineage) else { return Ok(()) };
        let ids = self.ids(connection)?;
        if ids.is_empty() {
            self.oldest = Some(base + 1);
        } else {
            let gap = (self.id, clamped(ids.end), clamped(base + 1));
            connection.prepare_cached(NEW_GAP)?.execute(gap)?;
        }
        (self.base, self.last_id) = (base, base);
        Ok(())
    }

    /// The new base, if its ids began before the log had to begin anew.
    fn jump(&self, lineage: Lineage) -> Option<u64> {
        let most = FIRST_IDS_BELOW.saturating_add(FIRST_IDS_BELOW / 2).max(self.last_id);
        let base = lineage.floor.max(self.last_id.saturating_add(IDS_LEFT_OUT)).min(most);
        (self.base < lineage.floor).then_some(base)
    }

    /// The ids in `range` that must have a row, as rising runs.
    pub(super) fn runs(&self, connection: &Connection, range: Range<u64>) -> rusqlite::Result<Vec<Range<u64>>> {
        let mut runs = Vec::new();
        let mut start = range.start;
        // Most rooms have never jumped.
        if self.first < self.base {
            let mut statement = connection.prepare_cached(GAPS)?;
            let mut rows = statement.query((self.id, clamped(range.start), clamped(range.end)))?;
            while let Some(row) = rows.next()? {
                let (first, next): (u64, u64) = (row.get(0)?, row.get(1)?);
                runs.push(start..first.max(start));
                start = next.max(start);
            }
        }
        runs.push(start..range.end);
        runs.retain(|run| !run.is_empty());
        Ok(runs)
    }

    /// The number of ids in `range` that must have a row.
    pub(super) fn count(&self, connection: &Connection, range: Range<u64>) -> rusqlite::Result<u64> {
        Ok(self.runs(connection, range)?.iter().map(|run| run.end - run.start).sum())
    }

    /// The first id of the newest `messages` messages, or the oldest id if there are fewer.
    pub(super) fn newest(&self, connection: &Connection, ids: Range<u64>, mut messages: u64) -> rusqlite::Result<u64> {
        for run in self.runs(connection, ids.clone())?.into_iter().rev() {
            match messages.checked_sub(run.end - run.start) {
                Some(left) => messages = left,
                None => return Ok(run.end - messages),
            }
            if messages == 0 {
                return Ok(run.start);
            }
        }
        Ok(ids.start)
    }

    /// Its messages below `end` have been deleted.
    pub(super) fn has_lost(&mut self, connection: &Connection, end: u64) -> rusqlite::Result<()> {
        let runs = self.runs(connection, end..self.last_id + 1)?;
        let oldest = runs.first().map_or(self.last_id + 1, |run| run.start);
        if self.first < self.base {
            connection.prepare_cached(FORGET_GAPS)?.execute((self.id, clamped(oldest)))?;
        }
        self.oldest = Some(oldest);
        Ok(())
    }
}
