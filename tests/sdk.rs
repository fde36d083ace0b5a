//! Real SDKs send through the real doors and find everything again; outside readers read the tables meanwhile.
//!
//! The comparisons stand in the scripts under `sdk/`, in the languages of the SDKs.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::house::{House, run, tool};
use crate::recorded::{requests, slice, truth};

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdk").join(name)
}

pub(crate) fn must_succeed(command: &mut Command) {
    let output = run(command);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{command:?}:\n{}{}", text(&output.stdout), text(&output.stderr));
}

pub(crate) fn python(name: &str) -> Command {
    let mut command = Command::new(tool("TRACELAKE_TEST_PYTHON"));
    command.arg(script(name));
    command
}

#[test]
fn the_python_sdk_finds_everything_it_sent_over_grpc_and_http_field_by_field() {
    let house = House::start();
    must_succeed(python("round_trip.py").args([&house.grpc, &house.otlp, &house.api]));
}

#[test]
fn the_node_sdk_finds_everything_it_sent_over_http_json_field_by_field() {
    let house = House::start();
    let folder = tool("TRACELAKE_TEST_NODE_MODULES").join("..");
    must_succeed(
        Command::new("node").current_dir(folder).arg(script("node/round_trip.mjs")).args([&house.otlp, &house.api]),
    );
}

#[tokio::test]
async fn deltalake_polars_and_duckdb_count_what_we_count_while_the_server_runs() {
    let house = House::start();
    // A set without equal spans: compaction, which drops those, cannot change its counts between two readers.
    let truth = truth(&slice("nodejs_microservices.slice.truth.json"));
    for body in requests(&slice("nodejs_microservices.slice.binpb.zst")) {
        assert_eq!(house.send("traces", body).await.expect("the door answers"), 200);
    }
    // The SDK run fills logs and metrics besides.
    must_succeed(python("round_trip.py").args([&house.grpc, &house.otlp, &house.api]));
    house.flush().await;
    let mut command = python("readers.py");
    command.arg(house.data_dir()).arg(&house.api);
    for table in ["spans", "logs", "metrics"] {
        let rows = house.number(&format!("SELECT COUNT(*) FROM {table}")).await;
        command.arg(format!("{table}={rows}"));
    }
    must_succeed(&mut command);
    let replayed = house.number("SELECT COUNT(*) FROM spans WHERE service_name LIKE '%service%'").await;
    assert_eq!(replayed, truth["distinct_spans"].as_i64().expect("distinct_spans"));
}
