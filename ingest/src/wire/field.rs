//! Fields of one protobuf message, one after the other (Protocol Buffers encoding, "Message Structure").
//!
//! Knows no message of its own. Groups, long deprecated and in no message of ours, are checked and skipped; under the
//! number of a field of ours a group is a wrong wire type like any other.

/// Bytes that are not protobuf, or not of the message they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) &'static str);

/// One field's value as written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Wire<'a> {
    /// Wire type 0.
    Varint(u64),
    /// Wire type 1.
    Fixed64(u64),
    /// Wire type 2.
    Bytes(&'a [u8]),
    /// Wire type 5.
    Fixed32(u32),
    /// Wire types 3 and 4: skipped.
    Group,
}

const WRONG_TYPE: Malformed = Malformed("a field has another wire type than its definition");
const TRUNCATED: Malformed = Malformed("the message ends inside a field");

impl<'a> Wire<'a> {
    /// A length-delimited value.
    #[inline]
    pub(crate) fn bytes(self) -> Result<&'a [u8], Malformed> {
        if let Self::Bytes(bytes) = self { Ok(bytes) } else { Err(WRONG_TYPE) }
    }

    /// A varint.
    #[inline]
    pub(crate) fn varint(self) -> Result<u64, Malformed> {
        if let Self::Varint(value) = self { Ok(value) } else { Err(WRONG_TYPE) }
    }

    /// A varint that holds a 32-bit unsigned value; upper bits are dropped, as protobuf readers do.
    #[inline]
    pub(crate) fn uint32(self) -> Result<u32, Malformed> {
        Ok(self.varint()? as u32)
    }

    /// A varint that holds an enum's number; upper bits are dropped, as protobuf readers do.
    #[inline]
    pub(crate) fn enumeration(self) -> Result<i32, Malformed> {
        Ok(self.varint()? as i32)
    }

    /// A varint that holds a zigzag 32-bit value.
    #[inline]
    pub(crate) fn sint32(self) -> Result<i32, Malformed> {
        let value = self.uint32()?;
        Ok((value >> 1) as i32 ^ -((value & 1) as i32))
    }

    /// Eight bytes.
    #[inline]
    pub(crate) fn fixed64(self) -> Result<u64, Malformed> {
        if let Self::Fixed64(value) = self { Ok(value) } else { Err(WRONG_TYPE) }
    }

    /// Eight bytes of an unsigned number as the signed one of the same bits: negative where it does not fit.
    #[inline]
    pub(crate) fn bits(self) -> Result<i64, Malformed> {
        Ok(self.fixed64()?.cast_signed())
    }

    /// Eight bytes as a double.
    #[inline]
    pub(crate) fn double(self) -> Result<f64, Malformed> {
        Ok(f64::from_bits(self.fixed64()?))
    }

    /// Four bytes.
    #[inline]
    pub(crate) fn fixed32(self) -> Result<u32, Malformed> {
        if let Self::Fixed32(value) = self { Ok(value) } else { Err(WRONG_TYPE) }
    }

    /// One element or a packed run of a repeated eight-byte field.
    pub(crate) fn each_fixed64(self, mut take: impl FnMut(u64)) -> Result<(), Malformed> {
        match self {
            Self::Fixed64(value) => take(value),
            Self::Bytes(bytes) => {
                let (words, rest) = bytes.as_chunks::<8>();
                if !rest.is_empty() {
                    return Err(TRUNCATED);
                }
                words.iter().for_each(|word| take(u64::from_le_bytes(*word)));
            }
            _ => return Err(WRONG_TYPE),
        }
        Ok(())
    }

    /// One element or a packed run of a repeated varint field.
    pub(crate) fn each_varint(self, mut take: impl FnMut(u64)) -> Result<(), Malformed> {
        match self {
            Self::Varint(value) => take(value),
            Self::Bytes(bytes) => {
                let mut run = Fields::new(bytes);
                while !run.rest.is_empty() {
                    take(run.varint()?);
                }
            }
            _ => return Err(WRONG_TYPE),
        }
        Ok(())
    }
}

/// Walks the fields of one message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    /// Starts at a message's first byte.
    pub(crate) fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    /// The next field's number and value; `None` at the message's end.
    #[inline]
    pub(crate) fn next(&mut self) -> Result<Option<(u32, Wire<'a>)>, Malformed> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        match self.short() {
            Some(field) => Ok(Some(field)),
            None => self.any(),
        }
    }

    /// A field whose tag and length take two bytes at most, as nearly all do. `None` leaves it to [`Fields::any`], which
    /// knows what is wrong with it, if anything is.
    #[inline]
    fn short(&mut self) -> Option<(u32, Wire<'a>)> {
        let (tag, rest) = short_varint(self.rest)?;
        let (value, rest) = match tag & 7 {
            0 => {
                let (value, rest) = short_varint(rest)?;
                (Wire::Varint(u64::from(value)), rest)
            }
            1 => {
                let (value, rest) = rest.split_first_chunk()?;
                (Wire::Fixed64(u64::from_le_bytes(*value)), rest)
            }
            2 => {
                let (length, rest) = short_varint(rest)?;
                let (value, rest) = rest.split_at_checked(length as usize)?;
                (Wire::Bytes(value), rest)
            }
            5 => {
                let (value, rest) = rest.split_first_chunk()?;
                (Wire::Fixed32(u32::from_le_bytes(*value)), rest)
            }
            _ => return None,
        };
        if tag < 8 {
            return None;
        }
        self.rest = rest;
        Some((tag >> 3, value))
    }

    /// Any field, groups included, or what is wrong with it.
    #[inline(never)]
    fn any(&mut self) -> Result<Option<(u32, Wire<'a>)>, Malformed> {
        let mut open: Vec<u32> = Vec::new();
        while !self.rest.is_empty() {
            let (number, wire_type) = self.tag()?;
            let value = match wire_type {
                0 => Wire::Varint(self.varint()?),
                1 => Wire::Fixed64(u64::from_le_bytes(self.fixed()?)),
                2 => {
                    let length = self.varint()?;
                    Wire::Bytes(self.take(usize::try_from(length).map_err(|_| TRUNCATED)?)?)
                }
                5 => Wire::Fixed32(u32::from_le_bytes(self.fixed()?)),
                3 => {
                    open.push(number);
                    continue;
                }
                4 if open.pop() == Some(number) => Wire::Group,
                4 => return Err(Malformed("a group ends that did not begin")),
                _ => return Err(Malformed("a field has a wire type that does not exist")),
            };
            if open.is_empty() {
                return Ok(Some((number, value)));
            }
        }
        if open.is_empty() { Ok(None) } else { Err(TRUNCATED) }
    }

    fn tag(&mut self) -> Result<(u32, u8), Malformed> {
        let tag = u32::try_from(self.varint()?).map_err(|_| Malformed("a field number is out of range"))?;
        match tag >> 3 {
            0 => Err(Malformed("a field has the number 0")),
            number => Ok((number, (tag & 7) as u8)),
        }
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        if let [byte @ 0..0x80, rest @ ..] = self.rest {
            self.rest = rest;
            return Ok(u64::from(*byte));
        }
        let mut value = 0_u64;
        for (at, &byte) in self.rest.iter().take(10).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * at);
            if byte < 0x80 {
                // The tenth byte holds the 64th bit only.
                if at == 9 && byte > 1 {
                    break;
                }
                self.rest = &self.rest[at + 1..];
                return Ok(value);
            }
        }
        Err(if self.rest.len() < 10 { TRUNCATED } else { Malformed("a varint is longer than 64 bits") })
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (value, rest) = self.rest.split_first_chunk::<N>().ok_or(TRUNCATED)?;
        self.rest = rest;
        Ok(*value)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (value, rest) = self.rest.split_at_checked(length).ok_or(TRUNCATED)?;
        self.rest = rest;
        Ok(value)
    }
}

/// A varint of one or two bytes, and what follows it.
#[inline]
fn short_varint(bytes: &[u8]) -> Option<(u32, &[u8])> {
    match bytes {
        [one @ 0..0x80, rest @ ..] => Some((u32::from(*one), rest)),
        [low, high @ 0..0x80, rest @ ..] => Some((u32::from(low & 0x7f) | u32::from(*high) << 7, rest)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(mut bytes: &[u8]) -> Result<Vec<(u32, Wire<'_>)>, Malformed> {
        let mut fields = Fields::new(std::mem::take(&mut bytes));
        let mut found = Vec::new();
        while let Some(field) = fields.next()? {
            found.push(field);
        }
        Ok(found)
    }

    #[test]
    fn fields_of_every_wire_type_are_read() {
        let check = |bytes: &[u8], expected: &[(u32, Wire<'_>)]| assert_eq!(all(bytes).as_deref(), Ok(expected));
        check(&[], &[]);
        check(&[0x08, 0x96, 0x01], &[(1, Wire::Varint(150))]);
        check(&[0x12, 0x02, b'h', b'i', 0x15, 1, 0, 0, 0], &[(2, Wire::Bytes(b"hi")), (2, Wire::Fixed32(1))]);
        check(&[0x19, 1, 0, 0, 0, 0, 0, 0, 0], &[(3, Wire::Fixed64(1))]);
        // A group with a field and a group inside is skipped whole.
        check(&[0x0b, 0x08, 0x01, 0x13, 0x14, 0x0c, 0x10, 0x02], &[(1, Wire::Group), (2, Wire::Varint(2))]);
        let greatest = [0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        check(&greatest, &[(1, Wire::Varint(u64::MAX))]);
    }

    #[test]
    fn what_is_not_protobuf_is_malformed() {
        let overlong = [0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02];
        for bytes in [
            &[0x08][..],
            &[0x80],
            &[0x12, 0x05, 1],
            &[0x00, 0x01],
            &[0x0c],
            &[0x0b, 0x08, 0x01],
            &[0x0b, 0x14],
            &[0x0e],
            &overlong,
            &[0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
        ] {
            assert!(all(bytes).is_err(), "{bytes:02x?}");
        }
    }

    #[test]
    fn repeated_numbers_come_packed_or_one_by_one() {
        let mut seen = Vec::new();
        Wire::Bytes(&[1, 0x96, 0x01]).each_varint(|value| seen.push(value)).expect("packed varints");
        Wire::Varint(7).each_varint(|value| seen.push(value)).expect("one varint");
        Wire::Bytes(&[2, 0, 0, 0, 0, 0, 0, 0]).each_fixed64(|value| seen.push(value)).expect("packed words");
        assert_eq!(seen, [1, 150, 7, 2]);
        assert!(Wire::Bytes(&[1, 2, 3]).each_fixed64(|_| ()).is_err());
        assert_eq!(Wire::Varint(3).sint32(), Ok(-2));
        assert_eq!(Wire::Varint(u64::from(u32::MAX)).sint32(), Ok(i32::MIN));
    }
}
