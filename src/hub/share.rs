//! The byte rate of a room: how much may be said in it, and who waits when that is spent.
//!
//! A reader on an ordinary line takes a fixed number of bytes a second. If a room as a whole says less than that, no reader
//! is ever too slow, whatever the number of its talkers. So a room has a bucket of bytes, and each message takes its bytes
//! out of it. While the bucket is empty, the room's members are not read, and TCP passes the wait on to them.
//!
//! # The line
//! Members that have something to say then stand in a line, and are taken out of it one by one as bytes flow in. The order
//! is by what each has said since the bucket was full: every member has a mark, which rises by the bytes that it says. The
//! next member is the one whose mark will be lowest after its message, if that is as long as its last one. So the member that
//! talks most waits most, and a short word does not wait for a long message of each of the others. A member that has said
//! nothing begins at the mark of the member that was served last: silence cannot be saved up. No member starves: a mark in
//! the line stands still, and the marks of all talkers pass it.
//!
//! Fair queueing does the same with packets. The alternative not taken is a plain line, first come first served: in it a
//! short word waits for one of the largest messages of each talker.
//!
//! To take one member out costs the logarithm of the length of the line. The others are not looked at, and the loop sleeps
//! until the next may speak.

use std::collections::BTreeMap;

use super::peers::PeerId;
use crate::limits::Limits;
use crate::moment::Moment;
use crate::rate_limit::TokenBucket;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Share {
    bucket: TokenBucket,
    /// From when the bucket is empty until it is full again.
    line: Option<Box<Line>>,
}

#[derive(Debug, Default)]
struct Line {
    /// Each with its mark, in the order of what the mark will be after the next message, then of arrival.
    waiting: BTreeMap<(u64, u64), (PeerId, u64)>,
    /// Members that have talked since the bucket was full.
    talkers: BTreeMap<PeerId, Talker>,
    /// The highest mark of any member that was served.
    served: u64,
    /// How many have come to the line.
    arrivals: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Talker {
    mark: u64,
    /// Bytes of what it said last.
    last: u64,
}

impl Share {
    /// Whether a member that wants to speak has to wait: the share is spent, or others came before it.
    pub(super) fn has_to_wait(&self, limits: &Limits, now: Moment) -> bool {
        match &self.line {
            None => false,
            Some(line) => !line.waiting.is_empty() || self.spent_until(limits, now).is_some(),
        }
    }

    /// A member stands in line.
    pub(super) fn queue_up(&mut self, id: PeerId) {
        let line = self.line.get_or_insert_default();
        let Talker { mark, last } = line.talkers.get(&id).copied().unwrap_or_default();
        let mark = mark.max(line.served);
        line.arrivals += 1;
        line.waiting.insert((mark.saturating_add(last), line.arrivals), (id, mark));
    }

    /// Takes the next member out of the line, if the share allows another message. It may have left the room since.
    pub(super) fn next(&mut self, limits: &Limits, now: Moment) -> Option<PeerId> {
        if self.spent_until(limits, now).is_some() {
            return None;
        }
        let line = self.line.as_mut()?;
        let (_, (id, mark)) = line.waiting.pop_first()?;
        line.served = line.served.max(mark);
        Some(id)
    }

    /// Counts what a member has caused to be sent to the room. Returns whether the share is spent.
    pub(super) fn charge(&mut self, id: PeerId, bytes: usize, limits: &Limits, now: Moment) -> bool {
        let Some(rate) = limits.room_byte_rate else { return false };
        if self.line.as_ref().is_some_and(|line| line.waiting.is_empty()) && self.bucket.is_full(now) {
            self.line = None;
        }
        self.bucket.take(rate.bytes(bytes), now);
        let is_spent = self.spent_until(limits, now).is_some();
        if is_spent {
            self.line.get_or_insert_default();
        }
        if let Some(line) = &mut self.line {
            let Talker { mark, last } = line.talkers.entry(id).or_default();
            *last = bytes as u64;
            *mark = line.served.max(*mark).saturating_add(*last);
        }
        is_spent
    }

    /// Counts bytes of the room whose author is not known any more when they are counted.
    pub(super) fn charge_nobody(&mut self, bytes: usize, limits: &Limits, now: Moment) {
        if bytes > 0
            && let Some(rate) = limits.room_byte_rate
        {
            self.bucket.take(rate.bytes(bytes), now);
            if self.spent_until(limits, now).is_some() {
                self.line.get_or_insert_default();
            }
        }
    }

    /// A member leaves: what it has said is forgotten. Its place in the line stays, and is passed over.
    pub(super) fn forget(&mut self, id: PeerId) {
        if let Some(line) = &mut self.line {
            line.talkers.remove(&id);
        }
    }

    /// Somebody stands in line.
    pub(super) fn has_line(&self) -> bool {
        self.line.as_ref().is_some_and(|line| !line.waiting.is_empty())
    }

    /// When the next member may speak, which can be earlier than now. Never, if no member waits.
    pub(super) fn deadline(&self, limits: &Limits) -> Moment {
        if self.has_line() { self.spent_until(limits, Moment::START).unwrap_or(Moment::START) } else { Moment::NEVER }
    }

    fn spent_until(&self, limits: &Limits, now: Moment) -> Option<Moment> {
        let rate = limits.room_byte_rate?;
        self.bucket.empty_until(rate.bytes(limits.room_burst_bytes()), now)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::rate_limit::ByteRate;

    const LOUD: usize = 100_000;

    fn limits() -> Limits {
        Limits { room_byte_rate: Some(ByteRate { per_second: 10_000 }), max_queue_bytes: 80_000, ..Limits::default() }
    }

    fn peer(slot: u32) -> PeerId {
        PeerId { slot, serial: 1 }
    }

    fn at(seconds: u64) -> Moment {
        Moment::START + Duration::from_secs(seconds)
    }

    /// A room in which so many have each said one long thing and want to say the next.
    fn flooded_by(count: u32) -> Share {
        let mut share = Share::default();
        for nth in 0..count {
            assert!(share.charge(peer(nth), LOUD, &limits(), at(0)));
        }
        for nth in 0..count {
            share.queue_up(peer(nth));
        }
        share
    }

    #[test]
    fn a_room_that_has_not_spent_its_share_lets_everybody_speak_at_once() {
        let mut share = Share::default();
        assert!(!share.has_to_wait(&limits(), at(0)));
        assert!(!share.charge(peer(1), 10_000, &limits(), at(0)), "as many as may be said at once");
        assert!(share.charge(peer(1), 1, &limits(), at(0)));
        assert!(share.has_to_wait(&limits(), at(0)) && !share.has_to_wait(&limits(), at(1)));
        assert_eq!(share.deadline(&limits()), Moment::NEVER, "nobody waits");
    }

    #[test]
    fn the_next_is_let_forward_when_what_was_said_has_been_paid_for() {
        let mut share = flooded_by(1);
        let due = share.deadline(&limits());
        assert_eq!(due, at(9), "100,000 bytes, of which 10,000 were there");
        assert_eq!(share.next(&limits(), at(8)), None);
        assert_eq!(share.next(&limits(), due), Some(peer(0)));
        assert_eq!(share.deadline(&limits()), Moment::NEVER);
    }

    /// However many flood the room, and however long they have done so.
    #[test]
    fn one_who_says_little_waits_for_one_message_and_not_for_one_of_each() {
        let mut share = flooded_by(50);
        let quiet = peer(99);
        for _ in 0..120 {
            let due = share.deadline(&limits());
            let loud = share.next(&limits(), due).unwrap();
            assert_ne!(loud, quiet);
            share.charge(loud, LOUD, &limits(), due);
            share.queue_up(loud);
            share.queue_up(quiet);
            let due = share.deadline(&limits());
            assert_eq!(share.next(&limits(), due), Some(quiet));
            share.charge(quiet, 100, &limits(), due);
        }
    }

    #[test]
    fn nobody_starves_and_who_says_twice_as_much_speaks_half_as_often() {
        let mut share = flooded_by(3);
        let mut times = [0_u32; 3];
        for _ in 0..500 {
            let due = share.deadline(&limits());
            let id = share.next(&limits(), due).unwrap();
            times[id.slot as usize] += 1;
            share.charge(id, if id.slot == 0 { 2 * LOUD } else { LOUD }, &limits(), due);
            share.queue_up(id);
        }
        assert!((99..=101).contains(&times[0]), "{times:?}");
        assert!(times[1].abs_diff(200) <= 1 && times[2].abs_diff(200) <= 1, "{times:?}");
    }

    #[test]
    fn a_room_that_has_come_to_rest_remembers_nobody() {
        let mut share = flooded_by(2);
        let due = share.deadline(&limits());
        assert!(share.next(&limits(), due).is_some());
        assert!(share.next(&limits(), due).is_some());
        share.charge(peer(0), 1, &limits(), due + Duration::from_secs(1));
        assert!(!share.has_line() && share.line.is_none());
    }
}
