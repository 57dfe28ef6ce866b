//! Runs in which somebody speaks: as fast as it comes back, on a schedule, or each to itself.

use std::io;
use std::time::{Duration, Instant};

use clap::Args;
use hdrhistogram::Histogram;

use crate::Common;
use crate::report::{Deliveries, Report};
use crate::server::own_cpu_seconds;
use crate::swarm::{SMALLEST_TEXT, Swarm, Target, append_text, micros_since};

/// How long to wait for the last deliveries before they count as lost.
const DRAIN: Duration = Duration::from_secs(20);

const WARM_UP: Duration = Duration::from_secs(1);

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

/// What each client has to hear next of each sender.
struct Ledger {
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

/// Server and generator, at the beginning and at the end of the measured time.
struct Meter {
    server: crate::server::Server,
    start: Instant,
    server_cpu: f64,
    own_cpu: f64,
    received: u64,
}

impl Meter {
    fn start(server: crate::server::Server, received: u64) -> io::Result<Meter> {
        let (server_cpu, own_cpu) = (server.cpu_seconds()?, own_cpu_seconds()?);
        Ok(Meter { server, start: Instant::now(), server_cpu, own_cpu, received })
    }

    fn report(&self, report: &mut Report, received: u64) -> io::Result<()> {
        let seconds = self.start.elapsed().as_secs_f64();
        let cpu = self.server.cpu_seconds()? - self.server_cpu;
        let own = own_cpu_seconds()? - self.own_cpu;
        let delivered = received - self.received;
        report.add_rounded("server_cpu_seconds_per_million_deliveries", cpu / delivered.max(1) as f64 * 1e6, 4);
        report.add_rounded("deliveries_per_second", delivered as f64 / seconds, 0);
        report.add_rounded("server_cpu_percent", cpu / seconds * 100.0, 1);
        report.add_rounded("generator_cpu_percent", own / seconds * 100.0, 1);
        report.add_rounded("server_resident_mib", self.server.resident_bytes()? as f64 / f64::from(1 << 20), 1);
        // It polls without sleeping, so its own CPU time says nothing. A server that has time to spare does.
        if cpu / seconds < 0.9 {
            report.warn(format!(
                "the server was busy {:.0} % of the time: the rate is the generator's, or the machine's. CPU time per \
                 delivery holds all the same",
                cpu / seconds * 100.0
            ));
        }
        Ok(())
    }
}

impl Fanout {
    pub(crate) fn run(self) -> io::Result<Report> {
        let Fanout { common, senders, window, size, stalled } = self;
        let (size, listeners) = (size.max(SMALLEST_TEXT), common.clients);
        let senders = senders.min(listeners);
        let target = Target::of(&common)?;
        let mut swarm = Swarm::connect(&target, listeners + stalled, listeners)?;
        let mut ledger = Ledger::new(listeners, senders);
        let mut sent = vec![0u32; senders];
        let mut meter = None;
        let mut report = Report::new(common.json);
        let start = Instant::now();
        let end = WARM_UP + Duration::from_secs_f64(common.seconds);
        let mut frames = Vec::new();
        while start.elapsed() < end {
            for (nth, sent) in sent.iter_mut().enumerate() {
                frames.clear();
                while *sent - ledger.heard(nth, nth) < window {
                    append_text(&mut frames, size, nth, *sent, 0);
                    *sent += 1;
                }
                if !frames.is_empty() {
                    swarm.clients[nth].send(&frames)?;
                }
            }
            swarm.pass(Duration::ZERO, size, |client, text| ledger.hear(client, text.sender, text.number))?;
            if meter.is_none() && start.elapsed() > WARM_UP {
                meter = Some(Meter::start(target.server(&common)?, ledger.deliveries.received)?);
            }
        }
        if let Some(meter) = meter {
            meter.report(&mut report, ledger.deliveries.received)?;
        }
        ledger.deliveries.expected = sent.iter().map(|&sent| u64::from(sent)).sum::<u64>() * listeners as u64;
        drain(&mut swarm, &mut ledger, size)?;
        report.deliveries(ledger.deliveries);
        Ok(report)
    }
}

impl Paced {
    pub(crate) fn run(self) -> io::Result<Report> {
        let Paced { common, rate, size, flooders } = self;
        let size = size.max(SMALLEST_TEXT);
        let target = Target::of(&common)?;
        let mut swarm = Swarm::connect(&target, common.clients + flooders, usize::MAX)?;
        let senders = 1 + flooders;
        let mut ledger = Ledger::new(common.clients + flooders, senders);
        let mut latency: Histogram<u64> = Histogram::new(3).map_err(io::Error::other)?;
        let mut flooded = vec![0u32; senders];
        let mut meter = None;
        let mut report = Report::new(common.json);
        let start = Instant::now();
        let warm_up_us = WARM_UP.as_micros() as u64;
        let end_us = warm_up_us + (common.seconds * 1e6) as u64;
        let mut sent = 0u32;
        let mut frames = Vec::new();
        loop {
            let now_us = micros_since(start);
            if now_us >= end_us {
                break;
            }
            // The schedule does not wait for anybody: what should have been sent by now is sent now, and dated back.
            loop {
                let intended_us = (f64::from(sent) / rate * 1e6) as u64;
                if intended_us > now_us {
                    break;
                }
                frames.clear();
                append_text(&mut frames, size, 0, sent, intended_us);
                swarm.clients[0].send(&frames)?;
                sent += 1;
            }
            for (nth, flooded) in flooded.iter_mut().enumerate().skip(1) {
                let client = &mut swarm.clients[common.clients + nth - 1];
                if !client.is_behind() {
                    frames.clear();
                    for _ in 0..100 {
                        append_text(&mut frames, size, nth, *flooded, 0);
                        *flooded += 1;
                    }
                    client.send(&frames)?;
                }
            }
            swarm.pass(Duration::ZERO, size, |client, text| {
                ledger.hear(client, text.sender, text.number);
                if text.sender == 0 && text.intended_us >= warm_up_us {
                    // The histogram grows as it has to, and a microsecond count always fits it.
                    let _ = latency.record(micros_since(start).saturating_sub(text.intended_us));
                }
            })?;
            if meter.is_none() && now_us > warm_up_us {
                meter = Some(Meter::start(target.server(&common)?, ledger.deliveries.received)?);
            }
        }
        for (name, quantile) in [("p50_us", 0.5), ("p99_us", 0.99), ("p99_9_us", 0.999), ("max_us", 1.0)] {
            report.add(name, latency.value_at_quantile(quantile));
        }
        if let Some(meter) = meter {
            meter.report(&mut report, ledger.deliveries.received)?;
        }
        flooded[0] = sent;
        let said: u64 = flooded.iter().map(|&sent| u64::from(sent)).sum();
        ledger.deliveries.expected = said * (common.clients + flooders) as u64;
        drain(&mut swarm, &mut ledger, size)?;
        report.deliveries(ledger.deliveries);
        Ok(report)
    }
}

impl Echo {
    pub(crate) fn run(self) -> io::Result<Report> {
        let Echo { common, window, size } = self;
        let size = size.max(SMALLEST_TEXT);
        let target = Target::of(&common)?;
        let mut swarm = Swarm::connect(&target, common.clients, usize::MAX)?;
        let mut ledger = Ledger::new(common.clients, 1);
        let mut sent = vec![0u32; common.clients];
        let mut meter = None;
        let mut report = Report::new(common.json);
        let start = Instant::now();
        let end = WARM_UP + Duration::from_secs_f64(common.seconds);
        let mut frames = Vec::new();
        while start.elapsed() < end {
            for (nth, sent) in sent.iter_mut().enumerate() {
                frames.clear();
                while *sent - ledger.heard(nth, 0) < window {
                    append_text(&mut frames, size, 0, *sent, 0);
                    *sent += 1;
                }
                if !frames.is_empty() {
                    swarm.clients[nth].send(&frames)?;
                }
            }
            swarm.pass(Duration::ZERO, size, |client, text| ledger.hear(client, 0, text.number))?;
            if meter.is_none() && start.elapsed() > WARM_UP {
                meter = Some(Meter::start(target.server(&common)?, ledger.deliveries.received)?);
            }
        }
        if let Some(meter) = meter {
            meter.report(&mut report, ledger.deliveries.received)?;
        }
        ledger.deliveries.expected = sent.iter().map(|&sent| u64::from(sent)).sum();
        drain(&mut swarm, &mut ledger, size)?;
        report.deliveries(ledger.deliveries);
        Ok(report)
    }
}

/// Waits until all that was said has been heard, or for [`DRAIN`].
fn drain(swarm: &mut Swarm, ledger: &mut Ledger, size: usize) -> io::Result<()> {
    let start = Instant::now();
    while ledger.deliveries.received < ledger.deliveries.expected && start.elapsed() < DRAIN {
        swarm.pass(Duration::from_millis(10), size, |client, text| {
            let sender = if ledger.senders == 1 { 0 } else { text.sender };
            ledger.hear(client, sender, text.number);
        })?;
    }
    Ok(())
}
