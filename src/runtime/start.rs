//! From `pending` to `in_progress`, in order, as slots are free.

use super::Runtime;
use super::running::{Running, Stage};
use crate::flow::{Configuration, End, ErrorKind, FlowName, Launch, RunContext, Status};
use crate::store::{PendingRun, Result};
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
        let left_running = self.running.len() - delta.ended.len().saturating_sub(delta.ended_pending);
        let mut free = self.settings.max_concurrent_runs - left_running - delta.started.len();
        let pending = self.pending + delta.claimed - delta.started.len() - delta.ended_pending;
        if free == 0 || pending == 0 || self.phase.is_stopping() {
            return Ok(false);
        }
        self.ensure_transaction()?;
        let mut refused = false;
        for run in self.store.pending_runs(free + self.survivors.len())? {
            // Never two copies of a flow: not while a process of an earlier daemon lives, either.
            if free == 0 || self.survivors.values().any(|flow| *flow == run.flow) {
                continue;
            }
            match self.launch(&run) {
                Ok((configuration, launch)) => {
                    self.start(&run, configuration, launch, now)?;
                    free -= 1;
                }
                Err(message) => {
                    self.refuse(&run, message, now)?;
                    refused = true;
                }
            }
        }
        Ok(refused)
    }

    fn start(
        &mut self,
        run: &PendingRun,
        configuration: &Configuration,
        launch: Launch,
        now: Now,
    ) -> Result<()> {
        self.store.start_run(run.id, now.wall)?;
        let running = Running {
            flow: run.flow,
            flow_name: run.flow_name.clone(),
            started_at: now.monotonic,
            timeout: configuration.timeout(),
            kill_grace: configuration.kill_grace().unwrap_or(self.settings.kill_grace),
            stage: Stage::Running,
        };
        let of_another_run = |other: &Running| other.flow == run.flow;
        let ending = &self.tick.delta.ended;
        let open = self.running.iter().filter(|(id, _)| !ending.contains(id));
        assert!(!open.map(|(_, other)| other).any(of_another_run), "a flow has one run at a time");
        self.tick.delta.started.push((run.id, running, launch));
        Ok(())
    }

    fn refuse(&mut self, run: &PendingRun, message: String, now: Now) -> Result<()> {
        log::warn!(run = run.id.0, flow = run.flow_name.as_str(), error_kind = "configuration"; "run cannot start: {message}");
        let end = End::without_process(ErrorKind::Configuration, message);
        self.store.end_run(run.id, Status::Pending, &end, now.wall)?;
        self.tick.delta.ended.push(run.id);
        self.tick.delta.ended_pending += 1;
        Ok(())
    }

    /// What the shell is to start for a run.
    fn launch<'r>(&self, run: &'r PendingRun) -> Result<(&'r Configuration, Launch), String> {
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
        let mut launch = kind.launch(&configuration.settings, &context)?;
        let own = [
            ("HEARTBEAT_FLOW", run.flow_name.clone()),
            ("HEARTBEAT_RUN_ID", run.id.0.to_string()),
            ("HEARTBEAT_ATTEMPT", run.attempt.to_string()),
            ("HEARTBEAT_SCHEDULED_AT", run.scheduled_at.rfc3339()),
            ("HEARTBEAT_ID", run.heartbeat_id.clone().unwrap_or_default()),
            ("HEARTBEAT_INSTANCE", self.instance.clone()),
        ];
        launch.environment.retain(|(name, _)| own.iter().all(|(reserved, _)| reserved != name));
        launch.environment.extend(own.map(|(name, value)| (name.to_owned(), value)));
        Ok((configuration, launch))
    }
}
