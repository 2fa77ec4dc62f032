//! `verify`: a captured request, judged offline by the very code that judges it in the daemon.

use serde_json::json;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use super::Context;
use super::arguments::Verify;
use super::failure::{Exit, Failure};
use super::output::{Paint, note};
use super::sign::{BODY_BYTES_MAX, read_input};
use crate::auth::Allowlist;
use crate::config::Config;
use crate::gate::{Gate, Passage};
use crate::http::{self, ErrorCode, Field, Progress, Receiver, Request};
use crate::setup;
use crate::time::{Monotonic, Now, Wall, format_duration};

/// What the daemon would say.
struct Verdict {
    /// Whether it got past the reader: it is HTTP, and within the limits.
    readable: bool,
    /// The answer's `error`, and its sentence; none if the request would be accepted.
    refused: Option<(&'static str, String)>,
    agent: Option<String>,
    id: Option<String>,
    signed_at: Option<Wall>,
}

/// Judges the request in a file.
pub(super) fn run(context: &Context, verify: &Verify) -> Result<(), Failure> {
    let (config, environment) = match &verify.secret_file {
        Some(secret) => (with_secret(context, secret), &[][..]),
        None => (context.load()?.config, context.environment.as_slice()),
    };
    let limits = http::Limits {
        head_bytes: config.limits.head_bytes,
        headers: config.limits.headers,
        body_bytes: config.limits.body_bytes,
    };
    let bytes = read_input(&verify.file, BODY_BYTES_MAX + limits.head_bytes)?;
    let mut gate = gate(config.clone(), environment)?;
    let mut receiver = Receiver::new();
    receiver.receive(&bytes);
    let now = Now { wall: crate::server::now(), monotonic: Monotonic::since_start(Default::default()) };
    let verdict = match receiver.poll(&limits) {
        Progress::Request(request) => judge(&mut gate, &request, now),
        Progress::Refused(refusal) if refusal.code != ErrorCode::BadRequest => Verdict {
            readable: false,
            refused: Some((refusal.code.as_str(), refusal.detail.into_owned())),
            agent: None,
            id: None,
            signed_at: None,
        },
        Progress::Refused(refusal) => {
            let error = format!("{}: {}", name(&verify.file), refusal.detail);
            let help = "give the raw bytes as they were sent: CRLF line ends, head, empty line, body";
            return Err(Failure::new(Exit::Data, error, help));
        }
        Progress::Idle | Progress::Head | Progress::Body { .. } => {
            let error = format!("{}: the request is not complete", name(&verify.file));
            let help = "give all of it: head, empty line, and as much body as Content-Length says";
            return Err(Failure::new(Exit::Data, error, help));
        }
    };
    tell(context, &config, &verdict, now.wall)
}

fn name(path: &Path) -> String {
    if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() }
}

/// The configuration with another secret and nothing else that proves a sender; the defaults where there is none that is
/// right.
fn with_secret(context: &Context, secret: &Path) -> Config {
    let config = match context.load() {
        Ok(loaded) => loaded.config,
        Err(_) => {
            note("warning: no configuration can be used: judged by the default path, limits and tolerance");
            Config::defaults(Path::new("/"))
        }
    };
    Config {
        authentication_enabled: true,
        signing_secret_files: vec![secret.to_owned()],
        signing_secret_files_given: true,
        authentication_token_file: None,
        agents: Vec::new(),
        ..config
    }
}

/// The daemon's own, but for addresses: offline there are none.
fn gate(mut config: Config, environment: &[(String, String)]) -> Result<Gate, Failure> {
    config.agents.iter_mut().for_each(|agent| agent.whitelisted_ips = None);
    let keyring = setup::keyring(&config, environment)?;
    let nobody = Allowlist::new(Vec::new());
    Ok(Gate::new(config.endpoint_path, keyring, None, nobody, config.limits.failed_signatures_per_minute))
}

fn judge(gate: &mut Gate, request: &Request<'_>, now: Now) -> Verdict {
    let text = |field| match request.field(field) {
        Field::One(value) => Some(String::from_utf8_lossy(value).into_owned()),
        Field::Absent | Field::Repeated => None,
    };
    let seconds = text("webhook-timestamp").and_then(|seconds| seconds.parse().ok());
    let mut verdict = Verdict {
        readable: true,
        refused: None,
        agent: None,
        id: text("webhook-id"),
        signed_at: seconds.map(Wall::from_seconds),
    };
    match gate.pass(request, IpAddr::V4(Ipv4Addr::LOCALHOST), now, None) {
        Passage::Heartbeat { verified, .. } => {
            verdict.agent = Some(verified.agent().to_string());
            // What is proved goes before what is only said.
            verdict.id = verified.id().map(str::to_owned);
            verdict.signed_at = verified.signed_at();
        }
        Passage::Health | Passage::Readiness | Passage::Options(_) => {
            verdict.refused = Some(("not_found", "this is a question, not a heartbeat".to_owned()));
        }
        Passage::Refused(denial) => {
            verdict.refused = Some((denial.code.as_str(), denial.detail.into_owned()))
        }
    }
    verdict
}

fn tell(context: &Context, config: &Config, verdict: &Verdict, now: Wall) -> Result<(), Failure> {
    let output = &context.output;
    let skew_s = verdict.signed_at.map(|signed| now.as_seconds().saturating_sub(signed.as_seconds()));
    if output.json {
        output.value(&json!({
            "accepted": verdict.refused.is_none(),
            "error": verdict.refused.as_ref().map(|(code, _)| code),
            "detail": verdict.refused.as_ref().map(|(_, detail)| detail),
            "agent": verdict.agent,
            "webhook_id": verdict.id,
            "signed_at": verdict.signed_at,
            "skew_s": skew_s,
        }))?;
    } else {
        for (passed, what) in checks(verdict, config, skew_s) {
            let mark = match passed {
                Some(true) => (Paint::Green, "passes"),
                Some(false) => (Paint::Red, " fails"),
                None => (Paint::Dim, "     -"),
            };
            output.painted(&[mark, (Paint::Plain, &format!("  {what}"))])?;
        }
    }
    match &verdict.refused {
        None => Ok(()),
        Some((code, detail)) => {
            let help = help_for(code, &config.endpoint_path);
            Err(Failure::new(Exit::Refused, format!("it would be refused: {code}: {detail}"), help))
        }
    }
}

/// The daemon's checks in their order; what comes after the one that fails is not judged.
fn checks(verdict: &Verdict, config: &Config, skew_s: Option<i64>) -> Vec<(Option<bool>, String)> {
    let failed = verdict.refused.as_ref().map(|(code, _)| *code);
    let route = match failed {
        _ if !verdict.readable => None,
        Some("not_found" | "method_not_allowed" | "not_implemented" | "unsupported_media_type") => {
            Some(false)
        }
        _ => Some(true),
    };
    let timing = matches!(failed, Some("timestamp_too_old" | "timestamp_too_new" | "clock_not_set"));
    let signature = route.filter(|passed| *passed).map(|_| failed.is_none() || timing);
    let time = signature.filter(|passed| *passed).map(|_| !timing);
    let agent = verdict.agent.as_ref().map(|agent| format!(", agent {agent}")).unwrap_or_default();
    let skew = match skew_s {
        Some(0) => ", no skew".to_owned(),
        Some(skew_s) => {
            let by = format_duration(std::time::Duration::from_secs(skew_s.unsigned_abs()));
            format!(", signed {by} {} this clock", if skew_s > 0 { "behind" } else { "ahead of" })
        }
        None => String::new(),
    };
    vec![
        (None, "address: not known offline".to_owned()),
        (Some(verdict.readable), "HTTP: it reads as one request, within the limits".to_owned()),
        (route, format!("path and method: POST {}", config.endpoint_path)),
        (signature, format!("credentials{agent}")),
        (time, format!("time{skew}")),
    ]
}

fn help_for(code: &str, endpoint_path: &str) -> String {
    match code {
        "not_found" | "method_not_allowed" | "not_implemented" => {
            format!("a heartbeat is POST {endpoint_path}")
        }
        "body_too_large" | "head_too_large" | "uri_too_long" => {
            "send less, or raise what `[limits]` allows".to_owned()
        }
        "unsupported_media_type" => "send the body as it is, without Content-Encoding".to_owned(),
        "signature_missing" => "sign it: `heartbeatd sign` prints the three headers".to_owned(),
        "signature_malformed" => "compare with what `heartbeatd sign` prints".to_owned(),
        "timestamp_too_old" | "timestamp_too_new" => {
            "the signature itself is good: set the clocks, or capture it anew".to_owned()
        }
        "clock_not_set" => "the signature itself is good: set this box's clock".to_owned(),
        _ => "is it the same secret on both sides, and the body as it was signed?".to_owned(),
    }
}
