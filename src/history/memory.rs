//! The log that keeps nothing beyond the daemon, by its earlier name.

pub use super::log::InMemoryLog as Memory;
