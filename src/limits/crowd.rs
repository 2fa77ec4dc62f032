//! Bounds of what callers take together, whoever they are and however many.

use std::time::Duration;

/// How long a refused connection is read from and thrown away, so that a reset does not overtake the answer.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);
/// How much a refused connection may send before it is closed all the same, in bytes.
pub const DRAIN_BYTES_MAX: usize = 256 * 1024;
/// Refused connections that may drain at once; past it they are closed at once.
pub const DRAINING_MAX: usize = 64;
/// Callers in the kernel's queue, of each address that is listened on: what comes at once from a fleet. The kernel allows 4096
/// (`net.core.somaxconn` in tcp(7) and listen(2)).
pub const CALLERS_QUEUED_MAX: i32 = 1024;
/// A request or an answer that takes longer than this is slow: it may make room for another, whosever it is.
pub const SLOW_AFTER: Duration = Duration::from_secs(1);
/// What one connection may hold before it is looked at what all of them hold, in bytes: the three buffers that it keeps from one
/// heartbeat to the next.
pub const CALLER_BYTES_FREE: usize = 12 * 1024;
/// What the connections of the heartbeat port may hold together beyond that, in bytes, or two of the largest requests, where an
/// operator allows larger ones: with an idle daemon, and as much for the other ports, it stays below 16 MiB.
pub const CALLERS_BYTES_MAX: usize = 3 * 1024 * 1024;
/// The same of the status port, and of the control socket: two pages of metrics as large as they get, a request with flow files.
pub const ONLOOKERS_BYTES_MAX: usize = 5 * 1024 * 1024 / 2;
/// Lines about refusals in a minute, of all addresses together, as many as so many addresses may have: whoever has many of
/// them would fill the log, and wear out the card that it is on.
pub const ADDRESSES_LOGGED_MAX: u32 = 20;
