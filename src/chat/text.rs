//! Which characters may stand in the names of people and of rooms.
//!
//! One rule for both: whoever reads a name must see all of it, in the order in which it was written. The categories of
//! the Unicode Character Database answer most of it; the blanks that count as letters or symbols are listed here.

use std::fmt;

use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeEmoji, UnicodeGeneralCategory};

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
        })
    }
}

/// Asks for emoji presentation of the character before it.
const EMOJI_SELECTOR: char = '\u{FE0F}';

/// Makes one picture of two emoji.
const JOINER: char = '\u{200D}';

/// Checks each character of `text`, which is in NFC.
///
/// Emoji of several parts are allowed as far as that is simple: the selector directly behind an emoji, the joiner
/// between two. So neither can stand where it does nothing to an emoji. Flags made of tags (Scotland) are refused.
///
/// # Errors
/// What is wrong with the first character that may not be there.
pub(super) fn check(text: &str) -> Result<(), BadCharacter> {
    let mut before = None;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let is_behind_emoji = before.is_some_and(is_emoji);
        let is_allowed = match character {
            EMOJI_SELECTOR => is_behind_emoji,
            // A selector that has passed stands behind an emoji itself.
            JOINER => {
                (is_behind_emoji || before == Some(EMOJI_SELECTOR)) && characters.peek().copied().is_some_and(is_emoji)
            }
            _ => false,
        };
        if !is_allowed {
            check_character(character)?;
        }
        before = Some(character);
    }
    Ok(())
}

/// Whether a line that begins with it begins there for whoever reads it: it is no blank, control character or character
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
            | '\u{13441}' | '\u{13442}' // Egyptian hieroglyph blanks
            | '\u{1D159}' // musical symbol null notehead
    )
}

/// Digits, `#` and `*` count as emoji in Unicode, for keycaps. Here they do not.
fn is_emoji(character: char) -> bool {
    !character.is_ascii() && character.is_emoji_char()
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn selector_and_joiner_are_for_emoji_only() {
        for text in
            ["❤\u{FE0F}", "👩\u{200D}💻", "🏳\u{FE0F}\u{200D}🌈", "👩🏽\u{200D}🚀", "👩\u{200D}❤\u{FE0F}\u{200D}👩"]
        {
            assert_eq!(check(text), Ok(()), "{text}");
        }
        let useless = [
            "a\u{FE0F}",
            "1\u{FE0F}",
            "❤\u{FE0F}\u{FE0F}",
            "👩\u{200D}",
            "👩\u{200D}a",
            "a\u{200D}👩",
            "\u{200D}👩",
            "👩\u{200D}\u{200D}💻",
        ];
        for text in useless {
            assert_eq!(check(text), Err(BadCharacter::Invisible), "{text:?}");
        }
    }
}
