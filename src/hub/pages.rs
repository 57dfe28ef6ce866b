//! What a newcomer missed, and the pages of `/history`.
//!
//! A page is larger by far than the request for it. So few are under way at a time, and those who ask wait in line. Each
//! has one place in it at most, since nobody who waits for the history is read; so the line is fair, however often one
//! asks. And a client whose last page has not left yet is not read either: see [`Connection::is_page_queued`].
//!
//! # A long past
//! What somebody missed may be longer than any queue, so it comes in pieces: the next is looked for when the client has read
//! most of the last. What the room says meanwhile is not queued for it. It is a part of the same log, further on, and comes
//! with a later piece. When a piece ends with the newest message there is, the newcomer takes its seat, and is sent the
//! rest of this turn like everybody else. So a slow reader costs two pieces of memory, and is not too slow for what others
//! say; until it has caught up it is no member.
//!
//! [`Connection::is_page_queued`]: crate::connection::Connection::is_page_queued

use std::collections::VecDeque;
use std::rc::Rc;

use super::peers::{Arrival, CatchUp, Membership, PeerId};
use super::rooms::{Past, append_event};
use super::{Hub, Socket};
use crate::chat::Event;
use crate::chat::event::{ResetReason, Told};
use crate::chat::position::Position;
use crate::chat::visit::Verbosity;
use crate::history::{Page, PageSize, RoomIds, RoomKey, Stored, Wanted};
use crate::limits::Limits;
use crate::limits::fixed::{PAGE_MESSAGES, PAGES_AT_ONCE, PIECES_PER_TURN};
use crate::moment::Moment;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct PageRequests {
    /// First come, first served. Some may have left since.
    waiting: VecDeque<(PeerId, Wanted)>,
    /// The rooms of the pages that the history is looking for.
    under_way: Vec<RoomKey>,
    /// Newcomers who have read most of the last piece, each once. Some may have left since.
    readers: VecDeque<PeerId>,
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

    /// Somebody can have more of a long past.
    pub(super) fn has_work(&self) -> bool {
        !self.readers.is_empty()
    }

    /// A page of that room has come back.
    pub(super) fn came_back(&mut self, room: RoomKey) {
        if let Some(nth) = self.under_way.iter().position(|under_way| *under_way == room) {
            self.under_way.swap_remove(nth);
        }
    }
}

impl<S: Socket> Hub<S> {
    /// A coming has come back from the history: the newcomer is sent the welcome and what it missed.
    pub(super) fn enter(&mut self, id: PeerId, now: Moment) {
        // One that is gone already is waited for at the door: its going comes next.
        let Some((room, since, _)) = self.newcomer(id) else { return };
        let Some(state) = self.rooms.get(room) else { return };
        let (past, after) = match since.map(|since| state.find(since, self.log.epoch())) {
            None => (Past::Newest, 0),
            Some(Ok(after)) => (state.missed(after, self.log.reach(), &self.limits), after),
            Some(Err(reason)) => (Past::Afresh(reason), 0),
        };
        self.bring(id, after, past, now);
    }

    /// What a newcomer missed has been found, or not: the messages after `after`.
    pub(super) fn enter_with(&mut self, id: PeerId, after: u64, page: Option<Page>, now: Moment) {
        let Some((room, ..)) = self.newcomer(id) else { return };
        let Some(state) = self.rooms.get(room) else { return };
        let past = match page {
            None => Past::Afresh(ResetReason::Unreadable),
            Some(page) => {
                let RoomIds { base, last, .. } = state.ids();
                let reached = page.messages.last().map_or(after, |last| last.id);
                let is_unbroken = page.messages.iter().zip(after + 1..).all(|(message, id)| message.id == id);
                // Before the base, ids jump where those of the room do. At the base itself there is no message.
                let follows = !page.is_cut && (is_unbroken || after < base);
                let is_all = !page.more;
                if !follows || (is_all && reached != last && last != base) {
                    Past::Afresh(ResetReason::Gone)
                } else {
                    let mut frames = Vec::new();
                    for message in &page.messages {
                        append_event(&mut frames, Event::Message(Stored::as_message(message)), state.room.name());
                    }
                    let frames = Rc::from(frames);
                    if is_all { Past::Missed(frames) } else { Past::Piece { frames, reached } }
                }
            }
        };
        self.bring(id, after, past, now);
    }

    /// Those who have read most of the last piece are sent the next.
    fn send_next_pieces(&mut self, now: Moment) {
        for _ in 0..PIECES_PER_TURN {
            let Some(id) = self.page_requests.readers.pop_front() else { return };
            let Some((room, _, Some(CatchUp { reached, .. }))) = self.newcomer(id) else { continue };
            let Some(state) = self.rooms.get(room) else { continue };
            let past = state.missed(reached, self.log.reach(), &self.limits);
            self.bring(id, reached, past, now);
        }
    }

    /// A newcomer that has everything up to `after` is sent this, and takes its seat if it is the last that it missed.
    fn bring(&mut self, id: PeerId, after: u64, past: Past, now: Moment) {
        let Some((.., catch_up)) = self.newcomer(id) else { return };
        match past {
            Past::Older => self.page_requests.push(id, Wanted::After(after)),
            Past::Piece { frames, reached } => {
                if catch_up.is_none() {
                    self.greet(id);
                }
                self.send_past(id, frames);
                let Some(slot) = self.peers.touch(id) else { return };
                if let Some(Arrival::Joining(newcomer)) = slot.arrival.as_deref_mut() {
                    newcomer.catch_up = Some(CatchUp { reached, is_reading: true });
                }
            }
            past => self.seat(id, past, now),
        }
    }

    /// Of somebody who is on the way in: the room, what it asked for, and how far it has come.
    fn newcomer(&mut self, id: PeerId) -> Option<(RoomKey, Option<Position>, Option<CatchUp>)> {
        let slot = self.peers.get(id)?;
        match slot.arrival.as_deref() {
            Some(Arrival::Joining(newcomer)) if slot.membership == Membership::Joining => {
                Some((slot.room, newcomer.since, newcomer.catch_up))
            }
            _ => None,
        }
    }

    /// The welcome, before or when it takes its seat.
    pub(super) fn greet(&mut self, id: PeerId) {
        let Some(slot) = self.peers.touch(id) else { return };
        let Some(state) = self.rooms.get_mut(slot.room) else { return };
        if !slot.connection.may_be_sent_to() || slot.connection.verbosity != Verbosity::Everything {
            return;
        }
        let (room, last) = (state.room.name().clone(), state.last_id());
        let (name, online) = match (slot.arrival.as_deref(), slot.membership) {
            // Of those who are in it is not one yet.
            (Some(Arrival::Joining(newcomer)), _) => (newcomer.name.clone(), state.room.online() + 1),
            (_, Membership::Seated(seat)) => match state.room.name_of(seat) {
                Some(name) => (name.clone(), state.room.online()),
                None => return,
            },
            _ => return,
        };
        let limits = Told {
            message_bytes: self.limits.message.max_message_bytes,
            presence_members: self.limits.presence_members,
        };
        let epoch = self.log.epoch();
        let welcome = Event::Welcome { name: &name, online, users: state.room.users(), last, epoch, limits };
        slot.connection.queue.append_own(|out| append_event(out, welcome, &room));
    }

    /// Queues a part of the past.
    pub(super) fn send_past(&mut self, id: PeerId, frames: Rc<[u8]>) {
        let Some(slot) = self.peers.touch(id) else { return };
        if !slot.connection.may_be_sent_to() {
            return;
        }
        let (queue, len) = (&mut slot.connection.queue, frames.len());
        if let Some(trace) = &self.trace {
            // What is in front of it comes first here as well.
            queue.show_own(|frames| trace.sends(id, frames));
            trace.sends(id, &frames);
        }
        queue.push_shared(frames, 0..len);
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
        if let Some(slot) = self.peers.touch(id) {
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
