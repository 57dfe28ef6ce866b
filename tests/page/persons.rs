//! The same person again: what was said stays one's own, and another's words never look like it.

use crate::browser::{Browser, quoted};
use crate::person::{IN_ROOM, enter, say, take_name};
use crate::support::Daemon;

const MINE: &str = "[...document.querySelectorAll('.message.mine .text')].map((text) => text.textContent).join()";

fn wait_for_text(tab: &mut crate::browser::Tab, text: &str) {
    let has_text = format!(
        "[...document.querySelectorAll('.message .text')].some((line) => line.textContent === {})",
        quoted(text)
    );
    tab.wait_for(&has_text);
}

#[test]
#[ignore = "needs Chromium: tests/run installs it and runs this"]
fn after_a_reload_a_tourist_has_its_name_and_its_words_and_nobody_was_told() {
    let daemon = Daemon::start(&[]);
    let mut browser = Browser::start();
    let mut tab = enter(&mut browser, &daemon.address);
    say(&mut tab, "before the reload");
    wait_for_text(&mut tab, "before the reload");
    let mut other = daemon.open("/?name=Ann");
    other.send_text("from another");
    wait_for_text(&mut tab, "from another");
    let name = tab.text("document.querySelector('#me').textContent");
    tab.reload();
    tab.wait_for(IN_ROOM);
    wait_for_text(&mut tab, "from another");
    tab.wait_for(&format!("{MINE} === 'before the reload'"));
    assert_eq!(tab.text("document.querySelector('#me').textContent"), name);
    say(&mut tab, "after the reload");
    let next = loop {
        let event = other.frame().json();
        if event["name"] != "Ann" && event["mess"] != "before the reload" && event["type"] != "welcome" {
            break event;
        }
    };
    assert_eq!((&next["type"], &next["mess"]), (&"message".into(), &"after the reload".into()), "no leave, no join");
}

#[test]
#[ignore = "needs Chromium: tests/run installs it and runs this"]
fn a_second_tab_is_the_same_person_and_takes_each_new_name_along() {
    let daemon = Daemon::start(&[]);
    let mut browser = Browser::start();
    let mut one = enter(&mut browser, &daemon.address);
    take_name(&mut one, "Ann");
    let mut two = enter(&mut browser, &daemon.address);
    assert_eq!(two.text("document.querySelector('#me').textContent"), "Ann");
    say(&mut two, "from the second tab");
    wait_for_text(&mut one, "from the second tab");
    one.wait_for(&format!("{MINE} === 'from the second tab'"));
    take_name(&mut two, "Bea");
    one.wait_for("document.querySelector('#me').textContent === 'Bea'");
}

#[test]
#[ignore = "needs Chromium: tests/run installs it and runs this"]
fn the_words_of_somebody_who_had_my_name_before_are_not_mine_and_marked() {
    let daemon = Daemon::start(&[]);
    let mut before = daemon.open("/?name=Ann&me=somebody-who-was-here-before");
    before.send_text("I was Ann first");
    before.event("message");
    let mut stranger = daemon.open("/?name=Cid");
    stranger.send_text("I am Cid");
    stranger.event("message");
    before.send_text("/nick Zoe");
    before.event("rename");
    let mut browser = Browser::start();
    let mut tab = enter(&mut browser, &daemon.address);
    take_name(&mut tab, "Ann");
    say(&mut tab, "now it is me");
    wait_for_text(&mut tab, "now it is me");
    tab.reload();
    tab.wait_for(IN_ROOM);
    wait_for_text(&mut tab, "now it is me");
    tab.wait_for(&format!("{MINE} === 'now it is me'"));
    let marked = "[...document.querySelectorAll('.message:has(.namesake)')].map((line) => line.querySelector('.text').textContent).join()";
    assert_eq!(tab.text(marked), "I was Ann first");
    let words = tab.text("document.querySelector('.namesake').textContent");
    assert!(words.starts_with("(another person, "), "{words}");
}

#[test]
#[ignore = "needs Chromium: tests/run installs it and runs this"]
fn no_address_has_the_secret() {
    let daemon = Daemon::start(&[]);
    let mut browser = Browser::start();
    let mut tab = enter(&mut browser, &daemon.address);
    let secret = tab.text("localStorage.getItem('roomd.me')");
    assert!(secret.len() == 40, "{secret}");
    assert_eq!(tab.text("document.cookie"), format!("roomd-me={secret}"));
    assert!(!tab.requests().iter().any(|request| request.contains(&secret)));
}
