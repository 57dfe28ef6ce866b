//! Where a history is to be, and the way from there to one that is open.

use std::path::PathBuf;

use super::History;
use super::driver::Wake;
use super::log::{InMemoryLog, LogOptions};
use super::sqlite::database::Durability;
use super::sqlite::errors::DatabaseError;
use super::sqlite::store::open_log;

/// Where what is said is kept, besides in the rooms' scrollbacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HistoryPlan {
    /// Nowhere: what is said only takes its place in the order.
    InMemory,
    /// In a file.
    InFile {
        /// The file.
        path: PathBuf,
        /// What outlives a loss of power.
        durability: Durability,
        /// How much is kept.
        options: LogOptions,
    },
}

impl HistoryPlan {
    /// Opens it. It calls `wake`, from whichever thread it works on, when it has something to give.
    ///
    /// # Errors
    /// [`DatabaseError`]
    pub fn open(&self, wake: Wake) -> Result<Box<dyn History>, DatabaseError> {
        match self {
            HistoryPlan::InMemory => Ok(Box::new(InMemoryLog::new())),
            HistoryPlan::InFile { path, durability, options } => {
                Ok(Box::new(open_log(path, *durability, *options, wake)?))
            }
        }
    }
}
