//! Files of earlier versions: what was said is there, and the room goes on. The versions are those of `schema.rs`.

use std::path::Path;
use std::process::Command;

use rusqlite::Connection;
use serde_json::Value;

use crate::support::{Daemon, Folder};

const VERSIONS: &[(u32, &str)] = &[(1, include_str!("version-1.sql")), (2, include_str!("version-2.sql"))];

/// What is in each of the files: of the lobby, and of the tea room.
const LOBBY: &[(&str, &str, &str)] = &[
    ("message", "Ann", "first"),
    ("message", "Ann", "second"),
    ("action", "Ann", "waves"),
    ("message", "Tourist 1", "from a tourist"),
    ("message", "Tourist 2", "another tourist"),
];
const TEA_ROOM: &[(&str, &str, &str)] =
    &[("message", "李雷", "汉字 😀"), ("message", "李雷", "quotes ' and \" and ; --")];

/// The events of the messages in a room, up to the one that says `last`.
fn messages(daemon: &Daemon, target: &str, last: &str) -> Vec<Value> {
    let mut client = daemon.open(target);
    let mut found = Vec::new();
    loop {
        let event = client.frame().json();
        if matches!(event["type"].as_str(), Some("message" | "action")) {
            found.push(event);
            if found.last().is_some_and(|event| event["mess"] == last) {
                return found;
            }
        }
    }
}

fn roomd(args: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_roomd")).args(args).output().unwrap();
    (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

fn check(file: &str) -> (Option<i32>, String) {
    roomd(&["check", file])
}

#[test]
fn a_file_of_each_earlier_version_is_read_goes_on_and_is_sound_afterwards() {
    for (version, sql) in VERSIONS {
        let folder = Folder::new();
        let file = folder.file("history.db");
        Connection::open(Path::new(&file)).unwrap().execute_batch(sql).unwrap();
        let (code, report) = check(&file);
        assert_eq!(code, Some(0), "version {version}, before: {report}");
        assert!(report.contains(&format!("version {version}, 2 rooms, 7 messages")), "{report}");

        // With the new program, before it has touched the file.
        let copy = folder.file("copy.db");
        let said = roomd(&["backup", "--history", &file, &copy]);
        assert_eq!(said.0, Some(0), "{}", said.1);
        assert!(said.1.starts_with(&format!("wrote {copy}: 2 rooms, 7 messages, ")), "{}", said.1);
        assert!(check(&copy).1.contains(&format!("version {version}, 2 rooms, 7 messages")));
        let (code, said) = roomd(&["rooms", "--history", &file]);
        assert!(code == Some(0) && said.contains("\n2 rooms, 7 messages, "), "{said}");

        let mut daemon = Daemon::start(&["--history", &file]);
        for (target, expected) in [("/r/lobby", LOBBY), ("/r/tea%20room", TEA_ROOM)] {
            let found = messages(&daemon, target, expected.last().unwrap().2);
            let seen: Vec<(&str, &str, &str)> = found
                .iter()
                .map(|event| ["type", "name", "mess"].map(|key| event[key].as_str().unwrap()))
                .map(|[kind, name, text]| (kind, name, text))
                .collect();
            assert_eq!(seen, expected, "version {version}");
            let ids: Vec<u64> = found.iter().map(|event| event["id"].as_u64().unwrap()).collect();
            assert_eq!(ids, (1..=expected.len() as u64).collect::<Vec<_>>(), "version {version}");
        }
        let mut tourist = daemon.open("/r/lobby");
        let name = tourist.event("welcome")["name"].clone();
        assert!(!matches!(name.as_str(), Some("Tourist 1" | "Tourist 2")), "{name} has spoken before");
        tourist.send_text("it goes on");
        let spoken = messages(&daemon, "/r/lobby", "it goes on");
        assert_eq!(spoken.len(), LOBBY.len() + 1);
        assert!(spoken.last().unwrap()["id"].as_u64() > Some(LOBBY.len() as u64), "no id is given twice");
        daemon.signal("TERM");
        assert_eq!(daemon.wait().code(), Some(0));

        let (code, report) = check(&file);
        assert_eq!(code, Some(0), "version {version}, afterwards: {report}");
        assert!(report.contains("2 rooms, 8 messages"), "{report}");
    }
}
