//! A socket without a kernel: two buffers, and a script of what goes wrong.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::rc::Rc;

use roomd::hub::Socket;

/// What both ends share.
#[derive(Default)]
pub(crate) struct Wire {
    /// On its way to the daemon.
    pub(crate) to_daemon: VecDeque<u8>,
    /// The client has shut its writing half.
    pub(crate) is_finished: bool,
    /// The connection was reset: every call fails from now on.
    pub(crate) is_reset: bool,
    /// Taken from the daemon and not yet read by the client.
    pub(crate) to_client: Vec<u8>,
    /// Bytes the daemon may still write before the client's window is full.
    pub(crate) window: usize,
    /// At most so many bytes in one write call.
    pub(crate) max_write: usize,
    /// The daemon was told `WouldBlock`: it is owed an edge once the window opens.
    pub(crate) is_owed_edge: bool,
    /// The daemon has shut its writing half.
    pub(crate) is_shut: bool,
    /// The daemon has closed its end.
    pub(crate) is_closed: bool,
    /// Calls to `write`, for counting.
    pub(crate) writes: u64,
}

pub(crate) struct Scripted(pub(crate) Rc<RefCell<Wire>>);

impl Read for Scripted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut wire = self.0.borrow_mut();
        if wire.is_reset {
            return Err(ErrorKind::ConnectionReset.into());
        }
        if wire.to_daemon.is_empty() {
            return if wire.is_finished { Ok(0) } else { Err(ErrorKind::WouldBlock.into()) };
        }
        let count = buffer.len().min(wire.to_daemon.len());
        for (place, byte) in buffer.iter_mut().zip(wire.to_daemon.drain(..count)) {
            *place = byte;
        }
        Ok(count)
    }
}

impl Write for Scripted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut wire = self.0.borrow_mut();
        assert!(!wire.is_shut, "the daemon writes after it has shut its writing half");
        wire.writes += 1;
        if wire.is_reset {
            return Err(ErrorKind::BrokenPipe.into());
        }
        let count = bytes.len().min(wire.window).min(wire.max_write);
        if count == 0 {
            wire.is_owed_edge = true;
            return Err(ErrorKind::WouldBlock.into());
        }
        wire.window -= count;
        wire.to_client.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Socket for Scripted {
    fn shut_down_writing(&mut self) -> io::Result<()> {
        let mut wire = self.0.borrow_mut();
        wire.is_shut = true;
        if wire.is_reset { Err(ErrorKind::NotConnected.into()) } else { Ok(()) }
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.0.borrow_mut().is_closed = true;
    }
}
