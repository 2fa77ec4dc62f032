//! Children, as the shell starts them, signals them and takes in their ends.

use std::time::Duration;

use heartbeat_runtime::flow::{Configuration, ErrorKind, Exit};
use heartbeat_runtime::runtime::{Cleanup, Event, Job, Output, Signal};
use heartbeat_runtime::store::RunId;
use heartbeat_runtime::time::{Monotonic, Now, Wall};

use super::invariants::Book;
use super::process::{KILL_TAKES_AT_MOST, Process};
use super::world::World;

/// However short the grace is, the daemon's end waits for so long for what runs leave behind.
const END_TAKES_AT_LEAST: Duration = Duration::from_millis(500);

/// An end that the runtime was told of and that is not on record yet.
#[derive(Debug)]
pub(crate) struct UntoldEnd {
    pub(crate) told_at: Monotonic,
    exit: Option<Exit>,
    output: Output,
    /// Why it was not started.
    failure: Option<(ErrorKind, String)>,
    /// Whether it had been told to end.
    was_told: bool,
}

/// What the record says of an end.
type Recorded = (Option<i32>, Option<i32>, String, bool, Option<String>, Option<String>);

impl World {
    pub(crate) fn spawn(&mut self, run: i64, flow: &str, cleanup: Cleanup, now: Now) {
        let status = self.book().runs.get(&run).map(|run| run.status.as_str());
        assert_eq!(status, Some("in_progress"), "run {run} is on record before it is started");
        let other = self.processes.iter().find(|(_, other)| other.flow == flow && other.lives(now.monotonic));
        assert!(other.is_none(), "run {run} is a second copy of {flow}: {other:?}");
        assert!(!cleanup.leave && cleanup.kill_grace == self.settings.kill_grace, "{cleanup:?}");
        assert!(self.started.insert(run), "run {run} is started once");
        let timeout = self.book().configuration_of(run).timeout();
        match Process::start(flow, timeout, self.calm, now.monotonic, &mut self.random) {
            Ok(process) => {
                self.note(format!("spawn run {run} of {flow}, ends at {:?}", process.ends_at));
                let before = self.processes.insert(run, process);
                assert!(before.is_none(), "run {run} is started once");
            }
            Err((kind, message)) => {
                self.inject("processes that cannot be started");
                self.note(format!("spawn run {run} of {flow} fails: {message}"));
                let failure = Some((kind, message.clone()));
                let end = UntoldEnd {
                    told_at: now.monotonic,
                    exit: None,
                    output: Output::default(),
                    failure,
                    was_told: false,
                };
                self.untold_ends.insert(run, end);
                self.tell(Event::SpawnFailed { job: Job::Run(RunId(run)), kind, message });
            }
        }
    }

    /// A process is told what its run is.
    pub(crate) fn judge_environment(&mut self, run: i64, environment: &[(String, String)]) {
        let told = |name: &str| {
            let mut found = environment.iter().filter(|(known, _)| known == name);
            let value = found.next().map(|(_, value)| value.clone());
            assert!(found.next().is_none(), "{name} comes once");
            value.unwrap_or_default()
        };
        let on_record = &self.book().runs[&run];
        let id = on_record.heartbeat_id.split_once('/').map_or("", |(_, id)| id);
        let expected = [
            ("HEARTBEAT_FLOW", on_record.flow.clone()),
            ("HEARTBEAT_RUN_ID", run.to_string()),
            ("HEARTBEAT_ATTEMPT", on_record.attempt.to_string()),
            ("HEARTBEAT_SCHEDULED_AT", Wall::from_millis(on_record.scheduled_at).rfc3339()),
            ("HEARTBEAT_ID", id.to_owned()),
        ];
        for (name, value) in expected {
            assert_eq!(told(name), value, "{name} of run {run}");
        }
    }

    /// A process is told to end: only for a reason, and by force only when it had its time.
    pub(crate) fn signal(&mut self, run: i64, signal: Signal, now: Now) {
        self.note(format!("{signal:?} run {run}"));
        let is_stopping = self.stopping;
        let is_cancelled = self.operators.is_cancelled(run);
        let grace = self.settings.kill_grace;
        let Some(process) = self.processes.get_mut(&run).filter(|process| !process.orphan) else { return };
        let ran = now.monotonic.since(process.started_at);
        let has_reason = ran >= process.timeout || is_cancelled || is_stopping;
        assert!(has_reason, "run {run} is told to end after {ran:?}, and nobody wants it to");
        if signal == Signal::Kill {
            let told_at = process.signalled_at.expect("KILL comes after TERM");
            let had = now.monotonic.since(told_at);
            assert!(
                had >= grace || is_stopping || self.grace_has_changed,
                "run {run} is killed after {had:?}"
            );
        }
        process.signal(signal, now.monotonic, &mut self.random);
        self.inject(match signal {
            Signal::Terminate if is_stopping => "children ended with the daemon",
            Signal::Terminate if is_cancelled => "children ended by an operator",
            Signal::Terminate => "children ended by their time-out",
            Signal::Kill => "children that ignore TERM",
        });
    }

    /// The daemon may end: nothing that a run is lives on.
    pub(crate) fn stop(&mut self, now: Now) {
        let soon = now.monotonic + KILL_TAKES_AT_MOST;
        let left = self.processes.iter().find(|(_, process)| !process.orphan && process.lives(soon));
        assert!(left.is_none(), "the daemon ends and leaves a process: {left:?}");
        // What runs left behind, the shell kills at the very end: when all of it had its time.
        let behind = self.processes.iter().find(|(_, process)| process.orphan && process.lives(soon));
        let had = self.told_to_end_at.map(|at| now.monotonic.since(at)).unwrap_or_default();
        let had_its_time = had >= self.settings.kill_grace.max(END_TAKES_AT_LEAST) || self.grace_has_changed;
        assert!(had_its_time || behind.is_none(), "the daemon ends {had:?} after it was told to: {behind:?}");
        for process in self.processes.values_mut() {
            process.signal(Signal::Kill, now.monotonic, &mut self.random);
        }
        self.die("STOPPED");
    }

    /// A process ended: the daemon takes it in, or is told that what a run left behind is gone.
    pub(crate) fn reap(&mut self, run: i64) {
        let Some(process) = self.processes.remove(&run) else { return };
        let of_nobody = if process.orphan { ", orphaned" } else { "" };
        self.note(format!("run {run} ends: {:?}{of_nobody}", process.exit));
        if process.orphan {
            self.tell(Event::LeftoversGone(Job::Run(RunId(run))));
            return;
        }
        let output = Process::output(self.calm, &mut self.random);
        let is_lost = !self.calm && self.random.one_in(40);
        let exit = Some(process.exit).filter(|_| !is_lost);
        let told_at = self.now().monotonic;
        let was_told = process.signalled_at.is_some();
        let end = UntoldEnd { told_at, exit, output: output.clone(), failure: None, was_told };
        self.untold_ends.insert(run, end);
        let leftovers = process.leaves_one_behind;
        if leftovers {
            self.inject("processes left behind");
            self.note(format!("run {run} leaves a process behind"));
            let mut left = process.left_behind(&mut self.random);
            left.signal(Signal::Terminate, told_at, &mut self.random);
            left.kill_at = Some(told_at + self.settings.kill_grace);
            self.processes.insert(run, left);
        }
        let job = Job::Run(RunId(run));
        match exit {
            Some(exit) => self.tell(Event::Exited { job, exit, output, leftovers }),
            None => {
                self.inject("ends that somebody else was told");
                self.tell(Event::Lost { job, output, leftovers })
            }
        };
    }

    pub(crate) fn note_recorded_ends(&mut self) {
        self.judge_reasons(false);
        let book = self.book.as_ref().expect("the daemon was started");
        // One that is gone was on record, and is old by the clock that there is.
        let on_record = |run: &i64| book.runs.get(run).is_none_or(|run| !run.status.is_open());
        let ended: Vec<i64> = self.untold_ends.keys().copied().filter(on_record).collect();
        for run in ended {
            let end = self.untold_ends.remove(&run).expect("it was there just now");
            let how = book.runs.get(&run).map(|run| (run.status.as_str(), run.error_kind.clone()));
            if how.is_some() {
                end.judge(run, &book.end_in_full(run));
            }
            self.trace.push(format!("              run {run} is on record: {how:?}"));
        }
    }
}

impl UntoldEnd {
    /// What is on record is what happened.
    fn judge(&self, run: i64, (code, signal, output, truncated, kind, message): &Recorded) {
        let exit = match self.exit {
            Some(Exit::Code(code)) => (Some(code), None),
            Some(Exit::Signal(signal)) => (None, Some(signal)),
            None => (None, None),
        };
        assert_eq!((*code, *signal), exit, "how run {run} ended is on record");
        let Output { tail, truncated: was_truncated, .. } = &self.output;
        assert_eq!((output, truncated), (tail, was_truncated), "what run {run} wrote is on record");
        if let Some((failed, why)) = &self.failure {
            let told = (kind.as_deref(), message.as_deref());
            assert_eq!(told, (Some(failed.as_str()), Some(why.as_str())), "why run {run} was not started");
            return;
        }
        let by_itself = match self.exit {
            Some(Exit::Code(0)) => None,
            Some(Exit::Code(_)) | None => Some(ErrorKind::ExitStatus),
            Some(Exit::Signal(_)) => Some(ErrorKind::Signal),
        };
        let for_us = [ErrorKind::Timeout, ErrorKind::Cancelled, ErrorKind::Interrupted];
        let told = kind.as_deref().and_then(ErrorKind::from_word);
        let fits = match self.was_told {
            true => told.is_some_and(|kind| for_us.contains(&kind)),
            false => told == by_itself,
        };
        assert!(fits, "why run {run} failed: {told:?} for {self:?}");
    }
}

impl Book {
    fn end_in_full(&self, run: i64) -> Recorded {
        let sql = "SELECT exit_code, signal, output, output_truncated, error_kind, error_message
                   FROM data_flow_runs WHERE id = ?1";
        let mut statement = self.reader.prepare_cached(sql).expect("readable");
        let read = |row: &rusqlite::Row<'_>| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?))
        };
        statement.query_row([run], read).expect("a run that is on record")
    }

    /// The definition that a run was recorded with.
    pub(crate) fn configuration_of(&self, run: i64) -> Configuration {
        let sql = "SELECT coalesce(run.configuration, flow.configuration) FROM data_flow_runs AS run
                   JOIN data_flows AS flow ON flow.id = run.data_flow_id WHERE run.id = ?1";
        let mut statement = self.reader.prepare_cached(sql).expect("readable");
        let text: String = statement.query_row([run], |row| row.get(0)).expect("a run that is on record");
        serde_json::from_str(&text).expect("a definition")
    }
}
