//! The same person again: a secret that a client makes for itself, and the number that the daemon knows it by.
//!
//! There are no accounts. A client that shows the secret that it has shown before is the same person. The secret is used to
//! make a [`PersonId`] and then forgotten, and never logged.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::chat::person::{BadSecret, PersonId};
use crate::limits::fixed::{MAX_SECRET_CHARACTERS, MIN_SECRET_CHARACTERS};

/// A secret that a client has made: printable ASCII without spaces, so that it can stand in an address, a header and a cookie.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<[u8]>);

impl Secret {
    /// A secret, as a client shows it.
    ///
    /// # Errors
    /// [`BadSecret`]
    pub fn parse(bytes: &[u8]) -> Result<Secret, BadSecret> {
        if !bytes.iter().all(u8::is_ascii_graphic) {
            return Err(BadSecret::NotPrintable);
        }
        match bytes.len() {
            0..MIN_SECRET_CHARACTERS => Err(BadSecret::TooShort),
            MIN_SECRET_CHARACTERS..=MAX_SECRET_CHARACTERS => Ok(Secret(bytes.into())),
            _ => Err(BadSecret::TooLong),
        }
    }
}

/// Without the secret: what is printed for a developer ends in logs.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// What the daemon mixes into each secret, so that a tag says nothing to anybody who does not know it, and the same secret
/// has another tag at another daemon. It is kept with the history.
pub struct PersonKey([u8; 32]);

impl PersonKey {
    /// 32 random bytes that were made once.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> PersonKey {
        PersonKey(bytes)
    }

    /// The person who has this secret: HMAC-SHA256 (RFC 2104), cut to 128 bits.
    #[must_use]
    pub fn person(&self, secret: &Secret) -> PersonId {
        // HMAC takes a key of any length.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else { return PersonId([0; 16]) };
        // Other things than secrets may be hashed with this key: the word in front tells them apart.
        mac.update(b"me:");
        mac.update(&secret.0);
        let mut bytes = [0; 16];
        bytes.iter_mut().zip(mac.finalize().into_bytes()).for_each(|(byte, of_hash)| *byte = of_hash);
        PersonId(bytes)
    }
}

impl fmt::Debug for PersonKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PersonKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_has_16_to_128_printable_characters() {
        for (text, expected) in [
            ("", Some(BadSecret::TooShort)),
            ("123456789012345", Some(BadSecret::TooShort)),
            ("1234567890123456", None),
            (&"x".repeat(128), None),
            (&"x".repeat(129), Some(BadSecret::TooLong)),
            (&"x".repeat(100_000), Some(BadSecret::TooLong)),
            ("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", None),
            ("1234567890 123456", Some(BadSecret::NotPrintable)),
            ("1234567890\t123456", Some(BadSecret::NotPrintable)),
            ("1234567890\u{0}123456", Some(BadSecret::NotPrintable)),
            ("1234567890\u{7f}123456", Some(BadSecret::NotPrintable)),
            ("1234567890汉字123456", Some(BadSecret::NotPrintable)),
            ("1234567890\u{fffd}123456", Some(BadSecret::NotPrintable)),
        ] {
            assert_eq!(Secret::parse(text.as_bytes()).err(), expected, "{text:?}");
        }
    }

    #[test]
    fn neither_a_secret_nor_the_key_is_shown_to_developers() {
        let secret = Secret::parse("open sesame".repeat(2).replace(' ', "-").as_bytes()).unwrap();
        assert_eq!(format!("{secret:?} {:?}", PersonKey::new([b'k'; 32])), "Secret(..) PersonKey(..)");
    }

    #[test]
    fn one_secret_is_one_person_and_another_secret_or_key_is_another() {
        let secret = |text: &str| Secret::parse(text.as_bytes()).unwrap();
        let key = PersonKey::new([1; 32]);
        let person = key.person(&secret("correct-horse-battery"));
        assert_eq!(key.person(&secret("correct-horse-battery")), person);
        assert_ne!(key.person(&secret("correct-horse-batterz")), person);
        assert_ne!(PersonKey::new([2; 32]).person(&secret("correct-horse-battery")), person);
    }

    /// What was said long ago keeps its mark: the way from secret to person never changes.
    #[test]
    fn a_person_is_the_same_in_each_version() {
        let person = PersonKey::new([1; 32]).person(&Secret::parse(b"correct-horse-battery").unwrap());
        assert_eq!(person.tag().to_string(), "n9yj2m");
    }
}
