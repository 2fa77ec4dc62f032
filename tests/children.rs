//! Whatever a command does, its run ends with what happened on record, and nothing of the daemon leaks into it.

mod support;

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use support::daemon::Daemon;
use support::edge_box::Run;
use support::tools::run_through;
use support::{EdgeBox, is_alive, until};

/// A box with one flow, `it`, whose file holds `text`.
fn box_with(text: &str) -> EdgeBox {
    let edge_box = EdgeBox::new();
    // No time-out of a connection may wake the loop when a run's end should have.
    edge_box.configure("kill_grace = \"300ms\"\n[limits]\nhead_timeout = \"60s\"\nidle_timeout = \"60s\"\n");
    edge_box.flow("it", text);
    edge_box
}

fn script(script: &str) -> String {
    format!("[command]\nshell = true\nargv = '''{script}'''\n")
}

/// Starts a daemon, has the flow run once and waits for its end.
fn run_once(edge_box: &EdgeBox) -> (Daemon, Run) {
    let daemon = edge_box.start();
    assert_eq!(daemon.beat_and_wait().count("flows_triggered"), 1);
    let run = edge_box.ended_run("it");
    (daemon, run)
}

fn run_of(text: &str) -> Run {
    run_once(&box_with(text)).1
}

fn failure(run: &Run) -> (&str, &str, &str) {
    (
        run.status.as_str(),
        run.error_kind.as_deref().unwrap_or_default(),
        run.error_message.as_deref().unwrap_or_default(),
    )
}

#[test]
fn an_exit_code_and_the_output_are_recorded() {
    let run = run_of(&script("echo out; echo err >&2; exit 7"));
    assert_eq!(failure(&run), ("failed", "exit_status", "exit status 7"));
    assert_eq!((run.exit_code, run.signal), (Some(7), None));
    assert_eq!((run.output.as_str(), run.output_truncated), ("out\nerr\n", false));
}

#[test]
fn a_command_that_kills_itself_fails_with_its_signal() {
    let run = run_of(&script("echo before; kill -9 $$"));
    assert_eq!(failure(&run), ("failed", "signal", "signal 9"));
    assert_eq!((run.exit_code, run.signal, run.output.as_str()), (None, Some(9), "before\n"));
}

#[test]
fn a_daemon_that_was_started_with_sigchld_ignored_sees_its_children_end() {
    let edge_box = box_with(&script("exit 3"));
    let daemon = Daemon::start(&edge_box, |command| run_through(command, "env", &["--ignore-signal=CHLD"]));
    daemon.beat();
    let run = edge_box.ended_run("it");
    assert_eq!((run.exit_code, failure(&run).1), (Some(3), "exit_status"));
}

#[test]
fn a_missing_program_fails_one_run_and_says_which() {
    for argv in ["no-such-program", "./no-such-program", "/no/such/program"] {
        let edge_box = box_with(&format!("[command]\nargv = [\"{argv}\"]\n"));
        let (_daemon, run) = run_once(&edge_box);
        let (status, kind, message) = failure(&run);
        assert_eq!((status, kind), ("failed", "spawn"), "{run:?}");
        assert!(message.contains(argv.trim_start_matches("./")), "{message}");
        assert_eq!(edge_box.runs().len(), 1);
    }
}

#[test]
fn a_script_without_its_execute_bit_fails_and_says_so() {
    let edge_box = box_with("[command]\nargv = [\"./tool\"]\n");
    edge_box.write("flows/tool", "#!/bin/sh\nexit 0\n");
    edge_box.set_mode("flows/tool", 0o644);
    let (_daemon, run) = run_once(&edge_box);
    let (_, kind, message) = failure(&run);
    assert!(kind == "spawn" && message.contains("not executable"), "{run:?}");
}

#[test]
fn a_script_with_a_missing_interpreter_fails_and_says_so() {
    let edge_box = box_with("[command]\nargv = [\"./tool\"]\n");
    edge_box.write("flows/tool", "#!/no/such/interpreter\n");
    edge_box.set_mode("flows/tool", 0o755);
    let (_daemon, run) = run_once(&edge_box);
    let (_, kind, message) = failure(&run);
    assert!(kind == "spawn" && message.contains("interpreter"), "{run:?}");
}

#[test]
fn a_missing_working_directory_fails_the_run_and_is_named() {
    let run = run_of("[command]\nargv = [\"true\"]\nworking_directory = \"/no/such/folder\"\n");
    let (_, kind, message) = failure(&run);
    assert!(kind == "spawn" && message.contains("/no/such/folder"), "{run:?}");
}

#[test]
fn a_command_that_ignores_sigterm_is_killed_after_its_grace() {
    let text = "timeout = \"300ms\"\n".to_owned() + &script("trap '' TERM; while :; do sleep 0.05; done");
    let run = run_of(&text);
    let (_, kind, message) = failure(&run);
    assert!(kind == "timeout" && message.contains("300ms"), "{run:?}");
    assert_eq!(run.signal, Some(9));
    let lasted = run.ended_at.unwrap() - run.started_at.unwrap();
    assert!(lasted >= 600, "TERM at 300 ms, KILL 300 ms later, not at {lasted}");
}

#[test]
fn a_command_that_heeds_sigterm_is_given_the_time_to() {
    let tidy = "trap 'sleep 0.1; echo tidied; exit 4' TERM; echo up; while :; do sleep 0.05; done";
    let run = run_of(&("timeout = \"300ms\"\nkill_grace = \"10s\"\n".to_owned() + &script(tidy)));
    assert_eq!((failure(&run).1, run.exit_code), ("timeout", Some(4)), "{run:?}");
    assert!(run.output.ends_with("tidied\n"), "{run:?}");
}

#[test]
fn after_a_timeout_nothing_of_the_command_s_group_lives_though_it_ignores_sigterm() {
    let forks =
        "for n in 1 2 3; do sh -c 'trap \"\" TERM; echo $$ >> pids; while :; do sleep 0.05; done' & done
        while :; do sleep 0.05; done";
    let edge_box = box_with(&("timeout = \"700ms\"\n".to_owned() + &script(forks)));
    let (_daemon, run) = run_once(&edge_box);
    assert_eq!(failure(&run).1, "timeout");
    let pids = edge_box.read("pids");
    assert_eq!(pids.lines().count(), 3, "its children had started");
    until("its children are gone", || !pids.lines().any(is_alive));
}

/// `HEARTBEAT_FLOOD_BYTES` in the environment is another size than 100 MB.
#[test]
fn a_flood_leaves_its_tail_and_no_memory() {
    let bytes = std::env::var("HEARTBEAT_FLOOD_BYTES").unwrap_or_else(|_| "100000000".to_owned());
    let flood = format!("head -c {bytes} /dev/zero | tr '\\0' x; printf '\\nthe end\\n'");
    let edge_box = box_with(&script(&flood));
    let daemon = edge_box.start();
    daemon.beat();
    // However long that takes: others are answered meanwhile.
    while edge_box.has_open_runs() {
        assert_eq!(daemon.get("/healthz").status, 200);
    }
    let run = edge_box.ended_run("it");
    assert_eq!(failure(&run).0, "success");
    assert!(run.output_truncated && run.output.ends_with("x\nthe end\n"), "{}", run.output.len());
    assert_eq!(run.output.len(), 16 * 1024);
    let peak_kib = daemon.proc_status("VmHWM");
    assert!(peak_kib < 48 * 1024, "{peak_kib} KiB");
}

#[test]
fn a_command_that_closes_its_output_runs_on() {
    let run = run_of(&script("exec >&- 2>&-; sleep 0.3; exit 3"));
    assert_eq!(run.exit_code, Some(3));
    assert!(run.ended_at.unwrap() - run.started_at.unwrap() >= 300);
}

#[test]
fn a_command_that_closes_everything_runs_on_to_its_end_or_its_timeout() {
    let run = run_of(&script("exec <&- >&- 2>&-; while [ ! -e ready ]; do : > ready; done; exit 3"));
    assert_eq!((run.exit_code, run.output.as_str()), (Some(3), ""));
    let run = run_of(&("timeout = \"300ms\"\n".to_owned() + &script("exec <&- >&- 2>&-; sleep 600")));
    assert_eq!(failure(&run).1, "timeout", "{run:?}");
}

#[test]
fn a_command_gets_its_stdin_text_and_then_its_end() {
    let long = "line\n".repeat(20_000);
    let run = run_of(&format!("[command]\nargv = [\"wc\", \"-c\"]\nstdin = '''{long}'''\n"));
    assert_eq!((run.status.as_str(), run.output.trim()), ("success", "100000"));
}

#[test]
fn a_command_without_stdin_text_reads_its_end_at_once() {
    let run = run_of("timeout = \"5s\"\n[command]\nargv = [\"cat\"]\n");
    assert_eq!((run.status.as_str(), run.output.as_str()), ("success", ""));
}

#[test]
fn a_command_that_never_reads_its_stdin_ends_as_it_likes() {
    let long = "line\n".repeat(20_000);
    let text = |script: &str| format!("[command]\nshell = true\nargv = \"{script}\"\nstdin = '''{long}'''\n");
    for (script, status) in [("sleep 0.2; exit 0", "success"), ("exec <&-; sleep 0.2", "success")] {
        assert_eq!(run_of(&text(script)).status, status, "{script}");
    }
}

#[test]
fn output_that_is_no_utf8_is_made_printable() {
    let run = run_of(&script("printf 'caf\\351 \\000 \\033[31m\\303\\244\\n'"));
    assert_eq!(run.output, "caf\u{fffd} \u{fffd} \u{fffd}[31mä\n");
}

#[test]
fn a_grandchild_that_holds_stdout_does_not_hold_up_the_run() {
    let edge_box = box_with(&script("sleep 60 & echo $! > grandchild; echo done"));
    let (_daemon, run) = run_once(&edge_box);
    assert_eq!((run.status.as_str(), run.output.as_str()), ("success", "done\n"));
    let lasted = run.ended_at.unwrap() - run.started_at.unwrap();
    assert!(lasted < 10_000, "{lasted} ms");
    let grandchild = edge_box.read("grandchild").trim().parse().ok().and_then(Pid::from_raw).unwrap();
    let _gone_already = kill_process(grandchild, Signal::KILL);
}

#[test]
fn a_command_s_environment_is_exactly_what_is_named() {
    let text =
        "[command]\nargv = [\"env\"]\ninherit = [\"TZ\", \"NOT_SET\"]\nenvironment = { COLOUR = \"blue\" }\n";
    let edge_box = box_with(text);
    let daemon = Daemon::start(&edge_box, |command| {
        command.env("TZ", "Europe/Berlin").env("SOMETHING", "else").env("HEARTBEATD_LOG__LEVEL", "debug");
        command.env("HEARTBEAT_FLOW", "forged").env("HOME", "/root");
    });
    let answer = daemon.beat_and_wait();
    let run = edge_box.ended_run("it");
    let mut found: Vec<&str> = run.output.lines().collect();
    found.sort_unstable();
    let instance = found.iter().find_map(|line| line.strip_prefix("HEARTBEAT_INSTANCE=")).unwrap_or_default();
    assert!(instance.len() >= 32, "{found:?}");
    let scheduled_at = heartbeat_runtime::time::Wall::from_millis(run.scheduled_at).rfc3339();
    let mut expected = vec![
        "COLOUR=blue".to_owned(),
        "HEARTBEAT_ATTEMPT=1".to_owned(),
        "HEARTBEAT_FLOW=it".to_owned(),
        format!("HEARTBEAT_ID={}", answer.json()["heartbeat_id"].as_str().unwrap()),
        format!("HEARTBEAT_INSTANCE={instance}"),
        format!("HEARTBEAT_RUN_ID={}", run.id),
        format!("HEARTBEAT_SCHEDULED_AT={scheduled_at}"),
        "PATH=/usr/local/bin:/usr/bin:/bin".to_owned(),
        "TZ=Europe/Berlin".to_owned(),
    ];
    expected.sort_unstable();
    assert_eq!(found, expected);
}

#[test]
fn a_value_that_is_inherited_reaches_the_command_byte_by_byte() {
    let edge_box = box_with(
        "[command]\nshell = true\ninherit = [\"PLACE\"]\nargv = 'printf %s \"$PLACE\" | od -An -tx1'\n",
    );
    let daemon = Daemon::start(&edge_box, |command| {
        command.env("PLACE", OsStr::from_bytes(b"caf\xe9"));
    });
    daemon.beat_and_wait();
    assert_eq!(edge_box.ended_run("it").output.trim(), "63 61 66 e9");
}

#[test]
fn no_descriptor_of_the_daemon_reaches_a_command_not_even_one_that_it_inherited() {
    let edge_box = box_with("[command]\nargv = [\"ls\", \"-l\", \"/proc/self/fd\"]\n");
    edge_box.write("of-the-parent", "");
    let inherited = File::open(edge_box.path("of-the-parent")).unwrap();
    fcntl_setfd(&inherited, FdFlags::empty()).unwrap();
    let (daemon, run) = run_once(&edge_box);
    let in_the_daemon = std::fs::read_link(format!("/proc/{}/fd/{}", daemon.pid(), inherited.as_raw_fd()));
    if let Ok(target) = in_the_daemon {
        assert!(target.ends_with("of-the-parent"), "the daemon inherited it: {target:?}");
    }
    let descriptors: Vec<&str> = run.output.lines().filter(|line| line.contains(" -> ")).collect();
    let target = |number: &str| {
        let arrow = format!(" {number} -> ");
        descriptors.iter().find_map(|line| Some(line.split_once(&arrow)?.1)).unwrap_or_default()
    };
    assert_eq!(descriptors.len(), 4, "standard streams and the folder that ls reads: {}", run.output);
    assert_eq!(target("0"), "/dev/null");
    assert!(target("1").starts_with("pipe:") && target("1") == target("2"), "{}", run.output);
    assert!(target("3").starts_with("/proc/"), "{}", run.output);
}

#[test]
fn a_command_leads_a_process_group_of_its_own() {
    let run = run_of(&script("read pid name state parent group rest < /proc/$$/stat; echo $pid $group"));
    let (pid, group) = run.output.trim().split_once(' ').unwrap();
    assert_eq!(pid, group);
}

#[test]
fn a_command_starts_in_the_configuration_s_folder_unless_told_otherwise() {
    let edge_box = box_with("[command]\nargv = [\"pwd\"]\n");
    let (_daemon, run) = run_once(&edge_box);
    assert_eq!(run.output.trim(), edge_box.path("").to_str().unwrap().trim_end_matches('/'));
    assert_eq!(run_of("[command]\nargv = [\"pwd\"]\nworking_directory = \"/\"\n").output, "/\n");
}

#[test]
fn one_flow_s_failure_stops_no_other() {
    let edge_box = EdgeBox::new();
    edge_box.script("bad", "", "exit 1");
    edge_box.flow("missing", "[command]\nargv = [\"/no/such/program\"]\n");
    edge_box.script("good", "", "echo fine");
    let daemon = edge_box.start();
    let answer = daemon.beat_and_wait();
    let counts = ["flows_due", "flows_triggered", "flows_skipped", "flows_deferred"];
    assert_eq!(counts.map(|name| answer.count(name)), [3, 3, 0, 0]);
    let statuses: Vec<_> = edge_box.runs().into_iter().map(|run| (run.flow, run.status)).collect();
    for (flow, status) in [("bad", "failed"), ("missing", "failed"), ("good", "success")] {
        assert!(statuses.contains(&(flow.to_owned(), status.to_owned())), "{statuses:?}");
    }
}
