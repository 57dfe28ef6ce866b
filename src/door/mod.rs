//! The door: who may come in, and as what. A request comes from [`crate::http`], and what becomes of it is decided here.
//!
//! Reading order: [`router`] (which resource a request names), [`handshake`] (how an HTTP request becomes a WebSocket),
//! [`origin`] and [`allowed_origin`] (which pages may connect), [`refusal`] (every way to say no), [`pages`] (the files of
//! the chat page), [`site`] (all that the router needs to know of this daemon).
//!
//! A connection stays for the next request only behind a request whose end is certain: one that is in order and has no body.
//! Behind every other refusal, and behind a handshake that is refused, it closes: so there is nothing that a proxy could take
//! for the end of one request and roomd for the beginning of another.

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
