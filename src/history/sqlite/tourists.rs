//! The numbers of tourists go on after a restart, so that no two people have the same name in one past.
//!
//! A number is not written when it is given, because that would be one write for each newcomer. The log reserves a block of
//! numbers ahead. The rest of a block is never given after a kill.

use rusqlite::Connection;

use super::counters;
use crate::chat::Name;

const COUNTER: &str = "tourists";
const NAMES: &str = "SELECT name FROM message WHERE name >= 'Tourist ' AND name < 'Tourist!'";

/// The highest number that may have been given.
pub(super) fn reserved(connection: &Connection) -> rusqlite::Result<u64> {
    let reserved = counters::read(connection, COUNTER)?;
    // A file of an older roomd has no such counter. All messages are searched once, which takes a second for two million.
    Ok(reserved.unwrap_or_else(|| highest_that_spoke(connection)))
}

/// Reserves numbers: none up to `number` is given after a restart.
pub(super) fn reserve(connection: &Connection, number: u64) -> rusqlite::Result<()> {
    counters::write(connection, COUNTER, number)
}

/// Searches as far as the messages can be read. A damaged page does not keep a daemon from its start.
fn highest_that_spoke(connection: &Connection) -> u64 {
    let mut highest = 0;
    let Ok(mut statement) = connection.prepare(NAMES) else { return highest };
    let Ok(mut rows) = statement.query([]) else { return highest };
    while let Ok(Some(row)) = rows.next() {
        let number = row.get::<_, Box<str>>(0).ok().and_then(|name| Name::parse_tourist(&name));
        highest = highest.max(number.filter(|number| *number < 1 << 52).unwrap_or_default());
    }
    highest
}
