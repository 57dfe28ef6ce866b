//! What rooms are called.

use std::fmt;
use std::sync::Arc;

use percent_encoding::percent_decode_str;

use super::text::{self, BadCharacter};
use crate::limits::fixed::MAX_ROOM_NAME_BYTES;

/// A room's name. Case counts: it is a part of an address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoomName(Arc<str>);

/// Why no room can be called so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadRoomName {
    /// It is empty, or longer than [`MAX_ROOM_NAME_BYTES`].
    Length,
    /// It contains what may not be in a name.
    Character(BadCharacter),
    /// It contains a `/`, which divides the parts of an address.
    Slash,
    /// It is `.` or `..`: in an address, browsers take them for the way to a folder.
    Dots,
    /// It begins or ends with a space. An address that was copied has lost it.
    OuterSpace,
    /// As a part of an address: a percent sign without two hexadecimal digits behind it.
    Percent,
    /// As a part of an address: what the percent signs stand for is not UTF-8.
    NotUtf8,
}

impl RoomName {
    /// The room of those who ask for none.
    #[must_use]
    pub fn lobby() -> RoomName {
        RoomName("lobby".into())
    }

    /// The room that is called `text`; kept is its NFC.
    ///
    /// # Errors
    /// If no room can be called so.
    pub fn parse(text: &str) -> Result<RoomName, BadRoomName> {
        // A character has a byte at least.
        let text = text::composed(text, MAX_ROOM_NAME_BYTES).filter(|text| !text.is_empty());
        let text = text.filter(|text| text.len() <= MAX_ROOM_NAME_BYTES).ok_or(BadRoomName::Length)?;
        text::check(&text).map_err(BadRoomName::Character)?;
        if text.contains('/') {
            return Err(BadRoomName::Slash);
        }
        if matches!(text.as_str(), "." | "..") {
            return Err(BadRoomName::Dots);
        }
        if text.starts_with(' ') || text.ends_with(' ') {
            return Err(BadRoomName::OuterSpace);
        }
        Ok(RoomName(text.into()))
    }

    /// The room of an address: `segment` is what stands behind `/r/`, with its percent signs.
    ///
    /// # Errors
    /// If no room can be called so.
    pub fn from_path_segment(segment: &str) -> Result<RoomName, BadRoomName> {
        // The decoder would let such a sign stand for itself: two addresses for one room, and no browser writes the one.
        let is_escape = |rest: &str| {
            rest.as_bytes().first_chunk().is_some_and(|digits: &[u8; 2]| digits.iter().all(u8::is_ascii_hexdigit))
        };
        if !segment.split('%').skip(1).all(is_escape) {
            return Err(BadRoomName::Percent);
        }
        let text = percent_decode_str(segment).decode_utf8().map_err(|_| BadRoomName::NotUtf8)?;
        RoomName::parse(&text)
    }

    /// The name itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RoomName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for BadRoomName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadRoomName::Length => write!(f, "A room's name has 1 to {MAX_ROOM_NAME_BYTES} bytes in UTF-8."),
            BadRoomName::Character(character) => write!(f, "A room's name cannot contain {character}."),
            BadRoomName::Slash => f.write_str("A room's name cannot contain a slash."),
            BadRoomName::Dots => f.write_str("A room's name cannot be one dot or two."),
            BadRoomName::OuterSpace => f.write_str("A room's name cannot begin or end with a space."),
            BadRoomName::Percent => f.write_str("In an address, two hexadecimal digits follow each percent sign."),
            BadRoomName::NotUtf8 => f.write_str("A room's name must be UTF-8, in an address with percent signs."),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parsed(text: &str) -> Result<String, BadRoomName> {
        RoomName::parse(text).map(|room| room.to_string())
    }

    fn in_address(segment: &str) -> Result<String, BadRoomName> {
        RoomName::from_path_segment(segment).map(|room| room.to_string())
    }

    #[test]
    fn each_reason_against_a_room_name_has_its_own_word() {
        let rows = [
            ("", BadRoomName::Length),
            ("a\tb", BadRoomName::Character(BadCharacter::Control)),
            ("a\u{202E}b", BadRoomName::Character(BadCharacter::Direction)),
            ("a\u{200B}b", BadRoomName::Character(BadCharacter::Invisible)),
            ("a/b", BadRoomName::Slash),
            (".", BadRoomName::Dots),
            ("..", BadRoomName::Dots),
            (" a", BadRoomName::OuterSpace),
            ("a ", BadRoomName::OuterSpace),
        ];
        for (text, expected) in rows {
            assert_eq!(parsed(text), Err(expected), "{text:?}");
        }
    }

    #[test]
    fn a_room_name_has_1_to_64_bytes_counted_in_nfc() {
        assert_eq!(parsed(&"a".repeat(64)).as_deref(), Ok(&*"a".repeat(64)));
        assert_eq!(parsed(&"a".repeat(65)), Err(BadRoomName::Length));
        assert_eq!(parsed(&"汉".repeat(21)).as_deref(), Ok(&*"汉".repeat(21)));
        assert_eq!(parsed(&"汉".repeat(22)), Err(BadRoomName::Length));
        assert_eq!(parsed(&"e\u{301}".repeat(32)).as_deref(), Ok(&*"é".repeat(32)));
    }

    #[test]
    fn the_case_of_a_room_counts_and_the_form_of_its_accents_does_not() {
        assert_ne!(RoomName::parse("Lobby"), Ok(RoomName::lobby()));
        assert_eq!(RoomName::parse("lobby"), Ok(RoomName::lobby()));
        assert_eq!(RoomName::parse("cafe\u{301}"), RoomName::parse("café"));
    }

    #[test]
    fn an_address_names_a_room_with_percent_signs() {
        assert_eq!(in_address("%E6%B1%89"), Ok("汉".into()));
        assert_eq!(in_address("two%20words"), Ok("two words".into()));
        assert_eq!(in_address("a+b"), Ok("a+b".into()), "a plus is a space in a query only");
        assert_eq!(in_address("100%25"), Ok("100%".into()));
        assert_eq!(in_address("%e6%b1%89"), Ok("汉".into()));
        for segment in ["100%", "%zz", "%4", "%", "a%%41", "%4g", "%-1", "%汉", "%+1"] {
            assert_eq!(in_address(segment), Err(BadRoomName::Percent), "{segment}");
        }
        for segment in ["%C3", "%C0%AF", "%ED%A0%80", "%F4%90%80%80", "%80"] {
            assert_eq!(in_address(segment), Err(BadRoomName::NotUtf8), "{segment}");
        }
        assert_eq!(in_address("a%2Fb"), Err(BadRoomName::Slash));
        assert_eq!(in_address("%2e%2E"), Err(BadRoomName::Dots));
        assert_eq!(in_address("%FF"), Err(BadRoomName::NotUtf8));
        assert_eq!(in_address("a%00"), Err(BadRoomName::Character(BadCharacter::Control)));
    }

    proptest! {
        #[test]
        fn a_room_is_found_again_by_its_own_name(text in "\\PC{0,40}|[./ a%]{0,4}") {
            if let Ok(room) = RoomName::parse(&text) {
                prop_assert!((1..=MAX_ROOM_NAME_BYTES).contains(&room.as_str().len()));
                prop_assert_eq!(RoomName::parse(room.as_str()), Ok(room.clone()));
                let segment: String = room.as_str().bytes().map(|byte| format!("%{byte:02X}")).collect();
                prop_assert_eq!(RoomName::from_path_segment(&segment), Ok(room));
            }
        }

        #[test]
        fn no_address_is_a_panic(segment in any::<String>()) {
            let _ = RoomName::from_path_segment(&segment);
        }
    }
}
