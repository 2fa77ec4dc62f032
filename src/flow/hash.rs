//! Numbers that differ from box to box and stay the same over restarts and versions of the program.

/// Where [`fnv1a`] begins.
pub const FNV_BASIS: u64 = 0xcbf2_9ce4_8422_2325;

/// FNV-1a, from a beginning.
pub fn fnv1a(begin: u64, bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(begin, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Every bit of the result hangs on every bit of the number (the finaliser of SplitMix64).
pub(super) const fn mixed(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}
