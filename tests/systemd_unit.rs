//! The unit of the package, the one that `init --systemd` writes, and the drop-ins of the documentation, as systemd itself
//! judges them; and the system calls that they allow, against those that the daemon makes.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail its test")]

mod support;

use heartbeat_runtime::config;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::daemon::Daemon;
use support::tools::{can_inject, can_run, run_through};
use support::{EdgeBox, until};

/// What systemd calls `OK` at most, in tenths: 1.7 when this was written.
const EXPOSURE_MAX: &str = "30";

fn is_installed() -> bool {
    can_run("systemd-analyze", &["--version"])
}

fn analyze(arguments: &[&str], unit: &Path) -> (bool, String) {
    let output = Command::new("systemd-analyze").args(arguments).arg(unit).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

/// Systemd finds nothing wrong with the unit and its drop-ins. What it says of the machine's other units is not ours.
fn verify(unit: &Path) {
    let (is_right, said) = analyze(&["verify", "--man=no"], unit);
    let of_ours = said.lines().filter(|line| line.contains("heartbeatd")).count();
    assert!(is_right && of_ours == 0, "{}: {said}", unit.display());
}

fn expose_little(unit: &Path) {
    let threshold = format!("--threshold={EXPOSURE_MAX}");
    let (is_little, said) = analyze(&["security", "--offline=true", "--no-pager", &threshold], unit);
    assert!(is_little, "{said}");
}

fn repository(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The packaged unit, with the program that is here.
fn packaged_in(edge_box: &EdgeBox, folder: &str) -> PathBuf {
    let folder = edge_box.path(folder);
    fs::create_dir_all(&folder).unwrap();
    let text = repository("packaging/heartbeatd.service")
        .replace("/usr/bin/heartbeatd", env!("CARGO_BIN_EXE_heartbeatd"));
    let unit = folder.join("heartbeatd.service");
    fs::write(&unit, text).unwrap();
    unit
}

#[test]
fn the_packaged_unit_is_right_and_exposes_little() {
    if !is_installed() {
        return;
    }
    let edge_box = EdgeBox::new();
    let unit = packaged_in(&edge_box, "packaged");
    verify(&unit);
    expose_little(&unit);
}

#[test]
fn the_packaged_configuration_is_right() {
    let path = Path::new("/etc/heartbeatd/heartbeatd.toml");
    let parsed = config::parse(&repository("packaging/heartbeatd.toml"), path, &[]).unwrap();
    assert_eq!(parsed.database, Path::new("/var/lib/heartbeatd/heartbeat.db"));
    assert_eq!(parsed.control.socket, Path::new("/run/heartbeatd/heartbeatd.sock"));
    assert_eq!(parsed.flows_dir, Path::new("/etc/heartbeatd/flows"));
}

/// Commands that work without a daemon find the folder that the unit makes, with the owner that it gives it.
#[test]
fn the_package_makes_user_and_folder_as_the_unit_has_them() {
    let unit = repository("packaging/heartbeatd.service");
    let value = |key: &str| {
        let found = unit.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        found.unwrap_or_else(|| panic!("the unit has {key}="))
    };
    let (user, folder) = (value("User"), format!("/var/lib/{}", value("StateDirectory")));
    let made = repository("packaging/heartbeatd.tmpfiles");
    let line = format!("d {folder} {} {user} {user} -", value("StateDirectoryMode"));
    assert!(made.lines().any(|it| it == line), "{line}: {made}");
    let users = repository("packaging/heartbeatd.sysusers");
    assert!(
        users.lines().any(|it| it.starts_with(&format!("u {user} ")) && it.ends_with(&folder)),
        "{users}"
    );
}

#[test]
fn init_writes_the_unit_of_its_box_and_keeps_one_that_was_changed() {
    let edge_box = EdgeBox::new();
    let place = edge_box.path("a box");
    let init = |more: &[&str]| {
        let (code, said) =
            edge_box.command(&[&["init", place.to_str().unwrap(), "--systemd"], more].concat());
        assert_eq!(code, Some(0), "{said}");
        said
    };
    let said = init(&[]);
    assert!(said.contains("create") && said.contains("sudo systemctl enable --now heartbeatd"), "{said}");
    let unit = place.join("heartbeatd.service");
    let text = fs::read_to_string(&unit).unwrap();
    let config = place.join("heartbeatd.toml");
    let serve =
        format!("ExecStart={} --config \"{}\" serve\n", env!("CARGO_BIN_EXE_heartbeatd"), config.display());
    assert!(
        text.contains(&serve) && text.contains(&format!("ReadWritePaths=\"{}\"\n", place.display())),
        "{text}"
    );
    if is_installed() {
        verify(&unit);
        expose_little(&unit);
    }
    assert!(init(&[]).lines().any(|line| line.contains("identical") && line.contains("heartbeatd.service")));
    fs::write(&unit, "# mine\n").unwrap();
    assert!(init(&[]).lines().any(|line| line.contains("skip") && line.contains("heartbeatd.service")));
    assert_eq!(fs::read_to_string(&unit).unwrap(), "# mine\n");
    assert!(
        init(&["--force"]).lines().any(|line| line.contains("force") && line.contains("heartbeatd.service"))
    );
    assert_eq!(fs::read_to_string(&unit).unwrap(), text);
}

/// Name and text of each drop-in of the documentation.
fn drop_ins(document: &str) -> Vec<(String, String)> {
    let blocks = document.split("```ini\n").skip(1).filter_map(|rest| rest.split_once("```"));
    let named = blocks.filter_map(|(text, _)| {
        let place = text.lines().next()?.strip_prefix("# /etc/systemd/system/heartbeatd.service.d/")?;
        Some((place.to_owned(), text.to_owned()))
    });
    named.collect()
}

#[test]
fn every_drop_in_of_the_documentation_is_right() {
    if !is_installed() {
        return;
    }
    let edge_box = EdgeBox::new();
    let drop_ins = drop_ins(&repository("docs/systemd.md"));
    assert!(drop_ins.len() >= 10, "they were found: {drop_ins:?}");
    for (name, text) in drop_ins {
        let unit = packaged_in(&edge_box, &name);
        let folder = unit.with_extension("service.d");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join(&name), text).unwrap();
        verify(&unit);
    }
}

#[test]
fn a_wrong_drop_in_would_be_noticed() {
    if !is_installed() {
        return;
    }
    let edge_box = EdgeBox::new();
    let unit = packaged_in(&edge_box, "wrong");
    let folder = unit.with_extension("service.d");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("wrong.conf"), "[Service]\nProtectHouse=yes\n").unwrap();
    let (_, said) = analyze(&["verify", "--man=no"], &unit);
    assert!(said.contains("ProtectHouse"), "{said}");
}

/// The names in a list of system calls, with those of the groups in it.
fn system_calls_of(group: &str) -> BTreeSet<String> {
    let output = Command::new("systemd-analyze").args(["syscall-filter", group]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let names = text.lines().skip(1).map(str::trim).filter(|line| !line.starts_with('#') && !line.is_empty());
    names
        .flat_map(|name| match name.starts_with('@') {
            true => system_calls_of(name),
            false => BTreeSet::from([name.to_owned()]),
        })
        .collect()
}

#[test]
fn the_unit_allows_every_system_call_that_the_daemon_makes() {
    if !is_installed() || !can_inject() {
        return;
    }
    let allowed = system_calls_of("@system-service");
    assert!(allowed.contains("pidfd_open") && !allowed.contains("mount"), "{allowed:?}");
    let edge_box = EdgeBox::new();
    edge_box.flow("it", "[command]\nargv = [\"/bin/sh\", \"-c\", \"cat; sleep 60 &\"]\nstdin = \"x\"\nnice = 5\nlimits = { memory = \"256 MiB\" }\n");
    edge_box.flow(
        "pipe",
        "[source]\ntype = \"system\"\nmetrics = [\"load\"]\n[sink]\ntype = \"file\"\npath = \"DIR/out.jsonl\"\n",
    );
    let trace = edge_box.path("trace");
    let mut daemon = Daemon::start(&edge_box, |command| {
        command.arg("--dumpable");
        run_through(command, "strace", &["-D", "-o", trace.to_str().unwrap(), "-e", "trace=all"]);
    });
    daemon.beat_and_wait();
    assert_eq!(edge_box.command(&["reload"]).0, Some(0));
    for flow in ["it", "pipe"] {
        assert_eq!(edge_box.ended_run(flow).status, "success", "{}", daemon.log());
    }
    daemon.stop();
    until("the trace is whole", || edge_box.read("trace").contains("+++ exited with"));
    let trace = edge_box.read("trace");
    let made: BTreeSet<&str> = trace
        .lines()
        .filter_map(|line| line.split_once('(').map(|(name, _)| name))
        .filter(|name| name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'))
        .collect();
    assert!(made.contains("execve") && made.contains("fdatasync"), "{made:?}");
    let denied: Vec<_> = made.iter().filter(|name| !allowed.contains(**name)).collect();
    assert!(denied.is_empty(), "{denied:?}");
}
