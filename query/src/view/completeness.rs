//! What is missing, doubled or odd in a trace, told so that nobody has to guess.
//!
//! Lists are bounded by [`LIST_MAX`]; their counts are of all.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::map::parent::{CLIENT, CONSUMER, Link, PRODUCER, SERVER, span_text};
use crate::view::name::kind_name;
use crate::view::outline::{Outline, OutlineSpan};
use crate::view::tree::Tree;

/// Entries of a list.
pub(crate) const LIST_MAX: usize = 1_000;

/// A span is late when it was stored so long after the first spans of its trace.
pub(crate) const LATE_NS: i64 = 60_000_000_000;

/// The findings.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Completeness {
    /// Spans that name no parent; a whole trace has one.
    pub(crate) root_count: usize,
    pub(crate) roots: Vec<String>,
    /// Spans whose parent is not stored.
    pub(crate) orphan_count: usize,
    pub(crate) orphans: Vec<Orphan>,
    /// Spans that are their own ancestors.
    pub(crate) circular_count: usize,
    pub(crate) circular: Vec<String>,
    /// Rows that say again what another row says.
    pub(crate) repeated_rows: usize,
    /// Spans that were stored with different contents.
    pub(crate) conflicting_count: usize,
    pub(crate) conflicting: Vec<Conflicting>,
    /// Ids that several spans have: a client and its server by Zipkin's custom, or an accident.
    pub(crate) shared_id_count: usize,
    pub(crate) shared_ids: Vec<SharedId>,
    pub(crate) end_before_start_count: usize,
    pub(crate) end_before_start: Vec<String>,
    pub(crate) late: Late,
}

/// A span whose parent is not stored.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Orphan {
    pub(crate) span_id: String,
    pub(crate) parent_span_id: String,
    pub(crate) service: String,
}

/// A span that was stored with different contents.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Conflicting {
    pub(crate) span_id: String,
    pub(crate) service: String,
    pub(crate) kind: &'static str,
    pub(crate) versions: usize,
}

/// An id that several spans have.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct SharedId {
    pub(crate) span_id: String,
    /// A client or producer and its server or consumer: one id for both halves of a call.
    pub(crate) is_call: bool,
    pub(crate) spans: Vec<Sharer>,
}

/// One of the spans that share an id.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Sharer {
    pub(crate) service: String,
    pub(crate) kind: &'static str,
}

/// Spans that were stored much later than the first of their trace.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(crate) struct Late {
    /// Whether the storing times of all spans are known well enough to tell: merged files keep no times of single rows.
    pub(crate) is_known: bool,
    pub(crate) count: usize,
    pub(crate) spans: Vec<LateSpan>,
}

/// A late span.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct LateSpan {
    pub(crate) span_id: String,
    /// At least so much later.
    pub(crate) late_ms: f64,
}

/// Looks a sealed outline through.
pub(crate) fn completeness(outline: &Outline, tree: &Tree<'_>) -> Completeness {
    let spans = &outline.spans;
    let service = |link: Link| outline.services.get(link.service).to_string();
    let id = |at: &usize| span_text(spans[*at].link.span);
    let below: BTreeSet<usize> = tree.downwards().into_iter().collect();
    let circular: Vec<usize> = (0..spans.len()).filter(|at| !below.contains(at)).collect();
    let odd: Vec<usize> = (0..spans.len()).filter(|at| spans[*at].ends_before_start).collect();
    let orphan = |at: &usize| Orphan {
        span_id: id(at),
        parent_span_id: span_text(spans[*at].link.parent),
        service: service(spans[*at].link),
    };
    let conflicting = outline.conflicts.iter().map(|one| Conflicting {
        span_id: span_text(one.link.span),
        service: service(one.link),
        kind: kind_name(one.link.kind),
        versions: one.versions,
    });
    let shared: Vec<&[OutlineSpan]> =
        spans.chunk_by(|a, b| a.link.span == b.link.span).filter(|sharers| sharers.len() > 1).collect();
    Completeness {
        root_count: tree.roots.len(),
        roots: tree.roots.iter().take(LIST_MAX).map(id).collect(),
        orphan_count: tree.orphans.len(),
        orphans: tree.orphans.iter().take(LIST_MAX).map(orphan).collect(),
        circular_count: circular.len(),
        circular: circular.iter().take(LIST_MAX).map(id).collect(),
        repeated_rows: outline.repeated,
        conflicting_count: outline.conflicts.len(),
        conflicting: conflicting.take(LIST_MAX).collect(),
        shared_id_count: shared.len(),
        shared_ids: shared.into_iter().take(LIST_MAX).map(|sharers| shared_id(outline, sharers)).collect(),
        end_before_start_count: odd.len(),
        end_before_start: odd.iter().take(LIST_MAX).map(id).collect(),
        late: late(outline),
    }
}

fn shared_id(outline: &Outline, sharers: &[OutlineSpan]) -> SharedId {
    let sharer = |span: &OutlineSpan| Sharer {
        service: outline.services.get(span.link.service).to_string(),
        kind: kind_name(span.link.kind),
    };
    let count = |kinds: [i8; 2]| sharers.iter().filter(|span| kinds.contains(&span.link.kind)).count();
    SharedId {
        span_id: span_text(sharers[0].link.span),
        is_call: sharers.len() == 2 && count([CLIENT, PRODUCER]) == 1 && count([SERVER, CONSUMER]) == 1,
        spans: sharers.iter().map(sharer).collect(),
    }
}

/// What was stored for sure more than [`LATE_NS`] after the first span of the trace was.
fn late(outline: &Outline) -> Late {
    let spans = &outline.spans;
    let Some(first) = spans.iter().filter_map(|span| span.stored.until).min() else { return Late::default() };
    let by = |span: &OutlineSpan| span.stored.after.map_or(0, |after| after.saturating_sub(first));
    let late: Vec<(&OutlineSpan, i64)> =
        spans.iter().map(|span| (span, by(span))).filter(|(_, by)| *by > LATE_NS).collect();
    // Between the earliest and the latest instant at which a span may have been stored may lie too much to tell.
    let is_early = |span: &OutlineSpan| span.stored.until.is_some_and(|until| until - first <= LATE_NS);
    let is_known = spans.iter().all(|span| is_early(span) || by(span) > LATE_NS);
    #[expect(clippy::cast_precision_loss, reason = "milliseconds for people")]
    let shown =
        |(span, by): &(&OutlineSpan, i64)| LateSpan { span_id: span_text(span.link.span), late_ms: *by as f64 / 1e6 };
    Late { is_known, count: late.len(), spans: late.iter().take(LIST_MAX).map(shown).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::pick::Stored;
    use crate::view::outline::Conflict;
    use crate::view::outline::made::outline;

    #[test]
    fn every_oddity_is_told_with_its_id() {
        let mut made = outline(&[
            (1, 0, "a", CLIENT, 0, 100),
            (1, 0, "b", SERVER, 10, 90),
            (2, 9, "b", 1, 10, 20),
            (3, 4, "c", 1, 10, 20),
            (4, 3, "c", 1, 10, 20),
            (5, 0, "c", 1, 10, 20),
            (6, 1, "a", 1, 10, 20),
            (6, 1, "b", 1, 10, 20),
        ]);
        made.spans[2].ends_before_start = true;
        made.repeated = 3;
        made.conflicts.push(Conflict { link: made.spans[5].link, versions: 2 });
        let found = completeness(&made, &Tree::new(&made.spans));
        let id = |id: u64| format!("{id:016x}");
        assert_eq!((found.root_count, &found.roots[..]), (2, &[id(1), id(5)][..]));
        assert_eq!(found.orphans, [Orphan { span_id: id(2), parent_span_id: id(9), service: "b".to_owned() }]);
        assert_eq!((found.circular_count, &found.circular[..]), (2, &[id(3), id(4)][..]));
        assert_eq!((found.repeated_rows, found.conflicting_count), (3, 1));
        assert_eq!((&found.conflicting[0].span_id, found.conflicting[0].versions), (&id(5), 2));
        let shared: Vec<(&str, bool)> = found.shared_ids.iter().map(|one| (&one.span_id[..], one.is_call)).collect();
        assert_eq!(shared, [(&id(1)[..], true), (&id(6)[..], false)]);
        assert_eq!(found.end_before_start, [id(2)]);
        assert_eq!(found.late, Late::default());
    }

    #[test]
    fn a_span_is_late_only_when_it_was_stored_later_for_sure() {
        let minute = 60_000_000_000;
        let check = |stored: [(Option<i64>, Option<i64>); 3], expected: &[&str], is_known: bool| {
            let mut made = outline(&[(1, 0, "a", 1, 0, 9), (2, 1, "a", 1, 0, 9), (3, 1, "a", 1, 0, 9)]);
            for (span, (after, until)) in made.spans.iter_mut().zip(stored) {
                span.stored = Stored { after, until };
            }
            let late = completeness(&made, &Tree::new(&made.spans)).late;
            let ids: Vec<&str> = late.spans.iter().map(|span| span.span_id.trim_start_matches('0')).collect();
            assert_eq!((ids, late.is_known), (expected.to_vec(), is_known), "{stored:?}");
        };
        let at = |minutes: i64| (Some(minutes * minute), Some(minutes * minute + 1));
        check([at(5), at(5), at(5)], &[], true);
        check([at(5), at(5), at(9)], &["3"], true);
        check([at(9), at(5), at(9)], &["1", "3"], true);
        // A merged file: stored within ten minutes, nobody knows when.
        check([at(5), at(5), (Some(4 * minute), Some(14 * minute))], &[], false);
        check([at(5), at(5), (Some(8 * minute), Some(14 * minute))], &["3"], true);
        check([at(5), at(5), (None, None)], &[], false);
    }
}
