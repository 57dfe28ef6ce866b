//! The hub's end of the log: entries go in, and come out committed, in their order.
//!
//! One rule lives here: after anything was put in, there is another turn. So the loop does not sleep on an entry, and no
//! caller has a flag to set.

use std::time::Duration;

use crate::chat::position::Epoch;
use crate::chat::{Name, NewEntry, RoomName};
use crate::history::{Archive, Committed, Condition, History, PageSize, Pressure, RoomKey, Wanted};
use crate::moment::Now;

use super::peers::PeerId;

/// See the module.
pub(super) struct LogPort {
    history: Box<dyn History>,
    /// Something was put in since [`LogPort::begin_commit`], or was left for the next turn.
    is_to_commit: bool,
    /// The number of the newest tourist: a visitor without a name of its own is called after it.
    tourists: u64,
}

impl LogPort {
    pub(super) fn new(history: Box<dyn History>) -> LogPort {
        LogPort { tourists: history.tourists(), history, is_to_commit: false }
    }

    /// A room comes into use. Its [`Committed::Opened`] comes out before anything else of it.
    pub(super) fn open(&mut self, room: RoomKey, name: &RoomName) {
        self.history.open(room, name);
        self.is_to_commit = true;
    }

    /// A room is no longer in use. Nothing more of it comes out.
    pub(super) fn forget(&mut self, room: RoomKey) {
        self.history.forget(room);
    }

    /// Puts in one entry.
    pub(super) fn append(&mut self, room: RoomKey, entry: NewEntry<'_>) {
        self.history.append(room, entry);
        self.is_to_commit = true;
    }

    /// Asks for older messages.
    pub(super) fn read(&mut self, room: RoomKey, wanted: Wanted, size: PageSize, reader: PeerId) {
        self.history.read(room, wanted, size, reader.member());
        self.is_to_commit = true;
    }

    /// Names a visitor who has brought no name. The number is never given again, not by a later daemon either.
    pub(super) fn name_tourist(&mut self) -> Name {
        self.tourists += 1;
        self.history.gave_number(self.tourists);
        Name::tourist(self.tourists)
    }

    /// Begins the commit of a turn: [`LogPort::next`] is called until it has no more, or until [`LogPort::put_off`].
    pub(super) fn begin_commit(&mut self, now: Now) {
        self.is_to_commit = false;
        self.history.tick(now);
    }

    /// The next of what has happened.
    pub(super) fn next(&mut self) -> Option<(RoomKey, Committed<'_>)> {
        self.history.next()
    }

    /// The turn has taken as much as it may: the rest is left for the next turn.
    pub(super) fn put_off(&mut self) {
        self.is_to_commit = true;
    }

    /// Whether the next turn has something to commit, and does not wait for an event.
    pub(super) fn is_to_commit(&self) -> bool {
        self.is_to_commit
    }

    /// The log has fallen so far behind that members are not read for now.
    pub(super) fn is_behind(&self) -> bool {
        self.history.pressure() == Pressure::High
    }

    /// Whether older messages than those of a room's tail can be read.
    pub(super) fn archive(&self) -> Archive {
        self.history.archive()
    }

    /// Which log it is.
    pub(super) fn epoch(&self) -> Epoch {
        self.history.epoch()
    }

    /// How well what is put in is kept.
    pub(super) fn condition(&self) -> Condition {
        self.history.condition()
    }

    /// Before the log is dropped: the goodbye took so much too long, and the log is to make up for it.
    pub(super) fn is_late(&mut self, late: Duration) {
        self.history.is_late(late);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::{Change, Entry};
    use crate::history::log::InMemoryLog;
    use crate::moment::Moment;

    const ROOM: RoomKey = RoomKey(0);
    const NOW: Now = Now { moment: Moment::START, unix_ms: 0 };

    fn someone() -> PeerId {
        PeerId::from_token(1)
    }

    fn committed(mut log: LogPort) -> LogPort {
        log.begin_commit(NOW);
        while log.next().is_some() {}
        assert!(!log.is_to_commit(), "all of it has come out");
        log
    }

    /// Whatever is put in: the loop must not go to sleep on it.
    #[test]
    fn whatever_is_put_in_is_to_be_committed() {
        let mut log = LogPort::new(Box::new(InMemoryLog::new()));
        log.open(ROOM, &RoomName::lobby());
        assert!(log.is_to_commit());
        let mut log = committed(log);
        log.append(ROOM, Entry::Change(Change::Left { who: someone().member(), seat: None }));
        assert!(log.is_to_commit());
        let mut log = committed(log);
        log.read(ROOM, Wanted::Before(1), PageSize { messages: 1, bytes: 1 }, someone());
        assert!(log.is_to_commit());
        let mut log = committed(log);
        log.put_off();
        assert!(log.is_to_commit());
    }

    #[test]
    fn no_two_tourists_have_one_name() {
        let mut log = LogPort::new(Box::new(InMemoryLog::new()));
        assert_ne!(log.name_tourist(), log.name_tourist());
    }
}
