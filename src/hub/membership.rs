//! How members join, leave, move to another room and take another name. Each of these is requested by an entry in the
//! room's log and happens when the entry comes back, so that it has its place among the messages.

use log::info;

use super::member_life::{Membership, Trigger};
use super::past::Past;
use super::peers::{Arrival, Newcomer, PeerId};
use super::room_state::RoomState;
use super::rooms::{Opened, TooManyRooms};
use super::stream::ChunkKey;
use super::{Hub, Socket};
use crate::chat::names::Conflict;
use crate::chat::position::Position;
use crate::chat::presence::News;
use crate::chat::problem::Problem;
use crate::chat::visit::{Verbosity, Visit};
use crate::chat::{Change, Effect, Entry, Event, Name, PersonId, RoomName, Seat};
use crate::close_reason::CloseReason;
use crate::connection::State;
use crate::gate::{Caller, Credentials};
use crate::history::RoomKey;
use crate::moment::Moment;

impl<S: Socket> Hub<S> {
    /// A handshake for a room has come.
    pub(super) fn arrive(&mut self, id: PeerId, visit: Visit, (shown, from): (Credentials, Caller), now: Moment) {
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
        let person = match shown.me {
            None => None,
            Some(Ok(secret)) => self.person_key.as_ref().map(|key| key.person(&secret)),
            Some(Err(bad)) => {
                problems.push(Problem::BadMe(bad));
                None
            }
        };
        let Some(slot) = self.peers.touch(id) else { return };
        slot.connection.set_verbosity(visit.verbosity);
        self.request_join(
            id,
            room,
            (name, person),
            Newcomer { from: Some(from), since, problems, ..Newcomer::default() },
        );
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

    /// Somebody wants to join a room that was opened for it: under that name, or as a tourist.
    fn request_join(
        &mut self,
        id: PeerId,
        room: RoomKey,
        (name, person): (Option<Name>, Option<PersonId>),
        newcomer: Newcomer,
    ) {
        let Some(slot) = self.peers.touch(id) else { return };
        let name = name.unwrap_or_else(|| self.log.name_tourist());
        slot.arrival = Some(Box::new(Arrival::Joining(newcomer)));
        slot.stay.join_requested(room);
        self.log.append(room, Entry::Change(Change::Joined { who: id.member(), name, person }));
    }

    /// The log has committed a change: it is applied to the room.
    pub(super) fn commit_change(&mut self, room: RoomKey, change: Change, now: Moment) {
        let wish = change.clone();
        let effect = self.rooms.apply(room, change);
        // If the member is on another daemon, telling the room is all there is to do here.
        let id = PeerId::of(wish.who());
        if let Change::StayedAway { .. } = wish {
            self.rooms.tell(room, &effect, now);
            return self.absence_ended(room);
        }
        // A member does not hear of its own leaving, so it stops hearing before the room is told; and a newcomer does not hear of
        // its own coming, so it begins to hear after that.
        if let (Effect::Left { .. } | Effect::LeftOnce { .. } | Effect::WentAway(_), Some(id)) = (&effect, id) {
            self.stop_hearing(id, room);
        }
        let told_bytes = self.rooms.tell(room, &effect, now);
        let Some(id) = id else { return };
        match (effect, &wish) {
            (Effect::Joined(seat) | Effect::JoinedAgain(seat), _) => self.join_committed(id, room, seat, now),
            (Effect::Renamed { from, .. }, _) => self.rename_committed(id, &from, told_bytes, now),
            (Effect::Left { name, person, .. }, _) => self.leave_committed(id, room, (Some(name), person), now),
            (Effect::LeftOnce { name, person, .. }, _) => {
                self.leave_committed(id, room, (Some(name), Some(person)), now);
            }
            (Effect::WentAway(seat), _) => {
                self.wait_for_return(id, room, seat, now);
                self.leave_committed_by(id, (None, None), now);
            }
            // Its name was refused, and it left before it could join under another one.
            (Effect::Nothing, Change::Left { .. }) => self.leave_committed(id, room, (None, None), now),
            (Effect::NameRefused { conflict, .. }, _) => self.name_refused(id, room, wish, conflict, now),
            (Effect::Said | Effect::Nothing, _) => {}
        }
    }

    /// A newcomer is in the room. It is sent the welcome, and catches up with what it missed.
    fn join_committed(&mut self, id: PeerId, room: RoomKey, seat: Seat, now: Moment) {
        let chunk = match (self.peers.touch(id), self.departed.get_mut(&id)) {
            (Some(slot), _) => {
                slot.stay.join_committed(seat);
                ChunkKey::of(&slot.connection)
            }
            (None, Some(departed)) => {
                departed.stay.join_committed(seat);
                departed.chunk
            }
            (None, None) => return,
        };
        if let Some(state) = self.rooms.get_mut(room) {
            state.stream.add_member(chunk);
        }
        self.begin_to_catch_up(id, now);
    }

    /// Another member has the name that somebody wanted: the change had no effect on the room.
    fn name_refused(&mut self, id: PeerId, room: RoomKey, wish: Change, conflict: Conflict<Seat>, now: Moment) {
        let holder = self.rooms.get(room).and_then(|state| state.room.member(conflict.holder)).and_then(PeerId::of);
        let is_soon_free = holder.is_some_and(|holder| self.makes_way(holder, now));
        let Some(slot) = self.peers.touch(id) else { return };
        let problem = Problem::NameUnavailable(conflict.why);
        match (slot.stay.membership(), slot.arrival.as_deref_mut()) {
            (Membership::Joining | Membership::Waiting, _) if is_soon_free => {
                self.log.append(room, Entry::Change(wish));
            }
            (Membership::Joining, Some(Arrival::Joining(newcomer))) => {
                newcomer.problems.push(problem);
                let Change::Joined { who, person, .. } = wish else { return };
                let name = self.log.name_tourist();
                self.log.append(room, Entry::Change(Change::Joined { who, name, person }));
            }
            (Membership::Waiting, _) => {
                slot.stay.step(Trigger::Answered);
                let Some(state) = self.rooms.get_mut(room) else { return };
                let bytes = self.outbox.answer(slot, &mut state.stream, Event::Error(problem), state.room.name());
                slot.connection.spend_answer(bytes, &self.limits, now);
            }
            // It is leaving.
            _ => {}
        }
    }

    /// Makes a member leave that has hung up, so that its name is free. What it sent and we have not read is dropped, so that
    /// no two members speak under one name. Returns whether the member leaves because of this call; a second call for the
    /// same member returns false, so the wish for its name is repeated once at most.
    fn makes_way(&mut self, id: PeerId, now: Moment) -> bool {
        let Some(slot) = self.peers.touch(id) else { return false };
        if slot.stay.membership() == Membership::Leaving || slot.connection.state() != State::HungUp {
            return false;
        }
        slot.unread = None;
        slot.connection.give_up_rest(now);
        self.leave_room(id, now);
        true
    }

    /// A newcomer has caught up. It is sent the rest of the past now, and of this turn's chunk what comes after.
    pub(super) fn caught_up(&mut self, id: PeerId, past: Past) {
        let Some(slot) = self.peers.touch(id) else { return };
        let Some(Arrival::Joining(newcomer)) = slot.arrival.take().map(|arrival| *arrival) else { return };
        let Newcomer { from, since, catch_up, mut problems } = newcomer;
        slot.stay.step(Trigger::CaughtUp);
        let Some((room, seat)) = slot.stay.speaker() else { return };
        let Some(state) = self.rooms.mark_dirty(room) else { return };
        self.outbox.join(slot, &mut state.stream);
        if let Some(name) = state.room.name_of(seat) {
            match from {
                Some(from) => info!("#{} from {from} came to {} as {name}", id.serial, state.room.name()),
                None => info!("#{} moved to {} as {name}", id.serial, state.room.name()),
            }
        }
        let framing = slot.connection.framing();
        let is_full = slot.connection.verbosity() == Verbosity::Everything;
        if catch_up.is_none() {
            self.greet(id);
        }
        if let Past::Afresh(reason) = past {
            let since = since.map_or(0, |since| since.id);
            if self.rooms.get(room).is_some_and(|state| since > state.room.ids().last) {
                problems.push(Problem::SinceInFuture);
            }
            let reached = catch_up.map_or(since, |catch_up| catch_up.reached);
            self.tell(id, |last| Event::Reset { last, since: reached, reason });
        }
        let messages = match past {
            Past::Missed(messages) => Some(messages),
            _ if is_full => self.rooms.get_mut(room).map(|state| state.newest(framing, &self.limits)),
            _ => None,
        };
        if let Some(messages) = messages {
            self.send_past(id, messages);
        }
        // It was not told who came and went while it caught up.
        if catch_up.is_some() && is_full {
            self.tell_who_is_there(id);
        }
        for problem in problems {
            self.tell(id, |_| Event::Error(problem));
        }
    }

    fn tell_who_is_there(&mut self, id: PeerId) {
        let Some(peer) = self.peers.touch(id) else { return };
        let Some(state) = peer.stay.room().and_then(|room| self.rooms.get_mut(room)) else { return };
        let RoomState { room, stream, users, .. } = state;
        let event = Event::Users { online: room.online(), users: users.of(room), is_unasked: true };
        self.outbox.answer(peer, stream, event, room.name());
    }

    /// Queues an event for one member alone, which may need the id of the room's newest message.
    fn tell<'a>(&mut self, id: PeerId, event: impl FnOnce(u64) -> Event<'a>) {
        let Some(slot) = self.peers.get(id) else { return };
        let Some(state) = slot.stay.room().and_then(|room| self.rooms.get(room)) else { return };
        let event = event(state.room.ids().last);
        self.answer(id, event);
    }

    /// A member has another name. Its answer goes to all connections of that person.
    fn rename_committed(&mut self, id: PeerId, from: &Name, told_bytes: usize, now: Moment) {
        let Some(slot) = self.peers.touch(id) else { return };
        let (Some(room), Some(seat)) = (slot.stay.room(), slot.stay.seat()) else { return };
        let Some(state) = self.rooms.get_mut(room) else { return };
        state.share.charge(id, told_bytes, &self.limits, now);
        // A member that is leaving needs no answer.
        if !slot.stay.step(Trigger::Answered) {
            return;
        }
        let RoomState { room, stream, presence, .. } = state;
        let (Some(to), tag) = (room.name_of(seat), room.tag_of(seat)) else { return };
        // A member that is not told with the others still gets the answer to its own request.
        let is_told = presence.news(room.online()) == News::Told;
        for member in room.seats_of(seat).filter_map(|seat| room.member(seat)).filter_map(PeerId::of) {
            let Some(slot) = self.peers.touch(member) else { continue };
            let hears = matches!(slot.stay.membership(), Membership::Member | Membership::Waiting);
            if hears && (!is_told || slot.connection.verbosity() == Verbosity::MessagesOnly) {
                self.outbox.answer(slot, stream, Event::Rename { from, to, tag }, room.name());
            }
        }
        info!("#{} is {to} now, and was {from}", id.serial);
    }

    /// The peer leaves. In a room it has left when its `Left` entry comes back; on `/echo`, and before a handshake, at once.
    pub(super) fn leave_room(&mut self, id: PeerId, now: Moment) {
        self.request_leave(id);
        let Some(slot) = self.peers.touch(id) else { return };
        if slot.stay.membership() == Membership::Outside {
            slot.connection.depart(now);
        }
    }

    /// Appends the `Left` entry of a member, once.
    pub(super) fn request_leave(&mut self, id: PeerId) {
        let Some(slot) = self.peers.touch(id) else { return };
        let (Some(room), seat) = (slot.stay.room(), slot.stay.seat()) else { return };
        if !slot.stay.step(Trigger::LeaveRequested) {
            return;
        }
        let is_moving = matches!(slot.arrival.as_deref(), Some(Arrival::Moving { .. }));
        if let Some(state) = self.rooms.get_mut(room) {
            state.share.forget(id);
        }
        // It says nothing more in this room, so it waits for no share of it.
        self.peers.leave_line(id);
        let may_come_back = !is_moving && !self.is_shutting_down && self.away.len() < self.limits.max_connections;
        let tag_of = |seat| self.rooms.get(room).and_then(|state| state.room.tag_of(seat));
        let who = id.member();
        let change = match seat {
            Some(seat) if may_come_back && tag_of(seat).is_some() => Change::WentAway { who, seat },
            _ => Change::Left { who, seat },
        };
        self.log.append(room, Entry::Change(change));
    }

    /// A member has left: it is sent what its room has heard up to here, and nothing after. Its own last messages are among
    /// that: a script that says something and leaves waits for them (websocat does).
    fn stop_hearing(&mut self, id: PeerId, room: RoomKey) {
        let Some(state) = self.rooms.get_mut(room) else { return };
        let chunk = match (self.peers.touch(id), self.departed.get(&id)) {
            (Some(slot), _) => {
                self.outbox.leave(slot, &mut state.stream);
                ChunkKey::of(&slot.connection)
            }
            (None, Some(departed)) => departed.chunk,
            (None, None) => return,
        };
        state.stream.remove_member(chunk);
    }

    /// A member has left its room: it goes on to the next, or is sent the answer to its Close.
    fn leave_committed(&mut self, id: PeerId, room: RoomKey, was: (Option<Name>, Option<PersonId>), now: Moment) {
        self.leave_committed_by(id, was, now);
        self.leave_empty(room);
    }

    fn leave_committed_by(&mut self, id: PeerId, was: (Option<Name>, Option<PersonId>), now: Moment) {
        if self.departed.remove(&id).is_none() {
            self.go_on(id, was, now);
        }
    }

    fn go_on(&mut self, id: PeerId, was: (Option<Name>, Option<PersonId>), now: Moment) {
        let Some(slot) = self.peers.touch(id) else { return };
        slot.stay.step(Trigger::LeaveCommitted);
        if self.is_shutting_down {
            slot.connection.close(CloseReason::ShutDown, now);
        }
        let is_open = slot.connection.is_in_use();
        slot.connection.depart(now);
        match slot.arrival.take().as_deref() {
            Some(Arrival::Moving { to }) if is_open => self.request_join(id, *to, was, Newcomer::default()),
            Some(Arrival::Moving { to }) => self.leave_empty(*to),
            _ => {}
        }
    }

    /// A visitor is gone from a room. If it was the last, the log may forget the room.
    pub(super) fn leave_empty(&mut self, room: RoomKey) {
        if self.rooms.leave(room, self.log.archive()) {
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
    use crate::chat::{Member, NewEntry};
    use crate::door::OriginPolicy;
    use crate::door::Pages;
    use crate::door::{EchoService, Health, Site};
    use crate::gate::PeerAddress;
    use crate::history::log::InMemoryLog;
    use crate::history::{Archive, Committed, History, PageSize, Pressure, RoomIds, Wanted};
    use crate::limits::Limits;
    use crate::moment::Now;

    /// A history that has read nothing and lets nobody go until it is told to.
    #[derive(Default)]
    struct Slow {
        ready: VecDeque<(RoomKey, Committed<'static>)>,
        late: VecDeque<(RoomKey, Committed<'static>)>,
    }

    impl History for Rc<RefCell<Slow>> {
        fn open(&mut self, room: RoomKey, _name: &RoomName) {
            self.borrow_mut()
                .ready
                .push_back((room, Committed::Opened { ids: RoomIds::up_to(1_000), newest: Vec::new() }));
        }

        fn forget(&mut self, _room: RoomKey) {}

        fn epoch(&self) -> Epoch {
            Epoch(1)
        }

        fn append(&mut self, room: RoomKey, entry: NewEntry<'_>) {
            match entry {
                Entry::Change(change) => {
                    let joins = matches!(change, Change::Joined { .. });
                    let committed = Committed::Entry(Entry::Change(change));
                    let mut slow = self.borrow_mut();
                    let queue = if joins { &mut slow.ready } else { &mut slow.late };
                    queue.push_back((room, committed));
                }
                Entry::Kept { .. } => {}
            }
        }

        fn read(&mut self, room: RoomKey, wanted: Wanted, _size: PageSize, reader: Member) {
            self.borrow_mut().late.push_back((room, Committed::Read { reader, wanted, page: None }));
        }

        fn next(&mut self) -> Option<(RoomKey, Committed<'_>)> {
            self.borrow_mut().ready.pop_front()
        }

        fn person_key(&self) -> Option<[u8; 32]> {
            Some([7; 32])
        }

        fn archive(&self) -> Archive {
            Archive::Present
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
        let mut hub = Hub::new(Limits::default(), site(), Box::new(InMemoryLog::new()));
        let now = Now { moment: Moment::START, unix_ms: 0 };
        let peer = Peer { request: REQUEST, is_gone: Rc::new(RefCell::new(true)) };
        let id = hub.accept(peer, PeerAddress::Unix, now);
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
        let id = hub.accept(Peer { request: REQUEST, is_gone: Rc::clone(&is_gone) }, PeerAddress::Unix, now);
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
