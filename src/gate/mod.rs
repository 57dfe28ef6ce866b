//! The gate: who is at the other end of a connection, decided from bytes and values alone.
//!
//! `address` has the addresses: of the socket's peer, and of the client it may speak for.

pub mod address;

pub use address::{Caller, PeerAddress};
