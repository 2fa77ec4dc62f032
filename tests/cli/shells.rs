//! `completions` and `man`, as the shells and the readers of manual pages themselves take them.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::skipped::tell_skipped;
use crate::support::Box;

/// Whether a program is here. A machine without it leaves that test out, and says so.
pub(crate) fn is_here(program: &str) -> bool {
    let is_here = Command::new("sh").args(["-c", &format!("command -v {program}")]).output();
    let is_here = is_here.is_ok_and(|output| output.status.success());
    if !is_here {
        tell_skipped(&format!("`{program}` is not installed"));
    }
    is_here
}

/// A program in the box's folder, with `heartbeatd` on its path.
fn program(new: &Box, name: &str) -> Command {
    let folder = Path::new(env!("CARGO_BIN_EXE_heartbeatd")).parent().unwrap();
    let path = std::env::join_paths([folder, Path::new("/usr/bin"), Path::new("/bin")]).unwrap();
    let mut command = Command::new(name);
    command.current_dir(&new.folder).env("PATH", path).env("HOME", &new.folder).env("TERM", "dumb");
    command.env_remove("HEARTBEATD_CONFIG");
    command
}

/// A box with a flow that was added and has run.
fn with_flow(shell: &str) -> Box {
    let new = Box::new();
    std::fs::create_dir(new.path("its folder")).unwrap();
    new.write_flow("upload-readings.toml", "true");
    new.run(&["flow", "add", "upload-readings.toml"]).done();
    new.run(&["flow", "run", "upload-readings"]).done();
    new.write("completion", new.run(&["completions", shell]).done());
    let sound = program(&new, shell).args(["-n", "completion"]).output().unwrap();
    assert!(sound.status.success() && sound.stderr.is_empty(), "{sound:?}");
    new
}

/// Types into an interactive shell; a tab is a tab.
fn typed(new: &Box, shell: &str, keys: &str) -> String {
    new.write("keys", keys);
    let keys = std::fs::File::open(new.path("keys")).unwrap();
    let output = program(new, "script").args(["-qec", shell, "/dev/null"]).stdin(keys).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Completes a whole line, piece by piece, and runs it.
fn completes_a_line(shell: &str, interactive: &str, begin: &str) {
    if !is_here(shell) || !is_here("script") {
        return;
    }
    let new = with_flow(shell);
    // The file is the shell's to find; command, flag, flow and run are ours. Behind `~/` and in quotes it is found as well.
    let line = "heartbeatd --config heartbeatd.t\t --js\t flow sho\tupl\t> flow\n";
    let behind_tilde = "heartbeatd --config ~/heartbeatd.toml runs sho\t1 --jso\t> run\n";
    let in_quotes = "heartbeatd --config 'heartbeatd.toml' flow dis\tup\t\n";
    let behind_colon = "heartbeatd init --listen 127.0.0.1:8787 it\t\n";
    let shown =
        typed(&new, interactive, &format!("{begin}\n{line}{behind_tilde}{in_quotes}{behind_colon}exit\n"));
    let read = |name: &str| std::fs::read_to_string(new.path(name)).unwrap_or_default();
    assert!(read("flow").contains("\"name\":\"upload-readings\""), "{shown}");
    assert!(read("run").contains("\"flow\":\"upload-readings\""), "{shown}");
    assert!(new.run(&["flow", "list"]).done().contains("held"), "{shown}");
    assert!(new.path("its folder/heartbeatd.toml").exists(), "{shown}");
}

#[test]
fn bash_completes_commands_flags_files_and_flows() {
    completes_a_line("bash", "bash --norc --noprofile -i", "source completion");
}

#[test]
fn zsh_completes_commands_flags_files_and_flows() {
    completes_a_line("zsh", "zsh -f -i", "autoload -Uz compinit; compinit -u -D; source ./completion");
}

#[test]
fn fish_completes_commands_flags_files_and_flows() {
    if !is_here("fish") {
        return;
    }
    let new = with_flow("fish");
    let complete = |line: &str| {
        let script = format!("source completion; complete -C '{line}'");
        let output = program(&new, "fish").args(["--no-config", "-c", &script]).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert!(complete("heartbeatd be").starts_with("beat\tSend signed"));
    assert_eq!(complete("heartbeatd flow show u"), "upload-readings\n");
    assert_eq!(complete("heartbeatd --config ~/heartbeatd.toml flow show u"), "upload-readings\n");
    assert_eq!(complete("heartbeatd runs list --status=f"), "--status=failed\n");
    assert_eq!(complete("heartbeatd runs show "), "1\tupload-readings, pending\n");
    assert_eq!(complete("heartbeatd verify heartbeatd.t"), "heartbeatd.toml\n");
    assert!(complete("heartbeatd init it").starts_with("its folder/"));
    assert_eq!(complete("heartbeatd verify --secret-file=heartbeatd.t"), "--secret-file=heartbeatd.toml\n");
    assert!(complete("heartbeatd demo --dir=it").starts_with("--dir=its folder/"));
}

#[test]
fn a_shell_is_told_less_where_the_box_is_broken_and_never_an_error() {
    let new = Box::new();
    new.write("heartbeatd.toml", "nonsense = ");
    for line in [["flow", "show", ""], ["runs", "show", ""], ["flow", "gibberish", ""]] {
        let done = new.run(&[&["complete", "--", "heartbeatd"][..], &line].concat());
        assert_eq!((done.done(), done.err.as_str()), ("", ""), "{line:?}");
    }
    let broken =
        new.command(&["completions", "bash"]).env("HEARTBEATD_X", OsStr::from_bytes(b"\xff")).output();
    assert!(broken.unwrap().status.success());
    new.run(&["completions", "tcsh"]).refused(2);
}

#[test]
fn a_name_in_the_database_cannot_trick_a_shell() {
    let new = Box::new();
    let text = "name = \"x\"\ndescription = \"$(touch tricked)`touch tricked`\\u001b[2J; touch tricked\"\nrun_interval = \"1h\"\n[command]\nargv = [\"true\"]\n";
    new.write("x.toml", text);
    new.run(&["flow", "add", "x.toml"]).done();
    for (shell, interactive, begin) in [
        ("bash", "bash --norc --noprofile -i", "source completion"),
        ("zsh", "zsh -f -i", "autoload -Uz compinit; compinit -u -D; source ./completion"),
    ] {
        if is_here(shell) && is_here("script") {
            new.write("completion", new.run(&["completions", shell]).done());
            let shown = typed(
                &new,
                interactive,
                &format!("{begin}\nheartbeatd flow show \t\t > {shell}-out\nexit\n"),
            );
            assert!(
                std::fs::read_to_string(new.path(&format!("{shell}-out"))).is_ok_and(|out| out.contains("x"))
            );
            assert!(!shown.contains("\u{1b}[2J") && !new.path("tricked").exists(), "{shown}");
        }
    }
}

#[test]
fn the_manual_page_is_one_that_man_reads_without_a_complaint() {
    let new = Box::empty();
    let page = new.run(&["man"]);
    new.write("heartbeatd.1", page.done());
    let judges: [(&str, &[&str]); 3] = [
        ("mandoc", &["-Tlint", "-Wwarning", "heartbeatd.1"]),
        ("groff", &["-man", "-ww", "-z", "heartbeatd.1"]),
        ("man", &["--warnings", "-E", "UTF-8", "-l", "-P", "cat", "./heartbeatd.1"]),
    ];
    for (judge, arguments) in judges.into_iter().filter(|(judge, _)| is_here(judge)) {
        let judged = program(&new, judge).args(arguments).stdin(Stdio::null()).output().unwrap();
        assert!(judged.status.success() && judged.stderr.is_empty(), "{judge}: {judged:?}");
        assert!(judge != "mandoc" || judged.stdout.is_empty(), "{judge}: {judged:?}");
    }
    for part in
        ["NAME", "SYNOPSIS", "COMMANDS", "EXAMPLES", "EXIT STATUS", "ENVIRONMENT", "FILES", "SEE ALSO"]
    {
        assert!(page.out.contains(&format!("\n.SH {part}\n")), "{part}");
    }
}
