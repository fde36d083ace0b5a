//! Two maps as one: the nodes and edges of a range, with what became of each since another range.

use std::collections::BTreeMap;

use crate::map::change::{Before, Change, Compared, judge};
use crate::map::graph::{Link, Node, ServiceMap};

/// The map with what became of each node and edge since `before`; those that are gone stand in it with figures of zero and
/// the examples of before.
pub(crate) fn compare(mut now: ServiceMap, before: ServiceMap) -> ServiceMap {
    now.bound = now.bound.max(before.bound);
    now.compare = Some(before.span());
    let mut nodes: BTreeMap<String, Node> = before.nodes.into_iter().map(|node| (node.id.clone(), node)).collect();
    for node in &mut now.nodes {
        let before = nodes.remove(&node.id).map(|node| of_node(&node));
        node.compared = Some(judge(of_node(node), before));
    }
    now.nodes.extend(nodes.into_values().map(|node| {
        let compared = Some(Compared { change: Change::Gone, before: Some(of_node(&node)) });
        Node { compared, ..node.emptied() }
    }));
    now.nodes.sort_by(|a, b| (a.kind, &a.name).cmp(&(b.kind, &b.name)));
    let key = |link: &Link| (link.source.clone(), link.target.clone(), link.kind);
    let mut edges: BTreeMap<_, Link> = before.edges.into_iter().map(|link| (key(&link), link)).collect();
    for link in &mut now.edges {
        let before = edges.remove(&key(link)).map(|link| of_link(&link));
        link.compared = Some(judge(of_link(link), before));
    }
    now.edges.extend(edges.into_values().map(|link| {
        let compared = Some(Compared { change: Change::Gone, before: Some(of_link(&link)) });
        Link { compared, ..link.emptied() }
    }));
    now.edges.sort_by_cached_key(key);
    now.torn |= before.torn;
    now
}

fn of_node(node: &Node) -> Before {
    let Node { requests: calls, errors, rate, error_rate, percentiles, .. } = *node;
    Before { calls, errors, rate, error_rate, percentiles }
}

fn of_link(link: &Link) -> Before {
    let Link { calls, errors, rate, error_rate, percentiles, .. } = *link;
    Before { calls, errors, rate, error_rate, percentiles }
}
