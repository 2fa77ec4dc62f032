//! The import of a Rails engine's database (tables `data_flows` and `data_flow_runs`): flows become commands that call the
//! application, and their runs keep ids, statuses and times.
//!
//! It may be done again: what is here already stays as it is. What does not fit is told, row by row, and holds up no other.

mod database;
mod flow;
mod run;

use rusqlite::types::Value;
use std::collections::BTreeMap;
use std::fmt;

pub use database::Rails;
pub use flow::{DEFAULT_COMMAND, Wrapper};

use crate::config::FlowContext;
use crate::store::{FlowId, Imported, Store, StoreError};

/// A row of one of the two tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RowOf {
    /// Of `data_flows`.
    Flow(i64),
    /// Of `data_flow_runs`.
    Run(i64),
}

impl fmt::Display for RowOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flow(id) => write!(f, "flow {id}"),
            Self::Run(id) => write!(f, "run {id}"),
        }
    }
}

/// What is to be said of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// It came over, with this difference.
    Changed(String),
    /// It did not fit, and why.
    Refused(String),
}

/// What became of the rows of a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Came over now.
    pub imported: u64,
    /// Were here already.
    pub known: u64,
    /// Did not fit.
    pub refused: u64,
}

/// What an import did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Rows of `data_flows`.
    pub flows: Count,
    /// Rows of `data_flow_runs`.
    pub runs: Count,
}

/// Why an import came to nothing.
#[derive(Debug)]
pub enum ImportError {
    /// The Rails database cannot be read, or is none.
    Rails(String),
    /// Ours cannot be written.
    Store(StoreError),
}

impl From<StoreError> for ImportError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Takes everything over that fits, and tells of each row that differs or does not. Called within a transaction.
///
/// # Errors
/// One of the two databases fails; then nothing is to be kept.
pub fn import(
    rails: &Rails,
    store: &mut Store,
    wrapper: &Wrapper,
    context: &FlowContext<'_>,
    mut tell: impl FnMut(RowOf, Note),
) -> Result<Summary, ImportError> {
    let mut summary = Summary::default();
    // By id, whether it came over now.
    let mut flows = BTreeMap::new();
    rails.flows(|row| {
        let id = RowOf::Flow(row.id);
        let (flow, difference) = match flow::convert(row, wrapper, context, rails.path()) {
            Ok(converted) => converted,
            Err(why) => {
                count(&mut summary.flows, Imported::Refused(why), id, None, &mut tell);
                return Ok(());
            }
        };
        let imported = store.import_flow(&flow)?;
        if !matches!(imported, Imported::Refused(_)) {
            flows.insert(flow.id, imported == Imported::New);
        }
        count(&mut summary.flows, imported, id, difference, &mut tell);
        Ok(())
    })?;
    rails.runs(|row| {
        let id = RowOf::Run(row.id);
        let converted = match row.value("data_flow_id") {
            Value::Integer(flow) if flows.contains_key(&FlowId(*flow)) => run::convert(row, FlowId(*flow)),
            _ => Err(format!("its flow {} is not among those that came over", row.shown("data_flow_id"))),
        };
        let (imported, difference) = match converted {
            Ok((run, difference)) => (store.import_run(&run)?, difference),
            Err(why) => (Imported::Refused(why), None),
        };
        count(&mut summary.runs, imported, id, difference, &mut tell);
        Ok(())
    })?;
    for (flow, _) in flows.into_iter().filter(|(_, is_new)| *is_new) {
        store.conclude_import(flow)?;
    }
    Ok(summary)
}

/// Counts a row, and tells of it if it differs or did not fit.
fn count(
    count: &mut Count,
    imported: Imported,
    id: RowOf,
    difference: Option<String>,
    tell: &mut impl FnMut(RowOf, Note),
) {
    match imported {
        Imported::New => {
            count.imported += 1;
            difference.into_iter().for_each(|difference| tell(id, Note::Changed(difference)));
        }
        Imported::Known => count.known += 1,
        Imported::Refused(why) => {
            count.refused += 1;
            tell(id, Note::Refused(why));
        }
    }
}
