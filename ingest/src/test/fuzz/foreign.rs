//! The translators of Zipkin and Jaeger: whatever comes, no panic; what is taken is OTLP, the same each time, within its
//! limits, with every span kept or counted.

use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use rand::Rng;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use serde_json::Value;
use tracelake_model::{ContentType, DecodeLimits, Fault, Signal};

use crate::foreign::draft::Translator;
use crate::test::bench::decoded_within;
use crate::test::foreign::recorded::{ALL, ZIPKIN_JSON};
use crate::test::foreign::zipkin::SHARED;
use crate::test::fuzz::budget;
use crate::test::fuzz::walker::{mutate_bytes, some_limits};

const TIME: Duration = Duration::from_secs(2);

/// Whether a request was taken.
fn check(translator: Translator, limits: DecodeLimits, plain: &[u8]) -> bool {
    let found = match translator(&limits, plain) {
        Ok(found) => found,
        Err(error) => {
            assert!(matches!(error.kind(), Fault::Invalid | Fault::TooLarge), "{error}");
            return false;
        }
    };
    let again = translator(&limits, plain).expect("as before");
    assert_eq!((&again.otlp, again.refused), (&found.otlp, found.refused), "a repetition is recognised");
    let request = ExportTraceServiceRequest::decode(found.otlp.clone()).expect("is OTLP");
    let spans: usize = request.resource_spans.iter().flat_map(|one| &one.scope_spans).map(|one| one.spans.len()).sum();
    assert!(spans + found.refused.total() as usize <= limits.records as usize);
    assert!(found.otlp.len() as u64 <= limits.request_bytes, "{} bytes", found.otlp.len());
    let decoded = decoded_within(limits, Signal::Traces, ContentType::Protobuf, &found.otlp).expect("decodes");
    let rows: usize = decoded.batches.iter().map(tracelake_model::Batch::row_count).sum();
    assert_eq!(rows + decoded.refused.total() as usize, spans);
    true
}

#[test]
fn recorded_requests_cut_or_changed_at_every_byte_do_no_harm() {
    for (name, translator, plain) in ALL {
        assert!(check(translator, DecodeLimits::default(), plain), "{name}");
        for at in 0..plain.len() {
            check(translator, DecodeLimits::default(), &plain[..at]);
            let mut changed = plain.to_vec();
            changed[at] ^= [0x80, 0x01, 0xff][at % 3];
            check(translator, DecodeLimits::default(), &changed);
        }
    }
}

/// One value somewhere in the JSON becomes another.
fn mutate_json(random: &mut SmallRng, value: &mut Value) {
    let inner = match value {
        Value::Array(items) if !items.is_empty() && random.random_bool(0.9) => {
            let at = random.random_range(0..items.len());
            items.get_mut(at)
        }
        Value::Object(fields) if !fields.is_empty() && random.random_bool(0.9) => {
            let at = random.random_range(0..fields.len());
            fields.values_mut().nth(at)
        }
        _ => None,
    };
    if let Some(inner) = inner {
        return mutate_json(random, inner);
    }
    let others = [
        "null",
        "true",
        "7",
        "-1",
        "1.5",
        "1e300",
        "18446744073709551615",
        "\"\"",
        "\"7\"",
        "\"\\ud83d\"",
        "[]",
        "{}",
        "[[]]",
        "{\"a\":{}}",
        "\"{\\\"a\\\": {\\\"b\\\": [1, null]}}\"",
        "\"ERROR\"",
        "\"ffffffffffffffff\"",
    ];
    // Half a surrogate pair is no JSON to this reader.
    *value = serde_json::from_str(others.choose(random).expect("not empty")).unwrap_or(Value::Null);
}

#[test]
fn mutated_requests_of_other_protocols_do_no_harm() {
    let (mut taken, mut refused) = (0_u64, 0_u64);
    let json: Vec<Value> =
        [ZIPKIN_JSON, SHARED.as_bytes()].map(|json| serde_json::from_slice(json).expect("JSON")).to_vec();
    budget::run_for("Zipkin and Jaeger", TIME, |random| {
        let (name, translator, plain) = *ALL.choose(random).expect("not empty");
        let mut plain = plain.to_vec();
        if name == "Zipkin JSON" && random.random_bool(0.8) {
            let mut value = json.choose(random).expect("not empty").clone();
            (0..random.random_range(1..4)).for_each(|_| mutate_json(random, &mut value));
            plain = value.to_string().into_bytes();
        }
        if random.random_bool(0.7) {
            mutate_bytes(random, &mut plain);
        }
        let limits = DecodeLimits { request_bytes: random.random_range(100..4000), ..some_limits(random) };
        let limits = if random.random_bool(0.7) { DecodeLimits::default() } else { limits };
        if check(translator, limits, &plain) { taken += 1 } else { refused += 1 }
    });
    eprintln!("Zipkin and Jaeger: {taken} taken, {refused} refused");
    assert!(taken > 0 && refused > 0);
}
