//! XXH3 checksums: of parts while they are written and whenever they are doubted, of small texts that carry their own.
//!
//! A sealed text is JSON with a key whose value is the checksum of the whole text, taken with sixteen zeros in its
//! place: any changed bit shows. Deliberately not cryptographic: it finds what disks do, not what people do.

use std::io::{self, Write};

use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use crate::files::file::Source;

/// Bytes that are read at once when a file is summed.
const READ_BYTES: usize = 1 << 20;
/// In the place of a seal while the checksum is taken.
pub(crate) const UNSEALED: &str = "0000000000000000";

/// A checksum as text: 16 hex digits.
pub(crate) fn to_text(sum: u64) -> String {
    format!("{sum:016x}")
}

/// A checksum from its text.
pub(crate) fn from_text(text: &str) -> Option<u64> {
    let is_ours = text.len() == UNSEALED.len() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_ours.then(|| u64::from_str_radix(text, 16).ok())?
}

/// The checksum of bytes in memory.
pub(crate) fn of(bytes: &[u8]) -> u64 {
    xxh3_64(bytes)
}

/// The checksum of an open file. `each` is told of every piece that was read and says whether to go on; `None` when it
/// said no.
pub(crate) fn of_source(source: &dyn Source, each: &mut dyn FnMut(u64) -> bool) -> io::Result<Option<u64>> {
    let (mut sum, mut at) = (Xxh3::new(), 0);
    while at < source.bytes() {
        let piece = source.read_at(at, READ_BYTES)?;
        if piece.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        sum.update(&piece);
        at += piece.len() as u64;
        if !each(piece.len() as u64) {
            return Ok(None);
        }
    }
    Ok(Some(sum.digest()))
}

/// Passes on what is written and sums it.
pub(crate) struct Summed<W> {
    inner: W,
    sum: Xxh3,
}

impl<W: Write> Summed<W> {
    pub(crate) fn new(inner: W) -> Self {
        Self { inner, sum: Xxh3::new() }
    }

    /// What is written to.
    pub(crate) fn inner_mut(&mut self) -> &mut W {
        &mut self.inner
    }

    /// The checksum of what was written so far.
    pub(crate) fn sum(&self) -> u64 {
        self.sum.digest()
    }
}

impl<W: Write> Write for Summed<W> {
    fn write(&mut self, content: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(content)?;
        self.sum.update(&content[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// What a text's seal says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seal {
    /// It holds.
    Whole,
    /// The text is not what was written.
    Broken,
    /// There is none.
    Absent,
}

/// Puts the checksum into a text that holds `"<key>":"0000000000000000"`; a text without that stays as it is.
pub(crate) fn seal(key: &str, text: &mut [u8]) {
    if let Some(at) = place(key, text) {
        let sum = to_text(of(text));
        text[at..at + sum.len()].copy_from_slice(sum.as_bytes());
    }
}

/// Reads the seal of a text.
pub(crate) fn check_seal(key: &str, text: &[u8]) -> Seal {
    let Some(at) = place(key, text) else { return Seal::Absent };
    let end = at + UNSEALED.len();
    let Some(told) = text.get(at..end) else { return Seal::Broken };
    let told = std::str::from_utf8(told).unwrap_or_default();
    let mut bare = text.to_vec();
    bare[at..end].copy_from_slice(UNSEALED.as_bytes());
    if told == to_text(of(&bare)) { Seal::Whole } else { Seal::Broken }
}

/// Where the seal's value stands. Within a JSON text the key's quotes would be escaped, so nothing else looks like it.
fn place(key: &str, text: &[u8]) -> Option<usize> {
    let mark = format!("\"{key}\":\"");
    let at = text.windows(mark.len()).position(|window| window == mark.as_bytes())?;
    Some(at + mark.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_of_a_sealed_text_shows() {
        let mut text = br#"{"a":1,"seal":"0000000000000000","b":"\"seal\":\"x"}"#.to_vec();
        seal("seal", &mut text);
        assert_eq!(check_seal("seal", &text), Seal::Whole);
        for bit in 0..text.len() * 8 {
            let mut flipped = text.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(check_seal("seal", &flipped), Seal::Whole, "bit {bit}");
        }
        assert_eq!(check_seal("other", &text), Seal::Absent);
        assert_eq!(check_seal("seal", &text[..20]), Seal::Broken);
    }

    #[test]
    fn what_is_written_piece_by_piece_has_the_checksum_of_the_whole() {
        let content: Vec<u8> = (0..70_000_u32).map(|number| u8::try_from(number % 251).unwrap()).collect();
        let mut summed = Summed::new(Vec::new());
        content.chunks(977).for_each(|piece| summed.write_all(piece).unwrap());
        let sum = summed.sum();
        assert_eq!((*summed.inner_mut() == content, sum), (true, of(&content)));
        assert_eq!(from_text(&to_text(sum)), Some(sum));
        for odd in ["", "1", "+000000000000001", "00000000000000001"] {
            assert_eq!(from_text(odd), None, "{odd}");
        }
    }
}
