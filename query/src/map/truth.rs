//! For tests: real traces of other people's systems with facts computed from their source by other means.
//!
//! Read from `$TRACELAKE_TEST_DATA`, else from `../shared/data` beside the repository.

use std::path::PathBuf;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;

/// The data sets.
pub(crate) const SETS: [&str; 3] = ["trainticket-2023-01-29", "onlineboutique-2022-08-22", "nodejs_microservices"];

fn folder() -> Option<PathBuf> {
    let given = std::env::var_os("TRACELAKE_TEST_DATA").map(PathBuf::from);
    let beside = || {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        root.ancestors().map(|folder| folder.join("shared/data")).find(|folder| folder.is_dir())
    };
    given.or_else(beside).map(|folder| folder.join("otlp")).filter(|folder| folder.is_dir())
}

/// A file of facts; `None`, said on the test's output, when the data is not there.
pub(crate) fn facts(name: &str) -> Option<serde_json::Value> {
    let Some(folder) = folder() else {
        eprintln!("left out: {name} is not there; set TRACELAKE_TEST_DATA to the folder of test data");
        return None;
    };
    let text = std::fs::read(folder.join(name)).expect("a file of facts");
    Some(serde_json::from_slice(&text).expect("facts as JSON"))
}

/// Tells every span of a set with its service, in the order in which they were sent.
pub(crate) fn spans(set: &str, mut see: impl FnMut(&str, Span)) {
    let folder = folder().expect("asked only when the facts are there");
    let packed = std::fs::read(folder.join(format!("{set}.traces.binpb.zst"))).expect("a file of traces");
    let bytes = zstd::decode_all(&packed[..]).expect("zstd");
    let mut rest = &bytes[..];
    while !rest.is_empty() {
        let request = ExportTraceServiceRequest::decode_length_delimited(&mut rest).expect("a frame");
        for resource_spans in request.resource_spans {
            let resource = resource_spans.resource.expect("a resource");
            let name = resource.attributes.iter().find(|pair| pair.key == "service.name");
            let service = match name.and_then(|pair| pair.value.as_ref()).and_then(|any| any.value.as_ref()) {
                Some(Value::StringValue(text)) => text.clone(),
                _ => "unknown_service".to_owned(),
            };
            for scope_spans in resource_spans.scope_spans {
                scope_spans.spans.into_iter().for_each(|span| see(&service, span));
            }
        }
    }
}
