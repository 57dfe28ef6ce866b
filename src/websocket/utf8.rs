//! UTF-8 over a message that arrives in pieces (RFC 6455 section 8.1): fail at the first impossible byte, and do not
//! mind a character that is cut by a frame or a read.

/// A character takes at most 4 bytes, so at most 3 of them can wait for the rest.
const MAX_WAITING: usize = 3;

/// Text that is not UTF-8, whatever may follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotUtf8;

/// A text message in the making.
///
/// The standard library's checker does the work: for a piece that ends inside a character it says whether the bytes so
/// far can still become one (`error_len()` is `None`) or not. A table-driven automaton would do the same in more
/// lines; the library's is vectorised for ASCII. Each byte is checked once: what has passed is kept as a `String`.
#[derive(Debug, Default)]
pub struct Utf8Text {
    text: String,
    /// The beginning of a character whose rest has not come yet: `waiting[..count]`, always a possible beginning.
    waiting: [u8; MAX_WAITING],
    count: u8,
}

impl Utf8Text {
    /// Takes the next piece.
    ///
    /// # Errors
    /// [`NotUtf8`] when no continuation could make the bytes so far valid.
    pub fn push(&mut self, mut piece: &[u8]) -> Result<(), NotUtf8> {
        while self.count > 0 {
            let Some((&byte, rest)) = piece.split_first() else { return Ok(()) };
            piece = rest;
            self.push_to_waiting(byte)?;
        }
        match std::str::from_utf8(piece) {
            Ok(text) => self.text.push_str(text),
            Err(error) if error.error_len().is_some() => return Err(NotUtf8),
            Err(error) => {
                let (whole, begun) = piece.split_at(error.valid_up_to());
                // The bytes before `valid_up_to` were just found valid; the second look spares an `unsafe`, and is
                // paid only when a read ends inside a character.
                self.text.push_str(std::str::from_utf8(whole).map_err(|_| NotUtf8)?);
                self.waiting[..begun.len()].copy_from_slice(begun);
                self.count = begun.len() as u8;
            }
        }
        Ok(())
    }

    /// Bytes so far, without a character that is cut.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.text.len()
    }

    /// The whole text, if it may end here.
    ///
    /// # Errors
    /// [`NotUtf8`] when a character is unfinished.
    pub fn finish(&self) -> Result<&str, NotUtf8> {
        if self.count == 0 { Ok(&self.text) } else { Err(NotUtf8) }
    }

    fn push_to_waiting(&mut self, byte: u8) -> Result<(), NotUtf8> {
        let count = usize::from(self.count);
        let mut character = [0; MAX_WAITING + 1];
        character[..count].copy_from_slice(&self.waiting[..count]);
        character[count] = byte;
        match std::str::from_utf8(&character[..=count]) {
            Ok(text) => {
                self.text.push_str(text);
                self.count = 0;
            }
            Err(error) if error.error_len().is_some() => return Err(NotUtf8),
            // Still a beginning. It has at most 3 bytes: four bytes are a character or an error.
            Err(_) => {
                self.waiting[count] = byte;
                self.count += 1;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// How many bytes of `text` are taken before the check fails, when they come one by one.
    fn taken_byte_by_byte(text: &[u8]) -> usize {
        let mut stream = Utf8Text::default();
        text.iter().position(|&byte| stream.push(&[byte]).is_err()).unwrap_or(text.len())
    }

    /// docs/rfc6455.md row 28. Each row: bytes, and the place of the first byte that no text can have there.
    #[test]
    fn the_first_impossible_byte_is_refused_at_once() {
        let rows: [(&[u8], usize); 14] = [
            (b"ab\xffcd", 2),
            (b"\x80", 0),
            (b"\xc0\xaf", 0),         // an overlong slash: 0xC0 never begins a character
            (b"\xc1\xbf", 0),         // likewise
            (b"\xe0\x80\xaf", 1),     // overlong in three bytes: known at the second
            (b"\xf0\x80\x80\xaf", 1), // overlong in four
            (b"\xed\xa0\x80", 1),     // a surrogate half: known at the second
            (b"\xf4\x8f\xbf\xbf", 4), // U+10FFFF, the last character there is
            (b"\xf4\x90\x80\x80", 1), // one past it
            (b"\xf5", 0),             // never begins a character
            (b"\xce\xba\xe1\xbd\xb9\xf4\x90\x80\x80edited", 6), // Greek, then U+110000
            (b"\xe4\xb8\xe4", 2),     // a new character inside an unfinished one
            (b"\xf0\x9f\x98\x80", 4), // an emoji
            ("汉字".as_bytes(), 6),
        ];
        for (bytes, place) in rows {
            assert_eq!(taken_byte_by_byte(bytes), place, "{bytes:x?}");
        }
    }

    #[test]
    fn a_text_that_ends_inside_a_character_is_not_utf8() {
        for cut in 1..4 {
            let mut stream = Utf8Text::default();
            assert_eq!(stream.push(&"😀".as_bytes()[..cut]), Ok(()));
            assert_eq!(stream.finish(), Err(NotUtf8));
        }
    }

    proptest! {
        #[test]
        fn any_cut_gives_the_verdict_of_the_whole(
            bytes in prop_oneof![
                any::<String>().prop_map(String::into_bytes),
                proptest::collection::vec(any::<u8>(), 0..12),
                proptest::collection::vec(prop_oneof![Just(0xf0u8), Just(0x9f), Just(0x98), Just(0x80), Just(0xe4), Just(0x41)], 0..12),
            ],
            cuts in proptest::collection::vec(0usize..40, 0..6),
        ) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.sort_unstable();
            cuts.push(bytes.len());
            let mut stream = Utf8Text::default();
            let mut from = 0;
            let mut verdict = Ok(());
            for cut in cuts {
                verdict = verdict.and_then(|()| stream.push(&bytes[from..cut]));
                from = cut;
            }
            let text = verdict.and_then(|()| stream.finish());
            prop_assert_eq!(text.ok(), std::str::from_utf8(&bytes).ok());
        }
    }
}
