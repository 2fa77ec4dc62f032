//! The keys of a program that is started: those of `[command]`, and of a source or sink of the type `exec`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::document::Node;
use super::key::{Judge, Key, Presence};
use super::kind::{Arguments, Kind, resolved};
use super::size::format_size;
use crate::flow::{Command, ProcessLimits};
use crate::limits;

/// A program as written, each value right by itself.
#[derive(Debug, Default)]
pub(super) struct ProgramDraft {
    argv: Option<Arguments>,
    shell: bool,
    working_directory: Option<PathBuf>,
    environment: BTreeMap<String, String>,
    inherit: Vec<String>,
    environment_file: Option<PathBuf>,
    stdin: Option<String>,
    user: Option<String>,
    nice: Option<i32>,
    limits: ProcessLimits,
}

/// The keys of a program in this table, between others.
macro_rules! program_keys {
    ($table:literal, [$($first:expr,)*], [$($last:expr,)*]) => {
        &[
            $($first,)*
            Key {
                path: concat!($table, ".argv"),
                kind: Kind::Arguments(|d, v| d.argv = Some(v)),
                presence: Presence::Required(r#"["/usr/local/bin/upload", "--quick"]"#),
                doc: "Program and arguments. With a slash the program is found from this file's folder, else by PATH.",
            },
            Key {
                path: concat!($table, ".shell"),
                kind: Kind::Boolean(|d, v| d.shell = v),
                presence: Presence::Default("false"),
                doc: "true: argv is one text for /bin/sh -c.",
            },
            Key {
                path: concat!($table, ".working_directory"),
                kind: Kind::Path(|d, v| d.working_directory = Some(v)),
                presence: Presence::Optional(r#""/var/lib/upload""#),
                doc: "Where it starts; by default the folder of heartbeatd.toml.",
            },
            Key {
                path: concat!($table, ".environment"),
                kind: Kind::Variables(|d, v| d.environment = v),
                presence: Presence::Optional(r#"{ PATH = "/usr/bin:/bin" }"#),
                doc: "Its environment: nothing but this, what it inherits, and HEARTBEAT_FLOW and the like.",
            },
            Key {
                path: concat!($table, ".inherit"),
                kind: Kind::Names(|d, v| d.inherit = v),
                presence: Presence::Optional(r#"["TZ"]"#),
                doc: "Names taken from the daemon's own environment.",
            },
            Key {
                path: concat!($table, ".environment_file"),
                kind: Kind::Path(|d, v| d.environment_file = Some(v)),
                presence: Presence::Optional(r#""upload.env""#),
                doc: "A file that only you can read, with lines NAME=value: read at each start, never stored or shown. Its \
                      variables win over environment and inherit.",
            },
            Key {
                path: concat!($table, ".user"),
                kind: Kind::Text { set: |d, v| d.user = Some(v), bytes_max: limits::USER_NAME_BYTES_MAX },
                presence: Presence::Optional(r#""upload""#),
                doc: "The user that it runs as, by name or number, with that user's group and no other; only where the daemon \
                      is root.",
            },
            Key {
                path: concat!($table, ".nice"),
                kind: Kind::Signed { set: |d, v| d.nice = Some(v), min: -20, max: 19 },
                presence: Presence::Optional("10"),
                doc: "How much it gives way to others, from -20 to 19; less than the daemon's own needs root.",
            },
            Key {
                path: concat!($table, ".limits"),
                kind: Kind::ProcessLimits(|d, v| d.limits = v),
                presence: Presence::Optional(r#"{ memory = "256 MiB", files = 256, cpu = "10m" }"#),
                doc: "What it may use: memory (address space) and cpu (time) of each of its processes, files, and processes of \
                      its user (root is exempt).",
            },
            $($last,)*
        ]
    };
}

pub(super) static COMMAND_KEYS: &[Key<ProgramDraft>] = program_keys!(
    "command",
    [],
    [Key {
        path: "command.stdin",
        kind: Kind::Text { set: |d, v| d.stdin = Some(v), bytes_max: limits::STDIN_BYTES_MAX },
        presence: Presence::Optional(r#""text given to the command""#),
        doc: "Text for its standard input; without it that is empty.",
    },]
);

pub(super) static SOURCE_KEYS: &[Key<ProgramDraft>] = program_keys!(
    "source",
    [Key {
        path: "source.type",
        kind: Kind::Word { set: |_, _| {}, words: &["exec"] },
        presence: Presence::Required(r#""exec""#),
        doc: "Where records come from. \"exec\": a program that writes JSON lines, taken whole if its exit status is 0.",
    },],
    []
);

pub(super) static SINK_KEYS: &[Key<ProgramDraft>] = program_keys!(
    "sink",
    [Key {
        path: "sink.type",
        kind: Kind::Word { set: |_, _| {}, words: &["exec"] },
        presence: Presence::Required(r#""exec""#),
        doc: "Where records go. \"exec\": a program that reads JSON lines, and takes a batch by exit status 0.",
    },],
    []
);

/// Reads the table of a program.
pub(super) fn program(
    keys: &'static [Key<ProgramDraft>],
    table: &'static str,
    node: &Node,
    judge: &mut Judge<'_>,
) -> Option<Command> {
    let mut draft = ProgramDraft::default();
    let is_right = judge.read_table(keys, table, node, &mut draft);
    let argv = argv(table, &draft, judge)?;
    let ProgramDraft { shell, environment, inherit, environment_file, stdin, user, nice, limits, .. } = draft;
    let working_directory = draft.working_directory.unwrap_or_else(|| judge.working_directory.to_owned());
    if working_directory.to_str().is_none() {
        let help = "move the configuration and its flows to a folder whose name is UTF-8";
        judge.fault_of(&format!("{table}.working_directory"), "is not UTF-8", help);
        return None;
    }
    let command = Command {
        argv,
        shell,
        working_directory,
        environment,
        inherit,
        environment_file,
        stdin,
        user,
        nice,
        limits,
    };
    check_bounds(table, &command, judge);
    is_right.then_some(command)
}

/// Program and arguments, the program's path made absolute if it has a slash.
fn argv(table: &str, draft: &ProgramDraft, judge: &mut Judge<'_>) -> Option<Vec<String>> {
    let path = format!("{table}.argv");
    let path = path.as_str();
    let mut argv = match draft.argv.clone()? {
        Arguments::Line(line) if draft.shell => vec![line],
        Arguments::Line(line) => {
            let words = line.split_whitespace().take(8).map(|word| word.escape_debug().to_string());
            let list = words.collect::<Vec<_>>().join("\", \"");
            let help = match line.contains("whsec_") || line.len() > 200 {
                true => "give a list, or set shell = true".to_owned(),
                false => format!("give a list, such as argv = [\"{list}\"], or set shell = true"),
            };
            judge.fault_of(path, "is one text, which only a shell takes apart", help);
            return None;
        }
        Arguments::List(list) if draft.shell && list.len() > 1 => {
            judge.fault_of(
                path,
                "is a list, and shell = true",
                "give one text, such as argv = \"date >> log\"",
            );
            return None;
        }
        Arguments::List(list) => list,
    };
    let Some(program) = argv.first_mut().filter(|program| !program.trim().is_empty()) else {
        judge.fault_of(path, "names no program", "give it first, such as argv = [\"/usr/local/bin/upload\"]");
        return None;
    };
    if !draft.shell && program.contains('/') {
        match resolved(judge.base, Path::new(&*program)).into_os_string().into_string() {
            Ok(absolute) => *program = absolute,
            Err(_) => {
                let help = "move the flow file to a folder whose name is UTF-8";
                judge.fault_of(path, "stands in a folder whose name is not UTF-8", help);
                return None;
            }
        }
    }
    Some(argv)
}

fn check_bounds(table: &str, command: &Command, judge: &mut Judge<'_>) {
    let path = format!("{table}.argv");
    let (arguments, arguments_max) = (command.argv.len(), limits::ARGUMENTS_MAX);
    if arguments > arguments_max {
        let message = format!("has {arguments} items, more than {arguments_max}");
        judge.fault_of(&path, message, "give them in a file that the program reads");
    }
    // As execve(2) counts: each string with its NUL, each variable with its `=`.
    let argv_bytes: usize = command.argv.iter().map(|argument| argument.len() + 1).sum();
    let environment_bytes: usize =
        command.environment.iter().map(|(name, value)| name.len() + value.len() + 2).sum();
    let bytes = argv_bytes.saturating_add(environment_bytes);
    if bytes > limits::COMMAND_BYTES_MAX {
        let limit = format_size(limits::COMMAND_BYTES_MAX);
        let message = format!("and environment have {bytes} bytes together, more than {limit}");
        judge.fault_of(&path, message, "give the text in a file that the program reads");
    }
}
