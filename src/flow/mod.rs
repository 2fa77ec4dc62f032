//! What a data flow is, when it is due, and the states of its runs.
//!
//! Architecture invariant: pure. No sockets, files, processes, clocks or randomness; times come in as arguments.

mod calendar;
mod command;
mod definition;
mod environment;
mod hash;
mod http;
mod kind;
mod pipeline;
mod retry;
mod schedule;
mod state;
mod timetable;

pub use calendar::{Calendar, DAY_S, TimeOfDay, Window};
pub use command::Command;
pub(crate) use definition::snake_case;
pub use definition::{Configuration, Definition, FlowName, Leftovers, Origin, Schedule};
pub use environment::{check_variable_name, hide_secrets, parse_environment_file};
pub use hash::{FNV_BASIS, fnv1a};
pub use http::{HttpFormat, HttpSink, HttpSource, HttpTarget, JsonRpcCall, NextPage, OnRejection};
pub use kind::{FlowKind, KindFault, Kinds, Launch, ProcessLimits, RunContext, Work};
pub use pipeline::{
    BatchSettings, Counters, Field, FieldType, FileSink, FileSource, Format, From, Metric, Missing, Mode,
    Pipeline, Rotation, SinkSettings, SourceSettings, SqliteSink, SqliteSource, SystemSource, Test,
    Transform,
};
pub use retry::Retry;
pub use schedule::{Occurrence, next_occurrence};
pub use state::{End, ErrorKind, Exit, Status};
pub use timetable::Timetable;
