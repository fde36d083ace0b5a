//! Conditions that one span must fulfil, all at once; what of them a scan can apply, and the exact test on a batch.

use std::cell::OnceCell;

use arrow::array::{Int8Array, Int64Array, RecordBatch, StringArray};
use datafusion::prelude::{Expr, col, lit};
use regex::Regex;
use tracelake_model::column::{
    ATTRIBUTES_REST, DURATION_NS, KIND, NAME, RESOURCE_ATTRIBUTES, SCOPE_NAME, SCOPE_VERSION, SERVICE_NAME,
    START_UNIX_NANO, STATUS_CODE, STATUS_MESSAGE,
};
use tracelake_model::{Table, TimeRange, UnixNano, Value};
use tracelake_storage::value_key;

use crate::map::span::ERROR;
use crate::scan::wanted::{Wanted, shown_as};
use crate::view::attribute::{self, Attributes, KeyFinder, PromotedColumn, parse};
use crate::view::column::{Texts, int, small, text, text_at};
use crate::view::condition::Condition;

/// Keys of conditions that ask for a span's own text, as TraceQL names them, and its column.
const FIELDS: [(&str, &str); 4] = [
    ("span:name", NAME),
    ("span:statusMessage", STATUS_MESSAGE),
    ("instrumentation:name", SCOPE_NAME),
    ("instrumentation:version", SCOPE_VERSION),
];

/// The conditions.
#[derive(Clone, Debug)]
pub(crate) struct SpanFilter {
    pub(crate) service: Option<String>,
    pub(crate) operation: Option<String>,
    pub(crate) kind: Option<i8>,
    pub(crate) status: Option<i8>,
    pub(crate) duration_min_ns: Option<i64>,
    pub(crate) duration_max_ns: Option<i64>,
    pub(crate) conditions: Vec<Condition>,
    /// In the name or any attribute value.
    pub(crate) text: Option<Regex>,
    /// The span starts inside.
    pub(crate) range: TimeRange,
}

impl SpanFilter {
    /// The columns that [`SpanFilter::matcher`] needs.
    pub(crate) fn columns(&self) -> Vec<&'static str> {
        let mut columns = vec![SERVICE_NAME, NAME, KIND, STATUS_CODE, START_UNIX_NANO, DURATION_NS];
        if self.text.is_some() {
            columns.extend(attribute::columns(Table::Spans));
        } else if !self.conditions.is_empty() {
            let asked = |key: &&str| self.conditions.iter().any(|condition| condition.key() == *key);
            let promoted = Table::Spans.promoted().iter().filter(|promoted| asked(&promoted.key));
            columns.extend(promoted.map(|promoted| promoted.column));
            columns.extend([ATTRIBUTES_REST, RESOURCE_ATTRIBUTES]);
        }
        columns.extend(self.conditions.iter().filter_map(field));
        columns.sort_unstable();
        columns.dedup();
        columns
    }

    /// What a scan can apply by itself: conditions on plain columns.
    pub(crate) fn expression(&self) -> Option<Expr> {
        let equal = |name: &str, value: &Option<String>| value.as_ref().map(|value| col(name).eq(lit(value.clone())));
        let number = |name: &str, value: Option<i8>| value.map(|value| col(name).eq(lit(value)));
        [
            equal(SERVICE_NAME, &self.service),
            equal(NAME, &self.operation),
            number(KIND, self.kind),
            number(STATUS_CODE, self.status),
            self.duration_min_ns.map(|least| col(DURATION_NS).gt_eq(lit(least))),
            self.duration_max_ns.map(|most| col(DURATION_NS).lt_eq(lit(most))),
        ]
        .into_iter()
        .flatten()
        .reduce(Expr::and)
    }

    /// What a matching row must hold, as value indexes know it.
    pub(crate) fn wanted(&self) -> Wanted {
        let text = |key: &str, text: &Option<String>| {
            text.as_ref().map_or_else(Wanted::default, |text| Wanted::one_of([value_key::text(key, text)]))
        };
        let own = match self.status {
            // Asks for the service, too.
            Some(ERROR) => Wanted::one_of([value_key::failed(self.service.as_deref())]),
            _ => text(value_key::SERVICE, &self.service),
        };
        let own = own.and(text(value_key::SPAN_NAME, &self.operation));
        self.conditions.iter().map(wanted).fold(own, Wanted::and)
    }

    /// The exact test on the rows of a batch that has [`SpanFilter::columns`].
    pub(crate) fn matcher<'a>(&'a self, batch: &'a RecordBatch) -> SpanMatcher<'a> {
        let needs_attributes = self.text.is_some() || !self.conditions.is_empty();
        SpanMatcher {
            filter: self,
            service: text(batch, SERVICE_NAME),
            name: text(batch, NAME),
            kind: small(batch, KIND),
            status: small(batch, STATUS_CODE),
            start: int(batch, START_UNIX_NANO),
            duration: int(batch, DURATION_NS),
            rest: needs_attributes.then(|| text(batch, ATTRIBUTES_REST)),
            resource: needs_attributes.then(|| Texts::new(batch, RESOURCE_ATTRIBUTES)),
            keys: self.conditions.iter().map(|condition| ConditionColumn::new(batch, condition)).collect(),
            all: self.text.is_some().then(|| Attributes::new(batch, Table::Spans)),
            resource_has_text: vec![OnceCell::new(); if self.text.is_some() { resources(batch) } else { 0 }],
        }
    }
}

/// Tests rows of one batch.
pub(crate) struct SpanMatcher<'a> {
    filter: &'a SpanFilter,
    service: &'a StringArray,
    name: &'a StringArray,
    kind: &'a Int8Array,
    status: &'a Int8Array,
    start: &'a Int64Array,
    duration: &'a Int64Array,
    rest: Option<&'a StringArray>,
    resource: Option<Texts<'a>>,
    keys: Vec<ConditionColumn<'a>>,
    all: Option<Attributes<'a>>,
    /// Whether the free text is in a resource, by its place, once somebody has looked.
    resource_has_text: Vec<OnceCell<bool>>,
}

/// Places of resources in a batch.
fn resources(batch: &RecordBatch) -> usize {
    Texts::new(batch, RESOURCE_ATTRIBUTES).count()
}

/// What a row must hold for a condition to be true; nothing where an index cannot tell.
fn wanted(condition: &Condition) -> Wanted {
    let Some(text) = condition.wanted().filter(|_| !condition.asks_for_error()) else { return Wanted::default() };
    match field(condition) {
        Some(NAME) => Wanted::one_of([value_key::text(value_key::SPAN_NAME, text)]),
        Some(_) => Wanted::default(),
        None => Wanted::one_of_or_odd(&shown_as(condition.key(), text), condition.key()),
    }
}

struct ConditionColumn<'a> {
    condition: &'a Condition,
    /// The condition asks for this text and nothing else.
    field: Option<&'a StringArray>,
    promoted: Option<PromotedColumn<'a>>,
    finder: KeyFinder,
    /// The key's value in a resource, by the resource's place, once somebody has looked.
    of_resource: Vec<OnceCell<Option<Value>>>,
}

fn field(condition: &Condition) -> Option<&'static str> {
    FIELDS.iter().find(|(key, _)| *key == condition.key()).map(|(_, column)| *column)
}

impl<'a> ConditionColumn<'a> {
    fn new(batch: &'a RecordBatch, condition: &'a Condition) -> Self {
        let promoted = Table::Spans.promoted().iter().find(|promoted| promoted.key == condition.key());
        Self {
            condition,
            field: field(condition).map(|column| text(batch, column)),
            promoted: promoted.map(|promoted| PromotedColumn::new(batch, promoted)),
            finder: KeyFinder::new(condition.key()),
            of_resource: vec![OnceCell::new(); resources(batch)],
        }
    }
}

impl SpanMatcher<'_> {
    /// Whether a row fulfils all conditions.
    pub(crate) fn matches(&self, row: usize) -> bool {
        let filter = self.filter;
        let duration = self.duration.value(row);
        filter.range.contains(UnixNano(self.start.value(row)))
            && filter.duration_min_ns.is_none_or(|least| duration >= least)
            && filter.duration_max_ns.is_none_or(|most| duration <= most)
            && filter.kind.is_none_or(|kind| self.kind.value(row) == kind)
            && filter.status.is_none_or(|status| self.status.value(row) == status)
            && filter.service.as_ref().is_none_or(|service| self.service.value(row) == service)
            && filter.operation.as_ref().is_none_or(|name| self.name.value(row) == name)
            && self.keys.iter().all(|column| self.holds(column, row))
            && filter.text.as_ref().is_none_or(|wanted| self.has_text(wanted, row))
    }

    fn holds(&self, column: &ConditionColumn<'_>, row: usize) -> bool {
        if column.condition.asks_for_error() && self.status.value(row) == ERROR {
            return true;
        }
        if let Some(text) = column.field {
            return column.condition.holds(text_at(text, row).map(|text| Value::String(text.to_owned())));
        }
        let rest = || column.finder.find(text_at(self.rest?, row)?);
        let own = column.promoted.as_ref().and_then(|promoted| promoted.value(row)).or_else(rest);
        // Looked at only where the span's own value does not decide.
        let resource = std::iter::once_with(|| {
            let texts = self.resource?;
            let place = texts.place(row)?;
            column.of_resource[place].get_or_init(|| column.finder.find(texts.text(place))).clone()
        });
        column.condition.holds(own.into_iter().chain(resource.flatten()))
    }

    fn has_text(&self, wanted: &Regex, row: usize) -> bool {
        let has = |attributes: Vec<(String, Value)>| {
            attributes.iter().any(|(_, value)| match value {
                Value::String(text) => wanted.is_match(text),
                other => wanted.is_match(&other.to_text()),
            })
        };
        wanted.is_match(self.name.value(row))
            || self.all.as_ref().is_some_and(|all| has(all.of(row)))
            || self.resource.is_some_and(|texts| {
                let Some(place) = texts.place(row) else { return false };
                *self.resource_has_text[place].get_or_init(|| has(parse(Some(texts.text(place)))))
            })
    }
}
