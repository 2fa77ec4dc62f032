//! The least that a durable run costs: a transaction for all that a round changed, then spawn, then wait. It checks
//! nothing and keeps no promise: it is the floor that the daemon is compared with.

use rusqlite::Connection;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use crate::Outcome;

const SCHEMA: &str = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
  CREATE TABLE flow (id INTEGER PRIMARY KEY, last_run_at INT, last TEXT, next INT);
  CREATE TABLE run (id INTEGER PRIMARY KEY, flow INT NOT NULL REFERENCES flow, status TEXT NOT NULL, started INT, ended INT,
    code INT, output TEXT);
  CREATE INDEX run_flow ON run (flow, id);
  WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 64) INSERT INTO flow SELECT i, 0, NULL, 0 FROM n;";

struct Running {
    process: Child,
    pidfd: OwnedFd,
    run: i64,
    flow: i64,
}

/// So many commits of one small row, one after the other: what each takes, in milliseconds.
pub(super) fn ms_per_commit(path: &Path, count: u32) -> Outcome<f64> {
    let database = Connection::open(path)?;
    database.execute_batch(SCHEMA)?;
    let mut record = database.prepare("INSERT INTO run (flow, status, started) VALUES (1, 'pending', ?1)")?;
    let start = Instant::now();
    for number in 0..count {
        record.execute([number])?;
    }
    Ok(start.elapsed().as_secs_f64() * 1e3 / f64::from(count))
}

pub(super) fn per_second(path: &Path, runs: usize, at_a_time: usize) -> Outcome<f64> {
    let database = Connection::open(path)?;
    database.execute_batch(SCHEMA)?;
    let mut record =
        database.prepare("INSERT INTO run (flow, status, started) VALUES (?1, 'in_progress', ?2)")?;
    let mut end = database
        .prepare("UPDATE run SET status = 'success', ended = ?2, code = 0, output = '' WHERE id = ?1")?;
    let mut note =
        database.prepare("UPDATE flow SET last_run_at = ?2, last = 'success', next = ?2 WHERE id = ?1")?;
    let start = Instant::now();
    let (mut started, mut done) = (0, 0);
    let mut running: Vec<Running> = Vec::new();
    let mut ended: Vec<(i64, i64)> = Vec::new();
    while done < runs {
        database.execute_batch("BEGIN IMMEDIATE")?;
        for (run, flow) in ended.drain(..) {
            end.execute([run, 2])?;
            note.execute([flow, 2])?;
            done += 1;
        }
        let mut new = Vec::new();
        while running.len() + new.len() < at_a_time && started < runs {
            let flow = 1 + i64::try_from(started)? % 64;
            record.execute([flow, 1])?;
            new.push((database.last_insert_rowid(), flow));
            started += 1;
        }
        database.execute_batch("COMMIT")?;
        for (run, flow) in new {
            running.push(spawn(run, flow)?);
        }
        wait(&mut running, &mut ended)?;
    }
    Ok(runs as f64 / start.elapsed().as_secs_f64())
}

fn spawn(run: i64, flow: i64) -> Outcome<Running> {
    let mut command = Command::new("/bin/true");
    command.env_clear().process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let process = command.spawn()?;
    let pid = Pid::from_raw(i32::try_from(process.id())?).ok_or("a process has a number")?;
    Ok(Running { process, pidfd: pidfd_open(pid, PidfdFlags::empty())?, run, flow })
}

fn wait(running: &mut Vec<Running>, ended: &mut Vec<(i64, i64)>) -> Outcome<()> {
    if running.is_empty() {
        return Ok(());
    }
    let mut exits: Vec<PollFd<'_>> =
        running.iter().map(|run| PollFd::new(&run.pidfd, PollFlags::IN)).collect();
    poll(&mut exits, None)?;
    let gone: Vec<bool> = exits.iter().map(|exit| !exit.revents().is_empty()).collect();
    for index in (0..gone.len()).rev().filter(|index| gone[*index]) {
        let mut run = running.swap_remove(index);
        run.process.wait()?;
        ended.push((run.run, run.flow));
    }
    Ok(())
}
