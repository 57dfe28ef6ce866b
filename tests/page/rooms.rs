//! Rooms, and the people in them.

use crate::browser::{Browser, Tab, quoted};
use crate::person::{
    CUTTABLE, enter, enter_room, my_name, say, texts, wait_for_messages, wait_for_notice, wait_for_people,
};
use crate::support::Daemon;

#[test]
#[ignore = "needs Chromium: tests/run installs it and runs this"]
fn two_rooms_do_not_hear_each_other() {
    let daemon = Daemon::start(&[]);
    let mut browser = Browser::start();
    let mut lobby = enter(&mut browser, &daemon.address);
    let mut other = enter_room(&mut browser, &daemon.address, "%E6%B1%89");
    assert_eq!(other.text("document.querySelector('#room').textContent"), "汉");
    assert_eq!(other.text("document.title"), "汉 · roomd");

    say(&mut lobby, "only in the lobby");
    say(&mut other, "only elsewhere");
    for (tab, text) in [(&mut lobby, "only in the lobby"), (&mut other, "only elsewhere")] {
        wait_for_messages(tab, 1);
        assert_eq!(texts(tab), [text]);
    }
    // A second message of the same room comes later than anything from the other could.
    say(&mut lobby, "still alone");
    wait_for_messages(&mut lobby, 2);
    assert_eq!(texts(&mut lobby), ["only in the lobby", "still alone"]);
}

#[test]
#[ignore = "needs Chromium: tests/run installs it and runs this"]
fn one_goes_to_another_room_and_back_without_loading_the_page_again() {
    let daemon = Daemon::start(&[]);
    let mut browser = Browser::start();
    let mut tab = browser.open_with(&format!("http://{}/", daemon.address), CUTTABLE);
    tab.wait_for("document.body.dataset.state === 'open'");
    tab.evaluate("window.notReloaded = true");
    say(&mut tab, "in the lobby");
    wait_for_messages(&mut tab, 1);

    let arrived = |tab: &mut Tab, room: &str, path: &str| {
        tab.wait_for(&format!("document.querySelector('#room').textContent === {}", quoted(room)));
        assert_eq!(tab.text("location.pathname"), path);
    };
    say(&mut tab, "/join Tea & 茶");
    arrived(&mut tab, "Tea & 茶", "/r/Tea%20%26%20%E8%8C%B6");
    tab.wait_for("document.querySelectorAll('.message').length === 0");
    say(&mut tab, "in the tea room");
    wait_for_messages(&mut tab, 1);

    tab.evaluate("history.back()");
    arrived(&mut tab, "lobby", "/");
    tab.wait_for("document.querySelector('.text')?.textContent === 'in the lobby'");
    tab.evaluate("history.forward()");
    arrived(&mut tab, "Tea & 茶", "/r/Tea%20%26%20%E8%8C%B6");
    tab.wait_for("document.querySelector('.text')?.textContent === 'in the tea room'");
    assert_eq!(tab.evaluate("window.notReloaded"), true);

    // A room that cannot be is not in the address either.
    say(&mut tab, "/join a/b");
    tab.wait_for("document.querySelector('.system.error') !== null");
    arrived(&mut tab, "Tea & 茶", "/r/Tea%20%26%20%E8%8C%B6");

    // Back while there is no connection: it is made to the room of the address.
    tab.evaluate("window.away = true; sockets.at(-1).close()");
    tab.wait_for("document.body.dataset.state === 'waiting'");
    tab.evaluate("history.back()");
    tab.wait_for("location.pathname === '/'");
    tab.evaluate("window.away = false");
    arrived(&mut tab, "lobby", "/");
    wait_for_notice(&mut tab, "You are in lobby now, as Tourist 2");
    wait_for_messages(&mut tab, 1);
    assert_eq!(texts(&mut tab), ["in the lobby"]);
}

#[test]
#[ignore = "needs Chromium: tests/run installs it and runs this"]
fn a_rename_is_seen_by_the_other_tab_and_remembered_for_the_next_visit() {
    let daemon = Daemon::start(&[]);
    let mut browser = Browser::start();
    let mut one = enter(&mut browser, &daemon.address);
    let mut second_browser = Browser::start();
    let mut two = enter(&mut second_browser, &daemon.address);
    let (first, second) = (my_name(&mut one), my_name(&mut two));

    one.click("#self");
    one.wait_for("document.querySelector('#settings').open");
    one.type_text("Änne");
    one.press("Enter");
    one.wait_for("document.querySelector('#me').textContent === 'Änne' && !document.querySelector('#settings').open");
    wait_for_notice(&mut one, "You are now called Änne");
    wait_for_notice(&mut two, &format!("{first} is now called Änne"));
    wait_for_people(&mut two, &["Änne", &second]);

    // A name that is taken is refused where it was asked for.
    two.click("#self");
    two.type_text("änne");
    two.press("Enter");
    two.wait_for("document.querySelector('#naming-problem').textContent !== ''");
    two.press("Escape");
    assert_eq!(my_name(&mut two), second);

    one.reload();
    one.wait_for("document.querySelector('#me').textContent === 'Änne'");
}
