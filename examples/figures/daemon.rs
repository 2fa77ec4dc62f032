//! The daemon and nginx as real processes, and what the kernel says of them.

use heartbeat_runtime::auth::Secret;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::Outcome;

/// The secret of every box here; it guards nothing.
const SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
/// Where pages are.
pub(crate) const STATUS_ADDRESS: ([u8; 4], u16) = ([127, 0, 0, 1], 18_088);
const NGINX_ADDRESS: ([u8; 4], u16) = ([127, 0, 0, 1], 18_080);

static NUMBER: AtomicU64 = AtomicU64::new(0);

pub(crate) fn build() -> Outcome<()> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let status =
        Command::new(cargo).args(["build", "--release", "--bin", "heartbeatd", "--quiet"]).status()?;
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

fn folder() -> PathBuf {
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("heartbeat-figures-{}-{number}", std::process::id()))
}

/// A folder with a configuration and these flows.
fn box_with(flows: &[(String, String)], at_a_time: usize) -> Outcome<PathBuf> {
    use std::os::unix::fs::PermissionsExt;
    let folder = folder();
    std::fs::create_dir_all(folder.join("flows"))?;
    std::fs::write(folder.join("secret"), SECRET)?;
    std::fs::set_permissions(folder.join("secret"), PermissionsExt::from_mode(0o600))?;
    let config = format!(
        "listen = [\"127.0.0.1:0\"]\nmax_concurrent_runs = {at_a_time}\n[limits]\nconnections_per_address = 200\n[log]\nlevel = \"warn\"\n"
    );
    std::fs::write(folder.join("heartbeatd.toml"), config)?;
    for (name, text) in flows {
        std::fs::write(folder.join(format!("flows/{name}.toml")), text)?;
    }
    Ok(folder)
}

/// A running daemon in a folder of its own, which goes with it.
pub(crate) struct Daemon {
    process: Child,
    address: SocketAddr,
    folder: PathBuf,
    keep: bool,
}

impl Daemon {
    /// With so many flows that do nothing.
    pub(crate) fn start(flows: usize, at_a_time: usize) -> Outcome<Self> {
        let flow = "run_interval = \"90d\"\n[command]\nargv = [\"/bin/true\"]\n";
        let flows: Vec<_> = (0..flows).map(|number| (format!("flow-{number}"), flow.to_owned())).collect();
        Self::start_in(box_with(&flows, at_a_time)?)
    }

    /// With one flow that does nothing, and pages for people.
    pub(crate) fn watched() -> Outcome<Self> {
        let flow = "run_interval = \"300d\"\n[command]\nargv = [\"/bin/true\"]\n";
        let folder = box_with(&[("site-00000".to_owned(), flow.to_owned())], 4)?;
        let config = folder.join("heartbeatd.toml");
        let status = SocketAddr::from(STATUS_ADDRESS);
        let settings = format!("[status]\nlisten = \"{status}\"\n[history]\ndatabase = \"1 GiB\"\n");
        std::fs::write(&config, std::fs::read_to_string(&config)? + &settings)?;
        Self::start_in(folder)
    }

    /// With these flows.
    pub(crate) fn start_with(flows: &[(&str, String)]) -> Outcome<Self> {
        let flows: Vec<_> = flows.iter().map(|(name, text)| ((*name).to_owned(), text.clone())).collect();
        Self::start_in(box_with(&flows, 4)?)
    }

    pub(crate) fn start_in(folder: PathBuf) -> Outcome<Self> {
        Self::start_telling(folder, Stdio::inherit())
    }

    /// The same; what it logs goes to a file of its folder, `log`.
    pub(crate) fn start_logging_in(folder: PathBuf) -> Outcome<Self> {
        let log = std::fs::File::create(folder.join("log"))?;
        Self::start_telling(folder, log.into())
    }

    fn start_telling(folder: PathBuf, log: Stdio) -> Outcome<Self> {
        let port_file = folder.join("port");
        let _first_start = std::fs::remove_file(&port_file);
        let process = Command::new(binary())
            .arg("--config")
            .arg(folder.join("heartbeatd.toml"))
            .args(["serve", "--dumpable", "--port-file"])
            .arg(&port_file)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        let give_up = Instant::now() + Duration::from_secs(20);
        let port = loop {
            match std::fs::read_to_string(&port_file) {
                Ok(text) => break text.trim().parse()?,
                Err(_) if Instant::now() < give_up => std::thread::sleep(Duration::from_micros(200)),
                Err(error) => return Err(format!("the daemon does not start: {error}").into()),
            }
        };
        Ok(Self { process, address: SocketAddr::from(([127, 0, 0, 1], port)), folder, keep: false })
    }

    /// Ends it; its folder stays, for another start.
    pub(crate) fn stop(mut self) -> Outcome<PathBuf> {
        self.keep = true;
        if let Some(pid) = i32::try_from(self.process.id()).ok().and_then(rustix::process::Pid::from_raw) {
            rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        }
        self.process.wait()?;
        Ok(self.folder.clone())
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
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
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let mut request = Vec::new();
        crate::load::write_request(&mut request, &secret(), &format!("msg_single_{number}"), now_s(), wait_s);
        let mut stream = TcpStream::connect(self.address)?;
        stream.write_all(&request)?;
        let mut answer = vec![0; 64 * 1024];
        let count = stream.read(&mut answer)?;
        let answer = String::from_utf8_lossy(&answer[..count]).into_owned();
        if answer.starts_with("HTTP/1.1 200 ") { Ok(()) } else { Err(answer.into()) }
    }

    pub(crate) fn resident_bytes(&self) -> Outcome<u64> {
        Ok(status_line(self.pid(), "status", "VmRSS:")? * 1024)
    }

    /// The most that was ever resident.
    pub(crate) fn peak_resident_bytes(&self) -> Outcome<u64> {
        Ok(status_line(self.pid(), "status", "VmHWM:")? * 1024)
    }

    /// A figure of `/proc/PID/status`, in KiB where it is a size.
    pub(crate) fn status(&self, name: &str) -> Outcome<u64> {
        status_line(self.pid(), "status", name)
    }

    /// Its database, to read.
    pub(crate) fn database(&self) -> Outcome<rusqlite::Connection> {
        let database = rusqlite::Connection::open(self.folder.join("heartbeat.db"))?;
        database.busy_timeout(Duration::from_secs(5))?;
        Ok(database)
    }

    /// What it caused to be sent to the disk.
    pub(crate) fn written_bytes(&self) -> Outcome<u64> {
        status_line(self.pid(), "io", "write_bytes:")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if !self.keep {
            let _gone_already = self.process.kill();
            let _status = self.process.wait();
            let _left = std::fs::remove_dir_all(&self.folder);
        }
    }
}

fn status_line(pid: u32, file: &str, name: &str) -> Outcome<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/{file}"))?;
    let value = text.lines().find_map(|line| line.strip_prefix(name)).ok_or("the kernel does not tell")?;
    Ok(value.split_whitespace().next().unwrap_or("").parse()?)
}

/// nginx with a fixed answer of the same length, if it is installed.
pub(crate) struct Nginx {
    process: Child,
    folder: PathBuf,
}

impl Nginx {
    pub(crate) fn start() -> Outcome<Option<Self>> {
        let folder = folder();
        std::fs::create_dir_all(&folder)?;
        let answer = r#"{"flows_due":0,"flows_triggered":0,"flows_skipped":0,"flows_deferred":0,"duplicate":false,"timestamp":"2026-11-23T10:30:00.000Z","heartbeat_id":"msg_load_000000000000","runs":[]}"#;
        let config = format!(
            "worker_processes 1; daemon off; pid {0}/pid; error_log {0}/error;\nevents {{ worker_connections 1024; }}\n\
             http {{ access_log off; keepalive_requests 1000000000; client_body_temp_path {0}/body;\n\
             server {{ listen 127.0.0.1:{1}; location / {{ default_type application/json; return 200 '{answer}'; }} }} }}\n",
            folder.display(),
            NGINX_ADDRESS.1
        );
        std::fs::write(folder.join("nginx.conf"), config)?;
        let spawned =
            Command::new("nginx").arg("-c").arg(folder.join("nginx.conf")).stderr(Stdio::null()).spawn();
        let Ok(process) = spawned else { return Ok(None) };
        let nginx = Self { process, folder };
        let give_up = Instant::now() + Duration::from_secs(5);
        while TcpStream::connect(nginx.address()).is_err() {
            if Instant::now() > give_up {
                return Err("nginx does not start".into());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(Some(nginx))
    }

    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::from(NGINX_ADDRESS)
    }

    /// The process that answers.
    pub(crate) fn worker(&self) -> Outcome<u32> {
        let master = self.process.id();
        let children = std::fs::read_to_string(format!("/proc/{master}/task/{master}/children"))?;
        Ok(children.split_whitespace().next().ok_or("nginx has no worker")?.parse()?)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        if let Some(pid) = i32::try_from(self.process.id()).ok().and_then(rustix::process::Pid::from_raw) {
            let _gone_already = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let _status = self.process.wait();
        let _left = std::fs::remove_dir_all(&self.folder);
    }
}
