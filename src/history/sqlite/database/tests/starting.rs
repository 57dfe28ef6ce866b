//! What a daemon finds when it starts.

use super::*;

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
        assert_eq!((database.tourists().unwrap(), database.kept_look().unwrap()), (7, None), "{wrong}");
    }
}

#[test]
fn a_second_daemon_is_refused_while_the_first_is_there() {
    let folder = Folder::new();
    let first = open(&folder);
    let refused = Database::open_at(&folder.file(), Durability::Full, Some(0)).unwrap_err();
    assert_eq!(refused.cause(), Cause::InUse);
    drop(first);
    open(&folder);
}

#[test]
fn a_daemon_that_is_killed_leaves_its_messages_and_no_lock() {
    let folder = Folder::new();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--ignored",
            "--exact",
            "--nocapture",
            "history::sqlite::database::tests::starting::hold_the_file_until_killed",
        ])
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
    assert_eq!(refused.cause(), Cause::InUse, "a lock between processes");
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
    let at = |name: &str| folder.0.path().join(name);
    fs::write(at("text"), "To whom it may concern. ".repeat(400)).unwrap();
    sql(&at("foreign"), "CREATE TABLE bookmarks (url TEXT)");
    drop(Database::open_at(&at("newer"), Durability::Normal, Some(0)).unwrap());
    sql(&at("newer"), "PRAGMA user_version = 99");
    drop(Database::open_at(&at("incomplete"), Durability::Normal, Some(0)).unwrap());
    sql(&at("incomplete"), "DROP TABLE message");
    drop(Database::open_at(&at("cut"), Durability::Normal, Some(0)).unwrap());
    fs::write(at("cut"), &fs::read(at("cut")).unwrap()[..4_100]).unwrap();
    std::os::unix::fs::symlink("nowhere/file", at("link")).unwrap();
    std::os::unix::fs::symlink("loop", at("loop")).unwrap();
    for (name, expected) in [
        ("no/such/file", Cause::NotFound),
        ("text/file", Cause::NotFound),
        ("link", Cause::NotFound),
        ("loop", Cause::System),
        (".", Cause::NotAFile),
        ("text", Cause::Damaged),
        ("incomplete", Cause::Damaged),
        ("cut", Cause::Damaged),
        ("foreign", Cause::Foreign),
        ("newer", Cause::Newer(99)),
    ] {
        let before = fs::read(at(name)).ok();
        let error = Database::open_at(&at(name), Durability::Normal, Some(0)).unwrap_err();
        let path: Box<Path> = std::path::absolute(at(name)).unwrap().into();
        assert_eq!(error.cause(), expected, "{name}");
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
    let at = |name: &str| folder.0.path().join(name);
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
    assert_eq!(again.last_id("lobby").unwrap(), 1);
}

#[test]
fn a_file_that_can_only_be_read_is_refused() {
    let folder = Folder::new();
    drop(open(&folder));
    // Root may write to any file, so SQLite is told.
    let connection = Connection::open_with_flags(folder.file(), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let lock = DaemonLock::take(&folder.file()).unwrap();
    let refused = Database::set_up((connection, lock), &folder.file(), Durability::Normal, Some(0)).unwrap_err();
    assert_eq!(refused.cause(), Cause::ReadOnly);
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
    for entry in fs::read_dir(folder.0.path()).unwrap().map(Result::unwrap) {
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{entry:?}");
        files.push(entry.file_name());
    }
    files.sort();
    assert_eq!(files, ["history.db", "history.db-end", "history.db-shm", "history.db-wal"]);
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
    assert_eq!((database.last_id("r").unwrap(), database.last_id("gone").unwrap()), (4, 9));
    assert_eq!(append(&mut database, &[said("r", "text 5"), said("gone", "back")]), [5, 10]);
    database.connection.execute("UPDATE message SET text = 'other' WHERE room = 1", []).unwrap();
    assert_eq!(
        texts(&database.read_before("r", None, ALL).unwrap()),
        ["other", "other", "other", crate::chat::message::DAMAGED]
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
    assert_eq!(open(&folder).tourists().unwrap(), 0);
    open(&folder).reserve_tourists(1_000).unwrap();
    assert_eq!(open(&folder).tourists().unwrap(), 1_000);
    let folder = Folder::new();
    old_file(&folder);
    assert_eq!(open(&folder).tourists().unwrap(), 41, "an older roomd has not written it down");
}

#[test]
fn a_database_can_be_given_to_its_thread() {
    fn is_send<T: Send>() {}
    is_send::<Database>();
}
