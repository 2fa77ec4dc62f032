//! How hyper, a mature reader of HTTP/1.1, frames the same bytes: without a socket, without a runtime, in one call. Uses
//! nothing of the other tests, so that a fuzz target can take this file as a module.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use hyper::body::{Body as _, Incoming};
use hyper::rt::ReadBufCursor;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};

/// A request as a reader understands it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) method: String,
    /// Host and port of the target; none where the target has none.
    pub(crate) authority: Option<String>,
    pub(crate) path: String,
    pub(crate) query: Option<String>,
    pub(crate) body: Vec<u8>,
}

impl Message {
    /// As our own reader understood it.
    pub(crate) fn of(request: &heartbeat_runtime::http::Request<'_>) -> Self {
        Self {
            method: request.method_text().to_owned(),
            authority: request.host.map(str::to_owned),
            path: request.path.to_owned(),
            query: request.query.map(str::to_owned),
            body: request.body.to_vec(),
        }
    }

    /// Whether hyper understood the same. What a target does not tell of a host, it does not know.
    pub(crate) fn is_same(&self, theirs: &Self) -> bool {
        let Self { method, authority, path, query, body } = theirs;
        (authority.is_none() || self.authority == *authority)
            && (&self.method, &self.path, &self.query, &self.body) == (method, path, query, body)
    }
}

/// Where a reader is after the last byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// It would read more.
    Open,
    /// It has closed the connection, as was asked for.
    Closed,
    /// It has found something wrong, and closed the connection.
    Refused,
}

/// What a reader makes of the bytes of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    pub(crate) messages: Vec<Message>,
    pub(crate) then: Then,
}

/// What hyper makes of these bytes, when the peer then waits.
pub(crate) fn read(bytes: &[u8]) -> Reading {
    let messages = Rc::new(RefCell::new(Vec::new()));
    let service = service_fn(|request: Request<Incoming>| {
        let messages = Rc::clone(&messages);
        async move {
            let message = collect(request).await?;
            messages.borrow_mut().push(message);
            Ok::<_, hyper::Error>(Response::new(String::new()))
        }
    });
    let peer = Peer { unread: bytes.to_vec(), read: 0 };
    let ended = run(http1::Builder::new().serve_connection(peer, service));
    let then = match ended {
        None => Then::Open,
        Some(Ok(())) => Then::Closed,
        Some(Err(_)) => Then::Refused,
    };
    Reading { messages: messages.take(), then }
}

/// A request with all of its content.
async fn collect(request: Request<Incoming>) -> Result<Message, hyper::Error> {
    let (head, content) = request.into_parts();
    let mut content = pin!(content);
    let mut body = Vec::new();
    while let Some(frame) = poll_fn(|context| content.as_mut().poll_frame(context)).await {
        if let Ok(data) = frame?.into_data() {
            body.extend_from_slice(&data);
        }
    }
    Ok(Message {
        method: head.method.as_str().to_owned(),
        authority: head.uri.authority().map(|authority| authority.as_str().to_owned()),
        path: head.uri.path().to_owned(),
        query: head.uri.query().map(str::to_owned),
        body,
    })
}

/// Runs a future for as long as it gets on by itself.
fn run<F: Future>(future: F) -> Option<F::Output> {
    let woken = Arc::new(Woken(AtomicBool::new(true)));
    let waker = Waker::from(Arc::clone(&woken));
    let mut future = pin!(future);
    while woken.0.swap(false, Ordering::Relaxed) {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return Some(output);
        }
    }
    None
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A peer that has sent all of its bytes, waits, and takes whatever it is told.
struct Peer {
    unread: Vec<u8>,
    read: usize,
}

impl hyper::rt::Read for Peer {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut into: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let rest = self.unread.get(self.read..).unwrap_or_default();
        let here = rest.get(..into.remaining()).unwrap_or(rest);
        if here.is_empty() {
            return Poll::Pending;
        }
        into.put_slice(here);
        let count = here.len();
        self.read += count;
        Poll::Ready(Ok(()))
    }
}

impl hyper::rt::Write for Peer {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
