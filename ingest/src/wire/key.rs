//! Attribute keys: the few that a request repeats are checked once and known by a number.
//!
//! What a number stands for lasts as long as the walk over one request. Deliberately knows no column: a key only carries
//! its place in the list that the walk was given.

use std::collections::HashMap;
use std::ops::Deref;

use tracelake_model::semconv::Promoted;

/// Keys beyond this many of one request have no number, so that nobody can make the table large.
const NUMBERED_MAX: usize = 1 << 10;
/// Places of keys that were seen lately; twice as many as a request has different keys, mostly.
const SLOTS: usize = 256;
/// Odd, its bits in no order (the golden ratio's).
const SCATTER: u64 = 0x9e37_79b9_7f4a_7c15;

/// The key of an attribute.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key<'a> {
    text: &'a str,
    /// The same for equal keys of one request, different for different ones; `None` where nobody counted.
    number: Option<u16>,
    /// Where it stands in the list of promoted attributes.
    promoted: Option<u8>,
    /// Whether it stands in JSON as it is.
    plain: bool,
}

impl<'a> Key<'a> {
    fn new(text: &'a str, number: Option<u16>, promoted: &[Promoted]) -> Self {
        let place = promoted.iter().position(|known| known.key == text);
        let escapes = |byte: u8| byte < b' ' || matches!(byte, b'"' | b'\\');
        Self {
            text,
            number,
            promoted: place.and_then(|place| u8::try_from(place).ok()),
            plain: !text.starts_with('$') && !text.bytes().any(escapes),
        }
    }

    /// The key as text.
    pub(crate) fn text(self) -> &'a str {
        self.text
    }

    /// Its number within the request.
    pub(crate) fn number(self) -> Option<u16> {
        self.number
    }

    /// Its place in the list of promoted attributes that the walk was given.
    pub(crate) fn promoted(self) -> Option<usize> {
        self.promoted.map(usize::from)
    }

    /// Whether it stands in JSON as it is, between quotes.
    pub(crate) fn is_plain(self) -> bool {
        self.plain
    }
}

impl<'a> From<&'a str> for Key<'a> {
    /// A key of nobody's request.
    fn from(text: &'a str) -> Self {
        Self::new(text, None, &[])
    }
}

impl Deref for Key<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        self.text
    }
}

impl PartialEq for Key<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl PartialEq<str> for Key<'_> {
    fn eq(&self, other: &str) -> bool {
        self.text == other
    }
}

impl PartialEq<&str> for Key<'_> {
    fn eq(&self, other: &&str) -> bool {
        self.text == *other
    }
}

/// The keys of one request.
#[derive(Debug)]
pub(crate) struct Keys<'a> {
    promoted: &'static [Promoted],
    /// A key for each of the slots, if one fell there.
    lately: Vec<Option<Key<'a>>>,
    numbered: HashMap<&'a str, Key<'a>>,
}

impl<'a> Keys<'a> {
    /// None yet; `promoted` are those that get a place.
    pub(crate) fn new(promoted: &'static [Promoted]) -> Self {
        Self { promoted, lately: vec![None; SLOTS], numbered: HashMap::new() }
    }

    /// The key of these bytes; `None` when they are not UTF-8.
    #[inline]
    pub(crate) fn find(&mut self, bytes: &'a [u8]) -> Option<Key<'a>> {
        let slot = slot(bytes);
        // Two keys that fall on one place find room beside each other.
        for at in [slot, slot ^ 1] {
            if let Some(Some(key)) = self.lately.get(at)
                && key.text.as_bytes() == bytes
            {
                return Some(*key);
            }
        }
        self.look(bytes, slot)
    }

    #[inline(never)]
    fn look(&mut self, bytes: &'a [u8], slot: usize) -> Option<Key<'a>> {
        let text = str::from_utf8(bytes).ok()?;
        let key = match self.numbered.get(text) {
            Some(key) => *key,
            None if self.numbered.len() < NUMBERED_MAX => {
                let key = Key::new(text, u16::try_from(self.numbered.len()).ok(), self.promoted);
                self.numbered.insert(text, key);
                key
            }
            None => Key::new(text, None, self.promoted),
        };
        let is_free = |at: usize| matches!(self.lately.get(at), Some(None));
        let at = if is_free(slot) || !is_free(slot ^ 1) { slot } else { slot ^ 1 };
        if let Some(lately) = self.lately.get_mut(at) {
            *lately = Some(key);
        }
        Some(key)
    }
}

/// Where a key falls, by its length and both its ends.
#[inline]
fn slot(bytes: &[u8]) -> usize {
    let (first, last) = match (bytes.first_chunk(), bytes.last_chunk()) {
        (Some(first), Some(last)) => (u64::from_le_bytes(*first), u64::from_le_bytes(*last)),
        _ => (bytes.iter().fold(0, |all, byte| all << 8 | u64::from(*byte)), 0),
    };
    let mixed = (first ^ last.rotate_left(29) ^ bytes.len() as u64).wrapping_mul(SCATTER);
    (mixed >> (u64::BITS - SLOTS.ilog2())) as usize
}

#[cfg(test)]
mod tests {
    use tracelake_model::semconv;

    use super::*;

    #[test]
    fn equal_keys_have_one_number_and_different_ones_two() {
        let names: Vec<String> = (0..2 * NUMBERED_MAX).map(|n| format!("key.of.some.length.{}", n * n)).collect();
        let mut keys = Keys::new(semconv::SPAN);
        for pass in 0..2 {
            for (n, name) in names.iter().enumerate() {
                let key = keys.find(name.as_bytes()).expect("is text");
                assert_eq!(
                    (key.text(), key.number().map(usize::from)),
                    (name.as_str(), (n < NUMBERED_MAX).then_some(n)),
                    "pass {pass}"
                );
            }
        }
    }

    #[test]
    fn a_key_knows_its_place_and_whether_json_takes_it_as_it_is() {
        let mut keys = Keys::new(semconv::SPAN);
        for (place, promoted) in semconv::SPAN.iter().enumerate() {
            assert_eq!(keys.find(promoted.key.as_bytes()).and_then(Key::promoted), Some(place));
        }
        for (text, plain) in [("", true), ("a.b", true), ("$a", false), ("a\"b", false), ("a\n", false), ("é", true)] {
            let key = keys.find(text.as_bytes()).expect("is text");
            assert_eq!((key.is_plain(), key.promoted()), (plain, None), "{text:?}");
        }
        assert_eq!(keys.find(&[0xff]), None);
    }
}
