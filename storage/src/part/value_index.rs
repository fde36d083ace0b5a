//! Which values a part's rows hold and about where: for each chunk of rows a filter of hashes (`value_key.rs`).
//!
//! Chunks do not go beyond a row group, so that the filters of a row group can be copied with it (`splice.rs`).
//! A filter says "not here" for sure, and "may be here" wrongly once in about a hundred times. It is a split block Bloom
//! filter (Putze et al., "Cache-, Hash- and Space-Efficient Bloom Filters", with the words and salts of Parquet's
//! specification). All filters of a row group have the same size and lie interleaved, block by block, so that asking
//! all its chunks for one value reads one short run of bytes:
//!
//! ```text
//! tracelake.values.2 = "<rows> <offset> <rows of a chunk> <chunks> <blocks>,..."      in the footer, a row group each
//! for each block: for each chunk 32 bytes | xxh3-64 of the run
//! ```
//!
//! Lies in the part itself like the trace index. A run whose checksum is wrong rules nothing out. Deliberately knows no
//! files: bytes in, bytes out.

use std::ops::Range;

use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::reader::ChunkReader as _;
use xxhash_rust::xxh3::xxh3_64;

use crate::files::file::Chunks;
use crate::part::encoding::PAGE_ROWS_MAX;

/// Under this key a part's footer names the place and shape of its index.
///
/// The number grows with what an index tells: one that tells less would rule out what it does not know.
pub(crate) const VALUES_KEY: &str = "tracelake.values.2";

/// Rows of a chunk: those of a page, which is read whole anyway.
pub(crate) const CHUNK_ROWS: usize = PAGE_ROWS_MAX;

/// Row groups with fewer rows are read as fast as an index.
const GROUP_ROWS_MIN: u64 = 1 << 10;
/// Bytes of filters a row at most, over a row group: with more distinct values they rule out less. It is small row groups
/// that come near it; large ones stay below [`BLOCKS`] of each chunk, 2.7 bytes a row.
const ROW_BYTES_MAX: u64 = 5;
/// Bits of a filter for each value at least: about one in a hundred chunks is read in vain.
const BITS_PER_VALUE: f64 = 10.5;
/// Blocks of a filter while it is filled, and at most: 53 KiB, for two distinct values in each of 20,000 rows. It has
/// many divisors: afterwards so many neighbours become one block that the filter is no larger than its values need.
const BLOCKS: usize = 1_680;

const BLOCK_BYTES: usize = 32;
const SUM_BYTES: usize = 8;
const SALT: [u32; 8] =
    [0x47b6_137b, 0x4497_4d91, 0x8824_ad5b, 0xa2b7_289d, 0x7054_95c7, 0x2df1_424b, 0x9efc_4947, 0x5c6b_fb31];

type Block = [u32; 8];

/// The filter of one chunk.
#[derive(Clone, Debug)]
pub(crate) struct Filter {
    blocks: Vec<Block>,
    /// Whether the chunk may hold anything.
    holds_all: bool,
}

impl Filter {
    pub(crate) fn new() -> Self {
        Self { blocks: vec![[0; 8]; BLOCKS], holds_all: false }
    }

    pub(crate) fn insert(&mut self, hash: u64) {
        let place = block_of(hash, self.blocks.len());
        for (word, bit) in self.blocks[place].iter_mut().zip(bits(hash)) {
            *word |= bit;
        }
    }

    /// Takes in what another filter of as many blocks holds.
    fn join(&mut self, other: &Self) {
        let words = self.blocks.iter_mut().flatten().zip(other.blocks.iter().flatten());
        words.for_each(|(word, other)| *word |= other);
        self.holds_all |= other.holds_all;
    }

    /// Rules nothing out from now on.
    pub(crate) fn hold_all(&mut self) {
        self.holds_all = true;
    }

    /// About how many values it holds: each sets one bit of 32 in every word of its block.
    #[expect(clippy::cast_precision_loss, reason = "an estimate of a small number")]
    fn values(&self) -> f64 {
        let set: u32 = self.blocks.iter().flatten().map(|word| word.count_ones()).sum();
        let clear = 1.0 - f64::from(set) / (self.blocks.len() * 8 * 32) as f64;
        // Each value leaves a bit of its block as it was with this probability.
        self.blocks.len() as f64 * clear.ln() / (1.0_f64 - 1.0 / 32.0).ln()
    }

    /// The same values in a filter of so many blocks, a divisor of those that it has.
    fn folded(&self, blocks: usize) -> Self {
        let share = self.blocks.len() / blocks;
        let join = |some: &[Block]| {
            let mut joined = [if self.holds_all { u32::MAX } else { 0 }; 8];
            some.iter().for_each(|block| joined.iter_mut().zip(block).for_each(|(all, one)| *all |= one));
            joined
        };
        Self { blocks: self.blocks.chunks(share).map(join).collect(), holds_all: self.holds_all }
    }
}

/// Blocks that filters of a row group of so many rows are folded to.
#[expect(clippy::cast_precision_loss, reason = "an estimate of a small number")]
fn blocks_for(rows: u64, filters: &[Filter]) -> usize {
    let values = filters.iter().map(Filter::values).fold(0.0, f64::max);
    let wanted = |blocks: &usize| (*blocks * BLOCK_BYTES * 8) as f64 >= values * BITS_PER_VALUE;
    let fits = |blocks: &usize| run_bytes(filters.len()).saturating_mul(*blocks as u64) <= rows * ROW_BYTES_MAX;
    let mut sizes = (1..=BLOCKS).filter(|blocks| BLOCKS.is_multiple_of(*blocks) && (*blocks == 1 || fits(blocks)));
    let largest = sizes.clone().next_back().unwrap_or(1);
    sizes.find(wanted).unwrap_or(largest)
}

fn block_of(hash: u64, blocks: usize) -> usize {
    // The upper half chooses the block, the lower one the bits.
    usize::try_from(((hash >> 32) * blocks as u64) >> 32).unwrap_or(0)
}

fn bits(hash: u64) -> impl Iterator<Item = u32> {
    let low = hash as u32;
    SALT.into_iter().map(move |salt| 1 << (low.wrapping_mul(salt) >> 27))
}

fn run_bytes(chunks: usize) -> u64 {
    (chunks * BLOCK_BYTES + SUM_BYTES) as u64
}

fn encode(filters: &[Filter], blocks: usize) -> Vec<u8> {
    let filters: Vec<Filter> = filters.iter().map(|filter| filter.folded(blocks)).collect();
    let mut out = Vec::with_capacity(blocks * (filters.len() * BLOCK_BYTES + SUM_BYTES));
    for block in 0..blocks {
        let run = out.len();
        for filter in &filters {
            filter.blocks[block].iter().for_each(|word| out.extend_from_slice(&word.to_le_bytes()));
        }
        let sum = xxh3_64(&out[run..]);
        out.extend_from_slice(&sum.to_le_bytes());
    }
    out
}

/// What is known of a row group: its filters as they lie in a part; or nothing.
#[derive(Clone, Debug)]
pub(crate) struct ValueGroup {
    place: ValuePlace,
    bytes: Vec<u8>,
}

impl ValueGroup {
    /// Of so many rows, which the chunks of these filters hold, each of [`CHUNK_ROWS`].
    pub(crate) fn new(rows: u64, mut filters: Vec<Filter>) -> Self {
        if rows < GROUP_ROWS_MIN || filters.len() as u64 != rows.div_ceil(CHUNK_ROWS as u64) {
            return Self::unknown(rows);
        }
        // A filter of few rows would be as large as the others: it becomes one with the filter before it.
        let is_short = (1..CHUNK_ROWS as u64 / 2).contains(&(rows % CHUNK_ROWS as u64));
        if is_short
            && filters.len() > 1
            && let Some(last) = filters.pop()
            && let Some(before) = filters.last_mut()
        {
            before.join(&last);
        }
        let (chunks, blocks) = (filters.len(), blocks_for(rows, &filters));
        let place = ValuePlace { first: 0, rows, offset: 0, chunk_rows: CHUNK_ROWS as u64, chunks, blocks };
        Self { place, bytes: encode(&filters, blocks) }
    }

    /// Nothing is known of so many rows.
    pub(crate) fn unknown(rows: u64) -> Self {
        let place = ValuePlace { first: 0, rows, offset: 0, chunk_rows: 0, chunks: 0, blocks: 0 };
        Self { place, bytes: Vec::new() }
    }

    /// What another part knows of one of its row groups, as it lies there.
    pub(crate) fn read(file: &Chunks, metadata: &ParquetMetaData, number: usize) -> Result<Self, ParquetError> {
        let rows = u64::try_from(metadata.row_group(number).num_rows()).unwrap_or(0);
        let place = places(metadata).get(number).copied().filter(|place| place.is_known());
        let Some(place) = place else { return Ok(Self::unknown(rows)) };
        let length = run_bytes(place.chunks).saturating_mul(place.blocks as u64);
        let bytes = file.get_bytes(place.offset, usize::try_from(length).unwrap_or(usize::MAX))?;
        Ok(Self { place, bytes: bytes.to_vec() })
    }

    /// The filters as they lie in a part.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// What the footer says under [`VALUES_KEY`] of row groups whose filters begin at `offset`, one after the other; `None`
/// when nothing is known of any.
pub(crate) fn describe(offset: u64, groups: &[ValueGroup]) -> Option<String> {
    let mut at = offset;
    let told: Vec<String> = groups
        .iter()
        .map(|ValueGroup { place, bytes }| {
            let told = format!("{} {at} {} {} {}", place.rows, place.chunk_rows, place.chunks, place.blocks);
            at += bytes.len() as u64;
            told
        })
        .collect();
    groups.iter().any(|group| group.place.is_known()).then(|| told.join(","))
}

/// Where the filters of each row group lie; empty where the footer does not tell, or not of the row groups that it has.
pub fn places(metadata: &ParquetMetaData) -> Vec<ValuePlace> {
    let notes = metadata.file_metadata().key_value_metadata();
    let note = notes.and_then(|notes| notes.iter().find(|note| note.key == VALUES_KEY));
    let places = note.and_then(|note| parse(note.value.as_deref()?)).unwrap_or_default();
    let rows = metadata.row_groups().iter().map(|group| u64::try_from(group.num_rows()).unwrap_or(0));
    if places.iter().map(|place| place.rows).eq(rows) { places } else { Vec::new() }
}

fn parse(text: &str) -> Option<Vec<ValuePlace>> {
    let mut first = 0_u64;
    let place = |group: &str| {
        let place = ValuePlace::parse(first, group)?;
        first = first.checked_add(place.rows)?;
        Some(place)
    };
    text.split(',').map(place).collect()
}

/// Where the filters of a row group lie, and their shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValuePlace {
    /// Rows of the part before the group's.
    first: u64,
    rows: u64,
    offset: u64,
    chunk_rows: u64,
    chunks: usize,
    blocks: usize,
}

impl ValuePlace {
    fn parse(first: u64, text: &str) -> Option<Self> {
        let mut numbers = text.split(' ').map(str::parse::<u64>);
        let mut next = || numbers.next()?.ok();
        let (rows, offset, chunk_rows) = (next()?, next()?, next()?);
        let (chunks, blocks) = (u32::try_from(next()?).ok()? as usize, u32::try_from(next()?).ok()? as usize);
        let place = Self { first, rows, offset, chunk_rows, chunks, blocks };
        offset.checked_add(run_bytes(place.chunks).checked_mul(blocks as u64)?)?;
        // The last chunk holds all rows that are left.
        let before = chunk_rows.checked_mul((chunks as u64).saturating_sub(1))?;
        (numbers.next().is_none() && (!place.is_known() || before < rows)).then_some(place)
    }

    /// Whether there are filters; without them any row may hold anything.
    pub fn is_known(self) -> bool {
        self.blocks > 0 && self.chunks > 0 && self.chunk_rows > 0
    }

    /// The bytes of the part that tell about a value.
    pub fn run(self, hash: u64) -> Range<u64> {
        let bytes = run_bytes(self.chunks);
        let start = self.offset + bytes * block_of(hash, self.blocks) as u64;
        start..start + bytes
    }

    /// Of each chunk whether it may hold the value; all may where the run is damaged.
    pub fn chunks(self, run: &[u8], hash: u64) -> Vec<bool> {
        let whole = vec![true; self.chunks];
        let Some((blocks, sum)) = run.split_last_chunk::<SUM_BYTES>() else { return whole };
        if blocks.len() != self.chunks * BLOCK_BYTES || xxh3_64(blocks) != u64::from_le_bytes(*sum) {
            return whole;
        }
        let holds = |block: &[u8; BLOCK_BYTES]| {
            let words = block.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word));
            words.zip(bits(hash)).all(|(word, bit)| word & bit != 0)
        };
        blocks.as_chunks::<BLOCK_BYTES>().0.iter().map(holds).collect()
    }

    /// The part's rows of the chunks that are marked, neighbours joined; all of the group's without filters.
    pub fn rows(self, chunks: &[bool]) -> Vec<Range<u64>> {
        let end = self.first + self.rows;
        if !self.is_known() {
            return std::iter::once(self.first..end).collect();
        }
        let mut rows: Vec<Range<u64>> = Vec::new();
        for (number, _) in (0_u64..).zip(chunks).filter(|(_, holds)| **holds) {
            let start = self.first + number * self.chunk_rows;
            let is_last = number + 1 == self.chunks as u64;
            let chunk = start..if is_last { end } else { start + self.chunk_rows };
            match rows.last_mut() {
                Some(last) if last.end == chunk.start => last.end = chunk.end,
                _ => rows.push(chunk),
            }
        }
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    fn filter(values: &[u64]) -> Filter {
        let mut filter = Filter::new();
        values.iter().for_each(|value| filter.insert(*value));
        filter
    }

    /// Asks all chunks of a group whose filters lie at `offset`.
    fn ask(place: ValuePlace, bytes: &[u8], offset: u64, hash: u64) -> Vec<bool> {
        let run = place.run(hash);
        let at = |byte: u64| usize::try_from(byte - offset).expect("inside");
        place.chunks(&bytes[at(run.start)..at(run.end)], hash)
    }

    #[test]
    fn what_is_held_is_found_and_little_else_however_many_values_there_are() {
        for (seed, count) in [0, 1, 20, 300, 4_000, 13_000, 20_000].into_iter().enumerate() {
            let mut random = StdRng::seed_from_u64(seed as u64);
            let values: Vec<Vec<u64>> = (0..7).map(|_| (0..count).map(|_| random.random()).collect()).collect();
            let filters: Vec<Filter> = values.iter().map(|values| filter(values)).collect();
            let group = ValueGroup::new(7 * CHUNK_ROWS as u64 - 5, filters);
            let bytes = group.bytes().to_vec();
            let note = describe(100, &[ValueGroup::unknown(7), group]).expect("something is known");
            let [before, place] = parse(&note).expect("places")[..] else { panic!("two groups") };
            assert!(!before.is_known() && before.rows(&[]).into_iter().eq(std::iter::once(0..7)) && place.first == 7);
            for (chunk, values) in values.iter().enumerate() {
                assert!(values.iter().all(|value| ask(place, &bytes, 100, *value)[chunk]), "{count} in chunk {chunk}");
            }
            let tried = (0..2_000).map(|_| ask(place, &bytes, 100, random.random()));
            let vain: usize = tried.map(|chunks| chunks.into_iter().filter(|holds| *holds).count()).sum();
            assert!(vain < 14_000 / 60, "{vain} of 14,000 with {count} values");
            let needed = 7 * count * 12 / 8;
            assert!(bytes.len() < 2 * needed + 2_000, "{} bytes for {count} values", bytes.len());
        }
    }

    #[test]
    fn bytes_are_bounded_whatever_the_values() {
        let mut random = StdRng::seed_from_u64(1);
        let full = filter(&(0..300_000).map(|_| random.random()).collect::<Vec<u64>>());
        for rows in [1_024, 5_000, 20_000, 25_000, 100_000, 262_144] {
            let chunks = usize::try_from(rows).expect("few").div_ceil(CHUNK_ROWS);
            let bytes = ValueGroup::new(rows, vec![full.clone(); chunks]).bytes().len() as u64;
            assert!(bytes > 0 && bytes <= rows * ROW_BYTES_MAX, "{bytes} bytes for {rows} rows");
        }
        assert!(!ValueGroup::new(1_023, vec![full]).place.is_known(), "too few rows");
    }

    #[test]
    fn a_chunk_that_may_hold_all_rules_nothing_out_and_makes_the_others_no_larger() {
        let mut odd = filter(&[3]);
        odd.hold_all();
        let group = ValueGroup::new(2 * CHUNK_ROWS as u64, vec![odd, filter(&[4])]);
        assert!(group.bytes().len() < 100, "{} bytes", group.bytes().len());
        let mut random = StdRng::seed_from_u64(2);
        let tried: Vec<Vec<bool>> = (0..100).map(|_| ask(group.place, group.bytes(), 0, random.random())).collect();
        assert!(tried.iter().all(|chunks| chunks[0]) && tried.iter().any(|chunks| !chunks[1]));
        assert!(ask(group.place, group.bytes(), 0, 4)[1]);
    }

    #[test]
    fn a_damaged_run_and_a_strange_note_rule_nothing_out() {
        let ValueGroup { place, bytes } = ValueGroup::new(2_000, vec![filter(&[7])]);
        let at = |byte: u64| usize::try_from(byte).expect("few");
        let run = place.run(7);
        let mut run = bytes[at(run.start)..at(run.end)].to_vec();
        assert_eq!(place.chunks(&run, 8), [false]);
        run[0] ^= 1;
        assert_eq!((place.chunks(&run, 8), place.chunks(&[], 8)), (vec![true], vec![true]));
        for bad in [
            "",
            "1 2 3 4",
            "1 2 3 4 5 6",
            "a b c d e",
            "1 18446744073709551615 8 1 1",
            "9 1 8 3 1",
            "1 1 8 18446744073709551615 2",
            "1 1 8 1 1,",
            "1 1 18446744073709551615 2 1",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
        assert_eq!(describe(0, &[ValueGroup::unknown(5)]), None);
        let four = ValueGroup::new(70_000, vec![Filter::new(); 4]).place;
        assert_eq!(four.rows(&[true, true, false, true]), [0..40_000, 60_000..70_000]);
        let later = ValuePlace { first: 5, ..four };
        assert_eq!(later.rows(&[true, false, false, true]), [5..20_005, 60_005..70_005]);
    }

    #[test]
    fn few_rows_at_the_end_belong_to_the_chunk_before() {
        let last = 4_711;
        let filters = vec![filter(&[1]), filter(&[2]), filter(&[last])];
        let ValueGroup { place, bytes } = ValueGroup::new(45_000, filters);
        assert_eq!(ask(place, &bytes, 0, last), [false, true]);
        assert_eq!(ask(place, &bytes, 0, 2), [false, true]);
        assert!(place.rows(&[false, true]).into_iter().eq(std::iter::once(20_000..45_000)));
        assert_eq!(ValuePlace::parse(0, &format!("45000 0 20000 2 {}", place.blocks)), Some(place));
    }
}
