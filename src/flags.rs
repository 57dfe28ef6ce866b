//! What can be said on the command line and in the environment: each flag with its default and its help.
//!
//! Here each value is parsed by itself. What they mean together is in `settings.rs`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::FalseyValueParser;
use clap::{Arg, CommandFactory as _, FromArgMatches as _, Parser, ValueEnum};

use crate::door::AllowedOrigin;
use crate::environment::UnknownVariable;
use crate::limits::Limits;
use crate::limits::fixed::LEAST_MEMORY_BYTES;
use crate::listen_address::ListenAddresses;

/// A chat room: open the page in two browser tabs, or connect with any WebSocket client, and talk.
///
/// Every line of text that a client sends reaches everybody in the room, the sender included, as one JSON object.
#[allow(rustdoc::bare_urls, rustdoc::broken_intra_doc_links, reason = "these comments are the help text, too")]
#[derive(Debug, Parser)]
#[command(
    name = "roomd",
    version,
    max_term_width = 100,
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true,
    after_help = "Try it:\n  \
        roomd                                   serve the chat page at http://127.0.0.1:8000/\n  \
        websocat ws://127.0.0.1:8000            talk from a terminal\n  \
        roomd --listen 0.0.0.0:8000             let the whole network in\n  \
        roomd --listen unix:/run/roomd.sock     behind a proxy on the same machine\n  \
        roomd decode 8105 48656c6c6f            see the bits of a frame\n  \
        roomd handshake                         see how a handshake is answered\n  \
        roomd check roomd.db                    find what is damaged in a history\n\n\
        Every flag can also be set in the environment: --max-message is ROOMD_MAX_MESSAGE, and so on.\n\
        A variable that is empty is as one that is not set.\n\
        RUST_LOG sets what is logged: error, warn, info (the default), debug.\n\
        RUST_LOG=info,roomd::wire=trace shows every frame, bit by bit, with what is said in it.\n\
        Durations are written like 500ms, 10s or 2m. Sizes are bytes."
)]
pub struct Flags {
    #[allow(missing_docs, reason = "a comment would be help text")]
    #[command(subcommand)]
    pub subcommand: Option<Subcommand>,

    /// Where to listen: ADDRESS:PORT, [IPV6]:PORT or unix:PATH; may be given more than once. Port 0 takes a free port.
    /// unix:PATH,mode=0660 makes the socket file with these permissions, whatever the umask is
    #[arg(long, env = "ROOMD_LISTEN", value_name = "ADDRESS", default_value = "127.0.0.1:8000")]
    pub(crate) listen: Vec<ListenAddresses>,

    /// Let the pages of this site connect as well, e.g. https://chat.example.com, or https://*.example.com for all its
    /// sub-domains; "null" for files, "*" for all. May be given more than once. Programs that are no browsers send no origin and are always let in
    #[arg(long, env = "ROOMD_ORIGIN", value_name = "ORIGIN", value_delimiter = ',')]
    pub(crate) origin: Vec<AllowedOrigin>,

    /// Serve the page's files from this directory instead of from the binary, to edit them
    #[arg(long, env = "ROOMD_WEB", value_name = "DIR", value_parser = directory)]
    pub(crate) web: Option<PathBuf>,

    /// Serve /echo, where every message comes back as it is: for conformance suites and raw speed tests, and exempt
    /// from the rate limit
    #[arg(long, env = "ROOMD_ECHO", value_parser = FalseyValueParser::new())]
    pub(crate) echo: bool,

    /// Where messages are kept: a PATH, for a database in that file; "memory", until the daemon ends; "off", nowhere.
    /// [default: roomd.db, or history.db in the directory that systemd provides]
    #[arg(long, env = "ROOMD_HISTORY", value_name = "PATH|memory|off", value_parser = history_place,
        help_heading = "History")]
    pub(crate) history: Option<HistoryPlace>,

    /// What outlives a loss of power; for --history PATH [default: normal]
    #[arg(long, env = "ROOMD_SYNC", value_name = "HOW", value_enum, help_heading = "History")]
    pub(crate) sync: Option<Sync>,

    /// Messages of a room that are kept; older ones go [default: all; with --history memory: 1000]
    #[arg(long, env = "ROOMD_KEEP_MESSAGES", value_name = "COUNT", value_parser = count, help_heading = "History")]
    pub(crate) keep_messages: Option<usize>,

    /// Days for which messages are kept; for --history PATH [default: for ever]
    #[arg(long, env = "ROOMD_KEEP_DAYS", value_name = "DAYS", value_parser = count_u32, help_heading = "History")]
    pub(crate) keep_days: Option<u32>,

    /// Bytes that are kept. In a file: of the file, all rooms together; the room that takes most loses its oldest messages
    /// [default: all]. With --history memory: of messages, as they are sent [default: 4194304]
    #[arg(long, env = "ROOMD_KEEP_BYTES", value_name = "BYTES", value_parser = count, help_heading = "History")]
    pub(crate) keep_bytes: Option<usize>,

    /// Rooms of which messages are kept; what was said in those silent longest goes; for --history PATH [default: all]
    #[arg(long, env = "ROOMD_MAX_ROOMS_KEPT", value_name = "COUNT", value_parser = count, help_heading = "History")]
    pub(crate) max_rooms_kept: Option<usize>,

    /// Messages of the past that a newcomer is sent: so many, or as many as fit in half of --max-queue
    #[arg(long, env = "ROOMD_REPLAY", value_name = "COUNT", default_value_t = Limits::DEFAULT.replay_messages, value_parser = count_or_none, help_heading = "History")]
    pub(crate) replay: usize,

    /// Connections at once. More are answered 503, or wait until there is room to do so
    #[arg(long, env = "ROOMD_MAX_CONNECTIONS", value_name = "COUNT", default_value_t = Limits::DEFAULT.max_connections, value_parser = count,
        help_heading = "Limits")]
    pub(crate) max_connections: usize,

    /// Bytes of a request head; a longer one is answered 431
    #[arg(long, env = "ROOMD_MAX_HEAD", value_name = "BYTES", default_value_t = Limits::DEFAULT.max_head_bytes, value_parser = count,
        help_heading = "Limits")]
    pub(crate) max_head: usize,

    /// Time from connecting to the end of the request head; then 408
    #[arg(long, env = "ROOMD_HANDSHAKE_TIMEOUT", value_name = "TIME", default_value_t = Limits::DEFAULT.handshake_timeout.into(), value_parser = duration,
        help_heading = "Limits")]
    pub(crate) handshake_timeout: humantime::Duration,

    /// Bytes of one message; a longer one closes the connection with 1009
    #[arg(long, env = "ROOMD_MAX_MESSAGE", value_name = "BYTES", default_value_t = Limits::DEFAULT.message.max_message_bytes, value_parser = count_u64,
        help_heading = "Limits")]
    pub(crate) max_message: u64,

    /// Frames in which one message may come; more close the connection with 1009
    #[arg(long, env = "ROOMD_MAX_FRAGMENTS", value_name = "COUNT", default_value_t = Limits::DEFAULT.message.max_fragments, value_parser = count_u32,
        help_heading = "Limits")]
    pub(crate) max_fragments: u32,

    /// Time for one message to arrive, from its first byte to its last; then 1008
    #[arg(long, env = "ROOMD_MESSAGE_TIMEOUT", value_name = "TIME", default_value_t = Limits::DEFAULT.message_timeout.into(), value_parser = duration,
        help_heading = "Limits")]
    pub(crate) message_timeout: humantime::Duration,

    /// Bytes that may wait for one reader; who owes more when more comes is closed with 1008
    #[arg(long, env = "ROOMD_MAX_QUEUE", value_name = "BYTES", default_value_t = Limits::DEFAULT.max_queue_bytes, value_parser = count,
        help_heading = "Limits")]
    pub(crate) max_queue: usize,

    /// Bytes read from one connection before the others have their turn; a client that leaves as many bytes of answers
    /// unread is not read until it takes some
    #[arg(long, env = "ROOMD_READ_BUDGET", value_name = "BYTES", default_value_t = Limits::DEFAULT.read_budget_bytes, value_parser = count,
        help_heading = "Limits")]
    pub(crate) read_budget: usize,

    /// Bytes written to one connection before the others have their turn
    #[arg(long, env = "ROOMD_WRITE_BUDGET", value_name = "BYTES", default_value_t = Limits::DEFAULT.write_budget_bytes, value_parser = count,
        help_heading = "Limits")]
    pub(crate) write_budget: usize,

    /// Silence after which a client is pinged
    #[arg(long, env = "ROOMD_PING_INTERVAL", value_name = "TIME", default_value_t = Limits::DEFAULT.ping_interval.into(), value_parser = duration,
        help_heading = "Limits")]
    pub(crate) ping_interval: humantime::Duration,

    /// Silence after that ping; then 1008
    #[arg(long, env = "ROOMD_PING_TIMEOUT", value_name = "TIME", default_value_t = Limits::DEFAULT.ping_timeout.into(), value_parser = duration,
        help_heading = "Limits")]
    pub(crate) ping_timeout: humantime::Duration,

    /// Time for a closing connection to finish, and for all of them when the daemon goes down
    #[arg(long, env = "ROOMD_CLOSE_TIMEOUT", value_name = "TIME", default_value_t = Limits::DEFAULT.close_timeout.into(), value_parser = duration,
        help_heading = "Limits")]
    pub(crate) close_timeout: humantime::Duration,

    /// Frames one client may send at once; then it is read more slowly, and nothing is lost
    #[arg(long, env = "ROOMD_RATE_BURST", value_name = "COUNT", default_value_t = Limits::RATE.burst, value_parser = count_u32,
        help_heading = "Limits")]
    pub(crate) rate_burst: u32,

    /// Frames a second one client may send in the long run
    #[arg(long, env = "ROOMD_RATE", value_name = "COUNT", default_value_t = Limits::RATE.per_second, value_parser = count_u32,
        help_heading = "Limits")]
    pub(crate) rate: u32,

    /// Bytes a second one client may cause to be sent in the long run, each counted once however many hear it; at once,
    /// as many as in the time in which --rate-burst comes back
    #[arg(long, env = "ROOMD_BYTE_RATE", value_name = "BYTES", default_value_t = Limits::BYTE_RATE.per_second, value_parser = count_u32,
        help_heading = "Limits")]
    pub(crate) byte_rate: u32,

    /// Bytes a second all that is said in one room may come to in the long run; those who say more take turns, and who
    /// says least comes first. At once, an eighth of --max-queue
    #[arg(long, env = "ROOMD_ROOM_BYTE_RATE", value_name = "BYTES", default_value_t = Limits::ROOM_BYTE_RATE.per_second, value_parser = count_u32,
        help_heading = "Limits")]
    pub(crate) room_byte_rate: u32,

    /// Bytes a second of what newcomers missed that all of them together are sent; those who want more wait in line, and
    /// each has a piece of it in turn
    #[arg(long, env = "ROOMD_PAST_BYTE_RATE", value_name = "BYTES", default_value_t = Limits::PAST_BYTE_RATE.per_second, value_parser = count_u32,
        help_heading = "Limits")]
    pub(crate) past_byte_rate: u32,

    /// New names and rooms one client may take at once; more are refused, and the client is told to slow down
    #[arg(long, env = "ROOMD_CHANGE_BURST", value_name = "COUNT", default_value_t = Limits::CHANGE_RATE.burst, value_parser = count_u32,
        help_heading = "Limits")]
    pub(crate) change_burst: u32,

    /// New names and rooms a second one client may take in the long run
    #[arg(long, env = "ROOMD_CHANGE_RATE", value_name = "COUNT", default_value_t = Limits::CHANGE_RATE.per_second, value_parser = count_u32,
        help_heading = "Limits")]
    pub(crate) change_rate: u32,

    /// Rooms at once. Somebody who wants one more is told to try again later
    #[arg(long, env = "ROOMD_MAX_ROOMS", value_name = "COUNT", default_value_t = Limits::DEFAULT.max_rooms, value_parser = count,
        help_heading = "Limits")]
    pub(crate) max_rooms: usize,

    /// Bytes of memory that all connections together may have in use. When it is more, those for whom most is waiting are
    /// closed, and newcomers are answered 503 [default: half of what the machine or its control group has]
    #[arg(long, env = "ROOMD_MAX_MEMORY", value_name = "BYTES", value_parser = memory, help_heading = "Limits")]
    pub(crate) max_memory: Option<usize>,

    /// Read every client as fast as it sends, and let it change its name as often, for load tests
    #[arg(long, env = "ROOMD_NO_RATE_LIMIT", value_parser = FalseyValueParser::new(), help_heading = "Limits")]
    pub(crate) no_rate_limit: bool,

    /// From so many members on, a room hears a count once a second instead of every coming and going
    #[arg(long, env = "ROOMD_PRESENCE_MEMBERS", value_name = "COUNT", default_value_t = Limits::DEFAULT.presence_members, help_heading = "Limits", value_parser = count_or_none)]
    pub(crate) presence_members: usize,

    /// Not for people: systemd sets the variable for a unit with StateDirectory=
    #[arg(long, env = "STATE_DIRECTORY", hide = true, default_value = "")]
    pub(crate) state_directory: String,

    /// Variables that were meant for roomd, and that it does not know.
    #[arg(skip)]
    pub unknown_variables: Vec<UnknownVariable>,
}

/// What roomd can do instead of serving.
#[allow(rustdoc::bare_urls, rustdoc::broken_intra_doc_links, reason = "these comments are the help text, too")]
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Subcommand {
    /// Show the WebSocket frames in some bytes, bit by bit, and what is wrong with them.
    ///
    /// Masked frames are taken for a client's, unmasked ones for a server's; both may be mixed, as in a capture. The
    /// fragments of a message are joined at its end. Decoding stops at the first fault, as a server does.
    ///
    /// Exit code 0: well-formed; 1: something is wrong with a frame, or its end is missing; 2: not hex.
    #[command(
        max_term_width = 100,
        after_help = "Try it:\n  \
            roomd decode 81 85 37 fa 21 3d 7f 9f 4d 51 58     the masked \"Hello\" of RFC 6455 section 5.7\n  \
            roomd decode 0x88 0x02 0x03 0xe8                  a Close with code 1000\n  \
            roomd decode 01:03:48:65:6c 80:02:6c:6f           a message in two fragments\n  \
            xxd -p capture | roomd decode -                   what a file holds"
    )]
    Decode {
        /// The bytes in hex: with or without blanks, newlines, colons, commas and 0x; several are joined. "-" reads
        /// standard input
        #[arg(required = true, value_name = "HEX")]
        hex: Vec<String>,
    },

    /// Find what is damaged in the file of a history.
    ///
    /// Looks at its pages, at the checksum of every message, and for ids that are missing. Names the messages that cannot be read any more, by room and id. Changes nothing. The daemon that uses the file has
    /// to be stopped first.
    ///
    /// Exit code 0: fine; 1: damaged; 2: it could not be checked, and one sentence says why.
    #[command(
        max_term_width = 100,
        after_help = "Try it:\n  \
            roomd check roomd.db                              the file in the working directory\n  \
            roomd check /var/lib/roomd/history.db             that of the service\n"
    )]
    Check {
        /// The file, as in --history
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },

    /// Show, step by step, how Sec-WebSocket-Accept is made out of a client's Sec-WebSocket-Key.
    ///
    /// Exit code 0: the key is good; 1: it is not, and a server refuses it.
    #[command(
        max_term_width = 100,
        after_help = "Try it:\n  \
            roomd handshake                                   with the key of RFC 6455 section 1.3\n  \
            roomd handshake \"$(head -c 16 /dev/urandom | base64)\"\n"
    )]
    Handshake {
        /// The key, as the client sent it; without it, the RFC's example
        #[arg(value_name = "KEY")]
        key: Option<String>,
    },
}

/// Where messages are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum HistoryPlace {
    /// The newest messages, until the daemon ends.
    Memory,
    /// Nowhere: newcomers see what is said from then on.
    Off,
    /// All of them, in a file.
    File(PathBuf),
}

/// What outlives a loss of power.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Sync {
    /// All but the last moments
    Normal,
    /// Everything: each batch of messages waits for the disk
    Full,
}

/// The file of the history, where none is named: in the directory that systemd provides, or in the working directory.
const FILE_OF_SERVICE: &str = "history.db";
const FILE_OF_USER: &str = "roomd.db";

/// The configuration could not be read; or help was asked for, which is read just the same.
#[derive(Debug)]
pub enum CliExit {
    /// To standard output: help, version.
    Asked(String),
    /// To standard error: what is wrong, in a sentence.
    Wrong(String),
}

impl Flags {
    /// Reads flags, then the environment for those not given. `environment` is that of this process, from which the values
    /// themselves are read: a variable that is set to nothing, as in a file for systemd, is as one that is not set.
    ///
    /// # Errors
    /// [`CliExit`].
    pub fn read(
        arguments: impl IntoIterator<Item = OsString>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Flags, CliExit> {
        let mut command = Flags::command();
        let variables = command.get_arguments().filter_map(Arg::get_env);
        let known: Vec<String> = variables.map(|name| name.to_string_lossy().into_owned()).collect();
        let mut unknown = Vec::new();
        for (name, value) in environment {
            unknown.extend(UnknownVariable::of(&name, &value, &known));
            if value.to_string_lossy().trim().is_empty() {
                let is_it = |arg: &Arg| arg.get_env() == Some(name.as_os_str());
                command = command.mut_args(|arg| if is_it(&arg) { arg.env(None) } else { arg });
            }
        }
        let matches = command.try_get_matches_from_mut(arguments);
        let flags = matches.and_then(|matches| Flags::from_arg_matches(&matches)).map_err(|error| {
            let error = error.format(&mut command);
            let text = error.render().to_string();
            if error.use_stderr() { CliExit::Wrong(first_sentence(&text)) } else { CliExit::Asked(text) }
        })?;
        Ok(Flags { unknown_variables: unknown, ..flags })
    }

    /// Where the history is to be, also if no flag says so.
    pub(crate) fn history_place(&self) -> HistoryPlace {
        self.history.clone().unwrap_or_else(|| {
            // There may be several, divided by colons.
            HistoryPlace::File(match self.state_directory.split(':').next() {
                None | Some("") => FILE_OF_USER.into(),
                Some(directory) => PathBuf::from(directory).join(FILE_OF_SERVICE),
            })
        })
    }
}

/// A duration above zero: with none at all, a timer would be due again as soon as it has fired.
fn duration(text: &str) -> Result<humantime::Duration, String> {
    match text.parse::<humantime::Duration>() {
        Ok(duration) if *duration >= Duration::from_millis(1) => Ok(duration),
        Ok(_) => Err("it must be at least 1ms".into()),
        Err(_) => Err("a duration looks like 500ms, 10s or 2m".into()),
    }
}

/// A directory that is there: a mistyped one is better found at the start than by a visitor.
fn directory(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if path.is_dir() { Ok(path) } else { Err("there is no such directory".into()) }
}

/// Two words, and all else is a path: a file with such a name is `./memory`.
fn history_place(text: &str) -> Result<HistoryPlace, String> {
    match text {
        "" => Err("the path is missing".into()),
        "memory" => Ok(HistoryPlace::Memory),
        "off" => Ok(HistoryPlace::Off),
        path => Ok(HistoryPlace::File(path.into())),
    }
}

fn count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("it must be a whole number above 0".into()),
        Ok(count) => Ok(count),
    }
}

fn memory(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(bytes) if bytes >= LEAST_MEMORY_BYTES => Ok(bytes),
        _ => Err(format!("it must be a whole number of bytes, at least {LEAST_MEMORY_BYTES}")),
    }
}

fn count_or_none(text: &str) -> Result<usize, String> {
    text.parse().map_err(|_| "it must be a whole number".into())
}

fn count_u64(text: &str) -> Result<u64, String> {
    count(text).map(|count| count as u64)
}

fn count_u32(text: &str) -> Result<u32, String> {
    count(text)?.try_into().map_err(|_| "it must be a whole number below 4294967296".into())
}

impl CliExit {
    /// Flags that are good by themselves and not together, in one sentence.
    pub(crate) fn wrong(sentence: &str) -> CliExit {
        CliExit::Wrong(format!("{sentence}; see roomd --help"))
    }
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

    fn read(flags: &[&str]) -> Result<Flags, CliExit> {
        Flags::read(["roomd"].iter().chain(flags).map(OsString::from), [])
    }

    #[test]
    fn zero_is_refused_where_nothing_could_work_with_it() {
        for flag in ["--ping-interval=0s", "--max-message=0", "--rate=0", "--max-fragments=0", "--close-timeout=0ms"] {
            assert!(matches!(read(&[flag]), Err(CliExit::Wrong(_))), "{flag}");
        }
        assert!(read(&["--replay=0", "--presence-members=0"]).is_ok());
    }

    #[test]
    fn without_a_flag_the_history_is_a_file_where_systemd_wants_it_or_where_the_daemon_was_started() {
        for (flags, path) in [
            (&[][..], "roomd.db"),
            (&["--state-directory="], "roomd.db"),
            (&["--state-directory=/var/lib/roomd"], "/var/lib/roomd/history.db"),
            (&["--state-directory=/var/lib/a:/var/lib/b"], "/var/lib/a/history.db"),
            (&["--state-directory=/var/lib/a", "--history=x"], "x"),
            (&["--history=./memory"], "./memory"),
        ] {
            let place = read(flags).ok().map(|flags| flags.history_place());
            assert_eq!(place, Some(HistoryPlace::File(path.into())), "{flags:?}");
        }
    }
}
