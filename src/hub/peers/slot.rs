//! What the hub keeps of one connection: its socket, its life, its place in a room.

use std::io::ErrorKind;
use std::ops::Range;

use super::super::Socket;
use super::super::member_life::{Membership, Stay};
use super::super::stream::ChunkKey;
use crate::chat::position::Position;
use crate::chat::problem::Problem;
use crate::connection::Connection;
use crate::gate::Caller;
use crate::history::RoomKey;
use crate::limits::Limits;
use crate::moment::Moment;

/// The place of a connection that does not hear a room: it is in none, or has not caught up.
pub(in crate::hub) const NOT_IN: u32 = u32::MAX;

pub(in crate::hub) struct Slot<S> {
    pub(in crate::hub) socket: S,
    pub(in crate::hub) connection: Connection,
    pub(super) serial: u32,
    pub(in crate::hub) stay: Stay,
    /// Its place in what its room hears this turn: see [`outbox`](crate::hub::outbox). Between turns 0, or [`NOT_IN`].
    pub(in crate::hub) place: u32,
    /// The poller said so, and no read has shown the contrary.
    pub(super) is_readable: bool,
    /// The end of the stream is waiting behind what can be read.
    pub(super) is_hung_up: bool,
    /// It is on the list of those who were changed.
    pub(super) is_touched: bool,
    pub(super) is_to_read: bool,
    pub(super) is_to_flush: bool,
    pub(super) taking: Taking,
    /// It has something to say and stands in line until the share of its room allows it: it is on no other list.
    pub(super) is_in_line: bool,
    /// The earliest entry in the heap of timers.
    pub(super) armed: Moment,
    /// What was read before the connection had to rest.
    pub(in crate::hub) unread: Option<Box<Unread>>,
    /// What is known of a connection that is not in a room yet, or is changing rooms. Members do not carry it.
    pub(in crate::hub) arrival: Option<Box<Arrival>>,
}

/// Whether a connection takes what waits for it. All connections are looked at now and then; see `memory`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taking {
    /// It has taken something since the last look.
    Something,
    /// It has taken nothing since the last look.
    Nothing,
    /// It took nothing between the last two looks nor since, although something waits for it.
    Stalled,
}

impl Taking {
    /// What it is after another look.
    pub(super) fn looked_at(self, owes_something: bool) -> Taking {
        match self {
            Taking::Nothing | Taking::Stalled if owes_something => Taking::Stalled,
            Taking::Something | Taking::Nothing | Taking::Stalled => Taking::Nothing,
        }
    }
}

pub(in crate::hub) struct Unread {
    pub(in crate::hub) bytes: Vec<u8>,
    pub(in crate::hub) taken: usize,
}

pub(in crate::hub) enum Arrival {
    /// On the way into a room.
    Joining(Newcomer),
    /// On the way out of one room, and then into another, which is open already.
    Moving { to: RoomKey },
}

#[derive(Default)]
pub(in crate::hub) struct Newcomer {
    /// Who it is in the daemon's log, if it has not been in another room before.
    pub(in crate::hub) from: Option<Caller>,
    /// The last message that it has, if it came back.
    pub(in crate::hub) since: Option<Position>,
    /// How far it has come in a past that is too long to be sent at once.
    pub(in crate::hub) catch_up: Option<CatchUp>,
    /// What it is told once it is in.
    pub(in crate::hub) problems: Vec<Problem>,
}

/// What a read of one connection brought.
pub(in crate::hub) enum WasRead {
    /// So many bytes, at the front of the buffer.
    Bytes(usize),
    /// The end of the peer's stream.
    End,
    /// Nothing for now.
    Nothing,
    /// The socket has failed.
    Failed(ErrorKind),
}

/// A newcomer that is sent a long past in pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::hub) struct CatchUp {
    /// It has been sent everything up to this message.
    pub(in crate::hub) reached: u64,
    /// The last piece waits for it to be read; the next one is looked for after that.
    pub(in crate::hub) is_reading: bool,
}

/// What is left of a member whose connection has been freed, until it has left its room.
pub(in crate::hub) struct Departed {
    pub(in crate::hub) stay: Stay,
    pub(in crate::hub) chunk: ChunkKey,
}

/// How sending a part of a chunk to one member went: for [`Peers::delivered`](super::Peers::delivered).
#[must_use]
pub(in crate::hub) enum Sent {
    /// Written, or queued behind a socket that is known to be full.
    AsFarAsPossible,
    /// There is something to flush, or the connection has broken.
    SomethingChanged,
    /// More waits for it already than may.
    OwesTooMuch,
}

impl<S: Socket> Slot<S> {
    /// A connection that was just accepted.
    pub(super) fn new(socket: S, connection: Connection, serial: u32) -> Slot<S> {
        Slot {
            socket,
            connection,
            serial,
            stay: Stay::outside(),
            place: NOT_IN,
            is_readable: false,
            is_hung_up: false,
            is_touched: false,
            is_to_read: false,
            is_to_flush: false,
            taking: Taking::Something,
            is_in_line: false,
            armed: Moment::NEVER,
            unread: None,
            arrival: None,
        }
    }

    /// Bytes from this peer would be of use. A newcomer is not read on before it has its seat: its welcome comes first,
    /// and whatever it has said goes behind its own coming. So it is with a new name, a new room and an answer out of the
    /// history: what is said is always said by one who is just one thing in one room.
    pub(in crate::hub) fn wants_bytes(&self, limits: &Limits) -> bool {
        !self.waits_for_history() && self.connection.wants_bytes(limits)
    }

    /// The peer has finished its handshake. If it has hung up since, that is known only now to be of interest.
    pub(in crate::hub) fn upgraded(&mut self, limits: &Limits, now: Moment) {
        if self.is_hung_up {
            self.connection.hung_up(limits, now);
        }
    }

    /// The part of a chunk of that length that it has not been sent, if there is one. Its place moves to the beginning of the
    /// next chunk.
    #[inline(always)]
    pub(in crate::hub) fn take_part(&mut self, chunk_len: usize) -> Option<Range<usize>> {
        let part = self.place as usize..chunk_len;
        if part.is_empty() {
            self.place = if self.place == NOT_IN { NOT_IN } else { 0 };
            return None;
        }
        self.place = 0;
        Some(part)
    }

    /// It stands in a line.
    pub(in crate::hub) fn is_in_line(&self) -> bool {
        self.is_in_line
    }

    /// It waits to be read.
    pub(in crate::hub) fn is_to_read(&self) -> bool {
        self.is_to_read
    }

    /// It has taken bytes: it does not stall.
    pub(in crate::hub) fn has_taken(&mut self) {
        self.taking = Taking::Something;
    }

    /// Something waits for it, and it has taken nothing of that lately.
    pub(in crate::hub) fn is_stalled(&self) -> bool {
        self.taking == Taking::Stalled
    }

    /// Bytes that are held for this connection, because it has not read them or not finished sending them.
    pub(in crate::hub) fn held_bytes(&self) -> usize {
        let unread = self.unread.as_ref().map_or(0, |unread| unread.bytes.len());
        self.connection.held_bytes() + unread
    }

    /// Reads once into `buffer`, if the connection wants bytes and none wait that were read before.
    pub(in crate::hub) fn read(&mut self, buffer: &mut [u8], limits: &Limits) -> WasRead {
        if !self.is_readable || self.unread.is_some() || !self.wants_bytes(limits) {
            return WasRead::Nothing;
        }
        match self.socket.read(buffer) {
            // The end of the stream stays readable: a later state may want to hear of it again.
            Ok(0) => WasRead::End,
            Ok(count) => {
                // A short read has emptied the socket, and what comes later brings a new edge (epoll(7), question 9);
                // the end of the stream alone does not, when it was reported together with the bytes before it.
                if count < buffer.len() && !self.is_hung_up {
                    self.is_readable = false;
                }
                WasRead::Bytes(count)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.is_readable = false;
                WasRead::Nothing
            }
            // Still readable, so it is tried again in the next turn.
            Err(error) if error.kind() == ErrorKind::Interrupted => WasRead::Nothing,
            Err(error) => WasRead::Failed(error.kind()),
        }
    }

    /// What was read before and not used, if the connection can use it now.
    pub(in crate::hub) fn take_unread(&mut self, limits: &Limits) -> Option<Box<Unread>> {
        if self.wants_bytes(limits) { self.unread.take() } else { None }
    }

    /// It is served as the next in its line, unless it has left the line.
    pub(in crate::hub) fn was_called(&mut self) -> bool {
        std::mem::take(&mut self.is_in_line)
    }

    /// Some of what it sent has not been processed.
    pub(in crate::hub) fn has_bytes(&self) -> bool {
        self.is_readable || self.unread.is_some()
    }

    /// It is not read on before the log has answered. A connection that is closing asks the log for nothing any more.
    pub(in crate::hub) fn waits_for_history(&self) -> bool {
        match self.stay.membership() {
            Membership::Joining | Membership::CatchingUp | Membership::Waiting => true,
            // One that moves; or the daemon ends, and its Close is not to be taken for an answer to what comes before ours.
            Membership::Leaving | Membership::JoinCancelled => self.connection.is_in_use(),
            Membership::Outside | Membership::Member => false,
        }
    }

    /// It reads a piece of a long past, and gets the next when it has. If anything holds that up, it is this client.
    pub(in crate::hub) fn catch_up(&mut self) -> Option<&mut CatchUp> {
        match self.arrival.as_deref_mut() {
            Some(Arrival::Joining(newcomer)) if self.stay.membership() == Membership::CatchingUp => {
                newcomer.catch_up.as_mut()
            }
            _ => None,
        }
    }
}
