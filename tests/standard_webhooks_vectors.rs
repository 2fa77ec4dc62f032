//! Every request of `tests/vectors/standard_webhooks.json` gets its verdict through the public library.
#![expect(clippy::expect_used, reason = "the helpers of a test may fail it")]

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use heartbeat_runtime::auth::{
    Agent, Failure, Field, Fields, Form, GitHub, Grafana, Keyring, Scheme, Secret,
};
use heartbeat_runtime::time::Wall;
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Deserialize)]
struct Vectors {
    now: i64,
    tolerance_s: u64,
    cases: Vec<Case>,
    published: Vec<Published>,
    github: GitHubVector,
    grafana: GrafanaVector,
}

/// A request of GitHub's documentation.
#[derive(Deserialize)]
struct GitHubVector {
    secret: String,
    body: String,
    header: String,
    value: String,
}

/// A request as Grafana signs it, with a time and without.
#[derive(Deserialize)]
struct GrafanaVector {
    secret: String,
    timestamp_header: String,
    timestamp: String,
    body: String,
    header: String,
    value: String,
    value_without_timestamp: String,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    verdict: String,
    why: String,
    headers: BTreeMap<String, String>,
    body_base64: String,
    accepted_secrets: Vec<String>,
}

/// Signatures that others published: the specification's own libraries and its documentation.
#[derive(Deserialize)]
struct Published {
    secret: String,
    id: String,
    timestamp: i64,
    body: String,
    signature: String,
}

struct Headers<'a>(&'a BTreeMap<String, String>);

impl Fields for Headers<'_> {
    fn field(&self, name: &str) -> Field<'_> {
        self.0.get(name).map_or(Field::Absent, |value| Field::One(value.as_bytes()))
    }
}

fn vectors() -> Vectors {
    serde_json::from_str(include_str!("vectors/standard_webhooks.json")).expect("the vectors are JSON")
}

fn secret(line: &str) -> Secret {
    Secret::parse_line(line).expect("a secret").expect("a line with a secret")
}

fn keyring(lines: &[String], tolerance: Duration) -> Keyring {
    let secrets = lines.iter().map(|line| secret(line)).collect();
    Keyring::of_default_agent(secrets, None, tolerance).expect("secrets that go together")
}

fn judge(vectors: &Vectors, case: &Case) -> Result<(), Failure> {
    let body = STANDARD.decode(&case.body_base64).expect("base64");
    let keyring = keyring(&case.accepted_secrets, Duration::from_secs(vectors.tolerance_s));
    let headers = Headers(&case.headers);
    let verified = keyring.verify(&headers, &body, Wall::from_seconds(vectors.now), None)?;
    assert_eq!(verified.id(), case.headers.get("webhook-id").map(String::as_str), "{}", case.name);
    Ok(())
}

#[test]
fn every_case_gets_its_verdict() {
    let vectors = vectors();
    assert!(vectors.cases.len() >= 29);
    for case in &vectors.cases {
        let result = judge(&vectors, case);
        let expected = match case.verdict.as_str() {
            "accept" => true,
            "reject" => false,
            other => panic!("{}: unknown verdict {other}", case.name),
        };
        assert_eq!(result.is_ok(), expected, "{} ({}): {result:?}", case.name, case.why);
    }
}

#[test]
fn a_refused_case_is_told_the_check_that_failed() {
    let vectors = vectors();
    let codes: BTreeMap<&str, &str> = vectors
        .cases
        .iter()
        .filter_map(|case| {
            judge(&vectors, case).err().map(|failure| (case.name.as_str(), failure.code().as_str()))
        })
        .collect();
    for (names, code) in [
        (&["stale"][..], "timestamp_too_old"),
        (&["future"], "timestamp_too_new"),
        (&["wrong_key", "body_tampered", "id_tampered", "timestamp_tampered"], "signature_mismatch"),
        (&["missing_id", "missing_timestamp", "missing_signature"], "signature_missing"),
        (&["timestamp_not_a_number", "timestamp_float", "timestamp_overflow"], "signature_malformed"),
        (&["timestamp_plus_sign", "only_unknown_versions"], "signature_malformed"),
        (&["signature_not_base64", "signature_truncated", "signature_empty"], "signature_malformed"),
        (&["id_with_dot", "id_control_byte", "id_empty", "id_too_long"], "signature_malformed"),
    ] {
        for name in names {
            assert_eq!(codes.get(name), Some(&code), "{name}");
        }
    }
}

#[test]
fn published_signatures_are_ours() {
    for published in vectors().published {
        let Published { secret: line, id, timestamp, body, signature } = published;
        assert_eq!(secret(&line).sign(&id, timestamp, body.as_bytes()), signature);

        let headers = BTreeMap::from([
            ("webhook-id".to_owned(), id),
            ("webhook-timestamp".to_owned(), timestamp.to_string()),
            ("webhook-signature".to_owned(), signature),
        ]);
        let headers = Headers(&headers);
        // They were published before any clock of ours can be set: accepted with a tolerance of years, and
        // otherwise told how old they are, which only a good signature is.
        let now = Wall::parse_rfc3339("2025-11-23T10:30:00Z").expect("a time");
        let years = Duration::from_secs(10 * 365 * 86_400);
        let accepting = keyring(std::slice::from_ref(&line), years);
        assert!(accepting.verify(&headers, body.as_bytes(), now, None).is_ok());
        let strict = keyring(&[line], Duration::from_secs(300));
        let refused = strict.verify(&headers, body.as_bytes(), now, None).map(|_| ());
        assert_eq!(refused.map_err(|failure| failure.code().as_str()), Err("timestamp_too_old"));
        let unset = strict.verify(&headers, body.as_bytes(), Wall::from_seconds(timestamp), None).map(|_| ());
        assert_eq!(unset, Err(Failure::ClockNotSet));
    }
}

fn judge_by(
    scheme: impl Scheme + 'static,
    headers: &[(&str, &str)],
    body: &str,
    now: i64,
) -> Result<(), Failure> {
    let lower = headers.iter().map(|(name, value)| (name.to_lowercase(), (*value).to_owned()));
    let headers = lower.collect();
    let keyring = Keyring::new(vec![Agent::new("it", vec![Box::new(scheme)])]);
    keyring.verify(&Headers(&headers), body.as_bytes(), Wall::from_seconds(now), None).map(|_| ())
}

fn texts(line: &str) -> Vec<Secret> {
    Secret::parse_file_of(line, Form::Text).expect("a secret")
}

#[test]
fn github_s_own_example_is_accepted_and_what_differs_from_it_is_not() {
    let GitHubVector { secret, body, header, value } = vectors().github;
    let verdict = |secret: &str, value: &str, body: &str| {
        judge_by(GitHub::new(texts(secret)).expect("a secret"), &[(&header, value)], body, 5)
    };
    assert_eq!(verdict(&secret, &value, &body), Ok(()), "whatever our clock says");
    for (secret, value, body) in [
        (secret.as_str(), value.as_str(), "Hello, World"),
        (&secret.replace("It's", "It is"), &value, &body),
        (&secret, &value.replace('7', "8"), &body),
    ] {
        assert_eq!(verdict(secret, value, body), Err(Failure::SignatureMismatch), "{secret} {value} {body}");
    }
    assert!(matches!(verdict(&secret, &value[7..], &body), Err(Failure::SignatureMalformed { .. })));
}

#[test]
fn grafana_s_signature_is_accepted_with_its_time_or_without_as_was_agreed() {
    let vectors = vectors();
    let of = &vectors.grafana;
    let tolerance = Duration::from_secs(vectors.tolerance_s);
    let verdict = |header: Option<&str>, headers: &[(&str, &str)], body: &str, now: i64| {
        let header = header.map(str::to_lowercase);
        judge_by(Grafana::new(texts(&of.secret), header, tolerance).expect("a secret"), headers, body, now)
    };
    let (timed, header) =
        ([(&*of.header, &*of.value), (&*of.timestamp_header, &*of.timestamp)], &*of.timestamp_header);
    assert_eq!(verdict(Some(header), &timed, &of.body, vectors.now), Ok(()));
    let untimed = [(&*of.header, &*of.value_without_timestamp)];
    assert_eq!(verdict(None, &untimed, &of.body, vectors.now), Ok(()));

    assert_eq!(verdict(Some(header), &timed, "{}", vectors.now), Err(Failure::SignatureMismatch));
    let shifted = [timed[0], (timed[1].0, "1763900001")];
    assert_eq!(verdict(Some(header), &shifted, &of.body, vectors.now), Err(Failure::SignatureMismatch));
    assert_eq!(verdict(None, &timed, &of.body, vectors.now), Err(Failure::SignatureMismatch));
    let late = verdict(Some(header), &timed, &of.body, vectors.now + 301);
    assert!(matches!(late, Err(Failure::TimestampTooOld { .. })), "{late:?}");
    let joined = format!("{}:{}", of.timestamp, of.body);
    let left_out = verdict(Some(header), &timed[..1], &joined, vectors.now + 301);
    assert!(matches!(left_out, Err(Failure::SignatureMissing { .. })), "{left_out:?}");
}
