//! The pages for people: HTML over the store and what is counted, made in small steps, so that no page holds up the loop.
//!
//! Architecture invariants: nothing here changes anything. A page leans on nothing outside of itself: style and script are
//! inside, and its content security policy allows nothing else.

mod agents;
mod assets;
mod badge;
mod banners;
mod definition;
mod figures;
mod flow;
mod html;
mod listing;
mod machine;
mod overview;
mod plot;
mod query;
mod record;
mod refusals;
mod run;
mod runs;
mod shell;
mod standing;
mod strip;
mod system;
mod waits;

pub use assets::policy;
pub use badge::Badge;
pub use query::{FlowsQuery, RunsQuery, SystemQuery};

use super::Counters;
use crate::auth::Agent;
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
    System(SystemQuery),
    /// `/badge/NAME.svg` and `.json`.
    Badge(Badge),
    /// What somebody with a browser asks for at a path where nothing is.
    Nowhere,
}

/// What pages are made of.
#[derive(Debug)]
pub struct Look<'a> {
    /// What the runtime counts and has in hand, with the database.
    pub runtime: &'a Runtime,
    /// What the server counts.
    pub counters: &'a Counters,
    /// The configured agents.
    pub agents: &'a [Agent],
    /// What is wrong with flow files, a line each.
    pub bad_flow_files: Vec<String>,
    /// Why the last reload failed, if it did.
    pub reload_error: Option<&'a str>,
    /// Reloads that failed, since the start.
    pub failed_reloads: u64,
    /// The box's name.
    pub host: &'a str,
    /// Bytes that are free where the database lies, and all bytes there; none: not known.
    pub disk: Option<(u64, u64)>,
    /// Rises with every change that is more than the time.
    pub change: u64,
    /// Bytes that the daemon's own thread had written, by the kernel's account; none: the kernel keeps none.
    pub written_bytes: Option<u64>,
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
    content_type: &'static str,
    page: Page,
    /// Whether the ends of outputs were shown so far.
    shows_output: bool,
    rest: Rest,
}

/// A page that is whole, as it is sent.
#[derive(Debug)]
pub struct Sheet {
    /// The first line.
    pub status: Status,
    /// [`HTML`], unless it is a badge.
    pub content_type: &'static str,
    /// The content.
    pub body: Vec<u8>,
}

#[derive(Debug)]
enum Rest {
    Begin,
    Flows(Box<overview::Rest>),
    Flow(Box<flow::Rest>),
}

impl Drawing {
    /// Nothing is made yet.
    pub fn new(page: Page) -> Self {
        let (status, content_type) = (Status::OK, HTML);
        Self { html: Html::default(), status, content_type, page, shows_output: false, rest: Rest::Begin }
    }

    /// Makes a further part: at most one flow's row. True when the page is whole.
    pub fn step(&mut self, look: &Look<'_>) -> bool {
        if self.shows_output && !look.shows_output {
            // What was made so far may tell what is hidden from now on.
            *self = Self::new(self.page.clone());
        }
        self.shows_output = look.shows_output;
        let went_on = match &mut self.rest {
            Rest::Begin => self.begin(look),
            Rest::Flows(rest) => overview::go_on(&mut self.html, rest, look),
            Rest::Flow(rest) => flow::go_on(&mut self.html, rest, look),
        };
        went_on.unwrap_or_else(|error| {
            self.html = shell::unreadable(&error, look);
            self.status = Status::SERVICE_UNAVAILABLE;
            true
        })
    }

    /// The page, once it is whole.
    pub fn finish(self) -> Sheet {
        Sheet { status: self.status, content_type: self.content_type, body: self.html.into_bytes() }
    }

    /// Makes the first part. True when that was all.
    fn begin(&mut self, look: &Look<'_>) -> Result<bool> {
        let Self { html, page, .. } = self;
        if let Page::Badge(badge) = page {
            (self.html, self.status, self.content_type) = badge.draw(look);
            return Ok(true);
        }
        if look.runtime.is_closed() {
            self.status = Status::SERVICE_UNAVAILABLE;
            system::write(html, &SystemQuery::default(), look);
            return Ok(true);
        }
        let is_there = match page {
            Page::Flows(query) => {
                self.rest = Rest::Flows(Box::new(overview::begin(query.clone())));
                return Ok(false);
            }
            Page::Flow(name, query) => match flow::begin(html, name, query, look)? {
                Some(rest) => {
                    self.rest = Rest::Flow(rest);
                    return Ok(false);
                }
                None => false,
            },
            Page::Run(run) => run::write(html, *run, look)?,
            Page::System(query) => {
                self.status = system::write(html, query, look);
                true
            }
            Page::Badge(_) | Page::Nowhere => false,
        };
        if !is_there {
            self.status = Status::NOT_FOUND;
            shell::missing(html, page, look);
        }
        Ok(true)
    }
}
