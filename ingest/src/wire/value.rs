//! `AnyValue` and `KeyValue`, and the state of a walk: limits, the current record's fault, how many values it holds.
//!
//! Fields: `opentelemetry/proto/common/v1/common.proto`. The string-table fields of profiles are ignored.

use tracelake_model::DecodeLimits;
use tracelake_model::semconv::Promoted;

use crate::otlp::partial::Reason;
use crate::wire::field::{Fields, Malformed, Wire};
use crate::wire::key::{Key, Keys};

/// Values, attributes, events, links and exemplars that one record may hold in all. Bounds the memory of a walk, which
/// holds one record at a time, whatever the payload claims.
pub(crate) const ITEMS_MAX: u32 = 1 << 20;

/// Events, links, exemplars and quantiles that one request may hold in all. Each takes two bytes of payload at least and
/// up to fifty of columns, so that a full request of them would take twenty times its size.
pub(crate) const INNER_ROWS_MAX: u32 = 1 << 20;

/// One attribute value, borrowed from the payload.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum Any<'a> {
    /// No value was set.
    #[default]
    Empty,
    /// Text.
    Text(&'a str),
    /// True or false.
    Bool(bool),
    /// A 64-bit integer.
    Int(i64),
    /// A double.
    Double(f64),
    /// Raw bytes.
    Bytes(&'a [u8]),
    /// Values in order.
    Array(Vec<Any<'a>>),
    /// Keys with values in order.
    Map(Attributes<'a>),
}

/// Keys with values, in the order they came.
pub(crate) type Attributes<'a> = Vec<(Key<'a>, Any<'a>)>;

/// State of a walk over one request.
#[derive(Debug)]
pub(crate) struct Walk<'a> {
    /// Limits of the request.
    pub(crate) limits: DecodeLimits,
    /// Whether the counts of attributes that a sender dropped from resources and scopes are read; decoder 1 did not.
    pub(crate) counts_origin: bool,
    /// Why the record at hand is refused; the first reason found counts.
    fault: Option<Reason>,
    items: u32,
    inner_rows: u32,
    keys: Keys<'a>,
}

impl<'a> Walk<'a> {
    /// Starts with no fault. `promoted` are the attributes whose keys carry their place.
    pub(crate) fn new(limits: DecodeLimits, counts_origin: bool, promoted: &'static [Promoted]) -> Self {
        Self { limits, counts_origin, fault: None, items: 0, inner_rows: 0, keys: Keys::new(promoted) }
    }

    /// Begins the next record, which may inherit the fault of its resource or scope.
    pub(crate) fn begin(&mut self, inherited: Option<Reason>) {
        self.fault = inherited;
        self.items = 0;
    }

    /// Why the record at hand is refused.
    pub(crate) fn fault(&self) -> Option<Reason> {
        self.fault
    }

    /// Refuses the record at hand.
    pub(crate) fn refuse(&mut self, reason: Reason) {
        self.fault.get_or_insert(reason);
    }

    /// Counts one more nested value; whether it may be kept.
    pub(crate) fn admit(&mut self) -> bool {
        self.items = self.items.saturating_add(1);
        if self.items > ITEMS_MAX {
            self.refuse(Reason::Items);
        }
        self.fault.is_none()
    }

    /// Counts one more event, link, exemplar or quantile; whether it may be kept. Decoder 1 counted them per record only.
    pub(crate) fn admit_row(&mut self) -> bool {
        self.inner_rows = self.inner_rows.saturating_add(1);
        if self.inner_rows > INNER_ROWS_MAX && self.counts_origin {
            self.refuse(Reason::Items);
        }
        self.admit()
    }

    /// Text of a field.
    pub(crate) fn text(&mut self, wire: Wire<'a>) -> Result<&'a str, Malformed> {
        Ok(str::from_utf8(wire.bytes()?).unwrap_or_else(|_| {
            self.refuse(Reason::Utf8);
            ""
        }))
    }

    /// Refuses the record at hand if one of these, read by [`Wire::bits`], was too large. Called once all fields are
    /// read: of a field that comes twice the last value counts, whatever was before.
    pub(crate) fn fit(&mut self, bits: &[i64], reason: Reason) {
        if bits.iter().any(|bits| *bits < 0) {
            self.refuse(reason);
        }
    }

    /// An unsigned number that must fit a signed one.
    pub(crate) fn signed(&mut self, value: u64, reason: Reason) -> i64 {
        i64::try_from(value).unwrap_or_else(|_| {
            self.refuse(reason);
            0
        })
    }

    /// One more attribute of a repeated `KeyValue` field.
    pub(crate) fn attribute(&mut self, wire: Wire<'a>, into: &mut Attributes<'a>) -> Result<(), Malformed> {
        self.key_value(wire.bytes()?, 1, into)
    }

    fn key_value(&mut self, message: &'a [u8], level: u32, into: &mut Attributes<'a>) -> Result<(), Malformed> {
        let (mut key, mut value) = (None, Any::Empty);
        let mut fields = Fields::new(message);
        while let Some((number, wire)) = fields.next()? {
            match number {
                1 => {
                    key = self.keys.find(wire.bytes()?);
                    if key.is_none() {
                        self.refuse(Reason::Utf8);
                    }
                }
                2 => self.merge_any(wire.bytes()?, level, &mut value)?,
                _ => {}
            }
        }
        if self.admit() {
            into.push((key.unwrap_or(Key::from("")), value));
        }
        Ok(())
    }

    /// A whole `AnyValue` as the value of a record's field, at the first level of nesting.
    pub(crate) fn any(&mut self, wire: Wire<'a>, into: &mut Any<'a>) -> Result<(), Malformed> {
        self.merge_any(wire.bytes()?, 1, into)
    }

    fn merge_any(&mut self, message: &'a [u8], level: u32, into: &mut Any<'a>) -> Result<(), Malformed> {
        if level > self.limits.nesting {
            self.refuse(Reason::Nesting);
            return Ok(());
        }
        let mut fields = Fields::new(message);
        while let Some((number, wire)) = fields.next()? {
            match number {
                1 => *into = Any::Text(self.text(wire)?),
                2 => *into = Any::Bool(wire.varint()? != 0),
                3 => *into = Any::Int(wire.varint()? as i64),
                4 => *into = Any::Double(wire.double()?),
                5 => {
                    let mut values = if let Any::Array(values) = std::mem::take(into) { values } else { Vec::new() };
                    self.merge_array(wire.bytes()?, level + 1, &mut values)?;
                    *into = Any::Array(values);
                }
                6 => {
                    let mut entries = if let Any::Map(entries) = std::mem::take(into) { entries } else { Vec::new() };
                    self.merge_map(wire.bytes()?, level + 1, &mut entries)?;
                    *into = Any::Map(entries);
                }
                7 => *into = Any::Bytes(wire.bytes()?),
                _ => {}
            }
        }
        Ok(())
    }

    fn merge_array(&mut self, message: &'a [u8], level: u32, into: &mut Vec<Any<'a>>) -> Result<(), Malformed> {
        let mut fields = Fields::new(message);
        while let Some((number, wire)) = fields.next()? {
            if number == 1 {
                let mut value = Any::Empty;
                self.merge_any(wire.bytes()?, level, &mut value)?;
                if self.admit() {
                    into.push(value);
                }
            }
        }
        Ok(())
    }

    fn merge_map(&mut self, message: &'a [u8], level: u32, into: &mut Attributes<'a>) -> Result<(), Malformed> {
        let mut fields = Fields::new(message);
        while let Some((number, wire)) = fields.next()? {
            if number == 1 {
                self.key_value(wire.bytes()?, level, into)?;
            }
        }
        Ok(())
    }
}
