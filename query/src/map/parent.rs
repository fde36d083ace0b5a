//! Which span of a trace is the parent of another. Pure; the map, trace summaries and search share it, so that they agree.
//!
//! Zipkin-style clients and servers share one span id: the parent of such a server is the client of the same id, and a
//! span that names a shared id belongs to the half that its own service recorded, a server to the server's half.

use std::ops::Range;

use tracelake_model::SpanId;

/// OTLP number of `SPAN_KIND_UNSPECIFIED`.
pub(crate) const UNSPECIFIED: i8 = 0;
/// OTLP number of `SPAN_KIND_INTERNAL`.
pub(crate) const INTERNAL: i8 = 1;
/// OTLP number of `SPAN_KIND_SERVER`.
pub(crate) const SERVER: i8 = 2;
/// OTLP number of `SPAN_KIND_CLIENT`.
pub(crate) const CLIENT: i8 = 3;
/// OTLP number of `SPAN_KIND_PRODUCER`.
pub(crate) const PRODUCER: i8 = 4;
/// OTLP number of `SPAN_KIND_CONSUMER`.
pub(crate) const CONSUMER: i8 = 5;

/// What decides about parenthood. Ids are the 8 bytes as a big-endian number; 0 is no id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Link {
    /// The span's id.
    pub(crate) span: u64,
    /// The id it names as its parent, 0 for none.
    pub(crate) parent: u64,
    /// OTLP number of the kind.
    pub(crate) kind: i8,
    /// The service, interned.
    pub(crate) service: u32,
}

/// Where a span's parent is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Parent {
    /// It names none.
    Root,
    /// It names one that is not among the spans.
    Missing,
    /// At this place of the group.
    At(usize),
}

/// A span id's 8 bytes as a number; anything else is 0, which is no id.
pub(crate) fn span_number(bytes: &[u8]) -> u64 {
    bytes.try_into().map_or(0, u64::from_be_bytes)
}

/// The id of a span's number in text.
pub(crate) fn span_text(number: u64) -> String {
    SpanId(number.to_be_bytes()).to_string()
}

/// The parent of `group[at]`. `group` holds the spans of one trace, each once, in the order of their span ids.
pub(crate) fn parent_of<T>(group: &[T], at: usize, link: impl Fn(&T) -> Link) -> Parent {
    let child = link(&group[at]);
    if matches!(child.kind, SERVER | CONSUMER) {
        let caller = |i: &usize| *i != at && matches!(link(&group[*i]).kind, CLIENT | PRODUCER);
        if let Some(found) = same_id(group, child.span, &link).find(caller) {
            return Parent::At(found);
        }
    }
    if child.parent == 0 {
        return Parent::Root;
    }
    let rank = |i: &usize| {
        let candidate = link(&group[*i]);
        let (is_own, answers) = (candidate.service == child.service, matches!(candidate.kind, SERVER | CONSUMER));
        // The client half was answered by the server half, so another server was called by the latter.
        if matches!(child.kind, SERVER | CONSUMER) { (answers, is_own) } else { (is_own, answers) }
    };
    let best = same_id(group, child.parent, &link).filter(|i| *i != at).max_by_key(rank);
    best.map_or(Parent::Missing, Parent::At)
}

fn same_id<T>(group: &[T], span: u64, link: impl Fn(&T) -> Link) -> Range<usize> {
    let first = group.partition_point(|one| link(one).span < span);
    let count = group[first..].iter().take_while(|one| link(one).span == span).count();
    first..first + count
}

/// All places of a group, parents before their children; of spans that are their own ancestors one comes first.
pub(crate) fn in_order(parents: &[Parent]) -> Vec<usize> {
    let mut order = Vec::with_capacity(parents.len());
    let mut seen = vec![false; parents.len()];
    let mut chain = Vec::new();
    for first in 0..parents.len() {
        let mut next = Some(first);
        while let Some(at) = next.filter(|at| !seen[*at]) {
            seen[at] = true;
            chain.push(at);
            next = if let Parent::At(up) = parents[at] { Some(up) } else { None };
        }
        order.extend(chain.drain(..).rev());
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(spans: &[(u64, u64, i8, u32)], expected: &[Parent]) {
        let mut links: Vec<Link> =
            spans.iter().map(|&(span, parent, kind, service)| Link { span, parent, kind, service }).collect();
        links.sort();
        let found: Vec<Parent> = (0..links.len()).map(|at| parent_of(&links, at, |link| *link)).collect();
        assert_eq!(found, expected, "{links:?}");
    }

    #[test]
    fn a_parent_is_found_by_its_id_within_the_trace() {
        use Parent::{At, Missing, Root};
        check(&[(1, 0, SERVER, 0), (2, 1, CLIENT, 0), (3, 2, SERVER, 1), (4, 9, 1, 1)], &[Root, At(0), At(1), Missing]);
        check(&[(1, 1, 1, 0)], &[Missing]);
    }

    #[test]
    fn a_server_that_shares_its_clients_id_hangs_below_the_client() {
        use Parent::{At, Root};
        // In order of links: 1 server@0, 2 server@1, 2 client@0, 3 internal@1, 4 internal@0.
        check(
            &[(1, 0, SERVER, 0), (2, 1, CLIENT, 0), (2, 1, SERVER, 1), (3, 2, 1, 1), (4, 2, 1, 0)],
            &[Root, At(2), At(0), At(1), At(2)],
        );
        // The called service calls its caller back, without a client span: 4 server@0 below 2.
        check(
            &[(1, 0, SERVER, 0), (2, 1, CLIENT, 0), (2, 1, SERVER, 1), (4, 2, SERVER, 0)],
            &[Root, At(2), At(0), At(1)],
        );
    }

    #[test]
    fn parents_come_before_their_children_also_around_a_circle() {
        use Parent::{At, Missing, Root};
        assert_eq!(in_order(&[At(2), Root, At(1), Missing]), [1, 2, 0, 3]);
        assert_eq!(in_order(&[At(1), At(0), At(1)]), [1, 0, 2]);
        assert_eq!(in_order(&[At(0)]), [0]);
        assert!(in_order(&[]).is_empty());
    }
}
