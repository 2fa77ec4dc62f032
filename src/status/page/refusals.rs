//! What was refused, by error: how often, whom last, what that means and what to do about it.

use super::Look;
use super::html::{Html, put};
use super::shell;
use crate::http::ErrorCode;
use crate::status::{LastRefusal, Port};

/// The section of the refusals.
pub(super) fn write(html: &mut Html, look: &Look<'_>) {
    put!(
        html,
        "<section class=\"sec\" aria-labelledby=\"refusals\"><h2 id=\"refusals\">Refused since the start</h2>"
    );
    let mut last: Vec<&LastRefusal> = look.counters.last_refusals().iter().collect();
    last.sort_by_key(|refusal| std::cmp::Reverse(refusal.at.as_millis()));
    if last.is_empty() {
        put!(html, "<p class=\"calm\">Nothing was refused on the heartbeat port.</p>");
    } else {
        put!(html, "<table class=\"ledger\"><thead><tr><th scope=\"col\">Error<th scope=\"col\" class=\"n\">Times<th scope=\"col\">Last"
            "<th scope=\"col\">From<th scope=\"col\">What it means, and what to do</thead><tbody>");
        for refusal in last {
            row(html, refusal, look);
        }
        put!(html, "</tbody></table>");
    }
    of_viewers(html, look);
    put!(html, "</section>");
}

fn row(html: &mut Html, refusal: &LastRefusal, look: &Look<'_>) {
    let LastRefusal { code, at, client, agent, detail } = refusal;
    put!(html, "<tr><th scope=\"row\"><code>" (code) "</code><td class=\"n\" data-l=\"Times\">" (look.counters.refusals(Port::Heartbeat, *code))
        "<td data-l=\"Last\">");
    shell::time(html, *at, look);
    put!(html, "<td data-l=\"From\">"(client));
    if let Some(agent) = agent {
        put!(html, ", "(agent));
    }
    let (means, right) = explained(*code);
    put!(html, "<td class=\"w\">" (means) " <span class=\"dim\">" (right) "</span><p class=\"dim\">Last told: \u{201c}" (detail) "\u{201d}</p>");
}

/// Those who look on, in a line.
fn of_viewers(html: &mut Html, look: &Look<'_>) {
    let count = |code: &ErrorCode| look.counters.refusals(Port::Status, *code);
    let mut refused = ErrorCode::ALL.iter().filter(|code| count(code) > 0).peekable();
    if refused.peek().is_none() {
        return put!(html, "<p class=\"dim\">Nobody who looks on was refused.</p>");
    }
    put!(html, "<p class=\"dim\">The status port refused");
    let mut before = " ";
    for code in refused {
        put!(html, (before) "<code>" (code) "</code> " (count(code)) "\u{d7}");
        before = ", ";
    }
    put!(html, ".</p>");
}

/// What an error of the heartbeat port means, and what to do about it.
const fn explained(code: ErrorCode) -> (&'static str, &'static str) {
    match code {
        ErrorCode::BadRequest => (
            "What came cannot be read as HTTP in one way only.",
            "See that the sender speaks plain HTTP to this port, without TLS.",
        ),
        ErrorCode::AddressNotAllowed => {
            ("The address is on no list.", "Add it to whitelisted_ips, if it is meant to send heartbeats.")
        }
        ErrorCode::SignatureMissing => (
            "Nothing came along that proves a sender.",
            "Give the sender its secret; browsers and scanners have none.",
        ),
        ErrorCode::SignatureMalformed => {
            ("The signature cannot be read.", "Let heartbeatd verify look at a captured request.")
        }
        ErrorCode::SignatureMismatch => (
            "The sender's secret is not ours, or the content was changed on its way.",
            "Compare the secrets, or let heartbeatd verify look at a captured request.",
        ),
        ErrorCode::TimestampTooOld => (
            "It was signed longer ago than signature_tolerance allows.",
            "Compare both clocks; something between may hold requests back.",
        ),
        ErrorCode::TimestampTooNew => {
            ("It was signed further ahead than signature_tolerance allows.", "Compare both clocks.")
        }
        ErrorCode::TokenMismatch => {
            ("The token is not one of ours.", "Compare the sender's token with the file that is configured.")
        }
        ErrorCode::TooManyFailures => (
            "Wrong credentials came again and again from one address.",
            "Mend that sender, or take its address off whitelisted_ips; right ones are served all the same.",
        ),
        ErrorCode::NotFound => ("Nothing is at that path.", "The sender's URL must end in endpoint_path."),
        ErrorCode::MethodNotAllowed => {
            ("That path does not know the method.", "Heartbeats are sent by POST.")
        }
        ErrorCode::RequestTimeout => (
            "A request did not arrive in time.",
            "Look at the network, or raise head_timeout and body_timeout under [limits].",
        ),
        _ => of_http(code),
    }
}

/// The same of what senders' libraries and proxies do, and of this box.
const fn of_http(code: ErrorCode) -> (&'static str, &'static str) {
    match code {
        ErrorCode::LengthRequired => ("The content has no length.", "Send Content-Length, or chunks."),
        ErrorCode::BodyTooLarge => ("The content is too large.", "Send less, or raise body under [limits]."),
        ErrorCode::UnsupportedMediaType => ("The content is encoded.", "Send it without Content-Encoding."),
        ErrorCode::UriTooLong => ("The target is too long.", "Send no more than endpoint_path."),
        ErrorCode::HeadTooLarge => {
            ("The head is too large.", "Send fewer fields, or raise head and headers under [limits].")
        }
        ErrorCode::ExpectationFailed => ("An Expect is not known.", "Send none but 100-continue."),
        ErrorCode::NotImplemented => {
            ("A method or transfer coding is not known.", "Heartbeats are sent by POST, whole or in chunks.")
        }
        ErrorCode::VersionNotSupported => (
            "It is neither HTTP/1.0 nor HTTP/1.1.",
            "Let the sender, or the proxy before this box, speak HTTP/1.1.",
        ),
        ErrorCode::Overloaded => (
            "More callers at once than are allowed.",
            "Let senders close their connections, or raise connections under [limits].",
        ),
        ErrorCode::StorageFull => {
            ("There was no room to record it.", "Free some space; it goes on by itself.")
        }
        ErrorCode::StorageUnavailable => (
            "The database could not be written.",
            "While that lasts it stands on top of each page; the log tells the rest.",
        ),
        ErrorCode::ClockNotSet => (
            "This box's clock was not set, so a signed time could not be judged.",
            "Let the box reach a time server (timedatectl).",
        ),
        ErrorCode::ShuttingDown => ("The daemon was ending.", "Senders try again by themselves."),
        ErrorCode::MisdirectedRequest => ("It was meant for another host.", "Look at the sender's URL."),
        _ => ("This program made a mistake.", "Please report it with the log."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_that_callers_get_is_explained_as_itself() {
        let of_operators = [ErrorCode::Conflict, ErrorCode::InvalidFlow, ErrorCode::InvalidRequest];
        let all = ErrorCode::ALL.iter().filter(|code| !of_operators.contains(code));
        let mut seen = std::collections::BTreeSet::new();
        for code in all {
            let (means, right) = explained(*code);
            assert!(means.ends_with('.') && right.ends_with('.'), "{code}");
            assert!(seen.insert(means), "{code}: {means}");
        }
    }
}
