//! The list of flows over a real database, whose past is written by SQL, and a runtime.

use std::hash::RandomState;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::super::strip::Strip;
use super::super::{Counters, Drawing, Page};
use super::*;
use crate::flow::{Command, Configuration, Kinds, Retry, Schedule};
use crate::runtime::{AlertSettings, Runtime, Settings};
use crate::store::{Durability, Kept, RunId, Store};
use crate::time::{Monotonic, Now, Zones};

const NOW: Wall = Wall::from_seconds(1_800_080_800);
const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const SECOND: Duration = Duration::from_secs(1);

struct Bench {
    folder: PathBuf,
    runtime: Option<Runtime>,
    bad_flow_files: Vec<String>,
    reload_error: Option<String>,
    shell: rusqlite::Connection,
}

/// Runs of a flow, the newest one right now; conditions are over their number `n`, from the newest one on.
#[derive(Clone, Copy)]
struct Past {
    every_ms: i64,
    count: i64,
    failed: &'static str,
    interrupted: &'static str,
    /// Whether they have messages and outputs full of markup.
    text: bool,
}

impl Default for Past {
    fn default() -> Self {
        Self { every_ms: HOUR_MS, count: 1, failed: "0", interrupted: "0", text: false }
    }
}

fn store(path: &Path) -> Store {
    Store::open(path, Durability::Normal, 7, NOW).unwrap()
}

fn open(path: &Path) -> Runtime {
    open_with(path, Settings::small())
}

fn open_with(path: &Path, settings: Settings) -> Runtime {
    let (kinds, zones, hasher) = (Kinds::default(), Zones::utc_only(), RandomState::new());
    Runtime::open(store(path), settings, kinds, zones, hasher, &|_| false, at(NOW)).unwrap()
}

fn at(wall: Wall) -> Now {
    Now { wall, monotonic: Monotonic::since_start(SECOND) }
}

/// Without its markup.
fn text_of(html: &str) -> String {
    html.split('<').map(|part| part.split_once('>').map_or(part, |(_, text)| text)).collect()
}

impl Bench {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("heartbeatd-list-{}-{name}", std::process::id()));
        let _left_by_a_test_that_failed = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("heartbeat.db");
        let runtime = Some(open(&path));
        let shell = rusqlite::Connection::open(path).unwrap();
        // A past is made, not lived through.
        shell.execute_batch("DROP TRIGGER data_flow_runs_begin").unwrap();
        Self { folder, runtime, bad_flow_files: Vec::new(), reload_error: None, shell }
    }

    fn runtime(&self) -> &Runtime {
        self.runtime.as_ref().unwrap()
    }

    fn sql(&self, sql: &str) {
        self.shell.execute_batch(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// A flow, with what is set of it in SQL that may name `now`, `minute` and `hour`.
    fn add(&self, name: &str, set: &str) {
        let command = Command {
            argv: vec!["/bin/true".to_owned()],
            working_directory: "/".into(),
            ..Command::default()
        };
        let configuration = Configuration {
            schedule: Schedule::FixedRate,
            calendar: Default::default(),
            timeout_ms: 1000,
            kill_grace_ms: None,
            leftovers: Default::default(),
            retry: Retry::default(),
            rerun_interrupted: None,
            kind: "command".to_owned(),
            settings: serde_json::to_value(command).unwrap(),
        };
        let sql = "INSERT INTO data_flows (name, run_interval, configuration, origin, created_at, updated_at)
                   VALUES (?1, 3600, ?2, 'database', 0, 0)";
        self.shell.execute(sql, (name, serde_json::to_string(&configuration).unwrap())).unwrap();
        self.sql(&format!(
            "UPDATE data_flows SET {set} FROM (SELECT {} AS now, {MINUTE_MS} AS minute, {HOUR_MS} AS hour)
             WHERE name = '{name}'",
            NOW.as_millis()
        ));
    }

    /// So many, with these letters and a number as their names.
    fn add_many(&self, count: u32, letters: &str, set: &str) {
        for number in 0..count {
            self.add(&format!("{letters}{number:04}"), set);
        }
    }

    fn flow_ids(&self) -> Vec<FlowId> {
        self.runtime().store().flows().unwrap().iter().map(|flow| flow.id).collect()
    }

    fn open_run(&self, flow: &str, at_ms: i64, has_started: bool, attempt: u32) {
        let (status, started) =
            if has_started { ("in_progress", at_ms.to_string()) } else { ("pending", "NULL".to_owned()) };
        self.sql(&format!(
            "INSERT INTO data_flow_runs (data_flow_id, status, attempt, scheduled_at, started_at, created_at, updated_at)
             SELECT id, '{status}', {attempt}, {at_ms}, {started}, {at_ms}, {at_ms} FROM data_flows WHERE name = '{flow}'"
        ));
    }

    fn past(&self, flow: &str, past: &Past) {
        let Past { every_ms, count, failed, interrupted, text } = *past;
        let now = NOW.as_millis() - 1;
        let written = if text { "replace(hex(zeroblob(4000)), '00', '<\"')" } else { "''" };
        self.sql(&format!(
            "WITH RECURSIVE run (n) AS (SELECT {count} UNION ALL SELECT n - 1 FROM run WHERE n > 1),
               kind (n, at, word) AS (SELECT n, {now} - n * {every_ms} + {every_ms} - 1, CASE WHEN {interrupted} THEN 'interrupted'
                 WHEN {failed} THEN 'exit_status' END FROM run)
             INSERT INTO data_flow_runs (data_flow_id, status, scheduled_at, started_at, ended_at, duration_ms, error_kind,
               error_message, output, created_at, updated_at)
             SELECT flow.id, iif(word IS NULL, 'success', 'failed'), at, at, at, 1000 + n, word, {written}, {written}, at, at
             FROM kind, data_flows AS flow WHERE flow.name = '{flow}' ORDER BY n DESC;
             INSERT INTO flow_days SELECT data_flow_id, ended_at / 86400000, sum(status = 'success'),
               sum(error_kind IS 'exit_status'), sum(error_kind IS 'interrupted'), sum(duration_ms), max(duration_ms)
             FROM data_flow_runs AS run JOIN data_flows AS flow ON flow.id = data_flow_id WHERE flow.name = '{flow}'
             GROUP BY 1, 2 ON CONFLICT DO UPDATE SET success = excluded.success, failed = excluded.failed,
               interrupted = excluded.interrupted"
        ));
    }

    /// Ninety days on each of which something else happened.
    fn days(&self, flow: &str) {
        let today = NOW.as_seconds() / 86_400;
        self.sql(&format!(
            "WITH RECURSIVE d (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM d WHERE n < 89)
             INSERT OR REPLACE INTO flow_days SELECT flow.id, {today} - n, 99999 * (n % 2), 99999 * (n / 2 % 2), 99999 * (n % 2),
               1000, 99999999999 FROM d, data_flows AS flow WHERE flow.name = '{flow}'"
        ));
    }

    /// Prunes as retention does; how many runs went.
    fn prune(&mut self, prune: impl Fn(&mut Store) -> crate::store::Result<usize>) -> usize {
        let path = self.folder.join("heartbeat.db");
        // A database has one owner.
        self.runtime = None;
        let pruned = prune(&mut store(&path)).unwrap();
        self.runtime = Some(open(&path));
        pruned
    }

    fn page(&self, query: &str) -> String {
        self.page_at(query, NOW)
    }

    fn page_at(&self, query: &str, now: Wall) -> String {
        self.page_with(query, now, || {})
    }

    /// The page, and something that happens before each of its steps.
    fn page_with(&self, query: &str, now: Wall, mut happens: impl FnMut()) -> String {
        let counters = Counters::new(30);
        let look = self.look(&counters, now);
        let mut drawing = Drawing::new(Page::Flows(FlowsQuery::read(Some(query))));
        loop {
            happens();
            if drawing.step(&look) {
                break;
            }
        }
        String::from_utf8(drawing.finish().body).unwrap()
    }

    /// The page, as it were if pages had another bound.
    fn page_within(&self, query: &str, bytes_max: usize) -> String {
        let counters = Counters::new(30);
        let look = self.look(&counters, NOW);
        let (mut html, mut rest) = (Html::default(), begin(FlowsQuery::read(Some(query))));
        loop {
            if let Part::Rows(rows) = &mut rest.part {
                rows.bytes_max = bytes_max;
            }
            if go_on(&mut html, &mut rest, &look).unwrap() {
                return html.as_str().to_owned();
            }
        }
    }

    fn look<'a>(&'a self, counters: &'a Counters, now: Wall) -> Look<'a> {
        Look {
            change: 0,
            runtime: self.runtime(),
            counters,
            agents: &[],
            failed_reloads: 0,
            written_bytes: None,
            bad_flow_files: self.bad_flow_files.clone(),
            reload_error: self.reload_error.as_deref(),
            host: "box",
            disk: None,
            shows_output: true,
            now: at(now),
        }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _left_for_the_system = std::fs::remove_dir_all(&self.folder);
    }
}

/// What a flow's row says of its state.
fn state_of(page: &str, flow: &str) -> String {
    let row = page.split("<li class=\"flow\" id=\"f-").find(|row| row.starts_with(&format!("{flow}\"")));
    let row = row.unwrap_or_else(|| panic!("{flow} has a row"));
    let state = row.split("<p class=\"st ").nth(1).and_then(|rest| rest.split_once('>')).unwrap().1;
    text_of(state.split(" <span>").next().unwrap())
}

fn names(page: &str) -> Vec<&str> {
    let rows = page.split("<li class=\"flow\" id=\"f-").skip(1);
    rows.map(|row| row.split('"').next().unwrap()).collect()
}

#[test]
fn each_state_is_told_of_what_is_on_record() {
    let bench = Bench::new("states");
    bench.add("fine", "last_run_status = 'success', next_run_at = now + hour");
    bench.add("failing", "last_run_status = 'failed', consecutive_failures = 3, next_run_at = now + hour");
    bench.add("late", "last_run_status = 'success', next_run_at = now - 15 * minute");
    bench.add("not-yet-late", "last_run_status = 'success', next_run_at = now - 15 * minute + 1");
    bench.add("never-started", "created_at = now - 15 * minute");
    bench.add("fresh", "created_at = now - minute");
    bench.add("held", "held = 1, consecutive_failures = 2, next_run_at = now - hour");
    bench.add("disabled", "enabled = 0, next_run_at = now - hour");
    bench.add("cut", "last_run_status = 'failed', next_run_at = now + hour");
    bench.add("running", "last_run_status = 'success', next_run_at = now - hour");
    bench.add("for-a-slot", "next_run_at = now - hour");
    bench.add("again", "last_run_status = 'success', next_run_at = now + hour");
    bench.add(
        "failing-runs",
        "last_run_status = 'failed', consecutive_failures = 1, next_run_at = now + hour",
    );
    bench.add("held-runs", "held = 1, next_run_at = now + hour");
    for (flow, at) in [("running", 5), ("failing-runs", 5), ("held-runs", 5)] {
        bench.open_run(flow, NOW.as_millis() - at * MINUTE_MS, true, 1);
    }
    bench.open_run("for-a-slot", NOW.as_millis() - HOUR_MS, false, 1);
    bench.open_run("again", NOW.as_millis() - HOUR_MS, false, 2);
    let page = bench.page("");
    for (flow, words) in [
        ("fine", "fine"),
        ("failing", "failing, 3 times in a row"),
        ("failing-runs", "failing, once; running now"),
        ("late", "overdue"),
        ("not-yet-late", "fine"),
        ("never-started", "overdue"),
        ("fresh", "never ran"),
        ("held", "held by an operator"),
        ("held-runs", "held by an operator; running now"),
        ("disabled", "disabled by its definition"),
        ("cut", "cut short"),
        ("running", "running since 5 min ago 06:21:40"),
        ("for-a-slot", "waiting for a slot"),
        ("again", "waiting to be tried again"),
    ] {
        assert_eq!(state_of(&page, flow), words, "{flow}");
    }
    let (problems, others): (Vec<_>, Vec<_>) = (names(&page)[..4].to_vec(), names(&page)[4..].to_vec());
    assert_eq!(problems, ["failing", "failing-runs", "late", "never-started"], "failing before overdue");
    let runnable = ["again", "cut", "fine", "for-a-slot", "fresh", "not-yet-late", "running"];
    assert_eq!(others[..7], runnable, "by name, whether they run or not");
    assert_eq!(others[7..], ["disabled", "held", "held-runs"], "what may not run comes last");
    for (filter, count) in [("all", 14), ("problems", 4), ("running", 5), ("healthy", 7), ("off", 3)] {
        assert!(page.contains(&format!(">{filter} <b>{count}</b></a>")), "{filter} {count}");
        let shown = bench.page(&format!("state={filter}"));
        assert_eq!(names(&shown).len(), count, "{filter}");
    }
}

#[test]
fn a_flow_is_overdue_only_where_somebody_could_have_started_it() {
    let bench = Bench::new("overdue");
    // It is 06:26:40 in UTC.
    let due = "last_run_status = 'success', next_run_at = now - 3 * hour, only_between = ";
    bench.add("shut", &format!("{due}'22:00-05:00 UTC'"));
    bench.add("just-opened", &format!("{due}'06:20-09:00 UTC'"));
    bench.add("long-open", &format!("{due}'06:00-09:00 UTC'"));
    bench.add("over-midnight", &format!("{due}'23:00-07:00 UTC'"));
    let missed = "last_run_status = 'success', next_run_at = now - 25 * hour, only_between = ";
    bench.add("missed-a-short-one", &format!("{missed}'02:00-02:10 UTC'"));
    let page = bench.page("state=problems");
    assert_eq!(names(&page), ["long-open", "missed-a-short-one", "over-midnight"]);
    let unset = bench.page_at("state=problems", Wall::from_seconds(90));
    assert_eq!(names(&unset), [""; 0], "a clock that is not set tells nothing");
}

#[test]
fn where_the_box_itself_beats_rarely_a_flow_may_wait_for_its_beat() {
    let mut bench = Bench::new("rare-beats");
    bench.add("waits", "last_run_status = 'success', next_run_at = now - 50 * minute");
    bench.add("missed-a-beat", "last_run_status = 'success', next_run_at = now - 80 * minute");
    assert_eq!(names(&bench.page("state=problems")), ["missed-a-beat", "waits"]);
    bench.runtime = None;
    let settings = Settings { internal_heartbeat: Some(3600 * SECOND), ..Settings::small() };
    bench.runtime = Some(open_with(&bench.folder.join("heartbeat.db"), settings));
    assert_eq!(names(&bench.page("state=problems")), ["missed-a-beat"]);
}

#[test]
fn where_agents_may_be_silent_for_long_a_flow_may_be_as_late() {
    let mut bench = Bench::new("rare-agents");
    bench.add("waits", "last_run_status = 'success', next_run_at = now - 50 * minute");
    bench.add("missed-a-beat", "last_run_status = 'success', next_run_at = now - 80 * minute");
    let alerts = AlertSettings { no_heartbeat_for: Some(3600 * SECOND), ..AlertSettings::default() };
    let runtime = bench.runtime.take().unwrap();
    bench.runtime = Some(runtime.with_alerts(alerts, at(NOW)).unwrap());
    assert_eq!(names(&bench.page("state=problems")), ["missed-a-beat"]);
}

#[test]
fn a_search_knows_letters_of_all_languages_in_names_and_descriptions() {
    let bench = Bench::new("search");
    bench.add("pump", "created_at = now, description = 'Ölstand der PUMPE <3'");
    bench.add("meter", "created_at = now, description = 'Κύμα'");
    bench.add("plain", "created_at = now");
    for (search, found) in [
        ("%C3%96LSTAND", vec!["pump"]),
        ("%C3%B6l", vec!["pump"]),
        ("pumpe+%3C3", vec!["pump"]),
        ("%CE%BA%CF%8D%CE%BC%CE%B1", vec!["meter"]),
        ("P", vec!["plain", "pump"]),
        ("nothing+like+it", vec![]),
        ("%25", vec![]),
    ] {
        assert_eq!(names(&bench.page(&format!("q={search}"))), found, "{search}");
    }
    let page = bench.page("q=pump");
    assert!(page.contains(">all <b>1</b></a>"), "what is counted is what was found");
    assert!(page.contains("Ölstand der PUMPE &lt;3"));
}

#[test]
fn pages_hold_every_flow_once_however_many_there_are() {
    let bench = Bench::new("paging");
    bench.add_many(150, "x", "created_at = now, next_run_at = now + hour");
    bench.sql("UPDATE data_flows SET consecutive_failures = 1 WHERE id % 10 = 0");
    let mut all = Vec::new();
    for page in 1..=8 {
        let html = bench.page(&format!("page={page}"));
        assert!(html.contains(&format!("<span>Page {page} of 8</span>")));
        all.extend(names(&html).into_iter().map(str::to_owned));
    }
    assert_eq!(all.len(), 150);
    let mut sorted = all.clone();
    sorted.sort_by_key(|name| (name[1..].parse::<u32>().unwrap() % 10 != 9, name.clone()));
    assert_eq!(all, sorted, "problems first, then by name");
    let beyond = bench.page("page=99");
    assert_eq!(names(&beyond).len(), 10, "the last one stands in for what is beyond it");
    let filtered = bench.page("state=problems&page=2&span=7d");
    assert_eq!(names(&filtered).len(), 15, "there is one page of them");
    assert!(bench.page("page=2&span=7d&q=x").contains("href=\"/?q=x&amp;span=7d&amp;page=3\""));
}

#[test]
fn a_flow_that_goes_while_the_page_is_made_is_left_out() {
    let bench = Bench::new("goes");
    for name in ["a", "b", "c"] {
        bench.add(name, "created_at = now");
    }
    let mut steps = 0;
    let page = bench.page_with("", NOW, || {
        steps += 1;
        if steps == 3 {
            bench.sql("DELETE FROM data_flows WHERE name = 'c'");
        }
    });
    assert_eq!(names(&page), ["a", "b"]);
    assert!(page.ends_with("</html>"));
}

#[test]
fn a_page_that_is_in_the_making_when_outputs_are_hidden_shows_none() {
    let bench = Bench::new("hidden");
    for name in ["a", "b"] {
        bench.add(name, "created_at = now - 9 * hour, consecutive_failures = 1");
        bench.past(name, &Past { failed: "1", text: true, ..Past::default() });
    }
    let counters = Counters::new(30);
    let mut look = bench.look(&counters, NOW);
    let mut drawing = Drawing::new(Page::Flows(FlowsQuery::default()));
    while !drawing.html.as_str().contains("Its last output") {
        assert!(!drawing.step(&look), "there is another flow");
    }
    look.shows_output = false;
    while !drawing.step(&look) {}
    let page = String::from_utf8(drawing.finish().body).unwrap();
    assert_eq!(names(&page), ["a", "b"]);
    assert!(!page.contains("Its last output"), "{page}");
}

/// What a list reads of a flow's runs, and what its own page may read.
fn strips(bench: &Bench, flow: &str) -> [Strip; 2] {
    let store = bench.runtime().store();
    let flow = store.flow(flow).unwrap().unwrap();
    let days = store.flow_days(flow.id, figures::first_day(NOW)).unwrap();
    let mut wanted = record::wanted(flow.consecutive_failures.into(), NOW);
    let few = store.run_marks_while(flow.id, limits::MARKS_MAX, &mut wanted).unwrap();
    let all = store.run_marks(flow.id, limits::MARKS_MAX).unwrap();
    [few, all].map(|marks| {
        let [day, ..] = figures::strips(&flow, &marks, &days, NOW);
        day
    })
}

fn both_tell(bench: &Bench, flow: &str, known_from: usize, rate_of: &str, rate: (u64, u64)) {
    for (strip, of) in strips(bench, flow).iter().zip(["the list", "the flow's page"]) {
        assert_eq!(strip.known_from, known_from, "{flow}: {of}");
        assert_eq!((strip.rate_of().as_str(), strip.rate()), (rate_of, rate), "{flow}: {of}");
    }
}

#[test]
fn what_retention_has_taken_is_neither_a_gap_nor_counted() {
    const KEPT: Kept = Kept { newest: 150, failures: 50, every: 12 };
    let mut bench = Bench::new("retention");
    let minutely = Past { every_ms: MINUTE_MS, count: 900, ..Past::default() };
    for (flow, failed) in [("mixed", "n % 5 = 2"), ("failing", "n <= 400"), ("only-failures", "1")] {
        bench.add(flow, "created_at = now - 2400 * hour");
        bench.past(flow, &Past { failed, ..minutely });
    }
    bench.sql("UPDATE data_flows SET consecutive_failures = 400 WHERE name = 'failing'");
    bench.sql("UPDATE data_flows SET consecutive_failures = 900 WHERE name = 'only-failures'");
    for flow in bench.flow_ids() {
        while bench.prune(|store| store.prune_flow(flow, KEPT)) > 0 {}
    }
    // Of the newest 150 the oldest one is a success, 149 minutes ago: in part 85, of which only the end is known.
    both_tell(&bench, "mixed", 86, "2h", (117, 147));
    let told: Vec<_> = strips(&bench, "mixed")[0].rows().map(|(_, words)| words).collect();
    assert_eq!(told[..2], ["not on record", "3 succeeded, 50 failed; not all is on record"], "{told:?}");
    both_tell(&bench, "failing", 83, "3h", (0, 192));
}

#[test]
fn a_whole_record_is_told_as_one_however_little_of_it_is_read() {
    let bench = Bench::new("whole");
    bench.add("daily", "created_at = now - 2400 * hour");
    bench.past("daily", &Past { every_ms: 24 * HOUR_MS, count: 60, ..Past::default() });
    bench.add("hourly", "created_at = now - 2400 * hour");
    bench.past("hourly", &Past { every_ms: HOUR_MS, count: 199, failed: "n = 3", ..Past::default() });
    bench.add("young", "created_at = now - 5 * hour");
    bench.past("young", &Past { every_ms: HOUR_MS, count: 4, ..Past::default() });
    both_tell(&bench, "daily", 0, "24h", (1, 1));
    both_tell(&bench, "hourly", 0, "24h", (23, 24));
    both_tell(&bench, "young", 75, "24h", (4, 4));
    let store = bench.runtime().store();
    let read = |flow: &str| {
        let flow = store.flow(flow).unwrap().unwrap();
        let mut wanted = record::wanted(flow.consecutive_failures.into(), NOW);
        store.run_marks_while(flow.id, limits::MARKS_MAX, &mut wanted).unwrap().len()
    };
    assert_eq!((read("daily"), read("hourly"), read("young")), (25, 25, 4));
}

#[test]
fn what_goes_by_age_or_for_the_size_of_the_database_is_not_on_record_any_more() {
    let mut bench = Bench::new("by-age");
    bench.add("aged", "created_at = now - 2400 * hour");
    bench.past("aged", &Past { every_ms: 10 * MINUTE_MS, count: 150, ..Past::default() });
    bench.prune(|store| store.prune_old_runs(Wall::from_millis(NOW.as_millis() - 6 * HOUR_MS), 1000));
    // 350 minutes ago ran the oldest that is left: in part 72.
    both_tell(&bench, "aged", 73, "5h", (35, 35));
    let mut bench = Bench::new("by-size");
    bench.add("squeezed", "created_at = now - 2400 * hour");
    bench.past(
        "squeezed",
        &Past { every_ms: 10 * MINUTE_MS, count: 150, failed: "n > 100", ..Past::default() },
    );
    bench.prune(|store| store.prune_runs_after(RunId(0), "success", 100).map(|(count, _)| count));
    both_tell(&bench, "squeezed", 64, "8h", (48, 48));
    bench.prune(|store| store.prune_runs_after(RunId(0), "success", 1000).map(|(count, _)| count));
    let [strip, _] = strips(&bench, "squeezed");
    assert_eq!((strip.known_from, strip.rate()), (95, (0, 0)), "nothing is left to tell from");
}

#[test]
fn an_error_is_told_by_its_day_when_its_run_is_not_read() {
    let bench = Bench::new("long-ago");
    bench.add("it", "created_at = now - 2400 * hour, last_run_status = 'success', next_run_at = now + hour");
    bench.past("it", &Past { every_ms: HOUR_MS, count: 199, failed: "n = 190", ..Past::default() });
    let page = bench.page("");
    assert!(page.contains("last error on 2027-01-08: <a href=\"/flows/it?status=failed\">"), "{page}");
    bench.past("it", &Past { every_ms: MINUTE_MS, count: 1, failed: "1", ..Past::default() });
    assert!(bench.page("").contains("exit_status</a>"));
}

/// The worst there may be: everything as long as it can be, of characters that take the most room, and ticks that alternate.
fn worst(name: &str) -> Bench {
    let mut bench = Bench::new(name);
    bench.bad_flow_files = vec!["\"<&'".repeat(5000); 9];
    bench.reload_error = Some("<".repeat(5000));
    for number in 0..21 {
        let name = format!("{number:0>128}");
        bench.add(
            &name,
            "created_at = now - 2400 * hour, next_run_at = now + hour, consecutive_failures = 4294967295",
        );
        bench.sql("UPDATE data_flows SET description = printf('%.*c', 5000, '\"')");
        // Two runs in each quarter of an hour: all that can be told apart, in turns.
        let failed = "n / 2 % 2 = 0 OR n % 4 = 2";
        bench.past(
            &name,
            &Past {
                every_ms: 7 * MINUTE_MS + 30_000,
                count: 200,
                failed,
                interrupted: "n % 4 = 3",
                text: true,
            },
        );
        bench.days(&name);
    }
    bench
}

#[test]
fn a_page_stays_within_its_bound_whatever_the_flows_are() {
    // What others may still add to the style and the script.
    const RESERVE: usize = 1000;
    let bench = worst("bytes");
    let search = format!("q={}", "%3C".repeat(128));
    for query in ["", "span=7d", "span=90d", "page=2", "state=problems&span=90d&page=2&q=0", &search] {
        for bytes_max in [limits::PAGE_BYTES_MAX, limits::PAGE_BYTES_MAX - RESERVE] {
            let page = bench.page_within(query, bytes_max);
            assert!(page.len() <= bytes_max, "{query}: {} of {bytes_max} bytes", page.len());
            assert!(page.ends_with("</html>"));
        }
    }
    let page = bench.page("span=7d");
    assert_eq!(names(&page).len(), limits::FLOWS_PER_PAGE);
    assert!(page.contains("Its last output"), "there is room for more where it is not as bad");
}
