//! Time as the daemon uses it: two numbers, read once a turn by the event loop and handed down.
//!
//! Only the event loop asks for the time. So a test can let a minute pass in a microsecond, and all that happens in
//! one turn happens at the same time.

use std::num::NonZeroU64;
use std::ops::Add;
use std::time::Duration;

/// A point on the daemon's own clock: whole milliseconds since its start. It only ever goes forward.
///
/// Half the size of `std::time::Instant`, of which every connection would keep several; and counted from 1, so that
/// `Option<Moment>` is no larger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(NonZeroU64);

impl Moment {
    /// When the daemon started.
    pub const START: Moment = Moment(NonZeroU64::MIN);

    /// Later than everything.
    pub const NEVER: Moment = Moment(NonZeroU64::MAX);

    /// The time from `earlier` to here; zero when it is not earlier.
    #[must_use]
    pub fn since(self, earlier: Moment) -> Duration {
        Duration::from_millis(self.0.get().saturating_sub(earlier.0.get()))
    }
}

impl Add<Duration> for Moment {
    type Output = Moment;

    /// Saturates at [`Moment::NEVER`]; a part of a millisecond counts as a whole one, so that no deadline fires early.
    fn add(self, duration: Duration) -> Moment {
        let millis = u64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
        Moment(self.0.saturating_add(millis))
    }
}

/// The time of a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// For deadlines: no change of the wall clock moves it.
    pub moment: Moment,
    /// For people: milliseconds since 1970, UTC. It may jump.
    pub unix_ms: u64,
}
