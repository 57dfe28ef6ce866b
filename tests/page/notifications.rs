//! Telling somebody who looks elsewhere: the title of the page, and notifications.

use serde_json::json;

use crate::browser::Browser;
use crate::person::{Looking, chatter, enter, look, take_name, wait_for_messages};
use crate::support::Daemon;

#[test]
#[ignore = "needs Chromium: tests/run installs it and runs this"]
fn the_title_counts_what_was_said_while_nobody_looked() {
    let daemon = Daemon::start(&[]);
    let mut browser = Browser::start();
    let mut tab = enter(&mut browser, &daemon.address);
    let mut other = daemon.open("/?quiet=1");
    chatter(&mut other, &mut tab, 0, 1);
    assert_eq!(tab.text("document.title"), "lobby · roomd");

    look(&mut tab, Looking::Elsewhere);
    chatter(&mut other, &mut tab, 1, 2);
    tab.wait_for("document.title === '(2) lobby · roomd'");
    drop(other); // somebody leaves, which is nothing to read
    tab.wait_for("document.querySelector('#log').lastElementChild?.matches('.system')");
    assert_eq!(tab.text("document.title"), "(2) lobby · roomd");
    look(&mut tab, Looking::Here);
    assert_eq!(tab.text("document.title"), "lobby · roomd");
}

#[test]
#[ignore = "needs Chromium: tests/run installs it and runs this"]
fn notifications_are_off_until_asked_for_and_then_come_for_what_is_meant_for_one() {
    let daemon = Daemon::start(&[]);
    let mut browser = Browser::start();
    let stand_in = "window.told = []; window.asked = 0;
        window.Notification = class extends EventTarget {
          static permission = 'default';
          static requestPermission() { asked += 1; return Promise.resolve(Notification.permission = 'granted'); }
          constructor(title, { body }) { super(); told.push([title, body]); }
        };";
    let mut tab = browser.open_with(&format!("http://{}/", daemon.address), stand_in);
    tab.wait_for("document.body.dataset.state === 'open'");
    take_name(&mut tab, "Ann");
    let mut other = daemon.open("/?quiet=1");
    look(&mut tab, Looking::Elsewhere);
    other.send_text("Ann, are you there?");
    wait_for_messages(&mut tab, 1);
    assert_eq!(tab.evaluate("[told, asked]"), json!([[], 0]), "nobody has asked for it");

    look(&mut tab, Looking::Here);
    tab.click("#self");
    tab.click("#notify");
    tab.wait_for("asked === 1 && document.querySelector('#notify').checked");
    tab.press("Escape");
    look(&mut tab, Looking::Elsewhere);
    // One after the other: a private message has no place in the order of the room.
    for (index, text) in ["Anna is somebody else", "but ANN is meant", "/msg Ann and so is this"].iter().enumerate() {
        other.send_text(text);
        wait_for_messages(&mut tab, index + 2);
    }
    let bodies = tab.evaluate("told.map(([, body]) => body)");
    assert_eq!(bodies, json!(["but ANN is meant", "and so is this"]));
}

/// Stands in for the browser's notifications, and keeps them as a browser does: one for each tag.
const NOTIFICATIONS: &str = "window.told = []; window.visible = new Map();
    localStorage.setItem('roomd.notify', 'on');
    localStorage.setItem('roomd.name', 'Ann');
    window.Notification = class extends EventTarget {
      static permission = 'granted';
      constructor(title, options) {
        super();
        Object.assign(this, { title, ...options });
        if (!visible.has(this.tag) || options.renotify) told.push([title, options.body ?? '']);
        visible.set(this.tag, this);
      }
      close() {
        if (visible.get(this.tag) === this) visible.delete(this.tag);
        this.dispatchEvent(new Event('close'));
      }
    };";

#[test]
#[ignore = "needs Chromium: tests/run installs it and runs this"]
fn each_event_that_is_meant_for_one_is_told_but_never_more_than_a_few_at_once() {
    let daemon = Daemon::start(&["--no-rate-limit"]);
    let mut browser = Browser::start();
    let mut tab = browser.open_with(&format!("http://{}/", daemon.address), NOTIFICATIONS);
    tab.wait_for("document.querySelector('#me').textContent === 'Ann'");
    let mut other = daemon.open("/?quiet=1&name=Bob");
    look(&mut tab, Looking::Elsewhere);
    for (count, text) in ["Ann, look", "/msg Ann a secret", "Ann, look"].iter().enumerate() {
        other.send_text(text);
        tab.wait_for(&format!("told.length === {}", count + 1));
    }
    let told = json!([["Bob · lobby", "Ann, look"], ["from Bob, private", "a secret"], ["Bob · lobby", "Ann, look"]]);
    assert_eq!(tab.evaluate("told"), told);
    assert_eq!(tab.evaluate("visible.size"), 3, "none took the place of another");

    for line in 1..=40 {
        other.send_text(&format!("Ann, line {line}"));
    }
    tab.wait_for("document.querySelectorAll('.message').length === 43");
    assert_eq!(tab.evaluate("visible.size"), 4, "all that came on top are one more");
    assert_eq!(tab.evaluate("told[3]"), json!(["1 more message for you in lobby", ""]));
    tab.wait_for("told.at(-1)[0] === '40 more messages for you in lobby'");
    assert!(tab.evaluate("told.length").as_u64().unwrap() < 15, "they do not ring at each");

    look(&mut tab, Looking::Here);
    assert_eq!(tab.evaluate("visible.size"), 0, "who looks has seen them");
    look(&mut tab, Looking::Elsewhere);
    other.send_text("Ann, again");
    tab.wait_for("told.at(-1)[1] === 'Ann, again'");
}
