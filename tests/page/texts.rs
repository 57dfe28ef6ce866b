//! What the page makes of texts: links and mentions, in time that grows with the text and not faster.

use serde_json::{Value, json};

use crate::browser::{Browser, Tab};
use crate::person::{LINKS_ARE_SAFE, enter, say, texts, wait_for_messages};
use crate::support::Daemon;

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
    let mut tab = enter(&mut browser, &daemon.address);
    let cases = tab.evaluate(include_str!("doubling.js")).as_u64().unwrap();
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
    let mut tab = enter(&mut browser, &daemon.address);
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
    let mut tab = enter(&mut browser, &daemon.address);
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
