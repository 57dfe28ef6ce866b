//! A message: what it is when it is sent, and how many bytes that takes.

use serde::Serialize;

use super::json::{self, append};
use super::name::{DAEMON, Name};
use super::person::Tag;
use super::room_name::RoomName;

/// The manner of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Said.
    Message,
    /// Done: `/me waves`.
    Action,
    /// What was said cannot be read any more: [`DAMAGED`] stands in its place, so that no id is missing.
    Damaged,
}

/// The text of a message that cannot be read any more.
pub const DAMAGED: &str = "This message is damaged in the history and cannot be read.";

/// Something that was said, borrowed from the history that gave it its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// Rises by one from message to message of a room.
    pub id: u64,
    /// When it was said: milliseconds since 1970, UTC.
    pub unix_ms: u64,
    /// In which manner.
    pub kind: Kind,
    /// Who said it.
    pub name: &'a Name,
    /// The author's mark, if it has shown a secret.
    pub tag: Option<Tag>,
    /// What was said.
    pub text: &'a str,
}

/// What no message is shorter than when it is sent: its keys, and one byte for each of its values.
const LEAST_MESSAGE_BYTES: usize = 66;

/// A tag with its key, its quotes and its comma.
const TAG_BYTES: usize = 15;

/// Digits of an id and of a time, beyond the one of each that the shortest message has.
const NUMBERS_BYTES: usize = 15 + 12;

/// A text of so many bytes is not looked at before it is written: see [`message_bytes`].
const SHORT_TEXT_BYTES: usize = 256;

/// What a message takes when it is sent, before it has its id: within the digits of that. A short text is taken for one
/// that needs no escapes, for most are, and to look at it would cost more than all the rest; what it has more is known when
/// it has been written, from [`Message::uncounted_bytes`].
#[inline]
#[must_use]
pub fn message_bytes(room: &RoomName, (name, tag): (&Name, Option<Tag>), text: &str) -> usize {
    let text_bytes = if text.len() <= SHORT_TEXT_BYTES { text.len() } else { json::written_len(text) };
    let tag_bytes = if tag.is_some() { TAG_BYTES } else { 0 };
    LEAST_MESSAGE_BYTES + NUMBERS_BYTES + room.as_str().len() + name.sent_bytes() + tag_bytes + text_bytes
}

impl Message<'_> {
    /// How much more it was when it was written than [`message_bytes`] has said.
    #[must_use]
    pub fn uncounted_bytes(self, room: &RoomName, written: usize) -> usize {
        if self.text.len() <= SHORT_TEXT_BYTES {
            written.saturating_sub(message_bytes(room, (self.name, self.tag), self.text))
        } else {
            0
        }
    }

    /// Appends it to `out` as the event of that room: one JSON object.
    pub fn write_json(self, room: &str, out: &mut Vec<u8>) {
        let Message { id, unix_ms: time, kind, name, tag, text: mess } = self;
        match kind {
            Kind::Message => append(out, &MessageJson::Message { id, time, room, tag, name, mess }),
            Kind::Action => append(out, &MessageJson::Action { id, time, room, tag, name, mess }),
            Kind::Damaged => {
                let (r#type, damaged, name, mess) = ("message", true, DAEMON, DAMAGED);
                append(out, &DamagedMessage { r#type, id, time, room, damaged, name, mess });
            }
        }
    }
}

/// The wire form: fields in the order in which they are written.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum MessageJson<'a> {
    Message {
        id: u64,
        time: u64,
        room: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        tag: Option<Tag>,
        name: &'a Name,
        mess: &'a str,
    },
    Action {
        id: u64,
        time: u64,
        room: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        tag: Option<Tag>,
        name: &'a Name,
        mess: &'a str,
    },
}

/// The wire form of a message that cannot be read any more. To a client that does not know of `damaged` it is a message
/// by the daemon that says so.
#[derive(Serialize)]
struct DamagedMessage<'a> {
    r#type: &'a str,
    id: u64,
    time: u64,
    room: &'a str,
    damaged: bool,
    name: &'a str,
    mess: &'a str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_message_is_shorter_than_the_shortest() {
        for (kind, spare) in [(Kind::Action, 0), (Kind::Message, 1)] {
            let name = Name::chosen("b").unwrap();
            let mut out = Vec::new();
            Message { id: 1, unix_ms: 2, kind, name: &name, tag: None, text: "c" }.write_json("a", &mut out);
            assert_eq!(out.len(), LEAST_MESSAGE_BYTES + spare, "{}", String::from_utf8_lossy(&out));
        }
    }

    #[test]
    fn what_a_message_takes_is_known_before_it_has_an_id_but_for_the_escapes_of_a_short_text() {
        let name = Name::chosen("王小明").unwrap();
        let room = RoomName::lobby();
        for text in ["c", "\u{1}\"\u{202e}", "汉字 and letters"] {
            for text in [text.to_owned(), text.repeat(200)] {
                let mut out = Vec::new();
                let message = Message {
                    id: 1 << 53,
                    unix_ms: 1_763_817_427_123,
                    kind: Kind::Message,
                    name: &name,
                    tag: None,
                    text: &text,
                };
                message.write_json(room.as_str(), &mut out);
                let counted =
                    message_bytes(&room, (&name, message.tag), &text) + message.uncounted_bytes(&room, out.len());
                assert!(counted.abs_diff(out.len()) <= 16, "{}", String::from_utf8_lossy(&out));
            }
        }
    }
}
