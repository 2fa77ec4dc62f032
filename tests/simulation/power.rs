//! What power cuts and failing disks make of the database, and what must hold then.

use std::time::Duration;

use heartbeat_runtime::runtime::Action;
use heartbeat_runtime::store::{Cause, StoreError};

use super::medium::Losses;
use super::random::Random;
use super::supply::{Failing, Fault};
use super::world::World;

/// Why the database cannot be written, for as long as this lives.
#[derive(Debug)]
#[expect(dead_code, reason = "they are held to be dropped")]
pub(crate) enum Holder {
    /// Another program holds its lock.
    Program(rusqlite::Connection),
    /// Its disk is full, or read-only.
    Disk(Failing),
}

impl World {
    /// Another program writes, or the disk is full or read-only: every try of ours fails at once.
    pub(crate) fn hold_database(&mut self) {
        let fault = self.random.pick(&[None, None, Some(Fault::Full), Some(Fault::ReadOnly)]);
        self.holder = Some(match fault {
            Some(fault) => {
                self.inject("disk of the database full or read-only");
                self.note(format!("the database's disk fails: {fault:?}"));
                Holder::Disk(self.supply.failing(fault))
            }
            None => {
                let holder = rusqlite::Connection::open(self.database()).expect("the database is there");
                holder.busy_timeout(Duration::ZERO).expect("settable");
                holder.execute_batch("BEGIN IMMEDIATE").expect("between two rounds nobody else holds it");
                self.inject("database held by another program");
                self.note("another program holds the database".to_owned());
                Holder::Program(holder)
            }
        });
    }

    /// The next sync of the database fails, and what it was to write may never reach the disk.
    pub(crate) fn fail_next_sync(&mut self) {
        if self.holder.is_none() {
            let loses = self.random.one_in(2);
            self.note(format!("the next sync of the database fails, and loses: {loses}"));
            self.inject("failing syncs of the database");
            self.supply.fail(Some(Fault::Sync { loses }));
        }
    }

    /// The runtime says that the process must end. It has answered nobody, and does not try to sync again.
    pub(crate) fn end_by_failure(&mut self, error: &StoreError, actions: &[Action]) {
        assert_eq!(error.cause, Cause::Sync, "no other fault here ends the process: {error}");
        assert_eq!(self.supply.syncs_since_failure(), Some(0), "a failed sync is not tried again");
        assert!(actions.is_empty(), "after a failed sync nothing is done: {actions:?}");
        self.die("ENDED by a failed sync");
    }

    /// Makes the database's files what the disk kept of them. Nobody has them open any more.
    pub(crate) fn restore_database(&mut self) {
        self.book().look_away();
        let mut random = Random::new(self.random.next());
        let mut losses = Losses::default();
        self.supply.restore(&mut random, &mut losses);
        self.note(format!("of the database: {losses:?}"));
    }
}
