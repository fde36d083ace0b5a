//! Clocks that disagree within a trace, and by how much to move each span so that the trace makes sense.
//!
//! Spans of one process share its clock, so only a child in another process than its parent can tell. It cannot begin
//! before its parent does. A server whose client waits for it cannot end after the client either, unless it takes
//! longer than the client waited (a timeout); any other child may outlive its parent, because nobody need wait for it.
//! A skewed server is moved to the middle of its client, as if both ways through the network took equally long; any
//! other child to the start of its parent. Whatever runs in the same process below moves along. Times as they were sent
//! are never changed: these are offers. The idea is that of Zipkin's and Jaeger's clock skew adjusters.

use std::ops::Range;

use crate::map::parent::{CLIENT, SERVER};
use crate::view::outline::OutlineSpan;
use crate::view::tree::Tree;

/// Nanoseconds to add to the times of each span, in the order of the outline; 0 where nothing is wrong.
pub(crate) fn offsets(tree: &Tree<'_>) -> Vec<i64> {
    let mut offsets = vec![0; tree.spans.len()];
    for at in tree.downwards() {
        let Some(parent) = tree.parents[at] else { continue };
        let (child, caller) = (&tree.spans[at], &tree.spans[parent]);
        offsets[at] = if child.process == caller.process {
            offsets[parent]
        } else {
            shift(caller, &moved(caller.time(), offsets[parent]), child)
        };
    }
    offsets
}

/// By how much a child must move, given where its parent really is.
fn shift(parent: &OutlineSpan, within: &Range<i64>, child: &OutlineSpan) -> i64 {
    let time = child.time();
    let room = (within.end - within.start) - (time.end - time.start);
    let is_awaited = (parent.link.kind, child.link.kind) == (CLIENT, SERVER) && room >= 0;
    if is_awaited && (time.start < within.start || time.end > within.end) {
        return within.start + room / 2 - time.start;
    }
    (within.start - time.start).max(0)
}

fn moved(time: Range<i64>, by: i64) -> Range<i64> {
    time.start.saturating_add(by)..time.end.saturating_add(by)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::map::parent::{CONSUMER, PRODUCER};
    use crate::view::outline::made::{Made, outline};

    fn check(spans: &[Made<'_>], expected: &[i64]) {
        let made = outline(spans);
        assert_eq!(offsets(&Tree::new(&made.spans)), expected, "{spans:?}");
    }

    #[test]
    fn a_child_outside_its_parent_beyond_what_waiting_explains_is_moved() {
        let client = (1, 0, "a", CLIENT, 100, 200);
        // Inside, or at the edge: nothing.
        check(&[client, (2, 1, "b", SERVER, 110, 190)], &[0, 0]);
        check(&[client, (2, 1, "b", SERVER, 100, 200)], &[0, 0]);
        // A clock behind, a clock ahead: to the middle.
        check(&[client, (2, 1, "b", SERVER, 40, 120)], &[0, 70]);
        check(&[client, (2, 1, "b", SERVER, 150, 230)], &[0, -40]);
        // Longer than the client waited: it may go on, but it cannot have begun before.
        check(&[client, (2, 1, "b", SERVER, 110, 400)], &[0, 0]);
        check(&[client, (2, 1, "b", SERVER, 60, 400)], &[0, 40]);
        // Nobody waits for these.
        check(&[client, (2, 1, "b", 1, 150, 230)], &[0, 0]);
        check(&[(1, 0, "a", PRODUCER, 100, 110), (2, 1, "b", CONSUMER, 500, 900)], &[0, 0]);
        check(&[(1, 0, "a", PRODUCER, 100, 110), (2, 1, "b", CONSUMER, 90, 900)], &[0, 10]);
        // One process has one clock, however odd its spans look.
        check(&[(1, 0, "a", CLIENT, 100, 200), (2, 1, "a", SERVER, 40, 120)], &[0, 0]);
    }

    #[test]
    fn what_runs_below_moves_along_and_another_clock_is_judged_by_where_its_parent_really_is() {
        check(
            &[
                (1, 0, "a", CLIENT, 100, 200),
                (2, 1, "b", SERVER, 40, 120),
                (3, 2, "b", CLIENT, 50, 100),
                // Its clock agrees with the first one's: right where its moved client is.
                (4, 3, "a", SERVER, 130, 160),
                // Its clock agrees with the second one's.
                (5, 3, "c", SERVER, 60, 90),
            ],
            &[0, 70, 70, 0, 70],
        );
    }
}
