//! Reading: the place in the room, and older messages above it.

use crate::browser::Browser;
use crate::person::{AT_END, chatter, enter, say, scroll_and_settle, texts, wait_for_messages};
use crate::support::Daemon;

#[test]
#[ignore = "needs Chromium: tests/run installs it and runs this"]
fn the_room_stays_at_its_end_unless_somebody_reads_further_up() {
    let daemon = Daemon::start(&["--no-rate-limit"]);
    let mut browser = Browser::start();
    let mut tab = enter(&mut browser, &daemon.address);
    let mut other = daemon.open("/?quiet=1");
    chatter(&mut other, &mut tab, 0, 100);
    tab.wait_for(AT_END);
    assert_eq!(tab.evaluate("document.querySelector('#newer').hidden"), true);

    scroll_and_settle(&mut tab, |tab| tab.wheel("#view", -600));
    let place = tab.evaluate("document.querySelector('#view').scrollTop");
    chatter(&mut other, &mut tab, 100, 3);
    tab.wait_for("!document.querySelector('#newer').hidden");
    assert_eq!(
        tab.evaluate("document.querySelector('#view').scrollTop"),
        place,
        "nobody is torn away from what they read"
    );
    assert_eq!(tab.text("document.querySelector('#newer').textContent"), "3 new messages ↓");

    tab.click("#newer");
    tab.wait_for(AT_END);
    tab.wait_for("document.querySelector('#newer').hidden");
    chatter(&mut other, &mut tab, 103, 20);
    tab.wait_for(AT_END);

    // By key as well, and one's own message leads back to the end.
    tab.evaluate("document.querySelector('#view').focus()");
    scroll_and_settle(&mut tab, |tab| tab.press("PageUp"));
    assert_eq!(tab.evaluate(AT_END), false);
    say(&mut tab, "and back");
    wait_for_messages(&mut tab, 124);
    tab.wait_for(AT_END);
}

#[test]
#[ignore = "needs Chromium: tests/run installs it and runs this"]
fn scrolling_up_brings_older_messages_in_pages_and_keeps_the_place() {
    let daemon = Daemon::start(&["--no-rate-limit"]);
    let mut other = daemon.open("/?quiet=1");
    for line in 1..=130 {
        other.send_text(&format!("line {line}"));
    }
    // The messages come back to the one who said them: after the last, all are there.
    while other.message() != "line 130" {}
    let mut browser = Browser::start();
    let mut tab = enter(&mut browser, &daemon.address);
    wait_for_messages(&mut tab, 50);
    tab.wait_for(AT_END);
    assert_eq!(texts(&mut tab)[0], "line 81");

    let place = "[...document.querySelectorAll('.message')].find((message) => message.textContent.includes('line 81'))
        .getBoundingClientRect().top - document.querySelector('#view').getBoundingClientRect().top";
    tab.evaluate("document.querySelector('#view').scrollTop = 0");
    wait_for_messages(&mut tab, 100);
    tab.drawn();
    let shift = tab.evaluate(place).as_f64().unwrap();
    assert!((-200.0..200.0).contains(&shift), "line 81 was at the top, and is there still: {shift}");

    tab.evaluate("document.querySelector('#view').scrollTop = 0");
    wait_for_messages(&mut tab, 130);
    tab.evaluate("document.querySelector('#view').scrollTop = 0");
    tab.wait_for("document.querySelector('#older').checkVisibility()");
    assert_eq!(tab.text("document.querySelector('#older').textContent"), "This is the beginning of this room");
    let all: Vec<String> = (1..=130).map(|line| format!("line {line}")).collect();
    assert_eq!(texts(&mut tab), all);
    assert_eq!(tab.evaluate("document.querySelectorAll('.day').length"), 1, "one day, one line about it");
}
