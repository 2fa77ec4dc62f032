//! How far a pipeline's run got, in words: at its end, and on a terminal while it lasts.

use serde::Deserialize;
use serde_json::Value;
use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

use super::Context;
use super::failure::Failure;
use super::operate::{self, Request};
use super::printable::printable;
use crate::flow::{Counters, FileSource};
use crate::setup::Loaded;
use crate::words;

/// From one line to the next.
const REDRAW: Duration = Duration::from_millis(250);
/// Before the first: most runs are over by then.
const FIRST: Duration = Duration::from_millis(30);
/// A line that is longer would be broken by a small terminal, and could not be drawn over.
const LINE_CHARACTERS_MAX: usize = 79;
const BAR_CHARACTERS: u64 = 10;

/// What a run has moved, as the daemon tells it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Moved {
    pub(super) counters: Counters,
    pub(super) records_per_second: Option<f64>,
}

impl Moved {
    /// Of a run as JSON.
    pub(super) fn of(run: &Value) -> Self {
        let counters = Counters::deserialize(run).unwrap_or_default();
        Self { counters, records_per_second: run["records_per_second"].as_f64() }
    }
}

impl fmt::Display for Moved {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counters { read, written, skipped, rejected, bytes_read, .. } = self.counters;
        write!(formatter, "{} read, {} written", grouped(read), grouped(written))?;
        for (count, word) in [(skipped, "skipped"), (rejected, "rejected")] {
            if count > 0 {
                write!(formatter, ", {} {word}", grouped(count))?;
            }
        }
        if let Some(records_per_second) = self.records_per_second.filter(|_| read > 0) {
            write!(formatter, ", {}", rate(records_per_second))?;
        }
        write!(formatter, ", {}", words::bytes(bytes_read))
    }
}

/// `54,000/s`; a tenth where there are few.
pub(super) fn rate(records_per_second: f64) -> String {
    let text = format!("{records_per_second:.1}");
    match text.split_once('.').and_then(|(whole, tenth)| Some((whole.parse::<u64>().ok()?, tenth))) {
        Some((whole, tenth)) if whole < 10 => format!("{whole}.{tenth}/s"),
        Some((whole, _)) => format!("{}/s", grouped(whole)),
        None => format!("{text}/s"),
    }
}

/// `118,233`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Whether somebody looks on.
pub(super) fn is_wanted(context: &Context) -> bool {
    let is_plain = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
    !context.output.json && !context.output.quiet && !is_plain && io::stderr().is_terminal()
}

/// Draws a line over and over until the run has ended, and takes it away.
pub(super) fn show(loaded: &Loaded, run: &Value, flow: &Value) -> Result<(), Failure> {
    let request = Request::new("GET", format!("/runs/{}", run["id"]));
    let input = Input::of(loaded, run, flow);
    let mut pause = FIRST;
    let shown = loop {
        std::thread::sleep(pause);
        pause = REDRAW.min(pause * 2);
        // A daemon that ended meanwhile, or a run that is gone, is told of by who asks for the end.
        let Some(stream) = operate::connect(loaded)? else { break Ok(()) };
        let run = match operate::ask(stream, &request).and_then(|outcome| outcome.or_fail(|_| String::new()))
        {
            Ok(run) => run,
            Err(failure) => break Err(failure),
        };
        if !matches!(run["status"].as_str(), Some("pending" | "in_progress")) {
            break Ok(());
        }
        draw(&line(&run, input.as_ref().and_then(Input::length)));
    };
    draw("");
    shown
}

/// The one file that a run reads, and from where on.
#[derive(Debug)]
struct Input {
    path: PathBuf,
    offset: u64,
}

impl Input {
    /// None where the source is something else, or several files.
    fn of(loaded: &Loaded, run: &Value, flow: &Value) -> Option<Self> {
        if let Some(path) = run["source_file"].as_str() {
            return Some(Self { path: PathBuf::from(path), offset: 0 });
        }
        let source = &flow["configuration"]["settings"]["source"];
        let path = PathBuf::from(source["path"].as_str().filter(|_| source["type"] == "file")?);
        if path.file_name()?.to_str()?.contains(FileSource::WILDCARDS) {
            return None;
        }
        let inode = std::fs::metadata(&path).ok()?.ino();
        let request = Request::new("GET", format!("/flows/{}/cursor", run["flow"].as_str()?));
        let outcome = operate::ask(operate::connect(loaded).ok()??, &request).ok()?;
        let told = outcome.or_fail(|_| String::new()).ok()?;
        let known = told["cursor"]["files"].as_array().into_iter().flatten();
        let offset = known.filter(|file| file["inode"] == inode).find_map(|file| file["offset"].as_u64());
        Some(Self { path, offset: offset.unwrap_or_default() })
    }

    /// Bytes to read, as far as is known now.
    fn length(&self) -> Option<u64> {
        let length = std::fs::metadata(&self.path).ok()?.len();
        length.checked_sub(self.offset).filter(|length| *length > 0)
    }
}

/// `[####......] `.
fn bar(done: u64, all: u64) -> String {
    let filled =
        usize::try_from(done.min(all).saturating_mul(BAR_CHARACTERS) / all.max(1)).unwrap_or_default();
    let all = usize::try_from(BAR_CHARACTERS).unwrap_or_default();
    format!("[{}{}] ", "#".repeat(filled), ".".repeat(all.saturating_sub(filled)))
}

fn line(run: &Value, length: Option<u64>) -> String {
    let flow = run["flow"].as_str().unwrap_or_default();
    let text = match run["status"].as_str() {
        Some("pending") => format!("{flow}: waits for its turn"),
        _ => {
            let moved = Moved::of(run);
            let bar = length.map(|length| bar(moved.counters.bytes_read, length)).unwrap_or_default();
            format!("{bar}{flow}: {moved}")
        }
    };
    printable(&text).chars().take(LINE_CHARACTERS_MAX).collect()
}

/// Draws a line in place of the one before.
fn draw(text: &str) {
    let mut errors = io::stderr().lock();
    // To the line's begin, clear to its end (ECMA-48 EL). Nobody to look on changes nothing about the run.
    let _drawn = write!(errors, "\r\x1b[K{text}").and_then(|()| errors.flush());
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_run_in_progress_is_told_in_a_line() {
        let run = json!({"flow": "readings", "status": "in_progress", "records_read": 120_000,
            "records_written": 118_233, "records_rejected": 12, "records_per_second": 54_000.0,
            "bytes_read": 12 << 20});
        let expected = "readings: 120,000 read, 118,233 written, 12 rejected, 54,000/s, 12 MiB";
        assert_eq!(line(&run, None), expected);
        assert_eq!(line(&run, Some(30 << 20)), format!("[####......] {expected}")[..79]);
        let pending = json!({"flow": "readings", "status": "pending"});
        assert_eq!(line(&pending, Some(1)), "readings: waits for its turn");
    }

    #[test]
    fn a_line_fits_a_small_terminal_and_cannot_move_its_cursor() {
        let run = json!({"flow": "x\u{1b}".repeat(100), "status": "in_progress"});
        assert_eq!(line(&run, None), r"x\u{1b}".repeat(20)[..79]);
    }

    #[test]
    fn numbers_are_grouped_and_small_ones_keep_a_tenth() {
        assert_eq!(
            [(0, 9), (5, 10), (11, 10)].map(|(done, all)| bar(done, all)),
            ["[..........] ", "[#####.....] ", "[##########] "]
        );
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([0.4, 9.9, 10.7, 54_000.0].map(rate), ["0.4/s", "9.9/s", "10/s", "54,000/s"]);
    }
}
