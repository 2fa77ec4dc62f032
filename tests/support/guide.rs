//! A document as its tests read it: sections, blocks of code, commands that are run, and the output that it shows.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use super::EdgeBox;
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

    /// What stands below the first heading that begins like this, up to the next one of the second level.
    pub(crate) fn section(&self, heading: &str) -> &str {
        let found = sections(&self.0).into_iter().find(|(found, _)| found.starts_with(heading));
        found.unwrap_or_else(|| panic!("no heading {heading}")).1
    }

    /// The blocks of code in this language below a heading.
    pub(crate) fn blocks(&self, heading: &str, language: &str) -> Vec<&str> {
        let blocks = blocks(self.section(heading)).into_iter();
        blocks.filter(|block| block.language == language).map(|block| block.text).collect()
    }
}

/// A block of code.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block<'a> {
    pub(crate) language: &'a str,
    pub(crate) text: &'a str,
}

/// The headings of the second level, each with what stands below it.
pub(crate) fn sections(document: &str) -> Vec<(&str, &str)> {
    document.split("\n## ").skip(1).filter_map(|section| section.split_once('\n')).collect()
}

pub(crate) fn section<'a>(document: &'a str, heading: &str) -> &'a str {
    let found = sections(document).into_iter().find(|(found, _)| *found == heading);
    found.unwrap_or_else(|| panic!("there is a section {heading:?}")).1
}

/// The blocks of a text.
pub(crate) fn blocks(text: &str) -> Vec<Block<'_>> {
    let fenced = text.split("\n```").skip(1).step_by(2);
    let block = |fenced| {
        let (language, text) = str::split_once(fenced, '\n')?;
        Some(Block { language, text })
    };
    fenced.filter_map(block).collect()
}

/// A text with these parts replaced, all in one go, so that none is found in what took another's place.
pub(crate) fn replaced(text: &str, parts: &[(String, String)]) -> String {
    let mut made = String::new();
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        match parts.iter().find(|(from, _)| rest.starts_with(from.as_str())) {
            Some((from, to)) => {
                made.push_str(to);
                rest = &rest[from.len()..];
            }
            None => {
                made.push(letter);
                rest = &rest[letter.len_utf8()..];
            }
        }
    }
    made
}

/// Whether a text is the one that is shown, where `…` stands for whatever is within a line or, alone on one, for any lines.
pub(crate) fn is_shown(found: &str, shown: &str) -> bool {
    fn is_line(found: &str, shown: &str) -> bool {
        let Some((before, after)) = shown.split_once('…') else { return found == shown };
        let Some(rest) = found.strip_prefix(before) else { return false };
        (0..=rest.len()).filter(|at| rest.is_char_boundary(*at)).any(|at| is_line(&rest[at..], after))
    }
    fn are_lines(found: &[&str], shown: &[&str]) -> bool {
        match shown.split_first() {
            None => found.is_empty(),
            Some((&"…", rest)) => (0..=found.len()).any(|count| are_lines(&found[count..], rest)),
            Some((line, rest)) => found
                .split_first()
                .is_some_and(|(first, others)| is_line(first, line) && are_lines(others, rest)),
        }
    }
    are_lines(&found.lines().collect::<Vec<_>>(), &shown.lines().collect::<Vec<_>>())
}

/// Runs commands in a box's folder as an operator types them, `heartbeatd` being on the path and led to the box. What they
/// print, or, if they fail, all that they say.
pub(crate) fn shell(edge_box: &EdgeBox, commands: &str) -> Result<String, String> {
    let output = bash(commands, &edge_box.path(""))
        .env("PATH", path_with_heartbeatd(edge_box))
        .env("HEARTBEATD_CONFIG", edge_box.path("heartbeatd.toml"))
        .output()
        .expect("run bash");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        Ok(text(&output.stdout))
    } else {
        Err(text(&[output.stdout, output.stderr].concat()))
    }
}

/// A PATH with a folder of the box first, which holds the program.
fn path_with_heartbeatd(edge_box: &EdgeBox) -> OsString {
    let folder = edge_box.path("usr/local/bin");
    fs::create_dir_all(&folder).expect("make a folder for programs");
    let program = folder.join("heartbeatd");
    if !program.exists() {
        symlink(env!("CARGO_BIN_EXE_heartbeatd"), program).expect("link the program");
    }
    let others = ["/usr/local/bin", "/usr/bin", "/bin"].map(Path::new);
    std::env::join_paths([folder.as_path()].into_iter().chain(others)).expect("a path without colons")
}

fn bash(commands: &str, folder: &Path) -> Command {
    let mut bash = Command::new("bash");
    bash.args(["-euo", "pipefail", "-c", commands]).current_dir(folder);
    bash
}

/// What a script printed, and whether it went well.
pub(crate) struct Said {
    pub(crate) went_well: bool,
    pub(crate) text: String,
}

/// Runs a script in a folder, with `heartbeatd` on the path. A command that fails ends it.
pub(crate) fn script(script: &str, folder: &Path) -> Said {
    let programs = Path::new(env!("CARGO_BIN_EXE_heartbeatd")).parent().expect("it lies in a folder");
    let path = format!("{}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", programs.display());
    let output = bash(script, folder).env("PATH", path).output().expect("run bash");
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    Said { went_well: output.status.success(), text }
}

/// The same of one that must go well: what it printed.
pub(crate) fn done(commands: &str, folder: &Path) -> String {
    let said = script(commands, folder);
    assert!(said.went_well, "{commands}\n{}", said.text);
    said.text
}
