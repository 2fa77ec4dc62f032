//! The settings of a `pipeline` flow: `source -> schema -> transforms -> sink`, checked as far as can be without SQL.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::{Command, HttpSink, HttpSource};
use crate::limits;

/// A pipeline with every default filled in and every path absolute.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pipeline {
    /// Where records come from.
    pub source: SourceSettings,
    /// What is made of them, one after the other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub transforms: Vec<Transform>,
    /// What the source's records must be like.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, Field>,
    /// The file that rejected records go to.
    pub on_reject: PathBuf,
    /// Where records go.
    pub sink: SinkSettings,
    /// How much is moved at a time.
    #[serde(default)]
    pub batch: BatchSettings,
    /// Milliseconds that the transforms of one batch may take.
    #[serde(default = "transform_time_max_ms")]
    pub transform_time_max_ms: u64,
    /// What the author says that the transforms must do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tests: Vec<Test>,
}

impl Pipeline {
    /// The name of its kind.
    pub const KIND: &str = "pipeline";

    /// The files of lines that it writes: rejected records, and those of its sink.
    pub fn written_files(&self) -> impl Iterator<Item = &Path> {
        let sink = match &self.sink {
            SinkSettings::File(sink) => Some(sink.path.as_path()),
            _ => None,
        };
        std::iter::once(self.on_reject.as_path()).chain(sink)
    }
}

impl SinkSettings {
    /// The files that it reads at each request, and that only we may read.
    pub fn private_files(&self) -> impl Iterator<Item = &Path> {
        let http = if let Self::Http(http) = self { Some(http) } else { None };
        http.into_iter()
            .flat_map(|http| http.target.header_files.values().chain(&http.secret_file).map(PathBuf::as_path))
    }
}

impl SourceSettings {
    /// The files that it reads at each request, and that only we may read.
    pub fn private_files(&self) -> impl Iterator<Item = &Path> {
        let http = if let Self::Http(http) = self { Some(http) } else { None };
        http.into_iter().flat_map(|http| http.target.header_files.values().map(PathBuf::as_path))
    }
}

const fn transform_time_max_ms() -> u64 {
    limits::TRANSFORM_TIME_MAX_DEFAULT.as_secs() * 1000
        + limits::TRANSFORM_TIME_MAX_DEFAULT.subsec_millis() as u64
}

/// Where records come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum SourceSettings {
    /// Files that others write.
    File(FileSource),
    /// A table or query of a database that others write.
    Sqlite(SqliteSource),
    /// A program that writes JSON lines.
    Exec(Command),
    /// What the machine is like.
    System(SystemSource),
    /// What a server answers.
    Http(HttpSource),
}

/// Files that others append to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileSource {
    /// A path; its last part may be a pattern with `*`, `?` and `[…]`.
    pub path: PathBuf,
    /// What a record is.
    #[serde(default)]
    pub format: Format,
    /// Where a file begins that was never read.
    #[serde(default)]
    pub from: From,
    /// What a missing file means.
    #[serde(default)]
    pub missing: Missing,
}

impl FileSource {
    /// What makes the last part of a path a pattern.
    pub const WILDCARDS: [char; 3] = ['*', '?', '['];
}

/// What a record of a file is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// A line with a JSON object.
    #[default]
    Jsonl,
    /// A row of RFC 4180, below a row of names.
    Csv,
    /// A line, as a record of one field, `line`.
    Lines,
}

/// Where a file begins that was never read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum From {
    /// At its first byte.
    #[default]
    Start,
    /// At the end that it has when it is first seen.
    End,
}

/// What a missing file means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    /// That there is nothing yet.
    #[default]
    Wait,
    /// That the run fails.
    Fail,
}

/// A table or query whose rows are taken in the order of a column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SqliteSource {
    /// The database's path.
    pub database: PathBuf,
    /// The table, ...
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// ... or else the query.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// The column that only grows.
    pub cursor: String,
}

/// The machine itself: each run takes one look at it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SystemSource {
    /// What is looked at.
    pub metrics: BTreeSet<Metric>,
    /// A path on the file system that [`Metric::Disk`] is about.
    pub disk: PathBuf,
}

impl Default for SystemSource {
    fn default() -> Self {
        Self { metrics: Metric::ALL.into_iter().collect(), disk: PathBuf::from("/") }
    }
}

/// What a machine can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// How many processes want to run, and how many may at once.
    Load,
    /// Memory and swap.
    Memory,
    /// A file system.
    Disk,
    /// The hottest sensor.
    Temperature,
    /// How long ago the machine was started.
    Uptime,
    /// What passed through its interfaces since then.
    Network,
}

impl Metric {
    /// Every metric.
    pub const ALL: [Self; 6] =
        [Self::Load, Self::Memory, Self::Disk, Self::Temperature, Self::Uptime, Self::Network];

    /// The word in flow files.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::Memory => "memory",
            Self::Disk => "disk",
            Self::Temperature => "temperature",
            Self::Uptime => "uptime",
            Self::Network => "network",
        }
    }

    /// The metric that this word names.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|metric| metric.as_str() == word)
    }
}

/// One `SELECT` over `batch`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transform {
    /// The statement.
    pub sql: String,
    /// Databases that it may read, by the name of their schema.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attach: BTreeMap<String, PathBuf>,
}

/// What a field must be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Field {
    /// Its type.
    #[serde(rename = "type")]
    pub kind: FieldType,
    /// Whether a record without it is rejected; null is without.
    #[serde(default)]
    pub required: bool,
    /// What it is where it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<serde_json::Value>,
}

/// The type of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldType {
    /// Text.
    Text,
    /// A whole number of 64 bits.
    Integer,
    /// A floating-point number of 64 bits.
    Real,
    /// True or false; 1 or 0 in SQL.
    Boolean,
    /// A time as RFC 3339 writes it.
    Timestamp,
    /// Any JSON value, as text in SQL.
    Json,
}

impl FieldType {
    /// Every type.
    pub const ALL: [Self; 6] =
        [Self::Text, Self::Integer, Self::Real, Self::Boolean, Self::Timestamp, Self::Json];

    /// The word in flow files.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Integer => "integer",
            Self::Real => "real",
            Self::Boolean => "boolean",
            Self::Timestamp => "timestamp",
            Self::Json => "json",
        }
    }

    /// The type that this word names.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// Where records go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum SinkSettings {
    /// A table.
    Sqlite(SqliteSink),
    /// A file.
    File(FileSink),
    /// A program that reads JSON lines.
    Exec(Command),
    /// A server that takes batches by POST.
    Http(HttpSink),
}

/// A table of a database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SqliteSink {
    /// The database's path.
    pub database: PathBuf,
    /// The table.
    pub table: String,
    /// What becomes of a record whose key is there.
    #[serde(default)]
    pub mode: Mode,
    /// The columns that tell records apart.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub key: Vec<String>,
    /// Whether a missing table is made.
    #[serde(default)]
    pub create: bool,
}

/// What becomes of a record whose key is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// It is rejected.
    #[default]
    Insert,
    /// It is skipped.
    Ignore,
    /// It takes the other's place, where it differs.
    Upsert,
}

/// A file that only this flow writes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileSink {
    /// Its path.
    pub path: PathBuf,
    /// JSON lines or CSV.
    #[serde(default)]
    pub format: Format,
    /// When a new one is begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotate: Option<Rotation>,
}

/// When a file is put aside and a new one begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rotation {
    /// Before it would be longer than this, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    /// When it is older than this, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_s: Option<u64>,
    /// How many that were put aside are kept.
    pub keep: u64,
}

/// How much is moved at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BatchSettings {
    /// Records of one batch at most.
    pub records: usize,
    /// Bytes of one batch at most, but for a single record.
    pub bytes: usize,
    /// Bytes of a run that is one batch at most.
    pub run_bytes: usize,
    /// Whether a run is one batch.
    pub whole: bool,
}

impl Default for BatchSettings {
    fn default() -> Self {
        Self {
            records: limits::BATCH_RECORDS_DEFAULT,
            bytes: limits::BATCH_BYTES_DEFAULT,
            run_bytes: limits::RUN_BYTES_DEFAULT,
            whole: false,
        }
    }
}

/// What the author says that a pipeline must do: these records in, those out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Test {
    /// The source's records, as JSON objects.
    pub input: Vec<serde_json::Map<String, serde_json::Value>>,
    /// The records that reach the sink.
    pub expect: Vec<serde_json::Map<String, serde_json::Value>>,
    /// The time that the transforms take for now, as RFC 3339 writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub now: Option<String>,
}

/// What a run of a pipeline has moved.
///
/// `read + transformed_in = written + skipped + rejected + transformed_out`, always. In JSON as a run shows them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counters {
    /// Yielded by the source, malformed ones included.
    #[serde(rename = "records_read")]
    pub read: u64,
    /// Taken by the sink as new or changed, ...
    #[serde(rename = "records_written")]
    pub written: u64,
    /// ... of which changed.
    #[serde(rename = "records_updated")]
    pub updated: u64,
    /// The sink held them already.
    #[serde(rename = "records_skipped")]
    pub skipped: u64,
    /// Sent to the dead letters.
    #[serde(rename = "records_rejected")]
    pub rejected: u64,
    /// Added by a transform.
    #[serde(rename = "records_transformed_in")]
    pub transformed_in: u64,
    /// Left out by a transform.
    #[serde(rename = "records_transformed_out")]
    pub transformed_out: u64,
    /// Bytes that the source took in.
    pub bytes_read: u64,
}

impl Counters {
    /// Whether nothing is lost and nothing from nowhere.
    pub const fn balance(&self) -> bool {
        self.read + self.transformed_in == self.written + self.skipped + self.rejected + self.transformed_out
            && self.updated <= self.written
    }

    /// With what another batch has moved.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            read: self.read + other.read,
            written: self.written + other.written,
            updated: self.updated + other.updated,
            skipped: self.skipped + other.skipped,
            rejected: self.rejected + other.rejected,
            transformed_in: self.transformed_in + other.transformed_in,
            transformed_out: self.transformed_out + other.transformed_out,
            bytes_read: self.bytes_read + other.bytes_read,
        }
    }
}
