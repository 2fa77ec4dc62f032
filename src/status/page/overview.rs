//! `/`: every flow in a row, problems first; a page of them, each read and made in a step of its own.

use std::collections::VecDeque;

use super::html::{Html, put};
use super::query::FlowsQuery;
use super::shell::{self, Place};
use super::standing::{Filter, State};
use super::strip::{Span, Strip};
use super::{Look, figures};
use crate::flow::ErrorKind;
use crate::limits;
use crate::store::{Flow, FlowDay, FlowId, Result, RunMark, Standing};

/// What is still to be made.
#[derive(Debug)]
pub(super) struct Rest {
    flows: VecDeque<(FlowId, State)>,
    span: Span,
    /// What comes below the flows.
    end: Html,
    /// Flows whose output is shown unfolded.
    unfolded: usize,
}

/// A flow's row, with what it is made of.
struct Row {
    flow: Flow,
    state: State,
    marks: Vec<RunMark>,
    days: Vec<FlowDay>,
    strips: [Strip; 3],
}

/// Makes everything above the flows, and finds which they are.
pub(super) fn begin(html: &mut Html, query: &FlowsQuery, look: &Look<'_>) -> Result<Rest> {
    let mut flows: Vec<(State, Standing)> = look
        .runtime
        .store()
        .standings(&query.search)?
        .into_iter()
        .map(|flow| (State::of(&flow, look.runtime, look.now), flow))
        .collect();
    flows.sort_unstable_by(|(a, left), (b, right)| (a.rank(), &left.name).cmp(&(b.rank(), &right.name)));
    let admitted = |filter: Option<Filter>, (state, flow): &(State, Standing)| {
        filter.is_none_or(|filter| filter.admits(*state, flow.in_progress.is_some()))
    };
    let count = |filter| flows.iter().filter(|flow| admitted(filter, flow)).count();
    let counts = Filter::ALL.map(|filter| (filter, count(Some(filter))));
    let shown: Vec<_> = flows.iter().filter(|flow| admitted(query.filter, flow)).collect();
    let problems = counts[0].1;
    let title = match problems {
        0 => "All is well".to_owned(),
        1 => "1 problem".to_owned(),
        many => format!("{many} problems"),
    };
    shell::begin(html, &title, Place::Flows, look);
    heading(html, &flows, problems, look);
    controls(html, query, flows.len(), &counts);
    let pages = shown.len().div_ceil(limits::FLOWS_PER_PAGE).max(1);
    let page = query.page.min(pages - 1);
    if shown.is_empty() {
        let nothing = if query.search.is_empty() && query.filter.is_none() {
            "No flow is on record yet: heartbeatd flow new NAME writes one."
        } else {
            "No flow is like that."
        };
        put!(html, "<p class=\"none\">" (nothing) "</p>");
    }
    axis(html, query.span);
    put!(html, "<ol class=\"flows\">");
    let flows = shown.iter().skip(page * limits::FLOWS_PER_PAGE).take(limits::FLOWS_PER_PAGE);
    let flows = flows.map(|(state, flow)| (flow.id, *state)).collect();
    Ok(Rest { flows, span: query.span, end: turn(query, page, pages), unfolded: 0 })
}

/// Makes the next flow's row; none left: the end.
pub(super) fn go_on(html: &mut Html, mut rest: Rest, look: &Look<'_>) -> Result<Option<Rest>> {
    let Some((id, state)) = rest.flows.pop_front() else {
        put!(html, "</ol>");
        html.append(&rest.end);
        shell::end(html);
        return Ok(None);
    };
    // It may have been removed since the page was begun.
    if let Some(flow) = look.runtime.store().flow_with_id(id)? {
        let row = Row::read(flow, state, look)?;
        row.write(html, rest.span, &mut rest.unfolded, look)?;
    }
    Ok(Some(rest))
}

fn heading(html: &mut Html, flows: &[(State, Standing)], problems: usize, look: &Look<'_>) {
    let (shape, words) = match problems {
        0 if flows.is_empty() => ("new", "No flows".to_owned()),
        0 => ("fine", "All flows are well".to_owned()),
        1 => ("failing", "1 flow needs attention".to_owned()),
        many => ("failing", format!("{many} flows need attention")),
    };
    put!(html, "<div class=\"sum\"><h1><svg class=\"ic " (shape) "\" aria-hidden=\"true\"><use href=\"#s-" (shape) "\"/></svg>" (words)
        "</h1><p>" (flows.len()) " flows");
    for state in [State::Running, State::Waiting, State::Held, State::Disabled] {
        let count = flows.iter().filter(|(of, _)| *of == state).count();
        if count > 0 {
            put!(html, " \u{b7} " (count) " " (state.words()));
        }
    }
    put!(html, " \u{b7} last heartbeat <span id=\"heard\">");
    match look.runtime.summary(look.now.monotonic).last_heartbeat {
        Some((agent, at)) => {
            shell::time(html, at, look);
            put!(html, " from "(agent));
        }
        None => put!(html, "none since the start"),
    }
    put!(html, "</span></p></div>");
}

/// Search, filters and span: a form and links, which work without a script.
fn controls(html: &mut Html, query: &FlowsQuery, total: usize, counts: &[(Filter, usize)]) {
    put!(html, "<form class=\"find\" role=\"search\" action=\"/\"><label class=\"vh\" for=\"q\">Search flows</label>"
        "<input id=\"q\" name=\"q\" type=\"search\" placeholder=\"Search\" maxlength=\"100\" autocomplete=\"off\" value=\"" (query.search) "\">");
    if let Some(filter) = query.filter {
        put!(html, "<input type=\"hidden\" name=\"state\" value=\"" (filter.as_str()) "\">");
    }
    if query.span != Span::default() {
        put!(html, "<input type=\"hidden\" name=\"span\" value=\"" (query.span.as_str()) "\">");
    }
    put!(html, "<button>Search</button></form><nav class=\"chips\" aria-label=\"Which flows\">");
    let all = [(None, total)].into_iter().chain(counts.iter().map(|(filter, count)| (Some(*filter), *count)));
    for (filter, count) in all {
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
    for label in span.labels() {
        put!(html, "<i>" (label) "</i>");
    }
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
        let marks = store.run_marks(flow.id, limits::MARKS_MAX)?;
        let days = store.flow_days(flow.id, figures::first_day(now))?;
        let strips = figures::strips(&flow, &marks, &days, now);
        Ok(Self { flow, state, marks, days, strips })
    }

    fn write(&self, html: &mut Html, span: Span, unfolded: &mut usize, look: &Look<'_>) -> Result<()> {
        let Self { flow, state, marks, days, strips } = self;
        put!(html, "<li class=\"flow\" id=\"f-" (flow.name) "\"><div class=\"who\"><h2>");
        figures::shape(html, *state);
        put!(html, "<a href=\"/flows/" (flow.name) "\">" (flow.name) "</a></h2><p class=\"st " (state.shape()) "\">");
        figures::state(html, *state, flow, marks, look);
        put!(html, " <span>" (figures::every(flow)) "</span></p></div><div class=\"hist\">");
        for strip in strips.iter().filter(|strip| strip.span == span) {
            strip.draw(html);
            strip.table(html);
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
            put!(html, "<dt>" (strip.span.as_str()) "<dd>" (figures::percent(strip.rate())));
        }
        put!(html, "</dl>");
        self.error(html, unfolded, look)?;
        put!(html, "</li>");
        Ok(())
    }

    /// The last error: of a flow that is failing in full, else in a word.
    fn error(&self, html: &mut Html, unfolded: &mut usize, look: &Look<'_>) -> Result<()> {
        let failed = |mark: &&RunMark| mark.error_kind.is_some_and(ErrorKind::counts_as_failure);
        let Some(mark) = self.marks.iter().find(failed) else { return Ok(()) };
        if self.state != State::Failing {
            put!(html, "<p class=\"err was\">last error ");
            shell::time(html, mark.ended_at.unwrap_or(mark.scheduled_at), look);
            let kind = mark.error_kind.map_or("", ErrorKind::as_str);
            put!(html, ": <a href=\"/runs/" (mark.id.0) "\">" (kind) "</a></p>");
            return Ok(());
        }
        let Some(run) = look.runtime.store().run(mark.id)? else { return Ok(()) };
        let why = figures::why(&run, look).unwrap_or_default();
        put!(html, "<div class=\"err\"><p><a href=\"/runs/" (run.id) "\">Run " (run.id) "</a> " (figures::start_of(why, limits::ERROR_SHOWN_BYTES)) "</p>");
        let tail = figures::end_of(run.output.as_deref().unwrap_or_default(), limits::TAIL_SHOWN_BYTES);
        if look.shows_output && !tail.is_empty() {
            put!(html, "<details");
            if *unfolded < limits::TAILS_UNFOLDED {
                *unfolded += 1;
                html.markup(" open");
            }
            put!(html, "><summary>Its last output</summary><pre tabindex=\"0\">" (tail) "</pre></details>");
        }
        put!(html, "</div>");
        Ok(())
    }
}
