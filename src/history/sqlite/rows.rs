//! The rows of the file: how they are written, and how they are read though some of them may be damaged.
//!
//! SQLite notices a page that is not well formed. It does not notice a flipped bit in a text, nor a lost page of rows. So
//! each row has a checksum over its columns, and the row of a room says which ids must have a row: all from `oldest` to
//! `last_id`. An id without a good row is read as a damaged message. So damage costs the messages that it has hit and no
//! others, and a reader always sees that something is missing.

use std::fmt::Write as _;
use std::ops::Range;

use rusqlite::{Connection, OptionalExtension, Row, Rows, TransactionBehavior};

use super::errors;
use super::lineage::Lineage;
use crate::chat::{Kind, Name, NewMessage, RoomName, Tag};
use crate::history::batch::Batch;
use crate::history::{Page, PageSize, RoomKey, Stored};
use crate::limits::fixed::MOST_SEARCHED_FOR_A_TIME;

const ROOM: &str = "SELECT id, last_id, oldest, unchecked, checksum, name, base, first FROM room WHERE name = ?1";
const NEW_ROOM: &str = "INSERT INTO room (name, last_id, oldest) VALUES (?1, 0, 1) RETURNING id";
const SAVE_ROOM: &str = "UPDATE room SET last_id = ?2, oldest = ?3, base = ?4, first = ?5, checksum = ?6 WHERE id = ?1";
const INSERT: &str =
    "INSERT INTO message (room, id, unix_ms, kind, name, text, checksum, tag) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
const READ_DOWN: &str = "SELECT id, unix_ms, kind, name, text, checksum, tag FROM message
    WHERE room = ?1 AND id >= ?2 AND id < ?3 ORDER BY id DESC";
const READ_UP: &str = "SELECT id, unix_ms, kind, name, text, checksum, tag FROM message
    WHERE room = ?1 AND id >= ?2 AND id < ?3 ORDER BY id";
const READ_ONE: &str = "SELECT id, unix_ms, kind, name, text, checksum, tag FROM message WHERE room = ?1 AND id = ?2";
const OLDEST: &str = "SELECT min(id) FROM message WHERE room = ?1";

/// A room, as the file has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RoomRow {
    pub(super) id: i64,
    /// The highest id that was ever given; 0 before the first message.
    pub(super) last_id: u64,
    /// The lowest id that was not deleted. None in a room of an older roomd that has not been trimmed since.
    pub(super) oldest: Option<u64>,
    /// Messages up to this id are of an older roomd, and have no checksum.
    pub(super) unchecked: u64,
    /// Its ids rise by one from behind this on; see `runs`.
    pub(super) base: u64,
    /// The lowest base that it ever had. No id up to here was given.
    pub(super) first: u64,
}

/// In which order messages are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// The oldest of them first.
    Rising,
    /// The newest of them first.
    Falling,
}

impl RoomRow {
    /// The room of that name. If its row is damaged, that is an error.
    pub(super) fn find(connection: &Connection, name: &str) -> rusqlite::Result<Option<RoomRow>> {
        let mut statement = connection.prepare_cached(ROOM)?;
        let mut rows = statement.query([name])?;
        rows.next()?.map(|row| RoomRow::checked(row, name)).transpose()
    }

    fn find_or_make(connection: &Connection, name: &str, lineage: Lineage) -> rusqlite::Result<RoomRow> {
        if let Some(room) = RoomRow::find(connection, name)? {
            return Ok(room);
        }
        let id = connection.prepare_cached(NEW_ROOM)?.query_row([name], |row| row.get(0))?;
        Ok(RoomRow::begin(id, lineage.base()))
    }

    /// Reads the columns `id, last_id, oldest, unchecked, checksum, name, base, first`.
    pub(super) fn checked(row: &Row<'_>, name: &str) -> rusqlite::Result<RoomRow> {
        let (id, last_id, oldest, unchecked) = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
        let room = RoomRow { id, last_id, oldest, unchecked, base: row.get(6)?, first: row.get(7)? };
        let is_good = match row.get::<_, Option<i64>>(4)? {
            Some(checksum) => checksum == room.checksum(name),
            // Its last writer was a roomd without checksums.
            None => room.unchecked > 0,
        };
        let oldest = room.oldest.unwrap_or(1);
        let is_ordered = room.unchecked <= room.last_id && room.first <= room.base && room.base <= room.last_id;
        if is_good && is_ordered && (room.first + 1..=room.last_id + 1).contains(&oldest) {
            Ok(room)
        } else {
            Err(errors::damage("the row of a room"))
        }
    }

    pub(super) fn save(&self, connection: &Connection, name: &str) -> rusqlite::Result<()> {
        let (base, first) = (clamped(self.base), clamped(self.first));
        let columns = (self.id, self.last_id, self.oldest, base, first, self.checksum(name));
        connection.prepare_cached(SAVE_ROOM)?.execute(columns).map(|_| ())
    }

    fn checksum(&self, name: &str) -> i64 {
        let oldest = self.oldest.map_or(-1, clamped);
        let numbers = [self.id, clamped(self.last_id), oldest, clamped(self.unchecked)];
        match (self.base, self.first) {
            // The same checksum as in version 2, which had no bases.
            (0, 0) => checksum(&numbers, &[name]),
            (base, first) => checksum(&numbers, &[name, &format!("{base} {first}")]),
        }
    }

    /// The ids that must have a row, apart from gaps: see [`RoomRow::runs`].
    pub(super) fn ids(&self, connection: &Connection) -> rusqlite::Result<Range<u64>> {
        let oldest = match self.oldest {
            Some(oldest) => oldest,
            None => match connection.prepare_cached(OLDEST)?.query_row([self.id], |row| row.get::<_, Option<u64>>(0)) {
                Ok(oldest) => oldest.unwrap_or(self.last_id + 1),
                // Some may have been deleted. The row that would say so is damaged.
                Err(error) if errors::is_damage(&error) => 1,
                Err(error) => return Err(error),
            },
        };
        Ok(oldest..self.last_id + 1)
    }

    /// Reads the messages with ids in `range`, which must all have a row: as many as fit in `size`, but at least one if
    /// `size` allows any, however long it is. The ids of a page rise, in either `order`.
    ///
    /// Damage is no error: a damaged message stands in the page as such.
    pub(super) fn read(
        &self,
        connection: &Connection,
        name: &str,
        (range, order): (Range<u64>, Order),
        size: PageSize,
    ) -> rusqlite::Result<Page> {
        let sql = if order == Order::Rising { READ_UP } else { READ_DOWN };
        let mut statement = connection.prepare_cached(sql)?;
        let mut scan =
            Scan { room: self, rows: Some(statement.query((self.id, clamped(range.start), clamped(range.end)))?) };
        let runs = self.runs(connection, range)?.into_iter();
        let ids: Box<dyn Iterator<Item = u64>> = match order {
            Order::Rising => Box::new(runs.flatten()),
            Order::Falling => Box::new(runs.rev().flat_map(Iterator::rev)),
        };
        let mut page = Page::default();
        let mut bytes = 0_usize;
        let mut event = Vec::new();
        for id in ids {
            if page.messages.len() >= size.messages {
                page.more = true;
                break;
            }
            let message = scan.message(connection, id)?;
            // The limit is for the events that are sent: one letter is an event of a hundred bytes, and a control
            // character takes six.
            event.clear();
            message.as_message().write_json(name, &mut event);
            bytes = bytes.saturating_add(event.len());
            if bytes > size.bytes && !page.messages.is_empty() {
                page.more = true;
                break;
            }
            page.messages.push(message);
        }
        if order == Order::Falling {
            page.messages.reverse();
        }
        if !date_damaged(&mut page.messages) && !page.messages.is_empty() {
            let unix_ms = self.time_beside(connection, &page.messages)?;
            page.messages.iter_mut().for_each(|message| message.unix_ms = unix_ms);
        }
        Ok(page)
    }

    /// The time of the nearest good message before the page, or else after it; 0 if there is none nearby.
    fn time_beside(&self, connection: &Connection, page: &[Stored]) -> rusqlite::Result<u64> {
        let (Some(first), Some(last)) = (page.first(), page.last()) else { return Ok(0) };
        let ids = self.ids(connection)?;
        let before = (ids.start..first.id).rev().take(MOST_SEARCHED_FOR_A_TIME);
        let behind = (last.id + 1..ids.end).take(MOST_SEARCHED_FOR_A_TIME);
        let mut scan = Scan { room: self, rows: None };
        for id in before.chain(behind) {
            let message = scan.message(connection, id)?;
            if message.kind != Kind::Damaged {
                return Ok(message.unix_ms);
            }
        }
        Ok(0)
    }

    /// The message of a row. None if the row is damaged.
    pub(super) fn message(&self, row: &Row<'_>) -> Option<Stored> {
        let (id, unix_ms, number): (i64, i64, i64) = (row.get(0).ok()?, row.get(1).ok()?, row.get(2).ok()?);
        let (name, text): (Box<str>, Box<str>) = (row.get(3).ok()?, row.get(4).ok()?);
        let tag: Option<Box<str>> = row.get(6).ok()?;
        let tag: Option<Tag> = tag.map(|tag| tag.parse()).transpose().ok()?;
        let is_good = match row.get::<_, Option<i64>>(5).ok()? {
            Some(checksum) => checksum == checksum_of_message(&[self.id, id, unix_ms, number], &name, &text, tag),
            None => u64::try_from(id).ok()? <= self.unchecked,
        };
        let kind = [Kind::Message, Kind::Action].into_iter().find(|kind| number_of(*kind) == number)?;
        let (id, unix_ms) = (u64::try_from(id).ok()?, u64::try_from(unix_ms).ok()?);
        is_good.then(|| Stored { id, unix_ms, kind, name: Name::from_stored(&name), tag, text })
    }
}

/// Reads rows in order, with one statement, for as long as each id follows the last. Once an id is missing or a page cannot
/// be read, the rest are looked up one by one.
struct Scan<'a> {
    room: &'a RoomRow,
    rows: Option<Rows<'a>>,
}

impl Scan<'_> {
    fn message(&mut self, connection: &Connection, id: u64) -> rusqlite::Result<Stored> {
        if let Some(rows) = &mut self.rows {
            match rows.next() {
                Ok(Some(row)) if row.get(0) == Ok(id) => {
                    if let Some(message) = self.room.message(row) {
                        return Ok(message);
                    }
                }
                Err(error) if !errors::is_damage(&error) => return Err(error),
                Ok(_) | Err(_) => self.rows = None,
            }
        }
        let mut statement = connection.prepare_cached(READ_ONE)?;
        let found = statement.query_row((self.room.id, clamped(id)), |row| Ok(self.room.message(row))).optional();
        match found {
            Ok(message) => {
                Ok(message.flatten().filter(|message| message.id == id).unwrap_or_else(|| Stored::damaged(id)))
            }
            Err(error) if errors::is_damage(&error) => Ok(Stored::damaged(id)),
            Err(error) => Err(error),
        }
    }
}

/// The time of a damaged message is lost. It gets the time of its neighbour, so that a client that sorts or dates messages
/// puts it where it was. Returns whether there was a good neighbour.
fn date_damaged(messages: &mut [Stored]) -> bool {
    let is_damaged = |message: &Stored| message.kind == Kind::Damaged;
    let Some(first_good) = messages.iter().find(|message| !is_damaged(message)) else { return false };
    let mut unix_ms = first_good.unix_ms;
    for message in messages {
        if is_damaged(message) {
            message.unix_ms = unix_ms;
        }
        unix_ms = message.unix_ms;
    }
    true
}

/// Writes all of `batch`, or nothing; puts the id of each at the end of `ids`.
pub(super) fn insert(
    connection: &mut Connection,
    batch: &Batch,
    ids: &mut Vec<u64>,
    lineage: Lineage,
) -> rusqlite::Result<()> {
    // It rolls back when it is dropped, so any error below undoes the whole batch.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    {
        let mut insert = transaction.prepare_cached(INSERT)?;
        // Each room is read and written once a batch.
        let find = |(_, name): &(RoomKey, RoomName)| {
            let mut room = RoomRow::find_or_make(&transaction, name.as_str(), lineage)?;
            room.go_on(&transaction, lineage)?;
            Ok(room)
        };
        let mut rooms = batch.rooms().iter().map(find).collect::<rusqlite::Result<Vec<RoomRow>>>()?;
        let mut name = String::new();
        for (place, message) in batch.messages() {
            let room = rooms.get_mut(place).ok_or(rusqlite::Error::InvalidQuery)?;
            let NewMessage { name: author, tag, unix_ms, kind, text } = message;
            name.clear();
            // Writing to a String cannot fail.
            let _ = write!(name, "{author}");
            room.last_id += 1;
            let (id, unix_ms, number) = (clamped(room.last_id), clamped(unix_ms), number_of(kind));
            let checksum = checksum_of_message(&[room.id, id, unix_ms, number], &name, text, tag);
            let tag = tag.map(|tag| tag.to_string());
            insert.execute((room.id, id, unix_ms, number, &name, text, checksum, tag))?;
            ids.push(room.last_id);
        }
        for ((_, name), room) in batch.rooms().iter().zip(&rooms) {
            room.save(&transaction, name.as_str())?;
        }
    }
    transaction.commit()
}

/// The number of a kind in the file. Numbers never change; a number that is not here is damage.
fn number_of(kind: Kind) -> i64 {
    match kind {
        Kind::Message => 0,
        Kind::Action => 1,
        // Never written. A row with it would be read as damaged.
        Kind::Damaged => 2,
    }
}

/// Of a message without a tag it is the same as before there were tags.
fn checksum_of_message(&[room, id, unix_ms, kind]: &[i64; 4], name: &str, text: &str, tag: Option<Tag>) -> i64 {
    match tag {
        None => checksum(&[room, id, unix_ms, kind], &[name, text]),
        // The kind says that the last six characters are no text.
        Some(tag) => checksum(&[room, id, unix_ms, kind | TAGGED], &[name, text, &tag.to_string()]),
    }
}

/// No number of a kind has this bit.
const TAGGED: i64 = 1 << 32;

/// CRC-32. It finds every change within four bytes, and misses one in four thousand million of other changes. It is against
/// decay, not against people: anybody who can write to the file can write another checksum.
pub(super) fn checksum(numbers: &[i64; 4], texts: &[&str]) -> i64 {
    let mut hasher = crc32fast::Hasher::new();
    let mut head = [0; 40];
    // The length of the first text, so that moving a letter from one text to the other changes the sum.
    let first_len = texts.first().map_or(0, |text| text.len() as i64);
    for (bytes, number) in head.as_chunks_mut::<8>().0.iter_mut().zip(numbers.iter().chain([&first_len])) {
        *bytes = number.to_le_bytes();
    }
    hasher.update(&head);
    for text in texts {
        hasher.update(text.as_bytes());
    }
    i64::from(hasher.finalize())
}

/// SQLite has 63 bits for a positive number. Ids and times stay far below.
pub(super) fn clamped(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
