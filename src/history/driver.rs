//! A driver calls the store: on a thread of its own if the store may block, or else in place.

use std::collections::VecDeque;
use std::panic::{self, AssertUnwindSafe};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, TryRecvError};
use std::time::Duration;
use std::{io, thread};

use super::PageSize;
use super::store::Store;
use super::worker::{Replies, Reply, Request, Worker};
use crate::chat::position::Epoch;
use crate::limits::fixed::FILE_LOOK_EVERY;

/// The thread calls this function whenever [`super::History::next`] has something more.
pub type Wake = Box<dyn Fn() + Send>;

/// The way from a log to its store and back.
pub trait Driver {
    /// When answers come.
    const ANSWERS: Answers;

    /// See [`Store::has_archive`].
    fn has_archive(&self) -> bool;

    /// See [`Store::epoch`].
    fn epoch(&self) -> Epoch;

    /// Asks the store for something.
    ///
    /// # Errors
    /// [`Ended`]
    fn ask(&mut self, request: Request) -> Result<(), Ended>;

    /// The next answer, if there is one.
    ///
    /// # Errors
    /// [`Ended`]
    fn next_reply(&mut self) -> Result<Option<Reply>, Ended>;

    /// No more requests. Waits up to `within` for the store to finish and to be closed.
    fn close(&mut self, within: Duration) -> Closing;
}

/// When a driver answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answers {
    /// Before the question returns.
    AtOnce,
    /// In some later turn.
    Later,
}

/// The store is not served any more: its thread has panicked, or the log is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended;

/// How a store was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closing {
    /// It has finished.
    Finished,
    /// It was still at work when the time was up.
    TooLate,
}

/// Calls a store that does not block, on the thread of the log.
#[derive(Debug)]
pub struct InPlace<S> {
    worker: Worker<S, VecDeque<Reply>>,
}

impl<S: Store> InPlace<S> {
    /// A driver of that store.
    pub fn new(store: S) -> InPlace<S> {
        InPlace { worker: Worker::new(store, PageSize { messages: 0, bytes: 0 }, VecDeque::new()) }
    }
}

impl<S: Store> Driver for InPlace<S> {
    const ANSWERS: Answers = Answers::AtOnce;

    fn has_archive(&self) -> bool {
        self.worker.store.has_archive()
    }

    fn epoch(&self) -> Epoch {
        self.worker.store.epoch()
    }

    fn ask(&mut self, request: Request) -> Result<(), Ended> {
        self.worker.take(request);
        self.worker.work();
        while self.worker.has_work() {
            self.worker.work();
        }
        Ok(())
    }

    fn next_reply(&mut self) -> Result<Option<Reply>, Ended> {
        Ok(self.worker.replies.pop_front())
    }

    fn close(&mut self, _within: Duration) -> Closing {
        Closing::Finished
    }
}

/// A thread that owns the store, and a channel each way.
pub struct Thread {
    /// None once nothing more will be asked.
    requests: Option<Sender<Request>>,
    replies: Receiver<Reply>,
    /// The thread sends here once the store is closed.
    closed: Receiver<()>,
    has_archive: bool,
    epoch: Epoch,
}

/// The thread's end of the channel of answers.
struct ToLoop<'a> {
    sender: &'a Sender<Reply>,
    wake: &'a Wake,
}

impl Replies for ToLoop<'_> {
    fn reply(&mut self, reply: Reply) {
        // If the log is gone, `serve` ends with the next request.
        let _ = self.sender.send(reply);
        (self.wake)();
    }
}

impl Thread {
    /// Starts the thread. A room is opened with as many messages as fit in `newest`; one that cannot be read is tried
    /// again after `retry`.
    ///
    /// # Errors
    /// If the system has no thread to give.
    pub(super) fn start(store: impl Store, newest: PageSize, retry: Duration, wake: Wake) -> io::Result<Thread> {
        let (has_archive, epoch) = (store.has_archive(), store.epoch());
        let (requests, asked) = mpsc::channel();
        let (sender, replies) = mpsc::channel();
        let (say_closed, closed) = mpsc::channel();
        let started = thread::Builder::new().name("history".into()).spawn(move || {
            // The store is dropped in there, and so closed. A panic is a bug of roomd. The log notices it because the answers
            // end.
            let _ = panic::catch_unwind(AssertUnwindSafe(|| {
                serve(Worker::new(store, newest, ToLoop { sender: &sender, wake: &wake }), &asked, retry);
            }));
            drop(sender);
            wake();
            let _ = say_closed.send(());
        });
        started.map_err(|error| io::Error::new(error.kind(), format!("cannot start its thread: {error}")))?;
        Ok(Thread { requests: Some(requests), replies, closed, has_archive, epoch })
    }
}

/// Serves requests until the log is gone.
fn serve<S: Store>(mut worker: Worker<S, ToLoop<'_>>, requests: &Receiver<Request>, retry: Duration) {
    loop {
        let request = if worker.has_work() {
            match requests.try_recv() {
                Err(TryRecvError::Disconnected) if !worker.has_batches() => return,
                request => request.ok(),
            }
        } else {
            let patience = if worker.unopened.is_empty() { FILE_LOOK_EVERY } else { retry };
            match requests.recv_timeout(patience) {
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {
                    worker.probe();
                    None
                }
                Ok(request) => Some(request),
            }
        };
        // Takes all requests, because a batch among them comes first.
        for request in request.into_iter().chain(requests.try_iter()) {
            worker.take(request);
        }
        worker.work();
    }
}

impl Driver for Thread {
    const ANSWERS: Answers = Answers::Later;

    fn has_archive(&self) -> bool {
        self.has_archive
    }

    fn epoch(&self) -> Epoch {
        self.epoch
    }

    fn ask(&mut self, request: Request) -> Result<(), Ended> {
        self.requests.as_ref().ok_or(Ended)?.send(request).map_err(|_| Ended)
    }

    fn next_reply(&mut self) -> Result<Option<Reply>, Ended> {
        match self.replies.try_recv() {
            Ok(reply) => Ok(Some(reply)),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => Err(Ended),
        }
    }

    fn close(&mut self, within: Duration) -> Closing {
        self.requests = None;
        match self.closed.recv_timeout(within) {
            Err(RecvTimeoutError::Timeout) => Closing::TooLate,
            Ok(()) | Err(RecvTimeoutError::Disconnected) => Closing::Finished,
        }
    }
}
