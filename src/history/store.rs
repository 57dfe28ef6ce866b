//! What a store is asked for. A store only keeps: order, batches and waiting are the business of the [`super::log::Log`].
//!
//! To add a store is to write these functions. Each may block for as long as it must, if the store is driven by a thread.

use std::error::Error;

use thiserror::Error;

use super::batch::Batch;
use super::retention::{Cut, Look, Trimmed};
use super::{Page, PageSize, RoomIds, RoomKey, Stored, Wanted};
use crate::chat::RoomName;
use crate::chat::position::Epoch;

/// Where messages are kept.
pub trait Store: Send + 'static {
    /// Whether it has older messages than those that a room is opened with.
    fn has_archive(&self) -> bool;

    /// Which log this is: see [`Epoch`].
    fn epoch(&self) -> Epoch;

    /// A room comes into use. The key stands for it in batches until it is closed; keys are small numbers.
    ///
    /// # Errors
    /// [`StoreError`]
    fn open(&mut self, key: RoomKey, room: &RoomName, newest: PageSize) -> Result<OpenedRoom, StoreError>;

    /// The room is no longer in use.
    fn close(&mut self, key: RoomKey);

    /// Keeps all messages of `batch`, or none; puts the id of each at the end of `ids`, in the same order. In a room, ids
    /// rise by one.
    ///
    /// # Errors
    /// [`StoreError`]. Then `ids` is as it was.
    fn append(&mut self, batch: &Batch, ids: &mut Vec<u64>) -> Result<(), StoreError>;

    /// Reads messages of a room: as many as fit in `size`.
    ///
    /// # Errors
    /// [`StoreError`]
    fn read(&mut self, room: &RoomName, wanted: Wanted, size: PageSize) -> Result<Page, StoreError>;

    /// Deletes some of what is to go, and says whether there is more.
    ///
    /// # Errors
    /// [`StoreError`]. Then nothing is deleted.
    fn trim(&mut self, cut: Cut) -> Result<Trimmed, StoreError>;

    /// From now on, no tourist is given a number up to `number` after a restart.
    ///
    /// # Errors
    /// [`StoreError`]
    fn reserve_tourists(&mut self, number: u64) -> Result<(), StoreError>;

    /// Leaves a look at the clock for the next daemon.
    ///
    /// # Errors
    /// [`StoreError`]
    fn keep_look(&mut self, look: Look) -> Result<(), StoreError>;

    /// Tests whether something can be written. It is called every few seconds when nothing else is asked.
    ///
    /// # Errors
    /// [`StoreError`]: so would be the next batch.
    fn probe(&mut self) -> Result<(), StoreError>;

    /// What the operator is to be told, once. Asked after each batch and each probe.
    fn take_notice(&mut self) -> Option<Notice> {
        None
    }
}

/// What the operator of a store should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// Something needs a hand.
    Trouble(String),
    /// That is over.
    Over(String),
}

/// A room as the store knows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OpenedRoom {
    /// Where its ids stand.
    pub ids: RoomIds,
    /// The newest messages, oldest first.
    pub newest: Vec<Stored>,
}

/// Why a store has not done what it was asked. The store's own error says it in a sentence, with what to do about it.
#[derive(Debug, Error)]
pub enum StoreError {
    /// What it keeps is damaged in that place. To try again does not help; other places may be whole.
    #[error(transparent)]
    Damaged(Box<dyn Error + Send + Sync>),
    /// Somebody else has locked it for now. The same is to be tried again.
    #[error(transparent)]
    Busy(Box<dyn Error + Send + Sync>),
    /// It cannot do it now. The next try may succeed.
    #[error(transparent)]
    Unavailable(Box<dyn Error + Send + Sync>),
}
