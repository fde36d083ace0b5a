//! Rows for tests: any table, full of values that are easy to get wrong.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Float64Array, Int8Array, Int32Array, Int64Array, ListArray, RecordBatch,
    StringArray, StructArray,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field};
use tracelake_model::Table;

/// One row for each time, in this order; columns as [`Table::schema`] says. `seed` varies the values.
pub(crate) fn rows(table: Table, times: &[i64], seed: usize) -> RecordBatch {
    let schema = table.schema();
    let column = |(number, field): (usize, &Arc<Field>)| -> ArrayRef {
        if field.name() == table.time_column() {
            return Arc::new(Int64Array::from(times.to_vec()));
        }
        array(field, times.len(), seed + 7 * number)
    };
    let columns = schema.fields().iter().enumerate().map(column).collect();
    RecordBatch::try_new(schema, columns).unwrap()
}

fn array(field: &Field, rows: usize, seed: usize) -> ArrayRef {
    let null = |row: usize| field.is_nullable() && (row + seed).is_multiple_of(3);
    let pick = |row: usize, of: usize| (row * 7 + seed) % of;
    let some = |row: usize| (!null(row)).then_some(row);
    match field.data_type() {
        DataType::Int8 => {
            Arc::new(Int8Array::from_iter((0..rows).map(|r| some(r).map(|r| [0, -128, 127, 2][pick(r, 4)]))))
        }
        DataType::Int32 => {
            Arc::new(Int32Array::from_iter((0..rows).map(|r| some(r).map(|r| [i32::MIN, 0, i32::MAX][pick(r, 3)]))))
        }
        DataType::Int64 => {
            let values = [i64::MIN, -1, 0, 1, (1 << 53) + 1, i64::MAX];
            Arc::new(Int64Array::from_iter((0..rows).map(|r| some(r).map(|r| values[pick(r, 6)]))))
        }
        DataType::Float64 => {
            let values = [f64::NAN, -0.0, f64::INFINITY, f64::NEG_INFINITY, 0.1, f64::MIN_POSITIVE];
            Arc::new(Float64Array::from_iter((0..rows).map(|r| some(r).map(|r| values[pick(r, 6)]))))
        }
        DataType::Boolean => Arc::new(BooleanArray::from_iter((0..rows).map(|r| some(r).map(|r| pick(r, 2) == 0)))),
        DataType::Binary => {
            let ids: Vec<Vec<u8>> = (0..rows).map(|r| ((r + seed) as u128 * 77).to_be_bytes().to_vec()).collect();
            Arc::new(BinaryArray::from_iter((0..rows).map(|r| some(r).map(|r| ids[r].as_slice()))))
        }
        DataType::Utf8 => Arc::new(StringArray::from_iter((0..rows).map(|r| some(r).map(|r| text(pick(r, 5)))))),
        interned @ DataType::Dictionary(..) => {
            let plain = array(&field.clone().with_data_type(DataType::Utf8), rows, seed);
            cast(&plain, interned).unwrap()
        }
        DataType::List(item) => {
            let lengths: Vec<usize> = (0..rows).map(|r| if null(r) { 0 } else { pick(r, 3) }).collect();
            let values = array(item, lengths.iter().sum(), seed + 1);
            let nulls: NullBuffer = (0..rows).map(|r| !null(r)).collect();
            let nulls = field.is_nullable().then_some(nulls);
            Arc::new(ListArray::try_new(Arc::clone(item), OffsetBuffer::from_lengths(lengths), values, nulls).unwrap())
        }
        DataType::Struct(fields) => {
            let columns = fields.iter().enumerate().map(|(number, inner)| array(inner, rows, seed + number)).collect();
            let nulls: NullBuffer = (0..rows).map(|r| !null(r)).collect();
            Arc::new(StructArray::try_new(fields.clone(), columns, field.is_nullable().then_some(nulls)).unwrap())
        }
        other => panic!("no sample for {other}"),
    }
}

fn text(which: usize) -> String {
    ["", "shop", "Ünï¢ode 🛒", "a\u{0}b\"\\\n", &"🛒 long ".repeat(40)][which].to_owned()
}
