//! The JSON reader: what serde reads, it reads alike; what the encoding leaves free changes nothing; nothing panics.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use rand::Rng;
use rand::rngs::SmallRng;
use rand::seq::{IndexedRandom, SliceRandom};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tracelake_model::{Batch, ContentType, DecodeLimits, Signal};

use crate::decode::Decoded;
use crate::error::Error;
use crate::test::bench::{cell, decoded_within};
use crate::test::fuzz::budget;
use crate::test::fuzz::corpus::trees;
use crate::test::fuzz::tree::{mutate, write};
use crate::test::fuzz::walker::{mutate_bytes, some_limits};

/// 64-bit integers, which may be numbers or strings.
const WIDE: [&str; 9] = [
    "timeUnixNano",
    "startTimeUnixNano",
    "endTimeUnixNano",
    "observedTimeUnixNano",
    "intValue",
    "asInt",
    "count",
    "zeroCount",
    "bucketCounts",
];
const IDS: [&str; 3] = ["traceId", "spanId", "parentSpanId"];
const KINDS: [&str; 6] = ["UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"];

fn same(from_json: Result<Decoded, Error>, from_protobuf: Result<Decoded, Error>, json: &str) {
    match (from_json, from_protobuf) {
        (Ok(one), Ok(other)) => {
            assert!(one.batches == other.batches, "{}", difference(&one.batches, &other.batches, json));
            assert_eq!((one.refused, one.timed), (other.refused, other.timed), "{json}");
        }
        (Err(one), Err(other)) => assert_eq!(one.kind(), other.kind(), "{json}"),
        (one, other) => panic!("{:?} from JSON, {:?} from protobuf: {json}", one.map(|_| ()), other.map(|_| ())),
    }
}

/// The first cell that differs.
fn difference(one: &[Batch], other: &[Batch], json: &str) -> String {
    for (one, other) in one.iter().zip(other) {
        for field in one.table().schema().fields() {
            for row in 0..one.row_count().min(other.row_count()) {
                let cells = [one, other].map(|batch| cell(batch, field.name(), row));
                if cells[0] != cells[1] {
                    return format!(
                        "{} row {row}: {} from JSON, {} from protobuf: {json}",
                        field.name(),
                        cells[0],
                        cells[1]
                    );
                }
            }
        }
    }
    format!("{} and {} batches of other lengths: {json}", one.len(), other.len())
}

/// A request of the generated types as JSON of serde's, and as protobuf; `None` where serde cannot write it.
fn both<T: Message + Default + Serialize + std::fmt::Debug>(plain: &[u8]) -> Option<(Value, Vec<u8>)> {
    let request = T::decode(plain).ok()?;
    // serde_json writes null for a double that JSON has not.
    let text = format!("{request:?}");
    if text.contains("NaN") || text.contains("inf") {
        return None;
    }
    Some((serde_json::to_value(&request).ok()?, request.encode_to_vec()))
}

fn both_of(signal: Signal, plain: &[u8]) -> Option<(Value, Vec<u8>)> {
    match signal {
        Signal::Traces => both::<ExportTraceServiceRequest>(plain),
        Signal::Logs | Signal::Audit => both::<ExportLogsServiceRequest>(plain),
        Signal::Metrics => both::<ExportMetricsServiceRequest>(plain),
    }
}

fn read<T: Message + Default + Serialize + DeserializeOwned>(json: &[u8]) -> Option<Vec<u8>> {
    let request: T = serde_json::from_slice(json).ok()?;
    let whole = serde_json::to_value(&request).ok()? == serde_json::from_slice::<Value>(json).ok()?;
    whole.then(|| request.encode_to_vec())
}

/// The same request in protobuf, as serde reads it; `None` where serde refuses it, or silently leaves out a part, as it
/// does with a oneof that it cannot read.
fn by_serde(signal: Signal, json: &[u8]) -> Option<Vec<u8>> {
    match signal {
        Signal::Traces => read::<ExportTraceServiceRequest>(json),
        Signal::Logs | Signal::Audit => read::<ExportLogsServiceRequest>(json),
        Signal::Metrics => read::<ExportMetricsServiceRequest>(json),
    }
}

/// Writes JSON with every freedom that the encoding allows: order, space, escapes, unknown keys, numbers as strings and
/// strings as numbers, names of enums, hex of either case, both alphabets of base64.
fn loosely(random: &mut SmallRng, key: &str, value: &Value, out: &mut String) {
    if random.random_bool(0.1) {
        out.push_str(["", " ", "\n\t "].choose(random).expect("not empty"));
    }
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
            fields.shuffle(random);
            if random.random_bool(0.1) {
                let stranger = [r#"{"a":[1,{"b":null}]}"#, "7", r#""text""#, "[[]]"].choose(random).expect("not empty");
                fields.push(("futureField".to_owned(), serde_json::from_str(stranger).expect("JSON")));
            }
            out.push('{');
            for (at, (key, value)) in fields.iter().enumerate() {
                out.push_str(if at == 0 { "" } else { "," });
                out.push_str(&Value::from(key.as_str()).to_string());
                out.push(':');
                loosely(random, key, value, out);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                out.push_str(if at == 0 { "" } else { "," });
                loosely(random, key, item, out);
            }
            out.push(']');
        }
        Value::String(text) => out.push_str(&loose_text(random, key, text)),
        Value::Number(number) => out.push_str(&loose_number(random, key, &number.to_string())),
        other => out.push_str(&other.to_string()),
    }
}

fn loose_text(random: &mut SmallRng, key: &str, text: &str) -> String {
    let is_number = text.parse::<i64>().is_ok_and(|number| number.to_string() == text);
    if WIDE.contains(&key) && is_number && random.random_bool(0.5) {
        return text.to_owned();
    }
    let text = match key {
        key if IDS.contains(&key) && random.random_bool(0.5) => text.to_ascii_uppercase(),
        "bytesValue" if random.random_bool(0.5) => text.replace('+', "-").replace('/', "_").replace('=', ""),
        _ => text.to_owned(),
    };
    if random.random_bool(0.8) {
        return Value::from(text).to_string();
    }
    let mut escaped = String::from("\"");
    for unit in text.encode_utf16() {
        escaped.push_str(&format!("\\u{unit:04x}"));
    }
    escaped + "\""
}

fn loose_number(random: &mut SmallRng, key: &str, number: &str) -> String {
    let whole = number.parse::<i64>().ok();
    match (key, whole) {
        ("kind", Some(kind @ 0..=5)) if random.random_bool(0.5) => format!("\"SPAN_KIND_{}\"", KINDS[kind as usize]),
        (_, _) if random.random_bool(0.3) => format!("\"{number}\""),
        (_, Some(whole)) if whole.unsigned_abs() < 1 << 50 && random.random_bool(0.3) => format!("{whole}.0"),
        _ => number.to_owned(),
    }
}

#[test]
fn json_means_what_protobuf_means_however_it_is_written() {
    let trees = trees();
    let (mut written, mut read_by_serde, mut broken) = (0_u64, 0_u64, 0_u64);
    budget::run("JSON", |random| {
        let (signal, tree) = trees.choose(random).expect("not empty");
        let (signal, mut tree, mut plain) = (*signal, tree.clone(), Vec::new());
        if random.random_bool(0.8) {
            mutate(random, &mut tree);
        }
        write(&tree, &mut plain);
        let limits = some_limits(random);
        let Some((value, protobuf)) = both_of(signal, &plain) else { return };
        let mut json = String::new();
        loosely(random, "", &value, &mut json);
        let from_protobuf = decoded_within(limits, signal, ContentType::Protobuf, &protobuf);
        same(decoded_within(limits, signal, ContentType::Json, json.as_bytes()), from_protobuf, &json);
        written += 1;

        let mut bytes = if random.random_bool(0.5) { json.into_bytes() } else { value.to_string().into_bytes() };
        mutate_bytes(random, &mut bytes);
        let limits = DecodeLimits::default();
        let found = decoded_within(limits, signal, ContentType::Json, &bytes);
        let again = decoded_within(limits, signal, ContentType::Json, &bytes);
        assert_eq!(found.as_ref().map(|found| &found.batches).ok(), again.as_ref().map(|found| &found.batches).ok());
        broken += u64::from(found.is_err());
        if let Some(protobuf) = by_serde(signal, &bytes) {
            let from_protobuf = decoded_within(limits, signal, ContentType::Protobuf, &protobuf);
            same(found, from_protobuf, &String::from_utf8_lossy(&bytes));
            read_by_serde += 1;
        }
    });
    eprintln!("JSON: {written} written in every way, {read_by_serde} mutated ones read by serde too, {broken} broken");
    assert!(written > 0 && read_by_serde > 0 && broken > 0);
}
