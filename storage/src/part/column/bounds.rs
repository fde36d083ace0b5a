//! The least and the greatest of some values, byte by byte.

use super::text::Texts;

/// Longer values are not told: statistics hold exact values only, and are to stay small.
const BYTES_MAX: usize = 64;

/// The least and the greatest value so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Bounds {
    range: Option<(Vec<u8>, Vec<u8>)>,
}

impl Bounds {
    /// Takes a value in.
    pub(super) fn cover(&mut self, value: &[u8]) {
        match &mut self.range {
            None => self.range = Some((value.to_vec(), value.to_vec())),
            Some((low, _)) if value < low.as_slice() => set(low, value),
            Some((_, high)) if value > high.as_slice() => set(high, value),
            Some(_) => {}
        }
    }

    /// Takes in values of a dictionary by their numbers.
    pub(super) fn cover_numbers(&mut self, numbers: &[u32], texts: &Texts) {
        let mut seen = vec![false; texts.len()];
        for &number in numbers {
            if !std::mem::replace(&mut seen[number as usize], true) {
                self.cover(texts.value(number));
            }
        }
    }

    /// Takes in what others took in.
    pub(super) fn join(&mut self, other: &Self) {
        if let Some((low, high)) = &other.range {
            self.cover(low);
            self.cover(high);
        }
    }

    /// Both, where they are short enough to be told.
    pub(super) fn short(self) -> Option<(Vec<u8>, Vec<u8>)> {
        self.range.filter(|(low, high)| low.len().max(high.len()) <= BYTES_MAX)
    }
}

fn set(bound: &mut Vec<u8>, value: &[u8]) {
    bound.clear();
    bound.extend_from_slice(value);
}
