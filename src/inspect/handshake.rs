//! `roomd handshake`: how the answer to a key is made, step by step.

use std::fmt::{self, Write as _};

use super::dump::hex;
use super::{Shown, Verdict};
use crate::door::Refusal;
use crate::door::handshake::{self, GUID, Upgrade};
use crate::limits::fixed::SHOWN_KEY_CHARACTERS;

/// The key of the RFC's own example (sections 1.3 and 4.2.2).
const EXAMPLE_KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// How the answer to a key is made (RFC 6455 section 4.2.2, point 5.4).
pub(super) fn handshake(key: Option<&str>) -> Result<Shown, fmt::Error> {
    let mut out = String::new();
    let (key, whence) = match key {
        Some(key) => (key, ""),
        None => (EXAMPLE_KEY, "  (the RFC's example, section 1.3)"),
    };
    let shown: String =
        key.chars().take(SHOWN_KEY_CHARACTERS).flat_map(char::escape_default).take(SHOWN_KEY_CHARACTERS).collect();
    let more = if key.chars().nth(SHOWN_KEY_CHARACTERS).is_some() { "..." } else { "" };
    writeln!(out, "key           {shown}{more}{whence}")?;
    match handshake::decode_key(key) {
        Ok(nonce) => {
            writeln!(out, "16 bytes      {}", hex(&nonce))?;
        }
        Err(fault) => {
            let refusal = Refusal::KeyNot16Bytes;
            writeln!(out, "wrong         {fault} (RFC 6455 section 4.1, point 7)")?;
            writeln!(out, "answer        {}: {refusal}", refusal.status().line())?;
            return Ok(Shown { text: out, verdict: Verdict::Faulty });
        }
    }
    writeln!(out, "key + GUID    {key}{GUID}")?;
    writeln!(out, "SHA-1         {}", hex(&handshake::accept_digest(key)))?;
    writeln!(out, "in base64     {}  (Sec-WebSocket-Accept)", handshake::accept_key(key))?;
    out.push('\n');
    out.push_str(&String::from_utf8_lossy(&Upgrade::with_key(key).response()).replace("\r\n", "\n"));
    Ok(Shown { text: out, verdict: Verdict::Fine })
}
