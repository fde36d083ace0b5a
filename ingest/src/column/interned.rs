//! Dictionary columns: each distinct text is held once, rows hold its number.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, DictionaryArray, Int32Array, StringArray};
use arrow::datatypes::{DataType, Int32Type};
use tracelake_model::null_column;

use crate::error::Error;

/// Numbers for distinct texts.
#[derive(Debug, Default)]
pub(crate) struct Interner {
    numbers: HashMap<Arc<str>, i32>,
    texts: Vec<Arc<str>>,
    last: Option<i32>,
}

impl Interner {
    /// The number of a text. Neighbouring rows are mostly alike, so the last one is looked at first.
    pub(crate) fn number(&mut self, text: &str) -> i32 {
        if let Some(last) = self.last
            && usize::try_from(last).ok().and_then(|at| self.texts.get(at)).is_some_and(|known| known.as_ref() == text)
        {
            return last;
        }
        let number = match self.numbers.get(text) {
            Some(&number) => number,
            None => self.add(text),
        };
        self.last = Some(number);
        number
    }

    fn add(&mut self, text: &str) -> i32 {
        // A request holds at most 16 MiB and `limits.records` rows, far below this bound.
        let number = i32::try_from(self.texts.len()).expect("fewer than 2^31 distinct texts in one request");
        let text: Arc<str> = Arc::from(text);
        self.texts.push(Arc::clone(&text));
        self.numbers.insert(text, number);
        number
    }

    /// A dictionary column of these numbers.
    pub(crate) fn finish(self, keys: Int32Array) -> Result<ArrayRef, Error> {
        if self.texts.is_empty() {
            let interned = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
            return Ok(null_column(&interned, keys.len()));
        }
        let texts = StringArray::from_iter_values(self.texts.iter());
        let column = DictionaryArray::<Int32Type>::try_new(keys, Arc::new(texts));
        Ok(Arc::new(column.map_err(|error| Error::Defect(error.to_string()))?))
    }
}

/// A dictionary column filled row by row.
#[derive(Debug, Default)]
pub(crate) struct Interned {
    interner: Interner,
    keys: Vec<Option<i32>>,
}

impl Interned {
    /// One row's text.
    pub(crate) fn push(&mut self, text: &str) {
        let number = self.interner.number(text);
        self.keys.push(Some(number));
    }

    /// One row's text, null when it is empty: OTLP does not tell empty from absent.
    pub(crate) fn push_nonempty(&mut self, text: &str) {
        if text.is_empty() { self.keys.push(None) } else { self.push(text) }
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
        self.keys.push(key);
    }

    /// One row without a text.
    pub(crate) fn push_null(&mut self) {
        self.keys.push(None);
    }

    /// The column.
    pub(crate) fn finish(self) -> Result<ArrayRef, Error> {
        self.interner.finish(Int32Array::from(self.keys))
    }
}
