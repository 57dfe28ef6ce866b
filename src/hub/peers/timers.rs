//! The heap of deadlines.
//!
//! Each connection has one deadline, a function of its state, and at least one entry in the heap no later than it. Traffic
//! moves the deadline away without touching the heap: the entry finds that out when its time comes.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::PeerId;
use crate::limits::fixed::KEPT_DEADLINES;
use crate::moment::Moment;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Timers {
    heap: BinaryHeap<Reverse<(Moment, PeerId)>>,
}

impl Timers {
    pub(super) fn push(&mut self, moment: Moment, id: PeerId) {
        if moment != Moment::NEVER {
            self.heap.push(Reverse((moment, id)));
        }
    }

    pub(super) fn pop_due(&mut self, due_by: Moment) -> Option<(Moment, PeerId)> {
        if self.first() > due_by {
            return None;
        }
        self.heap.pop().map(|Reverse(entry)| entry)
    }

    /// When the first entry is due; never, if there is none.
    pub(super) fn first(&self) -> Moment {
        self.heap.peek().map_or(Moment::NEVER, |Reverse((moment, _))| *moment)
    }

    /// Entries that are out of date pile up where deadlines come closer again and again. When this says so, the heap is
    /// made anew; it is then as long as there are connections, so this costs each entry a constant.
    pub(super) fn is_overgrown(&self, connections: usize) -> bool {
        self.heap.len() > KEPT_DEADLINES + 4 * connections
    }

    pub(super) fn clear(&mut self) {
        self.heap.clear();
    }

    /// It has had many entries.
    pub(super) fn is_large(&self) -> bool {
        self.heap.capacity() > KEPT_DEADLINES
    }
}
