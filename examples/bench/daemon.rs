//! The daemon as a real process, in a box of its own.

use heartbeat_runtime::auth::Secret;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::process::{Core, child_of, kill, on, terminate, told};

/// The secret of every box here; it guards nothing.
const SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// A daemon that does not listen by then has failed.
const START_WITHIN: Duration = Duration::from_secs(240);

static NUMBER: AtomicU64 = AtomicU64::new(0);

/// Builds the binary, beside the folder of this example.
pub(crate) fn build() -> Outcome<()> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let binary = binary();
    let target = binary.ancestors().nth(2).ok_or("this example lies in a target folder")?;
    let mut command = Command::new(cargo);
    command.args(["build", "--release", "--bin", "heartbeatd", "--quiet", "--target-dir"]).arg(target);
    let status = command.current_dir(env!("CARGO_MANIFEST_DIR")).status()?;
    if status.success() { Ok(()) } else { Err("cannot build heartbeatd".into()) }
}

/// `target/release/heartbeatd`, beside the folder of this example.
pub(crate) fn binary() -> PathBuf {
    let example = std::env::current_exe().unwrap_or_default();
    example.ancestors().nth(2).unwrap_or(Path::new(".")).join("heartbeatd")
}

pub(crate) fn secret() -> Secret {
    match Secret::parse_line(SECRET) {
        Ok(Some(secret)) => secret,
        _ => unreachable!("the secret above is well-formed"),
    }
}

pub(crate) fn now_s() -> i64 {
    heartbeat_runtime::server::now().as_seconds()
}

/// The same as its file holds it.
pub(crate) const fn secret_text() -> &'static str {
    SECRET
}

/// A new folder's name.
pub(crate) fn folder() -> PathBuf {
    folder_below(&std::env::temp_dir())
}

/// The same below another one.
pub(crate) fn folder_below(base: &Path) -> PathBuf {
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    base.join(format!("heartbeat-bench-{}-{number}", std::process::id()))
}

/// The configuration of a box.
#[derive(Clone)]
pub(crate) struct Config {
    pub(crate) at_a_time: usize,
    /// The least level that is logged.
    pub(crate) log: &'static str,
    /// Keys of the top level, each with its line break.
    pub(crate) top: String,
    /// Keys of `[limits]`.
    pub(crate) limits: String,
    /// Keys of `[status]`; the port for those who look on is there, as it is by default.
    pub(crate) status: String,
    /// Other tables.
    pub(crate) tables: String,
}

impl Default for Config {
    fn default() -> Self {
        let limits = "connections = 300\nconnections_per_address = 300\n".to_owned();
        let status = "listen = \"127.0.0.1:0\"\n".to_owned();
        Self { at_a_time: 4, log: "warn", top: String::new(), limits, status, tables: String::new() }
    }
}

impl Config {
    pub(crate) fn at_a_time(at_a_time: usize) -> Self {
        Self { at_a_time, ..Self::default() }
    }

    pub(crate) fn top(mut self, text: &str) -> Self {
        self.top.push_str(text);
        self
    }

    pub(crate) fn tables(mut self, text: &str) -> Self {
        self.tables.push_str(text);
        self
    }

    fn text(&self) -> String {
        let Self { at_a_time, log, top, limits, status, tables } = self;
        format!(
            "listen = [\"127.0.0.1:0\"]\nmax_concurrent_runs = {at_a_time}\n{top}[limits]\n{limits}[log]\nlevel = \"{log}\"\n[status]\n{status}{tables}"
        )
    }
}

/// A flow of `/bin/true` that is due once.
pub(crate) const QUICK_FLOW: &str = "run_interval = \"90d\"\n[command]\nargv = [\"/bin/true\"]\n";

/// So many of them, by name.
pub(crate) fn quick_flows(count: usize) -> Vec<(String, String)> {
    (0..count).map(|number| (format!("flow-{number}"), QUICK_FLOW.to_owned())).collect()
}

/// A folder with a configuration and these flows.
pub(crate) fn box_with(config: &Config, flows: &[(String, String)]) -> Outcome<PathBuf> {
    box_in(folder(), config, flows)
}

/// The same in this folder.
pub(crate) fn box_in(folder: PathBuf, config: &Config, flows: &[(String, String)]) -> Outcome<PathBuf> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::create_dir_all(folder.join("flows"))?;
    std::fs::write(folder.join("secret"), SECRET)?;
    std::fs::set_permissions(folder.join("secret"), PermissionsExt::from_mode(0o600))?;
    std::fs::write(folder.join("heartbeatd.toml"), config.text())?;
    for (name, text) in flows {
        std::fs::write(folder.join(format!("flows/{name}.toml")), text)?;
    }
    Ok(folder)
}

/// A running daemon in a folder of its own, which goes with it.
pub(crate) struct Daemon {
    process: Child,
    /// Its own number; the process above may be another program that watches it.
    pid: u32,
    address: SocketAddr,
    folder: PathBuf,
    keep: bool,
}

impl Daemon {
    /// With these flows, on the core of what is measured.
    pub(crate) fn start(config: &Config, flows: &[(String, String)]) -> Outcome<Self> {
        Self::start_in(box_with(config, flows)?)
    }

    pub(crate) fn start_in(folder: PathBuf) -> Outcome<Self> {
        Self::start_on(Core::Measured, folder)
    }

    pub(crate) fn start_on(core: Core, folder: PathBuf) -> Outcome<Self> {
        Self::start_telling(core, folder, Stdio::inherit(), &[])
    }

    /// The same behind another program, such as one that delays its calls.
    pub(crate) fn start_behind(folder: PathBuf, before: &[String]) -> Outcome<Self> {
        Self::start_telling(Core::Measured, folder, Stdio::inherit(), before)
    }

    /// What it logs goes to a file of its folder, `log`.
    pub(crate) fn start_logging(core: Core, folder: PathBuf) -> Outcome<Self> {
        let log = std::fs::File::create(folder.join("log"))?;
        Self::start_telling(core, folder, log.into(), &[])
    }

    fn start_telling(core: Core, folder: PathBuf, log: Stdio, before: &[String]) -> Outcome<Self> {
        let port_file = folder.join("port");
        let _first_start = std::fs::remove_file(&port_file);
        let mut command = match before {
            [] => Command::new(binary()),
            [program, arguments @ ..] => {
                let mut command = Command::new(program);
                command.args(arguments).arg(binary());
                command
            }
        };
        command
            .arg("--config")
            .arg(folder.join("heartbeatd.toml"))
            .args(["serve", "--dumpable", "--port-file"])
            .arg(&port_file)
            .stdout(Stdio::null())
            .stderr(log);
        let mut process = on(core, || command.spawn())??;
        let give_up = Instant::now() + START_WITHIN;
        let port = loop {
            match std::fs::read_to_string(&port_file) {
                Ok(text) if text.ends_with('\n') => break text.trim().parse()?,
                _ if process.try_wait()?.is_some() || Instant::now() > give_up => {
                    return Err("the daemon does not start".into());
                }
                _ => std::thread::sleep(Duration::from_micros(200)),
            }
        };
        let pid = if before.is_empty() { process.id() } else { child_of(process.id())? };
        Ok(Self { process, pid, address: SocketAddr::from(([127, 0, 0, 1], port)), folder, keep: false })
    }

    /// Ends it; its folder stays, for another start.
    pub(crate) fn stop(mut self) -> Outcome<PathBuf> {
        self.keep = true;
        terminate(self.pid);
        self.process.wait()?;
        Ok(self.folder.clone())
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets every flow run once, so that nothing is due any more.
    pub(crate) fn settle(&self) -> Outcome<()> {
        self.beat(Some(60))
    }

    /// A signed heartbeat on a connection of its own.
    pub(crate) fn beat(&self, wait_s: Option<u32>) -> Outcome<()> {
        self.ask(wait_s).map(|_| ())
    }

    /// The same, and what was answered.
    pub(crate) fn ask(&self, wait_s: Option<u32>) -> Outcome<String> {
        let mut request = Vec::new();
        crate::load::write_request(&mut request, &secret(), &crate::load::fresh_id(), now_s(), wait_s);
        let mut stream = TcpStream::connect(self.address)?;
        stream.write_all(&request)?;
        let mut answer = vec![0; 64 * 1024];
        let count = stream.read(&mut answer)?;
        let answer = String::from_utf8_lossy(&answer[..count]).into_owned();
        if answer.starts_with("HTTP/1.1 200 ") { Ok(answer) } else { Err(answer.into()) }
    }

    pub(crate) fn resident_bytes(&self) -> Outcome<u64> {
        Ok(told(self.pid(), "status", "VmRSS:")? * 1024)
    }

    /// What is resident, in words: its own memory, and pages of files, which the kernel may take back.
    pub(crate) fn resident_parts(&self) -> Outcome<String> {
        let mib = |name| -> Outcome<f64> { Ok(self.status(name)? as f64 / 1024.0) };
        let (own, files) = (mib("RssAnon:")?, mib("RssFile:")?);
        Ok(format!("{own:.2} MiB are its own, {files:.2} MiB pages of files, the binary's above all"))
    }

    /// The most that was ever resident.
    pub(crate) fn peak_resident_bytes(&self) -> Outcome<u64> {
        Ok(told(self.pid(), "status", "VmHWM:")? * 1024)
    }

    /// A figure of `/proc/PID/status`, in KiB where it is a size.
    pub(crate) fn status(&self, name: &str) -> Outcome<u64> {
        told(self.pid(), "status", name)
    }

    /// Its database, to read.
    pub(crate) fn database(&self) -> Outcome<rusqlite::Connection> {
        let database = rusqlite::Connection::open(self.folder.join("heartbeat.db"))?;
        database.busy_timeout(Duration::from_secs(5))?;
        Ok(database)
    }

    /// What it caused to be sent to the disk.
    pub(crate) fn written_bytes(&self) -> Outcome<u64> {
        told(self.pid(), "io", "write_bytes:")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if !self.keep {
            kill(self.pid);
            let _gone_already = self.process.kill();
            let _status = self.process.wait();
            let _left = std::fs::remove_dir_all(&self.folder);
        }
    }
}
