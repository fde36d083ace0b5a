//! The nested columns of a minute's rows: latencies and examples as Arrow arrays, and back.
//!
//! Deliberately forgiving while reading: other programs may have written the files. What is missing is empty.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int32Array, Int32Builder, Int64Array, Int64Builder, ListArray, ListBuilder,
    RecordBatch, StringArray, StructArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Int32Type, Int64Type};
use arrow::error::ArrowError;
use tracelake_model::{TraceId, example_fields, from_hex, latency_fields};

use crate::map::minute::example::Example;
use crate::map::minute::histogram::{Histogram, SCALE};

/// Histograms as a column.
pub(crate) fn latencies(histograms: &[Histogram]) -> Result<ArrayRef, ArrowError> {
    let mut zeros = Int64Builder::new();
    let mut offsets = ListBuilder::new(Int32Builder::new());
    let mut counts = ListBuilder::new(Int64Builder::new());
    for histogram in histograms {
        zeros.append_value(signed(histogram.zero()));
        for (bucket, count) in histogram.buckets() {
            offsets.values().append_value(bucket);
            counts.values().append_value(signed(count));
        }
        offsets.append(true);
        counts.append(true);
    }
    let scale = Int32Array::from_value(SCALE, histograms.len());
    let columns: Vec<ArrayRef> =
        vec![Arc::new(scale), Arc::new(zeros.finish()), Arc::new(offsets.finish()), Arc::new(counts.finish())];
    Ok(Arc::new(StructArray::try_new(latency_fields(), columns, None)?))
}

/// Examples as a column.
pub(crate) fn examples<'a>(rows: impl Iterator<Item = &'a [Example]>) -> Result<ArrayRef, ArrowError> {
    let (mut lengths, mut all): (_, Vec<&Example>) = (Vec::new(), Vec::new());
    for row in rows {
        lengths.push(row.len());
        all.extend(row);
    }
    let traces: StringArray = all.iter().map(|example| Some(TraceId(example.trace).to_string())).collect();
    let durations: Int64Array = all.iter().map(|example| Some(example.duration_ns)).collect();
    let errors: BooleanArray = all.iter().map(|example| Some(example.error)).collect();
    let columns: Vec<ArrayRef> = vec![Arc::new(traces), Arc::new(durations), Arc::new(errors)];
    let values = StructArray::try_new(example_fields(), columns, None)?;
    let item = Field::new("item", DataType::Struct(example_fields()), true);
    Ok(Arc::new(ListArray::try_new(Arc::new(item), OffsetBuffer::from_lengths(lengths), Arc::new(values), None)?))
}

/// A column of latencies, ready to be read.
pub(crate) struct Latencies<'a> {
    zero: &'a Int64Array,
    offset: &'a ListArray,
    counts: &'a ListArray,
}

impl<'a> Latencies<'a> {
    /// The column of that name; `None` where it is not what this version writes.
    pub(crate) fn new(batch: &'a RecordBatch, name: &str) -> Option<Self> {
        let latency = batch.column_by_name(name)?.as_struct_opt()?;
        Some(Self {
            zero: latency.column_by_name("zero")?.as_primitive_opt::<Int64Type>()?,
            offset: latency.column_by_name("offset")?.as_list_opt()?,
            counts: latency.column_by_name("counts")?.as_list_opt()?,
        })
    }

    /// Adds the durations of a row to a histogram.
    pub(crate) fn add_to(&self, row: usize, histogram: &mut Histogram) {
        if self.zero.is_valid(row) {
            histogram.add_zero(unsigned(self.zero.value(row)));
        }
        let (offset, counts) = (self.offset.value(row), self.counts.value(row));
        let (Some(offset), Some(counts)) =
            (offset.as_primitive_opt::<Int32Type>(), counts.as_primitive_opt::<Int64Type>())
        else {
            return;
        };
        for (bucket, count) in offset.values().iter().zip(counts.values()) {
            histogram.add_bucket(*bucket, unsigned(*count));
        }
    }
}

/// The examples of a row.
pub(crate) fn examples_at(column: &ListArray, row: usize) -> Vec<Example> {
    let values = column.value(row);
    let read = || {
        let values = values.as_struct_opt()?;
        let traces = values.column_by_name("trace_id")?.as_string_opt::<i32>()?;
        let durations = values.column_by_name("duration_ns")?.as_primitive_opt::<Int64Type>()?;
        let errors = values.column_by_name("error")?.as_boolean_opt()?;
        let example = |at: usize| {
            let trace = from_hex(traces.value(at))?.try_into().ok()?;
            Some(Example { trace, duration_ns: durations.value(at), error: errors.value(at) })
        };
        Some((0..values.len()).filter_map(example).collect())
    };
    read().unwrap_or_default()
}

/// A count as tables hold it.
pub(crate) fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A count from a table.
pub(crate) fn unsigned(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}
