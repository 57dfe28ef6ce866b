//! What members are called.

use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::canonical_combining_class;
use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory};
use unicode_security::skeleton;

use super::emoji;
use super::text::{self, BadCharacter};
use crate::limits::fixed::{MAX_NAME_CHARACTERS, MAX_PLAIN_NAME_CHARACTERS};

/// What events by the daemon itself have for a name.
pub const DAEMON: &str = "roomd";

/// A member's name: the one that is given on coming, or a chosen one.
///
/// The given one is as in the PHP program: `Tourist N`. There it was the number of the socket, which the next visitor
/// inherited; here N rises and is never used again, neither while the daemon runs nor after a restart with the same
/// history, so a name is one person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name(Form);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Form {
    Tourist(u64),
    Chosen(Arc<Chosen>),
}

/// Behind a thin pointer, so that a `Name`, and an `Option` of it, take two words: every member has one or two.
#[derive(Debug, PartialEq, Eq)]
struct Chosen(Box<str>);

/// What two names must not share within a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameKey {
    /// Names are the same if this is equal.
    pub folded: Box<str>,
    /// Names are too similar if this is equal.
    pub look: Box<str>,
}

/// Why nobody can be called so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameError {
    /// It is empty, or longer than [`MAX_NAME_CHARACTERS`].
    Length,
    /// It contains what may not be in a name.
    Character(BadCharacter),
    /// It has two spaces in a row: on a page they look like one.
    Spaces,
    /// It begins with a combining mark, which would sit on whatever stands in front of the name.
    LeadingMark,
    /// It is, or looks like, a name that is given: `Tourist N`.
    Tourist,
    /// It is, or looks like, the daemon's own: [`DAEMON`].
    Daemon,
}

impl Name {
    /// The name of the `number`th visitor.
    #[must_use]
    pub fn tourist(number: u64) -> Name {
        Name(Form::Tourist(number))
    }

    /// A name that somebody wants to have. White space around it does not count; kept is its NFC.
    ///
    /// # Errors
    /// Nobody may be called so, even in an empty room.
    pub fn chosen(text: &str) -> Result<Name, NameError> {
        let text = text::composed(text.trim(), MAX_NAME_CHARACTERS).filter(|text| !text.is_empty());
        let text = text.ok_or(NameError::Length)?;
        text::check(&text).map_err(NameError::Character)?;
        if text.contains("  ") {
            return Err(NameError::Spaces);
        }
        // With this, and without blanks, at least one character can be seen.
        if text.starts_with(|first: char| first.general_category_group() == GeneralCategoryGroup::Mark) {
            return Err(NameError::LeadingMark);
        }
        if looks_like_a_tourist(&text) {
            return Err(NameError::Tourist);
        }
        if look(&text) == look(DAEMON) {
            return Err(NameError::Daemon);
        }
        Ok(Name::as_written(&text))
    }

    /// A name out of a store. It was checked when it was chosen, perhaps by an older version with other rules, so it is
    /// taken as it stands, letter by letter.
    #[must_use]
    pub fn from_stored(text: &str) -> Name {
        match Name::parse_tourist(text).map(Name::tourist) {
            Some(name) if name.to_string() == text => name,
            _ => Name::as_written(text),
        }
    }

    /// The N of `Tourist N`, in any case, with one space and no leading zeros.
    #[must_use]
    pub fn parse_tourist(text: &str) -> Option<u64> {
        let (word, number) = text.split_once(' ')?;
        let is_plain = number == "0" || !number.starts_with(['0', '+']);
        if word.eq_ignore_ascii_case("tourist") && is_plain { number.parse().ok() } else { None }
    }

    /// Bytes that it takes when it is sent; of a tourist's, about so many.
    #[inline]
    #[must_use]
    pub fn sent_bytes(&self) -> usize {
        match &self.0 {
            Form::Tourist(_) => "Tourist 1000".len(),
            Form::Chosen(chosen) => chosen.0.len(),
        }
    }

    /// What to compare it by.
    #[must_use]
    pub fn key(&self) -> NameKey {
        NameKey::of(&self.to_string())
    }

    /// Whether it is a given name, which nobody can choose.
    pub(super) fn is_tourist(&self) -> bool {
        matches!(self.0, Form::Tourist(_))
    }

    fn as_written(text: &str) -> Name {
        Name(Form::Chosen(Arc::new(Chosen(text.into()))))
    }
}

impl NameKey {
    fn of(text: &str) -> NameKey {
        NameKey { folded: fold(text).into(), look: look(text).into() }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Form::Tourist(number) => write!(f, "Tourist {number}"),
            Form::Chosen(chosen) => f.write_str(&chosen.0),
        }
    }
}

/// Without `fmt`, which took three times as many instructions: a name is written with every message.
impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        const WORD: &[u8] = b"Tourist ";
        let number = match &self.0 {
            Form::Chosen(chosen) => return serializer.serialize_str(&chosen.0),
            Form::Tourist(number) => *number,
        };
        let mut digits = itoa::Buffer::new();
        let digits = digits.format(number).as_bytes();
        let mut text = [0; WORD.len() + u64::MAX.ilog10() as usize + 1];
        text[..WORD.len()].copy_from_slice(WORD);
        text[WORD.len()..][..digits.len()].copy_from_slice(digits);
        // It is ASCII.
        serializer.serialize_str(str::from_utf8(&text[..WORD.len() + digits.len()]).unwrap_or_default())
    }
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NameError::Length => write!(f, "A name has 1 to {MAX_NAME_CHARACTERS} characters."),
            NameError::Character(character) => write!(f, "Your name cannot contain {character}."),
            NameError::Spaces => f.write_str("Your name cannot contain two spaces in a row."),
            NameError::LeadingMark => f.write_str("Your name cannot begin with a combining mark."),
            NameError::Tourist => f.write_str("You cannot choose Tourist and a number: such names are given."),
            NameError::Daemon => write!(f, "You cannot be called {DAEMON}: that is the server."),
        }
    }
}

/// The same for all ways to write a name in capitals and small letters (section 3.13.5 of the Unicode Standard).
///
/// The standard library has no case folding, but folding is to small letters, to capitals and back again: ẞ, ß, SS, ss.
/// That joins all that CaseFolding.txt joins, and besides only the dotless ı and the dotted İ with i. A crate for it would
/// bring tables that std has already.
pub(super) fn fold(text: &str) -> String {
    let small = text.nfd().flat_map(char::to_lowercase);
    let folded = small.flat_map(char::to_uppercase).flat_map(char::to_lowercase);
    without_second_dots(folded).nfc().collect()
}

/// Takes off the dot that is put on a letter which has one: the two look the same (Soft_Dotted, section 7.1 of the Unicode
/// Standard). It is what remains of İ in small letters. The capitals count as their small letters do.
fn without_second_dots(characters: impl Iterator<Item = char>) -> impl Iterator<Item = char> {
    let mut is_dotted = false;
    characters.filter(move |character| {
        let is_second_dot = is_dotted && *character == '\u{307}';
        match canonical_combining_class(*character) {
            0 => is_dotted = matches!(character, 'i' | 'j' | 'і' | 'ј' | 'ϳ' | 'ɨ' | 'I' | 'J' | 'І' | 'Ј'),
            // Another mark above takes the place of the dot.
            230 => is_dotted = false,
            _ => {}
        }
        !is_second_dot
    })
}

/// The same for names that look alike: the skeleton of UTS 39, section 4, made indifferent to case.
///
/// The skeleton is taken before folding, for capitals have their own doubles (a Cyrillic Н for H, a 0 for O), and after
/// it, for the small letters. NFKD in front brings wide, bold and raised letters to plain ones, of which the table of
/// skeletons knows only some. A capital I looks like a small l, and a small i is a capital I in another case, so all three
/// count as one: `Lan` cannot come while `Ian` is here, which is better than two `Ian`. A skeleton has no joiners and no
/// selectors, and so no tags; but flags differ by them alone, so tags count as the letters that they spell.
///
/// One character can become eighteen (`ﷺ`): the look is that of the first [`MAX_PLAIN_NAME_CHARACTERS`] of them.
fn look(text: &str) -> String {
    let spelt = text.chars().map(|character| emoji::spelt_by_tag(character).unwrap_or(character));
    let plain: String = without_second_dots(spelt.nfkd().take(MAX_PLAIN_NAME_CHARACTERS)).collect();
    let first: String = skeleton(&plain).collect();
    let small: String = skeleton(&fold(&first)).collect();
    without_second_dots(small.chars()).map(|character| if character == 'i' { 'l' } else { character }).collect()
}

/// `Tourist` and digits, or what looks like them, with or without a space between.
fn looks_like_a_tourist(text: &str) -> bool {
    let word = text.trim_end_matches(looks_like_a_digit);
    word.len() < text.len() && look(word.trim_end_matches(' ')) == look("tourist")
}

fn looks_like_a_digit(character: char) -> bool {
    let is_digit = character.general_category() == GeneralCategory::DecimalNumber;
    // What stands behind the digit of a keycap.
    let is_key = matches!(character, '\u{FE0F}' | '\u{20E3}');
    // Zero looks like an o and one like an l. ASCII digits are found by their category, but ² and Ⅰ are not.
    is_digit
        || is_key
        || matches!(
            look(character.encode_utf8(&mut [0; 4])).as_str(),
            "o" | "l" | "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9"
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SCOTLAND: &str = "🏴\u{E0067}\u{E0062}\u{E0073}\u{E0063}\u{E0074}\u{E007F}";
    const ENGLAND: &str = "🏴\u{E0067}\u{E0062}\u{E0065}\u{E006E}\u{E0067}\u{E007F}";

    fn chosen(text: &str) -> Result<String, NameError> {
        Name::chosen(text).map(|name| name.to_string())
    }

    fn key(text: &str) -> NameKey {
        Name::chosen(text).unwrap().key()
    }

    #[test]
    fn a_name_takes_two_words_of_memory_and_so_does_perhaps_a_name() {
        assert!(size_of::<Name>() <= 16);
        assert!(size_of::<Option<Name>>() <= 16);
    }

    #[test]
    fn a_name_may_go_to_another_thread() {
        fn needs_send(_: impl Send) {}
        needs_send(Name::tourist(1));
    }

    #[test]
    fn a_name_is_a_string_on_the_wire() {
        assert_eq!(serde_json::to_string(&Name::tourist(5)).unwrap(), r#""Tourist 5""#);
        assert_eq!(serde_json::to_string(&Name::tourist(u64::MAX)).unwrap(), format!("\"Tourist {}\"", u64::MAX));
        assert_eq!(serde_json::to_string(&Name::chosen("a\"b").unwrap()).unwrap(), r#""a\"b""#);
    }

    #[test]
    fn white_space_around_a_name_does_not_count_and_its_accents_are_composed() {
        assert_eq!(chosen(" \t\u{3000}Alice B.\r\n"), Ok("Alice B.".into()));
        assert_eq!(chosen("Zoe\u{308}"), Ok("Zo\u{EB}".into()));
    }

    #[test]
    fn a_name_has_1_to_32_characters_counted_in_nfc() {
        assert_eq!(chosen(""), Err(NameError::Length));
        assert_eq!(chosen(" \n "), Err(NameError::Length));
        assert_eq!(chosen(&"😀".repeat(32)).map(|name| name.len()), Ok(128));
        assert_eq!(chosen(&"😀".repeat(33)), Err(NameError::Length));
        assert_eq!(chosen(&"a".repeat(1 << 16)), Err(NameError::Length));
        assert_eq!(chosen(&"\u{301}".repeat(1 << 16)), Err(NameError::Length));
        assert_eq!(chosen(&"e\u{301}".repeat(32)).map(|name| name.chars().count()), Ok(32));
    }

    #[test]
    fn each_reason_against_a_name_has_its_own_word() {
        let rows = [
            ("a\nb", NameError::Character(BadCharacter::Control)),
            ("a\u{202E}b", NameError::Character(BadCharacter::Direction)),
            ("a\u{200B}b", NameError::Character(BadCharacter::Invisible)),
            ("\u{3164}", NameError::Character(BadCharacter::Invisible)),
            ("a\u{A0}b", NameError::Character(BadCharacter::OddSpace)),
            ("a\u{E000}b", NameError::Character(BadCharacter::Unassigned)),
            ("a  b", NameError::Spaces),
            ("\u{301}a", NameError::LeadingMark),
            ("\u{20DD}", NameError::LeadingMark),
            ("Tourist 5", NameError::Tourist),
            ("roomd", NameError::Daemon),
        ];
        for (text, expected) in rows {
            assert_eq!(chosen(text), Err(expected), "{text:?}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_name_is_a_sentence_for_the_one_who_wanted_it() {
        assert_eq!(NameError::Length.to_string(), "A name has 1 to 32 characters.");
        let direction = NameError::Character(BadCharacter::Direction);
        assert_eq!(direction.to_string(), "Your name cannot contain characters that turn the direction of writing.");
    }

    #[test]
    fn nobody_can_pass_for_a_tourist() {
        let doubles = [
            "tourist 5",
            "TOURIST5",
            "Tourist lO",
            "Тоurіѕt 1",
            "Ｔourist ５",
            "Tour1st 7",
            "Tourist ٣",
            "Tourist ²",
            "𝐓𝐨𝐮𝐫𝐢𝐬𝐭 𝟏𝟐",
            "TOURlST 007",
            "Tourist 5\u{FE0F}\u{20E3}",
            "TOURİST 5",
        ];
        for text in doubles {
            assert_eq!(chosen(text), Err(NameError::Tourist), "{text}");
        }
        for text in ["Tourist", "Tourists 5", "A Tourist 5", "Tourist 5th", "Tourism 5", "42"] {
            assert_eq!(chosen(text).as_deref(), Ok(text));
        }
    }

    #[test]
    fn nobody_can_pass_for_the_daemon() {
        for text in ["RoomD", "r00md", "rοοmd", "roornd", " roomd ", "ｒｏｏｍｄ"] {
            assert_eq!(chosen(text), Err(NameError::Daemon), "{text}");
        }
        assert_eq!(chosen("room").as_deref(), Ok("room"));
    }

    #[test]
    fn names_are_the_same_without_regard_to_case() {
        for (one, other) in [
            ("Alice", "aLICE"),
            ("Straße", "STRASSE"),
            ("ΟΔΥΣΣΕΎΣ", "οδυσσεύς"),
            ("Zoë", "ZOE\u{308}"),
            ("ẞ", "ß"),
            ("İnci", "inci"),
            ("İNCİ", "İnci"),
            ("Işık", "IŞIK"),
            ("K", "\u{212A}"),
            ("ﬁn", "FIN"),
            ("ǅ", "ǆ"),
            ("ŉ", "ʼN"),
            ("ς", "Σ"),
            ("Åse", "\u{212B}SE"),
        ] {
            assert_eq!(key(one).folded, key(other).folded, "{one} {other}");
        }
        assert_ne!(key("Alice").folded, key("Alise").folded);
    }

    #[test]
    fn names_that_look_alike_are_too_similar_in_whatever_case_the_double_hides() {
        let rows = [
            ("Alice", "Аlice"),   // Cyrillic А
            ("Alice", "AIice"),   // a capital I for the l
            ("ALICE", "аlice"),   // Cyrillic а
            ("Hektor", "Нektor"), // Cyrillic Н
            ("bob", "B0B"),
            ("corn", "com"),
            ("paypal", "ρaypal"), // Greek ρ
            ("Max", "𝐌𝐚𝐱"),
            ("MAX", "ｍａｘ"),
            ("❤", "❤\u{FE0F}"),
            ("❤\u{FE0E}", "❤\u{FE0F}"),
            ("👩\u{200D}💻", "👩💻"),
            ("1\u{FE0F}\u{20E3}", "1\u{20E3}"),
            ("علی\u{200C}رضا", "علیرضا"),
            ("ශ\u{DCA}\u{200D}රී", "ශ\u{DCA}රී"),
            ("葛\u{E0100}", "葛"),
            ("葛\u{E0100}", "葛\u{E0101}"),
            ("j\u{307}o", "ｊo"),
            ("і\u{307}van", "ivan"), // Cyrillic і
        ];
        for (one, other) in rows {
            assert_ne!(key(one).folded, key(other).folded, "{one} {other}");
            assert_eq!(key(one).look, key(other).look, "{one} {other}");
        }
        for (one, other) in [
            ("Anna", "Anne"),
            ("Bob", "Rob"),
            ("山", "川"),
            ("Zoe", "Zoë"),
            ("Иван", "Iwan"),
            ("1\u{FE0F}\u{20E3}", "2\u{FE0F}\u{20E3}"),
            (SCOTLAND, ENGLAND),
        ] {
            assert_ne!(key(one).look, key(other).look, "{one} {other}");
        }
    }

    /// Names of one length cost the same, within a small factor, whatever they are made of.
    #[test]
    fn what_is_compared_of_a_name_is_bounded_whatever_its_ligatures_become() {
        for text in ["\u{FDFA}", "\u{3300}", "\u{1F82}", "😀", "ﬃ"] {
            let key = key(&text.repeat(MAX_NAME_CHARACTERS));
            assert!(
                key.folded.len() <= 1024 && key.look.len() <= 1024,
                "{text}: {} {}",
                key.folded.len(),
                key.look.len()
            );
        }
    }

    #[test]
    fn a_tourist_is_parsed_in_any_case_but_in_one_way_only() {
        for (text, number) in [("Tourist 5", 5), ("tOURIST 0", 0), ("tourist 18446744073709551615", u64::MAX)] {
            assert_eq!(Name::parse_tourist(text), Some(number), "{text}");
        }
        let others = [
            "Tourist",
            "Tourist ",
            "Tourist  5",
            "Tourist5",
            "Tourist 05",
            "Tourist 00",
            "Tourist +5",
            "Tourist -5",
            " Tourist 5",
            "Tourist 5 ",
            "Tourist ٣",
            "Tourist 18446744073709551616",
        ];
        for text in others {
            assert_eq!(Name::parse_tourist(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_stored_name_comes_back_letter_by_letter(text in any::<String>(), number in any::<u64>(), odd in "[Tt]ourist \\+?[0-9]{1,3}") {
            prop_assert_eq!(Name::from_stored(&text).to_string(), text);
            prop_assert_eq!(Name::from_stored(&odd).to_string(), odd);
            prop_assert_eq!(Name::from_stored(&Name::tourist(number).to_string()), Name::tourist(number));
        }

        #[test]
        fn whatever_is_chosen_can_be_chosen_again_and_is_the_same(text in "\\PC{1,40}|[\\u{0}-\\u{2FF}]{1,40}|[touris5l 0]{1,12}") {
            if let Ok(name) = Name::chosen(&text) {
                let written = name.to_string();
                prop_assert!((1..=32).contains(&written.chars().count()) && written.len() <= 128);
                prop_assert_eq!(Name::chosen(&written), Ok(name.clone()));
                prop_assert_eq!(Name::from_stored(&written), name);
                prop_assert_eq!(Name::parse_tourist(&written), None);
            }
        }

        /// Of the decomposed form, as Unicode wants it (section 3.13.5): a capital of U+1F80 has an iota behind it, and a
        /// mark that stood behind the whole letter would stand behind that.
        #[test]
        fn a_change_of_case_is_the_same_name(text in "\\PC{1,32}") {
            let loud = text.nfd().collect::<String>().to_uppercase();
            if let (Ok(name), Ok(loud)) = (Name::chosen(&text), Name::chosen(&loud)) {
                prop_assert_eq!(name.key().folded, loud.key().folded);
            }
        }
    }
}
