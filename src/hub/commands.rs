//! What becomes of a line that begins with a slash. What is simply said goes to the history without coming by here.

use super::member_life::{Membership, Trigger};
use super::pages::page_size;
use super::past::Before;
use super::peers::{Arrival, PeerId, Sent};
use super::rooms::append_event;
use super::{Hub, Socket};
use crate::chat::event::json_array;
use crate::chat::{Change, Event, Name, Problem, RoomName, Seat, Spoken};
use crate::connection::{Changes, State};
use crate::history::{Entry, Page, Reach, Wanted};
use crate::moment::{Moment, Now};

impl<S: Socket> Hub<S> {
    /// Does what a member asks for. One that has no seat asks for nothing.
    pub(super) fn run_command(&mut self, id: PeerId, line: &str, now: Now) {
        let Some(slot) = self.peers.get(id) else { return };
        let Some((_, seat)) = slot.stay.speaker() else { return };
        let before = slot.connection.queue.len();
        let done = match Spoken::parse(line) {
            Ok(Spoken::Nothing | Spoken::Say(_) | Spoken::Act(_)) => Ok(()),
            Ok(Spoken::Nick(name)) => self.take_name(id, seat, name, now.moment),
            Ok(Spoken::Join(room)) => self.move_to(id, room, now.moment),
            Ok(Spoken::Private { to, text }) => self.whisper(id, seat, &to, text, now),
            Ok(Spoken::Who) => self.list_users(id),
            Ok(Spoken::Help) => {
                self.answer(id, Event::Help);
                Ok(())
            }
            Ok(Spoken::Ping { token }) => {
                self.answer(id, Event::Pong { token });
                Ok(())
            }
            Ok(Spoken::History { before }) => self.look_back(id, before),
            Err(bad) => Err(Problem::Command(bad)),
        };
        if let Err(problem) = done {
            self.send_error(id, problem);
        }
        // A private message is counted by its receipt: once, as what is said to the room.
        if let Some(slot) = self.peers.touch(id) {
            let bytes = slot.connection.queue.len().saturating_sub(before);
            slot.connection.spend_answer(bytes, &self.limits, now.moment);
        }
    }

    /// Tells one connection why something could not be done.
    pub(super) fn send_error(&mut self, id: PeerId, problem: Problem) {
        self.answer(id, Event::Error(problem));
    }

    /// Sends an event to one member alone.
    fn answer(&mut self, id: PeerId, event: Event<'_>) {
        let Some(slot) = self.peers.touch(id) else { return };
        let Some(state) = slot.stay.room().and_then(|room| self.rooms.get(room)) else { return };
        if slot.connection.may_be_sent_to() {
            slot.connection.queue.append_own(|out| append_event(out, event, state.room.name()));
        }
    }

    fn take_name(&mut self, id: PeerId, seat: Seat, name: &str, now: Moment) -> Result<(), Problem> {
        // Before it is looked at: it is the looking that costs most, whatever it finds.
        self.count_change(id, now)?;
        let to = Name::chosen(name).map_err(Problem::Name)?;
        let Some(slot) = self.peers.touch(id) else { return Ok(()) };
        let Some(room) = slot.stay.room() else { return Ok(()) };
        slot.stay.step(Trigger::Asked);
        self.log.append(room, Entry::Changed(Change::Renamed { who: id.member(), seat, to }));
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
            Some(Changes::TooMany) => Err(Problem::SlowDown),
            _ => Ok(()),
        }
    }

    /// Says something to one member only, at once: it is kept nowhere, so there is nothing that it has to wait for.
    fn whisper(&mut self, id: PeerId, seat: Seat, to: &str, text: &str, now: Now) -> Result<(), Problem> {
        let Some(slot) = self.peers.get(id) else { return Ok(()) };
        let Some(state) = slot.stay.room().and_then(|room| self.rooms.get(room)) else { return Ok(()) };
        let receiver_seat = state.room.find(to).ok_or(Problem::NoSuchName)?;
        let names = (state.room.name_of(seat), state.room.name_of(receiver_seat));
        let (Some(from), Some(to)) = names else { return Err(Problem::NoSuchName) };
        let receiver = state.room.member(receiver_seat).and_then(PeerId::of).ok_or(Problem::NoSuchName)?;
        // A member can be spoken to until it begins to leave, and not once it has hung up; one that still catches up has
        // enough to read.
        match self.peers.get(receiver).filter(|slot| slot.connection.state() != State::HungUp) {
            Some(slot) if slot.stay.membership() == Membership::CatchingUp => return Err(Problem::ReceiverBusy),
            Some(slot) if matches!(slot.stay.membership(), Membership::Member | Membership::Waiting) => {}
            _ => return Err(Problem::NoSuchName),
        }
        let mut frame = Vec::new();
        append_event(&mut frame, Event::Private { from, to, unix_ms: now.unix_ms, text }, state.room.name());
        self.hand_over(receiver, &frame, now.moment)?;
        // The receipt. Who talks to themselves needs to hear it only once.
        if receiver != id
            && let Some(slot) = self.peers.touch(id)
        {
            slot.connection.queue.append_own(|out| out.extend_from_slice(&frame));
        }
        Ok(())
    }

    /// Queues a private message, unless too much waits for the receiver already. Nobody is closed for what one other
    /// says: it is the sender who has to wait.
    fn hand_over(&mut self, id: PeerId, frame: &[u8], now: Moment) -> Result<(), Problem> {
        let Some(slot) = self.peers.touch(id) else { return Err(Problem::NoSuchName) };
        if !slot.connection.may_be_sent_to() {
            return Err(Problem::NoSuchName);
        }
        let sent = slot.drain_to(self.limits.private_queue_bytes(), &self.limits, now);
        if matches!(sent, Sent::AsFarAsPossible) {
            slot.connection.queue.append_own(|out| out.extend_from_slice(frame));
        }
        match sent {
            Sent::AsFarAsPossible => Ok(()),
            Sent::OwesTooMuch => Err(Problem::ReceiverBusy),
            // Its socket has failed.
            Sent::SomethingChanged => Err(Problem::NoSuchName),
        }
    }

    fn list_users(&mut self, id: PeerId) -> Result<(), Problem> {
        let Some(slot) = self.peers.touch(id) else { return Ok(()) };
        let Some(state) = slot.stay.room().and_then(|room| self.rooms.get_mut(room)) else { return Ok(()) };
        let (room, online) = (state.room.name().clone(), state.room.online());
        let event = Event::Users { online, users: state.users.of(&state.room), is_unasked: false };
        slot.connection.queue.append_own(|out| append_event(out, event, &room));
        Ok(())
    }

    /// Answers with the page of messages before that id: out of the scrollback, if it has all of them, else when the history
    /// has found them.
    fn look_back(&mut self, id: PeerId, before: u64) -> Result<(), Problem> {
        let Some(slot) = self.peers.touch(id) else { return Ok(()) };
        let Some(state) = slot.stay.room().and_then(|room| self.rooms.get(room)) else { return Ok(()) };
        let size = page_size(Wanted::Before(before), &self.limits);
        let Before { newest_first, more } = state.before(before, size);
        if !more && self.log.reach() == Reach::Older && newest_first.len() < size.messages {
            slot.stay.step(Trigger::Asked);
            self.page_requests.push(id, Wanted::Before(before));
            // It is asked for at the end of this turn's commit.
            return Ok(());
        }
        // A full page may end just where the scrollback does: that there is nothing more, the next page says.
        let more = more || self.log.reach() == Reach::Older;
        let messages = json_array(newest_first.iter().rev().copied());
        let count = newest_first.len();
        self.answer(id, Event::History { before, messages: &messages, count, more });
        self.page_is_queued(id);
        Ok(())
    }

    /// Older messages have been found, or not.
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
