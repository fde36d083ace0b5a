//! What an operator gets wrong is told in one clear sentence with a code, and what is right goes on.

use std::fs;
use std::net::TcpListener;
use std::path::Path;

use crate::house::{House, command, run};

/// Runs the server with `extra` over a folder; it must end by itself with `code` and name each of `words`.
fn must_refuse(folder: &Path, extra: &[&str], code: i32, words: &[&str]) {
    let extra: Vec<String> = extra.iter().map(|&flag| flag.to_owned()).collect();
    let output = run(&mut command(folder, &extra));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{extra:?}: {said}");
    for word in words {
        assert!(said.contains(word), "{extra:?} does not name {word:?}: {said}");
    }
    assert!(!said.contains("panicked"), "{said}");
}

#[test]
fn a_data_directory_in_use_is_refused_and_its_owner_goes_on() {
    let house = House::start();
    let folder = house.data_dir();
    must_refuse(folder.parent().expect("a parent"), &[], 1, &["locked", "data-dir"]);
}

#[test]
fn a_data_directory_of_a_newer_format_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().expect("a directory");
    let data = folder.path().join("data-dir");
    fs::create_dir(&data).expect("created");
    fs::write(data.join("FORMAT"), "tracelake 99\n").expect("written");
    must_refuse(folder.path(), &[], 1, &["99", "FORMAT"]);
    assert_eq!(fs::read_to_string(data.join("FORMAT")).expect("still there"), "tracelake 99\n");
}

#[test]
fn a_data_directory_that_is_a_file_is_refused() {
    let folder = tempfile::tempdir().expect("a directory");
    fs::write(folder.path().join("data-dir"), "").expect("written");
    must_refuse(folder.path(), &[], 1, &["data-dir"]);
}

#[test]
fn a_port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let folder = tempfile::tempdir().expect("a directory");
    // The last of equal flags would be refused by the parser, so the environment names the port here.
    let mut server = command(folder.path(), &[]);
    let args: Vec<_> = server.get_args().map(ToOwned::to_owned).collect();
    server = std::process::Command::new(env!("CARGO_BIN_EXE_tracelake"));
    let args: Vec<_> = args.into_iter().map(|arg| arg.into_string().expect("text")).collect();
    for (i, arg) in args.iter().enumerate() {
        let of_http = i > 0 && args[i - 1] == "--listen-http";
        server.arg(if of_http { &address } else { arg });
    }
    let output = run(&mut server);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(&address) && said.contains("in use"), "{said}");
}

#[test]
fn unknown_keys_of_the_configuration_are_refused_all_at_once() {
    let folder = tempfile::tempdir().expect("a directory");
    let file = folder.path().join("tracelake.toml");
    fs::write(&file, "colour = 1\n[storage]\nflush_intervall = \"1s\"\n[limits]\nrequest_bytes = \"much\"\n")
        .expect("written");
    let file = file.to_str().expect("text");
    must_refuse(folder.path(), &["--config", file], 2, &["colour", "flush_intervall", "request_bytes"]);
}

#[test]
fn listening_to_the_world_without_authentication_needs_a_word() {
    let folder = tempfile::tempdir().expect("a directory");
    let mut server = std::process::Command::new(env!("CARGO_BIN_EXE_tracelake"));
    server.args(["serve", "--listen-http", "0.0.0.0:0", "--listen-otlp-grpc", "off", "--listen-otlp-http", "off"]);
    server.arg("--data-dir").arg(folder.path().join("data-dir"));
    let output = run(&mut server);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("--insecure"), "{said}");
}

#[tokio::test]
async fn unknown_routes_and_parameters_are_told() {
    let house = House::start();
    let (status, problem) = house.ask("GET", "/api/v1/nothing", None).await;
    assert_eq!((status, problem["status"].as_u64()), (404, Some(404)), "{problem}");
    let (status, problem) = house.ask("GET", "/api/v1/traces?colour=red", None).await;
    assert_eq!(status, 400, "{problem}");
    assert!(problem["detail"].as_str().is_some_and(|text| text.contains("colour")), "{problem}");
    let (status, problem) = house.ask("GET", "/api/v1/traces/0af7651916cd43dd8448eb211c80319c", None).await;
    assert_eq!(status, 404, "{problem}");
    for query in ["SELECT * FROM nothing", "DROP TABLE spans", "SELECT 1; SELECT 2", "SELECT"] {
        let (status, problem) = house.ask("POST", "/api/v1/sql", Some(serde_json::json!({ "query": query }))).await;
        assert_eq!(status, 400, "{query}: {problem}");
    }
    for path in ["/livez", "/readyz", "/healthz", "/metrics", "/"] {
        assert_eq!(house.ask("GET", path, None).await.0, 200, "{path}");
    }
}
