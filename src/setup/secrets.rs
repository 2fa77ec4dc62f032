//! The secrets and the token that the configuration names, read from their files and the environment.
//!
//! What is read is wiped when it is dropped, and no message holds any of it.

use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

use super::files::read_private_file;
use crate::auth::{Keyring, Secret, Token};
use crate::config::{AUTHENTICATION_TOKEN_VARIABLE, Config, Fault, Faults, SIGNING_SECRET_VARIABLE};

/// What a request is judged by: the secrets and the token of the configuration.
///
/// With `authentication_enabled = false` no secret is read.
///
/// # Errors
/// Every fault of the secret files, the token file and the two variables.
pub fn keyring(config: &Config, environment: &[(String, String)]) -> Result<Keyring, Faults> {
    if !config.authentication_enabled {
        return Ok(Keyring::disabled());
    }
    let (secrets, token) = match (signing_secrets(config, environment), token(config, environment)) {
        (Ok(secrets), Ok(token)) => (secrets, token),
        (secrets, token) => {
            let faults = [secrets.err(), token.err()];
            return Err(Faults::new(faults.into_iter().flatten().flatten().collect()));
        }
    };
    // What does not go together was found with its file above; this is for what only the scheme knows.
    Keyring::of_default_agent(secrets, token, config.signature_tolerance).map_err(|message| {
        let file = config.signing_secret_files.first().map_or(Path::new("secret"), PathBuf::as_path);
        Fault::of_file(file, message, "put one secret a line in it; `heartbeatd init` makes one").into()
    })
}

/// The secrets that heartbeats are signed with: those of the files in their order, then those of
/// `HEARTBEATD_SIGNING_SECRET`. There may be none where a token, or nothing, proves the sender.
///
/// # Errors
/// Every fault of the files and the variable: missing, empty, too short, readable by others, one key twice.
pub fn signing_secrets(config: &Config, environment: &[(String, String)]) -> Result<Vec<Secret>, Faults> {
    let mut collected = Collected::default();
    let variable = variable(environment, SIGNING_SECRET_VARIABLE);
    let default_may_be_missing = !config.signing_secret_files_given
        && (variable.is_some() || !config.authentication_enabled || has_token(config, environment));
    for path in &config.signing_secret_files {
        if default_may_be_missing && !path.try_exists().unwrap_or(true) {
            continue;
        }
        collected.file(path);
    }
    if let Some(text) = variable {
        let of = |(line, message): (usize, String)| {
            let fault = Fault::of_environment(message, RIGHT_SECRET);
            Fault { key: Some(SIGNING_SECRET_VARIABLE.to_owned()), line: (line > 1).then_some(line), ..fault }
        };
        collected.text(text, Path::new(SIGNING_SECRET_VARIABLE), of);
    }
    collected.finish()
}

/// The secrets of one file, whatever the configuration says.
///
/// # Errors
/// Every fault of it.
pub fn secrets_of_file(path: &Path) -> Result<Vec<Secret>, Faults> {
    let mut collected = Collected::default();
    collected.file(path);
    collected.finish()
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

fn token(config: &Config, environment: &[(String, String)]) -> Result<Option<Token>, Faults> {
    let Some(text) = token_text(config, environment)? else { return Ok(None) };
    Token::parse(&text).map(Some).map_err(|message| {
        let help = "make one with `openssl rand -hex 32`";
        let from_file = config.authentication_token_file.as_deref();
        match from_file.filter(|_| variable(environment, AUTHENTICATION_TOKEN_VARIABLE).is_none()) {
            Some(path) => Fault::of_file(path, message, help).into(),
            None => {
                let key = Some(AUTHENTICATION_TOKEN_VARIABLE.to_owned());
                Fault { key, ..Fault::of_environment(message, help) }.into()
            }
        }
    })
}

const RIGHT_SECRET: &str =
    "give one secret a line, as `heartbeatd init` writes it: whsec_ and 24 to 64 bytes in base64";

fn has_token(config: &Config, environment: &[(String, String)]) -> bool {
    config.authentication_token_file.is_some()
        || variable(environment, AUTHENTICATION_TOKEN_VARIABLE).is_some()
}

/// A variable that is set to something.
fn variable<'e>(environment: &'e [(String, String)], wanted: &str) -> Option<&'e str> {
    let found = environment.iter().find(|(name, value)| name == wanted && !value.trim().is_empty());
    found.map(|(_, value)| value.as_str())
}

/// Secrets from several places, each with the place that it came from.
#[derive(Default)]
struct Collected {
    secrets: Vec<(PathBuf, Secret)>,
    faults: Vec<Fault>,
}

impl Collected {
    fn file(&mut self, path: &Path) {
        match read_private_file(path) {
            Ok(text) => {
                self.text(&text, path, |(line, message)| Fault {
                    line: Some(line),
                    ..Fault::of_file(path, message, RIGHT_SECRET)
                });
            }
            Err(fault) => self.faults.push(fault),
        }
    }

    fn text(&mut self, text: &str, place: &Path, fault_of: impl Fn((usize, String)) -> Fault) {
        let secrets = match Secret::parse_file(text) {
            Ok(secrets) => secrets,
            Err(found) => return self.faults.extend(found.into_iter().map(fault_of)),
        };
        for secret in secrets {
            let first = self.secrets.iter().find(|(_, other)| other.has_key_of(&secret));
            if let Some((first, _)) = first {
                let message = format!("holds a secret that stands in {} already", first.display());
                let help = "two copies are one secret: keep it in one of the two places";
                self.faults.push(Fault::of_file(place, message, help));
            }
            self.secrets.push((place.to_owned(), secret));
        }
    }

    fn finish(self) -> Result<Vec<Secret>, Faults> {
        if self.faults.is_empty() {
            Ok(self.secrets.into_iter().map(|(_, secret)| secret).collect())
        } else {
            Err(Faults::new(self.faults))
        }
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
