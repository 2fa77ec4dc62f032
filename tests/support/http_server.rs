//! A small HTTP server for tests: keep-alive, one thread for each connection, answers by a closure.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

/// A request, its content whole.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// As it came: `POST /x HTTP/1.1`.
    pub(crate) line: String,
    fields: String,
    pub(crate) body: String,
}

impl Request {
    /// The first field of this name.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields.lines().find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

/// Serves on a free port of loopback for as long as the process lives; none as the answer closes without a word. The
/// address is returned.
pub(crate) fn serve(answer: impl Fn(&Request) -> Option<String> + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
    let address = listener.local_addr().expect("its address").to_string();
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = Arc::clone(&answer);
            std::thread::spawn(move || converse(stream, &*answer));
        }
    });
    address
}

/// An answer with this status and content.
pub(crate) fn answer(status: u16, fields: &str, body: &str) -> String {
    format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n{fields}\r\n{body}", body.len())
}

fn converse(mut stream: TcpStream, answer: &dyn Fn(&Request) -> Option<String>) {
    while let Some(request) = read(&mut stream) {
        match answer(&request) {
            Some(answer) if stream.write_all(answer.as_bytes()).is_ok() => {}
            _ => return,
        }
    }
}

fn read(stream: &mut TcpStream) -> Option<Request> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).expect("a head is text");
    let (line, fields) = head.split_once("\r\n").expect("a head has a first line");
    let mut request =
        Request { line: line.to_owned(), fields: fields.replace('\r', ""), body: String::new() };
    let length = request.field("Content-Length").map_or(0, |length| length.parse().expect("a number"));
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    request.body = String::from_utf8(body).expect("a body is text");
    Some(request)
}
