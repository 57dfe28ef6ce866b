//! What roomd shows instead of serving: frames out of their bytes, the making of a handshake's answer, and what is wrong
//! with a history.
//!
//! Files: [`layout`] (a frame drawn bit by bit; the log of frames uses it, too), [`dump`] (bytes and text as people can
//! read them), `decode` and `handshake` (the two subcommands of these names), `stored_rooms` (`roomd rooms`, `roomd backup`).

mod decode;
pub mod dump;
mod handshake;
pub mod layout;
mod stored_rooms;

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::flags::{CliExit, Flags, HistoryFile, Subcommand};
use crate::history::sqlite::{backup, check, room_sizes};

/// What there is to see.
#[derive(Debug)]
pub struct Shown {
    /// Lines for standard output.
    pub text: String,
    /// Whether what was asked about is in order.
    pub verdict: Verdict,
}

/// Whether bytes keep the RFC's rules, or a history is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// They do.
    Fine,
    /// They do not, or the end is missing.
    Faulty,
}

/// Shows what was asked for. `stdin` is read if an argument is `-`.
///
/// # Errors
/// [`CliExit::Wrong`] when it is not hex, or there is none; when the file of a history cannot be checked.
pub fn show(flags: &Flags, subcommand: &Subcommand, stdin: impl Read) -> Result<Shown, CliExit> {
    let shown = match subcommand {
        Subcommand::Backup { file, history } => return backup(&history_file(history, flags)?, file),
        Subcommand::Rooms { history } => return rooms(&history_file(history, flags)?),
        Subcommand::Check { file } => return history(file),
        Subcommand::Decode { hex } => {
            let bytes = decode::read_hex(hex, stdin)
                .map_err(|fault| CliExit::Wrong(format!("{fault}; see roomd decode --help")))?;
            decode::frames(&bytes)
        }
        Subcommand::Handshake { key } => handshake::handshake(key.as_deref()),
    };
    // Writing to a String cannot fail.
    shown.map_err(|fmt::Error| CliExit::Wrong("this cannot be shown".into()))
}

/// What is wrong with a history.
fn history(file: &Path) -> Result<Shown, CliExit> {
    let report = check::check(file).map_err(|cannot| CliExit::Wrong(cannot.to_string()))?;
    let verdict = if report.faults == 0 { Verdict::Fine } else { Verdict::Faulty };
    Ok(Shown { text: report.text, verdict })
}

/// A copy of a history.
fn backup(history: &Path, to: &Path) -> Result<Shown, CliExit> {
    let backup = backup::back_up(history, to).map_err(|cannot| CliExit::Wrong(cannot.to_string()))?;
    Ok(Shown { text: stored_rooms::written(&backup), verdict: Verdict::Fine })
}

/// The rooms of a history.
fn rooms(history: &Path) -> Result<Shown, CliExit> {
    let sizes = room_sizes::room_sizes(history).map_err(|cannot| CliExit::Wrong(cannot.to_string()))?;
    let verdict = if sizes.damaged.is_empty() { Verdict::Fine } else { Verdict::Faulty };
    let text = stored_rooms::table(&sizes).map_err(|fmt::Error| CliExit::Wrong("this cannot be shown".into()))?;
    Ok(Shown { text, verdict })
}

fn history_file(history: &HistoryFile, flags: &Flags) -> Result<PathBuf, CliExit> {
    history
        .path(&flags.history)
        .ok_or_else(|| CliExit::Wrong("this history has no file; name one with --history".into()))
}
