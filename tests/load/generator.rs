//! A load generator for chat servers: thousands of WebSocket clients in one process and one thread, an exact check of
//! what each of them was sent, and figures that are free of the usual mistakes.
//!
//! `cargo run --release --example load -- fanout --url ws://127.0.0.1:8000 --clients 1000`
//!
//! - Every client sees every message once, and each sender's messages in order: anything else is counted and fails.
//! - What is measured is the server's own CPU time (from /proc), for wall-clock rates on a shared machine say more about
//!   the neighbours. With `--pid` of the server, or it is found by the address it listens on.
//! - The paced run sends on a schedule and measures from the intended time, so that a server that stalls cannot hide the
//!   messages that would have been sent meanwhile (coordinated omission).
//! - It polls without sleeping while it measures, so that no server pays for waking it; and it says when it was the
//!   bottleneck itself.
//! - A run that checked nothing has failed, and so has one in which the server closed a client.
//!
//! It works with any server that sends a text to all clients inside JSON, first or last in the object.

mod idle;
mod report;
mod server;
mod swarm;
mod talk;

use std::ops::RangeInclusive;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

/// Load for chat servers, with an exact check of every delivery.
#[derive(Parser)]
#[command(name = "load", max_term_width = 100)]
struct Flags {
    #[command(subcommand)]
    run: Run,
}

#[derive(Subcommand)]
enum Run {
    /// Some clients talk as fast as what they said comes back; all listen. Prints server CPU for a million deliveries
    Fanout(talk::Fanout),
    /// Messages on a fixed schedule; latency is measured from the intended time
    Paced(talk::Paced),
    /// Paced runs alone and beside a client that floods, in turn
    Fairness(talk::Fairness),
    /// Every client talks to itself: for servers with an echo address
    Echo(talk::Echo),
    /// Clients that connect and say nothing. Prints memory and CPU for each
    Idle(idle::Idle),
    /// All clients connect at the same moment. Prints CPU and time for a handshake
    Storm(idle::Storm),
}

/// What every run needs to know.
#[derive(Args, Clone)]
struct Common {
    /// Address of the server; the path may be given
    #[arg(long, default_value = "ws://127.0.0.1:8000/")]
    url: String,
    /// Process id of the server; if not given, found by the address
    #[arg(long)]
    pid: Option<u32>,
    /// Clients that are connected
    #[arg(long, default_value_t = 1000, value_parser = whole::<usize>(1..=1_000_000))]
    clients: usize,
    /// Seconds to measure, after one to warm up
    #[arg(long, default_value_t = 5.0, value_parser = seconds)]
    seconds: f64,
    /// Print one line of JSON instead of sentences
    #[arg(long)]
    json: bool,
}

/// For clap: a whole number in a range.
fn whole<T>(range: RangeInclusive<u64>) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static
where
    T: TryFrom<u64> + 'static,
{
    move |text| {
        let number = text.parse().ok().filter(|number| range.contains(number));
        let wanted = || format!("a whole number from {} to {} is wanted", range.start(), range.end());
        number.and_then(|number| T::try_from(number).ok()).ok_or_else(wanted)
    }
}

/// For clap: a time in seconds. None at all is for the runs that do not look at it.
fn seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse().ok().filter(|seconds| (0.0..=86_400.0).contains(seconds));
    seconds.ok_or_else(|| "a number of seconds from 0 to 86400 is wanted".to_owned())
}

/// For clap: how often in a second.
fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|&rate| rate > 0.0 && rate <= 1e6);
    rate.ok_or_else(|| "a number above 0 and up to 1000000 is wanted".to_owned())
}

fn main() -> ExitCode {
    let flags = Flags::parse();
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        eprintln!("load: cannot raise the limit on open files: {error}");
    }
    let report = match flags.run {
        Run::Fanout(run) => run.run(),
        Run::Paced(run) => run.run(),
        Run::Fairness(run) => run.run(),
        Run::Echo(run) => run.run(),
        Run::Idle(run) => run.run(),
        Run::Storm(run) => run.run(),
    };
    match report {
        Ok(report) => {
            report.print();
            if report.is_correct() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::from(2)
        }
    }
}
