//! The machine and the programs that figures were taken with.

use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

use crate::process::{core_count, installed};

pub(crate) fn describe() -> Value {
    json!({
        "date": first_line(Command::new("date").args(["-u", "+%Y-%m-%dT%H:%M:%SZ"])),
        "commit": first_line(Command::new("git").args(["-C", env!("CARGO_MANIFEST_DIR"), "describe", "--always", "--dirty"])),
        "kernel": first_line(Command::new("uname").args(["-srm"])),
        "cpu": cpu(),
        "cores": core_count(),
        "memory_mib": memory_mib(),
        "load": first_line(Command::new("cat").arg("/proc/loadavg")),
        "file_system": file_system(&std::env::temp_dir()),
        "programs": programs(),
    })
}

/// What each peer says of its version; "not installed" where there is none.
fn programs() -> Value {
    let peers = [
        ("nginx", "-v"),
        ("webhook", "-version"),
        ("sqlite3", "--version"),
        ("sqlite-utils", "--version"),
        ("strace", "--version"),
    ];
    let mut found: serde_json::Map<String, Value> = peers
        .iter()
        .map(|(name, argument)| {
            let version = installed(name).map(|file| first_line(Command::new(file).arg(argument)));
            ((*name).to_owned(), version.unwrap_or_else(|| "not installed".to_owned()).into())
        })
        .collect();
    let rustc = first_line(Command::new("rustc").arg("--version"));
    found.insert("rustc".to_owned(), rustc.into());
    found.insert("heartbeatd".to_owned(), env!("CARGO_PKG_VERSION").into());
    found.insert("SQLite (bundled)".to_owned(), rusqlite::version().into());
    Value::Object(found)
}

/// The first line that a command prints, wherever; nothing if it cannot be started.
fn first_line(command: &mut Command) -> String {
    let Ok(output) = command.output() else { return String::new() };
    let text = if output.stdout.is_empty() { output.stderr } else { output.stdout };
    String::from_utf8_lossy(&text).lines().next().unwrap_or("").trim().to_owned()
}

fn cpu() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let named = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    named("model name").or_else(|| named("Model")).unwrap_or_else(|| std::env::consts::ARCH.to_owned())
}

fn memory_mib() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) / 1024
}

/// The kind of the file system that databases lie on: in memory a sync costs nothing.
fn file_system(folder: &Path) -> String {
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
    let fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let holds = fields.filter(|fields| fields.get(1).is_some_and(|point| folder.starts_with(point)));
    let closest = holds.max_by_key(|fields| fields[1].len());
    closest.and_then(|fields| fields.get(2).map(|kind| (*kind).to_owned())).unwrap_or_default()
}
