//! What is read back.

use super::*;

#[test]
fn what_was_said_is_read_as_it_was_said_by_the_next_daemon() {
    let folder = Folder::new();
    let batch = [
        Said { room: "lobby", name: "汉字 😀", unix_ms: 5, kind: Kind::Message, text: "zero \0 and ' \" ; --" },
        Said { room: "lobby", name: "a", unix_ms: 4, kind: Kind::Action, text: "" },
        Said { room: "Lobby", name: "a", unix_ms: 6, kind: Kind::Action, text: "another room" },
    ];
    assert_eq!(append(&mut open(&folder), &batch), [1, 2, 1]);
    let page = open(&folder).read_before("lobby", None, size(10, 1_000)).unwrap();
    let expected = [(1, &batch[0]), (2, &batch[1])].map(|(id, said)| Stored {
        id,
        unix_ms: said.unix_ms,
        kind: said.kind,
        name: Name::from_stored(said.name),
        tag: None,
        text: said.text.into(),
    });
    assert_eq!(page, Page { messages: expected.into(), more: false, is_cut: false });
}

/// Each control character is six bytes of JSON.
#[test]
fn a_page_is_as_long_as_it_is_when_it_is_sent_and_not_as_what_was_said() {
    let folder = Folder::new();
    let mut database = open(&folder);
    let text = "\u{1}".repeat(1_000);
    append(&mut database, &[text.as_str(); 9].map(|text| said("r", text)));
    let page = database.read_after("r", 0, size(9, 13_000)).unwrap();
    assert_eq!((page.messages.len(), page.more), (2, true));
}

#[test]
fn a_page_ends_at_its_limits_and_says_whether_there_is_more() {
    let folder = Folder::new();
    let mut database = open(&folder);
    append(&mut database, &["aaaa", "bbbb", "cccc", "dddd"].map(|text| said("r", text)));
    let event = sent_bytes("r", &database.read_before("r", None, size(1, 0)).unwrap().messages[0]);
    for (limit, max_bytes, expected, more) in [
        (9, 9 * event, &["aaaa", "bbbb", "cccc", "dddd"][..], false),
        (4, 4 * event, &["aaaa", "bbbb", "cccc", "dddd"][..], false),
        (2, 9 * event, &["cccc", "dddd"], true),
        (9, 3 * event - 1, &["cccc", "dddd"], true),
        (9, 0, &["dddd"], true),
        (0, 9 * event, &[], true),
    ] {
        let page = database.read_before("r", None, size(limit, max_bytes)).unwrap();
        assert_eq!((texts(&page), page.more), (expected.to_vec(), more), "{limit} {max_bytes}");
    }
    let page = database.read_before("r", Some(3), size(9, 9 * event)).unwrap();
    assert_eq!(texts(&page), ["aaaa", "bbbb"]);
    let page = database.read_after("r", 1, size(2, 9 * event)).unwrap();
    assert_eq!((texts(&page), page.more), (vec!["bbbb", "cccc"], true));
    for page in [
        database.read_before("r", Some(0), size(9, 99)),
        database.read_after("r", u64::MAX, size(9, 99)),
        database.read_before("nowhere", None, size(9, 99)),
    ] {
        assert_eq!(page.unwrap(), Page { messages: Vec::new(), more: false, is_cut: false });
    }
}
