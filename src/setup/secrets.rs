//! The secrets and tokens that the configuration names, read from their files and the environment.
//!
//! What is read is wiped when it is dropped, and no message holds any of it.

use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

use super::files::read_private_file;
use crate::auth::{
    Agent, Allowlist, DEFAULT_AGENT, Form, GitHub, Grafana, Keyring, Scheme, Scope, Secret, StandardWebhooks,
    Token,
};
use crate::config::{
    self, AUTHENTICATION_TOKEN_VARIABLE, AgentScheme, Config, Fault, Faults, SIGNING_SECRET_VARIABLE,
};
use crate::limits;

/// What a request is judged by: the agents of the configuration, with their secrets.
///
/// With `authentication_enabled = false` no secret is read.
///
/// # Errors
/// Every fault of the secret files, the token file and the two variables.
pub fn keyring(config: &Config, environment: &[(String, String)]) -> Result<Keyring, Faults> {
    if !config.authentication_enabled {
        return Ok(Keyring::disabled());
    }
    let mut collected = Collected::default();
    collected.signing_secrets(config, environment);
    let token = token(config, environment).map_err(|faults| collected.faults.extend(faults)).ok().flatten();
    if let Some((place, secret)) = token {
        collected.begin(DEFAULT_AGENT, Form::Token);
        collected.take(&place, vec![secret]);
    }
    for agent in &config.agents {
        collected.begin(&agent.name, form_of(agent.scheme));
        for path in &agent.secret_files {
            collected.file(path);
        }
    }
    let groups = collected.finish()?;
    // What does not go together was found with its file above; this is for what only a scheme knows.
    made_of(groups, config).map_err(|(place, message)| {
        Fault::of_file(&place, message, "put one secret a line in it; `heartbeatd init` makes one").into()
    })
}

const fn form_of(scheme: AgentScheme) -> Form {
    match scheme {
        AgentScheme::StandardWebhooks => Form::StandardWebhooks,
        AgentScheme::GitHub | AgentScheme::Grafana => Form::Text,
        AgentScheme::Token => Form::Token,
    }
}

/// The agents; or what is wrong, and in which file.
fn made_of(groups: Vec<Group>, config: &Config) -> Result<Keyring, (PathBuf, String)> {
    let (of_top_level, of_agents): (Vec<_>, Vec<_>) =
        groups.into_iter().partition(|group| group.agent == DEFAULT_AGENT);
    let mut agents = Vec::new();
    let (mut secrets, mut token) = (Vec::new(), None);
    for group in of_top_level {
        match group.form {
            Form::Token => {
                token = group.secrets.into_iter().next().map(|(_, secret)| Token::of_top_level(secret))
            }
            _ => secrets.extend(group.secrets.into_iter().map(|(_, secret)| secret)),
        }
    }
    if !secrets.is_empty() || token.is_some() || config.agents.is_empty() {
        let file = config.signing_secret_files.first().map_or(Path::new("secret"), PathBuf::as_path);
        let agent = Agent::of_top_level(secrets, token, config.signature_tolerance);
        agents.push(agent.map_err(|message| (file.to_owned(), message))?);
    }
    for (agent, group) in config.agents.iter().zip(of_agents) {
        let place = agent.secret_files.first().cloned().unwrap_or_default();
        let secrets = group.secrets.into_iter().map(|(_, secret)| secret).collect();
        let scheme = scheme(agent, secrets, config).map_err(|message| (place, message))?;
        let flows = agent.flows.as_ref().map(|flows| flows.iter().map(ToString::to_string).collect());
        let whitelist = agent.whitelisted_ips.clone().map(Allowlist::new);
        agents.push(Agent::new(&agent.name, vec![scheme]).within(Scope { whitelist, flows }));
    }
    Ok(Keyring::new(agents))
}

fn scheme(agent: &config::Agent, secrets: Vec<Secret>, config: &Config) -> Result<Box<dyn Scheme>, String> {
    let tolerance = config.signature_tolerance;
    Ok(match agent.scheme {
        AgentScheme::StandardWebhooks => Box::new(StandardWebhooks::new(secrets, tolerance)?),
        AgentScheme::GitHub => Box::new(GitHub::new(secrets)?),
        AgentScheme::Grafana => Box::new(Grafana::new(secrets, agent.timestamp_header.clone(), tolerance)?),
        AgentScheme::Token => Box::new(Token::of_agent(secrets)?),
    })
}

/// The secrets that heartbeats are signed with: those of the files in their order, then those of
/// `HEARTBEATD_SIGNING_SECRET`. There may be none where a token, or nothing, proves the sender.
///
/// # Errors
/// Every fault of the files and the variable: missing, empty, too short, readable by others, one key twice.
pub fn signing_secrets(config: &Config, environment: &[(String, String)]) -> Result<Vec<Secret>, Faults> {
    let mut collected = Collected::default();
    collected.signing_secrets(config, environment);
    collected.finish_one()
}

/// The secrets of one file, whatever the configuration says.
///
/// # Errors
/// Every fault of it.
pub fn secrets_of_file(path: &Path) -> Result<Vec<Secret>, Faults> {
    let mut collected = Collected::default();
    collected.begin(DEFAULT_AGENT, Form::StandardWebhooks);
    collected.file(path);
    collected.finish_one()
}

/// Judges the secret that alerts are signed with, if they are, beside those of the agents.
///
/// # Errors
/// Every fault of its file; or it is an agent's as well, so that whoever verifies alerts could start flows.
pub fn check_alert_secret(config: &Config, agents: &[Agent]) -> Result<(), Faults> {
    let Some(path) = &config.alerts.secret_file else { return Ok(()) };
    let own = secrets_of_file(path)?;
    let is_shared = |secret: &Secret| own.iter().any(|own| own.has_key_of(secret));
    match agents.iter().find(|agent| agent.schemes().any(|scheme| scheme.secrets().iter().any(is_shared))) {
        None => Ok(()),
        Some(agent) => {
            let message = format!(
                "holds a secret of the agent `{}`, so whoever gets alerts could start flows",
                agent.name()
            );
            Err(Fault::of_file(
                path,
                message,
                "write a secret of its own into it, as `heartbeatd init` makes one",
            )
            .into())
        }
    }
}

/// The text of the static token, without white space around it; the variable goes before the file. `None` if there
/// is none. It is not judged: see [`Token::parse`].
///
/// # Errors
/// The file is missing, empty or readable by others.
pub fn token_text(
    config: &Config,
    environment: &[(String, String)],
) -> Result<Option<Zeroizing<String>>, Faults> {
    if let Some(text) = variable(environment, AUTHENTICATION_TOKEN_VARIABLE) {
        return Ok(Some(Zeroizing::new(text.trim_ascii().to_owned())));
    }
    let Some(path) = &config.authentication_token_file else { return Ok(None) };
    let text = read_private_file(path)?;
    Ok(Some(Zeroizing::new(text.trim_ascii().to_owned())))
}

/// The static token and where it stands.
fn token(config: &Config, environment: &[(String, String)]) -> Result<Option<(PathBuf, Secret)>, Faults> {
    let Some(text) = token_text(config, environment)? else { return Ok(None) };
    let from_file = config.authentication_token_file.as_deref();
    let from_file = from_file.filter(|_| variable(environment, AUTHENTICATION_TOKEN_VARIABLE).is_none());
    let place = from_file.unwrap_or(Path::new(AUTHENTICATION_TOKEN_VARIABLE));
    let token = Token::read(&text).map_err(|message| match from_file {
        Some(path) => Fault::of_file(path, message, RIGHT_TOKEN),
        None => {
            let key = Some(AUTHENTICATION_TOKEN_VARIABLE.to_owned());
            Fault { key, ..Fault::of_environment(message, RIGHT_TOKEN) }
        }
    })?;
    Ok(Some((place.to_owned(), token)))
}

const RIGHT_SECRET: &str =
    "give one secret a line, as `heartbeatd init` writes it: whsec_ and 24 to 64 bytes in base64";

const RIGHT_TEXT: &str = "give one secret a line, as the sender has it; `openssl rand -hex 32` makes one";
const RIGHT_TOKEN: &str = "make one with `openssl rand -hex 32`";

const fn right(form: Form) -> &'static str {
    match form {
        Form::StandardWebhooks => RIGHT_SECRET,
        Form::Text => RIGHT_TEXT,
        Form::Token => RIGHT_TOKEN,
    }
}

fn has_token(config: &Config, environment: &[(String, String)]) -> bool {
    config.authentication_token_file.is_some()
        || variable(environment, AUTHENTICATION_TOKEN_VARIABLE).is_some()
}

/// A variable that is set to something.
fn variable<'e>(environment: &'e [(String, String)], wanted: &str) -> Option<&'e str> {
    let found = environment.iter().find(|(name, value)| name == wanted && !value.trim().is_empty());
    found.map(|(_, value)| value.as_str())
}

/// An agent's secrets of one form, each with the place that it came from.
struct Group {
    agent: String,
    form: Form,
    secrets: Vec<(PathBuf, Secret)>,
}

/// Secrets from several places.
#[derive(Default)]
struct Collected {
    groups: Vec<Group>,
    faults: Vec<Fault>,
}

impl Collected {
    /// What comes from now on is this agent's.
    fn begin(&mut self, agent: &str, form: Form) {
        self.groups.push(Group { agent: agent.to_owned(), form, secrets: Vec::new() });
    }

    /// Those of the top level.
    fn signing_secrets(&mut self, config: &Config, environment: &[(String, String)]) {
        self.begin(DEFAULT_AGENT, Form::StandardWebhooks);
        let variable = variable(environment, SIGNING_SECRET_VARIABLE);
        let something_else =
            variable.is_some() || has_token(config, environment) || !config.agents.is_empty();
        let default_may_be_missing =
            !config.signing_secret_files_given && (something_else || !config.authentication_enabled);
        for path in &config.signing_secret_files {
            if default_may_be_missing && !path.try_exists().unwrap_or(true) {
                continue;
            }
            self.file(path);
        }
        if let Some(text) = variable {
            let of = |(line, message): (usize, String)| {
                let fault = Fault::of_environment(message, RIGHT_SECRET);
                Fault {
                    key: Some(SIGNING_SECRET_VARIABLE.to_owned()),
                    line: (line > 1).then_some(line),
                    ..fault
                }
            };
            self.text(text, Path::new(SIGNING_SECRET_VARIABLE), of);
        }
    }

    fn form(&self) -> Form {
        self.groups.last().map_or(Form::StandardWebhooks, |group| group.form)
    }

    fn file(&mut self, path: &Path) {
        let help = right(self.form());
        match read_private_file(path) {
            Ok(text) => {
                self.text(&text, path, |(line, message)| Fault {
                    line: Some(line),
                    ..Fault::of_file(path, message, help)
                });
            }
            Err(fault) => self.faults.push(fault),
        }
    }

    fn text(&mut self, text: &str, place: &Path, fault_of: impl Fn((usize, String)) -> Fault) {
        match Secret::parse_file_of(text, self.form()) {
            Ok(secrets) => self.take(place, secrets),
            Err(found) => self.faults.extend(found.into_iter().map(fault_of)),
        }
    }

    fn take(&mut self, place: &Path, secrets: Vec<Secret>) {
        for secret in secrets {
            self.faults.extend(self.known_already(place, &secret));
            if let Some(group) = self.groups.last_mut() {
                group.secrets.push((place.to_owned(), secret));
            }
        }
    }

    /// A secret that stands in two places is a mistake, and of two agents one that lets each do what the other may.
    fn known_already(&self, place: &Path, secret: &Secret) -> Option<Fault> {
        let agent = &self.groups.last()?.agent;
        let all = self.groups.iter().flat_map(|group| group.secrets.iter().map(move |known| (group, known)));
        let (group, (first, _)) = all.into_iter().find(|(_, (_, known))| known.has_key_of(secret))?;
        let (first, first_agent) = (first.display(), &group.agent);
        Some(if first_agent == agent {
            let message = format!("holds a secret that stands in {first} already");
            Fault::of_file(place, message, "two copies are one secret: keep it in one of the two places")
        } else {
            let message = format!(
                "holds a secret of the agent `{agent}` that the agent `{first_agent}` has as well, in {first}"
            );
            let help = "give each agent a secret of its own: who is proved by it could be either";
            Fault::of_file(place, message, help)
        })
    }

    fn finish(mut self) -> Result<Vec<Group>, Faults> {
        let (count, most) =
            (self.groups.iter().map(|group| group.secrets.len()).sum::<usize>(), limits::SECRETS_OF_ALL_MAX);
        if let Some((place, _)) =
            self.groups.last().and_then(|group| group.secrets.last()).filter(|_| count > most)
        {
            let message = format!("all agents together have {count} secrets, more than {most}");
            let help = "take out the ones that ended, or let senders share an agent and its secret";
            self.faults.push(Fault::of_file(place, message, help));
        }
        if self.faults.is_empty() { Ok(self.groups) } else { Err(Faults::new(self.faults)) }
    }

    /// The secrets of the only group.
    fn finish_one(self) -> Result<Vec<Secret>, Faults> {
        let groups = self.finish()?;
        Ok(groups.into_iter().flat_map(|group| group.secrets).map(|(_, secret)| secret).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    const KEY: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    const OTHER: &str = "whsec_ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=";

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("heartbeatd-secrets-{}-{name}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn file(&self, name: &str, text: &str, mode: u32) -> PathBuf {
            let path = self.0.join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            path
        }

        fn config(&self, files: &[PathBuf]) -> Config {
            let signing_secret_files = files.to_vec();
            Config { signing_secret_files, signing_secret_files_given: true, ..Config::defaults(&self.0) }
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn set(name: &str, value: &str) -> Vec<(String, String)> {
        vec![(name.to_owned(), value.to_owned())]
    }

    #[test]
    fn every_fault_of_every_secret_is_told_at_once() {
        let folder = Folder::new("faults");
        let files = [
            folder.file("open", KEY, 0o644),
            folder.file("empty", "\n", 0o600),
            folder.file("short", "# ours\nwhsec_AAAA\n", 0o600),
            folder.0.join("gone"),
        ];
        let config = Config {
            authentication_token_file: Some(folder.file("token", "short", 0o600)),
            ..folder.config(&files)
        };
        let faults = keyring(&config, &[]).unwrap_err().to_string();
        for part in
            ["mode 0644", "empty: the file is empty", "short:2: the secret has 3 bytes", "gone: does not"]
        {
            assert!(faults.contains(part), "{part} in {faults}");
        }
        assert!(faults.contains("token: the token has 5 characters"), "{faults}");
        assert!(!faults.contains("AAAA") && !faults.contains("AAEC"), "{faults}");
    }

    #[test]
    fn a_secret_in_two_files_is_a_fault() {
        let folder = Folder::new("twice");
        let files = [folder.file("a", KEY, 0o600), folder.file("b", &format!("{OTHER}\n{KEY}\n"), 0o600)];
        let faults = keyring(&folder.config(&files), &[]).unwrap_err().to_string();
        assert!(faults.contains("b: holds a secret that stands in"), "{faults}");
    }

    #[test]
    fn all_agents_together_have_a_bounded_number_of_secrets() {
        let folder = Folder::new("all");
        let agent = |name: &str, count: usize| {
            let lines: String = (0..count).map(|n| format!("a-long-secret-of-{name}-{n}\n")).collect();
            config::Agent {
                name: name.to_owned(),
                scheme: AgentScheme::GitHub,
                secret_files: vec![folder.file(name, &lines, 0o600)],
                whitelisted_ips: None,
                flows: None,
                timestamp_header: None,
            }
        };
        let with = |last: usize| {
            let counts = [("a", 16), ("b", 16), ("c", 16), ("d", last)];
            let agents = counts.map(|(name, count)| agent(name, count)).to_vec();
            keyring(&Config { agents, ..Config::defaults(&folder.0) }, &[])
        };
        assert_eq!(with(16).unwrap().agents().len(), 4, "none is the top level's");
        folder.file("secret", KEY, 0o600);
        assert!(with(16).unwrap_err().to_string().contains("d: all agents together have 65 secrets"));
        assert_eq!(with(15).unwrap().agents().len(), 5);
    }

    #[test]
    fn the_environment_stands_in_for_the_default_file() {
        let folder = Folder::new("environment");
        let config = Config::defaults(&folder.0);
        assert!(keyring(&config, &[]).unwrap_err().to_string().contains("secret: does not exist"));
        assert!(keyring(&config, &set(SIGNING_SECRET_VARIABLE, KEY)).is_ok());
        assert!(keyring(&config, &set(AUTHENTICATION_TOKEN_VARIABLE, "0123456789abcdef")).is_ok());
        let given = Config { signing_secret_files_given: true, ..config };
        assert!(keyring(&given, &set(SIGNING_SECRET_VARIABLE, KEY)).is_err(), "a named file must be there");
        let wrong = keyring(&given, &set(SIGNING_SECRET_VARIABLE, "whsec_AAAA")).unwrap_err().to_string();
        assert!(wrong.contains("environment: HEARTBEATD_SIGNING_SECRET: the secret has"), "{wrong}");
    }

    #[test]
    fn without_authentication_no_secret_is_needed() {
        let folder = Folder::new("disabled");
        let config = Config { authentication_enabled: false, ..Config::defaults(&folder.0) };
        assert!(keyring(&config, &[]).is_ok());
        assert!(signing_secrets(&config, &[]).unwrap().is_empty());
    }
}
