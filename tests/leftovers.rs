//! What a run leaves behind is ended, however it tries to get away, and its flow does not run again before it is gone;
//! nobody else is ever signalled.
#![expect(clippy::unwrap_used, reason = "the helpers of a test may fail it")]

mod support;

use rustix::process::{Pid, Signal, kill_process};
use std::process::{Command, Stdio};
use support::daemon::Daemon;
use support::operator::Operator;
use support::tools::{can_run, run_through};
use support::{EdgeBox, is_alive, until};

/// A box whose daemon has little patience.
fn a_box() -> EdgeBox {
    let edge_box = EdgeBox::new();
    edge_box.configure("kill_grace = \"300ms\"\n");
    edge_box.write("pids", "");
    edge_box
}

fn pids(edge_box: &EdgeBox) -> Vec<String> {
    edge_box.read("pids").lines().map(str::to_owned).collect()
}

fn until_written(edge_box: &EdgeBox, count: usize) {
    until("its processes have started", || pids(edge_box).len() >= count);
}

fn until_all_are_gone(edge_box: &EdgeBox) {
    until("nothing of it lives", || !pids(edge_box).iter().any(|pid| is_alive(pid)));
}

/// Whether the daemon has a child that nobody reaped.
fn has_zombies(daemon: &Daemon) -> bool {
    let children =
        std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", daemon.pid())).unwrap_or_default();
    children.split_whitespace().any(|child| !is_alive(child))
}

/// A process that writes its number and goes on for a minute, as a shell's background job.
const STAYS: &str = "sh -c 'echo $$ >> pids; exec sleep 60'";
/// The same, and TERM does not end it.
const STUBBORN: &str = "sh -c 'trap \"\" TERM; echo $$ >> pids; while :; do sleep 0.05; done'";

/// The run succeeds at once; what it leaves behind is ended.
fn is_ended(script: &str, count: usize) {
    let edge_box = a_box();
    edge_box.script("it", "", script);
    let daemon = edge_box.start();
    daemon.beat();
    until_written(&edge_box, count);
    let run = edge_box.ended_run("it");
    assert_eq!(run.error_message, None, "{script}");
    until_all_are_gone(&edge_box);
    until("none of it stays a zombie", || !has_zombies(&daemon));
}

/// The script ends once so many processes wrote their number.
fn and_ends(script: &str, count: usize) -> String {
    format!("{script}\nwhile [ $(wc -l < pids) -lt {count} ]; do sleep 0.01; done")
}

#[test]
fn a_background_process_is_ended_when_the_run_ends() {
    is_ended(&and_ends(&format!("{STAYS} &"), 1), 1);
}

#[test]
fn a_process_in_a_session_of_its_own_is_ended() {
    is_ended(&and_ends(&format!("setsid {STAYS} &"), 1), 1);
}

#[test]
fn a_process_that_forked_twice_and_left_its_session_is_ended() {
    is_ended(&and_ends(&format!("(setsid sh -c \"setsid {} & exit 0\" &)", STAYS.replace('$', "\\$")), 1), 1);
}

#[test]
fn a_process_that_ignores_sigterm_is_killed_after_its_grace() {
    is_ended(&and_ends(&format!("setsid {STUBBORN} &"), 1), 1);
}

#[test]
fn a_process_without_an_environment_is_known_by_its_group() {
    is_ended(&and_ends(&format!("env -i {STAYS} &"), 1), 1);
}

#[test]
fn a_process_that_forks_when_it_is_told_to_end_does_not_get_away() {
    let edge_box = EdgeBox::new();
    edge_box.configure("kill_grace = \"2s\"\n");
    edge_box.write("pids", "");
    // It ignores SIGTERM, so that it has the time to tell its number.
    edge_box.write("newcomer", "trap '' TERM; echo $$ >> pids; while :; do sleep 0.05; done");
    let told = "on_term() { trap '' TERM; setsid sh ./newcomer & exit; }
        trap on_term TERM; echo $$ >> pids; while :; do sleep 0.05; done";
    edge_box.write("told", told);
    edge_box.script("it", "", &and_ends("setsid sh ./told &", 1));
    let daemon = edge_box.start();
    daemon.beat();
    until_written(&edge_box, 2);
    until_all_are_gone(&edge_box);
    drop(daemon);
}

#[test]
fn a_chain_of_processes_whose_parents_die_one_after_the_other_is_ended_link_by_link() {
    let chain = "cat > link <<'END'
echo $$ >> pids
[ $1 -gt 0 ] && setsid sh ./link $(($1 - 1)) &
sleep 60 & wait
END
setsid sh ./link 4 &";
    is_ended(&and_ends(chain, 5), 5);
}

#[test]
fn after_a_timeout_nothing_lives_on_though_it_has_a_session_of_its_own_and_no_environment() {
    for escape in ["setsid", "env -i setsid"] {
        let edge_box = a_box();
        let script = format!("{escape} {STUBBORN} &\n{STUBBORN}");
        edge_box.script("it", "timeout = \"600ms\"\n", &script);
        let daemon = edge_box.start();
        daemon.beat();
        until_written(&edge_box, 2);
        assert_eq!(edge_box.ended_run("it").error_kind.as_deref(), Some("timeout"), "{escape}");
        until_all_are_gone(&edge_box);
    }
}

#[test]
fn after_a_cancel_nothing_lives_on_however_it_tried_to_get_away() {
    for escape in ["setsid", "env -i setsid", "(setsid", "trap '' TERM;"] {
        let edge_box = a_box();
        let end = if escape.starts_with('(') { " &)" } else { " &" };
        edge_box.script("it", "", &format!("{escape} {STUBBORN}{end}\n{STUBBORN}"));
        let daemon = edge_box.start();
        daemon.beat();
        until_written(&edge_box, 2);
        let cancelled = Operator::of(&edge_box).ask("POST /runs/1/cancel");
        assert!([200, 202].contains(&cancelled.status), "{cancelled:?}");
        assert_eq!(daemon.beat().status, 200, "nobody waits for it");
        assert_eq!(edge_box.ended_run("it").error_kind.as_deref(), Some("cancelled"), "{escape}");
        until_all_are_gone(&edge_box);
    }
}

#[test]
fn a_flow_does_not_run_again_while_something_of_its_last_run_lives_but_the_run_has_ended() {
    let edge_box = a_box();
    let overlap = "for pid in $(cat pids); do [ -d /proc/$pid ] && grep -qs . /proc/$pid/cmdline && echo $pid >> OVERLAP; done";
    let script = format!("{overlap}\necho $$ >> runs\nsetsid {STUBBORN} &\nsleep 0.2");
    edge_box.script("it", "run_interval = \"1s\"\nkill_grace = \"1500ms\"\n", &script);
    let daemon = edge_box.start();
    let runs = || edge_box.read("runs").lines().count();
    let mut ended_while_something_lived = false;
    until("it has run three times", || {
        daemon.beat();
        let lives = pids(&edge_box).iter().any(|pid| is_alive(pid));
        ended_while_something_lived |=
            lives && edge_box.number("SELECT count(*) FROM data_flow_runs WHERE status = 'in_progress'") == 0;
        runs() >= 3
    });
    assert!(ended_while_something_lived, "a run ends with its own process");
    assert_eq!(edge_box.read("OVERLAP"), "");
}

#[test]
fn other_flows_run_and_callers_are_served_while_leftovers_are_being_ended() {
    let edge_box = a_box();
    edge_box.script("stubborn", "kill_grace = \"20s\"\n", &and_ends(&format!("setsid {STUBBORN} &"), 1));
    edge_box.script("other", "run_interval = \"1s\"\n", "echo ran >> others");
    let daemon = edge_box.start();
    daemon.beat();
    assert_eq!(edge_box.ended_run("stubborn").error_message, None);
    until("the other runs again", || {
        daemon.beat();
        edge_box.read("others").lines().count() >= 2
    });
    assert!(pids(&edge_box).iter().all(|pid| is_alive(pid)), "it has its grace");
}

#[test]
fn a_flow_that_means_it_may_leave_a_service_behind() {
    let edge_box = a_box();
    edge_box.script(
        "it",
        "leftovers = \"leave\"\nrun_interval = \"1s\"\n",
        &and_ends(&format!("setsid {STAYS} &"), 1),
    );
    let mut daemon = edge_box.start();
    assert_eq!(daemon.beat().count("flows_triggered"), 1);
    assert_eq!(edge_box.ended_run("it").error_message, None);
    let service = pids(&edge_box)[0].clone();
    until("its flow is not locked", || daemon.beat_and_wait().count("flows_triggered") == 1);
    assert!(is_alive(&service));
    // Neither the end of the daemon nor the start of the next one is the service's.
    daemon.kill();
    let mut daemon = edge_box.start();
    daemon.beat_and_wait();
    assert!(is_alive(&service), "{}", daemon.log());
    assert!(daemon.stop().success());
    assert!(is_alive(&service));
    for pid in pids(&edge_box) {
        let _gone_already = kill_process(number(&pid), Signal::KILL);
    }
}

fn number(pid: &str) -> Pid {
    pid.trim().parse().ok().and_then(Pid::from_raw).unwrap()
}

#[test]
fn nothing_of_a_run_outlives_the_daemon_s_orderly_end() {
    let edge_box = EdgeBox::new();
    edge_box.configure("kill_grace = \"500ms\"\nshutdown_timeout = \"100ms\"\n");
    edge_box.write("pids", "");
    let script = format!("setsid {STUBBORN} &\n(setsid {STUBBORN} &)\n{STUBBORN}");
    edge_box.script("goes-on", "", &script);
    edge_box.script("is-over", "kill_grace = \"1h\"\n", &format!("setsid {STUBBORN} &\nsleep 0.1"));
    let mut daemon = edge_box.start();
    daemon.beat();
    until_written(&edge_box, 4);
    edge_box.ended_run("is-over");
    assert!(daemon.stop().success(), "{}", daemon.log());
    let alive: Vec<_> = pids(&edge_box).into_iter().filter(|pid| is_alive(pid)).collect();
    assert_eq!(alive, [""; 0], "{}", daemon.log());
}

#[test]
fn an_adopted_process_that_ends_by_itself_while_its_run_goes_on_is_reaped_and_costs_the_run_nothing() {
    let edge_box = a_box();
    let forks = "for n in 1 2 3 4 5 6 7 8; do (setsid sh -c 'echo $$ >> pids; exit 5' &); done";
    edge_box.script(
        "it",
        "",
        &format!("{}\nwhile [ ! -e go ]; do sleep 0.02; done; exit 3", and_ends(forks, 8)),
    );
    let daemon = edge_box.start();
    daemon.beat();
    until_written(&edge_box, 8);
    until("all are reaped", || !has_zombies(&daemon));
    edge_box.write("go", "");
    assert_eq!(edge_box.ended_run("it").exit_code, Some(3));
}

#[test]
fn a_process_that_a_run_in_progress_detached_is_not_touched_when_other_runs_end() {
    let edge_box = a_box();
    edge_box.script("detaches", "", &format!("(setsid {STAYS} &)\nwhile [ ! -e go ]; do sleep 0.02; done"));
    edge_box.script("other", "run_interval = \"1s\"\n", "echo ran >> others");
    let daemon = edge_box.start();
    until("the other has run twice", || {
        daemon.beat();
        edge_box.read("others").lines().count() >= 2
    });
    until_written(&edge_box, 1);
    assert!(pids(&edge_box).iter().all(|pid| is_alive(pid)));
    edge_box.write("go", "");
    assert_eq!(edge_box.ended_run("detaches").error_message, None);
    until_all_are_gone(&edge_box);
}

// --- After a crash ----------------------------------------------------------------------------------------------

#[test]
fn what_cleared_its_environment_is_known_after_a_crash_by_its_recorded_group() {
    let edge_box = a_box();
    // The leader itself clears its environment, and so does a member of its group.
    edge_box.script("it", "", &format!("env -i {STAYS} &\nexec env -i {STAYS}"));
    let mut daemon = edge_box.start();
    daemon.beat();
    until_written(&edge_box, 2);
    daemon.kill();
    assert!(pids(&edge_box).iter().all(|pid| is_alive(pid)));
    let daemon = edge_box.start();
    until_all_are_gone(&edge_box);
    assert!(daemon.log().contains("outlived an earlier daemon"));
}

#[test]
fn leftovers_that_were_being_ended_when_the_daemon_crashed_are_ended_by_the_next() {
    let edge_box = a_box();
    edge_box.script("it", "kill_grace = \"1h\"\n", &and_ends(&format!("env -i {STUBBORN} &"), 1));
    let mut daemon = edge_box.start();
    daemon.beat();
    edge_box.ended_run("it");
    daemon.kill();
    let stubborn = pids(&edge_box)[0].clone();
    assert!(is_alive(&stubborn));
    edge_box.edit("UPDATE data_flows SET next_run_at = 1");
    edge_box.script("it", "", &format!("grep -qs . /proc/{stubborn}/cmdline && echo overlap >> OVERLAP"));
    let daemon = edge_box.start();
    daemon.beat();
    until("it ran again", || edge_box.runs().iter().filter(|run| run.ended_at.is_some()).count() == 2);
    assert!(!is_alive(&stubborn));
    assert_eq!(edge_box.read("OVERLAP"), "");
}

/// A process that is none of the box's, in a session and group of its own.
fn stranger() -> std::process::Child {
    let mut command = Command::new("setsid");
    command.args(["--wait", "sleep", "60"]).stdin(Stdio::null());
    command.spawn().unwrap()
}

fn stat_field(pid: u32, field: usize) -> String {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, rest) = stat.rsplit_once(") ").unwrap();
    rest.split_whitespace().nth(field - 3).unwrap().to_owned()
}

/// The side file that a daemon leaves which is killed while a run goes on: its first line, the run, and the lines.
fn side_file_of_a_crash(edge_box: &EdgeBox) -> (String, i64) {
    edge_box.script("it", "", &format!("exec {STAYS}"));
    let mut daemon = edge_box.start();
    daemon.beat();
    until_written(edge_box, 1);
    daemon.kill();
    let text = edge_box.read("heartbeat.db.children");
    let first = text.lines().next().unwrap().to_owned();
    (first, edge_box.runs()[0].id)
}

#[test]
fn a_stranger_whose_number_is_on_record_lives_where_its_start_or_the_system_s_start_is_another() {
    let edge_box = a_box();
    let (first, run) = side_file_of_a_crash(&edge_box);
    let mut stranger = stranger();
    let pid = stranger.id();
    let (session, started_at) = (stat_field(pid, 6), stat_field(pid, 22));
    let (of_database, _boot) = first.rsplit_once(' ').unwrap();
    for forged in [
        format!("{first}\nspawn {run}\nstarted {run} {pid} {session} 1 1\n"),
        format!(
            "{of_database} another-start\nspawn {run}\nstarted {run} {pid} {session} {started_at} {started_at}\n"
        ),
        format!(
            "heartbeatd-children 1 another {pid}\nstarted {run} {pid} {session} {started_at} {started_at}\n"
        ),
        "\0\0\0\0garbage".to_owned(),
    ] {
        edge_box.write("heartbeat.db.children", &forged);
        let mut daemon = edge_box.start();
        until_all_are_gone(&edge_box);
        daemon.beat();
        assert!(is_alive(&pid.to_string()), "{forged}");
        daemon.kill();
        assert!(is_alive(&pid.to_string()), "{forged}");
    }
    // The same where all of it is right: otherwise nothing was shown.
    edge_box.write(
        "heartbeat.db.children",
        format!("{first}\nspawn {run}\nstarted {run} {pid} {session} {started_at} {started_at}\n"),
    );
    let _daemon = edge_box.start();
    until("what is on record is ended", || stranger.try_wait().unwrap().is_some());
}

#[test]
fn a_damaged_side_file_is_told_of_and_costs_nothing_else() {
    let edge_box = a_box();
    side_file_of_a_crash(&edge_box);
    edge_box.write("heartbeat.db.children", "\0\0\0\0garbage");
    let daemon = edge_box.start();
    daemon.until_logged("is damaged");
    until_all_are_gone(&edge_box);
    assert_eq!(edge_box.ended_run("it").error_kind.as_deref(), Some("interrupted"));
}

#[test]
fn the_side_file_is_empty_when_nothing_runs() {
    let edge_box = a_box();
    edge_box.script("it", "run_interval = \"1s\"\n", "true");
    let daemon = edge_box.start();
    daemon.beat_and_wait();
    until("it holds its first line", || edge_box.read("heartbeat.db.children").lines().count() == 1);
}

#[test]
fn a_run_that_was_recorded_and_never_started_runs_after_the_crash() {
    let edge_box = a_box();
    edge_box.script("it", "", "echo ran >> effects");
    // The state that a crash leaves between the record and the start: the file tells of no start.
    let mut daemon = edge_box.start();
    daemon.kill();
    edge_box.edit(
        "INSERT INTO data_flow_runs (data_flow_id, status, scheduled_at, created_at, updated_at)
             SELECT id, 'pending', 1, 1, 1 FROM data_flows;
         UPDATE data_flow_runs SET status = 'in_progress', started_at = 1",
    );
    let _daemon = edge_box.start();
    until("it ran", || edge_box.read("effects").lines().count() == 1);
    let kinds: Vec<_> = edge_box.runs().into_iter().map(|run| run.error_kind).collect();
    assert_eq!(kinds[0].as_deref(), Some("interrupted"));
    assert_eq!(kinds.len(), 2);
}

#[test]
fn a_run_that_was_started_is_not_taken_for_one_that_was_not() {
    let edge_box = a_box();
    side_file_of_a_crash(&edge_box);
    let _daemon = edge_box.start();
    until_all_are_gone(&edge_box);
    assert_eq!(edge_box.runs().len(), 1, "a command is not run again by itself");
}

#[test]
fn sixteen_short_runs_at_a_time_never_make_the_daemon_read_the_list_of_all_processes() {
    if !can_run("strace", &["-D", "-o", "/dev/null", "true"]) {
        return;
    }
    let edge_box = EdgeBox::new();
    edge_box.configure("max_concurrent_runs = 16\n");
    for number in 0..16 {
        edge_box.flow(&format!("short-{number}"), "[command]\nargv = [\"/bin/true\"]\n");
    }
    let trace = edge_box.path("trace");
    let mut daemon = Daemon::start(&edge_box, |command| {
        let trace = trace.to_str().unwrap();
        run_through(command, "strace", &["-D", "-o", trace, "-e", "trace=openat"]);
    });
    daemon.beat_and_wait();
    daemon.stop();
    let trace = edge_box.read("trace");
    let opened = |name: &str| trace.matches(name).count();
    // Once for all that end in a round.
    assert!(opened("/task/") >= 1, "it looks at its own children: {trace}");
    assert_eq!(opened("\"/proc\","), 1, "once, at the start: {trace}");
}

#[test]
fn a_survivor_that_has_ended_and_that_nobody_reaps_holds_nothing_up() {
    let edge_box = a_box();
    edge_box.script("it", "", &format!("exec {STAYS}"));
    let mut daemon = edge_box.start();
    daemon.beat();
    until_written(&edge_box, 1);
    // We are the parent of what the daemon leaves, and a bad one.
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).unwrap();
    daemon.kill();
    edge_box.edit("UPDATE data_flows SET next_run_at = 1");
    edge_box.script("it", "", "echo ran >> effects");
    let daemon = edge_box.start();
    daemon.beat();
    until("its flow runs again", || !edge_box.read("effects").is_empty());
    rustix::process::set_child_subreaper(None).unwrap();
    assert_eq!(daemon.log().matches("outlived an earlier daemon").count(), 1, "{}", daemon.log());
}

#[test]
fn in_a_namespace_whose_session_began_outside_of_it_a_run_leaves_nothing_behind_either() {
    let in_it = ["--pid", "--mount-proc", "--fork", "--kill-child"];
    if !can_run("unshare", &[&in_it[..], &["true"]].concat()) {
        return;
    }
    let edge_box = a_box();
    // Its processes have other numbers here; so the run after it looks for them.
    let look = "for pid in $(cat pids); do ! kill -0 $pid || exit 7; done; : > pids";
    let script = and_ends(&format!("{look}\n{STAYS} &\nsetsid {STAYS} &"), 2);
    edge_box.script("it", "run_interval = \"1s\"\n", &script);
    let daemon = Daemon::start(&edge_box, |command| run_through(command, "unshare", &in_it));
    until("it has run twice", || {
        daemon.beat_and_wait();
        edge_box.runs().iter().filter(|run| run.status == "success").count() >= 2
    });
    assert!(edge_box.runs().iter().all(|run| run.error_message.is_none()), "{:?}", edge_box.runs());
}
