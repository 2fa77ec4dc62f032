//! `[[agents]]`: senders of heartbeats with secrets, addresses and flows of their own.

use ipnet::IpNet;
use std::collections::HashSet;
use std::path::PathBuf;

use super::document::{Raw, Table};
use super::fault::shown;
use super::key::{Judge, Key, Presence};
use super::kind::{Kind, Wrong, items, text};
use crate::flow::FlowName;
use crate::limits;

/// The tables' name.
pub(super) const TABLE: &str = "agents";
/// The agent of the top level's secrets, and the one that the runtime's own heartbeats go by.
const TAKEN_NAMES: [&str; 3] = ["default", "internal", "operator"];
/// Where Grafana's documentation puts the time.
const TIMESTAMP_HEADER: &str = "X-Grafana-Alerting-Timestamp";

/// A sender of heartbeats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agent {
    /// Unlike any other's; not `default`.
    pub name: String,
    /// How it proves itself.
    pub scheme: AgentScheme,
    /// Files with its secrets; at least one.
    pub secret_files: Vec<PathBuf>,
    /// From where it may call; none: from where everybody may.
    pub whitelisted_ips: Option<Vec<IpNet>>,
    /// The flows that it may start, each once; none: all of them.
    pub flows: Option<Vec<FlowName>>,
    /// Of [`AgentScheme::Grafana`]: the field with the signed time, in lower case; none: no time is signed.
    pub timestamp_header: Option<String>,
}

macro_rules! schemes {
    ($($(#[$doc:meta])* $variant:ident = $word:literal,)+) => {
        /// How an agent proves itself.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum AgentScheme {
            $($(#[$doc])* $variant,)+
        }

        const SCHEMES: &[&str] = &[$($word),+];

        impl AgentScheme {
            fn of_word(word: &str) -> Option<Self> {
                match word {
                    $($word => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }
    };
}

schemes! {
    /// Signed as Standard Webhooks has it.
    StandardWebhooks = "standard-webhooks",
    /// Signed as GitHub does.
    GitHub = "github",
    /// Signed as Grafana does.
    Grafana = "grafana",
    /// By a token that is sent along.
    Token = "token",
}

pub(super) static AGENT_KEYS: &[Key<Agent>] = &[
    Key {
        path: "agents[].name",
        kind: Kind::Own {
            read: |value, _, agent| name(value, agent).map_err(|wrong| vec![wrong]),
            right: RIGHT_NAME,
        },
        presence: Presence::Required(r#""grafana""#),
        doc: "What the log and each run call it.",
    },
    Key {
        path: "agents[].scheme",
        kind: Kind::Word {
            set: |agent, word| {
                if let Some(scheme) = AgentScheme::of_word(word) {
                    agent.scheme = scheme;
                }
            },
            words: SCHEMES,
        },
        presence: Presence::Required(r#""grafana""#),
        doc: "How it proves itself: \"standard-webhooks\", \"github\" (X-Hub-Signature-256), \"grafana\" \
              (X-Grafana-Alerting-Signature), or \"token\" (Authorization: Bearer, or X-Heartbeat-Token).",
    },
    Key {
        path: "agents[].secret_files",
        kind: Kind::Paths(|agent, paths| agent.secret_files = paths),
        presence: Presence::Required(r#"["grafana-secret"]"#),
        doc: "Files that only you can read, a secret or token a line, then until=TIME if it ends.",
    },
    Key {
        path: "agents[].whitelisted_ips",
        kind: Kind::Networks(|agent, networks| agent.whitelisted_ips = Some(networks)),
        presence: Presence::Optional(r#"["192.0.2.0/24"]"#),
        doc: "Addresses and networks that it may call from; without it, those that everybody may call from.",
    },
    Key {
        path: "agents[].flows",
        kind: Kind::Own {
            read: |value, _, agent| flows(value).map(|flows| agent.flows = Some(flows)),
            right: RIGHT_FLOWS,
        },
        presence: Presence::Optional(r#"["upload-readings"]"#),
        doc: "The flows that its heartbeats start; without it, all.",
    },
    Key {
        path: "agents[].timestamp_header",
        kind: Kind::Own {
            read: |value, _, agent| timestamp_header(value, agent).map_err(|wrong| vec![wrong]),
            right: "the name of a header field, or \"\" for none",
        },
        presence: Presence::Default(r#""X-Grafana-Alerting-Timestamp""#),
        doc: "With \"grafana\": the field with the signed time, as the contact point has it; \"\" if it has none.",
    },
];

const RIGHT_NAME: &str = "1 to 64 of a-z 0-9 _ -, but not default, internal or operator";
const RIGHT_FLOWS: &str = "a list of names of flows";

/// The paths of all keys.
pub(super) fn paths() -> Vec<&'static str> {
    AGENT_KEYS.iter().map(|key| key.path).collect()
}

/// Reads the tables of a document.
pub(super) fn read(document: &Table, judge: &mut Judge<'_>) -> Vec<Agent> {
    let Some((_, node)) = document.iter().find(|(name, _)| name == TABLE) else { return Vec::new() };
    let agents = judge.read_list(AGENT_KEYS, TABLE, node, || Agent {
        name: String::new(),
        scheme: AgentScheme::StandardWebhooks,
        secret_files: Vec::new(),
        whitelisted_ips: None,
        flows: None,
        timestamp_header: Some(TIMESTAMP_HEADER.to_lowercase()),
    });
    check(&agents, judge);
    agents
}

/// What no key can say alone.
fn check(agents: &[Agent], judge: &mut Judge<'_>) {
    let (count, most) = (agents.len(), limits::AGENTS_MAX);
    if count > most {
        let help = "let several senders share an agent, with a secret each in its files";
        judge.fault_of(TABLE, format!("there are {count}, more than {most}"), help);
    }
    let mut names = HashSet::new();
    for (index, agent) in agents.iter().enumerate() {
        let path = |key: &str| format!("{TABLE}[{}].{key}", index + 1);
        if !agent.name.is_empty() && !names.insert(&agent.name) {
            let message = format!("an agent `{}` stands above already", agent.name);
            judge.fault_of(&path("name"), message, "give each agent a name of its own");
        }
        let has_files = judge.place(&path("secret_files")).is_some();
        // A wrong item leaves the list empty as well, and is told of by itself.
        if has_files && agent.secret_files.is_empty() && !judge.has_fault_of(&path("secret_files")) {
            let help = "name a file with its secret, such as secret_files = [\"grafana-secret\"]";
            judge.fault_of(&path("secret_files"), "is empty: it could not prove itself", help);
        }
        let header = path("timestamp_header");
        if agent.scheme != AgentScheme::Grafana
            && judge.place(&header).is_some()
            && !judge.has_fault_of(&path("scheme"))
        {
            let help = "remove it, or set scheme = \"grafana\"";
            judge.fault_of(&header, "is only for the scheme \"grafana\"", help);
        }
    }
}

fn name(value: &Raw, agent: &mut Agent) -> Result<(), Wrong> {
    let name = text(value, usize::MAX)?;
    let plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
    if !(1..=limits::AGENT_NAME_BYTES_MAX).contains(&name.len()) || !name.bytes().all(plain) {
        return Err(format!("{} is not an agent's name", shown(&name)).into());
    }
    if TAKEN_NAMES.contains(&name.as_str()) {
        return Err(format!("`{name}` is taken: the program itself uses it").into());
    }
    agent.name = name;
    Ok(())
}

fn flows(value: &Raw) -> Result<Vec<FlowName>, Vec<Wrong>> {
    let names = items(value, |item| {
        let name = text(item, usize::MAX)?;
        FlowName::new(&name).map_err(|_| Wrong::from(format!("{} is not a flow's name", shown(&name))))
    })?;
    let (count, most) = (names.len(), limits::AGENT_FLOWS_MAX);
    if count > most {
        let help = format!("name at most {most}, or leave the key out for all flows");
        return Err(vec![Wrong::with_help(format!("names {count} flows"), help)]);
    }
    let mut seen = HashSet::new();
    match names.iter().find(|name| !seen.insert(name.as_str())) {
        Some(twice) => {
            let help = "remove one of the two".to_owned();
            Err(vec![Wrong::with_help(format!("names `{twice}` twice"), help)])
        }
        None => Ok(names),
    }
}

/// A token (RFC 9110 section 5.6.2), in lower case, as names of fields are compared.
fn timestamp_header(value: &Raw, agent: &mut Agent) -> Result<(), Wrong> {
    let name = text(value, limits::FIELD_NAME_BYTES_MAX)?;
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if !name.bytes().all(is_token) {
        return Err(format!("{} is not the name of a header field", shown(&name)).into());
    }
    agent.timestamp_header = (!name.is_empty()).then(|| name.to_lowercase());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{Config, Faults, parse};
    use super::*;
    use std::path::Path;

    fn read(text: &str) -> Result<Config, Faults> {
        parse(text, Path::new("/box/heartbeatd.toml"), &[])
    }

    /// Line, key, message and help of the faults.
    fn faults(text: &str) -> Vec<(Option<usize>, String, String, String)> {
        let faults = read(text).expect_err(text);
        let told = |fault: super::super::Fault| {
            (fault.line, fault.key.unwrap_or_default(), fault.message, fault.help)
        };
        faults.into_iter().map(told).collect()
    }

    const GOOD: &str = "[[agents]]\nname = \"hub\"\nscheme = \"github\"\nsecret_files = [\"hub\"]\n";

    #[test]
    fn an_agent_is_read_with_its_defaults() {
        let text = format!(
            "{GOOD}whitelisted_ips = [\"192.0.2.0/24\"]\nflows = [\"a\", \"b\"]\n[[agents]]\nname = \"g\"\n\
             scheme = \"grafana\"\nsecret_files = [\"/etc/g\"]\n[[agents]]\nname = \"h\"\nscheme = \"grafana\"\n\
             secret_files = [\"h\"]\ntimestamp_header = \"X-Time\"\nflows = []\n"
        );
        let agents = read(&text).unwrap().agents;
        let [hub, grafana, other] = &agents[..] else { panic!("{agents:?}") };
        assert_eq!((hub.name.as_str(), hub.scheme), ("hub", AgentScheme::GitHub));
        assert_eq!(hub.secret_files, [Path::new("/box/hub")]);
        assert_eq!(hub.whitelisted_ips.as_deref(), Some(&["192.0.2.0/24".parse().unwrap()][..]));
        let flows = hub.flows.as_ref().unwrap().iter().map(FlowName::as_str);
        assert_eq!(flows.collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!((&grafana.whitelisted_ips, &grafana.flows), (&None, &None));
        assert_eq!(grafana.timestamp_header.as_deref(), Some("x-grafana-alerting-timestamp"));
        assert_eq!(other.timestamp_header.as_deref(), Some("x-time"));
        assert_eq!(other.flows, Some(vec![]), "it starts none, and is heard all the same");
        let untimed = GOOD.replace("github", "grafana") + "timestamp_header = \"\"\n";
        assert_eq!(read(&untimed).unwrap().agents[0].timestamp_header, None);
    }

    #[test]
    fn each_scheme_has_a_word_of_its_own() {
        use AgentScheme::{GitHub, Grafana, StandardWebhooks, Token};
        let read =
            |word: &str| read(&GOOD.replace("\"github\"", &format!("\"{word}\""))).unwrap().agents[0].scheme;
        let known = ["standard-webhooks", "github", "grafana", "token"];
        assert_eq!(known.map(read), [StandardWebhooks, GitHub, Grafana, Token]);
        for (index, word) in SCHEMES.iter().enumerate() {
            assert!(SCHEMES[..index].iter().all(|other| read(other) != read(word)), "{word}");
        }
    }

    #[test]
    fn every_fault_of_every_agent_is_told_with_its_line_and_key() {
        let text = "[[agents]]\nname = \"default\"\nscheme = \"gihub\"\nsecret_files = []\n[[agents]]\nnam = \"x\"\n\
                    scheme = \"token\"\nsecret_files = [\"t\"]\nflows = [\"a\", \"A\"]\ntimestamp_header = \"X-Time\"\n";
        let found = faults(text);
        let places: Vec<_> = found.iter().map(|(line, key, ..)| (line.unwrap(), key.as_str())).collect();
        let expected = [
            (2, "agents[1].name"),
            (3, "agents[1].scheme"),
            (4, "agents[1].secret_files"),
            (5, "agents[2].name"),
            (6, "agents[2].nam"),
            (9, "agents[2].flows"),
            (10, "agents[2].timestamp_header"),
        ];
        assert_eq!(places, expected, "{found:?}");
        assert!(found[4].3.contains("did you mean `name`?"), "{found:?}");
    }

    #[test]
    fn names_and_flows_stand_once() {
        let twice = format!("{GOOD}{GOOD}");
        assert!(faults(&twice)[0].2.contains("`hub` stands above already"));
        assert!(faults(&format!("{GOOD}flows = [\"a\", \"a\"]\n"))[0].2.contains("`a` twice"));
    }

    #[test]
    fn names_that_are_taken_or_odd_are_refused() {
        let long = "x".repeat(65);
        for name in ["default", "internal", "operator", "", "Hub", "a b", "a.b", &long] {
            let text = GOOD.replace("\"hub\"\nscheme", &format!("\"{name}\"\nscheme"));
            assert_eq!(faults(&text)[0].1, "agents[1].name", "{name}");
        }
    }

    #[test]
    fn one_bracket_and_a_slip_are_told_apart() {
        assert!(faults("[agents]\nname = \"x\"\n")[0].3.contains("[[agents]]"));
        assert!(faults("[[agent]]\nname = \"x\"\n")[0].3.contains("did you mean [[agents]]?"));
    }

    #[test]
    fn there_are_at_most_so_many() {
        let one = |n: usize| GOOD.replace("\"hub\"\nscheme", &format!("\"hub-{n}\"\nscheme"));
        let many = |count: usize| (0..count).map(one).collect::<String>();
        assert_eq!(read(&many(limits::AGENTS_MAX)).unwrap().agents.len(), limits::AGENTS_MAX);
        assert!(faults(&many(limits::AGENTS_MAX + 1))[0].2.contains("more than 32"));
    }
}
