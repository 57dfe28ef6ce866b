//! Where a member sits.

/// A member's place in the room, from joining to leaving. It follows from the log, so it is the same wherever the log is
/// applied. A seat that was left is given again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seat(pub u32);

impl Seat {
    /// Counted from 0. The seats of a room are given from the lowest on, so a table by this number is about as long as
    /// there are members.
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}
