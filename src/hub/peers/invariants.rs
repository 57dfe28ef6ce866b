//! What must hold between turns of the connections and their lists. Checked in debug builds, and so in every test.

use super::super::Socket;
use super::super::member_life::Membership;
use super::lists::Lists;
use super::{NOT_IN, Peers, Slot};
use crate::connection::State;

impl<S: Socket> Peers<S> {
    /// What must hold between turns: nobody waits for something that is on no list. `is_in_a_line` says whether there is a
    /// line in which a connection can stand.
    pub(in crate::hub) fn check_invariants(&self, is_in_a_line: impl Fn(&Slot<S>) -> bool) {
        let mut to_read = 0;
        let mut in_line = 0;
        for (id, slot) in self.iter() {
            let connection = &slot.connection;
            let has_ended = connection.state() == State::Ended;
            let may_have_place = match slot.stay.membership() {
                Membership::Member | Membership::Waiting => slot.place == 0,
                Membership::Leaving => slot.place == 0 || slot.place == NOT_IN,
                _ => slot.place == NOT_IN,
            };
            assert!(may_have_place, "{id:?} has not had its part of the chunk");
            assert!(
                connection.waiting_bytes() == 0 || connection.is_blocked() || slot.is_to_flush || has_ended,
                "{id:?} has something queued that nobody will flush"
            );
            assert!(
                has_ended || slot.armed <= connection.deadline(&self.limits),
                "{id:?} has a deadline that nobody will keep"
            );
            assert!(
                !(slot.has_bytes() && slot.wants_bytes(&self.limits)) || slot.is_to_read,
                "{id:?} has something to read that nobody will read"
            );
            to_read += usize::from(slot.is_to_read);
            in_line += usize::from(slot.is_in_line);
            assert!(!slot.is_in_line || is_in_a_line(slot), "{id:?} stands in no line");
        }
        let Lists { touched, to_read: list, throttled, failing, .. } = &self.lists;
        assert!(touched.is_empty(), "somebody was touched and not looked at");
        assert!(failing.is_empty(), "a socket has failed, and its connection goes on");
        assert!(to_read <= list.len() + throttled.len() + in_line, "somebody is to be read and on no list");
    }
}
