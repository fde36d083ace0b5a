//! Recorded trace requests that can be sent again and again as new ones: other ids, other times.
//!
//! Deliberately knows just enough protobuf to find ids and times of spans in place; nothing is decoded or encoded.

/// One request and the places in it that make it new.
pub(crate) struct Request {
    bytes: Vec<u8>,
    /// First bytes of trace, span and parent ids.
    ids: Vec<usize>,
    /// Times, fixed64.
    times: Vec<usize>,
    /// Spans in it.
    pub(crate) spans: u64,
}

impl Request {
    /// Takes an `ExportTraceServiceRequest`.
    pub(crate) fn read(bytes: Vec<u8>) -> Request {
        let mut request = Request { bytes: Vec::new(), ids: Vec::new(), times: Vec::new(), spans: 0 };
        request.walk(&bytes, 0, bytes.len(), 0);
        request.bytes = bytes;
        request
    }

    /// Bytes of it.
    pub(crate) fn size(&self) -> usize {
        self.bytes.len()
    }

    /// The request as the `pass`-th time it is sent: ids that no other pass has, times `shift_ns` later.
    pub(crate) fn stamp(&self, pass: u32, shift_ns: u64) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        for &at in &self.ids {
            bytes[at..at + 4].iter_mut().zip(pass.to_le_bytes()).for_each(|(byte, salt)| *byte ^= salt);
        }
        for &at in &self.times {
            let mut time = [0; 8];
            time.copy_from_slice(&bytes[at..at + 8]);
            bytes[at..at + 8].copy_from_slice(&(u64::from_le_bytes(time) + shift_ns).to_le_bytes());
        }
        bytes
    }

    /// Walks a message; spans are field 2 of field 2 of field 1.
    fn walk(&mut self, bytes: &[u8], mut at: usize, end: usize, depth: usize) {
        const SPANS: [u64; 3] = [1, 2, 2];
        while at < end {
            let tag = varint(bytes, &mut at);
            let (field, wire) = (tag >> 3, tag & 7);
            match wire {
                0 => drop(varint(bytes, &mut at)),
                1 => {
                    if depth == SPANS.len() && (field == 7 || field == 8) {
                        self.times.push(at);
                    }
                    at += 8;
                }
                5 => at += 4,
                _ => {
                    let length = usize::try_from(varint(bytes, &mut at)).unwrap_or(0);
                    if depth < SPANS.len() && field == SPANS[depth] {
                        self.spans += u64::from(depth + 1 == SPANS.len());
                        self.walk(bytes, at, at + length, depth + 1);
                    } else if depth == SPANS.len() && matches!(field, 1 | 2 | 4) && length >= 8 {
                        self.ids.push(at);
                    }
                    at += length;
                }
            }
        }
    }
}

fn varint(bytes: &[u8], at: &mut usize) -> u64 {
    let (mut value, mut shift) = (0, 0);
    while let Some(&byte) = bytes.get(*at) {
        *at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 || shift > 56 {
            break;
        }
        shift += 7;
    }
    value
}
