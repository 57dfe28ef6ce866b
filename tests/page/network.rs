//! Between the page and the daemon: proxies in front, a network that falls silent, and what the page says when it cannot
//! connect.

use std::sync::{Arc, Mutex};

use serde_json::json;

use crate::browser::{Browser, quoted};
use crate::person::{IN_ROOM, say, texts, wait_for_text};
use crate::proxy::{Proxy, Verdict, answer, without_path};
use crate::support::Daemon;

// ---- Under a path of a proxy's ---------------------------------------------------------------------------------------

#[test]
#[ignore = "needs Chromium: tests/run installs it and runs this"]
fn under_a_path_of_a_proxy_the_page_its_rooms_and_its_history_simply_work() {
    let daemon = Daemon::start(&[]);
    let mut browser = Browser::start();
    for path in ["/chat", "/teams/eu-1/r"] {
        let proxy = Proxy::start(&daemon.address, without_path(path));
        let root = format!("http://{}{path}", proxy.address);
        let mut tab = browser.open(&format!("{root}/"));
        tab.wait_for(IN_ROOM);
        assert_eq!(tab.text("document.querySelector('#room').textContent"), "lobby", "{path}");

        // A name that an address has to escape, and that looks like an escape itself.
        say(&mut tab, "/join 100%25 汉字");
        wait_for_text(&mut tab, "#room", "100%25 汉字");
        let room = format!("{root}/r/100%2525%20%E6%B1%89%E5%AD%97");
        tab.wait_for(&format!("location.href === {}", quoted(&room)));
        let said = format!("under {path}");
        say(&mut tab, &said);
        wait_for_text(&mut tab, "#log", &said);

        // The same room by its address: one level deeper than the lobby, so all files lie elsewhere, seen from there.
        let mut visitor = browser.open(&room);
        visitor.wait_for(IN_ROOM);
        wait_for_text(&mut visitor, "#log", &said);
        assert_eq!(
            visitor.text("document.querySelector('#example').textContent"),
            format!("websocat {}", room.replacen("http", "ws", 1))
        );
        let icon = visitor.evaluate("document.querySelector('header img').naturalWidth > 0");
        assert_eq!((icon, visitor.text("getComputedStyle(document.body).margin")), (json!(true), "0px".into()));

        tab.evaluate("history.back()");
        wait_for_text(&mut tab, "#room", "lobby");
        tab.wait_for(&format!("location.href === {}", quoted(&format!("{root}/"))));
        for tab in [&mut tab, &mut visitor] {
            assert!(tab.complaints().is_empty(), "{:?}", tab.complaints());
            for url in tab.requests() {
                assert!(url.contains(&format!("{}{path}/", proxy.address)), "beside the path: {url}");
            }
        }
    }
}

// ---- A network that falls silent -------------------------------------------------------------------------------------

/// The page's clock goes eight times as fast: its half minutes become seconds. It counts the questions of the link.
const FAST: &str = "{
    const [now, later, began] = [Date.now, window.setTimeout, Date.now()];
    Date.now = () => began + (now() - began) * 8;
    window.setTimeout = (action, ms, ...more) => later(action, ms / 8, ...more);
  }";

const COUNTING: &str = "window.pings = 0; window.pongs = 0; window.sockets = [];
  window.WebSocket = class extends WebSocket {
    constructor(url) {
      super(url);
      sockets.push(this);
      this.addEventListener('message', ({ data }) => { if (JSON.parse(data).type === 'pong') pongs += 1; });
    }
    send(text) { if (text.startsWith('/ping')) pings += 1; super.send(text); }
  };";

#[test]
#[ignore = "needs Chromium: tests/run installs it and runs this"]
fn one_who_only_reads_has_every_message_again_soon_after_the_network_fell_silent() {
    let daemon = Daemon::start(&[]);
    let proxy = Proxy::start(&daemon.address, |head| Verdict::Forward(head.to_owned()));
    let mut browser = Browser::start();
    let mut tab = browser.open_with(&format!("http://{}/", proxy.address), &format!("{FAST}{COUNTING}"));
    tab.wait_for(IN_ROOM);
    let mut other = daemon.open("/?quiet=1");
    let mut said = |text: &str| {
        other.send_text(text);
        assert_eq!(other.message(), text);
    };
    said("before");
    wait_for_text(&mut tab, "#log", "before");

    proxy.fall_silent();
    for text in ["missed 1", "missed 2", "missed 3"] {
        said(text);
    }
    wait_for_text(&mut tab, "#log", "missed 3");
    said("after");
    wait_for_text(&mut tab, "#log", "after");
    assert_eq!(texts(&mut tab), ["before", "missed 1", "missed 2", "missed 3", "after"], "each once, in order");
    assert_eq!(tab.evaluate("sockets.length"), 2, "one connection for another");
    assert_eq!(tab.evaluate("sockets[0].readyState < WebSocket.CLOSED"), true, "whose end nobody has reported");
}

#[test]
#[ignore = "needs Chromium: tests/run installs it and runs this"]
fn the_signs_of_life_of_a_silent_room_are_neither_seen_nor_heard() {
    let daemon = Daemon::start(&[]);
    let mut browser = Browser::start();
    // The other one's server does not know the command, and answers with an error.
    let older = COUNTING.replace("super.send(text)", "super.send(text.replace(/^.ping/, '/nothing'))");
    let mut tabs = [COUNTING, &older].map(|counting| {
        let mut tab = browser.open_with(&format!("http://{}/", daemon.address), &format!("{FAST}{counting}"));
        tab.wait_for(IN_ROOM);
        tab
    });
    for tab in &mut tabs {
        tab.wait_for("pings >= 3");
    }
    let mut member = daemon.open("/");
    member.event("welcome");
    for tab in &mut tabs {
        let before = tab.evaluate("pings");
        tab.wait_for(&format!("pings > {before} + 1"));
        assert_eq!(tab.evaluate("sockets.length"), 1, "the connection lives, and is kept");
        let notices = tab.evaluate(
            "[...document.querySelectorAll('.system')].map((notice) => notice.innerText)
               .filter((text) => !text.includes('joined'))",
        );
        assert_eq!(notices, json!([]));
    }
    // What somebody types is answered as ever.
    let [new, older] = &mut tabs;
    say(new, "/ping");
    wait_for_text(new, "#log", "The server hears you.");
    say(older, "/ping");
    wait_for_text(older, "#log", "There is no such command");
    member.send_text("that was all");
    assert_eq!(member.frame().json()["mess"], "that was all", "nobody else has heard of it");
}

#[test]
#[ignore = "needs Chromium: tests/run installs it and runs this"]
fn whatever_brings_somebody_back_to_the_page_makes_it_ask_at_once_but_not_twice() {
    let daemon = Daemon::start(&[]);
    let mut browser = Browser::start();
    let clock = "{ const now = Date.now; window.ahead = 0; Date.now = () => now() + ahead; }";
    let mut tab = browser.open_with(&format!("http://{}/", daemon.address), &format!("{clock}{COUNTING}"));
    tab.wait_for(IN_ROOM);
    let events = [
        "document, 'visibilitychange'",
        "window, 'online'",
        "window, 'focus'",
        "window, 'pageshow'",
        "window, 'focus'",
    ];
    for (asked, event) in events.iter().enumerate() {
        let (target, name) = event.split_once(", ").unwrap();
        let happens = format!("{target}.dispatchEvent(new Event({name}))");
        // Five seconds have passed in which nothing came. The second event of the same moment asks nothing more.
        let pings = tab.evaluate(&format!("ahead += 5000, {happens}, {happens}, pings"));
        assert_eq!(pings, asked + 1, "{event}");
        tab.wait_for("pongs === pings"); // an answer that came after the next five seconds would be too late
    }
    assert_eq!(tab.evaluate("sockets.length"), 1);
}

#[test]
#[ignore = "needs Chromium: tests/run installs it and runs this"]
fn a_machine_that_slept_before_the_answer_could_come_is_given_time_to_hear_it() {
    let daemon = Daemon::start(&[]);
    let mut browser = Browser::start();
    let clock = "{ const now = Date.now; window.ahead = 0; Date.now = () => now() + ahead; }";
    // Deaf to the answer to the first question, as if the machine had been asleep when it came.
    let deaf = COUNTING.replace(
        "super(url);",
        "super(url); super.addEventListener('message', (event) => pings === 1 && event.stopImmediatePropagation());",
    );
    let mut tab = browser.open_with(&format!("http://{}/", daemon.address), &format!("{FAST}{clock}{deaf}"));
    tab.wait_for(IN_ROOM);
    let mut other = daemon.open("/?quiet=1");
    let asked = "ahead += 5000, window.dispatchEvent(new Event('focus')), ahead += 3600000, pings";
    assert_eq!(tab.evaluate(asked), 1);
    // Or more: it asks again whenever nothing has come for a while.
    tab.wait_for("pings >= 2");
    other.send_text("good morning");
    wait_for_text(&mut tab, "#log", "good morning");
    assert_eq!(tab.evaluate("sockets.length"), 1, "the connection was good");
}

// ---- What the page says when it cannot connect -----------------------------------------------------------------------

/// What stands between the page and the daemon. The page's files come through; its handshake, and its question why, do not.
#[derive(Clone, Copy)]
enum Obstacle {
    None,
    /// Host is written anew.
    OtherHost,
    /// Pages pass, and WebSockets do not.
    NoUpgrade,
    /// The proxy answers itself.
    Says(&'static str),
}

fn behind(obstacle: &Mutex<Obstacle>, head: &str) -> Verdict {
    let is_upgrade = head.contains("\r\nUpgrade: websocket\r\n");
    if !is_upgrade && !head.contains("?check=") {
        return Verdict::Forward(head.to_owned());
    }
    match *obstacle.lock().unwrap() {
        Obstacle::None => Verdict::Forward(head.to_owned()),
        Obstacle::OtherHost => {
            let (before, host) = head.split_once("\r\nHost: ").unwrap();
            let (_, rest) = host.split_once("\r\n").unwrap();
            Verdict::Forward(format!("{before}\r\nHost: backend:8000\r\n{rest}"))
        }
        Obstacle::NoUpgrade => {
            Verdict::Forward(head.replace("\r\nUpgrade: websocket", "").replace("Upgrade\r\n", "close\r\n"))
        }
        Obstacle::Says(status) => Verdict::Answer(answer(status, "a proxy's own words")),
    }
}

#[test]
#[ignore = "needs Chromium: tests/run installs it and runs this"]
fn the_page_says_what_keeps_it_out_and_what_can_be_done_and_comes_in_when_it_is_done() {
    let daemon = Daemon::start(&[]);
    let obstacle = Arc::new(Mutex::new(Obstacle::None));
    let there = Arc::clone(&obstacle);
    let proxy = Proxy::start(&daemon.address, move |head| behind(&there, head));
    let origin = format!("http://{}", proxy.address);
    let mut browser = Browser::start();
    for (now, header, alarm, in_chinese) in [
        (
            Obstacle::OtherHost,
            "The server refuses this page.",
            "or start roomd with --origin http://127",
            "转发 Host 请求头",
        ),
        (
            Obstacle::NoUpgrade,
            "The connection is blocked on the way.",
            "the headers Upgrade and Connection",
            "支持 WebSocket",
        ),
        (Obstacle::Says("400 Bad Request"), "The request is too large.", "Delete the cookies of 127", "Cookie 过多"),
        (Obstacle::Says("431 Too Large"), "The request is too large.", "--max-head", "--max-head"),
        (Obstacle::Says("401 Unauthorized"), "You are not logged in.", "Reload the page", "刷新页面并登录"),
        (
            Obstacle::Says("302 Found\r\nLocation: /login"),
            "You are not logged in.",
            "Reload the page",
            "刷新页面并登录",
        ),
        (Obstacle::Says("403 Forbidden"), "Access is denied.", "(status 403)", "（状态码 403）"),
        (Obstacle::Says("404 Not Found"), "There is no room at this address.", "address / (status 404)", "没有地址 /"),
        (
            Obstacle::Says("404 No\r\nAnswered-By: roomd"),
            "There is no room at this address.",
            "what it has added",
            "前缀",
        ),
        (
            Obstacle::Says("426 Upgrade Required"),
            "The connection is blocked on the way.",
            "Upgrade and Connection",
            "Upgrade",
        ),
        (Obstacle::Says("429 Too Many Requests"), "Too many requests.", "(status 429)", "自动重试"),
        (Obstacle::Says("500 Oh"), "The server answers with an error.", "status 500. Oh", "状态码 500。Oh"),
        (Obstacle::Says("502 Bad Gateway"), "The server is not running.", "is roomd running", "roomd 是否在运行"),
        (Obstacle::Says("503 Service Unavailable"), "The server is not running.", "(status 503)", "状态码 503"),
        (
            Obstacle::Says("503 Full\r\nAnswered-By: roomd"),
            "The server is full.",
            "--max-connections",
            "--max-connections",
        ),
    ] {
        *obstacle.lock().unwrap() = now;
        let mut tab = browser.open_with(&format!("{origin}/"), FAST);
        wait_for_text(&mut tab, "#alarm", alarm);
        tab.wait_for(&format!("document.querySelector('#status-what').textContent === {}", quoted(header)));
        assert_eq!(tab.evaluate("document.querySelector('#alarm').hidden"), false);
        tab.evaluate(
            "{ const choice = document.querySelector('#language'); choice.value = 'zh-Hans';
            choice.dispatchEvent(new Event('change')); choice.value = 'zh-Hans' }",
        );
        wait_for_text(&mut tab, "#alarm", in_chinese);
        tab.evaluate("localStorage.clear()");

        // What can be done has been done.
        *obstacle.lock().unwrap() = Obstacle::None;
        tab.wait_for(IN_ROOM);
        assert_eq!(tab.evaluate("document.querySelector('#alarm').hidden"), true, "{alarm}");
    }
}

#[test]
#[ignore = "needs Chromium: tests/run installs it and runs this"]
fn cookies_that_have_become_too_many_are_named_when_the_page_cannot_come_back() {
    let daemon = Daemon::start(&[]);
    let mut browser = Browser::start();
    let mut tab = browser.open_with(&format!("http://{}/", daemon.address), COUNTING);
    tab.wait_for(IN_ROOM);
    tab.evaluate("[1, 2, 3, 4].forEach((n) => (document.cookie = `big${n}=${'x'.repeat(4000)}`)), sockets[0].close()");
    wait_for_text(&mut tab, "#alarm", "Delete the cookies of 127.0.0.1");
    wait_for_text(&mut tab, "#status", "The request is too large.");
    tab.evaluate("[1, 2, 3, 4].forEach((n) => (document.cookie = `big${n}=; max-age=0`))");
    tab.click("#retry");
    tab.wait_for(IN_ROOM);
}

#[test]
#[ignore = "needs Chromium: tests/run installs it and runs this"]
fn a_server_that_is_gone_is_named_as_such_and_a_device_that_is_offline_as_well() {
    let mut daemon = Daemon::start(&[]);
    let mut browser = Browser::start();
    let mut tab = browser.open_with(&format!("http://{}/", daemon.address), FAST);
    tab.wait_for(IN_ROOM);
    // What the header says in between is soon over.
    tab.evaluate(
        "window.said = []; new MutationObserver(() => said.push(document.querySelector('#status-what').textContent))
           .observe(document.querySelector('#status-what'), { childList: true })",
    );
    daemon.signal("TERM");
    tab.wait_for("said.includes('The server is going down.')");
    assert!(daemon.wait().success());
    wait_for_text(&mut tab, "#status", "The server cannot be reached.");
    wait_for_text(&mut tab, "#alarm", "Nothing answers at 127.0.0.1");
    let offline = json!({ "offline": true, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1 });
    tab.call("Network.emulateNetworkConditions", &offline);
    wait_for_text(&mut tab, "#status", "This device is offline.");
    tab.wait_for("document.querySelector('#alarm').hidden");
}
