//! A flat column of texts or bytes: rows of many batches, in any order, to the pages of one chunk.
//!
//! Values are taken from where they lie: an interned one is looked up by its number, once for each dictionary it comes
//! in, and is written as the number it has in the chunk's own dictionary. What the writer of `parquet` would do value by
//! value (hash it, compare it for the least and the greatest) is done once for each distinct value.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, Int32Array, StringArray};
use arrow::datatypes::{DataType, Int32Type};
use parquet::basic::Encoding;
use parquet::bloom_filter::Sbbf;
use parquet::errors::ParquetError;
use parquet::file::metadata::ColumnIndexBuilder;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnDescPtr;
use tracelake_model::is_null_column;

use super::bounds::Bounds;
use super::page::{Chunk, Facts, Pages, RawPage};
use super::squeeze::Squeezer;
use super::text::Texts;
use super::{delta, run, tell};
use crate::part::encoding;
use crate::part::value_rows::{GroupValues, Told};

/// Dictionaries that are remembered by what their numbers became; a merge reads a few for each input.
const KNOWN_MAX: usize = 1 << 10;
/// So many rows and all of their batches: then texts are looked up before they are written.
const WHOLE_ROWS_MIN: usize = 1 << 10;
/// In place of a number that is not looked up yet, and of one that stands for null.
const UNKNOWN: u32 = u32::MAX;
const NULL: u32 = u32::MAX - 1;

/// What pages are written with, and what is told of their values beside them.
pub(super) struct Output<'a> {
    pub(super) squeezer: &'a mut Squeezer,
    pub(super) values: Option<&'a mut GroupValues>,
}

/// A column chunk under way.
pub(super) struct BytesColumn {
    optional: bool,
    /// Of the chunk; `None` where values are written as they are.
    texts: Option<Texts>,
    /// How values are written once there is no dictionary, or it is full.
    plain: Encoding,
    /// A full dictionary, for its page; values after it are written as they are.
    full: Option<Texts>,
    /// What numbers of dictionaries that values came in are here, with the dictionaries so that they stay where they
    /// are.
    known: Vec<(ArrayRef, Vec<u32>)>,
    /// Their places among those, by where their texts lie.
    places: HashMap<(usize, usize, usize), usize>,
    page: Open,
    pages: Pages,
    facts: Gathered,
    /// What a value index is told of it.
    told: Option<Told>,
    /// Rows of the pages that have ended.
    rows_ended: usize,
}

/// The page under way.
#[derive(Default)]
struct Open {
    /// Of each row whether it has a value.
    levels: Vec<u8>,
    /// Numbers of values, or their lengths.
    numbers: Vec<u32>,
    /// Values that are written as they are.
    content: Vec<u8>,
    bounds: Bounds,
}

/// What is known of values so far.
struct Gathered {
    nulls: u64,
    /// Of values that are in no dictionary.
    bounds: Bounds,
    bounded: bool,
    index: Option<ColumnIndexBuilder>,
    bloom_filter: Option<(Sbbf, f64)>,
    /// What the filter was last told.
    told: Vec<u8>,
}

/// Where rows' values come from.
enum Source<'a> {
    Null,
    Interned(&'a Int32Array, &'a StringArray, usize),
    Text(&'a StringArray),
    Bytes(&'a BinaryArray),
}

impl BytesColumn {
    /// Begins a chunk.
    pub(super) fn new(
        descriptor: &ColumnDescPtr,
        properties: &WriterProperties,
        told: Option<Told>,
    ) -> Result<Self, ParquetError> {
        let path = descriptor.path();
        let bloom_filter = properties
            .bloom_filter_properties(path)
            .map(|wanted| Sbbf::new_with_ndv_fpp(wanted.ndv(), wanted.fpp()).map(|filter| (filter, wanted.fpp())));
        let paged = properties.statistics_enabled(path) == EnabledStatistics::Page;
        let facts = Gathered {
            nulls: 0,
            bounds: Bounds::default(),
            bounded: encoding::is_bounded(path),
            index: paged.then(|| ColumnIndexBuilder::new(descriptor.physical_type())),
            bloom_filter: bloom_filter.transpose()?,
            told: Vec::new(),
        };
        Ok(Self {
            optional: descriptor.max_def_level() > 0,
            texts: properties.dictionary_enabled(path).then(Texts::new),
            plain: properties.encoding(path).unwrap_or(Encoding::PLAIN),
            full: None,
            known: Vec::new(),
            places: HashMap::new(),
            page: Open::default(),
            pages: Pages::new(Arc::clone(descriptor)),
            facts,
            told,
            rows_ended: 0,
        })
    }

    /// Adds rows, each named by its batch's column among `columns` and its number there.
    pub(super) fn push(
        &mut self,
        columns: &[&ArrayRef],
        rows: &[(usize, usize)],
        out: &mut Output<'_>,
    ) -> Result<(), ParquetError> {
        if self.known.len() > KNOWN_MAX {
            self.known.clear();
            self.places.clear();
        }
        let sources: Vec<Source<'_>> = columns.iter().map(|column| self.source(column)).collect();
        if sources.iter().all(|source| matches!(source, Source::Null)) {
            return self.nulls(rows.len(), out);
        }
        let whole = rows.len() >= WHOLE_ROWS_MIN && rows.len() == columns.iter().map(Array::len).sum::<usize>();
        if whole && let Some(numbers) = self.intern_all(&sources) {
            return self.gather(&numbers, rows, out);
        }
        for &(batch, row) in rows {
            self.row(&sources[batch], row);
            if self.is_large() {
                self.turn(out)?;
            }
        }
        Ok(())
    }

    /// The numbers of all texts of all batches: looked up in the order in which they lie, they wait for far fewer places
    /// of memory than in the order in which they are written. `None` where the dictionary would be too large; and where
    /// most texts are distinct, then there is no dictionary any more, which would only be one more page.
    fn intern_all(&mut self, sources: &[Source<'_>]) -> Option<Vec<Vec<u32>>> {
        let is_fresh = self.pages.is_empty() && self.page.levels.is_empty();
        let texts = self.texts.as_mut()?;
        let (before, mut seen) = (texts.len(), 0);
        let mut all = Vec::with_capacity(sources.len());
        for source in sources {
            let numbers: Vec<u32> = match source {
                Source::Text(values) => number_texts(values, texts),
                Source::Interned(keys, values, known) => number_keys(keys, values, &mut self.known[*known].1, texts),
                Source::Null => Vec::new(),
                Source::Bytes(_) => return None,
            };
            seen += numbers.iter().filter(|number| **number != NULL).count();
            all.push(numbers);
            if texts.page().len() >= encoding::DICTIONARY_BYTES_MAX {
                break;
            }
        }
        let is_full = texts.page().len() >= encoding::DICTIONARY_BYTES_MAX;
        // A required text that is missing in spite of all is one row's matter.
        if !is_full && !self.optional && all.iter().flatten().any(|number| *number == NULL) {
            return None;
        }
        if is_fresh && seen >= WHOLE_ROWS_MIN && (texts.len() - before) * 2 > seen {
            self.texts = None;
            self.plain = Encoding::DELTA_LENGTH_BYTE_ARRAY;
            return None;
        }
        if is_full {
            texts.truncate(before);
            let gone = |number: &&mut u32| **number != NULL && **number as usize >= before;
            let known = self.known.iter_mut().flat_map(|(_, numbers)| numbers.iter_mut());
            known.filter(gone).for_each(|number| *number = UNKNOWN);
            return None;
        }
        Some(all)
    }

    /// Adds rows whose texts are looked up; batches without any have no number.
    fn gather(
        &mut self,
        numbers: &[Vec<u32>],
        rows: &[(usize, usize)],
        out: &mut Output<'_>,
    ) -> Result<(), ParquetError> {
        let mut left = rows;
        while !left.is_empty() {
            let page = &mut self.page;
            let (now, later) = left.split_at(left.len().min(encoding::PAGE_ROWS_MAX - page.levels.len()));
            for &(batch, row) in now {
                let number = numbers[batch].get(row).copied().unwrap_or(NULL);
                page.levels.push(u8::from(number != NULL));
                if number != NULL {
                    page.numbers.push(number);
                }
            }
            let nulls = page.levels[page.levels.len() - now.len()..].iter().filter(|level| **level == 0).count();
            self.facts.nulls += nulls as u64;
            left = later;
            if self.is_large() {
                self.turn(out)?;
            }
        }
        Ok(())
    }

    fn nulls(&mut self, count: usize, out: &mut Output<'_>) -> Result<(), ParquetError> {
        self.facts.nulls += count as u64;
        let mut left = count;
        while left > 0 {
            let held = self.page.levels.len();
            let taken = left.min(encoding::PAGE_ROWS_MAX - held);
            self.page.levels.resize(held + taken, 0);
            left -= taken;
            if self.is_large() {
                self.turn(out)?;
            }
        }
        Ok(())
    }

    fn source<'a>(&mut self, column: &'a ArrayRef) -> Source<'a> {
        if is_null_column(column) {
            return Source::Null;
        }
        match column.data_type() {
            DataType::Utf8 => Source::Text(column.as_string()),
            DataType::Binary => Source::Bytes(column.as_binary()),
            _ => {
                let column = column.as_dictionary::<Int32Type>();
                let texts: &StringArray = column.values().as_string();
                let place =
                    (texts.value_offsets().as_ptr() as usize, texts.value_data().as_ptr() as usize, texts.len());
                let known = *self.places.entry(place).or_insert_with(|| {
                    self.known.push((Arc::clone(column.values()), vec![UNKNOWN; texts.len()]));
                    self.known.len() - 1
                });
                Source::Interned(column.keys(), texts, known)
            }
        }
    }

    fn row(&mut self, source: &Source<'_>, row: usize) {
        match *source {
            Source::Interned(keys, texts, known) if keys.is_valid(row) => self.interned(keys.value(row), texts, known),
            Source::Text(texts) if texts.is_valid(row) => self.value(texts.value(row).as_bytes()),
            Source::Bytes(values) if values.is_valid(row) => self.value(values.value(row)),
            _ => self.null(),
        }
    }

    fn interned(&mut self, key: i32, texts: &StringArray, known: usize) {
        let key = usize::try_from(key).unwrap_or(usize::MAX);
        // Once the dictionary is full, nothing is known any more.
        let Some(texts_in) = &mut self.texts else {
            match texts.is_valid(key) {
                true => self.value(texts.value(key).as_bytes()),
                false => self.null(),
            }
            return;
        };
        let number = &mut self.known[known].1[key];
        if *number == UNKNOWN {
            *number = if texts.is_valid(key) { texts_in.intern(texts.value(key).as_bytes()) } else { NULL };
        }
        match *number {
            NULL => self.null(),
            number => {
                self.page.levels.push(1);
                self.page.numbers.push(number);
            }
        }
    }

    fn null(&mut self) {
        if self.optional {
            self.page.levels.push(0);
            self.facts.nulls += 1;
        } else {
            // A row of a required column that has none; a batch is checked for this long before.
            self.value(b"");
        }
    }

    fn value(&mut self, value: &[u8]) {
        self.page.levels.push(1);
        if let Some(texts) = &mut self.texts {
            // Equal values often follow each other.
            let number = match self.page.numbers.last() {
                Some(&last) if texts.value(last) == value => last,
                _ => texts.intern(value),
            };
            self.page.numbers.push(number);
            return;
        }
        if let Some((filter, _)) = &mut self.facts.bloom_filter
            && self.facts.told != value
        {
            filter.insert(value);
            self.facts.told.clear();
            self.facts.told.extend_from_slice(value);
        }
        if self.facts.bounded {
            self.page.bounds.cover(value);
        }
        let length = u32::try_from(value.len()).unwrap_or(u32::MAX);
        if self.plain == Encoding::PLAIN {
            self.page.content.extend_from_slice(&length.to_le_bytes());
        }
        self.page.numbers.push(length);
        self.page.content.extend_from_slice(value);
    }

    fn is_large(&self) -> bool {
        self.page.levels.len() >= encoding::PAGE_ROWS_MAX
            || self.page.content.len() >= encoding::PAGE_BYTES_MAX
            || self.is_full()
    }

    fn is_full(&self) -> bool {
        self.texts.as_ref().is_some_and(|texts| texts.page().len() >= encoding::DICTIONARY_BYTES_MAX)
    }

    /// Ends the page, and the dictionary when that is full.
    fn turn(&mut self, out: &mut Output<'_>) -> Result<(), ParquetError> {
        self.end_page(out)?;
        if self.is_full() {
            self.full = self.texts.take();
            self.known.clear();
            self.places.clear();
        }
        Ok(())
    }

    fn end_page(&mut self, out: &mut Output<'_>) -> Result<(), ParquetError> {
        let mut page = std::mem::take(&mut self.page);
        if page.levels.is_empty() {
            return Ok(());
        }
        if let (Some(told), Some(values)) = (self.told, &mut out.values) {
            let rows = self.rows_ended..self.rows_ended + page.levels.len();
            let mut values = values.of_rows(rows);
            match &self.texts {
                Some(texts) => tell::interned(told, texts, &page.numbers, &mut values),
                None => tell::plain(told, self.plain, &page.numbers, &page.content, &mut values),
            }
        }
        self.rows_ended += page.levels.len();
        let mut content = Vec::with_capacity(page.bytes() + page.levels.len() / 4 + 64);
        if self.optional {
            content.extend_from_slice(&[0; 4]);
            run::encode(&page.levels, 1, &mut content);
            let bytes = u32::try_from(content.len() - 4).unwrap_or(u32::MAX);
            content[..4].copy_from_slice(&bytes.to_le_bytes());
        }
        let encoding = match &self.texts {
            Some(texts) => {
                let width = run::bit_width(u32::try_from(texts.len().saturating_sub(1)).unwrap_or(u32::MAX));
                content.push(width);
                run::encode(&page.numbers, width, &mut content);
                if self.facts.index.is_some() {
                    page.bounds.cover_numbers(&page.numbers, texts);
                }
                Encoding::RLE_DICTIONARY
            }
            None => {
                if self.plain != Encoding::PLAIN {
                    let lengths: Vec<i64> = page.numbers.iter().map(|&length| i64::from(length)).collect();
                    delta::encode(&lengths, &mut content);
                }
                content.extend_from_slice(&page.content);
                self.plain
            }
        };
        self.facts.note_page(&page);
        self.pages.add(RawPage { content, rows: page.levels.len(), encoding }, out.squeezer)?;
        self.page = page.emptied();
        Ok(())
    }

    /// Ends the chunk.
    pub(super) fn finish(mut self, out: &mut Output<'_>) -> Result<Chunk, ParquetError> {
        self.end_page(out)?;
        // Also where there is no value: pages say that they are of a dictionary.
        let texts = self.full.or(self.texts);
        let mut bounds = self.facts.bounds;
        if let Some(texts) = &texts {
            texts.values().for_each(|value| bounds.cover(value));
        }
        let bloom_filter = self.facts.bloom_filter.map(|(mut filter, wanted)| {
            texts.iter().flat_map(Texts::values).for_each(|value| filter.insert(value));
            filter.fold_to_target_fpp(wanted);
            filter
        });
        let facts = Facts {
            nulls: self.facts.nulls,
            bounds: bounds.short(),
            index: self.facts.index.filter(ColumnIndexBuilder::valid),
            bloom_filter,
        };
        self.pages.finish(texts.as_ref().map(|texts| (texts.page(), texts.len())), facts, out.squeezer)
    }
}

impl Open {
    fn bytes(&self) -> usize {
        self.content.len() + self.numbers.len() * size_of::<u32>()
    }

    /// Ready for the next rows, with the memory it has.
    fn emptied(mut self) -> Self {
        self.levels.clear();
        self.numbers.clear();
        self.content.clear();
        self.bounds = Bounds::default();
        self
    }
}

impl Gathered {
    /// Takes in what a page says of its values.
    fn note_page(&mut self, page: &Open) {
        self.bounds.join(&page.bounds);
        let Some(index) = &mut self.index else { return };
        let nulls = page.levels.iter().filter(|level| **level == 0).count();
        let nulls_told = i64::try_from(nulls).unwrap_or(i64::MAX);
        if nulls == page.levels.len() {
            index.append(true, Vec::new(), Vec::new(), nulls_told);
        } else if let Some((low, high)) = page.bounds.clone().short() {
            index.append(false, low, high, nulls_told);
        } else {
            index.to_invalid();
        }
    }
}

/// The numbers of texts in the order in which they lie.
fn number_texts(values: &StringArray, texts: &mut Texts) -> Vec<u32> {
    let mut numbers = Vec::with_capacity(values.len());
    // Equal values often follow each other.
    let mut last: Option<(&str, u32)> = None;
    for value in values {
        let number = match (value, last) {
            (None, _) => NULL,
            (Some(value), Some((known, number))) if known == value => number,
            (Some(value), _) => texts.intern(value.as_bytes()),
        };
        last = value.map(|value| (value, number)).or(last);
        numbers.push(number);
    }
    numbers
}

/// The numbers of interned texts; `known` are those of their dictionary.
fn number_keys(keys: &Int32Array, values: &StringArray, known: &mut [u32], texts: &mut Texts) -> Vec<u32> {
    let number = |key: Option<i32>| {
        let Some(key) = key.and_then(|key| usize::try_from(key).ok()) else { return NULL };
        if known[key] == UNKNOWN {
            known[key] = if values.is_valid(key) { texts.intern(values.value(key).as_bytes()) } else { NULL };
        }
        known[key]
    };
    keys.iter().map(number).collect()
}
