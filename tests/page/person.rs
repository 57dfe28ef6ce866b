//! What a person does in front of the page, and what there is to see.

use std::fs;
use std::path::Path;

use serde_json::json;

use crate::browser::{Browser, Tab, quoted};
use crate::support::Raw;

/// The page is in a room and knows its own name.
pub(crate) const IN_ROOM: &str =
    "document.body.dataset.state === 'open' && document.querySelector('#me').textContent !== ''";

/// Opens the page and waits until it is there.
pub(crate) fn enter(browser: &mut Browser, address: &str) -> Tab {
    let mut tab = browser.open(&format!("http://{address}/"));
    tab.wait_for(IN_ROOM);
    tab
}

/// Opens the page of a room and waits until it is there.
pub(crate) fn enter_room(browser: &mut Browser, address: &str, room: &str) -> Tab {
    let mut tab = browser.open(&format!("http://{address}/r/{room}"));
    tab.wait_for(IN_ROOM);
    tab
}

/// Puts the focus into the text box by a click, types and sends: all of it as a person would.
pub(crate) fn say(tab: &mut Tab, text: &str) {
    tab.click("#text");
    tab.type_text(text);
    tab.press("Enter");
}

/// Takes another name as people do who have read the help.
pub(crate) fn take_name(tab: &mut Tab, name: &str) {
    say(tab, &format!("/nick {name}"));
    tab.wait_for(&format!("document.querySelector('#me').textContent === {}", quoted(name)));
}

/// As in the settings, where a list opens that belongs to the browser and not to the page.
pub(crate) fn choose_language(tab: &mut Tab, language: &str) {
    tab.evaluate(&format!(
        "(() => {{ const list = document.querySelector('#language'); list.value = {}; list.dispatchEvent(new Event('change')) }})()",
        quoted(language)
    ));
    assert_eq!(tab.text("document.documentElement.lang"), language);
}

/// Where the person in front of the page looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Looking {
    Here,
    Elsewhere,
}

pub(crate) fn look(tab: &mut Tab, where_to: Looking) {
    tab.evaluate(&format!(
        "Object.defineProperty(document, 'hidden', {{ configurable: true, value: {} }});
         document.dispatchEvent(new Event('visibilitychange'))",
        where_to == Looking::Elsewhere
    ));
}

/// Scrolls, and waits for the end of it: browsers scroll smoothly, so a position means little until it has come to rest.
pub(crate) fn scroll_and_settle(tab: &mut Tab, scroll: impl FnOnce(&mut Tab)) {
    tab.drawn();
    // On a busy machine the end of an earlier scroll may be told only now. It leaves the view where it is.
    tab.evaluate(
        "{ const view = document.querySelector('#view');
           const from = view.scrollTop;
           window.rested = false;
           view.onscrollend = () => { window.rested ||= view.scrollTop !== from; }; }",
    );
    scroll(tab);
    tab.wait_for("window.rested");
}

/// Says lines and waits until the page has them all, `before` and these.
pub(crate) fn chatter(other: &mut Raw, tab: &mut Tab, before: usize, count: usize) {
    for line in 1..=count {
        other.send_text(&format!("line {}", before + line));
    }
    wait_for_messages(tab, before + count);
}

/// Waits until so many messages are on the screen.
pub(crate) fn wait_for_messages(tab: &mut Tab, count: usize) {
    tab.wait_for(&format!("document.querySelectorAll('.message').length >= {count}"));
    assert_eq!(tab.evaluate("document.querySelectorAll('.message').length"), count);
}

/// Waits until a line that is no message says this.
pub(crate) fn wait_for_notice(tab: &mut Tab, text: &str) {
    let text = quoted(text);
    tab.wait_for(&format!("[...document.querySelectorAll('.system')].some((line) => line.textContent === {text})"));
}

/// Waits until the list of people reads like this.
pub(crate) fn wait_for_people(tab: &mut Tab, names: &[&str]) {
    let names = json!(names);
    tab.wait_for(&format!(
        "JSON.stringify([...document.querySelectorAll('#names button')].map((button) => button.dataset.name).sort())
           === JSON.stringify({names}.sort())"
    ));
}

pub(crate) fn wait_for_text(tab: &mut Tab, selector: &str, text: &str) {
    tab.wait_for(&format!("document.querySelector({}).textContent.includes({})", quoted(selector), quoted(text)));
}

/// The messages on the screen, each with its name and its text.
pub(crate) fn messages(tab: &mut Tab) -> Vec<(String, String)> {
    let rows = tab.evaluate(
        "[...document.querySelectorAll('.message')].map((message) =>
           ['.name', '.text'].map((part) => message.querySelector(part).textContent))",
    );
    serde_json::from_value(rows).unwrap()
}

pub(crate) fn texts(tab: &mut Tab) -> Vec<String> {
    messages(tab).into_iter().map(|(_, text)| text).collect()
}

pub(crate) fn my_name(tab: &mut Tab) -> String {
    tab.text("document.querySelector('#me').textContent")
}

/// Takes a picture of the page and keeps it where people find it, in target/screenshots: a PNG.
pub(crate) fn keep_picture(tab: &mut Tab, name: &str) -> Vec<u8> {
    let picture = tab.screenshot();
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("screenshots");
    fs::create_dir_all(&directory).expect("there is a place for pictures");
    fs::write(directory.join(format!("{name}.png")), &picture).expect("the picture can be kept");
    picture
}

pub(crate) const AT_END: &str =
    "(({ scrollTop, clientHeight, scrollHeight }) => scrollTop + clientHeight >= scrollHeight - 1)
    (document.querySelector('#view'))";

pub(crate) const VALUE: &str = "document.querySelector('#text').value";

pub(crate) const LINKS_ARE_SAFE: &str = "[...document.querySelectorAll('#log a')].every((link) =>
    ['http:', 'https:'].includes(link.protocol) && link.target === '_blank' && link.rel === 'noopener noreferrer nofollow'
    && link.getAttributeNames().sort().join() === 'href,rel,target,title')";

/// Keeps the page's sockets, so that a test can cut them; and lets no new one reach the daemon while `away` is set.
pub(crate) const CUTTABLE: &str = "window.sockets = []; window.away = false;
    window.WebSocket = class extends WebSocket {
      constructor(url) { super(window.away ? url.replace(/^(ws:..[^/]*).*/, '$1/nowhere/at/all') : url); sockets.push(this); }
    };";
