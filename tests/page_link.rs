//! The way between the page and the daemon, in a real browser: proxies in front, a network that falls silent, and what the
//! page says when it cannot connect.

#[path = "support/browser.rs"]
mod browser;
#[path = "support/proxy.rs"]
mod proxy;
mod support;

use serde_json::json;

use browser::{Browser, Tab, quoted};
use proxy::{Proxy, without_path};
use support::Daemon;

const IS_OPEN: &str = "document.body.dataset.state === 'open' && document.querySelector('#me').textContent !== ''";

fn wait_for_text(tab: &mut Tab, selector: &str, text: &str) {
    tab.wait_for(&format!("document.querySelector({}).textContent.includes({})", quoted(selector), quoted(text)));
}

fn say(tab: &mut Tab, text: &str) {
    tab.click("#text");
    tab.type_text(text);
    tab.press("Enter");
}

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
        tab.wait_for(IS_OPEN);
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
        visitor.wait_for(IS_OPEN);
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
