//! The history in a file, by the daemon itself: what a member has seen is there after whatever end the daemon took.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output};

use crate::support::{Daemon, Folder, Raw, masked_frame, parse_frame};
use serde_json::Value;

/// Kills in `what_anybody_saw_is_there_after_a_kill`.
const KILLS: usize = 100;

/// Those who speak there, and the most that each says before the daemon is killed.
const SPEAKERS: usize = 4;
const MOST_SAID: usize = 200;

fn start(file: &str) -> Daemon {
    Daemon::start(&["--history", file, "--no-rate-limit"])
}

fn id_of(event: &Value) -> u64 {
    event["id"].as_u64().unwrap()
}

fn text_of(event: &Value) -> String {
    event["mess"].as_str().unwrap().to_owned()
}

/// What a newcomer who asks for nothing but messages is sent of the past, up to the one that it says itself.
fn past(daemon: &Daemon, query: &str) -> Vec<(u64, String)> {
    let mut client = daemon.open(&format!("/?quiet=1&{query}"));
    client.send_text("the present");
    let mut past = Vec::new();
    loop {
        let event = client.event("message");
        if event["mess"] == "the present" {
            return past;
        }
        past.push((id_of(&event), text_of(&event)));
    }
}

/// Ends with a goodbye.
fn stop(mut daemon: Daemon) -> Vec<String> {
    daemon.signal("TERM");
    assert_eq!(daemon.wait().code(), Some(0));
    daemon.rest_of_log()
}

#[test]
fn after_a_restart_what_was_said_is_there_and_ids_go_on() {
    let folder = Folder::new();
    let file = folder.file("room.db");
    let daemon = start(&file);
    let mut member = daemon.open("/?name=Zoë");
    member.send_text("before");
    member.send_text("/me waves");
    let first = id_of(&member.event("message"));
    assert_eq!(id_of(&member.event("action")), first + 1);
    let mut other = daemon.open("/r/other");
    other.send_text("elsewhere");
    assert_eq!(id_of(&other.event("message")), first, "ids begin with the time of the file");
    drop((member, other));
    let log = stop(daemon);
    assert!(log.iter().any(|line| line.ends_with(&format!("the history is in {file}"))), "{log:?}");

    let daemon = start(&file);
    let mut member = daemon.open("/");
    assert_eq!(member.frame().json()["last"], first + 1);
    let before = member.event("message");
    assert_eq!((id_of(&before), text_of(&before), &before["name"]), (first, "before".into(), &"Zoë".into()));
    assert!(before["time"].as_u64().unwrap() > 1_600_000_000_000, "{before}");
    assert_eq!(text_of(&member.event("action")), "waves");
    member.send_text("after");
    assert_eq!(id_of(&member.event("message")), first + 2);
    assert_eq!(past(&daemon, &format!("since={first}")).len(), 1, "quiet ones hear of messages only");
}

#[test]
fn older_messages_than_the_daemon_has_in_memory_are_read_from_the_file() {
    let folder = Folder::new();
    let daemon = start(&folder.file("room.db"));
    let mut member = daemon.open("/?quiet=1");
    let mut first = u64::MAX;
    for nth in 1..=400 {
        member.send_text(&nth.to_string());
    }
    for nth in 1..=400 {
        let event = member.event("message");
        first = first.min(id_of(&event));
        assert_eq!((id_of(&event) - first, text_of(&event)), (nth - 1, nth.to_string()));
    }
    member.send_text(&format!("/history {}", first + 50));
    let page = member.event("history");
    assert_eq!((page["messages"].as_array().unwrap().len(), &page["more"]), (50, &false.into()));
    assert_eq!((&page["messages"][0]["id"], &page["messages"][49]["mess"]), (&first.into(), &"50".into()));
    let expected: Vec<(u64, String)> = (11..=400).map(|nth| (first - 1 + nth, nth.to_string())).collect();
    assert_eq!(past(&daemon, &format!("since={}", first + 9)), expected);
}

/// What a client hears of messages from `after` on: their ids rise by one, and nothing else comes between them.
fn hear_up_to(client: &mut Raw, after: u64, last: u64) {
    for id in after + 1..=last {
        let event = client.frame().json();
        assert_eq!((&event["type"], id_of(&event)), (&"message".into(), id));
    }
}

/// So much does not fit into any queue, nor into all buffers of the kernel.
#[test]
fn a_past_of_any_length_is_sent_as_it_is_read_while_the_room_goes_on() {
    let folder = Folder::new();
    let file = folder.file("room.db");
    let daemon = Daemon::start(&["--history", &file, "--no-rate-limit", "--max-queue", "65536"]);
    let mut speaker = daemon.open("/?quiet=1");
    let mut witness = daemon.open("/?quiet=1");
    let mut say = |count: u64| {
        let mut last = 0;
        for _ in 0..count / 100 {
            for _ in 0..100 {
                speaker.send_text(&"some words ".repeat(20));
            }
            for _ in 0..100 {
                last = id_of(&witness.event("message"));
                speaker.event("message");
            }
        }
        last
    };
    let first = say(100) - 99;
    let long_ago = say(14_900);
    // One reads nothing for now, and has something to say; the other reads at once.
    let mut slow = daemon.open("/?since=0&name=Slow");
    slow.send_text("at last");
    slow.send_text("/ping 7");
    let mut quick = daemon.open(&format!("/?quiet=1&since={first}"));
    hear_up_to(&mut quick, first, long_ago);
    drop(quick);
    // Ten times what may wait for a reader is said meanwhile.
    let last = say(3_000);
    let welcome = slow.frame().json();
    assert_eq!((&welcome["type"], &welcome["name"]), (&"welcome".into(), &"Slow".into()));
    hear_up_to(&mut slow, first - 1, last);
    let users = slow.event("users");
    assert_eq!((&users["online"], &users["users"][2]), (&3.into(), &"Slow".into()), "now it is in");
    // What it had to say comes behind all that it missed.
    assert_eq!(slow.event("pong")["token"], "7");
    assert_eq!(id_of(&slow.event("message")), last + 1);
    assert_eq!(witness.event("message")["mess"], "at last");
}

#[test]
fn the_last_words_before_a_signal_are_kept() {
    let folder = Folder::new();
    let file = folder.file("room.db");
    let mut daemon = start(&file);
    let mut member = daemon.open("/?quiet=1");
    let words: Vec<u8> = (0..200).flat_map(|nth| masked_frame(0x81, nth.to_string().as_bytes())).collect();
    member.send(&words);
    assert_eq!(member.message(), "0");
    daemon.signal("TERM");
    let mut heard = 1;
    let close = loop {
        let frame = member.frame();
        if frame.first_byte == 0x88 {
            break frame;
        }
        assert_eq!(frame.json()["mess"], heard.to_string());
        heard += 1;
    };
    assert_eq!(close.close_code(), 1001);
    member.send_close(1001);
    assert_eq!(member.next_frame(), None);
    drop(member);
    assert_eq!(daemon.wait().code(), Some(0));
    let kept = past(&start(&file), "since=0");
    assert_eq!(kept.len(), heard, "what was heard was kept, and nothing else");
}

#[test]
fn without_a_flag_the_file_is_in_the_working_directory_or_where_systemd_says() {
    let folder = Folder::new();
    let state = folder.file("state");
    fs::create_dir(&state).unwrap();
    for (directories, file) in
        [(None, folder.file("roomd.db")), (Some(format!("{state}:/elsewhere")), folder.file("state/history.db"))]
    {
        let mut command = Command::new(env!("CARGO_BIN_EXE_roomd"));
        command.args(["--listen", "127.0.0.1:0"]).current_dir(folder.path());
        command.env_remove("ROOMD_HISTORY").env_remove("STATE_DIRECTORY").env_remove("RUST_LOG");
        command.envs(directories.map(|directories| ("STATE_DIRECTORY", directories)));
        let daemon = Daemon::spawn(command);
        assert!(Path::new(&file).is_file(), "{file}");
        stop(daemon);
    }
}

#[test]
fn a_file_that_cannot_be_used_is_said_so_in_one_sentence_and_ends_with_exit_code_1() {
    let folder = Folder::new();
    let in_use = folder.file("in-use.db");
    let _first = start(&in_use);
    let newer = folder.file("newer.db");
    stop(start(&newer));
    // The version of the file is in bytes 60 to 63 of its header (sqlite.org, Database File Format, section 1.3).
    let mut bytes = fs::read(&newer).unwrap();
    bytes[60..64].copy_from_slice(&99_u32.to_be_bytes());
    fs::write(&newer, bytes).unwrap();
    let text = folder.file("text");
    fs::write(&text, "To whom it may concern. ".repeat(400)).unwrap();
    for (file, reason) in [
        (in_use, "another process has it open"),
        (newer, "a later roomd has written it (version 99)"),
        (text, "it is damaged or no database at all"),
        (folder.file("no/such/directory"), "there is no such directory"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_roomd"));
        command.args(["--listen", "127.0.0.1:0", "--history", &file]).env_remove("RUST_LOG");
        let Output { status, stderr, .. } = command.output().unwrap();
        let stderr = String::from_utf8(stderr).unwrap();
        assert_eq!((status.code(), stderr.lines().count()), (Some(1), 1), "{stderr}");
        assert!(stderr.starts_with(&format!("roomd: cannot open the history {file}: {reason}")), "{stderr}");
    }
}

/// A disk that is full is played by a limit on the size of files; the signal that goes with it is ignored, so that writing
/// fails, as on a full disk. Then the limit is lifted from outside, as if somebody had made room.
#[cfg(target_os = "linux")]
#[test]
fn while_nothing_can_be_written_messages_are_refused_and_then_it_goes_on_by_itself() {
    let folder = Folder::new();
    let mut command = Command::new("sh");
    command
        .args(["-c", "trap '' XFSZ; ulimit -S -f 512; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_roomd")])
        .args(["--listen", "127.0.0.1:0", "--no-rate-limit", "--history", &folder.file("room.db")])
        .env_remove("RUST_LOG");
    let mut daemon = Daemon::spawn(command);
    let mut speaker = daemon.open("/?quiet=1");
    let mut witness = daemon.open("/?quiet=1");
    let mut kept = 0;
    // 256 KiB, twice: the file, and the log in front of it.
    for nth in 0.. {
        assert!(nth < 200, "the limit holds");
        speaker.send_text(&format!("{nth} {}", "x".repeat(8_000)));
        let answer = speaker.frame().json();
        if answer["type"] == "error" {
            assert_eq!(answer["code"], "history-unavailable");
            break;
        }
        kept = id_of(&answer);
    }
    let log = daemon.wait_for_log("WARN");
    assert!(log.contains("history"), "{log}");

    // The room stays up: who is in it can still do all that needs no disk.
    speaker.send_text("/who");
    assert_eq!(speaker.event("users")["online"], 2);
    let mut newcomer = daemon.open("/");
    assert_eq!(newcomer.event("welcome")["last"], kept);

    let limit = Command::new("prlimit").args([&format!("--pid={}", daemon.pid()), "--fsize=unlimited"]).status();
    assert!(limit.unwrap().success());
    speaker.send_text("there is room again");
    assert_eq!(id_of(&speaker.event("message")), kept + 1);
    daemon.wait_for_log("again");
    let first = id_of(&witness.frame().json());
    for id in first + 1..=kept + 1 {
        assert_eq!(id_of(&witness.frame().json()), id, "nobody else has noticed anything");
    }
    assert_eq!(past(&daemon, &format!("since={kept}")), [(kept + 1, "there is room again".to_owned())]);
}

/// Says so many things, and gives the id of the last.
fn say(daemon: &Daemon, texts: std::ops::Range<u64>) -> u64 {
    let mut client = daemon.open("/?quiet=1");
    let mut last = 0;
    for text in texts {
        client.send_text(&text.to_string());
        last = id_of(&client.event("message"));
    }
    last
}

/// Everything that the daemon sends of the past, the events without an id among it.
fn events_of(daemon: &Daemon, query: &str) -> Vec<Value> {
    let mut client = daemon.open(&format!("/?{query}"));
    client.send_text("/ping end");
    let mut events = Vec::new();
    loop {
        let event = client.frame().json();
        if event["type"] == "pong" {
            return events;
        }
        events.push(event);
    }
}

fn resets(events: &[Value]) -> Vec<&str> {
    events.iter().filter(|event| event["type"] == "reset").map(|event| event["reason"].as_str().unwrap()).collect()
}

fn ids_of(events: &[Value]) -> Vec<u64> {
    events.iter().filter(|event| event["type"] == "message").map(id_of).collect()
}

fn epoch_of(daemon: &Daemon) -> String {
    daemon.open("/").event("welcome")["epoch"].as_str().unwrap().to_owned()
}

/// The disk as it was some moments before the power was cut.
#[test]
fn who_has_seen_what_a_loss_of_power_took_is_told_so_whatever_was_lost() {
    for keep in [0, 32, 5_000, 20_000, 30_000] {
        let folder = Folder::new();
        let file = folder.file("room.db");
        let mut daemon = start(&file);
        let last = say(&daemon, 0..7);
        let (first, epoch) = (last - 6, epoch_of(&daemon));
        daemon.kill();
        let log = fs::OpenOptions::new().write(true).open(format!("{file}-wal")).unwrap();
        assert!(log.metadata().unwrap().len() > 30_000);
        log.set_len(keep).unwrap();
        drop(log);

        let daemon = start(&file);
        let again = epoch_of(&daemon);
        assert_ne!(again, epoch, "{keep}");
        // Nothing has been said yet, then less than there was, as much, and more.
        for more in [0, 3, 4, 9] {
            let newest = say(&daemon, 100..100 + more);
            assert!(more == 0 || newest > last + 9, "{keep}: {newest} is a new id");
            for since in first..=last {
                for position in [since.to_string(), format!("{epoch}-{since}")] {
                    let events = events_of(&daemon, &format!("since={position}"));
                    let found = resets(&events);
                    assert!(found == ["epoch"] || found == ["unknown"], "{keep}, {more}: {position}: {found:?}");
                }
            }
        }
        // A client that has seen nothing is sent everything that there is; one that has seen it under this epoch, the rest.
        let all = ids_of(&events_of(&daemon, "since=0"));
        let lost = all.iter().filter(|id| **id > last).count();
        assert!(lost == 16 && all.len() < 16 + 7 && all.is_sorted(), "{keep}: {all:?}");
        for (nth, id) in all.iter().enumerate() {
            let events = events_of(&daemon, &format!("since={again}-{id}"));
            assert_eq!((ids_of(&events), resets(&events)), (all[nth + 1..].to_vec(), vec![]), "{keep}: {id}");
        }
    }
}

#[test]
fn who_comes_back_to_a_file_that_was_put_back_or_deleted_is_told_so() {
    let folder = Folder::new();
    let (file, backup) = (folder.file("room.db"), folder.file("backup"));
    let daemon = start(&file);
    let early = say(&daemon, 0..3);
    stop(daemon);
    fs::copy(&file, &backup).unwrap();
    let daemon = start(&file);
    let (last, epoch) = (say(&daemon, 3..7), epoch_of(&daemon));
    assert_eq!(last, early + 4);
    stop(daemon);
    for what in ["put over it", "put in its place", "deleted", "deleted with its mark"] {
        if what != "put over it" {
            fs::remove_file(&file).unwrap();
        }
        match what {
            "deleted" => {}
            "deleted with its mark" => fs::remove_file(format!("{file}-end")).unwrap(),
            _ => assert!(fs::copy(&backup, &file).is_ok()),
        }
        let daemon = start(&file);
        say(&daemon, 10..20);
        for position in
            [last.to_string(), (early + 1).to_string(), format!("{epoch}-{last}"), format!("{epoch}-{early}")]
        {
            let events = events_of(&daemon, &format!("since={position}"));
            assert_eq!(resets(&events).len(), 1, "{what}: {position}");
            let past = ids_of(&events);
            assert!(past.len() >= 10 && past[past.len() - 10] > last, "{what}: {position}: {past:?}");
        }
        stop(daemon);
    }
}

#[test]
fn a_since_of_a_message_that_the_room_has_never_had_says_just_that() {
    let folder = Folder::new();
    let daemon = start(&folder.file("room.db"));
    let first = say(&daemon, 0..3) - 2;
    for since in [17, first - 2, first + 17, u64::MAX] {
        let events = events_of(&daemon, &format!("since={since}"));
        let reset = events.iter().find(|event| event["type"] == "reset").unwrap();
        assert_eq!(reset["mess"], format!("this room has no message {since}; starting afresh"));
        assert_eq!((&reset["reason"], ids_of(&events).len()), (&"unknown".into(), 3));
    }
    let epoch = epoch_of(&daemon);
    for nonsense in
        ["", "-", "-1", "x-1", "1-", "1-x", "18446744073709551616", "1-18446744073709551616", "00000000000000001-1"]
    {
        let events = events_of(&daemon, &format!("since={nonsense}"));
        assert_eq!((resets(&events).len(), ids_of(&events).len()), (0, 3), "as a newcomer: {nonsense:?}");
        assert_eq!(events.last().unwrap()["code"], "bad-since", "{nonsense:?}");
    }
    for (since, count) in [(format!("{epoch}-0"), 3), (format!("{}-{first}", epoch.to_uppercase()), 2)] {
        let events = events_of(&daemon, &format!("since={since}"));
        assert_eq!((resets(&events).len(), ids_of(&events).len()), (0, count), "{since}");
    }
}

/// What was seen of a room, by anybody, ever.
#[derive(Default)]
struct Seen(BTreeMap<u64, String>);

impl Seen {
    fn see(&mut self, event: &Value) {
        if event["type"] == "message" {
            let (id, text) = (id_of(event), text_of(event));
            let before = self.0.entry(id).or_insert_with(|| text.clone());
            assert_eq!(*before, text, "message {id} is always the same");
        }
    }

    fn last(&self) -> u64 {
        self.0.last_key_value().map_or(0, |(id, _)| *id)
    }

    /// What a client had received when the daemon was killed; the last frame may be a part of one.
    fn see_rest(&mut self, mut client: Raw) {
        let bytes = client.read_to_end();
        let mut rest = &bytes[..];
        while let Some((frame, len)) = parse_frame(rest) {
            self.see(&frame.json());
            rest = &rest[len..];
        }
    }
}

/// Says one thing after the other until the daemon is gone.
fn keep_talking(client: &Raw, kill: usize, speaker: usize) -> std::thread::JoinHandle<()> {
    let mut stream = client.stream.try_clone().unwrap();
    std::thread::spawn(move || {
        for nth in 0..MOST_SAID {
            let text = format!("{kill} {speaker} {nth}");
            if stream.write_all(&masked_frame(0x81, text.as_bytes())).is_err() {
                return;
            }
        }
    })
}

#[test]
fn what_anybody_saw_is_there_after_a_kill() {
    let folder = Folder::new();
    let file = folder.file("room.db");
    let mut seen = Seen::default();
    let (mut since, mut first) = (0, 0);
    for kill in 0..KILLS {
        let mut daemon = start(&file);
        // Comes back: what it missed, and then the present, without a gap or a repetition.
        let mut witness = daemon.open(&format!("/?since={since}"));
        let welcome = witness.frame().json();
        let last = welcome["last"].as_u64().unwrap();
        assert!(last >= seen.last(), "kill {kill}: message {} was seen and is lost; the last is {last}", seen.last());
        let speakers: Vec<Raw> = (0..SPEAKERS).map(|_| daemon.open("/?quiet=1")).collect();
        let talking: Vec<_> =
            speakers.iter().enumerate().map(|(nth, client)| keep_talking(client, kill, nth)).collect();
        // Now early, now late.
        let more = 1 + (kill as u64 * 37) % 400;
        let mut newest = since;
        while newest < first.max(last) + more {
            let event = witness.frame().json();
            assert_ne!(event["type"], "reset", "kill {kill}");
            seen.see(&event);
            if event["type"] == "message" {
                // The first ids are those of the time at which the file was made.
                newest = if newest == 0 { id_of(&event) } else { newest + 1 };
                first = if first == 0 { newest } else { first };
                assert_eq!(id_of(&event), newest, "kill {kill}: unbroken from {since} on");
            }
        }
        daemon.kill();
        for talking in talking {
            talking.join().unwrap();
        }
        seen.see_rest(witness);
        for speaker in speakers {
            seen.see_rest(speaker);
        }
        // The next begins somewhere in what was said under this one, be it written only or seen.
        since = first.max(last) + (kill as u64 * 17) % (more + 1);
    }

    // All that there is, page by page from the end.
    let daemon = start(&file);
    let mut client = daemon.open("/?name=Zoë");
    let last = client.frame().json()["last"].as_u64().unwrap();
    let mut before = last + 1;
    let mut kept = BTreeMap::new();
    while before > first {
        client.send_text(&format!("/history {before}"));
        let page = client.event("history");
        for message in page["messages"].as_array().unwrap().iter().rev() {
            before -= 1;
            assert_eq!(id_of(message), before, "ids have no gaps");
            kept.insert(before, text_of(message));
        }
        assert_eq!(page["more"], before > first);
    }
    assert_eq!(kept.len() as u64, last + 1 - first);
    for (id, text) in &seen.0 {
        assert_eq!(kept.get(id), Some(text), "message {id}");
    }
    // Of each speaker under each daemon: the first so many, each once, in the order in which they were said.
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for text in kept.values() {
        let (speaker, nth) = text.rsplit_once(' ').unwrap();
        let count = counts.entry(speaker).or_default();
        assert_eq!(nth.parse(), Ok(*count), "{text}");
        *count += 1;
    }
    println!("{KILLS} kills, {} messages kept, {} of them seen", kept.len(), seen.0.len());
}
