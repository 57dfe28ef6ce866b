//! New connections, before they have said anything: is there room for one more, and for one more of its address?
//! [`gate`](crate::gate) decides what an address may do. This file asks it, and writes into the log what it has noticed.

use log::{info, warn};

use super::{Hub, Socket};
use crate::connection::Connection;
use crate::door::Refusal;
use crate::gate::{AddressNews, AddressPolicy, AddressTable, Caller, PeerAddress, TooMany};
use crate::moment::Moment;

impl<S: Socket> Hub<S> {
    /// Lets that policy say which proxies are trusted and who is not counted.
    #[must_use]
    pub fn addressed_by(mut self, policy: AddressPolicy) -> Hub<S> {
        self.addresses = AddressTable::new(&self.limits, policy);
        self
    }

    /// Addresses that are remembered. For tests.
    #[must_use]
    pub fn addresses(&self) -> usize {
        self.addresses.addresses()
    }

    /// The connection of a socket that was just accepted. It may ask, or it is refused already.
    pub(super) fn connection_of(&mut self, peer: PeerAddress, now: Moment) -> Connection {
        let ticket = match self.addresses.came(&Caller::of(peer), now) {
            Ok(ticket) => ticket,
            Err(too_many) => return self.turned_away(peer, too_many, now),
        };
        // Departed members, whose rooms still count them, cost memory as well.
        let is_full = self.peers.len().max(self.departed.len()) >= self.limits.max_connections;
        let mut connection = if is_full {
            Connection::turned_away(peer, Refusal::Full, now)
        } else if self.memory.is_tight(now) {
            Connection::turned_away(peer, Refusal::OutOfMemory, now)
        } else if self.addresses.policy().expects_proxy_header(&peer) {
            Connection::accepted_from_proxy(peer, now)
        } else {
            Connection::accepted(peer, now)
        };
        connection.count_under(ticket);
        connection
    }

    /// A refused connection. While most slots are free it keeps one until the peer has closed, for only then is it certain
    /// that the peer has read the answer. When they are not, it ends as soon as the answer has been written: refused
    /// connections must not fill the table.
    fn turned_away(&mut self, peer: PeerAddress, too_many: TooMany, now: Moment) -> Connection {
        let mut connection = Connection::turned_away(peer, Refusal::FromAddress(too_many), now);
        if self.peers.len() >= self.limits.max_connections / 2 {
            connection.dismiss(now);
        }
        connection
    }

    /// Tells the operator what the table of addresses has noticed.
    pub(super) fn tell_address_news(&mut self) {
        for news in self.addresses.take_news() {
            match news {
                AddressNews::Refused(block, too_many) => {
                    let why = match too_many {
                        TooMany::Connections => {
                            "it has as many connections as --max-per-address allows; if many people share it, see --exempt-address"
                        }
                        TooMany::NewConnections => "it makes new connections faster than --connect-rate allows",
                        TooMany::Failures => "more of its handshakes have failed than --failure-rate allows",
                    };
                    info!("connections from {block} are answered 429 for now: {why}");
                }
                AddressNews::Forwards(peer) => {
                    let (from, flag) = match peer.address() {
                        None => ("a unix socket".to_owned(), "unix".to_owned()),
                        Some(address) => (address.to_string(), address.to_string()),
                    };
                    warn!(
                        "many connections from {from} say X-Forwarded-For, which is not believed: if that is your proxy, give \
                         --trusted-proxy {flag}, or its clients cannot be told apart"
                    );
                }
            }
        }
    }
}
