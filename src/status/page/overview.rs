//! `/`: every flow in a row, problems first; a page of them, each read and made in a step of its own.

use std::collections::VecDeque;

use super::html::{Html, put};
use super::listing::Listing;
use super::query::FlowsQuery;
use super::shell::{self, Place};
use super::standing::{Filter, State};
use super::strip::{DAY_MS, ROWS_MAX, Span, Strip};
use super::{Look, figures, record};
use crate::flow::ErrorKind;
use crate::limits;
use crate::store::{Flow, FlowDay, FlowId, Result, RunMark};
use crate::time::Wall;

/// What stands around an error and the tail of its output, in bytes.
const MARKUP_OF_ERROR_BYTES: usize = 150;
/// Rows of a strip's table where there is little room.
const ROWS_TIGHT: usize = 3;

/// What is still to be made.
#[derive(Debug)]
pub(super) struct Rest {
    query: FlowsQuery,
    part: Part,
}

#[derive(Debug)]
enum Part {
    /// Which flows they are is still to be found.
    Listing(Listing),
    Rows(Rows),
}

/// Flows whose rows are still to be made.
#[derive(Debug)]
struct Rows {
    flows: VecDeque<(FlowId, State)>,
    /// What comes below them.
    end: Html,
    /// Flows whose output is shown unfolded.
    unfolded: usize,
    /// What the page may measure.
    bytes_max: usize,
}

/// A flow's row, with what it is made of.
struct Row {
    flow: Flow,
    state: State,
    marks: Vec<RunMark>,
    days: Vec<FlowDay>,
    strips: [Strip; 3],
}

/// Begins with finding out which flows they are: the title says how they are.
pub(super) fn begin(query: FlowsQuery) -> Rest {
    Rest { query, part: Part::Listing(Listing::default()) }
}

/// Looks at some flows, or makes the next one's row. True when none was left, and the page is whole.
pub(super) fn go_on(html: &mut Html, rest: &mut Rest, look: &Look<'_>) -> Result<bool> {
    match &mut rest.part {
        Part::Listing(listing) => {
            if listing.step(&rest.query, look)? {
                rest.part = Part::Rows(top(html, &rest.query, listing, look));
            }
        }
        Part::Rows(rows) => {
            let Some((id, state)) = rows.flows.pop_front() else {
                put!(html, "</ol>");
                html.append(&rows.end);
                shell::end(html);
                return Ok(true);
            };
            // It may have been removed since the page was begun.
            if let Some(flow) = look.runtime.store().flow_with_id(id)? {
                Row::read(flow, state, look)?.write(html, rest.query.span, rows, look)?;
            }
        }
    }
    Ok(false)
}

/// Everything above the flows.
fn top(html: &mut Html, query: &FlowsQuery, listing: &Listing, look: &Look<'_>) -> Rows {
    let problems = listing.admitted(Filter::Problems);
    let title = match problems {
        0 if !query.search.is_empty() => "Flows".to_owned(),
        0 => "All is well".to_owned(),
        1 => "1 problem".to_owned(),
        many => format!("{many} problems"),
    };
    shell::begin(html, &title, Place::Flows, look);
    heading(html, query, listing, look);
    controls(html, query, listing);
    let pages = listing.shown().div_ceil(limits::FLOWS_PER_PAGE).max(1);
    let page = query.page.min(pages - 1);
    if listing.shown() == 0 {
        let nothing = if query.search.is_empty() && query.filter.is_none() {
            "No flow is on record yet: heartbeatd flow new NAME writes one."
        } else {
            "No flow is like that."
        };
        put!(html, "<p class=\"none\">" (nothing) "</p>");
    }
    axis(html, query.span);
    put!(html, "<ol class=\"flows\">");
    Rows {
        flows: listing.page(page).collect(),
        end: turn(query, page, pages),
        unfolded: 0,
        bytes_max: limits::PAGE_BYTES_MAX,
    }
}

fn heading(html: &mut Html, query: &FlowsQuery, listing: &Listing, look: &Look<'_>) {
    let (shape, words) = match listing.admitted(Filter::Problems) {
        0 if listing.found() == 0 => ("new", "No flows".to_owned()),
        0 if !query.search.is_empty() => ("fine", "All of these flows are well".to_owned()),
        0 => ("fine", "All flows are well".to_owned()),
        1 => ("failing", "1 flow needs attention".to_owned()),
        many => ("failing", format!("{many} flows need attention")),
    };
    put!(html, "<div class=\"sum\"><h1>");
    figures::icon(html, shape);
    put!(html, (words) "</h1><p>" (listing.found()) " flows");
    for state in [State::Running, State::Waiting, State::Held, State::Disabled] {
        let count = listing.count(state);
        if count > 0 {
            put!(html, " \u{b7} " (count) " " (state.words()));
        }
    }
    put!(html, " \u{b7} last heartbeat <span id=\"heard\">");
    match look.runtime.last_heartbeats().iter().max_by_key(|heard| heard.last_heartbeat_at) {
        Some(heard) => {
            shell::time(html, heard.last_heartbeat_at, look);
            put!(html, " from "(heard.agent));
        }
        None => put!(html, "never"),
    }
    put!(html, "</span></p></div>");
}

/// Search, filters and span: a form and links, which work without a script.
fn controls(html: &mut Html, query: &FlowsQuery, listing: &Listing) {
    put!(html, "<form class=\"find\" role=\"search\" action=\"/\"><label class=\"vh\" for=\"q\">Search flows</label>"
        "<input id=\"q\" name=\"q\" type=\"search\" placeholder=\"Search\" maxlength=\"100\" autocomplete=\"off\" value=\"" (query.search) "\">");
    if let Some(filter) = query.filter {
        put!(html, "<input type=\"hidden\" name=\"state\" value=\"" (filter.as_str()) "\">");
    }
    if query.span != Span::default() {
        put!(html, "<input type=\"hidden\" name=\"span\" value=\"" (query.span.as_str()) "\">");
    }
    put!(html, "<button>Search</button></form><nav class=\"chips\" aria-label=\"Which flows\">");
    for filter in [None].into_iter().chain(Filter::ALL.map(Some)) {
        let count = filter.map_or(listing.found(), |filter| listing.admitted(filter));
        let target = FlowsQuery { filter, page: 0, ..query.clone() };
        link(html, &target, filter == query.filter);
        put!(html, (filter.map_or("all", Filter::as_str)) " <b>" (count) "</b></a>");
    }
    put!(html, "</nav><nav class=\"chips\" aria-label=\"How far back\">");
    for span in Span::ALL {
        link(html, &FlowsQuery { span, ..query.clone() }, span == query.span);
        put!(html, (span.as_str()) "</a>");
    }
    put!(html, "</nav>");
}

fn link(html: &mut Html, target: &FlowsQuery, is_current: bool) {
    put!(html, "<a href=\"" (target) "\"");
    if is_current {
        html.markup(" aria-current=\"true\"");
    }
    put!(html, ">");
}

/// What the columns are; those who hear the page are told in each row.
fn axis(html: &mut Html, span: Span) {
    put!(html, "<div class=\"cols\" aria-hidden=\"true\"><span>Flow</span><span class=\"axis\">");
    span.label(html);
    put!(html, "</span><span>Last and next run</span><span>Took</span><span>Succeeded</span></div>");
}

/// Where the list goes on.
fn turn(query: &FlowsQuery, page: usize, pages: usize) -> Html {
    let mut html = Html::default();
    if pages == 1 {
        return html;
    }
    put!(html, "<nav class=\"turn\" aria-label=\"Further flows\">");
    if page > 0 {
        put!(html, "<a rel=\"prev\" href=\"" (FlowsQuery { page: page - 1, ..query.clone() }) "\">\u{2190} Before</a> ");
    }
    put!(html, "<span>Page " (page + 1) " of " (pages) "</span>");
    if page + 1 < pages {
        put!(html, " <a rel=\"next\" href=\"" (FlowsQuery { page: page + 1, ..query.clone() }) "\">Further \u{2192}</a>");
    }
    put!(html, "</nav>");
    html
}

impl Row {
    fn read(flow: Flow, state: State, look: &Look<'_>) -> Result<Self> {
        let (store, now) = (look.runtime.store(), look.now.wall);
        let mut wanted = record::wanted(flow.consecutive_failures.into(), now);
        let marks = store.run_marks_while(flow.id, limits::MARKS_MAX, &mut wanted)?;
        let days = store.flow_days(flow.id, figures::first_day(now))?;
        let strips = figures::strips(&flow, &marks, &days, now);
        Ok(Self { flow, state, marks, days, strips })
    }

    fn write(&self, html: &mut Html, span: Span, rows: &mut Rows, look: &Look<'_>) -> Result<()> {
        let Self { flow, state, marks, days, strips } = self;
        let room = rows.room(html);
        let begin = html.len();
        // What is heard and told beside it gives way where a page of flows as bad as can be would be too long.
        let is_tight = room < limits::ROW_BYTES_ROOMY;
        put!(html, "<li class=\"flow\" id=\"f-" (flow.name) "\"><div class=\"who\"><h2>");
        figures::icon(html, state.shape());
        put!(html, "<a href=\"/flows/" (flow.name) "\">" (flow.name) "</a></h2><p class=\"st " (state.shape()) "\">");
        figures::state(html, *state, flow, marks, look);
        put!(html, " <span>" (figures::every(flow)) "</span></p>");
        if let Some(description) = flow.description.as_deref().filter(|text| !text.is_empty() && !is_tight) {
            put!(html, "<p class=\"about\">" (figures::start_of(description, limits::DESCRIPTION_SHOWN_BYTES)) "</p>");
        }
        put!(html, "</div><div class=\"hist\">");
        for strip in strips.iter().filter(|strip| strip.span == span) {
            strip.draw(html);
            strip.table(html, if is_tight { ROWS_TIGHT } else { ROWS_MAX });
        }
        put!(html, "</div><dl class=\"when\"><dt>last<dd>");
        match flow.last_run_at {
            Some(at) => shell::time(html, at, look),
            None => put!(html, "never"),
        }
        put!(html, "<dt>next<dd>");
        figures::next(html, *state, flow, look);
        let took = figures::Took::of(marks, days);
        put!(html, "</dl><dl class=\"took\"><dt>median<dd>" (took.median()) "<dt>longest<dd>" (took.longest())
            "</dl><dl class=\"rates\">");
        for strip in strips {
            put!(html, "<dt>" (strip.rate_of()) "<dd>" (figures::percent(strip.rate())));
        }
        put!(html, "</dl>");
        self.error(html, room.saturating_sub(html.len() - begin), rows, look)?;
        put!(html, "</li>");
        Ok(())
    }

    /// The last error: of a flow that is failing in full, as far as there is room for so many bytes; else in a word.
    fn error(&self, html: &mut Html, room: usize, rows: &mut Rows, look: &Look<'_>) -> Result<()> {
        let Some(mark) = figures::last_failure(&self.marks) else {
            self.error_long_ago(html);
            return Ok(());
        };
        if self.state != State::Failing {
            put!(html, "<p class=\"err was\">last error ");
            shell::time(html, mark.ended_at.unwrap_or(mark.scheduled_at), look);
            let kind = mark.error_kind.map_or("", ErrorKind::as_str);
            put!(html, ": <a href=\"/runs/" (mark.id.0) "\">" (kind) "</a></p>");
            return Ok(());
        }
        let Some(run) = look.runtime.store().run(mark.id)? else { return Ok(()) };
        let why = figures::why(&run, look).unwrap_or_default();
        let begin = html.len();
        let shown_bytes = limits::ERROR_SHOWN_BYTES.min(room.saturating_sub(MARKUP_OF_ERROR_BYTES));
        put!(html, "<div class=\"err\"><p><a href=\"/runs/" (run.id) "\">Run " (run.id) "</a> " (figures::start_of(why, shown_bytes)) "</p>");
        let room = room.saturating_sub(html.len() - begin + MARKUP_OF_ERROR_BYTES);
        let tail = figures::tail(&run, limits::TAIL_SHOWN_BYTES.min(room), look);
        if !tail.is_empty() {
            figures::fold(html, tail, rows.unfolded < limits::TAILS_UNFOLDED);
            rows.unfolded += 1;
        }
        put!(html, "</div>");
        Ok(())
    }

    /// One before the runs that were read for the list is only known by its day.
    fn error_long_ago(&self, html: &mut Html) {
        let Some(day) = self.days.iter().rfind(|day| day.failed > 0) else { return };
        let date = Wall::from_millis(day.day.saturating_mul(DAY_MS)).rfc3339();
        put!(html, "<p class=\"err was\">last error on " (date.get(..10).unwrap_or(&date)) ": <a href=\"/flows/"
            (self.flow.name) "?status=failed\">failed runs</a></p>");
    }
}

impl Rows {
    /// What the next row may measure, in bytes, so that the page stays within its bound whatever follows.
    fn room(&self, html: &Html) -> usize {
        let rest = self.bytes_max.saturating_sub(html.len() + self.end.len() + shell::END_BYTES_MAX);
        rest / (self.flows.len() + 1)
    }
}

#[cfg(test)]
mod tests;
