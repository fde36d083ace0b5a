//! Attributes: tidied (last of equal keys, number and length bounded), promoted to a typed column or kept as JSON text.
//!
//! The JSON text form is that of `model::Value`.

use std::collections::HashMap;

use arrow::array::{StringArray, StringBuilder};
use tracelake_model::semconv::{self, Promoted};
use tracelake_model::{DecodeLimits, Value, push_json_int, push_json_string};

use crate::column::assemble::Assemble;
use crate::column::sparse::{Sparse, Texts};
use crate::wire::key::Key;
use crate::wire::value::{Any, Attributes};

/// Beyond this many keys a map finds equal ones faster than looking at each.
const SCAN_MAX: usize = 24;

/// What tidying found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tidied {
    /// Attributes beyond the limit.
    pub(crate) dropped: u32,
    /// Keys whose text was cut, comma-separated. A key may be empty, so `None` says that none was.
    pub(crate) cut: Option<String>,
}

impl Tidied {
    /// Notes one more key whose text was cut.
    pub(crate) fn add_cut(&mut self, key: &str) {
        match &mut self.cut {
            Some(keys) => keys.extend([",", key]),
            None => self.cut = Some(key.to_owned()),
        }
    }
}

/// The last of equal keys wins (at every depth), attributes beyond the limit go, long text is cut.
pub(crate) fn tidy(attributes: &mut Attributes<'_>, limits: &DecodeLimits) -> Tidied {
    tidy_but(attributes, limits, |_| false)
}

/// As [`tidy`]; where some must go, those with a meaning of their own go last.
pub(crate) fn tidy_but(
    attributes: &mut Attributes<'_>,
    limits: &DecodeLimits,
    has_meaning: impl Fn(&str) -> bool,
) -> Tidied {
    let mut tidied = Tidied::default();
    last_wins(attributes);
    let keep = usize::try_from(limits.attributes).unwrap_or(usize::MAX);
    let beyond = attributes.len().saturating_sub(keep);
    if beyond > 0 {
        attributes.sort_by_key(|(key, _)| !has_meaning(key));
    }
    attributes.truncate(keep);
    tidied.dropped = u32::try_from(beyond).unwrap_or(u32::MAX);
    for (key, value) in attributes {
        if cut(value, limits.value_bytes) {
            tidied.add_cut(key);
        }
    }
    tidied
}

/// Cuts text and bytes anywhere in a value to the limit, and tidies maps inside; whether anything was cut.
pub(crate) fn cut(value: &mut Any<'_>, bytes_max: u32) -> bool {
    let max = usize::try_from(bytes_max).unwrap_or(usize::MAX);
    match value {
        Any::Text(text) if text.len() > max => {
            *text = &text[..text.floor_char_boundary(max)];
            true
        }
        Any::Bytes(bytes) if bytes.len() > max => {
            *bytes = &bytes[..max];
            true
        }
        Any::Array(values) => cut_all(values.iter_mut(), bytes_max),
        Any::Map(entries) => {
            last_wins(entries);
            cut_all(entries.iter_mut().map(|(_, value)| value), bytes_max)
        }
        _ => false,
    }
}

fn cut_all<'v, 'a: 'v>(values: impl Iterator<Item = &'v mut Any<'a>>, bytes_max: u32) -> bool {
    let mut any = false;
    for value in values {
        any |= cut(value, bytes_max);
    }
    any
}

fn last_wins(attributes: &mut Attributes<'_>) {
    if !all_differ(attributes) {
        merge_equal(attributes);
    }
}

/// Whether the keys' numbers alone tell that no two are equal.
fn all_differ(attributes: &Attributes<'_>) -> bool {
    let mut seen = [0_u64; 4];
    attributes.iter().all(|(key, _)| {
        let Some(number) = key.number() else { return false };
        let (word, bit) = (usize::from(number / 64 % 4), 1 << (number % 64));
        let is_new = seen[word] & bit == 0;
        seen[word] |= bit;
        is_new
    })
}

fn merge_equal(attributes: &mut Attributes<'_>) {
    let mut kept = 0;
    let mut places: HashMap<&str, usize> = HashMap::new();
    for at in 0..attributes.len() {
        let key = attributes[at].0;
        if kept >= SCAN_MAX && places.is_empty() {
            places.extend(attributes[..kept].iter().enumerate().map(|(place, (key, _))| (key.text(), place)));
        }
        let found = if kept < SCAN_MAX {
            attributes[..kept].iter().position(|(known, _)| *known == key)
        } else {
            places.get(key.text()).copied()
        };
        if let Some(place) = found {
            attributes[place].1 = std::mem::take(&mut attributes[at].1);
        } else {
            attributes.swap(kept, at);
            if kept >= SCAN_MAX {
                places.insert(key.text(), kept);
            }
            kept += 1;
        }
    }
    attributes.truncate(kept);
}

/// Appends the JSON text form of a value.
pub(crate) fn push_value(out: &mut String, value: &Any<'_>) {
    match value {
        Any::Empty => out.push_str("null"),
        Any::Text(text) => push_json_string(out, text),
        Any::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Any::Int(value) => push_json_int(out, *value),
        Any::Double(value) => Value::Double(*value).push_json(out),
        Any::Bytes(bytes) => Value::Bytes(bytes.to_vec()).push_json(out),
        Any::Array(values) => {
            out.push('[');
            for (i, value) in values.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                push_value(out, value);
            }
            out.push(']');
        }
        Any::Map(entries) => push_object(out, entries, &Tidied::default()),
    }
}

/// Appends a JSON object of attributes, then what tidying found, where it found something. Such marks are ours: they
/// replace any of the sender's.
pub(crate) fn push_object(out: &mut String, attributes: &Attributes<'_>, tidied: &Tidied) {
    out.push('{');
    let start = out.len();
    for (key, value) in attributes {
        let is_mark =
            (*key == semconv::CUT && tidied.cut.is_some()) || (*key == semconv::DROPPED && tidied.dropped > 0);
        if !is_mark {
            push_entry(out, start, *key, value);
        }
    }
    if let Some(keys) = &tidied.cut {
        push_entry(out, start, Key::from(semconv::CUT), &Any::Text(keys));
    }
    if tidied.dropped > 0 {
        push_entry(out, start, Key::from(semconv::DROPPED), &Any::Int(i64::from(tidied.dropped)));
    }
    out.push('}');
}

fn push_entry(out: &mut String, start: usize, key: Key<'_>, value: &Any<'_>) {
    if out.len() > start {
        out.push(',');
    }
    if key.is_plain() {
        out.push('"');
        out.push_str(&key);
        out.push_str("\":");
    } else {
        let escape = if key.starts_with('$') { "$" } else { "" };
        push_json_string(out, &format!("{escape}{}", key.text()));
        out.push(':');
    }
    push_value(out, value);
}

/// A value as plain text: strings bare, nothing for no value, everything else its JSON form.
pub(crate) fn push_text(out: &mut String, value: &Any<'_>) {
    match value {
        Any::Text(text) => out.push_str(text),
        Any::Empty => {}
        other => push_value(out, other),
    }
}

/// A nullable column of JSON objects, null for no attributes.
#[derive(Default)]
pub(crate) struct JsonColumn {
    column: StringBuilder,
    text: String,
}

impl JsonColumn {
    /// One row; the number of attributes dropped for being too many, which has a place of its own.
    pub(crate) fn push(&mut self, attributes: &mut Attributes<'_>, limits: &DecodeLimits) -> u32 {
        let mut tidied = tidy(attributes, limits);
        let dropped = std::mem::take(&mut tidied.dropped);
        self.push_tidied(attributes, &tidied);
        dropped
    }

    /// One row in which dropped attributes are told by a mark.
    pub(crate) fn push_marked(&mut self, attributes: &mut Attributes<'_>, limits: &DecodeLimits) {
        let tidied = tidy(attributes, limits);
        self.push_tidied(attributes, &tidied);
    }

    fn push_tidied(&mut self, attributes: &Attributes<'_>, tidied: &Tidied) {
        if attributes.is_empty() && *tidied == Tidied::default() {
            self.column.append_null();
        } else {
            self.text.clear();
            push_object(&mut self.text, attributes, tidied);
            self.column.append_value(&self.text);
        }
    }

    /// The column.
    pub(crate) fn finish(mut self) -> StringArray {
        self.column.finish()
    }
}

/// The attribute columns of a table with promoted attributes.
pub(crate) struct AttributeColumns {
    set: &'static [Promoted],
    columns: Vec<Sparse>,
    rest: Texts,
    text: String,
    rows: usize,
}

impl AttributeColumns {
    /// Columns of spans.
    pub(crate) fn span() -> Self {
        Self::new(semconv::SPAN)
    }

    /// Columns of log records.
    pub(crate) fn log() -> Self {
        Self::new(semconv::LOG)
    }

    fn new(set: &'static [Promoted]) -> Self {
        let columns = set.iter().map(|promoted| Sparse::new(promoted.kind)).collect();
        Self { set, columns, rest: Texts::new(), text: String::new(), rows: 0 }
    }

    /// One row of tidied attributes, whose keys know their places in this set. `marks` are attributes of our own, which replace any of the sender's.
    pub(crate) fn push(&mut self, attributes: &Attributes<'_>, marks: &[(&'static str, &str)]) {
        self.text.clear();
        self.text.push('{');
        for (key, value) in attributes {
            let column = key.promoted().and_then(|place| self.columns.get_mut(place));
            let promoted = column.is_some_and(|column| column.set(self.rows, value));
            if !promoted && marks.iter().all(|(mark, _)| *key != *mark) {
                push_entry(&mut self.text, 1, *key, value);
            }
        }
        for (mark, text) in marks {
            push_entry(&mut self.text, 1, Key::from(*mark), &Any::Text(text));
        }
        if self.text.len() > 1 {
            self.text.push('}');
            self.rest.set(self.rows, &self.text);
        }
        self.rows += 1;
    }

    /// Puts all columns.
    pub(crate) fn finish(self, into: &mut Assemble) {
        for (promoted, column) in self.set.iter().zip(self.columns) {
            into.put_ref(promoted.column, column.finish(self.rows));
        }
        into.put_ref(tracelake_model::column::ATTRIBUTES_REST, self.rest.finish(self.rows));
    }
}
