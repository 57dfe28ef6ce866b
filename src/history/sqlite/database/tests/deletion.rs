//! What is deleted, and what is not.

use super::*;

#[test]
fn ids_are_not_given_twice_though_all_messages_are_gone() {
    let folder = Folder::new();
    let mut database = open(&folder);
    append(&mut database, &[said("r", "a"), said("r", "b")]);
    let keep = Retention { max_age: Some(Duration::from_millis(10)), ..Retention::ALL };
    assert_eq!(trim_all(&mut database, keep, 1_010), 0, "as old as may be");
    assert_eq!(trim_all(&mut database, keep, 1_011), 2);
    drop(database);
    let mut database = open(&folder);
    assert_eq!(database.last_id("r").unwrap(), 2);
    assert_eq!(append(&mut database, &[said("r", "c")]), [3]);
}

#[test]
fn a_trim_deletes_and_looks_at_a_bounded_part_and_says_that_there_is_more() {
    let folder = Folder::new();
    let mut database = open(&folder);
    let names: Vec<String> = (0..TRIM_ROOMS + 10).map(|room| room.to_string()).collect();
    append(&mut database, &names.iter().map(|name| said(name, "x")).collect::<Vec<_>>());
    assert_eq!(database.trim(beyond(1)).unwrap(), Trimmed { more: true, ..Trimmed::default() }, "rooms");
    assert_eq!(database.trim(beyond(1)).unwrap(), Trimmed::default());
    append(&mut database, &vec![said("0", "x"); 1_500]);
    append(&mut database, &vec![said("1", "x"); 700]);
    let age = Retention { max_age: Some(Duration::ZERO), ..Retention::ALL };
    for keep in [keep_messages(1), age] {
        let mut counts = Vec::new();
        while counts.last().is_none_or(|last: &Trimmed| last.more) && counts.len() < 9 {
            counts.push(database.trim(keep.cut(Some(2_000)).unwrap()).unwrap());
        }
        let total = counts.iter().map(|trimmed| trimmed.messages).sum::<u64>();
        assert!(counts.iter().all(|trimmed| trimmed.messages <= TRIM_MESSAGES), "{counts:?}");
        assert_eq!(total, if keep == age { names.len() as u64 } else { 2_200 });
    }
}

fn keep_bytes(bytes: u64) -> Retention {
    Retention { bytes: NonZeroU64::new(bytes), ..Retention::ALL }
}

fn bytes_in_use(database: &Database) -> u64 {
    let pragma = |name| database.connection.pragma_query_value(None, name, |row| row.get::<_, u64>(0)).unwrap();
    (pragma("page_count") - pragma("freelist_count")) * pragma("page_size")
}

fn count(database: &mut Database, room: &str) -> usize {
    database.read_before(room, None, size(usize::MAX, usize::MAX)).unwrap().messages.len()
}

#[test]
fn what_is_beyond_the_bytes_of_the_file_goes_from_the_room_that_takes_most_and_the_oldest_of_it_first() {
    let folder = Folder::new();
    let mut database = open(&folder);
    let long = "x".repeat(20_000);
    append(&mut database, &vec![said("quiet", "what was said first"); 50]);
    append(&mut database, &vec![said("loud", &long); 200]);
    append(&mut database, &vec![said("busy", "a short line"); 2_000]);
    assert_eq!(trim_all(&mut database, keep_bytes(100_000_000), 0), 0, "there is no surplus");
    let before = bytes_in_use(&database);
    assert!(before > 4_000_000);
    assert!(trim_all(&mut database, keep_bytes(1_500_000), 0) > 100);
    let left = bytes_in_use(&database);
    assert!(
        (1_300_000..=1_500_000).contains(&left),
        "{left} bytes: so many, and hardly fewer: a page or two of one message"
    );
    assert_eq!((count(&mut database, "quiet"), count(&mut database, "busy")), (50, 2_000));
    let loud = database.read_before("loud", None, size(usize::MAX, usize::MAX)).unwrap().messages;
    assert_eq!(loud.last().map(|message| message.id), Some(200), "the oldest have gone");
    assert!(loud.iter().all(|message| message.kind == Kind::Message) && !loud.is_empty());
    // Now all rooms are to be small.
    trim_all(&mut database, keep_bytes(1), 0);
    for room in ["quiet", "loud", "busy"] {
        assert_eq!(count(&mut database, room), 1, "the newest message of {room} stays");
    }
    assert_eq!(trim_all(&mut database, keep_bytes(1), 0), 0, "and there is an end");
    drop(database);
    assert_eq!(append(&mut open(&folder), &[said("loud", "c")]), [201]);
}

#[test]
fn one_piece_of_what_is_beyond_the_bytes_is_some_megabytes() {
    let folder = Folder::new();
    let mut database = open(&folder);
    let long = "x".repeat(64 * 1024);
    append(&mut database, &vec![said("loud", &long); 400]);
    let cut = keep_bytes(1).cut(None).unwrap();
    let mut counts = Vec::new();
    while counts.last().is_none_or(|last: &Trimmed| last.more) {
        counts.push(database.trim(cut).unwrap());
    }
    assert!(counts.iter().all(|trimmed| trimmed.messages <= 64), "{counts:?}");
    assert_eq!(counts.iter().map(|trimmed| trimmed.messages).sum::<u64>(), 399);
    assert_eq!(counts.iter().map(|trimmed| trimmed.rooms).sum::<u64>(), 1);
}

#[test]
fn a_room_in_which_everything_was_too_old_is_forgotten_with_those_that_are_too_many() {
    let folder = Folder::new();
    let mut database = open(&folder);
    append(&mut database, &vec![said("old", "x"); 1_500]);
    append(&mut database, &[Said { unix_ms: 9_000, ..said("young", "x") }]);
    let keep = Retention { max_age: Some(Duration::from_millis(100)), ..Retention::ALL };
    assert_eq!(trim_all(&mut database, keep, 5_000), 1_500);
    assert_eq!(rows(&database), 2, "without a limit all that is new begins where it would have");
    let keep = Retention { rooms: NonZeroU64::new(1), ..Retention::ALL };
    assert_eq!((trim_all(&mut database, keep, 5_000), rows(&database)), (0, 1));
    assert_eq!(append(&mut database, &[said("old", "x"), said("young", "x")]), [1_501, 2]);
}

fn rows(database: &Database) -> u64 {
    database.connection.query_row("SELECT count(*) FROM room", [], |row| row.get(0)).unwrap()
}

#[test]
fn of_too_many_rooms_those_silent_longest_go_and_no_id_is_given_twice() {
    let folder = Folder::new();
    let mut database = open(&folder);
    let names: Vec<String> = (0..300).map(|nth| format!("room {nth}")).collect();
    for (nth, name) in names.iter().enumerate() {
        let at = |text| Said { unix_ms: 1_000 + nth as u64, ..said(name, text) };
        append(&mut database, &[at("a"), at("b")]);
    }
    // The first speaks again.
    append(&mut database, &[Said { unix_ms: 9_000, ..said(&names[0], "c") }]);
    let keep = Retention { rooms: NonZeroU64::new(100), ..Retention::ALL };
    assert_eq!(trim_all(&mut database, keep, 0), 400);
    let kept: Vec<usize> = (0..300).filter(|nth| count(&mut database, &names[*nth]) > 0).collect();
    assert_eq!(kept, std::iter::once(0).chain(201..300).collect::<Vec<_>>());
    assert_eq!(trim_all(&mut database, keep, 0), 0);
    assert_eq!(rows(&database), 100, "nothing is left of the others");
    // They and others begin above all that was ever given in those that are gone; the others go on.
    let next = |database: &mut Database, name: &str| append(database, &[said(name, "again")])[0];
    assert_eq!((next(&mut database, &names[5]), next(&mut database, "new")), (3, 3));
    drop(database);
    let mut database = open(&folder);
    assert_eq!((next(&mut database, &names[0]), next(&mut database, &names[6])), (4, 3));
    assert_eq!(database.ids(&names[6]).unwrap(), RoomIds { first: 2, base: 2, last: 3 });
}

#[test]
fn a_damaged_room_does_not_hold_up_the_others_when_there_is_too_much() {
    let folder = Folder::new();
    let mut database = open(&folder);
    append(&mut database, &vec![said("a", "x"); 9]);
    append(&mut database, &vec![said("b", "x"); 9]);
    database.connection.execute("UPDATE room SET last_id = 5 WHERE name = 'a'", []).unwrap();
    assert_eq!(trim_all(&mut database, keep_bytes(1), 0), 8);
}

#[test]
fn a_damaged_page_among_what_is_to_go_keeps_nothing_of_other_rooms_from_going() {
    let folder = Folder::new();
    let truth = two_rooms(&folder, 200);
    drop(truth);
    let whole = fs::read(folder.file()).unwrap();
    let mut stayed = 0;
    for page in 2..whole.len() / 4_096 {
        let mut bytes = whole.clone();
        bytes[page * 4_096..(page + 1) * 4_096].fill(0);
        fs::write(folder.file(), bytes).unwrap();
        let _ = fs::remove_file(folder.wal());
        let Ok(mut database) = Database::open_at(&folder.file(), Durability::Normal, Some(0)) else { continue };
        let (mut rooms, mut damaged_rooms) = (0, 0);
        for _ in 0..20 {
            let trimmed = database.trim(beyond(1)).unwrap();
            rooms += trimmed.rooms;
            damaged_rooms += trimmed.damaged_rooms;
            if !trimmed.more {
                break;
            }
        }
        assert!(rooms + damaged_rooms > 0, "page {page}: nothing is trimmed, and nothing is told");
        stayed += u64::from(rooms > 0 && damaged_rooms > 0);
    }
    assert!(stayed > 0, "on no page one room stayed and the other went");
}

#[test]
fn what_was_deleted_for_its_age_is_not_damaged() {
    let folder = Folder::new();
    let mut database = open(&folder);
    append(&mut database, &["a", "b", "c"].map(|text| said("r", text)));
    assert_eq!(database.trim(beyond(1)).unwrap().messages, 2);
    assert_eq!(texts(&database.read_before("r", None, ALL).unwrap()), ["c"]);
    let cut = Cut { said_before_unix_ms: Some(9_999), ..Cut::NOTHING };
    assert_eq!(database.trim(cut).unwrap(), Trimmed { messages: 1, rooms: 1, ..Trimmed::default() });
    assert_eq!(database.read_before("r", None, ALL).unwrap(), Page::default());
    drop(database);
    assert_eq!(check::check(&folder.file()).unwrap().faults, 0);
    assert_eq!(append(&mut open(&folder), &[said("r", "d")]), [4]);
}

#[test]
fn a_damaged_room_holds_up_no_deletion_in_the_others() {
    let folder = Folder::new();
    let mut database = open(&folder);
    append(&mut database, &[said("a", "1"), said("a", "2"), said("b", "1"), said("b", "2")]);
    database.connection.execute("UPDATE room SET last_id = 7 WHERE name = 'a'", []).unwrap();
    let expected = Trimmed { messages: 1, rooms: 1, damaged_rooms: 1, more: false };
    assert_eq!(database.trim(beyond(1)).unwrap(), expected);
}
