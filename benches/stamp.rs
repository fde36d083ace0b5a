//! OTLP requests that can be sent again and again as new ones: other ids, other times.
//!
//! Deliberately knows just enough protobuf to find ids and times in place; nothing is decoded or encoded.

/// What stands in a message that is of use here.
struct Shape {
    /// Fields that are messages, and what these hold.
    inside: &'static [(u64, &'static Shape)],
    /// Fields that are ids (bytes).
    ids: &'static [u64],
    /// Fields that are times (fixed64).
    times: &'static [u64],
    /// Whether it is a span, a log record or a point.
    is_record: bool,
}

const NOTHING: Shape = Shape { inside: &[], ids: &[], times: &[], is_record: false };
const EVENT: Shape = Shape { times: &[1], ..NOTHING };
const SPAN: Shape = Shape { inside: &[(11, &EVENT)], ids: &[1, 2, 4], times: &[7, 8], is_record: true };
const LOG: Shape = Shape { ids: &[9, 10], times: &[1, 11], is_record: true, ..NOTHING };
const POINT: Shape = Shape { times: &[2, 3], is_record: true, ..NOTHING };
const POINTS: Shape = Shape { inside: &[(1, &POINT)], ..NOTHING };
const METRIC: Shape =
    Shape { inside: &[(5, &POINTS), (7, &POINTS), (9, &POINTS), (10, &POINTS), (11, &POINTS)], ..NOTHING };

/// What a request sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "each bench has its own")]
pub(crate) enum Signal {
    /// Spans.
    Traces,
    /// Log records.
    Logs,
    /// Metric points.
    Metrics,
}

impl Signal {
    /// The last word of its path.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Logs => "logs",
            Self::Metrics => "metrics",
        }
    }

    fn record(self) -> &'static Shape {
        match self {
            Self::Traces => &SPAN,
            Self::Logs => &LOG,
            Self::Metrics => &METRIC,
        }
    }
}

/// One request and the places in it that make it new.
pub(crate) struct Request {
    bytes: Vec<u8>,
    /// First bytes of ids.
    ids: Vec<usize>,
    /// Times, fixed64.
    times: Vec<usize>,
    /// The newest of them.
    pub(crate) newest: u64,
    /// Spans, log records or points in it.
    pub(crate) records: u64,
}

impl Request {
    /// Takes an export request.
    pub(crate) fn read(signal: Signal, bytes: Vec<u8>) -> Request {
        let mut request = Request { bytes: Vec::new(), ids: Vec::new(), times: Vec::new(), newest: 0, records: 0 };
        // Records are field 2 of field 2 of field 1, whatever the signal.
        let places = fields(&bytes, 0, bytes.len(), 1)
            .into_iter()
            .flat_map(|(at, end)| fields(&bytes, at, end, 2))
            .flat_map(|(at, end)| fields(&bytes, at, end, 2));
        for (at, end) in places {
            request.walk(signal.record(), &bytes, at, end);
        }
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
            let time = fixed64(&bytes, at).wrapping_add(shift_ns);
            bytes[at..at + 8].copy_from_slice(&time.to_le_bytes());
        }
        bytes
    }

    fn walk(&mut self, shape: &Shape, bytes: &[u8], at: usize, end: usize) {
        self.records += u64::from(shape.is_record);
        for field in (Fields { bytes, at, end }) {
            match field {
                Field::Fixed64 { number, at } if shape.times.contains(&number) => {
                    let time = fixed64(bytes, at);
                    if time > 0 {
                        self.times.push(at);
                        self.newest = self.newest.max(time);
                    }
                }
                Field::Bytes { number, at, end } => {
                    if let Some((_, inner)) = shape.inside.iter().find(|(inside, _)| *inside == number) {
                        self.walk(inner, bytes, at, end);
                    } else if shape.ids.contains(&number) && end - at >= 8 {
                        self.ids.push(at);
                    }
                }
                Field::Fixed64 { .. } => {}
            }
        }
    }
}

/// Where the messages of one field stand.
fn fields(bytes: &[u8], at: usize, end: usize, wanted: u64) -> Vec<(usize, usize)> {
    let of_field = |field| match field {
        Field::Bytes { number, at, end } if number == wanted => Some((at, end)),
        _ => None,
    };
    Fields { bytes, at, end }.filter_map(of_field).collect()
}

enum Field {
    Fixed64 { number: u64, at: usize },
    Bytes { number: u64, at: usize, end: usize },
}

/// The fields of a message that may be of use.
struct Fields<'a> {
    bytes: &'a [u8],
    at: usize,
    end: usize,
}

impl Iterator for Fields<'_> {
    type Item = Field;

    fn next(&mut self) -> Option<Field> {
        while self.at < self.end {
            let tag = varint(self.bytes, &mut self.at);
            let number = tag >> 3;
            match tag & 7 {
                0 => drop(varint(self.bytes, &mut self.at)),
                1 => {
                    self.at += 8;
                    return Some(Field::Fixed64 { number, at: self.at - 8 });
                }
                5 => self.at += 4,
                _ => {
                    let length = usize::try_from(varint(self.bytes, &mut self.at)).unwrap_or(0);
                    self.at += length;
                    return Some(Field::Bytes { number, at: self.at - length, end: self.at });
                }
            }
        }
        None
    }
}

fn fixed64(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
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
