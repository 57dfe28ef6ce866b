//! Looks: two languages, narrow and wide screens, light and dark.

use std::collections::BTreeSet;

use serde_json::json;

use crate::browser::{Browser, Device, Tab};
use crate::person::{
    AT_END, chatter, choose_language, enter, keep_picture, say, wait_for_messages, wait_for_notice, wait_for_people,
};
use crate::support::{Daemon, Raw};

#[test]
#[ignore = "needs Chromium: tests/run installs it and runs this"]
fn the_page_speaks_english_and_chinese() {
    let daemon = Daemon::start(&[]);
    let mut browser = Browser::start();
    let mut tab = browser.open_with(
        &format!("http://{}/", daemon.address),
        "Object.defineProperty(navigator, 'languages', { get: () => ['zh-CN', 'en'] })",
    );
    tab.wait_for("document.querySelector('#status-more').textContent === '1 人在线'");
    assert_eq!(tab.text("document.documentElement.lang"), "zh-Hans");
    assert_eq!(tab.text("document.querySelector('#send').textContent"), "发送");
    assert_eq!(tab.text("document.querySelector('#text').placeholder"), "发消息到 lobby");
    assert_eq!(tab.text("document.querySelector('#view').getAttribute('aria-label')"), "消息");
    say(&mut tab, "/msg Nobody hello");
    wait_for_notice(&mut tab, "房间里没有叫这个名字的人。");

    // The other language at once, in what stands there already, and still after the page was loaded again.
    choose_language(&mut tab, "en");
    assert_eq!(tab.text("document.querySelector('#send').textContent"), "Send");
    assert_eq!(tab.text("document.querySelector('#text').placeholder"), "Message lobby");
    assert_eq!(tab.text("document.querySelector('#status-more').textContent"), "1 person");
    let chinese = "[...document.querySelectorAll('body *')].filter((element) => element.checkVisibility())
        .map((element) => element.innerText).join()";
    let seen = tab.text(chinese);
    assert!(!seen.contains("消息") && !seen.contains("房间"), "{seen}");
    tab.reload();
    tab.wait_for("document.querySelector('#status-more').textContent === '1 person'");
}

/// A morning among tourists, as the pictures show it: who says what, `0` being the page itself.
const MORNING: &[(usize, &str)] = &[
    (1, "Good morning! Does anybody know when the museum opens?"),
    (2, "At nine. Closed on Mondays, but today we are lucky 🙂"),
    (3, "早上好！我们在南门等你们，旁边有一家很好吃的早餐店 🥢"),
    (0, "太好了，我们十分钟后到！"),
    (0, "They are waiting at the south gate, and there is breakfast"),
    (1, "/me is on the way 🏃"),
    (2, "South gate… is that this side of the river?"),
    (3, "过了桥往右走，看到那棵大榕树就到了 🌳"),
    (2, "Over the bridge, right, big tree. 谢谢！"),
    (3, "/msg Mei 给你留了一份 🥟"),
    (0, "See you under the big tree"),
];

/// Lets the page and three more tourists talk, each after having heard the one before.
fn lively_room(daemon: &Daemon, browser: &mut Browser) -> (Tab, Vec<Raw>) {
    let named = "localStorage.setItem('roomd.name', 'Mei')";
    let mut tab = browser.open_with(&format!("http://{}/", daemon.address), named);
    tab.wait_for("document.querySelector('#me').textContent === 'Mei'");
    let names = ["Jonas", "Leyla", "%E5%B0%8F%E6%9E%97"];
    let mut guests: Vec<Raw> = names.iter().map(|name| daemon.open(&format!("/?quiet=1&name={name}"))).collect();
    wait_for_people(&mut tab, &["Mei", "Jonas", "Leyla", "小林"]);
    for (index, (who, text)) in MORNING.iter().enumerate() {
        match who {
            0 => say(&mut tab, text),
            guest => guests[guest - 1].send_text(text),
        }
        wait_for_messages(&mut tab, index + 1);
    }
    (tab, guests)
}

#[test]
#[ignore = "needs Chromium: tests/run installs it and runs this"]
fn on_a_phone_nothing_reaches_over_the_edge() {
    let daemon = Daemon::start(&[]);
    let mut browser = Browser::start();
    let (mut tab, mut guests) = lively_room(&daemon, &mut browser);
    tab.resize(360, 640, Device::Phone);
    let address = format!("https://example.com/{}", "a/".repeat(200));
    let long = ["W".repeat(400), "汉".repeat(400), address, "👩‍👩‍👧‍👦".repeat(60)];
    for text in &long {
        guests[0].send_text(text);
    }
    wait_for_messages(&mut tab, MORNING.len() + long.len());
    tab.type_text(&"M".repeat(300));
    tab.drawn();

    // The widest that clocks say, whatever this one says now.
    for clock in ["10:08 PM", "下午10:08"] {
        tab.evaluate(&format!(
            "document.querySelectorAll('time').forEach((time) => {{ time.textContent = '{clock}'; }})"
        ));
        tab.drawn();
        nothing_is_outside(&mut tab);
    }
    tab.evaluate("document.querySelector('#text').value = ''");
    for (open, close) in [
        ("document.querySelector('#people-open').click()", "document.querySelector('#people-close').click()"),
        ("document.querySelector('#emoji-open').click()", "document.querySelector('#emoji-open').click()"),
        ("document.querySelector('#self').click()", "document.querySelector('#settings-close').click()"),
    ] {
        tab.evaluate(open);
        tab.drawn();
        nothing_is_outside(&mut tab);
        tab.evaluate(close);
    }
    tab.click("#text");
    tab.type_text("/");
    tab.drawn();
    assert_eq!(tab.evaluate("document.querySelector('#suggestions').checkVisibility()"), true);
    nothing_is_outside(&mut tab);
}

/// Neither scrolls sideways, nor lies beyond an edge, where it could not be scrolled to, but not be read either.
fn nothing_is_outside(tab: &mut Tab) {
    assert_eq!(tab.evaluate("innerWidth"), 360);
    for element in ["document.documentElement", "document.body", "document.querySelector('#view')"] {
        assert_eq!(tab.evaluate(&format!("{element}.scrollWidth <= {element}.clientWidth")), true, "{element} scrolls");
    }
    let outside = "[...document.querySelectorAll('body *')].filter((element) => element.checkVisibility())
        .filter((element) => { const { left, right } = element.getBoundingClientRect(); return left < 0 || right > 360; })
        .map((element) => `${element.tagName} ${element.className}`)";
    assert_eq!(tab.evaluate(outside), json!([]));
    assert_eq!(tab.evaluate("document.querySelector('#send').getBoundingClientRect().bottom <= innerHeight"), true);
}

#[test]
#[ignore = "needs Chromium: tests/run installs it and runs this"]
fn a_screen_that_is_turned_leaves_the_room_at_its_end() {
    let daemon = Daemon::start(&["--no-rate-limit"]);
    let mut browser = Browser::start();
    let mut tab = enter(&mut browser, &daemon.address);
    chatter(&mut daemon.open("/?quiet=1"), &mut tab, 0, 60);
    tab.wait_for(AT_END);
    tab.drawn();
    let at_end_after = |tab: &mut Tab, what: &str| {
        tab.evaluate(&format!(
            "(() => {{ const [view, log] = ['#view', '#log'].map((one) => document.querySelector(one)); {what} }})()"
        ));
        tab.drawn();
        assert_eq!(tab.evaluate(AT_END), true, "nobody has scrolled");
    };
    // Shorter text moves the view, for there is no place so far down any more; then the text is longer again; and only now
    // the browser says that the view was moved. So it sometimes goes when the width changes in steps, with the scroll bars.
    let shorter = "const before = view.scrollTop;
        log.style.fontSize = '50%';
        if (view.scrollTop >= before) throw new Error('it was not moved');";
    at_end_after(&mut tab, &format!("{shorter} log.style.fontSize = '75%'; view.dispatchEvent(new Event('scroll'));"));
    // A window that gets another size for a moment: the same, and all sizes are again what they were.
    at_end_after(
        &mut tab,
        &format!(
            "{shorter} log.style.fontSize = '75%';
             dispatchEvent(new Event('resize')); view.dispatchEvent(new Event('scroll'));"
        ),
    );

    for (width, height, device) in
        [(390, 780, Device::Phone), (780, 390, Device::Phone), (1100, 300, Device::Desk), (390, 780, Device::Phone)]
    {
        tab.resize(width, height, device);
        tab.wait_for(AT_END);
    }
}

#[test]
#[ignore = "needs Chromium: tests/run installs it and runs this"]
fn pictures_of_a_lively_room_are_taken_wide_and_narrow_light_and_dark_and_in_chinese() {
    let daemon = Daemon::start(&[]);
    let mut browser = Browser::start();
    let (mut tab, _guests) = lively_room(&daemon, &mut browser);

    let mut grounds = BTreeSet::new();
    let wide = (1100, 700, Device::Desk);
    let narrow = (390, 780, Device::Phone);
    for (picture, (width, height, device), scheme, language) in [
        ("wide-light", wide, "light", "en"),
        ("wide-dark", wide, "dark", "en"),
        ("narrow-light", narrow, "light", "en"),
        ("narrow-dark", narrow, "dark", "en"),
        ("wide-chinese", wide, "light", "zh-Hans"),
    ] {
        tab.resize(width, height, device);
        tab.prefer_colours(scheme);
        choose_language(&mut tab, language);
        // The list of people goes when the screen gets narrow, and comes back by itself.
        tab.wait_for(&format!("document.querySelector('#people').hidden === {}", device == Device::Phone));
        tab.wait_for("document.getAnimations().length === 0"); // colours change softly
        tab.drawn();
        tab.wait_for(AT_END);
        grounds.insert(tab.text("getComputedStyle(document.body).backgroundColor"));

        let bytes = keep_picture(&mut tab, picture);
        let (signature, rest) = bytes.split_at(8);
        assert_eq!(signature, b"\x89PNG\r\n\x1a\n");
        let number = |at: usize| u32::from_be_bytes(*rest[at..].first_chunk().unwrap());
        let dots = if device == Device::Phone { 2 } else { 1 };
        assert_eq!((number(8), number(12)), (width * dots, height * dots), "its header says its size");
        // One colour all over would take some 5 kB.
        assert!(bytes.len() > 20_000, "{picture} shows nothing: {} bytes", bytes.len());
    }
    assert_eq!(grounds.len(), 2, "light is not dark: {grounds:?}");
}
