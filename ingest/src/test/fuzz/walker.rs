//! The walker against the reference: recorded requests, every cut of a small one, and mutations without end.

use rand::Rng;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use tracelake_model::{DecodeLimits, Signal};

use crate::test::fuzz::agree::{Taken, check};
use crate::test::fuzz::budget;
use crate::test::fuzz::corpus::{recordings, requests, samples, trees};
use crate::test::fuzz::tree::{mutate, write};

/// So much of one recording is compared cell by cell; a soak compares all.
const RECORDED_BYTES: u64 = 1 << 20;

/// Changes at places that know nothing of fields.
pub(crate) fn mutate_bytes(random: &mut SmallRng, bytes: &mut Vec<u8>) {
    for _ in 0..random.random_range(1..4) {
        let at = random.random_range(0..bytes.len().max(1)).min(bytes.len().saturating_sub(1));
        match random.random_range(0..6) {
            _ if bytes.is_empty() => bytes.push(random.random()),
            0 => bytes[at] = random.random(),
            1 => bytes[at] ^= 1 << random.random_range(0..8),
            2 => bytes.truncate(at),
            3 => bytes.insert(at, random.random()),
            4 => {
                bytes.remove(at);
            }
            _ => {
                let end = (at + random.random_range(0..40)).min(bytes.len());
                let piece = bytes[at..end].to_vec();
                let to = random.random_range(0..=bytes.len());
                bytes.splice(to..to, piece);
            }
        }
    }
}

/// Limits that a request of a few records meets.
pub(crate) fn some_limits(random: &mut SmallRng) -> DecodeLimits {
    if random.random_bool(0.5) {
        return DecodeLimits::default();
    }
    DecodeLimits {
        attributes: random.random_range(1..6),
        value_bytes: random.random_range(64..80),
        nesting: random.random_range(1..6),
        records: random.random_range(1..9),
        ..DecodeLimits::default()
    }
}

#[test]
fn recorded_requests_decode_as_the_reference_says_cell_by_cell() {
    let bytes_max = if std::env::var_os("TRACELAKE_SOAK").is_some() { u64::MAX } else { RECORDED_BYTES };
    for (signal, path) in recordings() {
        let requests = requests(&path, bytes_max);
        assert!(!requests.is_empty(), "{}", path.display());
        for plain in &requests {
            assert_eq!(check(signal, DecodeLimits::default(), plain), Taken::Whole, "{}", path.display());
        }
        eprintln!("{}: {} requests compared", path.display(), requests.len());
    }
}

#[test]
fn a_small_request_cut_at_every_byte_decodes_as_the_reference_says() {
    for (signal, plain) in samples() {
        for end in 0..=plain.len() {
            check(signal, DecodeLimits::default(), &plain[..end]);
        }
    }
}

#[test]
fn every_byte_of_a_small_request_changed_decodes_as_the_reference_says() {
    for (signal, plain) in samples() {
        for at in 0..plain.len() {
            for change in [0x80, 0x01, 0x07, 0xff] {
                let mut plain = plain.clone();
                plain[at] ^= change;
                check(signal, DecodeLimits::default(), &plain);
            }
        }
    }
}

#[test]
fn mutated_requests_decode_as_the_reference_says() {
    let trees = trees();
    let mut taken = [0_u64; 3];
    budget::run("walker", |random| {
        let (signal, tree) = trees.choose(random).expect("not empty");
        let mut tree = tree.clone();
        mutate(random, &mut tree);
        let mut plain = Vec::new();
        write(&tree, &mut plain);
        if random.random_bool(0.2) {
            mutate_bytes(random, &mut plain);
        }
        let signal = if random.random_bool(0.02) { any_signal(random) } else { *signal };
        taken[check(signal, some_limits(random), &plain) as usize] += 1;
    });
    eprintln!("walker: {taken:?} taken whole, in part, refused");
    assert!(taken.iter().all(|count| *count > 0), "mutations spare, touch and break requests: {taken:?}");
}

/// A request at the wrong door.
fn any_signal(random: &mut SmallRng) -> Signal {
    samples().choose(random).expect("not empty").0
}
