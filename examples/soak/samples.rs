//! What the kernel says of the daemon, again and again, and whether it rises.

use std::time::Duration;

use crate::Outcome;
use crate::daemon::Daemon;
use crate::setting::Setting;

/// Memory may differ by so much between two samples of a daemon that has all it needs, in KiB.
const NOISE_KIB: f64 = 384.0;
/// How sure it must be that a line rises, in standard errors of its slope.
const SURE: f64 = 3.0;
/// What may be resident at any time, in KiB.
const RESIDENT_KIB_MAX: u64 = 16 * 1024;

/// One look.
#[derive(Clone, Copy)]
pub(crate) struct Sample {
    resident_kib: u64,
    anonymous_kib: u64,
    peak_kib: u64,
    pub(crate) descriptors: u64,
    pub(crate) threads: u64,
    database_kib: u64,
    cpu_s: f64,
}

impl Sample {
    pub(crate) fn of(daemon: &Daemon, setting: &Setting) -> Outcome<Self> {
        let descriptors = std::fs::read_dir(format!("/proc/{}/fd", daemon.pid()))?.count();
        Ok(Self {
            resident_kib: daemon.status("VmRSS:")?,
            anonymous_kib: daemon.status("RssAnon:")?,
            peak_kib: daemon.status("VmHWM:")?,
            descriptors: u64::try_from(descriptors)?,
            threads: daemon.status("Threads:")?,
            database_kib: setting.database_bytes() / 1024,
            cpu_s: crate::process::cpu_ns(daemon.pid())? / 1e9,
        })
    }

    fn print(&self, when: &str) {
        let Self { resident_kib, anonymous_kib, peak_kib, descriptors, threads, database_kib, cpu_s } = self;
        println!(
            "{when:>10} {resident_kib:>9} {anonymous_kib:>9} {peak_kib:>9} {descriptors:>6} {threads:>4} {database_kib:>9} {cpu_s:>10.1}"
        );
    }
}

/// All looks, each with its time.
#[derive(Default)]
pub(crate) struct Samples(Vec<(Duration, Sample)>);

/// A line through points, by least squares.
struct Line {
    /// Per second.
    slope: f64,
    slope_error: f64,
    seconds: f64,
}

impl Samples {
    pub(crate) fn add(&mut self, time: Duration, sample: Sample) {
        self.0.push((time, sample));
    }

    pub(crate) fn print(&self, before: &Sample, after: &Sample) {
        println!("      time   RSS KiB  anon KiB  peak KiB    fds thr.    db KiB      CPU s");
        before.print("before");
        let every = (self.0.len() / 20).max(1);
        for (time, sample) in self.0.iter().skip(every - 1).step_by(every) {
            sample.print(&format!("{:.0} s", time.as_secs_f64()));
        }
        after.print("after");
        let line = self.second_half(|sample| sample.anonymous_kib);
        println!(
            "anonymous memory over the second half: {:+.1} KiB, {:+.1} KiB an hour (standard error {:.1})",
            line.slope * line.seconds,
            line.slope * 3600.0,
            line.slope_error * 3600.0
        );
    }

    pub(crate) fn faults(&self, before: &Sample, after: &Sample) -> Vec<String> {
        let mut faults = Vec::new();
        let mut judge = |is_fault: bool, what: String| faults.extend(is_fault.then_some(what));
        for (name, of) in [
            ("resident", (|sample| sample.resident_kib) as fn(&Sample) -> u64),
            ("anonymous", |sample| sample.anonymous_kib),
        ] {
            let line = self.second_half(of);
            let risen = line.slope * line.seconds;
            let is_sure = line.slope > SURE * line.slope_error;
            judge(
                risen > NOISE_KIB && is_sure,
                format!("{name} memory rises: by {risen:.0} KiB over the second half"),
            );
        }
        let peak = after.peak_kib;
        judge(peak > RESIDENT_KIB_MAX, format!("{peak} KiB were resident, of {RESIDENT_KIB_MAX}"));
        let of =
            |name, before: u64, after: u64| format!("{after} {name} are left over, of {before} at the begin");
        judge(
            after.descriptors > before.descriptors,
            of("descriptors", before.descriptors, after.descriptors),
        );
        judge(after.threads > before.threads, of("threads", before.threads, after.threads));
        faults
    }

    fn second_half(&self, of: fn(&Sample) -> u64) -> Line {
        let half = self.0.get(self.0.len() / 2..).unwrap_or_default();
        let points: Vec<(f64, f64)> =
            half.iter().map(|(time, sample)| (time.as_secs_f64(), of(sample) as f64)).collect();
        let count = points.len().max(1) as f64;
        let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
        let (middle, level) = (mean(|point| point.0), mean(|point| point.1));
        let spread: f64 = points.iter().map(|point| (point.0 - middle).powi(2)).sum();
        let slope =
            points.iter().map(|point| (point.0 - middle) * (point.1 - level)).sum::<f64>() / spread.max(1e-9);
        let rest: f64 =
            points.iter().map(|point| (point.1 - level - slope * (point.0 - middle)).powi(2)).sum();
        let slope_error = (rest / (count - 2.0).max(1.0) / spread.max(1e-9)).sqrt();
        let seconds = points.last().map_or(0.0, |last| last.0) - points.first().map_or(0.0, |first| first.0);
        Line { slope, slope_error, seconds }
    }
}
