//! `POST /flows`: the text of flow files, judged as files are.

use serde::Deserialize;
use std::path::PathBuf;

use super::content::{Object, invalid, json};
use super::render::{Rendered, problem_with_faults};
use crate::config::{Fault, FlowContext, parse_flow};
use crate::flow::Definition;
use crate::http::ErrorCode;
use crate::limits;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Posted {
    files: Vec<Object<PostedFile>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PostedFile {
    path: PathBuf,
    text: String,
}

/// What the files define, or every fault of all of them.
pub(super) fn definitions(body: &[u8], context: &FlowContext<'_>) -> Result<Vec<Definition>, Rendered> {
    let Posted { files } = json(body, "{\"files\":[{\"path\":\"/the/flow.toml\",\"text\":\"…\"}]}")?;
    if !(1..=limits::CONTROL_FLOW_FILES_MAX).contains(&files.len()) {
        return Err(invalid(&format!("files holds from 1 to {} flow files", limits::CONTROL_FLOW_FILES_MAX)));
    }
    let mut definitions: Vec<Definition> = Vec::with_capacity(files.len());
    let mut faults = Vec::new();
    for Object(PostedFile { path, text }) in files {
        if !path.is_absolute() {
            return Err(invalid("path is the whole path of a flow file, from / on"));
        }
        match parse_flow(&text, &path, context) {
            Ok(definition) if definitions.iter().any(|other| other.name == definition.name) => {
                let message = format!("the flow `{}` stands in a file before it already", definition.name);
                faults.push(Fault::of_file(&path, message, "give one of the two another name"));
            }
            Ok(definition) => definitions.push(definition),
            Err(found) => faults.extend(found),
        }
    }
    if faults.is_empty() {
        return Ok(definitions);
    }
    Err(problem_with_faults(ErrorCode::InvalidFlow, "the flow files have faults", &faults))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::Kinds;
    use crate::time::Zones;
    use std::path::Path;

    fn defined(body: &str) -> Result<Vec<String>, serde_json::Value> {
        let kinds = Kinds::default();
        let zones = Zones::utc_only();
        let context = FlowContext { kinds: &kinds, zones: &zones, working_directory: Path::new("/box") };
        match definitions(body.as_bytes(), &context) {
            Ok(definitions) => Ok(definitions.iter().map(|it| it.name.to_string()).collect()),
            Err(rendered) => Err(serde_json::from_slice(&rendered.body).unwrap()),
        }
    }

    #[test]
    fn files_are_judged_together_and_every_fault_is_told() {
        let good = r#"{"path":"/m/good.toml","text":"run_interval = 60\n[command]\nargv = [\"true\"]"}"#;
        assert_eq!(defined(&format!("{{\"files\":[{good}]}}")), Ok(vec!["good".to_owned()]));
        let twice = defined(&format!("{{\"files\":[{good},{good}]}}")).unwrap_err();
        assert_eq!(twice["error"], "invalid_flow");
        let bad = r#"{"path":"/m/bad.toml","text":"run_interval = 0\nnmae = \"x\""}"#;
        let told = defined(&format!("{{\"files\":[{good},{bad}]}}")).unwrap_err();
        let faults = told["faults"].as_array().unwrap();
        assert!(faults.len() >= 3 && faults.iter().all(|fault| fault["file"] == "/m/bad.toml"), "{told}");
        assert!(faults.iter().any(|fault| fault["line"] == 2 && fault["key"] == "nmae"), "{told}");
    }

    #[test]
    fn what_is_no_list_of_whole_paths_and_texts_is_refused() {
        for body in [
            "",
            "{}",
            "[]",
            r#"{"files":[]}"#,
            r#"{"files":[{"path":"x.toml","text":""}]}"#,
            r#"{"files":[{"path":"/x.toml"}]}"#,
            r#"{"files":[{"path":"/x.toml","text":"","more":1}]}"#,
            r#"{"files":[],"more":1}"#,
            r#"[[{"path":"/x.toml","text":""}]]"#,
            r#"{"files":[["/x.toml",""]]}"#,
            r#"{"files":[],"files":[]}"#,
        ] {
            assert_eq!(defined(body).unwrap_err()["error"], "invalid_request", "{body}");
        }
    }
}
