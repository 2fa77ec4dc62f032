//! What stands around every page: its head, where one can go, what is wrong with the box and what to do about it.

use super::assets::{SCRIPT, SHAPES, STYLE};
use super::html::{Html, put};
use super::{Look, Page, banners};
use crate::store::StoreError;
use crate::time::Wall;
use crate::words;

/// What [`end`] writes measures less, in bytes.
pub(super) const END_BYTES_MAX: usize = SCRIPT.len() + 300;

/// Which page one is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Flows,
    System,
    Elsewhere,
}

/// Begins a page: everything up to its own content.
pub(super) fn begin(html: &mut Html, title: &str, place: Place, look: &Look<'_>) {
    put!(html, "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">"
        "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">"
        "<meta name=\"color-scheme\" content=\"light dark\">"
        "<link rel=\"icon\" href=\"data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Cpath "
        "d='M1 9h3l2-6 4 11 2-5h3' fill='none' stroke='%232f7d55' stroke-width='2'/%3E%3C/svg%3E\"><title>"
        (title) " \u{b7} " (host(look)) "</title><style>");
    html.markup(STYLE);
    put!(html, "</style></head><body><a class=\"skip\" href=\"#main\">To the content</a>");
    html.markup(SHAPES);
    put!(html, "<header><p class=\"brand\"><svg class=\"beat\" viewBox=\"0 0 16 16\" aria-hidden=\"true\"><path d=\"M1 9h3l2-6 4 11 2-5h3\"/></svg>"
        (host(look)) "</p><nav aria-label=\"Pages\">");
    for (target, words, of) in [("/", "Flows", Place::Flows), ("/system", "System", Place::System)] {
        put!(html, "<a href=\"" (target) "\"");
        if of == place {
            html.markup(" aria-current=\"page\"");
        }
        put!(html, ">" (words) "</a>");
    }
    put!(html, "</nav><p class=\"now\"><span id=\"live\" data-change=\"" (look.change) "\"></span> ");
    time(html, look.now.wall, look);
    put!(html, "</p></header><main id=\"main\">");
    banners::write(html, look);
}

/// Ends a page.
pub(super) fn end(html: &mut Html) {
    put!(html, "</main><footer>heartbeatd " (env!("CARGO_PKG_VERSION"))
        " \u{b7} read-only \u{b7} times are in <span id=\"zone\">UTC</span></footer><p id=\"said\" class=\"vh\" aria-live=\"polite\"></p><script>");
    html.markup(SCRIPT);
    put!(html, "</script></body></html>");
}

/// A time, from now and exactly: `3 min ago 07:45:12`. Exactly alone between a clock that was set and one that was not, as
/// nobody knows how far these are apart: without `datetime`, so that the script leaves it alone.
pub(super) fn time(html: &mut Html, at: Wall, look: &Look<'_>) {
    let (at, now) = (Wall::from_seconds(at.as_seconds()), look.now.wall);
    let (text, today) = (at.rfc3339(), now.rfc3339());
    let is_today = text.get(..10) == today.get(..10);
    let from = if is_today {
        11
    } else if text.get(..4) == today.get(..4) {
        5
    } else {
        0
    };
    let exact = text.get(from..).unwrap_or(&text).replace('T', " ").replace('Z', "");
    if at.is_set() != now.is_set() {
        return put!(html, "<time><b>" (exact) "</b></time>");
    }
    put!(html, "<time datetime=\"" (text) "\"><b>" (words::relative(at, now)) "</b> <i>" (exact) "</i></time>");
}

/// The page in place of one that cannot be made, as the database cannot be read.
pub(super) fn unreadable(error: &StoreError, look: &Look<'_>) -> Html {
    let mut html = Html::default();
    begin(&mut html, "The database cannot be read", Place::Elsewhere, look);
    put!(html, "<h1>The database cannot be read</h1><p>" (error) "</p><p class=\"do\">" (error.help()) "</p>");
    end(&mut html);
    html
}

/// The page in place of one that does not exist.
pub(super) fn missing(html: &mut Html, page: &Page, look: &Look<'_>) {
    begin(html, "Not found", Place::Elsewhere, look);
    match page {
        Page::Flow(name, _) => {
            let name: String = name.chars().take(128).collect();
            put!(html, "<h1>There is no flow <code>" (name) "</code></h1>");
        }
        Page::Run(run) => {
            put!(html, "<h1>There is no run " (run.0) "</h1><p>It may be older than what is kept.</p>")
        }
        Page::Flows(_) | Page::System(_) | Page::Badge(_) | Page::Nowhere => {
            put!(html, "<h1>Nothing is here</h1>")
        }
    }
    put!(html, "<p><a href=\"/\">All flows</a></p>");
    end(html);
}

pub(super) fn host<'a>(look: &Look<'a>) -> &'a str {
    if look.host.is_empty() { "heartbeatd" } else { look.host }
}
