//! The list of flows: how long one page of it takes, how long heartbeats wait meanwhile, and what memory that takes.

use super::Plan;
use rusqlite::Connection;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::daemon::{Config, Daemon, box_with, now_s};
use crate::many_flows;
use crate::measure::{Figure, percentile, sorted};
use crate::process::free_port;
use crate::row::{Found, Row};

const PAGES: usize = 100;
const HEARTBEATS: usize = 300;
/// Runs of each flow: as many as are kept by default.
const RUNS: usize = 200;
/// Those who ask for pages while heartbeats are timed.
const VIEWERS: usize = 2;

const MIB: f64 = 1024.0 * 1024.0;

pub(super) fn run(plan: &Plan) -> Outcome<Found> {
    let flows = plan.pick(1000, 100);
    let status = free_port()?;
    let config = Config { status: format!("listen = \"{status}\"\n"), ..Config::default() };
    let config = config.tables("[history]\ndatabase = \"1 GiB\"\n");
    let flow = "run_interval = \"300d\"\n[command]\nargv = [\"/bin/true\"]\n".to_owned();
    let folder = Daemon::start_in(box_with(&config, &[("site-00000".to_owned(), flow)])?)?.stop()?;
    write_past(&folder.join("heartbeat.db"), flows)?;
    let daemon = Daemon::start_in(folder)?;
    let (before, mut viewer) = (daemon.resident_bytes()?, Viewer::connect(status)?);
    viewer.look()?;
    let mut bytes = 0;
    let took: Outcome<Vec<f64>> = (0..plan.pick(PAGES, 5))
        .map(|_| {
            let start = Instant::now();
            bytes = viewer.look()?;
            Ok(start.elapsed().as_secs_f64() * 1e3)
        })
        .collect();
    let took = sorted(took?);
    let waits = sorted(heartbeats_meanwhile(&daemon, status, plan.pick(HEARTBEATS, 20))?);
    let (resident, kib) = (daemon.resident_bytes()? as f64 / MIB, bytes as f64 / 1024.0);
    Ok(vec![
        Row::new(
            "the list of 1,000 flows with 200 runs each, one page",
            "ms",
            Figure::once(percentile(&took, 50.0)),
        )
        .note(format!(
            "{kib:.1} KiB; resident {resident:.2} MiB after it, {:.2} before",
            before as f64 / MIB
        )),
        Row::new(
            "heartbeat while two look at it all the time, 99th percentile",
            "ms",
            Figure::once(percentile(&waits, 99.0)),
        )
        .note(format!("median {:.2} ms", percentile(&waits, 50.0))),
    ]
    .into())
}

fn heartbeats_meanwhile(daemon: &Daemon, status: SocketAddr, count: usize) -> Outcome<Vec<f64>> {
    let is_over = AtomicBool::new(false);
    let look_on = || {
        let looked = Viewer::connect(status).and_then(|mut viewer| {
            while !is_over.load(Ordering::Relaxed) {
                viewer.look()?;
            }
            Ok(())
        });
        looked.map_err(|error| error.to_string())
    };
    std::thread::scope(|scope| {
        let viewers: Vec<_> = (0..VIEWERS).map(|_| scope.spawn(look_on)).collect();
        let waits: Outcome<Vec<f64>> = (0..count)
            .map(|_| {
                std::thread::sleep(Duration::from_millis(7));
                let start = Instant::now();
                daemon.beat(None)?;
                Ok(start.elapsed().as_secs_f64() * 1e3)
            })
            .collect();
        is_over.store(true, Ordering::Relaxed);
        for viewer in viewers {
            viewer.join().map_err(|_| "a viewer failed")??;
        }
        waits
    })
}

/// Somebody who asks for the list of flows, on one connection.
struct Viewer {
    stream: TcpStream,
    answer: Vec<u8>,
}

impl Viewer {
    fn connect(status: SocketAddr) -> Outcome<Self> {
        let stream = TcpStream::connect(status)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, answer: vec![0; 128 * 1024] })
    }

    /// Bytes of the page.
    fn look(&mut self) -> Outcome<usize> {
        self.stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
        let mut filled = 0;
        loop {
            let count = self.stream.read(&mut self.answer[filled..])?;
            filled += count;
            if count == 0 || self.answer[..filled].ends_with(b"</html>") {
                break;
            }
        }
        match self.answer.starts_with(b"HTTP/1.1 200 ") {
            true => Ok(filled),
            false => Err(String::from_utf8_lossy(&self.answer[..filled]).into_owned().into()),
        }
    }
}

/// Flows with a past that nobody lived through.
fn write_past(database: &Path, flows: usize) -> Outcome<()> {
    Connection::open(database)?.execute_batch(&many_flows::past(flows, RUNS, now_s() * 1000))?;
    Ok(())
}
