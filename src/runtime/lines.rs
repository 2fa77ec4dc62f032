//! What the log tells of a round: written after its commit, so that nothing is told that did not happen, nor told again
//! for a round that was dropped.

use std::time::Duration;

use super::orders::Order;
use crate::store::{Heartbeat, RunId};
use crate::time::{Wall, millis};

/// A line for the log.
#[derive(Debug)]
pub(super) enum Line {
    /// A heartbeat started runs.
    Claimed { agent: String, heartbeat_id: Option<String>, heartbeat: Heartbeat },
    /// A flow's next run time lay further ahead than its interval.
    ClockJumpedBack { flow: String, next_run_at: Wall },
    /// An operator's order was carried out.
    Ordered { uid: u32, order: Order },
    /// A run ended before it started.
    Refused { run: RunId, flow: String, message: String },
    /// A run is to be run again.
    Again { run: RunId, flow: String, delay: Duration },
    /// An end was refused by a constraint; the run ended as `interrupted`.
    EndRefused { run: RunId, flow: String, message: String },
}

impl Line {
    pub(super) fn log(&self) {
        match self {
            Self::Claimed { agent, heartbeat_id, heartbeat } => {
                let Heartbeat { flows_due, flows_triggered, flows_skipped, flows_deferred, .. } = *heartbeat;
                log::info!(
                    agent = agent.as_str(), heartbeat_id = heartbeat_id.as_deref().unwrap_or("-"),
                    flows_due, flows_triggered, flows_skipped, flows_deferred;
                    "heartbeat"
                );
            }
            Self::ClockJumpedBack { flow, next_run_at } => {
                log::warn!(flow = flow.as_str(), next_run_at:% = next_run_at; "the clock jumped back: the flow's grid restarts at now");
            }
            Self::Ordered { uid, order } => match order {
                Order::Add(definitions) => {
                    let names: Vec<&str> = definitions.iter().map(|it| it.name.as_str()).collect();
                    log::info!(uid, flow = names.join(","); "flows added");
                }
                Order::Hold { flow, held: true } => log::info!(uid, flow = flow.as_str(); "flow disabled"),
                Order::Hold { flow, held: false } => log::info!(uid, flow = flow.as_str(); "flow enabled"),
                Order::Remove { flow, .. } => log::info!(uid, flow = flow.as_str(); "flow removed"),
                Order::Run { flow, from: None } => log::info!(uid, flow = flow.as_str(); "run ordered"),
                Order::Run { flow, from: Some(from) } => {
                    log::info!(uid, flow = flow.as_str(), from = from.as_str(); "run ordered");
                }
                Order::SetCursor { flow, .. } => log::info!(uid, flow = flow.as_str(); "cursor set"),
                Order::Cancel(run) => log::info!(uid, run = run.0; "run cancelled"),
            },
            Self::Refused { run, flow, message } => {
                log::warn!(run = run.0, flow = flow.as_str(), error_kind = "configuration"; "run cannot start: {message}");
            }
            Self::Again { run, flow, delay } => {
                log::info!(run = run.0, flow = flow.as_str(), delay_ms = millis(*delay); "recorded to run again");
            }
            Self::EndRefused { run, flow, message } => {
                log::error!(run = run.0, flow = flow.as_str(); "the run's end is recorded as interrupted: {message}; help: please report it with the log");
            }
        }
    }
}
