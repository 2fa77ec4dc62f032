//! `kill -9` while records flow: afterwards each is there once, whatever it flowed between, over rotation as well.
#![expect(clippy::expect_used, reason = "the helpers of a test may fail it")]

mod support;

use rusqlite::Connection;
use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use support::{EdgeBox, until};

const KILLS: i64 = 55;
const RECORDS_A_KILL: i64 = 4_000;
/// `KILL_SEED` in the environment chooses other moments.
const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

/// xorshift64*: enough to choose moments.
struct Moments(u64);

impl Moments {
    fn below(&mut self, bound: i64) -> i64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        i64::try_from(self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33).expect("it fits") % bound
    }
}

const FLOWS: [(&str, &str, &str); 3] = [
    (
        "file-sqlite",
        "type = \"file\"\npath = \"DIR/in.jsonl\"",
        "type = \"sqlite\"\ndatabase = \"DIR/a.db\"\ntable = \"t\"\ncreate = true",
    ),
    (
        "file-file",
        "type = \"file\"\npath = \"DIR/in.jsonl\"",
        "type = \"file\"\npath = \"DIR/out/out.jsonl\"\nrotate = { size = \"1 MiB\", keep = 1000 }",
    ),
    (
        "sqlite-sqlite",
        "type = \"sqlite\"\ndatabase = \"DIR/in.db\"\ntable = \"s\"\ncursor = \"at\"",
        "type = \"sqlite\"\ndatabase = \"DIR/b.db\"\ntable = \"t\"\nmode = \"insert\"\ncreate = true",
    ),
];

/// What there is of each flow's sink.
fn moved(edge_box: &EdgeBox) -> [i64; 3] {
    let in_database = |name: &str| {
        let path = edge_box.path(name);
        if !path.exists() {
            return 0;
        }
        let database = Connection::open(path).expect("open it");
        database.query_row("SELECT coalesce(max(rowid), 0) FROM t", [], |row| row.get(0)).unwrap_or(0)
    };
    let files = fs::read_dir(edge_box.path("out")).into_iter().flatten().flatten();
    let bytes: u64 = files.filter_map(|file| file.metadata().ok()).map(|file| file.len()).sum();
    let records = i64::try_from(bytes / 70).expect("it fits");
    [in_database("a.db"), records, in_database("b.db")]
}

/// Writes the next records: a file that is renamed now and then, and ends in the middle of a line; a table with ties.
fn write(edge_box: &EdgeBox, round: i64, moments: &mut Moments) {
    let path = edge_box.path("in.jsonl");
    if round % 7 == 6 {
        for number in (1..9).rev() {
            let name = |number: i64| edge_box.path(&format!("in.jsonl.{number}"));
            let _not_there = fs::rename(name(number), name(number + 1));
        }
        fs::rename(&path, edge_box.path("in.jsonl.1")).expect("rotate it");
    }
    let mut text = String::new();
    let mut source = Connection::open(edge_box.path("in.db")).expect("open it");
    source.busy_timeout(std::time::Duration::from_secs(10)).expect("set it");
    let transaction = source.transaction().expect("begin");
    for n in round * RECORDS_A_KILL..(round + 1) * RECORDS_A_KILL {
        writeln!(text, "{{\"n\":{n},\"text\":\"some words, so that a line is one of {n:010}\"}}")
            .expect("write it");
        transaction.execute("INSERT INTO s (n, at) VALUES (?1, ?1 / 700)", [n]).expect("insert it");
    }
    transaction.commit().expect("commit");
    let mut file = OpenOptions::new().append(true).create(true).open(path).expect("open it");
    let half = usize::try_from(moments.below(i64::try_from(text.len()).expect("it fits"))).expect("it fits");
    file.write_all(&text.as_bytes()[..half]).expect("write it");
    file.write_all(&text.as_bytes()[half..]).expect("write it");
}

/// Every number once, in all.
fn each_once(what: &str, mut numbers: Vec<i64>) {
    numbers.sort_unstable();
    let count = numbers.len();
    numbers.dedup();
    let total = KILLS * RECORDS_A_KILL;
    let missing: Vec<i64> = (0..total).filter(|n| numbers.binary_search(n).is_err()).take(5).collect();
    assert_eq!(
        (count, numbers.len()),
        (usize::try_from(total).expect("it fits"), count),
        "{what}: missing {missing:?}"
    );
}

fn in_database(edge_box: &EdgeBox, name: &str) -> Vec<i64> {
    let database = Connection::open(edge_box.path(name)).expect("open it");
    let mut statement = database.prepare("SELECT n FROM t").expect("ask it");
    let rows = statement.query_map([], |row| row.get(0)).expect("ask it");
    rows.map(|row| row.expect("read it")).collect()
}

fn in_files(edge_box: &EdgeBox) -> Vec<i64> {
    let files = fs::read_dir(edge_box.path("out")).expect("list them").flatten();
    let texts = files.map(|file| fs::read_to_string(file.path()).expect("read it"));
    let number = |line: &str| -> i64 {
        let record: serde_json::Value = serde_json::from_str(line).expect("it is a record");
        record["n"].as_i64().expect("it has a number")
    };
    texts.flat_map(|text| text.lines().map(number).collect::<Vec<_>>()).collect()
}

#[test]
fn kill_9_fifty_times_while_records_flow_and_each_arrives_once() {
    let seed = std::env::var("KILL_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(SEED);
    eprintln!("KILL_SEED={seed}");
    let mut moments = Moments(seed);
    let edge_box = EdgeBox::new();
    edge_box.configure("internal_heartbeat = \"1s\"\n");
    let source = Connection::open(edge_box.path("in.db")).expect("open it");
    source.execute_batch("CREATE TABLE s (n, at); CREATE INDEX s_at ON s (at)").expect("make it");
    drop(source);
    for (name, source, sink) in FLOWS {
        let text =
            format!("run_interval = \"1s\"\n[source]\n{source}\n[sink]\n{sink}\n[batch]\nrecords = 200\n");
        edge_box.flow(name, &text);
    }
    let mut midway = 0;
    for round in 0..KILLS {
        write(&edge_box, round, &mut moments);
        let (watched, far) =
            (usize::try_from(moments.below(3)).expect("it fits"), moments.below(RECORDS_A_KILL));
        let before = moved(&edge_box);
        let mut daemon = edge_box.start();
        for (name, _, _) in FLOWS {
            edge_box.command(&["flow", "run", name]);
        }
        until("some of it has moved", || {
            moved(&edge_box)[watched] >= before[watched] + far.min(RECORDS_A_KILL / 2)
        });
        daemon.kill();
        midway += u32::from(moved(&edge_box)[watched] < (round + 1) * RECORDS_A_KILL);
    }
    assert!(midway >= 20, "most kills come while records flow: {midway}");
    let _daemon = edge_box.start();
    let total = KILLS * RECORDS_A_KILL;
    until("all of it has moved", || {
        let [a, _, b] = moved(&edge_box);
        a >= total && b >= total && in_files(&edge_box).len() >= usize::try_from(total).expect("it fits")
    });
    each_once("file to sqlite", in_database(&edge_box, "a.db"));
    each_once("sqlite to sqlite", in_database(&edge_box, "b.db"));
    each_once("file to file", in_files(&edge_box));
    assert!(fs::read_dir(edge_box.path("out")).expect("list them").count() > 3, "the sink was rotated");
    assert!(edge_box.is_sound());
}
