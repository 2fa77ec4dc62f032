//! `flow add|enable|disable|remove|run`: changes, by way of the daemon or, where none runs, of the database.

use serde_json::{Value, json};
use std::fs;
use std::path::Path;

use super::Context;
use super::arguments::{FlowAdd, FlowRun};
use super::failure::{Exit, Failure};
use super::operate::{self, Outcome, Request};
use super::output::note;
use super::progress::{self, Moved};
use super::unknown_flow::unknown_flow;
use crate::flow::Pipeline;
use crate::setup::{self, Loaded};
use crate::words;

/// Stores the definitions of files: all of them, or none.
pub(super) fn add(context: &Context, add: &FlowAdd) -> Result<(), Failure> {
    let loaded = context.load()?;
    let files: Vec<Value> = add.files.iter().map(|file| posted(&loaded, file)).collect::<Result<_, _>>()?;
    let request = Request::new("POST", "/flows").with(json!({ "files": files }));
    let help = |_: &_| "edit that file, or give this flow another name".to_owned();
    let told = operate::send(context, &loaded, &request)?.or_fail(help)?;
    for flow in told["flows"].as_array().into_iter().flatten() {
        let word = |name: &str| flow[name].as_str().unwrap_or_default();
        if context.output.json {
            context.output.value(flow)?;
        } else {
            operate::tell(context, word("action"), word("flow"))?;
        }
    }
    Ok(())
}

fn posted(loaded: &Loaded, file: &Path) -> Result<Value, Failure> {
    if lies_in(file, &loaded.config.flows_dir) {
        let error = format!("{} lies in the flows folder", file.display());
        let help = "it needs no `flow add`: a daemon takes it up when it starts, or with `heartbeatd reload`";
        return Err(Failure::new(Exit::Usage, error, help));
    }
    let (path, text) = setup::flow_text(file)?;
    match path.to_str() {
        Some(path) => Ok(json!({ "path": path, "text": text })),
        None => {
            let error = format!("the path is not UTF-8: {}", path.display());
            Err(Failure::new(Exit::Usage, error, "rename the file or its folder"))
        }
    }
}

fn lies_in(file: &Path, folder: &Path) -> bool {
    let real = |path: &Path| fs::canonicalize(path).ok();
    real(file).zip(real(folder)).is_some_and(|(file, folder)| file.parent() == Some(&folder))
}

/// `enable` and `disable`.
pub(super) fn hold(context: &Context, name: &str, held: bool) -> Result<(), Failure> {
    let loaded = context.load()?;
    let request = Request::new("PATCH", target(name, "")?).with(json!({ "held": held }));
    let outcome = operate::send(context, &loaded, &request)?;
    let flow = told_of_flow(context, &loaded, name, outcome, "`heartbeatd flow show` tells its state")?;
    if !held && flow["enabled"] == false {
        note("warning: it runs only when its definition says enabled = true, too");
    }
    done(context, if held { "disable" } else { "enable" }, name)
}

/// Deletes a flow with its runs.
pub(super) fn remove(context: &Context, name: &str) -> Result<(), Failure> {
    let loaded = context.load()?;
    let outcome = operate::send(context, &loaded, &Request::new("DELETE", target(name, "")?))?;
    let help = "wait for the run's end, or `heartbeatd runs cancel` it";
    told_of_flow(context, &loaded, name, outcome, help)?;
    done(context, "remove", name)
}

/// Runs a flow now.
pub(super) fn run(context: &Context, run: &FlowRun) -> Result<(), Failure> {
    let loaded = context.load()?;
    let name = run.name.as_str();
    let mut request = Request::new("POST", target(name, "/runs")?);
    if let Some(file) = &run.from {
        request = request.with(json!({ "from": absolute(file)? }));
    }
    let outcome = if run.wait {
        let help = "start one: `heartbeatd serve`; without --wait the run is recorded for it";
        let stream = operate::connect(&loaded)?.ok_or_else(|| operate::no_daemon(&loaded, help))?;
        operate::ask(stream, &request)?
    } else {
        operate::send(context, &loaded, &request)?
    };
    let by_daemon = outcome.by_daemon;
    let help = "a flow has one run at a time: wait for its end, or `heartbeatd runs cancel` it";
    let told = told_of_flow(context, &loaded, name, outcome, help)?;
    if run.wait {
        return wait_for(context, &loaded, &told);
    }
    if context.output.json {
        return context.output.value(&told);
    }
    let what = format!("{name}: run {}, {}", told["id"], word(&told, "status"));
    operate::tell(context, "run", &what)?;
    if by_daemon || context.output.quiet {
        return Ok(());
    }
    context.output.line("no daemon runs: it starts when one does")
}

fn absolute(file: &Path) -> Result<String, Failure> {
    let path = std::path::absolute(file).map_err(|error| Failure::io("find the file", file, &error))?;
    path.into_os_string().into_string().map_err(|path| {
        let error = format!("the path is not UTF-8: {}", path.to_string_lossy());
        Failure::new(Exit::Usage, error, "rename the file or its folder")
    })
}

/// Shows a run's output as it comes, and then how it ended.
fn wait_for(context: &Context, loaded: &Loaded, run: &Value) -> Result<(), Failure> {
    let id = run["id"].as_i64().unwrap_or_default();
    let flow = flow_of(loaded, run)?;
    let is_pipeline = flow["configuration"]["kind"] == Pipeline::KIND;
    if is_pipeline && progress::is_wanted(context) {
        progress::show(loaded, run, &flow)?;
    }
    operate::follow(loaded, id, context.output.json)?;
    let help = "the daemon ends: its next start records how the run ended";
    let stream = operate::connect(loaded)?.ok_or_else(|| operate::no_daemon(loaded, help))?;
    let request = Request::new("GET", format!("/runs/{id}"));
    let told = operate::ask(stream, &request)?
        .or_fail(|_| "`heartbeatd runs list` tells which there are".to_owned())?;
    if context.output.json {
        context.output.value(&told)?;
    }
    let took = told["duration_ms"].as_i64().map(words::duration_ms).unwrap_or_default();
    let moved = is_pipeline.then(|| Moved::of(&told).to_string());
    match word(&told, "status") {
        "success" => {
            if !context.output.json && !context.output.quiet {
                // Standard output is the run's.
                let moved = moved.map(|moved| format!(": {moved}")).unwrap_or_default();
                note(&format!("run {id} succeeded in {took}{moved}"));
            }
            Ok(())
        }
        "failed" => {
            let moved = moved.map(|moved| format!(" after {moved}")).unwrap_or_default();
            let (flow, why) = (word(&told, "flow"), word(&told, "error_message"));
            let error = format!("run {id} of {flow} failed{moved}: {why}");
            Err(Failure::new(Exit::Failed, error, format!("`heartbeatd runs show {id}` tells more")))
        }
        _ => Err(operate::no_daemon(loaded, help)),
    }
}

/// The flow of a run; nothing if it is gone meanwhile, and the run with it, as is told next.
fn flow_of(loaded: &Loaded, run: &Value) -> Result<Value, Failure> {
    let Some(stream) = operate::connect(loaded)? else { return Ok(Value::Null) };
    let outcome = operate::ask(stream, &Request::new("GET", target(word(run, "flow"), "")?))?;
    Ok(outcome.or_fail(|_| String::new()).unwrap_or_default())
}

/// What was told of a flow, or why not; one that is missing may be another one misspelt.
pub(super) fn told_of_flow(
    context: &Context,
    loaded: &Loaded,
    name: &str,
    outcome: Outcome,
    help: &str,
) -> Result<Value, Failure> {
    if outcome.is_not_found() {
        return Err(unknown_flow(name, &context.open_to_read(loaded)?)?);
    }
    outcome.or_fail(|_| help.to_owned())
}

/// The path of a flow; a name that could not be one is none.
pub(super) fn target(name: &str, rest: &str) -> Result<String, Failure> {
    match crate::flow::FlowName::new(name) {
        Ok(name) => Ok(format!("/flows/{name}{rest}")),
        Err(message) => {
            Err(Failure::new(Exit::Usage, message, "`heartbeatd flow list` tells which there are"))
        }
    }
}

fn done(context: &Context, action: &str, name: &str) -> Result<(), Failure> {
    match context.output.json {
        true => context.output.value(&json!({ "action": action, "flow": name })),
        false => operate::tell(context, action, name),
    }
}

fn word<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_default()
}
