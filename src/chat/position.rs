//! A place in a room's stream, as a client says it when it comes back.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// Which log an id is of. A log gets a new one when it is made, and whenever it may have lost its end: then ids that
/// somebody remembers may be of messages that it does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Epoch(pub u64);

/// Everything up to this message its owner has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Of which log; a client may leave that out.
    pub epoch: Option<Epoch>,
    /// The message; 0 is before the first.
    pub id: u64,
}

/// Where the ids of a room stand.
///
/// They rise by one. When the log may have lost its end they jump: the room goes on far above all that somebody may
/// remember.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RoomIds {
    /// No id up to here was ever given.
    pub first: u64,
    /// They rise by one from behind this one on.
    pub base: u64,
    /// The newest; or `base`, when nothing has been said since they jumped. 0 in a room where nothing ever was.
    pub last: u64,
}

impl RoomIds {
    /// Of a room that has never jumped.
    #[must_use]
    pub fn up_to(last: u64) -> RoomIds {
        RoomIds { last, ..RoomIds::default() }
    }

    /// After the next message. If that is not the next id, the room has begun with it: nothing is known of any before.
    #[must_use]
    pub fn followed_by(self, id: u64) -> RoomIds {
        let before = id.saturating_sub(1);
        if before == self.last {
            RoomIds { last: id, ..self }
        } else {
            RoomIds { first: before, base: before, last: id }
        }
    }
}

/// It is neither `ID` nor `EPOCH-ID`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoPosition;

/// Hexadecimal digits of an epoch, at least as it is written and at most as it is read.
const LEAST_DIGITS: usize = 12;
const MOST_DIGITS: usize = 16;

impl Epoch {
    /// In hexadecimal, twelve digits at least. Not by the library's formatting: each handshake writes it, and that would be
    /// a part of its cost that can be seen.
    fn digits(self, buffer: &mut [u8; MOST_DIGITS]) -> &str {
        let mut rest = self.0;
        for digit in buffer.iter_mut().rev() {
            *digit = b"0123456789abcdef"[(rest & 0xf) as usize];
            rest >>= 4;
        }
        let zeros = (self.0.leading_zeros() / 4) as usize;
        std::str::from_utf8(&buffer[zeros.min(MOST_DIGITS - LEAST_DIGITS)..]).unwrap_or_default()
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.digits(&mut [0; MOST_DIGITS]))
    }
}

impl Serialize for Epoch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.digits(&mut [0; MOST_DIGITS]))
    }
}

impl FromStr for Position {
    type Err = NoPosition;

    fn from_str(text: &str) -> Result<Position, NoPosition> {
        let (epoch, id) = match text.split_once('-') {
            None => (None, text),
            Some((epoch, id)) => (Some(parse_epoch(epoch).ok_or(NoPosition)?), id),
        };
        message_id(id).map(|id| Position { epoch, id }).ok_or(NoPosition)
    }
}

/// Not by the parser of the standard library alone: that takes a sign.
fn parse_epoch(text: &str) -> Option<Epoch> {
    let is_one = (1..=MOST_DIGITS).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_one.then(|| u64::from_str_radix(text, 16).ok()).flatten().map(Epoch)
}

/// The id of a message as people and clients write it, here and in `/history`: digits only. The library's parser takes a
/// plus as well.
#[must_use]
pub fn message_id(digits: &str) -> Option<u64> {
    if digits.starts_with('+') { None } else { digits.parse().ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_an_id_or_an_epoch_and_an_id() {
        let with = |epoch, id| Ok(Position { epoch, id });
        let longest = "f".repeat(MOST_DIGITS);
        for (text, expected) in [
            ("0", with(None, 0)),
            ("18446744073709551615", with(None, u64::MAX)),
            ("1a-17", with(Some(Epoch(26)), 17)),
            ("00000000001A-17", with(Some(Epoch(26)), 17)),
            (&format!("{longest}-0"), with(Some(Epoch(u64::MAX)), 0)),
        ] {
            assert_eq!(text.parse(), expected, "{text}");
        }
        for epoch in [0, 1, (1 << 48) - 1, 1 << 48, u64::MAX] {
            assert_eq!(Epoch(epoch).to_string(), format!("{epoch:012x}"));
        }
        let written = Epoch(26).to_string();
        assert_eq!((&*written, format!("{written}-17").parse()), ("00000000001a", with(Some(Epoch(26)), 17)));
    }

    #[test]
    fn anything_else_is_none() {
        let too_long = format!("{}-1", "0".repeat(MOST_DIGITS + 1));
        for text in [
            "", "-", "-1", "1-", "--1", "1--1", "1-2-3", "+1-2", "1-+2", "x-1", "0x1-2", "1 -2", "é-1", "1.5",
            &too_long,
        ] {
            assert_eq!(text.parse::<Position>(), Err(NoPosition), "{text:?}");
        }
    }
}
