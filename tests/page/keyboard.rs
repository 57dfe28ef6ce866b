//! Keys: all of the page without a mouse, and what is completed while one types.

use serde_json::json;

use crate::browser::{Browser, Device, Tab, quoted};
use crate::person::{VALUE, enter, messages, say, take_name, texts, wait_for_messages, wait_for_people};
use crate::support::Daemon;

#[test]
#[ignore = "needs Chromium: tests/run installs it and runs this"]
fn the_keyboard_alone_is_enough() {
    let daemon = Daemon::start(&[]);
    let mut browser = Browser::start();
    let mut tab = enter(&mut browser, &daemon.address);
    let focus = "document.activeElement.id";
    assert_eq!(tab.text(focus), "text", "with a keyboard, one can type at once");

    tab.evaluate("document.activeElement.blur()");
    let mut stops = Vec::new();
    while stops.last().is_none_or(|stop| stop != "text") {
        assert!(stops.len() < 10, "Tab does not reach the box: {stops:?}");
        tab.press("Tab");
        stops.push(tab.text(focus));
    }
    assert!(stops.contains(&"view".to_owned()), "what was said can be scrolled by key: {stops:?}");
    tab.type_text("no mouse here");
    tab.press("Enter");
    wait_for_messages(&mut tab, 1);
    assert_eq!(tab.text(focus), "text", "and the next message can follow");
}

#[test]
#[ignore = "needs Chromium: tests/run installs it and runs this"]
fn all_of_it_goes_by_keyboard_alone() {
    let daemon = Daemon::start(&[]);
    let mut browser = Browser::start();
    let mut tab = enter(&mut browser, &daemon.address);
    let mut other_browser = Browser::start();
    let mut other = enter(&mut other_browser, &daemon.address);
    wait_for_people(&mut tab, &["Tourist 1", "Tourist 2"]);
    tab.resize(1100, 700, Device::Desk);
    let walk_to = |tab: &mut Tab, selector: &str| {
        for _ in 0..12 {
            tab.press("Tab");
            if tab.evaluate(&format!("document.activeElement.matches({})", quoted(selector))) == true {
                let ring = tab.text("getComputedStyle(document.activeElement).outlineStyle");
                assert_ne!(ring, "none", "one sees where one is: {selector}");
                return;
            }
        }
        panic!("Tab does not reach {selector}");
    };

    walk_to(&mut tab, "#self");
    tab.press("Enter");
    tab.wait_for("document.querySelector('#settings').open");
    tab.type_text("Keyboarder");
    tab.press("Enter");
    tab.wait_for("document.querySelector('#me').textContent === 'Keyboarder'");
    tab.wait_for("document.activeElement.id === 'text'");
    wait_for_people(&mut tab, &["Keyboarder", "Tourist 2"]); // the list is written anew, under the one who walks there

    walk_to(&mut tab, "#names button");
    tab.press("ArrowDown");
    tab.press("Enter");
    assert_eq!(tab.text(VALUE), "/msg \"Tourist 2\" ");
    assert_eq!(tab.text("document.activeElement.id"), "text");
    walk_to(&mut tab, "#emoji-open");
    tab.press("Enter");
    tab.wait_for("!document.querySelector('#emoji').hidden");
    tab.press("ArrowRight");
    tab.press("ArrowDown");
    tab.press("ArrowUp");
    tab.press("Enter");
    assert_eq!(tab.text("document.activeElement.id"), "text");
    tab.press("Enter");
    wait_for_messages(&mut other, 1);
    assert_eq!(messages(&mut other), [("from Keyboarder, private".to_owned(), "😄".to_owned())]);
}

#[test]
#[ignore = "needs Chromium: tests/run installs it and runs this"]
fn commands_and_names_complete() {
    let daemon = Daemon::start(&[]);
    let mut browser = Browser::start();
    let mut tab = enter(&mut browser, &daemon.address);
    let mut other_browser = Browser::start();
    let mut other = enter(&mut other_browser, &daemon.address);
    take_name(&mut other, "Grace \"G\" H");
    wait_for_people(&mut tab, &["Grace \"G\" H", "Tourist 1"]);
    let offered = "[...document.querySelectorAll('#suggestions li')].map((row) => row.textContent.split(' ')[0])";

    tab.click("#text");
    tab.type_text("/");
    assert_eq!(tab.evaluate(offered), json!(["/nick", "/join", "/msg", "/me", "/who", "/ping", "/help"]));
    tab.press("ArrowDown");
    tab.press("ArrowUp");
    tab.press("Escape");
    assert_eq!(tab.text(VALUE), "/", "Escape takes the offer away, and nothing else");
    tab.type_text("m");
    assert_eq!(tab.evaluate(offered), json!(["/msg", "/me"]));
    tab.press("Enter");
    assert_eq!(tab.text(VALUE), "/msg ");
    tab.type_text("gr");
    tab.press("Tab");
    assert_eq!(tab.text(VALUE), r#"/msg "Grace \"G\" H" "#, "as the server reads it");
    tab.type_text("hello");
    tab.press("Enter");
    wait_for_messages(&mut other, 1);

    tab.type_text("ask gra");
    tab.press("Tab");
    assert_eq!(tab.text(VALUE), "ask Grace \"G\" H ");
    tab.press("Enter");
    wait_for_messages(&mut other, 2);
    other.wait_for("document.querySelectorAll('.message.mention').length === 1");

    // What begins no name leaves Tab to the browser.
    tab.type_text("xyz");
    tab.press("Tab");
    assert_eq!(tab.text("document.activeElement.id"), "send");

    say(&mut other, "/help");
    other.wait_for("document.querySelectorAll('.help-row').length >= 6");
}

#[test]
#[ignore = "needs Chromium: tests/run installs it and runs this"]
fn the_emoji_picker_inserts_where_one_types() {
    let daemon = Daemon::start(&[]);
    let mut browser = Browser::start();
    let mut tab = enter(&mut browser, &daemon.address);
    tab.type_text("ab");
    tab.evaluate("document.querySelector('#text').setSelectionRange(1, 1)");
    tab.click("#emoji-open");
    tab.click("#emoji button:nth-child(2)");
    assert_eq!(tab.text(VALUE), "a😄b");
    assert_eq!(tab.text("document.activeElement.id"), "text");
    assert_eq!(tab.evaluate("document.querySelector('#emoji').hidden"), true);
    tab.press("Enter");
    wait_for_messages(&mut tab, 1);
    assert_eq!(texts(&mut tab), ["a😄b"]);
}

/// Presses Tab behind what a person has typed or pasted.
fn complete(tab: &mut Tab, typed: &str) -> String {
    tab.evaluate("document.querySelector('#text').value = ''");
    tab.click("#text");
    tab.type_text(typed);
    tab.press("Tab");
    tab.text(VALUE)
}

#[test]
#[ignore = "needs Chromium: tests/run installs it and runs this"]
fn a_name_is_completed_behind_any_draft_and_in_any_spelling() {
    let daemon = Daemon::start(&[]);
    let mut browser = Browser::start();
    let mut tab = enter(&mut browser, &daemon.address);
    let _other = daemon.open("/?name=Jos%C3%A9");
    tab.wait_for("document.querySelector('#names').textContent.includes('José')");
    assert_eq!(complete(&mut tab, "ask JOSE\u{301}"), "ask José ");
    let long = "a".repeat(60_000);
    assert_eq!(complete(&mut tab, &format!("{long}\njos")), format!("{long}\nJosé "));
    assert_eq!(complete(&mut tab, &format!("/msg{}jos", " ".repeat(60_000))), "/msg \"José\" ");
}
