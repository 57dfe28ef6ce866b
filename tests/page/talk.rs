//! Talking: what is said is seen by all, what is private by two, and what is not sent stays in the box.

use serde_json::json;

use crate::browser::{Browser, Device};
use crate::person::{VALUE, enter, messages, my_name, say, take_name, texts, wait_for_messages, wait_for_people};
use crate::support::Daemon;

#[test]
#[ignore = "needs Chromium: tests/run installs it and runs this"]
fn two_tabs_talk_to_each_other_in_any_script_and_see_who_said_what_when() {
    let daemon = Daemon::start(&[]);
    let mut browser = Browser::start();
    let mut one = enter(&mut browser, &daemon.address);
    let mut second_browser = Browser::start();
    let mut two = enter(&mut second_browser, &daemon.address);
    let (first, second) = (my_name(&mut one), my_name(&mut two));
    assert_ne!(first, second);

    let greeting = "Hello from the first tab";
    let answer = "你好，世界！👋🏽 مرحبا — ¿qué tal? 👩‍👩‍👧‍👦";
    say(&mut one, greeting);
    wait_for_messages(&mut one, 1);
    wait_for_messages(&mut two, 1);
    say(&mut two, answer);

    for tab in [&mut one, &mut two] {
        wait_for_messages(tab, 2);
        let said = [(first.clone(), greeting.to_owned()), (second.clone(), answer.to_owned())];
        assert_eq!(messages(tab), said, "each sees both, the own one once");
        let times = "[...document.querySelectorAll('.message time')].every((time) =>
            time.textContent !== '' && Math.abs(Date.now() - Date.parse(time.dateTime)) < 60_000)";
        assert_eq!(tab.evaluate(times), true, "each message says when it was said");
        assert_eq!(tab.evaluate("document.querySelectorAll('.message.mine').length"), 1);
        assert_eq!(tab.text("document.querySelector('#text').value"), "");
        assert!(tab.complaints().is_empty(), "{:?}", tab.complaints());
    }
}

#[test]
#[ignore = "needs Chromium: tests/run installs it and runs this"]
fn enter_sends_but_not_with_shift_and_not_while_an_input_method_composes() {
    let daemon = Daemon::start(&[]);
    let mut listener = daemon.open("/?quiet=1");
    let mut browser = Browser::start();
    let mut tab = enter(&mut browser, &daemon.address);

    tab.type_text("two");
    tab.key("Enter", 13, "\r", 8);
    tab.type_text("lines");
    tab.press("Enter");
    assert_eq!(listener.message(), "two\nlines");

    // Pinyin is being typed, and Enter takes it over: for the page that is code 229, whatever the key says.
    let pinyin = json!({ "text": "nihao", "selectionStart": 5, "selectionEnd": 5 });
    tab.call("Input.imeSetComposition", &pinyin);
    tab.key("Enter", 229, "", 0);
    assert_eq!(tab.text("document.querySelector('#text').value"), "nihao", "it is still there, so it was not sent");
    tab.type_text("你好");
    tab.press("Enter");
    assert_eq!(listener.message(), "你好");
}

#[test]
#[ignore = "needs Chromium: tests/run installs it and runs this"]
fn a_private_message_reaches_one_and_is_marked() {
    let daemon = Daemon::start(&[]);
    let mut browser = Browser::start();
    let mut ann = enter(&mut browser, &daemon.address);
    let mut bobs_browser = Browser::start();
    let mut bob = enter(&mut bobs_browser, &daemon.address);
    let mut eves_browser = Browser::start();
    let mut eve = enter(&mut eves_browser, &daemon.address);
    for (tab, name) in [(&mut ann, "Ann A."), (&mut bob, "Bob"), (&mut eve, "Eve")] {
        take_name(tab, name);
    }
    wait_for_people(&mut ann, &["Ann A.", "Bob", "Eve"]);
    ann.resize(1100, 700, Device::Desk); // wide enough for the list to stand beside the room

    ann.click("#names button[data-name=Bob]");
    assert_eq!(ann.text(VALUE), "/msg \"Bob\" ");
    ann.type_text("between us");
    ann.press("Enter");
    for (tab, mark) in [(&mut ann, "to Bob, private"), (&mut bob, "from Ann A., private")] {
        wait_for_messages(tab, 1);
        assert_eq!(messages(tab), [(mark.to_owned(), "between us".to_owned())]);
        assert_eq!(tab.evaluate("document.querySelector('.message').matches('.private')"), true);
    }

    // The answer begins at the name of the one who wrote, spaces and all.
    bob.click(".private .name");
    assert_eq!(bob.text(VALUE), "/msg \"Ann A.\" ");
    bob.type_text("I see");
    bob.press("Enter");
    wait_for_messages(&mut ann, 2);
    say(&mut bob, "and this is for all");
    wait_for_messages(&mut eve, 1);
    assert_eq!(texts(&mut eve), ["and this is for all"]);
}

#[test]
#[ignore = "needs Chromium: tests/run installs it and runs this"]
fn a_private_word_with_another_sign_for_its_slash_comes_back_into_the_box() {
    let daemon = Daemon::start(&[]);
    let mut browser = Browser::start();
    let mut tab = enter(&mut browser, &daemon.address);
    tab.click("#text");
    tab.type_text("、msg Bob secret");
    tab.press("Enter");
    tab.wait_for("document.querySelector('#log').textContent.includes('another sign for its slash')");
    assert_eq!(tab.text(VALUE), "、msg Bob secret");
    assert_eq!(tab.evaluate("document.querySelectorAll('.message').length"), 0, "nobody was told");
}
