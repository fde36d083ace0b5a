//! A pipeline over one trace: spansets in, spansets out, stage by stage.
//!
//! The first stage is fed with all spans of the trace. A spanset that becomes empty is gone. Structural and logical
//! operators look at one incoming spanset at a time; where a side makes several spansets of it, all their spans count.

use crate::traceql::ast::{
    Aggregate, BinaryOp, Compare, FieldExpr, Form, Pipeline, Relation, Scalar, Spanset, SpansetOp, Stage,
};
use crate::traceql::literal::Static;
use crate::traceql::operate::{arithmetic, compare, negate};
use crate::traceql::slot::{Eval, Slots};
use crate::traceql::structure::{relate, union};
use crate::traceql::tree::Trace;

/// Spans of one trace that belong together.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Set {
    /// Places in the trace, ascending.
    pub(crate) spans: Vec<usize>,
    /// What stages said of it: groups and aggregates, by their text.
    pub(crate) attributes: Vec<(String, Static)>,
}

/// A pipeline that is ready to run.
#[derive(Debug)]
pub(crate) struct Program {
    stages: Vec<Step>,
}

#[derive(Debug)]
enum Step {
    Spans(Select),
    Compare {
        op: BinaryOp,
        left: Value,
        right: Value,
    },
    By {
        of: Eval,
        shown: String,
    },
    Coalesce,
    /// Needs nothing but its fields' places.
    Select,
}

#[derive(Debug)]
enum Select {
    Filter(Eval),
    And(Box<Select>, Box<Select>),
    Union(Box<Select>, Box<Select>),
    Related((Relation, Form), Box<Select>, Box<Select>),
    Program(Program),
}

/// A scalar, with its text where answers show it.
#[derive(Debug)]
enum Value {
    Literal(Static),
    Aggregate { kind: Aggregate, of: Option<Eval>, shown: String },
    Negate(Box<Value>),
    Binary { op: BinaryOp, left: Box<Value>, right: Box<Value> },
    Program { program: Program, value: Box<Value> },
}

impl Program {
    /// Makes a pipeline ready; its fields get places.
    pub(crate) fn new(pipeline: &Pipeline, slots: &mut Slots) -> Self {
        Self { stages: pipeline.stages.iter().map(|stage| step(stage, slots)).collect() }
    }

    /// The spansets that it makes of a trace.
    pub(crate) fn run(&self, trace: &Trace) -> Vec<Set> {
        let all = Set { spans: (0..trace.spans.len()).collect(), attributes: Vec::new() };
        self.feed(trace, vec![all])
    }

    fn feed(&self, trace: &Trace, mut sets: Vec<Set>) -> Vec<Set> {
        for step in &self.stages {
            if sets.is_empty() {
                break;
            }
            sets = match step {
                Step::Spans(select) => sets.into_iter().filter_map(|set| select.apply(trace, set)).collect(),
                Step::Compare { op, left, right } => {
                    let kept = |mut set: Set| {
                        let (left, right) = (left.of(trace, &mut set), right.of(trace, &mut set));
                        compare(*op, &left, &right).then_some(set)
                    };
                    sets.into_iter().filter_map(kept).collect()
                }
                Step::By { of, shown } => sets.into_iter().flat_map(|set| split(trace, &set, of, shown)).collect(),
                Step::Coalesce => vec![merged(sets)],
                Step::Select => sets,
            };
        }
        sets
    }
}

fn step(stage: &Stage, slots: &mut Slots) -> Step {
    match stage {
        Stage::Spans(spans) => Step::Spans(select(spans, slots)),
        Stage::Compare(Compare { op, left, right }) => {
            Step::Compare { op: *op, left: value(left, slots), right: value(right, slots) }
        }
        Stage::By(of) => Step::By { of: Eval::new(of, slots), shown: format!("by({of})") },
        Stage::Coalesce => Step::Coalesce,
        Stage::Select(fields) => {
            for field in fields {
                slots.place(field);
            }
            Step::Select
        }
    }
}

fn select(spans: &Spanset, slots: &mut Slots) -> Select {
    match spans {
        Spanset::Filter(condition) => Select::Filter(Eval::new(condition, slots)),
        Spanset::Pipeline(pipeline) => Select::Program(Program::new(pipeline, slots)),
        Spanset::Operation { op, left, right } => {
            let (left, right) = (Box::new(select(left, slots)), Box::new(select(right, slots)));
            match op {
                SpansetOp::And => Select::And(left, right),
                SpansetOp::Union => Select::Union(left, right),
                SpansetOp::Related { relation, form } => Select::Related((*relation, *form), left, right),
            }
        }
    }
}

fn value(scalar: &Scalar, slots: &mut Slots) -> Value {
    match scalar {
        Scalar::Literal(literal) => Value::Literal(literal.clone()),
        Scalar::Aggregate { kind, of } => Value::Aggregate {
            kind: *kind,
            of: of.as_ref().map(|of: &FieldExpr| Eval::new(of, slots)),
            shown: scalar.to_string(),
        },
        Scalar::Negate(of) => Value::Negate(Box::new(value(of, slots))),
        Scalar::Binary { op, left, right } => {
            let (left, right) = (Box::new(value(left, slots)), Box::new(value(right, slots)));
            Value::Binary { op: *op, left, right }
        }
        Scalar::Pipeline { pipeline, value: of } => {
            Value::Program { program: Program::new(pipeline, slots), value: Box::new(value(of, slots)) }
        }
    }
}

impl Select {
    /// What is left of a spanset; none when that is nothing.
    fn apply(&self, trace: &Trace, mut set: Set) -> Option<Set> {
        let spans = match self {
            Self::Filter(condition) => {
                set.spans.iter().copied().filter(|at| condition.holds(&trace.spans[*at].values)).collect()
            }
            Self::And(left, right) => {
                let (left, right) = (left.part(trace, &mut set)?, right.part(trace, &mut set)?);
                union(&left, &right)
            }
            Self::Union(left, right) => {
                let left = left.part(trace, &mut set).unwrap_or_default();
                union(&left, &right.part(trace, &mut set).unwrap_or_default())
            }
            Self::Related(op, left, right) => {
                let left = left.part(trace, &mut set).unwrap_or_default();
                relate(&trace.parents, *op, &left, &right.part(trace, &mut set)?)
            }
            Self::Program(program) => {
                let sets = program.feed(trace, vec![set]);
                return (!sets.is_empty()).then(|| merged(sets));
            }
        };
        set.spans = spans;
        (!set.spans.is_empty()).then_some(set)
    }

    /// The spans that are left of a spanset; what was said of them is said of the whole.
    fn part(&self, trace: &Trace, whole: &mut Set) -> Option<Vec<usize>> {
        let part = self.apply(trace, Set { spans: whole.spans.clone(), attributes: Vec::new() })?;
        add(&mut whole.attributes, part.attributes);
        Some(part.spans)
    }
}

impl Value {
    /// Its value for a spanset, to which aggregates add themselves.
    fn of(&self, trace: &Trace, set: &mut Set) -> Static {
        match self {
            Self::Literal(value) => value.clone(),
            Self::Negate(of) => negate(&of.of(trace, set)),
            Self::Binary { op, left, right } => arithmetic(*op, &left.of(trace, set), &right.of(trace, set)),
            Self::Aggregate { kind, of, shown } => {
                let value = aggregate(*kind, of.as_ref(), trace, &set.spans);
                add(&mut set.attributes, vec![(shown.clone(), value.clone())]);
                value
            }
            Self::Program { program, value } => {
                let mut made = merged(program.feed(trace, vec![set.clone()]));
                value.of(trace, &mut made)
            }
        }
    }
}

fn add(attributes: &mut Vec<(String, Static)>, more: Vec<(String, Static)>) {
    for (name, value) in more {
        if attributes.iter().all(|(known, _)| *known != name) {
            attributes.push((name, value));
        }
    }
}

/// One spanset of all; empty of none.
fn merged(sets: Vec<Set>) -> Set {
    let mut all = Set { spans: Vec::new(), attributes: Vec::new() };
    for set in sets {
        all.spans.extend(set.spans);
        add(&mut all.attributes, set.attributes);
    }
    all.spans.sort_unstable();
    all.spans.dedup();
    all
}

/// A spanset by the values of an expression, in the order in which they are met.
fn split(trace: &Trace, set: &Set, of: &Eval, shown: &str) -> Vec<Set> {
    let mut groups: Vec<(String, Set)> = Vec::new();
    let mut places: std::collections::HashMap<String, usize> = std::collections::HashMap::new();
    for at in &set.spans {
        let value = of.value(&trace.spans[*at].values);
        let key = value.to_string();
        let place = *places.entry(key.clone()).or_insert_with(|| {
            let mut attributes = set.attributes.clone();
            attributes.push((shown.to_owned(), value.into_owned()));
            groups.push((key, Set { spans: Vec::new(), attributes }));
            groups.len() - 1
        });
        groups[place].1.spans.push(*at);
    }
    groups.into_iter().map(|(_, set)| set).collect()
}

/// An aggregate of the numbers that spans have; `nil` when none has one.
fn aggregate(kind: Aggregate, of: Option<&Eval>, trace: &Trace, spans: &[usize]) -> Static {
    let Some(of) = of else { return Static::Int(i64::try_from(spans.len()).unwrap_or(i64::MAX)) };
    let values = spans.iter().map(|at| of.value(&trace.spans[*at].values).into_owned());
    let values: Vec<Static> = values.filter(|value| value.number().is_some_and(|number| !number.is_nan())).collect();
    let order = |left: &Static, right: &Static| {
        left.number().unwrap_or_default().total_cmp(&right.number().unwrap_or_default())
    };
    match kind {
        Aggregate::Count => Static::Int(i64::try_from(values.len()).unwrap_or(i64::MAX)),
        Aggregate::Min => values.into_iter().min_by(order).unwrap_or(Static::Nil),
        Aggregate::Max => values.into_iter().max_by(order).unwrap_or(Static::Nil),
        Aggregate::Sum => sum(&values).unwrap_or(Static::Nil),
        Aggregate::Avg => average(&values),
    }
}

fn sum(values: &[Static]) -> Option<Static> {
    let mut values = values.iter();
    let first = values.next()?.clone();
    Some(values.fold(first, |all, one| arithmetic(BinaryOp::Add, &all, one)))
}

#[expect(clippy::cast_precision_loss, reason = "an average of fewer than 2^52 values")]
fn average(values: &[Static]) -> Static {
    let Some(total) = sum(values) else { return Static::Nil };
    let count = Static::Float(values.len() as f64);
    match total {
        Static::Int(total) => Static::Float(total as f64 / values.len() as f64),
        total => arithmetic(BinaryOp::Divide, &total, &count),
    }
}
