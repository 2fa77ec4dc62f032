//! `beat`: real signed heartbeats, as an agent sends them.

use serde::Deserialize;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

use super::Context;
use super::arguments::Beat;
use super::client::{self, Answer, Client, ClientError, Url};
use super::failure::{Exit, Failure};
use super::output::{Paint, Table, note};
use super::printable::printable;
use super::sign::{self, Headers};
use crate::auth::Secret;
use crate::config::Config;
use crate::setup;
use crate::store::{RunId, Store};
use crate::time::format_duration;
use crate::words;

/// How long an answer may take beyond the time that was asked to be waited.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// From a heartbeat that failed to the next try, with `--every`; doubled each time, ...
const BACKOFF_MIN: Duration = Duration::from_millis(500);
/// ... up to this.
const BACKOFF_MAX: Duration = Duration::from_secs(60);

/// What proves the sender.
enum Credentials {
    Secret(Box<Secret>),
    Token(Zeroizing<String>),
    /// `authentication_enabled = false`.
    None,
}

/// Sends heartbeats until there were enough.
pub(super) fn run(context: &Context, beat: &Beat) -> Result<(), Failure> {
    let (url, credentials) = target(context, beat)?;
    // Without these two it reads no configuration.
    let is_configured = beat.url.is_none() || beat.secret_file.is_none();
    let mut agent =
        Agent { context, is_configured, url, credentials, wait: beat.wait, client: Client::default() };
    let Some(every) = beat.every else {
        return agent.beat(&sign::new_id()?).map_err(|missed| missed.failure);
    };
    let mut failed = None;
    let mut next = Instant::now();
    for _ in 0..beat.count.unwrap_or(u64::MAX) {
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
        // A slow answer delays the next heartbeat, and does not make several at once.
        next = (next + every).max(Instant::now());
        match agent.beat_until(next) {
            Err(failure) if failure.exit == Exit::Done => return Err(failure),
            Err(failure) => {
                failed = Some(failure.exit);
                failure.with(&context.hints).tell();
            }
            Ok(()) => {}
        }
    }
    failed.map_or(Ok(()), |exit| Err(Failure::told(exit)))
}

fn target(context: &Context, beat: &Beat) -> Result<(Url, Credentials), Failure> {
    let given = beat.url.as_deref().map(|text| {
        client::url(text).map_err(|reason| {
            let help = "give it as http://HOST:PORT/data_flows/heartbeat";
            Failure::new(Exit::Usage, format!("--url {}: {reason}", printable(text)), help)
        })
    });
    let url = match given {
        Some(url) => url?,
        None => url_of(&context.load()?.config)?,
    };
    if let Some(file) = &beat.secret_file {
        return Ok((url, Credentials::Secret(Box::new(sign::secret(context, Some(file))?))));
    }
    let loaded = context.load()?;
    let secrets = setup::signing_secrets(&loaded.config, &context.environment)?;
    let credentials = match sign::lasting(secrets, crate::server::now()) {
        Some(secret) => Credentials::Secret(Box::new(secret)),
        None => match setup::token_text(&loaded.config, &context.environment)? {
            Some(token) => Credentials::Token(token),
            None if !loaded.config.authentication_enabled => Credentials::None,
            None => Credentials::Secret(Box::new(sign::secret(context, None)?)),
        },
    };
    Ok((url, credentials))
}

/// Where the configuration's own daemon is reached.
fn url_of(config: &Config) -> Result<Url, Failure> {
    let known = config.listen.iter().find(|address| address.port() != 0);
    let Some(address) = known else {
        let help = "give the address with --url; `serve --port-file FILE` tells the port";
        return Err(Failure::new(Exit::Usage, "`listen` leaves the port open (port 0)", help));
    };
    url_at(*address, &config.endpoint_path)
}

/// The heartbeat at this address; the loopback one where every interface is listened on.
pub(super) fn url_at(address: SocketAddr, endpoint_path: &str) -> Result<Url, Failure> {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    let text = format!("http://{}{endpoint_path}", SocketAddr::new(ip, address.port()));
    client::url(&text).map_err(|reason| {
        Failure::new(
            Exit::Configuration,
            format!("{text}: {reason}"),
            "see `endpoint_path` in the configuration",
        )
    })
}

/// Who sends heartbeats, over one connection as far as that lasts.
struct Agent<'a> {
    context: &'a Context,
    is_configured: bool,
    url: Url,
    credentials: Credentials,
    wait: Option<Duration>,
    client: Client,
}

/// A heartbeat that came to nothing.
struct Missed {
    failure: Failure,
    /// When to try again, if that may help.
    again_after: Option<Duration>,
}

impl From<Failure> for Missed {
    fn from(failure: Failure) -> Self {
        Self { failure, again_after: None }
    }
}

impl Agent<'_> {
    /// Sends a heartbeat, again and again where that may help, as long as the next one is not due.
    fn beat_until(&mut self, next: Instant) -> Result<(), Failure> {
        let id = sign::new_id()?;
        let mut backoff = BACKOFF_MIN;
        loop {
            let Err(Missed { failure, again_after }) = self.beat(&id) else { return Ok(()) };
            let pause = again_after.map(|asked| asked.max(backoff));
            let Some(pause) = pause.filter(|pause| *pause < next.saturating_duration_since(Instant::now()))
            else {
                return Err(failure);
            };
            failure.with(&self.context.hints).tell();
            note(&format!("trying again in {}", format_duration(pause)));
            std::thread::sleep(pause);
            backoff = (2 * backoff).min(BACKOFF_MAX);
        }
    }

    /// Sends a heartbeat with this id, signed now.
    fn beat(&mut self, id: &str) -> Result<(), Missed> {
        let mut fields: Vec<(&str, String)> = match &self.credentials {
            Credentials::Secret(secret) => Headers::of(id, secret, b"").fields().into(),
            Credentials::Token(token) => vec![("x-heartbeat-token", token.as_str().to_owned())],
            Credentials::None => vec![("webhook-id", id.to_owned())],
        };
        let mut timeout = ANSWER_TIMEOUT;
        if let Some(wait) = self.wait {
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            fields.push(("prefer", format!("wait={seconds}")));
            timeout += wait;
        }
        let request = Zeroizing::new(client::post(&self.url, &fields, b""));
        let answer = self.client.exchange(&self.url, &request, timeout).map_err(|error| Missed {
            failure: unreached(&self.url, &error),
            again_after: Some(Duration::ZERO),
        })?;
        let again_after = match answer.status {
            429 | 503 => Some(answer.retry_after(crate::server::now()).unwrap_or_default()),
            _ => None,
        };
        self.tell(&answer).map_err(|failure| Missed { failure, again_after })
    }

    fn tell(&self, answer: &Answer) -> Result<(), Failure> {
        let (output, text) = (&self.context.output, String::from_utf8_lossy(&answer.body));
        let text = text.trim();
        if output.json && !text.is_empty() {
            // Whatever answers there: what a program reads is JSON.
            match serde_json::from_str::<serde::de::IgnoredAny>(text) {
                Ok(_) => output.json(text)?,
                Err(_) => output.value(&text)?,
            }
        }
        match (answer.status, serde_json::from_slice::<Accepted>(&answer.body)) {
            (200..300, _) if output.json => Ok(()),
            (200..300, Ok(accepted)) => self.tell_accepted(&accepted),
            // Another program's answer is shown as it is.
            (200..300, Err(_)) => output.line(text),
            _ => Err(refused(&self.url, answer, text)),
        }
    }

    fn tell_accepted(&self, accepted: &Accepted) -> Result<(), Failure> {
        let output = &self.context.output;
        let mut line = format!("{} due, {} triggered", accepted.flows_due, accepted.flows_triggered);
        for (count, what) in [(accepted.flows_skipped, "skipped"), (accepted.flows_deferred, "deferred")] {
            if count > 0 {
                line.push_str(&format!(", {count} {what}"));
            }
        }
        if accepted.duplicate {
            line.push_str(", a duplicate");
        }
        output.line(line)?;
        let (mut table, mut on_record) = (Table::default(), None);
        let record = self.record(&accepted.runs);
        for run in &accepted.runs {
            let why = record.as_ref().and_then(|store| why(store, run, accepted.heartbeat_id.as_deref()));
            on_record = on_record.or(why.as_ref().map(|_| run.id));
            table.row(vec![
                (Paint::Dim, format!("  run {}", run.id)),
                (Paint::Plain, run.flow.clone()),
                (run.paint(), run.status.clone()),
                (Paint::Plain, run.duration_ms.map(words::duration_ms).unwrap_or_default()),
                (Paint::Plain, why.unwrap_or_else(|| run.kind())),
            ]);
        }
        output.table(&table)?;
        if accepted.runs_truncated {
            output.line("  and more")?;
        }
        match on_record.filter(|_| !output.quiet) {
            Some(id) => {
                let hint = format!("`heartbeatd runs show {id}` tells more");
                output.line(self.context.hints.complete(&hint))
            }
            None => Ok(()),
        }
    }

    /// The record of what runs came to, if this is a box with one and any of these failed.
    fn record(&self, runs: &[Started]) -> Option<Store> {
        if !self.is_configured || runs.iter().all(|run| run.status != "failed") {
            return None;
        }
        self.context.open_to_read(&self.context.load().ok()?).ok()
    }
}

/// Why a run failed, where it is on record here: the answer does not say it, for an agent is no operator.
fn why(store: &Store, run: &Started, heartbeat: Option<&str>) -> Option<String> {
    if run.status != "failed" {
        return None;
    }
    let recorded = store.run(RunId(run.id)).ok()??;
    // The daemon that answered may be another box's.
    recorded.error_message.filter(|_| heartbeat.is_some() && recorded.heartbeat_id.as_deref() == heartbeat)
}

impl Started {
    fn paint(&self) -> Paint {
        match self.status.as_str() {
            "success" => Paint::Green,
            "failed" => Paint::Red,
            _ => Paint::Cyan,
        }
    }

    /// What the answer says of its failure.
    fn kind(&self) -> String {
        match (self.error_kind.as_deref(), self.exit_code) {
            (Some("exit_status"), Some(code)) => format!("exit status {code}"),
            (kind, _) => kind.unwrap_or_default().to_owned(),
        }
    }
}

fn unreached(url: &Url, error: &ClientError) -> Failure {
    let help = match error {
        ClientError::Unreachable(_) => "is the daemon running (`heartbeatd serve`), and is this its address?",
        ClientError::Closed(_) | ClientError::NoAnswer(_) => {
            "is it heartbeatd that listens there? Its log says more"
        }
    };
    Failure::new(Exit::Unreachable, format!("{url}: {error}"), help)
}

fn refused(url: &Url, answer: &Answer, text: &str) -> Failure {
    let exit = match answer.status {
        401 | 403 | 429 => Exit::Refused,
        503 => Exit::TryAgain,
        _ => Exit::Failed,
    };
    let problem: Problem = serde_json::from_slice(&answer.body).unwrap_or_default();
    let what = if problem.error.is_empty() {
        text.to_owned()
    } else {
        format!("{}: {}", problem.error, problem.detail)
    };
    let short: String = printable(&what).chars().take(300).collect();
    let help = match answer.status {
        401 => "use the secret of that daemon, and compare both clocks",
        403 => "let this address into its `whitelisted_ips`",
        429 => "too many wrong signatures came from here: wait a minute",
        503 if problem.error == "clock_not_set" => "set that box's clock (`timedatectl`), and send it again",
        503 => "it answers, and cannot record a run just now: try again later",
        404 | 405 => "is this its `endpoint_path`?",
        _ => "its log says more",
    };
    Failure::new(exit, format!("{url}: {}: {short}", answer.status), help)
}

/// The members of an answer that are told in text.
#[derive(Debug, Deserialize)]
struct Accepted {
    flows_due: u64,
    flows_triggered: u64,
    flows_skipped: u64,
    flows_deferred: u64,
    duplicate: bool,
    heartbeat_id: Option<String>,
    runs: Vec<Started>,
    #[serde(default)]
    runs_truncated: bool,
}

#[derive(Debug, Deserialize)]
struct Started {
    id: i64,
    flow: String,
    status: String,
    exit_code: Option<i64>,
    error_kind: Option<String>,
    duration_ms: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
struct Problem {
    error: String,
    detail: String,
}
