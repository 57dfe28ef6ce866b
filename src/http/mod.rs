//! As much of HTTP/1.1 as a chat room needs: read one request head, route it, answer it once.
//!
//! Reading order: [`head`] (bytes into a request), [`route`] (which resource it names), [`origin`] and
//! [`allowed_origin`] (which pages may talk to us), [`refusal`] (every way to say no), [`response`] (the answer's bytes), [`page`] (the files of the chat page).
//!
//! One request a connection: every answer but the 101 says `Connection: close`. A page load costs four short
//! connections; in exchange there is no second parser state, no pipelining and nothing a proxy could smuggle behind a
//! refused upgrade.

pub mod allowed_origin;
pub mod head;
pub mod origin;
pub mod page;
pub mod refusal;
pub mod response;
pub mod route;

pub use head::{Head, HeadScanner, RequestLine};
pub use origin::OriginPolicy;
pub use page::Pages;
pub use refusal::Refusal;
pub use response::{Response, Status};
pub use route::Route;
