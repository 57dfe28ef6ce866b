//! Connections that are not there yet, break, or come back to another server.

use serde_json::json;
use tungstenite::Message;

use crate::browser::Browser;
use crate::impostor::{Impostor, tell, welcome};
use crate::person::{CUTTABLE, VALUE, chatter, enter, say, take_name, texts, wait_for_messages, wait_for_notice};
use crate::support::Daemon;

#[test]
#[ignore = "needs Chromium: tests/run installs it and runs this"]
fn nothing_is_sent_before_the_connection_is_open_and_what_was_typed_stays() {
    let daemon = Daemon::start(&[]);
    let impostor = Impostor::start(&daemon);
    let mut browser = Browser::start();
    let mut tab = browser.open(&format!("http://{}/", impostor.address));
    let waiting = impostor.visitor();

    assert_eq!(tab.text("document.body.dataset.state"), "connecting");
    assert_eq!(tab.evaluate("document.querySelector('#send').disabled"), true);
    tab.type_text("too early");
    tab.press("Enter");
    tab.click("#send");
    assert_eq!(tab.text("document.querySelector('#text').value"), "too early");
    assert!(tab.text("document.querySelector('#hint').textContent").starts_with("Not connected yet"));

    let mut socket = Impostor::open(waiting);
    tell(&mut socket, &welcome("Tourist 1"));
    tab.wait_for("document.body.dataset.state === 'open' && !document.querySelector('#send').disabled");
    tab.click("#text");
    tab.type_text(", and then in time");
    tab.click("#send");
    // Had anything been sent before, or been kept to be sent later, it would come first.
    let first = socket.read().expect("the page speaks");
    assert_eq!(first, Message::text("too early, and then in time"));
    tab.wait_for("document.querySelector('#text').value === ''");
}

#[test]
#[ignore = "needs Chromium: tests/run installs it and runs this"]
fn a_page_comes_back_by_itself_when_the_daemon_was_killed_and_started_again() {
    let daemon = Daemon::start(&[]);
    let address = daemon.address.clone();
    let mut browser = Browser::start();
    let mut tab = enter(&mut browser, &address);
    say(&mut tab, "before");
    wait_for_messages(&mut tab, 1);
    tab.evaluate("window.notReloaded = true");

    drop(daemon); // kill -9: no goodbye, and nothing kept
    // In one look: a moment later it tries again, and then there is nothing to press.
    tab.wait_for(
        "document.body.dataset.state === 'waiting' && document.querySelector('#send').disabled
           && !document.querySelector('#retry').hidden",
    );
    say(&mut tab, "while it is away");
    assert_eq!(tab.text("document.querySelector('#text').value"), "while it is away");

    let daemon = Daemon::start_without_address(&["--listen", &address]);
    assert_eq!(daemon.address, address);
    let mut listener = daemon.open("/?quiet=1");
    tab.wait_for("document.body.dataset.state === 'open'");
    assert_eq!(tab.evaluate("window.notReloaded"), true);
    assert_eq!(tab.text("document.querySelector('#text').value"), "while it is away", "it waits for its writer");
    tab.press("Enter");
    assert_eq!(listener.message(), "while it is away");
    tab.wait_for("document.querySelector('#log').lastElementChild?.textContent.includes('while it is away')");
    assert_eq!(texts(&mut tab), ["while it is away"], "what the new one does not know has ids that mean nothing now");
    assert_eq!(tab.evaluate("document.querySelectorAll('.system.rule').length"), 1, "and the reader is told so");
}

#[test]
#[ignore = "needs Chromium: tests/run installs it and runs this"]
fn a_daemon_that_was_started_again_and_has_said_more_by_now_is_not_taken_for_the_one_before() {
    let daemon = Daemon::start(&["--no-rate-limit"]);
    let address = daemon.address.clone();
    let mut browser = Browser::start();
    let mut tab = browser.open_with(&format!("http://{address}/"), CUTTABLE);
    tab.wait_for("document.body.dataset.state === 'open'");
    chatter(&mut daemon.open("/?quiet=1"), &mut tab, 0, 3);

    tab.evaluate("window.away = true");
    drop(daemon);
    let daemon = Daemon::start_without_address(&["--listen", &address, "--no-rate-limit"]);
    let mut other = daemon.open("/?quiet=1");
    for line in 1..=5 {
        other.send_text(&format!("another line {line}"));
        other.message();
    }
    tab.evaluate("window.away = false");
    wait_for_notice(&mut tab, "The server has lost or restored its history; what was here before may not be on it");
    wait_for_messages(&mut tab, 5); // on a slow machine the notice does not wait for the last of them
    let others: Vec<String> = (1..=5).map(|line| format!("another line {line}")).collect();
    assert_eq!(texts(&mut tab), others, "all of the new ones, and none of the old");
}

#[test]
#[ignore = "needs Chromium: tests/run installs it and runs this"]
fn a_message_that_could_not_be_kept_goes_back_to_its_writer_and_older_ones_that_cannot_be_read_are_no_matter() {
    let daemon = Daemon::start(&[]);
    let impostor = Impostor::start(&daemon);
    let mut browser = Browser::start();
    let (mut tab, mut socket) = impostor.visited_by(&mut browser);
    let unavailable =
        json!({ "type": "error", "name": "roomd", "code": "history-unavailable", "mess": "It cannot be kept." });
    let mut in_use = welcome("Tourist 1");
    in_use["last"] = json!(7);
    tell(&mut socket, &in_use);
    tell(&mut socket, &json!({ "type": "message", "id": 7, "name": "Tourist 9", "mess": "seven", "time": 7 }));
    assert_eq!(socket.read().unwrap(), Message::text("/history 7"));
    tell(&mut socket, &unavailable);

    say(&mut tab, "to be kept");
    assert_eq!(socket.read().unwrap(), Message::text("to be kept"));
    tell(&mut socket, &unavailable);
    wait_for_notice(&mut tab, "It cannot be kept.");
    assert_eq!(tab.text(VALUE), "to be kept");
    assert_eq!(tab.evaluate("document.querySelectorAll('.system.error').length"), 1, "nobody had asked for the older");
}

#[test]
#[ignore = "needs Chromium: tests/run installs it and runs this"]
fn a_page_that_missed_something_is_shown_it_once_and_in_order_when_it_comes_back() {
    let daemon = Daemon::start(&[]);
    let impostor = Impostor::start(&daemon);
    let mut browser = Browser::start();
    let mut tab = browser.open(&format!("http://{}/", impostor.address));
    let message = |id: u64, text: &str| {
        let mut event = json!({ "type": "message", "room": "lobby", "name": "Tourist 9", "mess": text });
        event["id"] = json!(id);
        event["time"] = json!(1_763_817_427_000 + id);
        event
    };
    let mut socket = Impostor::open(impostor.visitor());
    tell(&mut socket, &welcome("Tourist 1"));
    tell(&mut socket, &message(1, "one"));
    tell(&mut socket, &message(2, "two"));
    wait_for_messages(&mut tab, 2);
    drop(socket);

    let mut socket = Impostor::open(impostor.visitor());
    let mut back = welcome("Tourist 2");
    back["last"] = json!(3);
    tell(&mut socket, &back);
    for (id, text) in [(1, "one"), (2, "two"), (3, "three"), (4, "four")] {
        tell(&mut socket, &message(id, text));
    }
    wait_for_messages(&mut tab, 4);
    assert_eq!(texts(&mut tab), ["one", "two", "three", "four"]);
    let again = format!("ws://{}/?since=2", impostor.address);
    assert_eq!(tab.requests().last(), Some(&again), "it asked for what it had not seen");
    drop(socket);

    // This time, what came after the fourth is no longer kept.
    let mut socket = Impostor::open(impostor.visitor());
    back["last"] = json!(60);
    tell(&mut socket, &back);
    tell(
        &mut socket,
        &json!({ "type": "reset", "room": "lobby", "last": 60, "name": "lobby", "mess": "no longer kept" }),
    );
    tell(&mut socket, &message(59, "fifty-nine"));
    tell(&mut socket, &message(60, "sixty"));
    tab.wait_for(
        "document.querySelectorAll('.system.rule').length === 1 && document.querySelectorAll('.message').length === 2",
    );
    assert_eq!(texts(&mut tab), ["fifty-nine", "sixty"], "it begins afresh, and says so");
}

#[test]
#[ignore = "needs Chromium: tests/run installs it and runs this"]
fn a_page_comes_back_with_the_epoch_of_what_it_has_seen_and_says_why_it_begins_afresh() {
    let daemon = Daemon::start(&[]);
    let impostor = Impostor::start(&daemon);
    let mut browser = Browser::start();
    let mut tab = browser.open(&format!("http://{}/", impostor.address));
    let message = |id: u64, text: &str| json!({ "type": "message", "id": id, "time": 7, "room": "lobby", "name": "Tourist 9", "mess": text });
    let come = |epoch: &str, last: u64| {
        let mut socket = Impostor::open(impostor.visitor());
        let mut event = welcome("Tourist 1");
        event["epoch"] = json!(epoch);
        event["last"] = json!(last);
        tell(&mut socket, &event);
        socket
    };
    let mut socket = come("ab12", 0);
    tell(&mut socket, &message(1, "one"));
    wait_for_messages(&mut tab, 1);
    drop(socket);

    // The log has begun anew, and an id that the page has seen is another message's.
    let mut socket = come("cd34", 5);
    let again = format!("ws://{}/?since=ab12-1", impostor.address);
    assert_eq!(tab.requests().last(), Some(&again));
    let reset =
        json!({ "type": "reset", "room": "lobby", "last": 5, "reason": "epoch", "name": "lobby", "mess": "anew" });
    tell(&mut socket, &reset);
    tell(&mut socket, &message(1, "another one"));
    tell(&mut socket, &message(5, "five"));
    tab.wait_for("document.querySelectorAll('.system.rule').length === 1");
    assert_eq!(texts(&mut tab), ["another one", "five"]);
    let said = tab.text("document.querySelector('.system.rule').textContent");
    assert!(said.contains("lost or restored its history"), "{said}");
    drop(socket);

    // Ids have jumped, and nobody has spoken since: it has missed nothing.
    let mut socket = come("ef56", 8_000);
    let reset =
        json!({ "type": "reset", "room": "lobby", "last": 8_000, "reason": "epoch", "name": "lobby", "mess": "anew" });
    tell(&mut socket, &reset);
    tell(&mut socket, &message(5, "five"));
    tab.wait_for("document.querySelectorAll('.message').length === 1");
    drop(socket);
    drop(come("ef56", 8_000));

    // It was away for so long that it could not show what it has missed: it does not take it.
    let socket = come("ef56", 19_000);
    let mut fresh = come("ef56", 19_000);
    drop(socket);
    let requests = tab.requests();
    assert_eq!(
        requests[requests.len() - 2..],
        [format!("ws://{}/?since=ef56-5", impostor.address), format!("ws://{}/", impostor.address)]
    );
    tell(&mut fresh, &message(19_000, "the newest"));
    tab.wait_for("document.querySelectorAll('.message').length === 1");
    tab.wait_for("document.querySelector('.system.rule')?.textContent.includes('away for long')");
}

#[test]
#[ignore = "needs Chromium: tests/run installs it and runs this"]
fn a_reader_who_was_away_sees_one_unbroken_stream() {
    let daemon = Daemon::start(&["--no-rate-limit"]);
    let mut browser = Browser::start();
    let mut tab = browser.open_with(&format!("http://{}/", daemon.address), CUTTABLE);
    tab.wait_for("document.body.dataset.state === 'open'");
    let mut other = daemon.open("/?quiet=1");
    chatter(&mut other, &mut tab, 0, 3);
    take_name(&mut tab, "Reader");

    // More than a newcomer is shown, so that only the number of the last message seen can have brought them.
    tab.evaluate("window.away = true; sockets.at(-1).close()");
    tab.wait_for("document.body.dataset.state === 'waiting'");
    tab.type_text("typed on the train");
    for line in 4..=120 {
        other.send_text(&format!("line {line}"));
    }
    tab.evaluate("window.away = false");
    wait_for_messages(&mut tab, 120);
    let all: Vec<String> = (1..=120).map(|line| format!("line {line}")).collect();
    assert_eq!(texts(&mut tab), all, "each once, in order, and none is missing");
    tab.wait_for("document.querySelector('#me').textContent === 'Reader'");
    assert_eq!(tab.text(VALUE), "typed on the train");
}

#[test]
#[ignore = "needs Chromium: tests/run installs it and runs this"]
fn a_browser_without_websocket_is_told_so() {
    let daemon = Daemon::start(&[]);
    let mut browser = Browser::start();
    let mut tab = browser.open_with(&format!("http://{}/", daemon.address), "delete window.WebSocket");
    tab.wait_for("document.body.dataset.state === 'unsupported'");
    assert_eq!(tab.evaluate("document.querySelector('#alarm').checkVisibility()"), true);
    assert!(tab.text("document.querySelector('#alarm').innerText").contains("no WebSocket"));
    assert_eq!(
        tab.evaluate("document.querySelector('#text').disabled && document.querySelector('#send').disabled"),
        true
    );
    assert!(tab.complaints().is_empty(), "{:?}", tab.complaints());
}
