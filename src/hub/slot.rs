//! What the hub keeps of one connection: its socket, its life, its place in a room.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::ops::Range;

use slab::Slab;

use super::{PeerId, Socket};
use crate::chat::problem::Problem;
use crate::chat::{Name, Seat};
use crate::close_reason::CloseReason;
use crate::connection::Connection;
use crate::history::RoomKey;
use crate::http::route::Verbosity;
use crate::limits::Limits;
use crate::moment::Moment;
use crate::write_queue::{Flushed, TurnChunk};

pub(super) struct Slot<S> {
    pub(super) socket: S,
    pub(super) connection: Connection,
    pub(super) serial: u32,
    /// Which room its membership is of.
    pub(super) room: RoomKey,
    pub(super) membership: Membership,
    /// This member's part of the turn's chunk begins here: 0, except for one who joined in the middle of it.
    pub(super) chunk_from: u32,
    /// The poller said so, and no read has shown the contrary.
    pub(super) is_readable: bool,
    /// The end of the stream is waiting behind what can be read.
    pub(super) is_hung_up: bool,
    pub(super) is_to_read: bool,
    pub(super) is_to_flush: bool,
    /// It has taken nothing of what waits for it since all were last looked at; see `memory`.
    pub(super) took_nothing: bool,
    /// It took nothing between the last two looks, and owes something.
    pub(super) is_stalled: bool,
    /// It has something to say, and stands in line until its room has something left to be said: on no other list.
    pub(super) is_in_line: bool,
    /// The earliest entry in the heap of timers.
    pub(super) armed: Moment,
    /// What was read before the connection had to rest.
    pub(super) unread: Option<Box<Unread>>,
    /// What is known of somebody who is not in yet, or is changing rooms. Those who are in do not carry it.
    pub(super) arrival: Option<Box<Arrival>>,
}

pub(super) struct Unread {
    pub(super) bytes: Vec<u8>,
    pub(super) taken: usize,
}

pub(super) enum Arrival {
    /// No request yet. `from` is who it is in the log.
    Handshaking { from: Box<str> },
    /// On the way into a room.
    Joining(Newcomer),
    /// On the way out of one room, and then into another, which is open already.
    Moving { to: RoomKey },
}

pub(super) struct Newcomer {
    /// Claimed in the room.
    pub(super) name: Name,
    /// The last message that it has, if it came back.
    pub(super) since: Option<u64>,
    /// How far it has come in a past that is too long to be sent at once.
    pub(super) catch_up: Option<CatchUp>,
    /// What it is told once it is in.
    pub(super) problems: Vec<Problem>,
}

/// A newcomer that is sent a long past in pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CatchUp {
    /// It has been sent everything up to this message.
    pub(super) reached: u64,
    /// The last piece waits for it to be read; the next one is looked for after that.
    pub(super) is_reading: bool,
}

/// A connection's way through a room. Each step is announced through the history, and taken when it comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Membership {
    /// In no room: a plain request, `/echo`, or gone again.
    None,
    Joining,
    /// It left before it was there. Nobody has heard of it, and nobody will.
    JoinCancelled,
    Seated(Seat),
    /// Seated, and not read on until the history has answered: it takes another name, or asked for older messages.
    Waiting(Seat),
    Leaving(Seat),
}

/// What is left of a member whose connection has been freed, until the history gives its going back.
pub(super) struct Departed {
    pub(super) room: RoomKey,
    pub(super) membership: Membership,
    pub(super) verbosity: Verbosity,
}

#[cfg(debug_assertions)]
impl Membership {
    /// Its place, while the room counts it.
    pub(super) fn seat(self) -> Option<Seat> {
        match self {
            Membership::Seated(seat) | Membership::Waiting(seat) | Membership::Leaving(seat) => Some(seat),
            Membership::None | Membership::Joining | Membership::JoinCancelled => None,
        }
    }
}

/// How sending a part of a chunk to one member went.
pub(super) enum Sent {
    /// Written, or queued behind a socket that is known to be full.
    AsFarAsPossible,
    /// There is something to flush, or the connection has broken.
    SomethingChanged,
    /// It owes more than it may already.
    OwesTooMuch,
}

impl<S: Socket> Slot<S> {
    /// Bytes from this peer would be of use. A newcomer is not read on before it has its seat: its welcome comes first,
    /// and whatever it has said goes behind its own coming. So it is with a new name, a new room and an answer out of the
    /// history: what is said is always said by one who is just one thing in one room.
    pub(super) fn wants_bytes(&self, limits: &Limits) -> bool {
        !self.waits_for_history() && self.connection.wants_bytes(limits)
    }

    /// There is something of it that has not been looked at.
    pub(super) fn has_bytes(&self) -> bool {
        self.is_readable || self.unread.is_some()
    }

    /// It is not read on before the history has answered. One that is closing asks nothing of it any more.
    pub(super) fn waits_for_history(&self) -> bool {
        match self.membership {
            Membership::Joining | Membership::Waiting(_) => true,
            // One that moves; or the daemon ends, and its Close is not to be taken for an answer to what comes before ours.
            Membership::Leaving(_) | Membership::JoinCancelled => self.connection.is_in_use(),
            Membership::None | Membership::Seated(_) => false,
        }
    }

    /// It reads a piece of a long past, and gets the next when it has. If anything holds that up, it is this client.
    pub(super) fn catch_up(&mut self) -> Option<&mut CatchUp> {
        match self.arrival.as_deref_mut() {
            Some(Arrival::Joining(newcomer)) if self.membership == Membership::Joining => newcomer.catch_up.as_mut(),
            _ => None,
        }
    }

    /// Sees to it that no more than `most_bytes` wait for this member, before something is added to it.
    ///
    /// A queue may have grown because of our own write budget: nobody is too slow whose socket takes more. And the rule
    /// is about what it owes, not about what comes: one large turn makes nobody slow.
    pub(super) fn drain_to(&mut self, most_bytes: usize, limits: &Limits, now: Moment) -> Sent {
        let queue = &mut self.connection.queue;
        if queue.cost() > most_bytes && !self.connection.is_blocked {
            match queue.flush_to(&mut self.socket, usize::MAX) {
                Ok(flushed) => self.connection.is_blocked = flushed == Flushed::Blocked,
                Err(error) => {
                    self.connection.failed(CloseReason::Broken(error.kind()), limits, now);
                    return Sent::SomethingChanged;
                }
            }
        }
        if queue.cost() > most_bytes { Sent::OwesTooMuch } else { Sent::AsFarAsPossible }
    }

    /// Sends a part of the turn's chunk: with one write if nothing is owed, else by queueing a reference.
    pub(super) fn send_part(
        &mut self,
        chunk: &mut TurnChunk,
        part: Range<usize>,
        limits: &Limits,
        now: Moment,
    ) -> Sent {
        if part.is_empty() || !self.connection.may_be_sent_to() {
            return Sent::AsFarAsPossible;
        }
        if !self.connection.queue.is_empty() {
            match self.drain_to(limits.max_queue_bytes, limits, now) {
                Sent::AsFarAsPossible => {}
                hindered => return hindered,
            }
        }
        let queue = &mut self.connection.queue;
        if !queue.is_empty() {
            queue.push_shared(chunk.share(), part);
            return Sent::AsFarAsPossible;
        }
        match self.socket.write(&chunk.bytes[part.clone()]) {
            Ok(count) if count == part.len() => Sent::AsFarAsPossible,
            Ok(count) => {
                queue.push_shared(chunk.share(), part.start + count..part.end);
                Sent::SomethingChanged
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                queue.push_shared(chunk.share(), part);
                self.connection.is_blocked = true;
                Sent::AsFarAsPossible
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {
                queue.push_shared(chunk.share(), part);
                Sent::SomethingChanged
            }
            Err(error) => {
                self.connection.failed(CloseReason::Broken(error.kind()), limits, now);
                Sent::SomethingChanged
            }
        }
    }
}

/// The slot of `id`, unless that connection is gone. A function of the slab alone, so that the hub's other fields stay
/// free to be used beside it.
pub(super) fn slot_of<S>(slots: &mut Slab<Slot<S>>, id: PeerId) -> Option<&mut Slot<S>> {
    slots.get_mut(id.slot as usize).filter(|slot| slot.serial == id.serial)
}

pub(super) fn id_of<S>(key: usize, slot: &Slot<S>) -> PeerId {
    PeerId { slot: key as u32, serial: slot.serial }
}

pub(super) fn enlist(list: &mut VecDeque<PeerId>, is_listed: &mut bool, id: PeerId) {
    if !std::mem::replace(is_listed, true) {
        list.push_back(id);
    }
}
