//! Runs in which somebody speaks: as fast as it comes back, on a schedule, or on a schedule beside somebody who floods.

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use hdrhistogram::Histogram;

use crate::report::{Deliveries, Report};
use crate::server::{Server, own_cpu_seconds};
use crate::swarm::{
    MOST_NUMBERS, MOST_SENDERS, Numbers, SMALLEST_TEXT, Swarm, Target, Text, append_text, micros_since,
};
use crate::{Common, rate, whole};

const WARM_UP: Duration = Duration::from_secs(1);

/// Below this the time to warm up has hardly ended before the run has.
const SHORTEST: f64 = 0.1;

/// When everything has come it listens so much longer, for what should not come.
const ENCORE: Duration = Duration::from_millis(100);

/// When a client was closed, not everything can come. What is still under way to the others comes without such a gap.
const GAP: Duration = Duration::from_secs(1);

/// How long to read what was kept for clients that had stalled.
const CATCH_UP: Duration = Duration::from_secs(5);

/// How late the generator may be by itself before its latencies are its own.
const LATE: Duration = Duration::from_millis(10);

/// Who is busy for more of the time has nothing left, in percent.
const BUSY: f64 = 90.0;

/// The largest text whose length a frame tells in 16 bits.
const LARGEST_TEXT: u64 = 65_535;

/// Messages that a flooder hands to its socket at once, whenever the socket has taken those before.
const FLOOD: u32 = 100;

/// Messages that a flooder may have under way. It is several of a server's reads, so its socket is never found empty;
/// with no bound at all the server is faster than this generator, and drops its listeners as slow readers.
const FLOOD_WINDOW: u32 = 2000;

/// What every run with messages needs to know besides.
#[derive(Args, Clone)]
struct Texts {
    /// Bytes of a text
    #[arg(long, default_value_t = 64, value_parser = whole::<usize>(SMALLEST_TEXT as u64..=LARGEST_TEXT))]
    size: usize,
    /// Seconds to wait at the end for what has not come; then it is lost
    #[arg(long, default_value_t = 20, value_parser = whole::<u64>(1..=3600))]
    limit: u64,
}

#[derive(Args)]
pub(crate) struct Fanout {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    texts: Texts,
    /// Clients that talk, or all if there are fewer; all listen
    #[arg(long, default_value_t = 10, value_parser = whole::<usize>(1..=MOST_SENDERS as u64))]
    senders: usize,
    /// Messages each sender has under way
    #[arg(long, default_value_t = 10, value_parser = whole::<u32>(1..=100_000))]
    window: u32,
    /// Clients, besides the others, that stop reading when the measured seconds begin
    #[arg(long, default_value_t = 0, value_parser = whole::<usize>(0..=1_000_000))]
    stalled: usize,
}

#[derive(Args)]
pub(crate) struct Paced {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    texts: Texts,
    /// Messages a second
    #[arg(long, default_value_t = 20.0, value_parser = rate)]
    rate: f64,
    /// Clients, besides the others, that talk as fast as the server takes it
    #[arg(long, default_value_t = 0, value_parser = whole::<usize>(0..=MOST_SENDERS as u64 - 1))]
    flooders: usize,
}

#[derive(Args)]
pub(crate) struct Echo {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    texts: Texts,
    /// Messages each client has under way
    #[arg(long, default_value_t = 16, value_parser = whole::<u32>(1..=100_000))]
    window: u32,
}

#[derive(Args)]
pub(crate) struct Fairness {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    texts: Texts,
    /// Messages a second, of the client whose latency it is about
    #[arg(long, default_value_t = 100.0, value_parser = rate)]
    rate: f64,
    /// Clients that flood in every other run
    #[arg(long, default_value_t = 1, value_parser = whole::<usize>(1..=MOST_SENDERS as u64 - 1))]
    flooders: usize,
    /// Pairs of runs, one alone and one with the flood
    #[arg(long, default_value_t = 3, value_parser = whole::<u32>(1..=1000))]
    rounds: u32,
}

/// Who hears what is said.
#[derive(Clone, Copy, PartialEq)]
enum Reach {
    Room,
    /// An echo is a fan-out in which each hears only itself.
    Itself,
}

/// What was said, and what each client has to hear next of each sender.
struct Ledger {
    reach: Reach,
    /// That one client hears.
    senders: usize,
    /// The others are not counted.
    clients: usize,
    /// By each client that talks.
    said: Vec<u32>,
    next: Vec<u32>,
    deliveries: Deliveries,
}

impl Ledger {
    fn new(reach: Reach, clients: usize, talkers: usize) -> Ledger {
        let senders = if reach == Reach::Room { talkers } else { 1 };
        let next = vec![0; clients * senders];
        Ledger { reach, senders, clients, said: vec![0; talkers], next, deliveries: Deliveries::default() }
    }

    /// The number that a talker has in its texts. Who hears only itself needs none, and there may be more of them than
    /// a text has digits for.
    fn number_of(&self, talker: usize) -> usize {
        if self.reach == Reach::Room { talker } else { 0 }
    }

    /// Appends what this talker says next.
    fn say(&mut self, talker: usize, frames: &mut Vec<u8>, run: u32, size: usize, intended_us: u64) -> io::Result<()> {
        let number = self.said[talker];
        if number == MOST_NUMBERS {
            return Err(io::Error::other("a text has no digits for more messages of one sender; take fewer --seconds"));
        }
        append_text(frames, run, size, self.number_of(talker), number, intended_us);
        self.said[talker] = number + 1;
        let hearers = if self.reach == Reach::Room { self.clients } else { 1 };
        self.deliveries.expected += hearers as u64;
        Ok(())
    }

    /// Messages of this talker's that it has not heard itself.
    fn under_way(&self, talker: usize) -> u32 {
        self.said[talker].saturating_sub(self.next[talker * self.senders + self.number_of(talker)])
    }

    /// Returns the numbers of a text that came as it should: it was said, it is as it was said, and it is new.
    #[inline]
    fn hear(&mut self, client: usize, text: &Text) -> Option<Numbers> {
        if client >= self.clients {
            return None;
        }
        self.deliveries.corrupt += u64::from(!text.is_intact);
        let said_by = |sender| if self.reach == Reach::Room { sender } else { client };
        let was_said = |is: &Numbers| is.sender < self.senders && is.number < self.said[said_by(is.sender)];
        let Some(numbers) = text.numbers.filter(was_said) else {
            // Who can say what it was? That it is not what was said is enough.
            self.deliveries.corrupt += u64::from(text.is_intact);
            return None;
        };
        let next = &mut self.next[client * self.senders + numbers.sender];
        self.deliveries.received += 1;
        match numbers.number.cmp(next) {
            std::cmp::Ordering::Equal => *next += 1,
            std::cmp::Ordering::Less => {
                self.deliveries.repeated += 1;
                return None;
            }
            // What was skipped is lost, or will be counted as repeated when it comes after all.
            std::cmp::Ordering::Greater => {
                self.deliveries.out_of_order += 1;
                *next = numbers.number + 1;
            }
        }
        text.is_intact.then_some(numbers)
    }
}

/// Server and generator, at the beginning of the measured time.
struct Meter<'a> {
    /// `None` if it is on another machine.
    server: Option<&'a Server>,
    start: Instant,
    server_cpu: f64,
    own_cpu: f64,
    received: u64,
    busy: Duration,
}

/// The same over the measured time.
struct Measured {
    seconds: f64,
    own_cpu: f64,
    received: u64,
    busy: Duration,
    server: Option<Used>,
}

/// What the server took of its machine.
struct Used {
    cpu: f64,
    resident_bytes: u64,
}

impl<'a> Meter<'a> {
    fn start(server: Option<&'a Server>, received: u64, busy: Duration) -> io::Result<Meter<'a>> {
        let server_cpu = server.map_or(Ok(0.0), Server::cpu_seconds)?;
        Ok(Meter { server, start: Instant::now(), server_cpu, own_cpu: own_cpu_seconds()?, received, busy })
    }

    fn stop(self, received: u64, busy: Duration) -> io::Result<Measured> {
        // One that has ended meanwhile has closed its clients too, and is reported for that.
        let used = |server: &Server| -> io::Result<Used> {
            Ok(Used { cpu: server.cpu_seconds()? - self.server_cpu, resident_bytes: server.resident_bytes()? })
        };
        Ok(Measured {
            seconds: self.start.elapsed().as_secs_f64(),
            own_cpu: own_cpu_seconds()? - self.own_cpu,
            received: received - self.received,
            busy: busy - self.busy,
            server: self.server.and_then(|server| used(server).ok()),
        })
    }
}

impl Measured {
    fn server_percent(&self) -> Option<f64> {
        self.server.as_ref().map(|used| used.cpu / self.seconds * 100.0)
    }

    /// Of the time. It polls without sleeping, so its own CPU time says nothing: this is the time in passes in which
    /// there was anything to send or to read. Near 100 the generator is the bottleneck, or the machine that takes its
    /// core away.
    fn generator_busy_percent(&self) -> f64 {
        self.busy.as_secs_f64() / self.seconds * 100.0
    }

    fn report(&self, report: &mut Report) {
        if let Some(used) = &self.server {
            let per_million = used.cpu / self.received.max(1) as f64 * 1e6;
            report.add_rounded("server_cpu_seconds_per_million_deliveries", per_million, 4);
        }
        report.add_rounded("deliveries_per_second", self.received as f64 / self.seconds, 0);
        if let Some(percent) = self.server_percent() {
            report.add_rounded("server_cpu_percent", percent, 1);
        }
        report.add_rounded("generator_cpu_percent", self.own_cpu / self.seconds * 100.0, 1);
        report.add_rounded("generator_busy_percent", self.generator_busy_percent(), 1);
        if let Some(used) = &self.server {
            report.add_rounded("server_resident_mib", used.resident_bytes as f64 / f64::from(1 << 20), 1);
        }
    }

    /// For runs that say as much as comes back: whose rate it is, if it is not the server's.
    fn warn_of_the_rate(&self, report: &mut Report) {
        let (server, generator) = (self.server_percent(), self.generator_busy_percent());
        if server.is_some_and(|server| server >= BUSY) {
            return;
        }
        if generator > BUSY {
            report.warn(format!(
                "the generator was busy {generator:.0} % of the time: the rate is its own. CPU time per delivery holds \
                 all the same"
            ));
        } else if let Some(server) = server {
            report.warn(format!(
                "neither was busy all the time, the server {server:.0} % and the generator {generator:.0} %: the rate is \
                 that of the machine, or of too few messages under way. CPU time per delivery holds all the same"
            ));
        }
    }
}

/// Ctrl-C: the first ends the run with a report, the second ends the process.
struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    fn listen() -> io::Result<Interrupt> {
        let flag = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register_conditional_default(signal_hook::consts::SIGINT, Arc::clone(&flag))?;
        signal_hook::flag::register(signal_hook::consts::SIGINT, Arc::clone(&flag))?;
        Ok(Interrupt(flag))
    }

    fn has_come(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn report(&self, report: &mut Report) {
        if self.has_come() {
            report.fail("interrupted: these are the figures so far".to_owned());
        }
    }
}

impl Fanout {
    pub(crate) fn run(self) -> io::Result<Report> {
        let Fanout { common, texts, senders, window, stalled } = self;
        let senders = senders.min(common.clients);
        talk(&common, &texts, Reach::Room, senders, window, stalled)
    }
}

impl Echo {
    pub(crate) fn run(self) -> io::Result<Report> {
        let Echo { common, texts, window } = self;
        talk(&common, &texts, Reach::Itself, common.clients, window, 0)
    }
}

/// The first `senders` clients say something new when something old of theirs has come back.
fn talk(
    common: &Common,
    texts: &Texts,
    reach: Reach,
    senders: usize,
    window: u32,
    stalled: usize,
) -> io::Result<Report> {
    let (clients, size) = (common.clients, texts.size);
    let stalled = clients..clients + stalled;
    let end = WARM_UP + measured_time(common)?;
    let target = Target::of(common)?;
    let server = target.server_if_here(common)?;
    let interrupt = Interrupt::listen()?;
    let mut swarm = Swarm::connect(&target, stalled.end)?;
    let mut ledger = Ledger::new(reach, clients, senders);
    let mut dropped_early = 0;
    let mut meter = None;
    let mut busy = Duration::ZERO;
    let start = Instant::now();
    let mut frames = Vec::new();
    let mut now = Duration::ZERO;
    // When all who talk are gone there is nothing more to wait for.
    let is_silent = |swarm: &Swarm| swarm.first_ending().is_some() && swarm.ended(0..senders) == senders;
    while now < end && !interrupt.has_come() && !is_silent(&swarm) {
        let mut has_work = false;
        for nth in 0..senders {
            frames.clear();
            while ledger.under_way(nth) < window && !swarm.has_ended(nth) {
                ledger.say(nth, &mut frames, swarm.run, size, 0)?;
            }
            if !frames.is_empty() {
                swarm.send(nth, &frames);
                has_work = true;
            }
        }
        has_work |= swarm.pass(Duration::ZERO, size, |client, text| {
            ledger.hear(client, &text);
        })?;
        let before = std::mem::replace(&mut now, start.elapsed());
        if has_work {
            busy += now - before;
        }
        if meter.is_none() && now > WARM_UP {
            dropped_early = swarm.ended(stalled.clone());
            swarm.stop_reading(stalled.clone())?;
            meter = Some(Meter::start(server.as_ref(), ledger.deliveries.received, busy)?);
        }
    }
    let mut report = Report::new(common.json);
    match meter {
        Some(meter) => {
            let measured = meter.stop(ledger.deliveries.received, busy)?;
            measured.report(&mut report);
            measured.warn_of_the_rate(&mut report);
        }
        None => report.fail("the run ended before there was anything to measure".to_owned()),
    }
    drain(&mut swarm, &mut ledger, texts, &interrupt, |_| {})?;
    report_ending(&mut report, &swarm, 0..clients);
    if !stalled.is_empty() {
        report.add("stalled_dropped", read_to_the_end(&mut swarm, stalled.clone(), size)?);
        if dropped_early > 0 {
            report.warn(format!("the server closed {dropped_early} of those that were to stall before they did"));
        }
    }
    report_absence(&mut report, server.as_ref());
    interrupt.report(&mut report);
    report.deliveries(ledger.deliveries);
    Ok(report)
}

/// The time to measure of a run with messages.
fn measured_time(common: &Common) -> io::Result<Duration> {
    if common.seconds < SHORTEST {
        let why = format!("--seconds {}: this run measures for {SHORTEST} at least", common.seconds);
        return Err(io::Error::new(ErrorKind::InvalidInput, why));
    }
    Ok(Duration::from_secs_f64(common.seconds))
}

fn report_ending(report: &mut Report, swarm: &Swarm, clients: std::ops::Range<usize>) {
    let (count, ended) = (clients.len(), swarm.ended(clients));
    report.add("clients_ended", ended);
    if let (1.., Some(first)) = (ended, swarm.first_ending()) {
        report.fail(format!("the server closed {ended} of {count} clients; the first was {first}"));
    }
}

fn report_absence(report: &mut Report, server: Option<&Server>) {
    if server.is_none() {
        report.warn("the server is not on this machine: its CPU time and its memory are not measured".to_owned());
    }
}

/// Reads what was kept for clients that had stalled. Says how many of them the server has closed.
fn read_to_the_end(swarm: &mut Swarm, stalled: std::ops::Range<usize>, size: usize) -> io::Result<usize> {
    swarm.start_reading(stalled.clone())?;
    let start = Instant::now();
    let mut last = start;
    while start.elapsed() < CATCH_UP && last.elapsed() < GAP && swarm.ended(stalled.clone()) < stalled.len() {
        if swarm.pass(Duration::from_millis(10), size, |_, _| {})? {
            last = Instant::now();
        }
    }
    Ok(swarm.ended(stalled))
}

impl Paced {
    pub(crate) fn run(self) -> io::Result<Report> {
        let Paced { common, texts, rate, flooders } = self;
        let stage = Stage::of(&common, texts, rate)?;
        let mut report = Report::new(common.json);
        let run = stage.pace(flooders)?;
        for (name, quantile) in [("p50_us", 0.5), ("p99_us", 0.99), ("p99_9_us", 0.999), ("max_us", 1.0)] {
            report.add(name, run.latency.value_at_quantile(quantile));
        }
        report.add("send_lateness_max_us", run.lateness_max_us);
        if let Some(measured) = &run.measured {
            measured.report(&mut report);
        }
        report.add("clients_ended", run.ended);
        stage.report(&[&run], &mut report);
        Ok(report)
    }
}

impl Fairness {
    pub(crate) fn run(self) -> io::Result<Report> {
        let Fairness { common, texts, rate, flooders, rounds } = self;
        let stage = Stage::of(&common, texts, rate)?;
        let mut runs: [Vec<PacedRun>; 2] = Default::default();
        // Alone, flooded, alone, flooded: what the neighbours do meets both.
        for _ in 0..rounds {
            for (runs, flooders) in runs.iter_mut().zip([0, flooders]) {
                if !stage.interrupt.has_come() {
                    runs.push(stage.pace(flooders)?);
                }
            }
        }
        let mut report = Report::new(common.json);
        let [alone, flooded] = &runs;
        for (name, runs) in [("alone", alone), ("flooded", flooded)] {
            let mut add = |figure: &str, digits: i32, of: &dyn Fn(&PacedRun) -> Option<f64>| {
                let factor = 10f64.powi(digits);
                let values: Vec<f64> =
                    runs.iter().filter_map(of).map(|value| (value * factor).round() / factor).collect();
                report.add(&format!("{name}_{figure}"), values);
            };
            for (figure, quantile) in [("p50_us", 0.5), ("p99_us", 0.99)] {
                add(figure, 0, &|run| Some(run.latency.value_at_quantile(quantile) as f64));
            }
            add("send_lateness_max_us", 0, &|run| Some(run.lateness_max_us as f64));
            add("deliveries_per_second", 0, &|run| run.measured.as_ref().map(|is| is.received as f64 / is.seconds));
            if stage.server.is_some() {
                add("server_cpu_percent", 1, &|run| run.measured.as_ref().and_then(Measured::server_percent));
            }
            add("generator_busy_percent", 1, &|run| run.measured.as_ref().map(Measured::generator_busy_percent));
            add("clients_ended", 0, &|run| Some(run.ended as f64));
        }
        for (name, quantile) in [("flooded_to_alone_p50", 0.5), ("flooded_to_alone_p99", 0.99)] {
            let ratios = alone.iter().zip(flooded).map(|(alone, flooded)| {
                let at = |run: &PacedRun| run.latency.value_at_quantile(quantile).max(1) as f64;
                at(flooded) / at(alone)
            });
            report.add_rounded(name, median(ratios.collect()), 1);
        }
        let all: Vec<&PacedRun> = runs.iter().flatten().collect();
        stage.report(&all, &mut report);
        Ok(report)
    }
}

/// What a paced run found out.
struct PacedRun {
    /// In microseconds, from the intended time to the arrival at each client.
    latency: Histogram<u64>,
    /// How late the generator itself was with the latest of its messages, before the socket had a say.
    lateness_max_us: u64,
    /// `None` if it ended in the time to warm up.
    measured: Option<Measured>,
    deliveries: Deliveries,
    ended: usize,
    first_ending: Option<String>,
}

/// What paced runs have in common. The server is looked for once, before there is anything to measure.
struct Stage<'a> {
    common: &'a Common,
    texts: Texts,
    rate: f64,
    target: Target,
    server: Option<Server>,
    interrupt: Interrupt,
    end_us: u64,
}

impl<'a> Stage<'a> {
    fn of(common: &'a Common, texts: Texts, rate: f64) -> io::Result<Stage<'a>> {
        let end = WARM_UP + measured_time(common)?;
        // The first message of the measured seconds.
        if (WARM_UP.as_secs_f64() * rate).ceil() / rate >= end.as_secs_f64() {
            let why = format!("at --rate {rate} nothing is due within --seconds {}", common.seconds);
            return Err(io::Error::new(ErrorKind::InvalidInput, why));
        }
        let target = Target::of(common)?;
        let server = target.server_if_here(common)?;
        let interrupt = Interrupt::listen()?;
        Ok(Stage { common, texts, rate, target, server, interrupt, end_us: end.as_micros() as u64 })
    }

    /// The first client says `rate` messages a second on a schedule; `flooders` more talk as fast as the server takes it.
    fn pace(&self, flooders: usize) -> io::Result<PacedRun> {
        let (size, clients) = (self.texts.size, self.common.clients);
        let hearers = clients + flooders;
        let mut swarm = Swarm::connect(&self.target, hearers)?;
        let mut ledger = Ledger::new(Reach::Room, hearers, 1 + flooders);
        let mut latency: Histogram<u64> = Histogram::new(3).map_err(io::Error::other)?;
        let mut lateness_max_us = 0;
        let mut measured_said = 0;
        let mut meter = None;
        let mut busy = Duration::ZERO;
        let start = Instant::now();
        let warm_up_us = WARM_UP.as_micros() as u64;
        // The histogram grows as it has to, and a microsecond count always fits it.
        let mut hear = |numbers: Numbers| {
            if numbers.sender == 0 && numbers.intended_us >= warm_up_us {
                let _ = latency.record(micros_since(start).saturating_sub(numbers.intended_us));
            }
        };
        let mut frames = Vec::new();
        let mut now_us = 0;
        let mut is_due = true;
        // Beyond the end until the last that was due before it is sent.
        while (now_us < self.end_us || is_due) && !self.interrupt.has_come() && !swarm.has_ended(0) {
            let mut has_work = false;
            // The schedule does not wait for anybody: what should have been sent by now is sent now, and dated back.
            loop {
                let intended_us = (f64::from(ledger.said[0]) / self.rate * 1e6) as u64;
                is_due = intended_us < self.end_us;
                if !is_due || intended_us > now_us {
                    break;
                }
                frames.clear();
                ledger.say(0, &mut frames, swarm.run, size, intended_us)?;
                if intended_us >= warm_up_us {
                    measured_said += 1;
                    lateness_max_us = lateness_max_us.max(micros_since(start) - intended_us);
                }
                swarm.send(0, &frames);
                has_work = true;
            }
            for nth in 1..=flooders {
                let flooder = clients + nth - 1;
                // A flooder hears itself under the number that it has as a talker.
                let heard = ledger.next[flooder * ledger.senders + nth];
                let may_talk = !swarm.is_behind(flooder) && !swarm.has_ended(flooder);
                if may_talk && ledger.said[nth] + FLOOD <= heard + FLOOD_WINDOW {
                    frames.clear();
                    for _ in 0..FLOOD {
                        ledger.say(nth, &mut frames, swarm.run, size, 0)?;
                    }
                    swarm.send(flooder, &frames);
                    has_work = true;
                }
            }
            has_work |= swarm.pass(Duration::ZERO, size, |client, text| {
                ledger.hear(client, &text).into_iter().for_each(&mut hear);
            })?;
            let before_us = std::mem::replace(&mut now_us, micros_since(start));
            if has_work {
                busy += Duration::from_micros(now_us - before_us);
            }
            if meter.is_none() && now_us > warm_up_us {
                meter = Some(Meter::start(self.server.as_ref(), ledger.deliveries.received, busy)?);
            }
        }
        let measured = meter.map(|meter| meter.stop(ledger.deliveries.received, busy)).transpose()?;
        drain(&mut swarm, &mut ledger, &self.texts, &self.interrupt, &mut hear)?;
        // What never came counts with the limit, however long it was waited for; or the worst would look best.
        let missing = (measured_said * hearers as u64).saturating_sub(latency.len());
        let _ = latency.record_n(self.texts.limit * 1_000_000, missing);
        Ok(PacedRun {
            latency,
            lateness_max_us,
            measured,
            deliveries: ledger.deliveries,
            ended: swarm.ended(0..hearers),
            first_ending: swarm.first_ending().map(str::to_owned),
        })
    }

    /// What all these runs together are worth.
    fn report(&self, runs: &[&PacedRun], report: &mut Report) {
        let lateness_us = runs.iter().map(|run| run.lateness_max_us).max().unwrap_or(0);
        if u128::from(lateness_us) > LATE.as_micros() {
            report.warn(format!(
                "the generator sent a message {lateness_us} us after its time: such latencies are its own"
            ));
        }
        let measured = runs.iter().filter_map(|run| run.measured.as_ref());
        let busiest = measured.map(Measured::generator_busy_percent).fold(0.0, f64::max);
        if busiest > BUSY {
            report.warn(format!(
                "the generator was busy {busiest:.0} % of the time: what waits for it in the sockets counts as latency"
            ));
        }
        if runs.iter().any(|run| run.measured.is_none()) {
            report.fail("a run ended before there was anything to measure".to_owned());
        }
        if let Some(first) = runs.iter().find_map(|run| run.first_ending.as_ref()) {
            let ended: usize = runs.iter().map(|run| run.ended).sum();
            report.fail(format!("the server closed {ended} clients; the first was {first}"));
        }
        report_absence(report, self.server.as_ref());
        self.interrupt.report(report);
        let mut sum = Deliveries::default();
        runs.iter().for_each(|run| sum += run.deliveries);
        report.deliveries(sum);
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Waits until all that was said has been heard, or for the limit; then a little for what nobody said.
fn drain(
    swarm: &mut Swarm,
    ledger: &mut Ledger,
    texts: &Texts,
    interrupt: &Interrupt,
    mut on_new: impl FnMut(Numbers),
) -> io::Result<()> {
    let start = Instant::now();
    let limit = Duration::from_secs(texts.limit);
    let mut last = start;
    let mut complete = None;
    loop {
        let now = Instant::now();
        if ledger.deliveries.lost() == 0 {
            complete.get_or_insert(now);
        }
        let is_over = complete.is_some_and(|complete| now - complete >= ENCORE)
            || now - start >= limit
            || (swarm.first_ending().is_some() || interrupt.has_come()) && now - last >= GAP;
        if is_over {
            return Ok(());
        }
        // For as long as latencies may be short it does not sleep: no server pays for waking it.
        let patience = if now - start < ENCORE { Duration::ZERO } else { Duration::from_millis(10) };
        let has_work = swarm.pass(patience, texts.size, |client, text| {
            ledger.hear(client, &text).into_iter().for_each(&mut on_new);
        })?;
        if has_work {
            last = Instant::now();
        }
    }
}
