//! Reload: configuration, secrets and flow files are read anew and judged whole; what is right comes into force at once,
//! with the round's commit. Until then, and if anything is wrong, all is as before.
//!
//! The reading is synchronous: the files are local, small and bounded, and nobody else has a turn meanwhile. However
//! often it is asked for in a round, it is done once.

use log::LevelFilter;
use std::path::{Path, PathBuf};

use super::{Options, Server};
use crate::config::{Fault, Faults};
use crate::control::{Rendered, problem, tell_reloaded};
use crate::flow::Kinds;
use crate::gate::Gate;
use crate::http;
use crate::runtime::{ConnectionId, Event, Followed, Refusal, Reload};
use crate::status::Viewers;
use crate::time::Now;

/// Who reads files for the shell.
pub trait Files {
    /// The configuration's folder, where commands start by default.
    fn directory(&self) -> &Path;

    /// The file of the flows folder that this flow comes from, if it is there.
    fn flow_file(&self, flow: &str) -> Option<PathBuf>;

    /// Reads everything anew: what is the runtime's, and what is the shell's.
    ///
    /// # Errors
    /// Every fault of configuration and secrets. A bad flow file is none: its flow keeps its last good definition.
    fn read(&mut self, kinds: &Kinds) -> Result<(Reload, Fresh), Faults>;

    /// What was read last is in force from now on.
    fn adopt(&mut self);
}

/// A program that reads none.
pub(super) struct NoFiles;

impl Files for NoFiles {
    fn directory(&self) -> &Path {
        Path::new("/")
    }

    fn flow_file(&self, _: &str) -> Option<PathBuf> {
        None
    }

    fn read(&mut self, _: &Kinds) -> Result<(Reload, Fresh), Faults> {
        let message = "this program reads no configuration";
        Err(Fault::of_environment(message, "start it anew with other settings").into())
    }

    fn adopt(&mut self) {}
}

/// What was read and is right, and is the shell's.
#[derive(Debug)]
pub struct Fresh {
    /// For the heartbeat port.
    pub gate: Gate,
    /// For the status port.
    pub viewers: Viewers,
    /// For the shell.
    pub options: Options,
    /// What is logged; none: as before.
    pub log_level: Option<LevelFilter>,
    /// Keys that were changed and that only a restart changes.
    pub until_restart: Vec<&'static str>,
    /// What is wrong with flow files.
    pub bad_flow_files: Vec<Fault>,
}

/// A reload that is wanted, and those who are told how it ends.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    wanted: bool,
    callers: Vec<ConnectionId>,
    fresh: Option<Box<Fresh>>,
}

impl Wanted {
    pub(super) fn ask(&mut self, caller: Option<ConnectionId>) {
        self.wanted = true;
        self.callers.extend(caller);
    }
}

impl Server {
    /// Reads everything anew, if somebody wants it.
    pub(super) fn reload_if_wanted(&mut self, now: Now) {
        if !std::mem::take(&mut self.reload.wanted) {
            return;
        }
        self.notify_of_reload(now);
        match self.files.read(self.runtime.kinds()) {
            Ok((reload, fresh)) => {
                self.runtime.handle(Event::Reload(Box::new(reload)), now);
                self.reload.fresh = Some(Box::new(fresh));
            }
            Err(faults) => {
                let faults: Vec<Fault> = faults.into_iter().collect();
                for fault in &faults {
                    log::error!("reload: everything stays as it was: {fault}; {}", fault.help_line());
                }
                let first = faults.first().map(ToString::to_string).unwrap_or_default();
                let told = tell_reloaded(Err(&faults), &self.facts);
                self.reload_failed(first, &told, now);
            }
        }
    }

    /// What was read is committed, or could not be.
    pub(super) fn reloaded(&mut self, outcome: Result<Followed, Refusal>, now: Now) {
        let Some(fresh) = self.reload.fresh.take() else { return };
        match outcome {
            Ok(followed) => {
                let until_restart = fresh.until_restart.clone();
                self.switch(*fresh, now);
                if !until_restart.is_empty() {
                    log::warn!(keys = until_restart.join(","); "these keys keep their values until the next start");
                }
                log::info!(
                    created = followed.created, updated = followed.updated, disabled = followed.disabled.len(),
                    bad_files = self.facts.bad_flow_files.len();
                    "reloaded"
                );
                let told = tell_reloaded(Ok((&followed, &until_restart)), &self.facts);
                self.tell_callers(&told, now);
            }
            Err(refusal) => {
                let (code, detail) = super::act::explain(&refusal);
                log::error!("reload: everything stays as it was: {detail}");
                let told = problem(code, &detail);
                self.reload_failed(detail, &told, now);
            }
        }
    }

    fn switch(&mut self, fresh: Fresh, now: Now) {
        self.files.adopt();
        self.gate.succeed(fresh.gate);
        self.watch.watchers.changed();
        if self.watch.viewers != fresh.viewers {
            self.watch.viewers = fresh.viewers;
            self.close_watchers(now);
        }
        self.children.keep_output(fresh.options.output_bytes);
        self.counters.log_at_most(fresh.options.limits.failed_signatures_per_minute);
        self.options = fresh.options;
        self.http_limits = http_limits(&self.options);
        if let Some(level) = fresh.log_level {
            log::set_max_level(level);
        }
        self.facts.bad_flow_files = fresh.bad_flow_files;
        self.facts.reload_error = None;
    }

    fn reload_failed(&mut self, why: String, told: &Rendered, now: Now) {
        self.facts.failed_reloads += 1;
        self.watch.watchers.changed();
        self.facts.reload_error = Some(why);
        self.tell_callers(told, now);
    }

    fn tell_callers(&mut self, told: &Rendered, now: Now) {
        self.notify_of_reloaded(now);
        for caller in std::mem::take(&mut self.reload.callers) {
            if let Some(index) = self.index_of(caller) {
                self.tell(index, told, &[], now);
                self.look_again(index);
            }
        }
    }
}

/// The HTTP core's share of the limits.
pub(super) fn http_limits(options: &Options) -> http::Limits {
    let crate::config::Limits { head_bytes, headers, body_bytes, .. } = options.limits;
    http::Limits { head_bytes, headers, body_bytes }
}
