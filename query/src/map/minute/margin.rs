//! Which spans that start near a range, but not in it, are worth reading: those of traces with spans in it, and those that
//! may have worked on messages.
//!
//! At high rates nearly all spans near a minute are of other traces, and a minute has as much near it as in it. What is
//! left out but linked to is read by the trace index.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{AsArray, BooleanArray};
use arrow::datatypes::{DataType, Int8Type, Int64Type};
use datafusion::common::{DataFusionError, Result as Planned};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::prelude::col;
use futures::TryStreamExt;
use tracelake_model::column::{KIND, START_UNIX_NANO, TRACE_ID};
use tracelake_model::{Table, TimeRange, UnixNano};
use tracelake_storage::Snapshot;

use crate::engine::{Engine, Scan};
use crate::error::Error;
use crate::map::minute::spill::trace_hash;
use crate::map::parent::{CONSUMER, UNSPECIFIED};
use crate::view::column::binary;

/// Bits of a hash that choose a place among [`Margin::places`]: 4 MiB.
const PLACE_BITS: u32 = 25;

/// The traces that have spans in a range, and some others (one in fourteen of a minute with two million traces).
#[derive(Debug)]
pub(crate) struct Margin {
    range: TimeRange,
    places: Vec<u64>,
}

impl Margin {
    /// Looks through the trace ids of a range.
    pub(crate) async fn of(
        engine: &Engine,
        snapshot: &Arc<Snapshot>,
        range: TimeRange,
        seconds: u64,
    ) -> Result<Arc<Self>, Error> {
        let mut margin = Self { range, places: vec![0; 1 << (PLACE_BITS - u64::BITS.ilog2())] };
        let columns = vec![TRACE_ID];
        let scan = Scan { columns, as_stored: true, range, seconds: Some(seconds), ..Scan::default() };
        let mut stream = engine.rows_at(snapshot, Table::Spans, scan).await?;
        while let Some(batch) = stream.try_next().await? {
            for id in binary(&batch, TRACE_ID).iter().flatten() {
                let (word, bit) = place(id);
                margin.places[word] |= bit;
            }
        }
        Ok(Arc::new(margin))
    }

    /// Whether a trace may have spans in the range.
    pub(crate) fn may_hold(&self, id: &[u8]) -> bool {
        let (word, bit) = place(id);
        self.places[word] & bit != 0
    }

    /// What is true of spans that are worth reading.
    pub(crate) fn filter(self: &Arc<Self>) -> Expr {
        let types = vec![DataType::Binary, DataType::Int64, DataType::Int8];
        let signature = Signature::exact(types, Volatility::Immutable);
        let test = ScalarUDF::from(Test { margin: Arc::clone(self), signature });
        test.call(vec![col(TRACE_ID), col(START_UNIX_NANO), col(KIND)])
    }
}

fn place(id: &[u8]) -> (usize, u64) {
    let hash = id.try_into().map_or(0, trace_hash) >> (u64::BITS - PLACE_BITS);
    (usize::try_from(hash / u64::from(u64::BITS)).unwrap_or(0), 1 << (hash % u64::from(u64::BITS)))
}

/// [`Margin::filter`] as a function of the engine.
#[derive(Debug)]
struct Test {
    margin: Arc<Margin>,
    signature: Signature,
}

impl PartialEq for Test {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.margin, &other.margin)
    }
}

impl Eq for Test {}

impl Hash for Test {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.margin).hash(state);
    }
}

impl ScalarUDFImpl for Test {
    fn name(&self) -> &'static str {
        "is_worth_reading"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Planned<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Planned<ColumnarValue> {
        let [ids, starts, kinds] = args.args.as_slice() else {
            return Err(DataFusionError::Internal("three columns decide what is worth reading".to_owned()));
        };
        let (ids, starts) = (ids.to_array(args.number_rows)?, starts.to_array(args.number_rows)?);
        let kinds = kinds.to_array(args.number_rows)?;
        let (ids, starts) = (ids.as_binary::<i32>(), starts.as_primitive::<Int64Type>());
        let kinds = kinds.as_primitive::<Int8Type>();
        let is_worth = |row: usize| {
            self.margin.range.contains(UnixNano(starts.value(row)))
                || matches!(kinds.value(row), CONSUMER | UNSPECIFIED)
                || self.margin.may_hold(ids.value(row))
        };
        let found: BooleanArray = (0..args.number_rows).map(|row| Some(is_worth(row))).collect();
        Ok(ColumnarValue::Array(Arc::new(found)))
    }
}
