//! What those see who look on: pages for people, and metrics. Read-only views over the store and what is counted.
//!
//! Architecture invariants: pure, as far as the store is; nothing here changes anything. What a browser may read it may
//! read only under a name that is this box's own, so that no page of somebody else's reads it by DNS rebinding.

mod counters;
mod exposition;
mod flows;
mod metrics;
mod page;

use std::net::IpAddr;

pub use counters::{Counters, LastRefusal, Port};
pub use metrics::{CONTENT_TYPE, View, render};
pub use page::{Badge, Drawing, FlowsQuery, HTML, Look, Page, RunsQuery, Sheet, SystemQuery, policy};

use crate::auth::Allowlist;
use crate::gate::Denial;
use crate::http::{ErrorCode, Method, Refusal, Request};
use crate::store::RunId;

const ALLOW: &str = "GET, HEAD, OPTIONS";

/// Who may look on. The default lets nobody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Viewers {
    whitelist: Allowlist,
    hosts: Vec<String>,
    output: bool,
    badges: bool,
}

/// What somebody looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sight {
    /// Does the process answer?
    Health,
    /// Could it record a run?
    Readiness,
    /// Everything that is counted.
    Metrics,
    /// A page.
    Page(Page),
    /// What happens, as it happens.
    Events,
    /// `OPTIONS`: the methods that the target knows.
    Options(&'static str),
}

impl Viewers {
    /// Viewers from these addresses, who call the box by one of these names (in lower case), `localhost` or an address.
    pub fn new(whitelist: Allowlist, hosts: Vec<String>) -> Self {
        Self { whitelist, hosts, output: false, badges: false }
    }

    /// Whether they see the ends of runs' outputs.
    #[must_use]
    pub fn seeing_output(mut self, output: bool) -> Self {
        self.output = output;
        self
    }

    /// Whether they see the ends of runs' outputs.
    pub const fn shows_output(&self) -> bool {
        self.output
    }

    /// Whether there are badges.
    #[must_use]
    pub fn seeing_badges(mut self, badges: bool) -> Self {
        self.badges = badges;
        self
    }

    /// Whether a byte from this peer is read at all; if not, what it is told.
    ///
    /// # Errors
    /// The refusal.
    pub fn admit(&self, peer: IpAddr) -> Result<(), Denial> {
        if self.whitelist.contains(peer) {
            return Ok(());
        }
        let detail = "this address is not in whitelisted_ips under [status]";
        Err(Denial { detail: detail.into(), ..Denial::of_address(peer) })
    }

    /// What a request from an admitted peer is for.
    ///
    /// # Errors
    /// The refusal.
    pub fn route(&self, request: &Request<'_>, peer: IpAddr) -> Result<Sight, Denial> {
        // The list may have changed since the connection was made.
        self.admit(peer)?;
        let deny = |code, detail| Denial::of_refusal(Refusal::new(code, detail), peer);
        let wrong = match request.host_name() {
            Some(name) if self.is_ours(name) => None,
            Some(_) => Some(
                "this name is not this box's: call it by its address, or name it in hosts under [status]",
            ),
            None => Some("the request names no host: Host with the box's address or name would be right"),
        };
        if let Some(detail) = wrong {
            return Err(deny(ErrorCode::MisdirectedRequest, detail));
        }
        if request.target_is_asterisk() {
            return Ok(Sight::Options(ALLOW));
        }
        let sight = match request.path {
            "/healthz" => Sight::Health,
            "/readyz" => Sight::Readiness,
            "/metrics" => Sight::Metrics,
            "/events" => Sight::Events,
            path => match page_at(path, request.query).or_else(|| self.badge_at(path, request.query)) {
                Some(page) => Sight::Page(page),
                // A browser says that it takes it; a program gets a problem document.
                None if accepts_html(request) => Sight::Page(Page::Nowhere),
                None => return Err(deny(ErrorCode::NotFound, "nothing is at this path")),
            },
        };
        match request.method {
            Method::Get | Method::Head => Ok(sight),
            Method::Options => Ok(Sight::Options(ALLOW)),
            Method::Other => Err(deny(ErrorCode::NotImplemented, "this method is not known here")),
            _ => {
                let detail = "nothing can be changed here; Allow names the methods that are known";
                Err(Denial { allow: Some(ALLOW), ..deny(ErrorCode::MethodNotAllowed, detail) })
            }
        }
    }

    fn badge_at(&self, path: &str, query: Option<&str>) -> Option<Page> {
        let file = path.strip_prefix("/badge/").filter(|_| self.badges)?;
        Badge::read(file, query).map(Page::Badge)
    }

    /// No page of another origin comes under an address, or under a name that nobody else can have.
    fn is_ours(&self, name: &str) -> bool {
        let is_named = |host: &String| host.eq_ignore_ascii_case(name);
        name.parse::<IpAddr>().is_ok()
            || name.eq_ignore_ascii_case("localhost")
            || self.hosts.iter().any(is_named)
    }
}

/// The page at a path. Names of flows hold nothing that would be percent-encoded.
fn page_at(path: &str, query: Option<&str>) -> Option<Page> {
    Some(match path {
        "/" => Page::Flows(FlowsQuery::read(query)),
        "/system" => Page::System(SystemQuery::read(query)),
        _ => match path.strip_prefix("/flows/") {
            Some(name) => Page::Flow(name.to_owned(), RunsQuery::read(query)),
            None => Page::Run(RunId(path.strip_prefix("/runs/")?.parse().ok().filter(|id| *id > 0)?)),
        },
    })
}

fn accepts_html(request: &Request<'_>) -> bool {
    let names_it = |value: &[u8]| value.to_ascii_lowercase().windows(9).any(|part| part == b"text/html");
    request.fields("accept").any(names_it)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::parse_rule;
    use crate::http::{Limits, Progress, Receiver};

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn viewers() -> Viewers {
        let whitelist = Allowlist::new(vec![parse_rule("127.0.0.0/8").unwrap()]);
        Viewers::new(whitelist, vec!["box.example".to_owned()])
    }

    fn route(request: &str) -> Result<Sight, Denial> {
        let mut receiver = Receiver::new();
        receiver.receive(request.as_bytes());
        match receiver.poll(&Limits::default()) {
            Progress::Request(request) => viewers().route(&request, PEER),
            other => panic!("a request is understood: {other:?}"),
        }
    }

    fn code(request: &str) -> &'static str {
        route(request).unwrap_err().code.as_str()
    }

    #[test]
    fn only_those_on_the_list_are_admitted() {
        assert!(viewers().admit(PEER).is_ok());
        let denial = viewers().admit("10.0.0.1".parse().unwrap()).unwrap_err();
        assert!(denial.detail.contains("[status]"));
        assert!(Viewers::default().admit(PEER).is_err(), "nobody, unless somebody is named");
    }

    #[test]
    fn no_page_reads_it_under_a_name_of_its_own() {
        let by = |host: &str| route(&format!("GET /metrics HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        for host in ["127.0.0.1", "127.0.0.1:8788", "[::1]:8788", "10.1.2.3", "localhost", "LocalHost:1"] {
            assert_eq!(by(host), Ok(Sight::Metrics), "{host}");
        }
        for host in ["box.example", "BOX.example:80"] {
            assert_eq!(by(host), Ok(Sight::Metrics), "{host}");
        }
        for host in
            ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "box.example.", "2130706433"]
        {
            assert_eq!(by(host).unwrap_err().code, ErrorCode::MisdirectedRequest, "{host}");
        }
        assert_eq!(
            code("GET http://evil.example/metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"),
            "misdirected_request"
        );
        assert_eq!(code("GET /metrics HTTP/1.0\r\n\r\n"), "misdirected_request");
        assert_eq!(code("OPTIONS * HTTP/1.1\r\nHost: evil.example\r\n\r\n"), "misdirected_request");
    }

    #[test]
    fn a_request_without_a_host_is_told_so() {
        let denial = route("GET / HTTP/1.0\r\n\r\n").unwrap_err();
        assert!(denial.detail.contains("names no host"), "{}", denial.detail);
    }

    #[test]
    fn badges_are_there_if_they_are_wanted() {
        let request = "GET /badge/a.svg HTTP/1.1\r\nHost: localhost\r\n\r\n";
        assert_eq!(code(request), "not_found");
        let mut receiver = Receiver::new();
        receiver.receive(request.as_bytes());
        let Progress::Request(request) = receiver.poll(&Limits::default()) else { panic!("it is one") };
        let sight = viewers().seeing_badges(true).route(&request, PEER);
        assert!(matches!(sight, Ok(Sight::Page(Page::Badge(_)))), "{sight:?}");
    }

    #[test]
    fn somebody_with_a_browser_who_mistypes_gets_a_page_and_a_program_a_problem() {
        let ask = |accept: &str| {
            route(&format!("GET /flowz HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\n\r\n"))
        };
        assert_eq!(ask("text/html,application/xhtml+xml,*/*;q=0.8"), Ok(Sight::Page(Page::Nowhere)));
        assert_eq!(ask("application/json, Text/HTML"), Ok(Sight::Page(Page::Nowhere)));
        for accept in ["*/*", "application/json", "text/*"] {
            assert_eq!(ask(accept).unwrap_err().code, ErrorCode::NotFound, "{accept}");
        }
    }

    #[test]
    fn what_is_there_can_be_looked_at_and_nothing_else() {
        let ask = |line: &str| route(&format!("{line} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        assert_eq!(ask("HEAD /healthz"), Ok(Sight::Health));
        assert_eq!(ask("GET /readyz?x"), Ok(Sight::Readiness));
        assert_eq!(ask("GET /events"), Ok(Sight::Events));
        assert_eq!(ask("OPTIONS /metrics"), Ok(Sight::Options(ALLOW)));
        assert_eq!(ask("OPTIONS *"), Ok(Sight::Options(ALLOW)));
        let refused = ask("DELETE /metrics").unwrap_err();
        assert_eq!((refused.code, refused.allow), (ErrorCode::MethodNotAllowed, Some(ALLOW)));
        for path in ["/metrics/", "/flows", "/runs/0", "/runs/x", "/system/", "/data_flows/heartbeat"] {
            assert_eq!(ask(&format!("GET {path}")).unwrap_err().code, ErrorCode::NotFound, "{path}");
        }
        assert_eq!(ask("BREW /metrics").unwrap_err().code, ErrorCode::NotImplemented);
    }
}
