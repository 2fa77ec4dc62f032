//! `/runs/ID`: one run, with everything that is on record of it.

use super::html::{Html, put};
use super::shell::{self, Place};
use super::standing::of_run;
use super::{Look, figures};
use crate::flow::{Counters, ErrorKind, Status};
use crate::limits;
use crate::store::{FlowId, Result, Run, RunId};
use crate::time::Wall;
use crate::words;

/// Makes the page; false where there is no such run.
pub(super) fn write(html: &mut Html, id: RunId, look: &Look<'_>) -> Result<bool> {
    let store = look.runtime.store();
    let Some(mut run) = store.run(id)? else { return Ok(false) };
    let Some(flow) = store.flow_of_run(id)? else { return Ok(false) };
    if let Some((counters, elapsed_ms)) = look.runtime.moved_so_far(id, look.now) {
        run.count(&counters, elapsed_ms);
    }
    let (word, shape) = of_run(run.status, run.error_kind.as_deref().and_then(ErrorKind::from_word));
    shell::begin(html, &format!("Run {} of {}: {word}", run.id, run.flow), Place::Elsewhere, look);
    put!(html, "<div class=\"sum\"><h1>");
    figures::icon(html, shape);
    put!(html, "Run " (run.id) " of <a href=\"/flows/" (run.flow) "\">" (run.flow) "</a></h1><p class=\"" (shape) "\">" (word));
    match (run.status, run.started_at) {
        (Status::InProgress, Some(at)) => put!(html, ", "(figures::so_far(id, at, look))),
        (Status::Pending, _) if run.attempt > 1 => put!(html, ": to be tried again"),
        (Status::Pending, _) => put!(html, ": waits for a slot"),
        _ => {}
    }
    put!(html, "</p></div>");
    beside(html, flow, id, look)?;
    facts(html, &run, look)?;
    shell::end(html);
    Ok(true)
}

/// The runs of the same flow right before and after it.
fn beside(html: &mut Html, flow: FlowId, id: RunId, look: &Look<'_>) -> Result<()> {
    let [before, after] = look.runtime.store().runs_beside(flow, id)?;
    if before.is_none() && after.is_none() {
        return Ok(());
    }
    put!(html, "<nav class=\"turn\" aria-label=\"Runs of the same flow\">");
    if let Some(run) = before {
        put!(html, "<a rel=\"prev\" href=\"/runs/" (run.0) "\">\u{2190} Before: " (run.0) "</a> ");
    }
    if let Some(run) = after {
        put!(html, "<a rel=\"next\" href=\"/runs/" (run.0) "\">After: " (run.0) " \u{2192}</a>");
    }
    put!(html, "</nav>");
    Ok(())
}

/// All members: one that is added is missing here until it is told.
fn facts(html: &mut Html, run: &Run, look: &Look<'_>) -> Result<()> {
    let Run {
        id: _,
        flow: _,
        status,
        attempt,
        scheduled_at,
        started_at,
        ended_at,
        duration_ms,
        error_kind,
        error_message: _,
        error_backtrace,
        exit_code,
        signal,
        counters,
        records_per_second,
        source_file,
        misfires,
        rerun,
        output,
        output_truncated,
        heartbeat_id,
        agent,
    } = run;
    put!(html, "<dl class=\"facts\">");
    fact(html, "Status", Some(&status.as_str().replace('_', " ")));
    time(html, "Due", Some(*scheduled_at), look);
    time(html, "Started", *started_at, look);
    time(html, "Ended", *ended_at, look);
    if let Some(ms) = duration_ms {
        put!(html, "<div><dt>Took<dd title=\"" (ms) " ms\">" (words::duration_ms(*ms)) "</div>");
    }
    fact(html, "Attempt", Some(attempt));
    fact(html, "Rerun after an interruption", Some(rerun).filter(|rerun| **rerun > 0));
    fact(html, "Further run times that it stands for", Some(misfires).filter(|misfires| **misfires > 0));
    fact(html, "Error", error_kind.as_ref());
    fact(html, "Exit status", exit_code.as_ref());
    fact(html, "Signal", signal.as_ref());
    fact(html, "Fed from", source_file.as_ref());
    moved(html, counters, *records_per_second);
    fact(html, "Agent", agent.as_ref());
    if let Some(heartbeat) = heartbeat_id {
        put!(html, "<div><dt>Heartbeat<dd>"(heartbeat));
        if let Some(known) =
            look.runtime.store().heartbeat(agent.as_deref().unwrap_or_default(), heartbeat)?
        {
            let first = known.first_run.0;
            let last = first.saturating_add_unsigned(known.flows_triggered.saturating_sub(1));
            match known.flows_triggered {
                // Its id was used again, after it was forgotten.
                _ if run.id < first => {}
                0 | 1 => put!(html, ", which started run "(first)),
                _ => put!(html, ", which started runs " (first) " to " (last)),
            }
        }
        put!(html, "</div>");
    }
    put!(html, "</dl>");
    if let Some(kind) = error_kind {
        let is_failure = ErrorKind::from_word(kind).is_none_or(ErrorKind::counts_as_failure);
        let heading = if is_failure { "Why it failed" } else { "Why it was cut short" };
        put!(html, "<section class=\"part\" aria-labelledby=\"error\"><h2 id=\"error\">" (heading) "</h2><p class=\"why\">" (figures::why(run, look).unwrap_or_default()) "</p></section>");
    }
    if let Some(backtrace) = error_backtrace.as_ref().filter(|_| look.shows_output) {
        text(html, "Where", backtrace);
    }
    shown_output(html, output.as_deref().unwrap_or_default(), *output_truncated, *status, look);
    Ok(())
}

fn fact(html: &mut Html, name: &str, value: Option<&impl std::fmt::Display>) {
    if let Some(value) = value {
        put!(html, "<div><dt>" (name) "<dd>" (value) "</div>");
    }
}

fn time(html: &mut Html, name: &str, at: Option<Wall>, look: &Look<'_>) {
    if let Some(at) = at {
        put!(html, "<div><dt>" (name) "<dd title=\"" (at) "\">");
        shell::time(html, at, look);
        put!(html, "</div>");
    }
}

/// What a pipeline has moved.
fn moved(html: &mut Html, counters: &Counters, records_per_second: Option<f64>) {
    if *counters == Counters::default() && records_per_second.is_none() {
        return;
    }
    let Counters { read, written, updated, skipped, rejected, transformed_in, transformed_out, bytes_read } =
        counters;
    for (name, count) in [
        ("Records read", read),
        ("Written", written),
        ("of which updated", updated),
        ("Skipped", skipped),
        ("Rejected", rejected),
        ("Added by transforms", transformed_in),
        ("Left out by transforms", transformed_out),
    ] {
        fact(html, name, Some(count));
    }
    put!(html, "<div><dt>Bytes read<dd title=\"" (bytes_read) " bytes\">" (words::bytes(*bytes_read)) "</div>");
    fact(html, "Records a second", records_per_second.map(|rate| format!("{rate:.1}")).as_ref());
}

fn shown_output(html: &mut Html, output: &str, is_cut: bool, status: Status, look: &Look<'_>) {
    let heading = if is_cut { "Output, its end" } else { "Output" };
    let instead = match (look.shows_output, status) {
        (false, _) => "It is hidden: output = false under [status].",
        (true, Status::Pending | Status::InProgress) => {
            "It is shown when the run has ended; heartbeatd flow run follows one."
        }
        (true, _) if output.is_empty() => "There is none.",
        (true, _) => return text(html, heading, output),
    };
    put!(html, "<section class=\"part\" aria-labelledby=\"output\"><h2 id=\"output\">" (heading) "</h2><p class=\"of\">" (instead) "</p></section>");
}

/// A text under a heading, within what a run's output may have.
fn text(html: &mut Html, heading: &str, text: &str) {
    put!(html, "<section class=\"part\"><h2>" (heading) "</h2><pre tabindex=\"0\">" (figures::end_of(text, limits::OUTPUT_BYTES_MAX)) "</pre></section>");
}
