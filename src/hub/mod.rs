//! The hub: every connection with its socket, the rooms they are in, and the turn that moves all of them on.
//!
//! Reading order: this file has the turn and what it does with sockets; `slot` is one connection's place in it,
//! `rooms` who hears what, `share` how much a room may say, `log_port` what goes to the log and comes back, `membership` how
//! members come and go, `commands` what becomes of a command, `pages` what the history is asked for, `memory` what all
//! may hold together, `trace` all of it frame by frame in the log.
//!
//! # The turn
//! [`Hub::turn`] is beats two to five of the loop's five; the first, waiting, is the event loop's.
//!
//! 2. **read**: connections that are ready read into the one scratch buffer, each within its budget. Whoever is not done
//!    stays on a list, for an edge does not repeat.
//! 3. **commit**: what was said has gone to the history; what comes back, room by room in order and with ids, is encoded
//!    once.
//! 4. **write**: every member is sent the one chunk of its room, with one write; what its socket does not take, it
//!    owes.
//! 5. **reap**: connections that ended leave the room and free their slots. Only here: an event that is still under way
//!    for this turn can never meet a slot that somebody else has taken over.
//!
//! # What it does not know
//! mio, `std::net`, the clock. A socket is anything with [`Read`], [`Write`] and [`Socket`], so that tests script short
//! writes, resets and slow readers without a kernel.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::io::{self, ErrorKind, Read, Write};
use std::time::Duration;

use log::{Level, debug, info, log};
use slab::Slab;

use self::log_port::LogPort;
use self::membership::{Leaver, NOWHERE};
pub use self::memory::Gauge;
use self::memory::Memory;
use self::pages::PageRequests;
use self::rooms::{RoomState, Rooms};
use self::slot::{Arrival, Departed, Membership, Sent, Slot, Unread, enlist, id_of, slot_of};
use self::trace::FrameTrace;
use crate::chat::event::message_bytes;
use crate::chat::{Kind, Problem, Spoken};
use crate::close_reason::CloseReason;
use crate::connection::{Connection, Due, Incoming, Phase, State};
use crate::history::{Condition, Entry, History, Outcome, Stored, Wanted};
use crate::http::Refusal;
use crate::http::route::{Endpoint, Health, Site, Verbosity};
use crate::limits::Limits;
use crate::limits::fixed::{
    FLUSH_BYTES_PER_TURN, FRAMES_PER_TURN, INTAKE_BYTES_PER_TURN, MEMBERS_PER_INTAKE, TURNED_AWAY_AT_ONCE,
};
use crate::moment::{Moment, Now};
use crate::websocket::{Input, Violation};
use crate::write_queue::Flushed;

mod commands;
mod log_port;
mod membership;
mod memory;
mod pages;
mod rooms;
mod share;
mod slot;
mod trace;

/// What an event adds to its text: the keys, the name, the numbers. Without it, messages of one letter would make a chunk
/// of twenty times the bytes that were read.
const MESSAGE_INTAKE_BYTES: usize = 128;

/// What a flush counts besides its bytes: a call of the system takes about as long as copying so many.
const FLUSH_CALL_BYTES: usize = 4 * 1024;

/// What the hub needs of a socket besides reading and writing. None of it ever blocks.
pub trait Socket: Read + Write {
    /// Shuts the writing half: the peer sees the end of our stream, and can still send.
    ///
    /// # Errors
    /// What the system says; the connection is broken then.
    fn shut_down_writing(&mut self) -> io::Result<()>;

    /// Why the socket has failed, when the poller has reported that it has. A peer's reset is the usual reason.
    fn failure(&mut self) -> ErrorKind {
        ErrorKind::ConnectionReset
    }
}

/// A connection, named so that a late event cannot mean another one: its slot, and a serial that no two occupants of
/// that slot share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PeerId {
    slot: u32,
    serial: u32,
}

/// Bits of a `usize` for the slot and for the serial: 32 each, or 16 on a 32-bit machine.
const HALF: u32 = usize::BITS / 2;
const LOW_HALF: usize = usize::MAX >> HALF;

impl PeerId {
    /// As one number, to be handed to the poller and back.
    #[must_use]
    pub fn to_token(self) -> usize {
        (self.serial as usize) << HALF | self.slot as usize
    }

    /// The reverse of [`PeerId::to_token`].
    #[must_use]
    pub fn from_token(token: usize) -> PeerId {
        PeerId { slot: (token & LOW_HALF) as u32, serial: (token >> HALF) as u32 }
    }
}

/// What the poller reports of a socket.
#[derive(Debug, Clone, Copy, Default)]
pub struct Readiness {
    /// There is something to read, or the end of the stream, or an error to collect.
    pub readable: bool,
    /// The socket takes bytes again.
    pub writable: bool,
    /// The peer has finished: what can be read ends with the end of the stream.
    pub hung_up: bool,
}

/// What the poller has reported of a connection's end.
#[derive(Debug, Clone, Copy)]
enum ReportedEnd {
    /// The peer's stream ends behind what can be read.
    HungUp,
    /// The socket has failed.
    Failed,
}

/// Once around the list of connections to be read. A turn may not come to its end, and those who are not done are added
/// at its end; so the round ends whatever is sent meanwhile, and a flood puts off nobody's deadline for long.
#[derive(Debug)]
struct Round {
    /// What had arrived by then has been reported.
    until: Moment,
    /// So many from the front of the list were on it when the round began.
    left: usize,
}

/// See the module.
pub struct Hub<S> {
    limits: Limits,
    site: Site,
    slots: Slab<Slot<S>>,
    next_serial: u32,
    rooms: Rooms,
    log: LogPort,
    /// Parts of the past that were asked of the history, or are to be.
    page_requests: PageRequests,
    /// How much memory is in use, and what to do about it.
    memory: Memory,
    /// The one buffer that all connections read into.
    scratch: Vec<u8>,

    /// Connections that may have something to read. Each is on it at most once (`Slot::is_to_read`).
    to_read: VecDeque<PeerId>,
    /// Members that have something to read while the history has fallen behind: on no other list until it has caught up,
    /// so that the loop can sleep.
    held_up: Vec<PeerId>,
    /// Connections whose queue is to be flushed at the end of the turn, each at most once (`Slot::is_to_flush`).
    to_flush: VecDeque<PeerId>,
    /// Connections whose end the poller has reported since the last turn: nothing of it depends on their being read.
    reported_ends: Vec<(PeerId, ReportedEnd)>,
    /// Connections whose socket has failed: they end in this turn unless more can be read of them at once.
    failing: Vec<PeerId>,
    /// Connections that may have ended.
    to_reap: Vec<PeerId>,
    /// Members whose connection is gone and freed, while the history still has their going: their rooms count them until
    /// it comes back, which on a disk that hangs may be never.
    departed: BTreeMap<PeerId, Departed>,
    /// Members that leave their room in this turn, each with what it is still to see.
    leavers: Vec<Leaver>,
    /// New names that only their bearers are told, behind what they have said under the old one.
    behind_chunk: Vec<(PeerId, Vec<u8>)>,
    /// What this turn has taken in so far; see [`INTAKE_BYTES_PER_TURN`].
    intake_bytes: usize,
    /// How far the reading of those who were there to be read has come.
    round: Round,
    /// All that had arrived by then has been read once, but for those who are not read on purpose. No deadline after it
    /// has passed yet.
    read_until: Moment,
    /// Deadlines. An entry may be out of date: the connection's own deadline decides when its time comes.
    timers: BinaryHeap<Reverse<(Moment, PeerId)>>,
    /// Who leaves its room now is told that the daemon ends.
    is_shutting_down: bool,
    /// How many connections have ended, by [`CloseReason::name`].
    endings: BTreeMap<&'static str, u64>,
    /// Draws every frame, if the log is to hold that.
    trace: Option<FrameTrace>,
}

impl<S: Socket> Hub<S> {
    /// A hub without connections.
    #[must_use]
    pub fn new(limits: Limits, site: Site, history: Box<dyn History<PeerId>>) -> Hub<S> {
        Hub {
            limits,
            site,
            slots: Slab::new(),
            next_serial: 1,
            rooms: Rooms::new(),
            log: LogPort::new(history),
            page_requests: PageRequests::default(),
            memory: Memory::unmeasured(),
            scratch: vec![0; limits.read_budget_bytes],
            to_read: VecDeque::new(),
            held_up: Vec::new(),
            to_flush: VecDeque::new(),
            reported_ends: Vec::new(),
            failing: Vec::new(),
            to_reap: Vec::new(),
            departed: BTreeMap::new(),
            leavers: Vec::new(),
            behind_chunk: Vec::new(),
            intake_bytes: 0,
            round: Round { until: Moment::START, left: 0 },
            read_until: Moment::START,
            timers: BinaryHeap::new(),
            is_shutting_down: false,
            endings: BTreeMap::new(),
            trace: FrameTrace::if_logged(),
        }
    }

    /// What the next accepted connection will be called: to be registered with the poller before it is handed over.
    #[must_use]
    pub fn next_id(&self) -> PeerId {
        PeerId { slot: self.slots.vacant_key() as u32, serial: self.next_serial }
    }

    /// Whether another connection can be taken in, be it only to be told that the daemon is full. While it cannot, the
    /// others wait in the listener's backlog.
    #[must_use]
    pub fn can_accept(&self) -> bool {
        self.slots.len() < self.limits.max_connections.saturating_add(TURNED_AWAY_AT_ONCE).min(LOW_HALF)
    }

    /// Takes in a connection under [`Hub::next_id`]. `from` is who it is in the log.
    pub fn accept(&mut self, socket: S, from: Box<str>, now: Now) -> PeerId {
        let id = self.next_id();
        // Those who are gone and still counted in their rooms cost memory as well.
        let is_full = self.slots.len().max(self.departed.len()) >= self.limits.max_connections;
        let moment = now.moment;
        let connection = if is_full {
            Connection::turned_away(Refusal::Full, moment)
        } else if self.memory.is_tight(moment) {
            Connection::turned_away(Refusal::OutOfMemory, moment)
        } else {
            Connection::accepted(moment)
        };
        self.slots.insert(Slot {
            socket,
            connection,
            serial: id.serial,
            room: NOWHERE,
            membership: Membership::None,
            chunk_from: 0,
            is_readable: false,
            is_hung_up: false,
            is_to_read: false,
            is_to_flush: false,
            took_nothing: false,
            is_stalled: false,
            is_in_line: false,
            armed: Moment::NEVER,
            unread: None,
            arrival: Some(Box::new(Arrival::Handshaking { from })),
        });
        self.next_serial = (self.next_serial.wrapping_add(1) as usize & LOW_HALF) as u32;
        self.reschedule(id);
        id
    }

    /// Notes what the poller reported. A report for a connection that is gone is nobody's.
    pub fn ready(&mut self, id: PeerId, readiness: Readiness) {
        let Some(slot) = slot_of(&mut self.slots, id) else { return };
        slot.is_readable |= readiness.readable;
        if readiness.hung_up && !std::mem::replace(&mut slot.is_hung_up, true) {
            self.reported_ends.push((id, ReportedEnd::HungUp));
            // Before those who come in this turn and may want its name.
            if slot.is_readable && !std::mem::replace(&mut slot.is_to_read, true) {
                self.to_read.push_front(id);
                self.round.left += 1;
            }
        }
        if slot.is_readable {
            enlist(&mut self.to_read, &mut slot.is_to_read, id);
        }
        if readiness.writable && !slot.connection.queue.is_empty() {
            enlist(&mut self.to_flush, &mut slot.is_to_flush, id);
        }
    }

    /// Notes that the poller has reported an error of the socket: a reset, or a peer that cannot be reached any more.
    pub fn failed(&mut self, id: PeerId) {
        self.reported_ends.push((id, ReportedEnd::Failed));
    }

    /// One turn, when the poller has reported all that had arrived by now: see the module.
    pub fn turn(&mut self, now: Now) {
        self.turn_amid(now, now.moment);
    }

    /// The same when the poller may have more to report: all that had arrived by `reported_until`, and not all since.
    pub fn turn_amid(&mut self, now: Now, reported_until: Moment) {
        self.note_reported_ends(now.moment);
        if self.round.left == 0 {
            self.round = Round { until: reported_until, left: self.to_read.len() };
        }
        self.read(now);
        if self.round.left == 0 {
            self.read_until = self.round.until;
        }
        // After the reading, and no further than that has come: what has arrived in time is not late.
        self.fire_timers(self.read_until, now.moment);
        self.commit(now);
        self.say_goodbye(now.moment);
        if let Some(trace) = &self.trace {
            trace.sends_to_rooms(&self.rooms);
        }
        self.fan_out(now.moment);
        self.tell_renamed();
        if let Some(trace) = &self.trace {
            trace.sends_to_single_ones(&mut self.slots, &self.to_flush);
        }
        self.flush(now.moment);
        self.end_failing();
        self.keep_to_budget(now.moment);
        self.reap();
        #[cfg(debug_assertions)]
        self.check_invariants();
    }

    /// Whether another turn is needed although nothing may happen in between.
    #[must_use]
    pub fn has_work(&self) -> bool {
        self.log.is_to_commit()
            || self.page_requests.has_work()
            || !self.to_read.is_empty()
            || !self.to_flush.is_empty()
            || !self.to_reap.is_empty()
    }

    /// When the next turn is needed at the latest.
    #[must_use]
    pub fn deadline(&self) -> Moment {
        let next_timer = self.timers.peek().map_or(Moment::NEVER, |Reverse((moment, _))| *moment);
        // While the history has fallen behind nobody speaks, whatever is left of a share.
        let next_in_line = if self.log.is_behind() { Moment::NEVER } else { self.rooms.lines_deadline(&self.limits) };
        next_timer.min(self.rooms.deadline()).min(next_in_line)
    }

    /// Says goodbye to everybody: 1001 to members, once they have had what was said before; nothing to those who have not
    /// asked yet.
    pub fn shut_down(&mut self, now: Now) {
        self.is_shutting_down = true;
        let everybody: Vec<PeerId> = self.slots.iter().map(|(key, slot)| id_of(key, slot)).collect();
        for id in everybody {
            let Some(slot) = slot_of(&mut self.slots, id) else { continue };
            match slot.connection.state() {
                State::AwaitingHandshake => slot.connection.cut(CloseReason::ShutDown, now.moment),
                // Its last words may be under way: the Close comes when its going has come back, behind them.
                State::Open | State::HungUp if slot.membership != Membership::None => self.announce_going(id),
                State::Open | State::HungUp => self.close(id, CloseReason::ShutDown, now.moment),
                State::Closing(_) | State::Ended => {}
            }
            self.reschedule(id);
        }
    }

    /// Ends those who are still there: the time for goodbyes is over.
    pub fn cut_all(&mut self, now: Now) {
        for (key, slot) in &mut self.slots {
            slot.connection.cut(CloseReason::ShutDown, now.moment);
            self.to_reap.push(id_of(key, slot));
        }
        self.turn(now);
    }

    /// The time for goodbyes was over so long ago: to cut off ten thousand takes a moment, and the history is to make up for
    /// it when it is dropped.
    pub fn is_late(&mut self, late: Duration) {
        self.log.is_late(late);
    }

    /// The time that closing connections have.
    #[must_use]
    pub fn close_timeout(&self) -> Duration {
        self.limits.close_timeout
    }

    /// Connections in whatever state.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.slots.len()
    }

    /// How many connections have ended so far, by the name of their [`CloseReason`].
    #[must_use]
    pub fn endings(&self) -> &BTreeMap<&'static str, u64> {
        &self.endings
    }

    /// Bytes that wait in all queues, shared chunks counted once for each connection that waits for them.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        self.slots.iter().map(|(_, slot)| slot.connection.queue.len()).sum()
    }

    /// How things stand, for the log.
    #[must_use]
    pub fn status(&self) -> String {
        let (connections, rooms, queued_bytes) = (self.connections(), self.rooms.count(), self.queued_bytes());
        let ended: u64 = self.endings.values().sum();
        format!("{connections} connections, {ended} have ended; {rooms} rooms; {queued_bytes} bytes wait for readers")
    }

    // ---- Beat two: read -------------------------------------------------------------------------------------------

    /// Ends do not wait to be read: a connection may rest, or may be held up by the history.
    fn note_reported_ends(&mut self, now: Moment) {
        for (id, end) in std::mem::take(&mut self.reported_ends) {
            let Some(slot) = slot_of(&mut self.slots, id) else { continue };
            match end {
                ReportedEnd::HungUp => slot.connection.hung_up(&self.limits, now),
                ReportedEnd::Failed => {
                    let ending = CloseReason::Broken(slot.socket.failure());
                    slot.connection.failed(ending, &self.limits, now);
                }
            }
            self.reschedule(id);
        }
    }

    fn read(&mut self, now: Now) {
        let mut scratch = std::mem::take(&mut self.scratch);
        self.intake_bytes = 0;
        let is_behind = self.log.is_behind();
        // Those who are not done go to the back of the list and have their next turn in the next turn.
        for _ in 0..self.to_read.len() {
            if self.intake_bytes >= INTAKE_BYTES_PER_TURN {
                break;
            }
            let Some(id) = self.to_read.pop_front() else { break };
            self.round.left = self.round.left.saturating_sub(1);
            let Some(slot) = slot_of(&mut self.slots, id) else { continue };
            if is_behind && matches!(slot.membership, Membership::Seated(_)) {
                self.held_up.push(id);
                continue;
            }
            if self.limits.room_byte_rate.is_some()
                && matches!(slot.membership, Membership::Seated(_))
                && let Some(state) = self.rooms.get(slot.room)
                && state.share.has_to_wait(&self.limits, now.moment)
            {
                slot.is_in_line = true;
                self.rooms.queue_up(slot.room, id);
                continue;
            }
            slot.is_to_read = false;
            self.read_from(id, &mut scratch, now);
            self.reschedule(id);
        }
        if !is_behind {
            self.read_from_lines(&mut scratch, now);
        }
        self.scratch = scratch;
    }

    /// Reads from those who stand in line, as long as their rooms have something left to be said.
    fn read_from_lines(&mut self, scratch: &mut [u8], now: Now) {
        for room in self.rooms.take_lines() {
            while self.intake_bytes < INTAKE_BYTES_PER_TURN
                && let Some(id) = self.rooms.next_in_line(room, &self.limits, now.moment)
            {
                let Some(slot) = slot_of(&mut self.slots, id) else { continue };
                // Others have left the line, and perhaps come to another.
                if slot.room == room && std::mem::take(&mut slot.is_in_line) {
                    slot.is_to_read = false;
                    self.read_from(id, scratch, now);
                    self.reschedule(id);
                }
            }
            self.rooms.keep_line(room);
        }
    }

    /// What was left over of an earlier read of one connection, and then one read of it, at most.
    fn read_from(&mut self, id: PeerId, scratch: &mut [u8], now: Now) {
        let Some(slot) = slot_of(&mut self.slots, id) else { return };
        if slot.wants_bytes(&self.limits)
            && let Some(mut unread) = slot.unread.take()
        {
            unread.taken += self.process_input(id, &mut unread.bytes[unread.taken..], now);
            if unread.taken < unread.bytes.len()
                && let Some(slot) = slot_of(&mut self.slots, id)
            {
                slot.unread = Some(unread);
            }
        }

        let Some(slot) = slot_of(&mut self.slots, id) else { return };
        if !slot.is_readable || slot.unread.is_some() || !slot.wants_bytes(&self.limits) {
            return;
        }
        match slot.socket.read(scratch) {
            // The end of the stream stays readable: a later state may want to hear of it again.
            Ok(0) => {
                let incoming = slot.connection.finished_by_peer(now.moment);
                if matches!(incoming, Incoming::Departing) {
                    self.leave_room(id, now.moment);
                }
            }
            Ok(count) => {
                self.intake_bytes += count;
                slot.connection.heard(now.moment);
                // A short read has emptied the socket, and what comes later brings a new edge (epoll(7), question 9);
                // the end of the stream alone does not, when it was reported together with the bytes before it.
                if count < scratch.len() && !slot.is_hung_up {
                    slot.is_readable = false;
                }
                let taken = self.process_input(id, &mut scratch[..count], now);
                if taken < count
                    && let Some(slot) = slot_of(&mut self.slots, id)
                {
                    slot.unread = Some(Box::new(Unread { bytes: scratch[taken..count].to_vec(), taken: 0 }));
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => slot.is_readable = false,
            // Still readable: `reschedule` has it tried again.
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => slot.connection.cut(CloseReason::Broken(error.kind()), now.moment),
        }
    }

    /// Deals with bytes of one connection; says how many of them. The rest must wait until it wants bytes again.
    fn process_input(&mut self, id: PeerId, bytes: &mut [u8], now: Now) -> usize {
        let mut input = Input::new(bytes);
        for nth in 0.. {
            let has_had_its_share = nth >= FRAMES_PER_TURN || (nth > 0 && self.intake_bytes >= INTAKE_BYTES_PER_TURN);
            // When nothing is left, the connection is asked once more: it then forgets what it has delivered.
            if has_had_its_share && !input.rest().is_empty() {
                break;
            }
            let Some(slot) = slot_of(&mut self.slots, id) else { break };
            if !slot.wants_bytes(&self.limits) {
                break;
            }
            if let Some(trace) = &mut self.trace {
                trace.receives(id, slot.connection.state(), input.rest());
            }
            match slot.connection.next(&mut input, &self.site, &self.limits, now.moment) {
                Incoming::NeedMore => break,
                Incoming::Departing => {
                    if slot.connection.ending() == Some(CloseReason::Violated(Violation::MessageTooBig)) {
                        self.send_error(id, Problem::MessageTooBig);
                    }
                    self.leave_room(id, now.moment);
                    return input.taken() + input.rest().len();
                }
                Incoming::Upgraded(Endpoint::Echo) => {
                    if slot.is_hung_up {
                        slot.connection.hung_up(&self.limits, now.moment);
                    }
                    if let Some(Arrival::Handshaking { from }) = slot.arrival.take().as_deref() {
                        info!("#{} from {from} came to /echo", id.serial);
                    }
                }
                Incoming::Upgraded(Endpoint::Room(visit)) => {
                    if slot.is_hung_up {
                        slot.connection.hung_up(&self.limits, now.moment);
                    }
                    self.arrive(id, visit, now.moment);
                }
                Incoming::Text(text) => {
                    self.intake_bytes += text.len() + MESSAGE_INTAKE_BYTES;
                    let mut command = None;
                    let mut bytes = 0;
                    let mut is_share_spent = false;
                    // Nobody speaks who has no seat: a newcomer is not read on before it has one.
                    if let Membership::Seated(seat) = slot.membership
                        && let Some(RoomState { room, share, .. }) = self.rooms.get_mut(slot.room)
                        && let Some(name) = room.name_of(seat)
                    {
                        let said = match Spoken::parse(text) {
                            Ok(Spoken::Nothing) => None,
                            Ok(Spoken::Say(text)) => Some((Kind::Message, text)),
                            Ok(Spoken::Act(text)) => Some((Kind::Action, text)),
                            // Commands are rare, and the whole hub is needed for them: a copy.
                            _ => {
                                command = Some(text.to_owned());
                                None
                            }
                        };
                        if let Some((kind, text)) = said {
                            self.intake_bytes += delivery_cost(text, room.online());
                            let entry = Entry::Said { speaker: id, name, unix_ms: now.unix_ms, kind, text };
                            self.log.append(slot.room, entry);
                            if self.limits.rate.is_some() || self.limits.room_byte_rate.is_some() {
                                bytes = message_bytes(room.name(), name, text);
                                is_share_spent = share.charge(id, bytes, &self.limits, now.moment);
                            }
                        }
                    }
                    slot.connection.spend_message(bytes, &self.limits, now.moment);
                    if let Some(command) = command {
                        self.run_command(id, &command, now);
                    }
                    if is_share_spent {
                        break;
                    }
                }
                Incoming::Binary(_) => {
                    slot.connection.spend_token(&self.limits, now.moment);
                    self.send_error(id, Problem::BinaryNotAccepted);
                }
                Incoming::Handled => slot.connection.spend_token(&self.limits, now.moment),
            }
        }
        input.taken()
    }

    // ---- Beat three: commit ---------------------------------------------------------------------------------------

    /// Takes from the history what has happened and encodes it, once, in that order.
    fn commit(&mut self, now: Now) {
        self.log.begin_commit(now);
        let mut delivered_bytes = 0;
        while let Some((room, outcome)) = self.log.next() {
            match outcome {
                Outcome::Said(message) => {
                    let members = self.rooms.get(room).map_or(0, |state| state.room.online());
                    delivered_bytes += message.text.len() + MESSAGE_INTAKE_BYTES + delivery_cost(message.text, members);
                    self.rooms.say(room, message, &self.limits, now.moment);
                    // A disk gives back at once what many turns have taken in. The rest is for the next turns.
                    if delivered_bytes >= INTAKE_BYTES_PER_TURN {
                        self.log.put_off();
                        break;
                    }
                }
                Outcome::Refused(speaker) => self.send_error(speaker, Problem::HistoryUnavailable),
                Outcome::Opened { last_id, newest } => {
                    self.rooms.opened(room, last_id, newest.iter().map(Stored::as_message));
                }
                Outcome::Came(id) => self.enter(id, now.moment),
                Outcome::Renamed(id) => self.rename(id, now.moment),
                Outcome::Went(id) => self.go(id, now.moment),
                Outcome::Read { reader, wanted: Wanted::After(since), page } => {
                    self.page_requests.came_back(room);
                    self.enter_with(reader, since, page, now.moment);
                }
                Outcome::Read { reader, wanted: Wanted::Before(before), page } => {
                    self.page_requests.came_back(room);
                    self.show_older(reader, before, page, now.moment);
                }
            }
        }
        self.site.health = match self.log.condition() {
            Condition::Good => Health::Good,
            Condition::Damaged => Health::PastIsDamaged,
            Condition::CannotKeep => Health::CannotKeep,
        };
        for room in self.rooms.forget_surplus(&self.limits) {
            self.forget(room);
        }
        self.ask_for_pages(now.moment);
        self.rooms.tell_counts(now.moment);
        // Who is leaving says nothing more, and is not held up; who is gone is forgotten.
        let is_behind = self.log.is_behind();
        self.held_up.retain(|id| {
            let Some(slot) = slot_of(&mut self.slots, *id) else { return false };
            let is_held_up = is_behind && matches!(slot.membership, Membership::Seated(_));
            if !is_held_up {
                self.to_read.push_back(*id);
            }
            is_held_up
        });
    }

    // ---- Beat four: write -----------------------------------------------------------------------------------------

    /// Sends each room's chunk to all its members: at once where nothing is owed, behind what is owed elsewhere.
    // Apart from the rest of the turn, so that what else a turn does takes no registers from this loop.
    #[inline(never)]
    fn fan_out(&mut self, now: Moment) {
        let stirred = self.rooms.take_stirred();
        let mut to_close = Vec::new();
        let mut to_touch = Vec::new();
        for key in &stirred {
            let Some(RoomState { room, everything, messages_only, .. }) = self.rooms.get_mut(*key) else { continue };
            if everything.bytes.is_empty() {
                continue;
            }
            for id in room.audience() {
                let Some(slot) = slot_of(&mut self.slots, id) else { continue };
                let chunk = match slot.connection.verbosity {
                    Verbosity::Everything => &mut *everything,
                    Verbosity::MessagesOnly => &mut *messages_only,
                };
                let part = std::mem::take(&mut slot.chunk_from) as usize..chunk.bytes.len();
                match slot.send_part(chunk, part, &self.limits, now) {
                    Sent::AsFarAsPossible => {}
                    Sent::SomethingChanged => to_touch.push(id),
                    Sent::OwesTooMuch => to_close.push(id),
                }
            }
        }
        self.rooms.heard(stirred);
        for id in to_touch {
            self.reschedule(id);
        }
        for id in to_close {
            self.close(id, CloseReason::TooSlow, now);
        }
    }

    /// Writes out what is queued for single connections, within each one's budget and that of the turn.
    fn flush(&mut self, now: Moment) {
        let mut flushed_bytes = 0;
        for _ in 0..self.to_flush.len() {
            if flushed_bytes >= FLUSH_BYTES_PER_TURN {
                break;
            }
            let Some(id) = self.to_flush.pop_front() else { break };
            let Some(slot) = slot_of(&mut self.slots, id) else { continue };
            slot.is_to_flush = false;
            let connection = &mut slot.connection;
            if connection.state() == State::Ended {
                continue;
            }
            let before = connection.queue.len();
            let flushed = connection.queue.flush_to(&mut slot.socket, self.limits.write_budget_bytes);
            flushed_bytes += before - connection.queue.len() + FLUSH_CALL_BYTES;
            if connection.queue.len() < before {
                (slot.took_nothing, slot.is_stalled) = (false, false);
                if connection.is_blocked {
                    connection.progressed(now);
                }
            }
            connection.is_blocked = matches!(flushed, Ok(Flushed::Blocked));
            if connection.queue.len() <= self.limits.piece_bytes()
                && let Some(catch_up) = slot.catch_up()
                && std::mem::take(&mut catch_up.is_reading)
            {
                self.page_requests.has_read(id);
            }
            let connection = &mut slot.connection;
            match flushed {
                Ok(Flushed::Everything) => {
                    connection.is_page_queued = false;
                    if connection.flushed(now)
                        && let Err(error) = slot.socket.shut_down_writing()
                    {
                        connection.cut(CloseReason::Broken(error.kind()), now);
                    }
                }
                Ok(Flushed::Budget) => enlist(&mut self.to_flush, &mut slot.is_to_flush, id),
                Ok(Flushed::Blocked) => {}
                Err(error) => connection.failed(CloseReason::Broken(error.kind()), &self.limits, now),
            }
            self.reschedule(id);
        }
    }

    // ---- Beat five: reap ------------------------------------------------------------------------------------------

    /// A connection whose socket has failed is read as long as nothing holds that up, and not a moment longer.
    fn end_failing(&mut self) {
        for id in std::mem::take(&mut self.failing) {
            let is_behind = self.log.is_behind();
            let Some(slot) = slot_of(&mut self.slots, id) else { continue };
            let is_held_up = slot.is_in_line || is_behind && matches!(slot.membership, Membership::Seated(_));
            if slot.connection.has_failed() && (is_held_up || !slot.has_bytes() || !slot.wants_bytes(&self.limits)) {
                slot.connection.cut_off();
                self.to_reap.push(id);
            }
        }
    }

    fn reap(&mut self) {
        for id in std::mem::take(&mut self.to_reap) {
            let Some(slot) = slot_of(&mut self.slots, id) else { continue };
            if slot.connection.state() != State::Ended {
                continue;
            }
            // A member is missed by its room when its going has come back. The socket does not wait for that.
            self.announce_going(id);
            let slot = self.slots.remove(id.slot as usize);
            if slot.membership != Membership::None {
                let Slot { room, membership, .. } = slot;
                let verbosity = slot.connection.verbosity;
                self.departed.insert(id, Departed { room, membership, verbosity });
            }
            if let Some(Arrival::Moving { to }) = slot.arrival.as_deref() {
                self.leave_empty(*to);
            }
            let ending = slot.connection.ending().unwrap_or(CloseReason::PeerVanished);
            if let Some(trace) = &mut self.trace {
                trace.ended(id);
            }
            *self.endings.entry(ending.name()).or_default() += 1;
            match slot.arrival.as_deref() {
                Some(Arrival::Handshaking { from }) => log_request(id, from, &slot.connection, ending),
                _ => info!("#{} left: {ending}", id.serial),
            }
        }
        // After a rush, its memory is given back.
        for list in [&mut self.to_read, &mut self.to_flush] {
            if list.is_empty() {
                list.shrink_to(64);
            }
        }
        if self.slots.is_empty() && self.timers.capacity() > 64 {
            self.slots = Slab::new();
            self.timers = BinaryHeap::new();
            debug!("all have left: memory for connections given back");
        }
    }

    // ---- Between the beats ----------------------------------------------------------------------------------------

    /// Does what is due. Each connection has one deadline, a function of its state, and at least one entry in the heap
    /// no later than it. Traffic moves the deadline away without touching the heap; the entry finds that out.
    fn fire_timers(&mut self, due_by: Moment, now: Moment) {
        let mut due = Vec::new();
        while let Some(Reverse((moment, id))) = self.timers.peek().copied()
            && moment <= due_by
        {
            self.timers.pop();
            due.push((moment, id));
        }
        // Entries that are out of date would pile up where deadlines come closer again and again. Now and then the heap is
        // made anew; it is then as long as there are connections, so this costs each entry a constant.
        if self.timers.len() > 64 + 4 * self.slots.len() {
            self.timers.clear();
            for (key, slot) in &mut self.slots {
                slot.armed = slot.connection.deadline(&self.limits);
                if slot.armed != Moment::NEVER {
                    self.timers.push(Reverse((slot.armed, id_of(key, slot))));
                }
            }
        }
        let is_held_up = self.log.is_behind();
        for (moment, id) in due {
            let Some(slot) = slot_of(&mut self.slots, id) else { continue };
            if slot.armed == moment {
                slot.armed = Moment::NEVER;
            }
            // What we do not read, for the history has to come first or it is too much, may well be a sign of life.
            if slot.has_bytes() {
                let reads_its_past = slot.catch_up().is_some_and(|catch_up| catch_up.is_reading);
                if (slot.waits_for_history() && !reads_its_past) || slot.is_in_line || (is_held_up && slot.is_to_read) {
                    slot.connection.kept_waiting_for_history(&self.limits, due_by, now);
                } else if slot.connection.is_resting() || slot.is_to_read {
                    slot.connection.kept_waiting(&self.limits, due_by, now);
                }
            }
            match slot.connection.on_deadline(&self.limits, due_by, now) {
                Due::Nothing => {}
                Due::CloseSent => self.announce_going(id),
                Due::Departing => {
                    slot.unread = None;
                    self.leave_room(id, now);
                }
            }
            self.reschedule(id);
        }
    }

    fn close(&mut self, id: PeerId, ending: CloseReason, now: Moment) {
        let Some(slot) = slot_of(&mut self.slots, id) else { return };
        slot.connection.close(ending, now);
        self.announce_going(id);
        self.reschedule(id);
    }

    /// After anything that may have changed a connection: its end will be noticed, what is there for it read if it wants
    /// bytes again, what it has queued flushed, and its deadline kept.
    fn reschedule(&mut self, id: PeerId) {
        let Some(slot) = slot_of(&mut self.slots, id) else { return };
        if slot.connection.state() == State::Ended {
            self.to_reap.push(id);
            return;
        }
        if slot.connection.has_failed() {
            self.failing.push(id);
        }
        if slot.has_bytes() && slot.wants_bytes(&self.limits) {
            enlist(&mut self.to_read, &mut slot.is_to_read, id);
        }
        // A closing connection is flushed even with nothing queued: that is how it learns that it is done.
        let is_done = matches!(slot.connection.state(), State::Closing(Phase::Flushing | Phase::FlushingLast));
        if (is_done || !slot.connection.queue.is_empty()) && !slot.connection.is_blocked {
            enlist(&mut self.to_flush, &mut slot.is_to_flush, id);
        }
        let deadline = slot.connection.deadline(&self.limits);
        if deadline < slot.armed {
            slot.armed = deadline;
            self.timers.push(Reverse((deadline, id)));
        }
    }

    /// What must hold between turns. Checked after every turn of a debug build, and so in every test.
    #[cfg(debug_assertions)]
    fn check_invariants(&self) {
        let mut visitors = 0;
        let mut seated = 0;
        let mut quiet = 0;
        let mut to_read = 0;
        let mut in_line = 0;
        for (key, slot) in &self.slots {
            let id = id_of(key, slot);
            let connection = &slot.connection;
            assert_eq!(slot.chunk_from, 0, "{id:?} has had its part of the chunk");
            assert!(
                connection.queue.is_empty()
                    || slot.connection.is_blocked
                    || slot.is_to_flush
                    || connection.state() == State::Ended,
                "{id:?} has something queued that nobody will flush"
            );
            assert!(
                connection.state() == State::Ended || slot.armed <= connection.deadline(&self.limits),
                "{id:?} has a deadline that nobody will keep"
            );
            assert!(
                !(slot.has_bytes() && slot.wants_bytes(&self.limits)) || slot.is_to_read,
                "{id:?} has something to read that nobody will read"
            );
            to_read += usize::from(slot.is_to_read);
            in_line += usize::from(slot.is_in_line);
            assert!(
                !slot.is_in_line || self.rooms.get(slot.room).is_some_and(|state| state.share.has_line()),
                "{id:?} stands in no line"
            );
            visitors += usize::from(slot.membership != Membership::None);
            visitors += usize::from(matches!(slot.arrival.as_deref(), Some(Arrival::Moving { .. })));
            if let Some(seat) = slot.membership.seat() {
                seated += 1;
                quiet += usize::from(slot.connection.verbosity == Verbosity::MessagesOnly);
                assert!(self.rooms.get(slot.room).is_some_and(|state| state.room.name_of(seat).is_some()));
            }
        }
        for departed in self.departed.values() {
            visitors += 1;
            if let Some(seat) = departed.membership.seat() {
                seated += 1;
                quiet += usize::from(departed.verbosity == Verbosity::MessagesOnly);
                assert!(self.rooms.get(departed.room).is_some_and(|state| state.room.name_of(seat).is_some()));
            }
        }
        assert!(self.failing.is_empty(), "a socket has failed, and its connection goes on");
        assert!(to_read <= self.to_read.len() + self.held_up.len() + in_line, "somebody is to be read and on no list");
        self.rooms.check_invariants();
        // Sums over all rooms, for a table of each would cost the tests of allocations their meaning.
        let sum = |of: fn(&RoomState) -> usize| self.rooms.iter().map(of).sum::<usize>();
        assert_eq!(seated, sum(|state| state.room.online()), "every seat has its connection");
        assert_eq!(visitors, sum(RoomState::visitors), "a room lives as long as somebody is there");
        assert_eq!(quiet, sum(|state| state.quiet_members));
    }
}

/// What a message costs besides taking it in: it is written to all members of a large room.
fn delivery_cost(text: &str, members: usize) -> usize {
    (text.len() + MESSAGE_INTAKE_BYTES).saturating_mul(members / MEMBERS_PER_INTAKE)
}

/// The one line of a connection that never became a WebSocket.
fn log_request(id: PeerId, from: &str, connection: &Connection, ending: CloseReason) {
    let level = if ending.is_news_of_a_request() { Level::Info } else { Level::Debug };
    match connection.request_line() {
        Some(request) => log!(level, "#{} from {from}: {request}: {ending}", id.serial),
        None => log!(level, "#{} from {from}: {ending}", id.serial),
    }
}
