//! Signals: what each means to the daemon. The table for operators is in `docs/operating.md`.
//!
//! While the loop runs, a signal is an event like any other. Before and after that the daemon may have to wait (for a name
//! server, for a disk); then a signal that ends it does so in the signal handler itself.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mio::event::Source;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGXCPU, SIGXFSZ};
use signal_hook::flag;
use signal_hook_mio::v1_0::Signals as Pipe;

/// The signals that the daemon listens for.
pub struct Signals {
    pipe: Pipe,
    /// Set while nobody reads the pipe.
    is_to_end_at_once: Arc<AtomicBool>,
}

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// To end in order. Asked for again, to end at once.
    End(&'static str),
    /// To end in order, from somebody who may say so several times: a closing terminal, and the shell in it; the limit on
    /// CPU time, every second.
    EndOnce(&'static str),
    /// To say in the log how things stand.
    Tell,
    /// Nothing: it must only not end the daemon.
    Nothing(&'static str),
}

impl Signals {
    /// Listens for them. Until [`Signals::are_read`], one that ends the daemon does so at once, with exit code 0.
    ///
    /// # Errors
    /// What the system says.
    pub fn listen() -> io::Result<Signals> {
        let is_to_end_at_once = Arc::new(AtomicBool::new(true));
        let mut signals = vec![SIGTERM, SIGINT, SIGXCPU];
        // `nohup` starts a program with SIGHUP ignored, and means it. Where it cannot be known, the system's own way holds:
        // what is ignored stays so, else the daemon ends.
        if std::fs::read_to_string("/proc/self/status").is_ok_and(|status| !is_ignored(SIGHUP, &status)) {
            signals.push(SIGHUP);
        }
        for signal in &signals {
            flag::register_conditional_shutdown(*signal, 0, Arc::clone(&is_to_end_at_once))?;
        }
        signals.extend([SIGUSR1, SIGUSR2]);
        // A file that reaches `ulimit -f` is then an error of the write, as a full disk is, and not the end.
        flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)))?;
        Ok(Signals { pipe: Pipe::new(signals)?, is_to_end_at_once })
    }

    /// From now on, the loop asks for [`Signals::pending`].
    pub fn are_read(&self) {
        self.is_to_end_at_once.store(false, Ordering::SeqCst);
    }

    /// The loop is over: one more signal ends the daemon at once, whatever it waits for.
    pub fn are_not_read_any_more(&self) {
        self.is_to_end_at_once.store(true, Ordering::SeqCst);
    }

    /// As a [`Source`] to be registered.
    pub fn source(&mut self) -> &mut dyn Source {
        &mut self.pipe
    }

    /// What has come since the last time.
    pub fn pending(&mut self) -> impl Iterator<Item = Request> {
        self.pipe.pending().map(|signal| match signal {
            SIGTERM => Request::End("SIGTERM"),
            SIGINT => Request::End("SIGINT"),
            SIGHUP => Request::EndOnce("SIGHUP"),
            SIGXCPU => Request::EndOnce("SIGXCPU"),
            SIGUSR1 => Request::Tell,
            _ => Request::Nothing("SIGUSR2"),
        })
    }
}

/// From the mask in proc(5), `status`: the lowest bit is signal 1. Without one, nothing is ignored.
fn is_ignored(signal: i32, status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask >> (signal - 1) & 1 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mask_of_ignored_signals_counts_them_from_one() {
        let status = "Name:\troomd\nSigBlk:\t0000000000000001\nSigIgn:\t0000000000001001\n";
        assert!(is_ignored(SIGHUP, status) && is_ignored(signal_hook::consts::SIGPIPE, status));
        assert!(!is_ignored(SIGTERM, status) && !is_ignored(SIGHUP, "SigIgn:\t0000000000001000\n"));
        assert!(!is_ignored(SIGHUP, ""));
    }
}
