//! `flow cursor` and `flow test`: where a pipeline's source got to, and what it would write.

use serde_json::{Value, json};
use std::time::Duration;

use super::Context;
use super::arguments::{FlowCursor, FlowTest};
use super::failure::{Exit, Failure};
use super::flow_change::{target, told_of_flow};
use super::operate::{self, Request};
use super::output::{Paint, Table, note};
use super::unknown_flow::unknown_flow;
use crate::flow::FlowName;
use crate::pipeline::files::SystemFiles;
use crate::pipeline::outside::{Happened, Need};
use crate::pipeline::trial::{Trial, try_out};
use crate::runtime::{Objection, PipelineFlow, pipeline_of};
use crate::{pipeline, server};

/// Shows, resets or sets a cursor.
pub(super) fn cursor(context: &Context, cursor: &FlowCursor) -> Result<(), Failure> {
    let loaded = context.load()?;
    let name = cursor.name.as_str();
    let path = target(name, "/cursor")?;
    let request = match (&cursor.set, cursor.reset) {
        (Some(text), _) => {
            let value: Value = serde_json::from_str(text).map_err(|error| {
                let help = "give JSON as `flow cursor` shows it, in single quotes";
                Failure::new(Exit::Data, format!("--set is not JSON: {error}"), help)
            })?;
            Request::new("PUT", path).with(json!({ "cursor": value }))
        }
        (None, true) => Request::new("PUT", path).with(json!({ "cursor": null })),
        (None, false) => Request::new("GET", path),
    };
    let outcome = operate::send(context, &loaded, &request)?;
    if outcome.is_invalid() {
        return Err(
            outcome.into_failure(Exit::Data, "`heartbeatd flow cursor NAME` shows the one that it has")
        );
    }
    let told = told_of_flow(context, &loaded, name, outcome, "wait until no run of it is open")?;
    if context.output.json {
        return context.output.value(&told);
    }
    context.output.json(&told["cursor"].to_string())
}

/// Tries a pipeline on real input; nothing is written, no cursor moves.
pub(super) fn test(context: &Context, test: &FlowTest) -> Result<(), Failure> {
    let loaded = context.load()?;
    let store = context.open_to_read(&loaded)?;
    let name = FlowName::new(test.name.as_str()).map_err(|message| {
        Failure::new(Exit::Usage, message, "`heartbeatd flow list` tells which there are")
    })?;
    let Some(flow) = store.flow(name.as_str())? else { return Err(unknown_flow(&test.name, &store)?) };
    let PipelineFlow { pipeline, owner, recorded } = pipeline_of(&store, &flow)?.map_err(|objection| {
        let (Objection::Conflict(why) | Objection::ConflictWithHelp(why, _) | Objection::Invalid(why)) =
            objection
        else {
            return Failure::new(
                Exit::Failed,
                "there is no such flow",
                "`heartbeatd flow list` tells which there are",
            );
        };
        Failure::new(Exit::Failed, why, "name a flow with a [source] and a [sink]")
    })?;
    let files = SystemFiles::default();
    let timeout = flow.configuration.timeout();
    let mut outside = |need| outside(need, &test.name, timeout);
    let trial = try_out(&pipeline, &owner, recorded.as_ref(), test.limit, &files, &mut outside);
    let trial = trial.map_err(|failure| {
        let error = format!("a run would fail ({}): {}", failure.kind.as_str(), failure.message);
        Failure::new(Exit::Failed, error, "correct the flow, or what it reads, and try again")
    })?;
    show(context, &trial)
}

/// Does what a source needs, as a run would have it done.
fn outside(need: Need, flow: &str, timeout: Duration) -> pipeline::Result<Happened> {
    Ok(match need {
        Need::Program(mut launch) => {
            launch.environment.push(("HEARTBEAT_FLOW".to_owned(), flow.to_owned()));
            let (exit, stdout) =
                server::outside::run_program(&launch, timeout).map_err(pipeline::Failure::source)?;
            Happened::Ended { exit, stdout }
        }
        Need::Exchange(exchange) => Happened::Answered(server::outside::exchange(*exchange)),
        Need::Pause(time) => {
            std::thread::sleep(time);
            Happened::Resumed
        }
    })
}

fn show(context: &Context, trial: &Trial) -> Result<(), Failure> {
    if context.output.json {
        // What would be written is all that is printed: the others have another form.
        for (record, reason) in &trial.rejected {
            note(&format!("warning: rejected: {reason}: {record}"));
        }
        return trial.written.iter().try_for_each(|row| context.output.json(&row.json));
    }
    let mut columns: Vec<&str> = Vec::new();
    for name in trial.written.iter().flat_map(|row| &row.names) {
        if !columns.contains(&name.as_str()) {
            columns.push(name);
        }
    }
    if !columns.is_empty() {
        let mut table = Table::with_heading(&columns);
        for row in &trial.written {
            let cell = |name: &&str| match row.fields.get(*name) {
                None | Some(Value::Null) => (Paint::Dim, "-".to_owned()),
                Some(Value::String(text)) => (Paint::Plain, text.clone()),
                Some(other) => (Paint::Plain, other.to_string()),
            };
            table.row(columns.iter().map(cell).collect());
        }
        context.output.table(&table)?;
    }
    for (record, reason) in &trial.rejected {
        context.output.line(format!("rejected: {reason}: {record}"))?;
    }
    let counters = &trial.counters;
    context.output.line(format!(
        "{} read, {} would be written, {} rejected; nothing was written, and the cursor stays",
        counters.read, counters.written, counters.rejected
    ))
}
