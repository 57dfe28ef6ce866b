//! Every frame, drawn into the log: `RUST_LOG=roomd::wire=trace`. It is the one place that logs what is said.

use std::collections::BTreeMap;

use log::{Level, log_enabled, trace};

use super::peers::PeerId;
use crate::chat::RoomName;
use crate::connection::{Phase, State};
use crate::framing::Framing;
use crate::inspect::dump;
use crate::inspect::layout::{self, Layout};
use crate::limits::fixed::SHOWN_PAYLOAD_BYTES;
use crate::websocket::frame::Sender;

/// The target of the log, apart from the module's own: no line of it is to be had by accident with `roomd::hub=trace`.
const TARGET: &str = "roomd::wire";

/// Draws the frames that are received. There is one only if the log asks for it, and without it nothing is paid.
///
/// It is shown the bytes that a connection is about to take, since the decoder removes their mask in place, and cuts them where
/// the decoder will: at the end of each frame, which the [`Layout`] that is drawn knows. What it does is marked as cold, to
/// stay out of the loops that call it. Of frames that have begun it keeps a copy, which `--max-message` bounds.
#[derive(Default)]
pub(super) struct FrameTrace {
    begun: BTreeMap<PeerId, Vec<u8>>,
}

impl FrameTrace {
    /// As the log wants it.
    pub(super) fn if_logged() -> Option<FrameTrace> {
        is_logged().then(FrameTrace::default)
    }

    /// A connection is about to take the next frame off the front of `input`, or as much of it as is there.
    #[cold]
    pub(super) fn receives(&mut self, id: PeerId, state: State, mut input: &[u8]) {
        match state {
            State::Open | State::HungUp => {
                self.take_frame(id, input);
            }
            // After our Close it takes all that has come at once.
            State::Closing(Phase::AwaitingClose) => {
                while !input.is_empty() {
                    let taken = self.take_frame(id, input);
                    input = input.get(taken..).unwrap_or_default();
                }
            }
            State::AwaitingHandshake | State::AwaitingNext | State::Closing(_) | State::Ended => {}
        }
    }

    /// A connection is no more: shows what it began to say.
    #[cold]
    pub(super) fn ended(&mut self, id: PeerId) {
        if let Some(begun) = self.begun.remove(&id) {
            log_frame(&format!("received from #{}", id.serial), Layout::of(&begun));
        }
    }

    /// Says how many bytes of `input` belong to this frame.
    fn take_frame(&mut self, id: PeerId, input: &[u8]) -> usize {
        if input.is_empty() {
            return 0;
        }
        let mut bytes = self.begun.remove(&id).unwrap_or_default();
        let before = bytes.len();
        bytes.extend_from_slice(input);
        let layout = Layout::of(&bytes);
        // 5.1: of a client, a frame without a mask is at fault as well.
        let is_at_fault = layout.fault().is_some() || layout.sender() == Some(Sender::Server);
        if !is_at_fault && layout.missing().is_some() {
            self.begun.insert(id, bytes);
            return input.len();
        }
        let frame_bytes = layout.frame().len();
        log_frame(&format!("received from #{}", id.serial), layout);
        // The connection fails with a frame at fault, and takes no other.
        if is_at_fault { input.len() } else { frame_bytes.saturating_sub(before) }
    }
}

/// Whether the log asks for frames.
pub(super) fn is_logged() -> bool {
    log_enabled!(target: TARGET, Level::Trace)
}

/// Frames are about to be sent to one connection.
#[cold]
pub(super) fn sends(id: PeerId, framing: Framing, units: &[u8]) {
    for_each(framing, units, |frame| log_frame(&format!("sent to #{}", id.serial), Layout::of(frame)));
}

/// What a room hears this turn is about to be sent to its members: drawn once for all of them.
#[cold]
pub(super) fn sends_to_room(room: &RoomName, members: usize, framing: Framing, units: &[u8]) {
    let noun = if members == 1 { "member" } else { "members" };
    let title = format!("sent to {members} {noun} of {}", room.as_str());
    if members > 0 {
        for_each(framing, units, |frame| log_frame(&title, Layout::of(frame)));
    }
}

fn for_each(framing: Framing, mut units: &[u8], mut draw: impl FnMut(&[u8])) {
    while let Some((unit, rest)) = framing.split_first(units) {
        draw(unit);
        units = rest;
    }
}

fn log_frame(title: &str, layout: Layout<'_>) {
    let layout = layout.with_payload_up_to(SHOWN_PAYLOAD_BYTES);
    let mut text = format!("{title}: {}\n{layout}", dump::bytes(layout.frame().len() as u64));
    // Writing to a String cannot fail.
    let _ = match (layout.fault(), layout.missing()) {
        (Some(violation), _) => layout::write_fault(&mut text, violation),
        (None, Some(missing)) => layout::write_missing(&mut text, missing),
        (None, None) => Ok(()),
    };
    trace!(target: TARGET, "{}", text.trim_end());
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: PeerId = PeerId { slot: 0, serial: 1 };
    const PING: &[u8] = &[0x89, 0x82, 1, 2, 3, 4, b'h', b'i'];
    const TEXT: &[u8] = &[0x81, 0x81, 1, 2, 3, 4, b'x'];

    #[test]
    fn a_frame_is_cut_where_it_ends_however_it_came() {
        let both = [PING, TEXT].concat();
        for cut in 1..PING.len() {
            let mut trace = FrameTrace::default();
            assert_eq!(trace.take_frame(ID, &both[..cut]), cut);
            assert_eq!(trace.begun.get(&ID).map(Vec::len), Some(cut), "it has begun");
            assert_eq!(trace.take_frame(ID, &both[cut..]), PING.len() - cut, "cut after {cut} bytes");
            assert!(trace.begun.is_empty());
            assert_eq!(trace.take_frame(ID, TEXT), TEXT.len());
        }
    }

    #[test]
    fn a_frame_at_fault_is_drawn_at_once_and_nothing_is_expected_behind_it() {
        let without_mask: &[u8] = &[0x81, 5, b'h'];
        let reserved_bit: &[u8] = &[0xc1];
        let bad_close: &[u8] = &[0x88, 0x81, 1, 2, 3, 4, 0];
        for fault in [without_mask, reserved_bit, bad_close] {
            let mut trace = FrameTrace::default();
            let input = [fault, TEXT].concat();
            assert_eq!(trace.take_frame(ID, &input), input.len(), "{fault:02x?}");
            assert!(trace.begun.is_empty(), "{fault:02x?}");
        }
    }
}
