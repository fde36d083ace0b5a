//! Which traces a part holds and about where: for each trace a hash and the chunks of rows that it stands in.
//!
//! It lies in the part itself, between the last row group and the footer, where other readers of Parquet pass it over;
//! a note in the footer names its place:
//!
//! ```text
//! tracelake.traces = "<offset> <bytes>"
//! "TLTX" | rows of a chunk u32 | entries u32 | hash u32 x entries | chunk u16 x entries | xxh3-64 of all before
//! ```
//!
//! Little-endian; entries are in order of hash and chunk. A hash may stand for several ids (one in 2^32), so that a part
//! "may hold" a trace: whoever asks reads the rows and compares. Deliberately knows no files: bytes in, bytes out.

use std::ops::Range;

use arrow::array::{AsArray, RecordBatch};
use tracelake_model::{Table, column};
use xxhash_rust::xxh3::xxh3_64;

/// Under this key a part's footer names the place of its index.
pub(crate) const PLACE_KEY: &str = "tracelake.traces";

/// Rows of a chunk; parts of more than 65,536 chunks have larger ones.
const CHUNK_ROWS: u32 = 1 << 10;
const CHUNKS_MAX: u64 = 1 << 16;

const MAGIC: &[u8; 4] = b"TLTX";
const HEAD_BYTES: usize = 12;
const ENTRY_BYTES: usize = 6;
const SUM_BYTES: usize = 8;

/// Entries that are looked through from where a hash is expected, at first.
const NEAR: usize = 64;

/// The index of one part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TraceIndex {
    chunk_rows: u32,
    hashes: Box<[u32]>,
    chunks: Box<[u16]>,
}

/// Whether parts of a table have an index.
pub(crate) fn is_indexed(table: Table) -> bool {
    matches!(table, Table::Spans | Table::Logs)
}

/// What an index knows a trace id by.
pub(crate) fn hash(id: &[u8]) -> u32 {
    // The upper half: all bits of the hash are equally good.
    (xxh3_64(id) >> 32) as u32
}

impl TraceIndex {
    /// The rows that may belong to the trace of a hash, in order; none when the part does not hold it.
    pub(crate) fn rows(&self, hash: u32) -> impl Iterator<Item = Range<u64>> {
        let first = self.first(hash);
        let found = self.hashes[first..].iter().take_while(move |found| **found == hash).count();
        let size = u64::from(self.chunk_rows);
        self.chunks[first..first + found].iter().map(move |chunk| {
            let start = u64::from(*chunk) * size;
            start..start + size
        })
    }

    /// Bytes of it in memory, and about as many in the part.
    pub(crate) fn bytes(&self) -> u64 {
        (HEAD_BYTES + ENTRY_BYTES * self.hashes.len() + SUM_BYTES) as u64
    }

    /// The place of the first entry that is not below a hash.
    fn first(&self, hash: u32) -> usize {
        // Hashes are spread evenly, so it is near where its share of the range says.
        let count = self.hashes.len();
        let guess = ((u64::from(hash) * count as u64) >> 32) as usize;
        let (mut low, mut step) = (guess, NEAR);
        while low > 0 && self.hashes[low] >= hash {
            (low, step) = (low.saturating_sub(step), 2 * step);
        }
        let (mut high, mut step) = (guess, NEAR);
        while high < count && self.hashes[high] < hash {
            (high, step) = ((high + step).min(count), 2 * step);
        }
        low + self.hashes[low..high].partition_point(|found| *found < hash)
    }

    /// As it lies in a part.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEAD_BYTES + ENTRY_BYTES * self.hashes.len() + SUM_BYTES);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&self.chunk_rows.to_le_bytes());
        bytes.extend_from_slice(&u32::try_from(self.hashes.len()).unwrap_or(u32::MAX).to_le_bytes());
        self.hashes.iter().for_each(|hash| bytes.extend_from_slice(&hash.to_le_bytes()));
        self.chunks.iter().for_each(|chunk| bytes.extend_from_slice(&chunk.to_le_bytes()));
        bytes.extend_from_slice(&xxh3_64(&bytes).to_le_bytes());
        bytes
    }

    /// Reads what [`TraceIndex::encode`] wrote; `None` when it is damaged.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (content, sum) = bytes.split_last_chunk::<SUM_BYTES>()?;
        if xxh3_64(content) != u64::from_le_bytes(*sum) {
            return None;
        }
        let (magic, rest) = content.split_first_chunk::<4>()?;
        let (chunk_rows, rest) = rest.split_first_chunk::<4>()?;
        let (count, rest) = rest.split_first_chunk::<4>()?;
        let count = usize::try_from(u32::from_le_bytes(*count)).ok()?;
        if magic != MAGIC || rest.len() != count.checked_mul(ENTRY_BYTES)? {
            return None;
        }
        let (hashes, chunks) = rest.split_at(4 * count);
        let hashes = hashes.as_chunks().0.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect();
        let chunks = chunks.as_chunks().0.iter().map(|bytes| u16::from_le_bytes(*bytes)).collect();
        Some(Self { chunk_rows: u32::from_le_bytes(*chunk_rows), hashes, chunks })
    }
}

/// The place of an index as the footer notes it.
pub(crate) fn describe_place(offset: u64, bytes: u64) -> String {
    format!("{offset} {bytes}")
}

/// Reads what [`describe_place`] wrote.
pub(crate) fn parse_place(note: &str) -> Option<Range<u64>> {
    let (offset, bytes) = note.split_once(' ')?;
    let (offset, bytes) = (offset.parse::<u64>().ok()?, bytes.parse::<u64>().ok()?);
    Some(offset..offset.checked_add(bytes)?)
}

/// Gathers the index of a part while its rows are written or read.
#[derive(Debug, Default)]
pub(crate) struct TraceIndexBuilder {
    /// Hash and chunk; those before `settled` are in order and stand once.
    entries: Vec<u64>,
    settled: usize,
    rows: u64,
}

impl TraceIndexBuilder {
    /// Takes in the next rows of the part. Rows without a trace count, and are found under no id.
    pub(crate) fn push(&mut self, rows: &RecordBatch) {
        let ids = rows.column_by_name(column::TRACE_ID).and_then(|ids| ids.as_binary_opt::<i32>());
        match ids {
            Some(ids) => self.push_ids(ids.iter()),
            None => self.rows += rows.num_rows() as u64,
        }
    }

    /// Takes in the next rows of the part by the ids of their traces.
    pub(crate) fn push_ids<'a>(&mut self, ids: impl Iterator<Item = Option<&'a [u8]>>) {
        let mut last: Option<(&[u8], u32)> = None;
        for id in ids {
            let row = self.rows;
            self.rows += 1;
            let Some(id) = id else { continue };
            let hash = last.filter(|(known, _)| *known == id).map_or_else(|| hash(id), |(_, hash)| hash);
            last = Some((id, hash));
            let entry = (u64::from(hash) << 32) | (row / u64::from(CHUNK_ROWS));
            if self.entries.last() != Some(&entry) {
                self.entries.push(entry);
            }
        }
        // Traces whose rows lie apart are told again and again: as many entries wait at most as are settled.
        if self.entries.len() > 2 * self.settled.max(1 << 16) {
            self.settle();
        }
    }

    /// The index of all rows so far.
    pub(crate) fn finish(mut self) -> TraceIndex {
        let mut shift = 0;
        while self.rows.div_ceil(u64::from(CHUNK_ROWS)) >> shift > CHUNKS_MAX {
            shift += 1;
        }
        if shift > 0 {
            let coarse = |entry: &u64| (entry >> 32 << 32) | ((entry & u64::from(u32::MAX)) >> shift);
            self.entries = self.entries.iter().map(coarse).collect();
        }
        self.settle();
        TraceIndex {
            chunk_rows: CHUNK_ROWS << shift,
            hashes: self.entries.iter().map(|entry| (entry >> 32) as u32).collect(),
            chunks: self.entries.iter().map(|entry| *entry as u16).collect(),
        }
    }

    fn settle(&mut self) {
        self.entries.sort_unstable();
        self.entries.dedup();
        self.settled = self.entries.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use arrow::array::{BinaryArray, Int64Array};
    use arrow::datatypes::{DataType, Field, Schema};
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    type Ids = Vec<Option<Vec<u8>>>;

    fn batch(ids: &[Option<Vec<u8>>]) -> RecordBatch {
        let schema = Schema::new(vec![Field::new(column::TRACE_ID, DataType::Binary, true)]);
        RecordBatch::try_new(Arc::new(schema), vec![Arc::new(BinaryArray::from_iter(ids.iter()))]).unwrap()
    }

    fn build(ids: &Ids, batch_rows: usize) -> TraceIndex {
        let mut builder = TraceIndexBuilder::default();
        ids.chunks(batch_rows).for_each(|ids| builder.push(&batch(ids)));
        builder.finish()
    }

    fn some_ids(rows: usize, traces: u32, random: &mut StdRng) -> Ids {
        let id = |number: u32| (number > 0).then(|| u128::from(number).to_be_bytes().to_vec());
        (0..rows).map(|_| id(random.random_range(0..=traces))).collect()
    }

    #[test]
    fn every_row_of_a_trace_is_found_and_little_else() {
        for (seed, rows, traces) in [(1, 0, 1), (2, 1, 1), (3, 5_000, 40), (4, 90_000, 30_000), (5, 200_000, 1)] {
            let mut random = StdRng::seed_from_u64(seed);
            let ids = some_ids(rows, traces, &mut random);
            let index = build(&ids, 8192);
            let mut chunks: BTreeMap<&[u8], Vec<u64>> = BTreeMap::new();
            for (row, id) in (0..).zip(&ids) {
                let Some(id) = id else { continue };
                let found = chunks.entry(id).or_default();
                let start = row / 1024 * 1024;
                if found.last() != Some(&start) {
                    found.push(start);
                }
            }
            for (id, starts) in &chunks {
                let found: Vec<u64> = index.rows(hash(id)).map(|rows| rows.start).collect();
                assert_eq!(&found, starts, "seed {seed}");
            }
            let others = (traces + 1..traces + 10_000).filter(|id| {
                let id = u128::from(*id).to_be_bytes();
                index.rows(hash(&id)).next().is_some()
            });
            assert!(others.count() <= 1, "seed {seed}");
            assert_eq!(index, build(&ids, 100), "however the rows come, seed {seed}");
            assert_eq!(TraceIndex::decode(&index.encode()).as_ref(), Some(&index));
            assert_eq!(index.encode().len() as u64, index.bytes());
        }
    }

    #[test]
    fn hashes_at_both_ends_and_in_crowds_are_found() {
        let check = |hashes: &[u32]| {
            let chunks = (0..hashes.len()).map(|at| at as u16).collect();
            let index = TraceIndex { chunk_rows: 1, hashes: hashes.into(), chunks };
            for hash in hashes.iter().flat_map(|hash| [hash.saturating_sub(1), *hash, hash.saturating_add(1)]) {
                let want: Vec<u64> = (0..).zip(hashes).filter(|(_, known)| **known == hash).map(|(at, _)| at).collect();
                let found: Vec<u64> = index.rows(hash).map(|rows| rows.start).collect();
                assert_eq!(found, want, "{hash} in {hashes:?}");
            }
        };
        check(&[]);
        check(&[0]);
        check(&[u32::MAX]);
        check(&[0, 0, 7, u32::MAX, u32::MAX]);
        check(&(0..1000).collect::<Vec<_>>());
        check(&(0..1000).map(|at| u32::MAX - 999 + at).collect::<Vec<_>>());
        check(&vec![5; 777]);
    }

    #[test]
    fn a_very_large_part_has_larger_chunks() {
        let mut builder = TraceIndexBuilder { rows: 100 << 20, ..TraceIndexBuilder::default() };
        builder.push(&batch(&[Some(vec![7; 16])]));
        let index = builder.finish();
        assert!(index.rows(hash(&[7; 16])).eq(std::iter::once(100 << 20..(100 << 20) + 2048)));
    }

    #[test]
    fn rows_without_the_column_are_found_under_no_id() {
        let schema = Schema::new(vec![Field::new("seq", DataType::Int64, false)]);
        let rows = RecordBatch::try_new(Arc::new(schema), vec![Arc::new(Int64Array::from(vec![1, 2]))]).unwrap();
        let mut builder = TraceIndexBuilder::default();
        builder.push(&rows);
        assert_eq!(builder.finish().hashes.len(), 0);
    }

    #[test]
    fn damage_is_seen() {
        let index = build(&some_ids(3000, 200, &mut StdRng::seed_from_u64(9)), 1000);
        let whole = index.encode();
        for at in 0..whole.len() {
            assert_eq!(TraceIndex::decode(&whole[..at]), None, "cut at {at}");
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << (at % 8);
            assert_eq!(TraceIndex::decode(&flipped), None, "flipped at {at}");
        }
        assert_eq!(parse_place(&describe_place(12, 30)), Some(12..42));
        for bad in ["", "12", "a b", "1 18446744073709551615", "-1 3"] {
            assert_eq!(parse_place(bad), None, "{bad}");
        }
    }
}
