//! Random bytes of the system.

/// Bytes that nobody can guess. None if the system has none to give.
pub(super) fn random_bytes() -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).ok()?;
    Some(bytes)
}
