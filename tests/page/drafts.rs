//! Drafts, and what is dropped on the page.

use serde_json::{Value, json};

use crate::browser::{Browser, Tab, quoted};
use crate::person::{IN_ROOM, VALUE, enter};
use crate::support::Daemon;

#[test]
#[ignore = "needs Chromium: tests/run installs it and runs this"]
fn a_draft_stays_with_its_room_and_its_tab_until_it_is_sent() {
    let daemon = Daemon::start(&[]);
    let mut browser = Browser::start();
    let mut tab = enter(&mut browser, &daemon.address);
    let mut second = enter(&mut browser, &daemon.address);
    tab.click("#text");
    tab.type_text("half a thought");
    second.click("#text");
    second.type_text("another one");
    for (tab, draft) in [(&mut tab, "half a thought"), (&mut second, "another one")] {
        tab.reload();
        tab.wait_for(IN_ROOM);
        assert_eq!(tab.text(VALUE), draft);
    }

    // To another room by the browser's own buttons, with a draft in each.
    let go = |tab: &mut Tab, room: &str, how: &str| {
        tab.evaluate(how);
        tab.wait_for(&format!("document.querySelector('#room').textContent === {}", quoted(room)));
    };
    tab.evaluate("document.querySelector('#text').value = ''");
    tab.click("#text");
    tab.type_text("/join __proto__");
    tab.press("Enter");
    go(&mut tab, "__proto__", "0");
    assert_eq!(tab.text(VALUE), "");
    tab.type_text("for the new room");
    go(&mut tab, "lobby", "history.back()");
    assert_eq!(tab.text(VALUE), "", "it was emptied here");
    tab.type_text("for the lobby");
    go(&mut tab, "__proto__", "history.forward()");
    assert_eq!(tab.text(VALUE), "for the new room");
    go(&mut tab, "lobby", "history.back()");
    assert_eq!(tab.text(VALUE), "for the lobby");

    tab.press("Enter");
    tab.wait_for("[...document.querySelectorAll('.text')].at(-1)?.textContent === 'for the lobby'");
    tab.reload();
    tab.wait_for(IN_ROOM);
    assert_eq!(tab.text(VALUE), "", "what was sent is no draft");
    tab.evaluate("sessionStorage.setItem('roomd.drafts', '{\"not\":\"ours\"}')");
    tab.type_text("still kept");
    tab.reload();
    tab.wait_for(IN_ROOM);
    assert_eq!(tab.text(VALUE), "still kept");
    assert!(tab.complaints().is_empty(), "{:?}", tab.complaints());
}

/// Drops something as a person does who lets go of it over an element.
fn drop_on(tab: &mut Tab, selector: &str, data: &Value) {
    let middle = tab.evaluate(&format!(
        "(({{ x, y, width, height }}) => [x + width / 2, y + height / 2])
         (document.querySelector({}).getBoundingClientRect())",
        quoted(selector)
    ));
    for kind in ["dragEnter", "dragOver", "drop"] {
        let event = json!({ "type": kind, "x": middle[0], "y": middle[1], "data": data });
        tab.call("Input.dispatchDragEvent", &event);
    }
}

#[test]
#[ignore = "needs Chromium: tests/run installs it and runs this"]
fn what_is_dropped_on_the_page_does_not_take_its_place() {
    let daemon = Daemon::start(&[]);
    let mut browser = Browser::start();
    let mut tab = enter(&mut browser, &daemon.address);
    tab.evaluate("window.notReloaded = true");
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    for place in ["#view", "#text", "header"] {
        tab.evaluate("document.querySelector('#hint').textContent = ''");
        drop_on(&mut tab, place, &json!({ "items": [], "files": [file], "dragOperationsMask": 1 }));
        tab.wait_for("document.querySelector('#hint').textContent === 'Files cannot be sent here, only text.'");
    }
    assert_eq!(tab.text(VALUE), "");
    for place in ["#text", "#view"] {
        let item = json!({ "mimeType": "text/plain", "data": format!("dropped on {place}; ") });
        drop_on(&mut tab, place, &json!({ "items": [item], "files": [], "dragOperationsMask": 1 }));
    }
    tab.wait_for("document.querySelector('#text').value === 'dropped on #text; dropped on #view; '");
    assert_eq!(tab.evaluate("window.notReloaded"), true);
}
