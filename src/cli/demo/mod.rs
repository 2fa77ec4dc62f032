//! `demo`: the real main job before the reader's eyes. Nothing is pretended: the daemon is this program as a process
//! of its own, the heartbeats come over TCP, the runs are processes, and each line that is shown was checked.

mod daemon;
mod setting;

use serde::Deserialize;
use serde_json::json;
use signal_hook::consts::{SIGINT, SIGTERM};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::arguments::Demo;
use super::client::{self, Answer, Url};
use super::failure::{Exit, Failure};
use super::output::{Output, Paint, Table};
use super::printable::printable;
use super::sign::{self, Headers};
use super::{Context, beat, random, runs};
use crate::auth::Secret;
use crate::sorted::sort_by;
use crate::store::{RunFilter, RunId, Store};
use crate::words;
use daemon::Daemon;
use setting::{EXIT_STATUS, FAILS, SUCCEEDS, Setting, TAKES_LONG};

/// How long the first heartbeat waits for its runs.
const WAIT_S: u64 = 8;
/// How long an answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(9);
/// The default of `endpoint_path`, which the demonstration's configuration keeps.
const ENDPOINT_PATH: &str = "/data_flows/heartbeat";

/// Shows it all. Whoever interrupts ends it in good order.
pub(super) fn run(context: &Context, demo: &Demo) -> Result<(), Failure> {
    // A reader that leaves has not seen it come true.
    show(context, demo).map_err(|failure| match failure.exit {
        Exit::Done => Failure::told(Exit::Failed),
        _ => failure,
    })
}

fn show(context: &Context, demo: &Demo) -> Result<(), Failure> {
    let interrupted = on_interrupt()?;
    let begun = Instant::now();
    let setting = Setting::make(demo.dir.as_deref(), demo.keep)?;
    let mut stage = Stage { output: context.output, wrong: 0 };
    stage.say(Paint::Bold, &format!("heartbeatd demo, in {}", setting.folder.display()))?;
    stage.fact(true, "made: a configuration, a secret that only you can read, a database, three flows")?;
    let mut daemon = Daemon::start(context, &setting)?;
    let url = beat::url_at(SocketAddr::from(([127, 0, 0, 1], daemon.port)), ENDPOINT_PATH)?;
    stage.fact(true, &format!("the daemon runs as process {} and listens at {url}", daemon.id()))?;
    play(&mut stage, &url, &setting).map_err(|failure| match failure.exit {
        Exit::Unreachable => daemon.failure("the daemon did not answer"),
        _ => failure,
    })?;
    by_hand(&stage, &setting, demo.keep)?;
    if demo.keep {
        stage.say(Paint::Bold, "\nServing until you press Ctrl-C")?;
        while !interrupted.load(Ordering::Relaxed) && daemon.has_ended()?.is_none() {
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    stage.say(Paint::Bold, "\nThe daemon is told to end (SIGTERM)")?;
    let status = daemon.stop()?;
    stage.fact(status.is_some_and(|status| status.success()), "it ended with exit code 0")?;
    if stage.wrong > 0 {
        return Err(daemon.failure(&format!("{} of what was shown did not come true", stage.wrong)));
    }
    let seconds = begun.elapsed().as_secs_f32();
    let rest = if setting.kept { "" } else { "; the folder is gone again" };
    stage.say(Paint::Dim, &format!("\nAll of it came true, in {seconds:.1} s{rest}."))
}

fn on_interrupt() -> Result<Arc<AtomicBool>, Failure> {
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&interrupted)).map_err(|error| {
            Failure::new(Exit::Io, format!("cannot listen to signals: {error}"), "try again")
        })?;
    }
    Ok(interrupted)
}

/// The heartbeats and what came of them.
fn play(stage: &mut Stage, url: &Url, setting: &Setting) -> Result<(), Failure> {
    let headers = Headers::new(&setting.secret, b"")?;
    let mut fields = headers.fields().to_vec();
    fields.push(("prefer", format!("wait={WAIT_S}")));
    let request = client::post(url, &fields, b"");

    stage.scene("A signed heartbeat; the answer waits for the runs (Prefer: wait)")?;
    let first = Heard::of(send(url, &request)?);
    show_runs(stage, &first)?;
    first_came_true(stage, &first)?;

    stage.scene("The very same request again: a replay")?;
    let replay = Heard::of(send(url, &request)?);
    let same_runs = replay.ids() == first.ids();
    let started_none = replay.status == 200 && replay.body.duplicate && same_runs;
    stage.fact(started_none, "200 and \"duplicate\": the same runs are named, none is started")?;

    stage.scene("A forged signature, and none at all")?;
    let (_, stranger) = Secret::generate(&*random::bytes()?);
    let forged = send(url, &client::post(url, &Headers::new(&stranger, b"")?.fields(), b""))?;
    stage.refused(&forged, "signature_mismatch")?;
    let unsigned = send(url, &client::post(url, &[("webhook-id", sign::new_id()?)], b""))?;
    stage.refused(&unsigned, "signature_missing")?;

    stage.scene("One more signed heartbeat, a moment later")?;
    let headers = Headers::new(&setting.secret, b"")?;
    let idle = Heard::of(send(url, &client::post(url, &headers.fields(), b""))?);
    let nothing = idle.status == 200 && idle.body.flows_due == 0 && idle.body.runs.is_empty();
    stage.fact(nothing, "200: nothing is due for an hour, nothing ran")?;

    stage.scene("What is on record: heartbeat.db, which sqlite3 may read at any time")?;
    on_record(stage, setting, &first)
}

fn send(url: &Url, request: &[u8]) -> Result<Answer, Failure> {
    client::exchange(url, request, ANSWER_TIMEOUT)
        .map_err(|error| Failure::new(Exit::Unreachable, error.to_string(), "see the daemon's log"))
}

fn show_runs(stage: &Stage, heard: &Heard) -> Result<(), Failure> {
    let mut table = Table::default();
    for run in &heard.body.runs {
        let paint = if run.status == "success" { Paint::Green } else { Paint::Red };
        let why = run.exit_code.filter(|code| *code != 0).map(|code| format!("exit status {code}"));
        table.row(vec![
            (Paint::Dim, format!("    run {}", run.id)),
            (Paint::Plain, run.flow.clone()),
            (paint, run.status.clone()),
            (Paint::Plain, run.duration_ms.map(words::duration_ms).unwrap_or_default()),
            (Paint::Plain, why.unwrap_or_default()),
        ]);
    }
    if stage.output.json { Ok(()) } else { stage.output.table(&table) }
}

fn first_came_true(stage: &mut Stage, heard: &Heard) -> Result<(), Failure> {
    let body = &heard.body;
    let all = heard.status == 200 && body.flows_due == 3 && body.flows_triggered == 3 && body.runs.len() == 3;
    stage.fact(all && !body.duplicate, "200: three flows were due, each was started once")?;
    let ended = |flow: &str, status: &str, code: i64| {
        body.runs.iter().any(|run| run.flow == flow && run.status == status && run.exit_code == Some(code))
    };
    let as_meant = ended(SUCCEEDS, "success", 0) && ended(FAILS, "failed", EXIT_STATUS);
    stage.fact(as_meant, "one failed, as it was written to, and stopped none of the others")?;
    let took = body.runs.iter().find(|run| run.flow == TAKES_LONG).and_then(|run| run.duration_ms);
    let waited = ended(TAKES_LONG, "success", 0) && took.is_some_and(|ms| ms >= 1900);
    stage.fact(waited, "the answer came once the slowest had ended")
}

fn on_record(stage: &mut Stage, setting: &Setting, first: &Heard) -> Result<(), Failure> {
    let store = Store::open_to_read(&setting.database())?;
    let recorded = store.runs(&RunFilter { limit: 10, ..RunFilter::default() })?;
    if !stage.output.json {
        stage.output.indented_table(&runs::table(&recorded, crate::server::now()))?;
    }
    let mut ids: Vec<i64> = recorded.iter().map(|run| run.id).collect();
    sort_by(&mut ids, Ord::cmp);
    stage.fact(ids.len() == 3 && ids == first.ids(), "exactly the three runs that the answer named")?;
    let hello = recorded.iter().find(|run| run.flow == SUCCEEDS).map(|run| RunId(run.id));
    let output = match hello {
        Some(id) => store.run(id)?.and_then(|run| run.output).unwrap_or_default(),
        None => String::new(),
    };
    let said = output.contains("hello from say-hello");
    stage.fact(said, &format!("and their output: {:?}", output.trim()))
}

/// How to send one without this program.
fn by_hand(stage: &Stage, setting: &Setting, keep: bool) -> Result<(), Failure> {
    if stage.output.json || stage.output.quiet {
        return Ok(());
    }
    let folder = if keep { setting.folder.display().to_string() } else { "box".to_owned() };
    let title = if keep {
        "\nBy hand, in another terminal:"
    } else {
        "\nBy hand: `heartbeatd demo --dir box --keep` goes on serving; then, in another terminal:"
    };
    stage.say(Paint::Bold, title)?;
    let folder = printable(&folder);
    stage.output.lines(format!(
        r#"  cd '{folder}'
  id=msg_$(openssl rand -hex 8) time=$(date +%s)
  key=$(cut -c7- secret | base64 -d | od -An -v -tx1 | tr -d ' \n')
  signature=v1,$(printf '%s.%s.' "$id" "$time" | openssl dgst -sha256 -mac HMAC -macopt "hexkey:$key" -binary | base64)
  curl -d '' "http://127.0.0.1:$(cat port){ENDPOINT_PATH}" \
    -H "webhook-id: $id" -H "webhook-timestamp: $time" -H "webhook-signature: $signature""#
    ))
}

/// An answer as far as it was understood; what was not is zero or empty, and its facts are wrong.
#[derive(Debug)]
struct Heard {
    status: u16,
    body: Body,
}

#[derive(Debug, Default, Deserialize)]
struct Body {
    flows_due: u64,
    flows_triggered: u64,
    duplicate: bool,
    runs: Vec<Ran>,
}

#[derive(Debug, Deserialize)]
struct Ran {
    id: i64,
    flow: String,
    status: String,
    exit_code: Option<i64>,
    duration_ms: Option<i64>,
}

impl Heard {
    fn of(answer: Answer) -> Self {
        Self { status: answer.status, body: serde_json::from_slice(&answer.body).unwrap_or_default() }
    }

    fn ids(&self) -> Vec<i64> {
        let mut ids: Vec<i64> = self.body.runs.iter().map(|run| run.id).collect();
        sort_by(&mut ids, Ord::cmp);
        ids
    }
}

/// What is shown, and how much of it was wrong.
struct Stage {
    output: Output,
    wrong: usize,
}

impl Stage {
    /// Something to read; programs are spared it.
    fn say(&self, paint: Paint, text: &str) -> Result<(), Failure> {
        if self.output.json {
            return Ok(());
        }
        let title = text.trim_start_matches('\n');
        if title.len() < text.len() {
            self.output.line("")?;
        }
        self.output.painted(&[(paint, title)])
    }

    fn scene(&self, title: &str) -> Result<(), Failure> {
        self.say(Paint::Bold, &format!("\n{title}"))
    }

    /// Something that was checked.
    fn fact(&mut self, came_true: bool, text: &str) -> Result<(), Failure> {
        self.wrong += usize::from(!came_true);
        if self.output.json {
            return self.output.value(&json!({ "fact": text, "ok": came_true }));
        }
        let (paint, mark) = if came_true { (Paint::Green, "✓") } else { (Paint::Red, "✗") };
        self.output.painted(&[(Paint::Plain, "  "), (paint, mark), (Paint::Plain, &format!(" {text}"))])
    }

    fn refused(&mut self, answer: &Answer, code: &str) -> Result<(), Failure> {
        let problem: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let as_meant =
            answer.status == 401 && problem.get("error").and_then(|error| error.as_str()) == Some(code);
        self.fact(as_meant, &format!("401 {code}: refused, and told nothing about flows"))
    }
}
