//! Eviction: what is deleted when the file holds too many bytes, or messages of too many rooms.
//!
//! The limit of bytes counts the pages in use, which SQLite knows without counting. The largest room loses its oldest
//! messages until it is no larger than the next room. So a member who floods one room costs that room its past, and no
//! other room. The size of a room is written nowhere. It is estimated from the sizes of its oldest messages, which are
//! the next to be deleted. The newest message of a room always stays.
//!
//! If there are too many rooms, the rooms that have been silent longest are evicted, rooms without messages first. The
//! whole room is deleted. The log keeps only the highest id of all evicted rooms. A new room begins above that id, and so
//! does an evicted room that is used again.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rusqlite::{Connection, OptionalExtension};

use super::errors;
use super::lineage::Lineage;
use super::rows::{RoomRow, clamped};
use crate::history::retention::{Cut, Trimmed};
use crate::limits::fixed::{
    LEAST_SURPLUS_PIECE_BYTES, ROOMS_WEIGHED_AT_ONCE, SURPLUS_PIECE_BYTES, TRIM_MESSAGES, WEIGHED_MESSAGES,
};

/// What a message takes beside its text and its name: numbers, checksum, its share of a page.
const ROW_BYTES: u64 = 32;

const ROOMS: &str =
    "SELECT id, last_id, oldest, unchecked, checksum, name, base, first FROM room WHERE id > ?1 ORDER BY id LIMIT ?2";
const ROOM: &str = "SELECT id, last_id, oldest, unchecked, checksum, name, base, first FROM room WHERE id = ?1";
const ROOM_COUNT: &str = "SELECT count(*) FROM room";
const LENGTHS: &str = "SELECT id, octet_length(text) + octet_length(name) FROM message
    WHERE room = ?1 AND id >= ?2 AND id < ?3 ORDER BY id LIMIT ?4";
const SAID_AT: &str = "SELECT unix_ms FROM message WHERE room = ?1 AND id = ?2";
const DELETE: &str = "DELETE FROM message WHERE room = ?1 AND id < ?2";
const FORGET: &str = "DELETE FROM room WHERE id = ?1";
const FORGET_GAPS: &str = "DELETE FROM gap WHERE room = ?1";

/// How far the eviction has come. The next call goes on there.
#[derive(Debug)]
pub(super) enum Surplus {
    /// Rooms are being weighed.
    Weighing {
        /// The last room that was weighed.
        through: i64,
        weighed: Vec<Weighed>,
    },
    /// All rooms are weighed, and messages are being deleted.
    Deleting {
        /// Rooms that are evicted.
        silent: Vec<i64>,
        /// The other rooms, each with its bytes.
        heaviest: BinaryHeap<(u64, i64)>,
        /// The room of the last deletion, so that a room counts once.
        counted: i64,
    },
}

/// A room and its estimated size.
#[derive(Debug)]
pub(super) struct Weighed {
    id: i64,
    /// Estimated bytes of its messages.
    bytes: u64,
    /// The time of the newest message: milliseconds since 1970, UTC.
    newest_unix_ms: i64,
}

impl Surplus {
    /// Begins, if there is more in the file than may be.
    pub(super) fn begin(connection: &Connection, cut: Cut) -> rusqlite::Result<Option<Surplus>> {
        let too_many = match cut.beyond_rooms {
            Some(most) => connection.query_row(ROOM_COUNT, [], |row| row.get::<_, u64>(0))? > most.get(),
            None => false,
        };
        let is_there = too_many || surplus_bytes(connection, cut)?.is_some();
        Ok(is_there.then(|| Surplus::Weighing { through: 0, weighed: Vec::new() }))
    }

    /// Weighs some rooms, or deletes a piece. [`Trimmed::more`] says whether there is more to do.
    pub(super) fn delete(&mut self, connection: &mut Connection, cut: Cut) -> rusqlite::Result<Trimmed> {
        match self {
            Surplus::Weighing { through, weighed } => {
                let is_whole = weigh(connection, through, weighed)?;
                if is_whole {
                    *self = Surplus::sorted(std::mem::take(weighed), cut);
                }
                Ok(Trimmed { more: true, ..Trimmed::default() })
            }
            Surplus::Deleting { silent, heaviest, counted } => {
                let (id, weight, most_bytes) = match silent.last() {
                    Some(id) => (*id, None, SURPLUS_PIECE_BYTES),
                    None => {
                        let Some(surplus) = surplus_bytes(connection, cut)? else { return Ok(Trimmed::default()) };
                        let Some((weight, id)) = heaviest.pop() else { return Ok(Trimmed::default()) };
                        // No more than the surplus, and only until the next room is the largest.
                        let lead = heaviest.peek().map_or(weight, |(next, _)| weight.saturating_sub(*next));
                        (id, Some(weight), surplus.min(lead.max(LEAST_SURPLUS_PIECE_BYTES)).min(SURPLUS_PIECE_BYTES))
                    }
                };
                let mut trimmed = Trimmed { more: true, ..Trimmed::default() };
                match delete_piece(connection, id, weight.is_none(), most_bytes) {
                    Ok(Piece { messages, bytes, is_last }) => {
                        trimmed.messages = messages;
                        trimmed.rooms = u64::from(messages > 0 && *counted != id);
                        *counted = id;
                        match weight {
                            Some(weight) if !is_last => heaviest.push((weight.saturating_sub(bytes), id)),
                            None if is_last => drop(silent.pop()),
                            _ => {}
                        }
                    }
                    Err(error) if errors::is_damage(&error) => {
                        trimmed.damaged_rooms = 1;
                        if weight.is_none() {
                            silent.pop();
                        }
                    }
                    Err(error) => return Err(error),
                }
                Ok(trimmed)
            }
        }
    }

    fn sorted(mut weighed: Vec<Weighed>, cut: Cut) -> Surplus {
        weighed.sort_by_key(|room| Reverse(room.newest_unix_ms));
        let kept = cut.beyond_rooms.map_or(weighed.len(), |most| usize::try_from(most.get()).unwrap_or(usize::MAX));
        let silent = weighed.split_off(kept.min(weighed.len()));
        Surplus::Deleting {
            silent: silent.iter().map(|room| room.id).collect(),
            heaviest: weighed.iter().map(|room| (room.bytes, room.id)).collect(),
            counted: 0,
        }
    }
}

/// Bytes in use beyond the limit. New pages that are only in the write-ahead log count, too.
fn surplus_bytes(connection: &Connection, cut: Cut) -> rusqlite::Result<Option<u64>> {
    let Some(most) = cut.beyond_bytes else { return Ok(None) };
    let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, u64>(0));
    let pages = pragma("page_count")?.saturating_sub(pragma("freelist_count")?);
    let in_use = pages.saturating_mul(pragma("page_size")?);
    Ok(in_use.checked_sub(most.get()).filter(|surplus| *surplus > 0))
}

/// Weighs the next rooms. Returns whether these were the last.
fn weigh(connection: &Connection, through: &mut i64, weighed: &mut Vec<Weighed>) -> rusqlite::Result<bool> {
    let mut statement = connection.prepare_cached(ROOMS)?;
    let mut rows = statement.query((*through, ROOMS_WEIGHED_AT_ONCE))?;
    let mut count = 0;
    while let Some(row) = rows.next()? {
        count += 1;
        *through = row.get(0)?;
        match row.get::<_, Box<str>>(5).and_then(|name| weight(connection, RoomRow::checked(row, &name)?)) {
            Ok(room) => weighed.push(room),
            // Nothing can be deleted of a damaged room. The trim by age has logged it.
            Err(error) if errors::is_damage(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(count < ROOMS_WEIGHED_AT_ONCE)
}

fn weight(connection: &Connection, room: RoomRow) -> rusqlite::Result<Weighed> {
    let ids = room.ids(connection)?;
    let count = room.count(connection, ids.clone())?;
    let (mut sampled, mut bytes) = (0_u64, 0_u64);
    let mut statement = connection.prepare_cached(LENGTHS)?;
    let mut rows = statement.query((room.id, clamped(ids.start), clamped(ids.end), WEIGHED_MESSAGES))?;
    while let Some(row) = rows.next()? {
        sampled += 1;
        bytes += row.get::<_, u64>(1)? + ROW_BYTES;
    }
    let said_at = connection.prepare_cached(SAID_AT)?.query_row((room.id, clamped(room.last_id)), |row| row.get(0));
    Ok(Weighed {
        id: room.id,
        bytes: (bytes / sampled.max(1)).saturating_mul(count),
        // A damaged message does not make its room silent. A room without messages has been silent longest.
        newest_unix_ms: said_at.optional()?.unwrap_or(if count == 0 { i64::MIN } else { i64::MAX }),
    })
}

struct Piece {
    messages: u64,
    bytes: u64,
    /// Nothing more of the room may be deleted.
    is_last: bool,
}

/// Deletes the oldest messages of a room until `most_bytes` are gone. An evicted room loses all its messages, any other
/// room keeps its newest.
fn delete_piece(connection: &mut Connection, id: i64, is_evicted: bool, most_bytes: u64) -> rusqlite::Result<Piece> {
    let transaction = connection.transaction()?;
    let (mut room, name) = transaction.prepare_cached(ROOM)?.query_row([id], |row| {
        let name: Box<str> = row.get(5)?;
        Ok((RoomRow::checked(row, &name)?, name))
    })?;
    let ids = room.ids(&transaction)?;
    let last = if is_evicted { ids.end } else { ids.end.saturating_sub(1).max(ids.start) };
    let (mut end, mut bytes) = (ids.start, 0_u64);
    {
        let mut statement = transaction.prepare_cached(LENGTHS)?;
        let mut rows = statement.query((id, clamped(ids.start), clamped(last), TRIM_MESSAGES))?;
        while let Some(row) = rows.next()? {
            if bytes >= most_bytes {
                break;
            }
            end = row.get::<_, u64>(0)? + 1;
            bytes += row.get::<_, u64>(1)? + ROW_BYTES;
        }
    }
    // No row was found: the ids up to the end are damaged, and are deleted as well.
    if bytes == 0 {
        end = last;
    }
    let messages = room.count(&transaction, ids.start..end)?;
    let is_last = end >= last;
    if end > ids.start {
        transaction.prepare_cached(DELETE)?.execute((id, clamped(end)))?;
        room.has_lost(&transaction, end)?;
        room.save(&transaction, &name)?;
    }
    if is_evicted && is_last {
        forget(&transaction, room)?;
    }
    transaction.commit()?;
    Ok(Piece { messages, bytes, is_last })
}

/// Deletes the row of a room without messages.
fn forget(connection: &Connection, room: RoomRow) -> rusqlite::Result<()> {
    // Without a lineage the highest id can only be kept in the row of the room itself.
    let Some(lineage) = Lineage::read(connection)? else { return Ok(()) };
    let forgotten = lineage.forgotten.max(room.ids_in(lineage).last);
    Lineage { forgotten, ..lineage }.save(connection)?;
    connection.prepare_cached(FORGET_GAPS)?.execute([room.id])?;
    connection.prepare_cached(FORGET)?.execute([room.id]).map(|_| ())
}
