//! The line to the service manager (sd_notify(3)), with a real socket at its other end.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail its test")]

mod support;

use rustix::process::Signal;
use rustix::time::{ClockId, clock_gettime};
use std::collections::VecDeque;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use support::daemon::Daemon;
use support::tools::run_through;
use support::{EdgeBox, PATIENCE, until};

/// A script that goes on until the test lets it end.
const UNTIL_TOLD: &str = "until [ -e go ]; do sleep 0.02; done";

/// What a service manager hears.
struct Manager {
    socket: UnixDatagram,
    name: String,
    /// What was heard in passing.
    heard: VecDeque<String>,
}

impl Manager {
    fn of(edge_box: &EdgeBox) -> Self {
        let path = edge_box.path("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        Self::on(socket, path.to_str().unwrap())
    }

    fn on(socket: UnixDatagram, name: &str) -> Self {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { socket, name: name.to_owned(), heard: VecDeque::new() }
    }

    /// Starts the daemon as its service; `watchdog_us` is how long it waits for a sign of life.
    fn start(&self, edge_box: &EdgeBox, watchdog_us: Option<u32>) -> Daemon {
        Daemon::start(edge_box, |command| {
            command.env("NOTIFY_SOCKET", &self.name);
            command.envs(watchdog_us.map(|us| ("WATCHDOG_USEC", us.to_string())));
        })
    }

    fn hear(&self) -> Option<String> {
        let mut buffer = [0; 4096];
        let count = self.socket.recv(&mut buffer).ok()?;
        Some(String::from_utf8(buffer[..count].to_vec()).unwrap())
    }

    /// Waits for a message with this assignment, and drops what comes before it.
    fn until(&mut self, assignment: &str) -> String {
        loop {
            let message = self.hear();
            let message = message.unwrap_or_else(|| panic!("{assignment} comes; there was {:?}", self.heard));
            if message.lines().any(|line| line.starts_with(assignment)) {
                return message;
            }
            self.heard.push_back(message);
        }
    }

    /// What is there by now.
    fn rest(&mut self) -> Vec<String> {
        self.socket.set_nonblocking(true).unwrap();
        let rest = std::iter::from_fn(|| self.hear()).collect();
        self.socket.set_nonblocking(false).unwrap();
        rest
    }
}

fn monotonic_us() -> i64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec * 1_000_000 + now.tv_nsec / 1000
}

fn value<'m>(message: &'m str, name: &str) -> &'m str {
    let found = message.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    found.unwrap_or_else(|| panic!("{name} in {message}"))
}

#[test]
fn it_is_ready_when_it_listens_and_stopping_when_it_ends() {
    let edge_box = EdgeBox::new();
    let mut manager = Manager::of(&edge_box);
    let mut daemon = manager.start(&edge_box, None);
    assert_eq!(manager.hear().unwrap(), "READY=1");
    assert_eq!(daemon.get("/healthz").status, 200);
    assert!(manager.until("STATUS=").contains("0 runs in progress, 0 waiting; no heartbeat yet"));
    edge_box.script("long", "", UNTIL_TOLD);
    assert_eq!(edge_box.command(&["reload"]).0, Some(0));
    daemon.beat();
    daemon.signal(Signal::TERM);
    let stopping = manager.until("STOPPING=1");
    let extended_us: u64 = value(&stopping, "EXTEND_TIMEOUT_USEC").parse().unwrap();
    assert!(extended_us >= 11_000_000, "shutdown_timeout and kill_grace: {stopping}");
    assert!(manager.until("STATUS=").contains("ending: 1 run in progress"));
    edge_box.write("go", "");
    assert!(daemon.ended().success());
    assert!(!daemon.log().contains("NOTIFY_SOCKET"), "{}", daemon.log());
}

#[test]
fn its_status_tells_of_runs_and_of_the_last_heartbeat() {
    let edge_box = EdgeBox::new();
    edge_box.configure("max_concurrent_runs = 1\n");
    edge_box.script("a", "", UNTIL_TOLD);
    edge_box.script("b", "", UNTIL_TOLD);
    let mut manager = Manager::of(&edge_box);
    let daemon = manager.start(&edge_box, None);
    manager.until("STATUS=");
    daemon.beat();
    let status = manager.until("STATUS=");
    assert!(status.contains("1 run in progress, 1 waiting; last heartbeat at 20"), "{status}");
    assert!(status.ends_with(" from default"), "{status}");
    edge_box.write("go", "");
    until("it tells that they are over", || manager.until("STATUS=").contains("0 runs in progress"));
}

#[test]
fn a_reload_is_told_with_its_time_and_its_end_whatever_comes_of_it() {
    let edge_box = EdgeBox::new();
    let mut manager = Manager::of(&edge_box);
    let daemon = manager.start(&edge_box, None);
    manager.until("STATUS=");
    for (settings, failed) in [("endpoint_path = \"/beat\"\n", false), ("endpoint_path = 7\n", true)] {
        edge_box.configure(settings);
        let before = monotonic_us();
        daemon.signal(Signal::HUP);
        let reloading = manager.until("RELOADING=1");
        let told: i64 = value(&reloading, "MONOTONIC_USEC").parse().unwrap();
        assert!((before..=monotonic_us()).contains(&told), "{reloading}");
        assert_eq!(manager.hear().unwrap(), "READY=1");
        if failed {
            assert!(manager.until("STATUS=").contains("the last reload failed"));
        }
    }
}

#[test]
fn a_loop_that_goes_round_gives_signs_of_life_and_one_that_is_stopped_gives_none() {
    let edge_box = EdgeBox::new();
    let mut manager = Manager::of(&edge_box);
    let daemon = manager.start(&edge_box, Some(100_000));
    for _ in 0..5 {
        manager.until("WATCHDOG=1");
    }
    daemon.signal(Signal::STOP);
    let stat = format!("/proc/{}/stat", daemon.pid());
    until("it is stopped", || std::fs::read_to_string(&stat).unwrap().contains(") T "));
    manager.rest();
    manager.socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    assert_eq!(manager.hear(), None, "a hung loop is not covered up");
    manager.socket.set_read_timeout(Some(PATIENCE)).unwrap();
    daemon.signal(Signal::CONT);
    manager.until("WATCHDOG=1");
}

#[test]
fn signs_of_life_are_given_only_to_a_watchdog_that_waits_for_this_process() {
    let edge_box = EdgeBox::new();
    let mut manager = Manager::of(&edge_box);
    let name = manager.name.clone();
    let start = |pid: &str| {
        Daemon::start(&edge_box, |command| {
            command.env("NOTIFY_SOCKET", &name).env("WATCHDOG_USEC", "20000");
            run_through(command, "sh", &["-c", &format!("WATCHDOG_PID={pid} exec \"$0\" \"$@\"")]);
        })
    };
    let mut anothers = start("1");
    assert_eq!(manager.hear().unwrap(), "READY=1");
    manager.until("STATUS=");
    manager.socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    assert_eq!(manager.hear(), None);
    manager.socket.set_read_timeout(Some(PATIENCE)).unwrap();
    assert!(anothers.stop().success());
    let _its_own = start("$$");
    manager.until("WATCHDOG=1");
}

#[test]
fn an_abstract_socket_is_a_socket_as_well() {
    let edge_box = EdgeBox::new();
    let name = format!("heartbeatd-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let manager = Manager::on(UnixDatagram::bind_addr(&address).unwrap(), &format!("@{name}"));
    let _daemon = manager.start(&edge_box, None);
    assert_eq!(manager.hear().unwrap(), "READY=1");
}

#[test]
fn a_service_manager_that_does_not_read_holds_nobody_up() {
    let edge_box = EdgeBox::new();
    edge_box.script("it", "run_interval = \"1s\"", "true");
    let mut manager = Manager::of(&edge_box);
    let mut daemon = manager.start(&edge_box, Some(20_000));
    daemon.until_logged("the service manager is told later");
    assert_eq!(daemon.beat_and_wait().status, 200);
    assert_eq!(edge_box.command(&["reload"]).0, Some(0));
    assert!(!manager.rest().is_empty());
    manager.until("WATCHDOG=1");
    drop(manager);
    assert_eq!(daemon.beat().status, 200, "nor does one that is gone");
    assert!(daemon.stop().success());
    assert_eq!(daemon.log().matches("is told later").count(), 2, "{}", daemon.log());
}

#[test]
fn a_flow_does_not_get_hold_of_the_line_even_if_it_asks_for_it() {
    let edge_box = EdgeBox::new();
    edge_box.flow(
        "it",
        "[command]\nshell = true\nargv = \"env\"\ninherit = [\"NOTIFY_SOCKET\", \"WATCHDOG_USEC\"]\n",
    );
    let manager = Manager::of(&edge_box);
    let daemon = manager.start(&edge_box, Some(60_000_000));
    daemon.beat_and_wait();
    let output = edge_box.ended_run("it").output;
    assert!(output.contains("WATCHDOG_USEC=") && !output.contains("NOTIFY_SOCKET"), "{output}");
}

#[test]
fn a_daemon_that_waits_for_its_database_is_ready_and_says_what_it_lacks() {
    let edge_box = EdgeBox::new();
    let _made = edge_box.start().stop();
    let holder = rusqlite::Connection::open(edge_box.path("heartbeat.db")).unwrap();
    holder.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE").unwrap();
    let mut manager = Manager::of(&edge_box);
    let daemon = manager.start(&edge_box, None);
    assert_eq!(manager.hear().unwrap(), "READY=1");
    assert_eq!(daemon.get("/readyz").status, 503);
    assert!(manager.until("STATUS=").contains("nothing can be recorded: "));
    drop(holder);
    until("it tells that it can", || manager.until("STATUS=").contains("0 runs in progress"));
}
