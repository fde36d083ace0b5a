//! One frame as bytes: the 48 bytes in front of it, its checksums, and finding frames in a segment.
//!
//! Deliberately knows neither files nor what a header means.

use crc32fast::Hasher;

/// The random id of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WalId(pub(crate) [u8; 8]);

impl WalId {
    /// As text in file and transaction names: 16 hex digits.
    pub(crate) fn to_text(self) -> String {
        tracelake_model::to_hex(&self.0)
    }
}

/// Bytes in front of a frame's header.
pub(crate) const HEAD_BYTES: usize = 48;
/// Frames begin at multiples of this.
pub(crate) const ALIGN: usize = 8;
const MAGIC: [u8; 4] = *b"TLWF";

/// What stands in front of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// Which use of the segment's file wrote it.
    pub(crate) generation: u64,
    /// Its position in the log.
    pub(crate) sequence: u64,
    /// The newest position that was durable before its group was written.
    pub(crate) durable: u64,
    header_bytes: u32,
    payload_bytes: u32,
    body_crc: u32,
}

/// A frame found in a segment; its body is not checked yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spot {
    /// Bytes from the segment's start.
    pub(crate) offset: usize,
    /// What stands in front.
    pub(crate) head: Head,
}

impl Head {
    /// Bytes of the whole frame with its padding.
    pub(crate) fn frame_bytes(&self) -> usize {
        frame_bytes(self.header_bytes as usize, self.payload_bytes as usize)
    }

    fn parse(id: WalId, generation: u64, bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; HEAD_BYTES] = bytes.get(..HEAD_BYTES)?.try_into().ok()?;
        if bytes[..4] != MAGIC {
            return None;
        }
        let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let long = |at: usize| u64::from(word(at)) | u64::from(word(at + 4)) << 32;
        let head = Self {
            generation: long(16),
            sequence: long(24),
            durable: long(32),
            header_bytes: word(4),
            payload_bytes: word(8),
            body_crc: word(12),
        };
        let intact = word(40) == head_crc(id, &bytes[..40]) && word(44) == 0;
        (intact && head.generation == generation).then_some(head)
    }
}

impl Spot {
    /// The frame's header and payload in a segment's bytes, if their checksum holds.
    pub(crate) fn body<'a>(&self, id: WalId, segment: &'a [u8]) -> Option<(&'a [u8], std::ops::Range<usize>)> {
        let start = self.offset + HEAD_BYTES;
        let middle = start + self.head.header_bytes as usize;
        let end = middle + self.head.payload_bytes as usize;
        let (header, payload) = (segment.get(start..middle)?, segment.get(middle..end)?);
        let crc = body_crc(id, self.head.generation, self.head.sequence, header, payload);
        (crc == self.head.body_crc).then_some((header, middle..end))
    }
}

/// Bytes that a frame takes in a segment.
pub(crate) fn frame_bytes(header: usize, payload: usize) -> usize {
    (HEAD_BYTES + header + payload).next_multiple_of(ALIGN)
}

/// Where a frame is written: salts its checksums, so that a frame of an earlier use of the file never passes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) id: WalId,
    pub(crate) generation: u64,
    pub(crate) sequence: u64,
    pub(crate) durable: u64,
}

/// Appends a whole frame to `out`. Header and payload are below 4 GiB each (a request's limit is far below).
pub(crate) fn push_frame(out: &mut Vec<u8>, place: Place, header: &[u8], payload: &[u8]) {
    let start = out.len();
    let size = |bytes: &[u8]| u32::try_from(bytes.len()).expect("a frame's parts are below 4 GiB");
    out.extend(MAGIC);
    out.extend(size(header).to_le_bytes());
    out.extend(size(payload).to_le_bytes());
    out.extend(body_crc(place.id, place.generation, place.sequence, header, payload).to_le_bytes());
    for long in [place.generation, place.sequence, place.durable] {
        out.extend(long.to_le_bytes());
    }
    let crc = head_crc(place.id, &out[start..]);
    out.extend(crc.to_le_bytes());
    out.extend([0; 4]);
    out.extend(header);
    out.extend(payload);
    out.resize(start + frame_bytes(header.len(), payload.len()), 0);
}

/// What comes next in a piece of a segment.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Next {
    /// A frame.
    Whole(Spot),
    /// A frame whose end lies beyond the piece.
    Cut(Spot),
    /// No head before this offset, which is too near to the piece's end to hold one.
    None(usize),
}

/// The first frame at `offset` or after it; steps over damage by looking for the next intact head.
pub(crate) fn next_frame(id: WalId, generation: u64, piece: &[u8], mut offset: usize) -> Next {
    while offset + HEAD_BYTES <= piece.len() {
        match Head::parse(id, generation, &piece[offset..]) {
            Some(head) if offset + head.frame_bytes() <= piece.len() => return Next::Whole(Spot { offset, head }),
            Some(head) => return Next::Cut(Spot { offset, head }),
            None => offset += ALIGN,
        }
    }
    Next::None(offset)
}

/// All frames of a segment's use, in order.
pub(crate) fn find_frames(id: WalId, generation: u64, segment: &[u8]) -> Vec<Spot> {
    let (mut spots, mut offset) = (Vec::new(), 0);
    loop {
        match next_frame(id, generation, segment, offset) {
            Next::Whole(spot) => {
                spots.push(spot);
                offset = spot.offset + spot.head.frame_bytes();
            }
            // What claims to go on behind the segment's end is damage.
            Next::Cut(spot) => offset = spot.offset + ALIGN,
            Next::None(_) => return spots,
        }
    }
}

fn head_crc(id: WalId, head: &[u8]) -> u32 {
    let mut hasher = Hasher::new();
    hasher.update(&id.0);
    hasher.update(head);
    hasher.finalize()
}

fn body_crc(id: WalId, generation: u64, sequence: u64, header: &[u8], payload: &[u8]) -> u32 {
    let mut hasher = Hasher::new();
    hasher.update(&id.0);
    hasher.update(&generation.to_le_bytes());
    hasher.update(&sequence.to_le_bytes());
    hasher.update(header);
    hasher.update(payload);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: WalId = WalId([1, 2, 3, 4, 5, 6, 7, 8]);

    fn segment() -> Vec<u8> {
        let mut out = Vec::new();
        for (sequence, payload) in [(5, &b"alpha"[..]), (6, b""), (7, &[9; 100])] {
            push_frame(&mut out, Place { id: ID, generation: 3, sequence, durable: 4 }, b"head", payload);
        }
        out.resize(4096, 0);
        out
    }

    fn sound(id: WalId, generation: u64, segment: &[u8]) -> Vec<u64> {
        let spots = find_frames(id, generation, segment);
        spots.iter().filter(|spot| spot.body(id, segment).is_some()).map(|spot| spot.head.sequence).collect()
    }

    #[test]
    fn frames_read_back_and_pass_only_in_their_own_log_and_use() {
        let segment = segment();
        assert_eq!(sound(ID, 3, &segment), [5, 6, 7]);
        assert!(sound(ID, 4, &segment).is_empty());
        assert!(sound(WalId([0; 8]), 3, &segment).is_empty());
        let spot = find_frames(ID, 3, &segment)[0];
        let (header, payload) = spot.body(ID, &segment).expect("sound");
        assert_eq!((header, &segment[payload]), (&b"head"[..], &b"alpha"[..]));
    }

    #[test]
    fn any_flipped_byte_costs_its_own_frame_only() {
        let clean = segment();
        let used = find_frames(ID, 3, &clean).iter().map(|spot| spot.head.frame_bytes()).sum();
        for at in 0..used {
            let mut damaged = clean.clone();
            damaged[at] ^= 1;
            let left = sound(ID, 3, &damaged);
            assert!(left.len() >= 2, "byte {at} cost more than its frame: {left:?}");
        }
    }
}
