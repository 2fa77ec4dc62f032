//! The pages for people: HTML over the store and what is counted, made in small steps, so that no page holds up the loop.
//!
//! Architecture invariants: nothing here changes anything. A page leans on nothing outside of itself: style and script are
//! inside, and its content security policy allows nothing else.

mod assets;
mod figures;
mod flow;
mod html;
mod overview;
mod query;
mod run;
mod shell;
mod standing;
mod strip;
mod system;

pub use assets::policy;
pub use query::{FlowsQuery, RunsQuery};

use super::Counters;
use crate::http::Status;
use crate::runtime::Runtime;
use crate::store::{Result, RunId};
use crate::time::Now;
use html::Html;

/// A page's type.
pub const HTML: &str = "text/html; charset=utf-8";

/// A page that somebody wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Page {
    /// `/`: all flows, problems first.
    Flows(FlowsQuery),
    /// `/flows/NAME`.
    Flow(String, RunsQuery),
    /// `/runs/ID`.
    Run(RunId),
    /// `/system`: the agents and the box.
    System,
}

/// What pages are made of.
#[derive(Debug)]
pub struct Look<'a> {
    /// What the runtime counts and has in hand, with the database.
    pub runtime: &'a Runtime,
    /// What the server counts.
    pub counters: &'a Counters,
    /// The configured agents.
    pub agents: Vec<&'a str>,
    /// What is wrong with flow files, a line each.
    pub bad_flow_files: &'a [String],
    /// Why the last reload failed, if it did.
    pub reload_error: Option<&'a str>,
    /// The box's name.
    pub host: &'a str,
    /// Bytes that are free where the database lies, and all bytes there; none: not known.
    pub disk: Option<(u64, u64)>,
    /// Whether the ends of outputs are shown.
    pub shows_output: bool,
    /// The time.
    pub now: Now,
}

/// A page in the making.
#[derive(Debug)]
pub struct Drawing {
    html: Html,
    status: Status,
    rest: Rest,
}

#[derive(Debug)]
enum Rest {
    Begin(Page),
    Flows(overview::Rest),
    Done,
}

impl Drawing {
    /// Nothing is made yet.
    pub fn new(page: Page) -> Self {
        Self { html: Html::default(), status: Status::OK, rest: Rest::Begin(page) }
    }

    /// Makes a further part: at most one flow's. True when the page is whole.
    pub fn step(&mut self, look: &Look<'_>) -> bool {
        match self.go_on(look) {
            Ok(rest) => self.rest = rest,
            Err(error) => {
                self.html = shell::unreadable(&error, look);
                self.status = Status::SERVICE_UNAVAILABLE;
                self.rest = Rest::Done;
            }
        }
        matches!(self.rest, Rest::Done)
    }

    /// The page, once it is whole.
    pub fn finish(self) -> (Status, Vec<u8>) {
        (self.status, self.html.into_bytes())
    }

    fn go_on(&mut self, look: &Look<'_>) -> Result<Rest> {
        let html = &mut self.html;
        let page = match std::mem::replace(&mut self.rest, Rest::Done) {
            Rest::Flows(rest) => {
                return Ok(overview::go_on(html, rest, look)?.map_or(Rest::Done, Rest::Flows));
            }
            Rest::Done => return Ok(Rest::Done),
            Rest::Begin(page) => page,
        };
        if look.runtime.is_closed() {
            self.status = Status::SERVICE_UNAVAILABLE;
            system::write(html, look)?;
            return Ok(Rest::Done);
        }
        let is_there = match &page {
            Page::Flows(query) => return overview::begin(html, query, look).map(Rest::Flows),
            Page::Flow(name, query) => flow::write(html, name, query, look)?,
            Page::Run(run) => run::write(html, *run, look)?,
            Page::System => system::write(html, look).map(|()| true)?,
        };
        if !is_there {
            self.status = Status::NOT_FOUND;
            shell::missing(html, &page, look);
        }
        Ok(Rest::Done)
    }
}
