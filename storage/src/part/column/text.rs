//! The distinct values of a column chunk, each written once: its dictionary.

use xxhash_rust::xxh3::xxh3_64;

/// Bytes of a value's length before it, as in Parquet's plain encoding of byte arrays.
const LENGTH_BYTES: usize = 4;
/// Slots of the table at first.
const SLOTS: usize = 256;

/// Values in the order in which they came first, as a dictionary page holds them.
#[derive(Debug)]
pub(super) struct Texts {
    /// Length (little-endian) and bytes of each.
    page: Vec<u8>,
    /// Where the bytes of each begin.
    starts: Vec<usize>,
    /// Part of a hash, and the number of the value past zero; open addressing.
    slots: Vec<(u32, u32)>,
}

impl Texts {
    pub(super) fn new() -> Self {
        Self { page: Vec::new(), starts: Vec::new(), slots: vec![(0, 0); SLOTS] }
    }

    /// The number of a value, which is taken in if it is new.
    pub(super) fn intern(&mut self, value: &[u8]) -> u32 {
        let hash = xxh3_64(value);
        let (mut at, tag) = (self.slot(hash), (hash >> 32) as u32);
        loop {
            match self.slots[at] {
                (_, 0) => break,
                (known, number) if known == tag && self.value(number - 1) == value => return number - 1,
                _ => at = (at + 1) & (self.slots.len() - 1),
            }
        }
        let number = u32::try_from(self.starts.len()).unwrap_or(u32::MAX - 2);
        self.slots[at] = (tag, number + 1);
        self.page.extend_from_slice(&u32::try_from(value.len()).unwrap_or(u32::MAX).to_le_bytes());
        self.starts.push(self.page.len());
        self.page.extend_from_slice(value);
        if 2 * self.starts.len() > self.slots.len() {
            self.fill(2 * self.slots.len());
        }
        number
    }

    /// Makes the table anew, with so many slots.
    fn fill(&mut self, count: usize) {
        self.slots = vec![(0, 0); count];
        for number in 0..self.starts.len() {
            let number = number as u32;
            let hash = xxh3_64(self.value(number));
            let mut at = self.slot(hash);
            while self.slots[at].1 != 0 {
                at = (at + 1) & (count - 1);
            }
            self.slots[at] = ((hash >> 32) as u32, number + 1);
        }
    }

    fn slot(&self, hash: u64) -> usize {
        hash as usize & (self.slots.len() - 1)
    }

    /// Forgets all values from a number on.
    pub(super) fn truncate(&mut self, count: usize) {
        if count < self.starts.len() {
            self.page.truncate(self.starts[count] - LENGTH_BYTES);
            self.starts.truncate(count);
            self.fill(self.slots.len());
        }
    }

    /// A value by its number.
    pub(super) fn value(&self, number: u32) -> &[u8] {
        let at = number as usize;
        let end = self.starts.get(at + 1).map_or(self.page.len(), |next| next - LENGTH_BYTES);
        &self.page[self.starts[at]..end]
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.starts.len()
    }

    /// The content of the dictionary page.
    pub(super) fn page(&self) -> &[u8] {
        &self.page
    }

    /// All values.
    pub(super) fn values(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.starts.len()).map(|number| self.value(number as u32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_has_one_number_for_good() {
        let mut texts = Texts::new();
        let value =
            |number: u32| if number == 17 { Vec::new() } else { format!("value {}", number / 2 * 2).into_bytes() };
        let numbers: Vec<u32> = (0..70_000).map(|number| texts.intern(&value(number))).collect();
        for (number, interned) in (0..).zip(&numbers) {
            assert_eq!(texts.value(*interned), value(number));
            assert_eq!(texts.intern(&value(number)), *interned);
        }
        assert_eq!(texts.len(), 35_001);
        assert_eq!(texts.values().count(), 35_001);
        texts.truncate(9000);
        let last = texts.value(8999).to_vec();
        assert_eq!((texts.len(), texts.intern(&last)), (9000, 8999), "those before stay");
        assert_eq!(texts.intern(b"another"), 9000);
        let page = texts.page();
        assert_eq!((&page[..4], &page[4..11]), (&7_u32.to_le_bytes()[..], &b"value 0"[..]));
    }
}
