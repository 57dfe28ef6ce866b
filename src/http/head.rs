//! The request head: found in the stream byte by byte, parsed once.
//!
//! [`HeadScanner`] looks at each byte once, however slowly they come, and says where the head ends or that it never can
//! be one. Only then `httparse` reads the whole. Parsing on every read instead took a well-known library minutes of CPU
//! for one slow request (CVE-2023-43669).

use std::fmt;

use thiserror::Error;

use super::response::{BodyWanted, Persistence, Status};
use crate::limits::fixed::{LOGGED_METHOD_CHARACTERS, LOGGED_PATH_CHARACTERS, MAX_HEADERS};

/// What is wrong with a request head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum HeadError {
    /// The first bytes cannot begin an HTTP request: TLS on a plain port, or another protocol.
    #[error("This is not HTTP. If you meant https:// or wss://: this port speaks plain http:// and ws://.")]
    NotHttp,
    /// A control character, a bare line feed, or a line that is no header.
    #[error("The request head is malformed: lines end in CR LF, and hold no other control characters.")]
    Malformed,
    /// The head is longer than `--max-head`, or has too many headers.
    #[error("The request head is too large.")]
    TooLarge,
    /// Neither HTTP/1.0 nor HTTP/1.1.
    #[error("Only HTTP/1.1 and HTTP/1.0 are spoken here.")]
    Version,
    /// HTTP/1.1 asks for just one Host header (RFC 9112 section 3.2).
    #[error("An HTTP/1.1 request needs a Host header.")]
    HostMissing,
    /// A host with characters that no host has.
    #[error("The host has characters that no host has.")]
    HostMalformed,
    /// A header that may stand only once stands twice.
    #[error("A header that may stand only once stands twice.")]
    DuplicateHeader,
    /// A header that must be text has other bytes.
    #[error("A header has bytes that are not printable ASCII.")]
    HeaderNotText,
    /// A length or an encoding of the body that cannot be trusted.
    #[error("Content-Length is not a number, or Transfer-Encoding is used.")]
    MalformedBodyLength,
}

impl HeadError {
    /// The status that names the kind of fault.
    #[must_use]
    pub fn status(self) -> Status {
        match self {
            HeadError::NotHttp
            | HeadError::Malformed
            | HeadError::HostMissing
            | HeadError::HostMalformed
            | HeadError::DuplicateHeader
            | HeadError::HeaderNotText
            | HeadError::MalformedBodyLength => Status::BadRequest,
            HeadError::TooLarge => Status::HeadersTooLarge,
            HeadError::Version => Status::HttpVersion,
        }
    }
}

/// Finds the end of the head, the empty line.
#[derive(Debug, Clone, Copy, Default)]
pub struct HeadScanner {
    /// Bytes seen so far.
    scanned: usize,
    line_end: LineEnd,
}

/// How much of CR LF CR LF the last bytes were.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum LineEnd {
    /// Nothing has come but empty lines. RFC 9112 section 2.2 wants them passed over: some clients send one behind a body.
    #[default]
    Before,
    BeforeCr,
    None,
    Cr,
    CrLf,
    CrLfCr,
}

impl HeadScanner {
    /// Looks at the next bytes. Gives how many of them belong to the head once its end is among them, and `None` while
    /// it is not.
    ///
    /// # Errors
    /// [`HeadError::NotHttp`], [`HeadError::Malformed`] or [`HeadError::TooLarge`], as soon as it is certain.
    pub fn scan(&mut self, bytes: &[u8], max_head_bytes: usize) -> Result<Option<usize>, HeadError> {
        let mut at = 0;
        while at < bytes.len() {
            if self.line_end == LineEnd::None {
                let inside = inside_of_line(&bytes[at..]);
                at += inside;
                self.scanned += inside;
            }
            let Some(&byte) = bytes.get(at) else { break };
            at += 1;
            self.scanned += 1;
            if self.scanned > max_head_bytes {
                return Err(HeadError::TooLarge);
            }
            // RFC 9112 section 2.2 lets a server take a bare LF for a line end. Not taken: programs that disagree on
            // where lines end are how requests are smuggled.
            self.line_end = match (self.line_end, byte) {
                // A method begins with a letter. A TLS hello begins with 0x16, and its sender gets an answer it can show.
                (LineEnd::Before, byte) if byte.is_ascii_alphabetic() => LineEnd::None,
                (LineEnd::Before, b'\r') => LineEnd::BeforeCr,
                (LineEnd::Before, _) => return Err(HeadError::NotHttp),
                (LineEnd::BeforeCr, b'\n') => LineEnd::Before,
                (LineEnd::None, b'\r') => LineEnd::Cr,
                (LineEnd::Cr, b'\n') => LineEnd::CrLf,
                (LineEnd::CrLf, b'\r') => LineEnd::CrLfCr,
                (LineEnd::CrLfCr, b'\n') => return Ok(Some(at)),
                (LineEnd::CrLf, byte) if is_inside_line(byte) => LineEnd::None,
                _ => return Err(HeadError::Malformed),
            };
        }
        if self.scanned > max_head_bytes { Err(HeadError::TooLarge) } else { Ok(None) }
    }
}

/// How many bytes there are before the line ends. They are nearly all of the head: in strides that the compiler turns into
/// vector instructions, a whole handshake takes a quarter less than byte by byte.
fn inside_of_line(bytes: &[u8]) -> usize {
    const STRIDE: usize = 16;
    let strides = bytes.chunks_exact(STRIDE);
    let whole = strides.take_while(|stride| stride.iter().fold(true, |all, &byte| all & is_inside_line(byte))).count();
    let rest = &bytes[whole * STRIDE..];
    whole * STRIDE + rest.iter().take_while(|byte| is_inside_line(**byte)).count()
}

fn is_inside_line(byte: u8) -> bool {
    matches!(byte, b'\t' | b' '..=b'~' | 0x80..)
}

/// A parsed request head. It borrows the bytes it was read from.
#[derive(Debug)]
pub struct Head<'b> {
    method: &'b str,
    /// What is left of the target without scheme and authority.
    local_target: &'b str,
    /// The authority of an absolute target, or else the Host header.
    host: Option<&'b str>,
    is_http_1_1: bool,
    headers: Vec<httparse::Header<'b>>,
}

/// What of a request goes into the log: its method and its path, as ASCII without control characters and no longer than
/// a line of a log should be. Not the query, which holds names and secrets, and no fragment: a client must not send one
/// (RFC 9110 section 7.1), but some may, with a secret in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestLine(Box<str>);

impl fmt::Display for RequestLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'b> Head<'b> {
    /// Parses a head that [`HeadScanner`] has found complete.
    ///
    /// # Errors
    /// The [`HeadError`] that says what is wrong with it.
    pub fn parse(bytes: &'b [u8]) -> Result<Head<'b>, HeadError> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        match request.parse(bytes) {
            Ok(httparse::Status::Complete(_)) => {}
            Ok(httparse::Status::Partial) => return Err(HeadError::Malformed),
            Err(httparse::Error::TooManyHeaders) => return Err(HeadError::TooLarge),
            Err(httparse::Error::Version) => return Err(HeadError::Version),
            Err(_) => return Err(HeadError::Malformed),
        }
        let (Some(method), Some(target), Some(version)) = (request.method, request.path, request.version) else {
            return Err(HeadError::Malformed);
        };
        let (authority, local_target) = split_target(target);
        let headers = request.headers.to_vec();
        let mut head = Head { method, local_target, host: None, is_http_1_1: version == 1, headers };
        // RFC 9112 section 3.2. HTTP/1.0 knew no Host, and gets the page without one.
        let host = head.only("Host")?;
        if host.is_none() && head.is_http_1_1 {
            return Err(HeadError::HostMissing);
        }
        // Section 3.2.2: in an absolute target stands the host, whatever the header says.
        head.host = authority.or(host);
        match head.host {
            Some(host) if !host.bytes().all(is_authority_byte) => Err(HeadError::HostMalformed),
            _ => Ok(head),
        }
    }

    /// Whom the request is for, with a port if one was named.
    #[must_use]
    pub fn host(&self) -> Option<&'b str> {
        self.host
    }

    /// Method and path for the log.
    #[must_use]
    pub fn line(&self) -> RequestLine {
        let mut line = shortened(self.method, LOGGED_METHOD_CHARACTERS);
        let path = self.local_target.split(['?', '#']).next().unwrap_or_default();
        line.push(' ');
        line.push_str(&shortened(if path.is_empty() { "/" } else { path }, LOGGED_PATH_CHARACTERS));
        RequestLine(line.into())
    }

    /// GET, HEAD, or something else.
    #[must_use]
    pub fn method(&self) -> &'b str {
        self.method
    }

    /// The answer to HEAD is the answer to GET without its body, whether it is good or bad.
    #[must_use]
    pub fn body_wanted(&self) -> BodyWanted {
        if self.method == "HEAD" { BodyWanted::No } else { BodyWanted::Yes }
    }

    /// The target from its path on: `/path?query`.
    #[must_use]
    pub fn local_target(&self) -> &'b str {
        self.local_target
    }

    /// HTTP/1.1; `false` is HTTP/1.0.
    #[must_use]
    pub fn is_http_1_1(&self) -> bool {
        self.is_http_1_1
    }

    /// The values of all headers of that name, in any case, blanks around them removed.
    pub fn all(&self, name: &str) -> impl DoubleEndedIterator<Item = &'b [u8]> {
        self.headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value)
    }

    /// The value of a header that may stand only once.
    ///
    /// # Errors
    /// [`HeadError::DuplicateHeader`], or [`HeadError::HeaderNotText`] when it is not printable ASCII.
    pub fn only(&self, name: &str) -> Result<Option<&'b str>, HeadError> {
        let mut values = self.all(name);
        let Some(value) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return Err(HeadError::DuplicateHeader);
        }
        match std::str::from_utf8(value) {
            Ok(text) if text.is_ascii() => Ok(Some(text.trim_matches([' ', '\t']))),
            _ => Err(HeadError::HeaderNotText),
        }
    }

    /// Whether `token` is an element of the comma-separated header `name`, in any case, over all its lines.
    #[must_use]
    pub fn list_has(&self, name: &str, token: &str) -> bool {
        self.all(name)
            .flat_map(|value| value.split(|&byte| byte == b','))
            .any(|element| element.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
    }

    /// What the client wants to become of the connection (RFC 9112 section 9.3): it stays unless HTTP/1.1 says `close`, and
    /// closes unless HTTP/1.0 says `keep-alive`.
    #[must_use]
    pub fn persistence(&self) -> Persistence {
        if self.list_has("Connection", "close") {
            Persistence::Closes
        } else if self.is_http_1_1 {
            Persistence::Stays
        } else if self.list_has("Connection", "keep-alive") {
            Persistence::StaysAsAsked
        } else {
            Persistence::Closes
        }
    }

    /// Whether a body follows the head.
    ///
    /// # Errors
    /// [`HeadError::MalformedBodyLength`] when that cannot be told for certain.
    pub fn has_body(&self) -> Result<bool, HeadError> {
        if self.all("Transfer-Encoding").next().is_some() {
            return Err(HeadError::MalformedBodyLength);
        }
        match self.only("Content-Length")? {
            None => Ok(false),
            Some(length) if !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit()) => {
                Ok(length.bytes().any(|byte| byte != b'0'))
            }
            Some(_) => Err(HeadError::MalformedBodyLength),
        }
    }
}

/// The first characters of `text`, those that are not printable ASCII written as `\u{N}`.
fn shortened(text: &str, max: usize) -> String {
    let mut characters = text.chars();
    let mut shown: String = characters.by_ref().take(max).flat_map(char::escape_default).collect();
    if characters.next().is_some() {
        shown.push_str("...");
    }
    shown
}

/// A target may be absolute, `http://host/path?query`, and every server must accept that (RFC 9112 section 3.2.2).
fn split_target(target: &str) -> (Option<&str>, &str) {
    match target.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("ws") => {
            let (authority, local) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
            (Some(authority), local)
        }
        _ => (None, target),
    }
}

/// RFC 3986 section 3.2, without user information, which no Host has.
fn is_authority_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:[]".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan_three_ways(bytes: &[u8], max: usize, expected: Result<Option<usize>, HeadError>) {
        assert_eq!(HeadScanner::default().scan(bytes, max), expected, "whole");

        let mut scanner = HeadScanner::default();
        let mut answer = Ok(None);
        for (at, byte) in bytes.iter().enumerate() {
            answer = scanner.scan(&[*byte], max).map(|end| end.map(|one| at + one));
            if answer != Ok(None) {
                break;
            }
        }
        assert_eq!(answer, expected, "byte by byte");

        if expected.is_ok_and(|end| end.is_some()) {
            let trailing = [bytes, b"\x81\x80abcd"].concat();
            assert_eq!(HeadScanner::default().scan(&trailing, max), expected, "with trailing bytes");
        }
    }

    #[test]
    fn the_head_ends_at_the_empty_line() {
        let head = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";
        scan_three_ways(head, 100, Ok(Some(head.len())));
        scan_three_ways(&head[..head.len() - 1], 100, Ok(None));
        scan_three_ways(head, head.len(), Ok(Some(head.len())));
        scan_three_ways(head, head.len() - 1, Err(HeadError::TooLarge));
    }

    #[test]
    fn what_cannot_be_a_request_is_refused_at_its_first_byte() {
        scan_three_ways(b"\x16\x03\x01\x02\x00\x01\x00", 100, Err(HeadError::NotHttp));
        scan_three_ways(b"\n", 100, Err(HeadError::NotHttp));
        scan_three_ways(b" ", 100, Err(HeadError::NotHttp));
        scan_three_ways(b"\0", 100, Err(HeadError::NotHttp));
    }

    #[test]
    fn empty_lines_before_a_request_are_passed_over_and_count_as_its_bytes() {
        let head = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
        for count in [1, 2, 10] {
            let text = "\r\n".repeat(count) + head;
            scan_three_ways(text.as_bytes(), 100, Ok(Some(text.len())));
            assert!(Head::parse(text.as_bytes()).is_ok_and(|head| head.host() == Some("x")));
        }
        scan_three_ways(b"\r\n", 100, Ok(None));
        scan_three_ways("\r\n".repeat(51).as_bytes(), 100, Err(HeadError::TooLarge));
        scan_three_ways(b"\r\n\n", 100, Err(HeadError::NotHttp));
        scan_three_ways(b"\r\r\n", 100, Err(HeadError::Malformed));
        scan_three_ways(b"\r\n\x16\x03", 100, Err(HeadError::NotHttp));
        scan_three_ways(b"\rGET", 100, Err(HeadError::Malformed));
    }

    #[test]
    fn what_is_logged_of_a_request_is_short_and_printable_and_has_no_query_and_no_fragment() {
        let line = |request: &str| {
            let head = format!("{request} HTTP/1.1\r\nHost: x\r\n\r\n");
            Head::parse(head.as_bytes()).map(|head| head.line().to_string())
        };
        for (request, expected) in [
            ("GET /style.css", "GET /style.css"),
            ("HEAD /?name=Ann&since=3", "HEAD /"),
            ("GET /r/garden#me=secret", "GET /r/garden"),
            ("OPTIONS *", "OPTIONS *"),
            ("GET http://x", "GET /"),
            ("GET /r/%E6%B1%89", "GET /r/%E6%B1%89"),
            ("GET /\u{202E}汉", "GET /\\u{202e}\\u{6c49}"),
            ("GET /\u{85}", "GET /\\u{85}"),
            ("GET /\"'", "GET /\\\"\\'"),
        ] {
            assert_eq!(line(request).as_deref(), Ok(expected), "{request}");
        }
        let long = line(&format!("{} /{}", "M".repeat(1_000), "x".repeat(1_000))).unwrap_or_default();
        assert_eq!(long, format!("{}... /{}...", "M".repeat(20), "x".repeat(199)));
    }

    #[test]
    fn bare_line_feeds_and_control_characters_are_malformed() {
        let bad: [&[u8]; 5] =
            [b"GET / HTTP/1.1\n", b"GET / HTTP/1.1\r\r", b"GET /\0", b"GET / HTTP/1.1\r\nA: \x1b[2J", b"G\x7f"];
        for bytes in bad {
            scan_three_ways(bytes, 100, Err(HeadError::Malformed));
        }
    }

    /// CVE-2024-37890: any number of headers, any length of line.
    #[test]
    fn too_many_headers_or_too_long_a_line_is_431_and_nothing_worse() {
        for count in [0, 1, 63, 64, 100, 1_000, 10_000] {
            let head = format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "A: b\r\n".repeat(count));
            let answer = Head::parse(head.as_bytes()).map(|_| ());
            assert_eq!(answer, if count < 64 { Ok(()) } else { Err(HeadError::TooLarge) }, "{count} headers");
        }
        for length in [100, 8_192, 1_000_000] {
            let head = format!("GET / HTTP/1.1\r\nHost: x\r\nA: {}\r\n\r\n", "b".repeat(length));
            let found = HeadScanner::default().scan(head.as_bytes(), 8_192);
            assert_eq!(found.is_ok(), length < 8_000, "a line of {length} bytes");
        }
    }

    #[test]
    fn names_are_compared_in_any_case_and_blanks_do_not_count() {
        let head = Head::parse(
            b"GET / HTTP/1.1\r\nhOsT: \t x:1 \r\nConnection: keep-alive\r\nconnection: foo , upGrade\r\n\r\n",
        );
        let Ok(head) = head else { panic!("{head:?}") };
        assert_eq!(head.only("Host"), Ok(Some("x:1")));
        assert!(head.list_has("Connection", "Upgrade") && head.list_has("connection", "keep-alive"));
        assert!(!head.list_has("Connection", "close"));
    }

    /// docs/rfc6455.md rows 1 and 2.
    #[test]
    fn a_request_of_http_1_1_has_just_one_host() {
        let answer = |head: &'static str| Head::parse(head.as_bytes()).map(|head| head.is_http_1_1());
        assert_eq!(answer("GET / HTTP/1.1\r\n\r\n"), Err(HeadError::HostMissing));
        assert_eq!(answer("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"), Err(HeadError::DuplicateHeader));
        assert_eq!(answer("GET / HTTP/1.0\r\n\r\n"), Ok(false));
        assert_eq!(answer("GET / HTTP/2.0\r\nHost: a\r\n\r\n"), Err(HeadError::Version));
        assert_eq!(answer("GET /\r\n\r\n"), Err(HeadError::Malformed));
    }

    #[test]
    fn an_absolute_target_names_the_host_whatever_the_header_says() {
        let parts = |target: &str| {
            let head = format!("GET {target} HTTP/1.1\r\nHost: header:1\r\n\r\n");
            let parts = |head: Head<'_>| (head.host().map(str::to_owned), head.local_target().to_owned());
            Head::parse(head.as_bytes()).map(parts)
        };
        for (target, host, local) in [
            ("/a?b", "header:1", "/a?b"),
            ("/a://b", "header:1", "/a://b"),
            ("http://x:80/healthz", "x:80", "/healthz"),
            ("HTTP://x", "x", ""),
            ("ws://x?quiet=1", "x", "?quiet=1"),
            ("ftp://x/", "header:1", "ftp://x/"),
        ] {
            assert_eq!(parts(target), Ok((Some(host.into()), local.into())), "{target}");
        }
        assert_eq!(parts("http://user@x/"), Err(HeadError::HostMalformed));
        let bad = Head::parse(b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n").map(|_| ());
        assert_eq!(bad, Err(HeadError::HostMalformed));
    }

    #[test]
    fn a_body_is_announced_by_a_length_above_zero() {
        let has_body = |lines: &str| {
            Head::parse(format!("GET / HTTP/1.1\r\nHost: x\r\n{lines}\r\n").as_bytes()).and_then(|head| head.has_body())
        };
        assert_eq!(has_body(""), Ok(false));
        assert_eq!(has_body("content-length: 0\r\n"), Ok(false));
        assert_eq!(has_body("Content-Length: 10\r\n"), Ok(true));
        for bad in ["-1", "+1", "1,1", "", "0x10"] {
            assert_eq!(has_body(&format!("Content-Length: {bad}\r\n")), Err(HeadError::MalformedBodyLength), "{bad}");
        }
        assert_eq!(has_body("Content-Length: 0\r\nContent-Length: 5\r\n"), Err(HeadError::DuplicateHeader));
        assert_eq!(has_body("Transfer-Encoding: chunked\r\n"), Err(HeadError::MalformedBodyLength));
    }
}
