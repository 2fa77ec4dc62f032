//! A pipeline against the bare loop that its machine allows: JSON lines -> one SELECT -> SQLite, with the cursor in the
//! same transaction; what memory that takes, and how long heartbeats wait meanwhile.

use rusqlite::Connection;
use std::fmt::Write as _;
use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::daemon::Daemon;

const RECORDS: u32 = 500_000;
/// Lines of the file that is moved while heartbeats are timed.
const RECORDS_OF_LONG_RUN: u32 = 10_000_000;
const BATCH: usize = 1000;
const ROUNDS: usize = 3;

/// A file of so many lines of about 58 bytes.
fn write_lines(path: &Path, count: u32) -> Outcome<()> {
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

fn flow(folder: &Path, name: &str) -> String {
    format!(
        "run_interval = \"90d\"\n[source]\ntype = \"file\"\npath = \"{0}/in.jsonl\"\n[[transform]]\n\
         sql = \"SELECT ts, sensor, value, unit FROM batch\"\n[sink]\ntype = \"sqlite\"\ndatabase = \"{0}/{name}.db\"\n\
         table = \"reading\"\ncreate = true\n",
        folder.display()
    )
}

/// Records a second of the daemon, and the most memory that it took.
fn of_daemon(folder: &Path) -> Outcome<(f64, u64)> {
    let daemon = Daemon::start_with(&[("it", flow(folder, "out"))])?;
    daemon.beat(Some(60))?;
    let run = daemon.database()?.query_row(
        "SELECT records_written * 1000.0 / duration_ms FROM data_flow_runs WHERE status = 'success'",
        [],
        |row| row.get(0),
    )?;
    let memory = daemon.peak_resident_bytes()?;
    for end in ["", "-wal", "-shm"] {
        let _not_there = std::fs::remove_file(folder.join(format!("out.db{end}")));
    }
    Ok((run, memory))
}

/// Records a second of the least that can be done: the floor. It checks nothing and finds no column by its name.
fn of_bare_loop(folder: &Path) -> Outcome<f64> {
    let path = folder.join("bare.db");
    let database = Connection::open(&path)?;
    database.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE reading (ts INT, sensor TEXT, value REAL, unit TEXT);
         CREATE TABLE cursor (flow TEXT PRIMARY KEY, at INT); INSERT INTO cursor VALUES ('x', 0)",
    )?;
    let mut each = database.prepare(
        "INSERT INTO reading SELECT value ->> 'ts', value ->> 'sensor', value ->> 'value', value ->> 'unit' FROM json_each(?1)",
    )?;
    let mut cursor = database.prepare("UPDATE cursor SET at = ?1")?;
    let mut lines = std::io::BufReader::with_capacity(1 << 18, std::fs::File::open(folder.join("in.jsonl"))?);
    let (start, mut at, mut line) = (Instant::now(), 0_i64, String::new());
    loop {
        let (mut count, mut batch) = (0, String::from("["));
        while count < BATCH {
            line.clear();
            let bytes = lines.read_line(&mut line)?;
            if bytes == 0 {
                break;
            }
            at += i64::try_from(bytes)?;
            if count > 0 {
                batch.push(',');
            }
            batch.push_str(line.trim_end());
            count += 1;
        }
        batch.push(']');
        database.execute_batch("BEGIN")?;
        each.execute([&batch])?;
        cursor.execute([at])?;
        database.execute_batch("COMMIT")?;
        if count < BATCH {
            break;
        }
    }
    let rate = f64::from(RECORDS) / start.elapsed().as_secs_f64();
    drop((each, cursor));
    drop(database);
    std::fs::remove_file(path)?;
    Ok(rate)
}

pub(crate) fn speed() -> Outcome<()> {
    let folder = folder()?;
    write_lines(&folder.join("in.jsonl"), RECORDS)?;
    let (mut ours, mut bare, mut memory) = (Vec::new(), Vec::new(), 0);
    for _ in 0..ROUNDS {
        let (rate, peak) = of_daemon(&folder)?;
        ours.push(rate);
        memory = peak.max(memory);
        bare.push(of_bare_loop(&folder)?);
    }
    let (ours, bare) = (crate::median(ours), crate::median(bare));
    println!(
        "JSON lines -> SELECT -> SQLite: {ours:.0} records/s; bare loop over json_each: {bare:.0}/s; ratio {:.2}",
        ours / bare
    );
    println!("memory meanwhile, at most        {:.2} MiB", crate::mib(memory));
    std::fs::remove_dir_all(folder)?;
    Ok(())
}

pub(crate) fn heartbeats_meanwhile() -> Outcome<()> {
    let folder = folder()?;
    write_lines(&folder.join("in.jsonl"), RECORDS_OF_LONG_RUN)?;
    let daemon = Daemon::start_with(&[("it", flow(&folder, "out"))])?;
    daemon.beat(None)?;
    let database = daemon.database()?;
    let mut waits = Vec::new();
    let goes_on = || -> Outcome<bool> {
        Ok(database.query_row(
            "SELECT count(*) = 0 FROM data_flow_runs WHERE ended_at IS NOT NULL",
            [],
            |row| row.get(0),
        )?)
    };
    while goes_on()? {
        let start = Instant::now();
        daemon.beat(None)?;
        waits.push(start.elapsed().as_secs_f64() * 1e3);
        std::thread::sleep(Duration::from_millis(7));
    }
    waits.sort_by(f64::total_cmp);
    let at = |percent: usize| waits.get(waits.len() * percent / 100).copied().unwrap_or_default();
    println!(
        "heartbeats while {RECORDS_OF_LONG_RUN} lines are moved: median {:.1} ms, 99th percentile {:.1} ms ({} of them); memory {:.2} MiB",
        at(50),
        at(99),
        waits.len(),
        crate::mib(daemon.peak_resident_bytes()?)
    );
    std::fs::remove_dir_all(folder)?;
    Ok(())
}

fn folder() -> Outcome<PathBuf> {
    let folder = std::env::temp_dir().join(format!("heartbeat-pipeline-figures-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}
