//! The file against a list in memory, damaged, moved away, killed, and of earlier versions.

use std::collections::BTreeMap;
use std::fs::File;
use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::num::NonZeroU64;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use proptest::prelude::*;

use super::super::errors::OpenError;
use super::super::{log_end, schema};
use super::*;
use crate::chat::{Kind, Name, RoomName};
use crate::history::RoomKey;
use crate::history::Stored;
use crate::history::batch::NewMessage;
use crate::history::retention::Retention;
use crate::history::sqlite::check;
use crate::limits::fixed::{TRIM_MESSAGES, TRIM_ROOMS, WAL_BYTES};
use rusqlite::OpenFlags;

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

    fn mark(&self) -> PathBuf {
        self.0.join("history.db-end")
    }

    /// These files are copies of others: the mark is made to speak of them, as it did of those.
    fn speaks_for_itself(&self) {
        let mark = fs::read_to_string(self.mark()).unwrap();
        let [file, log] = [self.file(), self.wal()].map(|path| fs::metadata(path).unwrap());
        let mut words: Vec<String> = mark.split_ascii_whitespace().map(str::to_owned).collect();
        words[3] = file.ino().to_string();
        words[4] = file.ctime().to_string();
        words[5] = file.ctime_nsec().to_string();
        words[6] = log.ino().to_string();
        fs::write(self.mark(), format!("{:255}\n", words.join(" "))).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Database {
    fn last_id(&mut self, room: &str) -> Result<u64, ReadError> {
        // As it is in the file, though the room goes on elsewhere.
        let room = RoomRow::find(&self.connection, room).map_err(|error| self.not_read(&error))?;
        Ok(room.map_or(0, |room| room.last_id))
    }
}

/// At the beginning of time, so that the ids of a new file begin with 1.
fn open(folder: &Folder) -> Database {
    Database::open_at(&folder.file(), Durability::Normal, Some(0)).unwrap()
}

/// A message of a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Said<'a> {
    room: &'a str,
    name: &'a str,
    unix_ms: u64,
    kind: Kind,
    text: &'a str,
}

fn said<'a>(room: &'a str, text: &'a str) -> Said<'a> {
    Said { room, name: "Tourist 1", unix_ms: 1_000, kind: Kind::Message, text }
}

fn batch(messages: &[Said<'_>]) -> Batch {
    let mut batch = Batch::default();
    for Said { room, name, unix_ms, kind, text } in messages {
        let known = batch.rooms().iter().position(|(_, name)| name.as_str() == *room);
        let place = known.unwrap_or_else(|| batch.add_room(RoomKey(0), RoomName::parse(room).unwrap()));
        batch.push(place, NewMessage { name: &Name::from_stored(name), unix_ms: *unix_ms, kind: *kind, text });
    }
    batch
}

fn try_append(database: &mut Database, messages: &[Said<'_>]) -> Result<Vec<u64>, WriteError> {
    let mut ids = Vec::new();
    let result = database.append(&batch(messages), &mut ids);
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

fn trim_all(database: &mut Database, keep: Retention, now: u64) -> u64 {
    let Some(cut) = keep.cut(Some(now)) else { return 0 };
    let mut messages = 0;
    for _ in 0..1_000 {
        let trimmed = database.trim(cut).unwrap();
        messages += trimmed.messages;
        if !trimmed.more {
            return messages;
        }
    }
    panic!("a trim that does not end");
}

#[test]
fn damaged_counters_keep_no_daemon_from_its_start() {
    let folder = Folder::new();
    append(&mut open(&folder), &[Said { name: "Tourist 7", ..said("r", "a") }]);
    for wrong in ["-1", "9223372036854775807", "4611686018427387905"] {
        let mut database = open(&folder);
        database.reserve_tourists(1_000).unwrap();
        database.keep_look(Look { unix_ms: 5, watched: Duration::from_secs(1) }).unwrap();
        assert_eq!(database.kept_look().unwrap().map(|look| look.unix_ms), Some(5));
        database.connection.execute(&format!("UPDATE counter SET value = {wrong}"), []).unwrap();
        assert_eq!((database.tourists(), database.kept_look()), (Ok(7), Ok(None)), "{wrong}");
    }
}

fn keep_messages(messages: u64) -> Retention {
    Retention { messages: NonZeroU64::new(messages), ..Retention::ALL }
}

fn beyond(messages: u64) -> Cut {
    Cut { beyond_messages: NonZeroU64::new(messages), ..Cut::NOTHING }
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
    assert_eq!(page, Page { messages: expected.into(), more: false, is_cut: false });
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
        assert_eq!(page, Ok(Page { messages: Vec::new(), more: false, is_cut: false }));
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
        assert_eq!(try_append(&mut database, &batch), Err(WriteError::Full(folder.file().into())));
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
    let expected = WriteError::ReadOnly(folder.file().into());
    assert_eq!(try_append(&mut database, &[said("r", "c")]), Err(expected.clone()));
    assert_eq!(database.trim(beyond(1)), Err(expected));
    database.connection.pragma_update(None, "query_only", false).unwrap();
    assert_eq!(append(&mut database, &[said("r", "c")]), [3]);
    assert_eq!(trim_all(&mut database, keep_messages(1), 0), 2);
}

#[test]
fn ids_are_not_given_twice_though_all_messages_are_gone() {
    let folder = Folder::new();
    let mut database = open(&folder);
    append(&mut database, &[said("r", "a"), said("r", "b")]);
    let keep = Retention { max_age: Some(Duration::from_millis(10)), ..Retention::ALL };
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
    assert_eq!(database.trim(beyond(1)), Ok(Trimmed { more: true, ..Trimmed::default() }), "rooms");
    assert_eq!(database.trim(beyond(1)), Ok(Trimmed::default()));
    append(&mut database, &vec![said("0", "x"); 1_500]);
    append(&mut database, &vec![said("1", "x"); 700]);
    let age = Retention { max_age: Some(Duration::ZERO), ..Retention::ALL };
    for keep in [keep_messages(1), age] {
        let mut counts = Vec::new();
        while counts.last().is_none_or(|last: &Trimmed| last.more) && counts.len() < 9 {
            counts.push(database.trim(keep.cut(Some(2_000)).unwrap()).unwrap());
        }
        let total = counts.iter().map(|trimmed| trimmed.messages).sum::<u64>();
        assert!(counts.iter().all(|trimmed| trimmed.messages <= TRIM_MESSAGES), "{counts:?}");
        assert_eq!(total, if keep == age { names.len() as u64 } else { 2_200 });
    }
}

fn keep_bytes(bytes: u64) -> Retention {
    Retention { bytes: NonZeroU64::new(bytes), ..Retention::ALL }
}

fn bytes_in_use(database: &Database) -> u64 {
    let pragma = |name| database.connection.pragma_query_value(None, name, |row| row.get::<_, u64>(0)).unwrap();
    (pragma("page_count") - pragma("freelist_count")) * pragma("page_size")
}

fn count(database: &mut Database, room: &str) -> usize {
    database.read_before(room, None, size(usize::MAX, usize::MAX)).unwrap().messages.len()
}

#[test]
fn what_is_beyond_the_bytes_of_the_file_goes_from_the_room_that_takes_most_and_the_oldest_of_it_first() {
    let folder = Folder::new();
    let mut database = open(&folder);
    let long = "x".repeat(20_000);
    append(&mut database, &vec![said("quiet", "what was said first"); 50]);
    append(&mut database, &vec![said("loud", &long); 200]);
    append(&mut database, &vec![said("busy", "a short line"); 2_000]);
    assert_eq!(trim_all(&mut database, keep_bytes(100_000_000), 0), 0, "there is no surplus");
    let before = bytes_in_use(&database);
    assert!(before > 4_000_000);
    assert!(trim_all(&mut database, keep_bytes(1_500_000), 0) > 100);
    let left = bytes_in_use(&database);
    assert!(
        (1_300_000..=1_500_000).contains(&left),
        "{left} bytes: so many, and hardly fewer: a page or two of one message"
    );
    assert_eq!((count(&mut database, "quiet"), count(&mut database, "busy")), (50, 2_000));
    let loud = database.read_before("loud", None, size(usize::MAX, usize::MAX)).unwrap().messages;
    assert_eq!(loud.last().map(|message| message.id), Some(200), "the oldest have gone");
    assert!(loud.iter().all(|message| message.kind == Kind::Message) && !loud.is_empty());
    // Now all rooms are to be small.
    trim_all(&mut database, keep_bytes(1), 0);
    for room in ["quiet", "loud", "busy"] {
        assert_eq!(count(&mut database, room), 1, "the newest message of {room} stays");
    }
    assert_eq!(trim_all(&mut database, keep_bytes(1), 0), 0, "and there is an end");
    drop(database);
    assert_eq!(append(&mut open(&folder), &[said("loud", "c")]), [201]);
}

#[test]
fn one_piece_of_what_is_beyond_the_bytes_is_some_megabytes() {
    let folder = Folder::new();
    let mut database = open(&folder);
    let long = "x".repeat(64 * 1024);
    append(&mut database, &vec![said("loud", &long); 400]);
    let cut = keep_bytes(1).cut(None).unwrap();
    let mut counts = Vec::new();
    while counts.last().is_none_or(|last: &Trimmed| last.more) {
        counts.push(database.trim(cut).unwrap());
    }
    assert!(counts.iter().all(|trimmed| trimmed.messages <= 64), "{counts:?}");
    assert_eq!(counts.iter().map(|trimmed| trimmed.messages).sum::<u64>(), 399);
    assert_eq!(counts.iter().map(|trimmed| trimmed.rooms).sum::<u64>(), 1);
}

#[test]
fn a_room_in_which_everything_was_too_old_is_forgotten_with_those_that_are_too_many() {
    let folder = Folder::new();
    let mut database = open(&folder);
    append(&mut database, &vec![said("old", "x"); 1_500]);
    append(&mut database, &[Said { unix_ms: 9_000, ..said("young", "x") }]);
    let keep = Retention { max_age: Some(Duration::from_millis(100)), ..Retention::ALL };
    assert_eq!(trim_all(&mut database, keep, 5_000), 1_500);
    assert_eq!(rows(&database), 2, "without a limit all that is new begins where it would have");
    let keep = Retention { rooms: NonZeroU64::new(1), ..Retention::ALL };
    assert_eq!((trim_all(&mut database, keep, 5_000), rows(&database)), (0, 1));
    assert_eq!(append(&mut database, &[said("old", "x"), said("young", "x")]), [1_501, 2]);
}

fn rows(database: &Database) -> u64 {
    database.connection.query_row("SELECT count(*) FROM room", [], |row| row.get(0)).unwrap()
}

#[test]
fn of_too_many_rooms_those_silent_longest_go_and_no_id_is_given_twice() {
    let folder = Folder::new();
    let mut database = open(&folder);
    let names: Vec<String> = (0..300).map(|nth| format!("room {nth}")).collect();
    for (nth, name) in names.iter().enumerate() {
        let at = |text| Said { unix_ms: 1_000 + nth as u64, ..said(name, text) };
        append(&mut database, &[at("a"), at("b")]);
    }
    // The first speaks again.
    append(&mut database, &[Said { unix_ms: 9_000, ..said(&names[0], "c") }]);
    let keep = Retention { rooms: NonZeroU64::new(100), ..Retention::ALL };
    assert_eq!(trim_all(&mut database, keep, 0), 400);
    let kept: Vec<usize> = (0..300).filter(|nth| count(&mut database, &names[*nth]) > 0).collect();
    assert_eq!(kept, std::iter::once(0).chain(201..300).collect::<Vec<_>>());
    assert_eq!(trim_all(&mut database, keep, 0), 0);
    assert_eq!(rows(&database), 100, "nothing is left of the others");
    // They and others begin above all that was ever given in those that are gone; the others go on.
    let next = |database: &mut Database, name: &str| append(database, &[said(name, "again")])[0];
    assert_eq!((next(&mut database, &names[5]), next(&mut database, "new")), (3, 3));
    drop(database);
    let mut database = open(&folder);
    assert_eq!((next(&mut database, &names[0]), next(&mut database, &names[6])), (4, 3));
    assert_eq!(database.ids(&names[6]), Ok(RoomIds { first: 2, base: 2, last: 3 }));
}

#[test]
fn a_damaged_room_does_not_hold_up_the_others_when_there_is_too_much() {
    let folder = Folder::new();
    let mut database = open(&folder);
    append(&mut database, &vec![said("a", "x"); 9]);
    append(&mut database, &vec![said("b", "x"); 9]);
    database.connection.execute("UPDATE room SET last_id = 5 WHERE name = 'a'", []).unwrap();
    assert_eq!(trim_all(&mut database, keep_bytes(1), 0), 8);
}

#[test]
fn a_second_daemon_is_refused_while_the_first_is_there() {
    let folder = Folder::new();
    let first = open(&folder);
    let refused = Database::open_at(&folder.file(), Durability::Full, Some(0)).unwrap_err();
    assert_eq!(refused, OpenError::InUse(folder.file().into()));
    drop(first);
    open(&folder);
}

#[test]
fn a_daemon_that_is_killed_leaves_its_messages_and_no_lock() {
    let folder = Folder::new();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", "history::sqlite::database::tests::hold_the_file_until_killed"])
        .env("ROOMD_TEST_FILE", folder.file())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.ends_with("holding")), "the child has begun");
    let refused = Database::open_at(&folder.file(), Durability::Normal, Some(0)).unwrap_err();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(refused, OpenError::InUse(folder.file().into()), "a lock between processes");
    assert!(fs::metadata(folder.wal()).unwrap().len() > 0, "it did not end in order");
    assert_eq!(texts(&open(&folder).read_before("r", None, size(9, 99)).unwrap()), ["kept"]);
}

#[test]
#[ignore = "the other process of a_daemon_that_is_killed_leaves_its_messages_and_no_lock"]
fn hold_the_file_until_killed() {
    let Some(path) = std::env::var_os("ROOMD_TEST_FILE") else { return };
    let mut database = Database::open_at(Path::new(&path), Durability::Normal, Some(0)).unwrap();
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
    drop(Database::open_at(&at("newer"), Durability::Normal, Some(0)).unwrap());
    sql(&at("newer"), "PRAGMA user_version = 4");
    drop(Database::open_at(&at("incomplete"), Durability::Normal, Some(0)).unwrap());
    sql(&at("incomplete"), "DROP TABLE message");
    drop(Database::open_at(&at("cut"), Durability::Normal, Some(0)).unwrap());
    fs::write(at("cut"), &fs::read(at("cut")).unwrap()[..4_100]).unwrap();
    std::os::unix::fs::symlink("nowhere/file", at("link")).unwrap();
    std::os::unix::fs::symlink("loop", at("loop")).unwrap();
    for (name, expected) in [
        ("no/such/file", OpenError::NoDirectory as fn(Box<Path>) -> OpenError),
        ("text/file", OpenError::NoDirectory),
        ("link", OpenError::NoDirectory),
        ("loop", |path| OpenError::System(path, "Too many levels of symbolic links (os error 40)".into())),
        (".", OpenError::NotAFile),
        ("text", OpenError::Corrupt),
        ("incomplete", OpenError::Corrupt),
        ("cut", OpenError::Corrupt),
        ("foreign", OpenError::Foreign),
        ("newer", |path| OpenError::Newer(path, 4)),
    ] {
        let before = fs::read(at(name)).ok();
        let error = Database::open_at(&at(name), Durability::Normal, Some(0)).unwrap_err();
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
    let mut database = Database::open_at(&at("first"), Durability::Normal, Some(0)).unwrap();
    append(&mut database, &[said("lobby", "hello")]);
    let metadata = fs::symlink_metadata(at("disk/third")).unwrap();
    assert!(metadata.is_file());
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    assert!(at("disk/third-wal").exists() && !at("first-wal").exists(), "beside the file, not beside the link");
    assert!(fs::symlink_metadata(at("first")).unwrap().is_symlink());
    drop(database);
    let mut again = Database::open_at(&at("first"), Durability::Normal, Some(0)).unwrap();
    assert_eq!(again.last_id("lobby"), Ok(1));
}

#[test]
fn a_file_that_can_only_be_read_is_refused() {
    let folder = Folder::new();
    drop(open(&folder));
    // Root may write to any file, so SQLite is told.
    let connection = Connection::open_with_flags(folder.file(), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let refused = Database::set_up(connection, &folder.file(), Durability::Normal, Some(0)).unwrap_err();
    assert_eq!(refused, OpenError::ReadOnly(folder.file().into()));
}

#[test]
fn an_empty_file_becomes_a_history() {
    let folder = Folder::new();
    fs::write(folder.file(), "").unwrap();
    assert_eq!(append(&mut open(&folder), &[said("r", "a")]), [1]);
}

#[test]
fn only_the_owner_may_read_the_file_and_what_lies_beside_it() {
    let folder = Folder::new();
    let mut database = open(&folder);
    append(&mut database, &[said("r", "secret")]);
    let mut files = Vec::new();
    for entry in fs::read_dir(&folder.0).unwrap().map(Result::unwrap) {
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{entry:?}");
        files.push(entry.file_name());
    }
    files.sort();
    assert_eq!(files, ["history.db", "history.db-end", "history.db-wal"]);
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

const ALL: PageSize = PageSize { messages: usize::MAX, bytes: usize::MAX };

/// A file in which two rooms have said as much in turn; and what they have said.
fn two_rooms(folder: &Folder, messages: usize) -> [Page; 2] {
    let mut database = open(folder);
    let texts: Vec<String> = (0..messages).map(|nth| format!("{nth} {}", "what was said ".repeat(10))).collect();
    append(&mut database, &texts.iter().flat_map(|text| [said("a", text), said("b", text)]).collect::<Vec<_>>());
    ["a", "b"].map(|room| database.read_before(room, None, ALL).unwrap())
}

/// Reads all there is, in both directions and page by page. Each message is what was said, or says that it is damaged;
/// none is missing. Gives the number of damaged ones.
fn damaged_in(database: &mut Database, truth: &[Page; 2], damage: &str) -> usize {
    let mut damaged = 0;
    for (room, truth) in ["a", "b"].into_iter().zip(truth) {
        assert_eq!(database.last_id(room), Ok(truth.messages.len() as u64), "{damage}");
        let mut damaged_here = 0;
        for all in [database.read_before(room, None, ALL), database.read_after(room, 0, ALL)].map(Result::unwrap) {
            assert_eq!(all.messages.len(), truth.messages.len(), "{damage}: an id is missing");
            damaged_here = 0;
            for (read, said) in all.messages.iter().zip(&truth.messages) {
                let stands_in = Stored { unix_ms: read.unix_ms, ..Stored::damaged(said.id) };
                assert!(*read == *said || *read == stands_in, "{damage}: {read:?}, not {said:?}");
                damaged_here += usize::from(*read == stands_in);
            }
        }
        damaged += damaged_here;
        for before in [2, 50, 51].into_iter().filter(|before| *before <= truth.messages.len() as u64) {
            let page = database.read_before(room, Some(before), size(20, usize::MAX)).unwrap();
            let ids: Vec<u64> = page.messages.iter().map(|message| message.id).collect();
            assert_eq!(ids, (before.saturating_sub(20).max(1)..before).collect::<Vec<_>>(), "{damage}: a page");
        }
    }
    damaged
}

/// Damages a file in some way and reads it: what opens shows nothing that was not said, and no gap. Then something
/// more is said.
fn survive(folder: &Folder, truth: &[Page; 2], damage: &str, bytes: &[u8]) -> Option<usize> {
    fs::write(folder.file(), bytes).unwrap();
    let checked = check::check(&folder.file()).map(|report| report.faults);
    let mut database = match Database::open_at(&folder.file(), Durability::Normal, Some(0)) {
        Ok(database) => database,
        Err(OpenError::Corrupt(_) | OpenError::Foreign(_) | OpenError::Newer(..)) => {
            assert!(!matches!(checked, Ok(0)), "{damage}: not found by the check");
            return None;
        }
        Err(error) => panic!("{damage}: {error}"),
    };
    let damaged = damaged_in(&mut database, truth, damage);
    assert!(checked.is_ok_and(|faults| faults >= damaged as u64), "{damage}: {damaged} not all found by the check");
    match try_append(&mut database, &[said("a", "goes on"), said("new", "room")]) {
        Ok(ids) => {
            let next = truth[0].messages.len() as u64 + 1;
            assert!(ids[0] >= next && ids[1] > 0, "{damage}: {ids:?}");
            let newest = database.read_before("a", None, size(1, 999)).unwrap();
            assert!(texts(&newest) == ["goes on"] || newest.messages[0].kind == Kind::Damaged, "{damage}");
        }
        Err(error) => assert_eq!(error, WriteError::Corrupt(folder.file().into()), "{damage}"),
    }
    Some(damaged)
}

#[test]
fn a_damaged_page_costs_what_was_on_it_and_no_other_message() {
    let folder = Folder::new();
    let truth = two_rooms(&folder, 300);
    let whole = fs::read(folder.file()).unwrap();
    let (page, pages) = (4_096, whole.len() / 4_096);
    assert!(pages > 15);
    let (mut opened, mut damaged) = (0, 0);
    for nth in 0..pages {
        let range = nth * page..(nth + 1) * page;
        let mut damages: Vec<(String, Vec<u8>)> = Vec::new();
        for byte in [0x00, 0x5a, 0xff] {
            let mut bytes = whole.clone();
            bytes[range.clone()].fill(byte);
            damages.push((format!("page {nth} of {byte:#x}"), bytes));
        }
        let mut bytes = whole.clone();
        bytes.copy_within((nth + 1) % pages * page..((nth + 1) % pages + 1) * page, range.start);
        damages.push((format!("page {nth} is its neighbour"), bytes));
        damages.push((format!("cut in page {nth}"), whole[..range.start + 100].to_vec()));
        for (damage, bytes) in damages {
            if let Some(lost) = survive(&folder, &truth, &damage, &bytes) {
                opened += 1;
                damaged += lost;
                let is_leaf = !damage.starts_with("cut") && lost < 100;
                assert!(!is_leaf || lost <= 30, "{damage}: {lost} messages are lost with one page");
            }
        }
    }
    assert!(opened > 2 * pages && damaged > 20 * pages, "{opened} opened, {damaged} messages damaged");
}

#[test]
fn a_flipped_bit_anywhere_is_never_another_text_and_never_a_missing_id() {
    let folder = Folder::new();
    let truth = two_rooms(&folder, 60);
    let whole = fs::read(folder.file()).unwrap();
    let (mut state, mut found) = (88_172_645_463_325_252_u64, 0);
    for nth in 0..120 {
        let mut bytes = whole.clone();
        for _ in 0..=nth % 3 {
            // xorshift64
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let bit = state as usize % (bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        found += survive(&folder, &truth, &format!("flip {nth}"), &bytes).unwrap_or(1);
    }
    assert!(found > 40, "only {found} flips hit something");
}

#[test]
fn a_flipped_bit_in_the_newest_message_costs_that_message_only() {
    let folder = Folder::new();
    let mut database = open(&folder);
    append(&mut database, &["first", "second", "newest"].map(|text| said("r", text)));
    drop(database);
    let mut bytes = fs::read(folder.file()).unwrap();
    let at = bytes.windows(6).position(|window| window == b"newest").unwrap();
    bytes[at] ^= 1;
    fs::write(folder.file(), bytes).unwrap();
    let report = check::check(&folder.file()).unwrap();
    assert!(report.faults == 1 && report.text.contains("room \"r\": message 3 is damaged"), "{}", report.text);
    let mut database = open(&folder);
    let page = database.read_before("r", None, ALL).unwrap();
    assert_eq!(texts(&page), ["first", "second", crate::chat::event::DAMAGED]);
    assert_eq!((page.messages[2].kind, page.messages[2].unix_ms), (Kind::Damaged, 1_000));
    // Somebody has written to the file, so its ids jump.
    assert!(append(&mut database, &[said("r", "goes on")])[0] > 4);
    assert_eq!(texts(&database.read_after("r", 3, ALL).unwrap()), ["goes on"]);
}

#[test]
fn a_row_that_is_gone_is_told_as_damaged_wherever_it_was() {
    let folder = Folder::new();
    let truth = two_rooms(&folder, 60);
    let whole = fs::read(folder.file()).unwrap();
    for gone in ["= 1", "= 30", "= 60", "< 5", "> 55", "> 0"] {
        fs::write(folder.file(), &whole).unwrap();
        let connection = Connection::open(folder.file()).unwrap();
        let deleted = connection.execute(&format!("DELETE FROM message WHERE room = 1 AND id {gone}"), []).unwrap();
        drop(connection);
        assert_eq!(damaged_in(&mut open(&folder), &truth, gone), deleted, "{gone}");
        assert_eq!(check::check(&folder.file()).unwrap().faults, deleted as u64, "{gone}");
    }
}

#[test]
fn a_damaged_page_among_what_is_to_go_keeps_nothing_of_other_rooms_from_going() {
    let folder = Folder::new();
    let truth = two_rooms(&folder, 200);
    drop(truth);
    let whole = fs::read(folder.file()).unwrap();
    let mut stayed = 0;
    for page in 2..whole.len() / 4_096 {
        let mut bytes = whole.clone();
        bytes[page * 4_096..(page + 1) * 4_096].fill(0);
        fs::write(folder.file(), bytes).unwrap();
        let _ = fs::remove_file(folder.wal());
        let Ok(mut database) = Database::open_at(&folder.file(), Durability::Normal, Some(0)) else { continue };
        let (mut rooms, mut damaged_rooms) = (0, 0);
        for _ in 0..20 {
            let trimmed = database.trim(beyond(1)).unwrap();
            rooms += trimmed.rooms;
            damaged_rooms += trimmed.damaged_rooms;
            if !trimmed.more {
                break;
            }
        }
        assert!(rooms + damaged_rooms > 0, "page {page}: nothing is trimmed, and nothing is told");
        stayed += u64::from(rooms > 0 && damaged_rooms > 0);
    }
    assert!(stayed > 0, "on no page one room stayed and the other went");
}

#[test]
fn nothing_that_stands_in_a_file_is_run() {
    let folder = Folder::new();
    append(&mut open(&folder), &[said("r", "a")]);
    let connection = Connection::open(folder.file()).unwrap();
    connection.execute_batch("CREATE TRIGGER t AFTER INSERT ON message BEGIN DELETE FROM message; END").unwrap();
    drop(connection);
    let mut database = open(&folder);
    append(&mut database, &[said("r", "b")]);
    assert_eq!(texts(&database.read_after("r", 0, ALL).unwrap()), ["a", "b"]);
}

#[test]
fn a_check_finds_whatever_keeps_a_daemon_from_its_start_or_a_room_from_its_next_message() {
    for (change, part) in [
        ("DROP TABLE counter", "tables"),
        ("ALTER TABLE message DROP COLUMN checksum", "tables"),
        ("UPDATE room SET last_id = 9", "its own row is damaged"),
        ("INSERT INTO message VALUES (1, 2, 5, 0, 'n', 'next', 1)", "does not know of 1 of its messages"),
        ("INSERT INTO message VALUES (7, 2, 5, 0, 'n', 'next', 1)", "a room that is not known"),
    ] {
        let folder = Folder::new();
        append(&mut open(&folder), &[said("r", "a")]);
        let connection = Connection::open(folder.file()).unwrap();
        connection.execute_batch(change).unwrap();
        drop(connection);
        let report = check::check(&folder.file());
        assert!(report.as_ref().is_ok_and(|report| report.faults > 0 && report.text.contains(part)), "{report:?}");
    }
}

#[test]
fn a_write_ahead_log_that_was_damaged_in_its_middle_is_told_and_one_that_ends_early_is_not() {
    let folder = Folder::new();
    let mut database = open(&folder);
    for nth in 0..20 {
        append(&mut database, &[said("r", &nth.to_string())]);
    }
    let (file, log) = (fs::read(folder.file()).unwrap(), fs::read(folder.wal()).unwrap());
    drop(database);
    let lost = |log: &[u8]| {
        fs::write(folder.file(), &file).unwrap();
        fs::write(folder.wal(), log).unwrap();
        let mut database = open(&folder);
        (database.last_id("r").unwrap(), database.lost_batches())
    };
    assert_eq!(lost(&log), (20, 0));
    for end in [0, 31, 32, 100, log.len() / 2, log.len() - 1] {
        assert_eq!(lost(&log[..end]).1, 0, "what a crash leaves behind, {end} bytes");
    }
    let frame = 24 + 4_096;
    for at in [0, 20, 33, 32 + 30, log.len() / 2, log.len() - 3 * frame] {
        let mut log = log.clone();
        log[at] ^= 4;
        let (last_id, lost) = lost(&log);
        assert!(last_id < 20 && lost > 0, "byte {at}: the last is {last_id}, {lost} lost");
        assert!(last_id + lost >= 19, "byte {at}: the last is {last_id}, {lost} lost");
    }
}

/// What the ids of the room are for the next daemon, and what it gives: the epoch, the base, the next id.
fn next_daemon(folder: &Folder) -> (Epoch, u64, u64) {
    let mut database = open(folder);
    let base = database.ids("r").unwrap().base;
    (database.epoch(), base, append(&mut database, &[said("r", "next")])[0])
}

/// A daemon that has said `batches` messages in batches of one, and is killed. Gives its epoch, and how long the
/// write-ahead log was after each.
fn killed_after(folder: &Folder, batches: usize) -> (Epoch, Vec<u64>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture"])
        .arg("history::sqlite::database::tests::say_until_killed")
        .env("ROOMD_TEST_FILE", folder.file())
        .env("ROOMD_TEST_BATCHES", batches.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let told = lines.find_map(|line| line.split_once("told ").map(|(_, told)| told.to_owned())).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let mut numbers = told.split(' ').map(|number| number.parse().unwrap());
    (Epoch(numbers.next().unwrap()), numbers.collect())
}

#[test]
#[ignore = "the other process of killed_after"]
fn say_until_killed() {
    let Some(path) = std::env::var_os("ROOMD_TEST_FILE") else { return };
    let batches: usize = std::env::var("ROOMD_TEST_BATCHES").unwrap().parse().unwrap();
    let mut database = Database::open_at(Path::new(&path), Durability::Normal, Some(0)).unwrap();
    let mut told = format!("told {}", database.epoch().0);
    let wal = log_end::log_path(Path::new(&path));
    for nth in 0..batches {
        append(&mut database, &[said("r", &nth.to_string())]);
        told += &format!(" {}", fs::metadata(&wal).unwrap().len());
    }
    std::io::stdout().write_all(format!("{told}\n").as_bytes()).unwrap();
    // Ends with the parent, if nobody kills it.
    let _ = std::io::stdin().read_line(&mut String::new());
    std::process::exit(0);
}

#[test]
fn after_an_orderly_end_and_after_a_kill_ids_go_on_in_the_same_epoch() {
    let folder = Folder::new();
    let (epoch, _) = killed_after(&folder, 2);
    assert_eq!(next_daemon(&folder), (epoch, 0, 3), "after a kill");
    assert_eq!(next_daemon(&folder), (epoch, 0, 4), "after an orderly end");
    // Long enough for the log to be folded several times.
    let (again, ends) = killed_after(&folder, 1_500);
    assert!(ends.is_sorted() && ends[1_499] < 1_500 * 2 * 4_096, "the log was folded, and begun anew");
    assert_eq!(again, epoch);
    assert_eq!(next_daemon(&folder), (epoch, 0, 1_505));
}

/// The disk as it was some moments before: whatever is missing, no id that may have been given comes again.
#[test]
fn a_write_ahead_log_that_is_cut_at_any_length_is_never_taken_for_the_whole() {
    let folder = Folder::new();
    let (epoch, ends) = killed_after(&folder, 6);
    let whole = [folder.file(), folder.wal(), folder.mark()].map(|path| fs::read(&path).unwrap());
    let last = *ends.last().unwrap();
    assert_eq!(whole[1].len() as u64, last);
    let cuts = (0..last).step_by(1_009).chain(ends.iter().flat_map(|end| [end - 1, *end, end + 1]));
    let mut found = std::collections::BTreeSet::new();
    for cut in cuts.filter(|cut| *cut < last) {
        // In place, so that these are the very files; only the time of the file says that it was written to.
        let before = Folder::new();
        for (path, bytes) in [before.file(), before.wal(), before.mark()].iter().zip(&whole) {
            fs::write(path, bytes).unwrap();
        }
        before.speaks_for_itself();
        assert!(EndMark::is_as_left(&before.file()), "the whole log is as it was left");
        File::options().write(true).open(before.wal()).unwrap().set_len(cut).unwrap();
        let (other, base, next) = next_daemon(&before);
        let is_there = ends.iter().filter(|end| **end <= cut).count() as u64;
        // Without its first message, the room itself is not there.
        assert_eq!(base, if is_there == 0 { 0 } else { next - 1 }, "cut at {cut}");
        assert!(other != epoch && next > 6, "cut at {cut}: {next}");
        found.insert(is_there);
        // The one after that goes on with what the first has begun.
        assert_eq!(next_daemon(&before), (other, next - 1, next + 1), "cut at {cut}");
    }
    assert_eq!(found.len(), 6, "of different ends: {found:?}");
}

#[test]
fn a_file_that_was_put_back_copied_or_deleted_begins_anew() {
    let folder = Folder::new();
    let mut database = open(&folder);
    append(&mut database, &[said("r", "x"); 3]);
    drop(database);
    let all = || [folder.file(), folder.mark()].map(|path| (path.clone(), fs::read(&path).unwrap()));
    let backup = all();
    let (epoch, _, next) = next_daemon(&folder);
    assert_eq!(next, 4);
    let mut known = vec![epoch];
    let mut highest = next;
    for (what, how) in [
        ("the file alone is overwritten", &backup[..1]),
        ("the file and the mark are overwritten", &backup[..]),
        ("both are, once more", &backup[..]),
    ] {
        for (path, bytes) in how {
            fs::write(path, bytes).unwrap();
        }
        let (epoch, base, next) = next_daemon(&folder);
        assert!(!known.contains(&epoch) && base >= highest && next == base + 1, "{what}: {base} {highest}");
        known.push(epoch);
        // The clock stands still at the beginning of time here: only what is in the file keeps ids apart.
        highest = 4;
    }
    // Another file at its place, and the same once more.
    for _ in 0..2 {
        let bytes = fs::read(folder.file()).unwrap();
        fs::remove_file(folder.file()).unwrap();
        fs::write(folder.file(), bytes).unwrap();
        let (epoch, base, next) = next_daemon(&folder);
        assert!(!known.contains(&epoch) && base > highest && next == base + 1);
        (highest, _) = (next, known.push(epoch));
    }
    fs::remove_file(folder.mark()).unwrap();
    let (epoch, base, next) = next_daemon(&folder);
    assert!(!known.contains(&epoch) && base > highest, "without a mark");
    (highest, _) = (next, known.push(epoch));
    fs::rename(folder.file(), folder.0.join("elsewhere")).unwrap();
    fs::rename(folder.0.join("elsewhere"), folder.file()).unwrap();
    let (epoch, base, _) = next_daemon(&folder);
    assert!(!known.contains(&epoch) && base > highest, "away, and back");
    fs::remove_file(folder.file()).unwrap();
    assert!(!known.contains(&next_daemon(&folder).0), "deleted");
}

/// By the time, for nothing else is left.
#[test]
fn ids_of_a_new_file_lie_above_those_of_one_that_was_deleted() {
    let folder = Folder::new();
    let at = |now_us| Database::open_at(&folder.file(), Durability::Normal, Some(now_us)).unwrap();
    let first = append(&mut at(5_000_000), &[said("r", "x"); 3]);
    assert_eq!(first, [5_000_001, 5_000_002, 5_000_003]);
    fs::remove_file(folder.file()).unwrap();
    assert_eq!(append(&mut at(6_000_000), &[said("r", "x"), said("new", "x")]), [6_000_001, 6_000_001]);
    // One that was put back goes on above both, whatever the clock says.
    assert!(append(&mut Database::open(&folder.file(), Durability::Normal).unwrap(), &[said("r", "x")])[0] > 0);
    let late = u64::MAX;
    fs::remove_file(folder.file()).unwrap();
    assert_eq!(append(&mut at(late), &[said("r", "x")]), [(1 << 52) + 1], "JavaScript counts on from there");
}

#[test]
fn what_was_said_before_ids_jumped_is_read_with_what_was_said_after_and_deleted_in_its_order() {
    let folder = Folder::new();
    append(&mut open(&folder), &["a", "b", "c"].map(|text| said("r", text)));
    let mut jumped = Vec::new();
    for text in ["d", "e"] {
        fs::remove_file(folder.mark()).unwrap();
        let mut database = open(&folder);
        let ids = database.ids("r").unwrap();
        assert_eq!((ids.first, ids.base), (0, ids.last), "nothing has been said since");
        jumped.extend(append(&mut database, &[said("r", text), said("r", text)]));
        assert_eq!(jumped[jumped.len() - 2], ids.base + 1);
    }
    let mut database = open(&folder);
    let all = database.read_after("r", 0, ALL).unwrap();
    assert_eq!((texts(&all), all.is_cut), (vec!["a", "b", "c", "d", "d", "e", "e"], false));
    assert!(all.messages.iter().all(|message| message.kind == Kind::Message), "nothing in a gap is damaged");
    let page = database.read_before("r", None, size(4, 9_999)).unwrap();
    assert_eq!((texts(&page), page.more), (vec!["d", "d", "e", "e"], true));
    let page = database.read_before("r", Some(jumped[1]), size(3, 9_999)).unwrap();
    assert_eq!((texts(&page), page.more), (vec!["b", "c", "d"], true));
    assert_eq!(texts(&database.read_after("r", 2, size(2, 9_999)).unwrap()), ["c", "d"]);
    drop(database);
    let report = check::check(&folder.file()).unwrap();
    assert!(report.faults == 0 && report.text.contains("7 messages"), "{}", report.text);
    let mut database = open(&folder);
    for (keep, expected) in [(5, &["c", "d", "d", "e", "e"][..]), (4, &["d", "d", "e", "e"]), (1, &["e"])] {
        trim_all(&mut database, keep_messages(keep), 0);
        let all = database.read_after("r", 0, ALL).unwrap();
        assert_eq!((texts(&all), all.is_cut), (expected.to_vec(), true));
    }
    let gaps: u64 = database.connection.query_row("SELECT count(*) FROM gap", [], |row| row.get(0)).unwrap();
    assert_eq!(gaps, 0, "what is before the first message is none");
    assert_eq!(append(&mut database, &[said("r", "f")]), [jumped[3] + 1]);
}

#[test]
fn a_page_of_nothing_but_damage_has_the_time_of_what_lies_beside_it() {
    let folder = Folder::new();
    let texts: Vec<String> = (1..=30).map(|nth| nth.to_string()).collect();
    let batch = texts.iter().enumerate().map(|(nth, text)| Said { unix_ms: nth as u64 + 1, ..said("r", text) });
    append(&mut open(&folder), &batch.collect::<Vec<_>>());
    let spoil = |ids: &str| {
        let connection = Connection::open(folder.file()).unwrap();
        connection.execute(&format!("UPDATE message SET text = 'x' WHERE id {ids}"), []).unwrap();
    };
    let times = |before: u64| {
        let page = open(&folder).read_before("r", Some(before), size(3, 10_000)).unwrap();
        page.messages.iter().map(|message| message.unix_ms).collect::<Vec<_>>()
    };
    spoil("BETWEEN 5 AND 10");
    assert_eq!(times(9), [4; 3]);
    spoil("< 5");
    assert_eq!(times(9), [11; 3]);
    spoil("> 0");
    assert_eq!(times(9), [0; 3]);
}

#[test]
fn what_was_deleted_for_its_age_is_not_damaged() {
    let folder = Folder::new();
    let mut database = open(&folder);
    append(&mut database, &["a", "b", "c"].map(|text| said("r", text)));
    assert_eq!(database.trim(beyond(1)).unwrap().messages, 2);
    assert_eq!(texts(&database.read_before("r", None, ALL).unwrap()), ["c"]);
    let cut = Cut { said_before_unix_ms: Some(9_999), ..Cut::NOTHING };
    assert_eq!(database.trim(cut).unwrap(), Trimmed { messages: 1, rooms: 1, ..Trimmed::default() });
    assert_eq!(database.read_before("r", None, ALL), Ok(Page::default()));
    drop(database);
    assert_eq!(check::check(&folder.file()).unwrap().faults, 0);
    assert_eq!(append(&mut open(&folder), &[said("r", "d")]), [4]);
}

#[test]
fn a_damaged_room_holds_up_no_deletion_in_the_others() {
    let folder = Folder::new();
    let mut database = open(&folder);
    append(&mut database, &[said("a", "1"), said("a", "2"), said("b", "1"), said("b", "2")]);
    database.connection.execute("UPDATE room SET last_id = 7 WHERE name = 'a'", []).unwrap();
    let expected = Trimmed { messages: 1, rooms: 1, damaged_rooms: 1, more: false };
    assert_eq!(database.trim(beyond(1)), Ok(expected));
}

/// Made by the steps of version 1, with what a roomd of that time wrote.
fn old_file(folder: &Folder) {
    let mut connection = Connection::open(folder.file()).unwrap();
    schema::migrate(&mut connection, 0, &schema::MIGRATIONS[..1]).unwrap();
    connection.execute_batch("PRAGMA journal_mode = WAL; INSERT INTO room VALUES (1, 'r', 4), (2, 'gone', 9)").unwrap();
    for (id, name) in [(2, "Ann"), (3, "Tourist 41"), (4, "Tourist 7")] {
        let row = (id, name, format!("text {id}"));
        connection.execute("INSERT INTO message VALUES (1, ?1, 5, 0, ?2, ?3)", row).unwrap();
    }
}

#[test]
fn a_file_of_an_older_roomd_is_read_unchecked_and_what_is_added_is_checked() {
    let folder = Folder::new();
    old_file(&folder);
    assert_eq!(check::check(&folder.file()).unwrap().faults, 0, "also before it is brought up to date");
    let mut database = open(&folder);
    assert_eq!(texts(&database.read_before("r", None, ALL).unwrap()), ["text 2", "text 3", "text 4"]);
    assert_eq!((database.last_id("r"), database.last_id("gone")), (Ok(4), Ok(9)));
    assert_eq!(append(&mut database, &[said("r", "text 5"), said("gone", "back")]), [5, 10]);
    database.connection.execute("UPDATE message SET text = 'other' WHERE room = 1", []).unwrap();
    assert_eq!(
        texts(&database.read_before("r", None, ALL).unwrap()),
        ["other", "other", "other", crate::chat::event::DAMAGED]
    );
    assert_eq!(database.trim(beyond(2)).unwrap().messages, 2);
    drop(database);
    assert_eq!(check::check(&folder.file()).unwrap().faults, 1);
    assert_eq!(texts(&open(&folder).read_after("gone", 0, ALL).unwrap()), ["back"]);
}

#[test]
fn a_checksum_that_has_become_none_is_damage_and_not_an_old_row() {
    let folder = Folder::new();
    let mut database = open(&folder);
    append(&mut database, &[said("r", "a")]);
    database.connection.execute("UPDATE message SET text = 'b', checksum = NULL", []).unwrap();
    assert_eq!(database.read_before("r", None, ALL).unwrap().messages[0].kind, Kind::Damaged);
}

#[test]
fn the_numbers_of_tourists_go_on_behind_those_that_were_reserved_or_have_spoken() {
    let folder = Folder::new();
    assert_eq!(open(&folder).tourists(), Ok(0));
    open(&folder).reserve_tourists(1_000).unwrap();
    assert_eq!(open(&folder).tourists(), Ok(1_000));
    let folder = Folder::new();
    old_file(&folder);
    assert_eq!(open(&folder).tourists(), Ok(41), "an older roomd has not written it down");
}

#[test]
fn a_file_that_is_not_in_its_place_takes_nothing_until_it_is_back() {
    let folder = Folder::new();
    let mut database = open(&folder);
    append(&mut database, &[said("r", "a")]);
    let aside = folder.0.join("aside");
    let lost = |lost: fn(Box<Path>) -> Lost| Err(WriteError::Lost(lost(folder.file().into())));
    fs::rename(folder.file(), &aside).unwrap();
    assert_eq!(database.look(), lost(Lost::Gone));
    assert_eq!(try_append(&mut database, &[said("r", "b")]).map(|_| ()), lost(Lost::Gone));
    fs::write(folder.file(), "another").unwrap();
    assert_eq!(try_append(&mut database, &[said("r", "b")]).map(|_| ()), lost(Lost::Replaced));
    assert_eq!(texts(&database.read_before("r", None, ALL).unwrap()), ["a"], "what is open can be read");
    fs::rename(&aside, folder.file()).unwrap();
    assert_eq!(database.look(), Ok(()));
    assert_eq!(append(&mut database, &[said("r", "b")]), [2]);
    fs::rename(&folder.0, folder.0.with_extension("moved")).unwrap();
    assert_eq!(database.look(), lost(Lost::Gone), "its directory");
    fs::rename(folder.0.with_extension("moved"), &folder.0).unwrap();
    assert_eq!(append(&mut database, &[said("r", "c")]), [3]);
    drop(database);
    assert_eq!(texts(&open(&folder).read_before("r", None, ALL).unwrap()), ["a", "b", "c"]);
}

#[test]
fn what_was_moved_away_has_all_that_was_said_before() {
    let folder = Folder::new();
    let mut database = open(&folder);
    append(&mut database, &[said("r", "a")]);
    let aside = folder.0.join("aside.db");
    fs::rename(folder.file(), &aside).unwrap();
    assert!(database.look().is_err());
    std::mem::forget(database);
    let copy = folder.0.join("copy.db");
    fs::copy(&aside, &copy).unwrap();
    let mut copy = Database::open_at(&copy, Durability::Normal, Some(0)).unwrap();
    assert_eq!(texts(&copy.read_before("r", None, ALL).unwrap()), ["a"]);
}

#[test]
fn a_write_ahead_log_that_was_deleted_is_made_anew_and_nothing_is_lost() {
    let folder = Folder::new();
    let mut database = open(&folder);
    append(&mut database, &[said("r", "a")]);
    fs::remove_file(folder.wal()).unwrap();
    assert_eq!(append(&mut database, &[said("r", "b")]), [2]);
    assert!(fs::metadata(folder.wal()).unwrap().len() > 0);
    // As after a kill: nothing is folded any more.
    let copies = Folder::new();
    fs::copy(folder.file(), copies.file()).unwrap();
    fs::copy(folder.wal(), copies.wal()).unwrap();
    assert_eq!(texts(&open(&copies).read_before("r", None, ALL).unwrap()), ["a", "b"]);
}

#[test]
fn a_file_or_a_log_that_was_cut_takes_nothing_more() {
    for path in [Folder::file as fn(&Folder) -> PathBuf, Folder::wal] {
        let folder = Folder::new();
        let mut database = open(&folder);
        append(&mut database, &[said("r", "a")]);
        drop(database);
        let mut database = open(&folder);
        append(&mut database, &[said("r", "b")]);
        OpenOptions::new().write(true).open(path(&folder)).unwrap().set_len(0).unwrap();
        let expected = Err(WriteError::Lost(Lost::Cut(folder.file().into())));
        assert_eq!(database.look(), expected);
        assert_eq!(try_append(&mut database, &[said("r", "c")]).map(|_| ()), expected);
        fs::write(path(&folder), [7; 100_000]).unwrap();
        assert_eq!(database.look(), expected, "whatever it becomes");
    }
}

#[test]
fn the_end_leaves_the_log_of_another_file_alone() {
    let folder = Folder::new();
    let mut database = open(&folder);
    append(&mut database, &[said("r", "a")]);
    for path in [folder.file(), folder.wal()] {
        fs::remove_file(&path).unwrap();
        fs::write(&path, "another's").unwrap();
    }
    drop(database);
    assert_eq!(fs::read(folder.wal()).unwrap(), b"another's");
    assert_eq!(fs::read(folder.file()).unwrap(), b"another's");
}

#[test]
fn a_disk_that_was_full_is_found_to_have_room_again_without_anybody_saying_anything() {
    let folder = Folder::new();
    let mut database = open(&folder);
    append(&mut database, &[said("r", "a")]);
    database.connection.pragma_update(None, "query_only", true).unwrap();
    assert!(try_append(&mut database, &[said("r", "b")]).is_err());
    assert_eq!(database.look(), Err(WriteError::ReadOnly(folder.file().into())));
    database.connection.pragma_update(None, "query_only", false).unwrap();
    assert_eq!(database.look(), Ok(()));
}

#[test]
fn a_check_changes_nothing_and_waits_for_no_daemon() {
    let folder = Folder::new();
    let mut database = open(&folder);
    append(&mut database, &[said("r", "a")]);
    assert!(matches!(check::check(&folder.file()), Err(check::CannotCheck::InUse(_))));
    let copies = Folder::new();
    fs::copy(folder.file(), copies.file()).unwrap();
    fs::copy(folder.wal(), copies.wal()).unwrap();
    let contents = || [fs::read(copies.file()).unwrap(), fs::read(copies.wal()).unwrap()];
    let before = contents();
    let report = check::check(&copies.file()).unwrap();
    assert!(report.faults == 0 && report.text.contains("1 room, 1 message that"), "{}", report.text);
    assert!(contents() == before, "what is in the log stays there");
    drop(database);
    check::check(&folder.file()).unwrap();
    assert!(!folder.wal().exists(), "no log is left where there was none");
}

#[test]
fn a_room_whose_last_id_is_wrong_is_damage_and_no_id_is_given_twice() {
    let folder = Folder::new();
    let mut database = open(&folder);
    append(&mut database, &[said("r", "a"), said("r", "b")]);
    database.connection.execute("UPDATE room SET last_id = 1", []).unwrap();
    assert_eq!(try_append(&mut database, &[said("r", "c")]), Err(WriteError::Corrupt(folder.file().into())));
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

    /// The oldest that is kept, or else the next.
    fn oldest_id(&self, room: usize) -> u64 {
        let next = if self.rooms.contains_key(&room) { self.last_id(room) + 1 } else { 0 };
        self.messages(room).next().map_or(next, |message| message.id)
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
        Page {
            messages: matching[..count].iter().copied().cloned().collect(),
            more: count < matching.len(),
            is_cut: false,
        }
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
            let batch_of = |messages: &[(usize, Kind, String)], ids: &mut Vec<u64>, database: &mut Database| {
                let said = messages.iter().map(|(room, kind, text)| {
                    Said { room: ROOMS[*room], name: "n", unix_ms: now, kind: *kind, text }
                });
                database.append(&batch(&said.collect::<Vec<_>>()), ids)
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
                    prop_assert_eq!(result, Err(WriteError::Full(folder.file().into())));
                    prop_assert_eq!(ids, [77]);
                    database.connection.pragma_update(None, "max_page_count", 1_000_000).unwrap();
                }
                Step::Trim { messages, max_age_ms } => {
                    let max_age = max_age_ms.map(Duration::from_millis);
                    let keep = Retention { messages: messages.and_then(NonZeroU64::new), max_age, ..Retention::ALL };
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
                    let is_cut = id + 1 < model.oldest_id(room);
                    let expected = Page { is_cut, ..Model::page(ROOMS[room], newer, size(limit, max_bytes)) };
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
