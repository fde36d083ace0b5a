//! Recorded telemetry and its truth: the committed slices, and the full sets where they are present.
//!
//! The full sets are read from `$TRACELAKE_TEST_DATA`, or `../shared/data`. A run without them says what it left out.

use std::path::{Path, PathBuf};

use serde_json::Value;

/// Requests in the order in which an SDK's batcher would flush them.
pub(crate) fn requests(path: &Path) -> Vec<Vec<u8>> {
    let file = std::fs::File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let data = zstd::stream::decode_all(file).expect("zstd");
    let mut requests = Vec::new();
    let mut rest = data.as_slice();
    while !rest.is_empty() {
        let size = prost::decode_length_delimiter(&mut rest).expect("a frame's length");
        requests.push(rest[..size].to_vec());
        rest = &rest[size..];
    }
    requests
}

/// Facts computed from the source by other code than ours.
pub(crate) fn truth(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).expect("JSON")
}

/// A file of the committed slices.
pub(crate) fn slice(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

/// A file of the full sets; `None`, said on stderr, where they are not present.
pub(crate) fn full(name: &str) -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let folder = std::env::var_os("TRACELAKE_TEST_DATA").map_or_else(beside, PathBuf::from);
    let path = folder.join("otlp").join(name);
    if path.exists() {
        return Some(path);
    }
    eprintln!("left out: {name} is not present; set TRACELAKE_TEST_DATA to the folder of the full sets");
    None
}

/// Calls between services as sorted `(from, to, calls)`.
pub(crate) fn edges(truth: &Value) -> Vec<(String, String, i64)> {
    let edges = truth["service_edges"].as_array().expect("service_edges");
    let text = |edge: &Value, key: &str| edge[key].as_str().expect("a service").to_owned();
    let mut edges: Vec<_> = edges
        .iter()
        .map(|edge| (text(edge, "from"), text(edge, "to"), edge["calls"].as_i64().expect("calls")))
        .collect();
    edges.sort();
    edges
}
