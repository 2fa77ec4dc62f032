//! From an older schema to `schema.sql`, step by step, in one transaction each.

use rusqlite::Connection;
use std::path::Path;

use super::error::{Cause, Result, StoreError};

/// The current schema.
pub(super) const SCHEMA: &str = include_str!("../../schema.sql");

/// `PRAGMA application_id`: "HBTD". Tells our databases from others.
pub const APPLICATION_ID: i64 = 0x4842_5444;

/// What leads from version n to n + 1 stands at n - 1. The current version follows from its length.
const STEPS: &[&str] = &[];

/// Makes the schema in an empty database, or brings an older one up to date.
pub(super) fn migrate(connection: &Connection, path: &Path) -> Result<()> {
    migrate_with(connection, path, SCHEMA, STEPS)
}

/// Whether the database is empty. Writes nothing, and refuses one that is not ours or of a later version.
pub(super) fn is_new(connection: &Connection, path: &Path) -> Result<bool> {
    version_of(connection, path, STEPS).map(|version| version == 0)
}

/// Refuses a database that is not ours, of a later version, or empty.
pub(super) fn check_readable(connection: &Connection, path: &Path) -> Result<()> {
    let version = version_of(connection, path, STEPS)?;
    if version == 0 {
        let reason = "it is empty: no heartbeatd has used it";
        return Err(StoreError::new("read the database", path, Cause::Foreign, reason));
    }
    Ok(())
}

fn migrate_with(connection: &Connection, path: &Path, schema: &str, steps: &[&str]) -> Result<()> {
    let current = current_version(steps);
    let version = version_of(connection, path, steps)?;
    if version == 0 {
        return apply(connection, path, "make the schema", schema, 1 + steps.len());
    }
    for (from, step) in (1..current).zip(steps).skip(version - 1) {
        quick_check(connection, path)?;
        apply(connection, path, "bring the schema up to date", step, from + 1)?;
    }
    Ok(())
}

fn current_version(steps: &[&str]) -> usize {
    1 + steps.len()
}

/// The database's version; 0 for an empty one.
fn version_of(connection: &Connection, path: &Path, steps: &[&str]) -> Result<usize> {
    let failed = |error: &rusqlite::Error| StoreError::sqlite("read the schema's version", path, error);
    let number =
        |sql| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).map_err(|error| failed(&error));
    let application_id = number("PRAGMA application_id")?;
    let tables = number("SELECT count(*) FROM sqlite_schema")?;
    let version = number("PRAGMA user_version")?;
    let refuse = |cause, reason: String| Err(StoreError::new("use the database", path, cause, reason));
    if application_id == 0 && tables == 0 {
        return Ok(0);
    }
    if application_id != APPLICATION_ID {
        return refuse(Cause::Foreign, "it is another program's database".to_owned());
    }
    let current = current_version(steps);
    match usize::try_from(version) {
        Ok(version) if (1..=current).contains(&version) => Ok(version),
        _ => refuse(
            Cause::Newer,
            format!("its schema has version {version}, and this heartbeatd knows versions 1 to {current}"),
        ),
    }
}

fn quick_check(connection: &Connection, path: &Path) -> Result<()> {
    let verdict: String = connection
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(|error| StoreError::sqlite("check the database before a migration", path, &error))?;
    if verdict == "ok" {
        return Ok(());
    }
    Err(StoreError::new("bring the schema up to date", path, Cause::Corrupt, verdict))
}

/// Runs one step and notes its version, in one transaction.
fn apply(
    connection: &Connection,
    path: &Path,
    operation: &'static str,
    sql: &str,
    version: usize,
) -> Result<()> {
    let failed = |error: &rusqlite::Error| StoreError::sqlite(operation, path, error);
    let transaction = connection.unchecked_transaction().map_err(|error| failed(&error))?;
    let marks = format!("PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {version};");
    transaction.execute_batch(sql).map_err(|error| failed(&error))?;
    transaction.execute_batch(&marks).map_err(|error| failed(&error))?;
    transaction.commit().map_err(|error| failed(&error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::functions::FunctionFlags;

    const OLD_SCHEMA: &str = "CREATE TABLE t (a INTEGER) STRICT";
    const NEW_SCHEMA: &str = "CREATE TABLE t (a INTEGER, b INTEGER, c INTEGER) STRICT";
    const NEW_STEPS: &[&str] =
        &["ALTER TABLE t ADD COLUMN b INTEGER", "ALTER TABLE t ADD COLUMN c INTEGER; UPDATE t SET c = a"];

    fn database() -> Connection {
        Connection::open_in_memory().unwrap()
    }

    fn version(connection: &Connection) -> i64 {
        connection.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap()
    }

    fn schema_of(connection: &Connection) -> Vec<String> {
        let mut rows = connection.prepare("SELECT name FROM pragma_table_info('t') ORDER BY cid").unwrap();
        rows.query_map([], |row| row.get(0)).unwrap().map(|name| name.unwrap()).collect()
    }

    #[test]
    fn an_old_database_reaches_the_schema_of_a_new_one_with_its_rows() {
        let (old, new, path) = (database(), database(), Path::new("test.db"));
        migrate_with(&old, path, OLD_SCHEMA, &[]).unwrap();
        old.execute("INSERT INTO t VALUES (7)", []).unwrap();
        migrate_with(&old, path, NEW_SCHEMA, NEW_STEPS).unwrap();
        migrate_with(&new, path, NEW_SCHEMA, NEW_STEPS).unwrap();
        assert_eq!((version(&old), version(&new)), (3, 3));
        assert_eq!(schema_of(&old), schema_of(&new));
        assert_eq!(old.query_row("SELECT c FROM t", [], |row| row.get::<_, i64>(0)).unwrap(), 7);
    }

    #[test]
    fn a_step_that_fails_leaves_the_version_before_it_whole() {
        let (old, path) = (database(), Path::new("test.db"));
        migrate_with(&old, path, OLD_SCHEMA, &[]).unwrap();
        let broken =
            ["ALTER TABLE t ADD COLUMN b INTEGER", "ALTER TABLE t ADD COLUMN c INTEGER; SELECT nonsense"];
        assert!(migrate_with(&old, path, NEW_SCHEMA, &broken).is_err());
        assert_eq!(version(&old), 2);
        assert_eq!(schema_of(&old), ["a", "b"]);
    }

    /// What a process leaves that ends within a step is what its files hold then.
    #[test]
    fn a_step_that_is_cut_in_the_middle_leaves_the_version_before_it_whole() {
        let folder = std::env::temp_dir().join(format!("heartbeatd-cut-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let [file, log, cut_file, cut_log] =
            ["old.db", "old.db-wal", "cut.db", "cut.db-wal"].map(|name| folder.join(name));
        let old = Connection::open(&file).unwrap();
        // Every page that is changed goes to the log at once.
        old.execute_batch("PRAGMA journal_mode = WAL; PRAGMA cache_size = 1; PRAGMA cache_spill = 1")
            .unwrap();
        migrate_with(&old, &file, OLD_SCHEMA, &[]).unwrap();
        let rows = "WITH n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) INSERT INTO t SELECT i FROM n";
        old.execute_batch(rows).unwrap();
        let length_before = std::fs::metadata(&log).unwrap().len();
        let [from, log_from, to, log_to] = [&file, &log, &cut_file, &cut_log].map(Clone::clone);
        old.create_scalar_function("cut", 0, FunctionFlags::SQLITE_UTF8, move |_| {
            std::fs::copy(&from, &to).unwrap();
            Ok(i64::try_from(std::fs::copy(&log_from, &log_to).unwrap()).unwrap())
        })
        .unwrap();
        let step =
            "ALTER TABLE t ADD COLUMN b INTEGER; UPDATE t SET b = a; CREATE TEMP TABLE at AS SELECT cut()";
        migrate_with(&old, &file, NEW_SCHEMA, &[step]).unwrap();
        assert!(
            std::fs::metadata(&cut_log).unwrap().len() > length_before,
            "something of the step was written"
        );

        let cut = Connection::open(&cut_file).unwrap();
        assert_eq!((version(&cut), version(&old)), (1, 2));
        assert_eq!(schema_of(&cut), ["a"]);
        let sum = |connection: &Connection, sql: &str| {
            connection.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap()
        };
        assert_eq!(sum(&cut, "SELECT sum(a) FROM t"), 200_010_000);
        migrate_with(&cut, &cut_file, NEW_SCHEMA, NEW_STEPS).unwrap();
        assert_eq!((version(&cut), sum(&cut, "SELECT sum(c) FROM t")), (3, 200_010_000));
        assert_eq!(cut.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0)).unwrap(), "ok");
        drop((old, cut));
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_newer_database_is_refused_and_told_which_versions_are_known() {
        let (newer, path) = (database(), Path::new("test.db"));
        migrate_with(&newer, path, NEW_SCHEMA, NEW_STEPS).unwrap();
        let error = migrate_with(&newer, path, OLD_SCHEMA, &[]).unwrap_err();
        assert_eq!(error.cause, Cause::Newer);
        assert!(error.reason.contains("version 3") && error.reason.contains("1 to 1"), "{error}");
    }

    #[test]
    fn another_programs_database_is_refused() {
        let (foreign, path) = (database(), Path::new("test.db"));
        foreign.execute_batch(OLD_SCHEMA).unwrap();
        assert_eq!(migrate_with(&foreign, path, NEW_SCHEMA, NEW_STEPS).unwrap_err().cause, Cause::Foreign);
    }
}
