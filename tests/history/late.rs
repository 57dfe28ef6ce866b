//! A history that answers when it likes: what has happened to the one who asked, in the meantime.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use roomd::chat::position::Epoch;
use roomd::chat::{Entry, Kind, Member, Name, NewEntry, RoomName};
use roomd::history::{Archive, Committed, History, Page, PageSize, Pressure, RoomIds, RoomKey, Stored, Wanted};
use roomd::hub::{PeerId, Readiness};
use roomd::limits::Limits;
use roomd::moment::Now;
use serde_json::Value;

use crate::clocked_hub::{ClockedHub, FakeClient};
use crate::support::masked_frame;

/// Gives back at once what is appended, and what is read when the test says so.
#[derive(Clone, Default)]
struct Late(Rc<RefCell<Queues>>);

#[derive(Default)]
struct Queues {
    ready: VecDeque<(RoomKey, Committed<'static>)>,
    asked: Vec<(RoomKey, Member, Wanted)>,
    sizes: Vec<PageSize>,
    /// Nothing comes back.
    hangs: bool,
    /// It has fallen behind.
    is_behind: bool,
}

impl Late {
    /// The answers to all that was asked for: they come before anything else that is under way.
    fn answer(&self) {
        self.answer_with(&Page { is_cut: true, ..Page::default() });
    }

    /// To each who asked for what comes after a message, this is found.
    fn answer_each(&self, page: impl Fn(u64) -> Page) {
        let Queues { ready, asked, .. } = &mut *self.0.borrow_mut();
        for (room, reader, wanted) in asked.drain(..) {
            let Wanted::After(after) = wanted else { continue };
            ready.push_back((room, Committed::Read { reader, wanted, page: Some(page(after)) }));
        }
    }

    /// The same, but this is what was found.
    fn answer_with(&self, page: &Page) {
        let Queues { ready, asked, .. } = &mut *self.0.borrow_mut();
        for (room, reader, wanted) in asked.drain(..) {
            ready.push_front((room, Committed::Read { reader, wanted, page: Some(page.clone()) }));
        }
    }
}

impl History for Late {
    /// A hundred messages have been said here, and none is at hand.
    fn open(&mut self, room: RoomKey, _name: &RoomName) {
        self.0.borrow_mut().ready.push_back((room, Committed::Opened { ids: RoomIds::up_to(100), newest: Vec::new() }));
    }

    fn forget(&mut self, _room: RoomKey) {}

    fn epoch(&self) -> Epoch {
        Epoch(1)
    }

    fn append(&mut self, room: RoomKey, entry: NewEntry<'_>) {
        let outcome = match entry {
            Entry::Change(change) => Committed::Entry(Entry::Change(change)),
            Entry::Kept { author, .. } => Committed::Refused(author),
        };
        self.0.borrow_mut().ready.push_back((room, outcome));
    }

    fn read(&mut self, room: RoomKey, wanted: Wanted, size: PageSize, reader: Member) {
        self.0.borrow_mut().asked.push((room, reader, wanted));
        self.0.borrow_mut().sizes.push(size);
    }

    fn next(&mut self) -> Option<(RoomKey, Committed<'_>)> {
        let queues = &mut *self.0.borrow_mut();
        if queues.hangs { None } else { queues.ready.pop_front() }
    }

    fn person_key(&self) -> Option<[u8; 32]> {
        Some([7; 32])
    }

    fn archive(&self) -> Archive {
        Archive::Present
    }

    fn pressure(&self) -> Pressure {
        if self.0.borrow().is_behind { Pressure::High } else { Pressure::Low }
    }

    fn tick(&mut self, _now: Now) {}
}

fn nobody_there(late: &Late, limits: Limits) -> ClockedHub {
    ClockedHub::new(limits, Box::new(late.clone()))
}

/// A lobby in which the history owes somebody an answer: a witness, and one who comes back.
fn lobby(late: &Late, limits: Limits) -> (ClockedHub, [(PeerId, FakeClient); 2]) {
    let mut clocked = nobody_there(late, limits);
    let members = ["/?name=Bea", "/?name=Ann&since=7"].map(|path| clocked.come(path));
    assert!(members[0].1.heard().contains("welcome") && !members[1].1.heard().contains("welcome"), "it still waits");
    (clocked, members)
}

/// It joined at its place in the log. It must not be welcomed once it has left.
#[test]
fn who_is_given_up_while_the_history_looks_for_what_it_missed_leaves_and_is_never_welcomed() {
    let (late, limits) = (Late::default(), Limits::default());
    let (mut clocked, [(witness_id, witness), (_, comes_back)]) = lobby(&late, limits);
    // Both are asked for a sign of life. One gives it; the other is given up in the turn in which the answer comes.
    clocked.pass(limits.ping_interval);
    clocked.say(witness_id, &witness, &masked_frame(0x8a, b""));
    late.answer();
    clocked.pass(limits.ping_timeout);
    assert!(comes_back.heard().contains("no sign of life"), "{}", comes_back.heard());
    assert!(!comes_back.heard().contains("welcome"), "{}", comes_back.heard());
    clocked.say(witness_id, &witness, &masked_frame(0x81, b"/who"));
    assert_eq!(witness.events("users")[0]["users"], serde_json::json!(["Bea"]));
    let news = ["join", "leave"].map(|kind| witness.events(kind).len());
    assert_eq!(news, [1, 1], "{}", witness.heard());
}

/// Its queue was full, so it was passed over, and then its Close was answered as if it had heard everything.
#[test]
fn who_says_goodbye_and_cannot_be_sent_all_that_came_before_it_has_no_answer() {
    let (late, limits) = (Late::default(), Limits { max_queue_bytes: 2_000, ..Limits::default() });
    let mut clocked = nobody_there(&late, limits);
    let (id, leaver) = clocked.come("/?name=Ann");
    leaver.stops_reading();
    late.0.borrow_mut().hangs = true;
    let newcomers: Vec<(PeerId, FakeClient)> = (0..45).map(|_| clocked.come("/?quiet=1")).collect();
    clocked.say(id, &leaver, &masked_frame(0x88, &1000_u16.to_be_bytes()));
    late.0.borrow_mut().hangs = false;
    let mut under_way = std::mem::take(&mut late.0.borrow_mut().ready);
    assert_eq!(under_way.len(), newcomers.len() + 1, "all have joined before it leaves");
    while !under_way.is_empty() {
        let in_one_turn = under_way.drain(..under_way.len().min(15)).collect();
        late.0.borrow_mut().ready = in_one_turn;
        clocked.pass(Duration::ZERO);
    }
    leaver.reads_on();
    clocked.hub.ready(id, Readiness { writable: true, ..Readiness::default() });
    clocked.pass(Duration::ZERO);
    assert!(leaver.events("join").len() < newcomers.len(), "there is something that it was not sent");
    assert!(!leaver.bytes().ends_with(&[0x88, 2, 0x03, 0xe8]), "and yet it is told that this was all");
    assert_eq!(clocked.hub.connections(), newcomers.len(), "it is gone");
}

/// It is not read while the history looks, so its Pong cannot be known; that it has sent something can.
#[test]
fn who_answers_a_ping_is_not_given_up_because_the_history_is_slow() {
    let (late, limits) = (Late::default(), Limits::default());
    let (mut clocked, [_, (id, comes_back)]) = lobby(&late, limits);
    clocked.pass(limits.ping_interval);
    clocked.say(id, &comes_back, &masked_frame(0x8a, b""));
    clocked.pass(limits.ping_timeout);
    late.answer();
    clocked.pass(limits.ping_timeout / 2);
    let heard = comes_back.heard();
    assert!(heard.contains("welcome") && heard.contains("reset") && !heard.contains("no sign of life"), "{heard}");
}

/// It has claimed its name at the door, so that nobody else takes it while the history looks.
#[test]
fn the_name_of_one_who_is_gone_before_it_was_in_is_free_again() {
    let (late, limits) = (Late::default(), Limits::default());
    let (mut clocked, [(witness_id, witness), (_, comes_back)]) = lobby(&late, limits);
    clocked.pass(limits.ping_interval);
    let (_, too_early) = clocked.come("/?name=Ann");
    assert_eq!(too_early.events("error")[0]["code"], "name-taken");
    clocked.say(witness_id, &witness, &masked_frame(0x8a, b""));
    clocked.pass(limits.ping_timeout);
    assert!(comes_back.heard().contains("no sign of life"), "{}", comes_back.heard());
    let (_, heir) = clocked.come("/?name=Ann");
    assert_eq!(heir.events("welcome")[0]["name"], "Ann");
    // What the history finds for the one who is gone takes the name from nobody.
    late.answer();
    clocked.say(witness_id, &witness, &masked_frame(0x81, b"/who"));
    let users = &witness.events("users")[0]["users"];
    assert_eq!(users.as_array().map(|users| users.iter().filter(|name| *name == "Ann").count()), Some(1), "{users}");
}

fn message(id: u64) -> Stored {
    Stored {
        id,
        unix_ms: id,
        kind: Kind::Message,
        name: Name::chosen("Cid").expect("a name"),
        tag: None,
        text: "hello".into(),
    }
}

#[test]
fn a_page_is_asked_for_as_large_as_it_may_be_sent_and_says_that_there_are_more() {
    let (late, limits) = (Late::default(), Limits { max_queue_bytes: 20_000, ..Limits::default() });
    let mut clocked = nobody_there(&late, limits);
    let (id, reader) = clocked.come("/?name=Bea");
    clocked.say(id, &reader, &masked_frame(0x81, b"/history 101"));
    assert_eq!(late.0.borrow().sizes, [PageSize { messages: 50, bytes: 10_000 }]);
    late.answer_with(&Page { messages: (91..=100).map(message).collect(), more: true, ..Page::default() });
    clocked.pass(Duration::ZERO);
    let page = &reader.events("history")[0];
    assert_eq!((&page["before"], &page["more"]), (&101.into(), &true.into()));
    let messages = page["messages"].as_array().expect("a list");
    assert!(messages.iter().map(|message| &message["id"]).eq(&(91..=100).map(Value::from).collect::<Vec<_>>()));
    assert_eq!(Limits::default().page_bytes(), 128 * 1024);
}

/// The next piece is asked for when most of the last has been read: so no more than two wait for one who reads slowly.
#[test]
fn a_past_longer_than_any_queue_comes_in_pieces_as_it_is_read() {
    let (late, limits) = (Late::default(), Limits { max_queue_bytes: 10_000, ..Limits::default() });
    let mut clocked = nobody_there(&late, limits);
    let (id, reader) = clocked.come("/?since=20");
    assert_eq!(late.0.borrow().sizes[0].bytes, 625, "an eighth of half of what may wait");
    reader.stops_reading();
    late.answer_with(&Page { messages: (21..=40).map(message).collect(), more: true, ..Page::default() });
    for _ in 0..9 {
        clocked.pass(Duration::ZERO);
    }
    assert_eq!(late.0.borrow().asked, [], "it has not read that");
    reader.reads_on();
    clocked.hub.ready(id, Readiness { writable: true, ..Readiness::default() });
    clocked.pass(Duration::ZERO);
    clocked.pass(Duration::ZERO);
    assert_eq!(late.0.borrow().asked.iter().map(|asked| asked.2).collect::<Vec<_>>(), [Wanted::After(40)]);
    assert!(reader.events("users").is_empty(), "it is not in yet");
    late.answer_with(&Page { messages: (41..=100).map(message).collect(), more: false, ..Page::default() });
    clocked.pass(Duration::ZERO);
    assert_eq!((ids(&reader), reader.events("reset").len()), ((21..=100).collect(), 0));
    let heard = reader.heard();
    assert!(heard.find("welcome") < heard.find("\"id\":21,"), "{heard}");
    assert!(
        heard.find("\"id\":100,") < heard.find("\"users\",") && reader.events("users")[0]["online"] == 1,
        "{heard}"
    );
}

#[test]
fn those_who_have_a_long_past_to_come_are_served_in_turn_and_two_at_a_time() {
    let (late, limits) = (Late::default(), Limits { max_queue_bytes: 100_000, ..Limits::default() });
    let mut clocked = nobody_there(&late, limits);
    let wires: Vec<FakeClient> = (0..3).map(|_| clocked.come("/?since=40").1).collect();
    assert_eq!(late.0.borrow().sizes[0].bytes, 6_250);
    let mut most_ahead = 0;
    for _ in 0..30 {
        assert!(late.0.borrow().asked.len() <= 2);
        late.answer_each(|after| Page {
            messages: (after + 1..=after + 20).map(message).collect(),
            more: after < 80,
            ..Page::default()
        });
        clocked.pass(Duration::ZERO);
        let counts: Vec<usize> = wires.iter().map(|wire| ids(wire).len()).collect();
        most_ahead = most_ahead.max(counts.iter().max().unwrap() - counts.iter().min().unwrap());
    }
    for wire in &wires {
        assert_eq!((ids(wire), wire.events("reset").len()), ((41..=100).collect(), 0));
    }
    assert_eq!(most_ahead, 20, "nobody is more than a piece ahead of the others");
}

#[test]
fn what_is_gone_in_the_middle_of_a_long_past_is_a_reset_just_there() {
    let (late, limits) = (Late::default(), Limits { max_queue_bytes: 100_000, ..Limits::default() });
    let mut clocked = nobody_there(&late, limits);
    let (_, reader) = clocked.come("/?since=40");
    late.answer_with(&Page { messages: (41..=60).map(message).collect(), more: true, ..Page::default() });
    clocked.pass(Duration::ZERO);
    clocked.pass(Duration::ZERO);
    late.answer_with(&Page { messages: (62..=100).map(message).collect(), more: false, ..Page::default() });
    clocked.pass(Duration::ZERO);
    assert_eq!(ids(&reader), (41..=60).collect::<Vec<u64>>());
    let reset = &reader.events("reset")[0];
    assert_eq!((&reset["reason"], &reset["last"]), (&"gone".into(), &100.into()));
    assert_eq!(reset["mess"], "some messages after message 60 are no longer kept; starting afresh");
    let heard = reader.heard();
    assert!(heard.find("\"id\":60,") < heard.find("\"reset\"") && heard.find("\"reset\"") < heard.find("\"users\","));
}

/// It waits for nobody but itself, though it has sent something that is not looked at.
#[test]
fn who_does_not_read_the_past_that_it_asked_for_is_closed_in_the_time_that_a_silent_peer_has() {
    let (late, limits) = (Late::default(), Limits { max_queue_bytes: 10_000, ..Limits::default() });
    let mut clocked = nobody_there(&late, limits);
    let (id, reader) = clocked.come("/?since=20");
    reader.stops_reading();
    late.answer_with(&Page { messages: (21..=40).map(message).collect(), more: true, ..Page::default() });
    clocked.say(id, &reader, &masked_frame(0x81, b"unread"));
    clocked.pass(limits.ping_interval);
    clocked.pass(limits.ping_timeout);
    reader.reads_on();
    clocked.hub.ready(id, Readiness { writable: true, ..Readiness::default() });
    clocked.pass(Duration::ZERO);
    assert!(reader.heard().contains("no sign of life"), "{}", reader.heard());
}

/// The messages that were heard.
fn ids(wire: &FakeClient) -> Vec<u64> {
    wire.events("message").iter().filter_map(|message| message["id"].as_u64()).collect()
}

#[test]
fn few_pages_are_under_way_and_those_who_ask_are_served_in_turn_without_those_who_left() {
    let late = Late::default();
    let limits = Limits::default();
    let mut clocked = nobody_there(&late, limits);
    let readers: Vec<(PeerId, FakeClient)> = (0..9).map(|_| clocked.come("/")).collect();
    for (id, wire) in &readers {
        clocked.say(*id, wire, &masked_frame(0x81, b"/history 50"));
    }
    let asked = || late.0.borrow().asked.iter().map(|(_, reader, _)| PeerId::of(*reader).unwrap()).collect::<Vec<_>>();
    assert_eq!(asked(), [readers[0].0, readers[1].0]);
    // All are asked for a sign of life, and one gives none.
    clocked.pass(limits.ping_interval);
    for (id, wire) in readers.iter().filter(|(id, _)| *id != readers[2].0) {
        clocked.say(*id, wire, &masked_frame(0x8a, b""));
    }
    clocked.pass(limits.ping_timeout);
    assert!(readers[2].1.heard().contains("no sign of life"));
    for pair in readers[3..].chunks(2) {
        late.answer_with(&Page { messages: vec![message(49)], more: true, ..Page::default() });
        clocked.pass(Duration::ZERO);
        assert_eq!(asked(), pair.iter().map(|(id, _)| *id).collect::<Vec<_>>());
    }
    assert_eq!(readers[1].1.events("history").len(), 1);
}

#[test]
fn a_client_with_a_page_waiting_is_not_read_until_the_page_has_left() {
    let late = Late::default();
    let mut clocked = nobody_there(&late, Limits::default());
    let (id, reader) = clocked.come("/");
    clocked.pass(Duration::ZERO);
    reader.stops_reading();
    for _ in 0..5 {
        clocked.say(id, &reader, &masked_frame(0x81, b"/history 50"));
        late.answer_with(&Page { messages: vec![message(49)], more: true, ..Page::default() });
        clocked.pass(Duration::ZERO);
    }
    assert_eq!(late.0.borrow().sizes.len(), 1, "the others wait behind it");
    reader.reads_on();
    clocked.hub.ready(id, Readiness { writable: true, ..Readiness::default() });
    for _ in 0..9 {
        clocked.pass(Duration::ZERO);
        late.answer_with(&Page { messages: vec![message(49)], more: true, ..Page::default() });
    }
    assert_eq!(reader.events("history").len(), 5, "and nothing is lost");
}

/// Nothing is written before the end of a turn, and so many privates in one turn are more than may wait.
#[test]
fn no_number_of_privates_makes_a_willing_reader_too_slow() {
    const PRIVATES: usize = 40;
    let late = Late::default();
    let mut clocked = nobody_there(&late, Limits { max_queue_bytes: 1_000, rate: None, ..Limits::default() });
    let (id, author) = clocked.come("/?name=Bea");
    let (_, reader) = clocked.come("/?name=Ann");
    let privates: Vec<u8> =
        (0..PRIVATES).flat_map(|nth| masked_frame(0x81, format!("/msg Ann the {nth}th of many").as_bytes())).collect();
    clocked.say(id, &author, &privates);
    for _ in 0..PRIVATES {
        clocked.pass(Duration::ZERO);
    }
    for party in [&author, &reader] {
        let texts: Vec<Value> = party.events("private").iter().map(|event| event["mess"].clone()).collect();
        let said: Vec<String> = (0..PRIVATES).map(|nth| format!("the {nth}th of many")).collect();
        assert_eq!(texts, said);
        assert!(!party.heard().contains("too slow"), "{}", party.heard());
    }
}

/// Everybody is somewhere else on the way when the disk stops answering: one sits there with words that are not read, one
/// takes another name, one looks back, one moves, one has said goodbye, one is coming.
fn caught_by_a_hanging_disk(late: &Late, limits: Limits) -> (ClockedHub, Vec<(PeerId, FakeClient)>) {
    let mut clocked = nobody_there(late, limits);
    let mut members: Vec<(PeerId, FakeClient)> = (0..5).map(|_| clocked.come("/")).collect();
    late.0.borrow_mut().hangs = true;
    let frames: [(u8, &[u8]); 4] =
        [(0x81, b"/nick Bea"), (0x81, b"/history 50"), (0x81, b"/join elsewhere"), (0x88, b"")];
    for ((id, wire), (first_byte, payload)) in members[1..].iter().zip(frames) {
        clocked.say(*id, wire, &masked_frame(first_byte, payload));
    }
    members.push(clocked.come("/?name=Ann"));
    late.0.borrow_mut().is_behind = true;
    for (id, wire) in &members {
        clocked.say(*id, wire, &masked_frame(0x81, b"hello"));
    }
    (clocked, members)
}

/// Of 300 slots, 297 were held so by clients that were long gone.
#[test]
fn who_hangs_up_while_the_disk_hangs_gives_back_its_slot_in_a_fixed_time() {
    let (late, limits) = (Late::default(), Limits::default());
    let (mut clocked, members) = caught_by_a_hanging_disk(&late, limits);
    for (id, wire) in &members {
        clocked.hang_up(*id, wire);
    }
    // Once for what had been said before, once for what is still to be sent, with the second that a queue is given.
    clocked.pass(limits.close_timeout);
    clocked.pass(limits.close_timeout + Duration::from_secs(1));
    assert_eq!(clocked.hub.connections(), 0);
    // Their rooms lose them when the disk answers, each once.
    let (_, witness) = clocked.come("/");
    {
        let mut queues = late.0.borrow_mut();
        (queues.hangs, queues.is_behind) = (false, false);
    }
    late.answer();
    for _ in 0..4 {
        clocked.pass(Duration::ZERO);
    }
    assert_eq!(witness.events("welcome")[0]["online"], 1, "the others had left before");
}

#[test]
fn whose_socket_fails_while_the_disk_hangs_gives_back_its_slot_at_once() {
    let late = Late::default();
    let (mut clocked, members) = caught_by_a_hanging_disk(&late, Limits::default());
    for (id, wire) in &members {
        clocked.hub.failed(*id);
        clocked.hang_up(*id, wire);
    }
    assert_eq!(clocked.hub.connections(), 0);
}

/// A slow disk is waited for; one that hangs is not.
#[test]
fn who_said_goodbye_and_stays_is_let_go_after_the_time_that_a_silent_peer_has() {
    let (late, limits) = (Late::default(), Limits::default());
    let mut clocked = nobody_there(&late, limits);
    let (id, wire) = clocked.come("/");
    late.0.borrow_mut().hangs = true;
    clocked.say(id, &wire, &masked_frame(0x88, b""));
    clocked.pass(limits.ping_timeout - Duration::from_millis(1));
    assert_eq!(clocked.hub.connections(), 1);
    clocked.pass(Duration::from_millis(1));
    assert_eq!(clocked.hub.connections(), 0);
}

/// What it had said and is not read yet would otherwise be said by two of one name.
#[test]
fn the_name_of_one_who_has_hung_up_is_free_and_who_takes_it_comes_after_its_end() {
    let late = Late::default();
    let mut clocked = nobody_there(&late, Limits::default());
    let (witness_id, witness) = clocked.come("/");
    let (id, wire) = clocked.come("/?name=Ann");
    // Its own question holds it up, and what it says behind that is not read before the answer.
    clocked.say(id, &wire, &masked_frame(0x81, b"/history 50"));
    clocked.say(id, &wire, &masked_frame(0x81, b"and another thing"));
    clocked.hang_up(id, &wire);
    clocked.say(witness_id, &witness, &masked_frame(0x81, b"/msg Ann are you there?"));
    assert_eq!(witness.events("error")[0]["code"], "no-such-name");
    assert!(witness.events("leave").is_empty(), "it is still heard out");
    let (_, heir) = clocked.come("/?name=ANN");
    assert_eq!(heir.events("welcome")[0]["name"], "ANN");
    let heard = witness.heard();
    let at = |event: &str| heard.find(event).unwrap_or_else(|| panic!("no {event} in {heard}"));
    assert!(at(r#""name":"Ann","mess":"left the room""#) < at(r#""name":"ANN","mess":"joined the room""#));
    assert!(!heard.contains("another thing"));
}

#[test]
fn what_was_said_before_a_hang_up_is_heard_when_the_history_answers_in_time() {
    let late = Late::default();
    let mut clocked = nobody_there(&late, Limits::default());
    let (_, witness) = clocked.come("/");
    let (id, wire) = clocked.come("/?name=Ann");
    clocked.say(id, &wire, &masked_frame(0x81, b"/history 50"));
    clocked.say(id, &wire, &masked_frame(0x81, b"/who"));
    clocked.hang_up(id, &wire);
    late.answer();
    for _ in 0..4 {
        clocked.pass(Duration::from_millis(1));
    }
    assert_eq!(wire.events("users").len(), 1, "it was asked before, and is answered");
    assert_eq!(witness.events("leave").len(), 1);
    assert_eq!(clocked.hub.connections(), 1);
}

/// Nothing is decided before the log gives the entries their order.
#[test]
fn of_two_who_want_one_name_while_the_disk_hangs_the_first_in_the_log_has_it() {
    let late = Late::default();
    let mut clocked = nobody_there(&late, Limits::default());
    let (_, witness) = clocked.come("/");
    late.0.borrow_mut().hangs = true;
    let [(_, first), (_, second)] = ["/?name=Ann", "/?name=ANN"].map(|path| clocked.come(path));
    assert!(first.events("welcome").is_empty() && second.events("error").is_empty(), "nobody knows yet");
    late.0.borrow_mut().hangs = false;
    clocked.pass(Duration::ZERO);
    assert_eq!(first.events("welcome")[0]["name"], "Ann");
    assert_eq!(second.events("welcome")[0]["name"], "Tourist 2");
    assert_eq!(second.events("error")[0]["code"], "name-taken");
    let joined: Vec<Value> = witness.events("join").into_iter().map(|join| join["name"].clone()).collect();
    assert_eq!(joined, ["Ann", "Tourist 2"]);
}

/// When it joins at last nobody is there any more to use the name.
#[test]
fn the_name_of_one_who_hung_up_while_it_joined_is_free_for_the_next() {
    let late = Late::default();
    let mut clocked = nobody_there(&late, Limits::default());
    let (_, witness) = clocked.come("/");
    late.0.borrow_mut().hangs = true;
    let (id, gone) = clocked.come("/?name=Ann");
    clocked.hang_up(id, &gone);
    let (_, heir) = clocked.come("/?name=ANN");
    late.0.borrow_mut().hangs = false;
    clocked.pass(Duration::ZERO);
    assert_eq!((heir.events("welcome")[0]["name"].as_str(), heir.events("error").len()), (Some("ANN"), 0));
    let heard = witness.heard();
    let at = |event: &str| heard.find(event).unwrap_or_else(|| panic!("no {event} in {heard}"));
    assert!(at(r#""name":"Ann","mess":"left the room""#) < at(r#""name":"ANN","mess":"joined the room""#));
}
