-- The whole current schema of heartbeatd's database. A new database is made from this file; an older one is
-- brought here step by step (src/store/migrate.rs). Times are milliseconds since 1970 in UTC.
--
-- The constraints stand here and not in the program, so that no writer can get round them. IN with more than two
-- values makes a table of them for each row that is written: where each run passes, there are pairs.

-- One row: which database this is. With the file's device and inode it makes HEARTBEAT_INSTANCE.
CREATE TABLE instance (
  singleton   INTEGER PRIMARY KEY CHECK (singleton = 1),
  id          TEXT    NOT NULL CHECK (length(id) = 32),
  created_at  INTEGER NOT NULL
) STRICT;

-- AUTOINCREMENT, here and below: an answer names runs by id, so an id is never given twice.
CREATE TABLE data_flows (
  id                    INTEGER PRIMARY KEY AUTOINCREMENT,
  name                  TEXT    NOT NULL UNIQUE
                                CHECK (length(name) BETWEEN 1 AND 128 AND name NOT GLOB '*[^a-z0-9_-]*'),
  description           TEXT,
  enabled               INTEGER NOT NULL DEFAULT 1 CHECK (enabled IN (0, 1)),
  held                  INTEGER NOT NULL DEFAULT 0 CHECK (held IN (0, 1)),       -- by an operator's `disable`
  run_interval          INTEGER NOT NULL CHECK (run_interval > 0),               -- seconds
  configuration         TEXT    NOT NULL CHECK (json_valid(configuration)),
  origin                TEXT    NOT NULL CHECK (origin IN ('file', 'database')),
  last_run_at           INTEGER,                                                 -- start of the last run that ended
  last_run_status       TEXT    CHECK (last_run_status IN ('success', 'failed')),
  only_between          TEXT,                                                    -- '22:00-05:00 Europe/Berlin'
  next_run_at           INTEGER NOT NULL DEFAULT 0,                              -- 0: never run, due at once
  -- How much further ahead than an interval it honestly lies, in milliseconds: on days on which an hour comes twice.
  ahead_slack           INTEGER NOT NULL DEFAULT 0 CHECK (ahead_slack >= 0),
  -- The earliest that a clock which never jumped can have shown when next_run_at was set.
  planned_from          INTEGER GENERATED ALWAYS AS (next_run_at - run_interval * 1000 - ahead_slack) VIRTUAL,
  consecutive_failures  INTEGER NOT NULL DEFAULT 0 CHECK (consecutive_failures >= 0),
  runs_ended            INTEGER NOT NULL DEFAULT 0 CHECK (runs_ended >= 0),      -- each attempt; it tells when to prune
  created_at            INTEGER NOT NULL,
  updated_at            INTEGER NOT NULL
) STRICT;

-- k due flows among n are found in O(k log n): those whose time has come, ...
CREATE INDEX data_flows_due ON data_flows (next_run_at) WHERE enabled = 1 AND held = 0;
-- ... and those whose time lies further ahead than a clock that never jumped back can have put it.
CREATE INDEX data_flows_ahead ON data_flows (planned_from) WHERE enabled = 1 AND held = 0;
-- The windows that there are: a few, shared by many flows.
CREATE INDEX data_flows_windows ON data_flows (only_between) WHERE only_between IS NOT NULL;
-- The time zones that there are, likewise.
CREATE INDEX data_flows_zones ON data_flows (json_extract(configuration, '$.calendar.time_zone'))
  WHERE json_extract(configuration, '$.calendar.time_zone') IS NOT NULL;
-- The flows folder is followed at the cost of the flows of files, whatever others there are.
CREATE INDEX data_flows_of_files ON data_flows (name) WHERE origin = 'file' AND enabled = 1;

CREATE TABLE data_flow_runs (
  id                       INTEGER PRIMARY KEY AUTOINCREMENT,
  data_flow_id             INTEGER NOT NULL REFERENCES data_flows (id) ON DELETE CASCADE,
  status                   TEXT    NOT NULL DEFAULT 'pending'
                                   CHECK (status IN ('pending', 'in_progress') OR status IN ('success', 'failed')),
  attempt                  INTEGER NOT NULL DEFAULT 1 CHECK (attempt >= 1),
  rerun                    INTEGER NOT NULL DEFAULT 0 CHECK (rerun >= 0),
  misfires                 INTEGER NOT NULL DEFAULT 0 CHECK (misfires >= 0),
  agent                    TEXT,
  heartbeat_id             TEXT,
  scheduled_at             INTEGER NOT NULL,
  clock_unset              INTEGER NOT NULL DEFAULT 0 CHECK (clock_unset IN (0, 1)),  -- recorded before the clock was set
  not_before               INTEGER,                     -- of an attempt after the first
  source_file              TEXT,                        -- the dead letters that it takes in place of its source
  started_at               INTEGER,
  ended_at                 INTEGER,
  duration_ms              INTEGER CHECK (duration_ms >= 0),
  error_kind               TEXT    CHECK (error_kind IS NULL OR
                                          error_kind IN ('spawn', 'exit_status', 'signal', 'timeout', 'source', 'transform',
                                          'sink', 'schema', 'configuration', 'cancelled', 'interrupted')),
  error_message            TEXT,
  error_backtrace          TEXT,
  exit_code                INTEGER,
  signal                   INTEGER,
  records_read             INTEGER NOT NULL DEFAULT 0 CHECK (records_read >= 0),
  records_written          INTEGER NOT NULL DEFAULT 0 CHECK (records_written >= 0),
  records_updated          INTEGER NOT NULL DEFAULT 0 CHECK (records_updated >= 0),
  records_skipped          INTEGER NOT NULL DEFAULT 0 CHECK (records_skipped >= 0),
  records_rejected         INTEGER NOT NULL DEFAULT 0 CHECK (records_rejected >= 0),
  records_transformed_in   INTEGER NOT NULL DEFAULT 0 CHECK (records_transformed_in >= 0),
  records_transformed_out  INTEGER NOT NULL DEFAULT 0 CHECK (records_transformed_out >= 0),
  bytes_read               INTEGER NOT NULL DEFAULT 0 CHECK (bytes_read >= 0),
  output                   TEXT    NOT NULL DEFAULT '',
  output_truncated         INTEGER NOT NULL DEFAULT 0 CHECK (output_truncated IN (0, 1)),
  configuration            TEXT                         -- what it was recorded with, once its flow has another
                                   CHECK (configuration IS NULL OR json_valid(configuration)),
  created_at               INTEGER NOT NULL,
  updated_at               INTEGER NOT NULL,
  CHECK (ended_at >= started_at),
  CHECK ((status IN ('success', 'failed')) = (ended_at IS NOT NULL)),
  CHECK ((status = 'failed') = (error_kind IS NOT NULL)),
  CHECK (status <> 'pending' OR started_at IS NULL),
  CHECK (status NOT IN ('in_progress', 'success') OR started_at IS NOT NULL),
  CHECK (exit_code IS NULL OR signal IS NULL),
  CHECK (status <> 'success' OR (coalesce(exit_code, 0) = 0 AND signal IS NULL)),
  CHECK (started_at IS NOT NULL OR (duration_ms IS NULL AND exit_code IS NULL AND signal IS NULL)),
  -- Each record is accounted for.
  CHECK (records_read + records_transformed_in
         = records_written + records_skipped + records_rejected + records_transformed_out),
  CHECK (records_updated <= records_written)
) STRICT;

-- A second open run of a flow is impossible, whatever the code above does. This index is the flow's lock.
CREATE UNIQUE INDEX data_flow_runs_open ON data_flow_runs (data_flow_id) WHERE status IN ('pending', 'in_progress');
CREATE INDEX data_flow_runs_history ON data_flow_runs (data_flow_id, id);

-- A run begins as pending, and its states only move forward.
CREATE TRIGGER data_flow_runs_begin BEFORE INSERT ON data_flow_runs WHEN NEW.status <> 'pending'
BEGIN
  SELECT RAISE(ABORT, 'a run is recorded as pending');
END;
CREATE TRIGGER data_flow_runs_transition BEFORE UPDATE OF status ON data_flow_runs
WHEN NOT (OLD.status = 'pending' AND NEW.status IN ('in_progress', 'failed')
       OR OLD.status = 'in_progress' AND NEW.status IN ('success', 'failed'))
BEGIN
  SELECT RAISE(ABORT, 'a run goes from pending to in_progress to success or failed, or from pending to failed');
END;

-- Where a pipeline's source got to, with what its sink and dead letters need to know, where the sink keeps no cursor itself.
CREATE TABLE cursors (
  data_flow_id  INTEGER PRIMARY KEY REFERENCES data_flows (id) ON DELETE CASCADE,
  state         TEXT    NOT NULL CHECK (json_valid(state)),
  updated_at    INTEGER NOT NULL
) STRICT;

-- What runs amounted to, a UTC day (days since 1970) and flow: the long view, when the runs themselves are gone.
CREATE TABLE flow_days (
  data_flow_id     INTEGER NOT NULL REFERENCES data_flows (id) ON DELETE CASCADE,
  day              INTEGER NOT NULL,
  success          INTEGER NOT NULL DEFAULT 0 CHECK (success >= 0),
  failed           INTEGER NOT NULL DEFAULT 0 CHECK (failed >= 0),
  interrupted      INTEGER NOT NULL DEFAULT 0 CHECK (interrupted >= 0),
  duration_ms_sum  INTEGER NOT NULL DEFAULT 0 CHECK (duration_ms_sum >= 0),
  duration_ms_max  INTEGER NOT NULL DEFAULT 0 CHECK (duration_ms_max >= 0),
  PRIMARY KEY (data_flow_id, day)
) STRICT, WITHOUT ROWID;
CREATE INDEX flow_days_by_day ON flow_days (day);

-- The heartbeats that started runs, with their answer. The runs are those with ids from first_run_id on, as many
-- as flows_triggered: they were recorded in one transaction.
CREATE TABLE heartbeats (
  id               INTEGER PRIMARY KEY,
  agent            TEXT    NOT NULL,
  heartbeat_id     TEXT,                                        -- none: the sender gave no id
  signed_at        INTEGER,                                     -- none: the scheme signs no time
  received_at      INTEGER NOT NULL,
  flows_due        INTEGER NOT NULL CHECK (flows_due >= 0),
  flows_triggered  INTEGER NOT NULL CHECK (flows_triggered > 0),
  flows_skipped    INTEGER NOT NULL CHECK (flows_skipped >= 0),
  flows_deferred   INTEGER NOT NULL CHECK (flows_deferred >= 0),
  first_run_id     INTEGER NOT NULL,
  CHECK (flows_due = flows_triggered + flows_skipped + flows_deferred),
  UNIQUE (agent, heartbeat_id)
) STRICT;

CREATE TABLE agents (
  name                TEXT PRIMARY KEY,
  last_heartbeat_at   INTEGER NOT NULL,
  greatest_signed_at  INTEGER,                                  -- of the heartbeats that started runs
  replay_floor        INTEGER                                   -- heartbeats signed until then are known by id no more
) STRICT, WITHOUT ROWID;

-- What somebody is to be told and was not yet, in order: the outbox of the alerts. A row goes when it is delivered.
CREATE TABLE alerts (
  id               INTEGER PRIMARY KEY AUTOINCREMENT,
  -- What the receiver knows it by. Random: a restored backup and the copy of a box give row ids again.
  uid              TEXT    NOT NULL CHECK (length(uid) = 32 AND uid NOT GLOB '*[^0-9a-f]*'),
  type             TEXT    NOT NULL
                           CHECK (type IN ('flow.failing', 'flow.recovered', 'run.long', 'agent.silent', 'agent.returned',
                                  'database.near_limit', 'database.below_limit', 'storage.recovered')),
  subject          TEXT    NOT NULL,                    -- what it is about: of the same the older one is told first
  data             TEXT    NOT NULL CHECK (json_valid(data)),
  created_at       INTEGER NOT NULL,
  attempts         INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
  next_attempt_at  INTEGER NOT NULL DEFAULT 0,
  last_error       TEXT
) STRICT;
CREATE INDEX alerts_by_subject ON alerts (subject, id);

-- What was told and is not over: so that nothing is told twice, and its end is told.
CREATE TABLE alert_conditions (
  type          TEXT    NOT NULL CHECK (type IN ('flow.failing', 'agent.silent', 'database.near_limit')),
  subject       TEXT    NOT NULL,
  data_flow_id  INTEGER REFERENCES data_flows (id) ON DELETE CASCADE,
  since         INTEGER NOT NULL,
  PRIMARY KEY (type, subject),
  CHECK ((type = 'flow.failing') = (data_flow_id IS NOT NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX alert_conditions_by_flow ON alert_conditions (data_flow_id) WHERE data_flow_id IS NOT NULL;
