//! What the history is asked for: the messages that a newcomer missed, and the pages of `/history`.
//!
//! A page is larger by far than the request for it. So few are under way at a time, and those who ask wait in line. Each
//! has one place in it at most, since nobody who waits for the history is read; so the line is fair, however often one
//! asks. And a client whose last page has not left yet is not read either: see [`Connection::is_page_queued`].
//!
//! [`Connection::is_page_queued`]: crate::connection::Connection::is_page_queued

use std::collections::VecDeque;

use super::slot::{Membership, slot_of};
use super::{Hub, PeerId, Socket};
use crate::history::{PageSize, RoomKey, Wanted};
use crate::limits::Limits;
use crate::limits::fixed::{PAGE_MESSAGES, PAGES_AT_ONCE};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct PageRequests {
    /// First come, first served. Some may have left since.
    waiting: VecDeque<(PeerId, Wanted)>,
    /// The rooms of the pages that the history is looking for.
    under_way: Vec<RoomKey>,
}

impl PageRequests {
    /// Somebody waits for a page.
    pub(super) fn push(&mut self, id: PeerId, wanted: Wanted) {
        self.waiting.push_back((id, wanted));
    }

    /// Somebody has had a piece of its page and waits for the next. It comes before those who have had none, so that what
    /// has been found of pages that are not complete is never more than [`PAGES_AT_ONCE`] of them.
    pub(super) fn go_on(&mut self, id: PeerId, wanted: Wanted) {
        self.waiting.push_front((id, wanted));
    }

    /// A page of that room has come back.
    pub(super) fn came_back(&mut self, room: RoomKey) {
        if let Some(nth) = self.under_way.iter().position(|under_way| *under_way == room) {
            self.under_way.swap_remove(nth);
        }
    }
}

impl<S: Socket> Hub<S> {
    /// At the end of a turn: asks the history for the next pages. Only then, or one turn could go on for as long as the
    /// history finds something.
    pub(super) fn ask_for_pages(&mut self) {
        // Those who have left must not pile up, however fast others come, ask and leave.
        if self.page_requests.waiting.len() > 2 * self.slots.len() {
            let slots = &mut self.slots;
            self.page_requests
                .waiting
                .retain(|(id, _)| slot_of(slots, *id).is_some_and(|slot| slot.waits_for_history()));
            self.page_requests.waiting.shrink_to_fit();
        }
        while self.page_requests.under_way.len() < PAGES_AT_ONCE
            && let Some((id, wanted)) = self.page_requests.waiting.pop_front()
        {
            let Some(slot) = slot_of(&mut self.slots, id) else { continue };
            match (wanted, slot.membership) {
                (Wanted::After(_), Membership::Joining) | (Wanted::Before(_), Membership::Waiting(_)) => {}
                // It has left.
                _ => continue,
            }
            self.page_requests.under_way.push(slot.room);
            self.log.read(slot.room, wanted, page_size(wanted, &self.limits), id);
        }
    }

    /// A page was queued for somebody: until it has left, nothing more is read of this client.
    pub(super) fn page_is_queued(&mut self, id: PeerId) {
        if let Some(slot) = slot_of(&mut self.slots, id) {
            slot.connection.is_page_queued = !slot.connection.queue.is_empty();
        }
    }

    /// Nobody is in that room any more: what the history had under way of it does not come back.
    pub(super) fn forget(&mut self, room: RoomKey) {
        self.page_requests.under_way.retain(|under_way| *under_way != room);
        self.log.forget(room);
    }
}

/// How much of the past comes at once.
pub(super) fn page_size(wanted: Wanted, limits: &Limits) -> PageSize {
    match wanted {
        Wanted::After(_) => PageSize { messages: usize::MAX, bytes: limits.piece_bytes() },
        Wanted::Before(_) => PageSize { messages: PAGE_MESSAGES, bytes: limits.page_bytes() },
    }
}
