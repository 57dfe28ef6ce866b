//! Numbers that are kept from one daemon to the next, each in a row of its own.

use rusqlite::{Connection, OptionalExtension};

use super::errors;
use super::rows::clamped;

/// All numbers that are written stay far below. A number from here on is damaged.
const LEAST_WRONG: u64 = 1 << 52;

const READ: &str = "SELECT value FROM counter WHERE name = ?1";
const WRITE: &str = "INSERT INTO counter (name, value) VALUES (?1, ?2)
    ON CONFLICT (name) DO UPDATE SET value = excluded.value";

/// The number of that name, if it was written and is not damaged. A damaged counter does not keep a daemon from its start.
pub(super) fn read(connection: &Connection, name: &str) -> rusqlite::Result<Option<u64>> {
    match connection.query_row(READ, [name], |row| row.get::<_, u64>(0)).optional() {
        Ok(number) => Ok(number.filter(|number| *number < LEAST_WRONG)),
        Err(error) if errors::is_damage(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes it.
pub(super) fn write(connection: &Connection, name: &str, number: u64) -> rusqlite::Result<()> {
    connection.prepare_cached(WRITE)?.execute((name, clamped(number))).map(|_| ())
}
