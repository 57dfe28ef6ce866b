//! The order of a log: entries go in, and come back room by room in the order in which they went in.
//!
//! Entries that are kept collect in a batch. One batch is with the store at a time, and the next collects meanwhile, so the
//! slower the store, the larger the batches. An entry that is not kept takes its place among those of its room that are; if
//! none of them is in flight, it has nothing to wait for.

use std::collections::VecDeque;

use super::batch::Batch;
use super::{Committed, RoomKey};
use crate::chat::{Entry, Kept, Member, RoomName};
use crate::limits::fixed::RETAINED_ENTRIES;

/// An entry that has not come back yet.
pub(super) enum Pending {
    /// The next entry of its batch. The author is told if it cannot be kept.
    Kept { author: Member },
    /// Anything else comes back as it is.
    Other(Committed<'static>),
}

/// See the module.
pub(super) struct Sequencer {
    /// The batch that collects, and all entries in their order.
    collecting: Batch,
    collecting_entries: VecDeque<(RoomKey, Pending)>,
    /// The number of that batch. They are counted from 1.
    collecting_number: u64,
    /// The entries of the batch that the store has.
    in_flight: VecDeque<(RoomKey, Pending)>,
    /// The bytes of its texts. None if the store has no batch.
    in_flight_bytes: Option<usize>,
    /// The number of the last batch that is settled: kept, or refused.
    settled_number: u64,
    /// What has happened and is to come back next.
    ready: VecDeque<(RoomKey, Pending)>,
    /// The batch whose entries are in `ready`, and the place of the next of them.
    ///
    /// Invariant: there is one such batch at most, for none is settled before `ready` is empty.
    settled: Batch,
    next_kept: usize,
}

/// How far a room is in the batches.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Place {
    /// The number of the newest batch that has an entry of the room; 0 before the first.
    last_batch: u64,
    /// The newest batch that has a message of the room, and the room's place in it.
    in_batch: (u64, usize),
}

/// What has left the backlog.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Settled {
    pub(super) entries: usize,
    pub(super) text_bytes: usize,
}

impl Sequencer {
    pub(super) fn new() -> Sequencer {
        Sequencer {
            collecting: Batch::default(),
            collecting_entries: VecDeque::new(),
            collecting_number: 1,
            in_flight: VecDeque::new(),
            in_flight_bytes: None,
            settled_number: 0,
            ready: VecDeque::new(),
            settled: Batch::default(),
            next_kept: 0,
        }
    }

    /// An entry that is kept goes into the batch that collects.
    pub(super) fn push_kept(
        &mut self,
        (key, name, place): (RoomKey, &RoomName, &mut Place),
        author: Member,
        kept: Kept<'_>,
    ) {
        if place.in_batch.0 != self.collecting_number {
            place.in_batch = (self.collecting_number, self.collecting.add_room(key, name.clone()));
        }
        place.last_batch = self.collecting_number;
        self.collecting.push(place.in_batch.1, kept);
        self.collecting_entries.push_back((key, Pending::Kept { author }));
    }

    /// An entry that is not kept: says whether it has to wait for messages of its room.
    pub(super) fn push_other(&mut self, key: RoomKey, place: &mut Place, entry: Committed<'static>) -> bool {
        let waits = place.last_batch > self.settled_number;
        if waits {
            place.last_batch = self.collecting_number;
            self.collecting_entries.push_back((key, Pending::Other(entry)));
        } else {
            self.push_ready(key, entry);
        }
        waits
    }

    /// Something comes back that waits for nothing.
    pub(super) fn push_ready(&mut self, key: RoomKey, entry: Committed<'static>) {
        self.ready.push_back((key, Pending::Other(entry)));
    }

    /// The batch that collects is for the store now, and the next begins to collect. None if the store has one, or if
    /// there is no message. The batch is settled by [`Sequencer::kept`] or [`Sequencer::refused`].
    pub(super) fn next_batch(&mut self) -> Option<Batch> {
        if self.is_in_flight() || self.collecting.is_empty() {
            return None;
        }
        self.in_flight_bytes = Some(self.collecting.text_bytes());
        self.collecting_number += 1;
        std::mem::swap(&mut self.collecting_entries, &mut self.in_flight);
        // The memory of the settled batch is used again, once nothing is in it.
        let next = if self.ready.is_empty() { std::mem::take(&mut self.settled) } else { Batch::default() };
        let batch = std::mem::replace(&mut self.collecting, next);
        self.collecting.clear();
        Some(batch)
    }

    /// The batch that collects, though another is in flight: for the end, when nothing comes back any more.
    pub(super) fn take_last_batch(&mut self) -> Batch {
        std::mem::take(&mut self.collecting)
    }

    /// The batch in flight has been kept, and has its ids.
    pub(super) fn kept(&mut self, batch: Batch) -> Settled {
        (self.settled, self.next_kept) = (batch, 0);
        let entries = self.in_flight.len();
        self.ready.append(&mut self.in_flight);
        self.settle(entries)
    }

    /// The batch in flight could not be kept: its authors are told, each in the place of the message.
    pub(super) fn refused(&mut self) -> Settled {
        let entries = self.in_flight.len();
        let refused = self.in_flight.drain(..).map(|(key, entry)| match entry {
            Pending::Kept { author } => (key, Pending::Other(Committed::Refused(author))),
            entry @ Pending::Other(_) => (key, entry),
        });
        self.ready.extend(refused);
        self.settle(entries)
    }

    fn settle(&mut self, mut entries: usize) -> Settled {
        let text_bytes = self.in_flight_bytes.take().unwrap_or_default();
        self.settled_number = self.collecting_number - 1;
        // A batch without a message has nothing to wait for any more.
        if self.collecting.is_empty() {
            self.settled_number = self.collecting_number;
            self.collecting_number += 1;
            entries += self.collecting_entries.len();
            self.ready.append(&mut self.collecting_entries);
        }
        Settled { entries, text_bytes }
    }

    /// Whether the store has a batch.
    pub(super) fn is_in_flight(&self) -> bool {
        self.in_flight_bytes.is_some()
    }

    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// The next that comes back.
    pub(super) fn next(&mut self) -> Option<(RoomKey, Committed<'_>)> {
        let (key, entry) = self.ready.pop_front()?;
        let committed = match entry {
            Pending::Other(committed) => committed,
            Pending::Kept { author } => {
                let nth = self.next_kept;
                self.next_kept += 1;
                match self.settled.entry(nth) {
                    Some((id, kept)) => Committed::Entry(Entry::Kept { id, author, kept }),
                    // A store that has given too few ids.
                    None => Committed::Refused(author),
                }
            }
        };
        Some((key, committed))
    }

    /// Nothing is ready: the memory of an unusually busy turn is given back.
    pub(super) fn rest(&mut self) {
        self.settled.clear();
        self.ready.shrink_to(RETAINED_ENTRIES);
        self.collecting_entries.shrink_to(RETAINED_ENTRIES);
    }
}
