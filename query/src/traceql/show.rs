//! A query's canonical text: what the parser understood, with every grouping in parentheses. Reads back as the same tree.

use std::fmt::{Display, Formatter, Result};

use crate::traceql::ast::{
    Compare, FieldExpr, Form, Function, Metric, Pipeline, Query, Relation, Scalar, SeriesStage, Spanset, SpansetOp,
    Stage,
};

/// Items with commas between them.
fn list<T: Display>(f: &mut Formatter<'_>, items: &[T]) -> Result {
    for (at, item) in items.iter().enumerate() {
        write!(f, "{}{item}", if at > 0 { ", " } else { "" })?;
    }
    Ok(())
}

impl Display for Query {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{}", self.pipeline)?;
        if let Some(metric) = &self.metric {
            write!(f, " | {metric}")?;
        }
        for stage in &self.series {
            match stage {
                SeriesStage::Rank { count, greatest } => {
                    write!(f, " | {}({count})", if *greatest { "topk" } else { "bottomk" })?;
                }
                SeriesStage::Compare { op, with } => write!(f, " {op} {with:?}")?,
            }
        }
        if !self.hints.is_empty() {
            let hints: Vec<String> = self.hints.iter().map(|(name, value)| format!("{name}={value}")).collect();
            f.write_str(" with (")?;
            list(f, &hints)?;
            f.write_str(")")?;
        }
        Ok(())
    }
}

impl Display for Pipeline {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        for (at, stage) in self.stages.iter().enumerate() {
            write!(f, "{}{stage}", if at > 0 { " | " } else { "" })?;
        }
        Ok(())
    }
}

impl Display for Stage {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Spans(spans) => write!(f, "{spans}"),
            Self::Compare(compare) => write!(f, "{compare}"),
            Self::By(field) => write!(f, "by({field})"),
            Self::Coalesce => f.write_str("coalesce()"),
            Self::Select(fields) => {
                f.write_str("select(")?;
                list(f, fields)?;
                f.write_str(")")
            }
        }
    }
}

impl Display for Spanset {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let side = |f: &mut Formatter<'_>, side: &Spanset| match side {
            Self::Operation { .. } => write!(f, "({side})"),
            _ => write!(f, "{side}"),
        };
        match self {
            Self::Filter(condition) => write!(f, "{{ {condition} }}"),
            Self::Operation { op, left, right } => {
                side(f, left)?;
                write!(f, " {op} ")?;
                side(f, right)
            }
            Self::Pipeline(pipeline) => write!(f, "({pipeline})"),
        }
    }
}

impl Display for SpansetOp {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let Self::Related { relation, form } = self else {
            return f.write_str(if *self == Self::And { "&&" } else { "||" });
        };
        f.write_str(match form {
            Form::Plain => "",
            Form::Not => "!",
            Form::Union => "&",
        })?;
        f.write_str(match relation {
            Relation::Child => ">",
            Relation::Descendant => ">>",
            Relation::Parent => "<",
            Relation::Ancestor => "<<",
            Relation::Sibling => "~",
        })
    }
}

impl Display for FieldExpr {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let side = |f: &mut Formatter<'_>, side: &FieldExpr| match side {
            Self::Binary { .. } | Self::Match { .. } => write!(f, "({side})"),
            _ => write!(f, "{side}"),
        };
        match self {
            Self::Literal(value) => write!(f, "{value}"),
            Self::Field(field) => write!(f, "{field}"),
            Self::Not(of) => {
                f.write_str("!")?;
                side(f, of)
            }
            Self::Negate(of) => {
                f.write_str("-")?;
                side(f, of)
            }
            Self::Binary { op, left, right } => {
                side(f, left)?;
                write!(f, " {op} ")?;
                side(f, right)
            }
            Self::Match { of, pattern, negated } => {
                side(f, of)?;
                let text = crate::traceql::literal::Static::text(&pattern.text);
                write!(f, " {} {text}", if *negated { "!~" } else { "=~" })
            }
        }
    }
}

impl Display for Compare {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        side(f, &self.left)?;
        write!(f, " {} ", self.op)?;
        side(f, &self.right)
    }
}

/// An operand, in parentheses where it is an operation itself.
fn side(f: &mut Formatter<'_>, side: &Scalar) -> Result {
    if matches!(side, Scalar::Binary { .. }) { write!(f, "({side})") } else { write!(f, "{side}") }
}

impl Display for Scalar {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Literal(value) => write!(f, "{value}"),
            Self::Aggregate { kind, of: None } => write!(f, "{}()", kind.name()),
            Self::Aggregate { kind, of: Some(of) } => write!(f, "{}({of})", kind.name()),
            Self::Negate(of) => {
                f.write_str("-")?;
                side(f, of)
            }
            Self::Binary { op, left, right } => {
                side(f, left)?;
                write!(f, " {op} ")?;
                side(f, right)
            }
            Self::Pipeline { pipeline, value } => write!(f, "({pipeline} | {value})"),
        }
    }
}

impl Display for Metric {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match &self.function {
            Function::Rate => f.write_str("rate()")?,
            Function::OverTime { kind, of: None } => write!(f, "{}_over_time()", kind.name())?,
            Function::OverTime { kind, of: Some(of) } => write!(f, "{}_over_time({of})", kind.name())?,
            Function::Quantile { of, quantiles } => {
                write!(f, "quantile_over_time({of}")?;
                for quantile in quantiles {
                    write!(f, ", {quantile:?}")?;
                }
                f.write_str(")")?;
            }
            Function::Histogram { of } => write!(f, "histogram_over_time({of})")?,
            Function::Compare { selection, top, window } => {
                write!(f, "compare({{ {selection} }}, {top}")?;
                if let Some((start, end)) = window {
                    write!(f, ", {start}, {end}")?;
                }
                f.write_str(")")?;
            }
        }
        if !self.by.is_empty() {
            f.write_str(" by (")?;
            list(f, &self.by)?;
            f.write_str(")")?;
        }
        Ok(())
    }
}
