//! What the page shows of a message that the server's disk has damaged.

use std::fs;

use crate::browser::Browser;
use crate::person::{IN_ROOM, choose_language, keep_picture};
use crate::support::{Daemon, Folder};

/// Each message: its name, whether a time stands beside it, whether its name is a button, and its text.
const SHOWN: &str = "[...document.querySelectorAll('#log .message')].map((item) => [
    item.querySelector('.name').textContent, item.querySelector('time') !== null,
    item.querySelector('button.name') !== null, item.querySelector('.text').textContent].join('|')).join('\\n')";

/// A file in which something was said in two rooms, and part of it is damaged; removed at the end.
struct Damaged {
    _folder: Folder,
    file: String,
}

impl Damaged {
    fn new() -> Damaged {
        let folder = Folder::new();
        let file = folder.file("room.db");
        let mut daemon = start(&file);
        for (room, texts) in
            [("lobby", &["a first one", "a broken one", "a last one"][..]), ("lost", &["all is broken"])]
        {
            let mut member = daemon.open(&format!("/r/{room}?quiet=1&name=Ann"));
            for text in texts {
                member.send_text(text);
                assert_eq!(member.message(), *text);
            }
        }
        daemon.signal("TERM");
        assert_eq!(daemon.wait().code(), Some(0));
        let mut bytes = fs::read(&file).unwrap();
        for word in ["a broken", "is broken"] {
            let at = bytes.windows(word.len()).position(|window| window == word.as_bytes()).unwrap();
            bytes[at] ^= 1;
        }
        fs::write(&file, bytes).unwrap();
        Damaged { _folder: folder, file }
    }
}

fn start(file: &str) -> Daemon {
    Daemon::start(&["--history", file, "--no-rate-limit"])
}

#[test]
#[ignore = "needs Chromium: tests/run installs it and runs this"]
fn a_damaged_message_is_shown_as_such_in_the_reader_s_language_and_never_as_of_1970() {
    let damaged = Damaged::new();
    let daemon = start(&damaged.file);
    let mut browser = Browser::start();
    let (english, chinese) =
        ("This message is damaged on the server and cannot be read.", "这条消息在服务器上已损坏，无法读取。");

    // Of the name that stands in the daemon's own sentence: nobody has mentioned it.
    let mut tab = browser.open(&format!("http://{}/?name=history", daemon.address));
    tab.wait_for(IN_ROOM);
    tab.wait_for("document.querySelectorAll('#log .message').length === 3");
    for (language, sentence) in [("en", english), ("zh-Hans", chinese)] {
        choose_language(&mut tab, language);
        let expected = format!("Ann|true|true|a first one\nroomd|true|false|{sentence}\nAnn|true|true|a last one");
        assert_eq!(tab.text(SHOWN), expected);
        keep_picture(&mut tab, &format!("damaged-{language}"));
    }
    assert_eq!(tab.text("String(document.querySelectorAll('#log .damaged').length)"), "1");
    assert_eq!(tab.text("String(document.querySelectorAll('#log .mention').length)"), "0");

    let mut tab = browser.open(&format!("http://{}/r/lost", daemon.address));
    tab.wait_for(IN_ROOM);
    tab.wait_for("document.querySelectorAll('#log .message').length === 1");
    for (language, sentence) in [("en", english), ("zh-Hans", chinese)] {
        choose_language(&mut tab, language);
        assert_eq!(tab.text(SHOWN), format!("roomd|false|false|{sentence}"));
        assert_eq!(tab.text("String(document.querySelectorAll('#log .day').length)"), "0", "no day of 1970");
        keep_picture(&mut tab, &format!("damaged-without-time-{language}"));
    }
    tab.evaluate("document.querySelector('#text').focus()");
    tab.type_text("it goes on");
    tab.press("Enter");
    tab.wait_for("document.querySelectorAll('#log .message').length === 2");
    assert_eq!(tab.text("String(document.querySelectorAll('#log .day').length)"), "1", "what is said now has its day");
    assert_eq!(tab.complaints(), [""; 0]);
}
