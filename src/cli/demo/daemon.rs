//! The daemon of the demonstration: this very program, as a process of its own.

use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::super::Context;
use super::super::failure::{Exit, Failure};
use super::setting::Setting;

/// How long the start may take, and the end.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often a condition is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// A daemon that runs; killed if it is still there when this goes.
#[derive(Debug)]
pub(super) struct Daemon {
    child: Child,
    log: PathBuf,
    /// The port that it listens on.
    pub(super) port: u16,
}

impl Daemon {
    /// Starts `serve` and waits until it listens.
    pub(super) fn start(context: &Context, setting: &Setting) -> Result<Self, Failure> {
        let log = setting.folder.join("log");
        let failed = |error: &std::io::Error| Failure::io("start the daemon", &setting.folder, error);
        let errors = File::create(&log).map_err(|error| failed(&error))?;
        let program = std::env::current_exe().map_err(|error| failed(&error))?;
        let port_file = setting.folder.join("port");
        let mut command = Command::new(program);
        command.arg("--config").arg(setting.config()).arg("serve").arg("--port-file").arg(&port_file);
        // Settings of whoever looks on are not the demonstration's.
        for (name, _) in &context.environment {
            command.env_remove(name);
        }
        // It may be taken, and nothing of it is shown.
        command.env("HEARTBEATD_STATUS__LISTEN", "false");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors);
        let child = command.spawn().map_err(|error| failed(&error))?;
        let mut daemon = Self { child, log, port: 0 };
        let give_up = Instant::now() + PATIENCE;
        while daemon.port == 0 {
            let ports = fs::read_to_string(&port_file).unwrap_or_default();
            daemon.port = ports.lines().next().and_then(|port| port.parse().ok()).unwrap_or(0);
            if daemon.has_ended()?.is_some() || Instant::now() > give_up {
                return Err(daemon.failure("the daemon did not start"));
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(daemon)
    }

    /// Its process id.
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    pub(super) fn has_ended(&mut self) -> Result<Option<ExitStatus>, Failure> {
        let failed = |error| Failure::io("ask for the daemon's end", &self.log, &error);
        self.child.try_wait().map_err(failed)
    }

    /// Sends SIGTERM, and gives how it ended; `None` if it would not in time.
    pub(super) fn stop(&mut self) -> Result<Option<ExitStatus>, Failure> {
        if let Some(status) = self.has_ended()? {
            return Ok(Some(status));
        }
        // Not reaped yet, so the number is still its own; and should it have ended, its status tells.
        let _ended_meanwhile = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let give_up = Instant::now() + PATIENCE;
        while Instant::now() < give_up {
            if let Some(status) = self.has_ended()? {
                return Ok(Some(status));
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(None)
    }

    /// A failure with the last words of its log.
    pub(super) fn failure(&self, error: &str) -> Failure {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let last = log.lines().rev().find(|line| line.starts_with("error:")).or(log.lines().last());
        let help = last.map_or_else(|| "its log is empty".to_owned(), |line| format!("its log says: {line}"));
        Failure::new(Exit::Failed, error, help)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            let _best_effort = self.child.kill();
            let _best_effort = self.child.wait();
        }
    }
}
