//! The least that moving records costs: JSON lines -> SQL -> SQLite, with a cursor in the same transaction, in two ways. It
//! checks nothing and finds no column by its name.

use rusqlite::{Connection, Statement};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::Instant;

use crate::Outcome;

const BATCH: usize = 1000;
const SCHEMA: &str = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
  CREATE TABLE reading (ts INT, sensor TEXT, value REAL, unit TEXT);
  CREATE TABLE cursor (flow TEXT PRIMARY KEY, at INT); INSERT INTO cursor VALUES ('x', 0);
  CREATE TEMP TABLE batch (ts, sensor, value, unit)";

#[derive(Deserialize)]
struct Record<'a> {
    #[serde(borrow)]
    ts: &'a RawValue,
    sensor: &'a str,
    value: f64,
    unit: &'a str,
}

struct Statements<'a> {
    each: Statement<'a>,
    row: Statement<'a>,
    select: Statement<'a>,
    clear: Statement<'a>,
    cursor: Statement<'a>,
}

impl<'a> Statements<'a> {
    fn of(database: &'a Connection) -> Outcome<Self> {
        Ok(Self {
            each: database.prepare(
                "INSERT INTO reading SELECT value ->> 'ts', value ->> 'sensor', value ->> 'value', value ->> 'unit'
                 FROM json_each(?1)",
            )?,
            row: database.prepare("INSERT INTO temp.batch VALUES (?1, ?2, ?3, ?4)")?,
            select: database.prepare("INSERT INTO reading SELECT ts, sensor, value, unit FROM temp.batch")?,
            clear: database.prepare("DELETE FROM temp.batch")?,
            cursor: database.prepare("UPDATE cursor SET at = ?1")?,
        })
    }
}

/// Records a second; `way` is `json_each` or `table`.
pub(super) fn per_second(way: &str, from: &Path, to: &Path) -> Outcome<f64> {
    let database = Connection::open(to)?;
    database.execute_batch(SCHEMA)?;
    let mut statements = Statements::of(&database)?;
    let mut lines = BufReader::with_capacity(1 << 18, File::open(from)?);
    let (start, mut at, mut records) = (Instant::now(), 0_i64, 0_usize);
    loop {
        database.execute_batch("BEGIN")?;
        let (count, bytes) = match way {
            "json_each" => batch_as_array(&mut lines, &mut statements)?,
            _ => batch_as_rows(&mut lines, &mut statements)?,
        };
        at += i64::try_from(bytes)?;
        records += count;
        statements.cursor.execute([at])?;
        database.execute_batch("COMMIT")?;
        if count < BATCH {
            return Ok(records as f64 / start.elapsed().as_secs_f64());
        }
    }
}

/// Takes the lines of one batch: how many they were, and their bytes.
fn batch(lines: &mut impl BufRead, mut take: impl FnMut(&str) -> Outcome<()>) -> Outcome<(usize, usize)> {
    let (mut count, mut sum, mut line) = (0, 0, String::new());
    while count < BATCH {
        line.clear();
        let bytes = lines.read_line(&mut line)?;
        if bytes == 0 {
            break;
        }
        sum += bytes;
        take(&line)?;
        count += 1;
    }
    Ok((count, sum))
}

fn batch_as_array(lines: &mut impl BufRead, statements: &mut Statements<'_>) -> Outcome<(usize, usize)> {
    let mut array = String::from("[");
    let moved = batch(lines, |line| {
        if array.len() > 1 {
            array.push(',');
        }
        array.push_str(line.trim_end());
        Ok(())
    })?;
    array.push(']');
    statements.each.execute([&array])?;
    Ok(moved)
}

fn batch_as_rows(lines: &mut impl BufRead, statements: &mut Statements<'_>) -> Outcome<(usize, usize)> {
    let moved = batch(lines, |line| {
        let record: Record<'_> = serde_json::from_str(line)?;
        let ts: i64 = record.ts.get().parse()?;
        statements.row.execute((ts, record.sensor, record.value, record.unit))?;
        Ok(())
    })?;
    statements.select.execute([])?;
    statements.clear.execute([])?;
    Ok(moved)
}
