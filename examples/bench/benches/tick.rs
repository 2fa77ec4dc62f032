//! Whether the loop stays awake: heartbeats at an even rate over 256 connections, while a pipeline moves ten million lines and
//! 16 commands write. How long its rounds take is told by the daemon's own `heartbeatd_tick_duration_seconds`; what that is
//! for callers, by their clock, from when each request was meant to be sent: a round that takes long is seen by all who
//! came meanwhile.

use std::cell::Cell;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use super::Plan;
use super::pipelines::{flow, write_lines};
use crate::Outcome;
use crate::daemon::{Config, Daemon, box_in, folder_below, now_s, secret};
use crate::load::Requests;
use crate::measure::{Figure, percentile, sorted};
use crate::open_loop::latencies_ms;
use crate::process::free_port;
use crate::row::{Found, Goal, Row};

const CONNECTIONS: usize = 256;
const EVERY: Duration = Duration::from_micros(1000);
/// The longest that heartbeats go on.
const SECONDS_MAX: usize = 180;
/// From one look at whether the pipeline is done to the next.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// A megabyte of output, a pause, and again each second.
const TALKER: &str = "run_interval = \"1s\"\n[command]\nshell = true\nargv = \"head -c 1000000 /dev/zero | tr '\\\\0' x; sleep 0.3\"\n";

pub(super) fn run(plan: &Plan) -> Outcome<Found> {
    let mut rows = measure_below(plan, &std::env::temp_dir(), "")?;
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        rows.extend(measure_below(
            plan,
            memory,
            "; databases and files in memory, so that a sync takes no time",
        )?);
    }
    Ok(rows.into())
}

fn measure_below(plan: &Plan, base: &Path, words: &str) -> Outcome<Vec<Row>> {
    let files = folder_below(base);
    std::fs::create_dir_all(&files)?;
    let lines = plan.pick(10_000_000, 100_000);
    write_lines(&files.join("in.jsonl"), lines)?;
    let found = measure(plan, &files, words);
    std::fs::remove_dir_all(&files)?;
    found
}

fn measure(plan: &Plan, files: &Path, words: &str) -> Outcome<Vec<Row>> {
    let mut flows = vec![("it".to_owned(), flow(files, "out"))];
    flows.extend((0..16).map(|number| (format!("talker-{number}"), TALKER.to_owned())));
    let status = free_port()?;
    let config = Config { status: format!("listen = \"{status}\"\n"), ..Config::at_a_time(17) };
    let daemon = Daemon::start_in(box_in(files.join("box"), &config, &flows)?)?;
    let database = daemon.database()?;
    let mut ended = database.prepare(
        "SELECT count(*) FROM data_flow_runs AS run JOIN data_flows AS flow ON flow.id = data_flow_id
         WHERE flow.name = 'it' AND run.status = 'success'",
    )?;
    daemon.beat(None)?;
    let requests = Requests::heartbeats(SECONDS_MAX * 1000, &secret(), now_s(), None);
    let (start, looked, is_done) = (Instant::now(), Cell::new(Instant::now()), Cell::new(false));
    let latencies = latencies_ms(daemon.address(), CONNECTIONS, EVERY, &requests, || {
        if looked.get().elapsed() > LOOK_EVERY {
            looked.set(Instant::now());
            is_done.set(ended.query_row([], |row| row.get::<_, i64>(0)).is_ok_and(|count| count > 0));
        }
        !is_done.get()
    })?;
    let seconds = start.elapsed().as_secs_f64();
    let rounds = Rounds::of(status)?;
    let runs: i64 =
        database.query_row("SELECT count(*) FROM data_flow_runs WHERE status = 'success'", [], |row| {
            row.get(0)
        })?;
    let latencies = sorted(latencies);
    let at = |percent| percentile(&latencies, percent);
    let note = format!(
        "from outside: from the intended time of each of {} heartbeats, one each ms over {CONNECTIONS} connections, to its answer; \
         median {:.2} ms, 99th percentile {:.1} ms, longest {:.1} ms; {runs} runs in {seconds:.0} s{}",
        latencies.len(),
        at(50.0),
        at(99.0),
        at(100.0),
        if is_done.get() { "" } else { "; the pipeline was not done by then" }
    );
    let megabytes = Figure::once(daemon.peak_resident_bytes()? as f64 / 1024.0 / 1024.0);
    let lines = plan.pick("10,000,000 lines", "100,000 (short) lines");
    let meanwhile = format!("while {lines} are moved and 16 commands write{words}");
    Ok(vec![
        Row::new(
            format!("rounds of the loop that take no longer than 20 ms {meanwhile}"),
            "%",
            Figure::once(rounds.short / rounds.all * 100.0),
        )
        .goal(Goal::AtLeast(99.9))
        .note(format!(
            "{} of {} rounds took longer, by the daemon's own metric",
            rounds.all - rounds.short,
            rounds.all
        )),
        Row::new(format!("99.9th percentile of an answer {meanwhile}"), "ms", Figure::once(at(99.9)))
            .note(note),
        Row::new(format!("resident meanwhile, at most{words}"), "MiB", megabytes),
    ])
}

/// How many rounds of the loop there were, and how many took no longer than 20 ms.
struct Rounds {
    all: f64,
    short: f64,
}

impl Rounds {
    fn of(status: SocketAddr) -> Outcome<Self> {
        let mut stream = TcpStream::connect(status)?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut page = String::new();
        stream.read_to_string(&mut page)?;
        let sample = |name: &str| -> Outcome<f64> {
            let value = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            Ok(value.ok_or_else(|| format!("no {name} in /metrics"))?.parse()?)
        };
        Ok(Self {
            all: sample("heartbeatd_tick_duration_seconds_count")?,
            short: sample("heartbeatd_tick_duration_seconds_bucket{le=\"0.02\"}")?,
        })
    }
}
