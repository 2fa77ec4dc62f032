//! Sequences of operations on the simulator (`tests/simulation`), chosen by the bytes: whatever they are, no promise is
//! broken, and once they have run out everything becomes current again.
//!
//! Input: each choice is a byte, or two where there are more than 256 ways.

#[path = "../../tests/simulation/simulator.rs"]
#[expect(dead_code, reason = "seeds are for others")]
mod simulator;

/// The target.
pub fn check(input: &[u8]) {
    simulator::tell_of_failures(|_| ());
    simulator::simulate_choices(input, "fuzz");
}
