//! Close codes (RFC 6455 section 7.4) and the body of a Close frame (section 5.5.1).

use std::fmt;

use super::violation::Violation;

/// The most bytes of reason a Close frame can hold: a control payload of 125 less the two bytes of the code.
pub const MAX_REASON_BYTES: usize = 123;

/// A close code that may stand in a Close frame.
///
/// 1005, 1006 and 1015 exist only for a program's own books and must never be sent (section 7.4.1), 1004 is
/// reserved: none of them can be made into this type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CloseCode(u16);

impl CloseCode {
    /// The purpose is fulfilled.
    pub const NORMAL: CloseCode = CloseCode(1000);
    /// The endpoint goes away: here, the daemon is shutting down.
    pub const GOING_AWAY: CloseCode = CloseCode(1001);
    /// The peer broke the protocol.
    pub const PROTOCOL_ERROR: CloseCode = CloseCode(1002);
    /// The payload is not what its opcode says: text that is not UTF-8.
    pub const INVALID_PAYLOAD: CloseCode = CloseCode(1007);
    /// A house rule was broken: too slow a reader, too long a silence.
    pub const POLICY: CloseCode = CloseCode(1008);
    /// The message is too big to be handled.
    pub const MESSAGE_TOO_BIG: CloseCode = CloseCode(1009);
    /// The daemon has no room for it now.
    pub const TRY_AGAIN_LATER: CloseCode = CloseCode(1013);

    /// Takes a code from the wire.
    ///
    /// Valid are 1000 to 1003 and 1007 to 1011 (section 7.4.1), 1012 to 1014 (registered with IANA since), 3000 to
    /// 3999 (registered by libraries) and 4000 to 4999 (private use).
    ///
    /// # Errors
    /// [`Violation::CloseCodeInvalid`] for every other number.
    pub fn from_wire(code: u16) -> Result<CloseCode, Violation> {
        match code {
            1000..=1003 | 1007..=1014 | 3000..=4999 => Ok(CloseCode(code)),
            _ => Err(Violation::CloseCodeInvalid(code)),
        }
    }

    /// The number on the wire.
    #[must_use]
    pub fn number(self) -> u16 {
        self.0
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a close code means, in a few words: also those that must never be on the wire (section 7.4).
#[must_use]
pub fn meaning(code: u16) -> &'static str {
    match code {
        1000 => "normal closure",
        1001 => "going away",
        1002 => "protocol error",
        1003 => "a kind of data that is not accepted",
        1004 => "reserved",
        1005 => "in books only: there was no code",
        1006 => "in books only: there was no Close",
        1007 => "the payload is not what its type says",
        1008 => "a house rule was broken",
        1009 => "the message is too big",
        1010 => "the client needs an extension that it was not given",
        1011 => "the server has failed",
        1012 => "the service restarts",
        1013 => "try again later",
        1014 => "bad gateway",
        1015 => "in books only: the TLS handshake has failed",
        0..=999 => "not used",
        1016..=2999 => "reserved for WebSocket itself",
        3000..=3999 => "registered by a library",
        4000..=4999 => "private use",
        5000.. => "not used",
    }
}

/// What a Close frame said: nothing at all, or a code with a reason in words, which may be empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Close<'a> {
    /// `None` when the body is empty. A program may note this as 1005; the wire never carries it.
    pub code: Option<CloseCode>,
    /// Words for people who debug; what the peer sent, so it is escaped before it is logged.
    pub reason: &'a str,
}

impl<'a> Close<'a> {
    /// Reads the payload of a Close frame.
    ///
    /// # Errors
    /// [`Violation::CloseBodyTooShort`], [`Violation::CloseCodeInvalid`] or [`Violation::CloseReasonNotUtf8`].
    pub fn parse(payload: &'a [u8]) -> Result<Close<'a>, Violation> {
        match payload {
            [] => Ok(Close { code: None, reason: "" }),
            [_] => Err(Violation::CloseBodyTooShort),
            [high, low, reason @ ..] => Ok(Close {
                code: Some(CloseCode::from_wire(u16::from_be_bytes([*high, *low]))?),
                reason: std::str::from_utf8(reason).map_err(|_| Violation::CloseReasonNotUtf8)?,
            }),
        }
    }
}

/// The payload of a Close frame with `code` and as much of `reason` as fits, cut between characters.
#[must_use]
pub fn close_payload(code: CloseCode, reason: &str) -> Vec<u8> {
    let mut payload = code.number().to_be_bytes().to_vec();
    payload.extend_from_slice(&reason.as_bytes()[..reason.floor_char_boundary(MAX_REASON_BYTES)]);
    payload
}

#[cfg(test)]
mod tests {
    use super::*;

    /// docs/rfc6455.md row 22: the whole space, so that no range is forgotten.
    #[test]
    fn of_all_65536_close_codes_just_the_registered_ones_are_taken() {
        for code in 0..=u16::MAX {
            let valid =
                matches!(code, 1000 | 1001 | 1002 | 1003 | 1007 | 1008 | 1009 | 1010 | 1011 | 1012 | 1013 | 1014)
                    || (3000..5000).contains(&code);
            assert_eq!(CloseCode::from_wire(code).is_ok(), valid, "close code {code}");
        }
    }

    #[test]
    fn a_close_body_is_empty_or_has_a_valid_code_and_a_utf8_reason() {
        let body = |bytes: &'static [u8]| Close::parse(bytes);
        assert_eq!(body(b""), Ok(Close { code: None, reason: "" }));
        assert_eq!(body(b"\x03"), Err(Violation::CloseBodyTooShort));
        assert_eq!(body(b"\x03\xe8"), Ok(Close { code: Some(CloseCode::NORMAL), reason: "" }));
        assert_eq!(body("\x03\u{0}".as_bytes()), Err(Violation::CloseCodeInvalid(0x300)));
        assert_eq!(body(b"\x03\xedx"), Err(Violation::CloseCodeInvalid(1005)));
        assert_eq!(body(b"\x03\xe8bye"), Ok(Close { code: Some(CloseCode::NORMAL), reason: "bye" }));
        assert_eq!(body(b"\x03\xe8\xff"), Err(Violation::CloseReasonNotUtf8));
    }

    #[test]
    fn a_long_reason_is_cut_between_characters_so_that_the_frame_stays_a_control_frame() {
        let payload = close_payload(CloseCode::POLICY, &"慢".repeat(100));
        assert!(payload.len() <= 125);
        assert_eq!(Close::parse(&payload).map(|close| close.reason.chars().count()), Ok(41));
    }
}
