//! The box of a soak: flows of every kind that are due every second or two, and a history that is pruned all the time.

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::Outcome;
use crate::daemon::secret_text;

const CONFIG: &str = "\
listen = [\"127.0.0.1:0\"]
[status]
listen = \"127.0.0.1:0\"
[history]
runs_per_flow = 20
database = \"8 MiB\"
[limits]
head_timeout = \"2s\"
body_timeout = \"2s\"
[log]
level = \"info\"
";

/// Name and text of each flow.
const FLOWS: &[(&str, &str)] = &[
    ("quick", "run_interval = \"1s\"\n[command]\nargv = [\"/bin/true\"]\n"),
    (
        "wordy",
        "run_interval = \"2s\"\n[command]\nshell = true\nargv = \"head -c 300000 /dev/zero | tr '\\\\0' x; echo; date\"\n",
    ),
    (
        "failing",
        "run_interval = \"2s\"\nretry = { attempts = 2, backoff = \"1s\" }\n[command]\nshell = true\nargv = \"echo no; exit 3\"\n",
    ),
    (
        "stuck",
        "run_interval = \"5s\"\ntimeout = \"1s\"\n[command]\nshell = true\nargv = \"sleep 60 & wait\"\n",
    ),
    (
        "to-sqlite",
        "run_interval = \"1s\"\n[source]\ntype = \"file\"\npath = \"readings.jsonl\"\n[[transform]]\n\
         sql = \"SELECT n, v * 2 AS v FROM batch WHERE v > 5\"\n[schema]\nfields = { n = \"integer\", v = \"real\" }\n\
         [sink]\ntype = \"sqlite\"\ndatabase = \"readings.db\"\ntable = \"reading\"\nmode = \"upsert\"\nkey = [\"n\"]\ncreate = true\n",
    ),
    (
        "to-file",
        "run_interval = \"1s\"\n[source]\ntype = \"file\"\npath = \"readings.jsonl\"\n[sink]\ntype = \"file\"\n\
         path = \"copy.jsonl\"\nrotate = { size = \"256 KiB\", keep = 2 }\n",
    ),
    (
        "from-exec",
        "run_interval = \"3s\"\n[source]\ntype = \"exec\"\nshell = true\nargv = \"for i in 1 2 3 4 5; do echo '{\\\"n\\\":1}'; done\"\n\
         [sink]\ntype = \"exec\"\nargv = [\"/usr/bin/wc\", \"-c\"]\n",
    ),
];

/// The folder, and where its daemon shows pages.
pub(crate) struct Setting {
    pub(crate) folder: PathBuf,
    pub(crate) status: SocketAddr,
    lines: AtomicU64,
}

impl Setting {
    pub(crate) fn make() -> Outcome<Self> {
        let folder = std::env::temp_dir().join(format!("heartbeat-soak-{}", std::process::id()));
        fs::create_dir_all(folder.join("flows"))?;
        fs::write(folder.join("secret"), secret_text())?;
        fs::set_permissions(folder.join("secret"), PermissionsExt::from_mode(0o600))?;
        fs::write(folder.join("heartbeatd.toml"), CONFIG)?;
        for (name, text) in FLOWS {
            let here = folder.display();
            let text = text.replace("path = \"", &format!("path = \"{here}/"));
            let text = text.replace("database = \"", &format!("database = \"{here}/"));
            fs::write(folder.join(format!("flows/{name}.toml")), text)?;
        }
        let setting =
            Self { folder, status: SocketAddr::from(([127, 0, 0, 1], 0)), lines: AtomicU64::new(0) };
        setting.append()?;
        Ok(setting)
    }

    /// Once the daemon has said where it shows pages.
    pub(crate) fn with_status_port(self) -> Outcome<Self> {
        let log = fs::read_to_string(self.folder.join("log"))?;
        let told = log.split("look on address=").nth(1).and_then(|rest| rest.split_whitespace().next());
        Ok(Self { status: told.ok_or("nobody can look on")?.parse()?, ..self })
    }

    /// Lets some records come, of which one does not fit.
    pub(crate) fn append(&self) -> Outcome<()> {
        let path = self.folder.join("readings.jsonl");
        let mut file = fs::OpenOptions::new().create(true).append(true).open(path)?;
        let mut text = String::from("{\"n\":\"no number\"}\n");
        for _ in 0..20 {
            let n = self.lines.fetch_add(1, Ordering::Relaxed);
            text.push_str(&format!("{{\"n\":{},\"v\":{}}}\n", n % 1000, n % 17));
        }
        Ok(file.write_all(text.as_bytes())?)
    }

    /// Changes a flow's definition: what it says of itself.
    pub(crate) fn redefine(&self, number: u64) -> Outcome<()> {
        let path = self.folder.join("flows/quick.toml");
        let (_, text) = FLOWS.first().ok_or("there are flows")?;
        let fresh = self.folder.join("quick.new");
        fs::write(&fresh, format!("description = \"the {number}th\"\n{text}"))?;
        Ok(fs::rename(fresh, path)?)
    }

    fn database(&self) -> Outcome<rusqlite::Connection> {
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        let database = rusqlite::Connection::open_with_flags(self.folder.join("heartbeat.db"), flags)?;
        database.busy_timeout(crate::PATIENCE)?;
        Ok(database)
    }

    /// One number out of the database.
    pub(crate) fn number(&self, sql: &str) -> Outcome<i64> {
        Ok(self.database()?.query_row(sql, [], |row| row.get(0))?)
    }

    pub(crate) fn has_open_runs(&self) -> Outcome<bool> {
        let open = "SELECT count(*) FROM data_flow_runs WHERE status IN ('pending', 'in_progress')";
        Ok(self.number(open)? > 0)
    }

    /// The database's file and its log, in bytes.
    pub(crate) fn database_bytes(&self) -> u64 {
        let size = |name: &str| fs::metadata(self.folder.join(name)).map_or(0, |file| file.len());
        size("heartbeat.db") + size("heartbeat.db-wal")
    }

    /// What is wrong with what it leaves.
    pub(crate) fn faults(&self) -> Outcome<Vec<String>> {
        let mut faults = Vec::new();
        let verdict: String = self.database()?.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
        if verdict != "ok" {
            faults.push(format!("the database is not sound: {verdict}"));
        }
        for (name, _) in FLOWS {
            let of = format!(
                "FROM data_flow_runs JOIN data_flows flow ON flow.id = data_flow_id WHERE flow.name = '{name}'"
            );
            let wanted = if ["failing", "stuck"].contains(name) { "failed" } else { "success" };
            if self.number(&format!("SELECT count(*) {of} AND status = '{wanted}'"))? == 0 {
                faults.push(format!("{name}: no run ended with {wanted}"));
            }
            if self.number(&format!("SELECT count(*) {of} AND status IN ('pending', 'in_progress')"))? > 0 {
                faults.push(format!("{name}: a run is still open"));
            }
        }
        Ok(faults)
    }
}
