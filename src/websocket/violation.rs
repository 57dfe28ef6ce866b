//! Every way in which a peer can break the framing rules: one variant for one MUST, one function from variant to
//! close code.

use std::fmt;

use super::close::CloseCode;

/// A rule of RFC 6455 that the peer broke, or a limit of ours that it passed, after the handshake.
///
/// The connection fails (section 7.1.7): it is sent a Close with [`Violation::close_code`], and nothing it sent after
/// the fault is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Violation {
    /// A client must mask every frame (section 5.1).
    Unmasked,
    /// A reserved bit is set and no extension was agreed on that gives it a meaning (section 5.2).
    ReservedBits,
    /// Opcodes 3 to 7 and 11 to 15 are reserved (section 5.2). Carries the opcode.
    UnknownOpcode(u8),
    /// The payload of a control frame is at most 125 bytes (section 5.5).
    ControlTooLong,
    /// A control frame must not be fragmented (section 5.5).
    ControlFragmented,
    /// A length must be written in the fewest bytes that hold it (section 5.2).
    LengthNotMinimal,
    /// The top bit of a 64-bit length must be 0 (section 5.2).
    LengthTopBit,
    /// A continuation frame came while no message was unfinished (section 5.4).
    ContinuationWithoutStart,
    /// A new data frame came while a message was unfinished (section 5.4).
    MessageInsideMessage,
    /// The body of a Close is empty or starts with a code of two bytes (section 5.5.1).
    CloseBodyTooShort,
    /// This close code must not be on the wire (section 7.4). Carries the code.
    CloseCodeInvalid(u16),
    /// The reason of a Close must be UTF-8 (section 5.5.1).
    CloseReasonNotUtf8,
    /// A text message must be UTF-8 (section 8.1).
    TextNotUtf8,
    /// The message is longer than `--max-message` (section 10.4). Known from the header, before a byte is kept.
    MessageTooBig,
    /// The message comes in more pieces than `--max-fragments` (section 10.4).
    TooManyFragments,
}

impl Violation {
    /// What the peer is told (section 7.4.1).
    #[must_use]
    pub fn close_code(self) -> CloseCode {
        match self {
            Violation::Unmasked
            | Violation::ReservedBits
            | Violation::UnknownOpcode(_)
            | Violation::ControlTooLong
            | Violation::ControlFragmented
            | Violation::LengthNotMinimal
            | Violation::LengthTopBit
            | Violation::ContinuationWithoutStart
            | Violation::MessageInsideMessage
            | Violation::CloseBodyTooShort
            | Violation::CloseCodeInvalid(_) => CloseCode::PROTOCOL_ERROR,
            Violation::CloseReasonNotUtf8 | Violation::TextNotUtf8 => CloseCode::INVALID_PAYLOAD,
            Violation::MessageTooBig | Violation::TooManyFragments => CloseCode::MESSAGE_TOO_BIG,
        }
    }

    /// The section of RFC 6455 that has the rule.
    #[must_use]
    pub fn section(self) -> &'static str {
        match self {
            Violation::Unmasked => "5.1",
            Violation::ReservedBits
            | Violation::UnknownOpcode(_)
            | Violation::LengthNotMinimal
            | Violation::LengthTopBit => "5.2",
            Violation::ContinuationWithoutStart | Violation::MessageInsideMessage => "5.4",
            Violation::ControlTooLong | Violation::ControlFragmented => "5.5",
            Violation::CloseBodyTooShort | Violation::CloseReasonNotUtf8 => "5.5.1",
            Violation::CloseCodeInvalid(_) => "7.4",
            Violation::TextNotUtf8 => "8.1",
            Violation::MessageTooBig | Violation::TooManyFragments => "10.4",
        }
    }
}

/// The words go into the Close frame's reason and into the log; short enough for the 123 bytes a reason may have.
impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Violation::Unmasked => f.write_str("a client must mask its frames"),
            Violation::ReservedBits => f.write_str("reserved bits are set, but no extension was agreed on"),
            Violation::UnknownOpcode(opcode) => write!(f, "opcode {opcode} is reserved"),
            Violation::ControlTooLong => f.write_str("a control frame carries at most 125 bytes"),
            Violation::ControlFragmented => f.write_str("a control frame must not be fragmented"),
            Violation::LengthNotMinimal => f.write_str("the length is not written in the fewest bytes"),
            Violation::LengthTopBit => f.write_str("the top bit of the length is set"),
            Violation::ContinuationWithoutStart => f.write_str("a continuation frame, but no message was begun"),
            Violation::MessageInsideMessage => f.write_str("a new message, but the one before is unfinished"),
            Violation::CloseBodyTooShort => f.write_str("a close body of one byte"),
            Violation::CloseCodeInvalid(code) => write!(f, "close code {code} must not be sent"),
            Violation::CloseReasonNotUtf8 => f.write_str("the close reason is not UTF-8"),
            Violation::TextNotUtf8 => f.write_str("a text message is not UTF-8"),
            Violation::MessageTooBig => f.write_str("the message is too big"),
            Violation::TooManyFragments => f.write_str("the message has too many fragments"),
        }
    }
}
