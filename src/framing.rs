//! How an event becomes bytes for a client.
//!
//! An event is JSON, and the same for all. What differs is how one event is told from the next: a WebSocket has a frame for
//! each. The bytes of one event in one framing are a *unit*. A room's turn is encoded once for each framing that a member of
//! it uses, and so a framing is the index of what is encoded: see `hub::stream`.
//!
//! A framing knows three things: how a unit is written, where a run of units may be cut, and what lies between two cuts. It
//! knows no event, no room and no connection. A `match` is all the dispatch there is; with one variant it is none.

use crate::websocket::frame;

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// Each event is a text message of one frame (RFC 6455 section 5.6).
    WebSocket,
}

impl Framing {
    /// Each of them, at its [index](Framing::index).
    pub const ALL: [Framing; 1] = [Framing::WebSocket];

    /// Its place in a list that has one entry for each.
    #[must_use]
    pub fn index(self) -> usize {
        self as usize
    }

    /// Appends a unit to `out`, and gives the JSON in it. `write_json` writes that in place, at the end of what it is given:
    /// an event goes from its fields to the wire without a buffer in between.
    #[inline]
    pub fn append_with(self, out: &mut Vec<u8>, write_json: impl FnOnce(&mut Vec<u8>)) -> &[u8] {
        match self {
            Framing::WebSocket => frame::append_text_with(out, write_json),
        }
    }

    /// Appends a unit of JSON that has been written before.
    #[inline]
    pub fn append(self, out: &mut Vec<u8>, json: &[u8]) {
        match self {
            Framing::WebSocket => frame::append_frame(out, frame::Opcode::Text, json),
        }
    }

    /// The end of the last unit that begins before `offset`, in a run of whole units.
    ///
    /// Used when a queue is cut short: what a socket has begun to send must be finished, or the client takes what follows
    /// for a part of it.
    #[must_use]
    pub fn boundary_at_or_after(self, units: &[u8], offset: usize) -> usize {
        match self {
            Framing::WebSocket => frame::boundary_at_or_after(units, offset),
        }
    }

    /// The beginning of the unit that `offset` lies in, in a run of whole units.
    #[must_use]
    pub fn boundary_at_or_before(self, units: &[u8], offset: usize) -> usize {
        match self {
            Framing::WebSocket => frame::boundary_at_or_before(units, offset),
        }
    }

    /// The first of a run of whole units, and what is behind it; `None` at the end of the run.
    #[must_use]
    pub fn split_first(self, units: &[u8]) -> Option<(&[u8], &[u8])> {
        match self {
            Framing::WebSocket => frame::split_first_of_ours(units),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: &[&str] = &["", "1", r#"{"mess":"two\nlines"}"#, r#"{"mess":"汉字"}"#];

    /// Lengths at which a header grows are the framing's own to test; these are here for whatever framing comes next.
    fn texts() -> impl Iterator<Item = Vec<u8>> {
        let long = [125, 126, 65_535, 65_536].map(|len| vec![b'x'; len]);
        JSON.iter().map(|json| json.as_bytes().to_vec()).chain(long)
    }

    #[test]
    fn each_has_its_index() {
        for (index, framing) in Framing::ALL.into_iter().enumerate() {
            assert_eq!(framing.index(), index);
        }
    }

    #[test]
    fn json_written_in_place_and_json_written_before_give_the_same_unit() {
        for framing in Framing::ALL {
            for json in texts() {
                let mut copied = b"before".to_vec();
                framing.append(&mut copied, &json);
                let mut in_place = b"before".to_vec();
                assert!(framing.append_with(&mut in_place, |out| out.extend_from_slice(&json)) == json);
                assert!(in_place == copied, "{framing:?}: {} bytes", json.len());
            }
        }
    }

    #[test]
    fn a_run_of_units_is_cut_between_two_units_and_nowhere_else() {
        for framing in Framing::ALL {
            let mut run = Vec::new();
            let mut ends = vec![0];
            for json in texts() {
                framing.append(&mut run, &json);
                ends.push(run.len());
            }
            // The long units are alike inside, so only their edges are looked at.
            let near_an_edge = |offset: &usize| ends.iter().any(|end| end.abs_diff(*offset) <= 12);
            for offset in (0..=run.len()).filter(near_an_edge) {
                let after = ends.iter().copied().find(|end| *end >= offset);
                assert_eq!(Some(framing.boundary_at_or_after(&run, offset)), after, "{framing:?}, offset {offset}");
                let before = ends.iter().copied().rfind(|end| *end <= offset);
                assert_eq!(Some(framing.boundary_at_or_before(&run, offset)), before, "{framing:?}, offset {offset}");
            }
            let mut rest = &run[..];
            for pair in ends.windows(2) {
                let (first, behind) = framing.split_first(rest).unwrap();
                assert!(first == &run[pair[0]..pair[1]], "{framing:?}");
                rest = behind;
            }
            assert_eq!(framing.split_first(rest), None);
        }
    }
}
