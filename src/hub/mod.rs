//! The hub: every connection with its socket, the rooms they are in, and the turn that moves all of them on.
//!
//! Reading order: this file has the turn; `read`, `commit`, `write` and `reap` are its beats, `timers` what is due in it.
//! They work on what has an owner of its own: `peers` has the connections and the lists of who is to be read, flushed,
//! woken or freed; `log_port` is what goes into the log and comes out; `rooms` has the rooms, `room_state` is one of them,
//! `past` what it can be asked of its past, `share` how much may be said in it, `member_life` the table of a membership.
//! Then what they do: `membership` how members come and go, `away` who may be back in a moment, `commands` what becomes of a
//! command, `pages` what the history is asked for, `memory` what all may hold together, `trace` all of it frame by frame in the log.
//!
//! # The turn
//! [`Hub::turn`] is beats two to five of the loop's five; the first, waiting, is the event loop's.
//!
//! 2. **read**: connections that are ready are read into the one scratch buffer, each within its budget. A connection that
//!    has more stays on a list, for an edge does not repeat.
//! 3. **commit**: what was said has gone to the history; what comes back, room by room in order and with ids, is encoded
//!    once.
//! 4. **write**: every member is sent the chunk of its room, with one write. What its socket does not take waits in its
//!    queue.
//! 5. **reap**: connections that ended leave their room and free their slots. Slots are freed only here, so no event of
//!    this turn can meet a slot that another connection has taken over.
//!
//! # What it does not know
//! mio, `std::net`, the clock. A socket is anything with [`Read`], [`Write`] and [`Socket`], so that tests script short
//! writes, resets and slow readers without a kernel.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read, Write};
use std::time::Duration;

use self::away::Away;
use self::log_port::LogPort;
pub use self::memory::Gauge;
use self::memory::Memory;
use self::outbox::Outbox;
use self::pages::PageRequests;
pub use self::peers::PeerId;
use self::peers::{Departed, Peers};
use self::rooms::Rooms;
use self::trace::FrameTrace;
use crate::chat::event::Told;
use crate::close_reason::CloseReason;
use crate::connection::State;
use crate::door::Site;
use crate::gate::{AddressPolicy, AddressTable, PeerAddress, PersonKey};
use crate::history::History;
use crate::limits::Limits;
use crate::limits::fixed::TURNED_AWAY_AT_ONCE;
use crate::moment::{Moment, Now};

mod addresses;
mod away;
mod commands;
mod commit;
#[cfg(debug_assertions)]
mod invariants;
mod log_port;
pub mod member_life;
mod membership;
mod memory;
mod outbox;
mod pages;
mod past;
mod peers;
mod read;
mod reap;
mod room_state;
mod rooms;
mod share;
mod stream;
mod timers;
mod trace;
mod write;

/// The target of the lines of the log that tell of connections, whatever file they come from: operators filter by it.
const LOG_TARGET: &str = "roomd::hub";

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
    /// Those that each welcome tells.
    told_limits: Told,
    site: Site,
    peers: Peers<S>,
    /// What each address has and does.
    addresses: AddressTable,
    rooms: Rooms,
    log: LogPort,
    /// Makes persons of the secrets that are shown. Without it, nobody is known again.
    person_key: Option<PersonKey>,
    outbox: Outbox,
    /// Parts of the past that were asked of the history, or are to be.
    page_requests: PageRequests,
    /// How much memory is in use, and what to do about it.
    memory: Memory,
    /// The one buffer that all connections read into.
    scratch: Vec<u8>,
    /// What this turn has taken in so far; see [`INTAKE_BYTES_PER_TURN`](crate::limits::fixed::INTAKE_BYTES_PER_TURN).
    intake_bytes: usize,
    /// Members whose connection has been freed while their `Left` entry is in the log. Their rooms count them until it comes
    /// back, which on a disk that hangs may be never.
    departed: BTreeMap<PeerId, Departed>,
    /// Persons who may be back in a moment.
    away: Away,
    /// A member that leaves its room now is told that the daemon ends.
    is_shutting_down: bool,
    /// How many connections have ended, by [`CloseReason::name`].
    endings: BTreeMap<&'static str, u64>,
    /// Draws every frame that is received, if the log is to hold that.
    trace: Option<FrameTrace>,
}

impl<S: Socket> Hub<S> {
    /// A hub without connections.
    #[must_use]
    pub fn new(limits: Limits, site: Site, history: Box<dyn History>) -> Hub<S> {
        Hub {
            told_limits: Told::new(limits.message.max_message_bytes, limits.presence_members),
            limits,
            site,
            peers: Peers::new(limits),
            addresses: AddressTable::new(&limits, AddressPolicy::default()),
            rooms: Rooms::new(),
            person_key: history.person_key().map(PersonKey::new),
            log: LogPort::new(history),
            outbox: Outbox::new(limits),
            page_requests: PageRequests::default(),
            memory: Memory::unmeasured(),
            scratch: vec![0; limits.read_budget_bytes],
            intake_bytes: 0,
            departed: BTreeMap::new(),
            is_shutting_down: false,
            away: Away::default(),
            endings: BTreeMap::new(),
            trace: FrameTrace::if_logged(),
        }
    }

    /// The id of the connection that is accepted next. The poller gets it before the hub gets the socket.
    #[must_use]
    pub fn next_id(&self) -> PeerId {
        self.peers.next_id()
    }

    /// Whether another connection can be accepted, if only to be told that the daemon is full. If not, connections wait in
    /// the listener's backlog.
    #[must_use]
    pub fn can_accept(&self) -> bool {
        self.peers.has_slot(self.limits.max_connections.saturating_add(TURNED_AWAY_AT_ONCE))
    }

    /// Takes in a connection of `peer` under [`Hub::next_id`].
    pub fn accept(&mut self, socket: S, peer: PeerAddress, now: Now) -> PeerId {
        let connection = self.connection_of(peer, now.moment);
        self.peers.insert(socket, connection)
    }

    /// Notes what the poller reported. A report for a connection that is gone is ignored.
    pub fn ready(&mut self, id: PeerId, readiness: Readiness) {
        self.peers.ready(id, readiness);
    }

    /// Notes that the poller has reported an error of the socket: a reset, or a peer that cannot be reached any more.
    pub fn failed(&mut self, id: PeerId) {
        self.peers.failed(id);
    }

    /// One turn, when the poller has reported all that had arrived by now: see the module.
    pub fn turn(&mut self, now: Now) {
        self.turn_amid(now, now.moment);
    }

    /// The same when the poller may have more to report: all that had arrived by `reported_until`, and not all since.
    pub fn turn_amid(&mut self, now: Now, reported_until: Moment) {
        self.read(now, reported_until);
        self.commit(now);
        self.write(now.moment);
        self.reap(now.moment);
        #[cfg(debug_assertions)]
        self.check_invariants();
    }

    /// Whether another turn is needed although nothing may happen in between.
    #[must_use]
    pub fn has_work(&self) -> bool {
        self.log.is_to_commit() || self.page_requests.has_work() || self.peers.have_work()
    }

    /// When the next turn is needed at the latest.
    #[must_use]
    pub fn deadline(&self) -> Moment {
        // While the log is behind, no member is read, even if its room has some of its share left.
        let next_in_line = if self.log.is_behind() { Moment::NEVER } else { self.rooms.lines_deadline(&self.limits) };
        self.peers
            .deadline()
            .min(self.rooms.deadline())
            .min(next_in_line)
            .min(self.page_requests.deadline())
            .min(self.away.deadline())
    }

    /// Says goodbye to everybody: 1001 to members, once they have had what was said before; nothing to those who have not
    /// asked yet.
    pub fn shut_down(&mut self, now: Now) {
        self.is_shutting_down = true;
        for id in self.peers.ids() {
            let Some(peer) = self.peers.touch(id) else { continue };
            match peer.connection.state() {
                State::AwaitingHandshake => peer.connection.cut(CloseReason::ShutDown, now.moment),
                // At once, or when its answer has been written.
                State::AwaitingNext => peer.connection.dismiss(now.moment),
                // Its last messages may be under way: its Close is queued behind them, when its `Left` entry comes back.
                State::Open | State::HungUp if peer.stay.room().is_some() => {
                    self.request_leave(id);
                }
                State::Open | State::HungUp => peer.connection.close(CloseReason::ShutDown, now.moment),
                State::Closing(_) | State::Ended => {}
            }
        }
    }

    /// Ends all connections that are left: the time for goodbyes is over.
    pub fn cut_all(&mut self, now: Now) {
        for id in self.peers.ids() {
            if let Some(peer) = self.peers.touch(id) {
                peer.connection.cut(CloseReason::ShutDown, now.moment);
            }
        }
        self.turn(now);
    }

    /// The time for goodbyes ended this long ago: to cut ten thousand connections takes a moment. The log makes up for it
    /// when it is dropped.
    pub fn is_late(&mut self, late: Duration) {
        self.log.is_late(late);
    }

    /// The time that closing connections have.
    #[must_use]
    pub fn close_timeout(&self) -> Duration {
        self.limits.close_timeout
    }

    /// Connections, in any state.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.peers.len()
    }

    /// How many connections have ended so far, by the name of their [`CloseReason`].
    #[must_use]
    pub fn endings(&self) -> &BTreeMap<&'static str, u64> {
        &self.endings
    }

    /// Bytes that wait in all queues, shared chunks counted once for each connection that waits for them.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        self.peers.iter().map(|(_, slot)| slot.connection.waiting_bytes()).sum()
    }

    /// All bytes that sockets have taken from the outbox. For tests, in a debug build.
    #[cfg(debug_assertions)]
    #[must_use]
    pub fn written_bytes(&self) -> u64 {
        self.outbox.written_bytes()
    }

    /// How things stand, for the log.
    #[must_use]
    pub fn status(&self) -> String {
        let (connections, rooms, queued_bytes) = (self.connections(), self.rooms.count(), self.queued_bytes());
        let ended: u64 = self.endings.values().sum();
        format!("{connections} connections, {ended} have ended; {rooms} rooms; {queued_bytes} bytes wait for readers")
    }

    /// Says Close to a member, for a reason of ours: it leaves its room.
    fn close(&mut self, id: PeerId, reason: CloseReason, now: Moment) {
        if let Some(peer) = self.peers.touch(id) {
            peer.connection.close(reason, now);
        }
        self.request_leave(id);
    }
}
