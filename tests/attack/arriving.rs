//! Peers at the door: they connect and ask, or do not, in great numbers.

use crate::peer::{After, Peer, Target, crowd, stay_if};

/// Half a request, and silence until the daemon has had enough.
pub(crate) fn half_handshakes(target: &Target) -> u64 {
    crowd(
        target,
        |_| {
            let mut peer = Peer::connect(target)?;
            peer.offer(b"GET / HTTP/1.1\r\nHost: a\r\nX: ").then_some(peer)
        },
        |_, peer| stay_if(peer.sip(1_024).is_some()),
    )
}

/// Connections as fast as they are taken: every third asks for a WebSocket, every third for the page, and every third goes
/// without a word.
pub(crate) fn connect_storm(target: &Target) -> u64 {
    crowd(
        target,
        |nth| match nth % 3 {
            0 => Peer::ask(target, "/r/storm?quiet=1"),
            1 => {
                let mut peer = Peer::connect(target)?;
                peer.offer(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").then_some(peer)
            }
            _ => Peer::connect(target),
        },
        |_, _| After::Reset,
    )
}
