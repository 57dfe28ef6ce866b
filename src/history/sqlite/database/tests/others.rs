//! Other programs that use the file while it is open.

use super::*;
use crate::history::store::Notice;
use crate::limits::fixed::WAL_TOLD_BYTES;

/// As another program opens it.
fn tool(folder: &Folder) -> Connection {
    Connection::open(folder.file()).unwrap()
}

fn wal_bytes(folder: &Folder) -> u64 {
    fs::metadata(folder.wal()).unwrap().len()
}

#[test]
fn a_log_that_a_reader_keeps_from_being_folded_is_told_at_each_doubling_and_folded_when_the_reader_ends() {
    let folder = Folder::new();
    let mut database = open(&folder);
    append(&mut database, &[said("r", "before")]);
    let reader = tool(&folder);
    reader.execute_batch("BEGIN; SELECT count(*) FROM message").unwrap();
    let text = "x".repeat(1 << 20);
    let mut told = Vec::new();
    while wal_bytes(&folder) < 2 * WAL_TOLD_BYTES + WAL_TOLD_BYTES / 2 {
        append(&mut database, &[said("r", &text); 4]);
        told.extend(database.take_notice().map(|notice| (notice, wal_bytes(&folder))));
    }
    let [(Notice::Trouble(first), at_first), (Notice::Trouble(second), at_second)] = &told[..] else {
        panic!("{told:?}")
    };
    assert!(first.contains("another program reads the history") && first != second, "{first} {second}");
    assert!((WAL_TOLD_BYTES..WAL_TOLD_BYTES * 5 / 4).contains(at_first) && *at_second >= 2 * at_first, "{told:?}");
    reader.execute_batch("COMMIT").unwrap();
    database.look().unwrap();
    assert!(wal_bytes(&folder) <= WAL_BYTES, "{} bytes", wal_bytes(&folder));
    assert!(matches!(database.take_notice(), Some(Notice::Over(_))));
    assert_eq!(database.take_notice(), None);
}

#[test]
fn while_another_program_has_the_write_lock_nothing_is_written_and_everything_can_be_read() {
    let folder = Folder::new();
    let mut database = open(&folder);
    append(&mut database, &[said("r", "a"), said("r", "b")]);
    let other = tool(&folder);
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_eq!(try_append(&mut database, &[said("r", "c")]), Err(Cause::Busy));
    assert_eq!(database.trim(beyond(1)).unwrap_err().cause(), Cause::Busy);
    assert_eq!(database.reserve_tourists(9).unwrap_err().cause(), Cause::Busy);
    assert_eq!(texts(&database.read_after("r", 0, ALL).unwrap()), ["a", "b"]);
    other.execute_batch("COMMIT").unwrap();
    assert_eq!(append(&mut database, &[said("r", "c")]), [3]);
    assert_eq!(trim_all(&mut database, keep_messages(1), 0), 2);
}

#[test]
fn a_daemon_begins_while_another_program_has_the_write_lock() {
    let folder = Folder::new();
    append(&mut open(&folder), &[said("r", "a")]);
    for mark in ["there", "gone"] {
        if mark == "gone" {
            fs::remove_file(folder.mark()).unwrap();
        }
        let other = tool(&folder);
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let mut database = open(&folder);
        assert_eq!(try_append(&mut database, &[said("r", "b")]), Err(Cause::Busy));
        other.execute_batch("COMMIT").unwrap();
        let id = append(&mut database, &[said("r", "b")])[0];
        assert_eq!(id == 2, mark == "there", "{id}");
    }
}

/// The first connection of the tool is there when the daemon is killed, and when the next one starts.
#[test]
fn a_daemon_that_was_killed_beside_other_programs_goes_on_in_its_epoch() {
    let folder = Folder::new();
    drop(open(&folder));
    let other = tool(&folder);
    other.execute_batch("PRAGMA wal_autocheckpoint = 0; CREATE TABLE tool (a)").unwrap();
    let (epoch, _) = continuity::killed_after(&folder, 3);
    other.execute_batch("INSERT INTO tool VALUES (1)").unwrap();
    let mut database = open(&folder);
    assert_eq!((database.epoch(), database.is_continued()), (epoch, true));
    assert_eq!(append(&mut database, &[said("r", "next")]), [4]);
}
