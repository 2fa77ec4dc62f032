//! The flows folder.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::files;
use crate::config::{Config, Fault, Faults, FlowContext, flow_name, parse_flow};
use crate::flow::{Definition, FlowName, Kinds};
use crate::limits;
use crate::sorted::sort_by;
use crate::time::Zones;

/// What the flows folder holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowFiles {
    /// The good files, in the order of their names, with what they define. No name comes twice.
    pub definitions: Vec<(PathBuf, Definition)>,
    /// The others.
    pub faults: Vec<BadFlowFile>,
}

/// A flow file that cannot be used, or the folder itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadFlowFile {
    /// The flow that it is about, as far as that can be told; `None` for the folder.
    pub flow: Option<FlowName>,
    /// The file, or the folder.
    pub file: PathBuf,
    /// All that is wrong with it.
    pub faults: Faults,
}

/// Reads every `*.toml` of the flows folder, in the order of names. Each is judged alone: one that is half written
/// spoils no other. Hidden files and subfolders are passed over.
///
/// `config_dir` is where commands start by default, absolute.
pub fn read_flows(config: &Config, config_dir: &Path, kinds: &Kinds, zones: &Zones) -> FlowFiles {
    let mut flows = FlowFiles { definitions: Vec::new(), faults: Vec::new() };
    let paths = match list(&config.flows_dir) {
        Ok(paths) => paths,
        Err(fault) => {
            let file = config.flows_dir.clone();
            flows.faults.push(BadFlowFile { flow: None, file, faults: fault.into() });
            return flows;
        }
    };
    let context = FlowContext { kinds, zones, working_directory: config_dir };
    // Bad files count here as well: once repaired, the first of two is to be the same as before.
    let mut named: HashMap<FlowName, PathBuf> = HashMap::new();
    for path in paths {
        let (flow, read) = judge(&path, &context, "it was there a moment ago: check again");
        let first = flow.as_ref().and_then(|flow| named.get(flow));
        let read = match (read, first) {
            (Ok(_), Some(first)) => Err(twice(flow.as_ref(), &path, first)),
            (read, _) => read,
        };
        if let Some(flow) = &flow {
            named.entry(flow.clone()).or_insert_with(|| path.clone());
        }
        match read {
            Ok(definition) => flows.definitions.push((path, definition)),
            Err(faults) => flows.faults.push(BadFlowFile { flow, file: path, faults }),
        }
    }
    flows
}

/// Reads one flow file.
///
/// # Errors
/// Every fault of it.
pub fn read_flow(path: &Path, context: &FlowContext<'_>) -> Result<Definition, Faults> {
    let absolute = super::absolute(path)?;
    let missing = "is the path right? `heartbeatd flow new NAME` writes one into the flows folder";
    let (_, read) = judge(&absolute, context, missing);
    read.map_err(|faults| faults.named(&absolute, path))
}

/// The text of a flow file, with its whole path; nothing of it is judged.
///
/// # Errors
/// It cannot be read, or is too large.
pub fn flow_text(path: &Path) -> Result<(PathBuf, String), Fault> {
    let missing = "is the path right?";
    Ok((super::absolute(path)?, files::read_text(path, limits::FLOW_FILE_BYTES_MAX, missing)?))
}

impl FlowFiles {
    /// The file that a flow comes from.
    pub fn file_of(&self, flow: &str) -> Option<&Path> {
        let good = self.definitions.iter().map(|(path, it)| (Some(&it.name), path));
        let bad = self.faults.iter().map(|bad| (bad.flow.as_ref(), &bad.file));
        let is_it = |name: Option<&FlowName>| name.is_some_and(|name| name.as_str() == flow);
        good.chain(bad).find(|(name, _)| is_it(*name)).map(|(_, path)| path.as_path())
    }
}

/// The flow that a file is about, and what is in it; `missing` is the help if it does not exist.
fn judge(
    path: &Path,
    context: &FlowContext<'_>,
    missing: &str,
) -> (Option<FlowName>, Result<Definition, Faults>) {
    match files::read_text(path, limits::FLOW_FILE_BYTES_MAX, missing) {
        Ok(text) => (flow_name(&text, path), parse_flow(&text, path, context)),
        Err(fault) => (flow_name("", path), Err(fault.into())),
    }
}

fn twice(flow: Option<&FlowName>, path: &Path, first: &Path) -> Faults {
    let name = flow.map(FlowName::as_str).unwrap_or_default();
    let message = format!("the flow `{name}` stands in {} already", first.display());
    let fault = Fault::of_file(path, message, "give one of the two another name, or remove its file");
    Fault { key: Some("name".to_owned()), ..fault }.into()
}

fn list(folder: &Path) -> Result<Vec<PathBuf>, Fault> {
    let missing = "make the folder, or correct `flows_dir` in the configuration";
    let cannot = |error: &std::io::Error| files::cannot_read(folder, error, missing);
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| cannot(&error))? {
        let path = entry.map_err(|error| cannot(&error))?.path();
        if is_flow_file(&path) {
            paths.push(path);
        }
        if paths.len() > limits::FLOW_FILES_MAX {
            let message = format!("holds more than {} flow files", limits::FLOW_FILES_MAX);
            return Err(Fault::of_file(folder, message, "is `flows_dir` the right folder?"));
        }
    }
    sort_by(&mut paths, Ord::cmp);
    Ok(paths)
}

fn is_flow_file(path: &Path) -> bool {
    let visible = path.file_name().is_some_and(|name| !name.as_bytes().starts_with(b"."));
    visible && path.extension() == Some(OsStr::new("toml")) && !path.is_dir()
}
