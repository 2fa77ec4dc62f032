//! `init`: what a box needs before its first `serve`.

use serde_json::json;
use std::path::{Path, PathBuf};

use super::Context;
use super::arguments::Init;
use super::failure::{Exit, Failure};
use super::files::{self, There, Written};
use super::hints::Hints;
use super::output::Paint;
use super::printable::printable;
use super::{random, systemd_unit};
use crate::auth::Secret;
use crate::config::{commented_example, flow_example};
use crate::flow::FlowName;
use crate::setup::{self, Loaded};
use crate::store::Store;

/// Makes what is missing. What is there is kept; a secret and a database even with `--force`.
pub(super) fn run(context: &Context, init: &Init) -> Result<(), Failure> {
    files::make_folder(&init.dir)?;
    let path = if init.dir == Path::new(".") {
        Path::new("heartbeatd.toml").to_owned()
    } else {
        init.dir.join("heartbeatd.toml")
    };
    let written = files::write_text(&path, &commented_example(&init.listen), init.force)?;
    tell(context, written, &path)?;
    // From here on the configuration says where things are, also one that was kept.
    let loaded = setup::read_config(&path, &context.environment)?;
    make_secret(context, &loaded)?;
    make_database(context, &loaded)?;
    make_example(context, &loaded, init.force)?;
    let unit = init.systemd.then(|| make_unit(context, &loaded, init)).transpose()?;
    what_next(context, &path, unit.as_deref())
}

fn make_secret(context: &Context, loaded: &Loaded) -> Result<(), Failure> {
    let Some(path) = loaded.config.signing_secret_files.first() else { return Ok(()) };
    let random = random::bytes()?;
    let (mut text, _) = Secret::generate(&random);
    text.push('\n');
    tell(context, files::write_private(path, &text)?, path)
}

fn make_database(context: &Context, loaded: &Loaded) -> Result<(), Failure> {
    let config = &loaded.config;
    let failed = |error: std::io::Error| Failure::io("make the database", &config.database, &error);
    let written = match files::there(&config.database).map_err(failed)? {
        There::Something => Written::Skip,
        There::Nothing | There::Empty => {
            Store::open(&config.database, config.durability, random::number()?, crate::server::now())?;
            Written::Create
        }
    };
    tell(context, written, &config.database)
}

fn make_example(context: &Context, loaded: &Loaded, force: bool) -> Result<(), Failure> {
    files::make_folder(&loaded.config.flows_dir)?;
    let name =
        FlowName::new("example").map_err(|message| Failure::new(Exit::Failed, message, "report it"))?;
    let path = loaded.config.flows_dir.join("example.toml");
    let written = files::write_text(&path, &flow_example(&name), force)?;
    tell(context, written, &path)
}

fn make_unit(context: &Context, loaded: &Loaded, init: &Init) -> Result<PathBuf, Failure> {
    let path = init.dir.join("heartbeatd.service");
    let text = systemd_unit::of(loaded)?;
    tell(context, files::write_text(&path, &text, init.force)?, &path)?;
    Ok(path)
}

/// Tells what became of a file.
pub(super) fn tell(context: &Context, written: Written, path: &Path) -> Result<(), Failure> {
    let output = &context.output;
    if output.json {
        return output.value(&json!({ "action": written.as_str(), "path": path.to_string_lossy() }));
    }
    let paint = match written {
        Written::Create => Paint::Green,
        Written::Identical => Paint::Dim,
        Written::Skip | Written::Force => Paint::Yellow,
    };
    let word = format!("{:>9}", written.as_str());
    output.painted(&[(paint, &word), (Paint::Plain, &format!("  {}", shown(path).display()))])
}

/// A path as its reader would write it: from the current folder where it lies below it.
pub(super) fn shown(path: &Path) -> &Path {
    let below = std::env::current_dir().ok().and_then(|folder| path.strip_prefix(folder).ok());
    below.filter(|below| !below.as_os_str().is_empty()).unwrap_or(path)
}

fn what_next(context: &Context, path: &Path, unit: Option<&Path>) -> Result<(), Failure> {
    if context.output.json || context.output.quiet {
        return Ok(());
    }
    let hints = match path.parent() {
        Some(folder) if folder.as_os_str().is_empty() => Hints::default(),
        _ => Hints::of_config(path),
    };
    if let Some(unit) = unit {
        return context.output.lines(format!(
            "\nNext, to start it now and with the system:\n  sudo install -m 644 {} /etc/systemd/system/\n  sudo systemctl enable --now heartbeatd",
            printable(&unit.display().to_string())
        ));
    }
    let next = "\nNext, in two terminals:\n  heartbeatd serve\n  heartbeatd beat --wait 10s";
    context.output.lines(hints.complete(next))
}
