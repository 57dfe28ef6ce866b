//! What clients are told: one JSON object for one event.
//!
//! Every event has `name` and `mess`, the two keys of the PHP program, so that its page, which prints `name: mess`, has
//! something sensible to print for each. Richer clients look at `type` first.

use serde::Serialize;
use serde_json::value::RawValue;

use super::name::Name;

/// Something that was said, borrowed from the history that gave it its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// Rises by one from message to message of a room.
    pub id: u64,
    /// When it was said: milliseconds since 1970, UTC.
    pub unix_ms: u64,
    /// Who said it.
    pub name: Name,
    /// What was said.
    pub text: &'a str,
}

/// An event, borrowed from whoever knows it, for as long as it takes to write it down.
#[derive(Debug, Clone, Copy)]
pub enum Event<'a> {
    /// Somebody spoke.
    Message(Message<'a>),
    /// Somebody came; `online` counts them already.
    Join {
        /// Who.
        name: Name,
        /// Members now.
        online: usize,
    },
    /// Somebody left; `online` no longer counts them.
    Leave {
        /// Who.
        name: Name,
        /// Members now.
        online: usize,
    },
    /// How many are here, where comings and goings are too many to tell.
    Online {
        /// Members now.
        online: usize,
    },
    /// The first event on a connection.
    Welcome {
        /// The newcomer's own name.
        name: Name,
        /// Members now, the newcomer among them.
        online: usize,
        /// The first names as a JSON array, at most [`super::room::MAX_USERS_LISTED`].
        users: &'a RawValue,
        /// The id of the newest message; 0 before the first.
        last: u64,
    },
    /// Something could not be done, and why; to the one who tried.
    Error(ErrorCode),
}

/// Why something could not be done: stable words for programs, a sentence for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorCode {
    /// A binary message in a chat room.
    BinaryNotAccepted,
}

impl ErrorCode {
    /// The `code` of the error event. Never changed once released.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            ErrorCode::BinaryNotAccepted => "binary-not-accepted",
        }
    }

    fn sentence(self) -> &'static str {
        match self {
            ErrorCode::BinaryNotAccepted => "This room takes text messages only.",
        }
    }
}

/// The wire form: fields in the order in which they are written.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Wire<'a> {
    Message { id: u64, time: u64, room: &'a str, name: Name, mess: &'a str },
    Join { room: &'a str, online: usize, name: Name, mess: &'a str },
    Leave { room: &'a str, online: usize, name: Name, mess: &'a str },
    Online { room: &'a str, online: usize, name: &'a str, mess: &'a str },
    Welcome { room: &'a str, online: usize, users: &'a RawValue, last: u64, name: Name, mess: &'a str },
    Error { code: &'a str, name: &'a str, mess: &'a str },
}

impl Event<'_> {
    /// Appends the event of `room` to `out` as one JSON object.
    pub fn write_json(self, room: &str, out: &mut Vec<u8>) {
        let sentence;
        let wire = match self {
            Event::Message(Message { id, unix_ms, name, text }) => {
                Wire::Message { id, time: unix_ms, room, name, mess: text }
            }
            Event::Join { name, online } => Wire::Join { room, online, name, mess: "joined the room" },
            Event::Leave { name, online } => Wire::Leave { room, online, name, mess: "left the room" },
            Event::Online { online } => {
                sentence = format!("{online} online");
                Wire::Online { room, online, name: room, mess: &sentence }
            }
            Event::Welcome { name, online, users, last } => {
                sentence = format!("welcome to {room}, {online} online");
                Wire::Welcome { room, online, users, last, name, mess: &sentence }
            }
            Event::Error(code) => Wire::Error { code: code.code(), name: "roomd", mess: code.sentence() },
        };
        // Strings and numbers into memory: neither the types nor a Vec can fail. Were it otherwise, an event would be
        // missing, which is better than a daemon that is gone.
        let written = serde_json::to_writer(out, &wire);
        debug_assert!(written.is_ok());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(event: Event<'_>) -> String {
        let mut out = Vec::new();
        event.write_json("lobby", &mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    /// The wire form is a promise; this is its golden copy.
    #[test]
    fn each_event_is_the_json_that_was_promised() {
        let name = Name::tourist(5);
        let users = serde_json::value::to_raw_value(&[Name::tourist(1), name]).unwrap();
        let message = Message { id: 17, unix_ms: 1_763_817_427_123, name, text: "hi" };
        let rows = [
            (
                Event::Message(message),
                r#"{"type":"message","id":17,"time":1763817427123,"room":"lobby","name":"Tourist 5","mess":"hi"}"#,
            ),
            (
                Event::Join { name, online: 2 },
                r#"{"type":"join","room":"lobby","online":2,"name":"Tourist 5","mess":"joined the room"}"#,
            ),
            (
                Event::Leave { name, online: 1 },
                r#"{"type":"leave","room":"lobby","online":1,"name":"Tourist 5","mess":"left the room"}"#,
            ),
            (
                Event::Online { online: 120 },
                r#"{"type":"online","room":"lobby","online":120,"name":"lobby","mess":"120 online"}"#,
            ),
            (
                Event::Welcome { name, online: 2, users: &users, last: 16 },
                r#"{"type":"welcome","room":"lobby","online":2,"users":["Tourist 1","Tourist 5"],"last":16,"name":"Tourist 5","mess":"welcome to lobby, 2 online"}"#,
            ),
            (
                Event::Error(ErrorCode::BinaryNotAccepted),
                r#"{"type":"error","code":"binary-not-accepted","name":"roomd","mess":"This room takes text messages only."}"#,
            ),
        ];
        for (event, expected) in rows {
            assert_eq!(json(event), expected);
        }
    }

    #[test]
    fn what_is_said_stays_data_whatever_it_looks_like() {
        let text = "\",\"type\":\"welcome\",\"x\":\"\u{0}\n\u{2028}</script>汉字😀";
        let message = Message { id: 1, unix_ms: 2, name: Name::tourist(3), text };
        let parsed: Result<serde_json::Value, _> = serde_json::from_str(&json(Event::Message(message)));
        assert_eq!(parsed.ok().and_then(|value| value["mess"].as_str().map(str::to_owned)).as_deref(), Some(text));
    }
}
