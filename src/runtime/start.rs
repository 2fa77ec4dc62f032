//! From `pending` to `in_progress`, in order, as slots are free.

use super::Runtime;
use super::again::reruns;
use super::lines::Line;
use super::moving::Mover;
use super::running::{Cleanup, Running, Stage};
use super::tally::RunEnd;
use crate::flow::{Configuration, End, ErrorKind, FlowName, Launch, Leftovers, RunContext, Status, Work};
use crate::store::{PendingRun, Result, RunId};
use crate::time::Now;

impl Runtime {
    /// Records the start of pending runs, as many as there are free slots.
    pub(super) fn start_pending(&mut self, now: Now) -> Result<()> {
        // A run that cannot be configured ends at once and leaves its slot to the next.
        while self.start_some(now)? {}
        Ok(())
    }

    /// Whether another look is worth it.
    fn start_some(&mut self, now: Now) -> Result<bool> {
        let delta = &self.tick.delta;
        let taken = self.running.len() - delta.ended.len() + delta.started.len();
        // More may be in progress than a lowered maximum allows.
        let free = self.settings.max_concurrent_runs.saturating_sub(taken);
        let runs: Vec<RunId> = self.startable().take(free).collect();
        if runs.is_empty() || self.phase.is_stopping() {
            return Ok(false);
        }
        self.ensure_transaction()?;
        let mut slots_are_left = false;
        for id in runs {
            self.tick.delta.left_pending.push(id);
            // One that is gone was taken away by another program, with its flow.
            let Some(run) = self.store.pending_run(id)? else {
                slots_are_left = true;
                continue;
            };
            match self.launch(&run) {
                Ok((_, Work::Process(_))) if run.source_file.is_some() => {
                    self.refuse(
                        &run,
                        "only a pipeline takes --from, and the flow is none any more".to_owned(),
                        now,
                    )?;
                    slots_are_left = true;
                }
                Ok((configuration, Work::Process(launch))) => {
                    let launch = Box::new(Launch {
                        environment: with(&self.environment_of(&run), launch.environment),
                        ..*launch
                    });
                    self.start(&run, configuration, Some(launch), None, now)?;
                }
                Ok((configuration, Work::Pipeline(pipeline))) => {
                    match self.mover(&run, &pipeline, self.cleanup(configuration))? {
                        Ok(mover) => self.start(&run, configuration, None, Some(mover), now)?,
                        Err(message) => {
                            self.refuse(&run, message, now)?;
                            slots_are_left = true;
                        }
                    }
                }
                Err(message) => {
                    self.refuse(&run, message, now)?;
                    slots_are_left = true;
                }
            }
        }
        Ok(slots_are_left)
    }

    /// Pending runs that wait for nothing but a slot, in order.
    fn startable(&self) -> impl Iterator<Item = RunId> {
        let delta = &self.tick.delta;
        let pending =
            self.pending.iter().map(|(run, flow)| (*run, *flow)).chain(delta.claimed.iter().copied());
        // Never two copies of a flow: not while something of an earlier run lives, either.
        pending
            .filter(move |(run, flow)| !delta.left_pending.contains(run) && !self.is_locked(*flow))
            .map(|(run, _)| run)
    }

    fn start(
        &mut self,
        run: &PendingRun,
        configuration: &Configuration,
        launch: Option<Box<Launch>>,
        mover: Option<Mover>,
        now: Now,
    ) -> Result<()> {
        self.store.start_run(run.id, now.wall)?;
        let running = Running {
            flow: run.flow,
            flow_name: run.flow_name.clone(),
            started_at: now.monotonic,
            timeout: configuration.timeout(),
            kill_grace: self.cleanup(configuration).kill_grace,
            stage: Stage::Running,
            leaves_leftovers: false,
            attempt: run.attempt,
            rerun: run.rerun,
            retry: configuration.retry,
            reruns: reruns(configuration, &self.kinds),
            mover,
        };
        let of_another_run = |other: &Running| other.flow == run.flow;
        let ending = &self.tick.delta.ended;
        let open = self.running.iter().filter(|(id, _)| !ending.contains(id));
        assert!(!open.map(|(_, other)| other).any(of_another_run), "a flow has one run at a time");
        let cleanup = self.cleanup(configuration);
        self.tick.delta.started.push((run.id, running, launch.map(|launch| (launch, cleanup))));
        Ok(())
    }

    fn cleanup(&self, configuration: &Configuration) -> Cleanup {
        Cleanup {
            kill_grace: configuration.kill_grace().unwrap_or(self.settings.kill_grace),
            leave: configuration.leftovers == Leftovers::Leave,
        }
    }

    fn refuse(&mut self, run: &PendingRun, message: String, now: Now) -> Result<()> {
        let end = End::without_process(ErrorKind::Configuration, message.as_str());
        self.store.end_run(run.id, Status::Pending, &end, now.wall)?;
        self.tell_of_end((run.flow, &run.flow_name), run.id, &end, now.wall)?;
        let delta = &mut self.tick.delta;
        delta.refused.push(run.id);
        delta.counted.ends.push(RunEnd::unstarted(run.flow, ErrorKind::Configuration));
        delta.lines.push(Line::Refused { run: run.id, flow: run.flow_name.clone(), message });
        Ok(())
    }

    /// What the shell is to start for a run.
    fn launch<'r>(&self, run: &'r PendingRun) -> Result<(&'r Configuration, Work), String> {
        let configuration = run.configuration.as_ref().map_err(Clone::clone)?;
        let name = FlowName::new(run.flow_name.as_str())?;
        let context = RunContext {
            flow: &name,
            run_id: run.id.0,
            attempt: run.attempt,
            scheduled_at: run.scheduled_at,
        };
        let kind = self.kinds.get(&configuration.kind).ok_or_else(|| {
            let known: Vec<_> = self.kinds.names().collect();
            format!("no flow kind `{}`; there is {}", configuration.kind, known.join(", "))
        })?;
        let work = kind.launch(&configuration.settings, &context)?;
        Ok((configuration, work))
    }

    /// What each process of a run is told.
    pub(super) fn environment_of(&self, run: &PendingRun) -> Vec<(String, String)> {
        [
            ("HEARTBEAT_FLOW", run.flow_name.clone()),
            ("HEARTBEAT_RUN_ID", run.id.0.to_string()),
            ("HEARTBEAT_ATTEMPT", run.attempt.to_string()),
            ("HEARTBEAT_SCHEDULED_AT", run.scheduled_at.rfc3339()),
            ("HEARTBEAT_ID", run.heartbeat_id.clone().unwrap_or_default()),
            ("HEARTBEAT_INSTANCE", self.instance.clone()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }
}

/// An environment of a flow's own, and what its processes are told, which wins.
pub(super) fn with(
    told: &[(String, String)],
    mut environment: Vec<(String, String)>,
) -> Vec<(String, String)> {
    environment.retain(|(name, _)| told.iter().all(|(reserved, _)| reserved != name));
    environment.extend(told.iter().cloned());
    environment
}
