//! The door: who may come in, and as what. A request comes from [`crate::http`], and what becomes of it is decided here.
//!
//! Reading order: [`router`] (which resource a request names), [`handshake`] (how an HTTP request becomes a WebSocket),
//! [`origin`] and [`allowed_origin`] (which pages may connect), [`refusal`] (every way to say no), [`pages`] (the files of
//! the chat page), [`site`] (all that the router needs to know of this daemon).
//!
//! One request a connection: every answer but the 101 says `Connection: close`. A page load costs some short connections;
//! in exchange there is no second parser state, no pipelining and nothing a proxy could smuggle behind a refused upgrade.

pub mod allowed_origin;
pub mod handshake;
pub mod origin;
pub mod pages;
pub mod refusal;
pub mod router;
pub mod site;

pub use allowed_origin::AllowedOrigin;
pub use origin::OriginPolicy;
pub use pages::Pages;
pub use refusal::Refusal;
pub use router::{Endpoint, Route};
pub use site::{EchoService, Health, Site};
