//! Why something could not be done: stable words for programs, a sentence for people.

use std::borrow::Cow;
use std::fmt::Display;

use super::command::BadCommand;
use super::name::NameError;
use super::names::Unavailable;
use super::person::BadSecret;
use super::room_name::BadRoomName;

/// What the one who caused it is told in an `error` event. Nobody else notices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Problem {
    /// A binary message in a chat room.
    BinaryNotAccepted,
    /// A line that begins with `/` and is no command, or is one with the wrong arguments; or one that seems to be meant so.
    Command(BadCommand),
    /// What was asked for as a name cannot be one.
    Name(NameError),
    /// Somebody in the room has that name, or one that looks like it.
    NameUnavailable(Unavailable),
    /// A private message to somebody who is not in the room.
    NoSuchName,
    /// A private message to somebody who has too much waiting already.
    ReceiverBusy,
    /// What was asked for as a room cannot be one.
    Room(BadRoomName),
    /// All rooms that the daemon may have are in use.
    TooManyRooms,
    /// `since` is not a number.
    BadSince,
    /// `since` is the number of a message that has not been said yet.
    SinceInFuture,
    /// What was shown as the secret of a person cannot be one.
    BadMe(BadSecret),
    /// Too many new names or rooms in too short a time.
    SlowDown,
    /// The message was longer than is allowed; the connection closes with 1009.
    MessageTooBig,
    /// The message could not be kept, and so nobody has seen it.
    HistoryUnavailable,
}

impl Problem {
    /// The `code` of the error event. Never changed once released.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Problem::BinaryNotAccepted => "binary-not-accepted",
            Problem::Command(BadCommand::Unknown) => "unknown-command",
            Problem::Command(BadCommand::Slip) => "mistyped-command",
            Problem::Command(BadCommand::Arguments(_)) => "bad-arguments",
            Problem::Name(_) => "bad-name",
            Problem::NameUnavailable(Unavailable::Taken) => "name-taken",
            Problem::NameUnavailable(Unavailable::TooSimilar) => "name-too-similar",
            Problem::NoSuchName => "no-such-name",
            Problem::ReceiverBusy => "receiver-busy",
            Problem::Room(_) => "bad-room",
            Problem::TooManyRooms => "too-many-rooms",
            Problem::BadSince => "bad-since",
            Problem::SinceInFuture => "since-in-future",
            Problem::BadMe(_) => "bad-me",
            Problem::SlowDown => "slow-down",
            Problem::MessageTooBig => "message-too-big",
            Problem::HistoryUnavailable => "history-unavailable",
        }
    }

    pub(super) fn sentence(self) -> Cow<'static, str> {
        fn said(bad: impl Display) -> Cow<'static, str> {
            bad.to_string().into()
        }
        match self {
            Problem::BinaryNotAccepted => "This room takes text messages only.".into(),
            Problem::Command(bad) => said(bad),
            Problem::Name(bad) => said(bad),
            Problem::NameUnavailable(Unavailable::Taken) => "Somebody in this room has that name already.".into(),
            Problem::NameUnavailable(Unavailable::TooSimilar) => {
                "Somebody in this room has a name that looks just like that.".into()
            }
            Problem::NoSuchName => "Nobody in this room has that name.".into(),
            Problem::ReceiverBusy => {
                "They have too much waiting to be read, so your message was not sent. Try again in a moment.".into()
            }
            Problem::Room(bad) => said(bad),
            Problem::TooManyRooms => "There are too many rooms already. Try again later.".into(),
            Problem::BadSince => {
                "What comes after since= must be the id of a message, or its epoch, a minus sign and the id.".into()
            }
            Problem::SinceInFuture => "No message with that id has been said yet.".into(),
            Problem::BadMe(bad) => bad.sentence().into(),
            Problem::SlowDown => "Not so fast. Wait a moment and try again.".into(),
            Problem::MessageTooBig => "That message is too long.".into(),
            Problem::HistoryUnavailable => "Your message cannot be kept just now, so nobody has seen it.".into(),
        }
    }
}
