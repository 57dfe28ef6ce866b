//! A frame drawn bit by bit, for people: the diagram of RFC 6455 section 5.2 with the bits that are really there, the
//! meaning of each field, and the payload before and after unmasking.
//!
//! What a frame is and where it ends says [`FrameHeader`]; here it is only drawn, also when it is cut or at fault. No
//! line is wider than [`MAX_COLUMNS`](super::dump::MAX_COLUMNS), and none holds a control character, whatever the frame holds.

use std::fmt;

use super::dump::{ROW_BYTES, bytes, hex, text_rows, write_wrapped};
use crate::websocket::close::{Close, meaning};
use crate::websocket::frame::{FrameHeader, Opcode, Sender, header_len};
use crate::websocket::mask;
use crate::websocket::violation::Violation;

/// Bits in a row of the diagram, as in the RFC.
const ROW_BITS: usize = 32;

/// The columns before the diagram: four bytes in hex.
const MARGIN: usize = 12;

/// The frame at the front of some bytes.
#[derive(Debug, Clone)]
pub struct Layout<'a> {
    frame: &'a [u8],
    header: Result<Option<(FrameHeader, usize)>, Violation>,
    shown_payload: usize,
}

/// What has not come of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// At least so many bytes: the header is cut.
    OfHeader(usize),
    /// Just so many bytes.
    OfPayload(u64),
}

impl<'a> Layout<'a> {
    /// Takes the frame off the front of `bytes`: up to its end, or as far as it is there. Of a frame whose header is at
    /// fault only the header is taken, since it cannot be known where it ends.
    #[must_use]
    pub fn of(bytes: &'a [u8]) -> Layout<'a> {
        let header = FrameHeader::parse_from(Sender::of(bytes).unwrap_or(Sender::Client), bytes);
        let len = match header {
            Ok(Some((header, header_len))) => {
                usize::try_from(header.payload_len).unwrap_or(usize::MAX).saturating_add(header_len)
            }
            Ok(None) | Err(_) => header_len(bytes).unwrap_or(1),
        };
        Layout { frame: &bytes[..len.min(bytes.len())], header, shown_payload: usize::MAX }
    }

    /// Shows at most so many bytes of payload, and how many more there are.
    #[must_use]
    pub fn with_payload_up_to(self, shown_payload: usize) -> Layout<'a> {
        Layout { shown_payload, ..self }
    }

    /// The bytes of it that are there.
    #[must_use]
    pub fn frame(&self) -> &'a [u8] {
        self.frame
    }

    /// Whose frame it is; `None` before its second byte.
    #[must_use]
    pub fn sender(&self) -> Option<Sender> {
        Sender::of(self.frame)
    }

    /// The header, when it is whole and keeps the rules.
    #[must_use]
    pub fn header(&self) -> Option<FrameHeader> {
        self.header.ok().flatten().map(|(header, _)| header)
    }

    /// The rule that this frame breaks by itself, if it does. Its place among others, and whether a text is UTF-8, is for
    /// a [`Decoder`](crate::websocket::Decoder) to say.
    #[must_use]
    pub fn fault(&self) -> Option<Violation> {
        match self.header {
            Err(violation) => Some(violation),
            Ok(Some((FrameHeader { opcode: Opcode::Close, .. }, _))) if self.missing().is_none() => {
                Close::parse(&self.unmasked()).err()
            }
            Ok(_) => None,
        }
    }

    /// What has not come yet. Of a frame at fault nothing is waited for.
    #[must_use]
    pub fn missing(&self) -> Option<Missing> {
        match self.header {
            Err(_) => None,
            Ok(None) => Some(Missing::OfHeader(header_len(self.frame).unwrap_or(2) - self.frame.len())),
            Ok(Some((header, _))) => {
                let missing = header.payload_len - self.payload().len() as u64;
                (missing > 0).then_some(Missing::OfPayload(missing))
            }
        }
    }

    /// The payload as it was sent, as far as it is there.
    fn payload(&self) -> &'a [u8] {
        match self.header {
            Ok(Some((_, header_len))) => self.frame.get(header_len..).unwrap_or_default(),
            _ => &[],
        }
    }

    fn unmasked(&self) -> Vec<u8> {
        let mut payload = self.payload().to_vec();
        if let Some(header) = self.header() {
            mask::apply(&mut payload, header.masking_key, 0);
        }
        payload
    }

    /// The fields in their order: how many bits each has, and its names, the longest first.
    fn fields(&self) -> Vec<Field> {
        let field = |names, bits| Field { names, bits };
        let mut fields = vec![
            field(&["FIN"], 1),
            field(&["RSV1"], 1),
            field(&["RSV2"], 1),
            field(&["RSV3"], 1),
            field(&["opcode"], 4),
        ];
        let Some(header_len) = header_len(self.frame) else { return fields };
        fields.push(field(&["MASK"], 1));
        fields.push(field(&["payload len"], 7));
        let key_bytes = if self.sender() == Some(Sender::Client) { 4 } else { 0 };
        let extended_bytes = header_len - 2 - key_bytes;
        if extended_bytes > 0 {
            fields.push(field(&["extended payload length", "length"], 8 * extended_bytes));
        }
        if key_bytes > 0 {
            fields.push(field(&["masking key"], 8 * key_bytes));
        }
        fields.push(field(&["payload"], usize::MAX));
        fields
    }

    fn draw_bits(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The header, and as much of the payload as fills its last row; or one row, if the header has filled it.
        let header_bytes = header_len(self.frame).unwrap_or(1).min(self.frame.len());
        let drawn = (header_bytes + 1).next_multiple_of(ROW_BITS / 8).min(self.frame.len());
        let drawn = if self.payload().is_empty() || self.shown_payload == 0 { header_bytes } else { drawn };

        let mut fields = self.fields().into_iter();
        let mut open: Option<(Field, bool)> = None;
        let mut border = String::new();
        for row in self.frame[..drawn].chunks(ROW_BITS / 8) {
            let mut cells = Vec::new();
            let mut left = row.len() * 8;
            while left > 0 {
                let Some((field, is_continued)) = open.take().or_else(|| fields.next().map(|field| (field, false)))
                else {
                    break;
                };
                let bits = field.bits.min(left);
                cells.push(Cell { names: field.names, bits, is_continued });
                left -= bits;
                if field.bits > bits {
                    open = Some((Field { bits: field.bits - bits, ..field }, true));
                }
            }
            border = cells.iter().fold("+".to_owned(), |line, cell| line + &"-".repeat(cell.columns()) + "+");
            writeln!(f, "{:MARGIN$}{border}", "")?;
            // Names of single bits are written downwards.
            let label_rows = if cells.iter().any(|cell| cell.bits == 1) { 4 } else { 1 };
            for nth in 0..label_rows {
                let labels = cells.iter().fold("|".to_owned(), |line, cell| line + &cell.label(nth) + "|");
                writeln!(f, "{:MARGIN$}{labels}", "")?;
            }
            let mut bits =
                row.iter().flat_map(|byte| (0..8).rev().map(move |nth| if byte >> nth & 1 == 1 { '1' } else { '0' }));
            let mut line = "|".to_owned();
            for cell in &cells {
                for nth in 0..cell.bits {
                    if nth > 0 {
                        line.push(' ');
                    }
                    line.extend(bits.next());
                }
                line.push('|');
            }
            writeln!(f, "{:MARGIN$}{line}", hex(row))?;
        }
        writeln!(f, "{:MARGIN$}{border}", "")
    }

    fn describe_fields(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(&first) = self.frame.first() else { return Ok(()) };
        let opcode = first & 0x0f;
        let ends = match (first & 0x80 != 0, opcode) {
            (true, 0) => "the last frame of its message",
            (true, _) => "whole: it is no fragment",
            (false, _) => "more frames of this message follow",
        };
        writeln!(f, "FIN          {:<9} {ends}", first >> 7)?;
        let reserved = first >> 4 & 0x07;
        let extension = if reserved == 0 { "no extension" } else { "for an extension, and there is none" };
        writeln!(f, "RSV1-3       {reserved:03b}       {extension}")?;
        writeln!(
            f,
            "opcode       {opcode:04b}      0x{opcode:x}, {}",
            Opcode::from_wire(opcode).map_or("reserved", Opcode::name)
        )?;
        let Some(&second) = self.frame.get(1) else { return Ok(()) };
        match self.sender() {
            Some(Sender::Client) => writeln!(f, "MASK         1         masked: a client's frame")?,
            _ => writeln!(f, "MASK         0         a server's frame; from a client it is refused (section 5.1)")?,
        }
        let short = second & 0x7f;
        let meant = match short {
            126 => "the length is in the next 16 bits".to_owned(),
            127 => "the length is in the next 64 bits".to_owned(),
            len => bytes(u64::from(len)),
        };
        writeln!(f, "payload len  {short:07b}   {meant}")?;
        if let Some(header) = self.header() {
            if short > 125 {
                writeln!(
                    f,
                    "extended     {:<9} {}",
                    if short == 126 { "16 bits" } else { "64 bits" },
                    bytes(header.payload_len)
                )?;
            }
            if self.sender() == Some(Sender::Client) {
                writeln!(f, "masking key  {}", hex(&header.masking_key))?;
            }
        }
        Ok(())
    }

    fn dump_payload(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let payload = self.payload();
        if payload.is_empty() {
            return Ok(());
        }
        let shown = payload.len().min(self.shown_payload);
        let unmasked = self.unmasked();
        let is_masked = self.sender() == Some(Sender::Client);
        if is_masked && shown > 0 {
            writeln!(f, "payload      {:<25}{:<25}text", "as sent", "unmasked")?;
        }
        // Characters are told from each other before the cut, which may go through one.
        for (nth, (row, text)) in unmasked.chunks(ROW_BYTES).zip(text_rows(&unmasked)).enumerate() {
            let at = nth * ROW_BYTES;
            if at >= shown {
                break;
            }
            let sent = &payload[at..at + row.len()];
            let label = if nth == 0 && !is_masked { format!("payload {at:>3}") } else { format!("{at:>11}") };
            if is_masked {
                writeln!(f, "{label:<12} {:<25}{:<25}|{text}|", hex(sent), hex(row))?;
            } else {
                writeln!(f, "{label:<12} {:<25}|{text}|", hex(row))?;
            }
        }
        let left = payload.len() - shown.next_multiple_of(ROW_BYTES).min(payload.len());
        if left > 0 {
            writeln!(f, "             ... {} more", bytes(left as u64))?;
        }
        Ok(())
    }

    fn describe_close(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_close = self.header().is_some_and(|header| header.opcode == Opcode::Close);
        if !is_close || self.missing().is_some() {
            return Ok(());
        }
        match &self.unmasked()[..] {
            [] => writeln!(f, "close code   none: books call that 1005 (section 7.1.5)"),
            [_] => Ok(()),
            [high, low, reason @ ..] => {
                let code = u16::from_be_bytes([*high, *low]);
                writeln!(f, "close code   {code}, {}", meaning(code))?;
                write_wrapped(f, "reason       ", reason)
            }
        }
    }
}

/// Several lines, each with its end.
impl fmt::Display for Layout<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.draw_bits(f)?;
        self.describe_fields(f)?;
        self.dump_payload(f)?;
        self.describe_close(f)
    }
}

/// What is wrong with a frame, and which rule says so, in two lines with their ends.
///
/// # Errors
/// Those of `out`.
pub fn write_fault(out: &mut impl fmt::Write, violation: Violation) -> fmt::Result {
    let (section, code) = (violation.section(), violation.close_code());
    writeln!(out, "wrong        {violation}\nrule         RFC 6455 section {section}; answered with Close {code}")
}

/// How much is not there, in one line with its end.
///
/// # Errors
/// Those of `out`.
pub fn write_missing(out: &mut impl fmt::Write, missing: Missing) -> fmt::Result {
    match missing {
        Missing::OfHeader(count) => writeln!(out, "incomplete   at least {} more, of the header", bytes(count as u64)),
        Missing::OfPayload(count) => writeln!(out, "incomplete   {} more, of the payload", bytes(count)),
    }
}

struct Field {
    names: &'static [&'static str],
    bits: usize,
}

/// The part of a field in one row.
struct Cell {
    names: &'static [&'static str],
    bits: usize,
    is_continued: bool,
}

impl Cell {
    fn columns(&self) -> usize {
        2 * self.bits - 1
    }

    /// What stands in it in one of the rows of labels.
    fn label(&self, row: usize) -> String {
        let columns = self.columns();
        let name = |suffix: &str| {
            let fitting = self.names.iter().map(|name| format!("{name}{suffix}")).find(|name| name.len() <= columns)?;
            Some(if row == 0 { format!("{fitting:^columns$}") } else { " ".repeat(columns) })
        };
        let continued = if self.is_continued { name(" continued") } else { None };
        // What does not fit is a single bit, written downwards.
        continued
            .or_else(|| name(""))
            .unwrap_or_else(|| self.names.first().and_then(|name| name.get(row..=row)).unwrap_or(" ").to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::super::dump::MAX_COLUMNS;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_masked_hello_of_the_rfc_is_drawn_as_in_section_5_2() {
        let drawn = Layout::of(b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58").to_string();
        let bits = "81 85 37 fa |1|0|0|0|0 0 0 1|1|0 0 0 0 1 0 1|0 0 1 1 0 1 1 1 1 1 1 1 1 0 1 0|";
        assert!(drawn.contains(bits), "{drawn}");
        assert!(drawn.contains("7f 9f 4d 51 58           48 65 6c 6c 6f           |Hello|"), "{drawn}");
    }

    proptest! {
        #[test]
        fn any_frame_is_drawn_within_the_width_and_without_control_characters(
            start in prop::sample::select(vec![&[0x81u8, 0x7e][..], &[0x88, 0x90], &[0x82, 0x85], &[0x81, 0x20], &[]]),
            rest in prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..300),
                any::<String>().prop_map(String::into_bytes),
            ],
        ) {
            let bytes = [start, &rest].concat();
            let mut drawn = Layout::of(&bytes).to_string();
            prop_assert!(write_wrapped(&mut drawn, "text ", &rest).is_ok());
            for line in drawn.lines() {
                prop_assert!(line.chars().count() <= MAX_COLUMNS && !line.chars().any(char::is_control), "{line:?}");
            }
        }
    }
}
