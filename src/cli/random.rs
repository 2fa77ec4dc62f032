//! Random bytes from the system: for secrets, ids and signatures that are not to be guessed.

use super::failure::{Exit, Failure};
use zeroize::Zeroizing;

/// So many random bytes, wiped when they are dropped.
pub(super) fn bytes<const COUNT: usize>() -> Result<Zeroizing<[u8; COUNT]>, Failure> {
    let mut bytes = Zeroizing::new([0; COUNT]);
    getrandom::fill(bytes.as_mut_slice()).map_err(|error| {
        Failure::new(Exit::Io, format!("the system gives no random bytes: {error}"), "try again later")
    })?;
    Ok(bytes)
}

/// A random number of 128 bits: what tells one new database, or heartbeat, from every other.
pub(super) fn number() -> Result<u128, Failure> {
    Ok(u128::from_ne_bytes(*bytes::<16>()?))
}
