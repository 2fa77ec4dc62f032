//! Prints the reference of all keys: `cargo run --example reference > docs/configuration.md`.
#![expect(clippy::print_stdout, reason = "that is what it is for")]

fn main() {
    print!("{}", heartbeat_runtime::config::reference());
}
