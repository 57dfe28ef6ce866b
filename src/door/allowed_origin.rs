//! What `--origin` takes, parsed: only what a browser can send is taken, in the form in which it sends it.

// The values alone; `std` has the sockets, which are none of this module's.
use core::net::{Ipv4Addr, Ipv6Addr};
use std::fmt;
use std::str::FromStr;

use super::origin::Origin;

/// One `--origin`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AllowedOrigin {
    /// `*`: every page of every site.
    Any,
    /// `null`: pages without an address, such as files opened from disk.
    Null,
    /// The pages of one site.
    Site(Origin),
    /// `https://*.example.com`: the pages of all sites below that one, at any depth, and not its own. The scheme, and what
    /// every host and port must end in: `.example.com`.
    Below(String, String),
}

/// Why no page can ever have this origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotAnOrigin {
    /// Not of the form `scheme://host` or `scheme://host:port`.
    Form,
    /// `ws` or `wss`: that is where a page connects to, not where it is from.
    WebSocketScheme,
    /// `file`: pages opened from disk say `null`.
    FileScheme,
    /// Something behind the host: a path, a query, a fragment.
    Path,
    /// A name and a password in front of the host.
    UserInfo,
    /// Letters that are not ASCII. A browser sends what the name server is asked for.
    NotAscii,
    /// No host, or one that cannot be.
    Host,
    /// Not a number from 1 to 65535.
    Port,
    /// A `*` that stands elsewhere than for the first parts of a host.
    Wildcard,
}

impl AllowedOrigin {
    /// Whether a page of this origin may connect.
    #[must_use]
    pub fn allows(&self, origin: &Origin) -> bool {
        match self {
            AllowedOrigin::Any => true,
            AllowedOrigin::Null => false,
            AllowedOrigin::Site(site) => site == origin,
            AllowedOrigin::Below(scheme, end) => {
                let above = origin.authority.strip_suffix(end.as_str());
                *scheme == origin.scheme && above.is_some_and(|labels| labels.split('.').all(is_label))
            }
        }
    }
}

impl FromStr for AllowedOrigin {
    type Err = NotAnOrigin;

    fn from_str(text: &str) -> Result<AllowedOrigin, NotAnOrigin> {
        // Blanks around it: in a list, people write one behind each comma.
        let text = text.trim();
        match text {
            "*" => return Ok(AllowedOrigin::Any),
            "null" => return Ok(AllowedOrigin::Null),
            _ => {}
        }
        let (scheme, rest) = text.split_once("://").ok_or(NotAnOrigin::Form)?;
        let scheme = parse_scheme(scheme)?;
        // A copied address often ends in a slash; an origin never does.
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains(['/', '?', '#', '\\']) {
            return Err(NotAnOrigin::Path);
        }
        if authority.contains('@') {
            return Err(NotAnOrigin::UserInfo);
        }
        if !authority.is_ascii() {
            return Err(NotAnOrigin::NotAscii);
        }
        let (host, port) = split_port(authority)?;
        let port = parse_port(&scheme, port)?;
        match host.strip_prefix("*.") {
            Some(domain) => match parse_host(domain)? {
                Host::Name(name) => Ok(AllowedOrigin::Below(scheme, format!(".{name}{port}"))),
                Host::Address(_) => Err(NotAnOrigin::Wildcard),
            },
            None => {
                let (Host::Name(host) | Host::Address(host)) = parse_host(host)?;
                Ok(AllowedOrigin::Site(Origin { scheme, authority: host + &port }))
            }
        }
    }
}

/// As a browser writes it.
enum Host {
    Name(String),
    Address(String),
}

fn parse_scheme(scheme: &str) -> Result<String, NotAnOrigin> {
    let scheme = scheme.to_ascii_lowercase();
    match scheme.as_str() {
        "ws" | "wss" => Err(NotAnOrigin::WebSocketScheme),
        "file" => Err(NotAnOrigin::FileScheme),
        // Pages of browser extensions and of programs with a browser inside have schemes of their own.
        _ if super::origin::is_scheme(&scheme) => Ok(scheme),
        _ => Err(NotAnOrigin::Form),
    }
}

/// The port is None if there is no colon.
fn split_port(authority: &str) -> Result<(&str, Option<&str>), NotAnOrigin> {
    if authority.starts_with('[') {
        let (address, rest) = authority.split_at(authority.find(']').ok_or(NotAnOrigin::Host)? + 1);
        return match rest.strip_prefix(':') {
            None if rest.is_empty() => Ok((address, None)),
            None => Err(NotAnOrigin::Host),
            port => Ok((address, port)),
        };
    }
    Ok(authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port))))
}

/// With its colon; nothing if it is the scheme's own, which a browser leaves out.
fn parse_port(scheme: &str, port: Option<&str>) -> Result<String, NotAnOrigin> {
    let Some(digits) = port else { return Ok(String::new()) };
    if digits == "*" {
        return Err(NotAnOrigin::Wildcard);
    }
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    match (scheme, digits.parse::<u16>()) {
        ("http", Ok(80)) | ("https", Ok(443)) if is_number => Ok(String::new()),
        (_, Ok(port)) if is_number && port > 0 => Ok(format!(":{port}")),
        _ => Err(NotAnOrigin::Port),
    }
}

fn parse_host(host: &str) -> Result<Host, NotAnOrigin> {
    if let Some(address) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let address: Ipv6Addr = address.parse().map_err(|_| NotAnOrigin::Host)?;
        return Ok(Host::Address(format!("[{address}]")));
    }
    if host.contains('*') {
        return Err(NotAnOrigin::Wildcard);
    }
    let name = host.to_ascii_lowercase();
    // The dot of the root may end a name, and is sent as well.
    let labels = name.strip_suffix('.').unwrap_or(&name);
    if labels.len() > 253 || !labels.split('.').all(is_label) {
        return Err(NotAnOrigin::Host);
    }
    // A host that ends in a number is an address (URL Standard, section 3.5), and is sent in four parts.
    match labels.rsplit('.').next() {
        Some(last) if last.bytes().all(|byte| byte.is_ascii_digit()) => {
            let address: Ipv4Addr = labels.parse().map_err(|_| NotAnOrigin::Host)?;
            Ok(Host::Address(address.to_string()))
        }
        _ => Ok(Host::Name(name)),
    }
}

/// A part of a host between two dots. Underscores are no part of a host name, but browsers connect to such.
fn is_label(label: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=63).contains(&label.len()) && label.bytes().all(is_part)
}

impl fmt::Display for NotAnOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NotAnOrigin::Form => "an origin looks like https://chat.example.com, or is * or null",
            NotAnOrigin::WebSocketScheme => {
                "the origin of a page begins with http:// or https://, not with ws:// or wss://"
            }
            NotAnOrigin::FileScheme => "pages opened from disk have the origin null",
            NotAnOrigin::Path => "an origin ends with its host or port; nothing follows",
            NotAnOrigin::UserInfo => "an origin has no user name and no password",
            NotAnOrigin::NotAscii => "write the host as browsers send it: xn-- and ASCII letters",
            NotAnOrigin::Host => "no page has such a host",
            NotAnOrigin::Port => "a port is a number from 1 to 65535",
            NotAnOrigin::Wildcard => {
                "a * stands for everything, or for the sub-domains of a name: https://*.example.com"
            }
        })
    }
}

impl std::error::Error for NotAnOrigin {}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<AllowedOrigin, NotAnOrigin> {
        text.parse()
    }

    fn site(scheme: &str, authority: &str) -> Result<AllowedOrigin, NotAnOrigin> {
        Ok(AllowedOrigin::Site(Origin { scheme: scheme.into(), authority: authority.into() }))
    }

    #[test]
    fn a_site_is_kept_as_browsers_write_it() {
        for (text, scheme, authority) in [
            ("https://chat.example.com", "https", "chat.example.com"),
            (" HTTPS://Chat.Example.COM/ ", "https", "chat.example.com"),
            ("https://a.example:443", "https", "a.example"),
            ("http://a.example:80/", "http", "a.example"),
            ("http://a.example:443", "http", "a.example:443"),
            ("http://localhost:03000", "http", "localhost:3000"),
            ("http://127.0.0.1:8000", "http", "127.0.0.1:8000"),
            ("https://[::1]", "https", "[::1]"),
            ("https://[0:0:0:0:0:0:0:1]:8443", "https", "[::1]:8443"),
            ("https://[FE80::A]", "https", "[fe80::a]"),
            ("https://xn--bcher-kva.example", "https", "xn--bcher-kva.example"),
            ("https://my_host.", "https", "my_host."),
            ("chrome-extension://abcdefgh", "chrome-extension", "abcdefgh"),
            ("tauri://localhost", "tauri", "localhost"),
        ] {
            assert_eq!(parsed(text), site(scheme, authority), "{text}");
        }
        assert_eq!(parsed(" * "), Ok(AllowedOrigin::Any));
        assert_eq!(parsed("null"), Ok(AllowedOrigin::Null));
    }

    #[test]
    fn what_no_page_can_send_is_refused_with_its_own_reason() {
        for (text, reason) in [
            ("", NotAnOrigin::Form),
            ("example.com", NotAnOrigin::Form),
            ("//example.com", NotAnOrigin::Form),
            ("https:/example.com", NotAnOrigin::Form),
            ("://x", NotAnOrigin::Form),
            ("1http://x", NotAnOrigin::Form),
            ("ht tp://x", NotAnOrigin::Form),
            ("wss://chat.example.com", NotAnOrigin::WebSocketScheme),
            ("WS://x", NotAnOrigin::WebSocketScheme),
            ("file:///home/x", NotAnOrigin::FileScheme),
            ("https://x/path", NotAnOrigin::Path),
            ("https://x//", NotAnOrigin::Path),
            ("https://x?q", NotAnOrigin::Path),
            ("https://x#f", NotAnOrigin::Path),
            ("https://x\\y", NotAnOrigin::Path),
            ("https://user@x", NotAnOrigin::UserInfo),
            ("https://user:word@x", NotAnOrigin::UserInfo),
            ("https://bücher.example", NotAnOrigin::NotAscii),
            ("https://", NotAnOrigin::Host),
            ("https://:443", NotAnOrigin::Host),
            ("https://a b", NotAnOrigin::Host),
            ("https://a..b", NotAnOrigin::Host),
            ("https://.a", NotAnOrigin::Host),
            ("https://a%20b", NotAnOrigin::Host),
            ("https://[::1", NotAnOrigin::Host),
            ("https://::1", NotAnOrigin::Host),
            ("https://[::1]x", NotAnOrigin::Host),
            ("https://[::g]", NotAnOrigin::Host),
            ("https://[fe80::1%25eth0]", NotAnOrigin::Host),
            ("https://1.2.3", NotAnOrigin::Host),
            ("https://256.1.1.1", NotAnOrigin::Host),
            ("https://a.example:", NotAnOrigin::Port),
            ("https://a.example:99999", NotAnOrigin::Port),
            ("https://a.example:0", NotAnOrigin::Port),
            ("https://a.example:+80", NotAnOrigin::Port),
            ("https://a.example:8 0", NotAnOrigin::Port),
            ("https://a.example:80:80", NotAnOrigin::Port),
            ("https://[::1]:", NotAnOrigin::Port),
            ("https://*", NotAnOrigin::Wildcard),
            ("https://a.*.example", NotAnOrigin::Wildcard),
            ("https://a*.example", NotAnOrigin::Wildcard),
            ("https://*.*.example", NotAnOrigin::Wildcard),
            ("https://*.127.0.0.1", NotAnOrigin::Wildcard),
            ("http://localhost:*", NotAnOrigin::Wildcard),
            ("https://*.", NotAnOrigin::Host),
            ("*://example.com", NotAnOrigin::Form),
        ] {
            // `::1` without brackets is a host without a name and a port.
            let reason = if text == "https://::1" { NotAnOrigin::Port } else { reason };
            assert_eq!(parsed(text), Err(reason), "{text}");
        }
    }

    #[test]
    fn a_star_stands_for_sub_domains_at_any_depth_and_not_for_the_domain_itself() {
        let allows = |allowed: &str, authority: &str| {
            let origin = Origin { scheme: "https".into(), authority: authority.into() };
            parsed(allowed).is_ok_and(|allowed| allowed.allows(&origin))
        };
        for good in ["a.example.com", "a.b.example.com", "xn--a.example.com"] {
            assert!(allows("https://*.Example.com:443/", good), "{good}");
        }
        for bad in [
            "example.com",
            "evil-example.com",
            "a.example.com.evil.org",
            "a.example.com:8443",
            ".example.com",
            "a..example.com",
            "evil.org:1.example.com",
            "u@a.example.com",
        ] {
            assert!(!allows("https://*.example.com", bad), "{bad}");
        }
        assert!(allows("https://*.example.com:8443", "a.example.com:8443"));
        assert!(!allows("http://*.example.com", "a.example.com"));
    }
}
