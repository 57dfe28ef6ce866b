//! Beat two: connections that are ready are read, and what they said is put into the log.

use log::info;

use super::log_port::LogPort;
use super::member_life::Stay;
use super::peers::{PeerId, ReportedEnd, Unread, WasRead};
use super::reap::log_answer;
use super::room_state::RoomState;
use super::rooms::Rooms;
use super::{Hub, Socket};
use crate::chat::command::BadCommand;
use crate::chat::message::message_bytes;
use crate::chat::visit::Visit;
use crate::chat::{Command, Kind, NewEntry, NewMessage, Problem, Spoken};
use crate::close_reason::CloseReason;
use crate::connection::{Departure, Incoming};
use crate::door::Endpoint;
use crate::gate::{Caller, Credentials};
use crate::limits::Limits;
use crate::limits::fixed::{FRAMES_PER_TURN, INTAKE_BYTES_PER_TURN, MEMBERS_PER_INTAKE, MESSAGE_INTAKE_BYTES};
use crate::moment::{Moment, Now};
use crate::websocket::{Input, Violation};

/// A request of one peer that needs the whole hub. It is rare: nearly every frame is a message, which only goes into the log.
enum Request {
    /// To join a room.
    Join(Visit, Credentials, Caller),
    /// A command.
    Command(Command),
    /// Something that looks like a command and is none.
    BadCommand(BadCommand),
    /// A binary message.
    Binary,
    /// To leave. No further frame of it is taken.
    Leave,
}

/// What became of a line of a member.
#[derive(Default)]
struct TakenLine {
    /// It is a request, which is still to be done.
    request: Option<Request>,
    /// Bytes that it counts against the turn's intake, besides its own.
    intake_bytes: usize,
    /// Bytes that it counts against the member's rate.
    said_bytes: usize,
    /// The room's share is spent with it.
    is_share_spent: bool,
}

/// Frames of one connection that are taken in one turn.
struct Pass<'a> {
    input: Input<'a>,
    frames: usize,
    /// Nothing more is taken in this turn, even if something is left.
    is_over: bool,
}

impl<S: Socket> Hub<S> {
    /// Reads from all connections that are ready, as far as this turn may.
    pub(super) fn read(&mut self, now: Now, reported_until: Moment) {
        self.note_reported_ends(now.moment);
        self.peers.begin_reading(reported_until);
        let mut scratch = std::mem::take(&mut self.scratch);
        self.intake_bytes = 0;
        let is_behind = self.log.is_behind();
        for _ in 0..self.peers.count_to_read() {
            if self.intake_bytes >= INTAKE_BYTES_PER_TURN {
                break;
            }
            let Some(id) = self.peers.next_to_read() else { break };
            if self.is_held_back(id, is_behind, now.moment) {
                continue;
            }
            self.read_from(id, &mut scratch, now);
        }
        if !is_behind {
            self.read_from_lines(&mut scratch, now);
        }
        self.scratch = scratch;
        self.tell_address_news();
        // After the reading, and only up to where that has come: what arrived in time is not late.
        let read_until = self.peers.end_reading();
        self.fire_timers(read_until, now.moment);
    }

    /// Handles hang-ups and failures before the reading: the connection may be throttled, and then it is not read.
    fn note_reported_ends(&mut self, now: Moment) {
        for (id, end) in self.peers.take_reported_ends() {
            let Some(peer) = self.peers.touch(id) else { continue };
            match end {
                ReportedEnd::HungUp => peer.connection.hung_up(&self.limits, now),
                ReportedEnd::Failed => {
                    let reason = CloseReason::Broken(peer.socket.failure());
                    peer.connection.failed(reason, &self.limits, now);
                }
            }
        }
    }

    /// Whether a member is not read now, because the log is behind or its room's share is spent.
    fn is_held_back(&mut self, id: PeerId, is_behind: bool, now: Moment) -> bool {
        let Some(slot) = self.peers.get(id) else { return false };
        let Some((room, _)) = slot.stay.speaker() else { return false };
        let has_to_wait = self.limits.room_byte_rate.is_some()
            && self.rooms.get(room).is_some_and(|state| state.share.has_to_wait(&self.limits, now));
        if is_behind {
            self.peers.throttle(id);
        } else if has_to_wait {
            self.peers.stand_in_line(id);
            self.rooms.queue_up(room, id);
        }
        is_behind || has_to_wait
    }

    /// Reads from the members that stand in line, as far as the shares of their rooms allow.
    fn read_from_lines(&mut self, scratch: &mut [u8], now: Now) {
        for room in self.rooms.take_lines() {
            while self.intake_bytes < INTAKE_BYTES_PER_TURN
                && let Some(id) = self.rooms.next_in_line(room, &self.limits, now.moment)
            {
                // It has left the line since, and perhaps stands in another.
                if self.peers.touch(id).is_some_and(|peer| peer.stay.room() == Some(room) && peer.was_called()) {
                    self.read_from(id, scratch, now);
                }
            }
            self.rooms.keep_line(room);
        }
    }

    /// Takes what was left over from an earlier read of a connection, and then reads it once at most.
    fn read_from(&mut self, id: PeerId, scratch: &mut [u8], now: Now) {
        if self.peers.get(id).is_some_and(|slot| slot.unread.is_some()) {
            self.take_unread(id, now);
        }
        self.read_once(id, scratch, now);
        self.peers.has_been_read(id);
    }

    fn take_unread(&mut self, id: PeerId, now: Now) {
        let Some(mut unread) = self.peers.touch(id).and_then(|peer| peer.take_unread(&self.limits)) else { return };
        unread.taken += self.process_input(id, &mut unread.bytes[unread.taken..], now);
        if unread.taken < unread.bytes.len()
            && let Some(peer) = self.peers.touch(id)
        {
            peer.unread = Some(unread);
        }
    }

    fn read_once(&mut self, id: PeerId, scratch: &mut [u8], now: Now) {
        let Some(peer) = self.peers.touch(id) else { return };
        match peer.read(scratch, &self.limits) {
            WasRead::Nothing => {}
            WasRead::End => {
                let departure = peer.connection.finished_by_peer(now.moment);
                if departure == Departure::Departing {
                    self.leave_room(id, now.moment);
                }
            }
            WasRead::Bytes(count) => {
                peer.connection.heard(now.moment);
                self.intake_bytes += count;
                let taken = self.process_input(id, &mut scratch[..count], now);
                if taken < count
                    && let Some(peer) = self.peers.touch(id)
                {
                    peer.unread = Some(Box::new(Unread { bytes: scratch[taken..count].to_vec(), taken: 0 }));
                }
            }
            WasRead::Failed(kind) => peer.connection.cut(CloseReason::Broken(kind), now.moment),
        }
    }

    /// Processes bytes of one connection and returns how many. The rest waits until the connection wants bytes again.
    fn process_input(&mut self, id: PeerId, bytes: &mut [u8], now: Now) -> usize {
        let mut pass = Pass { input: Input::new(bytes), frames: 0, is_over: false };
        while let Some(request) = self.take_frames(id, &mut pass, now) {
            match request {
                Request::Join(visit, shown, from) => self.arrive(id, visit, (shown, from), now.moment),
                Request::Command(command) => self.run_command(id, command, now),
                Request::BadCommand(fault) => self.refuse_command(id, fault, now.moment),
                Request::Binary => self.send_error(id, Problem::BinaryNotAccepted),
                Request::Leave => {
                    let reason = self.peers.get(id).and_then(|slot| slot.connection.close_reason());
                    if reason == Some(CloseReason::Violated(Violation::MessageTooBig)) {
                        self.send_error(id, Problem::MessageTooBig);
                    }
                    self.leave_room(id, now.moment);
                    return pass.input.taken() + pass.input.rest().len();
                }
            }
        }
        pass.input.taken()
    }

    /// Takes frames while they are messages. Returns a request that needs the whole hub, and is called again after that.
    fn take_frames(&mut self, id: PeerId, pass: &mut Pass<'_>, now: Now) -> Option<Request> {
        let slot = self.peers.touch(id)?;
        let Hub { limits, .. } = self;
        while !pass.is_over {
            let has_had_its_share =
                pass.frames >= FRAMES_PER_TURN || (pass.frames > 0 && self.intake_bytes >= INTAKE_BYTES_PER_TURN);
            // When nothing is left, the connection is asked once more: it then forgets what it has delivered.
            if has_had_its_share && !pass.input.rest().is_empty() || !slot.wants_bytes(limits) {
                break;
            }
            pass.frames += 1;
            if let Some(trace) = &mut self.trace {
                trace.receives(id, slot.connection.state(), pass.input.rest());
            }
            match slot.connection.next(&mut pass.input, &self.site, &mut self.addresses, limits, now.moment) {
                Incoming::NeedMore | Incoming::Finished => break,
                Incoming::Answered => log_answer(id, &mut slot.connection),
                Incoming::Departing => return Some(Request::Leave),
                Incoming::Upgraded(endpoint, from) => {
                    slot.upgraded(limits, now.moment);
                    match endpoint {
                        Endpoint::Room(visit, shown) => return Some(Request::Join(visit, shown, from)),
                        Endpoint::Echo => info!("#{} from {from} came to /echo", id.serial),
                    }
                }
                Incoming::Text(text) => {
                    let author = (id, slot.stay);
                    let taken = take_line(text, author, &mut self.rooms, &mut self.log, limits, now);
                    self.intake_bytes += text.len() + MESSAGE_INTAKE_BYTES + taken.intake_bytes;
                    slot.connection.spend_message(taken.said_bytes, limits, now.moment);
                    pass.is_over = taken.is_share_spent;
                    if taken.request.is_some() {
                        return taken.request;
                    }
                }
                Incoming::Binary(_) => {
                    slot.connection.spend_token(limits, now.moment);
                    return Some(Request::Binary);
                }
                Incoming::Handled => slot.connection.spend_token(limits, now.moment),
            }
        }
        None
    }
}

/// Takes one line of a member: a message goes into the log, a command is returned.
fn take_line(
    line: &str,
    (id, stay): (PeerId, Stay),
    rooms: &mut Rooms,
    log: &mut LogPort,
    limits: &Limits,
    now: Now,
) -> TakenLine {
    let mut taken = TakenLine::default();
    // Only a member with a seat speaks: a newcomer is not read on before it has one.
    let Some((room, seat)) = stay.speaker() else { return taken };
    let Some(RoomState { room: members, share, .. }) = rooms.get_mut(room) else { return taken };
    let Some(name) = members.name_of(seat) else { return taken };
    let tag = members.tag_of(seat);
    let (kind, text) = match Spoken::parse(line) {
        Ok(Spoken::Nothing) => return taken,
        Ok(Spoken::Say(text)) => (Kind::Message, text),
        Ok(Spoken::Act(text)) => (Kind::Action, text),
        Ok(Spoken::Command(command)) => {
            taken.request = Some(Request::Command(command));
            return taken;
        }
        Err(fault) => {
            taken.request = Some(Request::BadCommand(fault));
            return taken;
        }
    };
    taken.intake_bytes = delivery_cost(text, members.connections());
    log.append(room, NewEntry::said(id.member(), NewMessage { name, tag, unix_ms: now.unix_ms, kind, text }));
    if limits.rate.is_some() || limits.room_byte_rate.is_some() {
        taken.said_bytes = message_bytes(members.name(), (name, tag), text);
        taken.is_share_spent = share.charge(id, taken.said_bytes, limits, now.moment);
    }
    taken
}

/// What a message costs besides its bytes: it is written to all members of the room.
pub(super) fn delivery_cost(text: &str, members: usize) -> usize {
    (text.len() + MESSAGE_INTAKE_BYTES).saturating_mul(members / MEMBERS_PER_INTAKE)
}
