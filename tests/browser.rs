//! A person opens the map, clicks a service, opens a trace and its logs: in a real browser, on the demo's telemetry.
//!
//! The clicks stand in `browser/walk.mjs`; `TRACELAKE_SHOTS` names a folder that keeps the screenshots.

use std::path::Path;
use std::process::Command;

use crate::house::{House, run, tool};

#[test]
fn a_person_walks_from_the_map_to_a_trace_and_its_logs() {
    let house = House::start();
    let mut demo = Command::new(env!("CARGO_BIN_EXE_tracelake"));
    demo.args(["demo", "--once", "--rate", "5", "--endpoint"]).arg(format!("http://{}", house.grpc));
    let output = run(&mut demo);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let browser = tool("TRACELAKE_TEST_CHROMIUM");
    let folder = tool("TRACELAKE_TEST_BROWSER_MODULES").join("..");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser/walk.mjs");
    let mut walk = Command::new("node");
    walk.current_dir(folder).arg(script).arg(format!("http://{}", house.api)).arg(browser);
    let output = run(&mut walk);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
}
