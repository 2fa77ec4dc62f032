//! A box in a temporary folder, and the program run in it.

use rustix::process::{Pid, Signal, kill_process_group};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A folder of its own; removed at the end.
pub(crate) struct Box {
    pub(crate) folder: PathBuf,
}

/// What a command did.
pub(crate) struct Done {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Box {
    /// An empty folder.
    pub(crate) fn empty() -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("heartbeatd-cli-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Self { folder }
    }

    /// One where `init` ran, to listen on a free port.
    pub(crate) fn new() -> Self {
        let new = Self::empty();
        let init = new.run(&["init", "--listen", "127.0.0.1:0"]);
        assert_eq!(init.code, Some(0), "{}", init.err);
        new
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// Writes a flow file that runs a shell script once an hour.
    pub(crate) fn write_flow(&self, file: &str, script: &str) {
        let text = format!("run_interval = \"1h\"\n[command]\nshell = true\nargv = '{script}'\n");
        self.write(file, &text);
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_heartbeatd"));
        command.args(arguments).current_dir(&self.folder).stdin(Stdio::null());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("HEARTBEATD_") {
                command.env_remove(name);
            }
        }
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Done {
        Done::of(self.command(arguments).output().unwrap())
    }

    /// With `input` on its standard input.
    pub(crate) fn run_with(&self, arguments: &[&str], input: &[u8]) -> Done {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        Done::of(child.wait_with_output().unwrap())
    }

    /// Starts the daemon and waits until it listens.
    pub(crate) fn serve(&self) -> Daemon {
        let log = File::create(self.path("log")).unwrap();
        let child = self.command(&["serve", "--port-file", "port"]).stderr(log).spawn().unwrap();
        let mut daemon = Daemon { child, port: 0 };
        let text = wait_for(&self.path("port"), || daemon.child.try_wait().unwrap().is_none());
        daemon.port = text.unwrap_or_else(|| panic!("{}", self.read("log"))).trim().parse().unwrap();
        daemon
    }
}

impl Drop for Box {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Done {
    pub(crate) fn of(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Each line of what was printed, as JSON.
    pub(crate) fn json(&self) -> Vec<serde_json::Value> {
        let parse = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        self.out.lines().map(parse).collect()
    }

    /// Ended with this code, and said so in pairs of `error:` and `help:`.
    pub(crate) fn refused(&self, code: i32) -> &str {
        assert_eq!(self.code, Some(code), "{}{}", self.out, self.err);
        let lines: Vec<&str> = self.err.lines().filter(|line| !line.starts_with("warning: ")).collect();
        assert!(!lines.is_empty() && lines.len().is_multiple_of(2), "{}", self.err);
        for pair in lines.chunks(2) {
            assert!(pair[0].starts_with("error: ") && pair[1].starts_with("help: "), "{}", self.err);
        }
        &self.err
    }

    /// Ended well.
    pub(crate) fn done(&self) -> &str {
        assert_eq!(self.code, Some(0), "{}{}", self.out, self.err);
        &self.out
    }
}

/// A running daemon; killed at the end.
pub(crate) struct Daemon {
    child: Child,
    pub(crate) port: u16,
}

impl Daemon {
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/data_flows/heartbeat", self.port)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // The processes of its runs go with it.
        let pid = self.child.id();
        let runs = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        let _ = self.child.kill();
        let _ = self.child.wait();
        for run in runs.split_whitespace().filter_map(|run| Pid::from_raw(run.parse().ok()?)) {
            let _ = kill_process_group(run, Signal::KILL);
        }
    }
}

/// What is in a file once it is there and not empty; `None` if `goes_on` says that nobody will write it.
pub(crate) fn wait_for(path: &Path, mut goes_on: impl FnMut() -> bool) -> Option<String> {
    let give_up = Instant::now() + Duration::from_secs(60);
    loop {
        match fs::read_to_string(path) {
            Ok(text) if !text.is_empty() => return Some(text),
            _ if Instant::now() > give_up || !goes_on() => return None,
            _ => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

/// Waits until `holds` says so.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let give_up = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < give_up, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
