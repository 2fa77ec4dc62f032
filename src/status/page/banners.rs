//! What is wrong with the box, and what to do about it: on top of every page, so from memory alone.

use super::html::{Html, put};
use super::{Look, figures};
use crate::limits;
use crate::time::format_duration;
use crate::words;

/// Something that is wrong.
#[derive(Debug)]
pub(super) struct Banner {
    what: &'static str,
    why: String,
    /// What to do; empty: it passes.
    right: &'static str,
}

/// Shows what is wrong.
pub(super) fn write(html: &mut Html, look: &Look<'_>) {
    for Banner { what, why, right } in found(look) {
        one(html, what, &why, right);
    }
}

/// Says what is wrong, why, and what to do; nothing: it passes.
pub(super) fn one(html: &mut Html, what: &str, why: &str, right: &str) {
    put!(html, "<div class=\"banner\" role=\"alert\">");
    figures::icon(html, "overdue");
    put!(html, "<p><strong>" (what) "</strong> " (figures::start_of(why, limits::BANNER_SHOWN_BYTES)) "</p>");
    if !right.is_empty() {
        put!(html, "<p class=\"do\">" (right) "</p>");
    }
    put!(html, "</div>");
}

/// All that is wrong, the worst first.
pub(super) fn found(look: &Look<'_>) -> Vec<Banner> {
    let mut found = Vec::new();
    let mut add = |what, why: String, right| found.push(Banner { what, why, right });
    let summary = look.runtime.summary(look.now.monotonic);
    if let Some(error) = summary.failure {
        let what = if look.runtime.is_closed() {
            "The database cannot be opened yet, and heartbeats get 503."
        } else {
            "Nothing can be recorded, and heartbeats get 503."
        };
        add(what, error.to_string(), error.help());
    }
    if summary.ends_within.is_some() {
        add("The daemon is ending.", "No new runs are started.".to_owned(), "");
    }
    if !look.now.wall.is_set() {
        let right = "let the box reach a time server (timedatectl), or set it by hand (date)";
        add("The clock is not set:", "signed heartbeats get 503 until it is.".to_owned(), right);
    }
    if let Some((free, total)) = look.disk.filter(|(free, total)| is_low(*free, *total)) {
        let why =
            format!("{} of {} are free where the database lies.", words::bytes(free), words::bytes(total));
        add("The disk is nearly full:", why, "free some space, before runs cannot be recorded any more");
    }
    if look.runtime.is_near_limit() {
        let why = format!("it may have {}.", words::bytes(look.runtime.database_bytes_max()));
        let right = "raise database under [history], or keep fewer flows: heartbeats get 503 once it is full";
        add("The database is near its limit, with no history left to delete:", why, right);
    }
    let silent = look.runtime.silent_agents(look.now.monotonic);
    if !silent.is_empty() {
        let limit = look.runtime.no_heartbeat_for().map(format_duration).unwrap_or_default();
        let why = format!("nothing for {limit} and longer from {}.", silent.join(", "));
        let right = "see that it runs and reaches this box; /system tells what was refused";
        add("An agent is silent:", why, right);
    }
    let untaken = look.runtime.untaken_alerts();
    if untaken > 0 {
        let why = format!("{untaken} wait, and the last try failed.");
        add(
            "Alerts cannot be delivered:",
            why,
            "see that their receiver answers; /system tells the last error",
        );
    }
    if let Some(why) = look.reload_error {
        let what = "The last reload failed, and everything stayed as it was.";
        add(what, why.to_owned(), "mend it, then heartbeatd reload");
    }
    for fault in look.bad_flow_files.iter().take(limits::BANNERS_MAX) {
        let right = "mend it, then heartbeatd reload; heartbeatd check tells all that is wrong";
        add("A flow file cannot be used:", fault.clone(), right);
    }
    let more = look.bad_flow_files.len().saturating_sub(limits::BANNERS_MAX);
    if more > 0 {
        let right = "/system names them, and so does heartbeatd check";
        add("Further flow files cannot be used:", more.to_string(), right);
    }
    found
}

/// Whether so few bytes are free that it will be full before somebody looks again.
fn is_low(free: u64, total: u64) -> bool {
    free < total / limits::DISK_LOW_PART && free < limits::DISK_LOW_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_low_by_its_share_unless_much_is_free_all_the_same() {
        const MIB: u64 = 1 << 20;
        for (free, total, low) in [
            (2 * MIB, 32 * MIB, false),
            (MIB, 32 * MIB, true),
            (400 * MIB, 16 << 30, true),
            (900 * MIB, 16 << 30, false),
            (40 << 30, 2 << 40, false),
            (0, 0, false),
        ] {
            assert_eq!(is_low(free, total), low, "{free} of {total}");
        }
    }
}
