//! Emoji that are made of several characters, some of which show nothing by themselves.
//!
//! The grammar is that of UTS 51, section 1.4.9. Where a part cannot be seen without the others (a joiner, the tags of a
//! flag), the sequence must be one that is recommended for general interchange (RGI, section 1.4.7): a system draws only
//! those as one picture, and of any other one sees two names that look the same. The `emojis` crate has their list.

use unicode_properties::UnicodeEmoji;

/// Asks for the plain form, or for the coloured one, of the emoji before it.
const SELECTORS: [char; 2] = ['\u{FE0E}', '\u{FE0F}'];

/// Makes one picture of two emoji.
const JOINER: char = '\u{200D}';

/// Draws a frame around a digit: a key of a telephone.
const KEYCAP: char = '\u{20E3}';

/// How many characters at the front of `text` are one emoji, if all of them have their use in it; 0 if it begins with
/// none.
pub(super) fn length(text: &[char]) -> usize {
    let mut length = element_length(text);
    if length == 0 {
        return 0;
    }
    let mut is_compound = text[..length].iter().any(|character| is_tag(*character));
    while let Some(next) = text[length..].strip_prefix(&[JOINER]).map(element_length)
        && next > 0
    {
        length += 1 + next;
        is_compound = true;
    }
    let is_known = || emojis::get(&text[..length].iter().collect::<String>()).is_some();
    if !is_compound || is_known() { length } else { 0 }
}

/// One emoji without joiners: a keycap, or a picture with what may stand behind it.
fn element_length(text: &[char]) -> usize {
    match text {
        ['0'..='9' | '#' | '*', '\u{FE0F}', KEYCAP, ..] => 3,
        [picture, rest @ ..] if is_picture(*picture) => {
            let behind = match rest {
                [selector, ..] if SELECTORS.contains(selector) => 1,
                [tone, ..] if is_skin_tone(*tone) => 1,
                _ => rest.iter().take_while(|character| is_tag(**character)).count(),
            };
            1 + behind
        }
        _ => 0,
    }
}

/// The letter or digit that a tag repeats, where it spells the region of a flag.
pub(super) fn spelt_by_tag(character: char) -> Option<char> {
    let spelt = char::from_u32((character as u32).checked_sub(0xE0000)?)?;
    spelt.is_ascii_alphanumeric().then_some(spelt)
}

/// Digits, `#` and `*` count as emoji in Unicode, for keycaps. Here they do not.
fn is_picture(character: char) -> bool {
    !character.is_ascii() && character.is_emoji_char()
}

fn is_skin_tone(character: char) -> bool {
    matches!(character, '\u{1F3FB}'..='\u{1F3FF}')
}

fn is_tag(character: char) -> bool {
    matches!(character, '\u{E0020}'..='\u{E007F}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn length_of(text: &str) -> usize {
        length(&text.chars().collect::<Vec<_>>())
    }

    #[test]
    fn every_emoji_that_is_recommended_is_one() {
        let tones = |emoji: &'static emojis::Emoji| emoji.skin_tones().into_iter().flatten().chain([emoji]);
        for emoji in emojis::iter().flat_map(tones) {
            // A flag of a country is two letters, each of which can be seen by itself.
            let is_of_letters = emoji.as_str().starts_with(|first| ('\u{1F1E6}'..='\u{1F1FF}').contains(&first));
            let expected = if is_of_letters { 1 } else { emoji.as_str().chars().count() };
            assert_eq!(length_of(emoji.as_str()), expected, "{emoji} {:?}", emoji.as_str());
        }
    }

    #[test]
    fn what_is_recommended_is_also_known_without_its_selectors() {
        for text in ["🏳\u{200D}🌈", "👩\u{200D}❤\u{200D}👩", "☝🏽", "❤\u{FE0E}", "❤"] {
            assert_eq!(length_of(text), text.chars().count(), "{text:?}");
        }
    }

    #[test]
    fn what_only_hides_is_no_part_of_an_emoji() {
        for (text, expected) in [
            ("a\u{FE0F}", 0),
            ("1\u{FE0F}", 0),
            ("1\u{FE0F}a", 0),
            ("❤\u{FE0F}\u{FE0F}", 2),
            ("👩\u{200D}", 1),
            ("👩\u{200D}a", 1),
            ("\u{200D}👩", 0),
            ("😀\u{200D}😀", 0),
            ("👩\u{200D}💻\u{200D}😀", 0),
            ("🏴\u{E0067}\u{E007F}", 0),
            ("🏴\u{E0067}\u{E0062}\u{E0073}\u{E0063}\u{E0074}", 0),
            ("😀\u{E0067}\u{E0062}\u{E0073}\u{E0063}\u{E0074}\u{E007F}", 0),
            ("\u{E0067}", 0),
        ] {
            assert_eq!(length_of(text), expected, "{text:?}");
        }
    }
}
