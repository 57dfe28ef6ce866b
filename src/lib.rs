//! `roomd`, a daemon of chat rooms: one small binary, one poll loop on one thread, and beside it only the thread that
//! writes the history to the disk.
//!
//! It is a library so that tests can drive every part of it, and so that it can be read as one. Nobody is promised a
//! stable interface but those who talk to the running daemon.
//!
//! # The way through
//! ```text
//! socket --read--> Connection                   AwaitingHandshake: http::Head -> door::Route -> 101, page or refusal
//!                    |  Open: websocket::Decoder -> a text message
//!                    v
//!                  hub: history.append --> history.next, with an id --> chat::Event, encoded once
//!                                                                                   |
//! socket <--write-- WriteQueue <---- the room's one chunk, shared by its members <--+
//! ```
//!
//! # Reading order
//! 1. [`event_loop`]: the loop itself, which is short. Each turn has five beats: wait, read, commit, write, reap.
//! 2. [`hub`]: the other four beats, over a slab of connections.
//! 3. [`connection`]: one connection's life as a table of transitions.
//! 4. [`websocket`] and [`http`]: bytes into messages and requests; no I/O. [`door`]: what becomes of a request; [`gate`]: who
//!    asks.
//! 5. [`chat`] and [`history`]: who is in a room, what a line means, what is heard, in which order, and what is kept.
//! 6. [`write_queue`]: what a slow reader costs; [`scrollback`]: what a newcomer is sent; [`framing`]: how an event becomes
//!    bytes.
//! 7. The small ones: [`limits`], [`rate_limit`], [`close_reason`], [`moment`], [`clock`], [`listener`], [`signals`],
//!    [`open_files`], [`available_memory`], [`log_buffer`], [`log_line`], [`log_filter`], [`environment`], [`flags`],
//!    [`settings`], [`listen_address`].
//! 8. Besides the way: [`inspect`], which draws frames instead of serving them.
//!
//! # Who may name whom
//! [`websocket`], [`http`], [`gate`] and [`chat`] know bytes and values, and not each other; [`door`] knows the last three
//! of them, and [`framing`] the first; [`connection`] and [`write_queue`] know all but the rules of chat; [`hub`] knows all of these, but neither mio nor the
//! clock; [`event_loop`], [`listener`] and [`available_memory`] know the operating system. `tests/layering.rs` reads the sources and holds this.

// Nothing that comes from outside may end the daemon.
#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)]
#![cfg_attr(not(test), warn(clippy::todo, clippy::unimplemented, clippy::unreachable))]

pub mod available_memory;
pub mod chat;
pub mod clock;
pub mod close_reason;
pub mod connection;
pub mod door;
pub mod environment;
pub mod event_loop;
pub mod flags;
pub mod framing;
pub mod gate;
pub mod history;
pub mod http;
pub mod hub;
pub mod inspect;
pub mod limits;
pub mod listen_address;
pub mod listener;
pub mod log_buffer;
pub mod log_filter;
pub mod log_line;
pub mod moment;
pub mod open_files;
pub mod rate_limit;
pub mod scrollback;
pub mod settings;
pub mod signals;
pub mod websocket;
pub mod write_queue;
