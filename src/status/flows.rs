//! What metrics tell of each flow, as far as there are series for it, and of the others together.

use super::exposition::{Exposition, timestamp};
use crate::flow::{Counters, ErrorKind};
use crate::runtime::{FlowTally, Tally};
use crate::store::{FlowState, FlowStates};

/// Stands for all flows without series of their own. No flow has such a name.
const OTHERS: &str = "(others)";
const SUCCESS: &str = "success";

/// A count of records: its metric, what it tells, and where it stands.
type Records = (&'static str, &'static str, fn(&Counters) -> u64);

const RECORDS: [Records; 6] = [
    (
        "heartbeatd_records_read_total",
        "Records that pipelines' sources yielded, malformed ones included.",
        |records| records.read,
    ),
    ("heartbeatd_records_written_total", "Records that sinks took as new or changed.", |records| {
        records.written
    }),
    (
        "heartbeatd_records_updated_total",
        "Of the written ones, those that changed what was there.",
        |records| records.updated,
    ),
    ("heartbeatd_records_skipped_total", "Records that sinks held already.", |records| records.skipped),
    ("heartbeatd_records_rejected_total", "Records that went to the dead letters.", |records| {
        records.rejected
    }),
    ("heartbeatd_source_read_bytes_total", "Bytes that pipelines' sources took in.", |records| {
        records.bytes_read
    }),
];

pub(super) fn write(page: &mut Exposition, tally: &Tally, states: Option<&FlowStates>) {
    if let Some(states) = states {
        page.gauge("heartbeatd_flows", "Flows on record.");
        page.sample(&[], &states.total);
        page.gauge("heartbeatd_flows_runnable", "Flows that are enabled and that no operator holds.");
        page.sample(&[], &states.runnable);
    }
    let flows = states.map_or(&[][..], |states| &states.flows);
    standing(page, flows);
    page.counter(
        "heartbeatd_runs_total",
        "Runs that ended: each attempt is one. Failures are told by their error_kind, once there were any.",
    );
    let none = FlowTally::default();
    let of_flows = || flows.iter().map(|flow| (flow.name.as_str(), tally.flow(flow.id)));
    let all = || of_flows().chain([(OTHERS, Some(tally.others()))]);
    for (flow, counted) in all() {
        let counted = counted.unwrap_or(&none);
        page.sample(&[("flow", flow), ("end", SUCCESS)], &counted.ends(None));
        for kind in ErrorKind::ALL {
            let ends = counted.ends(Some(kind));
            if ends > 0 {
                page.sample(&[("flow", flow), ("end", kind.as_str())], &ends);
            }
        }
    }
    let moving = || {
        let moved = |counted: &&FlowTally| counted.records != Counters::default();
        all().filter_map(move |(flow, counted)| Some((flow, counted.filter(moved)?)))
    };
    for (name, help, count) in RECORDS {
        page.counter(name, help);
        for (flow, counted) in moving() {
            page.sample(&[("flow", flow)], &count(&counted.records));
        }
    }
    page.gauge(
        "heartbeatd_cursor_moved_timestamp_seconds",
        "When a run last moved a flow's cursor, since the start of the process.",
    );
    for (flow, at) in of_flows().filter_map(|(flow, counted)| Some((flow, counted?.cursor_moved_at?))) {
        page.sample(&[("flow", flow)], &timestamp(at));
    }
    page.gauge(
        "heartbeatd_cursor_lag_bytes",
        "Bytes of its files that a flow had not moved when its last run ended.",
    );
    for (flow, bytes) in of_flows().filter_map(|(flow, counted)| Some((flow, counted?.unread_bytes?))) {
        page.sample(&[("flow", flow)], &bytes);
    }
}

/// What is on record of each.
fn standing(page: &mut Exposition, flows: &[FlowState]) {
    page.gauge("heartbeatd_flow_runnable", "Whether a flow is enabled and no operator holds it.");
    for flow in flows {
        page.sample(&[("flow", &flow.name)], &u8::from(flow.runnable));
    }
    page.gauge("heartbeatd_flow_held", "Whether an operator holds a flow.");
    for flow in flows {
        page.sample(&[("flow", &flow.name)], &u8::from(flow.held));
    }
    page.gauge(
        "heartbeatd_flow_consecutive_failures",
        "Failures since a flow's last success; attempts that are tried again are none.",
    );
    for flow in flows {
        page.sample(&[("flow", &flow.name)], &flow.consecutive_failures);
    }
    page.gauge(
        "heartbeatd_flow_last_run_timestamp_seconds",
        "When the last run of a flow that ended had started.",
    );
    for (flow, at) in flows.iter().filter_map(|flow| Some((flow, flow.last_run_at?))) {
        page.sample(&[("flow", &flow.name)], &timestamp(at));
    }
    page.gauge(
        "heartbeatd_flow_last_run_successful",
        "Whether the last run of a flow that ended was a success.",
    );
    for (flow, succeeded) in flows.iter().filter_map(|flow| Some((flow, flow.last_run_succeeded?))) {
        page.sample(&[("flow", &flow.name)], &u8::from(succeeded));
    }
    page.gauge(
        "heartbeatd_flow_next_run_timestamp_seconds",
        "When a flow that may run is due next, or since when it is. Missing: it never ran, and is due at once.",
    );
    let due = flows.iter().filter(|flow| flow.runnable);
    for (flow, at) in due.filter_map(|flow| Some((flow, flow.next_run_at?))) {
        page.sample(&[("flow", &flow.name)], &timestamp(at));
    }
}
