//! The list columns of a data point: its exemplars and, for summaries, its quantiles.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Builder, Int64Builder, StringBuilder};
use tracelake_model::{DecodeLimits, SpanId, TraceId, exemplar_fields, quantile_fields};

use crate::column::attribute::JsonColumn;
use crate::column::sparse::{Offsets, structs};
use crate::error::Error;
use crate::wire::metric::{Exemplar, Number};

/// The `exemplars` column; null for a point without any.
pub(crate) struct ExemplarColumn {
    offsets: Offsets,
    items: usize,
    time: Int64Builder,
    value: Float64Builder,
    value_int: Int64Builder,
    trace_id: StringBuilder,
    span_id: StringBuilder,
    attributes: JsonColumn,
}

impl ExemplarColumn {
    /// No row yet.
    pub(crate) fn new() -> Self {
        Self {
            offsets: Offsets::new(),
            items: 0,
            time: Int64Builder::with_capacity(0),
            value: Float64Builder::with_capacity(0),
            value_int: Int64Builder::with_capacity(0),
            trace_id: StringBuilder::with_capacity(0, 0),
            span_id: StringBuilder::with_capacity(0, 0),
            attributes: JsonColumn::default(),
        }
    }

    /// One point's exemplars. An id that is none is null.
    #[expect(clippy::cast_precision_loss, reason = "`value` is the nearest double; `value_int` keeps the integer")]
    pub(crate) fn push(&mut self, exemplars: Vec<Exemplar<'_>>, limits: &DecodeLimits) {
        let present = !exemplars.is_empty();
        self.items += exemplars.len();
        for mut exemplar in exemplars {
            let (value, value_int) = match exemplar.value {
                Some(Number::Double(value)) => (Some(value), None),
                Some(Number::Int(value)) => (Some(value as f64), Some(value)),
                None => (None, None),
            };
            self.time.append_value(exemplar.time_unix_nano);
            self.value.append_option(value);
            self.value_int.append_option(value_int);
            self.trace_id.append_option(TraceId::from_bytes(exemplar.trace_id).map(|id| id.to_string()));
            self.span_id.append_option(SpanId::from_bytes(exemplar.span_id).map(|id| id.to_string()));
            self.attributes.push_marked(&mut exemplar.attributes, limits);
        }
        self.offsets.push(self.items, present);
    }

    /// The column.
    pub(crate) fn finish(mut self) -> Result<ArrayRef, Error> {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.time.finish()),
            Arc::new(self.value.finish()),
            Arc::new(self.value_int.finish()),
            Arc::new(self.trace_id.finish()),
            Arc::new(self.span_id.finish()),
            Arc::new(self.attributes.finish()),
        ];
        self.offsets.finish(structs(exemplar_fields(), columns)?)
    }
}

/// The `quantiles` column; null for a point that is no summary.
pub(crate) struct QuantileColumn {
    offsets: Offsets,
    items: usize,
    quantile: Float64Builder,
    value: Float64Builder,
}

impl QuantileColumn {
    /// No row yet.
    pub(crate) fn new() -> Self {
        Self {
            offsets: Offsets::new(),
            items: 0,
            quantile: Float64Builder::with_capacity(0),
            value: Float64Builder::with_capacity(0),
        }
    }

    /// One point's pairs of quantile and value.
    pub(crate) fn push(&mut self, pairs: Option<&Vec<(f64, f64)>>) {
        for (quantile, value) in pairs.into_iter().flatten() {
            self.quantile.append_value(*quantile);
            self.value.append_value(*value);
            self.items += 1;
        }
        self.offsets.push(self.items, pairs.is_some());
    }

    /// The column.
    pub(crate) fn finish(mut self) -> Result<ArrayRef, Error> {
        let columns: Vec<ArrayRef> = vec![Arc::new(self.quantile.finish()), Arc::new(self.value.finish())];
        self.offsets.finish(structs(quantile_fields(), columns)?)
    }
}
