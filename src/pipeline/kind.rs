//! The `pipeline` kind of flows.

use serde::Deserialize;

use super::source;
use super::transform::{Transforms, Unfit};
use crate::flow::{FlowKind, KindFault, Kinds, Pipeline, RunContext, SinkSettings, SourceSettings, Work};

/// The kinds of flows that this program has by itself: `command` and `pipeline`.
pub fn kinds() -> Kinds {
    let mut kinds = Kinds::default();
    kinds.register(Box::new(PipelineKind));
    kinds
}

struct PipelineKind;

impl FlowKind for PipelineKind {
    fn name(&self) -> &'static str {
        Pipeline::KIND
    }

    fn check(&self, settings: &serde_json::Value) -> Result<(), KindFault> {
        let pipeline = read(settings)?;
        if let SourceSettings::Exec(command) = &pipeline.source {
            command.check().map_err(|wrong| format!("[source] {wrong}"))?;
        }
        if let SinkSettings::Exec(command) = &pipeline.sink {
            command.check().map_err(|wrong| format!("[sink] {wrong}"))?;
        }
        match Transforms::new(&pipeline) {
            // They are judged at each run as well.
            Err(Unfit { is_busy: false, fault }) => Err(fault),
            _ => Ok(()),
        }
    }

    fn warnings(&self, settings: &serde_json::Value) -> Vec<String> {
        let Ok(pipeline) = read(settings) else { return Vec::new() };
        let transforms = Transforms::new(&pipeline).map(|transforms| transforms.warnings());
        source::warning(&pipeline.source).into_iter().chain(transforms.unwrap_or_default()).collect()
    }

    /// Its cursor says where to go on.
    fn reruns_interrupted(&self) -> bool {
        true
    }

    fn launch(&self, settings: &serde_json::Value, _run: &RunContext<'_>) -> Result<Work, String> {
        read(settings).map(|pipeline| Work::Pipeline(Box::new(pipeline)))
    }
}

fn read(settings: &serde_json::Value) -> Result<Pipeline, String> {
    Pipeline::deserialize(settings).map_err(|error| error.to_string())
}
