//! Flags and environment into a configuration that is known to make sense.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::builder::FalseyValueParser;
use clap::{Parser, ValueEnum};

use crate::history::History;
use crate::history::memory::Memory;
use crate::http::origin::{AllowedOrigin, OriginPolicy};
use crate::http::page::Pages;
use crate::http::route::{EchoService, Site};
use crate::limits::Limits;
use crate::rate_limit::Rate;
use crate::tail::Kept;
use crate::websocket::MessageLimits;

/// A chat room: open the page in two browser tabs, or connect with any WebSocket client, and talk.
///
/// Every line of text that a client sends reaches everybody in the room, the sender included, as one JSON object.
#[allow(rustdoc::bare_urls, rustdoc::broken_intra_doc_links, reason = "these comments are the help text, too")]
#[derive(Debug, Parser)]
#[command(
    name = "roomd",
    version,
    max_term_width = 100,
    after_help = "Try it:\n  \
        roomd                                   serve the chat page at http://127.0.0.1:8000/\n  \
        websocat ws://127.0.0.1:8000            talk from a terminal\n  \
        roomd --listen 0.0.0.0:8000             let the whole network in\n  \
        roomd --listen unix:/run/roomd.sock     behind a proxy on the same machine\n\n\
        Every flag can also be set in the environment: --max-message is ROOMD_MAX_MESSAGE, and so on.\n\
        RUST_LOG sets what is logged: error, warn, info (the default), debug.\n\
        Durations are written like 500ms, 10s or 2m. Sizes are bytes."
)]
pub struct Config {
    /// Where to listen: ADDRESS:PORT, [IPV6]:PORT or unix:PATH; may be given more than once. Port 0 takes a free port
    #[arg(long, env = "ROOMD_LISTEN", value_name = "ADDRESS", default_value = "127.0.0.1:8000", value_delimiter = ',')]
    pub listen: Vec<ListenAddress>,

    /// Let the pages of this site connect as well, e.g. https://chat.example.com; "null" for files, "*" for all.
    /// May be given more than once. Programs that are no browsers send no origin and are always let in
    #[arg(long, env = "ROOMD_ORIGIN", value_name = "ORIGIN", value_delimiter = ',')]
    origin: Vec<AllowedOrigin>,

    /// Serve the page's files from this directory instead of from the binary, to edit them
    #[arg(long, env = "ROOMD_WEB", value_name = "DIR", value_parser = directory)]
    web: Option<PathBuf>,

    /// Serve /echo, where every message comes back as it is: for conformance suites and raw speed tests, and exempt
    /// from the rate limit
    #[arg(long, env = "ROOMD_ECHO", value_parser = FalseyValueParser::new())]
    echo: bool,

    /// Where messages are kept
    #[arg(long, env = "ROOMD_HISTORY", value_name = "WHERE", default_value = "memory", help_heading = "History")]
    history: HistoryKind,

    /// Messages that --history memory keeps
    #[arg(long, env = "ROOMD_KEEP_MESSAGES", value_name = "COUNT", default_value = "1000", value_parser = count,
        help_heading = "History")]
    keep_messages: usize,

    /// Bytes of messages, as they are sent, that --history memory keeps
    #[arg(long, env = "ROOMD_KEEP_BYTES", value_name = "BYTES", default_value = "4194304", value_parser = count,
        help_heading = "History")]
    keep_bytes: usize,

    /// Messages of the past that a newcomer is sent: so many, or as many as fit in half of --max-queue
    #[arg(long, env = "ROOMD_REPLAY", value_name = "COUNT", default_value = "50", value_parser = count_or_none, help_heading = "History")]
    replay: usize,

    /// Connections at once. More are answered 503, or wait until there is room to do so
    #[arg(long, env = "ROOMD_MAX_CONNECTIONS", value_name = "COUNT", default_value = "16384", value_parser = count,
        help_heading = "Limits")]
    max_connections: usize,

    /// Bytes of a request head; a longer one is answered 431
    #[arg(long, env = "ROOMD_MAX_HEAD", value_name = "BYTES", default_value = "8192", value_parser = count,
        help_heading = "Limits")]
    max_head: usize,

    /// Time from connecting to the end of the request head; then 408
    #[arg(long, env = "ROOMD_HANDSHAKE_TIMEOUT", value_name = "TIME", default_value = "10s", value_parser = duration,
        help_heading = "Limits")]
    handshake_timeout: Duration,

    /// Bytes of one message; a longer one closes the connection with 1009
    #[arg(long, env = "ROOMD_MAX_MESSAGE", value_name = "BYTES", default_value = "65536", value_parser = count,
        help_heading = "Limits")]
    max_message: usize,

    /// Frames in which one message may come; more close the connection with 1009
    #[arg(long, env = "ROOMD_MAX_FRAGMENTS", value_name = "COUNT", default_value = "1024", value_parser = count_u32,
        help_heading = "Limits")]
    max_fragments: u32,

    /// Time for one message to arrive, from its first byte to its last; then 1008
    #[arg(long, env = "ROOMD_MESSAGE_TIMEOUT", value_name = "TIME", default_value = "1m", value_parser = duration,
        help_heading = "Limits")]
    message_timeout: Duration,

    /// Bytes that may wait for one reader; who owes more when more comes is closed with 1008
    #[arg(long, env = "ROOMD_MAX_QUEUE", value_name = "BYTES", default_value = "1048576", value_parser = count,
        help_heading = "Limits")]
    max_queue: usize,

    /// Bytes read from one connection before the others have their turn; a client that leaves as many bytes of answers
    /// unread is not read until it takes some
    #[arg(long, env = "ROOMD_READ_BUDGET", value_name = "BYTES", default_value = "65536", value_parser = count,
        help_heading = "Limits")]
    read_budget: usize,

    /// Bytes written to one connection before the others have their turn
    #[arg(long, env = "ROOMD_WRITE_BUDGET", value_name = "BYTES", default_value = "262144", value_parser = count,
        help_heading = "Limits")]
    write_budget: usize,

    /// Silence after which a client is pinged
    #[arg(long, env = "ROOMD_PING_INTERVAL", value_name = "TIME", default_value = "30s", value_parser = duration,
        help_heading = "Limits")]
    ping_interval: Duration,

    /// Silence after that ping; then 1008
    #[arg(long, env = "ROOMD_PING_TIMEOUT", value_name = "TIME", default_value = "20s", value_parser = duration,
        help_heading = "Limits")]
    ping_timeout: Duration,

    /// Time for a closing connection to finish, and for all of them when the daemon goes down
    #[arg(long, env = "ROOMD_CLOSE_TIMEOUT", value_name = "TIME", default_value = "2s", value_parser = duration,
        help_heading = "Limits")]
    close_timeout: Duration,

    /// Frames one client may send at once; then it is read more slowly, and nothing is lost
    #[arg(long, env = "ROOMD_RATE_BURST", value_name = "COUNT", default_value = "50", value_parser = count_u32,
        help_heading = "Limits")]
    rate_burst: u32,

    /// Frames a second one client may send in the long run
    #[arg(long, env = "ROOMD_RATE", value_name = "COUNT", default_value = "20", value_parser = count_u32,
        help_heading = "Limits")]
    rate: u32,

    /// Read every client as fast as it sends, for load tests
    #[arg(long, env = "ROOMD_NO_RATE_LIMIT", value_parser = FalseyValueParser::new(), help_heading = "Limits")]
    no_rate_limit: bool,

    /// From so many members on, a room hears a count once a second instead of every coming and going
    #[arg(long, env = "ROOMD_PRESENCE_MEMBERS", value_name = "COUNT", default_value = "100", help_heading = "Limits", value_parser = count_or_none)]
    presence_members: usize,
}

/// Where messages are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum HistoryKind {
    /// The newest messages, until the daemon ends
    Memory,
    /// Nowhere: newcomers see what is said from then on
    Off,
}

/// A `--listen`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenAddress {
    /// A host or address with a port, to be resolved.
    Tcp(String),
    /// A socket in the file system.
    Unix(PathBuf),
}

/// The configuration could not be read; or help was asked for, which is read just the same.
#[derive(Debug)]
pub enum Stop {
    /// To standard output: help, version.
    Asked(String),
    /// To standard error: what is wrong, in a sentence.
    Wrong(String),
}

impl Config {
    /// Reads flags, then the environment for those not given.
    ///
    /// # Errors
    /// [`Stop`].
    pub fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Config, Stop> {
        Config::try_parse_from(arguments).map_err(|error| {
            let text = error.render().to_string();
            if error.use_stderr() { Stop::Wrong(first_sentence(&text)) } else { Stop::Asked(text) }
        })
    }

    /// The limits, as all connections share them.
    #[must_use]
    pub fn limits(&self) -> Limits {
        Limits {
            max_connections: self.max_connections,
            max_head_bytes: self.max_head,
            handshake_timeout: self.handshake_timeout,
            message: MessageLimits { max_message_bytes: self.max_message as u64, max_fragments: self.max_fragments },
            message_timeout: self.message_timeout,
            max_queue_bytes: self.max_queue,
            read_budget_bytes: self.read_budget,
            write_budget_bytes: self.write_budget,
            ping_interval: self.ping_interval,
            ping_timeout: self.ping_timeout,
            close_timeout: self.close_timeout,
            rate: (!self.no_rate_limit).then_some(Rate { burst: self.rate_burst, per_second: self.rate }),
            kept: self.kept(),
            replay_messages: self.replay,
            presence_members: self.presence_members,
        }
    }

    /// What is served besides the chat.
    #[must_use]
    pub fn site(&self) -> Site {
        Site {
            pages: self.web.clone().map_or(Pages::Embedded, Pages::Directory),
            origins: OriginPolicy::new(self.origin.clone()),
            echo: if self.echo { EchoService::On } else { EchoService::Off },
        }
    }

    /// The history that was asked for, empty.
    #[must_use]
    pub fn history<M: 'static>(&self) -> Box<dyn History<M>> {
        Box::new(Memory::new())
    }

    fn kept(&self) -> Kept {
        match self.history {
            HistoryKind::Memory => Kept { messages: self.keep_messages, bytes: self.keep_bytes },
            HistoryKind::Off => Kept { messages: 0, bytes: 0 },
        }
    }
}

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<ListenAddress, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.is_empty() {
                Err("the path is missing".into())
            } else {
                Ok(ListenAddress::Unix(path.into()))
            };
        }
        match text.rsplit_once(':') {
            Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => {
                Ok(ListenAddress::Tcp(text.to_owned()))
            }
            _ => Err("an address looks like 127.0.0.1:8000, [::1]:8000 or unix:/run/roomd.sock".into()),
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListenAddress::Tcp(address) => f.write_str(address),
            ListenAddress::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A duration above zero: with none at all, a timer would be due again as soon as it has fired.
fn duration(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(duration) if duration >= Duration::from_millis(1) => Ok(duration),
        Ok(_) => Err("it must be at least 1ms".into()),
        Err(_) => Err("a duration looks like 500ms, 10s or 2m".into()),
    }
}

/// A directory that is there: a mistyped one is better found at the start than by a visitor.
fn directory(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if path.is_dir() { Ok(path) } else { Err("there is no such directory".into()) }
}

fn count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("it must be a whole number above 0".into()),
        Ok(count) => Ok(count),
    }
}

fn count_or_none(text: &str) -> Result<usize, String> {
    text.parse().map_err(|_| "it must be a whole number".into())
}

fn count_u32(text: &str) -> Result<u32, String> {
    count(text)?.try_into().map_err(|_| "it must be a whole number below 4294967296".into())
}

/// clap explains at length, with usage; one sentence is enough, and `--help` has the rest.
fn first_sentence(text: &str) -> String {
    let paragraph = text.split("\n\n").next().unwrap_or_default();
    let line = paragraph.split_whitespace().collect::<Vec<_>>().join(" ");
    format!("{}; see roomd --help", line.trim_start_matches("error: "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(flags: &[&str]) -> Result<Config, Stop> {
        Config::read(["roomd"].iter().chain(flags).map(OsString::from))
    }

    /// The flags' defaults are text, the tests' are numbers: they must not drift apart.
    #[test]
    fn the_defaults_of_the_flags_are_the_defaults_of_the_limits() {
        let limits = read(&[]).map(|config| format!("{:?}", config.limits()));
        assert_eq!(limits.ok(), Some(format!("{:?}", Limits::default())));
    }

    #[test]
    fn zero_is_refused_where_nothing_could_work_with_it() {
        for flag in ["--ping-interval=0s", "--max-message=0", "--rate=0", "--max-fragments=0", "--close-timeout=0ms"] {
            assert!(matches!(read(&[flag]), Err(Stop::Wrong(_))), "{flag}");
        }
        assert!(read(&["--replay=0", "--presence-members=0"]).is_ok());
    }

    #[test]
    fn an_address_is_a_host_with_a_port_or_a_path() {
        for good in ["127.0.0.1:0", "[::1]:8000", "localhost:8000", "unix:/tmp/x"] {
            assert_eq!(good.parse::<ListenAddress>().map(|address| address.to_string()), Ok(good.to_owned()));
        }
        for bad in ["", "8000", ":8000", "localhost", "localhost:", "localhost:65536", "unix:"] {
            assert!(bad.parse::<ListenAddress>().is_err(), "{bad}");
        }
    }
}
