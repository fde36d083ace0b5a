//! The compact, versioned encoding of what stands in front of a frame's payload.
//!
//! Version byte, kind byte, then fields in fixed order: integers as LEB128 varints, text with its length. New fields
//! come with a new version; old versions stay readable. Deliberately says nothing about payload bytes.

use std::sync::Arc;

use tracelake_model::{ContentType, DecodeLimits, Encoding, Header, Signal, Table, TenantId, UnixNano};

const VERSION: u8 = 1;
const REQUEST: u8 = 1;
const DERIVED: u8 = 2;

/// Numbers of tables on disk: places in this list, which only ever grows.
const TABLES: [Table; 9] = [
    Table::Spans,
    Table::Logs,
    Table::Metrics,
    Table::Audit,
    Table::Exceptions,
    Table::Alerts,
    Table::Notices,
    Table::ServiceEdges,
    Table::ServiceMinutes,
];
const SIGNALS: [Signal; 4] = [Signal::Traces, Signal::Logs, Signal::Metrics, Signal::Audit];
const CONTENT_TYPES: [ContentType; 2] = [ContentType::Protobuf, ContentType::Json];
const ENCODINGS: [Encoding; 4] = [Encoding::Identity, Encoding::Gzip, Encoding::Zstd, Encoding::Deflate];

/// What a frame holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FrameHeader {
    /// A payload as it came through a door.
    Request(Header),
    /// Rows computed by us; the payload is Arrow IPC.
    Derived(DerivedHeader),
}

/// The header of a derived frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DerivedHeader {
    /// Whose.
    pub(crate) tenant: TenantId,
    /// The stream.
    pub(crate) source: Arc<str>,
    /// How far the stream is once this frame is stored.
    pub(crate) position: u64,
    /// When it was appended.
    pub(crate) received: UnixNano,
    /// Rows per table, in the order of the payload's batches.
    pub(crate) rows: Vec<(Table, u32)>,
}

impl FrameHeader {
    pub(crate) fn tenant(&self) -> &TenantId {
        match self {
            Self::Request(header) => &header.tenant,
            Self::Derived(header) => &header.tenant,
        }
    }

    pub(crate) fn received(&self) -> UnixNano {
        match self {
            Self::Request(header) => header.received,
            Self::Derived(header) => header.received,
        }
    }

    /// Rows per table.
    pub(crate) fn rows(&self) -> &[(Table, u32)] {
        match self {
            Self::Request(header) => &header.accepted,
            Self::Derived(header) => &header.rows,
        }
    }

    /// Whether taps see it.
    pub(crate) fn observable(&self) -> bool {
        matches!(self, Self::Request(_))
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.push(VERSION);
        match self {
            Self::Request(header) => {
                out.push(REQUEST);
                push_request(out, header);
            }
            Self::Derived(header) => {
                out.push(DERIVED);
                push_text(out, header.tenant.as_str());
                push_text(out, &header.source);
                push_varint(out, header.position);
                push_time(out, header.received);
                push_rows(out, &header.rows);
            }
        }
    }

    /// Reads what `encode` wrote; says what is wrong otherwise.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, &'static str> {
        let mut input = Input(bytes);
        if input.byte()? != VERSION {
            return Err("a frame of an unknown version; start the version that wrote it");
        }
        let header = match input.byte()? {
            REQUEST => Self::Request(input.request()?),
            DERIVED => Self::Derived(DerivedHeader {
                tenant: input.tenant()?,
                source: Arc::from(input.text()?),
                position: input.varint()?,
                received: input.time()?,
                rows: input.rows()?,
            }),
            _ => return Err("a frame of an unknown kind; start the version that wrote it"),
        };
        if input.0.is_empty() { Ok(header) } else { Err("a frame header with bytes left over") }
    }
}

fn push_request(out: &mut Vec<u8>, header: &Header) {
    push_text(out, header.tenant.as_str());
    out.extend([
        code(&SIGNALS, header.signal),
        code(&CONTENT_TYPES, header.content_type),
        code(&ENCODINGS, header.encoding),
    ]);
    push_time(out, header.received);
    push_varint(out, u64::from(header.decoder));
    let limits = &header.limits;
    push_varint(out, limits.request_bytes);
    for limit in [limits.records, limits.attributes, limits.value_bytes, limits.nesting, header.refused] {
        push_varint(out, u64::from(limit));
    }
    out.push(u8::from(header.hash.is_some()));
    out.extend(header.hash.iter().flatten());
    push_rows(out, &header.accepted);
    push_varint(out, header.audit_seq);
}

fn code<T: PartialEq + Copy>(list: &[T], value: T) -> u8 {
    let at = list.iter().position(|&known| known == value);
    at.and_then(|at| u8::try_from(at).ok()).expect("every value stands in its list")
}

fn push_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(u8::try_from(value & 0x7f).expect("seven bits") | 0x80);
        value >>= 7;
    }
    out.push(u8::try_from(value).expect("seven bits"));
}

fn push_text(out: &mut Vec<u8>, text: &str) {
    push_varint(out, text.len() as u64);
    out.extend(text.as_bytes());
}

fn push_time(out: &mut Vec<u8>, at: UnixNano) {
    out.extend(at.0.to_le_bytes());
}

fn push_rows(out: &mut Vec<u8>, rows: &[(Table, u32)]) {
    push_varint(out, rows.len() as u64);
    for &(table, count) in rows {
        out.push(code(&TABLES, table));
        push_varint(out, u64::from(count));
    }
}

struct Input<'a>(&'a [u8]);

const SHORT: &str = "a frame header that ends early";
const UNKNOWN: &str = "a frame header with an unknown code";

impl<'a> Input<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], &'static str> {
        let (head, rest) = self.0.split_at_checked(count).ok_or(SHORT)?;
        self.0 = rest;
        Ok(head)
    }

    fn byte(&mut self) -> Result<u8, &'static str> {
        Ok(self.take(1)?[0])
    }

    fn varint(&mut self) -> Result<u64, &'static str> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err("a frame header with an endless number")
    }

    fn small<T: TryFrom<u64>>(&mut self) -> Result<T, &'static str> {
        T::try_from(self.varint()?).map_err(|_| "a frame header with a number out of range")
    }

    fn text(&mut self) -> Result<&'a str, &'static str> {
        let length = self.small()?;
        std::str::from_utf8(self.take(length)?).map_err(|_| "a frame header with text that is no UTF-8")
    }

    fn tenant(&mut self) -> Result<TenantId, &'static str> {
        TenantId::new(self.text()?).map_err(|_| "a frame header with a bad tenant")
    }

    fn time(&mut self) -> Result<UnixNano, &'static str> {
        let bytes = self.take(8)?;
        Ok(UnixNano(i64::from_le_bytes(bytes.try_into().map_err(|_| SHORT)?)))
    }

    fn pick<T: Copy>(&mut self, list: &[T]) -> Result<T, &'static str> {
        list.get(usize::from(self.byte()?)).copied().ok_or(UNKNOWN)
    }

    fn rows(&mut self) -> Result<Vec<(Table, u32)>, &'static str> {
        let count: usize = self.small()?;
        (0..count).map(|_| Ok((self.pick(&TABLES)?, self.small()?))).collect()
    }

    fn request(&mut self) -> Result<Header, &'static str> {
        let tenant = self.tenant()?;
        let (signal, content_type) = (self.pick(&SIGNALS)?, self.pick(&CONTENT_TYPES)?);
        let encoding = self.pick(&ENCODINGS)?;
        let (received, decoder) = (self.time()?, self.small()?);
        let limits = DecodeLimits {
            request_bytes: self.varint()?,
            records: self.small()?,
            attributes: self.small()?,
            value_bytes: self.small()?,
            nesting: self.small()?,
        };
        let refused = self.small()?;
        let hash = match self.byte()? {
            0 => None,
            1 => Some(self.take(16)?.try_into().map_err(|_| SHORT)?),
            _ => return Err(UNKNOWN),
        };
        let (accepted, audit_seq) = (self.rows()?, self.varint()?);
        Ok(Header {
            tenant,
            signal,
            content_type,
            encoding,
            received,
            decoder,
            limits,
            hash,
            accepted,
            refused,
            audit_seq,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn examples() -> Vec<FrameHeader> {
        let plain = Header {
            tenant: TenantId::default(),
            signal: Signal::Audit,
            content_type: ContentType::Json,
            encoding: Encoding::Deflate,
            received: UnixNano(i64::MIN),
            decoder: u16::MAX,
            limits: DecodeLimits::default(),
            hash: Some([7; 16]),
            accepted: TABLES.into_iter().zip(0..).map(|(table, rows)| (table, rows * 1000)).collect(),
            refused: u32::MAX,
            audit_seq: u64::MAX,
        };
        let other = Header { hash: None, accepted: Vec::new(), signal: Signal::Traces, ..plain.clone() };
        let derived = DerivedHeader {
            tenant: TenantId::new("team-7").expect("a tenant"),
            source: Arc::from("exceptions"),
            position: 1 << 40,
            received: UnixNano(1),
            rows: vec![(Table::Exceptions, 3)],
        };
        vec![FrameHeader::Request(plain), FrameHeader::Request(other), FrameHeader::Derived(derived)]
    }

    #[test]
    fn every_header_reads_back_and_no_beginning_of_one_does() {
        for header in examples() {
            let mut bytes = Vec::new();
            header.encode(&mut bytes);
            assert_eq!(FrameHeader::decode(&bytes), Ok(header));
            for end in 0..bytes.len() {
                assert!(FrameHeader::decode(&bytes[..end]).is_err(), "{end} of {}", bytes.len());
            }
            bytes.push(0);
            assert!(FrameHeader::decode(&bytes).is_err());
        }
    }

    #[test]
    fn every_table_has_a_number_on_disk() {
        for table in Table::ALL {
            assert_eq!(TABLES[usize::from(code(&TABLES, table))], table);
        }
    }
}
