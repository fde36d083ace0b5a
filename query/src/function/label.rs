//! Span kinds and status codes by name (the OTLP numbers of `trace.proto`).

use std::sync::Arc;

use arrow::array::{AsArray, StringArray};
use arrow::datatypes::{DataType, Int8Type};
use datafusion::common::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};

/// Span kinds in the order of their numbers.
pub(crate) const KINDS: &[&str] = &["UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"];
/// Status codes in the order of their numbers.
pub(crate) const STATUS_CODES: &[&str] = &["UNSET", "OK", "ERROR"];

/// A number's name; NULL for a number without one.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Label {
    name: &'static str,
    labels: &'static [&'static str],
    signature: Signature,
}

impl Label {
    /// `span_kind(int8) -> text`.
    pub(crate) fn kind() -> Self {
        Self::new("span_kind", KINDS)
    }

    /// `status_label(int8) -> text`.
    pub(crate) fn status() -> Self {
        Self::new("status_label", STATUS_CODES)
    }

    fn new(name: &'static str, labels: &'static [&'static str]) -> Self {
        Self { name, labels, signature: Signature::exact(vec![DataType::Int8], Volatility::Immutable) }
    }

    /// The number that is shown as `label`.
    pub(crate) fn number(&self, label: &str) -> Option<i8> {
        self.labels.iter().position(|known| *known == label).and_then(|at| i8::try_from(at).ok())
    }
}

impl ScalarUDFImpl for Label {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let numbers = args.args[0].to_array(args.number_rows)?;
        let label = |number: i8| usize::try_from(number).ok().and_then(|at| self.labels.get(at).copied());
        let labels: StringArray =
            numbers.as_primitive::<Int8Type>().iter().map(|number| number.and_then(label)).collect();
        Ok(ColumnarValue::Array(Arc::new(labels)))
    }
}
