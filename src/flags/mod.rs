//! What can be said on the command line and in the environment: each flag with its default and its help.
//!
//! Here each value is parsed by itself. What they mean together is in `settings.rs`.

mod addresses;
mod history;
mod limits;
mod subcommand;
mod values;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::FalseyValueParser;
use clap::{Arg, CommandFactory as _, FromArgMatches as _, Parser};

pub(crate) use addresses::AddressFlags;
pub use history::HistoryFile;
pub(crate) use history::{HistoryFlags, HistoryPlace, Sync};
pub(crate) use limits::LimitFlags;
pub use subcommand::Subcommand;

use crate::door::AllowedOrigin;
use crate::environment::UnknownVariable;
use crate::listen_address::ListenAddresses;
use values::directory;

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
        roomd check roomd.db                    find what is damaged in a history\n  \
        roomd rooms                             list the rooms of a history with their sizes\n  \
        roomd backup FILE                       copy a history while a daemon is at work\n\n\
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

    #[command(flatten)]
    pub(crate) history: HistoryFlags,

    #[command(flatten)]
    pub(crate) addresses: AddressFlags,

    #[command(flatten)]
    pub(crate) limits: LimitFlags,

    /// Variables that were meant for roomd, and that it does not know.
    #[arg(skip)]
    pub unknown_variables: Vec<UnknownVariable>,
}

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
}
