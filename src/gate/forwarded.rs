//! Who is believed when it names another's address, and what `X-Forwarded-For` then says.
//!
//! Each proxy on the way adds the address of who has connected to it at the end of that header, and passes on what stood
//! there before, which may have been written by the client itself. So the header is read from its end: the last address
//! is the word of our own peer. If that is a trusted proxy, too, the one before it is its word, and so on. The first that
//! is not trusted is the client, and nothing to its left is believed.

use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use super::address::{Caller, Client, ClientAddress, Network, PeerAddress};
use crate::limits::fixed::MAX_PROXIES;

/// The name of the header.
pub const HEADER: &str = "X-Forwarded-For";

/// One value of `--trusted-proxy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrustedProxy {
    /// All that connect to a socket file.
    Unix,
    /// All in a network.
    In(Network),
}

impl FromStr for TrustedProxy {
    type Err = String;

    fn from_str(text: &str) -> Result<TrustedProxy, String> {
        if text.trim() == "unix" {
            return Ok(TrustedProxy::Unix);
        }
        text.parse().map(TrustedProxy::In).map_err(|why: &str| format!("{why}; or it is unix, for socket files"))
    }
}

/// Whether trusted proxies begin each connection with a header of the PROXY protocol.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ProxyProtocol {
    /// They do not.
    #[default]
    Off,
    /// They do, and are refused if they do not.
    Expected,
}

/// Whose word is taken for whose address, and who is not counted.
#[derive(Debug, Default)]
pub struct AddressPolicy {
    trusted: Vec<TrustedProxy>,
    proxy_protocol: ProxyProtocol,
    exempt: Vec<Network>,
}

/// What became of the header in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forwarded {
    /// There is no such header. Or the client itself has written it, and the proxy has named the client in another way.
    Nothing,
    /// The header is there, and its sender is not a trusted proxy.
    NotBelieved,
    /// It was believed.
    Believed(Client),
}

impl AddressPolicy {
    /// The flags together.
    #[must_use]
    pub fn new(trusted: Vec<TrustedProxy>, proxy_protocol: ProxyProtocol, exempt: Vec<Network>) -> AddressPolicy {
        AddressPolicy { trusted, proxy_protocol, exempt }
    }

    /// Whether its first bytes have to be a header of the PROXY protocol.
    #[must_use]
    pub fn expects_proxy_header(&self, peer: &PeerAddress) -> bool {
        self.proxy_protocol == ProxyProtocol::Expected && self.trusts(peer)
    }

    /// Whether connections of that address are not counted: those of this machine, of trusted proxies, and of networks
    /// that are exempt by `--exempt-address`.
    #[must_use]
    pub fn is_exempt(&self, address: ClientAddress) -> bool {
        let is_in_exempt_network = || self.exempt.iter().any(|network| network.contains(address));
        address.is_loopback() || self.trusts_address(address) || is_in_exempt_network()
    }

    /// Whom `caller` speaks for by the lines of `X-Forwarded-For` in its request.
    pub fn forwarded<'a>(&self, caller: &Caller, lines: impl DoubleEndedIterator<Item = &'a [u8]>) -> Forwarded {
        let mut elements = elements_from_the_right(lines).peekable();
        if elements.peek().is_none() {
            return Forwarded::Nothing;
        }
        match caller.client() {
            // A proxy of the PROXY protocol passes on bytes without looking at them: a header in them is the client's own.
            Client::Itself if self.expects_proxy_header(caller.peer()) => return Forwarded::Nothing,
            Client::Itself if !self.trusts(caller.peer()) => return Forwarded::NotBelieved,
            Client::At(address, _) if !self.trusts_address(address) => return Forwarded::Nothing,
            Client::Unknown => return Forwarded::Nothing,
            Client::Itself | Client::At(..) => {}
        }
        let mut client = Client::Unknown;
        for element in elements.take(MAX_PROXIES) {
            match address_in(element) {
                Some(address) => {
                    client = Client::At(address, None);
                    if !self.trusts_address(address) {
                        break;
                    }
                }
                // A proxy that hides whom it speaks for. What stands to the left was said to it, not to us.
                None => {
                    client = Client::Unknown;
                    break;
                }
            }
        }
        Forwarded::Believed(client)
    }

    /// Whether a peer is believed when it names another's address.
    fn trusts(&self, peer: &PeerAddress) -> bool {
        match peer.address() {
            Some(address) => self.trusts_address(address),
            None => self.trusted.contains(&TrustedProxy::Unix),
        }
    }

    fn trusts_address(&self, address: ClientAddress) -> bool {
        self.trusted.iter().any(|proxy| match proxy {
            TrustedProxy::Unix => false,
            TrustedProxy::In(network) => network.contains(address),
        })
    }
}

/// The elements of a list that may stand in several lines (RFC 9110 section 5.3), the last first; empty ones are none.
fn elements_from_the_right<'a>(lines: impl DoubleEndedIterator<Item = &'a [u8]>) -> impl Iterator<Item = &'a [u8]> {
    let elements = lines.rev().flat_map(|line| line.rsplit(|&byte| byte == b','));
    elements.map(<[u8]>::trim_ascii).filter(|element| !element.is_empty())
}

/// The address in an element, in any form that proxies write: with a port or without one, IPv6 in brackets or bare, with a
/// zone, in quotes. None for `unknown`, for a name made up to hide one (RFC 7239 section 6.3), and for all else.
fn address_in(element: &[u8]) -> Option<ClientAddress> {
    let text = std::str::from_utf8(element).ok()?;
    let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    let (address, port) = match text.strip_prefix('[') {
        Some(bracketed) => bracketed.split_once(']')?,
        None => match text.find(':') {
            // One colon divides an IPv4 address from its port; with more of them it is IPv6.
            Some(colon) if text.rfind(':') == Some(colon) => text.split_at(colon),
            _ => (text, ""),
        },
    };
    let is_port = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if !port.is_empty() && !port.strip_prefix(':').is_some_and(|port| !port.is_empty() && port.bytes().all(is_port)) {
        return None;
    }
    let address = match address.split_once('%') {
        // The zone is one of the proxy's own interfaces.
        Some((address, _zone)) => IpAddr::V6(address.parse::<Ipv6Addr>().ok()?),
        None => address.parse().ok()?,
    };
    (!address.is_unspecified()).then(|| ClientAddress::of(address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(trusted: &[&str], proxy_protocol: ProxyProtocol) -> AddressPolicy {
        let trusted = trusted.iter().map(|text| text.parse().unwrap()).collect();
        AddressPolicy::new(trusted, proxy_protocol, vec!["198.51.100.0/24".parse().unwrap()])
    }

    fn peer(text: &str) -> Caller {
        Caller::of(text.parse().map_or(PeerAddress::Unix, PeerAddress::Ip))
    }

    fn forwarded(policy: &AddressPolicy, caller: &Caller, lines: &[&str]) -> Forwarded {
        policy.forwarded(caller, lines.iter().map(|line| line.as_bytes()))
    }

    fn at(text: &str) -> Forwarded {
        Forwarded::Believed(Client::At(ClientAddress::of(text.parse().unwrap()), None))
    }

    const UNKNOWN: Forwarded = Forwarded::Believed(Client::Unknown);

    #[test]
    fn the_first_address_from_the_right_that_is_no_trusted_proxy_is_the_client() {
        let policy = policy(&["10.0.0.0/8", "unix"], ProxyProtocol::Off);
        for (lines, expected) in [
            (&["203.0.113.7"][..], at("203.0.113.7")),
            (&["6.6.6.6, 203.0.113.7"], at("203.0.113.7")),
            (&["6.6.6.6,10.6.6.6, 203.0.113.7 , 10.0.0.2,10.0.0.3"], at("203.0.113.7")),
            (&["6.6.6.6", "203.0.113.7", "10.0.0.2"], at("203.0.113.7")),
            (&["203.0.113.7, ,", " ", ",,"], at("203.0.113.7")),
            (&["10.0.0.9, 10.0.0.2"], at("10.0.0.9")),
            (&["6.6.6.6, unknown, 10.0.0.2"], UNKNOWN),
            (&["6.6.6.6, _hidden"], UNKNOWN),
            (&["6.6.6.6, \u{ff}\u{0}"], UNKNOWN),
            (&["", " , "], Forwarded::Nothing),
            (&[], Forwarded::Nothing),
        ] {
            for caller in [peer("10.0.0.1:1"), peer("[::ffff:10.0.0.1]:1"), peer("unix")] {
                assert_eq!(forwarded(&policy, &caller, lines), expected, "{caller} {lines:?}");
            }
        }
    }

    #[test]
    fn who_is_not_trusted_is_not_believed_not_even_on_this_machine() {
        let policy = policy(&["10.0.0.0/8"], ProxyProtocol::Off);
        for caller in ["11.0.0.1:1", "127.0.0.1:1", "[::1]:1", "unix"] {
            assert_eq!(forwarded(&policy, &peer(caller), &["203.0.113.7"]), Forwarded::NotBelieved, "{caller}");
            assert_eq!(forwarded(&policy, &peer(caller), &[]), Forwarded::Nothing, "{caller}");
        }
    }

    #[test]
    fn an_address_is_read_in_every_form_that_proxies_write() {
        for (element, expected) in [
            ("203.0.113.7", Some("203.0.113.7")),
            ("203.0.113.7:4711", Some("203.0.113.7")),
            ("203.0.113.7:_port", Some("203.0.113.7")),
            ("\"203.0.113.7:4711\"", Some("203.0.113.7")),
            ("2001:db8::1", Some("2001:db8::1")),
            ("[2001:db8::1]", Some("2001:db8::1")),
            ("[2001:db8::1]:4711", Some("2001:db8::1")),
            ("\"[2001:db8::1]:4711\"", Some("2001:db8::1")),
            ("::ffff:203.0.113.7", Some("203.0.113.7")),
            ("fe80::1%eth0", Some("fe80::1")),
            ("[fe80::1%25eth0]:80", Some("fe80::1")),
            ("unknown", None),
            ("_SEVKISEK", None),
            ("0.0.0.0", None),
            ("::", None),
            ("localhost", None),
            ("203.0.113.7:", None),
            ("203.0.113.7: 80", None),
            ("203.0.113.07", None),
            ("203.0.113.7.", None),
            ("203.0.113.7%eth0", None),
            ("203.0.113", None),
            ("3405803783", None),
            ("0xcb007107", None),
            ("[203.0.113.7", None),
            ("[2001:db8::1]4711", None),
            ("2001:db8::1:2:3:4:5:6:7", None),
            (":", None),
            ("[]", None),
            ("\"", None),
            ("", None),
        ] {
            let expected = expected.map(|text| ClientAddress::of(text.parse().unwrap()));
            assert_eq!(address_in(element.as_bytes()), expected, "{element}");
        }
        assert_eq!(address_in(b"203.0.113.\xff"), None);
    }

    #[test]
    fn a_chain_without_an_end_is_read_only_so_far() {
        let policy = policy(&["10.0.0.0/8"], ProxyProtocol::Off);
        let proxies = |count: usize| format!("6.6.6.6{}", ",10.0.0.2".repeat(count));
        let caller = peer("10.0.0.1:1");
        assert_eq!(forwarded(&policy, &caller, &[&proxies(MAX_PROXIES - 1)]), at("6.6.6.6"));
        assert_eq!(forwarded(&policy, &caller, &[&proxies(1_000)]), at("10.0.0.2"));
        // 8 KiB of anything.
        for piece in [",", ", ", "x", "1.1.1.1,", "\"", "[", ":", "%", "unknown,"] {
            let line = piece.repeat(8_192 / piece.len());
            assert_ne!(forwarded(&policy, &caller, &[&line]), Forwarded::NotBelieved, "{piece}");
        }
    }

    /// A proxy of the PROXY protocol passes on bytes: the header in them was written by the client.
    #[test]
    fn behind_a_header_of_the_proxy_protocol_only_a_trusted_proxy_s_list_is_believed() {
        let policy = policy(&["10.0.0.0/8"], ProxyProtocol::Expected);
        let mut caller = peer("10.0.0.1:1");
        assert!(policy.expects_proxy_header(caller.peer()));
        assert!(!policy.expects_proxy_header(peer("11.0.0.1:1").peer()));
        assert_eq!(forwarded(&policy, &caller, &["6.6.6.6"]), Forwarded::Nothing, "LOCAL");
        for (named, expected) in [("203.0.113.7", Forwarded::Nothing), ("10.0.0.2", at("6.6.6.6"))] {
            caller.speaks_for(Client::At(ClientAddress::of(named.parse().unwrap()), Some(1)));
            assert_eq!(forwarded(&policy, &caller, &["6.6.6.6"]), expected, "{named}");
        }
    }

    #[test]
    fn this_machine_trusted_proxies_and_what_was_named_are_exempt() {
        let policy = policy(&["10.0.0.0/8", "unix"], ProxyProtocol::Off);
        for (text, expected) in [
            ("127.0.0.1", true),
            ("127.9.9.9", true),
            ("::1", true),
            ("::ffff:127.0.0.1", true),
            ("10.0.0.1", true),
            ("198.51.100.1", true),
            ("198.51.101.1", false),
            ("2001:db8::1", false),
        ] {
            assert_eq!(policy.is_exempt(ClientAddress::of(text.parse().unwrap())), expected, "{text}");
        }
    }
}
