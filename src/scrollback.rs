//! The newest messages of a room, each as the JSON in which it was sent.
//!
//! The JSON is the same for all clients. What is put around it differs from one [framing](crate::framing) to the other, and
//! is not kept.
//!
//! The messages lie side by side in one buffer, and their lengths beside it. So a message costs no allocation of its own: it
//! is appended at the end and, when there are too many, cut off at the front.

use std::collections::VecDeque;

use crate::limits::ScrollbackLimit;

/// See the module.
#[derive(Debug)]
pub struct Scrollback {
    kept: ScrollbackLimit,
    /// Messages, oldest first. Those before `start` have been cut off already.
    bytes: Vec<u8>,
    start: usize,
    /// The length of each message that is still there.
    lens: VecDeque<usize>,
}

impl Scrollback {
    /// An empty scrollback.
    #[must_use]
    pub fn new(kept: ScrollbackLimit) -> Scrollback {
        Scrollback { kept, bytes: Vec::new(), start: 0, lens: VecDeque::new() }
    }

    /// Adds a message that is sent to everybody.
    pub fn push(&mut self, json: &[u8]) {
        if self.kept.messages == 0 {
            return;
        }
        self.bytes.extend_from_slice(json);
        self.lens.push_back(json.len());
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

    /// Bytes of all messages together.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// The messages older than the `skipped` newest, newest first.
    pub fn newest_first(&self, skipped: usize) -> impl Iterator<Item = &[u8]> {
        let mut end = self.bytes.len() - self.lens.iter().rev().take(skipped).sum::<usize>();
        self.lens.iter().rev().skip(skipped).map(move |len| {
            end -= len;
            &self.bytes[end..end + len]
        })
    }

    /// The newest messages, oldest first: `most_messages` of them, or as many as fit in `most_bytes`.
    pub fn newest(&self, most_messages: usize, most_bytes: usize) -> impl ExactSizeIterator<Item = &[u8]> {
        let count = fitting(self.lens.iter().rev().take(most_messages), most_bytes);
        self.range(self.lens.len() - count, count)
    }

    /// Of the newest `messages` the oldest, oldest first: as many as fit in `most_bytes`, but one, if there is one, however
    /// long.
    pub fn oldest_of_newest(&self, messages: usize, most_bytes: usize) -> impl ExactSizeIterator<Item = &[u8]> {
        let first = self.lens.len().saturating_sub(messages);
        let count = fitting(self.lens.range(first..), most_bytes).max(1).min(self.lens.len() - first);
        self.range(first, count)
    }

    /// So many messages from the `first` on, counted from the oldest.
    fn range(&self, first: usize, count: usize) -> impl ExactSizeIterator<Item = &[u8]> {
        let mut start = self.bytes.len() - self.lens.range(first..).sum::<usize>();
        self.lens.range(first..first + count).map(move |len| {
            let message = start..start + len;
            start = message.end;
            &self.bytes[message]
        })
    }
}

/// How many of these lengths fit one after the other.
fn fitting<'a>(lens: impl Iterator<Item = &'a usize>, most_bytes: usize) -> usize {
    let ends = lens.scan(0, |end, len| {
        *end += len;
        Some(*end)
    });
    ends.take_while(|end| *end <= most_bytes).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn scrollback_of(kept: ScrollbackLimit, messages: &[&str]) -> Scrollback {
        let mut scrollback = Scrollback::new(kept);
        for message in messages {
            scrollback.push(message.as_bytes());
        }
        scrollback
    }

    fn texts<'a>(messages: impl Iterator<Item = &'a [u8]>) -> Vec<&'a str> {
        messages.map(|message| str::from_utf8(message).unwrap()).collect()
    }

    #[test]
    fn the_newest_come_oldest_first_and_whole() {
        let scrollback = scrollback_of(ScrollbackLimit { messages: 10, bytes: 100 }, &["a", "bb", "ccc"]);
        assert_eq!(texts(scrollback.newest(2, 100)), ["bb", "ccc"]);
        assert_eq!(texts(scrollback.newest(9, 100)), ["a", "bb", "ccc"]);
        assert_eq!(texts(scrollback.newest(9, 4)), ["ccc"], "half a message is of no use");
        assert_eq!(scrollback.newest(0, 100).len(), 0);
    }

    #[test]
    fn a_piece_of_the_newest_begins_with_the_oldest_of_them_and_has_one_at_least() {
        let scrollback = scrollback_of(ScrollbackLimit { messages: 10, bytes: 100 }, &["a", "bb", "ccc", "d"]);
        let cases: [(usize, usize, &[&str]); 5] =
            [(3, 5, &["bb", "ccc"]), (3, 4, &["bb"]), (3, 0, &["bb"]), (9, 99, &["a", "bb", "ccc", "d"]), (0, 99, &[])];
        for (messages, most_bytes, expected) in cases {
            assert_eq!(texts(scrollback.oldest_of_newest(messages, most_bytes)), expected, "{messages} {most_bytes}");
        }
    }

    #[test]
    fn what_is_older_than_some_comes_newest_first() {
        let scrollback = scrollback_of(ScrollbackLimit { messages: 3, bytes: 100 }, &["a", "bb", "ccc", "d"]);
        assert_eq!(texts(scrollback.newest_first(1)), ["ccc", "bb"]);
        assert_eq!(scrollback.newest_first(9).count(), 0);
    }

    #[test]
    fn with_no_messages_to_be_kept_none_is() {
        let scrollback = scrollback_of(ScrollbackLimit { messages: 0, bytes: 100 }, &["a"]);
        assert_eq!((scrollback.newest(9, 100).len(), scrollback.oldest_of_newest(9, 100).len()), (0, 0));
    }

    #[test]
    fn the_newest_stays_however_large_it_is() {
        let scrollback = scrollback_of(ScrollbackLimit { messages: 9, bytes: 5 }, &["a", "long enough"]);
        assert_eq!(texts(scrollback.newest(9, 100)), ["long enough"]);
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
                prop_assert!(scrollback.newest(usize::MAX, usize::MAX).eq(kept));
                prop_assert!(scrollback.bytes.len() <= 2 * (bytes.max(len) + len), "what was cut off goes, too");
            }
        }
    }
}
