//! `import rails`: flows and history of the Rails engine, whose place this program takes.

use serde_json::json;
use std::path::{PathBuf, absolute};

use super::Context;
use super::arguments::ImportRails;
use super::failure::{Exit, Failure};
use super::output::Paint;
use super::random;
use crate::config::FlowContext;
use crate::rails::{self, Count, ImportError, Note, Rails, RowOf, Summary, Wrapper};
use crate::setup::{self, Loaded};
use crate::store::Store;

/// Imports, all that fits in one transaction; or shows what would be imported.
pub(super) fn run(context: &Context, import: &ImportRails) -> Result<(), Failure> {
    let loaded = context.load()?;
    let wrapper = Wrapper {
        command: import.command.clone().unwrap_or_else(|| rails::DEFAULT_COMMAND.to_owned()),
        working_directory: directory(import)?,
    };
    let rails = Rails::open(&import.file).map_err(failure)?;
    let mut store = open(&loaded, import.dry_run)?;
    store.limit_size(loaded.config.history.database_bytes as u64)?;
    let zones = setup::system_zones();
    let flows = FlowContext { kinds: &context.kinds, zones: &zones, working_directory: &loaded.directory };
    let mut told = Ok(());
    store.begin()?;
    let imported = rails::import(&rails, &mut store, &wrapper, &flows, |row, note| {
        if told.is_ok() {
            told = tell(context, row, &note);
        }
    });
    match imported {
        Ok(_) if !import.dry_run => store.commit()?,
        _ => store.roll_back(),
    }
    let summary = imported.map_err(failure)?;
    told?;
    conclude(context, import, summary)
}

/// For a trial, a database that is not there is an empty one.
fn open(loaded: &Loaded, dry_run: bool) -> Result<Store, Failure> {
    let (config, now) = (&loaded.config, crate::server::now());
    if dry_run && !config.database.try_exists().unwrap_or(true) {
        return Ok(Store::stand_in(&config.database)?);
    }
    Ok(Store::open(&config.database, config.durability, random::number()?, now)?)
}

fn directory(import: &ImportRails) -> Result<Option<PathBuf>, Failure> {
    let Some(directory) = &import.working_directory else { return Ok(None) };
    absolute(directory).map(Some).map_err(|error| Failure::io("find the folder", directory, &error))
}

fn failure(error: ImportError) -> Failure {
    match error {
        ImportError::Store(error) => error.into(),
        ImportError::Rails(why) => {
            let help = "give the SQLite database of the Rails application, which config/database.yml names";
            Failure::new(Exit::Data, why, help)
        }
    }
}

fn tell(context: &Context, row: RowOf, note: &Note) -> Result<(), Failure> {
    let output = &context.output;
    let (what, why) = match note {
        Note::Changed(how) => ("changed", how),
        Note::Refused(why) => ("refused", why),
    };
    if output.json {
        let (table, id) = match row {
            RowOf::Flow(id) => ("data_flows", id),
            RowOf::Run(id) => ("data_flow_runs", id),
        };
        return output.value(&json!({"table": table, "id": id, what: why}));
    }
    match note {
        Note::Changed(_) if output.quiet => Ok(()),
        Note::Changed(_) => output.line(format!("{row}: {why}")),
        Note::Refused(_) => output
            .painted(&[(Paint::Red, &row.to_string()), (Paint::Plain, &format!(": did not fit: {why}"))]),
    }
}

fn conclude(context: &Context, import: &ImportRails, summary: Summary) -> Result<(), Failure> {
    let Summary { flows, runs } = summary;
    let output = &context.output;
    if output.json {
        let counts = |count: Count| json!({"imported": count.imported, "known": count.known, "refused": count.refused});
        output.value(&json!({"flows": counts(flows), "runs": counts(runs), "dry_run": import.dry_run}))?;
    } else if !output.quiet {
        let does = if import.dry_run { "would come over" } else { "came over" };
        for (what, count) in [("flows", flows), ("runs", runs)] {
            output.line(format!(
                "{what}: {} {does}, {} were here already, {} did not fit",
                count.imported, count.known, count.refused
            ))?;
        }
    }
    let refused = flows.refused + runs.refused;
    if refused == 0 {
        return Ok(());
    }
    let error = format!("{refused} rows did not fit");
    let help = "each is named above; what fits is not held up, and a row that was mended comes over when this is done again";
    Err(Failure::new(Exit::Failed, error, help))
}
