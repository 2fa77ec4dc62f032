//! What a statement may be: one that reads, and whose columns have names.

use rusqlite::Statement;
use rusqlite::hooks::{AuthAction, AuthContext};

use super::BATCH;
use crate::pipeline::sql::twin;

/// What the column may be called that SQLite says is missing: as it is said, or without what stands before a dot, which may
/// be a table's name.
pub(super) fn missing_columns(message: &str) -> impl Iterator<Item = &str> {
    let name = message.strip_prefix("no such column: ");
    // "… - should this be a string literal in single-quotes?" is said of what stands in double quotes.
    let name = name.map(|name| name.split(" - ").next().unwrap_or(name).trim_matches('"'));
    std::iter::successors(name, |name| name.split_once('.').map(|(_, rest)| rest))
}

const PRAGMA: &str = "reads or sets a pragma, which a transform may not";

/// What a statement may do: read. The column of the batch that it reads.
pub(super) fn judge(context: &AuthContext<'_>) -> Result<Option<String>, String> {
    let is_batch = |table: &str| table.eq_ignore_ascii_case(BATCH) && context.database_name == Some("main");
    match context.action {
        AuthAction::Select | AuthAction::Recursive => Ok(None),
        AuthAction::Read { table_name, column_name } if is_batch(table_name) => {
            Ok(Some(column_name.to_owned()))
        }
        AuthAction::Pragma { .. } => Err(PRAGMA.to_owned()),
        // A pragma in the shape of a table.
        AuthAction::Read { table_name, .. }
            if table_name.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("pragma_")) =>
        {
            Err(PRAGMA.to_owned())
        }
        AuthAction::Read { .. } => Ok(None),
        AuthAction::Function { function_name } if !function_name.eq_ignore_ascii_case("load_extension") => {
            Ok(None)
        }
        AuthAction::Attach { .. } => Err("attaches a database: name it under attach".to_owned()),
        AuthAction::Transaction { .. } | AuthAction::Savepoint { .. } => {
            Err("begins or ends a transaction, which a transform may not".to_owned())
        }
        _ => Err("changes something: a transform only reads".to_owned()),
    }
}

/// What the authorizer does not see.
pub(super) fn judge_statement(statement: &Statement<'_>) -> Result<(), String> {
    if statement.column_count() == 0 || !statement.readonly() {
        return Err("is no SELECT".to_owned());
    }
    if statement.is_explain() != 0 {
        return Err("is an EXPLAIN".to_owned());
    }
    if statement.parameter_count() > 0 {
        return Err("has a parameter, which nobody would fill".to_owned());
    }
    names_of(statement).map(drop)
}

/// The names of what a statement yields, none of which may come twice.
pub(super) fn names_of(statement: &Statement<'_>) -> Result<Vec<String>, String> {
    let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
    match twin(&names) {
        Some(name) => Err(format!("yields two columns called `{name}`: give one another name with AS")),
        None => Ok(names),
    }
}
