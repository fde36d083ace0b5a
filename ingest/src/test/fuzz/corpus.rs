//! Requests to begin with: every field set by hand, and recorded ones cropped to a few records.

use std::io::Read;
use std::path::{Path, PathBuf};

use prost::Message;
use tracelake_model::Signal;

use crate::test::fuzz::tree::{Node, crop, parse};
use crate::test::sample;

/// Requests of a recording that are fuzzed; more of them are alike.
const RECORDED: usize = 20;
const RECORDED_BYTES: u64 = 2 << 20;

/// All four signals with every field set.
pub(crate) fn samples() -> Vec<(Signal, Vec<u8>)> {
    let mut audit = sample::full_log();
    audit.attributes.push(sample::key("audit.actor.id", sample::text("ann")));
    vec![
        (Signal::Traces, sample::traces(vec![sample::full_span(), sample::plain_span(3)]).encode_to_vec()),
        (Signal::Logs, sample::logs(vec![sample::full_log(), audit.clone()]).encode_to_vec()),
        (Signal::Audit, sample::logs(vec![audit, sample::full_log()]).encode_to_vec()),
        (Signal::Metrics, sample::metrics(sample::full_metrics()).encode_to_vec()),
    ]
}

/// The samples, and recorded requests cropped, as trees.
pub(crate) fn trees() -> Vec<(Signal, Vec<Node>)> {
    let mut trees: Vec<_> =
        samples().into_iter().map(|(signal, plain)| (signal, parse(&plain, 0).expect("protobuf"))).collect();
    for (signal, path) in recordings() {
        for plain in requests(&path, RECORDED_BYTES).into_iter().take(RECORDED) {
            let mut tree = parse(&plain, 0).expect("protobuf");
            crop(&mut tree, 3);
            trees.push((signal, tree));
        }
    }
    trees
}

/// The committed slices, and the full sets where they are present; a run without them says so.
pub(crate) fn recordings() -> Vec<(Signal, PathBuf)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let slices = root.join("tests/data");
    let mut found = vec![
        (Signal::Traces, slices.join("trainticket-2023-01-29.slice.binpb.zst")),
        (Signal::Traces, slices.join("nodejs_microservices.slice.binpb.zst")),
    ];
    let full = std::env::var_os("TRACELAKE_TEST_DATA").map_or_else(|| root.join("../shared/data"), PathBuf::from);
    for (signal, name) in [
        (Signal::Logs, "trainticket-2023-01-29.logs.binpb.zst"),
        (Signal::Metrics, "trainticket-2023-01-29.metrics.binpb.zst"),
        (Signal::Logs, "onlineboutique-2022-08-22.logs.binpb.zst"),
        (Signal::Metrics, "onlineboutique-2022-08-22.metrics.binpb.zst"),
        (Signal::Traces, "nodejs_microservices.traces.binpb.zst"),
        (Signal::Traces, "trainticket-2023-01-29.traces.binpb.zst"),
        (Signal::Traces, "onlineboutique-2022-08-22.traces.binpb.zst"),
    ] {
        let path = full.join("otlp").join(name);
        if path.exists() {
            found.push((signal, path));
        } else {
            eprintln!("left out: {name} is not present; set TRACELAKE_TEST_DATA to the folder of the full sets");
        }
    }
    found
}

/// The first requests of a recording, in their order, as far as `bytes_max` reach.
pub(crate) fn requests(path: &Path, bytes_max: u64) -> Vec<Vec<u8>> {
    let file = std::fs::File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut data = Vec::new();
    zstd::Decoder::new(file).expect("zstd").take(bytes_max).read_to_end(&mut data).expect("zstd");
    let mut requests = Vec::new();
    let mut rest = data.as_slice();
    while let Ok(size) = prost::decode_length_delimiter(&mut rest)
        && let Some((request, after)) = rest.split_at_checked(size)
    {
        requests.push(request.to_vec());
        rest = after;
    }
    requests
}
