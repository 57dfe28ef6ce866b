//! `--history memory`: the newest messages, in memory, until the daemon ends.

use std::collections::VecDeque;
use std::ops::ControlFlow;

use super::{Committed, Entry, History};
use crate::chat::Message;

/// How much is kept. The oldest go first, whichever of the two is passed; the newest message always stays.
#[derive(Debug, Clone, Copy)]
pub struct Kept {
    /// Messages.
    pub messages: usize,
    /// Bytes of their texts.
    pub bytes: usize,
}

/// See the module. Commits at once: what is appended comes back in the same turn.
#[derive(Debug)]
pub struct Memory<M> {
    kept: Kept,
    appended: VecDeque<Entry<M>>,
    messages: VecDeque<Message>,
    /// Invariant: the sum of the lengths of all texts in `messages`.
    bytes: usize,
    last_id: u64,
}

impl<M> Memory<M> {
    /// An empty history.
    #[must_use]
    pub fn new(kept: Kept) -> Memory<M> {
        Memory { kept, appended: VecDeque::new(), messages: VecDeque::new(), bytes: 0, last_id: 0 }
    }

    fn trim(&mut self) {
        while self.messages.len() > 1 && (self.messages.len() > self.kept.messages || self.bytes > self.kept.bytes) {
            if let Some(oldest) = self.messages.pop_front() {
                self.bytes -= oldest.text.len();
            }
        }
    }
}

impl<M> History<M> for Memory<M> {
    fn append(&mut self, entry: Entry<M>) {
        self.appended.push_back(entry);
    }

    fn committed(&mut self) -> Option<Committed<'_, M>> {
        let Some(entry) = self.appended.pop_front() else {
            // What a turn of unusual size has needed is given back.
            self.appended.shrink_to(1_024);
            return None;
        };
        match entry {
            Entry::Came(member) => Some(Committed::Came(member)),
            Entry::Went(member) => Some(Committed::Went(member)),
            Entry::Said { name, unix_ms, text } => {
                self.last_id += 1;
                self.bytes += text.len();
                self.messages.push_back(Message { id: self.last_id, unix_ms, name, text });
                self.trim();
                self.messages.back().map(Committed::Said)
            }
        }
    }

    fn last_id(&self) -> u64 {
        self.last_id
    }

    fn read_newest(&self, limit: usize, visit: &mut dyn FnMut(&Message) -> ControlFlow<()>) {
        // Whether it went through or was stopped is the visitor's own knowledge.
        let _ = self.messages.iter().rev().take(limit).try_for_each(visit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::Name;

    fn history_of(kept: Kept, texts: &[&str]) -> Memory<u8> {
        let mut history = Memory::new(kept);
        for text in texts {
            history.append(Entry::Said { name: Name::tourist(1), unix_ms: 0, text: (*text).into() });
        }
        while history.committed().is_some() {}
        history
    }

    fn newest(history: &Memory<u8>, limit: usize) -> Vec<(u64, String)> {
        let mut seen = Vec::new();
        history.read_newest(limit, &mut |message| {
            seen.push((message.id, message.text.to_string()));
            ControlFlow::Continue(())
        });
        seen
    }

    #[test]
    fn entries_come_back_in_order_and_messages_with_rising_ids() {
        let mut history = Memory::new(Kept { messages: 10, bytes: 100 });
        let said = |text: &str| Entry::Said { name: Name::tourist(1), unix_ms: 0, text: text.into() };
        for entry in [Entry::Came(7), said("a"), said("b"), Entry::Went(7)] {
            history.append(entry);
        }
        assert_eq!(history.last_id(), 0, "nothing has happened before it is committed");
        assert_eq!(history.committed(), Some(Committed::Came(7)));
        assert!(matches!(history.committed(), Some(Committed::Said(Message { id: 1, .. }))));
        assert!(matches!(history.committed(), Some(Committed::Said(Message { id: 2, .. }))));
        assert_eq!(history.last_id(), 2);
        assert_eq!(history.committed(), Some(Committed::Went(7)));
        assert_eq!(history.committed(), None);
    }

    #[test]
    fn the_newest_are_read_first() {
        let history = history_of(Kept { messages: 10, bytes: 100 }, &["a", "b", "c"]);
        assert_eq!(newest(&history, 2), [(3, "c".into()), (2, "b".into())]);
        assert_eq!(newest(&history, 9).len(), 3);
        assert_eq!(newest(&history, 0), []);
    }

    #[test]
    fn the_oldest_go_when_there_are_too_many_or_too_many_bytes() {
        assert_eq!(newest(&history_of(Kept { messages: 2, bytes: 100 }, &["a", "b", "c"]), 9).len(), 2);
        assert_eq!(newest(&history_of(Kept { messages: 9, bytes: 5 }, &["aaa", "bbb", "cc"]), 9).len(), 2);
        assert_eq!(newest(&history_of(Kept { messages: 9, bytes: 5 }, &["a", "long enough"]), 9).len(), 1);
    }
}
