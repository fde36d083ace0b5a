//! Structural operators: which spans of the right side stand in a relation to one of the left, in linear time.
//!
//! Sets of spans are ascending places in a trace.

use crate::traceql::ast::{Form, Relation};

/// The spans that an operator gives.
pub(crate) fn relate(
    parents: &[Option<usize>],
    (relation, form): (Relation, Form),
    left: &[usize],
    right: &[usize],
) -> Vec<usize> {
    let hits = related(parents, relation, left, right);
    match form {
        Form::Plain => hits,
        Form::Not => right.iter().copied().filter(|at| hits.binary_search(at).is_err()).collect(),
        Form::Union => {
            let others = related(parents, inverse(relation), right, left);
            union(&hits, &others)
        }
    }
}

/// All places of two sets.
pub(crate) fn union(left: &[usize], right: &[usize]) -> Vec<usize> {
    let mut all = [left, right].concat();
    all.sort_unstable();
    all.dedup();
    all
}

fn inverse(relation: Relation) -> Relation {
    match relation {
        Relation::Child => Relation::Parent,
        Relation::Parent => Relation::Child,
        Relation::Descendant => Relation::Ancestor,
        Relation::Ancestor => Relation::Descendant,
        Relation::Sibling => Relation::Sibling,
    }
}

fn related(parents: &[Option<usize>], relation: Relation, left: &[usize], right: &[usize]) -> Vec<usize> {
    let mut marked = vec![0_usize; parents.len()];
    match relation {
        Relation::Child => {
            left.iter().for_each(|at| marked[*at] = 1);
            keep(right, |at| parents[at].is_some_and(|parent| marked[parent] > 0))
        }
        Relation::Parent => {
            left.iter().filter_map(|at| parents[*at]).for_each(|parent| marked[parent] = 1);
            keep(right, |at| marked[at] > 0)
        }
        Relation::Ancestor => {
            for begin in left {
                let mut next = parents[*begin];
                while let Some(at) = next.filter(|at| marked[*at] == 0) {
                    marked[at] = 1;
                    next = parents[at];
                }
            }
            keep(right, |at| marked[at] > 0)
        }
        Relation::Sibling => {
            left.iter().filter_map(|at| parents[*at]).for_each(|parent| marked[parent] += 1);
            keep(right, |at| {
                let itself = usize::from(left.binary_search(&at).is_ok());
                parents[at].is_some_and(|parent| marked[parent] > itself)
            })
        }
        Relation::Descendant => {
            let below = below(parents, left);
            keep(right, |at| below[at])
        }
    }
}

/// Whether each span hangs below one of `left`, at whatever depth.
fn below(parents: &[Option<usize>], left: &[usize]) -> Vec<bool> {
    let mut is_left = vec![false; parents.len()];
    left.iter().for_each(|at| is_left[*at] = true);
    let mut known: Vec<Option<bool>> = vec![None; parents.len()];
    for begin in 0..parents.len() {
        let (mut way, mut next) = (Vec::new(), begin);
        let found = loop {
            if let Some(found) = known[next] {
                break found;
            }
            way.push(next);
            match parents[next] {
                None => break false,
                Some(parent) if is_left[parent] => break true,
                Some(parent) => next = parent,
            }
        };
        way.into_iter().for_each(|at| known[at] = Some(found));
    }
    known.into_iter().map(|found| found == Some(true)).collect()
}

fn keep(right: &[usize], fits: impl Fn(usize) -> bool) -> Vec<usize> {
    right.iter().copied().filter(|at| fits(*at)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relations_follow_the_tree() {
        // 0 ─ 1 ─ 3, 0 ─ 2, 1 ─ 4; 5 alone.
        let parents = [None, Some(0), Some(0), Some(1), Some(1), None];
        let all = [0, 1, 2, 3, 4, 5];
        let check = |relation: Relation, form: Form, left: &[usize], expected: &[usize]| {
            assert_eq!(relate(&parents, (relation, form), left, &all), expected, "{relation:?} {form:?} of {left:?}");
        };
        check(Relation::Child, Form::Plain, &[0], &[1, 2]);
        check(Relation::Descendant, Form::Plain, &[0], &[1, 2, 3, 4]);
        check(Relation::Descendant, Form::Plain, &[1, 3], &[3, 4]);
        check(Relation::Parent, Form::Plain, &[3, 2], &[0, 1]);
        check(Relation::Ancestor, Form::Plain, &[3], &[0, 1]);
        check(Relation::Sibling, Form::Plain, &[3], &[4]);
        check(Relation::Sibling, Form::Plain, &[1, 2], &[1, 2]);
        check(Relation::Sibling, Form::Plain, &[0, 5], &[]);
        check(Relation::Child, Form::Not, &[0], &[0, 3, 4, 5]);
        check(Relation::Child, Form::Not, &[], &all);
        check(Relation::Child, Form::Union, &[1, 5], &[1, 3, 4]);
        assert_eq!(relate(&parents, (Relation::Ancestor, Form::Union), &[3, 4], &[0]), [0, 3, 4]);
    }
}
