//! A box under attack, its honest agent, and what must hold while the attack lasts and after it.

#![expect(clippy::expect_used, reason = "the helpers of a test may fail it")]

use rustix::process::Signal;
use std::fs;
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::daemon::Daemon;
use crate::support::heartbeat::Heartbeat;
use crate::support::tools::run_through;
use crate::support::{EdgeBox, eventually, until};

/// What may be resident, in KiB: the promise of 16 MiB is one of the release, whose code takes less than a debug build's. What
/// an idle release has not taken of it is what an attack may take of either.
const RESIDENT_KIB_MAX: u64 = 16 * 1024;
const IDLE_RELEASE_KIB: u64 = 8 * 1024;
/// Code of a build for tests that is read in while it is at work: several times a release's.
const DEBUG_CODE_KIB: u64 = 2 * 1024;
/// Descriptors of a box beyond what it had when it was idle: connections of every port at their limits, draining ones, those that
/// made room in the round, and what runs need.
const DESCRIPTORS_MORE: usize = 256 + 64 + 64 + 32 + 16 + 16;
/// CPU that an idle daemon may take of a second, in hundredths of a second.
const IDLE_TICKS_MAX: u64 = 5;
/// Beats of the honest agent at least.
const BEATS_MIN: usize = 20;

/// A box with a flow that is due every second, its daemon, and what it took before.
pub(crate) struct Siege {
    pub(crate) edge_box: EdgeBox,
    pub(crate) daemon: Daemon,
    resident_kib: u64,
    descriptors: usize,
}

/// How the honest agent fared, and what the daemon took.
pub(crate) struct Told {
    pub(crate) refused: Vec<String>,
    times: Vec<Duration>,
    runs: i64,
    peak_kib: u64,
    descriptors: usize,
}

impl Siege {
    pub(crate) fn lay(settings: &str) -> Self {
        let edge_box = EdgeBox::new();
        edge_box.configure(settings);
        Self::around(edge_box)
    }

    /// The same, which listens here for the attack; the honest agent stays on loopback, on the same port.
    pub(crate) fn lay_at(address: &str, settings: &str) -> Self {
        let edge_box = EdgeBox::new();
        let port = std::net::TcpListener::bind(address)
            .and_then(|free| free.local_addr())
            .expect("a free port")
            .port();
        let host = address.split(':').next().unwrap_or_default();
        let listen = format!("listen = [\"127.0.0.1:{port}\", \"{host}:{port}\"]\n");
        edge_box.write("heartbeatd.toml", format!("{listen}{settings}[status]\nlisten = false\n"));
        Self::around(edge_box)
    }

    pub(crate) fn around(edge_box: EdgeBox) -> Self {
        edge_box.script("due", "run_interval = \"1s\"", "true");
        let daemon = Daemon::start(&edge_box, |command| {
            command.arg("--dumpable");
            // As a service has it; the test's own limit is raised.
            run_through(command, "prlimit", &["--nofile=1024"]);
        });
        assert_eq!(daemon.beat_and_wait().status, 200);
        until("its runs have ended", || !edge_box.has_open_runs());
        let resident_kib = daemon.proc_status("VmRSS");
        let descriptors = descriptors(&daemon);
        Self { edge_box, daemon, resident_kib, descriptors }
    }

    /// What it takes is counted from here on: it has done once what it will have to do.
    pub(crate) fn is_warm(&mut self) {
        self.resident_kib = self.daemon.proc_status("VmRSS");
    }

    /// Attacks, while an honest agent beats. What holds a part of the attack is dropped at its end.
    pub(crate) fn under<T>(&self, attack: impl FnOnce(&Self) -> T) -> Told {
        let runs = self.runs();
        let is_over = AtomicBool::new(false);
        let (mut told, descriptors) = thread::scope(|scope| {
            let agent = scope.spawn(|| self.beat_until(&is_over));
            let watch = scope.spawn(|| self.most_descriptors(&is_over));
            // Whatever fails in it: the two threads above must end.
            let attacked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| attack(self)));
            is_over.store(true, Ordering::Relaxed);
            let told = (agent.join().expect("the honest agent"), watch.join().expect("the watch"));
            drop(attacked.unwrap_or_else(|failure| std::panic::resume_unwind(failure)));
            told
        });
        (told.runs, told.peak_kib, told.descriptors) =
            (self.runs() - runs, self.daemon.proc_status("VmHWM"), descriptors);
        told
    }

    fn beat_until(&self, is_over: &AtomicBool) -> Told {
        let mut told = Told { refused: Vec::new(), times: Vec::new(), runs: 0, peak_kib: 0, descriptors: 0 };
        while !is_over.load(Ordering::Relaxed) || told.times.len() < BEATS_MIN {
            let begin = Instant::now();
            match self.daemon.try_beat() {
                Ok(answer) if answer.status == 200 => {}
                other => told.refused.push(format!("{other:?}")),
            }
            told.times.push(begin.elapsed());
            thread::sleep(Duration::from_millis(20));
        }
        told
    }

    fn most_descriptors(&self, is_over: &AtomicBool) -> usize {
        let mut most = 0;
        while !is_over.load(Ordering::Relaxed) {
            most = most.max(descriptors(&self.daemon));
            thread::sleep(Duration::from_millis(5));
        }
        most
    }

    fn runs(&self) -> i64 {
        self.edge_box.number("SELECT max(id) FROM data_flow_runs")
    }

    /// Everything that must hold.
    pub(crate) fn has_held(&self, told: &Told) {
        self.print(told);
        let refused = told.refused.len();
        assert_eq!(refused, 0, "of {} heartbeats; the first: {}", told.times.len(), told.refused[0]);
        assert!(told.runs > 0, "what is due runs");
        let most = if cfg!(debug_assertions) {
            self.resident_kib + RESIDENT_KIB_MAX - IDLE_RELEASE_KIB + DEBUG_CODE_KIB
        } else {
            RESIDENT_KIB_MAX
        };
        assert!(told.peak_kib <= most, "{} KiB at its peak, {} KiB before", told.peak_kib, self.resident_kib);
        let held = told.descriptors.saturating_sub(self.descriptors);
        assert!(held <= DESCRIPTORS_MORE, "{held} descriptors more than before");
        until("all descriptors are given back", || descriptors(&self.daemon) <= self.descriptors);
        self.is_idle();
        assert_eq!(self.daemon.beat().status, 200);
    }

    /// Nothing keeps the loop turning once nobody calls. A second in which the machine did not let it sleep is not the only one.
    fn is_idle(&self) {
        until("its runs have ended", || !self.edge_box.has_open_runs());
        eventually("it is idle", || {
            let before = self.cpu_ticks();
            thread::sleep(Duration::from_secs(1));
            (self.cpu_ticks() - before <= IDLE_TICKS_MAX).then_some(())
        });
    }

    /// Processor time so far, in hundredths of a second (proc(5), `USER_HZ`).
    pub(crate) fn cpu_ticks(&self) -> u64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.daemon.pid())).expect("look at it");
        let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
        fields.map(|field| field.parse::<u64>().expect("a number")).sum()
    }

    /// Not by a macro, since what those print is shown only of tests that fail.
    fn print(&self, told: &Told) {
        let mut times = told.times.clone();
        times.sort();
        let of = |percent: usize| times[(times.len() - 1) * percent / 100].as_secs_f64() * 1e3;
        let _nobody_reads_it = writeln!(
            std::io::stderr(),
            "{}: {} honest heartbeats, {} refused, {:.1} ms in the middle, {:.1} ms of a hundred, {:.1} ms at most; {} runs; \
             {} KiB resident before, {} at the peak; {} descriptors before, {} at most; {:.2} s of CPU",
            thread::current().name().unwrap_or_default(),
            times.len(),
            told.refused.len(),
            of(50),
            of(99),
            of(100),
            told.runs,
            self.resident_kib,
            told.peak_kib,
            self.descriptors,
            told.descriptors,
            self.cpu_ticks() as f64 / 100.0,
        );
    }

    /// Lets the daemon see the flow files that have come.
    pub(crate) fn reload(&self) {
        self.daemon.signal(Signal::HUP);
        self.daemon.until_logged("reloaded");
    }

    /// A heartbeat that claims everything, so that there are runs to name.
    pub(crate) fn claimed(&self) -> Heartbeat {
        let heartbeat = Heartbeat::new();
        assert_eq!(self.daemon.send(&heartbeat.clone().wait(30)).status, 200);
        heartbeat
    }
}

fn descriptors(daemon: &Daemon) -> usize {
    fs::read_dir(format!("/proc/{}/fd", daemon.pid())).expect("look at its descriptors").count()
}
