//! Rows as the text of their cells, and what a request should become.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{Float64Array, Int64Array};
use arrow::util::display::array_value_to_string;
use tracelake_model::Table;

use crate::otlp::partial::Reason;

/// One row: cells that are not null.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Row {
    pub(crate) cells: BTreeMap<&'static str, String>,
    /// Whether cells that are not listed are null; audit records have some that only their own tests know.
    pub(crate) complete: bool,
}

/// What a request should become.
#[derive(Debug, Default)]
pub(crate) struct Expected {
    pub(crate) rows: Vec<(Table, Row)>,
    /// For each refused record, the reasons of which one is told.
    pub(crate) refused: Vec<BTreeSet<Reason>>,
    /// Whether any record has a time of its own.
    pub(crate) timed: bool,
    pub(crate) records: u32,
}

impl Row {
    #[expect(clippy::needless_pass_by_value, reason = "callers hand over what they made")]
    pub(crate) fn put(&mut self, column: &'static str, text: impl ToString) {
        self.cells.insert(column, text.to_string());
    }

    pub(crate) fn put_some(&mut self, column: &'static str, text: Option<impl ToString>) {
        if let Some(text) = text {
            self.put(column, text);
        }
    }

    /// Text whose absence and emptiness are one.
    pub(crate) fn put_text(&mut self, column: &'static str, text: &str) {
        self.put_some(column, (!text.is_empty()).then_some(text));
    }
}

impl Expected {
    /// One more record, kept or refused.
    pub(crate) fn push(&mut self, inherited: &BTreeSet<Reason>, own: &BTreeSet<Reason>, row: (Table, Row)) {
        self.records += 1;
        if !inherited.is_empty() {
            self.refused.push(inherited.clone());
        } else if !own.is_empty() {
            self.refused.push(own.clone());
        } else {
            self.rows.push(row);
        }
    }
}

/// The text of a list; null for none.
pub(crate) fn list(items: &[String]) -> Option<String> {
    (!items.is_empty()).then(|| all(items))
}

/// The text of a list that may be empty.
pub(crate) fn all(items: &[String]) -> String {
    format!("[{}]", items.join(", "))
}

/// A double as cells show it.
pub(crate) fn double(value: f64) -> String {
    array_value_to_string(&Float64Array::from(vec![value]), 0).expect("displays")
}

/// An integer as cells show it.
pub(crate) fn integer(value: i64) -> String {
    array_value_to_string(&Int64Array::from(vec![value]), 0).expect("displays")
}
