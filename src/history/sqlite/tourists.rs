//! The numbers of tourists, which go on after a restart: no two people have one name in the same past.
//!
//! A number is not written when it is given, for that would be a write for each who comes. A block is reserved ahead (see `log`), and
//! what is left of it after a kill is never given.

use rusqlite::Connection;

use super::counters;
use crate::chat::Name;

const COUNTER: &str = "tourists";
const NAMES: &str = "SELECT name FROM message WHERE name >= 'Tourist ' AND name < 'Tourist!'";

/// The highest number that may have been given.
pub(super) fn reserved(connection: &Connection) -> rusqlite::Result<u64> {
    let reserved = counters::read(connection, COUNTER)?;
    // A file that an older roomd has written does not say. Each message is looked at, once: a second for two million.
    Ok(reserved.unwrap_or_else(|| highest_that_spoke(connection)))
}

/// From now on, no number up to `number` is given after a restart.
pub(super) fn reserve(connection: &Connection, number: u64) -> rusqlite::Result<()> {
    counters::write(connection, COUNTER, number)
}

/// As far as it can be read: a damaged page is no reason not to begin.
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
