//! Retention: what is kept, and what is deleted.
//!
//! A deletion cannot be undone, so no single reading of the wall clock decides it. The clock may be wrong for an hour, when
//! a machine starts or somebody mistypes a date. See [`Looks`].

use std::collections::VecDeque;
use std::num::NonZeroU64;
use std::time::Duration;

use crate::limits::fixed::LOOKS_APART;
use crate::moment::{Moment, Now};

/// How much is kept. What is beyond any of these limits is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Messages of a room. The oldest are deleted.
    pub messages: Option<NonZeroU64>,
    /// Age of a message. Messages are deleted in the order of their ids, so a message with a time in the future keeps the
    /// later ones of its room until it is old enough itself.
    pub max_age: Option<Duration>,
    /// Bytes of the file that are in use; see `surplus`.
    pub bytes: Option<NonZeroU64>,
    /// Rooms with messages. The rooms that have been silent longest are deleted.
    pub rooms: Option<NonZeroU64>,
}

/// What is to be deleted now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// Messages beyond this number in a room.
    pub beyond_messages: Option<NonZeroU64>,
    /// Messages from before this time: milliseconds since 1970, UTC.
    pub said_before_unix_ms: Option<u64>,
    /// Bytes of the file beyond this number.
    pub beyond_bytes: Option<NonZeroU64>,
    /// Rooms beyond this number.
    pub beyond_rooms: Option<NonZeroU64>,
}

impl Cut {
    /// Nothing is deleted.
    pub const NOTHING: Cut =
        Cut { beyond_messages: None, said_before_unix_ms: None, beyond_bytes: None, beyond_rooms: None };
}

/// What a trim did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Trimmed {
    /// Messages that were deleted.
    pub messages: u64,
    /// Rooms of those messages. Each counts once in one pass through all rooms.
    pub rooms: u64,
    /// Damaged rooms, of which nothing was deleted.
    pub damaged_rooms: u64,
    /// There is more to do: call again. False once the pass through all rooms has ended.
    pub more: bool,
}

/// The readings of the wall clock ("looks") that still count.
///
/// A message is deleted for its age only if it was too old at two looks, two hours of the daemon's own time apart. The
/// earlier look decides. A look is dropped when the wall clock falls behind it: then the clock was ahead at that look, or
/// is behind now, and nothing shows which. A clock that jumps forward spoils no earlier look, so old messages are deleted
/// also on a machine that sleeps, or while the clock is ahead.
///
/// The daemon's own time (the monotonic clock) counts no sleep of the machine and no time between two daemons. A daemon that
/// is restarted every hour must delete old messages, too, so the earliest look is kept in the file as a [`Look`], and
/// the next daemon goes on with it.
#[derive(Debug, Default)]
pub struct Looks {
    /// One a minute, so about 120. Both clocks rise from one look to the next.
    looks: VecDeque<Look>,
    /// For how long earlier daemons have watched the clock since the look that this daemon goes on with.
    before: Duration,
}

/// One reading of the wall clock, and for how long the clock was watched: up to the reading, or, in the file, since then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Milliseconds since 1970, UTC.
    pub unix_ms: u64,
    /// By the monotonic clock.
    pub watched: Duration,
}

impl Looks {
    /// Goes on where an earlier daemon was.
    #[must_use]
    pub fn resume(Look { unix_ms, watched }: Look) -> Looks {
        // The number in the file may be anything; more than this changes nothing.
        let before = watched.min(LOOKS_APART);
        Looks { looks: VecDeque::from([Look { unix_ms, watched: Duration::ZERO }]), before }
    }

    /// Adds a look. Returns the time of the earlier of two looks that are far enough apart, if there are two. A message that
    /// was too old at that time may be deleted.
    pub fn look(&mut self, now: Now) -> Option<u64> {
        let watched = self.before + now.moment.since(Moment::START);
        while self.looks.back().is_some_and(|last| last.unix_ms > now.unix_ms) {
            self.looks.pop_back();
        }
        self.looks.push_back(Look { unix_ms: now.unix_ms, watched });
        let is_apart = |look: &Look| watched.saturating_sub(look.watched) >= LOOKS_APART;
        while self.looks.get(1).is_some_and(is_apart) {
            self.looks.pop_front();
        }
        self.looks.front().filter(|look| is_apart(look)).map(|look| look.unix_ms)
    }

    /// The earliest look that is not yet far enough in the past, for the next daemon to go on with. Earlier looks have had
    /// their effect.
    #[must_use]
    pub fn earliest(&self) -> Option<Look> {
        let latest = self.looks.back()?.watched;
        let since = |look: &Look| Look { unix_ms: look.unix_ms, watched: latest.saturating_sub(look.watched) };
        self.looks.iter().map(since).find(|look| look.watched < LOOKS_APART)
    }
}

impl Retention {
    /// Everything, for ever.
    pub const ALL: Retention = Retention { messages: None, max_age: None, bytes: None, rooms: None };

    /// Whether nothing is ever deleted.
    #[must_use]
    pub fn is_all(self) -> bool {
        self == Retention::ALL
    }

    /// What is to be deleted, given the time that is certain to have been reached. None if that is nothing.
    #[must_use]
    pub fn cut(self, sure_unix_ms: Option<u64>) -> Option<Cut> {
        let age_ms = self.max_age.map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
        let said_before_unix_ms = age_ms.and_then(|age_ms| sure_unix_ms?.checked_sub(age_ms));
        let Retention { messages: beyond_messages, max_age: _, bytes: beyond_bytes, rooms: beyond_rooms } = self;
        let cut = Cut { beyond_messages, said_before_unix_ms, beyond_bytes, beyond_rooms };
        (cut != Cut::NOTHING).then_some(cut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::moment::Moment;

    const DAY_MS: u64 = 24 * 60 * 60 * 1_000;
    /// A day in 2025.
    const TODAY_MS: u64 = 20_400 * DAY_MS;
    const KEEP_A_DAY: Retention = Retention { max_age: Some(Duration::from_secs(24 * 60 * 60)), ..Retention::ALL };

    /// A daemon that looks once a minute at a clock that is `ahead_ms` of the true one.
    #[derive(Default)]
    struct Daemon {
        looks: Looks,
        minutes: u64,
    }

    impl Daemon {
        /// The latest time before which anything is deleted in so many minutes.
        fn run(&mut self, minutes: u64, wall_ms: impl Fn(u64) -> u64) -> Option<u64> {
            let mut latest = None;
            for _ in 0..minutes {
                self.minutes += 1;
                let moment = Moment::START + Duration::from_secs(60 * self.minutes);
                let sure = self.looks.look(Now { moment, unix_ms: wall_ms(self.minutes) });
                latest = latest.max(KEEP_A_DAY.cut(sure).and_then(|cut| cut.said_before_unix_ms));
            }
            latest
        }
    }

    fn true_ms(minute: u64) -> u64 {
        TODAY_MS + minute * 60_000
    }

    fn ahead_ms(minute: u64) -> u64 {
        true_ms(minute) + 60 * DAY_MS
    }

    #[test]
    fn what_was_old_two_hours_ago_and_is_old_now_goes() {
        let mut daemon = Daemon::default();
        assert_eq!(daemon.run(120, true_ms), None, "the first look is two hours ago only now");
        assert_eq!(daemon.run(1, true_ms), Some(true_ms(1) - DAY_MS));
        assert_eq!(daemon.run(1_000, true_ms), Some(true_ms(1_001) - DAY_MS));
        assert!(daemon.looks.looks.len() <= 121, "it keeps no more than it needs");
    }

    #[test]
    fn a_clock_that_is_ahead_for_seconds_or_for_an_hour_deletes_nothing_that_is_not_old() {
        for minutes in [1, 2, 60, 119] {
            let mut daemon = Daemon::default();
            daemon.run(500, true_ms);
            let wrong = daemon.run(minutes, ahead_ms);
            assert!(wrong < Some(true_ms(500) - DAY_MS), "{minutes} minutes ahead: only what was old before");
            let after = daemon.run(200, true_ms);
            assert!(after <= Some(true_ms(daemon.minutes - 120) - DAY_MS) && after > wrong, "then it goes on");
        }
    }

    #[test]
    fn a_clock_that_is_wrong_at_the_start_deletes_nothing_when_it_is_corrected_within_two_hours() {
        for wrong_ms in [ahead_ms, |minute| minute * 60_000] {
            let mut daemon = Daemon::default();
            assert_eq!(daemon.run(120, wrong_ms), None);
            assert!(daemon.run(121, true_ms) <= Some(true_ms(121) - DAY_MS));
            assert_eq!(daemon.run(1, true_ms), Some(true_ms(122) - DAY_MS));
        }
    }

    #[test]
    fn a_clock_that_is_ahead_every_other_minute_deletes_only_what_is_old() {
        let restless_ms = |minute: u64| if minute.is_multiple_of(2) { ahead_ms(minute) } else { true_ms(minute) };
        let latest = Daemon::default().run(2_000, restless_ms);
        assert!(latest.is_some_and(|latest| latest <= true_ms(1_880) - DAY_MS), "{latest:?}");
    }

    /// A minute of the daemon's time is ten minutes for the machine, which sleeps in between.
    #[test]
    fn a_machine_that_sleeps_most_of_the_time_deletes_what_is_old_and_nothing_else() {
        let sleeping_ms = |minute: u64| true_ms(10 * minute);
        assert_eq!(Daemon::default().run(121, sleeping_ms), Some(sleeping_ms(1) - DAY_MS));
    }

    /// Three hours are more than it is guarded against; what sleeps meanwhile is not time.
    #[test]
    fn a_clock_that_was_corrected_while_the_machine_slept_deletes_what_is_old_by_the_right_time() {
        let mut daemon = Daemon::default();
        assert_eq!(daemon.run(100, |minute| true_ms(minute) + 3 * 60 * 60_000), None);
        // It sleeps for a night.
        let awake_ms = |minute: u64| true_ms(minute) + 8 * 60 * 60_000;
        for _ in 0..200 {
            let now_ms = awake_ms(daemon.minutes + 1);
            assert!(daemon.run(1, awake_ms) <= Some(now_ms - DAY_MS));
        }
    }

    #[test]
    fn daemons_that_are_restarted_every_half_hour_delete_what_is_old_all_the_same() {
        let mut daemon = Daemon::default();
        let mut latest = None;
        for hour in 0..10 {
            let wall_ms = |minute: u64| true_ms(60 * hour + minute);
            latest = latest.max(daemon.run(30, wall_ms));
            let look = daemon.looks.earliest().unwrap();
            daemon = Daemon { looks: Looks::resume(look), minutes: 0 };
        }
        assert!(latest >= Some(true_ms(4 * 60) - DAY_MS) && latest < Some(true_ms(5 * 60) - DAY_MS), "{latest:?}");
    }

    #[test]
    fn a_look_of_an_earlier_daemon_that_lies_ahead_does_not_count() {
        for watched in [Duration::ZERO, Duration::MAX] {
            let looks = Looks::resume(Look { unix_ms: ahead_ms(0), watched });
            assert_eq!(Daemon { looks, minutes: 0 }.run(120, true_ms), None);
        }
    }

    #[test]
    fn what_is_beyond_a_number_of_messages_needs_no_clock() {
        let keep = Retention { messages: NonZeroU64::new(7), ..KEEP_A_DAY };
        let expected = Cut { beyond_messages: NonZeroU64::new(7), ..Cut::NOTHING };
        assert_eq!(keep.cut(None), Some(expected));
        assert_eq!(KEEP_A_DAY.cut(None), None);
        assert_eq!(KEEP_A_DAY.cut(Some(5)), None, "in 1970 nothing is a day old");
    }
}
