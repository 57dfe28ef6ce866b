//! Texts and servers that mean harm: nothing they say runs, and the page goes on.

use std::collections::BTreeSet;

use serde_json::json;
use tungstenite::Message;
use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::coding::CloseCode;

use crate::browser::{Browser, Tab, quoted};
use crate::impostor::{Impostor, tell, welcome};
use crate::person::{LINKS_ARE_SAFE, enter, messages, say, texts, wait_for_messages};
use crate::support::Daemon;

/// Each would do something if it got into the page as anything but text: set `pwned`, open a dialog, ask another host,
/// take the place of an element. The last few do not run but show whether a text stays as it is.
const HOSTILE: &[&str] = &[
    "<script>pwned = 1</script>",
    "<script src=http://evil.invalid/x.js></script>",
    "<img src=x onerror=pwned=1>",
    "<img src=http://evil.invalid/pixel.png>",
    "\"><img src=x onerror=\"pwned=1\">",
    "'><svg onload=pwned=1>",
    "<svg><script>pwned=1</script></svg>",
    "<svg><animate onbegin=pwned=1 attributeName=x dur=1s>",
    "<math><mtext><table><mglyph><style><img src=x onerror=pwned=1>",
    "<iframe srcdoc=\"<script>parent.pwned=1</script>\"></iframe>",
    "<iframe src=javascript:parent.pwned=1></iframe>",
    "<object data=http://evil.invalid/x></object><embed src=http://evil.invalid/x>",
    "<video><source onerror=pwned=1></video>",
    "<audio src=x onerror=pwned=1>",
    "<details open ontoggle=pwned=1>x</details>",
    "<input autofocus onfocus=pwned=1>",
    "<body onload=pwned=1 onpageshow=pwned=1>",
    "<a href=javascript:pwned=1 id=send>click me</a>",
    "[click me](javascript:pwned=1)",
    "javascript:pwned=1",
    "data:text/html,<script>pwned=1</script>",
    "</title></textarea></ol></li></div><script>pwned=1</script>",
    "<!-- <script>pwned=1</script> -->",
    "<![CDATA[<script>pwned=1</script>]]>",
    "<base href=http://evil.invalid/>",
    "<meta http-equiv=refresh content=\"0;url=http://evil.invalid/\">",
    "<link rel=stylesheet href=http://evil.invalid/x.css>",
    "<style>@import 'http://evil.invalid/x.css'; body { display: none }</style>",
    "<form action=http://evil.invalid/ id=composer><input name=text></form>",
    "<template shadowrootmode=open><script>pwned=1</script></template>",
    "<noscript><p title=\"</noscript><img src=x onerror=pwned=1>\">",
    "<ol id=log></ol><p id=text></p><img name=querySelector>",
    "<x contenteditable autofocus onfocus=alert(1) tabindex=1>",
    "';alert(1);//\\';alert(1);//",
    "${pwned=1} {{constructor.constructor('pwned=1')()}} #{pwned=1} <%= pwned=1 %>",
    "\\u003cscript\\u003epwned=1\\u003c/script\\u003e",
    "&lt;b&gt; &#60;script&#62;pwned=1&#60;/script&#62; &amp;amp;",
    "__proto__",
    "constructor",
    "\u{202e}desrever\u{202c} \u{200b}\u{feff}\u{0} \u{1b}[31m \u{2028}",
];

/// Watches a page from its first moment on, and says afterwards that nothing has happened to it.
struct Watch {
    globals: BTreeSet<String>,
}

const GLOBALS: &str = "Object.getOwnPropertyNames(window)";

impl Watch {
    fn begin(tab: &mut Tab) -> Watch {
        Watch { globals: serde_json::from_value(tab.evaluate(GLOBALS)).unwrap() }
    }

    fn nothing_happened(self, tab: &mut Tab, address: &str) {
        // Whatever runs after the fact (an image that fails to load, say) is under way by now, before this request and
        // these frames; so when they are done, it would have happened. A dialog fails the test as soon as it opens.
        tab.evaluate(
            "fetch('/healthz').then((answer) => answer.text()).then(() => new Promise((done) =>
               requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 0)))))",
        );
        assert_eq!(tab.evaluate("'pwned' in window"), false);
        let globals: BTreeSet<String> = serde_json::from_value(tab.evaluate(GLOBALS)).unwrap();
        let new: Vec<_> = globals.difference(&self.globals).collect();
        assert!(new.is_empty(), "new globals: {new:?}");
        let tags =
            "[...new Set([...document.querySelectorAll('#log *')].map((element) => element.tagName))].sort().join()";
        let tags = tab.text(tags);
        let plain = ["A", "BDI", "BUTTON", "CODE", "DIV", "LI", "TIME"];
        assert!(tags.split(',').all(|tag| plain.contains(&tag)), "{tags}");
        assert_eq!(tab.evaluate(LINKS_ARE_SAFE), true);
        let attributes = "[...document.querySelectorAll('*')].some((element) =>
            element.getAttributeNames().some((name) => name.startsWith('on')))";
        assert_eq!(tab.evaluate(attributes), false);
        assert_eq!(tab.evaluate("document.querySelectorAll('#log, #text, #send, #composer').length"), 4);
        assert_eq!(tab.text("location.href"), format!("http://{address}/"));
        assert!(tab.complaints().is_empty(), "{:?}", tab.complaints());
        for url in tab.requests() {
            assert!(
                url.starts_with(&format!("http://{address}/")) || *url == format!("ws://{address}/"),
                "a foreign request: {url}"
            );
        }
    }
}

#[test]
#[ignore = "needs Chromium: tests/run installs it and runs this"]
fn what_people_write_is_shown_as_they_wrote_it_and_never_runs() {
    let daemon = Daemon::start(&["--no-rate-limit"]);
    let mut browser = Browser::start();
    let mut tab = enter(&mut browser, &daemon.address);
    let watch = Watch::begin(&mut tab);

    let mut other = daemon.open("/?quiet=1");
    for text in HOSTILE {
        other.send_text(text);
    }
    wait_for_messages(&mut tab, HOSTILE.len());
    // One's own words take another way through the page: out of the box and back from the room.
    say(&mut tab, HOSTILE[0]);
    wait_for_messages(&mut tab, HOSTILE.len() + 1);

    let texts = texts(&mut tab);
    assert_eq!(texts[..HOSTILE.len()], *HOSTILE);
    assert_eq!(texts[HOSTILE.len()], HOSTILE[0]);
    watch.nothing_happened(&mut tab, &daemon.address);
}

#[test]
#[ignore = "needs Chromium: tests/run installs it and runs this"]
fn a_hostile_server_cannot_make_the_page_run_anything_through_any_field() {
    let daemon = Daemon::start(&[]);
    let impostor = Impostor::start(&daemon);
    let mut browser = Browser::start();
    let (mut tab, mut socket) = impostor.visited_by(&mut browser);
    tab.wait_for("document.body.dataset.state === 'open'");
    let watch = Watch::begin(&mut tab);

    for (index, text) in HOSTILE.iter().enumerate() {
        let me = format!("me {text}");
        let fields = json!({ "type": "welcome", "online": text, "users": [text], "last": text, "name": me });
        tell(&mut socket, &fields);
        tell(&mut socket, &json!({ "type": "message", "room": text, "name": text, "mess": text, "time": text }));
        tell(&mut socket, &json!({ "type": "join", "name": text, "mess": text, "online": text }));
        tell(&mut socket, &json!({ "type": "error", "name": text, "mess": text, "code": text }));
        tell(&mut socket, &json!({ "type": "error", "name": text, "mess": "", "code": text }));
        tell(
            &mut socket,
            &json!({ "type": format!("new {text}"), "name": text, "mess": text, "from": text, "id": text }),
        );
        tell(&mut socket, &json!({ "type": text, "name": text, "mess": text, "to": text }));
        // The last of them is shown as one of an unknown type, the second of its round.
        tab.wait_for(&format!("document.querySelectorAll('#log .system .who').length === {}", 2 * (index + 1)));
        assert_eq!(tab.text("document.querySelector('#me').textContent"), me);
    }

    let pairs: Vec<_> = HOSTILE.iter().map(|text| (text.to_string(), text.to_string())).collect();
    assert_eq!(messages(&mut tab), pairs);
    let part =
        |part: &str| format!("[...document.querySelectorAll('#log {part}')].map((element) => element.textContent)");
    let twice: Vec<_> = HOSTILE.iter().flat_map(|text| [*text, *text]).collect();
    assert_eq!(tab.evaluate(&part(".system.error .what")), json!(twice));
    let named: Vec<_> = HOSTILE.iter().flat_map(|text| [format!("{text}:"), format!("{text}:")]).collect();
    assert_eq!(tab.evaluate(&part(".system .who")), json!(named), "two events of unknown types");
    let joined = "[...document.querySelectorAll('#log .what')].filter((what) => what.textContent.endsWith(' joined'))
        .map((what) => what.querySelector('bdi').textContent)";
    assert_eq!(tab.evaluate(joined), json!(HOSTILE));

    // What else the server may say. (None of it is ours, for our name is another one by now.)
    for (index, text) in HOSTILE.iter().enumerate() {
        tell(&mut socket, &json!({ "type": "private", "name": text, "mess": text, "to": text, "time": text }));
        tell(&mut socket, &json!({ "type": "action", "name": text, "mess": text, "room": text }));
        tell(&mut socket, &json!({ "type": "rename", "name": text, "mess": text, "from": text }));
        tell(&mut socket, &json!({ "type": "users", "name": text, "mess": text, "users": [text], "online": 2 }));
        tell(&mut socket, &json!({ "type": "help", "name": text, "mess": format!("/new {text}\n{text}") }));
        tell(&mut socket, &json!({ "type": "leave", "name": text, "mess": text, "online": text }));
        let old = json!({ "type": text, "id": 1000 - index, "name": text, "mess": text, "time": text });
        tell(
            &mut socket,
            &json!({ "type": "history", "room": "lobby", "name": text, "mess": text, "before": 2000, "messages": [old, text] }),
        );
        wait_for_messages(&mut tab, HOSTILE.len() + 3 * (index + 1));
    }
    let texts = |which: &str| part(&format!("{which} .text"));
    assert_eq!(tab.evaluate(&texts(".private")), json!(HOSTILE));
    assert_eq!(tab.evaluate(&texts(".action")), json!(HOSTILE));

    // A room may be called anything, and is a part of the address.
    for text in HOSTILE.iter().chain(&["../..", "//evil.invalid/", "lobby"]) {
        tell(&mut socket, &json!({ "type": "welcome", "room": text, "name": "me" }));
        tab.wait_for(&format!("document.querySelector('#room').textContent === {}", quoted(text)));
        tell(&mut socket, &json!({ "type": "message", "name": text, "mess": text }));
        wait_for_messages(&mut tab, 1);
    }

    watch.nothing_happened(&mut tab, &impostor.address);

    // The reason of a Close is somebody's text as well.
    let reason = "<img src=x onerror=pwned=1>";
    // It stands there until the page connects again, which may be sooner than we look.
    tab.evaluate(
        "{ const what = document.querySelector('#status-what');
           window.stood = [];
           new MutationObserver(() => stood.push(what.textContent))
             .observe(what, { childList: true, characterData: true, subtree: true }); }",
    );
    socket.close(Some(CloseFrame { code: CloseCode::Policy, reason: reason.into() })).unwrap();
    tab.wait_for(&format!("stood.some((text) => text.includes({}))", quoted(reason)));
    assert_eq!(tab.evaluate("document.querySelectorAll('#status img').length"), 0);
}

#[test]
#[ignore = "needs Chromium: tests/run installs it and runs this"]
fn what_makes_no_sense_is_passed_over_and_the_page_goes_on() {
    let daemon = Daemon::start(&[]);
    let impostor = Impostor::start(&daemon);
    let mut browser = Browser::start();
    let (mut tab, mut socket) = impostor.visited_by(&mut browser);
    tell(&mut socket, &welcome("Tourist 1"));

    for odd in [
        "",
        " ",
        "null",
        "true",
        "17",
        "\"text\"",
        "[]",
        "[1,2]",
        "{",
        "{}",
        "{\"type\":null}",
        "{\"type\":{}}",
        "{\"type\":\"__proto__\"}",
        "{\"type\":\"constructor\"}",
        "{\"type\":\"hasOwnProperty\"}",
        "{\"__proto__\":{\"type\":\"message\"}}",
        "{\"type\":\"join\"}",
        "{\"type\":\"online\",\"online\":-1e400}",
        "{\"type\":\"welcome\",\"last\":1e300,\"online\":null}",
        "{\"type\":\"new\",\"name\":[[]],\"mess\":{\"a\":1}}",
        "{\"type\":\"new\",\"name\":{\"toString\":1,\"valueOf\":1},\"mess\":\"x\"}",
        "{\"type\":\"error\",\"code\":{\"toString\":1,\"valueOf\":1}}",
        "\u{0}",
        "not JSON at all",
    ] {
        socket.send(Message::text(odd)).unwrap();
    }
    socket.send(Message::binary(vec![0, 255, 254])).unwrap();
    tell(&mut socket, &json!({ "type": "message", "name": "Tourist 2", "mess": "still here?", "time": 9e15, "id": 1 }));
    tell(
        &mut socket,
        &json!({ "type": "message", "name": 7, "mess": [1, 2], "time": { "toString": 1, "valueOf": 1 }, "id": 2 }),
    );

    wait_for_messages(&mut tab, 2);
    let seen = [("Tourist 2".to_owned(), "still here?".to_owned()), ("7".to_owned(), "[1,2]".to_owned())];
    assert_eq!(messages(&mut tab), seen);
    assert!(tab.complaints().is_empty(), "{:?}", tab.complaints());
}

#[test]
#[ignore = "needs Chromium: tests/run installs it and runs this"]
fn a_hostile_message_is_shown_and_the_page_goes_on() {
    let daemon = Daemon::start(&["--no-rate-limit"]);
    let mut browser = Browser::start();
    let mut tab = enter(&mut browser, &daemon.address);
    let mut other = daemon.open("/?quiet=1");
    let hostile = [
        format!("http://a{}", ")".repeat(65_000)),
        format!("http://a{}", "]".repeat(65_000)),
        format!("http://a{}", ":)".repeat(32_000)),
        format!("/me http://a{}", "}".repeat(65_000)),
        "http://a ".repeat(7_000),
        "\u{301}\u{323}".repeat(16_000),
        "\u{202E}".repeat(21_000),
        "\n".repeat(65_000) + "x",
        "👩\u{200D}".repeat(9_000),
        "Tourist ".repeat(8_000),
    ];
    for (index, text) in hostile.iter().enumerate() {
        other.send_text(text);
        // Who does not read is not read, either.
        other.frame();
        tab.wait_for(&format!("document.querySelectorAll('.message').length === {}", index + 1));
    }
    assert_eq!(
        tab.evaluate(
            "Math.max(...[...document.querySelectorAll('.message')].map((one) => one.querySelectorAll('a').length))"
        ),
        200,
        "a message has no more links than that"
    );
    tab.click("#text");
    tab.type_text("still here");
    tab.press("Enter");
    tab.wait_for("[...document.querySelectorAll('.text')].at(-1)?.textContent === 'still here'");

    // And again when it is shown as history.
    tab.reload();
    tab.wait_for("[...document.querySelectorAll('.text')].at(-1)?.textContent === 'still here'");
}
