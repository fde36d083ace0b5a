//! Which spans of one trace leave it: calls of databases and peers outside, messages handed to queues.
//!
//! One call may have left several spans within its service, one inside the other; one of them counts. A span's edge
//! still depends on its whole trace: a callee that sent a span answers for itself.

use crate::map::near::is_near;
use crate::map::node::NodeKind;
use crate::map::role::Role;
use crate::map::span::{NONE, Span, SpanSet};
use crate::map::tree::Tree;

/// What encloses a span within its service, down from where the service was called.
#[derive(Clone, Copy)]
struct Within {
    /// A call of a database.
    database: bool,
    /// A call outside.
    external: bool,
    /// A message to this queue, or [`NONE`].
    queue: u32,
}

const NOTHING: Within = Within { database: false, external: false, queue: NONE };

/// Whether each span of a group draws an edge to the peer it names.
///
/// - A message draws one, but inside another message to the same queue.
/// - A database call draws one, but inside another database call, and where a service answered.
/// - A call outside draws one, but inside of a database call or a message (which it carries), around any other call
///   that names its peer (which it is made of), and where a service answered.
/// - A folded sidecar's call draws one where the application itself left no span of that call.
pub(crate) fn exits(set: &SpanSet, group: &[Span], tree: &Tree) -> Vec<bool> {
    let kinds: Vec<Option<NodeKind>> = group.iter().map(|span| exit(set, span)).collect();
    if kinds.iter().all(Option::is_none) {
        return vec![false; group.len()];
    }
    let (answered, around) = below(group, tree, &kinds);
    let within = above(group, tree, &kinds);
    let draws = |at: usize| match kinds[at] {
        Some(NodeKind::Queue) => within[at].queue != group[at].peer,
        Some(NodeKind::Database) => !within[at].database && !answered[at],
        Some(NodeKind::External) => {
            let is_carried = within[at].database || within[at].queue != NONE;
            let is_known = group[at].is_folded && (tree.passed[at] || within[at].external);
            !is_carried && !is_known && !around[at] && !answered[at]
        }
        _ => false,
    };
    (0..group.len()).map(draws).collect()
}

/// The kind of the peer that a span may lead to.
fn exit(set: &SpanSet, span: &Span) -> Option<NodeKind> {
    let leads = span.peer != NONE && !span.role.consumes();
    leads.then(|| set.peers.get(span.peer).0)
}

/// Whether a service answered below each span, and whether another exit stands below it within its service. What starts
/// long after the span above it is no answer to that.
fn below(group: &[Span], tree: &Tree, kinds: &[Option<NodeKind>]) -> (Vec<bool>, Vec<bool>) {
    let (mut answered, mut around) = (vec![false; group.len()], vec![false; group.len()]);
    for &at in tree.order.iter().rev() {
        let Some(up) = tree.parent(at) else { continue };
        if group[at].is_folded || !is_near(group[at].start, group[up].start, group[up].end()) {
            continue;
        }
        if tree.services[at] != tree.services[up] || is_entry(&group[at]) {
            answered[up] = true;
        } else {
            answered[up] |= answered[at];
            around[up] |= around[at] || kinds[at].is_some();
        }
    }
    (answered, around)
}

fn above(group: &[Span], tree: &Tree, kinds: &[Option<NodeKind>]) -> Vec<Within> {
    let mut within = vec![NOTHING; group.len()];
    for &at in &tree.order {
        if is_entry(&group[at]) {
            continue;
        }
        let Some(up) = tree.parent_within(at) else { continue };
        within[at] = match kinds[up] {
            Some(NodeKind::Database) => Within { database: true, ..within[up] },
            Some(NodeKind::Queue) => Within { queue: group[up].peer, ..within[up] },
            Some(NodeKind::External) => Within { external: true, ..within[up] },
            _ => within[up],
        };
    }
    within
}

/// Where a service is called, or takes up a message.
fn is_entry(span: &Span) -> bool {
    span.is_request() || span.role == Role::Process
}
