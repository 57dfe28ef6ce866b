//! `--history off`: nothing is kept. Messages have ids and an order all the same.

use std::collections::VecDeque;
use std::ops::ControlFlow;

use super::{Committed, Entry, History};
use crate::chat::Message;

/// See the module.
#[derive(Debug)]
pub struct Off<M> {
    appended: VecDeque<Entry<M>>,
    last_id: u64,
    /// The message that [`History::committed`] gave last, for as long as the borrow lasts.
    newest: Option<Message>,
}

impl<M> Off<M> {
    /// No history.
    #[must_use]
    pub fn new() -> Off<M> {
        Off { appended: VecDeque::new(), last_id: 0, newest: None }
    }
}

impl<M> Default for Off<M> {
    fn default() -> Off<M> {
        Off::new()
    }
}

impl<M> History<M> for Off<M> {
    fn append(&mut self, entry: Entry<M>) {
        self.appended.push_back(entry);
    }

    fn committed(&mut self) -> Option<Committed<'_, M>> {
        match self.appended.pop_front()? {
            Entry::Came(member) => Some(Committed::Came(member)),
            Entry::Went(member) => Some(Committed::Went(member)),
            Entry::Said { name, unix_ms, text } => {
                self.last_id += 1;
                Some(Committed::Said(self.newest.insert(Message { id: self.last_id, unix_ms, name, text })))
            }
        }
    }

    fn last_id(&self) -> u64 {
        self.last_id
    }

    fn read_newest(&self, _limit: usize, _visit: &mut dyn FnMut(&Message) -> ControlFlow<()>) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::Name;

    #[test]
    fn messages_are_numbered_and_forgotten() {
        let mut history = Off::<u8>::new();
        for text in ["a", "b"] {
            history.append(Entry::Said { name: Name::tourist(1), unix_ms: 0, text: text.into() });
        }
        assert!(matches!(history.committed(), Some(Committed::Said(Message { id: 1, .. }))));
        assert!(matches!(history.committed(), Some(Committed::Said(Message { id: 2, .. }))));
        assert!(history.committed().is_none());
        history.read_newest(10, &mut |message| panic!("kept {message:?}"));
        assert_eq!(history.last_id(), 2);
    }
}
