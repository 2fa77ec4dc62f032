//! A box: a folder with configuration, secret, flows and database, gone when the test passed.

use heartbeat_runtime::auth::Secret;
use rusqlite::{Connection, OpenFlags, Row};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::daemon::Daemon;

/// The key material of every box, unless a test writes another secret.
const KEY: [u8; 32] = [0x5a; 32];

/// A box in a temporary folder.
pub(crate) struct EdgeBox {
    folder: PathBuf,
    pub(crate) secret: Arc<Secret>,
}

/// A row of `data_flow_runs`, with its flow's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) id: i64,
    pub(crate) flow: String,
    pub(crate) status: String,
    pub(crate) attempt: i64,
    pub(crate) rerun: i64,
    pub(crate) misfires: i64,
    pub(crate) scheduled_at: i64,
    pub(crate) started_at: Option<i64>,
    pub(crate) ended_at: Option<i64>,
    pub(crate) error_kind: Option<String>,
    pub(crate) error_message: Option<String>,
    pub(crate) exit_code: Option<i64>,
    pub(crate) signal: Option<i64>,
    pub(crate) output: String,
    pub(crate) output_truncated: bool,
}

impl EdgeBox {
    /// A box with a secret and no flows, that listens on a free port.
    pub(crate) fn new() -> Self {
        static BOXES: AtomicU32 = AtomicU32::new(0);
        let number = BOXES.fetch_add(1, Ordering::Relaxed);
        let folder =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("box-{}-{number}", std::process::id()));
        let _left_by_a_process_of_this_number = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("flows")).expect("make the box");
        let (text, secret) = Secret::generate(&KEY);
        let edge_box = Self { folder, secret: Arc::new(secret) };
        edge_box.configure("");
        edge_box.write_secret("secret", &text);
        edge_box
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).expect("write a file of the box");
    }

    /// What a file holds; nothing if it is missing.
    pub(crate) fn read(&self, name: &str) -> String {
        String::from_utf8_lossy(&fs::read(self.path(name)).unwrap_or_default()).into_owned()
    }

    pub(crate) fn write_secret(&self, name: &str, text: &str) {
        self.write(name, format!("{text}\n"));
        self.set_mode(name, 0o600);
    }

    pub(crate) fn set_mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).expect("set a mode");
    }

    /// Writes the configuration: a free loopback port, and what is given. Nobody looks on, unless that is given.
    pub(crate) fn configure(&self, settings: &str) {
        let status = if settings.contains("[status]") { "" } else { "\n[status]\nlisten = false\n" };
        self.write("heartbeatd.toml", format!("listen = [\"127.0.0.1:0\"]\n{settings}{status}"));
    }

    /// A flow of any kind, as its file's text, in which `DIR` is the box's folder. It runs hourly unless the text says
    /// otherwise.
    pub(crate) fn flow(&self, name: &str, text: &str) {
        let folder = self.path("");
        let text = text.replace("DIR", folder.to_string_lossy().trim_end_matches('/'));
        let interval = if text.contains("run_interval") { "" } else { "run_interval = \"1h\"\n" };
        self.write(&format!("flows/{name}.toml"), format!("{interval}{text}"));
    }

    /// A flow that runs a shell script in the box's folder; `keys` stand before `[command]`.
    pub(crate) fn script(&self, name: &str, keys: &str, script: &str) {
        self.flow(name, &format!("{keys}\n[command]\nshell = true\nargv = '''{script}'''\n"));
    }

    pub(crate) fn start(&self) -> Daemon {
        Daemon::start(self, |_| {})
    }

    /// Runs a command of the command line: its exit code, and all that it says.
    pub(crate) fn command(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_heartbeatd"));
        command.arg("--config").arg(self.path("heartbeatd.toml")).args(arguments);
        let output = command.output().expect("run heartbeatd");
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&said).into_owned())
    }

    /// The database, to read while a daemon owns it.
    pub(crate) fn database(&self) -> Connection {
        let path = self.path("heartbeat.db");
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY);
        let connection = connection.expect("open the database");
        connection.busy_timeout(super::PATIENCE).expect("set a time-out");
        connection
    }

    /// Changes the database while no daemon owns it.
    pub(crate) fn edit(&self, sql: &str) {
        let connection = Connection::open(self.path("heartbeat.db")).expect("open the database");
        connection.execute_batch(sql).expect("edit the database");
    }

    /// One number out of the database.
    pub(crate) fn number(&self, sql: &str) -> i64 {
        self.database().query_row(sql, [], |row| row.get(0)).expect("read a number")
    }

    /// Whether a run is yet to end.
    pub(crate) fn has_open_runs(&self) -> bool {
        self.number("SELECT count(*) FROM data_flow_runs WHERE status IN ('pending', 'in_progress')") > 0
    }

    /// Of runs that each write a line of their own to `effects`.
    pub(crate) fn each_had_its_effect_once_at_most(&self) {
        let effects = self.read("effects");
        let mut ran: Vec<&str> = effects.lines().collect();
        let all = ran.len();
        ran.sort_unstable();
        ran.dedup();
        assert_eq!(ran.len(), all, "each run had its effect once at most: {effects}");
    }

    /// Every run, oldest first.
    pub(crate) fn runs(&self) -> Vec<Run> {
        let database = self.database();
        let sql = "SELECT run.*, flow.name AS flow FROM data_flow_runs AS run
                   JOIN data_flows AS flow ON flow.id = run.data_flow_id ORDER BY run.id";
        let mut statement = database.prepare(sql).expect("read the runs");
        let runs = statement.query_map([], read_run).expect("read the runs");
        runs.map(|run| run.expect("read a run")).collect()
    }

    /// The newest run of a flow, once it has ended.
    pub(crate) fn ended_run(&self, flow: &str) -> Run {
        super::eventually(&format!("a run of {flow} ends"), || {
            self.runs().into_iter().rfind(|run| run.flow == flow).filter(|run| run.ended_at.is_some())
        })
    }

    /// Whether SQLite finds the database sound.
    pub(crate) fn is_sound(&self) -> bool {
        let database = self.database();
        let verdict = database.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0));
        verdict.expect("check the database") == "ok"
    }
}

fn read_run(row: &Row<'_>) -> rusqlite::Result<Run> {
    Ok(Run {
        id: row.get("id")?,
        flow: row.get("flow")?,
        status: row.get("status")?,
        attempt: row.get("attempt")?,
        rerun: row.get("rerun")?,
        misfires: row.get("misfires")?,
        scheduled_at: row.get("scheduled_at")?,
        started_at: row.get("started_at")?,
        ended_at: row.get("ended_at")?,
        error_kind: row.get("error_kind")?,
        error_message: row.get("error_message")?,
        exit_code: row.get("exit_code")?,
        signal: row.get("signal")?,
        output: row.get("output")?,
        output_truncated: row.get("output_truncated")?,
    })
}

impl Drop for EdgeBox {
    fn drop(&mut self) {
        // A failed test leaves its box to be looked at.
        if !std::thread::panicking() {
            let _left_for_the_next_build = fs::remove_dir_all(&self.folder);
        }
    }
}
