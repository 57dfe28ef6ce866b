//! JSON that may be read in a terminal.
//!
//! JSON asks only for the control characters below U+0020 to be escaped. A terminal obeys more than those: U+009B begins
//! a command as ESC [ does, and U+202E turns the line around. Somebody who watches a room with `websocat` sees what others
//! have written as it comes, so all characters that steer instead of being seen are written as `\uXXXX` here. To a JSON
//! parser that is the same string.

use std::fmt::Write as _;
use std::ops::RangeInclusive;

use serde::Serialize;

/// Characters that are escaped beyond what JSON asks for, in rising order.
///
/// Not the joiner of emoji (U+200D) and the selectors: they steer nothing, and a family would no longer be seen as one.
const STEERING: &[RangeInclusive<char>] = &[
    '\u{7F}'..='\u{9F}',       // DEL and the C1 controls
    '\u{AD}'..='\u{AD}',       // soft hyphen: terminals disagree on its width, and the cursor is lost
    '\u{61C}'..='\u{61C}',     // Bidi_Control, as the next three
    '\u{200E}'..='\u{200F}',   // marks
    '\u{2028}'..='\u{202E}',   // line and paragraph separator; embeddings and overrides
    '\u{2060}'..='\u{206F}',   // isolates; invisible operators; deprecated controls of the direction
    '\u{FEFF}'..='\u{FEFF}',   // byte order mark
    '\u{FFF9}'..='\u{FFFB}',   // annotations that hide what they enclose
    '\u{E0000}'..='\u{E007F}', // tags: a text that nobody sees
];

/// Appends `value` to `out`.
///
/// What was written is looked over once, as a whole: piece by piece, with a formatter of serde_json's, an event cost a
/// tenth more, for it has a dozen pieces. What steers can stand only inside a string, where an escape may stand, too.
///
/// # Errors
/// As [`serde_json::to_writer`]: never for strings, numbers and what is made of them.
pub(super) fn write(out: &mut Vec<u8>, value: &impl Serialize) -> serde_json::Result<()> {
    let start = out.len();
    serde_json::to_writer(&mut *out, value)?;
    if out.get(start..).is_some_and(|written| !is_plain_ascii(written)) {
        escape(out, start);
    }
    Ok(())
}

/// Bytes of `text` as it is written, without the quotes around it.
pub(super) fn written_len(text: &str) -> usize {
    if is_written_as_it_is(text.as_bytes()) { text.len() } else { text.chars().map(written_char_len).sum() }
}

/// Whether all bytes are those of letters and signs that need no escape. Eight at once, as in [`is_plain_ascii`]: of eight
/// bytes below 0x80, subtracting 1 sets the highest bit of a zero, and of nothing else unless there is one.
fn is_written_as_it_is(bytes: &[u8]) -> bool {
    const fn eight(byte: u8) -> u64 {
        u64::from_ne_bytes([byte; 8])
    }
    let found_in = |word: u64| {
        let controls = word.wrapping_sub(eight(0x20));
        let quotes = (word ^ eight(b'"')).wrapping_sub(eight(1));
        let slashes = (word ^ eight(b'\\')).wrapping_sub(eight(1));
        word | word.wrapping_add(eight(1)) | controls | quotes | slashes
    };
    let (words, rest) = bytes.as_chunks::<8>();
    let found = words.iter().fold(0, |found, word| found | found_in(u64::from_ne_bytes(*word)));
    let mut last = [b' '; 8];
    last[..rest.len()].copy_from_slice(rest);
    (found | found_in(u64::from_ne_bytes(last))) & eight(0x80) == 0
}

fn written_char_len(character: char) -> usize {
    match character {
        '"' | '\\' | '\u{8}' | '\t' | '\n' | '\u{C}' | '\r' => 2,
        '\0'..='\u{1F}' => 6,
        _ if is_steering(character) => 6 * character.len_utf16(),
        _ => character.len_utf8(),
    }
}

/// Escapes what steers from `start` on.
fn escape(out: &mut Vec<u8>, start: usize) {
    let Ok(written) = str::from_utf8(&out[start..]) else { return };
    let Some(first) = written.find(is_steering) else { return };
    let mut escaped = String::with_capacity(written.len());
    for character in written[first..].chars() {
        if is_steering(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                // A string takes whatever is written to it.
                let _ = write!(escaped, "\\u{unit:04x}");
            }
        } else {
            escaped.push(character);
        }
    }
    out.truncate(start + first);
    out.extend_from_slice(escaped.as_bytes());
}

fn is_steering(character: char) -> bool {
    // Nearly all that is looked at here is a letter below or between the first ranges, or an ideograph.
    character >= '\u{7F}' && STEERING.iter().any(|range| range.contains(&character))
}

/// Whether no byte is U+007F or belongs to a longer character. JSON has no bytes below U+0020.
///
/// Eight bytes at once, for every event comes by here. Adding one to each byte sets the highest bit of 0x7F, too;
/// it carries over only from 0xFF, which has that bit already.
fn is_plain_ascii(bytes: &[u8]) -> bool {
    const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
    const HIGHEST_BITS: u64 = u64::from_ne_bytes([0x80; 8]);
    let (words, rest) = bytes.as_chunks::<8>();
    let found = words.iter().fold(0, |found, word| {
        let word = u64::from_ne_bytes(*word);
        found | word | word.wrapping_add(ONES)
    });
    let found_in_rest = rest.iter().fold(0, |found, byte| found | byte | byte.wrapping_add(1));
    found & HIGHEST_BITS == 0 && found_in_rest & 0x80 == 0
}

/// Writes an event at the end of `out`.
pub(super) fn append(out: &mut Vec<u8>, wire: &impl Serialize) {
    // Strings and numbers into memory: neither the types nor a Vec can fail. Were it otherwise, an event would be
    // missing, which is better than a daemon that is gone.
    let written = write(out, wire);
    debug_assert!(written.is_ok());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};

    use super::*;

    fn written(text: &str) -> String {
        let mut out = Vec::new();
        write(&mut out, &text).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_steers_a_terminal_is_written_with_its_number() {
        for (text, expected) in [
            ("a\u{9b}31mred", r#""a\u009b31mred""#),
            ("\u{7f}", r#""\u007f""#),
            ("abc\u{202e}def\u{2066}g", r#""abc\u202edef\u2066g""#),
            ("one\u{2028}two", r#""one\u2028two""#),
            ("\u{1b}[31m", r#""\u001b[31m""#),
            ("\u{e0041}", r#""\udb40\udc41""#),
            ("汉字 é \u{a0}😀 👨\u{200d}👩", "\"汉字 é \u{a0}😀 👨\u{200d}👩\""),
        ] {
            assert_eq!(written(text), expected);
        }
    }

    /// By Unicode's own categories, so that the list cannot forget one.
    #[test]
    fn no_control_and_no_separator_of_lines_is_ever_written_as_it_is() {
        for character in '\0'..=char::MAX {
            let steers = matches!(
                character.general_category(),
                GeneralCategory::Control | GeneralCategory::LineSeparator | GeneralCategory::ParagraphSeparator
            );
            if steers {
                assert!(written(&character.to_string()).is_ascii(), "{character:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn a_parser_reads_the_text_that_was_written(
            parts in prop::collection::vec(prop_oneof![any::<String>(), "[ -~]{0,20}", "[\u{7f}-\u{9f}\u{2028}-\u{206f}]{0,3}"], 0..4),
        ) {
            let text = parts.concat();
            prop_assert_eq!(serde_json::from_str::<String>(&written(&text)).unwrap(), text);
        }

        #[test]
        fn the_length_is_that_of_what_is_written(
            parts in prop::collection::vec(prop_oneof![any::<String>(), "[ -~]{0,99}", "[\u{0}-\u{9f}\u{2028}-\u{206f}]{0,3}", "[\u{e0000}-\u{e0080}]"], 0..4),
        ) {
            let text = parts.concat();
            prop_assert_eq!(written_len(&text), written(&text).len() - 2);
        }
    }
}
