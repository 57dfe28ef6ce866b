//! What must hold between turns. Checked after every turn of a debug build, and so in every test.

use super::peers::{Arrival, Membership};
use super::rooms::RoomState;
use super::{Hub, Socket};
use crate::chat::visit::Verbosity;

impl<S: Socket> Hub<S> {
    pub(super) fn check_invariants(&self) {
        self.peers.check_invariants(|slot| self.rooms.get(slot.room).is_some_and(|state| state.share.has_line()));
        self.rooms.check_invariants();
        let mut visitors = 0;
        let mut seated = 0;
        let mut quiet = 0;
        for (_, slot) in self.peers.iter() {
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
        // Sums over all rooms, for a table of each would cost the tests of allocations their meaning.
        let sum = |of: fn(&RoomState) -> usize| self.rooms.iter().map(of).sum::<usize>();
        assert_eq!(seated, sum(|state| state.room.online()), "every seat has its connection");
        assert_eq!(visitors, sum(RoomState::visitors), "a room lives as long as somebody is there");
        assert_eq!(quiet, sum(|state| state.quiet_members));
    }
}
