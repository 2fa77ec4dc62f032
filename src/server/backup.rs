//! `POST /backup`: a copy of the database while everything goes on. Copying waits on the disk, so a thread of its own does
//! it, over a connection of its own that only reads; it owns nothing else, and the end of its pipe tells that it is done.

use mio::Interest;
use mio::unix::pipe;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, channel};

use super::Server;
use super::act::explain;
use super::token::Source;
use crate::control::{Rendered, problem, tell_backed_up};
use crate::http::ErrorCode;
use crate::runtime::{ConnectionId, Refusal};
use crate::store::{Cut, Store, StoreError};
use crate::time::Now;

/// What SQLite needs of a stack to read a schema and copy tables, several times over.
const STACK_BYTES: usize = 1024 * 1024;

/// A copy that is being written.
#[derive(Debug)]
pub(super) struct Backup {
    /// Who is told how it ends; it may have gone away.
    caller: ConnectionId,
    file: PathBuf,
    cut: Arc<Cut>,
    outcome: Receiver<Result<u64, StoreError>>,
    /// Registered with the poll for as long as this lives.
    _end: pipe::Receiver,
}

impl Server {
    /// Begins a copy, or says why there is to be none.
    pub(super) fn begin_backup(
        &mut self,
        caller: ConnectionId,
        uid: u32,
        file: PathBuf,
    ) -> Result<(), Rendered> {
        let refused = |refusal: &Refusal| {
            let (code, detail) = explain(refusal);
            problem(code, &detail)
        };
        if self.runtime.is_ending() {
            return Err(refused(&Refusal::ShuttingDown));
        }
        if self.runtime.is_closed() {
            return Err(refused(&self.runtime.readiness().err().unwrap_or(Refusal::Internal)));
        }
        if let Some(Backup { file, .. }) = &self.backup {
            let detail = format!("a backup is being written already: {}", file.display());
            return Err(problem(ErrorCode::Conflict, &detail));
        }
        log::info!(uid, file:% = file.display(); "told to copy the database");
        match self.start_backup(caller, file) {
            Ok(backup) => self.backup = Some(backup),
            Err(error) => {
                let detail = format!("the system gives no thread to copy the database with: {error}");
                log::error!("{detail}");
                return Err(problem(ErrorCode::Overloaded, &detail));
            }
        }
        Ok(())
    }

    fn start_backup(&self, caller: ConnectionId, file: PathBuf) -> io::Result<Backup> {
        let (end_of_thread, mut end) = pipe::new()?;
        self.poll.registry().register(&mut end, Source::BackedUp.token(), Interest::READABLE)?;
        let (told, outcome) = channel();
        let (source, target) = (self.runtime.store().path().to_owned(), file.clone());
        let cut = Arc::new(Cut::default());
        let of_thread = Arc::clone(&cut);
        let copy = move || {
            let _nobody_waits_any_more = told.send(Store::back_up(&source, &target, &of_thread));
            drop(end_of_thread);
        };
        std::thread::Builder::new().name("backup".to_owned()).stack_size(STACK_BYTES).spawn(copy)?;
        Ok(Backup { caller, file, cut, outcome, _end: end })
    }

    /// The copy is on the disk, or there is none.
    pub(super) fn backed_up(&mut self, now: Now) {
        let Some(backup) = self.backup.take() else { return };
        let told = match backup.outcome.try_recv() {
            Err(TryRecvError::Empty) => {
                self.backup = Some(backup);
                return;
            }
            Err(TryRecvError::Disconnected) => {
                log::error!("a fault of this program: the thread that copied the database broke off");
                let (code, detail) = explain(&Refusal::Internal);
                problem(code, &detail)
            }
            Ok(outcome) => {
                tell_log(&backup.file, &outcome);
                tell_backed_up(&backup.file, &outcome)
            }
        };
        self.end_backup(backup.caller, &told, now);
    }

    /// The process ends, and what is written so far is dropped: the whole copy stands in its place, or none.
    pub(super) fn cut_backup_short(&mut self, now: Now) {
        self.backed_up(now);
        let Some(backup) = self.backup.take() else { return };
        Store::drop_backup(self.runtime.store().path(), &backup.file, &backup.cut);
        log::warn!(file:% = backup.file.display(); "the backup is cut short: the daemon ends");
        let (code, detail) = explain(&Refusal::ShuttingDown);
        self.end_backup(backup.caller, &problem(code, &detail), now);
    }

    fn end_backup(&mut self, caller: ConnectionId, told: &Rendered, now: Now) {
        if let Some(index) = self.index_of(caller) {
            self.tell(index, told, &[], now);
            self.look_again(index);
        }
    }
}

fn tell_log(file: &Path, outcome: &Result<u64, StoreError>) {
    match outcome {
        Ok(bytes) => log::info!(file:% = file.display(), bytes; "the database is copied"),
        Err(error) => log::warn!("{error}"),
    }
}
