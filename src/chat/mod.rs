//! The chat room: who is in it, what they said, what each of them is told.
//!
//! Reading order: [`command`] (what a line means), [`text`], [`unseen`] and [`emoji`] (which characters names are
//! made of), [`name`] (what members
//! are called), [`room_name`] (what rooms are called), [`roster`] (who holds which name), [`event`] (what the room hears,
//! as JSON; `json` keeps that from steering a terminal), [`position`] (how far somebody has read),
//! [`problem`] (why something cannot be done), [`room`] (who is in it, and when that is news),
//! [`visit`] (what a newcomer asks for).
//!
//! No frame, no socket, no clock: a room could be served over plain lines as well.

pub mod command;
pub mod emoji;
pub mod event;
mod json;
pub mod name;
pub mod position;
pub mod problem;
pub mod room;
pub mod room_name;
pub mod roster;
pub mod text;
pub mod unseen;
pub mod visit;

pub use command::Spoken;
pub use event::{Event, Kind, Message};
pub use name::Name;
pub use problem::Problem;
pub use room::{Room, Seat};
pub use room_name::RoomName;
pub use roster::Roster;
