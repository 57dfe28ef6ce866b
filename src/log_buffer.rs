//! The log: lines collect in a buffer, and a thread of its own writes them.
//!
//! Standard error may be a pipe that nobody empties, a terminal after Ctrl-S, or a file on a disk that hangs: then a write
//! to it takes for ever. The loop must not wait for that, so it only ever puts lines into memory. Not to block by
//! `O_NONBLOCK` would be no answer: the flag belongs to the open file, which others may share (the shell behind the same
//! terminal), and a disk does not know it.
//!
//! The buffer has a bound. When it is full, lines are dropped and counted until the thread has taken what waits; behind
//! that it writes how many are missing, which is just the place where they are missing.
//!
//! A line for each that comes and each that leaves is two system calls a connection: with the lines of a turn written
//! together, a handshake under load costs a quarter less CPU (18 against 13 microseconds, 10,000 at once). So the thread
//! is woken once a turn, by [`LogBuffer::write_out`].

use std::io::{self, ErrorKind, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use log::Level;

use crate::clock;
use crate::limits::fixed::{EAGER_LOG_BYTES, LOG_AT_THE_END, LOG_RETRY, MAX_WAITING_LOG_BYTES};
use crate::log_line::LogLine;

/// Lines that wait. Its clones are the same buffer: one for the logger, one for the loop.
///
/// Neither end holds the lock for longer than a copy in memory takes. [`LogBuffer::default`] has no thread: what does not
/// fit is dropped.
#[derive(Debug, Clone, Default)]
pub struct LogBuffer {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    lines: Mutex<Lines>,
    /// There is something for the thread to do.
    handed_over: Condvar,
    /// The thread has nothing left to do.
    all_written: Condvar,
}

#[derive(Debug, Default)]
struct Lines {
    waiting: Vec<u8>,
    /// Lines that did not fit behind those that wait.
    dropped: u64,
    thread: Thread,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Thread {
    #[default]
    NotThere,
    Waits,
    Writes,
}

/// The thread's owner. Dropped, it waits until all is written, but no longer than [`LOG_AT_THE_END`].
#[derive(Debug)]
pub struct LogWriter {
    buffer: LogBuffer,
}

impl LogWriter {
    /// Starts the thread. It writes to `output`, which may block for as long as it likes.
    ///
    /// # Errors
    /// What the system says when it allows no more threads.
    pub fn start(output: impl Write + Send + 'static) -> io::Result<LogWriter> {
        let buffer = LogBuffer::default();
        buffer.lines().thread = Thread::Writes;
        let shared = Arc::clone(&buffer.shared);
        thread::Builder::new().name("log".into()).spawn(move || shared.serve(Output::new(output)))?;
        Ok(LogWriter { buffer })
    }

    /// What it writes from.
    #[must_use]
    pub fn buffer(&self) -> LogBuffer {
        self.buffer.clone()
    }
}

impl Drop for LogWriter {
    fn drop(&mut self) {
        self.buffer.write_out();
        let lines = self.buffer.lines();
        let is_behind = |lines: &mut Lines| lines.thread == Thread::Writes;
        drop(self.buffer.shared.all_written.wait_timeout_while(lines, LOG_AT_THE_END, is_behind));
    }
}

impl LogBuffer {
    /// Wakes the thread if there is something to write.
    pub fn write_out(&self) {
        let mut lines = self.lines();
        if lines.thread == Thread::Waits && lines.has_some() {
            lines.thread = Thread::Writes;
            drop(lines);
            self.shared.handed_over.notify_one();
        }
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.shared.lines()
    }
}

impl Write for LogBuffer {
    /// Takes a record: whole lines.
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        let mut lines = self.lines();
        if lines.dropped == 0 && lines.waiting.len() + record.len() <= MAX_WAITING_LOG_BYTES {
            lines.waiting.extend_from_slice(record);
        } else {
            lines.dropped += count_of_lines(record);
        }
        let is_much = lines.waiting.len() > EAGER_LOG_BYTES;
        drop(lines);
        if is_much {
            self.write_out();
        }
        Ok(record.len())
    }

    /// The logger flushes after every line, which is just what is put off here.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Lines {
    fn has_some(&self) -> bool {
        !self.waiting.is_empty() || self.dropped > 0
    }
}

impl Shared {
    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The thread. While it writes, the loop fills the other buffer.
    fn serve(&self, mut output: Output<impl Write>) {
        let mut piece = Vec::new();
        loop {
            let mut lines = self.lines();
            while !lines.has_some() {
                lines.thread = Thread::Waits;
                self.all_written.notify_all();
                lines = self.handed_over.wait(lines).unwrap_or_else(PoisonError::into_inner);
            }
            lines.thread = Thread::Writes;
            std::mem::swap(&mut piece, &mut lines.waiting);
            let dropped = std::mem::take(&mut lines.dropped);
            drop(lines);
            output.put(&piece, dropped);
            piece.clear();
            piece.shrink_to(EAGER_LOG_BYTES);
        }
    }
}

/// Where the lines go, and what could not go there so far.
struct Output<W> {
    to: W,
    /// Lines that are missing behind what was written last.
    missing: u64,
    /// The last write broke off in the middle of a line.
    is_in_line: bool,
}

impl<W: Write> Output<W> {
    fn new(to: W) -> Output<W> {
        Output { to, missing: 0, is_in_line: false }
    }

    /// Writes `piece`, and that `dropped` lines are missing behind it. What cannot be written (the disk is full, nobody is
    /// at the other end) is missing as well, and told of when something can be written again.
    fn put(&mut self, piece: &[u8], dropped: u64) {
        self.tell_missing();
        if self.missing == 0 {
            self.missing = self.write(piece);
        } else {
            self.missing += count_of_lines(piece);
        }
        self.missing += dropped;
        self.tell_missing();
    }

    fn tell_missing(&mut self) {
        if self.missing == 0 {
            return;
        }
        let (level, target) = (Level::Warn, module_path!());
        let words = format_args!("{} lines of the log are missing here: they could not be written", self.missing);
        let line = LogLine { unix_ms: clock::unix_ms(), level, target, words };
        let line = if self.is_in_line { format!("\n{line}") } else { line.to_string() };
        if self.write(line.as_bytes()) == 0 {
            self.missing = 0;
        }
    }

    /// Says how many lines of `bytes` did not get out whole.
    fn write(&mut self, mut bytes: &[u8]) -> u64 {
        while !bytes.is_empty() {
            match self.to.write(bytes) {
                Ok(0) => break,
                Ok(count) => {
                    self.is_in_line = bytes[count - 1] != b'\n';
                    bytes = &bytes[count..];
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(LOG_RETRY),
                Err(_) => break,
            }
        }
        count_of_lines(bytes)
    }
}

fn count_of_lines(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|&&byte| byte == b'\n').count() as u64
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use std::sync::mpsc::{self, Receiver, Sender};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    /// A reader that takes as many writes as the test lets it, and then gives them to the test.
    struct Gate {
        opened: Receiver<()>,
        written: Sender<Vec<u8>>,
    }

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.written.send(bytes.to_vec());
            self.opened.recv().map_err(|_| ErrorKind::BrokenPipe)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn gated() -> (LogWriter, Sender<()>, Receiver<Vec<u8>>) {
        let (open, opened) = mpsc::channel();
        let (written, writes) = mpsc::channel();
        let writer = LogWriter::start(Gate { opened, written }).unwrap_or_else(|error| panic!("{error}"));
        (writer, open, writes)
    }

    fn next(writes: &Receiver<Vec<u8>>) -> String {
        let bytes = writes.recv_timeout(PATIENCE).unwrap_or_else(|error| panic!("nothing is written: {error}"));
        String::from_utf8_lossy(&bytes).into_owned()
    }

    #[test]
    fn while_nobody_reads_lines_are_dropped_and_where_they_are_missing_one_line_says_how_many() {
        let (writer, open, writes) = gated();
        let mut buffer = writer.buffer();
        let mut say = |line: &str| buffer.write_all(line.as_bytes()).unwrap_or_default();
        say("first\n");
        writer.buffer().write_out();
        assert_eq!(next(&writes), "first\n");
        // The thread hangs in that write now, and what comes has to fit into the bound.
        let line = format!("{}\n", "x".repeat(1_023));
        let fitting = MAX_WAITING_LOG_BYTES / line.len();
        for _ in 0..fitting + 1_000 {
            say(&line);
        }
        // Shorter, but behind a gap: it must not fill the gap.
        say("short\n");
        writer.buffer().write_out();
        open.send(()).unwrap_or_default();
        assert_eq!(next(&writes), line.repeat(fitting));
        open.send(()).unwrap_or_default();
        let told = next(&writes);
        assert!(told.ends_with(" 1001 lines of the log are missing here: they could not be written\n"), "{told}");
        say("flows again\n");
        open.send(()).unwrap_or_default();
        writer.buffer().write_out();
        assert_eq!(next(&writes), "flows again\n");
        open.send(()).unwrap_or_default();
    }

    #[test]
    fn the_end_waits_for_a_log_that_nobody_reads_but_not_for_ever() {
        let (writer, open, writes) = gated();
        writer.buffer().write_all(b"last\n").unwrap_or_default();
        // Comes back though the gate is shut.
        drop(writer);
        assert_eq!(next(&writes), "last\n");
        drop(open);
    }

    #[test]
    fn the_end_waits_until_what_was_logged_is_written() {
        let (written, writes) = mpsc::channel();
        let (open, opened) = mpsc::channel();
        let writer = LogWriter::start(Gate { opened, written }).unwrap_or_else(|error| panic!("{error}"));
        open.send(()).unwrap_or_default();
        writer.buffer().write_all(b"last\n").unwrap_or_default();
        drop(writer);
        assert_eq!(writes.try_recv().as_deref(), Ok(&b"last\n"[..]));
    }

    /// Takes so many bytes, then has no room until it is given some.
    struct Disk {
        room: usize,
        file: Vec<u8>,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let count = bytes.len().min(self.room);
            self.room -= count;
            self.file.extend_from_slice(&bytes[..count]);
            if count == 0 { Err(ErrorKind::StorageFull.into()) } else { Ok(count) }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn after_a_full_disk_every_line_is_whole_or_counted() {
        let mut output = Output::new(Disk { room: 8, file: Vec::new() });
        output.put(b"one\ntwo two\nthree\n", 0);
        output.put(b"four\n", 2);
        output.to.room = 1_000;
        output.put(b"five\n", 0);
        let file = String::from_utf8_lossy(&output.to.file).into_owned();
        let lines: Vec<&str> = file.lines().collect();
        assert_eq!((lines[0], lines[1], lines[3]), ("one", "two ", "five"), "{file}");
        assert!(lines[2].contains("] 5 lines of the log are missing here"), "{file}");
        assert_eq!(lines.len(), 4);
    }
}
