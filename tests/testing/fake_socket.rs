//! A socket without a kernel: two buffers, and a script of what goes wrong between them.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses its own part of this")]

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::rc::Rc;

use roomd::hub::{Readiness, Socket};

/// The kernel's part of one connection, as far as it can be noticed: what the client's end and the hub's end share.
#[derive(Debug)]
pub struct Pipe {
    /// Sent by the client and not read by the hub yet.
    pub to_hub: VecDeque<u8>,
    /// The client has shut its writing half.
    pub is_finished: bool,
    /// The client has reset the connection: every call fails from now on.
    pub is_reset: bool,
    /// The next calls are interrupted by a signal.
    pub interrupts: u8,

    /// Written by the hub and not read by the client yet.
    pub from_hub: Vec<u8>,
    /// Bytes that the hub may still write before the socket is full; `usize::MAX` never runs out.
    pub room: usize,
    /// Bytes that one call to write takes at most.
    pub max_write: usize,
    /// A write met a full socket: when there is room again, the poller says so.
    pub is_awaited: bool,
    /// Bytes that the hub has written.
    pub written_bytes: u64,
    /// Calls to write, successful or not.
    pub writes: u64,
    /// Bytes that have gone through, in both directions.
    pub moved: usize,

    /// The hub has shut its writing half.
    pub is_shut: bool,
    /// The hub has let go of the socket.
    pub is_closed: bool,
}

impl Default for Pipe {
    /// A client that reads everything at once.
    fn default() -> Pipe {
        Pipe {
            to_hub: VecDeque::new(),
            is_finished: false,
            is_reset: false,
            interrupts: 0,
            from_hub: Vec::new(),
            room: usize::MAX,
            max_write: usize::MAX,
            is_awaited: false,
            written_bytes: 0,
            writes: 0,
            moved: 0,
            is_shut: false,
            is_closed: false,
        }
    }
}

impl Pipe {
    /// What the poller says of it, if it were asked.
    pub fn readiness(&self) -> Readiness {
        let is_over = self.is_finished || self.is_reset;
        Readiness {
            readable: !self.to_hub.is_empty() || is_over,
            writable: self.room > 0 || self.is_reset,
            hung_up: is_over,
        }
    }

    fn interrupted(&mut self) -> io::Result<()> {
        match self.interrupts.checked_sub(1) {
            None => Ok(()),
            Some(rest) => {
                self.interrupts = rest;
                Err(ErrorKind::Interrupted.into())
            }
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.interrupted()?;
        if self.is_reset {
            return Err(ErrorKind::ConnectionReset.into());
        }
        if self.to_hub.is_empty() && !self.is_finished {
            return Err(ErrorKind::WouldBlock.into());
        }
        // As from a kernel, never less than there is: the hub takes a short read for the last one.
        let count = buffer.len().min(self.to_hub.len());
        buffer.iter_mut().zip(self.to_hub.drain(..count)).for_each(|(place, byte)| *place = byte);
        self.moved += count;
        Ok(count)
    }

    fn write<'a>(&mut self, slices: impl Iterator<Item = &'a [u8]> + Clone) -> io::Result<usize> {
        assert!(!self.is_shut, "the hub writes after it has shut its writing half");
        assert!(slices.clone().any(|slice| !slice.is_empty()), "a write of nothing");
        self.writes += 1;
        self.interrupted()?;
        if self.is_reset {
            return Err(ErrorKind::BrokenPipe.into());
        }
        let most = self.room.min(self.max_write);
        if most == 0 {
            self.is_awaited = true;
            return Err(ErrorKind::WouldBlock.into());
        }
        let mut count = 0;
        for slice in slices {
            let taken = &slice[..slice.len().min(most - count)];
            self.from_hub.extend_from_slice(taken);
            count += taken.len();
        }
        self.moved += count;
        self.written_bytes += count as u64;
        if self.room != usize::MAX {
            self.room -= count;
        }
        Ok(count)
    }
}

/// The client's end of a [`Pipe`]; a [`FakeSocket`] is the hub's.
pub type SharedPipe = Rc<RefCell<Pipe>>;

/// The hub's end of a [`Pipe`].
pub struct FakeSocket(SharedPipe);

impl FakeSocket {
    /// The other end of that pipe.
    pub fn of(pipe: &SharedPipe) -> FakeSocket {
        FakeSocket(Rc::clone(pipe))
    }
}

impl Read for FakeSocket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.borrow_mut().read(buffer)
    }
}

impl Write for FakeSocket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(std::iter::once(bytes))
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.borrow_mut().write(slices.iter().map(|slice| &**slice))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Socket for FakeSocket {
    fn shut_down_writing(&mut self) -> io::Result<()> {
        let pipe = &mut *self.0.borrow_mut();
        assert!(!pipe.is_shut, "our stream ends once");
        if pipe.is_reset {
            return Err(ErrorKind::NotConnected.into());
        }
        pipe.is_shut = true;
        Ok(())
    }
}

impl Drop for FakeSocket {
    fn drop(&mut self) {
        self.0.borrow_mut().is_closed = true;
    }
}
