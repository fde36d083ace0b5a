//! Sort keys as a few numbers that compare as the keys do: a time as itself, an interned text as its rank among all
//! texts of its column, an id of sixteen bytes as two numbers.
//!
//! Knows the kinds of keys that most rows have; for any other there is none, and keys are compared as bytes (`sort.rs`).

use std::collections::HashMap;

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::datatypes::{DataType, Int32Type, Int64Type};

/// Numbers of a key at most.
const WIDTH: usize = 4;

/// A key.
pub(crate) type Small = [u64; WIDTH];

/// The keys of the rows of many batches.
pub(crate) struct Smalls(Vec<Vec<Small>>);

impl Smalls {
    /// Reads the key columns of each batch; `None` when a key is of another kind or too long.
    pub(crate) fn read(batches: &[Vec<ArrayRef>]) -> Option<Self> {
        let mut keys: Vec<Vec<Small>> = Vec::with_capacity(batches.len());
        keys.extend(batches.iter().map(|columns| vec![[0; WIDTH]; columns.first().map_or(0, Array::len)]));
        let mut slot = 0;
        for number in 0..batches.first().map_or(0, Vec::len) {
            let columns: Vec<&ArrayRef> = batches.iter().map(|columns| &columns[number]).collect();
            slot += fill(&columns, &mut keys, slot)?;
        }
        Some(Self(keys))
    }

    /// The key of a row, by its batch and number.
    pub(crate) fn key(&self, (batch, row): (u32, u32)) -> Small {
        self.0[batch as usize][row as usize]
    }
}

/// Fills numbers of all keys from `slot` on with a column; how many it takes.
fn fill(columns: &[&ArrayRef], keys: &mut [Vec<Small>], slot: usize) -> Option<usize> {
    let kind = columns.first()?.data_type();
    let width = if *kind == DataType::Binary { 2 } else { 1 };
    if slot + width > WIDTH {
        return None;
    }
    let ranks = if matches!(kind, DataType::Dictionary(..)) { Some(Ranks::read(columns)?) } else { None };
    for (number, (column, keys)) in columns.iter().zip(keys).enumerate() {
        match (kind, &ranks) {
            (DataType::Int64, _) if column.null_count() == 0 => {
                let times = column.as_primitive::<Int64Type>().values();
                keys.iter_mut().zip(times).for_each(|(key, time)| key[slot] = (*time as u64) ^ (1 << 63));
            }
            (DataType::Dictionary(..), Some(ranks)) => {
                let texts = column.as_dictionary::<Int32Type>().keys();
                for (key, text) in keys.iter_mut().zip(texts.iter()) {
                    key[slot] = text.map_or(0, |text| ranks.of(number, text));
                }
            }
            (DataType::Binary, _) if column.null_count() == 0 => {
                for (key, id) in keys.iter_mut().zip(column.as_binary::<i32>().iter()) {
                    let id: [u8; 16] = id?.try_into().ok()?;
                    let id = u128::from_be_bytes(id);
                    (key[slot], key[slot + 1]) = ((id >> 64) as u64, id as u64);
                }
            }
            _ => return None,
        }
    }
    Some(width)
}

/// The ranks of texts among all of a column; null comes before them.
struct Ranks(Vec<Vec<u64>>);

impl Ranks {
    fn read(columns: &[&ArrayRef]) -> Option<Self> {
        let texts = |column: &&ArrayRef| -> Option<StringArray> {
            let texts = column.as_dictionary_opt::<Int32Type>()?.values().as_string_opt::<i32>()?.clone();
            (texts.null_count() == 0).then_some(texts)
        };
        let texts: Vec<StringArray> = columns.iter().map(texts).collect::<Option<_>>()?;
        let mut known: HashMap<&str, usize> = HashMap::new();
        let mut distinct: Vec<&str> = Vec::new();
        let mut numbers: Vec<Vec<usize>> = Vec::with_capacity(texts.len());
        for texts in &texts {
            let number = |text| {
                *known.entry(text).or_insert_with(|| {
                    distinct.push(text);
                    distinct.len() - 1
                })
            };
            numbers.push(texts.iter().flatten().map(number).collect());
        }
        let mut order: Vec<usize> = (0..distinct.len()).collect();
        order.sort_unstable_by_key(|&number| distinct[number]);
        let mut ranks = vec![0; distinct.len()];
        (1..).zip(order).for_each(|(rank, number)| ranks[number] = rank);
        Some(Self(numbers.into_iter().map(|of| of.into_iter().map(|number| ranks[number]).collect()).collect()))
    }

    fn of(&self, batch: usize, text: i32) -> u64 {
        usize::try_from(text).ok().and_then(|text| self.0[batch].get(text)).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{BinaryArray, DictionaryArray, Int64Array};
    use arrow::row::{RowConverter, SortField};
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    use super::*;

    fn columns(rows: usize, random: &mut StdRng) -> Vec<ArrayRef> {
        let times: Int64Array =
            (0..rows).map(|_| Some([i64::MIN, -1, 0, 7, i64::MAX][random.random_range(0..5)])).collect();
        let texts = (0..rows).map(|_| ["", "a", "ab", "b", "Ünï"].get(random.random_range(0..6)).copied());
        let texts: DictionaryArray<Int32Type> = texts.collect();
        let ids = (0..rows).map(|_| (random.random_range(0..3_u128) << random.random_range(0..120)).to_be_bytes());
        vec![Arc::new(times), Arc::new(texts), Arc::new(BinaryArray::from_iter_values(ids))]
    }

    #[test]
    fn they_compare_as_keys_of_bytes_do_across_batches() {
        for seed in 0..20 {
            let mut random = StdRng::seed_from_u64(seed);
            let batches: Vec<Vec<ArrayRef>> = (1..6).map(|number| columns(number * 9, &mut random)).collect();
            let smalls = Smalls::read(&batches).expect("all kinds are known");
            let fields = batches[0].iter().map(|column| SortField::new(column.data_type().clone())).collect();
            let converter = RowConverter::new(fields).unwrap();
            let rows: Vec<_> = batches.iter().map(|columns| converter.convert_columns(columns).unwrap()).collect();
            let place = |random: &mut StdRng| {
                let batch = random.random_range(0..batches.len());
                (batch, random.random_range(0..batches[batch][0].len()))
            };
            for _ in 0..500 {
                let (a, b) = (place(&mut random), place(&mut random));
                let want = rows[a.0].row(a.1).cmp(&rows[b.0].row(b.1));
                let small = |(batch, row): (usize, usize)| smalls.key((batch as u32, row as u32));
                assert_eq!(small(a).cmp(&small(b)), want, "seed {seed}: {a:?} {b:?}");
            }
        }
    }

    #[test]
    fn keys_of_other_kinds_have_none() {
        let ids: ArrayRef = Arc::new(BinaryArray::from_iter_values([&[1_u8; 15]]));
        assert!(Smalls::read(&[vec![ids]]).is_none());
        let times: ArrayRef = Arc::new(Int64Array::from(vec![None]));
        assert!(Smalls::read(&[vec![times]]).is_none());
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["a"]));
        assert!(Smalls::read(&[vec![texts]]).is_none());
        let time: ArrayRef = Arc::new(Int64Array::from(vec![1]));
        assert!(Smalls::read(&[vec![Arc::clone(&time); 4]]).is_some());
        assert!(Smalls::read(&[vec![time; 5]]).is_none());
    }
}
