//! Who is whose child within a trace, and the time that each span spends by itself.
//!
//! Self time is a span's duration without the union of its children's intervals, cut to its own: what is left is time
//! that no child explains. Every child counts, also one that nobody waits for.

use std::ops::Range;

use crate::map::parent::{Parent, parent_of};
use crate::view::outline::OutlineSpan;

/// Places are those of the outline's spans.
pub(crate) struct Tree<'a> {
    pub(crate) spans: &'a [OutlineSpan],
    /// The parent of each span, where it is there.
    pub(crate) parents: Vec<Option<usize>>,
    pub(crate) children: Vec<Vec<usize>>,
    /// Spans that name no parent.
    pub(crate) roots: Vec<usize>,
    /// Spans that name a parent which is not there.
    pub(crate) orphans: Vec<usize>,
}

impl<'a> Tree<'a> {
    /// The tree of a sealed outline's spans.
    pub(crate) fn new(spans: &'a [OutlineSpan]) -> Self {
        let (parents, children) = (vec![None; spans.len()], vec![Vec::new(); spans.len()]);
        let mut tree = Self { spans, parents, children, roots: Vec::new(), orphans: Vec::new() };
        for at in 0..spans.len() {
            match parent_of(spans, at, |one| one.link) {
                Parent::Root => tree.roots.push(at),
                Parent::Missing => tree.orphans.push(at),
                Parent::At(parent) => {
                    tree.parents[at] = Some(parent);
                    tree.children[parent].push(at);
                }
            }
        }
        tree
    }

    /// The earliest of some spans.
    pub(crate) fn earliest(&self, places: &[usize]) -> Option<usize> {
        places.iter().copied().min_by_key(|at| (self.spans[*at].start, self.spans[*at].link))
    }

    /// All spans below roots and orphans, parents before their children. Spans on a circle of parents, and below one,
    /// are not among them.
    pub(crate) fn downwards(&self) -> Vec<usize> {
        let mut order: Vec<usize> = self.roots.iter().chain(&self.orphans).copied().collect();
        let mut next = 0;
        while let Some(at) = order.get(next) {
            order.extend_from_slice(&self.children[*at]);
            next += 1;
        }
        order
    }

    /// Nanoseconds of a span that no child covers.
    pub(crate) fn self_ns(&self, at: usize) -> i64 {
        let own = self.spans[at].time();
        let mut intervals: Vec<Range<i64>> =
            self.children[at].iter().map(|child| clip(self.spans[*child].time(), &own)).collect();
        intervals.sort_by_key(|interval| interval.start);
        let (mut covered, mut until) = (0, own.start);
        for interval in intervals {
            let from = interval.start.max(until);
            covered += (interval.end - from).max(0);
            until = until.max(interval.end);
        }
        own.end - own.start - covered
    }
}

/// What of an interval lies inside another; empty where nothing does.
pub(crate) fn clip(interval: Range<i64>, within: &Range<i64>) -> Range<i64> {
    interval.start.clamp(within.start, within.end)..interval.end.clamp(within.start, within.end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::outline::made::outline;

    #[test]
    fn self_time_is_what_no_child_covers() {
        let made = outline(&[
            (1, 0, "a", 1, 0, 100),
            // Two that overlap, one inside another, one that sticks out on either side, one that lies outside.
            (2, 1, "b", 1, 10, 30),
            (3, 1, "b", 1, 20, 40),
            (4, 1, "b", 1, 25, 28),
            (5, 1, "b", 1, -10, 5),
            (6, 1, "b", 1, 95, 130),
            (7, 1, "b", 1, 200, 300),
            // A grandchild covers its own parent only.
            (8, 2, "c", 1, 10, 30),
        ]);
        let tree = Tree::new(&made.spans);
        let times: Vec<i64> = (0..made.spans.len()).map(|at| tree.self_ns(at)).collect();
        assert_eq!(times, [60, 0, 20, 3, 15, 35, 100, 20]);
    }

    #[test]
    fn circles_hang_below_nothing() {
        let made = outline(&[
            (1, 0, "a", 1, 0, 9),
            (2, 1, "a", 1, 0, 9),
            (3, 4, "a", 1, 0, 9),
            (4, 3, "a", 1, 0, 9),
            (5, 4, "a", 1, 0, 9),
            (6, 9, "a", 1, 0, 9),
        ]);
        let tree = Tree::new(&made.spans);
        assert_eq!((tree.downwards(), &tree.roots[..], &tree.orphans[..]), (vec![0, 5, 1], &[0][..], &[5][..]));
    }
}
