//! All attributes of a record as one JSON text, put together from promoted columns and the rest.
//!
//! Built only when a query selects it: `attr()` on it is rewritten to the columns (`sql/rewrite.rs`).

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, StringArray, StringBuilder};
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};
use tracelake_model::semconv::{self, Promoted, PromotedKind};
use tracelake_model::{Table, push_json_string};

/// Whose attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Owner {
    /// A record of a table with promoted attributes: its first argument holds those that are not promoted.
    Record(Table),
    /// A resource: its first argument holds all, the promoted columns repeat some.
    Resource,
}

impl Owner {
    /// The promoted attributes, in the order of the arguments after the first.
    pub(crate) fn promoted(self) -> &'static [Promoted] {
        match self {
            Self::Record(table) => table.promoted(),
            Self::Resource => semconv::RESOURCE,
        }
    }
}

/// `attributes(rest, promoted...) -> JSON text`, `{}` when there are none.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Attributes {
    /// Whose.
    pub(crate) owner: Owner,
    signature: Signature,
}

impl Attributes {
    pub(crate) fn new(owner: Owner) -> Self {
        let promoted = owner.promoted().iter().map(|promoted| promoted.kind.data_type());
        let types = std::iter::once(DataType::Utf8).chain(promoted).collect();
        Self { owner, signature: Signature::exact(types, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Attributes {
    fn name(&self) -> &str {
        match self.owner {
            Owner::Record(_) => "all_attributes",
            Owner::Resource => "all_resource_attributes",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        if self.owner == Owner::Resource {
            return Ok(args.args[0].clone());
        }
        let arrays = args.args.iter().map(|arg| arg.to_array(args.number_rows)).collect::<Result<Vec<_>>>()?;
        let (rest, columns) = (arrays[0].as_string::<i32>(), &arrays[1..]);
        let cells: Vec<Cells<'_>> = self
            .owner
            .promoted()
            .iter()
            .zip(columns)
            .filter(|(_, column)| column.null_count() < column.len())
            .map(|(promoted, column)| Cells::new(promoted, column))
            .collect();
        let mut texts = StringBuilder::with_capacity(args.number_rows, args.number_rows * 64);
        let mut text = String::new();
        for row in 0..args.number_rows {
            text.clear();
            push_row(&mut text, rest.is_valid(row).then(|| rest.value(row)), &cells, row);
            texts.append_value(&text);
        }
        Ok(ColumnarValue::Array(Arc::new(texts.finish())))
    }
}

/// One promoted column.
struct Cells<'a> {
    key: &'static str,
    values: CellValues<'a>,
}

enum CellValues<'a> {
    Text(&'a StringArray),
    Int(&'a Int64Array),
    Bool(&'a BooleanArray),
}

impl<'a> Cells<'a> {
    fn new(promoted: &Promoted, column: &'a ArrayRef) -> Self {
        let values = match promoted.kind {
            PromotedKind::String => CellValues::Text(column.as_string()),
            PromotedKind::Int => CellValues::Int(column.as_primitive::<Int64Type>()),
            PromotedKind::Bool => CellValues::Bool(column.as_boolean()),
        };
        Self { key: promoted.key, values }
    }

    fn is_valid(&self, row: usize) -> bool {
        match self.values {
            CellValues::Text(values) => values.is_valid(row),
            CellValues::Int(values) => values.is_valid(row),
            CellValues::Bool(values) => values.is_valid(row),
        }
    }

    fn push(&self, out: &mut String, row: usize) {
        use std::fmt::Write as _;
        match self.values {
            CellValues::Text(values) => push_json_string(out, values.value(row)),
            CellValues::Int(values) => {
                let _ = write!(out, "{}", values.value(row));
            }
            CellValues::Bool(values) => out.push_str(if values.value(row) { "true" } else { "false" }),
        }
    }
}

fn push_row(out: &mut String, rest: Option<&str>, cells: &[Cells<'_>], row: usize) {
    out.push('{');
    for cell in cells.iter().filter(|cell| cell.is_valid(row)) {
        if out.len() > 1 {
            out.push(',');
        }
        push_json_string(out, cell.key);
        out.push(':');
        cell.push(out, row);
    }
    // The rest is an object of its own: what stands between its braces follows.
    let inner = rest.and_then(|text| text.strip_prefix('{')?.strip_suffix('}')).unwrap_or_default();
    if !inner.is_empty() && out.len() > 1 {
        out.push(',');
    }
    out.push_str(inner);
    out.push('}');
}
