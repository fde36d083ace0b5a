//! A query as a tree. Whatever the parser builds has passed its checks of types and bounds.

use std::fmt;

use regex::Regex;

use crate::traceql::field::Field;
use crate::traceql::literal::Static;

/// A whole query.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Query {
    /// Which spans.
    pub(crate) pipeline: Pipeline,
    /// What series to make of them; none for a search.
    pub(crate) metric: Option<Metric>,
    /// What to do with the series.
    pub(crate) series: Vec<SeriesStage>,
    /// `with (...)`.
    pub(crate) hints: Vec<(String, Static)>,
}

/// Stages, each fed with the spansets that the one before gives. Never empty.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pipeline {
    pub(crate) stages: Vec<Stage>,
}

/// One stage.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Stage {
    /// Keeps spans.
    Spans(Spanset),
    /// Keeps spansets.
    Compare(Compare),
    /// Splits spansets by an expression's values.
    By(FieldExpr),
    /// Makes one spanset of all.
    Coalesce,
    /// Names fields that the answer shows.
    Select(Vec<Field>),
}

/// Selects spans of a spanset.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Spanset {
    /// `{ condition }`; `{ }` is `{ true }`.
    Filter(FieldExpr),
    /// Two selections put into a relation.
    Operation { op: SpansetOp, left: Box<Spanset>, right: Box<Spanset> },
    /// A whole pipeline in parentheses.
    Pipeline(Box<Pipeline>),
}

/// How two selections of spans meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SpansetOp {
    /// `&&`: both select some.
    And,
    /// `||`: either does.
    Union,
    /// Spans of the right side by their place in the tree.
    Related { relation: Relation, form: Form },
}

/// What a span of the right side is to one of the left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Relation {
    /// `>`.
    Child,
    /// `>>`.
    Descendant,
    /// `<`.
    Parent,
    /// `<<`.
    Ancestor,
    /// `~`.
    Sibling,
}

/// Which spans a structural operator gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Spans of the right side that stand in the relation.
    Plain,
    /// Spans of the right side that do not: `!>`.
    Not,
    /// Spans of both sides that stand in the relation: `&>`.
    Union,
}

/// An expression over the fields of one span.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum FieldExpr {
    Literal(Static),
    Field(Field),
    Not(Box<FieldExpr>),
    Negate(Box<FieldExpr>),
    Binary {
        op: BinaryOp,
        left: Box<FieldExpr>,
        right: Box<FieldExpr>,
    },
    /// `=~` and `!~`.
    Match {
        of: Box<FieldExpr>,
        pattern: Pattern,
        negated: bool,
    },
}

/// A regular expression that must match the whole text.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    /// As it was written.
    pub(crate) text: String,
    /// Anchored at both ends.
    pub(crate) regex: Regex,
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

/// An operator between two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BinaryOp {
    And,
    Or,
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    Power,
}

impl BinaryOp {
    /// As it is written.
    pub(crate) fn symbol(self) -> &'static str {
        match self {
            Self::And => "&&",
            Self::Or => "||",
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessEqual => "<=",
            Self::Greater => ">",
            Self::GreaterEqual => ">=",
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Modulo => "%",
            Self::Power => "^",
        }
    }

    /// The comparison that a symbol is.
    pub(crate) fn comparison(symbol: &str) -> Option<Self> {
        let all = [Self::Equal, Self::NotEqual, Self::Less, Self::LessEqual, Self::Greater, Self::GreaterEqual];
        all.into_iter().find(|op| op.symbol() == symbol)
    }

    /// Whether it makes numbers of numbers.
    pub(crate) fn is_arithmetic(self) -> bool {
        matches!(self, Self::Add | Self::Subtract | Self::Multiply | Self::Divide | Self::Modulo | Self::Power)
    }

    /// Whether it compares.
    pub(crate) fn is_comparison(self) -> bool {
        !self.is_arithmetic() && !matches!(self, Self::And | Self::Or)
    }
}

impl fmt::Display for BinaryOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.symbol())
    }
}

/// A comparison between two scalars of a spanset.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Compare {
    pub(crate) op: BinaryOp,
    pub(crate) left: Scalar,
    pub(crate) right: Scalar,
}

/// One value of a spanset.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Scalar {
    Literal(Static),
    Aggregate {
        kind: Aggregate,
        of: Option<FieldExpr>,
    },
    Negate(Box<Scalar>),
    Binary {
        op: BinaryOp,
        left: Box<Scalar>,
        right: Box<Scalar>,
    },
    /// Of the spanset that a pipeline in parentheses makes.
    Pipeline {
        pipeline: Pipeline,
        value: Box<Scalar>,
    },
}

/// What is told of many values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Aggregate {
    Count,
    Avg,
    Min,
    Max,
    Sum,
}

impl Aggregate {
    /// As it is written.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Avg => "avg",
            Self::Min => "min",
            Self::Max => "max",
            Self::Sum => "sum",
        }
    }

    /// The aggregate of a name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        [Self::Count, Self::Avg, Self::Min, Self::Max, Self::Sum].into_iter().find(|known| known.name() == name)
    }
}

/// A metrics function with its groups.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Metric {
    pub(crate) function: Function,
    pub(crate) by: Vec<Field>,
}

/// What is told of the spans of each interval.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Function {
    /// Spans a second.
    Rate,
    /// `count_over_time()`, or an aggregate of a number: `max_over_time(duration)`.
    OverTime { kind: Aggregate, of: Option<FieldExpr> },
    /// `quantile_over_time(duration, .99, .5)`.
    Quantile { of: FieldExpr, quantiles: Vec<f64> },
    /// `histogram_over_time(duration)`.
    Histogram { of: FieldExpr },
    /// `compare({selection}, top, start, end)`.
    Compare { selection: FieldExpr, top: usize, window: Option<(i64, i64)> },
}

/// What is done with series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum SeriesStage {
    /// `topk(n)` and `bottomk(n)`, at each instant.
    Rank { count: usize, greatest: bool },
    /// Keeps the samples for which a comparison with a number holds.
    Compare { op: BinaryOp, with: f64 },
}

impl Query {
    /// The value of a hint.
    pub(crate) fn hint(&self, name: &str) -> Option<&Static> {
        self.hints.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }
}
