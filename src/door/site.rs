//! What this daemon serves besides the chat itself.

use super::origin::OriginPolicy;
use super::pages::Pages;

/// See the module.
#[derive(Debug)]
pub struct Site {
    /// The files of the chat page.
    pub pages: Pages,
    /// Which pages of other sites may connect.
    pub origins: OriginPolicy,
    /// Whether `/echo` exists.
    pub echo: EchoService,
    /// What `/healthz` says.
    pub health: Health,
}

/// How well what is said is kept. It changes while the daemon runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// As it should be.
    Good,
    /// Some of the past cannot be read any more. Everything works, and no restart would mend it: still 200.
    PastIsDamaged,
    /// What is said now cannot be kept, and is refused: 503.
    CannotKeep,
}

/// `/echo` is for conformance suites and raw speed tests, and off unless asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EchoService {
    /// `--echo` was given.
    On,
    /// It was not: `/echo` is not found.
    Off,
}
