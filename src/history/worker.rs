//! The thread that owns the file. It blocks for as long as it must, and answers in the order in which it does things.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError};
use std::time::Duration;

use super::batch::Rows;
use super::retention::{Cut, Look, Trimmed};
use super::sqlite::database::{Database, Said};
use super::sqlite::errors::{ReadError, WriteError};
use super::{Page, PageSize, RoomIds, RoomKey, Stored, Wanted};
use crate::chat::RoomName;

/// Rooms that the thread is asked to open at a time, and so the most that come back in one turn. Two: while the loop
/// takes one, the thread reads the next.
pub(super) const OPENINGS_AT_ONCE: usize = 2;

/// Between two looks whether the file is still in its place, while nothing else is asked. Two calls of the system each
/// time, on the thread that waits for the disk: the loop sleeps on.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// How often a room is tried that the disk does not give. Then it is opened without its past: its visitors wait for it,
/// and those who come from another room would be in none.
pub(super) const MOST_TRIES: u32 = 5;

/// Until a room that cannot be read is tried again, if nothing else is asked meanwhile.
const RETRY: Duration = if cfg!(test) { Duration::from_millis(20) } else { Duration::from_secs(1) };

/// What is called, by the thread, whenever [`super::History::next`] has something more.
pub type Wake = Box<dyn Fn() + Send>;

/// What the loop asks of the thread.
pub(super) enum Request {
    Open(Opening),
    /// A room that was opened at a later try has been taken: the next may come.
    ReopenNext,
    Append(Arc<Rows>),
    Read {
        room: RoomName,
        wanted: Wanted,
        size: PageSize,
    },
    Trim(Cut),
    ReserveTourists(u64),
    KeepLook(Look),
}

pub(super) struct Opening {
    pub(super) room: RoomKey,
    pub(super) serial: u64,
    pub(super) name: RoomName,
    /// How often it could not be read.
    pub(super) tries: u32,
}

/// What the thread answers.
pub(super) enum Reply {
    /// None if it cannot be read: it opens as if it were empty.
    Opened(Opening, Option<Newest>),
    /// It is tried again; once for each opening. `Opened` comes when it succeeds, or is given up.
    CannotOpenYet(ReadError),
    Appended(Result<Vec<u64>, WriteError>),
    Read(Result<Page, ReadError>),
    Trimmed(Result<Trimmed, WriteError>),
    /// The number, if it is reserved.
    Reserved(Option<u64>),
    /// Whether something could be written; as it was found when nobody had asked, and only when that has changed.
    Looked(Result<(), WriteError>),
}

pub(super) struct Newest {
    pub(super) ids: RoomIds,
    pub(super) messages: Vec<Stored>,
}

/// What the thread works on: a [`Database`], or what a test makes of it.
pub(super) trait Store: Send + 'static {
    fn append<'a>(&mut self, batch: impl Iterator<Item = Said<'a>>, ids: &mut Vec<u64>) -> Result<(), WriteError>;
    fn ids(&mut self, room: &str) -> Result<RoomIds, ReadError>;
    fn newest(&mut self, room: &str, size: PageSize) -> Result<Page, ReadError>;
    fn read(&mut self, room: &str, wanted: Wanted, size: PageSize) -> Result<Page, ReadError>;
    fn trim(&mut self, cut: Cut) -> Result<Trimmed, WriteError>;
    fn reserve_tourists(&mut self, number: u64) -> Result<(), WriteError>;
    fn keep_look(&mut self, look: Look) -> Result<(), WriteError>;
    fn look(&mut self) -> Result<(), WriteError>;
}

/// The thread's side. It blocks as long as it must.
pub(super) struct Writer<S> {
    store: S,
    newest: PageSize,
    /// Rooms that could not be read so far.
    pub(super) unopened: VecDeque<Opening>,
    /// Rooms that were opened at a later try and have not been taken yet.
    pub(super) reopened: usize,
    /// Batches to be written, before anything is read.
    appends: VecDeque<Arc<Rows>>,
    /// Pages to be read, one a round.
    reads: VecDeque<Reads>,
    /// A trim that is not done, and what it has done so far.
    trimming: Option<(Cut, Trimmed)>,
    /// What the last look or the last batch has found.
    is_writable: bool,
    replier: Replier,
}

struct Reads {
    room: RoomName,
    wanted: Wanted,
    size: PageSize,
}

pub(super) struct Replier {
    pub(super) sender: Sender<Reply>,
    /// Behind the sender, for it is dropped after it: should the thread die, the loop learns of it.
    pub(super) wake: WakeAtLast,
}

pub(super) struct WakeAtLast(pub(super) Wake);

impl Drop for WakeAtLast {
    fn drop(&mut self) {
        (self.0)();
    }
}

impl Replier {
    fn reply(&self, reply: Reply) {
        // If nobody listens any more, the next request will be the end.
        let _ = self.sender.send(reply);
        (self.wake.0)();
    }
}

impl<S: Store> Writer<S> {
    pub(super) fn new(store: S, newest: PageSize, replier: Replier) -> Writer<S> {
        Writer {
            store,
            newest,
            unopened: VecDeque::new(),
            reopened: 0,
            appends: VecDeque::new(),
            reads: VecDeque::new(),
            trimming: None,
            is_writable: true,
            replier,
        }
    }

    /// Does what is asked until nobody can ask any more. Between two looks for a batch there are one page, the rooms to be
    /// opened and one slice of a trim: so much is what a batch waits for at most.
    pub(super) fn serve(mut self, requests: &Receiver<Request>) {
        loop {
            let has_work = self.trimming.is_some() || !self.reads.is_empty();
            let request = if has_work {
                match requests.try_recv() {
                    Err(TryRecvError::Disconnected) => return,
                    request => request.ok(),
                }
            } else {
                let patience = if self.unopened.is_empty() { LOOK_EVERY } else { RETRY };
                match requests.recv_timeout(patience) {
                    Err(RecvTimeoutError::Disconnected) => return,
                    Err(RecvTimeoutError::Timeout) => {
                        self.look();
                        None
                    }
                    Ok(request) => Some(request),
                }
            };
            // All that has been asked for, to see whether a batch is among it.
            for request in request.into_iter().chain(requests.try_iter()) {
                match request {
                    Request::Open(opening) => self.unopened.push_front(opening),
                    Request::ReopenNext => self.reopened = self.reopened.saturating_sub(1),
                    Request::Append(rows) => self.appends.push_back(rows),
                    Request::Read { room, wanted, size } => self.reads.push_back(Reads { room, wanted, size }),
                    Request::Trim(cut) => self.trimming = Some((cut, Trimmed::default())),
                    Request::ReserveTourists(number) => {
                        let reserved = self.store.reserve_tourists(number).is_ok().then_some(number);
                        self.replier.reply(Reply::Reserved(reserved));
                    }
                    // If it cannot be kept, the next daemon watches for longer before it deletes.
                    Request::KeepLook(look) => drop(self.store.keep_look(look)),
                }
            }
            while let Some(rows) = self.appends.pop_front() {
                self.append(&rows);
            }
            if let Some(Reads { room, wanted, size }) = self.reads.pop_front() {
                let page = self.store.read(room.as_str(), wanted, size);
                self.replier.reply(Reply::Read(page));
            }
            self.open_rooms();
            self.trim();
        }
    }

    fn append(&mut self, rows: &Rows) {
        let mut ids = Vec::with_capacity(rows.len());
        let written = self.store.append(rows.said(), &mut ids);
        self.is_writable = written.is_ok();
        self.replier.reply(Reply::Appended(written.map(|()| ids)));
    }

    /// Nobody asks for anything: is the file still there?
    fn look(&mut self) {
        let found = self.store.look();
        if std::mem::replace(&mut self.is_writable, found.is_ok()) != found.is_ok() {
            self.replier.reply(Reply::Looked(found));
        }
    }

    /// Opens those who wait for it, up to the first that cannot be read; that one goes to the end of the line.
    pub(super) fn open_rooms(&mut self) {
        while let Some(mut opening) = self.unopened.pop_front() {
            if opening.tries > 0 && self.reopened >= OPENINGS_AT_ONCE {
                self.unopened.push_front(opening);
                return;
            }
            match self.newest_of(opening.name.as_str()) {
                Ok(newest) => {
                    self.reopened += usize::from(opening.tries > 0);
                    self.replier.reply(Reply::Opened(opening, Some(newest)));
                }
                Err(error) => {
                    opening.tries += 1;
                    let is_hopeless = matches!(error, ReadError::Corrupt(_)) || opening.tries == MOST_TRIES;
                    if opening.tries == 1 {
                        self.replier.reply(Reply::CannotOpenYet(error));
                    }
                    if is_hopeless {
                        self.reopened += 1;
                        self.replier.reply(Reply::Opened(opening, None));
                        continue;
                    }
                    self.unopened.push_back(opening);
                    return;
                }
            }
        }
    }

    fn newest_of(&mut self, room: &str) -> Result<Newest, ReadError> {
        let ids = self.store.ids(room)?;
        let messages = self.store.newest(room, self.newest)?.messages;
        Ok(Newest { ids, messages })
    }

    /// One slice.
    fn trim(&mut self) {
        let Some((cut, mut done)) = self.trimming.take() else { return };
        let result = self.store.trim(cut).map(|slice| {
            done.messages += slice.messages;
            done.rooms += slice.rooms;
            done.damaged_rooms += slice.damaged_rooms;
            slice.more
        });
        match result {
            Ok(true) => self.trimming = Some((cut, done)),
            Ok(false) => self.replier.reply(Reply::Trimmed(Ok(done))),
            Err(error) => self.replier.reply(Reply::Trimmed(Err(error))),
        }
    }
}

impl Store for Database {
    fn append<'a>(&mut self, batch: impl Iterator<Item = Said<'a>>, ids: &mut Vec<u64>) -> Result<(), WriteError> {
        Database::append(self, batch, ids)
    }

    fn ids(&mut self, room: &str) -> Result<RoomIds, ReadError> {
        Database::ids(self, room)
    }

    fn newest(&mut self, room: &str, size: PageSize) -> Result<Page, ReadError> {
        self.read_before(room, None, size)
    }

    fn read(&mut self, room: &str, wanted: Wanted, size: PageSize) -> Result<Page, ReadError> {
        match wanted {
            Wanted::After(id) => self.read_after(room, id, size),
            Wanted::Before(id) => self.read_before(room, Some(id), size),
        }
    }

    fn trim(&mut self, cut: Cut) -> Result<Trimmed, WriteError> {
        Database::trim(self, cut)
    }

    fn reserve_tourists(&mut self, number: u64) -> Result<(), WriteError> {
        Database::reserve_tourists(self, number)
    }

    fn keep_look(&mut self, look: Look) -> Result<(), WriteError> {
        Database::keep_look(self, look)
    }

    fn look(&mut self) -> Result<(), WriteError> {
        Database::look(self)
    }
}
