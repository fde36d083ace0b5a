//! Attribute values, and what is done to too many and too long ones.

use std::collections::BTreeSet;

use prost::{DecodeError, Message};
use tracelake_model::{DecodeLimits, Value};

use crate::otlp::partial::Reason;
use crate::test::reference::message::{AnyAll, AnyKind, AnyValue, Items, KeyValue, Raws, Texts};

/// Keys with values as sent.
pub(crate) type Entries = Vec<(String, Value)>;

/// Reads messages and notes why the record at hand is refused.
pub(crate) struct Reader {
    pub(crate) limits: DecodeLimits,
    pub(crate) faults: BTreeSet<Reason>,
}

impl Reader {
    /// The last text; every one must be UTF-8.
    pub(crate) fn text(&mut self, texts: &Texts) -> String {
        if texts.iter().any(|text| std::str::from_utf8(text).is_err()) {
            self.faults.insert(Reason::Utf8);
        }
        String::from_utf8_lossy(texts.last().map_or(&[], Vec::as_slice)).into_owned()
    }

    /// A number that must fit a signed one.
    pub(crate) fn signed(&mut self, number: u64, reason: Reason) -> i64 {
        i64::try_from(number).unwrap_or_else(|_| {
            self.faults.insert(reason);
            0
        })
    }

    /// Attributes of a repeated field.
    pub(crate) fn attributes(&mut self, raws: &Raws) -> Result<Entries, DecodeError> {
        self.entries(raws, 1)
    }

    fn entries(&mut self, raws: &Raws, level: u32) -> Result<Entries, DecodeError> {
        let mut entries = Vec::new();
        for raw in raws {
            let entry = KeyValue::decode(raw.as_slice())?;
            let key = self.text(&entry.key);
            entries.push((key, self.any_at(&entry.value, level)?));
        }
        Ok(entries)
    }

    /// All occurrences of a value's field.
    pub(crate) fn any(&mut self, raws: &Raws) -> Result<Value, DecodeError> {
        self.any_at(raws, 1)
    }

    fn any_at(&mut self, raws: &Raws, level: u32) -> Result<Value, DecodeError> {
        if level > self.limits.nesting {
            // What is too deep is not read.
            if !raws.is_empty() {
                self.faults.insert(Reason::Nesting);
            }
            return Ok(Value::Empty);
        }
        for raw in raws {
            AnyValue::decode(raw.as_slice())?;
        }
        let joined = raws.concat();
        let kind = AnyValue::decode(joined.as_slice())?.kind;
        self.hidden(&AnyAll::decode(joined.as_slice())?, kind.as_ref(), level)?;
        Ok(match kind {
            None => Value::Empty,
            Some(AnyKind::Text(text)) => Value::String(String::from_utf8_lossy(&text).into_owned()),
            Some(AnyKind::Bool(value)) => Value::Bool(value),
            Some(AnyKind::Int(value)) => Value::Int(value),
            Some(AnyKind::Double(value)) => Value::Double(value),
            Some(AnyKind::Bytes(value)) => Value::Bytes(value),
            Some(AnyKind::Array(Items { items })) => self.items(&items, false, level + 1)?,
            Some(AnyKind::Map(Items { items })) => self.items(&items, true, level + 1)?,
        })
    }

    /// Looks at occurrences that later ones replaced. Where nothing is hidden nothing is read: reading twice at every
    /// level would take longer with each.
    fn hidden(&mut self, all: &AnyAll, kind: Option<&AnyKind>, level: u32) -> Result<(), DecodeError> {
        self.text(&all.texts);
        let is_shown = matches!(kind, Some(AnyKind::Array(_) | AnyKind::Map(_)));
        if all.arrays.len() + all.maps.len() == usize::from(is_shown) {
            return Ok(());
        }
        for (lists, is_map) in [(&all.arrays, false), (&all.maps, true)] {
            for raw in lists {
                self.items(&Items::decode(raw.as_slice())?.items, is_map, level + 1)?;
            }
        }
        Ok(())
    }

    fn items(&mut self, items: &Raws, is_map: bool, level: u32) -> Result<Value, DecodeError> {
        if is_map {
            return Ok(Value::Map(self.entries(items, level)?));
        }
        let values = items.iter().map(|raw| self.any_at(&vec![raw.clone()], level));
        Ok(Value::Array(values.collect::<Result<_, _>>()?))
    }
}

/// Attributes as they are stored, and what was done to them.
pub(crate) struct Stored {
    pub(crate) entries: Entries,
    pub(crate) cut: Vec<String>,
    pub(crate) dropped: i64,
}

/// The last of equal keys wins, too many go, too long ones are cut. Where some must go, `first` go last.
pub(crate) fn stored(entries: &Entries, limits: &DecodeLimits, first: impl Fn(&str) -> bool) -> Stored {
    let mut entries = last_wins(entries);
    let keep = limits.attributes as usize;
    let dropped = entries.len().saturating_sub(keep);
    if dropped > 0 {
        let (head, tail): (Vec<_>, Vec<_>) = entries.into_iter().partition(|(key, _)| first(key));
        entries = [head, tail].concat();
        entries.truncate(keep);
    }
    let mut cut = Vec::new();
    for (key, value) in &mut entries {
        if shorten(value, limits.value_bytes as usize) {
            cut.push(key.clone());
        }
    }
    Stored { entries, cut, dropped: dropped as i64 }
}

fn last_wins(entries: &Entries) -> Entries {
    let mut found: Entries = Vec::new();
    for (key, value) in entries {
        match found.iter_mut().find(|(known, _)| known == key) {
            Some(entry) => entry.1 = value.clone(),
            None => found.push((key.clone(), value.clone())),
        }
    }
    found
}

/// Cuts text and bytes anywhere inside; whether any was too long.
pub(crate) fn shorten(value: &mut Value, max: usize) -> bool {
    match value {
        Value::String(text) if text.len() > max => {
            while text.len() > max {
                text.pop();
            }
            true
        }
        Value::Bytes(bytes) if bytes.len() > max => {
            bytes.truncate(max);
            true
        }
        Value::Array(values) => values.iter_mut().fold(false, |any, value| shorten(value, max) | any),
        Value::Map(entries) => {
            *entries = last_wins(entries);
            entries.iter_mut().fold(false, |any, (_, value)| shorten(value, max) | any)
        }
        _ => false,
    }
}

/// JSON text with marks as the last keys, which replace the sender's.
pub(crate) fn json(entries: &Entries, marks: &[(&str, Value)]) -> String {
    let ours = |key: &str| marks.iter().any(|(mark, _)| *mark == key);
    let mut all: Entries = entries.iter().filter(|(key, _)| !ours(key)).cloned().collect();
    all.extend(marks.iter().map(|(mark, value)| ((*mark).to_owned(), value.clone())));
    Value::Map(all).to_json()
}

/// The marks of what was done.
pub(crate) fn marks(cut: &[String], dropped: i64) -> Vec<(&'static str, Value)> {
    let mut marks = Vec::new();
    if !cut.is_empty() {
        marks.push((tracelake_model::semconv::CUT, Value::String(cut.join(","))));
    }
    if dropped > 0 {
        marks.push((tracelake_model::semconv::DROPPED, Value::Int(dropped)));
    }
    marks
}
