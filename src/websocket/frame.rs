//! The frame on the wire (RFC 6455 section 5.2): the header we read, and the whole frames we write.
//!
//! ```text
//!  bit 0   1   2   3   4 - 7     8     9 - 15
//!     FIN RSV1 RSV2 RSV3 opcode  MASK  length     then 2 or 8 bytes of length if it says 126 or 127,
//!                                                 then 4 bytes of masking key if MASK is 1, then the payload
//! ```

use super::violation::Violation;

/// The longest header: 2 bytes, 8 of length, 4 of masking key.
pub const MAX_HEADER_BYTES: usize = 14;

/// The longest payload of a control frame (section 5.5).
pub const MAX_CONTROL_PAYLOAD: u64 = 125;

const FIN: u8 = 0x80;
const RESERVED: u8 = 0x70;
const OPCODE: u8 = 0x0f;
const MASK: u8 = 0x80;
const LENGTH: u8 = 0x7f;

/// What a frame is (section 11.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opcode {
    /// The next piece of a fragmented message.
    Continuation,
    /// The first, or only, piece of a text message.
    Text,
    /// The first, or only, piece of a binary message.
    Binary,
    /// The last frame its sender sends.
    Close,
    /// To be answered with a Pong that carries the same payload.
    Ping,
    /// The answer to a Ping, or a sign of life nobody asked for.
    Pong,
}

impl Opcode {
    /// What it is called (section 11.8).
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Opcode::Continuation => "Continuation",
            Opcode::Text => "Text",
            Opcode::Binary => "Binary",
            Opcode::Close => "Close",
            Opcode::Ping => "Ping",
            Opcode::Pong => "Pong",
        }
    }

    /// The opcode that four bits stand for.
    ///
    /// # Errors
    /// [`Violation::UnknownOpcode`] if they are reserved.
    pub fn from_wire(opcode: u8) -> Result<Opcode, Violation> {
        match opcode {
            0x0 => Ok(Opcode::Continuation),
            0x1 => Ok(Opcode::Text),
            0x2 => Ok(Opcode::Binary),
            0x8 => Ok(Opcode::Close),
            0x9 => Ok(Opcode::Ping),
            0xa => Ok(Opcode::Pong),
            _ => Err(Violation::UnknownOpcode(opcode)),
        }
    }

    fn to_wire(self) -> u8 {
        match self {
            Opcode::Continuation => 0x0,
            Opcode::Text => 0x1,
            Opcode::Binary => 0x2,
            Opcode::Close => 0x8,
            Opcode::Ping => 0x9,
            Opcode::Pong => 0xa,
        }
    }

    /// Close, Ping and Pong: they may stand between the fragments of a message.
    #[must_use]
    pub fn is_control(self) -> bool {
        matches!(self, Opcode::Close | Opcode::Ping | Opcode::Pong)
    }
}

/// Whose frame it is: a client masks every one of its frames, a server none (section 5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sender {
    /// Its frames are masked.
    Client,
    /// Its frames are not.
    Server,
}

impl Sender {
    /// Who sends a frame that begins with these bytes, if it is sent rightly; `None` before the second byte.
    #[must_use]
    pub fn of(frame: &[u8]) -> Option<Sender> {
        frame.get(1).map(|second| if second & MASK == 0 { Sender::Server } else { Sender::Client })
    }
}

/// The header of a frame, checked as far as one frame can be checked by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    /// This frame ends its message.
    pub fin: bool,
    /// What the frame is.
    pub opcode: Opcode,
    /// Bytes of payload that follow: a claim, not yet a fact.
    pub payload_len: u64,
    /// XORed over the payload by the client. Zeros for a frame that is not masked: they change nothing.
    pub masking_key: [u8; 4],
}

impl FrameHeader {
    /// Reads the header of a client's frame from the beginning of `bytes`; gives it with its own length, or `None` while bytes are missing.
    ///
    /// Faults are found at the earliest byte that shows them, so that a peer cannot hold a connection open with a frame
    /// that can no longer become valid.
    ///
    /// # Errors
    /// The [`Violation`] that the bytes so far prove.
    pub fn parse(bytes: &[u8]) -> Result<Option<(FrameHeader, usize)>, Violation> {
        FrameHeader::parse_from(Sender::Client, bytes)
    }

    /// As [`FrameHeader::parse`], also for frames of a server, such as our own.
    ///
    /// # Errors
    /// The [`Violation`] that the bytes so far prove.
    #[inline]
    pub fn parse_from(sender: Sender, bytes: &[u8]) -> Result<Option<(FrameHeader, usize)>, Violation> {
        let Some(&first) = bytes.first() else { return Ok(None) };
        // 5.2: reserved bits are 0 unless an extension was negotiated, and we negotiate none.
        if first & RESERVED != 0 {
            return Err(Violation::ReservedBits);
        }
        let opcode = Opcode::from_wire(first & OPCODE)?;
        let fin = first & FIN != 0;
        // 5.5: control frames must not be fragmented.
        if opcode.is_control() && !fin {
            return Err(Violation::ControlFragmented);
        }

        let Some(&second) = bytes.get(1) else { return Ok(None) };
        // 5.1: a server closes the connection upon a frame that is not masked.
        let is_masked = second & MASK != 0;
        if sender == Sender::Client && !is_masked {
            return Err(Violation::Unmasked);
        }
        let short_len = second & LENGTH;
        // 5.5: 126 and 127 announce longer lengths, so they are too long as well.
        if opcode.is_control() && u64::from(short_len) > MAX_CONTROL_PAYLOAD {
            return Err(Violation::ControlTooLong);
        }

        let Some((payload_len, key_at)) = payload_len_from(bytes, short_len)? else { return Ok(None) };
        if !is_masked {
            return Ok(Some((FrameHeader { fin, opcode, payload_len, masking_key: [0; 4] }, key_at)));
        }
        let Some(&masking_key) = bytes.get(key_at..).and_then(|slice| slice.first_chunk()) else { return Ok(None) };
        Ok(Some((FrameHeader { fin, opcode, payload_len, masking_key }, key_at + 4)))
    }
}

/// The payload length of the header that begins with these bytes, and where in it the length ends. 5.2: a length of 126 or
/// 127 says that the real one follows, in 2 or 8 bytes, and the shortest of the three ways must be taken.
#[inline]
fn payload_len_from(bytes: &[u8], short_len: u8) -> Result<Option<(u64, usize)>, Violation> {
    let (len, end, least) = match short_len {
        126 => {
            let Some(extended) = bytes.get(2..4).and_then(|slice| slice.first_chunk()) else { return Ok(None) };
            (u64::from(u16::from_be_bytes(*extended)), 4, 126)
        }
        127 => {
            // At fault whatever follows, so it is said before the rest has come.
            if bytes.get(2).is_some_and(|top| top & 0x80 != 0) {
                return Err(Violation::LengthTopBit);
            }
            let Some(extended) = bytes.get(2..10).and_then(|slice| slice.first_chunk()) else { return Ok(None) };
            (u64::from_be_bytes(*extended), 10, u64::from(u16::MAX) + 1)
        }
        len => (u64::from(len), 2, 0),
    };
    if len < least { Err(Violation::LengthNotMinimal) } else { Ok(Some((len, end))) }
}

/// Appends a whole frame of ours to `out`: final, and never masked (section 5.1).
pub fn append_frame(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8]) {
    append_header(out, opcode, payload.len());
    out.extend_from_slice(payload);
}

/// Appends a text frame whose payload is written in place by `write_payload`, so that an event goes from its fields to
/// the wire without a buffer in between. Gives the payload.
///
/// The header's length is known only afterwards. Four bytes are left for it, right for payloads of 126 to 65,535 bytes,
/// which is what events are; shorter and longer ones are moved by 2 or 6 bytes.
pub fn append_text_with(out: &mut Vec<u8>, write_payload: impl FnOnce(&mut Vec<u8>)) -> &[u8] {
    const LEFT_FREE: usize = 4;
    let start = out.len();
    out.extend_from_slice(&[0; LEFT_FREE]);
    write_payload(out);
    let payload_len = out.len() - start - LEFT_FREE;
    let (header, header_len) = header_bytes(Opcode::Text, payload_len);
    let payload = start + LEFT_FREE..out.len();
    if header_len > LEFT_FREE {
        out.resize(out.len() + header_len - LEFT_FREE, 0);
    }
    if header_len != LEFT_FREE {
        out.copy_within(payload, start + header_len);
        out.truncate(start + header_len + payload_len);
    }
    out[start..start + header_len].copy_from_slice(&header[..header_len]);
    &out[start + header_len..]
}

/// The length of the header that begins with these bytes, also of one that is cut or at fault; `None` before the second
/// byte, which says it.
#[must_use]
pub fn header_len(frame: &[u8]) -> Option<usize> {
    let second = frame.get(1)?;
    let key_at = match second & LENGTH {
        126 => 4,
        127 => 10,
        _ => 2,
    };
    Some(if second & MASK == 0 { key_at } else { key_at + 4 })
}

/// The first of the frames in a run of whole frames of ours, and what is behind it; `None` at the end of the run.
#[must_use]
pub fn split_first_of_ours(frames: &[u8]) -> Option<(&[u8], &[u8])> {
    let (header_len, payload_len) = lengths_of_ours(frames)?;
    frames.split_at_checked(header_len + payload_len)
}

/// The end of the last frame that has begun before `offset`, in a run of whole frames of ours.
///
/// Used when a queue is cut short: what the socket has begun to send must be finished, or the peer reads the next header
/// from the middle of a payload.
#[must_use]
pub fn boundary_at_or_after(frames: &[u8], offset: usize) -> usize {
    boundaries(frames).find(|&boundary| boundary >= offset).unwrap_or(frames.len())
}

/// The beginning of the frame that `offset` lies in, in a run of whole frames of ours.
#[must_use]
pub fn boundary_at_or_before(frames: &[u8], offset: usize) -> usize {
    boundaries(frames).take_while(|&boundary| boundary <= offset).last().unwrap_or(0)
}

/// Where frames of ours begin and end: never cut, never masked.
fn boundaries(frames: &[u8]) -> impl Iterator<Item = usize> {
    std::iter::successors(Some(0), |&start: &usize| {
        let (header_len, payload_len) = lengths_of_ours(frames.get(start..)?)?;
        Some(start + header_len + payload_len)
    })
}

/// Of the frame of ours that `bytes` begin with: the lengths of its header and of its payload.
fn lengths_of_ours(bytes: &[u8]) -> Option<(usize, usize)> {
    // `get` keeps even a mistake here harmless.
    Some(match bytes.get(1)? & LENGTH {
        126 => (4, big_endian(bytes.get(2..4)?)),
        127 => (10, big_endian(bytes.get(2..10)?)),
        len => (2, usize::from(len)),
    })
}

fn append_header(out: &mut Vec<u8>, opcode: Opcode, payload_len: usize) {
    let (header, len) = header_bytes(opcode, payload_len);
    out.extend_from_slice(&header[..len]);
}

/// Section 5.2: 7, 16 or 64 bits of length, the fewest that hold it.
fn header_bytes(opcode: Opcode, payload_len: usize) -> ([u8; 10], usize) {
    let mut header = [0; 10];
    header[0] = FIN | opcode.to_wire();
    match payload_len {
        0..=125 => {
            header[1] = payload_len as u8;
            (header, 2)
        }
        126..=0xffff => {
            header[1] = 126;
            header[2..4].copy_from_slice(&(payload_len as u16).to_be_bytes());
            (header, 4)
        }
        _ => {
            header[1] = 127;
            header[2..10].copy_from_slice(&(payload_len as u64).to_be_bytes());
            (header, 10)
        }
    }
}

fn big_endian(bytes: &[u8]) -> usize {
    bytes.iter().fold(0, |number, &byte| (number << 8) | usize::from(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 4] = [1, 2, 3, 4];

    fn masked(first: u8, length: &[u8]) -> Vec<u8> {
        let mut bytes = vec![first];
        bytes.extend_from_slice(length);
        bytes.extend_from_slice(&KEY);
        bytes
    }

    fn header(fin: bool, opcode: Opcode, payload_len: u64) -> FrameHeader {
        FrameHeader { fin, opcode, payload_len, masking_key: KEY }
    }

    /// Each row: the bytes, and what they are once enough of them are there. Read whole, byte by byte, and with more
    /// behind.
    fn check_three_ways(bytes: &[u8], expected: Result<(FrameHeader, usize), Violation>) {
        let with_more: Vec<u8> = bytes.iter().copied().chain([0xaa; 20]).collect();
        assert_eq!(FrameHeader::parse(&with_more), expected.map(Some), "with more behind: {bytes:02x?}");
        let first_answer = (0..=bytes.len()).find_map(|len| match FrameHeader::parse(&bytes[..len]) {
            Ok(None) => None,
            answer => Some(answer),
        });
        assert_eq!(first_answer, Some(expected.map(Some)), "byte by byte: {bytes:02x?}");
        if let Ok((_, len)) = expected {
            assert_eq!(len, bytes.len(), "the row is just one header");
            assert_eq!(FrameHeader::parse(bytes), expected.map(Some), "whole: {bytes:02x?}");
        }
    }

    /// docs/rfc6455.md rows 16 and 17, and the advisories about lengths: each boundary, one below, one above.
    #[test]
    fn lengths_at_every_boundary_are_read_as_written() {
        let cases: [(&[u8], u64); 10] = [
            (&[0x80], 0),
            (&[0x80 | 125], 125),
            (&[0x80 | 126, 0, 126], 126),
            (&[0x80 | 126, 0xff, 0xff], 65_535),
            (&[0x80 | 127, 0, 0, 0, 0, 0, 1, 0, 0], 65_536),
            (&[0x80 | 127, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff], (1 << 31) - 1),
            (&[0x80 | 127, 0, 0, 0, 0, 0x80, 0, 0, 0], 1 << 31),
            (&[0x80 | 127, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff], (1 << 32) - 1),
            (&[0x80 | 127, 0, 0, 0, 1, 0, 0, 0, 0], 1 << 32),
            (&[0x80 | 127, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], (1 << 63) - 1),
        ];
        for (length, expected) in cases {
            let bytes = masked(0x82, length);
            check_three_ways(&bytes, Ok((header(true, Opcode::Binary, expected), bytes.len())));
        }
    }

    #[test]
    fn a_length_in_more_bytes_than_needed_is_refused() {
        check_three_ways(&masked(0x81, &[0x80 | 126, 0, 125]), Err(Violation::LengthNotMinimal));
        check_three_ways(&masked(0x81, &[0x80 | 126, 0, 0]), Err(Violation::LengthNotMinimal));
        check_three_ways(&masked(0x81, &[0x80 | 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff]), Err(Violation::LengthNotMinimal));
    }

    #[test]
    fn a_length_with_its_top_bit_set_is_refused_from_its_first_byte() {
        check_three_ways(&[0x82, 0x80 | 127, 0x80], Err(Violation::LengthTopBit));
        check_three_ways(&[0x82, 0x80 | 127, 0xff], Err(Violation::LengthTopBit));
    }

    /// docs/rfc6455.md row 15: the first byte is enough.
    #[test]
    fn reserved_opcodes_are_refused_from_the_first_byte() {
        for opcode in (3..8).chain(11..16) {
            check_three_ways(&[0x80 | opcode], Err(Violation::UnknownOpcode(opcode)));
            check_three_ways(&[opcode], Err(Violation::UnknownOpcode(opcode)));
        }
    }

    /// docs/rfc6455.md row 14: on data, continuation and control frames alike.
    #[test]
    fn each_reserved_bit_is_refused_on_every_kind_of_frame() {
        for reserved in [0x40, 0x20, 0x10, 0x70] {
            for opcode in [0x0, 0x1, 0x2, 0x8, 0x9, 0xa] {
                check_three_ways(&[0x80 | reserved | opcode], Err(Violation::ReservedBits));
            }
        }
    }

    /// docs/rfc6455.md row 13.
    #[test]
    fn an_unmasked_frame_is_refused_from_its_second_byte() {
        check_three_ways(&[0x81, 0x05], Err(Violation::Unmasked));
        check_three_ways(&[0x89, 0x00], Err(Violation::Unmasked));
    }

    /// docs/rfc6455.md row 17.
    #[test]
    fn a_control_frame_is_short_and_whole() {
        for opcode in [0x8, 0x9, 0xa] {
            check_three_ways(&[opcode], Err(Violation::ControlFragmented));
            check_three_ways(&[0x80 | opcode, 0x80 | 126], Err(Violation::ControlTooLong));
            check_three_ways(&[0x80 | opcode, 0x80 | 127], Err(Violation::ControlTooLong));
        }
        let ping = masked(0x89, &[0x80 | 125]);
        check_three_ways(&ping, Ok((header(true, Opcode::Ping, 125), 6)));
    }

    #[test]
    fn a_frame_written_in_place_equals_the_frame_of_its_payload() {
        for len in [0, 1, 125, 126, 127, 65_535, 65_536, 70_000] {
            let payload = vec![b'x'; len];
            let mut expected = b"before".to_vec();
            append_frame(&mut expected, Opcode::Text, &payload);
            let mut in_place = b"before".to_vec();
            assert!(append_text_with(&mut in_place, |out| out.extend_from_slice(&payload)) == payload);
            assert!(in_place == expected, "payload of {len} bytes");
        }
    }

    /// docs/rfc6455.md row 13, the other half: a server must not mask. And lengths in the fewest bytes.
    #[test]
    fn frames_of_ours_are_final_unmasked_and_minimal() {
        for (len, start) in [
            (0usize, vec![0x81, 0]),
            (125, vec![0x81, 125]),
            (126, vec![0x81, 126, 0, 126]),
            (65_535, vec![0x81, 126, 0xff, 0xff]),
            (65_536, vec![0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let mut out = Vec::new();
            append_frame(&mut out, Opcode::Text, &vec![b'x'; len]);
            assert_eq!(&out[..start.len()], &start[..]);
            assert_eq!(out.len(), start.len() + len);
        }
    }

    #[test]
    fn a_cut_in_a_run_of_frames_falls_behind_the_frame_that_was_begun() {
        let mut frames = Vec::new();
        let mut ends = vec![0];
        for len in [0, 1, 125, 126, 65_536, 3] {
            append_frame(&mut frames, Opcode::Text, &vec![b'x'; len]);
            ends.push(frames.len());
        }
        for offset in 0..=frames.len() {
            let after = ends.iter().copied().find(|&end| end >= offset);
            assert_eq!(Some(boundary_at_or_after(&frames, offset)), after, "offset {offset}");
            let before = ends.iter().copied().rfind(|&end| end <= offset);
            assert_eq!(Some(boundary_at_or_before(&frames, offset)), before, "offset {offset}");
        }
    }
}
