//! Bodies: read with a bound, decompressed with a bound, one place for every door.
//!
//! Deliberately knows no protocol. Decompression stops at the byte that would exceed the limit, so a bomb costs no more
//! memory than the limit; zstd windows are bounded likewise.

use std::io::Read;
use std::time::{Duration, Instant};

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use flate2::bufread::{MultiGzDecoder, ZlibDecoder};
use http_body_util::BodyExt;
use tracelake_model::Encoding;

use crate::admission::Permit;
use crate::error::Error;

/// A body that sends no byte for this long is given up.
const IDLE: Duration = Duration::from_secs(30);
/// What a body announced keeps room free for this long; then only what came does.
const LATE: Duration = Duration::from_secs(5);
/// An unwanted rest of a body is read and thrown away up to this much and this long, so that the sender reads its answer.
const DRAIN_BYTES_MAX: u64 = 64 << 20;
const DRAIN_TIME_MAX: Duration = Duration::from_secs(5);
/// Bytes decompressed at a time.
const CHUNK: usize = 32 << 10;
/// RFC 8878 asks decoders to support windows of 8 MiB.
const ZSTD_WINDOW_LOG: u32 = 23;

/// Reads a whole body of at most `limit` bytes. What is over is thrown away before the refusal. `size` is asked what the
/// first bytes say of the whole body's size.
pub(crate) async fn read(
    mut body: Body,
    limit: u64,
    size: fn(&[u8]) -> Option<u64>,
    permit: &mut Permit,
) -> Result<Bytes, Error> {
    let read = collect(&mut body, limit, size, permit).await;
    permit.forget_announced();
    if matches!(read, Err(Error::TooLarge { .. } | Error::InFlight { .. } | Error::Share { .. })) {
        drain(body).await;
    }
    read
}

/// Reads and throws away what is left of a body, within bounds.
pub(crate) async fn drain(mut body: Body) {
    let all = async {
        let mut seen = 0;
        while let Some(Ok(frame)) = body.frame().await {
            seen += frame.data_ref().map_or(0, |data| data.len() as u64);
            if seen > DRAIN_BYTES_MAX {
                break;
            }
        }
    };
    // Whether it came to an end makes no difference to the answer.
    let _ = tokio::time::timeout(DRAIN_TIME_MAX, all).await;
}

async fn collect(
    body: &mut Body,
    limit: u64,
    size: fn(&[u8]) -> Option<u64>,
    permit: &mut Permit,
) -> Result<Bytes, Error> {
    let (mut first, mut joined, mut length) = (Bytes::new(), BytesMut::new(), 0);
    let begun = Instant::now();
    while let Some(data) = next(body, begun, permit).await? {
        if length == 0
            && permit.announced() == 0
            && let Some(size) = size(&data).filter(|&size| size <= limit)
        {
            permit.announce(size)?;
        }
        length += data.len() as u64;
        if length > limit {
            return Err(too_large(limit));
        }
        let announced = permit.announced();
        permit.receive(data.len() as u64)?;
        // Small bodies come in one piece, which is kept as it is.
        if first.is_empty() && joined.is_empty() {
            first = data;
        } else {
            if joined.is_empty() {
                // As large as it will be: a buffer that doubles holds up to twice what counts.
                let room = first.len() as u64 + announced.max(data.len() as u64);
                joined.reserve(usize::try_from(room).unwrap_or(0));
            }
            joined.extend_from_slice(&std::mem::take(&mut first));
            joined.extend_from_slice(&data);
        }
    }
    Ok(if joined.is_empty() { first } else { joined.freeze() })
}

/// The next bytes of a body, none of a frame that is no data; a sender that is late keeps no room for what it announced.
async fn next(body: &mut Body, begun: Instant, permit: &mut Permit) -> Result<Option<Bytes>, Error> {
    let next = match tokio::time::timeout(LATE.saturating_sub(begun.elapsed()), body.frame()).await {
        Ok(next) => next,
        Err(_) => {
            permit.forget_announced();
            let next = tokio::time::timeout(IDLE, body.frame()).await;
            next.map_err(|_| Error::Stalled(IDLE.as_secs()))?
        }
    };
    let Some(frame) = next else { return Ok(None) };
    let frame = frame.map_err(|error| Error::Body(error.to_string()))?;
    Ok(Some(frame.into_data().unwrap_or_default()))
}

/// Decompresses a payload to at most `limit` bytes. `grow` is told of bytes before they are kept and may refuse.
pub(crate) fn inflate(
    encoding: Encoding,
    payload: &Bytes,
    limit: u64,
    mut grow: impl FnMut(u64) -> Result<(), Error>,
) -> Result<Bytes, Error> {
    if encoding == Encoding::Identity || payload.is_empty() {
        let fits = payload.len() as u64 <= limit;
        return if fits { Ok(payload.clone()) } else { Err(too_large(limit)) };
    }
    match encoding {
        Encoding::Identity | Encoding::Gzip => bounded(MultiGzDecoder::new(payload.as_ref()), "gzip", limit, &mut grow),
        Encoding::Deflate => {
            let mut decoder = ZlibDecoder::new(payload.as_ref());
            let plain = bounded(&mut decoder, "deflate", limit, &mut grow)?;
            let whole = decoder.total_in() == payload.len() as u64;
            whole.then_some(plain).ok_or_else(|| bad("deflate", &"bytes follow its end"))
        }
        Encoding::Zstd => {
            let decoder = zstd::stream::read::Decoder::with_buffer(payload.as_ref()).and_then(|mut decoder| {
                decoder.window_log_max(ZSTD_WINDOW_LOG.max(limit.max(1).ilog2()).min(30))?;
                Ok(decoder)
            });
            bounded(decoder.map_err(|error| bad("zstd", &error))?, "zstd", limit, &mut grow)
        }
    }
}

fn bounded(
    mut from: impl Read,
    encoding: &'static str,
    limit: u64,
    grow: &mut impl FnMut(u64) -> Result<(), Error>,
) -> Result<Bytes, Error> {
    let max = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut plain = Vec::new();
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = from.read(&mut chunk).map_err(|error| bad(encoding, &error))?;
        if read == 0 {
            return Ok(Bytes::from(plain));
        }
        let length = plain.len() + read;
        if length > max {
            return Err(too_large(limit));
        }
        grow(read as u64)?;
        if length > plain.capacity() {
            let room = length.max(plain.capacity() * 2).max(payload_guess(max)).min(max);
            plain.reserve_exact(room - plain.len());
        }
        plain.extend_from_slice(&chunk[..read]);
    }
}

/// The first allocation: small requests need one only.
fn payload_guess(max: usize) -> usize {
    max.min(4 * CHUNK)
}

fn bad(encoding: &'static str, detail: &impl ToString) -> Error {
    Error::Compression { encoding, detail: detail.to_string() }
}

fn too_large(limit: u64) -> Error {
    Error::TooLarge { what: "the request", limit, setting: "limits.request_bytes" }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Arc;

    use tracelake_model::{ManualClock, TenantId, UnixNano};

    use super::*;
    use crate::admission::Admission;
    use crate::config::Config;

    fn gzip(plain: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(plain).expect("writes to memory");
        encoder.finish().expect("writes to memory")
    }

    fn zlib(plain: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(plain).expect("writes to memory");
        encoder.finish().expect("writes to memory")
    }

    fn plain(encoding: Encoding, payload: Vec<u8>, limit: u64) -> Result<Bytes, Error> {
        inflate(encoding, &Bytes::from(payload), limit, |_| Ok(()))
    }

    #[test]
    fn every_encoding_gives_back_what_went_in_up_to_the_very_limit() {
        let text: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
        let limit = text.len() as u64;
        let zstd = zstd::encode_all(text.as_slice(), 3).expect("writes to memory");
        let cases = [
            (Encoding::Identity, text.clone()),
            (Encoding::Gzip, gzip(&text)),
            (Encoding::Deflate, zlib(&text)),
            (Encoding::Zstd, zstd),
        ];
        for (encoding, payload) in cases {
            let found = plain(encoding, payload.clone(), limit).expect("decompresses");
            assert!(found == text, "{encoding:?}");
            let refused = plain(encoding, payload, limit - 1);
            assert!(matches!(refused, Err(Error::TooLarge { .. })), "{encoding:?}");
        }
    }

    #[test]
    fn concatenated_gzip_members_are_one_body() {
        let both = [gzip(b"one "), gzip(b"two")].concat();
        assert_eq!(plain(Encoding::Gzip, both, 100).expect("decompresses"), "one two");
    }

    #[test]
    fn what_does_not_decompress_is_refused() {
        let mut broken = gzip(b"some text that is long enough");
        let last = broken.len() - 1;
        broken[last] ^= 1;
        let cut = gzip(b"some text")[..15].to_vec();
        let trailing = [zlib(b"text"), b"more".to_vec()].concat();
        let zstd = zstd::encode_all(&b"text"[..], 3).expect("writes to memory");
        for (encoding, payload) in [
            (Encoding::Gzip, b"not gzip".to_vec()),
            (Encoding::Gzip, broken),
            (Encoding::Gzip, cut),
            (Encoding::Deflate, trailing),
            (Encoding::Zstd, zstd[..zstd.len() - 1].to_vec()),
            (Encoding::Zstd, b"not zstd".to_vec()),
        ] {
            let refused = plain(encoding, payload, 1000);
            assert!(matches!(refused, Err(Error::Compression { .. })), "{encoding:?} {refused:?}");
        }
    }

    #[test]
    fn a_bomb_is_refused_before_it_unfolds() {
        let bomb = gzip(&vec![0; 64 << 20]);
        let mut asked = 0;
        let refused = inflate(Encoding::Gzip, &Bytes::from(bomb), 1 << 20, |bytes| {
            asked += bytes;
            Ok(())
        });
        assert!(matches!(refused, Err(Error::TooLarge { .. })));
        assert!(asked <= 1 << 20, "{asked}");
    }

    #[test]
    fn a_zstd_frame_that_claims_a_huge_window_is_refused() {
        // Magic, a descriptor without content size, a window of 1 GiB, one empty last block.
        let frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa0, 0x01, 0x00, 0x00];
        assert!(matches!(plain(Encoding::Zstd, frame, 16 << 20), Err(Error::Compression { .. })));
    }

    #[tokio::test]
    async fn a_body_is_read_up_to_the_limit_and_counted() {
        let clock = Arc::new(ManualClock::new(UnixNano(0)));
        let admission = Admission::new(Config { in_flight_bytes: 1000, ..Config::default() }, clock);
        let permit = || admission.permit(&TenantId::default(), None).expect("no rate");
        let mut held = permit();
        let body = read(Body::from(vec![7; 10]), 10, |_| None, &mut held).await.expect("fits");
        assert_eq!((body.len(), admission.figures().in_flight), (10, 10));
        let over = read(Body::from(vec![7; 11]), 10, |_| None, &mut permit()).await;
        assert!(matches!(over, Err(Error::TooLarge { .. })));
    }

    #[tokio::test]
    async fn a_body_that_tells_its_size_has_its_room_before_the_rest_comes_and_no_more_than_it() {
        let clock = Arc::new(ManualClock::new(UnixNano(0)));
        let admission = Admission::new(Config { in_flight_bytes: 1000, ..Config::default() }, clock);
        let (send, receive) = tokio::sync::mpsc::channel::<Result<Bytes, std::io::Error>>(1);
        let body = Body::from_stream(tokio_stream::wrappers::ReceiverStream::new(receive));
        let mut permit = admission.permit(&TenantId::default(), None).expect("no rate");
        let reading = tokio::spawn(async move { (read(body, 900, |_| Some(800), &mut permit).await, permit) });
        send.send(Ok(Bytes::from(vec![1; 5]))).await.expect("is read");
        for _ in 0..10_000 {
            if admission.figures().in_flight > 0 {
                break;
            }
            tokio::task::yield_now().await;
        }
        assert_eq!(admission.figures().in_flight, 800, "as its first bytes say");
        assert!(admission.permit(&TenantId::default(), Some(300)).is_err(), "refused before it is read");
        for size in [395, 400] {
            send.send(Ok(Bytes::from(vec![2; size]))).await.expect("is read");
        }
        drop(send);
        let (read, permit) = reading.await.expect("no panic");
        assert_eq!(read.expect("whole").len(), 800);
        assert_eq!(admission.figures().in_flight, 800);
        drop(permit);
        assert_eq!(admission.figures().in_flight, 0);
    }
}
