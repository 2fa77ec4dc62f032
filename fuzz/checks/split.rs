//! How bytes arrive in pieces: a byte of the input says it.

/// The sizes of the pieces, one after the other, for a way of splitting: 0 to 2 give pieces of one to three bytes, others
/// a pseudo-random split that they seed. Each call is told how much is left and takes at least one byte of it.
pub(super) fn pieces(way: u8) -> impl FnMut(usize) -> usize {
    let mut state = u64::from(way);
    move |left| {
        if way <= 2 {
            return left.min(usize::from(way) + 1);
        }
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        left.min(1 + usize::from(state.to_be_bytes()[0]) % 48)
    }
}
