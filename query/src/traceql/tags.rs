//! Which attributes the spans of a range have, by scope, and which values a field has. For pickers and completions.
//!
//! Reads rows as they are stored, newest window first, up to a bound; an answer that stopped there says so.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch, StringArray};
use datafusion::prelude::Expr;
use futures::TryStreamExt;
use serde::de::IgnoredAny;
use tracelake_model::column::{ATTRIBUTES_REST, EVENTS, LINKS, RESOURCE_ATTRIBUTES, SCOPE_ATTRIBUTES};
use tracelake_model::semconv::SPAN;
use tracelake_model::{Table, TenantId, TimeRange};

use crate::engine::{Engine, Scan};
use crate::error::Error;
use crate::traceql::field::{Field, Intrinsic, Scope};
use crate::traceql::literal::Static;
use crate::traceql::plan::RowTest;
use crate::traceql::row::{Rows, columns};
use crate::traceql::slot::Slots;
use crate::view::column::{list, text, text_at};
use crate::view::window::windows;

/// Rows that one question looks at.
const ROWS_MAX: usize = 5_000_000;

/// Which rows count.
#[derive(Debug)]
pub(crate) struct Where {
    pub(crate) range: TimeRange,
    /// Only these spans, where given.
    pub(crate) test: Option<RowTest>,
    /// Names of each scope, or values, that are told.
    pub(crate) limit: usize,
}

/// An answer, and what it lacks.
#[derive(Debug)]
pub(crate) struct Told<T> {
    pub(crate) found: T,
    pub(crate) warning: Option<String>,
}

/// Names of attributes by scope, in order.
pub(crate) type Names = BTreeMap<&'static str, BTreeSet<String>>;

/// Scopes that have attributes of their own, as Tempo names them.
pub(crate) const SCOPES: [&str; 5] = ["resource", "span", "event", "link", "instrumentation"];

/// The attributes of some scopes.
pub(crate) async fn names(
    engine: &Engine,
    tenant: &TenantId,
    asked: &Where,
    scopes: &[&'static str],
) -> Result<Told<Names>, Error> {
    let mut wanted: Vec<&'static str> = Vec::new();
    for scope in scopes {
        match *scope {
            "resource" => wanted.push(RESOURCE_ATTRIBUTES),
            "span" => wanted.extend(SPAN.iter().map(|promoted| promoted.column).chain([ATTRIBUTES_REST])),
            "event" => wanted.push(EVENTS),
            "link" => wanted.push(LINKS),
            _ => wanted.push(SCOPE_ATTRIBUTES),
        }
    }
    let mut found: Names = scopes.iter().map(|scope| (*scope, BTreeSet::new())).collect();
    let mut read = |batch: &RecordBatch, rows: &[usize]| {
        for (scope, names) in &mut found {
            if names.len() < asked.limit {
                read_names(batch, rows, scope, names);
            }
        }
        found.values().all(|names| names.len() >= asked.limit)
    };
    let complete = scan(engine, tenant, asked, (wanted, None), &mut read).await?;
    let mut warning = warning(complete);
    for (scope, names) in &mut found {
        if names.len() > asked.limit {
            *names = std::mem::take(names).into_iter().take(asked.limit).collect();
            warning = Some(format!("more than {} attributes of the scope {scope}", asked.limit));
        }
    }
    Ok(Told { found, warning })
}

/// The values of a field with their types, in order.
pub(crate) async fn values(
    engine: &Engine,
    tenant: &TenantId,
    asked: &Where,
    field: &Field,
) -> Result<Told<BTreeSet<(&'static str, String)>>, Error> {
    let (field, filter) = stored(field);
    let mut slots = Slots::empty();
    let place = slots.place(&field);
    let mut found: BTreeSet<(&'static str, String)> = BTreeSet::new();
    let mut last = Static::Nil;
    let mut read = |batch: &RecordBatch, rows: &[usize]| {
        let mut reader = Rows::new(batch, &slots);
        for row in rows {
            let value = reader.values(*row).swap_remove(place);
            if value != last {
                insert(&mut found, &value);
                last = value;
            }
        }
        found.len() > asked.limit
    };
    let complete = scan(engine, tenant, asked, (columns(&slots), filter), &mut read).await?;
    let mut warning = warning(complete);
    if found.len() > asked.limit {
        warning = Some(format!("the field has more than {} values", asked.limit));
        found = found.into_iter().take(asked.limit).collect();
    }
    Ok(Told { found, warning })
}

/// What a row tells of a field that only traces have: those of the root are its own name and service.
fn stored(field: &Field) -> (Field, Option<Expr>) {
    use datafusion::prelude::col;
    let own = match field {
        Field::Intrinsic { what: Intrinsic::RootName, .. } => Field::intrinsic("name"),
        Field::Intrinsic { what: Intrinsic::RootService, .. } => {
            Some(Field::attribute(Scope::Resource, "service.name"))
        }
        _ => None,
    };
    match own {
        Some(own) => (own, Some(col(tracelake_model::column::PARENT_SPAN_ID).is_null())),
        None => (field.clone(), None),
    }
}

fn insert(found: &mut BTreeSet<(&'static str, String)>, value: &Static) {
    let kind = match value {
        Static::Nil => return,
        Static::List(values) => return values.iter().for_each(|one| insert(found, one)),
        Static::Text(_) => "string",
        Static::Bool(_) => "bool",
        Static::Int(_) => "int",
        Static::Float(_) => "float",
        Static::Duration(_) => "duration",
        Static::Status(_) | Static::Kind(_) => "keyword",
    };
    found.insert((kind, value.plain()));
}

fn warning(complete: bool) -> Option<String> {
    (!complete).then(|| format!("only the newest {ROWS_MAX} spans of the range were looked at; narrow start and end"))
}

/// Hands over rows, newest window first, until `read` has enough; whether nothing was left unread for the bound's sake.
async fn scan(
    engine: &Engine,
    tenant: &TenantId,
    asked: &Where,
    (mut wanted, filter): (Vec<&'static str>, Option<Expr>),
    read: &mut (impl FnMut(&RecordBatch, &[usize]) -> bool + Send),
) -> Result<bool, Error> {
    let snapshot = Arc::new(engine.store().snapshot(tenant));
    let pushed = asked.test.as_ref().and_then(|rows| rows.filter.clone());
    if let Some(rows) = &asked.test {
        wanted.extend(columns(&rows.slots));
    }
    wanted.sort_unstable();
    wanted.dedup();
    let filter = filter.into_iter().chain(pushed).reduce(Expr::and);
    let mut count = 0;
    for range in windows(asked.range, engine.clock().now()) {
        let ask = Scan { columns: wanted.clone(), filter: filter.clone(), range, ..Scan::default() };
        let mut stream = engine.rows_at(&snapshot, Table::Spans, ask).await?;
        while let Some(batch) = stream.try_next().await? {
            let test = asked.test.as_ref().and_then(|rows| Some((rows.test.as_ref()?, Rows::new(&batch, &rows.slots))));
            let rows: Vec<usize> = match test {
                None => (0..batch.num_rows()).collect(),
                Some((test, mut values)) => {
                    (0..batch.num_rows()).filter(|row| test.holds(&values.values(*row))).collect()
                }
            };
            if read(&batch, &rows) {
                return Ok(true);
            }
            count += batch.num_rows();
            if count >= ROWS_MAX {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

fn read_names(batch: &RecordBatch, rows: &[usize], scope: &str, names: &mut BTreeSet<String>) {
    match scope {
        "resource" => of_texts(text(batch, RESOURCE_ATTRIBUTES), rows.iter().copied(), names),
        "instrumentation" => of_texts(text(batch, SCOPE_ATTRIBUTES), rows.iter().copied(), names),
        "event" | "link" => {
            let lists = list(batch, if scope == "event" { EVENTS } else { LINKS });
            let items = lists.values().as_struct();
            let texts = items.column_by_name("attributes").and_then(|column| column.as_string_opt::<i32>());
            let Some(texts) = texts else { return };
            let offsets = lists.value_offsets();
            let place = |offset: i32| usize::try_from(offset).unwrap_or(0);
            let items = rows.iter().filter(|row| lists.is_valid(**row));
            of_texts(texts, items.flat_map(|row| place(offsets[*row])..place(offsets[row + 1])), names);
        }
        _ => {
            for promoted in SPAN.iter().filter(|promoted| !names.contains(promoted.key)).collect::<Vec<_>>() {
                let held = batch.column_by_name(promoted.column);
                if held.is_some_and(|column| rows.iter().any(|row| column.is_valid(*row))) {
                    names.insert(promoted.key.to_owned());
                }
            }
            of_texts(text(batch, ATTRIBUTES_REST), rows.iter().copied(), names);
        }
    }
}

/// The keys of JSON objects of attributes.
fn of_texts(texts: &StringArray, rows: impl Iterator<Item = usize>, names: &mut BTreeSet<String>) {
    let mut last = "";
    for row in rows {
        let Some(text) = text_at(texts, row).filter(|text| *text != last) else { continue };
        last = text;
        let keys: BTreeMap<Cow<'_, str>, IgnoredAny> = serde_json::from_str(text).unwrap_or_default();
        for key in keys.keys() {
            // A key that begins with `$` has one more in the text.
            let key = key.strip_prefix("$$").map_or(key.as_ref(), |_| &key[1..]);
            if !names.contains(key) {
                names.insert(key.to_owned());
            }
        }
    }
}
