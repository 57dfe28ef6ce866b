//! The WebSocket protocol, RFC 6455, from the server's side, and nothing else: bytes in, messages out.
//!
//! Reading order: [`frame`] (the header on the wire, and the frames we send), [`decoder`] (bytes into messages, however they
//! were cut), [`mask`] and [`utf8`] (its two helpers with a rule of their own), [`close`] (codes and the body of a Close
//! frame), [`violation`] (every way a peer can break the rules, and what it is told).
//!
//! Nothing here knows a socket, a clock or a chat room.

pub mod close;
pub mod decoder;
pub mod frame;
pub mod mask;
pub mod utf8;
pub mod violation;

pub use close::{Close, CloseCode};
pub use decoder::{Decoder, Input, MessageLimits, Received};
pub use violation::Violation;
