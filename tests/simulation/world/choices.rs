//! Where a run's choices come from: chance that a seed repeats, or a fuzzer's bytes. All that a run does follows from them.

use std::collections::VecDeque;

/// A source of choices.
pub(crate) struct Choices {
    /// A fuzzer's bytes from the front. Each decides one choice, so a fuzzer that changes one changes the plot.
    script: VecDeque<u8>,
    is_script: bool,
    /// Splitmix: eight bytes of state, good enough to choose actions with. A script that has ended is followed by it, so
    /// that a run comes to its end.
    state: u64,
}

impl Choices {
    pub(crate) fn of_seed(seed: u64) -> Choices {
        let state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678_9abc_def0;
        Choices { script: VecDeque::new(), is_script: false, state }
    }

    pub(crate) fn of_script(bytes: &[u8]) -> Choices {
        let state = Choices::of_seed(bytes.len() as u64).state;
        Choices { script: bytes.iter().copied().collect(), is_script: true, state }
    }

    /// A script has come to its end. A seed never does.
    pub(crate) fn have_ended(&self) -> bool {
        self.is_script && self.script.is_empty()
    }

    /// Another source that follows from this one: for whom what he chooses must not depend on how often others do.
    pub(crate) fn fork(&mut self) -> Choices {
        Choices::of_seed(self.below(1 << 32) as u64)
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to `end`, without `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        if end <= 1 {
            return 0; // no choice: it costs no byte of a script
        }
        match self.script.pop_front() {
            // What one byte cannot reach, it is spread over.
            Some(byte) if end > 256 => usize::from(byte) * (end / 256) + usize::from(byte) % (end / 256),
            Some(byte) => usize::from(byte) % end,
            None => (self.next() % end as u64) as usize,
        }
    }

    pub(crate) fn one_in(&mut self, odds: usize) -> bool {
        self.below(odds) == 0
    }

    pub(crate) fn choose<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }
}
