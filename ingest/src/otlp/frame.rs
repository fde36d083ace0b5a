//! The frame around one gRPC message: a compression flag, a length of four bytes, the message
//! (grpc/grpc `doc/PROTOCOL-HTTP2.md`, "Length-Prefixed-Message").
//!
//! Deliberately reads unary requests only: exactly one frame.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tracelake_model::Encoding;

use crate::error::Error;

/// Bytes in front of a message.
pub(crate) const PREFIX: usize = 5;

/// How many bytes a body has, its prefix says; `None` where that is not whole.
pub(crate) fn size(first: &[u8]) -> Option<u64> {
    let length = first.get(1..PREFIX)?.iter().fold(0, |length, byte| length << 8 | u64::from(*byte));
    Some(length + PREFIX as u64)
}

/// Takes the one message out of a request's body. `declared` is the request's `grpc-encoding`.
pub(crate) fn read(mut body: Bytes, declared: Option<Encoding>) -> Result<(Encoding, Bytes), Error> {
    if body.is_empty() {
        return Err(Error::Frame("the request has none"));
    }
    if body.len() < PREFIX {
        return Err(Error::Frame("the frame ends inside its prefix"));
    }
    let flag = body.get_u8();
    let length = usize::try_from(body.get_u32()).unwrap_or(usize::MAX);
    if body.len() < length {
        return Err(Error::Frame("the frame ends inside its message"));
    }
    if body.len() > length {
        return Err(Error::Frame("a unary request has exactly one"));
    }
    match (flag, declared) {
        (0, _) => Ok((Encoding::Identity, body)),
        (1, Some(encoding)) if encoding != Encoding::Identity => Ok((encoding, body)),
        (1, _) => Err(Error::Frame("it is flagged as compressed without a grpc-encoding")),
        _ => Err(Error::Frame("its compression flag is neither 0 nor 1")),
    }
}

/// Frames an answer, uncompressed.
pub(crate) fn write(message: &[u8]) -> Bytes {
    let mut framed = BytesMut::with_capacity(PREFIX + message.len());
    framed.put_u8(0);
    // Answers are a few hundred bytes.
    framed.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    framed.put_slice(message);
    framed.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_one_whole_frame_is_a_request() {
        let check = |body: &[u8], declared, expected: Option<(Encoding, &[u8])>| {
            let found = read(Bytes::copy_from_slice(body), declared).ok();
            let expected = expected.map(|(encoding, message)| (encoding, Bytes::copy_from_slice(message)));
            assert_eq!(found, expected, "{body:?} {declared:?}");
        };
        check(&[0, 0, 0, 0, 1, 9], None, Some((Encoding::Identity, &[9])));
        check(&[0, 0, 0, 0, 0], Some(Encoding::Gzip), Some((Encoding::Identity, &[])));
        check(&[1, 0, 0, 0, 1, 9], Some(Encoding::Zstd), Some((Encoding::Zstd, &[9])));
        check(&[1, 0, 0, 0, 1, 9], None, None);
        check(&[1, 0, 0, 0, 1, 9], Some(Encoding::Identity), None);
        check(&[2, 0, 0, 0, 1, 9], Some(Encoding::Gzip), None);
        check(&[], None, None);
        check(&[0, 0, 0], None, None);
        check(&[0, 0, 0, 0, 2, 9], None, None);
        check(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0], None, None);
        assert_eq!((size(&[0, 0, 1, 2, 3, 9]), size(&[0, 0, 1, 2])), (Some(0x010203 + 5), None));
        assert_eq!(read(write(b"answer"), None).ok(), Some((Encoding::Identity, Bytes::from("answer"))));
    }
}
