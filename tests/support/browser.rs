//! A headless Chromium of the test's own, driven over the DevTools protocol: JSON over a WebSocket.
//!
//! It is thin on purpose. A test says what a person would do (type, press, click, scroll) through real input events, and
//! asks the page in its own language, JavaScript, what there is to see.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses its own part of this")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak, mpsc};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

use crate::support::PATIENCE;

/// How often a condition is looked at while a test waits for it.
const GLANCE: Duration = Duration::from_millis(15);

/// A browser of the test's own: what one keeps, and where it is open, no other knows of. Its pages are closed when it is
/// dropped.
///
/// Tests of one program that run at the same time share one Chromium, since starting it is what takes the time. The last
/// of them ends it. Each has a context of its own in it, as a private window has.
pub struct Browser {
    devtools: DevTools,
    context: String,
    chromium: Arc<Chromium>,
}

/// A running Chromium, ended when dropped; its profile is removed then.
struct Chromium {
    child: Child,
    profile: PathBuf,
    url: String,
}

impl Chromium {
    /// The one that runs, or a new one.
    fn shared() -> Arc<Chromium> {
        static RUNNING: Mutex<Weak<Chromium>> = Mutex::new(Weak::new());
        // A test that failed while it waited for Chromium has changed nothing in it.
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        running.upgrade().unwrap_or_else(|| {
            let chromium = Arc::new(Chromium::start());
            *running = Arc::downgrade(&chromium);
            chromium
        })
    }

    /// Starts Chromium. One that is not there fails the test: a page that nobody looked at is not a page that works.
    fn start() -> Chromium {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let serial = STARTED.fetch_add(1, Ordering::Relaxed);
        let profile =
            PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("chromium-{}-{serial}", std::process::id()));
        // A test that was killed may have left a profile behind, and its process id may come round again.
        let _ = fs::remove_dir_all(&profile);

        let mut child = Command::new("chromium")
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
            .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
            // A machine that runs tests may have no mouse. This says there is one, as on a desk: 4 is fine, 2 can hover.
            .arg("--blink-settings=primaryPointerType=4,availablePointerTypes=4,primaryHoverType=2,availableHoverTypes=2")
            .args(["--remote-debugging-port=0", "--lang=en-US"])
            .arg(format!("--user-data-dir={}", profile.display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("Chromium starts (if there is none: tests/run installs it)");

        // Standard error is read to its end: a browser whose pipe is full would stand still.
        let stderr = child.stderr.take().expect("standard error is piped");
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let deadline = Instant::now() + PATIENCE;
        let mut said = Vec::new();
        let url = loop {
            match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => match line.strip_prefix("DevTools listening on ") {
                    Some(url) => break url.to_owned(),
                    None => said.push(line),
                },
                Err(_) => {
                    let _ = child.kill();
                    let _ = child.wait();
                    panic!("Chromium opens no DevTools port; it said:\n{}", said.join("\n"));
                }
            }
        };
        Chromium { child, profile, url }
    }
}

impl Browser {
    pub fn start() -> Browser {
        let chromium = Chromium::shared();
        let mut devtools = DevTools::connect(&chromium.url);
        // It goes, with its pages, when the connection to it does: also when a test fails.
        let context = devtools.call("Target.createBrowserContext", &json!({ "disposeOnDetach": true }));
        let context = context["browserContextId"].as_str().unwrap().to_owned();
        Browser { devtools, context, chromium }
    }

    /// Opens `url` in a window of its own (a second tab in the same window would hide the first).
    pub fn open(&mut self, url: &str) -> Tab {
        self.open_with(url, "")
    }

    /// Opens `url`, with a script that runs before any of the page.
    pub fn open_with(&mut self, url: &str, first: &str) -> Tab {
        let parameters = json!({ "url": "about:blank", "newWindow": true, "browserContextId": self.context });
        let target = self.devtools.call("Target.createTarget", &parameters);
        let id = target["targetId"].as_str().unwrap();
        let host = self.chromium.url.trim_start_matches("ws://").split('/').next().unwrap();
        let devtools = DevTools::connect(&format!("ws://{host}/devtools/page/{id}"));
        let mut tab = Tab { devtools };
        for domain in ["Page", "Runtime", "Network", "Log"] {
            tab.call(&format!("{domain}.enable"), &json!({}));
        }
        tab.call("Page.setLifecycleEventsEnabled", &json!({ "enabled": true }));
        // Each of several windows believes that it has the focus, as if it were alone on its screen.
        tab.call("Emulation.setFocusEmulationEnabled", &json!({ "enabled": true }));
        tab.call("Page.addScriptToEvaluateOnNewDocument", &json!({ "source": first }));
        let answer = tab.call("Page.navigate", &json!({ "url": url }));
        assert_eq!(answer["errorText"], Value::Null, "{url} cannot be opened");
        // By name, since the empty page of a new tab is loaded as well, sooner or later.
        tab.devtools.wait_for_load(|loaded| loaded.iter().any(|document| *document == answer["loaderId"]));
        tab
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // Asked to, it ends in order, its own children first; killed, they would write a last file into a profile that is
        // gone already. It is killed all the same if it takes too long: only ever the process that this test started.
        DevTools::ask_to_end(&self.url);
        let deadline = Instant::now() + Duration::from_secs(5);
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(GLANCE);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        while fs::remove_dir_all(&self.profile).is_err() && self.profile.exists() && Instant::now() < deadline {
            std::thread::sleep(GLANCE);
        }
    }
}

/// One page of the browser.
pub struct Tab {
    devtools: DevTools,
}

impl Tab {
    pub fn call(&mut self, method: &str, parameters: &Value) -> Value {
        self.devtools.call(method, parameters)
    }

    /// The value of a JavaScript expression; of a promise, what it comes to.
    pub fn evaluate(&mut self, expression: &str) -> Value {
        let parameters = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let answer = self.call("Runtime.evaluate", &parameters);
        assert_eq!(answer["exceptionDetails"], Value::Null, "in {expression}");
        answer["result"]["value"].clone()
    }

    /// The value of an expression that is a string.
    pub fn text(&mut self, expression: &str) -> String {
        let value = self.evaluate(expression);
        value.as_str().unwrap_or_else(|| panic!("{expression} is no text but {value}")).to_owned()
    }

    /// Loads the page again, and waits until that is done: until then, the old page would still answer.
    pub fn reload(&mut self) {
        let before = self.devtools.loaded.len();
        self.call("Page.reload", &json!({}));
        self.devtools.wait_for_load(|loaded| loaded.len() > before);
    }

    /// Waits until the browser has drawn what there is now, and has told the page about sizes, scrolls and media.
    pub fn drawn(&mut self) {
        self.evaluate(
            "document.fonts.ready.then(() => new Promise((done) =>
               requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 0)))))",
        );
    }

    /// Waits until an expression is true.
    pub fn wait_for(&mut self, expression: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.evaluate(expression) != Value::Bool(true) {
            if Instant::now() >= deadline {
                let seen = self.text("document.body.dataset.state + '\\n' + document.body.innerText");
                panic!("this does not become true: {expression}\nthe page says: {seen}");
            }
            std::thread::sleep(GLANCE);
        }
    }

    /// Types a text as an input method does: all of it at once, into whatever has the focus.
    pub fn type_text(&mut self, text: &str) {
        self.call("Input.insertText", &json!({ "text": text }));
    }

    /// Presses and releases a key: `Enter`, `Tab`, `PageUp` and so on, as JavaScript calls them.
    pub fn press(&mut self, key: &str) {
        let (code, text) = match key {
            "Enter" => (13, "\r"),
            "Tab" => (9, ""),
            "Backspace" => (8, ""),
            "Escape" => (27, ""),
            "PageUp" => (33, ""),
            "End" => (35, ""),
            "ArrowUp" => (38, ""),
            "ArrowRight" => (39, ""),
            "ArrowDown" => (40, ""),
            _ => panic!("this client does not know the key {key}"),
        };
        self.key(key, code, text, 0);
    }

    /// A key with its Windows code, what it types if anything, and the sum of its modifiers (8 is Shift).
    pub fn key(&mut self, key: &str, code: u32, text: &str, modifiers: u32) {
        let kind = if text.is_empty() { "rawKeyDown" } else { "keyDown" };
        for kind in [kind, "keyUp"] {
            let parameters = json!({
                "type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code, "modifiers": modifiers,
                "text": if kind == "keyUp" { "" } else { text },
            });
            self.call("Input.dispatchKeyEvent", &parameters);
        }
    }

    /// Clicks into the middle of an element, whatever may lie over it.
    pub fn click(&mut self, selector: &str) {
        let (x, y) = self.middle_of(selector);
        for kind in ["mouseMoved", "mousePressed", "mouseReleased"] {
            let parameters = json!({ "type": kind, "x": x, "y": y, "button": "left", "clickCount": 1 });
            self.call("Input.dispatchMouseEvent", &parameters);
        }
    }

    /// Turns the wheel over an element; upwards is negative.
    pub fn wheel(&mut self, selector: &str, pixels: i32) {
        let (x, y) = self.middle_of(selector);
        let parameters = json!({ "type": "mouseWheel", "x": x, "y": y, "deltaX": 0, "deltaY": pixels });
        self.call("Input.dispatchMouseEvent", &parameters);
    }

    /// Where an element is when it has come to rest: in two frames at the same place.
    fn middle_of(&mut self, selector: &str) -> (f64, f64) {
        let middle = self.evaluate(&format!(
            "new Promise((done) => {{
               const look = (before) => {{
                 const {{ x, y, width, height }} = document.querySelector({}).getBoundingClientRect();
                 const now = [x + width / 2, y + height / 2];
                 if (String(now) === String(before)) done(now);
                 else requestAnimationFrame(() => look(now));
               }};
               look();
             }})",
            quoted(selector)
        ));
        (middle[0].as_f64().unwrap(), middle[1].as_f64().unwrap())
    }

    /// The size of the screen, in CSS pixels; on a phone there are two dots to each of them. When it returns, the page is
    /// drawn in it: before, a click would go where a button was.
    pub fn resize(&mut self, width: u32, height: u32, device: Device) {
        let phone = device == Device::Phone;
        let dots = if phone { 2 } else { 1 };
        let parameters = json!({ "width": width, "height": height, "deviceScaleFactor": dots, "mobile": phone });
        self.call("Emulation.setDeviceMetricsOverride", &parameters);
        self.call("Emulation.setTouchEmulationEnabled", &json!({ "enabled": phone }));
        self.call("Emulation.setScrollbarsHidden", &json!({ "hidden": phone }));
        self.wait_for(&format!("innerWidth === {width} && innerHeight === {height}"));
        self.drawn();
    }

    /// `light` or `dark`, as the person has set the whole system.
    pub fn prefer_colours(&mut self, scheme: &str) {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.call("Emulation.setEmulatedMedia", &json!({ "features": features }));
    }

    /// What is on the screen, as the bytes of a PNG file.
    pub fn screenshot(&mut self) -> Vec<u8> {
        let answer = self.call("Page.captureScreenshot", &json!({ "format": "png" }));
        STANDARD.decode(answer["data"].as_str().unwrap()).expect("a picture comes in base64")
    }

    /// Every address the page has asked for, WebSockets among them.
    pub fn requests(&mut self) -> &[String] {
        // Events come before the answer to a later call: after this one, all there were have been read.
        self.evaluate("0");
        &self.devtools.requests
    }

    /// What the browser has complained about: exceptions that nobody caught, and whatever the page's policy forbade.
    pub fn complaints(&mut self) -> &[String] {
        self.evaluate("0");
        &self.devtools.complaints
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Device {
    Desk,
    Phone,
}

/// A text as a JavaScript expression.
pub fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// One connection of the protocol: calls with their answers, and events in between.
struct DevTools {
    socket: WebSocket<TcpStream>,
    last_id: u64,
    requests: Vec<String>,
    complaints: Vec<String>,
    /// The loads that are done, by the browser's names for them.
    loaded: Vec<String>,
}

impl DevTools {
    fn connect(url: &str) -> DevTools {
        let address = url.trim_start_matches("ws://").split('/').next().unwrap();
        let stream = TcpStream::connect(address).expect("Chromium accepts");
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        let (socket, _) = tungstenite::client(url, stream).expect("Chromium speaks WebSocket");
        DevTools { socket, last_id: 0, requests: Vec::new(), complaints: Vec::new(), loaded: Vec::new() }
    }

    fn call(&mut self, method: &str, parameters: &Value) -> Value {
        self.last_id += 1;
        let call = json!({ "id": self.last_id, "method": method, "params": parameters });
        self.socket.send(Message::text(call.to_string())).expect("Chromium listens");
        loop {
            let mut message = self.read(&call);
            if message["id"] == self.last_id {
                assert_eq!(message["error"], Value::Null, "after {call}");
                return message["result"].take();
            }
            self.note(&message);
        }
    }

    /// Waits until the documents loaded so far are what is waited for.
    fn wait_for_load(&mut self, is_done: impl Fn(&[String]) -> bool) {
        while !is_done(&self.loaded) {
            let event = self.read(&"a load");
            self.note(&event);
        }
    }

    fn read(&mut self, awaited: &dyn std::fmt::Display) -> Value {
        loop {
            let message = self.socket.read().unwrap_or_else(|error| panic!("no answer to {awaited}: {error}"));
            if let Message::Text(text) = message {
                return serde_json::from_str(&text).expect("the protocol is JSON");
            }
        }
    }

    /// Nobody waits for an answer, and nothing here fails: this may be on the way out of a test that failed because there
    /// are none.
    fn ask_to_end(url: &str) {
        let address = url.trim_start_matches("ws://").split('/').next().unwrap_or_default();
        let Ok(stream) = TcpStream::connect(address) else { return };
        let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
        if let Ok((mut socket, _)) = tungstenite::client(url, stream) {
            let _ = socket.send(Message::text(json!({ "id": 0, "method": "Browser.close" }).to_string()));
        }
    }

    fn note(&mut self, event: &Value) {
        let what = &event["params"];
        match event["method"].as_str() {
            // A dialog stops the page until somebody answers, so waiting for anything else would be in vain.
            Some("Page.javascriptDialogOpening") => panic!("the page opened a dialog: {what}"),
            Some("Network.requestWillBeSent") => {
                self.requests.push(what["request"]["url"].as_str().unwrap().to_owned())
            }
            Some("Page.lifecycleEvent") if what["name"] == "load" => {
                self.loaded.push(what["loaderId"].as_str().unwrap().to_owned())
            }
            Some("Network.webSocketCreated") => self.requests.push(what["url"].as_str().unwrap().to_owned()),
            Some("Runtime.exceptionThrown") => self.complaints.push(what["exceptionDetails"].to_string()),
            Some("Log.entryAdded") if what["entry"]["source"] == "security" => {
                self.complaints.push(what["entry"]["text"].to_string());
            }
            _ => {}
        }
    }
}
