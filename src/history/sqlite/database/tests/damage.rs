//! What damage costs, and who finds it.

use super::*;

/// Reads all there is, in both directions and page by page. Each message is what was said, or says that it is damaged;
/// none is missing. Gives the number of damaged ones.
fn damaged_in(database: &mut Database, truth: &[Page; 2], damage: &str) -> usize {
    let mut damaged = 0;
    for (room, truth) in ["a", "b"].into_iter().zip(truth) {
        assert_eq!(database.last_id(room).unwrap(), truth.messages.len() as u64, "{damage}");
        let mut damaged_here = 0;
        for all in [database.read_before(room, None, ALL), database.read_after(room, 0, ALL)].map(Result::unwrap) {
            assert_eq!(all.messages.len(), truth.messages.len(), "{damage}: an id is missing");
            damaged_here = 0;
            for (read, said) in all.messages.iter().zip(&truth.messages) {
                let stands_in = Stored { unix_ms: read.unix_ms, ..Stored::damaged(said.id) };
                assert!(*read == *said || *read == stands_in, "{damage}: {read:?}, not {said:?}");
                damaged_here += usize::from(*read == stands_in);
            }
        }
        damaged += damaged_here;
        for before in [2, 50, 51].into_iter().filter(|before| *before <= truth.messages.len() as u64) {
            let page = database.read_before(room, Some(before), size(20, usize::MAX)).unwrap();
            let ids: Vec<u64> = page.messages.iter().map(|message| message.id).collect();
            assert_eq!(ids, (before.saturating_sub(20).max(1)..before).collect::<Vec<_>>(), "{damage}: a page");
        }
    }
    damaged
}

/// Damages a file in some way and reads it: what opens shows nothing that was not said, and no gap. Then something
/// more is said.
fn survive(folder: &Folder, truth: &[Page; 2], damage: &str, bytes: &[u8]) -> Option<usize> {
    fs::write(folder.file(), bytes).unwrap();
    let checked = check::check(&folder.file()).map(|report| report.faults);
    let mut database = match Database::open_at(&folder.file(), Durability::Normal, Some(0)) {
        Ok(database) => database,
        Err(error) if matches!(error.cause(), Cause::Damaged | Cause::Foreign | Cause::Newer(_)) => {
            assert!(!matches!(checked, Ok(0)), "{damage}: not found by the check");
            return None;
        }
        Err(error) => panic!("{damage}: {error}"),
    };
    let damaged = damaged_in(&mut database, truth, damage);
    assert!(checked.is_ok_and(|faults| faults >= damaged as u64), "{damage}: {damaged} not all found by the check");
    match try_append(&mut database, &[said("a", "goes on"), said("new", "room")]) {
        Ok(ids) => {
            let next = truth[0].messages.len() as u64 + 1;
            assert!(ids[0] >= next && ids[1] > 0, "{damage}: {ids:?}");
            let newest = database.read_before("a", None, size(1, 999)).unwrap();
            assert!(texts(&newest) == ["goes on"] || newest.messages[0].kind == Kind::Damaged, "{damage}");
        }
        Err(cause) => assert_eq!(cause, Cause::Damaged, "{damage}"),
    }
    Some(damaged)
}

#[test]
fn a_damaged_page_costs_what_was_on_it_and_no_other_message() {
    let folder = Folder::new();
    let truth = two_rooms(&folder, 300);
    let whole = fs::read(folder.file()).unwrap();
    let (page, pages) = (4_096, whole.len() / 4_096);
    assert!(pages > 15);
    let (mut opened, mut damaged) = (0, 0);
    for nth in 0..pages {
        let range = nth * page..(nth + 1) * page;
        let mut damages: Vec<(String, Vec<u8>)> = Vec::new();
        for byte in [0x00, 0x5a, 0xff] {
            let mut bytes = whole.clone();
            bytes[range.clone()].fill(byte);
            damages.push((format!("page {nth} of {byte:#x}"), bytes));
        }
        let mut bytes = whole.clone();
        bytes.copy_within((nth + 1) % pages * page..((nth + 1) % pages + 1) * page, range.start);
        damages.push((format!("page {nth} is its neighbour"), bytes));
        damages.push((format!("cut in page {nth}"), whole[..range.start + 100].to_vec()));
        for (damage, bytes) in damages {
            if let Some(lost) = survive(&folder, &truth, &damage, &bytes) {
                opened += 1;
                damaged += lost;
                let is_leaf = !damage.starts_with("cut") && lost < 100;
                assert!(!is_leaf || lost <= 30, "{damage}: {lost} messages are lost with one page");
            }
        }
    }
    assert!(opened > 2 * pages && damaged > 20 * pages, "{opened} opened, {damaged} messages damaged");
}

#[test]
fn a_flipped_bit_anywhere_is_never_another_text_and_never_a_missing_id() {
    let folder = Folder::new();
    let truth = two_rooms(&folder, 60);
    let whole = fs::read(folder.file()).unwrap();
    let (mut state, mut found) = (88_172_645_463_325_252_u64, 0);
    for nth in 0..120 {
        let mut bytes = whole.clone();
        for _ in 0..=nth % 3 {
            // xorshift64
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let bit = state as usize % (bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        found += survive(&folder, &truth, &format!("flip {nth}"), &bytes).unwrap_or(1);
    }
    assert!(found > 40, "only {found} flips hit something");
}

#[test]
fn a_flipped_bit_in_the_newest_message_costs_that_message_only() {
    let folder = Folder::new();
    let mut database = open(&folder);
    append(&mut database, &["first", "second", "newest"].map(|text| said("r", text)));
    drop(database);
    let mut bytes = fs::read(folder.file()).unwrap();
    let at = bytes.windows(6).position(|window| window == b"newest").unwrap();
    bytes[at] ^= 1;
    fs::write(folder.file(), bytes).unwrap();
    let report = check::check(&folder.file()).unwrap();
    assert!(report.faults == 1 && report.text.contains("room \"r\": message 3 is damaged"), "{}", report.text);
    let mut database = open(&folder);
    let page = database.read_before("r", None, ALL).unwrap();
    assert_eq!(texts(&page), ["first", "second", crate::chat::message::DAMAGED]);
    assert_eq!((page.messages[2].kind, page.messages[2].unix_ms), (Kind::Damaged, 1_000));
    assert_eq!(append(&mut database, &[said("r", "goes on")]), [4]);
    assert_eq!(texts(&database.read_after("r", 3, ALL).unwrap()), ["goes on"]);
}

#[test]
fn a_row_that_is_gone_is_told_as_damaged_wherever_it_was() {
    let folder = Folder::new();
    let truth = two_rooms(&folder, 60);
    let whole = fs::read(folder.file()).unwrap();
    for gone in ["= 1", "= 30", "= 60", "< 5", "> 55", "> 0"] {
        fs::write(folder.file(), &whole).unwrap();
        let connection = Connection::open(folder.file()).unwrap();
        let deleted = connection.execute(&format!("DELETE FROM message WHERE room = 1 AND id {gone}"), []).unwrap();
        drop(connection);
        assert_eq!(damaged_in(&mut open(&folder), &truth, gone), deleted, "{gone}");
        assert_eq!(check::check(&folder.file()).unwrap().faults, deleted as u64, "{gone}");
    }
}

#[test]
fn a_tag_is_read_as_it_was_written_and_another_one_is_damage() {
    let tag: Tag = "k3m9xq".parse().unwrap();
    let fill = |folder: &Folder| {
        let mut batch = Batch::default();
        let place = batch.add_room(RoomKey(0), RoomName::parse("r").unwrap());
        let name = &Name::from_stored("Ann");
        for tag in [Some(tag), None] {
            let message = NewMessage { name, tag, unix_ms: 5, kind: Kind::Message, text: "a" };
            batch.push(place, Kept::Said(message));
        }
        open(folder).append(&batch, &mut Vec::new()).unwrap();
    };
    for (change, damaged) in [
        ("", [false, false]),
        ("UPDATE message SET tag = 'k3m9xr' WHERE id = 1", [true, false]),
        ("UPDATE message SET tag = NULL", [true, false]),
        ("UPDATE message SET tag = 'no tag' WHERE id = 1", [true, false]),
        ("UPDATE message SET tag = '' WHERE id = 1", [true, false]),
        ("UPDATE message SET tag = 'k3m9xq'", [false, true]),
        ("UPDATE message SET text = 'ak3m9xq', tag = NULL WHERE id = 1", [true, false]),
    ] {
        let folder = Folder::new();
        fill(&folder);
        Connection::open(folder.file()).unwrap().execute_batch(change).unwrap();
        let page = open(&folder).read_after("r", 0, ALL).unwrap();
        let found: Vec<_> = page.messages.iter().map(|message| (message.kind == Kind::Damaged, message.tag)).collect();
        let expected = [(damaged[0], Some(tag)), (damaged[1], None)];
        let expected = expected.map(|(is_damaged, tag)| (is_damaged, tag.filter(|_| !is_damaged)));
        assert_eq!(found, expected, "{change}");
        let faults = damaged.into_iter().filter(|is_damaged| *is_damaged).count() as u64;
        assert_eq!(check::check(&folder.file()).unwrap().faults, faults, "{change}");
    }
}

#[test]
fn a_check_finds_whatever_keeps_a_daemon_from_its_start_or_a_room_from_its_next_message() {
    for (change, part) in [
        ("DROP TABLE counter", "tables"),
        ("ALTER TABLE message DROP COLUMN checksum", "tables"),
        ("UPDATE room SET last_id = 9", "its own row is damaged"),
        ("INSERT INTO message VALUES (1, 2, 5, 0, 'n', 'next', 1, NULL)", "does not know of 1 of its messages"),
        ("INSERT INTO message VALUES (7, 2, 5, 0, 'n', 'next', 1, NULL)", "a room that is not known"),
    ] {
        let folder = Folder::new();
        append(&mut open(&folder), &[said("r", "a")]);
        let connection = Connection::open(folder.file()).unwrap();
        connection.execute_batch(change).unwrap();
        drop(connection);
        let report = check::check(&folder.file());
        assert!(report.as_ref().is_ok_and(|report| report.faults > 0 && report.text.contains(part)), "{report:?}");
    }
}

#[test]
fn a_write_ahead_log_that_was_damaged_in_its_middle_is_told_and_one_that_ends_early_is_not() {
    let folder = Folder::new();
    let mut database = open(&folder);
    for nth in 0..20 {
        append(&mut database, &[said("r", &nth.to_string())]);
    }
    let (file, log) = (fs::read(folder.file()).unwrap(), fs::read(folder.wal()).unwrap());
    drop(database);
    let lost = |log: &[u8]| {
        fs::write(folder.file(), &file).unwrap();
        fs::write(folder.wal(), log).unwrap();
        let mut database = open(&folder);
        (database.last_id("r").unwrap(), database.lost_batches())
    };
    assert_eq!(lost(&log), (20, 0));
    for end in [0, 31, 32, 100, log.len() / 2, log.len() - 1] {
        assert_eq!(lost(&log[..end]).1, 0, "what a crash leaves behind, {end} bytes");
    }
    let frame = 24 + 4_096;
    for at in [0, 20, 33, 32 + 30, log.len() / 2, log.len() - 3 * frame] {
        let mut log = log.clone();
        log[at] ^= 4;
        let (last_id, lost) = lost(&log);
        assert!(last_id < 20 && lost > 0, "byte {at}: the last is {last_id}, {lost} lost");
        assert!(last_id + lost >= 19, "byte {at}: the last is {last_id}, {lost} lost");
    }
}

#[test]
fn a_page_of_nothing_but_damage_has_the_time_of_what_lies_beside_it() {
    let folder = Folder::new();
    let texts: Vec<String> = (1..=30).map(|nth| nth.to_string()).collect();
    let batch = texts.iter().enumerate().map(|(nth, text)| Said { unix_ms: nth as u64 + 1, ..said("r", text) });
    append(&mut open(&folder), &batch.collect::<Vec<_>>());
    let spoil = |ids: &str| {
        let connection = Connection::open(folder.file()).unwrap();
        connection.execute(&format!("UPDATE message SET text = 'x' WHERE id {ids}"), []).unwrap();
    };
    let times = |before: u64| {
        let page = open(&folder).read_before("r", Some(before), size(3, 10_000)).unwrap();
        page.messages.iter().map(|message| message.unix_ms).collect::<Vec<_>>()
    };
    spoil("BETWEEN 5 AND 10");
    assert_eq!(times(9), [4; 3]);
    spoil("< 5");
    assert_eq!(times(9), [11; 3]);
    spoil("> 0");
    assert_eq!(times(9), [0; 3]);
}

#[test]
fn a_check_changes_nothing_and_can_be_made_while_a_daemon_is_at_work() {
    let folder = Folder::new();
    let mut database = open(&folder);
    append(&mut database, &[said("r", "a")]);
    let report = check::check(&folder.file()).unwrap();
    assert!(report.faults == 0 && report.text.contains("1 room, 1 message that"), "{}", report.text);
    let copies = Folder::new();
    fs::copy(folder.file(), copies.file()).unwrap();
    fs::copy(folder.wal(), copies.wal()).unwrap();
    let contents = || [fs::read(copies.file()).unwrap(), fs::read(copies.wal()).unwrap()];
    let before = contents();
    let report = check::check(&copies.file()).unwrap();
    assert!(report.faults == 0 && report.text.contains("1 room, 1 message that"), "{}", report.text);
    assert!(contents() == before, "what is in the log stays there");
    drop(database);
    check::check(&folder.file()).unwrap();
    assert!(!folder.wal().exists(), "no log is left where there was none");
}

#[test]
fn a_room_whose_last_id_is_wrong_is_damage_and_no_id_is_given_twice() {
    let folder = Folder::new();
    let mut database = open(&folder);
    append(&mut database, &[said("r", "a"), said("r", "b")]);
    database.connection.execute("UPDATE room SET last_id = 1", []).unwrap();
    assert_eq!(try_append(&mut database, &[said("r", "c")]), Err(Cause::Damaged));
}
