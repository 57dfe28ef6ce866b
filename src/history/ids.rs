//! Ids in a sentence.

use crate::limits::fixed::MAX_ID_RUNS;
use std::fmt::Write as _;

/// `message 7 is`, `messages 7, 9 to 12 are`. The ids rise.
pub(super) fn in_words(ids: &[u64]) -> String {
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for &id in ids {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == id => *last = id,
            _ => runs.push((id, id)),
        }
    }
    of_runs(&runs)
}

/// The same of runs: the first id of each and its last.
pub(super) fn of_runs(runs: &[(u64, u64)]) -> String {
    let is_one = matches!(runs, [(first, last)] if first == last);
    let mut words = String::from(if is_one { "message" } else { "messages" });
    for (nth, (first, last)) in runs.iter().take(MAX_ID_RUNS).enumerate() {
        let comma = if nth == 0 { "" } else { "," };
        // A string takes whatever is written to it.
        let _ =
            if first == last { write!(words, "{comma} {first}") } else { write!(words, "{comma} {first} to {last}") };
    }
    if let Some(others @ 1..) = runs.len().checked_sub(MAX_ID_RUNS) {
        let _ = write!(words, " and {others} more runs of them");
    }
    words.push_str(if is_one { " is" } else { " are" });
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_told_as_a_run() {
        assert_eq!(in_words(&[7]), "message 7 is");
        assert_eq!(in_words(&[7, 9, 10, 11, 12]), "messages 7, 9 to 12 are");
        let odd: Vec<u64> = (0..50).map(|nth| nth * 2).collect();
        assert!(in_words(&odd).ends_with(", 38 and 30 more runs of them are"), "{}", in_words(&odd));
    }
}
