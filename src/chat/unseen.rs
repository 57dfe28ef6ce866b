//! Characters that show nothing, but change how those beside them are drawn: joiners and selectors. Without them, names in
//! many scripts cannot be spelt; anywhere else they only make two names of one.

use unicode_joining_type::{JoiningType, get_joining_type};
use unicode_normalization::char::canonical_combining_class;
use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory};
use unicode_script::{Script, UnicodeScript};

const NON_JOINER: char = '\u{200C}';
const JOINER: char = '\u{200D}';

/// The canonical combining class of a virama, the sign that takes the vowel from a letter of an Indic script.
const VIRAMA: u8 = 9;

/// Whether `character` has its use between `before` and `after`: the contexts for joiners of UAX 31, section 2.3.1, and
/// for selectors the sequences that Unicode and the Ideographic Variation Database give a meaning.
pub(super) fn has_use(before: &[char], character: char, after: &[char]) -> bool {
    match character {
        NON_JOINER => is_between_joining_letters(before, after) || is_in_conjunct(before, after),
        JOINER => is_behind_virama(before, after) || is_before_virama(before, after),
        _ => before.last().is_some_and(|letter| is_variant(*letter, character)),
    }
}

/// Context A1: letters that would be joined otherwise, as in Persian compounds. Marks may stand between.
fn is_between_joining_letters(before: &[char], after: &[char]) -> bool {
    let is_seen = |character: &&char| get_joining_type(**character) != JoiningType::Transparent;
    let (Some(left), Some(right)) = (before.iter().rfind(is_seen), after.iter().find(is_seen)) else { return false };
    matches!(get_joining_type(*left), JoiningType::DualJoining | JoiningType::LeftJoining)
        && matches!(get_joining_type(*right), JoiningType::DualJoining | JoiningType::RightJoining)
        && left.script() == right.script()
}

/// Context A2: a virama before it and a letter behind it, which would become one sign otherwise.
fn is_in_conjunct(before: &[char], after: &[char]) -> bool {
    let after = after.iter().find(|character| !is_attached_mark(**character));
    match (letter_with_virama(before), after) {
        (Some(letter), Some(next)) => is_letter(*next) && letter.script() == next.script(),
        _ => false,
    }
}

/// Context B: a virama before it and no vowel sign behind it. At the end of a word, too: that is how Malayalam writes its
/// consonants without a vowel. Any spacing mark is refused as a vowel sign, and so are the others but those that
/// belong to a letter or are a virama.
fn is_behind_virama(before: &[char], after: &[char]) -> bool {
    let is_vowel_sign = after.first().is_some_and(|next| is_mark(*next) && !is_attached_mark(*next));
    letter_with_virama(before).is_some() && !is_vowel_sign
}

/// Not in UAX 31, but in the Unicode Standard, chapters 12 and 13: Bengali `র‍্য` and the Kannada sign for it keep the full
/// form of the first letter so, and Sinhala letters touch.
fn is_before_virama(before: &[char], after: &[char]) -> bool {
    match (before, after) {
        ([.., letter], [virama, next, ..]) => {
            matches!(letter.script(), Script::Bengali | Script::Kannada | Script::Sinhala)
                && [letter, next].into_iter().all(|letter| is_letter(*letter))
                && canonical_combining_class(*virama) == VIRAMA
                && [virama, next].into_iter().all(|other| other.script() == letter.script())
        }
        _ => false,
    }
}

/// The letter that the virama at the end of `text` belongs to, if there is one. Marks of other classes may stand about it.
fn letter_with_virama(text: &[char]) -> Option<char> {
    let marks = text.iter().rev().take_while(|character| is_mark(**character)).count();
    let (rest, marks) = text.split_at(text.len() - marks);
    let virama = marks.iter().rposition(|mark| canonical_combining_class(*mark) == VIRAMA)?;
    let is_last = marks[virama + 1..].iter().all(|mark| is_attached_mark(*mark));
    let is_its_own = |letter: &char| is_letter(*letter) && letter.script() == marks[virama].script();
    rest.last().copied().filter(|letter| is_last && is_its_own(letter))
}

fn is_variant(letter: char, selector: char) -> bool {
    match selector {
        // Three of them tell apart what was a character of its own once, the others are registered for single letters.
        '\u{FE00}'..='\u{FE02}' if is_ideograph(letter) => true,
        '\u{E0100}'..='\u{E01EF}' => is_ideograph(letter),
        '\u{FE00}' => is_dotted_myanmar(letter) || is_reversed_phags_pa(letter),
        '\u{180B}'..='\u{180D}' | '\u{180F}' => is_letter(letter) && letter.script() == Script::Mongolian,
        _ => false,
    }
}

fn is_ideograph(character: char) -> bool {
    character.script() == Script::Han && character.general_category() == GeneralCategory::OtherLetter
}

/// The letters of Khamti, Aiton and Phake that are written with and without a dot (StandardizedVariants.txt).
fn is_dotted_myanmar(letter: char) -> bool {
    matches!(
        letter,
        '\u{1000}'
            | '\u{1002}'
            | '\u{1004}'
            | '\u{1010}'
            | '\u{1011}'
            | '\u{1015}'
            | '\u{1019}'
            | '\u{101A}'
            | '\u{101C}'
            | '\u{101D}'
            | '\u{1022}'
            | '\u{1031}'
            | '\u{1075}'
            | '\u{1078}'
            | '\u{107A}'
            | '\u{1080}'
            | '\u{AA60}'..='\u{AA66}' | '\u{AA6B}' | '\u{AA6C}' | '\u{AA6F}' | '\u{AA7A}'
    )
}

/// The letters of Phags-pa that are also written the other way round (StandardizedVariants.txt).
fn is_reversed_phags_pa(letter: char) -> bool {
    matches!(letter, '\u{A856}' | '\u{A85C}' | '\u{A85E}'..='\u{A860}' | '\u{A868}')
}

fn is_letter(character: char) -> bool {
    character.general_category_group() == GeneralCategoryGroup::Letter
}

fn is_mark(character: char) -> bool {
    character.general_category_group() == GeneralCategoryGroup::Mark
}

/// A mark that belongs to the letter before it, such as a nukta or a virama, and no vowel of its own.
fn is_attached_mark(character: char) -> bool {
    is_mark(character) && canonical_combining_class(character) != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether each of these characters in `text` has its use there.
    fn all_have_use(text: &str) -> bool {
        let text: Vec<char> = text.chars().collect();
        let is_unseen = |character: char| matches!(character, NON_JOINER | JOINER | '\u{180B}'..='\u{180F}' | '\u{FE00}'..='\u{FE0F}' | '\u{E0100}'..);
        (0..text.len()).filter(|at| is_unseen(text[*at])).all(|at| has_use(&text[..at], text[at], &text[at + 1..]))
    }

    #[test]
    fn a_non_joiner_stands_between_letters_that_would_be_joined() {
        for text in ["علی\u{200C}رضا", "می\u{200C}خواهم", "نامه\u{200C}ای", "بِ\u{200C}ّب", "ᠠ\u{200C}ᠠ"]
        {
            assert!(all_have_use(text), "{text:?}");
        }
        for text in [
            "علی\u{200C}",
            "\u{200C}علی",
            "ر\u{200C}ض",
            "ی\u{200C}a",
            "a\u{200C}b",
            "ی\u{200C}\u{200C}ر",
            "ی\u{200C} ر",
            "汉\u{200C}字",
        ] {
            assert!(!all_have_use(text), "{text:?}");
        }
    }

    #[test]
    fn a_joiner_or_a_non_joiner_stands_behind_a_virama() {
        let texts = [
            "ශ\u{0DCA}\u{200D}රී", // Sinhala
            "අරවින\u{0DCA}\u{200D}ද",
            "അനില\u{0D4D}\u{200D}", // Malayalam, at the end
            "ന\u{0D4D}\u{200D}റ",
            "അവന\u{0D4D}\u{200D} വ",
            "र\u{094D}\u{200D}य", // Devanagari
            "क\u{094D}\u{200C}ष",
            "ज़\u{094D}\u{200C}य",
            "ত\u{09CD}\u{200D}", // Bengali
            "র\u{200D}\u{09CD}যাচেল",
            "உக\u{0BCD}\u{200C}ஷ", // Tamil
            "ನ\u{0CCD}\u{200C}ನ",  // Kannada
            "ರ\u{200D}\u{0CCD}ಕ",
            "ක\u{200D}\u{0DCA}ක",
        ];
        for text in texts {
            assert!(all_have_use(text), "{text:?}");
        }
        let useless = [
            "ක\u{200D}",
            "क\u{200D}ष",
            "\u{094D}\u{200D}",
            "र\u{094D}\u{200D}ि",
            "क\u{094D}\u{200C}",
            "क\u{094D}\u{200C}a",
            "a\u{094D}\u{200C}a",
            "क\u{094D}\u{200D}\u{200D}ष",
            "র\u{200D}\u{09CD}",
            "a\u{200D}\u{09CD}a",
        ];
        for text in useless {
            assert!(!all_have_use(text), "{text:?}");
        }
    }

    #[test]
    fn a_selector_stands_behind_a_letter_that_has_variants() {
        for text in [
            "葛\u{E0100}",
            "葛\u{E0101}城",
            "𠮷\u{E0100}",
            "𩸽\u{E0100}",
            "㐂\u{E0102}",
            "兔\u{FE00}",
            "ᠠ\u{180B}",
            "ᠨ\u{180D}",
            "\u{1000}\u{FE00}",
            "\u{A856}\u{FE00}",
        ] {
            assert!(all_have_use(text), "{text:?}");
        }
        for text in [
            "a\u{E0100}",
            "\u{E0100}葛",
            "葛\u{E0100}\u{E0100}",
            "あ\u{E0100}",
            "々\u{E0100}",
            "葛\u{FE03}",
            "葛\u{180B}",
            "ᠠ\u{FE00}",
            "ᠠ\u{180E}",
            "a\u{FE00}",
            "\u{1001}\u{FE00}",
            "1\u{FE0F}",
        ] {
            assert!(!all_have_use(text), "{text:?}");
        }
    }
}
