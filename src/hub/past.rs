//! The past of a room: where in it a client is that comes back, and what it is sent next.

use std::rc::Rc;

use super::room_state::RoomState;
use crate::chat::event::ResetReason;
use crate::chat::position::{Epoch, Position};
use crate::framing::Framing;
use crate::history::{Archive, PageSize, RoomIds};
use crate::limits::Limits;

/// What a newcomer is sent of the past, in its framing.
pub(super) enum Past {
    /// The newest messages.
    Newest,
    /// These messages, which are all that it missed, or the end of it.
    Missed(Rc<[u8]>),
    /// What it missed is long. This is the next piece of it, up to the message `reached`.
    Piece { messages: Rc<[u8]>, reached: u64 },
    /// What it missed is not in the scrollback: the history has to be asked.
    Older,
    /// What it has does not join on to what it could be sent. It is told to forget that, and is sent the newest.
    Afresh(ResetReason),
}

/// The newest messages of a room, in each framing: written when a newcomer comes, and valid until somebody speaks.
#[derive(Default)]
pub(super) struct Newest([Option<Rc<[u8]>>; Framing::ALL.len()]);

/// A part of the past out of a scrollback.
pub(super) struct Before<'a> {
    /// The messages as JSON events.
    pub(super) newest_first: Vec<&'a [u8]>,
    /// Whether the scrollback has older ones.
    pub(super) more: bool,
}

impl RoomState {
    /// From which message on a client that comes back with that position goes on, in a log of this epoch.
    pub(super) fn find(&self, position: Position, epoch: Epoch) -> Result<u64, ResetReason> {
        let RoomIds { first, base, last } = self.room.ids();
        let Position { epoch: of, id } = position;
        match of {
            _ if of.is_some_and(|of| of != epoch) => Err(ResetReason::Epoch),
            _ if id > last => Err(ResetReason::Unknown),
            // It is before the first message, so it can only mean all of them.
            _ if id == 0 => Ok(first),
            // In this epoch the ids of the room have begun anew, for what it had was forgotten.
            Some(_) if id < first => Err(ResetReason::Gone),
            None if id < first => Err(ResetReason::Unknown),
            // At this id, or on the way to it from an id that no room has any more.
            None if id < base => Err(ResetReason::Epoch),
            Some(_) | None => Ok(id),
        }
    }

    /// What a client is sent next that has everything up to the message `after`.
    pub(super) fn missed(&self, after: u64, archive: Archive, framing: Framing, limits: &Limits) -> Past {
        // From the base on ids rise by one: so their difference is how many it missed, and these are the newest of all.
        let missed = self.room.ids().last.checked_sub(after).filter(|_| after >= self.room.ids().base);
        match missed.map(usize::try_from) {
            Some(Ok(missed)) if missed <= self.scrollback.len() => {
                let fitting = self.scrollback.newest(missed, limits.past_bytes());
                if fitting.len() == missed {
                    return Past::Missed(framed(framing, fitting));
                }
                let piece = self.scrollback.oldest_of_newest(missed, limits.piece_bytes());
                Past::Piece { reached: after + piece.len() as u64, messages: framed(framing, piece) }
            }
            _ if archive == Archive::Present => Past::Older,
            _ => Past::Afresh(ResetReason::Gone),
        }
    }

    /// The newest messages, as a newcomer is sent them.
    pub(super) fn newest(&mut self, framing: Framing, limits: &Limits) -> Rc<[u8]> {
        let newest = self.newest.0[framing.index()].get_or_insert_with(|| {
            framed(framing, self.scrollback.newest(limits.replay_messages, limits.past_bytes()))
        });
        Rc::clone(newest)
    }

    /// The messages before the one with that id, as far as the scrollback goes.
    pub(super) fn before(&self, id: u64, size: PageSize) -> Before<'_> {
        // Below the base, ids do not say how many messages there are.
        if id <= self.room.ids().base {
            return Before { newest_first: Vec::new(), more: false };
        }
        let skipped = usize::try_from((self.room.ids().last + 1).saturating_sub(id)).unwrap_or(usize::MAX);
        let mut bytes = 0;
        let mut newest_first = Vec::new();
        for message in self.scrollback.newest_first(skipped) {
            bytes += message.len();
            if newest_first.len() == size.messages || (bytes > size.bytes && !newest_first.is_empty()) {
                return Before { newest_first, more: true };
            }
            newest_first.push(message);
        }
        Before { newest_first, more: false }
    }
}

fn framed<'a>(framing: Framing, messages: impl Iterator<Item = &'a [u8]>) -> Rc<[u8]> {
    let mut units = Vec::new();
    for json in messages {
        framing.append(&mut units, json);
    }
    Rc::from(units)
}
