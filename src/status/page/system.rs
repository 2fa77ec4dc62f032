//! `/system`: the agents and the box itself.

use super::Look;
use super::html::{Html, put};
use super::shell::{self, Place};
use crate::store::Result;

/// Makes the page.
pub(super) fn write(html: &mut Html, look: &Look<'_>) -> Result<()> {
    shell::begin(html, "System", Place::System, look);
    put!(html, "<h1>System</h1>");
    shell::end(html);
    Ok(())
}
