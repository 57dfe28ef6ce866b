//! A disk that is full, and files that are moved, deleted or cut.

use super::*;

fn look(database: &mut Database) -> Result<(), Cause> {
    database.look().map_err(|error| error.cause())
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
        assert_eq!(try_append(&mut database, &batch), Err(Cause::Full));
    }
    assert_eq!(fs::metadata(folder.wal()).unwrap().len(), 0, "the log gives back what it holds of the disk");
    assert_eq!(texts(&database.read_before("r", None, size(9, 99)).unwrap()), ["before"], "it can still be read");
    assert_eq!((database.last_id("r").unwrap(), database.last_id("new").unwrap()), (1, 0));
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
    assert_eq!(try_append(&mut database, &[said("r", "c")]), Err(Cause::ReadOnly));
    assert_eq!(database.trim(beyond(1)).unwrap_err().cause(), Cause::ReadOnly);
    database.connection.pragma_update(None, "query_only", false).unwrap();
    assert_eq!(append(&mut database, &[said("r", "c")]), [3]);
    assert_eq!(trim_all(&mut database, keep_messages(1), 0), 2);
}

#[test]
fn a_file_that_is_not_in_its_place_takes_nothing_until_it_is_back() {
    let folder = Folder::new();
    let mut database = open(&folder);
    append(&mut database, &[said("r", "a")]);
    let aside = folder.0.path().join("aside");
    fs::rename(folder.file(), &aside).unwrap();
    assert_eq!(look(&mut database), Err(Cause::Lost(Lost::Gone)));
    assert_eq!(try_append(&mut database, &[said("r", "b")]), Err(Cause::Lost(Lost::Gone)));
    fs::write(folder.file(), "another").unwrap();
    assert_eq!(try_append(&mut database, &[said("r", "b")]), Err(Cause::Lost(Lost::Replaced)));
    assert_eq!(texts(&database.read_before("r", None, ALL).unwrap()), ["a"], "what is open can be read");
    fs::rename(&aside, folder.file()).unwrap();
    assert_eq!(look(&mut database), Ok(()));
    assert_eq!(append(&mut database, &[said("r", "b")]), [2]);
    fs::rename(folder.0.path(), folder.0.path().with_extension("moved")).unwrap();
    assert_eq!(look(&mut database), Err(Cause::Lost(Lost::Gone)), "its directory");
    fs::rename(folder.0.path().with_extension("moved"), folder.0.path()).unwrap();
    assert_eq!(append(&mut database, &[said("r", "c")]), [3]);
    drop(database);
    assert_eq!(texts(&open(&folder).read_before("r", None, ALL).unwrap()), ["a", "b", "c"]);
}

#[test]
fn what_was_moved_away_has_all_that_was_said_before() {
    let folder = Folder::new();
    let mut database = open(&folder);
    append(&mut database, &[said("r", "a")]);
    let aside = folder.0.path().join("aside.db");
    fs::rename(folder.file(), &aside).unwrap();
    assert!(database.look().is_err());
    std::mem::forget(database);
    let copy = folder.0.path().join("copy.db");
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
        let expected = Err(Cause::Lost(Lost::Cut));
        assert_eq!(look(&mut database), expected);
        assert_eq!(try_append(&mut database, &[said("r", "c")]), expected.map(|()| vec![]));
        fs::write(path(&folder), [7; 100_000]).unwrap();
        assert_eq!(look(&mut database), expected, "whatever it becomes");
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
    assert_eq!(look(&mut database), Err(Cause::ReadOnly));
    database.connection.pragma_update(None, "query_only", false).unwrap();
    assert_eq!(look(&mut database), Ok(()));
}
