//! Which characters may stand in the names of people and of rooms.
//!
//! One rule for both: a reader must see all of a name, in the order in which it was written. The categories of
//! the Unicode Character Database answer most of it; the blanks that count as letters or symbols are listed here.

use std::fmt;

use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory};

use super::{emoji, unseen};
use crate::limits::fixed::MAX_MARKS_ON_A_LETTER;

/// Why a character may not stand in a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadCharacter {
    /// A line break, or another control character.
    Control,
    /// One that turns the direction of writing: with it the text on a screen has another order than the text itself.
    Direction,
    /// One that shows nothing, so that two different names would look the same.
    Invisible,
    /// A space, but not U+0020.
    OddSpace,
    /// One that means nothing, or nothing to others: unassigned, private, or not a character for ever.
    Unassigned,
    /// A mark that the letter has already, or a fifth one: on a screen they lie upon each other or on the next line.
    PiledMarks,
}

impl fmt::Display for BadCharacter {
    /// What must not be there, to go behind "contain".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BadCharacter::Control => "line breaks or other control characters",
            BadCharacter::Direction => "characters that turn the direction of writing",
            BadCharacter::Invisible => "invisible characters",
            BadCharacter::OddSpace => "other spaces than the plain one",
            BadCharacter::Unassigned => "characters that Unicode gives no meaning",
            BadCharacter::PiledMarks => "a letter with the same mark twice, or with more than four marks",
        })
    }
}

/// The NFC of `text`, if it has at most `max` characters. A long text is not looked at.
pub(super) fn composed(text: &str, max: usize) -> Option<String> {
    // No character decomposes canonically into more than four, and none has more than four bytes.
    if text.len() > max * 16 {
        return None;
    }
    let text: String = text.nfc().take(max + 1).collect();
    (text.chars().count() <= max).then_some(text)
}

/// Checks each character of `text`, which is in NFC and as short as names are.
///
/// What shows nothing by itself may stand where it has its use: in an emoji of several parts, and between the letters of
/// scripts that cannot be written without it.
///
/// # Errors
/// What is wrong with the first character that may not be there.
pub(super) fn check(text: &str) -> Result<(), BadCharacter> {
    let characters: Vec<char> = text.chars().collect();
    let mut at = 0;
    while at < characters.len() {
        let (before, rest) = characters.split_at(at);
        let emoji = emoji::length(rest);
        if emoji == 0 && !unseen::has_use(before, rest[0], &rest[1..]) {
            check_character(rest[0])?;
        }
        at += emoji.max(1);
    }
    check_marks(text)
}

/// The rule for nonspacing marks of UTS 39 section 5.4, looked at in NFD, as it asks: without it, `á` and `á` with
/// another acute accent would be two names.
fn check_marks(text: &str) -> Result<(), BadCharacter> {
    let mut marks = 0;
    let mut last = None;
    for character in text.nfd() {
        if character.general_category() != GeneralCategory::NonspacingMark {
            (marks, last) = (0, None);
        } else if marks == MAX_MARKS_ON_A_LETTER || last == Some(character) {
            return Err(BadCharacter::PiledMarks);
        } else {
            (marks, last) = (marks + 1, Some(character));
        }
    }
    Ok(())
}

/// Whether a reader sees a line begin with it: it is no blank, control character or character
/// without meaning, and no mark, which sits on the one before it.
pub(super) fn is_visible(character: char) -> bool {
    let is_mark = character.general_category_group() == GeneralCategoryGroup::Mark;
    character != ' ' && !is_mark && check_character(character).is_ok()
}

fn check_character(character: char) -> Result<(), BadCharacter> {
    if is_blank(character) {
        return Err(BadCharacter::Invisible);
    }
    match (character, character.general_category()) {
        // The property Bidi_Control.
        ('\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}', _) => {
            Err(BadCharacter::Direction)
        }
        (_, GeneralCategory::Control | GeneralCategory::LineSeparator | GeneralCategory::ParagraphSeparator) => {
            Err(BadCharacter::Control)
        }
        // A few of them can be seen, signs in front of Arabic numbers. Nobody is called so.
        (_, GeneralCategory::Format) => Err(BadCharacter::Invisible),
        (' ', _) => Ok(()),
        (_, GeneralCategory::SpaceSeparator) => Err(BadCharacter::OddSpace),
        (_, GeneralCategory::Unassigned | GeneralCategory::PrivateUse | GeneralCategory::Surrogate) => {
            Err(BadCharacter::Unassigned)
        }
        _ => Ok(()),
    }
}

/// Letters, marks and symbols that show nothing. All assigned characters with the property Default_Ignorable_Code_Point
/// that are not of the category Format, and those that are blank by their definition.
fn is_blank(character: char) -> bool {
    matches!(
        character,
        '\u{034F}' // combining grapheme joiner
            | '\u{115F}' | '\u{1160}' | '\u{3164}' | '\u{FFA0}' // Hangul fillers
            | '\u{17B4}' | '\u{17B5}' // Khmer inherent vowels
            | '\u{180B}'..='\u{180D}' | '\u{180F}' // Mongolian variation selectors
            | '\u{FE00}'..='\u{FE0F}' | '\u{E0100}'..='\u{E01EF}' // variation selectors
            | '\u{2800}' // Braille pattern blank
            | '\u{FFFC}' // stands for a picture or a file that a program has taken out
            | '\u{13441}' | '\u{13442}' // Egyptian hieroglyph blanks
            | '\u{1D159}' // musical symbol null notehead
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_bears_four_marks_and_none_of_them_twice() {
        let piled = Err(BadCharacter::PiledMarks);
        for good in ["\u{E1}", "ệ", "שָּׁ", "क़्", "a\u{301}\u{302}\u{303}\u{304}", "e\u{301}e\u{301}", "ที่", "กำ"]
        {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in ["\u{E1}\u{301}", "a\u{300}\u{300}", "a\u{301}\u{302}\u{303}\u{304}\u{305}", "ễ\u{303}", "שָָ"]
        {
            assert_eq!(check(bad), piled, "{bad}");
        }
    }

    #[test]
    fn each_kind_of_unwanted_character_is_found_anywhere_in_a_text() {
        let rows: &[(BadCharacter, &[u32])] = &[
            (BadCharacter::Control, &[0x00, 0x09, 0x0A, 0x0D, 0x1F, 0x7F, 0x80, 0x9F, 0x2028, 0x2029]),
            (BadCharacter::Direction, &[0x061C, 0x200E, 0x200F, 0x202A, 0x202E, 0x2066, 0x2069]),
            (BadCharacter::Invisible, &[0xAD, 0x034F, 0x115F, 0x1160, 0x17B4, 0x180B, 0x180E, 0x180F]),
            (BadCharacter::Invisible, &[0x200B, 0x200C, 0x200D, 0x2060, 0x2064, 0x206F, 0x2800, 0x3164]),
            (BadCharacter::Invisible, &[0xFE00, 0xFE0E, 0xFE0F, 0xFEFF, 0xFFA0, 0xFFF9, 0x13441, 0x1D159]),
            (BadCharacter::Invisible, &[0x1D173, 0xE0001, 0xE0020, 0xE007F, 0xE0100, 0xE01EF]),
            (BadCharacter::OddSpace, &[0xA0, 0x1680, 0x2003, 0x202F, 0x205F, 0x3000]),
            (BadCharacter::Unassigned, &[0x0378, 0xE000, 0xFDD0, 0xFFFE, 0xFFFF, 0xF0000, 0x10FFFF]),
        ];
        for (expected, characters) in rows {
            for character in characters.iter().copied().filter_map(char::from_u32) {
                for text in [format!("{character}ab"), format!("a{character}b"), format!("ab{character}")] {
                    assert_eq!(check(&text), Err(*expected), "{text:?}");
                }
            }
        }
    }

    #[test]
    fn the_scripts_of_the_world_and_their_marks_are_welcome() {
        let texts = [
            "Zoë d'Arc",
            "Παῦλος",
            "Ёжик",
            "مُحَمَّد",
            "שָׁלוֹם",
            "हिन्दी",
            "ไทย",
            "汉字",
            "かな",
            "한국어",
            "ꦗꦮ",
            "1+1=2",
            "😀",
        ];
        for text in texts {
            assert_eq!(check(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn names_that_cannot_be_written_without_joiners_and_selectors_are_welcome() {
        let texts = [
            "علی\u{200C}رضا",
            "ශ\u{DCA}\u{200D}රී",
            "അനില\u{D4D}\u{200D}",
            "র\u{200D}\u{9CD}যাচেল",
            "र\u{94D}\u{200D}य",
            "葛\u{E0100}城",
            "兔\u{FE00}",
            "1\u{FE0F}\u{20E3}",
            "🏴\u{E0067}\u{E0062}\u{E0073}\u{E0063}\u{E0074}\u{E007F}",
            "🇪🇺",
            "❤\u{FE0F} Ann",
            "👩🏽\u{200D}🚀👨\u{200D}👩\u{200D}👧",
            "🏳\u{FE0F}\u{200D}🌈",
        ];
        for text in texts {
            assert_eq!(check(text), Ok(()), "{text:?}");
        }
    }

    #[test]
    fn what_only_hides_is_refused_also_beside_what_needs_it() {
        let useless = [
            "علی\u{200C}رضا\u{200C}",
            "علی\u{200C}\u{200C}رضا",
            "Al\u{200C}ice",
            "Al\u{200D}ice",
            "葛\u{E0100}\u{E0100}",
            "a\u{E0100}",
            "a\u{FE0F}",
            "1\u{FE0F}",
            "❤\u{FE0F}\u{FE0F}",
            "👩\u{200D}",
            "👩\u{200D}a",
            "😀\u{200D}😀",
            "\u{200D}👩",
            "🏴\u{E0067}\u{E007F}",
            "\u{E0067}\u{E0062}",
            "ශ\u{DCA}\u{200D}\u{AD}රී",
        ];
        for text in useless {
            assert_eq!(check(text), Err(BadCharacter::Invisible), "{text:?}");
        }
    }

    #[test]
    fn a_text_is_composed_up_to_its_limit_and_a_longer_one_is_none() {
        assert_eq!(composed("e\u{301}", 1).as_deref(), Some("é"));
        assert_eq!(composed("\u{1F82}", 1).as_deref(), Some("\u{1F82}"));
        assert_eq!(composed("α\u{313}\u{300}\u{345}", 1).as_deref(), Some("\u{1F82}"));
        assert_eq!(composed("ab", 1), None);
        assert_eq!(composed(&"\u{301}".repeat(1 << 20), 32), None);
    }
}
