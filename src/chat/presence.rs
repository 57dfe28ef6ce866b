//! When it is news who comes and goes.

use crate::limits::fixed::ONLINE_EVERY;
use crate::moment::Moment;

/// How a room is told of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// Each member is told.
    Told,
    /// There are too many members to tell each of each: a count follows, if the number has changed.
    Counted,
}

/// What a room has still to be told of comings and goings. N joins must not cost N x N frames, so from
/// `--presence-members` on a room is told a count, at most once a second.
#[derive(Debug)]
pub struct Presence {
    /// From so many members on, comings and goings are told as a count.
    large_from: usize,
    /// A count is to be told, at this time or later.
    count_due_at: Option<Moment>,
    /// When the last count was told.
    count_told_at: Option<Moment>,
}

impl Presence {
    /// Of a room that is large when it has so many members.
    #[must_use]
    pub fn new(large_from: usize) -> Presence {
        Presence { large_from, count_due_at: None, count_told_at: None }
    }

    /// Somebody came or went, and now the room has `online` members.
    pub fn changed(&mut self, online: usize, now: Moment) -> News {
        let news = self.news(online);
        if news == News::Counted {
            let earliest = self.count_told_at.map_or(now, |told| told + ONLINE_EVERY);
            self.count_due_at.get_or_insert(earliest.max(now));
        }
        news
    }

    /// How a room of so many members is told of a new name. It is not counted: the number is the same.
    #[must_use]
    pub fn news(&self, online: usize) -> News {
        if online < self.large_from { News::Told } else { News::Counted }
    }

    /// When [`Presence::is_count_due`] will say so.
    #[must_use]
    pub fn deadline(&self) -> Moment {
        self.count_due_at.unwrap_or(Moment::NEVER)
    }

    /// Whether the room is to be told its number of members now. It is told once.
    pub fn is_count_due(&mut self, now: Moment) -> bool {
        if now < self.deadline() {
            return false;
        }
        self.count_due_at = None;
        self.count_told_at = Some(now);
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(millis: u64) -> Moment {
        Moment::START + Duration::from_millis(millis)
    }

    #[test]
    fn a_small_room_hears_of_each_and_a_large_one_a_count_once_a_second() {
        let mut presence = Presence::new(3);
        assert_eq!(presence.changed(1, at(0)), News::Told);
        assert_eq!(presence.changed(2, at(0)), News::Told);
        for online in 3..1_000 {
            assert_eq!(presence.changed(online, at(5)), News::Counted);
        }
        assert_eq!(presence.deadline(), at(5), "the first count comes at once");
        assert!(presence.is_count_due(at(5)));
        assert_eq!(presence.changed(998, at(6)), News::Counted);
        assert_eq!(presence.deadline(), at(1_005), "the next a second later");
        assert!(!presence.is_count_due(at(1_004)));
        assert!(presence.is_count_due(at(1_005)));
        assert_eq!(presence.deadline(), Moment::NEVER, "and then no more until something changes");
    }

    #[test]
    fn a_new_name_makes_no_count_due() {
        let presence = Presence::new(1);
        assert_eq!(presence.news(1), News::Counted);
        assert_eq!(presence.deadline(), Moment::NEVER);
    }
}
