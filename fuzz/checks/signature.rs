//! Whatever fields and body arrive: no panic, and nothing is verified unless a naive reading of the Standard Webhooks
//! specification finds the signature right; nor of what GitHub and Grafana document. Whatever stands in a secret file: no
//! panic, and no message quotes a secret.
//!
//! Input: a byte of flags, then lines with id, timestamp and signatures; the rest is the body. For GitHub and Grafana the
//! lines are the signature and the delivery or timestamp.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use heartbeat_runtime::auth::{Agent, Failure, Field, Fields, Form, GitHub, Grafana, Keyring, Secret, Token};
use heartbeat_runtime::limits;
use heartbeat_runtime::time::Wall;
use sha2::{Digest as _, Sha256};

const KEY: [u8; 32] = *b"an arbitrary key of 32 bytes ...";
const TOKEN: &str = "a-token-that-no-input-has";
const NOW_S: i64 = 1_763_900_000;
const TOLERANCE_S: u64 = 300;

/// A right signature is added to the list, so that what lies behind the check is reached.
const SIGN: u8 = 1;
/// The id, timestamp or signature (shifted by 0, 1, 2) is absent.
const ABSENT: u8 = 2;
/// The id, timestamp or signature is repeated.
const REPEATED: u8 = 16;
/// The clock has not been set.
const UNSET: u8 = 128;

struct Request<'a> {
    flags: u8,
    values: [&'a [u8]; 3],
}

impl Fields for Request<'_> {
    fn field(&self, name: &str) -> Field<'_> {
        let names = ["webhook-id", "webhook-timestamp", "webhook-signature"];
        match names.iter().position(|known| *known == name) {
            None => Field::Absent,
            Some(index) if self.flags & (ABSENT << index) != 0 => Field::Absent,
            Some(index) if self.flags & (REPEATED << index) != 0 => Field::Repeated,
            Some(index) => Field::One(self.values[index]),
        }
    }
}

/// The target.
pub fn check(input: &[u8]) {
    read_as_secret_file(input);
    if let Some((flags, rest)) = input.split_first() {
        verify(*flags, rest);
        verify_others(*flags, rest);
    }
}

const GITHUB: [&str; 2] = ["x-hub-signature-256", "x-github-delivery"];
const GRAFANA: [&str; 2] = ["x-grafana-alerting-signature", "x-time"];

/// Two fields of a scheme; flags as of [`Request`], of the first two.
struct Two<'a> {
    flags: u8,
    names: [&'static str; 2],
    values: [&'a [u8]; 2],
}

impl Two<'_> {
    fn of(&self, index: usize) -> Field<'_> {
        match () {
            () if self.flags & (ABSENT << index) != 0 => Field::Absent,
            () if self.flags & (REPEATED << index) != 0 => Field::Repeated,
            () => Field::One(self.values[index]),
        }
    }
}

impl Fields for Two<'_> {
    fn field(&self, name: &str) -> Field<'_> {
        self.names.iter().position(|known| *known == name).map_or(Field::Absent, |index| self.of(index))
    }
}

fn verify_others(flags: u8, rest: &[u8]) {
    let mut parts = rest.splitn(3, |byte| *byte == b'\n');
    let mut next = || parts.next().unwrap_or_default();
    let (given, second, body) = (next(), next(), next());
    let secrets = || {
        let line = std::str::from_utf8(&KEY).expect("ASCII");
        Secret::parse_file_of(line, Form::Text).expect("a secret")
    };
    let github = GitHub::new(secrets()).expect("a secret");
    let tolerance = Duration::from_secs(TOLERANCE_S);
    let grafana = Grafana::new(secrets(), Some("x-time".to_owned()), tolerance).expect("a secret");
    let keyring = Keyring::new(vec![
        Agent::new("hub", vec![Box::new(github)]),
        Agent::new("grafana", vec![Box::new(grafana)]),
    ]);
    let now_s = if flags & UNSET != 0 { 60 } else { NOW_S };
    for (names, prefix, message) in
        [(GITHUB, "sha256=", body.to_vec()), (GRAFANA, "", [second, b":", body].concat())]
    {
        let right = format!("{prefix}{}", naive_hex(&KEY, &message));
        let signature = if flags & SIGN != 0 { right.as_bytes() } else { given };
        let request = Two { flags, names, values: [signature, second] };
        let result = keyring.verify(&request, body, Wall::from_seconds(now_s), None);
        let signed = request.of(0) == Field::One(right.as_bytes());
        let (is_github, signed_s) = (names == GITHUB, naive_seconds(second));
        let second_is_right = match request.of(1) {
            Field::Absent => is_github,
            Field::One(value) if is_github => naive_id(value),
            Field::One(_) => signed_s.is_some(),
            Field::Repeated => false,
        };
        let in_time = is_github
            || flags & UNSET == 0 && signed_s.is_some_and(|signed_s| signed_s.abs_diff(now_s) <= TOLERANCE_S);
        assert_eq!(result.is_ok(), signed && second_is_right && in_time, "{names:?}: {result:?}");
        if let Err(failure) = result {
            assert!(!failure.to_string().contains(&right));
        }
    }
}

fn verify(flags: u8, rest: &[u8]) {
    let mut parts = rest.splitn(4, |byte| *byte == b'\n');
    let mut next = || parts.next().unwrap_or_default();
    let (id, timestamp, list, body) = (next(), next(), next(), next());
    let right = naive_signature(id, timestamp, body);
    let mut list = list.to_vec();
    if flags & SIGN != 0 {
        list.extend_from_slice(b" ");
        list.extend_from_slice(right.as_bytes());
    }
    let request = Request { flags, values: [id, timestamp, &list] };
    let now_s = if flags & UNSET != 0 { 60 } else { NOW_S };

    let (_, secret) = Secret::generate(&KEY);
    let tolerance = Duration::from_secs(TOLERANCE_S);
    let keyring =
        Keyring::of_default_agent(vec![secret], Token::parse(TOKEN).ok(), tolerance).expect("a secret");
    let result = keyring.verify(&request, body, Wall::from_seconds(now_s), None);

    let plain = flags & ((ABSENT | REPEATED) * 7) == 0;
    let signed_s = naive_seconds(timestamp);
    let fits = list
        .split(|byte| *byte == b' ')
        .filter(|entry| !entry.is_empty())
        .take(limits::SIGNATURES_MAX)
        .any(|entry| entry == right.as_bytes());
    let proved = plain && naive_id(id) && signed_s.is_some() && fits;
    let in_time = signed_s.is_some_and(|signed_s| signed_s.abs_diff(now_s) <= TOLERANCE_S);
    match result {
        Ok(verified) => {
            assert!(proved && in_time && flags & UNSET == 0, "verified without proof");
            assert_eq!(verified.id().map(str::as_bytes), Some(id));
            assert_eq!(verified.signed_at(), signed_s.map(Wall::from_seconds));
        }
        Err(Failure::ClockNotSet) => assert!(proved && flags & UNSET != 0),
        Err(Failure::TimestampTooOld { .. } | Failure::TimestampTooNew { .. }) => assert!(proved && !in_time),
        Err(failure) => {
            assert!(!proved, "refused with a right signature: {failure}");
            assert!(!failure.to_string().contains(&right));
        }
    }
}

pub(super) fn naive_id(id: &[u8]) -> bool {
    (1..=256).contains(&id.len()) && id.iter().all(|byte| (0x21..=0x7e).contains(byte) && *byte != b'.')
}

pub(super) fn naive_seconds(text: &[u8]) -> Option<i64> {
    let mut seconds: i64 = if text.is_empty() { return None } else { 0 };
    for digit in text {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit < 10)?;
        seconds = seconds.checked_mul(10)?.checked_add(i64::from(digit))?;
    }
    Some(seconds)
}

fn naive_signature(id: &[u8], timestamp: &[u8], body: &[u8]) -> String {
    format!("v1,{}", STANDARD.encode(naive_hmac(&KEY, &[id, timestamp, body].join(&b'.'))))
}

pub(super) fn naive_hex(key: &[u8], message: &[u8]) -> String {
    naive_hmac(key, message).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// HMAC as RFC 2104 writes it down, over a copy of the message.
pub(super) fn naive_hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let pad =
        |with: u8| -> Vec<u8> { (0..64).map(|index| key.get(index).copied().unwrap_or(0) ^ with).collect() };
    let inner = Sha256::digest([pad(0x36), message.to_vec()].concat());
    Sha256::digest([pad(0x5c), inner.to_vec()].concat()).to_vec()
}

fn read_as_secret_file(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let mut messages = Vec::new();
    if let Err(message) = Secret::parse_line(&text) {
        messages.push(message);
    }
    messages.push(GitHub::new(Vec::new()).expect_err("there is none"));
    for form in [Form::StandardWebhooks, Form::Text, Form::Token] {
        match Secret::parse_file_of(&text, form) {
            Ok(secrets) => {
                assert!((1..=limits::SECRETS_MAX).contains(&secrets.len()));
                let again = Secret::parse_file_of(&text, form).expect("it was read before");
                let wrong = GitHub::new(secrets.into_iter().chain(again).collect());
                messages.push(wrong.expect_err("each of them stands twice"));
            }
            Err(faults) => messages.extend(faults.into_iter().map(|(_, message)| message)),
        }
    }
    if let Err(message) = Token::parse(&text) {
        messages.push(message);
    }
    // No word of ours is that long, so what is found came from the input.
    let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=".contains(byte);
    for run in input.split(|byte| !is_base64(byte)).filter(|run| run.len() >= 24) {
        let run = std::str::from_utf8(run).expect("ASCII");
        assert!(!messages.iter().any(|message| message.contains(run)), "a message quotes {run}");
    }
}
