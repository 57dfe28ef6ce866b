//! Every way to refuse a request: one variant for one reason, one function from reason to status.

use std::fmt;

use super::handshake::VERSION;
use crate::chat::room_name::BadRoomName;
use crate::gate::{ProxyHeaderError, TooMany};
use crate::http::response::ALLOWED_METHODS;
use crate::http::{HeadError, Response, Status};

/// Why a request gets no page and no WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Its head is no proper one.
    Head(HeadError),
    /// No head within `--handshake-timeout`.
    HeadTooSlow,
    /// The target is neither a path nor an absolute address.
    MalformedTarget,
    /// A body that nothing here would read.
    BodyNotWanted,
    /// Neither GET nor HEAD nor OPTIONS.
    Method,
    /// Nothing lives at that path.
    NotFound,
    /// No room can be called so.
    NoSuchRoom(BadRoomName),
    /// A page of another site asks (RFC 6455 section 10.2).
    Origin,
    /// A WebSocket handshake in HTTP/1.0 (section 4.2.1, point 1).
    UpgradeNeedsHttp11,
    /// A WebSocket handshake by another method than GET (point 1).
    UpgradeNeedsGet,
    /// No `Upgrade: websocket` (point 3).
    UpgradeHeaderMissing,
    /// No `Connection: Upgrade` (point 4).
    ConnectionHeaderMissing,
    /// No `Sec-WebSocket-Key` (point 5).
    KeyHeaderMissing,
    /// A key that does not decode to 16 bytes (point 5).
    KeyNot16Bytes,
    /// No `Sec-WebSocket-Version` (point 6).
    VersionHeaderMissing,
    /// Another version than 13 (section 4.4).
    WebSocketVersion,
    /// A `Sec-WebSocket-Extensions` that does not follow its grammar (section 9.1).
    ExtensionsMalformed,
    /// A handshake with a body.
    UpgradeWithBody,
    /// This address speaks WebSocket only.
    WebSocketOnly,
    /// As many connections as `--max-connections` allows.
    Full,
    /// What its address may do is used up.
    FromAddress(TooMany),
    /// A trusted proxy did not say for whom it connects, as `--proxy-protocol` wants it.
    ProxyHeader(ProxyHeaderError),
    /// As much memory in use as `--max-memory` allows.
    OutOfMemory,
    /// The file of the page cannot be read from the `--web` directory.
    PageUnreadable,
}

impl From<HeadError> for Refusal {
    fn from(error: HeadError) -> Refusal {
        Refusal::Head(error)
    }
}

impl From<ProxyHeaderError> for Refusal {
    fn from(error: ProxyHeaderError) -> Refusal {
        Refusal::ProxyHeader(error)
    }
}

impl From<TooMany> for Refusal {
    fn from(too_many: TooMany) -> Refusal {
        Refusal::FromAddress(too_many)
    }
}

impl Refusal {
    /// The status that names the kind of fault.
    #[must_use]
    pub fn status(self) -> Status {
        match self {
            Refusal::Head(error) => error.status(),
            Refusal::MalformedTarget
            | Refusal::ProxyHeader(_)
            | Refusal::UpgradeNeedsHttp11
            | Refusal::UpgradeHeaderMissing
            | Refusal::ConnectionHeaderMissing
            | Refusal::KeyHeaderMissing
            | Refusal::KeyNot16Bytes
            | Refusal::ExtensionsMalformed
            | Refusal::UpgradeWithBody => Status::BadRequest,
            Refusal::HeadTooSlow => Status::RequestTimeout,
            Refusal::BodyNotWanted => Status::ContentTooLarge,
            Refusal::Method | Refusal::UpgradeNeedsGet => Status::MethodNotAllowed,
            Refusal::NotFound | Refusal::NoSuchRoom(_) => Status::NotFound,
            Refusal::Origin => Status::Forbidden,
            Refusal::VersionHeaderMissing | Refusal::WebSocketVersion | Refusal::WebSocketOnly => {
                Status::UpgradeRequired
            }
            Refusal::FromAddress(_) => Status::TooManyRequests,
            Refusal::Full | Refusal::OutOfMemory => Status::Unavailable,
            Refusal::PageUnreadable => Status::InternalError,
        }
    }

    /// Whether it counts as a handshake that has failed by the client's own fault, of which an address may not have too many.
    #[must_use]
    pub fn is_failed_try(self) -> bool {
        match self {
            Refusal::Head(_)
            | Refusal::HeadTooSlow
            | Refusal::MalformedTarget
            | Refusal::BodyNotWanted
            | Refusal::Method
            | Refusal::Origin
            | Refusal::UpgradeNeedsHttp11
            | Refusal::UpgradeNeedsGet
            | Refusal::UpgradeHeaderMissing
            | Refusal::ConnectionHeaderMissing
            | Refusal::KeyHeaderMissing
            | Refusal::KeyNot16Bytes
            | Refusal::VersionHeaderMissing
            | Refusal::WebSocketVersion
            | Refusal::ExtensionsMalformed
            | Refusal::UpgradeWithBody
            | Refusal::WebSocketOnly => true,
            // Browsers ask for some paths by themselves.
            Refusal::NotFound | Refusal::NoSuchRoom(_) => false,
            // The proxy's fault.
            Refusal::ProxyHeader(_) => false,
            Refusal::Full | Refusal::FromAddress(_) | Refusal::OutOfMemory | Refusal::PageUnreadable => false,
        }
    }

    /// Whether another request may follow on the same connection, if the client wants that. Browsers ask for such paths by
    /// themselves, and the page's files come over the same connection. All other refusals close it: what follows the request
    /// may be a body, or what its sender takes for one (RFC 9112 sections 6.3 and 9.6).
    #[must_use]
    pub fn leaves_connection(self) -> bool {
        matches!(self, Refusal::NotFound | Refusal::NoSuchRoom(_))
    }

    /// After so many seconds it is worth another try.
    fn retry_after(self) -> Option<&'static str> {
        match self {
            Refusal::Full | Refusal::OutOfMemory | Refusal::FromAddress(TooMany::NewConnections) => Some("5"),
            Refusal::FromAddress(TooMany::Connections | TooMany::Failures) => Some("30"),
            _ => None,
        }
    }

    /// The whole answer: status, the headers that go with it, and the reason in words.
    #[must_use]
    pub fn response(self) -> Response {
        let mut response = Response::text(self.status(), &format!("{self}\n"));
        match self.status() {
            // RFC 9110 section 15.5.6: a 405 must say what is allowed.
            Status::MethodNotAllowed => response.header("Allow", ALLOWED_METHODS),
            // RFC 9110 section 15.5.22 and RFC 6455 section 4.4: what to upgrade to, and in which version.
            Status::UpgradeRequired => {
                response.header("Upgrade", "websocket");
                response.header("Sec-WebSocket-Version", VERSION);
            }
            _ => {}
        }
        if let Some(seconds) = self.retry_after() {
            response.header("Retry-After", seconds);
        }
        response
    }
}

/// The words a person reads who debugs a client. They never repeat what the peer sent.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refusal::Head(error) => return error.fmt(f),
            Refusal::ProxyHeader(error) => return error.fmt(f),
            Refusal::FromAddress(TooMany::Connections) => "There are as many connections from your address as are taken from one.",
            Refusal::FromAddress(TooMany::NewConnections) => "Your address makes new connections too fast. Please try again in a moment.",
            Refusal::FromAddress(TooMany::Failures) => "Too many requests of your address were refused. Please try again in a moment.",
            Refusal::HeadTooSlow => "The request did not arrive in time.",
            Refusal::MalformedTarget => "The request target must be a path, like /, or an http:// address.",
            Refusal::BodyNotWanted => "Requests with a body are not accepted here.",
            Refusal::Method => "Only GET, HEAD and OPTIONS are answered here.",
            Refusal::NotFound => "Nothing lives at this address. The chat room is at /.",
            Refusal::NoSuchRoom(bad) => return bad.fmt(f),
            Refusal::Origin => {
                "A page of another site may not connect here. To allow it, start roomd with --origin and that site's address."
            }
            Refusal::UpgradeNeedsHttp11 => "A WebSocket handshake needs HTTP/1.1.",
            Refusal::UpgradeNeedsGet => "A WebSocket handshake is a GET request.",
            Refusal::UpgradeHeaderMissing => "A WebSocket handshake needs the header Upgrade: websocket.",
            Refusal::ConnectionHeaderMissing => "A WebSocket handshake needs the header Connection: Upgrade.",
            Refusal::KeyHeaderMissing => "A WebSocket handshake needs a Sec-WebSocket-Key header.",
            Refusal::KeyNot16Bytes => "Sec-WebSocket-Key must be 16 bytes in base64.",
            Refusal::VersionHeaderMissing => "A WebSocket handshake needs the header Sec-WebSocket-Version: 13.",
            Refusal::WebSocketVersion => "Only version 13 of the WebSocket protocol is spoken here.",
            Refusal::ExtensionsMalformed => "Sec-WebSocket-Extensions is malformed.",
            Refusal::UpgradeWithBody => "A WebSocket handshake has no body.",
            Refusal::WebSocketOnly => "This address speaks WebSocket only: connect with ws:// instead of http://.",
            Refusal::OutOfMemory => "The daemon uses as much memory as it may. Please try again in a moment.",
            Refusal::Full => "The daemon has as many connections as it takes. Please try again in a moment.",
            Refusal::PageUnreadable => "The page could not be read from the directory given with --web.",
        })
    }
}
