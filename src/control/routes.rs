//! What a request is about.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::time::Duration;

use super::content::{invalid, json};
use super::flow_files;
use super::render::{Rendered, problem};
use crate::config::FlowContext;
use crate::flow::Status;
use crate::http::{ErrorCode, Method, Request};
use crate::limits;
use crate::runtime::{Order, Question};
use crate::store::{RunFilter, RunId};

/// What a request is.
#[derive(Debug)]
pub enum Routed {
    /// A change, and how long its sender waits for the end of the run that it is about.
    Order(Order, Option<Duration>),
    /// A question.
    Ask(Question),
    /// Read everything anew.
    Reload,
    /// Answered here.
    Answer(Rendered),
}

/// Finds out what a request is about.
pub fn route(request: &Request<'_>, context: &FlowContext<'_>) -> Routed {
    find(request, context).unwrap_or_else(Routed::Answer)
}

fn find(request: &Request<'_>, context: &FlowContext<'_>) -> Result<Routed, Rendered> {
    use Method::{Delete, Get, Head, Options, Patch, Post, Put};
    if request.content_is_encoded() {
        let detail = "content is read as it is: no Content-Encoding but identity";
        return Err(problem(ErrorCode::UnsupportedMediaType, detail));
    }
    if request.method == Method::Other {
        return Err(problem(ErrorCode::NotImplemented, "this method is not known here"));
    }
    let parts: Vec<&str> = request.path.split('/').skip(1).collect();
    let wait = request.prefer_wait().map(Duration::from_secs);
    let order = |order| Ok(Routed::Order(order, wait));
    let ask = |question| Ok(Routed::Ask(question));
    let named = |name: &str| name.to_owned();
    let method = if request.method == Head { Get } else { request.method };
    let takes_query = method == Get && matches!(*parts, ["flows"] | ["runs"] | ["flows", _, "runs"]);
    if !takes_query && request.query.is_some_and(|query| !query.is_empty()) {
        return Err(invalid("this request takes no parameters"));
    }
    match (method, &*parts) {
        (Get, ["flows"]) => {
            let Page { limit, before, .. } = page(request.query, &["limit", "before"])?;
            ask(Question::Flows { limit, before })
        }
        (Post, ["flows"]) => order(Order::Add(flow_files::definitions(request.body, context)?)),
        (_, ["flows"]) => Err(of_method(method, "GET, HEAD, OPTIONS, POST")),
        (Get, ["flows", name]) => ask(Question::Flow(named(name))),
        (Patch, ["flows", name]) => {
            let Patched { held } = json(request.body)?;
            order(Order::Hold { flow: named(name), held })
        }
        (Delete, ["flows", name]) => order(Order::Remove { flow: named(name), file: None }),
        (_, ["flows", _]) => Err(of_method(method, "DELETE, GET, HEAD, OPTIONS, PATCH")),
        (Get, ["flows", name, "runs"]) => ask(Question::Runs(runs(request.query, Some(named(name)))?)),
        (Post, ["flows", name, "runs"]) => {
            let from = feed_of(request.body)?;
            order(Order::Run { flow: named(name), from })
        }
        (_, ["flows", _, "runs"]) => Err(of_method(method, "GET, HEAD, OPTIONS, POST")),
        (Get, ["flows", name, "cursor"]) => ask(Question::Cursor(named(name))),
        (Put, ["flows", name, "cursor"]) => {
            let SetCursor { cursor } = json(request.body)?;
            order(Order::SetCursor { flow: named(name), cursor })
        }
        (_, ["flows", _, "cursor"]) => Err(of_method(method, "GET, HEAD, OPTIONS, PUT")),
        (Get, ["runs"]) => ask(Question::Runs(runs(request.query, None)?)),
        (_, ["runs"]) => Err(of_method(method, "GET, HEAD, OPTIONS")),
        (Get, ["runs", id]) => ask(Question::Run(run_id(id)?)),
        (_, ["runs", _]) => Err(of_method(method, "GET, HEAD, OPTIONS")),
        (Get, ["runs", id, "output"]) if request.method == Get => ask(Question::Output(run_id(id)?)),
        (_, ["runs", _, "output"]) => Err(of_method(method, "GET, OPTIONS")),
        (Post, ["runs", id, "cancel"]) => {
            let Empty {} = empty(request.body)?;
            order(Order::Cancel(run_id(id)?))
        }
        (_, ["runs", _, "cancel"]) => Err(of_method(method, "OPTIONS, POST")),
        (Get, ["status"]) => ask(Question::Status),
        (_, ["status"]) => Err(of_method(method, "GET, HEAD, OPTIONS")),
        (Post, ["reload"]) => {
            let Empty {} = empty(request.body)?;
            Ok(Routed::Reload)
        }
        (_, ["reload"]) => Err(of_method(method, "OPTIONS, POST")),
        (Options, _) if request.target_is_asterisk() => {
            Err(Rendered::options("DELETE, GET, HEAD, OPTIONS, PATCH, POST"))
        }
        _ => Err(problem(ErrorCode::NotFound, "nothing is at this path")),
    }
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

/// A request that says all by its target.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Empty {}

/// The file that a run is to be fed from, if any.
fn feed_of(body: &[u8]) -> Result<Option<String>, Rendered> {
    let OrderedRun { from } = empty(body)?;
    let is_right = |from: &String| from.starts_with('/') && !from.contains('\0');
    if from.as_ref().is_none_or(is_right) {
        Ok(from)
    } else {
        Err(invalid("from is the absolute path of a file of rejected records"))
    }
}

/// Content that may be left out.
fn empty<T: Default + DeserializeOwned>(body: &[u8]) -> Result<T, Rendered> {
    if body.trim_ascii().is_empty() { Ok(T::default()) } else { json(body) }
}

fn of_method(method: Method, allow: &'static str) -> Rendered {
    if method == Method::Options { Rendered::options(allow) } else { Rendered::not_allowed(allow) }
}

fn run_id(text: &str) -> Result<RunId, Rendered> {
    let id = text.parse().ok().filter(|id| *id > 0).map(RunId);
    id.ok_or_else(|| problem(ErrorCode::NotFound, "a run's id is a whole number from 1 on"))
}

/// Which part of a list is wanted.
#[derive(Default)]
struct Page {
    limit: usize,
    before: Option<String>,
    status: Option<Status>,
}

fn page(query: Option<&str>, known: &[&str]) -> Result<Page, Rendered> {
    let mut page = Page { limit: limits::LIST_DEFAULT, ..Page::default() };
    let mut seen: Vec<&str> = Vec::new();
    for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if !known.contains(&name) || seen.contains(&name) {
            return Err(invalid(&format!("the parameters are {}, each once at most", known.join(", "))));
        }
        seen.push(name);
        match name {
            "limit" => {
                let limit = value.parse().ok().filter(|limit| (1..=limits::LIST_MAX).contains(limit));
                let right = || invalid(&format!("limit is a whole number from 1 to {}", limits::LIST_MAX));
                page.limit = limit.ok_or_else(right)?;
            }
            "status" => {
                let words = Status::ALL.map(Status::as_str).join(", ");
                let right = || invalid(&format!("status is one of {words}"));
                page.status = Some(Status::from_word(value).ok_or_else(right)?);
            }
            _ => page.before = Some(value.to_owned()),
        }
    }
    Ok(page)
}

fn runs(query: Option<&str>, flow: Option<String>) -> Result<RunFilter, Rendered> {
    let Page { limit, before, status } = page(query, &["limit", "before", "status"])?;
    let before = before.map(|id| id.parse().map(RunId)).transpose();
    let before = before.map_err(|_| invalid("before is the id of a run"))?;
    Ok(RunFilter { flow, status, before, limit, ..RunFilter::default() })
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
        assert!(
            routed("GET /flows/x/runs?status=failed", "").contains("flow: Some(\"x\"), status: Some(Failed)")
        );
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for (head, body, expected) in [
            ("GET /", "", "404 not_found"),
            ("GET /flow", "", "404 not_found"),
            ("GET /flows/x/", "", "404 not_found"),
            ("GET /runs/x", "", "404 not_found"),
            ("GET /runs/0", "", "404 not_found"),
            ("GET /heartbeats", "", "404 not_found"),
            ("PUT /flows/x", "", "405 method_not_allowed"),
            ("POST /status", "", "405 method_not_allowed"),
            ("HEAD /runs/7/output", "", "405 method_not_allowed"),
            ("BREW /flows", "", "501 not_implemented"),
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
            ("PATCH /flows/x", "{\"held\":true,\"name\":\"y\"}", "400 invalid_request"),
            ("POST /flows/x/runs", "{\"wait\":3}", "400 invalid_request"),
            ("POST /flows/x/runs", "{\"from\":\"y\"}", "400 invalid_request"),
            ("POST /reload", "[]x", "400 invalid_request"),
        ] {
            assert_eq!(routed(head, body), expected, "{head} {body}");
        }
    }
}
