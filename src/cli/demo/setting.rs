//! Where the demonstration plays: a folder with a configuration, a secret, a database and three flows.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::super::failure::{Exit, Failure};
use super::super::{files, random};
use crate::auth::Secret;
use crate::config::{Durability, commented_example};
use crate::store::Store;

/// The flow that succeeds, and what it prints.
pub(super) const SUCCEEDS: &str = "say-hello";
/// The flow that fails, and its exit status.
pub(super) const FAILS: &str = "fail-on-purpose";
pub(super) const EXIT_STATUS: i64 = 3;
/// The flow that takes about two seconds.
pub(super) const TAKES_LONG: &str = "take-two-seconds";

const FLOWS: [(&str, &str, &str); 3] = [
    (SUCCEEDS, "Prints a line, and ends well", r#"echo "hello from $HEARTBEAT_FLOW, run $HEARTBEAT_RUN_ID""#),
    (FAILS, "Prints a line, and fails", r#"echo "this flow fails on purpose"; exit 3"#),
    (TAKES_LONG, "Is at it for two seconds", r#"echo "working"; sleep 2; echo "done""#),
];

/// The folder; removed at the end unless it is to be kept.
#[derive(Debug)]
pub(super) struct Setting {
    pub(super) folder: PathBuf,
    pub(super) secret: Secret,
    pub(super) kept: bool,
}

impl Setting {
    /// Makes everything in `dir`, which must be empty or missing; without one, in a new folder among the temporary
    /// ones.
    pub(super) fn make(dir: Option<&Path>, keep: bool) -> Result<Self, Failure> {
        let folder = match dir {
            Some(dir) => empty_folder(dir)?,
            None => new_folder()?,
        };
        let (text, secret) = Secret::generate(&*random::bytes()?);
        // From here on the folder is cleared away, also when something fails.
        let setting = Self { folder, secret, kept: keep || dir.is_some() };
        let listen = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
        files::write_text(&setting.config(), &commented_example(&[listen]), false)?;
        files::write_private(&setting.folder.join("secret"), &format!("{}\n", *text))?;
        Store::open(&setting.database(), Durability::Full, random::number()?, crate::server::now())?;
        let flows = setting.folder.join("flows");
        files::make_folder(&flows)?;
        for (name, description, script) in FLOWS {
            let text = format!(
                "name = \"{name}\"\ndescription = \"{description}\"\nrun_interval = \"1h\"\n\n[command]\nshell = true\nargv = '{script}'\n"
            );
            files::write_text(&flows.join(format!("{name}.toml")), &text, false)?;
        }
        Ok(setting)
    }

    pub(super) fn config(&self) -> PathBuf {
        self.folder.join("heartbeatd.toml")
    }

    pub(super) fn database(&self) -> PathBuf {
        self.folder.join("heartbeat.db")
    }
}

impl Drop for Setting {
    fn drop(&mut self) {
        if !self.kept {
            // What cannot be removed is among the temporary files, which the system clears away.
            let _best_effort = fs::remove_dir_all(&self.folder);
        }
    }
}

fn empty_folder(dir: &Path) -> Result<PathBuf, Failure> {
    files::make_folder(dir)?;
    let mut entries = fs::read_dir(dir).map_err(|error| Failure::io("look into", dir, &error))?;
    if entries.next().is_some() {
        let error = format!("{} is not empty", dir.display());
        return Err(Failure::new(Exit::Usage, error, "name an empty folder, or one that is to be made"));
    }
    std::path::absolute(dir).map_err(|error| Failure::io("find", dir, &error))
}

fn new_folder() -> Result<PathBuf, Failure> {
    let folder = std::env::temp_dir().join(format!("heartbeatd-demo-{:08x}", random::number()? >> 96));
    let made: io::Result<()> = fs::DirBuilder::new().mode(0o700).create(&folder);
    made.map_err(|error| Failure::io("make the folder", &folder, &error))?;
    Ok(folder)
}
