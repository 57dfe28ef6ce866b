//! A talker is slowed, not punished: a bucket of tokens for each connection. Every frame costs one; while the bucket is
//! empty the socket is left unread, and TCP passes the wait on to the sender.

use std::time::Duration;

use crate::moment::Moment;

/// How fast one connection may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Frames at once after a rest.
    pub burst: u32,
    /// Frames a second in the long run.
    pub per_second: u32,
}

impl Rate {
    /// Frames that this allows in that time, in the long run.
    #[must_use]
    pub fn within(self, time: Duration) -> u32 {
        u32::try_from(u128::from(self.per_second) * time.as_millis() / 1_000).unwrap_or(u32::MAX)
    }
}

/// The bucket, as one number: when it will be full again. Taking a token moves that into the future by the time one
/// token needs; "empty" is when it lies a whole bucket ahead.
///
/// Nanoseconds since the daemon's start, for at 3,000 frames a second a token takes a third of a millisecond.
#[derive(Debug, Clone, Copy, Default)]
pub struct TokenBucket {
    full_at_ns: u64,
}

impl TokenBucket {
    /// Takes a token; the caller has already done the work it pays for.
    pub fn take(&mut self, rate: Rate, now: Moment) {
        self.full_at_ns = self.full_at_ns.max(nanos(now)) + token_ns(rate);
    }

    /// When the next token will be there, if there is none now.
    #[must_use]
    pub fn empty_until(&self, rate: Rate, now: Moment) -> Option<Moment> {
        let depth_ns = token_ns(rate) * u64::from(rate.burst.saturating_sub(1));
        let next_at_ns = self.full_at_ns.saturating_sub(depth_ns);
        (next_at_ns > nanos(now)).then(|| Moment::START + Duration::from_nanos(next_at_ns))
    }
}

fn token_ns(rate: Rate) -> u64 {
    1_000_000_000 / u64::from(rate.per_second.max(1))
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
            if let Some(next) = bucket.empty_until(RATE, now) {
                return (taken, next);
            }
            bucket.take(RATE, now);
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
}
