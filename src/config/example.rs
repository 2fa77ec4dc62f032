//! The commented files that `init` and `flow new` write, made from the tables of keys.

use std::net::SocketAddr;

use super::agents::AGENT_KEYS;
use super::flow_keys::{FLOW_KEYS, TRANSFORM_TIME_MAX};
use super::key::{Key, Presence, heading};
use super::keys::KEYS;
use super::program::COMMAND_KEYS;
use crate::flow::FlowName;

/// The commented `heartbeatd.toml` that `init` writes: every key with its default, and `listen` as given.
pub fn commented_example(listen: &[SocketAddr]) -> String {
    let mut text = "\
# The configuration of heartbeatd. What is commented out is the default.
# Durations: \"250ms\", \"5s\", \"1h30m\" or whole seconds. Sizes: \"64 KiB\" or bytes.
# Relative paths are taken from this file's folder. Every key can be overridden by the environment:
# HEARTBEATD_LISTEN, HEARTBEATD_LIMITS__BODY and so on. After a change: heartbeatd check
"
    .to_owned();
    write_keys(&mut text, KEYS.iter(), |key| {
        let addresses: Vec<String> = listen.iter().map(|address| format!("\"{address}\"")).collect();
        (key.path == "listen" && !listen.is_empty()).then(|| format!("[{}]", addresses.join(", ")))
    });
    let mut agent = String::new();
    write_keys(&mut agent, AGENT_KEYS.iter(), |_| None);
    // A table without its keys would be an agent without a name.
    text.push_str(&agent.replacen(
        "\n[",
        "\n# Other senders of heartbeats, which only this file can name; see docs/agents.md.\n# [",
        1,
    ));
    text
}

/// The commented flow file that `flow new NAME --kind command` writes, valid as it stands.
pub fn flow_example(name: &FlowName) -> String {
    let mut text =
        "# A data flow: what runs when a heartbeat finds it due. After a change: heartbeatd check\n"
            .to_owned();
    let keys = FLOW_KEYS.iter().filter(|key| key.path != TRANSFORM_TIME_MAX);
    write_keys(&mut text, keys, |key| match key.path {
        "name" => Some(format!("\"{name}\"")),
        "run_interval" => Some(key.example().to_owned()),
        _ => None,
    });
    write_keys(&mut text, COMMAND_KEYS.iter(), |key| {
        (key.path == "command.argv").then(|| format!("[\"echo\", \"{name} ran\"]"))
    });
    text
}

/// Writes each key with its line of documentation; those that `given` has a value for are not commented out.
pub(super) fn write_keys<T: 'static>(
    text: &mut String,
    keys: impl Iterator<Item = &'static Key<T>>,
    given: impl Fn(&Key<T>) -> Option<String>,
) {
    let mut current = "";
    for key in keys {
        let (table, name) = key.parts();
        if table != current {
            text.push_str(&format!("\n{}\n", heading(table)));
            current = table;
        } else {
            text.push('\n');
        }
        for line in wrapped(key.doc) {
            text.push_str(&format!("# {line}\n"));
        }
        let value = given(key);
        let comment = if value.is_some() { "" } else { "# " };
        let value = value.unwrap_or_else(|| key.example().to_owned());
        let note = if matches!(key.presence, Presence::Optional(_)) && comment == "# " {
            "    # no default"
        } else {
            ""
        };
        text.push_str(&format!("{comment}{name} = {value}{note}\n"));
    }
}

/// Words of `text` in lines of at most 100 bytes.
fn wrapped(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.len() + 1 + word.len() <= 100 => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, FlowContext, Status, parse, parse_flow};
    use crate::flow::Kinds;
    use crate::time::Zones;
    use std::path::Path;

    #[test]
    fn the_example_reads_back_to_the_defaults() {
        let base = Path::new("/etc/heartbeatd");
        let defaults = Config::defaults(base);
        let text = commented_example(&defaults.listen);
        assert_eq!(parse(&text, &base.join("heartbeatd.toml"), &[]), Ok(defaults.clone()));
        assert!(KEYS.iter().all(|key| text.contains(&format!("{} = {}", key.parts().1, key.example()))));
        assert!(AGENT_KEYS.iter().all(|key| text.contains(&format!(
            "# {} = {}",
            key.parts().1,
            key.example()
        ))));
        let listen = ["[::1]:0".parse().unwrap()];
        let text = commented_example(&listen);
        let expected = Config { listen: listen.to_vec(), ..defaults };
        assert_eq!(parse(&text, &base.join("heartbeatd.toml"), &[]), Ok(expected));
    }

    #[test]
    fn the_example_without_its_comments_is_right_as_well() {
        let base = Path::new("/etc/heartbeatd");
        let text = commented_example(&[]);
        let (settings, _) = text.split_once("# Other senders").unwrap();
        // An alert goes one way.
        let one_way = settings.lines().filter(|line| !line.starts_with("# command = "));
        let keys_only = one_way.map(|line| match line.strip_prefix("# ") {
            Some(rest) if KEYS.iter().any(|key| rest.starts_with(&format!("{} = ", key.parts().1))) => rest,
            _ => line,
        });
        let all = keys_only.collect::<Vec<_>>().join("\n");
        let config = parse(&all, &base.join("heartbeatd.toml"), &[]).unwrap();
        assert!(config.alerts.url.is_some() && config.alerts.watchdog_url.is_some());
        let expected = Config {
            alerts: config.alerts.clone(),
            authentication_token_file: Some(base.join("token")),
            internal_heartbeat: Some(std::time::Duration::from_secs(60)),
            signing_secret_files_given: true,
            status: Status { listen_given: true, ..Config::defaults(base).status },
            ..Config::defaults(base)
        };
        assert_eq!(config, expected);
    }

    #[test]
    fn the_example_of_an_agent_is_right_without_its_comments() {
        let base = Path::new("/etc/heartbeatd");
        let text = commented_example(&[]);
        let (settings, agent) = text.split_once("# [[agents]]").unwrap();
        let is_key =
            |line: &str| AGENT_KEYS.iter().any(|key| line.starts_with(&format!("{} = ", key.parts().1)));
        let keys = agent.lines().filter_map(|line| line.strip_prefix("# ").filter(|line| is_key(line)));
        let keys = keys.collect::<Vec<_>>().join("\n");
        let config =
            parse(&format!("{settings}[[agents]]\n{keys}"), &base.join("heartbeatd.toml"), &[]).unwrap();
        assert_eq!(config.agents.len(), 1);
        assert_eq!(config.agents[0].secret_files, [base.join("grafana-secret")]);
    }

    #[test]
    fn a_new_flow_file_is_valid_as_it_stands() {
        let kinds = Kinds::default();
        let zones = Zones::utc_only();
        let context = FlowContext { kinds: &kinds, zones: &zones, working_directory: Path::new("/box") };
        let name = FlowName::new("upload_readings").unwrap();
        let flow = parse_flow(&flow_example(&name), Path::new("/box/flows/x.toml"), &context).unwrap();
        assert_eq!((flow.name, flow.run_interval_s, flow.enabled), (name, 900, true));
    }
}
