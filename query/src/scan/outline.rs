//! What is kept of parts' footers between questions: where in a part which times stand, and where its value filters are.
//!
//! A footer takes some kilobytes a row group, for all of its columns, so those of ten million spans would not stay in
//! memory; this takes about a hundred bytes. Parts never change under their names, so nothing here is ever stale; what
//! was taken in first goes first once there is too much.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;

use object_store::path::Path as Location;
use parking_lot::Mutex;
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::errors::Result;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use tracelake_storage::{Part, ValuePlace, value_places};

/// Bytes of all outlines, about: those of two billion spans.
const BYTES_MAX: usize = 16 << 20;

/// What a walk, or a value index, needs to know of a part.
#[derive(Debug)]
pub(crate) struct Outline {
    /// Its rows, page by page of the time column: with their least and their greatest time.
    pub(crate) pages: Vec<(Range<u64>, i64, i64)>,
    /// Where the value filters of each row group lie.
    pub(crate) places: Vec<ValuePlace>,
}

impl Outline {
    fn new(metadata: &ParquetMetaData, part: &Part, time: &str) -> Self {
        Self { pages: pages(metadata, part, time), places: value_places(metadata) }
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + size_of_val(&self.pages[..]) + size_of_val(&self.places[..])
    }
}

/// Outlines of parts that were looked into lately.
#[derive(Debug, Default)]
pub(crate) struct Outlines(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    by_location: HashMap<Location, Arc<Outline>>,
    /// The oldest first.
    order: VecDeque<Location>,
    bytes: usize,
}

impl Outlines {
    /// The outline of a part, out of its file where it is not known; `time` is the time column of its table.
    pub(crate) async fn of(
        &self,
        reader: &mut Box<dyn AsyncFileReader>,
        part: &Part,
        time: &str,
    ) -> Result<Arc<Outline>> {
        let known = self.0.lock().by_location.get(&part.location).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Optional);
        let outline = Arc::new(Outline::new(&*reader.get_metadata(Some(&options)).await?, part, time));
        self.0.lock().insert(&part.location, &outline, BYTES_MAX);
        Ok(outline)
    }
}

impl Known {
    fn insert(&mut self, location: &Location, outline: &Arc<Outline>, bytes_max: usize) {
        // Two questions may have read it at once.
        if self.by_location.insert(location.clone(), Arc::clone(outline)).is_some() {
            return;
        }
        self.bytes += outline.bytes() + 2 * location.as_ref().len();
        self.order.push_back(location.clone());
        while self.bytes > bytes_max
            && let Some(oldest) = self.order.pop_front()
            && let Some(gone) = self.by_location.remove(&oldest)
        {
            self.bytes -= gone.bytes() + 2 * oldest.as_ref().len();
        }
    }
}

/// The pages of a part's time column: their rows, their least and their greatest time. Where the footer does not tell,
/// a row group, or the part.
fn pages(metadata: &ParquetMetaData, part: &Part, time: &str) -> Vec<(Range<u64>, i64, i64)> {
    let whole = || vec![(0..part.rows, part.time_min.0, part.time_max.0)];
    let columns = metadata.file_metadata().schema_descr();
    let is_time = |at: &usize| columns.column(*at).path().parts() == [time.to_owned()];
    let Some(at) = (0..columns.num_columns()).find(is_time) else { return whole() };
    let (mut found, mut first) = (Vec::new(), 0);
    for group in 0..metadata.num_row_groups() {
        let count = u64::try_from(metadata.row_group(group).num_rows()).unwrap_or(0);
        let bounds = metadata.column_index().and_then(|groups| groups.get(group)?.get(at));
        let pages = metadata.offset_index().and_then(|groups| Some(groups.get(group)?.get(at)?.page_locations()));
        if let (Some(ColumnIndexMetaData::INT64(bounds)), Some(pages)) = (bounds, pages) {
            for (number, page) in pages.iter().enumerate() {
                let start = first + u64::try_from(page.first_row_index).unwrap_or(0);
                let next = pages.get(number + 1).and_then(|next| u64::try_from(next.first_row_index).ok());
                let end = first + next.unwrap_or(count);
                let (least, greatest) = (bounds.min_value(number).copied(), bounds.max_value(number).copied());
                found.push((start..end, least.unwrap_or(part.time_min.0), greatest.unwrap_or(part.time_max.0)));
            }
        } else {
            found.push((first..first + count, part.time_min.0, part.time_max.0));
        }
        first += count;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_goes_first_and_what_is_held_is_counted() {
        let mut known = Known::default();
        let outline = |pages: usize| Arc::new(Outline { pages: vec![(0..1, 0, 0); pages], places: Vec::new() });
        let one = outline(10).bytes() + 2;
        for name in ["a", "b", "a", "c", "d"] {
            known.insert(&Location::from(name), &outline(10), 3 * one);
        }
        let mut names: Vec<&str> = known.by_location.keys().map(AsRef::as_ref).collect();
        names.sort_unstable();
        assert_eq!((names.as_slice(), known.bytes), (&["b", "c", "d"][..], 3 * one));
        known.insert(&Location::from("e"), &outline(10_000), 3 * one);
        assert!(known.by_location.is_empty() && known.order.is_empty() && known.bytes == 0);
    }
}
