//! What becomes of a history whose file is damaged, moved away or taken over by the next daemon.

use std::fs;

use std::process::{Command, Output};

use crate::support::{Daemon, Folder, Raw};
use serde_json::Value;

fn start(file: &str) -> Daemon {
    Daemon::start(&["--history", file, "--no-rate-limit"])
}

fn stop(mut daemon: Daemon) {
    daemon.signal("TERM");
    assert_eq!(daemon.wait().code(), Some(0));
}

/// Status line and body.
fn health(daemon: &Daemon) -> String {
    let mut client = daemon.connect();
    client.send(b"GET /healthz HTTP/1.1\r\nHost: roomd.test\r\nConnection: close\r\n\r\n");
    let answer = String::from_utf8(client.read_to_end()).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    format!("{} {body}", head.lines().next().unwrap())
}

/// Flips one bit of a word that stands in the file.
fn flip_in(file: &str, word: &str) {
    let mut bytes = fs::read(file).unwrap();
    let at = bytes.windows(word.len()).position(|window| window == word.as_bytes()).unwrap();
    bytes[at] ^= 1;
    fs::write(file, bytes).unwrap();
}

/// A file in which this was said in the lobby, and nobody has it open.
fn file_with(folder: &Folder, texts: &[&str]) -> String {
    let file = folder.file("room.db");
    let daemon = start(&file);
    let mut member = daemon.open("/?quiet=1");
    for text in texts {
        member.send_text(text);
        assert_eq!(member.message(), *text);
    }
    drop(member);
    stop(daemon);
    file
}

fn check(file: &str) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } =
        Command::new(env!("CARGO_BIN_EXE_roomd")).args(["check", file]).output().unwrap();
    (status.code(), String::from_utf8([stdout, stderr].concat()).unwrap())
}

fn is_damaged(event: &Value) -> bool {
    event["damaged"] == true
        && event["name"] == "roomd"
        && event["mess"].as_str().is_some_and(|mess| mess.contains("damaged"))
}

#[test]
fn a_flipped_bit_in_the_newest_message_keeps_nobody_out_and_is_told() {
    let folder = Folder::new();
    let file = file_with(&folder, &["first", "second", "newest"]);
    flip_in(&file, "newest");
    let (code, said) = check(&file);
    let id: u64 = said.split("message ").nth(1).and_then(|said| said.split(' ').next()?.parse().ok()).expect("an id");
    assert!(code == Some(1) && said.contains(&format!("room \"lobby\": message {id} is damaged")), "{said}");

    let mut daemon = start(&file);
    assert_eq!(health(&daemon), "HTTP/1.1 200 OK ok\n", "nobody has looked there");
    let mut member = daemon.open("/");
    assert_eq!(member.event("welcome")["last"], id);
    assert_eq!([member.message(), member.message()], ["first", "second"]);
    let damaged = member.event("message");
    assert!(damaged["id"] == id && is_damaged(&damaged), "{damaged}");
    let log = daemon.wait_for_log("WARN");
    assert!(log.contains(&format!("of lobby, message {id} is damaged")), "{log}");
    assert!(health(&daemon).starts_with("HTTP/1.1 200 OK ok\nhistory: damaged"), "{}", health(&daemon));

    let mut other = daemon.open("/r/other?name=Ann");
    other.send_text("/join lobby");
    assert_eq!(other.event("welcome")["room"], "other");
    let welcome = other.event("welcome");
    assert_eq!((&welcome["room"], &welcome["name"]), (&"lobby".into(), &"Ann".into()));
    member.send_text("it goes on");
    assert_eq!(member.event("message")["id"], id + 1);
    member.send_text(&format!("/history {}", id + 1));
    let page = member.event("history");
    let ids: Vec<u64> =
        page["messages"].as_array().unwrap().iter().map(|message| message["id"].as_u64().unwrap()).collect();
    assert_eq!(ids, [id - 2, id - 1, id]);
    assert!(is_damaged(&page["messages"][2]), "{page}");
    let mut back = daemon.open("/?quiet=1&since=0");
    let heard = [(); 4].map(|()| back.frame().json()["id"].as_u64().unwrap());
    assert_eq!(heard, [id - 2, id - 1, id, id + 1], "who missed it is told");
}

#[test]
fn a_file_that_is_moved_away_takes_nothing_and_goes_on_when_it_is_back() {
    let folder = Folder::new();
    let file = folder.file("room.db");
    let mut daemon = start(&file);
    let mut member = daemon.open("/?quiet=1");
    member.send_text("kept");
    let kept = member.event("message");
    // Nobody says anything: it is noticed all the same.
    fs::rename(&file, folder.file("aside.db")).unwrap();
    let log = daemon.wait_for_log("WARN");
    assert!(log.contains("is gone"), "{log}");
    assert!(health(&daemon).starts_with("HTTP/1.1 503 "), "{}", health(&daemon));
    member.send_text("lost");
    assert_eq!(member.frame().json()["code"], "history-unavailable");

    fs::rename(folder.file("aside.db"), &file).unwrap();
    daemon.wait_for_log("can be written again");
    assert_eq!(health(&daemon), "HTTP/1.1 200 OK ok\n");
    member.send_text("kept again");
    assert_eq!(member.frame().json()["id"], kept["id"].as_u64().unwrap() + 1);
    drop(member);
    stop(daemon);
    assert_eq!(check(&file).0, Some(0));
}

#[test]
fn what_is_said_into_a_file_that_was_replaced_is_refused_until_a_restart_uses_the_other() {
    let folder = Folder::new();
    let other = file_with(&folder, &["of the other"]);
    let file = folder.file("history.db");
    let mut daemon = start(&file);
    let mut member = daemon.open("/?quiet=1");
    member.send_text("of the first");
    assert_eq!(member.message(), "of the first");
    fs::rename(&other, &file).unwrap();
    member.send_text("refused");
    assert_eq!(member.frame().json()["code"], "history-unavailable");
    assert!(daemon.wait_for_log("WARN").contains("another file lies where the history"));
    drop(member);
    stop(daemon);
    assert_eq!(check(&file).0, Some(0), "the daemon has not reschedule it");
    let daemon = start(&file);
    assert_eq!(daemon.open("/").event("message")["mess"], "of the other");
}

#[test]
fn the_numbers_of_tourists_go_on_after_a_restart_and_after_a_kill() {
    let folder = Folder::new();
    let file = folder.file("room.db");
    let number = |member: &mut Raw| {
        let welcome = member.event("welcome");
        let name = welcome["name"].as_str().unwrap().to_owned();
        name.strip_prefix("Tourist ").unwrap().parse::<u64>().unwrap()
    };
    let daemon = start(&file);
    assert_eq!([number(&mut daemon.open("/")), number(&mut daemon.open("/"))], [1, 2]);
    stop(daemon);
    let mut daemon = start(&file);
    assert_eq!(number(&mut daemon.open("/")), 3, "an orderly end wastes none");
    daemon.kill();
    let daemon = start(&file);
    let after = number(&mut daemon.open("/"));
    assert!((4..=2_003).contains(&after), "{after} after a kill");
}

#[test]
fn a_check_says_the_same_of_a_file_while_a_daemon_is_at_work_and_afterwards() {
    let folder = Folder::new();
    let file = file_with(&folder, &["a", "b"]);
    let fine = (Some(0), format!("{file}\nversion 4, 1 room, 2 messages that can be read\nfine\n"));
    let daemon = start(&file);
    assert_eq!(check(&file), fine);
    stop(daemon);
    assert_eq!(check(&file), fine);
    fs::write(&file, "To whom it may concern. ".repeat(400)).unwrap();
    let (code, said) = check(&file);
    assert!(code == Some(1) && said.contains("no database at all"), "{said}");
}
