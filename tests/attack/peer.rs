//! What attackers are made of: a peer that never waits for the daemon, and a crowd of such peers.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::support::handshake;

/// How long an attacker waits for a connection or an answer, at most: it is not to hang with the daemon.
const PATIENCE: Duration = Duration::from_secs(2);

/// Between two rounds of a crowd. An attacker that spins would take the processor from the daemon and the witnesses, and
/// what is measured would be the machine.
const ROUND: Duration = Duration::from_millis(2);

/// Where the attack goes, and how long and how large it is at most.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    pub(crate) end: Instant,
    /// Connections of one attack at a time.
    pub(crate) peers: usize,
}

impl Target {
    pub(crate) fn is_time_left(&self) -> bool {
        Instant::now() < self.end
    }
}

/// What becomes of a peer after its part of a round.
pub(crate) enum After {
    Stay,
    /// It closes, with whatever it has sent on its way.
    Close,
    /// It is reset: what it has sent may never be read.
    Reset,
}

/// A client that says just what it is told to, and takes any answer, also none.
pub(crate) struct Peer {
    stream: TcpStream,
    /// The rest of what was offered and not taken at once.
    unsent: Vec<u8>,
}

impl Peer {
    /// A connection that has said nothing yet.
    pub(crate) fn connect(target: &Target) -> Option<Peer> {
        let stream = TcpStream::connect_timeout(&target.address, PATIENCE).ok()?;
        stream.set_nodelay(true).ok()?;
        stream.set_nonblocking(true).ok()?;
        Some(Peer { stream, unsent: Vec::new() })
    }

    /// One that has asked for a WebSocket and has not looked at the answer.
    pub(crate) fn ask(target: &Target, path: &str) -> Option<Peer> {
        let mut peer = Peer::connect(target)?;
        peer.offer(handshake(path).as_bytes()).then_some(peer)
    }

    /// One that was let in.
    pub(crate) fn open(target: &Target, path: &str) -> Option<Peer> {
        let peer = Peer::ask(target, path)?;
        peer.stream.set_nonblocking(false).ok()?;
        peer.stream.set_read_timeout(Some(PATIENCE)).ok()?;
        let mut status = [0; 12];
        (&peer.stream).read_exact(&mut status).ok()?;
        peer.stream.set_nonblocking(true).ok()?;
        (status == *b"HTTP/1.1 101").then_some(peer)
    }

    /// Has these bytes sent, unless earlier ones still wait: then they are left out, so that frames stay whole. Says
    /// whether the connection is still there.
    pub(crate) fn offer(&mut self, bytes: &[u8]) -> bool {
        if self.unsent.is_empty() {
            self.unsent.extend_from_slice(bytes);
        }
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(count) => drop(self.unsent.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => return false,
            }
        }
        true
    }

    /// Reads so many bytes at most, if they are there, and says how many there were. `None` when the connection is gone.
    pub(crate) fn sip(&mut self, bytes: usize) -> Option<usize> {
        match self.stream.read(&mut vec![0; bytes]) {
            Ok(0) => None,
            Ok(count) => Some(count),
            Err(error) => (error.kind() == ErrorKind::WouldBlock).then_some(0),
        }
    }
}

/// A crowd of peers until the time is up: each has its part of every round, and one that is gone is replaced. Gives how
/// many there were.
pub(crate) fn crowd(
    target: &Target,
    mut open: impl FnMut(u64) -> Option<Peer>,
    mut part: impl FnMut(u64, &mut Peer) -> After,
) -> u64 {
    let mut peers: Vec<Option<(u64, Peer)>> = (0..target.peers).map(|_| None).collect();
    let mut opened = 0;
    while target.is_time_left() {
        for place in &mut peers {
            if !target.is_time_left() {
                break;
            }
            if place.is_none() {
                *place = open(opened).map(|peer| (opened, peer));
                opened += u64::from(place.is_some());
            }
            let Some((nth, peer)) = place else { continue };
            match part(*nth, peer) {
                After::Stay => {}
                After::Close => *place = None,
                After::Reset => {
                    // No port waits in TIME_WAIT then, of which a minute of this would use up all.
                    let _ = socket2::SockRef::from(&peer.stream).set_linger(Some(Duration::ZERO));
                    *place = None;
                }
            }
        }
        std::thread::sleep(ROUND);
    }
    opened
}

/// What to do with a peer that is perhaps gone.
pub(crate) fn stay_if(is_there: bool) -> After {
    if is_there { After::Stay } else { After::Reset }
}
