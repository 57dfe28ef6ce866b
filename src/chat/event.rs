//! What clients are told: one JSON object for one event.
//!
//! Every event has `name` and `mess`, the two keys of the PHP program, so that its page, which prints `name: mess`, has
//! something sensible to print for each. Richer clients look at `type` first.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;

use super::command::HELP;
use super::json::{self, append};
use super::message::Message;
use super::name::{DAEMON, Name};
use super::person::Tag;
use super::position::Epoch;
use super::problem::Problem;
use super::room_name::RoomName;

/// Limits that a client has to know, since its operator may have changed them. They are the same in each welcome, and so
/// they are written once.
#[derive(Debug, Clone, Serialize)]
pub struct Told(Box<RawValue>);

#[derive(Serialize)]
struct ToldJson {
    message_bytes: u64,
    presence_members: usize,
}

impl Told {
    /// The bytes of the longest message, and from how many members on a room is told a count instead of each coming and
    /// going.
    #[must_use]
    pub fn new(message_bytes: u64, presence_members: usize) -> Told {
        let mut json = Vec::new();
        // Numbers can always be written.
        let written = json::write(&mut json, &ToldJson { message_bytes, presence_members });
        debug_assert!(written.is_ok());
        Told(raw(json))
    }
}

/// An event. It borrows what it tells of, for as long as it takes to write it down.
#[derive(Debug, Clone, Copy)]
pub enum Event<'a> {
    /// Somebody spoke.
    Message(Message<'a>),
    /// Somebody spoke to one member alone. Both are told.
    Private {
        /// Who spoke.
        from: &'a Name,
        /// The mark of who spoke.
        tag: Option<Tag>,
        /// To whom.
        to: &'a Name,
        /// When: milliseconds since 1970, UTC.
        unix_ms: u64,
        /// What was said.
        text: &'a str,
    },
    /// Somebody came.
    Join {
        /// Who.
        name: &'a Name,
        /// The mark of that person.
        tag: Option<Tag>,
        /// Members now, the newcomer among them.
        online: usize,
    },
    /// Somebody left.
    Leave {
        /// Who.
        name: &'a Name,
        /// The mark of that person.
        tag: Option<Tag>,
        /// Members now, without the one who left.
        online: usize,
    },
    /// How many are here, where comings and goings are too many to tell.
    Online {
        /// Members now.
        online: usize,
    },
    /// Somebody took another name.
    Rename {
        /// What they were called until now.
        from: &'a Name,
        /// What they are called.
        to: &'a Name,
        /// Their mark.
        tag: Option<Tag>,
    },
    /// The first event in a room.
    Welcome {
        /// The newcomer's own name.
        name: &'a Name,
        /// The newcomer's own mark.
        tag: Option<Tag>,
        /// Members now, the newcomer among them.
        online: usize,
        /// The first names as a JSON array, at most [`crate::limits::fixed::MAX_USERS_LISTED`].
        users: &'a RawValue,
        /// The id of the newest message; 0 before the first.
        last: u64,
        /// Which log that is.
        epoch: Epoch,
        /// What holds in this daemon.
        limits: &'a Told,
    },
    /// Who is here.
    Users {
        /// Members now.
        online: usize,
        /// As in the welcome.
        users: &'a RawValue,
        /// Nobody has asked: it ends a long past.
        is_unasked: bool,
    },
    /// What can be asked for.
    Help,
    /// The answer to `/ping`, to the asker alone.
    Pong {
        /// What was sent behind the word.
        token: &'a str,
    },
    /// A part of the past.
    History {
        /// All of it has ids below this.
        before: u64,
        /// The messages as a JSON array of events, oldest first.
        messages: &'a RawValue,
        /// How many they are.
        count: usize,
        /// Whether there are older ones.
        more: bool,
    },
    /// What the client has is not the stream that follows: it is to start afresh.
    Reset {
        /// The id of the newest message; 0 before the first.
        last: u64,
        /// Everything up to this message the client has.
        since: u64,
        /// Why it is not sent what came after that.
        reason: ResetReason,
    },
    /// Something could not be done, and why; to the one who tried.
    Error(Problem),
}

/// Why a stream does not go on where the client was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ResetReason {
    /// Some of what came after it is no longer kept.
    Gone,
    /// The room has no such message.
    Unknown,
    /// It is of another log: this one was begun anew since, put back to an earlier state, or may have lost its end.
    Epoch,
    /// What came after it cannot be read now.
    Unreadable,
}

impl ResetReason {
    fn sentence(self, since: u64) -> String {
        match self {
            ResetReason::Gone => format!("some messages after message {since} are no longer kept; starting afresh"),
            ResetReason::Unknown => format!("this room has no message {since}; starting afresh"),
            ResetReason::Epoch => format!(
                "the history does not go on from message {since}: it was begun anew, put back, or may have lost its end; \
                 starting afresh"
            ),
            ResetReason::Unreadable => {
                format!("the messages after message {since} cannot be read now; starting afresh")
            }
        }
    }
}

/// The wire form: fields in the order in which they are written.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum EventJson<'a> {
    Private {
        time: u64,
        to: &'a Name,
        #[serde(skip_serializing_if = "Option::is_none")]
        tag: Option<Tag>,
        name: &'a Name,
        mess: &'a str,
    },
    Join {
        room: &'a str,
        online: usize,
        #[serde(skip_serializing_if = "Option::is_none")]
        tag: Option<Tag>,
        name: &'a Name,
        mess: &'a str,
    },
    Leave {
        room: &'a str,
        online: usize,
        #[serde(skip_serializing_if = "Option::is_none")]
        tag: Option<Tag>,
        name: &'a Name,
        mess: &'a str,
    },
    Online {
        room: &'a str,
        online: usize,
        name: &'a str,
        mess: &'a str,
    },
    Rename {
        room: &'a str,
        from: &'a Name,
        #[serde(skip_serializing_if = "Option::is_none")]
        tag: Option<Tag>,
        name: &'a Name,
        mess: &'a str,
    },
    Welcome(WelcomeJson<'a>),
    Users(UsersJson<'a>),
    Help {
        name: &'a str,
        mess: &'a str,
    },
    Pong {
        token: &'a str,
        name: &'a str,
        mess: &'a str,
    },
    History {
        room: &'a str,
        before: u64,
        more: bool,
        messages: &'a RawValue,
        name: &'a str,
        mess: &'a str,
    },
    Reset {
        room: &'a str,
        last: u64,
        reason: ResetReason,
        name: &'a str,
        mess: &'a str,
    },
    Error {
        code: &'a str,
        name: &'a str,
        mess: &'a str,
    },
}

#[derive(Serialize)]
struct WelcomeJson<'a> {
    room: &'a str,
    online: usize,
    users: &'a RawValue,
    last: u64,
    epoch: Epoch,
    limits: &'a Told,
    #[serde(skip_serializing_if = "Option::is_none")]
    tag: Option<Tag>,
    name: &'a Name,
    mess: &'a str,
}

#[derive(Serialize)]
struct UsersJson<'a> {
    room: &'a str,
    online: usize,
    users: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    unasked: Option<bool>,
    name: &'a str,
    mess: &'a str,
}

/// What a welcome takes beside the names, if its own name and its room's are of the usual length.
const WELCOME_BESIDE_USERS_BYTES: usize = 320;

impl<'a> Event<'a> {
    /// Appends the event of `room` to `out` as one JSON object.
    pub fn write_json(self, room: &RoomName, out: &mut Vec<u8>) {
        let room = room.as_str();
        if let Event::Welcome { users, .. } = self {
            // Of the events that go to one member the long one, sent to each that comes: growing step by step to a
            // hundred names was a twentieth of a handshake's instructions.
            out.reserve(users.get().len() + WELCOME_BESIDE_USERS_BYTES);
        }
        let mess = &*self.sentence(room);
        let wire = match self {
            Event::Message(message) => return message.write_json(room, out),
            Event::Private { from: name, tag, to, unix_ms: time, .. } => {
                EventJson::Private { time, to, tag, name, mess }
            }
            Event::Join { name, tag, online } => EventJson::Join { room, online, tag, name, mess },
            Event::Leave { name, tag, online } => EventJson::Leave { room, online, tag, name, mess },
            Event::Online { online } => EventJson::Online { room, online, name: room, mess },
            Event::Rename { from, to: name, tag } => EventJson::Rename { room, from, tag, name, mess },
            Event::Welcome { name, tag, online, users, last, epoch, limits } => {
                EventJson::Welcome(WelcomeJson { room, online, users, last, epoch, limits, tag, name, mess })
            }
            Event::Users { online, users, is_unasked } => {
                let unasked = is_unasked.then_some(true);
                EventJson::Users(UsersJson { room, online, users, unasked, name: room, mess })
            }
            Event::Help => EventJson::Help { name: DAEMON, mess },
            Event::Pong { token } => EventJson::Pong { token, name: DAEMON, mess },
            Event::History { before, messages, more, .. } => {
                EventJson::History { room, before, more, messages, name: room, mess }
            }
            Event::Reset { last, reason, .. } => EventJson::Reset { room, last, reason, name: room, mess },
            Event::Error(problem) => EventJson::Error { code: problem.code(), name: DAEMON, mess },
        };
        append(out, &wire);
    }

    /// What stands in `mess`: the text of somebody, or a sentence for people who read the JSON as it is.
    fn sentence(&self, room: &str) -> Cow<'a, str> {
        match *self {
            // It writes its text itself.
            Event::Message(_) => "".into(),
            Event::Private { text, .. } => text.into(),
            Event::Join { .. } => "joined the room".into(),
            Event::Leave { .. } => "left the room".into(),
            Event::Online { online } | Event::Users { online, .. } => format!("{online} online").into(),
            Event::Rename { from, .. } => format!("was {from} until now").into(),
            Event::Welcome { online, .. } => format!("welcome to {room}, {online} online").into(),
            Event::Help => HELP.into(),
            Event::Pong { token: "" } => "pong".into(),
            Event::Pong { token } => format!("pong {token}").into(),
            Event::History { before, count: 0, .. } => format!("nothing before message {before}").into(),
            Event::History { before, count: 1, .. } => format!("one message before message {before}").into(),
            Event::History { before, count, .. } => format!("{count} messages before message {before}").into(),
            Event::Reset { since, reason, .. } => reason.sentence(since).into(),
            Event::Error(problem) => problem.sentence(),
        }
    }
}

/// Names, as one JSON array.
#[must_use]
pub(super) fn json_names(names: &[&Name]) -> Box<RawValue> {
    let mut array = Vec::new();
    // Names are strings, and those can always be written; were it otherwise, the list would be empty.
    let written = json::write(&mut array, &names);
    debug_assert!(written.is_ok());
    raw(array)
}

/// Events that are JSON already, as one JSON array.
#[must_use]
pub fn json_array<'a>(events: impl Iterator<Item = &'a [u8]>) -> Box<RawValue> {
    let mut array = vec![b'['];
    for event in events {
        if array.len() > 1 {
            array.push(b',');
        }
        array.extend_from_slice(event);
    }
    array.push(b']');
    raw(array)
}

/// It was written here, so it is JSON; were it otherwise, there would be none.
fn raw(json: Vec<u8>) -> Box<RawValue> {
    let json = String::from_utf8(json).ok().and_then(|json| RawValue::from_string(json).ok());
    json.unwrap_or_else(|| RawValue::NULL.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::message::{Kind, message_bytes};
    use super::super::person::PersonId;
    use super::*;

    fn json(event: Event<'_>) -> String {
        let mut out = Vec::new();
        event.write_json(&RoomName::lobby(), &mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    /// The wire form is a promise; this is its golden copy.
    #[test]
    fn each_event_is_the_json_that_was_promised() {
        let name = &Name::tourist(5);
        let other = &Name::chosen("王小明").unwrap();
        let users = &*serde_json::value::to_raw_value(&[other, name]).unwrap();
        let message = Message { id: 17, unix_ms: 1_763_817_427_123, kind: Kind::Message, name, tag: None, text: "hi" };
        let past = json(Event::Message(message));
        let messages = &*json_array([past.as_bytes()].into_iter());
        let rows = [
            (
                Event::Message(message),
                r#"{"type":"message","id":17,"time":1763817427123,"room":"lobby","name":"Tourist 5","mess":"hi"}"#,
            ),
            (
                Event::Message(Message { kind: Kind::Action, text: "waves", ..message }),
                r#"{"type":"action","id":17,"time":1763817427123,"room":"lobby","name":"Tourist 5","mess":"waves"}"#,
            ),
            (
                Event::Message(Message { kind: Kind::Damaged, ..message }),
                r#"{"type":"message","id":17,"time":1763817427123,"room":"lobby","damaged":true,"name":"roomd","mess":"This message is damaged in the history and cannot be read."}"#,
            ),
            (
                Event::Private { from: name, tag: None, to: other, unix_ms: 1_763_817_427_123, text: "hi" },
                r#"{"type":"private","time":1763817427123,"to":"王小明","name":"Tourist 5","mess":"hi"}"#,
            ),
            (
                Event::Join { name, tag: None, online: 2 },
                r#"{"type":"join","room":"lobby","online":2,"name":"Tourist 5","mess":"joined the room"}"#,
            ),
            (
                Event::Leave { name, tag: None, online: 1 },
                r#"{"type":"leave","room":"lobby","online":1,"name":"Tourist 5","mess":"left the room"}"#,
            ),
            (
                Event::Online { online: 120 },
                r#"{"type":"online","room":"lobby","online":120,"name":"lobby","mess":"120 online"}"#,
            ),
            (
                Event::Rename { from: name, to: other, tag: None },
                r#"{"type":"rename","room":"lobby","from":"Tourist 5","name":"王小明","mess":"was Tourist 5 until now"}"#,
            ),
            (
                Event::Welcome {
                    name,
                    tag: None,
                    online: 2,
                    users,
                    last: 16,
                    epoch: Epoch(0x5e2f_1c1e_9d0b),
                    limits: &Told::new(65_536, 100),
                },
                r#"{"type":"welcome","room":"lobby","online":2,"users":["王小明","Tourist 5"],"last":16,"epoch":"5e2f1c1e9d0b","limits":{"message_bytes":65536,"presence_members":100},"name":"Tourist 5","mess":"welcome to lobby, 2 online"}"#,
            ),
            (
                Event::Users { online: 2, users, is_unasked: true },
                r#"{"type":"users","room":"lobby","online":2,"users":["王小明","Tourist 5"],"unasked":true,"name":"lobby","mess":"2 online"}"#,
            ),
            (
                Event::Users { online: 2, users, is_unasked: false },
                r#"{"type":"users","room":"lobby","online":2,"users":["王小明","Tourist 5"],"name":"lobby","mess":"2 online"}"#,
            ),
            (
                Event::History { before: 18, messages, count: 1, more: false },
                r#"{"type":"history","room":"lobby","before":18,"more":false,"messages":[{"type":"message","id":17,"time":1763817427123,"room":"lobby","name":"Tourist 5","mess":"hi"}],"name":"lobby","mess":"one message before message 18"}"#,
            ),
            (Event::Pong { token: "" }, r#"{"type":"pong","token":"","name":"roomd","mess":"pong"}"#),
            (
                Event::Pong { token: "a \"7\"" },
                r#"{"type":"pong","token":"a \"7\"","name":"roomd","mess":"pong a \"7\""}"#,
            ),
            (
                Event::Reset { last: 16, since: 2, reason: ResetReason::Gone },
                r#"{"type":"reset","room":"lobby","last":16,"reason":"gone","name":"lobby","mess":"some messages after message 2 are no longer kept; starting afresh"}"#,
            ),
            (
                Event::Error(Problem::NoSuchName),
                r#"{"type":"error","code":"no-such-name","name":"roomd","mess":"Nobody in this room has that name."}"#,
            ),
        ];
        for (event, expected) in rows {
            assert_eq!(json(event), expected);
        }
    }

    /// Who has shown no secret is told of as before: the rows above have no `tag`.
    #[test]
    fn the_mark_of_who_has_shown_a_secret_stands_before_the_name() {
        let (name, other) = (&Name::tourist(5), &Name::tourist(6));
        let tag = Some(PersonId([0; 16]).tag());
        let message = Message { id: 17, unix_ms: 2, kind: Kind::Message, name, tag, text: "hi" };
        for event in [
            Event::Message(message),
            Event::Message(Message { kind: Kind::Action, ..message }),
            Event::Private { from: name, tag, to: other, unix_ms: 2, text: "hi" },
            Event::Join { name, tag, online: 2 },
            Event::Leave { name, tag, online: 1 },
            Event::Rename { from: other, to: name, tag },
        ] {
            let json = json(event);
            assert!(json.contains(r#","tag":"000000","name":"Tourist 5","#), "{json}");
        }
        let counted = message_bytes(&RoomName::lobby(), (name, tag), "hi");
        assert_eq!(counted - message_bytes(&RoomName::lobby(), (name, None), "hi"), r#""tag":"000000","#.len());
    }

    #[test]
    fn an_array_of_events_is_json_also_when_it_is_empty() {
        assert_eq!(json_array(std::iter::empty()).get(), "[]");
        assert_eq!(json_array([b"{}".as_slice(), b"{}"].into_iter()).get(), "[{},{}]");
    }

    #[test]
    fn help_is_one_event_that_names_the_commands() {
        let help: serde_json::Value = serde_json::from_str(&json(Event::Help)).unwrap();
        assert_eq!((&help["type"], &help["name"]), (&"help".into(), &"roomd".into()));
        assert!(help["mess"].as_str().unwrap().contains("/nick NAME"));
    }

    #[test]
    fn nothing_that_steers_a_terminal_leaves_in_a_text_a_name_or_a_list_of_names() {
        // An older version may have kept a name that nobody can choose now.
        let name = &Name::from_stored("\u{9b}31m\u{202e}");
        let users = &*json_names(&[name, name]);
        let message = Message { id: 1, unix_ms: 2, kind: Kind::Action, name, tag: None, text: "\u{7f}\u{85}\u{2028}" };
        for event in [
            Event::Message(message),
            Event::Private { from: name, tag: None, to: name, unix_ms: 2, text: "\u{9b}" },
            Event::Rename { from: name, to: name, tag: None },
            Event::Users { online: 2, users, is_unasked: false },
            Event::History {
                before: 2,
                messages: &json_array([json(Event::Message(message)).as_bytes()].into_iter()),
                count: 1,
                more: false,
            },
        ] {
            let json = json(event);
            assert!(json.is_ascii() && !json.contains('\u{7f}'), "{json}");
            assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok(), "{json}");
        }
    }

    #[test]
    fn what_is_said_stays_data_whatever_it_looks_like() {
        let text = "\",\"type\":\"welcome\",\"x\":\"\u{0}\n\u{2028}</script>汉字😀";
        let message = Message { id: 1, unix_ms: 2, kind: Kind::Message, name: &Name::tourist(3), tag: None, text };
        let parsed: Result<serde_json::Value, _> = serde_json::from_str(&json(Event::Message(message)));
        assert_eq!(parsed.ok().and_then(|value| value["mess"].as_str().map(str::to_owned)).as_deref(), Some(text));
    }
}
