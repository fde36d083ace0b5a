//! One value of an answer as JSON or as plain text.
//!
//! 64-bit integers are strings in JSON (a browser would round them), times are RFC 3339 with nanoseconds, raw bytes
//! are lower-case hex, NaN and infinities are strings.

use std::fmt::Write as _;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{
    DataType, Float32Type, Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType, UInt64Type,
};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use tracelake_model::{UnixNano, push_json_string, to_hex};

/// The name of a type in `columns`.
pub(crate) fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "string".to_owned(),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            "binary".to_owned()
        }
        DataType::Float16 | DataType::Float32 => "float".to_owned(),
        DataType::Float64 => "double".to_owned(),
        DataType::Timestamp(..) => "timestamp".to_owned(),
        DataType::Date32 | DataType::Date64 => "date".to_owned(),
        DataType::Decimal32(..) | DataType::Decimal64(..) | DataType::Decimal128(..) | DataType::Decimal256(..) => {
            "decimal".to_owned()
        }
        DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..) => "list".to_owned(),
        DataType::Struct(_) => "struct".to_owned(),
        DataType::Map(..) => "map".to_owned(),
        DataType::Interval(_) => "interval".to_owned(),
        DataType::Dictionary(_, value) => type_name(value),
        other => other.to_string().to_lowercase(),
    }
}

/// Appends the value at `row` as JSON.
pub(crate) fn push_json(out: &mut String, column: &ArrayRef, row: usize) -> Result<(), ArrowError> {
    if column.is_null(row) {
        out.push_str("null");
        return Ok(());
    }
    match column.data_type() {
        DataType::Boolean => out.push_str(if column.as_boolean().value(row) { "true" } else { "false" }),
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::UInt8 | DataType::UInt16 | DataType::UInt32 => {
            push_display(out, column, row)?;
        }
        DataType::Float32 => push_double(out, f64::from(column.as_primitive::<Float32Type>().value(row))),
        DataType::Float64 => push_double(out, column.as_primitive::<Float64Type>().value(row)),
        DataType::List(_) => push_list(out, &column.as_list::<i32>().value(row))?,
        DataType::LargeList(_) => push_list(out, &column.as_list::<i64>().value(row))?,
        DataType::FixedSizeList(..) => push_list(out, &column.as_fixed_size_list().value(row))?,
        DataType::Struct(fields) => {
            let columns = column.as_struct().columns();
            out.push('{');
            for (i, (field, column)) in fields.iter().zip(columns).enumerate() {
                if i > 0 {
                    out.push(',');
                }
                push_json_string(out, field.name());
                out.push(':');
                push_json(out, column, row)?;
            }
            out.push('}');
        }
        DataType::Utf8 => push_json_string(out, column.as_string::<i32>().value(row)),
        _ => {
            let mut text = String::new();
            push_text(&mut text, column, row)?;
            push_json_string(out, &text);
        }
    }
    Ok(())
}

/// Appends the value at `row` as plain text, as CSV holds it; nothing for NULL, JSON for lists and structs.
pub(crate) fn push_text(out: &mut String, column: &ArrayRef, row: usize) -> Result<(), ArrowError> {
    if column.is_null(row) {
        return Ok(());
    }
    match column.data_type() {
        DataType::Utf8 => out.push_str(column.as_string::<i32>().value(row)),
        DataType::Int64 => push_number(out, column.as_primitive::<Int64Type>().value(row)),
        DataType::UInt64 => push_number(out, column.as_primitive::<UInt64Type>().value(row)),
        DataType::Float32 => push_plain_double(out, f64::from(column.as_primitive::<Float32Type>().value(row))),
        DataType::Float64 => push_plain_double(out, column.as_primitive::<Float64Type>().value(row)),
        DataType::Binary => out.push_str(&to_hex(column.as_binary::<i32>().value(row))),
        DataType::LargeBinary => out.push_str(&to_hex(column.as_binary::<i64>().value(row))),
        DataType::BinaryView => out.push_str(&to_hex(column.as_binary_view().value(row))),
        DataType::FixedSizeBinary(_) => out.push_str(&to_hex(column.as_fixed_size_binary().value(row))),
        DataType::Timestamp(unit, _) => push_time(out, column, *unit, row)?,
        DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..) | DataType::Struct(_) => {
            push_json(out, column, row)?;
        }
        _ => push_display(out, column, row)?,
    }
    Ok(())
}

fn push_list(out: &mut String, items: &ArrayRef) -> Result<(), ArrowError> {
    out.push('[');
    for i in 0..items.len() {
        if i > 0 {
            out.push(',');
        }
        push_json(out, items, i)?;
    }
    out.push(']');
    Ok(())
}

/// A time as RFC 3339 with nanoseconds; one outside the years 1677 to 2262 as arrow writes it.
fn push_time(out: &mut String, column: &ArrayRef, unit: TimeUnit, row: usize) -> Result<(), ArrowError> {
    let nanos = match unit {
        TimeUnit::Nanosecond => Some(column.as_primitive::<TimestampNanosecondType>().value(row)),
        TimeUnit::Microsecond => column.as_primitive::<TimestampMicrosecondType>().value(row).checked_mul(1_000),
        TimeUnit::Millisecond => column.as_primitive::<TimestampMillisecondType>().value(row).checked_mul(1_000_000),
        TimeUnit::Second => column.as_primitive::<TimestampSecondType>().value(row).checked_mul(1_000_000_000),
    };
    match nanos {
        Some(nanos) => out.push_str(&UnixNano(nanos).to_rfc3339()),
        None => push_display(out, column, row)?,
    }
    Ok(())
}

fn push_number(out: &mut String, value: impl std::fmt::Display) {
    let _ = write!(out, "{value}");
}

fn push_double(out: &mut String, value: f64) {
    if value.is_finite() {
        push_plain_double(out, value);
    } else {
        out.push('"');
        push_plain_double(out, value);
        out.push('"');
    }
}

fn push_plain_double(out: &mut String, value: f64) {
    if value.is_nan() {
        out.push_str("NaN");
    } else if value.is_infinite() {
        out.push_str(if value > 0.0 { "Infinity" } else { "-Infinity" });
    } else {
        // Debug prints the shortest text that reads back as the same double.
        let _ = write!(out, "{value:?}");
    }
}

fn push_display(out: &mut String, column: &ArrayRef, row: usize) -> Result<(), ArrowError> {
    let options = FormatOptions::default();
    let formatter = ArrayFormatter::try_new(column.as_ref(), &options)?;
    let _ = write!(out, "{}", formatter.value(row));
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use arrow::array::{
        BinaryArray, BooleanArray, Float64Array, Int8Array, Int64Array, ListArray, StringArray,
        TimestampNanosecondArray,
    };

    #[test]
    fn values_keep_what_json_can_say_and_name_what_it_cannot() {
        let check = |column: ArrayRef, json: &str, text: &str| {
            let (mut as_json, mut as_text) = (String::new(), String::new());
            push_json(&mut as_json, &column, 0).expect("json");
            push_text(&mut as_text, &column, 0).expect("text");
            assert_eq!((as_json.as_str(), as_text.as_str()), (json, text));
        };
        check(Arc::new(Int64Array::from(vec![i64::MIN])), "\"-9223372036854775808\"", "-9223372036854775808");
        check(Arc::new(Int8Array::from(vec![7])), "7", "7");
        check(Arc::new(BooleanArray::from(vec![true])), "true", "true");
        check(Arc::new(Float64Array::from(vec![0.1])), "0.1", "0.1");
        check(Arc::new(Float64Array::from(vec![f64::NAN])), "\"NaN\"", "NaN");
        check(Arc::new(Float64Array::from(vec![f64::NEG_INFINITY])), "\"-Infinity\"", "-Infinity");
        check(Arc::new(StringArray::from(vec!["a\"b"])), "\"a\\\"b\"", "a\"b");
        check(Arc::new(StringArray::from(vec![None::<&str>])), "null", "");
        check(Arc::new(BinaryArray::from(vec![&[0_u8, 255][..]])), "\"00ff\"", "00ff");
        let time = "2023-11-14T22:13:20.000000001Z";
        let times = TimestampNanosecondArray::from(vec![1_700_000_000_000_000_001]);
        check(Arc::new(times), &format!("\"{time}\""), time);
        let list = ListArray::from_iter_primitive::<Int64Type, _, _>(vec![Some(vec![Some(1), None])]);
        check(Arc::new(list), "[\"1\",null]", "[\"1\",null]");
    }
}
