//! `/metrics`: what docs/metrics.md describes, one family after another. Every label value is a word of ours, the name of
//! a configured agent or that of a flow: never what a caller sent.

use super::exposition::{Exposition, timestamp};
use super::flows;
use super::{Counters, Port};
use crate::http::ErrorCode;
use crate::runtime::{INTERNAL_AGENT, Outcome, Runtime};
use crate::store::{AlertKind, FlowStates, Size};
use crate::time::{Monotonic, Now};

/// The text format's version, as Prometheus asks for it.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Refusals of the control socket, which are not counted.
const OF_OPERATORS: [ErrorCode; 3] = [ErrorCode::Conflict, ErrorCode::InvalidFlow, ErrorCode::InvalidRequest];

/// What is told of.
#[derive(Debug)]
pub struct View<'a> {
    /// What the server counts.
    pub counters: &'a Counters,
    /// What the runtime counts and has in hand.
    pub runtime: &'a Runtime,
    /// What the database tells; none: it cannot be read.
    pub record: Option<(FlowStates, Size)>,
    /// The configured agents.
    pub agents: Vec<&'a str>,
    /// Connections open, by [`Port`].
    pub connections: [usize; Port::ALL.len()],
    /// Bytes that the daemon's own thread had written, by the kernel's account; none: the kernel keeps none.
    pub written_bytes: Option<u64>,
    /// Reloads that failed, and whether the last one did.
    pub reloads: (u64, bool),
    /// What is wrong with flow files, as many lines.
    pub flow_file_faults: usize,
    /// The time.
    pub now: Now,
}

/// All of it.
pub fn render(view: &View<'_>) -> Vec<u8> {
    let flows = view.record.as_ref().map_or(0, |(states, _)| states.flows.len());
    // About 15 samples of 90 bytes each; it grows if need be.
    let mut page = Exposition::new(16 * 1024 + flows * 1400);
    process(&mut page, view);
    connections(&mut page, view);
    heartbeats(&mut page, view);
    runs(&mut page, view.runtime);
    let states = view.record.as_ref().map(|(states, _)| states);
    flows::write(&mut page, view.runtime.tally(), states);
    database(&mut page, view);
    alerts(&mut page, view.runtime);
    configuration(&mut page, view);
    page.finish()
}

fn process(page: &mut Exposition, view: &View<'_>) {
    page.gauge("heartbeatd_build_info", "Always 1; the label tells the version of the program.");
    page.sample(&[("version", env!("CARGO_PKG_VERSION"))], &1);
    page.gauge(
        "heartbeatd_start_timestamp_seconds",
        "When the process started, by the clock as it is now: a clock that is set later moves it.",
    );
    let up = view.now.monotonic.since(Monotonic::since_start(std::time::Duration::ZERO));
    page.sample(
        &[],
        &timestamp(crate::time::Wall::from_millis(
            view.now.wall.as_millis().saturating_sub(crate::time::millis(up)),
        )),
    );
    page.gauge("heartbeatd_clock_timestamp_seconds", "The wall clock.");
    page.sample(&[], &timestamp(view.now.wall));
    page.gauge("heartbeatd_clock_set", "Whether the wall clock has been set since the box was built.");
    page.sample(&[], &u8::from(view.now.wall.is_set()));
    page.histogram(
        "heartbeatd_tick_duration_seconds",
        "How long a round of the loop took, from waking up to the next wait.",
        &view.counters.rounds,
    );
}

fn connections(page: &mut Exposition, view: &View<'_>) {
    page.gauge("heartbeatd_connections", "Connections open.");
    for port in Port::ALL {
        page.sample(&[("listener", port.as_str())], &view.connections[port as usize]);
    }
    page.counter(
        "heartbeatd_connections_accepted_total",
        "Connections accepted, with those that were refused at once.",
    );
    for port in Port::ALL {
        page.sample(&[("listener", port.as_str())], &view.counters.connections[port as usize]);
    }
    page.counter(
        "heartbeatd_refusals_total",
        "Requests and connections refused, by the error of the answer.",
    );
    for port in [Port::Heartbeat, Port::Status] {
        for code in ErrorCode::ALL.iter().filter(|code| !OF_OPERATORS.contains(code)) {
            let labels = [("listener", port.as_str()), ("error", code.as_str())];
            page.sample(&labels, &view.counters.refusals(port, *code));
        }
    }
}

fn heartbeats(page: &mut Exposition, view: &View<'_>) {
    let tally = view.runtime.tally();
    let internal = view.runtime.beats_by_itself().then_some(INTERNAL_AGENT);
    page.counter("heartbeatd_heartbeats_total", "Verified heartbeats, by what became of them.");
    for agent in view.agents.iter().copied().chain(internal) {
        for outcome in Outcome::ALL {
            let labels = [("agent", agent), ("outcome", outcome.as_str())];
            page.sample(&labels, &tally.heartbeats(agent, outcome));
        }
    }
    page.gauge(
        "heartbeatd_last_heartbeat_timestamp_seconds",
        "When an agent was last heard, over restarts as far as it is on record. Missing: never.",
    );
    for heard in view.runtime.last_heartbeats() {
        if view.agents.contains(&heard.agent.as_str()) {
            page.sample(&[("agent", &heard.agent)], &timestamp(heard.last_heartbeat_at));
        }
    }
    page.counter("heartbeatd_flows_found_total", "Due flows that heartbeats found, by what became of them.");
    let found = tally.flows_found;
    for (result, count) in
        [("triggered", found.triggered), ("skipped", found.skipped), ("deferred", found.deferred)]
    {
        page.sample(&[("result", result)], &count);
    }
    page.counter(
        "heartbeatd_misfires_total",
        "Run times that passed unused and were made up for by one run.",
    );
    page.sample(&[], &tally.misfires);
}

fn runs(page: &mut Exposition, runtime: &Runtime) {
    let in_hand = runtime.in_hand();
    page.gauge(
        "heartbeatd_open_runs",
        "Runs in progress, pending for want of a slot, or waiting to be tried again.",
    );
    for (state, count) in
        [("in_progress", in_hand.in_progress), ("pending", in_hand.pending), ("waiting", in_hand.waiting)]
    {
        page.sample(&[("state", state)], &count);
    }
    page.gauge("heartbeatd_run_slots", "Runs that may be in progress at once (max_concurrent_runs).");
    page.sample(&[], &in_hand.slots);
    page.gauge(
        "heartbeatd_leftovers",
        "Ended runs whose flows wait until the processes left behind are gone.",
    );
    page.sample(&[], &in_hand.leftovers);
    page.histogram(
        "heartbeatd_run_duration_seconds",
        "How long runs took whose end was seen, failed or not.",
        &runtime.tally().durations,
    );
}

fn database(page: &mut Exposition, view: &View<'_>) {
    let runtime = view.runtime;
    page.gauge(
        "heartbeatd_degraded",
        "Whether the database refuses to be written, so that heartbeats get 503.",
    );
    page.sample(&[], &u8::from(runtime.is_degraded()));
    page.gauge(
        "heartbeatd_database_readable",
        "Whether the database could be read for this page; if not, what stands in it is missing here.",
    );
    page.sample(&[], &u8::from(view.record.is_some()));
    if let Some((_, size)) = &view.record {
        page.gauge(
            "heartbeatd_database_bytes",
            "The database on the disk: rows, free space in its file, its log.",
        );
        for (part, bytes) in [("used", size.used_bytes), ("free", size.free_bytes), ("log", size.log_bytes)] {
            page.sample(&[("part", part)], &bytes);
        }
    }
    page.gauge("heartbeatd_database_limit_bytes", "The most that the database may take (history.database).");
    page.sample(&[], &runtime.database_bytes_max());
    page.histogram(
        "heartbeatd_commit_duration_seconds",
        "How long it took to write what a round of the loop changed, with the disk's sync.",
        &view.counters.commits,
    );
    page.counter(
        "heartbeatd_dropped_rounds_total",
        "Rounds of the loop that had something to write and could not.",
    );
    page.sample(&[], &runtime.tally().dropped_rounds);
    if let Some(bytes) = view.written_bytes {
        page.counter(
            "heartbeatd_disk_written_bytes_total",
            "Bytes that the daemon caused to be written to disks, by the kernel's account (write_bytes of proc(5)): in whole \
             pages, with pipelines' files and a log that goes to a file, without what commands write.",
        );
        page.sample(&[], &bytes);
    }
}

fn alerts(page: &mut Exposition, runtime: &Runtime) {
    let counts = runtime.alert_counts();
    page.counter("heartbeatd_alerts_total", "Alerts that were made.");
    for (kind, count) in AlertKind::ALL.into_iter().zip(counts.created) {
        page.sample(&[("type", kind.as_str())], &count);
    }
    page.counter("heartbeatd_alerts_delivered_total", "Alerts that their receiver took.");
    page.sample(&[], &counts.delivered);
    page.counter("heartbeatd_alert_failures_total", "Tries to deliver an alert that failed.");
    page.sample(&[], &counts.failed_attempts);
    page.counter("heartbeatd_alerts_lost_total", "Alerts that nobody took, and nobody is told of any more.");
    for (reason, count) in [("given_up", counts.given_up), ("dropped", counts.dropped)] {
        page.sample(&[("reason", reason)], &count);
    }
    page.gauge("heartbeatd_alerts_undelivered", "Alerts on record that are not delivered yet.");
    page.sample(&[], &counts.queued);
}

fn configuration(page: &mut Exposition, view: &View<'_>) {
    let (failed, last_failed) = view.reloads;
    page.counter("heartbeatd_reload_failures_total", "Reloads after which everything stayed as it was.");
    page.sample(&[], &failed);
    page.gauge("heartbeatd_last_reload_successful", "Whether what was read last is in force.");
    page.sample(&[], &u8::from(!last_failed));
    page.gauge("heartbeatd_flow_file_faults", "What is wrong with flow files; beyond 100 it is not counted.");
    page.sample(&[], &view.flow_file_faults);
    page.counter("heartbeatd_spawn_failures_total", "Processes that could not be started.");
    page.sample(&[], &view.counters.spawn_failures);
}
