//! `roomd decode`: frames out of their bytes. It uses the decoder that the daemon uses, so that it shows what the daemon
//! sees.

use std::fmt::{self, Write as _};
use std::io::Read;

use super::dump;
use super::layout::{self, Layout};
use super::{Shown, Verdict};
use crate::limits::fixed::{MAX_HEX_BYTES, SHOWN_KEY_CHARACTERS};
use crate::websocket::frame::Sender;
use crate::websocket::{Decoder, Input, MessageLimits, Received};

/// What is looked at has no limits but the RFC's.
const NO_LIMITS: MessageLimits = MessageLimits { max_message_bytes: u64::MAX, max_fragments: u32::MAX };

/// The bytes that some arguments stand for, with those of `stdin` where an argument is `-`.
pub(super) fn read_hex(arguments: &[String], stdin: impl Read) -> Result<Vec<u8>, String> {
    let mut text = String::new();
    let mut stdin = stdin.take(MAX_HEX_BYTES);
    for argument in arguments {
        text.push(' ');
        if argument == "-" {
            stdin.read_to_string(&mut text).map_err(|error| format!("cannot read standard input: {error}"))?;
        } else {
            text.push_str(argument);
        }
    }
    if stdin.limit() == 0 {
        return Err(format!("standard input holds more than {MAX_HEX_BYTES} bytes"));
    }
    let mut bytes = Vec::new();
    for word in text.split(|letter: char| letter.is_whitespace() || matches!(letter, ':' | ',')) {
        let digits = word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")).unwrap_or(word);
        if let Some(letter) = digits.chars().find(|letter| !letter.is_ascii_hexdigit()) {
            return Err(format!("{letter:?} is no hex digit"));
        }
        if digits.len() % 2 == 1 {
            let shown: String = digits.chars().take(SHOWN_KEY_CHARACTERS).collect();
            return Err(format!("a byte has two hex digits, and {shown:?} has an odd number"));
        }
        let values: Vec<u8> = digits.chars().filter_map(|digit| digit.to_digit(16)).map(|digit| digit as u8).collect();
        bytes.extend(values.as_chunks::<2>().0.iter().map(|[high, low]| high << 4 | low));
    }
    if bytes.is_empty() { Err("there are no bytes to decode".into()) } else { Ok(bytes) }
}

/// One of the two directions: a capture may hold both, and each has its own messages.
#[derive(Default)]
struct Direction {
    decoder: Decoder,
    /// Frames and bytes of the message that has begun.
    fragments: u32,
    fragment_bytes: u64,
    is_closed: bool,
}

/// The frames in `bytes`, up to the first fault.
pub(super) fn frames(bytes: &[u8]) -> Result<Shown, fmt::Error> {
    let mut out = String::new();
    let mut verdict = Verdict::Fine;
    let (mut from_client, mut from_server) = (Direction::default(), Direction::default());
    let mut rest = bytes;
    let mut count = 0;
    while !rest.is_empty() && verdict == Verdict::Fine {
        let layout = Layout::of(rest);
        rest = &rest[layout.frame().len()..];
        count += 1;
        let sender = layout.sender().unwrap_or(Sender::Client);
        let direction = match sender {
            Sender::Client => &mut from_client,
            Sender::Server => &mut from_server,
        };
        if count > 1 {
            out.push('\n');
        }
        write_title(&mut out, count, &layout)?;
        write!(out, "{layout}")?;
        verdict = direction.take(&mut out, sender, &layout)?;
    }
    if !rest.is_empty() {
        writeln!(
            out,
            "not decoded  {}, behind the fault: the connection has failed (section 7.1.7)",
            dump::bytes(rest.len() as u64)
        )?;
        dump::write_dump(&mut out, rest)?;
    }
    if verdict == Verdict::Fine {
        for (whose, direction) in [("a client's", &from_client), ("a server's", &from_server)] {
            if direction.fragments > 0 {
                let (frames, bytes) = (count_of_frames(direction.fragments), dump::bytes(direction.fragment_bytes));
                writeln!(out, "\n{whose} message is unfinished: {frames}, {bytes} so far")?;
            }
        }
    }
    Ok(Shown { text: out, verdict })
}

impl Direction {
    /// Hands a frame to the decoder, and writes what it amounts to.
    fn take(&mut self, out: &mut String, sender: Sender, layout: &Layout<'_>) -> Result<Verdict, fmt::Error> {
        let mut bytes = layout.frame().to_vec();
        let mut input = Input::new(&mut bytes);
        let is_data = layout.header().is_some_and(|header| !header.opcode.is_control());
        if self.is_closed && is_data {
            writeln!(
                out,
                "wrong        a data frame behind the Close of its sender\nrule         RFC 6455 section 5.5.1"
            )?;
            return Ok(Verdict::Faulty);
        }
        let (fragments, fragment_bytes) = match layout.header() {
            Some(header) if is_data => (self.fragments + 1, self.fragment_bytes.saturating_add(header.payload_len)),
            _ => (self.fragments, self.fragment_bytes),
        };
        let (kind, message) = match self.decoder.decode_from(sender, &mut input, &NO_LIMITS) {
            Err(violation) => {
                layout::write_fault(out, violation)?;
                return Ok(Verdict::Faulty);
            }
            Ok(Received::NeedMore) => {
                if let Some(missing) = layout.missing() {
                    layout::write_missing(out, missing)?;
                }
                return Ok(Verdict::Faulty);
            }
            Ok(Received::Fragment) => {
                (self.fragments, self.fragment_bytes) = (fragments, fragment_bytes);
                return Ok(Verdict::Fine);
            }
            Ok(Received::Close(_)) => {
                self.is_closed = true;
                return Ok(Verdict::Fine);
            }
            Ok(Received::Ping(_) | Received::Pong) => return Ok(Verdict::Fine),
            Ok(Received::Text(text)) => ("text", text.as_bytes()),
            Ok(Received::Binary(bytes)) => ("binary", bytes),
        };
        if fragments > 1 {
            writeln!(out, "\n{kind} message of {}, {}:", count_of_frames(fragments), dump::bytes(fragment_bytes))?;
            if kind == "text" {
                dump::write_wrapped(out, "", message)?;
            } else {
                dump::write_dump(out, message)?;
            }
        }
        (self.fragments, self.fragment_bytes) = (0, 0);
        Ok(Verdict::Fine)
    }
}

fn write_title(out: &mut String, nth: u32, layout: &Layout<'_>) -> fmt::Result {
    write!(out, "frame {nth}")?;
    match layout.sender() {
        Some(Sender::Client) => write!(out, ", a client's")?,
        Some(Sender::Server) => write!(out, ", a server's")?,
        None => {}
    }
    if let Some(header) = layout.header() {
        write!(out, ": {}, {} of payload", header.opcode.name(), dump::bytes(header.payload_len))?;
    }
    out.push('\n');
    Ok(())
}

fn count_of_frames(count: u32) -> String {
    if count == 1 { "1 frame".into() } else { format!("{count} frames") }
}

#[cfg(test)]
mod tests {
    use super::super::dump::MAX_COLUMNS;
    use super::*;
    use proptest::prelude::*;

    /// Bytes in a row of a dump.
    const ROW: usize = 8;

    fn text_of(bytes: &[u8]) -> String {
        frames(bytes).map(|shown| shown.text).unwrap_or_default()
    }

    #[test]
    fn hex_may_be_written_in_any_usual_way() {
        let ways =
            ["8105 48656c6c6f", "81:05:48:65:6C:6C:6F", "0x81 0x05 0x48 0x65 0x6c 0x6c 0x6f", "81,05\n48656c6c6f\n"];
        for way in ways {
            assert_eq!(read_hex(&[way.to_owned()], &b""[..]), Ok(b"\x81\x05Hello".to_vec()), "{way}");
            assert_eq!(read_hex(&["-".to_owned()], way.as_bytes()), Ok(b"\x81\x05Hello".to_vec()), "{way}");
        }
        for wrong in ["", "8", "810", "8g", "0x", "é"] {
            assert!(read_hex(&[wrong.to_owned()], &b""[..]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_two_directions_do_not_disturb_each_other_s_messages() {
        // A client's fragment, a server's whole text, the client's last fragment.
        let bytes = b"\x01\x81\0\0\0\0a\x81\x01s\x80\x81\0\0\0\0b";
        let text = text_of(bytes);
        assert!(text.contains("text message of 2 frames, 2 bytes:\n\"ab\""), "{text}");
        assert!(!text.contains("wrong"), "{text}");
    }

    /// RFC 6455 section 5.7, the last two: they are too long to be written down in tests/cli.
    #[test]
    fn long_frames_are_shown_whole() {
        for (header, len) in [(&[0x82, 0x7e, 1, 0][..], 256), (&[0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0], 65_536)] {
            let shown = frames(&[header, &vec![7; len]].concat());
            assert!(shown.is_ok_and(|shown| {
                let rows = shown.text.matches("|\\x07\\x07\\x07\\x07\\x07\\x07\\x07\\x07|").count();
                shown.verdict == Verdict::Fine && rows == len / ROW && shown.text.contains(&format!("{len} bytes"))
            }));
        }
    }

    proptest! {
        /// Whatever the bytes, each is in a frame or behind the fault, and all of them are written down.
        #[test]
        fn every_byte_of_any_input_is_accounted_for(
            pieces in proptest::collection::vec(
                prop_oneof![
                    proptest::collection::vec(any::<u8>(), 0..40),
                    Just(b"\x81\x05Hello".to_vec()),
                    Just(b"\x01\x83\x01\x02\x03\x04abc".to_vec()),
                    Just(b"\x80\x80\x01\x02\x03\x04".to_vec()),
                    Just(b"\x88\x02\x03\xe8".to_vec()),
                ],
                1..6,
            ),
        ) {
            let bytes = pieces.concat();
            let shown = frames(&bytes);
            prop_assert!(shown.is_ok());
            let text = shown.map(|shown| shown.text).unwrap_or_default();
            for line in text.lines() {
                prop_assert!(line.chars().count() <= MAX_COLUMNS && !line.chars().any(char::is_control), "{line:?}");
            }
            // Frame for frame behind each other, and what is left is the dump at the end.
            let (mut rest, mut unread) = (&bytes[..], &text[..]);
            while !rest.is_empty() {
                let layout = Layout::of(rest);
                let Some(at) = unread.find(&layout.to_string()) else { break };
                prop_assert!(!layout.frame().is_empty());
                rest = &rest[layout.frame().len()..];
                unread = &unread[at + layout.to_string().len()..];
            }
            let mut dump = String::new();
            prop_assert!(dump::write_dump(&mut dump, rest).is_ok());
            prop_assert!(text.ends_with(&dump), "{dump}");
            prop_assert_eq!(text.contains("not decoded"), !rest.is_empty());
        }
    }
}
