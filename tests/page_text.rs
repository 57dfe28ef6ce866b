//! What the page makes of texts: links, mentions, drafts, notifications, in a headless Chromium.

#[path = "support/browser.rs"]
mod browser;
mod support;

use serde_json::{Value, json};

use browser::{Browser, Tab, quoted};
use support::Daemon;

fn enter(browser: &mut Browser, daemon: &Daemon) -> Tab {
    let mut tab = browser.open(&format!("http://{}/", daemon.address));
    tab.wait_for(IN_ROOM);
    tab
}

const IN_ROOM: &str = "document.body.dataset.state === 'open' && document.querySelector('#me').textContent !== ''";

/// Calls a function of `web/text.js` with each row, and gives what they come to.
fn each(tab: &mut Tab, function: &str, rows: &Value) -> Value {
    tab.evaluate(&format!(
        "import(new URL('text.js', document.querySelector('script').src).href)
           .then((text) => {rows}.map((row) => ({function})(text, ...row)))"
    ))
}

#[test]
#[ignore = "needs Chromium: tests/run installs it and runs this"]
fn twice_the_text_takes_twice_the_time_in_every_function_that_looks_at_one() {
    let daemon = Daemon::start(&[]);
    let mut browser = Browser::start();
    let mut tab = enter(&mut browser, &daemon);
    let cases = tab.evaluate(include_str!("page_text/doubling.js")).as_u64().unwrap();
    assert!(cases > 200);
    let failures: Vec<String> = (0..cases)
        .map(|nth| tab.evaluate(&format!("hold({nth})")).as_str().unwrap().to_owned())
        .filter(|line| !line.is_empty())
        .collect();
    assert!(failures.is_empty(), "not linear:\n{}", failures.join("\n"));
}

#[test]
#[ignore = "needs Chromium: tests/run installs it and runs this"]
fn an_address_ends_where_the_sentence_around_it_goes_on() {
    let daemon = Daemon::start(&[]);
    let mut browser = Browser::start();
    let mut tab = enter(&mut browser, &daemon);
    let x = "https://a.example/x";
    let mut rows: Vec<(String, Vec<String>)> = [
        ("请看https://a.example/x谢谢", &[x][..]),
        ("看https://a.example好的", &["https://a.example"]),
        ("https://a.example/x를 보세요", &[x]),
        ("https://a.example/xを見て", &[x]),
        ("https://a.example/xครับ", &[x]),
        ("https://a.example:8080谢谢", &["https://a.example:8080"]),
        ("https://a.example/x,谢谢", &[x]),
        ("(https://a.example/x)谢谢", &[x]),
        ("[https://a.example/x]: here", &[x]),
        ("https://a.example(好的)", &["https://a.example"]),
        ("https://a.example/x🎉", &[x]),
        ("`https://a.example/x`", &[x]),
        ("```https://a.example/x```", &[x]),
        ("**https://a.example/x**, _https://a.example/x_", &[x, x]),
        ("<https://a.example/x>\"https://a.example/x\"", &[x, x]),
        ("https://a.example/x!?", &[x]),
        ("https://a.example/x\\nhttps://a.example/x\\", &[x, x]),
        ("see https://a.example/(x", &["https://a.example/(x"]),
        ("https://a.example/x(谢谢)", &[x]),
        ("https://a.example/x~好的", &[x]),
        ("||https://a.example/x|| |https://a.example/x|", &[x, x]),
        // What belongs to an address stays in it.
        ("https://a.example/cafe\u{301}s/~用户", &["https://a.example/cafe\u{301}s/~用户"]),
        ("https://ja.wikipedia.org/wiki/ABC_(曖昧さ回避)", &["https://ja.wikipedia.org/wiki/ABC_(曖昧さ回避)"]),
        ("https://de.wikipedia.org/wiki/Zürich.", &["https://de.wikipedia.org/wiki/Zürich"]),
        ("https://ja.wikipedia.org/wiki/日本。", &["https://ja.wikipedia.org/wiki/日本"]),
        ("https://ja.wikipedia.org/wiki/ジョン・スミス", &["https://ja.wikipedia.org/wiki/ジョン・スミス"]),
        ("https://ru.wikipedia.org/wiki/Россия, да", &["https://ru.wikipedia.org/wiki/Россия"]),
        ("https://th.wikipedia.org/wiki/ประเทศไทย", &["https://th.wikipedia.org/wiki/ประเทศไทย"]),
        ("https://a.example/?q=日本&n=2#历史", &["https://a.example/?q=日本&n=2#历史"]),
        ("https://a.example/x_(日本)", &["https://a.example/x_(日本)"]),
        ("https://en.wikipedia.org/wiki/A–B_(c)", &["https://en.wikipedia.org/wiki/A–B_(c)"]),
        ("https://web.example/2020/https://a.example/", &["https://web.example/2020/https://a.example/"]),
        ("https://例え.テスト/ https://münchen.example", &["https://例え.テスト/", "https://münchen.example"]),
        ("https://t恤.example/x https://[::1]:8000/x", &["https://t恤.example/x", "https://[::1]:8000/x"]),
        ("https://bank.example@evil.example/ https://a:b@evil.example/ http:// https://:1/", &[]),
    ]
    .map(|(text, links)| (text.to_owned(), links.iter().map(|link| (*link).to_owned()).collect()))
    .into();
    // Signs that end a sentence or a quotation, and what cannot be seen or turns the direction of writing.
    let ends = "…»«”’„‹›؟،؛۔。．｡、，！？；：।॥〉》」』】〕）］｝～｀＂＇｜—―¿¡፡።។༎။⁇‽\
                \u{200B}\u{2060}\u{FEFF}\u{AD}\u{200C}\u{200D}\u{34F}\u{FE0F}\u{180E}\u{3164}\u{E0041}\u{202A}\u{202B}\
                \u{202C}\u{202D}\u{202E}\u{2066}\u{2067}\u{2068}\u{2069}\u{200E}\u{200F}\u{61C}\u{A0}\u{2003}\u{3000}\
                \u{2028}\u{2029}\u{85}\u{0}\u{7F}\u{E000}\u{FFFE}";
    for sign in ends.chars() {
        for after in ["", "gnp.exe", "好的", " and"] {
            rows.push((format!("https://a.example/x{sign}{after}"), vec![x.to_owned()]));
        }
        rows.push((format!("看https://a.example{sign}好的"), vec!["https://a.example".to_owned()]));
    }
    let found = each(
        &mut tab,
        "(text, row) => text.pieces(row).filter(({ href }) => href).map((piece) => piece.text)",
        &json!(rows.iter().map(|(text, _)| [text]).collect::<Vec<_>>()),
    );
    for ((text, links), found) in rows.iter().zip(found.as_array().unwrap()) {
        assert_eq!(*found, json!(links), "{text:?}");
    }
    let whole = each(
        &mut tab,
        "(text, row) => text.pieces(row).map((piece) => piece.text).join('')",
        &json!(rows.iter().map(|(text, _)| [text]).collect::<Vec<_>>()),
    );
    assert_eq!(whole, json!(rows.iter().map(|(text, _)| text).collect::<Vec<_>>()), "the text stays as it was");
    let titles = each(&mut tab, "(text, row) => text.pieces(row)[0].href", &json!([["https://例え.テスト/"]]));
    let deep = each(
        &mut tab,
        "(text, depth) => text.asText(JSON.parse('['.repeat(depth) + ']'.repeat(depth))).slice(0, 2)",
        &json!([[9], [30_000]]),
    );
    assert_eq!(deep[0], "[[", "what is no text is shown as it came");
    assert!(deep[1] == "[[" || deep[1] == "", "and does no harm where the browser cannot");
    assert_eq!(titles, json!(["https://xn--r8jz45g.xn--zckzah/"]), "a link says its host as it is asked for");
}

#[test]
#[ignore = "needs Chromium: tests/run installs it and runs this"]
fn a_name_is_found_as_a_word_of_its_language_and_not_within_another() {
    let daemon = Daemon::start(&[]);
    let mut browser = Browser::start();
    let mut tab = enter(&mut browser, &daemon);
    let said = [
        ("さくらさん、こんにちは", "さくら"),
        ("今日さくらは来る？", "さくら"),
        ("ねえひなたちゃん", "ひなた"),
        ("アンナさん", "アンナ"),
        ("ｱﾝﾅさん", "アンナ"),
        ("山田太郎さん", "山田"),
        ("민수님", "민수"),
        ("민수가 왔어", "민수"),
        ("민수님께서는", "민수"),
        ("안녕Ann님", "Ann"),
        ("Tourist 1님", "Tourist 1"),
        ("สวัสดีสมชายครับ", "สมชาย"),
        ("สวัสดีAnnครับ", "Ann"),
        ("ສະບາຍດີສົມຊາຍ", "ສົມຊາຍ"),
        ("សួស្តីសុខា", "សុខា"),
        ("မင်္ဂလာပါအောင်", "အောင်"),
        ("欢迎小明来", "小明"),
        ("张明天来", "张明"),
        ("请问王芳在吗", "王芳"),
        ("राम, नमस्ते", "राम"),
        ("Jose\u{301}, hi", "José"),
        ("JOSÉ!", "Jose\u{301}"),
        ("Ann's turn", "Ann"),
        ("but ANN is meant", "ann"),
        ("@Ann", "Ann"),
        ("d’Alice", "Alice"),
        ("thanks O’Brien", "O'Brien"),
        ("mary  ann and\nMary\u{A0}Ann", "Mary Ann"),
        ("\u{2068}Ann\u{2069}", "Ann"),
        ("Ann\u{200B}Bob", "Ann"),
        ("علیرضا سلام", "علی\u{200C}رضا"),
        ("STRASSE", "Straße"),
        ("ΝΙΚΟΣ", "Νικος"),
        ("inci?", "İnci"),
        ("👩 hi", "👩"),
        ("hi 🇬🇧", "🇬🇧"),
    ];
    let not_said = [
        ("रामायण", "राम"),
        ("さくらんぼが好き", "さくら"),
        ("マリアンナ", "アンナ"),
        ("민수진", "민수"),
        ("김민수", "민수"),
        ("민수2", "민수"),
        ("นาน", "นา"),
        ("明天见", "明"),
        ("国王", "王"),
        ("Anna is somebody else", "Ann"),
        ("Joanne", "Ann"),
        ("Mary Anne", "Mary Ann"),
        ("Ann_x, xAnn, Ann2", "Ann"),
        ("Jose\u{301}", "Jose"),
        ("x\u{302}", "x"),
        ("Tourist 12", "Tourist 1"),
        ("علی\u{200C}رضا", "علی"),
        ("👩\u{200D}👩\u{200D}👧", "👩"),
        ("👋🏽", "👋"),
        ("🇨🇳🇬🇧", "🇳🇬"),
        ("anything", ""),
        ("anything", "\u{200B}"),
    ];
    // The same at the end of a long text, where a segmenter is asked in pieces.
    let long = "明天我们去北京。".repeat(200);
    let far: Vec<(String, &str)> = said.iter().map(|(text, name)| (format!("{long}{text}"), *name)).collect();
    let rows = |rows: &[(&str, &str)]| json!(rows.iter().map(|(text, name)| [text, name]).collect::<Vec<_>>());
    let wrong = |tab: &mut Tab, rows: &Value, wanted: bool| {
        let found = each(tab, "(text, ...row) => text.isMentioned(...row)", rows);
        let pairs = rows.as_array().unwrap().iter().zip(found.as_array().unwrap());
        pairs.filter(|(_, found)| **found != wanted).map(|(row, _)| row.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(wrong(&mut tab, &rows(&said), true), Vec::<String>::new());
    assert_eq!(wrong(&mut tab, &rows(&not_said), false), Vec::<String>::new());
    assert_eq!(wrong(&mut tab, &json!(far), true), Vec::<String>::new());

    // Where a browser has no segmenter, a name may be found too often, but it is found.
    tab.evaluate("delete Intl.Segmenter");
    assert_eq!(wrong(&mut tab, &rows(&said), true), Vec::<String>::new());
}

#[test]
#[ignore = "needs Chromium: tests/run installs it and runs this"]
fn a_hostile_message_is_shown_and_the_page_goes_on() {
    let daemon = Daemon::start(&["--no-rate-limit"]);
    let mut browser = Browser::start();
    let mut tab = enter(&mut browser, &daemon);
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

const VALUE: &str = "document.querySelector('#text').value";

/// Presses Tab behind what a person has typed or pasted.
fn complete(tab: &mut Tab, typed: &str) -> String {
    tab.evaluate("document.querySelector('#text').value = ''");
    tab.click("#text");
    tab.type_text(typed);
    tab.press("Tab");
    tab.text(VALUE)
}

#[test]
#[ignore = "needs Chromium: tests/run installs it and runs this"]
fn a_name_is_completed_behind_any_draft_and_in_any_spelling() {
    let daemon = Daemon::start(&[]);
    let mut browser = Browser::start();
    let mut tab = enter(&mut browser, &daemon);
    let _other = daemon.open("/?name=Jos%C3%A9");
    tab.wait_for("document.querySelector('#names').textContent.includes('José')");
    assert_eq!(complete(&mut tab, "ask JOSE\u{301}"), "ask José ");
    let long = "a".repeat(60_000);
    assert_eq!(complete(&mut tab, &format!("{long}\njos")), format!("{long}\nJosé "));
    assert_eq!(complete(&mut tab, &format!("/msg{}jos", " ".repeat(60_000))), "/msg \"José\" ");
}

/// Stands in for the browser's notifications, and keeps them as a browser does: one for each tag.
const NOTIFICATIONS: &str = "window.told = []; window.visible = new Map();
    localStorage.setItem('roomd.notify', 'on');
    localStorage.setItem('roomd.name', 'Ann');
    window.Notification = class extends EventTarget {
      static permission = 'granted';
      constructor(title, options) {
        super();
        Object.assign(this, { title, ...options });
        if (!visible.has(this.tag) || options.renotify) told.push([title, options.body ?? '']);
        visible.set(this.tag, this);
      }
      close() {
        if (visible.get(this.tag) === this) visible.delete(this.tag);
        this.dispatchEvent(new Event('close'));
      }
    };";

fn look(tab: &mut Tab, hidden: bool) {
    tab.evaluate(&format!(
        "Object.defineProperty(document, 'hidden', {{ configurable: true, value: {hidden} }});
         document.dispatchEvent(new Event('visibilitychange'))"
    ));
}

#[test]
#[ignore = "needs Chromium: tests/run installs it and runs this"]
fn each_event_that_is_meant_for_one_is_told_but_never_more_than_a_few_at_once() {
    let daemon = Daemon::start(&["--no-rate-limit"]);
    let mut browser = Browser::start();
    let mut tab = browser.open_with(&format!("http://{}/", daemon.address), NOTIFICATIONS);
    tab.wait_for("document.querySelector('#me').textContent === 'Ann'");
    let mut other = daemon.open("/?quiet=1&name=Bob");
    look(&mut tab, true);
    for (count, text) in ["Ann, look", "/msg Ann a secret", "Ann, look"].iter().enumerate() {
        other.send_text(text);
        tab.wait_for(&format!("told.length === {}", count + 1));
    }
    let told = json!([["Bob · lobby", "Ann, look"], ["from Bob, private", "a secret"], ["Bob · lobby", "Ann, look"]]);
    assert_eq!(tab.evaluate("told"), told);
    assert_eq!(tab.evaluate("visible.size"), 3, "none took the place of another");

    for line in 1..=40 {
        other.send_text(&format!("Ann, line {line}"));
    }
    tab.wait_for("document.querySelectorAll('.message').length === 43");
    assert_eq!(tab.evaluate("visible.size"), 4, "all that came on top are one more");
    assert_eq!(tab.evaluate("told[3]"), json!(["1 more message for you in lobby", ""]));
    tab.wait_for("told.at(-1)[0] === '40 more messages for you in lobby'");
    assert!(tab.evaluate("told.length").as_u64().unwrap() < 15, "they do not ring at each");

    look(&mut tab, false);
    assert_eq!(tab.evaluate("visible.size"), 0, "who looks has seen them");
    look(&mut tab, true);
    other.send_text("Ann, again");
    tab.wait_for("told.at(-1)[1] === 'Ann, again'");
}

#[test]
#[ignore = "needs Chromium: tests/run installs it and runs this"]
fn a_private_word_with_another_sign_for_its_slash_comes_back_into_the_box() {
    let daemon = Daemon::start(&[]);
    let mut browser = Browser::start();
    let mut tab = enter(&mut browser, &daemon);
    tab.click("#text");
    tab.type_text("、msg Bob secret");
    tab.press("Enter");
    tab.wait_for("document.querySelector('#log').textContent.includes('another sign for its slash')");
    assert_eq!(tab.text(VALUE), "、msg Bob secret");
    assert_eq!(tab.evaluate("document.querySelectorAll('.message').length"), 0, "nobody was told");
}

#[test]
#[ignore = "needs Chromium: tests/run installs it and runs this"]
fn a_draft_stays_with_its_room_and_its_tab_until_it_is_sent() {
    let daemon = Daemon::start(&[]);
    let mut browser = Browser::start();
    let mut tab = enter(&mut browser, &daemon);
    let mut second = enter(&mut browser, &daemon);
    tab.click("#text");
    tab.type_text("half a thought");
    second.click("#text");
    second.type_text("another one");
    for (tab, draft) in [(&mut tab, "half a thought"), (&mut second, "another one")] {
        tab.reload();
        tab.wait_for(IN_ROOM);
        assert_eq!(tab.text(VALUE), draft);
    }

    // To another room by the browser's own buttons, with a draft in each.
    let go = |tab: &mut Tab, room: &str, how: &str| {
        tab.evaluate(how);
        tab.wait_for(&format!("document.querySelector('#room').textContent === {}", quoted(room)));
    };
    tab.evaluate("document.querySelector('#text').value = ''");
    tab.click("#text");
    tab.type_text("/join __proto__");
    tab.press("Enter");
    go(&mut tab, "__proto__", "0");
    assert_eq!(tab.text(VALUE), "");
    tab.type_text("for the new room");
    go(&mut tab, "lobby", "history.back()");
    assert_eq!(tab.text(VALUE), "", "it was emptied here");
    tab.type_text("for the lobby");
    go(&mut tab, "__proto__", "history.forward()");
    assert_eq!(tab.text(VALUE), "for the new room");
    go(&mut tab, "lobby", "history.back()");
    assert_eq!(tab.text(VALUE), "for the lobby");

    tab.press("Enter");
    tab.wait_for("[...document.querySelectorAll('.text')].at(-1)?.textContent === 'for the lobby'");
    tab.reload();
    tab.wait_for(IN_ROOM);
    assert_eq!(tab.text(VALUE), "", "what was sent is no draft");
    tab.evaluate("sessionStorage.setItem('roomd.drafts', '{\"not\":\"ours\"}')");
    tab.type_text("still kept");
    tab.reload();
    tab.wait_for(IN_ROOM);
    assert_eq!(tab.text(VALUE), "still kept");
    assert!(tab.complaints().is_empty(), "{:?}", tab.complaints());
}

/// Drops something as a person does who lets go of it over an element.
fn drop_on(tab: &mut Tab, selector: &str, data: &Value) {
    let middle = tab.evaluate(&format!(
        "(({{ x, y, width, height }}) => [x + width / 2, y + height / 2])
         (document.querySelector({}).getBoundingClientRect())",
        quoted(selector)
    ));
    for kind in ["dragEnter", "dragOver", "drop"] {
        let event = json!({ "type": kind, "x": middle[0], "y": middle[1], "data": data });
        tab.call("Input.dispatchDragEvent", &event);
    }
}

#[test]
#[ignore = "needs Chromium: tests/run installs it and runs this"]
fn what_is_dropped_on_the_page_does_not_take_its_place() {
    let daemon = Daemon::start(&[]);
    let mut browser = Browser::start();
    let mut tab = enter(&mut browser, &daemon);
    tab.evaluate("window.notReloaded = true");
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    for place in ["#view", "#text", "header"] {
        tab.evaluate("document.querySelector('#hint').textContent = ''");
        drop_on(&mut tab, place, &json!({ "items": [], "files": [file], "dragOperationsMask": 1 }));
        tab.wait_for("document.querySelector('#hint').textContent === 'Files cannot be sent here, only text.'");
    }
    assert_eq!(tab.text(VALUE), "");
    for place in ["#text", "#view"] {
        let item = json!({ "mimeType": "text/plain", "data": format!("dropped on {place}; ") });
        drop_on(&mut tab, place, &json!({ "items": [item], "files": [], "dragOperationsMask": 1 }));
    }
    tab.wait_for("document.querySelector('#text').value === 'dropped on #text; dropped on #view; '");
    assert_eq!(tab.evaluate("window.notReloaded"), true);
}
