//! Several agents with several secrets, some of which have ended: a request is the first agent's that it proves, by a
//! reading of each scheme that knows nothing of the others, and nobody's otherwise; no text that leaves tells a secret.
//!
//! The input is decisions: the clocks, agents, and fields that are right, nearly right, twice there or missing.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use heartbeat_runtime::auth::{
    Agent, Allowlist, Field, Fields, Form, GitHub, Grafana, Keyring, Scheme, Scope, Secret, StandardWebhooks,
    Token, parse_rule,
};
use heartbeat_runtime::limits::RELEASE_EPOCH_MS;
use heartbeat_runtime::time::Wall;

use super::bytes::Bytes;
use super::signature::{naive_hex, naive_hmac, naive_id, naive_seconds};

const NOW_S: i64 = 1_763_900_000;
const TOLERANCE_S: u64 = 300;
/// Keys and tokens at once: 32 characters that are nowhere else.
const KEYS: [&str; 4] = [
    "first-key-that-is-of-32-letters-",
    "second-key-that-has-32-letters--",
    "third-key-of-all-with-32-letters",
    "fourth-key-of-all-of-32-letters-",
];
const NAMES: [&str; 6] = [
    "webhook-signature",
    "x-hub-signature-256",
    "x-grafana-alerting-signature",
    "x-heartbeat-token",
    "authorization",
    "x-time",
];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    StandardWebhooks,
    GitHub,
    Grafana,
    GrafanaWithTime,
    TopLevelToken,
    Token,
}
use Kind::{GrafanaWithTime, StandardWebhooks as Webhooks};

const KINDS: [Kind; 6] =
    [Webhooks, Kind::GitHub, Kind::Grafana, GrafanaWithTime, Kind::TopLevelToken, Kind::Token];

/// A key, and from when on it counts no more.
#[derive(Clone, Copy, Debug)]
struct Held {
    key: &'static str,
    until_s: Option<i64>,
}

#[derive(Debug, Default)]
struct Request {
    fields: BTreeMap<&'static str, Vec<Vec<u8>>>,
    body: Vec<u8>,
}

impl Fields for Request {
    fn field(&self, name: &str) -> Field<'_> {
        match self.fields.get(name).map(Vec::as_slice) {
            None | Some([]) => Field::Absent,
            Some([value]) => Field::One(value),
            Some(_) => Field::Repeated,
        }
    }
}

/// The target.
pub fn check(data: &[u8]) {
    let mut input = Bytes(data);
    let now_s = input.pick(&[NOW_S, NOW_S, NOW_S, 60, RELEASE_EPOCH_MS / 1000]);
    let greatest_s = input.pick(&[None, None, Some(NOW_S + 500), Some(60)]);
    let mut agents: Vec<(Kind, Vec<Held>)> = Vec::new();
    for _ in 0..=input.byte() % 3 {
        let kind = input.pick(&KINDS);
        let held = match kind {
            Kind::TopLevelToken => vec![Held { key: input.pick(&KEYS), until_s: None }],
            _ => held(&mut input),
        };
        agents.push((kind, held));
    }
    let request = request(&mut input);
    let keyring = Keyring::new(agents.iter().enumerate().map(|(index, agent)| made(index, agent)).collect());
    assert_eq!(keyring.names().count(), agents.len());
    for (agent, (kind, held)) in keyring.agents().iter().zip(&agents) {
        let scheme = agent.schemes().next().expect("one");
        assert_eq!(scheme.secrets().len(), held.len());
        let can_be_replayed = !matches!(kind, Webhooks | GrafanaWithTime);
        assert_eq!(scheme.can_be_replayed(), can_be_replayed);
        assert!(!scheme.name().is_empty() && !scheme.wants().is_empty());
    }

    // The third has addresses of its own.
    assert_eq!(keyring.is_expected_from([127, 0, 0, 1].into()), agents.len() == 3);
    assert!(!keyring.is_expected_from([10, 0, 0, 1].into()));

    let latest_s = greatest_s.map_or(now_s, |greatest_s: i64| greatest_s.max(now_s));
    let proves = |(kind, held): &(Kind, Vec<Held>)| {
        let mut in_force = held.iter().filter(|held| held.until_s.is_none_or(|until_s| latest_s < until_s));
        in_force.any(|held| is_proved(*kind, held.key, &request, now_s))
    };
    let expected = agents.iter().position(proves);
    let greatest = greatest_s.map(Wall::from_seconds);
    let result = keyring.verify(&request, &request.body, Wall::from_seconds(now_s), greatest);
    let agent = result.as_ref().ok().map(|verified| verified.agent().to_string());
    assert_eq!(agent, expected.map(|index| format!("agent-{index}")), "{agents:?} {request:?}");
    let text = match &result {
        Ok(verified) => format!("{verified:?} {:?}", verified.scope()),
        Err(failure) => format!("{failure} {failure:?} {}", failure.counts_against_sender()),
    };
    for shown in [text, format!("{keyring:?}")] {
        assert!(!KEYS.iter().any(|key| shown.contains(key)), "{shown}");
    }
    let open = Keyring::disabled();
    assert!(open.verify(&request, b"", Wall::from_seconds(0), None).is_ok());
    let anybody = open.agents().iter().flat_map(Agent::schemes);
    let shown: Vec<_> = anybody
        .map(|scheme| (scheme.name(), scheme.wants(), scheme.secrets().len(), scheme.can_be_replayed()))
        .collect();
    assert_eq!(shown, [("none", "nothing", 0, true)]);
}

/// One key or several, each once.
fn held(input: &mut Bytes<'_>) -> Vec<Held> {
    let choice = input.byte();
    let mut held = Vec::new();
    for (bit, key) in KEYS.into_iter().enumerate() {
        if choice & (1 << bit) != 0 || (choice.is_multiple_of(16) && bit == 0) {
            let until_s = input.pick(&[None, None, Some(NOW_S), Some(NOW_S + 1), Some(NOW_S + 501)]);
            held.push(Held { key, until_s });
        }
    }
    held
}

fn made(index: usize, (kind, held): &(Kind, Vec<Held>)) -> Agent {
    let until = |held: &Held| {
        held.until_s.map_or(String::new(), |until_s| format!(" until={}", Wall::from_seconds(until_s)))
    };
    let texts = |form: Form| {
        let encoded = |key: &str| format!("whsec_{}", STANDARD.encode(key));
        let written = |key: &str| if form == Form::StandardWebhooks { encoded(key) } else { key.to_owned() };
        let lines: Vec<String> = held.iter().map(|held| written(held.key) + &until(held)).collect();
        let secrets = Secret::parse_file_of(&lines.join("\n"), form).expect("secrets");
        assert!(
            secrets
                .iter()
                .zip(held)
                .all(|(secret, held)| secret.until() == held.until_s.map(Wall::from_seconds))
        );
        secrets
    };
    let tolerance = Duration::from_secs(TOLERANCE_S);
    let scheme: Box<dyn Scheme> = match kind {
        Webhooks => {
            Box::new(StandardWebhooks::new(texts(Form::StandardWebhooks), tolerance).expect("secrets"))
        }
        Kind::GitHub => Box::new(GitHub::new(texts(Form::Text)).expect("secrets")),
        Kind::Grafana => Box::new(Grafana::new(texts(Form::Text), None, tolerance).expect("secrets")),
        GrafanaWithTime => {
            Box::new(Grafana::new(texts(Form::Text), Some("x-time".to_owned()), tolerance).expect("secrets"))
        }
        Kind::TopLevelToken => Box::new(Token::parse(held[0].key).expect("a token")),
        Kind::Token => Box::new(Token::of_agent(texts(Form::Token)).expect("tokens")),
    };
    let agent = Agent::new(&format!("agent-{index}"), vec![scheme]);
    let whitelist = Allowlist::new(vec![parse_rule("127.0.0.0/8").expect("a rule")]);
    match index {
        0 => agent,
        1 => agent.within(Scope { whitelist: None, flows: Some(vec!["one".to_owned()]) }),
        _ => agent.within(Scope { whitelist: Some(whitelist), flows: None }),
    }
}

fn request(input: &mut Bytes<'_>) -> Request {
    let mut request = Request::default();
    let timestamp_s = NOW_S + input.pick(&[0, 300, 301, -300, -301, i64::MAX / 2, -1 - NOW_S, 60 - NOW_S]);
    let timestamp = timestamp_s.to_string().into_bytes();
    let id = input.pick(&[&b"msg_1"[..], b"msg_2", b"a.b", b"", b" a", b"\xff"]).to_vec();
    for (name, value) in [
        ("webhook-id", &id),
        ("webhook-timestamp", &timestamp),
        ("x-github-delivery", &id),
        ("x-time", &timestamp),
    ] {
        let times = input.pick(&[1, 1, 1, 0, 2]);
        request.fields.insert(name, vec![value.clone(); times]);
    }
    let body = input.text();
    request.body = body.into_bytes();
    for name in NAMES.into_iter().filter(|name| *name != "x-time") {
        let choice = input.byte();
        let key = KEYS[usize::from(choice) % KEYS.len()];
        let message = [&id[..], b".", &timestamp, b".", &request.body].concat();
        let with_time = [&timestamp[..], b":", &request.body].concat();
        let right = match name {
            "webhook-signature" => {
                format!("v1,{}", STANDARD.encode(naive_hmac(key.as_bytes(), &message)))
            }
            "x-hub-signature-256" => format!("sha256={}", naive_hex(key.as_bytes(), &request.body)),
            "x-grafana-alerting-signature" if choice & 4 == 0 => naive_hex(key.as_bytes(), &request.body),
            "x-grafana-alerting-signature" => naive_hex(key.as_bytes(), &with_time),
            "authorization" => {
                format!("{} {key}", ["Bearer", "bearer", "Basic", "BEARER "][usize::from(choice >> 2) % 4])
            }
            _ => key.to_owned(),
        };
        let values = match choice >> 4 {
            0..=4 => Vec::new(),
            5..=9 => vec![right],
            10 => vec![right.clone(), right],
            11 => vec![right.to_uppercase()],
            12 => vec![format!("v0,AAAA {right}  v1,AAAA")],
            13 => vec![format!("{right} ")],
            14 => vec![right[..right.len() - 1].to_owned()],
            _ => vec![input.text()],
        };
        request.fields.insert(name, values.into_iter().map(String::into_bytes).collect());
    }
    request
}

/// Whether this key alone, by this scheme alone, proves the request.
fn is_proved(kind: Kind, key: &str, request: &Request, now_s: i64) -> bool {
    let key = key.as_bytes();
    let one = |name: &str| match request.fields.get(name).map(Vec::as_slice) {
        Some([value]) => Some(value.as_slice()),
        _ => None,
    };
    let count = |name: &str| request.fields.get(name).map_or(0, Vec::len);
    let in_time = |text: &[u8]| {
        now_s >= RELEASE_EPOCH_MS / 1000
            && naive_seconds(text).is_some_and(|signed_s| signed_s.abs_diff(now_s) <= TOLERANCE_S)
    };
    match kind {
        Webhooks => {
            let (Some(id), Some(time), Some(list)) =
                (one("webhook-id"), one("webhook-timestamp"), one("webhook-signature"))
            else {
                return false;
            };
            let right = STANDARD.encode(naive_hmac(key, &[id, b".", time, b".", &request.body].concat()));
            let right = format!("v1,{right}");
            naive_id(id)
                && in_time(time)
                && list.split(|byte| *byte == b' ').any(|entry| entry == right.as_bytes())
        }
        Kind::GitHub => {
            let right = format!("sha256={}", naive_hex(key, &request.body));
            let id_is_right =
                count("x-github-delivery") == 0 || one("x-github-delivery").is_some_and(naive_id);
            id_is_right && one("x-hub-signature-256") == Some(right.as_bytes())
        }
        Kind::Grafana => {
            one("x-grafana-alerting-signature") == Some(naive_hex(key, &request.body).as_bytes())
        }
        GrafanaWithTime => one("x-time").is_some_and(|time| {
            let right = naive_hex(key, &[time, b":", &request.body].concat());
            in_time(time) && one("x-grafana-alerting-signature") == Some(right.as_bytes())
        }),
        Kind::TopLevelToken => one("x-heartbeat-token") == Some(key),
        Kind::Token => {
            let bearer = |value: &Vec<u8>| value.len() >= 7 && value[..7].eq_ignore_ascii_case(b"bearer ");
            let authorization = request.fields.get("authorization").cloned().unwrap_or_default();
            // Somebody else's credentials are none of ours, unless it is not clear whose they are.
            let is_ours = authorization.len() > 1 || authorization.first().is_some_and(bearer);
            match (count("x-heartbeat-token"), is_ours) {
                (1, false) => one("x-heartbeat-token") == Some(key),
                (0, true) => authorization.len() == 1 && authorization[0][7..].trim_ascii_start() == key,
                _ => false,
            }
        }
    }
}
