//! The loop: wait until something happens, read the clock, hand both to the hub. One thread, one poll.
//!
//! PHP's `socket_select` is handed the whole array of sockets each time and hands it back with the ready ones left in
//! it. Here each socket is registered once, the kernel keeps the list, and a wait costs what is ready, not what is there.

use std::io::{self, ErrorKind};
use std::time::Duration;

use log::{info, warn};
use mio::{Events, Interest, Poll, Token, Waker};

use crate::available_memory::AvailableMemory;
use crate::clock::Clock;
use crate::history::sqlite::errors::DatabaseError;
use crate::hub::{Gauge, Hub, PeerId, Readiness};
use crate::limits::Limits;
use crate::limits::fixed::{
    ACCEPT_PAUSE, ACCEPTS_PER_TURN, EVENTS_PER_TURN, LONGEST_WAIT, MAX_LISTENERS, MEMORY_AT_START_BYTES,
};
use crate::listener::{ListenError, Listener, Stream};
use crate::log_buffer::LogBuffer;
use crate::moment::{Moment, Now};
use crate::open_files::{OpenFiles, TooFew};
use crate::settings::Settings;
use crate::signals::{Request, Signals};

/// Tokens from the top of the number space: a slot's number is far below.
const SIGNALS: Token = Token(usize::MAX);
const WAKER: Token = Token(usize::MAX - 1);
const FIRST_LISTENER: usize = usize::MAX - 1 - MAX_LISTENERS;

/// What ends the daemon against its will.
#[derive(Debug, thiserror::Error)]
pub enum FatalError {
    /// An address cannot be listened on.
    #[error("{0}")]
    Listen(ListenError),
    /// More addresses than there are tokens for.
    #[error("cannot listen on more than {MAX_LISTENERS} addresses")]
    TooManyListeners,
    /// Too few files may be open.
    #[error("{0}")]
    TooFewFiles(TooFew),
    /// Too little memory may be used.
    #[error(
        "there are no {} MiB of memory for the start; raise the limit (ulimit -v)",
        MEMORY_AT_START_BYTES / 1024 / 1024
    )]
    TooLittleMemory,
    /// The history cannot be used.
    #[error("{0}")]
    History(DatabaseError),
    /// The system denies something the loop cannot do without.
    #[error("{0}: {1}")]
    System(&'static str, #[source] io::Error),
}

/// Listens, serves until a signal comes, says goodbye. `log` is handed on to be written once a turn; the memory in
/// use is measured with `memory_in_use`.
///
/// When it comes back, the history is closed, or has been waited for long enough.
///
/// # Errors
/// [`FatalError`]. Nothing that a peer does is an error here.
pub fn run(settings: Settings, log: &LogBuffer, memory_in_use: Gauge) -> Result<(), FatalError> {
    let mut event_loop = EventLoop::new(settings, memory_in_use)?;
    event_loop.serve(log)?;
    let hub = &event_loop.hub;
    let endings: Vec<String> = hub.endings().iter().map(|(name, count)| format!("{name} {count}")).collect();
    info!("bye; connections by their ending: {}", if endings.is_empty() { "none".into() } else { endings.join(", ") });
    log.write_out();
    // The history may be waited for when the loop is dropped.
    event_loop.signals.are_not_read_any_more();
    Ok(())
}

struct EventLoop {
    poll: Poll,
    signals: Signals,
    listeners: Vec<WatchedListener>,
    hub: Hub<Stream>,
    clock: Clock,
    /// Set while the system has no descriptor, or no memory, for another connection.
    accept_pause: Option<AcceptPause>,
    /// That was logged, and no connection has been accepted since: once is enough.
    is_exhaustion_logged: bool,
    /// Set by the first signal: by then everybody must be gone.
    goodbye_by: Option<Moment>,
}

/// A listener may have connections waiting until an accept has said that it has none: an edge does not repeat.
struct WatchedListener {
    inner: Listener,
    is_ready: bool,
}

struct AcceptPause {
    until: Moment,
    connections: usize,
}

impl AcceptPause {
    /// Until its time is up, or one of those who were there then has left.
    fn holds(&self, now: Moment, connections: usize) -> bool {
        now < self.until && connections >= self.connections
    }
}

/// How far the poller's reports have come. A deadline that passes while the process is stopped, or while more is waiting
/// than one turn takes from the kernel, must not be kept before what had arrived in time has been read.
#[derive(Debug)]
struct Reports {
    /// All that had arrived by then has been reported.
    until: Moment,
    /// While each wait gives as many events as it can: when the first of them began, and how many more it takes until all
    /// that were waiting then have been given. The kernel's queue is first in, first out.
    backlog: Option<(Moment, usize)>,
}

impl Reports {
    /// A wait that began at `begun`, or later, has given everything.
    fn all(&mut self, begun: Moment) {
        *self = Reports { until: begun, backlog: None };
    }

    /// A wait that began at `begun` has given as many events as it can, and `sockets` may have something to report.
    fn some(&mut self, begun: Moment, sockets: usize) {
        let (first, left) = self.backlog.unwrap_or((begun, sockets / EVENTS_PER_TURN + 1));
        match left.saturating_sub(1) {
            0 => self.all(first),
            left => self.backlog = Some((first, left)),
        }
    }
}

impl EventLoop {
    fn new(settings: Settings, memory_in_use: Gauge) -> Result<EventLoop, FatalError> {
        let files = OpenFiles::raise_limit().map_err(FatalError::TooFewFiles)?;
        Vec::<u8>::new().try_reserve_exact(MEMORY_AT_START_BYTES).map_err(|_| FatalError::TooLittleMemory)?;
        let mut signals = Signals::listen().map_err(|error| FatalError::System("cannot listen for signals", error))?;
        let poll = Poll::new().map_err(|error| FatalError::System("cannot create a poller", error))?;
        poll.registry()
            .register(signals.source(), SIGNALS, Interest::READABLE)
            .map_err(|error| FatalError::System("cannot listen for signals", error))?;

        let mut listeners = Vec::new();
        for address in &settings.listen {
            listeners.extend(Listener::bind(address).map_err(FatalError::Listen)?);
        }
        if listeners.len() > MAX_LISTENERS {
            return Err(FatalError::TooManyListeners);
        }
        let waker =
            Waker::new(poll.registry(), WAKER).map_err(|error| FatalError::System("cannot create a waker", error))?;
        // If it cannot, the loop looks after the history when something else wakes it.
        let wake = Box::new(move || waker.wake().unwrap_or_default());
        // Behind the addresses: a daemon that is one too many makes no file.
        let history = settings.history.open(wake).map_err(FatalError::History)?;
        // Only now is there anything to log: a daemon that cannot run says why, and nothing else.
        let limits = within_memory(within(files, settings.limits, listeners.len()).map_err(FatalError::TooFewFiles)?);
        signals.are_read();
        for (nth, listener) in listeners.iter_mut().enumerate() {
            poll.registry()
                .register(listener.source(), Token(FIRST_LISTENER + nth), Interest::READABLE)
                .map_err(|error| FatalError::System("cannot watch a listener", error))?;
            // Only now, so that a script that has read this line can connect.
            info!("listening on {listener}");
        }
        Ok(EventLoop {
            poll,
            signals,
            listeners: listeners.into_iter().map(|inner| WatchedListener { inner, is_ready: false }).collect(),
            hub: Hub::new(limits, settings.site, history).measured_by(memory_in_use).addressed_by(settings.addresses),
            clock: Clock::start(),
            accept_pause: None,
            is_exhaustion_logged: false,
            goodbye_by: None,
        })
    }

    fn serve(&mut self, log: &LogBuffer) -> Result<(), FatalError> {
        let mut events = Events::with_capacity(EVENTS_PER_TURN);
        let mut now = self.clock.read(None);
        let mut reports = Reports { until: now.moment, backlog: None };
        loop {
            log.write_out();
            // Beat one: wait. Without a deadline this sleeps until something happens, for days if need be.
            let (begun, timeout) = (now.moment, self.timeout(now.moment));
            let mut requests = Vec::new();
            match self.poll.poll(&mut events, timeout) {
                Ok(()) => {
                    now = self.clock.read(timeout);
                    match events.iter().count() {
                        EVENTS_PER_TURN => reports.some(begun, self.hub.connections() + self.listeners.len() + 2),
                        _ => reports.all(begun),
                    }
                }
                // Nothing was reported, whatever has arrived. A signal of ours has ended a wait as it was meant. Without
                // one, the process was stopped and goes on, and how much of the time it waited cannot be known.
                Err(error) if error.kind() == ErrorKind::Interrupted => {
                    requests.extend(self.signals.pending());
                    now = self.clock.read(if requests.is_empty() { Some(Duration::ZERO) } else { timeout });
                }
                Err(error) => return Err(FatalError::System("cannot wait for events", error)),
            }
            for event in &events {
                self.note(event, &mut requests);
            }
            if !requests.is_empty() && self.on_signals(&requests, now) == Shutdown::Now {
                self.hub.cut_all(now);
                return Ok(());
            }
            self.accept(now)?;
            // Beats two to five.
            self.hub.turn_amid(now, reports.until);

            if let Some(goodbye_by) = self.goodbye_by
                && (self.hub.connections() == 0 || reports.until >= goodbye_by)
            {
                self.hub.cut_all(now);
                let ended = self.clock.read(Some(Duration::ZERO));
                self.hub.is_late(ended.moment.since(goodbye_by));
                return Ok(());
            }
        }
    }

    /// Hands on what the poller has reported; signals add what they ask for.
    fn note(&mut self, event: &mio::event::Event, requests: &mut Vec<Request>) {
        match event.token() {
            SIGNALS => requests.extend(self.signals.pending()),
            WAKER => {} // The history has something to give. Every turn asks it.
            Token(token) if token >= FIRST_LISTENER => {
                if let Some(listener) = self.listeners.get_mut(token - FIRST_LISTENER) {
                    listener.is_ready = true;
                }
            }
            Token(token) => {
                let id = PeerId::from_token(token);
                // What arrived before an error can still be read, so an error is readable as well.
                let readiness = Readiness {
                    readable: event.is_readable() || event.is_error(),
                    writable: event.is_writable(),
                    hung_up: event.is_read_closed() || event.is_error(),
                };
                self.hub.ready(id, readiness);
                if event.is_error() {
                    self.hub.failed(id);
                }
            }
        }
    }

    /// How long to wait: not at all while work is left over, else until the nearest deadline, else for ever.
    fn timeout(&self, now: Moment) -> Option<Duration> {
        let is_pausing = self.accept_pause.as_ref().is_some_and(|pause| pause.holds(now, self.hub.connections()));
        let is_accepting = !is_pausing && self.hub.can_accept();
        if self.hub.has_work() || (is_accepting && self.listeners.iter().any(|listener| listener.is_ready)) {
            return Some(Duration::ZERO);
        }
        let pause_ends = self.accept_pause.as_ref().map_or(Moment::NEVER, |pause| pause.until);
        let deadline = self.hub.deadline().min(pause_ends).min(self.goodbye_by.unwrap_or(Moment::NEVER));
        (deadline != Moment::NEVER).then(|| deadline.since(now).min(LONGEST_WAIT))
    }

    /// Accepts until nobody is waiting, up to a cap, while there is room.
    fn accept(&mut self, now: Now) -> Result<(), FatalError> {
        if let Some(pause) = &self.accept_pause {
            if pause.holds(now.moment, self.hub.connections()) {
                return Ok(());
            }
            self.accept_pause = None;
        }
        for listener in &mut self.listeners {
            let mut accepted = 0;
            while listener.is_ready && accepted < ACCEPTS_PER_TURN && self.hub.can_accept() {
                accepted += 1;
                match listener.inner.accept() {
                    Ok((mut stream, peer)) => {
                        self.is_exhaustion_logged = false;
                        let token = Token(self.hub.next_id().to_token());
                        match stream.register(self.poll.registry(), token) {
                            Ok(()) => {
                                self.hub.accept(stream, peer, now);
                            }
                            Err(error) => warn!("cannot watch a connection from {peer}: {error}"),
                        }
                    }
                    Err(error) => match AcceptError::of(&error) {
                        AcceptError::NobodyWaits => listener.is_ready = false,
                        AcceptError::OneConnection => {}
                        AcceptError::Exhausted => {
                            let connections = self.hub.connections();
                            if !std::mem::replace(&mut self.is_exhaustion_logged, true) {
                                warn!("cannot accept more than {connections} connections for now: {error}");
                            }
                            self.accept_pause = Some(AcceptPause { until: now.moment + ACCEPT_PAUSE, connections });
                            return Ok(());
                        }
                        AcceptError::Listener => return Err(FatalError::System("a listener is broken", error)),
                    },
                }
            }
        }
        Ok(())
    }

    fn on_signals(&mut self, requests: &[Request], now: Now) -> Shutdown {
        for request in requests {
            match request {
                Request::End(_) if self.goodbye_by.is_some() => {
                    warn!("another signal: leaving at once");
                    return Shutdown::Now;
                }
                Request::EndOnce(_) if self.goodbye_by.is_some() => {}
                Request::End(name) | Request::EndOnce(name) => self.say_goodbye(name, now),
                Request::Tell => info!("SIGUSR1: {}", self.hub.status()),
                Request::Nothing(name) => info!("{name} means nothing here"),
            }
        }
        Shutdown::Graceful
    }

    /// Nobody new, goodbye to all, an end within the closing time.
    fn say_goodbye(&mut self, signal: &str, now: Now) {
        info!("{signal}: saying goodbye to {} connections", self.hub.connections());
        self.listeners.clear();
        self.hub.shut_down(now);
        self.goodbye_by = Some(now.moment + self.hub.close_timeout());
    }
}

/// How soon to end.
#[derive(PartialEq, Eq)]
enum Shutdown {
    Graceful,
    Now,
}

/// What an error of accept is about (accept(2), "Error handling").
enum AcceptError {
    NobodyWaits,
    /// The connection that was waiting is broken; the next may be fine.
    OneConnection,
    /// The system has no more descriptors or memory. Trying on would only spin.
    Exhausted,
    Listener,
}

impl AcceptError {
    fn of(error: &io::Error) -> AcceptError {
        if error.kind() == ErrorKind::WouldBlock {
            return AcceptError::NobodyWaits;
        }
        match error.raw_os_error() {
            Some(libc::EBADF | libc::EINVAL | libc::ENOTSOCK | libc::EFAULT) => AcceptError::Listener,
            // What the network has to say of a connection that was waiting.
            Some(
                libc::ECONNABORTED
                | libc::ECONNRESET
                | libc::EINTR
                | libc::EPROTO
                | libc::ENOPROTOOPT
                | libc::ENETDOWN
                | libc::ENETUNREACH
                | libc::EHOSTDOWN
                | libc::EHOSTUNREACH
                | libc::EOPNOTSUPP
                | libc::ETIMEDOUT,
            ) => AcceptError::OneConnection,
            // No descriptors, no memory; and whatever else there is, for that may last as well.
            _ => AcceptError::Exhausted,
        }
    }
}

/// Lowers `max_connections` to what fits.
fn within(files: OpenFiles, mut limits: Limits, listeners: usize) -> Result<Limits, TooFew> {
    let wanted = limits.max_connections;
    limits.max_connections = wanted.min(files.room(listeners)?);
    info!("room for {} connections ({} open files allowed)", limits.max_connections, files.allowed);
    if limits.max_connections < wanted {
        warn!("--max-connections {wanted} does not fit: raise the limit on open files (ulimit -Hn)");
    }
    Ok(limits)
}

/// Unless it was said how much memory may be in use: half of what there is. The other half is for what is not counted: the
/// allocator's own losses, what the kernel keeps for sockets and files, and other programs.
fn within_memory(mut limits: Limits) -> Limits {
    if limits.max_memory_bytes != usize::MAX {
        info!("memory: at most {} bytes in use, as --max-memory says", limits.max_memory_bytes);
    } else if let Some(available) = AvailableMemory::of_this_process() {
        limits.max_memory_bytes = usize::try_from(available.bytes / 2).unwrap_or(usize::MAX);
        info!("memory: at most {} bytes in use, half of {available}", limits.max_memory_bytes);
    } else {
        warn!("memory: nobody says how much there is; set --max-memory");
    }
    limits
}
