//! `roomd rooms`: what the history has of each room, read beside a daemon that may be at work.

use std::cmp::Reverse;
use std::path::Path;

use rusqlite::{Connection, OptionalExtension as _};

use super::errors::{self, DatabaseError, Doing};
use super::tool;
use crate::chat::RoomName;

const ROOMS: &str = "SELECT id, name FROM room";
const SIZE: &str = "SELECT count(*), coalesce(sum(octet_length(text) + octet_length(name)), 0), min(id), max(id)
    FROM message WHERE room = ?1";
const SAID_AT: &str = "SELECT unix_ms, strftime('%Y-%m-%dT%H:%M:%SZ', unix_ms / 1000, 'unixepoch') FROM message
    WHERE room = ?1 AND id = ?2";

/// All rooms of a history.
#[derive(Debug, Default)]
pub struct RoomSizes {
    /// The room in which something was said last comes first.
    pub rooms: Vec<RoomSize>,
    /// Names of rooms that cannot be read.
    pub damaged: Vec<Box<str>>,
}

/// What is kept of a room.
#[derive(Debug)]
pub struct RoomSize {
    /// Fit to be shown.
    pub name: Box<str>,
    /// Messages.
    pub messages: u64,
    /// Bytes of their texts and names.
    pub bytes: u64,
    /// The oldest and the newest message. None if there is no message.
    pub ends: Option<[Said; 2]>,
}

/// A message.
#[derive(Debug)]
pub struct Said {
    /// Its id.
    pub id: u64,
    unix_ms: i64,
    /// When it was said, in UTC, as in `2026-11-25T14:59:13Z`.
    pub time: Box<str>,
}

/// Reads it, from one snapshot.
///
/// # Errors
/// [`DatabaseError`]
pub fn room_sizes(path: &Path) -> Result<RoomSizes, DatabaseError> {
    let (connection, path) = tool::open(path, Doing::Listing)?;
    read(&connection).map_err(|error| DatabaseError::from_sqlite(&path, Doing::Listing, error))
}

fn read(connection: &Connection) -> rusqlite::Result<RoomSizes> {
    connection.pragma_update(None, "query_only", true)?;
    connection.execute_batch("BEGIN")?;
    let mut found = RoomSizes::default();
    let mut statement = connection.prepare(ROOMS)?;
    let rooms = statement.query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Box<str>>(1)?)))?;
    for room in rooms {
        let (id, name) = room?;
        // The file may come from anybody, and its names stand in a terminal.
        let name = if RoomName::parse(&name).is_ok() { name } else { format!("{name:?}").into() };
        match size(connection, id) {
            Ok((messages, bytes, ends)) => found.rooms.push(RoomSize { name, messages, bytes, ends }),
            Err(error) if errors::is_damage(&error) => found.damaged.push(name),
            Err(error) => return Err(error),
        }
    }
    let last_said = |room: &RoomSize| room.ends.as_ref().map(|[_, newest]| newest.unix_ms);
    found.rooms.sort_by(|a, b| Reverse(last_said(a)).cmp(&Reverse(last_said(b))).then_with(|| a.name.cmp(&b.name)));
    Ok(found)
}

type Size = (u64, u64, Option<[Said; 2]>);

fn size(connection: &Connection, room: i64) -> rusqlite::Result<Size> {
    let (messages, bytes, first, last): (u64, u64, Option<u64>, Option<u64>) =
        connection.prepare_cached(SIZE)?.query_row([room], |row| row.try_into())?;
    let ends = match (first, last) {
        (Some(first), Some(last)) => said(connection, room, first)?.zip(said(connection, room, last)?),
        _ => None,
    };
    Ok((messages, bytes, ends.map(|(oldest, newest)| [oldest, newest])))
}

fn said(connection: &Connection, room: i64, id: u64) -> rusqlite::Result<Option<Said>> {
    let mut statement = connection.prepare_cached(SAID_AT)?;
    let said = statement.query_row((room, id), |row| {
        let time: Option<Box<str>> = row.get(1)?;
        Ok(Said { id, unix_ms: row.get(0)?, time: time.unwrap_or_else(|| "?".into()) })
    });
    said.optional()
}
