//! Documents whose commands are run and whose files are used as they stand there.

use std::path::Path;
use std::process::Command;

use super::metrics::document;

/// A document, by its path in the repository.
pub(crate) struct Guide(String);

impl Guide {
    pub(crate) fn of(path: &str) -> Self {
        Self(document(path))
    }

    pub(crate) fn text(&self) -> &str {
        &self.0
    }

    /// What stands below a heading, up to the next one of the second level.
    pub(crate) fn section(&self, heading: &str) -> &str {
        let mut sections = self.0.split("\n## ");
        sections
            .find(|section| section.starts_with(heading))
            .unwrap_or_else(|| panic!("no heading {heading}"))
    }

    /// The blocks of code in this language below a heading.
    pub(crate) fn blocks(&self, heading: &str, language: &str) -> Vec<&str> {
        let section = self.section(heading);
        let fence = format!("```{language}\n");
        let rest = section.match_indices(&fence).map(|(start, _)| &section[start + fence.len()..]);
        rest.filter_map(|rest| rest.split("\n```").next()).collect()
    }
}

/// What a script printed, and whether it went well.
pub(crate) struct Said {
    pub(crate) went_well: bool,
    pub(crate) text: String,
}

/// Runs a script in a folder, with `heartbeatd` on the path. A command that fails ends it.
pub(crate) fn shell(script: &str, folder: &Path) -> Said {
    let programs = Path::new(env!("CARGO_BIN_EXE_heartbeatd")).parent().expect("it lies in a folder");
    let path = format!("{}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", programs.display());
    let mut bash = Command::new("bash");
    bash.args(["-euo", "pipefail", "-c", script]).current_dir(folder).env("PATH", path);
    let output = bash.output().expect("run bash");
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    Said { went_well: output.status.success(), text }
}

/// The same of one that must go well: what it printed.
pub(crate) fn done(script: &str, folder: &Path) -> String {
    let said = shell(script, folder);
    assert!(said.went_well, "{script}\n{}", said.text);
    said.text
}
