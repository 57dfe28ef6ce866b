//! A talker is slowed, not punished: a bucket of tokens for each connection. Every frame costs one, and one that makes the
//! daemon send much costs more; while the bucket is empty the socket is left unread, and TCP passes the wait on to the
//! sender.

use std::time::Duration;

use crate::moment::Moment;

/// How many things one connection may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// At once, after a rest.
    pub burst: u32,
    /// A second, in the long run.
    pub per_second: u32,
}

/// How many bytes may be sent because of one connection, or of one room, in the long run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteRate {
    /// Bytes a second.
    pub per_second: u32,
}

/// What something takes out of a bucket: the time in which that much flows in, in nanoseconds.
///
/// Frames and bytes are both so much time. So one bucket holds both, and a connection needs no second one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cost(u64);

impl Rate {
    /// Things that this allows in that time, in the long run.
    #[must_use]
    pub fn within(self, time: Duration) -> u32 {
        u32::try_from(u128::from(self.per_second) * time.as_millis() / 1_000).unwrap_or(u32::MAX)
    }

    /// One thing.
    #[must_use]
    pub fn one(self) -> Cost {
        Cost(1_000_000_000 / u64::from(self.per_second.max(1)))
    }

    /// What may be taken, so that one more thing may still be done at once.
    #[must_use]
    pub fn all_but_one(self) -> Cost {
        Cost(self.one().0 * u64::from(self.burst.saturating_sub(1)))
    }
}

impl ByteRate {
    /// So many bytes.
    #[must_use]
    pub fn bytes(self, count: usize) -> Cost {
        Cost((count as u64).saturating_mul(1_000_000_000) / u64::from(self.per_second.max(1)))
    }
}

impl Cost {
    /// What is still to be paid when `paid` has been.
    #[must_use]
    pub fn beyond(self, paid: Cost) -> Cost {
        Cost(self.0.saturating_sub(paid.0))
    }
}

/// The bucket, as one number: when it will be full again. Taking something moves that into the future by the time that
/// it costs; "empty" is when it lies a whole bucket ahead. What is done is paid for afterwards, so a bucket that is not
/// empty pays for anything, and may be in debt then: the largest message goes out at once, and it is the next that waits.
///
/// Nanoseconds since the daemon's start, for at 3,000 frames a second a token takes a third of a millisecond.
#[derive(Debug, Clone, Copy, Default)]
pub struct TokenBucket {
    full_at_ns: u64,
}

impl TokenBucket {
    /// Takes what something costs; the caller has already done it.
    pub fn take(&mut self, Cost(cost_ns): Cost, now: Moment) {
        self.full_at_ns = self.full_at_ns.max(nanos(now)).saturating_add(cost_ns);
    }

    /// When a bucket that holds a little more than `most` will not be empty any more, if it is empty now.
    #[must_use]
    pub fn empty_until(&self, Cost(most_ns): Cost, now: Moment) -> Option<Moment> {
        let next_at_ns = self.full_at_ns.saturating_sub(most_ns);
        (next_at_ns > nanos(now)).then(|| Moment::START + Duration::from_nanos(next_at_ns))
    }

    /// Nothing is missing in it.
    #[must_use]
    pub fn is_full(&self, now: Moment) -> bool {
        self.full_at_ns <= nanos(now)
    }
}

fn nanos(moment: Moment) -> u64 {
    u64::try_from(moment.since(Moment::START).as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { burst: 5, per_second: 20 };

    fn at(millis: u64) -> Moment {
        Moment::START + Duration::from_millis(millis)
    }

    /// Takes tokens while there are any; says how many and when the next comes.
    fn drain(bucket: &mut TokenBucket, now: Moment) -> (u32, Moment) {
        for taken in 0.. {
            if let Some(next) = bucket.empty_until(RATE.all_but_one(), now) {
                return (taken, next);
            }
            bucket.take(RATE.one(), now);
        }
        unreachable!()
    }

    #[test]
    fn a_burst_passes_at_once_and_then_one_token_comes_every_so_often() {
        let mut bucket = TokenBucket::default();
        assert_eq!(drain(&mut bucket, at(1_000)), (5, at(1_050)));
        assert_eq!(drain(&mut bucket, at(1_049)), (0, at(1_050)));
        assert_eq!(drain(&mut bucket, at(1_050)), (1, at(1_100)));
        assert_eq!(drain(&mut bucket, at(1_200)), (3, at(1_250)));
    }

    #[test]
    fn a_rest_fills_the_bucket_and_never_more_than_that() {
        let mut bucket = TokenBucket::default();
        drain(&mut bucket, at(0));
        assert_eq!(drain(&mut bucket, at(1_000_000)).0, 5);
    }

    #[test]
    fn what_costs_more_than_there_is_passes_at_once_and_the_next_waits_for_it() {
        let bytes = ByteRate { per_second: 1_000 };
        let mut bucket = TokenBucket::default();
        bucket.take(bytes.bytes(10_000), at(1_000));
        let depth_ms = 4 * 50;
        assert_eq!(bucket.empty_until(RATE.all_but_one(), at(1_000)), Some(at(1_000 + 10_000 - depth_ms)));
        assert_eq!(bucket.empty_until(RATE.all_but_one(), at(1_000 + 10_000 - depth_ms)), None);
        assert!(!bucket.is_full(at(10_999)) && bucket.is_full(at(11_000)));
    }

    #[test]
    fn no_number_of_bytes_is_too_large_to_be_counted() {
        let mut bucket = TokenBucket::default();
        for _ in 0..3 {
            bucket.take(ByteRate { per_second: 1 }.bytes(usize::MAX), at(1));
        }
        assert!(bucket.empty_until(RATE.all_but_one(), at(1)).is_some());
    }
}
