//! Putting things in order with little code.
//!
//! The standard library's sort is compiled anew for every type, at some 9 KB each, and collecting into an ordered map or set
//! sorts first. What is sorted in this crate is short and sorted seldom, so one compiled sort, of positions, does for all.

use std::cmp::Ordering;

/// Sorts; what compares as equal keeps its order.
pub(crate) fn sort_by<T>(items: &mut Vec<T>, compare: impl Fn(&T, &T) -> Ordering) {
    let order = order(items.len(), &|one, other| match (items.get(one), items.get(other)) {
        (Some(one), Some(other)) => compare(one, other),
        _ => Ordering::Equal,
    });
    let mut unsorted: Vec<Option<T>> = items.drain(..).map(Some).collect();
    items.extend(order.into_iter().filter_map(|position| unsorted.get_mut(position)?.take()));
}

/// Where each item of a sorted list of so many stood before.
fn order(count: usize, compare: &dyn Fn(usize, usize) -> Ordering) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by(|one, other| compare(*one, *other));
    order
}

/// Collects into an ordered map or set, one by one.
pub(crate) fn collected<C: Default + Extend<V>, V>(values: impl IntoIterator<Item = V>) -> C {
    let mut collection = C::default();
    collection.extend(values);
    collection
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sorted_list_holds_the_same_and_equals_keep_their_order() {
        let mut items = vec![("b", 1), ("a", 2), ("b", 3), ("c", 4), ("a", 5)];
        sort_by(&mut items, |one, other| one.0.cmp(other.0));
        assert_eq!(items, [("a", 2), ("a", 5), ("b", 1), ("b", 3), ("c", 4)]);
        for count in 0..100_u32 {
            let mut items: Vec<u32> = (0..count).map(|n| n * 37 % 101).collect();
            let mut expected = items.clone();
            sort_by(&mut items, u32::cmp);
            expected.sort_unstable();
            assert_eq!(items, expected);
        }
    }

    #[test]
    fn the_later_of_two_values_of_a_key_is_kept() {
        let map: std::collections::BTreeMap<_, _> = collected([("a", 1), ("b", 2), ("a", 3)]);
        assert_eq!(map.into_iter().collect::<Vec<_>>(), [("a", 3), ("b", 2)]);
    }
}
