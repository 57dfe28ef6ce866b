//! `roomd check FILE`: everything that is wrong with a history, without changing it.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, Row};
use thiserror::Error;

use super::rows::RoomRow;
use super::schema::{self, Origin};
use super::{database, errors, log_end};
use crate::history::ids;
use crate::limits::fixed::{MAX_IDS_SEARCHED, MAX_PAGE_FAULTS};

const STRAYS: &str = "SELECT count(*) FROM message WHERE room = ?1 AND (id < ?2 OR id >= ?3)";

/// Why a file cannot be checked. Nothing is known of its contents then.
#[derive(Debug, Error)]
pub enum CannotCheck {
    /// There is nothing at that path.
    #[error("cannot check {}: there is no such file", .0.display())]
    NoFile(Box<Path>),
    /// A directory, a pipe, a device.
    #[error("cannot check {}: it is no file", .0.display())]
    NotAFile(Box<Path>),
    /// The file may not be read.
    #[error("cannot check {}: permission denied; run this as the user of the daemon", .0.display())]
    NoPermission(Box<Path>),
    /// A daemon has it open.
    #[error("cannot check {}: a daemon has it open; stop that one first, or check a copy of the file", .0.display())]
    InUse(Box<Path>),
    /// Another program's database.
    #[error("cannot check {}: it is the database of another program", .0.display())]
    Foreign(Box<Path>),
    /// Of a later version.
    #[error("cannot check {}: a later roomd has written it (version {}); use that one", .0.display(), .1)]
    Newer(Box<Path>, i64),
    /// Whatever else the system says.
    #[error("cannot check {}: {}", .0.display(), .1)]
    System(Box<Path>, Box<str>),
}

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
/// [`CannotCheck`]
pub fn check(path: &Path) -> Result<Report, CannotCheck> {
    let path = std::path::absolute(path).map_err(|error| CannotCheck::from_io(path, &error))?;
    let metadata = fs::metadata(&path).map_err(|error| CannotCheck::from_io(&path, &error))?;
    if !metadata.is_file() {
        return Err(CannotCheck::NotAFile(path.into()));
    }
    let mut checker = Checker { report: Report { text: String::new(), faults: 0 } };
    let lost_batches = log_end::lost_batches(&path);
    let checked = open(&path).and_then(|connection| {
        let version = match schema::origin(&connection, schema::MIGRATIONS)? {
            Origin::New => 0,
            Origin::Ours(version) => version,
            Origin::Newer(version) => return Ok(Err(CannotCheck::Newer(path.clone().into(), version))),
            Origin::Foreign => return Ok(Err(CannotCheck::Foreign(path.clone().into()))),
        };
        if !schema::has_tables(&connection, schema::MIGRATIONS.get(..version).unwrap_or_default())? {
            checker.fault(
                "the tables are not those that roomd makes: the daemon does not start, and nothing else is checked",
            );
            return Ok(Ok(()));
        }
        if lost_batches > 0 {
            checker.fault(&format!(
                "the write-ahead log is damaged, and what was said last is lost: {lost_batches} batches of messages"
            ));
        }
        checker.check(&connection, version).map(Ok)
    });
    match checked {
        Ok(Ok(())) => {}
        Ok(Err(cannot)) => return Err(cannot),
        Err(error) if errors::is_damage(&error) => {
            checker.fault(&format!("it is damaged, or no database at all: {error}"));
        }
        Err(error) => return Err(CannotCheck::from_sqlite(&path, &error)),
    }
    let Report { text, faults } = checker.report;
    let verdict = match faults {
        0 => "fine",
        1 => "damaged: 1 fault. What can be read is still served; the rest is in a backup, if there is one",
        _ => "damaged. What can be read is still served; the rest is in a backup, if there is one",
    };
    Ok(Report { text: format!("{}\n{text}{verdict}\n", path.display()), faults })
}

/// With the lock that a daemon takes, so that none is at work meanwhile. Nothing is written.
fn open(path: &Path) -> rusqlite::Result<Connection> {
    let is_log_used = fs::metadata(log_end::log_path(path)).is_ok_and(|metadata| metadata.len() > 0);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    database::lock(&connection)?;
    connection.pragma_update(None, "query_only", true)?;
    // To close it would fold the log into the file. An empty log, which opening has made, goes.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, is_log_used)?;
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
        // A string takes whatever is written to it.
        let _ = writeln!(self.report.text, "{sentence}");
    }

    fn check(&mut self, connection: &Connection, version: usize) -> rusqlite::Result<()> {
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
                        // The names in it are those of the file, which may be anybody's.
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

    /// Those whose own rows are good.
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
                        // In a file of an older roomd a room without messages has none that lack a checksum.
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

    /// Gives the number of messages that can be read.
    fn check_room(
        &mut self,
        connection: &Connection,
        version: usize,
        room: &RoomRow,
        name: &str,
    ) -> rusqlite::Result<u64> {
        let checksum = if version == 1 { "NULL" } else { "checksum" };
        let columns = format!("SELECT id, unix_ms, kind, name, text, {checksum} FROM message WHERE room = ?1 AND id");
        let mut from = connection.prepare(&format!("{columns} >= ?2 ORDER BY id"))?;
        let mut one = connection.prepare(&format!("{columns} = ?2"))?;
        let ids = room.ids(connection)?;
        let mut damaged: Vec<(u64, u64)> = Vec::new();
        let (mut good, mut searched) = (0, 0);
        let mut is_damaged = |first: u64, last: u64| match damaged.last_mut() {
            Some((_, end)) if *end + 1 == first => *end = last,
            _ => damaged.push((first, last)),
        };
        for run in room.runs(connection, ids.clone())? {
            let mut next = run.start;
            while next < run.end && searched < MAX_IDS_SEARCHED {
                let mut rows = from.query((room.id, next))?;
                while let Some(row) = readable(rows.next())?.flatten() {
                    let Some(id) = id_of(row).filter(|id| (next..run.end).contains(id)) else { break };
                    if id > next {
                        is_damaged(next, id - 1);
                    }
                    next = id + 1;
                    if room.message(row).is_some() {
                        good += 1;
                    } else {
                        is_damaged(id, id);
                    }
                }
                // Where it cannot go on: on to the next id that has a row.
                while next < run.end && searched < MAX_IDS_SEARCHED {
                    searched += 1;
                    let found = one.query_row((room.id, next), |row| Ok(id_of(row))).optional();
                    if readable(found)?.flatten().flatten() == Some(next) {
                        break;
                    }
                    is_damaged(next, next);
                    next += 1;
                }
            }
            if next < run.end {
                is_damaged(next, run.end - 1);
            }
        }
        let strays = readable(connection.query_row(STRAYS, (room.id, ids.start, ids.end), |row| row.get::<_, u64>(0)))?;
        if let Some(strays @ 1..) = strays {
            self.fault(&format!(
                "room {name:?}: the room does not know of {strays} of its messages; if one has the next id, nothing can be \
                 said there"
            ));
        }
        if !damaged.is_empty() {
            let count = damaged.iter().map(|(first, last)| last - first + 1).sum::<u64>();
            self.report.faults = self.report.faults.saturating_add(count);
            self.line(&format!("room {name:?}: {} damaged", ids::of_runs(&damaged)));
        }
        Ok(good)
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

fn id_of(row: &Row<'_>) -> Option<u64> {
    row.get(0).ok()
}

/// None where damage is in the way.
fn readable<T>(found: rusqlite::Result<T>) -> rusqlite::Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if errors::is_damage(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

impl CannotCheck {
    fn from_io(path: &Path, error: &io::Error) -> CannotCheck {
        match error.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory => CannotCheck::NoFile(path.into()),
            ErrorKind::PermissionDenied => CannotCheck::NoPermission(path.into()),
            _ => CannotCheck::System(path.into(), error.to_string().into()),
        }
    }

    fn from_sqlite(path: &Path, error: &rusqlite::Error) -> CannotCheck {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => CannotCheck::InUse(path.into()),
            Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied | ErrorCode::ReadOnly) => {
                CannotCheck::NoPermission(path.into())
            }
            _ => CannotCheck::System(path.into(), error.to_string().into()),
        }
    }
}
