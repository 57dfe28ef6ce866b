//! Commands: lines that begin with a slash. Messages go to the log without coming by here.

use super::member_life::{Membership, Trigger};
use super::outbox::NotQueued;
use super::pages::page_size;
use super::past::Before;
use super::peers::{Arrival, PeerId};
use super::room_state::RoomState;
use super::{Hub, Socket};
use crate::chat::command::BadCommand;
use crate::chat::event::json_array;
use crate::chat::{Change, Command, Entry, Event, Name, Problem, RoomName, Seat};
use crate::connection::{State, TooManyChanges};
use crate::history::{Archive, Page, Wanted};
use crate::moment::{Moment, Now};

impl<S: Socket> Hub<S> {
    /// Runs the command of a member.
    pub(super) fn run_command(&mut self, id: PeerId, command: Command, now: Now) {
        let Some(slot) = self.peers.get(id) else { return };
        let Some((_, seat)) = slot.stay.speaker() else { return };
        let before = slot.connection.waiting_bytes();
        let done = match command {
            Command::Nick(name) => self.take_name(id, seat, &name, now.moment),
            Command::Join(room) => self.move_to(id, &room, now.moment),
            Command::Private { to, text } => self.whisper(id, seat, &to, &text, now),
            Command::Who => self.list_users(id),
            Command::Help => {
                self.answer(id, Event::Help);
                Ok(())
            }
            Command::Ping { token } => {
                self.answer(id, Event::Pong { token: &token });
                Ok(())
            }
            Command::History { before } => self.look_back(id, before),
        };
        if let Err(problem) = done {
            self.send_error(id, problem);
        }
        self.count_answer(id, before, now.moment);
    }

    /// Answers a line that looks like a command and is none.
    pub(super) fn refuse_command(&mut self, id: PeerId, fault: BadCommand, now: Moment) {
        let before = self.peers.get(id).map_or(0, |slot| slot.connection.waiting_bytes());
        self.send_error(id, Problem::Command(fault));
        self.count_answer(id, before, now);
    }

    /// Counts what was queued for a member since there were `before` bytes, against its rate.
    ///
    /// A private message is counted by its receipt: once, as what is said to the room.
    fn count_answer(&mut self, id: PeerId, before: usize, now: Moment) {
        if let Some(slot) = self.peers.touch(id) {
            let bytes = slot.connection.waiting_bytes().saturating_sub(before);
            slot.connection.spend_answer(bytes, &self.limits, now);
        }
    }

    /// Tells one connection why something could not be done.
    pub(super) fn send_error(&mut self, id: PeerId, problem: Problem) {
        self.answer(id, Event::Error(problem));
    }

    /// Sends an event to one member alone.
    pub(super) fn answer(&mut self, id: PeerId, event: Event<'_>) {
        let Some(slot) = self.peers.touch(id) else { return };
        let Some(state) = slot.stay.room().and_then(|room| self.rooms.get_mut(room)) else { return };
        self.outbox.answer(slot, &mut state.stream, event, state.room.name());
    }

    fn take_name(&mut self, id: PeerId, seat: Seat, name: &str, now: Moment) -> Result<(), Problem> {
        // Counted before the name is looked at, for that costs most, whatever comes of it.
        self.count_change(id, now)?;
        let to = Name::chosen(name).map_err(Problem::Name)?;
        let Some(slot) = self.peers.touch(id) else { return Ok(()) };
        let Some(room) = slot.stay.room() else { return Ok(()) };
        slot.stay.step(Trigger::Asked);
        self.log.append(room, Entry::Change(Change::Renamed { who: id.member(), seat, to }));
        Ok(())
    }

    fn move_to(&mut self, id: PeerId, room: &str, now: Moment) -> Result<(), Problem> {
        self.count_change(id, now)?;
        let room = RoomName::parse(room).map_err(Problem::Room)?;
        let to = self.visit_room(&room).map_err(|_| Problem::TooManyRooms)?;
        if let Some(slot) = self.peers.touch(id) {
            slot.arrival = Some(Box::new(Arrival::Moving { to }));
        }
        self.request_leave(id);
        Ok(())
    }

    fn count_change(&mut self, id: PeerId, now: Moment) -> Result<(), Problem> {
        match self.peers.touch(id).map(|slot| slot.connection.spend_change(&self.limits, now)) {
            Some(Err(TooManyChanges)) => Err(Problem::SlowDown),
            _ => Ok(()),
        }
    }

    /// Sends a private message to one person, at once: it is kept nowhere, so it does not wait for the log.
    fn whisper(&mut self, id: PeerId, seat: Seat, to: &str, text: &str, now: Now) -> Result<(), Problem> {
        let Some(slot) = self.peers.get(id) else { return Ok(()) };
        let Some(state) = slot.stay.room().and_then(|room| self.rooms.get(room)) else { return Ok(()) };
        let room = &state.room;
        let receiver_seat = room.find(to).ok_or(Problem::NoSuchName)?;
        let names = (room.name_of(seat), room.name_of(receiver_seat));
        let (Some(from), Some(to)) = names else { return Err(Problem::NoSuchName) };
        let mut json = Vec::new();
        let tag = room.tag_of(seat);
        Event::Private { from, tag, to, unix_ms: now.unix_ms, text }.write_json(room.name(), &mut json);
        let peers = |seat| room.seats_of(seat).filter_map(|seat| room.member(seat)).filter_map(PeerId::of);
        let receivers: Vec<PeerId> = peers(receiver_seat).collect();
        let authors: Vec<PeerId> = peers(seat).collect();
        // It is said if one connection of the receiver takes it.
        let mut said = Err(Problem::NoSuchName);
        for receiver in &receivers {
            match (self.whisper_to(*receiver, &json, now.moment), said) {
                (Ok(()), _) => said = Ok(()),
                (Err(problem @ Problem::ReceiverBusy), Err(_)) => said = Err(problem),
                (Err(_), _) => {}
            }
        }
        said?;
        // The receipt, on all connections of the author. Members that write to themselves hear it only once.
        for author in authors.into_iter().filter(|author| !receivers.contains(author)) {
            if let Some(slot) = self.peers.touch(author)
                && matches!(slot.stay.membership(), Membership::Member | Membership::Waiting)
            {
                self.outbox.receipt(slot, &json);
            }
        }
        Ok(())
    }

    /// A member gets private messages until it begins to leave or hangs up. A member that still catches up has enough to
    /// read.
    fn whisper_to(&mut self, receiver: PeerId, json: &[u8], now: Moment) -> Result<(), Problem> {
        let slot = self.peers.get(receiver).filter(|slot| slot.connection.state() != State::HungUp);
        match slot.map(|slot| slot.stay.membership()) {
            Some(Membership::CatchingUp) => return Err(Problem::ReceiverBusy),
            Some(Membership::Member | Membership::Waiting) => {}
            _ => return Err(Problem::NoSuchName),
        }
        let Some(slot) = self.peers.touch(receiver) else { return Err(Problem::NoSuchName) };
        self.outbox.private(slot, json, now).map_err(|fault| match fault {
            NotQueued::Leaving => Problem::NoSuchName,
            NotQueued::Busy => Problem::ReceiverBusy,
        })
    }

    fn list_users(&mut self, id: PeerId) -> Result<(), Problem> {
        let Some(slot) = self.peers.touch(id) else { return Ok(()) };
        let Some(state) = slot.stay.room().and_then(|room| self.rooms.get_mut(room)) else { return Ok(()) };
        let RoomState { room, stream, users, .. } = state;
        let event = Event::Users { online: room.online(), users: users.of(room), is_unasked: false };
        self.outbox.answer(slot, stream, event, room.name());
        Ok(())
    }

    /// Answers with the page of messages before that id: at once if the scrollback has all of them, else when the log has
    /// found them.
    fn look_back(&mut self, id: PeerId, before: u64) -> Result<(), Problem> {
        let Some(slot) = self.peers.touch(id) else { return Ok(()) };
        let Some(state) = slot.stay.room().and_then(|room| self.rooms.get(room)) else { return Ok(()) };
        let size = page_size(Wanted::Before(before), &self.limits);
        let Before { newest_first, more } = state.before(before, size);
        if !more && self.log.archive() == Archive::Present && newest_first.len() < size.messages {
            slot.stay.step(Trigger::Asked);
            self.page_requests.push(id, Wanted::Before(before));
            // The log is asked at the end of this turn's commit.
            return Ok(());
        }
        // A full page may end just where the scrollback does. Then the next page says that there is nothing more.
        let more = more || self.log.archive() == Archive::Present;
        let messages = json_array(newest_first.iter().rev().copied());
        let count = newest_first.len();
        self.answer(id, Event::History { before, messages: &messages, count, more });
        self.page_is_queued(id);
        Ok(())
    }

    /// The log has found older messages, or could not read them.
    pub(super) fn show_older(&mut self, id: PeerId, before: u64, page: Option<Page>, now: Moment) {
        let Some(slot) = self.peers.touch(id) else { return };
        if !slot.stay.step(Trigger::Answered) {
            return;
        }
        let Some(page) = page else {
            return self.send_error(id, Problem::HistoryUnavailable);
        };
        let Some(state) = slot.stay.room().and_then(|room| self.rooms.get(room)) else { return };
        let mut events = Vec::new();
        let mut ends = Vec::new();
        for message in &page.messages {
            message.as_message().write_json(state.room.name().as_str(), &mut events);
            ends.push(events.len());
        }
        let starts = std::iter::once(0).chain(ends.iter().copied());
        let messages = json_array(starts.zip(&ends).map(|(start, end)| &events[start..*end]));
        slot.connection.spend_answer(events.len(), &self.limits, now);
        self.answer(id, Event::History { before, messages: &messages, count: ends.len(), more: page.more });
        self.page_is_queued(id);
    }
}
