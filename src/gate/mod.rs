//! The gate: who is at the other end of a connection and how much it may do, decided from bytes and values alone.
//!
//! Reading order: [`address`] (of a socket's peer, of the client it speaks for), [`forwarded`] (who is believed, and
//! `X-Forwarded-For`), [`proxy_header`] (the PROXY protocol), [`counts`] (what each address may do),
//! [`person`] (the same person again), [`credentials`] (what a request shows).

pub mod address;
pub mod counts;
pub mod credentials;
pub mod forwarded;
pub mod person;
pub mod proxy_header;

pub use address::{Caller, Client, ClientAddress, Network, PeerAddress};
pub use counts::{AddressNews, AddressTable, Ticket, TooMany};
pub use credentials::Credentials;
pub use forwarded::{AddressPolicy, Forwarded, ProxyProtocol, TrustedProxy};
pub use person::{PersonKey, Secret};
pub use proxy_header::{ProxyHeaderError, ProxyHeaderReader};
