//! The agents that may send heartbeats, and the one place where a request becomes [`Verified`].

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::{Agent, Clock, Failure, Fields, Scope, Secret, Signed, Token};
use crate::time::Wall;

/// Every agent that may send heartbeats.
#[derive(Debug)]
pub struct Keyring {
    agents: Vec<Agent>,
    asks_for_proof: bool,
}

impl Keyring {
    /// These agents. What one of them is told of a request that proves nothing goes by their order.
    pub fn new(agents: Vec<Agent>) -> Self {
        Self { agents, asks_for_proof: true }
    }

    /// The agents' names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.agents.iter().map(|agent| &**agent.name())
    }

    /// The one agent `default`, with Standard Webhooks secrets, a static token, or both.
    ///
    /// # Errors
    /// See [`Agent::of_top_level`].
    pub fn of_default_agent(
        secrets: Vec<Secret>,
        token: Option<Token>,
        tolerance: Duration,
    ) -> Result<Self, String> {
        Ok(Self::new(vec![Agent::of_top_level(secrets, token, tolerance)?]))
    }

    /// `authentication_enabled = false`: every request is the agent `default`'s.
    pub fn disabled() -> Self {
        Self { agents: vec![Agent::unauthenticated()], asks_for_proof: false }
    }

    /// Whether a sender must prove anything: not with [`Keyring::disabled`].
    pub const fn asks_for_proof(&self) -> bool {
        self.asks_for_proof
    }

    /// The agents.
    pub fn agents(&self) -> &[Agent] {
        &self.agents
    }

    /// Whether any agent has this address on a list of its own.
    pub fn is_expected_from(&self, address: IpAddr) -> bool {
        let mut lists = self.agents.iter().filter_map(|agent| agent.scope().whitelist.as_ref());
        lists.any(|list| list.contains(address))
    }

    /// Judges a request: who sent it, and is that proved? `greatest_signed_at` is the greatest signed time ever
    /// accepted, from the store, so that an expired secret stays expired when our clock falls back. The sender's address
    /// is yet to be held against [`Verified::scope`].
    ///
    /// # Errors
    /// Why no agent is proved; where several come close, the failure that got furthest.
    pub fn verify<'r>(
        &self,
        fields: &'r dyn Fields,
        body: &[u8],
        now: Wall,
        greatest_signed_at: Option<Wall>,
    ) -> Result<Verified<'r>, Failure> {
        let clock = Clock { now, greatest_signed_at };
        let mut furthest: Option<Failure> = None;
        for agent in &self.agents {
            match agent.verify(fields, body, &clock) {
                Some(Ok(Signed { id, signed_at })) => {
                    let (agent, scope) = (Arc::clone(agent.name()), Arc::clone(agent.scope()));
                    return Ok(Verified { agent, id, signed_at, scope });
                }
                Some(Err(failure)) if furthest.is_none_or(|known| failure.progress() > known.progress()) => {
                    furthest = Some(failure);
                }
                _ => {}
            }
        }
        Err(furthest.unwrap_or_else(|| {
            let first = self.agents.iter().flat_map(Agent::schemes).next();
            Failure::SignatureMissing { which: first.map_or("credentials", |scheme| scheme.wants()) }
        }))
    }
}

/// A request whose sender is proved (or need not be: [`Keyring::disabled`]). Only [`Keyring::verify`] makes one.
#[derive(Clone, Debug)]
pub struct Verified<'r> {
    agent: Arc<str>,
    id: Option<Cow<'r, str>>,
    signed_at: Option<Wall>,
    scope: Arc<Scope>,
}

impl Verified<'_> {
    /// The agent's name.
    pub fn agent(&self) -> &Arc<str> {
        &self.agent
    }

    /// The heartbeat's id; a retry has the same one. `None` where the scheme has no ids: nothing then tells a retry
    /// from a new heartbeat.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// The signed time, in whole seconds; `None` where the scheme signs none.
    pub fn signed_at(&self) -> Option<Wall> {
        self.signed_at
    }

    /// What the agent may do.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Pairs;
    use super::super::{Allowlist, DEFAULT_AGENT, Field, Form, GitHub, StandardWebhooks, parse_rule};
    use super::*;
    use crate::limits;

    const KEY: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    const TOKEN: &str = "0123456789abcdef";
    const NOW: Wall = Wall::from_seconds(1_763_900_000);

    fn secret() -> Secret {
        Secret::parse_line(KEY).unwrap().unwrap()
    }

    fn keyring(signed: bool, token: bool) -> Keyring {
        let secrets = if signed { vec![secret()] } else { vec![] };
        let token = token.then(|| Token::parse(TOKEN).unwrap());
        Keyring::of_default_agent(secrets, token, limits::SIGNATURE_TOLERANCE_DEFAULT).unwrap()
    }

    fn with_signature(signature: &str) -> Pairs {
        Pairs(vec![
            ("webhook-id", b"msg_1".to_vec()),
            ("webhook-timestamp", NOW.as_seconds().to_string().into_bytes()),
            ("webhook-signature", signature.as_bytes().to_vec()),
        ])
    }

    fn signed() -> Pairs {
        with_signature(&secret().sign("msg_1", NOW.as_seconds(), b""))
    }

    fn with_token(mut fields: Pairs, token: &str) -> Pairs {
        fields.0.push(("x-heartbeat-token", token.as_bytes().to_vec()));
        fields
    }

    #[test]
    fn a_signed_heartbeat_is_the_default_agents() {
        let fields = signed();
        let verified = keyring(true, false).verify(&fields, b"", NOW, None).unwrap();
        assert_eq!(&**verified.agent(), DEFAULT_AGENT);
        assert_eq!((verified.id(), verified.signed_at()), (Some("msg_1"), Some(NOW)));
    }

    #[test]
    fn a_bad_signature_is_not_outweighed_by_a_token() {
        let forged = with_token(with_signature(&format!("v1,{}=", "A".repeat(43))), TOKEN);
        let refused = keyring(true, true).verify(&forged, b"", NOW, None).unwrap_err();
        assert_eq!(refused, Failure::SignatureMismatch);
        let incomplete = with_token(Pairs(vec![("webhook-id", b"msg_1".to_vec())]), TOKEN);
        let refused = keyring(true, true).verify(&incomplete, b"", NOW, None).unwrap_err();
        assert_eq!(refused, Failure::SignatureMissing { which: "webhook-timestamp" });
    }

    #[test]
    fn a_token_is_taken_where_nothing_is_signed_and_carries_no_id() {
        let fields = with_token(Pairs(vec![]), TOKEN);
        let verified = keyring(true, true).verify(&fields, b"", NOW, None).unwrap();
        assert_eq!((verified.id(), verified.signed_at()), (None, None));
        let fields = with_token(signed(), TOKEN);
        let verified = keyring(false, true).verify(&fields, b"", NOW, None).unwrap();
        assert_eq!((verified.id(), verified.signed_at()), (None, None), "no secret vouches for the id");
        assert!(keyring(true, false).verify(&with_token(Pairs(vec![]), TOKEN), b"", NOW, None).is_err());
    }

    #[test]
    fn a_token_is_accepted_while_the_clock_is_not_set() {
        let fields = with_token(Pairs(vec![]), TOKEN);
        assert!(keyring(true, true).verify(&fields, b"", Wall::from_seconds(5), None).is_ok());
    }

    #[test]
    fn what_is_missing_is_what_is_configured() {
        let missing =
            |keyring: Keyring| keyring.verify(&Pairs(vec![]), b"", NOW, None).unwrap_err().to_string();
        assert!(missing(keyring(true, true)).contains("webhook-signature"));
        assert_eq!(missing(keyring(false, true)), "missing: x-heartbeat-token");
    }

    #[test]
    fn without_any_credentials_there_is_no_keyring() {
        let refused = Keyring::of_default_agent(vec![], None, Duration::ZERO).unwrap_err();
        assert!(refused.contains("no secret"), "{refused}");
    }

    #[test]
    fn with_authentication_disabled_only_a_well_formed_id_is_taken() {
        let id = |fields: &Pairs| {
            let verified = Keyring::disabled().verify(fields, b"", NOW, None).unwrap();
            assert_eq!(&**verified.agent(), DEFAULT_AGENT);
            assert_eq!(verified.signed_at(), None);
            verified.id().map(str::to_owned)
        };
        assert_eq!(id(&with_signature("nonsense")), Some("msg_1".to_owned()));
        assert_eq!(id(&Pairs(vec![])), None);
        assert_eq!(id(&Pairs(vec![("webhook-id", b"with.dot".to_vec())])), None);
        let twice = Pairs(vec![("webhook-id", b"a".to_vec()), ("webhook-id", b"a".to_vec())]);
        assert_eq!(id(&twice), None);
    }

    #[test]
    fn the_failure_that_got_furthest_is_told() {
        let agents = ["a", "b", "c"].map(|name| {
            let (_, other) = Secret::generate(&[name.as_bytes()[0]; 32]);
            let secret = if name == "b" { secret() } else { other };
            let scheme = StandardWebhooks::new(vec![secret], Duration::from_secs(300)).unwrap();
            Agent::new(name, vec![Box::new(scheme)])
        });
        let keyring = Keyring::new(agents.into());
        let fields = signed();
        assert_eq!(&**keyring.verify(&fields, b"", NOW, None).unwrap().agent(), "b");
        let late = keyring.verify(&fields, b"", NOW + Duration::from_secs(400), None).unwrap_err();
        assert_eq!(late.code().as_str(), "timestamp_too_old");
    }

    #[test]
    fn each_of_several_agents_is_known_by_its_own_credentials_and_keeps_its_scope() {
        let scope = |rule: &str, flow: &str| Scope {
            whitelist: Some(Allowlist::new(vec![parse_rule(rule).unwrap()])),
            flows: Some(vec![flow.to_owned()]),
        };
        let tokens = |line: &str| Token::of_agent(Secret::parse_file_of(line, Form::Token).unwrap()).unwrap();
        let github = Secret::parse_file_of("It's a Secret to Everybody", Form::Text).unwrap();
        let default = Agent::of_top_level(vec![secret()], Token::parse(TOKEN).ok(), Duration::from_secs(300));
        let keyring = Keyring::new(vec![
            default.unwrap(),
            Agent::new("hub", vec![Box::new(GitHub::new(github).unwrap())])
                .within(scope("192.0.2.0/24", "a")),
            Agent::new("gatus", vec![Box::new(tokens("gatus-gatus-gatus"))]).within(scope("10.0.0.1", "b")),
        ]);
        let agent = |fields: &Pairs, body: &[u8]| {
            let verified = keyring.verify(fields, body, NOW, None);
            verified.map(|verified| (verified.agent().to_string(), verified.scope().flows.clone()))
        };
        let of =
            |name: &str, flow: Option<&str>| Ok((name.to_owned(), flow.map(|flow| vec![flow.to_owned()])));
        assert_eq!(agent(&signed(), b""), of("default", None));
        assert_eq!(agent(&with_token(Pairs(vec![]), TOKEN), b""), of("default", None));
        assert_eq!(agent(&with_token(Pairs(vec![]), "gatus-gatus-gatus"), b""), of("gatus", Some("b")));
        let right = b"sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17".to_vec();
        let hub = Pairs(vec![("x-hub-signature-256", right)]);
        assert_eq!(agent(&hub, b"Hello, World!"), of("hub", Some("a")));
        assert_eq!(agent(&hub, b"Hello"), Err(Failure::SignatureMismatch));
        let missing = agent(&Pairs(vec![]), b"").unwrap_err().to_string();
        assert!(missing.contains("webhook-signature"), "{missing}");
        for (address, expected) in [("192.0.2.9", true), ("10.0.0.1", true), ("10.0.0.2", false)] {
            assert_eq!(keyring.is_expected_from(address.parse().unwrap()), expected, "{address}");
        }
    }

    #[test]
    fn debug_shows_no_credentials() {
        let text = format!("{:?}", keyring(true, true));
        let key_bytes = "0, 1, 2, 3, 4";
        for secret in ["AAECAwQF", TOKEN, key_bytes] {
            assert!(!text.contains(secret), "{text}");
        }
        assert!(text.contains("Token(…)") && text.contains("key: \"…\""), "{text}");
    }

    #[test]
    fn a_request_may_implement_fields_itself() {
        struct Empty;
        impl Fields for Empty {
            fn field(&self, _: &str) -> Field<'_> {
                Field::Absent
            }
        }
        assert!(keyring(true, true).verify(&Empty, b"", NOW, None).is_err());
    }
}
