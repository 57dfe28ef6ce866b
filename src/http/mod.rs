//! As much of HTTP/1.1 as a chat room needs, and nothing else: a request head in, an answer's bytes out.
//!
//! Reading order: [`head`] (bytes into a request, and what can be wrong with them), [`response`] (the answer's bytes).
//! What is answered is decided in [`crate::door`].

pub mod head;
pub mod response;

pub use head::{Head, HeadError, HeadScanner, RequestLine};
pub use response::{BodyWanted, Persistence, Response, Status};
