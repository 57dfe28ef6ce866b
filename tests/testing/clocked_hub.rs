//! A hub without a kernel: its sockets are pipes, and its clock is the test's own.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses its own part of this")]
#![allow(clippy::expect_used, reason = "what cannot be read is a failed test")]

use std::time::Duration;

use roomd::door::{EchoService, Health, OriginPolicy, Pages, Site};
use roomd::gate::PeerAddress;
use roomd::history::History;
use roomd::hub::{Hub, PeerId, Readiness};
use roomd::limits::Limits;
use roomd::moment::{Moment, Now};
use serde_json::Value;

use crate::fake_socket::{FakeSocket, SharedPipe};
use crate::support::handshake;

/// A hub, and the time that it is told.
pub struct ClockedHub {
    pub hub: Hub<FakeSocket>,
    pub now: Now,
}

/// The other end of one of its sockets. It reads everything at once, unless it is told not to.
#[derive(Clone, Default)]
pub struct FakeClient(SharedPipe);

impl ClockedHub {
    pub fn new(limits: Limits, history: Box<dyn History>) -> ClockedHub {
        let site = Site {
            pages: Pages::Embedded,
            origins: OriginPolicy::default(),
            echo: EchoService::Off,
            health: Health::Good,
        };
        let now = Now { moment: Moment::START, unix_ms: 1_763_817_427_123 };
        ClockedHub { hub: Hub::new(limits, site, history), now }
    }

    /// Somebody connects, and says nothing yet.
    pub fn accept(&mut self) -> (PeerId, FakeClient) {
        self.accept_from(PeerAddress::Unix)
    }

    /// The same from that address.
    pub fn accept_from(&mut self, peer: PeerAddress) -> (PeerId, FakeClient) {
        let client = FakeClient::default();
        let id = self.hub.accept(FakeSocket::of(&client.0), peer, self.now);
        (id, client)
    }

    /// Somebody connects and asks for a room; the hub has had a turn.
    pub fn come(&mut self, path: &str) -> (PeerId, FakeClient) {
        let (id, client) = self.accept();
        self.say(id, &client, handshake(path).as_bytes());
        (id, client)
    }

    /// A client sends these bytes; the hub has had a turn.
    pub fn say(&mut self, id: PeerId, client: &FakeClient, bytes: &[u8]) {
        self.send(id, client, bytes);
        self.hub.turn(self.now);
    }

    /// A client sends these bytes; the hub knows of it.
    pub fn send(&mut self, id: PeerId, client: &FakeClient, bytes: &[u8]) {
        client.0.borrow_mut().to_hub.extend(bytes);
        self.hub.ready(id, Readiness { readable: true, ..Readiness::default() });
    }

    pub fn hang_up(&mut self, id: PeerId, client: &FakeClient) {
        client.0.borrow_mut().is_finished = true;
        self.hub.ready(id, Readiness { readable: true, writable: true, hung_up: true });
        self.hub.turn(self.now);
    }

    /// Time passes, then the hub has a turn.
    pub fn pass(&mut self, time: Duration) {
        self.now.moment = self.now.moment + time;
        self.hub.turn(self.now);
    }

    /// The hub has turns until it has nothing to do.
    pub fn settle(&mut self) {
        while self.hub.has_work() {
            self.hub.turn(self.now);
        }
    }
}

impl FakeClient {
    /// So many bytes more it takes; then its socket is full.
    pub fn takes(&self, bytes: usize) {
        self.0.borrow_mut().room = bytes;
    }

    pub fn stops_reading(&self) {
        self.takes(0);
    }

    pub fn reads_on(&self) {
        self.takes(usize::MAX);
    }

    /// The hub has shut its half of the stream.
    pub fn is_shut(&self) -> bool {
        self.0.borrow().is_shut || self.0.borrow().is_closed
    }

    /// All that it was sent, as bytes.
    pub fn bytes(&self) -> Vec<u8> {
        self.0.borrow().from_hub.clone()
    }

    /// All that it was sent.
    pub fn heard(&self) -> String {
        String::from_utf8_lossy(&self.0.borrow().from_hub).into_owned()
    }

    /// The events of that type, in the order heard.
    pub fn events(&self, kind: &str) -> Vec<Value> {
        let heard = self.heard();
        let begin = format!("{{\"type\":\"{kind}\"");
        let events = heard.match_indices(&begin).map(|(at, _)| serde_json::Deserializer::from_str(&heard[at..]));
        events.map(|event| event.into_iter().next().expect("an event").expect("an event is JSON")).collect()
    }
}
