//! Bounds of one round of the loop: what each may take of it before the others have their turn.

use std::time::Duration;

/// What is read from one connection in one round of the loop, in bytes: fairness among callers.
pub const READ_PER_ROUND_BYTES: usize = 64 * 1024;
/// Requests answered for one connection in one round of the loop: pipelining may not starve the others.
pub const REQUESTS_PER_ROUND: usize = 16;
/// What pages may take of one round of the loop; a part that is begun is finished: one flow with its runs, or how some flows stand.
pub const PAGES_PER_ROUND: Duration = Duration::from_millis(2);
/// Flows of which one step finds out how they stand: a tenth of a millisecond's work.
pub const FLOWS_PER_LOOK: usize = 64;
/// What the making of processes may take of one round; one that is begun is made: each takes from 0.2 ms to several.
pub const PROCESSES_PER_ROUND: Duration = Duration::from_millis(5);
/// Read from one child's output in one round of the loop, in bytes.
pub const OUTPUT_PER_ROUND_BYTES: usize = 256 * 1024;
