//! Messages that outlive the daemon: they have happened when they are in the file.
//!
//! A disk may take milliseconds, or a minute; the loop waits for nobody. So a thread owns the [`Database`], and there is
//! a channel each way. Whatever is said in one turn is one batch, written in one transaction. While that is under way
//! the next batch collects, so the slower the disk, the more it is given at once, and never more than two wait.
//!
//! The thread writes before it reads: a batch waits for one page at most, however many are asked for. It answers in the
//! order in which it does things, so a page has its place among the batches: what was answered before is in it, what is
//! answered after it is not.
//!
//! Only a few rooms are opened at a time (`OPENINGS_AT_ONCE`); the others wait in line. So what has been read and not
//! been taken yet is a few pages, also when a thousand rooms come into use at once, or can be read again after the disk
//! has recovered.
//!
//! A batch that cannot be written is refused, message by message, each in its place; the next is tried as if nothing
//! had been. So a disk that has room again needs no restart.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::convert::Infallible;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, TryRecvError};
use std::thread;
use std::time::Duration;

use ::log::{info, warn};

use super::batch::Rows;
use super::health::{Health, Load};
use super::retention::{Looks, Retention, Trimmed};
use super::sqlite::database::{Database, Durability};
use super::sqlite::errors::{OpenError, ReadError};
pub use super::worker::Wake;
use super::worker::{Newest, OPENINGS_AT_ONCE, Opening, Replier, Reply, Request, Store, WakeAtLast, Writer};
use super::{
    Condition, Entry, History, Outcome, Page, PageSize, Pressure, Reach, RoomIds, RoomKey, Stored, Wanted, ids,
};
use crate::chat::position::Epoch;
use crate::chat::{Change, Kind, Name, RoomName};
use crate::moment::{Moment, Now};

/// Between two looks for what is too old.
const TRIM_EVERY: Duration = Duration::from_secs(60);

/// Between two times that the looks at the clock are written down for the next daemon. An orderly end writes them, too; so
/// this is what a kill costs.
const KEEP_LOOK_EVERY: Duration = Duration::from_secs(15 * 60);

/// Numbers of tourists that are reserved at once: a thousand who come cost one write.
const TOURISTS_RESERVED: u64 = 1_000;

/// Damaged messages that are remembered, so that each is logged once.
const MOST_DAMAGE_KNOWN: usize = 10_000;

/// How long the end waits for what is still to be written. A disk that takes longer is lost.
const END_WITHIN: Duration = if cfg!(test) { Duration::from_millis(200) } else { Duration::from_secs(2) };

/// How a history in a file is to be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// What outlives a loss of power.
    pub durability: Durability,
    /// What is kept for how long.
    pub keep: Retention,
    /// What [`Outcome::Opened`] gives.
    pub newest: PageSize,
}

/// See the module. This is the loop's side; it never waits but when it is dropped: then it lets the thread write what
/// has been appended, for two seconds at most.
pub struct Log<M> {
    /// Dropped, it tells the thread to end.
    requests: Option<Sender<Request>>,
    replies: Receiver<Reply>,
    /// Nothing ever comes: the other end goes when the file is closed.
    ended: Receiver<Infallible>,
    keep: Retention,
    rooms: HashMap<RoomKey, Room<M>>,
    next_serial: u64,
    /// Rooms that are to be opened once fewer than [`OPENINGS_AT_ONCE`] are.
    to_open: VecDeque<Opening>,
    /// Rooms that the thread is opening. Those that could not be read, and are tried again, do not count.
    opening: usize,
    /// Rooms that were opened at a later try, in this turn: the thread is still to be told that they are taken.
    reopened: usize,
    /// What collects until the thread has written the batch before it.
    waiting: Batch<M>,
    /// The number of the batch that waits: they are counted from 1.
    waiting_number: u64,
    in_flight: Option<InFlight<M>>,
    /// The number of the last batch that has come back.
    settled: u64,
    /// What was asked for, in the order in which it will be answered.
    readings: VecDeque<Reading<M>>,
    /// What [`History::next`] is still to give.
    arrived: VecDeque<Arrived<M>>,
    /// The batch of the message that was given last, for as long as the borrow lasts.
    delivered: Option<Arc<Rows>>,
    backlog: Load,
    pressure: Pressure,
    /// When it was last looked for what is to be trimmed.
    trim_due_since: Option<Moment>,
    looks: Looks,
    look_kept_at: Option<Moment>,
    is_trimming: bool,
    writing: Health,
    reading: Health,
    trimming: Health,
    /// Of messages that cannot be read: their room and their id.
    known_damage: BTreeSet<(RoomName, u64)>,
    is_damage_logged: bool,
    numbers: Numbers,
    epoch: Epoch,
    end_within: Duration,
}

/// The numbers of tourists.
#[derive(Debug, Clone, Copy, Default)]
struct Numbers {
    /// The highest that was given, in the lives of this file.
    given: u64,
    /// None up to this is given after a restart.
    reserved: u64,
    is_reserving: bool,
}

struct Room<M> {
    name: RoomName,
    /// No two openings share it: a late answer for a room that is gone means nobody.
    serial: u64,
    /// What waits for the room to be read; nothing more once it is open.
    held: Option<Vec<Held<M>>>,
    /// The newest batch that has an entry of this room; 0 before the first.
    last_batch: u64,
}

/// Something that came before its room was open.
enum Held<M> {
    Said { speaker: M, name: Name, unix_ms: u64, kind: Kind, text: Box<str> },
    Mark(Change),
    Read { wanted: Wanted, size: PageSize, reader: M },
}

/// What is appended together.
struct Batch<M> {
    rows: Rows,
    /// All entries in their order; each `Said` stands for the next of the rows.
    entries: Vec<(RoomKey, Step<M>)>,
}

enum Step<M> {
    Said { speaker: M },
    Mark(Change),
}

struct InFlight<M> {
    number: u64,
    rows: Arc<Rows>,
    entries: Vec<(RoomKey, Step<M>)>,
}

struct Reading<M> {
    room: RoomKey,
    serial: u64,
    wanted: Wanted,
    reader: M,
}

/// What is ready to be given.
enum Arrived<M> {
    Opened(RoomKey, Newest),
    Mark(RoomKey, Change),
    Refused(RoomKey, M),
    Read { room: RoomKey, wanted: Wanted, page: Option<Page>, reader: M },
    Batch(Settled<M>),
}

/// A batch that has come back, as far as it has not been given yet.
struct Settled<M> {
    rows: Arc<Rows>,
    entries: std::vec::IntoIter<(RoomKey, Step<M>)>,
    /// The ids of the rows from `row` on; none if it could not be written.
    ids: std::vec::IntoIter<u64>,
    row: usize,
}

impl<M> Log<M> {
    /// Opens the file, or makes it, and starts the thread that owns it.
    ///
    /// # Errors
    /// [`OpenError`]
    pub fn open(path: &Path, terms: Terms, wake: Wake) -> Result<Log<M>, OpenError> {
        let mut database = Database::open(path, terms.durability)?;
        let path: Box<Path> = database.path().into();
        let given = database.tourists().map_err(|_| OpenError::Corrupt(path.clone()))?;
        let look = database.kept_look().map_err(|_| OpenError::Corrupt(path.clone()))?;
        let reserved = given.saturating_add(TOURISTS_RESERVED);
        // A disk that is full just now is no reason not to begin; the thread tries again.
        let reserved = database.reserve_tourists(reserved).map_or(given, |()| reserved);
        let (lost_batches, epoch, is_continued) = (database.lost_batches(), database.epoch(), database.is_continued());
        let history = Log::start(database, terms, wake);
        let mut history = history
            .map_err(|error| OpenError::System(path.clone(), format!("cannot start its thread: {error}").into()))?;
        history.epoch = epoch;
        history.numbers = Numbers { given, reserved, is_reserving: false };
        history.looks = look.map(Looks::resume).unwrap_or_default();
        info!("the history is in {}", path.display());
        if !is_continued {
            info!("it is not as a daemon has left it: who comes back from before is told to start afresh");
        }
        if lost_batches > 0 {
            history.is_damage_logged = true;
            warn!(
                "the write-ahead log of the history {} was damaged, and what was said last is lost: {lost_batches} \
                 batches of messages",
                path.display()
            );
        }
        Ok(history)
    }

    fn start(store: impl Store, terms: Terms, wake: Wake) -> Result<Log<M>, impl fmt::Display> {
        let (requests, asked) = mpsc::channel();
        let (sender, replies) = mpsc::channel();
        let (until_closed, ended) = mpsc::channel();
        let replier = Replier { sender, wake: WakeAtLast(wake) };
        let Terms { durability: _, keep, newest } = terms;
        let spawned = thread::Builder::new().name("history".into()).spawn(move || {
            // Goes last, when the store has been closed.
            let _until_closed = until_closed;
            Writer::new(store, newest, replier).serve(&asked);
        });
        spawned.map(|_| Log {
            requests: Some(requests),
            replies,
            ended,
            keep,
            rooms: HashMap::new(),
            next_serial: 1,
            to_open: VecDeque::new(),
            opening: 0,
            reopened: 0,
            waiting: Batch::default(),
            waiting_number: 1,
            in_flight: None,
            settled: 0,
            readings: VecDeque::new(),
            arrived: VecDeque::new(),
            delivered: None,
            backlog: Load::default(),
            pressure: Pressure::Low,
            trim_due_since: None,
            looks: Looks::default(),
            look_kept_at: None,
            is_trimming: false,
            writing: Health::Good,
            reading: Health::Good,
            trimming: Health::Good,
            known_damage: BTreeSet::new(),
            is_damage_logged: false,
            numbers: Numbers::default(),
            epoch: Epoch::default(),
            end_within: END_WITHIN,
        })
    }

    /// False once the thread is gone, which only a fault of its own can bring about.
    fn ask(&self, request: Request) -> bool {
        self.requests.as_ref().is_some_and(|requests| requests.send(request).is_ok())
    }

    fn put_mark(&mut self, key: RoomKey, mark: Change) {
        if let Some(room) = self.rooms.get_mut(&key) {
            if let Some(held) = &mut room.held {
                held.push(Held::Mark(mark));
                self.add_load(0);
                return;
            }
            if room.last_batch > self.settled {
                room.last_batch = self.waiting_number;
                self.waiting.entries.push((key, Step::Mark(mark)));
                self.add_load(0);
                return;
            }
        }
        self.arrived.push_back(Arrived::Mark(key, mark));
    }

    fn put_said(&mut self, key: RoomKey, speaker: M, name: &Name, unix_ms: u64, kind: Kind, text: &str) {
        let Some(room) = self.rooms.get_mut(&key) else {
            self.arrived.push_back(Arrived::Refused(key, speaker));
            return;
        };
        if let Some(held) = &mut room.held {
            held.push(Held::Said { speaker, name: name.clone(), unix_ms, kind, text: text.into() });
        } else {
            room.last_batch = self.waiting_number;
            self.waiting.rows.push(room.name.clone(), name, unix_ms, kind, text);
            self.waiting.entries.push((key, Step::Said { speaker }));
        }
        self.add_load(text.len());
    }

    fn put_read(&mut self, key: RoomKey, wanted: Wanted, size: PageSize, reader: M) {
        if let Some(room) = self.rooms.get_mut(&key) {
            if let Some(held) = &mut room.held {
                held.push(Held::Read { wanted, size, reader });
                return;
            }
            let (serial, room) = (room.serial, room.name.clone());
            if self.ask(Request::Read { room, wanted, size }) {
                self.readings.push_back(Reading { room: key, serial, wanted, reader });
                return;
            }
        }
        self.arrived.push_back(Arrived::Read { room: key, wanted, page: None, reader });
    }

    fn add_load(&mut self, text_bytes: usize) {
        self.backlog.entries += 1;
        self.backlog.text_bytes += text_bytes;
        if self.backlog.is_above(1) {
            self.pressure = Pressure::High;
        }
    }

    fn take_load(&mut self, entries: usize, text_bytes: usize) {
        self.backlog.entries = self.backlog.entries.saturating_sub(entries);
        self.backlog.text_bytes = self.backlog.text_bytes.saturating_sub(text_bytes);
        if !self.backlog.is_above(2) {
            self.pressure = Pressure::Low;
        }
    }

    /// Gives the thread the next batch, if it has none. One without messages has nothing to wait for.
    fn send_waiting(&mut self) {
        while self.in_flight.is_none() && !self.waiting.entries.is_empty() {
            let Batch { rows, entries } = std::mem::take(&mut self.waiting);
            let batch = InFlight { number: self.waiting_number, rows: Arc::new(rows), entries };
            self.waiting_number += 1;
            if batch.rows.is_empty() || !self.ask(Request::Append(Arc::clone(&batch.rows))) {
                self.settle(batch, Vec::new());
            } else {
                self.in_flight = Some(batch);
            }
        }
    }

    /// Asks the thread for the next rooms, as many as may be opened at once. Those that were forgotten meanwhile are left
    /// out.
    fn open_next(&mut self) {
        while self.opening < OPENINGS_AT_ONCE
            && let Some(opening) = self.to_open.pop_front()
        {
            if self.rooms.get(&opening.room).is_some_and(|room| room.serial == opening.serial) {
                self.opening += 1;
                self.ask(Request::Open(opening));
            }
        }
        for _ in 0..std::mem::take(&mut self.reopened) {
            self.ask(Request::ReopenNext);
        }
    }

    /// A batch has come back, with the ids of its messages if it was written.
    fn settle(&mut self, batch: InFlight<M>, ids: Vec<u64>) {
        let InFlight { number, rows, entries } = batch;
        self.settled = number;
        self.take_load(entries.len(), rows.text_bytes());
        let settled = Settled { rows, entries: entries.into_iter(), ids: ids.into_iter(), row: 0 };
        self.arrived.push_back(Arrived::Batch(settled));
    }

    fn take_reply(&mut self, reply: Reply) {
        match reply {
            Reply::Opened(Opening { room: key, serial, tries, .. }, newest) => {
                if newest.is_some() {
                    self.reading.is_good_again("the history can be read again");
                }
                let newest = newest.unwrap_or(Newest { ids: RoomIds::default(), messages: Vec::new() });
                if tries == 0 {
                    self.opening = self.opening.saturating_sub(1);
                } else {
                    self.reopened += 1;
                }
                let Some(room) = self.rooms.get_mut(&key).filter(|room| room.serial == serial) else { return };
                let held = room.held.take().unwrap_or_default();
                let name = room.name.clone();
                self.log_damage(&name, &newest.messages);
                self.arrived.push_back(Arrived::Opened(key, newest));
                for held in held {
                    self.release(key, held);
                }
            }
            Reply::CannotOpenYet(error) => {
                self.opening = self.opening.saturating_sub(1);
                self.cannot_read(&error);
            }
            Reply::Appended(result) => {
                match &result {
                    Ok(_) => self.writing.is_good_again("the history is written again"),
                    Err(error) => self.writing.is_bad(error),
                }
                if let Some(batch) = self.in_flight.take() {
                    self.settle(batch, result.unwrap_or_default());
                }
            }
            Reply::Read(result) => {
                match &result {
                    Ok(_) => self.reading.is_good_again("the history can be read again"),
                    Err(error) => self.cannot_read(error),
                }
                if let Some(reading) = self.readings.pop_front() {
                    let room = self.rooms.get(&reading.room).filter(|room| room.serial == reading.serial);
                    if let (Ok(page), Some(name)) = (&result, room.map(|room| room.name.clone())) {
                        self.log_damage(&name, &page.messages);
                    }
                    self.answer(reading, result.ok());
                }
            }
            Reply::Trimmed(result) => {
                self.is_trimming = false;
                match result {
                    Ok(trimmed) => self.has_trimmed(trimmed),
                    Err(error) => self.trimming.is_bad(&error),
                }
            }
            Reply::Reserved(reserved) => {
                self.numbers.is_reserving = false;
                self.numbers.reserved = reserved.unwrap_or(self.numbers.reserved);
            }
            Reply::Looked(Ok(())) => self.writing.is_good_again("the history can be written again"),
            Reply::Looked(Err(error)) => self.writing.is_bad(&error),
        }
    }

    fn has_trimmed(&mut self, Trimmed { messages, rooms, damaged_rooms, .. }: Trimmed) {
        if messages > 0 {
            let (plural, of_rooms) = (if messages == 1 { "" } else { "s" }, if rooms == 1 { "room" } else { "rooms" });
            info!("deleted {messages} message{plural} of {rooms} {of_rooms}: beyond what is to be kept");
        }
        if damaged_rooms > 0 {
            self.trimming.is_bad(&format_args!(
                "what is too old cannot be deleted in {damaged_rooms} of the rooms, for they are damaged; run `roomd check`"
            ));
        } else {
            self.trimming.is_good_again("what is too old is deleted from the history again");
        }
    }

    /// Names what cannot be read, once.
    fn log_damage(&mut self, room: &RoomName, messages: &[Stored]) {
        let damaged = messages.iter().filter(|message| message.kind == Kind::Damaged).map(|message| message.id);
        let mut found = Vec::new();
        for id in damaged {
            if self.known_damage.len() < MOST_DAMAGE_KNOWN && self.known_damage.insert((room.clone(), id)) {
                found.push(id);
            }
        }
        if !found.is_empty() {
            let ids = ids::in_words(&found);
            warn!("in the history, of {room}, {ids} damaged; stop the daemon and run `roomd check` to find all damage");
        }
    }

    /// Who asked in a room that has been forgotten is gone.
    fn answer(&mut self, reading: Reading<M>, page: Option<Page>) {
        let Reading { room, serial, wanted, reader } = reading;
        if self.rooms.get(&room).is_some_and(|room| room.serial == serial) {
            self.arrived.push_back(Arrived::Read { room, wanted, page, reader });
        }
    }

    /// Appends what has waited for its room.
    fn release(&mut self, key: RoomKey, held: Held<M>) {
        match held {
            Held::Said { speaker, name, unix_ms, kind, text } => {
                self.take_load(1, text.len());
                self.put_said(key, speaker, &name, unix_ms, kind, &text);
            }
            Held::Mark(mark) => {
                self.take_load(1, 0);
                self.put_mark(key, mark);
            }
            Held::Read { wanted, size, reader } => self.put_read(key, wanted, size, reader),
        }
    }

    /// A damaged page is a part of the file: others can be read, and it is found again by everybody who looks there.
    fn cannot_read(&mut self, error: &ReadError) {
        match error {
            ReadError::Corrupt(_) => {
                if !std::mem::replace(&mut self.is_damage_logged, true) {
                    warn!("{error}");
                }
            }
            ReadError::System(..) => self.reading.is_bad(error),
        }
    }

    /// Leaves the next daemon what is known of the clock, if that matters.
    fn keep_look(&self) {
        if let Some(look) = self.looks.earliest().filter(|_| self.keep.max_age.is_some()) {
            self.ask(Request::KeepLook(look));
        }
    }

    /// The thread is gone: what it had comes back as not done. Says whether there was anything.
    fn give_up(&mut self) -> bool {
        let batch = self.in_flight.take();
        let has_lost = batch.is_some() || !self.readings.is_empty();
        if has_lost {
            self.writing.is_bad(&"the thread of the history has ended, which is a fault of roomd; restart it");
        }
        if let Some(batch) = batch {
            self.settle(batch, Vec::new());
        }
        while let Some(reading) = self.readings.pop_front() {
            self.answer(reading, None);
        }
        has_lost
    }

    /// Takes one step off the front of what has arrived.
    fn next_arrived(&mut self) -> Option<(RoomKey, Returned<M>)> {
        loop {
            let Some(Arrived::Batch(batch)) = self.arrived.front_mut() else {
                return Some(match self.arrived.pop_front()? {
                    Arrived::Opened(room, newest) => (room, Returned::Opened(newest)),
                    Arrived::Mark(room, mark) => (room, Returned::Mark(mark)),
                    Arrived::Refused(room, speaker) => (room, Returned::Refused(speaker)),
                    Arrived::Read { room, wanted, page, reader } => (room, Returned::Read { wanted, page, reader }),
                    // What the line above has ruled out.
                    Arrived::Batch(_) => continue,
                });
            };
            let Some((room, step)) = batch.entries.next() else {
                self.arrived.pop_front();
                continue;
            };
            let speaker = match step {
                Step::Mark(mark) => return Some((room, Returned::Mark(mark))),
                Step::Said { speaker } => speaker,
            };
            let row = batch.row;
            batch.row += 1;
            let Some(id) = batch.ids.next() else { return Some((room, Returned::Refused(speaker))) };
            self.delivered = Some(Arc::clone(&batch.rows));
            return Some((room, Returned::Said { row, id }));
        }
    }
}

/// What [`Log::next_arrived`] has found, before the text is borrowed from where it lies.
enum Returned<M> {
    Opened(Newest),
    Said { row: usize, id: u64 },
    Refused(M),
    Mark(Change),
    Read { wanted: Wanted, page: Option<Page>, reader: M },
}

impl<M> History<M> for Log<M> {
    fn open(&mut self, room: RoomKey, name: &RoomName) {
        let serial = self.next_serial;
        self.next_serial += 1;
        self.forget(room);
        self.rooms.insert(room, Room { name: name.clone(), serial, held: Some(Vec::new()), last_batch: 0 });
        self.to_open.push_back(Opening { room, serial, name: name.clone(), tries: 0 });
        // Openings of rooms that were forgotten before their turn came must not pile up.
        if self.to_open.len() > 2 * self.rooms.len() {
            self.to_open
                .retain(|opening| self.rooms.get(&opening.room).is_some_and(|room| room.serial == opening.serial));
        }
        self.open_next();
    }

    fn forget(&mut self, room: RoomKey) {
        let held = self.rooms.remove(&room).and_then(|room| room.held);
        for held in held.into_iter().flatten() {
            match held {
                Held::Said { text, .. } => self.take_load(1, text.len()),
                Held::Mark(_) => self.take_load(1, 0),
                Held::Read { .. } => {}
            }
        }
    }

    fn epoch(&self) -> Epoch {
        self.epoch
    }

    fn append(&mut self, room: RoomKey, entry: Entry<'_, M>) {
        match entry {
            Entry::Said { speaker, name, unix_ms, kind, text } => {
                self.put_said(room, speaker, name, unix_ms, kind, text);
            }
            Entry::Changed(change) => self.put_mark(room, change),
        }
    }

    fn read(&mut self, room: RoomKey, wanted: Wanted, size: PageSize, reader: M) {
        self.put_read(room, wanted, size, reader);
    }

    fn next(&mut self) -> Option<(RoomKey, Outcome<'_, M>)> {
        let (room, returned) = loop {
            self.send_waiting();
            if let Some(arrived) = self.next_arrived() {
                break arrived;
            }
            match self.replies.try_recv() {
                Ok(reply) => self.take_reply(reply),
                Err(TryRecvError::Disconnected) if self.give_up() => {}
                Err(_) => {
                    self.delivered = None;
                    // Only at the end of a turn, or one turn could go on for as long as the thread finds something.
                    self.open_next();
                    return None;
                }
            }
        };
        let outcome = match returned {
            Returned::Opened(Newest { ids, messages }) => Outcome::Opened { ids, newest: messages },
            Returned::Refused(speaker) => Outcome::Refused(speaker),
            Returned::Mark(change) => Outcome::Changed(change),
            Returned::Read { wanted, page, reader } => Outcome::Read { reader, wanted, page },
            Returned::Said { row, id } => Outcome::Said(self.delivered.as_ref()?.message(row, id)?),
        };
        Some((room, outcome))
    }

    fn reach(&self) -> Reach {
        Reach::Older
    }

    fn pressure(&self) -> Pressure {
        self.pressure
    }

    fn is_late(&mut self, late: Duration) {
        // What was said last matters more than the last second.
        self.end_within = END_WITHIN.saturating_sub(late).max(END_WITHIN / 2);
    }

    fn tick(&mut self, now: Now) {
        let is_due = self.trim_due_since.is_none_or(|since| now.moment.since(since) >= TRIM_EVERY);
        if !is_due || self.keep.is_all() {
            return;
        }
        self.trim_due_since = Some(now.moment);
        // Also while a trim is under way: the next one is to know what the clock did meanwhile.
        let sure_unix_ms = self.looks.look(now);
        if self.look_kept_at.is_none_or(|since| now.moment.since(since) >= KEEP_LOOK_EVERY) {
            // Not at the start: the next daemon would learn nothing.
            if self.look_kept_at.is_some() {
                self.keep_look();
            }
            self.look_kept_at = Some(now.moment);
        }
        if let Some(cut) = self.keep.cut(sure_unix_ms).filter(|_| !self.is_trimming) {
            self.is_trimming = self.ask(Request::Trim(cut));
        }
    }

    fn tourists(&self) -> u64 {
        self.numbers.given
    }

    /// Nothing is waited for: should the disk be so slow that a whole block is given meanwhile, a kill just then lets some
    /// numbers be given twice.
    fn gave_number(&mut self, number: u64) {
        self.numbers.given = self.numbers.given.max(number);
        let is_low = self.numbers.reserved.saturating_sub(number) < TOURISTS_RESERVED / 2;
        if is_low && !self.numbers.is_reserving {
            self.numbers.is_reserving = self.ask(Request::ReserveTourists(number + TOURISTS_RESERVED));
        }
    }

    fn condition(&self) -> Condition {
        if self.writing == Health::Bad {
            Condition::CannotKeep
        } else if self.is_damage_logged || !self.known_damage.is_empty() {
            Condition::Damaged
        } else {
            Condition::Good
        }
    }
}

impl<M> Drop for Log<M> {
    fn drop(&mut self) {
        let Batch { rows, .. } = std::mem::take(&mut self.waiting);
        if !rows.is_empty() {
            self.ask(Request::Append(Arc::new(rows)));
        }
        // An orderly end wastes no numbers: the next daemon goes on with the one behind.
        if self.numbers.given < self.numbers.reserved {
            self.ask(Request::ReserveTourists(self.numbers.given));
        }
        self.keep_look();
        self.requests = None;
        if self.ended.recv_timeout(self.end_within) == Err(RecvTimeoutError::Timeout) {
            warn!("the history was not closed in time: what was said last may be lost");
        }
        for reply in self.replies.try_iter() {
            if let Reply::Appended(Err(error)) = reply {
                self.writing.is_bad(&error);
            }
        }
    }
}

impl<M> Default for Batch<M> {
    fn default() -> Batch<M> {
        Batch { rows: Rows::default(), entries: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::super::health::{MOST_ENTRIES, MOST_TEXT_BYTES};
    use super::super::retention::{Cut, Look};
    use super::super::sqlite::database::Said;
    use super::super::sqlite::errors::WriteError;
    use super::super::worker::MOST_TRIES;
    use super::*;
    use crate::chat::entry::{Member, Node};

    const PATIENCE: Duration = Duration::from_secs(30);
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
    }

    #[derive(Debug, PartialEq, Eq)]
    enum Call {
        Append(usize),
        LastId,
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
        rooms: BTreeMap<String, Vec<Stored>>,
    }

    impl Scripted {
        fn is_to_fail(&mut self, call: Call) -> bool {
            let _ = self.calls.send(call);
            self.verdicts.recv() == Ok(Verdict::Fail)
        }

        fn cannot_read() -> ReadError {
            ReadError::System(Path::new("x").into(), "no".into())
        }

        fn cannot_write() -> WriteError {
            WriteError::Full(Path::new("x").into())
        }
    }

    impl Store for Scripted {
        fn append<'a>(&mut self, batch: impl Iterator<Item = Said<'a>>, ids: &mut Vec<u64>) -> Result<(), WriteError> {
            let batch: Vec<Said<'a>> = batch.collect();
            if self.is_to_fail(Call::Append(batch.len())) {
                return Err(Scripted::cannot_write());
            }
            for Said { room, name, unix_ms, kind, text } in batch {
                let messages = self.rooms.entry(room.to_owned()).or_default();
                let (id, name) = (messages.len() as u64 + 1, Name::from_stored(name));
                messages.push(Stored { id, unix_ms, kind, name, text: text.into() });
                ids.push(id);
            }
            Ok(())
        }

        fn ids(&mut self, room: &str) -> Result<RoomIds, ReadError> {
            if self.is_to_fail(Call::LastId) {
                return Err(Scripted::cannot_read());
            }
            Ok(RoomIds::up_to(self.rooms.get(room).map_or(0, |messages| messages.len() as u64)))
        }

        fn newest(&mut self, room: &str, _size: PageSize) -> Result<Page, ReadError> {
            let messages = self.rooms.get(room).cloned().unwrap_or_default();
            Ok(Page { messages, ..Page::default() })
        }

        fn read(&mut self, room: &str, _wanted: Wanted, size: PageSize) -> Result<Page, ReadError> {
            if self.is_to_fail(Call::Read) {
                return Err(Scripted::cannot_read());
            }
            self.newest(room, size)
        }

        fn trim(&mut self, cut: Cut) -> Result<Trimmed, WriteError> {
            let messages = cut.beyond_messages.map_or(0, std::num::NonZeroU64::get);
            if self.is_to_fail(Call::Trim(messages)) {
                return Err(Scripted::cannot_write());
            }
            // Slice after slice, until the test has had enough.
            Ok(Trimmed { more: messages % 2 == 1, ..Trimmed::default() })
        }

        fn reserve_tourists(&mut self, number: u64) -> Result<(), WriteError> {
            let _ = self.calls.send(Call::Reserve(number));
            Ok(())
        }

        fn keep_look(&mut self, look: Look) -> Result<(), WriteError> {
            let _ = self.calls.send(Call::KeepLook(look));
            Ok(())
        }

        fn look(&mut self) -> Result<(), WriteError> {
            Ok(())
        }
    }

    /// A change that is told from others by its number.
    fn change(number: u32) -> Entry<'static, u8> {
        Entry::Changed(Change::Left { who: Member { node: Node::FIRST, slot: 0, serial: number }, seat: None })
    }

    /// A history in front of a scripted store, and all that a test needs to pull its strings.
    struct Bench {
        history: Log<u8>,
        verdicts: Option<Sender<Verdict>>,
        calls: Receiver<Call>,
        wakes: Receiver<()>,
    }

    /// An outcome that borrows nothing.
    #[derive(Debug, Clone, PartialEq, Eq)]
    enum Got {
        Opened(u64, usize),
        Said(u64, String),
        Refused(u8),
        Changed(u32),
        Read(u8, Option<Vec<u64>>),
    }

    impl Bench {
        fn new(keep: Retention) -> Bench {
            let (verdicts, told) = mpsc::channel();
            let (tell, calls) = mpsc::channel();
            let (woken, wakes) = mpsc::channel();
            let store = Scripted { verdicts: told, calls: tell, rooms: BTreeMap::new() };
            let terms = Terms { durability: Durability::Normal, keep, newest: PAGE };
            let wake = Box::new(move || woken.send(()).unwrap_or_default());
            let history = Log::start(store, terms, wake).unwrap_or_else(|error| panic!("{error}"));
            Bench { history, verdicts: Some(verdicts), calls, wakes }
        }

        /// With the lobby open.
        fn open(keep: Retention) -> Bench {
            let mut bench = Bench::new(keep);
            bench.history.open(LOBBY, &RoomName::lobby());
            bench.tell(Verdict::Do);
            assert_eq!(bench.wait_for(1), [Got::Opened(0, 0)]);
            assert_eq!(bench.call(), Call::LastId);
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
            self.history.append(LOBBY, Entry::Said { speaker: 7, name: &name, unix_ms: 5, kind: Kind::Message, text });
        }

        fn next(&mut self) -> Option<(RoomKey, Got)> {
            self.history.next().map(|(room, outcome)| {
                let got = match outcome {
                    Outcome::Opened { ids, newest } => Got::Opened(ids.last, newest.len()),
                    Outcome::Said(message) => {
                        assert_eq!(
                            (message.name, message.unix_ms, message.kind),
                            (&Name::tourist(1), 5, Kind::Message)
                        );
                        Got::Said(message.id, message.text.to_owned())
                    }
                    Outcome::Refused(speaker) => Got::Refused(speaker),
                    Outcome::Changed(Change::Left { who, .. }) => Got::Changed(who.serial),
                    Outcome::Changed(change) => panic!("{change:?} was not appended"),
                    Outcome::Read { reader, page, .. } => Got::Read(
                        reader,
                        page.map(|page| page.messages.into_iter().map(|message| message.id).collect()),
                    ),
                };
                (room, got)
            })
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
        assert_eq!(bench.history.writing, Health::Bad);
        bench.tell(Verdict::Do);
        assert_eq!(bench.wait_for(1), [said(1, "c")]);
        assert_eq!(bench.history.writing, Health::Good);
    }

    #[test]
    fn a_page_has_what_came_back_before_it_and_nothing_that_comes_after() {
        let mut bench = Bench::open(KEEP_ALL);
        bench.say("a");
        assert_eq!(bench.turn(), []);
        bench.history.read(LOBBY, Wanted::Before(9), PAGE, 3);
        bench.say("b");
        assert_eq!(bench.turn(), []);
        bench.history.read(LOBBY, Wanted::Before(9), PAGE, 4);
        bench.history.read(LOBBY, Wanted::Before(9), PAGE, 5);
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
            bench.history.read(LOBBY, Wanted::Before(9), PAGE, reader);
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
        assert_eq!(bench.call(), Call::LastId);
        assert_eq!(bench.call(), Call::LastId, "tried again without being asked");
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
        assert_eq!((bench.history.reading, bench.history.backlog.entries), (Health::Good, 0));
    }

    #[test]
    fn a_room_that_is_never_read_opens_without_its_past_and_nobody_waits_for_ever() {
        let mut bench = Bench::open(KEEP_ALL);
        let other = RoomKey(1);
        bench.history.open(other, &RoomName::parse("other").unwrap());
        bench.history.append(other, change(1));
        for _ in 0..MOST_TRIES {
            bench.tell(Verdict::Fail);
        }
        assert_eq!(bench.wait_for(2), [Got::Opened(0, 0), Got::Changed(1)]);
        assert_eq!(bench.history.reading, Health::Bad);
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
        let (sender, replies) = mpsc::channel();
        let store = Scripted { verdicts, calls, rooms: BTreeMap::new() };
        let mut writer = Writer::new(store, PAGE, Replier { sender, wake: WakeAtLast(Box::new(|| {})) });
        let failed = |nth| Opening { room: RoomKey(nth), serial: 1, name: RoomName::lobby(), tries: 1 };
        writer.unopened.extend((0..5).map(failed));
        writer.open_rooms();
        assert_eq!(replies.try_iter().count(), OPENINGS_AT_ONCE);
        writer.open_rooms();
        assert_eq!(replies.try_iter().count(), 0, "none of them has been taken");
        writer.reopened -= 1;
        writer.open_rooms();
        assert_eq!(replies.try_iter().count(), 1);
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
        assert_eq!(
            calls.iter().collect::<Vec<_>>(),
            [Call::Trim(2)],
            "where nothing goes for its age it does not matter"
        );
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
        bench.history.read(LOBBY, Wanted::Before(9), PAGE, 3);
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
        let text = "x".repeat(MOST_TEXT_BYTES / 4);
        let steps: &[(&str, usize)] = &[(&text, 4), ("", MOST_ENTRIES)];
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
            while bench.history.is_trimming {
                bench.wakes.recv_timeout(PATIENCE).unwrap();
                assert_eq!(bench.turn(), []);
            }
            bench.history.tick(after(too_early));
            assert!(!bench.history.is_trimming);
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
        assert!(!bench.history.is_trimming);
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
        bench.history.read(LOBBY, Wanted::Before(9), PAGE, 3);
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
        assert_eq!(history.end_within, END_WITHIN);
        history.is_late(END_WITHIN / 4);
        assert_eq!(history.end_within, END_WITHIN - END_WITHIN / 4);
        history.is_late(END_WITHIN * 9);
        assert_eq!(history.end_within, END_WITHIN / 2);
    }

    #[test]
    fn if_the_thread_dies_nobody_waits_for_it() {
        let mut bench = Bench::open(KEEP_ALL);
        bench.say("a");
        assert_eq!(bench.turn(), []);
        bench.history.read(LOBBY, Wanted::Before(9), PAGE, 3);
        // As if it had died: nobody hears it any more, and it hears nobody.
        let (_, replies) = mpsc::channel();
        bench.history.replies = replies;
        bench.history.requests = None;
        bench.say("b");
        bench.history.append(LOBBY, change(1));
        assert_eq!(bench.turn(), [Got::Refused(7), Got::Read(3, None), Got::Refused(7), Got::Changed(1)]);
    }

    #[derive(Debug, Clone)]
    enum Step {
        Open(u32),
        Say(u32),
        Mark(u32, u32),
        Read(u32),
        Turn,
        Tell(Verdict),
    }

    fn step() -> impl Strategy<Value = Step> {
        let room = 0..3_u32;
        prop_oneof![
            1 => room.clone().prop_map(Step::Open),
            5 => room.clone().prop_map(Step::Say),
            4 => (room.clone(), 0..3_u32).prop_map(|(room, mark)| Step::Mark(room, mark)),
            2 => room.prop_map(Step::Read),
            4 => Just(Step::Turn),
            3 => Just(Step::Tell(Verdict::Do)),
            1 => Just(Step::Tell(Verdict::Fail)),
        ]
    }

    /// One room in the plainest way: what is still to come back, in order, and what has.
    #[derive(Default)]
    struct Model {
        is_asked_for: bool,
        is_open: bool,
        expected: VecDeque<Got>,
        readings: usize,
        ids: Vec<u64>,
    }

    fn check(models: &mut [Model], room: RoomKey, got: &Got) -> Result<(), TestCaseError> {
        let model = &mut models[room.0 as usize];
        prop_assert!(model.is_open || matches!(got, Got::Opened(..)), "{:?} before the room is open", got);
        match got {
            Got::Opened(last_id, _) => {
                prop_assert!(!model.is_open && *last_id == 0);
                model.is_open = true;
            }
            Got::Read(_, page) => {
                model.readings -= 1;
                prop_assert!(page.as_ref().is_none_or(|ids| *ids == model.ids), "{:?}, not {:?}", page, model.ids);
            }
            got => {
                let expected = model.expected.pop_front();
                match (got, expected) {
                    (Got::Said(id, text), Some(Got::Said(_, expected))) => {
                        prop_assert_eq!(text, &expected);
                        model.ids.push(*id);
                        prop_assert_eq!(*id, model.ids.len() as u64, "ids rise by one");
                    }
                    (Got::Refused(7), Some(Got::Said(..))) => {}
                    (got, expected) => prop_assert_eq!(Some(got.clone()), expected),
                }
            }
        }
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

        #[test]
        fn whatever_the_disk_does_each_room_gets_back_what_was_appended_in_that_order(
            steps in proptest::collection::vec(step(), 1..80),
        ) {
            let mut bench = Bench::new(KEEP_ALL);
            let mut models: [Model; 3] = Default::default();
            let name = Name::tourist(1);
            let steps = steps.into_iter().chain((0..3).map(Step::Open));
            for (nth, step) in steps.enumerate() {
                match step {
                    Step::Open(room) if !models[room as usize].is_asked_for => {
                        models[room as usize].is_asked_for = true;
                        bench.history.open(RoomKey(room), &RoomName::parse(&format!("room {room}")).unwrap());
                    }
                    Step::Say(room) if models[room as usize].is_asked_for => {
                        let text = nth.to_string();
                        let text_ref = &text;
                        bench.history.append(RoomKey(room), Entry::Said {
                            speaker: 7, name: &name, unix_ms: 5, kind: Kind::Message, text: text_ref,
                        });
                        models[room as usize].expected.push_back(Got::Said(0, text));
                    }
                    Step::Mark(room, mark) if models[room as usize].is_asked_for => {
                        let model = &mut models[room as usize];
                        let is_alone = model.is_open && model.expected.is_empty();
                        bench.history.append(RoomKey(room), change(mark));
                        model.expected.push_back(Got::Changed(mark));
                        if is_alone {
                            while let Some((room, got)) = bench.next() {
                                check(&mut models, room, &got)?;
                            }
                            prop_assert!(models[room as usize].expected.is_empty(), "a mark that had to wait for nothing");
                        }
                    }
                    Step::Read(room) if models[room as usize].is_asked_for => {
                        bench.history.read(RoomKey(room), Wanted::After(0), PAGE, 9);
                        models[room as usize].readings += 1;
                    }
                    Step::Turn => {
                        while let Some((room, got)) = bench.next() {
                            check(&mut models, room, &got)?;
                        }
                    }
                    Step::Tell(verdict) => bench.tell(verdict),
                    _ => {}
                }
            }
            bench.verdicts = None;
            let is_done = |models: &[Model]| models.iter().all(|model| {
                model.is_open && model.expected.is_empty() && model.readings == 0
            });
            loop {
                while let Some((room, got)) = bench.next() {
                    check(&mut models, room, &got)?;
                }
                if is_done(&models) {
                    break;
                }
                prop_assert!(bench.wakes.recv_timeout(PATIENCE).is_ok(), "something never comes back");
            }
            prop_assert_eq!(bench.history.backlog.entries + bench.history.backlog.text_bytes, 0);
            prop_assert_eq!(bench.history.pressure(), Pressure::Low);
        }
    }
}
