//! What a newcomer missed, and the pages of `/history`.
//!
//! A page is larger by far than the request for it. So few are under way at a time, and those who ask wait in line. Each
//! has one place in it at most, since nobody who waits for the history is read; so the line is fair, however often one
//! asks. And a client whose last page has not left yet is not read either: see [`Connection::page_queued`].
//!
//! # A long past
//! What somebody missed may be longer than any queue, so it comes in pieces: the next is looked for when the client has read
//! most of the last. What the room says meanwhile is not queued for it. It is a part of the same log, further on, and comes
//! with a later piece. When a piece ends with the newest message there is, the newcomer has caught up, and is sent the
//! rest of this turn like everybody else. So a slow reader costs two pieces of memory, and is not too slow for what others
//! say. It is in the room all the while, but says nothing and is told nothing else until it has caught up.
//!
//! # The rate of all pasts
//! A handshake of 180 bytes can ask for everything that a room has kept, and a client that has had it can come again. So
//! what newcomers missed is counted against one rate for the daemon, `--past-byte-rate`. While that is spent, newcomers with
//! a `since` stand in line and each is sent one piece in turn. A newcomer without a `since` is sent the newest messages,
//! which are ready, and waits for nobody.
//!
//! [`Connection::page_queued`]: crate::connection::Connection::page_queued

use std::collections::VecDeque;
use std::rc::Rc;

use super::member_life::Membership;
use super::past::Past;
use super::peers::{Arrival, CatchUp, PeerId};
use super::room_state::RoomState;
use super::{Hub, Socket};
use crate::chat::event::ResetReason;
use crate::chat::position::Position;
use crate::chat::visit::Verbosity;
use crate::chat::{Event, UserList};
use crate::history::{Page, PageSize, RoomIds, RoomKey, Stored, Wanted};
use crate::limits::Limits;
use crate::limits::fixed::{PAGE_MESSAGES, PAGES_AT_ONCE, PIECES_PER_TURN};
use crate::moment::Moment;
use crate::rate_limit::TokenBucket;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct PageRequests {
    /// First come, first served. Some may have left since.
    waiting: VecDeque<(PeerId, Wanted)>,
    /// The rooms of the pages that the log is looking for.
    under_way: Vec<RoomKey>,
    /// Newcomers who wait for a piece of what they missed, each once: the first, or the next since they have read most of
    /// the last. Some may have left since.
    readers: VecDeque<PeerId>,
    /// The bytes of all pieces.
    bucket: TokenBucket,
    /// The bucket is empty: no piece is sent until then.
    spent_until: Option<Moment>,
}

impl PageRequests {
    /// Somebody waits for a page.
    pub(super) fn push(&mut self, id: PeerId, wanted: Wanted) {
        self.waiting.push_back((id, wanted));
    }

    /// A newcomer has read what it was sent of a long past: it can have more.
    pub(super) fn has_read(&mut self, id: PeerId) {
        self.readers.push_back(id);
    }

    /// A piece can be sent to somebody.
    pub(super) fn has_work(&self) -> bool {
        !self.readers.is_empty() && self.spent_until.is_none()
    }

    /// When the bucket is not empty any more, if somebody waits for that.
    pub(super) fn deadline(&self) -> Moment {
        match self.spent_until {
            Some(until) if !self.readers.is_empty() => until,
            _ => Moment::NEVER,
        }
    }

    /// Counts what a newcomer is sent of what it missed, or the history is asked for.
    fn charge(&mut self, past: &Past, limits: &Limits, now: Moment) {
        let Some(rate) = limits.past_byte_rate else { return };
        let bytes = match past {
            Past::Missed(messages) | Past::Piece { messages, .. } => messages.len(),
            // How long it will be is not known yet: as much as is asked for.
            Past::Older => limits.piece_bytes(),
            Past::Newest | Past::Afresh(_) => 0,
        };
        self.bucket.take(rate.bytes(bytes), now);
    }

    /// Looks whether the bucket is empty.
    fn is_spent(&mut self, limits: &Limits, now: Moment) -> bool {
        self.spent_until = limits.past_burst().and_then(|burst| self.bucket.empty_until(burst, now));
        self.spent_until.is_some()
    }

    /// A page of that room has come back.
    pub(super) fn came_back(&mut self, room: RoomKey) {
        if let Some(nth) = self.under_way.iter().position(|under_way| *under_way == room) {
            self.under_way.swap_remove(nth);
        }
    }
}

impl<S: Socket> Hub<S> {
    /// A newcomer is in the room: it is sent the welcome and what it missed, as soon as it is its turn.
    pub(super) fn begin_to_catch_up(&mut self, id: PeerId, now: Moment) {
        // It may have left while it joined.
        let Some((_, since, _)) = self.newcomer(id) else { return };
        let requests = &mut self.page_requests;
        if since.is_some() && (!requests.readers.is_empty() || requests.is_spent(&self.limits, now)) {
            requests.readers.push_back(id);
        } else {
            self.send_piece(id, now);
        }
    }

    /// Sends a newcomer the first piece of what it missed, or the next.
    fn send_piece(&mut self, id: PeerId, now: Moment) {
        let Some((room, since, catch_up)) = self.newcomer(id) else { return };
        let Some(state) = self.rooms.get(room) else { return };
        let Some(framing) = self.peers.get(id).map(|slot| slot.connection.framing()) else { return };
        let after = match (catch_up, since) {
            (Some(CatchUp { reached, .. }), _) => Some(Ok(reached)),
            (None, since) => since.map(|since| state.find(since, self.log.epoch())),
        };
        let (past, after) = match after {
            None => (Past::Newest, 0),
            Some(Ok(after)) => (state.missed(after, self.log.archive(), framing, &self.limits), after),
            Some(Err(reason)) => (Past::Afresh(reason), 0),
        };
        self.page_requests.charge(&past, &self.limits, now);
        self.bring(id, after, past);
    }

    /// What a newcomer missed has been found, or not: the messages after `after`.
    pub(super) fn catch_up_with(&mut self, id: PeerId, after: u64, page: Option<Page>) {
        let Some((room, ..)) = self.newcomer(id) else { return };
        let Some(state) = self.rooms.get(room) else { return };
        let Some(framing) = self.peers.get(id).map(|slot| slot.connection.framing()) else { return };
        let past = match page {
            None => Past::Afresh(ResetReason::Unreadable),
            Some(page) => {
                let RoomIds { base, last, .. } = state.room.ids();
                let reached = page.messages.last().map_or(after, |last| last.id);
                let is_unbroken = page.messages.iter().zip(after + 1..).all(|(message, id)| message.id == id);
                // Before the base, ids jump where those of the room do. At the base itself there is no message.
                let follows = !page.is_cut && (is_unbroken || after < base);
                let is_all = !page.more;
                if !follows || (is_all && reached != last && last != base) {
                    Past::Afresh(ResetReason::Gone)
                } else {
                    let room = state.room.name().as_str();
                    let mut messages = Vec::new();
                    for message in page.messages.iter().map(Stored::as_message) {
                        framing.append_with(&mut messages, |out| message.write_json(room, out));
                    }
                    let messages = Rc::from(messages);
                    if is_all { Past::Missed(messages) } else { Past::Piece { messages, reached } }
                }
            }
        };
        self.bring(id, after, past);
    }

    /// Those who wait for a piece are sent it, one after the other.
    fn send_next_pieces(&mut self, now: Moment) {
        for _ in 0..PIECES_PER_TURN {
            if self.page_requests.is_spent(&self.limits, now) {
                return;
            }
            let Some(id) = self.page_requests.readers.pop_front() else { return };
            self.send_piece(id, now);
        }
    }

    /// A newcomer that has everything up to `after` is sent this, and has caught up if it is the last that it missed.
    fn bring(&mut self, id: PeerId, after: u64, past: Past) {
        let Some((.., catch_up)) = self.newcomer(id) else { return };
        match past {
            Past::Older => self.page_requests.push(id, Wanted::After(after)),
            Past::Piece { messages, reached } => {
                if catch_up.is_none() {
                    self.greet(id);
                }
                self.send_past(id, messages);
                let Some(slot) = self.peers.touch(id) else { return };
                if let Some(Arrival::Joining(newcomer)) = slot.arrival.as_deref_mut() {
                    newcomer.catch_up = Some(CatchUp { reached, is_reading: true });
                }
            }
            past => self.caught_up(id, past),
        }
    }

    /// Of somebody who is catching up: the room, what it asked for, and how far it has come.
    fn newcomer(&self, id: PeerId) -> Option<(RoomKey, Option<Position>, Option<CatchUp>)> {
        let slot = self.peers.get(id)?;
        match slot.arrival.as_deref() {
            Some(Arrival::Joining(newcomer)) if slot.stay.membership() == Membership::CatchingUp => {
                Some((slot.stay.room()?, newcomer.since, newcomer.catch_up))
            }
            _ => None,
        }
    }

    /// The welcome: to a member, or to a newcomer that will have caught up when it is sent `users`. It sees that by its own
    /// name not being in the list.
    pub(super) fn greet(&mut self, id: PeerId) {
        let Some(slot) = self.peers.touch(id) else { return };
        let (Some(room), Some(seat)) = (slot.stay.room(), slot.stay.seat()) else { return };
        let Some(RoomState { room, users, stream, .. }) = self.rooms.get_mut(room) else { return };
        let (Some(name), tag) = (room.name_of(seat), room.tag_of(seat)) else { return };
        if !slot.connection.may_be_sent_to() || slot.connection.verbosity() != Verbosity::Everything {
            return;
        }
        let others;
        let users = match slot.stay.membership() {
            Membership::CatchingUp => {
                others = UserList::without(room, seat);
                &*others
            }
            _ => users.of(room),
        };
        let (online, last, epoch) = (room.online(), room.ids().last, self.log.epoch());
        let welcome = Event::Welcome { name, tag, online, users, last, epoch, limits: &self.told_limits };
        self.outbox.answer(slot, stream, welcome, room.name());
    }

    /// Queues a part of the past.
    pub(super) fn send_past(&mut self, id: PeerId, messages: Rc<[u8]>) {
        let Some(slot) = self.peers.touch(id) else { return };
        self.outbox.past(id, slot, messages);
    }

    /// At the end of a turn: asks the history for the next pages. Only then, or one turn could go on for as long as the
    /// history finds something.
    pub(super) fn ask_for_pages(&mut self, now: Moment) {
        self.send_next_pieces(now);
        // Those who have left must not pile up, however fast others come, ask and leave.
        if self.page_requests.waiting.len() > 2 * self.peers.len() {
            let peers = &self.peers;
            self.page_requests.waiting.retain(|(id, _)| peers.get(*id).is_some_and(|slot| slot.waits_for_history()));
            self.page_requests.waiting.shrink_to_fit();
        }
        while self.page_requests.under_way.len() < PAGES_AT_ONCE
            && let Some((id, wanted)) = self.page_requests.waiting.pop_front()
        {
            let Some(slot) = self.peers.get(id) else { continue };
            match (wanted, slot.stay.membership()) {
                (Wanted::After(_), Membership::CatchingUp) | (Wanted::Before(_), Membership::Waiting) => {}
                // It has left.
                _ => continue,
            }
            let Some(room) = slot.stay.room() else { continue };
            self.page_requests.under_way.push(room);
            self.log.read(room, wanted, page_size(wanted, &self.limits), id);
        }
    }

    /// A page was queued for somebody: until it has left, nothing more is read of this client.
    pub(super) fn page_is_queued(&mut self, id: PeerId) {
        if let Some(slot) = self.peers.touch(id) {
            slot.connection.page_queued();
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
