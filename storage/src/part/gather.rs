//! Rows of many batches of one table as one batch.
//!
//! Each interned column gets one dictionary without repeats for all batches, where Arrow's own kernels put the
//! dictionaries of small batches one after another. Columns that are null throughout share
//! their memory with all others.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanBufferBuilder, DictionaryArray, Int32Array, RecordBatch, StringArray,
};
use arrow::buffer::NullBuffer;
use arrow::compute::concat;
use arrow::datatypes::{DataType, Int32Type};
use arrow::error::ArrowError;
use tracelake_model::{Table, is_null_column, null_column};

/// Batches of one table, ready to be read as one.
pub(crate) struct Gather<'a> {
    table: Table,
    batches: Vec<&'a RecordBatch>,
    rows: usize,
    columns: Vec<Column>,
}

enum Column {
    /// No batch has a value in it.
    Null,
    Plain,
    Interned(Interned),
}

/// One dictionary in place of those of all batches.
struct Interned {
    texts: ArrayRef,
    /// Of each batch, the number in `texts` by its own number.
    numbers: Vec<Vec<i32>>,
}

impl<'a> Gather<'a> {
    /// Reads the dictionaries of batches with the columns of [`Table::schema`].
    pub(crate) fn new(table: Table, batches: Vec<&'a RecordBatch>) -> Result<Self, ArrowError> {
        let schema = table.schema();
        if let Some(odd) = batches.iter().find(|batch| batch.schema_ref().fields() != schema.fields()) {
            let detail = format!("rows for {table} have other columns: {}", odd.schema_ref());
            return Err(ArrowError::SchemaError(detail));
        }
        let column = |at: usize| {
            let columns = || batches.iter().map(|batch| batch.column(at));
            if columns().all(|column| is_null_column(column)) {
                return Ok(Column::Null);
            }
            match schema.field(at).data_type() {
                DataType::Dictionary(..) => Interned::new(columns()).map(Column::Interned),
                _ => Ok(Column::Plain),
            }
        };
        let columns = (0..schema.fields().len()).map(column).collect::<Result<_, ArrowError>>()?;
        let rows = batches.iter().map(|batch| batch.num_rows()).sum();
        Ok(Self { table, batches, rows, columns })
    }

    /// All rows, one batch after the other.
    pub(crate) fn all(&self) -> Result<RecordBatch, ArrowError> {
        self.build(self.rows, |at, column| match column {
            Column::Interned(interned) => interned.all(&self.arrays(at), self.rows),
            Column::Null | Column::Plain => concat(&self.arrays(at)),
        })
    }

    fn build(
        &self,
        rows: usize,
        column: impl Fn(usize, &Column) -> Result<ArrayRef, ArrowError>,
    ) -> Result<RecordBatch, ArrowError> {
        let schema = self.table.schema();
        let columns = self.columns.iter().enumerate().map(|(at, kind)| match kind {
            Column::Null => Ok(null_column(schema.field(at).data_type(), rows)),
            _ => column(at, kind),
        });
        let columns = columns.collect::<Result<Vec<_>, ArrowError>>()?;
        RecordBatch::try_new(Arc::clone(&schema), columns)
    }

    fn arrays(&self, at: usize) -> Vec<&dyn Array> {
        self.batches.iter().map(|batch| batch.column(at).as_ref()).collect()
    }
}

impl Interned {
    fn new<'c>(columns: impl Iterator<Item = &'c ArrayRef>) -> Result<Self, ArrowError> {
        let mut known: HashMap<&str, i32> = HashMap::new();
        let mut texts: Vec<&str> = Vec::new();
        let mut numbers: Vec<Vec<i32>> = Vec::new();
        let mut before: Option<&StringArray> = None;
        for column in columns {
            let own: &StringArray = column.as_dictionary::<Int32Type>().values().as_string();
            let mut of_batch = Vec::with_capacity(own.len());
            for at in 0..own.len() {
                let text = if own.is_valid(at) { own.value(at) } else { "" };
                // Requests of one sender name the same resource, scope and spans in the same places.
                let alike = before.is_some_and(|before| at < before.len() && before.value(at) == text);
                let number = match numbers.last() {
                    Some(numbers) if alike => numbers[at],
                    _ => *known.entry(text).or_insert_with(|| {
                        texts.push(text);
                        number_of(texts.len() - 1)
                    }),
                };
                of_batch.push(number);
            }
            numbers.push(of_batch);
            before = Some(own);
        }
        Ok(Self { texts: Arc::new(StringArray::from_iter_values(texts)), numbers })
    }

    fn all(&self, arrays: &[&dyn Array], rows: usize) -> Result<ArrayRef, ArrowError> {
        let mut keys = Vec::with_capacity(rows);
        let mut valid = has_nulls(arrays).then(|| BooleanBufferBuilder::new(rows));
        for (array, numbers) in arrays.iter().zip(&self.numbers) {
            let own = array.as_dictionary::<Int32Type>().keys();
            keys.extend(own.values().iter().map(|&key| number(numbers, key)));
            if let Some(valid) = &mut valid {
                match own.nulls() {
                    Some(nulls) => valid.append_buffer(nulls.inner()),
                    None => valid.append_n(own.len(), true),
                }
            }
        }
        self.finish(keys, valid.map(|mut valid| NullBuffer::new(valid.finish())))
    }

    fn finish(&self, keys: Vec<i32>, valid: Option<NullBuffer>) -> Result<ArrayRef, ArrowError> {
        let keys = Int32Array::try_new(keys.into(), valid)?;
        Ok(Arc::new(DictionaryArray::<Int32Type>::try_new(keys, Arc::clone(&self.texts))?))
    }
}

/// The common number of a batch's own one; anything for the number that stands behind a null.
fn number(numbers: &[i32], key: i32) -> i32 {
    usize::try_from(key).ok().and_then(|key| numbers.get(key)).copied().unwrap_or(0)
}

fn number_of(place: usize) -> i32 {
    // The texts of a tail, which is far smaller than 2 GiB.
    i32::try_from(place).expect("fewer than 2^31 distinct texts")
}

fn has_nulls(arrays: &[&dyn Array]) -> bool {
    arrays.iter().any(|array| array.null_count() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::part::sample;

    fn expected(table: Table, batches: &[RecordBatch]) -> RecordBatch {
        arrow::compute::concat_batches(&table.schema(), batches).unwrap()
    }

    /// Values, whatever the numbers in dictionaries.
    fn plain(batch: &RecordBatch) -> Vec<ArrayRef> {
        let plain = |column: &ArrayRef| match column.data_type() {
            DataType::Dictionary(_, value) => arrow::compute::cast(column, value).unwrap(),
            _ => Arc::clone(column),
        };
        batch.columns().iter().map(plain).collect()
    }

    fn samples(table: Table) -> Vec<RecordBatch> {
        let sizes = [3, 1, 40, 7, 5, 2];
        let batch = |(seed, rows): (usize, i64)| sample::rows(table, &(0..rows).collect::<Vec<_>>(), seed % 4);
        sizes.into_iter().enumerate().map(batch).collect()
    }

    #[test]
    fn rows_of_every_table_keep_their_values() {
        for table in Table::ALL {
            let mut batches = samples(table);
            batches.push(batches[2].slice(5, 20));
            let want = expected(table, &batches);
            let gather = Gather::new(table, batches.iter().collect()).unwrap();
            let all = gather.all().unwrap();
            assert_eq!(plain(&all), plain(&want), "{table}");
        }
    }

    #[test]
    fn dictionaries_of_many_batches_hold_each_text_once() {
        let batches: Vec<_> = (0..50).map(|seed| sample::rows(Table::Spans, &[1, 2, 3], seed)).collect();
        let all = Gather::new(Table::Spans, batches.iter().collect()).unwrap().all().unwrap();
        for column in all.columns() {
            if let Some(interned) = column.as_any_dictionary_opt() {
                let texts: &StringArray = interned.values().as_string();
                let distinct: std::collections::HashSet<_> = texts.iter().collect();
                assert_eq!(distinct.len(), texts.len());
            }
        }
    }

    #[test]
    fn small_batches_take_much_less_memory_once_gathered() {
        let full = sample::rows(Table::Spans, &[1, 2, 3], 0);
        let column = |(column, field): (&ArrayRef, &Arc<arrow::datatypes::Field>)| match field.is_nullable() {
            true => arrow::array::new_null_array(field.data_type(), column.len()),
            false => Arc::clone(column),
        };
        let columns = full.columns().iter().zip(full.schema().fields()).map(column).collect();
        let batch = RecordBatch::try_new(full.schema(), columns).unwrap();
        let all = Gather::new(Table::Spans, vec![&batch; 32]).unwrap().all().unwrap();
        assert_eq!(plain(&all), plain(&expected(Table::Spans, &vec![batch.clone(); 32])));
        let bytes = |rows: RecordBatch| tracelake_model::Batch::new(Table::Spans, rows).unwrap().memory_bytes();
        let (before, after) = (32 * bytes(batch), bytes(all));
        assert!(after * 10 < before, "{after} of {before}");
    }

    #[test]
    fn rows_of_another_table_are_refused() {
        let rows = sample::rows(Table::Logs, &[1], 0);
        assert!(Gather::new(Table::Spans, vec![&rows]).is_err());
    }
}
