//! Runs in which somebody speaks: as fast as it comes back, on a schedule, or on a schedule beside somebody who floods.

use std::io;
use std::time::{Duration, Instant};

use clap::Args;
use hdrhistogram::Histogram;

use crate::Common;
use crate::report::{Deliveries, Report};
use crate::server::{Server, own_cpu_seconds};
use crate::swarm::{SMALLEST_TEXT, Swarm, Target, append_text, micros_since};

/// How long to wait for the last deliveries before they count as lost.
const DRAIN: Duration = Duration::from_secs(20);

const WARM_UP: Duration = Duration::from_secs(1);

/// Messages that a flooder hands to its socket at once, whenever the socket has taken those before.
const FLOOD: u32 = 100;

/// Messages that a flooder may have under way. It is several of a server's reads, so its socket is never found empty;
/// with no bound at all the server is faster than this generator, and drops its listeners as slow readers.
const FLOOD_WINDOW: u32 = 2000;

#[derive(Args)]
pub(crate) struct Fanout {
    #[command(flatten)]
    common: Common,
    /// Clients that talk; all listen
    #[arg(long, default_value_t = 10)]
    senders: usize,
    /// Messages each sender has under way
    #[arg(long, default_value_t = 10)]
    window: u32,
    /// Bytes of a text
    #[arg(long, default_value_t = 64)]
    size: usize,
    /// Clients, besides the others, that never read
    #[arg(long, default_value_t = 0)]
    stalled: usize,
}

#[derive(Args)]
pub(crate) struct Paced {
    #[command(flatten)]
    common: Common,
    /// Messages a second
    #[arg(long, default_value_t = 20.0)]
    rate: f64,
    /// Bytes of a text
    #[arg(long, default_value_t = 64)]
    size: usize,
    /// Clients, besides the others, that talk as fast as the server takes it
    #[arg(long, default_value_t = 0)]
    flooders: usize,
}

#[derive(Args)]
pub(crate) struct Echo {
    #[command(flatten)]
    common: Common,
    /// Messages each client has under way
    #[arg(long, default_value_t = 16)]
    window: u32,
    /// Bytes of a text
    #[arg(long, default_value_t = 64)]
    size: usize,
}

#[derive(Args)]
pub(crate) struct Fairness {
    #[command(flatten)]
    common: Common,
    /// Messages a second, of the client whose latency it is about
    #[arg(long, default_value_t = 100.0)]
    rate: f64,
    /// Bytes of a text
    #[arg(long, default_value_t = 64)]
    size: usize,
    /// Clients that flood in every other run
    #[arg(long, default_value_t = 1)]
    flooders: usize,
    /// Pairs of runs, one alone and one with the flood
    #[arg(long, default_value_t = 3)]
    rounds: u32,
}

/// Who hears what is said.
#[derive(Clone, Copy, PartialEq)]
enum Reach {
    Room,
    /// An echo is a fan-out in which each hears only itself.
    Itself,
}

/// What each client has to hear next of each sender.
struct Ledger {
    /// That one client hears.
    senders: usize,
    next: Vec<u32>,
    deliveries: Deliveries,
}

impl Ledger {
    fn new(clients: usize, senders: usize) -> Ledger {
        Ledger { senders, next: vec![0; clients * senders], deliveries: Deliveries::default() }
    }

    fn hear(&mut self, client: usize, sender: usize, number: u32) {
        let next = &mut self.next[client * self.senders + sender];
        self.deliveries.received += 1;
        match number.cmp(next) {
            std::cmp::Ordering::Equal => *next += 1,
            std::cmp::Ordering::Less => self.deliveries.repeated += 1,
            // What was skipped is lost, or will be counted as repeated when it comes after all.
            std::cmp::Ordering::Greater => {
                self.deliveries.out_of_order += 1;
                *next = number + 1;
            }
        }
    }

    fn heard(&self, client: usize, sender: usize) -> u32 {
        self.next[client * self.senders + sender]
    }
}

/// Server and generator, at the beginning of the measured time.
struct Meter {
    server: Server,
    start: Instant,
    server_cpu: f64,
    own_cpu: f64,
    received: u64,
    busy: Duration,
}

/// The same over the measured time.
struct Measured {
    seconds: f64,
    server_cpu: f64,
    own_cpu: f64,
    received: u64,
    busy: Duration,
    resident_bytes: u64,
}

impl Meter {
    fn start(server: Server, received: u64, busy: Duration) -> io::Result<Meter> {
        let (server_cpu, own_cpu) = (server.cpu_seconds()?, own_cpu_seconds()?);
        Ok(Meter { server, start: Instant::now(), server_cpu, own_cpu, received, busy })
    }

    fn stop(self, received: u64, busy: Duration) -> io::Result<Measured> {
        Ok(Measured {
            seconds: self.start.elapsed().as_secs_f64(),
            server_cpu: self.server.cpu_seconds()? - self.server_cpu,
            own_cpu: own_cpu_seconds()? - self.own_cpu,
            received: received - self.received,
            busy: busy - self.busy,
            resident_bytes: self.server.resident_bytes()?,
        })
    }
}

impl Measured {
    fn server_percent(&self) -> f64 {
        self.server_cpu / self.seconds * 100.0
    }

    /// Of the time. It polls without sleeping, so its own CPU time says nothing: this is the time in passes in which
    /// there was anything to send or to read. Near 100 the generator is the bottleneck, or the machine that takes its
    /// core away.
    fn generator_busy_percent(&self) -> f64 {
        self.busy.as_secs_f64() / self.seconds * 100.0
    }

    fn report(&self, report: &mut Report) {
        let per_million = self.server_cpu / self.received.max(1) as f64 * 1e6;
        report.add_rounded("server_cpu_seconds_per_million_deliveries", per_million, 4);
        report.add_rounded("deliveries_per_second", self.received as f64 / self.seconds, 0);
        report.add_rounded("server_cpu_percent", self.server_percent(), 1);
        report.add_rounded("generator_cpu_percent", self.own_cpu / self.seconds * 100.0, 1);
        report.add_rounded("generator_busy_percent", self.generator_busy_percent(), 1);
        report.add_rounded("server_resident_mib", self.resident_bytes as f64 / f64::from(1 << 20), 1);
        if self.server_percent() < 90.0 {
            report.warn(format!(
                "the server was busy {:.0} % of the time: the rate is the generator's, or the machine's. CPU time per \
                 delivery holds all the same",
                self.server_percent()
            ));
        }
    }
}

impl Fanout {
    pub(crate) fn run(self) -> io::Result<Report> {
        let Fanout { common, senders, window, size, stalled } = self;
        let senders = senders.min(common.clients);
        talk(&common, Reach::Room, senders, window, size, stalled)
    }
}

impl Echo {
    pub(crate) fn run(self) -> io::Result<Report> {
        let Echo { common, window, size } = self;
        talk(&common, Reach::Itself, common.clients, window, size, 0)
    }
}

/// The first `senders` clients say something new when something old of theirs has come back.
fn talk(common: &Common, reach: Reach, senders: usize, window: u32, size: usize, stalled: usize) -> io::Result<Report> {
    let (size, clients) = (size.max(SMALLEST_TEXT), common.clients);
    // Who hears only itself needs no number, and there may be more of them than a text has digits for.
    let number_of = |sender| if reach == Reach::Room { sender } else { 0 };
    let heard_by_each = if reach == Reach::Room { senders } else { 1 };
    let hearers = if reach == Reach::Room { clients } else { 1 };
    let target = Target::of(common)?;
    let mut swarm = Swarm::connect(&target, clients + stalled, clients)?;
    let mut ledger = Ledger::new(clients, heard_by_each);
    let mut sent = vec![0u32; senders];
    let mut meter = None;
    let mut busy = Duration::ZERO;
    let start = Instant::now();
    let end = WARM_UP + Duration::from_secs_f64(common.seconds);
    let mut frames = Vec::new();
    let mut now = Duration::ZERO;
    while now < end {
        let mut has_work = false;
        for (nth, sent) in sent.iter_mut().enumerate() {
            frames.clear();
            while *sent - ledger.heard(nth, number_of(nth)) < window {
                append_text(&mut frames, swarm.run, size, number_of(nth), *sent, 0);
                *sent += 1;
            }
            if !frames.is_empty() {
                swarm.clients[nth].send(&frames)?;
                has_work = true;
            }
        }
        has_work |= swarm.pass(Duration::ZERO, size, |client, text| ledger.hear(client, text.sender, text.number))?;
        let before = std::mem::replace(&mut now, start.elapsed());
        if has_work {
            busy += now - before;
        }
        if meter.is_none() && now > WARM_UP {
            meter = Some(Meter::start(target.server(common)?, ledger.deliveries.received, busy)?);
        }
    }
    let mut report = Report::new(common.json);
    if let Some(meter) = meter {
        meter.stop(ledger.deliveries.received, busy)?.report(&mut report);
    }
    ledger.deliveries.expected = sent.iter().map(|&sent| u64::from(sent)).sum::<u64>() * hearers as u64;
    drain(&mut swarm, &mut ledger, size)?;
    report.deliveries(ledger.deliveries);
    Ok(report)
}

impl Paced {
    pub(crate) fn run(self) -> io::Result<Report> {
        let Paced { common, rate, size, flooders } = self;
        let PacedRun { latency, measured, deliveries } = pace(&common, rate, size, flooders)?;
        let mut report = Report::new(common.json);
        for (name, quantile) in [("p50_us", 0.5), ("p99_us", 0.99), ("p99_9_us", 0.999), ("max_us", 1.0)] {
            report.add(name, latency.value_at_quantile(quantile));
        }
        measured.report(&mut report);
        report.deliveries(deliveries);
        Ok(report)
    }
}

impl Fairness {
    pub(crate) fn run(self) -> io::Result<Report> {
        let Fairness { common, rate, size, flooders, rounds } = self;
        let mut sums = Deliveries::default();
        let mut runs: [Vec<PacedRun>; 2] = Default::default();
        // Alone, flooded, alone, flooded: what the neighbours do meets both.
        for _ in 0..rounds.max(1) {
            for (runs, flooders) in runs.iter_mut().zip([0, flooders]) {
                let run = pace(&common, rate, size, flooders)?;
                sums += run.deliveries;
                runs.push(run);
            }
        }
        let mut report = Report::new(common.json);
        let [alone, flooded] = &runs;
        for (name, runs) in [("alone", alone), ("flooded", flooded)] {
            let mut add = |figure: &str, digits: i32, of: &dyn Fn(&PacedRun) -> f64| {
                let factor = 10f64.powi(digits);
                let values: Vec<f64> = runs.iter().map(|run| (of(run) * factor).round() / factor).collect();
                report.add(&format!("{name}_{figure}"), values);
            };
            for (figure, quantile) in [("p50_us", 0.5), ("p99_us", 0.99)] {
                add(figure, 0, &|run| run.latency.value_at_quantile(quantile) as f64);
            }
            add("deliveries_per_second", 0, &|run| run.measured.received as f64 / run.measured.seconds);
            add("server_cpu_percent", 1, &|run| run.measured.server_percent());
            add("generator_busy_percent", 1, &|run| run.measured.generator_busy_percent());
        }
        for (name, quantile) in [("flooded_to_alone_p50", 0.5), ("flooded_to_alone_p99", 0.99)] {
            let ratios = alone.iter().zip(flooded).map(|(alone, flooded)| {
                let at = |run: &PacedRun| run.latency.value_at_quantile(quantile).max(1) as f64;
                at(flooded) / at(alone)
            });
            report.add_rounded(name, median(ratios.collect()), 1);
        }
        let busiest = flooded.iter().map(|run| run.measured.generator_busy_percent()).fold(0.0, f64::max);
        if busiest > 90.0 {
            report.warn(format!(
                "the generator was busy {busiest:.0} % of the time while it was flooded: what waits for it in the \
                 sockets counts as latency"
            ));
        }
        report.deliveries(sums);
        Ok(report)
    }
}

/// What a paced run found out.
struct PacedRun {
    /// In microseconds, from the intended time to the arrival at each client.
    latency: Histogram<u64>,
    measured: Measured,
    deliveries: Deliveries,
}

/// The first client says `rate` messages a second on a schedule; `flooders` more talk as fast as the server takes it.
fn pace(common: &Common, rate: f64, size: usize, flooders: usize) -> io::Result<PacedRun> {
    let size = size.max(SMALLEST_TEXT);
    let target = Target::of(common)?;
    let mut swarm = Swarm::connect(&target, common.clients + flooders, usize::MAX)?;
    let senders = 1 + flooders;
    let mut ledger = Ledger::new(common.clients + flooders, senders);
    let mut latency: Histogram<u64> = Histogram::new(3).map_err(io::Error::other)?;
    let mut sent = vec![0u32; senders];
    let mut meter = Meter::start(target.server(common)?, 0, Duration::ZERO)?;
    let mut is_warm = false;
    let mut busy = Duration::ZERO;
    let start = Instant::now();
    let warm_up_us = WARM_UP.as_micros() as u64;
    let end_us = warm_up_us + (common.seconds * 1e6) as u64;
    let mut frames = Vec::new();
    let mut now_us = 0;
    while now_us < end_us {
        let mut has_work = false;
        // The schedule does not wait for anybody: what should have been sent by now is sent now, and dated back.
        loop {
            let intended_us = (f64::from(sent[0]) / rate * 1e6) as u64;
            if intended_us > now_us {
                break;
            }
            frames.clear();
            append_text(&mut frames, swarm.run, size, 0, sent[0], intended_us);
            swarm.clients[0].send(&frames)?;
            sent[0] += 1;
            has_work = true;
        }
        for (nth, sent) in sent.iter_mut().enumerate().skip(1) {
            let flooder = common.clients + nth - 1;
            let client = &mut swarm.clients[flooder];
            if !client.is_behind() && *sent + FLOOD <= ledger.heard(flooder, nth) + FLOOD_WINDOW {
                frames.clear();
                for _ in 0..FLOOD {
                    append_text(&mut frames, swarm.run, size, nth, *sent, 0);
                    *sent += 1;
                }
                client.send(&frames)?;
                has_work = true;
            }
        }
        has_work |= swarm.pass(Duration::ZERO, size, |client, text| {
            ledger.hear(client, text.sender, text.number);
            if text.sender == 0 && text.intended_us >= warm_up_us {
                // The histogram grows as it has to, and a microsecond count always fits it.
                let _ = latency.record(micros_since(start).saturating_sub(text.intended_us));
            }
        })?;
        let before_us = std::mem::replace(&mut now_us, micros_since(start));
        if has_work {
            busy += Duration::from_micros(now_us - before_us);
        }
        if !is_warm && now_us > warm_up_us {
            meter = Meter::start(target.server(common)?, ledger.deliveries.received, busy)?;
            is_warm = true;
        }
    }
    let measured = meter.stop(ledger.deliveries.received, busy)?;
    let said: u64 = sent.iter().map(|&sent| u64::from(sent)).sum();
    ledger.deliveries.expected = said * (common.clients + flooders) as u64;
    drain(&mut swarm, &mut ledger, size)?;
    Ok(PacedRun { latency, measured, deliveries: ledger.deliveries })
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Waits until all that was said has been heard, or for [`DRAIN`].
fn drain(swarm: &mut Swarm, ledger: &mut Ledger, size: usize) -> io::Result<()> {
    let start = Instant::now();
    while ledger.deliveries.received < ledger.deliveries.expected && start.elapsed() < DRAIN {
        swarm.pass(Duration::from_millis(10), size, |client, text| {
            ledger.hear(client, text.sender, text.number);
        })?;
    }
    Ok(())
}
