//! The list columns of a data point: its exemplars and, for summaries, its quantiles.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Builder, Int64Builder, StringBuilder};
use arrow::datatypes::DataType;
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

    /// The exemplars of row `row`. An id that is none is null.
    #[expect(clippy::cast_precision_loss, reason = "`value` is the nearest double; `value_int` keeps the integer")]
    pub(crate) fn set(&mut self, row: usize, exemplars: &mut Vec<Exemplar<'_>>, limits: &DecodeLimits) {
        if exemplars.is_empty() {
            return;
        }
        self.items += exemplars.len();
        for mut exemplar in exemplars.drain(..) {
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
        self.offsets.set(row, self.items);
    }

    /// The column.
    pub(crate) fn finish(mut self, rows: usize) -> Result<ArrayRef, Error> {
        self.offsets.finish(rows, &DataType::Struct(exemplar_fields()), || {
            let columns: Vec<ArrayRef> = vec![
                Arc::new(self.time.finish()),
                Arc::new(self.value.finish()),
                Arc::new(self.value_int.finish()),
                Arc::new(self.trace_id.finish()),
                Arc::new(self.span_id.finish()),
                Arc::new(self.attributes.finish()),
            ];
            structs(exemplar_fields(), columns)
        })
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

    /// The pairs of quantile and value of row `row`.
    pub(crate) fn set(&mut self, row: usize, pairs: &[(f64, f64)]) {
        for (quantile, value) in pairs {
            self.quantile.append_value(*quantile);
            self.value.append_value(*value);
            self.items += 1;
        }
        self.offsets.set(row, self.items);
    }

    /// The column.
    pub(crate) fn finish(mut self, rows: usize) -> Result<ArrayRef, Error> {
        self.offsets.finish(rows, &DataType::Struct(quantile_fields()), || {
            let columns: Vec<ArrayRef> = vec![Arc::new(self.quantile.finish()), Arc::new(self.value.finish())];
            structs(quantile_fields(), columns)
        })
    }
}
