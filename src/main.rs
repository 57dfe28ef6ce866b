//! The daemon's face: flags in, log lines and an exit code out.
//!
//! Exit codes: 0 after a goodbye, 1 when it cannot run or cannot go on, 2 when it was called wrongly. Asked to show
//! something instead: 0 when that is in order, 1 when it is not, 2 when it cannot be looked at.

// Nothing that comes from outside may end the daemon.
#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![cfg_attr(not(test), warn(clippy::todo, clippy::unimplemented, clippy::unreachable))]

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::Write as _;
use std::process::ExitCode;

use cap::Cap;
use log::{Level, warn};
use roomd::clock;
use roomd::event_loop;
use roomd::flags::{CliExit, Flags};
use roomd::inspect::{self, Verdict};
use roomd::log_buffer::{LogBuffer, LogWriter};
use roomd::log_filter::LogFilter;
use roomd::log_line::LogLine;
use roomd::settings::Settings;
use tikv_jemallocator::Jemalloc;

/// Counts what is in use, so that `--max-memory` can be kept. Of what is freed jemalloc keeps nothing, as
/// `.cargo/config.toml` tells it; the allocator of glibc kept two thirds of what a rush had needed, for ever.
#[global_allocator]
static ALLOCATOR: Cap<Jemalloc> = Cap::new(Jemalloc, usize::MAX);

fn main() -> ExitCode {
    let flags = match Flags::read(std::env::args_os(), std::env::vars_os()) {
        Ok(flags) => flags,
        Err(exit) => return end(exit),
    };
    if let Some(subcommand) = &flags.subcommand {
        return match inspect::show(&flags, subcommand, std::io::stdin().lock()) {
            Ok(shown) => {
                print(&shown.text);
                if shown.verdict == Verdict::Fine { ExitCode::SUCCESS } else { ExitCode::FAILURE }
            }
            Err(exit) => end(exit),
        };
    }
    let settings = match Settings::from_flags(flags) {
        Ok(settings) => settings,
        Err(exit) => return end(exit),
    };
    // When it is dropped, also by a panic, what waits is written; but nobody waits for that for ever.
    let writer = match LogWriter::start(std::io::stderr()) {
        Ok(writer) => writer,
        Err(error) => return fail(1, &format!("cannot start a thread for the log: {error}")),
    };
    let mut log = writer.buffer();
    log_panics_to(log.clone());
    let filter = LogFilter::read(std::env::var_os("RUST_LOG").as_deref());
    env_logger::Builder::new()
        .parse_filters(filter.directives())
        .format(|out, record| write!(out, "{}", LogLine::of(record, clock::unix_ms())))
        .target(env_logger::Target::Pipe(Box::new(log.clone())))
        .init();
    for fault in filter.faults() {
        warn!("{fault}");
    }
    for variable in &settings.unknown_variables {
        warn!("{variable}");
    }
    match event_loop::run(settings, &log, Box::new(|| ALLOCATOR.allocated())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fatal) => {
            let _ = log.write_all(format!("roomd: {fatal}\n").as_bytes());
            ExitCode::FAILURE
        }
    }
}

/// The usual way writes to standard error itself, and could hang there.
fn log_panics_to(log: LogBuffer) {
    std::panic::set_hook(Box::new(move |panic| {
        let (unix_ms, level, target) = (clock::unix_ms(), Level::Error, "roomd");
        let backtrace = Backtrace::capture();
        let line = match backtrace.status() {
            BacktraceStatus::Captured => {
                LogLine { unix_ms, level, target, words: format_args!("{panic}\n{backtrace}") }.to_string()
            }
            _ => LogLine { unix_ms, level, target, words: format_args!("{panic}") }.to_string(),
        };
        let _ = log.clone().write_all(line.as_bytes());
        log.write_out();
    }));
}

fn end(exit: CliExit) -> ExitCode {
    match exit {
        CliExit::Asked(text) => {
            print(&text);
            ExitCode::SUCCESS
        }
        CliExit::Wrong(sentence) => fail(2, &sentence),
    }
}

/// To standard output. A closed pipe (`roomd --help | head -1`) is no error.
fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

fn fail(code: u8, sentence: &str) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "roomd: {sentence}");
    ExitCode::from(code)
}
