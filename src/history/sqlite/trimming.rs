//! Trimming: what is beyond the limits is deleted from the file, a part at a time.

use std::time::Duration;

use rusqlite::Connection;

use super::rows::{RoomRow, clamped};
use super::surplus::Surplus;
use super::{counters, errors};
use crate::history::retention::{Cut, Look, Trimmed};
use crate::limits::fixed::{TRIM_MESSAGES, TRIM_ROOMS};

const LOOK_UNIX_MS: &str = "look_unix_ms";
const LOOK_WATCHED_MS: &str = "look_watched_ms";

const ROOMS: &str =
    "SELECT id, last_id, oldest, unchecked, checksum, name, base, first FROM room WHERE id > ?1 ORDER BY id LIMIT ?2";
const FIRST_YOUNG: &str = "SELECT id FROM message WHERE room = ?1 AND id < ?2 AND unix_ms >= ?3 ORDER BY id LIMIT 1";
const DELETE: &str = "DELETE FROM message WHERE room = ?1 AND id < ?2";

/// The look at the clock that the last daemon has kept, for this one to go on with.
pub(super) fn kept_look(connection: &Connection) -> rusqlite::Result<Option<Look>> {
    let look = counters::read(connection, LOOK_UNIX_MS)?.zip(counters::read(connection, LOOK_WATCHED_MS)?);
    Ok(look.map(|(unix_ms, watched_ms)| Look { unix_ms, watched: Duration::from_millis(watched_ms) }))
}

/// Keeps a look at the clock for the next daemon.
pub(super) fn keep_look(connection: &mut Connection, Look { unix_ms, watched }: Look) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    counters::write(&transaction, LOOK_UNIX_MS, unix_ms)?;
    counters::write(&transaction, LOOK_WATCHED_MS, u64::try_from(watched.as_millis()).unwrap_or(u64::MAX))?;
    transaction.commit()
}

/// How far a trim has come. The next call goes on there.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// The last room that is done; 0 before the first.
    through: i64,
    /// The room of the last deletion, so that a room counts once.
    counted: i64,
    /// Damaged rooms that have made a whole part roll back. The trim leaves them out from then on.
    damaged: Vec<i64>,
    /// Set when all rooms are done and the file is still beyond its limits of bytes or rooms.
    surplus: Option<Surplus>,
}

/// Deletes a part, in one transaction: first what is beyond the limits of each room, then what is beyond those of the
/// file.
pub(super) fn delete(connection: &mut Connection, progress: &mut Progress, cut: Cut) -> rusqlite::Result<Trimmed> {
    let Some(surplus) = &mut progress.surplus else {
        let mut trimmed = delete_of_each(connection, progress, cut)?;
        if !trimmed.more {
            progress.surplus = Surplus::begin(connection, cut)?;
            trimmed.more = progress.surplus.is_some();
        }
        return Ok(trimmed);
    };
    let trimmed = surplus.delete(connection, cut);
    if !trimmed.as_ref().is_ok_and(|trimmed| trimmed.more) {
        progress.surplus = None;
    }
    trimmed
}

/// Goes through some rooms, and deletes what is beyond the limits of each.
fn delete_of_each(connection: &mut Connection, progress: &mut Progress, cut: Cut) -> rusqlite::Result<Trimmed> {
    if cut.beyond_messages.is_none() && cut.said_before_unix_ms.is_none() {
        return Ok(Trimmed::default());
    }
    // SQLite takes the write lock at the first deletion; mostly there is none.
    let transaction = connection.transaction()?;
    let rooms = rooms_behind(&transaction, progress.through)?;
    let mut part = Part {
        trimmed: Trimmed { more: rooms.len() == TRIM_ROOMS, ..Trimmed::default() },
        through: progress.through,
        counted: progress.counted,
        damaged: Vec::new(),
        is_full: false,
    };
    for room in rooms {
        part.delete_of(&transaction, room, cut, &progress.damaged)?;
        if part.is_full {
            break;
        }
    }
    match transaction.commit() {
        Ok(()) => {
            progress.take(&part);
            Ok(part.trimmed)
        }
        // SQLite does not commit a transaction that has met damage. The same part is deleted again without those rooms.
        Err(error) if errors::is_damage(&error) && !part.damaged.is_empty() => {
            progress.damaged.append(&mut part.damaged);
            Ok(Trimmed { more: true, ..Trimmed::default() })
        }
        Err(error) => Err(error),
    }
}

/// The next rooms in the table.
fn rooms_behind(connection: &Connection, through: i64) -> rusqlite::Result<Vec<Listed>> {
    let mut statement = connection.prepare_cached(ROOMS)?;
    let rows = statement.query_map((through, TRIM_ROOMS), |row| {
        let good = row.get::<_, Box<str>>(5).and_then(|name| Ok((RoomRow::checked(row, &name)?, name))).ok();
        Ok(Listed { id: row.get(0)?, good })
    })?;
    rows.collect()
}

/// What one transaction deletes.
struct Part {
    trimmed: Trimmed,
    /// As in [`Progress`], once the transaction is committed.
    through: i64,
    counted: i64,
    /// Rooms that were found to be damaged.
    damaged: Vec<i64>,
    /// As much is deleted as may be at once.
    is_full: bool,
}

impl Part {
    /// Deletes what is beyond the limits of a room. A damaged room stays as it is, and the others go on.
    fn delete_of(
        &mut self,
        connection: &Connection,
        Listed { id, good }: Listed,
        cut: Cut,
        known_damaged: &[i64],
    ) -> rusqlite::Result<()> {
        let allowed = TRIM_MESSAGES.saturating_sub(self.trimmed.messages);
        match good.filter(|_| !known_damaged.contains(&id)) {
            None => self.trimmed.damaged_rooms += 1,
            Some((room, name)) => match delete_of_room(connection, room, &name, allowed, cut) {
                Ok(Deleted { messages, is_cut }) => {
                    if messages > 0 {
                        self.trimmed.messages += messages;
                        self.trimmed.rooms += u64::from(self.counted != id);
                        self.counted = id;
                    }
                    if is_cut {
                        (self.trimmed.more, self.is_full) = (true, true);
                        return Ok(());
                    }
                }
                Err(error) if errors::is_damage(&error) => {
                    self.trimmed.damaged_rooms += 1;
                    self.damaged.push(id);
                }
                Err(error) => return Err(error),
            },
        }
        self.through = id;
        Ok(())
    }
}

impl Progress {
    /// A part is committed: the next one begins behind it, or, if it was the last, with the first room.
    fn take(&mut self, part: &Part) {
        if part.trimmed.more {
            (self.through, self.counted) = (part.through, part.counted);
        } else {
            (self.through, self.counted) = (0, 0);
            self.damaged.clear();
        }
    }
}

/// A room in the table.
struct Listed {
    id: i64,
    /// Its row and its name, if they are not damaged.
    good: Option<(RoomRow, Box<str>)>,
}

struct Deleted {
    messages: u64,
    /// It stopped at the number that is allowed at once, and there may be more to delete.
    is_cut: bool,
}

/// Deletes what is beyond the limits of a room, and looks at no more than `allowed` rows.
fn delete_of_room(
    connection: &Connection,
    mut room: RoomRow,
    name: &str,
    allowed: u64,
    cut: Cut,
) -> rusqlite::Result<Deleted> {
    let ids = room.ids(connection)?;
    let most = ids.start.saturating_add(allowed);
    let mut end = ids.start;
    if let Some(messages) = cut.beyond_messages {
        end = end.max(room.newest(connection, ids.clone(), messages.get())?);
    }
    if let Some(unix_ms) = cut.said_before_unix_ms {
        let mut statement = connection.prepare_cached(FIRST_YOUNG)?;
        let mut rows = statement.query((room.id, clamped(most.min(ids.end)), clamped(unix_ms)))?;
        end = end.max(rows.next()?.map_or(Ok(most.min(ids.end)), |row| row.get(0))?);
    }
    let end = end.min(most);
    let messages = room.count(connection, ids.start..end)?;
    if end > ids.start {
        connection.prepare_cached(DELETE)?.execute((room.id, clamped(end)))?;
        room.has_lost(connection, end)?;
        room.save(connection, name)?;
    }
    Ok(Deleted { messages, is_cut: end == most && most < ids.end })
}
