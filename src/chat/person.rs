//! Persons: who is the same again, on another connection or another day.
//!
//! A person is known by a number that is made of a secret. How it is made is not known here: two numbers that are equal are
//! one person.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// Somebody who has shown a secret. Made of it by a keyed hash, so it says nothing about the secret. It stays in the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PersonId(pub [u8; 16]);

/// A person's mark, as others see it: 30 bits of the [`PersonId`], written as six characters. The same person has the same
/// mark in all rooms. Two persons have one mark by chance once in a thousand million pairs, so a mark is for people to look
/// at, and never for the daemon to decide by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tag(NonZeroU32);

/// A secret that a client has shown is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadSecret {
    /// It could be guessed.
    TooShort,
    /// It is longer than any that is made with care.
    TooLong,
    /// It has a character that could not stand in an address, a header or a cookie.
    NotPrintable,
}

impl BadSecret {
    /// For the client.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            BadSecret::TooShort => "The secret of me is too short: it has 16 to 128 characters. You have no tag.",
            BadSecret::TooLong => "The secret of me is too long: it has 16 to 128 characters. You have no tag.",
            BadSecret::NotPrintable => {
                "The secret of me may have only printable ASCII characters, and no spaces. You have no tag."
            }
        }
    }
}

/// Crockford's base 32 in small letters: without `i`, `l`, `o` and `u`, so that `0` and `1` look like nothing else.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

const BITS: u32 = (1 << 30) - 1;

/// The six characters of a tag.
#[derive(Clone, Copy)]
struct Letters([u8; 6]);

impl PersonId {
    /// What others see of it.
    #[must_use]
    pub fn tag(&self) -> Tag {
        let [a, b, c, d, ..] = self.0;
        Tag::of_bits(u32::from_be_bytes([a, b, c, d]))
    }
}

impl Tag {
    /// Of the lower 30 bits.
    fn of_bits(bits: u32) -> Tag {
        // One is added, so that to have no tag takes no more memory than to have one.
        Tag(NonZeroU32::MIN.saturating_add(bits & BITS))
    }

    fn letters(self) -> Letters {
        let bits = self.0.get() - 1;
        let letter = |shift: u32| ALPHABET.get((bits >> shift) as usize & 31).copied().unwrap_or(b'0');
        Letters([25, 20, 15, 10, 5, 0].map(letter))
    }
}

impl Letters {
    fn as_str(&self) -> &str {
        // They are ASCII.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.letters().as_str())
    }
}

impl Serialize for Tag {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.letters().as_str())
    }
}

/// A text is no tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoTag;

impl FromStr for Tag {
    type Err = NoTag;

    /// Reads a tag as it is written.
    fn from_str(text: &str) -> Result<Tag, NoTag> {
        let letters: [u8; 6] = text.as_bytes().try_into().map_err(|_| NoTag)?;
        let mut bits = 0;
        for letter in letters {
            let value = ALPHABET.iter().position(|known| *known == letter).ok_or(NoTag)?;
            bits = bits << 5 | value as u32;
        }
        Ok(Tag::of_bits(bits))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(first: u32) -> PersonId {
        let mut bytes = [7; 16];
        bytes[..4].copy_from_slice(&first.to_be_bytes());
        PersonId(bytes)
    }

    #[test]
    fn a_tag_is_six_characters_none_of_which_looks_like_another() {
        for (first, tag) in [(0, "000000"), (1, "000001"), (31, "00000z"), (u32::MAX, "zzzzzz"), (1 << 30, "000000")] {
            assert_eq!(person(first).tag().to_string(), tag);
        }
        for letter in *b"ilou" {
            assert!(!ALPHABET.contains(&letter), "{letter}");
        }
    }

    #[test]
    fn a_tag_is_read_as_it_is_written_and_nothing_else_is_one() {
        for first in [0, 1, 0x1234_5678, BITS, u32::MAX] {
            let tag = person(first).tag();
            assert_eq!(tag.to_string().parse(), Ok(tag));
        }
        for text in ["", "00000", "0000000", "00000i", "00000A", "00000é", " 00000", "é0000"] {
            assert_eq!(text.parse::<Tag>(), Err(NoTag), "{text:?}");
        }
    }

    #[test]
    fn to_have_no_tag_takes_no_memory_of_its_own() {
        assert_eq!(size_of::<Option<Tag>>(), 4);
    }
}
