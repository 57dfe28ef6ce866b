//! Every way for a connection to end, by name: the same name in the log line, the counter and the test.

use std::fmt;
use std::io;

use crate::door::Refusal;
use crate::http::{HeadError, Status};
use crate::websocket::{CloseCode, Violation};

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseReason {
    /// It asked for a page and got an answer.
    Answered(Status),
    /// Its request was refused.
    Refused(Refusal),
    /// It went away before its request was complete.
    NoRequest,
    /// It said Close, with a code or without.
    PeerClosed(Option<CloseCode>),
    /// Its stream ended without a Close. Books call this 1006.
    PeerVanished,
    /// The socket failed: a reset, a broken pipe, a host that cannot be reached.
    Broken(io::ErrorKind),
    /// It broke a rule of RFC 6455, or passed a limit on messages.
    Violated(Violation),
    /// It read too slowly for its room.
    TooSlow,
    /// It gave no sign of life.
    Silent,
    /// It began a message and did not finish it in time.
    MessageTooSlow,
    /// All connections together held more than `--max-memory`, and it was among those for whom most was held.
    OutOfMemory,
    /// It came to a new room, and there are as many as `--max-rooms` allows.
    TooManyRooms,
    /// The daemon is going down.
    ShutDown,
}

impl CloseReason {
    /// The name under which it is counted.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            CloseReason::Answered(_) => "answered",
            CloseReason::Refused(Refusal::FromAddress(_)) => "too-many-from-address",
            CloseReason::Refused(_) => "refused",
            CloseReason::NoRequest => "no-request",
            CloseReason::PeerClosed(_) => "peer-closed",
            CloseReason::PeerVanished => "peer-vanished",
            CloseReason::Broken(_) => "broken",
            CloseReason::Violated(_) => "violated",
            CloseReason::TooSlow => "too-slow",
            CloseReason::Silent => "silent",
            CloseReason::MessageTooSlow => "message-too-slow",
            CloseReason::OutOfMemory => "out-of-memory",
            CloseReason::TooManyRooms => "too-many-rooms",
            CloseReason::ShutDown => "shut-down",
        }
    }

    /// Whether the operator should see a line about it, though the connection never came to a room: the answer is
    /// one that the daemon, its flags or the proxy in front may have to be changed for. Pages, health checks and what
    /// scanners try are not.
    #[must_use]
    pub fn is_news_of_a_request(self) -> bool {
        match self {
            CloseReason::Refused(refusal) => {
                matches!(
                    refusal,
                    Refusal::Origin
                        | Refusal::Full
                        | Refusal::ProxyHeader(_)
                        | Refusal::Head(HeadError::TooLarge)
                        | Refusal::PageUnreadable
                )
            }
            ending => ending == CloseReason::TooManyRooms,
        }
    }

    /// Whether it counts as a handshake that has failed by the client's own fault.
    #[must_use]
    pub fn is_failed_try(self) -> bool {
        matches!(self, CloseReason::Refused(refusal) if refusal.is_failed_try())
    }

    /// The code of the Close that goes with it, from our side: the peer's own code back, or the verdict. None where
    /// nobody is there to be told, and none in answer to a Close without one.
    #[must_use]
    pub fn close_code(self) -> Option<CloseCode> {
        match self {
            CloseReason::PeerClosed(code) => code,
            CloseReason::Violated(violation) => Some(violation.close_code()),
            CloseReason::TooSlow | CloseReason::Silent | CloseReason::MessageTooSlow => Some(CloseCode::POLICY),
            CloseReason::OutOfMemory | CloseReason::TooManyRooms => Some(CloseCode::TRY_AGAIN_LATER),
            CloseReason::ShutDown => Some(CloseCode::GOING_AWAY),
            CloseReason::Answered(_) | CloseReason::Refused(_) | CloseReason::NoRequest => None,
            CloseReason::PeerVanished | CloseReason::Broken(_) => None,
        }
    }
}

/// The words of the log line, and of the reason in a Close. Nothing in them comes from the peer but numbers.
impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CloseReason::Answered(status) => f.write_str(status.line()),
            CloseReason::Refused(refusal) => write!(f, "{}: {refusal}", refusal.status().line()),
            CloseReason::NoRequest => f.write_str("it went away without a request"),
            CloseReason::PeerClosed(Some(code)) => write!(f, "it said goodbye, code {code}"),
            CloseReason::PeerClosed(None) => f.write_str("it said goodbye"),
            CloseReason::PeerVanished => f.write_str("its stream ended without a goodbye"),
            CloseReason::Broken(kind) => write!(f, "its socket failed: {kind}"),
            CloseReason::Violated(violation) => violation.fmt(f),
            CloseReason::TooSlow => f.write_str("too slow a reader: too much is waiting to be sent"),
            CloseReason::Silent => f.write_str("no sign of life since the last ping"),
            CloseReason::MessageTooSlow => f.write_str("a message took too long to arrive"),
            CloseReason::OutOfMemory => {
                f.write_str("too much memory is in use, and too much of it waits for you; try again later")
            }
            CloseReason::TooManyRooms => f.write_str("there are too many rooms already; try again later"),
            CloseReason::ShutDown => f.write_str("the daemon is going down"),
        }
    }
}
