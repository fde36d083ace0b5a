//! Who is whose parent within one trace, as the map sees it: past sidecars, and in an order that passes each span's
//! parent first.
//!
//! Spans that are their own ancestors keep the parents they name; the order then begins somewhere in the circle.

use crate::map::fold::bypass;
use crate::map::parent::{Parent, in_order, parent_of};
use crate::map::span::Span;

/// Parents and order of one trace's spans. Places are those of the group.
#[derive(Debug)]
pub(crate) struct Tree {
    /// The parent of each span.
    pub(crate) parents: Vec<Parent>,
    /// All places, parents before their children.
    pub(crate) order: Vec<usize>,
    /// The service of each span; of a folded one its application's.
    pub(crate) services: Vec<u32>,
    /// Folded spans that were passed: others hang below them.
    pub(crate) passed: Vec<bool>,
}

impl Tree {
    /// The tree of a group as [`crate::map::span::SpanSet::by_trace`] gives it.
    pub(crate) fn new(group: &[Span]) -> Self {
        let mut parents: Vec<Parent> = (0..group.len()).map(|at| parent_of(group, at, |span| span.link)).collect();
        let order = in_order(&parents);
        let mut services: Vec<u32> = group.iter().map(|span| span.link.service).collect();
        let mut passed = vec![false; group.len()];
        if group.iter().any(|span| span.is_folded) {
            for parent in &parents {
                if let Parent::At(up) = parent {
                    passed[*up] = group[*up].is_folded;
                }
            }
            bypass(&mut parents, &order, |at| (group[at].role, group[at].is_folded));
            for &at in &order {
                if let (true, Parent::At(up)) = (group[at].is_folded, parents[at]) {
                    services[at] = services[up];
                }
            }
        }
        Self { parents, order, services, passed }
    }

    /// The place of a span's parent.
    pub(crate) fn parent(&self, at: usize) -> Option<usize> {
        if let Parent::At(up) = self.parents[at] { Some(up) } else { None }
    }

    /// The place of a span's parent where both belong to one service.
    pub(crate) fn parent_within(&self, at: usize) -> Option<usize> {
        self.parent(at).filter(|up| self.services[*up] == self.services[at])
    }
}
