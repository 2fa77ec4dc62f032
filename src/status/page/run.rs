//! `/runs/ID`: one run, with everything that is on record of it.

use super::Look;
use super::html::{Html, put};
use super::shell::{self, Place};
use crate::store::{Result, RunId};

/// Makes the page; false where there is no such run.
pub(super) fn write(html: &mut Html, id: RunId, look: &Look<'_>) -> Result<bool> {
    let Some(run) = look.runtime.store().run(id)? else { return Ok(false) };
    shell::begin(html, &format!("Run {}", run.id), Place::Elsewhere, look);
    put!(html, "<h1>Run " (run.id) " of <a href=\"/flows/" (run.flow) "\">" (run.flow) "</a></h1>");
    shell::end(html);
    Ok(true)
}
