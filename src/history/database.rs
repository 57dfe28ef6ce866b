//! `--history PATH`: a file of SQLite, and what is asked of it.
//!
//! All of it blocks, for as long as the disk takes: it belongs to a thread of its own. The file has one owner at a
//! time, and its lock is one of the operating system, which lets go of it when the process ends in whatever way. Since
//! nobody else may read meanwhile, the write-ahead log can always be folded back into the file and stays small.
//!
//! An error leaves the file as it was before the call, and the next call may succeed: a disk that was full has room
//! again.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::ErrorKind;
use std::num::NonZeroU64;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, Row, TransactionBehavior, ffi};

use super::schema::{self, Origin};
use super::{Page, PageSize, Stored};
use crate::chat::{Kind, Name};

/// Messages that one [`Database::trim`] deletes at most: 3 ms, and 40 if the write-ahead log is folded just
/// then (an SSD shared with others).
const TRIM_MESSAGES: u64 = 1_000;

/// Rooms that one [`Database::trim`] looks at at most. To look at one is two searches, some microseconds.
const TRIM_ROOMS: usize = 500;

/// Bytes to which the write-ahead log is cut when it is folded into the file. SQLite does that at 1,000 pages, which
/// are 4 MB; only a batch that is larger makes it grow further, until the next time.
const WAL_BYTES: u64 = 4 * 1024 * 1024;

/// One statement finds the room, makes it if it is new, and counts: an id cannot be read and then be given twice.
const NEXT_ID: &str = "INSERT INTO room (name, last_id) VALUES (?1, 1)
    ON CONFLICT (name) DO UPDATE SET last_id = last_id + 1 RETURNING id, last_id";
const INSERT: &str = "INSERT INTO message (room, id, unix_ms, kind, name, text) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
const LAST_ID: &str = "SELECT last_id FROM room WHERE name = ?1";
const READ_BEFORE: &str = "SELECT id, unix_ms, kind, name, text FROM message
    WHERE room = (SELECT id FROM room WHERE name = ?1) AND id < ?2 ORDER BY id DESC";
const READ_AFTER: &str = "SELECT id, unix_ms, kind, name, text FROM message
    WHERE room = (SELECT id FROM room WHERE name = ?1) AND id > ?2 ORDER BY id";
const ROOMS: &str = "SELECT id, last_id FROM room WHERE id > ?1 ORDER BY id LIMIT ?2";
const OLDEST: &str = "SELECT min(id) FROM message WHERE room = ?1";
const FIRST_YOUNG: &str = "SELECT id FROM message WHERE room = ?1 AND id < ?2 AND unix_ms >= ?3 ORDER BY id LIMIT 1";
const DELETE: &str = "DELETE FROM message WHERE room = ?1 AND id < ?2";

/// An open history. See the module.
#[derive(Debug)]
pub struct Database {
    path: Box<Path>,
    connection: Connection,
    /// The room behind which the next trim goes on; 0 before the first.
    trimmed_to: i64,
}

/// What outlives a loss of power. That the daemon is killed costs nothing with either.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// All but the last moments: the disk is waited for only when the write-ahead log is folded into the file.
    Normal,
    /// Everything that was appended: the disk is waited for each time.
    Full,
}

/// How much is kept. What is beyond either goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// Messages of a room; the oldest go.
    pub messages: Option<NonZeroU64>,
    /// Age of a message. A room's messages go in the order of their ids, so one from an hour when the clock was ahead
    /// holds up those behind it until it is old enough itself.
    pub max_age: Option<Duration>,
}

/// A message to be written, borrowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Said<'a> {
    /// Where.
    pub room: &'a str,
    /// Who.
    pub name: &'a str,
    /// When: milliseconds since 1970, UTC.
    pub unix_ms: u64,
    /// How.
    pub kind: Kind,
    /// What.
    pub text: &'a str,
}

/// What a trim did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trimmed {
    /// Messages that were deleted.
    pub messages: u64,
    /// Whether there is more to do: call again. False once all rooms have been gone through.
    pub more: bool,
}

/// Why a history cannot be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CannotOpen {
    /// The directory of the file does not exist.
    NoDirectory(Box<Path>),
    /// The file or its directory may not be used by this user.
    NoPermission(Box<Path>),
    /// The file, or all of its file system, can only be read.
    ReadOnly(Box<Path>),
    /// A directory, a device or the like.
    NotAFile(Box<Path>),
    /// Another process has it open.
    InUse(Box<Path>),
    /// Not a database, or a damaged one.
    Corrupt(Box<Path>),
    /// Another program's database.
    Foreign(Box<Path>),
    /// Written by a later roomd: the file, and its version.
    Newer(Box<Path>, i64),
    /// No room on the disk.
    Full(Box<Path>),
    /// Whatever else the system says.
    System(Box<Path>, Box<str>),
}

/// Why nothing was written, or deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CannotWrite {
    /// No room on the disk.
    Full(Box<Path>),
    /// The file can only be read by now.
    ReadOnly(Box<Path>),
    /// The file is damaged.
    Corrupt(Box<Path>),
    /// Whatever else the system says.
    System(Box<Path>, Box<str>),
}

/// Why nothing was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CannotRead {
    /// The file is damaged.
    Corrupt(Box<Path>),
    /// Whatever else the system says.
    System(Box<Path>, Box<str>),
}

impl Database {
    /// Where it is: an absolute path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the file, or makes it, for its owner alone to read. Takes as long for a large file as for a small one.
    ///
    /// # Errors
    /// [`CannotOpen`]. A file that is not a history is left as it is.
    pub fn open(path: &Path, durability: Durability) -> Result<Database, CannotOpen> {
        // A name like `:memory:` or `file:x?mode=ro` would mean something to SQLite; with a `/` in front it does not.
        let path = std::path::absolute(path).map_err(|error| CannotOpen::from_io(path, &error))?;
        // SQLite would make it for everybody to read. It gives the write-ahead log the permissions of the file.
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                // Not by opening it: to close it again would drop the lock of a database in this process.
                match fs::metadata(&path) {
                    Ok(metadata) if metadata.is_file() => {}
                    Ok(_) => return Err(CannotOpen::NotAFile(path.into())),
                    // A link to a file that is not there yet: it is made where the link leads, as SQLite would do.
                    Err(error) if error.kind() == ErrorKind::NotFound => {
                        let made = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
                        made.map_err(|error| CannotOpen::from_io(&path, &error))?;
                    }
                    Err(error) => return Err(CannotOpen::from_io(&path, &error)),
                }
            }
            Err(error) => return Err(CannotOpen::from_io(&path, &error)),
        }
        // Used by one thread at a time, as the compiler sees to.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&path, flags);
        Database::new(connection.map_err(|error| CannotOpen::from_sqlite(&path, &error))?, &path, durability)
    }

    fn new(mut connection: Connection, path: &Path, durability: Durability) -> Result<Database, CannotOpen> {
        let cannot = |error| CannotOpen::from_sqlite(path, &error);
        // SQLite opens for reading what cannot be written, and says nothing.
        if connection.is_readonly(c"main").map_err(cannot)? {
            return Err(CannotOpen::ReadOnly(path.into()));
        }
        lock(&connection).map_err(cannot)?;
        let behind = match schema::origin(&connection, schema::MIGRATIONS).map_err(cannot)? {
            Origin::New => 0,
            Origin::Ours(behind) => behind,
            Origin::Newer(version) => return Err(CannotOpen::Newer(path.into(), version)),
            Origin::Foreign => return Err(CannotOpen::Foreign(path.into())),
        };
        // Only now: this writes.
        set_up(&connection, durability).map_err(cannot)?;
        schema::migrate(&mut connection, behind, schema::MIGRATIONS).map_err(cannot)?;
        if !schema::is_intact(&connection, schema::MIGRATIONS).map_err(cannot)? {
            return Err(CannotOpen::Corrupt(path.into()));
        }
        Ok(Database { path: path.into(), connection, trimmed_to: 0 })
    }

    /// Writes all of `batch`, or nothing; puts the id of each at the end of `ids`, in the same order.
    ///
    /// # Errors
    /// [`CannotWrite`]. Then `ids` is as it was, and the next batch is given those ids.
    pub fn append<'a>(&mut self, batch: impl Iterator<Item = Said<'a>>, ids: &mut Vec<u64>) -> Result<(), CannotWrite> {
        let before = ids.len();
        insert(&mut self.connection, batch, ids).map_err(|error| {
            ids.truncate(before);
            self.not_written(&error)
        })
    }

    /// The newest id that was ever given in the room, though all its messages may be gone; 0 if there was none.
    ///
    /// # Errors
    /// [`CannotRead`]
    pub fn last_id(&mut self, room: &str) -> Result<u64, CannotRead> {
        last_id(&self.connection, room).map_err(|error| CannotRead::from_sqlite(&self.path, &error))
    }

    /// The newest of the messages with ids below `before`, or else the newest of all: as many as fit in `size`, but one
    /// if there is one and `size` allows any, however long.
    ///
    /// # Errors
    /// [`CannotRead`]
    pub fn read_before(&mut self, room: &str, before: Option<u64>, size: PageSize) -> Result<Page, CannotRead> {
        let page = read(&self.connection, READ_BEFORE, room, before.unwrap_or(u64::MAX), size);
        let mut page = page.map_err(|error| CannotRead::from_sqlite(&self.path, &error))?;
        page.messages.reverse();
        let is_bounded = page.messages.last().is_none_or(|last| before.is_none_or(|before| last.id < before));
        self.checked(page, is_bounded)
    }

    /// The oldest of the messages with ids above `since`, with the limits of [`Database::read_before`]. That the first
    /// is not `since + 1` means that those between are gone.
    ///
    /// # Errors
    /// [`CannotRead`]
    pub fn read_after(&mut self, room: &str, since: u64, size: PageSize) -> Result<Page, CannotRead> {
        let page = read(&self.connection, READ_AFTER, room, since, size);
        let page = page.map_err(|error| CannotRead::from_sqlite(&self.path, &error))?;
        let is_bounded = page.messages.first().is_none_or(|first| first.id > since);
        self.checked(page, is_bounded)
    }

    /// Deletes some of what is beyond `keep`, in one transaction, and not so much that it would hold up an append for
    /// long. The ids of what is deleted are not given again, and the file does not shrink: its pages are used again.
    ///
    /// # Errors
    /// [`CannotWrite`]. Then nothing is deleted.
    pub fn trim(&mut self, keep: Keep, now_unix_ms: u64) -> Result<Trimmed, CannotWrite> {
        if keep.messages.is_none() && keep.max_age.is_none() {
            return Ok(Trimmed { messages: 0, more: false });
        }
        match delete(&mut self.connection, self.trimmed_to, keep, now_unix_ms) {
            Ok((trimmed, trimmed_to)) => {
                self.trimmed_to = trimmed_to;
                Ok(trimmed)
            }
            Err(error) => Err(self.not_written(&error)),
        }
    }

    fn not_written(&self, error: &rusqlite::Error) -> CannotWrite {
        let cannot = CannotWrite::from_sqlite(&self.path, error);
        if matches!(cannot, CannotWrite::Full(_)) {
            // The write-ahead log may be what fills the disk, and could not grow to where it is folded by itself. If
            // it cannot be now, it is tried again at the next failure.
            let _ = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        }
        cannot
    }

    /// SQLite trusts the order of the keys in the file; a page that stands where another should shows here.
    fn checked(&self, page: Page, is_bounded: bool) -> Result<Page, CannotRead> {
        if is_bounded && page.messages.is_sorted_by(|older, newer| older.id < newer.id) {
            Ok(page)
        } else {
            Err(CannotRead::Corrupt(self.path.clone()))
        }
    }
}

/// The lock is taken with the first look into the file, and held for as long as the connection lives.
fn lock(connection: &Connection) -> rusqlite::Result<()> {
    // Who has it open is a daemon, and will have it for long.
    connection.busy_timeout(Duration::ZERO)?;
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    // The file may be anybody's: nothing in it is to run code or to write beside the tables, and a page that is not
    // well formed is an error when it is read.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.pragma_update(None, "cell_size_check", true)
}

fn set_up(connection: &Connection, durability: Durability) -> rusqlite::Result<()> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "journal_size_limit", WAL_BYTES)?;
    let synchronous = match durability {
        Durability::Normal => "NORMAL",
        Durability::Full => "FULL",
    };
    connection.pragma_update(None, "synchronous", synchronous)
}

fn insert<'a>(
    connection: &mut Connection,
    batch: impl Iterator<Item = Said<'a>>,
    ids: &mut Vec<u64>,
) -> rusqlite::Result<()> {
    // Given up when it is dropped, and so wherever an error leaves this function.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    {
        let mut next_id = transaction.prepare_cached(NEXT_ID)?;
        let mut insert = transaction.prepare_cached(INSERT)?;
        for Said { room, name, unix_ms, kind, text } in batch {
            let (room, id): (i64, u64) = next_id.query_row([room], |row| Ok((row.get(0)?, row.get(1)?)))?;
            insert.execute((room, id, clamped(unix_ms), number_of(kind), name, text))?;
            ids.push(id);
        }
    }
    transaction.commit()
}

fn last_id(connection: &Connection, room: &str) -> rusqlite::Result<u64> {
    let mut statement = connection.prepare_cached(LAST_ID)?;
    let mut rows = statement.query([room])?;
    rows.next()?.map_or(Ok(0), |row| row.get(0))
}

fn read(connection: &Connection, sql: &str, room: &str, bound: u64, size: PageSize) -> rusqlite::Result<Page> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query((room, clamped(bound)))?;
    let mut messages: Vec<Stored> = Vec::new();
    let mut bytes = 0_usize;
    let mut event = Vec::new();
    while let Some(row) = rows.next()? {
        // The row that says that there are more is not needed whole.
        if messages.len() >= size.messages {
            return Ok(Page { messages, more: true });
        }
        let message = stored(row)?;
        // What it is written as and not what was said: a letter is an event of a hundred bytes, and a control character
        // six.
        event.clear();
        message.as_message().write_json(room, &mut event);
        bytes = bytes.saturating_add(event.len());
        if bytes > size.bytes && !messages.is_empty() {
            return Ok(Page { messages, more: true });
        }
        messages.push(message);
    }
    Ok(Page { messages, more: false })
}

fn stored(row: &Row<'_>) -> rusqlite::Result<Stored> {
    let number: i64 = row.get(2)?;
    let kind = [Kind::Message, Kind::Action].into_iter().find(|kind| number_of(*kind) == number);
    let kind = kind.ok_or(rusqlite::Error::IntegralValueOutOfRange(2, number))?;
    let name: Box<str> = row.get(3)?;
    Ok(Stored { id: row.get(0)?, unix_ms: row.get(1)?, kind, name: Name::from_stored(&name), text: row.get(4)? })
}

/// How something was said, as it is in the file, and so for ever.
fn number_of(kind: Kind) -> i64 {
    match kind {
        Kind::Message => 0,
        Kind::Action => 1,
    }
}

/// Gives what was deleted, and the room behind which to go on.
fn delete(
    connection: &mut Connection,
    trimmed_to: i64,
    keep: Keep,
    now_unix_ms: u64,
) -> rusqlite::Result<(Trimmed, i64)> {
    // It begins to write with the first deletion; mostly there is none.
    let transaction = connection.transaction()?;
    let rooms: Vec<(i64, i64)> = {
        let mut statement = transaction.prepare_cached(ROOMS)?;
        let rows = statement.query_map((trimmed_to, TRIM_ROOMS), |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.collect::<rusqlite::Result<_>>()?
    };
    let mut trimmed = Trimmed { messages: 0, more: rooms.len() == TRIM_ROOMS };
    let mut through = trimmed_to;
    for (room, last_id) in rooms {
        let allowed = TRIM_MESSAGES.saturating_sub(trimmed.messages);
        let Some(range) = old_messages(&transaction, room, last_id, allowed, keep, now_unix_ms)? else {
            through = room;
            continue;
        };
        if range.end > range.oldest {
            let deleted = transaction.prepare_cached(DELETE)?.execute((room, range.end))?;
            trimmed.messages = trimmed.messages.saturating_add(u64::try_from(deleted).unwrap_or(u64::MAX));
        }
        if range.is_cut {
            trimmed.more = true;
            break;
        }
        through = room;
    }
    transaction.commit()?;
    Ok((trimmed, if trimmed.more { through } else { 0 }))
}

/// The messages of a room that are to go: those from `oldest` to before `end`.
struct OldMessages {
    oldest: i64,
    end: i64,
    /// Only as many as are allowed at once: there may be others behind.
    is_cut: bool,
}

/// `None` if there are no messages at all. Looks at no more rows than are `allowed` to be deleted.
fn old_messages(
    connection: &Connection,
    room: i64,
    last_id: i64,
    allowed: u64,
    keep: Keep,
    now_unix_ms: u64,
) -> rusqlite::Result<Option<OldMessages>> {
    let oldest: Option<i64> = connection.prepare_cached(OLDEST)?.query_row([room], |row| row.get(0))?;
    let Some(oldest) = oldest else { return Ok(None) };
    // Ids have no gaps, so that a difference of ids is a number of messages.
    let cut = oldest.saturating_add(clamped(allowed));
    let mut end = oldest;
    if let Some(messages) = keep.messages {
        end = end.max(last_id.saturating_sub(clamped(messages.get())).saturating_add(1));
    }
    if let Some(max_age) = keep.max_age {
        let max_age_ms = u64::try_from(max_age.as_millis()).unwrap_or(u64::MAX);
        let young_ms = clamped(now_unix_ms.saturating_sub(max_age_ms));
        let mut statement = connection.prepare_cached(FIRST_YOUNG)?;
        let mut rows = statement.query((room, cut, young_ms))?;
        end = end.max(rows.next()?.map_or(Ok(cut), |row| row.get(0))?);
    }
    let end = end.min(cut);
    Ok(Some(OldMessages { oldest, end, is_cut: end == cut && cut <= last_id }))
}

/// The file has 63 bits for a number; neither ids nor times come near.
fn clamped(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// What is behind an error of SQLite, as far as it makes a difference.
enum Cause {
    Full,
    ReadOnly,
    Corrupt,
    InUse,
    NoPermission,
    System(Box<str>),
}

impl Cause {
    fn of(error: &rusqlite::Error) -> Cause {
        use rusqlite::Error;
        use rusqlite::ErrorCode as Code;
        match error {
            // The value of a column is not what we write.
            Error::FromSqlConversionFailure(..)
            | Error::IntegralValueOutOfRange(..)
            | Error::InvalidColumnType(..)
            | Error::Utf8Error(..) => Cause::Corrupt,
            Error::SqliteFailure(failure, _) => match failure.code {
                Code::DiskFull => Cause::Full,
                Code::SystemIoFailure if is_write(failure.extended_code) && is_size_limited() => Cause::Full,
                Code::ReadOnly => Cause::ReadOnly,
                // An id that is there already, or past all numbers: `last_id` is wrong.
                Code::DatabaseCorrupt | Code::NotADatabase | Code::ConstraintViolation => Cause::Corrupt,
                Code::DatabaseBusy | Code::DatabaseLocked => Cause::InUse,
                Code::CannotOpen | Code::PermissionDenied => Cause::NoPermission,
                _ => Cause::System(error.to_string().into()),
            },
            _ => Cause::System(error.to_string().into()),
        }
    }
}

/// To SQLite, a file that may not grow (`ulimit -f`) is an error of the disk like any other.
fn is_write(extended_code: std::ffi::c_int) -> bool {
    matches!(extended_code, ffi::SQLITE_IOERR_WRITE | ffi::SQLITE_IOERR_TRUNCATE)
}

fn is_size_limited() -> bool {
    rlimit::getrlimit(rlimit::Resource::FSIZE).is_ok_and(|(most, _)| most != rlimit::INFINITY)
}

impl CannotOpen {
    fn from_io(path: &Path, error: &std::io::Error) -> CannotOpen {
        let path = path.into();
        match error.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory => CannotOpen::NoDirectory(path),
            ErrorKind::PermissionDenied => CannotOpen::NoPermission(path),
            ErrorKind::ReadOnlyFilesystem => CannotOpen::ReadOnly(path),
            ErrorKind::IsADirectory => CannotOpen::NotAFile(path),
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => CannotOpen::Full(path),
            _ => CannotOpen::System(path, error.to_string().into()),
        }
    }

    fn from_sqlite(path: &Path, error: &rusqlite::Error) -> CannotOpen {
        let path = path.into();
        match Cause::of(error) {
            Cause::Full => CannotOpen::Full(path),
            Cause::ReadOnly => CannotOpen::ReadOnly(path),
            Cause::Corrupt => CannotOpen::Corrupt(path),
            Cause::InUse => CannotOpen::InUse(path),
            Cause::NoPermission => CannotOpen::NoPermission(path),
            Cause::System(words) => CannotOpen::System(path, words),
        }
    }
}

impl CannotWrite {
    fn from_sqlite(path: &Path, error: &rusqlite::Error) -> CannotWrite {
        let path = path.into();
        match Cause::of(error) {
            Cause::Full => CannotWrite::Full(path),
            Cause::ReadOnly => CannotWrite::ReadOnly(path),
            Cause::Corrupt => CannotWrite::Corrupt(path),
            Cause::System(words) => CannotWrite::System(path, words),
            // Neither happens to a file that is open and ours.
            Cause::InUse | Cause::NoPermission => CannotWrite::System(path, error.to_string().into()),
        }
    }
}

impl CannotRead {
    fn from_sqlite(path: &Path, error: &rusqlite::Error) -> CannotRead {
        match Cause::of(error) {
            Cause::Corrupt => CannotRead::Corrupt(path.into()),
            _ => CannotRead::System(path.into(), error.to_string().into()),
        }
    }
}

/// One sentence, with what to do about it.
impl fmt::Display for CannotOpen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = match self {
            CannotOpen::NoDirectory(path)
            | CannotOpen::NoPermission(path)
            | CannotOpen::ReadOnly(path)
            | CannotOpen::NotAFile(path)
            | CannotOpen::InUse(path)
            | CannotOpen::Corrupt(path)
            | CannotOpen::Foreign(path)
            | CannotOpen::Newer(path, _)
            | CannotOpen::Full(path)
            | CannotOpen::System(path, _) => path,
        };
        write!(f, "cannot open the history {}: ", path.display())?;
        match self {
            CannotOpen::NoDirectory(_) => f.write_str("there is no such directory; make it first"),
            CannotOpen::NoPermission(_) => {
                f.write_str("permission denied; the file and its directory must be writable for the user of the daemon")
            }
            CannotOpen::ReadOnly(_) => f.write_str("it can only be read; make it and its file system writable"),
            CannotOpen::NotAFile(_) => f.write_str("it is not a file; name one with --history"),
            CannotOpen::InUse(_) => {
                f.write_str("another process has it open; stop that one, or name another file with --history")
            }
            CannotOpen::Corrupt(_) => {
                f.write_str("it is damaged or no database at all; restore it from a backup, or move it away")
            }
            CannotOpen::Foreign(_) => {
                f.write_str("it is the database of another program; name another file with --history")
            }
            CannotOpen::Newer(_, version) => {
                write!(f, "a later roomd has written it (version {version}); use that one, or name another file")
            }
            CannotOpen::Full(_) => {
                f.write_str("the disk is full, or the file as large as it may be (ulimit -f); make room")
            }
            CannotOpen::System(_, words) => f.write_str(words),
        }
    }
}

/// One sentence, with what to do about it.
impl fmt::Display for CannotWrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, words) = match self {
            CannotWrite::Full(path) => {
                (path, "the disk is full, or the file as large as it may be (ulimit -f); make room")
            }
            CannotWrite::ReadOnly(path) => (path, "it can only be read by now; make its file system writable again"),
            CannotWrite::Corrupt(path) => (path, "it is damaged; stop the daemon and restore it from a backup"),
            CannotWrite::System(path, words) => (path, &**words),
        };
        write!(f, "cannot write to the history {}: {words}", path.display())
    }
}

/// One sentence, with what to do about it.
impl fmt::Display for CannotRead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, words) = match self {
            CannotRead::Corrupt(path) => (path, "it is damaged; stop the daemon and restore it from a backup"),
            CannotRead::System(path, words) => (path, &**words),
        };
        write!(f, "cannot read the history {}: {words}", path.display())
    }
}

impl std::error::Error for CannotOpen {}
impl std::error::Error for CannotWrite {}
impl std::error::Error for CannotRead {}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::{BufRead, BufReader, Write};
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;
    use std::process::{Command, Stdio};
    use std::sync::atomic::{AtomicU32, Ordering};

    use proptest::prelude::*;

    use super::*;

    /// A folder of its own, removed at the end.
    struct Folder(PathBuf);

    impl Folder {
        fn new() -> Folder {
            static COUNT: AtomicU32 = AtomicU32::new(0);
            let name = format!("roomd-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
            let path = std::env::temp_dir().join(name);
            fs::create_dir(&path).unwrap();
            Folder(path)
        }

        fn file(&self) -> PathBuf {
            self.0.join("history.db")
        }

        fn wal(&self) -> PathBuf {
            self.0.join("history.db-wal")
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn open(folder: &Folder) -> Database {
        Database::open(&folder.file(), Durability::Normal).unwrap()
    }

    fn said<'a>(room: &'a str, text: &'a str) -> Said<'a> {
        Said { room, name: "Tourist 1", unix_ms: 1_000, kind: Kind::Message, text }
    }

    fn try_append(database: &mut Database, batch: &[Said<'_>]) -> Result<Vec<u64>, CannotWrite> {
        let mut ids = Vec::new();
        let result = database.append(batch.iter().copied(), &mut ids);
        assert!(result.is_ok() || ids.is_empty(), "no id without its message");
        result.map(|()| ids)
    }

    fn append(database: &mut Database, batch: &[Said<'_>]) -> Vec<u64> {
        try_append(database, batch).unwrap()
    }

    fn texts(page: &Page) -> Vec<&str> {
        page.messages.iter().map(|message| &*message.text).collect()
    }

    fn size(messages: usize, bytes: usize) -> PageSize {
        PageSize { messages, bytes }
    }

    fn trim_all(database: &mut Database, keep: Keep, now: u64) -> u64 {
        let mut messages = 0;
        for _ in 0..1_000 {
            let trimmed = database.trim(keep, now).unwrap();
            messages += trimmed.messages;
            if !trimmed.more {
                return messages;
            }
        }
        panic!("a trim that does not end");
    }

    fn keep_messages(messages: u64) -> Keep {
        Keep { messages: NonZeroU64::new(messages), max_age: None }
    }

    #[test]
    fn what_was_said_is_read_as_it_was_said_by_the_next_daemon() {
        let folder = Folder::new();
        let batch = [
            Said { room: "lobby", name: "汉字 😀", unix_ms: 5, kind: Kind::Message, text: "zero \0 and ' \" ; --" },
            Said { room: "lobby", name: "a", unix_ms: 4, kind: Kind::Action, text: "" },
            Said { room: "Lobby", name: "a", unix_ms: 6, kind: Kind::Action, text: "another room" },
        ];
        assert_eq!(append(&mut open(&folder), &batch), [1, 2, 1]);
        let page = open(&folder).read_before("lobby", None, size(10, 1_000)).unwrap();
        let expected = [(1, &batch[0]), (2, &batch[1])].map(|(id, said)| Stored {
            id,
            unix_ms: said.unix_ms,
            kind: said.kind,
            name: Name::from_stored(said.name),
            text: said.text.into(),
        });
        assert_eq!(page, Page { messages: expected.into(), more: false });
    }

    fn sent_bytes(room: &str, message: &Stored) -> usize {
        let mut event = Vec::new();
        message.as_message().write_json(room, &mut event);
        event.len()
    }

    /// Each control character is six bytes of JSON.
    #[test]
    fn a_page_is_as_long_as_it_is_when_it_is_sent_and_not_as_what_was_said() {
        let folder = Folder::new();
        let mut database = open(&folder);
        let text = "\u{1}".repeat(1_000);
        append(&mut database, &[text.as_str(); 9].map(|text| said("r", text)));
        let page = database.read_after("r", 0, size(9, 13_000)).unwrap();
        assert_eq!((page.messages.len(), page.more), (2, true));
    }

    #[test]
    fn a_page_ends_at_its_limits_and_says_whether_there_is_more() {
        let folder = Folder::new();
        let mut database = open(&folder);
        append(&mut database, &["aaaa", "bbbb", "cccc", "dddd"].map(|text| said("r", text)));
        let event = sent_bytes("r", &database.read_before("r", None, size(1, 0)).unwrap().messages[0]);
        for (limit, max_bytes, expected, more) in [
            (9, 9 * event, &["aaaa", "bbbb", "cccc", "dddd"][..], false),
            (4, 4 * event, &["aaaa", "bbbb", "cccc", "dddd"][..], false),
            (2, 9 * event, &["cccc", "dddd"], true),
            (9, 3 * event - 1, &["cccc", "dddd"], true),
            (9, 0, &["dddd"], true),
            (0, 9 * event, &[], true),
        ] {
            let page = database.read_before("r", None, size(limit, max_bytes)).unwrap();
            assert_eq!((texts(&page), page.more), (expected.to_vec(), more), "{limit} {max_bytes}");
        }
        let page = database.read_before("r", Some(3), size(9, 9 * event)).unwrap();
        assert_eq!(texts(&page), ["aaaa", "bbbb"]);
        let page = database.read_after("r", 1, size(2, 9 * event)).unwrap();
        assert_eq!((texts(&page), page.more), (vec!["bbbb", "cccc"], true));
        for page in [
            database.read_before("r", Some(0), size(9, 99)),
            database.read_after("r", u64::MAX, size(9, 99)),
            database.read_before("nowhere", None, size(9, 99)),
        ] {
            assert_eq!(page, Ok(Page { messages: Vec::new(), more: false }));
        }
    }

    #[test]
    fn a_full_disk_takes_all_of_a_batch_or_nothing_and_goes_on_when_there_is_room() {
        let folder = Folder::new();
        let mut database = open(&folder);
        append(&mut database, &[said("r", "before")]);
        let set_pages = |database: &Database, pages: u32| {
            database.connection.pragma_update(None, "max_page_count", pages).unwrap();
        };
        set_pages(&database, 1);
        let long = "x".repeat(100_000);
        let batch = [said("r", "small"), said("r", &long), said("new", "small")];
        for _ in 0..3 {
            assert_eq!(try_append(&mut database, &batch), Err(CannotWrite::Full(folder.file().into())));
        }
        assert_eq!(fs::metadata(folder.wal()).unwrap().len(), 0, "the log gives back what it holds of the disk");
        assert_eq!(texts(&database.read_before("r", None, size(9, 99)).unwrap()), ["before"], "it can still be read");
        assert_eq!((database.last_id("r"), database.last_id("new")), (Ok(1), Ok(0)));
        set_pages(&database, 1_000_000);
        assert_eq!(append(&mut database, &batch), [2, 3, 1]);
    }

    #[test]
    fn a_file_that_can_only_be_read_for_a_while_is_written_again_afterwards() {
        let folder = Folder::new();
        let mut database = open(&folder);
        append(&mut database, &[said("r", "a"), said("r", "b")]);
        // Stands for a file system that was remounted: for root no file is read-only.
        database.connection.pragma_update(None, "query_only", true).unwrap();
        let expected = CannotWrite::ReadOnly(folder.file().into());
        assert_eq!(try_append(&mut database, &[said("r", "c")]), Err(expected.clone()));
        assert_eq!(database.trim(keep_messages(1), 0), Err(expected));
        database.connection.pragma_update(None, "query_only", false).unwrap();
        assert_eq!(append(&mut database, &[said("r", "c")]), [3]);
        assert_eq!(trim_all(&mut database, keep_messages(1), 0), 2);
    }

    #[test]
    fn ids_are_not_given_twice_though_all_messages_are_gone() {
        let folder = Folder::new();
        let mut database = open(&folder);
        append(&mut database, &[said("r", "a"), said("r", "b")]);
        let keep = Keep { messages: None, max_age: Some(Duration::from_millis(10)) };
        assert_eq!(trim_all(&mut database, keep, 1_010), 0, "as old as may be");
        assert_eq!(trim_all(&mut database, keep, 1_011), 2);
        drop(database);
        let mut database = open(&folder);
        assert_eq!(database.last_id("r"), Ok(2));
        assert_eq!(append(&mut database, &[said("r", "c")]), [3]);
    }

    #[test]
    fn a_trim_deletes_and_looks_at_a_bounded_part_and_says_that_there_is_more() {
        let folder = Folder::new();
        let mut database = open(&folder);
        let names: Vec<String> = (0..TRIM_ROOMS + 10).map(|room| room.to_string()).collect();
        append(&mut database, &names.iter().map(|name| said(name, "x")).collect::<Vec<_>>());
        assert_eq!(database.trim(keep_messages(1), 0), Ok(Trimmed { messages: 0, more: true }), "rooms");
        assert_eq!(database.trim(keep_messages(1), 0), Ok(Trimmed { messages: 0, more: false }));
        append(&mut database, &vec![said("0", "x"); 1_500]);
        append(&mut database, &vec![said("1", "x"); 700]);
        let age = Keep { messages: None, max_age: Some(Duration::ZERO) };
        for keep in [keep_messages(1), age] {
            let mut counts = Vec::new();
            while counts.last().is_none_or(|last: &Trimmed| last.more) && counts.len() < 9 {
                counts.push(database.trim(keep, 2_000).unwrap());
            }
            let total = counts.iter().map(|trimmed| trimmed.messages).sum::<u64>();
            assert!(counts.iter().all(|trimmed| trimmed.messages <= TRIM_MESSAGES), "{counts:?}");
            assert_eq!(total, if keep == age { names.len() as u64 } else { 2_200 });
        }
        assert_eq!(database.trim(Keep { messages: None, max_age: None }, 0), Ok(Trimmed { messages: 0, more: false }));
    }

    #[test]
    fn a_second_daemon_is_refused_while_the_first_is_there() {
        let folder = Folder::new();
        let first = open(&folder);
        let refused = Database::open(&folder.file(), Durability::Full).unwrap_err();
        assert_eq!(refused, CannotOpen::InUse(folder.file().into()));
        drop(first);
        open(&folder);
    }

    #[test]
    fn a_daemon_that_is_killed_leaves_its_messages_and_no_lock() {
        let folder = Folder::new();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "--nocapture", "history::database::tests::hold_the_file_until_killed"])
            .env("ROOMD_TEST_FILE", folder.file())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        assert!(lines.any(|line| line.ends_with("holding")), "the child has begun");
        let refused = Database::open(&folder.file(), Durability::Normal).unwrap_err();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(refused, CannotOpen::InUse(folder.file().into()), "a lock between processes");
        assert!(fs::metadata(folder.wal()).unwrap().len() > 0, "it did not end in order");
        assert_eq!(texts(&open(&folder).read_before("r", None, size(9, 99)).unwrap()), ["kept"]);
    }

    #[test]
    #[ignore = "the other process of a_daemon_that_is_killed_leaves_its_messages_and_no_lock"]
    fn hold_the_file_until_killed() {
        let Some(path) = std::env::var_os("ROOMD_TEST_FILE") else { return };
        let mut database = Database::open(Path::new(&path), Durability::Normal).unwrap();
        append(&mut database, &[said("r", "kept")]);
        std::io::stdout().write_all(b"holding\n").unwrap();
        // Ends with the parent, if nobody kills it.
        let _ = std::io::stdin().read_line(&mut String::new());
    }

    #[test]
    fn what_cannot_be_opened_is_told_in_one_sentence_with_its_path_and_left_as_it_is() {
        let folder = Folder::new();
        let sql = |path: &Path, sql: &str| Connection::open(path).unwrap().execute_batch(sql).unwrap();
        let at = |name: &str| folder.0.join(name);
        fs::write(at("text"), "To whom it may concern. ".repeat(400)).unwrap();
        sql(&at("foreign"), "CREATE TABLE bookmarks (url TEXT)");
        drop(Database::open(&at("newer"), Durability::Normal).unwrap());
        sql(&at("newer"), "PRAGMA user_version = 2");
        drop(Database::open(&at("incomplete"), Durability::Normal).unwrap());
        sql(&at("incomplete"), "DROP TABLE message");
        drop(Database::open(&at("cut"), Durability::Normal).unwrap());
        fs::write(at("cut"), &fs::read(at("cut")).unwrap()[..4_100]).unwrap();
        std::os::unix::fs::symlink("nowhere/file", at("link")).unwrap();
        std::os::unix::fs::symlink("loop", at("loop")).unwrap();
        for (name, expected) in [
            ("no/such/file", CannotOpen::NoDirectory as fn(Box<Path>) -> CannotOpen),
            ("text/file", CannotOpen::NoDirectory),
            ("link", CannotOpen::NoDirectory),
            ("loop", |path| CannotOpen::System(path, "Too many levels of symbolic links (os error 40)".into())),
            (".", CannotOpen::NotAFile),
            ("text", CannotOpen::Corrupt),
            ("incomplete", CannotOpen::Corrupt),
            ("cut", CannotOpen::Corrupt),
            ("foreign", CannotOpen::Foreign),
            ("newer", |path| CannotOpen::Newer(path, 2)),
        ] {
            let before = fs::read(at(name)).ok();
            let error = Database::open(&at(name), Durability::Normal).unwrap_err();
            let path: Box<Path> = std::path::absolute(at(name)).unwrap().into();
            assert_eq!(error, expected(path.clone()));
            let sentence = error.to_string();
            assert!(sentence.contains(&path.display().to_string()) && !sentence.contains('\n'), "{sentence}");
            if name != "incomplete" && name != "cut" {
                assert_eq!(fs::read(at(name)).ok(), before, "{name} was changed");
            }
        }
    }

    #[test]
    fn a_link_to_a_file_that_is_not_there_yet_makes_it_there_for_its_owner_alone() {
        let folder = Folder::new();
        let at = |name: &str| folder.0.join(name);
        fs::create_dir(at("disk")).unwrap();
        std::os::unix::fs::symlink("disk/second", at("first")).unwrap();
        std::os::unix::fs::symlink("third", at("disk/second")).unwrap();
        let mut database = Database::open(&at("first"), Durability::Normal).unwrap();
        append(&mut database, &[said("lobby", "hello")]);
        let metadata = fs::symlink_metadata(at("disk/third")).unwrap();
        assert!(metadata.is_file());
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
        assert!(at("disk/third-wal").exists() && !at("first-wal").exists(), "beside the file, not beside the link");
        assert!(fs::symlink_metadata(at("first")).unwrap().is_symlink());
        drop(database);
        let mut again = Database::open(&at("first"), Durability::Normal).unwrap();
        assert_eq!(again.last_id("lobby"), Ok(1));
    }

    #[test]
    fn a_file_that_can_only_be_read_is_refused() {
        let folder = Folder::new();
        drop(open(&folder));
        // Root may write to any file, so SQLite is told.
        let connection = Connection::open_with_flags(folder.file(), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        let refused = Database::new(connection, &folder.file(), Durability::Normal).unwrap_err();
        assert_eq!(refused, CannotOpen::ReadOnly(folder.file().into()));
    }

    #[test]
    fn an_empty_file_becomes_a_history() {
        let folder = Folder::new();
        fs::write(folder.file(), "").unwrap();
        assert_eq!(append(&mut open(&folder), &[said("r", "a")]), [1]);
    }

    #[test]
    fn only_the_owner_may_read_the_file_and_its_log() {
        let folder = Folder::new();
        let mut database = open(&folder);
        append(&mut database, &[said("r", "secret")]);
        let mut files = Vec::new();
        for entry in fs::read_dir(&folder.0).unwrap().map(Result::unwrap) {
            assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{entry:?}");
            files.push(entry.file_name());
        }
        files.sort();
        assert_eq!(files, ["history.db", "history.db-wal"]);
    }

    #[test]
    fn the_write_ahead_log_stays_small() {
        let folder = Folder::new();
        let mut database = open(&folder);
        let text = "x".repeat(1_000);
        for _ in 0..200 {
            append(&mut database, &vec![said("r", &text); 100]);
        }
        assert!(fs::metadata(folder.file()).unwrap().len() > 16 << 20);
        let wal = fs::metadata(folder.wal()).unwrap().len();
        assert!(wal < 2 * WAL_BYTES, "{wal} bytes");
        append(&mut database, &vec![said("r", &text); 20_000]);
        append(&mut database, &[said("r", "folds it and begins anew")]);
        let wal = fs::metadata(folder.wal()).unwrap().len();
        assert!(wal <= WAL_BYTES, "{wal} bytes after a large batch");
    }

    #[test]
    fn a_damaged_page_is_an_error_and_never_another_past() {
        let folder = Folder::new();
        let mut database = open(&folder);
        let long: Vec<String> = (0..600).map(|nth| format!("{nth} {}", "what was said ".repeat(10))).collect();
        append(&mut database, &long.iter().flat_map(|text| [said("a", text), said("b", text)]).collect::<Vec<_>>());
        let read_all = |database: &mut Database| -> Result<_, CannotRead> {
            let a = database.read_before("a", None, size(usize::MAX, usize::MAX))?;
            Ok((a, database.read_after("b", 0, size(usize::MAX, usize::MAX))?, database.last_id("a")?))
        };
        let truth = read_all(&mut database).unwrap();
        drop(database);
        let whole = fs::read(folder.file()).unwrap();
        let (page, pages) = (4_096, whole.len() / 4_096);
        assert!(pages > 20);
        // A page that is well formed and stands in another's place can hide messages, not make any up.
        let is_part = |part: &Page, whole: &Page| part.messages.iter().all(|message| whole.messages.contains(message));
        let mut damages: Vec<(String, Vec<u8>)> = Vec::new();
        for nth in 0..pages {
            let range = nth * page..(nth + 1) * page;
            for byte in [0x00, 0x5a, 0xff] {
                let mut damaged = whole.clone();
                damaged[range.clone()].fill(byte);
                damages.push((format!("page {nth} of {byte:#x}"), damaged));
            }
            let mut damaged = whole.clone();
            damaged.copy_within((nth + 1) % pages * page..((nth + 1) % pages + 1) * page, range.start);
            damages.push((format!("page {nth} is its neighbour"), damaged));
            damages.push((format!("cut in page {nth}"), whole[..range.start + 100].to_vec()));
        }
        let mut noticed = 0;
        for (damage, bytes) in &damages {
            fs::write(folder.file(), bytes).unwrap();
            match Database::open(&folder.file(), Durability::Normal) {
                Ok(mut database) => match read_all(&mut database) {
                    Ok((a, b, last_id)) if damage.ends_with("neighbour") => {
                        assert!(is_part(&a, &truth.0) && is_part(&b, &truth.1) && last_id == truth.2, "{damage}");
                    }
                    Ok(read) => assert!(read == truth, "{damage}: another past"),
                    Err(error) => {
                        assert_eq!(error, CannotRead::Corrupt(folder.file().into()), "{damage}");
                        noticed += 1;
                    }
                },
                Err(_) => noticed += 1,
            }
        }
        assert!(noticed * 10 > damages.len() * 9, "{noticed} of {}", damages.len());
    }

    #[test]
    fn a_room_whose_last_id_is_wrong_is_damage_and_no_id_is_given_twice() {
        let folder = Folder::new();
        let mut database = open(&folder);
        append(&mut database, &[said("r", "a"), said("r", "b")]);
        database.connection.execute("UPDATE room SET last_id = 1", []).unwrap();
        assert_eq!(try_append(&mut database, &[said("r", "c")]), Err(CannotWrite::Corrupt(folder.file().into())));
    }

    #[test]
    fn a_database_can_be_given_to_its_thread() {
        fn is_send<T: Send>() {}
        is_send::<Database>();
    }

    #[derive(Debug, Clone)]
    enum Step {
        Append(Vec<(usize, Kind, String)>),
        /// A batch that fails in its middle.
        AppendInVain(Vec<(usize, Kind, String)>),
        Trim {
            messages: Option<u64>,
            max_age_ms: Option<u64>,
        },
        Reopen,
        Wait(u64),
        Read {
            room: usize,
            id: u64,
            limit: usize,
            max_bytes: usize,
        },
    }

    const ROOMS: [&str; 3] = ["lobby", "Lobby", "汉"];

    fn step() -> impl Strategy<Value = Step> {
        let kind = prop_oneof![Just(Kind::Message), Just(Kind::Action)];
        let batch = proptest::collection::vec((0..ROOMS.len(), kind, any::<String>()), 0..6);
        prop_oneof![
            4 => batch.clone().prop_map(Step::Append),
            1 => batch.prop_map(Step::AppendInVain),
            1 => (proptest::option::of(1..8_u64), proptest::option::of(0..50_u64))
                .prop_map(|(messages, max_age_ms)| Step::Trim { messages, max_age_ms }),
            1 => Just(Step::Reopen),
            1 => (0..40_u64).prop_map(Step::Wait),
            4 => (0..ROOMS.len(), 0..30_u64, 0..12_usize, 0..2_000_usize)
                .prop_map(|(room, id, limit, max_bytes)| Step::Read { room, id, limit, max_bytes }),
        ]
    }

    /// The same in the plainest way.
    #[derive(Default)]
    struct Model {
        rooms: BTreeMap<usize, (u64, Vec<Stored>)>,
    }

    impl Model {
        fn append(&mut self, now: u64, room: usize, kind: Kind, text: &str) -> u64 {
            let (last_id, messages) = self.rooms.entry(room).or_default();
            *last_id += 1;
            messages.push(Stored { id: *last_id, unix_ms: now, kind, name: Name::from_stored("n"), text: text.into() });
            *last_id
        }

        fn trim(&mut self, messages: Option<u64>, max_age_ms: Option<u64>, now: u64) -> u64 {
            let mut trimmed = 0;
            for (last_id, kept) in self.rooms.values_mut() {
                let before = kept.len();
                kept.retain(|message| {
                    messages.is_none_or(|messages| message.id + messages > *last_id)
                        && max_age_ms.is_none_or(|age| message.unix_ms + age >= now)
                });
                trimmed += (before - kept.len()) as u64;
            }
            trimmed
        }

        fn last_id(&self, room: usize) -> u64 {
            self.rooms.get(&room).map_or(0, |(last_id, _)| *last_id)
        }

        fn messages(&self, room: usize) -> impl DoubleEndedIterator<Item = &Stored> {
            self.rooms.get(&room).into_iter().flat_map(|(_, messages)| messages)
        }

        fn newest<'a>(room: &str, newest_first: impl Iterator<Item = &'a Stored>, size: PageSize) -> Page {
            let mut page = Model::page(room, newest_first, size);
            page.messages.reverse();
            page
        }

        fn page<'a>(room: &str, matching: impl Iterator<Item = &'a Stored>, size: PageSize) -> Page {
            let matching: Vec<&Stored> = matching.collect();
            let bytes = |count: usize| matching[..count].iter().map(|message| sent_bytes(room, message)).sum::<usize>();
            let fits = |&count: &usize| count <= size.messages && (count <= 1 || bytes(count) <= size.bytes);
            let count = (0..=matching.len()).rev().find(fits).unwrap();
            Page { messages: matching[..count].iter().copied().cloned().collect(), more: count < matching.len() }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(96) })]

        #[test]
        fn whatever_is_done_the_file_holds_what_a_list_in_memory_would(
            steps in proptest::collection::vec(step(), 1..40),
        ) {
            let folder = Folder::new();
            let mut database = open(&folder);
            let mut model = Model::default();
            let mut now = 1_000;
            for step in steps {
                let batch_of = |batch: &[(usize, Kind, String)], ids: &mut Vec<u64>, database: &mut Database| {
                    let said = batch.iter().map(|(room, kind, text)| {
                        Said { room: ROOMS[*room], name: "n", unix_ms: now, kind: *kind, text }
                    });
                    database.append(said, ids)
                };
                match step {
                    Step::Append(batch) => {
                        let mut ids = vec![77];
                        prop_assert_eq!(batch_of(&batch, &mut ids, &mut database), Ok(()));
                        let expected = batch.iter().map(|(room, kind, text)| model.append(now, *room, *kind, text));
                        prop_assert_eq!(&ids[1..], expected.collect::<Vec<_>>());
                    }
                    Step::AppendInVain(mut batch) => {
                        batch.push((0, Kind::Message, "x".repeat(2_000_000)));
                        database.connection.pragma_update(None, "max_page_count", 200).unwrap();
                        let mut ids = vec![77];
                        let result = batch_of(&batch, &mut ids, &mut database);
                        prop_assert_eq!(result, Err(CannotWrite::Full(folder.file().into())));
                        prop_assert_eq!(ids, [77]);
                        database.connection.pragma_update(None, "max_page_count", 1_000_000).unwrap();
                    }
                    Step::Trim { messages, max_age_ms } => {
                        let max_age = max_age_ms.map(Duration::from_millis);
                        let keep = Keep { messages: messages.and_then(NonZeroU64::new), max_age };
                        let trimmed = trim_all(&mut database, keep, now);
                        prop_assert_eq!(trimmed, model.trim(messages, max_age_ms, now));
                    }
                    Step::Reopen => {
                        drop(database);
                        database = open(&folder);
                    }
                    Step::Wait(ms) => now += ms,
                    Step::Read { room, id, limit, max_bytes } => {
                        let older = model.messages(room).rev().filter(|message| message.id < id);
                        let expected = Model::newest(ROOMS[room], older, size(limit, max_bytes));
                        prop_assert_eq!(database.read_before(ROOMS[room], Some(id), size(limit, max_bytes)), Ok(expected));
                        let newer = model.messages(room).filter(|message| message.id > id);
                        let expected = Model::page(ROOMS[room], newer, size(limit, max_bytes));
                        prop_assert_eq!(database.read_after(ROOMS[room], id, size(limit, max_bytes)), Ok(expected));
                    }
                }
            }
            for (room, name) in ROOMS.iter().enumerate() {
                prop_assert_eq!(database.last_id(name), Ok(model.last_id(room)));
                let expected = Model::newest(ROOMS[room], model.messages(room).rev(), size(1_000, usize::MAX));
                prop_assert_eq!(database.read_before(name, None, size(1_000, usize::MAX)), Ok(expected));
            }
        }
    }
}
