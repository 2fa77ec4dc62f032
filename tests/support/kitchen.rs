//! A box in which a recipe of docs/cookbook.md is made from its own text.

use rusqlite::Connection;
use std::fs::{self, OpenOptions};
use std::io::Write as _;

use super::EdgeBox;
use super::daemon::Daemon;
use super::guide::{Block, blocks, is_shown, replaced, section, shell};
use super::tools::can_run;

pub(crate) const COOKBOOK: &str = include_str!("../../docs/cookbook.md");

/// A box with the files of a recipe.
pub(crate) struct Kitchen {
    pub(crate) edge_box: EdgeBox,
    blocks: Vec<Block<'static>>,
    /// What is another here.
    adapted: Vec<(String, String)>,
}

impl Kitchen {
    /// None where a program is missing that recipes use, which is told.
    pub(crate) fn with(heading: &str, folders: &[&str], changes: &[(&str, &str)]) -> Option<Self> {
        let programs = ["sqlite3", "jq", "curl", "openssl"];
        if !programs.iter().all(|program| can_run(program, &[version_of(program)])) {
            return None;
        }
        let edge_box = EdgeBox::new();
        let root = edge_box.path("").to_str().expect("a path in UTF-8").trim_end_matches('/').to_owned();
        let mut adapted: Vec<(String, String)> =
            changes.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned())).collect();
        for (from, to) in &adapted {
            assert!(section(COOKBOOK, heading).contains(from), "{from:?}, which would be {to:?} here");
        }
        for (path, here) in [
            ("box/", "/"),
            ("/var/", "/var/"),
            ("/mnt/", "/mnt/"),
            ("/sys/bus/", "/sys/bus/"),
            ("/usr/local/bin:", "/usr/local/bin:"),
        ] {
            adapted.push((path.to_owned(), format!("{root}{here}")));
        }
        for folder in folders {
            fs::create_dir_all(edge_box.path(folder)).expect("make a folder");
        }
        let kitchen = Self { edge_box, blocks: blocks(section(COOKBOOK, heading)), adapted };
        kitchen.unpack();
        Some(kitchen)
    }

    /// Writes what the recipe shows as files.
    fn unpack(&self) {
        for block in &self.blocks {
            let text = replaced(block.text, &self.adapted);
            let mut lines = block.text.lines();
            let first = lines.next().unwrap_or_default();
            if let Some(file) = first.strip_prefix("# box/") {
                self.edge_box.write(file, text);
            } else if first == "# in box/heartbeatd.toml" {
                self.edge_box.configure(&text);
            } else if first.starts_with("#!") {
                let named =
                    lines.next().and_then(|line| line.strip_prefix("# box/")?.split([' ', ':']).next());
                let file = named.expect("a script says where it lies");
                fs::create_dir_all(self.edge_box.path("bin")).expect("make a folder");
                self.edge_box.write(file, text);
                self.edge_box.set_mode(file, 0o755);
            }
        }
    }

    /// The commands that a recipe gives, each with the output that it shows, if any.
    fn commands(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        let is_command = |block: &Block<'_>| block.language == "sh" && !block.text.starts_with("#!");
        self.blocks.iter().enumerate().filter(move |(_, block)| is_command(block)).map(|(at, block)| {
            let shown = self.blocks.get(at + 1).filter(|next| next.language == "text");
            (block.text, shown.map(|block| block.text))
        })
    }

    pub(crate) fn shell(&self, commands: &str) -> String {
        let told = shell(&self.edge_box, &replaced(commands, &self.adapted));
        told.unwrap_or_else(|told| panic!("{commands}: {told}"))
    }

    /// Runs the commands that show nothing, and holds the flows against `heartbeatd check`.
    pub(crate) fn prepare(&self) {
        for (command, _) in self.commands().filter(|(_, shown)| shown.is_none()) {
            self.shell(command);
        }
        let said = self.shell("heartbeatd check 2>&1");
        assert!(!said.contains("warning"), "{said}");
    }

    /// Runs the commands that show something, which must be what comes.
    pub(crate) fn shows_what_it_says(&self) {
        for (command, shown) in self.commands() {
            let Some(shown) = shown else { continue };
            let told = self.shell(command);
            assert!(is_shown(&told, shown), "{command}:\n{told}is not\n{shown}");
        }
    }

    /// The lines that the recipe shows as JSON.
    pub(crate) fn json(&self) -> String {
        let block = self.blocks.iter().find(|block| block.language == "json").expect("it shows some");
        format!("{}\n", block.text)
    }

    pub(crate) fn append(&self, file: &str, text: &str) {
        let path = self.edge_box.path(file);
        let mut file = OpenOptions::new().append(true).create(true).open(path).expect("open it");
        file.write_all(text.as_bytes()).expect("append to it");
    }

    /// A daemon for which the flows are due, whatever time of day they wait for.
    pub(crate) fn start_when_due(&self) -> Daemon {
        self.edge_box.start().stop();
        self.edge_box.edit("UPDATE data_flows SET next_run_at = unixepoch() * 1000 - 1");
        self.edge_box.start()
    }

    /// One number from a database.
    pub(crate) fn number(&self, database: &str, sql: &str) -> i64 {
        let database = Connection::open(self.edge_box.path(database)).expect("open it");
        database.query_row(sql, [], |row| row.get(0)).expect("ask it")
    }
}

fn version_of(program: &str) -> &'static str {
    if program == "openssl" { "version" } else { "--version" }
}
