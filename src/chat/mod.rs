//! The chat room: who is in it, what they said, what each of them is told.
//!
//! Reading order: [`name`] (what members are called), [`event`] (what the room hears, as JSON), [`room`] (who is in
//! it, and when their coming and going is news).
//!
//! No frame, no socket, no clock: a room could be served over plain lines as well.

pub mod event;
pub mod name;
pub mod room;

pub use event::{Event, Message};
pub use name::Name;
pub use room::{Room, Seat};
