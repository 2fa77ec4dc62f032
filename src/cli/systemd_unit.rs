//! The systemd unit of a box: the package's own (`packaging/heartbeatd.service`) with the paths and the user of the box at
//! hand, so that there is one text to keep right.

use std::fmt::Write;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::failure::{Exit, Failure};
use crate::setup::{self, Loaded};

const PACKAGED: &str = include_str!("../../packaging/heartbeatd.service");
/// What `ProtectHome=yes` hides (systemd.exec(5)).
const HOMES: [&str; 3] = ["/home", "/root", "/run/user"];
/// What `PrivateTmp=yes` hides.
const TEMPORARY: [&str; 2] = ["/tmp", "/var/tmp"];

/// What of a unit differs from box to box.
struct Place<'a> {
    program: &'a Path,
    config: &'a Path,
    /// The folders that the daemon writes to.
    written: Vec<&'a Path>,
    user: String,
}

/// The unit that runs this program on a box, as the user who owns the box's folder.
///
/// # Errors
/// The program's path or the folder's owner cannot be told, or a path holds what a unit cannot.
pub(super) fn of(loaded: &Loaded) -> Result<String, Failure> {
    let program = std::env::current_exe()
        .map_err(|error| Failure::io("tell where this program is", Path::new("/proc/self/exe"), &error))?;
    let directory = loaded.directory.as_path();
    let owner =
        fs::metadata(directory).map_err(|error| Failure::io("look at the folder", directory, &error))?;
    let config = &loaded.config;
    let written =
        [Some(directory), config.database.parent(), config.control.socket.parent()].into_iter().flatten();
    let mut distinct: Vec<&Path> = Vec::new();
    for folder in written {
        if !distinct.iter().any(|known| folder.starts_with(known)) {
            distinct.push(folder);
        }
    }
    let user = setup::user_name(owner.uid()).unwrap_or_else(|| owner.uid().to_string());
    unit(&Place { program: &program, config: &loaded.path, written: distinct, user })
}

fn unit(place: &Place<'_>) -> Result<String, Failure> {
    let program = command_word(place.program)?;
    let config = command_word(place.config)?;
    let written: Vec<String> = place.written.iter().map(|path| quoted(path)).collect::<Result<_, _>>()?;
    let paths = || [place.program, place.config].into_iter().chain(place.written.iter().copied());
    let is_below = |tops: &[&str]| paths().any(|path| tops.iter().any(|top| path.starts_with(top)));
    let mut text = String::new();
    for line in PACKAGED.lines() {
        let written_line = match line.split_once('=').unwrap_or_default().0 {
            "ExecStart" => format!("ExecStart={program} --config {config} serve"),
            "ExecReload" => format!("ExecReload={program} --config {config} reload"),
            "User" => format!("User={}", place.user),
            "StateDirectory" => format!("ReadWritePaths={}", written.join(" ")),
            "StateDirectoryMode" | "RuntimeDirectory" => continue,
            "ProtectHome" if is_below(&HOMES) => "ProtectHome=read-only".to_owned(),
            "PrivateTmp" if is_below(&TEMPORARY) => "PrivateTmp=no".to_owned(),
            _ => line.to_owned(),
        };
        let _never_fails = writeln!(text, "{written_line}");
    }
    Ok(text)
}

/// A word of a command, in which `$` would name a variable.
fn command_word(path: &Path) -> Result<String, Failure> {
    quoted(path).map(|word| word.replace('$', "$$"))
}

/// A word of a list; `%` would name a specifier (systemd.unit(5)).
fn quoted(path: &Path) -> Result<String, Failure> {
    let text = path.to_str().filter(|text| !text.contains(|c: char| c.is_control() || "\"\\'".contains(c)));
    let Some(text) = text else {
        let message = format!("a unit cannot name this path: {}", path.display());
        let help = "choose one without quotes, backslashes and control characters";
        return Err(Failure::new(Exit::Failed, message, help));
    };
    let text = text.replace('%', "%%");
    Ok(if text.contains(char::is_whitespace) { format!("\"{text}\"") } else { text })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(program: &str, config: &str, written: &[&str]) -> Vec<String> {
        let place = Place {
            program: Path::new(program),
            config: Path::new(config),
            written: written.iter().map(Path::new).collect(),
            user: "pi".to_owned(),
        };
        let text = unit(&place).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn paths_and_user_are_those_of_the_box() {
        let lines = lines("/opt/heartbeatd", "/srv/a box/100%/$x.toml", &["/srv/a box/100%", "/data"]);
        for line in [
            "ExecStart=/opt/heartbeatd --config \"/srv/a box/100%%/$$x.toml\" serve",
            "ExecReload=/opt/heartbeatd --config \"/srv/a box/100%%/$$x.toml\" reload",
            "ReadWritePaths=\"/srv/a box/100%%\" /data",
            "User=pi",
            "ProtectHome=yes",
            "PrivateTmp=yes",
        ] {
            assert!(lines.iter().any(|other| other == line), "{line} in {lines:#?}");
        }
        assert!(
            !lines.iter().any(|line| line.starts_with("StateDirectory") || line.contains("/usr/bin/heart"))
        );
    }

    #[test]
    fn a_box_that_would_be_hidden_is_left_in_sight() {
        let at_home = format!("{}/pi/box", HOMES[0]);
        let home = lines("/usr/bin/heartbeatd", &format!("{at_home}/heartbeatd.toml"), &[&at_home]);
        for line in ["ProtectHome=read-only", "PrivateTmp=yes"] {
            assert!(home.iter().any(|other| other == line), "{line} in {home:#?}");
        }
        let temporary = lines("/usr/bin/heartbeatd", "/tmp/box/heartbeatd.toml", &["/tmp/box"]);
        assert!(temporary.contains(&"PrivateTmp=no".to_owned()));
    }

    #[test]
    fn a_path_that_would_end_a_line_is_refused() {
        for path in ["/a\nb", "/a\"b", "/a\\b"] {
            assert!(quoted(Path::new(path)).is_err(), "{path:?}");
        }
    }

    #[test]
    fn the_packaged_unit_has_each_line_that_is_changed_once() {
        for key in ["ExecStart", "ExecReload", "User", "StateDirectory", "ProtectHome", "PrivateTmp"] {
            let count =
                PACKAGED.lines().filter(|line| line.split_once('=').is_some_and(|(name, _)| name == key));
            assert_eq!(count.count(), 1, "{key}");
        }
    }
}
