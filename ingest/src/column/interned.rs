//! Dictionary columns: each distinct text is held once, rows hold its number.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, DictionaryArray, Int32Array, StringBuilder};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Int32Type};
use tracelake_model::null_column;
use xxhash_rust::xxh3::xxh3_64;

use crate::error::Error;

/// Stands for no text among numbers.
const NONE: i32 = -1;

/// Numbers for distinct texts.
#[derive(Debug)]
pub(crate) struct Interner {
    texts: StringBuilder,
    count: i32,
    /// The number of the first text of a hash.
    numbers: HashMap<u64, i32>,
    /// Texts whose hash another has already: none, unless somebody makes them so.
    others: HashMap<Box<str>, i32>,
    last: Option<i32>,
}

impl Default for Interner {
    fn default() -> Self {
        let (numbers, others) = (HashMap::new(), HashMap::new());
        Self { texts: StringBuilder::with_capacity(0, 0), count: 0, numbers, others, last: None }
    }
}

impl Interner {
    /// The number of a text. Neighbouring rows are mostly alike, so the last one is looked at first.
    pub(crate) fn number(&mut self, text: &str) -> i32 {
        if let Some(last) = self.last
            && self.is(last, text)
        {
            return last;
        }
        let hash = xxh3_64(text.as_bytes());
        let number = match self.numbers.get(&hash) {
            Some(&number) if self.is(number, text) => number,
            Some(_) => match self.others.get(text) {
                Some(&number) => number,
                None => {
                    self.others.insert(Box::from(text), self.count);
                    self.add(text)
                }
            },
            None => {
                self.numbers.insert(hash, self.count);
                self.add(text)
            }
        };
        self.last = Some(number);
        number
    }

    fn add(&mut self, text: &str) -> i32 {
        let number = self.count;
        // A request holds at most 16 MiB and `limits.records` rows, far below this bound.
        self.count = number.checked_add(1).expect("fewer than 2^31 distinct texts in one request");
        self.texts.append_value(text);
        number
    }

    /// Whether this is the text of a number.
    fn is(&self, number: i32, text: &str) -> bool {
        let Ok(at) = usize::try_from(number) else { return false };
        let Some(&[from, to]) = self.texts.offsets_slice().get(at..at + 2) else { return false };
        let (Ok(from), Ok(to)) = (usize::try_from(from), usize::try_from(to)) else { return false };
        self.texts.values_slice().get(from..to) == Some(text.as_bytes())
    }

    /// A dictionary column of `rows` rows, which hold these numbers, each so many times.
    pub(crate) fn finish(
        self,
        rows: usize,
        runs: impl Iterator<Item = (usize, Option<i32>)>,
    ) -> Result<ArrayRef, Error> {
        let mut keys = Keys { numbers: Vec::with_capacity(rows), some_null: false };
        if self.count > 0 {
            runs.for_each(|(rows, number)| keys.push(rows, number));
        }
        self.finish_keys(rows, keys)
    }

    fn finish_keys(mut self, rows: usize, keys: Keys) -> Result<ArrayRef, Error> {
        if self.count == 0 {
            let interned = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
            return Ok(null_column(&interned, rows));
        }
        let mut texts = self.texts.finish();
        arrow::array::Array::shrink_to_fit(&mut texts);
        let column = DictionaryArray::<Int32Type>::try_new(keys.finish(), Arc::new(texts));
        Ok(Arc::new(column.map_err(|error| Error::Defect(error.to_string()))?))
    }
}

/// Rows' numbers.
#[derive(Debug, Default)]
struct Keys {
    numbers: Vec<i32>,
    some_null: bool,
}

impl Keys {
    fn push(&mut self, rows: usize, number: Option<i32>) {
        self.some_null |= number.is_none();
        self.numbers.resize(self.numbers.len() + rows, number.unwrap_or(NONE));
    }

    fn finish(mut self) -> Int32Array {
        if !self.some_null {
            return Int32Array::from(self.numbers);
        }
        let nulls: NullBuffer = self.numbers.iter().map(|number| *number != NONE).collect();
        self.numbers.iter_mut().for_each(|number| *number = (*number).max(0));
        Int32Array::new(self.numbers.into(), Some(nulls))
    }
}

/// A dictionary column filled row by row.
#[derive(Debug, Default)]
pub(crate) struct Interned {
    interner: Interner,
    keys: Keys,
}

impl Interned {
    /// Makes room for so many rows more.
    pub(crate) fn reserve(&mut self, rows: usize) {
        self.keys.numbers.reserve(rows);
    }

    /// One row's text.
    pub(crate) fn push(&mut self, text: &str) {
        let number = self.interner.number(text);
        self.push_key(Some(number));
    }

    /// One row's text, null when it is empty: OTLP does not tell empty from absent.
    pub(crate) fn push_nonempty(&mut self, text: &str) {
        if text.is_empty() { self.push_null() } else { self.push(text) }
    }

    /// The number of a text.
    pub(crate) fn number(&mut self, text: &str) -> i32 {
        self.interner.number(text)
    }

    /// The number of a text that many rows will hold, `None` when it is empty.
    pub(crate) fn key(&mut self, text: &str) -> Option<i32> {
        (!text.is_empty()).then(|| self.interner.number(text))
    }

    /// One row of a text whose number is known.
    pub(crate) fn push_key(&mut self, key: Option<i32>) {
        self.keys.some_null |= key.is_none();
        self.keys.numbers.push(key.unwrap_or(NONE));
    }

    /// One row without a text.
    pub(crate) fn push_null(&mut self) {
        self.push_key(None);
    }

    /// The column.
    pub(crate) fn finish(self) -> Result<ArrayRef, Error> {
        self.interner.finish_keys(self.keys.numbers.len(), self.keys)
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, AsArray};

    use super::*;

    #[test]
    fn equal_texts_are_one_even_where_hashes_are_equal() {
        let mut interned = Interned::default();
        // As if the hash of "b" were that of "a", and that of "c" too.
        let a = interned.number("a");
        for text in ["b", "c"] {
            interned.interner.numbers.insert(xxh3_64(text.as_bytes()), a);
        }
        for text in ["a", "b", "c", "b", "", "a", "c", ""] {
            interned.push(text);
        }
        interned.push_null();
        let column = interned.finish().expect("a column");
        let texts = column.as_dictionary::<Int32Type>().downcast_dict::<arrow::array::StringArray>().expect("of text");
        let found: Vec<Option<&str>> = texts.into_iter().collect();
        assert_eq!(found, [Some("a"), Some("b"), Some("c"), Some("b"), Some(""), Some("a"), Some("c"), Some(""), None]);
        assert_eq!(texts.values().len(), 4);
    }
}
