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

pub use counters::{Counters, Port};
pub use metrics::{CONTENT_TYPE, View, render};
pub use page::{Drawing, FlowsQuery, HTML, Look, Page, RunsQuery, policy};

use crate::auth::Allowlist;
use crate::gate::Denial;
use crate::http::{ErrorCode, Method, Refusal, Request};
use crate::store::RunId;

const ALLOW: &str = "GET, HEAD, OPTIONS";

/// Who may look on. The default lets nobody.
#[derive(Clone, Debug, Default)]
pub struct Viewers {
    whitelist: Allowlist,
    hosts: Vec<String>,
    output: bool,
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
    /// `OPTIONS`: the methods that the target knows.
    Options(&'static str),
}

impl Viewers {
    /// Viewers from these addresses, who call the box by one of these names (in lower case), `localhost` or an address.
    pub fn new(whitelist: Allowlist, hosts: Vec<String>) -> Self {
        Self { whitelist, hosts, output: false }
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
        let deny = |code, detail| Denial::of_refusal(Refusal::new(code, detail), peer);
        if !request.host_name().is_some_and(|name| self.is_ours(name)) {
            let detail =
                "this name is not this box's: call it by its address, or name it in hosts under [status]";
            return Err(deny(ErrorCode::MisdirectedRequest, detail));
        }
        if request.target_is_asterisk() {
            return Ok(Sight::Options(ALLOW));
        }
        let sight = match request.path {
            "/healthz" => Sight::Health,
            "/readyz" => Sight::Readiness,
            "/metrics" => Sight::Metrics,
            path => match page_at(path, request.query) {
                Some(page) => Sight::Page(page),
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
        "/system" => Page::System,
        _ => match path.strip_prefix("/flows/") {
            Some(name) => Page::Flow(name.to_owned(), RunsQuery::read(query)),
            None => Page::Run(RunId(path.strip_prefix("/runs/")?.parse().ok().filter(|id| *id > 0)?)),
        },
    })
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
    fn what_is_there_can_be_looked_at_and_nothing_else() {
        let ask = |line: &str| route(&format!("{line} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        assert_eq!(ask("HEAD /healthz"), Ok(Sight::Health));
        assert_eq!(ask("GET /readyz?x"), Ok(Sight::Readiness));
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
