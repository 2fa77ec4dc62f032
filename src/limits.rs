//! Every bound of the program: its unit, why it has this value, and where the value comes from.
//!
//! A bound that an operator may move is a default here and a key in `heartbeatd.toml`; the others are fixed.
//! Depends on nothing.

mod crowd;
mod turns;

use std::time::Duration;

pub use crowd::*;
pub use turns::*;

/// A wall clock that reads earlier than this has never been set: boxes have no battery-backed clock and start
/// in 1970. Milliseconds since 1970 UTC; 2025-01-01T00:00:00Z. Moved at a release, never taken from the build.
pub const RELEASE_EPOCH_MS: i64 = 1_735_689_600_000;

// --- HTTP (RFC 9112), the heartbeat port -------------------------------------------------------------------

/// Request line and fields together, in bytes.
pub const HEAD_BYTES_DEFAULT: usize = 16 * 1024;
/// Fields in one request.
pub const HEADERS_DEFAULT: usize = 64;
/// The most fields an operator may allow: the parser's table is on the stack.
pub const HEADERS_MAX: usize = 256;
/// A request target, in bytes; longer is 414. RFC 9112 section 3 asks for at least 8,000 octets.
pub const TARGET_BYTES_MAX: usize = 8 * 1024;
/// A request's content, in bytes.
pub const BODY_BYTES_DEFAULT: usize = 64 * 1024;
/// The line that announces a chunk, extensions included, in bytes: an extension has no use here.
pub const CHUNK_LINE_BYTES_MAX: usize = 256;
/// Connections open at once.
pub const CONNECTIONS_DEFAULT: usize = 256;
/// Connections open at once from one address.
pub const CONNECTIONS_PER_ADDRESS_DEFAULT: usize = 64;
/// From accept, or from the end of the last answer's request, to the end of the head.
pub const HEAD_TIMEOUT_DEFAULT: Duration = Duration::from_secs(5);
/// From the end of the head to the end of the content.
pub const BODY_TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);
/// Between requests on a kept connection, and for a peer that does not read its answer.
pub const IDLE_TIMEOUT_DEFAULT: Duration = Duration::from_secs(60);
/// The longest that `Prefer: wait=N` (RFC 7240) holds an answer.
pub const WAIT_DEFAULT: Duration = Duration::from_secs(60);

/// Connections of the status port open at once: a Prometheus or two, and a few browsers with several each. They cannot be
/// crowded out by callers, nor crowd them out.
pub const STATUS_CONNECTIONS_MAX: usize = 32;
/// How many of them may watch, each a page that is open and seen: the others are for pages and Prometheus.
pub const WATCHERS_MAX: usize = 24;
/// Those who watch are told no more often: a page is for people.
pub const EVENTS_EVERY: Duration = Duration::from_secs(1);
/// After so long without an event they are sent a comment, which shows who is gone: proxies close after a minute.
pub const EVENTS_SILENCE_MAX: Duration = Duration::from_secs(20);
/// What one who watches has yet to take when it is told more; past it, it is closed. In bytes: twice what the last heartbeats
/// of all agents measure.
pub const WATCHER_UNSENT_BYTES_MAX: usize = 8 * 1024;
/// What the kernel holds for one who watches, in bytes, as socket(7) counts them: it would take megabytes, which is hours
/// of events for nobody.
pub const WATCHER_SEND_BUFFER_BYTES: usize = 4 * 1024;
/// Flows on one page of the status page: with its style, its script and all of its words it stays below
/// [`PAGE_BYTES_MAX`], whatever the flows are.
pub const FLOWS_PER_PAGE: usize = 20;
/// What there must be room for, in bytes, so that a flow's row in the list has all that it may have.
pub const ROW_BYTES_ROOMY: usize = 2400;
/// What a page may measure, in bytes, but for what a run wrote and how it is defined, which the pages of one are about.
pub const PAGE_BYTES_MAX: usize = 60 * 1024;
/// Runs of a flow that its strip, its plot and its median are made of: a flow with one in each part of an axis of 24 hours,
/// and more than there are by default.
pub const MARKS_MAX: usize = 200;
/// Runs of a flow on one page of them: with all else that the flow's page shows they stay below [`PAGE_BYTES_MAX`].
pub const RUNS_PER_PAGE: usize = 50;
/// Runs that are looked at for one page of them, where a filter finds few: a millisecond's work. The page says where to go on.
pub const RUNS_LOOKED_AT_MAX: usize = 2000;
/// The end of the last failed run's output on its flow's page, in bytes: a screen of it. The run's own page has all.
pub const LAST_TAIL_SHOWN_BYTES: usize = 2048;
/// A flow's definition as its page shows it, in bytes; a command's standard input alone may have four times as much.
pub const DEFINITION_SHOWN_BYTES: usize = 32 * 1024;
/// The least wait of a run that is told: heartbeats come no more often.
pub const WAIT_TOLD: Duration = Duration::from_secs(1);
/// Runs of a flow that the list of flows reads of it, though they are older than 24 hours: enough for a median.
pub const MARKS_MIN: usize = 25;
/// The end of a failed run's output in the list of flows, in bytes: some lines.
pub const TAIL_SHOWN_BYTES: usize = 400;
/// The same of its error.
pub const ERROR_SHOWN_BYTES: usize = 240;
/// The beginning of a flow's description in the list of flows, in bytes: a line or two.
pub const DESCRIPTION_SHOWN_BYTES: usize = 120;
/// The beginning of what a banner tells, in bytes: a fault with its file, line and key.
pub const BANNER_SHOWN_BYTES: usize = 400;
/// Of how many failing flows that end is shown unfolded.
pub const TAILS_UNFOLDED: usize = 3;
/// Faults of flow files that each page names.
pub const BANNERS_MAX: usize = 3;
/// Since when a flow is due and was not run, before that counts as a problem, unless `no_heartbeat_for` is longer: agents beat
/// more often.
pub const OVERDUE_AFTER: Duration = Duration::from_mins(15);
/// A disk is nearly full when less than one part in so many is free there, ...
pub const DISK_LOW_PART: u64 = 20;
/// ... and less than this, in bytes: twice what the database may grow to by default, so that a large disk is not called full.
pub const DISK_LOW_BYTES: u64 = 2 * DATABASE_BYTES_DEFAULT as u64;
/// Names under `[status] hosts`: those of a box and of what stands before it.
pub const STATUS_HOSTS_MAX: usize = 64;
/// A host's name, in bytes (RFC 1035 section 2.3.4, as text).
pub const HOST_NAME_BYTES_MAX: usize = 253;
/// Flows that have series of their own in `/metrics`; the others are summed up. Each has about 15, and all of them are
/// written in one round of the loop, which takes a few milliseconds.
pub const METRICS_FLOWS_MAX: usize = 500;

/// Entries of `X-Forwarded-For` that are looked at, over all fields: more proxies in a row are a loop or an attack.
pub const FORWARDED_HOPS_MAX: usize = 32;

// --- HTTP, as a client ---------------------------------------------------------------------------------------

/// A URL, in bytes: what goes into a request line with it fits the heads that servers take (8,000 octets by RFC 9112).
pub const URL_BYTES_MAX: usize = 4096;
/// Interim answers (1xx) before the one that counts; 100 and 103 come once each from an honest server.
pub const INTERIM_ANSWERS_MAX: usize = 8;
/// From the begin of a request to its whole answer, unless its flow says otherwise.
pub const EXCHANGE_TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);
/// The least that a flow may wait for an answer: a request that never ends in time is never made.
pub const EXCHANGE_TIMEOUT_MIN: Duration = Duration::from_millis(100);
/// The longest that a flow may wait for an answer.
pub const EXCHANGE_TIMEOUT_MAX: Duration = Duration::from_secs(600);
/// Fields that a flow gives to its requests: with our own they fit the heads that servers take.
pub const EXCHANGE_FIELDS_MAX: usize = 64;
/// For a name to be resolved, and for each of its addresses to accept a connection.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Requests for one batch or page within a run; after that it is for a later run.
pub const EXCHANGE_ATTEMPTS: u32 = 4;
/// From a failed request to the next, doubled each time.
pub const EXCHANGE_BACKOFF: Duration = Duration::from_millis(500);
/// The longest `Retry-After` that a run waits for.
pub const EXCHANGE_RETRY_AFTER_MAX: Duration = Duration::from_secs(60);
/// What a server may say to a batch beyond twice the batch itself, in bytes: some answer with what they took.
pub const SINK_ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Redirects of one request.
pub const REDIRECTS_MAX: usize = 5;

/// Characters that are shown of an answer that is not what was asked for.
pub const EXCERPT_CHARACTERS_MAX: usize = 200;
/// An `ETag` or `Last-Modified` that is remembered, in bytes: honest ones are a few dozen.
pub const VALIDATOR_BYTES_MAX: usize = 1024;
/// From a `Last-Modified` to the `Date` of its answer: within less the content may change again under the same time (RFC 9110
/// section 8.8.2.2), and clocks of servers are seldom one.
pub const LAST_MODIFIED_AGE_MIN: Duration = Duration::from_secs(2);
/// Pages of one run, so that a server that always names another keeps nobody busy for ever: a later run goes on.
pub const PAGES_PER_RUN: usize = 10_000;

// --- The service manager (sd_notify(3)) ----------------------------------------------------------------------

/// The line that `systemctl status` shows, in bytes: a terminal's width or two.
pub const STATUS_LINE_BYTES_MAX: usize = 240;
/// From one such line to the next: each wakes the service manager and whoever listens to it.
pub const STATUS_LINE_EVERY: Duration = Duration::from_secs(5);
/// A service manager that takes no message is tried again after this.
pub const NOTIFY_RETRY: Duration = Duration::from_millis(500);
/// Messages that a service manager has yet to take; past that the oldest is dropped, as the newest says what holds now.
pub const NOTIFY_UNSENT_MAX: usize = 8;
/// The least time between two signs of life, whatever the service manager asks for: the loop has other things to do.
pub const WATCHDOG_EVERY_MIN: Duration = Duration::from_millis(10);
/// How much longer than its settings say the daemon may take to end, before the service manager loses patience: a slow disk
/// takes its time for the last commit.
pub const STOP_MARGIN: Duration = Duration::from_secs(5);

// --- The log -------------------------------------------------------------------------------------------------

/// What is written to standard error in one go, in bytes: where poll(2) says that there is room, a pipe takes so much at once
/// (`PIPE_BUF` in pipe(7)).
pub const LOG_PIECE_BYTES: usize = 4096;
/// A message, and each value beside it, in bytes: a line of several stays within what the journal takes as one (48 KiB,
/// `LineMax=` in journald.conf(5)).
pub const LOG_VALUE_BYTES_MAX: usize = 8 * 1024;

// --- The control socket --------------------------------------------------------------------------------------

/// Connections of operators open at once: they cannot be crowded out by callers, nor crowd them out.
pub const CONTROL_CONNECTIONS_MAX: usize = 16;
/// An operator's request, in bytes: several flow files, written as JSON.
pub const CONTROL_BODY_BYTES_MAX: usize = 1024 * 1024;
/// Flow files in one request.
pub const CONTROL_FLOW_FILES_MAX: usize = 100;
/// Flows or runs in one list.
pub const LIST_DEFAULT: usize = 20;
/// See [`LIST_DEFAULT`].
pub const LIST_MAX: usize = 100;
/// Output on its way to somebody who follows a run, in bytes: what does not fit is left out, and that is said.
pub const FOLLOW_BUFFER_BYTES: usize = 256 * 1024;

// --- Authentication (Standard Webhooks) ----------------------------------------------------------------------

/// Key material in bytes: the Standard Webhooks specification asks for 24 to 64.
pub const SECRET_BYTES_MIN: usize = 24;
/// See [`SECRET_BYTES_MIN`].
pub const SECRET_BYTES_MAX: usize = 64;
/// Key material that `init` makes, in bytes.
pub const SECRET_BYTES_NEW: usize = 32;
/// Secrets in force at once: rotation needs two, a fleet in transition a few more.
pub const SECRETS_MAX: usize = 16;
/// Agents beside the one of the top level.
pub const AGENTS_MAX: usize = 32;
/// Secrets of all agents together: a request whose signature is wrong costs a look at each of them.
pub const SECRETS_OF_ALL_MAX: usize = 64;
/// An agent's name, in bytes: it stands in every run that the agent starts.
pub const AGENT_NAME_BYTES_MAX: usize = 64;
/// Flows that an agent may be kept to: each is looked for with each of its heartbeats, unless nothing can be due.
pub const AGENT_FLOWS_MAX: usize = 1000;
/// The name of a header field, in bytes.
pub const FIELD_NAME_BYTES_MAX: usize = 128;
/// A `webhook-id`, in bytes.
pub const HEARTBEAT_ID_BYTES_MAX: usize = 256;
/// Entries of one `webhook-signature` that are looked at; an honest sender signs once per secret in force.
pub const SIGNATURES_MAX: usize = 32;
/// A static token, in bytes: at least 128 bits if it is random hexadecimal.
pub const TOKEN_BYTES_MIN: usize = 16;
/// See [`TOKEN_BYTES_MIN`].
pub const TOKEN_BYTES_MAX: usize = 512;
/// A secret file, in bytes.
pub const SECRET_FILE_BYTES_MAX: usize = 64 * 1024;
/// How far a signed time may differ from ours, either way (Standard Webhooks).
pub const SIGNATURE_TOLERANCE_DEFAULT: Duration = Duration::from_secs(300);
/// The least that an operator may set: clocks of small boxes are rarely closer.
pub const SIGNATURE_TOLERANCE_MIN: Duration = Duration::from_secs(1);
/// The most that an operator may set: replays are known for 80 hours.
pub const SIGNATURE_TOLERANCE_MAX: Duration = Duration::from_secs(24 * 3600);
/// Ids of heartbeats that started nothing, kept in memory.
pub const REPLAY_RING_IDS: u32 = 8192;
/// Wrong credentials per address and minute before 401 becomes a silent 429.
pub const FAILED_SIGNATURES_PER_MINUTE_DEFAULT: u32 = 30;
/// Addresses whose failures are counted at once.
pub const FAILURE_TABLE_ADDRESSES: usize = 1024;

// --- Flows ---------------------------------------------------------------------------------------------------

/// A flow's name, in bytes.
pub const FLOW_NAME_BYTES_MAX: usize = 128;
/// A flow's description, in bytes.
pub const DESCRIPTION_BYTES_MAX: usize = 4096;
/// A flow file, in bytes.
pub const FLOW_FILE_BYTES_MAX: usize = 256 * 1024;
/// `heartbeatd.toml`, in bytes.
pub const CONFIG_FILE_BYTES_MAX: usize = 1024 * 1024;
/// Flow files in the flows folder.
pub const FLOW_FILES_MAX: usize = 100_000;
/// The longest interval: ten years. Longer is a unit mistaken.
pub const RUN_INTERVAL_MAX: Duration = Duration::from_secs(10 * 366 * 86_400);
/// How long a run may take unless its flow says otherwise.
pub const TIMEOUT_DEFAULT: Duration = Duration::from_secs(3600);
/// From TERM to KILL.
pub const KILL_GRACE_DEFAULT: Duration = Duration::from_secs(3);
/// From a failed attempt to the next one, unless the flow says otherwise; doubled with each.
pub const RETRY_BACKOFF_DEFAULT: Duration = Duration::from_secs(10);
/// The doubling ends here, unless the flow says otherwise.
pub const RETRY_BACKOFF_CAP_DEFAULT: Duration = Duration::from_secs(600);
/// The longest backoff that an author may set: longer is an interval.
pub const RETRY_BACKOFF_MAX: Duration = Duration::from_secs(86_400);
/// The most attempts that an author may set.
pub const RETRY_ATTEMPTS_MAX: usize = 100;
/// Runs in a row that are repeated because the daemon ended: what takes the daemon down is not run for ever.
pub const RERUNS_MAX: u32 = 3;
/// Arguments of a command.
pub const ARGUMENTS_MAX: usize = 1024;
/// Arguments and environment of a command together, in bytes: Linux gives at least 128 KiB to one string and
/// a quarter of the stack to all (execve(2)); less is portable and enough.
pub const COMMAND_BYTES_MAX: usize = 128 * 1024;
/// A user's name or number, in bytes: Linux allows names of 32.
pub const USER_NAME_BYTES_MAX: usize = 64;
/// `/etc/passwd`, in bytes: a box with more users than fit has them elsewhere.
pub const PASSWD_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// The least address space that a command may be given, in bytes: with less not even a shell starts.
pub const PROCESS_MEMORY_BYTES_MIN: usize = 4 * 1024 * 1024;
/// The fewest descriptors that a command may be given: standard streams and what a shell needs.
pub const PROCESS_FILES_MIN: usize = 8;
/// How much sooner than the daemon a child dies when memory runs out: added to the daemon's own `oom_score_adj`
/// (proc(5)), of which 1000 is the most.
pub const CHILD_OOM_SCORE_ADDED: i32 = 500;
/// What is read of a process's environment to find out whose it is, in bytes: what a flow may set, and as much again
/// of what it inherits.
pub const ENVIRONMENT_READ_BYTES_MAX: u64 = 2 * COMMAND_BYTES_MAX as u64;
/// Text given to a command's standard input, in bytes.
pub const STDIN_BYTES_MAX: usize = 128 * 1024;

/// The data of a time zone, in bytes: the largest that there is has about 4 KiB.
pub const ZONE_BYTES_MAX: usize = 64 * 1024;
/// Names of time zones that are looked through for one that may be meant; there are about 600.
pub const ZONES_MAX: usize = 10_000;
/// The least `internal_heartbeat`: no flow is due more often.
pub const INTERNAL_HEARTBEAT_MIN: Duration = Duration::from_secs(1);
/// The greatest `internal_heartbeat`; rarer is a unit mistaken.
pub const INTERNAL_HEARTBEAT_MAX: Duration = Duration::from_secs(7 * 86_400);

// --- Runs ----------------------------------------------------------------------------------------------------

/// Runs in progress at once.
pub const CONCURRENT_RUNS_DEFAULT: usize = 4;
/// The most that an operator may set: each run costs two descriptors and a process.
pub const CONCURRENT_RUNS_MAX: usize = 256;
/// Due flows that one heartbeat claims; the others stay due.
pub const CLAIMS_PER_HEARTBEAT_DEFAULT: usize = 1000;
/// Runs named in one answer.
pub const RUNS_IN_ANSWER_MAX: usize = 100;
/// The end of a run's output that is kept, in bytes.
pub const OUTPUT_BYTES_DEFAULT: usize = 16 * 1024;
/// The most output an operator may keep, in bytes.
pub const OUTPUT_BYTES_MAX: usize = 1024 * 1024;
/// Read after the child's exit, in bytes: one pipe's capacity (pipe(7)), so that a grandchild which holds the
/// pipe open does not hold up the run.
pub const OUTPUT_AFTER_EXIT_BYTES: usize = 64 * 1024;
/// An error message on record, in bytes.
pub const ERROR_MESSAGE_BYTES_MAX: usize = 1024;
/// A backtrace on record, in bytes: only runs of the Rails engine have one.
pub const BACKTRACE_BYTES_MAX: usize = 16 * 1024;
/// The side file of children is rewritten without what is over once it has grown past this, in bytes: it holds
/// about 150 for each run.
pub const SIDE_FILE_BYTES_MAX: u64 = 64 * 1024;
/// What is read of a side file, in bytes: more is none that we wrote.
pub const SIDE_FILE_READ_BYTES_MAX: u64 = 1024 * 1024;
/// How long the daemon may take at its very end to see what KILL ended be gone.
pub const LAST_KILL: Duration = Duration::from_secs(1);
/// How long runs may go on after SIGTERM.
pub const SHUTDOWN_TIMEOUT_DEFAULT: Duration = Duration::from_secs(8);

// --- Store ---------------------------------------------------------------------------------------------------

/// How long a second process waits for the database's lock before it gives up.
pub const LOCK_WAIT: Duration = Duration::from_secs(2);
/// When the store refused a write, how long until the next try.
pub const STORE_RETRY: Duration = Duration::from_secs(1);
/// SQLite's page cache for our database, in KiB: the working set of a box's flows.
pub const PAGE_CACHE_KIB: i64 = 512;
/// What a transaction changed stays in memory up to this, in KiB: what goes to the log before the commit may go there twice.
pub const PAGES_IN_HAND_KIB: i64 = 4096;
/// The WAL is cut back to this after a checkpoint, in bytes.
pub const JOURNAL_SIZE_LIMIT_BYTES: i64 = 1024 * 1024;
/// An idle agent's last heartbeat is written alone this often.
pub const LAST_HEARTBEAT_WRITE_EVERY: Duration = Duration::from_secs(3600);

// --- History -------------------------------------------------------------------------------------------------

/// Ended runs of one flow that are kept.
pub const RUNS_PER_FLOW_DEFAULT: usize = 200;
/// The least that an operator may set: four, so that one failure is kept longer than the successes.
pub const RUNS_PER_FLOW_MIN: usize = 4;
/// How old a run on record may be.
pub const HISTORY_AGE_DEFAULT: Duration = Duration::from_secs(90 * 86_400);
/// The database's file and its log, in bytes.
pub const DATABASE_BYTES_DEFAULT: usize = 256 * 1024 * 1024;
/// The least that an operator may set: a few runs, and the log.
pub const DATABASE_BYTES_MIN: usize = 8 * 1024 * 1024;
/// The most: 1 TiB; 2 GiB where a size has 32 bits.
pub const DATABASE_BYTES_MAX: usize = match 1_usize.checked_shl(40) {
    Some(bytes) => bytes,
    None => 2 << 30,
};
/// Ids of heartbeats that started runs are known for so long: senders of Standard Webhooks retry for up to 76 hours.
pub const HEARTBEAT_IDS_KEPT: Duration = Duration::from_secs(80 * 3600);
/// Days of the table of days: a year and a month of it.
pub const DAYS_KEPT: i64 = 400;
/// Rows of a flow's history deleted with each end of a run: more than one comes with it.
pub const PRUNED_WITH_EACH_END: usize = 4;
/// The whole is looked at this often, ...
pub const RETENTION_EVERY: Duration = Duration::from_secs(3600);
/// ... for the first time so long after the start: heartbeats go first, ...
pub const RETENTION_AFTER_START: Duration = Duration::from_secs(5);
/// ... and its size after so many runs.
pub const RETENTION_AFTER_RUNS: u32 = 64;
/// Rows looked at in one step: a few milliseconds on an SD card.
pub const RETENTION_ROWS_PER_STEP: usize = 200;
/// From one step to the next: the loop's other work goes first.
pub const RETENTION_STEP_PAUSE: Duration = Duration::from_millis(50);
/// Steps by age of one look: a clock that jumped ahead takes no more with it before it may be set right.
pub const RETENTION_STEPS_MAX: u32 = 50;
/// Pages given back to the file system in one step.
pub const SHRINK_PAGES_PER_STEP: u32 = 64;
/// Free space within the file that is left for what comes next, in bytes.
pub const FREE_BYTES_KEPT: u64 = 1024 * 1024;

// --- Alerts --------------------------------------------------------------------------------------------------

/// Alerts that are not delivered yet; past it the oldest go. Each takes about half a KiB of the database.
pub const ALERTS_MAX: usize = 1000;
/// Failures of a flow in a row before that is told.
pub const ALERT_AFTER_FAILURES_DEFAULT: usize = 3;
/// The most that an operator may set; a flow that may fail more often is no use to be told of.
pub const ALERT_AFTER_FAILURES_MAX: usize = 1000;
/// How long a receiver may take for an alert, be it a server or a command (Standard Webhooks: 15 s to 30 s).
pub const ALERT_TIMEOUT: Duration = Duration::from_secs(30);
/// From a failed try of an alert to the next one, doubled each time, ...
pub const ALERT_BACKOFF: Duration = Duration::from_secs(5);
/// ... up to this. Standard Webhooks goes up to a day; an alert that comes that late is of no use.
pub const ALERT_BACKOFF_MAX: Duration = Duration::from_secs(1800);
/// An alert is given up when it is as old as this, as long as Standard Webhooks senders try, ...
pub const ALERT_GIVEN_UP_AFTER: Duration = Duration::from_secs(3 * 86_400);
/// ... and was tried this often, three quarters of an hour at least: neither a clock that jumped nor a box that was off
/// gives one up.
pub const ALERT_ATTEMPTS_MIN: u32 = 10;
/// Why a try failed, as it is recorded and logged, in characters.
pub const ALERT_ERROR_CHARACTERS_MAX: usize = 300;
/// What is read of a receiver's answer, in bytes: its status says all.
pub const ALERT_ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Storage that failed for a shorter time is not told of: a shell of sqlite3, a backup.
pub const ALERT_STORAGE_AFTER: Duration = Duration::from_secs(60);
/// The least that an operator may set as the time of a run or of silence that is told: less is the way of things.
pub const ALERT_TIME_MIN: Duration = Duration::from_secs(1);
/// How often whoever watches this daemon is told that it is well.
pub const WATCHDOG_EVERY_DEFAULT: Duration = Duration::from_secs(60);
/// The longest time between two beats.
pub const WATCHDOG_EVERY_MAX: Duration = Duration::from_secs(86_400);
/// How long a beat may take at most.
pub const WATCHDOG_TIMEOUT: Duration = Duration::from_secs(10);

// --- Pipelines -----------------------------------------------------------------------------------------------

/// Records of one batch: enough that a sync is shared, few enough that a heartbeat waits for milliseconds.
pub const BATCH_RECORDS_DEFAULT: usize = 1000;
/// The most that an author may set.
pub const BATCH_RECORDS_MAX: usize = 100_000;
/// Bytes of one batch.
pub const BATCH_BYTES_DEFAULT: usize = 1024 * 1024;
/// The most that an author may set: a batch stands in memory.
pub const BATCH_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Bytes of a run that is one batch.
pub const RUN_BYTES_DEFAULT: usize = 8 * 1024 * 1024;
/// The most that an author may set.
pub const RUN_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Bytes of one record; a longer one is rejected.
pub const RECORD_BYTES_MAX: usize = 1024 * 1024;
/// Fields of one record, as many as SQLite has columns at most by default (SQLITE_MAX_COLUMN is 2000).
pub const RECORD_FIELDS_MAX: usize = 500;
/// What a dead letter keeps of its record, in bytes.
pub const DEAD_LETTER_RECORD_BYTES_MAX: usize = 64 * 1024;
/// Bytes of a file of dead letters: past that the run fails, and loses nothing.
pub const DEAD_LETTERS_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// How long the transforms of one batch may take.
pub const TRANSFORM_TIME_MAX_DEFAULT: Duration = Duration::from_millis(250);
/// The most that an author may set: heartbeats wait that long.
pub const TRANSFORM_TIME_MAX: Duration = Duration::from_secs(10);
/// Transforms of a flow.
pub const TRANSFORMS_MAX: usize = 16;
/// Bytes of a transform's statement.
pub const TRANSFORM_SQL_BYTES_MAX: usize = 64 * 1024;
/// Databases that a transform reads beside its batch (SQLITE_MAX_ATTACHED is 10).
pub const ATTACHED_MAX: usize = 8;
/// What the transforms of one batch may yield, in bytes.
pub const TRANSFORM_MEMORY_BYTES_MAX: usize = 64 * 1024 * 1024;
/// One value within a transform, in bytes: room for a batch gathered into one.
pub const TRANSFORM_VALUE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Memory of all SQL in this process, in bytes: batches of a few flows, and what their statements sort.
pub const SQL_MEMORY_BYTES_MAX: usize = 192 * 1024 * 1024;
/// How long a query of a source may take for a batch: heartbeats wait that long.
pub const SOURCE_QUERY_TIME_MAX: Duration = Duration::from_secs(5);
/// The least size at which a file is put aside and a new one begun.
pub const ROTATION_SIZE_BYTES_MIN: usize = 1024;
/// The least age.
pub const ROTATION_AGE_MIN: Duration = Duration::from_secs(1);
/// Files that are kept once they were put aside.
pub const ROTATION_KEEP_DEFAULT: u64 = 7;
/// Files of dead letters that were fed back to a flow and are still known, so that nothing is fed twice.
pub const FEEDS_MAX: usize = 32;
/// Files that a pattern matches.
pub const SOURCE_FILES_MAX: usize = 1000;
/// A file of the kernel about the machine, in bytes: room for some 2000 interfaces, of which a container has one.
pub const SYSTEM_FILE_BYTES_MAX: usize = 256 * 1024;
/// A sensor's file, in bytes: it holds one number.
pub const SENSOR_BYTES_MAX: usize = 64;
/// Sensors of a machine that are looked at; a large system on a chip has about 100.
pub const THERMAL_ZONES_MAX: usize = 256;
/// What a pipeline's state may take in our database, with a batch that is on its way, in bytes.
pub const STATE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// A database that another program holds is asked for again after this.
pub const PIPELINE_RETRY: Duration = Duration::from_millis(50);
/// A run fails when a database was held for so long.
pub const PIPELINE_BUSY_MAX: Duration = Duration::from_secs(30);

const _: () = {
    assert!(HEARTBEAT_IDS_KEPT.as_secs() > SIGNATURE_TOLERANCE_MAX.as_secs(), "a replay is known or too old");
    assert!(WATCHERS_MAX + 8 <= STATUS_CONNECTIONS_MAX, "pages and Prometheus get through");
    assert!(RUNS_PER_FLOW_MIN >= 4 && RUNS_PER_FLOW_MIN <= RUNS_PER_FLOW_DEFAULT);
    assert!(
        DATABASE_BYTES_MIN as u64 >= 4 * JOURNAL_SIZE_LIMIT_BYTES.unsigned_abs()
            && DATABASE_BYTES_MIN <= DATABASE_BYTES_DEFAULT
            && DATABASE_BYTES_DEFAULT <= DATABASE_BYTES_MAX
    );
    assert!(ALERT_BACKOFF.as_secs() < ALERT_BACKOFF_MAX.as_secs());
    assert!(ALERT_BACKOFF_MAX.as_secs() < ALERT_GIVEN_UP_AFTER.as_secs());
    assert!(ALERT_AFTER_FAILURES_DEFAULT <= ALERT_AFTER_FAILURES_MAX);
    assert!(SECRET_BYTES_MIN <= SECRET_BYTES_NEW && SECRET_BYTES_NEW <= SECRET_BYTES_MAX);
    assert!(SECRETS_MAX <= SECRETS_OF_ALL_MAX);
    assert!(HEADERS_DEFAULT <= HEADERS_MAX);
    assert!(URL_BYTES_MAX <= TARGET_BYTES_MAX, "what is asked for here could be asked of ourselves");
    assert!(TARGET_BYTES_MAX <= HEAD_BYTES_DEFAULT, "a target that is allowed must fit a head");
    assert!(CONNECTIONS_PER_ADDRESS_DEFAULT <= CONNECTIONS_DEFAULT);
    assert!(HEAD_BYTES_DEFAULT <= READ_PER_ROUND_BYTES, "a common request is read in one round");
    assert!(OUTPUT_BYTES_DEFAULT <= OUTPUT_BYTES_MAX);
    assert!(CONCURRENT_RUNS_DEFAULT <= CONCURRENT_RUNS_MAX);
    assert!(STDIN_BYTES_MAX <= FLOW_FILE_BYTES_MAX);
    assert!(2 * FLOW_FILE_BYTES_MAX <= CONTROL_BODY_BYTES_MAX, "a flow file fits a request");
    assert!(LIST_DEFAULT <= LIST_MAX);
    assert!(RECORD_BYTES_MAX <= BATCH_BYTES_DEFAULT && BATCH_BYTES_DEFAULT <= RUN_BYTES_DEFAULT);
};
