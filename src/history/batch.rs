//! What is appended together, as the loop's thread and the history's share it.

use std::fmt;
use std::ops::Range;

use super::sqlite::database::Said;
use crate::chat::{Kind, Message, Name, RoomName};

/// The messages of a batch, shared with the thread so that none is copied. One buffer has all their texts.
#[derive(Default)]
pub(super) struct Rows {
    texts: String,
    rows: Vec<Row>,
}

struct Row {
    room: RoomName,
    name: Name,
    unix_ms: u64,
    kind: Kind,
    /// The name as it is written.
    name_text: Range<usize>,
    text: Range<usize>,
}

impl Rows {
    /// Messages.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Bytes of what was said, without the names.
    pub(super) fn text_bytes(&self) -> usize {
        self.rows.iter().map(|row| row.text.len()).sum()
    }

    pub(super) fn push(&mut self, room: RoomName, name: &Name, unix_ms: u64, kind: Kind, text: &str) {
        let start = self.texts.len();
        // The name as the file has it. A string takes whatever is written to it.
        let _ = fmt::Write::write_fmt(&mut self.texts, format_args!("{name}"));
        let end_of_name = self.texts.len();
        self.texts.push_str(text);
        self.rows.push(Row {
            room,
            name: name.clone(),
            unix_ms,
            kind,
            name_text: start..end_of_name,
            text: end_of_name..self.texts.len(),
        });
    }

    pub(super) fn message(&self, row: usize, id: u64) -> Option<Message<'_>> {
        let Row { name, unix_ms, kind, text, .. } = self.rows.get(row)?;
        Some(Message { id, unix_ms: *unix_ms, kind: *kind, name, text: self.texts.get(text.clone())? })
    }

    pub(super) fn said(&self) -> impl Iterator<Item = Said<'_>> {
        let text_of = |range: &Range<usize>| self.texts.get(range.clone()).unwrap_or_default();
        self.rows.iter().map(move |row| Said {
            room: row.room.as_str(),
            name: text_of(&row.name_text),
            unix_ms: row.unix_ms,
            kind: row.kind,
            text: text_of(&row.text),
        })
    }
}
