//! A pipeline beside the bare loops that the machine allows, and beside other programs that fill a table from a file: JSON
//! lines -> one SELECT -> SQLite, with the cursor in the same transaction.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use super::Plan;
use crate::Outcome;
use crate::daemon::{Config, Daemon};
use crate::floors;
use crate::measure::{Contender, Figure, in_turns};
use crate::process::{Core, installed, on};
use crate::row::{Found, Goal, Row};

/// A file of so many lines of about 58 bytes.
pub(super) fn write_lines(path: &Path, count: u32) -> Outcome<()> {
    use std::io::Write as _;
    let mut file = std::io::BufWriter::new(std::fs::File::create(path)?);
    let mut line = String::new();
    for n in 0..count {
        line.clear();
        let (sensor, whole, part) = (n % 40, n % 97, n % 100);
        write!(
            line,
            "{{\"ts\":{},\"sensor\":\"s{sensor:02}\",\"value\":{whole}.{part:02},\"unit\":\"C\"}}",
            1_700_000_000 + n
        )?;
        writeln!(file, "{line}")?;
    }
    Ok(file.flush()?)
}

pub(super) fn flow(folder: &Path, name: &str) -> String {
    format!(
        "run_interval = \"90d\"\n[source]\ntype = \"file\"\npath = \"{0}/in.jsonl\"\n[[transform]]\n\
         sql = \"SELECT ts, sensor, value, unit FROM batch\"\n[sink]\ntype = \"sqlite\"\ndatabase = \"{0}/{name}.db\"\n\
         table = \"reading\"\ncreate = true\n",
        folder.display()
    )
}

/// The same records as CSV.
fn write_csv(path: &Path, count: u32) -> Outcome<()> {
    use std::io::Write as _;
    let mut file = std::io::BufWriter::new(std::fs::File::create(path)?);
    writeln!(file, "ts,sensor,value,unit")?;
    for n in 0..count {
        let (sensor, whole, part) = (n % 40, n % 97, n % 100);
        writeln!(file, "{},s{sensor:02},{whole}.{part:02},C", 1_700_000_000 + n)?;
    }
    Ok(file.flush()?)
}

/// A folder with the files that are moved.
struct Files {
    folder: PathBuf,
    records: u32,
    /// Of those that are slow.
    records_few: u32,
}

impl Files {
    fn write(plan: &Plan) -> Outcome<Self> {
        let folder = crate::daemon::folder();
        std::fs::create_dir_all(&folder)?;
        let files =
            Self { folder, records: plan.pick(500_000, 20_000), records_few: plan.pick(100_000, 5_000) };
        write_lines(&files.folder.join("in.jsonl"), files.records)?;
        write_lines(&files.folder.join("few.jsonl"), files.records_few)?;
        write_csv(&files.folder.join("in.csv"), files.records)?;
        Ok(files)
    }

    /// The name of a database that is not there yet.
    fn fresh(&self) -> PathBuf {
        let path = self.folder.join("out.db");
        for end in ["", "-wal", "-shm"] {
            let _not_there = std::fs::remove_file(self.folder.join(format!("out.db{end}")));
        }
        path
    }

    fn of_bare_loop(&self, way: &str) -> Outcome<f64> {
        let (from, to) = (self.folder.join("in.jsonl"), self.fresh());
        floors::run(Core::Measured, &["pipeline", way, &from.to_string_lossy(), &to.to_string_lossy()])
    }

    /// Records a second of a whole program, its start with it.
    fn of_program(&self, records: u32, command: &mut Command) -> Outcome<f64> {
        command.stdout(Stdio::null());
        let start = Instant::now();
        let status = on(Core::Measured, || command.status())??;
        if !status.success() {
            return Err(format!("{} failed", command.get_program().display()).into());
        }
        Ok(f64::from(records) / start.elapsed().as_secs_f64())
    }

    fn of_sqlite3(&self, program: &Path) -> Outcome<f64> {
        let mut command = Command::new(program);
        command.arg(self.fresh()).args(["PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL"]);
        command.args(["CREATE TABLE reading (ts INT, sensor TEXT, value REAL, unit TEXT)"]);
        command.arg(format!(".import --csv --skip 1 {}/in.csv reading", self.folder.display()));
        self.of_program(self.records, &mut command)
    }

    fn of_sqlite_utils(&self, program: &Path) -> Outcome<f64> {
        let mut command = Command::new(program);
        command.arg("insert").arg(self.fresh()).arg("reading").arg(self.folder.join("few.jsonl"));
        command.args(["--nl", "--batch-size", "1000"]);
        self.of_program(self.records_few, &mut command)
    }

    /// Records a second of the daemon, and the most memory that it took.
    fn of_daemon(&self) -> Outcome<(f64, u64)> {
        self.fresh();
        let daemon = Daemon::start(&Config::default(), &[("it".to_owned(), flow(&self.folder, "out"))])?;
        daemon.beat(Some(60))?;
        let rate = daemon.database()?.query_row(
            "SELECT records_written * 1000.0 / duration_ms FROM data_flow_runs WHERE status = 'success'",
            [],
            |row| row.get(0),
        )?;
        Ok((rate, daemon.peak_resident_bytes()?))
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _left = std::fs::remove_dir_all(&self.folder);
    }
}

pub(super) fn run(plan: &Plan) -> Outcome<Found> {
    let files = Files::write(plan)?;
    let (sqlite3, sqlite_utils) = (installed("sqlite3"), installed("sqlite-utils"));
    let mut peak = 0;
    let mut contenders: Vec<Contender<'_, f64>> = vec![
        Box::new(|| {
            let (rate, memory) = files.of_daemon()?;
            peak = memory.max(peak);
            Ok(rate)
        }),
        Box::new(|| files.of_bare_loop("json_each")),
        Box::new(|| files.of_bare_loop("table")),
        Box::new(|| sqlite3.as_ref().map_or(Ok(f64::NAN), |program| files.of_sqlite3(program))),
        Box::new(|| sqlite_utils.as_ref().map_or(Ok(f64::NAN), |program| files.of_sqlite_utils(program))),
    ];
    let measured = in_turns(plan.rounds().min(5), &mut contenders)?;
    drop(contenders);
    let rate = |index: usize| Figure::of(measured[index].iter().copied());
    let goal = Some(Goal::AtLeast(0.8));
    Ok(vec![
        Row::new("JSON lines -> SQL -> SQLite, records", "/s", rate(0))
            .beside("bare loop over json_each", Some(&rate(1)), goal)
            .beside("bare loop over a table", Some(&rate(2)), goal)
            .beside("sqlite3 .import of the same as CSV", sqlite3.as_ref().map(|_| rate(3)).as_ref(), None)
            .beside("sqlite-utils insert --nl", sqlite_utils.as_ref().map(|_| rate(4)).as_ref(), None),
        Row::new("resident meanwhile, at most", "MiB", Figure::once(peak as f64 / 1024.0 / 1024.0)),
    ]
    .into())
}
