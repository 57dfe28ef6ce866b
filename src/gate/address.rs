//! Addresses: of the other end of a socket, of the client that it may speak for, and of networks of either.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// The other end of an accepted socket, as the system names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerAddress {
    /// A program on this machine that has opened the socket file. It has no address.
    Unix,
    /// An address and a port.
    Ip(SocketAddr),
}

impl PeerAddress {
    /// Its address, if it has one.
    #[must_use]
    pub fn address(&self) -> Option<ClientAddress> {
        match self {
            PeerAddress::Unix => None,
            PeerAddress::Ip(socket) => Some(ClientAddress::of(socket.ip())),
        }
    }
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PeerAddress::Unix => f.write_str("a unix socket"),
            PeerAddress::Ip(socket) => socket.fmt(f),
        }
    }
}

/// A client's address. IPv4 that is written as IPv6 (`::ffff:192.0.2.7`) is IPv4 here: it is the same client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClientAddress(IpAddr);

impl ClientAddress {
    /// However it was written.
    #[must_use]
    pub fn of(address: IpAddr) -> ClientAddress {
        ClientAddress(address.to_canonical())
    }

    /// What is counted: an IPv4 address, or the 64 bits of an IPv6 address that its provider has given to one customer.
    /// The other 64 the customer chooses, so they tell nobody apart.
    #[must_use]
    pub fn block(self) -> AddressBlock {
        match self.0 {
            IpAddr::V4(address) => AddressBlock::V4(address.octets()),
            IpAddr::V6(address) => {
                let [a, b, c, d, e, f, g, h, ..] = address.octets();
                AddressBlock::V6([a, b, c, d, e, f, g, h])
            }
        }
    }

    /// A program on this machine.
    #[must_use]
    pub fn is_loopback(self) -> bool {
        self.0.is_loopback()
    }
}

impl fmt::Display for ClientAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// See [`ClientAddress::block`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AddressBlock {
    /// One address.
    V4([u8; 4]),
    /// The first half of 2^64 addresses.
    V6([u8; 8]),
}

/// As a network: `192.0.2.7`, `2001:db8:0:1::/64`.
impl fmt::Display for AddressBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            AddressBlock::V4(octets) => Ipv4Addr::from(octets).fmt(f),
            AddressBlock::V6([a, b, c, d, e, g, h, i]) => {
                write!(f, "{}/64", Ipv6Addr::from([a, b, c, d, e, g, h, i, 0, 0, 0, 0, 0, 0, 0, 0]))
            }
        }
    }
}

/// A network, `10.0.0.0/8`, or one address. What is written as IPv4 inside IPv6 is IPv4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network(IpNet);

impl Network {
    /// Whether the address is in it.
    #[must_use]
    pub fn contains(&self, ClientAddress(address): ClientAddress) -> bool {
        self.0.contains(&address)
    }
}

impl FromStr for Network {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Network, &'static str> {
        let text = text.trim();
        let network = match text.parse::<IpAddr>() {
            Ok(address) => IpNet::from(address),
            Err(_) => text.parse().map_err(|_| "a network looks like 10.0.0.0/8, 2001:db8::/32 or 192.0.2.7")?,
        };
        Ok(Network(unmapped(network).unwrap_or(network)))
    }
}

/// `::ffff:10.0.0.0/104` is `10.0.0.0/8`.
fn unmapped(network: IpNet) -> Option<IpNet> {
    let IpNet::V6(network) = network else { return None };
    let address = Ipv6Net::addr(&network).to_ipv4_mapped()?;
    let bits = network.prefix_len().checked_sub(96)?;
    Ipv4Net::new(address, bits).ok().map(IpNet::V4)
}

/// Who has connected: the peer of the socket, and the client that it speaks for if it is a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    peer: PeerAddress,
    client: Client,
}

/// Whom a peer speaks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Client {
    /// For itself.
    Itself,
    /// For the client at this address, with the port that it has there if that is known.
    At(ClientAddress, Option<u16>),
    /// For a client of which its proxy says nothing that is an address.
    Unknown,
}

impl Caller {
    /// The peer of the socket speaks for itself.
    #[must_use]
    pub fn of(peer: PeerAddress) -> Caller {
        Caller { peer, client: Client::Itself }
    }

    /// The peer has said whom it speaks for, and is believed.
    pub fn speaks_for(&mut self, client: Client) {
        self.client = client;
    }

    /// The other end of the socket.
    #[must_use]
    pub fn peer(&self) -> &PeerAddress {
        &self.peer
    }

    /// Whom it speaks for.
    #[must_use]
    pub fn client(&self) -> Client {
        self.client
    }

    /// The address that counts, if there is one that is known.
    #[must_use]
    pub fn address(&self) -> Option<ClientAddress> {
        match self.client {
            Client::Itself => self.peer.address(),
            Client::At(address, _) => Some(address),
            Client::Unknown => None,
        }
    }
}

/// For the log: `203.0.113.7:4711`, or `203.0.113.7 via 10.0.0.1`.
impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.client {
            Client::Itself => return self.peer.fmt(f),
            Client::At(ClientAddress(address), Some(port)) => SocketAddr::new(address, port).fmt(f)?,
            Client::At(address, None) => address.fmt(f)?,
            Client::Unknown => f.write_str("an unknown address")?,
        }
        match self.peer {
            PeerAddress::Unix => f.write_str(" via a unix socket"),
            PeerAddress::Ip(socket) => write!(f, " via {}", socket.ip().to_canonical()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> ClientAddress {
        ClientAddress::of(text.parse().unwrap())
    }

    #[test]
    fn an_ipv4_address_is_counted_whole_and_an_ipv6_address_by_its_first_half() {
        for (one, other, is_same) in [
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7", "192.0.2.8", false),
            ("192.0.2.7", "::ffff:192.0.2.7", true),
            ("::ffff:192.0.2.7", "::ffff:192.0.2.8", false),
            ("2001:db8:0:1::1", "2001:db8:0:1:ffff:ffff:ffff:ffff", true),
            ("2001:db8:0:1::1", "2001:db8:0:2::1", false),
        ] {
            assert_eq!(address(one).block() == address(other).block(), is_same, "{one} {other}");
        }
        assert_eq!(address("::ffff:192.0.2.7").block().to_string(), "192.0.2.7");
        assert_eq!(address("2001:db8:0:1:2:3:4:5").block().to_string(), "2001:db8:0:1::/64");
    }

    #[test]
    fn a_network_contains_what_is_in_it_however_either_is_written() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.1"),
            ("10.1.2.3/8", "10.255.0.1", "11.0.0.1"),
            ("10.0.0.0/8", "::ffff:10.0.0.1", "::10.0.0.1"),
            ("::ffff:10.0.0.0/104", "10.9.9.9", "11.0.0.1"),
            (" 192.0.2.7 ", "192.0.2.7", "192.0.2.8"),
            ("::1", "::1", "127.0.0.1"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::1"),
            ("0.0.0.0/0", "203.0.113.7", "2001:db8::1"),
            ("::/0", "2001:db8::1", "203.0.113.7"),
        ] {
            let parsed: Network = network.parse().unwrap();
            assert!(parsed.contains(address(inside)), "{inside} is in {network}");
            assert!(!parsed.contains(address(outside)), "{outside} is not in {network}");
        }
        for bad in ["", "10.0.0.0/33", "10.0.0/8", "::/129", "localhost", "10.0.0.1:80", "10.0.0.0/-1", "unix", "/8"] {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_log_names_the_client_and_the_proxy_that_speaks_for_it() {
        let mut caller = Caller::of(PeerAddress::Ip("10.0.0.1:4711".parse().unwrap()));
        assert_eq!(caller.to_string(), "10.0.0.1:4711");
        caller.speaks_for(Client::At(address("2001:db8::1"), None));
        assert_eq!(caller.to_string(), "2001:db8::1 via 10.0.0.1");
        caller.speaks_for(Client::At(address("2001:db8::1"), Some(80)));
        assert_eq!(caller.to_string(), "[2001:db8::1]:80 via 10.0.0.1");
        let mut local = Caller::of(PeerAddress::Unix);
        local.speaks_for(Client::Unknown);
        assert_eq!(local.to_string(), "an unknown address via a unix socket");
    }
}
