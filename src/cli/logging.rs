//! Log lines on standard error: text for people and the journal, or one JSON object a line.
//!
//! What each line says, and under which names, is documented in `docs/logging.md`: programs read it.

use log::kv::{Error, Key, Value, VisitSource};
use log::{Level, LevelFilter, Record};
use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::OnceLock;

use super::failure::Failure;
use super::log_lines::LogLines;
use super::printable::{printable, printable_json};
use crate::config::LogFormat;
use crate::limits;

/// Set by systemd: device and inode of the stream to the journal (systemd.exec(5)).
const JOURNAL_STREAM: &str = "JOURNAL_STREAM";

/// How lines are written.
#[derive(Clone, Copy, Debug)]
struct Form {
    format: LogFormat,
    /// Whether the journal reads them: it has a time of its own, and takes the level from before the line.
    journal: bool,
}

/// The one that [`start`] chose.
static FORM: OnceLock<Form> = OnceLock::new();

/// Starts logging. Called once, before anything is logged.
pub(super) fn start(level: LevelFilter, format: LogFormat) {
    let form = *FORM.get_or_init(|| Form { format, journal: is_journal() });
    let lines = LogLines::new(io::stderr(), Some(left_out));
    let mut builder = env_logger::Builder::new();
    // The level is `log`'s own, so that a reload can change it.
    builder
        .filter_level(LevelFilter::Trace)
        .target(env_logger::Target::Pipe(Box::new(lines)))
        .format(move |out, record| out.write_all(form.line(record).as_bytes()));
    // Only a second start fails, and then lines go where the first one sends them.
    let _started_before = builder.try_init();
    log::set_max_level(level);
}

/// Tells why the daemon ends, in the form of its log, and as little as that waits for a reader. Gives what is left to do:
/// to end with the exit code.
pub(super) fn last_words(failure: &Failure) -> Failure {
    if FORM.get().is_some_and(|form| form.format == LogFormat::Json) {
        failure.log();
    } else {
        let mut lines = LogLines::new(io::stderr(), None);
        let _never_fails = lines.write_all(for_standard_error(failure).as_bytes());
    }
    Failure::told(failure.exit)
}

/// What a command says of its failure; with a level where the journal reads it.
pub(super) fn for_standard_error(failure: &Failure) -> String {
    let text = failure.to_string();
    if is_journal() {
        let prefix = priority(Level::Error);
        return text.lines().map(|line| format!("{prefix}{line}\n")).collect();
    }
    text
}

/// Whether standard error goes to the journal: not merely that the variable is set, which whoever started us may have
/// inherited while it sent standard error elsewhere.
fn is_journal() -> bool {
    let Ok(named) = std::env::var(JOURNAL_STREAM) else { return false };
    rustix::fs::fstat(io::stderr()).is_ok_and(|stat| named == format!("{}:{}", stat.st_dev, stat.st_ino))
}

/// The level as syslog numbers it (sd-daemon(3)).
const fn priority(level: Level) -> &'static str {
    match level {
        Level::Error => "<3>",
        Level::Warn => "<4>",
        Level::Info => "<6>",
        Level::Debug | Level::Trace => "<7>",
    }
}

/// Takes the place of lines that found no room.
fn left_out(count: u64) -> String {
    let Some(form) = FORM.get() else { return String::new() };
    let fields = ("left_out", count);
    let message = format_args!("log lines were left out, as nobody read them");
    form.line(&Record::builder().level(Level::Warn).args(message).key_values(&fields).build())
}

impl Form {
    /// A record as a line, with its line break.
    fn line(self, record: &Record<'_>) -> String {
        let mut line = if self.journal { priority(record.level()).to_owned() } else { String::new() };
        match self.format {
            LogFormat::Text => self.text(&mut line, record),
            LogFormat::Json => json(&mut line, record),
        }
        line.push('\n');
        line
    }

    fn text(self, line: &mut String, record: &Record<'_>) {
        if !self.journal {
            let _never_fails = write!(line, "{} {:<5} ", now(), record.level());
        }
        line.push_str(&printable(&bounded(record.args().to_string())));
        let visited = record.key_values().visit(&mut Text(line));
        debug_assert!(visited.is_ok(), "writing to a string does not fail");
    }
}

fn json(line: &mut String, record: &Record<'_>) {
    let mut object = serde_json::Map::new();
    object.insert("time".to_owned(), now().into());
    object.insert("level".to_owned(), record.level().as_str().to_lowercase().into());
    object.insert("message".to_owned(), bounded(record.args().to_string()).into());
    let visited = record.key_values().visit(&mut Json(&mut object));
    debug_assert!(visited.is_ok(), "writing to a map does not fail");
    line.push_str(&printable_json(&serde_json::Value::Object(object).to_string()));
}

fn now() -> String {
    crate::server::now().rfc3339()
}

fn bounded(mut text: String) -> String {
    if text.len() > limits::LOG_VALUE_BYTES_MAX {
        text.truncate(text.floor_char_boundary(limits::LOG_VALUE_BYTES_MAX));
        text.push('…');
    }
    text
}

struct Text<'a>(&'a mut String);

impl<'kvs> VisitSource<'kvs> for Text<'_> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
        let value = bounded(value.to_string());
        let plain = !value.is_empty()
            && value.chars().all(|character| character.is_ascii_graphic() && character != '"');
        let value = if plain { value } else { format!("{value:?}") };
        let _never_fails = write!(self.0, " {key}={value}");
        Ok(())
    }
}

struct Json<'a>(&'a mut serde_json::Map<String, serde_json::Value>);

impl<'kvs> VisitSource<'kvs> for Json<'_> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
        let number = value.to_i64().map(serde_json::Value::from);
        let flag = value.to_bool().map(serde_json::Value::from);
        let value = number.or(flag).unwrap_or_else(|| bounded(value.to_string()).into());
        self.0.insert(key.as_str().to_owned(), value);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(format: LogFormat, journal: bool, level: Level, message: &str, value: &str) -> String {
        let fields = ("flow", value);
        let args = format_args!("{message}");
        let record = Record::builder().level(level).args(args).key_values(&fields).build();
        Form { format, journal }.line(&record)
    }

    #[test]
    fn whatever_is_in_a_record_it_is_one_line() {
        for value in ["a\nb", "\x1b[2J", "\"", "", "a b", "\u{2028}", "\u{85}"] {
            for format in [LogFormat::Text, LogFormat::Json] {
                let line = line(format, false, Level::Info, value, value);
                assert!(!line.trim_end().contains(char::is_control) && line.ends_with('\n'), "{line:?}");
                if format == LogFormat::Json {
                    let object: serde_json::Value = serde_json::from_str(&line).unwrap();
                    assert_eq!(
                        (object["message"].as_str(), object["flow"].as_str()),
                        (Some(value), Some(value))
                    );
                }
            }
        }
    }

    #[test]
    fn the_journal_gets_the_level_before_the_line_and_no_time() {
        let levels = [Level::Error, Level::Warn, Level::Info, Level::Debug, Level::Trace];
        for (level, prefix) in levels.into_iter().zip(["<3>", "<4>", "<6>", "<7>", "<7>"]) {
            assert_eq!(line(LogFormat::Text, true, level, "m", "it"), format!("{prefix}m flow=it\n"));
            let json = line(LogFormat::Json, true, level, "m", "it");
            assert!(json.starts_with(&format!("{prefix}{{\"")), "{json}");
        }
    }

    #[test]
    fn a_line_is_bounded() {
        for format in [LogFormat::Text, LogFormat::Json] {
            let line = line(format, false, Level::Info, &"ä".repeat(100_000), &"ä".repeat(100_000));
            assert!(line.len() < 2 * limits::LOG_VALUE_BYTES_MAX + 200, "{}", line.len());
        }
    }
}
