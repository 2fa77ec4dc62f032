//! Pipelines from files to files on the simulated disk or to a server, and what must hold of them: no record is lost, none is there
//! twice, and no cursor is ahead of what is durable.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use heartbeat_runtime::flow::{Definition, Pipeline, Status};
use heartbeat_runtime::runtime::{Action, Job};
use heartbeat_runtime::store::RunId;
use heartbeat_runtime::time::Now;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::disk::Disk;
use super::random::Random;
use super::server::Server;
use super::world::World;
use super::writer::{self, FIRST_NUMBER, Writer, number, numbers};

/// A pipeline with a filter leaves out every line whose number divided by 7 leaves 3.
const FILTER: &str = "SELECT n, pad FROM batch WHERE n % 7 <> 3";

/// A file that is known by less may begin as another does: after a power cut, which left a piece of a line.
const KNOWN_BY_BYTES_MIN: u64 = 32;

/// What is around one pipeline.
#[derive(Debug)]
pub(crate) struct Line {
    flow: String,
    writer: Writer,
    sink: PathBuf,
    dead_letters: PathBuf,
    /// The last of its runs whose end is in the trace.
    told_of: i64,
    has_filter: bool,
}

/// The settings of a pipeline, as its flow file would say.
pub(crate) fn settings(flow: &str, random: &mut Random) -> Value {
    let format = random.pick(&["jsonl", "jsonl", "lines"]);
    let mut settings = json!({
        "source": { "type": "file", "path": format!("/data/{flow}/source/in.jsonl"), "format": format },
        "sink": sink(flow, random),
        "on_reject": format!("/data/{flow}/dead/{flow}.jsonl"),
        "batch": { "records": random.pick(&[1, 3, 8, 1000]), "whole": random.one_in(8) },
    });
    if settings["sink"]["type"] == "file" && random.one_in(3) {
        settings["sink"]["rotate"] = json!({
            "size_bytes": random.pick(&[300, 2_000]),
            "age_s": random.pick(&[None, Some(30)]),
            "keep": 100_000,
        });
    }
    if format == "jsonl" {
        if random.one_in(2) {
            settings["fields"] = json!({ "n": { "type": "integer", "required": true } });
        }
        let sql = random.pick(&[None, None, Some("SELECT n, pad FROM batch"), Some(FILTER)]);
        settings["transforms"] = sql.map_or(json!([]), |sql| json!([{ "sql": sql }]));
    }
    settings
}

/// A file, or a server.
fn sink(flow: &str, random: &mut Random) -> Value {
    match random.one_in(3) {
        true => json!({
            "type": "http",
            "url": format!("http://server.example/{flow}"),
            "format": "jsonl",
            "on_rejection": random.pick(&["dead-letter", "fail"]),
        }),
        false => json!({
            "type": "file",
            "path": format!("/data/{flow}/sink/out"),
            "format": random.pick(&["jsonl", "csv"]),
        }),
    }
}

impl Line {
    pub(crate) fn of(definition: &Definition, random: &mut Random) -> Option<Self> {
        if definition.configuration.kind != Pipeline::KIND {
            return None;
        }
        let settings = &definition.configuration.settings;
        let flow = definition.name.to_string();
        let folder = Path::new("/data").join(&flow);
        let breaks_schema = settings.get("fields").is_some();
        Some(Self {
            writer: Writer::new(folder.join("source"), breaks_schema, random),
            sink: folder.join("sink"),
            dead_letters: folder.join("dead"),
            told_of: 0,
            has_filter: settings["transforms"][0]["sql"] == FILTER,
            flow,
        })
    }

    fn may_be_left_out(&self, number: u64) -> bool {
        self.has_filter && number % 7 == 3
    }

    /// Every record that arrived, once.
    fn judge_arrivals(&self, disk: &Disk, server: &Server) -> BTreeSet<u64> {
        let mut arrived = BTreeSet::new();
        for number in server.taken_of(&self.flow) {
            assert!(arrived.insert(number), "{number} of {} is taken twice", self.flow);
        }
        for (path, _, content) in disk.contents(&self.sink) {
            let numbers = numbers(&content);
            for number in numbers {
                assert!(
                    arrived.insert(number),
                    "{number} is twice in the sink of {}, in {path:?}",
                    self.flow
                );
            }
        }
        for (_, _, content) in disk.contents(&self.dead_letters) {
            for number in dead_numbers(&content) {
                assert!(arrived.insert(number), "{number} is a dead letter of {} and more", self.flow);
            }
        }
        let invented = arrived.iter().find(|number| !(FIRST_NUMBER..self.writer.next).contains(*number));
        assert_eq!(invented, None, "what arrives at {} was written", self.flow);
        arrived
    }

    /// What the cursor on record has passed is where no power cut can take it.
    fn judge_cursor(&mut self, disk: &Disk, server: &Server, state: &Value) {
        let mut durable: BTreeSet<u64> =
            disk.durable_contents(&self.sink).iter().flat_map(|content| numbers(content)).collect();
        durable.extend(server.taken_of(&self.flow));
        durable.extend(numbers(state["outbox"]["body"].as_str().unwrap_or_default().as_bytes()));
        let dead = disk.durable_contents(&self.dead_letters);
        durable.extend(dead.iter().flat_map(|content| dead_numbers(content)));
        let pending = state["dead_letters"]["pending"].as_str().unwrap_or_default();
        durable.extend(dead_numbers(pending.as_bytes()));
        let entries = state["cursor"]["files"].as_array().map(Vec::as_slice).unwrap_or_default();
        let known_by = entries.last().and_then(|entry| entry["head_bytes"].as_u64());
        self.writer.is_followed = known_by.is_some_and(|bytes| bytes >= KNOWN_BY_BYTES_MIN);
        let sources = disk.contents(self.writer.folder());
        for entry in entries {
            let of_entry = |(_, inode, _): &&(PathBuf, u64, Vec<u8>)| entry["inode"] == *inode;
            let Some(passed) =
                sources.iter().find(of_entry).and_then(|(_, _, content)| passed(content, entry))
            else {
                continue;
            };
            for number in numbers(passed) {
                let is_excused = self.may_be_left_out(number) || self.writer.excused.contains(&number);
                assert!(
                    durable.contains(&number) || is_excused,
                    "the cursor of {} is past {number}, which is not durable: {state}",
                    self.flow
                );
            }
        }
    }

    /// Whether everything that is there to be read has arrived, in order.
    fn judge_end(&self, disk: &Disk, server: &Server) {
        let arrived = self.judge_arrivals(disk, server);
        for (path, lines) in self.writer.lines(disk) {
            for number in lines {
                let is_excused = self.may_be_left_out(number) || self.writer.excused.contains(&number);
                assert!(arrived.contains(&number) || is_excused, "{number} of {path:?} is lost");
            }
        }
        let sources = self.writer.lines(disk);
        for (path, _, content) in disk.contents(&self.sink) {
            let written: Vec<u64> = numbers(&content);
            for (source, lines) in &sources {
                let lines: BTreeSet<&u64> = lines.iter().collect();
                let of_the_file: Vec<&u64> = written.iter().filter(|number| lines.contains(number)).collect();
                assert!(of_the_file.is_sorted(), "{path:?} has {source:?} in another order: {of_the_file:?}");
            }
        }
    }
}

/// The part of a file that a cursor has passed; none if it is about what the file held before: a line may end as another did,
/// and begins with a number of its own.
fn passed<'c>(content: &'c [u8], entry: &Value) -> Option<&'c [u8]> {
    let length = |name: &str| entry[name].as_u64().and_then(|length| usize::try_from(length).ok());
    let (offset, tail_bytes, head_bytes) = (length("offset")?, length("tail_bytes")?, length("head_bytes")?);
    let passed = content.get(..offset)?;
    let tail = passed.get(offset.checked_sub(tail_bytes)?..)?;
    let is_hash_of = |hash: &Value, bytes: &[u8]| {
        let hashed = Sha256::digest(bytes);
        *hash == hashed.iter().take(16).map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    (is_hash_of(&entry["tail"], tail) && is_hash_of(&entry["head"], content.get(..head_bytes)?))
        .then_some(passed)
}

/// The numbers of the records among dead letters; one that is half written has none.
fn dead_numbers(content: &[u8]) -> Vec<u64> {
    let record = |line: &[u8]| {
        let letter: Value = serde_json::from_slice(line).ok()?;
        // Zeros that a power cut left are escaped by digits.
        let text = letter["record"].as_str().map_or_else(|| letter["record"].to_string(), str::to_owned);
        number(text.as_bytes())
    };
    writer::lines(content).filter_map(record).collect()
}

impl World {
    /// Files are written, whatever else happens.
    pub(crate) fn write_sources(&mut self) {
        self.set_disk_clocks();
        if self.calm {
            return;
        }
        for line in &mut self.lines {
            if self.random.percent(20) {
                let did = line.writer.act(&self.disk, &mut self.random);
                self.trace.push(format!("{:>9} ms  {did}", self.elapsed.as_millis()));
            }
        }
    }

    fn set_disk_clocks(&self) {
        let true_ms = self.true_ms();
        self.disk.set_clocks(self.elapsed, true_ms, true_ms + self.clock_offset_ms);
    }

    /// A pipeline's turn, in which the daemon may die as well.
    pub(crate) fn work(&mut self, now: Now) {
        let dies = self.steps_to_live.is_some() && self.random.one_in(3);
        let calls_to_live = self.random.below(16);
        self.disk.kill_after(dies.then_some(calls_to_live));
        self.set_disk_clocks();
        let before = self.disk.calls();
        let Some(runtime) = self.runtime.as_mut() else { return };
        let mut actions = Vec::new();
        runtime.work(now, &mut actions);
        let calls = self.disk.calls() - before;
        for line in self.disk.take_log() {
            self.note(line);
        }
        if calls > 0 {
            self.note(format!("a pipeline works: {calls} calls"));
            self.rest_from_work();
        }
        if dies && calls > calls_to_live {
            self.die("KILLED within a step");
        } else {
            self.disk.kill_after(None);
            for action in actions {
                match action {
                    Action::Exchange(Job::Run(RunId(run)), exchange) => self.send_batch(run, &exchange),
                    other => panic!("files and servers do not need that: {other:?}"),
                }
            }
            self.outlives_step();
        }
        self.judge_pipelines();
    }

    /// The power goes: every process with it, and what of files was not durable.
    pub(crate) fn lose_power(&mut self) {
        self.note("THE POWER IS CUT".to_owned());
        self.processes.clear();
        self.restore_database();
        let lost = self.disk.lose_power();
        let newest = self.book().runs.last_key_value().map_or(0, |(id, _)| *id);
        for line in &mut self.lines {
            let has_lost = lost.contains(line.writer.folder());
            line.writer.begin_anew(&self.disk, has_lost, newest, &mut self.random);
        }
        self.note(format!("lost something: {lost:?}"));
    }

    /// What must hold at any time.
    pub(crate) fn judge_pipelines(&mut self) {
        if self.book().looks_away {
            return;
        }
        let seen = (self.disk.changes(), self.book().version());
        if self.lines.is_empty() || std::mem::replace(&mut self.pipelines_seen, seen) == seen {
            return;
        }
        let states = self.book().cursors();
        let runs = &self.book.as_ref().expect("the daemon was started").runs;
        for line in &mut self.lines {
            let ended = runs.iter().rev().find(|(_, run)| run.flow == line.flow && !run.status.is_open());
            if let Some((run, _)) = ended.filter(|(run, _)| **run > line.told_of) {
                line.told_of = *run;
                let end = self.book.as_ref().expect("open").end_of(*run);
                self.trace.push(format!("              run {run} of {}: {end}", line.flow));
            }
            line.judge_arrivals(&self.disk, &self.server);
            if let Some(state) = states.get(&line.flow) {
                line.judge_cursor(&self.disk, &self.server, state);
            }
            if let Some(since) = line.writer.unsettled_since {
                let mut later = runs.range(since + 1..).map(|(_, run)| run);
                if later.any(|run| run.flow == line.flow && run.status == Status::Success) {
                    line.writer.unsettled_since = None;
                }
            }
        }
    }

    /// What must hold once everything has run to its end, and nothing went wrong any more.
    pub(crate) fn judge_what_arrived(&mut self) {
        self.judge_pipelines();
        for line in &self.lines {
            line.judge_end(&self.disk, &self.server);
        }
    }
}

/// The lines of the pipelines among these flows.
pub(crate) fn lines(definitions: &[Definition], random: &mut Random) -> Vec<Line> {
    definitions.iter().filter_map(|definition| Line::of(definition, random)).collect()
}

/// States by flow, as they are on record.
pub(crate) type States = BTreeMap<String, Value>;
