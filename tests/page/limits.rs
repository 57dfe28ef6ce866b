//! The daemon's limits, which its operator may have set: the page learns them from the welcome.

use std::net::TcpStream;

use serde_json::json;
use tungstenite::WebSocket;

use crate::browser::Browser;
use crate::impostor::{Impostor, tell, welcome};
use crate::person::{VALUE, enter, wait_for_messages, wait_for_people, wait_for_text};
use crate::support::{Daemon, Raw};

/// Waits until the page has sent this line.
fn wait_for_question(socket: &mut WebSocket<TcpStream>, line: &str) {
    while socket.read().expect("the page asks").to_text().expect("it speaks text") != line {}
}

#[test]
#[ignore = "needs Chromium: tests/run installs it and runs this"]
fn a_room_that_is_large_for_its_daemon_is_listed_again_only_when_it_is_small() {
    let daemon = Daemon::start(&["--presence-members", "10"]);
    let mut browser = Browser::start();
    let mut tab = enter(&mut browser, &daemon.address);
    let mut others: Vec<Raw> = (0..14).map(|_| daemon.open("/?quiet=1")).collect();
    wait_for_text(&mut tab, "#status-more", "15 people");
    wait_for_text(&mut tab, "#people-note", "15 people are here, too many to list.");
    wait_for_people(&mut tab, &[]);

    // Of the first five that go only the number is told. The sixth is told by name, and the page asks who is left.
    others.drain(..6);
    let left = ["Tourist 1", "Tourist 8", "Tourist 9", "Tourist 10", "Tourist 11", "Tourist 12", "Tourist 13"];
    wait_for_people(&mut tab, &[&left[..], &["Tourist 14", "Tourist 15"]].concat());
    wait_for_text(&mut tab, "#status-more", "9 people");
}

/// `0` is for a daemon in which nobody is told of anybody.
#[test]
#[ignore = "needs Chromium: tests/run installs it and runs this"]
fn where_nobody_is_told_of_anybody_there_is_a_number_and_no_list() {
    let daemon = Daemon::start(&["--presence-members", "0"]);
    let mut browser = Browser::start();
    let mut tab = enter(&mut browser, &daemon.address);
    wait_for_text(&mut tab, "#people-note", "1 person is here.");
    let _other = daemon.open("/?quiet=1");
    wait_for_text(&mut tab, "#people-note", "2 people are here, too many to list.");
    wait_for_people(&mut tab, &[]);
}

/// A daemon from before the limits were told: that it counts people is the sign that it tells no names.
#[test]
#[ignore = "needs Chromium: tests/run installs it and runs this"]
fn a_count_without_names_makes_the_page_ask_who_is_here_though_the_welcome_has_no_limits() {
    let daemon = Daemon::start(&[]);
    let server = Impostor::start(&daemon);
    let mut browser = Browser::start();
    let (mut tab, mut socket) = server.visited_by(&mut browser);
    let mut arrival = welcome("Tourist 1");
    arrival["users"] = json!(["Tourist 1", "Ann"]);
    arrival["online"] = json!(2);
    tell(&mut socket, &arrival);
    wait_for_people(&mut tab, &["Ann", "Tourist 1"]);

    // Ann has gone, and two others have come.
    tell(&mut socket, &json!({ "type": "online", "room": "lobby", "online": 3, "name": "lobby", "mess": "3 online" }));
    wait_for_question(&mut socket, "/who");
    tell(
        &mut socket,
        &json!({ "type": "users", "online": 3, "users": ["Bob", "Eve", "Tourist 1"], "name": "lobby", "mess": "" }),
    );
    wait_for_people(&mut tab, &["Bob", "Eve", "Tourist 1"]);
    assert_eq!(tab.evaluate("document.querySelectorAll('#log .system').length"), 0, "nobody had typed /who");
}

/// As with `--presence-members 500`: all are told by name, but the welcome lists the first hundred only.
#[test]
#[ignore = "needs Chromium: tests/run installs it and runs this"]
fn a_list_that_was_cut_is_not_taken_for_all_who_are_here() {
    let daemon = Daemon::start(&[]);
    let server = Impostor::start(&daemon);
    let mut browser = Browser::start();
    let (mut tab, mut socket) = server.visited_by(&mut browser);
    let mut arrival = welcome("Tourist 1");
    arrival["limits"] = json!({ "message_bytes": 65536, "presence_members": 500 });
    arrival["users"] = (1..=100).map(|number| format!("Tourist {number}")).collect();
    arrival["online"] = json!(101);
    tell(&mut socket, &arrival);
    wait_for_text(&mut tab, "#people-note", "101 people are here, too many to list.");

    // Now a list can hold all of them.
    tell(&mut socket, &json!({ "type": "leave", "online": 100, "name": "Tourist 7", "mess": "left the room" }));
    wait_for_question(&mut socket, "/who");
}

#[test]
#[ignore = "needs Chromium: tests/run installs it and runs this"]
fn a_draft_longer_than_the_daemon_takes_is_refused_in_words_before_it_is_sent() {
    let daemon = Daemon::start(&["--max-message", "4096"]);
    let mut browser = Browser::start();
    let mut tab = enter(&mut browser, &daemon.address);
    let mut listener = daemon.open("/?quiet=1");

    // In bytes: 1,366 Chinese characters are 4,098.
    tab.click("#text");
    tab.type_text(&"字".repeat(1366));
    wait_for_text(&mut tab, "#hint", "This is too long: 4,098 bytes, and the most is 4,096.");
    tab.press("Enter");
    wait_for_text(&mut tab, "#hint", "This is too long: 4,098 bytes, and the most is 4,096.");
    assert_eq!(tab.text(VALUE).chars().count(), 1366, "it stays in the box");
    assert_eq!(tab.text("document.body.dataset.state"), "open", "and the connection as well");

    tab.press("Backspace");
    tab.press("Enter");
    wait_for_messages(&mut tab, 1);
    assert_eq!(listener.message(), "字".repeat(1365), "nothing else was sent before");
}

/// What waits in the box may be a draft from before: nobody types in it, and still it is said that it cannot be sent.
#[test]
#[ignore = "needs Chromium: tests/run installs it and runs this"]
fn a_draft_that_is_too_long_for_the_daemon_one_comes_back_to_is_told_at_once() {
    let daemon = Daemon::start(&[]);
    let server = Impostor::start(&daemon);
    let mut browser = Browser::start();
    let (mut tab, mut socket) = server.visited_by(&mut browser);
    tab.type_text("eleven long");
    let mut arrival = welcome("Tourist 1");
    arrival["limits"] = json!({ "message_bytes": 10, "presence_members": 100 });
    tell(&mut socket, &arrival);
    wait_for_text(&mut tab, "#hint", "This is too long: 11 bytes, and the most is 10.");
}
