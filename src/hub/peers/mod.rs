//! All connections: the slab that they are in, and the lists that say who is to be read, flushed, woken or freed.
//!
//! A connection is changed through [`Peers::touch`] and nowhere else. It marks the connection, and before the lists are
//! used next, [`Peers::settle`] looks at the state of all that are marked and puts them where they belong. So interest is
//! a function of the state, and a caller has nothing to remember. A connection that was touched many times in a turn is
//! looked at once. [`Peers::lend`] is for the one caller that passes every member of a room in every turn: only those are
//! marked for whom something has changed.
//!
//! `slot` is one connection with its socket, `id` its name, `lists` the lists, `timers` the heap of deadlines.

mod id;
#[cfg(debug_assertions)]
mod invariants;
mod lists;
mod slot;
mod timers;

use log::debug;
use slab::Slab;

pub use self::id::PeerId;
use self::lists::{Lists, list_once};
pub(super) use self::slot::{Arrival, CatchUp, Departed, NOT_IN, Newcomer, Sent, Slot, Unread, WasRead};
use self::timers::Timers;
use super::{Readiness, Socket};
use crate::connection::Connection;
use crate::limits::Limits;
use crate::moment::Moment;

/// See the module.
pub(super) struct Peers<S> {
    slots: Slab<Slot<S>>,
    next_serial: u32,
    limits: Limits,
    lists: Lists,
    /// Connections whose end the poller has reported since the last turn. It is handled even if they are not read.
    reported_ends: Vec<(PeerId, ReportedEnd)>,
    /// How far the current round of reading has come.
    round: Round,
    /// All that had arrived by then has been read, except from connections that are not read on purpose. A deadline after
    /// this moment has not passed yet.
    read_until: Moment,
}

/// What the poller has reported of a connection's end.
#[derive(Debug, Clone, Copy)]
pub(super) enum ReportedEnd {
    /// The peer's stream ends behind what can be read.
    HungUp,
    /// The socket has failed.
    Failed,
}

/// Once around the list of connections to be read. It may take several turns. Connections that have more are added behind
/// it, so the round ends whatever is sent meanwhile, and a flood delays no deadline for long.
#[derive(Debug)]
struct Round {
    /// What had arrived by then has been reported.
    until: Moment,
    /// So many from the front of the list were on it when the round began.
    left: usize,
}

impl<S: Socket> Peers<S> {
    pub(super) fn new(limits: Limits) -> Peers<S> {
        Peers {
            slots: Slab::new(),
            next_serial: 1,
            limits,
            lists: Lists::default(),
            reported_ends: Vec::new(),
            round: Round { until: Moment::START, left: 0 },
            read_until: Moment::START,
        }
    }

    /// The id of the connection that is inserted next.
    pub(super) fn next_id(&self) -> PeerId {
        PeerId { slot: self.slots.vacant_key() as u32, serial: self.next_serial }
    }

    /// Whether there is a slot for another connection when there may be so many.
    pub(super) fn has_slot(&self, most: usize) -> bool {
        self.slots.len() < most.min(id::LOW_HALF)
    }

    /// Takes in a connection under [`Peers::next_id`].
    pub(super) fn insert(&mut self, socket: S, connection: Connection) -> PeerId {
        let id = self.next_id();
        self.slots.insert(Slot::new(socket, connection, id.serial));
        self.next_serial = (self.next_serial.wrapping_add(1) as usize & id::LOW_HALF) as u32;
        self.touch(id);
        self.settle();
        id
    }

    /// Takes out a connection, whose slot is free from now on. Called only at the end of a turn.
    pub(super) fn remove(&mut self, id: PeerId) -> Option<Slot<S>> {
        slot_of(&mut self.slots, id)?;
        Some(self.slots.remove(id.slot as usize))
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (PeerId, &Slot<S>)> {
        self.slots.iter().map(|(key, slot)| (id_of(key, slot), slot))
    }

    pub(super) fn ids(&self) -> Vec<PeerId> {
        self.iter().map(|(id, _)| id).collect()
    }

    /// A connection, to be looked at; none if it is gone.
    pub(super) fn get(&self, id: PeerId) -> Option<&Slot<S>> {
        self.slots.get(id.slot as usize).filter(|slot| slot.serial == id.serial)
    }

    /// A connection, to be changed; none if it is gone.
    pub(super) fn touch(&mut self, id: PeerId) -> Option<&mut Slot<S>> {
        let slot = slot_of(&mut self.slots, id)?;
        if !std::mem::replace(&mut slot.is_touched, true) {
            self.lists.touched.push(id);
        }
        Some(slot)
    }

    /// A connection, to be sent something. Most sockets take all of it, and then no list has to change, so a delivery does not
    /// pay for [`Peers::touch`]. The caller tells [`Peers::delivered`] how it went.
    #[inline(always)]
    pub(super) fn lend(&mut self, id: PeerId) -> Option<&mut Slot<S>> {
        slot_of(&mut self.slots, id)
    }

    /// How sending to a connection went.
    #[inline(always)]
    pub(super) fn delivered(&mut self, id: PeerId, sent: &Sent) {
        if !matches!(sent, Sent::AsFarAsPossible) {
            self.mark(id);
        }
    }

    #[cold]
    fn mark(&mut self, id: PeerId) {
        self.touch(id);
    }

    /// Puts all that were touched on the lists that their state asks for.
    fn settle(&mut self) {
        let mut touched = std::mem::take(&mut self.lists.touched);
        for id in touched.drain(..) {
            if let Some(slot) = slot_of(&mut self.slots, id) {
                slot.is_touched = false;
                self.lists.put(id, slot, &self.limits);
            }
        }
        self.lists.touched = touched;
    }

    // ---- What the poller reports ----------------------------------------------------------------------------------

    /// Notes what the poller reported. A report for a connection that is gone is ignored.
    pub(super) fn ready(&mut self, id: PeerId, readiness: Readiness) {
        let Some(slot) = slot_of(&mut self.slots, id) else { return };
        slot.is_readable |= readiness.readable;
        if readiness.hung_up && !std::mem::replace(&mut slot.is_hung_up, true) {
            self.reported_ends.push((id, ReportedEnd::HungUp));
            // Before newcomers of this turn, who may want its name.
            if slot.is_readable && !std::mem::replace(&mut slot.is_to_read, true) {
                self.lists.to_read.push_front(id);
                self.round.left += 1;
            }
        }
        if slot.is_readable {
            list_once(&mut self.lists.to_read, &mut slot.is_to_read, id);
        }
        if readiness.writable && slot.connection.waiting_bytes() > 0 {
            list_once(&mut self.lists.to_flush, &mut slot.is_to_flush, id);
        }
    }

    /// Notes that the poller has reported an error of the socket.
    pub(super) fn failed(&mut self, id: PeerId) {
        self.reported_ends.push((id, ReportedEnd::Failed));
    }

    pub(super) fn take_reported_ends(&mut self) -> Vec<(PeerId, ReportedEnd)> {
        std::mem::take(&mut self.reported_ends)
    }

    // ---- Whom to read ---------------------------------------------------------------------------------------------

    /// A turn begins to read. All that had arrived by `reported_until` has been reported.
    pub(super) fn begin_reading(&mut self, reported_until: Moment) {
        if self.round.left == 0 {
            self.round = Round { until: reported_until, left: self.lists.to_read.len() };
        }
    }

    /// How many connections wait to be read now. Those that have more go to the back, and are read in the next turn.
    pub(super) fn count_to_read(&self) -> usize {
        self.lists.to_read.len()
    }

    /// The next connection to be read. It still counts as listed: [`Peers::throttle`], [`Peers::stand_in_line`] or
    /// [`Peers::has_been_read`] says what becomes of it.
    pub(super) fn next_to_read(&mut self) -> Option<PeerId> {
        let id = self.lists.to_read.pop_front()?;
        self.round.left = self.round.left.saturating_sub(1);
        Some(id)
    }

    /// A connection has had its turn to be read: if it has more, it is put at the back of the list.
    pub(super) fn has_been_read(&mut self, id: PeerId) {
        if let Some(slot) = self.touch(id) {
            slot.is_to_read = false;
        }
    }

    /// A member is not read until the log has caught up.
    pub(super) fn throttle(&mut self, id: PeerId) {
        self.lists.throttled.push(id);
    }

    /// A member is not read until the share of its room allows another message.
    pub(super) fn stand_in_line(&mut self, id: PeerId) {
        if let Some(slot) = self.touch(id) {
            slot.is_in_line = true;
        }
    }

    /// A member no longer stands in line, and is read as any other.
    pub(super) fn leave_line(&mut self, id: PeerId) {
        if let Some(slot) = self.touch(id)
            && std::mem::take(&mut slot.is_in_line)
        {
            self.lists.to_read.push_back(id);
        }
    }

    /// The turn has read as much as it may. A deadline that lies after what has been read does not pass.
    pub(super) fn end_reading(&mut self) -> Moment {
        if self.round.left == 0 {
            self.read_until = self.round.until;
        }
        self.read_until
    }

    /// Throttled members are read again, except for those that `is_throttled` still holds back.
    pub(super) fn release_throttled(&mut self, is_throttled: impl Fn(&Slot<S>) -> bool) {
        let Lists { to_read, throttled, .. } = &mut self.lists;
        throttled.retain(|id| {
            let Some(slot) = slot_of(&mut self.slots, *id) else { return false };
            let stays = is_throttled(slot);
            if !stays {
                to_read.push_back(*id);
            }
            stays
        });
    }

    // ---- Whom to flush, to wake, to free --------------------------------------------------------------------------

    /// How many connections are to be flushed now. Those that have more go to the back.
    pub(super) fn count_to_flush(&mut self) -> usize {
        self.settle();
        self.lists.to_flush.len()
    }

    /// The connections that are to be flushed.
    pub(super) fn ids_to_flush(&mut self) -> Vec<PeerId> {
        self.settle();
        self.lists.to_flush.iter().copied().collect()
    }

    /// The next that is to be flushed; it is off the list.
    pub(super) fn next_to_flush(&mut self) -> Option<PeerId> {
        let id = self.lists.to_flush.pop_front()?;
        if let Some(slot) = slot_of(&mut self.slots, id) {
            slot.is_to_flush = false;
        }
        Some(id)
    }

    /// Connections whose deadline may have come by then. The connection's own deadline decides.
    pub(super) fn take_due(&mut self, due_by: Moment) -> Vec<PeerId> {
        self.settle();
        let mut due = Vec::new();
        while let Some((moment, id)) = self.lists.timers.pop_due(due_by) {
            if let Some(slot) = slot_of(&mut self.slots, id) {
                if slot.armed == moment {
                    slot.armed = Moment::NEVER;
                }
                due.push(id);
            }
        }
        if self.lists.timers.is_overgrown(self.slots.len()) {
            self.lists.timers.clear();
            for (key, slot) in &mut self.slots {
                slot.armed = slot.connection.deadline(&self.limits);
                self.lists.timers.push(slot.armed, id_of(key, slot));
            }
        }
        due
    }

    /// Ends connections whose socket has failed, unless they `can_be_read` on at once.
    pub(super) fn end_failing(&mut self, can_be_read: impl Fn(&Slot<S>) -> bool) {
        self.settle();
        for id in std::mem::take(&mut self.lists.failing) {
            let Some(slot) = slot_of(&mut self.slots, id) else { continue };
            let is_read_on = slot.has_bytes() && slot.wants_bytes(&self.limits) && can_be_read(slot);
            if slot.connection.has_failed() && !is_read_on {
                slot.connection.cut_off();
                self.lists.to_reap.push(id);
            }
        }
    }

    pub(super) fn take_to_reap(&mut self) -> Vec<PeerId> {
        self.settle();
        std::mem::take(&mut self.lists.to_reap)
    }

    /// The next turn has to look at a connection, even if nothing happens until then.
    pub(super) fn have_work(&self) -> bool {
        let Lists { touched, to_read, to_flush, to_reap, .. } = &self.lists;
        !touched.is_empty() || !to_read.is_empty() || !to_flush.is_empty() || !to_reap.is_empty()
    }

    /// When the first deadline comes; it may turn out to have moved.
    pub(super) fn deadline(&self) -> Moment {
        self.lists.timers.first()
    }

    // ---- Memory ---------------------------------------------------------------------------------------------------

    /// Marks the connections as stalled that have taken nothing since the last call although something waits for them.
    pub(super) fn mark_stalled(&mut self) {
        for (_, slot) in &mut self.slots {
            slot.taking = slot.taking.looked_at(slot.held_bytes() > 0);
        }
    }

    /// The turn is over. After a rush, its memory is given back.
    pub(super) fn end_turn(&mut self) {
        self.settle();
        self.lists.touched.shrink_to(64);
        for list in [&mut self.lists.to_read, &mut self.lists.to_flush] {
            if list.is_empty() {
                list.shrink_to(64);
            }
        }
        if self.slots.is_empty() && self.lists.timers.is_large() {
            self.slots = Slab::new();
            self.lists.timers = Timers::default();
            debug!("all have left: memory for connections given back");
        }
    }
}

/// A function of the slab alone, so that the lists can be used beside what it gives.
fn slot_of<S>(slots: &mut Slab<Slot<S>>, id: PeerId) -> Option<&mut Slot<S>> {
    slots.get_mut(id.slot as usize).filter(|slot| slot.serial == id.serial)
}

fn id_of<S>(key: usize, slot: &Slot<S>) -> PeerId {
    PeerId { slot: key as u32, serial: slot.serial }
}
