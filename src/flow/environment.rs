//! Environment variables of a flow: which names it may set, which values are shown, and files of `NAME=value` lines.

/// The prefix of what every child is told of its run.
const RUN_PREFIX: &str = "HEARTBEAT_";
/// The prefix of the daemon's own settings and secrets, which no child sees.
const DAEMON_PREFIX: &str = "HEARTBEATD_";
/// A name that has one of these in it, in any case, is that of a secret.
const SECRET_WORDS: [&str; 8] =
    ["authorization", "cookie", "token", "secret", "password", "passwd", "credential", "key"];

/// Judges the name of a variable that a flow sets or inherits.
///
/// # Errors
/// What is wrong with it, to be put after the name, and what would be right.
pub fn check_variable_name(name: &str) -> Result<(), (&'static str, &'static str)> {
    if name.is_empty() || name.contains(['=', '\0']) {
        Err(("is not the name of an environment variable", "a name is not empty and holds no `=`"))
    } else if name.starts_with(DAEMON_PREFIX) {
        Err((
            "is a setting of the daemon, which no flow sees",
            "use a name that does not start with HEARTBEATD_",
        ))
    } else if name.starts_with(RUN_PREFIX) {
        Err((
            "is kept for what the daemon sets for each run",
            "remove it, or use a name that does not start with HEARTBEAT_",
        ))
    } else {
        Ok(())
    }
}

/// Reads lines `NAME=value`. Empty lines and those that begin with `#` or `;` are skipped, blanks around name and value
/// are dropped, and so is one pair of quotes, single or double, around the whole value. Nothing else is special: no
/// escapes, no continued lines, no expansion. That is the common part of the files that systemd and Docker read.
///
/// # Errors
/// The line, from 1, and what is wrong with it. The text may be a secret, so none of it is in the message.
pub fn parse_environment_file(text: &str) -> Result<Vec<(String, String)>, (usize, &'static str)> {
    let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
    let meant = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with(['#', ';']));
    meant
        .map(|(number, line)| {
            let (name, value) = line.split_once('=').ok_or((number, "is not NAME=value"))?;
            let (name, value) = (name.trim_end(), value.trim_start());
            if name.contains(char::is_whitespace) {
                return Err((number, "has a blank in its name"));
            }
            if value.contains('\0') {
                return Err((number, "holds a NUL byte"));
            }
            check_variable_name(name).map_err(|(wrong, _)| (number, wrong))?;
            Ok((name.to_owned(), unquoted(value).to_owned()))
        })
        .collect()
}

fn unquoted(value: &str) -> &str {
    let between = |quote: char| value.strip_prefix(quote)?.strip_suffix(quote);
    between('"').or_else(|| between('\'')).unwrap_or(value)
}

/// Replaces by `"…"` what is secret by its name in settings that are shown: they end up in mails and tickets.
pub fn hide_secrets(settings: &mut serde_json::Value) {
    hide_secrets_of(settings);
    // A pipeline's stand in its parts.
    for part in ["source", "sink"] {
        settings.get_mut(part).into_iter().for_each(hide_secrets_of);
    }
}

fn hide_secrets_of(settings: &mut serde_json::Value) {
    for table in ["/environment", "/headers", "/json_rpc/params"] {
        settings.pointer_mut(table).into_iter().for_each(hide_members);
    }
}

/// Parameters were read as JSON, which bounds how deep they are.
fn hide_members(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Array(values) => values.iter_mut().for_each(hide_members),
        serde_json::Value::Object(members) => {
            for (name, value) in members {
                if is_secret(name) { *value = "…".into() } else { hide_members(value) }
            }
        }
        _ => {}
    }
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET_WORDS.iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_variables_reads_line_by_line() {
        let text = "# comment\n; comment\n\n  A=1\nB = two words \nC=\"in quotes\"\nD='#x'\nE=\nF=a=b\r\nG=\"\nA=3\n";
        let expected = [
            ("A", "1"),
            ("B", "two words"),
            ("C", "in quotes"),
            ("D", "#x"),
            ("E", ""),
            ("F", "a=b"),
            ("G", "\""),
            ("A", "3"),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(parse_environment_file(text), Ok(expected.to_vec()));
    }

    #[test]
    fn a_line_that_is_none_is_named_and_not_quoted() {
        for (text, line) in [
            ("A=1\nhunter2\n", 2),
            ("=hunter2", 1),
            ("export A=hunter2", 1),
            ("\nHEARTBEAT_RUN_ID=hunter2", 2),
            ("HEARTBEATD_X=hunter2", 1),
            ("A=hunter2\0", 1),
        ] {
            let (found, message) = parse_environment_file(text).unwrap_err();
            assert!(found == line && !message.contains("hunter2"), "{text:?}: {found} {message}");
        }
    }

    #[test]
    fn values_with_secret_names_are_not_shown() {
        for secret in [
            "API_TOKEN",
            "Authorization",
            "Proxy-Authorization",
            "Set-Cookie",
            "DB_PASSWORD",
            "MYSQL_PASSWD",
            "AWS_SECRET",
            "Credentials",
            "SshKey",
        ] {
            assert!(is_secret(secret), "{secret}");
        }
        assert!(!is_secret("PATH") && !is_secret("AUTHOR"));
        let mut settings = serde_json::json!({
            "environment": { "API_TOKEN": "hunter2", "PATH": "/bin" },
            "headers": { "authorization": "hunter2" },
            "argv": ["key"],
            "source": {
                "headers": { "X-Api-Key": "hunter2", "Proxy-Authorization": "hunter2", "Cookie": "hunter2" },
                "json_rpc": { "method": "keys", "params": {
                    "auth": { "password": "hunter2", "user": "me" },
                    "calls": [{ "accessToken": ["hunter2"] }, { "credential": { "id": "hunter2" } }],
                } },
            },
            "sink": { "environment": { "TOKEN": "hunter2" } },
        });
        hide_secrets(&mut settings);
        assert!(!settings.to_string().contains("hunter2"), "{settings}");
        assert_eq!((&settings["environment"]["PATH"], &settings["argv"][0]), (&"/bin".into(), &"key".into()));
        let call = &settings["source"]["json_rpc"];
        assert_eq!((&call["method"], &call["params"]["auth"]["user"]), (&"keys".into(), &"me".into()));
        let mut list =
            serde_json::json!({ "source": { "json_rpc": { "params": [1, { "token": "hunter2" }] } } });
        hide_secrets(&mut list);
        assert_eq!(list["source"]["json_rpc"]["params"], serde_json::json!([1, { "token": "…" }]));
    }
}
