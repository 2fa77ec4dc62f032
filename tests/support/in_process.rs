//! The daemon's parts in this process, as the shell joins them, with a clock that goes as it is told: for what counts
//! instructions, allocations or statements.

use heartbeat_runtime::auth::{Allowlist, DEFAULT_AGENT, Keyring, Secret, parse_rule};
use heartbeat_runtime::config::{Config, Durability, FlowContext, parse_flow};
use heartbeat_runtime::flow::{Exit, Kinds};
use heartbeat_runtime::gate::{Gate, Passage};
use heartbeat_runtime::http::{self, Connection, Progress, Receiver, Response, Status};
use heartbeat_runtime::limits;
use heartbeat_runtime::runtime::{
    Action, Answer, ConnectionId, Event, HistorySettings, Job, Output, Runtime, Settings,
};
use heartbeat_runtime::server::{Listeners, Options, Server};
use heartbeat_runtime::store::Store;
use heartbeat_runtime::time::{Monotonic, Now, Wall, Zones};
use std::error::Error;
use std::hash::RandomState;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

pub(crate) type Outcome<T> = Result<T, Box<dyn Error>>;

const PATH: &str = "/data_flows/heartbeat";
pub(crate) const DATE: &str = "Mon, 23 Nov 2026 10:30:00 GMT";
pub(crate) const PEER: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// The secret of every box here; it guards nothing.
pub(crate) fn secret() -> Secret {
    Secret::generate(&[7; 32]).1
}

/// A heartbeat as an agent sends it.
pub(crate) fn request(secret: &Secret, number: usize, at: Wall) -> Vec<u8> {
    let (id, timestamp_s, body) =
        (format!("msg_{number:012}"), at.as_seconds(), r#"{"agent":"edge-monitor"}"#);
    let signature = secret.sign(&id, timestamp_s, body.as_bytes());
    format!(
        "POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         webhook-id: {id}\r\nwebhook-timestamp: {timestamp_s}\r\nwebhook-signature: {signature}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

pub(crate) fn gate() -> Outcome<Gate> {
    let keyring = Keyring::of_default_agent(vec![secret()], None, limits::SIGNATURE_TOLERANCE_DEFAULT)?;
    let whitelist = Allowlist::new(vec![parse_rule("127.0.0.1")?]);
    Ok(Gate::new(PATH.to_owned(), keyring, Some(whitelist), Allowlist::default(), 30))
}

/// A runtime over a new database with one flow, a command that runs this often.
pub(crate) fn runtime(folder: &Path, run_interval: &str, now: Now) -> Outcome<Runtime> {
    let settings = Settings {
        max_concurrent_runs: 4,
        max_claims_per_heartbeat: limits::CLAIMS_PER_HEARTBEAT_DEFAULT,
        kill_grace: Duration::from_secs(10),
        shutdown_timeout: Duration::from_secs(1),
        wait_max: limits::WAIT_DEFAULT,
        waiters_max: 8,
        internal_heartbeat: None,
        history: HistorySettings::default(),
    };
    let (kinds, zones) = (Kinds::default(), Zones::utc_only());
    let context = FlowContext { kinds: &kinds, zones: &zones, working_directory: folder };
    let flow = format!("run_interval = \"{run_interval}\"\n[command]\nargv = [\"/bin/true\"]\n");
    let flow = parse_flow(&flow, &folder.join("flow.toml"), &context)?;
    let store = Store::open(&folder.join("heartbeat.db"), Durability::Full, 1, now.wall)?;
    let (kinds, zones, hasher) = (Kinds::default(), Zones::utc_only(), RandomState::new());
    let mut runtime = Runtime::open(store, settings, kinds, zones, hasher, &|_| false, now)?;
    runtime.follow_flow_files(&[flow], &[], now)?;
    Ok(runtime)
}

/// Gate and runtime with one caller, and what the shell keeps for it.
pub(crate) struct Parts {
    gate: Gate,
    runtime: Runtime,
    receiver: Receiver,
    actions: Vec<Action>,
    out: Vec<u8>,
    now: Now,
    /// Runs that were started and have not ended.
    started: Vec<Job>,
}

impl Parts {
    pub(crate) fn new(folder: &Path, run_interval: &str, wall: Wall) -> Outcome<Self> {
        let now = Now { wall, monotonic: Monotonic::since_start(Duration::ZERO) };
        Ok(Self {
            gate: gate()?,
            runtime: runtime(folder, run_interval, now)?,
            receiver: Receiver::new(),
            actions: Vec::new(),
            out: Vec::new(),
            now,
            started: Vec::new(),
        })
    }

    pub(crate) fn let_pass(&mut self, time: Duration) {
        self.now.wall = Wall::from_millis(self.now.wall.as_millis() + heartbeat_runtime::time::millis(time));
        self.now.monotonic = self.now.monotonic + time;
    }

    /// In the shell's loop, with the limits that a configuration has by itself, and the address that it listens on.
    pub(crate) fn into_server(self, folder: &Path) -> Outcome<(Server, SocketAddr)> {
        let listeners = Listeners::bind(&["127.0.0.1:0".parse()?])?;
        let address = listeners.addresses()[0];
        let options = Options {
            limits: Config::defaults(folder).limits,
            output_bytes: 1024,
            kill_grace: Duration::from_secs(1),
            use_pidfd: false,
        };
        Ok((Server::new(listeners, self.runtime, self.gate, options)?, address))
    }

    /// One heartbeat, one round: the answer's bytes.
    pub(crate) fn beat(&mut self, request: &[u8]) -> Outcome<&[u8]> {
        self.receiver.receive(request);
        let Progress::Request(request) = self.receiver.poll(&http::Limits::default()) else {
            return Err("no request".into());
        };
        let passage = self.gate.pass(&request, PEER, self.now, self.runtime.greatest_signed_at());
        let Passage::Heartbeat { verified, wait } = &passage else {
            return Err(format!("{passage:?}").into());
        };
        let event = Event::Heartbeat { connection: ConnectionId(1), verified, wait: *wait };
        self.runtime.handle(event, self.now);
        self.receiver.consume();
        self.out.clear();
        self.end_round()?;
        Ok(&self.out)
    }

    /// What was started ends, in one round.
    pub(crate) fn end_runs(&mut self) -> Outcome<()> {
        for job in self.started.drain(..) {
            let output = Output { tail: "done\n".to_owned(), ..Output::default() };
            let exited = Event::Exited { job, exit: Exit::Code(0), output, leftovers: false };
            self.runtime.handle(exited, self.now);
        }
        self.end_round()
    }

    fn end_round(&mut self) -> Outcome<()> {
        self.runtime.finish(self.now, &mut self.actions)?;
        self.runtime.work(self.now, &mut self.actions);
        for action in self.actions.drain(..) {
            match action {
                Action::Answer(_, Answer::Heartbeat { body, .. }) => {
                    let response = Response {
                        status: Status::OK,
                        content_type: "application/json",
                        fields: &[],
                        body: &body,
                    };
                    response.append(&mut self.out, DATE, Connection::Persistent, false);
                    self.runtime.take_back(body);
                }
                Action::Spawn(job, ..) => self.started.push(job),
                other => return Err(format!("{other:?}").into()),
            }
        }
        Ok(())
    }

    /// Lets the flow run, so that it is not due for a while; numbers from there on are of new heartbeats.
    pub(crate) fn settle(&mut self) -> Outcome<()> {
        let request = request(&secret(), usize::MAX, self.now.wall);
        self.beat(&request)?;
        self.end_runs()?;
        let of_agent = |outcome| self.runtime.tally().heartbeats(DEFAULT_AGENT, outcome);
        match of_agent(heartbeat_runtime::runtime::Outcome::Started) {
            1 => Ok(()),
            other => Err(format!("{other} heartbeats started runs").into()),
        }
    }
}
