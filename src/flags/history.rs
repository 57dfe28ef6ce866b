//! What is kept of what was said, where, and how much of it a newcomer is sent.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::values::{count, count_or_none, count_u32, history_place};
use crate::limits::Limits;

/// See the module.
#[derive(Debug, Args)]
#[command(next_help_heading = "History")]
pub(crate) struct HistoryFlags {
    /// Where messages are kept: a PATH, for a database in that file; "memory", until the daemon ends; "off", nowhere.
    /// [default: roomd.db, or history.db in the directory that systemd provides]
    #[arg(long, env = "ROOMD_HISTORY", value_name = "PATH|memory|off", value_parser = history_place)]
    history: Option<HistoryPlace>,

    /// What outlives a loss of power; for --history PATH [default: normal]
    #[arg(long, env = "ROOMD_SYNC", value_name = "HOW", value_enum)]
    pub(crate) sync: Option<Sync>,

    /// Messages of a room that are kept; older ones go [default: all; with --history memory: 1000]
    #[arg(long, env = "ROOMD_KEEP_MESSAGES", value_name = "COUNT", value_parser = count)]
    pub(crate) keep_messages: Option<usize>,

    /// Days for which messages are kept; for --history PATH [default: for ever]
    #[arg(long, env = "ROOMD_KEEP_DAYS", value_name = "DAYS", value_parser = count_u32)]
    pub(crate) keep_days: Option<u32>,

    /// Bytes that are kept. In a file: of the file, all rooms together; the room that takes most loses its oldest messages
    /// [default: all]. With --history memory: of messages, as they are sent [default: 4194304]
    #[arg(long, env = "ROOMD_KEEP_BYTES", value_name = "BYTES", value_parser = count)]
    pub(crate) keep_bytes: Option<usize>,

    /// Rooms of which messages are kept; what was said in those silent longest goes; for --history PATH [default: all]
    #[arg(long, env = "ROOMD_MAX_ROOMS_KEPT", value_name = "COUNT", value_parser = count)]
    pub(crate) max_rooms_kept: Option<usize>,

    /// Messages of the past that a newcomer is sent: so many, or as many as fit in half of --max-queue
    #[arg(long, env = "ROOMD_REPLAY", value_name = "COUNT", default_value_t = Limits::DEFAULT.replay_messages, value_parser = count_or_none)]
    pub(crate) replay: usize,

    /// Not for people: systemd sets the variable for a unit with StateDirectory=
    #[arg(long, env = "STATE_DIRECTORY", hide = true, default_value = "")]
    state_directory: String,
}

/// The file that a subcommand works on.
#[derive(Debug, Clone, Args)]
pub struct HistoryFile {
    /// The file of the history [default: the file that a daemon with the same environment uses]
    #[arg(long = "history", value_name = "PATH", value_parser = history_place)]
    place: Option<HistoryPlace>,
}

impl HistoryFile {
    /// Its path; the daemon's own flags say where it is if nothing is said here. None if there is no file.
    pub(crate) fn path(&self, daemon: &HistoryFlags) -> Option<PathBuf> {
        match self.place.clone().unwrap_or_else(|| daemon.place()) {
            HistoryPlace::File(path) => Some(path),
            HistoryPlace::Memory | HistoryPlace::Off => None,
        }
    }
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

impl HistoryFlags {
    /// Where the history is to be, also if no flag says so.
    pub(crate) fn place(&self) -> HistoryPlace {
        self.history.clone().unwrap_or_else(|| {
            // There may be several, divided by colons.
            HistoryPlace::File(match self.state_directory.split(':').next() {
                None | Some("") => FILE_OF_USER.into(),
                Some(directory) => PathBuf::from(directory).join(FILE_OF_SERVICE),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::super::Flags;
    use super::*;

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
            let flags = ["roomd"].iter().chain(flags).map(OsString::from);
            let place = Flags::read(flags.clone(), []).ok().map(|flags| flags.history.place());
            assert_eq!(place, Some(HistoryPlace::File(path.into())), "{flags:?}");
        }
    }
}
