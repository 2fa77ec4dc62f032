//! `/flows/NAME`: one flow, its history, its runs and its definition.

use super::html::{Html, put};
use super::query::RunsQuery;
use super::shell::{self, Place};
use super::{Look, figures};
use crate::store::Result;

/// Makes the page; false where there is no such flow.
pub(super) fn write(html: &mut Html, name: &str, _query: &RunsQuery, look: &Look<'_>) -> Result<bool> {
    let Some(flow) = look.runtime.store().flow(name)? else { return Ok(false) };
    shell::begin(html, &flow.name, Place::Elsewhere, look);
    put!(html, "<h1>" (flow.name) "</h1><p>" (figures::every(&flow)) "</p>");
    shell::end(html);
    Ok(true)
}
