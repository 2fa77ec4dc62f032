//! A box with one flow, over virtual time and a real database.

use super::super::super::{
    Action, ConnectionId, Event, Exchange, Job, Order, Output, Reload, Settings, Unanswered,
};
use super::super::*;
use crate::auth::{Field, Fields, Keyring};
use crate::flow::{Command, Configuration, Definition, Exit, FlowName, Kinds, Launch, Retry, Schedule};
use crate::http::client::Answer;
use crate::runtime::HistorySettings;
use crate::store::{Durability, Store};
use crate::time::Zones;
use serde_json::Value;
use std::hash::RandomState;

pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const HOUR: Duration = Duration::from_secs(3600);
pub(super) const DAY: Duration = Duration::from_secs(86_400);

struct NoFields;

impl Fields for NoFields {
    fn field(&self, _: &str) -> Field<'_> {
        Field::Absent
    }
}

/// A box with one flow, a receiver that is played by the test, and a clock.
pub(super) struct Bench {
    pub(super) folder: PathBuf,
    pub(super) runtime: Option<Runtime>,
    pub(super) settings: AlertSettings,
    pub(super) elapsed: Duration,
    pub(super) wall_offset: Duration,
    /// Alerts that were sent and are not answered, and beats.
    pub(super) sent: Vec<(Job, Exchange)>,
    pub(super) commands: Vec<Launch>,
    pub(super) signals: usize,
    pub(super) attempts: u32,
}

pub(super) fn told_by_url() -> AlertSettings {
    let url = Url::parse("http://receiver.example/in?key=hunter2").unwrap();
    AlertSettings {
        to: Some(Recipient::Url { url, secret_file: PathBuf::from("/box/alert-secret") }),
        host: "box-7".to_owned(),
        agents: vec!["default".to_owned()],
        ..AlertSettings::default()
    }
}

pub(super) fn settings() -> Settings {
    Settings {
        history: HistorySettings { database_bytes: 8 << 20, ..HistorySettings::default() },
        ..Settings::small()
    }
}

impl Bench {
    pub(super) fn new(name: &str, settings: AlertSettings) -> Self {
        let folder = std::env::temp_dir().join(format!("heartbeatd-alerts-{}-{name}", std::process::id()));
        let _left_by_a_test_that_failed = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        let mut bench = Self {
            folder,
            runtime: None,
            settings,
            elapsed: Duration::ZERO,
            wall_offset: Duration::ZERO,
            sent: Vec::new(),
            commands: Vec::new(),
            signals: 0,
            attempts: 1,
        };
        bench.start();
        bench
    }

    pub(super) fn now(&self) -> Now {
        let wall = Wall::from_seconds(1_800_000_000) + self.elapsed + self.wall_offset;
        Now { wall, monotonic: Monotonic::since_start(self.elapsed) }
    }

    pub(super) fn database(&self) -> PathBuf {
        self.folder.join("heartbeat.db")
    }

    /// Starts, or starts again after an end that nobody saw coming.
    pub(super) fn start(&mut self) {
        self.runtime = None;
        self.sent.clear();
        let now = self.now();
        let store = Store::open(&self.database(), Durability::Normal, 7, now.wall).unwrap();
        let (kinds, zones) = (Kinds::default(), Zones::utc_only());
        let runtime =
            Runtime::open(store, settings(), kinds, zones, RandomState::new(), &|_| false, now).unwrap();
        let mut runtime = runtime.with_alerts(self.settings.clone(), now).unwrap();
        runtime.follow_flow_files(&[self.definition()], &[], now).unwrap();
        self.runtime = Some(runtime);
        self.round();
    }

    pub(super) fn definition(&self) -> Definition {
        let command = Command {
            argv: vec!["/bin/true".to_owned()],
            working_directory: "/".into(),
            ..Command::default()
        };
        Definition {
            name: FlowName::new("upload").unwrap(),
            description: None,
            enabled: true,
            run_interval_s: 3600,
            configuration: Configuration {
                schedule: Schedule::FixedRate,
                calendar: Default::default(),
                timeout_ms: 86_400_000,
                kill_grace_ms: None,
                leftovers: Default::default(),
                retry: Retry { attempts: self.attempts, backoff_ms: 1000, backoff_cap_ms: 1000 },
                rerun_interrupted: None,
                kind: "command".to_owned(),
                settings: serde_json::to_value(command).unwrap(),
            },
        }
    }

    pub(super) fn handle(&mut self, event: Event<'_>) {
        let now = self.now();
        self.runtime.as_mut().unwrap().handle(event, now);
    }

    /// One round; the run that it started, if it did.
    pub(super) fn round(&mut self) -> Option<RunId> {
        let (now, mut actions, mut started) = (self.now(), Vec::new(), None);
        self.runtime.as_mut().unwrap().finish(now, &mut actions).unwrap();
        for action in actions {
            match action {
                Action::Spawn(Job::Run(run), ..) => started = Some(run),
                Action::Spawn(_, launch, _) => self.commands.push(*launch),
                Action::Exchange(job, exchange) => self.sent.push((job, *exchange)),
                Action::Signal(Job::Alert, _) => self.signals += 1,
                _ => {}
            }
        }
        started
    }

    /// Rounds whenever the runtime wants one, for so long. Nobody may be woken for nothing.
    pub(super) fn pass(&mut self, time: Duration) {
        let until = self.elapsed + time;
        for _ in 0..10_000 {
            let next = self.runtime.as_ref().unwrap().next_timeout();
            let wait =
                next.map(|at| at.since(self.now().monotonic)).filter(|wait| self.elapsed + *wait < until);
            let Some(wait) = wait else {
                self.elapsed = until;
                self.round();
                return;
            };
            self.elapsed += wait;
            self.round();
        }
        panic!("the loop spins");
    }

    pub(super) fn begin_run(&mut self) -> RunId {
        let order = Order::Run { flow: "upload".to_owned(), from: None };
        self.handle(Event::Order { connection: ConnectionId(1), uid: 0, order, wait: None });
        self.round().expect("it is started")
    }

    pub(super) fn end_run(&mut self, run: RunId, code: i32) {
        let exit = Exit::Code(code);
        let output = Output::default();
        self.handle(Event::Exited { job: Job::Run(run), exit, output, leftovers: false });
        self.round();
    }

    pub(super) fn run(&mut self, code: i32) -> RunId {
        let run = self.begin_run();
        self.end_run(run, code);
        run
    }

    pub(super) fn beat(&mut self) {
        let keyring = Keyring::disabled();
        let verified = keyring.verify(&NoFields, b"", self.now().wall, None).unwrap();
        self.handle(Event::Heartbeat { connection: ConnectionId(2), verified: &verified, wait: None });
        if let Some(run) = self.round() {
            self.end_run(run, 0);
        }
    }

    /// The alert on its way: what it says, and the id that it is signed under.
    pub(super) fn on_its_way(&self) -> (Value, String) {
        let (job, exchange) = self.sent.last().expect("an alert is sent");
        assert_eq!(*job, Job::Alert);
        let body: Value = serde_json::from_slice(exchange.body.as_ref().unwrap()).unwrap();
        let id = exchange.signature.as_ref().unwrap().id.clone();
        assert_eq!(body["id"], id.as_str());
        (body, id)
    }

    /// The receiver answers; what it was told.
    pub(super) fn answer(&mut self, status: u16) -> (Value, String) {
        let told = self.on_its_way();
        self.sent.pop();
        let text = format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n");
        let mut receiver =
            crate::http::client::Receiver::new(Default::default(), crate::http::client::Method::Post);
        let answer: Answer = receiver.push(text.as_bytes()).unwrap().unwrap();
        self.handle(Event::Answered { job: Job::Alert, answered: Ok(Box::new(answer)) });
        self.round();
        told
    }

    pub(super) fn nobody_answers(&mut self) {
        self.sent.pop().expect("an alert is sent");
        let message = "http://receiver.example/in: cannot connect".to_owned();
        let answered = Err(Unanswered { message, may_succeed_later: true });
        self.handle(Event::Answered { job: Job::Alert, answered });
        self.round();
    }

    /// Takes every alert that comes by itself; their types.
    pub(super) fn take_all(&mut self) -> Vec<String> {
        let mut types = Vec::new();
        while !self.sent.is_empty() {
            types.push(self.answer(204).0["type"].as_str().unwrap().to_owned());
        }
        types
    }

    pub(super) fn reload(&mut self, settings: AlertSettings) {
        self.settings = settings.clone();
        let definitions = vec![self.definition()];
        let reload =
            Reload { settings: self::settings(), alerts: Box::new(settings), definitions, bad: vec![] };
        self.handle(Event::Reload(Box::new(reload)));
        self.round();
    }

    pub(super) fn figures(&self) -> crate::store::AlertFigures {
        self.runtime.as_ref().unwrap().store().alert_figures().unwrap()
    }

    pub(super) fn counts(&self) -> AlertCounts {
        self.runtime.as_ref().unwrap().alert_counts()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.runtime = None;
        let _only_a_temporary_folder = std::fs::remove_dir_all(&self.folder);
    }
}
