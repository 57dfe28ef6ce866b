//! A log in front of a store whose every step the test decides.

mod model;

use std::collections::{BTreeMap, VecDeque};
use std::sync::mpsc::{self, Receiver, Sender};

use proptest::prelude::*;

use super::super::batch::Batch;
use super::super::faults::Health;
use super::super::retention::{Cut, Trimmed};
use super::super::store::{OpenedRoom, StoreError};
use super::super::worker::{Opening, Worker};
use super::super::{Page, RoomIds, Stored};
use super::*;
use crate::chat::entry::Node;
use crate::chat::{Change, Kind, Name, NewMessage};
use crate::limits::fixed::{
    BACKLOG_ENTRIES, BACKLOG_TEXT_BYTES, BUSY_TRIES, HISTORY_CLOSE_WITHIN, OPENING_TRIES, TOURISTS_RESERVED,
};
use crate::moment::Moment;

const PATIENCE: Duration = Duration::from_secs(30);

/// Instead of the second that a daemon waits.
const RETRY: Duration = Duration::from_millis(20);

const LOBBY: RoomKey = RoomKey(0);
const PAGE: PageSize = PageSize { messages: 1_000, bytes: 1_000_000 };
const KEEP_ALL: Retention = Retention::ALL;
const KEEP_ONE: Retention = Retention { messages: std::num::NonZeroU64::new(1), ..Retention::ALL };
const KEEP_TWO: Retention = Retention { messages: std::num::NonZeroU64::new(2), ..Retention::ALL };

/// So long after the start; the wall clock stands still, for nothing here is about age.
fn after(seconds: u64) -> Now {
    Now { moment: Moment::START + Duration::from_secs(seconds), unix_ms: 5 }
}

/// What the store is to do next. Until it is told, it hangs; when nobody can tell it any more, it succeeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Do,
    Fail,
    /// Another program has the lock.
    Busy,
    Panic,
}

#[derive(Debug, PartialEq, Eq)]
enum Call {
    Append(usize),
    Open,
    Read,
    /// Of messages beyond so many.
    Trim(u64),
    Reserve(u64),
    KeepLook(Look),
}

/// Does what the test says, and tells of each call when it begins.
struct Scripted {
    verdicts: Receiver<Verdict>,
    calls: Sender<Call>,
    rooms: BTreeMap<RoomName, Vec<Stored>>,
}

impl Scripted {
    fn verdict(&mut self, call: Call) -> Result<(), StoreError> {
        let _ = self.calls.send(call);
        match self.verdicts.recv() {
            Ok(Verdict::Panic) => panic!("as the test says"),
            Ok(Verdict::Fail) => Err(StoreError::Unavailable("no".into())),
            Ok(Verdict::Busy) => Err(StoreError::Busy("not now".into())),
            Ok(Verdict::Do) | Err(_) => Ok(()),
        }
    }
}

impl Store for Scripted {
    fn has_archive(&self) -> bool {
        true
    }

    fn epoch(&self) -> Epoch {
        Epoch::default()
    }

    fn open(&mut self, _key: RoomKey, room: &RoomName, _newest: PageSize) -> Result<OpenedRoom, StoreError> {
        self.verdict(Call::Open)?;
        let newest = self.rooms.get(room).cloned().unwrap_or_default();
        Ok(OpenedRoom { ids: RoomIds::up_to(newest.len() as u64), newest })
    }

    fn close(&mut self, _key: RoomKey) {}

    fn append(&mut self, batch: &Batch, ids: &mut Vec<u64>) -> Result<(), StoreError> {
        self.verdict(Call::Append(batch.len()))?;
        for (place, NewMessage { name, tag, unix_ms, kind, text }) in batch.messages() {
            let messages = self.rooms.entry(batch.rooms()[place].1.clone()).or_default();
            let id = messages.len() as u64 + 1;
            messages.push(Stored { id, unix_ms, kind, name: name.clone(), tag, text: text.into() });
            ids.push(id);
        }
        Ok(())
    }

    fn read(&mut self, room: &RoomName, _wanted: Wanted, _size: PageSize) -> Result<Page, StoreError> {
        self.verdict(Call::Read)?;
        Ok(Page { messages: self.rooms.get(room).cloned().unwrap_or_default(), ..Page::default() })
    }

    fn trim(&mut self, cut: Cut) -> Result<Trimmed, StoreError> {
        let messages = cut.beyond_messages.map_or(0, std::num::NonZeroU64::get);
        self.verdict(Call::Trim(messages))?;
        // Slice after slice, until the test has had enough.
        Ok(Trimmed { more: messages % 2 == 1, ..Trimmed::default() })
    }

    fn reserve_tourists(&mut self, number: u64) -> Result<(), StoreError> {
        let _ = self.calls.send(Call::Reserve(number));
        Ok(())
    }

    fn keep_look(&mut self, look: Look) -> Result<(), StoreError> {
        let _ = self.calls.send(Call::KeepLook(look));
        Ok(())
    }

    fn probe(&mut self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// A change that is told from others by its number.
fn change(number: u32) -> NewEntry<'static> {
    Entry::Change(Change::Left { who: member(number), seat: None })
}

fn member(number: u32) -> Member {
    Member { node: Node::FIRST, slot: 0, serial: number }
}

/// A message of member 7.
fn message<'a>(name: &'a Name, text: &'a str) -> NewEntry<'a> {
    NewEntry::said(member(7), NewMessage { name, tag: None, unix_ms: 5, kind: Kind::Message, text })
}

/// A history in front of a scripted store, and all that a test needs to pull its strings.
struct Bench {
    history: Log<Thread>,
    verdicts: Option<Sender<Verdict>>,
    calls: Receiver<Call>,
    wakes: Receiver<()>,
}

/// What has come back, without a borrow.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Got {
    Opened(u64, usize),
    Said(u64, String),
    Refused(u32),
    Changed(u32),
    Read(u32, Option<Vec<u64>>),
}

impl Bench {
    fn new(keep: Retention) -> Bench {
        let (verdicts, told) = mpsc::channel();
        let (tell, calls) = mpsc::channel();
        let (woken, wakes) = mpsc::channel();
        let store = Scripted { verdicts: told, calls: tell, rooms: BTreeMap::new() };
        let wake = Box::new(move || woken.send(()).unwrap_or_default());
        let mut history =
            Log::with_driver(Thread::start(store, PAGE, RETRY, wake).unwrap(), keep, Inherited::default());
        history.close_within = HISTORY_CLOSE_WITHIN;
        Bench { history, verdicts: Some(verdicts), calls, wakes }
    }

    /// With the lobby open.
    fn open(keep: Retention) -> Bench {
        let mut bench = Bench::new(keep);
        bench.history.open(LOBBY, &RoomName::lobby());
        bench.tell(Verdict::Do);
        assert_eq!(bench.wait_for(1), [Got::Opened(0, 0)]);
        assert_eq!(bench.call(), Call::Open);
        bench
    }

    fn tell(&self, verdict: Verdict) {
        if let Some(verdicts) = &self.verdicts {
            verdicts.send(verdict).unwrap();
        }
    }

    fn call(&self) -> Call {
        self.calls.recv_timeout(PATIENCE).unwrap()
    }

    fn say(&mut self, text: &str) {
        let name = Name::tourist(1);
        self.history.append(LOBBY, message(&name, text));
    }

    fn next(&mut self) -> Option<(RoomKey, Got)> {
        self.history.next().map(|(room, committed)| (room, got(committed)))
    }

    /// All that comes back without waiting.
    fn turn(&mut self) -> Vec<Got> {
        std::iter::from_fn(|| self.next()).map(|(_, got)| got).collect()
    }

    /// Turns, as the thread wakes the loop, until so much has come back.
    fn wait_for(&mut self, count: usize) -> Vec<Got> {
        let mut got = self.turn();
        while got.len() < count {
            self.wakes.recv_timeout(PATIENCE).unwrap();
            got.extend(self.turn());
        }
        got
    }
}

fn got(committed: Committed<'_>) -> Got {
    match committed {
        Committed::Opened { ids, newest } => Got::Opened(ids.last, newest.len()),
        Committed::Entry(Entry::Kept { id, author, kept: Kept::Said(message) }) => {
            assert_eq!((message.name, message.unix_ms, message.kind), (&Name::tourist(1), 5, Kind::Message));
            assert_eq!(author, member(7));
            Got::Said(id, message.text.to_owned())
        }
        Committed::Refused(author) => Got::Refused(author.serial),
        Committed::Entry(Entry::Change(Change::Left { who, .. })) => Got::Changed(who.serial),
        Committed::Entry(entry) => panic!("{entry:?} was not appended"),
        Committed::Read { reader, page, .. } => {
            Got::Read(reader.serial, page.map(|page| page.messages.into_iter().map(|message| message.id).collect()))
        }
    }
}

fn said(id: u64, text: &str) -> Got {
    Got::Said(id, text.to_owned())
}

#[test]
fn what_is_said_comes_back_once_it_is_written_and_marks_do_not_overtake_it() {
    let mut bench = Bench::open(KEEP_ALL);
    bench.history.append(LOBBY, change(0));
    assert_eq!(bench.turn(), [Got::Changed(0)], "nothing is under way");
    bench.say("a");
    bench.history.append(LOBBY, change(1));
    bench.say("b");
    assert_eq!(bench.turn(), []);
    assert_eq!(bench.call(), Call::Append(2));
    bench.history.append(LOBBY, change(2));
    assert_eq!(bench.turn(), [], "a disk that hangs holds up nobody");
    bench.tell(Verdict::Do);
    assert_eq!(bench.wait_for(4), [said(1, "a"), Got::Changed(1), said(2, "b"), Got::Changed(2)]);
}

#[test]
fn while_one_batch_is_written_all_others_become_one() {
    let mut bench = Bench::open(KEEP_ALL);
    for text in ["a", "b", "c"] {
        bench.say(text);
        assert_eq!(bench.turn(), []);
    }
    bench.verdicts = None;
    assert_eq!(bench.wait_for(3), [said(1, "a"), said(2, "b"), said(3, "c")]);
    assert_eq!([bench.call(), bench.call()], [Call::Append(1), Call::Append(2)]);
}

#[test]
fn what_cannot_be_written_is_refused_in_its_place_and_the_next_is_tried_again() {
    let mut bench = Bench::open(KEEP_ALL);
    bench.say("a");
    bench.history.append(LOBBY, change(1));
    bench.say("b");
    assert_eq!(bench.turn(), []);
    bench.say("c");
    bench.tell(Verdict::Fail);
    assert_eq!(bench.wait_for(3), [Got::Refused(7), Got::Changed(1), Got::Refused(7)]);
    assert_eq!(bench.history.faults.writing, Health::Bad);
    bench.tell(Verdict::Do);
    assert_eq!(bench.wait_for(1), [said(1, "c")]);
    assert_eq!(bench.history.faults.writing, Health::Good);
}

#[test]
fn a_batch_that_meets_another_program_s_lock_is_tried_again_and_all_pages_are_read_meanwhile() {
    let mut bench = Bench::open(KEEP_ALL);
    bench.say("a");
    assert_eq!(bench.turn(), []);
    assert_eq!(bench.call(), Call::Append(1));
    bench.history.read(LOBBY, Wanted::Before(9), PAGE, member(3));
    bench.history.read(LOBBY, Wanted::Before(9), PAGE, member(4));
    // The first try takes up no request that has come since; the second does.
    for verdict in [Verdict::Busy, Verdict::Busy, Verdict::Do, Verdict::Do] {
        bench.tell(verdict);
    }
    assert_eq!([bench.call(), bench.call(), bench.call()], [Call::Append(1), Call::Read, Call::Read]);
    assert_eq!(bench.wait_for(2), [Got::Read(3, Some(vec![])), Got::Read(4, Some(vec![]))]);
    assert_eq!(bench.call(), Call::Append(1));
    bench.tell(Verdict::Do);
    assert_eq!(bench.wait_for(1), [said(1, "a")]);
    assert_eq!(bench.history.faults.writing, Health::Good, "nobody has been refused");
}

#[test]
fn a_batch_that_has_been_tried_for_long_is_refused_and_until_the_lock_is_free_so_is_each_other_at_once() {
    let mut bench = Bench::open(KEEP_ALL);
    bench.say("a");
    for _ in 0..=BUSY_TRIES {
        bench.tell(Verdict::Busy);
    }
    assert_eq!(bench.wait_for(1), [Got::Refused(7)]);
    assert_eq!(bench.history.faults.writing, Health::Bad);
    bench.say("b");
    bench.tell(Verdict::Busy);
    assert_eq!(bench.wait_for(1), [Got::Refused(7)]);
    bench.say("c");
    bench.tell(Verdict::Do);
    assert_eq!(bench.wait_for(1), [said(1, "c")]);
    bench.say("d");
    bench.tell(Verdict::Busy);
    bench.tell(Verdict::Do);
    assert_eq!(bench.wait_for(1), [said(2, "d")], "it waits again");
}

#[test]
fn a_trim_that_meets_another_program_s_lock_goes_on_a_minute_later_and_is_no_fault() {
    let mut bench = Bench::open(KEEP_TWO);
    bench.history.tick(after(1));
    assert_eq!(bench.call(), Call::Trim(2));
    bench.tell(Verdict::Busy);
    bench.say("a");
    bench.tell(Verdict::Do);
    assert_eq!(bench.wait_for(1), [said(1, "a")]);
    assert_eq!(bench.call(), Call::Append(1));
    bench.history.tick(after(62));
    assert_eq!(bench.call(), Call::Trim(2));
}

#[test]
fn a_page_has_what_came_back_before_it_and_nothing_that_comes_after() {
    let mut bench = Bench::open(KEEP_ALL);
    bench.say("a");
    assert_eq!(bench.turn(), []);
    bench.history.read(LOBBY, Wanted::Before(9), PAGE, member(3));
    bench.say("b");
    assert_eq!(bench.turn(), []);
    bench.history.read(LOBBY, Wanted::Before(9), PAGE, member(4));
    bench.history.read(LOBBY, Wanted::Before(9), PAGE, member(5));
    bench.tell(Verdict::Do);
    assert_eq!([bench.call(), bench.call()], [Call::Append(1), Call::Read]);
    assert_eq!(bench.wait_for(1), [said(1, "a")]);
    for verdict in [Verdict::Do, Verdict::Do, Verdict::Do, Verdict::Fail] {
        bench.tell(verdict);
    }
    let pages = [Got::Read(3, Some(vec![1])), said(2, "b"), Got::Read(4, Some(vec![1, 2])), Got::Read(5, None)];
    assert_eq!(bench.wait_for(4), pages);
}

#[test]
fn a_batch_waits_for_one_page_however_many_are_asked_for() {
    let mut bench = Bench::open(KEEP_ALL);
    for reader in 0..5 {
        bench.history.read(LOBBY, Wanted::Before(9), PAGE, member(reader));
    }
    assert_eq!(bench.call(), Call::Read);
    bench.say("a");
    assert_eq!(bench.turn(), []);
    for _ in 0..3 {
        bench.tell(Verdict::Do);
    }
    assert_eq!([bench.call(), bench.call()], [Call::Append(1), Call::Read]);
    let got = bench.wait_for(3);
    assert_eq!(got[1..], [said(1, "a"), Got::Read(1, Some(vec![1]))], "behind it, a page has what was said");
}

#[test]
fn of_a_thousand_rooms_that_come_into_use_at_once_few_are_under_way() {
    let mut bench = Bench::new(KEEP_ALL);
    for nth in 0..1_000 {
        bench.history.open(RoomKey(nth), &RoomName::parse(&format!("room{nth}")).unwrap());
    }
    bench.history.forget(RoomKey(500));
    bench.verdicts = None;
    let mut opened = 0;
    while opened < 999 {
        let got = bench.wait_for(1).len();
        assert!(got <= OPENINGS_AT_ONCE, "{got} in one turn");
        opened += got;
    }
    assert_eq!(bench.calls.try_iter().count(), 999, "the one that was forgotten is not read");
}

#[test]
fn a_room_that_cannot_be_read_is_tried_until_it_can_and_holds_up_no_other() {
    let mut bench = Bench::open(KEEP_ALL);
    let other = RoomKey(1);
    bench.history.open(other, &RoomName::parse("other").unwrap());
    bench.history.append(other, change(1));
    bench.tell(Verdict::Fail);
    assert_eq!(bench.call(), Call::Open);
    assert_eq!(bench.call(), Call::Open, "tried again without being asked");
    bench.say("a");
    bench.tell(Verdict::Fail);
    assert_eq!(bench.turn(), []);
    // The message, or the third attempt: whichever comes first.
    match bench.call() {
        Call::Append(1) => bench.tell(Verdict::Do),
        _ => {
            bench.tell(Verdict::Fail);
            assert_eq!(bench.call(), Call::Append(1));
            bench.tell(Verdict::Do);
        }
    }
    assert_eq!(bench.wait_for(1), [said(1, "a")]);
    bench.verdicts = None;
    assert_eq!(bench.wait_for(2), [Got::Opened(0, 0), Got::Changed(1)]);
    assert_eq!((bench.history.faults.reading, bench.history.backlog.entries), (Health::Good, 0));
}

#[test]
fn a_room_that_is_never_read_opens_without_its_past_and_nobody_waits_for_ever() {
    let mut bench = Bench::open(KEEP_ALL);
    let other = RoomKey(1);
    bench.history.open(other, &RoomName::parse("other").unwrap());
    bench.history.append(other, change(1));
    for _ in 0..OPENING_TRIES {
        bench.tell(Verdict::Fail);
    }
    assert_eq!(bench.wait_for(2), [Got::Opened(0, 0), Got::Changed(1)]);
    assert_eq!(bench.history.faults.reading, Health::Bad);
}

#[test]
fn all_rooms_that_could_not_be_read_open_when_the_disk_recovers() {
    let mut bench = Bench::new(KEEP_ALL);
    for nth in 0..6 {
        bench.history.open(RoomKey(nth), &RoomName::lobby());
    }
    // Should two rooms be tried all the time, they take ten of these, and are given up.
    for _ in 0..15 {
        bench.tell(Verdict::Fail);
    }
    bench.verdicts = None;
    assert_eq!(bench.wait_for(6), vec![Got::Opened(0, 0); 6]);
}

#[test]
fn when_the_disk_recovers_no_more_rooms_are_read_than_the_loop_has_taken() {
    let (_, verdicts) = mpsc::channel();
    let (calls, _calls) = mpsc::channel();
    let store = Scripted { verdicts, calls, rooms: BTreeMap::new() };
    let mut worker = Worker::new(store, PAGE, VecDeque::new());
    let failed = |nth| Opening { room: RoomKey(nth), serial: 1, name: RoomName::lobby(), tries: 1 };
    worker.unopened.extend((0..5).map(failed));
    worker.work();
    assert_eq!(worker.replies.drain(..).count(), OPENINGS_AT_ONCE);
    worker.work();
    assert_eq!(worker.replies.len(), 0, "none of them has been taken");
    worker.take(Request::TookReopened);
    worker.work();
    assert_eq!(worker.replies.len(), 1);
}

#[test]
fn numbers_are_reserved_before_they_are_needed_and_an_orderly_end_gives_back_the_rest() {
    let mut bench = Bench::open(KEEP_ALL);
    bench.history.gave_number(1);
    assert_eq!(bench.call(), Call::Reserve(1 + TOURISTS_RESERVED));
    bench.wakes.recv_timeout(PATIENCE).unwrap();
    assert_eq!(bench.turn(), []);
    for number in 2..TOURISTS_RESERVED / 2 {
        bench.history.gave_number(number);
    }
    bench.history.gave_number(TOURISTS_RESERVED);
    assert_eq!(bench.call(), Call::Reserve(2 * TOURISTS_RESERVED), "not one for each");
    let Bench { history, calls, .. } = bench;
    drop(history);
    assert_eq!(calls.recv_timeout(PATIENCE), Ok(Call::Reserve(TOURISTS_RESERVED)));
}

#[test]
fn what_is_known_of_the_clock_is_left_for_the_next_daemon_now_and_then_and_at_the_end() {
    let keep_a_day = Retention { max_age: Some(Duration::from_secs(24 * 60 * 60)), ..Retention::ALL };
    let mut bench = Bench::new(keep_a_day);
    let minute = Duration::from_secs(60);
    for nth in 0..=15 {
        bench.history.tick(after(60 * nth));
    }
    assert_eq!(bench.call(), Call::KeepLook(Look { unix_ms: 5, watched: 15 * minute }));
    bench.history.tick(after(60 * 16));
    let Bench { history, calls, .. } = bench;
    drop(history);
    assert_eq!(calls.recv_timeout(PATIENCE), Ok(Call::KeepLook(Look { unix_ms: 5, watched: 16 * minute })));
    let mut bench = Bench::new(KEEP_TWO);
    bench.verdicts = None;
    bench.history.tick(after(0));
    let Bench { history, calls, .. } = bench;
    drop(history);
    assert_eq!(calls.iter().collect::<Vec<_>>(), [Call::Trim(2)], "where nothing goes for its age it does not matter");
}

#[test]
fn a_room_that_was_there_before_opens_with_what_was_said() {
    let mut bench = Bench::open(KEEP_ALL);
    bench.verdicts = None;
    bench.say("a");
    assert_eq!(bench.wait_for(1), [said(1, "a")]);
    bench.history.forget(LOBBY);
    bench.history.open(LOBBY, &RoomName::lobby());
    bench.say("b");
    assert_eq!(bench.wait_for(2), [Got::Opened(1, 1), said(2, "b")]);
}

#[test]
fn an_answer_for_a_room_that_was_forgotten_is_nobody_s() {
    let mut bench = Bench::open(KEEP_ALL);
    let other = RoomName::parse("other").unwrap();
    bench.history.read(LOBBY, Wanted::Before(9), PAGE, member(3));
    bench.history.forget(LOBBY);
    bench.history.open(LOBBY, &other);
    bench.history.append(LOBBY, change(1));
    bench.history.forget(LOBBY);
    bench.history.open(LOBBY, &other);
    bench.history.append(LOBBY, change(2));
    bench.verdicts = None;
    assert_eq!(bench.wait_for(2), [Got::Opened(0, 0), Got::Changed(2)]);
    assert_eq!(bench.history.backlog.entries, 0);
}

#[test]
fn pressure_rises_when_too_much_is_under_way_and_falls_when_half_of_it_is_done() {
    let mut bench = Bench::open(KEEP_ALL);
    let text = "x".repeat(BACKLOG_TEXT_BYTES / 4);
    let steps: &[(&str, usize)] = &[(&text, 4), ("", BACKLOG_ENTRIES)];
    for (text, most) in steps {
        bench.say(text);
        assert_eq!(bench.turn(), [], "the first batch");
        for _ in 1..*most {
            bench.say(text);
        }
        assert_eq!(bench.turn(), []);
        assert_eq!(bench.history.pressure(), Pressure::Low, "just as much as may be");
        bench.say(if text.is_empty() { text } else { "x" });
        assert_eq!(bench.history.pressure(), Pressure::High);
        bench.tell(Verdict::Do);
        assert_eq!(bench.wait_for(1).len(), 1);
        assert_eq!(bench.history.pressure(), Pressure::High, "more than half of it");
        bench.tell(Verdict::Do);
        bench.wait_for(*most);
        assert_eq!(bench.history.pressure(), Pressure::Low);
    }
}

#[test]
fn a_trim_is_asked_for_once_a_minute_and_not_while_one_is_under_way() {
    let mut bench = Bench::open(KEEP_TWO);
    bench.history.tick(after(1_000));
    assert_eq!(bench.call(), Call::Trim(2));
    bench.history.tick(after(1_060));
    for (too_early, due) in [(1_119, 1_120), (1_179, 1_180)] {
        bench.tell(Verdict::Do);
        while bench.history.trims.is_trimming {
            bench.wakes.recv_timeout(PATIENCE).unwrap();
            assert_eq!(bench.turn(), []);
        }
        bench.history.tick(after(too_early));
        assert!(!bench.history.trims.is_trimming);
        bench.history.tick(after(due));
        assert_eq!(bench.call(), Call::Trim(2));
    }
    bench.tell(Verdict::Do);
    drop(bench.history);
    assert!(bench.calls.recv().is_err(), "none was asked for while another was under way");
}

#[test]
fn nothing_is_trimmed_where_all_is_kept() {
    let mut bench = Bench::open(KEEP_ALL);
    bench.history.tick(after(1_000));
    assert!(!bench.history.trims.is_trimming);
}

#[test]
fn between_two_requests_there_is_one_slice_of_a_trim() {
    let mut bench = Bench::open(KEEP_ONE);
    // The scripted store has always more to trim beyond an odd number.
    bench.history.tick(after(0));
    assert_eq!(bench.call(), Call::Trim(1));
    bench.say("a");
    assert_eq!(bench.turn(), []);
    bench.tell(Verdict::Do);
    assert_eq!(bench.call(), Call::Append(1));
    bench.history.read(LOBBY, Wanted::Before(9), PAGE, member(3));
    bench.tell(Verdict::Do);
    assert_eq!(bench.wait_for(1), [said(1, "a")]);
    assert_eq!(bench.call(), Call::Trim(1));
    bench.tell(Verdict::Do);
    assert_eq!(bench.call(), Call::Read);
    bench.tell(Verdict::Do);
    assert_eq!(bench.call(), Call::Trim(1));
    bench.tell(Verdict::Fail);
    assert_eq!(bench.wait_for(1), [Got::Read(3, Some(vec![1]))]);
}

#[test]
fn the_end_waits_for_what_was_said_but_not_for_ever() {
    for hangs in [false, true] {
        let mut bench = Bench::open(KEEP_ALL);
        bench.say("a");
        assert_eq!(bench.turn(), []);
        bench.say("b");
        let Bench { history, verdicts, calls, .. } = bench;
        let verdicts = verdicts.filter(|_| hangs);
        drop(history);
        assert_eq!(calls.recv(), Ok(Call::Append(1)));
        if verdicts.is_none() {
            assert_eq!(calls.recv(), Ok(Call::Append(1)), "nobody has taken what comes back, and all is written");
            assert!(calls.recv().is_err(), "the store is closed");
        }
    }
}

/// Ten thousand stalled clients took most of a second to be cut off, and the whole end so much longer than it may.
#[test]
fn the_end_makes_up_for_a_late_goodbye_and_keeps_half_of_its_time() {
    let mut history = Bench::open(KEEP_ALL).history;
    assert_eq!(history.close_within, HISTORY_CLOSE_WITHIN);
    history.is_late(HISTORY_CLOSE_WITHIN / 4);
    assert_eq!(history.close_within, HISTORY_CLOSE_WITHIN - HISTORY_CLOSE_WITHIN / 4);
    history.is_late(HISTORY_CLOSE_WITHIN * 9);
    assert_eq!(history.close_within, HISTORY_CLOSE_WITHIN / 2);
}

#[test]
fn if_the_thread_dies_nobody_waits_for_it() {
    let mut bench = Bench::open(KEEP_ALL);
    bench.say("a");
    assert_eq!(bench.turn(), []);
    bench.history.read(LOBBY, Wanted::Before(9), PAGE, member(3));
    bench.say("b");
    bench.history.append(LOBBY, change(1));
    bench.tell(Verdict::Panic);
    assert_eq!(bench.wait_for(4), [Got::Refused(7), Got::Read(3, None), Got::Refused(7), Got::Changed(1)]);
    assert_eq!(bench.history.condition(), Condition::CannotKeep);
}

#[test]
fn in_memory_all_comes_back_in_the_same_turn_room_by_room_in_its_order() {
    let (other, name) = (RoomKey(1), Name::tourist(1));
    let mut log = InMemoryLog::new();
    let say = |log: &mut InMemoryLog, room, text| {
        log.append(room, message(&name, text));
    };
    log.open(LOBBY, &RoomName::lobby());
    log.append(LOBBY, change(7));
    say(&mut log, LOBBY, "a");
    log.append(LOBBY, change(8));
    log.open(other, &RoomName::parse("other").unwrap());
    say(&mut log, other, "elsewhere");
    let mut came_back: [Vec<Got>; 2] = Default::default();
    while let Some((room, committed)) = log.next() {
        came_back[room.0 as usize].push(got(committed));
        if came_back[0].len() == 3 && came_back[0].last() == Some(&said(5_000, "a")) {
            say(&mut log, LOBBY, "said meanwhile");
        }
    }
    let [lobby, other] = came_back;
    assert_eq!(
        lobby,
        [Got::Opened(0, 0), Got::Changed(7), said(5_000, "a"), Got::Changed(8), said(5_001, "said meanwhile")]
    );
    assert_eq!(other, [Got::Opened(0, 0), said(5_001, "elsewhere")]);
    assert_eq!((log.backlog.entries, log.pressure(), log.archive()), (0, Pressure::Low, Archive::Absent));
}
