//! The doors: whatever comes, the right code, everything valid stored, nothing held afterwards, no panic.
//!
//! What the answer must be is worked out from the bytes by the plainest means: the whole body decompressed by the
//! library's own reader, the request decoded by the reference.

use std::convert::Infallible;
use std::io::{Read, Write};

use axum::body::Body;
use axum::extract::Extension;
use axum::http::{HeaderMap, Request};
use axum::response::Response;
use bytes::Bytes;
use http_body_util::BodyExt;
use prost::Message;
use rand::Rng;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use tower::ServiceExt;
use tracelake_model::{DecodeLimits, Signal};

use crate::config::Config;
use crate::decode::decoder;
use crate::test::bench::{Recorder, caller, wing};
use crate::test::fuzz::budget;
use crate::test::fuzz::corpus::trees;
use crate::test::fuzz::tree::{Node, mutate, write};
use crate::test::fuzz::walker::{mutate_bytes, some_limits};
use crate::test::reference::expected;

/// Decompressed bytes that one request may have here.
const REQUEST_BYTES: u64 = 40_000;
const IN_FLIGHT: u64 = 2 * REQUEST_BYTES;

const ENCODINGS: [&str; 4] = ["identity", "gzip", "deflate", "zstd"];

/// What the door must answer.
#[derive(Clone, Debug, PartialEq)]
enum Answer {
    /// Taken; rows and refused records.
    Taken(usize, usize),
    /// The bytes are not what they claim to be.
    Invalid,
    TooLarge,
    /// Too large or not: a broken stream that unfolds near the limit.
    InvalidOrTooLarge,
    /// An encoding that the door does not know.
    Encoding,
    /// Not one gRPC frame.
    Frame,
}

/// A request's bytes and what they are.
struct Sent {
    signal: Signal,
    limits: DecodeLimits,
    encoding: &'static str,
    /// As `encoding` says, or not.
    body: Vec<u8>,
}

fn sent(random: &mut SmallRng, trees: &[(Signal, Vec<Node>)]) -> Sent {
    let (signal, tree) = trees.choose(random).expect("not empty");
    let (mut tree, mut plain) = (tree.clone(), Vec::new());
    if random.random_bool(0.7) {
        mutate(random, &mut tree);
    }
    write(&tree, &mut plain);
    match random.random_range(0..20) {
        0 => mutate_bytes(random, &mut plain),
        // Bombs, and sizes on both sides of the limit.
        1 => plain = vec![0; random.random_range(0..400_000)],
        2 => plain.resize(REQUEST_BYTES as usize + random.random_range(0..3) - 1, 0),
        _ => {}
    }
    let encoding = *ENCODINGS.choose(random).expect("not empty");
    let mut body = compress(encoding, &plain);
    match random.random_range(0..10) {
        0 => mutate_bytes(random, &mut body),
        1 => body.truncate(random.random_range(0..=body.len())),
        2 => body.extend_from_slice(&compress(encoding, &plain)),
        _ => {}
    }
    let encoding = match random.random_range(0..30) {
        0 => "br",
        1 => ENCODINGS.choose(random).expect("not empty"),
        _ => encoding,
    };
    let limits = DecodeLimits { request_bytes: REQUEST_BYTES, ..some_limits(random) };
    Sent { signal: *signal, limits, encoding, body }
}

fn compress(encoding: &str, plain: &[u8]) -> Vec<u8> {
    let level = flate2::Compression::fast();
    match encoding {
        "gzip" => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
            encoder.write_all(plain).expect("writes to memory");
            encoder.finish().expect("writes to memory")
        }
        "deflate" => {
            let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), level);
            encoder.write_all(plain).expect("writes to memory");
            encoder.finish().expect("writes to memory")
        }
        "zstd" => zstd::encode_all(plain, 1).expect("writes to memory"),
        _ => plain.to_vec(),
    }
}

/// The decompressed body, or what is wrong with it.
fn unfold(encoding: &str, body: &[u8]) -> Result<Vec<u8>, Answer> {
    // So far beyond the limit that what breaks just behind it is seen too: readers look ahead.
    let (mut plain, most) = (Vec::new(), REQUEST_BYTES + (128 << 10));
    let read = match encoding {
        "br" => return Err(Answer::Encoding),
        _ if body.is_empty() => return Ok(Vec::new()),
        "identity" => return if body.len() as u64 > REQUEST_BYTES { Err(Answer::TooLarge) } else { Ok(body.to_vec()) },
        "gzip" => read_chunks(flate2::read::MultiGzDecoder::new(body), most, &mut plain),
        "deflate" => {
            let mut decoder = flate2::read::ZlibDecoder::new(body);
            let read = read_chunks(&mut decoder, most, &mut plain);
            if decoder.total_in() < body.len() as u64 && plain.len() as u64 <= REQUEST_BYTES {
                return Err(Answer::Invalid);
            }
            read
        }
        _ => zstd::Decoder::new(body).and_then(|mut decoder| {
            decoder.window_log_max(23)?;
            read_chunks(decoder, most, &mut plain)
        }),
    };
    match read {
        Err(_) if plain.len() as u64 + (64 << 10) > REQUEST_BYTES => Err(Answer::InvalidOrTooLarge),
        Err(_) => Err(Answer::Invalid),
        Ok(_) if plain.len() as u64 > REQUEST_BYTES => Err(Answer::TooLarge),
        Ok(_) => Ok(plain),
    }
}

/// Reads as much at a time as the door does: libzstd notices a frame whose size is not the one that it claims, or not,
/// by the room it is given.
fn read_chunks(mut from: impl Read, most: u64, plain: &mut Vec<u8>) -> std::io::Result<usize> {
    let mut chunk = vec![0; 32 << 10];
    while (plain.len() as u64) < most {
        match from.read(&mut chunk)? {
            0 => break,
            read => plain.extend_from_slice(&chunk[..read]),
        }
    }
    Ok(plain.len())
}

impl Sent {
    fn answer(&self) -> Answer {
        if self.encoding != "br" && self.body.len() as u64 > REQUEST_BYTES {
            return Answer::TooLarge;
        }
        match unfold(self.encoding, &self.body) {
            Err(answer) => answer,
            Ok(plain) => match expected(self.signal, self.limits, &plain) {
                Ok(found) if found.records > self.limits.records => Answer::TooLarge,
                Ok(found) => Answer::Taken(found.rows.len(), found.refused.len()),
                // The walker may meet a record too many before it meets what is broken.
                Err(_) => Answer::InvalidOrTooLarge,
            },
        }
    }
}

/// The body in pieces, as networks deliver it.
fn in_pieces(random: &mut SmallRng, body: &[u8]) -> Body {
    let mut pieces = Vec::new();
    let mut rest = body;
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(random.random_range(1..=rest.len()));
        pieces.push(Ok::<_, Infallible>(Bytes::copy_from_slice(piece)));
        rest = after;
    }
    Body::from_stream(futures::stream::iter(pieces))
}

/// What was stored is what was sent, and decodes again to the same batches; nothing is held afterwards.
fn check_stored(sink: &Recorder, payload: &[u8], rows: usize) {
    let requests = sink.requests();
    assert_eq!(requests.len(), usize::from(rows > 0));
    for request in requests {
        assert_eq!(request.payload, payload);
        assert_eq!(request.batches.iter().map(tracelake_model::Batch::row_count).sum::<usize>(), rows);
        let again = decoder().decode(&request.header, &request.payload).expect("decodes again");
        assert_eq!(request.batches, again, "decoding is pure");
    }
}

struct Door {
    router: axum::Router,
    ingest: std::sync::Arc<crate::Ingest>,
    sink: std::sync::Arc<Recorder>,
}

impl Door {
    fn open(limits: DecodeLimits, is_grpc: bool) -> Self {
        let (ingest, sink) = wing(Config { limits, in_flight_bytes: IN_FLIGHT, ..Config::default() });
        let router = if is_grpc { ingest.grpc_router() } else { ingest.http_router() };
        Self { router: router.layer(Extension(caller())), ingest, sink }
    }

    fn held(&self) -> f64 {
        let stats = self.ingest.stats();
        stats.iter().find(|sample| sample.name == "tracelake_ingest_in_flight_bytes").expect("a figure").value
    }
}

/// Status, headers and body; trailers count as headers.
async fn ask(door: &Door, request: Request<Body>) -> (u16, HeaderMap, Bytes) {
    let response: Response = door.router.clone().oneshot(request).await.expect("an answer");
    let (head, body) = response.into_parts();
    let collected = body.collect().await.expect("a body");
    let mut headers = head.headers;
    headers.extend(collected.trailers().cloned().unwrap_or_default());
    assert_eq!(door.held(), 0.0, "nothing is held afterwards");
    (head.status.as_u16(), headers, collected.to_bytes())
}

fn rejected(message: &[u8]) -> usize {
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
    let response = ExportTraceServiceResponse::decode(message).expect("a response");
    response.partial_success.map_or(0, |partial| usize::try_from(partial.rejected_spans).expect("a count"))
}

async fn check_http(random: &mut SmallRng, sent: &Sent) -> Answer {
    let path = match sent.signal {
        Signal::Traces => "/v1/traces",
        Signal::Logs => "/v1/logs",
        Signal::Metrics => "/v1/metrics",
        Signal::Audit => "/v1/audit",
    };
    let door = Door::open(sent.limits, false);
    let mut request = Request::post(path).header("content-type", "application/x-protobuf");
    if sent.encoding != "identity" || random.random_bool(0.5) {
        request = request.header("content-encoding", sent.encoding);
    }
    if random.random_bool(0.5) {
        request = request.header("content-length", sent.body.len());
    }
    let request = request.body(in_pieces(random, &sent.body)).expect("a request");
    let (status, headers, body) = ask(&door, request).await;
    let answer = sent.answer();
    match (&answer, status) {
        (Answer::Taken(rows, refused), 200) => {
            assert_eq!(rejected(&body), *refused);
            check_stored(&door.sink, &sent.body, *rows);
        }
        (Answer::Invalid | Answer::InvalidOrTooLarge, 400)
        | (Answer::TooLarge | Answer::InvalidOrTooLarge, 413)
        | (Answer::Encoding, 415) => {
            assert!(door.sink.requests().is_empty(), "nothing is stored");
            assert!(!headers.contains_key("retry-after"), "coming back is in vain");
        }
        _ => panic!("{answer:?} expected, {status} answered: {:?}", String::from_utf8_lossy(&body)),
    }
    answer
}

/// A frame that is right, or not.
fn framed(random: &mut SmallRng, sent: &Sent) -> (Vec<u8>, Option<Answer>) {
    let flag = u8::from(sent.encoding != "identity");
    let length = u32::try_from(sent.body.len()).expect("short");
    let mut frame = [&[flag][..], &length.to_be_bytes(), &sent.body].concat();
    let broken = match random.random_range(0..14) {
        0 => {
            frame[1..5].copy_from_slice(&random.random::<u32>().to_be_bytes());
            frame[1..5] != length.to_be_bytes()
        }
        1 => {
            frame.truncate(random.random_range(0..frame.len()));
            true
        }
        2 => {
            frame.extend_from_slice(&frame.clone());
            true
        }
        3 => {
            frame[0] = random.random_range(2..=255);
            true
        }
        _ => false,
    };
    let too_large = frame.len() as u64 > REQUEST_BYTES + 5;
    let answer = if too_large { Answer::TooLarge } else { Answer::Frame };
    (frame, (broken || too_large).then_some(answer))
}

async fn check_grpc(random: &mut SmallRng, sent: &Sent) -> Answer {
    let service = match sent.signal {
        Signal::Traces => "trace.v1.TraceService",
        Signal::Logs | Signal::Audit => "logs.v1.LogsService",
        Signal::Metrics => "metrics.v1.MetricsService",
    };
    let signal = if sent.signal == Signal::Audit { Signal::Logs } else { sent.signal };
    let sent = &Sent { signal, body: sent.body.clone(), ..*sent };
    let door = Door::open(sent.limits, true);
    let path = format!("/opentelemetry.proto.collector.{service}/Export");
    let mut request = Request::post(path).header("content-type", "application/grpc");
    if sent.encoding != "identity" || random.random_bool(0.5) {
        request = request.header("grpc-encoding", sent.encoding);
    }
    let (frame, broken) = framed(random, sent);
    let (status, headers, body) = ask(&door, request.body(in_pieces(random, &frame)).expect("a request")).await;
    assert_eq!(status, 200, "refusals too are answers of gRPC");
    let answer = match (sent.encoding, broken) {
        ("br", _) => Answer::Encoding,
        (_, Some(broken)) => broken,
        _ => sent.answer(),
    };
    let code = headers["grpc-status"].to_str().expect("a number");
    match (&answer, code) {
        (Answer::Taken(rows, refused), "0") => {
            assert_eq!((body[0], rejected(&body[5..])), (0, *refused));
            check_stored(&door.sink, &sent.body, *rows);
        }
        (Answer::Invalid | Answer::InvalidOrTooLarge, "3")
        | (Answer::TooLarge | Answer::InvalidOrTooLarge, "8")
        | (Answer::Encoding, "12")
        | (Answer::Frame, "13") => {
            assert!(door.sink.requests().is_empty(), "nothing is stored");
            assert!(!headers.contains_key("grpc-status-details-bin"), "coming back is in vain");
        }
        _ => panic!(
            "{answer:?} expected, {code} answered: {:?}, {} bytes of {}: {:02x?}",
            headers.get("grpc-message"),
            sent.body.len(),
            sent.encoding,
            &sent.body[..sent.body.len().min(400)]
        ),
    }
    answer
}

fn run(name: &str, check: &impl AsyncFn(&mut SmallRng, &Sent) -> Answer) {
    let trees = trees();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let (mut taken, mut refused) = (0_u64, 0_u64);
    budget::run(name, |random| {
        let sent = sent(random, &trees);
        match runtime.block_on(check(random, &sent)) {
            Answer::Taken(..) => taken += 1,
            _ => refused += 1,
        }
    });
    eprintln!("{name}: {taken} taken, {refused} refused");
    assert!(taken > 0 && refused > 0);
}

#[test]
fn the_http_door_answers_anything_with_the_right_code() {
    run("HTTP door", &check_http);
}

#[test]
fn the_grpc_door_answers_anything_with_the_right_code() {
    run("gRPC door", &check_grpc);
}
