//! Bytes and text as people can read them: in hex, escaped, and within the width of a terminal.

use std::fmt::{self, Write as _};

/// The widest line.
pub const MAX_COLUMNS: usize = 100;

/// Bytes of payload in a row: so few that all of them can be escaped beside it.
pub(super) const ROW_BYTES: usize = 8;

/// Bytes as hex and text, a row of a few each.
///
/// # Errors
/// Those of `out`.
pub fn write_dump(out: &mut impl fmt::Write, dumped: &[u8]) -> fmt::Result {
    for (nth, (row, text)) in dumped.chunks(ROW_BYTES).zip(text_rows(dumped)).enumerate() {
        writeln!(out, "{:>11}  {:<25}|{text}|", nth * ROW_BYTES, hex(row))?;
    }
    Ok(())
}

/// Text in quotes, escaped, in as many lines as it needs; the first begins with `label`, the others below its end.
///
/// # Errors
/// Those of `out`.
pub fn write_wrapped(out: &mut impl fmt::Write, label: &str, text: &[u8]) -> fmt::Result {
    let indent = label.chars().count();
    let width = MAX_COLUMNS - indent - 2;
    let mut line = String::new();
    let mut columns = 0;
    let mut lines = Vec::new();
    for piece in escaped(text) {
        let piece = if piece.shown == "\"" { "\\\"".to_owned() } else { piece.shown };
        let wide = columns_of(&piece);
        if columns + wide > width {
            lines.push(std::mem::take(&mut line));
            columns = 0;
        }
        line.push_str(&piece);
        columns += wide;
    }
    lines.push(line);
    for (nth, line) in lines.iter().enumerate() {
        let label = if nth == 0 { label } else { "" };
        writeln!(out, "{label:<indent$}\"{line}\"")?;
    }
    Ok(())
}

/// Bytes in hex, with blanks between them.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    let mut out = String::new();
    for (nth, byte) in bytes.iter().enumerate() {
        // Writing to a String cannot fail.
        let _ = write!(out, "{}{byte:02x}", if nth > 0 { " " } else { "" });
    }
    out
}

/// "1 byte", "5 bytes".
#[must_use]
pub fn bytes(count: u64) -> String {
    if count == 1 { "1 byte".into() } else { format!("{count} bytes") }
}

/// A character, or a byte that is none, as it is shown.
struct Piece {
    shown: String,
    bytes: usize,
}

/// Text character by character: what could move the cursor or turn the line around is escaped, and so is what is not
/// UTF-8.
fn escaped(text: &[u8]) -> impl Iterator<Item = Piece> {
    text.utf8_chunks().flat_map(|chunk| {
        let characters = chunk.valid().chars().map(|character| {
            let shown = match character {
                '"' | '\'' => character.to_string(),
                '\n' | '\r' | '\t' | '\\' => character.escape_default().to_string(),
                '\0'..='\x1f' | '\x7f' => format!("\\x{:02x}", character as u32),
                // Escapes what is not printable, and marks that would join the character before.
                _ => character.escape_debug().to_string(),
            };
            Piece { shown, bytes: character.len_utf8() }
        });
        let others = chunk.invalid().iter().map(|byte| Piece { shown: format!("\\x{byte:02x}"), bytes: 1 });
        characters.chain(others)
    })
}

/// The text beside each row of bytes. A character stands in the row of its first byte.
pub(super) fn text_rows(bytes: &[u8]) -> Vec<String> {
    let mut rows = vec![String::new(); bytes.len().div_ceil(ROW_BYTES)];
    let mut at = 0;
    for piece in escaped(bytes) {
        if let Some(row) = rows.get_mut(at / ROW_BYTES) {
            row.push_str(&piece.shown);
        }
        at += piece.bytes;
    }
    rows
}

/// Columns in a terminal, rather too many: whatever is not ASCII may be wide.
fn columns_of(text: &str) -> usize {
    text.chars().map(|character| if character.is_ascii() { 1 } else { 2 }).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_take_over_a_terminal_is_escaped_and_letters_of_all_scripts_are_not() {
        let mut out = String::new();
        let written = write_wrapped(&mut out, "", "\u{1b}[2J \u{202e} \u{9b} \n 汉字 é \"".as_bytes());
        assert_eq!((written, out.as_str()), (Ok(()), "\"\\x1b[2J \\u{202e} \\u{9b} \\n 汉字 é \\\"\"\n"));
    }
}
