//! The daemon's face: flags in, log lines and an exit code out.
//!
//! Exit codes: 0 after a goodbye, 1 when it cannot run or cannot go on, 2 when it was called wrongly. Asked to show
//! something instead: 0 when that is in order, 1 when it is not.

// Nothing that comes from outside may end the daemon.
#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::Write as _;
use std::process::ExitCode;

use log::warn;
use roomd::config::{Config, Stop};
use roomd::event_loop;
use roomd::log_buffer::LogBuffer;
use roomd::log_filter::LogFilter;
use roomd::show::{self, Verdict};

fn main() -> ExitCode {
    let config = match Config::read(std::env::args_os(), std::env::vars_os()) {
        Ok(config) => config,
        Err(stop) => return end(stop),
    };
    if let Some(question) = config.question() {
        return match show::show(question, std::io::stdin().lock()) {
            Ok(shown) => {
                print(&shown.text);
                if shown.verdict == Verdict::Fine { ExitCode::SUCCESS } else { ExitCode::FAILURE }
            }
            Err(stop) => end(stop),
        };
    }
    let log = LogBuffer::default();
    let filter = LogFilter::read(std::env::var_os("RUST_LOG").as_deref());
    env_logger::Builder::new()
        .parse_filters(filter.directives())
        .format_timestamp_millis()
        .target(env_logger::Target::Pipe(Box::new(log.clone())))
        .init();
    for fault in filter.faults() {
        warn!("{fault}");
    }
    for variable in config.unknown_variables() {
        warn!("{variable}");
    }
    let ended = event_loop::run(&config, &log);
    log.write_out();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(fatal) => fail(1, &fatal.to_string()),
    }
}

fn end(stop: Stop) -> ExitCode {
    match stop {
        Stop::Asked(text) => {
            print(&text);
            ExitCode::SUCCESS
        }
        Stop::Wrong(sentence) => fail(2, &sentence),
    }
}

/// To standard output. A closed pipe (`roomd --help | head -1`) is nobody's fault.
fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

fn fail(code: u8, sentence: &str) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "roomd: {sentence}");
    ExitCode::from(code)
}
