//! How a command reaches what it changes: the daemon through its control socket, or, where none runs, the database.
//!
//! Both ways take the same request, by the same routes and rules, to the same answer; so a command says the same either
//! way.

use serde_json::Value;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::client::{self, Answer, ClientError};
use super::failure::{Exit, Failure};
use super::init::shown;
use super::output::Paint;
use super::printable::PrintableStream;
use super::{Context, random};
use crate::config::{Fault, FlowContext};
use crate::control::{self, Facts, Rendered, Routed, render, route};
use crate::http::{self, Progress, Receiver};
use crate::limits;
use crate::runtime::{Carried, Order, Reply, Told, carry_out, look_up};
use crate::setup::{self, FlowFiles, Loaded};
use crate::store::{Cause, Cut, RunId, Store};
use crate::time::Zones;

/// How long a daemon that is not asked to wait may take: a reload reads every flow file.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is asked for.
#[derive(Debug)]
pub(super) struct Request {
    method: &'static str,
    target: String,
    body: Option<Value>,
    /// `Prefer: wait`.
    wait: Option<Duration>,
}

impl Request {
    pub(super) fn new(method: &'static str, target: impl Into<String>) -> Self {
        Self { method, target: target.into(), body: None, wait: None }
    }

    pub(super) fn with(self, body: Value) -> Self {
        Self { body: Some(body), ..self }
    }

    /// With `Prefer: wait`.
    pub(super) fn waiting(self, wait: Duration) -> Self {
        Self { wait: Some(wait), ..self }
    }

    fn bytes(&self) -> Vec<u8> {
        let body = self.body.as_ref().map(Value::to_string).unwrap_or_default();
        let wait = self.wait.map(|wait| format!("Prefer: wait={}\r\n", wait.as_secs())).unwrap_or_default();
        format!(
            "{} {} HTTP/1.1\r\nHost: heartbeatd\r\nConnection: close\r\n{wait}Content-Length: {}\r\n\r\n{body}",
            self.method,
            self.target,
            body.len()
        )
        .into_bytes()
    }
}

/// What is answered.
#[derive(Debug)]
pub(super) struct Outcome {
    status: u16,
    body: Value,
    /// Whether a daemon runs.
    pub(super) by_daemon: bool,
}

/// Why it was not done.
#[derive(Debug)]
pub(super) struct Problem(Value);

impl Problem {
    /// The name for programs.
    pub(super) fn error(&self) -> &str {
        self.0["error"].as_str().unwrap_or_default()
    }
}

/// The faults that an answer names.
pub(super) fn faults(told: &Value) -> Vec<Fault> {
    let text = |fault: &Value, name: &str| fault[name].as_str().unwrap_or_default().to_owned();
    let read = |fault: &Value| Fault {
        line: fault["line"].as_u64().and_then(|line| usize::try_from(line).ok()),
        key: fault["key"].as_str().map(str::to_owned),
        ..Fault::of_file(shown(Path::new(&text(fault, "file"))), text(fault, "message"), text(fault, "help"))
    };
    told["faults"].as_array().into_iter().flatten().map(read).collect()
}

impl Outcome {
    /// Whether what it is about does not exist.
    pub(super) fn is_not_found(&self) -> bool {
        self.body["error"] == "not_found"
    }

    /// Whether what was given is not right.
    pub(super) fn is_invalid(&self) -> bool {
        self.body["error"] == "invalid_request"
    }

    /// The problem as a failure.
    pub(super) fn into_failure(self, exit: Exit, help: &str) -> Failure {
        Failure::new(exit, self.body["detail"].as_str().unwrap_or("the daemon refused it"), help)
    }

    /// What was answered; `help` says what to do about a problem that is the caller's to solve.
    pub(super) fn or_fail(self, help: impl FnOnce(&Problem) -> String) -> Result<Value, Failure> {
        if self.status < 400 {
            return Ok(self.body);
        }
        let problem = Problem(self.body);
        let faults = faults(&problem.0);
        if !faults.is_empty() {
            return Err(Failure::of_faults(faults));
        }
        let detail = problem.0["detail"].as_str().unwrap_or("the daemon refused it");
        Err(match problem.error() {
            "storage_full" | "storage_unavailable" | "shutting_down" | "overloaded" => {
                Failure::new(Exit::TryAgain, detail, "its log and its status page tell more; then try again")
            }
            "internal" => Failure::new(Exit::Failed, detail, "please report it with the daemon's log"),
            _ => match problem.0["help"].as_str() {
                Some(help) => Failure::new(Exit::Failed, detail, help),
                None => Failure::new(Exit::Failed, detail, help(&problem)),
            },
        })
    }
}

/// Connects to the daemon; `None` if none runs.
pub(super) fn connect(loaded: &Loaded) -> Result<Option<UnixStream>, Failure> {
    let path = &loaded.config.control.socket;
    match UnixStream::connect(path) {
        Ok(stream) => Ok(Some(stream)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            Ok(None)
        }
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let message = format!("the daemon's socket is not for this user: {}", path.display());
            let command = setup::as_owner(path).map(|command| format!(" `{command}`,")).unwrap_or_default();
            let help = format!("run it as the daemon's user,{command} or see `mode` under [control]");
            Err(Failure::new(Exit::Refused, message, help))
        }
        Err(error) => Err(Failure::io("connect to the daemon", path, &error)),
    }
}

/// The failure of what only a daemon can do.
pub(super) fn no_daemon(loaded: &Loaded, help: &str) -> Failure {
    let path = loaded.config.control.socket.display();
    Failure::new(Exit::Unreachable, format!("no daemon answers at {path}"), help)
}

/// Has a request answered by the daemon, or in its place.
pub(super) fn send(context: &Context, loaded: &Loaded, request: &Request) -> Result<Outcome, Failure> {
    if let Some(stream) = connect(loaded)? {
        return ask(stream, request);
    }
    match answer_here(context, loaded, &request.bytes()) {
        // A daemon may have started meanwhile.
        Err(Unserved::Owned(failure)) => match connect(loaded)? {
            Some(stream) => ask(stream, request),
            None => Err(failure),
        },
        Err(Unserved::Failure(failure)) => Err(failure),
        Ok(Rendered { status, body, .. }) => {
            Ok(Outcome { status: status.code(), body: json_of(&body)?, by_daemon: false })
        }
    }
}

/// Has a request answered by the daemon at the other end.
pub(super) fn ask(mut stream: UnixStream, request: &Request) -> Result<Outcome, Failure> {
    let patience = PATIENCE + request.wait.unwrap_or_default();
    match client::converse(&mut stream, &request.bytes(), patience) {
        Ok(Answer { status, body, .. }) => Ok(Outcome { status, body: json_of(&body)?, by_daemon: true }),
        Err(ClientError::Unreachable(error)) => Err(broken(&error.to_string())),
        Err(ClientError::Closed(why) | ClientError::NoAnswer(why)) => Err(broken(&why)),
    }
}

fn broken(why: &str) -> Failure {
    let help = "is it ending, or busy? `heartbeatd status` tells; what was asked may or may not be done";
    Failure::new(Exit::Unreachable, format!("the daemon gave no answer: {why}"), help)
}

fn json_of(body: &[u8]) -> Result<Value, Failure> {
    if body.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(body).map_err(|error| broken(&format!("it is not JSON: {error}")))
}

/// Why a request cannot be answered here.
enum Unserved {
    /// A daemon has the database after all.
    Owned(Failure),
    Failure(Failure),
}

impl From<Failure> for Unserved {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl From<crate::store::StoreError> for Unserved {
    fn from(error: crate::store::StoreError) -> Self {
        if error.cause != Cause::Owned {
            return Self::Failure(error.into());
        }
        let help =
            "a daemon of this database starts, ends, or has another `socket` under [control]: try again";
        Self::Owned(Failure::new(Exit::TryAgain, error.to_string(), help))
    }
}

/// Answers as a daemon would, from the database.
fn answer_here(context: &Context, loaded: &Loaded, request: &[u8]) -> Result<Rendered, Unserved> {
    let mut receiver = Receiver::new();
    receiver.receive(request);
    let limits = http::Limits { body_bytes: limits::CONTROL_BODY_BYTES_MAX, ..http::Limits::default() };
    let request = match receiver.poll(&limits) {
        Progress::Request(request) => request,
        Progress::Refused(refusal) => return Ok(control::problem(refusal.code, &refusal.detail)),
        _ => unreachable!("the request is whole"),
    };
    let zones = setup::system_zones();
    let flows = FlowContext { kinds: &context.kinds, zones: &zones, working_directory: &loaded.directory };
    let reply = match route(&request, &flows) {
        Routed::Answer(rendered) => return Ok(rendered),
        Routed::Order(order, _) => carry_out_here(context, loaded, order, &zones)?,
        Routed::Ask(question) => look_up(&context.open_to_read(loaded)?, &question, crate::server::now())
            .map_err(Unserved::from)?,
        Routed::Backup(file) => {
            let outcome = Store::back_up(&loaded.config.database, &file, &Cut::default());
            return Ok(control::tell_backed_up(&file, &outcome));
        }
        Routed::Reload => return Err(no_daemon(loaded, "a daemon reads everything when it starts").into()),
    };
    let bad_flow_files = match reply {
        Reply::Status(_) => bad_flow_files(&context.read_flows(loaded)),
        _ => Vec::new(),
    };
    Ok(render(reply, &Facts { bad_flow_files, ..Facts::default() }))
}

fn carry_out_here(
    context: &Context,
    loaded: &Loaded,
    mut order: Order,
    zones: &Zones,
) -> Result<Reply, Unserved> {
    if let Order::Remove { flow, file } = &mut order {
        *file = context.read_flows(loaded).file_of(flow).map(Path::to_owned);
    }
    let (config, now) = (&loaded.config, crate::server::now());
    let mut store = Store::open(&config.database, config.durability, random::number()?, now)?;
    let carried = match store.in_transaction(|store| carry_out(store, &order, zones, now))? {
        Ok(Carried::InProgress(RunId(run))) => {
            let help =
                format!("run {run} was in progress when the daemon ended: its next start records the end");
            return Err(no_daemon(loaded, &help).into());
        }
        Ok(carried) => carried,
        Err(objection) => return Ok(Reply::Objection(objection)),
    };
    Ok(match Told::of(&order, carried) {
        Told::Reply(reply) => reply,
        Told::LookUp(question) => look_up(&store, &question, now)?,
    })
}

fn bad_flow_files(files: &FlowFiles) -> Vec<Fault> {
    let faults = files.faults.iter().flat_map(|bad| bad.faults.iter());
    faults.take(limits::LIST_MAX).cloned().collect()
}

/// Prints what a run writes, as it comes, until its end; nothing if `quiet`.
pub(super) fn follow(loaded: &Loaded, run: i64, quiet: bool) -> Result<(), Failure> {
    let help = "it ended meanwhile; `heartbeatd runs show` tells of the run once it is back";
    let mut stream = connect(loaded)?.ok_or_else(|| no_daemon(loaded, help))?;
    let lost = |error: io::Error| broken(&error.to_string());
    let request = Request::new("GET", format!("/runs/{run}/output")).bytes();
    stream.write_all(&request).map_err(lost)?;
    let (mut head, mut buffer) = (Some(Vec::new()), [0; 8192]);
    let mut text = PrintableStream::default();
    loop {
        let count = match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(lost(error)),
        };
        let mut bytes = buffer.get(..count).unwrap_or_default().to_vec();
        if let Some(mut begun) = head.take() {
            begun.append(&mut bytes);
            let Some(end) = begun.windows(4).position(|window| window == b"\r\n\r\n") else {
                head = Some(begun);
                continue;
            };
            if !begun.starts_with(b"HTTP/1.1 200 ") {
                return Err(broken("the run's output is not to be had"));
            }
            bytes = begun.split_off(end + 4);
        }
        if !quiet {
            print(&text.next(&bytes))?;
        }
    }
    if quiet { Ok(()) } else { print(&text.rest()) }
}

fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| Failure::output(&error))
}

/// Prints what was done to what.
pub(super) fn tell(context: &Context, action: &str, what: &str) -> Result<(), Failure> {
    let word = format!("{action:>9}");
    context.output.painted(&[(Paint::Green, &word), (Paint::Plain, &format!("  {what}"))])
}
