//! The present by the engine's clock: one instant for the whole session.

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};
use tracelake_model::UnixNano;

/// `now() -> timestamp`, also `current_timestamp`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Now {
    at: UnixNano,
    aliases: Vec<String>,
    signature: Signature,
}

impl Now {
    pub(crate) fn new(at: UnixNano) -> Self {
        let signature = Signature::nullary(Volatility::Immutable);
        Self { at, aliases: vec!["current_timestamp".to_owned()], signature }
    }
}

impl ScalarUDFImpl for Now {
    fn name(&self) -> &str {
        "now"
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Timestamp(TimeUnit::Nanosecond, None))
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Ok(ColumnarValue::Scalar(ScalarValue::TimestampNanosecond(Some(self.at.0), None)))
    }
}
