//! The `exec` source: JSON lines that a program writes. What it yields in a run is taken whole, once it has ended with exit
//! status 0, or not at all.

use serde_json::Value as Json;

use super::{Progress, Room, Source, Take, jsonl};
use crate::flow::{Command, Exit};
use crate::pipeline::files::Files;
use crate::pipeline::outside::{Happened, Need};
use crate::pipeline::record::{At, Place};
use crate::pipeline::{Failure, Result};

/// A program that yields records.
#[derive(Debug)]
pub(super) struct ExecSource {
    command: Command,
    /// How it ended, and what it wrote.
    ended: Option<(Option<Exit>, Vec<u8>)>,
}

impl ExecSource {
    pub(super) fn new(command: &Command) -> Self {
        Self { command: command.clone(), ended: None }
    }

    fn judge(&self, exit: Option<Exit>, bytes: usize, bytes_max: usize) -> Result<()> {
        let program = self.command.program();
        if bytes > bytes_max {
            return Err(Failure::source(format!(
                "{program} writes more than run_bytes = {bytes_max}: nothing of it is taken; let it write less at a time, or raise \
                 run_bytes under [batch]"
            )));
        }
        if exit != Some(Exit::Code(0)) {
            let how = Exit::described(exit);
            return Err(Failure::source(format!("{program}: {how}; nothing that it wrote is taken")));
        }
        Ok(())
    }
}

impl Source for ExecSource {
    fn read(&mut self, cursor: &Json, room: Room, _: &dyn Files, take: &mut Take<'_>) -> Result<Progress> {
        let Some((exit, stdout)) = &self.ended else {
            let launch = self.command.launch();
            let launch = crate::flow::Launch { stdout_max: Some(room.bytes), ..launch };
            let needs = Some(Need::Program(Box::new(launch)));
            return Ok(Progress { cursor: cursor.clone(), needs, ..Progress::default() });
        };
        self.judge(*exit, stdout.len(), room.bytes)?;
        let path = self.command.program();
        for (offset, line) in jsonl::Lines::of(stdout) {
            take(line.parse(), Place { path, at: At::Offset(offset as u64) })?;
        }
        Ok(Progress {
            cursor: cursor.clone(),
            bytes: stdout.len() as u64,
            is_end: true,
            ..Progress::default()
        })
    }

    fn happened(&mut self, happened: Happened) {
        if let Happened::Ended { exit, stdout } = happened {
            self.ended = Some((exit, stdout));
        }
    }

    fn is_whole(&self) -> bool {
        true
    }

    fn check_cursor(&self, cursor: &Json) -> Result<(), String> {
        check_none(cursor)
    }
}

/// Judges a cursor of a source that has none.
pub(super) fn check_none(cursor: &Json) -> Result<(), String> {
    match cursor {
        Json::Null => Ok(()),
        _ => Err("this source has no cursor; null would be right".to_owned()),
    }
}
