//! The witnesses: pairs that talk in rooms of their own while others attack. They hear how long it takes, and whether
//! anything is missing.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::support::{Daemon, Raw};

/// Several, for one pair may say no more than the rate allows, and a 99th percentile needs many samples.
const PAIRS: usize = 8;

/// Between two words of a pair: 15 a second, where the rate is 20.
const INTERVAL: Duration = Duration::from_millis(66);

/// Pairs in rooms of their own. They live as long as the siege, so who of them is dropped is missed.
pub(crate) struct Witnesses {
    pairs: Vec<Pair>,
}

struct Pair {
    /// They take turns, so that neither is silent for long.
    members: [Raw; 2],
    said: usize,
}

/// What the witnesses found, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Latency {
    pub(crate) samples: u64,
    pub(crate) p50_us: u64,
    pub(crate) p99_us: u64,
    pub(crate) max_us: u64,
}

impl Witnesses {
    pub(crate) fn come_to(daemon: &Daemon) -> Witnesses {
        let pair = |nth: usize| {
            let path = format!("/r/witness-{nth}");
            let mut first = daemon.open(&path);
            let second = daemon.open(&path);
            first.event("join");
            Pair { members: [first, second], said: 0 }
        };
        Witnesses { pairs: (0..PAIRS).map(pair).collect() }
    }

    /// All pairs talk until then, and hear every word of it, in its order and once. Fails the test if not.
    pub(crate) fn talk_until(&mut self, end: Instant) -> Latency {
        let mut all = histogram();
        std::thread::scope(|scope| {
            let talks: Vec<_> = self.pairs.iter_mut().map(|pair| scope.spawn(move || pair.talk_until(end))).collect();
            for talk in talks {
                all.add(talk.join().expect("a witness heard all of it")).expect("the histograms are alike");
            }
        });
        Latency {
            samples: all.len(),
            p50_us: all.value_at_quantile(0.5),
            p99_us: all.value_at_quantile(0.99),
            max_us: all.max(),
        }
    }
}

impl Pair {
    fn talk_until(&mut self, end: Instant) -> Histogram<u64> {
        let mut latencies = histogram();
        let mut due = Instant::now();
        while due < end {
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            self.said += 1;
            let text = format!("word {}", self.said);
            let (speaker, listener) = (self.said % 2, (self.said + 1) % 2);
            let start = Instant::now();
            self.members[speaker].send_text(&text);
            assert_eq!(self.members[listener].message(), text, "nothing is lost, repeated or swapped");
            // One that waits says nothing meanwhile. What it would have said would have waited as well: counted here.
            latencies.record_correct(micros(start.elapsed()), micros(INTERVAL)).expect("the histogram takes any value");
            assert_eq!(self.members[speaker].message(), text, "who speaks hears it as well");
            due = (due + INTERVAL).max(Instant::now());
        }
        latencies
    }
}

fn histogram() -> Histogram<u64> {
    let mut histogram = Histogram::new(3).expect("three digits are allowed");
    histogram.auto(true);
    histogram
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
