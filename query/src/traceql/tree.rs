//! A trace in memory: its spans, each once, with the values that a query needs, and who is whose parent.
//!
//! A span's identity is (trace, span, kind, service); of rows that share it the last stored one counts. Parents are those
//! of the service map. Spans that are their own ancestors have no parent here, so that every walk ends.

use crate::map::parent::{Link, Parent, parent_of};
use crate::traceql::field::{Field, Intrinsic};
use crate::traceql::literal::Static;
use crate::traceql::slot::{NAME, SERVICE, Slots, of_parent};

/// One span.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    /// Ids, kind and service.
    pub(crate) link: Link,
    /// Start, Unix nanoseconds.
    pub(crate) start: i64,
    /// Nanoseconds.
    pub(crate) duration: i64,
    /// By the places of the fields.
    pub(crate) values: Vec<Static>,
}

/// One trace.
#[derive(Clone, Debug)]
pub(crate) struct Trace {
    /// Its id.
    pub(crate) id: [u8; 16],
    /// In the order of their ids.
    pub(crate) spans: Vec<Span>,
    /// The parent of each span, by place.
    pub(crate) parents: Vec<Option<usize>>,
    /// The earliest span that names no parent.
    pub(crate) root: Option<usize>,
}

impl Trace {
    /// A trace of rows in the order in which they were stored. There is at least one.
    pub(crate) fn new(id: [u8; 16], mut spans: Vec<Span>, slots: &Slots) -> Self {
        let identity = |span: &Span| (span.link.span, span.link.kind, span.link.service);
        spans.reverse();
        spans.sort_by_key(identity);
        spans.dedup_by_key(|span| identity(span));
        let found: Vec<Parent> = (0..spans.len()).map(|at| parent_of(&spans, at, |span| span.link)).collect();
        let place = |parent: &Parent| if let Parent::At(at) = parent { Some(*at) } else { None };
        let parents = without_circles(found.iter().map(place).collect());
        let roots = (0..spans.len()).filter(|at| found[*at] == Parent::Root);
        let root = roots.min_by_key(|at| (spans[*at].start, spans[*at].link));
        let mut trace = Self { id, spans, parents, root };
        trace.fill(slots, &found);
        trace
    }

    /// Start of the earliest span.
    pub(crate) fn start(&self) -> i64 {
        self.spans.iter().map(|span| span.start).min().unwrap_or(0)
    }

    /// From the earliest start to the latest end.
    pub(crate) fn duration(&self) -> i64 {
        let ends = self.spans.iter().map(|span| span.start.saturating_add(span.duration));
        ends.max().unwrap_or(0).saturating_sub(self.start())
    }

    /// Fills in what only the whole trace tells.
    fn fill(&mut self, slots: &Slots, found: &[Parent]) {
        let wanted: Vec<(usize, &Field)> =
            slots.fields().iter().enumerate().filter(|(_, field)| field.is_of_trace()).collect();
        if wanted.is_empty() {
            return;
        }
        let nested = nested_sets(&self.parents, found);
        let mut children = vec![0_i64; self.spans.len()];
        for parent in self.parents.iter().flatten() {
            children[*parent] += 1;
        }
        let duration = Static::Duration(self.duration());
        let of_root = |place: usize| self.root.map_or(Static::Nil, |root| self.spans[root].values[place].clone());
        let (root_name, root_service) = (of_root(NAME), of_root(SERVICE));
        for (place, field) in wanted {
            let own = of_parent(field).and_then(|own| slots.find(&own));
            for at in 0..self.spans.len() {
                let value = match field {
                    Field::Attribute { .. } => match (self.parents[at], own) {
                        (Some(parent), Some(own)) => self.spans[parent].values[own].clone(),
                        _ => Static::Nil,
                    },
                    Field::Intrinsic { what, .. } => match what {
                        Intrinsic::ChildCount => Static::Int(children[at]),
                        Intrinsic::NestedSetLeft => Static::Int(nested[at].left),
                        Intrinsic::NestedSetRight => Static::Int(nested[at].right),
                        Intrinsic::NestedSetParent => Static::Int(nested[at].parent),
                        Intrinsic::TraceDuration => duration.clone(),
                        Intrinsic::RootName => root_name.clone(),
                        Intrinsic::RootService => root_service.clone(),
                        _ => Static::Nil,
                    },
                };
                self.spans[at].values[place] = value;
            }
        }
    }
}

/// Parents without those of spans that are their own ancestors.
fn without_circles(mut parents: Vec<Option<usize>>) -> Vec<Option<usize>> {
    // 0: not looked at; 1: on the way that is walked; 2: known to end.
    let mut state = vec![0_u8; parents.len()];
    let mut circles: Vec<usize> = Vec::new();
    for begin in 0..parents.len() {
        let (mut way, mut next) = (Vec::new(), Some(begin));
        while let Some(at) = next.filter(|at| state[*at] == 0) {
            state[at] = 1;
            way.push(at);
            next = parents[at];
        }
        if let Some(met) = next.filter(|met| state[*met] == 1) {
            circles.extend(way.iter().skip_while(|at| **at != met));
        }
        for at in way {
            state[at] = 2;
        }
    }
    for at in circles {
        parents[at] = None;
    }
    parents
}

/// Numbers of a span in its trace's tree: those of its descendants lie between its own.
#[derive(Clone, Copy, Debug, Default)]
struct Nested {
    left: i64,
    right: i64,
    parent: i64,
}

/// Depth first from the roots, from 1 on; a root's parent is -1. Spans that hang below no root have zeros.
fn nested_sets(parents: &[Option<usize>], found: &[Parent]) -> Vec<Nested> {
    let mut children: Vec<Vec<usize>> = vec![Vec::new(); parents.len()];
    for (at, parent) in parents.iter().enumerate() {
        if let Some(parent) = parent {
            children[*parent].push(at);
        }
    }
    let mut nested = vec![Nested::default(); parents.len()];
    let mut number = 0;
    for root in (0..parents.len()).filter(|at| found[*at] == Parent::Root) {
        number += 1;
        nested[root] = Nested { left: number, right: 0, parent: -1 };
        let mut open = vec![(root, 0)];
        while let Some((at, next)) = open.last_mut() {
            let at = *at;
            if let Some(child) = children[at].get(*next).copied() {
                *next += 1;
                number += 1;
                nested[child] = Nested { left: number, right: 0, parent: nested[at].left };
                open.push((child, 0));
            } else {
                number += 1;
                nested[at].right = number;
                open.pop();
            }
        }
    }
    nested
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn circles_lose_their_parents_and_what_hangs_below_keeps_them() {
        let check = |parents: &[Option<usize>], expected: &[Option<usize>]| {
            assert_eq!(without_circles(parents.to_vec()), expected, "{parents:?}");
        };
        check(&[None, Some(0), Some(1)], &[None, Some(0), Some(1)]);
        check(&[Some(1), Some(0), Some(1)], &[None, None, Some(1)]);
        check(&[Some(1), Some(2), Some(1), Some(0)], &[Some(1), None, None, Some(0)]);
    }

    #[test]
    fn nested_numbers_hold_those_of_descendants() {
        let found = [Parent::Root, Parent::At(0), Parent::At(1), Parent::At(0), Parent::Missing, Parent::At(4)];
        let nested = nested_sets(&[None, Some(0), Some(1), Some(0), None, Some(4)], &found);
        let numbers: Vec<_> = nested.iter().map(|one| (one.left, one.right, one.parent)).collect();
        assert_eq!(numbers, [(1, 8, -1), (2, 5, 1), (3, 4, 2), (6, 7, 1), (0, 0, 0), (0, 0, 0)]);
    }
}
