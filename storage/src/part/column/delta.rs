//! Whole numbers as differences (Parquet's Encodings.md, "Delta Encoding", DELTA_BINARY_PACKED).

use super::run::{pack_bits, varint};

/// Differences of a block, and of each of its miniblocks.
const BLOCK: usize = 128;
const MINI: usize = 32;

/// Appends `values` to `out`.
pub(super) fn encode(values: &[i64], out: &mut Vec<u8>) {
    varint(BLOCK as u64, out);
    varint((BLOCK / MINI) as u64, out);
    varint(values.len() as u64, out);
    varint(zigzag(values.first().copied().unwrap_or(0)), out);
    let mut deltas = [0_i64; BLOCK];
    let mut at = 1;
    while at < values.len() {
        let count = BLOCK.min(values.len() - at);
        for (delta, pair) in deltas.iter_mut().zip(values[at - 1..].windows(2).take(count)) {
            *delta = pair[1].wrapping_sub(pair[0]);
        }
        block(&deltas[..count], out);
        at += count;
    }
}

fn block(deltas: &[i64], out: &mut Vec<u8>) {
    let least = deltas.iter().copied().min().unwrap_or(0);
    varint(zigzag(least), out);
    // How far each is above the least: wraps where differences themselves do.
    let above = |delta: &i64| delta.wrapping_sub(least) as u64;
    let widths = out.len();
    out.extend_from_slice(&[0; BLOCK / MINI]);
    for (number, mini) in deltas.chunks(MINI).enumerate() {
        let most = mini.iter().map(above).max().unwrap_or(0);
        let width = u8::try_from(u64::BITS - most.leading_zeros()).unwrap_or(64);
        out[widths + number] = width;
        let end = out.len() + MINI * usize::from(width) / 8;
        pack_bits(mini.iter().map(above), width, out);
        out.resize(end, 0);
    }
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
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

    fn read_zigzag(bytes: &[u8], at: &mut usize) -> i64 {
        let value = read_varint(bytes, at);
        (value >> 1) as i64 ^ -((value & 1) as i64)
    }

    /// The specification read the other way round.
    fn decode(bytes: &[u8]) -> Vec<i64> {
        let mut at = 0;
        let (block, minis) = (read_varint(bytes, &mut at) as usize, read_varint(bytes, &mut at) as usize);
        let (count, first) = (read_varint(bytes, &mut at) as usize, read_zigzag(bytes, &mut at));
        let mut values = vec![first];
        while values.len() < count {
            let least = read_zigzag(bytes, &mut at);
            let widths = bytes[at..at + minis].to_vec();
            at += minis;
            for width in widths.into_iter().map(usize::from) {
                if values.len() >= count {
                    assert_eq!(width, 0, "a miniblock that nobody needs");
                }
                for number in 0..block / minis {
                    let bit = |bit: usize| u64::from(bytes[at + bit / 8] >> (bit % 8) & 1);
                    let above = (0..width).fold(0, |sum, bits| sum | bit(number * width + bits) << bits);
                    if values.len() < count {
                        let last = values[values.len() - 1];
                        values.push(last.wrapping_add(least).wrapping_add(above as i64));
                    }
                }
                at += block / minis * width / 8;
            }
        }
        assert_eq!(at, bytes.len(), "nothing is left over");
        values.truncate(count);
        values
    }

    #[test]
    fn numbers_near_and_far_come_back() {
        for seed in 0..60 {
            let mut random = StdRng::seed_from_u64(seed);
            let count = [0, 1, 2, 32, 33, 128, 129, 130, 1000][random.random_range(0..9)];
            let spread = 1_i64 << random.random_range(0..62);
            let values: Vec<i64> = (0..count)
                .map(|number| match seed % 3 {
                    0 => random.random(),
                    1 => 1_700_000_000_000_000_000 + number * 1000 + random.random_range(0..spread) % 500,
                    _ => random.random_range(-spread..spread),
                })
                .collect();
            let mut bytes = Vec::new();
            encode(&values, &mut bytes);
            assert_eq!(decode(&bytes), values, "seed {seed}");
        }
    }

    #[test]
    fn equal_steps_take_no_bits() {
        let values: Vec<i64> = (0..12_800).map(|number| number * 7).collect();
        let mut bytes = Vec::new();
        encode(&values, &mut bytes);
        assert!(bytes.len() < 700, "{}", bytes.len());
        assert_eq!(decode(&bytes), values);
    }
}
