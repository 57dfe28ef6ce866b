//! Messages that live as long as the daemon: they are given their number and have happened.
//!
//! They are kept by the room itself, in its tail; what is here is the order.

use std::collections::VecDeque;
use std::ops::Range;

use super::{Committed, Entry, History};
use crate::chat::{Message, Name};

/// What a turn of unusual size has needed is given back, down to this.
const KEPT_ENTRIES: usize = 1_024;
const KEPT_TEXT_BYTES: usize = 256 * 1024;

/// See the module. Commits at once: what is appended comes back in the same turn.
#[derive(Debug)]
pub struct Memory<M> {
    appended: VecDeque<Appended<M>>,
    /// The texts of all that is in `appended`, in one buffer, so that none costs an allocation.
    texts: String,
    last_id: u64,
}

#[derive(Debug)]
enum Appended<M> {
    Said { name: Name, unix_ms: u64, text: Range<usize> },
    Came(M),
    Went(M),
}

impl<M> Memory<M> {
    /// An empty history.
    #[must_use]
    pub fn new() -> Memory<M> {
        Memory { appended: VecDeque::new(), texts: String::new(), last_id: 0 }
    }
}

impl<M> Default for Memory<M> {
    fn default() -> Memory<M> {
        Memory::new()
    }
}

impl<M> History<M> for Memory<M> {
    fn append(&mut self, entry: Entry<'_, M>) {
        self.appended.push_back(match entry {
            Entry::Came(member) => Appended::Came(member),
            Entry::Went(member) => Appended::Went(member),
            Entry::Said { name, unix_ms, text } => {
                let start = self.texts.len();
                self.texts.push_str(text);
                Appended::Said { name, unix_ms, text: start..self.texts.len() }
            }
        });
    }

    fn committed(&mut self) -> Option<Committed<'_, M>> {
        let Some(entry) = self.appended.pop_front() else {
            self.appended.shrink_to(KEPT_ENTRIES);
            self.texts.clear();
            self.texts.shrink_to(KEPT_TEXT_BYTES);
            return None;
        };
        Some(match entry {
            Appended::Came(member) => Committed::Came(member),
            Appended::Went(member) => Committed::Went(member),
            Appended::Said { name, unix_ms, text } => {
                self.last_id += 1;
                Committed::Said(Message { id: self.last_id, unix_ms, name, text: &self.texts[text] })
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Entry<'_, u8> {
        Entry::Said { name: Name::tourist(1), unix_ms: 5, text }
    }

    fn message(id: u64, text: &str) -> Option<Committed<'_, u8>> {
        Some(Committed::Said(Message { id, unix_ms: 5, name: Name::tourist(1), text }))
    }

    #[test]
    fn entries_come_back_in_order_and_messages_with_rising_ids() {
        let mut history = Memory::new();
        for entry in [Entry::Came(7), said("a"), said("bb"), Entry::Went(7)] {
            history.append(entry);
        }
        assert_eq!(history.committed(), Some(Committed::Came(7)));
        assert_eq!(history.committed(), message(1, "a"));
        history.append(said("late"));
        assert_eq!(history.committed(), message(2, "bb"));
        assert_eq!(history.committed(), Some(Committed::Went(7)));
        assert_eq!(history.committed(), message(3, "late"));
        assert_eq!(history.committed(), None);
        history.append(said("again"));
        assert_eq!(history.committed(), message(4, "again"));
    }
}
