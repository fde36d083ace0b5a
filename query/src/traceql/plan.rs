//! A query made ready: what a scan applies, what a row must fulfil, what is read of whole traces, and the program.

use datafusion::prelude::Expr;
use tracelake_model::column::{DURATION_NS, KIND, PARENT_SPAN_ID, SERVICE_NAME, SPAN_ID, START_UNIX_NANO, TRACE_ID};

use crate::scan::wanted::Wanted;
use crate::traceql::ast::{FieldExpr, Pipeline, Spanset, Stage};
use crate::traceql::field::Field;
use crate::traceql::hold::hold;
use crate::traceql::literal::Static;
use crate::traceql::pipeline::Program;
use crate::traceql::push::{Reach, push};
use crate::traceql::row;
use crate::traceql::slot::{Eval, Slots};
use crate::traceql::weaken::{needs_trace, of_pipeline};

/// What identity, time and parenthood of a span stand on.
const BASE: [&str; 7] = [TRACE_ID, SPAN_ID, PARENT_SPAN_ID, SERVICE_NAME, KIND, START_UNIX_NANO, DURATION_NS];

/// A test of single rows that every span of the answer passes.
#[derive(Debug)]
pub(crate) struct RowTest {
    /// The fields it reads.
    pub(crate) slots: Slots,
    /// The test; none when every row passes.
    pub(crate) test: Option<Eval>,
    /// What a scan can apply of it.
    pub(crate) filter: Option<Expr>,
    /// What a row must hold to pass; nothing where rows of one span must be read or left out together.
    pub(crate) wanted: Wanted,
}

/// A pipeline that is ready to run over whole traces.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Finds the traces.
    pub(crate) rows: RowTest,
    /// The fields that the program and the answer read.
    pub(crate) slots: Slots,
    /// What decides.
    pub(crate) program: Program,
    /// Places of the fields that an answer shows of each span.
    pub(crate) shown: Vec<usize>,
}

impl RowTest {
    fn new(condition: &FieldExpr, reach: Reach, mut slots: Slots) -> Self {
        let is_true = *condition == FieldExpr::Literal(Static::Bool(true));
        let test = (!is_true).then(|| Eval::new(condition, &mut slots));
        let wanted = if reach == Reach::Any { hold(condition) } else { Wanted::default() };
        Self { slots, test, filter: push(condition, reach), wanted }
    }

    /// The columns of the fields, with the identity of a span.
    pub(crate) fn columns(&self) -> Vec<&'static str> {
        with_base(&self.slots)
    }
}

impl Plan {
    /// Makes a pipeline ready.
    pub(crate) fn new(pipeline: &Pipeline) -> Self {
        let mut named = Slots::empty();
        Program::new(pipeline, &mut named);
        let mut slots = Slots::default();
        let shown = named.fields().iter().filter(|field| is_shown(field)).map(|field| slots.place(field)).collect();
        let program = Program::new(pipeline, &mut slots);
        Self { rows: RowTest::new(&of_pipeline(pipeline), Reach::Any, Slots::empty()), slots, program, shown }
    }

    /// The columns to read of whole traces.
    pub(crate) fn columns(&self) -> Vec<&'static str> {
        with_base(&self.slots)
    }
}

fn with_base(slots: &Slots) -> Vec<&'static str> {
    let mut columns = row::columns(slots);
    columns.extend(BASE);
    columns.sort_unstable();
    columns.dedup();
    columns
}

/// The one condition that spans must fulfil, where a pipeline asks for nothing else and a row tells it.
pub(crate) fn single_condition(pipeline: &Pipeline, also: &[Field]) -> Option<RowTest> {
    let plain = |stage: &Stage| match stage {
        Stage::Spans(Spanset::Filter(condition)) => !needs_trace(condition),
        Stage::Select(_) => true,
        _ => false,
    };
    let fits = pipeline.stages.iter().all(plain) && also.iter().all(|field| !field.is_of_trace());
    fits.then(|| RowTest::new(&of_pipeline(pipeline), Reach::Identity, Slots::default()))
}

/// Whether an answer shows a field among a span's attributes: all but what stands elsewhere in it.
fn is_shown(field: &Field) -> bool {
    use crate::traceql::field::Intrinsic::{Duration, Name, RootName, RootService, SpanId, TraceDuration, TraceId};
    !matches!(
        field,
        Field::Intrinsic { what: Name | Duration | SpanId | TraceId | TraceDuration | RootName | RootService, .. }
    )
}
