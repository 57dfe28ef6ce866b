//! What is in the history's file, and how a file of an older roomd becomes one of this.

use rusqlite::{Connection, TransactionBehavior};

use super::errors;
use super::rows::RoomRow;

/// `room` in ASCII, in the file's header: tells a history from another program's database. `file` shows it.
const APPLICATION_ID: i32 = 0x726f_6f6d;

/// The migrations: a file of version n has gone through the first n steps. A released step is never changed; a change of
/// the tables is a new step at the end.
///
/// `room`: a row is made at a room's first message. Its `last_id` is what keeps an id from being given twice.
///
/// `message`: the rows of a room lie together, in the order of their ids, in the tree of the key itself: a page of
/// history is one search and a few neighbouring pages of the file. With a rowid the rows would lie in the order of
/// arrival, all rooms mixed, and the key would be a second tree to be written for each message. `kind` is the
/// number of a [`crate::chat::Kind`].
///
/// Version 2: a `checksum` over the rest of the row, so that what has decayed is not shown for what was said. `oldest` is
/// the lowest id of a room that was not deleted on purpose: every id from there to `last_id` has a row, or is damaged.
/// `unchecked` is the last id from before that version, whose rows have no checksum. The step reads no message, so it takes
/// as long for a large file as for a small one, and is not stopped by damage. `counter`: see `tourists`.
///
/// Version 3: `log` has one row, see `lineage`. The ids of a room rise by one from behind its `base` on, where they have
/// jumped last; its `first` base is that of its first message. `gap`: the ids `first..next` of a room have no rows; see
/// `runs`. The row of a room goes when the whole room is forgotten.
///
/// Version 4: `tag` is the author's mark (see [`crate::chat::Tag`]), NULL if it had shown no secret. `secret`: see `secrets`.
pub(super) const MIGRATIONS: &[&str] = &[
    "
    CREATE TABLE room (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        last_id INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE message (
        room INTEGER NOT NULL,
        id INTEGER NOT NULL,
        unix_ms INTEGER NOT NULL,
        kind INTEGER NOT NULL,
        name TEXT NOT NULL,
        text TEXT NOT NULL,
        PRIMARY KEY (room, id)
    ) STRICT, WITHOUT ROWID;
",
    "
    ALTER TABLE message ADD COLUMN checksum INTEGER;
    ALTER TABLE room ADD COLUMN oldest INTEGER;
    ALTER TABLE room ADD COLUMN unchecked INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE room ADD COLUMN checksum INTEGER;
    UPDATE room SET unchecked = last_id;
    CREATE TABLE counter (
        name TEXT PRIMARY KEY,
        value INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
",
    "
    ALTER TABLE room ADD COLUMN base INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE room ADD COLUMN first INTEGER NOT NULL DEFAULT 0;
    CREATE TABLE gap (
        room INTEGER NOT NULL,
        first INTEGER NOT NULL,
        next INTEGER NOT NULL,
        PRIMARY KEY (room, first)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE log (
        id INTEGER PRIMARY KEY,
        epoch INTEGER NOT NULL,
        floor INTEGER NOT NULL,
        forgotten INTEGER NOT NULL,
        checksum INTEGER NOT NULL
    ) STRICT;
",
    "
    ALTER TABLE message ADD COLUMN tag TEXT;
    CREATE TABLE secret (
        name TEXT PRIMARY KEY,
        bytes BLOB NOT NULL,
        checksum INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
",
];

const ALL_ROOMS: &str = "SELECT id, last_id, oldest, unchecked, checksum, name, base, first FROM room ORDER BY id";

/// Whose database a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// An empty file.
    New,
    /// A history that has so many of our steps behind it.
    Ours(usize),
    /// A history of a later roomd, of this version.
    Newer(i64),
    /// Another program's.
    Foreign,
}

/// Finds out whose database it is. Changes nothing in the file.
pub(super) fn origin(connection: &Connection, steps: &[&str]) -> rusqlite::Result<Origin> {
    let application: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    Ok(match (application, usize::try_from(version)) {
        (0, Ok(0)) if tables == 0 => Origin::New,
        (APPLICATION_ID, Ok(behind)) if behind <= steps.len() => Origin::Ours(behind),
        (APPLICATION_ID, Ok(_)) => Origin::Newer(version),
        _ => Origin::Foreign,
    })
}

/// Runs the steps that the file has not gone through: all of them, or none if one fails.
pub(super) fn migrate(connection: &mut Connection, behind: usize, steps: &[&str]) -> rusqlite::Result<()> {
    let pending = steps.get(behind..).unwrap_or_default();
    if pending.is_empty() {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for step in pending {
        transaction.execute_batch(step)?;
    }
    // Both are in the header of the file, and so a part of the transaction.
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", i64::try_from(steps.len()).unwrap_or(i64::MAX))?;
    transaction.commit()
}

/// Whether the tables are those that the steps make, and the rooms can be read.
///
/// The messages are not looked at: in a file of a gigabyte that would take minutes, and what is damaged there is found
/// when it is read. The rooms are few, and a wrong `last_id` would give an id twice.
pub(super) fn is_intact(connection: &Connection, steps: &[&str]) -> rusqlite::Result<bool> {
    if !has_tables(connection, steps)? {
        return Ok(false);
    }
    // Not `quick_check`, which does not compare the index of the names with the names.
    let verdict: String = connection.query_row("PRAGMA integrity_check(room)", [], |row| row.get(0))?;
    Ok(verdict == "ok" && damaged_rooms(connection)?.is_empty())
}

/// Whether the tables are those that the steps make. More than ours may be there: an index of the operator's own does no
/// harm.
pub(super) fn has_tables(connection: &Connection, steps: &[&str]) -> rusqlite::Result<bool> {
    let mut pattern = Connection::open_in_memory()?;
    migrate(&mut pattern, 0, steps)?;
    let found = definitions(connection)?;
    Ok(definitions(&pattern)?.iter().all(|ours| found.contains(ours)))
}

/// The numbers of the rooms whose rows are not as they were written.
pub(super) fn damaged_rooms(connection: &Connection) -> rusqlite::Result<Vec<i64>> {
    let mut statement = connection.prepare(ALL_ROOMS)?;
    let mut rows = statement.query([])?;
    let mut damaged = Vec::new();
    while let Some(row) = rows.next()? {
        let room = row.get::<_, Box<str>>(5).and_then(|name| RoomRow::checked(row, &name));
        match room {
            Ok(_) => {}
            Err(error) if errors::is_damage(&error) => damaged.push(row.get(0)?),
            Err(error) => return Err(error),
        }
    }
    Ok(damaged)
}

fn definitions(connection: &Connection) -> rusqlite::Result<Vec<(String, Option<String>)>> {
    let mut statement = connection.prepare("SELECT name, sql FROM sqlite_schema")?;
    statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As if there had been a version before, and one after.
    const FIRST: &str = "CREATE TABLE room (name TEXT NOT NULL) STRICT;";
    const SECOND: &str = "ALTER TABLE room ADD COLUMN last_id INTEGER NOT NULL DEFAULT 7;";
    const BROKEN: &str = "CREATE TABLE half (a TEXT) STRICT; CREATE TABLE room (name TEXT);";

    fn database_with(steps: &[&str]) -> Connection {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection, 0, steps).unwrap();
        connection
    }

    #[test]
    fn a_file_of_an_older_version_takes_only_the_steps_it_lacks_and_keeps_its_rows() {
        let mut connection = database_with(&[FIRST]);
        connection.execute("INSERT INTO room VALUES ('lobby')", []).unwrap();
        let steps = [FIRST, SECOND];
        assert_eq!(origin(&connection, &steps), Ok(Origin::Ours(1)));
        migrate(&mut connection, 1, &steps).unwrap();
        assert_eq!(origin(&connection, &steps), Ok(Origin::Ours(2)));
        let row = connection.query_row("SELECT name, last_id FROM room", [], |row| Ok((row.get(0)?, row.get(1)?)));
        assert_eq!(row, Ok(("lobby".to_owned(), 7)));
    }

    #[test]
    fn a_step_that_fails_leaves_the_file_as_it_was() {
        let mut connection = database_with(&[FIRST]);
        let steps = [FIRST, SECOND, BROKEN];
        assert!(migrate(&mut connection, 1, &steps).is_err());
        assert_eq!(origin(&connection, &steps), Ok(Origin::Ours(1)));
        assert_eq!(definitions(&connection), definitions(&database_with(&[FIRST])));
    }

    #[test]
    fn a_version_that_lies_ahead_is_newer_and_none_of_ours() {
        let connection = database_with(&[FIRST, SECOND]);
        assert_eq!(origin(&connection, &[FIRST]), Ok(Origin::Newer(2)));
    }

    #[test]
    fn what_has_tables_or_a_version_but_not_our_mark_is_foreign() {
        let empty = || Connection::open_in_memory().unwrap();
        assert_eq!(origin(&empty(), MIGRATIONS), Ok(Origin::New));
        for foreign in ["CREATE TABLE room (a)", "PRAGMA user_version = 1", "PRAGMA application_id = 252006675"] {
            let connection = empty();
            connection.execute_batch(foreign).unwrap();
            assert_eq!(origin(&connection, MIGRATIONS), Ok(Origin::Foreign), "{foreign}");
        }
    }

    #[test]
    fn a_table_that_is_missing_or_not_as_we_made_it_is_noticed() {
        assert_eq!(is_intact(&database_with(MIGRATIONS), MIGRATIONS), Ok(true));
        for (change, expected) in [
            ("DROP TABLE message", false),
            ("ALTER TABLE message DROP COLUMN text", false),
            ("CREATE INDEX by_name ON message (name); ANALYZE", true),
        ] {
            let connection = database_with(MIGRATIONS);
            connection.execute_batch(change).unwrap();
            assert_eq!(is_intact(&connection, MIGRATIONS), Ok(expected), "{change}");
        }
    }
}
