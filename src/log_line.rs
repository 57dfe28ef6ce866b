//! A line of the log, as it is written.

use std::fmt::{self, Write as _};

use log::{Level, Record};

use crate::clock::Timestamp;

/// What stands before every line of a record but its first: so a drawing is not taken for records of its own.
const INDENT: &str = "    ";

/// One record: `[2026-11-22T17:00:49.232Z INFO  roomd::hub] #2 left: it said goodbye`, with its newline.
#[derive(Debug, Clone, Copy)]
pub struct LogLine<'a> {
    /// When.
    pub unix_ms: u64,
    /// How much it matters.
    pub level: Level,
    /// The module that says it.
    pub target: &'a str,
    /// What it says.
    pub words: fmt::Arguments<'a>,
}

impl<'a> LogLine<'a> {
    /// The line of a record that was made at `unix_ms`.
    #[must_use]
    pub fn of(record: &Record<'a>, unix_ms: u64) -> LogLine<'a> {
        LogLine { unix_ms, level: record.level(), target: record.metadata().target(), words: *record.args() }
    }
}

impl fmt::Display for LogLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LogLine { unix_ms, level, target, words } = *self;
        write!(f, "[{} {level:<5} {target}] ", Timestamp(unix_ms))?;
        Indented(f).write_fmt(words)?;
        f.write_str("\n")
    }
}

struct Indented<'a, 'b>(&'a mut fmt::Formatter<'b>);

impl fmt::Write for Indented<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut lines = text.split('\n');
        self.0.write_str(lines.next().unwrap_or_default())?;
        for line in lines {
            self.0.write_str("\n")?;
            self.0.write_str(INDENT)?;
            self.0.write_str(line)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_of_several_lines_is_indented_from_its_second_on() {
        let (unix_ms, level, target) = (1_500, Level::Info, "roomd::wire");
        let line = |words| LogLine { unix_ms, level, target, words }.to_string();
        assert_eq!(line(format_args!("one")), "[1970-01-01T00:00:01.500Z INFO  roomd::wire] one\n");
        let drawing = "+-+\n|F|";
        assert_eq!(
            line(format_args!("{}: {drawing}", 7)),
            "[1970-01-01T00:00:01.500Z INFO  roomd::wire] 7: +-+\n    |F|\n"
        );
    }
}
