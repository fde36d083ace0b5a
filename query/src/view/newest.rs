//! The newest of many things in bounded memory: each thing's place is the newest instant it was seen at.
//!
//! Order: newest first, then by id ascending. Exact whatever the order of arrival: a thing that was put out comes back
//! when its own newest instant arrives.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

/// Collects the first `limit` things of the order.
#[derive(Debug)]
pub(crate) struct Newest<K> {
    limit: usize,
    order: BTreeSet<(Reverse<i64>, K)>,
    instants: HashMap<K, i64>,
}

impl<K: Copy + Ord + Hash> Newest<K> {
    /// An empty collection of at most `limit` things.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, order: BTreeSet::new(), instants: HashMap::new() }
    }

    /// Tells that `id` was seen at `instant`.
    pub(crate) fn see(&mut self, id: K, instant: i64) {
        match self.instants.get(&id) {
            Some(known) if *known >= instant => return,
            Some(known) => {
                self.order.remove(&(Reverse(*known), id));
            }
            None if self.is_beyond(id, instant) => return,
            None => {}
        }
        self.instants.insert(id, instant);
        self.order.insert((Reverse(instant), id));
        if self.order.len() > self.limit
            && let Some((_, last)) = self.order.pop_last()
        {
            self.instants.remove(&last);
        }
    }

    /// Whether nothing that is seen at `latest` or before, or nothing at all, could change what is collected.
    pub(crate) fn is_settled(&self, latest: Option<i64>) -> bool {
        let Some(latest) = latest else { return true };
        let is_older = |(Reverse(last), _): &(Reverse<i64>, K)| *last > latest;
        self.limit == 0 || self.order.len() >= self.limit && self.order.last().is_some_and(is_older)
    }

    /// Ids with their instants, in order.
    pub(crate) fn into_order(self) -> Vec<(i64, K)> {
        self.order.into_iter().map(|(Reverse(instant), id)| (instant, id)).collect()
    }

    fn is_beyond(&self, id: K, instant: i64) -> bool {
        self.order.len() >= self.limit && self.order.last().is_none_or(|last| (Reverse(instant), id) > *last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    #[test]
    fn the_newest_are_kept_whatever_the_order_of_arrival() {
        for seed in 0..200 {
            let mut random = StdRng::seed_from_u64(seed);
            let seen: Vec<(u8, i64)> =
                (0..200).map(|_| (random.random_range(0..40), random.random_range(0..60))).collect();
            let mut newest = Newest::new(7);
            let mut last: HashMap<u8, i64> = HashMap::new();
            for (id, instant) in seen {
                newest.see(id, instant);
                last.entry(id).and_modify(|known| *known = instant.max(*known)).or_insert(instant);
            }
            let mut expected: Vec<(i64, u8)> = last.into_iter().map(|(id, instant)| (instant, id)).collect();
            expected.sort_by_key(|(instant, id)| (Reverse(*instant), *id));
            expected.truncate(7);
            assert_eq!(newest.into_order(), expected, "seed {seed}");
        }
    }

    #[test]
    fn what_comes_later_changes_nothing_once_all_of_it_is_older() {
        let mut newest = Newest::new(2);
        newest.see(1_u8, 9);
        assert!(newest.is_settled(None) && !newest.is_settled(Some(0)));
        newest.see(2, 5);
        // At the same instant a lesser id would come first.
        assert!(newest.is_settled(Some(4)) && !newest.is_settled(Some(5)));
    }

    #[test]
    fn a_limit_of_none_keeps_none() {
        let mut newest = Newest::new(0);
        newest.see(1_u8, 5);
        assert!(newest.into_order().is_empty());
    }
}
