//! `reload`: the daemon reads everything anew, and what is wrong is told as by `check`.

use serde_json::Value;

use super::Context;
use super::failure::Failure;
use super::operate::{self, Request};
use super::output::note;
use crate::setup;

/// Has the daemon read everything anew, and tells what came of it.
pub(super) fn run(context: &Context) -> Result<(), Failure> {
    let loaded = context.load().inspect_err(|_| {
        // Log, status and metrics of the daemon tell of a reload that failed, whoever finds the fault first.
        let _none_there = have_it_judged(context);
    })?;
    let outcome = operate::send(context, &loaded, &Request::new("POST", "/reload"))?;
    let told = outcome.or_fail(|_| "`heartbeatd check` tells what is wrong".to_owned())?;
    let faults = operate::faults(&told);
    match context.output.json {
        true => context.output.value(&told)?,
        false => tell(context, &told, !faults.is_empty())?,
    }
    if faults.is_empty() { Ok(()) } else { Err(Failure::of_faults(faults)) }
}

fn have_it_judged(context: &Context) -> Option<()> {
    let path = setup::config_path(context.config.as_deref(), &context.environment).ok()?;
    let loaded = setup::read_config_leniently(&path, &context.environment).ok()?;
    let stream = operate::connect(&loaded).ok()??;
    operate::ask(stream, &Request::new("POST", "/reload")).map(drop).ok()
}

fn tell(context: &Context, told: &Value, has_faults: bool) -> Result<(), Failure> {
    let flows = &told["flows"];
    let names = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(|it| it.as_str().map(str::to_owned)).collect()
    };
    let mut warnings = Vec::new();
    if has_faults {
        let warning =
            "all else is taken up; what has a fault goes on with its last good definition, if it has one";
        warnings.push(warning.to_owned());
    }
    for name in names(&flows["conflicts"]) {
        warnings.push(format!("the flow {name} was added by command: its file is not applied"));
    }
    let until_restart = names(&told["unchanged_until_restart"]);
    if !until_restart.is_empty() {
        warnings.push(format!("these keep their values until the next start: {}", until_restart.join(", ")));
    }
    warnings.iter().for_each(|warning| note(&format!("warning: {warning}")));
    let disabled = names(&flows["disabled"]).len();
    let counts = format!("{} created, {} updated, {disabled} disabled", flows["created"], flows["updated"]);
    operate::tell(context, "reload", &format!("flows: {counts}"))
}
