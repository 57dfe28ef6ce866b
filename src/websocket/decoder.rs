//! Bytes into messages, however the network has cut them.
//!
//! Goals: a frame that lies whole in the read buffer costs no copy and no allocation; a connection between messages
//! owns no buffer; each byte is looked at once, so that a peer who sends one byte at a time makes linear work; faults
//! are found at the earliest byte that proves them.
//!
//! Plan: [`Decoder::decode`] takes the next event off the front of an [`Input`], which is a cursor over what was read.
//! A header that is cut waits in 14 bytes of the decoder itself; a payload that is cut is unmasked, checked and moved
//! to a buffer piece by piece. Call it until it says [`Received::NeedMore`]; after an error never again.
//!
//! Not taken: collecting bytes until a frame is complete and then parsing it. It is shorter, but looks at the start of
//! a slow frame once for every read, and finds a bad character only when the last byte has come.

use super::close::Close;
use super::frame::{FrameHeader, MAX_HEADER_BYTES, Opcode, Sender};
use super::mask;
use super::utf8::Utf8Text;
use super::violation::Violation;

/// How much a peer may make us keep for one message (RFC 6455 section 10.4).
#[derive(Debug, Clone, Copy)]
pub struct MessageLimits {
    /// Bytes of payload in one message, all fragments together.
    pub max_message_bytes: u64,
    /// Frames in one message.
    pub max_fragments: u32,
}

/// A cursor over bytes that were read. They are changed in place: unmasking needs no second buffer.
#[derive(Debug)]
pub struct Input<'b> {
    bytes: &'b mut [u8],
    taken: usize,
}

impl<'b> Input<'b> {
    /// Everything in `bytes` is still to be taken.
    pub fn new(bytes: &'b mut [u8]) -> Input<'b> {
        Input { bytes, taken: 0 }
    }

    /// What has not been taken yet.
    #[must_use]
    pub fn rest(&self) -> &[u8] {
        &self.bytes[self.taken..]
    }

    /// How many bytes have been taken.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.taken
    }

    /// Takes up to `count` bytes from the front.
    pub fn take(&mut self, count: usize) -> &mut [u8] {
        let from = self.taken;
        self.taken = from.saturating_add(count).min(self.bytes.len());
        &mut self.bytes[from..self.taken]
    }
}

/// What came off the wire.
#[derive(Debug, PartialEq, Eq)]
pub enum Received<'a> {
    /// A whole text message.
    Text(&'a str),
    /// A whole binary message.
    Binary(&'a [u8]),
    /// A frame that does not end its message: nothing to act on, but work that may be counted.
    Fragment,
    /// To be answered with a Pong of the same payload.
    Ping(&'a [u8]),
    /// A sign of life. Its payload says nothing we need.
    Pong,
    /// The peer's last frame.
    Close(Close<'a>),
    /// Everything was taken and nothing is complete: more must be read first.
    NeedMore,
}

/// The state between two reads of one connection. Boxed: a connection at rest pays one pointer.
#[derive(Debug, Default)]
pub struct Decoder {
    unfinished: Option<Box<Unfinished>>,
}

/// What has begun and not ended.
#[derive(Debug, Default)]
struct Unfinished {
    /// A header that is cut: `cut_header[..cut_header_len]`.
    cut_header: [u8; MAX_HEADER_BYTES],
    cut_header_len: u8,
    /// The frame whose payload is being read.
    frame: Option<FrameInProgress>,
    /// The payload so far of a control frame that is cut. It lives beside the message it may interrupt.
    control: Vec<u8>,
    /// The message so far, when it did not come whole in one piece.
    message: Option<MessageInProgress>,
}

#[derive(Debug, Clone, Copy)]
struct FrameInProgress {
    header: FrameHeader,
    received: u64,
}

#[derive(Debug)]
struct MessageInProgress {
    payload: MessagePayload,
    received: u64,
    fragments: u32,
    /// It was handed out; the buffer is freed at the next call.
    delivered: bool,
}

#[derive(Debug)]
enum MessagePayload {
    Text(Utf8Text),
    Binary(Vec<u8>),
}

impl Decoder {
    /// Takes the next event of a client off the front of `input`.
    ///
    /// # Errors
    /// The rule that the peer broke. The connection has failed and nothing more may be decoded (section 7.1.7).
    pub fn decode<'a>(
        &'a mut self,
        input: &'a mut Input<'_>,
        limits: &MessageLimits,
    ) -> Result<Received<'a>, Violation> {
        self.decode_from(Sender::Client, input, limits)
    }

    /// As [`Decoder::decode`], also for the frames of a server. One decoder is for one sender.
    ///
    /// # Errors
    /// The rule that the sender broke.
    #[inline]
    pub fn decode_from<'a>(
        &'a mut self,
        sender: Sender,
        input: &'a mut Input<'_>,
        limits: &MessageLimits,
    ) -> Result<Received<'a>, Violation> {
        self.forget_delivered();
        let frame = match self.unfinished.as_ref().and_then(|unfinished| unfinished.frame) {
            Some(frame) => frame,
            None => {
                let Some(header) = self.next_header(sender, input)? else { return Ok(Received::NeedMore) };
                self.check_in_context(&header, limits)?;
                FrameInProgress { header, received: 0 }
            }
        };

        let header = frame.header;
        let missing = usize::try_from(header.payload_len - frame.received).unwrap_or(usize::MAX);
        let piece = input.take(missing);
        mask::apply(piece, header.masking_key, frame.received);

        let received = frame.received + piece.len() as u64;
        let is_complete = received == header.payload_len;
        let came_whole = is_complete && frame.received == 0;
        if !is_complete {
            self.unfinished.get_or_insert_default().frame = Some(FrameInProgress { header, received });
            // A payload of which nothing has come yet may still come whole: no buffer for it.
            if piece.is_empty() {
                return Ok(Received::NeedMore);
            }
        } else if let Some(unfinished) = &mut self.unfinished {
            unfinished.frame = None;
        }

        match header.opcode {
            Opcode::Text if came_whole && header.fin => {
                std::str::from_utf8(piece).map(Received::Text).map_err(|_| Violation::TextNotUtf8)
            }
            Opcode::Binary if came_whole && header.fin => Ok(Received::Binary(piece)),
            Opcode::Text | Opcode::Binary | Opcode::Continuation => self.collect(header, piece, is_complete),
            control if came_whole => read_control(control, piece),
            control => {
                let so_far = &mut self.unfinished.get_or_insert_default().control;
                so_far.extend_from_slice(piece);
                if is_complete { read_control(control, so_far) } else { Ok(Received::NeedMore) }
            }
        }
    }

    /// A frame or message has begun and not ended: the peer owes us the rest.
    #[must_use]
    pub fn is_amid_message(&self) -> bool {
        self.unfinished.as_ref().is_some_and(|unfinished| {
            unfinished.cut_header_len > 0
                || unfinished.frame.is_some()
                || unfinished.message.as_ref().is_some_and(|message| !message.delivered)
        })
    }

    /// Bytes that are kept of a message and of a control frame that have not come whole.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.unfinished.as_ref().map_or(0, |unfinished| {
            let message = unfinished.message.as_ref().map_or(0, |message| match &message.payload {
                MessagePayload::Text(text) => text.held_bytes(),
                MessagePayload::Binary(bytes) => bytes.len(),
            });
            message + unfinished.control.len()
        })
    }

    /// Frees the message that was handed out last. [`Decoder::decode`] does so itself; a caller that has nothing more to
    /// decode calls this, so that a connection at rest owns no buffer.
    pub fn forget_delivered(&mut self) {
        let Some(unfinished) = &mut self.unfinished else { return };
        unfinished.message.take_if(|message| message.delivered);
        if unfinished.frame.is_none() {
            unfinished.control = Vec::new();
            if unfinished.message.is_none() && unfinished.cut_header_len == 0 {
                self.unfinished = None;
            }
        }
    }

    /// The next header, or `None` when it is cut: then all of the input is taken and kept.
    fn next_header(&mut self, sender: Sender, input: &mut Input<'_>) -> Result<Option<FrameHeader>, Violation> {
        let kept = self.unfinished.as_ref().map_or(0, |unfinished| usize::from(unfinished.cut_header_len));
        if kept == 0
            && let Some((header, header_len)) = FrameHeader::parse_from(sender, input.rest())?
        {
            input.take(header_len);
            return Ok(Some(header));
        }
        // The kept bytes are parsed again with the new ones: at most 14 times 14 bytes for the slowest peer.
        let fresh = input.rest().len().min(MAX_HEADER_BYTES - kept);
        if fresh == 0 {
            return Ok(None);
        }
        let unfinished = self.unfinished.get_or_insert_default();
        let mut bytes = unfinished.cut_header;
        bytes[kept..kept + fresh].copy_from_slice(&input.rest()[..fresh]);
        match FrameHeader::parse_from(sender, &bytes[..kept + fresh])? {
            Some((header, header_len)) => {
                input.take(header_len - kept);
                unfinished.cut_header_len = 0;
                Ok(Some(header))
            }
            None => {
                input.take(fresh);
                unfinished.cut_header = bytes;
                unfinished.cut_header_len = (kept + fresh) as u8;
                Ok(None)
            }
        }
    }

    /// What one header cannot know by itself: its place in a fragmented message (section 5.4), and the limits, which
    /// count over all fragments. Checked before a byte of payload is kept, and nothing is reserved by claimed length.
    fn check_in_context(&self, header: &FrameHeader, limits: &MessageLimits) -> Result<(), Violation> {
        if header.opcode.is_control() {
            return Ok(());
        }
        let message = self.unfinished.as_ref().and_then(|unfinished| unfinished.message.as_ref());
        let (received, fragments) = match (message, header.opcode) {
            (None, Opcode::Continuation) => return Err(Violation::ContinuationWithoutStart),
            (Some(message), Opcode::Continuation) => (message.received, message.fragments),
            (Some(_), _) => return Err(Violation::MessageInsideMessage),
            (None, _) => (0, 0),
        };
        // Both are far from overflow: a length has 63 bits and what was received is within the limit.
        if received.saturating_add(header.payload_len) > limits.max_message_bytes {
            return Err(Violation::MessageTooBig);
        }
        if fragments >= limits.max_fragments {
            return Err(Violation::TooManyFragments);
        }
        Ok(())
    }

    /// Adds a piece of a message that does not come whole.
    fn collect(&mut self, header: FrameHeader, piece: &[u8], is_complete: bool) -> Result<Received<'_>, Violation> {
        let message = self.unfinished.get_or_insert_default().message.get_or_insert_with(|| {
            let payload = match header.opcode {
                Opcode::Text => MessagePayload::Text(Utf8Text::default()),
                // A continuation without a start was refused with its header.
                _ => MessagePayload::Binary(Vec::new()),
            };
            MessageInProgress { payload, received: 0, fragments: 0, delivered: false }
        });
        message.received += piece.len() as u64;
        match &mut message.payload {
            MessagePayload::Text(text) => text.push(piece).map_err(|_| Violation::TextNotUtf8)?,
            MessagePayload::Binary(bytes) => bytes.extend_from_slice(piece),
        }
        if !is_complete {
            return Ok(Received::NeedMore);
        }
        message.fragments += 1;
        if !header.fin {
            return Ok(Received::Fragment);
        }
        message.delivered = true;
        match &message.payload {
            MessagePayload::Text(text) => text.finish().map(Received::Text).map_err(|_| Violation::TextNotUtf8),
            MessagePayload::Binary(bytes) => Ok(Received::Binary(bytes)),
        }
    }
}

fn read_control(opcode: Opcode, payload: &[u8]) -> Result<Received<'_>, Violation> {
    match opcode {
        Opcode::Ping => Ok(Received::Ping(payload)),
        Opcode::Close => Close::parse(payload).map(Received::Close),
        // 5.5.3: a Pong nobody asked for is fine, and none needs an answer.
        _ => Ok(Received::Pong),
    }
}

#[cfg(test)]
mod tests {
    use super::super::close::CloseCode;
    use super::*;
    use proptest::prelude::*;

    const LIMITS: MessageLimits = MessageLimits { max_message_bytes: 1_000, max_fragments: 10 };
    const FIN: u8 = 0x80;

    /// What a stream of bytes amounted to, owned, so that two ways of reading it can be compared.
    #[derive(Debug, Clone, PartialEq, Eq)]
    enum Seen {
        Text(String),
        Binary(Vec<u8>),
        Fragment,
        Ping(Vec<u8>),
        Pong,
        Close(Option<CloseCode>, String),
        Failed(Violation),
    }

    /// A client's frame. The key depends on the length, to have many of them.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let key = [0x37, payload.len() as u8, 0x21, 0x3d];
        let mut bytes = vec![first];
        match payload.len() {
            len @ 0..=125 => bytes.push(0x80 | len as u8),
            len => {
                bytes.push(0x80 | 126);
                bytes.extend_from_slice(&(len as u16).to_be_bytes());
            }
        }
        bytes.extend_from_slice(&key);
        let start = bytes.len();
        bytes.extend_from_slice(payload);
        mask::apply(&mut bytes[start..], key, 0);
        bytes
    }

    /// Reads the stream in pieces that end at `cuts`; stops at the first violation.
    fn read_in_pieces(stream: &[u8], cuts: &[usize]) -> Vec<Seen> {
        let mut decoder = Decoder::default();
        let mut seen = Vec::new();
        let mut from = 0;
        for &cut in cuts.iter().chain([&stream.len()]) {
            let mut bytes = stream[from..cut].to_vec();
            from = cut;
            let mut input = Input::new(&mut bytes);
            loop {
                match decoder.decode(&mut input, &LIMITS) {
                    Ok(Received::NeedMore) => break,
                    Ok(Received::Text(text)) => seen.push(Seen::Text(text.to_owned())),
                    Ok(Received::Binary(bytes)) => seen.push(Seen::Binary(bytes.to_vec())),
                    Ok(Received::Fragment) => seen.push(Seen::Fragment),
                    Ok(Received::Ping(payload)) => seen.push(Seen::Ping(payload.to_vec())),
                    Ok(Received::Pong) => seen.push(Seen::Pong),
                    Ok(Received::Close(close)) => seen.push(Seen::Close(close.code, close.reason.to_owned())),
                    Err(violation) => {
                        seen.push(Seen::Failed(violation));
                        return seen;
                    }
                }
            }
            assert_eq!(input.rest(), b"", "starved means that everything was taken");
        }
        seen
    }

    /// Whole, byte by byte, and with a trailing ping: the same events, and the ping is seen unless the stream failed.
    fn check_three_ways(frames: &[Vec<u8>], expected: &[Seen]) {
        let stream = frames.concat();
        assert_eq!(read_in_pieces(&stream, &[]), expected, "whole");
        let every_byte: Vec<usize> = (1..stream.len()).collect();
        assert_eq!(read_in_pieces(&stream, &every_byte), expected, "byte by byte");
        let trailing = [stream, frame(FIN | 9, b"trailing")].concat();
        let mut with_ping = expected.to_vec();
        if !matches!(expected.last(), Some(Seen::Failed(_))) {
            with_ping.push(Seen::Ping(b"trailing".to_vec()));
        }
        assert_eq!(read_in_pieces(&trailing, &[]), with_ping, "with trailing bytes");
    }

    fn text(text: &str) -> Seen {
        Seen::Text(text.to_owned())
    }

    #[test]
    fn whole_messages_of_every_length_form_arrive_whole() {
        for len in [0, 1, 125, 126, 127, 300, 1_000] {
            let payload = "x".repeat(len);
            check_three_ways(&[frame(FIN | 1, payload.as_bytes())], &[text(&payload)]);
            check_three_ways(&[frame(FIN | 2, payload.as_bytes())], &[Seen::Binary(payload.into_bytes())]);
        }
    }

    /// The PHP program read one frame a read: the second of two was XORed into the first.
    #[test]
    fn two_frames_in_one_segment_are_two_messages() {
        check_three_ways(&[frame(FIN | 1, b"a"), frame(FIN | 1, b"b")], &[text("a"), text("b")]);
    }

    /// docs/rfc6455.md row 20.
    #[test]
    fn fragments_make_one_message_also_when_some_are_empty() {
        check_three_ways(
            &[frame(1, b"a"), frame(0, b""), frame(0, b"b"), frame(FIN, b"")],
            &[Seen::Fragment, Seen::Fragment, Seen::Fragment, text("ab")],
        );
        check_three_ways(
            &[frame(2, b""), frame(0, b""), frame(FIN, b"")],
            &[Seen::Fragment, Seen::Fragment, Seen::Binary(vec![])],
        );
    }

    /// docs/rfc6455.md row 19: order is kept, the message is not disturbed.
    #[test]
    fn control_frames_between_fragments_are_seen_at_once() {
        check_three_ways(
            &[frame(1, "汉".as_bytes()), frame(FIN | 9, b"p"), frame(FIN | 10, b"q"), frame(FIN, "字".as_bytes())],
            &[Seen::Fragment, Seen::Ping(b"p".to_vec()), Seen::Pong, text("汉字")],
        );
    }

    /// docs/rfc6455.md row 18.
    #[test]
    fn a_continuation_without_a_start_fails() {
        let failed = Seen::Failed(Violation::ContinuationWithoutStart);
        check_three_ways(&[frame(FIN, b"x")], std::slice::from_ref(&failed));
        check_three_ways(&[frame(0, b"x")], std::slice::from_ref(&failed));
        check_three_ways(&[frame(1, b"a"), frame(FIN, b"b"), frame(FIN, b"c")], &[Seen::Fragment, text("ab"), failed]);
    }

    /// docs/rfc6455.md row 18.
    #[test]
    fn a_new_message_inside_an_unfinished_one_fails() {
        for first in [1, 2, FIN | 1, FIN | 2] {
            check_three_ways(
                &[frame(1, b"a"), frame(first, b"b")],
                &[Seen::Fragment, Seen::Failed(Violation::MessageInsideMessage)],
            );
        }
    }

    /// docs/rfc6455.md row 28: the character is cut by frames here and by reads in the byte-by-byte run.
    #[test]
    fn a_character_may_be_cut_by_a_frame_but_not_by_the_end_of_the_message() {
        let emoji = "😀".as_bytes();
        check_three_ways(&[frame(1, &emoji[..1]), frame(FIN, &emoji[1..])], &[Seen::Fragment, text("😀")]);
        check_three_ways(
            &[frame(1, &emoji[..2]), frame(FIN, b"")],
            &[Seen::Fragment, Seen::Failed(Violation::TextNotUtf8)],
        );
        check_three_ways(&[frame(FIN | 1, &emoji[..3])], &[Seen::Failed(Violation::TextNotUtf8)]);
    }

    #[test]
    fn binary_messages_may_hold_any_bytes() {
        check_three_ways(&[frame(FIN | 2, b"\xff\x00\xc0")], &[Seen::Binary(b"\xff\x00\xc0".to_vec())]);
    }

    /// docs/rfc6455.md row 28, Autobahn 6.4: inside a frame whose rest has not come.
    #[test]
    fn the_first_impossible_byte_fails_before_the_frame_is_complete() {
        let whole = frame(FIN | 1, b"fine\xffand more that never comes");
        let up_to_the_fault = 6 + b"fine\xff".len();
        assert_eq!(read_in_pieces(&whole[..up_to_the_fault - 1], &[]), []);
        assert_eq!(read_in_pieces(&whole[..up_to_the_fault], &[]), [Seen::Failed(Violation::TextNotUtf8)]);
    }

    /// docs/rfc6455.md row 30 and CVE-2022-35922: known from the header; the payload is neither waited for nor reserved.
    #[test]
    fn a_message_over_the_limit_fails_at_its_header() {
        let claims: [&[u8]; 4] = [
            &[0x82, 0x80 | 126, 0x03, 0xe9, 1, 2, 3, 4],
            &[0x82, 0x80 | 127, 0, 0, 0, 0, 1, 0, 0, 0, 1, 2, 3, 4],
            &[0x81, 0x80 | 127, 0, 0, 1, 0, 0, 0, 0, 0, 1, 2, 3, 4],
            &[0x81, 0x80 | 127, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4],
        ];
        for claim in claims {
            check_three_ways(&[claim.to_vec()], &[Seen::Failed(Violation::MessageTooBig)]);
        }
    }

    /// CVE-2014-0193: endless continuation frames.
    #[test]
    fn the_message_limit_counts_over_all_fragments() {
        check_three_ways(
            &[frame(2, &[0; 600]), frame(0, &[0; 400]), frame(0, &[0; 1])],
            &[Seen::Fragment, Seen::Fragment, Seen::Failed(Violation::MessageTooBig)],
        );
    }

    /// ws#2331: a hundred thousand fragments of one byte.
    #[test]
    fn the_number_of_fragments_is_limited() {
        let mut frames = vec![frame(2, b"")];
        frames.resize(11, frame(0, b""));
        let mut expected = vec![Seen::Fragment; 10];
        expected.push(Seen::Failed(Violation::TooManyFragments));
        check_three_ways(&frames, &expected);
    }

    /// docs/rfc6455.md row 21.
    #[test]
    fn close_frames_are_checked_like_their_bodies() {
        let rows: [(&[u8], Seen); 6] = [
            (b"", Seen::Close(None, String::new())),
            (b"\x03\xe8bye", Seen::Close(CloseCode::from_wire(1000).ok(), "bye".into())),
            (b"\x0f\xa0", Seen::Close(CloseCode::from_wire(4000).ok(), String::new())),
            (b"\x03", Seen::Failed(Violation::CloseBodyTooShort)),
            (b"\x03\xee", Seen::Failed(Violation::CloseCodeInvalid(1006))),
            (b"\x03\xe8\xc0", Seen::Failed(Violation::CloseReasonNotUtf8)),
        ];
        for (body, expected) in rows {
            check_three_ways(&[frame(FIN | 8, body)], &[expected]);
        }
    }

    #[test]
    fn a_connection_between_messages_owns_no_buffer() {
        let stream = [frame(1, b"a"), frame(FIN | 9, b"ping"), frame(FIN, b"b")].concat();
        let mut decoder = Decoder::default();
        for byte in stream {
            assert!(decoder.decode(&mut Input::new(&mut [byte]), &LIMITS).is_ok());
        }
        assert!(!decoder.is_amid_message());
        assert_eq!(decoder.decode(&mut Input::new(&mut []), &LIMITS), Ok(Received::NeedMore));
        assert!(decoder.unfinished.is_none());
    }

    fn any_frame() -> impl Strategy<Value = Vec<u8>> {
        let payload =
            prop_oneof![any::<String>().prop_map(String::into_bytes), proptest::collection::vec(any::<u8>(), 0..130),];
        let first = prop_oneof![
            8 => prop::sample::select(vec![FIN | 1, FIN | 2, 1, 2, 0, FIN]),
            3 => prop::sample::select(vec![FIN | 9, FIN | 10, FIN | 8]),
            1 => any::<u8>(),
        ];
        (first, payload).prop_map(|(first, payload)| frame(first, &payload))
    }

    proptest! {
        /// docs/rfc6455.md row 20. Also streams that are wrong: the fault must be the same one.
        #[test]
        fn any_split_of_any_stream_gives_the_same_events(
            frames in proptest::collection::vec(any_frame(), 0..8),
            noise in proptest::collection::vec(any::<u8>(), 0..20),
            cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..12),
        ) {
            let stream = [frames.concat(), noise].concat();
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
            cuts.sort_unstable();
            prop_assert_eq!(read_in_pieces(&stream, &cuts), read_in_pieces(&stream, &[]));
        }
    }
}
