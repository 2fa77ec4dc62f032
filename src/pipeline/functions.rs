//! SQLite's functions whose time grows with the product of two values' sizes.
//!
//! A deadline is looked at between the steps of a statement, and a call is one step, which nothing ends: `trim` of 100 KB
//! by 90 KB takes half a minute. So a call that would take too long is refused, and any other is SQLite's own.

use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, ffi};
use std::os::raw::{c_int, c_uint};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::sql::{self, Access, Deadline};

/// What memcmp(3) or a look at a name is done for: some 0.1 s on a small box.
const COMPARED: usize = 1 << 30;
/// What is looked for letter by letter.
const LETTERS: usize = 1 << 25;

/// Name, number of arguments, and the most that the sizes of the first two may come to when multiplied, in bytes.
const FUNCTIONS: [(&str, c_int, usize); 8] = [
    ("instr", 2, COMPARED),
    ("replace", 3, COMPARED),
    ("trim", 2, LETTERS),
    ("ltrim", 2, LETTERS),
    ("rtrim", 2, LETTERS),
    ("unhex", 2, LETTERS),
    ("json_patch", 2, COMPARED),
    ("jsonb_patch", 2, COMPARED),
];

/// What SQLite calls text that is JSON already (<https://www.sqlite.org/json1.html#interface_overview>).
const JSON: c_uint = 74;

/// A connection that knows SQLite's own functions; made when it is first asked.
type Own = Arc<Mutex<Option<Connection>>>;

/// Makes calls on a connection keep to its deadline.
pub(super) fn bind(connection: &Connection, deadline: &Deadline) -> rusqlite::Result<()> {
    let own = Own::default();
    let flags = FunctionFlags::SQLITE_UTF8
        | FunctionFlags::SQLITE_DETERMINISTIC
        | FunctionFlags::SQLITE_INNOCUOUS
        | FunctionFlags::SQLITE_RESULT_SUBTYPE;
    for (name, arguments, product_max) in FUNCTIONS {
        let (own, deadline) = (Arc::clone(&own), deadline.clone());
        connection.create_scalar_function(name, arguments, flags, move |context| {
            if deadline.is_over() {
                return Err(rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_INTERRUPT), None));
            }
            let (first, second) = (size_of(context.get_raw(0)), size_of(context.get_raw(1)));
            if first.saturating_mul(second) > product_max {
                let message = format!("{name}() of {first} and {second} bytes would take too long");
                return Err(rusqlite::Error::UserFunctionError(message.into()));
            }
            let value = call(&own, name, context)?;
            let is_json = name == "json_patch" && matches!(value, Value::Text(_));
            Ok((value, is_json.then_some(JSON)))
        })?;
    }
    Ok(())
}

/// As text; a number is short however it is written.
fn size_of(value: ValueRef<'_>) -> usize {
    match value {
        ValueRef::Null => 0,
        ValueRef::Integer(_) | ValueRef::Real(_) => 32,
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes.len(),
    }
}

fn call(own: &Own, name: &str, context: &Context<'_>) -> rusqlite::Result<Value> {
    let mut own = own.lock().unwrap_or_else(PoisonError::into_inner);
    let connection = match own.as_ref() {
        Some(connection) => connection,
        None => own.insert(sql::open(Path::new(""), Access::Memory)?),
    };
    let places: Vec<String> = (1..=context.len()).map(|number| format!("?{number}")).collect();
    let mut asked = connection.prepare_cached(&format!("SELECT {name}({})", places.join(", ")))?;
    let arguments = (0..context.len()).map(|index| ToSqlOutput::Borrowed(context.get_raw(index)));
    asked.query_row(rusqlite::params_from_iter(arguments), |row| row.get(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    fn bound() -> (Connection, Deadline) {
        let connection = sql::open(Path::new(""), Access::Memory).unwrap();
        let deadline = Deadline::default();
        bind(&connection, &deadline).unwrap();
        (connection, deadline)
    }

    fn ask(connection: &Connection, expression: &str) -> Result<Value, String> {
        let asked = connection.query_row(&format!("SELECT {expression}"), [], |row| row.get(0));
        asked.map_err(|error| error.to_string())
    }

    #[test]
    fn a_call_that_would_take_longer_than_any_deadline_is_refused_at_once() {
        let (connection, _) = bound();
        let start = Instant::now();
        for expression in [
            "instr(printf('%.*c', 1000000, 'a'), printf('%.*c', 500000, 'a') || 'b')",
            "replace(printf('%.*c', 1000000, 'a'), printf('%.*c', 500000, 'a') || 'b', '')",
            "trim(printf('%.*c', 100000, 'a'), printf('%.*c', 90000, 'b') || 'a')",
            "ltrim(printf('%.*c', 100000, 'a'), printf('%.*c', 90000, 'b') || 'a')",
            "rtrim(printf('%.*c', 100000, 'a'), printf('%.*c', 90000, 'b') || 'a')",
            "unhex(printf('%.*c', 100000, 'g'), printf('%.*c', 90000, 'h') || 'g')",
            "json_patch(hex(zeroblob(100000)), hex(zeroblob(100000)))",
            "jsonb_patch(hex(zeroblob(100000)), hex(zeroblob(100000)))",
        ] {
            let refused = ask(&connection, expression).unwrap_err();
            assert!(refused.contains("would take too long"), "{expression}: {refused}");
        }
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    }

    #[test]
    fn past_the_deadline_no_call_is_made() {
        let (connection, deadline) = bound();
        deadline.set(Duration::ZERO);
        assert!(ask(&connection, "instr('ab', 'b')").is_err());
        deadline.lift();
        assert_eq!(ask(&connection, "instr('ab', 'b')"), Ok(Value::Integer(2)));
    }

    #[test]
    fn any_other_call_yields_what_sqlite_yields() {
        let (connection, _) = bound();
        let own = sql::open(Path::new(""), Access::Memory).unwrap();
        for expression in [
            "instr('h\u{e9}llo', 'l')",
            "instr(x'0102', x'02')",
            "instr('a', '')",
            "instr(NULL, 'a')",
            "instr(12345, 34)",
            "replace('aXbX', 'X', 'yy')",
            "replace('a', '', 'b')",
            "replace(1.5, '.', ',')",
            "replace('a', 'a', NULL)",
            "trim('xxaxx', 'x')",
            "ltrim('xxa', 'x')",
            "rtrim('axx', 'x')",
            "trim('  a ')",
            "unhex('41-42', '-')",
            "unhex('zz', '-')",
            "json_patch('{\"a\":1}', '{\"b\":2}')",
            "json_array(json_patch('{\"a\":1}', '{\"a\":null}'))",
            "json_array(replace('[1]', '1', '2'))",
            "json(jsonb_patch('{\"a\":1}', '{\"b\":2}'))",
            "json_patch('{', '{}')",
            "typeof(instr('a', 'b'))",
        ] {
            assert_eq!(ask(&connection, expression), ask(&own, expression), "{expression}");
        }
        let long = "instr(printf('%.*c', 1000000, 'a') || 'needle', 'needle')";
        assert_eq!(ask(&connection, long), Ok(Value::Integer(1_000_001)));
    }
}
