//! The only reader of clocks in the program, and the one way to write a time of day.

use std::fmt;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use log::info;

use crate::limits::fixed::COUNTED_OF_A_PAUSE;
use crate::moment::{Moment, Now};

/// 9999-12-31T23:59:59.999Z. A later year has five digits, which no reader of RFC 3339 takes, and soon leaves the range of
/// a date in a browser. A wall clock that is further ahead counts as this: it is wrong anyway.
const LAST_UNIX_MS: u64 = 253_402_300_799_999;

/// Both clocks of a turn.
#[derive(Debug)]
pub struct Clock {
    read_last: Instant,
    /// Time since the start, without pauses.
    counted: Duration,
}

impl Clock {
    /// A clock that starts now.
    #[must_use]
    pub fn start() -> Clock {
        Clock { read_last: Instant::now(), counted: Duration::ZERO }
    }

    /// The time now. `wait` is how long the loop meant to wait since the last reading; none if it had nothing to wait for.
    pub fn read(&mut self, wait: Option<Duration>) -> Now {
        let instant = Instant::now();
        let passed = instant.duration_since(self.read_last);
        self.read_last = instant;
        let most = wait.map_or(Duration::MAX, |wait| wait.saturating_add(COUNTED_OF_A_PAUSE));
        self.counted += passed.min(most);
        if passed > most {
            info!("a pause of {passed:.1?}: no deadline has come nearer");
        }
        let moment = Moment::START + Duration::from_millis(self.counted.as_millis() as u64);
        Now { moment, unix_ms: unix_ms() }
    }
}

/// The wall clock: milliseconds since 1970, UTC, from 1970 to the end of the year 9999, wherever the clock may stand.
#[must_use]
pub fn unix_ms() -> u64 {
    unix_ms_of(SystemTime::now())
}

fn unix_ms_of(time: SystemTime) -> u64 {
    let since_1970 = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_1970.as_millis()).unwrap_or(LAST_UNIX_MS).min(LAST_UNIX_MS)
}

/// Milliseconds since 1970 as a date and time of RFC 3339: `2026-11-22T17:00:49.232Z`. Never panics.
#[derive(Debug, Clone, Copy)]
pub struct Timestamp(pub u64);

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The library refuses years of five digits.
        let time = UNIX_EPOCH + Duration::from_millis(self.0.min(LAST_UNIX_MS));
        humantime::format_rfc3339_millis(time).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_beyond_the_year_9999_or_before_1970_stands_at_the_nearest_time_that_can_be_written() {
        let second = Duration::from_secs(1);
        let end = UNIX_EPOCH + Duration::from_millis(LAST_UNIX_MS);
        for (time, unix_ms, written) in [
            (UNIX_EPOCH, 0, "1970-01-01T00:00:00.000Z"),
            (UNIX_EPOCH - second, 0, "1970-01-01T00:00:00.000Z"),
            (UNIX_EPOCH - Duration::from_secs(1 << 40), 0, "1970-01-01T00:00:00.000Z"),
            (UNIX_EPOCH + Duration::from_millis(1), 1, "1970-01-01T00:00:00.001Z"),
            (end, LAST_UNIX_MS, "9999-12-31T23:59:59.999Z"),
            (end + Duration::from_millis(1), LAST_UNIX_MS, "9999-12-31T23:59:59.999Z"),
            (UNIX_EPOCH + Duration::from_secs(i64::MAX as u64), LAST_UNIX_MS, "9999-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(unix_ms_of(time), unix_ms);
            assert_eq!(Timestamp(unix_ms_of(time)).to_string(), written);
        }
        assert_eq!(Timestamp(u64::MAX).to_string(), "9999-12-31T23:59:59.999Z");
    }
}
