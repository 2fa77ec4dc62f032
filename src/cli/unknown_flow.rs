//! The failure of a flow to exist, for the commands that name one.

use super::failure::{Exit, Failure};
use super::printable::printable;
use crate::store::{Flow, Store, StoreError};

/// There is no flow of this name; with the one that may have been meant.
pub(super) fn unknown_flow(name: &str, store: &Store) -> Result<Failure, StoreError> {
    let flows = store.flows()?;
    let near = |flow: &&Flow| strsim::jaro_winkler(name, &flow.name);
    let nearest = flows.iter().max_by(|one, other| near(one).total_cmp(&near(other)));
    let help = match nearest.filter(|flow| near(flow) > 0.7) {
        Some(flow) => format!("did you mean `{}`?", flow.name),
        None => "`heartbeatd flow list` tells which there are".to_owned(),
    };
    let name: String = printable(name).chars().take(128).collect();
    Ok(Failure::new(Exit::Failed, format!("there is no flow `{name}`"), help))
}
