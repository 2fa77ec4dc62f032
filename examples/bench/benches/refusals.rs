//! What it costs to refuse: a forged signature, and a caller whose address is not on the list.

use std::net::Ipv4Addr;

use super::Plan;
use super::heartbeats::{Load, figures, load_with};
use crate::Outcome;
use crate::daemon::{Config, Daemon, now_s, secret};
use crate::filled::{self, Fill};
use crate::load::{Manner, Requests, fresh_id, write_request};
use crate::measure::{Contender, Figure, in_turns};
use crate::process::Core;
use crate::row::{Found, Goal, Row};

/// The list has one address; this one is not on it.
const STRANGER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// As long as an honest one, with one letter of its signature changed.
fn forged(count: usize) -> Requests {
    Requests::made_by(count, |out| {
        let start = out.len();
        write_request(out, &secret(), &fresh_id(), now_s(), None);
        let mark = b"webhook-signature: v1,";
        if let Some(at) = memchr::memmem::find(&out[start..], mark) {
            let letter = &mut out[start + at + mark.len()];
            *letter = if *letter == b'A' { b'B' } else { b'A' };
        }
    })
}

fn not_found(count: usize) -> Requests {
    Requests::made_by(count, |out| out.extend_from_slice(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"))
}

/// A daemon that logs to a file, and tells so often a minute of each address that it was refused.
fn daemon(told_a_minute: u32) -> Outcome<Daemon> {
    let mut config = Config::default().top("whitelisted_ips = [\"127.0.0.1\"]\n");
    config.limits.push_str(&format!("failed_signatures_per_minute = {told_a_minute}\n"));
    let folder = filled::folder(&config, Fill { flows: 1000, ..Fill::default() })?;
    Daemon::start_logging(Core::Measured, folder)
}

/// CPU of an accepted heartbeat, of a forged one, and of whole connections: accepted, for an unknown path, of a stranger.
fn measure(plan: &Plan, daemon: &Daemon) -> Outcome<[Figure; 5]> {
    let load =
        |manner: Manner, requests: Requests| load_with(daemon.pid(), daemon.address(), manner, &requests);
    let honest = |count| Requests::heartbeats(count, &secret(), now_s(), None);
    let (kept, fresh) = (plan.pick(10_000, 1_000), plan.pick(2_000, 300));
    let anew = Manner { reconnects: true, ..Manner::kept(16) };
    let stranger = Manner { answer: "HTTP/1.1 403 ", from: STRANGER, may_be_cut_off: true, ..anew };
    let mut contenders: [Contender<'_, Load>; 5] = [
        Box::new(|| load(Manner::kept(64), honest(kept))),
        Box::new(|| load(Manner { answer: "HTTP/1.1 4", ..Manner::kept(64) }, forged(kept))),
        Box::new(|| load(anew, honest(fresh))),
        Box::new(|| load(Manner { answer: "HTTP/1.1 404 ", ..anew }, not_found(fresh))),
        Box::new(|| load(stranger, honest(fresh))),
    ];
    let measured = in_turns(plan.short_rounds(), &mut contenders)?;
    Ok(std::array::from_fn(|index| figures(&measured[index], |load| load.cpu_us)))
}

pub(super) fn run(plan: &Plan) -> Outcome<Found> {
    let mut rows = Vec::new();
    // Most refusals are of somebody who is refused again and again, and those have few lines: what a line costs is told apart.
    for (told_a_minute, words, goal) in [
        (30, "30 a minute have a line in the log, as by default", Some(Goal::AtMost(1.0))),
        (1_000_000, "each has a line in the log", None),
    ] {
        let [accepted, forged, connection, unknown, stranger] = measure(plan, &daemon(told_a_minute)?)?;
        rows.push(
            Row::new(format!("CPU of a forged signature, 64 kept connections; {words}"), "us", forged)
                .beside("accepted heartbeat", Some(&accepted), goal),
        );
        let what = format!("CPU of a connection from an address that is not allowed; {words}");
        rows.push(
            Row::new(what, "us", stranger)
                .beside("connection with an accepted heartbeat", Some(&connection), goal)
                .beside("connection with a request for an unknown path", Some(&unknown), goal),
        );
    }
    Ok(rows.into())
}
