//! Those who look on, those who operate, and what changes beside them.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::callers::Load;
use crate::daemon::Daemon;
use crate::setting::Setting;
use crate::wire::read_answer;
use crate::{Kind, PATIENCE, Shared};

pub(crate) fn loads() -> Vec<Load> {
    vec![pages, watching, watching, not_reading, orders, reloads, appending]
}

fn ask(setting: &Setting, path: &str) -> io::Result<u16> {
    let mut stream = TcpStream::connect(setting.status)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes())?;
    Ok(read_answer(&mut stream)?.status)
}

fn pages(_: &Daemon, setting: &Setting, shared: &Shared) {
    let paths = [
        "/",
        "/metrics",
        "/system",
        "/flows/wordy",
        "/flows/failing",
        "/runs",
        "/healthz",
        "/readyz",
        "/none",
        "/metrics",
    ];
    for path in paths.into_iter().cycle().take_while(|_| shared.goes_on()) {
        match ask(setting, path) {
            Ok(200 | 404) => shared.did(Kind::Page),
            other => shared.fault(format!("{path}: {other:?}")),
        }
        shared.pause(Duration::from_millis(100));
    }
}

fn watching(_: &Daemon, setting: &Setting, shared: &Shared) {
    while shared.goes_on() {
        let Ok(mut stream) = TcpStream::connect(setting.status) else { continue };
        let _for_a_while = stream.set_read_timeout(Some(Duration::from_secs(2)));
        let _asked = stream.write_all(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let mut buffer = [0; 4096];
        for _ in 0..10 {
            match stream.read(&mut buffer) {
                Ok(count) if count > 0 && shared.goes_on() => shared.did(Kind::Event),
                _ => break,
            }
        }
    }
}

/// Asks for much and reads nothing of it.
fn not_reading(_: &Daemon, setting: &Setting, shared: &Shared) {
    while shared.goes_on() {
        let ask = |path: &&str| {
            let mut stream = TcpStream::connect(setting.status).ok()?;
            let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").repeat(40);
            stream.write_all(request.as_bytes()).ok()?;
            Some(stream)
        };
        let open: Vec<_> = ["/metrics", "/", "/events"].iter().filter_map(ask).collect();
        shared.pause(Duration::from_secs(3));
        drop(open);
    }
}

fn orders(_: &Daemon, setting: &Setting, shared: &Shared) {
    let socket = setting.folder.join("heartbeatd.sock");
    let give = |request: &str, body: &str| -> io::Result<u16> {
        let mut stream = UnixStream::connect(&socket)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let length = body.len();
        let text = format!("{request} HTTP/1.1\r\nHost: box\r\nContent-Length: {length}\r\n\r\n{body}");
        stream.write_all(text.as_bytes())?;
        Ok(read_answer(&mut stream)?.status)
    };
    let orders = [
        ("GET /status", ""),
        ("GET /flows?limit=100", ""),
        ("GET /runs?limit=100", ""),
        ("GET /heartbeats", ""),
        ("PATCH /flows/wordy", "{\"held\":true}"),
        ("PATCH /flows/wordy", "{\"held\":false}"),
        ("POST /flows/quick/runs", ""),
        ("GET /flows/to-sqlite/cursor", ""),
        ("GET /nothing", ""),
    ];
    for (request, body) in orders.into_iter().cycle().take_while(|_| shared.goes_on()) {
        match give(request, body) {
            Ok(status) if status < 500 => shared.did(Kind::Order),
            other => shared.fault(format!("{request}: {other:?}")),
        }
        shared.pause(Duration::from_millis(150));
    }
}

fn reloads(daemon: &Daemon, setting: &Setting, shared: &Shared) {
    for number in (0..).take_while(|_| shared.goes_on()) {
        shared.pause(Duration::from_secs(3));
        let pid = i32::try_from(daemon.pid()).ok().and_then(rustix::process::Pid::from_raw);
        let hang_up = |pid| rustix::process::kill_process(pid, rustix::process::Signal::HUP);
        if setting.redefine(number).is_err() || pid.is_none_or(|pid| hang_up(pid).is_err()) {
            shared.fault("the daemon cannot be told to reload".to_owned());
        }
        shared.did(Kind::Reload);
    }
}

fn appending(_: &Daemon, setting: &Setting, shared: &Shared) {
    while shared.goes_on() {
        if let Err(error) = setting.append() {
            shared.fault(format!("cannot write what a pipeline reads: {error}"));
        }
        shared.pause(Duration::from_millis(500));
    }
}
