//! `roomd check FILE`: finds all damage in a history, and changes nothing.

use std::fmt::Write as _;
use std::ops::Range;
use std::path::Path;

use rusqlite::{Connection, OptionalExtension, Row, Statement};

use super::errors::{self, Cause, DatabaseError, Doing};
use super::rows::RoomRow;
use super::schema::{self, Origin};
use super::{log_end, tool};
use crate::history::ids;
use crate::limits::fixed::{MAX_IDS_SEARCHED, MAX_PAGE_FAULTS};

const STRAYS: &str = "SELECT count(*) FROM message WHERE room = ?1 AND (id < ?2 OR id >= ?3)";

/// What was found.
#[derive(Debug, PartialEq, Eq)]
pub struct Report {
    /// Lines for people.
    pub text: String,
    /// Faults: messages that cannot be read, rows of rooms, pages.
    pub faults: u64,
}

/// Checks the file at `path`: its pages, the checksum of each row, and that no id is missing.
///
/// # Errors
/// [`DatabaseError`]. Nothing is known of the contents then.
pub fn check(path: &Path) -> Result<Report, DatabaseError> {
    let path = tool::existing_file(path, Doing::Checking)?;
    let lost_batches = log_end::surely_lost_batches(&path);
    let mut checker = Checker { report: Report { text: String::new(), faults: 0 } };
    let opened = open(&path).and_then(|connection| {
        let origin = schema::origin(&connection, schema::MIGRATIONS)?;
        Ok((connection, origin))
    });
    let checked = match opened {
        Ok((_, Origin::Newer(version))) => {
            return Err(DatabaseError::new(&path, Doing::Checking, Cause::Newer(version)));
        }
        Ok((_, Origin::Foreign)) => return Err(DatabaseError::new(&path, Doing::Checking, Cause::Foreign)),
        Ok((connection, Origin::New)) => checker.check(&connection, 0, lost_batches),
        Ok((connection, Origin::Ours(version))) => checker.check(&connection, version, lost_batches),
        Err(error) => Err(error),
    };
    match checked {
        Ok(()) => {}
        Err(error) if errors::is_damage(&error) => {
            checker.fault(&format!("it is damaged, or no database at all: {error}"));
        }
        Err(error) => return Err(DatabaseError::from_sqlite(&path, Doing::Checking, error)),
    }
    let Report { text, faults } = checker.report;
    let verdict = match faults {
        0 => "fine",
        1 => "damaged: 1 fault. What can be read is still served; the rest is in a backup, if there is one",
        _ => "damaged. What can be read is still served; the rest is in a backup, if there is one",
    };
    Ok(Report { text: format!("{}\n{text}{verdict}\n", path.display()), faults })
}

/// All is read from one snapshot. Nothing is written.
fn open(path: &Path) -> rusqlite::Result<Connection> {
    let connection = tool::connect(path)?;
    connection.pragma_update(None, "query_only", true)?;
    connection.execute_batch("BEGIN")?;
    Ok(connection)
}

struct Checker {
    report: Report,
}

impl Checker {
    fn fault(&mut self, sentence: &str) {
        self.report.faults += 1;
        self.line(sentence);
    }

    fn line(&mut self, sentence: &str) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.report.text, "{sentence}");
    }

    fn check(&mut self, connection: &Connection, version: usize, lost_batches: u64) -> rusqlite::Result<()> {
        if !schema::has_tables(connection, schema::MIGRATIONS.get(..version).unwrap_or_default())? {
            self.fault(
                "the tables are not those that roomd makes: the daemon does not start, and nothing else is checked",
            );
            return Ok(());
        }
        if lost_batches > 0 {
            self.fault(&format!(
                "the write-ahead log is damaged, and what was said last is lost: {lost_batches} batches of messages"
            ));
        }
        if version == 0 {
            self.line("an empty file: nothing was ever said");
            return Ok(());
        }
        self.check_pages(connection)?;
        let mut messages = 0;
        let rooms = self.rooms(connection, version)?;
        for (room, name) in &rooms {
            messages += self.check_room(connection, version, room, name)?;
        }
        self.check_strays(connection, &rooms)?;
        let plural = |count: u64| if count == 1 { "" } else { "s" };
        let (count, s, of_messages) = (rooms.len(), plural(rooms.len() as u64), plural(messages));
        self.line(&format!("version {version}, {count} room{s}, {messages} message{of_messages} that can be read"));
        Ok(())
    }

    fn check_pages(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let mut statement = connection.prepare(&format!("PRAGMA integrity_check({MAX_PAGE_FAULTS})"))?;
        let mut rows = statement.query([])?;
        loop {
            match rows.next() {
                Ok(Some(row)) => {
                    let found: String = row.get(0)?;
                    for line in found.lines().filter(|line| *line != "ok") {
                        // The file may come from anybody, and its names stand in this text.
                        self.fault(&format!("pages: {}", line.escape_debug()));
                    }
                }
                Ok(None) => return Ok(()),
                Err(error) if errors::is_damage(&error) => {
                    self.fault(&format!("pages: {error}"));
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The rooms whose rows are good.
    fn rooms(&mut self, connection: &Connection, version: usize) -> rusqlite::Result<Vec<(RoomRow, Box<str>)>> {
        let sql = match version {
            1 => "SELECT id, last_id, NULL, last_id, NULL, name, 0, 0 FROM room ORDER BY id",
            2 => "SELECT id, last_id, oldest, unchecked, checksum, name, 0, 0 FROM room ORDER BY id",
            _ => "SELECT id, last_id, oldest, unchecked, checksum, name, base, first FROM room ORDER BY id",
        };
        let mut statement = connection.prepare(sql)?;
        let mut rows = statement.query([])?;
        let mut good = Vec::new();
        loop {
            match rows.next() {
                Ok(Some(row)) => {
                    match row.get::<_, Box<str>>(5).and_then(|name| Ok((RoomRow::checked(row, &name)?, name))) {
                        Ok(room) => good.push(room),
                        // Version 1 has no checksums, so `checked` takes a room without messages for damaged.
                        Err(_) if version == 1 && row.get(1) == Ok(0) => {}
                        Err(_) => {
                            let name = row.get::<_, Box<str>>(5).unwrap_or_default();
                            self.fault(&format!("room {name:?}: its own row is damaged, so the daemon does not start"));
                        }
                    }
                }
                Ok(None) => return Ok(good),
                Err(error) if errors::is_damage(&error) => {
                    self.fault(&format!("the table of rooms cannot be read: {error}"));
                    return Ok(good);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Checks the messages of a room. Returns the number of those that can be read.
    fn check_room(
        &mut self,
        connection: &Connection,
        version: usize,
        room: &RoomRow,
        name: &str,
    ) -> rusqlite::Result<u64> {
        let ids = room.ids(connection)?;
        let mut scan = RoomScan::new(connection, version, room)?;
        for run in room.runs(connection, ids.clone())? {
            scan.scan(run)?;
        }
        let strays = readable(connection.query_row(STRAYS, (room.id, ids.start, ids.end), |row| row.get::<_, u64>(0)))?;
        if let Some(strays @ 1..) = strays {
            self.fault(&format!(
                "room {name:?}: the room does not know of {strays} of its messages; if one has the next id, nothing can be \
                 said there"
            ));
        }
        if !scan.damaged.is_empty() {
            let count = scan.damaged.iter().map(|(first, last)| last - first + 1).sum::<u64>();
            self.report.faults = self.report.faults.saturating_add(count);
            self.line(&format!("room {name:?}: {} damaged", ids::of_runs(&scan.damaged)));
        }
        Ok(scan.good)
    }

    /// Messages whose room is not in the table.
    fn check_strays(&mut self, connection: &Connection, rooms: &[(RoomRow, Box<str>)]) -> rusqlite::Result<()> {
        let mut next = connection.prepare("SELECT min(room) FROM message WHERE room > ?1")?;
        let mut through = i64::MIN;
        while let Some(Some(room)) = readable(next.query_row([through], |row| row.get::<_, Option<i64>>(0)))? {
            if !rooms.iter().any(|(known, _)| known.id == room) {
                self.fault(&format!("there are messages of a room that is not known: number {room}"));
            }
            through = room;
        }
        Ok(())
    }
}

/// Looks for the row of each id of a room.
struct RoomScan<'a> {
    room: &'a RoomRow,
    /// Reads the rows from an id on.
    from: Statement<'a>,
    /// Reads the row of one id.
    one: Statement<'a>,
    /// The first and the last id of each run of ids without a good row.
    damaged: Vec<(u64, u64)>,
    /// Good rows.
    good: u64,
    /// Ids that were looked for one by one.
    searched: u64,
}

impl<'a> RoomScan<'a> {
    fn new(connection: &'a Connection, version: usize, room: &'a RoomRow) -> rusqlite::Result<RoomScan<'a>> {
        let checksum = if version == 1 { "NULL" } else { "checksum" };
        let tag = if version < 4 { "NULL" } else { "tag" };
        let columns =
            format!("SELECT id, unix_ms, kind, name, text, {checksum}, {tag} FROM message WHERE room = ?1 AND id");
        let from = connection.prepare(&format!("{columns} >= ?2 ORDER BY id"))?;
        let one = connection.prepare(&format!("{columns} = ?2"))?;
        Ok(RoomScan { room, from, one, damaged: Vec::new(), good: 0, searched: 0 })
    }

    /// Looks for each id of `run`.
    fn scan(&mut self, run: Range<u64>) -> rusqlite::Result<()> {
        let mut next = run.start;
        while next < run.end && self.searched < MAX_IDS_SEARCHED {
            next = self.read_rows(next..run.end)?;
            next = self.skip_missing(next..run.end)?;
        }
        if next < run.end {
            add_run(&mut self.damaged, next, run.end - 1);
        }
        Ok(())
    }

    /// Reads rows for as long as they can be read. Returns the first id that was not looked at.
    fn read_rows(&mut self, ids: Range<u64>) -> rusqlite::Result<u64> {
        let RoomScan { room, from, damaged, good, .. } = self;
        let mut next = ids.start;
        let mut rows = from.query((room.id, next))?;
        while let Some(row) = readable(rows.next())?.flatten() {
            let Some(id) = id_of(row).filter(|id| (next..ids.end).contains(id)) else { break };
            if id > next {
                add_run(damaged, next, id - 1);
            }
            next = id + 1;
            match room.message(row) {
                Some(_) => *good += 1,
                None => add_run(damaged, id, id),
            }
        }
        Ok(next)
    }

    /// Looks for each id by itself, behind a place that cannot be read. Returns the next id that has a row.
    fn skip_missing(&mut self, ids: Range<u64>) -> rusqlite::Result<u64> {
        let mut next = ids.start;
        while next < ids.end && self.searched < MAX_IDS_SEARCHED {
            self.searched += 1;
            let found = self.one.query_row((self.room.id, next), |row| Ok(id_of(row))).optional();
            if readable(found)?.flatten().flatten() == Some(next) {
                break;
            }
            add_run(&mut self.damaged, next, next);
            next += 1;
        }
        Ok(next)
    }
}

/// Adds a run of ids behind the others, or to the last of them.
fn add_run(runs: &mut Vec<(u64, u64)>, first: u64, last: u64) {
    match runs.last_mut() {
        Some((_, end)) if *end + 1 == first => *end = last,
        _ => runs.push((first, last)),
    }
}

fn id_of(row: &Row<'_>) -> Option<u64> {
    row.get(0).ok()
}

/// None if the place in the file is damaged.
fn readable<T>(found: rusqlite::Result<T>) -> rusqlite::Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if errors::is_damage(&error) => Ok(None),
        Err(error) => Err(error),
    }
}
