//! What roomd shows instead of serving: frames out of their bytes, the making of a handshake's answer, and what is wrong
//! with a history.
//!
//! Files: [`layout`] (a frame drawn bit by bit; the log of frames uses it, too), [`dump`] (bytes and text as people can
//! read them), `decode` and `handshake` (the two subcommands of these names).

mod decode;
pub mod dump;
mod handshake;
pub mod layout;

use std::fmt;
use std::io::Read;
use std::path::Path;

use crate::flags::{CliExit, Subcommand};
use crate::history::sqlite::check;

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
pub fn show(subcommand: &Subcommand, stdin: impl Read) -> Result<Shown, CliExit> {
    let shown = match subcommand {
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
