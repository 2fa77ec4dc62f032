//! The flows folder: flows of origin `file` follow their files.

use std::collections::BTreeSet;

use super::orders::cancel_pending;
use super::tally::Counted;
use super::{AlertSettings, Runtime, Settings};
use crate::flow::{Definition, FlowName, Origin};
use crate::sorted::collected;
use crate::store::{Applied, Cause, Result, RunId, Store};
use crate::time::{Now, Zones};

/// What following the folder did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Followed {
    /// New flows.
    pub created: usize,
    /// Changed definitions.
    pub updated: usize,
    /// Flows whose file is gone: they are disabled.
    pub disabled: Vec<String>,
    /// Names that belong to a flow of origin `database`.
    pub conflicts: Vec<FlowName>,
    /// Runs that were pending of flows that are disabled now: they are cancelled.
    pub cancelled: Vec<RunId>,
}

/// What is kept to from now on: read and judged, and not yet in force.
#[derive(Clone, Debug)]
pub struct Reload {
    /// In place of those before.
    pub settings: Settings,
    /// What is told, and to whom.
    pub alerts: Box<AlertSettings>,
    /// Of the flows folder.
    pub definitions: Vec<Definition>,
    /// See [`Runtime::follow_flow_files`].
    pub bad: Vec<Option<FlowName>>,
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
        let ends = self.ends_of_cancelled(&followed.cancelled);
        self.tally.committed(&Counted { ends, ..Counted::default() });
        self.read_pending(now)?;
        followed.log();
        Ok(followed)
    }

    /// The same while runs go on, with new settings: in force with the round's commit, or not at all.
    pub(super) fn reload(&mut self, reload: Reload, now: Now) {
        let Reload { settings, alerts, definitions, bad } = reload;
        let followed =
            if self.round_is_lost() { None } else { self.follow_in_round(&definitions, &bad, now) };
        if let Some(followed) = &followed {
            self.count_cancelled(&followed.cancelled);
        }
        let delta = &mut self.tick.delta;
        if let Some(followed) = &followed {
            delta.left_pending.extend(&followed.cancelled);
            delta.refused.extend(&followed.cancelled);
            delta.flows_changed = true;
        }
        delta.alert_settings = Some(alerts);
        delta.reload = Some((settings, followed));
    }

    fn follow_in_round(
        &mut self,
        definitions: &[Definition],
        bad: &[Option<FlowName>],
        now: Now,
    ) -> Option<Followed> {
        let followed = self.ensure_transaction().and_then(|()| {
            let Self { store, zones, .. } = self;
            store.in_savepoint(|store| follow(store, definitions, bad, zones, now))
        });
        followed.map_err(|error| self.round_failed(error)).ok()
    }
}

impl Followed {
    pub(super) fn log(&self) {
        for flow in &self.disabled {
            log::warn!(flow = flow.as_str(); "the flow's file is gone: the flow is disabled");
        }
        for name in &self.conflicts {
            log::error!(flow = name.as_str(); "a flow of this name was added by command: its file in the flows folder is not applied; help: rename the file's flow, or remove the other");
        }
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
    let mut present: BTreeSet<&str> = collected(bad.iter().flatten().map(FlowName::as_str));
    // A bad file that matches no flow may be any flow's: until it is repaired, none is taken for gone.
    let mut all_are_told = true;
    for name in bad {
        let flow = name.as_ref().map_or(Ok(None), |name| store.flow(name.as_str()))?;
        all_are_told &= flow.is_some();
    }
    for definition in definitions {
        present.insert(definition.name.as_str());
        let applied =
            store.in_savepoint(|store| store.apply_definition(definition, Origin::File, zones, now.wall));
        match applied {
            Ok(Applied::Created) => followed.created += 1,
            Ok(Applied::Updated) => followed.updated += 1,
            Ok(Applied::Disabled(flow)) => {
                followed.updated += 1;
                followed.cancelled.extend(cancel_pending(store, flow, now.wall)?);
            }
            Ok(Applied::Unchanged) => {}
            Err(error) if error.cause == Cause::Constraint => {
                followed.conflicts.push(definition.name.clone())
            }
            Err(error) => return Err(error),
        }
    }
    let known = if all_are_told { store.enabled_flows_of_files()? } else { Vec::new() };
    for (flow, name) in known {
        if !present.contains(name.as_str()) {
            store.disable_flow(flow, now.wall)?;
            followed.cancelled.extend(cancel_pending(store, flow, now.wall)?);
            followed.disabled.push(name);
        }
    }
    warn_of_unknown_zones(store, zones)?;
    Ok(followed)
}

fn warn_of_unknown_zones(store: &Store, zones: &Zones) -> Result<()> {
    for zone in store.time_zones()?.iter().filter(|zone| zones.get(zone).is_none()) {
        for flow in store.flows_in_zone(zone)? {
            log::error!(flow = flow.as_str(), time_zone = zone.as_str(); "the flow's time zone is not known here: it goes by UTC; help: install the time zone data (tzdata)");
        }
    }
    Ok(())
}
