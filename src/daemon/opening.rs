//! From the configuration to a runtime on its database; called again where the database cannot be opened at first.

use std::hash::RandomState;
use std::time::Duration;

use super::{follow, settings};
use crate::config::Config;
use crate::flow::{Definition, FlowName, Kinds};
use crate::limits;
use crate::runtime::{AlertSettings, Runtime};
use crate::server::LeftBehind;
use crate::setup;
use crate::store::{Owned, Store, StoreError};
use crate::time::Now;

/// What it takes to open the database.
pub(super) struct Opener {
    pub(super) config: Config,
    pub(super) kinds: Kinds,
    pub(super) alerts: AlertSettings,
    pub(super) definitions: Vec<Definition>,
    /// The flows whose file is bad.
    pub(super) bad: Vec<Option<FlowName>>,
    /// The id of a database that is made.
    pub(super) new_instance: u128,
    /// Kept from the first try on: nobody else may come between.
    pub(super) owned: Option<Owned>,
}

impl Opener {
    /// Opens the database. Other programs may hold it up for so long.
    pub(super) fn store(&mut self, wait: Duration, now: Now) -> Result<Store, StoreError> {
        let Config { database, durability, .. } = &self.config;
        let owned = match self.owned.take() {
            Some(owned) => owned,
            None => Owned::take(database, wait)?,
        };
        let store = Store::open_owned(&owned, *durability, self.new_instance, wait, now.wall);
        self.owned = Some(owned);
        store
    }

    /// Takes the database over.
    pub(super) fn runtime(&self, store: Store, now: Now) -> Result<Runtime, StoreError> {
        let left = LeftBehind::read(store.path(), &store.instance()?);
        let never_spawned = |run| left.was_never_spawned(run);
        let (settings, zones) = (settings(&self.config), setup::system_zones());
        let kinds = self.kinds.clone();
        let mut runtime =
            Runtime::open(store, settings, kinds, zones, RandomState::new(), &never_spawned, now)?
                .with_alerts(self.alerts.clone(), now)?;
        follow(&mut runtime, &self.definitions, &self.bad, now)?;
        Ok(runtime)
    }

    /// Both, while the loop goes on: it waits for nobody.
    pub(super) fn try_again(&mut self, now: Now) -> Result<Runtime, StoreError> {
        let store = self.store(Duration::ZERO, now)?;
        self.runtime(store, now)
    }

    /// The first try, before the loop.
    pub(super) fn first_store(&mut self, now: Now) -> Result<Store, StoreError> {
        self.store(limits::LOCK_WAIT, now)
    }
}
