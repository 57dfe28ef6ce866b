//! The chat as `docs/protocol.md` promises it, over real sockets: rooms, names, private messages, commands, coming
//! back, and for every error that nobody but the one who caused it notices.
//!
//! What a member did not hear is shown by what it hears next: somebody says a word behind it.

mod support;

use std::collections::BTreeSet;
use std::time::Instant;

use serde_json::{Value, json};
use support::{Daemon, PATIENCE, Raw, handshake, masked_frame};

/// Comes to a room and reads the welcome.
fn come(daemon: &Daemon, path: &str) -> (Raw, Value) {
    let mut member = daemon.open(path);
    let welcome = next(&mut member);
    assert_eq!(welcome["type"], "welcome", "{welcome}");
    (member, welcome)
}

/// Comes to a room under a name. There is nothing of the past in it that would follow.
fn come_as(daemon: &Daemon, room: &str, name: &str) -> Raw {
    let (member, welcome) = come(daemon, &format!("/r/{room}?name={name}"));
    assert_eq!((&welcome["name"], &welcome["room"]), (&name.into(), &room.into()));
    member
}

/// The very next event.
fn next(member: &mut Raw) -> Value {
    member.frame().json()
}

/// The very next event has that type.
fn next_is(member: &mut Raw, kind: &str) -> Value {
    let event = next(member);
    assert_eq!(event["type"], kind, "{event}");
    event
}

/// The very next event is an error; this is its code.
fn next_code(member: &mut Raw) -> String {
    let error = next_is(member, "error");
    assert_eq!(error["name"], "roomd");
    assert!(error["mess"].as_str().is_some_and(|sentence| !sentence.is_empty()), "{error}");
    error["code"].as_str().expect("an error has a code").to_owned()
}

/// The very next event is this message by that member.
fn next_says(member: &mut Raw, name: &str, text: &str) {
    let event = next_is(member, "message");
    assert_eq!((&event["name"], &event["mess"]), (&name.into(), &text.into()));
}

/// So many messages, each of which the speaker has seen. Gives them as they were sent.
fn say_so_many(speaker: &mut Raw, count: usize) -> Vec<Value> {
    (1..=count)
        .map(|nth| {
            speaker.send_text(&format!("message {nth}"));
            speaker.event("message")
        })
        .collect()
}

fn id_of(event: &Value) -> u64 {
    event["id"].as_u64().unwrap_or_else(|| panic!("a message has an id: {event}"))
}

/// More than any id will ever be: numbers of JSON are exact up to 2^53.
const FAR_IN_THE_FUTURE: u64 = 1 << 53;

fn percent(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

// ---- Rooms --------------------------------------------------------------------------------------------------------

#[test]
fn rooms_do_not_hear_each_other() {
    let daemon = Daemon::start(&[]);
    let mut ann = come_as(&daemon, "one", "Ann");
    // The name is free here, though somebody has it elsewhere.
    let mut other = come_as(&daemon, "two", "Ann");
    ann.send_text("in one");
    other.send_text("in two");
    let mut ids = Vec::new();
    for (member, text, room) in [(&mut ann, "in one", "one"), (&mut other, "in two", "two")] {
        let event = next_is(member, "message");
        assert_eq!((&event["mess"], &event["room"]), (&text.into(), &room.into()));
        ids.push(id_of(&event));
    }
    other.send_text("/msg Ann to oneself");
    next_is(&mut other, "private");
    drop(other);
    ann.send_text("and nothing else");
    let event = next_is(&mut ann, "message");
    assert_eq!((&event["mess"], id_of(&event)), (&"and nothing else".into(), ids[0] + 1), "each counts for itself");
}

#[test]
fn the_case_of_a_room_counts_and_the_root_is_the_lobby() {
    let daemon = Daemon::start(&[]);
    let mut lobby = daemon.open("/");
    assert_eq!(next_is(&mut lobby, "welcome")["room"], "lobby");
    let (_, welcome) = come(&daemon, "/r/Lobby");
    assert_eq!((&welcome["room"], &welcome["online"]), (&"Lobby".into(), &1.into()));
    let (_, welcome) = come(&daemon, "/r/lobby");
    assert_eq!(welcome["online"], 2);
}

#[test]
fn a_room_has_a_chinese_name_from_its_address_to_the_log() {
    let mut daemon = Daemon::start(&[]);
    for (path, room) in [("/r/%E6%B1%89%E5%AD%97", "汉字"), ("/r/two%20words", "two words"), ("/r/cafe%CC%81", "café")]
    {
        let (mut member, welcome) = come(&daemon, path);
        assert_eq!(welcome["room"], room);
        assert!(welcome["mess"].as_str().unwrap().contains(room), "{welcome}");
        member.send_text("here");
        assert_eq!(next(&mut member)["room"], room);
        assert!(daemon.wait_for_log("came to").contains(&format!("came to {room} as Tourist")));
        let mut page = daemon.connect();
        page.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes());
        assert!(page.read_head().starts_with("HTTP/1.1 200 "), "the page of {room}");
    }
}

#[test]
fn who_moves_leaves_the_old_room_and_is_welcomed_in_the_new_one() {
    let daemon = Daemon::start(&[]);
    let mut stays = come_as(&daemon, "old", "Bea");
    let mut there = come_as(&daemon, "new", "Cid");
    there.send_text("the past");
    let past = next_is(&mut there, "message");
    let mut moves = come_as(&daemon, "old", "Ann");
    assert_eq!(next_is(&mut stays, "join")["name"], "Ann");

    // In one packet: the last word is said in the old room, the first one behind the command in the new.
    let words = ["goodbye", "/join new", "hello"].map(|text| masked_frame(0x81, text.as_bytes()));
    moves.send(&words.concat());
    next_says(&mut moves, "Ann", "goodbye");
    let welcome = next_is(&mut moves, "welcome");
    assert_eq!((&welcome["room"], &welcome["name"]), (&"new".into(), &"Ann".into()));
    assert_eq!(welcome["users"], json!(["Cid", "Ann"]));
    assert_eq!(welcome["last"], past["id"]);
    assert_eq!(next(&mut moves), past);
    next_says(&mut moves, "Ann", "hello");

    next_says(&mut stays, "Ann", "goodbye");
    let leave = next_is(&mut stays, "leave");
    assert_eq!((&leave["name"], &leave["online"], &leave["room"]), (&"Ann".into(), &1.into(), &"old".into()));
    assert_eq!(next_is(&mut there, "join")["name"], "Ann");
    next_says(&mut there, "Ann", "hello");
    stays.send_text("alone");
    next_says(&mut stays, "Bea", "alone");
}

#[test]
fn who_moves_where_its_name_is_taken_becomes_a_tourist_and_is_told_why() {
    let mut daemon = Daemon::start(&[]);
    let mut holder = come_as(&daemon, "new", "Ann");
    let mut moves = come_as(&daemon, "old", "ANN");
    moves.send_text("/join new");
    assert_eq!(next_is(&mut moves, "welcome")["name"], "Tourist 1");
    assert_eq!(next_code(&mut moves), "name-taken");
    assert_eq!(next_is(&mut holder, "join")["name"], "Tourist 1");
    assert!(daemon.wait_for_log("moved").contains("#2 moved to new as Tourist 1"), "the operator can follow");
    // The name that it had in the old room is not held there any more.
    come_as(&daemon, "old", "ANN");
}

#[test]
fn a_tourist_who_moves_keeps_its_number() {
    let daemon = Daemon::start(&[]);
    let (mut member, welcome) = come(&daemon, "/");
    assert_eq!(welcome["name"], "Tourist 1");
    member.send_text("/join elsewhere");
    assert_eq!(next_is(&mut member, "welcome")["name"], "Tourist 1");
    member.send_text("/join lobby");
    assert_eq!(next_is(&mut member, "welcome")["name"], "Tourist 1");
}

#[test]
fn a_room_of_more_than_64_bytes_is_404_in_an_address_and_bad_room_in_a_command() {
    const SENTENCE: &str = "A room's name has 1 to 64 bytes in UTF-8.";
    let daemon = Daemon::start(&[]);
    let longest = "x".repeat(64);
    let (mut member, _) = come(&daemon, &format!("/r/{longest}"));
    for room in ["x".repeat(65), "汉".repeat(22)] {
        let path = format!("/r/{}", percent(&room));
        for request in [handshake(&path), format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")] {
            let mut client = daemon.connect();
            client.send(request.as_bytes());
            let answer = String::from_utf8(client.read_to_end()).unwrap();
            assert!(
                answer.starts_with("HTTP/1.1 404 ") && answer.ends_with(&format!("\r\n\r\n{SENTENCE}\n")),
                "{answer}"
            );
        }
        member.send_text(&format!("/join {room}"));
        let error = next_is(&mut member, "error");
        assert_eq!((&error["code"], &error["mess"]), (&"bad-room".into(), &SENTENCE.into()));
    }
}

#[test]
fn what_no_room_can_be_called_is_404_in_an_address_and_bad_room_in_a_command() {
    let daemon = Daemon::start(&[]);
    let (mut member, _) = come(&daemon, "/");
    for room in ["a/b", "..", "a\u{202E}b", "a\u{200B}b", "a\u{7f}b"] {
        let mut client = daemon.connect();
        client.send(handshake(&format!("/r/{}", percent(room))).as_bytes());
        assert!(client.read_head().starts_with("HTTP/1.1 404 "), "{room:?}");
        member.send_text(&format!("/join {room}"));
        assert_eq!(next_code(&mut member), "bad-room", "{room:?}");
    }
    for segment in ["", "%FF", "%20a", "lobby/", "%zz", "%", "100%", "%4", "%C3", "%00", "%C0%AF", "%ED%A0%80"] {
        let mut client = daemon.connect();
        client.send(handshake(&format!("/r/{segment}")).as_bytes());
        assert!(client.read_head().starts_with("HTTP/1.1 404 "), "{segment}");
    }
}

#[test]
fn one_room_too_many_is_1013_at_the_door_and_an_error_for_who_is_inside() {
    let mut daemon = Daemon::start(&["--max-rooms", "2"]);
    let (mut one, _) = come(&daemon, "/r/one");
    let two = daemon.open("/r/two");
    let mut third = daemon.open("/r/three");
    assert_eq!(third.frame().close_code(), 1013);
    drop(third);
    assert!(daemon.wait_for_log("too many rooms").starts_with('['));
    one.send_text("/join three");
    assert_eq!(next_code(&mut one), "too-many-rooms");
    one.send_text("still in one");
    assert_eq!(next(&mut one)["room"], "one");
    // A room that nobody is in, and in which nothing was said, is none.
    drop(two);
    daemon.wait_for_log("#2 left");
    come(&daemon, "/r/three");
}

#[test]
fn an_empty_room_makes_place_for_a_new_one_and_what_was_said_in_it_is_forgotten() {
    let mut daemon = Daemon::start(&["--max-rooms", "1"]);
    let (mut member, _) = come(&daemon, "/r/one");
    member.send_text("soon forgotten");
    let forgotten = next_is(&mut member, "message");
    drop(member);
    daemon.wait_for_log("#1 left");
    let (member, welcome) = come(&daemon, "/r/one");
    assert_eq!(welcome["last"], forgotten["id"], "it is remembered as long as nobody needs the place");
    drop(member);
    daemon.wait_for_log("#2 left");
    let (member, _) = come(&daemon, "/r/two");
    drop(member);
    daemon.wait_for_log("#3 left");
    let (mut member, welcome) = come(&daemon, "/r/one");
    assert_eq!(welcome["last"], 0);
    member.send_text("the first");
    let first = next_is(&mut member, "message");
    assert!(id_of(&first) > id_of(&forgotten), "{first} could be taken for what followed {forgotten}");
    // Who remembers the old room is told that this is another one.
    let mut returns = daemon.open(&format!("/r/one?quiet=1&since={}", id_of(&forgotten)));
    assert_eq!(next_is(&mut returns, "reset")["last"], first["id"]);
}

// ---- Names --------------------------------------------------------------------------------------------------------

#[test]
fn a_new_name_is_told_to_all_and_what_is_said_behind_it_is_said_under_it() {
    let daemon = Daemon::start(&[]);
    let mut witness = come_as(&daemon, "r", "Bea");
    let (mut member, welcome) = come(&daemon, "/r/r");
    next_is(&mut witness, "join");
    let words = ["before", "/nick 王小明", "behind"].map(|text| masked_frame(0x81, text.as_bytes()));
    member.send(&words.concat());
    for listener in [&mut member, &mut witness] {
        next_says(listener, welcome["name"].as_str().unwrap(), "before");
        let rename = next_is(listener, "rename");
        assert_eq!((&rename["from"], &rename["name"]), (&welcome["name"], &"王小明".into()));
        assert_eq!(rename["room"], "r");
        next_says(listener, "王小明", "behind");
    }
    member.send_text("/who");
    assert_eq!(next_is(&mut member, "users")["users"], json!(["Bea", "王小明"]));
}

#[test]
fn a_name_in_the_address_is_had_from_the_first_moment_on() {
    let daemon = Daemon::start(&[]);
    let mut witness = come_as(&daemon, "r", "Bea");
    let (_ann, welcome) = come(&daemon, "/r/r?name=Zoe%CC%88+B.");
    assert_eq!((&welcome["name"], &welcome["users"]), (&"Zoë B.".into(), &json!(["Bea", "Zoë B."])));
    assert_eq!(next_is(&mut witness, "join")["name"], "Zoë B.");
}

/// A newcomer whose name cannot be had is in all the same.
#[test]
fn a_name_in_the_address_that_cannot_be_had_is_an_error_behind_the_past() {
    let daemon = Daemon::start(&[]);
    let mut holder = come_as(&daemon, "r", "Ann");
    holder.send_text("the past");
    next_says(&mut holder, "Ann", "the past");
    let rows = [("aNN", "name-taken"), ("%D0%90nn", "name-too-similar"), ("", "bad-name"), ("Tourist+7", "bad-name")];
    for (nth, (name, code)) in (1..).zip(rows) {
        let (mut member, welcome) = come(&daemon, &format!("/r/r?name={name}"));
        assert_eq!(welcome["name"], format!("Tourist {nth}"));
        next_says(&mut member, "Ann", "the past");
        assert_eq!(next_code(&mut member), code, "{name}");
        drop(member);
        assert_eq!(next_is(&mut holder, "join")["name"], welcome["name"]);
        next_is(&mut holder, "leave");
    }
    let mut quiet = daemon.open("/r/r?quiet=1&name=ANN");
    assert_eq!(next_code(&mut quiet), "name-taken", "a quiet one is told as well");
}

#[test]
fn what_nobody_may_be_called_is_a_bad_name() {
    let daemon = Daemon::start(&["--no-rate-limit"]);
    let (mut member, _) = come(&daemon, "/");
    let too_long = "x".repeat(33);
    let bad = [
        &too_long,
        "a\u{202E}b",
        "a\u{2066}b",
        "a\u{200B}b",
        "a\u{200D}b",
        "a\u{FEFF}b",
        "a\u{3164}b",
        "a\u{A0}b",
        "a\u{1}b",
        "a  b",
        "\u{301}a",
        "Tourist 5",
        "Tourlst 5",
        "roomd",
        "r00md",
    ];
    for name in bad {
        member.send_text(&format!("/nick {name}"));
        assert_eq!(next_code(&mut member), "bad-name", "{name:?}");
    }
    for name in [&"x".repeat(32), "O'Neil-王 (2)", "\u{1F469}\u{200D}\u{1F4BB}", "مُحَمَّد"] {
        member.send_text(&format!("/nick {name}"));
        assert_eq!(next_is(&mut member, "rename")["name"], *name);
    }
}

#[test]
fn a_name_is_taken_in_any_case_and_too_similar_in_any_disguise() {
    let daemon = Daemon::start(&["--no-rate-limit"]);
    let mut holder = come_as(&daemon, "r", "Bob");
    holder.send_text("/nick Straße");
    next_is(&mut holder, "rename");
    let (mut other, _) = come(&daemon, "/r/r");
    for (name, code) in [
        ("Straße", "name-taken"),
        ("STRASSE", "name-taken"),
        ("strasse", "name-taken"),
        ("Stra\u{1E9E}e", "name-taken"),
        ("Strаsse", "name-too-similar"), // a Cyrillic а
    ] {
        other.send_text(&format!("/nick {name}"));
        assert_eq!(next_code(&mut other), code, "{name}");
    }
    // The name that the holder gave up is anybody's, and its own in another case is nobody else's.
    other.send_text("/nick BOB");
    assert_eq!(next_is(&mut other, "rename")["name"], "BOB");
    next_is(&mut holder, "join");
    next_is(&mut holder, "rename");
    holder.send_text("/nick STRASSE");
    assert_eq!(next_is(&mut holder, "rename")["name"], "STRASSE");
}

/// A name is decided in its turn: what its owner said before has happened by then.
#[test]
fn what_was_said_before_a_refused_name_is_heard_before_the_refusal() {
    let daemon = Daemon::start(&[]);
    let mut holder = come_as(&daemon, "r", "Bob");
    let mut other = come_as(&daemon, "r", "Ann");
    next_is(&mut holder, "join");
    let lines = ["before", "/nick Bob", "behind"].map(|line| masked_frame(0x81, line.as_bytes()));
    other.send(&lines.concat());
    next_says(&mut other, "Ann", "before");
    assert_eq!(next_code(&mut other), "name-taken");
    next_says(&mut other, "Ann", "behind");
}

#[test]
fn a_name_is_free_as_soon_as_its_holder_leaves_moves_or_takes_another() {
    type Goes = fn(&mut Raw);
    let ways: [Goes; 4] = [
        |holder| holder.send_close(1000),
        Raw::finish_sending,
        |holder| holder.send_text("/join elsewhere"),
        |holder| holder.send_text("/nick Somebody"),
    ];
    for goes in ways {
        // So long that the connection of the one who left is still there.
        let daemon = Daemon::start(&["--close-timeout", "10m"]);
        let mut witness = come_as(&daemon, "r", "Bea");
        let mut holder = come_as(&daemon, "r", "Ann");
        next_is(&mut witness, "join");
        goes(&mut holder);
        let news = next(&mut witness);
        assert!(["leave", "rename"].contains(&news["type"].as_str().unwrap()), "{news}");
        witness.send_text("/nick ANN");
        assert_eq!(next_is(&mut witness, "rename")["name"], "ANN");
    }
}

#[test]
fn a_name_is_free_when_its_holder_is_found_dead() {
    let daemon = Daemon::start(&["--ping-interval", "100ms", "--ping-timeout", "300ms", "--close-timeout", "10m"]);
    let mut dead = come_as(&daemon, "r", "Ann");
    let mut alive = come_as(&daemon, "r", "Bea");
    let start = Instant::now();
    let event_while_alive = |alive: &mut Raw| loop {
        let frame = alive.frame();
        match frame.first_byte {
            0x89 => {
                assert!(start.elapsed() < PATIENCE, "nothing happens but pings");
                alive.send(&masked_frame(0x8a, &frame.payload));
            }
            _ => return frame.json(),
        }
    };
    assert_eq!(event_while_alive(&mut alive)["type"], "leave");
    alive.send_text("/nick Ann");
    let rename = event_while_alive(&mut alive);
    assert_eq!((&rename["type"], &rename["name"]), (&"rename".into(), &"Ann".into()));
    // Its socket is still open: it has been told, and has not answered.
    assert_eq!(next_is(&mut dead, "join")["name"], "Bea");
    assert_eq!(dead.frame().first_byte, 0x89);
    assert_eq!(dead.frame().close_code(), 1008);
}

// ---- Private messages and other commands --------------------------------------------------------------------------

#[test]
fn a_private_message_reaches_one_and_comes_back_as_a_receipt_and_nobody_else_hears_it() {
    let daemon = Daemon::start(&[]);
    let mut third = come_as(&daemon, "r", "Cid");
    let mut ann = come_as(&daemon, "r", "Ann");
    let mut tourist = daemon.open("/r/r");
    let name = next_is(&mut tourist, "welcome")["name"].as_str().unwrap().to_owned();
    assert_eq!(name, "Tourist 1");
    next_is(&mut ann, "join");
    for (command, to, text) in [
        (r#"/msg "Tourist 1" hello there "#, "Tourist 1", "hello there "),
        (r#"/msg "tourist 1"   汉字"#, "Tourist 1", "汉字"),
        (r#"/MSG "Tourist 1" "quoted""#, "Tourist 1", "\"quoted\""),
    ] {
        ann.send_text(command);
        for party in [&mut tourist, &mut ann] {
            let event = next_is(party, "private");
            assert_eq!((&event["name"], &event["to"], &event["mess"]), (&"Ann".into(), &to.into(), &text.into()));
            assert!(event["time"].is_u64() && event["id"].is_null(), "it is kept nowhere: {event}");
        }
    }
    tourist.send_text(r#"/nick a"b\c"#);
    for member in [&mut tourist, &mut ann] {
        next_is(member, "rename");
    }
    ann.send_text(r#"/msg "A\"B\\C" hi"#);
    for party in [&mut tourist, &mut ann] {
        assert_eq!(next_is(party, "private")["to"], r#"a"b\c"#);
    }
    ann.send_text("/msg ann a note");
    assert_eq!(next_is(&mut ann, "private")["to"], "Ann");
    ann.send_text("aloud");
    next_says(&mut ann, "Ann", "aloud");
    let seen: Vec<Value> = (0..4).map(|_| next(&mut third)).collect();
    let kinds: Vec<&str> = seen.iter().filter_map(|event| event["type"].as_str()).collect();
    assert_eq!(kinds, ["join", "join", "rename", "message"]);
    // Nor does it belong to the past.
    let (mut newcomer, _) = come(&daemon, "/r/r");
    next_says(&mut newcomer, "Ann", "aloud");
}

#[test]
fn a_private_message_reaches_nobody_in_another_room_and_no_look_alike() {
    let daemon = Daemon::start(&[]);
    let mut ann = come_as(&daemon, "one", "Ann");
    let mut bob = come_as(&daemon, "two", "Bob");
    let mut near = come_as(&daemon, "one", "B0b");
    next_is(&mut ann, "join");
    for name in ["Bob", "\"Tourist 1\"", "nobody", "*", "roomd"] {
        ann.send_text(&format!("/msg {name} hello"));
        assert_eq!(next_code(&mut ann), "no-such-name", "{name}");
    }
    for member in [&mut bob, &mut near] {
        member.send_text("nothing before this");
        assert_eq!(next(member)["mess"], "nothing before this");
    }
}

#[test]
fn an_action_is_kept_and_numbered_like_a_message() {
    let daemon = Daemon::start(&[]);
    let mut ann = come_as(&daemon, "r", "Ann");
    ann.send_text("hello");
    ann.send_text("/me waves /slowly ");
    let message = next_is(&mut ann, "message");
    let action = next_is(&mut ann, "action");
    assert_eq!(id_of(&action), id_of(&message) + 1);
    assert_eq!((&action["mess"], &action["name"]), (&"waves /slowly ".into(), &"Ann".into()));
    let (mut newcomer, welcome) = come(&daemon, "/r/r");
    assert_eq!(welcome["last"], action["id"]);
    next_is(&mut newcomer, "message");
    assert_eq!(next(&mut newcomer), action);
    let mut quiet = daemon.open("/r/r?quiet=1");
    quiet.send_text("/me is quiet");
    assert_eq!(next_is(&mut quiet, "action")["mess"], "is quiet");
}

#[test]
fn a_ping_is_answered_to_the_asker_alone_also_to_a_quiet_one() {
    let daemon = Daemon::start(&[]);
    let mut ann = come_as(&daemon, "r", "Ann");
    let mut quiet = daemon.open("/r/r?quiet=1");
    next_is(&mut ann, "join");
    for member in [&mut quiet, &mut ann] {
        for (line, token, sentence) in [("/ping", "", "pong"), ("/ping a \"b\" \n", "a \"b\"", "pong a \"b\"")] {
            member.send_text(line);
            let pong = next_is(member, "pong");
            assert_eq!(pong, json!({ "type": "pong", "token": token, "name": "roomd", "mess": sentence }));
        }
    }
    // Had anybody been told of the other's pings, it would come before this.
    ann.send_text("that was all");
    next_says(&mut ann, "Ann", "that was all");
    next_says(&mut quiet, "Ann", "that was all");
}

#[test]
fn a_ping_behind_other_questions_is_answered_behind_them() {
    let daemon = Daemon::start(&[]);
    let mut ann = come_as(&daemon, "r", "Ann");
    for line in ["/history 1", "/ping 1", "/nick Bea", "/ping 2", "/join s", "/ping 3"] {
        ann.send_text(line);
    }
    for kind in ["history", "pong", "rename", "pong", "welcome", "pong"] {
        next_is(&mut ann, kind);
    }
}

#[test]
fn who_and_help_are_answered_to_the_one_who_asks() {
    let daemon = Daemon::start(&[]);
    let mut ann = come_as(&daemon, "r", "Ann");
    let mut bea = come_as(&daemon, "r", "Bea");
    bea.send_text("/who");
    let users = next_is(&mut bea, "users");
    assert_eq!((&users["users"], &users["online"]), (&json!(["Ann", "Bea"]), &2.into()));
    assert_eq!((&users["room"], &users["name"]), (&"r".into(), &"r".into()));
    bea.send_text("/help");
    let help = next_is(&mut bea, "help");
    assert_eq!(help["name"], "roomd");
    for command in ["/nick", "/join", "/msg", "/me", "/who", "/history", "/ping", "/help", "//"] {
        let lines: Vec<&str> = help["mess"].as_str().unwrap().lines().collect();
        assert!(lines.iter().any(|line| line.starts_with(command)), "{command} is not in {lines:?}");
    }
    bea.send_text("that was all");
    next_is(&mut ann, "join");
    next_says(&mut ann, "Bea", "that was all");
}

#[test]
fn two_slashes_say_one_and_a_slash_inside_is_no_command() {
    let daemon = Daemon::start(&[]);
    let mut ann = come_as(&daemon, "r", "Ann");
    for (sent, heard) in [("//who", "/who"), ("///", "//"), (" //who", "/who"), ("1/2", "1/2"), ("a\n/who", "a\n/who")]
    {
        ann.send_text(sent);
        next_says(&mut ann, "Ann", heard);
    }
}

#[test]
fn a_private_word_behind_what_cannot_be_seen_is_not_said_to_the_room() {
    let daemon = Daemon::start(&["--no-rate-limit"]);
    let mut ann = come_as(&daemon, "r", "Ann");
    let mut bob = come_as(&daemon, "r", "Bob");
    next_is(&mut ann, "join");
    let mut other = come_as(&daemon, "r", "Other");
    next_is(&mut ann, "join");
    next_is(&mut bob, "join");
    for before in ["", " ", "\u{A0}", "\u{200B}", "\u{FEFF}", "\n", "\u{3000}\u{202E}\t"] {
        for slash in ["/", "／"] {
            ann.send_text(&format!("{before}{slash}msg Bob secret"));
            for member in [&mut ann, &mut bob] {
                assert_eq!(next_is(member, "private")["mess"], "secret", "{before:?}{slash}");
            }
            ann.send_text(&format!("{before}{slash}msgBob secret"));
            assert_eq!(next_code(&mut ann), "unknown-command", "{before:?}{slash}");
        }
    }
    // What a Chinese or Japanese keyboard may give for the slash.
    for line in ["、msg Bob secret", "・ｍｓｇ　Bob　secret", " \\msg \"Bob\" secret", "\u{FFFC}?msg Bob secret"]
    {
        ann.send_text(line);
        assert_eq!(next_code(&mut ann), "mistyped-command", "{line}");
    }
    ann.send_text("that is all");
    next_says(&mut other, "Ann", "that is all");
}

#[test]
fn names_and_rooms_of_scripts_with_joiners_and_of_emoji_are_taken_and_their_look_alikes_are_not() {
    let daemon = Daemon::start(&["--no-rate-limit"]);
    for (name, double, code) in [
        ("علی\u{200C}رضا", "علیرضا", "name-too-similar"),
        ("ශ\u{DCA}\u{200D}රී", "ශ\u{DCA}රී", "name-too-similar"),
        ("葛\u{E0100}", "葛", "name-too-similar"),
        ("1\u{FE0F}\u{20E3}", "1\u{20E3}", "name-too-similar"),
        ("İnci", "inci", "name-taken"),
    ] {
        let path = format!("/r/{}?name={}", percent(name), percent(name));
        let (member, welcome) = come(&daemon, &path);
        assert_eq!((&welcome["name"], &welcome["room"]), (&name.into(), &name.into()));
        let (mut second, _) = come(&daemon, &format!("/r/{}", percent(name)));
        second.send_text(&format!("/nick {double}"));
        assert_eq!(next_code(&mut second), code, "{name}");
        second.send_text("/nick Al\u{200C}ice");
        assert_eq!(next_code(&mut second), "bad-name");
        drop(member);
    }
}

#[test]
fn the_first_hundred_of_a_larger_room_are_listed() {
    let daemon = Daemon::start(&[]);
    let mut members: Vec<Raw> = (0..104).map(|_| daemon.open("/?quiet=1")).collect();
    let (mut last, welcome) = come(&daemon, "/");
    last.send_text("/who");
    let users = last.event("users");
    for event in [&welcome, &users] {
        let names: BTreeSet<&str> = event["users"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        assert_eq!((names.len(), &event["online"]), (100, &105.into()));
    }
    members[0].send_text("/who");
    assert_eq!(next_is(&mut members[0], "users")["online"], 105, "a quiet one may ask as well");
}

// ---- The past -----------------------------------------------------------------------------------------------------

#[test]
fn older_messages_are_shown_page_by_page_until_the_beginning() {
    let daemon = Daemon::start(&["--no-rate-limit"]);
    let mut speaker = come_as(&daemon, "r", "Ann");
    let said = say_so_many(&mut speaker, 130);
    let (mut reader, welcome) = come(&daemon, "/r/r");
    let first = id_of(&said[0]);
    assert_eq!((&welcome["last"], id_of(&said[129])), (&said[129]["id"], first + 129));
    let mut seen: Vec<Value> = (0..50).map(|_| next(&mut reader)).collect();
    let mut pages = 0;
    loop {
        let before = seen[0]["id"].as_u64().unwrap();
        reader.send_text(&format!("/history {before}"));
        let page = next_is(&mut reader, "history");
        assert_eq!((&page["before"], &page["room"], &page["name"]), (&before.into(), &"r".into(), &"r".into()));
        let older = page["messages"].as_array().unwrap().clone();
        assert!(older.len() <= 50);
        seen.splice(0..0, older);
        pages += 1;
        if page["more"] == false {
            break;
        }
    }
    assert_eq!(pages, 2);
    assert_eq!(seen, said, "each as it was when it was said");
    for (before, count) in [(first, 0), (0, 0), (first + 1, 1), (first + 130, 50), (u64::MAX, 50)] {
        reader.send_text(&format!("/history {before}"));
        assert_eq!(next_is(&mut reader, "history")["messages"].as_array().map(Vec::len), Some(count), "{before}");
    }
    speaker.send_text("to all");
    next_is(&mut speaker, "join");
    next_says(&mut speaker, "Ann", "to all");
}

#[test]
fn who_comes_back_is_sent_just_what_it_missed() {
    let daemon = Daemon::start(&["--no-rate-limit", "--replay", "3"]);
    let mut speaker = come_as(&daemon, "r", "Ann");
    let said = say_so_many(&mut speaker, 20);
    for seen in [0, 1, 12, 19, 20] {
        // With 0: all that is kept has come after it.
        let since = id_of(&said[0]) + seen as u64 - 1;
        let (mut member, welcome) = come(&daemon, &format!("/r/r?since={since}"));
        assert_eq!(welcome["last"], said[19]["id"]);
        let missed: Vec<Value> = (seen..20).map(|_| next(&mut member)).collect();
        assert_eq!(missed, said[seen..], "more than a newcomer is sent");
        member.send_text("/help");
        next_is(&mut member, "help");
        let mut quiet = daemon.open(&format!("/r/r?quiet=1&since={since}"));
        let missed: Vec<Value> = (seen..20).map(|_| next(&mut quiet)).collect();
        assert_eq!(missed, said[seen..], "without a welcome in front");
        quiet.send_text("/help");
        next_is(&mut quiet, "help");
    }
}

#[test]
fn who_comes_back_too_late_is_told_to_start_afresh() {
    let daemon = Daemon::start(&["--no-rate-limit", "--keep-messages", "5"]);
    let mut speaker = come_as(&daemon, "r", "Ann");
    let said = say_so_many(&mut speaker, 20);
    let (mut member, _) = come(&daemon, &format!("/r/r?since={}", id_of(&said[14])));
    assert_eq!((0..5).map(|_| next(&mut member)).collect::<Vec<_>>(), said[15..], "just soon enough");
    for since in [id_of(&said[0]), id_of(&said[13])] {
        let (mut member, _) = come(&daemon, &format!("/r/r?since={since}"));
        let reset = next_is(&mut member, "reset");
        assert_eq!((&reset["last"], &reset["room"]), (&said[19]["id"], &"r".into()));
        assert_eq!((0..5).map(|_| next(&mut member)).collect::<Vec<_>>(), said[15..]);
        member.send_text(&format!("/history {}", id_of(&said[15])));
        let page = next_is(&mut member, "history");
        assert_eq!((&page["messages"], &page["more"]), (&json!([]), &false.into()), "nothing older is kept");
    }
}

/// A room's memory holds more than is sent at once.
#[test]
fn a_long_past_that_is_kept_in_memory_comes_whole() {
    let daemon = Daemon::start(&["--no-rate-limit"]);
    let mut speaker = come_as(&daemon, "r", "Ann");
    let mut said = Vec::new();
    for nth in 0..40 {
        speaker.send_text(&format!("{nth} {}", "x".repeat(60_000)));
        said.push(next_is(&mut speaker, "message"));
    }
    let (mut member, _) = come(&daemon, &format!("/r/r?since={}&name=Bea", id_of(&said[0]) - 1));
    assert_eq!((0..40).map(|_| next(&mut member)).collect::<Vec<_>>(), said);
    assert_eq!(next_is(&mut member, "users")["users"], json!(["Ann", "Bea"]));
}

/// However far the room has come in this life, and in the one before.
#[test]
fn who_comes_back_from_another_life_of_the_daemon_is_told_so() {
    let earlier = Daemon::start(&[]);
    let mut speaker = come_as(&earlier, "r", "Ann");
    let remembered: Vec<u64> = say_so_many(&mut speaker, 3).iter().map(id_of).collect();
    drop((speaker, earlier));
    let daemon = Daemon::start(&[]);
    let mut speaker = come_as(&daemon, "r", "Ann");
    // In the end fewer have been said than in the earlier life, as many, and more.
    for more in [1, 2, 3] {
        say_so_many(&mut speaker, more);
        for since in &remembered {
            let (mut member, welcome) = come(&daemon, &format!("/r/r?since={since}"));
            let reset = next_is(&mut member, "reset");
            assert_eq!(reset["last"], welcome["last"], "{since} is of an earlier life");
            drop(member);
            speaker.event("leave");
        }
    }
}

#[test]
fn who_comes_back_with_the_id_of_a_message_that_was_never_said_is_told_so() {
    let daemon = Daemon::start(&[]);
    let mut speaker = come_as(&daemon, "r", "Ann");
    let said = say_so_many(&mut speaker, 3);
    for since in [id_of(&said[2]) + 1, FAR_IN_THE_FUTURE, u64::MAX] {
        let (mut member, _) = come(&daemon, &format!("/r/r?since={since}"));
        assert_eq!(next_is(&mut member, "reset")["last"], said[2]["id"]);
        assert_eq!((0..3).map(|_| next(&mut member)).collect::<Vec<_>>(), said);
        assert_eq!(next_code(&mut member), "since-in-future");
    }
}

#[test]
fn a_since_that_is_no_number_is_an_error_behind_what_every_newcomer_is_sent() {
    let daemon = Daemon::start(&[]);
    let mut speaker = come_as(&daemon, "r", "Ann");
    let said = say_so_many(&mut speaker, 3);
    for since in ["", "x", "-1", "1.5", "18446744073709551616", "%2B5"] {
        let (mut member, welcome) = come(&daemon, &format!("/r/r?since={since}&name=Bea"));
        assert_eq!(welcome["name"], "Bea");
        assert_eq!((0..3).map(|_| next(&mut member)).collect::<Vec<_>>(), said);
        assert_eq!(next_code(&mut member), "bad-since", "{since:?}");
        drop(member);
        speaker.event("leave");
    }
}

/// `quiet=1` is for programs: what is said, what is said to them, and answers to what they ask.
#[test]
fn a_quiet_member_hears_what_is_said_and_what_concerns_it_and_nothing_else() {
    let daemon = Daemon::start(&[]);
    let mut loud = come_as(&daemon, "r", "Ann");
    loud.send_text("the past");
    next_says(&mut loud, "Ann", "the past");
    let mut quiet = daemon.open("/r/r?quiet=1&name=Bot");
    assert_eq!(next_is(&mut loud, "join")["name"], "Bot", "it is announced like others");
    let mut other = daemon.open("/r/r");
    next_is(&mut loud, "join");
    other.send_text("/nick Cid");
    next_is(&mut loud, "rename");
    other.send_close(1000);
    next_is(&mut loud, "leave");
    loud.send_text("aloud");
    next_says(&mut loud, "Ann", "aloud");
    loud.send_text("/me waves");
    next_is(&mut loud, "action");
    loud.send_text("/msg bot softly");
    next_is(&mut loud, "private");
    quiet.send_text("/nothing");
    next_says(&mut quiet, "Ann", "aloud");
    next_is(&mut quiet, "action");
    assert_eq!(next_is(&mut quiet, "private")["mess"], "softly");
    assert_eq!(next_code(&mut quiet), "unknown-command");
    quiet.send_text("/nick Robot");
    assert_eq!(next_is(&mut quiet, "rename")["name"], "Robot", "what it did itself");
    quiet.send_text("/join elsewhere");
    quiet.send_text("first word there");
    let event = next_is(&mut quiet, "message");
    assert_eq!((&event["room"], &event["name"]), (&"elsewhere".into(), &"Robot".into()));
}

// ---- Large rooms --------------------------------------------------------------------------------------------------

#[test]
fn a_room_of_a_hundred_hears_a_count_at_most_once_a_second() {
    let daemon = Daemon::start(&[]);
    let start = Instant::now();
    let (mut first, _) = come(&daemon, "/");
    let mut crowd: Vec<Raw> = (2..=99).map(|_| daemon.open("/?quiet=1")).collect();
    for nth in 2..=99 {
        let join = next_is(&mut first, "join");
        assert_eq!((&join["name"], &join["online"]), (&format!("Tourist {nth}").into(), &nth.into()));
    }
    crowd.extend((100..=140).map(|_| daemon.open("/?quiet=1")));
    let mut counts = Vec::new();
    while counts.last() != Some(&140) {
        counts.push(next_is(&mut first, "online")["online"].as_u64().unwrap());
    }
    for _ in 0..30 {
        crowd.pop();
    }
    while counts.last() != Some(&110) {
        counts.push(next_is(&mut first, "online")["online"].as_u64().unwrap());
    }
    assert_eq!(counts[0], 100, "the first count comes at once");
    let seconds = start.elapsed().as_secs() as usize;
    assert!(counts.len() <= seconds + 2, "{counts:?} in {seconds} s");
}

#[test]
fn a_new_name_in_a_room_of_a_hundred_is_told_to_its_holder_only() {
    let daemon = Daemon::start(&[]);
    let mut crowd: Vec<Raw> = (0..100).map(|_| daemon.open("/")).collect();
    let mut last = crowd.pop().unwrap();
    last.event("welcome");
    last.send_text("/nick Ann");
    assert_eq!(last.event("rename")["name"], "Ann");
    last.send_text("it is me");
    // All that the first one is told until then: who came, and how many they are.
    let mut kinds = BTreeSet::new();
    let first = &mut crowd[0];
    loop {
        let event = next(first);
        if event["type"] == "message" {
            assert_eq!((&event["name"], &event["mess"]), (&"Ann".into(), &"it is me".into()));
            break;
        }
        kinds.insert(event["type"].as_str().unwrap().to_owned());
    }
    assert_eq!(kinds, ["join", "online", "welcome"].map(str::to_owned).into());
}

// ---- Errors -------------------------------------------------------------------------------------------------------

/// `history-unavailable` is missing here: a history in memory always has place. `slow-down` has a test of its own.
#[test]
fn each_problem_is_told_to_the_one_who_caused_it_and_to_nobody_else() {
    let daemon = Daemon::start(&["--max-rooms", "1", "--change-burst", "10"]);
    let mut bystander = come_as(&daemon, "r", "Bea");
    let text = |line: &str| masked_frame(0x81, line.as_bytes());
    let rows = [
        (masked_frame(0x82, b"binary"), "binary-not-accepted"),
        (text("/whom"), "unknown-command"),
        (text("/"), "unknown-command"),
        (text("/nick"), "bad-arguments"),
        (text("/join"), "bad-arguments"),
        (text("/msg Bea"), "bad-arguments"),
        (text("/msg \"Bea hello"), "bad-arguments"),
        (text("/me "), "bad-arguments"),
        (text("/who are you"), "bad-arguments"),
        (text("/history"), "bad-arguments"),
        (text("/history -1"), "bad-arguments"),
        (text("/nick Tourist 9"), "bad-name"),
        (text("/nick bea"), "name-taken"),
        (text("/nick \u{412}ea"), "name-too-similar"),
        (text("/msg nobody hello"), "no-such-name"),
        (text("/join a/b"), "bad-room"),
        (text("/join another"), "too-many-rooms"),
    ];
    let (mut culprit, welcome) = come(&daemon, "/r/r");
    next_is(&mut bystander, "join");
    for (frame, code) in rows {
        culprit.send(&frame);
        assert_eq!(next_code(&mut culprit), code);
    }
    culprit.send_text("sorry");
    next_says(&mut culprit, welcome["name"].as_str().unwrap(), "sorry");
    next_says(&mut bystander, welcome["name"].as_str().unwrap(), "sorry");
    let future = format!("since={FAR_IN_THE_FUTURE}");
    for (query, code) in [("since=x", "bad-since"), (&*future, "since-in-future"), ("name=%01", "bad-name")] {
        let mut comes = daemon.open(&format!("/r/r?{query}"));
        assert_eq!(comes.event("error")["code"], code);
        next_is(&mut bystander, "join");
        comes.send_close(1000);
        next_is(&mut bystander, "leave");
    }
}

#[test]
fn a_message_over_the_limit_is_an_error_and_then_1009_and_what_was_said_before_is_said() {
    let daemon = Daemon::start(&["--max-message", "100"]);
    let mut bystander = come_as(&daemon, "r", "Bea");
    let mut ann = come_as(&daemon, "r", "Ann");
    next_is(&mut bystander, "join");
    let frames =
        ["x".repeat(100), "y".repeat(101), "never read".into()].map(|text| masked_frame(0x81, text.as_bytes()));
    ann.send(&frames.concat());
    // The error is an answer to one, and may overtake what the room hears.
    let mut kinds: Vec<Value> = (0..2).map(|_| next(&mut ann)).map(|event| event["code"].clone()).collect();
    kinds.sort_by_key(Value::is_null);
    assert_eq!(kinds, [json!("message-too-big"), Value::Null]);
    assert_eq!(ann.frame().close_code(), 1009);
    next_says(&mut bystander, "Ann", &"x".repeat(100));
    assert_eq!(next_is(&mut bystander, "leave")["name"], "Ann");
}

#[test]
fn a_thousand_new_names_in_a_moment_are_told_to_slow_down_and_change_nothing_else() {
    const ATTEMPTS: usize = 1_000;
    let daemon = Daemon::start(&["--rate-burst", "5000", "--rate", "5000"]);
    let mut bystander = come_as(&daemon, "r", "Bea");
    let mut restless = come_as(&daemon, "r", "Ann");
    next_is(&mut bystander, "join");
    let start = Instant::now();
    let flood = (1..=ATTEMPTS).flat_map(|nth| masked_frame(0x81, format!("/nick Ann the {nth}th").as_bytes()));
    restless.send_from_another_thread(flood.collect());
    let mut names = vec!["Ann".to_owned()];
    for _ in 0..ATTEMPTS {
        let event = next(&mut restless);
        match event["type"].as_str() {
            Some("rename") => {
                assert_eq!(&event["from"], names.last().unwrap());
                names.push(event["name"].as_str().unwrap().to_owned());
            }
            _ => assert_eq!(event["code"], "slow-down", "{event}"),
        }
    }
    let allowed = 5 + start.elapsed().as_secs() as usize + 1;
    assert!((5..=allowed).contains(&(names.len() - 1)), "{names:?}");
    restless.send_text("calm now");
    for name in &names[1..] {
        assert_eq!(next_is(&mut bystander, "rename")["name"], **name);
    }
    next_says(&mut bystander, names.last().unwrap(), "calm now");
    bystander.send_text("/who");
    assert_eq!(next_is(&mut bystander, "users")["users"], json!(["Bea", names.last()]));
}

/// To find out that a name cannot be had may cost more than any other command does.
#[test]
fn a_name_or_a_room_that_is_refused_counts_as_a_change() {
    let daemon = Daemon::start(&["--change-burst", "3"]);
    let (mut guesser, _) = come(&daemon, "/");
    let refusals = [("/nick Tourist 9", "bad-name"), ("/nick a  b", "bad-name"), ("/join a/b", "bad-room")];
    // All in one write, and so in one turn: no second passes in between, which would allow one more.
    let lines = refusals.iter().flat_map(|(line, _)| masked_frame(0x81, line.as_bytes()));
    let lines: Vec<u8> = lines.chain(masked_frame(0x81, b"/nick Ann")).collect();
    guesser.send(&lines);
    for (line, code) in &refusals {
        assert_eq!(next_is(&mut guesser, "error")["code"], **code, "{line}");
    }
    assert_eq!(next_is(&mut guesser, "error")["code"], "slow-down");
}

#[test]
fn who_goes_from_room_to_room_too_fast_stays_where_it_is() {
    let daemon = Daemon::start(&["--change-burst", "2"]);
    let (mut restless, _) = come(&daemon, "/r/start");
    let mut room = json!("start");
    for nth in 0..20 {
        restless.send_text(&format!("/join {nth}"));
        let event = next(&mut restless);
        if event["type"] == "welcome" {
            room = event["room"].clone();
            continue;
        }
        assert_eq!(event["code"], "slow-down", "{event}");
        restless.send_text("here");
        assert_eq!(next_is(&mut restless, "message")["room"], room);
        return;
    }
    panic!("nobody was told to slow down");
}
