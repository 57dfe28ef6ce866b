//! How members come, go, move and are renamed. Each of these is announced through the history and happens when it comes
//! back, so that it has its place among the messages.

use std::ops::Range;

use log::info;

use super::peers::{Arrival, Departed, Membership, NOWHERE, Newcomer, PeerId};
use super::rooms::{Opened, Past, TooManyRooms, append_event};
use super::{Hub, Socket};
use crate::chat::position::Position;
use crate::chat::problem::Problem;
use crate::chat::room::News;
use crate::chat::roster::Unavailable;
use crate::chat::visit::{Verbosity, Visit};
use crate::chat::{Event, Name, RoomName};
use crate::close_reason::CloseReason;
use crate::connection::State;
use crate::history::{Entry, RoomKey};
use crate::moment::Moment;

/// Somebody who is leaving a room in this turn.
pub(super) struct Leaver {
    id: PeerId,
    room: RoomKey,
    /// The part of the room's chunk that it is still to see.
    part: Range<usize>,
    /// What it was called, if it was in.
    name: Option<Name>,
}

impl<S: Socket> Hub<S> {
    /// A handshake for a room has come.
    pub(super) fn arrive(&mut self, id: PeerId, visit: Visit, now: Moment) {
        let Ok(room) = self.visit_room(&visit.room) else { return self.close(id, CloseReason::TooManyRooms, now) };
        let mut problems = Vec::new();
        let since = visit.since.and_then(|since| {
            let since = since.parse::<Position>();
            if since.is_err() {
                problems.push(Problem::BadSince);
            }
            since.ok()
        });
        let name = match visit.name.as_deref().map(Name::chosen) {
            None => None,
            Some(Ok(name)) => Some(name),
            Some(Err(bad)) => {
                problems.push(Problem::Name(bad));
                None
            }
        };
        let Some(slot) = self.peers.touch(id) else { return };
        slot.connection.verbosity = visit.verbosity;
        let from = match slot.arrival.take().map(|arrival| *arrival) {
            Some(Arrival::Handshaking { from }) => from,
            _ => Box::default(),
        };
        let name = self.come(id, room, (name, since), problems, now);
        info!("#{} from {from} came to {} as {name}", id.serial, visit.room);
    }

    /// Opens a room for one more visitor.
    pub(super) fn visit_room(&mut self, name: &RoomName) -> Result<RoomKey, TooManyRooms> {
        let Opened { key, is_new, forgotten } = self.rooms.visit(name, &self.limits)?;
        for room in forgotten {
            self.forget(room);
        }
        if is_new {
            self.log.open(key, name);
        }
        Ok(key)
    }

    /// Somebody is on the way into a room that was opened for it. Gives the name that it has there: the one it wants,
    /// if nobody else has it.
    fn come(
        &mut self,
        id: PeerId,
        room: RoomKey,
        (wanted, since): (Option<Name>, Option<Position>),
        mut problems: Vec<Problem>,
        now: Moment,
    ) -> Name {
        let claimed = wanted.and_then(|name| match self.claim(id, room, &name, now) {
            Err(unavailable) => {
                problems.push(Problem::NameUnavailable(unavailable));
                None
            }
            Ok(()) => Some(name),
        });
        let name = claimed.unwrap_or_else(|| self.log.name_tourist());
        if let Some(slot) = self.peers.touch(id) {
            slot.room = room;
            slot.membership = Membership::Joining;
            slot.arrival =
                Some(Box::new(Arrival::Joining(Newcomer { name: name.clone(), since, catch_up: None, problems })));
            self.log.append(room, Entry::Came(id));
        }
        name
    }

    /// Reserves a name. Of those who have hung up it is free: what they had said and has not been taken is dropped then,
    /// and their going comes first, so that no two speak under one name.
    pub(super) fn claim(&mut self, id: PeerId, room: RoomKey, name: &Name, now: Moment) -> Result<(), Unavailable> {
        loop {
            let Some(state) = self.rooms.get_mut(room) else { return Ok(()) };
            let Err(unavailable) = state.room.claim(name, id) else { return Ok(()) };
            let rival = state.room.rival(name, id).filter(|rival| self.has_hung_up(*rival));
            let Some(rival) = rival else { return Err(unavailable) };
            self.give_up_rest(rival, now);
        }
    }

    /// It is still here only for what it had said before.
    pub(super) fn has_hung_up(&mut self, id: PeerId) -> bool {
        self.peers.touch(id).is_some_and(|slot| slot.connection.state() == State::HungUp)
    }

    fn give_up_rest(&mut self, id: PeerId, now: Moment) {
        let Some(slot) = self.peers.touch(id) else { return };
        slot.unread = None;
        slot.connection.give_up_rest(now);
        self.leave_room(id, now);
    }

    /// A newcomer takes a seat. It is sent the rest of the past now, and of this turn's chunk what comes after.
    pub(super) fn seat(&mut self, id: PeerId, past: Past, now: Moment) {
        let Some(slot) = self.peers.touch(id) else { return };
        let Some(Arrival::Joining(newcomer)) = slot.arrival.take().map(|arrival| *arrival) else { return };
        let Newcomer { name, since, catch_up, mut problems } = newcomer;
        let room = slot.room;
        let Some(state) = self.rooms.stir(room) else { return };
        let (seat, news) = state.room.join(name.clone(), id, now);
        slot.membership = Membership::Seated(seat);
        if news == News::Told {
            let event = Event::Join { name: &name, online: state.room.online() };
            append_event(&mut state.everything.bytes, event, state.room.name());
        }
        if slot.connection.verbosity == Verbosity::MessagesOnly {
            state.quiet_members += 1;
        }
        slot.chunk_from = state.chunk_for(slot.connection.verbosity).bytes.len() as u32;
        let is_full = slot.connection.verbosity == Verbosity::Everything;
        if catch_up.is_none() {
            self.greet(id);
        }
        if let Past::Afresh(reason) = past {
            let since = since.map_or(0, |since| since.id);
            if self.rooms.get(room).is_some_and(|state| since > state.last_id()) {
                problems.push(Problem::SinceInFuture);
            }
            let reached = catch_up.map_or(since, |catch_up| catch_up.reached);
            self.tell(id, |last| Event::Reset { last, since: reached, reason });
        }
        let frames = match past {
            Past::Missed(frames) => Some(frames),
            _ if is_full => self.rooms.get_mut(room).map(|state| state.newest(&self.limits)),
            _ => None,
        };
        if let Some(frames) = frames {
            self.send_past(id, frames);
        }
        // Who came and went while it caught up, it has not been told.
        if catch_up.is_some() && is_full {
            let _ = self.list_users(id);
        }
        for problem in problems {
            self.tell(id, |_| Event::Error(problem));
        }
        if news == News::Counted {
            self.rooms.owes_count(room);
        }
    }

    /// Queues an event for one member alone, which may need the id of the room's newest message.
    fn tell<'a>(&mut self, id: PeerId, event: impl FnOnce(u64) -> Event<'a>) {
        let Some(slot) = self.peers.touch(id) else { return };
        let Some(state) = self.rooms.get(slot.room) else { return };
        if slot.connection.may_be_sent_to() {
            let event = event(state.last_id());
            slot.connection.queue.append_own(|out| append_event(out, event, state.room.name()));
        }
    }

    /// A new name has come back from the history.
    pub(super) fn rename(&mut self, id: PeerId, now: Moment) {
        let Some(slot) = self.peers.touch(id) else { return };
        // One that is on its way out has given up both names.
        let Membership::Waiting(seat) = slot.membership else { return };
        slot.membership = Membership::Seated(seat);
        let Some(state) = self.rooms.stir(slot.room) else { return };
        let Some((from, news)) = state.room.rename(seat) else { return };
        let Some(to) = state.room.name_of(seat) else { return };
        let event = Event::Rename { from: &from, to };
        if news == News::Told {
            let before = state.everything.bytes.len();
            append_event(&mut state.everything.bytes, event, state.room.name());
            state.share.charge(id, state.everything.bytes.len() - before, &self.limits, now);
        }
        // Whoever is not told with the others is to know at least what becomes of its own request.
        if news == News::Counted || slot.connection.verbosity == Verbosity::MessagesOnly {
            let mut frame = Vec::new();
            append_event(&mut frame, event, state.room.name());
            self.behind_chunk.push((id, frame));
        }
        info!("#{} is {to} now, and was {from}", id.serial);
    }

    /// The peer is leaving. From the room it goes when the history says so; from `/echo` at once.
    pub(super) fn leave_room(&mut self, id: PeerId, now: Moment) {
        self.announce_going(id);
        let Some(slot) = self.peers.touch(id) else { return };
        if slot.membership == Membership::None {
            slot.connection.depart(now);
        }
    }

    /// Tells the history, once, that somebody goes. The name is free from now on.
    pub(super) fn announce_going(&mut self, id: PeerId) {
        let Some(slot) = self.peers.touch(id) else { return };
        let Some(state) = self.rooms.get_mut(slot.room) else { return };
        slot.membership = match slot.membership {
            Membership::Joining => {
                if let Some(Arrival::Joining(newcomer)) = slot.arrival.as_deref() {
                    state.room.release(&newcomer.name, id);
                }
                Membership::JoinCancelled
            }
            Membership::Seated(seat) | Membership::Waiting(seat) => {
                state.room.give_up_names(seat);
                state.share.forget(id);
                Membership::Leaving(seat)
            }
            Membership::None | Membership::Leaving(_) | Membership::JoinCancelled => return,
        };
        self.log.append(slot.room, Entry::Went(id));
        // It says nothing more here, and what it has sent is looked at as that of anybody.
        self.peers.leave_line(id);
    }

    /// A going has come back from the history: all that the leaver is still to see has been encoded. Its last messages
    /// among them: a script that says something and leaves waits for the answer (websocat does).
    pub(super) fn go(&mut self, id: PeerId, now: Moment) {
        let mut slot = self.peers.touch(id);
        let Some(Departed { room, membership, verbosity }) = (match &slot {
            Some(slot) => {
                let (room, membership) = (slot.room, slot.membership);
                Some(Departed { room, membership, verbosity: slot.connection.verbosity })
            }
            None => self.departed.remove(&id),
        }) else {
            return;
        };
        let Some(state) = self.rooms.stir(room) else { return };
        let mut leaver = Leaver { id, room, part: 0..0, name: None };
        match membership {
            Membership::Leaving(seat) => {
                if verbosity == Verbosity::MessagesOnly {
                    state.quiet_members -= 1;
                }
                if let Some(slot) = &mut slot {
                    let end = state.chunk_for(verbosity).bytes.len();
                    leaver.part = std::mem::take(&mut slot.chunk_from) as usize..end;
                }
                if let Some((name, news)) = state.room.leave(seat, now) {
                    let online = state.room.online();
                    match news {
                        News::Told => {
                            let event = Event::Leave { name: &name, online };
                            append_event(&mut state.everything.bytes, event, state.room.name());
                        }
                        News::Counted => self.rooms.owes_count(room),
                    }
                    leaver.name = Some(name);
                }
            }
            Membership::JoinCancelled => {}
            Membership::None | Membership::Joining | Membership::Seated(_) | Membership::Waiting(_) => return,
        }
        if let Some(slot) = slot {
            slot.membership = Membership::None;
            slot.room = NOWHERE;
        }
        self.leavers.push(leaver);
    }

    /// Queues for each leaver its part of the chunk, whatever it owes already; behind that comes the next room, or the
    /// answer to its Close.
    pub(super) fn say_goodbye(&mut self, now: Moment) {
        for leaver in std::mem::take(&mut self.leavers) {
            let room = leaver.room;
            self.say_goodbye_to(leaver, now);
            self.leave_empty(room);
        }
    }

    fn say_goodbye_to(&mut self, Leaver { id, room, part, name }: Leaver, now: Moment) {
        let Some(slot) = self.peers.touch(id) else { return };
        if let Some(state) = self.rooms.get_mut(room)
            && slot.connection.may_be_sent_to()
            && !part.is_empty()
        {
            let chunk = state.chunk_for(slot.connection.verbosity);
            slot.connection.queue.push_shared(chunk.share(), part);
        }
        if self.is_shutting_down {
            slot.connection.close(CloseReason::ShutDown, now);
        }
        let is_open = slot.connection.is_in_use();
        let next_room = match slot.arrival.take().as_deref() {
            Some(Arrival::Moving { to }) => Some(*to),
            _ => None,
        };
        match next_room {
            Some(to) if is_open => {
                let name = self.come(id, to, (name, None), Vec::new(), now);
                if let Some(state) = self.rooms.get(to) {
                    info!("#{} moved to {} as {name}", id.serial, state.room.name());
                }
            }
            Some(to) => self.leave_empty(to),
            None => {}
        }
        if let Some(slot) = self.peers.touch(id) {
            slot.connection.depart(now);
        }
    }

    /// Queues for single members what must not overtake this turn's chunk.
    pub(super) fn tell_renamed(&mut self) {
        for (id, frame) in std::mem::take(&mut self.behind_chunk) {
            let Some(slot) = self.peers.touch(id) else { continue };
            if slot.connection.may_be_sent_to() {
                slot.connection.queue.append_own(|out| out.extend_from_slice(&frame));
            }
        }
    }

    /// A room has one visitor less. If it was the last, the history may forget the room.
    pub(super) fn leave_empty(&mut self, room: RoomKey) {
        if self.rooms.leave(room, self.log.reach()) {
            self.forget(room);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::VecDeque;
    use std::io::{self, ErrorKind, Read, Write};
    use std::rc::Rc;

    use super::super::Readiness;
    use super::*;
    use crate::chat::position::Epoch;
    use crate::door::OriginPolicy;
    use crate::door::Pages;
    use crate::door::{EchoService, Health, Site};
    use crate::history::memory::Memory;
    use crate::history::{History, Outcome, PageSize, Pressure, Reach, RoomIds, Wanted};
    use crate::limits::Limits;
    use crate::moment::Now;

    /// A history that has read nothing and lets nobody go until it is told to.
    #[derive(Default)]
    struct Slow {
        ready: VecDeque<(RoomKey, Outcome<'static, PeerId>)>,
        late: VecDeque<(RoomKey, Outcome<'static, PeerId>)>,
    }

    impl History<PeerId> for Rc<RefCell<Slow>> {
        fn open(&mut self, room: RoomKey, _name: &RoomName) {
            self.borrow_mut()
                .ready
                .push_back((room, Outcome::Opened { ids: RoomIds::up_to(1_000), newest: Vec::new() }));
        }

        fn forget(&mut self, _room: RoomKey) {}

        fn epoch(&self) -> Epoch {
            Epoch(1)
        }

        fn append(&mut self, room: RoomKey, entry: Entry<'_, PeerId>) {
            match entry {
                Entry::Came(id) => self.borrow_mut().ready.push_back((room, Outcome::Came(id))),
                Entry::Went(id) => self.borrow_mut().late.push_back((room, Outcome::Went(id))),
                Entry::Said { .. } | Entry::Renamed(_) => {}
            }
        }

        fn read(&mut self, room: RoomKey, wanted: Wanted, _size: PageSize, reader: PeerId) {
            self.borrow_mut().late.push_back((room, Outcome::Read { reader, wanted, page: None }));
        }

        fn next(&mut self) -> Option<(RoomKey, Outcome<'_, PeerId>)> {
            self.borrow_mut().ready.pop_front()
        }

        fn reach(&self) -> Reach {
            Reach::Older
        }

        fn pressure(&self) -> Pressure {
            Pressure::Low
        }

        fn tick(&mut self, _now: Now) {}
    }

    /// A peer that sends its request and then, when told so, is gone.
    struct Peer {
        request: &'static [u8],
        is_gone: Rc<RefCell<bool>>,
    }

    impl Read for Peer {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.request.is_empty() && !*self.is_gone.borrow() {
                return Err(ErrorKind::WouldBlock.into());
            }
            self.request.read(buffer)
        }
    }

    impl Write for Peer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Socket for Peer {
        fn shut_down_writing(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn site() -> Site {
        Site {
            pages: Pages::Embedded,
            origins: OriginPolicy::new(Vec::new()),
            echo: EchoService::Off,
            health: Health::Good,
        }
    }

    const REQUEST: &[u8] = b"GET /?since=5 HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

    /// The bytes and the end of the stream come as one edge. A read that is shorter than the buffer has emptied the
    /// socket otherwise; here it must not be taken for that.
    #[test]
    fn who_is_gone_in_the_same_event_as_its_last_bytes_leaves_the_room() {
        let mut hub = Hub::new(Limits::default(), site(), Box::new(Memory::new()));
        let now = Now { moment: Moment::START, unix_ms: 0 };
        let peer = Peer { request: REQUEST, is_gone: Rc::new(RefCell::new(true)) };
        let id = hub.accept(peer, "a peer".into(), now);
        hub.ready(id, Readiness { readable: true, writable: true, hung_up: true });
        for _ in 0..4 {
            hub.turn(now);
        }
        assert_eq!(hub.connections(), 0, "nobody reports it a second time");
    }

    #[test]
    fn who_left_while_what_it_missed_was_read_takes_no_seat_any_more() {
        let history = Rc::new(RefCell::new(Slow::default()));
        let mut hub = Hub::new(Limits::default(), site(), Box::new(Rc::clone(&history)));
        let is_gone = Rc::new(RefCell::new(false));
        let now = Now { moment: Moment::START, unix_ms: 0 };
        let id = hub.accept(Peer { request: REQUEST, is_gone: Rc::clone(&is_gone) }, "a peer".into(), now);
        let readable = Readiness { readable: true, writable: true, hung_up: false };
        hub.ready(id, readable);
        hub.turn(now);
        hub.shut_down(now);
        hub.turn(now);
        assert_eq!(history.borrow().late.len(), 2, "the answer and, behind it, the going");
        for _ in 0..2 {
            let late = history.borrow_mut().late.pop_front();
            history.borrow_mut().ready.extend(late);
            hub.turn(now);
        }
        is_gone.replace(true);
        hub.ready(id, readable);
        for _ in 0..4 {
            hub.turn(now);
        }
        assert_eq!(hub.connections(), 0, "it is gone, and its room with it");
    }
}
