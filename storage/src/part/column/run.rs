//! Small numbers as runs: the hybrid of run lengths and packed bits that levels and numbers in a dictionary are written in
//! (Parquet's Encodings.md, "Run Length Encoding / Bit-Packing Hybrid").

/// Values of one packed group.
const GROUP: usize = 8;

/// Bits that numbers up to `max` take.
pub(super) fn bit_width(max: u32) -> u8 {
    u8::try_from(u32::BITS - max.leading_zeros()).unwrap_or(32)
}

/// Appends `values`, each of `width` bits at most, to `out`.
pub(super) fn encode<T: Copy + PartialEq + Into<u32>>(values: &[T], width: u8, out: &mut Vec<u8>) {
    // Values from `packed` on wait to be packed; whole groups only, but for the last.
    let (mut packed, mut at) = (0, 0);
    while at < values.len() {
        let run = values[at..].iter().take_while(|value| **value == values[at]).count();
        let fill = (at - packed).next_multiple_of(GROUP) - (at - packed);
        if run >= GROUP + fill {
            pack(&values[packed..at + fill], width, out);
            varint(((run - fill) as u64) << 1, out);
            let value: u32 = values[at].into();
            out.extend_from_slice(&value.to_le_bytes()[..usize::from(width.div_ceil(8))]);
            packed = at + run;
        }
        at += run;
    }
    pack(&values[packed..], width, out);
}

/// Appends groups of packed values; the last group is filled up with zeros.
fn pack<T: Copy + Into<u32>>(values: &[T], width: u8, out: &mut Vec<u8>) {
    if values.is_empty() {
        return;
    }
    let groups = values.len().div_ceil(GROUP);
    varint(((groups as u64) << 1) | 1, out);
    let end = out.len() + groups * usize::from(width);
    let bits = values.iter().map(|&value| u64::from(value.into()));
    pack_bits(bits, width, out);
    out.resize(end, 0);
}

/// Appends values as so many bits each, the first in the lowest ones; the last byte is filled up with zeros.
pub(super) fn pack_bits(values: impl Iterator<Item = u64>, width: u8, out: &mut Vec<u8>) {
    let (mut buffer, mut held) = (0_u128, 0_u32);
    for value in values {
        buffer |= u128::from(value) << held;
        held += u32::from(width);
        while held >= 64 {
            out.extend_from_slice(&(buffer as u64).to_le_bytes());
            buffer >>= 64;
            held -= 64;
        }
    }
    let left = held.div_ceil(8) as usize;
    out.extend_from_slice(&buffer.to_le_bytes()[..left]);
}

/// Appends an unsigned LEB128 number.
pub(super) fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push((value as u8) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    fn read_varint(bytes: &[u8], at: &mut usize) -> u64 {
        let (mut value, mut shift) = (0, 0);
        loop {
            let byte = bytes[*at];
            *at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return value;
            }
            shift += 7;
        }
    }

    /// The specification read the other way round.
    fn decode(bytes: &[u8], width: u8, count: usize) -> Vec<u32> {
        let (mut at, mut values) = (0, Vec::new());
        while values.len() < count {
            let head = read_varint(bytes, &mut at);
            let number = usize::try_from(head >> 1).unwrap();
            if head & 1 == 1 {
                let bit = |bit: usize| u32::from(bytes[at + bit / 8] >> (bit % 8) & 1);
                let value = |value: usize| {
                    (0..usize::from(width)).fold(0, |sum, at| sum | bit(value * usize::from(width) + at) << at)
                };
                values.extend((0..number * 8).map(value));
                at += number * usize::from(width);
            } else {
                let size = usize::from(width.div_ceil(8));
                let mut value = [0; 4];
                value[..size].copy_from_slice(&bytes[at..at + size]);
                at += size;
                values.extend(std::iter::repeat_n(u32::from_le_bytes(value), number));
            }
        }
        assert_eq!(at, bytes.len(), "nothing is left over");
        assert!(values[count..].iter().all(|value| *value == 0) && values.len() < count + 8);
        values.truncate(count);
        values
    }

    #[test]
    fn runs_and_noise_of_every_width_come_back() {
        for seed in 0..60 {
            let mut random = StdRng::seed_from_u64(seed);
            let max: u32 = if seed == 7 { u32::MAX } else { (1_u32 << random.random_range(0..20)) - 1 };
            let width = bit_width(max);
            let mut values: Vec<u32> = Vec::new();
            for _ in 0..random.random_range(0..40) {
                let run = if random.random() { 1 } else { random.random_range(1..40) };
                values.extend(std::iter::repeat_n(random.random_range(0..=max), run));
            }
            let mut bytes = Vec::new();
            encode(&values, width, &mut bytes);
            assert_eq!(decode(&bytes, width, values.len()), values, "seed {seed}, {width} bits");
        }
    }

    #[test]
    fn a_long_run_takes_few_bytes() {
        let mut bytes = Vec::new();
        encode(&vec![1_u8; 100_000], 1, &mut bytes);
        assert_eq!(bytes.len(), 4);
        assert_eq!([bit_width(0), bit_width(1), bit_width(255), bit_width(256), bit_width(u32::MAX)], [0, 1, 8, 9, 32]);
    }
}
