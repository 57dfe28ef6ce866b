//! Addresses: of the other end of a socket, and of the client that it may speak for.

use std::fmt;
use std::net::SocketAddr;

/// The other end of an accepted socket, as the system names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerAddress {
    /// A program on this machine that has opened the socket file. It has no address.
    Unix,
    /// An address and a port.
    Ip(SocketAddr),
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PeerAddress::Unix => f.write_str("a unix socket"),
            PeerAddress::Ip(address) => address.fmt(f),
        }
    }
}

/// Who has connected, as the log names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    peer: PeerAddress,
}

impl Caller {
    /// The peer of the socket speaks for itself.
    #[must_use]
    pub fn of(peer: PeerAddress) -> Caller {
        Caller { peer }
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.peer.fmt(f)
    }
}
