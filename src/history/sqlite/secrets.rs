//! Random bytes that the daemon makes for itself once, and keeps with the messages.

use rusqlite::{Connection, OptionalExtension, Row};

use super::errors;
use super::rows::checksum;
use crate::history::random::random_bytes;

/// With it the secrets of persons are hashed.
const PERSONS: &str = "persons";

const READ: &str = "SELECT bytes, checksum FROM secret WHERE name = ?1";
const WRITE: &str = "INSERT OR REPLACE INTO secret (name, bytes, checksum) VALUES (?1, ?2, ?3)";

/// The key of persons: the one that is there, or else a new one. Also a damaged one makes way for a new one. Then all
/// persons have other marks, which is better than that nobody has any.
pub(super) fn person_key(connection: &Connection) -> rusqlite::Result<Option<[u8; 32]>> {
    if let Some(key) = read(connection)? {
        return Ok(Some(key));
    }
    let Some(key) = random_bytes() else { return Ok(None) };
    connection.execute(WRITE, (PERSONS, key, checksum_of(&key)))?;
    Ok(Some(key))
}

fn read(connection: &Connection) -> rusqlite::Result<Option<[u8; 32]>> {
    let columns = |row: &Row<'_>| Ok((row.get::<_, [u8; 32]>(0)?, row.get::<_, i64>(1)?));
    match connection.query_row(READ, [PERSONS], columns).optional() {
        Ok(row) => Ok(row.filter(|(key, sum)| checksum_of(key) == *sum).map(|(key, _)| key)),
        Err(error) if errors::is_damage(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn checksum_of(key: &[u8; 32]) -> i64 {
    let numbers = [0, 8, 16, 24].map(|at| {
        let mut number = [0; 8];
        number.iter_mut().zip(key.iter().skip(at)).for_each(|(to, from)| *to = *from);
        i64::from_le_bytes(number)
    });
    checksum(&numbers, &[PERSONS])
}

#[cfg(test)]
mod tests {
    use super::super::schema;
    use super::*;

    fn connection() -> Connection {
        let mut connection = Connection::open_in_memory().unwrap();
        schema::migrate(&mut connection, 0, schema::MIGRATIONS).unwrap();
        connection
    }

    #[test]
    fn the_key_is_made_once_and_is_another_in_another_file() {
        let (one, other) = (connection(), connection());
        let key = person_key(&one).unwrap().unwrap();
        assert_eq!(person_key(&one), Ok(Some(key)));
        assert_ne!(person_key(&other), Ok(Some(key)));
    }

    #[test]
    fn a_damaged_key_makes_way_for_a_new_one() {
        for damage in [
            "UPDATE secret SET bytes = substr(bytes, 2)",
            "UPDATE secret SET bytes = zeroblob(32)",
            "UPDATE secret SET checksum = checksum + 1",
        ] {
            let connection = connection();
            let key = person_key(&connection).unwrap().unwrap();
            connection.execute(damage, []).unwrap();
            let new = person_key(&connection).unwrap().unwrap();
            assert_ne!(new, key, "{damage}");
            assert_eq!(person_key(&connection), Ok(Some(new)), "{damage}");
        }
    }
}
