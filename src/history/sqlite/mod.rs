//! The store in a file of SQLite: all that knows SQL is here.
//!
//! `database` is the file and what is asked of it; `schema` its tables and their versions; `rows` writes and reads them;
//! `trimming` and `surplus` delete what is beyond the limits; `runs` is where ids jump, and
//! `lineage` why; `counters` and `tourists` keep numbers; `lock` lets one daemon in at a time; `file_watch` looks whether
//! the file is still there, `end_mark` and `log_end` whether it and its write-ahead log are what the last daemon has left;
//! `log_growth` says when that log cannot be folded into the file; `tool` opens the file beside a daemon, and `check`, `room_sizes` and `backup` are subcommands; `errors` says each failure in
//! one sentence. `store` is all this in front of a log.

pub mod backup;
pub mod check;
mod counters;
pub mod database;
mod end_mark;
pub mod errors;
mod file_watch;
mod lineage;
mod lock;
mod log_end;
mod log_growth;
pub mod room_sizes;
mod rows;
mod runs;
mod schema;
mod secrets;
pub mod store;
mod surplus;
mod tool;
mod tourists;
mod trimming;
