//! What the service manager is told (sd_notify(3)): that the daemon serves, reads its files anew or ends, what it is about,
//! and that its loop goes round.
//!
//! Invariant: no round waits for the service manager. What it does not take at once is offered again by a timer.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use super::{Server, clock};
use crate::limits;
use crate::runtime::Summary;
use crate::store::Cause;
use crate::time::{Monotonic, Now, Wall};

/// Names the socket: a path, or with `@` before it a name in Linux's abstract namespace.
pub(super) const NOTIFY_SOCKET: &str = "NOTIFY_SOCKET";
/// How long the service manager waits for a sign of life, in microseconds.
const WATCHDOG_USEC: &str = "WATCHDOG_USEC";
/// Whom it waits for; whoever reads it, if it is not set.
const WATCHDOG_PID: &str = "WATCHDOG_PID";

/// A line to the service manager.
#[derive(Debug)]
pub struct Notifier {
    socket: UnixDatagram,
    /// Named with each message: a service manager that starts anew makes another socket there.
    address: SocketAddr,
    /// What it has yet to take, in order.
    unsent: VecDeque<String>,
    /// It took nothing when it was last tried.
    is_failing: bool,
    retry_at: Option<Monotonic>,
    told: Told,
    /// What it shows.
    status: String,
    /// What that was made from.
    figures: Option<Figures>,
    /// No other line before this time.
    status_at: Monotonic,
    /// Whether what it shows is out of date.
    is_stale: bool,
    watchdog: Option<Watchdog>,
}

/// What the service manager takes the daemon to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Nothing,
    Serving,
    Reloading,
    Ending,
}

#[derive(Clone, Copy, Debug)]
struct Watchdog {
    every: Duration,
    next_at: Monotonic,
}

/// What a status line tells: another line is made when one of these is another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Figures {
    in_progress: usize,
    waiting: usize,
    last_heartbeat_at: Option<Wall>,
    failure: Option<Cause>,
    is_ending: bool,
    reload_failed: bool,
}

impl Notifier {
    /// As the environment of this process names it; none where it names nothing, which costs nothing from then on.
    pub fn of_environment() -> Option<Self> {
        let name = std::env::var_os(NOTIFY_SOCKET).filter(|name| !name.is_empty())?;
        let number = |name| std::env::var(name).ok();
        let every = watchdog_every(number(WATCHDOG_USEC).as_deref(), number(WATCHDOG_PID).as_deref());
        Self::new(&name, every)
            .inspect_err(|error| log::warn!("{NOTIFY_SOCKET}: {error}: the service manager is told nothing"))
            .ok()
    }

    fn new(name: &OsStr, watchdog_every: Option<Duration>) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        let begin = Monotonic::since_start(Duration::ZERO);
        Ok(Self {
            socket,
            address: address(name)?,
            unsent: VecDeque::new(),
            is_failing: false,
            retry_at: None,
            told: Told::Nothing,
            status: String::new(),
            figures: None,
            status_at: begin,
            is_stale: false,
            watchdog: watchdog_every.map(|every| Watchdog { every, next_at: begin }),
        })
    }

    /// When it has something to say, whatever happens before.
    pub(super) fn next_timeout(&self) -> Option<Monotonic> {
        if self.retry_at.is_some() {
            // One that takes nothing is offered nothing else either.
            return self.retry_at;
        }
        let status = self.is_stale.then_some(self.status_at);
        let watchdog = self.watchdog.map(|watchdog| watchdog.next_at);
        [status, watchdog].into_iter().flatten().min()
    }

    /// Tells what has changed, at the end of a round.
    fn tell(&mut self, summary: &Summary<'_>, reload_failed: bool, now: Monotonic) {
        self.look_at(summary, reload_failed);
        match (self.told, summary.ends_within) {
            (Told::Ending, _) | (Told::Serving | Told::Reloading, None) => {}
            (Told::Nothing, None) => {
                self.told = Told::Serving;
                self.is_stale = true;
                self.unsent.push_back("READY=1".to_owned());
            }
            (_, Some(within)) => {
                self.told = Told::Ending;
                self.status_at = now;
                let longest = within + limits::LAST_KILL + limits::STOP_MARGIN;
                self.unsent.push_back(format!("STOPPING=1\nEXTEND_TIMEOUT_USEC={}", longest.as_micros()));
            }
        }
        if self.retry_at.is_some_and(|at| now < at) {
            return;
        }
        self.retry_at = None;
        if !self.offer(now) {
            return;
        }
        if let Some(watchdog) = self.watchdog
            && now >= watchdog.next_at
            && self.send("WATCHDOG=1", now)
        {
            self.watchdog = Some(Watchdog { next_at: now + watchdog.every, ..watchdog });
        }
        if self.is_stale && now >= self.status_at {
            let line = status_line(summary, reload_failed);
            if line == self.status || self.send(&format!("STATUS={line}"), now) {
                self.is_stale = false;
                self.status = line;
                self.status_at = now + limits::STATUS_LINE_EVERY;
            }
        }
    }

    fn look_at(&mut self, summary: &Summary<'_>, reload_failed: bool) {
        let figures = Figures {
            in_progress: summary.in_progress,
            waiting: summary.waiting,
            last_heartbeat_at: summary.last_heartbeat.map(|(_, at)| at),
            failure: summary.failure.map(|error| error.cause),
            is_ending: summary.ends_within.is_some(),
            reload_failed,
        };
        self.is_stale |= self.figures != Some(figures);
        self.figures = Some(figures);
    }

    /// From now on files are read anew. The time is what `Type=notify-reload` knows its own reload by (systemd.service(5)).
    fn reloading(&mut self, now: Monotonic) {
        if self.told == Told::Serving {
            self.told = Told::Reloading;
            let time = clock::system_monotonic_us();
            self.unsent.push_back(format!("RELOADING=1\nMONOTONIC_USEC={time}"));
            self.offer(now);
        }
    }

    /// Files were read anew, whatever came of it.
    fn reloaded(&mut self, now: Monotonic) {
        if self.told == Told::Reloading {
            self.told = Told::Serving;
            self.unsent.push_back("READY=1".to_owned());
            self.offer(now);
        }
    }

    /// Sends what is yet to be taken; whether nothing is left.
    fn offer(&mut self, now: Monotonic) -> bool {
        while self.unsent.len() > limits::NOTIFY_UNSENT_MAX {
            self.unsent.pop_front();
        }
        while let Some(message) = self.unsent.pop_front() {
            if !self.send(&message, now) {
                self.unsent.push_front(message);
                return false;
            }
        }
        true
    }

    fn send(&mut self, message: &str, now: Monotonic) -> bool {
        let failure = self.socket.send_to_addr(message.as_bytes(), &self.address).err();
        if let Some(error) = &failure
            && !self.is_failing
        {
            log::warn!("{NOTIFY_SOCKET}: {error}: the service manager is told later");
        }
        self.is_failing = failure.is_some();
        self.retry_at = self.is_failing.then(|| now + limits::NOTIFY_RETRY);
        !self.is_failing
    }
}

impl Server {
    /// With a line to the service manager.
    #[must_use]
    pub fn notifying(mut self, notifier: Option<Notifier>) -> Self {
        self.notifier = notifier;
        self
    }

    pub(super) fn notify(&mut self, now: Now) {
        if let Some(notifier) = &mut self.notifier {
            let summary = self.runtime.summary(now.monotonic);
            notifier.tell(&summary, self.facts.reload_error.is_some(), now.monotonic);
        }
    }

    pub(super) fn notify_of_reload(&mut self, now: Now) {
        if let Some(notifier) = &mut self.notifier {
            notifier.reloading(now.monotonic);
        }
    }

    pub(super) fn notify_of_reloaded(&mut self, now: Now) {
        if let Some(notifier) = &mut self.notifier {
            notifier.reloaded(now.monotonic);
        }
    }
}

fn address(name: &OsStr) -> io::Result<SocketAddr> {
    match name.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        [b'/', ..] => SocketAddr::from_pathname(name),
        _ => Err(io::Error::other("neither a path from the root nor @ and a name")),
    }
}

/// How often a sign of life is given: twice in the time that the service manager waits for one (sd_watchdog_enabled(3)).
fn watchdog_every(wait_us: Option<&str>, pid: Option<&str>) -> Option<Duration> {
    if pid.is_some_and(|pid| pid.parse() != Ok(std::process::id())) {
        return None;
    }
    let wait_us = wait_us?.parse().ok().filter(|us| (1..u64::MAX).contains(us))?;
    Some(Duration::from_micros(wait_us / 2).max(limits::WATCHDOG_EVERY_MIN))
}

/// One line for people. Times in it are times of day: one that says how long ago something was would have to be sent again
/// every second.
fn status_line(summary: &Summary<'_>, reload_failed: bool) -> String {
    let Summary { in_progress, waiting, last_heartbeat, failure, ends_within } = *summary;
    let runs = if in_progress == 1 { "run" } else { "runs" };
    let mut line = format!("{in_progress} {runs} in progress, {waiting} waiting");
    if ends_within.is_some() {
        line.insert_str(0, "ending: ");
    } else if let Some(error) = failure {
        line = format!("nothing can be recorded: {error}");
    } else {
        match last_heartbeat {
            Some((agent, at)) => line += &format!("; last heartbeat at {} from {agent}", at.rfc3339()),
            None => line += "; no heartbeat yet",
        }
        if reload_failed {
            line += "; the last reload failed: see the log";
        }
    }
    // A line break would begin another assignment.
    let mut line = line.replace(char::is_control, " ");
    line.truncate(line.floor_char_boundary(limits::STATUS_LINE_BYTES_MAX));
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watchdog_that_waits_for_another_process_or_for_ever_is_given_no_sign() {
        let own = std::process::id().to_string();
        let every = Some(Duration::from_secs(30));
        assert_eq!(watchdog_every(Some("60000000"), Some(&own)), every);
        assert_eq!(watchdog_every(Some("60000000"), None), every);
        assert_eq!(watchdog_every(Some("60000000"), Some("1")), None);
        assert_eq!(watchdog_every(Some("60000000"), Some("")), None);
        for none in ["0", "", "soon", "-1", "18446744073709551615"] {
            assert_eq!(watchdog_every(Some(none), None), None, "{none}");
        }
        assert_eq!(watchdog_every(None, None), None);
        assert_eq!(watchdog_every(Some("1"), None), Some(limits::WATCHDOG_EVERY_MIN));
    }

    #[test]
    fn a_name_that_is_no_address_is_told() {
        for wrong in ["vsock:2:1234", "relative", ""] {
            assert!(Notifier::new(OsStr::new(wrong), None).is_err(), "{wrong}");
        }
        let long = format!("/{}", "x".repeat(200));
        assert!(Notifier::new(OsStr::new(&long), None).is_err());
    }

    #[test]
    fn a_status_is_one_line_of_bounded_length() {
        let agent = "ä\nREADY=1".repeat(100);
        let last_heartbeat = Some((agent.as_str(), Wall::from_millis(0)));
        let summary =
            Summary { in_progress: 1, waiting: 0, last_heartbeat, failure: None, ends_within: None };
        let line = status_line(&summary, true);
        assert!(line.starts_with("1 run in progress, 0 waiting; last heartbeat at 1970-01-01T00:00:00"));
        assert!(!line.contains('\n') && line.len() <= limits::STATUS_LINE_BYTES_MAX, "{line}");
    }

    #[test]
    fn a_status_is_told_when_it_changes_and_not_more_often_than_every_few_seconds() {
        let name = format!("@heartbeatd-status-{}", std::process::id());
        let peer = UnixDatagram::bind_addr(&address(OsStr::new(&name)).unwrap()).unwrap();
        peer.set_nonblocking(true).unwrap();
        let mut notifier = Notifier::new(OsStr::new(&name), None).unwrap();
        let summary =
            Summary { in_progress: 0, waiting: 0, last_heartbeat: None, failure: None, ends_within: None };
        let mut told = |ms, summary: Summary<'_>| {
            let at = Monotonic::since_start(Duration::from_millis(ms));
            notifier.tell(&summary, false, at);
            let mut buffer = [0; 512];
            let count = std::iter::from_fn(|| peer.recv(&mut buffer).ok()).count();
            (count, notifier.next_timeout().map(|next| next.since(at).as_millis()))
        };
        assert_eq!(told(0, summary), (2, None), "READY and STATUS; then nothing to wake up for");
        assert_eq!(told(10_000, summary), (0, None));
        for (ms, waiting) in (1..100).zip(1..) {
            let counts = told(10_000 + ms, Summary { waiting, ..summary });
            let left = (ms > 1).then(|| 5_001 - u128::from(ms));
            assert_eq!(counts, (usize::from(ms == 1), left), "{ms}");
        }
        assert_eq!(told(15_001, Summary { waiting: 99, ..summary }), (1, None));
        let ending = Summary { ends_within: Some(Duration::ZERO), ..summary };
        assert_eq!(told(15_002, ending), (2, None), "the end is told at once");
    }

    #[test]
    fn a_service_manager_that_takes_nothing_is_offered_the_newest_again() {
        let name = format!("@heartbeatd-notify-{}", std::process::id());
        let mut notifier = Notifier::new(OsStr::new(&name), None).unwrap();
        let at = |s| Monotonic::since_start(Duration::from_secs(s));
        let summary =
            Summary { in_progress: 0, waiting: 0, last_heartbeat: None, failure: None, ends_within: None };
        notifier.tell(&summary, false, at(0));
        for _ in 0..20 {
            notifier.reloading(at(1));
            notifier.reloaded(at(1));
        }
        assert!(notifier.unsent.len() <= limits::NOTIFY_UNSENT_MAX);
        let again_at = notifier.next_timeout().unwrap();
        assert!(again_at > at(1));
        let peer = UnixDatagram::bind_addr(&address(OsStr::new(&name)).unwrap()).unwrap();
        peer.set_nonblocking(true).unwrap();
        notifier.tell(&summary, false, again_at);
        let mut buffer = [0; 512];
        let mut messages = Vec::new();
        while let Ok(count) = peer.recv(&mut buffer) {
            messages.push(String::from_utf8(buffer[..count].to_vec()).unwrap());
        }
        assert!(messages.last().unwrap().starts_with("STATUS=0 runs in progress"), "{messages:?}");
        assert_eq!(messages[messages.len() - 2], "READY=1", "the newest is not the one that is dropped");
        assert_eq!(notifier.next_timeout(), None);
    }
}
