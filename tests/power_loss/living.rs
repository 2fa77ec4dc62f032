//! A daemon without its shell: heartbeats, orders and ends of processes go in, and what is told comes out.

use std::hash::RandomState;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::Duration;

use heartbeat_runtime::auth::{Agent, Allowlist, Keyring, Secret};
use heartbeat_runtime::flow::{Exit, Status};
use heartbeat_runtime::gate::{Gate, Passage};
use heartbeat_runtime::http::{Limits, Progress, Receiver};
use heartbeat_runtime::pipeline;
use heartbeat_runtime::runtime::{
    Action, Answer, ConnectionId, Event, HistorySettings, Job, Order, Output, Reply, Runtime, Settings,
};
use heartbeat_runtime::store::{Durability, RunId, Store, StoreError};
use heartbeat_runtime::time::{Monotonic, Now, Wall, Zones};
use serde_json::Value;

use super::disk::Disk;
use super::flows;

const SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
/// 2026-01-01T00:00:00Z, in milliseconds since 1970.
const START_MS: i64 = 1_767_225_600_000;
/// The flow whose command fails.
const BAD: &str = "bad";

/// Something that holds from now on, whatever becomes of the power.
#[derive(Clone, Debug)]
pub(crate) enum Told {
    /// A run is at least so far: a caller was told, or its process was started.
    Run(i64, Status),
    /// An operator holds a flow, or does no more.
    Held(String, bool),
}

pub(crate) struct Living {
    runtime: Runtime,
    elapsed: Duration,
    gate: Gate,
    secret: Secret,
    /// Of heartbeats and orders.
    given: u64,
    processes: Vec<(RunId, Exit)>,
}

pub(crate) fn now(elapsed: Duration) -> Now {
    let elapsed_ms = i64::try_from(elapsed.as_millis()).expect("a short life");
    Now { wall: Wall::from_millis(START_MS + elapsed_ms), monotonic: Monotonic::since_start(elapsed) }
}

pub(crate) fn database(folder: &Path) -> std::path::PathBuf {
    folder.join("heartbeat.db")
}

impl Living {
    /// A daemon starts in a folder, and finds what is there.
    ///
    /// # Errors
    /// It cannot: what is there is no database that can be opened.
    pub(crate) fn start(
        folder: &Path,
        disk: &Disk,
        durability: Durability,
        elapsed: Duration,
        after_a_commit: &mut dyn FnMut(),
    ) -> Result<Self, StoreError> {
        let settings = Settings {
            max_concurrent_runs: 4,
            max_claims_per_heartbeat: 100,
            kill_grace: Duration::from_secs(1),
            shutdown_timeout: Duration::from_secs(2),
            wait_max: Duration::from_secs(5),
            waiters_max: 2,
            internal_heartbeat: None,
            history: HistorySettings {
                runs_per_flow: 10_000,
                age: Duration::from_secs(90 * 86_400),
                database_bytes: 8 << 20,
            },
        };
        let now = now(elapsed);
        let store = Store::open(&database(folder), durability, 7, now.wall)?;
        after_a_commit();
        let (kinds, hasher) = (pipeline::kinds(), RandomState::new());
        let was_never_started = |_: RunId| false;
        let runtime =
            Runtime::open(store, settings, kinds, Zones::utc_only(), hasher, &was_never_started, now)?;
        after_a_commit();
        let mut runtime = runtime.with_files(disk.files());
        runtime.follow_flow_files(&flows::definitions(folder), &[], now)?;
        let secret = || Secret::parse_line(SECRET).expect("a secret").expect("a line with a secret");
        let agent = Agent::of_top_level(vec![secret()], None, Duration::from_secs(300)).expect("one secret");
        let keyring = Keyring::new(vec![agent]);
        let gate = Gate::new("/heartbeat".to_owned(), keyring, None, Allowlist::new(Vec::new()), 30);
        Ok(Self { runtime, elapsed, gate, secret: secret(), given: 0, processes: Vec::new() })
    }

    pub(crate) fn now(&self) -> Now {
        now(self.elapsed)
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.elapsed
    }

    pub(crate) fn wait(&mut self, time: Duration) {
        self.elapsed += time;
    }

    /// An agent's heartbeat that was never sent before.
    pub(crate) fn beat(&mut self) {
        let now = self.now();
        self.given += 1;
        let (id, timestamp) = (format!("msg_{}_{}", now.wall.as_millis(), self.given), now.wall.as_seconds());
        let signature = self.secret.sign(&id, timestamp, b"");
        let request = format!(
            "POST /heartbeat HTTP/1.1\r\nHost: box\r\nwebhook-id: {id}\r\nwebhook-timestamp: {timestamp}\r\n\
             webhook-signature: {signature}\r\nContent-Length: 0\r\n\r\n"
        );
        let mut receiver = Receiver::new();
        receiver.receive(request.as_bytes());
        let Progress::Request(request) = receiver.poll(&Limits::default()) else {
            unreachable!("a whole request")
        };
        let peer = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let passage = self.gate.pass(&request, peer, now, self.runtime.greatest_signed_at());
        let Passage::Heartbeat { verified, .. } = passage else { unreachable!("a heartbeat: {passage:?}") };
        let connection = ConnectionId(self.given);
        self.runtime.handle(Event::Heartbeat { connection, verified: &verified, wait: None }, now);
    }

    pub(crate) fn order(&mut self, order: Order) {
        self.given += 1;
        let (connection, now) = (ConnectionId(self.given), self.now());
        self.runtime.handle(Event::Order { connection, uid: 1000, order, wait: None }, now);
    }

    /// Every process that was started ends.
    pub(crate) fn reap(&mut self) {
        let now = self.now();
        for (run, exit) in std::mem::take(&mut self.processes) {
            let (job, output) = (Job::Run(run), Output::default());
            self.runtime.handle(Event::Exited { job, exit, output, leftovers: false }, now);
        }
    }

    /// The round's commit, and what is told after it.
    ///
    /// # Errors
    /// Those after which the daemon ends.
    pub(crate) fn finish(&mut self) -> Result<Vec<Told>, StoreError> {
        let (now, mut actions, mut told) = (self.now(), Vec::new(), Vec::new());
        self.runtime.finish(now, &mut actions)?;
        for action in actions {
            match action {
                Action::Answer(_, answer) => told.extend(what_it_tells(answer)),
                Action::Spawn(job, launch, _) => {
                    let run = job.run().expect("nobody is told anything else");
                    let of_bad = |(name, value): &(String, String)| name == "HEARTBEAT_FLOW" && value == BAD;
                    let fails = launch.environment.iter().any(of_bad);
                    self.processes.push((run, Exit::Code(i32::from(fails))));
                    told.push(Told::Run(run.0, Status::InProgress));
                }
                other => unreachable!("nothing here leads to {other:?}"),
            }
        }
        Ok(told)
    }

    /// Whether anything is left to do at this moment.
    pub(crate) fn is_busy(&self) -> bool {
        self.runtime.next_timeout().is_some_and(|at| at <= self.now().monotonic)
    }

    /// A pipeline takes a step, if one wants to.
    pub(crate) fn work(&mut self) {
        let (now, mut actions) = (self.now(), Vec::new());
        self.runtime.work(now, &mut actions);
        assert!(actions.is_empty(), "files need nothing from outside: {actions:?}");
    }
}

fn what_it_tells(answer: Answer) -> Vec<Told> {
    match answer {
        Answer::Heartbeat { body, .. } => {
            let answer: Value = serde_json::from_slice(&body).expect("an answer is JSON");
            let runs = answer["runs"].as_array().expect("a list of runs");
            let run = |run: &Value| {
                let status = run["status"].as_str().and_then(Status::from_word).expect("a state");
                Told::Run(run["id"].as_i64().expect("an id"), status)
            };
            runs.iter().map(run).collect()
        }
        Answer::Operator { reply: Reply::Run(run), .. } => vec![Told::Run(run.id, run.status)],
        Answer::Operator { reply: Reply::Flow(flow), .. } => vec![Told::Held(flow.name, flow.held)],
        Answer::Operator { .. } | Answer::Refused(_) => Vec::new(),
    }
}
