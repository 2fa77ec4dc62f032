//! What a request is about: one table of the routes, and what each makes of its requests.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::path::PathBuf;
use std::time::Duration;

use super::content::{invalid, json};
use super::flow_files;
use super::query::{Page, decoded, run_id};
use super::render::{Rendered, problem};
use crate::config::FlowContext;
use crate::http::Method::{self, Delete, Get, Head, Options, Patch, Post, Put};
use crate::http::{ErrorCode, Request};
use crate::runtime::{Order, Question};

/// What a request is.
#[derive(Debug)]
pub enum Routed {
    /// A change, and how long its sender waits for the end of the run that it is about.
    Order(Order, Option<Duration>),
    /// A question.
    Ask(Question),
    /// Read everything anew.
    Reload,
    /// Copy the database to this file, whose path is absolute.
    Backup(PathBuf),
    /// Answered here.
    Answer(Rendered),
}

/// A path with its methods. Where there is GET there is HEAD, and OPTIONS is everywhere.
#[derive(Debug)]
pub struct Route {
    /// As in OpenAPI: a part in braces, of which there is one at most, stands for any.
    pub path: &'static str,
    /// In alphabetical order.
    pub operations: &'static [Operation],
}

/// What can be done at a path.
#[derive(Debug)]
pub struct Operation {
    /// How it is asked for.
    pub method: Method,
    /// What its query may hold.
    pub parameters: &'static [&'static str],
    carry_out: CarryOut,
}

/// A request, by what its route leaves open.
struct Asked<'a> {
    /// What stands for the part in braces.
    name: String,
    page: Page,
    body: &'a [u8],
    wait: Option<Duration>,
    context: &'a FlowContext<'a>,
}

type CarryOut = fn(&Asked<'_>) -> Result<Routed, Rendered>;

/// What has no head of its own: its length is not known before its end.
const OUTPUT: &str = "/runs/{id}/output";
const OF_LISTS: &[&str] = &["limit", "before"];
const OF_RUNS: &[&str] = &["limit", "before", "status"];
const OF_HEARTBEATS: &[&str] = &["limit", "before", "agent"];

/// Every route of the control socket.
pub const ROUTES: &[Route] = &[
    at("/backup", &[on(Post, &[], |asked| backup(asked.body))]),
    at("/flows", &[on(Get, OF_LISTS, list_flows), on(Post, &[], add_flows)]),
    at(
        "/flows/{name}",
        &[
            on(Delete, &[], |asked| asked.order(Order::Remove { flow: asked.name.clone(), file: None })),
            on(Get, &[], |asked| Ok(Routed::Ask(Question::Flow(asked.name.clone())))),
            on(Patch, &[], hold_flow),
        ],
    ),
    at(
        "/flows/{name}/cursor",
        &[
            on(Get, &[], |asked| Ok(Routed::Ask(Question::Cursor(asked.name.clone())))),
            on(Put, &[], set_cursor),
        ],
    ),
    at(
        "/flows/{name}/runs",
        &[
            on(Get, OF_RUNS, |asked| list_runs(&asked.page, Some(asked.name.clone()))),
            on(Post, &[], |asked| {
                let from = feed_of(asked.body)?;
                asked.order(Order::Run { flow: asked.name.clone(), from })
            }),
        ],
    ),
    at(
        "/heartbeats",
        &[on(Get, OF_HEARTBEATS, |asked| Ok(Routed::Ask(Question::Heartbeats(asked.page.of_heartbeats()?))))],
    ),
    at(
        "/reload",
        &[on(Post, &[], |asked| {
            let Empty {} = empty(asked.body, "{}")?;
            Ok(Routed::Reload)
        })],
    ),
    at("/runs", &[on(Get, OF_RUNS, |asked| list_runs(&asked.page, None))]),
    at("/runs/{id}", &[on(Get, &[], |asked| Ok(Routed::Ask(Question::Run(run_id(&asked.name)?))))]),
    at(
        "/runs/{id}/cancel",
        &[on(Post, &[], |asked| {
            let run = run_id(&asked.name)?;
            let Empty {} = empty(asked.body, "{}")?;
            asked.order(Order::Cancel(run))
        })],
    ),
    at(OUTPUT, &[on(Get, &[], |asked| Ok(Routed::Ask(Question::Output(run_id(&asked.name)?))))]),
    at("/status", &[on(Get, &[], |_| Ok(Routed::Ask(Question::Status)))]),
];

const fn at(path: &'static str, operations: &'static [Operation]) -> Route {
    Route { path, operations }
}

const fn on(method: Method, parameters: &'static [&'static str], carry_out: CarryOut) -> Operation {
    Operation { method, parameters, carry_out }
}

fn list_flows(asked: &Asked<'_>) -> Result<Routed, Rendered> {
    let Page { limit, before, .. } = &asked.page;
    Ok(Routed::Ask(Question::Flows { limit: *limit, before: before.clone() }))
}

fn add_flows(asked: &Asked<'_>) -> Result<Routed, Rendered> {
    asked.order(Order::Add(flow_files::definitions(asked.body, asked.context)?))
}

fn hold_flow(asked: &Asked<'_>) -> Result<Routed, Rendered> {
    let Patched { held } = json(asked.body, "{\"held\":true}")?;
    asked.order(Order::Hold { flow: asked.name.clone(), held })
}

fn set_cursor(asked: &Asked<'_>) -> Result<Routed, Rendered> {
    let SetCursor { cursor } = json(asked.body, "{\"cursor\":null}")?;
    asked.order(Order::SetCursor { flow: asked.name.clone(), cursor })
}

fn list_runs(page: &Page, flow: Option<String>) -> Result<Routed, Rendered> {
    Ok(Routed::Ask(Question::Runs(page.of_runs(flow)?)))
}

impl Asked<'_> {
    #[expect(clippy::unnecessary_wraps, reason = "what an entry of the table ends with")]
    fn order(&self, order: Order) -> Result<Routed, Rendered> {
        Ok(Routed::Order(order, self.wait))
    }
}

impl Route {
    /// What stands for the part in braces, or nothing if it has none; none if the path is another one.
    fn name_in(&self, parts: &[String]) -> Option<String> {
        let mut name = String::new();
        let mut pattern = self.path.split('/').skip(1);
        for part in parts {
            let wanted = pattern.next()?;
            if wanted.starts_with('{') && !part.is_empty() {
                name.clone_from(part);
            } else if wanted != part {
                return None;
            }
        }
        pattern.next().is_none().then_some(name)
    }

    fn operation(&self, method: Method) -> Option<&Operation> {
        let method = if method == Head && self.path != OUTPUT { Get } else { method };
        self.operations.iter().find(|operation| operation.method == method)
    }

    /// What `Allow` names.
    fn allow(&self) -> String {
        let all = [Delete, Get, Head, Options, Patch, Post, Put];
        let is_known = |method: &Method| *method == Options || self.operation(*method).is_some();
        let names: Vec<&str> = all.into_iter().filter(is_known).map(Method::as_str).collect();
        names.join(", ")
    }
}

/// Finds out what a request is about.
pub fn route(request: &Request<'_>, context: &FlowContext<'_>) -> Routed {
    find(request, context).unwrap_or_else(Routed::Answer)
}

fn find(request: &Request<'_>, context: &FlowContext<'_>) -> Result<Routed, Rendered> {
    if request.content_is_encoded() {
        let detail = "content is read as it is: no Content-Encoding but identity";
        return Err(problem(ErrorCode::UnsupportedMediaType, detail));
    }
    if request.method == Options && request.target_is_asterisk() {
        return Err(Rendered::options("DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT".to_owned()));
    }
    // Divided first: an encoded slash is a part of a name.
    let parts = request.path.split('/').skip(1).map(|part| decoded(part).map(String::from));
    let parts = parts.collect::<Result<Vec<String>, _>>()?;
    let found = ROUTES.iter().find_map(|route| Some((route, route.name_in(&parts)?)));
    let Some((route, name)) = found else {
        let detail = "nothing is at this path: those that there are begin with /flows, /runs, /heartbeats, /status, \
            /reload or /backup";
        return Err(problem(ErrorCode::NotFound, detail));
    };
    let Some(operation) = route.operation(request.method) else {
        let is_question = request.method == Options;
        let answer = if is_question { Rendered::options } else { Rendered::not_allowed };
        return Err(answer(route.allow()));
    };
    let page = Page::read(request.query, operation.parameters)?;
    let wait = request.prefer_wait().map(Duration::from_secs);
    (operation.carry_out)(&Asked { name, page, body: request.body, wait, context })
}

/// `PATCH /flows/{name}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Patched {
    held: bool,
}

/// `PUT /flows/{name}/cursor`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetCursor {
    cursor: serde_json::Value,
}

/// `POST /flows/{name}/runs`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct OrderedRun {
    #[serde(default)]
    from: Option<String>,
}

/// `POST /backup`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WantedBackup {
    file: String,
}

/// A request that says all by its target.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Empty {}

/// The file that a run is to be fed from, if any.
fn feed_of(body: &[u8]) -> Result<Option<String>, Rendered> {
    let OrderedRun { from } = empty(body, "{} or {\"from\":\"/the/file\"}")?;
    if from.as_deref().is_none_or(is_whole_path) {
        Ok(from)
    } else {
        Err(invalid("from is the absolute path of a file of rejected records"))
    }
}

fn backup(body: &[u8]) -> Result<Routed, Rendered> {
    let WantedBackup { file } = json(body, "{\"file\":\"/the/copy.db\"}")?;
    if is_whole_path(&file) && !file.ends_with('/') {
        Ok(Routed::Backup(PathBuf::from(file)))
    } else {
        Err(invalid("file is the absolute path of the copy: it begins with / and ends with a file's name"))
    }
}

fn is_whole_path(path: &str) -> bool {
    path.starts_with('/') && !path.contains('\0')
}

/// Content that may be left out.
fn empty<T: Default + DeserializeOwned>(body: &[u8], right: &str) -> Result<T, Rendered> {
    if body.trim_ascii().is_empty() { Ok(T::default()) } else { json(body, right) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::Kinds;
    use crate::http::{Limits, Progress, Receiver};
    use crate::time::Zones;
    use std::path::Path;

    /// What is made of a request, as text.
    fn routed(head: &str, body: &str) -> String {
        let mut receiver = Receiver::new();
        receiver.receive(
            format!(
                "{head} HTTP/1.1\r\nHost: x\r\nPrefer: wait=3\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            )
            .as_bytes(),
        );
        let kinds = Kinds::default();
        let zones = Zones::utc_only();
        let context = FlowContext { kinds: &kinds, zones: &zones, working_directory: Path::new("/box") };
        let progress = receiver.poll(&Limits::default());
        let Progress::Request(request) = progress else { panic!("{progress:?}") };
        match route(&request, &context) {
            Routed::Answer(rendered) => {
                let body: serde_json::Value = serde_json::from_slice(&rendered.body).unwrap_or_default();
                format!("{} {}", rendered.status.code(), body["error"].as_str().unwrap_or_default())
            }
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn a_request_becomes_an_order_or_a_question() {
        assert_eq!(routed("GET /flows?limit=3&before=x", ""), "Ask(Flows { limit: 3, before: Some(\"x\") })");
        assert_eq!(routed("HEAD /flows/x", ""), "Ask(Flow(\"x\"))");
        let held = routed("PATCH /flows/x", "{\"held\":true}");
        assert_eq!(held, "Order(Hold { flow: \"x\", held: true }, Some(3s))");
        assert_eq!(routed("DELETE /flows/x", ""), "Order(Remove { flow: \"x\", file: None }, Some(3s))");
        assert_eq!(routed("POST /flows/x/runs", ""), "Order(Run { flow: \"x\", from: None }, Some(3s))");
        assert_eq!(routed("POST /flows/x/runs", "{}"), "Order(Run { flow: \"x\", from: None }, Some(3s))");
        let fed = routed("POST /flows/x/runs", "{\"from\":\"/y\"}");
        assert_eq!(fed, "Order(Run { flow: \"x\", from: Some(\"/y\") }, Some(3s))");
        assert_eq!(routed("POST /runs/7/cancel", ""), "Order(Cancel(RunId(7)), Some(3s))");
        assert_eq!(routed("GET /runs/7/output", ""), "Ask(Output(RunId(7)))");
        assert_eq!(routed("GET /status", ""), "Ask(Status)");
        assert_eq!(routed("POST /reload", ""), "Reload");
        assert_eq!(routed("POST /backup", "{\"file\":\"/a.db\"}"), "Backup(\"/a.db\")");
        let heartbeats = routed("GET /heartbeats?limit=7&before=3&agent=a%20b", "");
        assert!(heartbeats.contains("agent: Some(\"a b\"), before: Some(3), limit: 7"), "{heartbeats}");
        assert_eq!(routed("GET /flows/a%00b", ""), "Ask(Flow(\"a\\0b\"))", "a name that no flow has");
        assert_eq!(routed("GET /%66lows/a%2Db", ""), "Ask(Flow(\"a-b\"))");
        assert!(
            routed("GET /flows/x/runs?status=failed", "").contains("flow: Some(\"x\"), status: Some(Failed)")
        );
    }

    #[test]
    fn a_path_says_which_methods_it_knows() {
        let allow = |path: &str| ROUTES.iter().find(|route| route.path == path).unwrap().allow();
        assert_eq!(allow("/flows"), "GET, HEAD, OPTIONS, POST");
        assert_eq!(allow("/flows/{name}"), "DELETE, GET, HEAD, OPTIONS, PATCH");
        assert_eq!(allow("/flows/{name}/cursor"), "GET, HEAD, OPTIONS, PUT");
        assert_eq!(allow("/runs/{id}/output"), "GET, OPTIONS");
        assert_eq!(allow("/backup"), "OPTIONS, POST");
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for (head, body, expected) in [
            ("GET /", "", "404 not_found"),
            ("GET /flow", "", "404 not_found"),
            ("GET /flows/x/", "", "404 not_found"),
            ("GET /runs/x", "", "404 not_found"),
            ("GET /runs/0", "", "404 not_found"),
            ("GET /runs/+1", "", "404 not_found"),
            ("GET /nothing?x=y", "", "404 not_found"),
            ("GET /flows//runs", "", "404 not_found"),
            ("GET /flows/x%2Fruns/y", "", "404 not_found"),
            ("GET /flows/%zz", "", "400 invalid_request"),
            ("GET /heartbeats?status=failed", "", "400 invalid_request"),
            ("GET /heartbeats?before=0", "", "400 invalid_request"),
            ("GET /runs?limit=+5", "", "400 invalid_request"),
            ("GET /runs?limit", "", "400 invalid_request"),
            ("GET /backup", "", "405 method_not_allowed"),
            ("POST /backup", "", "400 invalid_request"),
            ("POST /backup", "{\"file\":\"copy.db\"}", "400 invalid_request"),
            ("POST /backup", "{\"file\":\"/folder/\"}", "400 invalid_request"),
            ("POST /backup", "{\"file\":\"/a\\u0000b\"}", "400 invalid_request"),
            ("PUT /flows/x", "", "405 method_not_allowed"),
            ("POST /status", "", "405 method_not_allowed"),
            ("HEAD /runs/7/output", "", "405 method_not_allowed"),
            ("BREW /flows", "", "405 method_not_allowed"),
            ("BREW /nothing", "", "404 not_found"),
            ("OPTIONS /flows", "", "204 "),
            ("OPTIONS *", "", "204 "),
            ("GET /flows?limit=0", "", "400 invalid_request"),
            ("GET /flows?limit=101", "", "400 invalid_request"),
            ("GET /flows?limit=1&limit=2", "", "400 invalid_request"),
            ("GET /flows?offset=1", "", "400 invalid_request"),
            ("GET /flows?status=failed", "", "400 invalid_request"),
            ("GET /runs?status=fialed", "", "400 invalid_request"),
            ("GET /runs?before=x", "", "400 invalid_request"),
            ("GET /status?x=y", "", "400 invalid_request"),
            ("PATCH /flows/x", "", "400 invalid_request"),
            ("PATCH /flows/x", "{\"held\":1}", "400 invalid_request"),
            ("PATCH /flows/x", "[true]", "400 invalid_request"),
            ("PATCH /flows/x", "{\"held\":true,\"held\":true}", "400 invalid_request"),
            ("POST /reload", "[]", "400 invalid_request"),
            ("POST /reload", "null", "400 invalid_request"),
            ("PATCH /flows/x", "{\"held\":true,\"name\":\"y\"}", "400 invalid_request"),
            ("POST /flows/x/runs", "{\"wait\":3}", "400 invalid_request"),
            ("POST /flows/x/runs", "{\"from\":\"y\"}", "400 invalid_request"),
            ("POST /reload", "[]x", "400 invalid_request"),
        ] {
            assert_eq!(routed(head, body), expected, "{head} {body}");
        }
    }
}
