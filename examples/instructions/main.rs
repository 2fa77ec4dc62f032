//! A path through the daemon, gone so many times: `instructions PATH TIMES`, for `.ci/instructions.sh`, which counts the
//! instructions. What two numbers of times differ by is the path alone: everything before and after is the same.
//!
//! - `parse`: a heartbeat's bytes become a request
//! - `verify`: the same, and the gate lets it through
//! - `heartbeat`: the same, the runtime finds nothing due, and the answer's bytes are made
//! - `refuse`: a forged signature gets its answer, and is counted; after the first ones no line is logged of it
//! - `serve`: the same as `heartbeat` through the shell's loop and a socket, a round for each; the caller is another process
//! - `run`: a heartbeat that starts a command, and the command's end, both on record

#[path = "../../tests/support/in_process.rs"]
mod in_process;

use heartbeat_runtime::auth::Secret;
use heartbeat_runtime::gate::{Gate, Passage};
use heartbeat_runtime::http::{self, Progress, Receiver};
use heartbeat_runtime::server;
use heartbeat_runtime::status::{Counters, Port};
use heartbeat_runtime::time::{Monotonic, Now, Wall};
use in_process::{DATE, Outcome, PEER, Parts, gate, request, secret};
use rustix::process::{Signal, getppid, kill_process};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Requests that are made before, however many of them are sent.
const REQUESTS: usize = 400;
const WALL: Wall = Wall::from_seconds(1_800_000_000);
const NOW: Now = Now { wall: WALL, monotonic: Monotonic::since_start(Duration::ZERO) };

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["call", port, times] => call(port.parse()?, times.parse()?),
        [path, times] => {
            let times = times.parse::<usize>()?;
            if times > REQUESTS {
                return Err(format!("at most {REQUESTS} times").into());
            }
            let folder = std::env::temp_dir().join(format!("heartbeat-instructions-{}", std::process::id()));
            std::fs::create_dir_all(&folder)?;
            let gone = go(path, times, &folder);
            std::fs::remove_dir_all(&folder)?;
            gone
        }
        _ => Err("instructions PATH TIMES; see the head of the source".into()),
    }
}

fn go(path: &str, times: usize, folder: &Path) -> Outcome<()> {
    match path {
        "parse" => parse(times, &secret(), |_| Ok(())),
        "verify" => {
            let mut gate = gate()?;
            parse(times, &secret(), |request| let_through(&mut gate, request))
        }
        "heartbeat" => {
            let mut parts = Parts::new(folder, "90d", WALL)?;
            parts.settle()?;
            for request in &requests(&secret(), WALL)[..times] {
                parts.beat(request)?;
                parts.let_pass(Duration::from_millis(1));
            }
            Ok(())
        }
        "refuse" => {
            let (mut gate, mut counters, mut out) = (gate()?, Counters::new(1), Vec::new());
            let forger = Secret::generate(&[8; 32]).1;
            parse(times, &forger, |request| {
                let Passage::Refused(denial) = gate.pass(request, PEER, NOW, None) else {
                    return Err("it was let through".into());
                };
                counters.refused(Port::Heartbeat, &denial, NOW);
                out.clear();
                denial.problem().append(&mut out, DATE, http::Connection::Persistent, false);
                Ok(())
            })
        }
        "run" => {
            let mut parts = Parts::new(folder, "1s", WALL)?;
            parts.settle()?;
            // A second passes for each: all of them are within the signature's tolerance.
            let later = Wall::from_seconds(WALL.as_seconds() + 200);
            for request in &requests(&secret(), later)[..times] {
                parts.let_pass(Duration::from_secs(1));
                parts.beat(request)?;
                parts.end_runs()?;
            }
            Ok(())
        }
        "serve" => serve(times, folder),
        other => Err(format!("no path `{other}`").into()),
    }
}

fn requests(secret: &Secret, at: Wall) -> Vec<Vec<u8>> {
    (0..REQUESTS).map(|number| request(secret, number, at)).collect()
}

fn parse(
    times: usize,
    signed_with: &Secret,
    mut and_then: impl FnMut(&http::Request<'_>) -> Outcome<()>,
) -> Outcome<()> {
    let (mut receiver, limits) = (Receiver::new(), http::Limits::default());
    for request in &requests(signed_with, WALL)[..times] {
        receiver.receive(request);
        let Progress::Request(request) = receiver.poll(&limits) else { return Err("no request".into()) };
        and_then(&request)?;
        receiver.consume();
    }
    Ok(())
}

fn let_through(gate: &mut Gate, request: &http::Request<'_>) -> Outcome<()> {
    match gate.pass(request, PEER, NOW, None) {
        Passage::Heartbeat { .. } => Ok(()),
        other => Err(format!("{other:?}").into()),
    }
}

/// Serves a process that sends heartbeats one after the other, and tells this one to end.
fn serve(times: usize, folder: &Path) -> Outcome<()> {
    let mut parts = Parts::new(folder, "90d", server::now())?;
    parts.settle()?;
    let (mut server, address) = parts.into_server(folder)?;
    let mut caller = start_caller(address.port(), times)?;
    server.run()?;
    drop(server);
    let ended = caller.wait()?;
    if ended.success() { Ok(()) } else { Err("the caller failed".into()) }
}

/// Its first heartbeat has been sent when this returns, so that every round is the same each time.
fn start_caller(port: u16, times: usize) -> Outcome<Child> {
    let mut caller = Command::new(std::env::current_exe()?);
    caller.args(["call".to_owned(), port.to_string(), times.to_string()]).stdout(Stdio::piped());
    let mut caller = caller.spawn()?;
    let said = caller.stdout.take().ok_or("it has an output")?;
    BufReader::new(said).read_line(&mut String::new())?;
    Ok(caller)
}

fn call(port: u16, times: usize) -> Outcome<()> {
    let requests = requests(&secret(), server::now());
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    let mut answer = vec![0; 64 * 1024];
    for (index, request) in requests[..times].iter().enumerate() {
        stream.write_all(request)?;
        if index == 0 {
            writeln!(std::io::stdout(), "sent")?;
        }
        let count = stream.read(&mut answer)?;
        if !answer[..count].starts_with(b"HTTP/1.1 200 ") {
            return Err(String::from_utf8_lossy(&answer[..count]).into_owned().into());
        }
    }
    // A signal to one that does not sleep yet would spare it a round.
    let server = getppid().ok_or("it has a parent")?;
    let state = || std::fs::read_to_string(format!("/proc/{}/stat", server.as_raw_nonzero()));
    while !state()?.contains(") S ") {
        std::thread::yield_now();
    }
    kill_process(server, Signal::TERM)?;
    // Its end would be news to a server that lives.
    while stream.read(&mut answer).is_ok_and(|count| count > 0) {}
    Ok(())
}
