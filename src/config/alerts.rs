//! `[alerts]`: who is told what.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::document::Raw;
use super::key::Judge;
use super::kind::{Wrong, items, resolved, text};
use super::{Config, pipeline};
use crate::http::client::Url;
use crate::limits;

/// Who is told what, and who watches the daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alerts {
    /// Who gets a signed POST of each alert; at most one of this and `command`.
    pub url: Option<Url>,
    /// What it is signed with; there with `url`, and only then.
    pub secret_file: Option<PathBuf>,
    /// A program and its arguments, which gets each alert on its standard input; empty: none.
    pub command: Vec<String>,
    /// Failures of a flow in a row before that is told.
    pub after_failures: usize,
    /// A run that takes longer is told of.
    pub run_longer_than: Option<Duration>,
    /// An agent that was silent for longer is told of.
    pub no_heartbeat_for: Option<Duration>,
    /// What is asked for again and again while all is well.
    pub watchdog_url: Option<Url>,
    /// How often.
    pub every: Duration,
}

impl Alerts {
    pub(super) const fn blank() -> Self {
        Self {
            url: None,
            secret_file: None,
            command: Vec::new(),
            after_failures: 0,
            run_longer_than: None,
            no_heartbeat_for: None,
            watchdog_url: None,
            every: Duration::ZERO,
        }
    }
}

/// Whom to ask. No message repeats it, as it may be a secret.
pub(super) fn url(value: &Raw) -> Result<Url, Vec<Wrong>> {
    let read = pipeline::http_url(value).and_then(|text| Url::parse(&text).map_err(Wrong::from));
    read.map_err(|wrong| vec![wrong])
}

/// A program with a slash in its name is found from the configuration's folder.
pub(super) fn command(value: &Raw, base: &Path) -> Result<Vec<String>, Vec<Wrong>> {
    let mut argv = items(value, |item| text(item, limits::COMMAND_BYTES_MAX))?;
    match argv.first_mut() {
        Some(program) if !program.is_empty() => {
            if program.contains('/') {
                *program = resolved(base, Path::new(program.as_str())).to_string_lossy().into_owned();
            }
            Ok(argv)
        }
        _ => Err(vec!["names no program".to_owned().into()]),
    }
}

pub(super) fn check(config: &Config, judge: &mut Judge<'_>) {
    let alerts = &config.alerts;
    let signs = alerts.secret_file.is_some();
    if alerts.url.is_some() && !alerts.command.is_empty() {
        judge.fault_of("alerts.command", "stands beside url: an alert goes one way", "keep one of the two");
    } else if alerts.url.is_some() && !signs {
        let help = "write secret_file = \"alert-secret\" under [alerts], and one line into that file, which only you can read, as \
                    `heartbeatd init` writes it: whsec_ and 24 to 64 bytes in base64";
        judge.fault_of(
            "alerts.url",
            "has no secret_file beside it: nobody could tell our alerts from others'",
            help,
        );
    } else if alerts.url.is_none() && signs {
        judge.fault_of("alerts.secret_file", "signs nothing without url", "give url as well, or remove it");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;

    fn read(text: &str) -> Result<Alerts, String> {
        let config = parse(&format!("[alerts]\n{text}"), Path::new("/box/heartbeatd.toml"), &[]);
        config.map(|config| config.alerts).map_err(|faults| faults.to_string())
    }

    #[test]
    fn an_alert_goes_to_a_url_that_is_signed_for_or_to_a_command() {
        let by_url = read("url = \"http://x/in\"\nsecret_file = \"alert-secret\"").unwrap();
        assert_eq!(by_url.url.unwrap().target(), "/in");
        assert_eq!(by_url.secret_file, Some(PathBuf::from("/box/alert-secret")));
        assert_eq!(read("command = [\"./tell\", \"me\"]").unwrap().command, ["/box/tell", "me"]);
        assert_eq!(read("command = [\"tell\"]").unwrap().command, ["tell"], "it is found by PATH");
        let no_watch = read("").unwrap();
        assert_eq!((no_watch.url, no_watch.watchdog_url, no_watch.command.len()), (None, None, 0));
    }

    #[test]
    fn what_cannot_be_told_is_refused_and_no_message_shows_a_url() {
        for (text, words) in [
            ("url = \"http://x/hunter2\"", "alerts.url: has no secret_file"),
            ("url = \"https://x/hunter2\"\nsecret_file = \"s\"", "https needs a build with TLS"),
            ("watchdog_url = \"https://x/hunter2\"", "https needs a build with TLS"),
            ("watchdog_url = \"/hunter2\"", "alerts.watchdog_url"),
            (
                "url = \"http://x/hunter2\"\nsecret_file = \"s\"\ncommand = [\"x\"]",
                "alerts.command: stands beside url",
            ),
            ("secret_file = \"s\"", "alerts.secret_file: signs nothing"),
            ("secret_file = \"whsec_hunter2\"\nurl = \"http://x\"", "a secret stands where a path belongs"),
            ("command = []", "names no program"),
            ("command = \"mail root\"", "is not a list"),
            ("after_failures = 0", "alerts.after_failures"),
            ("every = 0", "alerts.every"),
        ] {
            let faults = read(text).unwrap_err();
            assert!(faults.contains(words) && !faults.contains("hunter2"), "{text}: {faults}");
        }
    }
}
