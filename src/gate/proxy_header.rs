//! The PROXY protocol, versions 1 and 2: a proxy that passes on bytes says first whom it speaks for.
//!
//! <https://www.haproxy.org/download/2.6/doc/proxy-protocol.txt>. Here is how such a header is found among the bytes of a
//! stream; the crate `ppp` reads it once it is there whole.

use std::net::SocketAddr;

use ppp::v1::{Addresses as TextAddresses, Header as TextHeader};
use ppp::v2::{Addresses as BinaryAddresses, Header as BinaryHeader};
use thiserror::Error;

use super::address::{Client, ClientAddress};
use crate::limits::fixed::MAX_PROXY_HEADER_BYTES;

/// The longest line of version 1, with its CR LF (section 2.1).
const MAX_LINE_BYTES: usize = 107;

/// How a line of version 1 begins.
const TEXT_BEGINNING: &[u8] = b"PROXY ";

/// How a header of version 2 begins (section 2.2): no protocol of text begins so.
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// The signature, version and command, family and protocol, and the length of what follows.
const FIXED_BYTES: usize = 16;

/// Version 2, command LOCAL.
const LOCAL: u8 = 0x20;

/// What is wrong with the beginning of a trusted proxy's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ProxyHeaderError {
    /// It begins with something else: with its request, most likely.
    #[error("A connection from this proxy has to begin with a header of the PROXY protocol, and this one does not.")]
    Missing,
    /// It is there, and nobody expects it from this peer.
    #[error(
        "This begins with a header of the PROXY protocol, which is not expected from this address: see --proxy-protocol and --trusted-proxy."
    )]
    NotExpected,
    /// It begins as a header does, and is none.
    #[error("The header of the PROXY protocol is malformed.")]
    Malformed,
    /// It is longer than a header has a reason to be.
    #[error("The header of the PROXY protocol is too long.")]
    TooLong,
}

/// Whether a stream that was taken for a request begins as such a header does.
#[must_use]
pub fn is_proxy_header(bytes: &[u8]) -> bool {
    bytes.starts_with(TEXT_BEGINNING) || bytes.starts_with(SIGNATURE)
}

/// Takes a header off the front of a stream, in whatever pieces it comes.
#[derive(Debug, Default)]
pub struct ProxyHeaderReader {
    bytes: Vec<u8>,
}

impl ProxyHeaderReader {
    /// Takes what has come. Says how many bytes of it belong to the header, which are all of them until that is whole;
    /// then also whom the proxy speaks for.
    ///
    /// # Errors
    /// [`ProxyHeaderError`], as soon as it is certain.
    pub fn take(&mut self, bytes: &[u8]) -> Result<(usize, Option<Client>), ProxyHeaderError> {
        for (at, &byte) in bytes.iter().enumerate() {
            self.bytes.push(byte);
            if let Some(client) = self.looked_at(byte)? {
                return Ok((at + 1, Some(client)));
            }
        }
        Ok((bytes.len(), None))
    }

    /// Bytes that are held.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Looks at the last byte. That is little work, so a header that comes byte by byte costs no more than another.
    fn looked_at(&self, last: u8) -> Result<Option<Client>, ProxyHeaderError> {
        let len = self.bytes.len();
        let beginning = if self.bytes[0] == TEXT_BEGINNING[0] { TEXT_BEGINNING } else { SIGNATURE };
        if beginning.get(len - 1).is_some_and(|&expected| expected != last) {
            return Err(ProxyHeaderError::Missing);
        }
        if beginning == TEXT_BEGINNING {
            return match last {
                b'\n' => client_of_line(&self.bytes).map(Some),
                _ if len >= MAX_LINE_BYTES => Err(ProxyHeaderError::TooLong),
                _ => Ok(None),
            };
        }
        let [.., high, low] = self.bytes.get(..FIXED_BYTES).unwrap_or_default() else { return Ok(None) };
        let whole = FIXED_BYTES + usize::from(u16::from_be_bytes([*high, *low]));
        match whole {
            _ if whole > MAX_PROXY_HEADER_BYTES => Err(ProxyHeaderError::TooLong),
            _ if whole == len => client_of_header(&self.bytes).map(Some),
            _ => Ok(None),
        }
    }
}

/// Version 1. A proxy that knows no address says UNKNOWN, and whatever follows means nothing (section 2.1).
fn client_of_line(line: &[u8]) -> Result<Client, ProxyHeaderError> {
    let line = line.strip_suffix(b"\r\n").ok_or(ProxyHeaderError::Malformed)?;
    if let Some(rest) = line.strip_prefix(b"PROXY UNKNOWN")
        && (rest.is_empty() || rest.starts_with(b" "))
    {
        return Ok(Client::Itself);
    }
    let whole = [line, b"\r\n"].concat();
    let header = TextHeader::try_from(&whole[..]).map_err(|_| ProxyHeaderError::Malformed)?;
    Ok(match header.addresses {
        TextAddresses::Tcp4(tcp) => client_at(SocketAddr::from((tcp.source_address, tcp.source_port))),
        TextAddresses::Tcp6(tcp) => client_at(SocketAddr::from((tcp.source_address, tcp.source_port))),
        TextAddresses::Unknown => Client::Itself,
    })
}

/// Version 2. With LOCAL the proxy speaks for itself, as it does to see whether the daemon is there; the addresses behind
/// it mean nothing, whatever their family (section 2.2).
fn client_of_header(bytes: &[u8]) -> Result<Client, ProxyHeaderError> {
    if bytes[SIGNATURE.len()] == LOCAL {
        return Ok(Client::Itself);
    }
    let header = BinaryHeader::try_from(bytes).map_err(|_| ProxyHeaderError::Malformed)?;
    Ok(match header.addresses {
        BinaryAddresses::IPv4(tcp) => client_at(SocketAddr::from((tcp.source_address, tcp.source_port))),
        BinaryAddresses::IPv6(tcp) => client_at(SocketAddr::from((tcp.source_address, tcp.source_port))),
        // Somebody on the proxy's own machine, or over a protocol that has no such addresses.
        BinaryAddresses::Unspecified | BinaryAddresses::Unix(_) => Client::Itself,
    })
}

fn client_at(socket: SocketAddr) -> Client {
    Client::At(ClientAddress::of(socket.ip()), Some(socket.port()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of a stream, whole and byte by byte.
    fn read(stream: &[u8]) -> Result<(usize, Option<Client>), ProxyHeaderError> {
        let whole = ProxyHeaderReader::default().take(stream);
        let mut reader = ProxyHeaderReader::default();
        let mut taken = 0;
        let mut bytewise = Ok((stream.len(), None));
        for byte in stream {
            match reader.take(&[*byte]) {
                Ok((count, None)) => taken += count,
                Ok((count, client)) => {
                    bytewise = Ok((taken + count, client));
                    break;
                }
                Err(error) => {
                    bytewise = Err(error);
                    break;
                }
            }
        }
        assert_eq!(whole, bytewise, "{stream:?}");
        whole
    }

    fn at(text: &str) -> Client {
        client_at(text.parse().unwrap())
    }

    fn header(version_and_command: u8, family_and_protocol: u8, rest: &[u8]) -> Vec<u8> {
        let len = (rest.len() as u16).to_be_bytes();
        [SIGNATURE, &[version_and_command, family_and_protocol], &len, rest].concat()
    }

    const TCP4: [u8; 12] = [203, 0, 113, 7, 10, 0, 0, 1, 0x12, 0x67, 0, 80];

    #[test]
    fn a_line_of_version_1_names_the_client_and_what_follows_is_not_touched() {
        for (line, expected) in [
            ("PROXY TCP4 203.0.113.7 10.0.0.1 4711 80\r\n", at("203.0.113.7:4711")),
            ("PROXY TCP6 2001:db8::1 2001:db8::2 4711 80\r\n", at("[2001:db8::1]:4711")),
            ("PROXY TCP6 ::ffff:203.0.113.7 ::1 4711 80\r\n", at("203.0.113.7:4711")),
            ("PROXY UNKNOWN\r\n", Client::Itself),
            ("PROXY UNKNOWN a b c d e f g\r\n", Client::Itself),
        ] {
            assert_eq!(read(line.as_bytes()), Ok((line.len(), Some(expected))), "{line}");
            let longer = format!("{line}GET / HTTP/1.1\r\n");
            assert_eq!(read(longer.as_bytes()), Ok((line.len(), Some(expected))), "{line}");
            assert_eq!(read(&line.as_bytes()[..line.len() - 1]), Ok((line.len() - 1, None)), "{line}");
        }
    }

    #[test]
    fn a_header_of_version_2_names_the_client_and_what_follows_is_not_touched() {
        let tcp6 =
            [&[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1][..], &[0; 16], &[0x12, 0x67, 0, 80]].concat();
        let with_more = [&TCP4[..], &[4, 0, 2, 0, 0]].concat();
        for (header, expected) in [
            (header(0x21, 0x11, &TCP4), at("203.0.113.7:4711")),
            (header(0x21, 0x11, &with_more), at("203.0.113.7:4711")),
            (header(0x21, 0x21, &tcp6), at("[2001:db8::1]:4711")),
            (header(0x21, 0x00, &[]), Client::Itself),
            (header(0x21, 0x31, &[0; 216]), Client::Itself),
            // LOCAL, with whatever behind it.
            (header(0x20, 0x00, &[]), Client::Itself),
            (header(0x20, 0x11, &[]), Client::Itself),
            (header(0x20, 0x99, &[1, 2, 3]), Client::Itself),
        ] {
            assert_eq!(read(&header), Ok((header.len(), Some(expected))), "{header:?}");
            let longer = [&header[..], b"GET / HTTP/1.1\r\n"].concat();
            assert_eq!(read(&longer), Ok((header.len(), Some(expected))), "{header:?}");
            assert_eq!(read(&header[..header.len() - 1]), Ok((header.len() - 1, None)), "{header:?}");
        }
    }

    #[test]
    fn what_is_no_header_is_known_at_the_first_byte_that_shows_it() {
        for (stream, at) in [
            (&b"GET / HTTP/1.1\r\n"[..], 1),
            (b"POST / HTTP/1.1\r\n", 2),
            (b"PROXYTCP4 ", 6),
            (b"\r\nGET", 3),
            (b"\x16\x03\x01", 1),
            (b"\0", 1),
        ] {
            assert_eq!(read(stream), Err(ProxyHeaderError::Missing), "{stream:?}");
            assert_eq!(read(&stream[..at - 1]), Ok((at - 1, None)), "{stream:?}");
            assert_eq!(read(&stream[..at]), Err(ProxyHeaderError::Missing), "{stream:?}");
        }
    }

    #[test]
    fn a_malformed_header_is_refused() {
        for line in [
            "PROXY \r\n",
            "PROXY TCP4\r\n",
            "PROXY TCP4 203.0.113.7 10.0.0.1 4711\r\n",
            "PROXY TCP4 203.0.113.7 10.0.0.1 4711 80 9\r\n",
            "PROXY TCP4 203.0.113.7 10.0.0.1 4711 65536\r\n",
            "PROXY TCP4 2001:db8::1 2001:db8::2 4711 80\r\n",
            "PROXY TCP4 203.0.113.7  10.0.0.1 4711 80\r\n",
            "PROXY TCP5 203.0.113.7 10.0.0.1 4711 80\r\n",
            "PROXY tcp4 203.0.113.7 10.0.0.1 4711 80\r\n",
            "PROXY TCP4 203.0.113.7 10.0.0.1 4711 80\n",
            "PROXY UNKNOWNX\r\n",
            "PROXY TCP4 \u{ff} \r\n",
            "PROXY \r TCP4\r\n",
        ] {
            assert_eq!(read(line.as_bytes()), Err(ProxyHeaderError::Malformed), "{line}");
        }
        for header in [
            header(0x11, 0x11, &TCP4),
            header(0x22, 0x11, &TCP4),
            header(0x21, 0x41, &TCP4),
            header(0x21, 0x13, &TCP4),
            header(0x21, 0x11, &TCP4[..11]),
            header(0x21, 0x21, &TCP4),
            header(0x21, 0x31, &TCP4),
        ] {
            assert_eq!(read(&header), Err(ProxyHeaderError::Malformed), "{header:?}");
        }
    }

    #[test]
    fn a_header_is_no_longer_than_it_has_a_reason_to_be() {
        let line = format!("PROXY UNKNOWN {}\r\n", "x".repeat(MAX_LINE_BYTES - 16));
        assert_eq!(line.len(), MAX_LINE_BYTES);
        assert_eq!(read(line.as_bytes()), Ok((line.len(), Some(Client::Itself))));
        let line = format!("PROXY UNKNOWN {}", "x".repeat(MAX_LINE_BYTES));
        assert_eq!(read(line.as_bytes()), Err(ProxyHeaderError::TooLong));
        let longest = header(0x20, 0, &vec![0; MAX_PROXY_HEADER_BYTES - FIXED_BYTES]);
        assert_eq!(read(&longest), Ok((longest.len(), Some(Client::Itself))));
        let header = header(0x20, 0, &vec![0; MAX_PROXY_HEADER_BYTES - FIXED_BYTES + 1]);
        assert_eq!(read(&header), Err(ProxyHeaderError::TooLong));
        assert_eq!(read(&header[..FIXED_BYTES]), Err(ProxyHeaderError::TooLong), "as soon as the length is known");
    }
}
