//! The store in a file of SQLite: all that knows SQL is here.
//!
//! `database` is the file and what is asked of it; `schema` its tables and their versions; `rows` writes and reads them;
//! `trimming` and `surplus` delete what is beyond the limits; `counters` and `tourists` keep numbers; `file_watch` and
//! `log_end` find out whether the file and its write-ahead log are what they were; `check` is `roomd check`; `errors` says
//! each failure in one sentence.

pub mod check;
mod counters;
pub mod database;
pub mod errors;
mod file_watch;
mod log_end;
mod rows;
mod schema;
mod surplus;
mod tourists;
mod trimming;
