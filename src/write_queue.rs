//! What waits to be written to one connection, in order.
//!
//! A room's turn is one chunk of whole units (see [`framing`](crate::framing)), encoded once. A member whose socket takes it all never has it queued; a
//! member whose socket does not keeps a reference and an offset, not a copy. So a thousand slow readers cost one chunk
//! and a thousand short lists.
//!
//! What is meant for one connection alone (a welcome, a Pong, an echo) is appended to one private buffer, so that many small
//! answers of a turn leave in one write.
//!
//! The queue has no limit of its own. The outbox asks [`WriteQueue::cost`] before it adds, and closes a connection for which
//! too much waits.
//!
//! The queue does not know what its bytes mean. Where it may be cut, the framing of its connection says.

use std::cell::OnceCell;
use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice, Write};
use std::ops::Range;
use std::rc::Rc;

use crate::framing::Framing;
use crate::limits::fixed::{CHUNK_COST_BYTES, CHUNKS_PER_WRITE};

/// One piece of the queue: `start..` of it has still to be written, and it is never empty.
#[derive(Debug)]
enum Chunk {
    Shared {
        bytes: Rc<[u8]>,
        start: usize,
        end: usize,
    },
    /// The same of bytes that come later.
    Late {
        bytes: Rc<LateBytes>,
        start: usize,
        end: usize,
    },
    /// Units for this connection alone.
    Own {
        bytes: Vec<u8>,
        start: usize,
        /// Up to here it has been shown: see [`WriteQueue::show_own`].
        shown: usize,
    },
    /// Bytes that must all be written, for they are no units: an HTTP answer, or the rest of a unit.
    Whole {
        bytes: Vec<u8>,
        start: usize,
    },
}

impl Chunk {
    fn unwritten(&self) -> &[u8] {
        match self {
            Chunk::Shared { bytes, start, end } => &bytes[*start..*end],
            Chunk::Late { bytes, start, end } => bytes.part(*start..*end),
            Chunk::Own { bytes, start, .. } | Chunk::Whole { bytes, start } => &bytes[*start..],
        }
    }

    fn advance(&mut self, written: usize) {
        match self {
            Chunk::Shared { start, .. }
            | Chunk::Late { start, .. }
            | Chunk::Own { start, .. }
            | Chunk::Whole { start, .. } => *start += written,
        }
    }

    /// What is left of the unit that was begun; nothing, if the last write ended with a unit. A copy, so that a few bytes do
    /// not keep a whole chunk alive.
    fn rest_of_begun_unit(&self, framing: Framing) -> Vec<u8> {
        // A chunk of units begins with a unit, also when a member's part of it begins further on.
        let (bytes, start) = match self {
            Chunk::Whole { .. } => return self.unwritten().to_vec(),
            Chunk::Shared { bytes, start, end } => (&bytes[..*end], *start),
            Chunk::Late { bytes, start, end } => (bytes.part(0..*end), *start),
            Chunk::Own { bytes, start, .. } => (&bytes[..], *start),
        };
        bytes[start..framing.boundary_at_or_after(bytes, start)].to_vec()
    }
}

/// How a flush ended, when nothing broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flushed {
    /// Nothing is left.
    Everything,
    /// The socket takes no more. Readiness will say when it does.
    Blocked,
    /// The socket would take more, but other connections come first. The poller reports nothing: the caller must come back.
    Budget,
}

/// See the module.
#[derive(Debug, Default)]
pub struct WriteQueue {
    chunks: VecDeque<Chunk>,
    /// Invariant: the sum of all chunks' unwritten bytes.
    len: usize,
}

impl WriteQueue {
    /// Bytes that wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What the queue costs in memory: the bytes that wait, also those that others share, and the list of them. This is what
    /// is held against `--max-queue`: many short chunks would otherwise cost a multiple of what they say.
    #[must_use]
    pub fn cost(&self) -> usize {
        self.len + self.chunks.len() * CHUNK_COST_BYTES
    }

    /// Adds a part of a chunk that others share.
    pub fn push_shared(&mut self, bytes: Rc<[u8]>, Range { start, end }: Range<usize>) {
        if start < end {
            self.len += end - start;
            self.chunks.push_back(Chunk::Shared { bytes, start, end });
        }
    }

    /// Adds a part of a chunk that is not finished, which ends at or after that part. Its bytes must be put in place before the
    /// queue is flushed or cut.
    pub fn push_late(&mut self, bytes: Rc<LateBytes>, Range { start, end }: Range<usize>) {
        if start < end {
            self.len += end - start;
            self.chunks.push_back(Chunk::Late { bytes, start, end });
        }
    }

    /// Adds bytes that are no units, such as an HTTP answer: once queued they are never cut.
    pub fn push_whole(&mut self, bytes: Vec<u8>) {
        self.len += bytes.len();
        self.chunks.push_back(Chunk::Whole { bytes, start: 0 });
    }

    /// Adds units meant for this connection alone, in its framing: `append` writes them to the end of the private buffer.
    pub fn append_own(&mut self, framing: Framing, append: impl FnOnce(&mut Vec<u8>)) {
        if !matches!(self.chunks.back(), Some(Chunk::Own { .. })) {
            self.chunks.push_back(Chunk::Own { bytes: Vec::new(), start: 0, shown: 0 });
        }
        if let Some(Chunk::Own { bytes, start, shown }) = self.chunks.back_mut() {
            // A reader that always lags a little never empties this buffer, so what it has taken must leave it before. Each
            // byte is moved at most once for each byte written, and the work stays linear.
            if *start > bytes.len() / 2 {
                let begun = framing.boundary_at_or_before(bytes, *start);
                bytes.drain(..begun);
                *start -= begun;
                *shown = shown.saturating_sub(begun);
            }
            let before = bytes.len();
            append(bytes);
            self.len += bytes.len() - before;
            if bytes.is_empty() {
                self.chunks.pop_back();
            }
        }
    }

    /// Shows the units for this connection alone that wait and have not been shown, each once. They are whole: called before
    /// each flush, it has seen all that has begun to leave.
    pub fn show_own(&mut self, mut show: impl FnMut(&[u8])) {
        for chunk in &mut self.chunks {
            if let Chunk::Own { bytes, shown, .. } = chunk {
                show(&bytes[*shown..]);
                *shown = bytes.len();
            }
        }
    }

    /// Drops all that the peer has not begun to receive, and keeps the unit that it has, so that the next unit does not land
    /// in the middle of that.
    pub fn cut_behind_begun_unit(&mut self, framing: Framing) {
        let begun = self.chunks.front().map(|chunk| chunk.rest_of_begun_unit(framing)).unwrap_or_default();
        *self = WriteQueue::default();
        // The rest of a unit is no unit either: it must not be cut again.
        if !begun.is_empty() {
            self.push_whole(begun);
        }
    }

    /// Writes until nothing is left, the socket blocks, or about `budget` bytes are written.
    ///
    /// # Errors
    /// What the socket says, except `WouldBlock` and `Interrupted`; a socket that takes 0 bytes is `WriteZero`. The
    /// connection is broken then.
    pub fn flush_to(&mut self, socket: &mut impl Write, budget: usize) -> io::Result<Flushed> {
        let mut written = 0;
        while !self.is_empty() {
            if written >= budget {
                return Ok(Flushed::Budget);
            }
            match self.write_once(socket) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => {
                    written += count;
                    self.advance(count);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Flushed::Blocked),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        // A connection at rest owns no buffer.
        self.chunks = VecDeque::new();
        Ok(Flushed::Everything)
    }

    fn write_once(&self, socket: &mut impl Write) -> io::Result<usize> {
        if let (1, Some(only)) = (self.chunks.len(), self.chunks.front()) {
            return socket.write(only.unwritten());
        }
        let mut slices = [IoSlice::new(&[]); CHUNKS_PER_WRITE];
        let mut count = 0;
        for (slice, chunk) in slices.iter_mut().zip(&self.chunks) {
            *slice = IoSlice::new(chunk.unwritten());
            count += 1;
        }
        socket.write_vectored(&slices[..count])
    }

    fn advance(&mut self, mut written: usize) {
        self.len -= written;
        while let Some(first) = self.chunks.front_mut() {
            let unwritten = first.unwritten().len();
            if written < unwritten {
                first.advance(written);
                return;
            }
            written -= unwritten;
            self.chunks.pop_front();
        }
    }
}

/// Bytes that are shared before they are written down. What a room hears in a turn grows while the turn goes on. For a member
/// that is answered or leaves in the middle of it, the part up to there is queued at once, and the bytes are put in place
/// before anything is written.
#[derive(Debug, Default)]
pub struct LateBytes(OnceCell<Rc<[u8]>>);

impl LateBytes {
    /// Puts the bytes in place. The first time counts.
    pub fn put(&self, bytes: Rc<[u8]>) {
        self.0.get_or_init(|| bytes);
    }

    fn part(&self, part: Range<usize>) -> &[u8] {
        debug_assert!(self.0.get().is_some(), "written before the turn has been finished");
        self.0.get().and_then(|bytes| bytes.get(part)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A socket that takes as many bytes as the script says in each call: 0 stands for WouldBlock.
    struct Scripted<'a> {
        script: std::slice::Iter<'a, usize>,
        taken: Vec<u8>,
    }

    impl Write for Scripted<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            match self.script.next() {
                Some(0) => Err(ErrorKind::WouldBlock.into()),
                Some(&limit) => {
                    let count = limit.min(bytes.len());
                    self.taken.extend_from_slice(&bytes[..count]);
                    Ok(count)
                }
                None => {
                    self.taken.extend_from_slice(bytes);
                    Ok(bytes.len())
                }
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[derive(Debug, Clone)]
    enum Push {
        Shared(Vec<u8>, usize),
        Late(Vec<u8>, usize),
        Own(Vec<u8>),
    }

    fn any_push() -> impl Strategy<Value = Push> {
        let bytes = proptest::collection::vec(any::<u8>(), 0..40);
        prop_oneof![
            (bytes.clone(), 0usize..40).prop_map(|(bytes, start)| {
                let start = start.min(bytes.len());
                Push::Shared(bytes, start)
            }),
            (bytes.clone(), 0usize..40).prop_map(|(bytes, start)| {
                let start = start.min(bytes.len());
                Push::Late(bytes, start)
            }),
            bytes.prop_map(Push::Own),
        ]
    }

    proptest! {
        #[test]
        fn any_short_writes_give_the_same_bytes(
            pushes in proptest::collection::vec(any_push(), 0..30),
            script in proptest::collection::vec(0usize..30, 0..60),
            budget in 1usize..100,
        ) {
            let mut queue = WriteQueue::default();
            let mut expected = Vec::new();
            let mut socket = Scripted { script: script.iter(), taken: Vec::new() };
            for push in pushes {
                match push {
                    Push::Shared(bytes, start) => {
                        expected.extend_from_slice(&bytes[start..]);
                        queue.push_shared(Rc::from(&bytes[..]), start..bytes.len());
                    }
                    Push::Late(bytes, start) => {
                        expected.extend_from_slice(&bytes[start..]);
                        let late = Rc::new(LateBytes::default());
                        queue.push_late(Rc::clone(&late), start..bytes.len());
                        late.put(Rc::from(bytes));
                    }
                    Push::Own(bytes) => {
                        expected.extend_from_slice(&bytes);
                        queue.append_own(Framing::WebSocket, |out| out.extend_from_slice(&bytes));
                    }
                }
                prop_assert_eq!(queue.len() + socket.taken.len(), expected.len());
                prop_assert!(queue.flush_to(&mut socket, budget).is_ok());
            }
            while queue.flush_to(&mut socket, budget)? != Flushed::Everything {}
            prop_assert_eq!(socket.taken, expected);
            prop_assert_eq!(queue.len(), 0);
            prop_assert_eq!(queue.chunks.capacity(), 0, "a queue at rest owns nothing");
        }

        #[test]
        fn a_queue_that_is_cut_ends_behind_a_whole_unit(
            payloads in proptest::collection::vec(0usize..300, 1..8),
            written in 1usize..1_500,
            private in any::<prop::sample::Index>(),
        ) {
            // Units in two chunks, the first shared and the second private, or the other way round.
            let mut queue = WriteQueue::default();
            let split = private.index(payloads.len() + 1);
            let mut ends = vec![0];
            let mut all = Vec::new();
            for (nth, part) in [&payloads[..split], &payloads[split..]].into_iter().enumerate() {
                let mut bytes = Vec::new();
                for &len in part {
                    Framing::WebSocket.append(&mut bytes, &vec![b'x'; len]);
                    ends.push(all.len() + bytes.len());
                }
                all.extend_from_slice(&bytes);
                if nth == 0 {
                    queue.push_shared(Rc::from(&bytes[..]), 0..bytes.len());
                } else {
                    queue.append_own(Framing::WebSocket, |out| out.extend_from_slice(&bytes));
                }
            }
            let written = written.min(all.len());
            let script = [written.min(ends[split].max(1)), 0];
            let mut socket = Scripted { script: script.iter(), taken: Vec::new() };
            queue.flush_to(&mut socket, usize::MAX)?;
            queue.cut_behind_begun_unit(Framing::WebSocket);
            let sent = socket.taken.len();
            let end = sent + queue.len();
            prop_assert!(ends.contains(&end), "ends inside a unit");
            prop_assert!(!ends.iter().any(|&boundary| sent <= boundary && boundary < end), "keeps more than was begun");
        }
    }
}
