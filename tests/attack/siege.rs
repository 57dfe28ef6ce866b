//! A siege: the real daemon, witnesses, attackers; and what must hold during it and afterwards.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::peer::Target;
use crate::support::Daemon;
use crate::witness::{Latency, Witnesses};

/// The witnesses' 99th percentile under attack is below so many times that of the same run before it.
const MOST_TIMES_SLOWER: u64 = 20;

/// A faster idle figure than this says more about the machine than about the daemon: with two cores for daemon, witnesses
/// and attackers, a thread waits for others as long now and then. A debug build takes ten times as long over each byte.
const FLOOR_US: u64 = if cfg!(debug_assertions) { 5_000 } else { 2_000 };

/// A machine that did something else meanwhile is no fault of the daemon, so a figure that is too high is taken again, so
/// many times in all. What is lost or dropped counts at once.
const TRIES: u32 = 4;

/// How long it is looked whether the daemon does anything: some thirty ticks of its CPU time if it never slept.
const AT_REST: Duration = Duration::from_millis(300);

/// Descriptors and slots are back within this, and the daemon at rest. Far more than the flags below allow, for a busy
/// machine; and less than the pings would take to find out that a peer is gone.
const RECOVERY: Duration = Duration::from_secs(15);

/// What all connections together may hold, in bytes. The least that the daemon takes.
const BUDGET_BYTES: u64 = 16 * 1024 * 1024;

/// What comes on top of the budget at the very worst, as docs/operating.md has it.
const BEYOND_BUDGET_BYTES: u64 = 52 * 1024 * 1024;

/// Limits so small that few connections reach them.
const FLAGS: &[&str] =
    &["--max-connections", "700", "--close-timeout", "500ms", "--handshake-timeout", "2s", "--max-memory", "16777216"];

/// One way to attack: a program that goes on until the target's time is up, and counts what it did.
#[derive(Clone, Copy)]
pub(crate) struct Attack {
    pub(crate) name: &'static str,
    pub(crate) run: fn(&Target) -> u64,
    /// Connections at a time.
    pub(crate) peers: usize,
}

/// How it went.
struct Report {
    attacks: Vec<(&'static str, u64)>,
    idle: Latency,
    attacked: Latency,
    tries: u32,
    peak_kib: u64,
    recovery: Duration,
}

/// One siege at a time: two would disturb each other's idle figure.
static ALONE: Mutex<()> = Mutex::new(());

/// Times of a siege.
#[derive(Clone, Copy)]
pub(crate) struct Times {
    pub(crate) idle: Duration,
    pub(crate) attack: Duration,
    pub(crate) latency: Latencies,
}

/// What the witnesses' latency is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Latencies {
    /// It must stay within its bound.
    Held,
    /// It is told: the attack is more than this build of the daemon can work through.
    Told,
}

/// Runs the attacks, all at the same time, against a daemon with these flags besides. Fails the test if the witnesses
/// notice more than they may, or if the daemon is not as before when the attackers have gone. Prints how it went.
pub(crate) fn withstand(attacks: &[Attack], flags: &[&str], times: Times) {
    // A siege that failed has left nothing behind.
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    rlimit::increase_nofile_limit(u64::MAX).expect("a test may have as many files as the system allows");
    let mut daemon = Daemon::start(&[FLAGS, flags].concat());
    let mut witnesses = Witnesses::come_to(&daemon);
    let idle = witnesses.talk_until(Instant::now() + times.idle);
    let before = daemon.descriptors();

    let most_us = MOST_TIMES_SLOWER * idle.p99_us.max(FLOOR_US);
    let mut tries = 0;
    let (counts, attacked) = loop {
        tries += 1;
        let (counts, attacked) = attack(&daemon, attacks, &mut witnesses, times.attack);
        if attacked.p99_us < most_us || tries == TRIES || times.latency == Latencies::Told {
            break (counts, attacked);
        }
    };
    let start = Instant::now();
    await_that("the descriptors are given back", || daemon.descriptors() <= before);
    let recovery = start.elapsed();
    assert_eq!(slots_in_use(&mut daemon), 16, "the slots are given back, but those of the witnesses");
    await_that("the daemon rests", || {
        let ticks = daemon.cpu_ticks();
        std::thread::sleep(AT_REST);
        daemon.cpu_ticks() == ticks
    });
    // They are all still there.
    witnesses.talk_until(Instant::now());

    let report = Report { attacks: counts, idle, attacked, tries, peak_kib: daemon.peak_kib(), recovery };
    println!("{report}\n");
    for (name, count) in &report.attacks {
        assert!(*count > 0, "{name} did something");
    }
    let is_held = attacked.p99_us < most_us || times.latency == Latencies::Told;
    assert!(is_held, "the witnesses are held up: p99 must stay below {most_us} us");
    let most_kib = (BUDGET_BYTES + BEYOND_BUDGET_BYTES) / 1024;
    assert!(report.peak_kib < most_kib, "more than {most_kib} KiB of memory");
}

/// All attacks at once, each with a thread of its own, while the witnesses talk.
fn attack(
    daemon: &Daemon,
    attacks: &[Attack],
    witnesses: &mut Witnesses,
    time: Duration,
) -> (Vec<(&'static str, u64)>, Latency) {
    let address = daemon.address.parse().expect("the daemon listens on an address");
    let end = Instant::now() + time;
    std::thread::scope(|scope| {
        let running: Vec<_> = attacks
            .iter()
            .map(|attack| {
                let target = Target { address, end, peers: attack.peers };
                (attack.name, scope.spawn(move || (attack.run)(&target)))
            })
            .collect();
        let latency = witnesses.talk_until(end);
        let counts = running.into_iter().map(|(name, run)| (name, run.join().expect("an attacker does not fail")));
        (counts.collect(), latency)
    })
}

fn await_that(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + RECOVERY;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Connections, as the daemon itself counts them.
fn slots_in_use(daemon: &mut Daemon) -> usize {
    daemon.signal("USR1");
    let line = daemon.wait_for_log(" connections, ");
    let before = line.split(" connections, ").next().and_then(|before| before.rsplit(' ').next());
    before.and_then(|count| count.parse().ok()).unwrap_or_else(|| panic!("no count in {line}"))
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, count) in &self.attacks {
            writeln!(f, "{name:24} {count:>8}")?;
        }
        let Report { idle, attacked, tries, peak_kib, recovery, .. } = self;
        for (name, latency) in [("witnesses when idle", idle), ("under attack", attacked)] {
            let Latency { samples, p50_us, p99_us, max_us } = latency;
            writeln!(f, "{name:24} p50 {p50_us} us, p99 {p99_us} us, longest {max_us} us, of {samples}")?;
        }
        let times = attacked.p99_us as f64 / idle.p99_us.max(1) as f64;
        writeln!(f, "{:24} {times:.1} times the idle p99, in try {tries} of {TRIES}", "")?;
        writeln!(f, "{:24} {peak_kib} KiB resident at most", "memory")?;
        write!(f, "{:24} descriptors back after {} ms; idle CPU nil; nothing lost", "afterwards", recovery.as_millis())
    }
}
