//! The flows folder: flows of origin `file` follow their files.

use std::collections::BTreeSet;

use super::Runtime;
use crate::flow::{Definition, End, ErrorKind, FlowName, Origin, Status};
use crate::store::{Applied, Cause, Result, Store};
use crate::time::{Now, Zones};

/// What following the folder did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Followed {
    /// New flows.
    pub created: usize,
    /// Changed definitions.
    pub updated: usize,
    /// Flows whose file is gone.
    pub disabled: usize,
    /// Names that belong to a flow of origin `database`.
    pub conflicts: Vec<FlowName>,
}

impl Runtime {
    /// Applies the definitions of the flows folder, in one transaction. `bad` are the flows whose file is there but
    /// bad, none where that cannot be told: their last good definition stays.
    ///
    /// # Errors
    /// The database cannot be written; then nothing was applied.
    pub fn follow_flow_files(
        &mut self,
        definitions: &[Definition],
        bad: &[Option<FlowName>],
        now: Now,
    ) -> Result<Followed> {
        let followed = {
            let Self { store, zones, .. } = self;
            store.in_transaction(|store| follow(store, definitions, bad, zones, now))?
        };
        self.horizon = None;
        self.read_pending(now)?;
        Ok(followed)
    }
}

fn follow(
    store: &mut Store,
    definitions: &[Definition],
    bad: &[Option<FlowName>],
    zones: &Zones,
    now: Now,
) -> Result<Followed> {
    let mut followed = Followed::default();
    let mut present: BTreeSet<&str> = bad.iter().flatten().map(FlowName::as_str).collect();
    let flows = store.flows()?;
    // A bad file that matches no flow may be any flow's: until it is repaired, none is taken for gone.
    let is_known = |name: &FlowName| flows.iter().any(|flow| flow.name == name.as_str());
    let all_are_told = bad.iter().all(|name| name.as_ref().is_some_and(is_known));
    for definition in definitions {
        present.insert(definition.name.as_str());
        let applied =
            store.in_savepoint(|store| store.apply_definition(definition, Origin::File, zones, now.wall));
        match applied {
            Ok(Applied::Created) => followed.created += 1,
            Ok(Applied::Updated) => followed.updated += 1,
            Ok(Applied::Unchanged) => {}
            Err(error) if error.cause == Cause::Constraint => {
                followed.conflicts.push(definition.name.clone())
            }
            Err(error) => return Err(error),
        }
    }
    for flow in store.flows()? {
        if let Some(zone) =
            flow.configuration.calendar.time_zone.as_deref().filter(|name| zones.get(name).is_none())
        {
            log::error!(flow = flow.name.as_str(), time_zone = zone; "the flow's time zone is not known here: it goes by UTC; help: install the time zone data (tzdata)");
        }
        let file_is_gone =
            all_are_told && flow.origin == Origin::File && !present.contains(flow.name.as_str());
        if file_is_gone && flow.enabled {
            store.disable_flow(flow.id, now.wall)?;
            followed.disabled += 1;
            log::warn!(flow = flow.name.as_str(); "the flow's file is gone: the flow is disabled");
        }
        if (file_is_gone || !flow.enabled)
            && let Some(run) = store.pending_run_of(flow.id)?
        {
            let end =
                End::without_process(ErrorKind::Cancelled, "the flow was disabled before the run started");
            store.end_run(run, Status::Pending, &end, now.wall)?;
        }
    }
    Ok(followed)
}
