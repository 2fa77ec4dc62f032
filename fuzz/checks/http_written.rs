//! What we write, we read: an answer of the server comes out of the client's receiver as it went in, a request of the
//! client out of the server's, whatever texts are put into them; nothing of a text begins a field or a message.

use heartbeat_runtime::http::client::{self, Url, check_field};
use heartbeat_runtime::http::{
    Connection, ErrorCode, Field, Limits, Method, PROBLEM_TYPE, Problem, Progress, Receiver, Response,
    Status, append_until_close,
};
use heartbeat_runtime::time::Wall;
use serde_json::Value as Json;

use super::bytes::Bytes;

const LIMITS: Limits = Limits { head_bytes: 16 * 1024, headers: 64, body_bytes: 4096 };

/// The target.
pub fn check(data: &[u8]) {
    let mut input = Bytes(data);
    match input.byte() % 4 {
        0 => answer(&mut input),
        1 => problem(&mut input),
        2 => until_close(&mut input),
        _ => request(&mut input),
    }
}

const STATUSES: [Status; 8] = [
    Status::OK,
    Status::CREATED,
    Status::NO_CONTENT,
    Status::NOT_FOUND,
    Status::UNAUTHORIZED,
    Status::CONFLICT,
    Status::UNPROCESSABLE_CONTENT,
    Status::SERVICE_UNAVAILABLE,
];
const CONNECTIONS: [Connection; 3] = [Connection::Persistent, Connection::KeepAlive, Connection::Close];

fn date(input: &mut Bytes<'_>) -> String {
    Wall::from_seconds(i64::try_from(input.number::<4>()).expect("4 bytes")).http_date()
}

/// A text as a field can hold it.
fn in_a_field(text: &str) -> String {
    let plain: String = text
        .chars()
        .map(|letter| if letter.is_ascii_control() && letter != '\t' { ' ' } else { letter })
        .collect();
    plain.trim_matches([' ', '\t']).to_owned()
}

/// The answer to a request of this method, and that nothing else came.
fn read_back(written: &[u8], head_only: bool, closes: bool) -> client::Answer {
    let method = if head_only { client::Method::Head } else { client::Method::Get };
    let mut receiver = client::Receiver::new(LIMITS, method);
    let answer = receiver.push(written).expect("an answer of ours is well-formed");
    match answer {
        Some(answer) => {
            assert_eq!(answer.may_reuse, !closes, "nothing is behind it");
            answer
        }
        None => receiver.end().expect("it ends with its connection"),
    }
}

fn answer(input: &mut Bytes<'_>) {
    let (status, connection) = (input.pick(&STATUSES), input.pick(&CONNECTIONS));
    let (head_only, date) = (input.byte() % 2 == 1, date(input));
    let (content_type, allow, etag) = (input.text(), input.text(), input.text());
    let body = input.0;
    let body = &body[..body.len().min(LIMITS.body_bytes)];
    let fields = [("Allow", allow.as_str()), ("ETag", etag.as_str())];
    let mut written = Vec::new();
    let response = Response { status, content_type: &content_type, fields: &fields, body };
    response.append(&mut written, &date, connection, head_only);
    let read = read_back(&written, head_only, connection == Connection::Close);
    assert_eq!((read.status, read.field("Date")), (status.code(), Some(date.as_str())));
    assert_eq!(read.field("Allow"), Some(in_a_field(&allow).as_str()));
    assert_eq!(read.field("ETag"), Some(in_a_field(&etag).as_str()));
    let has_content = status != Status::NO_CONTENT;
    assert_eq!(read.field("Content-Type"), has_content.then_some(in_a_field(&content_type).as_str()));
    assert_eq!(read.field("Content-Length"), has_content.then_some(body.len().to_string().as_str()));
    assert_eq!(read.body, if has_content && !head_only { body } else { &[] });
    let of_connection = usize::from(connection != Connection::Persistent);
    assert_eq!(read.fields.len(), 4 + 2 * usize::from(has_content) + of_connection, "{:?}", read.fields);
}

fn problem(input: &mut Bytes<'_>) {
    let (code, head_only) = (input.pick(ErrorCode::ALL), input.byte() % 2 == 1);
    let (detail, text, allow) = (input.text(), input.text(), input.text());
    let number = i64::try_from(input.number::<4>()).expect("4 bytes") - 7;
    let members = [("skew_s", number.into()), ("agent", text.as_str().into()), ("flag", true.into())];
    let problem = Problem {
        members: &members,
        allow: (number % 2 == 0).then_some(allow.as_str()),
        retry_after_s: u64::try_from(number).ok(),
        authenticate: (number % 3 == 0).then_some("Signature"),
        ..Problem::new(code, &detail)
    };
    let mut written = Vec::new();
    problem.append(&mut written, &date(input), Connection::Close, head_only);
    let read = read_back(&written, head_only, true);
    assert_eq!((read.status, read.field("Content-Type")), (code.status().code(), Some(PROBLEM_TYPE)));
    assert_eq!(read.field("Allow"), problem.allow.map(in_a_field).as_deref());
    assert_eq!(read.field("WWW-Authenticate"), problem.authenticate);
    let waits_s = read.retry_after(Wall::from_seconds(0)).map(|wait| wait.as_secs());
    assert_eq!(waits_s, problem.retry_after_s);
    if !head_only {
        let body: Json = serde_json::from_slice(&read.body).expect("a problem is JSON");
        assert_eq!((body["detail"].as_str(), body["agent"].as_str()), (Some(&*detail), Some(&*text)));
        assert_eq!((body["error"].as_str(), body["skew_s"].as_i64()), (Some(code.as_str()), Some(number)));
        assert_eq!(body["status"], code.status().code());
        assert_eq!(body["title"], code.status().reason());
    }
}

fn until_close(input: &mut Bytes<'_>) {
    let (date, content_type) = (date(input), input.text());
    let mut written = Vec::new();
    append_until_close(&mut written, &date, &content_type);
    let body = &input.0[..input.0.len().min(LIMITS.body_bytes)];
    written.extend_from_slice(body);
    let read = read_back(&written, false, true);
    assert_eq!((read.status, &*read.body, read.may_reuse), (200, body, false));
    assert_eq!(read.field("Content-Type"), Some(in_a_field(&content_type).as_str()));
}

fn request(input: &mut Bytes<'_>) {
    let method = input.pick(&[client::Method::Get, client::Method::Head, client::Method::Post]);
    let fields: Vec<(String, String)> = (0..input.byte() % 4).map(|_| (input.text(), input.text())).collect();
    let Ok(url) = Url::parse(&input.text()) else { return };
    let body = (method == client::Method::Post && !input.is_empty()).then_some(input.0);
    let body = body.map(|body| &body[..body.len().min(LIMITS.body_bytes)]);
    let mut written = Vec::new();
    client::Request { method, url: &url, fields: &fields, body }.append(&mut written);
    let mut receiver = Receiver::new();
    receiver.receive(&written);
    let Progress::Request(read) = receiver.poll(&LIMITS) else {
        panic!("not read: {:?}", String::from_utf8_lossy(&written))
    };
    assert_eq!(read.method_text(), method.as_str());
    assert_eq!(read.method, [Method::Get, Method::Head, Method::Post][method as usize]);
    let (path, query) =
        url.target().split_once('?').map_or((url.target(), None), |(path, query)| (path, Some(query)));
    assert_eq!((read.path, read.query, read.host), (path, query, Some(url.authority())));
    assert_eq!(read.host_name(), Some(url.host()));
    assert!(read.keep_alive && !read.content_is_encoded());
    assert_eq!(read.body, body.unwrap_or_default());
    for (name, _) in &fields {
        let sent = |(other, value): &&(String, String)| {
            other.eq_ignore_ascii_case(name) && check_field(other, value).is_ok()
        };
        let values: Vec<&[u8]> = fields.iter().filter(sent).map(|(_, value)| value.as_bytes()).collect();
        match (&values[..], read.field(name)) {
            ([one], Field::One(value)) => assert_eq!(*one, value, "{name}"),
            ([_, _, ..], Field::Repeated) => assert_eq!(read.fields(name).collect::<Vec<_>>(), values),
            ([], Field::Absent) => {}
            ([], Field::One(_)) => {
                assert!(check_field(name, "a").is_err() || name.eq_ignore_ascii_case("user-agent"))
            }
            (values, field) => panic!("{name}: {values:?} became {field:?}"),
        }
    }
    receiver.consume();
    assert_eq!(receiver.buffered(), 0, "one request is one request");
}
