//! Another time for now, for the tests that an author writes: SQLite's own functions of date and time, with each `now`
//! replaced by that time.

use rusqlite::Connection;
use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::Value;
use std::panic::AssertUnwindSafe;
use std::path::Path;

use super::sql::{self, Access};

/// The functions, with the place of their time value, which may be left out and is now then.
const FUNCTIONS: [(&str, usize); 10] = [
    ("date", 0),
    ("time", 0),
    ("datetime", 0),
    ("julianday", 0),
    ("unixepoch", 0),
    ("strftime", 1),
    ("timediff", usize::MAX),
    ("current_date", 0),
    ("current_time", 0),
    ("current_timestamp", 0),
];

/// Makes a connection take `now`, as RFC 3339 writes it, for the present.
pub(super) fn set(connection: &Connection, now: &str) -> rusqlite::Result<()> {
    for (name, place) in FUNCTIONS {
        let (now, clock) = (now.to_owned(), AssertUnwindSafe(sql::open(Path::new(""), Access::Memory)?));
        let any_number = if name.starts_with("current_") { 0 } else { -1 };
        connection.create_scalar_function(name, any_number, FunctionFlags::SQLITE_UTF8, move |context| {
            call(&clock, name, arguments(context, &now, place)?)
        })?;
    }
    Ok(())
}

fn arguments(context: &Context<'_>, now: &str, place: usize) -> rusqlite::Result<Vec<Value>> {
    let mut arguments =
        (0..context.len()).map(|index| context.get(index)).collect::<rusqlite::Result<Vec<Value>>>()?;
    for argument in &mut arguments {
        if matches!(argument, Value::Text(text) if text.eq_ignore_ascii_case("now")) {
            *argument = Value::Text(now.to_owned());
        }
    }
    if arguments.len() == place {
        arguments.push(Value::Text(now.to_owned()));
    }
    Ok(arguments)
}

/// Asks a connection that knows SQLite's own function.
fn call(clock: &Connection, name: &str, arguments: Vec<Value>) -> rusqlite::Result<Value> {
    let function = match name {
        "current_date" => "date",
        "current_time" => "time",
        "current_timestamp" => "datetime",
        other => other,
    };
    let places: Vec<String> = (1..=arguments.len()).map(|number| format!("?{number}")).collect();
    let mut asked = clock.prepare_cached(&format!("SELECT {function}({})", places.join(", ")))?;
    asked.query_row(rusqlite::params_from_iter(arguments), |row| row.get(0))
}
