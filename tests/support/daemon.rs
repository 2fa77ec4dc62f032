//! The daemon as a child process: started, spoken to, stopped or killed.

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;

use super::edge_box::EdgeBox;
use super::heartbeat::Heartbeat;
use super::wire::{Answer, Wire};
use super::{eventually, until};
use heartbeat_runtime::auth::Secret;

/// A daemon that serves; killed when dropped, with the processes of its runs.
pub(crate) struct Daemon {
    child: Child,
    pub(crate) port: u16,
    log: PathBuf,
    secret: Arc<Secret>,
}

impl Daemon {
    /// Starts the daemon of a box; `prepare` may change the command. Its environment holds `PATH` and nothing else.
    pub(crate) fn start(edge_box: &EdgeBox, prepare: impl FnOnce(&mut Command)) -> Self {
        Self::try_start(edge_box, prepare)
            .unwrap_or_else(|(status, log)| panic!("the daemon ended with {status}:\n{log}"))
    }

    /// The same of one that may end instead of listening: then with what, and what it said.
    pub(crate) fn try_start(
        edge_box: &EdgeBox,
        prepare: impl FnOnce(&mut Command),
    ) -> Result<Self, (ExitStatus, String)> {
        let port_file = edge_box.path("port");
        let _not_there = fs::remove_file(&port_file);
        let (child, log) = spawn(edge_box, prepare);
        // From here on it is killed when the test fails.
        let mut daemon = Self { child, port: 0, log, secret: Arc::clone(&edge_box.secret) };
        daemon.port = eventually("the daemon listens", || {
            if let Some(status) = daemon.child.try_wait().expect("look at the daemon") {
                return Some(Err((status, daemon.log())));
            }
            fs::read_to_string(&port_file).ok()?.lines().next()?.parse().ok().map(Ok)
        })?;
        Ok(daemon)
    }

    /// What a daemon that does not start ends with, and what it says.
    pub(crate) fn refused(edge_box: &EdgeBox, prepare: impl FnOnce(&mut Command)) -> (Option<i32>, String) {
        let (child, log) = spawn(edge_box, prepare);
        // Should it start all the same, the test fails and leaves no daemon behind.
        let mut daemon = Self { child, port: 0, log, secret: Arc::clone(&edge_box.secret) };
        let status =
            eventually("the daemon refuses to start", || daemon.child.try_wait().expect("look at it"));
        (status.code(), daemon.log())
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has logged since its start.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).expect("read the log")
    }

    pub(crate) fn until_logged(&self, words: &str) {
        until(&format!("the log says: {words}"), || self.log().contains(words));
    }

    pub(crate) fn connect(&self) -> Wire {
        Wire::connect(self.port)
    }

    /// Sends a heartbeat on a connection of its own.
    pub(crate) fn send(&self, heartbeat: &Heartbeat) -> Answer {
        self.exchange(heartbeat.to_bytes(&self.secret))
    }

    /// Sends a new heartbeat.
    pub(crate) fn beat(&self) -> Answer {
        self.send(&Heartbeat::new())
    }

    /// Sends a new heartbeat and waits until the runs that it started have ended.
    pub(crate) fn beat_and_wait(&self) -> Answer {
        self.send(&Heartbeat::new().wait(20))
    }

    /// Sends bytes on a connection of their own, and reads one answer.
    pub(crate) fn exchange(&self, bytes: impl AsRef<[u8]>) -> Answer {
        let mut wire = self.connect();
        wire.send(bytes);
        wire.answer()
    }

    /// Asks for a path.
    pub(crate) fn get(&self, path: &str) -> Answer {
        self.exchange(format!("GET {path} HTTP/1.1\r\nHost: box\r\n\r\n"))
    }

    /// Asks a daemon for a path that may die meanwhile.
    pub(crate) fn try_get(&self, path: &str) -> io::Result<Answer> {
        let mut wire = Wire::try_connect(self.port)?;
        wire.try_send(format!("GET {path} HTTP/1.1\r\nHost: box\r\n\r\n"))?;
        wire.try_answer()
    }

    /// Sends a new heartbeat to a daemon that may die meanwhile.
    pub(crate) fn try_beat(&self) -> io::Result<Answer> {
        let mut wire = Wire::try_connect(self.port)?;
        wire.try_send(Heartbeat::new().to_bytes(&self.secret))?;
        wire.try_answer()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(pid_of(self.child.id()), signal).expect("signal the daemon");
    }

    pub(crate) fn lives(&mut self) -> bool {
        self.child.try_wait().expect("look at the daemon").is_none()
    }

    /// Kills it as a crash would, and leaves its children alone.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("kill the daemon");
        self.child.wait().expect("reap the daemon");
    }

    /// Waits for its end.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        eventually("the daemon ends", || self.child.try_wait().expect("look at the daemon"))
    }

    /// Tells it to end, and waits until it has.
    pub(crate) fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.ended()
    }

    /// A figure of `/proc/PID/status`, in KiB where it is a size.
    pub(crate) fn proc_status(&self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("read its status");
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.and_then(|line| line.split_whitespace().next()?.parse().ok()).expect("find the figure")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(None)) {
            return;
        }
        let pid = self.child.id();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        let _gone_already = self.child.kill();
        let _gone_already = self.child.wait();
        for child in children.split_whitespace().filter_map(|child| child.parse().ok()) {
            let _gone_already = kill_process_group(pid_of(child), Signal::KILL);
        }
    }
}

fn pid_of(number: u32) -> Pid {
    i32::try_from(number).ok().and_then(Pid::from_raw).expect("a process has a number")
}

fn spawn(edge_box: &EdgeBox, prepare: impl FnOnce(&mut Command)) -> (Child, PathBuf) {
    let name = |start: u32| edge_box.path(&format!("log-{start}"));
    let log = (1..).map(name).find(|log| !log.exists()).expect("there is always another number");
    let mut command = Command::new(env!("CARGO_BIN_EXE_heartbeatd"));
    command
        .arg("--config")
        .arg(edge_box.path("heartbeatd.toml"))
        .arg("serve")
        .arg("--port-file")
        .arg(edge_box.path("port"))
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin");
    prepare(&mut command);
    let errors = File::create(&log).expect("make the log");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors);
    (command.spawn().expect("start the daemon"), log)
}
