//! From the outbox to the receiver: one alert at a time, recorded as tried before it is, and tried again after a while until it
//! is taken or given up.

use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::super::{Action, Cleanup, Exchange, Job, Output, Runtime, Signal, Signature, Unanswered};
use super::rules::printable;
use super::{Alerts, Recipient};
use crate::flow::{Command, Exit, FNV_BASIS, Launch, Retry, fnv1a};
use crate::http::client::{Answer, Method, Url};
use crate::limits;
use crate::store::{Alert, Result};
use crate::time::{Monotonic, Now, Wall, format_duration, millis};

/// A delivery that is on record as tried.
#[derive(Debug)]
pub(super) struct UnderWay {
    alert: Alert,
    /// Who was asked, if no command was: by now another one may be told.
    asked: Option<Url>,
    command: Option<CommandStage>,
}

/// What was done about a command's end.
#[derive(Clone, Copy, Debug)]
enum CommandStage {
    /// It is told to end at this time.
    Runs { until: Monotonic },
    /// It was; KILL follows at this time.
    Terminated { kill_at: Monotonic },
    /// KILL was sent.
    Killed,
}

/// What came of a try.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    Taken,
    /// Why not.
    Failed(String),
    /// Why the receiver, which is there, did not take this one: others need not wait.
    Refused(String),
    /// The receiver wants no more of it.
    Gone(String),
}

/// What is on record of a try.
#[derive(Debug)]
pub(super) enum Settled {
    Taken(usize),
    /// Why; how many tries in a row have found nobody, and how long nothing is tried.
    Failed {
        why: String,
        failures: u32,
        pause: Duration,
    },
    GivenUp(usize, String),
}

/// A try that is on record.
#[derive(Debug)]
pub(super) struct Begun(Alert);

impl UnderWay {
    pub(super) fn deadline(&self) -> Option<Monotonic> {
        match self.command? {
            CommandStage::Runs { until } => Some(until),
            CommandStage::Terminated { kill_at } => Some(kill_at),
            CommandStage::Killed => None,
        }
    }
}

impl Alerts {
    /// What became of the try is on record.
    pub(super) fn settle(&mut self, settled: Settled, now: Now) {
        let Some(UnderWay { alert, .. }) = self.under_way.take() else { return };
        self.outcome = None;
        let (id, kind, tried) = (format!("alert_{}", alert.uid), alert.kind, alert.attempts);
        let mut forget = |rows: usize| self.counts.queued = self.counts.queued.saturating_sub(rows as u64);
        match settled {
            Settled::Taken(rows) => {
                forget(rows);
                self.counts.delivered += 1;
                (self.failures, self.paused_until, self.is_answering) = (0, None, true);
                log::info!(alert = id.as_str(), "type" = kind.as_str(), tried; "alert delivered");
            }
            Settled::Failed { why, failures, pause } => {
                self.counts.failed_attempts += 1;
                self.failures = failures;
                self.is_answering = false;
                self.paused_until = Some(now.monotonic + pause);
                log::warn!(alert = id.as_str(), "type" = kind.as_str(), tried, pause_ms = millis(pause); "alert not delivered: {why}");
            }
            Settled::GivenUp(rows, why) => {
                forget(rows);
                self.counts.failed_attempts += 1;
                self.counts.given_up += 1;
                log::error!(alert = id.as_str(), "type" = kind.as_str(), tried; "alert given up: {why}");
            }
        }
    }
}

impl Runtime {
    /// Records what became of the last try, and begins the next one. Whether there is something to try is known without the
    /// database.
    pub(in super::super) fn deliver_alerts(&mut self, now: Now) -> Result<()> {
        if let (Some(outcome), Some(under_way)) = (&self.alerts.outcome, &self.alerts.under_way) {
            let settled = self.record_outcome(&under_way.alert.clone(), outcome.clone(), now)?;
            self.tick.delta.alerts.settled = Some(settled);
        }
        let alerts = &self.alerts;
        let delta = &self.tick.delta.alerts;
        let is_free = alerts.under_way.is_none() || delta.settled.is_some();
        let may_begin = is_free && !alerts.has_leftovers && !self.phase.is_stopping() && alerts.are_wanted();
        let is_due = alerts.look_at.is_some_and(|at| now.monotonic >= at);
        if !may_begin || !(is_due || delta.settled.is_some() || !delta.created.is_empty()) {
            return Ok(());
        }
        let (paused_until, is_answering) = match &delta.settled {
            Some(Settled::Taken(_)) => (None, true),
            Some(Settled::Failed { pause, .. }) => (Some(now.monotonic + *pause), false),
            Some(Settled::GivenUp(..)) | None => (alerts.paused_until, alerts.is_answering),
        };
        self.begin_next(paused_until, is_answering, now)
    }

    fn begin_next(&mut self, paused_until: Option<Monotonic>, is_answering: bool, now: Now) -> Result<()> {
        if let Some(until) = paused_until.filter(|until| now.monotonic < *until) {
            self.tick.delta.alerts.look_at = Some(Some(until));
            return Ok(());
        }
        let wait_max = if is_answering { Duration::ZERO } else { limits::ALERT_BACKOFF_MAX };
        let next = self.store.next_alert(now.wall, wait_max)?;
        self.tick.delta.alerts.look_at = Some(match next {
            None => None,
            Some((_, wait)) if wait > Duration::ZERO => Some(now.monotonic + wait),
            Some((alert, _)) => {
                self.ensure_transaction()?;
                let alert = Alert { attempts: alert.attempts.saturating_add(1), ..alert };
                self.store.try_alert(alert.id, now.wall + self.backoff(&alert))?;
                self.tick.delta.alerts.begun = Some(Begun(alert));
                None
            }
        });
        Ok(())
    }

    fn record_outcome(&mut self, alert: &Alert, outcome: Outcome, now: Now) -> Result<Settled> {
        self.ensure_transaction()?;
        let (why, failures) = match outcome {
            Outcome::Taken => return Ok(Settled::Taken(self.store.remove_alert(alert.id)?)),
            Outcome::Gone(why) => return Ok(Settled::GivenUp(self.store.remove_alert(alert.id)?, why)),
            Outcome::Failed(why) => (why, self.alerts.failures.saturating_add(1)),
            Outcome::Refused(why) => (why, 0),
        };
        let is_old = millis_since(alert.created_at, self.at_least_so_late(now.wall))
            >= millis(limits::ALERT_GIVEN_UP_AFTER);
        if is_old && alert.attempts >= limits::ALERT_ATTEMPTS_MIN {
            return Ok(Settled::GivenUp(self.store.remove_alert(alert.id)?, why));
        }
        self.store.alert_failed(alert.id, now.wall + self.backoff(alert), &why)?;
        let salt = self.alert_salt(alert);
        let pause = if failures == 0 { Duration::ZERO } else { backoff_after(failures, salt) };
        Ok(Settled::Failed { why, failures, pause })
    }

    fn backoff(&self, alert: &Alert) -> Duration {
        backoff_after(alert.attempts, self.alert_salt(alert))
    }

    /// Another number for each box and alert, so that not all boxes of a fleet try at the same time.
    fn alert_salt(&self, alert: &Alert) -> u64 {
        fnv1a(alert.id.unsigned_abs() ^ FNV_BASIS, self.database_id.bytes())
    }

    /// The try is on record: it is made.
    pub(super) fn begin_delivery(&mut self, Begun(alert): Begun, now: Now, actions: &mut Vec<Action>) {
        let body = body_of(&alert);
        let id = format!("alert_{}", alert.uid);
        let (mut asked, mut command) = (None, None);
        match &self.alerts.settings.to {
            Some(Recipient::Url { url, secret_file }) => {
                asked = Some(url.clone());
                let exchange = exchange(url, secret_file, id, body);
                actions.push(Action::Exchange(Job::Alert, Box::new(exchange)));
            }
            Some(Recipient::Command { argv, working_directory }) => {
                let until = now.monotonic + limits::ALERT_TIMEOUT;
                command = Some(CommandStage::Runs { until });
                let launch = self.launch_for(&alert, id, body, argv, working_directory);
                let cleanup = Cleanup { kill_grace: self.settings.kill_grace, leave: false };
                actions.push(Action::Spawn(Job::Alert, Box::new(launch), cleanup));
            }
            // A reload in this very round: it stays on record, and is looked at with the next settings.
            None => return,
        }
        self.alerts.under_way = Some(UnderWay { alert, asked, command });
    }

    fn launch_for(
        &self,
        alert: &Alert,
        id: String,
        body: Vec<u8>,
        argv: &[String],
        directory: &Path,
    ) -> Launch {
        let command = Command {
            argv: argv.to_vec(),
            working_directory: PathBuf::from(directory),
            ..Command::default()
        };
        let launch = command.launch();
        let data: Value = serde_json::from_str(&alert.data).unwrap_or_default();
        let text =
            |name: &str| printable(data[name].as_str().unwrap_or_default(), limits::ERROR_MESSAGE_BYTES_MAX);
        let told = [
            ("HEARTBEAT_ALERT_ID", id),
            ("HEARTBEAT_ALERT_TYPE", alert.kind.clone()),
            ("HEARTBEAT_ALERT_MESSAGE", text("message")),
            ("HEARTBEAT_FLOW", text("flow")),
            ("HEARTBEAT_AGENT", text("agent")),
            ("HEARTBEAT_HOST", printable(&self.alerts.settings.host, limits::ERROR_MESSAGE_BYTES_MAX)),
            ("HEARTBEAT_INSTANCE", self.instance.clone()),
        ];
        let told = told.map(|(name, value)| (name.to_owned(), value));
        Launch { environment: super::super::start::with(&told, launch.environment), stdin: body, ..launch }
    }

    /// Ends a command that takes too long.
    pub(in super::super) fn judge_alert_command(&mut self, now: Now, actions: &mut Vec<Action>) {
        let Some(UnderWay { command: Some(stage), .. }) = &mut self.alerts.under_way else { return };
        let (next, signal) = match *stage {
            CommandStage::Runs { until } if now.monotonic >= until => {
                let kill_at = now.monotonic + self.settings.kill_grace;
                (CommandStage::Terminated { kill_at }, Signal::Terminate)
            }
            CommandStage::Terminated { kill_at } if now.monotonic >= kill_at => {
                (CommandStage::Killed, Signal::Kill)
            }
            _ => return,
        };
        *stage = next;
        actions.push(Action::Signal(Job::Alert, signal));
    }

    pub(in super::super) fn alert_answered(
        &mut self,
        answered: std::result::Result<Box<Answer>, Unanswered>,
    ) {
        let Some(url) = self.alerts.under_way.as_ref().and_then(|it| it.asked.as_ref()) else { return };
        let outcome = match judged(url, answered) {
            Ok(()) => Outcome::Taken,
            // Standard Webhooks: nobody is there any more.
            Err((Some(410), why)) => Outcome::Gone(why),
            // But not those that ask for patience: RFC 9110 section 15.5.9, RFC 8470, RFC 6585 section 4.
            Err((Some(status @ 400..500), why)) if ![408, 425, 429].contains(&status) => {
                Outcome::Refused(why)
            }
            Err((_, why)) => Outcome::Failed(why),
        };
        self.note_outcome(outcome);
    }

    pub(in super::super) fn alert_command_ended(
        &mut self,
        exit: Option<Exit>,
        output: &Output,
        leftovers: bool,
    ) {
        self.alerts.has_leftovers = leftovers;
        let was_told = |under_way: &UnderWay| !matches!(under_way.command, Some(CommandStage::Runs { .. }));
        let took_too_long = self.alerts.under_way.as_ref().is_some_and(was_told);
        if exit == Some(Exit::Code(0)) && !took_too_long {
            return self.note_outcome(Outcome::Taken);
        }
        let mut why = format!("the command ended with {}", Exit::described(exit));
        if took_too_long {
            why = format!("the command took longer than {}", format_duration(limits::ALERT_TIMEOUT));
        }
        let tail = output.tail.trim();
        if !tail.is_empty() {
            let surplus = tail.chars().count().saturating_sub(limits::ALERT_ERROR_CHARACTERS_MAX / 2);
            why = format!("{why}; it wrote: {}", tail.chars().skip(surplus).collect::<String>());
        }
        self.alert_failed(why);
    }

    pub(in super::super) fn alert_failed(&mut self, why: String) {
        self.note_outcome(Outcome::Failed(printable(&why, limits::ALERT_ERROR_CHARACTERS_MAX)));
    }

    /// Recorded in the next round, which comes at once.
    fn note_outcome(&mut self, outcome: Outcome) {
        if self.alerts.is_under_way() {
            self.alerts.outcome = Some(outcome);
        }
    }
}

/// What an answer means; if it is none of success, its status and what to say of it. The path may be a secret.
pub(in super::super) fn judged(
    url: &Url,
    answered: std::result::Result<Box<Answer>, Unanswered>,
) -> std::result::Result<(), (Option<u16>, String)> {
    match answered {
        Ok(answer) if (200..300).contains(&answer.status) => Ok(()),
        Ok(answer) => Err((Some(answer.status), format!("{} answered {}", url.authority(), answer.status))),
        Err(Unanswered { message, .. }) => {
            let message = message.replace(&url.without_query(), url.authority());
            Err((None, printable(&message, limits::ALERT_ERROR_CHARACTERS_MAX)))
        }
    }
}

fn backoff_after(attempts: u32, salt: u64) -> Duration {
    let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let retry = Retry {
        attempts: u32::MAX,
        backoff_ms: ms(limits::ALERT_BACKOFF),
        backoff_cap_ms: ms(limits::ALERT_BACKOFF_MAX),
    };
    retry.delay_after(attempts, salt).unwrap_or(limits::ALERT_BACKOFF_MAX)
}

fn millis_since(earlier: Wall, later: Wall) -> i64 {
    later.as_millis().saturating_sub(earlier.as_millis())
}

/// The same bytes at each try.
fn body_of(alert: &Alert) -> Vec<u8> {
    let data: Value = serde_json::from_str(&alert.data).unwrap_or_default();
    let body = json!({
        "id": format!("alert_{}", alert.uid), "type": alert.kind, "timestamp": alert.created_at, "data": data,
    });
    body.to_string().into_bytes()
}

fn exchange(url: &Url, secret_file: &Path, id: String, body: Vec<u8>) -> Exchange {
    Exchange {
        url: url.clone(),
        method: Method::Post,
        fields: vec![("Content-Type".to_owned(), "application/json".to_owned())],
        field_files: Default::default(),
        body: Some(body),
        signature: Some(Signature { secret_file: secret_file.to_owned(), id }),
        timeout: limits::ALERT_TIMEOUT,
        body_bytes_max: limits::ALERT_ANSWER_BYTES_MAX,
        needs_content: false,
    }
}
