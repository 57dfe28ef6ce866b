//! Where a history is to be, and the way from there to one that is open.

use std::path::PathBuf;

use super::History;
use super::log::{Log, Terms, Wake};
use super::memory::Memory;
use super::sqlite::errors::OpenError;

/// Where what is said is kept, besides in the rooms' scrollbacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HistoryPlan {
    /// Nowhere: what is said only takes its place in the order.
    InMemory,
    /// In a file.
    InFile {
        /// The file.
        path: PathBuf,
        /// How it is kept.
        terms: Terms,
    },
}

impl HistoryPlan {
    /// Opens it. It calls `wake`, from whichever thread it works on, when it has something to give.
    ///
    /// # Errors
    /// [`OpenError`]
    pub fn open<M: 'static>(&self, wake: Wake) -> Result<Box<dyn History<M>>, OpenError> {
        match self {
            HistoryPlan::InMemory => Ok(Box::new(Memory::new())),
            HistoryPlan::InFile { path, terms } => Ok(Box::new(Log::open(path, *terms, wake)?)),
        }
    }
}
