//! The worker serves the requests of a log, in a fair order: batches of messages come before anything is read.
//!
//! Replies come in the order in which the worker does things. So a page has its place among the batches: it has all
//! messages that were replied to before it, and none that is replied to after it.

use std::collections::VecDeque;

use super::batch::Batch;
use super::retention::{Cut, Look, Trimmed};
use super::store::{Notice, OpenedRoom, Store, StoreError};
use super::{Page, PageSize, RoomKey, Wanted};
use crate::chat::RoomName;
use crate::limits::fixed::{BUSY_TRIES, OPENING_TRIES, OPENINGS_AT_ONCE};

/// A request of the log.
#[derive(Debug)]
pub enum Request {
    /// A room comes into use, and is queued to be opened.
    Open(Opening),
    /// The log has taken a room that was opened at a later try: the next such room may be opened.
    TookReopened,
    /// A room is no longer in use.
    Close(RoomKey),
    /// Messages to be kept.
    Append(Batch),
    /// Messages to be read.
    Read {
        /// Of which room.
        room: RoomName,
        /// Which messages.
        wanted: Wanted,
        /// At most so much.
        size: PageSize,
    },
    /// What is to be deleted.
    Trim(Cut),
    /// See [`Store::reserve_tourists`].
    ReserveTourists(u64),
    /// See [`Store::keep_look`].
    KeepLook(Look),
}

/// A room that is to be opened.
#[derive(Debug)]
pub struct Opening {
    pub(super) room: RoomKey,
    /// Names this use of the room. A late reply for an earlier use is dropped.
    pub(super) serial: u64,
    pub(super) name: RoomName,
    /// Failed attempts to read it.
    pub(super) tries: u32,
}

/// A reply of the worker.
#[derive(Debug)]
pub enum Reply {
    /// The room is open. If it could not be read, it has no past.
    Opened(Opening, Option<OpenedRoom>),
    /// The room could not be read, and is tried again. One reply for each opening; `Opened` follows.
    CannotOpenYet(StoreError),
    /// The batch has been kept, or not.
    Appended(Batch, Result<(), StoreError>),
    /// The page.
    Read(Result<Page, StoreError>),
    /// The trim is done.
    Trimmed(Result<Trimmed, StoreError>),
    /// The number up to which numbers of tourists are reserved; none if it could not be written.
    Reserved(Option<u64>),
    /// Whether something can be written. Sent only when a probe finds that it has changed.
    Probed(Result<(), StoreError>),
    /// What the operator is to be told.
    Noticed(Notice),
}

/// Takes replies.
pub(super) trait Replies {
    fn reply(&mut self, reply: Reply);
}

impl Replies for VecDeque<Reply> {
    fn reply(&mut self, reply: Reply) {
        self.push_back(reply);
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Worker<S, R> {
    pub(super) store: S,
    newest: PageSize,
    /// Rooms to be opened: first the new ones, then those that could not be read so far.
    pub(super) unopened: VecDeque<Opening>,
    /// Rooms that were opened at a later try and have not been taken yet.
    reopened: usize,
    appends: VecDeque<Batch>,
    reads: VecDeque<PageRequest>,
    /// The trim under way, and what it has done so far.
    trimming: Option<(Cut, Trimmed)>,
    /// As the last probe or batch has found.
    is_writable: bool,
    /// How often the next batch was tried in vain, because another program had the lock.
    busy_tries: u32,
    pub(super) replies: R,
}

#[derive(Debug)]
struct PageRequest {
    room: RoomName,
    wanted: Wanted,
    size: PageSize,
}

impl<S: Store, R: Replies> Worker<S, R> {
    pub(super) fn new(store: S, newest: PageSize, replies: R) -> Worker<S, R> {
        Worker {
            store,
            newest,
            unopened: VecDeque::new(),
            reopened: 0,
            appends: VecDeque::new(),
            reads: VecDeque::new(),
            trimming: None,
            is_writable: true,
            busy_tries: 0,
            replies,
        }
    }

    /// Takes a request. Short ones are done at once; the others wait for [`Worker::work`].
    pub(super) fn take(&mut self, request: Request) {
        match request {
            Request::Open(opening) => self.unopened.push_front(opening),
            Request::TookReopened => self.reopened = self.reopened.saturating_sub(1),
            Request::Close(room) => self.store.close(room),
            Request::Append(batch) => self.appends.push_back(batch),
            Request::Read { room, wanted, size } => self.reads.push_back(PageRequest { room, wanted, size }),
            Request::Trim(cut) => self.trimming = Some((cut, Trimmed::default())),
            Request::ReserveTourists(number) => {
                let reserved = self.store.reserve_tourists(number).is_ok().then_some(number);
                self.replies.reply(Reply::Reserved(reserved));
            }
            // If it cannot be kept, the next daemon watches for longer before it deletes.
            Request::KeepLook(look) => drop(self.store.keep_look(look)),
        }
    }

    /// Whether [`Worker::work`] has something to do now. A room that could not be read is tried again later.
    pub(super) fn has_work(&self) -> bool {
        self.trimming.is_some() || !self.reads.is_empty() || !self.appends.is_empty()
    }

    /// Writes all batches, then reads one page, opens the rooms, and deletes one slice. A batch that comes meanwhile waits
    /// for no more than that.
    ///
    /// If another program has locked the store for writing, the batches wait, and all pages are read meanwhile.
    pub(super) fn work(&mut self) {
        let mut reads = 1;
        while let Some(batch) = self.appends.pop_front() {
            if let Some(batch) = self.append(batch) {
                self.appends.push_front(batch);
                reads = self.reads.len();
                break;
            }
        }
        for PageRequest { room, wanted, size } in self.reads.drain(..reads.min(self.reads.len())) {
            let page = self.store.read(&room, wanted, size);
            self.replies.reply(Reply::Read(page));
        }
        self.open_rooms();
        if self.appends.is_empty() {
            self.trim();
        }
    }

    /// Whether there are batches that have not been written.
    pub(super) fn has_batches(&self) -> bool {
        !self.appends.is_empty()
    }

    /// After a while without a request: tests whether anything can be written.
    pub(super) fn probe(&mut self) {
        let found = self.store.probe();
        if std::mem::replace(&mut self.is_writable, found.is_ok()) != found.is_ok() {
            self.replies.reply(Reply::Probed(found));
        }
        self.pass_on_notice();
    }

    /// Writes a batch. Gives it back if it is to be tried again.
    fn append(&mut self, mut batch: Batch) -> Option<Batch> {
        let mut ids = std::mem::take(&mut batch.ids);
        let kept = self.store.append(&batch, &mut ids);
        batch.ids = ids;
        // Messages that are refused anyway do not wait.
        if matches!(kept, Err(StoreError::Busy(_))) && self.is_writable && self.busy_tries < BUSY_TRIES {
            self.busy_tries += 1;
            return Some(batch);
        }
        self.busy_tries = 0;
        self.is_writable = kept.is_ok();
        self.replies.reply(Reply::Appended(batch, kept));
        self.pass_on_notice();
        None
    }

    fn pass_on_notice(&mut self) {
        if let Some(notice) = self.store.take_notice() {
            self.replies.reply(Reply::Noticed(notice));
        }
    }

    /// Opens rooms up to the first that cannot be read. That room goes to the end of the queue.
    fn open_rooms(&mut self) {
        while let Some(mut opening) = self.unopened.pop_front() {
            if opening.tries > 0 && self.reopened >= OPENINGS_AT_ONCE {
                self.unopened.push_front(opening);
                return;
            }
            match self.store.open(opening.room, &opening.name, self.newest) {
                Ok(opened) => {
                    self.reopened += usize::from(opening.tries > 0);
                    self.replies.reply(Reply::Opened(opening, Some(opened)));
                }
                Err(error) => {
                    opening.tries += 1;
                    let is_hopeless = matches!(error, StoreError::Damaged(_)) || opening.tries == OPENING_TRIES;
                    if opening.tries == 1 {
                        self.replies.reply(Reply::CannotOpenYet(error));
                    }
                    if is_hopeless {
                        self.reopened += 1;
                        self.replies.reply(Reply::Opened(opening, None));
                        continue;
                    }
                    self.unopened.push_back(opening);
                    return;
                }
            }
        }
    }

    /// Deletes one slice.
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
            // The next trim goes on from here.
            Ok(false) | Err(StoreError::Busy(_)) => self.replies.reply(Reply::Trimmed(Ok(done))),
            Err(error) => self.replies.reply(Reply::Trimmed(Err(error))),
        }
    }
}
