//! Runs in which nobody speaks: what a connection costs while it rests, and what it costs to get one.

use std::io::{self, ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use clap::Args;
use mio::{Events, Interest, Poll, Token};

use crate::Common;
use crate::report::Report;
use crate::swarm::{Swarm, Target};

#[derive(Args)]
pub(crate) struct Idle {
    #[command(flatten)]
    common: Common,
}

#[derive(Args)]
pub(crate) struct Storm {
    #[command(flatten)]
    common: Common,

    /// Ask for no welcome and no past, so that the 101 is all that a client is sent
    #[arg(long)]
    quiet: bool,
}

/// Clients that come and go before memory is looked at.
const FIRST_GUESTS: usize = 20;

/// TCP tries again after a second when a listener's backlog was full.
const SYN_RETRY: Duration = Duration::from_millis(900);

/// What a server puts off until the answers are out (a log line, say) counts as well, so its CPU time is read this much
/// later. Less than the second after which roomd tells a crowd how many they are: that is not a handshake's.
const PUT_OFF: Duration = Duration::from_millis(200);

impl Idle {
    pub(crate) fn run(self) -> io::Result<Report> {
        let common = self.common;
        let target = Target::of(&common)?;
        let server = target.server(&common)?;
        let mut report = Report::new(common.json);
        // The first handshakes touch what a server has and needs only once (a library's pages, the first buffers).
        let mut first = Swarm::connect(&target, FIRST_GUESTS)?;
        let _ = first.rest(Instant::now() + Duration::from_millis(500))?;
        drop(first);
        std::thread::sleep(Duration::from_secs(2));
        let before = server.resident_bytes()?;
        let mut swarm = Swarm::connect(&target, common.clients)?;
        let mut ended = swarm.rest(Instant::now() + Duration::from_secs(1))?;
        let with = server.resident_bytes()?;
        let start = Instant::now();
        let end = start + Duration::from_secs_f64(common.seconds);
        let first_cpu = server.fine_cpu_seconds()?;
        let (mut cpu, mut each_second) = (first_cpu, Vec::new());
        while Instant::now() < end {
            let second = start + Duration::from_secs(each_second.len() as u64 + 1);
            ended += swarm.rest(second.min(end))?;
            let earlier = std::mem::replace(&mut cpu, server.fine_cpu_seconds()?);
            each_second.push(((cpu - earlier) * 1e5).round() / 1e2);
        }
        report.add_rounded(
            "server_bytes_per_connection",
            with.saturating_sub(before) as f64 / common.clients as f64,
            0,
        );
        report.add_rounded("server_cpu_percent", (cpu - first_cpu) / start.elapsed().as_secs_f64() * 100.0, 3);
        report.add("server_cpu_ms_each_second", each_second);
        report.add("pings_answered", swarm.pongs);
        if swarm.pongs > 0 {
            report.add_rounded("server_cpu_us_per_ping", (cpu - first_cpu) * 1e6 / swarm.pongs as f64, 1);
        }
        report.add("connections_that_ended", ended);
        report.add("server_resident_kib_before", before / 1024);
        report.add("server_resident_kib_with_them", with / 1024);
        if ended > 0 {
            report.warn(format!("the server ended {ended} of {} connections", common.clients));
        }
        report.deliveries(crate::report::Deliveries {
            expected: common.clients as u64,
            received: (common.clients - ended) as u64,
            ..Default::default()
        });
        drop(swarm);
        std::thread::sleep(Duration::from_secs(3));
        report.add("server_resident_kib_after", server.resident_bytes()? / 1024);
        Ok(report)
    }
}

impl Storm {
    pub(crate) fn run(self) -> io::Result<Report> {
        let common = self.common;
        let mut target = Target::of(&common)?;
        if self.quiet {
            target.ask_for_quiet();
        }
        let server = target.server(&common)?;
        let mut report = Report::new(common.json);
        let mut poll = Poll::new()?;
        let mut events = Events::with_capacity(4096);
        let handshake = target.handshake();
        let cpu = server.fine_cpu_seconds()?;
        let overflows = backlog_overflows();
        let start = Instant::now();

        let mut streams = Vec::with_capacity(common.clients);
        for nth in 0..common.clients {
            let mut stream = mio::net::TcpStream::connect(target.address)?;
            poll.registry().register(&mut stream, Token(nth), Interest::READABLE | Interest::WRITABLE)?;
            streams.push((stream, Progress::Connecting));
        }
        let mut took = Vec::with_capacity(common.clients);
        let mut refused = 0usize;
        while took.len() + refused < common.clients && start.elapsed() < Duration::from_secs(30) {
            poll.poll(&mut events, Some(Duration::from_millis(100)))?;
            for event in &events {
                let Token(nth) = event.token();
                let (stream, progress) = &mut streams[nth];
                if *progress == Progress::Connecting && event.is_writable() && stream.peer_addr().is_ok() {
                    stream.write_all(handshake.as_bytes())?;
                    *progress = Progress::Asked;
                }
                let mut chunk = [0; 4096];
                if *progress == Progress::Asked && event.is_readable() {
                    match stream.read(&mut chunk) {
                        Ok(count) if chunk[..count].starts_with(b"HTTP/1.1 101 ") => {
                            took.push(start.elapsed());
                            *progress = Progress::Done;
                        }
                        Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                        Ok(_) | Err(_) => {
                            refused += 1;
                            *progress = Progress::Done;
                        }
                    }
                }
            }
        }
        let seconds = start.elapsed().as_secs_f64();
        std::thread::sleep(PUT_OFF);
        let cpu = server.fine_cpu_seconds()? - cpu;
        took.sort_unstable();
        report.add("handshakes", took.len());
        report.add("refused", refused);
        report.add_rounded("server_cpu_us_per_handshake", cpu / took.len().max(1) as f64 * 1e6, 2);
        report.add_rounded("handshakes_per_second", took.len() as f64 / seconds, 0);
        for (name, part) in [("p50_ms", 0.5), ("p99_ms", 0.99), ("max_ms", 1.0)] {
            let at = ((took.len() as f64 * part) as usize).min(took.len().saturating_sub(1));
            report.add_rounded(name, took.get(at).map_or(f64::NAN, Duration::as_secs_f64) * 1e3, 1);
        }
        // Either tells of a full backlog: the system's own count, of all listeners of this machine, or a client that is
        // late by the whole second after which TCP tries again, and by nothing in between.
        report.add("backlog_overflows", backlog_overflows().saturating_sub(overflows));
        report.add("gap_of_a_syn_retry", took.windows(2).any(|pair| pair[1] - pair[0] > SYN_RETRY));
        if took.len() < common.clients {
            report.warn(format!("{} of {} clients got no handshake", common.clients - took.len(), common.clients));
        }
        report.deliveries(crate::report::Deliveries {
            expected: common.clients as u64,
            received: took.len() as u64,
            ..Default::default()
        });
        Ok(report)
    }
}

/// How often a connection has found a listener's backlog full since the system started; 0 where it does not say.
fn backlog_overflows() -> u64 {
    let netstat = std::fs::read_to_string("/proc/net/netstat").unwrap_or_default();
    let mut lines = netstat.lines().filter_map(|line| line.strip_prefix("TcpExt: ")).map(|line| line.split(' '));
    let (Some(names), Some(values)) = (lines.next(), lines.next()) else { return 0 };
    let found = names.zip(values).find(|(name, _)| *name == "ListenOverflows");
    found.and_then(|(_, value)| value.parse().ok()).unwrap_or(0)
}

#[derive(PartialEq)]
enum Progress {
    Connecting,
    Asked,
    Done,
}
