//! What a command may use, whom it runs as, and what is in its environment without being on record.
#![expect(clippy::unwrap_used, reason = "the helpers of a test may fail it")]

mod support;

use std::process::Command;
use support::daemon::Daemon;
use support::edge_box::Run;
use support::tools::{can_run, run_through, tell_skipped};
use support::{EdgeBox, until};

fn box_with(keys: &str, script: &str) -> EdgeBox {
    let edge_box = EdgeBox::new();
    edge_box.flow("it", &format!("[command]\nshell = true\nargv = '''{script}'''\n{keys}\n"));
    edge_box
}

fn run_in(edge_box: &EdgeBox) -> (Daemon, Run) {
    let daemon = edge_box.start();
    assert_eq!(daemon.beat_and_wait().count("flows_triggered"), 1);
    let run = edge_box.ended_run("it");
    (daemon, run)
}

fn run_of(keys: &str, script: &str) -> Run {
    run_in(&box_with(keys, script)).1
}

fn kind_and_message(run: &Run) -> (&str, &str) {
    (run.error_kind.as_deref().unwrap_or_default(), run.error_message.as_deref().unwrap_or_default())
}

fn is_root() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        tell_skipped("only root starts programs as other users");
    }
    is_root
}

/// Limits are set right after the start: a script gives that a moment.
const FIRST: &str = "until grep -q . limited; do sleep 0.01; done";

#[test]
fn limits_are_those_that_the_flow_says() {
    let limits = "limits = { memory = \"100 MiB\", processes = 4000, files = 77, cpu = \"5m\" }";
    let edge_box = box_with(limits, &format!("{FIRST}; cat /proc/self/limits"));
    let daemon = edge_box.start();
    daemon.beat();
    edge_box.write("limited", "now");
    let run = edge_box.ended_run("it");
    let line = |name: &str| {
        let line = run.output.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line[name.len()..].split_whitespace().take(2).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(line("Max address space"), ["104857600", "104857600"], "{}", run.output);
    assert_eq!(line("Max processes"), ["4000", "4000"]);
    assert_eq!(line("Max open files"), ["77", "77"]);
    assert_eq!(line("Max cpu time"), ["300", "301"]);
}

#[test]
fn a_script_that_eats_memory_dies_and_the_daemon_lives() {
    let eats = "x=x; while :; do x=$x$x; done";
    let edge_box = box_with("limits = { memory = \"64 MiB\" }", eats);
    let (daemon, run) = run_in(&edge_box);
    assert_eq!(run.status, "failed", "{run:?}");
    assert!(daemon.proc_status("VmHWM") < 64 * 1024);
    assert_eq!(daemon.exchange("GET /healthz HTTP/1.1\r\nHost: box\r\n\r\n").status, 200);
}

#[test]
fn a_script_that_eats_processor_time_is_ended() {
    let run = run_of("limits = { cpu = 1 }", "while :; do :; done");
    assert_eq!(kind_and_message(&run).0, "signal", "{run:?}");
}

#[test]
fn a_child_dies_before_the_daemon_when_memory_runs_out() {
    let edge_box = box_with(
        "",
        "until [ $(cat /proc/$$/oom_score_adj) -ge 500 ]; do sleep 0.01; done; cat /proc/$$/oom_score_adj",
    );
    let (daemon, run) = run_in(&edge_box);
    let own = std::fs::read_to_string(format!("/proc/{}/oom_score_adj", daemon.pid())).unwrap();
    let (own, child): (i32, i32) = (own.trim().parse().unwrap(), run.output.trim().parse().unwrap());
    assert_eq!(child, (own + 500).min(1000));
}

#[test]
fn a_command_gives_way_as_its_flow_says() {
    let script = "until [ $(ps -o ni= -p $$) -eq 7 ]; do sleep 0.01; done; echo $(nice)";
    assert_eq!(run_of("nice = 7", script).output, "7\n");
}

#[test]
fn a_limit_that_the_daemon_may_not_set_fails_the_run_and_says_which() {
    if !can_run("setpriv", &["--reuid", "65534", "--clear-groups", "true"]) {
        return;
    }
    // In a folder that another user may enter.
    for (keys, words) in
        [("nice = -5", "nice: cannot set -5"), ("limits = { files = 1000000 }", "files = 1000000")]
    {
        let edge_box = box_with(keys, "echo ran >> effects; sleep 60");
        hand_over(&edge_box);
        let daemon = Daemon::start(&edge_box, |command| {
            run_through(
                command,
                "setpriv",
                &["--reuid", "65534", "--clear-groups", "prlimit", "--nofile=4096:4096"],
            );
        });
        daemon.beat_and_wait();
        let run = edge_box.ended_run("it");
        let (kind, message) = kind_and_message(&run);
        assert!(kind == "spawn" && message.contains(words), "{run:?}");
        assert_eq!(edge_box.runs().len(), 1);
    }
}

/// Gives a box to the user nobody.
fn hand_over(edge_box: &EdgeBox) {
    let folder = edge_box.path("");
    assert!(Command::new("chown").args(["-R", "65534:65534"]).arg(folder).status().unwrap().success());
}

#[test]
fn a_command_runs_as_the_user_that_its_flow_names_with_its_group_and_no_other() {
    if !is_root() {
        return;
    }
    for user in ["nobody", "65534"] {
        let run =
            run_of(&format!("user = \"{user}\"\nworking_directory = \"/\""), "id -u; id -un; id -G | wc -w");
        assert_eq!(run.output, "65534\nnobody\n1\n", "{run:?}");
    }
}

#[test]
fn a_user_that_does_not_exist_fails_the_run_as_a_fault_of_configuration() {
    if !is_root() {
        return;
    }
    let run = run_of("user = \"no-such-user\"", "echo ran");
    let (kind, message) = kind_and_message(&run);
    assert!(kind == "configuration" && message.contains("no `no-such-user`"), "{run:?}");
}

#[test]
fn a_daemon_that_is_not_root_runs_nothing_as_another_user() {
    if !can_run("setpriv", &["--reuid", "65534", "--clear-groups", "true"]) {
        return;
    }
    let edge_box = box_with("user = \"root\"", "echo ran >> effects");
    hand_over(&edge_box);
    let daemon = Daemon::start(&edge_box, |command| {
        run_through(command, "setpriv", &["--reuid", "65534", "--clear-groups"]);
    });
    daemon.beat_and_wait();
    let run = edge_box.ended_run("it");
    let (kind, message) = kind_and_message(&run);
    assert!(kind == "configuration" && message.contains("root"), "{run:?}");
    assert_eq!(edge_box.read("effects"), "");
}

// --- environment_file ---------------------------------------------------------------------------------------------

#[test]
fn variables_of_the_environment_file_reach_the_command_and_no_record() {
    let keys = "environment = { COLOUR = \"red\", SIZE = \"1\" }\nenvironment_file = \"it.env\"";
    let edge_box = box_with(keys, "[ ${#API_TOKEN} = 7 ] && echo $COLOUR $SIZE");
    edge_box.write_secret("flows/it.env", "# of the vendor\nAPI_TOKEN=\"hunter2\"\n\nCOLOUR=blue");
    let (mut daemon, run) = run_in(&edge_box);
    assert_eq!((run.status.as_str(), run.output.as_str()), ("success", "blue 1\n"), "{run:?}");
    daemon.stop();
    let files = std::fs::read_dir(edge_box.path("")).unwrap();
    for path in files.map(|file| file.unwrap().path()).filter(|path| path.is_file()) {
        let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
        assert!(!text.contains("hunter2"), "{}", path.display());
    }
}

#[test]
fn the_environment_file_is_read_at_each_start() {
    let edge_box = box_with("environment_file = \"it.env\"", "echo $WHAT >> effects");
    edge_box.flow("it", &(edge_box.read("flows/it.toml").replace("1h", "1s")));
    edge_box.write_secret("flows/it.env", "WHAT=first");
    let daemon = edge_box.start();
    daemon.beat_and_wait();
    edge_box.write_secret("flows/it.env", "WHAT=second");
    until("it ran again", || {
        daemon.beat_and_wait();
        edge_box.read("effects").lines().any(|line| line == "second")
    });
}

#[test]
fn an_environment_file_that_is_bad_fails_the_run_and_names_the_line_but_not_what_is_in_it() {
    for (content, mode, words) in [
        (Some("A=1\nhunter2\n"), 0o600, "flows/it.env:2"),
        (Some("HEARTBEAT_RUN_ID=hunter2"), 0o600, "kept for what the daemon sets"),
        (Some("HEARTBEATD_SIGNING_SECRET=hunter2"), 0o600, "setting of the daemon"),
        (Some("A=hunter2"), 0o644, "chmod 600"),
        (None, 0, "does not exist"),
    ] {
        let edge_box = box_with("environment_file = \"it.env\"", "echo ran >> effects");
        if let Some(content) = content {
            edge_box.write_secret("flows/it.env", content);
            edge_box.set_mode("flows/it.env", mode);
        }
        let (daemon, run) = run_in(&edge_box);
        let (kind, message) = kind_and_message(&run);
        assert!(kind == "spawn" && message.contains(words) && message.contains("it.env"), "{run:?}");
        assert!(!message.contains("hunter2") && !daemon.log().contains("hunter2"), "{message}");
        assert_eq!(edge_box.read("effects"), "");
    }
}

// --- The daemon's own limits ----------------------------------------------------------------------------------------

#[test]
fn out_of_descriptors_a_run_fails_with_the_reason_nothing_spins_and_all_recovers() {
    if !can_run("prlimit", &["--version"]) {
        return;
    }
    let edge_box = EdgeBox::new();
    edge_box.script("it", "run_interval = \"1s\"", "echo ran >> effects");
    let daemon = edge_box.start();
    let mut wire = daemon.connect();
    wire.send("GET /healthz HTTP/1.1\r\nHost: box\r\n\r\n");
    assert_eq!(wire.answer().status, 200);
    let open = std::fs::read_dir(format!("/proc/{}/fd", daemon.pid())).unwrap().count();
    // The one connection that there is stays served; a pipe is one descriptor too many.
    limit(&daemon, None, &format!("--nofile={}:", open + 1));
    let heartbeat = support::heartbeat::Heartbeat::new().wait(5);
    wire.send(heartbeat.to_bytes(&edge_box.secret));
    let answer = wire.answer();
    assert_eq!((answer.status, answer.count("flows_triggered")), (200, 1));
    let run = edge_box.ended_run("it");
    let (kind, message) = kind_and_message(&run);
    assert!(kind == "spawn" && message.contains("Too many open files"), "{run:?}");
    assert_eq!(edge_box.runs().len(), 1, "one failed run");
    // Callers wait in the listener's queue.
    let waiting: Vec<_> = [(); 3].map(|()| daemon.connect()).into();
    let before = processor_ticks(&daemon);
    wire.send("GET /healthz HTTP/1.1\r\nHost: box\r\n\r\n");
    assert_eq!(wire.answer().status, 200);
    // Not a wait for anything: the time over which it is watched.
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert!(processor_ticks(&daemon) - before < 20, "it does not spin");
    limit(&daemon, None, "--nofile=1024:");
    for mut wire in waiting {
        wire.send("GET /healthz HTTP/1.1\r\nHost: box\r\n\r\n");
        assert_eq!(wire.answer().status, 200);
    }
    until("it runs again", || {
        daemon.beat_and_wait();
        !edge_box.read("effects").is_empty()
    });
}

/// Sets a soft limit of a running daemon, which runs as the user given.
fn limit(daemon: &Daemon, user: Option<&str>, what: &str) {
    let pid = daemon.pid().to_string();
    let mut command = Command::new("prlimit");
    command.args(["--pid", &pid, what]);
    if let Some(user) = user {
        run_through(&mut command, "setpriv", &["--reuid", user, "--regid", user, "--clear-groups"]);
    }
    assert!(command.status().unwrap().success());
}

/// Time on the processor so far, in hundredths of a second.
fn processor_ticks(daemon: &Daemon) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", daemon.pid())).unwrap();
    let (_, rest) = stat.rsplit_once(") ").unwrap();
    rest.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum()
}

#[test]
fn where_no_process_can_be_started_a_run_fails_with_the_reason_and_the_next_one_runs() {
    // Root is exempt from the limit.
    if !can_run("setpriv", &["--reuid", "65533", "--clear-groups", "true"]) {
        return;
    }
    let edge_box = EdgeBox::new();
    edge_box.script("it", "run_interval = \"1s\"", "echo ran >> effects");
    let folder = edge_box.path("");
    assert!(Command::new("chown").args(["-R", "65533:65533"]).arg(folder).status().unwrap().success());
    let daemon = Daemon::start(&edge_box, |command| {
        run_through(command, "setpriv", &["--reuid", "65533", "--regid", "65533", "--clear-groups"]);
    });
    limit(&daemon, Some("65533"), "--nproc=1:");
    daemon.beat_and_wait();
    let run = edge_box.ended_run("it");
    let (kind, message) = kind_and_message(&run);
    assert!(kind == "spawn" && message.contains("Resource temporarily unavailable"), "{run:?}");
    assert_eq!(edge_box.runs().len(), 1, "one failed run");
    limit(&daemon, Some("65533"), "--nproc=1000:");
    until("it runs again", || {
        daemon.beat_and_wait();
        !edge_box.read("effects").is_empty()
    });
    assert_eq!(edge_box.runs().iter().filter(|run| run.status == "failed").count(), 1);
}
