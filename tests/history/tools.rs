//! Other programs use the file while the daemon runs: they read it, hold a snapshot of it, or lock it.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rusqlite::Connection;
use serde_json::Value;

use crate::support::{Daemon, Folder, Raw};

fn start(file: &str) -> Daemon {
    Daemon::start(&["--history", file, "--no-rate-limit"])
}

fn stop(mut daemon: Daemon) {
    daemon.signal("TERM");
    assert_eq!(daemon.wait().code(), Some(0));
}

fn roomd(args: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_roomd"));
    command.args(args).env_remove("ROOMD_HISTORY").env_remove("STATE_DIRECTORY");
    let Output { status, stdout, stderr } = command.output().unwrap();
    (status.code(), String::from_utf8([stdout, stderr].concat()).unwrap())
}

/// Another program, as `sqlite3` is one: it opens the file in the usual way.
fn tool(file: &str) -> Connection {
    Connection::open(file).unwrap()
}

fn count(connection: &Connection) -> u64 {
    connection.query_row("SELECT count(*) FROM message", [], |row| row.get(0)).unwrap()
}

/// Says it, and gives its id once it is kept.
fn say(client: &mut Raw, text: &str) -> u64 {
    client.send_text(text);
    let event = client.event("message");
    assert_eq!(event["mess"], text);
    event["id"].as_u64().unwrap()
}

fn epoch_of(daemon: &Daemon) -> Value {
    daemon.open("/").event("welcome")["epoch"].clone()
}

#[test]
fn another_program_reads_what_was_said_a_moment_ago() {
    let folder = Folder::new();
    let file = folder.file("room.db");
    let daemon = start(&file);
    let mut member = daemon.open("/?quiet=1");
    let tool = tool(&file);
    for nth in 1..=3 {
        say(&mut member, "hello");
        assert_eq!(count(&tool), nth);
    }
}

#[test]
fn a_second_daemon_is_refused_by_every_name_of_the_file_and_none_is_after_a_kill() {
    let folder = Folder::new();
    let file = folder.file("room.db");
    let mut first = start(&file);
    let mut member = first.open("/?quiet=1");
    say(&mut member, "hello");
    let [link, hard_link] = ["link.db", "hard-link.db"].map(|name| folder.file(name));
    std::os::unix::fs::symlink(&file, &link).unwrap();
    fs::hard_link(&file, &hard_link).unwrap();
    for name in [&file, &link, &hard_link] {
        let (code, said) = roomd(&["--listen", "127.0.0.1:0", "--history", name]);
        let expected = format!(
            "roomd: cannot open the history {name}: another process has it open; stop that one, or name another file with \
             --history\n"
        );
        assert_eq!((code, said), (Some(1), expected));
    }
    say(&mut member, "the first has not noticed");
    first.signal("KILL");
    first.wait();
    start(&file);
}

/// More is said than the write-ahead log has otherwise.
#[test]
fn while_a_program_holds_a_snapshot_everything_goes_on_and_it_sees_what_was_there_at_its_beginning() {
    let folder = Folder::new();
    let file = folder.file("room.db");
    let daemon = start(&file);
    let mut member = daemon.open("/?quiet=1");
    let first = say(&mut member, "before");
    let snapshot = tool(&file);
    snapshot.execute_batch("BEGIN").unwrap();
    assert_eq!(count(&snapshot), 1);
    let text = "x".repeat(4_000);
    for _ in 0..20 {
        for _ in 0..100 {
            member.send_text(&text);
        }
        for _ in 0..100 {
            assert_eq!(member.event("message")["mess"], text);
        }
    }
    assert_eq!(count(&snapshot), 1, "the snapshot stands");
    let mut newcomer = daemon.open("/?quiet=1&since=0");
    assert_eq!(newcomer.event("message")["id"], first);
    let wal = || fs::metadata(format!("{file}-wal")).unwrap().len();
    assert!(wal() > 8_000_000, "{} bytes: nothing can be folded", wal());
    snapshot.execute_batch("COMMIT").unwrap();
    // The log is folded and cut, though nobody says anything.
    let mut tries = 0;
    while wal() > 5_000_000 {
        tries += 1;
        assert!(tries < 200, "{} bytes, still", wal());
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(count(&snapshot), 2_001);
}

/// For a while senders wait, then they are told; who reads notices nothing.
#[test]
fn while_a_program_holds_the_write_lock_senders_wait_and_then_are_told_and_pages_are_read() {
    let folder = Folder::new();
    let file = folder.file("room.db");
    let mut daemon = start(&file);
    let mut speaker = daemon.open("/?quiet=1");
    let mut reader = daemon.open("/?quiet=1");
    let first = say(&mut speaker, "before");
    reader.event("message");
    let lock = tool(&file);

    // For a short time: it waits, and is kept.
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    speaker.send_text("it waits");
    for _ in 0..3 {
        reader.send_text(&format!("/history {}", first + 1));
        assert_eq!(reader.event("history")["messages"][0]["mess"], "before", "pages are read meanwhile");
    }
    lock.execute_batch("COMMIT").unwrap();
    for member in [&mut speaker, &mut reader] {
        assert_eq!(member.event("message")["id"], first + 1);
    }

    // For a long time: senders are told.
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    speaker.send_text("it waits in vain");
    assert_eq!(speaker.event("error")["code"], "history-unavailable");
    let log = daemon.wait_for_log("WARN");
    assert!(log.contains("another program has held its write lock for too long"), "{log}");
    speaker.send_text("another in vain");
    assert_eq!(speaker.event("error")["code"], "history-unavailable");
    reader.send_text(&format!("/history {}", first + 2));
    assert_eq!(reader.event("history")["messages"][1]["mess"], "it waits");
    lock.execute_batch("COMMIT").unwrap();
    daemon.wait_for_log("can be written again");
    assert_eq!(say(&mut speaker, "it goes on"), first + 2, "what was refused has no id");
    assert_eq!(reader.event("message")["mess"], "it goes on");
    assert_eq!(count(&lock), 3);
}

/// Their locks lie in the index of the log.
#[test]
fn after_the_index_of_the_log_was_deleted_the_daemon_and_other_programs_know_of_each_other_again() {
    let folder = Folder::new();
    let file = folder.file("room.db");
    let daemon = start(&file);
    let mut member = daemon.open("/?quiet=1");
    let first = say(&mut member, "before");
    fs::remove_file(format!("{file}-shm")).unwrap();
    say(&mut member, "behind");
    let other = tool(&file);
    assert_eq!(count(&other), 2);
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    member.send_text("it waits");
    member.send_text(&format!("/history {}", first + 1));
    // A message that is written comes before a page that is read.
    assert_eq!(member.frame().json()["type"], "history");
    other.execute_batch("COMMIT").unwrap();
    assert_eq!(member.event("message")["mess"], "it waits");
    assert_eq!(count(&other), 3);
}

#[test]
fn what_other_programs_write_and_fold_ends_no_epoch() {
    let folder = Folder::new();
    let file = folder.file("room.db");
    let daemon = start(&file);
    let mut member = daemon.open("/?quiet=1");
    let (epoch, first) = (epoch_of(&daemon), say(&mut member, "hello"));
    let writes = "CREATE TABLE IF NOT EXISTS tool (a); INSERT INTO tool VALUES (1);";
    let folds = "PRAGMA wal_checkpoint(TRUNCATE); VACUUM; PRAGMA wal_checkpoint(TRUNCATE);";
    let mut other = tool(&file);
    for sql in [writes, folds] {
        other.execute_batch(sql).unwrap();
        say(&mut member, sql);
    }
    // It stays connected over the end of the daemon, and folds the log only then.
    other.execute_batch("BEGIN").unwrap();
    count(&other);
    drop(member);
    stop(daemon);
    other.execute_batch("COMMIT").unwrap();
    other.execute_batch(writes).unwrap();
    other.execute_batch(folds).unwrap();
    drop(other);
    let daemon = start(&file);
    assert_eq!(epoch_of(&daemon), epoch);
    assert_eq!(say(&mut daemon.open("/?quiet=1&since=99999999999999999"), "next"), first + 3);
    stop(daemon);
    other = tool(&file);
    other.execute_batch(writes).unwrap();
    drop(other);
    assert_eq!(epoch_of(&start(&file)), epoch);
}

/// Two speak as fast as they are answered, and another program does to the file what it likes. In the end the daemon is killed.
#[test]
fn what_is_confirmed_is_kept_while_another_program_locks_folds_and_rewrites_the_file() {
    const ROUNDS: usize = 8;
    let folder = Folder::new();
    let file = folder.file("room.db");
    let mut daemon = start(&file);
    let is_over = Arc::new(AtomicBool::new(false));
    let speakers: Vec<_> = (0..2)
        .map(|_| {
            let (mut member, is_over) = (daemon.open("/?quiet=1"), is_over.clone());
            std::thread::spawn(move || {
                let (mut seen, mut said) = (BTreeMap::new(), 0_u64);
                while !is_over.load(Ordering::Relaxed) {
                    let text = format!("{:?} {said}", std::thread::current().id());
                    said += 1;
                    member.send_text(&text);
                    loop {
                        let event = member.event("message");
                        seen.insert(event["id"].as_u64().unwrap(), event["mess"].as_str().unwrap().to_owned());
                        if event["mess"] == text {
                            break;
                        }
                    }
                }
                seen
            })
        })
        .collect();
    let other = tool(&file);
    for _ in 0..ROUNDS {
        for sql in [
            "BEGIN IMMEDIATE",
            "COMMIT",
            "VACUUM",
            "PRAGMA wal_checkpoint(TRUNCATE)",
            "BEGIN; SELECT 1 FROM message",
            "COMMIT",
        ] {
            // Who is refused a lock here tries again in the next round.
            let _ = other.execute_batch(sql);
            std::thread::sleep(Duration::from_millis(40));
        }
    }
    is_over.store(true, Ordering::Relaxed);
    let seen: Vec<BTreeMap<u64, String>> = speakers.into_iter().map(|speaker| speaker.join().unwrap()).collect();
    daemon.signal("KILL");
    daemon.wait();
    let mut statement = other.prepare("SELECT id, text FROM message ORDER BY id").unwrap();
    let kept = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    let kept: BTreeMap<u64, String> = kept.map(Result::unwrap).collect();
    let (first, last) = (*kept.keys().next().unwrap(), *kept.keys().last().unwrap());
    assert_eq!(last - first + 1, kept.len() as u64, "no id is missing");
    for seen in seen {
        assert!(seen.len() > 100, "only {} messages: nobody has been let in", seen.len());
        for (id, text) in seen {
            assert_eq!(kept.get(&id), Some(&text));
        }
    }
}

#[test]
fn the_rooms_of_a_daemon_at_work_are_listed_with_their_sizes_and_the_newest_first() {
    let folder = Folder::new();
    let file = folder.file("room.db");
    let daemon = start(&file);
    let mut ids = Vec::new();
    for (room, texts) in [("garden", &["a", "bc"][..]), ("lobby", &["hello"])] {
        let mut member = daemon.open(&format!("/r/{room}?quiet=1&name=Ann"));
        ids.push(texts.iter().map(|text| say(&mut member, text)).collect::<Vec<_>>());
        // So that the times in the list differ.
        std::thread::sleep(Duration::from_millis(2));
    }
    let (code, said) = roomd(&["rooms", "--history", &file]);
    assert_eq!(code, Some(0), "{said}");
    let lines: Vec<Vec<&str>> = said.lines().map(|line| line.split_whitespace().collect()).collect();
    let row = |line: &[&str]| line.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let expected = |messages: &str, bytes: &str, ids: &[u64]| {
        [messages.to_owned(), bytes.to_owned(), ids[0].to_string(), ids[ids.len() - 1].to_string()]
    };
    assert_eq!(row(&lines[1][..4]), expected("1", "8", &ids[1]), "{said}");
    assert_eq!(row(&lines[2][..4]), expected("2", "9", &ids[0]), "{said}");
    assert_eq!((lines[1][6], lines[2][6]), ("lobby", "garden"), "{said}");
    assert!(lines[1][4].starts_with("20") && lines[1][4].ends_with('Z') && lines[1][4].len() == 20, "{said}");
    assert!(said.ends_with("\n2 rooms, 3 messages, 17 bytes\n"), "{said}");
    let mut where_the_daemon_has_it = Command::new(env!("CARGO_BIN_EXE_roomd"));
    where_the_daemon_has_it.arg("rooms").env("ROOMD_HISTORY", &file);
    assert_eq!(String::from_utf8(where_the_daemon_has_it.output().unwrap().stdout).unwrap(), said);
}

/// The one who speaks goes on all the time; what the copy has is what was said up to one moment.
#[test]
fn a_backup_beside_a_busy_daemon_is_whole_up_to_one_moment_and_begins_an_epoch_of_its_own() {
    let folder = Folder::new();
    let (file, copy) = (folder.file("room.db"), folder.file("copy.db"));
    let daemon = start(&file);
    let mut member = daemon.open("/?quiet=1");
    let epoch = epoch_of(&daemon);
    let first = say(&mut member, "0");
    let backup = std::thread::spawn({
        let (file, copy) = (file.clone(), copy.clone());
        move || roomd(&["backup", "--history", &file, &copy])
    });
    let mut last = 0;
    while !backup.is_finished() || last < 100 {
        last += 1;
        say(&mut member, &last.to_string());
    }
    let (code, said) = backup.join().unwrap();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.starts_with(&format!("wrote {copy}: 1 room, ")), "{said}");
    assert!(!std::path::Path::new(&format!("{copy}-part")).exists());
    let bytes = fs::read(&copy).unwrap();
    let (code, said) = roomd(&["backup", "--history", &file, &copy]);
    assert_eq!(
        (code, said),
        (
            Some(2),
            format!(
                "roomd: cannot write the backup {copy}: it is there already; name another file, or move that one away\n"
            )
        )
    );
    assert!(fs::read(&copy).unwrap() == bytes, "it is as it was");

    assert_eq!(roomd(&["check", &copy]).0, Some(0));
    let kept = count(&tool(&copy));
    assert!((1..=last + 1).contains(&kept), "{kept}");
    let restored = start(&copy);
    assert_ne!(epoch_of(&restored), epoch);
    let mut back = restored.open("/?quiet=1&since=0");
    let events: Vec<Value> = (0..kept).map(|_| back.event("message")).collect();
    for (nth, event) in events.iter().enumerate() {
        assert_eq!((&event["id"], &event["mess"]), (&(first + nth as u64).into(), &nth.to_string().into()));
    }
    assert!(say(&mut back, "next") > first + last + 1, "no id is given twice");
}

#[test]
fn a_backup_of_a_damaged_history_says_so_and_leaves_no_file() {
    let folder = Folder::new();
    let (file, copy) = (folder.file("room.db"), folder.file("copy.db"));
    let daemon = start(&file);
    let mut member = daemon.open("/?quiet=1");
    for _ in 0..100 {
        say(&mut member, &"x".repeat(1_000));
    }
    drop(member);
    stop(daemon);
    let mut bytes = fs::read(&file).unwrap();
    // The head of each page, but for the first ones, which are the tables of the rooms.
    for page in bytes.chunks_mut(4_096).skip(10) {
        page[..8].fill(0xaa);
    }
    fs::write(&file, bytes).unwrap();
    let (code, said) = roomd(&["backup", "--history", &file, &copy]);
    assert_eq!((code, said.contains("it is damaged; run `roomd check`")), (Some(2), true), "{said}");
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().contains("copy")), "{left:?}");
}
