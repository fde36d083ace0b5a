//! Thrift's binary protocol (apache/thrift `doc/specs/thrift-binary-protocol.md`): fields, scalars, lists, and skipping
//! what is not known.
//!
//! Bounded by the bytes at hand: no length is believed beyond them, no memory is taken for a count, nesting has a limit.
//! Knows no struct of its own. Deliberately not the compact protocol, which no client sends over HTTP.

/// Structs, lists and maps inside one another. Jaeger's deepest is a tag of a log of a span in a list: 6.
const NESTING_MAX: u32 = 32;

/// Bytes that are not Thrift, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Broken {
    what: &'static str,
    /// Byte from the beginning.
    at: usize,
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} at byte {}", self.what, self.at)
    }
}

/// A type on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Bool,
    Byte,
    Double,
    I16,
    I32,
    I64,
    /// Text or bytes.
    Binary,
    Struct,
    Map,
    Set,
    List,
}

/// Reads from a message's first byte to its last.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    length: usize,
}

impl<'a> Reader<'a> {
    /// Starts at the first byte.
    pub(crate) fn new(message: &'a [u8]) -> Self {
        Self { rest: message, length: message.len() }
    }

    fn broken(&self, what: &'static str) -> Broken {
        Broken { what, at: self.length - self.rest.len() }
    }

    fn take(&mut self, bytes: usize) -> Result<&'a [u8], Broken> {
        let (taken, rest) = self.rest.split_at_checked(bytes).ok_or(self.broken("the message ends inside a value"))?;
        self.rest = rest;
        Ok(taken)
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], Broken> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(self.broken("the message ends inside a value"))?;
        self.rest = rest;
        Ok(*taken)
    }

    /// The next field of a struct: number and type; `None` at the struct's end.
    pub(crate) fn field(&mut self) -> Result<Option<(i16, Kind)>, Broken> {
        let [kind] = self.fixed()?;
        if kind == 0 {
            return Ok(None);
        }
        let kind = self.kind(kind)?;
        Ok(Some((i16::from_be_bytes(self.fixed()?), kind)))
    }

    fn kind(&self, number: u8) -> Result<Kind, Broken> {
        Ok(match number {
            2 => Kind::Bool,
            3 => Kind::Byte,
            4 => Kind::Double,
            6 => Kind::I16,
            8 => Kind::I32,
            10 => Kind::I64,
            11 => Kind::Binary,
            12 => Kind::Struct,
            13 => Kind::Map,
            14 => Kind::Set,
            15 => Kind::List,
            _ => return Err(self.broken("there is no such type")),
        })
    }

    /// True or false.
    pub(crate) fn bool(&mut self) -> Result<bool, Broken> {
        let [byte] = self.fixed()?;
        Ok(byte != 0)
    }

    /// A 32-bit integer.
    pub(crate) fn i32(&mut self) -> Result<i32, Broken> {
        Ok(i32::from_be_bytes(self.fixed()?))
    }

    /// A 64-bit integer.
    pub(crate) fn i64(&mut self) -> Result<i64, Broken> {
        Ok(i64::from_be_bytes(self.fixed()?))
    }

    /// A double.
    pub(crate) fn double(&mut self) -> Result<f64, Broken> {
        Ok(f64::from_be_bytes(self.fixed()?))
    }

    /// Text or bytes.
    pub(crate) fn binary(&mut self) -> Result<&'a [u8], Broken> {
        let length = self.i32()?;
        let length = usize::try_from(length).map_err(|_| self.broken("a length is negative"))?;
        self.take(length)
    }

    /// The head of a list or set: what its elements are and how many. Each takes a byte at least.
    pub(crate) fn list(&mut self) -> Result<(Kind, usize), Broken> {
        let [kind] = self.fixed()?;
        let count = self.count()?;
        // Some writers give an empty list no type.
        let kind = if count == 0 { Kind::Byte } else { self.kind(kind)? };
        Ok((kind, count))
    }

    fn count(&mut self) -> Result<usize, Broken> {
        let count = self.i32()?;
        let fits = |count: &usize| *count <= self.rest.len();
        usize::try_from(count).ok().filter(fits).ok_or(self.broken("a list is longer than the message"))
    }

    /// Passes over a value.
    pub(crate) fn skip(&mut self, kind: Kind) -> Result<(), Broken> {
        self.skip_within(kind, NESTING_MAX)
    }

    fn skip_within(&mut self, kind: Kind, levels: u32) -> Result<(), Broken> {
        let inner = || levels.checked_sub(1).ok_or(self.broken("values nest too deep"));
        match kind {
            Kind::Bool | Kind::Byte => self.take(1).map(drop),
            Kind::I16 => self.take(2).map(drop),
            Kind::I32 => self.take(4).map(drop),
            Kind::Double | Kind::I64 => self.take(8).map(drop),
            Kind::Binary => self.binary().map(drop),
            Kind::Struct => {
                let inner = inner()?;
                while let Some((_, kind)) = self.field()? {
                    self.skip_within(kind, inner)?;
                }
                Ok(())
            }
            Kind::Set | Kind::List => {
                let inner = inner()?;
                let (kind, count) = self.list()?;
                (0..count).try_for_each(|_| self.skip_within(kind, inner))
            }
            Kind::Map => {
                let inner = inner()?;
                let [key, value] = self.fixed()?;
                let count = self.count()?;
                if count == 0 {
                    return Ok(());
                }
                let (key, value) = (self.kind(key)?, self.kind(value)?);
                (0..count).try_for_each(|_| {
                    self.skip_within(key, inner)?;
                    self.skip_within(value, inner)
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_values_of_every_type_are_passed_over() {
        let check = |kind: Kind, bytes: &[u8]| {
            let message = [bytes, &[7]].concat();
            let mut reader = Reader::new(&message);
            assert_eq!(reader.skip(kind), Ok(()), "{kind:?}");
            assert_eq!(reader.rest, [7], "{kind:?}");
        };
        check(Kind::Bool, &[1]);
        check(Kind::I16, &[0; 2]);
        check(Kind::I32, &[0; 4]);
        check(Kind::Double, &[0; 8]);
        check(Kind::Binary, &[0, 0, 0, 2, 1, 2]);
        check(Kind::Struct, &[2, 0, 1, 1, 12, 0, 2, 0, 0]);
        check(Kind::List, &[3, 0, 0, 0, 2, 1, 2]);
        check(Kind::Set, &[0, 0, 0, 0, 0]);
        check(Kind::Map, &[3, 11, 0, 0, 0, 1, 5, 0, 0, 0, 1, 6]);
    }

    #[test]
    fn what_is_not_thrift_is_told_with_its_place() {
        let check = |bytes: &[u8], expected: &str| {
            let told = Reader::new(bytes).skip(Kind::Struct).expect_err("broken").to_string();
            assert_eq!(told, expected, "{bytes:?}");
        };
        check(&[], "the message ends inside a value at byte 0");
        check(&[8, 0, 1, 0], "the message ends inside a value at byte 3");
        check(&[9, 0, 1], "there is no such type at byte 1");
        check(&[11, 0, 1, 255, 255, 255, 255], "a length is negative at byte 7");
        check(&[11, 0, 1, 127, 255, 255, 255, 0], "the message ends inside a value at byte 7");
        check(&[15, 0, 1, 12, 127, 255, 255, 255, 0], "a list is longer than the message at byte 8");
        check(&[12, 0, 1].repeat(100), "values nest too deep at byte 96");
    }
}
