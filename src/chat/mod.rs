//! The chat room: who is in it, what they said, what each of them is told.
//!
//! Reading order: [`command`] (what a line means), [`text`], [`unseen`] and [`emoji`] (which characters names are made
//! of), [`name`] (what members are called), [`room_name`] (what rooms are called), [`entry`] (what happens in a room),
//! [`room`] and [`seat`] (what that makes of the room), [`names`] (which member has which name), `companions` and [`person`] (who is the same again),
//! [`message`] and [`event`] (what the room hears, as JSON; `json` keeps that from steering a terminal), [`position`] (how far somebody
//! has read), [`presence`] (when it is news who comes and goes), [`user_list`] (the names in a welcome), [`problem`]
//! (why something cannot be done), [`visit`] (what a newcomer asks for).
//!
//! No frame, no socket, no clock: a room could be served over plain lines as well.

pub mod command;
mod companions;
pub mod emoji;
pub mod entry;
pub mod event;
mod json;
pub mod message;
pub mod name;
pub mod names;
pub mod person;
pub mod position;
pub mod presence;
pub mod problem;
pub mod room;
pub mod room_name;
pub mod seat;
pub mod text;
pub mod unseen;
pub mod user_list;
pub mod visit;

pub use command::{Command, Spoken};
pub use entry::{Change, Entry, Kept, Member, NewEntry, NewMessage};
pub use event::Event;
pub use message::{Kind, Message};
pub use name::Name;
pub use person::{PersonId, Tag};
pub use presence::Presence;
pub use problem::Problem;
pub use room::{Effect, Room};
pub use room_name::RoomName;
pub use seat::Seat;
pub use user_list::UserList;
