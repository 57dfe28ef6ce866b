//! The opening handshake (RFC 6455 section 4.2): is this request a proper WebSocket handshake, and the answer to one
//! that is.

use std::fmt;

use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::STANDARD};
use sha1::{Digest as _, Sha1};

use super::refusal::Refusal;
use crate::http::Head;

/// Section 1.3: appended to the client's key before hashing. A server that does not speak WebSocket would not do that,
/// which is all the hash proves.
pub const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The only version there is (section 4.1).
pub const VERSION: &str = "13";

/// Keys are random bytes that some clients encode with stray bits behind the last; the RFC asks for the length only.
const KEY_DECODER: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical),
);

/// Does the request mean to become a WebSocket? Then it is held to every rule of section 4.2.1, and otherwise it is a
/// page view.
///
/// An `Upgrade` to something else (curl asks for `h2c`) is an offer that HTTP lets a server ignore.
#[must_use]
pub fn is_attempt(head: &Head<'_>) -> bool {
    head.list_has("Upgrade", "websocket")
        || head.all("Sec-WebSocket-Key").next().is_some()
        || head.all("Sec-WebSocket-Version").next().is_some()
}

/// A handshake that keeps every rule; what is left of it is the answer it must get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upgrade {
    accept: String,
}

impl Upgrade {
    /// Holds the request to section 4.2.1, in the order of its list.
    ///
    /// # Errors
    /// The [`Refusal`] that names what is missing.
    pub fn from_head(head: &Head<'_>) -> Result<Upgrade, Refusal> {
        if !head.is_http_1_1() {
            return Err(Refusal::UpgradeNeedsHttp11);
        }
        if !head.list_has("Upgrade", "websocket") {
            return Err(Refusal::UpgradeHeaderMissing);
        }
        if !head.list_has("Connection", "upgrade") {
            return Err(Refusal::ConnectionHeaderMissing);
        }
        // A body behind an upgrade is how requests are smuggled past a proxy; `Content-Length: 0` is what websocat 4 says.
        if head.has_body()? {
            return Err(Refusal::UpgradeWithBody);
        }
        // Sections 4.4 and 11.3.5: just one version, and it is 13; the answer names the one we speak.
        match head.only("Sec-WebSocket-Version")? {
            Some(VERSION) => {}
            Some(_) => return Err(Refusal::WebSocketVersion),
            None => return Err(Refusal::VersionHeaderMissing),
        }
        let key = head.only("Sec-WebSocket-Key")?.ok_or(Refusal::KeyHeaderMissing)?;
        decode_key(key).map_err(|_| Refusal::KeyNot16Bytes)?;
        for value in head.all("Sec-WebSocket-Extensions") {
            check_extensions(value)?;
        }
        Ok(Upgrade::with_key(key))
    }

    /// The answer to a key, when all else is in order.
    #[must_use]
    pub fn with_key(key: &str) -> Upgrade {
        Upgrade { accept: accept_key(key) }
    }

    /// The 101 (section 4.2.2, point 5).
    ///
    /// No `Sec-WebSocket-Protocol` and no `Sec-WebSocket-Extensions`: leaving them out is how every offer is declined
    /// (section 4.2.2, points 4 and 6; an empty header would not be valid).
    #[must_use]
    pub fn response(&self) -> Vec<u8> {
        format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {}\r\n\r\n",
            self.accept
        )
        .into_bytes()
    }
}

/// What is wrong with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyError {
    /// It is not base64.
    NotBase64,
    /// It is base64 of another number of bytes than 16. Carries that number.
    Length(usize),
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyError::NotBase64 => f.write_str("it is not base64"),
            KeyError::Length(1) => f.write_str("it is base64 of 1 byte, not of 16"),
            KeyError::Length(count) => write!(f, "it is base64 of {count} bytes, not of 16"),
        }
    }
}

/// Section 4.1, point 7: the 16 random bytes that a key stands for. Nothing is done with them but to be there.
///
/// # Errors
/// [`KeyError`].
pub fn decode_key(key: &str) -> Result<[u8; 16], KeyError> {
    let bytes = KEY_DECODER.decode(key).map_err(|_| KeyError::NotBase64)?;
    bytes.as_slice().try_into().map_err(|_| KeyError::Length(bytes.len()))
}

/// Section 4.2.2, point 5.4: the key as it was sent, not decoded, with the GUID behind it, hashed and encoded.
#[must_use]
pub fn accept_key(key: &str) -> String {
    STANDARD.encode(accept_digest(key))
}

/// The SHA-1 of a key with the GUID behind it.
#[must_use]
pub fn accept_digest(key: &str) -> [u8; 20] {
    Sha1::new().chain_update(key).chain_update(GUID).finalize().into()
}

/// Section 9.1: an offer that does not follow the grammar fails the handshake, even though all offers are declined.
///
/// ```text
/// list = [extension] *("," [extension])      extension = token *(";" token ["=" (token | quoted-string)])
/// ```
///
/// One pass, no backtracking: each byte is looked at once. Other servers used patterns here whose time grew with the
/// square of the header (CVE-2021-32640, CVE-2020-7662).
fn check_extensions(value: &[u8]) -> Result<(), Refusal> {
    let mut rest = value;
    loop {
        // RFC 9110 section 5.6.1.2: a list may have empty elements. One that has only those offers nothing, which proxies
        // send that take offers out.
        while let Some(after) = after_byte(rest, b',') {
            rest = after;
        }
        if skip_blanks(rest).is_empty() {
            return Ok(());
        }
        rest = after_token(rest)?;
        while let Some(after) = after_byte(rest, b';') {
            rest = after_token(after)?;
            if let Some(after) = after_byte(rest, b'=') {
                rest = match after_byte(after, b'"') {
                    Some(quoted) => after_quoted_token(quoted)?,
                    None => after_token(after)?,
                };
            }
        }
        match after_byte(rest, b',') {
            Some(after) => rest = after,
            None if skip_blanks(rest).is_empty() => return Ok(()),
            None => return Err(Refusal::ExtensionsMalformed),
        }
    }
}

fn after_token(bytes: &[u8]) -> Result<&[u8], Refusal> {
    let bytes = skip_blanks(bytes);
    let len = bytes.iter().take_while(|&&byte| is_token_byte(byte)).count();
    if len == 0 { Err(Refusal::ExtensionsMalformed) } else { Ok(&bytes[len..]) }
}

/// Section 9.1: "When using the quoted-string syntax variant, the value after quoted-string unescaping MUST conform to
/// the 'token' ABNF." A token needs no escapes but may be written with them.
fn after_quoted_token(bytes: &[u8]) -> Result<&[u8], Refusal> {
    let mut at = 0;
    let mut characters = 0;
    loop {
        match bytes[at..] {
            [b'"', ..] if characters > 0 => return Ok(&bytes[at + 1..]),
            [b'\\', escaped, ..] if is_token_byte(escaped) => at += 2,
            [byte, ..] if is_token_byte(byte) => at += 1,
            _ => return Err(Refusal::ExtensionsMalformed),
        }
        characters += 1;
    }
}

fn after_byte(bytes: &[u8], wanted: u8) -> Option<&[u8]> {
    match skip_blanks(bytes) {
        [first, rest @ ..] if *first == wanted => Some(rest),
        _ => None,
    }
}

fn skip_blanks(bytes: &[u8]) -> &[u8] {
    let blanks = bytes.iter().take_while(|&&byte| byte == b' ' || byte == b'\t').count();
    &bytes[blanks..]
}

/// RFC 9110 section 5.6.2.
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// docs/rfc6455.md row 10: the RFC's own example, sections 1.3 and 4.2.2.
    #[test]
    fn the_accept_key_of_the_rfc_s_example() {
        assert_eq!(accept_key("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    /// docs/rfc6455.md row 11.
    #[test]
    fn extension_offers_follow_their_grammar_or_fail() {
        let good = [
            "permessage-deflate",
            "permessage-deflate; client_max_window_bits",
            "permessage-deflate;server_max_window_bits=10 , x-other; a=\"b\"; c",
            "foo, bar; baz=2",
            "a; b=\"\\c\\d\"",
            "  a\t;\tb = c ",
            "a,",
            ", a,, b ,",
            "",
            " ",
            "\t",
            ",",
            ", ,",
            ",a",
        ];
        for value in good {
            assert_eq!(check_extensions(value.as_bytes()), Ok(()), "{value}");
        }
        let bad = [
            "a;",
            ";",
            ",;",
            "a,;b",
            "a; =b",
            "a; b=",
            "a; b=\"",
            "a; b=\"\"",
            "a; b=\"c d\"",
            "a b",
            "a; b=c d",
            "a;b=\"c",
            "a;b=\"\\",
            "ä",
        ];
        for value in bad {
            assert_eq!(check_extensions(value.as_bytes()), Err(Refusal::ExtensionsMalformed), "{value}");
        }
    }
}
