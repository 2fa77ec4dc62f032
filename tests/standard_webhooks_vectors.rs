//! Every request of `tests/vectors/standard_webhooks.json` gets its verdict through the public library.
#![expect(clippy::expect_used, reason = "the helpers of a test may fail it")]

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use heartbeat_runtime::auth::{Failure, Field, Fields, Keyring, Secret};
use heartbeat_runtime::time::Wall;
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Deserialize)]
struct Vectors {
    now: i64,
    tolerance_s: u64,
    cases: Vec<Case>,
    published: Vec<Published>,
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
