//! What is kept, and how the rest is deleted.
//!
//! What is deleted does not come back, so one reading of the wall clock deletes nothing: it may be wrong for a moment, or
//! for an hour, when a machine starts or somebody mistypes a date. See [`Looks`].

use std::collections::VecDeque;
use std::num::NonZeroU64;
use std::time::Duration;

use rusqlite::Connection;

use super::errors;
use super::rows::{RoomRow, clamped};
use crate::moment::Now;

/// Messages that one [`delete`] deletes at most: 3 ms, and 40 if the write-ahead log is folded just then (an SSD shared
/// with others).
pub(super) const TRIM_MESSAGES: u64 = 1_000;

/// Rooms that one [`delete`] looks at at most. To look at one is two searches, some microseconds.
pub(super) const TRIM_ROOMS: usize = 500;

/// How far apart two looks at the clock must be before what was old at both is deleted. Ages are counted in days, so two
/// hours more change little; and a clock that is wrong for an hour, until its server is reached or a person notices, has
/// deleted nothing.
const LOOKS_APART: Duration = Duration::from_secs(2 * 60 * 60);

/// How much the two clocks may differ from one look to the next: a leap second, and a server's small corrections. More is
/// a jump.
const CLOCKS_AGREE_WITHIN: Duration = Duration::from_secs(5);

const ROOMS: &str =
    "SELECT id, last_id, oldest, unchecked, checksum, name FROM room WHERE id > ?1 ORDER BY id LIMIT ?2";
const FIRST_YOUNG: &str = "SELECT id FROM message WHERE room = ?1 AND id < ?2 AND unix_ms >= ?3 ORDER BY id LIMIT 1";
const DELETE: &str = "DELETE FROM message WHERE room = ?1 AND id < ?2";

/// How much is kept. What is beyond either goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// Messages of a room; the oldest go.
    pub messages: Option<NonZeroU64>,
    /// Age of a message. A room's messages go in the order of their ids, so one from an hour when the clock was ahead
    /// holds up those behind it until it is old enough itself.
    pub max_age: Option<Duration>,
}

/// What is to go now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// What is beyond so many messages of a room.
    pub beyond_messages: Option<NonZeroU64>,
    /// What was said before: milliseconds since 1970, UTC.
    pub said_before_unix_ms: Option<u64>,
}

/// What a trim did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Trimmed {
    /// Messages that were deleted.
    pub messages: u64,
    /// Rooms that they were in, each counted once until all rooms have been gone through.
    pub rooms: u64,
    /// Rooms that were left as they are, for they are damaged.
    pub damaged_rooms: u64,
    /// Whether there is more to do: call again. False once all rooms have been gone through.
    pub more: bool,
}

/// The looks at the wall clock that still count.
///
/// What is deleted for its age was old at two looks, at least two hours apart on the daemon's own clock, which nobody can
/// set. Between them the wall clock went as far as the daemon's own. Once it has not, it was set, and all earlier looks
/// count no more: either they were wrong, or this one is. They begin anew with each start, too.
#[derive(Debug, Default)]
pub struct Looks {
    /// One a minute: about 120.
    looks: VecDeque<Now>,
}

impl Looks {
    /// Looks once more. Gives the time of the earlier of two looks that are far enough apart, if there are two: what was
    /// old then is old.
    pub fn look(&mut self, now: Now) -> Option<u64> {
        if self.looks.back().is_some_and(|last| !clocks_agree(*last, now)) {
            self.looks.clear();
        }
        self.looks.push_back(now);
        let is_apart = |look: &Now| now.moment.since(look.moment) >= LOOKS_APART;
        while self.looks.get(1).is_some_and(is_apart) {
            self.looks.pop_front();
        }
        self.looks.front().filter(|look| is_apart(look)).map(|look| look.unix_ms)
    }
}

fn clocks_agree(earlier: Now, later: Now) -> bool {
    let Some(by_the_wall) = later.unix_ms.checked_sub(earlier.unix_ms) else { return false };
    Duration::from_millis(by_the_wall).abs_diff(later.moment.since(earlier.moment)) <= CLOCKS_AGREE_WITHIN
}

impl Keep {
    /// Whether nothing is ever deleted.
    #[must_use]
    pub fn is_all(self) -> bool {
        self.messages.is_none() && self.max_age.is_none()
    }

    /// What is to go, if it was surely so late. None if that is nothing.
    #[must_use]
    pub fn cut(self, sure_unix_ms: Option<u64>) -> Option<Cut> {
        let age_ms = self.max_age.map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
        let said_before_unix_ms = age_ms.and_then(|age_ms| sure_unix_ms?.checked_sub(age_ms));
        let cut = Cut { beyond_messages: self.messages, said_before_unix_ms };
        (cut.beyond_messages.is_some() || cut.said_before_unix_ms.is_some()).then_some(cut)
    }
}

/// How far a trim has come: it goes on there.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// The room behind which to go on; 0 before the first.
    through: i64,
    /// The room from which something was deleted last, for it to be counted once.
    counted: i64,
}

/// Deletes some of what is to go, in one transaction.
pub(super) fn delete(connection: &mut Connection, progress: &mut Progress, cut: Cut) -> rusqlite::Result<Trimmed> {
    // It begins to write with the first deletion; mostly there is none.
    let transaction = connection.transaction()?;
    let rooms: Vec<Listed> = {
        let mut statement = transaction.prepare_cached(ROOMS)?;
        let rows = statement.query_map((progress.through, TRIM_ROOMS), |row| {
            let good = row.get::<_, Box<str>>(5).and_then(|name| Ok((RoomRow::checked(row, &name)?, name))).ok();
            Ok(Listed { id: row.get(0)?, good })
        })?;
        rows.collect::<rusqlite::Result<_>>()?
    };
    let mut trimmed = Trimmed { more: rooms.len() == TRIM_ROOMS, ..Trimmed::default() };
    let (mut through, mut counted) = (progress.through, progress.counted);
    for Listed { id, good } in rooms {
        let allowed = TRIM_MESSAGES.saturating_sub(trimmed.messages);
        let done = good.map(|(room, name)| delete_of_room(&transaction, room, &name, allowed, cut));
        match done {
            Some(Ok(Deleted { messages, is_cut })) => {
                if messages > 0 {
                    trimmed.messages += messages;
                    trimmed.rooms += u64::from(counted != id);
                    counted = id;
                }
                if is_cut {
                    trimmed.more = true;
                    break;
                }
            }
            // What is damaged cannot be deleted; the other rooms can.
            Some(Err(error)) if errors::is_damage(&error) => trimmed.damaged_rooms += 1,
            None => trimmed.damaged_rooms += 1,
            Some(Err(error)) => return Err(error),
        }
        through = id;
    }
    transaction.commit()?;
    *progress = if trimmed.more { Progress { through, counted } } else { Progress::default() };
    Ok(trimmed)
}

/// A room in the table.
struct Listed {
    id: i64,
    /// Its row and its name, if they are not damaged.
    good: Option<(RoomRow, Box<str>)>,
}

struct Deleted {
    messages: u64,
    /// Only as many as are allowed at once: there may be others behind.
    is_cut: bool,
}

/// Looks at no more rows than are `allowed` to be deleted.
fn delete_of_room(
    connection: &Connection,
    mut room: RoomRow,
    name: &str,
    allowed: u64,
    cut: Cut,
) -> rusqlite::Result<Deleted> {
    let ids = room.ids(connection)?;
    let most = ids.start.saturating_add(allowed);
    let mut end = ids.start;
    if let Some(messages) = cut.beyond_messages {
        end = end.max(ids.end.saturating_sub(messages.get()));
    }
    if let Some(unix_ms) = cut.said_before_unix_ms {
        let mut statement = connection.prepare_cached(FIRST_YOUNG)?;
        let mut rows = statement.query((room.id, clamped(most.min(ids.end)), clamped(unix_ms)))?;
        end = end.max(rows.next()?.map_or(Ok(most.min(ids.end)), |row| row.get(0))?);
    }
    let end = end.min(most);
    if end > ids.start {
        connection.prepare_cached(DELETE)?.execute((room.id, clamped(end)))?;
        room.oldest = Some(end);
        room.save(connection, name)?;
    }
    Ok(Deleted { messages: end.saturating_sub(ids.start), is_cut: end == most && most < ids.end })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::moment::Moment;

    const DAY_MS: u64 = 24 * 60 * 60 * 1_000;
    /// A day in 2025.
    const TODAY_MS: u64 = 20_400 * DAY_MS;
    const KEEP_A_DAY: Keep = Keep { messages: None, max_age: Some(Duration::from_secs(24 * 60 * 60)) };

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
    fn a_clock_that_is_ahead_for_seconds_or_for_an_hour_deletes_nothing() {
        for minutes in [1, 2, 60, 119] {
            let mut daemon = Daemon::default();
            let before = daemon.run(500, true_ms);
            assert_eq!(daemon.run(minutes, ahead_ms), None, "{minutes} minutes ahead");
            assert_eq!(daemon.run(120, true_ms), None, "and back: that is a jump, too");
            assert!(daemon.run(1, true_ms) > before, "then it goes on");
        }
    }

    #[test]
    fn a_clock_that_is_wrong_at_the_start_deletes_nothing_when_it_is_corrected_within_two_hours() {
        for wrong_ms in [ahead_ms, |minute| minute * 60_000] {
            let mut daemon = Daemon::default();
            assert_eq!(daemon.run(120, wrong_ms), None);
            assert_eq!(daemon.run(120, true_ms), None);
            assert_eq!(daemon.run(1, true_ms), Some(true_ms(121) - DAY_MS));
        }
    }

    #[test]
    fn a_clock_that_jumps_every_hour_deletes_nothing_for_age() {
        let jumping_ms = |minute: u64| true_ms(minute) + minute / 60 * 60_000;
        assert_eq!(Daemon::default().run(2_000, jumping_ms), None);
    }

    #[test]
    fn small_corrections_are_no_jump() {
        let slewed_ms = |minute: u64| true_ms(minute) + minute * 900;
        assert!(Daemon::default().run(200, slewed_ms).is_some());
    }

    #[test]
    fn what_is_beyond_a_number_of_messages_needs_no_clock() {
        let keep = Keep { messages: NonZeroU64::new(7), ..KEEP_A_DAY };
        let expected = Cut { beyond_messages: NonZeroU64::new(7), said_before_unix_ms: None };
        assert_eq!(keep.cut(None), Some(expected));
        assert_eq!(KEEP_A_DAY.cut(None), None);
        assert_eq!(KEEP_A_DAY.cut(Some(5)), None, "in 1970 nothing is a day old");
    }
}
