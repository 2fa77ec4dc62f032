//! The list of flows: how long one page of it takes, how long heartbeats wait meanwhile, and what memory that takes.

use rusqlite::Connection;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::daemon::{Daemon, STATUS_ADDRESS, now_s};
use crate::many_flows;

const PAGES: usize = 100;
const HEARTBEATS: usize = 300;
/// Runs of each flow: as many as are kept by default.
const RUNS: usize = 200;
/// Those who ask for pages while heartbeats are timed.
const VIEWERS: usize = 2;

pub(crate) fn of(flows: usize) -> Outcome<()> {
    let folder = Daemon::watched()?.stop()?;
    write_past(&folder.join("heartbeat.db"), flows)?;
    let daemon = Daemon::start_in(folder)?;
    let (before, mut viewer) = (daemon.resident_bytes()?, Viewer::connect()?);
    viewer.look()?;
    let mut bytes = 0;
    let took: Outcome<Vec<f64>> = (0..PAGES)
        .map(|_| {
            let start = Instant::now();
            bytes = viewer.look()?;
            Ok(start.elapsed().as_secs_f64() * 1e3)
        })
        .collect();
    let waits = heartbeats_meanwhile(&daemon)?;
    println!(
        "a page of {flows} flows, {RUNS} runs each: {:.1} ms, {:.1} KiB; heartbeats meanwhile: median {:.1} ms, 99th percentile {:.1} ms; memory {:.2} MiB, {:.2} before",
        crate::median(took?),
        bytes as f64 / 1024.0,
        waits[waits.len() / 2],
        waits[waits.len() * 99 / 100],
        crate::mib(daemon.resident_bytes()?),
        crate::mib(before)
    );
    Ok(())
}

/// In order.
fn heartbeats_meanwhile(daemon: &Daemon) -> Outcome<Vec<f64>> {
    let is_over = AtomicBool::new(false);
    let look_on = || {
        let looked = Viewer::connect().and_then(|mut viewer| {
            while !is_over.load(Ordering::Relaxed) {
                viewer.look()?;
            }
            Ok(())
        });
        looked.map_err(|error| error.to_string())
    };
    std::thread::scope(|scope| {
        let viewers: Vec<_> = (0..VIEWERS).map(|_| scope.spawn(look_on)).collect();
        let waits: Outcome<Vec<f64>> = (0..HEARTBEATS)
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
        let mut waits = waits?;
        waits.sort_by(f64::total_cmp);
        Ok(waits)
    })
}

/// Somebody who asks for the list of flows, on one connection.
struct Viewer {
    stream: TcpStream,
    answer: Vec<u8>,
}

impl Viewer {
    fn connect() -> Outcome<Self> {
        let stream = TcpStream::connect(SocketAddr::from(STATUS_ADDRESS))?;
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
