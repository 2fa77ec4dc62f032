//! What the daemon does while one of its calls fails: a box for each scene, what is done to it, and what a caller was told.

use rustix::process::Signal;
use serde_json::json;
use std::path::Path;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::support::EdgeBox;
use crate::support::daemon::Daemon;
use crate::support::heartbeat::Heartbeat;
use crate::support::http_server::{answer, serve};
use crate::support::operator::Operator;
use crate::support::until;
use crate::support::wire::Wire;

/// Lines of the pipelines' source; each tenth lacks what the schema wants.
pub(crate) const LINES: usize = 40;

/// A caller's patience with a daemon one of whose calls failed once, and with one whose calls go on failing.
const PATIENCE: [Duration; 2] = [Duration::from_secs(8), Duration::from_millis(400)];

/// Where a scene begins to be traced, and what then happens.
pub(crate) struct Scene {
    pub(crate) name: &'static str,
    /// From the daemon's start on; else when it serves.
    pub(crate) from_start: bool,
    /// With the daemon's own threads.
    pub(crate) threads: bool,
    /// Before it is traced: before its start, or with the daemon that serves.
    pub(crate) prepare: fn(&EdgeBox),
    pub(crate) warm_up: fn(&EdgeBox, &Daemon),
    pub(crate) act: fn(&mut Act<'_>),
}

pub(crate) const SCENES: &[Scene] = &[
    Scene { name: "new", from_start: true, threads: false, prepare: command, warm_up: idle, act: beat },
    Scene { name: "old", from_start: true, threads: false, prepare: interrupted, warm_up: idle, act: beat },
    Scene { name: "run", from_start: false, threads: false, prepare: command, warm_up: idle, act: beat },
    Scene { name: "move", from_start: false, threads: false, prepare: pipelines, warm_up: idle, act: beat },
    Scene { name: "send", from_start: false, threads: false, prepare: senders, warm_up: idle, act: beat },
    Scene { name: "reload", from_start: false, threads: false, prepare: command, warm_up: idle, act: reload },
    Scene { name: "order", from_start: false, threads: false, prepare: command, warm_up: idle, act: order },
    Scene { name: "backup", from_start: false, threads: true, prepare: idle_box, warm_up: idle, act: backup },
    Scene { name: "stop", from_start: false, threads: false, prepare: slow, warm_up: running, act: stop },
];

/// A scene that goes on, and what it came to.
pub(crate) struct Act<'a> {
    pub(crate) edge_box: &'a EdgeBox,
    pub(crate) daemon: &'a mut Daemon,
    pub(crate) patience: Duration,
    /// Runs that an answer named.
    pub(crate) named: Vec<i64>,
    /// Answers that nobody should get.
    pub(crate) wrong: Vec<String>,
}

impl<'a> Act<'a> {
    pub(crate) fn new(edge_box: &'a EdgeBox, daemon: &'a mut Daemon, goes_on_failing: bool) -> Self {
        let patience = PATIENCE[usize::from(goes_on_failing)];
        Self { edge_box, daemon, patience, named: Vec::new(), wrong: Vec::new() }
    }

    fn heartbeat(&mut self) {
        let heartbeat = Heartbeat::new().wait(5).to_bytes(&self.edge_box.secret);
        let Ok(mut wire) = Wire::try_connect(self.daemon.port) else { return };
        wire.stream.set_read_timeout(Some(self.patience)).expect("set a time-out");
        if wire.try_send(heartbeat).is_err() {
            return;
        }
        let Ok(answer) = wire.try_answer() else { return };
        match answer.status {
            200 => self.named.extend(answer.run_ids()),
            503 if answer.field("Retry-After").is_some() => {}
            _ => self.wrong.push(format!("{answer:?}")),
        }
    }

    /// Whether this came within the scene's patience, or the daemon ended.
    fn soon(&mut self, mut holds: impl FnMut(&mut Self) -> bool) -> bool {
        let give_up = Instant::now() + self.patience;
        while Instant::now() < give_up {
            if holds(self) {
                return true;
            }
            if !self.daemon.lives() {
                return false;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        false
    }

    fn operator(&self) -> Option<Operator> {
        let operator = Operator::try_connect(self.edge_box).ok()?;
        operator.stream.set_read_timeout(Some(self.patience)).expect("set a time-out");
        Some(operator)
    }
}

fn idle(_: &EdgeBox, _: &Daemon) {}

fn idle_box(_: &EdgeBox) {}

/// A command that leaves a line each time that it has run.
fn command(edge_box: &EdgeBox) {
    edge_box.script("command", "", "echo $HEARTBEAT_RUN_ID >> effects; echo done");
}

/// A database of an earlier daemon's, which was killed while a run was in progress.
fn interrupted(edge_box: &EdgeBox) {
    slow(edge_box);
    let mut daemon = edge_box.start();
    running(edge_box, &daemon);
    daemon.kill();
    command(edge_box);
}

fn slow(edge_box: &EdgeBox) {
    command(edge_box);
    edge_box.script("slow", "", "echo $$ > pid; [ -e go ] || sleep 600");
}

fn running(edge_box: &EdgeBox, daemon: &Daemon) {
    daemon.beat();
    until("the slow one runs and the other has ended", || {
        edge_box.read("pid").ends_with('\n')
            && edge_box.number("SELECT count(*) FROM data_flow_runs WHERE status = 'success'") == 1
    });
}

/// A line of the source, and whether the schema takes it.
pub(crate) fn line(number: usize) -> (String, bool) {
    let is_good = number % 10 != 9;
    (if is_good { format!("{{\"n\":{number}}}") } else { format!("{{\"m\":{number}}}") }, is_good)
}

fn write_lines(edge_box: &EdgeBox) {
    let lines: String = (0..LINES).map(|number| line(number).0 + "\n").collect();
    edge_box.write("in.jsonl", lines);
}

const SOURCE: &str = "[source]\ntype = \"file\"\npath = \"DIR/in.jsonl\"\n[schema.fields]\nn = { type = \"integer\", required = true }\n\
    [batch]\nrecords = 15\n[sink]\n";

fn pipelines(edge_box: &EdgeBox) {
    write_lines(edge_box);
    let sqlite =
        "type = \"sqlite\"\ndatabase = \"DIR/out.db\"\ntable = \"t\"\nmode = \"insert\"\ncreate = true\n";
    edge_box.flow("to-sqlite", &format!("{SOURCE}{sqlite}"));
    edge_box.flow("to-file", &format!("{SOURCE}type = \"file\"\npath = \"DIR/out/out.jsonl\"\n"));
}

/// One receiver for all boxes: the path says which one it is that sends, and a batch is a file of its key.
fn receiver() -> &'static str {
    static ADDRESS: OnceLock<String> = OnceLock::new();
    ADDRESS.get_or_init(|| {
        serve(|request| {
            let folder = Path::new(request.line.split(' ').nth(1)?).join("posted");
            let key = request.field("Idempotency-Key").unwrap_or("no key").replace('/', "_");
            std::fs::create_dir_all(&folder).expect("make a folder");
            let batch = folder.join(key);
            let before = std::fs::read_to_string(&batch).ok().filter(|before| *before != request.body);
            let body =
                before.map_or(request.body.clone(), |before| format!("{before}ANOTHER\n{}", request.body));
            std::fs::write(batch, body).expect("take it");
            Some(answer(200, "", ""))
        })
    })
}

fn senders(edge_box: &EdgeBox) {
    write_lines(edge_box);
    let address = receiver();
    let http = format!("type = \"http\"\nurl = \"http://{address}DIR\"\nformat = \"jsonl\"\n");
    edge_box.flow("to-http", &format!("{SOURCE}{http}"));
    let script = "body=given/$HEARTBEAT_IDEMPOTENCY_KEY; mkdir -p given; cat > $body.$$ && mv $body.$$ $body";
    let exec = format!("type = \"exec\"\nshell = true\nargv = '''{script}'''\n");
    edge_box.flow("to-exec", &format!("{SOURCE}{exec}"));
}

fn beat(act: &mut Act<'_>) {
    act.heartbeat();
}

fn reload(act: &mut Act<'_>) {
    act.edge_box.script("another", "", "echo $HEARTBEAT_RUN_ID >> effects");
    act.edge_box.configure("max_concurrent_runs = 2\n");
    act.daemon.signal(Signal::HUP);
    act.soon(|act| act.daemon.log().contains("reload"));
    act.heartbeat();
}

fn order(act: &mut Act<'_>) {
    for held in [true, false] {
        let Some(mut operator) = act.operator() else { continue };
        let asked = operator.try_ask("PATCH /flows/command", "", &format!("{{\"held\":{held}}}"));
        if let Ok(answer) = asked
            && ![200, 503].contains(&answer.status)
        {
            act.wrong.push(format!("{answer:?}"));
        }
    }
    let Some(mut operator) = act.operator() else { return };
    let Ok(answer) = operator.try_ask("POST /flows/command/runs", "Prefer: wait=5\r\n", "{}") else { return };
    match answer.status {
        200 | 202 => act.named.extend(answer.json()["id"].as_i64()),
        // What was refused above may have left it held.
        409 | 503 => {}
        _ => act.wrong.push(format!("{answer:?}")),
    }
}

fn backup(act: &mut Act<'_>) {
    let target = act.edge_box.path("copy.db");
    let Some(mut operator) = act.operator() else { return };
    let Ok(answer) = operator.try_ask("POST /backup", "", &json!({ "file": target }).to_string()) else {
        return;
    };
    // Where its name could not be made durable it is there as well, though nothing is promised of it.
    if answer.status == 200 || target.exists() {
        let copy = rusqlite::Connection::open(&target).expect("open the copy");
        let verdict = copy.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0));
        if verdict.as_deref() != Ok("ok") {
            act.wrong.push(format!("a copy that is none: {verdict:?}"));
        }
    }
}

fn stop(act: &mut Act<'_>) {
    act.edge_box.write("go", "");
    act.daemon.signal(Signal::TERM);
    act.soon(|_| false);
}
