//! The critical path of a trace: what its root's duration was spent on, instant by instant.
//!
//! The walk goes back from the end of the root: through the child that finished last, from that child's start through
//! the child that finished last before it, and so on; within each child the same again. What lies between belongs to
//! the span itself. Shorten what is on the path and the root gets shorter; what runs beside it does not matter.
//! Source: Zhang et al., "CRISP: Critical Path Analysis of Large-Scale Microservice Architectures" (USENIX ATC 2022),
//! which Jaeger's trace view follows. A child is cut to the time that its parent walks through it. What arrives by way
//! of a message (a consumer, a child of a producer) is not waited for and never on the path. Of children that end at
//! the same instant the longest counts.

use std::ops::Range;

use crate::map::parent::{CONSUMER, PRODUCER};
use crate::view::tree::{Tree, clip};

/// The path.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct CriticalPath {
    /// The spans on it by their start, parents before children.
    pub(crate) spans: Vec<usize>,
    /// Who kept the root busy: in order of time, without a gap, from its start to its end.
    pub(crate) segments: Vec<Segment>,
}

/// A piece of time that one span by itself is responsible for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) at: usize,
    pub(crate) time: Range<i64>,
}

/// The path below a span.
pub(crate) fn critical_path(tree: &Tree<'_>, root: usize) -> CriticalPath {
    let mut path = CriticalPath::default();
    // Spans to walk with the time to walk through.
    let mut open = vec![(root, tree.spans[root].time())];
    while let Some((at, window)) = open.pop() {
        path.spans.push(at);
        let mut cursor = window.end;
        for (child, time) in awaited(tree, at, &window) {
            if time.end > cursor {
                continue;
            }
            path.add(at, time.end..cursor);
            cursor = time.start;
            open.push((child, time));
        }
        path.add(at, window.start..cursor);
    }
    path.segments.sort_by_key(|segment| segment.time.start);
    // Parents were walked before their children, which a stable order keeps.
    path.spans.sort_by_key(|at| tree.spans[*at].start);
    path
}

/// Children that a span waits for with their times inside `window`, the last to finish first.
fn awaited(tree: &Tree<'_>, at: usize, window: &Range<i64>) -> Vec<(usize, Range<i64>)> {
    let waits = |child: &&usize| tree.spans[at].link.kind != PRODUCER && tree.spans[**child].link.kind != CONSUMER;
    let cut = |child: &usize| (*child, clip(tree.spans[*child].time(), window));
    let children = tree.children[at].iter().filter(waits).map(cut);
    let mut children: Vec<_> = children.filter(|(_, time)| !time.is_empty()).collect();
    children.sort_by_key(|(child, time)| (std::cmp::Reverse(time.end), time.start, tree.spans[*child].link));
    children
}

impl CriticalPath {
    fn add(&mut self, at: usize, time: Range<i64>) {
        if !time.is_empty() {
            self.segments.push(Segment { at, time });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::map::parent::{CLIENT, SERVER};
    use crate::view::outline::Outline;
    use crate::view::outline::made::{Made, outline};
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    /// Ids of the path, then `id:start-end` of its segments.
    fn told(outline: &Outline) -> (Vec<u64>, String) {
        let tree = Tree::new(&outline.spans);
        let root = tree.earliest(&tree.roots).expect("a root");
        let path = critical_path(&tree, root);
        let id = |at: usize| outline.spans[at].link.span;
        let segment = |one: &Segment| format!("{}:{}-{}", id(one.at), one.time.start, one.time.end);
        let segments: Vec<String> = path.segments.iter().map(segment).collect();
        (path.spans.iter().map(|at| id(*at)).collect(), segments.join(" "))
    }

    fn check(spans: &[Made<'_>], expected: &[u64], segments: &str) {
        assert_eq!(told(&outline(spans)), (expected.to_vec(), segments.to_owned()), "{spans:?}");
    }

    #[test]
    fn the_path_walks_back_through_what_finished_last() {
        check(&[(1, 0, "a", 1, 0, 10)], &[1], "1:0-10");
        // One after the other: both. Side by side: the one that ends last.
        check(
            &[(1, 0, "a", 1, 0, 10), (2, 1, "b", 1, 1, 4), (3, 1, "c", 1, 5, 9)],
            &[1, 2, 3],
            "1:0-1 2:1-4 1:4-5 3:5-9 1:9-10",
        );
        check(&[(1, 0, "a", 1, 0, 10), (2, 1, "b", 1, 1, 8), (3, 1, "c", 1, 2, 9)], &[1, 3], "1:0-2 3:2-9 1:9-10");
        // Of two that end together the longer; what ends exactly where the next begins is on the path.
        check(
            &[(1, 0, "a", 1, 0, 10), (2, 1, "b", 1, 4, 9), (3, 1, "c", 1, 3, 9), (4, 1, "d", 1, 1, 3)],
            &[1, 4, 3],
            "1:0-1 4:1-3 3:3-9 1:9-10",
        );
        // A child that outlives its parent, or begins before it, counts inside it.
        check(
            &[(1, 0, "a", 1, 0, 10), (2, 1, "b", 1, 1, 99), (3, 2, "c", 1, 2, 8)],
            &[1, 2, 3],
            "1:0-1 2:1-2 3:2-8 2:8-10",
        );
        check(&[(1, 0, "a", 1, 5, 10), (2, 1, "b", 1, 0, 8)], &[2, 1], "2:5-8 1:8-10");
        check(&[(1, 0, "a", 1, 5, 10), (2, 1, "b", 1, 20, 28), (3, 1, "b", 1, 7, 7)], &[1], "1:5-10");
    }

    #[test]
    fn nobody_waits_for_a_message() {
        check(
            &[
                (1, 0, "a", SERVER, 0, 10),
                (2, 1, "a", PRODUCER, 2, 5),
                (3, 2, "b", CONSUMER, 4, 90),
                (4, 1, "a", CLIENT, 6, 8),
                (5, 1, "c", CONSUMER, 3, 9),
            ],
            &[1, 2, 4],
            "1:0-2 2:2-5 1:5-6 4:6-8 1:8-10",
        );
    }

    /// The definition, word by word: `owner[t]` is who is responsible for the instant `t` of a window.
    fn naive(tree: &Tree<'_>, at: usize, window: Range<i64>, owner: &mut Vec<(i64, usize)>) {
        let mut cursor = window.end;
        loop {
            let mut last: Option<(usize, Range<i64>)> = None;
            for &child in &tree.children[at] {
                let messaging = tree.spans[at].link.kind == PRODUCER || tree.spans[child].link.kind == CONSUMER;
                let time = tree.spans[child].start.max(window.start)..tree.spans[child].end.min(window.end);
                if messaging || time.start >= time.end || time.end > cursor {
                    continue;
                }
                let rank = |at: usize, time: &Range<i64>| {
                    (time.end, std::cmp::Reverse(time.start), std::cmp::Reverse(tree.spans[at].link))
                };
                if last.as_ref().is_none_or(|(best, found)| rank(child, &time) > rank(*best, found)) {
                    last = Some((child, time));
                }
            }
            let until = last.as_ref().map_or(window.start, |(_, time)| time.end);
            owner.extend((until..cursor).map(|instant| (instant, at)));
            let Some((child, time)) = last else { return };
            cursor = time.start;
            naive(tree, child, time, owner);
        }
    }

    #[test]
    fn the_path_equals_its_definition_and_fills_the_root_for_random_traces() {
        for seed in 0..300 {
            let mut random = StdRng::seed_from_u64(seed);
            let count = random.random_range(1..40);
            let spans: Vec<Made<'_>> = (1..=count)
                .map(|id| {
                    let parent = if id == 1 { 0 } else { random.random_range(1..id) };
                    let start = random.random_range(-5..60);
                    (id, parent, "a", random.random_range(1..=5), start, start + random.random_range(0..50))
                })
                .collect();
            let made = outline(&spans);
            let tree = Tree::new(&made.spans);
            let root = tree.roots[0];
            let path = critical_path(&tree, root);
            let instants = path.segments.iter().flat_map(|one| one.time.clone().map(|instant| (instant, one.at)));
            let found: Vec<(i64, usize)> = instants.collect();
            let mut expected = Vec::new();
            naive(&tree, root, made.spans[root].time(), &mut expected);
            expected.sort_unstable();
            assert_eq!(found, expected, "seed {seed}: {spans:?}");
            let every: Vec<i64> = found.iter().map(|(instant, _)| *instant).collect();
            assert_eq!(every, made.spans[root].time().collect::<Vec<_>>(), "seed {seed}");
            for at in 0..made.spans.len() {
                let covered = |instant: &i64| tree.children[at].iter().any(|c| made.spans[*c].time().contains(instant));
                let own = made.spans[at].time().filter(|instant| !covered(instant)).count();
                assert_eq!(tree.self_ns(at), i64::try_from(own).expect("few"), "seed {seed}, span {at}");
            }
        }
    }
}
