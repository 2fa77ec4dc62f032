//! What one caller, or ten thousand, cannot do to the others: a box under attack answers its honest agent, runs what is due,
//! keeps within its memory and its descriptors, and is idle when the attack is over. `siege` says what must hold, `crowd` is
//! those who attack; each file beside them is a way of attacking.
//!
//! - `idle`: ten thousand that say nothing, heads and contents that drip in
//! - `forged`: floods of wrong signatures
//! - `greedy`: pipelines, answers that nobody reads, contents that fill memory
//! - `leaving`: resets, half-closed connections
//! - `looking_on`: the status port
//! - `operating`: the control socket

mod crowd;
mod forged;
mod greedy;
mod idle;
mod leaving;
mod looking_on;
mod operating;
mod siege;
#[path = "../support/mod.rs"]
mod support;
