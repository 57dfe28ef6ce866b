//! The newest messages of a room, kept as the very frames in which they were sent.
//!
//! So a newcomer costs a copy of bytes that lie side by side, and a message that is kept costs no allocation of its own:
//! it is appended to one buffer and, when its time has come, cut off at the front.

use std::collections::VecDeque;

use crate::limits::ScrollbackLimit;

/// See the module.
#[derive(Debug)]
pub struct Scrollback {
    kept: ScrollbackLimit,
    /// Frames, oldest first. Those before `start` have been cut off already.
    bytes: Vec<u8>,
    start: usize,
    /// The length of each frame that is still there.
    lens: VecDeque<usize>,
}

impl Scrollback {
    /// An empty scrollback.
    #[must_use]
    pub fn new(kept: ScrollbackLimit) -> Scrollback {
        Scrollback { kept, bytes: Vec::new(), start: 0, lens: VecDeque::new() }
    }

    /// Adds the frame of a message that everybody has been sent.
    pub fn push(&mut self, frame: &[u8]) {
        if self.kept.messages == 0 {
            return;
        }
        self.bytes.extend_from_slice(frame);
        self.lens.push_back(frame.len());
        self.cut(self.kept);
    }

    /// Keeps no more than that, but always the newest message.
    pub fn cut(&mut self, kept: ScrollbackLimit) {
        while self.lens.len() > 1
            && (self.lens.len() > kept.messages || self.bytes() > kept.bytes)
            && let Some(oldest) = self.lens.pop_front()
        {
            self.start += oldest;
        }
        // Each byte is moved at most once for each byte that was cut off, so the work stays linear.
        if self.start > self.bytes.len() / 2 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
    }

    /// Keeps no more than that for now, and gives the memory of the rest back.
    pub fn shorten(&mut self, kept: ScrollbackLimit) {
        self.cut(kept);
        self.bytes.drain(..self.start);
        self.start = 0;
        self.bytes.shrink_to_fit();
        self.lens.shrink_to_fit();
    }

    /// How many messages there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lens.len()
    }

    /// There are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lens.is_empty()
    }

    /// Bytes of their frames.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// Frames from the `skipped`th newest on, newest first.
    pub fn newest_first(&self, skipped: usize) -> impl Iterator<Item = &[u8]> {
        let mut end = self.bytes.len() - self.lens.iter().rev().take(skipped).sum::<usize>();
        self.lens.iter().rev().skip(skipped).map(move |len| {
            end -= len;
            &self.bytes[end..end + len]
        })
    }

    /// Of the newest `messages` the oldest, as many whole frames as fit in `most_bytes`, and how many they are: one, if
    /// there is one, however long.
    #[must_use]
    pub fn oldest_of_newest(&self, messages: usize, most_bytes: usize) -> (&[u8], usize) {
        let newest = self.newest(messages, usize::MAX);
        let (mut end, mut count) = (0, 0);
        for len in self.lens.iter().skip(self.lens.len().saturating_sub(messages)) {
            if count > 0 && end + len > most_bytes {
                break;
            }
            end += len;
            count += 1;
        }
        (&newest[..end], count)
    }

    /// The newest messages, oldest first: `most_messages` of them, or as many whole frames as fit in `most_bytes`.
    #[must_use]
    pub fn newest(&self, most_messages: usize, most_bytes: usize) -> &[u8] {
        let mut start = self.bytes.len();
        for len in self.lens.iter().rev().take(most_messages) {
            if self.bytes.len() - start + len > most_bytes {
                break;
            }
            start -= len;
        }
        &self.bytes[start..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn scrollback_of(kept: ScrollbackLimit, frames: &[&str]) -> Scrollback {
        let mut scrollback = Scrollback::new(kept);
        for frame in frames {
            scrollback.push(frame.as_bytes());
        }
        scrollback
    }

    #[test]
    fn the_newest_come_oldest_first_and_whole() {
        let scrollback = scrollback_of(ScrollbackLimit { messages: 10, bytes: 100 }, &["a", "bb", "ccc"]);
        assert_eq!(scrollback.newest(2, 100), b"bbccc");
        assert_eq!(scrollback.newest(9, 100), b"abbccc");
        assert_eq!(scrollback.newest(9, 4), b"ccc", "half a frame is of no use");
        assert_eq!(scrollback.newest(0, 100), b"");
    }

    #[test]
    fn a_piece_of_the_newest_begins_with_the_oldest_of_them_and_has_one_at_least() {
        let scrollback = scrollback_of(ScrollbackLimit { messages: 10, bytes: 100 }, &["a", "bb", "ccc", "d"]);
        for (messages, most_bytes, expected) in
            [(3, 5, ("bbccc", 2)), (3, 4, ("bb", 1)), (3, 0, ("bb", 1)), (9, 99, ("abbcccd", 4)), (0, 99, ("", 0))]
        {
            let (bytes, count) = scrollback.oldest_of_newest(messages, most_bytes);
            assert_eq!((bytes, count), (expected.0.as_bytes(), expected.1), "{messages} {most_bytes}");
        }
    }

    #[test]
    fn with_no_messages_to_be_kept_none_is() {
        assert_eq!(scrollback_of(ScrollbackLimit { messages: 0, bytes: 100 }, &["a"]).newest(9, 100), b"");
    }

    #[test]
    fn the_newest_stays_however_large_it_is() {
        assert_eq!(
            scrollback_of(ScrollbackLimit { messages: 9, bytes: 5 }, &["a", "long enough"]).newest(9, 100),
            b"long enough"
        );
    }

    proptest! {
        #[test]
        fn a_tail_is_the_end_of_all_that_was_said(
            lens in proptest::collection::vec(1usize..40, 1..200),
            messages in 1usize..20,
            bytes in 1usize..300,
        ) {
            let mut scrollback = Scrollback::new(ScrollbackLimit { messages, bytes });
            let mut said: Vec<Vec<u8>> = Vec::new();
            for (nth, len) in lens.into_iter().enumerate() {
                said.push(vec![nth as u8; len]);
                scrollback.push(&said[nth]);
                let mut kept = &said[said.len().saturating_sub(messages)..];
                while kept.len() > 1 && kept.iter().map(Vec::len).sum::<usize>() > bytes {
                    kept = &kept[1..];
                }
                prop_assert_eq!(scrollback.newest(usize::MAX, usize::MAX), kept.concat());
                prop_assert!(scrollback.bytes.len() <= 2 * (bytes.max(len) + len), "what was cut off goes, too");
            }
        }
    }
}
