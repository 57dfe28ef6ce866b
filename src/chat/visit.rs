//! What a client asks for when it comes to a room.

use super::room_name::RoomName;

/// What a newcomer asks for. The room decides whether it can be had: a client that asks for a name that is taken is let in
/// all the same, under another name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visit {
    /// Which room.
    pub room: RoomName,
    /// How much of its stream.
    pub verbosity: Verbosity,
    /// `?name=`: under which name.
    pub name: Option<Box<str>>,
    /// `?since=`: the id of the last message that the visitor has.
    pub since: Option<Box<str>>,
}

/// How much of a room's stream a member is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verbosity {
    /// Welcome, history, presence and messages.
    Everything,
    /// `?quiet=1`: what is said, and answers to what one asks.
    MessagesOnly,
}
