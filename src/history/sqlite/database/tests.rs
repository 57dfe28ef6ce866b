//! The file against a list in memory, damaged, moved away, killed, and of earlier versions.

mod continuity;
mod damage;
mod deletion;
mod disk;
mod model;
mod others;
mod pages;
mod starting;

use std::collections::BTreeMap;
use std::fs::File;
use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::num::NonZeroU64;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use proptest::prelude::*;
use tempfile::TempDir;

use super::super::end_mark::Left;
use super::super::errors::Lost;
use super::super::{log_end, schema};
use super::*;
use crate::chat::{Kept, Kind, Name, NewMessage, RoomName, Tag};
use crate::history::RoomKey;
use crate::history::Stored;
use crate::history::retention::Retention;
use crate::history::sqlite::check;
use crate::limits::fixed::{TRIM_MESSAGES, TRIM_ROOMS, WAL_BYTES};
use rusqlite::OpenFlags;

/// A folder of its own, removed at the end.
struct Folder(TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(TempDir::with_prefix("roomd-").unwrap())
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("history.db")
    }

    fn wal(&self) -> PathBuf {
        self.0.path().join("history.db-wal")
    }

    fn mark(&self) -> PathBuf {
        self.0.path().join("history.db-end")
    }
}

impl Database {
    fn last_id(&mut self, room: &str) -> Result<u64, DatabaseError> {
        // As it is in the file, though the room goes on elsewhere.
        let room = RoomRow::find(&self.connection, room).map_err(|error| self.not_read(error))?;
        Ok(room.map_or(0, |room| room.last_id))
    }
}

/// At the beginning of time, so that the ids of a new file begin with 1.
fn open(folder: &Folder) -> Database {
    Database::open_at(&folder.file(), Durability::Normal, Some(0)).unwrap()
}

/// A message of a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Said<'a> {
    room: &'a str,
    name: &'a str,
    unix_ms: u64,
    kind: Kind,
    text: &'a str,
}

fn said<'a>(room: &'a str, text: &'a str) -> Said<'a> {
    Said { room, name: "Tourist 1", unix_ms: 1_000, kind: Kind::Message, text }
}

fn batch(messages: &[Said<'_>]) -> Batch {
    let mut batch = Batch::default();
    for Said { room, name, unix_ms, kind, text } in messages {
        let known = batch.rooms().iter().position(|(_, name)| name.as_str() == *room);
        let place = known.unwrap_or_else(|| batch.add_room(RoomKey(0), RoomName::parse(room).unwrap()));
        let message = NewMessage { name: &Name::from_stored(name), tag: None, unix_ms: *unix_ms, kind: *kind, text };
        batch.push(place, Kept::Said(message));
    }
    batch
}

fn try_append(database: &mut Database, messages: &[Said<'_>]) -> Result<Vec<u64>, Cause> {
    let mut ids = Vec::new();
    let result = database.append(&batch(messages), &mut ids).map_err(|error| error.cause());
    assert!(result.is_ok() || ids.is_empty(), "no id without its message");
    result.map(|()| ids)
}

fn append(database: &mut Database, batch: &[Said<'_>]) -> Vec<u64> {
    try_append(database, batch).unwrap()
}

fn texts(page: &Page) -> Vec<&str> {
    page.messages.iter().map(|message| &*message.text).collect()
}

fn size(messages: usize, bytes: usize) -> PageSize {
    PageSize { messages, bytes }
}

fn trim_all(database: &mut Database, keep: Retention, now: u64) -> u64 {
    let Some(cut) = keep.cut(Some(now)) else { return 0 };
    let mut messages = 0;
    for _ in 0..1_000 {
        let trimmed = database.trim(cut).unwrap();
        messages += trimmed.messages;
        if !trimmed.more {
            return messages;
        }
    }
    panic!("a trim that does not end");
}

fn keep_messages(messages: u64) -> Retention {
    Retention { messages: NonZeroU64::new(messages), ..Retention::ALL }
}

fn beyond(messages: u64) -> Cut {
    Cut { beyond_messages: NonZeroU64::new(messages), ..Cut::NOTHING }
}

fn sent_bytes(room: &str, message: &Stored) -> usize {
    let mut event = Vec::new();
    message.as_message().write_json(room, &mut event);
    event.len()
}

const ALL: PageSize = PageSize { messages: usize::MAX, bytes: usize::MAX };

/// A file in which two rooms have said as much in turn; and what they have said.
fn two_rooms(folder: &Folder, messages: usize) -> [Page; 2] {
    let mut database = open(folder);
    let texts: Vec<String> = (0..messages).map(|nth| format!("{nth} {}", "what was said ".repeat(10))).collect();
    append(&mut database, &texts.iter().flat_map(|text| [said("a", text), said("b", text)]).collect::<Vec<_>>());
    ["a", "b"].map(|room| database.read_before(room, None, ALL).unwrap())
}
