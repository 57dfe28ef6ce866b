//! The hub: every connection with its socket, the room they are in, and the turn that moves all of them on.
//!
//! # The turn
//! [`Hub::turn`] is beats two to five of the loop's five; the first, waiting, is the event loop's.
//!
//! 2. **read**: connections that are ready read into the one scratch buffer, each within its budget. Whoever is not done
//!    stays on a list, for an edge does not repeat.
//! 3. **commit**: what was said goes to the history; what comes back, in order and with ids, is encoded once.
//! 4. **write**: every member is sent that one chunk, with one write; what its socket does not take, it owes.
//! 5. **reap**: connections that ended leave the room and free their slots. Only here: an event that is still under way
//!    for this turn can never meet a slot that somebody else has taken over.
//!
//! # What it does not know
//! mio, `std::net`, the clock. A socket is anything with [`Read`], [`Write`] and [`Socket`], so that tests script short
//! writes, resets and slow readers without a kernel.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::io::{self, ErrorKind, Read, Write};
use std::ops::Range;
use std::rc::Rc;

use log::{debug, info};
use slab::Slab;

use crate::chat::event::ErrorCode;
use crate::chat::{Event, Name, Room, Seat};
use crate::connection::{Connection, Due, Incoming, Phase, State};
use crate::ending::Ending;
use crate::history::{Committed, Entry, History};
use crate::http::route::{Audience, Endpoint, Site};
use crate::limits::Limits;
use crate::moment::{Moment, Now};
use crate::tail::Tail;
use crate::websocket::{Input, frame};
use crate::write_queue::{Flushed, TurnChunk};

/// What one turn takes in from all connections together: bytes read, and for each message its text and
/// [`MESSAGE_INTAKE_BYTES`]. It bounds how long the turn takes and how large its chunk becomes: about six times this, if
/// every character has to be escaped. Those left over come first in the next turn.
const INTAKE_BYTES_PER_TURN: usize = 1024 * 1024;

/// What an event adds to its text: the keys, the name, the numbers. Without it, messages of one letter would make a chunk
/// of twenty times the bytes that were read.
const MESSAGE_INTAKE_BYTES: usize = 128;

/// Frames taken from one connection in one turn, before the others have theirs. A turn lasts as long as writing what it
/// took in, so this bounds how long one who floods a room makes the next speaker wait: 32 short messages are 4 KiB for
/// each member, and writing 4 KiB takes little longer than writing one message. Ten who send ten at a time are not held up.
const FRAMES_PER_TURN: usize = 32;

/// Slots kept beyond `--max-connections` for those who are told that the daemon is full.
const TURNED_AWAY_AT_ONCE: usize = 64;

/// What the hub needs of a socket besides reading and writing. All three never block.
pub trait Socket: Read + Write {
    /// Shuts the writing half: the peer sees the end of our stream, and can still send.
    ///
    /// # Errors
    /// What the system says; the connection is broken then.
    fn shut_down_writing(&mut self) -> io::Result<()>;
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

/// See the module.
pub struct Hub<S> {
    limits: Limits,
    site: Site,
    slots: Slab<Slot<S>>,
    next_serial: u32,
    room: Room<PeerId>,
    history: Box<dyn History<PeerId>>,
    /// What the room heard last.
    tail: Tail,
    /// The id of the newest message that anybody has been sent; 0 before the first.
    last_id: u64,
    /// Visitors so far; the newest is called after it.
    tourists: u64,
    /// Members with `?quiet=1`. While there are none, their chunk is not made.
    quiet_members: usize,

    /// What the room hears this turn.
    everything: TurnChunk,
    /// The same for quiet members: the messages only.
    messages_only: TurnChunk,
    /// The frames that a newcomer is sent as the past. Made when one comes, valid until somebody speaks.
    replay: Option<Rc<[u8]>>,
    /// The one buffer that all connections read into.
    scratch: Vec<u8>,

    /// Connections that may have something to read. Each is on it at most once (`Slot::is_to_read`).
    to_read: VecDeque<PeerId>,
    /// Connections whose queue is to be flushed at the end of the turn, each at most once (`Slot::is_to_flush`).
    to_flush: VecDeque<PeerId>,
    /// Connections that may have ended.
    to_reap: Vec<PeerId>,
    /// Members that leave in this turn, and the part of the chunk that each is still to see.
    leavers: Vec<(PeerId, Range<usize>)>,
    /// What this turn has taken in so far; see [`INTAKE_BYTES_PER_TURN`].
    intake_bytes: usize,
    /// Something was appended to the history that has not been asked back.
    is_to_commit: bool,
    /// Deadlines. An entry may be out of date: the connection's own deadline decides when its time comes.
    timers: BinaryHeap<Reverse<(Moment, PeerId)>>,
    /// How many connections have ended, by [`Ending::name`].
    endings: BTreeMap<&'static str, u64>,
}

struct Slot<S> {
    socket: S,
    connection: Connection,
    serial: u32,
    /// This member's part of the turn's chunk begins here: 0, except for one who joined in the middle of it.
    chunk_from: usize,
    membership: Membership,
    audience: Audience,
    /// The poller said so, and no read has shown the contrary.
    is_readable: bool,
    /// The end of the stream is waiting behind what can be read.
    is_hung_up: bool,
    is_to_read: bool,
    is_to_flush: bool,
    /// Its last flush was stopped by a full socket.
    is_blocked: bool,
    /// The earliest entry in the heap of timers.
    armed: Moment,
    /// What was read before the connection had to rest.
    unread: Option<Box<Unread>>,
    /// Who it is in the log, until it has come in. Boxed twice: eight bytes less for all those who have.
    from: Option<Box<Box<str>>>,
}

struct Unread {
    bytes: Vec<u8>,
    taken: usize,
}

/// A connection's way through the room. Each step is announced through the history, and taken when it comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Membership {
    /// Not in the room: a plain request, `/echo`, or gone again.
    None,
    Coming(Name),
    Seated(Seat),
    Going(Seat),
    /// It left before it was there.
    GoingUnseated(Name),
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
            room: Room::new("lobby", limits.presence_members),
            history,
            tail: Tail::new(limits.kept),
            last_id: 0,
            tourists: 0,
            quiet_members: 0,
            everything: TurnChunk::default(),
            messages_only: TurnChunk::default(),
            replay: None,
            scratch: vec![0; limits.read_budget_bytes],
            to_read: VecDeque::new(),
            to_flush: VecDeque::new(),
            to_reap: Vec::new(),
            leavers: Vec::new(),
            intake_bytes: 0,
            is_to_commit: false,
            timers: BinaryHeap::new(),
            endings: BTreeMap::new(),
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
        let is_full = self.slots.len() >= self.limits.max_connections;
        let moment = now.moment;
        let connection = if is_full { Connection::turned_away(moment) } else { Connection::accepted(moment) };
        self.slots.insert(Slot {
            socket,
            connection,
            serial: id.serial,
            chunk_from: 0,
            membership: Membership::None,
            audience: Audience::Everything,
            is_readable: false,
            is_hung_up: false,
            is_to_read: false,
            is_to_flush: false,
            is_blocked: false,
            armed: Moment::NEVER,
            unread: None,
            from: Some(Box::new(from)),
        });
        self.next_serial = (self.next_serial.wrapping_add(1) as usize & LOW_HALF) as u32;
        self.touched(id);
        id
    }

    /// Notes what the poller reported. A report for a connection that is gone is nobody's.
    pub fn ready(&mut self, id: PeerId, readiness: Readiness) {
        let Some(slot) = slot_of(&mut self.slots, id) else { return };
        slot.is_readable |= readiness.readable;
        slot.is_hung_up |= readiness.hung_up;
        if slot.is_readable {
            enlist(&mut self.to_read, &mut slot.is_to_read, id);
        }
        if readiness.writable && !slot.connection.queue.is_empty() {
            enlist(&mut self.to_flush, &mut slot.is_to_flush, id);
        }
    }

    /// One turn: see the module.
    pub fn turn(&mut self, now: Now) {
        self.read(now);
        // After the reading: what has arrived in time is not late.
        self.fire_timers(now.moment);
        self.commit(now.moment);
        self.say_goodbye(now.moment);
        self.fan_out(now.moment);
        self.flush(now.moment);
        self.reap();
        #[cfg(debug_assertions)]
        self.check_invariants();
    }

    /// Whether another turn is needed although nothing may happen in between.
    #[must_use]
    pub fn has_work(&self) -> bool {
        self.is_to_commit || !self.to_read.is_empty() || !self.to_flush.is_empty() || !self.to_reap.is_empty()
    }

    /// When the next turn is needed at the latest.
    #[must_use]
    pub fn deadline(&self) -> Moment {
        let next_timer = self.timers.peek().map_or(Moment::NEVER, |Reverse((moment, _))| *moment);
        next_timer.min(self.room.deadline())
    }

    /// Says goodbye to everybody: 1001 to members, nothing to those who have not asked yet.
    pub fn shut_down(&mut self, now: Now) {
        let everybody: Vec<PeerId> = self.slots.iter().map(|(key, slot)| id_of(key, slot)).collect();
        for id in everybody {
            let Some(slot) = slot_of(&mut self.slots, id) else { continue };
            match slot.connection.state() {
                State::AwaitingHandshake => slot.connection.cut(Ending::ShutDown, now.moment),
                State::Open => self.close(id, Ending::ShutDown, now.moment),
                State::Closing(_) | State::Ended => {}
            }
            self.touched(id);
        }
    }

    /// Ends those who are still there: the time for goodbyes is over.
    pub fn cut_all(&mut self, now: Now) {
        for (key, slot) in &mut self.slots {
            slot.connection.cut(Ending::ShutDown, now.moment);
            self.to_reap.push(id_of(key, slot));
        }
        // Once to leave the room, and once more to free the slots of those who were in it.
        self.turn(now);
        self.turn(now);
    }

    /// The time that closing connections have.
    #[must_use]
    pub fn close_timeout(&self) -> std::time::Duration {
        self.limits.close_timeout
    }

    /// Connections in whatever state.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.slots.len()
    }

    /// How many connections have ended so far, by the name of their [`Ending`].
    #[must_use]
    pub fn endings(&self) -> &BTreeMap<&'static str, u64> {
        &self.endings
    }

    /// Bytes that wait in all queues, shared chunks counted once for each connection that waits for them.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        self.slots.iter().map(|(_, slot)| slot.connection.queue.len()).sum()
    }

    // ---- Beat two: read -------------------------------------------------------------------------------------------

    fn read(&mut self, now: Now) {
        let mut scratch = std::mem::take(&mut self.scratch);
        self.intake_bytes = 0;
        // Those who are not done go to the back of the list and have their next turn in the next turn.
        for _ in 0..self.to_read.len() {
            if self.intake_bytes >= INTAKE_BYTES_PER_TURN {
                break;
            }
            let Some(id) = self.to_read.pop_front() else { break };
            let Some(slot) = slot_of(&mut self.slots, id) else { continue };
            slot.is_to_read = false;
            self.read_from(id, &mut scratch, now);
            self.touched(id);
        }
        self.scratch = scratch;
    }

    /// What was left over of an earlier read of one connection, and then one read of it, at most.
    fn read_from(&mut self, id: PeerId, scratch: &mut [u8], now: Now) {
        let Some(slot) = slot_of(&mut self.slots, id) else { return };
        if slot.wants_bytes(&self.limits)
            && let Some(mut unread) = slot.unread.take()
        {
            unread.taken += self.digest(id, &mut unread.bytes[unread.taken..], now);
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
                // A short read has emptied the socket, and what comes later brings a new edge (epoll(7), question 9);
                // the end of the stream alone does not, when it was reported together with the bytes before it.
                if count < scratch.len() && !slot.is_hung_up {
                    slot.is_readable = false;
                }
                let taken = self.digest(id, &mut scratch[..count], now);
                if taken < count
                    && let Some(slot) = slot_of(&mut self.slots, id)
                {
                    slot.unread = Some(Box::new(Unread { bytes: scratch[taken..count].to_vec(), taken: 0 }));
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => slot.is_readable = false,
            // Still readable: `touched` has it tried again.
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => slot.connection.cut(Ending::Broken(error.kind()), now.moment),
        }
    }

    /// Deals with bytes of one connection; says how many of them. The rest must wait until it wants bytes again.
    fn digest(&mut self, id: PeerId, bytes: &mut [u8], now: Now) -> usize {
        let Some(slot) = slot_of(&mut self.slots, id) else { return 0 };
        let mut input = Input::new(bytes);
        for _ in 0..FRAMES_PER_TURN {
            match slot.connection.next(&mut input, &self.site, &self.limits, now.moment) {
                Incoming::Starved => return input.taken(),
                Incoming::Departing => {
                    self.leave_room(id, now.moment);
                    return input.taken() + input.rest().len();
                }
                Incoming::Upgraded(endpoint) => {
                    let from = slot.from.take().unwrap_or_default();
                    match endpoint {
                        Endpoint::Echo => info!("#{} from {from} came to /echo", id.serial),
                        Endpoint::Room(audience) => {
                            self.tourists += 1;
                            let name = Name::tourist(self.tourists);
                            slot.audience = audience;
                            slot.membership = Membership::Coming(name);
                            self.history.append(Entry::Came(id));
                            self.is_to_commit = true;
                            info!("#{} from {from} came to {} as {name}", id.serial, self.room.name());
                        }
                    }
                }
                Incoming::Text(text) => {
                    let text = without_newline(text);
                    self.intake_bytes += text.len() + MESSAGE_INTAKE_BYTES;
                    // Nobody speaks who has no seat: a newcomer is not read on before it has one.
                    if let Membership::Seated(seat) = slot.membership
                        && let Some(name) = self.room.name_of(seat)
                        && !text.is_empty()
                    {
                        self.history.append(Entry::Said { name, unix_ms: now.unix_ms, text });
                        self.is_to_commit = true;
                    }
                    slot.connection.spend_token(&self.limits, now.moment);
                }
                Incoming::Binary(_) => {
                    let event = Event::Error(ErrorCode::BinaryNotAccepted);
                    slot.connection.queue.append_own(|out| append_event(out, event, self.room.name()));
                    slot.connection.spend_token(&self.limits, now.moment);
                }
                Incoming::Handled => slot.connection.spend_token(&self.limits, now.moment),
            }
            if !slot.wants_bytes(&self.limits) {
                break;
            }
        }
        input.taken()
    }

    // ---- Beat three: commit ---------------------------------------------------------------------------------------

    /// Takes from the history what has happened and encodes it, once, in that order.
    fn commit(&mut self, now: Moment) {
        self.is_to_commit = false;
        while let Some(committed) = self.history.committed() {
            match committed {
                Committed::Said(message) => {
                    let start = self.everything.bytes.len();
                    append_event(&mut self.everything.bytes, Event::Message(message), self.room.name());
                    let frame = &self.everything.bytes[start..];
                    self.tail.push(frame);
                    if self.quiet_members > 0 {
                        self.messages_only.bytes.extend_from_slice(frame);
                    }
                    self.last_id = message.id;
                    self.replay = None;
                }
                Committed::Came(id) => self.enter(id, now),
                Committed::Went(id) => self.go(id, now),
            }
        }
        if let Some(count) = self.room.count_due(now) {
            append_event(&mut self.everything.bytes, count, self.room.name());
        }
    }

    /// A newcomer takes a seat. It is sent the welcome and the past now, and of this turn's chunk what comes after.
    fn enter(&mut self, id: PeerId, now: Moment) {
        let Some(slot) = slot_of(&mut self.slots, id) else { return };
        let (Membership::Coming(name) | Membership::GoingUnseated(name)) = slot.membership else { return };
        let (seat, news) = self.room.join(name, id, now);
        if let Some(news) = news {
            append_event(&mut self.everything.bytes, news, self.room.name());
        }
        slot.membership = match slot.membership {
            // Its going is already under way.
            Membership::GoingUnseated(_) => Membership::Going(seat),
            _ => Membership::Seated(seat),
        };
        match slot.audience {
            Audience::MessagesOnly => {
                self.quiet_members += 1;
                slot.chunk_from = self.messages_only.bytes.len();
            }
            Audience::Everything => {
                slot.chunk_from = self.everything.bytes.len();
                // No more than half of what may wait: a newcomer must not be too slow before it has read anything.
                let (most_messages, most_bytes) = (self.limits.replay_messages, self.limits.max_queue_bytes / 2);
                let replay = self.replay.get_or_insert_with(|| Rc::from(self.tail.newest(most_messages, most_bytes)));
                if slot.connection.may_be_sent_to() {
                    let room_name: Rc<str> = self.room.name().into();
                    let welcome = self.room.welcome(name, self.last_id);
                    slot.connection.queue.append_own(|out| append_event(out, welcome, &room_name));
                    slot.connection.queue.push_shared(Rc::clone(replay), 0..replay.len());
                }
            }
        }
        self.touched(id);
    }

    /// A member's going has come back from the history: all that it is still to see has been encoded. Its last messages
    /// among them: a script that says something and leaves waits for the answer (websocat does).
    fn go(&mut self, id: PeerId, now: Moment) {
        let Some(slot) = slot_of(&mut self.slots, id) else { return };
        let Membership::Going(seat) = slot.membership else { return };
        slot.membership = Membership::None;
        let chunk = match slot.audience {
            Audience::Everything => &self.everything,
            Audience::MessagesOnly => {
                self.quiet_members -= 1;
                &self.messages_only
            }
        };
        self.leavers.push((id, std::mem::take(&mut slot.chunk_from)..chunk.bytes.len()));
        if let Some(news) = self.room.leave(seat, now) {
            append_event(&mut self.everything.bytes, news, self.room.name());
        }
        self.touched(id);
    }

    // ---- Beat four: write -----------------------------------------------------------------------------------------

    /// Queues for each leaver its part of the chunk, whatever it owes already, and behind that the answer to its Close.
    fn say_goodbye(&mut self, now: Moment) {
        for (id, part) in std::mem::take(&mut self.leavers) {
            let Some(slot) = slot_of(&mut self.slots, id) else { continue };
            let chunk = match slot.audience {
                Audience::Everything => &mut self.everything,
                Audience::MessagesOnly => &mut self.messages_only,
            };
            if slot.connection.may_be_sent_to() && !part.is_empty() {
                slot.connection.queue.push_shared(chunk.share(), part);
            }
            slot.connection.depart(now);
            self.touched(id);
        }
    }

    /// Sends the turn's chunk to every member: at once where nothing is owed, behind what is owed elsewhere.
    fn fan_out(&mut self, now: Moment) {
        if self.everything.bytes.is_empty() {
            return;
        }
        let mut to_close = Vec::new();
        let mut to_touch = Vec::new();
        for id in self.room.audience() {
            let Some(slot) = slot_of(&mut self.slots, id) else { continue };
            let chunk = match slot.audience {
                Audience::Everything => &mut self.everything,
                Audience::MessagesOnly => &mut self.messages_only,
            };
            let part = std::mem::take(&mut slot.chunk_from)..chunk.bytes.len();
            match slot.send_part(chunk, part, &self.limits, now) {
                Sent::AsFarAsPossible => {}
                Sent::SomethingChanged => to_touch.push(id),
                Sent::OwesTooMuch => to_close.push(id),
            }
        }
        self.everything.clear();
        self.messages_only.clear();
        for id in to_touch {
            self.touched(id);
        }
        for id in to_close {
            self.close(id, Ending::TooSlow, now);
        }
    }

    /// Writes out what is queued for single connections, within each one's budget.
    fn flush(&mut self, now: Moment) {
        for _ in 0..self.to_flush.len() {
            let Some(id) = self.to_flush.pop_front() else { break };
            let Some(slot) = slot_of(&mut self.slots, id) else { continue };
            slot.is_to_flush = false;
            let connection = &mut slot.connection;
            if connection.state() == State::Ended {
                continue;
            }
            let before = connection.queue.len();
            let flushed = connection.queue.flush_to(&mut slot.socket, self.limits.write_budget_bytes);
            if slot.is_blocked && connection.queue.len() < before {
                connection.progressed(now);
            }
            slot.is_blocked = matches!(flushed, Ok(Flushed::Blocked));
            match flushed {
                Ok(Flushed::Everything) => {
                    if connection.flushed(now)
                        && let Err(error) = slot.socket.shut_down_writing()
                    {
                        connection.cut(Ending::Broken(error.kind()), now);
                    }
                }
                Ok(Flushed::Budget) => enlist(&mut self.to_flush, &mut slot.is_to_flush, id),
                Ok(Flushed::Blocked) => {}
                Err(error) => connection.write_failed(Ending::Broken(error.kind()), now),
            }
            self.touched(id);
        }
    }

    // ---- Beat five: reap ------------------------------------------------------------------------------------------

    fn reap(&mut self) {
        for id in std::mem::take(&mut self.to_reap) {
            let Some(slot) = slot_of(&mut self.slots, id) else { continue };
            if slot.connection.state() != State::Ended {
                continue;
            }
            // A member is missed by its room first; its slot is freed when its going has come back.
            self.announce_going(id);
            let Some(slot) = slot_of(&mut self.slots, id) else { continue };
            if slot.membership != Membership::None {
                continue;
            }
            let slot = self.slots.remove(id.slot as usize);
            let ending = slot.connection.ending().unwrap_or(Ending::PeerVanished);
            *self.endings.entry(ending.name()).or_default() += 1;
            match slot.from {
                Some(from) => info!("#{} from {from}: {ending}", id.serial),
                None => info!("#{} left: {ending}", id.serial),
            }
        }
        // After a rush, its memory is given back.
        for list in [&mut self.to_read, &mut self.to_flush] {
            if list.is_empty() {
                list.shrink_to(64);
            }
        }
        if self.slots.is_empty() && self.slots.capacity() > 64 {
            self.slots = Slab::new();
            self.timers = BinaryHeap::new();
            debug!("all have left: memory for connections given back");
        }
    }

    // ---- Between the beats ----------------------------------------------------------------------------------------

    /// Does what is due. Each connection has one deadline, a function of its state, and at least one entry in the heap
    /// no later than it. Traffic moves the deadline away without touching the heap; the entry finds that out.
    fn fire_timers(&mut self, now: Moment) {
        let mut due = Vec::new();
        while let Some(Reverse((moment, id))) = self.timers.peek().copied()
            && moment <= now
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
        for (moment, id) in due {
            let Some(slot) = slot_of(&mut self.slots, id) else { continue };
            if slot.armed == moment {
                slot.armed = Moment::NEVER;
            }
            if slot.connection.on_deadline(&self.limits, now) == Due::CloseSent {
                self.announce_going(id);
            }
            self.touched(id);
        }
    }

    fn close(&mut self, id: PeerId, ending: Ending, now: Moment) {
        let Some(slot) = slot_of(&mut self.slots, id) else { return };
        slot.connection.close(ending, now);
        self.announce_going(id);
        self.touched(id);
    }

    /// The peer is leaving. From the room it goes when the history says so; from `/echo` at once.
    fn leave_room(&mut self, id: PeerId, now: Moment) {
        self.announce_going(id);
        let Some(slot) = slot_of(&mut self.slots, id) else { return };
        if slot.membership == Membership::None {
            slot.connection.depart(now);
        }
        self.touched(id);
    }

    /// Tells the history, once, that a member goes.
    fn announce_going(&mut self, id: PeerId) {
        let Some(slot) = slot_of(&mut self.slots, id) else { return };
        slot.membership = match slot.membership {
            Membership::Coming(name) => Membership::GoingUnseated(name),
            Membership::Seated(seat) => Membership::Going(seat),
            Membership::None | Membership::Going(_) | Membership::GoingUnseated(_) => return,
        };
        self.history.append(Entry::Went(id));
        self.is_to_commit = true;
    }

    /// After anything that may have changed a connection: its end will be noticed, what is there for it read if it wants
    /// bytes again, what it has queued flushed, and its deadline kept.
    fn touched(&mut self, id: PeerId) {
        let Some(slot) = slot_of(&mut self.slots, id) else { return };
        if slot.connection.state() == State::Ended {
            self.to_reap.push(id);
            return;
        }
        if (slot.is_readable || slot.unread.is_some()) && slot.wants_bytes(&self.limits) {
            enlist(&mut self.to_read, &mut slot.is_to_read, id);
        }
        // A closing connection is flushed even with nothing queued: that is how it learns that it is done.
        let is_done = matches!(slot.connection.state(), State::Closing(Phase::Flushing | Phase::FlushingLast));
        if (is_done || !slot.connection.queue.is_empty()) && !slot.is_blocked {
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
        let mut seated = 0;
        let mut quiet = 0;
        for (key, slot) in &self.slots {
            let id = id_of(key, slot);
            let connection = &slot.connection;
            assert_eq!(slot.chunk_from, 0, "{id:?} has had its part of the chunk");
            assert!(
                connection.queue.is_empty()
                    || slot.is_blocked
                    || slot.is_to_flush
                    || connection.state() == State::Ended,
                "{id:?} has something queued that nobody will flush"
            );
            assert!(
                connection.state() == State::Ended || slot.armed <= connection.deadline(&self.limits),
                "{id:?} has a deadline that nobody will keep"
            );
            let has_bytes = slot.is_readable || slot.unread.is_some();
            assert!(
                !(has_bytes && slot.wants_bytes(&self.limits)) || slot.is_to_read,
                "{id:?} has something to read that nobody will read"
            );
            if let Membership::Seated(seat) | Membership::Going(seat) = slot.membership {
                seated += 1;
                quiet += usize::from(slot.audience == Audience::MessagesOnly);
                assert!(self.room.name_of(seat).is_some());
            }
        }
        assert_eq!(seated, self.room.online(), "every seat has its connection");
        assert_eq!(quiet, self.quiet_members);
    }
}

/// How sending a part of a chunk to one member went.
enum Sent {
    /// Written, or queued behind a socket that is known to be full.
    AsFarAsPossible,
    /// There is something to flush, or the connection has broken.
    SomethingChanged,
    /// It owes more than it may already.
    OwesTooMuch,
}

impl<S: Socket> Slot<S> {
    /// Bytes from this peer would be of use. A newcomer is not read on before it has its seat: its welcome comes first,
    /// and whatever it has said goes behind its own coming.
    fn wants_bytes(&self, limits: &Limits) -> bool {
        !matches!(self.membership, Membership::Coming(_)) && self.connection.wants_bytes(limits)
    }

    /// Sends a part of the turn's chunk: with one write if nothing is owed, else by queueing a reference.
    fn send_part(&mut self, chunk: &mut TurnChunk, part: Range<usize>, limits: &Limits, now: Moment) -> Sent {
        if part.is_empty() || !self.connection.may_be_sent_to() {
            return Sent::AsFarAsPossible;
        }
        let queue = &mut self.connection.queue;
        // A queue may have grown because of our own write budget. Nobody is too slow whose socket takes more.
        if queue.cost() > limits.max_queue_bytes && !self.is_blocked {
            match queue.flush_to(&mut self.socket, usize::MAX) {
                Ok(flushed) => self.is_blocked = flushed == Flushed::Blocked,
                Err(error) => {
                    self.connection.write_failed(Ending::Broken(error.kind()), now);
                    return Sent::SomethingChanged;
                }
            }
        }
        if !queue.is_empty() {
            // The rule is about what it owes, not about what comes: one large turn makes nobody slow.
            if queue.cost() > limits.max_queue_bytes {
                return Sent::OwesTooMuch;
            }
            queue.push_shared(chunk.share(), part);
            return Sent::AsFarAsPossible;
        }
        match self.socket.write(&chunk.bytes[part.clone()]) {
            Ok(count) if count == part.len() => Sent::AsFarAsPossible,
            Ok(count) => {
                queue.push_shared(chunk.share(), part.start + count..part.end);
                Sent::SomethingChanged
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                queue.push_shared(chunk.share(), part);
                self.is_blocked = true;
                Sent::AsFarAsPossible
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {
                queue.push_shared(chunk.share(), part);
                Sent::SomethingChanged
            }
            Err(error) => {
                self.connection.write_failed(Ending::Broken(error.kind()), now);
                Sent::SomethingChanged
            }
        }
    }
}

fn append_event(out: &mut Vec<u8>, event: Event<'_>, room: &str) {
    frame::append_text_with(out, |out| event.write_json(room, out));
}

/// The slot of `id`, unless that connection is gone. A function of the slab alone, so that the hub's other fields stay
/// free to be used beside it.
fn slot_of<S>(slots: &mut Slab<Slot<S>>, id: PeerId) -> Option<&mut Slot<S>> {
    slots.get_mut(id.slot as usize).filter(|slot| slot.serial == id.serial)
}

fn id_of<S>(key: usize, slot: &Slot<S>) -> PeerId {
    PeerId { slot: key as u32, serial: slot.serial }
}

fn enlist(list: &mut VecDeque<PeerId>, is_listed: &mut bool, id: PeerId) {
    if !std::mem::replace(is_listed, true) {
        list.push_back(id);
    }
}

/// websocat sends the newline that ended the line; a message does not have it.
fn without_newline(text: &str) -> &str {
    text.strip_suffix('\n').map_or(text, |line| line.strip_suffix('\r').unwrap_or(line))
}
