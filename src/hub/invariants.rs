//! What must hold between turns. Checked after every turn of a debug build, and so in every test.

use super::member_life::Stay;
use super::peers::{Arrival, PeerId};
use super::room_state::RoomState;
use super::stream::ChunkKey;
use super::{Hub, Socket};

impl<S: Socket> Hub<S> {
    pub(super) fn check_invariants(&self) {
        let state_of = |stay: Stay| stay.room().and_then(|room| self.rooms.get(room));
        self.peers.check_invariants(|slot| state_of(slot.stay).is_some_and(|state| state.share.has_line()));
        self.rooms.check_invariants();
        let tickets = self.peers.iter().filter(|(_, slot)| slot.connection.is_counted()).count();
        assert_eq!(tickets, self.addresses.connections(), "who is counted under an address is there");
        let mut visitors = 0;
        let mut seated = 0;
        let mut hearing = ChunkKey::ALL.map(|_| 0);
        for (id, slot) in self.peers.iter() {
            visitors += usize::from(slot.stay.room().is_some());
            visitors += usize::from(matches!(slot.arrival.as_deref(), Some(Arrival::Moving { .. })));
            if self.is_seated(id, slot.stay) {
                seated += 1;
                hearing[ChunkKey::of(&slot.connection).index()] += 1;
            }
        }
        for (id, departed) in &self.departed {
            visitors += 1;
            if self.is_seated(*id, departed.stay) {
                seated += 1;
                hearing[departed.chunk.index()] += 1;
            }
        }
        visitors += self.away.len();
        // Sums over all rooms, for a table of each would cost the tests of allocations their meaning.
        let sum = |of: fn(&RoomState) -> usize| self.rooms.iter().map(of).sum::<usize>();
        assert_eq!(seated, sum(|state| state.room.connections()), "every seat has its connection");
        assert_eq!(visitors, sum(RoomState::visitors), "a room lives as long as somebody is there");
        for (index, hearing) in hearing.into_iter().enumerate() {
            let counted = self.rooms.iter().filter_map(|state| state.stream.chunks().nth(index));
            assert_eq!(hearing, counted.map(|(_, members, _)| members).sum::<usize>(), "a chunk has its members");
        }
    }

    /// Whether it has a seat; if so, its room must know of it.
    fn is_seated(&self, id: PeerId, stay: Stay) -> bool {
        let (Some(room), Some(seat)) = (stay.room(), stay.seat()) else { return false };
        let member = self.rooms.get(room).and_then(|state| state.room.member(seat));
        assert_eq!(member, Some(id.member()), "the room knows who sits there");
        true
    }
}
