//! Things that are known by a number for as long as they live: the number goes into a token, and is free again after.

/// The first free number; the list grows where there is none.
pub(super) fn free<T>(slots: &mut Vec<Option<T>>) -> usize {
    slots.iter().position(Option::is_none).unwrap_or_else(|| {
        slots.push(None);
        slots.len() - 1
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_number_is_given_again_when_it_is_free() {
        let mut slots = vec![Some('a'), None, Some('c')];
        assert_eq!(super::free(&mut slots), 1);
        slots[1] = Some('b');
        assert_eq!((super::free(&mut slots), slots.len()), (3, 4));
    }
}
