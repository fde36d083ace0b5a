//! Values to the filters of a value index, while a row group of spans is written: column by column, from where its own
//! encoder holds distinct texts anyway.

use std::ops::Range;

use tracelake_model::Table;
use tracelake_model::column::{ATTRIBUTES_REST, NAME, RESOURCE_ATTRIBUTES, SERVICE_NAME};
use tracelake_model::semconv::{RESOURCE, SPAN};

use crate::part::value_index::{CHUNK_ROWS, Filter, ValueGroup};
use crate::part::value_json::{Plain, tell};
use crate::part::value_key::{SERVICE, SPAN_NAME, failed, flag_text, number_of, odd_of, seed, text_of};

/// Hashes that are remembered.
const RECENT: usize = 512;

/// What the values of a column are to an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// Those of one key, by its seed.
    Key(u64),
    /// JSON texts of attributes.
    Json,
}

/// What an index is told of a column; `None` of columns, and tables, that it does not know.
pub(crate) fn told(table: Table, column: &str) -> Option<Told> {
    if table != Table::Spans {
        return None;
    }
    match column {
        SERVICE_NAME => Some(Told::Key(seed(SERVICE))),
        NAME => Some(Told::Key(seed(SPAN_NAME))),
        ATTRIBUTES_REST | RESOURCE_ATTRIBUTES => Some(Told::Json),
        _ => {
            let promoted = SPAN.iter().chain(RESOURCE).find(|promoted| promoted.column == column);
            promoted.map(|promoted| Told::Key(seed(promoted.key)))
        }
    }
}

/// The filters of a row group under way.
#[derive(Debug, Default)]
pub(crate) struct GroupValues {
    filters: Vec<Filter>,
}

impl GroupValues {
    /// Where values of some rows of the group go.
    pub(crate) fn of_rows(&mut self, rows: Range<usize>) -> RowValues<'_> {
        let chunks = rows.start / CHUNK_ROWS..rows.end.div_ceil(CHUNK_ROWS);
        if self.filters.len() < chunks.end {
            self.filters.resize_with(chunks.end, Filter::new);
        }
        // No hash that belongs to a slot is there at first.
        let recent = (1..=RECENT as u64).collect();
        RowValues { filters: self.filters.get_mut(chunks).unwrap_or_default(), recent }
    }

    /// The index of a group of so many rows.
    pub(crate) fn finish(mut self, rows: usize) -> ValueGroup {
        self.of_rows(0..rows);
        ValueGroup::new(rows as u64, self.filters)
    }
}

/// The filters that some rows belong to.
#[derive(Debug)]
pub(crate) struct RowValues<'a> {
    filters: &'a mut [Filter],
    /// Hashes that were taken in lately, each at its place: most values come again and again.
    recent: Vec<u64>,
}

impl RowValues<'_> {
    /// Takes in a text of a column.
    pub(crate) fn text(&mut self, told: Told, text: &[u8]) {
        match told {
            Told::Key(seed) => self.see(text_of(seed, text)),
            Told::Json => self.json(text),
        }
    }

    /// Takes in a number of a column of one key.
    #[expect(clippy::cast_precision_loss, reason = "an index knows numbers as doubles")]
    pub(crate) fn number(&mut self, told: Told, number: i64) {
        match told {
            Told::Key(seed) => self.see(number_of(seed, number as f64)),
            Told::Json => self.hold_all(),
        }
    }

    /// Takes in a boolean of a column of one key.
    pub(crate) fn flag(&mut self, told: Told, value: bool) {
        self.text(told, flag_text(value).as_bytes());
    }

    /// Takes in that a span of a service failed.
    pub(crate) fn failed(&mut self, service: &str) {
        self.see(failed(None));
        self.see(failed(Some(service)));
    }

    /// Anything may stand in these rows.
    pub(crate) fn hold_all(&mut self) {
        self.filters.iter_mut().for_each(Filter::hold_all);
    }

    fn json(&mut self, text: &[u8]) {
        let known = str::from_utf8(text).ok().and_then(|text| {
            tell(text, |key, value| {
                let seed = seed(key);
                match value {
                    Plain::Text(text) => self.see(text_of(seed, text.as_bytes())),
                    Plain::Number(number) => self.see(number_of(seed, number)),
                    Plain::Odd => odd_of(seed).into_iter().for_each(|hash| self.see(hash)),
                }
            })
        });
        if known.is_none() {
            self.hold_all();
        }
    }

    fn see(&mut self, hash: u64) {
        let place = &mut self.recent[(hash % RECENT as u64) as usize];
        if std::mem::replace(place, hash) != hash {
            self.filters.iter_mut().for_each(|filter| filter.insert(hash));
        }
    }
}
