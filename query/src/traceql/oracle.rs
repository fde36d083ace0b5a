//! For tests: the language once more, naively: every span of every trace in memory, trees walked span by span. Shares the
//! parser's tree with the code under test, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::traceql::ast::{
    Aggregate, BinaryOp, FieldExpr, Form, Pipeline, Relation, Scalar, Spanset, SpansetOp, Stage,
};
use crate::traceql::field::{Field, Intrinsic, Scope};
use crate::traceql::literal::Static;

/// A recorded or computed value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum V {
    S(String),
    I(i64),
    F(f64),
    B(bool),
    /// Nanoseconds.
    D(i64),
    Status(i8),
    Kind(i8),
    /// Values of several events, or an array.
    Many(Vec<V>),
}

/// A span as it was recorded last.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    pub(crate) trace: u64,
    pub(crate) id: u64,
    pub(crate) parent: Option<u64>,
    pub(crate) service: String,
    pub(crate) name: String,
    pub(crate) kind: i8,
    pub(crate) status: i8,
    pub(crate) start: i64,
    pub(crate) duration: i64,
    pub(crate) attributes: BTreeMap<String, V>,
    pub(crate) resource: BTreeMap<String, V>,
    pub(crate) events: Vec<String>,
}

/// One trace.
pub(crate) struct Oracle<'a> {
    pub(crate) spans: Vec<&'a Recorded>,
}

type Places = BTreeSet<usize>;

impl Oracle<'_> {
    fn parent(&self, at: usize) -> Option<usize> {
        let parent = self.spans[at].parent?;
        self.spans.iter().position(|span| span.id == parent)
    }

    fn ancestors(&self, at: usize) -> Vec<usize> {
        let mut all = Vec::new();
        let mut next = self.parent(at);
        while let Some(at) = next {
            all.push(at);
            next = self.parent(at);
        }
        all
    }

    fn root(&self) -> Option<&Recorded> {
        let roots = self.spans.iter().filter(|span| span.parent.is_none());
        roots.min_by_key(|span| (span.start, span.id)).copied()
    }

    pub(crate) fn field(&self, at: usize, field: &Field) -> Option<V> {
        let span = self.spans[at];
        match field {
            Field::Attribute { scope, name } => match scope {
                Scope::Span => span.attributes.get(&**name).cloned(),
                Scope::Resource if &**name == "service.name" => Some(V::S(span.service.clone())),
                Scope::Resource => span.resource.get(&**name).cloned(),
                Scope::Any => {
                    let of = |scope| self.field(at, &Field::Attribute { scope, name: Arc::clone(name) });
                    of(Scope::Span).or_else(|| of(Scope::Resource))
                }
                Scope::Parent => {
                    self.field(self.parent(at)?, &Field::Attribute { scope: Scope::Any, name: Arc::clone(name) })
                }
                _ => panic!("the generator makes no such scope"),
            },
            Field::Intrinsic { what, .. } => self.intrinsic(at, *what),
        }
    }

    fn intrinsic(&self, at: usize, what: Intrinsic) -> Option<V> {
        let span = self.spans[at];
        Some(match what {
            Intrinsic::Name => V::S(span.name.clone()),
            Intrinsic::Status => V::Status(span.status),
            Intrinsic::Kind => V::Kind(span.kind),
            Intrinsic::Duration => V::D(span.duration),
            Intrinsic::ParentId => V::S(format!("{:016x}", span.parent?)),
            Intrinsic::SpanId => V::S(format!("{:016x}", span.id)),
            Intrinsic::ChildCount => {
                V::I((0..self.spans.len()).filter(|other| self.parent(*other) == Some(at)).count() as i64)
            }
            Intrinsic::NestedSetParent if span.parent.is_none() => V::I(-1),
            Intrinsic::NestedSetParent => {
                V::I(i64::from(self.ancestors(at).last().is_some_and(|root| self.spans[*root].parent.is_none())))
            }
            Intrinsic::TraceDuration => {
                let start = self.spans.iter().map(|span| span.start).min()?;
                V::D(self.spans.iter().map(|span| span.start + span.duration).max()? - start)
            }
            Intrinsic::RootName => V::S(self.root()?.name.clone()),
            Intrinsic::RootService => V::S(self.root()?.service.clone()),
            Intrinsic::EventName => match span.events.as_slice() {
                [] => return None,
                [one] => V::S(one.clone()),
                many => V::Many(many.iter().cloned().map(V::S).collect()),
            },
            other => panic!("the generator makes no {other:?}"),
        })
    }

    /// `None` stands for nil.
    pub(crate) fn value(&self, at: usize, expr: &FieldExpr) -> Option<V> {
        match expr {
            FieldExpr::Literal(literal) => of_literal(literal),
            FieldExpr::Field(field) => self.field(at, field),
            FieldExpr::Not(of) => match self.value(at, of)? {
                V::B(value) => Some(V::B(!value)),
                _ => None,
            },
            FieldExpr::Negate(of) => match self.value(at, of)? {
                V::I(value) => Some(V::I(-value)),
                V::D(value) => Some(V::D(-value)),
                V::F(value) => Some(V::F(-value)),
                _ => None,
            },
            FieldExpr::Match { of, pattern, negated } => {
                let whole = regex::Regex::new(&format!(r"\A(?:{})\z", pattern.text)).expect("a pattern");
                let texts: Vec<bool> = many(self.value(at, of))
                    .iter()
                    .filter_map(|one| if let V::S(text) = one { Some(whole.is_match(text)) } else { None })
                    .collect();
                Some(V::B(!texts.is_empty() && texts.contains(&true) != *negated))
            }
            FieldExpr::Binary { op, left, right } => {
                let is_nil = |side: &FieldExpr| *side == FieldExpr::Literal(Static::Nil);
                if is_nil(left) || is_nil(right) {
                    let other = if is_nil(right) { left } else { right };
                    return Some(V::B(self.value(at, other).is_none() == (*op == BinaryOp::Equal)));
                }
                binary(*op, self.value(at, left), self.value(at, right))
            }
        }
    }

    fn holds(&self, at: usize, expr: &FieldExpr) -> bool {
        self.value(at, expr) == Some(V::B(true))
    }

    /// The spansets that a pipeline makes of some.
    pub(crate) fn run(&self, pipeline: &Pipeline, mut sets: Vec<Places>) -> Vec<Places> {
        for stage in &pipeline.stages {
            sets = match stage {
                Stage::Spans(spans) => sets.iter().map(|set| self.select(spans, set)).collect(),
                Stage::Select(_) => sets,
                Stage::Coalesce => vec![sets.into_iter().flatten().collect()],
                Stage::By(of) => sets.iter().flat_map(|set| self.split(of, set)).collect(),
                Stage::Compare(compare) => {
                    let holds = |set: &Places| {
                        let (left, right) = (self.scalar(&compare.left, set), self.scalar(&compare.right, set));
                        binary(compare.op, left, right) == Some(V::B(true))
                    };
                    sets.into_iter().filter(holds).collect()
                }
            };
            sets.retain(|set| !set.is_empty());
        }
        sets
    }

    fn split(&self, of: &FieldExpr, set: &Places) -> Vec<Places> {
        let mut groups: Vec<(Option<V>, Places)> = Vec::new();
        for at in set {
            let value = self.value(*at, of);
            match groups.iter_mut().find(|(known, _)| *known == value) {
                Some((_, places)) => {
                    places.insert(*at);
                }
                None => groups.push((value, Places::from([*at]))),
            }
        }
        groups.into_iter().map(|(_, places)| places).collect()
    }

    fn select(&self, spans: &Spanset, set: &Places) -> Places {
        match spans {
            Spanset::Filter(condition) => set.iter().copied().filter(|at| self.holds(*at, condition)).collect(),
            Spanset::Pipeline(pipeline) => self.run(pipeline, vec![set.clone()]).into_iter().flatten().collect(),
            Spanset::Operation { op, left, right } => {
                let (left, right) = (self.select(left, set), self.select(right, set));
                match op {
                    SpansetOp::And if left.is_empty() || right.is_empty() => Places::new(),
                    SpansetOp::And | SpansetOp::Union => left.union(&right).copied().collect(),
                    SpansetOp::Related { relation, form } => self.related(*relation, *form, &left, &right),
                }
            }
        }
    }

    fn related(&self, relation: Relation, form: Form, left: &Places, right: &Places) -> Places {
        let stands = |l: usize, r: usize| match relation {
            Relation::Child => self.parent(r) == Some(l),
            Relation::Parent => self.parent(l) == Some(r),
            Relation::Descendant => self.ancestors(r).contains(&l),
            Relation::Ancestor => self.ancestors(l).contains(&r),
            Relation::Sibling => l != r && self.parent(l).is_some() && self.parent(l) == self.parent(r),
        };
        let hit = |r: &usize| left.iter().any(|l| stands(*l, *r));
        match form {
            Form::Plain => right.iter().copied().filter(hit).collect(),
            Form::Not => right.iter().copied().filter(|r| !hit(r)).collect(),
            Form::Union => {
                let others = left.iter().copied().filter(|l| right.iter().any(|r| stands(*l, *r)));
                right.iter().copied().filter(hit).chain(others).collect()
            }
        }
    }

    fn scalar(&self, scalar: &Scalar, set: &Places) -> Option<V> {
        match scalar {
            Scalar::Literal(literal) => of_literal(literal),
            Scalar::Negate(of) => binary(BinaryOp::Subtract, Some(V::I(0)), self.scalar(of, set)),
            Scalar::Binary { op, left, right } => binary(*op, self.scalar(left, set), self.scalar(right, set)),
            Scalar::Pipeline { pipeline, value } => {
                let made = self.run(pipeline, vec![set.clone()]).into_iter().flatten().collect();
                self.scalar(value, &made)
            }
            Scalar::Aggregate { of: None, .. } => Some(V::I(set.len() as i64)),
            Scalar::Aggregate { kind, of: Some(of) } => {
                let values: Vec<V> = set.iter().filter_map(|at| self.value(*at, of)).collect();
                let values: Vec<V> = values.into_iter().filter(|value| number(value).is_some()).collect();
                let numbers: Vec<f64> = values.iter().filter_map(number).collect();
                if numbers.is_empty() {
                    return None;
                }
                let sum: f64 = numbers.iter().sum();
                Some(V::F(match kind {
                    Aggregate::Min => numbers.into_iter().fold(f64::INFINITY, f64::min),
                    Aggregate::Max => numbers.into_iter().fold(f64::NEG_INFINITY, f64::max),
                    Aggregate::Avg if values.iter().any(|value| matches!(value, V::D(_))) => {
                        (sum / numbers.len() as f64).round()
                    }
                    Aggregate::Avg => sum / numbers.len() as f64,
                    _ => sum,
                }))
            }
        }
    }
}

fn of_literal(literal: &Static) -> Option<V> {
    Some(match literal {
        Static::Nil | Static::List(_) => return None,
        Static::Bool(value) => V::B(*value),
        Static::Int(value) => V::I(*value),
        Static::Float(value) => V::F(*value),
        Static::Text(text) => V::S(text.to_string()),
        Static::Duration(nanos) => V::D(*nanos),
        Static::Status(status) => V::Status(*status),
        Static::Kind(kind) => V::Kind(*kind),
    })
}

/// Small numbers only, which doubles hold exactly.
pub(crate) fn number(value: &V) -> Option<f64> {
    match value {
        V::I(value) | V::D(value) => Some(*value as f64),
        V::F(value) => Some(*value),
        _ => None,
    }
}

fn many(value: Option<V>) -> Vec<V> {
    match value {
        None => Vec::new(),
        Some(V::Many(values)) => values,
        Some(one) => vec![one],
    }
}

fn binary(op: BinaryOp, left: Option<V>, right: Option<V>) -> Option<V> {
    let truth = |value: &Option<V>| *value == Some(V::B(true));
    match op {
        BinaryOp::And => return Some(V::B(truth(&left) && truth(&right))),
        BinaryOp::Or => return Some(V::B(truth(&left) || truth(&right))),
        _ if op.is_comparison() => {
            let pairs: Vec<bool> = many(left)
                .iter()
                .flat_map(|l| many(right.clone()).into_iter().filter_map(|r| one_holds(op, l, &r)).collect::<Vec<_>>())
                .collect();
            let holds = match op {
                BinaryOp::NotEqual => !pairs.is_empty() && pairs.iter().all(|one| *one),
                _ => pairs.contains(&true),
            };
            return Some(V::B(holds));
        }
        _ => {}
    }
    let (left, right) = (left?, right?);
    let (a, b) = (number(&left)?, number(&right)?);
    if let (V::I(a), V::I(b)) = (&left, &right) {
        return Some(V::I(match op {
            BinaryOp::Add => a + b,
            BinaryOp::Subtract => a - b,
            BinaryOp::Multiply => a * b,
            BinaryOp::Divide => a.checked_div(*b)?,
            BinaryOp::Modulo => a.checked_rem(*b)?,
            _ => panic!("the generator makes no powers"),
        }));
    }
    Some(V::F(match op {
        BinaryOp::Add => a + b,
        BinaryOp::Subtract => a - b,
        BinaryOp::Multiply => a * b,
        BinaryOp::Divide if b != 0.0 => a / b,
        BinaryOp::Modulo if b != 0.0 => a % b,
        _ => return None,
    }))
}

/// `None` where two values do not compare.
fn one_holds(op: BinaryOp, left: &V, right: &V) -> Option<bool> {
    let order = match (left, right) {
        (V::S(a), V::S(b)) => a.cmp(b),
        (V::B(a), V::B(b)) => a.cmp(b),
        (V::Status(a), V::Status(b)) | (V::Kind(a), V::Kind(b)) => a.cmp(b),
        _ => number(left)?.partial_cmp(&number(right)?)?,
    };
    Some(match op {
        BinaryOp::Equal => order.is_eq(),
        BinaryOp::NotEqual => order.is_ne(),
        BinaryOp::Less => order.is_lt(),
        BinaryOp::LessEqual => order.is_le(),
        BinaryOp::Greater => order.is_gt(),
        _ => order.is_ge(),
    })
}
